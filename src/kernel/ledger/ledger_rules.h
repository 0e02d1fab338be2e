/*
 * ledger_rules.h: what a transfer does to the totals of an account. Pure: no database, no clock.
 *
 * An account in memory is the row of the origin that moves (`mine`) and the sum over the rows of
 * all origins (`sum`). Every function changes both or, when it fails, neither.
 */
#ifndef KERNEL_LEDGER_LEDGER_RULES_H
#define KERNEL_LEDGER_LEDGER_RULES_H

#include "kernel/ledger/ledger.h"

enum ledger_side {
    LEDGER_DEBIT,
    LEDGER_CREDIT,
};

struct ledger_total {
    struct u256 pending;  /* holds of this origin that it has not ended itself */
    struct u256 released; /* holds of the engine that this chain has ended */
    struct u256 posted;
};

struct ledger_row {
    struct ledger_total side[2];
    int64_t entries;
};

struct ledger_account {
    struct slice book;
    struct slice path;
    unsigned flags;
    bool open;   /* some row of it is stored */
    bool stored; /* `mine` is */
    bool changed;
    struct ledger_row mine;
    struct ledger_balance sum;
};

/* ledger_check_transfer validates what the caller gave. Errors: as ledger_post. */
enum err ledger_check_transfer(const struct ledger_transfer *t, struct why *why) ERR_CHECKED;

/*
 * The sums over the rows of an account on the way. They may leave 256 bits where the account does
 * not: what one origin holds and another has ended is in both of their rows.
 */
struct ledger_sums {
    struct ledger_wide pending[2];
    struct ledger_wide released[2];
    struct ledger_wide posted[2];
};

/* ledger_sums_add adds the row of one origin. */
void ledger_sums_add(struct ledger_sums *sums, const struct ledger_row *row);
/*
 * ledger_sums_end makes the balance. A reorganisation may bring back a hold that the engine took
 * for ended, and with it a total beyond 256 bits, which is then told as 2^256 - 1: new transfers
 * are refused as they should be, and the rows, which are what is stored, know better.
 * Errors: ERR_CORRUPT (more was ended than was held).
 */
enum err ledger_sums_end(const struct ledger_sums *sums, struct ledger_balance *out) ERR_CHECKED;

/* ledger_wide_add adds to a wide sum. */
void ledger_wide_add(struct ledger_wide *sum, struct u256 value);
/* ledger_wide_sub takes off a wide sum; false, and nothing done, when it would be negative. */
bool ledger_wide_sub(struct ledger_wide *sum, const struct ledger_wide *value);
/* ledger_wide_equal compares. */
bool ledger_wide_equal(const struct ledger_wide *a, const struct ledger_wide *b);

/* ledger_account_hold adds a pending amount to a side. Errors: ERR_OVERFLOW. */
enum err ledger_account_hold(struct ledger_account *a, enum ledger_side side,
                             struct u256 amount) ERR_CHECKED;
/* ledger_account_post adds a posted amount to a side. Errors: ERR_OVERFLOW. */
enum err ledger_account_post(struct ledger_account *a, enum ledger_side side,
                             struct u256 amount) ERR_CHECKED;
/*
 * ledger_account_close ends a hold of `held` and posts `posted` of it (zero when voided). `own`
 * says whether the hold is of the origin that closes it. Errors: ERR_OVERFLOW.
 */
enum err ledger_account_close(struct ledger_account *a, enum ledger_side side, bool own,
                              struct u256 held, struct u256 posted) ERR_CHECKED;

/* ledger_is_overdrawn says whether debits, pending ones included, exceed posted credits. */
bool ledger_is_overdrawn(const struct ledger_balance *balance);

#endif
