#include "kernel/base/rand.h"
#include "unit/kernel/store/sample.h"

#define CHAIN 43113
#define U256_MAX_TEXT                                                                              \
    "115792089237316195423570985008687907853269984665640564039457584007913129639935"

static struct support_store s;
static struct arena arena;

static int open_store(void **state)
{
    support_store_open(&s, &sample_catalog);
    arena_init(&arena, 0);
    return 0;
}

static int close_store(void **state)
{
    support_store_close(&s);
    arena_free(&arena);
    return 0;
}

/* ---- one change of the projections ---- */

enum kind { PUT, BALANCE, NOTE, RENAME, DELETE, REPLACE, LOT };

struct change {
    enum kind kind;
    int64_t asset;
    uint8_t holder; /* an address is this byte twenty times */
    struct u256 number;
    const char *label; /* NULL: NULL */
    const char *memo;
    struct slice raw;
    bool raw_null;
    bool active;
    int64_t at_usec; /* 0: NULL */
    int64_t new_asset;
};

static void bind_key(struct store_query *q, const struct change *c)
{
    uint8_t holder[20];
    memset(holder, c->holder, sizeof(holder));
    store_bind_i64(q, "asset", c->asset);
    store_bind_bytes(q, "holder", slice_of(holder, sizeof(holder)));
}

static void bind_text_or_null(struct store_query *q, const char *name, const char *text, bool json)
{
    if (text == NULL) {
        store_bind_null(q, name);
    } else if (json) {
        store_bind_json(q, name, slice_text(text));
    } else {
        store_bind_text(q, name, slice_text(text));
    }
}

static void bind_row(struct store_query *q, const struct change *c)
{
    store_bind_u256(q, "balance", c->number);
    bind_text_or_null(q, "label", c->label, false);
    bind_text_or_null(q, "memo", c->memo, true);
    if (c->raw_null) {
        store_bind_null(q, "raw");
    } else {
        store_bind_bytes(q, "raw", c->raw);
    }
    store_bind_bool(q, "active", c->active);
    if (c->at_usec == 0) {
        store_bind_null(q, "at");
    } else {
        store_bind_time(q, "at", c->at_usec);
    }
}

static enum err make_change(struct store_tx *tx, const struct change *c, struct why *why)
{
    static const struct store_statement *const statements[] = {
        [PUT] = &sample_sql_holding_put,       [BALANCE] = &sample_sql_holding_balance,
        [NOTE] = &sample_sql_holding_note,     [RENAME] = &sample_sql_holding_rename,
        [DELETE] = &sample_sql_holding_delete, [REPLACE] = &sample_sql_holding_replace,
        [LOT] = &sample_sql_lot_add,
    };
    struct store_query q;
    store_begin(&q, tx, statements[c->kind]);
    bind_key(&q, c);
    switch (c->kind) {
    case PUT:
        bind_row(&q, c);
        break;
    case BALANCE:
    case REPLACE:
        store_bind_u256(&q, "balance", c->number);
        break;
    case NOTE:
        bind_text_or_null(&q, "note", c->label, false);
        break;
    case RENAME:
        store_bind_i64(&q, "new_asset", c->new_asset);
        break;
    case LOT:
        store_bind_u256(&q, "size", c->number);
        break;
    case DELETE:
        break;
    }
    return store_finish(&q, NULL, why);
}

/* ---- blocks ---- */

struct block {
    uint64_t chain_id;
    uint64_t number;
    const struct change *changes;
    size_t count;
    bool fails;
    bool outside; /* of an apply step */
};

static enum err apply_block(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct block *b = ctx;
    enum err e = b->outside ? OK : store_undo_begin(tx, b->chain_id, b->number, why);
    for (size_t i = 0; e == OK && i < b->count; i++) {
        e = make_change(tx, &b->changes[i], why);
    }
    if (e == OK && !b->outside) {
        e = store_undo_end(tx, why);
    }
    return e == OK && b->fails ? ERR_CONFLICT : e;
}

static void apply(uint64_t number, const struct change *changes, size_t count)
{
    struct block b = {.chain_id = CHAIN, .number = number, .changes = changes, .count = count};
    sample_write(s.store, apply_block, &b);
}

static void change_outside(const struct change *changes, size_t count)
{
    struct block b = {.changes = changes, .count = count, .outside = true};
    sample_write(s.store, apply_block, &b);
}

struct rollback {
    uint64_t chain_id;
    uint64_t from_block;
    uint64_t changes;
};

static enum err roll_back(struct store_tx *tx, void *ctx, struct why *why)
{
    struct rollback *r = ctx;
    return store_undo_rollback(tx, r->chain_id, r->from_block, &r->changes, why);
}

static uint64_t rollback_from(uint64_t number)
{
    struct rollback r = {.chain_id = CHAIN, .from_block = number};
    sample_write(s.store, roll_back, &r);
    return r.changes;
}

/* ---- what the tables hold, as text ---- */

static enum err dump_holdings(struct store_tx *tx, struct buf *out, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_holdings_dump);
    while (store_step(&q)) {
        char digits[U256_TEXT_MAX];
        u256_format(store_get_u256(&q, "balance"), digits);
        buf_format(out, "%lld", (long long)store_get_i64(&q, "asset"));
        buf_add_hex(out, store_get_bytes(&q, "holder", &arena));
        buf_format(out, "|%s|%d|", digits, store_get_bool(&q, "active"));
        buf_format(out, "%d|%lld|", store_is_null(&q, "at"), (long long)store_get_time(&q, "at"));
        buf_add_text(out, store_is_null(&q, "label") ? "NULL" : "'");
        buf_add_slice(out, store_get_text(&q, "label", &arena));
        buf_add_text(out, store_is_null(&q, "memo") ? "NULL" : "'");
        buf_add_slice(out, store_get_text(&q, "memo", &arena));
        buf_add_text(out, store_is_null(&q, "note") ? "NULL" : "'");
        buf_add_slice(out, store_get_text(&q, "note", &arena));
        buf_add_text(out, store_is_null(&q, "raw") ? "NULL" : "'");
        buf_add_hex(out, store_get_bytes(&q, "raw", &arena));
        buf_add_byte(out, '\n');
    }
    return store_finish(&q, NULL, why);
}

static enum err dump_all(struct store_tx *tx, void *ctx, struct why *why)
{
    struct buf *out = ctx;
    out->len = 0;
    enum err e = dump_holdings(tx, out, why);
    struct store_query q;
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &sample_sql_lots_dump);
    while (store_step(&q)) {
        char digits[U256_TEXT_MAX];
        u256_format(store_get_u256(&q, "size"), digits);
        buf_format(out, "lot %lld %lld %s ", (long long)store_get_i64(&q, "id"),
                   (long long)store_get_i64(&q, "asset"), digits);
        buf_add_hex(out, store_get_bytes(&q, "holder", &arena));
        buf_add_byte(out, '\n');
    }
    return store_finish(&q, NULL, why);
}

static struct slice dump(void)
{
    struct buf out;
    buf_init(&out, &arena, 4096);
    sample_read(s.store, dump_all, &out);
    return buf_slice(&out);
}

static enum err count_log(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_undo_count);
    if (store_step(&q)) {
        *(int64_t *)ctx = store_get_i64(&q, "count");
    }
    return store_finish_one(&q, "count", why);
}

static int64_t log_length(void)
{
    int64_t count = -1;
    sample_read(s.store, count_log, &count);
    return count;
}

static enum err newest(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_undo_text);
    if (store_step(&q)) {
        *(struct slice *)ctx = store_get_text(&q, "statement", &arena);
    }
    return store_finish_one(&q, "record", why);
}

static void same(struct slice a, struct slice b)
{
    if (!slice_equal(a, b)) {
        fail_msg("\n%.*s\nis not\n%.*s", SLICE_ARG(a), SLICE_ARG(b));
    }
}

/* ---- tests ---- */

static const uint8_t odd_bytes[] = {0, 0xff, '\'', 0};
static const struct change row = {.kind = PUT,
                                  .asset = 1,
                                  .holder = 0xaa,
                                  .number = U256_MAX,
                                  .label = "it's \xe2\x82\xac \\ \"q\" ; DROP TABLE lots; --",
                                  .memo = "{\"a\":\"b'c\"}",
                                  .raw = {odd_bytes, sizeof(odd_bytes)},
                                  .active = true,
                                  .at_usec = INT64_MAX};

static void inserts_updates_and_deletes_go_back(void **state)
{
    struct slice empty = dump();
    apply(10, &row, 1);
    struct slice one = dump();
    struct change all_null = {.kind = PUT, .asset = 1, .holder = 0xaa, .raw_null = true};
    struct change empty_values = {
        .kind = PUT, .asset = 1, .holder = 0xaa, .label = "", .memo = "\"\"", .at_usec = -1};
    apply(11, &all_null, 1);
    struct slice nulls = dump();
    apply(12, &empty_values, 1);
    struct slice empties = dump();
    struct change gone = {.kind = DELETE, .asset = 1, .holder = 0xaa};
    apply(13, &gone, 1);
    same(dump(), empty);

    assert_int_equal(rollback_from(13), 1);
    same(dump(), empties);
    assert_int_equal(rollback_from(12), 1);
    same(dump(), nulls);
    assert_int_equal(rollback_from(11), 1);
    same(dump(), one);
    assert_int_equal(rollback_from(10), 1);
    same(dump(), empty);
    assert_int_equal(rollback_from(0), 0);
    assert_int_equal(log_length(), 0);
}

static void a_row_changed_three_times_in_a_block(void **state)
{
    change_outside(&row, 1);
    assert_int_equal(log_length(), 0);
    struct slice before = dump();
    struct change changes[] = {
        {.kind = BALANCE, .asset = 1, .holder = 0xaa, .number = {{1}}},
        {.kind = BALANCE, .asset = 1, .holder = 0xaa, .number = {{2}}},
        {.kind = BALANCE, .asset = 1, .holder = 0xaa, .number = {{2}}}, /* changes nothing */
        {.kind = DELETE, .asset = 1, .holder = 0xaa},
        {.kind = PUT, .asset = 1, .holder = 0xaa, .raw_null = true},
        {.kind = RENAME, .asset = 1, .holder = 0xaa, .new_asset = 5},
        {.kind = BALANCE, .asset = 5, .holder = 0xaa, .number = {{9}}},
    };
    apply(20, changes, 7);
    assert_int_equal(log_length(), 6);
    assert_int_equal(rollback_from(20), 6);
    same(dump(), before);
}

static void only_what_changed_is_recorded(void **state)
{
    change_outside(&row, 1);
    struct change c = {.kind = BALANCE, .asset = 1, .holder = 0xaa, .number = {{1}}};
    apply(20, &c, 1);
    struct slice text = SLICE_EMPTY;
    sample_read(s.store, newest, &text);
    static const char on_sqlite[] =
        "UPDATE \"holdings\" SET \"balance\"='" U256_MAX_TEXT "' WHERE \"asset\"=1 AND "
        "\"holder\"=X'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'";
    static const char on_postgres[] =
        "UPDATE \"holdings\" SET \"balance\" = '" U256_MAX_TEXT "' WHERE \"asset\" = '1' AND "
        "\"holder\" = E'\\\\xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'";
    same(text, slice_text(support_pick(on_sqlite, on_postgres)));
}

static void columns_of_others_stay(void **state)
{
    change_outside(&row, 1);
    struct change first = {.kind = BALANCE, .asset = 1, .holder = 0xaa, .number = {{1}}};
    struct change note = {.kind = NOTE, .asset = 1, .holder = 0xaa, .label = "by hand"};
    struct change second = {.kind = BALANCE, .asset = 1, .holder = 0xaa, .number = {{2}}};
    change_outside(&note, 1);
    struct slice expected = dump();
    note.label = NULL;
    change_outside(&note, 1);

    apply(20, &first, 1);
    note.label = "by hand";
    change_outside(&note, 1);
    apply(21, &second, 1);
    assert_int_equal(rollback_from(20), 2);
    same(dump(), expected);
}

static void children_come_after_their_parents(void **state)
{
    struct change changes[] = {
        row,
        {.kind = LOT, .asset = 1, .holder = 0xaa, .number = {{3}}},
        {.kind = LOT, .asset = 1, .holder = 0xaa, .number = {{4}}},
    };
    struct slice empty = dump();
    apply(30, changes, 3);
    assert_int_equal(rollback_from(30), 3);
    same(dump(), empty);
}

/* SQLite runs no delete triggers for REPLACE unless told to; the driver tells it. */
static void a_replaced_row_comes_back(void **state)
{
    change_outside(&row, 1);
    struct slice before = dump();
    struct change c = {.kind = REPLACE, .asset = 1, .holder = 0xaa, .number = {{1}}};
    apply(40, &c, 1);
    rollback_from(40);
    same(dump(), before);
}

static void chains_are_apart(void **state)
{
    struct change one = {.kind = PUT, .asset = 1, .holder = 1, .raw_null = true};
    struct change two = {.kind = PUT, .asset = 2, .holder = 2, .raw_null = true};
    struct block other = {.chain_id = 1, .number = 100, .changes = &two, .count = 1};
    apply(100, &one, 1);
    sample_write(s.store, apply_block, &other);
    struct slice both = dump();
    one.number = u256_from_u64(5);
    apply(101, &one, 1);
    assert_int_equal(rollback_from(101), 1);
    same(dump(), both);
    struct rollback r = {.chain_id = 1, .from_block = 0};
    sample_write(s.store, roll_back, &r);
    assert_int_equal(r.changes, 1);
    assert_int_equal(log_length(), 1);
}

/* Random histories: each block's dump is what a rollback to it must give. */
static void any_history_goes_back_to_any_block(void **state)
{
    enum { BLOCKS = 24, CHANGES = 40, ROUNDS = 6 };
    static struct change changes[CHANGES];
    static const char *const memos[] = {NULL, "\"\"", "{\"a\":\"it's\"}", "[]"};
    static const char *const labels[] = {NULL, "", "x", "it's", "\xf0\x9f\x8f\xa0"};
    struct slice after[BLOCKS + 1];
    rand_set_seed(77);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t total[BLOCKS + 1] = {0};
        arena_clear(&arena);
        after[0] = dump();
        for (uint64_t b = 1; b <= BLOCKS; b++) {
            for (size_t i = 0; i < CHANGES; i++) {
                uint64_t pick = rand_below(20);
                changes[i] = (struct change){.kind = pick < 8    ? PUT
                                                     : pick < 15 ? BALANCE
                                                     : pick < 18 ? DELETE
                                                                 : REPLACE,
                                             .asset = (int64_t)rand_below(3),
                                             .holder = (uint8_t)rand_below(3),
                                             .number = {{rand_below(4), 0, rand_u64(), 0}},
                                             .label = labels[rand_below(5)],
                                             .memo = memos[rand_below(4)],
                                             .raw_null = rand_below(2) == 0,
                                             .raw = slice_of(odd_bytes, rand_below(5)),
                                             .active = rand_below(2) == 0,
                                             .at_usec = (int64_t)rand_below(3)};
            }
            apply(b, changes, CHANGES);
            after[b] = dump();
            total[b] = (uint64_t)log_length();
        }
        uint64_t to = rand_below(BLOCKS);
        assert_int_equal(rollback_from(to + 1), total[BLOCKS] - total[to]);
        same(dump(), after[to]);
        assert_int_equal(rollback_from(0), total[to]); /* several pages */
        same(dump(), after[0]);
    }
}

static enum err prune(struct store_tx *tx, void *ctx, struct why *why)
{
    return store_undo_prune(tx, CHAIN, *(const uint64_t *)ctx, why);
}

static void pruned_blocks_are_forgotten(void **state)
{
    struct change c = {.kind = PUT, .asset = 1, .holder = 1, .raw_null = true};
    apply(1, &c, 1);
    c.number = u256_from_u64(1);
    apply(2, &c, 1);
    struct slice before = dump();
    c.number = u256_from_u64(2);
    apply(3, &c, 1);
    uint64_t below = 3;
    sample_write(s.store, prune, &below);
    assert_int_equal(log_length(), 1);
    assert_int_equal(rollback_from(1), 1);
    same(dump(), before);
}

static void a_failed_block_leaves_no_record(void **state)
{
    struct block b = {.chain_id = CHAIN, .number = 5, .changes = &row, .count = 1, .fails = true};
    assert_int_equal(store_write(s.store, apply_block, &b, NULL), ERR_CONFLICT);
    assert_int_equal(log_length(), 0);
    change_outside(&row, 1); /* and no step that stayed open */
    assert_int_equal(log_length(), 0);
}

static void a_row_that_others_deleted_stops_the_rollback(void **state)
{
    struct change c = {.kind = PUT, .asset = 2, .holder = 1, .raw_null = true};
    apply(5, &row, 1);
    apply(6, &c, 1);
    struct change gone = {.kind = DELETE, .asset = 1, .holder = 0xaa};
    change_outside(&gone, 1);
    struct slice before = dump();
    struct rollback r = {.chain_id = CHAIN, .from_block = 5, .changes = 99};
    struct why why = {0};
    assert_int_equal(store_write(s.store, roll_back, &r, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "reverts 0 rows instead of one"));
    assert_int_equal(r.changes, 99);
    same(dump(), before); /* block 6 is not undone either */
    assert_int_equal(log_length(), 2);
}

static void numbers_beyond_the_database_are_refused(void **state)
{
    struct block b = {.chain_id = CHAIN, .number = 1ull << 63};
    assert_int_equal(store_write(s.store, apply_block, &b, NULL), ERR_OVERFLOW);
    b = (struct block){.chain_id = UINT64_MAX};
    assert_int_equal(store_write(s.store, apply_block, &b, NULL), ERR_OVERFLOW);
}

static enum err leave_open(struct store_tx *tx, void *ctx, struct why *why)
{
    return store_undo_begin(tx, CHAIN, 1, why);
}

static void run_leave_open(void)
{
    assert_int_equal(support_store_start(&s, NULL), OK);
    support_store_migrate(&s);
    enum err e = store_write(s.store, leave_open, NULL, NULL);
    _exit(e == OK ? 0 : 1);
}

static void a_step_left_open_is_a_bug(void **state)
{
    support_store_prepare(&s, &sample_catalog);
    assert_true(test_aborts(run_leave_open));
    support_store_close(&s);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(inserts_updates_and_deletes_go_back),
        WITH_STORE(a_row_changed_three_times_in_a_block),
        WITH_STORE(only_what_changed_is_recorded),
        WITH_STORE(columns_of_others_stay),
        WITH_STORE(children_come_after_their_parents),
        WITH_STORE(a_replaced_row_comes_back),
        WITH_STORE(chains_are_apart),
        WITH_STORE(any_history_goes_back_to_any_block),
        WITH_STORE(pruned_blocks_are_forgotten),
        WITH_STORE(a_failed_block_leaves_no_record),
        WITH_STORE(a_row_that_others_deleted_stops_the_rollback),
        WITH_STORE(numbers_beyond_the_database_are_refused),
        cmocka_unit_test(a_step_left_open_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
