/*
 * Inverses of the undo log, in either form: what translates comes back the same by the second
 * journey.
 */
#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/store/store_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slice there;
    struct slice back;
    struct slice again;
    arena_init(&arena, 0);
    if (size > 0) {
        bool to_postgres = (data[0] & 1) != 0;
        struct slice text = slice_of(data + 1, size - 1);
        if (store_undo_translate(&sql_catalog, &arena, text, to_postgres, &there, NULL) == OK) {
            ASSERT(store_undo_translate(&sql_catalog, &arena, there, !to_postgres, &back, NULL) ==
                   OK);
            ASSERT(store_undo_translate(&sql_catalog, &arena, back, to_postgres, &again, NULL) ==
                   OK);
            ASSERT(slice_equal(there, again));
        }
    }
    arena_free(&arena);
    return 0;
}
