/* Partitions by month, on the tables of the program. */
#include "kernel/store/store_partition.h"

#include <pthread.h>
#include <stdatomic.h>

#include "gen/sql_all.h"
#include "kernel/base/clock.h"
#include "kernel/chain/chain_sql.h"
#include "unit/kernel/store/server.h"

#define PARTITIONS_VERSION 11

static int open_program(void **state)
{
    if (getenv("TEST_POSTGRES_URL") != NULL) {
        support_store_open(&s, &sql_catalog);
    }
    return 0;
}

/* With the tables alone that migration 11 partitioned: later ones are not there before it. */
static int open_as_it_was(void **state)
{
    (void)state;
    static struct store_catalog catalog;
    catalog = sql_catalog;
    catalog.partitioned_count = 2;
    if (getenv("TEST_POSTGRES_URL") != NULL) {
        support_store_open(&s, &catalog);
    }
    return 0;
}

static struct store_partitions_done keep(void)
{
    struct store_partitions_done done;
    struct why why = {0};
    enum err e = store_partitions_keep(s.store, &done, &why);
    if (e != OK) {
        fail_msg("%s: %s", err_code(e), why_text(&why, e));
    }
    return done;
}

/* The first field of the first row. */
static int64_t number(const char *sql)
{
    PGconn *pq = stranger();
    PGresult *result = PQexec(pq, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(pq));
    }
    int64_t value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    PQfinish(pq);
    return value;
}

/* Adds `count` events a day from a day on; block and log index say which day and which one. */
static void add_events(const char *from, int days, int count)
{
    char sql[1024];
    snprintf(sql, sizeof(sql),
             "INSERT INTO blockchain_events SELECT 1, extract(epoch FROM t) / 86400, i,"
             " sha256(t::text::bytea), sha256((t::text || i)::bytea), '\\x%040d'::bytea, 'Moved',"
             " '{\"n\": 1}', i %% 7 <> 0, NULL, t FROM generate_series(timestamptz '%s',"
             " timestamptz '%s' + interval '%d days', interval '1 day') t,"
             " generate_series(1, %d) i",
             1, from, from, days - 1, count);
    strange_once(sql);
}

static void refused(const char *sql, const char *sqlstate)
{
    PGconn *pq = stranger();
    PGresult *result = PQexec(pq, sql);
    const char *said = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (said == NULL || strcmp(said, sqlstate) != 0) {
        fail_msg("%s: %s", sql, said != NULL ? PQerrorMessage(pq) : "not refused");
    }
    PQclear(result);
    PQfinish(pq);
}

static const char rows_sql[] = "SELECT * FROM blockchain_events ORDER BY block_number, log_index";

/* What the schema says about events: columns, constraints, indexes, but for their order. */
static const char schema_sql[] =
    "SELECT 1, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE conrelid = 'blockchain_events'::regclass UNION ALL"
    " SELECT 2, indexname, indexdef FROM pg_indexes WHERE tablename = 'blockchain_events'"
    " UNION ALL SELECT 3, column_name, data_type || is_nullable FROM information_schema.columns"
    " WHERE table_name = 'blockchain_events' UNION ALL"
    " SELECT 4, relname, relkind::text FROM pg_class WHERE relname LIKE 'blockchain_event%'"
    " UNION ALL SELECT 5, proname, '' FROM pg_proc WHERE proname LIKE 'partition_%'"
    " ORDER BY 1, 2";

static void the_migration_keeps_all_rows_up_and_down(void **state)
{
    NEED_SERVER();
    struct arena arena;
    arena_init(&arena, 0);
    assert_int_equal(store_migrate(s.store, PARTITIONS_VERSION - 1, NULL), OK);
    struct slice schema = support_store_rows(&s, &arena, schema_sql);
    add_events("2025-12-20 UTC", 40, 25);
    struct slice before = support_store_rows(&s, &arena, rows_sql);
    assert_int_equal(number("SELECT count(*) FROM blockchain_events"), 1000);

    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_migrate(s.store, PARTITIONS_VERSION, NULL), OK);
        assert_true(slice_equal(support_store_rows(&s, &arena, rows_sql), before));
        assert_int_equal(number("SELECT count(*) FROM blockchain_event_keys"), 1000);
        if (i == 1) { /* down from the default partition, and from those of months */
            assert_true(keep().made >= 2);
            assert_int_equal(number("SELECT count(*) FROM blockchain_events_p202512"), 12 * 25);
            assert_int_equal(number("SELECT count(*) FROM blockchain_events_p202601"), 28 * 25);
            assert_int_equal(number("SELECT count(*) FROM blockchain_events_default"), 0);
            assert_true(slice_equal(support_store_rows(&s, &arena, rows_sql), before));
        }
        assert_int_equal(store_migrate(s.store, PARTITIONS_VERSION - 1, NULL), OK);
        assert_true(slice_equal(support_store_rows(&s, &arena, rows_sql), before));
        struct slice after = support_store_rows(&s, &arena, schema_sql);
        if (!slice_equal(after, schema)) {
            fail_msg("%.*s\n%.*s", SLICE_ARG(schema), SLICE_ARG(after));
        }
    }
    arena_free(&arena);
}

static void there_are_partitions_for_what_comes(void **state)
{
    NEED_SERVER();
    struct store_partitions_done done = keep();
    const uint64_t tables = sql_catalog.partitioned_count;
    assert_in_range(done.made, 3 * tables, 4 * tables); /* this month and two or three more */
    assert_int_equal(done.dropped, 0);
    assert_int_equal(number("SELECT count(*) FROM generate_series(0, 2) i WHERE to_regclass("
                            "'audit_log_p' || to_char(date_trunc('month', now() AT TIME ZONE 'UTC')"
                            " + i * interval '1 month', 'YYYYMM')) IS NOT NULL"),
                     3);
    done = keep();
    assert_int_equal(done.made + done.dropped, 0);
    strange_once(
        "INSERT INTO blockchain_events VALUES (1, 1, 1, sha256('b'), sha256('t'),"
        " '\\x0000000000000000000000000000000000000001', 'Moved', '{}', true, NULL, now())");
    assert_int_equal(number("SELECT count(*) FROM blockchain_events_default"), 0);
}

static enum err find_missing(struct store_tx *tx, void *ctx, struct why *why)
{
    return store_partitions_missing(tx, ctx, why);
}

static void what_is_missing_is_named(void **state)
{
    NEED_SERVER();
    char name[STORE_PARTITION_NAME_MAX];
    assert_int_equal(store_read(s.store, find_missing, name, NULL), OK);
    assert_non_null(strstr(name, "_p2")); /* nobody kept any yet */
    keep();
    assert_int_equal(store_read(s.store, find_missing, name, NULL), OK);
    assert_string_equal(name, "");
    strange_once("DO $$ BEGIN EXECUTE 'DROP TABLE blockchain_events_p' || to_char(date_trunc("
                 "'month', now() AT TIME ZONE 'UTC') + interval '1 month', 'YYYYMM'); END $$");
    assert_int_equal(store_read(s.store, find_missing, name, NULL), OK);
    assert_memory_equal(name, "blockchain_events_p", strlen("blockchain_events_p"));
}

/* The same event twice is refused wherever its partitions are, by both of its keys. */
static void an_event_is_there_once(void **state)
{
    NEED_SERVER();
    static const char again[] =
        "INSERT INTO blockchain_events (chain_id, block_number, log_index, block_hash,"
        " transaction_hash, contract_address, event_type, event_data, processed, created_at)"
        " SELECT chain_id, block_number + %d, log_index, block_hash, transaction_hash,"
        " contract_address, event_type, event_data, processed, created_at + interval '%s'"
        " FROM blockchain_events WHERE log_index = 1";
    char sql[600];
    add_events("2025-03-30 UTC", 4, 2);
    keep();
    static const char *const apart[] = {"0", "1 second", "3 days", "100 years"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(sql, sizeof(sql), again, 0, apart[i]);
        refused(sql, "23505");
        snprintf(sql, sizeof(sql), again, 1000, apart[i]); /* the transaction in another block */
        refused(sql, "23505");
    }
    refused("UPDATE blockchain_events SET created_at = created_at + interval '1 month'", "23000");
    refused("UPDATE blockchain_events SET log_index = log_index + 10", "23000");
    strange_once("UPDATE blockchain_events SET processed = true, error = NULL");
    assert_int_equal(number("SELECT count(*) FROM blockchain_events"), 8);
    /* An orphaned block leaves no key behind, so that its transactions may come in another one. */
    strange_once("DELETE FROM blockchain_events WHERE block_number >= 20178");
    assert_int_equal(number("SELECT count(*) FROM blockchain_event_keys"), 2);
    add_events("2025-03-31 UTC", 3, 2);
    assert_int_equal(number("SELECT count(*) FROM blockchain_event_keys"), 8);
}

static void rows_without_a_partition_are_moved_to_theirs(void **state)
{
    NEED_SERVER();
    keep();
    add_events("2024-01-31 22:00 UTC", 3, 10); /* over the end of a month */
    add_events("2023-05-01 UTC", 1, 10);
    strange_once("INSERT INTO audit_log (id, created_at, actor_kind, actor, action, subject,"
                 " outcome, details) SELECT 'id' || i, '2024-02-02', 1, 'a', 'b', 'c', 1, '{}'"
                 " FROM generate_series(1, 5) i");
    struct arena arena;
    arena_init(&arena, 0);
    struct slice before = support_store_rows(&s, &arena, rows_sql);
    struct store_partitions_done done = keep();
    assert_int_equal(done.made, 4);
    assert_int_equal(done.dropped, 0);
    assert_true(slice_equal(support_store_rows(&s, &arena, rows_sql), before));
    assert_int_equal(number("SELECT count(*) FROM blockchain_events_p202401"), 10);
    assert_int_equal(number("SELECT count(*) FROM blockchain_events_p202402"), 20);
    assert_int_equal(number("SELECT count(*) FROM blockchain_events_p202305"), 10);
    assert_int_equal(number("SELECT count(*) FROM blockchain_events_default"), 0);
    assert_int_equal(number("SELECT count(*) FROM audit_log_p202402"), 5);
    /* What guarded the rows guards them where they are now, and in the partition for the rest. */
    refused("DELETE FROM audit_log", "23000");
    refused("DELETE FROM audit_log_p202402", "23000");
    strange_once("INSERT INTO audit_log (id, created_at, actor_kind, actor, action, subject,"
                 " outcome, details) VALUES ('x', '2022-02-02', 1, 'a', 'b', 'c', 1, '{}')");
    refused("DELETE FROM audit_log_default", "23000");
    arena_free(&arena);
}

static void empty_months_of_the_past_go(void **state)
{
    NEED_SERVER();
    keep();
    add_events("2024-01-01 UTC", 60, 3);
    assert_int_equal(keep().made, 2);
    strange_once("DELETE FROM blockchain_events WHERE created_at < '2024-02-01 UTC'");
    struct store_partitions_done done = keep();
    assert_int_equal(done.made, 0);
    assert_int_equal(done.dropped, 1);
    assert_int_equal(number("SELECT count(*) FROM blockchain_events"), 29 * 3);
    assert_int_equal(number("SELECT count(*) FROM blockchain_event_keys"), 29 * 3);
    add_events("2024-01-05 UTC", 1, 3); /* late, into a month that is gone */
    assert_int_equal(number("SELECT count(*) FROM blockchain_events_default"), 3);
    assert_int_equal(keep().made, 1);
    assert_int_equal(number("SELECT count(*) FROM blockchain_events_p202401"), 3);
}

/* Rows that a transaction cannot see yet keep their partition from being dropped. */
static void a_partition_that_fills_meanwhile_stays(void **state)
{
    NEED_SERVER();
    keep();
    add_events("2024-01-01 UTC", 1, 1);
    keep();
    strange_once("DELETE FROM blockchain_events");
    PGconn *pq = stranger();
    strange(pq, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    strange(pq, "SELECT count(*) FROM blockchain_events"); /* its moment: no rows */
    add_events("2024-01-01 UTC", 1, 1);
    PGresult *result = PQexec(pq, "SELECT partition_drop('blockchain_events')");
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    assert_true(PQgetisnull(result, 0, 0));
    PQclear(result);
    strange(pq, "COMMIT");
    PQfinish(pq);
    assert_int_equal(number("SELECT count(*) FROM blockchain_events_p202401"), 1);
}

enum { KEEPERS = 3, WRITERS = 3, ROUNDS = 40 };

struct worker {
    pthread_t thread;
    int number;
    int64_t added;
    enum err result;
    struct why why;
};

static atomic_bool writing;

static void *keep_always(void *arg)
{
    struct worker *w = arg;
    do {
        struct store_partitions_done done;
        w->result = store_partitions_keep(s.store, &done, &w->why);
    } while (w->result == OK && atomic_load(&writing));
    return NULL;
}

static enum err add_some(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct worker *w = ctx;
    struct store_query q;
    store_begin_rows(&q, tx, &chain_sql_event_insert);
    for (int64_t i = 0; i < 50; i++) {
        uint8_t hash[32] = {(uint8_t)w->number, (uint8_t)w->added, (uint8_t)(w->added >> 8)};
        hash[31] = (uint8_t)i;
        store_bind_i64(&q, "chain_id", w->number);
        store_bind_i64(&q, "block_number", w->added);
        store_bind_i64(&q, "log_index", i);
        store_bind_bytes(&q, "block_hash", slice_of(hash, 32));
        store_bind_bytes(&q, "transaction_hash", slice_of(hash, 32));
        store_bind_bytes(&q, "contract_address", slice_of(hash, 20));
        store_bind_text(&q, "event_type", SLICE_LIT("Moved"));
        store_bind_json(&q, "event_data", SLICE_LIT("{}"));
        store_bind_bool(&q, "processed", true);
        store_bind_null(&q, "error");
        store_bind_time(&q, "now", (1400000000ll + w->added * 2000000) * USEC_PER_SEC);
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

static void *write_always(void *arg)
{
    struct worker *w = arg;
    while (w->added < ROUNDS && w->result == OK) {
        w->result = store_write(s.store, add_some, w, &w->why);
        w->added += w->result == OK;
    }
    return NULL;
}

/* Several processes look after partitions while others write into months that have none. */
static void many_keepers_and_writers_lose_nothing(void **state)
{
    NEED_SERVER();
    struct worker keepers[KEEPERS] = {0};
    struct worker writers[WRITERS] = {0};
    atomic_store(&writing, true);
    for (int i = 0; i < KEEPERS; i++) {
        assert_int_equal(pthread_create(&keepers[i].thread, NULL, keep_always, &keepers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        writers[i].number = i + 1;
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_always, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        if (writers[i].result != OK) {
            fail_msg("%s: %s", err_code(writers[i].result), writers[i].why.text);
        }
    }
    atomic_store(&writing, false);
    for (int i = 0; i < KEEPERS; i++) {
        pthread_join(keepers[i].thread, NULL);
        if (keepers[i].result != OK) {
            fail_msg("%s: %s", err_code(keepers[i].result), keepers[i].why.text);
        }
    }
    keep();
    assert_int_equal(number("SELECT count(*) FROM blockchain_events"), WRITERS * ROUNDS * 50);
    assert_int_equal(number("SELECT count(*) FROM blockchain_event_keys"), WRITERS * ROUNDS * 50);
    assert_int_equal(number("SELECT count(*) FROM blockchain_events_default"), 0);
}

static void on_a_file_there_is_nothing_to_do(void **state)
{
    setenv("TEST_DATABASE", "sqlite", 1);
    support_store_open(&s, &sql_catalog);
    struct store_partitions_done done = keep();
    assert_int_equal(done.made + done.dropped, 0);
    support_store_close(&s);
    setenv("TEST_DATABASE", "postgres", 1);
}

#define ON_PROGRAM(test) cmocka_unit_test_setup_teardown(test, open_program, close_store)

int main(void)
{
    setenv("TEST_DATABASE", "postgres", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_migration_keeps_all_rows_up_and_down, open_as_it_was,
                                        close_store),
        ON_PROGRAM(there_are_partitions_for_what_comes),
        ON_PROGRAM(what_is_missing_is_named),
        ON_PROGRAM(an_event_is_there_once),
        ON_PROGRAM(rows_without_a_partition_are_moved_to_theirs),
        ON_PROGRAM(empty_months_of_the_past_go),
        ON_PROGRAM(a_partition_that_fills_meanwhile_stays),
        ON_PROGRAM(many_keepers_and_writers_lose_nothing),
        cmocka_unit_test(on_a_file_there_is_nothing_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
