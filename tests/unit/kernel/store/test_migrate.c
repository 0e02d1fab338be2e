#include <sqlite3.h>

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

/* A copy of the sample's catalog that a test may change. */
struct edited {
    struct store_migration migrations[8];
    struct store_catalog catalog;
};

static void edit(struct edited *e)
{
    assert_in_range(sample_catalog.migration_count, 4, 7);
    e->catalog = sample_catalog;
    memcpy(e->migrations, sample_catalog.migrations,
           sample_catalog.migration_count * sizeof(e->migrations[0]));
    e->catalog.migrations = e->migrations;
}

/* The schema as PostgreSQL tells it: columns, constraints, indices, triggers, functions. */
static void read_schema_postgres(struct arena *arena, struct buf *out)
{
    static const char sql[] =
        "SELECT line FROM ("
        " SELECT concat_ws(' ', 'column', table_name, column_name, udt_name,"
        "   numeric_precision, is_nullable, column_default) AS line"
        "  FROM information_schema.columns WHERE table_schema = 'public'"
        " UNION ALL SELECT concat_ws(' ', 'constraint', conname, pg_get_constraintdef(oid))"
        "  FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
        " UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
        " UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc"
        "  WHERE pronamespace = 'public'::regnamespace) AS lines ORDER BY 1";
    PGconn *pq = PQconnectdb(s.url);
    PGresult *result = PQexec(pq, sql);
    buf_init(out, arena, 1024);
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    for (int row = 0; row < PQntuples(result); row++) {
        buf_add_text(out, PQgetvalue(result, row, 0));
        buf_add_byte(out, '\n');
    }
    PQclear(result);
    PQfinish(pq);
}

/* The schema as SQLite tells it: one line an object. The store is closed meanwhile. */
static void read_schema_sqlite(struct arena *arena, struct buf *out)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    buf_init(out, arena, 1024);
    assert_int_equal(sqlite3_open_v2(s.path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT type, name, sql FROM sqlite_schema "
                                        "WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2",
                                        -1, &stmt, NULL),
                     SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        for (int i = 0; i < 3; i++) {
            const char *text = (const char *)sqlite3_column_text(stmt, i);
            buf_add_text(out, text != NULL ? text : "");
            buf_add_byte(out, i < 2 ? ' ' : '\n');
        }
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static void schema(struct arena *arena, struct buf *out)
{
    store_close(s.store);
    s.store = NULL;
    if (support_on_postgres()) {
        read_schema_postgres(arena, out);
    } else {
        read_schema_sqlite(arena, out);
    }
    assert_int_equal(support_store_start(&s, NULL), OK);
}

static uint32_t applied(void)
{
    struct store_version version;
    struct why why = {0};
    assert_int_equal(store_version_read(s.store, &version, &why), OK);
    assert_int_equal(version.known, 4);
    return version.applied;
}

static void migrate(uint32_t target)
{
    struct why why = {0};
    enum err e = store_migrate(s.store, target, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    assert_int_equal(applied(), target);
}

static void the_schema_goes_down_and_up_again(void **state)
{
    struct arena arena;
    struct buf empty;
    struct buf at[5];
    struct buf now;
    arena_init(&arena, 0);
    support_store_prepare(&s, &sample_catalog);
    assert_int_equal(support_store_start(&s, NULL), OK);
    assert_int_equal(applied(), 0);
    schema(&arena, &empty);
    for (uint32_t version = 1; version <= 4; version++) {
        migrate(version);
        schema(&arena, &at[version]);
    }
    const char *trigger = support_pick("undo_lots_delete", "TRIGGER undo_lots ");
    assert_non_null(memmem(at[3].ptr, at[3].len, trigger, strlen(trigger)));
    for (uint32_t version = 3; version > 0; version--) {
        migrate(version);
        schema(&arena, &now);
        assert_true(slice_equal(buf_slice(&now), buf_slice(&at[version])));
    }
    migrate(0);
    schema(&arena, &now);
    assert_true(slice_equal(buf_slice(&now), buf_slice(&empty)));
    migrate(4); /* several in one call */
    schema(&arena, &now);
    assert_true(slice_equal(buf_slice(&now), buf_slice(&at[4])));
    migrate(0);
    migrate(4);
    migrate(4); /* nothing to do */
    support_store_close(&s);
    arena_free(&arena);
}

static void rows_survive_a_migration(void **state)
{
    struct sample_counter c = {.name = "kept", .step = 5};
    sample_write(s.store, sample_counter_add, &c);
    migrate(2);
    assert_int_equal(sample_counter(s.store, "kept"), 5);
    migrate(4);
    assert_int_equal(sample_counter(s.store, "kept"), 5);
}

static void refused_at_open(const struct store_catalog *catalog, const char *sentence)
{
    struct why why = {0};
    store_close(s.store);
    s.store = NULL;
    s.catalog = catalog;
    assert_int_equal(support_store_start(&s, &why), ERR_DB_VERSION);
    if (strstr(why.text, sentence) == NULL) {
        fail_msg("%s", why.text);
    }
    s.catalog = &sample_catalog; /* and the right program still opens it */
    assert_int_equal(support_store_start(&s, &why), OK);
    assert_int_equal(store_migrate_verify(s.store, &why), OK);
}

static void a_newer_database_is_refused(void **state)
{
    struct edited older;
    edit(&older);
    older.catalog.migration_count = 3;
    refused_at_open(&older.catalog, "is at version 4 (notes), this program knows up to 3");
}

static void an_edited_migration_is_refused(void **state)
{
    struct edited other;
    edit(&other);
    char checksum[65];
    memcpy(checksum, other.migrations[1].checksum, sizeof(checksum));
    checksum[63] = checksum[63] == '0' ? '1' : '0';
    other.migrations[1].checksum = checksum;
    refused_at_open(&other.catalog, "Migration 2 (items) was edited");
}

static void a_migration_that_came_in_between_is_refused(void **state)
{
    struct edited other;
    edit(&other);
    other.migrations[1].version = 3;
    other.migrations[2].version = 2;
    refused_at_open(&other.catalog, "they do not belong together");
}

static void a_migration_that_fails_leaves_nothing(void **state)
{
    struct edited broken;
    struct why why = {0};
    struct arena arena;
    struct buf before;
    struct buf after;
    arena_init(&arena, 0);
    edit(&broken);
    broken.migrations[3].up_sqlite = "CREATE TABLE half (id INTEGER PRIMARY KEY) STRICT;"
                                     "INSERT INTO counters VALUES ('half', 1);"
                                     "CREATE TABLE counters (id INTEGER) STRICT;";
    broken.migrations[3].up_postgres = "CREATE TABLE half (id INTEGER PRIMARY KEY);"
                                       "INSERT INTO counters VALUES ('half', 1);"
                                       "CREATE TABLE counters (id INTEGER);";
    support_store_prepare(&s, &broken.catalog);
    assert_int_equal(support_store_start(&s, &why), OK);
    migrate(3);
    schema(&arena, &before);
    assert_int_equal(store_migrate(s.store, 4, &why), ERR_DB);
    assert_non_null(strstr(why.text, "Migration 4 (notes) was not applied"));
    assert_non_null(strstr(why.text, "counters"));
    assert_int_equal(applied(), 3);
    assert_int_equal(sample_counter(s.store, "half"), 0);
    schema(&arena, &after);
    assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
    support_store_close(&s);
    arena_free(&arena);
}

static void where_there_is_no_way_down_it_stops(void **state)
{
    struct edited one_way;
    struct why why = {0};
    edit(&one_way);
    one_way.migrations[2].down_sqlite = NULL;
    one_way.migrations[2].down_postgres = NULL;
    support_store_open(&s, &one_way.catalog);
    assert_int_equal(store_migrate(s.store, 1, &why), ERR_DB_VERSION);
    assert_non_null(strstr(why.text, "Migration 3 (holdings) cannot be taken back"));
    assert_int_equal(applied(), 3);
    support_store_close(&s);
}

static void a_version_that_does_not_exist_is_refused(void **state)
{
    struct why why = {0};
    assert_int_equal(store_migrate(s.store, 5, &why), ERR_DB_VERSION);
    assert_non_null(strstr(why.text, "no migration 5"));
    assert_int_equal(applied(), 4);
}

static void statements_are_prepared_against_the_schema(void **state)
{
    struct why why = {0};
    assert_int_equal(store_prepare_all(s.store, &why), OK);
    migrate(1);
    support_store_reopen(&s); /* without the statements that are prepared already */
    assert_int_equal(store_prepare_all(s.store, &why), ERR_DB);
    assert_non_null(strstr(why.text, "sample_counter_add")); /* the first by name */
}

static void the_whole_program_migrates_and_prepares(void **state)
{
    struct why why = {0};
    support_store_open(&s, &sql_catalog);
    assert_int_equal(store_prepare_all(s.store, &why), OK);
    assert_int_equal(store_migrate(s.store, 0, &why), OK);
    support_store_migrate(&s);
    assert_int_equal(store_prepare_all(s.store, &why), OK);
    support_store_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schema_goes_down_and_up_again),
        cmocka_unit_test_setup_teardown(rows_survive_a_migration, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_newer_database_is_refused, open_store, close_store),
        cmocka_unit_test_setup_teardown(an_edited_migration_is_refused, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_migration_that_came_in_between_is_refused, open_store,
                                        close_store),
        cmocka_unit_test(a_migration_that_fails_leaves_nothing),
        cmocka_unit_test(where_there_is_no_way_down_it_stops),
        cmocka_unit_test_setup_teardown(a_version_that_does_not_exist_is_refused, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(statements_are_prepared_against_the_schema, open_store,
                                        close_store),
        cmocka_unit_test(the_whole_program_migrates_and_prepares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
