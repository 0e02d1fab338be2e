/*
 * The ledger against a model that is as simple as the books are: one balance an account in plain
 * 64-bit integers, and a list of transfers from which everything is added up again after a reorg.
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

/* ---- the model ---- */

#define MODEL_ACCOUNTS 14
#define MODEL_TRANSFERS_MAX 60000
#define MODEL_OPERATIONS 24000
#define MODEL_BATCH 60

struct model_transfer {
    unsigned debit;
    unsigned credit;
    uint64_t amount;
    uint64_t posted;
    enum ledger_state state;
    bool held;
    bool gone; /* its block was orphaned */
    uint64_t chain;
    uint64_t block;
    uint64_t closer_chain;
    uint64_t closer_block;
};

struct model_balance {
    uint64_t debits_pending;
    uint64_t debits_posted;
    uint64_t credits_pending;
    uint64_t credits_posted;
};

struct model {
    struct model_balance balances[MODEL_ACCOUNTS];
    struct model_transfer *transfers;
    size_t count;
    uint64_t head[10]; /* of chains 7 and 9 */
    uint64_t done[16]; /* how often each kind of operation succeeded */
    uint64_t refused;
};

/* Accounts 0 and 1 may go below zero. */
static bool model_is_capped(unsigned account)
{
    return account > 1;
}

static void model_name(unsigned account, char out[32])
{
    snprintf(out, 32, "m/%u", account);
}

static void model_add(struct model_balance *b, const struct model_transfer *t)
{
    if (t->gone || t->state == LEDGER_VOIDED) {
        return;
    }
    if (t->state == LEDGER_PENDING) {
        b[t->debit].debits_pending += t->amount;
        b[t->credit].credits_pending += t->amount;
    } else {
        b[t->debit].debits_posted += t->posted;
        b[t->credit].credits_posted += t->posted;
    }
}

static void model_recount(struct model *m)
{
    memset(m->balances, 0, sizeof(m->balances));
    for (size_t i = 0; i < m->count; i++) {
        model_add(m->balances, &m->transfers[i]);
    }
}

static bool model_is_overdrawn(const struct model_balance *b)
{
    return b->debits_posted + b->debits_pending > b->credits_posted;
}

static struct ledger_transfer model_transfer_of(const struct model_transfer *t, size_t index,
                                                struct arena *arena)
{
    char debit[32];
    char credit[32];
    model_name(t->debit, debit);
    model_name(t->credit, credit);
    return (struct ledger_transfer){
        .id = slice_format(arena, "t/%zu", index),
        .book = S("usd"),
        .debit = slice_copy(arena, slice_text(debit)),
        .credit = slice_copy(arena, slice_text(credit)),
        .debit_flags = model_is_capped(t->debit) ? LEDGER_NO_OVERDRAFT : 0,
        .credit_flags = model_is_capped(t->credit) ? LEDGER_NO_OVERDRAFT : 0,
        .amount = u256_from_u64(t->amount),
        .kind = S("model"),
        .cause = S("model"),
        .when_usec = t->block != 0 ? (int64_t)t->block : 0,
    };
}

/* What the model says about a call of linked transfers; it keeps them only when they are legal. */
static enum err model_make(struct model *m, struct model_transfer *ts, size_t count)
{
    struct model_balance after[MODEL_ACCOUNTS];
    memcpy(after, m->balances, sizeof(after));
    for (size_t i = 0; i < count; i++) {
        model_add(after, &ts[i]);
        if (model_is_capped(ts[i].debit) && model_is_overdrawn(&after[ts[i].debit])) {
            m->refused++;
            return ERR_INSUFFICIENT_FUNDS;
        }
    }
    memcpy(m->balances, after, sizeof(after));
    for (size_t i = 0; i < count; i++) {
        assert_true(m->count < MODEL_TRANSFERS_MAX);
        m->transfers[m->count++] = ts[i];
    }
    m->done[ts[0].held ? 1 : 0]++;
    return OK;
}

struct model_step {
    struct model *model;
    struct arena *arena;
    uint64_t chain;
    uint64_t block;
};

static enum err model_do_make(struct store_tx *tx, struct model_step *s)
{
    struct model *m = s->model;
    struct model_transfer ts[4];
    struct ledger_transfer real[4];
    size_t count = 1 + rand_below(4);
    size_t first = m->count;
    bool held = rand_below(2) == 0;
    for (size_t i = 0; i < count; i++) {
        unsigned debit = (unsigned)rand_below(rand_below(3) == 0 ? 2 : MODEL_ACCOUNTS);
        unsigned credit = (unsigned)rand_below(MODEL_ACCOUNTS - 1);
        uint64_t amount = 1 + rand_below(rand_below(8) == 0 ? 100000 : 900);
        ts[i] = (struct model_transfer){
            .debit = debit,
            .credit = credit >= debit ? credit + 1 : credit,
            .amount = amount,
            .posted = held ? 0 : amount,
            .state = held ? LEDGER_PENDING : LEDGER_POSTED,
            .held = held,
            .chain = s->chain,
            .block = s->block,
            .closer_chain = s->chain,
            .closer_block = held ? 0 : s->block,
        };
        real[i] = model_transfer_of(&ts[i], first + i, s->arena);
    }
    enum err want = model_make(m, ts, count);
    enum err got = held ? ledger_hold(tx, real, count, NULL) : ledger_post(tx, real, count, NULL);
    if (want != OK) {
        /* Its numbers are not used again: a later call must not look like a repeat. */
        for (size_t i = 0; i < count; i++) {
            ts[i].gone = true;
            m->transfers[m->count++] = ts[i];
        }
    }
    return want == got ? OK : ERR_INTERNAL;
}

static enum err model_do_repeat(struct store_tx *tx, struct model_step *s)
{
    struct model *m = s->model;
    size_t i = rand_below(m->count);
    struct model_transfer *t = &m->transfers[i];
    if (t->gone) {
        return OK;
    }
    struct ledger_transfer real = model_transfer_of(t, i, s->arena);
    real.when_usec = s->block != 0 ? (int64_t)s->block : 0;
    bool other = rand_below(2) == 0;
    if (other) {
        real.amount = u256_from_u64(t->amount + 1);
    }
    enum err got = t->held ? ledger_hold(tx, &real, 1, NULL) : ledger_post(tx, &real, 1, NULL);
    m->done[2]++;
    return got == (other ? ERR_IDEMPOTENCY_MISMATCH : OK) ? OK : ERR_INTERNAL;
}

static enum err model_do_close(struct store_tx *tx, struct model_step *s)
{
    struct model *m = s->model;
    size_t back = rand_below(m->count < 400 ? m->count : 400);
    size_t i = m->count - 1 - back;
    struct model_transfer *t = &m->transfers[i];
    struct slice id = slice_format(s->arena, "t/%zu", i);
    int64_t when = s->block != 0 ? (int64_t)s->block : 0;
    bool voids = rand_below(3) == 0;
    uint64_t amount = voids ? 0 : 1 + rand_below(t->amount + t->amount / 8);
    enum err want = OK;
    bool changes = false;
    if (t->gone) {
        want = ERR_NOT_FOUND;
    } else if (t->state != LEDGER_PENDING) {
        bool same =
            voids ? t->state == LEDGER_VOIDED : t->state == LEDGER_POSTED && t->posted == amount;
        want = same ? OK : ERR_CONFLICT;
    } else if (t->chain != 0 && t->chain != s->chain) {
        want = ERR_CONFLICT;
    } else if (amount > t->amount) {
        want = ERR_OVERFLOW;
    } else {
        changes = true;
    }
    enum err got = voids ? ledger_void(tx, id, when, NULL)
                         : ledger_settle(tx, id, u256_from_u64(amount), when, NULL);
    if (changes) {
        m->balances[t->debit].debits_pending -= t->amount;
        m->balances[t->credit].credits_pending -= t->amount;
        t->state = voids ? LEDGER_VOIDED : LEDGER_POSTED;
        t->posted = amount;
        t->closer_chain = s->chain;
        t->closer_block = s->block;
        model_add(m->balances, t);
        m->done[voids ? 3 : 4]++;
    }
    return want == got ? OK : ERR_INTERNAL;
}

static enum err model_balances_equal(struct store_tx *tx, const struct model *m)
{
    for (unsigned a = 0; a < MODEL_ACCOUNTS; a++) {
        char name[32];
        struct ledger_balance b;
        model_name(a, name);
        enum err e = ledger_balance_read(tx, S("usd"), slice_text(name), &b, NULL);
        const struct model_balance *w = &m->balances[a];
        if (e != OK || !u256_equal(b.debits_pending, u256_from_u64(w->debits_pending)) ||
            !u256_equal(b.debits_posted, u256_from_u64(w->debits_posted)) ||
            !u256_equal(b.credits_pending, u256_from_u64(w->credits_pending)) ||
            !u256_equal(b.credits_posted, u256_from_u64(w->credits_posted))) {
            return ERR_CORRUPT;
        }
    }
    return OK;
}

/* A block of a chain, or a spell of the engine's own doing. */
static enum err model_spell_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct model_step *s = ctx;
    enum err e = s->block != 0 ? store_undo_begin(tx, s->chain, s->block, why) : OK;
    for (size_t i = 0; e == OK && i < MODEL_BATCH; i++) {
        uint64_t kind = rand_below(10);
        if (kind < 5 || s->model->count == 0) {
            e = model_do_make(tx, s);
        } else if (kind < 9) {
            e = model_do_close(tx, s);
        } else {
            e = model_do_repeat(tx, s);
        }
        if (e == OK && i % 7 == 0) {
            e = model_balances_equal(tx, s->model);
        }
    }
    if (s->block != 0) {
        enum err ended = store_undo_end(tx, why);
        e = e == OK ? ended : e;
    }
    return e == OK ? model_balances_equal(tx, s->model) : e;
}

static enum err model_reorg(struct model *m, uint64_t chain, uint64_t from_block)
{
    enum err e = rollback(chain, from_block, NULL);
    for (size_t i = 0; i < m->count; i++) {
        struct model_transfer *t = &m->transfers[i];
        if (t->chain == chain && t->block >= from_block) {
            t->gone = true;
        } else if (t->held && t->state != LEDGER_PENDING && t->closer_chain == chain &&
                   t->closer_block >= from_block) {
            t->state = LEDGER_PENDING;
            t->posted = 0;
        }
    }
    model_recount(m);
    m->head[chain] = from_block - 1;
    m->done[5]++;
    return e;
}

static void random_interleavings_match_the_model(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    static struct model m;
    m = (struct model){.head = {[7] = 100, [9] = 100}};
    m.transfers = arena_alloc_array(&arena, MODEL_TRANSFERS_MAX + 8, sizeof(m.transfers[0]));
    struct arena scratch;
    arena_init(&scratch, 0);
    rand_set_seed(20261122);
    for (size_t done = 0; done < MODEL_OPERATIONS; done += MODEL_BATCH) {
        uint64_t who = rand_below(5);
        struct model_step s = {.model = &m, .arena = &scratch};
        if (who >= 2) {
            s.chain = who == 2 ? 9 : 7;
            s.block = ++m.head[s.chain];
        }
        struct why why = {0};
        enum err e = store_write(fixture.store, model_spell_fn, &s, &why);
        if (e != OK) {
            fail_msg("after %zu operations: %s", done, why_text(&why, e));
        }
        if (rand_below(12) == 0) {
            uint64_t chain = rand_below(2) == 0 ? 7 : 9;
            uint64_t depth = 1 + rand_below(6);
            uint64_t head = m.head[chain];
            assert_int_equal(model_reorg(&m, chain, head > 100 + depth ? head - depth + 1 : 101),
                             OK);
        }
        if (rand_below(20) == 0) {
            struct ledger_report r = audit();
            for (int f = LEDGER_SOUND; f < LEDGER_FINDINGS; f++) {
                assert_true(f == LEDGER_OVERDRAWN || r.found[f] == 0);
            }
            uint64_t overdrawn = 0;
            for (unsigned a = 2; a < MODEL_ACCOUNTS; a++) {
                overdrawn += model_is_overdrawn(&m.balances[a]);
            }
            assert_int_equal(r.found[LEDGER_OVERDRAWN], overdrawn);
        }
        arena_clear(&scratch);
    }
    /* The run is worth something only when every kind of operation happened often. */
    for (size_t kind = 0; kind < 5; kind++) {
        assert_true(m.done[kind] > 500);
    }
    assert_true(m.done[5] > 10);
    assert_true(m.refused > 500);
    arena_free(&scratch);
    arena_free(&arena);
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
        TEST(random_interleavings_match_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
