/*
 * jobs_store.h: rows of the queue. Private to kernel/jobs.
 *
 * Functions that end or extend a hold say in *out_held whether it still was one: the token is
 * compared in the statement, so that a lost lease never changes a row.
 *
 * A hold remembers where its row lay when it was claimed or renewed (`spot`). On PostgreSQL many
 * are ended or extended there, without a look into an index; who is not found has been moved by
 * somebody (asked to cancel, told its progress) or is lost, and is looked for by its id.
 */
#ifndef KERNEL_JOBS_JOBS_STORE_H
#define KERNEL_JOBS_JOBS_STORE_H

#include "kernel/jobs/jobs_admin.h"
#include "kernel/jobs/jobs_cron.h"

#define JOBS_SPOT_MAX 19 /* "(4294967295,65535)" */

/* A job that somebody holds, by the token of his claim. */
struct jobs_hold {
    int64_t id;
    int64_t token;
    char spot[JOBS_SPOT_MAX]; /* PostgreSQL: where its row lay last; a hint. Else "" */
};

/* The first queued job of a kind and priority. */
struct jobs_head {
    struct slice kind;
    int64_t priority;
    int64_t run_usec;
};

/* Where to look for the first job of a kind and priority. */
struct jobs_mark {
    struct slice kind;
    int64_t priority;
    int64_t from_usec;
};

struct jobs_claim {
    struct slice kind;
    int64_t priority;
    int64_t from_usec;
    struct slice queue; /* when it limits how many run; else empty */
    int64_t now_usec;
    int64_t until_usec;
    struct slice owner;
    size_t limit;
};

struct jobs_claimed {
    struct jobs_hold hold;
    struct slice kind;
    struct slice key;
    struct slice order_key;
    struct slice payload;
    uint32_t attempt;
    bool suspect; /* it lost a lease and no handler came back from it since */
    int64_t run_usec;
    size_t place; /* its texts live in arenas[place] */
};

struct jobs_suspect {
    int64_t id;
    struct slice kind;
};

struct jobs_lapsed {
    struct jobs_hold hold;
    struct slice kind;
    struct slice order_key;
    uint32_t attempt;
    bool started;
};

/* How a running job goes back to the queue. */
struct jobs_requeue {
    int64_t now_usec;
    int64_t run_usec; /* 0: keeps its place */
    bool give_back;   /* the attempt does not count */
    bool came_back;   /* the handler returned */
    bool lapsed;
    struct slice error; /* empty: keeps the one it had */
};

/* A hold that was looked at together with others. */
struct jobs_kept {
    struct jobs_hold hold;
    bool held;
    bool cancelling;
};

struct jobs_progress_note {
    struct jobs_hold hold;
    int64_t done;
    int64_t total;
    char text[JOBS_NOTE_MAX];
    size_t len;
};

/* A schedule, ready to be asked for slots. */
struct jobs_timetable {
    const struct job_cron *row;
    struct jobs_cron cron; /* when the row has no interval */
    bool enabled;          /* its kind is there */
};

/* jobs_store_heads lists the first queued job of each kind and priority. Owns: the arena. */
enum err jobs_store_heads(struct store_tx *tx, struct arena *arena, struct jobs_head **out,
                          size_t *out_count, struct why *why) ERR_CHECKED;
/* jobs_store_heads_from is jobs_store_heads of some kinds and priorities, from a time on. */
enum err jobs_store_heads_from(struct store_tx *tx, struct arena *arena,
                               const struct jobs_mark *places, size_t place_count,
                               struct jobs_head **out, size_t *out_count,
                               struct why *why) ERR_CHECKED;
/*
 * jobs_store_claim takes up to `limit` jobs into `out`, oldest first. Owns: the texts of each live
 * in an arena of its own, the one at its `place`.
 */
enum err jobs_store_claim(struct store_tx *tx, const struct jobs_claim *claim,
                          struct arena *const *arenas, struct jobs_claimed *out, size_t *out_count,
                          struct why *why) ERR_CHECKED;
/* jobs_store_suspects lists jobs that lost a lease, the most urgent first. Owns: the arena. */
enum err jobs_store_suspects(struct store_tx *tx, struct arena *arena, int64_t now_usec,
                             size_t limit, struct jobs_suspect *out, size_t *out_count,
                             struct why *why) ERR_CHECKED;
/*
 * jobs_store_claim_suspect takes the job `id`, which lost a lease, if it is still there; kind,
 * priority and limit of the claim are not used. Owns: the texts of *out live in the arena.
 */
enum err jobs_store_claim_suspect(struct store_tx *tx, const struct jobs_claim *claim, int64_t id,
                                  struct arena *arena, struct jobs_claimed *out, size_t *out_count,
                                  struct why *why) ERR_CHECKED;
/* jobs_store_mark_started records that a suspect runs now. */
enum err jobs_store_mark_started(struct store_tx *tx, struct jobs_hold hold, int64_t now_usec,
                                 bool *out_held, struct why *why) ERR_CHECKED;
/* jobs_store_renew extends leases; sorts `holds` by id and notes where their rows lie now. */
enum err jobs_store_renew(struct store_tx *tx, struct jobs_kept *holds, size_t count,
                          int64_t until_usec, struct why *why) ERR_CHECKED;
/* jobs_store_progress writes how far a job is; one that is not held changes nothing. */
enum err jobs_store_progress(struct store_tx *tx, const struct jobs_progress_note *note,
                             struct why *why) ERR_CHECKED;
/* jobs_store_finish makes a running job DONE. */
enum err jobs_store_finish(struct store_tx *tx, struct jobs_hold hold, int64_t now_usec,
                           bool *out_held, struct why *why) ERR_CHECKED;
/* jobs_store_finish_many makes running jobs DONE; with `forget` their rows are deleted. */
enum err jobs_store_finish_many(struct store_tx *tx, struct jobs_kept *holds, size_t count,
                                int64_t now_usec, bool forget, struct why *why) ERR_CHECKED;
/* jobs_store_next lets the first living job of each order key be claimed. */
enum err jobs_store_next(struct store_tx *tx, const struct slice *order_keys, size_t count,
                         int64_t now_usec, struct why *why) ERR_CHECKED;
/* jobs_store_next_all does so for all order keys. */
enum err jobs_store_next_all(struct store_tx *tx, int64_t now_usec, int64_t *out_count,
                             struct why *why) ERR_CHECKED;
/*
 * jobs_store_bury makes a running job DEAD, or CANCELLED when that was asked for; *out_state is 0
 * when it was not held.
 */
enum err jobs_store_bury(struct store_tx *tx, struct jobs_hold hold, int64_t now_usec, bool lapsed,
                         struct slice error, enum job_state *out_state,
                         struct why *why) ERR_CHECKED;
/* jobs_store_requeue puts a running job back, or makes it CANCELLED; *out_state as above. */
enum err jobs_store_requeue(struct store_tx *tx, struct jobs_hold hold,
                            const struct jobs_requeue *how, enum job_state *out_state,
                            struct why *why) ERR_CHECKED;
/*
 * jobs_store_lapsed lists running jobs whose lease ended from `from_usec` to before `now_usec`, or
 * ends after `latest_usec`. Owns: the arena.
 */
enum err jobs_store_lapsed(struct store_tx *tx, struct arena *arena, int64_t from_usec,
                           int64_t now_usec, int64_t latest_usec, size_t limit,
                           struct jobs_lapsed **out, size_t *out_count,
                           struct why *why) ERR_CHECKED;
/* jobs_store_rebase moves times of queued jobs that were written in what is the future now. */
enum err jobs_store_rebase(struct store_tx *tx, int64_t now_usec, struct why *why) ERR_CHECKED;
/* jobs_store_sweep deletes up to `limit` jobs that ended in `state` before `before_usec`. */
enum err jobs_store_sweep(struct store_tx *tx, enum job_state state, int64_t before_usec,
                          size_t limit, int64_t *out_deleted, struct why *why) ERR_CHECKED;
/* jobs_timetable_make reads a schedule's expression. Errors: ERR_CONFIG. */
enum err jobs_timetable_make(struct jobs_timetable *out, const struct job_cron *row, bool enabled,
                             struct why *why) ERR_CHECKED;
/* jobs_timetable_slot is the slot that a time lies in: an interval's number, or a minute. */
int64_t jobs_timetable_slot(const struct jobs_timetable *t, int64_t wall_usec);
/* jobs_timetable_slot_usec is when a slot begins. */
int64_t jobs_timetable_slot_usec(const struct jobs_timetable *t, int64_t slot);
/* jobs_timetable_next_usec is when the next slot begins. */
int64_t jobs_timetable_next_usec(const struct jobs_timetable *t, int64_t wall_usec);

/* jobs_store_cron fires the slot of a schedule that is due; *out_fired says whether it was. */
enum err jobs_store_cron(struct store_tx *tx, const struct jobs_timetable *t, int64_t now_usec,
                         bool *out_fired, struct why *why) ERR_CHECKED;
/* What the database knows of a schedule. */
struct jobs_cron_row {
    bool found;
    int64_t slot;
    struct slice spec;
};

/* jobs_store_cron_get reads it. Owns: the arena. */
enum err jobs_store_cron_get(struct store_tx *tx, struct arena *arena, const char *name,
                             struct jobs_cron_row *out, struct why *why) ERR_CHECKED;

#endif
