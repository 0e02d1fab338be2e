/*
 * Inverses of the undo log are statements in the words of their database, and a row that moves to
 * another database must mean the same there. The triggers write three forms only (tools/gen-sql):
 *
 *     DELETE FROM "t" WHERE "k" = v AND …
 *     UPDATE "t" SET "c" = v, … WHERE "k" = v AND …
 *     INSERT INTO "t" ("c", …) [OVERRIDING SYSTEM VALUE] VALUES (v, …)
 *
 * with literals of the columns' types. The portable form is the one that SQLite's triggers write.
 * What stands here reads either form into typed values and writes the other one. store_repair.c
 * writes statements of the same forms from values.
 */
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/store/store_private.h"
#include "kernel/store/store_repair.h"

#define USEC_PER_DAY (86400ll * USEC_PER_SEC)
/* What PostgreSQL can keep: 4713 BC to 294276; we write years 1 to 294276. */
#define DAYS_MIN (-719162ll)
#define DAYS_MAX 106751990ll

enum verb {
    VERB_DELETE,
    VERB_UPDATE,
    VERB_INSERT,
};

struct term {
    const struct store_column *column;
    struct store_value value;
};

struct inverse {
    enum verb verb;
    const struct store_table *table;
    struct term terms[2 * STORE_FIELDS_MAX]; /* what is set or inserted, then the key */
    size_t set_count;
    size_t count;
};

struct reader {
    const struct store_catalog *catalog;
    struct arena *arena;
    struct slice rest;
    bool postgres;
};

/* ---- words ---- */

static void skip_blanks(struct reader *r)
{
    while (r->rest.len > 0 && r->rest.ptr[0] == ' ') {
        r->rest = slice_sub(r->rest, 1, r->rest.len);
    }
}

/* Takes this text if it comes next. */
static bool take(struct reader *r, const char *text)
{
    skip_blanks(r);
    if (!slice_starts(r->rest, slice_text(text))) {
        return false;
    }
    r->rest = slice_sub(r->rest, strlen(text), r->rest.len);
    return true;
}

/* Reads up to the closing mark, which is doubled inside; `escapes` also doubles backslashes. */
static bool take_quoted(struct reader *r, char mark, bool escapes, struct slice *out)
{
    struct buf text;
    buf_init(&text, r->arena, 64);
    for (size_t i = 0; i < r->rest.len; i++) {
        char c = (char)r->rest.ptr[i];
        bool doubled = i + 1 < r->rest.len && (char)r->rest.ptr[i + 1] == c;
        if (c == mark && !doubled) {
            r->rest = slice_sub(r->rest, i + 1, r->rest.len);
            *out = buf_slice(&text);
            return true;
        }
        if (c == '\\' && escapes && !doubled) {
            return false; /* quote_literal writes no other escape */
        }
        i += c == mark || (c == '\\' && escapes);
        buf_add_byte(&text, (uint8_t)c);
    }
    return false;
}

static bool take_name(struct reader *r, struct slice *out)
{
    return take(r, "\"") && take_quoted(r, '"', false, out);
}

static bool take_table(struct reader *r, struct inverse *inverse)
{
    struct slice name;
    if (!take_name(r, &name)) {
        return false;
    }
    for (uint16_t i = 0; i < r->catalog->table_count; i++) {
        if (slice_equal_text(name, r->catalog->tables[i].name)) {
            inverse->table = &r->catalog->tables[i];
            return true;
        }
    }
    return false;
}

static bool take_column(struct reader *r, const struct store_table *table, struct term *term)
{
    struct slice name;
    if (!take_name(r, &name)) {
        return false;
    }
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (slice_equal_text(name, table->columns[i].name)) {
            term->column = &table->columns[i];
            return true;
        }
    }
    return false;
}

/* ---- times, as PostgreSQL writes them in UTC ---- */

/* Days since 1970 of a date of the Gregorian calendar; years begin in March. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t era_year = y % 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return y / 400 * 146097 + era_year * 365 + era_year / 4 - era_year / 100 + day_of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    int64_t z = days + 719468;
    int64_t era = z / 146097;
    int64_t d = z % 146097;
    int64_t y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    int64_t of_year = d - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    *day = of_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = y + 400 * era + (*month <= 2);
}

/* Takes digits and what must follow them. */
static bool take_number(struct slice *rest, size_t digits_max, const char *then, int64_t *out)
{
    size_t len = 0;
    int64_t value = 0;
    while (len < rest->len && len < digits_max && rest->ptr[len] >= '0' && rest->ptr[len] <= '9') {
        value = value * 10 + (rest->ptr[len] - '0');
        len++;
    }
    struct slice left = slice_sub(*rest, len, rest->len);
    if (len == 0 || !slice_starts(left, slice_text(then))) {
        return false;
    }
    *rest = slice_sub(left, strlen(then), left.len);
    *out = value;
    return true;
}

/* "2026-11-27 16:43:03.25+00" */
static bool read_time(struct slice text, int64_t *out_usec)
{
    int64_t year = 0;
    int64_t month = 0;
    int64_t day = 0;
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t sec = 0;
    int64_t usec = 0;
    if (!take_number(&text, 6, "-", &year) || !take_number(&text, 2, "-", &month) ||
        !take_number(&text, 2, " ", &day) || !take_number(&text, 2, ":", &hour) ||
        !take_number(&text, 2, ":", &minute) || !take_number(&text, 2, "", &sec)) {
        return false;
    }
    if (text.len > 0 && text.ptr[0] == '.') {
        text = slice_sub(text, 1, text.len);
        size_t before = text.len;
        if (!take_number(&text, 6, "", &usec)) {
            return false;
        }
        for (size_t digits = before - text.len; digits < 6; digits++) {
            usec *= 10;
        }
    }
    if (!slice_equal_text(text, "+00") || year < 1 || month < 1 || month > 12 || day < 1 ||
        day > 31 || hour > 23 || minute > 59 || sec > 59) {
        return false;
    }
    *out_usec = days_of(year, month, day) * USEC_PER_DAY +
                ((hour * 60 + minute) * 60 + sec) * USEC_PER_SEC + usec;
    return true;
}

static bool write_time(struct buf *out, int64_t usec)
{
    int64_t days = usec / USEC_PER_DAY - (usec % USEC_PER_DAY < 0);
    int64_t in_day = usec - days * USEC_PER_DAY;
    if (days < DAYS_MIN || days > DAYS_MAX) {
        return false;
    }
    int64_t year = 0;
    int64_t month = 0;
    int64_t day = 0;
    date_of(days, &year, &month, &day);
    int64_t sec = in_day / USEC_PER_SEC;
    buf_format(out, "%04lld-%02lld-%02lld %02lld:%02lld:%02lld.%06lld+00", (long long)year,
               (long long)month, (long long)day, (long long)(sec / 3600),
               (long long)(sec / 60 % 60), (long long)(sec % 60),
               (long long)(in_day % USEC_PER_SEC));
    return true;
}

/* ---- literals ---- */

static bool read_bytes(struct reader *r, struct slice hex, struct slice *out)
{
    uint8_t *bytes = arena_alloc(r->arena, hex.len / 2 + 1);
    *out = slice_of(bytes, hex.len / 2);
    struct slice marked = slice_format(r->arena, "0x%.*s", SLICE_ARG(hex));
    return hex.len % 2 == 0 && hex_decode_fixed(marked, bytes, hex.len / 2) == OK;
}

/* A value of a column from the text between PostgreSQL's quotes. */
static bool read_postgres(struct reader *r, struct slice text, struct store_value *v)
{
    switch (v->type) {
    case STORE_I64:
        return slice_parse_i64(text, &v->i64) == OK;
    case STORE_BOOL:
        v->i64 = slice_equal_text(text, "t");
        return v->i64 != 0 || slice_equal_text(text, "f");
    case STORE_TIME:
        return read_time(text, &v->i64);
    case STORE_U256:
        return u256_parse(text, &v->u256) == OK;
    case STORE_TEXT:
    case STORE_JSON:
        v->bytes = text;
        return true;
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        return slice_starts(text, SLICE_LIT("\\x")) &&
               read_bytes(r, slice_sub(text, 2, text.len), &v->bytes);
    }
    return false;
}

/* An integer without quotes. */
static bool take_integer(struct reader *r, int64_t *out)
{
    size_t len = 0;
    while (len < r->rest.len && strchr("-0123456789", r->rest.ptr[len]) != NULL) {
        len++;
    }
    struct slice text = slice_sub(r->rest, 0, len);
    r->rest = slice_sub(r->rest, len, r->rest.len);
    return slice_parse_i64(text, out) == OK;
}

static bool take_portable(struct reader *r, struct store_value *v)
{
    struct slice text;
    skip_blanks(r);
    switch (v->type) {
    case STORE_I64:
    case STORE_TIME:
        return take_integer(r, &v->i64);
    case STORE_BOOL:
        return take_integer(r, &v->i64) && (v->i64 == 0 || v->i64 == 1);
    case STORE_U256:
        return take(r, "'") && take_quoted(r, '\'', false, &text) &&
               u256_parse(text, &v->u256) == OK;
    case STORE_TEXT:
    case STORE_JSON:
        return take(r, "'") && take_quoted(r, '\'', false, &v->bytes);
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        return take(r, "X'") && take_quoted(r, '\'', false, &text) &&
               read_bytes(r, text, &v->bytes);
    }
    return false;
}

static bool take_value(struct reader *r, struct term *term)
{
    struct store_value *v = &term->value;
    *v = (struct store_value){.type = term->column->type};
    if (take(r, "NULL")) {
        v->is_null = true;
        return true;
    }
    if (!r->postgres) {
        return take_portable(r, v);
    }
    struct slice text;
    bool escapes = take(r, "E'");
    return (escapes || take(r, "'")) && take_quoted(r, '\'', escapes, &text) &&
           read_postgres(r, text, v);
}

/* ---- statements ---- */

/* "c" = v, apart by `between`; at least one. */
static bool take_terms(struct reader *r, struct inverse *inverse, const char *between)
{
    do {
        struct term *term = &inverse->terms[inverse->count];
        if (inverse->count == 2 * STORE_FIELDS_MAX || !take_column(r, inverse->table, term) ||
            !take(r, "=") || !take_value(r, term)) {
            return false;
        }
        inverse->count++;
    } while (take(r, between));
    return true;
}

static bool take_row(struct reader *r, struct inverse *inverse)
{
    size_t count = 0;
    if (!take(r, "(")) {
        return false;
    }
    do {
        if (count == STORE_FIELDS_MAX || !take_column(r, inverse->table, &inverse->terms[count])) {
            return false;
        }
        count++;
    } while (take(r, ","));
    bool whole = take(r, ")");
    (void)take(r, "OVERRIDING SYSTEM VALUE");
    whole = whole && take(r, "VALUES") && take(r, "(");
    for (size_t i = 0; whole && i < count; i++) {
        whole = take_value(r, &inverse->terms[i]) && take(r, i + 1 < count ? "," : ")");
    }
    inverse->count = inverse->set_count = count;
    return whole;
}

static bool take_inverse(struct reader *r, struct inverse *inverse)
{
    bool whole = false;
    if (take(r, "DELETE FROM")) {
        inverse->verb = VERB_DELETE;
        whole = take_table(r, inverse) && take(r, "WHERE") && take_terms(r, inverse, "AND");
    } else if (take(r, "UPDATE")) {
        inverse->verb = VERB_UPDATE;
        whole = take_table(r, inverse) && take(r, "SET") && take_terms(r, inverse, ",");
        inverse->set_count = inverse->count;
        whole = whole && take(r, "WHERE") && take_terms(r, inverse, "AND");
    } else if (take(r, "INSERT INTO")) {
        inverse->verb = VERB_INSERT;
        whole = take_table(r, inverse) && take_row(r, inverse);
    }
    return whole && r->rest.len == 0;
}

/* ---- writing ---- */

static void write_quoted(struct buf *out, struct slice text, bool postgres)
{
    bool escapes = postgres && slice_find(text, '\\') >= 0;
    buf_add_text(out, escapes ? "E'" : "'");
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'' || (escapes && text.ptr[i] == '\\')) {
            buf_add_byte(out, text.ptr[i]);
        }
        buf_add_byte(out, text.ptr[i]);
    }
    buf_add_byte(out, '\'');
}

static void write_hex_upper(struct buf *out, struct slice bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < bytes.len; i++) {
        buf_add_byte(out, (uint8_t)digits[bytes.ptr[i] >> 4]);
        buf_add_byte(out, (uint8_t)digits[bytes.ptr[i] & 15]);
    }
}

static bool write_postgres(struct buf *out, const struct store_value *v)
{
    char digits[U256_TEXT_MAX];
    switch (v->type) {
    case STORE_I64:
        buf_format(out, "'%lld'", (long long)v->i64);
        return true;
    case STORE_BOOL:
        buf_add_text(out, v->i64 != 0 ? "'t'" : "'f'");
        return true;
    case STORE_TIME: {
        buf_add_byte(out, '\'');
        bool can = write_time(out, v->i64);
        buf_add_byte(out, '\'');
        return can;
    }
    case STORE_U256:
        u256_format(v->u256, digits);
        buf_format(out, "'%s'", digits);
        return true;
    case STORE_TEXT:
    case STORE_JSON:
        write_quoted(out, v->bytes, true);
        return true;
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        buf_add_text(out, "E'\\\\x");
        buf_add_hex(out, v->bytes);
        buf_add_byte(out, '\'');
        return true;
    }
    return false;
}

static void write_portable(struct buf *out, const struct store_value *v)
{
    char digits[U256_TEXT_MAX];
    switch (v->type) {
    case STORE_I64:
    case STORE_BOOL:
    case STORE_TIME:
        buf_add_i64(out, v->i64);
        return;
    case STORE_U256:
        u256_format_padded(v->u256, digits);
        buf_format(out, "'%s'", digits);
        return;
    case STORE_TEXT:
    case STORE_JSON:
        write_quoted(out, v->bytes, false);
        return;
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        buf_add_text(out, "X'");
        write_hex_upper(out, v->bytes);
        buf_add_byte(out, '\'');
        return;
    }
}

static bool write_value(struct buf *out, const struct store_value *v, bool postgres)
{
    if (v->is_null) {
        buf_add_text(out, "NULL");
        return true;
    }
    if (postgres) {
        return write_postgres(out, v);
    }
    write_portable(out, v);
    return true;
}

static bool write_terms(struct buf *out, const struct term *terms, size_t count,
                        const char *between, bool postgres)
{
    bool can = true;
    for (size_t i = 0; can && i < count; i++) {
        buf_format(out, "%s\"%s\"%s", i > 0 ? between : "", terms[i].column->name,
                   postgres ? " = " : "=");
        can = write_value(out, &terms[i].value, postgres);
    }
    return can;
}

static bool write_row(struct buf *out, const struct inverse *inverse, bool postgres)
{
    buf_format(out, "INSERT INTO \"%s\" (", inverse->table->name);
    for (size_t i = 0; i < inverse->count; i++) {
        buf_format(out, "%s\"%s\"", i > 0 ? ", " : "", inverse->terms[i].column->name);
    }
    buf_add_text(out, postgres ? ") OVERRIDING SYSTEM VALUE VALUES (" : ") VALUES (");
    bool can = true;
    for (size_t i = 0; can && i < inverse->count; i++) {
        buf_add_text(out, i > 0 ? ", " : "");
        can = write_value(out, &inverse->terms[i].value, postgres);
    }
    buf_add_byte(out, ')');
    return can;
}

static bool write_inverse(struct buf *out, const struct inverse *inverse, bool postgres)
{
    const struct term *key = inverse->terms + inverse->set_count;
    size_t key_count = inverse->count - inverse->set_count;
    switch (inverse->verb) {
    case VERB_INSERT:
        return write_row(out, inverse, postgres);
    case VERB_DELETE:
        buf_format(out, "DELETE FROM \"%s\" WHERE ", inverse->table->name);
        return write_terms(out, key, key_count, " AND ", postgres);
    case VERB_UPDATE: {
        buf_format(out, "UPDATE \"%s\" SET ", inverse->table->name);
        bool can =
            write_terms(out, inverse->terms, inverse->set_count, postgres ? ", " : ",", postgres);
        buf_add_text(out, " WHERE ");
        return can && write_terms(out, key, key_count, " AND ", postgres);
    }
    }
    return false;
}

/* ---- the way there and back ---- */

enum err store_undo_translate(const struct store_catalog *catalog, struct arena *arena,
                              struct slice statement, bool to_postgres, struct slice *out,
                              struct why *why)
{
    struct reader r = {
        .catalog = catalog, .arena = arena, .rest = statement, .postgres = !to_postgres};
    struct inverse *inverse = arena_alloc(arena, sizeof(*inverse));
    struct buf text;
    buf_init(&text, arena, statement.len + 64);
    if (!take_inverse(&r, inverse) || !write_inverse(&text, inverse, to_postgres)) {
        return why_set(why, ERR_CORRUPT, "statement",
                       "An inverse of the undo log is none that a trigger of ours writes.");
    }
    *out = buf_slice(&text);
    return OK;
}

/* ---- a row set right ---- */

static bool is_key(const struct store_table *table, uint16_t column)
{
    for (uint16_t i = 0; i < table->key_count; i++) {
        if (table->key[i] == column) {
            return true;
        }
    }
    return false;
}

static void add_term(struct inverse *inverse, uint16_t column, const struct store_cell *cell)
{
    const struct store_column *c = &inverse->table->columns[column];
    inverse->terms[inverse->count++] = (struct term){
        .column = c,
        .value = {.type = c->type,
                  .is_null = cell->is_null,
                  .i64 = cell->i64,
                  .bytes = cell->bytes,
                  .u256 = cell->u256},
    };
}

enum err store_repair_text(bool postgres, struct arena *arena, const struct store_table *table,
                           const struct store_cell *right, const struct store_cell *wrong,
                           const bool *differs, struct slice *out, struct why *why)
{
    struct inverse *inverse = arena_alloc(arena, sizeof(*inverse));
    struct buf text;
    inverse->table = table;
    inverse->verb = right != NULL ? VERB_UPDATE : VERB_DELETE;
    for (uint16_t i = 0; right != NULL && i < table->column_count; i++) {
        if (differs[i] && !is_key(table, i)) {
            add_term(inverse, i, &right[i]);
        }
    }
    inverse->set_count = inverse->count;
    for (uint16_t i = 0; i < table->key_count; i++) {
        add_term(inverse, table->key[i], &wrong[table->key[i]]);
    }
    buf_init(&text, arena, 512);
    ASSERT(right == NULL || inverse->set_count > 0);
    if (!write_inverse(&text, inverse, postgres)) {
        return why_set(why, ERR_CORRUPT, NULL, "A row of %s holds a time that is none.",
                       table->name);
    }
    *out = buf_slice(&text);
    return OK;
}

bool store_undo_is_inverse(const struct store_table *table, const struct store_column *column)
{
    return strcmp(table->name, "undo_log") == 0 && strcmp(column->name, "statement") == 0;
}

enum err store_undo_export(const struct store *store, struct arena *arena, struct slice statement,
                           struct slice *out, struct why *why)
{
    if (store->driver->single_writer) {
        *out = statement;
        return OK;
    }
    return store_undo_translate(store->catalog, arena, statement, false, out, why);
}

enum err store_undo_import(const struct store *store, struct arena *arena, struct slice statement,
                           struct slice *out, struct why *why)
{
    if (store->driver->single_writer) {
        *out = statement;
        return OK;
    }
    return store_undo_translate(store->catalog, arena, statement, true, out, why);
}
