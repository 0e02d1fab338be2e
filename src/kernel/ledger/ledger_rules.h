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

/* ledger_sum_row adds the row of one origin to a balance. Errors: ERR_OVERFLOW. */
enum err ledger_sum_row(struct ledger_balance *sum, struct u256 released[2],
                        const struct ledger_row *row) ERR_CHECKED;
/* ledger_sum_end takes what was released off what is pending. Errors: ERR_OVERFLOW. */
enum err ledger_sum_end(struct ledger_balance *sum, const struct u256 released[2]) ERR_CHECKED;

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
