#include "kernel/inbox/inbox.h"

#include <pthread.h>

#include "kernel/base/clock.h"
#include "unit/support.h"

static struct support_store support;

struct taking {
    const char *source;
    const char *id;
    const char *content;
    const char *result;
    bool fail;
    struct arena arena;
    struct inbox_taken taken;
};

static enum err take_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct taking *t = ctx;
    struct hash content = sha256(slice_text(t->content));
    struct slice id = slice_text(t->id);
    enum err e = inbox_take(tx, &t->arena, t->source, id, &content, &t->taken, why);
    if (e == OK && t->result != NULL) {
        e = inbox_result(tx, t->source, id, slice_text(t->result), why);
    }
    return e == OK && t->fail ? why_set(why, ERR_CONFLICT, NULL, "no") : e;
}

static struct inbox_taken take(const char *source, const char *id, const char *content)
{
    struct why why = {0};
    struct taking t = {.source = source, .id = id, .content = content};
    arena_init(&t.arena, 0);
    enum err e = store_write(support.store, take_tx, &t, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    assert_int_equal(t.taken.result.len, 0);
    arena_free(&t.arena);
    return t.taken;
}

static int open_store(void **state)
{
    (void)state;
    support_store_open(&support, &sql_catalog);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    support_store_close(&support);
    return 0;
}

static void test_each_event_is_new_once(void **state)
{
    (void)state;
    assert_int_equal(take("kyc", "1", "a").verdict, INBOX_NEW);
    struct inbox_taken again = take("kyc", "1", "a");
    assert_int_equal(again.verdict, INBOX_SAME);
    assert_int_equal(again.seen, 2);
    assert_true(again.first_seen_usec > 0);
    assert_int_equal(take("kyc", "1", "b").verdict, INBOX_DIFFERENT);
    assert_int_equal(take("kyc", "1", "a").verdict, INBOX_SAME);
    assert_int_equal(take("x402", "1", "b").verdict, INBOX_NEW);
    assert_int_equal(take("kyc", "2", "a").verdict, INBOX_NEW);
}

static void test_result_is_given_again(void **state)
{
    (void)state;
    struct taking t = {.source = "kyc", .id = "1", .content = "a", .result = "{\"ok\": true}"};
    arena_init(&t.arena, 0);
    assert_int_equal(store_write(support.store, take_tx, &t, NULL), OK);
    assert_int_equal(t.taken.verdict, INBOX_NEW);
    /* The first result stays. */
    assert_int_equal(store_write(support.store, take_tx, &t, NULL), ERR_CONFLICT);
    t.result = NULL;
    assert_int_equal(store_write(support.store, take_tx, &t, NULL), OK);
    assert_int_equal(t.taken.verdict, INBOX_SAME);
    assert_true(slice_equal_text(t.taken.result, "{\"ok\": true}"));
    arena_free(&t.arena);
}

static void test_goes_back_with_its_transaction(void **state)
{
    (void)state;
    struct taking t = {.source = "kyc", .id = "1", .content = "a", .fail = true};
    arena_init(&t.arena, 0);
    assert_int_equal(store_write(support.store, take_tx, &t, NULL), ERR_CONFLICT);
    assert_int_equal(take("kyc", "1", "a").verdict, INBOX_NEW);
    arena_free(&t.arena);
}

static void test_ids_have_limits(void **state)
{
    (void)state;
    char id[INBOX_EVENT_ID_MAX + 2];
    memset(id, 'x', sizeof(id));
    id[INBOX_EVENT_ID_MAX] = '\0';
    assert_int_equal(take("kyc", id, "a").verdict, INBOX_NEW);
    id[INBOX_EVENT_ID_MAX] = 'x';
    id[INBOX_EVENT_ID_MAX + 1] = '\0';
    const char *const wrong[] = {"", id, "\xff"};
    const enum err errors[] = {ERR_INVALID_FIELD, ERR_INVALID_FIELD, ERR_INVALID_ENCODING};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct taking t = {.source = "kyc", .id = wrong[i], .content = "a"};
        arena_init(&t.arena, 0);
        assert_int_equal(store_write(support.store, take_tx, &t, NULL), errors[i]);
        arena_free(&t.arena);
    }
}

#define THREADS 8
#define IDS 40

static _Atomic int news;

static void *take_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < IDS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        struct inbox_taken taken = take("poll", id, "a");
        assert_int_not_equal(taken.verdict, INBOX_DIFFERENT);
        news += taken.verdict == INBOX_NEW;
    }
    return NULL;
}

static void test_one_of_many_takes_it(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    news = 0;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_all, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(news, IDS);
    assert_int_equal(take("poll", "0", "a").seen, THREADS + 1);
}

struct purging {
    int64_t before_usec;
    uint64_t rows;
};

static enum err purge_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct purging *p = ctx;
    return inbox_purge(tx, p->before_usec, 2, &p->rows, why);
}

static void test_purging_forgets_the_oldest(void **state)
{
    (void)state;
    take("kyc", "1", "a");
    take("kyc", "2", "a");
    clock_sleep_usec(2000);
    int64_t between = clock_wall_usec();
    clock_sleep_usec(2000);
    take("kyc", "3", "a");
    struct purging p = {.before_usec = between};
    assert_int_equal(store_write(support.store, purge_tx, &p, NULL), OK);
    assert_int_equal(p.rows, 2);
    assert_int_equal(store_write(support.store, purge_tx, &p, NULL), OK);
    assert_int_equal(p.rows, 0);
    assert_int_equal(take("kyc", "1", "b").verdict, INBOX_NEW);
    assert_int_equal(take("kyc", "3", "a").verdict, INBOX_SAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_event_is_new_once, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_result_is_given_again, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_goes_back_with_its_transaction, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(test_ids_have_limits, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_one_of_many_takes_it, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_purging_forgets_the_oldest, open_store, close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
