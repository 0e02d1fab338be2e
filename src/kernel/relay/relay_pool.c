/*
 * relay_pool.c: which wallet sends what any may send, and wallets as rows.
 *
 * One process decides (the one that watches the chain), so that loads are counted by one. It writes
 * only where an intent is still queued, so that a wallet's own process, which may be about to sign
 * it, is never contradicted: signing moves it out of reach.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

/* Intents that are given out in one pass. */
#define ASSIGN_MAX 512

bool relay_has_pool(const struct relay *relay)
{
    return relay->pool_count > 0;
}

/* ---- rows ---- */

static void take_wallet(struct store_query *q, struct relay_wallet_row *out)
{
    *out = (struct relay_wallet_row){.has_balance = false};
    store_get_fixed(q, "address", out->address.bytes, ADDRESS_BYTES);
    out->next_nonce = (uint64_t)store_get_i64(q, "next_nonce");
    out->pooled = store_get_bool(q, "pooled");
    out->low = store_get_bool(q, "low");
    out->has_balance = !store_is_null(q, "balance");
    out->balance = wei_of(store_get_u256(q, "balance"));
    out->balance_usec = store_get_time(q, "balance_at");
    out->open = (uint64_t)store_get_i64(q, "open");
}

enum err relay_wallets(struct store_tx *tx, struct arena *arena, uint64_t chain_id,
                       struct relay_wallet_row **out, size_t *out_count, struct why *why)
{
    size_t cap = 16;
    size_t count = 0;
    struct relay_wallet_row *rows = arena_alloc_array(arena, cap, sizeof *rows);
    struct store_query q;
    store_begin(&q, tx, &relay_sql_wallets_list);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    while (store_step(&q)) {
        if (count == cap) {
            struct relay_wallet_row *grown = arena_alloc_array(arena, cap * 2, sizeof *grown);
            memcpy(grown, rows, cap * sizeof *grown);
            rows = grown;
            cap *= 2;
        }
        take_wallet(&q, &rows[count++]);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = rows;
        *out_count = count;
    }
    return e;
}

enum err relay_wallet_note(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                           struct wei_amount balance, bool low, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_wallet_put_balance);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_bytes(&q, "address", address_slice(wallet));
    store_bind_u256(&q, "balance", wei_raw(balance));
    store_bind_bool(&q, "low", low);
    store_bind_time(&q, "now", clock_wall_usec());
    store_notify(tx, "relay"); /* the pool may have waited for it */
    return store_finish(&q, NULL, why);
}

enum err relay_wallet_low(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                          struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_wallet_put_low);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_bytes(&q, "address", address_slice(wallet));
    return store_finish(&q, NULL, why);
}

enum err relay_refills(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                       int64_t since_usec, bool *out_open, struct wei_amount *out_total,
                       struct why *why)
{
    bool open = false;
    struct wei_amount total = wei_of(U256_ZERO);
    struct store_query q;
    store_begin(&q, tx, &relay_sql_refills_since);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_text(&q, "purpose", SLICE_LIT(RELAY_PURPOSE_REFILL));
    store_bind_time(&q, "since", since_usec);
    enum err sum = OK;
    while (store_step(&q)) {
        struct address to = {{0}};
        store_get_fixed(&q, "to_address", to.bytes, ADDRESS_BYTES);
        struct wei_amount value = wei_of(store_get_u256(&q, "value"));
        bool under_way = store_get_i64(&q, "state") < RELAY_MINED;
        open = open || (under_way && address_equal(&to, wallet));
        sum = sum == OK ? wei_add(total, value, &total) : sum;
    }
    enum err e = store_finish(&q, NULL, why);
    e = e == OK ? sum : e;
    if (e == OK) {
        *out_open = open;
        *out_total = total;
    }
    return e;
}

/* ---- giving out ---- */

struct giving {
    struct relay *relay;
    struct slice *ids;
    size_t count;
    struct relay_wallet_row *wallets;
    size_t wallet_count;
    size_t given; /* out */
};

static enum err load_giving(struct store_tx *tx, void *ctx, struct why *why)
{
    struct giving *g = ctx;
    struct arena *arena = &g->relay->step;
    g->ids = arena_alloc_array(arena, ASSIGN_MAX, sizeof *g->ids);
    g->count = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_pool_waiting);
    store_bind_i64(&q, "chain_id", (int64_t)g->relay->chain_id);
    relay_bind_ages(g->relay, &q, clock_wall_usec());
    store_bind_i64(&q, "max_rows", ASSIGN_MAX);
    while (store_step(&q)) {
        ASSERT(g->count < ASSIGN_MAX);
        g->ids[g->count++] = store_get_text(&q, "intent_id", arena);
    }
    enum err e = store_finish(&q, NULL, why);
    return e == OK && g->count > 0
               ? relay_wallets(tx, arena, g->relay->chain_id, &g->wallets, &g->wallet_count, why)
               : e;
}

/* The one with least to do, among those that can pay; NULL: none can. */
static struct relay_wallet_row *choose(const struct giving *g)
{
    struct relay_wallet_row *best = NULL;
    for (size_t i = 0; i < g->wallet_count; i++) {
        struct relay_wallet_row *w = &g->wallets[i];
        bool can = w->pooled && !w->low && relay_has_wallet(g->relay, &w->address);
        if (can && (best == NULL || w->open < best->open)) {
            best = w;
        }
    }
    return best;
}

static enum err assign(struct store_tx *tx, struct slice id, const struct address *wallet,
                       bool *out_done, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_pool_assign);
    store_bind_text(&q, "intent_id", id);
    store_bind_bytes(&q, "wallet", address_slice(wallet));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    *out_done = e == OK && changed > 0;
    return e;
}

static enum err give_out(struct store_tx *tx, void *ctx, struct why *why)
{
    struct giving *g = ctx;
    enum err e = load_giving(tx, g, why); /* loads as this transaction sees them */
    g->given = 0;
    for (size_t i = 0; e == OK && i < g->count; i++) {
        struct relay_wallet_row *w = choose(g);
        bool done = false;
        if (w == NULL) {
            break;
        }
        e = assign(tx, g->ids[i], &w->address, &done, why);
        w->open += done;
        g->given += done;
    }
    if (g->given > 0) {
        store_notify(tx, "relay"); /* the wallets may be other processes' */
    }
    return e;
}

enum err relay_pass_pool(struct relay *relay, bool *out_progress, struct why *why)
{
    struct giving g = {.relay = relay};
    enum err e = store_read(relay->store, load_giving, &g, why);
    if (e != OK || g.count == 0 || choose(&g) == NULL) {
        return e;
    }
    e = relay_write_one(relay, NULL, give_out, &g, why);
    *out_progress = *out_progress || (e == OK && g.given > 0);
    return e;
}
