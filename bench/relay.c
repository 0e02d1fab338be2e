/*
 * Measures the relay: transactions a second from being asked for by many threads to being mined,
 * how long a durable acceptance takes, and what a disturbed node costs. bench/relay.mjs runs it and
 * makes the table.
 *
 *     relay NODE_URL STORE_URL COIN WALLETS COUNT RATE
 *
 * THREADS threads ask for COUNT transactions (mint of the test coin COIN, one unit to an address of
 * its own) in all, each in a transaction of its own that is on the disk before the next begins,
 * RATE a second in all (0: as fast as they can); the wallets share them. The node must know the
 * development accounts, the database be empty. Prints one line of JSON. It ends with status 1
 * unless every transaction was mined, once.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gen/abi_test_stablecoin.h"
#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/crypto/keystore.h"
#include "kernel/evm/address.h"
#include "kernel/net/http_client.h"
#include "kernel/relay/relay.h"

#define THREADS 64
#define WALLETS_MAX 8
#define CHAIN 31337
#define MNEMONIC "test test test test test test test test test test test junk"
#define PATIENCE_USEC (180 * (int64_t)USEC_PER_SEC)

static const struct address holder = {{0xbe, 0x9c}};

struct bench {
    struct store *store;
    struct address coin;
    size_t wallets;
    struct relay_key *keys[WALLETS_MAX];
    struct relay_signer signers[WALLETS_MAX];
    size_t count;
    size_t rate;
    int64_t started_usec;
    _Atomic size_t next;
    int64_t *usec; /* of each acceptance */
};

static void die(const char *what, const struct why *why, enum err e)
{
    (void)fprintf(stderr, "relay: %s: %s\n", what, why_text(why, e));
    _exit(1);
}

struct asking {
    struct arena *arena;
    const struct relay_intent *intent;
    struct slice id;
};

static enum err ask(struct store_tx *tx, void *ctx, struct why *why)
{
    struct asking *a = ctx;
    return relay_submit(tx, a->arena, a->intent, &a->id, why);
}

static void submit(struct bench *b, struct arena *arena, size_t i)
{
    struct why why = {0};
    struct relay_intent intent = {
        .key = slice_format(arena, "bench/%zu", i),
        .chain_id = CHAIN,
        .wallet = b->signers[i % b->wallets].address,
        .has_to = true,
        .to = b->coin,
        .role = "bench",
        .purpose = "bench.mint",
    };
    enum err e = test_stablecoin_mint_encode(arena, &holder, u256_from_u64(1), &intent.data, &why);
    struct asking asking = {.arena = arena, .intent = &intent};
    int64_t begun = clock_mono_usec();
    if (e == OK) {
        e = store_write(b->store, ask, &asking, &why);
    }
    if (e != OK) {
        die("submit", &why, e);
    }
    b->usec[i] = clock_mono_usec() - begun;
}

static void *run_submitter(void *ctx)
{
    struct bench *b = ctx;
    struct arena arena;
    arena_init(&arena, 4096);
    for (size_t i = atomic_fetch_add(&b->next, 1); i < b->count;
         i = atomic_fetch_add(&b->next, 1)) {
        int64_t due = b->rate > 0 ? b->started_usec + (int64_t)(i * USEC_PER_SEC / b->rate) : 0;
        int64_t wait = due - clock_mono_usec();
        if (due > 0 && wait > 0) {
            clock_sleep_usec(wait);
        }
        submit(b, &arena, i);
        arena_clear(&arena);
    }
    arena_free(&arena);
    return NULL;
}

/* ---- what is left to do ---- */

struct counting {
    size_t open;
    size_t mined;
    size_t other;
};

static enum err list_open(struct store_tx *tx, void *ctx, struct why *why)
{
    struct counting *c = ctx;
    struct arena scratch;
    struct relay_wallet_row *rows = NULL;
    size_t count = 0;
    arena_init(&scratch, 0);
    enum err e = relay_wallets(tx, &scratch, CHAIN, &rows, &count, why);
    c->open = 0;
    for (size_t i = 0; e == OK && i < count; i++) {
        c->open += (size_t)rows[i].open;
    }
    arena_free(&scratch);
    return e;
}

static enum err list_all(struct store_tx *tx, void *ctx, struct why *why)
{
    struct counting *c = ctx;
    struct arena scratch;
    struct relay_row *rows = NULL;
    size_t count = 0;
    struct relay_filter filter = {.limit = 100000};
    arena_init(&scratch, 0);
    enum err e = relay_list(tx, &scratch, &filter, &rows, &count, why);
    c->mined = 0;
    c->other = 0;
    for (size_t i = 0; e == OK && i < count; i++) {
        bool mined = rows[i].state == RELAY_MINED;
        c->mined += mined;
        c->other += !mined && !slice_equal_text(rows[i].purpose, "relay.fill");
    }
    arena_free(&scratch);
    return e;
}

static void wait_until_mined(struct bench *b)
{
    struct counting c = {.open = 1};
    struct why why = {0};
    int64_t deadline = clock_mono_usec() + PATIENCE_USEC;
    while (c.open > 0 && clock_mono_usec() < deadline) {
        enum err e = store_read(b->store, list_open, &c, &why);
        if (e != OK) {
            die("count", &why, e);
        }
        clock_sleep_usec(2000);
    }
}

/* ---- the parts ---- */

static void open_store(struct bench *b, const char *url)
{
    struct why why = {0};
    struct store_version version;
    struct store_config config = {.url = url,
                                  .readers = 4,
                                  .writers = 16,
                                  .busy_usec = 2000000,
                                  .connect_usec = 5000000,
                                  .statement_usec = 60000000,
                                  .batch_max = 256,
                                  .synchronous = "full"};
    enum err e = store_open(&b->store, &config, &sql_catalog, &why);
    if (e == OK) {
        e = store_version_read(b->store, &version, &why);
    }
    if (e == OK) {
        e = store_migrate(b->store, version.known, &why);
    }
    if (e != OK) {
        die(url, &why, e);
    }
}

static void make_keys(struct bench *b)
{
    for (uint32_t i = 0; i < b->wallets; i++) {
        struct secret key = {0};
        enum err e = keystore_mnemonic_key(SLICE_LIT(MNEMONIC), i, &key);
        if (e == OK) {
            e = relay_key_new(&key, &b->keys[i]);
        }
        if (e != OK) {
            die("key", NULL, e);
        }
        b->signers[i] = relay_key_signer(b->keys[i]);
        secret_clear(&key);
    }
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

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int report(struct bench *b, int64_t accepted_usec, int64_t mined_usec)
{
    struct counting c = {0};
    struct why why = {0};
    struct rusage use;
    enum err e = store_read(b->store, list_all, &c, &why);
    if (e != OK) {
        die("list", &why, e);
    }
    (void)getrusage(RUSAGE_SELF, &use);
    qsort(b->usec, b->count, sizeof *b->usec, compare);
    double cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                 (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
    (void)printf("{\"mined\":%zu,\"other\":%zu,\"acceptSeconds\":%.3f,\"seconds\":%.3f,"
                 "\"acceptP50Usec\":%lld,\"acceptP99Usec\":%lld,\"cpuSeconds\":%.2f}\n",
                 c.mined, c.other, (double)accepted_usec / 1e6, (double)mined_usec / 1e6,
                 (long long)b->usec[b->count / 2], (long long)b->usec[b->count * 99 / 100], cpu);
    return c.mined >= b->count && c.other == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct relay_policy policies[] = {
        {.role = "bench", .contract = &abi_test_stablecoin}};
    struct bench b = {.count = 0};
    pthread_t threads[THREADS];
    struct why why = {0};
    if (argc != 7 || address_parse(slice_text(argv[3]), &b.coin) != OK) {
        (void)fprintf(stderr, "relay NODE_URL STORE_URL COIN WALLETS COUNT RATE\n");
        return 2;
    }
    b.wallets = (size_t)strtoul(argv[4], NULL, 10);
    b.count = (size_t)strtoul(argv[5], NULL, 10);
    b.rate = (size_t)strtoul(argv[6], NULL, 10);
    ASSERT(b.wallets >= 1 && b.wallets <= WALLETS_MAX && b.count > 0 && b.count <= 100000);
    log_set_fd(-1);
    net_start();
    net_set_forbidden_check(store_in_tx);
    open_store(&b, argv[2]);
    make_keys(&b);
    b.usec = mem_alloc(b.count * sizeof *b.usec);
    struct rpc_pool *pool = make_pool(argv[1]);
    struct relay_config config = {
        .low_percent = 80,
        .high_percent = 150,
        .bump_percent = 13,
        .stuck_usec = 5 * (int64_t)USEC_PER_SEC,
        .poll_usec = 50000,
        .batch_max = 500,
        .inflight_max = 4000,
        .gas_limit_max = 12000000,
        .gas_margin_percent = 20,
        .final_depth = 64,
    };
    struct relay_options options = {
        .config = &config,
        .chain_id = CHAIN,
        .store = b.store,
        .rpc = pool,
        .signers = b.signers,
        .signer_count = b.wallets,
        .policies = policies,
        .policy_count = 1,
    };
    struct relay *relay = relay_new(&options);
    enum err e = relay_start(relay, &why);
    if (e != OK) {
        die("start", &why, e);
    }
    b.started_usec = clock_mono_usec();
    for (size_t i = 0; i < THREADS; i++) {
        ASSERT(pthread_create(&threads[i], NULL, run_submitter, &b) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        ASSERT(pthread_join(threads[i], NULL) == 0);
    }
    int64_t accepted = clock_mono_usec() - b.started_usec;
    wait_until_mined(&b);
    int64_t mined = clock_mono_usec() - b.started_usec;
    relay_stop(relay);
    int status = report(&b, accepted, mined);
    relay_free(relay);
    rpc_pool_free(pool);
    for (size_t i = 0; i < b.wallets; i++) {
        relay_key_free(b.keys[i]);
    }
    mem_free(b.usec);
    store_close(b.store);
    return status;
}
