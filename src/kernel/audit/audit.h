/*
 * audit.h: who did what, written down with what was done, so that nobody can change it unseen.
 *
 * What it owns
 *   The table `audit_log` and the one row of `audit_head`. A row says who (actor), what (action, a
 *   row of a module's table), on what (subject: "lease/L-1"), with which outcome, the facts of it
 *   (details: a JSON object without secrets), which request, job or transaction it belongs to, and
 *   when. audit_write puts it into the transaction of the change that it records: both are there or
 *   neither is.
 *
 *   Audited are decisions: what callers and operators asked for and got, what the engine signed and
 *   sent, what became of it, and what stops or takes back the chain. Not audited are events as they
 *   are applied: `blockchain_events` has them, they can be read again from the chain, and a
 *   reorganisation takes them back, while a row of the audit log is never undone. So what an
 *   orphaned block had caused stays on record, followed by the row that says that it was taken
 * back.
 *
 * The chain of hashes
 *   A row is written unsealed. The sealer, a thread, takes what is committed in the order of time,
 *   in bounded batches, and gives each row the next number and
 *       hash(n) = SHA-256(hash(n-1) || canonical(n)),   hash(0) = 32 zero bytes,
 *   where canonical(n) is the RFC 8785 text of the object {"action", "actor", "actorKind",
 *   "createdAt" (microseconds), "details", "id", "jobId", "outcome", "requestId", "seq", "subject",
 *   "transactionId"}, with null for what is absent. Numbers have no gaps. Writers never wait for
 *   each other over the chain: docs/decisions/0013-audit-sealed-after.md says why it is so.
 *
 *   unsealed ──audit_seal──▶ sealed (seq, hash) ──audit_prune──▶ gone, the anchor has its hash
 *
 *   A batch moves the head first, and only from where it was seen (compare and set on one row);
 * then it seals its rows in the same transaction. Of several sealers, in whatever processes, one
 * moves the head and the others find it moved and look again. Triggers refuse every other change of
 * a row, and its deletion before the anchor has passed it.
 *
 *   Who owns the database can drop triggers and write a whole new chain; who can write a row before
 *   it is sealed, or take it away, leaves no trace. Therefore the head is shown where others keep
 * it (metric, /health, log): a chain that does not lead to a head that a witness holds was
 * rewritten.
 *
 * A crash leaves unsealed rows, which the next round seals; a batch is there or not.
 *
 * Threads: audit_write is called inside transactions, from any thread. One sealer a process.
 */
#ifndef KERNEL_AUDIT_AUDIT_H
#define KERNEL_AUDIT_AUDIT_H

#include "kernel/base/config.h"
#include "kernel/base/json.h"
#include "kernel/crypto/hash.h"
#include "kernel/store/store.h"

struct audit_action {
    const char *name; /* "relay.signed" */
    const char *doc;
};

struct audit_table {
    const struct audit_action *actions;
    size_t count;
};

/* Stored: numbers are append-only. */
enum audit_actor {
    AUDIT_SYSTEM = 1,   /* the engine by itself; the name is the part of it */
    AUDIT_CALLER = 2,   /* somebody over the API; the name is the principal, "" without one */
    AUDIT_OPERATOR = 3, /* somebody at the command line; the name of the system's user */
    AUDIT_CHAIN = 4,    /* a block; the name is the chain's id */
};

enum audit_outcome {
    AUDIT_DONE = 1,
    AUDIT_REFUSED = 2, /* by a rule, before anything was done */
    AUDIT_FAILED = 3,  /* tried, and did not come about */
};

struct audit_entry {
    const struct audit_action *action;
    enum audit_actor actor_kind;
    struct slice actor;
    struct slice subject;       /* "kind/id" */
    enum audit_outcome outcome; /* 0: done */
    struct slice details;       /* a JSON object; empty: {} */
    struct slice request_id;    /* empty: none */
    int64_t job_id;             /* 0: none */
    struct slice transaction_id;
};

/* audit_write records a change in its transaction. Errors: those of the store. */
enum err audit_write(struct store_tx *tx, const struct audit_entry *entry,
                     struct why *why) ERR_CHECKED;
/* audit_write_many is audit_write for many changes of one transaction, in their order. */
enum err audit_write_many(struct store_tx *tx, const struct audit_entry *entries, size_t count,
                          struct why *why) ERR_CHECKED;

/* ---- the head ---- */

struct audit_place {
    uint64_t seq; /* 0: before the first row */
    struct hash hash;
};

#define AUDIT_PLACE_TEXT_MAX (21 + 2 * HASH_BYTES + 3)

/* audit_place_format writes "SEQ:0xHASH" and a NUL. */
void audit_place_format(const struct audit_place *place, char out[AUDIT_PLACE_TEXT_MAX]);
/* audit_place_parse reads what audit_place_format wrote. Errors: ERR_INVALID_FIELD. */
enum err audit_place_parse(struct slice text, struct audit_place *out) ERR_CHECKED;

struct audit_head {
    struct audit_place place;  /* of the newest sealed row */
    struct audit_place anchor; /* before the oldest row that was kept */
    int64_t sealed_usec;
};

/* audit_head_read reads both ends of the chain. Errors: those of the store. */
enum err audit_head_read(struct store_tx *tx, struct audit_head *out, struct why *why) ERR_CHECKED;

/* ---- sealing ---- */

/*
 * audit_seal seals at most one batch and says how many rows; 0 when nothing waits, or when another
 * sealer was faster. Errors: those of the store.
 */
enum err audit_seal(struct store *store, uint64_t *out_rows, struct why *why) ERR_CHECKED;

struct audit_config {
    int64_t seal_usec;      /* how long rows are gathered before they are sealed */
    int64_t retention_usec; /* 0: kept for ever */
};

/* audit_config_rows are the rows of section "audit". */
extern const struct config_row audit_config_rows[];
extern const size_t audit_config_row_count;

struct audit_sealer;

/* audit_sealer_start starts the thread. Owns: the caller, audit_sealer_stop. Errors: ERR_IO. */
enum err audit_sealer_start(struct store *store, const struct audit_config *config,
                            struct audit_sealer **out, struct why *why) ERR_CHECKED;
/* audit_sealer_stop seals what is left, ends the thread and frees; NULL is fine. */
void audit_sealer_stop(struct audit_sealer *sealer);

/* audit_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void audit_metrics_register(void);

/*
 * audit_prune lets the oldest rows go: the longest run from the beginning of the chain that was
 * written before `before_usec`. It moves the anchor and records that in one transaction, and then
 * deletes in bounded ones, so that a crash leaves rows which nobody needs and the next call
 * deletes. Errors: those of the store.
 */
enum err audit_prune(struct store *store, int64_t before_usec, uint64_t *out_rows,
                     struct why *why) ERR_CHECKED;

/* ---- verifying ---- */

enum audit_finding {
    AUDIT_SOUND,
    AUDIT_MISSING,    /* no row has this number, but later ones are there */
    AUDIT_REPEATED,   /* another row has the same number */
    AUDIT_CHANGED,    /* the row's hash does not follow from it and from the row before */
    AUDIT_REORDERED,  /* the row that belongs here stands elsewhere */
    AUDIT_TRUNCATED,  /* the chain ends before the head */
    AUDIT_APPENDED,   /* rows follow the head */
    AUDIT_REWRITTEN,  /* the chain is right in itself but does not have the head that was given */
    AUDIT_UNANCHORED, /* rows were let go, and no row of the chain says so */
    AUDIT_FINDINGS
};

struct audit_report {
    enum audit_finding found; /* the first thing that is wrong */
    uint64_t seq;             /* where */
    uint64_t other_seq;       /* reordered: where the row stands that belongs there */
    char id[64];              /* of the row that stands at `seq`; "" without one */
    uint64_t rows;            /* of the chain that were read, up to the first wrong one */
    uint64_t unsealed;        /* rows that are not sealed yet */
    struct audit_head head;
};

/* audit_finding_name is the word for programs ("changed"). */
const char *audit_finding_name(enum audit_finding finding);
/* audit_finding_text is a sentence about a report, for people, in the arena. */
struct slice audit_finding_text(struct arena *arena, const struct audit_report *report);

/*
 * audit_verify computes the chain again from the anchor on, in memory that does not grow with it,
 * and compares it with the head and, if not NULL, with a head that somebody else kept. What is
 * wrong is in the report. Errors: those of the store, ERR_CORRUPT (a row that cannot be read).
 */
enum err audit_verify(struct store_tx *tx, const struct audit_place *witness,
                      struct audit_report *out, struct why *why) ERR_CHECKED;

/*
 * audit_verify_recent does so for at most `rows_max` rows before the head, in the time that these
 * take; the hash of the row before them is believed. Errors: as audit_verify.
 */
enum err audit_verify_recent(struct store_tx *tx, uint64_t rows_max, struct audit_report *out,
                             struct why *why) ERR_CHECKED;

/* ---- reference ---- */

/* audit_own_table has this module's actions. */
struct audit_table audit_own_table(void);
/* audit_reference appends the Markdown table of all actions; duplicates are a bug. */
void audit_reference(const struct audit_table *tables, size_t table_count, struct buf *out);

#endif
