/*
 * Jobs on a real store with real threads and processes. The effect of a job is a ledger transfer
 * with an id of its own for each time, made in the transaction of jobs_complete: a job that took
 * effect twice has a balance of two.
 */
#ifndef TESTS_UNIT_KERNEL_JOBS_FIXTURE_H
#define TESTS_UNIT_KERNEL_JOBS_FIXTURE_H

#include <stdatomic.h>

#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/jobs/jobs_admin.h"
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

static inline void record(const struct job_call *call)
{
    int i = atomic_fetch_add(&env.recorded, 1);
    if (i < RUNS_MAX) {
        env.ids[i] = call->id;
        env.at_usec[i] = clock_mono_usec();
        env.attempts[i] = call->attempt;
    }
    atomic_fetch_add(&env.runs, 1);
}

static inline enum err effect_fn(struct store_tx *tx, void *ctx, struct why *why)
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

static inline enum err take_effect(struct job_call *call, struct why *why)
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

static inline enum err run_effect(struct job_call *call, struct why *why)
{
    record(call);
    return take_effect(call, why);
}

static inline enum err run_nothing(struct job_call *call, struct why *why)
{
    (void)why;
    record(call);
    return OK;
}

/* Fails, hangs and answers wrongly at random, and still takes effect once. */
static inline enum err run_wild(struct job_call *call, struct why *why)
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

static inline enum err run_briefly(struct job_call *call, struct why *why)
{
    record(call);
    clock_sleep_usec((int64_t)rand_below(4000));
    return take_effect(call, why);
}

static inline enum err run_long(struct job_call *call, struct why *why)
{
    record(call);
    clock_sleep_usec(900 * MSEC);
    return take_effect(call, why);
}

static inline enum err run_with_heartbeats(struct job_call *call, struct why *why)
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

static inline enum err run_hung_once(struct job_call *call, struct why *why)
{
    record(call);
    if (call->attempt == 1) {
        clock_sleep_usec(2000 * MSEC);
        assert_int_equal(jobs_heartbeat(call, NULL), ERR_CONFLICT);
    }
    return take_effect(call, why);
}

/* The first attempt comes back while the second is at work. */
static inline enum err run_overtaken(struct job_call *call, struct why *why)
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

static inline void enter(void)
{
    int now = atomic_fetch_add(&env.concurrent, 1) + 1;
    if (now > atomic_load(&env.concurrent_max)) {
        atomic_store(&env.concurrent_max, now);
    }
}

static inline enum err run_innocent(struct job_call *call, struct why *why)
{
    record(call);
    enter();
    clock_sleep_usec(120 * MSEC);
    atomic_fetch_sub(&env.concurrent, 1);
    return take_effect(call, why);
}

static inline enum err run_refusing(struct job_call *call, struct why *why)
{
    record(call);
    return why_set(why, ERR_INVALID_FIELD, "payload", "This will never work.");
}

static inline enum err run_failing_while_gated(struct job_call *call, struct why *why)
{
    record(call);
    return atomic_load(&env.gate) ? OK : why_set(why, ERR_UPSTREAM, NULL, "Not yet.");
}

static inline enum err run_gated(struct job_call *call, struct why *why)
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

static inline enum err run_killing(struct job_call *call, struct why *why)
{
    (void)call;
    (void)why;
    kill(getpid(), SIGKILL);
    return OK;
}

static inline enum err run_stopping(struct job_call *call, struct why *why)
{
    record(call);
    return why_set(why, ERR_STOPPING, NULL, "Another time.");
}

static inline enum err run_garbage(struct job_call *call, struct why *why)
{
    (void)why;
    record(call);
    return (enum err)(call->id % 2 == 0 ? 12345 : -7);
}

/* Ends when it is told to, as it should. */
static inline enum err run_until_cancelled(struct job_call *call, struct why *why)
{
    record(call);
    int64_t done = 0;
    while (!jobs_cancelled(call)) {
        jobs_progress(call, ++done, 100000, S("turns"));
        clock_sleep_usec(2 * MSEC);
    }
    return why_set(why, ERR_CANCELLED, NULL, "Told to.");
}

/* Does not look, and fails when the gate opens. */
static inline enum err run_deaf(struct job_call *call, struct why *why)
{
    record(call);
    while (!atomic_load(&env.gate)) {
        clock_sleep_usec(2 * MSEC);
    }
    return why_set(why, ERR_UPSTREAM, NULL, "In vain.");
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
    KIND("garbage", run_garbage, 5, 5000 * MSEC),
    KIND("patient", run_until_cancelled, 5, 5000 * MSEC),
    KIND("deaf", run_deaf, 5, 60000 * MSEC),
};

static const struct job_queue queues[] = {{.name = "test", .doc = "Test."}};

static const struct job_table table = {.queues = queues,
                                       .queue_count = 1,
                                       .kinds = kinds,
                                       .kind_count = sizeof(kinds) / sizeof(kinds[0])};

/* ---- fixture ---- */

static inline void raw_run(const char *sql)
{
    (void)support_store_change(&fixture, sql);
}

static inline int open_fixture(void **state)
{
    (void)state;
    log_set_fd(-1);
    memset(&env, 0, sizeof(env));
    support_store_open(&fixture, &sql_catalog);
    /* The sweep's slot is taken, so that it does not run into a test on the full ten minutes. */
    raw_run(support_pick("INSERT INTO job_crons (name, slot, fired) "
                         "VALUES ('jobs.sweep', strftime('%s', 'now') / 600 + 1, 0)",
                         "INSERT INTO job_crons (name, slot, fired) VALUES ('jobs.sweep', "
                         "floor(extract(epoch FROM now()) / 600)::bigint + 1, to_timestamp(0))"));
    return 0;
}

static inline int close_fixture(void **state)
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

static inline struct jobs *start_table(const struct jobs_config *config,
                                       const struct job_table *tables)
{
    struct why why = {0};
    struct jobs *jobs = NULL;
    enum err e = jobs_new(&jobs, fixture.store, config, tables, 1, &why);
    if (e == OK) {
        e = jobs_start(jobs, &why);
    }
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    return jobs;
}

static inline struct jobs *start(const struct jobs_config *config)
{
    return start_table(config, &table);
}

static inline void end(struct jobs *jobs)
{
    jobs_stop(jobs);
    jobs_free(jobs);
}

/* ---- transactions of one call ---- */

struct call {
    enum { ENQUEUE, REPLAY, CANCEL, RETRY, COUNT } what;
    struct job_new job;
    size_t repeat;
    enum job_state state;
    int64_t id;
    int64_t count;
    bool running;
};

static inline enum err call_fn(struct store_tx *tx, void *ctx, struct why *why)
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
    case REPLAY: {
        struct job_replay all = {.kind = c->job.kind};
        if (c->id != 0) {
            c->count = 1;
            return jobs_replay(tx, c->id, why);
        }
        enum err e = OK;
        c->count = 0;
        for (all.more = true; e == OK && all.more;) {
            e = jobs_replay_page(tx, &all, 500, why);
            c->count += all.replayed;
        }
        return e;
    }
    case CANCEL:
        return jobs_cancel(tx, c->id, &c->running, why);
    case RETRY:
        return jobs_retry(tx, c->id, why);
    case COUNT:
        return jobs_count(tx, c->state, &c->count, why);
    }
    return ERR_INTERNAL;
}

static inline int64_t enqueue_job(struct job_new job, size_t repeat)
{
    struct call c = {.what = ENQUEUE, .job = job, .repeat = repeat};
    struct why why = {0};
    enum err e = store_write(fixture.store, call_fn, &c, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    return c.id;
}

static inline int64_t enqueue(const char *kind)
{
    return enqueue_job((struct job_new){.kind = kind}, 1);
}

static inline int64_t count_in(enum job_state state)
{
    struct call c = {.what = COUNT, .state = state};
    assert_int_equal(store_read(fixture.store, call_fn, &c, NULL), OK);
    return c.count;
}

static inline enum err replay(int64_t id, int64_t *out_count)
{
    struct call c = {.what = REPLAY, .id = id};
    enum err e = store_write(fixture.store, call_fn, &c, NULL);
    *out_count = c.count;
    return e;
}

static inline enum err cancel(int64_t id)
{
    struct call c = {.what = CANCEL, .id = id};
    return store_write(fixture.store, call_fn, &c, NULL);
}

/* Waits until `want` jobs are in a state; generous, because the machine may be busy. */
static inline void await(enum job_state state, int64_t want)
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

static inline void await_number(atomic_int *number, int want)
{
    int64_t limit = clock_mono_usec() + 60000 * MSEC;
    while (atomic_load(number) < want) {
        if (clock_mono_usec() > limit) {
            fail_msg("reached %d, not %d", atomic_load(number), want);
        }
        clock_sleep_usec(MSEC);
    }
}

static inline void await_runs(int want)
{
    await_number(&env.runs, want);
}

struct listing {
    struct arena arena;
    enum job_state state;
    struct job_row *rows;
    size_t count;
};

static inline enum err list_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct listing *l = ctx;
    struct job_filter filter = {.state = l->state, .limit = JOBS_LIST_MAX};
    struct buf all;
    enum err e = OK;
    buf_init(&all, &l->arena, JOBS_LIST_MAX * sizeof(struct job_row));
    size_t count = JOBS_LIST_MAX;
    while (e == OK && count == JOBS_LIST_MAX) {
        struct job_row *page = NULL;
        e = jobs_list(tx, &l->arena, &filter, &page, &count, why);
        if (e == OK && count > 0) {
            buf_add(&all, page, count * sizeof(page[0]));
            filter.below_id = page[count - 1].id;
            filter.before_usec = page[count - 1].finished_usec;
        }
    }
    l->rows = (void *)all.ptr;
    l->count = all.len / sizeof(struct job_row);
    return e;
}

/* Owns: the arena of the result. */
static inline struct listing list(enum job_state state)
{
    struct listing l = {.state = state};
    arena_init(&l.arena, 0);
    assert_int_equal(store_read(fixture.store, list_fn, &l, NULL), OK);
    return l;
}

static inline struct job_row find_row(struct listing *l, int64_t id)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->rows[i].id == id) {
            return l->rows[i];
        }
    }
    fail_msg("job %lld is not listed", (long long)id);
    return (struct job_row){0};
}

static inline enum err effects_fn(struct store_tx *tx, void *ctx, struct why *why)
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
static inline void assert_each_once(int64_t jobs)
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

static const struct job_cron every_100ms[] = {
    {.name = "test.tick", .kind = "nothing", .every_usec = 100 * MSEC, .doc = "Test."},
};

static const struct job_table ticking = {
    .queues = queues,
    .queue_count = 1,
    .kinds = kinds,
    .kind_count = sizeof(kinds) / sizeof(kinds[0]),
    .crons = every_100ms,
    .cron_count = 1,
};

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

#endif
