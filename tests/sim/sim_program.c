#include "sim/sim_program.h"

#include <sqlite3.h>
#include <unistd.h>

#include "gen/abi_test_stablecoin.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/evm/address.h"
#include "sim/sim_contracts.h"

#define RELAYED "payer"
/* Ticks until an operator looks after a chain that has halted. */
#define OPERATOR_TICKS 2
/* Ticks within which everything has to be well again once faults have ceased. */
#define SETTLE_TICKS 400
#define SECONDS ((int64_t)USEC_PER_SEC)

static const struct store_catalog *catalog;
static struct secret wallet_keys[SIM_WALLETS];
static const struct relay_policy policies[] = {
    {.role = RELAYED,
     .contract = &abi_test_stablecoin,
     .function = &abi_test_stablecoin_functions[TEST_STABLECOIN_FUNCTION_TRANSFER],
     .address = &sim_coin},
};
static const struct abi_contract *const contracts[] = {&abi_test_stablecoin};

const struct secret *sim_wallet_key(size_t i)
{
    return &wallet_keys[i];
}

/* ---- commits are points, too ---- */

static struct sim *watched; /* of this process */
static struct sim_program *living;

static int on_commit(void *ctx)
{
    (void)ctx;
    if (watched != NULL) {
        sim_point(watched, "before a commit");
    }
    return 0;
}

static int on_profile(unsigned what, void *ctx, void *statement, void *usec)
{
    (void)ctx;
    (void)usec;
    const char *sql = what == SQLITE_TRACE_PROFILE ? sqlite3_sql(statement) : NULL;
    if (watched != NULL && sql != NULL && strcmp(sql, "COMMIT") == 0) {
        sim_point(watched, "after a commit");
    }
    return 0;
}

static int on_connect(sqlite3 *db, char **error, const struct sqlite3_api_routines *api)
{
    (void)error;
    (void)api;
    (void)sqlite3_commit_hook(db, on_commit, NULL);
    return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, on_profile, NULL);
}

void sim_program_init(void)
{
    catalog = sim_contracts_init();
    for (size_t i = 0; i < SIM_WALLETS; i++) {
        struct hash key = keccak256(slice_of(&i, sizeof i));
        secret_init(&wallet_keys[i], key.bytes, sizeof key.bytes);
    }
    net_start();
    net_set_forbidden_check(store_in_tx);
    log_set_fd(-1);
    ASSERT(sqlite3_auto_extension((void (*)(void))on_connect) == SQLITE_OK);
}

/* ---- a life ---- */

static struct store *open_store(struct sim *w, const char *path)
{
    char url[192];
    struct why why = {0};
    struct store *store = NULL;
    (void)snprintf(url, sizeof url, "sqlite:%s", path);
    const struct store_config config = {.url = url,
                                        .readers = 1,
                                        .writers = 1,
                                        .busy_usec = 2 * SECONDS,
                                        .batch_max = 256,
                                        .synchronous = "full"};
    enum err e = store_open(&store, &config, catalog, &why);
    if (e != OK && w != NULL) {
        sim_fail(w, "the database cannot be opened: %s", why_text(&why, e));
        _exit(1);
    }
    ASSERT(e == OK);
    return store;
}

void sim_program_prepare(const char *path)
{
    struct why why = {0};
    struct store_version version;
    struct store *store = open_store(NULL, path);
    ASSERT(store_version_read(store, &version, &why) == OK);
    ASSERT(store_migrate(store, version.known, &why) == OK);
    store_close(store);
}

static void make_pool(struct sim_program *p)
{
    const struct sim *w = p->w;
    struct rpc_endpoint endpoints[SIM_NODES_MAX];
    for (size_t i = 0; i < w->node_count; i++) {
        endpoints[i] = (struct rpc_endpoint){.url = w->nodes[i].url,
                                             .role = i == 0   ? RPC_PRIMARY
                                                     : i == 3 ? RPC_BACKUP
                                                              : RPC_FALLBACK};
    }
    const struct rpc_options options = {
        .chain_id = SIM_CHAIN_ID,
        .endpoints = endpoints,
        .endpoint_count = w->node_count,
        .timeout_usec = 5 * SECONDS,
        .attempts_max = 4,
        .batch_max = 100,
        .quorum = w->quorum,
        .answer_bytes_max = 64UL << 20,
    };
    p->rpc = rpc_pool_new(&options);
}

static void make_chain(struct sim_program *p)
{
    const struct sim *w = p->w;
    p->chain_config = (struct chain_config){
        .chain_id = SIM_CHAIN_ID,
        .rpc_urls = "",
        .verify = w->headers_only ? "headers" : "full",
        .rpc_timeout_usec = 5 * SECONDS,
        .poll_usec = SECONDS,
        .confirmations = w->confirmations,
        .reorg_depth_alert = 3,
        .reorg_depth_max = SIM_REORG_MAX,
        .undo_depth = SIM_UNDO_DEPTH,
        .range_max = w->range_max,
    };
    struct chain_options options = {.config = &p->chain_config,
                                    .store = p->store,
                                    .rpc = p->rpc,
                                    .tables = sim_contracts_table(),
                                    .table_count = 1,
                                    .leased = true};
    options.sources = sim_contracts_sources(&options.source_count);
    p->chain = chain_new(&options);
    p->chain->hold.lease = store_lease_want(p->store, "chain/31337", "chain_poke");
    p->chain->hold.fence = store_lease_held(p->store, p->chain->hold.lease);
}

static void make_relay(struct sim_program *p)
{
    p->relay_config = (struct relay_config){
        .fee_wei_max = u256_from_u64(UINT64_C(500000000000)),
        .low_percent = 80,
        .high_percent = 150,
        .bump_percent = 13,
        .stuck_usec = 60 * SECONDS,
        .poll_usec = SECONDS,
        .batch_max = 16,
        .inflight_max = 24,
        .gas_limit_max = 12000000,
        .gas_margin_percent = 20,
        .caller_rate = 1000,
        .final_depth = SIM_FINAL_DEPTH,
    };
    for (size_t i = 0; i < SIM_WALLETS; i++) {
        ASSERT(relay_key_new(&wallet_keys[i], &p->keys[i]) == OK);
        p->signers[i] = relay_key_signer(p->keys[i]);
    }
    const struct relay_options options = {
        .config = &p->relay_config,
        .chain_id = SIM_CHAIN_ID,
        .store = p->store,
        .rpc = p->rpc,
        .signers = p->signers,
        .signer_count = SIM_WALLETS,
        .policies = policies,
        .policy_count = 1,
        .contracts = contracts,
        .contract_count = 1,
        .pool = p->w->wallets,
        .pool_count = SIM_WALLETS,
        .leased = true,
    };
    p->relay = relay_new(&options);
    relay_lease_want(p->relay);
}

void sim_program_open(struct sim_program *p, struct sim *w, const char *path, bool relays)
{
    struct why why = {0};
    *p = (struct sim_program){.w = w};
    (void)snprintf(p->path, sizeof p->path, "%s", path);
    p->store = open_store(w, path);
    if (store_leases_start(p->store, "all", "sim", &why) != OK) {
        sim_fail(w, "leases: %s", why.text);
        _exit(1);
    }
    ASSERT(sqlite3_open_v2(path, &p->eyes, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    make_pool(p);
    make_chain(p);
    if (relays) {
        make_relay(p);
    }
}

void sim_program_close(struct sim_program *p)
{
    if (p->relay != NULL) {
        relay_lease_release(p->relay);
        relay_free(p->relay);
        for (size_t i = 0; i < SIM_WALLETS; i++) {
            relay_key_free(p->keys[i]);
        }
    }
    chain_free(p->chain);
    rpc_pool_free(p->rpc);
    ASSERT(sqlite3_close(p->eyes) == SQLITE_OK);
    store_close(p->store);
}

/* ---- steps ---- */

/* What a step may fail with while the world is as it is; all else is a finding. */
static bool may_happen(enum err e)
{
    return e == ERR_NODE_UNAVAILABLE || e == ERR_NODE_TIMEOUT || e == ERR_NODE_RATE_LIMITED ||
           e == ERR_NODE_RESPONSE || e == ERR_NODE_ERROR || e == ERR_NODE_LIED ||
           e == ERR_NODE_UNKNOWN || e == ERR_WRONG_CHAIN || e == ERR_FENCED || e == ERR_CONFLICT ||
           e == ERR_LIMIT || e == ERR_NOT_FOUND;
}

static void note(struct sim_program *p, const char *what, enum err e, bool progress,
                 const struct why *why)
{
    sim_say(p->w, "%s: %s%s%s", what, e == OK ? (progress ? "moved" : "nothing") : err_code(e),
            e == OK ? "" : ": ", e == OK ? "" : why_text(why, e));
    if (e != OK && e != ERR_CHAIN_HALTED && !may_happen(e)) {
        sim_fail(p->w, "a step of the %s ended with %s: %s", what, err_code(e), why_text(why, e));
    }
    if (e == ERR_FENCED && !p->usurped) {
        sim_fail(p->w, "a step of the %s was fenced off, and nobody else had its lease", what);
    }
}

/* An operator finds the last block that both have, and lets the chain go on from there. */
static void resume(struct sim_program *p)
{
    struct sim *w = p->w;
    struct chain_status status;
    chain_status_read(p->chain, &status);
    int at = sim_find_hash(w, &status.cursor_hash);
    ASSERT(at >= 0);
    while (sim_find(w, w->head, w->blocks[at].number) != at) {
        at = w->blocks[at].parent;
    }
    struct why why = {0};
    uint64_t from = w->blocks[at].number + 1;
    enum err e = chain_resume(p->store, SIM_CHAIN_ID, from, SLICE_LIT("root"), &why);
    sim_say(w, "the operator resumes from block %llu: %s", (unsigned long long)from, err_code(e));
    w->resumes++;
    p->halted_since = 0;
    if (e != OK && e != ERR_CONFLICT) {
        sim_fail(w, "resuming from %llu: %s", (unsigned long long)from, why_text(&why, e));
    }
}

void sim_chain_step(struct sim_program *p)
{
    bool progress = false;
    struct why why = {0};
    enum err e = chain_sync_once(p->chain, &progress, &why);
    note(p, "chain", e, progress, &why);
    p->chain_synced = e == OK && !progress;
    if (e == ERR_CHAIN_HALTED && p->halted_since == 0) {
        p->halted_since = p->w->tick;
    }
    if (e == ERR_CHAIN_HALTED && !p->usurped && p->w->tick >= p->halted_since + OPERATOR_TICKS) {
        resume(p);
    }
    sim_check_rows(p);
}

static void relay_pass(struct sim_program *p)
{
    bool progress = false;
    struct why why = {0};
    if (!p->usurped) {
        (void)relay_lease_take(p->relay);
    }
    arena_clear(&p->relay->step);
    enum err e = relay_reconcile(p->relay, &why);
    if (e == OK) {
        e = relay_step(p->relay, &progress, &why);
    }
    note(p, "relay", e, progress, &why);
    p->relay_idle = e == OK && !progress;
    sim_check_final(p);
}

void sim_program_step(struct sim_program *p)
{
    uint64_t rounds = 1 + sim_below(p->w, 3);
    for (uint64_t i = 0; i < rounds && !p->w->failed; i++) {
        if (sim_chance(p->w, 700)) {
            sim_chain_step(p);
        }
        if (p->relay != NULL && !p->w->failed && sim_chance(p->w, 700)) {
            relay_pass(p);
        }
    }
}

/* ---- intents ---- */

struct submission {
    const struct relay_intent *intent;
    struct arena *arena;
    struct slice id;
};

static enum err run_submit(struct store_tx *tx, void *ctx, struct why *why)
{
    struct submission *s = ctx;
    return relay_submit(tx, s->arena, s->intent, &s->id, why);
}

/*
 * Asks for a transfer. Its number is taken after it was written down: who dies between asks again
 * under the same key, and gets the same intent.
 */
static void submit(struct sim_program *p)
{
    struct sim *w = p->w;
    struct sim_intent *in = &w->intents[w->intent_count];
    struct arena arena;
    char key[32];
    struct why why = {0};
    struct slice data;
    struct address to = {{0xbe, (uint8_t)w->intent_count}};
    arena_init(&arena, 0);
    (void)snprintf(key, sizeof key, "intent/%zu", w->intent_count);
    uint64_t ending = in->ending;
    in->amount = 10000 + w->intent_count * 100 + ending;
    ASSERT(test_stablecoin_transfer_encode(&arena, &to, u256_from_u64(in->amount), &data, NULL) ==
           OK);
    const struct relay_intent intent = {
        .key = slice_text(key),
        .chain_id = SIM_CHAIN_ID,
        .wallet = w->wallets[in->wallet % SIM_WALLETS],
        .pooled = in->wallet == SIM_WALLETS,
        .has_to = true,
        .to = sim_coin,
        .data = data,
        .role = RELAYED,
        .purpose = "sim.pay",
        .deadline_usec = in->deadline_usec,
        .priority = in->priority,
    };
    struct submission s = {.intent = &intent, .arena = &arena};
    enum err e = store_write(p->store, run_submit, &s, &why);
    if (e == OK) {
        (void)snprintf(in->id, sizeof in->id, "%.*s", SLICE_ARG(s.id));
        w->intent_count++;
        sim_say(w, "intent %s of %llu", in->id, (unsigned long long)in->amount);
    } else {
        sim_fail(w, "submitting: %s", why_text(&why, e));
    }
    arena_free(&arena);
}

struct wish {
    struct slice id;
    bool cancel;
};

static enum err run_wish(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct wish *wish = ctx;
    return wish->cancel ? relay_cancel(tx, wish->id, why) : relay_hurry(tx, wish->id, why);
}

static void make_wish(struct sim_program *p)
{
    struct sim *w = p->w;
    struct sim_intent *in = &w->intents[sim_below(w, w->intent_count)];
    struct wish wish = {.id = slice_text(in->id), .cancel = sim_chance(w, 600)};
    struct why why = {0};
    in->may_fail = in->may_fail || wish.cancel;
    enum err e = store_write(p->store, run_wish, &wish, &why);
    sim_say(w, "%s %s: %s", wish.cancel ? "cancel" : "hurry", in->id, err_code(e));
    if (e != OK && e != ERR_CONFLICT) {
        sim_fail(w, "a wish: %s", why_text(&why, e));
    }
}

/* The look at balances that a job takes now and then. */
static enum err run_balances(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct sim *w = ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < SIM_WALLETS; i++) {
        struct wei_amount balance = wei_of(u256_from_u64(w->poor[i] ? 0 : UINT64_C(1) << 60));
        e = relay_wallet_note(tx, SIM_CHAIN_ID, &w->wallets[i], balance, w->poor[i], why);
    }
    return e;
}

/* What callers ask for in a tick; the plan has drawn how much. */
static void ask(struct sim_program *p)
{
    struct sim *w = p->w;
    if (w->relays && sim_has(w, SIM_FUNDS) && sim_chance(w, 200)) {
        struct why why = {0};
        if (store_write(p->store, run_balances, w, &why) != OK) {
            sim_fail(w, "noting balances: %s", why.text);
        }
    }
    for (; w->to_submit > 0 && w->intent_count < SIM_INTENTS_MAX && !w->failed; w->to_submit--) {
        struct sim_intent *in = &w->intents[w->intent_count];
        if (!in->drawn) {
            bool odd = sim_has(w, SIM_WISHES) && sim_chance(w, 150);
            int64_t now = clock_wall_usec();
            in->drawn = true;
            in->wallet = sim_below(w, SIM_WALLETS + 1);
            in->ending = odd && sim_chance(w, 500) ? 98 + sim_below(w, 2) : 2;
            in->deadline_usec =
                odd && in->ending == 2 ? now + (int64_t)(1 + sim_below(w, 90)) * SECONDS : 0;
            in->priority = (enum relay_priority)(1 + sim_below(w, 3));
            in->may_fail = odd;
        }
        submit(p);
    }
    if (w->intent_count > 0 && sim_has(w, SIM_WISHES) && !w->calm && sim_chance(w, 150)) {
        make_wish(p);
    }
}

/* ---- another owner ---- */

void sim_usurp(struct sim *w)
{
    if (living == NULL || w->usurp_in == 0 || --w->usurp_in > 0) {
        return;
    }
    sim_say(w, "another owner takes the leases");
    living->usurped = true;
    ASSERT(sqlite3_exec(living->eyes,
                        "UPDATE process_leases SET owner = 'rival', fence = fence + 1", NULL, NULL,
                        NULL) == SQLITE_OK);
    living->usurped_rows = sim_database_digest(living);
}

/* A process whose leases are gone goes on for a while, changes nothing, and ends. */
static void end_usurped(struct sim_program *p)
{
    struct sim *w = p->w;
    for (unsigned i = 0; i < 3 && !w->failed; i++) {
        sim_mine(w);
        sim_chain_step(p);
        if (p->relay != NULL) {
            relay_pass(p);
        }
    }
    if (sim_database_digest(p) != p->usurped_rows) {
        sim_fail(w, "a process without its leases has changed rows");
    }
    sim_say(w, "it ends");
    _exit(w->failed ? 1 : SIM_KILLED);
}

/* ---- the run ---- */

static bool is_settled(struct sim_program *p)
{
    struct sim *w = p->w;
    struct chain_status status;
    chain_status_read(p->chain, &status);
    uint64_t top = w->blocks[w->head].number;
    return p->chain_synced && status.cursor_block + w->confirmations == top &&
           (p->relay == NULL ||
            (p->relay_idle && sim_number(p, "SELECT COUNT(*) FROM relay_intents WHERE state < 4 OR "
                                            "(state IN (4, 5) AND NOT final)") == 0));
}

/* Faults have ceased. The chain goes on, and time passes as long as is needed. */
static void settle(struct sim_program *p)
{
    struct sim *w = p->w;
    int64_t pause = 2 * SECONDS;
    w->calm = true;
    w->kill_in = 0;
    w->usurp_in = 0;
    memset(w->poor, 0, sizeof w->poor);
    w->base_fee = UINT64_C(1000000000);
    sim_pool_forget_foreign(w);
    sim_nodes_calm(w);
    sim_say(w, "faults cease");
    for (unsigned i = 0; i < SETTLE_TICKS && !w->failed; i++) {
        w->tick++;
        for (unsigned k = 0; k < 3; k++) {
            sim_mine(w);
        }
        p->chain_synced = false;
        ask(p);
        for (unsigned k = 0; k < 64 && !p->chain_synced && !w->failed; k++) {
            sim_chain_step(p);
        }
        for (unsigned k = 0; k < 3 && !w->failed; k++) {
            sim_chain_step(p);
            if (p->relay != NULL) {
                relay_pass(p);
            }
        }
        if (is_settled(p)) {
            return;
        }
        sim_pass(w, pause);
        pause = pause < 300 * SECONDS ? pause + pause / 4 : pause;
    }
    if (!w->failed) {
        struct chain_status status;
        chain_status_read(p->chain, &status);
        sim_fail(w,
                 "not settled after %d ticks without faults: block %llu of %llu, %lld open intents",
                 SETTLE_TICKS, (unsigned long long)status.cursor_block,
                 (unsigned long long)w->blocks[w->head].number,
                 (long long)sim_number(p, "SELECT COUNT(*) FROM relay_intents WHERE state < 4"));
    }
}

void sim_program_live(struct sim *w)
{
    struct sim_program p;
    char path[160];
    sim_use_clock(w);
    rand_set_seed(w->seed * 1000 + w->lives);
    const struct net_transport transport = sim_transport(w);
    net_set_transport(&transport);
    if (w->tracing) {
        log_set_fd(2);
    }
    watched = w;
    (void)snprintf(path, sizeof path, "%s/sim.db", w->folder);
    sim_say(w, "a life begins");
    sim_program_open(&p, w, path, w->relays);
    living = &p;
    while (w->tick < w->ticks && !w->failed) {
        w->tick++;
        sim_plan_tick(w);
        ask(&p);
        sim_program_step(&p);
        if (p.usurped && !w->failed) {
            end_usurped(&p);
        }
        sim_pass(w, (int64_t)sim_below(w, 4 * SECONDS));
    }
    if (!w->failed) {
        settle(&p);
    }
    if (!w->failed) {
        sim_check_intents(&p);
        sim_check_books(&p);
        sim_check_fresh(&p);
    }
    sim_program_close(&p);
}
