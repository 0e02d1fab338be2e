/*
 * A ledger on a real store, steps of the engine and of chains, and the rows behind its back.
 */
#ifndef TESTS_UNIT_KERNEL_LEDGER_FIXTURE_H
#define TESTS_UNIT_KERNEL_LEDGER_FIXTURE_H

#include "kernel/base/hex.h"
#include "kernel/base/rand.h"
#include "kernel/ledger/ledger.h"
#include "unit/support.h"

#define S(text) SLICE_LIT(text)

static struct support_store fixture;

static inline int open_fixture(void **state)
{
    (void)state;
    support_store_open(&fixture, &sql_catalog);
    return 0;
}

static inline int close_fixture(void **state)
{
    (void)state;
    support_store_close(&fixture);
    return 0;
}

/* ---- running steps ---- */

/* What a test does inside one transaction; `block` 0 is the engine's own doing. */
struct step {
    enum err (*run)(struct store_tx *tx, struct step *s, struct why *why);
    uint64_t chain;
    uint64_t block;
    const struct ledger_transfer *transfers;
    size_t count;
    bool held;
    const char *id;
    uint64_t amount;
};

static inline enum err step_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct step *s = ctx;
    if (s->block != 0) {
        enum err e = store_undo_begin(tx, s->chain, s->block, why);
        if (e != OK) {
            return e;
        }
    }
    enum err result = s->run(tx, s, why);
    if (s->block != 0) {
        enum err e = store_undo_end(tx, why);
        return result != OK ? result : e;
    }
    return result;
}

static inline enum err run_step(struct step s, struct why *why)
{
    return store_write(fixture.store, step_fn, &s, why);
}

static inline enum err step_add(struct store_tx *tx, struct step *s, struct why *why)
{
    return s->held ? ledger_hold(tx, s->transfers, s->count, why)
                   : ledger_post(tx, s->transfers, s->count, why);
}

static inline enum err step_settle(struct store_tx *tx, struct step *s, struct why *why)
{
    return ledger_settle(tx, slice_text(s->id), u256_from_u64(s->amount),
                         s->block != 0 ? (int64_t)s->block : 0, why);
}

static inline enum err step_void(struct store_tx *tx, struct step *s, struct why *why)
{
    return ledger_void(tx, slice_text(s->id), s->block != 0 ? (int64_t)s->block : 0, why);
}

static inline enum err step_rollback(struct store_tx *tx, struct step *s, struct why *why)
{
    return store_undo_rollback(tx, s->chain, s->amount, NULL, why);
}

static inline enum err post(const struct ledger_transfer *transfers, size_t count, struct why *why)
{
    return run_step((struct step){.run = step_add, .transfers = transfers, .count = count}, why);
}

static inline enum err hold(const struct ledger_transfer *transfers, size_t count, struct why *why)
{
    return run_step(
        (struct step){.run = step_add, .transfers = transfers, .count = count, .held = true}, why);
}

static inline enum err settle(const char *id, uint64_t amount, struct why *why)
{
    return run_step((struct step){.run = step_settle, .id = id, .amount = amount}, why);
}

static inline enum err void_(const char *id, struct why *why)
{
    return run_step((struct step){.run = step_void, .id = id}, why);
}

static inline enum err rollback(uint64_t chain, uint64_t from_block, struct why *why)
{
    return run_step((struct step){.run = step_rollback, .chain = chain, .amount = from_block}, why);
}

/* A transfer in book "usd" from the open account `debit` to the capped account `credit`. */
static inline struct ledger_transfer move(const char *id, const char *debit, const char *credit,
                                          uint64_t amount)
{
    return (struct ledger_transfer){
        .id = slice_text(id),
        .book = S("usd"),
        .debit = slice_text(debit),
        .credit = slice_text(credit),
        .debit_flags = strcmp(debit, "mint") == 0 ? 0 : LEDGER_NO_OVERDRAFT,
        .credit_flags = strcmp(credit, "mint") == 0 ? 0 : LEDGER_NO_OVERDRAFT,
        .amount = u256_from_u64(amount),
        .kind = S("test.moved"),
        .cause = S("test/1"),
    };
}

struct balance_ask {
    struct slice book;
    struct slice path;
    struct ledger_balance balance;
};

static inline enum err balance_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct balance_ask *ask = ctx;
    return ledger_balance_read(tx, ask->book, ask->path, &ask->balance, why);
}

static inline struct ledger_balance balance_of(const char *path)
{
    struct balance_ask ask = {.book = S("usd"), .path = slice_text(path)};
    assert_int_equal(store_read(fixture.store, balance_fn, &ask, NULL), OK);
    return ask.balance;
}

static inline uint64_t small(struct u256 value)
{
    uint64_t out = UINT64_MAX;
    assert_int_equal(u256_to_u64(value, &out), OK);
    return out;
}

static inline void assert_balance(const char *path, uint64_t debits_pending, uint64_t debits_posted,
                                  uint64_t credits_pending, uint64_t credits_posted)
{
    struct ledger_balance b = balance_of(path);
    assert_int_equal(small(b.debits_pending), debits_pending);
    assert_int_equal(small(b.debits_posted), debits_posted);
    assert_int_equal(small(b.credits_pending), credits_pending);
    assert_int_equal(small(b.credits_posted), credits_posted);
}

static inline enum err audit_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    return ledger_audit(tx, NULL, NULL, ctx, why);
}

static inline struct ledger_report audit(void)
{
    struct ledger_report report;
    assert_int_equal(store_read(fixture.store, audit_fn, &report, NULL), OK);
    return report;
}

static inline void assert_clean(void)
{
    struct ledger_report r = audit();
    for (int f = LEDGER_SOUND; f < LEDGER_FINDINGS; f++) {
        if (r.found[f] != 0) {
            fail_msg("%llu %s, first %s %s %s", (unsigned long long)r.found[f],
                     ledger_finding_text((enum ledger_finding)f), r.first_book, r.first_path,
                     r.first_id);
        }
    }
    assert_int_equal(r.first, LEDGER_SOUND);
    assert_string_equal(r.first_book, "");
    assert_int_equal(r.entries, 2 * r.transfers);
}

/* ---- behind the ledger's back ---- */

/* Changes one row past the triggers; on PostgreSQL they sleep on the connection that is used. */
static inline void raw_run(const char *sql)
{
    if (!support_on_postgres()) {
        support_store_change(&fixture, "INSERT INTO undo_log (chain_id, block_number, statement) "
                                       "VALUES (-1, 0, 'tampering')");
    }
    assert_int_equal(support_store_change(&fixture, sql), 1);
    if (!support_on_postgres()) {
        support_store_change(&fixture, "DELETE FROM undo_log WHERE chain_id = -1");
    }
}

/* All rows of both tables as text. Owns: the arena. */
static inline struct slice dump(struct arena *arena)
{
    struct slice accounts =
        support_store_rows(&fixture, arena, "SELECT * FROM ledger_accounts ORDER BY 1, 2, 3");
    struct slice transfers =
        support_store_rows(&fixture, arena, "SELECT * FROM ledger_transfers ORDER BY 1, 2, 3");
    return slice_format(arena, "%.*s%.*s", SLICE_ARG(accounts), SLICE_ARG(transfers));
}

static inline void assert_same_text(struct slice a, struct slice b)
{
    if (!slice_equal(a, b)) {
        fail_msg("rows differ:\n%.*s--\n%.*s", SLICE_ARG(a), SLICE_ARG(b));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

#endif
