/*
 * chain_reconcile.h: looks whether the rows say what the chain says, by asking it.
 *
 * Where chain_compare reads every log again and rebuilding (ops_reindex.h) every effect, this asks
 * contracts for their state and rows for each other, a bounded part at a time, so that it may run
 * every few hours beside the work: an event without its record, a record without its event, a state
 * that differs from what a contract answers. What can differ is the domain's: it gives rules, which
 * are rows like everything else. What a rule finds is counted (metric), logged, and recorded in the
 * audit log. It is not repaired by itself: a state that differs has a cause, and who repairs it
 * unseen hides it. `freehold reconcile --fix` repairs, in one of two ways that the rule names.
 *
 * A rule reads rows and the cursor in one snapshot and asks for the state after the cursor's block.
 * What differs is only believed when that block is still on the chain afterwards; otherwise a
 * reorganisation was in between, and the next run looks again.
 *
 * Threads: the caller's; nothing is kept between runs.
 */
#ifndef KERNEL_CHAIN_CHAIN_RECONCILE_H
#define KERNEL_CHAIN_CHAIN_RECONCILE_H

#include "kernel/audit/audit.h"
#include "kernel/jobs/jobs.h"
#include "kernel/rpc/rpc.h"
#include "kernel/store/store.h"

/* Findings of one rule that are kept; more of them are of the same kind. */
#define CHAIN_FINDINGS_MAX 100

enum chain_repair {
    CHAIN_REPAIR_REBUILD, /* rows that follow from the chain alone: they are built again from it */
    CHAIN_REPAIR_ROW,     /* the rule's `fix`, for a row of users that events set columns in */
    CHAIN_REPAIR_HUMAN,   /* somebody has to decide */
};

struct chain_reconciling;
struct chain_finding;

struct chain_rule {
    const char *name; /* "leasing.holder_balance" */
    const char *doc;  /* what must be so */
    enum chain_repair repair;
    const char *repair_doc;
    /* Looks, and calls chain_found for what is not so. Errors: of stores and nodes. */
    enum err (*look)(struct chain_reconciling *r, struct why *why);
    /* Repairs a finding; NULL when it is not CHAIN_REPAIR_ROW. */
    enum err (*fix)(struct store_tx *tx, const struct chain_finding *finding, void *ctx,
                    struct why *why);
};

struct chain_finding {
    const struct chain_rule *rule;
    struct slice subject; /* "asset/SAT-1": what `fix` finds it by */
    struct slice what;    /* a sentence */
};

struct chain_reconciler {
    struct store *store;
    struct rpc_pool *rpc;
    uint64_t chain_id;
    const struct chain_rule *rules;
    size_t rule_count;
    void *ctx; /* of the rules */
};

/* One run, as a rule sees it. */
struct chain_reconciling {
    const struct chain_reconciler *reconciler;
    struct arena *arena;
    bool sampled;   /* begin anywhere: all rows are looked at in the course of time */
    uint64_t limit; /* rows that a rule asks the chain about, at most */
    uint64_t block; /* of the last snapshot; see chain_reconcile_at */
    struct hash hash;
    const struct chain_rule *rule; /* whose turn it is */
    struct chain_finding *findings;
    size_t count;
    size_t cap;
    size_t rule_found; /* by this rule so far */
    uint64_t looked;   /* rows, by all rules */
};

/* chain_reconcile_at notes the cursor of the snapshot that `tx` reads. Errors: ERR_NOT_FOUND. */
enum err chain_reconcile_at(struct store_tx *tx, struct chain_reconciling *r,
                            struct why *why) ERR_CHECKED;
/*
 * chain_reconcile_holds says whether the block of the last snapshot is on the chain still: what was
 * found since then is forgotten when it is not. Errors: of nodes.
 */
enum err chain_reconcile_holds(struct chain_reconciling *r, size_t findings_before, bool *out,
                               struct why *why) ERR_CHECKED;
/* chain_found notes something that is not as the rule says. The texts are copied. */
void chain_found(struct chain_reconciling *r, struct slice subject, struct slice what);

/*
 * chain_reconcile_run has all rules look, and records what they find: one row of the audit log for
 * the run and one for each of the first findings. Owns: the arena. Errors: ERR_NOT_FOUND (nothing
 * was applied), of stores and nodes.
 */
enum err chain_reconcile_run(const struct chain_reconciler *reconciler, bool sampled,
                             struct slice by, struct arena *arena, struct chain_reconciling *out,
                             struct why *why) ERR_CHECKED;

/* chain_reconcile_fix repairs a finding of a rule with `fix`, and records it. Errors: of `fix`. */
enum err chain_reconcile_fix(const struct chain_reconciler *reconciler,
                             const struct chain_finding *finding, struct slice by,
                             struct why *why) ERR_CHECKED;

/* chain_reconcile_job_table has the job that looks; `reconciler` lives as long as it. */
struct job_table chain_reconcile_job_table(struct chain_reconciler *reconciler);
/* chain_reconcile_audit_table has the actions that are recorded (kernel/audit/audit.h). */
struct audit_table chain_reconcile_audit_table(void);
/* chain_reconcile_metrics_register makes the metric rows part of /metrics and the reference. */
void chain_reconcile_metrics_register(void);

#endif
