/*
 * The manual of queues, kinds and schedules: docs/reference/jobs.md.
 */
#include "kernel/jobs/jobs_tables.h"

/* The largest unit that says it exactly. */
static void add_duration(struct buf *out, int64_t usec)
{
    static const struct {
        int64_t usec;
        const char *unit;
    } units[] = {{86400ll * USEC_PER_SEC, "d"},
                 {3600ll * USEC_PER_SEC, "h"},
                 {60ll * USEC_PER_SEC, "min"},
                 {USEC_PER_SEC, "s"},
                 {1000, "ms"}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (usec > 0 && usec % units[i].usec == 0) {
            buf_format(out, "%lld %s", (long long)(usec / units[i].usec), units[i].unit);
            return;
        }
    }
    buf_format(out, "%lld us", (long long)usec);
}

static void add_retries(struct buf *out, uint32_t attempts_max, enum job_backoff backoff,
                        int64_t usec, int64_t usec_max)
{
    bool fixed = backoff == JOB_BACKOFF_FIXED;
    buf_format(out, "%u | ", attempts_max);
    if (attempts_max <= 1) {
        buf_add_text(out, "none");
        return;
    }
    buf_add_text(out, fixed ? "fixed " : "exponential from ");
    add_duration(out, usec);
    if (!fixed && usec_max > 0) {
        buf_add_text(out, " to ");
        add_duration(out, usec_max);
    }
}

static void add_queue(struct buf *out, const struct job_queue *q)
{
    buf_format(out, "| `%s` | ", q->name);
    if (q->concurrency > 0) {
        buf_format(out, "%u", q->concurrency);
    }
    buf_add_text(out, " | ");
    if (q->rate > 0) {
        buf_format(out, "%u in ", q->rate);
        add_duration(out, q->rate_usec);
    }
    buf_add_text(out, " | ");
    add_retries(out, q->attempts_max > 0 ? q->attempts_max : 1, q->backoff, q->backoff_usec,
                q->backoff_usec_max);
    buf_format(out, " | %s |\n", q->doc);
}

static void add_kind(struct buf *out, const struct job_kind *k)
{
    buf_format(out, "| `%s` | `%s` | ", k->name, k->queue);
    if (k->attempts_max > 0) {
        add_retries(out, k->attempts_max, k->backoff, k->backoff_usec, k->backoff_usec_max);
    } else {
        buf_add_text(out, "of the queue | ");
    }
    buf_add_text(out, " | ");
    add_duration(out, k->timeout_usec);
    buf_format(out, " | %s |\n", k->doc);
}

static void add_cron(struct buf *out, const struct job_cron *c)
{
    buf_format(out, "| `%s` | `%s` | ", c->name, c->kind);
    if (c->every_usec > 0) {
        buf_add_text(out, "every ");
        add_duration(out, c->every_usec);
    } else {
        buf_format(out, "`%s`", c->cron);
    }
    buf_format(out, " | %s | %s |\n", c->awaits != NULL ? c->awaits : "", c->doc);
}

static const struct job_table *table_at(const struct job_table *tables, size_t count, size_t i)
{
    return i < count ? &tables[i] : jobs_own_table();
}

void jobs_reference(const struct job_table *tables, size_t table_count, struct buf *out)
{
    buf_add_text(out, "| queue | at once | starts | attempts | back-off | for |\n"
                      "|---|--:|---|--:|---|---|\n");
    for (size_t t = 0; t <= table_count; t++) {
        const struct job_table *table = table_at(tables, table_count, t);
        for (size_t i = 0; i < table->queue_count; i++) {
            add_queue(out, &table->queues[i]);
        }
    }
    buf_add_text(out, "\n| kind | queue | attempts | back-off | time limit | what it does |\n"
                      "|---|---|--:|---|---|---|\n");
    for (size_t t = 0; t <= table_count; t++) {
        const struct job_table *table = table_at(tables, table_count, t);
        for (size_t i = 0; i < table->kind_count; i++) {
            add_kind(out, &table->kinds[i]);
        }
    }
    buf_add_text(out,
                 "\n| schedule | kind | when (UTC) | waits for | why |\n|---|---|---|---|---|\n");
    for (size_t t = 0; t <= table_count; t++) {
        const struct job_table *table = table_at(tables, table_count, t);
        for (size_t i = 0; i < table->cron_count; i++) {
            add_cron(out, &table->crons[i]);
        }
    }
}
