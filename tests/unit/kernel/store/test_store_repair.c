/* Rows set right by their key, and inverses that no trigger writes. */
#include "kernel/store/store_repair.h"

#include "unit/kernel/store/sample.h"

#define CHAIN 43113
#define BLOCK 7
/* 2^256 - 1, by hand. */
#define MOST "115792089237316195423570985008687907853269984665640564039457584007913129639935"
#define TRAP "it's \\ \"1\"; DROP TABLE lots; --\n$1 :asset \xE2\x82\xAC"

enum { ASSET, HOLDER, BALANCE, LABEL, MEMO, RAW, ACTIVE, AT, NOTE, COLUMNS };
static const char *const names[COLUMNS] = {"asset", "holder", "balance", "label", "memo",
                                           "raw",   "active", "at",      "note"};

static struct support_store s;
static struct arena arena;
static const uint8_t ann[20] = {1};
static const uint8_t bob[20] = {2};

static const struct store_table *table(const char *name)
{
    for (uint16_t i = 0; i < sample_catalog.table_count; i++) {
        if (strcmp(sample_catalog.tables[i].name, name) == 0) {
            return &sample_catalog.tables[i];
        }
    }
    fail_msg("no table %s", name);
    return NULL;
}

static size_t column(enum store_type type, int name)
{
    const struct store_table *t = table("holdings");
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (strcmp(t->columns[i].name, names[name]) == 0) {
            assert_int_equal(t->columns[i].type, type);
            return i;
        }
    }
    fail_msg("no column %s", names[name]);
    return 0;
}

static enum err put(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_holding_put);
    store_bind_i64(&q, "asset", 1);
    store_bind_bytes(&q, "holder", slice_of(ctx, 20));
    store_bind_u256(&q, "balance", u256_from_u64(5));
    store_bind_text(&q, "label", slice_text("before"));
    store_bind_null(&q, "memo");
    store_bind_null(&q, "raw");
    store_bind_bool(&q, "active", false);
    store_bind_time(&q, "at", 1000000);
    return store_finish(&q, NULL, why);
}

static int open_store(void **state)
{
    support_store_open(&s, &sample_catalog);
    arena_init(&arena, 0);
    sample_write(s.store, put, (void *)(uintptr_t)ann);
    sample_write(s.store, put, (void *)(uintptr_t)bob);
    return 0;
}

static int close_store(void **state)
{
    support_store_close(&s);
    arena_free(&arena);
    return 0;
}

static const char *ask(const char *sql)
{
    return slice_cstr(&arena, support_store_rows(&s, &arena, sql));
}

/* ---- repairs ---- */

struct repair {
    struct store_cell row[COLUMNS];
    bool differs[COLUMNS];
    bool deletes;
};

static enum err run_repair(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct repair *r = ctx;
    enum err e = store_repair_begin(tx, why);
    if (e == OK) {
        e = r->deletes ? store_repair_delete(tx, table("holdings"), r->row, why)
                       : store_repair_update(tx, table("holdings"), r->row, r->differs, why);
    }
    return e == OK ? store_repair_end(tx, why) : e;
}

static enum err repair(const struct repair *r, struct why *why)
{
    struct repair copy = *r;
    return store_write(s.store, run_repair, &copy, why);
}

static struct repair key_of(int64_t asset, const uint8_t *holder)
{
    struct repair r = {.deletes = false};
    r.row[column(STORE_I64, ASSET)].i64 = asset;
    r.row[column(STORE_ADDRESS, HOLDER)].bytes = slice_of(holder, 20);
    return r;
}

static void set(struct repair *r, size_t at, struct store_cell cell)
{
    r->row[at] = cell;
    r->differs[at] = true;
}

struct read_back {
    struct slice label;
    struct slice raw;
    struct slice memo;
    struct u256 balance;
    bool active;
    bool at_null;
};

static enum err read_ann(struct store_tx *tx, void *ctx, struct why *why)
{
    struct read_back *out = ctx;
    struct store_query q;
    store_begin(&q, tx, &sample_sql_holdings_dump);
    while (store_step(&q)) {
        struct slice holder = store_get_bytes(&q, "holder", &arena);
        struct read_back row = {
            .label = store_get_text(&q, "label", &arena),
            .raw = store_get_bytes(&q, "raw", &arena),
            .memo = store_get_text(&q, "memo", &arena),
            .balance = store_get_u256(&q, "balance"),
            .active = store_get_bool(&q, "active"),
            .at_null = store_is_null(&q, "at"),
        };
        (void)store_get_i64(&q, "asset");
        (void)store_get_time(&q, "at");
        (void)store_is_null(&q, "note");
        (void)store_get_text(&q, "note", &arena);
        if (slice_equal(holder, slice_of(ann, sizeof ann))) {
            *out = row;
        }
    }
    return store_finish(&q, NULL, why);
}

static void a_row_gets_the_values_that_it_should_have(void **state)
{
    static const uint8_t raw[] = {0x00, 0xFF, '\'', '\\', 0x00};
    struct repair r = key_of(1, ann);
    struct u256 most;
    struct why why = {0};
    assert_int_equal(u256_parse(slice_text(MOST), &most), OK);
    set(&r, column(STORE_U256, BALANCE), (struct store_cell){.u256 = most});
    set(&r, column(STORE_TEXT, LABEL), (struct store_cell){.bytes = slice_text(TRAP)});
    set(&r, column(STORE_JSON, MEMO), (struct store_cell){.bytes = slice_text("[\"it's\"]")});
    set(&r, column(STORE_BYTES, RAW), (struct store_cell){.bytes = slice_of(raw, sizeof raw)});
    set(&r, column(STORE_BOOL, ACTIVE), (struct store_cell){.i64 = 1});
    set(&r, column(STORE_TIME, AT), (struct store_cell){.is_null = true});
    assert_int_equal(repair(&r, &why), OK);

    struct read_back now = {0};
    sample_read(s.store, read_ann, &now);
    assert_true(u256_equal(now.balance, most));
    assert_true(slice_equal_text(now.label, TRAP));
    assert_true(slice_equal_text(now.memo, "[\"it's\"]"));
    assert_true(slice_equal(now.raw, slice_of(raw, sizeof raw)));
    assert_true(now.active && now.at_null);
    assert_string_equal(ask("SELECT count(*) FROM holdings WHERE label = 'before'"), "1|\n");
    assert_string_equal(ask("SELECT count(*) FROM holdings"), "2|\n");
    assert_string_equal(ask("SELECT count(*) FROM undo_log"), "0|\n");
    assert_string_equal(ask("SELECT count(*) FROM lots"), "0|\n");
}

static void what_is_no_row_is_not_repaired(void **state)
{
    struct repair r = key_of(2, ann);
    struct why why = {0};
    set(&r, column(STORE_TEXT, LABEL), (struct store_cell){.bytes = slice_text("after")});
    assert_int_equal(repair(&r, &why), ERR_CORRUPT);
    assert_non_null(strstr(why_text(&why, ERR_CORRUPT), "holdings changed 0 rows instead of one"));
    r.deletes = true;
    assert_int_equal(repair(&r, &why), ERR_CORRUPT);
    assert_string_equal(ask("SELECT count(*) FROM holdings WHERE label = 'before'"), "2|\n");
}

static enum err add_lot(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_lot_add);
    store_bind_i64(&q, "asset", 1);
    store_bind_bytes(&q, "holder", slice_of(bob, sizeof bob));
    store_bind_u256(&q, "size", u256_from_u64(3));
    return store_finish(&q, NULL, why);
}

static void a_row_goes_unless_another_hangs_on_it(void **state)
{
    struct repair r = key_of(1, ann);
    struct why why = {0};
    r.deletes = true;
    assert_int_equal(repair(&r, &why), OK);
    assert_string_equal(ask("SELECT count(*) FROM holdings"), "1|\n");
    sample_write(s.store, add_lot, NULL);
    r = key_of(1, bob);
    r.deletes = true;
    assert_int_equal(repair(&r, &why), ERR_DB_CONSTRAINT);
    assert_string_equal(ask("SELECT count(*) FROM holdings"), "1|\n");
    assert_string_equal(ask("SELECT count(*) FROM undo_log"), "0|\n");
}

/* ---- inverses ---- */

static enum err count_in_a_block(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct store_named before[] = {
        {"name", {.bytes = slice_text("it's")}},
        {"value", {.i64 = 4}},
    };
    enum err e = store_undo_begin(tx, CHAIN, BLOCK, why);
    if (e == OK) {
        e = store_undo_note(tx, "counters", before, 2, why);
    }
    if (e == OK) {
        e = sample_counter_add(tx, ctx, why);
    }
    return e == OK ? store_undo_end(tx, why) : e;
}

static enum err roll_back(struct store_tx *tx, void *ctx, struct why *why)
{
    return store_undo_rollback(tx, CHAIN, BLOCK, ctx, why);
}

static void an_inverse_that_is_noted_is_run(void **state)
{
    struct sample_counter c = {.name = "it's", .step = 4};
    struct sample_counter other = {.name = "its", .step = 1};
    uint64_t changes = 0;
    sample_write(s.store, sample_counter_add, &c);
    sample_write(s.store, sample_counter_add, &other);
    c.step = 38;
    sample_write(s.store, count_in_a_block, &c);
    assert_int_equal(sample_counter(s.store, "it's"), 42);
    sample_write(s.store, roll_back, &changes);
    assert_int_equal(changes, 1);
    assert_int_equal(sample_counter(s.store, "it's"), 4);
    assert_int_equal(sample_counter(s.store, "its"), 1);
}

static void the_table_of_an_inverse_is_found(void **state)
{
    const struct store_table *t = NULL;
    struct why why = {0};
    static const char *const strange[] = {
        "", "\"", "\"\"", "DELETE FROM lots", "\"lot\"", "UPDATE \"lots", "x \"no\" \"lots\""};
    assert_int_equal(store_undo_subject(&sample_catalog,
                                        slice_text("DELETE FROM \"lots\" WHERE \"id\"=1"), &t,
                                        &why),
                     OK);
    assert_string_equal(t->name, "lots");
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        t = NULL;
        assert_int_equal(store_undo_subject(&sample_catalog, slice_text(strange[i]), &t, &why),
                         ERR_CORRUPT);
        assert_null(t);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_row_gets_the_values_that_it_should_have), TEST(what_is_no_row_is_not_repaired),
        TEST(a_row_goes_unless_another_hangs_on_it),     TEST(an_inverse_that_is_noted_is_run),
        TEST(the_table_of_an_inverse_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
