/*
 * Schedules: which slot a time lies in, and the one transaction that takes a slot and enqueues its
 * job.
 */
#include "kernel/base/check.h"
#include "kernel/jobs/jobs_rules.h"
#include "kernel/jobs/jobs_sql.h"
#include "kernel/jobs/jobs_store.h"

#define MINUTE_USEC (60ll * USEC_PER_SEC)
/* A minute this far ahead is no skew between machines: the clock was put back. */
#define MINUTES_AHEAD 10

/* ---- slots ---- */

enum err jobs_timetable_make(struct jobs_timetable *out, const struct job_cron *row, bool enabled,
                             struct why *why)
{
    struct jobs_timetable t = {.row = row, .enabled = enabled};
    if (row->every_usec < 0 || (row->every_usec == 0) == (row->cron == NULL)) {
        return why_set(why, ERR_CONFIG, NULL,
                       "The schedule %s needs either an interval or an expression.", row->name);
    }
    if (row->every_usec == 0) {
        struct why detail = {0};
        enum err e = jobs_cron_parse(slice_text(row->cron), &t.cron, &detail);
        if (e != OK) {
            return why_set(why, e, NULL, "The schedule %s: %s", row->name, why_text(&detail, e));
        }
    }
    *out = t;
    return OK;
}

int64_t jobs_timetable_slot(const struct jobs_timetable *t, int64_t wall_usec)
{
    int64_t every = t->row->every_usec;
    return every > 0 ? jobs_slot(wall_usec, every) : jobs_cron_last(&t->cron, wall_usec);
}

int64_t jobs_timetable_slot_usec(const struct jobs_timetable *t, int64_t slot)
{
    return slot * (t->row->every_usec > 0 ? t->row->every_usec : MINUTE_USEC);
}

int64_t jobs_timetable_next_usec(const struct jobs_timetable *t, int64_t wall_usec)
{
    int64_t every = t->row->every_usec;
    return every > 0 ? (jobs_slot(wall_usec, every) + 1) * every
                     : jobs_cron_next(&t->cron, wall_usec) * MINUTE_USEC;
}

/* How the schedule is written, as far as the meaning of its slots depends on it. */
static struct slice spec_of(const struct job_cron *row)
{
    return slice_text(row->every_usec > 0 ? "" : row->cron);
}

/* ---- rows ---- */

enum err jobs_store_cron_get(struct store_tx *tx, struct arena *arena, const char *name,
                             struct jobs_cron_row *out, struct why *why)
{
    struct jobs_cron_row row = {0};
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_cron_get);
    store_bind_text(&q, "name", slice_text(name));
    row.found = store_step(&q);
    if (row.found) {
        row.slot = store_get_i64(&q, "slot");
        row.spec = store_get_text(&q, "spec", arena);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = row;
    }
    return e;
}

static enum err first_slot(struct store_tx *tx, const struct job_cron *row, int64_t slot,
                           int64_t now_usec, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &jobs_sql_cron_insert);
    store_bind_text(&q, "name", slice_text(row->name));
    store_bind_i64(&q, "slot", slot);
    store_bind_text(&q, "spec", spec_of(row));
    store_bind_time(&q, "now", now_usec);
    return store_finish(&q, NULL, why);
}

static enum err take_slot(struct store_tx *tx, const char *name, int64_t slot, int64_t old_slot,
                          int64_t now_usec, bool *out_taken, struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &jobs_sql_cron_move);
    store_bind_text(&q, "name", slice_text(name));
    store_bind_i64(&q, "slot", slot);
    store_bind_i64(&q, "old_slot", old_slot);
    store_bind_time(&q, "now", now_usec);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK) {
        *out_taken = changed > 0;
    }
    return e;
}

static enum err enqueue_slot(struct store_tx *tx, const struct jobs_timetable *t, int64_t slot,
                             struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 1024);
    struct buf payload;
    buf_init(&payload, &scratch, 128);
    struct json_out j;
    json_out_init(&j, &payload);
    json_begin_object(&j);
    json_key(&j, "cron");
    json_text(&j, t->row->name);
    json_key(&j, "slot");
    json_time(&j, jobs_timetable_slot_usec(t, slot));
    json_end_object(&j);
    struct job_new job = {
        .kind = t->row->kind,
        .key = slice_format(&scratch, "cron/%s/%lld", t->row->name, (long long)slot),
        .payload = buf_slice(&payload),
    };
    enum err e = jobs_enqueue(tx, &job, NULL, why);
    arena_free(&scratch);
    return e;
}

/*
 * After the clock was put back an interval that lies ahead fires now and goes on from here; an
 * expression says a time of the day, so it is only put back, to fire when that time comes.
 */
static enum err move_slot(struct store_tx *tx, const struct jobs_timetable *t, int64_t last,
                          int64_t now_usec, bool *out_fired, struct why *why)
{
    const struct job_cron *row = t->row;
    int64_t slot = jobs_timetable_slot(t, now_usec);
    bool fires = slot > last;
    bool rewinds = false;
    if (row->every_usec > 0) {
        fires = jobs_slot_is_due(slot, last, row->every_usec);
    } else {
        rewinds = last > now_usec / MINUTE_USEC + MINUTES_AHEAD;
    }
    bool taken = false;
    enum err e = OK;
    if (fires || rewinds) {
        e = take_slot(tx, row->name, slot, last, now_usec, &taken, why);
    }
    if (e == OK && taken && fires) {
        e = enqueue_slot(tx, t, slot, why);
    }
    if (e == OK) {
        *out_fired = taken && fires;
    }
    return e;
}

enum err jobs_store_cron(struct store_tx *tx, const struct jobs_timetable *t, int64_t now_usec,
                         bool *out_fired, struct why *why)
{
    struct arena scratch;
    struct jobs_cron_row row;
    bool fired = false;
    ASSERT(t->enabled);
    arena_init(&scratch, 1024);
    enum err e = jobs_store_cron_get(tx, &scratch, t->row->name, &row, why);
    if (e == OK && row.found && slice_equal(row.spec, spec_of(t->row))) {
        e = move_slot(tx, t, row.slot, now_usec, &fired, why);
    } else if (e == OK) {
        e = first_slot(tx, t->row, jobs_timetable_slot(t, now_usec), now_usec, why);
    }
    arena_free(&scratch);
    if (e == OK) {
        *out_fired = fired;
    }
    return e;
}
