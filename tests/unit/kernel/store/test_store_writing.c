/*
 * Whether writing works, as the store tells it. A disk is made full by a limit of the process on
 * the size of its files; the clock is pushed over the ten seconds in which nothing is tried.
 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/store/store_lease.h"
#include "unit/support.h"

#define SECONDS ((int64_t)USEC_PER_SEC)

static struct support_store s;
static _Atomic int64_t pushed_usec;

static int64_t real_usec(clockid_t which)
{
    struct timespec t;
    ASSERT(clock_gettime(which, &t) == 0);
    return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000;
}

static int64_t pushed_wall(void *ctx)
{
    (void)ctx;
    return real_usec(CLOCK_REALTIME) + atomic_load(&pushed_usec);
}

static int64_t pushed_mono(void *ctx)
{
    (void)ctx;
    return real_usec(CLOCK_MONOTONIC) + atomic_load(&pushed_usec);
}

static int setup(void **state)
{
    (void)state;
    static const struct clock_source source = {.wall_usec = pushed_wall, .mono_usec = pushed_mono};
    log_set_fd(-1);
    clock_set_source(&source);
    support_store_open(&s, &sql_catalog);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    support_store_close(&s);
    return 0;
}

static struct store_writing look(void)
{
    struct store_writing writing;
    store_writing_look(s.store, &writing);
    return writing;
}

static enum err answer(struct store_tx *tx, void *ctx, struct why *why)
{
    (void)tx;
    return why_set(why, *(const enum err *)ctx, NULL, "as a test wants it");
}

static void only_the_database_tells(void **state)
{
    (void)state;
    static const enum err rules[] = {ERR_CONFLICT, ERR_DB_CONSTRAINT, ERR_DB_BUSY, ERR_NOT_FOUND};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        enum err e = rules[i];
        assert_int_equal(store_write(s.store, answer, &e, NULL), e);
        assert_int_equal(look().others, OK);
    }
    enum err full = ERR_DISK_FULL;
    assert_int_equal(store_write(s.store, answer, &full, NULL), full);
    assert_int_equal(look().others, ERR_DISK_FULL);
    assert_int_equal(look().own, OK);
    atomic_fetch_add(&pushed_usec, 11 * SECONDS);
    assert_int_equal(look().others, OK);
}

static void a_full_disk_is_found_by_looking(void **state)
{
    struct rlimit before;
    struct rlimit small;
    if (support_on_postgres()) {
        skip(); /* there the keeper of leases writes, and no limit of ours holds */
    }
    (void)state;
    assert_int_equal(store_leases_start(s.store, "all", "1", NULL), OK);
    assert_int_equal(look().own, OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 0;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct store_writing soon = look();
    atomic_fetch_add(&pushed_usec, 11 * SECONDS);
    clock_sleep_usec(5000); /* the database's own clock, in milliseconds, is not pushed */
    struct store_writing late = look();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(soon.own, OK); /* nobody writes all the time only to know */
    assert_int_equal(late.own, ERR_DISK_FULL);
    assert_int_equal(late.others, ERR_DISK_FULL);
    assert_non_null(strstr(late.own_why.text, "full"));
    atomic_fetch_add(&pushed_usec, 11 * SECONDS);
    struct store_writing mended = look();
    assert_int_equal(mended.own, OK);
    assert_int_equal(mended.others, OK);
}

static void without_a_process_of_its_own_nothing_is_written(void **state)
{
    (void)state;
    atomic_fetch_add(&pushed_usec, 11 * SECONDS);
    assert_int_equal(look().own, OK);
    struct arena arena;
    arena_init(&arena, 0);
    assert_true(
        slice_equal_text(support_store_rows(&s, &arena, "SELECT COUNT(*) FROM processes"), "0|\n"));
    arena_free(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_the_database_tells),
        TEST(a_full_disk_is_found_by_looking),
        TEST(without_a_process_of_its_own_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
