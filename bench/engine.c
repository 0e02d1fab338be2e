/*
 * engine.c: how fast the matching engine is, on the flows of tests/orderflow.
 *
 *     build/bench/engine FLOW MIX DIR
 *
 * The flow is read into memory first; only the loop over its operations is timed, while the hash
 * of all trades is computed, and a hash other than MIX (manifest.txt) ends the program: a wrong
 * engine has no figures. Five runs each, median and best, as JSON lines. DIR is for journals.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/flow.h"
#include "domain/trading/journal/journal.h"
#include "kernel/base/clock.h"

#define RUNS 5
#define FILE_BYTES (UINT64_C(256) << 20)
#define HINT 4 /* commands ahead, twice: the queue of a venue shows as many */

enum mode { MATCHING, SETTLING, DURABLE };

/* ---- one venue ---- */

struct venue {
    struct engine *engine;
    struct journal *journal;
    uint64_t mix;
};

static void on_trade(void *ctx, const struct engine_event *ev)
{
    struct venue *v = ctx;
    const uint64_t words[] = {ev->order, ev->other, (uint64_t)ev->price, (uint64_t)ev->qty};
    for (size_t i = 0; i < 4; i++) {
        v->mix = (v->mix ^ words[i]) * UINT64_C(0x9E3779B97F4A7C15);
        v->mix ^= v->mix >> 32;
    }
}

static void give(void *ctx, const struct engine_command *c)
{
    struct venue *v = ctx;
    if (v->journal != NULL) {
        (void)journal_append(v->journal, c);
    }
    ASSERT(engine_apply(v->engine, c) == ENGINE_OK);
}

static void set_up(struct venue *v, uint32_t pairs, bool settled)
{
    flow_set_up(&(struct flow_taker){give, v}, pairs, settled);
}

static void empty_folder(const char *dir)
{
    DIR *d = opendir(dir);
    if (d == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(d)) != NULL) {
        char path[600];
        (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (entry->d_name[0] != '.') {
            (void)unlink(path);
        }
    }
    (void)closedir(d);
}

static struct venue venue_new(uint32_t pairs, enum mode mode, const char *dir)
{
    struct venue v = {.mix = UINT64_C(0xcbf29ce484222325)};
    struct engine_limits limits = engine_limits_default(1u << 18);
    limits.rights = 1u << 18;
    struct journal_recovery recovery;
    struct why why = {0};
    if (mode == DURABLE) {
        const struct journal_config config = {
            .dir = dir, .limits = limits, .file_bytes = FILE_BYTES};
        empty_folder(dir);
        if (journal_open(&v.journal, &config, &v.engine, &recovery, &why) != OK) {
            (void)fprintf(stderr, "%s\n", why.text);
            exit(1);
        }
    } else {
        v.engine = engine_new(&limits);
    }
    set_up(&v, pairs, mode != MATCHING);
    if (v.journal != NULL) {
        ASSERT(journal_wait(v.journal, engine_seq(v.engine), NULL) == OK);
    }
    return v;
}

static void venue_clear(struct venue *v)
{
    journal_close(v->journal);
    engine_free(v->engine);
}

/* ---- measuring ---- */

/* What the process (all threads) has used of the processors. */
static int64_t cpu_usec(void)
{
    struct timespec t;
    ASSERT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Millions of operations a second of wall time, and of processor time. */
struct rate {
    double wall;
    double cpu;
};

static struct rate run_once(const struct flow *flow, enum mode mode, const char *dir, uint64_t mix)
{
    struct venue v = venue_new(flow->pairs, mode, dir);
    engine_set_sink(v.engine, &(struct engine_sink){on_trade, &v, 1u << ENGINE_EVENT_TRADED});
    const int64_t cpu_begin = cpu_usec();
    const int64_t begin = clock_mono_usec();
    for (size_t i = 0; i < flow->count; i++) {
        if (i + 2 * HINT < flow->count) {
            engine_hint(v.engine, &flow->commands[i + HINT], &flow->commands[i + 2 * HINT]);
        }
        if (mode == DURABLE) {
            (void)journal_append(v.journal, &flow->commands[i]);
        }
        (void)engine_apply(v.engine, &flow->commands[i]);
    }
    if (mode == DURABLE) {
        ASSERT(journal_wait(v.journal, engine_seq(v.engine), NULL) == OK);
    }
    const int64_t usec = clock_mono_usec() - begin;
    const int64_t cpu = cpu_usec() - cpu_begin;
    if (v.mix != mix) {
        (void)fprintf(stderr, "wrong trades: mix %016llx\n", (unsigned long long)v.mix);
        exit(1);
    }
    venue_clear(&v);
    return (struct rate){.wall = (double)flow->count / (double)usec,
                         .cpu = (double)flow->count / (double)cpu};
}

static void report(const char *name, double *values, const char *unit)
{
    qsort(values, RUNS, sizeof values[0], by_value);
    (void)printf("{\"what\":\"%s\",\"unit\":\"%s\",\"median\":%.3f,\"best\":%.3f}\n", name, unit,
                 values[RUNS / 2], values[RUNS - 1]);
    (void)fflush(stdout);
}

/* ---- acknowledgement at a pace ---- */

struct pace {
    struct journal *journal;
    _Atomic int64_t *appended_usec;
    uint64_t first;
    uint64_t last;
    double *latency_usec;
};

static void *acknowledge(void *arg)
{
    struct pace *p = arg;
    for (uint64_t seq = p->first; seq <= p->last;) {
        ASSERT(journal_wait(p->journal, seq, NULL) == OK);
        const int64_t now = clock_mono_usec();
        for (const uint64_t durable = journal_durable(p->journal); seq <= durable && seq <= p->last;
             seq++) {
            const uint64_t i = seq - p->first;
            p->latency_usec[i] = (double)(now - atomic_load(&p->appended_usec[i]));
        }
    }
    return NULL;
}

static void paced(const struct flow *flow, const char *dir, unsigned per_second)
{
    struct venue v = venue_new(flow->pairs, DURABLE, dir);
    const size_t count = flow->count < 2u * per_second ? flow->count : 2u * per_second;
    struct pace p = {.journal = v.journal, .first = engine_seq(v.engine) + 1};
    pthread_t thread;
    p.last = p.first + count - 1;
    p.appended_usec = mem_alloc(count * sizeof *p.appended_usec);
    p.latency_usec = mem_alloc(count * sizeof *p.latency_usec);
    ASSERT(pthread_create(&thread, NULL, acknowledge, &p) == 0);
    const int64_t begin = clock_mono_usec();
    for (size_t i = 0; i < count;) {
        const int64_t now = clock_mono_usec();
        const size_t due = (size_t)((now - begin) * per_second / USEC_PER_SEC);
        for (; i < count && i < due; i++) {
            atomic_store(&p.appended_usec[i], now);
            (void)journal_append(v.journal, &flow->commands[i]);
            (void)engine_apply(v.engine, &flow->commands[i]);
        }
        clock_sleep_usec(50); /* arrivals come in bunches; nobody spins */
    }
    (void)pthread_join(thread, NULL);
    qsort(p.latency_usec, count, sizeof p.latency_usec[0], by_value);
    (void)printf("{\"what\":\"acknowledged at %u/s\",\"unit\":\"usec\",\"p50\":%.0f,\"p90\":%.0f,"
                 "\"p99\":%.0f}\n",
                 per_second, p.latency_usec[count / 2], p.latency_usec[count * 9 / 10],
                 p.latency_usec[count * 99 / 100]);
    mem_free(p.appended_usec);
    mem_free(p.latency_usec);
    venue_clear(&v);
}

/* ---- replay and a snapshot of a million orders ---- */

static double replay_once(const char *dir)
{
    struct engine *engine = NULL;
    struct journal_recovery recovery;
    struct why why = {0};
    const int64_t begin = clock_mono_usec();
    if (journal_replay(dir, &(struct journal_replay){0}, &engine, &recovery, &why) != OK) {
        (void)fprintf(stderr, "%s\n", why.text);
        exit(1);
    }
    const int64_t usec = clock_mono_usec() - begin;
    engine_free(engine);
    return (double)recovery.last_seq / (double)usec;
}

static void snapshot_of_a_million(const char *dir)
{
    struct engine_limits limits = engine_limits_default(1u << 20);
    limits.rights = 1u << 18;
    struct journal_config config = {.dir = dir, .limits = limits, .file_bytes = FILE_BYTES};
    struct venue v = {0};
    struct journal_recovery recovery;
    empty_folder(dir);
    ASSERT(journal_open(&v.journal, &config, &v.engine, &recovery, NULL) == OK);
    set_up(&v, 100, true);
    for (uint64_t id = 1; id <= 1000000; id++) {
        struct engine_command c = {.op = ENGINE_OP_NEW, .side = id & 1};
        c.order = (struct engine_order_in){.id = id,
                                           .price = (id & 1) != 0 ? 10001 + (int64_t)(id % 997)
                                                                  : 10000 - (int64_t)(id % 997),
                                           .qty = 5,
                                           .account = 1 + (uint32_t)(id % 1000),
                                           .pair = (uint32_t)(id / 2 % 100)};
        give(&v, &c);
    }
    ASSERT(journal_snapshot(v.journal, v.engine, NULL) == OK);
    venue_clear(&v);
    const int64_t begin = clock_mono_usec();
    ASSERT(journal_open(&v.journal, &config, &v.engine, &recovery, NULL) == OK);
    const int64_t usec = clock_mono_usec() - begin;
    ASSERT(engine_open_orders(v.engine) == 1000000);
    (void)printf("{\"what\":\"ready from a snapshot of a million open orders\",\"unit\":\"sec\","
                 "\"median\":%.3f,\"best\":%.3f}\n",
                 (double)usec / 1e6, (double)usec / 1e6);
    venue_clear(&v);
}

int main(int argc, char **argv)
{
    double values[RUNS];
    ASSERT(argc == 4 || argc == 5);
    const struct flow flow = flow_read(argv[1]);
    const uint64_t mix = strtoull(argv[2], NULL, 16);
    const char *dir = argv[3];
    const char *const names[] = {"matching", "with balances and rights and fees",
                                 "the same and the durable journal"};
    const unsigned modes = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 3;
    for (unsigned mode = MATCHING; mode < modes; mode++) {
        double cpu[RUNS];
        for (unsigned i = 0; i < RUNS; i++) {
            const struct rate rate = run_once(&flow, (enum mode)mode, dir, mix);
            values[i] = rate.wall;
            cpu[i] = rate.cpu;
        }
        report(names[mode], values, "M ops/s");
        report(names[mode], cpu, "M ops/s of CPU");
    }
    if (modes == 3) {
        for (unsigned i = 0; i < RUNS; i++) {
            values[i] = replay_once(dir);
        }
        report("replay", values, "M records/s");
        paced(&flow, dir, 250000);
        snapshot_of_a_million(dir);
    }
    empty_folder(dir);
    (void)rmdir(dir);
    mem_free(flow.commands);
    return 0;
}
