/*
 * rows.h: a context without a chain on a store of its own, and rows to look at.
 */
#ifndef TESTS_UNIT_DOMAIN_LEASING_ROWS_H
#define TESTS_UNIT_DOMAIN_LEASING_ROWS_H

#include "domain/leasing/leasing_api_sql.h"
#include "domain/leasing/leasing_rows.h"
#include "unit/support.h"

#define ROWS_HOUR (INT64_C(3600) * USEC_PER_SEC)

struct rows {
    struct support_store store;
    struct leasing *leasing;
    struct arena arena;
};

/* rows_open makes the store and the context. */
static inline void rows_open(struct rows *r)
{
    static const struct leasing_config config = {
        .stablecoin = "0x5FbDB2315678afecb367f032d93F642f64180aa3",
        .asset_registry = "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9",
        .lease_factory = "0x5FC8d32690cc91D4c39d9d3abcBD16989F875707",
        .marketplace = "0xa513E6E4b8f2a923D98304ec87F64353C4D5C853",
        .registrar = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        .signature_validity_usec = ROWS_HOUR};
    memset(r, 0, sizeof *r);
    support_store_open(&r->store, &sql_catalog);
    arena_init(&r->arena, 0);
    const struct leasing_options options = {
        .config = &config, .chain_id = 31337, .store = r->store.store};
    assert_int_equal(leasing_new(&options, &r->leasing, NULL), OK);
}

/* rows_close gives everything back. */
static inline void rows_close(struct rows *r)
{
    leasing_free(r->leasing);
    arena_free(&r->arena);
    support_store_close(&r->store);
}

/* rows_write runs a function in a transaction that must succeed. */
static inline void rows_write(struct rows *r, store_fn fn, void *ctx)
{
    struct why why = {.err = OK};
    enum err e = store_write(r->store.store, fn, ctx, &why);
    if (e != OK) {
        fail_msg("%s: %s", err_code(e), why_text(&why, e));
    }
}

struct rows_asset {
    const char *id;
    const char *intent_id;
};

/* rows_put_asset writes an asset that was asked for. */
static inline enum err rows_put_asset(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct rows_asset *a = ctx;
    static const struct hash hash = {{1}};
    static const struct address account = {{2}};
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_asset_put);
    store_bind_text(&q, "asset_id", slice_text(a->id));
    store_bind_i64(&q, "chain_id", 31337);
    store_bind_text(&q, "name", SLICE_LIT("name"));
    store_bind_text(&q, "description", SLICE_LIT("description"));
    store_bind_text(&q, "asset_type", SLICE_LIT("satellite"));
    store_bind_json(&q, "specifications", SLICE_LIT("{}"));
    store_bind_json(&q, "metadata", SLICE_LIT("{}"));
    store_bind_bytes(&q, "metadata_hash", hash_slice(&hash));
    store_bind_text(&q, "token_name", SLICE_LIT("Token"));
    store_bind_text(&q, "token_symbol", SLICE_LIT("TOK"));
    store_bind_u256(&q, "total_supply", u256_from_u64(100));
    store_bind_bytes(&q, "token_recipient", address_slice(&account));
    store_bind_text(&q, "intent_id", slice_text(a->intent_id));
    store_bind_bytes(&q, "contract_address", address_slice(&account));
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

struct rows_lease {
    const char *id;
    int64_t end_usec;
    int64_t start_usec;   /* 0: an hour before the end */
    const char *schedule; /* NULL: upfront, for the hour */
    uint64_t period_sec;
    struct address lessor;
    struct address lessee;
    const struct leasing *leasing;
};

/* rows_put_lease writes a draft. */
static inline enum err rows_put_lease(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct rows_lease *l = ctx;
    static const struct hash hash = {{3}};
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_lease_insert);
    store_bind_text(&q, "lease_id", slice_text(l->id));
    store_bind_text(&q, "asset_id", SLICE_LIT("SAT-1"));
    store_bind_i64(&q, "chain_id", 31337);
    store_bind_bytes(&q, "contract_address", address_slice(&l->leasing->factory));
    store_bind_bytes(&q, "lessor", address_slice(&l->lessor));
    store_bind_bytes(&q, "lessee", address_slice(&l->lessee));
    store_bind_time(&q, "start_date", l->start_usec != 0 ? l->start_usec : l->end_usec - ROWS_HOUR);
    store_bind_time(&q, "end_date", l->end_usec);
    store_bind_time(&q, "deadline", l->end_usec);
    store_bind_bytes(&q, "payment_token", address_slice(&l->leasing->stablecoin));
    store_bind_u256(&q, "payment_amount", u256_from_u64(1000000));
    store_bind_text(&q, "payment_schedule",
                    slice_text(l->schedule != NULL ? l->schedule : "upfront"));
    store_bind_i64(&q, "rent_period_sec", l->schedule != NULL ? (int64_t)l->period_sec : 3600);
    store_bind_u256(&q, "security_deposit", U256_ZERO);
    store_bind_text(&q, "currency", SLICE_LIT("USDC"));
    store_bind_bytes(&q, "legal_document_hash", hash_slice(&hash));
    store_bind_i64(&q, "terms_version", 1);
    store_bind_json(&q, "agreement", SLICE_LIT("{}"));
    store_bind_json(&q, "metadata", SLICE_LIT("{}"));
    store_bind_bytes(&q, "metadata_hash", hash_slice(&hash));
    store_bind_json(&q, "restrictions", SLICE_LIT("[]"));
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

struct rows_find {
    struct rows *rows;
    const char *id;
    struct leasing_asset asset;
    struct leasing_lease lease;
};

static inline enum err rows_read_asset(struct store_tx *tx, void *ctx, struct why *why)
{
    struct rows_find *f = ctx;
    return leasing_asset_get(tx, &f->rows->arena, slice_text(f->id), &f->asset, why);
}

static inline enum err rows_read_lease(struct store_tx *tx, void *ctx, struct why *why)
{
    struct rows_find *f = ctx;
    return leasing_lease_get(tx, &f->rows->arena, f->rows->leasing, slice_text(f->id), &f->lease,
                             why);
}

/* rows_asset_status reads an asset's status. */
static inline const char *rows_asset_status(struct rows *r, const char *id)
{
    struct rows_find f = {.rows = r, .id = id};
    assert_int_equal(store_read(r->store.store, rows_read_asset, &f, NULL), OK);
    return slice_cstr(&r->arena, f.asset.status);
}

/* rows_lease_get reads a lease. */
static inline struct leasing_lease rows_lease_get(struct rows *r, const char *id)
{
    struct rows_find f = {.rows = r, .id = id};
    assert_int_equal(store_read(r->store.store, rows_read_lease, &f, NULL), OK);
    return f.lease;
}

#endif
