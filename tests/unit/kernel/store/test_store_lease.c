/*
 * Leases: two stores stand for two processes. In a file there is one process, so that what needs
 * two runs on PostgreSQL only.
 */
#include "kernel/store/store_lease.h"

#include <pthread.h>

#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_sql.h"
#include "unit/support.h"

#define LEASE_USEC 1000000
#define PATIENCE_USEC (60 * (int64_t)USEC_PER_SEC)

static struct support_store s;
static struct store *other;

static int open_one(void **state)
{
    (void)state;
    support_store_prepare(&s, &sql_catalog);
    s.config.lease_usec = LEASE_USEC;
    support_store_begin(&s);
    assert_int_equal(store_leases_start(s.store, "all", "1", NULL), OK);
    return 0;
}

static int close_one(void **state)
{
    (void)state;
    store_close(other);
    other = NULL;
    support_store_close(&s);
    return 0;
}

static void open_other(void)
{
    assert_int_equal(store_open(&other, &s.config, &sql_catalog, NULL), OK);
    assert_int_equal(store_leases_start(other, "chain", "2", NULL), OK);
}

#define NEED_TWO()                                                                                 \
    if (!support_on_postgres()) {                                                                  \
        skip();                                                                                    \
    }                                                                                              \
    open_other()

static struct store_hold want(struct store *store, const char *name)
{
    struct store_lease *lease = store_lease_want(store, name, "test");
    return (struct store_hold){.lease = lease, .fence = store_lease_held(store, lease)};
}

/* Waits until a lease is held, and returns its hold. */
static struct store_hold await(struct store *store, struct store_lease *lease)
{
    int64_t deadline = clock_mono_usec() + PATIENCE_USEC;
    uint64_t fence = 0;
    while ((fence = store_lease_held(store, lease)) == 0) {
        assert_true(clock_mono_usec() < deadline);
        clock_sleep_usec(5000);
    }
    return (struct store_hold){.lease = lease, .fence = fence};
}

/* What work under a lease may look like: a row of another table. */
struct work {
    int64_t nonce;
    int64_t pause_usec; /* after the write, before the commit */
    int runs;
};

static const uint8_t address[20] = {1, 2, 3};

static enum err put_nonce(struct store_tx *tx, void *ctx, struct why *why)
{
    struct work *w = ctx;
    w->runs++;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_wallet_put);
    store_bind_i64(&q, "chain_id", 1);
    store_bind_bytes(&q, "address", slice_of((const char *)address, sizeof address));
    store_bind_i64(&q, "next_nonce", w->nonce);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, NULL, why);
    if (w->pause_usec > 0) {
        int64_t pause = w->pause_usec;
        w->pause_usec = 0; /* of the first run */
        clock_sleep_usec(pause);
    }
    return e;
}

static enum err get_nonce(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_wallet_get);
    store_bind_i64(&q, "chain_id", 1);
    store_bind_bytes(&q, "address", slice_of((const char *)address, sizeof address));
    *(int64_t *)ctx = store_step(&q) ? store_get_i64(&q, "next_nonce") : -1;
    return store_finish(&q, NULL, why);
}

static int64_t nonce_of(void)
{
    int64_t nonce = 0;
    assert_int_equal(store_write(s.store, get_nonce, &nonce, NULL), OK);
    return nonce;
}

static enum err write_nonce(struct store *store, struct store_hold hold, int64_t nonce)
{
    struct work w = {.nonce = nonce};
    return store_lease_write(store, &hold, 1, put_nonce, &w, NULL);
}

/* ---- one process ---- */

static void a_lease_is_taken_given_back_and_taken_with_the_next_number(void **state)
{
    (void)state;
    struct store_hold a = want(s.store, "a");
    assert_int_equal(a.fence, 1);
    assert_ptr_equal(want(s.store, "a").lease, a.lease);
    assert_int_equal(want(s.store, "b").fence, 1);
    assert_int_equal(write_nonce(s.store, a, 7), OK);
    assert_int_equal(nonce_of(), 7);
    store_lease_release(s.store, a.lease);
    assert_int_equal(store_lease_held(s.store, a.lease), 0);
    assert_int_equal(write_nonce(s.store, a, 8), ERR_FENCED);
    struct store_hold again = want(s.store, "a");
    assert_int_equal(again.fence, 2);
    assert_int_equal(write_nonce(s.store, a, 8), ERR_FENCED); /* the old number */
    assert_int_equal(nonce_of(), 7);
    assert_int_equal(write_nonce(s.store, again, 9), OK);
}

static void a_write_under_several_leases_needs_all_of_them(void **state)
{
    (void)state;
    struct store_hold both[2] = {want(s.store, "a"), want(s.store, "b")};
    struct work w = {.nonce = 3};
    struct why why = {0};
    assert_int_equal(store_lease_write(s.store, both, 2, put_nonce, &w, &why), OK);
    store_lease_release(s.store, both[1].lease);
    w.nonce = 4;
    w.runs = 0;
    assert_int_equal(store_lease_write(s.store, both, 2, put_nonce, &w, &why), ERR_FENCED);
    assert_non_null(strstr(why.text, "b:"));
    assert_int_equal(w.runs, 0);
    assert_int_equal(nonce_of(), 3);
    assert_int_equal(store_lease_held(s.store, both[0].lease), 1);
}

static void a_process_that_ends_leaves_nothing_behind(void **state)
{
    (void)state;
    (void)want(s.store, "a");
    char first[STORE_PROCESS_ID_MAX];
    (void)snprintf(first, sizeof first, "%s", store_process_id(s.store));
    support_store_reopen(&s);
    assert_int_equal(store_leases_start(s.store, "all", "1", NULL), OK);
    assert_string_not_equal(store_process_id(s.store), first);
    struct store_hold again = want(s.store, "a");
    assert_int_equal(again.fence, 2); /* at once, without waiting for a time to pass */
}

struct lists {
    struct arena arena;
    struct store_lease_row *leases;
    size_t lease_count;
    struct store_process_row *processes;
    size_t process_count;
};

static enum err read_lists(struct store_tx *tx, void *ctx, struct why *why)
{
    struct lists *l = ctx;
    enum err e = store_leases_list(tx, &l->arena, &l->leases, &l->lease_count, why);
    return e == OK ? store_processes_list(tx, &l->arena, &l->processes, &l->process_count, why) : e;
}

static void who_has_what_is_listed(void **state)
{
    (void)state;
    struct lists l = {0};
    arena_init(&l.arena, 0);
    struct store_hold b = want(s.store, "b");
    (void)want(s.store, "a");
    store_lease_release(s.store, b.lease);
    assert_int_equal(store_read(s.store, read_lists, &l, NULL), OK);
    assert_int_equal(l.lease_count, 2);
    assert_true(slice_equal_text(l.leases[0].name, "a"));
    assert_true(slice_equal_text(l.leases[0].owner, store_process_id(s.store)));
    assert_int_equal(l.leases[0].pid, getpid());
    assert_true(l.leases[0].alive);
    assert_true(slice_equal_text(l.leases[1].name, "b"));
    assert_int_equal(l.leases[1].owner.len, 0);
    assert_false(l.leases[1].alive);
    assert_int_equal(l.process_count, 1);
    assert_true(slice_equal_text(l.processes[0].roles, "all"));
    assert_true(l.processes[0].alive);
    struct store_lease_state states[4];
    assert_int_equal(store_lease_states(s.store, states, 4), 1);
    assert_string_equal(states[0].name, "a");
    assert_true(states[0].held);
    assert_true(store_lease_known(s.store, "a", 0));
    assert_false(store_lease_known(s.store, "c", INT64_MAX));
    arena_free(&l.arena);
}

/* ---- two processes ---- */

static void a_release_is_heard_and_used_at_once(void **state)
{
    (void)state;
    NEED_TWO();
    struct store_hold mine = want(s.store, "a");
    struct store_hold theirs = want(other, "a");
    assert_int_equal(mine.fence, 1);
    assert_int_equal(theirs.fence, 0);
    assert_int_equal(write_nonce(other, theirs, 1), ERR_FENCED);
    store_lease_release(s.store, mine.lease);
    theirs = await(other, theirs.lease);
    assert_int_equal(theirs.fence, 2);
    assert_int_equal(write_nonce(other, theirs, 5), OK);
    assert_int_equal(write_nonce(s.store, mine, 6), ERR_FENCED);
    assert_int_equal(nonce_of(), 5);
}

/* Makes a process silent: its row says what a silent one's would after its time. */
static void silence(const char *process_id)
{
    char sql[256];
    (void)snprintf(sql, sizeof sql,
                   "UPDATE processes SET until = clock_timestamp() - interval '1 second' "
                   "WHERE process_id = '%s'",
                   process_id);
    struct arena scratch;
    arena_init(&scratch, 0);
    (void)support_store_rows(&s, &scratch, sql);
    arena_free(&scratch);
}

/* Silences a process, which does not know it, until another one has its lease. */
static struct store_hold rob(struct store *victim, struct store_lease *lease)
{
    int64_t deadline = clock_mono_usec() + PATIENCE_USEC;
    while (store_lease_held(other, lease) == 0) {
        assert_true(clock_mono_usec() < deadline);
        silence(store_process_id(victim));
        store_wake(other, "leases");
        clock_sleep_usec(2000);
    }
    return await(other, lease);
}

static void a_silent_owner_is_replaced_and_its_late_writes_are_refused(void **state)
{
    (void)state;
    NEED_TWO();
    struct store_hold mine = want(s.store, "a");
    struct store_hold theirs = want(other, "a");
    theirs = rob(s.store, theirs.lease);
    assert_true(theirs.fence > mine.fence);
    assert_int_equal(write_nonce(other, theirs, 2), OK);
    assert_int_equal(write_nonce(s.store, mine, 3), ERR_FENCED);
    assert_int_equal(store_lease_held(s.store, mine.lease), 0);
    assert_int_equal(nonce_of(), 2);
}

struct pausing {
    struct store_hold hold;
    struct work work;
    enum err result;
};

static void *pausing_main(void *ctx)
{
    struct pausing *p = ctx;
    p->result = store_lease_write(s.store, &p->hold, 1, put_nonce, &p->work, NULL);
    return NULL;
}

/*
 * The owner stands still between its write and its commit, holding the row of the lease and that of
 * its work. The server ends its transaction, the other one takes over; when the owner goes on, it
 * runs again and is refused.
 */
static void an_owner_that_pauses_in_a_transaction_is_ended_and_refused(void **state)
{
    (void)state;
    NEED_TWO();
    struct store_hold mine = want(s.store, "a");
    struct store_hold theirs = want(other, "a");
    struct pausing p = {.hold = mine, .work = {.nonce = 100, .pause_usec = 4 * LEASE_USEC}};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, pausing_main, &p), 0);
    theirs = rob(s.store, theirs.lease);
    assert_int_equal(write_nonce(other, theirs, 200), OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(p.result, ERR_FENCED);
    assert_int_equal(p.work.runs, 1); /* the second time it did not get as far */
    assert_int_equal(nonce_of(), 200);
}

/* While it sends the rows of a COPY the server does not say that its transaction rests. */
static void an_owner_that_pauses_in_a_copy_is_ended(void **state)
{
    (void)state;
    NEED_TWO();
    struct store_hold mine = want(s.store, "a");
    struct store_hold theirs = want(other, "a");
    PGconn *paused = PQconnectdb(s.url);
    PQclear(PQexec(paused, "BEGIN"));
    PGresult *row = PQexec(paused, "SELECT owner FROM process_leases WHERE name = 'a' FOR SHARE");
    assert_int_equal(PQntuples(row), 1);
    PQclear(row);
    PGresult *copy = PQexec(paused, "COPY relay_wallets FROM STDIN");
    assert_int_equal(PQresultStatus(copy), PGRES_COPY_IN);
    PQclear(copy);
    theirs = rob(s.store, theirs.lease);
    assert_true(theirs.fence > mine.fence);
    (void)PQputCopyEnd(paused, NULL);
    for (PGresult *r = PQgetResult(paused); r != NULL; r = PQgetResult(paused)) {
        assert_int_equal(PQresultStatus(r), PGRES_FATAL_ERROR);
        PQclear(r);
    }
    assert_int_equal(PQstatus(paused), CONNECTION_BAD);
    PQfinish(paused);
}

/* Until its commit a change of owner waits: what it wrote is there before the other one looks. */
static void an_owner_that_is_only_slow_commits_before_it_is_replaced(void **state)
{
    (void)state;
    NEED_TWO();
    struct store_hold mine = want(s.store, "a");
    struct store_hold theirs = want(other, "a");
    struct pausing p = {.hold = mine, .work = {.nonce = 100, .pause_usec = LEASE_USEC / 4}};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, pausing_main, &p), 0);
    while (__atomic_load_n(&p.work.runs, __ATOMIC_SEQ_CST) == 0) {
        clock_sleep_usec(1000);
    }
    theirs = rob(s.store, theirs.lease);
    int64_t nonce = nonce_of();
    assert_int_equal(pthread_join(thread, NULL), 0);
    /* On a slow machine the server may have ended it after all. */
    assert_true((p.result == OK && nonce == 100) || (p.result == ERR_FENCED && nonce == -1));
}

/* The row of a process of this machine whose pid is gone, with time left. */
static void a_dead_neighbour_is_replaced_before_its_time(void **state)
{
    (void)state;
    NEED_TWO();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    char sql[512];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO processes (process_id, host, pid, place, roles, version,"
                   " lease_usec, started_at, until) SELECT 'dead', host, %d, place, 'all', '1',"
                   " 3600000000, now(), clock_timestamp() + interval '1 hour' FROM processes"
                   " LIMIT 1;"
                   "INSERT INTO process_leases VALUES ('a', 'dead', 5, now())",
                   (int)child);
    struct arena scratch;
    arena_init(&scratch, 0);
    (void)support_store_rows(&s, &scratch, sql);
    struct store_lease *lease = store_lease_want(other, "a", "test");
    assert_int_equal(await(other, lease).fence, 6);
    arena_free(&scratch);
}

static int64_t shift_usec;

static int64_t shifted_wall(void *ctx)
{
    (void)ctx;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000 +
           __atomic_load_n(&shift_usec, __ATOMIC_SEQ_CST);
}

static int64_t real_mono(void *ctx)
{
    (void)ctx;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

/* The wall clock of this machine jumps to and fro by an hour; nobody looks at it. */
static void clocks_of_machines_do_not_count(void **state)
{
    (void)state;
    NEED_TWO();
    const struct clock_source source = {.wall_usec = shifted_wall, .mono_usec = real_mono};
    clock_set_source(&source);
    struct store_hold mine = want(s.store, "a");
    struct store_hold theirs = want(other, "a");
    for (int i = 0; i < 6; i++) {
        __atomic_store_n(&shift_usec, (i % 3 - 1) * 3600 * (int64_t)USEC_PER_SEC, __ATOMIC_SEQ_CST);
        clock_sleep_usec(LEASE_USEC / 2);
        struct store_hold now = await(s.store, mine.lease);
        assert_int_equal(write_nonce(s.store, now, i), OK);
        assert_int_equal(store_lease_held(other, theirs.lease), 0);
    }
    clock_set_source(NULL);
}

/* A time further away than an honest process writes is of a clock that was put back since. */
static void the_database_clock_put_back_makes_nobody_immortal(void **state)
{
    (void)state;
    NEED_TWO();
    struct arena scratch;
    arena_init(&scratch, 0);
    (void)support_store_rows(
        &s, &scratch,
        "INSERT INTO processes (process_id, host, pid, place, roles, version,"
        " lease_usec, started_at, until) VALUES ('dead', 'h', 1, 'elsewhere', 'all', '1',"
        " 1000000, now(), clock_timestamp() + interval '1 hour');"
        "INSERT INTO process_leases VALUES ('a', 'dead', 41, now())");
    arena_free(&scratch);
    struct store_lease *lease = store_lease_want(other, "a", "test");
    assert_int_equal(await(other, lease).fence, 42);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_one, close_one)
    const struct CMUnitTest tests[] = {
        TEST(a_lease_is_taken_given_back_and_taken_with_the_next_number),
        TEST(a_write_under_several_leases_needs_all_of_them),
        TEST(a_process_that_ends_leaves_nothing_behind),
        TEST(who_has_what_is_listed),
        TEST(a_release_is_heard_and_used_at_once),
        TEST(a_silent_owner_is_replaced_and_its_late_writes_are_refused),
        TEST(an_owner_that_pauses_in_a_transaction_is_ended_and_refused),
        TEST(an_owner_that_pauses_in_a_copy_is_ended),
        TEST(an_owner_that_is_only_slow_commits_before_it_is_replaced),
        TEST(a_dead_neighbour_is_replaced_before_its_time),
        TEST(clocks_of_machines_do_not_count),
        TEST(the_database_clock_put_back_makes_nobody_immortal),
    };
    log_set_fd(-1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
