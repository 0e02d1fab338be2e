/*
 * ledger.h: double-entry accounts and transfers: every balance in the system.
 *
 * An account belongs to one book (a string such as "usdc/31337" that names what is counted) and has
 * a path ("leasing/asset/7/revenue", "leasing/holder/0x…/claimable"). A transfer moves an amount
 * from one account (debit) to another (credit) of the same book and is immutable but for its state.
 * Available = credits posted - debits posted - debits pending.
 *
 * Transfer states, who moves them:
 *
 *   (none) --ledger_post--> POSTED
 *   (none) --ledger_hold--> PENDING --ledger_settle--> POSTED   (amount may be less: rest freed)
 *                              '------ledger_void----> VOIDED
 *
 * What was booked stays: triggers refuse to change a transfer but for the end of its hold, an
 * account but for its totals, and to delete either; only the undo log passes (migration 13). A hold
 * has no deadline of its own: whoever holds knows why, and the job or event that ends the reason
 * voids the hold in the same transaction.
 *
 * Invariants (ledger_audit proves them from the transfers)
 *   - for each book the sum of credits equals the sum of debits, posted and pending;
 *   - each account's stored totals equal the sums of its transfers;
 *   - an account flagged LEDGER_NO_OVERDRAFT never has debits (posted + pending) above its posted
 *     credits;
 *   - a transfer id exists once: a repeat with equal content is OK and changes nothing, with other
 *     content it is ERR_IDEMPOTENCY_MISMATCH.
 *
 * Transactions
 *   All functions run inside the caller's transaction, so that a balance moves together with the
 *   state that explains it, or not at all. Several transfers of one call are linked: all or none,
 *   judged in their order, each against the balances that the ones before it leave; when one of
 *   them exists already all must. A refused call has written nothing; after an ERR_DB… the
 *   transaction can only be rolled back. ERR_DB_BUSY means that another transaction opened the
 *   same account or took the same id in this moment: run the transaction again.
 *
 * The chain and the engine
 *   What an apply step moves is undone when its block is orphaned, what the engine moves on its own
 *   (a hold for a claim that was submitted) is not, and both touch the same accounts. So an account
 *   has a row of totals for each origin: 0 for the engine, the chain id for each chain. An apply
 *   step (store_undo_begin) writes rows of its chain only, therefore the undo log restores them
 *   exactly whatever happened beside them, and the rows of a chain equal those of a fresh index.
 *   A balance is the sum over the rows. What follows:
 *   - a chain may settle or void its own holds and the engine's; the engine may end only its own
 *     (ERR_CONFLICT), because the chain's may vanish;
 *   - in an apply step `when_usec` must be given (the block's time): a fresh index must write equal
 *     rows;
 *   - a reorg may leave an account with more debits than credits when the engine spent what the
 *     orphaned block had credited: nothing is refused at that moment, ledger_available is zero, new
 *     debits are refused and ledger_audit finds it LEDGER_OVERDRAWN.
 *
 * Limits: paths LEDGER_PATH_MAX, books LEDGER_BOOK_MAX, ids and causes LEDGER_ID_MAX, kinds
 * LEDGER_KIND_MAX bytes of [A-Za-z0-9/_.:-]; segments between slashes are never empty. Totals are
 * 256-bit and checked; a transfer that would leave the range is ERR_OVERFLOW.
 *
 * Threads: as the transaction. Rows are locked in the order of (book, path), so that two
 * transactions that move money between the same accounts wait for each other and never deadlock.
 * A call costs five statements or six however many transfers it links; who writes to one account
 * often gathers (docs/decisions/0015-hot-accounts.md).
 */
#ifndef KERNEL_LEDGER_LEDGER_H
#define KERNEL_LEDGER_LEDGER_H

#include "kernel/base/json.h"
#include "kernel/crypto/hash.h"
#include "kernel/store/store.h"

#define LEDGER_PATH_MAX 200
#define LEDGER_BOOK_MAX 64
#define LEDGER_ID_MAX 200
#define LEDGER_KIND_MAX 64

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
    struct slice credit;  /* path of the account that receives; another one */
    unsigned debit_flags; /* flags for accounts opened by this transfer */
    unsigned credit_flags;
    struct u256 amount; /* above zero */
    struct slice kind;  /* "leasing.revenue_credited" */
    struct slice cause; /* what explains it: "tx/0x…/12", "job/…" */
    int64_t when_usec;  /* when it happened: the block's time in an apply step; 0: now */
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
    struct u256 amount; /* what was posted when POSTED, else what was asked for */
    struct slice kind;
    struct slice cause;
    enum ledger_state state;
    int64_t created_usec;
    int64_t closed_usec; /* when it was posted or voided; 0 while PENDING */
};

/*
 * ledger_post posts linked transfers. Errors: ERR_INSUFFICIENT_FUNDS (names the account),
 * ERR_IDEMPOTENCY_MISMATCH, ERR_INVALID_AMOUNT (zero), ERR_INVALID_FIELD (an id, book, path, kind
 * or cause that breaks the limits, debit and credit the same), ERR_OVERFLOW, ERR_DB, ERR_DB_BUSY.
 */
enum err ledger_post(struct store_tx *tx, const struct ledger_transfer *transfers, size_t count,
                     struct why *why) ERR_CHECKED;

/* ledger_hold creates linked pending transfers. Errors: as ledger_post. */
enum err ledger_hold(struct store_tx *tx, const struct ledger_transfer *transfers, size_t count,
                     struct why *why) ERR_CHECKED;

/*
 * ledger_settle posts a pending transfer for `amount` (at most what is pending; the rest is freed).
 * Settling a posted one with the same amount again is OK. `when_usec` as in ledger_transfer.
 * Errors: ERR_NOT_FOUND, ERR_CONFLICT (voided, posted with another amount, or a chain's and this is
 * not an apply step of that chain), ERR_INVALID_AMOUNT (zero: void it), ERR_OVERFLOW (more than is
 * pending).
 */
enum err ledger_settle(struct store_tx *tx, struct slice id, struct u256 amount, int64_t when_usec,
                       struct why *why) ERR_CHECKED;

/*
 * ledger_void frees a pending transfer; voiding twice is OK. `when_usec` as in ledger_transfer.
 * Errors: ERR_NOT_FOUND, ERR_CONFLICT (posted, or a chain's as in ledger_settle).
 */
enum err ledger_void(struct store_tx *tx, struct slice id, int64_t when_usec,
                     struct why *why) ERR_CHECKED;

/* ledger_balance_read reads an account; an unopened one has zeros. Errors: ERR_DB. */
enum err ledger_balance_read(struct store_tx *tx, struct slice book, struct slice path,
                             struct ledger_balance *out, struct why *why) ERR_CHECKED;

/* ledger_available is credits posted - debits posted - debits pending; zero when negative. */
struct u256 ledger_available(const struct ledger_balance *balance);

/*
 * ledger_entries lists transfers of an account, oldest first, from the one behind the transfer
 * `after` (empty: from the first). Owns: the arena. Errors: ERR_NOT_FOUND (`after` is not a
 * transfer of the account), ERR_DB.
 */
enum err ledger_entries(struct store_tx *tx, struct arena *arena, struct slice book,
                        struct slice path, struct slice after, size_t limit,
                        struct ledger_entry **out, size_t *out_count, struct why *why) ERR_CHECKED;

/* ---- for operators ---- */

/* An account as operators see it. */
struct ledger_account_info {
    struct slice book;
    struct slice path;
    unsigned flags;
    struct ledger_balance balance;
    int64_t entries;
};

struct ledger_accounts_ask {
    struct slice book;       /* "": of every book */
    struct slice prefix;     /* of the path; "": all */
    struct slice after_book; /* the account before the first one that is wanted; "": none */
    struct slice after_path;
    size_t limit;
};

/*
 * ledger_accounts lists accounts in the order of the database's (book, path). Owns: the arena.
 * Errors: ERR_CORRUPT, ERR_DB.
 */
enum err ledger_accounts(struct store_tx *tx, struct arena *arena,
                         const struct ledger_accounts_ask *ask, struct ledger_account_info **out,
                         size_t *out_count, struct why *why) ERR_CHECKED;

/*
 * ledger_account_get reads one account, whose names are lent. Errors: ERR_NOT_FOUND (unopened),
 * ERR_CORRUPT, ERR_DB.
 */
enum err ledger_account_get(struct store_tx *tx, struct slice book, struct slice path,
                            struct ledger_account_info *out, struct why *why) ERR_CHECKED;

/* ledger_account_json writes an account for the API. */
void ledger_account_json(struct json_out *j, const struct ledger_account_info *account);

/* ledger_entry_json writes an entry for the API. */
void ledger_entry_json(struct json_out *j, const struct ledger_entry *entry);

/* ledger_state_text returns "pending", "posted" or "voided". */
const char *ledger_state_text(enum ledger_state state);

/* ---- the proof ---- */

/* What the audit may find. Counted are accounts, books and transfers, each once a finding. */
enum ledger_finding {
    LEDGER_SOUND,             /* nothing */
    LEDGER_TOTALS_WRONG,      /* account: stored totals differ from the sums of its transfers */
    LEDGER_NUMBERS_WRONG,     /* account: entries of an origin are not numbered 1, 2, 3, … */
    LEDGER_FLAGS_DIFFER,      /* account: its origins do not agree about the flags */
    LEDGER_OVERDRAWN,         /* account: LEDGER_NO_OVERDRAFT and below zero */
    LEDGER_BOOK_UNBALANCED,   /* book: stored credits differ from stored debits */
    LEDGER_TRANSFER_ORPHANED, /* transfer: an account that it moved has no row for it */
    LEDGER_TRANSFER_BROKEN,   /* transfer: state, amounts, origin and times contradict each other */
    LEDGER_FINDINGS,          /* how many there are */
};

/* A sum over accounts may leave 256 bits where no account does: carries * 2^256 + low. */
struct ledger_wide {
    struct u256 low;
    uint64_t carries;
};

#define LEDGER_WIDE_TEXT_MAX 98

/* The sums over the accounts of a book; `book` is lent for the call. */
struct ledger_book {
    struct slice book;
    uint64_t accounts;
    struct ledger_wide debits_pending;
    struct ledger_wide debits_posted;
    struct ledger_wide credits_pending;
    struct ledger_wide credits_posted;
};

struct ledger_report {
    uint64_t books;
    uint64_t accounts;
    uint64_t transfers;
    uint64_t entries; /* two a transfer, unless an account is missing */
    uint64_t found[LEDGER_FINDINGS];
    /*
     * Of all rows, whatever their order: SHA-256 over the sum modulo 2^256 of the SHA-256 of each.
     * Equal content has equal digests on both databases. It finds what a copy lost or changed; who
     * may choose rows at will could make two contents meet.
     */
    struct hash digest;
    enum ledger_finding first;
    char first_book[LEDGER_BOOK_MAX + 1];
    char first_path[LEDGER_PATH_MAX + 1]; /* "" when it is not an account */
    char first_id[LEDGER_ID_MAX + 1];     /* "" when it is not a transfer */
};

typedef void (*ledger_book_fn)(void *ctx, const struct ledger_book *book);

/*
 * ledger_audit recomputes everything from the transfers, in memory that does not grow with them;
 * what it reads is one snapshot, so that it may run beside a daemon at work. `each` (NULL: nobody)
 * is told each book. What it found is in the report, not in the result. Errors: ERR_DB,
 * ERR_CORRUPT (a value that cannot be read at all).
 */
enum err ledger_audit(struct store_tx *tx, ledger_book_fn each, void *ctx,
                      struct ledger_report *out, struct why *why) ERR_CHECKED;

/*
 * ledger_audit_books is the cheap part of ledger_audit: it adds up the rows of accounts and finds
 * books whose credits differ from their debits, nothing else. Of the report only books, accounts
 * and that finding are filled in. Errors: as ledger_audit.
 */
enum err ledger_audit_books(struct store_tx *tx, struct ledger_report *out,
                            struct why *why) ERR_CHECKED;

/* ledger_finding_name returns the name of a finding in JSON: "totalsWrong". */
const char *ledger_finding_name(enum ledger_finding finding);

/* ledger_finding_text says what was found: "accounts whose totals differ from …". */
const char *ledger_finding_text(enum ledger_finding finding);

/* ledger_wide_format writes decimal digits; returns their number. */
size_t ledger_wide_format(struct ledger_wide value, char out[LEDGER_WIDE_TEXT_MAX]);

#endif
