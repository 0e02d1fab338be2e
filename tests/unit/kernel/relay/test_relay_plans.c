/*
 * How PostgreSQL runs the statements of the relay that are about one intent: by its id, whatever
 * the server knows of the table. Plans are made for any values, as a connection keeps them: while
 * the table was vacuumed empty, and with statistics of many rows. Decisions 0023 and 0030.
 */
#include "kernel/relay/relay_sql.h"

#include "unit/kernel/relay/world.h"

#define PLAN_MAX 8192

/* As the store sets it for whoever writes. */
static const char session[] = "SET enable_seqscan = off; SET jit = off;"
                              "SET plan_cache_mode = force_generic_plan";

static const struct store_statement *const by_id[] = {
    &relay_sql_pool_assign,    &relay_sql_intent_lock,    &relay_sql_intent_sign,
    &relay_sql_intent_resign,  &relay_sql_intent_sent,    &relay_sql_intent_retry_at,
    &relay_sql_intent_put_off, &relay_sql_intent_mined,   &relay_sql_intent_unmined,
    &relay_sql_intent_final,   &relay_sql_intent_fail,    &relay_sql_intent_replaced,
    &relay_sql_intent_reopen,  &relay_sql_intent_cancel,  &relay_sql_intent_take_back,
    &relay_sql_intent_hurry,   &relay_sql_intent_get,     &relay_sql_attempt_content,
    &relay_sql_attempts_list,  &relay_sql_attempt_insert, &relay_sql_attempt_is_filler,
};

static void run(PGconn *pq, const char *sql)
{
    PGresult *result = PQexec(pq, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(pq));
    }
    PQclear(result);
}

static void explain(PGconn *pq, const struct store_statement *s, char out[PLAN_MAX])
{
    char sql[1024];
    int len = snprintf(sql, sizeof sql, "EXPLAIN (COSTS OFF) EXECUTE %s", s->name);
    for (uint16_t i = 0; i < s->param_count; i++) {
        len += snprintf(sql + len, sizeof sql - (size_t)len, i == 0 ? "(NULL" : ", NULL");
    }
    (void)snprintf(sql + len, sizeof sql - (size_t)len, ")");
    PGresult *result = PQexec(pq, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(pq));
    }
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < PQntuples(result); i++) {
        at += (size_t)snprintf(out + at, PLAN_MAX - at, "%s\n", PQgetvalue(result, i, 0));
        assert_true(at < PLAN_MAX);
    }
    PQclear(result);
}

static void assert_by_id(const char *when)
{
    static const char *const wrong[] = {"Seq Scan on relay_", "idx_relay_intents_",
                                        "_wallet_nonce_key", "Hash Join", "Merge Join"};
    char plan[PLAN_MAX];
    PGconn *pq = PQconnectdb(w.s.url);
    assert_int_equal(PQstatus(pq), CONNECTION_OK);
    run(pq, session);
    for (size_t i = 0; i < sizeof by_id / sizeof by_id[0]; i++) {
        const struct store_statement *s = by_id[i];
        PGresult *result = PQprepare(pq, s->name, s->postgres, 0, NULL);
        assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
        PQclear(result);
        explain(pq, s, plan);
        for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
            if (strstr(plan, wrong[k]) != NULL) {
                fail_msg("%s, %s:\n%s", s->name, when, plan);
            }
        }
    }
    PQfinish(pq);
}

static int open_postgres(void **state)
{
    (void)state;
    if (support_on_postgres()) {
        log_set_fd(-1);
        world_open("http://127.0.0.1:9/"); /* nobody is asked */
    }
    return 0;
}

static int close_postgres(void **state)
{
    (void)state;
    if (support_on_postgres()) {
        world_close();
    }
    return 0;
}

static void an_intent_is_found_by_its_id(void **state)
{
    (void)state;
    if (!support_on_postgres()) {
        skip();
    }
    assert_by_id("never looked at");
    PGconn *pq = PQconnectdb(w.s.url);
    run(pq, "VACUUM relay_intents; ");
    run(pq, "VACUUM relay_attempts");
    assert_by_id("vacuumed empty");
    run(pq, "INSERT INTO relay_intents (intent_id, intent_key, content_hash, chain_id, wallet, "
            "value, data, role, purpose, gas_limit, state, final, attempts, try_at, created_at, "
            "updated_at) SELECT 'tx_' || i, 'k' || i, decode(repeat('00', 32), 'hex'), 31337, "
            "decode(repeat('11', 20), 'hex'), 0, '', 'r', 'p', 0, 1, FALSE, 0, now(), now(), "
            "now() FROM generate_series(1, 20000) i");
    assert_by_id("full, unknown");
    run(pq, "ANALYZE relay_intents");
    assert_by_id("full");
    PQfinish(pq);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_intent_is_found_by_its_id, open_postgres,
                                        close_postgres),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
