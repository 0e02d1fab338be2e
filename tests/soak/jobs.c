/*
 * Jobs under kill -9: nothing is lost, nothing takes effect twice, order keys keep their order.
 *
 * The parent forks workers (a runner each) and one process that enqueues in batches; it never opens
 * the database itself. At intervals it kills one of them at random, and starts it again; the
 * enqueuing one goes on behind the last batch that is in the database. Some times in between the
 * database server is killed and started again. Handlers fail at random before and after their
 * effect, which is a row with a unique key in the transaction of jobs_complete.
 *
 * In the environment (default):
 *     SOAK_URL          postgresql://…
 *     SOAK_JOBS         how many (100000)
 *     SOAK_PROCESSES    workers (4)
 *     SOAK_LINES        order keys (500)
 *     SOAK_KILL_MSEC    a process is killed so often (1000)
 *     SOAK_RESTARTS     how often the server is (2)
 *     SOAK_RESTART      the command that does it
 *
 * Prints what it counted; the last line is "N passed, N failed". Exits 0 when all held.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/jobs/jobs_admin.h"
#include "soak/soak_all.c"
#include "soak/soak_sql.c"

#define BATCH 250
#define PROCESSES_MAX 32
#define SOAK_STATEMENTS_MAX 64
#define STATEMENTS_MAX 2048
#define MIGRATIONS_MAX 64
/* The database may be away for a while: connecting, and what is lost with a connection. */
#define PATIENCE_USEC (120ll * USEC_PER_SEC)

/* What processes count for the people who watch; the truth is in the database. */
struct shared {
    _Atomic int64_t effects;
    _Atomic int64_t runs;
    _Atomic int64_t refused; /* completions that came too late */
    _Atomic int64_t failed;  /* on purpose */
    _Atomic int64_t enqueued;
    /* Written by the process that looks. */
    int64_t done;
    int64_t others; /* queued, running, dead or cancelled */
    int64_t stored;
    int64_t distinct;
    int64_t disordered;
};

static struct shared *shared;
static const char *url;
static int64_t job_count;
static int64_t lines;

static int64_t setting(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    uint64_t n = 0;
    if (text == NULL) {
        return otherwise;
    }
    if (slice_parse_u64(slice_text(text), &n) != OK || n > 100000000) {
        fprintf(stderr, "soak: %s is a number, not \"%s\"\n", name, text);
        exit(2);
    }
    return (int64_t)n;
}

/* ---- the catalog: the program's, with what the soak needs behind it ---- */

static struct store_statement soak_statements[SOAK_STATEMENTS_MAX];
static const struct store_statement *statement_list[STATEMENTS_MAX];
static struct store_migration migration_list[MIGRATIONS_MAX];
static struct store_catalog catalog;

static const struct store_statement *soak(const struct store_statement *s)
{
    return &soak_statements[s->id];
}

static void make_catalog(void)
{
    uint16_t n = sql_catalog.statement_count;
    uint16_t m = sql_catalog.migration_count;
    const struct store_catalog *own = &soak_catalog;
    ASSERT(own->statement_count <= SOAK_STATEMENTS_MAX &&
           n + SOAK_STATEMENTS_MAX < STATEMENTS_MAX && m + 1 < MIGRATIONS_MAX);
    for (uint16_t i = 0; i < n; i++) {
        statement_list[i] = sql_catalog.statements[i];
    }
    for (uint16_t i = 0; i < own->statement_count; i++) {
        soak_statements[i] = *own->statements[i];
        soak_statements[i].id = (uint16_t)(n + i);
        statement_list[n + i] = &soak_statements[i];
    }
    for (uint16_t i = 0; i < m; i++) {
        migration_list[i] = sql_catalog.migrations[i];
    }
    migration_list[m] = own->migrations[own->migration_count - 1];
    migration_list[m].version = m + 1u;
    catalog = sql_catalog;
    catalog.statements = statement_list;
    catalog.statement_count = (uint16_t)(n + own->statement_count);
    catalog.migrations = migration_list;
    catalog.migration_count = (uint16_t)(m + 1);
}

/* ---- the database, as often as it takes ---- */

static _Noreturn void give_up(const char *what, enum err e, const struct why *why)
{
    fprintf(stderr, "soak: %s: %s (%s)\n", what, why_text(why, e), err_code(e));
    _exit(3);
}

static bool is_away(enum err e)
{
    return e == ERR_DB_UNAVAILABLE || e == ERR_DB_BUSY || e == ERR_IO;
}

static struct store *open_store(void)
{
    const struct store_config config = {.url = url,
                                        .readers = 2,
                                        .writers = 6,
                                        .busy_usec = 10ll * USEC_PER_SEC,
                                        .connect_usec = 5ll * USEC_PER_SEC,
                                        .statement_usec = 60ll * USEC_PER_SEC,
                                        .batch_max = 256,
                                        .synchronous = "full"};
    int64_t limit = clock_mono_usec() + PATIENCE_USEC;
    struct store *store = NULL;
    struct why why = {0};
    enum err e = store_open(&store, &config, &catalog, &why);
    while (is_away(e) && clock_mono_usec() < limit) {
        clock_sleep_usec(100000);
        e = store_open(&store, &config, &catalog, &why);
    }
    if (e != OK) {
        give_up("opening the database", e, &why);
    }
    return store;
}

static void must(struct store *store, bool writes, store_fn fn, void *ctx, const char *what)
{
    int64_t limit = clock_mono_usec() + PATIENCE_USEC;
    struct why why = {0};
    enum err e = writes ? store_write(store, fn, ctx, &why) : store_read(store, fn, ctx, &why);
    while (is_away(e) && clock_mono_usec() < limit) {
        clock_sleep_usec(100000);
        e = writes ? store_write(store, fn, ctx, &why) : store_read(store, fn, ctx, &why);
    }
    if (e != OK) {
        give_up(what, e, &why);
    }
}

/* ---- a worker ---- */

struct effect {
    struct job_call *call;
    int64_t line;
    int64_t place;
};

static enum err effect_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct effect *f = ctx;
    enum err e = jobs_complete(tx, f->call, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, soak(&soak_sql_effect));
    store_bind_i64(&q, "job", f->line + f->place * lines);
    store_bind_i64(&q, "line", f->line);
    store_bind_i64(&q, "place", f->place);
    return store_finish(&q, NULL, why);
}

static enum err run_job(struct job_call *call, struct why *why)
{
    uint64_t line = 0;
    uint64_t place = 0;
    atomic_fetch_add(&shared->runs, 1);
    enum err e = json_get_u64(call->payload, "line", &line, why);
    if (e == OK) {
        e = json_get_u64(call->payload, "place", &place, why);
    }
    uint64_t luck = rand_below(1000);
    if (e == OK && luck < 10) {
        atomic_fetch_add(&shared->failed, 1);
        return why_set(why, ERR_UPSTREAM, NULL, "Bad luck before the work.");
    }
    struct effect f = {.call = call, .line = (int64_t)line, .place = (int64_t)place};
    e = e == OK ? store_write(call->store, effect_fn, &f, why) : e;
    atomic_fetch_add(&shared->effects, e == OK);
    atomic_fetch_add(&shared->refused, e == ERR_CONFLICT);
    if (e == OK && luck < 20) {
        atomic_fetch_add(&shared->failed, 1);
        return why_set(why, ERR_UPSTREAM, NULL, "Bad luck after the work.");
    }
    return e;
}

static const struct job_queue queues[] = {{.name = "soak", .doc = "Soaking."}};
static const struct job_kind kinds[] = {
    {.name = "soak.effect",
     .queue = "soak",
     .handler = run_job,
     .attempts_max = 1000,
     .backoff = JOB_BACKOFF_FIXED,
     .backoff_usec = 20000,
     .timeout_usec = 60ll * USEC_PER_SEC,
     .doc = "Takes effect once."},
};
static const struct job_table table = {
    .queues = queues, .queue_count = 1, .kinds = kinds, .kind_count = 1};

static _Noreturn void work(void)
{
    const struct jobs_config config = {.threads = 4,
                                       .claim_batch = 64,
                                       .poll_usec = 500000,
                                       .lease_usec = 2ll * USEC_PER_SEC,
                                       .retention_usec = 86400ll * USEC_PER_SEC,
                                       .dead_alert = 0};
    struct jobs *jobs = NULL;
    struct why why = {0};
    enum err e = jobs_new(&jobs, open_store(), &config, &table, 1, &why);
    if (e == OK) {
        e = jobs_start(jobs, &why);
    }
    if (e != OK) {
        give_up("starting a runner", e, &why);
    }
    for (;;) {
        pause();
    }
}

/* ---- who enqueues ---- */

static enum err count_batches_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    int64_t *count = ctx;
    struct store_query q;
    store_begin(&q, tx, soak(&soak_sql_batches));
    if (store_step(&q)) {
        *count = store_get_i64(&q, "count");
    }
    return store_finish_one(&q, "count", why);
}

/* One whose outcome is unknown fails at the batch's key the second time. */
static enum err batch_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    const int64_t *batch = ctx;
    struct arena scratch;
    struct job_new jobs[BATCH];
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, soak(&soak_sql_batch));
    store_bind_i64(&q, "batch", *batch);
    enum err e = store_finish(&q, NULL, why);
    arena_init(&scratch, 0);
    for (int64_t i = *batch * BATCH; i < (*batch + 1) * BATCH && i < job_count; i++) {
        long long line = (long long)(i % lines);
        jobs[count++] = (struct job_new){
            .kind = "soak.effect",
            .order_key = slice_format(&scratch, "line/%lld", line),
            .priority = (int32_t)(i % 3),
            .payload = slice_format(&scratch, "{\"line\":%lld,\"place\":%lld}", line,
                                    (long long)(i / lines)),
        };
    }
    e = e == OK ? jobs_enqueue_many(tx, jobs, count, why) : e;
    arena_free(&scratch);
    return e;
}

static _Noreturn void enqueue(void)
{
    struct store *store = open_store();
    int64_t batch = 0;
    must(store, false, count_batches_fn, &batch, "counting batches");
    while (batch * BATCH < job_count) {
        struct why why = {0};
        enum err e = store_write(store, batch_fn, &batch, &why);
        if (e != OK && !is_away(e) && e != ERR_DB_CONSTRAINT) {
            give_up("enqueueing", e, &why);
        }
        if (e != OK) {
            clock_sleep_usec(50000);
        }
        must(store, false, count_batches_fn, &batch, "counting batches");
        atomic_store(&shared->enqueued, batch * BATCH);
    }
    store_close(store);
    _exit(0);
}

/* ---- who looks ---- */

/* How many jobs of a kind are in a state, as far as one page goes. */
static enum err count_kind(struct store_tx *tx, enum job_state state, const char *kind,
                           int64_t *out, struct why *why)
{
    const struct job_filter filter = {
        .state = state, .kinds = &kind, .kind_count = 1, .limit = JOBS_LIST_MAX};
    struct arena scratch;
    struct job_row *rows = NULL;
    size_t count = 0;
    arena_init(&scratch, 0);
    enum err e = jobs_list(tx, &scratch, &filter, &rows, &count, why);
    arena_free(&scratch);
    *out = (int64_t)count;
    return e;
}

/* All that are done are ours, but for the queue's own housekeeping. */
static enum err look_at_jobs(struct store_tx *tx, struct why *why)
{
    int64_t done = 0;
    int64_t swept = 0;
    int64_t others = 0;
    enum err e = jobs_count(tx, JOB_DONE, &done, why);
    if (e == OK) {
        e = count_kind(tx, JOB_DONE, "jobs.sweep", &swept, why);
    }
    for (int s = JOB_QUEUED; e == OK && s <= JOB_CANCELLED; s++) {
        int64_t count = 0;
        e = s == JOB_DONE ? OK : count_kind(tx, (enum job_state)s, "soak.effect", &count, why);
        others += count;
    }
    shared->done = done - swept;
    shared->others = others;
    return e;
}

static enum err look_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    (void)ctx;
    struct store_query q;
    enum err e = look_at_jobs(tx, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, soak(&soak_sql_counts));
    if (store_step(&q)) {
        shared->stored = store_get_i64(&q, "effects");
        shared->distinct = store_get_i64(&q, "jobs");
        shared->disordered = store_get_i64(&q, "disordered");
    }
    return store_finish_one(&q, "counts", why);
}

static _Noreturn void look(void)
{
    struct store *store = open_store();
    must(store, false, look_fn, NULL, "counting");
    store_close(store);
    _exit(0);
}

static _Noreturn void migrate(void)
{
    struct store *store = open_store();
    struct why why = {0};
    enum err e = store_migrate(store, catalog.migration_count, &why);
    if (e != OK) {
        give_up("migrating", e, &why);
    }
    store_close(store);
    _exit(0);
}

/* ---- the parent ---- */

static pid_t spawn(void (*run)(void))
{
    (void)fflush(stdout);
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0) {
        run();
    }
    return pid;
}

/* Runs to its end; a failure of it ends the soak. */
static void run_through(void (*run)(void))
{
    int status = 0;
    pid_t pid = spawn(run);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        printf("0 passed, 1 failed\n");
        exit(1);
    }
}

struct soak {
    pid_t pids[PROCESSES_MAX]; /* the first one enqueues, until it is done */
    size_t count;
    bool enqueued;
    int64_t kills;
    int64_t restarts;
    int64_t crashes; /* processes that ended by themselves */
};

static void start(struct soak *s, size_t i)
{
    s->pids[i] = spawn(i == 0 ? enqueue : work);
}

/* A process that ended: killed by us, or of its own, which only the one who enqueues may. */
static void bury(struct soak *s, pid_t pid, int status)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->pids[i] != pid) {
            continue;
        }
        s->pids[i] = -1;
        if (i == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            s->enqueued = true;
            return;
        }
        s->crashes += !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL;
        start(s, i);
    }
}

static void bury_all(struct soak *s)
{
    int status = 0;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
        bury(s, pid, status);
    }
}

static void kill_one(struct soak *s)
{
    size_t first = s->enqueued ? 1 : 0;
    size_t i = first + (size_t)rand_below(s->count - first);
    if (kill(s->pids[i], SIGKILL) == 0) {
        int status = 0;
        s->kills++;
        (void)waitpid(s->pids[i], &status, 0);
        bury(s, s->pids[i], status);
    }
}

static void restart_server(struct soak *s)
{
    const char *command = getenv("SOAK_RESTART");
    if (command == NULL) {
        return;
    }
    int status = 0;
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    (void)waitpid(pid, &status, 0);
    ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    s->restarts++;
}

static void tell(const struct soak *s, int64_t seconds)
{
    printf("%4lld s: %lld enqueued, %lld effects, %lld runs, %lld kills, %lld restarts\n",
           (long long)seconds, (long long)atomic_load(&shared->enqueued),
           (long long)atomic_load(&shared->effects), (long long)atomic_load(&shared->runs),
           (long long)s->kills, (long long)s->restarts);
    (void)fflush(stdout);
}

/* Until the database says that all is done; the counters in memory only say when to ask it. */
static void soak_all(struct soak *s, int64_t kill_usec, int64_t restarts)
{
    int64_t began = clock_mono_usec();
    int64_t next_kill = began + kill_usec;
    int64_t next_look = began + 10ll * USEC_PER_SEC;
    while (!s->enqueued || shared->stored < job_count || shared->others > 0) {
        clock_sleep_usec(20000);
        bury_all(s);
        int64_t now = clock_mono_usec();
        if (now >= next_kill) {
            kill_one(s);
            next_kill = now + kill_usec;
        }
        if (s->restarts < restarts &&
            atomic_load(&shared->effects) > job_count * (s->restarts + 1) / (restarts + 1)) {
            restart_server(s);
        }
        bool nearly = s->enqueued && atomic_load(&shared->effects) >= job_count * 99 / 100;
        if (now >= next_look || (nearly && now >= next_look - 9ll * USEC_PER_SEC)) {
            tell(s, (now - began) / USEC_PER_SEC);
            run_through(look);
            next_look = clock_mono_usec() + 10ll * USEC_PER_SEC;
        }
    }
    for (size_t i = 1; i < s->count; i++) {
        (void)kill(s->pids[i], SIGKILL);
        (void)waitpid(s->pids[i], NULL, 0);
    }
    tell(s, (clock_mono_usec() - began) / USEC_PER_SEC);
}

static int held(const char *what, int64_t is, int64_t should)
{
    printf("%-44s %10lld  %s\n", what, (long long)is,
           is == should ? "as it should" : "NOT AS IT SHOULD");
    return is == should;
}

int main(void)
{
    url = getenv("SOAK_URL");
    job_count = setting("SOAK_JOBS", 100000);
    lines = setting("SOAK_LINES", 500);
    int64_t processes = setting("SOAK_PROCESSES", 4);
    int64_t kill_usec = setting("SOAK_KILL_MSEC", 1000) * 1000;
    int64_t restarts = setting("SOAK_RESTARTS", 2);
    if (url == NULL || lines == 0 || processes == 0 || processes + 1 > PROCESSES_MAX) {
        fprintf(stderr, "soak: SOAK_URL names a PostgreSQL database; see tests/soak/jobs.c\n");
        return 2;
    }
    log_set_fd(-1);
    make_catalog();
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(shared != MAP_FAILED);
    run_through(migrate);
    struct soak s = {.count = (size_t)processes + 1};
    for (size_t i = 0; i < s.count; i++) {
        start(&s, i);
    }
    soak_all(&s, kill_usec, restarts);
    run_through(look);
    printf("processes killed %lld, server killed %lld, runs %lld, failed on purpose %lld, refused "
           "because late %lld\n",
           (long long)s.kills, (long long)s.restarts, (long long)atomic_load(&shared->runs),
           (long long)atomic_load(&shared->failed), (long long)atomic_load(&shared->refused));
    int passed = held("effects", shared->stored, job_count);
    passed += held("jobs with an effect", shared->distinct, job_count);
    passed += held("jobs done", shared->done, job_count);
    passed += held("jobs queued, running, dead or cancelled", shared->others, 0);
    passed += held("effects out of the order of their key", shared->disordered, 0);
    passed += held("processes that ended by themselves", s.crashes, 0);
    printf("%d passed, %d failed\n", passed, 6 - passed);
    return passed == 6 ? 0 : 1;
}
