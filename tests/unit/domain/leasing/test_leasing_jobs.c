/*
 * The sweep that needs no chain: leases end on time, and when both parties ended them. What the
 * other jobs do is tested over HTTP, where there is a chain to ask.
 */
#include "domain/leasing/leasing_jobs_sql.h"
#include "unit/domain/leasing/rows.h"

static struct rows rows;

static int set_up(void **state)
{
    rows_open(&rows);
    return 0;
}

static int tear_down(void **state)
{
    rows_close(&rows);
    return 0;
}

static void sweep(void)
{
    const struct job_kind *kind = NULL;
    for (size_t i = 0; i < leasing_job_kind_count; i++) {
        if (strcmp(leasing_job_kinds[i].name, "leasing.complete_leases") == 0) {
            kind = &leasing_job_kinds[i];
        }
    }
    assert_non_null(kind);
    struct job_call call = {.job = &rows.arena, .store = rows.store.store, .ctx = rows.leasing};
    struct why why = {.err = OK};
    assert_int_equal(kind->handler(&call, &why), OK);
}

struct change {
    const char *id;
    const char *status;
    bool lessor_ended;
    bool lessee_ended;
};

static enum err apply(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct change *c = ctx;
    static const uint8_t signature[SIGNATURE_BYTES] = {1};
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_lease_terminate);
    store_bind_text(&q, "lease_id", slice_text(c->id));
    if (c->lessor_ended) {
        store_bind_bytes(&q, "lessor_termination", slice_of(signature, sizeof signature));
    } else {
        store_bind_null(&q, "lessor_termination");
    }
    if (c->lessee_ended) {
        store_bind_bytes(&q, "lessee_termination", slice_of(signature, sizeof signature));
    } else {
        store_bind_null(&q, "lessee_termination");
    }
    store_bind_text(&q, "termination_reason", SLICE_LIT("reason"));
    store_bind_text(&q, "status", slice_text(c->status));
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static void put(const char *id, int64_t end_usec, const char *status, bool lessor_ended,
                bool lessee_ended)
{
    struct rows_lease lease = {
        .id = id, .end_usec = end_usec, .lessor = {{1}}, .lessee = {{2}}, .leasing = rows.leasing};
    struct change change = {
        .id = id, .status = status, .lessor_ended = lessor_ended, .lessee_ended = lessee_ended};
    rows_write(&rows, rows_put_lease, &lease);
    rows_write(&rows, apply, &change);
}

static void is(const char *id, const char *status)
{
    struct leasing_lease lease = rows_lease_get(&rows, id);
    assert_string_equal(slice_cstr(&rows.arena, lease.status), status);
}

static void test_ends(void **state)
{
    int64_t now = clock_wall_usec();
    put("over", now - 1, "active", false, false);
    put("running", now + ROWS_HOUR, "active", false, false);
    put("one", now + ROWS_HOUR, "active", true, false);
    put("both", now + ROWS_HOUR, "active", true, true);
    put("both-over", now - 1, "active", true, true);
    put("draft", now - 1, "draft", false, false);
    put("waiting", now - 1, "pending_signatures", false, false);
    put("ended", now - 1, "terminated", true, false);
    for (int i = 0; i < 2; i++) {
        sweep();
        is("over", "completed");
        is("running", "active");
        is("one", "active");
        is("both", "terminated");
        is("both-over", "terminated");
        is("draft", "draft");
        is("waiting", "pending_signatures");
        is("ended", "terminated");
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
    store_bind_u256(&q, "nft_token_id", U256_ZERO);
    store_bind_i64(&q, "block_number", 5);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&hash));
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err link_offer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_jobs_sql_offer_link);
    store_bind_text(&q, "lease_id", slice_text(ctx));
    store_bind_u256(&q, "offer_id", U256_ZERO);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

/* Links that jobs made to things that the chain does not have (any more). */
static void test_repairs(void **state)
{
    int64_t end = clock_wall_usec() + ROWS_HOUR;
    char minted[] = "minted";
    char found[] = "chain-31337-0";
    char offered[] = "offered";
    put(minted, end, "draft", false, false);
    put(found, end, "draft", false, false);
    put(offered, end, "draft", false, false);
    rows_write(&rows, link_nft, minted);
    rows_write(&rows, link_nft, found);
    rows_write(&rows, link_offer, offered);
    is(minted, "active");
    assert_true(rows_lease_get(&rows, minted).has_nft);
    assert_true(rows_lease_get(&rows, offered).has_offer);
    sweep();
    is(minted, "draft");
    assert_false(rows_lease_get(&rows, minted).has_nft);
    assert_false(rows_lease_get(&rows, offered).has_offer);
    struct rows_find f = {.rows = &rows, .id = found};
    assert_int_equal(store_read(rows.store.store, rows_read_lease, &f, NULL), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_repairs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
