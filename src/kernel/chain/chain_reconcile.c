#include "kernel/chain/chain_reconcile.h"

#include <pthread.h>

#include "kernel/base/log.h"
#include "kernel/base/metric.h"
#include "kernel/chain/chain.h"

#define FINDING_AUDITS_MAX 20
#define LOOK_ROWS 2000
#define MINUTE_USEC (60 * (int64_t)USEC_PER_SEC)

/* ---- metrics and the audit log ---- */

enum { METRIC_RUNS, METRIC_FOUND, METRIC_COUNT };

static const struct metric_row metric_rows[METRIC_COUNT] = {
    [METRIC_RUNS] = {"freehold_reconcile_runs_total", METRIC_COUNTER,
                     "Runs that compared rows with what the chain says.", NULL},
    [METRIC_FOUND] = {"freehold_reconcile_findings", METRIC_GAUGE,
                      "What the last run found to differ.", NULL},
};

static struct metric_value metrics[METRIC_COUNT];

static void register_rows(void)
{
    metric_register(metric_rows, metrics, METRIC_COUNT);
}

void chain_reconcile_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}

enum { ACTION_RUN, ACTION_FOUND, ACTION_FIXED, ACTION_COUNT };

static const struct audit_action actions[ACTION_COUNT] = {
    [ACTION_RUN] = {"chain.reconciled", "Rows were compared with what the chain says; details have "
                                        "how many were looked at, and what differs."},
    [ACTION_FOUND] = {"chain.difference_found", "A rule found a difference; details have both."},
    [ACTION_FIXED] = {"chain.difference_fixed", "What a rule had found was repaired as it says."},
};

struct audit_table chain_reconcile_audit_table(void)
{
    return (struct audit_table){actions, ACTION_COUNT};
}

struct record {
    const struct audit_action *action;
    struct slice by; /* empty: the engine itself */
    struct slice subject;
    struct slice details;
    bool bad;
};

static enum err write_record(struct store_tx *tx, const struct record *r, struct why *why)
{
    const struct audit_entry entry = {
        .action = r->action,
        .actor_kind = r->by.len > 0 ? AUDIT_OPERATOR : AUDIT_SYSTEM,
        .actor = r->by.len > 0 ? r->by : SLICE_LIT("chain"),
        .subject = r->subject,
        .outcome = r->bad ? AUDIT_FAILED : AUDIT_DONE,
        .details = r->details,
    };
    return audit_write(tx, &entry, why);
}

/* ---- what rules use ---- */

enum err chain_reconcile_at(struct store_tx *tx, struct chain_reconciling *r, struct why *why)
{
    return chain_cursor_read(tx, r->reconciler->chain_id, &r->block, &r->hash, why);
}

enum err chain_reconcile_holds(struct chain_reconciling *r, size_t findings_before, bool *out,
                               struct why *why)
{
    struct arena scratch;
    struct evm_header header;
    if (r->count == findings_before) {
        *out = true;
        return OK;
    }
    arena_init(&scratch, 0);
    enum err e = rpc_header(r->reconciler->rpc, &scratch, r->block, &header, why);
    bool same = e == OK && hash_equal(&header.hash, &r->hash);
    arena_free(&scratch);
    if (e != OK && e != ERR_NOT_FOUND) {
        return e;
    }
    if (!same) {
        r->rule_found -= r->count - findings_before;
        r->count = findings_before;
    }
    *out = same;
    return OK;
}

void chain_found(struct chain_reconciling *r, struct slice subject, struct slice what)
{
    if (r->rule_found >= CHAIN_FINDINGS_MAX) {
        return;
    }
    if (r->count == r->cap) {
        size_t cap = r->cap > 0 ? 2 * r->cap : 16;
        struct chain_finding *more = arena_alloc_array(r->arena, cap, sizeof *more);
        if (r->count > 0) {
            memcpy(more, r->findings, r->count * sizeof *more);
        }
        r->findings = more;
        r->cap = cap;
    }
    r->findings[r->count++] = (struct chain_finding){
        .rule = r->rule,
        .subject = slice_copy(r->arena, subject),
        .what = slice_copy(r->arena, what),
    };
    r->rule_found++;
}

/* ---- a run ---- */

struct recording {
    const struct chain_reconciling *run;
    struct slice by;
};

static struct slice details_of(struct arena *arena, const struct chain_finding *f)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, arena, 256);
    json_out_init(&j, &b);
    json_begin_object(&j);
    json_key(&j, "rule");
    json_text(&j, f->rule->name);
    json_key(&j, "what");
    json_string(&j, f->what);
    json_end_object(&j);
    return buf_slice(&b);
}

static enum err record_run(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct recording *recording = ctx;
    const struct chain_reconciling *run = recording->run;
    char subject[40];
    char details[128];
    struct arena scratch;
    (void)snprintf(subject, sizeof subject, "chain/%llu",
                   (unsigned long long)run->reconciler->chain_id);
    (void)snprintf(details, sizeof details, "{\"found\":%zu,\"looked\":%llu}", run->count,
                   (unsigned long long)run->looked);
    struct record r = {
        .action = &actions[ACTION_RUN],
        .by = recording->by,
        .subject = slice_text(subject),
        .details = slice_text(details),
        .bad = run->count > 0,
    };
    enum err e = write_record(tx, &r, why);
    arena_init(&scratch, 0);
    for (size_t i = 0; e == OK && i < run->count && i < FINDING_AUDITS_MAX; i++) {
        r.action = &actions[ACTION_FOUND];
        r.subject = run->findings[i].subject;
        r.details = details_of(&scratch, &run->findings[i]);
        e = write_record(tx, &r, why);
    }
    arena_free(&scratch);
    return e;
}

static void report(const struct chain_reconciling *run)
{
    metric_add(&metrics[METRIC_RUNS], 1);
    metric_set(&metrics[METRIC_FOUND], (int64_t)run->count);
    for (size_t i = 0; i < run->count && i < FINDING_AUDITS_MAX; i++) {
        const struct chain_finding *f = &run->findings[i];
        LOG(LOG_ERROR, "chain.difference_found", log_u64("chain", run->reconciler->chain_id),
            log_text("rule", f->rule->name), log_slice("subject", f->subject),
            log_slice("what", f->what));
    }
}

enum err chain_reconcile_run(const struct chain_reconciler *reconciler, bool sampled,
                             struct slice by, struct arena *arena, struct chain_reconciling *out,
                             struct why *why)
{
    struct chain_reconciling run = {
        .reconciler = reconciler,
        .arena = arena,
        .sampled = sampled,
        .limit = sampled ? LOOK_ROWS : UINT64_MAX,
    };
    enum err e = OK;
    for (size_t i = 0; e == OK && i < reconciler->rule_count; i++) {
        run.rule = &reconciler->rules[i];
        run.rule_found = 0;
        e = run.rule->look(&run, why);
    }
    struct recording recording = {&run, by};
    if (e == OK) {
        e = store_write(reconciler->store, record_run, &recording, why);
    }
    if (e == OK) {
        report(&run);
        *out = run;
    }
    return e;
}

/* ---- repairing ---- */

struct fixing {
    const struct chain_reconciler *reconciler;
    const struct chain_finding *finding;
    struct slice by;
};

static enum err fix(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct fixing *f = ctx;
    struct arena scratch;
    arena_init(&scratch, 0);
    enum err e = f->finding->rule->fix(tx, f->finding, f->reconciler->ctx, why);
    const struct record r = {
        .action = &actions[ACTION_FIXED],
        .by = f->by,
        .subject = f->finding->subject,
        .details = details_of(&scratch, f->finding),
    };
    if (e == OK) {
        e = write_record(tx, &r, why);
    }
    arena_free(&scratch);
    return e;
}

enum err chain_reconcile_fix(const struct chain_reconciler *reconciler,
                             const struct chain_finding *finding, struct slice by, struct why *why)
{
    struct fixing f = {reconciler, finding, by};
    return store_write(reconciler->store, fix, &f, why);
}

/* ---- the job ---- */

static enum err reconcile_job(struct job_call *call, struct why *why)
{
    struct chain_reconciling run;
    enum err e = chain_reconcile_run(call->ctx, true, SLICE_EMPTY, call->job, &run, why);
    return e == ERR_NOT_FOUND ? OK : e; /* nothing was applied yet */
}

static const struct job_kind kinds[] = {
    {.name = "chain.reconcile",
     .queue = "health-check",
     .handler = reconcile_job,
     .timeout_usec = 10 * MINUTE_USEC,
     .doc =
         "Has the rules of reconciliation look at a part of the rows, and reports what differs."},
};

struct job_table chain_reconcile_job_table(struct chain_reconciler *reconciler)
{
    return (struct job_table){
        .kinds = kinds, .kind_count = sizeof kinds / sizeof kinds[0], .ctx = reconciler};
}
