#include <pthread.h>

#include "unit/kernel/audit/trail.h"

#define WRITERS 4
#define SEALERS 3
#define EACH 60

static void test_batches_are_bounded(void **state)
{
    (void)state;
    uint64_t rows = 0;
    trail_write(1, 300);
    assert_int_equal(audit_seal(support.store, &rows, NULL), OK);
    assert_int_equal(rows, 256);
    assert_int_equal(audit_seal(support.store, &rows, NULL), OK);
    assert_int_equal(rows, 44);
    assert_int_equal(audit_seal(support.store, &rows, NULL), OK);
    assert_int_equal(rows, 0);
    struct audit_report r = trail_verify(NULL);
    assert_int_equal(r.found, AUDIT_SOUND);
    assert_int_equal(r.rows, 300);
    assert_int_equal(r.unsealed, 0);
}

static void *write_rows(void *arg)
{
    int first = 1000 * *(int *)arg;
    for (int i = 0; i < EACH; i++) {
        struct trail_rows rows = {.first = first + i, .count = 1};
        assert_int_equal(store_write(support.store, trail_write_tx, &rows, NULL), OK);
    }
    return NULL;
}

static _Atomic bool writing;

/* Its own connection to the database, as another process has it; on SQLite there is only one. */
static void *seal_rows(void *arg)
{
    (void)arg;
    struct store *store = support.store;
    if (support_on_postgres()) {
        assert_int_equal(store_open(&store, &support.config, &sql_catalog, NULL), OK);
    }
    uint64_t sealed = 0;
    uint64_t rows = 0;
    do {
        struct why why = {0};
        enum err e = audit_seal(store, &rows, &why);
        if (e != OK) {
            fail_msg("%s", why_text(&why, e));
        }
        sealed += rows;
    } while (writing || rows > 0);
    if (support_on_postgres()) {
        store_close(store);
    }
    uint64_t *out = mem_alloc(sizeof(*out));
    *out = sealed;
    return out;
}

static void test_several_sealers_make_one_chain(void **state)
{
    (void)state;
    pthread_t writers[WRITERS];
    pthread_t sealers[SEALERS];
    int numbers[WRITERS];
    uint64_t sealed = 0;
    writing = true;
    for (int i = 0; i < SEALERS; i++) {
        assert_int_equal(pthread_create(&sealers[i], NULL, seal_rows, NULL), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&writers[i], NULL, write_rows, &numbers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(writers[i], NULL), 0);
    }
    writing = false;
    for (int i = 0; i < SEALERS; i++) {
        void *count = NULL;
        assert_int_equal(pthread_join(sealers[i], &count), 0);
        sealed += *(uint64_t *)count;
        mem_free(count);
    }
    sealed += trail_seal();
    assert_int_equal(sealed, WRITERS * EACH);
    struct audit_report r = trail_verify(NULL);
    assert_int_equal(r.found, AUDIT_SOUND);
    assert_int_equal(r.rows, WRITERS * EACH);
}

static void test_the_thread_seals_what_is_written(void **state)
{
    (void)state;
    struct audit_config config = {.seal_usec = 1000};
    struct audit_sealer *sealer = NULL;
    assert_int_equal(audit_sealer_start(support.store, &config, &sealer, NULL), OK);
    trail_write(1, 5);
    while (trail_verify(NULL).rows < 5) {
        clock_sleep_usec(1000);
    }
    trail_write(6, 5);
    audit_sealer_stop(sealer); /* seals the rest */
    struct audit_report r = trail_verify(NULL);
    assert_int_equal(r.rows, 10);
    assert_int_equal(r.unsealed, 0);
    audit_sealer_stop(NULL);
}

static void test_a_restart_goes_on(void **state)
{
    (void)state;
    trail_write(1, 3);
    assert_int_equal(trail_seal(), 3);
    trail_write(4, 3);
    support_store_reopen(&support);
    assert_int_equal(trail_seal(), 3);
    assert_int_equal(trail_head().seq, 6);
    assert_int_equal(trail_verify(NULL).found, AUDIT_SOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batches_are_bounded, trail_open, trail_close),
        cmocka_unit_test_setup_teardown(test_several_sealers_make_one_chain, trail_open,
                                        trail_close),
        cmocka_unit_test_setup_teardown(test_the_thread_seals_what_is_written, trail_open,
                                        trail_close),
        cmocka_unit_test_setup_teardown(test_a_restart_goes_on, trail_open, trail_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
