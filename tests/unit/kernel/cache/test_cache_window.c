/*
 * The arithmetic of a sliding window; expected values are calculated by hand.
 */
#include "kernel/cache/cache_internal.h"
#include "unit/test.h"

#define SEC (int64_t) USEC_PER_SEC

static const struct cache_limit ten_a_minute = {.uses = 10, .window_usec = 60 * SEC};

static struct cache_verdict take(struct cache_window *w, int64_t at_usec)
{
    struct cache_verdict v = {0};
    cache_window_take(w, &ten_a_minute, at_usec, &v);
    return v;
}

static void a_slot_allows_the_limit_and_says_what_is_left(void **state)
{
    (void)state;
    struct cache_window w = {0};
    for (uint64_t i = 0; i < 10; i++) {
        struct cache_verdict v = take(&w, 20 * SEC);
        assert_true(v.allowed);
        assert_int_equal(v.remaining, 9 - i);
        assert_int_equal(v.reset_usec, 100 * SEC); /* the end of the next slot */
        assert_int_equal(v.retry_usec, i < 9 ? 0 : 46 * SEC);
    }
    struct cache_verdict v = take(&w, 20 * SEC);
    assert_false(v.allowed);
    assert_int_equal(v.remaining, 0);
    assert_int_equal(v.retry_usec, 46 * SEC); /* 66 s: a tenth into the next slot */
    assert_int_equal(w.now, 10);              /* a refused use is not counted */
}

static void the_slot_before_weighs_what_is_left_of_it(void **state)
{
    (void)state;
    struct cache_window w = {0};
    for (int i = 0; i < 10; i++) {
        assert_true(take(&w, 0).allowed);
    }
    assert_false(take(&w, 60 * SEC).allowed);     /* 10 * 60 / 60 = 10 */
    assert_false(take(&w, 66 * SEC - 1).allowed); /* rounded up: still 10 */
    struct cache_verdict v = take(&w, 66 * SEC);  /* 10 * 54 / 60 = 9 */
    assert_true(v.allowed);
    assert_int_equal(v.remaining, 0);
    assert_int_equal(v.retry_usec, 6 * SEC); /* 72 s: 10 * 48 / 60 = 8, and one */
    assert_false(take(&w, 72 * SEC - 1).allowed);
    assert_true(take(&w, 72 * SEC).allowed);
    v = take(&w, 90 * SEC); /* 10 * 30 / 60 = 5, and two */
    assert_true(v.allowed);
    assert_int_equal(v.remaining, 2);
    assert_int_equal(v.reset_usec, 90 * SEC);
}

static void a_pause_of_a_whole_slot_forgets(void **state)
{
    (void)state;
    struct cache_window w = {0};
    for (int i = 0; i < 10; i++) {
        assert_true(take(&w, 59 * SEC).allowed);
    }
    struct cache_verdict v = take(&w, 120 * SEC);
    assert_true(v.allowed);
    assert_int_equal(v.remaining, 9);
}

/* Whatever the times, no window of the length has many more uses than the limit. */
static void no_window_has_more_than_the_limit_and_a_slot_of_spread(void **state)
{
    (void)state;
    static int64_t times[100000];
    size_t count = 0;
    struct cache_window w = {0};
    uint64_t random = 42;
    int64_t now = 0;
    for (int i = 0; i < 100000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        now += (int64_t)((random >> 33) % (4 * SEC));
        if (take(&w, now).allowed) {
            times[count++] = now;
        }
    }
    assert_true(count > 20000);
    size_t first = 0;
    for (size_t i = 0; i < count; i++) {
        while (times[i] - times[first] >= 60 * SEC) {
            first++;
        }
        /* Uses of the slot before may have come late in it: at most those that a slot adds. */
        assert_true(i - first + 1 <= 2 * 10 - 1);
    }
}

static void the_table_keeps_keys_apart_and_gives_up_the_oldest(void **state)
{
    (void)state;
    struct cache_table *table = cache_table_new();
    const struct cache_limit one = {.uses = 1, .window_usec = 3600 * SEC};
    struct cache_verdict v;
    struct hash key = {{1}};
    cache_table_take(table, &key, &one, &v);
    assert_true(v.allowed);
    cache_table_take(table, &key, &one, &v);
    assert_false(v.allowed);
    key.bytes[31] = 9; /* the same place, another key */
    for (uint8_t i = 0; i < 4; i++) {
        key.bytes[30] = i;
        cache_table_take(table, &key, &one, &v);
        assert_true(v.allowed);
    }
    key = (struct hash){{1}};
    cache_table_take(table, &key, &one, &v);
    assert_true(v.allowed); /* it was given up */
    cache_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_allows_the_limit_and_says_what_is_left),
        cmocka_unit_test(the_slot_before_weighs_what_is_left_of_it),
        cmocka_unit_test(a_pause_of_a_whole_slot_forgets),
        cmocka_unit_test(no_window_has_more_than_the_limit_and_a_slot_of_spread),
        cmocka_unit_test(the_table_keeps_keys_apart_and_gives_up_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
