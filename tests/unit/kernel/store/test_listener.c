#include "kernel/base/clock.h"
#include "unit/kernel/store/server.h"

/* ---- signals ---- */

static enum err notify(struct store_tx *tx, void *ctx, struct why *why)
{
    store_notify(tx, "jobs");
    store_notify(tx, "blocks");
    return *(const enum err *)ctx;
}

static struct store *open_other(void)
{
    struct store *other = NULL;
    assert_int_equal(store_open(&other, &s.config, &sample_catalog, NULL), OK);
    return other;
}

static void other_processes_hear_of_a_commit(void **state)
{
    NEED_SERVER();
    struct store *other = open_other();
    uint64_t jobs = store_signal_now(other, "jobs");
    uint64_t blocks = store_signal_now(other, "blocks");
    uint64_t quiet = store_signal_now(other, "quiet");
    enum err answer = ERR_CONFLICT;
    assert_int_equal(store_write(s.store, notify, &answer, NULL), ERR_CONFLICT);
    assert_false(store_wait(other, "jobs", &jobs, 300000));
    answer = OK;
    int64_t start = clock_mono_usec();
    sample_write(s.store, notify, &answer);
    assert_true(store_wait(other, "jobs", &jobs, 20000000));
    assert_true(store_wait(other, "blocks", &blocks, 20000000));
    assert_true(clock_mono_usec() - start < 5000000);
    assert_false(store_wait(other, "quiet", &quiet, 100000));
    assert_int_equal(store_signal_now(s.store, "jobs"), 1); /* no echo of its own */
    assert_int_equal(store_signal_now(other, "jobs"), 1);
    store_close(other);
}

static void a_store_that_closes_tells_before(void **state)
{
    NEED_SERVER();
    struct store *other = open_other();
    uint64_t jobs = store_signal_now(s.store, "jobs");
    enum err answer = OK;
    sample_write(other, notify, &answer);
    store_close(other);
    assert_true(store_wait(s.store, "jobs", &jobs, 20000000));
}

static void a_lost_listener_wakes_everybody_once(void **state)
{
    NEED_SERVER();
    struct store *other = open_other();
    uint64_t quiet = store_signal_now(other, "quiet");
    uint64_t jobs = store_signal_now(other, "jobs");
    uint64_t here = store_signal_now(s.store, "jobs");
    server("restart");
    assert_true(store_wait(other, "quiet", &quiet, 20000000));
    assert_true(store_wait(other, "jobs", &jobs, 20000000));
    assert_true(store_wait(s.store, "jobs", &here, 20000000));
    assert_false(store_wait(other, "quiet", &quiet, 300000));
    assert_int_equal(quiet, 1);
    enum err answer = OK;
    sample_write(other, notify, &answer);
    assert_true(store_wait(s.store, "jobs", &here, 20000000)); /* it hears again */
    assert_int_equal(here, 2);
    store_close(other);
}

int main(void)
{
    setenv("TEST_DATABASE", "postgres", 1);
    const struct CMUnitTest tests[] = {
        WITH_STORE(other_processes_hear_of_a_commit),
        WITH_STORE(a_store_that_closes_tells_before),
        WITH_STORE(a_lost_listener_wakes_everybody_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
