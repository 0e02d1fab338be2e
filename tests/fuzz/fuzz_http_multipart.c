/*
 * The input is the length of the pieces, a Content-Type up to a line feed, and a body. However the
 * body is cut, the same parts come out; nothing of a part is longer than the body; a boundary is
 * found in no part.
 */
#include "kernel/http/file.h"
#include "kernel/http/multipart.h"

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
    struct buf text;
    bool in_part;
};

static enum err on_begin(void *ctx, const struct http_part *part, struct why *why)
{
    struct told *t = ctx;
    (void)why;
    ASSERT(!t->in_part && slice_is_utf8(part->name) && slice_is_utf8(part->file_name));
    ASSERT(part->is_file || part->file_name.len == 0);
    t->in_part = true;
    buf_add_slice(&t->text, part->name);
    buf_add_slice(&t->text, part->file_name);
    buf_add_slice(&t->text, part->content_type);
    return OK;
}

static enum err on_bytes(void *ctx, struct slice bytes, struct why *why)
{
    struct told *t = ctx;
    (void)why;
    ASSERT(t->in_part && bytes.len > 0);
    buf_add_slice(&t->text, bytes);
    return OK;
}

static enum err on_end(void *ctx, struct why *why)
{
    struct told *t = ctx;
    (void)why;
    ASSERT(t->in_part);
    t->in_part = false;
    buf_add_byte(&t->text, 0xFF);
    return OK;
}

static const struct http_multipart_sink sink = {
    .begin = on_begin, .bytes = on_bytes, .end = on_end};

static enum err feed(struct arena *arena, struct slice boundary, struct slice body, size_t step,
                     struct told *out)
{
    struct http_multipart m;
    enum err e = OK;
    *out = (struct told){.in_part = false};
    buf_init(&out->text, arena, 256);
    http_multipart_init(&m, boundary, &sink, out);
    for (size_t at = 0; e == OK && at < body.len; at += step) {
        e = http_multipart_feed(&m, slice_sub(body, at, step), NULL);
    }
    e = e == OK ? http_multipart_finish(&m, NULL) : e;
    ASSERT(e == OK || e == ERR_INVALID_ENCODING);
    ASSERT(e != OK || !out->in_part);
    return e;
}

static void try_range(struct slice header)
{
    uint64_t from;
    uint64_t len;
    for (uint64_t size = 0; size < 3; size++) {
        if (http_range_read(header, size, &from, &len) == HTTP_RANGE_PART) {
            ASSERT(len > 0 && from < size && len <= size - from);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slice type;
    struct slice body;
    struct slice boundary;
    struct told whole;
    struct told cut;
    size_t step = size > 0 ? (size_t)data[0] + 1 : 1;
    struct slice input = slice_sub(slice_of(data, size), 1, size);
    arena_init(&arena, 0);
    (void)slice_cut(input, '\n', &type, &body);
    if (http_multipart_boundary(&arena, type, &boundary, NULL) == OK) {
        enum err e = feed(&arena, boundary, body, body.len + 1, &whole);
        ASSERT(feed(&arena, boundary, body, step, &cut) == e);
        ASSERT(slice_equal(buf_slice(&whole.text), buf_slice(&cut.text)));
    }
    try_range(input);
    struct slice disposition = http_disposition(&arena, input);
    for (size_t i = 0; i < disposition.len; i++) {
        ASSERT(disposition.ptr[i] >= 0x20 && disposition.ptr[i] < 0x7F);
    }
    arena_free(&arena);
    return 0;
}
