/*
 * leasing_links.c: agreements and the chain. Their rows are users', and events set columns in them;
 * where those events are too old for the undo log, it is done here by what the rows say.
 */
#include "domain/leasing/leasing.h"
#include "domain/leasing/leasing_links_sql.h"

const char *const leasing_linked_tables[] = {"asset_types", "assets", "leases", NULL};

enum err leasing_unlink(struct store_tx *tx, void *ctx, uint64_t chain_id, uint64_t block,
                        struct why *why)
{
    static const struct store_statement *const statements[] = {
        &leasing_links_sql_types_clear,
        &leasing_links_sql_assets_drop,
        &leasing_links_sql_assets_clear,
        &leasing_links_sql_leases_clear,
    };
    (void)ctx;
    enum err e = OK;
    struct store_query q;
    for (size_t i = 0; e == OK && i < sizeof statements / sizeof statements[0]; i++) {
        store_begin(&q, tx, statements[i]);
        store_bind_i64(&q, "chain_id", (int64_t)chain_id);
        store_bind_i64(&q, "block_number", (int64_t)block);
        e = store_finish(&q, NULL, why);
    }
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_links_sql_offers_clear);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    return store_finish(&q, NULL, why);
}

enum err leasing_has(void *ctx, struct store_tx *tx, struct slice kind, struct slice id,
                     bool *out_has, struct why *why)
{
    bool is_asset = slice_equal_text(kind, "asset");
    int64_t found = 0;
    struct store_query q;
    (void)ctx;
    store_begin(&q, tx, is_asset ? &leasing_links_sql_asset_has : &leasing_links_sql_lease_has);
    store_bind_text(&q, is_asset ? "asset_id" : "lease_id", id);
    if (store_step(&q)) {
        found = store_get_i64(&q, "found");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_has = found > 0;
    }
    return e;
}
