#include "kernel/backup/backup_runs.h"

#include "kernel/backup/backup_sql.h"
#include "kernel/base/clock.h"
#include "kernel/base/metric.h"

#include <pthread.h>

/* Rows are kept this long. */
#define KEEP_USEC (400ll * 86400 * USEC_PER_SEC)

enum backup_metric {
    METRIC_GOOD,
    METRIC_FAILED,
    METRIC_PROVEN,
    METRIC_UNPROVEN,
    METRIC_LAST,
    METRIC_LAST_BYTES,
    METRIC_VERIFIED,
    METRIC_COUNT,
};

static const struct metric_row metric_rows[METRIC_COUNT] = {
    [METRIC_GOOD] = {.name = "freehold_backup_runs_total",
                     .type = METRIC_COUNTER,
                     .help = "Scheduled backups and verifications that this process ran.",
                     .labels = "kind=\"backup\",result=\"good\""},
    [METRIC_FAILED] = {.name = "freehold_backup_runs_total",
                       .type = METRIC_COUNTER,
                       .help = "Scheduled backups and verifications that this process ran.",
                       .labels = "kind=\"backup\",result=\"failed\""},
    [METRIC_PROVEN] = {.name = "freehold_backup_runs_total",
                       .type = METRIC_COUNTER,
                       .help = "Scheduled backups and verifications that this process ran.",
                       .labels = "kind=\"verify\",result=\"good\""},
    [METRIC_UNPROVEN] = {.name = "freehold_backup_runs_total",
                         .type = METRIC_COUNTER,
                         .help = "Scheduled backups and verifications that this process ran.",
                         .labels = "kind=\"verify\",result=\"failed\""},
    [METRIC_LAST] = {.name = "freehold_backup_last_good_timestamp_seconds",
                     .type = METRIC_GAUGE,
                     .help = "When the last good scheduled backup was done; 0: there is none."},
    [METRIC_LAST_BYTES] = {.name = "freehold_backup_last_good_bytes",
                           .type = METRIC_GAUGE,
                           .help = "Size of the last good scheduled backup."},
    [METRIC_VERIFIED] = {.name = "freehold_backup_last_verified_timestamp_seconds",
                         .type = METRIC_GAUGE,
                         .help = "When a backup was last restored and proven; 0: never."},
};

static struct metric_value metrics[METRIC_COUNT];

static void register_rows(void)
{
    metric_register(metric_rows, metrics, METRIC_COUNT);
}

void backup_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}

static const char *kind_text(enum backup_run_kind kind)
{
    switch (kind) {
    case BACKUP_RUN_BACKUP:
        return "backup";
    case BACKUP_RUN_VERIFY:
        return "verify";
    }
    return "backup";
}

static void bind_or_null(struct store_query *q, const char *name, struct slice text)
{
    if (text.len == 0) {
        store_bind_null(q, name);
    } else {
        store_bind_text(q, name, text);
    }
}

static enum err write_run(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct backup_run *run = ctx;
    struct store_query q;
    store_begin(&q, tx, &backup_sql_run_add);
    store_bind_text(&q, "kind", slice_text(kind_text(run->kind)));
    store_bind_time(&q, "started_at", run->started_usec);
    store_bind_time(&q, "finished_at", run->finished_usec);
    store_bind_text(&q, "place", slice_text(run->place));
    bind_or_null(&q, "backup_id", run->id);
    store_bind_bool(&q, "good", run->error.len == 0);
    bind_or_null(&q, "error", run->error);
    store_bind_i64(&q, "row_count", (int64_t)run->rows);
    store_bind_i64(&q, "byte_count", (int64_t)run->bytes);
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        store_begin(&q, tx, &backup_sql_runs_forget);
        store_bind_time(&q, "before", run->finished_usec - KEEP_USEC);
        e = store_finish(&q, NULL, why);
    }
    return e;
}

static void count(const struct backup_run *run)
{
    bool good = run->error.len == 0;
    bool verify = run->kind == BACKUP_RUN_VERIFY;
    metric_add(&metrics[verify ? (good ? METRIC_PROVEN : METRIC_UNPROVEN)
                               : (good ? METRIC_GOOD : METRIC_FAILED)],
               1);
    if (good) {
        metric_set(&metrics[verify ? METRIC_VERIFIED : METRIC_LAST],
                   run->finished_usec / USEC_PER_SEC);
    }
    if (good && !verify) {
        metric_set(&metrics[METRIC_LAST_BYTES], (int64_t)run->bytes);
    }
}

enum err backup_run_note(struct store *store, const struct backup_run *run, struct why *why)
{
    struct backup_run copy = *run;
    count(run);
    return store_write(store, write_run, &copy, why);
}

struct last {
    int64_t usec;
    int64_t bytes;
};

static enum err read_last(struct store_tx *tx, enum backup_run_kind kind, struct last *out,
                          struct why *why)
{
    struct store_query q;
    *out = (struct last){.usec = 0};
    store_begin(&q, tx, &backup_sql_runs_last);
    store_bind_text(&q, "kind", slice_text(kind_text(kind)));
    if (store_step(&q)) {
        out->usec = store_get_time(&q, "finished_at");
        out->bytes = store_get_i64(&q, "byte_count");
        store_ignore(&q, "backup_id");
        store_ignore(&q, "row_count");
    }
    return store_finish(&q, NULL, why);
}

enum err backup_runs_last(struct store_tx *tx, enum backup_run_kind kind, int64_t *out_usec,
                          struct why *why)
{
    struct last last;
    enum err e = read_last(tx, kind, &last, why);
    if (e == OK) {
        *out_usec = last.usec;
    }
    return e;
}

static enum err load(struct store_tx *tx, void *ctx, struct why *why)
{
    (void)ctx;
    struct last backup;
    struct last verify;
    enum err e = read_last(tx, BACKUP_RUN_BACKUP, &backup, why);
    if (e == OK) {
        e = read_last(tx, BACKUP_RUN_VERIFY, &verify, why);
    }
    if (e == OK) {
        metric_set(&metrics[METRIC_LAST], backup.usec / USEC_PER_SEC);
        metric_set(&metrics[METRIC_LAST_BYTES], backup.bytes);
        metric_set(&metrics[METRIC_VERIFIED], verify.usec / USEC_PER_SEC);
    }
    return e;
}

enum err backup_metrics_load(struct store *store, struct why *why)
{
    return store_read(store, load, NULL, why);
}
