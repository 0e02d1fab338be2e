/*
 * world.h: what the chain tests follow: a factory and its tokens on a fake node, handlers that
 * write the projections of trace/, and dumps to compare one index with another.
 *
 * Included once by a test program.
 */
#ifndef UNIT_KERNEL_CHAIN_WORLD_H
#define UNIT_KERNEL_CHAIN_WORLD_H

#include "support/fake_node.c"
#include "unit/kernel/chain/trace/trace_all.c"
#include "unit/kernel/chain/trace/trace_sql.c"
#include "unit/support.h"

#include <sqlite3.h>
#include <stdatomic.h>

#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/chain/chain.h"
#include "kernel/net/http_client.h"

/* ---- the contracts ---- */

static const struct abi_type created_inputs[] = {
    {.kind = ABI_ADDRESS, .name = "child", .indexed = true},
    {.kind = ABI_UINT, .size = 256, .name = "kind"},
};
static const struct abi_type moved_inputs[] = {
    {.kind = ABI_ADDRESS, .name = "from", .indexed = true},
    {.kind = ABI_ADDRESS, .name = "to", .indexed = true},
    {.kind = ABI_UINT, .size = 256, .name = "amount"},
};
/* Topics are the hashes of the signatures; world_init fills them in. */
static struct abi_event factory_events[] = {
    {.name = "Created",
     .signature = "Created(address,uint256)",
     .inputs = created_inputs,
     .input_count = 2,
     .indexed_count = 1},
};
static struct abi_event token_events[] = {
    {.name = "Moved",
     .signature = "Moved(address,address,uint256)",
     .inputs = moved_inputs,
     .input_count = 3,
     .indexed_count = 2},
    /* A token may make tokens in its turn. */
    {.name = "Split",
     .signature = "Split(address,uint256)",
     .inputs = created_inputs,
     .input_count = 2,
     .indexed_count = 1},
};
static const struct abi_contract factory_contract = {
    .name = "Factory", .events = factory_events, .event_count = 1};
static const struct abi_contract token_contract = {
    .name = "Token", .events = token_events, .event_count = 2};

#define CREATED (&factory_events[0])
#define MOVED (&token_events[0])
#define SPLIT (&token_events[1])

static const struct address factory = {{0xfa, 0xc7}};

/* Amounts that the handler takes as orders. */
enum {
    AMOUNT_REFUSED = 13,   /* refuses after it has written */
    AMOUNT_COLLIDING = 17, /* a row that is there already */
    AMOUNT_BUSY = 19,      /* the database is busy, world_busy times */
};

static _Atomic int world_busy;
static _Atomic int world_applied; /* handlers that ran */
static _Atomic int world_runs;    /* of world_move_many */

/* ---- the catalog: the program's, with the trace tables behind it ---- */

static struct store_statement world_statements[64];
static const struct store_statement *world_statement_list[2048];
static struct store_migration world_migrations[64];
static struct store_catalog world_catalog;

static const struct store_statement *world_statement(const struct store_statement *s)
{
    return &world_statements[s->id];
}

static void world_init(void)
{
    uint16_t n = sql_catalog.statement_count;
    uint16_t m = sql_catalog.migration_count;
    const struct store_catalog *t = &trace_catalog;
    ASSERT(t->statement_count <= 64 && n + t->statement_count <= 2048 && m < 63);
    for (uint16_t i = 0; i < n; i++) {
        world_statement_list[i] = sql_catalog.statements[i];
    }
    for (uint16_t i = 0; i < t->statement_count; i++) {
        world_statements[i] = *t->statements[i];
        world_statements[i].id = (uint16_t)(n + i);
        world_statement_list[n + i] = &world_statements[i];
    }
    for (uint16_t i = 0; i < m; i++) {
        world_migrations[i] = sql_catalog.migrations[i];
    }
    world_migrations[m] = t->migrations[t->migration_count - 1];
    world_migrations[m].version = m + 1u;
    world_catalog = (struct store_catalog){
        .statements = world_statement_list,
        .statement_count = (uint16_t)(n + t->statement_count),
        .migrations = world_migrations,
        .tables = sql_catalog.tables,
        .table_count = sql_catalog.table_count,
        .migration_count = (uint16_t)(m + 1),
    };
    CREATED->topic = keccak256(slice_text(CREATED->signature));
    MOVED->topic = keccak256(slice_text(MOVED->signature));
    SPLIT->topic = keccak256(slice_text(SPLIT->signature));
    net_start();
    net_set_forbidden_check(store_in_tx);
}

/* ---- handlers ---- */

static enum err world_journal(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, world_statement(&trace_sql_journal_add));
    store_bind_text(&q, "event_id", ev->id);
    store_bind_i64(&q, "block_number", (int64_t)ev->log->block_number);
    store_bind_i64(&q, "log_index", ev->log->log_index);
    return store_finish(&q, NULL, why);
}

static enum err world_token(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    const struct abi_value *values = NULL;
    atomic_fetch_add(&world_applied, 1);
    enum err e = abi_event_decode(ev->scratch, ev->event, ev->log, &values, why);
    if (e == OK) {
        e = world_journal(tx, ev, why);
    }
    if (e != OK) {
        return e;
    }
    struct address child = abi_to_address(&values[0]);
    struct store_query q;
    store_begin(&q, tx, world_statement(&trace_sql_token_add));
    store_bind_bytes(&q, "token", address_slice(&child));
    store_bind_bytes(&q, "factory", address_slice(&ev->log->address));
    e = store_finish(&q, NULL, why);
    if (e == OK && u256_equal(values[1].number, u256_from_u64(AMOUNT_REFUSED))) {
        e = why_set(why, ERR_CONFLICT, "kind", "This kind is not wanted.");
    }
    return e;
}

static enum err world_balance(struct store_tx *tx, const struct address *token,
                              const struct address *holder, struct u256 *out, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, world_statement(&trace_sql_balance_get));
    store_bind_bytes(&q, "token", address_slice(token));
    store_bind_bytes(&q, "holder", address_slice(holder));
    struct u256 balance = U256_ZERO;
    if (store_step(&q)) {
        balance = store_get_u256(&q, "balance");
    }
    enum err e = store_finish(&q, NULL, why);
    *out = balance;
    return e;
}

static enum err world_set_balance(struct store_tx *tx, const struct address *token,
                                  const struct address *holder, struct u256 balance,
                                  struct why *why)
{
    struct store_query q;
    bool drop = u256_is_zero(balance);
    store_begin(&q, tx, world_statement(drop ? &trace_sql_balance_drop : &trace_sql_balance_put));
    store_bind_bytes(&q, "token", address_slice(token));
    store_bind_bytes(&q, "holder", address_slice(holder));
    if (!drop) {
        store_bind_u256(&q, "balance", balance);
    }
    return store_finish(&q, NULL, why);
}

static enum err world_obey(struct store_tx *tx, const struct chain_event *ev, struct u256 amount,
                           struct why *why)
{
    if (u256_equal(amount, u256_from_u64(AMOUNT_REFUSED))) {
        return why_set(why, ERR_INVALID_FIELD, "amount", "Thirteen is not wanted.");
    }
    if (u256_equal(amount, u256_from_u64(AMOUNT_BUSY)) && atomic_load(&world_busy) > 0) {
        atomic_fetch_sub(&world_busy, 1);
        return why_set(why, ERR_DB_BUSY, NULL, "Not now.");
    }
    if (u256_equal(amount, u256_from_u64(AMOUNT_COLLIDING))) {
        struct store_query q;
        store_begin(&q, tx, world_statement(&trace_sql_token_add));
        store_bind_bytes(&q, "token", address_slice(&ev->log->address));
        store_bind_bytes(&q, "factory", address_slice(&ev->log->address));
        return store_finish(&q, NULL, why);
    }
    return OK;
}

/* Gives first and takes then, so that a refusal has something to roll back. */
static enum err world_move(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    const struct abi_value *values = NULL;
    struct u256 balance;
    atomic_fetch_add(&world_applied, 1);
    enum err e = abi_event_decode(ev->scratch, ev->event, ev->log, &values, why);
    if (e == OK) {
        e = world_journal(tx, ev, why);
    }
    if (e != OK) {
        return e;
    }
    const struct address *token = &ev->log->address;
    struct address from = abi_to_address(&values[0]);
    struct address to = abi_to_address(&values[1]);
    struct u256 amount = values[2].number;
    e = world_balance(tx, token, &to, &balance, why);
    if (e == OK && u256_add(balance, amount, &balance) != OK) {
        e = ERR_OVERFLOW;
    }
    if (e == OK) {
        e = world_set_balance(tx, token, &to, balance, why);
    }
    if (e == OK) {
        e = world_obey(tx, ev, amount, why);
    }
    if (e != OK || address_is_zero(&from)) {
        return e;
    }
    e = world_balance(tx, token, &from, &balance, why);
    if (e == OK && u256_sub(balance, amount, &balance) != OK) {
        e = why_set(why, ERR_INSUFFICIENT_FUNDS, "from", "The sender does not have as much.");
    }
    return e == OK ? world_set_balance(tx, token, &from, balance, why) : e;
}

/* Many at once, as one after another. */
static enum err world_move_many(struct store_tx *tx, const struct chain_event *events, size_t count,
                                struct why *why)
{
    enum err e = OK;
    atomic_fetch_add(&world_runs, 1);
    for (size_t i = 0; e == OK && i < count; i++) {
        e = world_move(tx, &events[i], why);
    }
    return e;
}

static const struct chain_handler world_handlers[] = {
    {&factory_contract, CREATED, world_token, "A token."},
    {&token_contract, MOVED, world_move, "A transfer."},
    {&token_contract, SPLIT, world_token, "A token of a token."},
};
static const struct chain_discovery world_discoveries[] = {
    {&factory_contract, CREATED, 0, &token_contract},
    {&token_contract, SPLIT, 0, &token_contract},
};
static const struct chain_table world_table = {
    .handlers = world_handlers,
    .handler_count = 3,
    .discoveries = world_discoveries,
    .discovery_count = 2,
};
static const struct chain_many world_many[] = {{&token_contract, MOVED, world_move_many}};
static const struct chain_table world_many_table = {
    .handlers = world_handlers,
    .handler_count = 3,
    .many = world_many,
    .many_count = 1,
    .discoveries = world_discoveries,
    .discovery_count = 2,
};

/* ---- a follower ---- */

static const struct chain_source world_sources[] = {
    {.address = {{0xfa, 0xc7}}, .contract = &factory_contract}};

static struct chain_config world_config(void)
{
    return (struct chain_config){
        .chain_id = FAKE_CHAIN_ID,
        .rpc_urls = "",
        .rpc_timeout_usec = 5 * USEC_PER_SEC,
        .poll_usec = 5000,
        .reorg_depth_alert = 3,
        .reorg_depth_max = 64,
        .undo_depth = 256,
        .range_max = 16,
    };
}

struct follower {
    struct support_store s;
    struct chain_config config;
    struct rpc_pool *pool;
    struct chain *chain;
    const struct chain_source *sources;
    size_t source_count;
    const struct chain_table *table; /* NULL: world_table */
    size_t readers;
};

/* `url` may be several, separated by a comma: the first is the primary one. */
static struct rpc_pool *world_pool(const char *url)
{
    struct rpc_endpoint endpoints[4];
    struct arena arena;
    struct slice rest = slice_text(url), one;
    size_t count = 0;
    arena_init(&arena, 0);
    for (; rest.len > 0; count++) {
        (void)slice_cut(rest, ',', &one, &rest);
        endpoints[count] = (struct rpc_endpoint){.url = slice_cstr(&arena, one),
                                                 .role = count > 0 ? RPC_FALLBACK : RPC_PRIMARY};
    }
    struct rpc_options options = {
        .chain_id = FAKE_CHAIN_ID,
        .endpoints = endpoints,
        .endpoint_count = count,
        .timeout_usec = 5 * USEC_PER_SEC,
        .attempts_max = 4,
        .batch_max = 100,
        .answer_bytes_max = 64UL * 1024 * 1024,
    };
    struct rpc_pool *pool = rpc_pool_new(&options);
    arena_free(&arena);
    return pool;
}

/* follower_join makes a chain on the store of `f`. */
static void follower_join(struct follower *f)
{
    struct chain_options options = {
        .config = &f->config,
        .store = f->s.store,
        .rpc = f->pool,
        .sources = f->sources != NULL ? f->sources : world_sources,
        .source_count = f->sources != NULL ? f->source_count : 1,
        .tables = f->table != NULL ? f->table : &world_table,
        .table_count = 1,
        .readers = f->readers,
    };
    f->chain = chain_new(&options);
}

/* The tests lose no data to a power cut: most of them do not pay for fsync. */
static void follower_open_with(struct follower *f, const char *url, struct chain_config config)
{
    *f = (struct follower){.config = config};
    support_store_prepare(&f->s, &world_catalog);
    f->s.config.synchronous = "normal";
    support_store_begin(&f->s);
    f->pool = world_pool(url);
    follower_join(f);
}

static void follower_close(struct follower *f)
{
    chain_stop(f->chain);
    chain_free(f->chain);
    rpc_pool_free(f->pool);
    support_store_close(&f->s);
}

/* ---- logs ---- */

static struct address address_of(unsigned i)
{
    struct address a = {{0xad, (uint8_t)(i >> 8), (uint8_t)i}};
    return a;
}

static struct hash topic_of(const struct address *a)
{
    struct hash h = {{0}};
    memcpy(h.bytes + 12, a->bytes, ADDRESS_BYTES);
    return h;
}

static struct fake_log log_created(const struct abi_event *event, const struct address *by,
                                   const struct address *child, uint64_t kind, struct hash tx)
{
    struct fake_log log = {.address = *by, .topic_count = 2, .data_len = 32, .tx = tx};
    log.topics[0] = event->topic;
    log.topics[1] = topic_of(child);
    u256_encode_be(u256_from_u64(kind), log.data);
    return log;
}

static struct fake_log log_moved(const struct address *token, const struct address *from,
                                 const struct address *to, uint64_t amount, struct hash tx)
{
    struct fake_log log = {.address = *token, .topic_count = 3, .data_len = 32, .tx = tx};
    log.topics[0] = MOVED->topic;
    log.topics[1] = topic_of(from);
    log.topics[2] = topic_of(to);
    u256_encode_be(u256_from_u64(amount), log.data);
    return log;
}

static struct hash tx_of(uint64_t i)
{
    return fake_hash_of("tx", i, 0);
}

/* ---- dumps ---- */

static void dump_query(struct buf *out, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    buf_format(out, "%s\n", sql);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const void *bytes = sqlite3_column_blob(stmt, i);
            size_t len = (size_t)sqlite3_column_bytes(stmt, i);
            if (sqlite3_column_type(stmt, i) == SQLITE_BLOB) {
                buf_add_hex(out, slice_of(bytes, len));
            } else {
                buf_add_slice(out, slice_of(bytes, len));
            }
            buf_add_byte(out, '|');
        }
        buf_add_byte(out, '\n');
    }
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
}

/* Everything that must be a function of the canonical chain. */
static struct slice dump(struct arena *arena, const char *path)
{
    static const char *const queries[] = {
        "SELECT * FROM trace_journal ORDER BY 1",
        "SELECT * FROM trace_tokens ORDER BY 1",
        "SELECT * FROM trace_balances ORDER BY 1, 2",
        "SELECT * FROM chain_sources ORDER BY 1, 2",
        "SELECT * FROM blockchain_events ORDER BY 1, 2, 3",
        "SELECT chain_id, block_number, block_hash, genesis_hash, halted_why FROM chain_cursors",
    };
    sqlite3 *db = NULL;
    struct buf out;
    buf_init(&out, arena, 65536);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        dump_query(&out, db, queries[i]);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return buf_slice(&out);
}

/* count_rows runs a query that yields one number. */
static int64_t count_rows(const struct follower *f, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open_v2(f->s.path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return n;
}

/* ---- stepping ---- */

static uint64_t cursor_of(struct follower *f)
{
    struct chain_status status;
    chain_status_read(f->chain, &status);
    return status.cursor_block;
}

/* step runs one step and returns what it said. */
static enum err step(struct follower *f, bool *out_progress, struct why *why)
{
    bool progress = false;
    enum err e = chain_sync_once(f->chain, &progress, why);
    if (out_progress != NULL) {
        *out_progress = progress;
    }
    return e;
}

/* settle steps until nothing moves any more; a step that fails is tried again. */
static void settle(struct follower *f)
{
    struct why why = {0};
    int quiet = 0;
    for (int i = 0; quiet < 2; i++) {
        bool progress = false;
        enum err e = step(f, &progress, &why);
        quiet = e == OK && !progress ? quiet + 1 : 0;
        if (i == 5000) {
            fail_msg("does not settle: %s %s", err_code(e), why_text(&why, e));
        }
    }
}

/* assert_as_fresh compares with an index that is made from nothing, in batches of another size. */
static void assert_as_fresh(struct follower *f, struct fake_node *node)
{
    struct arena arena;
    struct follower fresh;
    struct chain_config config = f->config;
    config.range_max = 512;
    follower_open_with(&fresh, fake_node_url(node), config);
    if (f->sources != NULL) {
        chain_free(fresh.chain);
        fresh.sources = f->sources;
        fresh.source_count = f->source_count;
        follower_join(&fresh);
    }
    settle(&fresh);
    arena_init(&arena, 65536);
    struct slice mine = dump(&arena, f->s.path);
    struct slice theirs = dump(&arena, fresh.s.path);
    if (!slice_equal(mine, theirs)) {
        print_error("--- followed\n%.*s--- fresh\n%.*s", SLICE_ARG(mine), SLICE_ARG(theirs));
        fail_msg("the rows are not those of a fresh index");
    }
    arena_free(&arena);
    follower_close(&fresh);
}

#endif
