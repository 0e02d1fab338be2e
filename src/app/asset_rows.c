#include "app/asset_rows.h"

#include "kernel/base/check.h"

#define SPECIFICATIONS "specifications."

struct column {
    const char *name;
    bool of_metadata; /* else of the body itself */
};

static const struct column texts[] = {
    {"assetId", true},         {"name", true},         {"description", true},
    {"assetType", true},       {"createdAt", true},    {"updatedAt", true},
    {"tokenName", false},      {"tokenSymbol", false}, {"totalSupply", false},
    {"tokenRecipient", false},
};

static const struct column *find_text(struct slice name)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (slice_equal_text(name, texts[i].name)) {
            return &texts[i];
        }
    }
    return NULL;
}

/* ---- columns ---- */

/* The path below specifications that a column names, or "" for another column. */
static struct slice path_of(struct slice column)
{
    struct slice prefix = SLICE_LIT(SPECIFICATIONS);
    return slice_starts(column, prefix) ? slice_sub(column, prefix.len, column.len - prefix.len)
                                        : SLICE_EMPTY;
}

static bool is_path(struct slice path)
{
    struct slice rest = path;
    struct slice name = SLICE_EMPTY;
    bool more = true;
    while (more) {
        more = slice_cut(rest, '.', &name, &rest);
        if (name.len == 0) {
            return false;
        }
    }
    return true;
}

/* Whether one path is the other, or leads through it: both cannot have a value. */
static bool is_within(struct slice path, struct slice other)
{
    return slice_starts(path, other) && (path.len == other.len || path.ptr[other.len] == '.');
}

static enum err check_column(const struct csv_record *columns, size_t index, struct why *why)
{
    struct slice name = columns->fields[index];
    if (find_text(name) == NULL && !is_path(path_of(name))) {
        return why_set(why, ERR_UNKNOWN_FIELD, NULL,
                       "There is no column \"%.*s\": specifications are columns such as "
                       "specifications.mass_kg.",
                       SLICE_ARG(name));
    }
    for (size_t i = 0; i < index; i++) {
        struct slice other = columns->fields[i];
        if (is_within(name, other) || is_within(other, name)) {
            return why_set(why, ERR_UNKNOWN_FIELD, NULL,
                           "The columns \"%.*s\" and \"%.*s\" are for the same value.",
                           SLICE_ARG(other), SLICE_ARG(name));
        }
    }
    return OK;
}

static enum err check_columns(const struct csv_record *columns, struct why *why)
{
    enum err e = OK;
    bool keyed = false;
    for (size_t i = 0; i < columns->count && e == OK; i++) {
        e = check_column(columns, i, why);
        keyed = keyed || slice_equal_text(columns->fields[i], "assetId");
    }
    return e == OK && !keyed
               ? why_set(why, ERR_MISSING_FIELD, NULL, "The first line must name a column assetId.")
               : e;
}

/* ---- opening ---- */

static bool is_blank_record(const struct csv_record *r)
{
    return r->count == 1 && r->fields[0].len == 0;
}

static enum err open_csv(struct asset_rows *rows, struct arena *arena, struct slice text,
                         struct why *why)
{
    struct csv_record *r = arena_alloc(arena, sizeof *r);
    struct arena scratch;
    bool found = false;
    rows->columns = arena_alloc(arena, sizeof *rows->columns);
    csv_init(&rows->csv, text);
    enum err e = csv_next(&rows->csv, arena, rows->columns, &found, why);
    if (e == OK) {
        e = check_columns(rows->columns, why);
    }
    struct csv ahead = rows->csv;
    arena_init(&scratch, 0);
    while (e == OK) {
        e = csv_next(&ahead, &scratch, r, &found, why);
        if (e != OK || !found) {
            break;
        }
        rows->total += !is_blank_record(r);
        arena_clear(&scratch);
    }
    arena_free(&scratch);
    return e;
}

static bool next_line(struct asset_rows *rows, struct slice *out)
{
    while (rows->rest.len > 0) {
        struct slice line = SLICE_EMPTY;
        (void)slice_cut(rows->rest, '\n', &line, &rows->rest);
        rows->line++;
        *out = slice_trim(line);
        if (out->len > 0) {
            return true;
        }
    }
    return false;
}

enum err asset_rows_open(struct asset_rows *rows, struct arena *arena, enum asset_format format,
                         struct slice text, struct why *why)
{
    *rows = (struct asset_rows){.format = format, .rest = text};
    if (format == ASSET_CSV) {
        return open_csv(rows, arena, text, why);
    }
    struct asset_rows ahead = *rows;
    struct slice line;
    while (next_line(&ahead, &line)) {
        rows->total++;
    }
    return OK;
}

/* ---- rows of CSV ---- */

static void write_cell(struct json_out *j, struct arena *arena, struct slice cell)
{
    const struct json *value = NULL;
    if (json_parse(arena, cell, &json_limits_body, &value, NULL) == OK) {
        struct buf b;
        buf_init(&b, arena, cell.len + 16);
        json_write(&b, value);
        json_raw(j, buf_slice(&b));
    } else {
        json_string(j, cell);
    }
}

/* The part of a column's path behind `prefix`, or "" when it is elsewhere or its cell is empty. */
static struct slice below(const struct asset_rows *rows, const struct csv_record *r, size_t index,
                          struct slice prefix)
{
    struct slice path = path_of(rows->columns->fields[index]);
    if (r->fields[index].len == 0 || !slice_starts(path, prefix)) {
        return SLICE_EMPTY;
    }
    return slice_sub(path, prefix.len, path.len - prefix.len);
}

/* Whether an earlier column begins the member, which then has this one's value in it. */
static bool is_begun(const struct asset_rows *rows, const struct csv_record *r, size_t index,
                     struct slice prefix, struct slice name)
{
    for (size_t i = 0; i < index; i++) {
        struct slice first = SLICE_EMPTY;
        struct slice rest = SLICE_EMPTY;
        (void)slice_cut(below(rows, r, i, prefix), '.', &first, &rest);
        if (slice_equal(first, name)) {
            return true;
        }
    }
    return false;
}

/* `prefix` is the path of the object with a dot behind it, "" for the specifications themselves. */
static void write_members(struct json_out *j, struct arena *arena, const struct asset_rows *rows,
                          const struct csv_record *r, struct slice prefix)
{
    json_begin_object(j);
    for (size_t i = 0; i < r->count; i++) {
        struct slice name = SLICE_EMPTY;
        struct slice rest = SLICE_EMPTY;
        bool nested = slice_cut(below(rows, r, i, prefix), '.', &name, &rest);
        if (name.len == 0 || is_begun(rows, r, i, prefix, name)) {
            continue;
        }
        json_key_slice(j, name);
        if (nested) {
            write_members(j, arena, rows, r,
                          slice_format(arena, "%.*s%.*s.", SLICE_ARG(prefix), SLICE_ARG(name)));
        } else {
            write_cell(j, arena, r->fields[i]);
        }
    }
    json_end_object(j);
}

static void write_texts(struct json_out *j, const struct asset_rows *rows,
                        const struct csv_record *r, bool of_metadata)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct column *c = find_text(rows->columns->fields[i]);
        if (c != NULL && c->of_metadata == of_metadata && r->fields[i].len > 0) {
            json_key(j, c->name);
            json_string(j, r->fields[i]);
        }
    }
}

static struct slice body_of(struct arena *arena, const struct asset_rows *rows,
                            const struct csv_record *r)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, arena, 1024);
    json_out_init(&j, &b);
    json_begin_object(&j);
    json_key(&j, "metadata");
    json_begin_object(&j);
    write_texts(&j, rows, r, true);
    json_key(&j, "specifications");
    write_members(&j, arena, rows, r, SLICE_EMPTY);
    json_key(&j, "documents");
    json_begin_array(&j);
    json_end_array(&j);
    json_end_object(&j);
    write_texts(&j, rows, r, false);
    json_end_object(&j);
    return buf_slice(&b);
}

static bool next_record(struct asset_rows *rows, struct arena *arena, struct asset_row *out)
{
    struct csv_record *r = arena_alloc(arena, sizeof *r);
    bool found = false;
    do {
        enum err e = csv_next(&rows->csv, arena, r, &found, NULL);
        ASSERT(e == OK); /* it was when the file was opened */
    } while (found && is_blank_record(r));
    if (!found) {
        return false;
    }
    out->line = r->line;
    if (r->count != rows->columns->count) {
        (void)why_set(&out->wrong, ERR_INVALID_ENCODING, NULL,
                      "The row has %zu fields, the first line names %zu.", r->count,
                      rows->columns->count);
        return true;
    }
    for (size_t i = 0; i < r->count; i++) {
        if (slice_equal_text(rows->columns->fields[i], "assetId")) {
            out->asset_id = r->fields[i];
        }
    }
    out->body = body_of(arena, rows, r);
    return true;
}

/* ---- rows of JSON lines ---- */

static bool next_document(struct asset_rows *rows, struct arena *arena, struct asset_row *out)
{
    const struct json *v = NULL;
    struct slice line = SLICE_EMPTY;
    if (!next_line(rows, &line)) {
        return false;
    }
    out->line = rows->line;
    enum err e = json_parse(arena, line, &json_limits_body, &v, &out->wrong);
    if (e == OK && v->type != JSON_OBJECT) {
        e = why_set(&out->wrong, ERR_INVALID_TYPE, NULL, "The line must be a JSON object.");
    }
    if (e != OK) {
        return true;
    }
    const struct json *metadata = json_find(v, "metadata");
    bool named = metadata != NULL && metadata->type == JSON_OBJECT;
    const struct json *id = named ? json_find(metadata, "assetId") : NULL;
    out->asset_id = id != NULL && id->type == JSON_STRING ? id->text : SLICE_EMPTY;
    out->body = line;
    return true;
}

bool asset_rows_next(struct asset_rows *rows, struct arena *arena, struct asset_row *out)
{
    *out = (struct asset_row){.asset_id = SLICE_EMPTY, .body = SLICE_EMPTY};
    return rows->format == ASSET_CSV ? next_record(rows, arena, out)
                                     : next_document(rows, arena, out);
}
