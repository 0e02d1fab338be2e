/*
 * Letting old events go. What a reorganisation may still undo stays, and the newest event below it,
 * which tells a follower with a short memory that something was applied there.
 */
#include "kernel/chain/chain_internal.h"
#include "kernel/chain/chain_sql.h"

#define CHAINS_MAX 64

struct kept {
    int64_t chain_id;
    int64_t from_block;
};

static enum err read_kept(struct store_tx *tx, struct kept out[CHAINS_MAX], size_t *out_count,
                          struct why *why)
{
    struct store_query q;
    size_t count = 0;
    store_begin(&q, tx, &chain_sql_events_kept);
    store_bind_i64(&q, "max_rows", CHAINS_MAX);
    while (store_step(&q)) {
        out[count].chain_id = store_get_i64(&q, "chain_id");
        out[count].from_block = store_get_i64(&q, "from_block");
        count++;
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_count = count;
    }
    return e;
}

enum err chain_events_prune(struct store_tx *tx, int64_t before_usec, uint64_t limit,
                            uint64_t *out_rows, struct why *why)
{
    struct kept kept[CHAINS_MAX];
    size_t count = 0;
    uint64_t rows = 0;
    enum err e = read_kept(tx, kept, &count, why);
    for (size_t i = 0; e == OK && i < count && rows < limit; i++) {
        int64_t changed = 0;
        struct store_query q;
        store_begin(&q, tx, &chain_sql_events_prune);
        store_bind_i64(&q, "chain_id", kept[i].chain_id);
        store_bind_i64(&q, "from_block", kept[i].from_block);
        store_bind_time(&q, "before", before_usec);
        store_bind_i64(&q, "max_rows", (int64_t)(limit - rows));
        e = store_finish(&q, &changed, why);
        rows += (uint64_t)changed;
    }
    if (e == OK) {
        *out_rows = rows;
    }
    return e;
}
