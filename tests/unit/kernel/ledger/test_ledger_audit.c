/*
 * What the proof finds, row by row changed behind the ledger's back, on both databases.
 */
#include "unit/kernel/ledger/fixture.h"

/* ---- tampering ---- */

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

static void assert_found(enum ledger_finding finding, uint64_t count, const char *path,
                         const char *id)
{
    struct ledger_report r = audit();
    assert_string_equal(ledger_finding_name(r.first), ledger_finding_name(finding));
    assert_int_equal(r.found[finding], count);
    assert_string_equal(r.first_book, "usd");
    assert_string_equal(r.first_path, path);
    assert_string_equal(r.first_id, id);
}

/* alice 100 - 40 - 20 held, bob 40 - 1, carol 1; the hold `h` and two that ended */
static void book_something(void)
{
    struct ledger_transfer ts[3] = {move("1", "mint", "alice", 100), move("2", "alice", "bob", 40),
                                    move("3", "bob", "carol", 1)};
    assert_int_equal(post(ts, 3, NULL), OK);
    struct ledger_transfer h[3] = {move("h", "alice", "bob", 20), move("s", "alice", "bob", 9),
                                   move("v", "alice", "bob", 8)};
    assert_int_equal(hold(h, 3, NULL), OK);
    assert_int_equal(settle("s", 6, NULL), OK);
    assert_int_equal(void_("v", NULL), OK);
    assert_clean();
}

static void changed_totals_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *column;
        int digit; /* of bob's: 46 received, 1 given, 20 pending to him */
    } totals[] = {
        {"credits_posted", 6}, {"debits_posted", 1},    {"credits_pending", 0},
        {"debits_pending", 0}, {"credits_released", 0}, {"debits_released", 0},
    };
    book_something();
    for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++) {
        set_last_digit("ledger_accounts", totals[i].column, 9, "path = 'bob'");
        assert_found(LEDGER_TOTALS_WRONG, 1, "bob", "");
        assert_int_equal(audit().found[LEDGER_BOOK_UNBALANCED], 1);
        set_last_digit("ledger_accounts", totals[i].column, totals[i].digit, "path = 'bob'");
        assert_clean();
    }
    raw_run("UPDATE ledger_accounts SET entries = 99 WHERE path = 'bob'");
    assert_found(LEDGER_TOTALS_WRONG, 1, "bob", "");
}

/* Both sides of a book changed alike: the sums agree, the accounts do not. */
static void money_moved_between_accounts_is_found(void **state)
{
    (void)state;
    book_something();
    set_last_digit("ledger_accounts", "credits_posted", 1, "path = 'bob'");
    set_last_digit("ledger_accounts", "credits_posted", 6, "path = 'carol'");
    assert_found(LEDGER_TOTALS_WRONG, 2, "bob", "");
    assert_int_equal(audit().found[LEDGER_BOOK_UNBALANCED], 0);
}

static void changed_transfers_are_found(void **state)
{
    (void)state;
    book_something();
    set_last_digit("ledger_transfers", "amount", 1, "id = '2'");
    assert_found(LEDGER_TRANSFER_BROKEN, 1, "", "2");
    set_last_digit("ledger_transfers", "posted", 1, "id = '2'");
    assert_found(LEDGER_TOTALS_WRONG, 2, "alice", ""); /* in itself it is sound now */
    set_last_digit("ledger_transfers", "posted", 0, "id = '2'");
    set_last_digit("ledger_transfers", "amount", 0, "id = '2'");
    assert_clean();

    set_last_digit("ledger_transfers", "posted", 5, "id = 's'");
    assert_found(LEDGER_TOTALS_WRONG, 2, "alice", "");
    set_last_digit("ledger_transfers", "posted", 6, "id = 's'");
    raw_run("UPDATE ledger_transfers SET credit = 'carol' WHERE id = '2'");
    assert_found(LEDGER_TOTALS_WRONG, 2, "bob", "");
    raw_run("UPDATE ledger_transfers SET credit = 'bob' WHERE id = '2'");

    raw_run("UPDATE ledger_transfers SET state = 3, closer = 0, closed = created WHERE id = 'h'");
    assert_found(LEDGER_TOTALS_WRONG, 2, "alice", "");
    raw_run("UPDATE ledger_transfers SET state = 1, closer = NULL, closed = NULL WHERE id = 'h'");
    assert_clean();
    raw_run("UPDATE ledger_transfers SET state = 2, closer = 0, closed = created WHERE id = 'v'");
    assert_found(LEDGER_TRANSFER_BROKEN, 1, "", "v"); /* posted for nothing */
    raw_run("UPDATE ledger_transfers SET state = 3 WHERE id = 'v'");
    raw_run(support_pick("UPDATE ledger_transfers SET held = 0 WHERE id = 'v'",
                         "UPDATE ledger_transfers SET held = false WHERE id = 'v'"));
    assert_found(LEDGER_TRANSFER_BROKEN, 1, "", "v");
}

static void changed_numbers_are_found(void **state)
{
    (void)state;
    book_something();
    raw_run("UPDATE ledger_transfers SET credit_entry = 9 WHERE id = '2'");
    assert_found(LEDGER_NUMBERS_WRONG, 1, "bob", "");
    raw_run("UPDATE ledger_transfers SET credit_entry = 2 WHERE id = '2'"); /* '3' has that one */
    assert_found(LEDGER_NUMBERS_WRONG, 1, "bob", "");
}

static void changed_flags_are_found(void **state)
{
    (void)state;
    book_something();
    struct ledger_transfer t = move("c", "mint", "alice", 1);
    t.when_usec = 5;
    assert_int_equal(
        run_step(
            (struct step){.run = step_add, .chain = 7, .block = 1, .transfers = &t, .count = 1},
            NULL),
        OK);
    assert_clean();
    raw_run("UPDATE ledger_accounts SET flags = 0 WHERE path = 'alice' AND origin = 7");
    assert_found(LEDGER_FLAGS_DIFFER, 1, "alice", "");
}

static void missing_rows_are_found(void **state)
{
    (void)state;
    book_something();
    raw_run("DELETE FROM ledger_accounts WHERE path = 'carol'");
    struct ledger_report r = audit();
    assert_int_equal(r.found[LEDGER_TRANSFER_ORPHANED], 1);
    assert_int_equal(r.found[LEDGER_BOOK_UNBALANCED], 1);
    assert_int_equal(r.found[LEDGER_TOTALS_WRONG], 0);
    raw_run("DELETE FROM ledger_transfers WHERE id = '3'");
    r = audit();
    assert_int_equal(r.found[LEDGER_TRANSFER_ORPHANED], 0);
    assert_found(LEDGER_TOTALS_WRONG, 1, "bob", "");
    assert_int_equal(r.found[LEDGER_NUMBERS_WRONG], 1);
}

/* ---- what the database itself refuses ---- */

static void assert_refused_sqlite(const char *sql, const char *trigger)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(fixture.path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_CONSTRAINT ||
        strstr(message, trigger) == NULL) {
        fail_msg("%s: %s", sql, message != NULL ? message : "done");
    }
    sqlite3_free(message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void assert_refused_postgres(const char *sql, const char *trigger)
{
    PGconn *pq = PQconnectdb(fixture.url);
    PGresult *result = PQexec(pq, sql);
    const char *name = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    if (PQresultStatus(result) != PGRES_FATAL_ERROR || name == NULL || strcmp(name, trigger) != 0) {
        fail_msg("%s: %s", sql, PQresultErrorMessage(result));
    }
    PQclear(result);
    PQfinish(pq);
}

static void what_was_booked_cannot_be_changed(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        const char *trigger;
    } changes[] = {
        {"UPDATE ledger_transfers SET amount = posted WHERE id = 's'", "ledger_transfers_stay"},
        {"UPDATE ledger_transfers SET posted = amount WHERE id = 's'", "ledger_transfers_stay"},
        {"UPDATE ledger_transfers SET amount = (SELECT t.amount FROM ledger_transfers t "
         "WHERE t.id = '1') WHERE id = 'h'",
         "ledger_transfers_stay"},
        {"UPDATE ledger_transfers SET id = 'x' WHERE id = '1'", "ledger_transfers_stay"},
        {"UPDATE ledger_transfers SET book = 'eur' WHERE id = 'h'", "ledger_transfers_stay"},
        {"UPDATE ledger_transfers SET debit = 'mint' WHERE id = 'h'", "ledger_transfers_stay"},
        {"UPDATE ledger_transfers SET credit = 'carol' WHERE id = 'h'", "ledger_transfers_stay"},
        {"UPDATE ledger_transfers SET kind = 'x' WHERE id = 'h'", "ledger_transfers_stay"},
        {"UPDATE ledger_transfers SET cause = 'x' WHERE id = '1'", "ledger_transfers_stay"},
        {"UPDATE ledger_transfers SET debit_entry = 8 WHERE id = '1'", "ledger_transfers_stay"},
        {"UPDATE ledger_transfers SET state = 1, closer = NULL, closed = NULL WHERE id = 'v'",
         "ledger_transfers_stay"},
        {"UPDATE ledger_transfers SET state = 2 WHERE id = 'v'", "ledger_transfers_stay"},
        {"DELETE FROM ledger_transfers WHERE id = 'v'", "ledger_transfers_keep"},
        {"UPDATE ledger_accounts SET flags = 0 WHERE path = 'bob'", "ledger_accounts_stay"},
        {"UPDATE ledger_accounts SET path = 'rob' WHERE path = 'bob'", "ledger_accounts_stay"},
        {"UPDATE ledger_accounts SET entries = 0 WHERE path = 'bob'", "ledger_accounts_stay"},
        {"DELETE FROM ledger_accounts WHERE path = 'bob'", "ledger_accounts_keep"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    book_something();
    struct slice before = dump(&arena);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        (support_on_postgres() ? assert_refused_postgres
                               : assert_refused_sqlite)(changes[i].sql, changes[i].trigger);
    }
    assert_same_text(dump(&arena), before);
    arena_free(&arena);
}

/* ---- sums and digest ---- */

struct books_seen {
    size_t count;
    char text[3][512];
};

static void see_book(void *ctx, const struct ledger_book *b)
{
    struct books_seen *seen = ctx;
    char digits[4][LEDGER_WIDE_TEXT_MAX];
    assert_true(seen->count < 3);
    ledger_wide_format(b->debits_posted, digits[0]);
    ledger_wide_format(b->credits_posted, digits[1]);
    ledger_wide_format(b->debits_pending, digits[2]);
    ledger_wide_format(b->credits_pending, digits[3]);
    snprintf(seen->text[seen->count++], sizeof(seen->text[0]), "%.*s %llu %s %s %s %s",
             SLICE_ARG(b->book), (unsigned long long)b->accounts, digits[0], digits[1], digits[2],
             digits[3]);
}

static enum err see_books_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct ledger_report report;
    return ledger_audit(tx, see_book, ctx, &report, why);
}

static void books_are_told_with_their_sums(void **state)
{
    (void)state;
    book_something();
    struct ledger_transfer big[2] = {move("e1", "mint", "x", 1), move("e2", "mint2", "y", 1)};
    for (size_t i = 0; i < 2; i++) {
        big[i].book = S("eur");
        big[i].amount = U256_MAX;
        big[i].debit_flags = 0;
    }
    assert_int_equal(post(big, 2, NULL), OK);
    struct books_seen seen = {0};
    assert_int_equal(store_read(fixture.store, see_books_fn, &seen, NULL), OK);
    assert_int_equal(seen.count, 2);
    /* 2 * (2^256 - 1) */
    assert_string_equal(
        seen.text[0],
        "eur 4 "
        "231584178474632390847141970017375815706539969331281128078915168015826259279870 "
        "231584178474632390847141970017375815706539969331281128078915168015826259279870 0 0");
    assert_string_equal(seen.text[1], "usd 4 147 147 20 20");
}

/*
 * Computed from the rows by another program (Python's hashlib), from what the header and
 * ledger_audit.h say. Both databases must come to it.
 */
static void digest_is_the_same_everywhere(void **state)
{
    (void)state;
    static const char expected[] =
        "0x89050a497efaa431bcd8276662c2c1e63b97164245981921dbfc699a91d8d91f";
    struct ledger_transfer a = move("a", "mint", "alice", 70);
    struct ledger_transfer h = move("h", "alice", "bob", 30);
    a.when_usec = 1700000000000001;
    h.when_usec = 1700000000000002;
    assert_int_equal(post(&a, 1, NULL), OK);
    assert_int_equal(hold(&h, 1, NULL), OK);
    char text[2 * HASH_BYTES + 3];
    struct ledger_report r = audit();
    hex_encode_to(hash_slice(&r.digest), text);
    assert_string_equal(text, expected);
    struct ledger_report again = audit();
    assert_memory_equal(&again.digest, &r.digest, sizeof(r.digest));
    set_last_digit("ledger_accounts", "credits_posted", 1, "path = 'alice'");
    again = audit();
    assert_memory_not_equal(&again.digest, &r.digest, sizeof(r.digest));
}

static void audit_reads_beyond_a_page(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    enum { COUNT = 1700 };
    struct ledger_transfer *ts = arena_alloc_array(&arena, COUNT, sizeof(ts[0]));
    for (size_t i = 0; i < COUNT; i++) {
        ts[i] = move("", "mint", "", 1 + i);
        ts[i].id = slice_format(&arena, "id/%zu", i);
        ts[i].credit = slice_format(&arena, "holder/%zu", i);
        ts[i].book = slice_format(&arena, "book/%zu", i % 3);
        ts[i].when_usec = 1 + (int64_t)(i / 5); /* places in the order of time are shared */
    }
    assert_int_equal(post(ts, COUNT, NULL), OK);
    struct ledger_report r = audit();
    assert_int_equal(r.books, 3);
    assert_int_equal(r.accounts, COUNT + 3);
    assert_int_equal(r.transfers, COUNT);
    assert_clean();
    arena_free(&arena);
}

static enum err read_books(struct store_tx *tx, void *ctx, struct why *why)
{
    return ledger_audit_books(tx, ctx, why);
}

static struct ledger_report books_alone(void)
{
    struct ledger_report r;
    assert_int_equal(store_read(fixture.store, read_books, &r, NULL), OK);
    return r;
}

/* The sums of the rows alone: what changes one side is found, what changes both alike is not. */
static void books_alone_are_added_up(void **state)
{
    (void)state;
    book_something();
    struct ledger_report whole = audit();
    struct ledger_report r = books_alone();
    assert_int_equal(r.books, whole.books);
    assert_int_equal(r.accounts, whole.accounts);
    assert_int_equal(r.first, LEDGER_SOUND);
    set_last_digit("ledger_accounts", "credits_posted", 1, "path = 'bob'");
    r = books_alone();
    assert_int_equal(r.found[LEDGER_BOOK_UNBALANCED], 1);
    assert_int_equal(r.found[LEDGER_TOTALS_WRONG], 0);
    set_last_digit("ledger_accounts", "credits_posted", 6, "path = 'carol'");
    assert_int_equal(books_alone().first, LEDGER_SOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(changed_totals_are_found),          TEST(money_moved_between_accounts_is_found),
        TEST(changed_transfers_are_found),       TEST(changed_numbers_are_found),
        TEST(changed_flags_are_found),           TEST(missing_rows_are_found),
        TEST(what_was_booked_cannot_be_changed), TEST(books_are_told_with_their_sums),
        TEST(digest_is_the_same_everywhere),     TEST(audit_reads_beyond_a_page),
        TEST(books_alone_are_added_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
