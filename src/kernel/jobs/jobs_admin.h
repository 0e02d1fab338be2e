/*
 * jobs_admin.h: looking at jobs and moving them, for operators: the command line and the API.
 *
 * All of it works without a runner, on any process of the database, and in the caller's
 * transaction. Lists and replays are pages: memory is that of a page, whatever the backlog.
 */
#ifndef KERNEL_JOBS_JOBS_ADMIN_H
#define KERNEL_JOBS_JOBS_ADMIN_H

#include "kernel/jobs/jobs.h"

#define JOBS_LIST_MAX 1000

struct job_row {
    int64_t id;
    struct slice kind;
    struct slice key;
    struct slice order_key;
    enum job_state state;
    bool behind;     /* waits for an earlier one of its order key */
    bool cancelling; /* runs, and was asked to end */
    int32_t priority;
    uint32_t attempts;
    struct slice error; /* code: sentence of the last failure */
    int64_t created_usec;
    int64_t run_usec;
    int64_t finished_usec; /* 0: not yet */
    bool has_progress;
    int64_t progress_done;
    int64_t progress_total;
    struct slice progress_note;
    /* Of jobs_get only. */
    struct slice payload;
    struct slice owner; /* of the lease */
    int64_t lease_usec; /* until when; 0: none */
};

/* Which jobs, and from where on. */
struct job_filter {
    enum job_state state;     /* 0: any */
    const char *const *kinds; /* of `kind_count`; 0: any */
    size_t kind_count;
    size_t limit;        /* 1..JOBS_LIST_MAX */
    int64_t below_id;    /* 0: from the newest on */
    int64_t before_usec; /* of an end state: with below_id, the end of the last one seen */
};

/* jobs_state_text names a state: "queued", "running", "done", "dead", "cancelled". */
const char *jobs_state_text(enum job_state state);
/* jobs_state_parse reads such a name. Errors: ERR_INVALID_FIELD (field "state"). */
enum err jobs_state_parse(struct slice text, enum job_state *out, struct why *why) ERR_CHECKED;

/*
 * jobs_list lists rows, newest first (of an end state: the last one that ended first). Owns: the
 * arena. Errors: ERR_DB.
 */
enum err jobs_list(struct store_tx *tx, struct arena *arena, const struct job_filter *filter,
                   struct job_row **out, size_t *out_count, struct why *why) ERR_CHECKED;
/* jobs_get reads one job with its payload. Owns: the arena. Errors: ERR_NOT_FOUND, ERR_DB. */
enum err jobs_get(struct store_tx *tx, struct arena *arena, int64_t id, struct job_row *out,
                  struct why *why) ERR_CHECKED;
/* jobs_count counts rows in a state. Errors: ERR_DB. */
enum err jobs_count(struct store_tx *tx, enum job_state state, int64_t *out,
                    struct why *why) ERR_CHECKED;
/* jobs_row_json writes a row as an object; with `whole` what jobs_get read as well. */
void jobs_row_json(struct json_out *j, const struct job_row *row, bool whole);

/* jobs_replay queues a dead job again. Errors: ERR_NOT_FOUND, ERR_CONFLICT (its key lives). */
enum err jobs_replay(struct store_tx *tx, int64_t id, struct why *why) ERR_CHECKED;

/* How far a replay of many has come; zeros at the start. */
struct job_replay {
    const char *kind; /* NULL: any */
    int64_t finished_usec;
    int64_t id;
    int64_t replayed; /* of this page */
    bool more;
};

/*
 * jobs_replay_page queues the next dead jobs again, at most `limit` (1..JOBS_LIST_MAX) of them, the
 * one that died first first; one whose key lives again is passed over. Errors: ERR_DB.
 */
enum err jobs_replay_page(struct store_tx *tx, struct job_replay *replay, size_t limit,
                          struct why *why) ERR_CHECKED;
/* jobs_retry lets a queued job run now. Errors: ERR_NOT_FOUND, ERR_CONFLICT. */
enum err jobs_retry(struct store_tx *tx, int64_t id, struct why *why) ERR_CHECKED;
/*
 * jobs_cancel cancels a queued job, or asks a running one to end (*out_running; may be NULL).
 * Errors: ERR_NOT_FOUND, ERR_CONFLICT (it has ended).
 */
enum err jobs_cancel(struct store_tx *tx, int64_t id, bool *out_running,
                     struct why *why) ERR_CHECKED;

/* What the tables of a program declare, and where it stands in the database. */
struct job_catalog;

/* jobs_catalog_new checks tables as jobs_new does. Owns: the arena. Errors: ERR_CONFIG. */
enum err jobs_catalog_new(struct arena *arena, const struct job_table *tables, size_t table_count,
                          const struct job_catalog **out, struct why *why) ERR_CHECKED;
/*
 * jobs_catalog_kinds lists the kinds of a queue for a filter. Owns: the arena.
 * Errors: ERR_INVALID_FIELD (field "queue": no such queue).
 */
enum err jobs_catalog_kinds(const struct job_catalog *catalog, struct arena *arena,
                            struct slice queue, const char *const **out, size_t *out_count,
                            struct why *why) ERR_CHECKED;
/*
 * jobs_queues_json writes an array of all queues with limits, retry strategy and counts.
 * Errors: ERR_DB.
 */
enum err jobs_queues_json(struct store_tx *tx, const struct job_catalog *catalog,
                          struct json_out *j, struct why *why) ERR_CHECKED;
/*
 * jobs_schedules_json writes an array of all schedules with their last and next time; one that
 * waits for its kind has enabled false and says for whom. Errors: ERR_DB.
 */
enum err jobs_schedules_json(struct store_tx *tx, const struct job_catalog *catalog,
                             struct json_out *j, struct why *why) ERR_CHECKED;

#endif
