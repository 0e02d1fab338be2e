#include "gen/sql_all.h"
#include "kernel/base/clock.h"
#include "kernel/chain/chain.h"
#include "kernel/chain/chain_sql.h"
#include "unit/support.h"

/* Chain 1 remembers blocks from 90 on, chain 2 has none; both have an event in every tenth block.
 */
enum { REMEMBERED = 90, LAST = 100, STEP = 10 };

static struct support_store s;

static int open_store(void **state)
{
    support_store_open(&s, &sql_catalog);
    return 0;
}

static int close_store(void **state)
{
    support_store_close(&s);
    return 0;
}

static void bind_hash(struct store_query *q, const char *name, int64_t number)
{
    uint8_t hash[32] = {(uint8_t)number};
    store_bind_bytes(q, name, slice_of(hash, sizeof(hash)));
}

static enum err add_events(struct store_tx *tx, int64_t chain_id, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &chain_sql_event_insert);
    for (int64_t block = STEP; block <= LAST; block += STEP) {
        store_bind_i64(&q, "chain_id", chain_id);
        store_bind_i64(&q, "block_number", block);
        store_bind_i64(&q, "log_index", 3);
        bind_hash(&q, "block_hash", block);
        bind_hash(&q, "transaction_hash", block);
        store_bind_bytes(&q, "contract_address", SLICE_LIT("12345678901234567890"));
        store_bind_text(&q, "event_type", SLICE_LIT("Moved"));
        store_bind_json(&q, "event_data", SLICE_LIT("{}"));
        store_bind_bool(&q, "processed", true);
        store_bind_null(&q, "error");
        store_bind_time(&q, "now", block * USEC_PER_SEC);
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

static enum err fill(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    enum err e = OK;
    for (int64_t chain_id = 1; e == OK && chain_id <= 2; chain_id++) {
        store_begin(&q, tx, &chain_sql_cursor_insert);
        store_bind_i64(&q, "chain_id", chain_id);
        store_bind_i64(&q, "block_number", LAST);
        bind_hash(&q, "block_hash", LAST);
        bind_hash(&q, "genesis_hash", 0);
        store_bind_time(&q, "now", 0);
        e = store_finish(&q, NULL, why);
        e = e == OK ? add_events(tx, chain_id, why) : e;
    }
    store_begin_rows(&q, tx, &chain_sql_block_insert);
    for (int64_t block = REMEMBERED; block <= LAST; block++) {
        store_bind_i64(&q, "chain_id", 1);
        store_bind_i64(&q, "block_number", block);
        bind_hash(&q, "block_hash", block);
        bind_hash(&q, "parent_hash", block - 1);
        store_bind_time(&q, "block_time", block * USEC_PER_SEC);
        store_row(&q);
    }
    return store_finish(&q, NULL, e == OK ? why : NULL);
}

struct prune {
    int64_t before_usec;
    uint64_t limit;
    uint64_t rows;
};

static enum err prune_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct prune *p = ctx;
    return chain_events_prune(tx, p->before_usec, p->limit, &p->rows, why);
}

static uint64_t prune(int64_t before_sec, uint64_t limit)
{
    struct prune p = {.before_usec = before_sec * (int64_t)USEC_PER_SEC, .limit = limit};
    struct why why = {0};
    enum err e = store_write(s.store, prune_tx, &p, &why);
    if (e != OK) {
        fail_msg("%s: %s", err_code(e), why_text(&why, e));
    }
    return p.rows;
}

static void expect_events(const char *chain_1)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct slice found = support_store_rows(
        &s, &arena, "SELECT block_number FROM blockchain_events WHERE chain_id = 1 ORDER BY 1");
    assert_string_equal(slice_cstr(&arena, found), chain_1);
    /* What remembers no blocks has nothing to measure by. */
    found =
        support_store_rows(&s, &arena, "SELECT count(*) FROM blockchain_events WHERE chain_id = 2");
    assert_string_equal(slice_cstr(&arena, found), "10|\n");
    arena_free(&arena);
}

static void old_events_go_in_portions_the_oldest_first(void **state)
{
    assert_int_equal(store_write(s.store, fill, NULL, NULL), OK);
    assert_int_equal(prune(45, 3), 3);
    expect_events("40|\n50|\n60|\n70|\n80|\n90|\n100|\n");
    assert_int_equal(prune(45, 3), 1);
    assert_int_equal(prune(45, 3), 0);
    expect_events("50|\n60|\n70|\n80|\n90|\n100|\n");
}

static void what_may_be_undone_stays(void **state)
{
    assert_int_equal(store_write(s.store, fill, NULL, NULL), OK);
    assert_int_equal(prune(1000000, 1000), 7);
    expect_events("80|\n90|\n100|\n"); /* and the newest one below the remembered blocks */
    assert_int_equal(prune(1000000, 1000), 0);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(old_events_go_in_portions_the_oldest_first),
        WITH_STORE(what_may_be_undone_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
