/*
 * ledger.h: double-entry accounts and transfers: every balance in the system.
 *
 * An account belongs to one book (a string such as "usdc/31337" that names what is counted) and has
 * a path ("leasing/asset/7/revenue", "leasing/holder/0x…/claimable"). A transfer moves an amount
 * from one account (debit) to another (credit) of the same book and is immutable. Available =
 * credits posted - debits posted - debits pending.
 *
 * Transfer states, who moves them:
 *
 *      (none) --ledger_post-----> POSTED
 *      (none) --ledger_hold-----> PENDING --ledger_settle--> POSTED  (amount may be less: rest
 * freed) PENDING --ledger_void----> VOIDED
 *
 * Invariants (ledger_audit proves them from the entries): for each book the sum of credits equals
 * the sum of debits; each account's stored totals equal the sums of its entries; an account
 * flagged LEDGER_NO_OVERDRAFT never has debits (posted + pending) above its posted credits; a
 * transfer id exists once (a repeat with equal content is OK, with other content
 * ERR_IDEMPOTENCY_MISMATCH).
 *
 * All functions run inside the caller's transaction, so that a balance moves together with the
 * state that explains it, or not at all. Several transfers of one call are linked: all or none.
 */
#ifndef KERNEL_LEDGER_LEDGER_H
#define KERNEL_LEDGER_LEDGER_H

#include "kernel/store/store.h"

#define LEDGER_PATH_MAX 200
#define LEDGER_BOOK_MAX 64

enum ledger_flags {
    LEDGER_NO_OVERDRAFT = 1,
};

/* Stored: numbers are append-only. */
enum ledger_state {
    LEDGER_PENDING = 1,
    LEDGER_POSTED = 2,
    LEDGER_VOIDED = 3,
};

struct ledger_transfer {
    struct slice id;      /* unique text, chosen by the caller: the idempotency key */
    struct slice book;    /* of both accounts */
    struct slice debit;   /* path of the account that gives; opened on first use */
    struct slice credit;  /* path of the account that receives */
    unsigned debit_flags; /* flags for accounts opened by this transfer */
    unsigned credit_flags;
    struct u256 amount; /* above zero */
    struct slice kind;  /* "leasing.revenue_credited" */
    struct slice cause; /* what explains it: "tx/0x…/12", "job/…" */
};

struct ledger_balance {
    struct u256 debits_pending;
    struct u256 debits_posted;
    struct u256 credits_pending;
    struct u256 credits_posted;
};

struct ledger_entry {
    struct slice id;
    struct slice debit;
    struct slice credit;
    struct u256 amount;
    struct slice kind;
    struct slice cause;
    enum ledger_state state;
    int64_t created_usec;
};

/*
 * ledger_post posts linked transfers. Errors: ERR_INSUFFICIENT_FUNDS (names the account),
 * ERR_IDEMPOTENCY_MISMATCH, ERR_INVALID_AMOUNT (zero), ERR_OVERFLOW, ERR_DB.
 */
enum err ledger_post(struct store_tx *tx, const struct ledger_transfer *transfers, size_t count,
                     struct why *why) ERR_CHECKED;

/* ledger_hold creates linked pending transfers. Errors: as ledger_post. */
enum err ledger_hold(struct store_tx *tx, const struct ledger_transfer *transfers, size_t count,
                     struct why *why) ERR_CHECKED;

/*
 * ledger_settle posts a pending transfer for `amount` (at most what is pending; the rest is freed).
 * Settling a posted one with the same amount again is OK.
 * Errors: ERR_NOT_FOUND, ERR_CONFLICT (voided, or posted with another amount), ERR_OVERFLOW.
 */
enum err ledger_settle(struct store_tx *tx, struct slice id, struct u256 amount,
                       struct why *why) ERR_CHECKED;

/* ledger_void frees a pending transfer; voiding twice is OK. Errors: ERR_NOT_FOUND, ERR_CONFLICT.
 */
enum err ledger_void(struct store_tx *tx, struct slice id, struct why *why) ERR_CHECKED;

/* ledger_balance_read reads an account; an unopened one has zeros. Errors: ERR_DB. */
enum err ledger_balance_read(struct store_tx *tx, struct slice book, struct slice path,
                             struct ledger_balance *out, struct why *why) ERR_CHECKED;

/* ledger_available is credits posted - debits posted - debits pending; zero when negative. */
struct u256 ledger_available(const struct ledger_balance *balance);

/*
 * ledger_entries lists transfers of an account, oldest first, `after` an id or empty.
 * Owns: the arena. Errors: ERR_DB.
 */
enum err ledger_entries(struct store_tx *tx, struct arena *arena, struct slice book,
                        struct slice path, size_t limit, struct ledger_entry **out,
                        size_t *out_count, struct why *why) ERR_CHECKED;

struct ledger_report {
    uint64_t books;
    uint64_t accounts;
    uint64_t transfers;
    uint64_t wrong_accounts; /* stored totals differ from entries */
    uint64_t overdrafts;
    uint64_t unbalanced_books;
};

/* ledger_audit recomputes everything from the transfers. Errors: ERR_DB. */
enum err ledger_audit(struct store_tx *tx, struct ledger_report *out, struct why *why) ERR_CHECKED;

#endif
