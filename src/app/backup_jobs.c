/*
 * backup_jobs.c: the scheduled backup and its weekly proof. Each run is noted, whatever became of
 * it; a failed one is tried again as its queue says.
 */
#include "app/backups.h"
#include "kernel/backup/backup_runs.h"
#include "kernel/base/log.h"

/* How often the lease is renewed while rows go by. Units: microseconds. */
#define BEAT_USEC ((int64_t)USEC_PER_SEC)
/* A run that shows no sign of life for so long has failed. */
#define TIMEOUT_USEC (600ll * USEC_PER_SEC)

struct beat {
    struct job_call *call;
    int64_t last_usec;
};

static enum err beat(void *ctx, const char *table, uint64_t rows, struct why *why)
{
    (void)table;
    (void)rows;
    struct beat *b = ctx;
    int64_t now = clock_mono_usec();
    if (now - b->last_usec < BEAT_USEC) {
        return OK;
    }
    b->last_usec = now;
    return jobs_heartbeat(b->call, why);
}

/* Writes a run down; that it cannot be is told only when nothing else went wrong. */
static enum err note(struct job_call *call, struct backup_run *run, const struct backup_manifest *m,
                     enum err e, struct why *why)
{
    run->finished_usec = clock_wall_usec();
    run->id = m->id;
    run->rows = m->rows;
    run->bytes = m->bytes;
    run->error = e == OK ? SLICE_EMPTY : slice_text(why_text(why, e));
    const char *event = run->kind == BACKUP_RUN_VERIFY ? "backup.verified" : "backup.made";
    if (e == OK) {
        LOG(LOG_INFO, event, log_text("place", run->place), log_slice("id", m->id),
            log_u64("rows", m->rows), log_u64("bytes", m->bytes),
            log_i64("dur_usec", run->finished_usec - run->started_usec));
    } else {
        LOG(LOG_ERROR, "backup.failed", log_text("place", run->place), log_err(e), log_why(why, e));
    }
    struct why said = {0};
    enum err noted = backup_run_note(call->store, run, e == OK ? why : &said);
    return e != OK ? e : noted;
}

static enum err make(struct job_call *call, struct why *why)
{
    const struct settings *s = call->ctx;
    struct backup_manifest m = {.rows = 0};
    struct beat b = {.call = call};
    struct backup_run run = {
        .kind = BACKUP_RUN_BACKUP, .started_usec = clock_wall_usec(), .place = s->backup.to};
    if (s->backup.to[0] == '\0') {
        return OK; /* nobody wants any */
    }
    enum err e = backups_make(s, s->backup.to, beat, &b, call->job, &m, why);
    return note(call, &run, &m, e, why);
}

static enum err verify(struct job_call *call, struct why *why)
{
    const struct settings *s = call->ctx;
    struct backup_manifest m = {.rows = 0};
    struct backup_verdict *verdicts = NULL;
    struct beat b = {.call = call};
    size_t count = 0;
    struct backup_run run = {
        .kind = BACKUP_RUN_VERIFY, .started_usec = clock_wall_usec(), .place = s->backup.to};
    if (s->backup.to[0] == '\0') {
        return OK;
    }
    enum err e =
        backups_verify(s, s->backup.to, "", beat, &b, call->job, &m, &verdicts, &count, why);
    return note(call, &run, &m, e, why);
}

static const struct job_kind kinds[] = {
    {.name = "backup.daily",
     .queue = "backup",
     .handler = make,
     .timeout_usec = TIMEOUT_USEC,
     .doc = "Makes a backup at backup.to, if that is set, and lets go what is kept no longer."},
    {.name = "backup.verify",
     .queue = "backup",
     .handler = verify,
     .timeout_usec = TIMEOUT_USEC,
     .doc = "Restores the newest backup into a scratch database and proves it."},
};

struct job_table backups_job_table(struct settings *settings)
{
    return (struct job_table){
        .kinds = kinds, .kind_count = sizeof(kinds) / sizeof(kinds[0]), .ctx = settings};
}
