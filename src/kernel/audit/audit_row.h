/*
 * audit_row.h: one row of the audit log as it is hashed. Private to kernel/audit.
 */
#ifndef KERNEL_AUDIT_AUDIT_ROW_H
#define KERNEL_AUDIT_AUDIT_ROW_H

#include "kernel/audit/audit.h"

struct audit_row {
    struct slice id;
    int64_t created_usec;
    int64_t actor_kind;
    struct slice actor;
    struct slice action;
    struct slice subject;
    int64_t outcome;
    struct slice details;
    bool has_request;
    struct slice request_id;
    bool has_job;
    int64_t job_id;
    bool has_transaction;
    struct slice transaction_id;
    uint64_t seq; /* 0: not sealed */
    struct hash hash;
};

/* audit_row_take reads the current row of one of the list statements. Owns: the arena. */
void audit_row_take(struct store_query *q, struct arena *arena, struct audit_row *out);

/*
 * audit_row_hash computes the hash of a row at a place of the chain. Owns: `scratch` keeps what it
 * needed for that. Errors: ERR_CORRUPT (details that are no JSON).
 */
enum err audit_row_hash(struct arena *scratch, const struct hash *before,
                        const struct audit_row *row, uint64_t seq, struct hash *out,
                        struct why *why) ERR_CHECKED;

/* The one action of this module: rows were let go. */
extern const struct audit_action audit_pruned;

#endif
