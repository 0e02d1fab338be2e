/*
 * world.h: a relay with a few wallets, a node, a store, a watcher that writes down each state, and
 * a clock that can be pushed.
 *
 * Included once by a test program, which says where the node is.
 */
#ifndef UNIT_KERNEL_RELAY_WORLD_H
#define UNIT_KERNEL_RELAY_WORLD_H

#include "unit/support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "gen/abi_test_stablecoin.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/crypto/keystore.h"
#include "kernel/evm/address.h"
#include "kernel/net/http_client.h"
#include "kernel/relay/relay.h"

#define SECONDS ((int64_t)USEC_PER_SEC)
#define WALLETS 3
#define WORLD_MNEMONIC "test test test test test test test test test test test junk"

/* ---- time ---- */

static _Atomic int64_t pushed_usec; /* both clocks */
static _Atomic int64_t wall_usec;   /* the wall clock alone, back or forth */

static int64_t real_usec(clockid_t which)
{
    struct timespec t;
    ASSERT(clock_gettime(which, &t) == 0);
    return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000;
}

static int64_t pushed_wall(void *ctx)
{
    (void)ctx;
    return real_usec(CLOCK_REALTIME) + atomic_load(&pushed_usec) + atomic_load(&wall_usec);
}

static int64_t pushed_mono(void *ctx)
{
    (void)ctx;
    return real_usec(CLOCK_MONOTONIC) + atomic_load(&pushed_usec);
}

static inline void push(int64_t usec)
{
    atomic_fetch_add(&pushed_usec, usec);
}

static inline void use_pushed_clock(void)
{
    static const struct clock_source source = {.wall_usec = pushed_wall, .mono_usec = pushed_mono};
    clock_set_source(&source);
}

/* ---- the relay ---- */

#define FUNCTION(name) &abi_test_stablecoin_functions[TEST_STABLECOIN_FUNCTION_##name]

static struct address coin = {{0xc0, 0x11}};
static const struct address somebody = {{0x50, 0x3e}};

static const struct relay_policy world_policies[] = {
    {.role = "payer",
     .contract = &abi_test_stablecoin,
     .function = FUNCTION(TRANSFER),
     .address = &coin},
    {.role = "payer",
     .contract = &abi_test_stablecoin,
     .function = FUNCTION(MINT),
     .address = &coin},
    {.role = "patron",
     .contract = &abi_test_stablecoin,
     .function = FUNCTION(TRANSFER),
     .payable = true},
    {.role = "anything", .contract = &abi_test_stablecoin},
    {.role = "deployer"},
};

static const struct abi_contract *const world_contracts[] = {&abi_test_stablecoin};

static struct relay_config world_config(void)
{
    return (struct relay_config){
        .fee_wei_max = u256_from_u64(500000000000),
        .priority_wei_min = U256_ZERO,
        .low_percent = 80,
        .high_percent = 150,
        .bump_percent = 13,
        .stuck_usec = 60 * SECONDS,
        .poll_usec = 100000,
        .batch_max = 64,
        .inflight_max = 256,
        .gas_limit_max = 12000000,
        .gas_margin_percent = 20,
        .caller_rate = 3,
        .final_depth = 8,
    };
}

struct seen {
    char id[RAND_ID_MAX];
    enum relay_state state;
    bool final;
};

struct world {
    struct support_store s;
    struct arena arena;
    struct relay_config config;
    struct rpc_pool *pool;
    struct relay_key *keys[WALLETS];
    struct relay_signer signers[WALLETS];
    struct relay *relay;
    pthread_mutex_t lock; /* guards seen */
    struct seen *seen;
    size_t seen_count;
    size_t seen_cap;
};

static struct world w;

/* Called with the lock held. */
static void see(struct world *world, const struct relay_row *row)
{
    if (world->seen_count == world->seen_cap) {
        world->seen_cap = world->seen_cap > 0 ? world->seen_cap * 2 : 64;
        world->seen = world->seen == NULL
                          ? mem_alloc(world->seen_cap * sizeof *world->seen)
                          : mem_resize(world->seen, world->seen_cap * sizeof *world->seen);
    }
    struct seen *s = &world->seen[world->seen_count++];
    (void)snprintf(s->id, sizeof s->id, "%.*s", SLICE_ARG(row->id));
    s->state = row->state;
    s->final = row->final;
}

static enum err watch(struct store_tx *tx, void *ctx, const struct relay_row *rows, size_t count,
                      struct why *why)
{
    (void)tx;
    (void)why;
    struct world *world = ctx;
    pthread_mutex_lock(&world->lock);
    for (size_t i = 0; i < count; i++) {
        see(world, &rows[i]);
    }
    pthread_mutex_unlock(&world->lock);
    return OK;
}

static struct rpc_pool *world_pool(const char *url)
{
    struct rpc_endpoint endpoint = {.url = url};
    struct rpc_options options = {
        .chain_id = 31337,
        .endpoints = &endpoint,
        .endpoint_count = 1,
        .timeout_usec = 5 * SECONDS,
        .attempts_max = 4,
        .batch_max = 100,
        .answer_bytes_max = 64UL * 1024 * 1024,
    };
    return rpc_pool_new(&options);
}

static const struct relay_gas *world_gases;
static size_t world_gas_count;

static struct address world_pool_of[WALLETS];
static size_t world_pool_count;
static const struct relay_treasury *world_treasury;

static struct relay *make_relay(struct store *store, struct rpc_pool *pool)
{
    struct relay_options options = {
        .config = &w.config,
        .chain_id = 31337,
        .store = store,
        .rpc = pool,
        .signers = w.signers,
        .signer_count = WALLETS,
        .policies = world_policies,
        .policy_count = sizeof world_policies / sizeof world_policies[0],
        .pool = world_pool_of,
        .pool_count = world_pool_count,
        .treasury = world_treasury,
        .gases = world_gases,
        .gas_count = world_gas_count,
        .contracts = world_contracts,
        .contract_count = 1,
        .watch = watch,
        .watch_ctx = &w,
    };
    return relay_new(&options);
}

static void make_keys(void)
{
    for (uint32_t i = 0; i < WALLETS; i++) {
        struct secret key = {0};
        assert_int_equal(keystore_mnemonic_key(SLICE_LIT(WORLD_MNEMONIC), i, &key), OK);
        assert_int_equal(relay_key_new(&key, &w.keys[i]), OK);
        w.signers[i] = relay_key_signer(w.keys[i]);
        secret_clear(&key);
    }
}

static void world_open(const char *url)
{
    w = (struct world){.config = world_config()};
    (void)pthread_mutex_init(&w.lock, NULL);
    atomic_store(&pushed_usec, 0);
    atomic_store(&wall_usec, 0);
    arena_init(&w.arena, 0);
    net_start();
    net_set_forbidden_check(store_in_tx);
    support_store_open(&w.s, &sql_catalog);
    make_keys();
    w.pool = world_pool(url);
    w.relay = make_relay(w.s.store, w.pool);
}

/* world_renew ends the relay as a process does and makes another one on the same rows. */
static inline void world_renew(void)
{
    relay_free(w.relay);
    w.relay = make_relay(w.s.store, w.pool);
}

static void world_close(void)
{
    relay_stop(w.relay);
    relay_free(w.relay);
    rpc_pool_free(w.pool);
    for (size_t i = 0; i < WALLETS; i++) {
        relay_key_free(w.keys[i]);
    }
    arena_free(&w.arena);
    mem_free(w.seen);
    support_store_close(&w.s);
    (void)pthread_mutex_destroy(&w.lock);
}

static const struct address *wallet(size_t i)
{
    return &w.signers[i].address;
}

/* ---- intents ---- */

static struct slice transfer_data(struct arena *arena, uint64_t amount)
{
    struct slice data;
    assert_int_equal(
        test_stablecoin_transfer_encode(arena, &somebody, u256_from_u64(amount), &data, NULL), OK);
    return data;
}

/* plain is a transfer of the coin by the first wallet. */
static struct relay_intent plain(const char *key)
{
    return (struct relay_intent){
        .key = slice_text(key),
        .chain_id = 31337,
        .wallet = *wallet(0),
        .has_to = true,
        .to = coin,
        .data = transfer_data(&w.arena, 1),
        .role = "payer",
        .purpose = "test",
    };
}

struct submission {
    struct store *store;
    struct arena *arena;
    const struct relay_intent *intent;
    struct slice id;
};

static enum err run_submit(struct store_tx *tx, void *ctx, struct why *why)
{
    struct submission *s = ctx;
    return relay_submit(tx, s->arena, s->intent, &s->id, why);
}

static enum err submit_result(const struct relay_intent *intent, struct slice *out, struct why *why)
{
    struct submission s = {.arena = &w.arena, .intent = intent};
    enum err e = store_write(w.s.store, run_submit, &s, why);
    *out = s.id;
    return e;
}

static struct slice submit(const struct relay_intent *intent)
{
    struct slice id;
    struct why why = {0};
    enum err e = submit_result(intent, &id, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    return id;
}

static inline struct slice submit_plain(const char *key)
{
    struct relay_intent intent = plain(key);
    return submit(&intent);
}

struct reading {
    struct slice id;
    struct relay_row row;
};

static enum err run_get(struct store_tx *tx, void *ctx, struct why *why)
{
    struct reading *r = ctx;
    return relay_get(tx, &w.arena, r->id, &r->row, why);
}

static struct relay_row row_of(struct slice id)
{
    struct reading r = {.id = id};
    assert_int_equal(store_read(w.s.store, run_get, &r, NULL), OK);
    return r.row;
}

static inline void assert_state(struct slice id, enum relay_state state)
{
    struct relay_row row = row_of(id);
    if (row.state != state) {
        fail_msg("%s is %s, not %s: %.*s", (const char *)id.ptr, relay_state_text(row.state),
                 relay_state_text(state), SLICE_ARG(row.error));
    }
}

static inline void assert_error(struct slice id, enum err e, const char *words)
{
    struct relay_row row = row_of(id);
    assert_string_equal(slice_cstr(&w.arena, row.error_code), err_code(e));
    if (strstr(slice_cstr(&w.arena, row.error), words) == NULL) {
        fail_msg("\"%.*s\" does not say \"%s\"", SLICE_ARG(row.error), words);
    }
}

/* history writes the states that the watcher saw of an intent: "signed sent mined mined!". */
static inline const char *history(struct slice id)
{
    struct buf b;
    buf_init(&b, &w.arena, 128);
    pthread_mutex_lock(&w.lock);
    for (size_t i = 0; i < w.seen_count; i++) {
        if (slice_equal_text(id, w.seen[i].id)) {
            buf_format(&b, "%s%s%s", b.len > 0 ? " " : "", relay_state_text(w.seen[i].state),
                       w.seen[i].final ? "!" : "");
        }
    }
    pthread_mutex_unlock(&w.lock);
    return slice_cstr(&w.arena, buf_slice(&b));
}

/* ---- stepping ---- */

static enum err step_once(bool *out_progress, struct why *why)
{
    bool progress = false;
    enum err e = relay_step(w.relay, &progress, why);
    if (out_progress != NULL) {
        *out_progress = progress;
    }
    return e;
}

/* settle steps until nothing moves; a step that fails is an error of the test. */
static inline void settle(void)
{
    struct why why = {0};
    bool progress = true;
    for (int i = 0; progress; i++) {
        enum err e = step_once(&progress, &why);
        if (e != OK || i == 2000) {
            fail_msg("%s: %s", err_code(e), why_text(&why, e));
        }
    }
}

/* ---- counting rows ---- */

static inline const char *ask_sqlite(const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open_v2(w.s.path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    const char *found = (const char *)sqlite3_column_text(stmt, 0);
    const char *text = slice_cstr(&w.arena, slice_text(found != NULL ? found : ""));
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return text;
}

static inline const char *ask_postgres(const char *sql)
{
    PGconn *pq = PQconnectdb(w.s.url);
    PGresult *result = PQexec(pq, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) {
        fail_msg("%s: %s", sql, PQerrorMessage(pq));
    }
    const char *text = slice_cstr(&w.arena, slice_text(PQgetvalue(result, 0, 0)));
    PQclear(result);
    PQfinish(pq);
    return text;
}

/* ask_text gives the one value that a query answers, past the program, as text. */
static inline const char *ask_text(const char *sql)
{
    return support_on_postgres() ? ask_postgres(sql) : ask_sqlite(sql);
}

/* count_rows gives the one number (or truth) that a query answers. */
static inline int64_t count_rows(const char *sql)
{
    const char *text = ask_text(sql);
    return text[0] == 't' ? 1 : strtoll(text, NULL, 10);
}

/* The address of the first wallet in a query. */
#define FIRST_WALLET                                                                               \
    support_pick("x'f39fd6e51aad88f6f4ce6ab8827279cfffb92266'",                                    \
                 "'\\xf39fd6e51aad88f6f4ce6ab8827279cfffb92266'")

/* next_nonce_of_first is the next nonce of the first wallet's row. */
static inline int64_t next_nonce_of_first(void)
{
    char sql[160];
    (void)snprintf(sql, sizeof sql, "SELECT next_nonce FROM relay_wallets WHERE address = %s",
                   FIRST_WALLET);
    return count_rows(sql);
}

#endif
