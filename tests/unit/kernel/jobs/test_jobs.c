/*
 * Jobs on a real store with real threads and processes. The effect of a job is a ledger transfer
 * with an id of its own for each time, made in the transaction of jobs_complete: a job that took
 * effect twice has a balance of two.
 */
#include "kernel/jobs/jobs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "kernel/base/log.h"
#include "kernel/base/metric.h"
#include "kernel/base/rand.h"
#include "kernel/ledger/ledger.h"
#include "unit/support.h"

#define S(text) SLICE_LIT(text)
#define MSEC 1000ll
#define RUNS_MAX 4096

/* ---- what handlers do and report ---- */

/* Shared with the handlers of one test. */
struct env {
    atomic_int runs;
    atomic_int refused; /* completions that came too late */
    atomic_int effects;
    atomic_int effective;  /* the attempt that took effect last */
    atomic_int concurrent; /* handlers at this moment */
    atomic_int concurrent_max;
    atomic_bool gate; /* handlers of "gated" wait for it */
    atomic_int recorded;
    int64_t ids[RUNS_MAX]; /* in the order of their start */
    int64_t at_usec[RUNS_MAX];
    uint32_t attempts[RUNS_MAX];
};

static struct env env;
static struct support_store fixture;

static void record(const struct job_call *call)
{
    int i = atomic_fetch_add(&env.recorded, 1);
    if (i < RUNS_MAX) {
        env.ids[i] = call->id;
        env.at_usec[i] = clock_mono_usec();
        env.attempts[i] = call->attempt;
    }
    atomic_fetch_add(&env.runs, 1);
}

static enum err effect_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct job_call *call = ctx;
    struct arena scratch;
    arena_init(&scratch, 1024);
    struct ledger_transfer t = {
        .id = slice_format(&scratch, "effect/%lld/%016llx", (long long)call->id,
                           (unsigned long long)rand_u64()),
        .book = S("effects"),
        .debit = S("source"),
        .credit = slice_format(&scratch, "job/%lld", (long long)call->id),
        .amount = u256_from_u64(1),
        .kind = S("test.effect"),
        .cause = S("test"),
    };
    enum err e = ledger_post(tx, &t, 1, why);
    arena_free(&scratch);
    return e == OK ? jobs_complete(tx, call, why) : e;
}

static enum err take_effect(struct job_call *call, struct why *why)
{
    enum err e = store_write(call->store, effect_fn, call, why);
    if (e == ERR_CONFLICT) {
        atomic_fetch_add(&env.refused, 1);
    } else if (e == OK) {
        atomic_store(&env.effective, (int)call->attempt);
        atomic_fetch_add(&env.effects, 1);
    }
    return e;
}

static enum err run_effect(struct job_call *call, struct why *why)
{
    record(call);
    return take_effect(call, why);
}

static enum err run_nothing(struct job_call *call, struct why *why)
{
    (void)why;
    record(call);
    return OK;
}

/* Fails, hangs and answers wrongly at random, and still takes effect once. */
static enum err run_wild(struct job_call *call, struct why *why)
{
    record(call);
    uint64_t luck = rand_below(100);
    if (luck < 25) {
        return why_set(why, ERR_UPSTREAM, NULL, "Bad luck.");
    }
    if (luck < 29) {
        clock_sleep_usec(400 * MSEC); /* beyond the time limit, and then on as if nothing was */
    }
    enum err e = take_effect(call, why);
    if (e == OK && luck >= 90) {
        return why_set(why, ERR_UPSTREAM, NULL, "Bad luck after the work.");
    }
    return e;
}

static enum err run_briefly(struct job_call *call, struct why *why)
{
    record(call);
    clock_sleep_usec((int64_t)rand_below(4000));
    return take_effect(call, why);
}

static enum err run_long(struct job_call *call, struct why *why)
{
    record(call);
    clock_sleep_usec(900 * MSEC);
    return take_effect(call, why);
}

static enum err run_with_heartbeats(struct job_call *call, struct why *why)
{
    record(call);
    for (int i = 0; i < 8; i++) {
        clock_sleep_usec(100 * MSEC);
        enum err e = jobs_heartbeat(call, why);
        if (e != OK) {
            return e;
        }
    }
    return take_effect(call, why);
}

static enum err run_hung_once(struct job_call *call, struct why *why)
{
    record(call);
    if (call->attempt == 1) {
        clock_sleep_usec(2000 * MSEC);
        assert_int_equal(jobs_heartbeat(call, NULL), ERR_CONFLICT);
    }
    return take_effect(call, why);
}

/* The first attempt comes back while the second is at work. */
static enum err run_overtaken(struct job_call *call, struct why *why)
{
    record(call);
    for (int i = 0; call->attempt > 1 && i < 12; i++) {
        clock_sleep_usec(100 * MSEC);
        enum err e = jobs_heartbeat(call, why);
        if (e != OK) {
            return e;
        }
    }
    clock_sleep_usec(call->attempt == 1 ? 800 * MSEC : 0);
    return take_effect(call, why);
}

static void enter(void)
{
    int now = atomic_fetch_add(&env.concurrent, 1) + 1;
    if (now > atomic_load(&env.concurrent_max)) {
        atomic_store(&env.concurrent_max, now);
    }
}

static enum err run_innocent(struct job_call *call, struct why *why)
{
    record(call);
    enter();
    clock_sleep_usec(120 * MSEC);
    atomic_fetch_sub(&env.concurrent, 1);
    return take_effect(call, why);
}

static enum err run_refusing(struct job_call *call, struct why *why)
{
    record(call);
    return why_set(why, ERR_INVALID_FIELD, "payload", "This will never work.");
}

static enum err run_failing_while_gated(struct job_call *call, struct why *why)
{
    record(call);
    return atomic_load(&env.gate) ? OK : why_set(why, ERR_UPSTREAM, NULL, "Not yet.");
}

static enum err run_gated(struct job_call *call, struct why *why)
{
    (void)why;
    record(call);
    enter();
    while (!atomic_load(&env.gate)) {
        clock_sleep_usec(2 * MSEC);
    }
    atomic_fetch_sub(&env.concurrent, 1);
    return OK;
}

static enum err run_killing(struct job_call *call, struct why *why)
{
    (void)call;
    (void)why;
    kill(getpid(), SIGKILL);
    return OK;
}

static enum err run_stopping(struct job_call *call, struct why *why)
{
    record(call);
    return why_set(why, ERR_STOPPING, NULL, "Another time.");
}

#define KIND(name_, handler_, attempts, timeout)                                                   \
    {                                                                                              \
        .name = name_, .queue = "test", .handler = handler_, .attempts_max = attempts,             \
        .backoff = JOB_BACKOFF_FIXED, .backoff_usec = 10 * MSEC, .timeout_usec = timeout,          \
        .doc = "Test."                                                                             \
    }

static const struct job_kind kinds[] = {
    KIND("effect", run_effect, 5, 5000 * MSEC),
    KIND("nothing", run_nothing, 5, 5000 * MSEC),
    KIND("wild", run_wild, 1000, 150 * MSEC),
    KIND("brief", run_briefly, 1000, 5000 * MSEC),
    KIND("long", run_long, 2, 5000 * MSEC),
    KIND("heartbeats", run_with_heartbeats, 2, 250 * MSEC),
    KIND("hung_once", run_hung_once, 3, 150 * MSEC),
    KIND("overtaken", run_overtaken, 3, 300 * MSEC),
    KIND("hung_last", run_hung_once, 1, 150 * MSEC),
    KIND("refusing", run_refusing, 5, 5000 * MSEC),
    KIND("failing", run_failing_while_gated, 3, 5000 * MSEC),
    KIND("gated", run_gated, 5, 60000 * MSEC),
    KIND("killing", run_killing, 2, 5000 * MSEC),
    KIND("innocent", run_innocent, 1, 5000 * MSEC),
    KIND("stopping", run_stopping, 1, 5000 * MSEC),
};

static const struct job_table table = {.kinds = kinds,
                                       .kind_count = sizeof(kinds) / sizeof(kinds[0])};

/* ---- fixture ---- */

/* Closes the store for it: a second program is not let in. */
static void raw_run(const char *sql)
{
    sqlite3 *db = NULL;
    store_close(fixture.store);
    fixture.store = NULL;
    assert_int_equal(sqlite3_open(fixture.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    struct why why = {0};
    assert_int_equal(support_store_start(&fixture, &why), OK);
}

static int open_fixture(void **state)
{
    (void)state;
    log_set_fd(-1);
    memset(&env, 0, sizeof(env));
    support_store_open(&fixture, &sql_catalog);
    /* The sweep's slot is taken, so that it does not run into a test on the full ten minutes. */
    raw_run("INSERT INTO job_crons (name, slot, fired) "
            "VALUES ('jobs.sweep', strftime('%s', 'now') / 600 + 1, 0)");
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    support_store_close(&fixture);
    return 0;
}

/* Leases that run out while a test waits. */
static const struct jobs_config quick = {
    .threads = 4,
    .claim_batch = 16,
    .poll_usec = 50 * MSEC,
    .lease_usec = 300 * MSEC,
    .retention_usec = 3600 * 1000 * MSEC,
    .dead_retention_usec = 3600 * 1000 * MSEC,
    .dead_alert = 100,
};

/* Where losing a lease would be a failure: a busy machine may stand still for a while. */
static const struct jobs_config calm = {
    .threads = 4,
    .claim_batch = 16,
    .poll_usec = 50 * MSEC,
    .lease_usec = 600 * MSEC,
    .retention_usec = 3600 * 1000 * MSEC,
    .dead_retention_usec = 3600 * 1000 * MSEC,
    .dead_alert = 100,
};

static struct jobs *start_table(const struct jobs_config *config, const struct job_table *tables)
{
    struct why why = {0};
    struct jobs *jobs = jobs_new(fixture.store, config, tables, 1);
    enum err e = jobs_start(jobs, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    return jobs;
}

static struct jobs *start(const struct jobs_config *config)
{
    return start_table(config, &table);
}

static void end(struct jobs *jobs)
{
    jobs_stop(jobs);
    jobs_free(jobs);
}

/* ---- transactions of one call ---- */

struct call {
    enum { ENQUEUE, REPLAY, CANCEL, COUNT } what;
    struct job_new job;
    size_t repeat;
    enum job_state state;
    int64_t id;
    int64_t count;
};

static enum err call_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct call *c = ctx;
    switch (c->what) {
    case ENQUEUE: {
        enum err e = OK;
        for (size_t i = 0; e == OK && i < c->repeat; i++) {
            e = jobs_enqueue(tx, &c->job, &c->id, why);
        }
        return e;
    }
    case REPLAY:
        return jobs_replay(tx, c->id, &c->count, why);
    case CANCEL:
        return jobs_cancel(tx, c->id, why);
    case COUNT:
        return jobs_count(tx, c->state, &c->count, why);
    }
    return ERR_INTERNAL;
}

static int64_t enqueue_job(struct job_new job, size_t repeat)
{
    struct call c = {.what = ENQUEUE, .job = job, .repeat = repeat};
    struct why why = {0};
    enum err e = store_write(fixture.store, call_fn, &c, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    return c.id;
}

static int64_t enqueue(const char *kind)
{
    return enqueue_job((struct job_new){.kind = kind}, 1);
}

static int64_t count_in(enum job_state state)
{
    struct call c = {.what = COUNT, .state = state};
    assert_int_equal(store_read(fixture.store, call_fn, &c, NULL), OK);
    return c.count;
}

static enum err replay(int64_t id, int64_t *out_count)
{
    struct call c = {.what = REPLAY, .id = id};
    enum err e = store_write(fixture.store, call_fn, &c, NULL);
    *out_count = c.count;
    return e;
}

static enum err cancel(int64_t id)
{
    struct call c = {.what = CANCEL, .id = id};
    return store_write(fixture.store, call_fn, &c, NULL);
}

/* Waits until `want` jobs are in a state; generous, because the machine may be busy. */
static void await(enum job_state state, int64_t want)
{
    int64_t limit = clock_mono_usec() + 60000 * MSEC;
    while (count_in(state) != want) {
        if (clock_mono_usec() > limit) {
            fail_msg("%lld jobs in state %d, not %lld", (long long)count_in(state), state,
                     (long long)want);
        }
        clock_sleep_usec(5 * MSEC);
    }
}

static void await_number(atomic_int *number, int want)
{
    int64_t limit = clock_mono_usec() + 60000 * MSEC;
    while (atomic_load(number) < want) {
        if (clock_mono_usec() > limit) {
            fail_msg("reached %d, not %d", atomic_load(number), want);
        }
        clock_sleep_usec(MSEC);
    }
}

static void await_runs(int want)
{
    await_number(&env.runs, want);
}

struct listing {
    struct arena arena;
    enum job_state state;
    struct job_row *rows;
    size_t count;
};

static enum err list_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct listing *l = ctx;
    return jobs_list(tx, &l->arena, l->state, 5000, &l->rows, &l->count, why);
}

/* Owns: the arena of the result. */
static struct listing list(enum job_state state)
{
    struct listing l = {.state = state};
    arena_init(&l.arena, 0);
    assert_int_equal(store_read(fixture.store, list_fn, &l, NULL), OK);
    return l;
}

static struct job_row find_row(struct listing *l, int64_t id)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->rows[i].id == id) {
            return l->rows[i];
        }
    }
    fail_msg("job %lld is not listed", (long long)id);
    return (struct job_row){0};
}

static enum err effects_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct listing *l = ctx;
    for (size_t i = 0; i < l->count; i++) {
        struct ledger_balance b;
        char path[64];
        snprintf(path, sizeof(path), "job/%lld", (long long)l->rows[i].id);
        enum err e = ledger_balance_read(tx, S("effects"), slice_text(path), &b, why);
        if (e != OK || !u256_equal(b.credits_posted, u256_from_u64(1))) {
            char text[U256_TEXT_MAX];
            u256_format(b.credits_posted, text);
            return why_set(why, ERR_CORRUPT, NULL, "job %lld took effect %s times",
                           (long long)l->rows[i].id, text);
        }
    }
    return OK;
}

/* Every job is done, and each took effect once. */
static void assert_each_once(int64_t jobs)
{
    struct listing l = list(JOB_DONE);
    struct why why = {0};
    for (size_t i = 0; i < l.count; i++) {
        if (slice_equal_text(l.rows[i].kind, "jobs.sweep")) {
            l.rows[i] = l.rows[--l.count];
        }
    }
    assert_int_equal(l.count, jobs);
    enum err e = store_read(fixture.store, effects_fn, &l, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    arena_free(&l.arena);
}

/* ---- exactly one effect ---- */

static void effect_is_once_under_failures_and_hangs(void **state)
{
    (void)state;
    enum { JOBS = 400 };
    enqueue_job((struct job_new){.kind = "wild"}, JOBS);
    struct jobs *a = start(&quick);
    struct jobs *b = start(&quick);
    await(JOB_DONE, JOBS);
    end(a);
    end(b);
    assert_each_once(JOBS);
    assert_true(atomic_load(&env.runs) > JOBS + JOBS / 10);
    assert_true(atomic_load(&env.refused) > 0); /* hung ones did come back */
}

/* A process with a runner, until it is killed. */
static pid_t spawn_runner(void)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct why why = {0};
        if (support_store_start(&fixture, &why) != OK) {
            _exit(2);
        }
        struct jobs *jobs = jobs_new(fixture.store, &quick, &table, 1);
        if (jobs_start(jobs, &why) != OK) {
            _exit(3);
        }
        for (;;) {
            pause();
        }
    }
    return child;
}

static void effect_is_once_when_processes_are_killed(void **state)
{
    (void)state;
    enum { JOBS = 2500, ROUNDS = 25 };
    enqueue_job((struct job_new){.kind = "brief"}, JOBS);
    store_close(fixture.store);
    fixture.store = NULL;
    for (int round = 0; round < ROUNDS; round++) {
        pid_t child = spawn_runner();
        clock_sleep_usec(30 * MSEC + (int64_t)rand_below(150 * MSEC));
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    struct why why = {0};
    assert_int_equal(support_store_start(&fixture, &why), OK);
    struct jobs *jobs = start(&quick);
    await(JOB_DONE, JOBS);
    end(jobs);
    assert_each_once(JOBS);
}

static void job_that_kills_its_process_dies_alone(void **state)
{
    (void)state;
    enqueue_job((struct job_new){.kind = "innocent"}, 6);
    int64_t killer = enqueue("killing");
    enqueue_job((struct job_new){.kind = "innocent"}, 6);
    store_close(fixture.store);
    fixture.store = NULL;
    /* Two attempts, and the first time when nothing was known of it. */
    for (int round = 0; round < 3; round++) {
        pid_t child = spawn_runner();
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    struct why why = {0};
    assert_int_equal(support_store_start(&fixture, &why), OK);
    struct jobs *jobs = start(&quick);
    await(JOB_DEAD, 1);
    await(JOB_DONE, 12);
    end(jobs);
    assert_each_once(12);
    struct listing l = list(JOB_DEAD);
    assert_int_equal(find_row(&l, killer).attempts, 2);
    arena_free(&l.arena);
}

static void suspects_run_one_at_a_time(void **state)
{
    (void)state;
    enqueue_job((struct job_new){.kind = "innocent"}, 5);
    raw_run("UPDATE jobs SET lapses = 1");
    assert_int_equal(count_in(JOB_QUEUED), 5);
    struct listing l = list(JOB_QUEUED);
    assert_int_equal(l.count, 5);
    arena_free(&l.arena);
    struct jobs *jobs = start(&quick);
    await(JOB_DONE, 5);
    end(jobs);
    assert_each_once(5);
    assert_int_equal(atomic_load(&env.concurrent_max), 1);
}

/* ---- time limits ---- */

static void lease_is_renewed_while_a_handler_runs(void **state)
{
    (void)state;
    struct jobs *a = start(&calm);
    struct jobs *b = start(&calm);
    enqueue("long");
    enqueue("heartbeats");
    await(JOB_DONE, 2);
    end(a);
    end(b);
    assert_each_once(2);
    assert_int_equal(atomic_load(&env.runs), 2);
}

static void hung_handler_is_replaced_and_refused(void **state)
{
    (void)state;
    struct jobs_config one = quick;
    one.threads = 1;
    struct jobs *jobs = start(&one);
    int64_t began = clock_mono_usec();
    enqueue("hung_once");
    await(JOB_DONE, 1);
    assert_true(clock_mono_usec() - began < 1900 * MSEC); /* while the first still hangs */
    await_number(&env.refused, 1);
    /* The one that came back is surplus now. */
    enqueue_job((struct job_new){.kind = "gated"}, 3);
    await_runs(3);
    clock_sleep_usec(100 * MSEC);
    atomic_store(&env.gate, true);
    await(JOB_DONE, 4);
    end(jobs);
    assert_int_equal(atomic_load(&env.concurrent_max), 1);
    assert_int_equal(atomic_load(&env.runs), 5);
    assert_int_equal(atomic_load(&env.refused), 1);
}

static void overtaken_handler_changes_nothing(void **state)
{
    (void)state;
    struct jobs *jobs = start(&calm);
    enqueue("overtaken");
    await(JOB_DONE, 1);
    end(jobs);
    assert_each_once(1);
    assert_int_equal(atomic_load(&env.refused), 1);
    assert_int_equal(atomic_load(&env.effective), 2);
}

static void hung_handler_without_attempts_left_is_dead(void **state)
{
    (void)state;
    struct jobs *jobs = start(&quick);
    int64_t id = enqueue("hung_last");
    await(JOB_DEAD, 1);
    end(jobs);
    struct listing l = list(JOB_DEAD);
    assert_true(slice_starts(find_row(&l, id).error, S("request_timeout: ")));
    arena_free(&l.arena);
    assert_int_equal(atomic_load(&env.refused), 1);
}

static void stop_waits_for_handlers_and_gives_the_rest_back(void **state)
{
    (void)state;
    struct jobs_config one = quick;
    one.threads = 1;
    enqueue("long");
    int64_t second = enqueue("long");
    struct jobs *jobs = start(&one);
    await_runs(1);
    end(jobs);
    assert_int_equal(count_in(JOB_DONE), 1);
    assert_int_equal(count_in(JOB_QUEUED), 1);
    struct listing l = list(JOB_QUEUED);
    assert_int_equal(find_row(&l, second).attempts, 0);
    arena_free(&l.arena);
    assert_int_equal(atomic_load(&env.runs), 1);
}

static void *open_gate_later(void *arg)
{
    (void)arg;
    clock_sleep_usec(150 * MSEC);
    atomic_store(&env.gate, true);
    return NULL;
}

static void stop_gives_back_what_was_held_ready(void **state)
{
    (void)state;
    struct jobs_config one = quick;
    one.threads = 1;
    struct jobs *jobs = start(&one);
    enqueue_job((struct job_new){.kind = "nothing"},
                300); /* the runner learns that jobs are quick */
    await(JOB_DONE, 300);
    enqueue_job((struct job_new){.kind = "gated"}, 10);
    await_runs(301);
    assert_true(count_in(JOB_RUNNING) > 1);
    pthread_t opener;
    assert_int_equal(pthread_create(&opener, NULL, open_gate_later, NULL), 0);
    end(jobs);
    assert_int_equal(pthread_join(opener, NULL), 0);
    assert_int_equal(count_in(JOB_DONE), 301);
    assert_int_equal(count_in(JOB_QUEUED), 9);
    struct listing l = list(JOB_QUEUED);
    for (size_t i = 0; i < l.count; i++) {
        assert_int_equal(l.rows[i].attempts, 0);
    }
    arena_free(&l.arena);
}

static void stopping_gives_back_without_an_attempt(void **state)
{
    (void)state;
    int64_t id = enqueue("stopping");
    struct jobs *jobs = start(&quick);
    await_runs(3);
    end(jobs);
    struct listing l = list(JOB_QUEUED);
    assert_int_equal(find_row(&l, id).attempts, 0);
    arena_free(&l.arena);
}

/* ---- order and time ---- */

static void order_is_priority_then_age(void **state)
{
    (void)state;
    enum { JOBS = 60 };
    static const int32_t priorities[] = {0, 5, -3, 100, 5};
    int64_t ids[JOBS];
    for (size_t i = 0; i < JOBS; i++) {
        ids[i] = enqueue_job((struct job_new){.kind = "nothing", .priority = priorities[i % 5]}, 1);
    }
    for (size_t i = 1; i < JOBS; i++) {
        assert_true(ids[i] > ids[i - 1]);
    }
    for (uint64_t batch = 1; batch <= 16; batch += 15) {
        struct jobs_config one = quick;
        one.threads = 1;
        one.claim_batch = batch;
        struct jobs *jobs = start(&one);
        await(JOB_DONE, batch == 1 ? JOBS : 2 * JOBS);
        end(jobs);
        if (batch == 1) {
            for (size_t i = 0; i < JOBS; i++) {
                enqueue_job((struct job_new){.kind = "nothing", .priority = priorities[i % 5]}, 1);
            }
        }
    }
    for (size_t run = 0; run < 2; run++) {
        static const int32_t falling[] = {100, 5, 0, -3};
        const int64_t *got = env.ids + run * JOBS;
        size_t at = 0;
        for (size_t p = 0; p < 4; p++) {
            int64_t last = 0;
            size_t share = falling[p] == 5 ? 2 * JOBS / 5 : JOBS / 5;
            for (size_t i = 0; i < share; i++, at++) {
                size_t place = (size_t)(got[at] - ids[0]) % JOBS;
                assert_int_equal(priorities[place % 5], falling[p]);
                assert_true(got[at] > last);
                last = got[at];
            }
        }
    }
}

static void kinds_do_not_starve_each_other(void **state)
{
    (void)state;
    struct jobs_config one = quick;
    one.threads = 1;
    enqueue_job((struct job_new){.kind = "nothing"}, 200);
    int64_t late = enqueue("effect");
    enqueue_job((struct job_new){.kind = "nothing"}, 200);
    struct jobs *jobs = start(&one);
    await(JOB_DONE, 401);
    end(jobs);
    int place = 0;
    while (env.ids[place] != late) {
        place++;
    }
    assert_in_range(place, 150, 250);
}

static void delayed_job_waits_and_comes_in_time(void **state)
{
    (void)state;
    struct jobs_config lazy = quick;
    lazy.poll_usec = 20000 * MSEC;
    lazy.lease_usec = 20000 * MSEC;
    struct jobs *jobs = start(&lazy);
    int64_t asked = clock_mono_usec();
    enqueue_job((struct job_new){.kind = "nothing", .delay_usec = 300 * MSEC}, 1);
    await_runs(1);
    int64_t waited = env.at_usec[0] - asked;
    assert_true(waited >= 299 * MSEC);
    assert_true(waited < 2000 * MSEC); /* by its own time, not by the poll */
    end(jobs);
}

static void enqueue_wakes_the_runner(void **state)
{
    (void)state;
    struct jobs_config lazy = quick;
    lazy.poll_usec = 20000 * MSEC;
    lazy.lease_usec = 20000 * MSEC;
    struct jobs *jobs = start(&lazy);
    clock_sleep_usec(50 * MSEC);
    for (int i = 0; i < 20; i++) {
        int64_t asked = clock_mono_usec();
        enqueue("nothing");
        await_runs(i + 1);
        assert_true(clock_mono_usec() - asked < 2000 * MSEC);
    }
    end(jobs);
}

static void many_threads_work_at_once(void **state)
{
    (void)state;
    struct jobs *jobs = start(&quick);
    enqueue_job((struct job_new){.kind = "gated"}, 9);
    await_runs(4);
    clock_sleep_usec(100 * MSEC);
    assert_int_equal(atomic_load(&env.concurrent_max), 4);
    assert_int_equal(count_in(JOB_QUEUED), 5); /* slow ones are left to others */
    atomic_store(&env.gate, true);
    await(JOB_DONE, 9);
    end(jobs);
    assert_int_equal(atomic_load(&env.runs), 9);
}

/* ---- keys, ends, operators ---- */

static void key_is_unique_while_it_lives(void **state)
{
    (void)state;
    struct job_new job = {.kind = "gated", .key = S("only/one"), .payload = S("{\"n\":1}")};
    int64_t id = enqueue_job(job, 1);
    assert_int_equal(enqueue_job(job, 1), id);
    struct jobs *jobs = start(&quick);
    await_runs(1);
    assert_int_equal(enqueue_job(job, 1), id); /* running: still no second */
    atomic_store(&env.gate, true);
    await(JOB_DONE, 1);
    int64_t next = enqueue_job(job, 1);
    assert_true(next > id);
    await(JOB_DONE, 2);
    end(jobs);
    assert_int_equal(atomic_load(&env.runs), 2);
    struct job_new long_key = job;
    char text[JOBS_KEY_MAX + 1];
    memset(text, 'k', sizeof(text));
    long_key.key = slice_of(text, sizeof(text));
    struct call c = {.what = ENQUEUE, .job = long_key, .repeat = 1};
    assert_int_equal(store_write(fixture.store, call_fn, &c, NULL), ERR_LIMIT);
}

static enum err refuse_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    (void)ctx;
    struct job_new job = {.kind = "nothing"};
    enum err e = jobs_enqueue(tx, &job, NULL, why);
    return e == OK ? ERR_CONFLICT : e;
}

static void job_exists_only_with_its_cause(void **state)
{
    (void)state;
    assert_int_equal(store_write(fixture.store, refuse_fn, NULL, NULL), ERR_CONFLICT);
    assert_int_equal(count_in(JOB_QUEUED), 0);
}

static void dead_jobs_keep_their_reason_and_are_replayed(void **state)
{
    (void)state;
    int64_t never = enqueue("refusing");
    int64_t later = enqueue("failing");
    struct jobs *jobs = start(&quick);
    await(JOB_DEAD, 2);
    struct listing l = list(JOB_DEAD);
    struct job_row row = find_row(&l, never);
    assert_int_equal(row.attempts, 1);
    assert_true(slice_equal_text(row.error, "invalid_field: This will never work."));
    row = find_row(&l, later);
    assert_int_equal(row.attempts, 3);
    assert_true(slice_equal_text(row.error, "upstream: Not yet."));
    arena_free(&l.arena);

    int64_t count = 0;
    assert_int_equal(replay(999, &count), ERR_NOT_FOUND);
    atomic_store(&env.gate, true);
    assert_int_equal(replay(later, &count), OK);
    assert_int_equal(count, 1);
    await(JOB_DONE, 1);
    assert_int_equal(replay(later, &count), ERR_CONFLICT);
    assert_int_equal(replay(0, &count), OK);
    assert_int_equal(count, 1);
    await(JOB_DEAD, 1);
    end(jobs);
}

static void replay_respects_keys(void **state)
{
    (void)state;
    struct job_new job = {.kind = "refusing", .key = S("k")};
    struct jobs *jobs = start(&quick);
    for (int i = 1; i <= 3; i++) {
        enqueue_job(job, 1);
        await(JOB_DEAD, i);
    }
    end(jobs);
    int64_t count = 0;
    assert_int_equal(replay(0, &count), OK);
    assert_int_equal(count, 1); /* three with one key: one may live */
    assert_int_equal(count_in(JOB_QUEUED), 1);
    assert_int_equal(count_in(JOB_DEAD), 2);
    struct listing l = list(JOB_DEAD);
    assert_int_equal(replay(l.rows[0].id, &count), ERR_CONFLICT);
    arena_free(&l.arena);
}

static void replay_of_many_pages(void **state)
{
    (void)state;
    enum { JOBS = 1203 };
    enqueue_job((struct job_new){.kind = "refusing"}, JOBS);
    struct jobs *jobs = start(&quick);
    await(JOB_DEAD, JOBS);
    end(jobs);
    int64_t count = 0;
    assert_int_equal(replay(0, &count), OK);
    assert_int_equal(count, JOBS);
    assert_int_equal(count_in(JOB_QUEUED), JOBS);
}

static void only_queued_jobs_are_cancelled(void **state)
{
    (void)state;
    int64_t id = enqueue("nothing");
    assert_int_equal(cancel(id), OK);
    assert_int_equal(cancel(id), ERR_CONFLICT);
    assert_int_equal(cancel(id + 1), ERR_NOT_FOUND);
    struct jobs *jobs = start(&quick);
    int64_t gated = enqueue("gated");
    await_runs(1);
    assert_int_equal(cancel(gated), ERR_CONFLICT);
    atomic_store(&env.gate, true);
    await(JOB_DONE, 1);
    end(jobs);
    assert_int_equal(count_in(JOB_CANCELLED), 1);
    assert_int_equal(atomic_load(&env.runs), 1);
}

static void unknown_kind_waits_for_a_process_that_knows_it(void **state)
{
    (void)state;
    int64_t id = enqueue("nobody.knows");
    struct jobs *jobs = start(&quick);
    enqueue("nothing");
    await(JOB_DONE, 1);
    await(JOB_RUNNING, 0);
    end(jobs);
    struct listing l = list(JOB_QUEUED);
    struct job_row row = find_row(&l, id);
    assert_int_equal(row.attempts, 1);
    assert_true(slice_starts(row.error, S("locked: ")));
    assert_true(row.run_usec > clock_wall_usec());
    arena_free(&l.arena);
}

static void garbage_payload_is_dead_at_once(void **state)
{
    (void)state;
    int64_t id = enqueue("nothing");
    raw_run("UPDATE jobs SET payload = '{\"n\":'");
    struct jobs *jobs = start(&quick);
    await(JOB_DEAD, 1);
    end(jobs);
    struct listing l = list(JOB_DEAD);
    assert_true(slice_starts(find_row(&l, id).error, S("invalid_json: ")));
    arena_free(&l.arena);
    assert_int_equal(atomic_load(&env.runs), 0);
}

static void lists_are_newest_first(void **state)
{
    (void)state;
    int64_t first = enqueue("nothing");
    int64_t second = enqueue_job(
        (struct job_new){.kind = "effect", .key = S("x/1"), .payload = S("{\"a\":2}")}, 1);
    assert_int_equal(cancel(first), OK);
    struct listing l = list((enum job_state)0);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.rows[0].id, second);
    assert_true(slice_equal_text(l.rows[0].kind, "effect"));
    assert_true(slice_equal_text(l.rows[0].key, "x/1"));
    assert_true(slice_equal_text(l.rows[0].payload, "{\"a\":2}"));
    assert_int_equal(l.rows[0].state, JOB_QUEUED);
    assert_int_equal(l.rows[0].error.len, 0);
    assert_int_equal(l.rows[1].state, JOB_CANCELLED);
    assert_int_equal(l.rows[1].key.len, 0);
    arena_free(&l.arena);
}

/* ---- schedules ---- */

static const struct job_cron every_100ms[] = {
    {.name = "test.tick", .kind = "nothing", .every_usec = 100 * MSEC, .doc = "Test."},
};

static const struct job_table ticking = {
    .kinds = kinds,
    .kind_count = sizeof(kinds) / sizeof(kinds[0]),
    .crons = every_100ms,
    .cron_count = 1,
};

static int compare_keys(const void *left, const void *right)
{
    const struct job_row *a = left;
    const struct job_row *b = right;
    return slice_compare(a->key, b->key);
}

static void schedule_fires_once_a_slot(void **state)
{
    (void)state;
    int64_t began = clock_wall_usec();
    struct jobs *a = start_table(&quick, &ticking);
    struct jobs *b = start_table(&quick, &ticking);
    clock_sleep_usec(1500 * MSEC);
    end(a);
    end(b);
    int64_t slots = clock_wall_usec() / (100 * MSEC) - began / (100 * MSEC);
    struct listing l = list((enum job_state)0);
    qsort(l.rows, l.count, sizeof(l.rows[0]), compare_keys);
    for (size_t i = 0; i < l.count; i++) {
        assert_true(slice_starts(l.rows[i].key, S("cron/test.tick/")));
        assert_true(i == 0 || !slice_equal(l.rows[i].key, l.rows[i - 1].key));
    }
    assert_true((int64_t)l.count <= slots);
    assert_true(l.count >= 5); /* a busy machine misses some, never doubles one */
    arena_free(&l.arena);
}

static void missed_slots_are_made_up_for_by_one_job(void **state)
{
    (void)state;
    static const struct job_cron hourly[] = {
        {.name = "test.hour", .kind = "nothing", .every_usec = 3600000 * MSEC, .doc = "Test."}};
    struct job_table hours = ticking;
    hours.crons = hourly;
    struct jobs *jobs = start_table(&quick, &hours);
    clock_sleep_usec(100 * MSEC);
    end(jobs);
    assert_int_equal(atomic_load(&env.runs), 0); /* the first slot is only remembered */
    raw_run("UPDATE job_crons SET slot = slot - 5 WHERE name = 'test.hour'");
    jobs = start_table(&quick, &hours);
    await_runs(1);
    clock_sleep_usec(100 * MSEC);
    end(jobs);
    assert_int_equal(atomic_load(&env.runs), 1);
}

/* ---- sweeping ---- */

static void sweep_forgets_old_ends_only(void **state)
{
    (void)state;
    struct jobs *jobs = start(&quick);
    enqueue_job((struct job_new){.kind = "nothing"}, 2100);
    enqueue("refusing");
    await(JOB_DONE, 2100);
    await(JOB_DEAD, 1);
    end(jobs);
    raw_run("UPDATE jobs SET finished = finished - 7200000000 WHERE id <> 7");
    int64_t last = enqueue("jobs.sweep");
    jobs = start(&quick);
    await(JOB_DEAD, 0);
    await(JOB_DONE, 2);
    end(jobs);
    struct listing l = list(JOB_DONE);
    find_row(&l, 7);
    find_row(&l, last);
    arena_free(&l.arena);
    /* The newest number is never given twice, even when its row is old. */
    raw_run("UPDATE jobs SET finished = finished - 7200000000");
    jobs = start(&quick);
    int64_t next = enqueue("jobs.sweep");
    await(JOB_DONE, 1);
    end(jobs);
    assert_int_equal(next, last + 1);
}

/* ---- the clock ---- */

static _Atomic int64_t wall_shift;

static int64_t shifted_wall(void *ctx)
{
    (void)ctx;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000 + atomic_load(&wall_shift);
}

static int64_t true_mono(void *ctx)
{
    (void)ctx;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000;
}

static const struct clock_source shifted = {.wall_usec = shifted_wall, .mono_usec = true_mono};
#define HOUR (3600000 * MSEC)

static void clock_put_back_keeps_nobody_waiting(void **state)
{
    (void)state;
    atomic_store(&wall_shift, 0);
    clock_set_source(&shifted);
    struct jobs *jobs = start(&quick);
    enqueue("nothing");
    await(JOB_DONE, 1);
    int64_t asked = clock_mono_usec();
    enqueue_job((struct job_new){.kind = "nothing", .delay_usec = 400 * MSEC}, 1);
    atomic_store(&wall_shift, -HOUR);
    enqueue("nothing");
    await_runs(3);
    assert_true(clock_mono_usec() - asked < 10000 * MSEC);
    end(jobs);
    clock_set_source(NULL);
    assert_int_equal(atomic_load(&env.runs), 3);
}

static void clock_put_back_makes_no_lease_immortal(void **state)
{
    (void)state;
    int64_t id = enqueue("effect");
    /* What a process leaves that died just before the clock went back an hour. */
    raw_run("UPDATE jobs SET state = 2, attempts = 1, lease_token = 1, lease_owner = 'gone', "
            "lease_until = run_at + 3600000000");
    struct jobs *jobs = start(&quick);
    await(JOB_DONE, 1);
    end(jobs);
    assert_each_once(1);
    struct listing l = list(JOB_DONE);
    assert_int_equal(find_row(&l, id).attempts, 1);
    arena_free(&l.arena);
}

static void clock_put_forward_takes_no_living_lease(void **state)
{
    (void)state;
    atomic_store(&wall_shift, 0);
    clock_set_source(&shifted);
    struct jobs *a = start(&calm);
    struct jobs *b = start(&calm);
    enqueue_job((struct job_new){.kind = "long"}, 3);
    await_runs(3);
    for (int i = 1; i <= 8; i++) {
        atomic_store(&wall_shift, i * HOUR);
        clock_sleep_usec(90 * MSEC);
    }
    await_number(&env.effects, 3); /* sweeps run, too */
    end(a);
    end(b);
    clock_set_source(NULL);
    assert_each_once(3);
    assert_int_equal(atomic_load(&env.runs), 3);
}

/* ---- counters ---- */

static int64_t metric_named(const char *name)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct buf out;
    buf_init(&out, &arena, 4096);
    metric_render(&out);
    struct slice rest = buf_slice(&out);
    struct slice line;
    int64_t value = -1;
    while (rest.len > 0) {
        slice_cut(rest, '\n', &line, &rest);
        struct slice key;
        struct slice number;
        if (slice_cut(line, ' ', &key, &number) && slice_equal_text(key, name)) {
            assert_int_equal(slice_parse_i64(number, &value), OK);
        }
    }
    arena_free(&arena);
    assert_true(value >= 0);
    return value;
}

static void counters_tell_what_happened(void **state)
{
    (void)state;
    static const char *const names[] = {"freehold_jobs_done_total", "freehold_jobs_failed_total",
                                        "freehold_jobs_dead_total",
                                        "freehold_jobs_lease_lost_total"};
    static const int64_t want[] = {30, 3 + 1, 2, 0};
    int64_t before[4];
    struct jobs *jobs = start(&calm);
    for (size_t i = 0; i < 4; i++) {
        before[i] = metric_named(names[i]);
    }
    enqueue_job((struct job_new){.kind = "effect"}, 20);
    enqueue_job((struct job_new){.kind = "nothing"}, 10);
    enqueue("failing");
    enqueue("refusing");
    await(JOB_DONE, 30);
    await(JOB_DEAD, 2);
    end(jobs);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(metric_named(names[i]) - before[i], want[i]);
    }
}

/* ---- bugs ---- */

static void make_double_kind(void)
{
    static const struct job_kind twice[] = {KIND("same", run_nothing, 1, MSEC),
                                            KIND("same", run_effect, 1, MSEC)};
    struct job_table t = {.kinds = twice, .kind_count = 2};
    jobs_new(NULL, &quick, &t, 1);
}

static void make_cron_without_kind(void)
{
    static const struct job_cron lost[] = {{.name = "x", .kind = "y", .every_usec = 1}};
    struct job_table t = {.crons = lost, .cron_count = 1};
    jobs_new(NULL, &quick, &t, 1);
}

static void doubles_stop_the_start(void **state)
{
    (void)state;
    assert_true(test_aborts(make_double_kind));
    assert_true(test_aborts(make_cron_without_kind));
}

static void reference_lists_kinds_and_schedules(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct buf out;
    buf_init(&out, &arena, 1024);
    jobs_reference(&ticking, 1, &out);
    char *text = slice_cstr(&arena, buf_slice(&out));
    assert_non_null(strstr(text, "| `refusing` | test | 5 | fixed 10 ms | 5 s | Test. |\n"));
    assert_non_null(strstr(text, "| `test.tick` | `nothing` | 100 ms | Test. |\n"));
    assert_non_null(strstr(text, "| `jobs.sweep` | maintenance | 3 | fixed 10 s | 1 min |"));
    arena_free(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(effect_is_once_under_failures_and_hangs),
        TEST(effect_is_once_when_processes_are_killed),
        TEST(job_that_kills_its_process_dies_alone),
        TEST(suspects_run_one_at_a_time),
        TEST(lease_is_renewed_while_a_handler_runs),
        TEST(hung_handler_is_replaced_and_refused),
        TEST(overtaken_handler_changes_nothing),
        TEST(hung_handler_without_attempts_left_is_dead),
        TEST(stop_waits_for_handlers_and_gives_the_rest_back),
        TEST(stop_gives_back_what_was_held_ready),
        TEST(stopping_gives_back_without_an_attempt),
        TEST(order_is_priority_then_age),
        TEST(kinds_do_not_starve_each_other),
        TEST(delayed_job_waits_and_comes_in_time),
        TEST(enqueue_wakes_the_runner),
        TEST(many_threads_work_at_once),
        TEST(key_is_unique_while_it_lives),
        TEST(job_exists_only_with_its_cause),
        TEST(dead_jobs_keep_their_reason_and_are_replayed),
        TEST(replay_respects_keys),
        TEST(replay_of_many_pages),
        TEST(only_queued_jobs_are_cancelled),
        TEST(unknown_kind_waits_for_a_process_that_knows_it),
        TEST(garbage_payload_is_dead_at_once),
        TEST(lists_are_newest_first),
        TEST(schedule_fires_once_a_slot),
        TEST(missed_slots_are_made_up_for_by_one_job),
        TEST(sweep_forgets_old_ends_only),
        TEST(clock_put_back_keeps_nobody_waiting),
        TEST(clock_put_back_makes_no_lease_immortal),
        TEST(clock_put_forward_takes_no_living_lease),
        TEST(counters_tell_what_happened),
        cmocka_unit_test(doubles_stop_the_start),
        cmocka_unit_test(reference_lists_kinds_and_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
