/*
 * What becomes of assets and leases when the transaction that was asked for fails, and when a
 * reorganisation gives it another chance.
 */
#include "domain/leasing/leasing.h"

#include "unit/domain/leasing/rows.h"

static struct rows rows;

static int set_up(void **state)
{
    rows_open(&rows);
    struct rows_asset asset = {.id = "SAT-1", .intent_id = "tx_asset"};
    rows_write(&rows, rows_put_asset, &asset);
    return 0;
}

static int tear_down(void **state)
{
    rows_close(&rows);
    return 0;
}

struct told {
    const char *purpose;
    const char *id;
    enum relay_state state;
    const char *error;
};

static enum err tell(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct told *t = ctx;
    const struct relay_row row = {.id = slice_text(t->id),
                                  .purpose = slice_text(t->purpose),
                                  .state = t->state,
                                  .error = slice_text(t->error)};
    return leasing_watch(tx, rows.leasing, &row, why);
}

static void say(const char *purpose, const char *id, enum relay_state state, const char *error)
{
    struct told t = {purpose, id, state, error};
    rows_write(&rows, tell, &t);
}

static void test_asset(void **state)
{
    const char *purpose = "leasing.register_asset";
    static const enum relay_state harmless[] = {RELAY_SIGNED, RELAY_SENT, RELAY_MINED};
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        say(purpose, "tx_asset", harmless[i], "");
        assert_string_equal(rows_asset_status(&rows, "SAT-1"), "registered");
    }
    say(purpose, "tx_other", RELAY_FAILED, "no");
    say("market.register_asset", "tx_asset", RELAY_FAILED, "no");
    assert_string_equal(rows_asset_status(&rows, "SAT-1"), "registered");
    static const enum relay_state bad[] = {RELAY_FAILED, RELAY_REVERTED, RELAY_REPLACED,
                                           RELAY_CANCELLED};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        say(purpose, "tx_asset", bad[i], "because");
        assert_string_equal(rows_asset_status(&rows, "SAT-1"), "failed");
        say(purpose, "tx_asset", RELAY_SIGNED, "");
        assert_string_equal(rows_asset_status(&rows, "SAT-1"), "registered");
    }
}

struct link {
    const struct store_statement *statement;
    const char *intent_id;
};

static enum err link_lease(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct link *l = ctx;
    struct store_query q;
    store_begin(&q, tx, l->statement);
    store_bind_text(&q, "lease_id", SLICE_LIT("LEASE-1"));
    store_bind_text(&q, "intent_id", slice_text(l->intent_id));
    if (l->statement == &leasing_api_sql_lease_action) {
        store_bind_null(&q, "lessor_signature");
    }
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static const char *lease_error(void)
{
    return slice_cstr(&rows.arena, rows_lease_get(&rows, "LEASE-1").error);
}

static void test_lease(void **state)
{
    struct rows_lease lease = {.id = "LEASE-1",
                               .end_usec = clock_wall_usec() + ROWS_HOUR,
                               .lessor = {{1}},
                               .lessee = {{2}},
                               .leasing = rows.leasing};
    struct link mint = {&leasing_api_sql_lease_intent, "tx_mint"};
    struct link accept = {&leasing_api_sql_lease_action, "tx_accept"};
    rows_write(&rows, rows_put_lease, &lease);
    rows_write(&rows, link_lease, &mint);
    say("leasing.mint_lease", "tx_mint", RELAY_REVERTED, "expired");
    assert_string_equal(lease_error(), "expired");
    struct leasing_lease row = rows_lease_get(&rows, "LEASE-1");
    assert_true(leasing_lease_is(&row, "draft"));
    say("leasing.mint_lease", "tx_mint", RELAY_SIGNED, "");
    assert_string_equal(lease_error(), "");
    rows_write(&rows, link_lease, &accept);
    say("leasing.accept_bid", "tx_mint", RELAY_FAILED, "another one's");
    assert_string_equal(lease_error(), "");
    say("leasing.accept_bid", "tx_accept", RELAY_FAILED, "");
    assert_string_equal(lease_error(), "failed");
    say("leasing.accept_bid", "tx_accept", RELAY_SIGNED, "");
    say("leasing.cancel_offer", "tx_accept", RELAY_REPLACED, "gone");
    assert_string_equal(lease_error(), "gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_asset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lease, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
