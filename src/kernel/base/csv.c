#include "kernel/base/csv.h"

void csv_init(struct csv *csv, struct slice text)
{
    static const struct slice mark = {(const uint8_t *)"\xef\xbb\xbf", 3};
    size_t skip = slice_starts(text, mark) ? mark.len : 0;
    *csv = (struct csv){.rest = slice_sub(text, skip, text.len - skip), .line = 1};
}

static enum err refuse(const struct csv *csv, struct why *why, const char *what)
{
    return why_set(why, ERR_INVALID_ENCODING, NULL, "Line %llu: %s.", (unsigned long long)csv->line,
                   what);
}

static void skip(struct csv *csv, size_t bytes)
{
    csv->rest = slice_sub(csv->rest, bytes, csv->rest.len - bytes);
}

static uint8_t byte_at(const struct csv *csv, size_t i)
{
    return i < csv->rest.len ? csv->rest.ptr[i] : 0;
}

/* ---- fields ---- */

static enum err read_bare(struct csv *csv, struct slice *out, struct why *why)
{
    size_t len = 0;
    while (len < csv->rest.len) {
        uint8_t c = csv->rest.ptr[len];
        if (c == ',' || c == '\n' || (c == '\r' && byte_at(csv, len + 1) == '\n')) {
            break;
        }
        if (c == '"') {
            return refuse(csv, why, "a quote inside of a field that is not quoted");
        }
        if (c == '\r') {
            return refuse(csv, why, "a carriage return without a line feed");
        }
        len++;
    }
    *out = slice_sub(csv->rest, 0, len);
    skip(csv, len);
    return OK;
}

/* The text without the second of each two quotes. */
static struct slice unquote(struct arena *arena, struct slice text, size_t doubled)
{
    if (doubled == 0) {
        return text;
    }
    uint8_t *bytes = arena_alloc(arena, text.len - doubled);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        bytes[len++] = text.ptr[i];
        i += text.ptr[i] == '"';
    }
    return slice_of(bytes, len);
}

static enum err read_quoted(struct csv *csv, struct arena *arena, struct slice *out,
                            struct why *why)
{
    size_t end = 1;
    size_t doubled = 0;
    uint64_t lines = 0;
    for (; end < csv->rest.len; end++) {
        uint8_t c = csv->rest.ptr[end];
        lines += c == '\n';
        if (c == '"' && byte_at(csv, end + 1) != '"') {
            break;
        }
        if (c == '"') {
            end++;
            doubled++;
        }
    }
    if (end >= csv->rest.len) {
        return refuse(csv, why, "a quote that is not closed");
    }
    *out = unquote(arena, slice_sub(csv->rest, 1, end - 1), doubled);
    skip(csv, end + 1);
    csv->line += lines;
    return OK;
}

static enum err read_field(struct csv *csv, struct arena *arena, struct slice *out, struct why *why)
{
    enum err e =
        byte_at(csv, 0) == '"' ? read_quoted(csv, arena, out, why) : read_bare(csv, out, why);
    if (e == OK && (slice_find(*out, 0) >= 0 || !slice_is_utf8(*out))) {
        e = refuse(csv, why, "a field that is not UTF-8 text");
    }
    return e;
}

/* ---- records ---- */

/* Passes by what follows a field; *out_more says that it is another field. */
static enum err read_end(struct csv *csv, bool *out_more, struct why *why)
{
    *out_more = false;
    if (csv->rest.len == 0) {
        return OK;
    }
    if (byte_at(csv, 0) == ',') {
        skip(csv, 1);
        *out_more = true;
        return OK;
    }
    size_t end = byte_at(csv, 0) == '\r' ? 1 : 0;
    if (byte_at(csv, end) != '\n') {
        return refuse(csv, why, "text behind a closing quote");
    }
    skip(csv, end + 1);
    csv->line++;
    return OK;
}

enum err csv_next(struct csv *csv, struct arena *arena, struct csv_record *out, bool *out_found,
                  struct why *why)
{
    bool more = csv->rest.len > 0;
    enum err e = OK;
    *out_found = more;
    out->count = 0;
    out->line = csv->line;
    while (e == OK && more) {
        if (out->count == CSV_FIELDS_MAX) {
            return why_set(why, ERR_LIMIT, NULL, "Line %llu: more than %d fields.",
                           (unsigned long long)csv->line, CSV_FIELDS_MAX);
        }
        e = read_field(csv, arena, &out->fields[out->count++], why);
        if (e == OK) {
            e = read_end(csv, &more, why);
        }
    }
    return e;
}
