/* Manifests of backups: what is read is written again, and read as the same. */
#include "gen/sql_all.h"
#include "kernel/backup/backup.h"
#include "kernel/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A catalog of one table and a migration whose checksum the corpus knows. */
    static const struct store_migration migrations[] = {
        {.version = 1, .name = "one", .checksum = "c"}};
    const struct store_catalog catalog = {.migrations = migrations,
                                          .migration_count = 1,
                                          .tables = sql_catalog.tables,
                                          .table_count = 1};
    struct backup_manifest m;
    struct backup_manifest again;
    struct arena arena;
    struct buf text;
    arena_init(&arena, 0);
    if (backup_manifest_parse(slice_of(data, size), &catalog, &arena, &m, NULL) == OK) {
        buf_init(&text, &arena, size);
        backup_manifest_write(&m, &catalog, &text);
        ASSERT(backup_manifest_parse(buf_slice(&text), &catalog, &arena, &again, NULL) == OK);
        ASSERT(again.rows == m.rows && again.bytes == m.bytes && again.file_count == m.file_count);
        for (size_t i = 0; i < m.file_count; i++) {
            ASSERT(backup_name_is_safe(slice_text(m.files[i].name)));
        }
    }
    arena_free(&arena);
    return 0;
}
