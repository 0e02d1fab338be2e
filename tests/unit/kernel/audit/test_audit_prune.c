#include <time.h>

#include "unit/kernel/audit/trail.h"

static _Atomic int64_t ahead_usec;

static int64_t shifted_wall(void *ctx)
{
    (void)ctx;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * (int64_t)USEC_PER_SEC + t.tv_nsec / 1000 + ahead_usec;
}

static int64_t plain_mono(void *ctx)
{
    (void)ctx;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)USEC_PER_SEC + t.tv_nsec / 1000;
}

static const struct clock_source shifted = {.wall_usec = shifted_wall, .mono_usec = plain_mono};

#define HOUR (3600 * (int64_t)USEC_PER_SEC)

static int open_shifted(void **state)
{
    clock_set_source(&shifted);
    ahead_usec = 0;
    return trail_open(state);
}

static int close_shifted(void **state)
{
    clock_set_source(NULL);
    return trail_close(state);
}

static uint64_t prune(int64_t before_usec)
{
    struct why why = {0};
    uint64_t rows = 0;
    enum err e = audit_prune(support.store, before_usec, &rows, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    return rows;
}

static void test_the_rest_is_still_proven(void **state)
{
    (void)state;
    trail_write(1, 10);
    assert_int_equal(trail_seal(), 10);
    struct audit_place tenth = trail_head();
    ahead_usec = 2 * HOUR;
    trail_write(11, 10);
    assert_int_equal(trail_seal(), 10);
    struct audit_place kept = trail_head();
    assert_int_equal(prune(clock_wall_usec() - HOUR), 10);
    assert_int_equal(trail_seal(), 1); /* the row that says so */
    struct audit_report r = trail_verify(&kept);
    assert_int_equal(r.found, AUDIT_SOUND);
    assert_int_equal(r.rows, 11);
    assert_int_equal(r.head.anchor.seq, 10);
    assert_memory_equal(r.head.anchor.hash.bytes, tenth.hash.bytes, 32);
    /* Nothing is older: nothing happens, and nothing is recorded. */
    assert_int_equal(prune(clock_wall_usec() - HOUR), 0);
    assert_int_equal(trail_seal(), 0);
    /* What is left cannot be changed either. */
    assert_true(trail_refused("DELETE FROM audit_log WHERE seq = 11"));
    struct audit_place wrong = tenth;
    wrong.hash.bytes[0] ^= 1;
    assert_int_equal(trail_verify(&tenth).found, AUDIT_SOUND);
    assert_int_equal(trail_verify(&wrong).found, AUDIT_REWRITTEN);
}

/* The clock was put back: what was written after that looks old, and stays with what is before. */
static void test_only_whole_beginnings_go(void **state)
{
    (void)state;
    trail_write(1, 5);
    assert_int_equal(trail_seal(), 5);
    ahead_usec = -5 * HOUR;
    trail_write(6, 5);
    assert_int_equal(trail_seal(), 5);
    ahead_usec = 0;
    assert_int_equal(prune(clock_wall_usec() - HOUR), 0);
    assert_int_equal(trail_verify(NULL).rows, 10);
}

static void test_unsealed_rows_stay(void **state)
{
    (void)state;
    trail_write(1, 5);
    assert_int_equal(trail_seal(), 5);
    trail_write(6, 2);
    ahead_usec = 2 * HOUR;
    assert_int_equal(prune(clock_wall_usec() - HOUR), 5);
    struct audit_report r = trail_verify(NULL);
    assert_int_equal(r.found, AUDIT_SOUND);
    assert_int_equal(r.unsealed, 3);
    assert_int_equal(trail_seal(), 3);
    assert_int_equal(trail_verify(NULL).rows, 3);
}

static void test_many_rows_go_in_parts(void **state)
{
    (void)state;
    for (int i = 0; i < 25; i++) {
        trail_write(1 + i * 100, 100);
    }
    assert_int_equal(trail_seal(), 2500);
    ahead_usec = 2 * HOUR;
    assert_int_equal(prune(clock_wall_usec() - HOUR), 2500);
    assert_int_equal(trail_seal(), 1);
    struct audit_report r = trail_verify(NULL);
    assert_int_equal(r.found, AUDIT_SOUND);
    assert_int_equal(r.head.anchor.seq, 2500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_rest_is_still_proven, open_shifted, close_shifted),
        cmocka_unit_test_setup_teardown(test_only_whole_beginnings_go, open_shifted, close_shifted),
        cmocka_unit_test_setup_teardown(test_unsealed_rows_stay, open_shifted, close_shifted),
        cmocka_unit_test_setup_teardown(test_many_rows_go_in_parts, open_shifted, close_shifted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
