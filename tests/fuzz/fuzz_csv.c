/*
 * Comma-separated values. What is read, written again with every field quoted, reads the same, and
 * lines only grow.
 */
#include "kernel/base/check.h"
#include "kernel/base/csv.h"

static void write_field(struct buf *b, struct slice field)
{
    buf_add_byte(b, '"');
    for (size_t i = 0; i < field.len; i++) {
        if (field.ptr[i] == '"') {
            buf_add_byte(b, '"');
        }
        buf_add_byte(b, field.ptr[i]);
    }
    buf_add_byte(b, '"');
}

static void check_again(struct arena *arena, const struct csv_record *r)
{
    struct csv_record *again = arena_alloc(arena, sizeof *again);
    struct csv csv;
    struct buf b;
    bool found = false;
    buf_init(&b, arena, 256);
    for (size_t i = 0; i < r->count; i++) {
        if (i > 0) {
            buf_add_byte(&b, ',');
        }
        write_field(&b, r->fields[i]);
    }
    csv_init(&csv, buf_slice(&b));
    ASSERT(csv_next(&csv, arena, again, &found, NULL) == OK && found);
    ASSERT(again->count == r->count && csv.rest.len == 0);
    for (size_t i = 0; i < r->count; i++) {
        ASSERT(slice_equal(again->fields[i], r->fields[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct csv csv;
    bool found = true;
    uint64_t line = 0;
    arena_init(&arena, 0);
    struct csv_record *r = arena_alloc(&arena, sizeof *r);
    csv_init(&csv, slice_of(data, size));
    while (csv_next(&csv, &arena, r, &found, NULL) == OK && found) {
        ASSERT(r->count > 0 && r->line > line);
        line = r->line;
        check_again(&arena, r);
    }
    arena_free(&arena);
    return 0;
}
