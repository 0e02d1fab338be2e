/*
 * ledger_store.h: rows of the ledger and their structs. Private to kernel/ledger.
 */
#ifndef KERNEL_LEDGER_LEDGER_STORE_H
#define KERNEL_LEDGER_LEDGER_STORE_H

#include "kernel/ledger/ledger_rules.h"

/* A stored transfer, as far as the rules need it. */
struct ledger_stored {
    bool found;
    struct slice book;
    struct slice debit;
    struct slice credit;
    uint64_t origin;
    bool held;
    struct u256 amount;
    struct u256 posted;
    enum ledger_state state;
    struct slice kind;
    struct slice cause;
};

/* What is written when a transfer is made. */
struct ledger_made {
    const struct ledger_transfer *transfer;
    uint64_t origin;
    bool held;
    int64_t when_usec;
    int64_t debit_entry;
    int64_t credit_entry;
};

/*
 * ledger_accounts_load locks and reads the rows of accounts whose book and path are set, sorted by
 * these. Unopened ones keep their flags. Errors: ERR_CORRUPT, ERR_DB.
 */
enum err ledger_accounts_load(struct store_tx *tx, struct arena *scratch, uint64_t origin,
                              struct ledger_account *accounts, size_t count,
                              struct why *why) ERR_CHECKED;
/* ledger_accounts_save writes `mine` of those that changed. Errors: ERR_DB_BUSY, ERR_DB. */
enum err ledger_accounts_save(struct store_tx *tx, uint64_t origin,
                              const struct ledger_account *accounts, size_t count,
                              struct why *why) ERR_CHECKED;
/* ledger_account_sum sums the rows of an account without locking them. Errors: as above. */
enum err ledger_account_sum(struct store_tx *tx, struct slice book, struct slice path,
                            struct ledger_balance *out, struct why *why) ERR_CHECKED;

/* ledger_transfers_find reads transfers by id; `found` says which there are. Owns: the arena. */
enum err ledger_transfers_find(struct store_tx *tx, struct arena *arena, const struct slice *ids,
                               size_t count, struct ledger_stored *out,
                               struct why *why) ERR_CHECKED;
/* ledger_transfers_add writes those whose ids do not exist, and says how many. Errors: ERR_DB. */
enum err ledger_transfers_add(struct store_tx *tx, const struct ledger_made *made, size_t count,
                              int64_t *out_added, struct why *why) ERR_CHECKED;
/* ledger_transfer_close posts or voids a pending one. Errors: ERR_DB_BUSY (not pending), ERR_DB. */
enum err ledger_transfer_close(struct store_tx *tx, struct slice id, enum ledger_state state,
                               struct u256 posted, uint64_t closer, int64_t when_usec,
                               struct why *why) ERR_CHECKED;

/* ledger_row_read reads the totals out of a row that is being stepped through. */
void ledger_row_read(struct store_query *q, struct ledger_row *out);

#endif
