/*
 * jobs_store.h: rows of the queue. Private to kernel/jobs.
 *
 * Functions that end or extend a hold say in *out_held whether it still was one: the token is
 * compared in the statement, so that a lost lease never changes a row.
 */
#ifndef KERNEL_JOBS_JOBS_STORE_H
#define KERNEL_JOBS_JOBS_STORE_H

#include "kernel/jobs/jobs.h"

/* A job that somebody holds, by the token of his claim. */
struct jobs_hold {
    int64_t id;
    int64_t token;
};

/* The first queued job of a kind and priority. */
struct jobs_head {
    struct slice kind;
    int64_t priority;
    int64_t run_usec;
};

struct jobs_claim {
    struct slice kind;
    int64_t priority;
    int64_t now_usec;
    int64_t until_usec;
    struct slice owner;
    size_t limit;
};

struct jobs_claimed {
    struct jobs_hold hold;
    struct slice kind;
    struct slice key;
    struct slice payload;
    uint32_t attempt;
    bool suspect; /* it lost a lease and no handler came back from it since */
    int64_t run_usec;
    size_t place; /* its texts live in arenas[place] */
};

struct jobs_lapsed {
    struct jobs_hold hold;
    struct slice kind;
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

/* jobs_store_heads lists the first queued job of each kind and priority. Owns: the arena. */
enum err jobs_store_heads(struct store_tx *tx, struct arena *arena, struct jobs_head **out,
                          size_t *out_count, struct why *why) ERR_CHECKED;
/*
 * jobs_store_claim takes up to `limit` jobs into `out`, oldest first. Owns: the texts of each live
 * in an arena of its own, the one at its `place`.
 */
enum err jobs_store_claim(struct store_tx *tx, const struct jobs_claim *claim,
                          struct arena *const *arenas, struct jobs_claimed *out, size_t *out_count,
                          struct why *why) ERR_CHECKED;
/*
 * jobs_store_claim_suspect takes at most one job that lost a lease; kind, priority and limit of the
 * claim are not used. Owns: the texts of *out live in the arena.
 */
enum err jobs_store_claim_suspect(struct store_tx *tx, const struct jobs_claim *claim,
                                  struct arena *arena, struct jobs_claimed *out, size_t *out_count,
                                  struct why *why) ERR_CHECKED;
/* jobs_store_mark_started records that a suspect runs now. */
enum err jobs_store_mark_started(struct store_tx *tx, struct jobs_hold hold, int64_t now_usec,
                                 bool *out_held, struct why *why) ERR_CHECKED;
/* jobs_store_renew extends a lease. */
enum err jobs_store_renew(struct store_tx *tx, struct jobs_hold hold, int64_t until_usec,
                          bool *out_held, struct why *why) ERR_CHECKED;
/* jobs_store_finish makes a running job DONE. */
enum err jobs_store_finish(struct store_tx *tx, struct jobs_hold hold, int64_t now_usec,
                           bool *out_held, struct why *why) ERR_CHECKED;
/* jobs_store_bury makes a running job DEAD. */
enum err jobs_store_bury(struct store_tx *tx, struct jobs_hold hold, int64_t now_usec, bool lapsed,
                         struct slice error, bool *out_held, struct why *why) ERR_CHECKED;
/* jobs_store_requeue puts a running job back. */
enum err jobs_store_requeue(struct store_tx *tx, struct jobs_hold hold,
                            const struct jobs_requeue *how, bool *out_held,
                            struct why *why) ERR_CHECKED;
/*
 * jobs_store_lapsed lists running jobs whose lease ended before `now_usec` or ends after
 * `latest_usec`. Owns: the arena.
 */
enum err jobs_store_lapsed(struct store_tx *tx, struct arena *arena, int64_t now_usec,
                           int64_t latest_usec, size_t limit, struct jobs_lapsed **out,
                           size_t *out_count, struct why *why) ERR_CHECKED;
/* jobs_store_rebase moves times of queued jobs that were written in what is the future now. */
enum err jobs_store_rebase(struct store_tx *tx, int64_t now_usec, struct why *why) ERR_CHECKED;
/* jobs_store_sweep deletes up to `limit` jobs that ended in `state` before `before_usec`. */
enum err jobs_store_sweep(struct store_tx *tx, enum job_state state, int64_t before_usec,
                          size_t limit, int64_t *out_deleted, struct why *why) ERR_CHECKED;
/* jobs_store_cron fires the slot of a schedule that is due; *out_fired says whether it was. */
enum err jobs_store_cron(struct store_tx *tx, const struct job_cron *cron, int64_t now_usec,
                         bool *out_fired, struct why *why) ERR_CHECKED;

#endif
