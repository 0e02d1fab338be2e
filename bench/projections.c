/*
 * projections.c: how fast the events of the engine become rows.
 *
 *     build/bench/projections URL FLOW BATCH
 *
 * The flow goes through an engine with balances, rights and fees, and its events are kept in
 * memory; timed is the rest: projections_event for each of them, and a flush, durable when it
 * returns, whenever about BATCH rows wait. In the end the rows are compared with the engine and
 * audited: who writes wrong rows has no figures. URL names an empty database (sqlite:PATH) or a
 * server on which one is made. A settlement is a trade: one row with both fees, and the balances,
 * orders, levels and candles that it changes. Prints one JSON line.
 */
#include "domain/trading/projections/projections.h"
#include "bench/flow.h"
#include "gen/sql_all.h"
#include "kernel/base/clock.h"

struct events {
    struct engine_event *at;
    size_t count;
    size_t capacity;
    uint64_t trades;
};

static void keep(void *ctx, const struct engine_event *ev)
{
    struct events *all = ctx;
    if (all->count == all->capacity) {
        all->capacity = all->capacity != 0 ? 2 * all->capacity : 1 << 16;
        all->at = all->at != NULL ? mem_resize(all->at, all->capacity * sizeof *all->at)
                                  : mem_alloc(all->capacity * sizeof *all->at);
    }
    all->at[all->count++] = *ev;
    all->trades += ev->kind == ENGINE_EVENT_TRADED;
}

static void must(enum err e, const struct why *why)
{
    if (e != OK) {
        (void)fprintf(stderr, "%s: %s\n", err_code(e), why_text(why, e));
        exit(1);
    }
}

static struct store *open_store(const char *url)
{
    const struct store_config config = {.url = url,
                                        .readers = 2,
                                        .writers = 2,
                                        .busy_usec = 2000000,
                                        .connect_usec = 5000000,
                                        .statement_usec = 60000000,
                                        .batch_max = 256,
                                        .synchronous = "full"};
    struct store *store = NULL;
    struct store_version version;
    struct why why = {0};
    must(store_open(&store, &config, &sql_catalog, &why), &why);
    must(store_version_read(store, &version, &why), &why);
    must(store_migrate(store, version.known, &why), &why);
    return store;
}

static void give(void *ctx, const struct engine_command *c)
{
    ASSERT(engine_apply(ctx, c) == ENGINE_OK);
}

static int64_t cpu_usec(void)
{
    struct timespec t;
    ASSERT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000;
}

/* Gives events [from, to) and flushes; the last flush is part of it. */
static void project(struct projections *p, const struct events *all, size_t from, size_t batch)
{
    struct why why = {0};
    for (size_t i = from; i < all->count; i++) {
        projections_event(p, &all->at[i]);
        const bool ends = i + 1 == all->count || all->at[i + 1].index == 0;
        if (ends && projections_waiting(p) >= batch) {
            must(projections_flush(p, &why), &why);
        }
    }
    must(projections_flush(p, &why), &why);
}

int main(int argc, char **argv)
{
    ASSERT(argc == 4);
    const struct flow flow = flow_read(argv[2]);
    const size_t batch = strtoul(argv[3], NULL, 10);
    struct engine_limits limits = engine_limits_default(1u << 18);
    limits.rights = 1u << 18;
    struct engine *engine = engine_new(&limits);
    struct events all = {0};
    struct why why = {0};
    engine_set_sink(engine, &(struct engine_sink){keep, &all, ENGINE_EVERY_KIND});
    flow_set_up(&(struct flow_taker){give, engine}, flow.pairs, true);
    const size_t ready = all.count;
    for (size_t i = 0; i < flow.count; i++) {
        (void)engine_apply(engine, &flow.commands[i]);
    }
    struct store *store = open_store(argv[1]);
    struct projections *p = NULL;
    must(projections_open(&p, store, NULL, &why), &why);
    struct events first = {.at = all.at, .count = ready};
    project(p, &first, 0, batch);
    const int64_t cpu_begin = cpu_usec();
    const int64_t begin = clock_mono_usec();
    project(p, &all, ready, batch);
    const double usec = (double)(clock_mono_usec() - begin);
    const double cpu = (double)(cpu_usec() - cpu_begin);
    struct projections_audit audit;
    must(projections_compare(p, engine, &why), &why);
    must(projections_audit(store, &audit, &why), &why);
    ASSERT(audit.trades == all.trades);
    (void)printf("{\"database\":\"%s\",\"settlements\":%llu,\"settlementsPerSecond\":%.0f,"
                 "\"commandsPerSecond\":%.0f,\"cpuUsecPerSettlement\":%.2f}\n",
                 store_kind(store), (unsigned long long)all.trades, (double)all.trades / usec * 1e6,
                 (double)flow.count / usec * 1e6, cpu / (double)all.trades);
    projections_close(p);
    store_close(store);
    engine_free(engine);
    mem_free(all.at);
    mem_free(flow.commands);
    return 0;
}
