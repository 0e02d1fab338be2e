/*
 * What the job queue takes: enqueueing, completing, waking up, and all of it for minutes.
 *
 *     jobs URL single N             N jobs, each in a transaction of its own, four threads
 *     jobs URL many N               N jobs, a thousand a transaction, two threads
 *     jobs URL drain N PROCESSES BATCH RETENTION_SEC   completes N queued jobs that do nothing
 *     jobs URL latency N            to the start of a handler in another process, from when the
 *                                   commit of its enqueue returned, and from before that
 *     jobs URL steady SECONDS PROCESSES BATCH RETENTION_SEC
 *                                   enqueues as fast as it completes; a line every ten seconds
 *
 * Prints JSON lines. The database is migrated first, and its jobs are deleted by the caller.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/jobs/jobs_admin.h"

#define MANY 1000
#define LATENCY_PAUSE_USEC 5000
#define LATENCY_MAX 100000
#define AHEAD 20000 /* jobs that a steady run keeps queued */

/* Shared by the processes of a run. */
struct shared {
    _Atomic int64_t done;
    _Atomic int64_t enqueued;
    _Atomic int64_t ready; /* processes whose runner is up */
    atomic_bool over;
    int64_t asked_usec[LATENCY_MAX]; /* before the transaction that enqueues */
    int64_t committed_usec[LATENCY_MAX];
    int64_t began_usec[LATENCY_MAX];
};

static struct shared *shared;
static const char *url;

static void fail(const char *what, enum err e, const struct why *why)
{
    fprintf(stderr, "jobs: %s: %s\n", what, why_text(why, e));
    exit(1);
}

static struct store *open_store(void)
{
    const struct store_config config = {.url = url,
                                        .readers = 2,
                                        .writers = 6,
                                        .busy_usec = 30ll * USEC_PER_SEC,
                                        .connect_usec = 10ll * USEC_PER_SEC,
                                        .batch_max = 256,
                                        .synchronous = "full"};
    struct store *store = NULL;
    struct store_version version;
    struct why why = {0};
    enum err e = store_open(&store, &config, &sql_catalog, &why);
    if (e == OK) {
        e = store_version_read(store, &version, &why);
    }
    if (e == OK && version.applied < version.known) {
        e = store_migrate(store, version.known, &why);
    }
    if (e != OK) {
        fail("the database", e, &why);
    }
    return store;
}

/* ---- enqueueing ---- */

static enum err one_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    (void)ctx;
    const struct job_new job = {.kind = "bench.nothing", .payload = SLICE_LIT("{\"n\":1}")};
    return jobs_enqueue(tx, &job, NULL, why);
}

static enum err many_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    const size_t *count = ctx;
    struct job_new jobs[MANY];
    for (size_t i = 0; i < *count; i++) {
        jobs[i] = (struct job_new){.kind = "bench.nothing", .payload = SLICE_LIT("{\"n\":1}")};
    }
    return jobs_enqueue_many(tx, jobs, *count, why);
}

struct filler {
    struct store *store;
    int64_t count;
    bool singly;
};

static void *fill_main(void *arg)
{
    const struct filler *f = arg;
    struct why why = {0};
    for (int64_t left = f->count; left > 0;) {
        size_t n = f->singly ? 1 : (size_t)(left < MANY ? left : MANY);
        enum err e = store_write(f->store, f->singly ? one_fn : many_fn, &n, &why);
        if (e != OK) {
            fail("enqueueing", e, &why);
        }
        left -= (int64_t)n;
    }
    return NULL;
}

static void fill(int64_t count, int threads, bool singly)
{
    pthread_t ids[8];
    ASSERT(threads <= 8);
    struct store *store = open_store();
    struct filler f[8];
    int64_t began = clock_mono_usec();
    for (int i = 0; i < threads; i++) {
        int64_t share = count * (i + 1) / threads - count * i / threads;
        f[i] = (struct filler){.store = store, .count = share, .singly = singly};
        ASSERT(pthread_create(&ids[i], NULL, fill_main, &f[i]) == 0);
    }
    for (int i = 0; i < threads; i++) {
        ASSERT(pthread_join(ids[i], NULL) == 0);
    }
    int64_t usec = clock_mono_usec() - began;
    printf("{\"kind\":\"jobs\",\"what\":\"%s\",\"who\":\"freehold\",\"perSecond\":%.0f}\n",
           singly ? "single" : "many", (double)count * 1e6 / (double)usec);
    store_close(store);
}

/* ---- running ---- */

static enum err run_nothing(struct job_call *call, struct why *why)
{
    (void)call;
    (void)why;
    atomic_fetch_add_explicit(&shared->done, 1, memory_order_relaxed);
    return OK;
}

static enum err run_latency(struct job_call *call, struct why *why)
{
    int64_t now = clock_mono_usec();
    uint64_t n = 0;
    enum err e = json_get_u64(call->payload, "n", &n, why);
    if (e == OK && n < LATENCY_MAX) {
        shared->began_usec[n] = now;
        atomic_fetch_add(&shared->done, 1);
    }
    return e;
}

static const struct job_queue queues[] = {{.name = "bench", .doc = "Measuring."}};
static const struct job_kind kinds[] = {
    {.name = "bench.nothing",
     .queue = "bench",
     .handler = run_nothing,
     .timeout_usec = 60ll * USEC_PER_SEC,
     .doc = "Nothing."},
    {.name = "bench.latency",
     .queue = "bench",
     .handler = run_latency,
     .timeout_usec = 60ll * USEC_PER_SEC,
     .doc = "Notes when it began."},
};
static const struct job_table table = {
    .queues = queues, .queue_count = 1, .kinds = kinds, .kind_count = 2};

struct run {
    uint64_t batch;
    uint64_t threads;
    int64_t retention_usec;
};

static struct jobs *start_runner(struct store *store, const struct run *run)
{
    const struct jobs_config config = {
        .threads = run->threads,
        .claim_batch = run->batch,
        .poll_usec = USEC_PER_SEC,
        .retention_usec = run->retention_usec,
        .dead_alert = 100,
    };
    struct jobs *jobs = NULL;
    struct why why = {0};
    enum err e = jobs_new(&jobs, store, &config, &table, 1, &why);
    if (e == OK) {
        e = jobs_start(jobs, &why);
    }
    if (e != OK) {
        fail("the runner", e, &why);
    }
    return jobs;
}

/* A process with a runner, until `over`. */
static pid_t spawn(const struct run *run)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct store *store = open_store();
        struct jobs *jobs = start_runner(store, run);
        atomic_fetch_add(&shared->ready, 1);
        while (!atomic_load(&shared->over)) {
            clock_sleep_usec(2000);
        }
        jobs_stop(jobs);
        jobs_free(jobs);
        store_close(store);
        _exit(0);
    }
    return pid;
}

static void end_all(int processes)
{
    atomic_store(&shared->over, true);
    for (int i = 0; i < processes; i++) {
        int status = 0;
        (void)wait(&status);
        ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void drain(int64_t count, int processes, const struct run *run)
{
    int64_t began = clock_mono_usec();
    for (int i = 0; i < processes; i++) {
        (void)spawn(run);
    }
    while (atomic_load(&shared->done) < count) {
        clock_sleep_usec(1000);
    }
    int64_t usec = clock_mono_usec() - began;
    end_all(processes);
    int64_t done = atomic_load(&shared->done);
    printf("{\"kind\":\"jobs\",\"what\":\"drain\",\"who\":\"freehold\",\"processes\":%d,"
           "\"batch\":%llu,\"kept\":%s,\"perSecond\":%.0f,\"twice\":%lld}\n",
           processes, (unsigned long long)run->batch, run->retention_usec > 0 ? "true" : "false",
           (double)count * 1e6 / (double)usec, (long long)(done - count));
}

/* ---- waking up ---- */

static enum err timed_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    char payload[64];
    int len = snprintf(payload, sizeof(payload), "{\"n\":%lld}", *(const long long *)ctx);
    const struct job_new job = {.kind = "bench.latency", .payload = slice_of(payload, (size_t)len)};
    return jobs_enqueue(tx, &job, NULL, why);
}

static int compare_usec(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

static void tell_latency(const char *what, const int64_t *from, int64_t count)
{
    static int64_t usec[LATENCY_MAX];
    for (int64_t i = 0; i < count; i++) {
        /* A handler may begin before the one who enqueued has heard of his commit. */
        usec[i] = shared->began_usec[i] > from[i] ? shared->began_usec[i] - from[i] : 0;
    }
    qsort(usec, (size_t)count, sizeof(usec[0]), compare_usec);
    printf("{\"kind\":\"jobs\",\"what\":\"%s\",\"who\":\"freehold\",\"p50Usec\":%lld,"
           "\"p99Usec\":%lld}\n",
           what, (long long)usec[count / 2], (long long)usec[count * 99 / 100]);
}

/* Another process runs them: notification, claim and its commit lie in between. */
static void latency(int64_t count)
{
    const struct run run = {.batch = 64, .threads = 4, .retention_usec = 3600ll * USEC_PER_SEC};
    (void)spawn(&run);
    struct store *store = open_store();
    struct why why = {0};
    while (atomic_load(&shared->ready) == 0) {
        clock_sleep_usec(1000);
    }
    clock_sleep_usec(500000);
    for (long long i = 0; i < count; i++) {
        shared->asked_usec[i] = clock_mono_usec();
        enum err e = store_write(store, timed_fn, &i, &why);
        shared->committed_usec[i] = clock_mono_usec();
        if (e != OK) {
            fail("enqueueing", e, &why);
        }
        clock_sleep_usec(LATENCY_PAUSE_USEC);
    }
    while (atomic_load(&shared->done) < count) {
        clock_sleep_usec(1000);
    }
    end_all(1);
    store_close(store);
    tell_latency("latency", shared->committed_usec, count);
    tell_latency("latency-whole", shared->asked_usec, count);
}

/* ---- for minutes ---- */

static void *feed_main(void *arg)
{
    struct store *store = arg;
    struct why why = {0};
    while (!atomic_load(&shared->over)) {
        size_t n = MANY;
        if (atomic_load(&shared->enqueued) - atomic_load(&shared->done) > AHEAD) {
            clock_sleep_usec(1000);
            continue;
        }
        enum err e = store_write(store, many_fn, &n, &why);
        if (e != OK) {
            fail("enqueueing", e, &why);
        }
        atomic_fetch_add(&shared->enqueued, MANY);
    }
    return NULL;
}

static void steady(int64_t seconds, int processes, const struct run *run)
{
    pthread_t feeder;
    for (int i = 0; i < processes; i++) {
        (void)spawn(run);
    }
    struct store *store = open_store();
    ASSERT(pthread_create(&feeder, NULL, feed_main, store) == 0);
    int64_t before = 0;
    int64_t step_usec = 10ll * USEC_PER_SEC;
    int64_t last = clock_mono_usec();
    for (int64_t s = 10; s <= seconds; s += 10) {
        clock_sleep_usec(step_usec);
        int64_t now = clock_mono_usec();
        int64_t done = atomic_load(&shared->done);
        printf("{\"kind\":\"jobs\",\"what\":\"steady\",\"who\":\"freehold\",\"second\":%lld,"
               "\"perSecond\":%.0f}\n",
               (long long)s, (double)(done - before) * 1e6 / (double)(now - last));
        (void)fflush(stdout);
        before = done;
        last = now;
    }
    end_all(processes);
    ASSERT(pthread_join(feeder, NULL) == 0);
    store_close(store);
}

/* ---- the command line ---- */

static int64_t number(int argc, char **argv, int at)
{
    uint64_t n = 0;
    if (at >= argc || slice_parse_u64(slice_text(argv[at]), &n) != OK) {
        fprintf(stderr, "usage: jobs URL single|many|drain|latency|steady N…\n");
        exit(2);
    }
    return (int64_t)n;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "";
    url = argc > 1 ? argv[1] : "";
    log_set_level(LOG_ERROR);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(shared != MAP_FAILED);
    int64_t n = number(argc, argv, 3);
    if (strcmp(what, "single") == 0) {
        fill(n, 4, true);
    } else if (strcmp(what, "many") == 0) {
        fill(n, 2, false);
    } else if (strcmp(what, "latency") == 0) {
        ASSERT(n > 0 && n <= LATENCY_MAX);
        latency(n);
    } else {
        const struct run run = {.threads = 4,
                                .batch = (uint64_t)number(argc, argv, 5),
                                .retention_usec = number(argc, argv, 6) * USEC_PER_SEC};
        int processes = (int)number(argc, argv, 4);
        if (strcmp(what, "drain") == 0) {
            drain(n, processes, &run);
        } else {
            steady(n, processes, &run);
        }
    }
    return 0;
}
