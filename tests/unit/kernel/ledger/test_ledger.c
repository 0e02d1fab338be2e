/*
 * Each rule of the ledger by itself; random sequences of them are in test_ledger_random.c, many
 * threads at once in test_ledger_trading.c.
 */
#include "unit/kernel/ledger/fixture.h"

/* ---- posting ---- */

static void post_moves_both_sides(void **state)
{
    (void)state;
    struct ledger_transfer t = move("a", "mint", "alice", 70);
    assert_int_equal(post(&t, 1, NULL), OK);
    assert_balance("mint", 0, 70, 0, 0);
    assert_balance("alice", 0, 0, 0, 70);
    assert_balance("nobody", 0, 0, 0, 0);
    struct ledger_balance alice = balance_of("alice");
    struct ledger_balance mint = balance_of("mint");
    assert_int_equal(small(ledger_available(&alice)), 70);
    assert_int_equal(small(ledger_available(&mint)), 0); /* zero when negative */
    assert_clean();
}

static void repeat_is_harmless_and_other_content_is_refused(void **state)
{
    (void)state;
    struct ledger_transfer t = move("a", "mint", "alice", 70);
    assert_int_equal(post(&t, 1, NULL), OK);
    t.when_usec = 5; /* a later try comes at another time */
    assert_int_equal(post(&t, 1, NULL), OK);
    assert_balance("alice", 0, 0, 0, 70);

    struct ledger_transfer others[6];
    for (size_t i = 0; i < 6; i++) {
        others[i] = t;
    }
    others[0].amount = u256_from_u64(71);
    others[1].credit = S("bob");
    others[2].debit = S("mint2");
    others[3].book = S("eur");
    others[4].kind = S("test.other");
    others[5].cause = S("test/2");
    for (size_t i = 0; i < 6; i++) {
        struct why why = {0};
        assert_int_equal(post(&others[i], 1, &why), ERR_IDEMPOTENCY_MISMATCH);
        assert_string_equal(why.field, "id");
    }
    assert_int_equal(hold(&t, 1, NULL), ERR_IDEMPOTENCY_MISMATCH);
    struct ledger_transfer partly[2] = {t, move("b", "mint", "alice", 1)};
    assert_int_equal(post(partly, 2, NULL), ERR_IDEMPOTENCY_MISMATCH);
    assert_balance("alice", 0, 0, 0, 70);
    assert_int_equal(audit().transfers, 1);
}

static void malformed_transfers_are_refused(void **state)
{
    (void)state;
    char long_path[LEDGER_PATH_MAX + 2];
    memset(long_path, 'x', sizeof(long_path));
    long_path[LEDGER_PATH_MAX + 1] = '\0';
    static const char *const bad[] = {"", "/a", "a/", "a//b", "a b", "a\"b", "caf\xc3\xa9", "a\n"};
    for (size_t i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
        const char *name = i < sizeof(bad) / sizeof(bad[0]) ? bad[i] : long_path;
        struct why why = {0};
        struct ledger_transfer t = move("a", "mint", name, 1);
        assert_int_equal(post(&t, 1, &why), ERR_INVALID_FIELD);
        assert_string_equal(why.field, "credit");
        t = move("a", name, "alice", 1);
        assert_int_equal(post(&t, 1, &why), ERR_INVALID_FIELD);
        t = move(name, "mint", "alice", 1);
        assert_int_equal(post(&t, 1, &why), ERR_INVALID_FIELD);
        t = move("a", "mint", "alice", 1);
        t.book = slice_text(name);
        assert_int_equal(post(&t, 1, &why), ERR_INVALID_FIELD);
        assert_string_equal(why.field, "book");
    }
    struct ledger_transfer t = move("a", "mint", "alice", 0);
    assert_int_equal(post(&t, 1, NULL), ERR_INVALID_AMOUNT);
    t = move("a", "alice", "alice", 1);
    assert_int_equal(post(&t, 1, NULL), ERR_INVALID_FIELD);
    struct ledger_transfer twice[2] = {move("a", "mint", "alice", 1), move("a", "mint", "bob", 1)};
    assert_int_equal(post(twice, 2, NULL), ERR_INVALID_FIELD);
    long_path[LEDGER_PATH_MAX] = '\0';
    t = move("Az09/_.:-", "mint", long_path, 1);
    assert_int_equal(post(&t, 1, NULL), OK);
    assert_int_equal(audit().transfers, 1);
}

static void overdraft_is_refused(void **state)
{
    (void)state;
    struct ledger_transfer fund = move("fund", "mint", "alice", 100);
    assert_int_equal(post(&fund, 1, NULL), OK);
    struct ledger_transfer all = move("all", "alice", "bob", 100);
    struct ledger_transfer more = move("more", "alice", "bob", 101);
    struct why why = {0};
    assert_int_equal(post(&more, 1, &why), ERR_INSUFFICIENT_FUNDS);
    assert_non_null(strstr(why.text, "alice"));
    assert_non_null(strstr(why.text, "100"));
    assert_int_equal(hold(&more, 1, NULL), ERR_INSUFFICIENT_FUNDS);
    /* What is pending cannot be spent, neither by the giver nor by the receiver. */
    struct ledger_transfer part = move("part", "alice", "bob", 60);
    assert_int_equal(hold(&part, 1, NULL), OK);
    assert_int_equal(post(&all, 1, NULL), ERR_INSUFFICIENT_FUNDS);
    struct ledger_transfer early = move("early", "bob", "carol", 1);
    assert_int_equal(post(&early, 1, NULL), ERR_INSUFFICIENT_FUNDS);
    assert_int_equal(void_("part", NULL), OK);
    assert_int_equal(post(&all, 1, NULL), OK);
    assert_balance("alice", 0, 100, 0, 100);
    assert_clean();
}

static void linked_transfers_are_all_or_none(void **state)
{
    (void)state;
    struct ledger_transfer chain[3] = {
        move("1", "mint", "alice", 50),
        move("2", "alice", "bob", 30),
        move("3", "bob", "carol", 31),
    };
    assert_int_equal(post(chain, 3, NULL), ERR_INSUFFICIENT_FUNDS);
    struct ledger_report r = audit();
    assert_int_equal(r.accounts, 0);
    assert_int_equal(r.transfers, 0);
    chain[2].amount = u256_from_u64(30);
    assert_int_equal(post(chain, 3, NULL), OK);
    assert_balance("alice", 0, 30, 0, 50);
    assert_balance("bob", 0, 30, 0, 30);
    assert_balance("carol", 0, 0, 0, 30);
    /* Judged in their order: money that comes later in the call is not there yet. */
    struct ledger_transfer wrong_order[2] = {
        move("4", "dave", "erin", 5),
        move("5", "mint", "dave", 5),
    };
    assert_int_equal(post(wrong_order, 2, NULL), ERR_INSUFFICIENT_FUNDS);
    assert_clean();
}

/* A caller that goes on after a refusal must find the books as they were. */
static enum err swallow_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    (void)ctx;
    struct ledger_transfer bad[2] = {
        move("x1", "mint", "zoe", 5),
        move("x2", "zoe", "yan", 6),
    };
    if (ledger_post(tx, bad, 2, NULL) != ERR_INSUFFICIENT_FUNDS) {
        return ERR_INTERNAL;
    }
    struct ledger_transfer good = move("x3", "mint", "zoe", 7);
    return ledger_post(tx, &good, 1, why);
}

static void refused_call_writes_nothing(void **state)
{
    (void)state;
    assert_int_equal(store_write(fixture.store, swallow_fn, NULL, NULL), OK);
    assert_balance("zoe", 0, 0, 0, 7);
    struct ledger_report r = audit();
    assert_int_equal(r.accounts, 2);
    assert_int_equal(r.transfers, 1);
    assert_clean();
}

static void first_flags_stay(void **state)
{
    (void)state;
    struct ledger_transfer t = move("1", "mint", "alice", 10);
    assert_int_equal(post(&t, 1, NULL), OK);
    struct ledger_transfer lax = move("2", "alice", "bob", 11);
    lax.debit_flags = 0;
    assert_int_equal(post(&lax, 1, NULL), ERR_INSUFFICIENT_FUNDS);
    /* Within one call the first one to name an account opens it. */
    struct ledger_transfer call[3] = {
        move("3", "mint", "dave", 10),
        move("4", "dave", "alice", 8),
        move("5", "dave", "alice", 3),
    };
    call[1].debit_flags = 0;
    call[2].debit_flags = 0;
    assert_int_equal(post(call, 3, NULL), ERR_INSUFFICIENT_FUNDS);
    call[0].credit_flags = 0;
    call[1].debit_flags = LEDGER_NO_OVERDRAFT;
    assert_int_equal(post(call, 3, NULL), OK);
}

static void totals_do_not_wrap(void **state)
{
    (void)state;
    struct ledger_transfer max = move("1", "mint", "whale", 1);
    max.amount = U256_MAX;
    assert_int_equal(post(&max, 1, NULL), OK);
    struct ledger_transfer one = move("2", "mint2", "whale", 1);
    one.debit_flags = 0;
    assert_int_equal(post(&one, 1, NULL), ERR_OVERFLOW);
    assert_int_equal(hold(&one, 1, NULL), OK);
    assert_int_equal(settle("2", 1, NULL), ERR_OVERFLOW);
    assert_int_equal(void_("2", NULL), OK);
    struct ledger_transfer other = move("3", "mint3", "dolphin", 1);
    other.debit_flags = 0;
    other.amount = U256_MAX;
    assert_int_equal(post(&other, 1, NULL), OK); /* the book's sum is beyond 256 bits now */
    assert_clean();
}

/* ---- holds ---- */

static void hold_settle_and_void(void **state)
{
    (void)state;
    struct ledger_transfer fund = move("fund", "mint", "alice", 100);
    struct ledger_transfer h = move("h", "alice", "bob", 40);
    assert_int_equal(post(&fund, 1, NULL), OK);
    assert_int_equal(hold(&h, 1, NULL), OK);
    assert_int_equal(hold(&h, 1, NULL), OK);
    assert_balance("alice", 40, 0, 0, 100);
    assert_balance("bob", 0, 0, 40, 0);

    assert_int_equal(settle("h", 41, NULL), ERR_OVERFLOW);
    assert_int_equal(settle("h", 0, NULL), ERR_INVALID_AMOUNT);
    assert_int_equal(settle("nothing", 1, NULL), ERR_NOT_FOUND);
    assert_int_equal(void_("nothing", NULL), ERR_NOT_FOUND);
    assert_balance("alice", 40, 0, 0, 100);

    assert_int_equal(settle("h", 25, NULL), OK);
    assert_balance("alice", 0, 25, 0, 100);
    assert_balance("bob", 0, 0, 0, 25);
    assert_int_equal(settle("h", 25, NULL), OK);
    assert_int_equal(settle("h", 24, NULL), ERR_CONFLICT);
    assert_int_equal(void_("h", NULL), ERR_CONFLICT);
    assert_int_equal(hold(&h, 1, NULL), OK); /* the same request again, long after */
    assert_balance("alice", 0, 25, 0, 100);

    struct ledger_transfer v = move("v", "alice", "bob", 75);
    assert_int_equal(hold(&v, 1, NULL), OK);
    assert_int_equal(void_("v", NULL), OK);
    assert_int_equal(void_("v", NULL), OK);
    assert_int_equal(settle("v", 75, NULL), ERR_CONFLICT);
    assert_balance("alice", 0, 25, 0, 100);
    assert_clean();
}

/* ---- listing ---- */

struct entries_ask {
    struct arena *arena;
    const char *path;
    const char *after;
    size_t limit;
    struct ledger_entry *entries;
    size_t count;
};

static enum err entries_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct entries_ask *ask = ctx;
    return ledger_entries(tx, ask->arena, S("usd"), slice_text(ask->path), slice_text(ask->after),
                          ask->limit, &ask->entries, &ask->count, why);
}

static void entries_are_listed_oldest_first(void **state)
{
    (void)state;
    /* One moment, ids that sort the other way round, both sides of the account. */
    static const char *const ids[] = {"9", "8", "7", "6", "5"};
    for (size_t i = 0; i < 5; i++) {
        struct ledger_transfer t =
            i == 2 ? move(ids[i], "alice", "bob", 1) : move(ids[i], "mint", "alice", 10 + i);
        t.when_usec = 1000;
        assert_int_equal(post(&t, 1, NULL), OK);
    }
    struct ledger_transfer earlier = move("z", "mint", "alice", 3);
    earlier.when_usec = 999;
    assert_int_equal(hold(&earlier, 1, NULL), OK);

    struct arena arena;
    arena_init(&arena, 0);
    static const char *const order[] = {"z", "9", "8", "7", "6", "5"};
    const char *after = "";
    size_t seen = 0;
    for (;;) {
        struct entries_ask ask = {.arena = &arena, .path = "alice", .after = after, .limit = 4};
        assert_int_equal(store_read(fixture.store, entries_fn, &ask, NULL), OK);
        for (size_t i = 0; i < ask.count; i++) {
            assert_true(slice_equal_text(ask.entries[i].id, order[seen]));
            seen++;
            after = slice_cstr(&arena, ask.entries[i].id);
        }
        if (seen == 6) {
            assert_int_equal(ask.count, 2);
            break;
        }
    }
    struct entries_ask first = {.arena = &arena, .path = "alice", .after = "", .limit = 1};
    assert_int_equal(store_read(fixture.store, entries_fn, &first, NULL), OK);
    assert_int_equal(first.entries[0].state, LEDGER_PENDING);
    assert_int_equal(first.entries[0].created_usec, 999);
    assert_int_equal(first.entries[0].closed_usec, 0);
    assert_int_equal(small(first.entries[0].amount), 3);
    struct entries_ask foreign = {.arena = &arena, .path = "bob", .after = "9", .limit = 1};
    assert_int_equal(store_read(fixture.store, entries_fn, &foreign, NULL), ERR_NOT_FOUND);
    arena_free(&arena);
}

/* ---- chains ---- */

static struct ledger_transfer at_block(struct ledger_transfer t, uint64_t block)
{
    t.when_usec = (int64_t)block;
    return t;
}

static enum err apply(uint64_t chain, uint64_t block, struct ledger_transfer t, bool held)
{
    t = at_block(t, block);
    return run_step((struct step){.run = step_add,
                                  .chain = chain,
                                  .block = block,
                                  .transfers = &t,
                                  .count = 1,
                                  .held = held},
                    NULL);
}

static enum err apply_settle(uint64_t chain, uint64_t block, const char *id, uint64_t amount)
{
    return run_step(
        (struct step){
            .run = step_settle, .chain = chain, .block = block, .id = id, .amount = amount},
        NULL);
}

static void undo_restores_exactly(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    assert_int_equal(apply(7, 1, move("c1", "mint", "alice", 100), false), OK);
    struct ledger_transfer claim = at_block(move("claim", "alice", "paid", 30), 1);
    assert_int_equal(hold(&claim, 1, NULL), OK);
    struct slice before = dump(&arena);

    assert_int_equal(apply(7, 2, move("c2", "mint", "alice", 11), false), OK);
    assert_int_equal(apply_settle(7, 2, "claim", 30), OK);
    assert_int_equal(apply(7, 3, move("c3", "alice", "fees", 5), true), OK);
    assert_int_equal(apply_settle(7, 4, "c3", 4), OK);
    struct ledger_balance alice = balance_of("alice");
    assert_int_equal(small(ledger_available(&alice)), 100 + 11 - 30 - 4);
    assert_clean();
    struct slice applied = dump(&arena);

    assert_int_equal(rollback(7, 2, NULL), OK);
    assert_same_text(dump(&arena), before);

    /* The same blocks again give the same rows. */
    assert_int_equal(apply(7, 2, move("c2", "mint", "alice", 11), false), OK);
    assert_int_equal(apply_settle(7, 2, "claim", 30), OK);
    assert_int_equal(apply(7, 3, move("c3", "alice", "fees", 5), true), OK);
    assert_int_equal(apply_settle(7, 4, "c3", 4), OK);
    assert_same_text(dump(&arena), applied);
    arena_free(&arena);
}

static void engine_keeps_what_it_did_beside_an_orphaned_block(void **state)
{
    (void)state;
    assert_int_equal(apply(7, 1, move("c1", "mint", "alice", 100), false), OK);
    assert_int_equal(apply(7, 2, move("c2", "mint", "alice", 50), false), OK);
    struct ledger_transfer pay = move("pay", "alice", "bob", 120);
    assert_int_equal(post(&pay, 1, NULL), OK);
    assert_int_equal(apply(9, 2, move("other", "mint", "alice", 3), false), OK);
    assert_int_equal(rollback(7, 2, NULL), OK);

    assert_balance("alice", 0, 120, 0, 103);
    assert_balance("bob", 0, 0, 0, 120);
    struct ledger_balance alice = balance_of("alice");
    assert_int_equal(small(ledger_available(&alice)), 0);
    struct ledger_transfer again = move("again", "alice", "bob", 1);
    assert_int_equal(post(&again, 1, NULL), ERR_INSUFFICIENT_FUNDS);
    struct ledger_report r = audit();
    assert_int_equal(r.found[LEDGER_TOTALS_WRONG], 0);
    assert_int_equal(r.found[LEDGER_BOOK_UNBALANCED], 0);
    assert_int_equal(r.found[LEDGER_OVERDRAWN], 1);
    assert_int_equal(r.first, LEDGER_OVERDRAWN);
    assert_string_equal(r.first_path, "alice");
}

static void who_may_end_a_hold(void **state)
{
    (void)state;
    assert_int_equal(apply(7, 1, move("fund", "mint", "alice", 100), false), OK);
    assert_int_equal(apply(7, 2, move("h7", "alice", "bob", 10), true), OK);
    assert_int_equal(settle("h7", 10, NULL), ERR_CONFLICT);
    assert_int_equal(void_("h7", NULL), ERR_CONFLICT);
    assert_int_equal(apply_settle(9, 2, "h7", 10), ERR_CONFLICT);
    assert_int_equal(apply_settle(7, 3, "h7", 10), OK);
    struct ledger_transfer h = move("h0", "alice", "bob", 10);
    assert_int_equal(hold(&h, 1, NULL), OK);
    assert_int_equal(apply_settle(9, 3, "h0", 6), OK);
    assert_balance("alice", 0, 16, 0, 100);
    assert_clean();
    assert_int_equal(rollback(9, 3, NULL), OK);
    assert_balance("alice", 10, 10, 0, 100);
    assert_int_equal(void_("h0", NULL), OK);
    assert_clean();
}

static void apply_without_a_time(void)
{
    struct why why = {0};
    if (support_store_start(&fixture, &why) != OK) {
        _exit(1);
    }
    support_store_migrate(&fixture);
    struct ledger_transfer t = move("c1", "mint", "alice", 1);
    enum err e = run_step(
        (struct step){.run = step_add, .chain = 7, .block = 1, .transfers = &t, .count = 1}, NULL);
    (void)e;
}

static void apply_step_must_say_when(void **state)
{
    (void)state;
    support_store_prepare(&fixture, &sql_catalog);
    assert_true(test_aborts(apply_without_a_time));
    support_remove_folder(fixture.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(post_moves_both_sides),
        TEST(repeat_is_harmless_and_other_content_is_refused),
        TEST(malformed_transfers_are_refused),
        TEST(overdraft_is_refused),
        TEST(linked_transfers_are_all_or_none),
        TEST(refused_call_writes_nothing),
        TEST(first_flags_stay),
        TEST(totals_do_not_wrap),
        TEST(hold_settle_and_void),
        TEST(entries_are_listed_oldest_first),
        TEST(undo_restores_exactly),
        TEST(engine_keeps_what_it_did_beside_an_orphaned_block),
        TEST(who_may_end_a_hold),
        cmocka_unit_test(apply_step_must_say_when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
