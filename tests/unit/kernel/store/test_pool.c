#include <pthread.h>
#include <stdatomic.h>

#include "kernel/base/clock.h"
#include "kernel/base/rand.h"
#include "unit/kernel/store/server.h"

/* ---- a server that goes away ---- */

struct half {
    int runs;
    void (*break_)(void); /* in the middle of the first run */
};

static void end_connections(void)
{
    strange_once("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                 " WHERE datname = current_database() AND pid <> pg_backend_pid()");
}

static void kill_server(void)
{
    server("kill");
}

static enum err half_then_break(struct store_tx *tx, void *ctx, struct why *why)
{
    struct half *h = ctx;
    struct sample_counter first = {.name = "first", .step = 1};
    struct sample_counter second = {.name = "second", .step = 1};
    enum err e = sample_counter_add(tx, &first, why);
    if (h->runs++ == 0) {
        h->break_();
    }
    return e == OK ? sample_counter_add(tx, &second, why) : e;
}

static void a_transaction_cut_in_half_is_run_again(void **state)
{
    NEED_SERVER();
    struct half h = {.break_ = end_connections};
    sample_write(s.store, half_then_break, &h);
    assert_int_equal(h.runs, 2);
    assert_int_equal(sample_counter(s.store, "first"), 1);
    assert_int_equal(sample_counter(s.store, "second"), 1);
}

/* Tries until it works, which it must within some seconds. */
static void add_soon(const char *name)
{
    int64_t start = clock_mono_usec();
    struct sample_counter c = {.name = name, .step = 1};
    struct why why = {0};
    while (store_write(s.store, sample_counter_add, &c, &why) != OK) {
        if (clock_mono_usec() - start > 20000000) {
            fail_msg("%s", why.text);
        }
        clock_sleep_usec(10000);
    }
}

static void while_the_server_is_gone_the_answer_comes_at_once(void **state)
{
    NEED_SERVER();
    struct half h = {.break_ = kill_server};
    struct why why = {0};
    assert_int_equal(store_write(s.store, half_then_break, &h, &why), ERR_DB_UNAVAILABLE);
    assert_true(err_retryable(ERR_DB_UNAVAILABLE));
    int64_t start = clock_mono_usec();
    for (int i = 0; i < 100; i++) {
        struct sample_counter c = {.name = "gone", .step = 1};
        assert_int_equal(store_write(s.store, sample_counter_add, &c, &why), ERR_DB_UNAVAILABLE);
        assert_int_equal(store_read(s.store, sample_counter_get, &c, &why), ERR_DB_UNAVAILABLE);
    }
    assert_true(clock_mono_usec() - start < 3000000);
    server("start");
    add_soon("back");
    assert_int_equal(sample_counter(s.store, "first"), 0);
    assert_int_equal(sample_counter(s.store, "gone"), 0);
    assert_int_equal(sample_counter(s.store, "back"), 1);
}

static enum err count_down(struct store_tx *tx, void *ctx, struct why *why)
{
    struct half *h = ctx;
    struct sample_counter c = {.name = "fatal", .step = 1};
    h->runs++;
    return sample_counter_add(tx, &c, why);
}

/* The commit itself kills its connection: whether it happened is for the caller to find out. */
static void a_commit_without_an_answer_is_not_run_again(void **state)
{
    NEED_SERVER();
    strange_once(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        "  PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL;"
        " END $$;"
        "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON counters DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (NEW.name = 'fatal') EXECUTE FUNCTION die()");
    struct half h = {0};
    struct why why = {0};
    assert_int_equal(store_write(s.store, count_down, &h, &why), ERR_DB_UNAVAILABLE);
    assert_non_null(strstr(why.text, "whether it did is not known"));
    assert_int_equal(h.runs, 1);
    assert_int_equal(sample_counter(s.store, "fatal"), 0);
    add("other");
}

static void connections_that_died_at_rest_are_replaced(void **state)
{
    NEED_SERVER();
    add("rest");
    for (int i = 0; i < 3; i++) {
        server("restart");
        add_soon("rest");
        assert_int_equal(sample_counter(s.store, "rest"), i + 2);
    }
}

static void wait_until_closed(uint64_t readers, uint64_t writers)
{
    struct store_stats stats;
    int64_t start = clock_mono_usec();
    do {
        assert_true(clock_mono_usec() - start < 20000000);
        clock_sleep_usec(5000);
        store_stats_read(s.store, &stats);
    } while (stats.pools[STORE_READERS].open != readers ||
             stats.pools[STORE_WRITERS].open != writers);
}

static void connections_that_nobody_uses_are_closed(void **state)
{
    NEED_SERVER();
    struct store_stats before;
    struct store_stats after;
    store_close(s.store);
    s.config.idle_usec = 100000;
    assert_int_equal(support_store_start(&s, NULL), OK);
    add("used");
    wait_until_closed(0, 0);
    store_stats_read(s.store, &before);
    assert_true(before.pools[STORE_WRITERS].closed_idle >= 1);
    assert_int_equal(before.pools[STORE_WRITERS].connects, before.pools[STORE_WRITERS].closed_idle);
    add("used"); /* and made again */
    assert_int_equal(sample_counter(s.store, "used"), 2);
    store_stats_read(s.store, &after);
    assert_int_equal(after.pools[STORE_WRITERS].connects, before.pools[STORE_WRITERS].connects + 1);
    wait_until_closed(0, 0);
}

enum { COUNTERS = 6, RESTARTS = 4 };

struct counter {
    pthread_t thread;
    int number;
    int64_t acknowledged;
    int64_t unknown;
    int64_t failures;
};

static atomic_bool counting;

static void *count(void *arg)
{
    struct counter *c = arg;
    char name[16];
    snprintf(name, sizeof(name), "kill%d", c->number);
    while (atomic_load(&counting)) {
        struct sample_counter step = {.name = name, .step = 1};
        struct why why = {0};
        enum err e = store_write(s.store, sample_counter_add, &step, &why);
        c->acknowledged += e == OK;
        c->unknown += e == ERR_DB_UNAVAILABLE;
        if (e != OK && e != ERR_DB_UNAVAILABLE) {
            c->failures++;
            print_error("%s: %s\n", err_code(e), why.text);
        }
        if (e != OK) {
            clock_sleep_usec(2000);
        }
    }
    return NULL;
}

static void what_was_acknowledged_survives_the_servers_death(void **state)
{
    NEED_SERVER();
    static struct counter counters[COUNTERS];
    rand_set_seed(11);
    atomic_store(&counting, true);
    for (int i = 0; i < COUNTERS; i++) {
        counters[i] = (struct counter){.number = i};
        assert_int_equal(pthread_create(&counters[i].thread, NULL, count, &counters[i]), 0);
    }
    for (int i = 0; i < RESTARTS; i++) {
        clock_sleep_usec(100000 + (int64_t)rand_below(200000));
        server("restart");
        add_soon("alive");
    }
    atomic_store(&counting, false);
    for (int i = 0; i < COUNTERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "kill%d", i);
        pthread_join(counters[i].thread, NULL);
        assert_int_equal(counters[i].failures, 0);
        int64_t value = sample_counter(s.store, name);
        assert_in_range(value, counters[i].acknowledged,
                        counters[i].acknowledged + counters[i].unknown);
        assert_true(counters[i].acknowledged > 0);
        /* Only a commit without an answer may count for more than it was told. */
        assert_true(value - counters[i].acknowledged <= RESTARTS);
    }
}

int main(void)
{
    setenv("TEST_DATABASE", "postgres", 1);
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_transaction_cut_in_half_is_run_again),
        WITH_STORE(while_the_server_is_gone_the_answer_comes_at_once),
        WITH_STORE(a_commit_without_an_answer_is_not_run_again),
        WITH_STORE(connections_that_died_at_rest_are_replaced),
        WITH_STORE(connections_that_nobody_uses_are_closed),
        WITH_STORE(what_was_acknowledged_survives_the_servers_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
