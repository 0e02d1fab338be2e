/*
 * venue.h: the loop around engine and journal: commands come in from any thread, and nothing goes
 * out before it is durable.
 *
 *   any thread   venue_submit ─▶ queue
 *   matching     queue ─▶ time, journal_append, engine_apply ─▶ events and answers, held
 *   release      waits until the journal has the last of them ─▶ events, then answers, in order
 *
 * Matching runs ahead of the disk: while one group is being made durable the next is matched, and
 * both are held until their own sequence numbers are. So nobody ever saw what a crash takes back.
 * What is held is bounded: when the disk is behind by VENUE_HELD_MAX events, matching waits.
 *
 * Time. The engine has no clock. The matching thread reads it for each group and gives the engine
 * an ENGINE_OP_TIME when it has moved on, and sleeps until engine_due_usec when nobody asks for
 * anything; who submits gives no time.
 *
 * Failure. When the journal fails (a disk, another process that took the journal over) the venue
 * has stopped: venue_state says FAILED, what is held never leaves, whoever waits gets the journal's
 * error, and so does everybody who comes later. Whether a command that was answered so is in the
 * journal, the next opening finds out; asked again under the same id it is done at most once.
 *
 * Snapshots are made by the matching thread between two groups, every `snapshot_every` commands.
 *
 * Threads: venue_submit and venue_state from any; `event` is called by the release thread, one at a
 * time, in order, and must be quick: it delays the answers behind it.
 */
#ifndef DOMAIN_TRADING_VENUE_VENUE_H
#define DOMAIN_TRADING_VENUE_VENUE_H

#include "domain/trading/journal/journal.h"

#define VENUE_GROUP_MAX 4096      /* commands that are matched before they are handed on */
#define VENUE_HELD_MAX (1u << 17) /* events */

struct venue;

struct venue_config {
    struct journal *journal; /* both opened by journal_open, and the venue's from now on */
    struct engine *engine;
    struct engine_sink sink;   /* of durable events; zeroed: nobody wants them */
    uint32_t queue_max;        /* commands that wait; above 0 */
    uint64_t snapshot_every;   /* commands; 0: never */
    int64_t (*now_usec)(void); /* wall time; NULL: the clock's */
};

enum venue_state {
    VENUE_RUNNING,
    VENUE_FAILED,
};

/* What became of a command. */
struct venue_answer {
    uint64_t seq;
    enum engine_reason reason; /* ENGINE_OK: taken */
};

/* venue_start starts the threads. Owns: *out by venue_stop. Errors: ERR_INTERNAL (no thread). */
enum err venue_start(struct venue **out, const struct venue_config *config,
                     struct why *why) ERR_CHECKED;

/* venue_stop matches and releases what was submitted, if it can, and closes all; NULL is fine. */
void venue_stop(struct venue *v);

/*
 * venue_submit gives `count` commands, which are done one after the other with none in between, and
 * returns when all of them are durable. `out` has `count` answers.
 * Errors: ERR_INVALID_ENCODING (not sound), ERR_INVALID_FIELD (a time, or none or more commands
 * than VENUE_GROUP_MAX), ERR_OVERLOADED (the queue is full), ERR_STOPPING: nothing was done; those
 * of journal_wait: the venue has stopped.
 */
enum err venue_submit(struct venue *v, const struct engine_command *commands, uint32_t count,
                      struct venue_answer *out, struct why *why) ERR_CHECKED;

/* venue_state_of says whether the venue works. */
enum venue_state venue_state_of(struct venue *v);

#endif
