/*
 * ledger_audit.h: what the two passes of the audit share. Private to kernel/ledger.
 *
 * ledger_audit.c goes over accounts and books, ledger_audit_transfer.c over the transfers by
 * themselves. Both add each row that they see to one digest.
 */
#ifndef KERNEL_LEDGER_LEDGER_AUDIT_H
#define KERNEL_LEDGER_LEDGER_AUDIT_H

#include "kernel/ledger/ledger_rules.h"

struct audit {
    struct store_tx *tx;
    ledger_book_fn each;
    void *each_ctx;
    bool books_only; /* transfers are not read: sums of the rows of accounts alone */
    struct ledger_report report;
    struct arena row; /* the row that is being added to the digest */
    struct ledger_wide digest;
};

/* audit_found counts a finding and remembers the first. */
void audit_found(struct audit *audit, enum ledger_finding finding, struct slice book,
                 struct slice path, struct slice id);

/* A row on its way into the digest: each value with its length, so that none can lend to another.
 */
struct audit_digest {
    struct audit *audit;
    struct buf bytes;
};

/* audit_digest_begin begins a row of the table that `tag` stands for. */
void audit_digest_begin(struct audit_digest *d, struct audit *audit, uint8_t tag);
/* audit_digest_text adds a text. */
void audit_digest_text(struct audit_digest *d, struct slice text);
/* audit_digest_i64 adds an integer or a time. */
void audit_digest_i64(struct audit_digest *d, int64_t value);
/* audit_digest_u256 adds an amount. */
void audit_digest_u256(struct audit_digest *d, struct u256 value);
/* audit_digest_end adds the row to the digest. */
void audit_digest_end(struct audit_digest *d);

/* audit_transfers goes over all transfers. Errors: as ledger_audit. */
enum err audit_transfers(struct audit *audit, struct why *why) ERR_CHECKED;

#endif
