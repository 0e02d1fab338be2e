#include "kernel/backup/backup_copy.h"

#include "unit/kernel/backup/fixture.h"

static struct support_store source;
static struct support_store target;
static struct arena arena;
static struct backup_copy_report report;
static struct why why;

static int open_both(void **state)
{
    arena_init(&arena, 0);
    fixture_source(&source);
    support_store_prepare(&target, &sql_catalog);
    assert_int_equal(support_store_start(&target, &why), OK);
    why = (struct why){0};
    return 0;
}

static int close_both(void **state)
{
    support_store_close(&target);
    store_close(source.store);
    support_remove_folder(source.folder);
    arena_free(&arena);
    return 0;
}

/* Fails at a call, or when so many jobs were written, as a process that is killed there. */
struct stopper {
    int calls;
    int at; /* 0: never */
    uint64_t jobs;
};

static enum err stop(void *ctx, const char *table, uint64_t rows, struct why *detail)
{
    struct stopper *s = ctx;
    bool there =
        ++s->calls == s->at || (s->jobs > 0 && rows >= s->jobs && strcmp(table, "jobs") == 0);
    return there ? why_set(detail, ERR_CANCELLED, NULL, "Stopped.") : OK;
}

static void rewind_source(void *ctx)
{
    ((struct backup_store_source *)ctx)->begun_ = false;
}

static enum err copy_with(const char *name, struct stopper stopper)
{
    struct backup_store_source reading = {.store = source.store, .catalog = &sql_catalog};
    const struct backup_copy_options options = {
        .source = {.produce = backup_stream_read_store, .ctx = &reading},
        .rewind = rewind_source,
        .source_name = name,
        .target = target.store,
        .catalog = &sql_catalog,
        .progress = stop,
        .progress_ctx = &stopper,
    };
    why = (struct why){0};
    return backup_copy_run(&options, &arena, &report, &why);
}

static enum err copy_named(const char *name, int stop_at)
{
    return copy_with(name, (struct stopper){.at = stop_at});
}

static enum err copy(int stop_at)
{
    return copy_named("the source", stop_at);
}

static enum err copy_some_jobs(uint64_t jobs)
{
    return copy_with("the source", (struct stopper){.jobs = jobs});
}

static void assert_ok(enum err e)
{
    if (e != OK) {
        fail_msg("%s: %s", err_code(e), why_text(&why, e));
    }
}

static const struct backup_copy_table *table(const char *name)
{
    for (size_t i = 0; i < report.table_count; i++) {
        if (strcmp(report.tables[i].name, name) == 0) {
            return &report.tables[i];
        }
    }
    fail_msg("no table %s", name);
    return NULL;
}

static void assert_rows(const char *sql, const char *rows)
{
    assert_string_equal(slice_cstr(&arena, support_store_rows(&target, &arena, sql)), rows);
}

static void test_copies_every_row_and_proves_it(void **state)
{
    assert_ok(copy(0));
    assert_true(report.equal);
    assert_int_equal(report.rows_resumed, 0);
    assert_int_equal(table("jobs")->target.rows, 2995);
    assert_int_equal(table("token_holders")->target.rows, 700);
    assert_int_equal(table("http_idempotency")->target.rows, 2);
    assert_int_equal(table("undo_log")->target.rows, 1);
    assert_int_equal(report.table_count, sql_catalog.table_count);
    /* Against the databases themselves. */
    assert_rows("SELECT count(*), sum(priority), sum(lease_token) FROM jobs", "2995|3|4486510|\n");
    assert_rows("SELECT slot FROM job_crons WHERE name = 'it''s \\n'", "6|\n");
    assert_rows("SELECT statement FROM undo_log",
                support_pick("UPDATE \"assets\" SET \"status\"='registered',\"token_address\"=NULL,"
                             "\"updated_at\"=1795797783250000 WHERE \"asset_id\"='a\\b'|\n",
                             "UPDATE \"assets\" SET \"status\" = 'registered', \"token_address\" = "
                             "NULL, \"updated_at\" = '2026-11-27 16:43:03.250000+00' WHERE "
                             "\"asset_id\" = E'a\\\\b'|\n"));
    assert_int_equal(backup_copy_check(target.store, &why), OK);
}

/* The database goes on where the source stood; a copied number is not given again. */
static void test_numbers_go_on(void **state)
{
    assert_ok(copy(0));
    support_store_change(&target,
                         "INSERT INTO undo_log (chain_id, block_number, statement) VALUES (1, 1, "
                         "'x')");
    assert_rows("SELECT max(seq) FROM undo_log", "2|\n");
}

static void test_goes_on_where_it_was_stopped(void **state)
{
    uint64_t resumed = 0;
    for (int at = 1; at < 40; at += 4) {
        enum err e = copy(at);
        if (e == OK) {
            break;
        }
        assert_int_equal(e, ERR_CANCELLED);
        assert_true(report.rows_resumed >= resumed);
        resumed = report.rows_resumed;
        assert_int_equal(backup_copy_check(target.store, &why), ERR_CONFLICT);
        assert_non_null(strstr(why.text, "unfinished copy of the source"));
    }
    assert_ok(copy(0));
    assert_true(report.equal && !report.begun_anew);
    assert_true(report.rows_resumed > 3000);
    assert_int_equal(table("jobs")->target.rows, 2995);
}

static void test_two_moments_are_never_mixed(void **state)
{
    static const char *const changes[] = {
        "UPDATE jobs SET attempts = 2 WHERE id = 5",
        "DELETE FROM jobs WHERE id = 1",
        "INSERT INTO job_crons (name, slot, fired) VALUES ('aaa', 9, 9)",
        "UPDATE jobs SET payload = '{\"b\":2}' WHERE id = 100",
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        assert_int_equal(copy_some_jobs(1000), ERR_CANCELLED);
        assert_int_equal(report.begun_anew, i > 0);
        store_close(source.store);
        fixture_sqlite(&source, changes[i]);
        assert_int_equal(support_store_start(&source, &why), OK);
    }
    assert_ok(copy(0));
    assert_true(report.equal && report.begun_anew);
    assert_int_equal(table("jobs")->target.rows, 2994);
    assert_rows("SELECT attempts FROM jobs WHERE id = 5", "2|\n");
    assert_rows("SELECT count(*) FROM job_crons", "7|\n");
}

/* What is behind the place where the copy stopped may change: nothing of it was there. */
static void test_goes_on_with_rows_that_changed_behind_it(void **state)
{
    assert_int_equal(copy_some_jobs(1000), ERR_CANCELLED);
    store_close(source.store);
    fixture_sqlite(&source, "UPDATE undo_log SET block_number = 6");
    assert_int_equal(support_store_start(&source, &why), OK);
    assert_ok(copy(0));
    assert_true(report.equal && !report.begun_anew);
    assert_rows("SELECT block_number FROM undo_log", "6|\n");
}

static void test_a_difference_is_found_and_marks_the_target(void **state)
{
    assert_int_equal(copy_some_jobs(1000), ERR_CANCELLED);
    support_store_change(&target, "UPDATE jobs SET priority = 9 WHERE id = 7");
    assert_int_equal(copy(0), ERR_CORRUPT);
    assert_false(report.equal);
    assert_false(backup_sum_equal(&table("jobs")->source, &table("jobs")->target));
    assert_true(backup_sum_equal(&table("undo_log")->source, &table("undo_log")->target));
    assert_non_null(strstr(why.text, "table jobs differs"));
    assert_int_equal(backup_copy_check(target.store, &why), ERR_CONFLICT);
    assert_non_null(strstr(why.text, "not equal"));
    /* Another run begins anew. */
    assert_ok(copy(0));
    assert_true(report.equal);
    assert_int_equal(backup_copy_check(target.store, &why), OK);
}

static void test_fills_an_empty_target_only(void **state)
{
    support_store_migrate(&target);
    support_store_change(
        &target, support_pick("INSERT INTO job_crons (name, slot, fired) VALUES ('x', 1, 1)",
                              "INSERT INTO job_crons (name, slot, fired) VALUES ('x', 1, now())"));
    assert_int_equal(copy(0), ERR_CONFLICT);
    assert_non_null(strstr(why.text, "its table job_crons has rows"));
}

static void test_knows_whose_copy_it_holds(void **state)
{
    assert_int_equal(copy_named("a", 8), ERR_CANCELLED);
    assert_int_equal(copy_named("b", 0), ERR_CONFLICT);
    assert_non_null(strstr(why.text, "unfinished copy of a"));
    assert_ok(copy_named("a", 0));
    assert_int_equal(copy_named("a", 0), ERR_CONFLICT);
    assert_non_null(strstr(why.text, "finished copy of a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_copies_every_row_and_proves_it, open_both, close_both),
        cmocka_unit_test_setup_teardown(test_numbers_go_on, open_both, close_both),
        cmocka_unit_test_setup_teardown(test_goes_on_where_it_was_stopped, open_both, close_both),
        cmocka_unit_test_setup_teardown(test_two_moments_are_never_mixed, open_both, close_both),
        cmocka_unit_test_setup_teardown(test_goes_on_with_rows_that_changed_behind_it, open_both,
                                        close_both),
        cmocka_unit_test_setup_teardown(test_a_difference_is_found_and_marks_the_target, open_both,
                                        close_both),
        cmocka_unit_test_setup_teardown(test_fills_an_empty_target_only, open_both, close_both),
        cmocka_unit_test_setup_teardown(test_knows_whose_copy_it_holds, open_both, close_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
