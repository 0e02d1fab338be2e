/*
 * jobs_take.h: which jobs a round of the dispatcher claims. Private to kernel/jobs.
 *
 * The first job of each kind and priority is its head. Heads are taken by priority and age, each as
 * far as the gate of its queue lets through.
 *
 * Where to look. A claimed row leaves its entry in the index of ready jobs until vacuum comes, and
 * vacuum removes nothing that an old transaction may still see. Looking from the beginning of the
 * index would then walk through everything that was ever claimed since. So a runner remembers for
 * each kind and priority how far it has come (a place), and looks from a little before that. What
 * lies behind (a transaction that committed late, a job that was given back) is found by a look at
 * all of it, and that is repeated as often as it costs a fortieth of the time: all the time when it
 * is cheap, rarely when it is not.
 */
#ifndef KERNEL_JOBS_JOBS_TAKE_H
#define KERNEL_JOBS_JOBS_TAKE_H

#include "kernel/jobs/jobs_runner.h"

/* Kinds and priorities that are remembered; of others only looks at everything know. */
#define JOBS_PLACES_MAX 256

/* What may take a fortieth of the time: not again before forty times its length has passed. */
struct jobs_budget {
    int64_t from_mono_usec;
};

/* jobs_budget_allows says whether it is time. */
bool jobs_budget_allows(const struct jobs_budget *budget, int64_t mono_usec);
/* jobs_budget_spend notes what it took, and waits for at least `least_usec`. */
void jobs_budget_spend(struct jobs_budget *budget, int64_t began_mono_usec, int64_t least_usec);

struct jobs_look {
    struct jobs_head head;
    size_t taken;
    int64_t last_usec; /* run time of the last one taken */
};

/* Belongs to the dispatcher's thread. */
struct jobs_taker {
    struct jobs *jobs;
    struct jobs_mark places[JOBS_PLACES_MAX];
    size_t place_count;
    struct jobs_budget whole; /* looks at everything */
    struct jobs_gate *gates;
    bool gates_made;

    /* The round. */
    int64_t wall_usec;
    int64_t mono_usec;
    bool looks_at_all;
    bool suspect_held;     /* one at a time, so that it is known which one killed the process */
    struct arena **arenas; /* of the reserved runs */
    size_t want;
    struct jobs_claimed *claimed;
    size_t got;
    struct jobs_look *looks;
    size_t look_count;
    int64_t next_due_usec; /* when there may be something to take; INT64_MAX: on a signal only */
};

/* jobs_taker_init readies a taker. Owns: the arena. */
void jobs_taker_init(struct jobs_taker *taker, struct jobs *jobs, struct arena *boot);
/* jobs_take claims up to `want` jobs; may run again. Owns: the scratch until the next round. */
enum err jobs_take(struct jobs_taker *taker, struct store_tx *tx, struct arena *scratch,
                   struct why *why) ERR_CHECKED;
/* jobs_taker_settle learns from a round that was committed. */
void jobs_taker_settle(struct jobs_taker *taker);
/* jobs_taker_forget starts looking from the beginning: the clock was set. */
void jobs_taker_forget(struct jobs_taker *taker);

#endif
