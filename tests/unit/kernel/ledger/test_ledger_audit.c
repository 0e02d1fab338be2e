#include "unit/kernel/ledger/fixture.h"

/* ---- the proof ---- */

/* Each database writes an amount in a way of its own. */
static void set_last_digit(const char *table, const char *column, int digit, const char *where)
{
    char sql[256];
    if (support_on_postgres()) {
        snprintf(sql, sizeof(sql), "UPDATE %s SET %s = %s - %s %% 10 + %d WHERE %s", table, column,
                 column, column, digit, where);
    } else {
        snprintf(sql, sizeof(sql), "UPDATE %s SET %s = substr(%s, 1, 77) || '%d' WHERE %s", table,
                 column, column, digit, where);
    }
    raw_run(sql);
}

static void audit_finds_what_was_changed(void **state)
{
    (void)state;
    struct ledger_transfer ts[3] = {move("1", "mint", "alice", 100), move("2", "alice", "bob", 40),
                                    move("3", "bob", "carol", 1)};
    assert_int_equal(post(ts, 3, NULL), OK);
    struct ledger_transfer h = move("h", "alice", "bob", 20);
    assert_int_equal(hold(&h, 1, NULL), OK);
    assert_clean();

    set_last_digit("ledger_accounts", "credits_posted", 9, "path = 'bob'");
    struct ledger_report r = audit();
    assert_int_equal(r.wrong_accounts, 1);
    assert_int_equal(r.unbalanced_books, 1);
    assert_string_equal(r.first_book, "usd");
    assert_string_equal(r.first_path, "bob");
    set_last_digit("ledger_accounts", "credits_posted", 0, "path = 'bob'");
    assert_clean();

    set_last_digit("ledger_transfers", "amount", 1, "id = '2'");
    set_last_digit("ledger_transfers", "posted", 1, "id = '2'");
    r = audit();
    assert_int_equal(r.wrong_accounts, 2);
    assert_int_equal(r.unbalanced_books, 0);
    assert_string_equal(r.first_path, "alice");
    set_last_digit("ledger_transfers", "posted", 0, "id = '2'");
    set_last_digit("ledger_transfers", "amount", 0, "id = '2'");
    assert_clean();

    raw_run("UPDATE ledger_transfers SET state = 3, closer = 0, closed = created WHERE id = 'h'");
    assert_int_equal(audit().wrong_accounts, 2);
    raw_run("UPDATE ledger_transfers SET state = 1, closer = NULL, closed = NULL WHERE id = 'h'");
    assert_clean();

    raw_run("UPDATE ledger_transfers SET credit_entry = 9 WHERE id = '2'");
    assert_int_equal(audit().wrong_accounts, 1);
    raw_run("UPDATE ledger_transfers SET credit_entry = 1 WHERE id = '2'");
    assert_clean();

    raw_run("DELETE FROM ledger_accounts WHERE path = 'carol'");
    r = audit();
    assert_int_equal(r.orphans, 1);
    assert_int_equal(r.unbalanced_books, 1);
    raw_run("DELETE FROM ledger_transfers WHERE id = '3'");
    r = audit();
    assert_int_equal(r.orphans, 0);
    assert_int_equal(r.wrong_accounts, 1);
    assert_string_equal(r.first_path, "bob");
}

static void audit_reads_beyond_a_page(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    enum { COUNT = 700 };
    struct ledger_transfer *ts = arena_alloc_array(&arena, COUNT, sizeof(ts[0]));
    for (size_t i = 0; i < COUNT; i++) {
        ts[i] = move("", "mint", "", 1 + i);
        ts[i].id = slice_format(&arena, "id/%zu", i);
        ts[i].credit = slice_format(&arena, "holder/%zu", i);
        ts[i].book = slice_format(&arena, "book/%zu", i % 3);
    }
    assert_int_equal(post(ts, COUNT, NULL), OK);
    struct ledger_report r = audit();
    assert_int_equal(r.books, 3);
    assert_int_equal(r.accounts, COUNT + 3);
    assert_int_equal(r.transfers, COUNT);
    assert_clean();
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(audit_finds_what_was_changed),
        TEST(audit_reads_beyond_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
