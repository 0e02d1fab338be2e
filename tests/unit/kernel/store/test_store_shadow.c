/* A second database beside the first: what it keeps, and who has it. */
#include "kernel/store/store_shadow.h"

#include <pthread.h>
#include <unistd.h>

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

static struct store_shadow *open_shadow(bool anew)
{
    struct store_shadow *shadow = NULL;
    struct why why = {0};
    enum err e = store_shadow_open(s.store, &s.config, anew, &shadow, &why);
    if (e != OK) {
        fail_msg("%s: %s", err_code(e), why_text(&why, e));
    }
    return shadow;
}

static void close_shadow(struct store_shadow *shadow, bool drop)
{
    struct why why = {0};
    enum err e = store_shadow_close(shadow, drop, &why);
    if (e != OK) {
        fail_msg("%s: %s", err_code(e), why_text(&why, e));
    }
}

static int64_t add(struct store *store)
{
    struct sample_counter c = {.name = "seen", .step = 1};
    sample_write(store, sample_counter_add, &c);
    return c.value;
}

/* Whether anything is left of a shadow, in the database or beside it. */
static bool is_there(void)
{
    if (support_on_postgres()) {
        struct arena arena;
        arena_init(&arena, 0);
        struct slice rows = support_store_rows(
            &s, &arena, "SELECT nspname FROM pg_namespace WHERE nspname = 'freehold_shadow'");
        bool there = rows.len > 0;
        arena_free(&arena);
        return there;
    }
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock", ".claim"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char path[sizeof(s.path) + 24];
        (void)snprintf(path, sizeof(path), "%s-shadow%s", s.path, suffixes[i]);
        if (access(path, F_OK) == 0) {
            return true;
        }
    }
    return false;
}

static void it_is_a_database_of_its_own(void **state)
{
    assert_int_equal(add(s.store), 1);
    struct store_shadow *shadow = open_shadow(true);
    assert_int_equal(sample_counter(store_shadow_store(shadow), "seen"), 0);
    assert_int_equal(add(store_shadow_store(shadow)), 1);
    assert_int_equal(add(store_shadow_store(shadow)), 2);
    assert_int_equal(sample_counter(s.store, "seen"), 1);
    close_shadow(shadow, true);
    assert_false(is_there());
    assert_int_equal(sample_counter(s.store, "seen"), 1);
}

static void it_is_gone_on_with_or_begun_anew(void **state)
{
    struct store_shadow *shadow = open_shadow(true);
    assert_int_equal(add(store_shadow_store(shadow)), 1);
    close_shadow(shadow, false);
    assert_true(is_there());
    shadow = open_shadow(false);
    assert_int_equal(add(store_shadow_store(shadow)), 2);
    close_shadow(shadow, false);
    shadow = open_shadow(true);
    assert_int_equal(add(store_shadow_store(shadow)), 1);
    close_shadow(shadow, true);
    assert_false(is_there());
}

static void who_has_it_keeps_it(void **state)
{
    struct store_shadow *shadow = open_shadow(true);
    assert_int_equal(add(store_shadow_store(shadow)), 1);
    for (int anew = 0; anew < 2; anew++) {
        struct store_shadow *other = NULL;
        struct why why = {0};
        assert_int_equal(store_shadow_open(s.store, &s.config, anew == 1, &other, &why),
                         ERR_LOCKED);
        assert_non_null(strstr(why_text(&why, ERR_LOCKED), "another process is at work in"));
        assert_null(other);
    }
    assert_int_equal(add(store_shadow_store(shadow)), 2);
    close_shadow(shadow, true);
    close_shadow(open_shadow(false), true);
}

enum { THREADS = 4, ROUNDS = 4 };

/* Begins anew again and again; whoever has it must be the only one who writes. */
static void *contend(void *ctx)
{
    int *had = ctx;
    for (int i = 0; i < ROUNDS; i++) {
        struct store_shadow *shadow = NULL;
        struct why why = {0};
        enum err e = store_shadow_open(s.store, &s.config, true, &shadow, &why);
        if (e == OK) {
            bool alone =
                add(store_shadow_store(shadow)) == 1 && add(store_shadow_store(shadow)) == 2;
            *had = alone && *had >= 0 ? *had + 1 : -1;
            e = store_shadow_close(shadow, true, &why);
        }
        if (e != OK && e != ERR_LOCKED) {
            (void)fprintf(stderr, "%s: %s\n", err_code(e), why_text(&why, e));
            *had = -1;
        }
    }
    return NULL;
}

static void of_many_one_has_it_at_a_time(void **state)
{
    pthread_t threads[THREADS];
    int had[THREADS] = {0};
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &had[i]), 0);
    }
    int sum = 0;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(had[i] >= 0);
        sum += had[i];
    }
    assert_true(sum > THREADS / 2);
    assert_false(is_there());
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_a_database_of_its_own),
        TEST(it_is_gone_on_with_or_begun_anew),
        TEST(who_has_it_keeps_it),
        TEST(of_many_one_has_it_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
