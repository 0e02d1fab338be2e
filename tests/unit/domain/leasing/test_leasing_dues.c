/*
 * Dues of leases as rows: made, paid, overdue and void, with a clock that is moved by hand.
 */
#include "domain/leasing/leasing_chain_sql.h"
#include "domain/leasing/leasing_dues.h"
#include "domain/leasing/leasing_dues_sql.h"
#include "domain/leasing/leasing_jobs_sql.h"
#include "unit/domain/leasing/rows.h"

#define SEC(s) ((int64_t)(s)*USEC_PER_SEC)
#define JAN_15 SEC(1705276800) /* of 2024 */
#define FEB_15 SEC(1707955200)
#define MAR_15 SEC(1710460800)
#define APR_15 SEC(1713139200)
#define DAY SEC(86400)
#define MONTH 2592000

static struct rows rows;
static int64_t now_usec;

static int64_t wall(void *ctx)
{
    (void)ctx;
    return now_usec;
}

static int64_t mono(void *ctx)
{
    (void)ctx;
    return now_usec - JAN_15 + DAY;
}

static const struct clock_source by_hand = {.wall_usec = wall, .mono_usec = mono};

static int set_up(void **state)
{
    now_usec = FEB_15 + 5 * DAY;
    rows_open(&rows);
    clock_set_source(&by_hand);
    return 0;
}

static int tear_down(void **state)
{
    clock_set_source(NULL);
    rows_close(&rows);
    return 0;
}

static void run(void)
{
    struct job_call call = {.job = &rows.arena, .store = rows.store.store, .ctx = rows.leasing};
    struct why why = {.err = OK};
    enum err e = leasing_dues_job(&call, &why);
    if (e != OK) {
        fail_msg("%s: %s", err_code(e), why_text(&why, e));
    }
}

static enum err link_nft(struct store_tx *tx, void *ctx, struct why *why)
{
    static const struct address lessee = {{2}};
    static const struct hash hash = {{4}};
    struct store_query q;
    store_begin(&q, tx, &leasing_jobs_sql_lease_link);
    store_bind_text(&q, "lease_id", slice_text(ctx));
    store_bind_bytes(&q, "lessee", address_slice(&lessee));
    store_bind_u256(&q, "nft_token_id", u256_from_u64(7));
    store_bind_i64(&q, "block_number", 5);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&hash));
    store_bind_time(&q, "now", now_usec);
    return store_finish(&q, NULL, why);
}

/* Three months from the 15th of January, a million a month, on chain. */
static void put(char *id)
{
    struct rows_lease lease = {.id = id,
                               .start_usec = JAN_15,
                               .end_usec = APR_15,
                               .schedule = "monthly",
                               .period_sec = MONTH,
                               .lessor = {{1}},
                               .lessee = {{2}},
                               .leasing = rows.leasing};
    rows_write(&rows, rows_put_lease, &lease);
    rows_write(&rows, link_nft, id);
}

static enum err put_round(struct store_tx *tx, void *ctx, struct why *why)
{
    static const struct address token = {{6}};
    static const struct hash hash = {{4}};
    const int64_t *funds = ctx;
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_round_put);
    store_bind_i64(&q, "chain_id", 31337);
    store_bind_i64(&q, "round_id", *funds);
    store_bind_bytes(&q, "token", address_slice(&token));
    store_bind_u256(&q, "onchain_asset_id", u256_from_u64(1));
    store_bind_u256(&q, "lease_token_id", u256_from_u64(7));
    store_bind_u256(&q, "total_amount", u256_from_u64((uint64_t)*funds));
    store_bind_u256(&q, "supply", u256_from_u64(100));
    store_bind_i64(&q, "snapshot_block", 5);
    store_bind_i64(&q, "snapshot_log_index", 0);
    store_bind_u256(&q, "remainder", U256_ZERO);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&hash));
    store_bind_text(&q, "status", SLICE_LIT("open"));
    store_bind_time(&q, "now", now_usec);
    return store_finish(&q, NULL, why);
}

struct seen {
    size_t count;
    char text[8][64];
};

static enum err read_rows(struct store_tx *tx, void *ctx, struct why *why)
{
    struct seen *seen = ctx;
    struct store_query q;
    store_begin(&q, tx, &leasing_dues_sql_of_lease);
    store_bind_text(&q, "lease_id", SLICE_LIT("lease"));
    store_bind_i64(&q, "after_number", 0);
    store_bind_i64(&q, "max_rows", 8);
    while (store_step(&q)) {
        uint64_t amount = 0;
        uint64_t paid = 0;
        assert_int_equal(u256_to_u64(store_get_u256(&q, "amount"), &amount), OK);
        assert_int_equal(u256_to_u64(store_get_u256(&q, "paid"), &paid), OK);
        (void)snprintf(seen->text[seen->count++], sizeof seen->text[0], "%lld %llu/%llu %s",
                       (long long)((store_get_time(&q, "due_at") - JAN_15) / DAY),
                       (unsigned long long)paid, (unsigned long long)amount,
                       slice_cstr(&rows.arena, store_get_text(&q, "status", &rows.arena)));
        store_ignore(&q, "number");
        store_ignore(&q, "period_end");
    }
    return store_finish(&q, NULL, why);
}

/* Rows as "<days after the first> <paid>/<amount> <status>". */
static void has(size_t count, const char *const *wanted)
{
    struct seen seen = {.count = 0};
    assert_int_equal(store_read(rows.store.store, read_rows, &seen, NULL), OK);
    assert_int_equal(seen.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(seen.text[i], wanted[i]);
    }
}

#define HAS(...)                                                                                   \
    has(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static void test_time_and_money(void **state)
{
    char id[] = "lease";
    int64_t funds = 1500000;
    put(id);
    run();
    HAS("0 0/1000000 overdue", "31 0/1000000 overdue", "60 0/1000000 due");
    rows_write(&rows, put_round, &funds);
    run();
    HAS("0 1000000/1000000 paid", "31 500000/1000000 overdue", "60 0/1000000 due");
    run();
    HAS("0 1000000/1000000 paid", "31 500000/1000000 overdue", "60 0/1000000 due");
    now_usec = MAR_15; /* the day itself is not too late */
    run();
    HAS("0 1000000/1000000 paid", "31 500000/1000000 overdue", "60 0/1000000 due");
    now_usec = MAR_15 + 1;
    run();
    HAS("0 1000000/1000000 paid", "31 500000/1000000 overdue", "60 0/1000000 overdue");
    funds = 2000000; /* more than is due: the rest pays nothing */
    rows_write(&rows, put_round, &funds);
    run();
    HAS("0 1000000/1000000 paid", "31 1000000/1000000 paid", "60 1000000/1000000 paid");
}

static enum err terminate(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_lease_terminate);
    store_bind_text(&q, "lease_id", slice_text(ctx));
    store_bind_null(&q, "lessor_termination");
    store_bind_null(&q, "lessee_termination");
    store_bind_text(&q, "termination_reason", SLICE_LIT("reason"));
    store_bind_text(&q, "status", SLICE_LIT("terminated"));
    store_bind_time(&q, "now", now_usec);
    return store_finish(&q, NULL, why);
}

static void test_termination(void **state)
{
    char id[] = "lease";
    put(id);
    run();
    rows_write(&rows, terminate, id);
    run();
    HAS("0 0/1000000 overdue", "31 0/1000000 overdue", "60 0/1000000 void");
    now_usec = APR_15;
    run();
    HAS("0 0/1000000 overdue", "31 0/1000000 overdue", "60 0/1000000 void");
}

static enum err unlink_nft(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct leasing *l = ctx;
    struct store_query q;
    store_begin(&q, tx, &leasing_jobs_sql_leases_unlink);
    store_bind_i64(&q, "chain_id", 31337);
    store_bind_bytes(&q, "factory", address_slice(&l->factory));
    store_bind_time(&q, "now", now_usec);
    return store_finish(&q, NULL, why);
}

static void test_leaves_the_chain(void **state)
{
    char id[] = "lease";
    put(id);
    run();
    HAS("0 0/1000000 overdue", "31 0/1000000 overdue", "60 0/1000000 due");
    rows_write(&rows, unlink_nft, rows.leasing);
    run();
    has(0, NULL);
    rows_write(&rows, link_nft, id);
    run();
    HAS("0 0/1000000 overdue", "31 0/1000000 overdue", "60 0/1000000 due");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_time_and_money, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_termination, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leaves_the_chain, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
