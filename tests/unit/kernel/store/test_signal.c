#include <pthread.h>

#include "kernel/base/clock.h"
#include "unit/kernel/store/sample.h"

static struct support_store s;

static int open_store(void **state)
{
    support_store_open(&s, &sample_catalog);
    return 0;
}

static int close_store(void **state)
{
    support_store_close(&s);
    return 0;
}

struct notice {
    const char *channel;
    enum err result;
    int64_t hold_usec;
};

static enum err notify(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct notice *n = ctx;
    struct sample_counter c = {.name = n->channel, .step = 1};
    enum err e = sample_counter_add(tx, &c, why);
    store_notify(tx, n->channel);
    store_notify(tx, n->channel); /* twice in a transaction is once */
    clock_sleep_usec(n->hold_usec);
    return e != OK ? e : n->result;
}

struct waiter {
    pthread_t thread;
    const char *channel;
    uint64_t seen;
    int64_t timeout_usec;
    bool changed;
    int64_t counter; /* what the database said right after the wake-up */
    int64_t took_usec;
};

static void *run_waiter(void *arg)
{
    struct waiter *w = arg;
    int64_t start = clock_mono_usec();
    w->changed = store_wait(s.store, w->channel, &w->seen, w->timeout_usec);
    w->took_usec = clock_mono_usec() - start;
    w->counter = sample_counter(s.store, w->channel);
    return NULL;
}

static void start(struct waiter *w)
{
    assert_int_equal(pthread_create(&w->thread, NULL, run_waiter, w), 0);
}

static void join(struct waiter *w)
{
    assert_int_equal(pthread_join(w->thread, NULL), 0);
}

static void waiters_wake_after_the_commit(void **state)
{
    struct waiter waiters[5];
    for (size_t i = 0; i < 5; i++) {
        waiters[i] = (struct waiter){
            .channel = "jobs", .seen = store_signal_now(s.store, "jobs"), .timeout_usec = 20000000};
        start(&waiters[i]);
    }
    struct notice n = {.channel = "jobs", .hold_usec = 30000};
    sample_write(s.store, notify, &n);
    for (size_t i = 0; i < 5; i++) {
        join(&waiters[i]);
        assert_true(waiters[i].changed);
        assert_int_equal(waiters[i].seen, 1);
        assert_int_equal(waiters[i].counter, 1); /* never before it is visible */
        assert_true(waiters[i].took_usec < 10000000);
    }
}

static void a_rolled_back_signal_is_silent(void **state)
{
    struct notice n = {.channel = "jobs", .result = ERR_CONFLICT};
    uint64_t seen = store_signal_now(s.store, "jobs");
    assert_int_equal(store_write(s.store, notify, &n, NULL), ERR_CONFLICT);
    assert_int_equal(store_signal_now(s.store, "jobs"), seen);
    assert_false(store_wait(s.store, "jobs", &seen, 1000));
}

static void a_wait_ends_in_time(void **state)
{
    uint64_t seen = store_signal_now(s.store, "quiet");
    int64_t begun = clock_mono_usec();
    assert_false(store_wait(s.store, "quiet", &seen, 50000));
    int64_t took = clock_mono_usec() - begun;
    assert_in_range(took, 50000, 5000000);
    begun = clock_mono_usec();
    assert_false(store_wait(s.store, "quiet", &seen, 0));
    assert_false(store_wait(s.store, "quiet", &seen, -5));
    assert_true(clock_mono_usec() - begun < 5000000);
}

static void a_signal_before_the_wait_is_not_lost(void **state)
{
    uint64_t seen = store_signal_now(s.store, "jobs");
    struct notice n = {.channel = "jobs"};
    sample_write(s.store, notify, &n);
    sample_write(s.store, notify, &n);
    assert_true(store_wait(s.store, "jobs", &seen, 20000000));
    assert_int_equal(seen, 2);
    assert_false(store_wait(s.store, "jobs", &seen, 1000));
}

static void channels_do_not_wake_each_other(void **state)
{
    uint64_t blocks = store_signal_now(s.store, "blocks");
    uint64_t jobs = store_signal_now(s.store, "jobs");
    struct notice n = {.channel = "jobs"};
    sample_write(s.store, notify, &n);
    assert_false(store_wait(s.store, "blocks", &blocks, 1000));
    assert_true(store_wait(s.store, "jobs", &jobs, 0));
}

static void a_wake_needs_no_transaction(void **state)
{
    struct waiter w = {
        .channel = "jobs", .seen = store_signal_now(s.store, "jobs"), .timeout_usec = 20000000};
    start(&w);
    clock_sleep_usec(5000);
    store_wake(s.store, "jobs");
    join(&w);
    assert_true(w.changed);
    assert_int_equal(w.counter, 0);
}

static void too_many_channels(void)
{
    static char names[STORE_CHANNEL_MAX + 1][8];
    assert_int_equal(support_store_start(&s, NULL), OK);
    for (size_t i = 0; i < STORE_CHANNEL_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "c%zu", i);
        store_wake(s.store, names[i]);
    }
    if (store_signal_now(s.store, "c0") != 1) {
        _exit(1);
    }
    store_wake(s.store, "one too many");
}

static void channels_are_a_fixed_number(void **state)
{
    support_store_prepare(&s, &sample_catalog);
    assert_true(test_aborts(too_many_channels));
    support_store_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(waiters_wake_after_the_commit, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_rolled_back_signal_is_silent, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_wait_ends_in_time, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_signal_before_the_wait_is_not_lost, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(channels_do_not_wake_each_other, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_wake_needs_no_transaction, open_store, close_store),
        cmocka_unit_test(channels_are_a_fixed_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
