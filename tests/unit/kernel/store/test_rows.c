/* Many rows through one statement, on either database. */
#include <pthread.h>

#include "kernel/base/clock.h"
#include "kernel/base/rand.h"
#include "kernel/store/store.h"
#include "unit/kernel/store/server.h"

static int open_any(void **state)
{
    support_store_open(&s, &sample_catalog);
    return 0;
}

static int close_any(void **state)
{
    support_store_close(&s);
    return 0;
}

/* ---- items ---- */

struct load {
    const struct store_statement *statement;
    uint64_t first;
    uint64_t count;
    uint64_t bad; /* this one breaks a rule; UINT64_MAX: none */
    size_t raw_len;
    int64_t changed;
    int64_t answers;
    int runs;
};

/* What an item of a number looks like: each type, NULL in every place now and then. */
static void bind_item(struct store_query *q, struct arena *scratch, const struct load *l,
                      uint64_t number)
{
    uint8_t digest[32];
    uint8_t owner[20];
    int64_t score = number == l->bad ? -1 : (int64_t)number + 1;
    memset(digest, (int)(number & 0xff), sizeof(digest));
    memset(owner, (int)(number >> 8 & 0xff), sizeof(owner));
    store_bind_text(q, "name",
                    slice_format(scratch, "item \xe2\x82\xac %06llu", (unsigned long long)number));
    store_bind_bool(q, "done", number % 2 == 0); /* out of order: by name all the same */
    if (number % 3 == 0) {
        store_bind_null(q, "payload");
        store_bind_null(q, "raw");
        store_bind_null(q, "digest");
        store_bind_null(q, "owner");
        store_bind_null(q, "parent");
    } else {
        store_bind_json(q, "payload",
                        slice_format(scratch, "{\"n\": %llu}", (unsigned long long)number));
        store_bind_bytes(q, "raw", slice_of(arena_alloc(scratch, l->raw_len + 1), l->raw_len));
        store_bind_bytes(q, "digest", slice_of(digest, sizeof(digest)));
        store_bind_bytes(q, "owner", slice_of(owner, sizeof(owner)));
        store_bind_null(q, "parent");
    }
    store_bind_u256(q, "amount", number % 5 == 0 ? U256_MAX : u256_from_u64(number * 1000003));
    store_bind_time(q, "at", 1793337600000000 + (int64_t)number);
    if (number % 7 == 0 && number != l->bad) {
        store_bind_null(q, "score");
    } else {
        store_bind_i64(q, "score", score);
    }
}

static enum err load_items(struct store_tx *tx, void *ctx, struct why *why)
{
    struct load *l = ctx;
    struct arena scratch;
    struct store_query q;
    arena_init(&scratch, 0);
    l->runs++;
    l->answers = 0;
    store_begin_rows(&q, tx, l->statement);
    for (uint64_t i = 0; i < l->count; i++) {
        bind_item(&q, &scratch, l, l->first + i);
        store_row(&q);
        arena_clear(&scratch);
    }
    while (l->statement->column_count > 0 && store_step(&q)) {
        assert_true(store_get_i64(&q, "id") > 0);
        if (l->statement->column_count > 1) {
            assert_true(slice_starts(store_get_text(&q, "name", &scratch), SLICE_LIT("item")));
        }
        l->answers++;
    }
    enum err e = store_finish(&q, &l->changed, why);
    arena_free(&scratch);
    return e;
}

/* All items as the database shows them, without the numbers that it gave them. */
static struct slice all_items(struct arena *arena)
{
    return support_store_rows(&s, arena,
                              "SELECT name, payload, raw, digest, owner, amount, at, done, score,"
                              " parent FROM items ORDER BY name");
}

/* The three ways and one row at a time leave the same rows. */
static void each_way_leaves_the_same_rows(void **state)
{
    static const struct store_statement *const ways[] = {
        &sample_sql_items_load, &sample_sql_items_set, &sample_sql_item_add};
    struct arena arena;
    arena_init(&arena, 0);
    struct slice expected = SLICE_EMPTY;
    for (size_t way = 0; way < 3; way++) {
        struct load l = {.statement = ways[way], .count = 5000, .bad = UINT64_MAX, .raw_len = 30};
        sample_write(s.store, load_items, &l);
        assert_int_equal(l.changed, 5000);
        assert_int_equal(l.answers, ways[way]->column_count > 0 ? 5000 : 0);
        struct slice found = all_items(&arena);
        if (way == 0) {
            expected = found;
            assert_true(found.len > 5000 * 100);
            /* written down by hand: the item number 1 */
            static const char first[] = "item \xe2\x82\xac 000001|{\"n\": 1}|";
            assert_non_null(strstr(slice_cstr(&arena, found), first));
        }
        assert_true(slice_equal(found, expected));
        support_store_close(&s);
        support_store_open(&s, &sample_catalog);
    }
    arena_free(&arena);
}

static void no_rows_do_nothing(void **state)
{
    static const struct store_statement *const ways[] = {
        &sample_sql_items_load, &sample_sql_items_set, &sample_sql_item_add};
    for (size_t way = 0; way < 3; way++) {
        struct load l = {.statement = ways[way], .bad = UINT64_MAX, .changed = 7};
        sample_write(s.store, load_items, &l);
        assert_int_equal(l.changed, 0);
        assert_int_equal(l.answers, 0);
    }
}

/* Rows of 300 kB fill a chunk by their size. */
static void rows_may_be_large(void **state)
{
    static const struct store_statement *const ways[] = {
        &sample_sql_items_load, &sample_sql_items_set, &sample_sql_item_add};
    for (size_t way = 0; way < 3; way++) {
        struct load l = {.statement = ways[way],
                         .first = 100 * way,
                         .count = 20,
                         .bad = UINT64_MAX,
                         .raw_len = 300000};
        sample_write(s.store, load_items, &l);
        assert_int_equal(l.changed, 20);
    }
}

/* A refused row fails the function, names itself (or its chunk) and leaves nothing. */
static void a_refused_row_is_named(void **state)
{
    static const struct {
        const struct store_statement *statement;
        const char *sqlite;
        const char *postgres;
    } ways[] = {
        {&sample_sql_items_load, "Row 3002: ", "Row 3002: "},
        {&sample_sql_items_set, "Row 3002: ", "Rows 2049 to 4096: "},
        {&sample_sql_item_add, "Row 3002: ", "Row 3002: "},
    };
    for (size_t way = 0; way < 3; way++) {
        struct load l = {.statement = ways[way].statement, .count = 5000, .bad = 3001};
        struct why why = {0};
        assert_int_equal(store_write(s.store, load_items, &l, &why), ERR_DB_CONSTRAINT);
        const char *expected = support_pick(ways[way].sqlite, ways[way].postgres);
        if (strncmp(why.text, expected, strlen(expected)) != 0) {
            fail_msg("%s", why.text);
        }
        assert_non_null(strstr(why.field, "score"));
        struct load after = {.statement = ways[way].statement, .count = 10, .bad = UINT64_MAX};
        sample_write(s.store, load_items, &after); /* nothing of the first run is there */
        assert_int_equal(after.changed, 10);
        support_store_close(&s);
        support_store_open(&s, &sample_catalog);
    }
}

static enum err load_bad_text(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, ctx);
    for (int i = 0; i < 3; i++) {
        store_bind_text(&q, "name", i == 1 ? SLICE_LIT("a\xff") : SLICE_LIT("a"));
        store_bind_i64(&q, "step", i);
        store_row(&q);
    }
    enum err e = store_finish(&q, NULL, why);
    assert_int_equal(e, ERR_INVALID_ENCODING);
    return OK; /* the function cannot make good of it */
}

static void a_value_that_cannot_be_kept_is_named(void **state)
{
    static const struct store_statement *const ways[] = {&sample_sql_counters_put,
                                                         &sample_sql_counter_add};
    for (size_t way = 0; way < 2; way++) {
        struct why why = {0};
        void *statement = (void *)(uintptr_t)ways[way];
        assert_int_equal(store_write(s.store, load_bad_text, statement, &why),
                         ERR_INVALID_ENCODING);
        assert_string_equal(why.field, "name");
        assert_non_null(strstr(why.text, "Row 2 of "));
        assert_int_equal(sample_counter(s.store, "a"), 0);
    }
}

/* ---- sets ---- */

struct step {
    const char *name;
    int64_t step;
};

struct steps {
    const struct store_statement *statement;
    const struct step *steps;
    size_t count;
    int64_t changed;
    int64_t sum; /* of the answers */
};

static enum err put(struct store_tx *tx, void *ctx, struct why *why)
{
    struct steps *p = ctx;
    struct arena scratch;
    struct store_query q;
    arena_init(&scratch, 0);
    p->sum = 0;
    store_begin_rows(&q, tx, p->statement);
    for (size_t i = 0; i < p->count; i++) {
        store_bind_text(&q, "name", slice_text(p->steps[i].name));
        store_bind_i64(&q, "step", p->steps[i].step);
        store_row(&q);
    }
    while (store_step(&q)) {
        p->sum += store_get_i64(&q, "value");
        if (p->statement->column_count > 1) {
            assert_int_equal(store_get_text(&q, "name", &scratch).len, 1);
        }
    }
    enum err e = store_finish(&q, &p->changed, why);
    arena_free(&scratch);
    return e;
}

static const struct step abc[] = {{"a", 1}, {"b", 20}, {"c", 300}};

static void a_set_inserts_and_updates(void **state)
{
    struct steps p = {.statement = &sample_sql_counters_put, .steps = abc, .count = 3};
    sample_write(s.store, put, &p);
    assert_int_equal(p.changed, 3);
    assert_int_equal(p.sum, 321);
    sample_write(s.store, put, &p);
    assert_int_equal(p.changed, 3);
    assert_int_equal(p.sum, 642);
    assert_int_equal(sample_counter(s.store, "b"), 40);
}

/* What is pipelined sees the rows before it, in order, also the same row twice. */
static void each_row_sees_those_before_it(void **state)
{
    static const struct step steps[] = {{"a", 1}, {"b", 5}, {"a", 10}, {"a", 100}};
    struct steps p = {.statement = &sample_sql_counter_add, .steps = steps, .count = 4};
    sample_write(s.store, put, &p);
    assert_int_equal(p.changed, 4);
    assert_int_equal(p.sum, 1 + 5 + 11 + 111);
    assert_int_equal(sample_counter(s.store, "a"), 111);
}

static enum err move_and_drop(struct store_tx *tx, void *ctx, struct why *why)
{
    int64_t *changed = ctx;
    struct store_query q;
    store_begin_rows(&q, tx, &sample_sql_counters_copy);
    store_bind_text(&q, "from", SLICE_LIT("a"));
    store_bind_text(&q, "to", SLICE_LIT("d"));
    store_row(&q);
    store_bind_text(&q, "from", SLICE_LIT("c"));
    store_bind_text(&q, "to", SLICE_LIT("e"));
    store_row(&q);
    store_bind_text(&q, "from", SLICE_LIT("nobody"));
    store_bind_text(&q, "to", SLICE_LIT("f"));
    store_row(&q);
    enum err e = store_finish(&q, &changed[0], why);

    store_begin_rows(&q, tx, &sample_sql_counters_move);
    static const int64_t expected[] = {1, 21, 300}; /* that of b is wrong */
    for (size_t i = 0; i < 3; i++) {
        store_bind_text(&q, "name", slice_text(abc[i].name));
        store_bind_i64(&q, "expected", expected[i]);
        store_bind_i64(&q, "value", 1000 + (int64_t)i);
        store_row(&q);
    }
    e = store_finish(&q, &changed[1], e == OK ? why : NULL);

    store_begin_rows(&q, tx, &sample_sql_counters_drop);
    store_bind_text(&q, "name", SLICE_LIT("c"));
    store_row(&q);
    store_bind_text(&q, "name", SLICE_LIT("nobody"));
    store_row(&q);
    return store_finish(&q, &changed[2], why);
}

static void a_set_copies_updates_and_deletes(void **state)
{
    struct steps p = {.statement = &sample_sql_counters_put, .steps = abc, .count = 3};
    int64_t changed[3] = {0};
    sample_write(s.store, put, &p);
    sample_write(s.store, move_and_drop, changed);
    assert_int_equal(changed[0], 2);
    assert_int_equal(changed[1], 2);
    assert_int_equal(changed[2], 1);
    assert_int_equal(sample_counter(s.store, "a"), 1000);
    assert_int_equal(sample_counter(s.store, "b"), 20);
    assert_int_equal(sample_counter(s.store, "c"), 0);
    assert_int_equal(sample_counter(s.store, "d"), 1);
    assert_int_equal(sample_counter(s.store, "e"), 300);
}

/* ---- other statements, savepoints and undo beside them ---- */

static enum err between_rows(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    struct sample_counter other = {.name = "other", .step = 1};
    store_begin_rows(&q, tx, ctx);
    for (int64_t i = 0; i < 3 * STORE_ROWS_CHUNK / 2; i++) {
        store_bind_text(&q, "name", i % 2 == 0 ? SLICE_LIT("x") : SLICE_LIT("y"));
        store_bind_i64(&q, "step", 1);
        store_row(&q);
        if (i % 1000 == 0) {
            assert_int_equal(sample_counter_add(tx, &other, why), OK);
        }
    }
    while (store_step(&q)) {
        store_ignore(&q, "value");
    }
    return store_finish(&q, NULL, why);
}

static void other_statements_run_between_rows(void **state)
{
    sample_write(s.store, between_rows, (void *)(uintptr_t)&sample_sql_counter_add);
    assert_int_equal(sample_counter(s.store, "x"), 3 * STORE_ROWS_CHUNK / 4);
    assert_int_equal(sample_counter(s.store, "other"), 4);
}

static enum err load_in_savepoints(struct store_tx *tx, void *ctx, struct why *why)
{
    struct load bad = {.statement = ctx, .count = 4000, .bad = 3500};
    struct load good = {.statement = ctx, .count = 4000, .bad = UINT64_MAX};
    assert_int_equal(store_nested(tx, load_items, &bad, why), ERR_DB_CONSTRAINT);
    return store_nested(tx, load_items, &good, why);
}

static void a_savepoint_takes_rows_back(void **state)
{
    static const struct store_statement *const ways[] = {
        &sample_sql_items_load, &sample_sql_items_set, &sample_sql_item_add};
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t way = 0; way < 3; way++) {
        sample_write(s.store, load_in_savepoints, (void *)(uintptr_t)ways[way]);
        assert_true(slice_equal_text(support_store_rows(&s, &arena, "SELECT count(*) FROM items"),
                                     "4000|\n"));
        support_store_close(&s);
        support_store_open(&s, &sample_catalog);
    }
    arena_free(&arena);
}

static enum err load_projection(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    enum err e = store_undo_begin(tx, 31337, 7, why);
    store_begin_rows(&q, tx, &sample_sql_holdings_load);
    for (int64_t i = 0; i < 3000; i++) {
        uint8_t holder[20] = {(uint8_t)i, (uint8_t)(i >> 8)};
        store_bind_i64(&q, "asset", 1);
        store_bind_bytes(&q, "holder", slice_of(holder, sizeof(holder)));
        store_bind_u256(&q, "balance", u256_from_u64((uint64_t)i));
        store_bind_bool(&q, "active", true);
        store_row(&q);
    }
    e = store_finish(&q, NULL, e == OK ? why : NULL);
    return e == OK ? store_undo_end(tx, why) : e;
}

static enum err roll_back(struct store_tx *tx, void *ctx, struct why *why)
{
    return store_undo_rollback(tx, 31337, 7, ctx, why);
}

static void rows_of_a_projection_are_undone(void **state)
{
    struct arena arena;
    arena_init(&arena, 0);
    uint64_t undone = 0;
    sample_write(s.store, load_projection, NULL);
    assert_true(slice_equal_text(support_store_rows(&s, &arena, "SELECT count(*) FROM holdings"),
                                 "3000|\n"));
    sample_write(s.store, roll_back, &undone);
    assert_int_equal(undone, 3000);
    assert_true(
        slice_equal_text(support_store_rows(&s, &arena, "SELECT count(*) FROM holdings"), "0|\n"));
    arena_free(&arena);
}

/* ---- a connection that breaks ---- */

/* A row whose trigger ends its own connection, the first time. */
static void make_fatal(void)
{
    strange_once("CREATE SEQUENCE deaths;"
                 "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                 "  IF NEW.name LIKE '%003001' AND nextval('deaths') = 1 THEN"
                 "    PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5);"
                 "  END IF; RETURN NEW; END $$;"
                 "CREATE TRIGGER die BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION die()");
}

static void a_connection_that_breaks_among_rows_is_a_lost_transaction(void **state)
{
    NEED_SERVER();
    static const struct store_statement *const ways[] = {
        &sample_sql_items_load, &sample_sql_items_set, &sample_sql_item_add};
    for (size_t way = 0; way < 3; way++) {
        struct load l = {.statement = ways[way], .count = 5000, .bad = UINT64_MAX};
        support_store_open(&s, &sample_catalog);
        make_fatal();
        sample_write(s.store, load_items, &l);
        assert_int_equal(l.runs, 2);
        assert_int_equal(l.changed, 5000);
        support_store_close(&s);
    }
}

static void a_server_that_stops_among_rows_leaves_nothing(void **state)
{
    NEED_SERVER();
    static const struct store_statement *const ways[] = {
        &sample_sql_items_load, &sample_sql_items_set, &sample_sql_item_add};
    for (size_t way = 0; way < 3; way++) {
        struct load l = {.statement = ways[way], .count = 5000, .bad = UINT64_MAX};
        struct why why = {0};
        support_store_open(&s, &sample_catalog);
        strange_once("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                     "  IF NEW.name LIKE '%003001' THEN PERFORM pg_sleep(600); END IF;"
                     "  RETURN NEW; END $$;"
                     "CREATE TRIGGER wait BEFORE INSERT ON items FOR EACH ROW"
                     " EXECUTE FUNCTION wait()");
        fflush(NULL);
        pid_t child = fork(); /* kills the server once the row is reached */
        assert_true(child >= 0);
        if (child == 0) {
            PGconn *pq = PQconnectdb(s.url);
            int asleep = 0;
            while (asleep == 0) {
                PGresult *r = PQexec(pq, "SELECT 1 FROM pg_stat_activity WHERE datname ="
                                         " current_database() AND wait_event = 'PgSleep'");
                asleep = PQntuples(r);
                PQclear(r);
            }
            execl("tools/with-postgres", "with-postgres", "--do", "kill", NULL);
            _exit(127);
        }
        assert_int_equal(store_write(s.store, load_items, &l, &why), ERR_DB_UNAVAILABLE);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        server("start");
        strange_once("DROP TRIGGER wait ON items");
        struct load again = {.statement = ways[way], .count = 5000, .bad = UINT64_MAX};
        while (store_write(s.store, load_items, &again, &why) == ERR_DB_UNAVAILABLE) {
            clock_sleep_usec(10000);
        }
        assert_int_equal(again.changed, 5000);
        support_store_close(&s);
    }
}

/* ---- bugs ---- */

static store_fn bug;

static void run_bug(void)
{
    struct why why;
    assert_int_equal(support_store_start(&s, NULL), OK);
    (void)!store_write(s.store, bug, NULL, &why);
    _exit(0);
}

static void dies(store_fn fn)
{
    support_store_open(&s, &sample_catalog);
    store_close(s.store);
    s.store = NULL;
    bug = fn;
    assert_true(test_aborts(run_bug));
    support_store_close(&s);
}

static enum err bug_row_of_one(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_counter_add);
    store_bind_text(&q, "name", SLICE_LIT("a"));
    store_bind_i64(&q, "step", 1);
    store_row(&q);
    return store_finish(&q, NULL, why);
}

static enum err bug_row_too_late(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &sample_sql_counters_drop);
    (void)store_step(&q);
    store_row(&q);
    return store_finish(&q, NULL, why);
}

#ifdef FREEHOLD_CHECKED
static enum err bug_unbound(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &sample_sql_counters_put);
    for (int i = 0; i < 2; i++) {
        store_bind_text(&q, "name", SLICE_LIT("a"));
        if (i == 0) {
            store_bind_i64(&q, "step", 1);
        }
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

static enum err bug_not_ended(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &sample_sql_counters_drop);
    store_bind_text(&q, "name", SLICE_LIT("a"));
    return store_finish(&q, NULL, why);
}

static enum err bug_unread(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &sample_sql_counters_put);
    store_bind_text(&q, "name", SLICE_LIT("a"));
    store_bind_i64(&q, "step", 1);
    store_row(&q);
    (void)store_step(&q);
    store_ignore(&q, "name");
    return store_finish(&q, NULL, why);
}
#endif

static void misused_rows_die(void **state)
{
    dies(bug_row_of_one);
    dies(bug_row_too_late);
#ifdef FREEHOLD_CHECKED
    dies(bug_unbound);
    dies(bug_not_ended);
    dies(bug_unread);
#endif
}

#define ON_ANY(test) cmocka_unit_test_setup_teardown(test, open_any, close_any)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ANY(each_way_leaves_the_same_rows),
        ON_ANY(no_rows_do_nothing),
        ON_ANY(rows_may_be_large),
        ON_ANY(a_refused_row_is_named),
        ON_ANY(a_value_that_cannot_be_kept_is_named),
        ON_ANY(a_set_inserts_and_updates),
        ON_ANY(each_row_sees_those_before_it),
        ON_ANY(a_set_copies_updates_and_deletes),
        ON_ANY(other_statements_run_between_rows),
        ON_ANY(a_savepoint_takes_rows_back),
        ON_ANY(rows_of_a_projection_are_undone),
        cmocka_unit_test(a_connection_that_breaks_among_rows_is_a_lost_transaction),
        cmocka_unit_test(a_server_that_stops_among_rows_leaves_nothing),
        cmocka_unit_test(misused_rows_die),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
