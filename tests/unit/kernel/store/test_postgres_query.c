#include <pthread.h>

#include "unit/kernel/store/server.h"

static uint64_t reruns(void)
{
    struct store_stats stats;
    store_stats_read(s.store, &stats);
    return stats.reruns;
}

static enum err orphan(struct store_tx *tx, void *ctx, struct why *why)
{
    static const struct store_statement statement = {
        .name = "test_orphan",
        .id = 303,
        .writes = true,
        .postgres = "INSERT INTO orphans (parent) VALUES (1)",
    };
    struct store_query q;
    store_begin(&q, tx, &statement);
    return store_finish(&q, NULL, why);
}

static void a_commit_that_is_refused_is_an_error(void **state)
{
    NEED_SERVER();
    strange_once(
        "CREATE TABLE parents (id INTEGER PRIMARY KEY);"
        "CREATE TABLE orphans (parent INTEGER CONSTRAINT has_parent REFERENCES parents (id)"
        " DEFERRABLE INITIALLY DEFERRED)");
    struct why why = {0};
    assert_int_equal(store_write(s.store, orphan, NULL, &why), ERR_DB_CONSTRAINT);
    assert_string_equal(why.field, "has_parent");
    strange_once("INSERT INTO parents VALUES (1)");
    sample_write(s.store, orphan, NULL);
}

/* Another process migrates: what was prepared before does not fit any more. */
static void a_stale_plan_is_made_anew(void **state)
{
    NEED_SERVER();
    add("typed");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(sample_counter(s.store, "typed"), 1);
    }
    strange_once("ALTER TABLE counters ALTER COLUMN value TYPE INTEGER");
    assert_int_equal(sample_counter(s.store, "typed"), 1);
    add("typed");
    strange_once("ALTER TABLE counters ALTER COLUMN value TYPE BIGINT");
    add("typed");
    assert_int_equal(sample_counter(s.store, "typed"), 3);
}

/* ---- races ---- */

/* Lets two functions go on together, the first time that they come by. */
struct meeting {
    pthread_barrier_t barrier;
};

struct racer {
    pthread_t thread;
    struct meeting *meeting;
    const char *mine;
    const char *other;
    int runs;
    enum err result;
};

static enum err cross(struct store_tx *tx, void *ctx, struct why *why)
{
    struct racer *r = ctx;
    struct sample_counter mine = {.name = r->mine, .step = 1};
    struct sample_counter other = {.name = r->other, .step = 1};
    enum err e = sample_counter_add(tx, &mine, why);
    if (r->runs++ == 0) {
        pthread_barrier_wait(&r->meeting->barrier);
    }
    return e == OK ? sample_counter_add(tx, &other, why) : e;
}

static enum err take_if_free(struct store_tx *tx, void *ctx, struct why *why)
{
    struct racer *r = ctx;
    struct sample_counter mine = {.name = r->mine, .step = 1};
    struct sample_counter other = {.name = r->other};
    enum err e = sample_counter_get(tx, &other, why);
    if (r->runs++ == 0) {
        pthread_barrier_wait(&r->meeting->barrier);
    }
    return e == OK && other.value == 0 ? sample_counter_add(tx, &mine, why) : e;
}

static void *run_cross(void *arg)
{
    struct racer *r = arg;
    r->result = store_write(s.store, cross, r, NULL);
    return NULL;
}

static void *run_take(void *arg)
{
    struct racer *r = arg;
    r->result = store_write(s.store, take_if_free, r, NULL);
    return NULL;
}

static void race(void *(*run)(void *), struct racer racers[2])
{
    struct meeting meeting;
    assert_int_equal(pthread_barrier_init(&meeting.barrier, NULL, 2), 0);
    racers[0] = (struct racer){.meeting = &meeting, .mine = "a", .other = "b"};
    racers[1] = (struct racer){.meeting = &meeting, .mine = "b", .other = "a"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&racers[i].thread, NULL, run, &racers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(racers[i].thread, NULL);
        assert_int_equal(racers[i].result, OK);
    }
    pthread_barrier_destroy(&meeting.barrier);
}

static void a_deadlock_is_run_again(void **state)
{
    NEED_SERVER();
    struct racer racers[2];
    add("a");
    add("b");
    race(run_cross, racers);
    assert_true(racers[0].runs + racers[1].runs > 2);
    assert_int_equal(reruns(), racers[0].runs + racers[1].runs - 2);
    assert_int_equal(sample_counter(s.store, "a"), 3);
    assert_int_equal(sample_counter(s.store, "b"), 3);
}

/* Each looks at the other's row and writes its own: only one order after the other is right. */
static void what_both_decided_on_is_run_again(void **state)
{
    NEED_SERVER();
    for (int round = 0; round < 10; round++) {
        struct racer racers[2];
        strange_once("DELETE FROM counters");
        race(run_take, racers);
        assert_true(racers[0].runs + racers[1].runs >= 3);
        assert_int_equal(sample_counter(s.store, "a") + sample_counter(s.store, "b"), 1);
    }
}

/* A nested function may not make a failure of its own out of a lost race. */
static enum err cross_nested(struct store_tx *tx, void *ctx, struct why *why)
{
    (void)(store_nested(tx, cross, ctx, why) == OK);
    return OK;
}

static void *run_nested(void *arg)
{
    struct racer *r = arg;
    r->result = store_write(s.store, cross_nested, r, NULL);
    return NULL;
}

static void a_deadlock_inside_runs_all_again(void **state)
{
    NEED_SERVER();
    struct racer racers[2];
    add("a");
    add("b");
    race(run_nested, racers);
    assert_int_equal(sample_counter(s.store, "a"), 3);
    assert_int_equal(sample_counter(s.store, "b"), 3);
}

int main(void)
{
    setenv("TEST_DATABASE", "postgres", 1);
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_commit_that_is_refused_is_an_error),
        WITH_STORE(a_stale_plan_is_made_anew),
        WITH_STORE(a_deadlock_is_run_again),
        WITH_STORE(what_both_decided_on_is_run_again),
        WITH_STORE(a_deadlock_inside_runs_all_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
