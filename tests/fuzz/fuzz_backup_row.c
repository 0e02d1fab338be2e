/*
 * Rows of a backup: the first byte chooses the table. What decodes encodes to the same bytes, and
 * has a hash unless its JSON is none.
 */
#include "gen/sql_all.h"
#include "kernel/backup/backup_row.h"
#include "kernel/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    const struct store_table *table = &sql_catalog.tables[data[0] % sql_catalog.table_count];
    struct slice bytes = slice_of(data + 1, size - 1);
    struct backup_row row = {.values = NULL};
    struct arena arena;
    arena_init(&arena, 0);
    if (backup_row_decode(table, bytes, &arena, &row, NULL) == OK) {
        struct buf again;
        struct hash hash;
        buf_init(&again, &arena, size);
        backup_row_encode(table, &row, &again);
        ASSERT(slice_equal(buf_slice(&again), bytes));
        enum err e = backup_row_hash(table, &row, &arena, &hash, NULL);
        ASSERT(e == OK || e == ERR_CORRUPT);
    }
    arena_free(&arena);
    return 0;
}
