/*
 * Measures how long an event needs from the node's announcement of its block to its committed row.
 * bench/live.mjs runs it, makes the blocks and the table.
 *
 *     live NODE_URL NODE_WS_URL STORE_URL COIN BLOCKS
 *
 * Follows the coin's Transfers on an empty database as the daemon does (everything verified), hears
 * of blocks over a WebSocket of its own beside the follower's, and measures until chain_wait_block
 * says that the cursor has reached the block. Prints "ready", and after BLOCKS blocks with events
 * one line of JSON.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gen/abi_test_stablecoin.h"
#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/chain/chain.h"
#include "kernel/evm/address.h"
#include "kernel/net/http_client.h"

#define CHAIN 31337
#define BLOCKS_MAX 100000
#define PATIENCE_USEC (120 * (int64_t)USEC_PER_SEC)

struct bench {
    struct store *store;
    struct rpc_pool *rpc;
    struct chain *chain;
    struct address coin;
    struct chain_source source; /* the follower keeps a pointer to it */
    uint64_t blocks;
    _Atomic int64_t heard_usec[BLOCKS_MAX]; /* by number */
};

static void die(const char *what, const struct why *why, enum err e)
{
    (void)fprintf(stderr, "live: %s: %s\n", what, why_text(why, e));
    _exit(1);
}

static void hear(void *ctx, uint64_t number)
{
    struct bench *b = ctx;
    if (number > 0 && number < BLOCKS_MAX) {
        int64_t none = 0;
        (void)atomic_compare_exchange_strong(&b->heard_usec[number], &none, clock_mono_usec());
    }
}

static void open_store(struct bench *b, const char *url)
{
    struct why why = {0};
    struct store_version version;
    struct store_config config = {.url = url,
                                  .readers = 4,
                                  .writers = 4,
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

static void open_pool(struct bench *b, const char *url)
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
    b->rpc = rpc_pool_new(&options);
}

static uint64_t head_of(struct bench *b)
{
    struct why why = {0};
    uint64_t head = 0;
    enum err e = rpc_block_number(b->rpc, &head, &why);
    if (e != OK) {
        die("head", &why, e);
    }
    return head;
}

static void follow(struct bench *b, const char *ws_url)
{
    static const struct chain_table table;
    const struct chain_config config = {
        .chain_id = CHAIN,
        .rpc_timeout_usec = 10 * (int64_t)USEC_PER_SEC,
        .poll_usec = USEC_PER_SEC,
        .reorg_depth_alert = 3,
        .reorg_depth_max = 12,
        .undo_depth = 256,
        .range_max = 256,
    };
    b->source = (struct chain_source){.address = b->coin, .contract = &abi_test_stablecoin};
    const struct chain_options options = {
        .config = &config,
        .store = b->store,
        .rpc = b->rpc,
        .sources = &b->source,
        .source_count = 1,
        .tables = &table,
        .table_count = 1,
        .ws_urls = &ws_url,
        .ws_url_count = 1,
    };
    struct why why = {0};
    b->chain = chain_new(&options);
    enum err e = chain_start(b->chain, &why);
    if (e != OK) {
        die("follow", &why, e);
    }
    if (!chain_wait_block(b->chain, head_of(b), PATIENCE_USEC)) {
        die("catch up", NULL, ERR_INTERNAL);
    }
}

static struct rpc_stream *listen_to(struct bench *b, const char *ws_url)
{
    const struct rpc_stream_options options = {
        .chain_id = CHAIN,
        .urls = &ws_url,
        .url_count = 1,
        .timeout_usec = 10 * (int64_t)USEC_PER_SEC,
        .told = hear,
        .ctx = b,
    };
    struct why why = {0};
    struct rpc_stream *stream = rpc_stream_new(&options);
    enum err e = rpc_stream_start(stream, &why);
    if (e != OK) {
        die("listen", &why, e);
    }
    while (!rpc_stream_is_live(stream) || !rpc_stream_is_live(chain_stream(b->chain))) {
        clock_sleep_usec(1000);
    }
    return stream;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* A block that is committed before it was heard of took no time. */
static int64_t measure(struct bench *b, uint64_t number)
{
    if (!chain_wait_block(b->chain, number, PATIENCE_USEC)) {
        die("a block was not applied", NULL, ERR_INTERNAL);
    }
    int64_t committed = clock_mono_usec();
    int64_t heard = atomic_load(&b->heard_usec[number]);
    for (int i = 0; heard == 0 && i < 1000; i++) {
        clock_sleep_usec(1000);
        heard = atomic_load(&b->heard_usec[number]);
    }
    return heard > 0 && committed > heard ? committed - heard : 0;
}

static void report(struct bench *b, int64_t *usec, size_t count)
{
    struct chain_status status;
    struct rusage use;
    chain_status_read(b->chain, &status);
    (void)getrusage(RUSAGE_SELF, &use);
    qsort(usec, count, sizeof *usec, compare);
    double cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                 (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
    (void)printf("{\"blocks\":%zu,\"events\":%llu,\"p50Usec\":%lld,\"p90Usec\":%lld,"
                 "\"p99Usec\":%lld,\"maxUsec\":%lld,\"cpuSeconds\":%.2f}\n",
                 count, (unsigned long long)status.events, (long long)usec[count / 2],
                 (long long)usec[count * 90 / 100], (long long)usec[count * 99 / 100],
                 (long long)usec[count - 1], cpu);
}

int main(int argc, char **argv)
{
    struct bench *b = mem_alloc(sizeof *b);
    if (argc != 6 || address_parse(slice_text(argv[4]), &b->coin) != OK) {
        (void)fprintf(stderr, "live NODE_URL NODE_WS_URL STORE_URL COIN BLOCKS\n");
        return 2;
    }
    b->blocks = strtoul(argv[5], NULL, 10);
    ASSERT(b->blocks > 0 && b->blocks < BLOCKS_MAX / 2);
    log_set_fd(-1);
    net_start();
    net_set_forbidden_check(store_in_tx);
    open_store(b, argv[3]);
    open_pool(b, argv[1]);
    follow(b, argv[2]);
    struct rpc_stream *stream = listen_to(b, argv[2]);
    uint64_t first = head_of(b) + 1;
    (void)printf("ready\n");
    (void)fflush(stdout);
    int64_t *usec = mem_alloc((size_t)b->blocks * sizeof *usec);
    for (uint64_t i = 0; i < b->blocks; i++) {
        usec[i] = measure(b, first + i);
    }
    report(b, usec, (size_t)b->blocks);
    rpc_stream_stop(stream);
    rpc_stream_free(stream);
    chain_stop(b->chain);
    chain_free(b->chain);
    rpc_pool_free(b->rpc);
    store_close(b->store);
    mem_free(usec);
    mem_free(b);
    return 0;
}
