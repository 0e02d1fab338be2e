/*
 * The input is a request line's target, a line feed, and header lines. Whatever it holds: what the
 * decoders accept is clean (no control characters, UTF-8, no dot segments), an accepted framing has
 * one meaning, and an accepted cursor has one spelling.
 */
#include "kernel/http/request.h"

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const keys[] = {"status", "q", NULL};
static const struct http_route route = {.flags = HTTP_LIST, .query_keys = keys};

static bool is_clean(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7F) {
            return false;
        }
    }
    return slice_is_utf8(text);
}

static void try_path(struct arena *arena, struct slice path)
{
    struct http_segments segments;
    if (http_path_decode(arena, path, &segments, NULL) != OK) {
        return;
    }
    ASSERT(segments.count <= HTTP_SEGMENTS_MAX);
    for (size_t i = 0; i < segments.count; i++) {
        ASSERT(is_clean(segments.at[i]));
        ASSERT(!slice_equal_text(segments.at[i], ".") && !slice_equal_text(segments.at[i], ".."));
        ASSERT(segments.at[i].len <= path.len);
    }
}

static void try_page(struct http_call *call)
{
    struct http_page page;
    if (http_page_read(call, &page, NULL) != OK) {
        return;
    }
    ASSERT(page.limit >= 1 && page.limit <= 200);
    if (page.cursor.len > 0) {
        struct slice again = http_cursor_encode(call->req, page.cursor);
        ASSERT(slice_equal(again, http_query(call, "cursor", NULL)));
    }
}

static void try_query(struct arena *arena, struct slice query)
{
    struct http_call call = {.req = arena, .route = &route};
    if (http_query_decode(arena, query, &route, &call.query, &call.query_count, NULL) != OK) {
        return;
    }
    for (size_t i = 0; i < call.query_count; i++) {
        ASSERT(is_clean(call.query[i].name) && is_clean(call.query[i].value));
        for (size_t j = 0; j < i; j++) {
            ASSERT(!slice_equal(call.query[i].name, call.query[j].name));
        }
    }
    try_page(&call);
}

static size_t count_named(const struct http_param *headers, size_t count, const char *name)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        found += slice_equal_nocase(headers[i].name, slice_text(name));
    }
    return found;
}

static void try_headers(struct slice lines, bool http11)
{
    struct http_param headers[HTTP_HEADERS_MAX + 1];
    struct http_framing framing;
    size_t count = 0;
    while (lines.len > 0 && count <= HTTP_HEADERS_MAX) {
        struct slice line;
        (void)slice_cut(lines, '\n', &line, &lines);
        (void)slice_cut(line, ':', &headers[count].name, &headers[count].value);
        headers[count].value = slice_trim(headers[count].value);
        count++;
    }
    if (http_headers_check(headers, count, http11, &framing, NULL) == OK) {
        size_t lengths = count_named(headers, count, "content-length");
        size_t codings = count_named(headers, count, "transfer-encoding");
        size_t hosts = count_named(headers, count, "host");
        ASSERT(lengths + codings <= 1);
        ASSERT(hosts == 1 || (hosts == 0 && !http11));
        ASSERT(framing.has_length == (lengths == 1) && framing.chunked == (codings == 1));
        ASSERT(framing.has_length || framing.length == 0);
    }
    for (size_t i = 0; i < count; i++) {
        (void)http_media_is_json(headers[i].value);
        (void)http_etag_matches(headers[i].value, SLICE_LIT("v1"));
        (void)http_accepts_gzip(headers[i].value);
        (void)http_id_is_valid(headers[i].value);
        (void)http_key_is_valid(headers[i].value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slice target;
    struct slice lines;
    struct slice path;
    struct slice query;
    arena_init(&arena, 0);
    (void)slice_cut(slice_of(data, size), '\n', &target, &lines);
    if (http_target_split(target, &path, &query, NULL) == OK) {
        try_path(&arena, path);
        try_query(&arena, query);
    }
    try_path(&arena, target); /* also what a request line cannot carry */
    try_query(&arena, target);
    try_headers(lines, size % 2 == 0);
    arena_free(&arena);
    return 0;
}
