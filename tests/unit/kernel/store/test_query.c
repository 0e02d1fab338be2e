#include "kernel/store/store.h"

#include "kernel/base/clock.h"
#include "kernel/base/rand.h"
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

/* ---- one item ---- */

struct item {
    const char *name;
    const char *payload; /* NULL: NULL, also below */
    struct slice raw;
    bool raw_null;
    const uint8_t *digest;
    const uint8_t *owner;
    struct u256 amount;
    int64_t at_usec;
    bool done;
    const int64_t *score;
    const int64_t *parent;
    int64_t id;
};

static void bind_number(struct store_query *q, const char *name, const int64_t *value)
{
    if (value == NULL) {
        store_bind_null(q, name);
    } else {
        store_bind_i64(q, name, *value);
    }
}

static void bind_octets(struct store_query *q, const char *name, const uint8_t *bytes, size_t len)
{
    if (bytes == NULL) {
        store_bind_null(q, name);
    } else {
        store_bind_bytes(q, name, slice_of(bytes, len));
    }
}

static enum err item_add(struct store_tx *tx, void *ctx, struct why *why)
{
    struct item *item = ctx;
    struct store_query q;
    store_begin(&q, tx, &sample_sql_item_add);
    store_bind_text(&q, "name", slice_text(item->name));
    if (item->payload == NULL) {
        store_bind_null(&q, "payload");
    } else {
        store_bind_json(&q, "payload", slice_text(item->payload));
    }
    if (item->raw_null) {
        store_bind_null(&q, "raw");
    } else {
        store_bind_bytes(&q, "raw", item->raw);
    }
    bind_octets(&q, "digest", item->digest, 32);
    bind_octets(&q, "owner", item->owner, 20);
    bind_number(&q, "parent", item->parent); /* out of order: by name all the same */
    store_bind_u256(&q, "amount", item->amount);
    store_bind_time(&q, "at", item->at_usec);
    store_bind_bool(&q, "done", item->done);
    bind_number(&q, "score", item->score);
    if (store_step(&q)) {
        item->id = store_get_i64(&q, "id");
    }
    return store_finish_one(&q, "item", why);
}

struct found {
    const char *name;
    struct arena arena;
    int64_t id, at_usec, score, parent;
    struct slice payload, raw;
    uint8_t digest[32], owner[20];
    struct u256 amount;
    bool done;
    bool payload_null, raw_null, digest_null, owner_null, score_null, parent_null;
};

static enum err item_get(struct store_tx *tx, void *ctx, struct why *why)
{
    struct found *f = ctx;
    struct store_query q;
    store_begin(&q, tx, &sample_sql_item_get);
    store_bind_text(&q, "name", slice_text(f->name));
    if (store_step(&q)) {
        f->id = store_get_i64(&q, "id");
        f->payload_null = store_is_null(&q, "payload");
        f->payload = store_get_text(&q, "payload", &f->arena);
        f->raw_null = store_is_null(&q, "raw");
        f->raw = store_get_bytes(&q, "raw", &f->arena);
        f->digest_null = store_is_null(&q, "digest");
        store_get_fixed(&q, "digest", f->digest, sizeof(f->digest));
        f->owner_null = store_is_null(&q, "owner");
        store_get_fixed(&q, "owner", f->owner, sizeof(f->owner));
        f->amount = store_get_u256(&q, "amount");
        f->at_usec = store_get_time(&q, "at");
        f->done = store_get_bool(&q, "done");
        f->score_null = store_is_null(&q, "score");
        f->score = store_get_i64(&q, "score");
        f->parent_null = store_is_null(&q, "parent");
        f->parent = store_get_i64(&q, "parent");
    }
    return store_finish_one(&q, "Item", why);
}

static void every_type_comes_back(void **state)
{
    uint8_t digest[32];
    uint8_t owner[20];
    for (size_t i = 0; i < sizeof(digest); i++) {
        digest[i] = (uint8_t)(255 - i);
    }
    memset(owner, 0, sizeof(owner));
    static const uint8_t raw[] = {0, 1, 0, 0xff, 0};
    int64_t score = INT64_MAX;
    struct item item = {.name = "all \xe2\x82\xac 'quoted'",
                        .payload = "{\"a\":[1,\"\xc3\xa9\"]}",
                        .raw = slice_of(raw, sizeof(raw)),
                        .digest = digest,
                        .owner = owner,
                        .amount = U256_MAX,
                        .at_usec = 1793337600123456,
                        .done = true,
                        .score = &score};
    sample_write(s.store, item_add, &item);

    struct found f = {.name = item.name};
    arena_init(&f.arena, 0);
    sample_read(s.store, item_get, &f);
    assert_int_equal(f.id, item.id);
    assert_false(f.payload_null || f.raw_null || f.digest_null || f.owner_null || f.score_null);
    const char *payload = support_on_postgres() ? "{\"a\": [1, \"\xc3\xa9\"]}" : item.payload;
    assert_true(slice_equal_text(f.payload, payload)); /* JSONB is kept as a tree */
    assert_true(slice_equal(f.raw, item.raw));
    assert_memory_equal(f.digest, digest, sizeof(digest));
    assert_memory_equal(f.owner, owner, sizeof(owner));
    assert_true(u256_equal(f.amount, U256_MAX));
    assert_int_equal(f.at_usec, 1793337600123456);
    assert_true(f.done);
    assert_true(f.score == INT64_MAX);
    assert_true(f.parent_null);
    assert_int_equal(f.parent, 0);
    arena_free(&f.arena);
}

static void null_and_empty_are_different(void **state)
{
    struct item nothing = {.name = "nothing", .raw_null = true, .at_usec = -1};
    struct item empty = {.name = "", .payload = "\"\"", .raw = SLICE_EMPTY, .amount = U256_ZERO};
    sample_write(s.store, item_add, &nothing);
    sample_write(s.store, item_add, &empty);

    struct found f = {.name = "nothing"};
    arena_init(&f.arena, 0);
    memset(f.digest, 7, sizeof(f.digest));
    sample_read(s.store, item_get, &f);
    assert_true(f.payload_null && f.raw_null && f.digest_null && f.owner_null && f.score_null);
    assert_int_equal(f.payload.len + f.raw.len, 0);
    static const uint8_t zeros[32];
    assert_memory_equal(f.digest, zeros, sizeof(zeros));
    assert_int_equal(f.at_usec, -1);

    f.name = "";
    sample_read(s.store, item_get, &f);
    assert_false(f.payload_null || f.raw_null);
    assert_true(slice_equal_text(f.payload, "\"\""));
    assert_int_equal(f.raw.len, 0);
    arena_free(&f.arena);
}

static enum err item_default(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_item_default);
    store_bind_text(&q, "name", slice_text(ctx));
    return store_finish(&q, NULL, why);
}

static void defaults_of_the_schema(void **state)
{
    int64_t before_usec = clock_wall_usec();
    sample_write(s.store, item_default, (char[]){"default"});
    int64_t after_usec = clock_wall_usec();
    struct found f = {.name = "default"};
    arena_init(&f.arena, 0);
    sample_read(s.store, item_get, &f);
    assert_true(u256_equal(f.amount, u256_from_u64(7)));
    assert_false(f.done);
    /* Milliseconds: SQLite's clock knows no more. */
    assert_in_range(f.at_usec, before_usec - 1000, after_usec + 1000);
    arena_free(&f.arena);
}

/* ---- u256 sorts ---- */

struct listed {
    struct u256 from;
    struct u256 amounts[64];
    size_t count;
};

static enum err items_from(struct store_tx *tx, void *ctx, struct why *why)
{
    struct listed *l = ctx;
    struct store_query q;
    l->count = 0;
    store_begin(&q, tx, &sample_sql_items_from);
    store_bind_u256(&q, "amount", l->from);
    while (store_step(&q)) {
        store_ignore(&q, "name");
        l->amounts[l->count++] = store_get_u256(&q, "amount");
    }
    return store_finish(&q, NULL, why);
}

static void amounts_sort_as_numbers(void **state)
{
    enum { COUNT = 40 };
    struct u256 amounts[COUNT] = {
        U256_ZERO,          u256_from_u64(1), u256_from_u64(9),        u256_from_u64(10),
        u256_from_u64(100), {{0, 1, 0, 0}},   {{UINT64_MAX, 0, 0, 0}}, {{0, 0, 0, 1ull << 63}},
        U256_MAX,           {{0, 0, 1, 0}},
    };
    rand_set_seed(4);
    for (size_t i = 10; i < COUNT; i++) {
        for (size_t limb = 0; limb <= i % 4; limb++) {
            amounts[i].limb[limb] = rand_u64();
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        char name[16];
        snprintf(name, sizeof(name), "amount%zu", (i * 7) % COUNT);
        struct item item = {.name = name, .amount = amounts[(i * 7) % COUNT]};
        sample_write(s.store, item_add, &item);
    }
    static struct listed l;
    sample_read(s.store, items_from, &l);
    assert_int_equal(l.count, COUNT);
    for (size_t i = 1; i < COUNT; i++) {
        assert_int_equal(u256_compare(l.amounts[i - 1], l.amounts[i]), -1);
    }
    l.from = (struct u256){{0, 1, 0, 0}}; /* 2^64 */
    size_t expected = 0;
    for (size_t i = 0; i < COUNT; i++) {
        expected += u256_compare(amounts[i], l.from) >= 0;
    }
    sample_read(s.store, items_from, &l);
    assert_int_equal(l.count, expected);
}

/* ---- what the database refuses ---- */

static void refused(struct item *item, const char *field)
{
    struct why why = {0};
    assert_int_equal(store_write(s.store, item_add, item, &why), ERR_DB_CONSTRAINT);
    assert_string_equal(why.field, field);
    assert_non_null(strstr(why.text, "sample_item_add"));
}

static void constraints_are_named(void **state)
{
    struct item item = {.name = "one", .amount = U256_ZERO};
    sample_write(s.store, item_add, &item);
    refused(&item, support_pick("items.name", "items_name_key"));
    int64_t negative = -1;
    item = (struct item){.name = "two", .score = &negative};
    refused(&item, "score_is_positive");
    int64_t stranger = 99;
    item = (struct item){.name = "three", .parent = &stranger};
    refused(&item, support_pick("", "items_parent_fkey"));
}

static enum err swallow_conflict(struct store_tx *tx, void *ctx, struct why *why)
{
    struct item item = {.name = "twice", .amount = U256_ZERO};
    assert_int_equal(item_add(tx, &item, NULL), OK);
    assert_int_equal(item_add(tx, &item, NULL), ERR_DB_CONSTRAINT);
    struct sample_counter c = {.name = "after", .step = 1};
    assert_int_equal(sample_counter_add(tx, &c, why), ERR_DB_CONSTRAINT);
    return OK;
}

static void a_refused_statement_fails_its_function(void **state)
{
    struct why why = {0};
    assert_int_equal(store_write(s.store, swallow_conflict, NULL, &why), ERR_DB_CONSTRAINT);
    assert_string_equal(why.field, support_pick("items.name", "items_name_key"));
    struct found f = {.name = "twice"};
    arena_init(&f.arena, 0);
    assert_int_equal(store_read(s.store, item_get, &f, &why), ERR_NOT_FOUND);
    assert_string_equal(why.text, "Item not found.");
    assert_int_equal(sample_counter(s.store, "after"), 0);
    arena_free(&f.arena);
}

static enum err add_text(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_item_default);
    store_bind_text(&q, "name", *(const struct slice *)ctx);
    return store_finish(&q, NULL, why);
}

static void text_that_one_database_cannot_keep_is_refused(void **state)
{
    struct why why = {0};
    struct slice nul = slice_of("a\0b", 3);
    assert_int_equal(store_write(s.store, add_text, &nul, &why), ERR_INVALID_FIELD);
    assert_string_equal(why.field, "name");
    struct slice latin1 = slice_text("caf\xe9");
    assert_int_equal(store_write(s.store, add_text, &latin1, &why), ERR_INVALID_ENCODING);
    assert_string_equal(why.field, "name");
}

static void json_that_one_database_cannot_keep_is_refused(void **state)
{
    struct why why = {0};
    struct item nul = {.name = "nul", .payload = "[\"\\\\\\u0000\"]"};
    assert_int_equal(store_write(s.store, item_add, &nul, &why), ERR_INVALID_FIELD);
    assert_string_equal(why.field, "payload");
    struct item fine = {.name = "fine", .payload = "[\"\\\\u0000\",\"\\u00001\"]"};
    assert_int_equal(store_write(s.store, item_add, &fine, &why), ERR_INVALID_FIELD);
    fine.payload = "[\"\\\\u0000\",\"\\u0001\"]";
    sample_write(s.store, item_add, &fine);
}

static enum err score_max(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_score_max);
    if (store_step(&q)) {
        assert_int_equal(store_get_i64(&q, "score"), 0);
    }
    return store_finish(&q, NULL, why);
}

static enum err liar(struct store_tx *tx, void *ctx, struct why *why)
{
    bool *amount = ctx;
    struct arena scratch;
    arena_init(&scratch, 0);
    struct store_query q;
    store_begin(&q, tx, &sample_sql_liar);
    if (store_step(&q)) {
        if (*amount) {
            assert_true(u256_is_zero(store_get_u256(&q, "amount")));
        } else {
            assert_int_equal(store_get_bytes(&q, "raw", &scratch).len, 0);
        }
    }
    arena_free(&scratch);
    return store_finish(&q, NULL, why);
}

static void answers_that_break_the_declaration_are_errors(void **state)
{
    struct why why = {0};
    assert_int_equal(store_read(s.store, score_max, NULL, &why), ERR_CORRUPT);
    assert_string_equal(why.field, "score");
    bool amount = false;
    assert_int_equal(store_read(s.store, liar, &amount, &why), ERR_CORRUPT);
    assert_string_equal(why.field, "raw");
    amount = true;
    assert_int_equal(store_read(s.store, liar, &amount, &why), ERR_CORRUPT);
    assert_string_equal(why.field, "amount");
}

/* ---- running ---- */

static enum err count_changes(struct store_tx *tx, void *ctx, struct why *why)
{
    int64_t changed = -1;
    struct store_query q;
    store_begin(&q, tx, &sample_sql_items_done);
    store_bind_bool(&q, "done", true);
    assert_int_equal(store_finish(&q, &changed, why), OK);
    assert_int_equal(changed, 3);

    store_begin(&q, tx, &sample_sql_item_delete);
    store_bind_text(&q, "name", SLICE_LIT("nobody"));
    assert_int_equal(store_finish(&q, &changed, why), OK);
    assert_int_equal(changed, 0);

    store_begin(&q, tx, &sample_sql_items_count);
    assert_int_equal(store_finish(&q, &changed, why), OK);
    assert_int_equal(changed, 0);

    store_begin(&q, tx, &sample_sql_counter_add); /* RETURNING, with nobody who looks */
    store_bind_text(&q, "name", SLICE_LIT("quiet"));
    store_bind_i64(&q, "step", 5);
    assert_int_equal(store_finish(&q, &changed, why), OK);
    assert_int_equal(changed, 1);
    return OK;
}

static void changes_are_counted(void **state)
{
    sample_write(s.store, item_default, (char[]){"a"});
    sample_write(s.store, item_default, (char[]){"b"});
    sample_write(s.store, item_default, (char[]){"c"});
    sample_write(s.store, count_changes, NULL);
    assert_int_equal(sample_counter(s.store, "quiet"), 5);
}

/* The same statement twice at a time, and text that outlives its row. */
static enum err nested(struct store_tx *tx, void *ctx, struct why *why)
{
    struct arena *arena = ctx;
    struct store_query outer;
    struct slice first = SLICE_EMPTY;
    size_t pairs = 0;
    store_begin(&outer, tx, &sample_sql_items_all);
    while (store_step(&outer)) {
        struct slice name = store_get_text(&outer, "name", arena);
        first = first.len == 0 ? name : first;
        struct store_query inner;
        store_begin(&inner, tx, &sample_sql_items_all);
        while (store_step(&inner)) {
            pairs++;
            store_ignore(&inner, "name");
        }
        enum err e = store_finish(&inner, NULL, why);
        assert_int_equal(e, OK);
    }
    assert_int_equal(pairs, 9);
    assert_true(slice_equal_text(first, "a"));
    return store_finish(&outer, NULL, why);
}

static void a_statement_runs_inside_itself(void **state)
{
    sample_write(s.store, item_default, (char[]){"a"});
    sample_write(s.store, item_default, (char[]){"b"});
    sample_write(s.store, item_default, (char[]){"c"});
    struct arena arena;
    arena_init(&arena, 0);
    sample_read(s.store, nested, &arena);
    sample_read(s.store, nested, &arena);
    arena_free(&arena);
}

/* ---- bugs ---- */

static store_fn bug_fn;
static bool bug_writes;

/* In a child, on a folder that the parent removes. */
static void run_bug(void)
{
    assert_int_equal(support_store_start(&s, NULL), OK);
    support_store_migrate(&s);
    enum err e = bug_writes ? store_write(s.store, bug_fn, NULL, NULL)
                            : store_read(s.store, bug_fn, NULL, NULL);
    _exit(e == OK ? 0 : 1);
}

static void dies(store_fn fn, bool writes)
{
    bug_fn = fn;
    bug_writes = writes;
    support_store_prepare(&s, &sample_catalog);
    assert_true(test_aborts(run_bug));
    support_store_close(&s);
}

static enum err bug_unknown_parameter(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_counter_get);
    store_bind_i64(&q, "nmae", 1);
    return store_finish(&q, NULL, why);
}

static enum err bug_parameter_type(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_counter_get);
    store_bind_i64(&q, "name", 1);
    return store_finish(&q, NULL, why);
}

static enum err bug_bound_twice(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_counter_get);
    store_bind_text(&q, "name", SLICE_LIT("a"));
    store_bind_text(&q, "name", SLICE_LIT("b"));
    return store_finish(&q, NULL, why);
}

static enum err bug_null(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_counter_get);
    store_bind_null(&q, "name");
    return store_finish(&q, NULL, why);
}

static enum err bug_short_address(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_holding_delete);
    store_bind_i64(&q, "asset", 1);
    store_bind_bytes(&q, "holder", slice_of("0123456789012345678", 19));
    return store_finish(&q, NULL, why);
}

static enum err bug_column_type(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_items_count);
    if (store_step(&q)) {
        (void)store_get_bool(&q, "count");
    }
    return store_finish(&q, NULL, why);
}

static enum err bug_no_row(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_items_count);
    (void)store_get_i64(&q, "count");
    return store_finish(&q, NULL, why);
}

static struct store_tx *kept_tx;

static enum err keep_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    kept_tx = tx;
    return OK;
}

static void use_after_transaction(void)
{
    assert_int_equal(support_store_start(&s, NULL), OK);
    sample_write(s.store, keep_tx, NULL);
    struct store_query q;
    store_begin(&q, kept_tx, &sample_sql_items_count);
    _exit(0);
}

static enum err write_inside(struct store_tx *tx, void *ctx, struct why *why)
{
    return store_write(s.store, keep_tx, NULL, why);
}

static void write_after_transaction(void)
{
    assert_int_equal(support_store_start(&s, NULL), OK);
    sample_write(s.store, keep_tx, NULL);
    struct sample_counter c = {.name = "late", .step = 1};
    (void)!sample_counter_add(kept_tx, &c, NULL);
    _exit(0);
}

static void wrong_names_and_types_die_in_every_build(void **state)
{
    dies(bug_unknown_parameter, false);
    dies(bug_parameter_type, false);
    dies(bug_bound_twice, false);
    dies(bug_null, false);
    dies(bug_short_address, true);
    dies(bug_column_type, false);
    dies(bug_no_row, false);
    dies(write_inside, false);
    support_store_prepare(&s, &sample_catalog);
    assert_true(test_aborts(use_after_transaction));
    assert_true(test_aborts(write_after_transaction));
    support_store_close(&s);
}

static enum err bug_unbound(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_counter_add);
    store_bind_text(&q, "name", SLICE_LIT("unbound"));
    return store_finish(&q, NULL, why);
}

static enum err bug_write_in_read(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sample_counter c = {.name = "sneaked", .step = 1};
    return sample_counter_add(tx, &c, why);
}

static enum err bug_unread(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_items_count);
    (void)store_step(&q);
    return store_finish(&q, NULL, why);
}

static enum err bug_unfinished(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sample_counter c = {.name = "held", .step = 1};
    struct store_query q;
    store_begin(&q, tx, &sample_sql_items_all);
    (void)store_step(&q);
    return ctx != NULL ? sample_counter_add(tx, &c, why) : OK;
}

#ifdef FREEHOLD_CHECKED
static enum err bug_json(struct store_tx *tx, void *ctx, struct why *why)
{
    struct item item = {.name = "not json", .payload = "{a:1}"};
    return item_add(tx, &item, why);
}
#endif

static void forgotten_steps_die_in_a_checked_build(void **state)
{
#ifdef FREEHOLD_CHECKED
    dies(bug_json, true);
    dies(bug_unbound, true);
    dies(bug_write_in_read, false);
    dies(bug_unread, false);
    dies(bug_unfinished, false);
#else
    struct why why = {0};
    support_store_open(&s, &sample_catalog);
    sample_write(s.store, item_default, (char[]){"row"});
    assert_int_equal(store_write(s.store, bug_unbound, NULL, &why), ERR_INTERNAL);
    assert_non_null(strstr(why.text, "step"));
    assert_int_equal(store_read(s.store, bug_write_in_read, NULL, &why), ERR_INTERNAL);
    assert_int_equal(sample_counter(s.store, "sneaked"), 0);
    sample_read(s.store, bug_unread, NULL);
    /* A statement left open must not keep the transaction from ending. */
    sample_read(s.store, bug_unfinished, NULL);
    sample_write(s.store, bug_unfinished, &why);
    assert_int_equal(sample_counter(s.store, "held"), 1);
    support_store_close(&s);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_type_comes_back, open_store, close_store),
        cmocka_unit_test_setup_teardown(null_and_empty_are_different, open_store, close_store),
        cmocka_unit_test_setup_teardown(defaults_of_the_schema, open_store, close_store),
        cmocka_unit_test_setup_teardown(amounts_sort_as_numbers, open_store, close_store),
        cmocka_unit_test_setup_teardown(constraints_are_named, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_refused_statement_fails_its_function, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(text_that_one_database_cannot_keep_is_refused, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(json_that_one_database_cannot_keep_is_refused, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(answers_that_break_the_declaration_are_errors, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(changes_are_counted, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_statement_runs_inside_itself, open_store, close_store),
        cmocka_unit_test(wrong_names_and_types_die_in_every_build),
        cmocka_unit_test(forgotten_steps_die_in_a_checked_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
