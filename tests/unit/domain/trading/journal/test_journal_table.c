/*
 * The journal in the database: found again, damage named, passed on to another process when its
 * owner is killed, closed to an owner that is late.
 *
 * JOURNAL_POINTS says how often an owner is killed (default 4; soak: 1,000).
 */
#include "domain/trading/journal/journal_table.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "unit/domain/trading/journal/commands.h"
#include "unit/support.h"

#define LEASE_USEC 1000000
#define PATIENCE_USEC (60 * (int64_t)USEC_PER_SEC)

static struct support_store s;

static enum err start_store(void)
{
    enum err e = support_store_start(&s, NULL);
    return e == OK ? store_leases_start(s.store, "match", "1", NULL) : e;
}

static int open_one(void **state)
{
    (void)state;
    support_store_prepare(&s, &sql_catalog);
    s.config.lease_usec = LEASE_USEC;
    support_store_begin(&s);
    assert_int_equal(store_leases_start(s.store, "match", "1", NULL), OK);
    return 0;
}

static int close_one(void **state)
{
    (void)state;
    support_store_close(&s);
    return 0;
}

/* Waits until this process has the journal; a fence of 0 when it does not get it. */
static struct store_hold await(void)
{
    struct store_lease *lease = store_lease_want(s.store, JOURNAL_LEASE, "journal-test");
    const int64_t deadline = clock_mono_usec() + PATIENCE_USEC;
    struct store_hold hold = {.lease = lease};
    while ((hold.fence = store_lease_held(s.store, lease)) == 0 && clock_mono_usec() < deadline) {
        clock_sleep_usec(5000);
    }
    return hold;
}

static enum err open_journal(const struct store_hold *hold, struct journal **j, struct engine **e,
                             struct journal_recovery *recovery, struct why *why)
{
    const struct journal_config config = {.limits = limits,
                                          .medium = journal_table_open(s.store, hold)};
    return journal_open(j, &config, e, recovery, why);
}

/* Appends commands up to `last`, waits after every `group`; the engine is at the end after it. */
static void append(struct journal *j, struct engine *e, uint64_t last, uint64_t group)
{
    for (uint64_t n = engine_seq(e) + 1; n <= last; n++) {
        const struct engine_command c = command(n);
        assert_int_equal(journal_append(j, &c), n);
        (void)engine_apply(e, &c);
        if (n % group == 0) {
            assert_int_equal(journal_wait(j, n, NULL), OK);
            assert_true(journal_durable(j) >= n);
        }
    }
    assert_int_equal(journal_wait(j, last, NULL), OK);
}

/* Opens, compares with an engine that had no journal, closes; returns the last command. */
static uint64_t reopened(const struct store_hold *hold, struct journal_recovery *recovery)
{
    struct journal *j;
    struct engine *e;
    struct why why = {0};
    if (open_journal(hold, &j, &e, recovery, &why) != OK) {
        fail_msg("%s", why.text);
    }
    const uint64_t last = engine_seq(e);
    assert_int_equal(engine_hash(e), hash_after(last));
    journal_close(j);
    engine_free(e);
    return last;
}

static void what_was_appended_is_found_again(void **state)
{
    (void)state;
    const struct store_hold hold = await();
    struct journal *j;
    struct engine *e;
    struct journal_recovery recovery;
    struct engine_limits found;
    assert_int_equal(journal_read_medium(journal_table_open(s.store, NULL),
                                         &(struct journal_visitor){0}, &found, &recovery, NULL),
                     ERR_NOT_FOUND);
    assert_int_equal(open_journal(&hold, &j, &e, &recovery, NULL), OK);
    append(j, e, 700, 50);
    journal_close(j);
    engine_free(e);
    assert_int_equal(reopened(&hold, &recovery), 700);
    assert_int_equal(recovery.replayed, 700);
    assert_int_equal(recovery.snapshot_seq, 0);
    assert_int_equal(journal_read_medium(journal_table_open(s.store, NULL),
                                         &(struct journal_visitor){0}, &found, &recovery, NULL),
                     OK);
    assert_int_equal(recovery.last_seq, 700);
    assert_memory_equal(&found, &limits, sizeof limits);
}

static void a_snapshot_and_the_rest_are_the_whole(void **state)
{
    (void)state;
    const struct store_hold hold = await();
    struct journal *j;
    struct engine *e;
    struct journal_recovery recovery;
    assert_int_equal(open_journal(&hold, &j, &e, &recovery, NULL), OK);
    for (uint64_t n = 1; n <= 3; n++) {
        append(j, e, n * 400, 40);
        assert_int_equal(journal_snapshot(j, e, NULL), OK);
        assert_int_equal(journal_snapshot(j, e, NULL), OK); /* of the same command: one */
    }
    journal_close(j);
    engine_free(e);
    assert_int_equal(reopened(&hold, &recovery), 1200); /* at the very end */
    assert_int_equal(recovery.snapshot_seq, 1200);
    assert_int_equal(recovery.replayed, 0);
    assert_int_equal(open_journal(&hold, &j, &e, &recovery, NULL), OK);
    append(j, e, 1210, 3);
    journal_close(j);
    engine_free(e);
    assert_int_equal(reopened(&hold, &recovery), 1210);
    assert_int_equal(recovery.replayed, 10);
    store_leases_stop(s.store);
    assert_int_equal(support_store_change(&s, "DELETE FROM trading_snapshots WHERE seq = 400"), 0);
    assert_true(support_store_change(&s, support_pick("UPDATE trading_snapshots SET bytes = "
                                                      "zeroblob(9) WHERE seq = 1200",
                                                      "UPDATE trading_snapshots SET bytes = "
                                                      "'\\x00' WHERE seq = 1200")) > 0);
    assert_int_equal(store_leases_start(s.store, "match", "1", NULL), OK);
    const struct store_hold again = await();
    assert_int_equal(reopened(&again, &recovery), 1210); /* the one before serves */
    assert_int_equal(recovery.snapshot_seq, 800);
}

/* Damage to a row; what the next reader must say. */
static void assert_named(const char *change, const char *said)
{
    struct engine_limits found;
    struct journal_recovery recovery;
    struct why why = {0};
    assert_int_equal(support_store_change(&s, change), 1);
    assert_int_equal(journal_read_medium(journal_table_open(s.store, NULL),
                                         &(struct journal_visitor){0}, &found, &recovery, &why),
                     ERR_CORRUPT);
    if (strstr(why.text, said) == NULL) {
        fail_msg("%s\nsays not: %s", why.text, said);
    }
}

static void damage_is_named(void **state)
{
    (void)state;
    const struct store_hold hold = await();
    struct journal *j;
    struct engine *e;
    struct journal_recovery recovery;
    assert_int_equal(open_journal(&hold, &j, &e, &recovery, NULL), OK);
    for (uint64_t n = 1; n <= 5; n++) { /* blocks of four */
        append(j, e, n * 4, 4);
    }
    journal_close(j);
    engine_free(e);
    store_leases_stop(s.store);
    /* A byte of record 11 (the fourth of its block is 12), 9 bytes into it. */
    if (support_on_postgres()) {
        assert_named("UPDATE trading_journal SET block = set_byte(block, 64 + 9 + 64 * (11 - "
                     "first_seq::int), get_byte(block, 64 + 9 + 64 * (11 - first_seq::int)) # 1) "
                     "WHERE first_seq <= 11 AND next_seq > 11",
                     "record 11: the record is damaged");
        assert_named("DELETE FROM trading_journal WHERE first_seq <= 11 AND next_seq > 11",
                     "the one before it is missing");
    } else {
        assert_named("DELETE FROM trading_journal WHERE first_seq <= 11 AND next_seq > 11",
                     "the one before it is missing");
    }
}

static void a_block_goes_where_the_last_one_ends(void **state)
{
    (void)state;
    const struct store_hold hold = await();
    struct journal *j;
    struct journal *twin;
    struct engine *e;
    struct engine *e2;
    struct journal_recovery recovery;
    struct why why = {0};
    assert_int_equal(open_journal(&hold, &j, &e, &recovery, NULL), OK);
    append(j, e, 20, 5);
    assert_int_equal(open_journal(&hold, &twin, &e2, &recovery, NULL), OK);
    append(j, e, 25, 5);
    const struct engine_command c = command(21);
    const uint64_t seq = journal_append(twin, &c);
    assert_int_equal(journal_wait(twin, seq, &why), ERR_CONFLICT);
    assert_int_equal(journal_state_of(twin), JOURNAL_FAILED);
    append(j, e, 40, 5);
    journal_close(twin);
    journal_close(j);
    engine_free(e);
    engine_free(e2);
    assert_int_equal(reopened(&hold, &recovery), 40);
}

/* ---- owners ---- */

/* A process that owns the journal, goes on with it, and tells what is durable; ends with an error
 * number when it may not go on. */
static void own(int tell)
{
    struct journal *j;
    struct engine *e;
    struct journal_recovery recovery;
    if (start_store() != OK) {
        _exit(1);
    }
    const struct store_hold hold = await();
    if (hold.fence == 0 || open_journal(&hold, &j, &e, &recovery, NULL) != OK) {
        _exit(2);
    }
    for (uint64_t n = engine_seq(e) + 1;; n++) {
        const struct engine_command c = command(n);
        (void)journal_append(j, &c);
        (void)engine_apply(e, &c);
        if (mix(n) % 5 == 0) {
            const enum err err = journal_wait(j, n, NULL);
            if (err != OK) {
                _exit(err == ERR_FENCED ? 77 : 3);
            }
            if (write(tell, &n, sizeof n) != sizeof n) {
                _exit(4);
            }
        }
        if (mix(n) % 400 == 0 && journal_snapshot(j, e, NULL) != OK) {
            _exit(5);
        }
    }
}

static pid_t start_owner(int *out_told)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    store_close(s.store);
    s.store = NULL;
    fflush(NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(pipes[0]);
        alarm(120); /* whatever happens to the test */
        own(pipes[1]);
    }
    close(pipes[1]);
    *out_told = pipes[0];
    return pid;
}

static void a_killed_owner_is_followed_by_another(void **state)
{
    (void)state;
    uint64_t found = 0;
    for (unsigned i = 0; i < points(4); i++) {
        int told;
        uint64_t acknowledged = 0;
        uint64_t n;
        struct journal_recovery recovery;
        const pid_t pid = start_owner(&told);
        for (uint64_t answers = 1 + mix(i) % 60; answers > 0; answers--) {
            assert_int_equal(read(told, &n, sizeof n), sizeof n);
            acknowledged = n;
        }
        clock_sleep_usec((int64_t)(mix(i + 99) % 3000));
        kill(pid, SIGKILL);
        while (read(told, &n, sizeof n) == sizeof n) {
            acknowledged = n;
        }
        close(told);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(start_store(), OK);
        const struct store_hold hold = await();
        assert_true(hold.fence != 0);
        const uint64_t last = reopened(&hold, &recovery);
        assert_true(last >= acknowledged && acknowledged > found);
        found = last;
        store_leases_stop(s.store);
    }
}

static void a_late_owner_is_refused(void **state)
{
    (void)state;
    if (!support_on_postgres()) {
        skip(); /* a file has one process */
    }
    int told;
    uint64_t n = 0;
    uint64_t acknowledged = 0;
    struct journal *j;
    struct engine *e;
    struct journal_recovery recovery;
    const pid_t pid = start_owner(&told);
    for (int answers = 0; answers < 40; answers++) {
        assert_int_equal(read(told, &n, sizeof n), sizeof n);
        acknowledged = n;
    }
    kill(pid, SIGSTOP);
    assert_int_equal(start_store(), OK);
    const struct store_hold hold = await();
    assert_true(hold.fence != 0);
    assert_int_equal(open_journal(&hold, &j, &e, &recovery, NULL), OK);
    assert_true(engine_seq(e) >= acknowledged);
    const uint64_t last = engine_seq(e) + 100;
    append(j, e, last, 10);
    kill(pid, SIGCONT);
    while (read(told, &n, sizeof n) == sizeof n) { /* what it had been told before it stopped */
        acknowledged = n;
    }
    assert_true(acknowledged <= last - 100);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    /* Fenced, or its connection was ended by the server while it slept. */
    assert_true(WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 3);
    append(j, e, last + 20, 10);
    journal_close(j);
    engine_free(e);
    close(told);
    assert_int_equal(reopened(&hold, &recovery), last + 20);
}

int main(void)
{
#define ON_STORE(test) cmocka_unit_test_setup_teardown(test, open_one, close_one)
    const struct CMUnitTest tests[] = {
        ON_STORE(what_was_appended_is_found_again),
        ON_STORE(a_snapshot_and_the_rest_are_the_whole),
        ON_STORE(damage_is_named),
        ON_STORE(a_block_goes_where_the_last_one_ends),
        ON_STORE(a_killed_owner_is_followed_by_another),
        ON_STORE(a_late_owner_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
