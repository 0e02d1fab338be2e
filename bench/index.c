/*
 * Measures how fast a chain is followed from nothing: the Transfer events of one token become event
 * rows and the balances of both sides. bench/index.mjs runs it and makes the table.
 *
 *     index NODE_URL STORE_URL TOKEN LAST_BLOCK VERIFY RANGE WINDOW READERS UNDO
 *
 * Follows TOKEN on chain 31337 up to LAST_BLOCK with chain.verify VERIFY, batches of RANGE blocks,
 * WINDOW of which are read ahead by READERS threads, and UNDO blocks that can be undone. Prints a
 * line "at BLOCK" on stderr when the cursor has moved, and at the end one line of JSON, with a hash
 * of all balances.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/transfers/transfers_all.c"
#include "bench/transfers/transfers_sql.c"
#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/base/log.h"
#include "kernel/chain/chain.h"
#include "kernel/evm/address.h"
#include "kernel/net/http_client.h"

#define CHAIN 31337
#define STATEMENTS_MAX 2048
#define MIGRATIONS_MAX 64
#define OWN_MAX 16

static void die(const char *what, const struct why *why, enum err e)
{
    (void)fprintf(stderr, "index: %s: %s\n", what, why_text(why, e));
    _exit(1);
}

/* ---- the catalog: the program's, with the table of balances behind it ---- */

static struct store_statement own[OWN_MAX];
static const struct store_statement *statements[STATEMENTS_MAX];
static struct store_migration migrations[MIGRATIONS_MAX];
static struct store_catalog catalog;

static const struct store_statement *statement(const struct store_statement *s)
{
    return &own[s->id];
}

static void make_catalog(void)
{
    const struct store_catalog *t = &transfers_catalog;
    uint16_t n = sql_catalog.statement_count;
    uint16_t m = sql_catalog.migration_count;
    ASSERT(t->statement_count <= OWN_MAX && n + t->statement_count <= STATEMENTS_MAX);
    ASSERT(m < MIGRATIONS_MAX);
    memcpy(statements, sql_catalog.statements, n * sizeof statements[0]);
    memcpy(migrations, sql_catalog.migrations, m * sizeof migrations[0]);
    for (uint16_t i = 0; i < t->statement_count; i++) {
        own[i] = *t->statements[i];
        own[i].id = (uint16_t)(n + i);
        statements[n + i] = &own[i];
    }
    migrations[m] = t->migrations[t->migration_count - 1];
    migrations[m].version = m + 1u;
    catalog = sql_catalog;
    catalog.statements = statements;
    catalog.statement_count = (uint16_t)(n + t->statement_count);
    catalog.migrations = migrations;
    catalog.migration_count = (uint16_t)(m + 1);
}

/* ---- the token ---- */

static const struct abi_type transfer_inputs[] = {
    {.kind = ABI_ADDRESS, .name = "from", .indexed = true},
    {.kind = ABI_ADDRESS, .name = "to", .indexed = true},
    {.kind = ABI_UINT, .size = 256, .name = "value"},
};
static struct abi_event transfer = {
    .name = "Transfer",
    .signature = "Transfer(address,address,uint256)",
    .inputs = transfer_inputs,
    .input_count = 3,
    .indexed_count = 2,
};
static struct abi_contract token = {.name = "Token", .event_count = 1};

/* ---- balances ---- */

struct account {
    struct address address;
    struct u256 balance;
    bool used;
};

/* The accounts of some transfers, by address: open addressing, at most half full. */
struct accounts {
    struct account *slots;
    size_t mask;
};

struct movement {
    struct account *from; /* NULL: new units */
    struct account *to;
    struct u256 value;
};

static struct account *account_of(const struct accounts *a, const struct address *address)
{
    size_t at = 0;
    memcpy(&at, address->bytes + ADDRESS_BYTES - sizeof at, sizeof at);
    at &= a->mask;
    while (a->slots[at].used && !address_equal(&a->slots[at].address, address)) {
        at = (at + 1) & a->mask;
    }
    if (!a->slots[at].used) {
        a->slots[at].used = true;
        a->slots[at].address = *address;
    }
    return &a->slots[at];
}

static enum err load(struct store_tx *tx, const struct accounts *a, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, statement(&transfers_sql_find));
    for (size_t i = 0; i <= a->mask; i++) {
        if (a->slots[i].used) {
            store_bind_bytes(&q, "account", address_slice(&a->slots[i].address));
            store_row(&q);
        }
    }
    while (store_step(&q)) {
        struct address address;
        store_get_fixed(&q, "account", address.bytes, ADDRESS_BYTES);
        account_of(a, &address)->balance = store_get_u256(&q, "balance");
    }
    return store_finish(&q, NULL, why);
}

static enum err save(struct store_tx *tx, const struct accounts *a, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, statement(&transfers_sql_put));
    for (size_t i = 0; i <= a->mask; i++) {
        if (a->slots[i].used) {
            store_bind_bytes(&q, "account", address_slice(&a->slots[i].address));
            store_bind_u256(&q, "balance", a->slots[i].balance);
            store_row(&q);
        }
    }
    return store_finish(&q, NULL, why);
}

static enum err move(const struct movement *m, struct why *why)
{
    if (m->from != NULL && u256_sub(m->from->balance, m->value, &m->from->balance) != OK) {
        return why_set(why, ERR_INSUFFICIENT_FUNDS, "from", "The sender does not have as much.");
    }
    return u256_add(m->to->balance, m->value, &m->to->balance);
}

static enum err apply_many(struct store_tx *tx, const struct chain_event *events, size_t count,
                           struct why *why)
{
    struct arena *scratch = events[0].scratch;
    struct movement *moves = arena_alloc_array(scratch, count, sizeof *moves);
    struct accounts a = {.mask = 63};
    while (a.mask + 1 < 4 * count) {
        a.mask = 2 * a.mask + 1;
    }
    a.slots = arena_alloc_array(scratch, a.mask + 1, sizeof *a.slots);
    for (size_t i = 0; i < count; i++) {
        const struct abi_value *values = NULL;
        enum err e = abi_event_decode(scratch, events[i].event, events[i].log, &values, why);
        if (e != OK) {
            return e;
        }
        struct address from = abi_to_address(&values[0]);
        struct address to = abi_to_address(&values[1]);
        moves[i].from = address_is_zero(&from) ? NULL : account_of(&a, &from);
        moves[i].to = account_of(&a, &to);
        moves[i].value = values[2].number;
    }
    enum err e = load(tx, &a, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        e = move(&moves[i], why);
    }
    return e == OK ? save(tx, &a, why) : e;
}

static enum err apply(struct store_tx *tx, const struct chain_event *event, struct why *why)
{
    return apply_many(tx, event, 1, why);
}

/* ---- the parts ---- */

static struct store *open_store(const char *url)
{
    struct store *store = NULL;
    struct why why = {0};
    struct store_version version;
    struct store_config config = {.url = url,
                                  .readers = 2,
                                  .writers = 2,
                                  .busy_usec = 2000000,
                                  .connect_usec = 5000000,
                                  .statement_usec = 60000000,
                                  .batch_max = 256,
                                  .synchronous = "full"};
    enum err e = store_open(&store, &config, &catalog, &why);
    if (e == OK) {
        e = store_version_read(store, &version, &why);
    }
    if (e == OK) {
        e = store_migrate(store, version.known, &why);
    }
    if (e != OK) {
        die(url, &why, e);
    }
    return store;
}

static struct rpc_pool *make_pool(const char *url)
{
    struct rpc_endpoint endpoint = {.url = url};
    struct rpc_options options = {
        .chain_id = CHAIN,
        .endpoints = &endpoint,
        .endpoint_count = 1,
        .timeout_usec = 10 * (int64_t)USEC_PER_SEC,
        .attempts_max = 4,
        .batch_max = 100,
        .answer_bytes_max = 64UL * 1024 * 1024,
    };
    return rpc_pool_new(&options);
}

struct outcome {
    struct hash digest;
    int64_t events;
};

static const struct store_statement *count_events(void)
{
    size_t i = 0;
    while (strcmp(catalog.tables[i].name, "blockchain_events") != 0) {
        i++;
        ASSERT(i < catalog.table_count);
    }
    return catalog.tables[i].count;
}

static enum err read_outcome(struct store_tx *tx, void *ctx, struct why *why)
{
    struct outcome *o = ctx;
    struct keccak k;
    struct store_query q;
    keccak_init(&k);
    store_begin(&q, tx, statement(&transfers_sql_list));
    while (store_step(&q)) {
        uint8_t line[ADDRESS_BYTES + U256_BYTES];
        store_get_fixed(&q, "account", line, ADDRESS_BYTES);
        u256_encode_be(store_get_u256(&q, "balance"), line + ADDRESS_BYTES);
        keccak_update(&k, slice_of(line, sizeof line));
    }
    enum err e = store_finish(&q, NULL, why);
    keccak_final(&k, &o->digest);
    store_begin(&q, tx, count_events());
    o->events = store_step(&q) ? store_get_i64(&q, "rows") : 0;
    enum err finished = store_finish(&q, NULL, why);
    return e != OK ? e : finished;
}

/* Peak resident memory of this program: what getrusage says is also of the one that started it. */
static long rss_kib(void)
{
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    ASSERT(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    (void)fclose(file);
    return kib;
}

static double seconds_of(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static void follow(struct chain *chain, uint64_t last)
{
    struct chain_status status = {0};
    uint64_t shown = 0;
    while (status.cursor_block < last) {
        (void)chain_wait_block(chain, shown + 1, 100000);
        chain_status_read(chain, &status);
        if (status.cursor_block > shown) {
            shown = status.cursor_block;
            (void)fprintf(stderr, "at %llu\n", (unsigned long long)shown);
        }
        if (status.halted) {
            (void)fprintf(stderr, "index: %s\n", status.halted_why);
            _exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    struct why why = {0};
    struct address address;
    if (argc != 10 || address_parse(slice_text(argv[3]), &address) != OK) {
        (void)fprintf(stderr, "index NODE_URL STORE_URL TOKEN LAST_BLOCK VERIFY RANGE WINDOW "
                              "READERS UNDO\n");
        return 2;
    }
    log_set_fd(-1);
    net_start();
    net_set_forbidden_check(store_in_tx);
    make_catalog();
    transfer.topic = keccak256(slice_text(transfer.signature));
    token.events = &transfer;
    struct store *store = open_store(argv[2]);
    struct rpc_pool *pool = make_pool(argv[1]);
    struct chain_config config = {
        .chain_id = CHAIN,
        .rpc_urls = argv[1],
        .verify = argv[5],
        .poll_usec = 50000,
        .reorg_depth_alert = 3,
        .reorg_depth_max = 12,
        .undo_depth = strtoull(argv[9], NULL, 10),
        .range_max = strtoull(argv[6], NULL, 10),
        .backfill_window = strtoull(argv[7], NULL, 10),
    };
    const struct chain_handler handler = {&token, &transfer, apply, "A transfer."};
    const struct chain_many many = {&token, &transfer, apply_many};
    const struct chain_table table = {
        .handlers = &handler, .handler_count = 1, .many = &many, .many_count = 1};
    const struct chain_source source = {.address = address, .contract = &token};
    struct chain_options options = {
        .config = &config,
        .store = store,
        .rpc = pool,
        .sources = &source,
        .source_count = 1,
        .tables = &table,
        .table_count = 1,
        .readers = (size_t)strtoull(argv[8], NULL, 10),
    };
    struct chain *chain = chain_new(&options);
    struct rusage before, after;
    (void)getrusage(RUSAGE_SELF, &before);
    int64_t started = clock_mono_usec();
    enum err e = chain_start(chain, &why);
    if (e != OK) {
        die("start", &why, e);
    }
    follow(chain, strtoull(argv[4], NULL, 10));
    int64_t took = clock_mono_usec() - started;
    (void)getrusage(RUSAGE_SELF, &after);
    chain_stop(chain);
    struct outcome o = {.events = 0};
    e = store_read(store, read_outcome, &o, &why);
    if (e != OK) {
        die("read", &why, e);
    }
    char digest[2 * HASH_BYTES + 3];
    hex_encode_to(hash_slice(&o.digest), digest);
    (void)printf("{\"events\":%lld,\"seconds\":%.3f,\"cpuSeconds\":%.3f,\"rssKiB\":%ld,"
                 "\"digest\":\"%s\"}\n",
                 (long long)o.events, (double)took / 1e6,
                 seconds_of(&after.ru_utime) + seconds_of(&after.ru_stime) -
                     seconds_of(&before.ru_utime) - seconds_of(&before.ru_stime),
                 rss_kib(), digest);
    chain_free(chain);
    rpc_pool_free(pool);
    store_close(store);
    return 0;
}
