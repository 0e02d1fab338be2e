#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/store/store_lease_sql.h"
#include "kernel/store/store_private.h"

/* How long a refusal of somebody's write counts. */
#define REFUSAL_USEC (5 * (int64_t)USEC_PER_SEC)
/* How seldom a file is written to to find out, while that works and while it does not; and how long
 * a write may be under way before that says enough. */
#define LOOK_USEC (10 * (int64_t)USEC_PER_SEC)
#define LOOK_AGAIN_USEC ((int64_t)USEC_PER_SEC)
#define STUCK_USEC (10 * (int64_t)USEC_PER_SEC)

/* Refusals by the disk or for want of a database; those of a rule or of a race say nothing of it.
 */
static bool tells(enum err e)
{
    return e == ERR_DISK_FULL || e == ERR_IO || e == ERR_CORRUPT || e == ERR_DB_UNAVAILABLE;
}

void store_writing_note(struct store *store, enum err e)
{
    struct store_writing_state *w = &store->writing;
    if (tells(e)) {
        pthread_mutex_lock(&w->lock);
        w->refused = e;
        w->refused_usec = clock_mono_usec();
        pthread_mutex_unlock(&w->lock);
    }
}

void store_writing_note_own(struct store *store, enum err e, const struct why *why)
{
    struct store_writing_state *w = &store->writing;
    pthread_mutex_lock(&w->lock);
    w->own = e;
    w->own_why = *why;
    w->own_usec = clock_mono_usec();
    w->asking_usec = 0;
    pthread_mutex_unlock(&w->lock);
}

static enum err touch(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct store *store = ctx;
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_touch);
    store_bind_text(&q, "process_id", slice_text(store_process_id(store)));
    return store_finish(&q, NULL, why);
}

/* Whether it is time for a write, and ours to make it. */
static bool take_turn(struct store *store)
{
    struct store_writing_state *w = &store->writing;
    int64_t now = clock_mono_usec();
    bool possible = store->driver->single_writer && store_leases_started(store);
    pthread_mutex_lock(&w->lock);
    int64_t pause = w->own == OK ? LOOK_USEC : LOOK_AGAIN_USEC;
    bool mine = possible && w->asking_usec == 0 && (w->own_usec == 0 || now - w->own_usec >= pause);
    w->asking_usec = mine ? now : w->asking_usec;
    pthread_mutex_unlock(&w->lock);
    return mine;
}

void store_writing_look(struct store *store, struct store_writing *out)
{
    struct store_writing_state *w = &store->writing;
    if (take_turn(store)) {
        struct why why = {0};
        enum err e = store_write(store, touch, store, &why);
        store_writing_note_own(store, e, &why);
    }
    int64_t now = clock_mono_usec();
    pthread_mutex_lock(&w->lock);
    *out = (struct store_writing){.own = w->own, .own_why = w->own_why};
    out->others = w->refused_usec > 0 && now - w->refused_usec < REFUSAL_USEC ? w->refused : OK;
    int64_t since = w->asking_usec > 0 ? w->asking_usec : w->own_usec;
    bool stuck = (w->asking_usec > 0 || !store->driver->single_writer) && since > 0 &&
                 now - since >= STUCK_USEC;
    pthread_mutex_unlock(&w->lock);
    if (stuck) {
        out->own = why_set(&out->own_why, ERR_DB_UNAVAILABLE, NULL,
                           "A write does not come back for more than ten seconds.");
    }
}
