/*
 * store_lease.h: work that only one process may do at a time.
 *
 * A lease is a row with a name ("chain/84532"), an owner and a fencing number that grows with each
 * change of owner. A process is a row too, with a time until which it certainly lives; a thread
 * (the keeper) renews that row four times in this time, and takes leases that this process wants
 * and whose owner does not live. All times are compared in the database, on its clock, so that the
 * clocks of machines may be anywhere and may jump. Here only spans of monotonic time count.
 *
 *   nobody --store_lease_want, first look--> held by us
 *   held by another --it ended (row gone), or its time passed--> held by us, fence + 1
 *   held by us --store_lease_release--> nobody; the others are woken and take it at once
 *   held by us --another one took it--> held by another; noticed at the next renewal or write
 *
 * Every write of such work is made by store_lease_write, whose transaction reads the row of the
 * lease first, locked against a change of owner (FOR SHARE), and ends with ERR_FENCED when owner
 * and fence are not ours any more. So a change of owner waits for the transactions of the old one
 * that have passed this look, and what begins or looks later is refused: a write of the old owner
 * is committed before the new owner's first look at the data, or never. Nothing rests on what the
 * old owner believes, on clocks, or on when it wakes up.
 *
 * A process that is paused in the middle of such a transaction would keep the new owner waiting.
 * The server ends every writing transaction that rests for half a lease (idle_in_transaction_
 * session_timeout, set by the driver), which is before its lease is over. Between two messages of
 * one statement (COPY, a pipeline) nothing rests for the server: those are ended by who takes the
 * lease, when their client has sent nothing for half a lease. When the process wakes up its
 * connection is gone, its function runs again and is refused.
 *
 * store_lease_held is what this process believes: the row was ours when it was last seen, and
 * since then less than a lease has passed. It saves work that would be refused, no more.
 *
 * A crash leaves rows whose time passes. Takeover: within the lease and one look, which is a
 * quarter of it: under 4 s with the default of 3 s; within one look where the dead one ran on the
 * same machine, because its pid is gone; at once after a release.
 *
 * In a file (SQLite) there is one process, which the lock on the file sees to. Leases are taken on
 * the spot and never run out, so that nothing is renewed; each write still looks at its fence.
 *
 * Threads: all functions from any thread. A lease belongs to the store and lives as long.
 */
#ifndef KERNEL_STORE_STORE_LEASE_H
#define KERNEL_STORE_STORE_LEASE_H

#include "kernel/store/store.h"

#define STORE_LEASE_NAME_MAX 96
#define STORE_LEASES_MAX 160
#define STORE_PROCESS_ID_MAX 40

struct store_lease;

/* A lease and the number under which its holder works: a step uses one hold from begin to end. */
struct store_hold {
    struct store_lease *lease;
    uint64_t fence; /* 0: not held */
};

/*
 * store_leases_start makes this process known, with what `roles` says of it, and starts the keeper;
 * before it nothing here may be called but store_leases_list and store_processes_list. store_close
 * ends it, or store_leases_stop. Errors: those of store_write, ERR_INTERNAL (no thread).
 */
enum err store_leases_start(struct store *store, const char *roles, const char *version,
                            struct why *why) ERR_CHECKED;
/* store_leases_stop gives back what is held, ends the keeper and forgets the process. */
void store_leases_stop(struct store *store);
/* store_leases_started says whether there is a keeper. */
bool store_leases_started(const struct store *store);
/* store_process_id returns the id of this process in the database; "" without a keeper. */
const char *store_process_id(const struct store *store);

/*
 * store_lease_want asks for a lease from now on, and returns after the first look. The same name
 * gives the same lease. Whenever it is got or lost, `channel` (a constant) is woken in this
 * process. Never NULL.
 */
struct store_lease *store_lease_want(struct store *store, const char *name, const char *channel);
/* store_lease_release gives a lease back and stops wanting it; whoever worked under it has ended.
 */
void store_lease_release(struct store *store, struct store_lease *lease);
/* store_lease_held returns the fence under which this process believes to hold it, or 0. */
uint64_t store_lease_held(struct store *store, const struct store_lease *lease);
/* store_lease_name returns the name. */
const char *store_lease_name(const struct store_lease *lease);

/*
 * store_lease_write is store_write for work under leases: refused unless this process holds all of
 * them, with these numbers, until the transaction has committed. `count` may be 0.
 * Errors: ERR_FENCED (one of them is or was another's), as store_write.
 */
enum err store_lease_write(struct store *store, const struct store_hold *holds, size_t count,
                           store_fn fn, void *ctx, struct why *why) ERR_CHECKED;
/*
 * store_lease_write_committed is store_lease_write for a function that keeps to the rules of
 * store_read_committed, and runs at that level.
 */
enum err store_lease_write_committed(struct store *store, const struct store_hold *holds,
                                     size_t count, store_fn fn, void *ctx,
                                     struct why *why) ERR_CHECKED;

/* ---- what is known of others ---- */

/*
 * store_lease_known says whether some process holds the lease, or held it within `idle_usec`: as of
 * the keeper's last look, which is at most a quarter of a lease old and follows each release and
 * takeover.
 */
bool store_lease_known(struct store *store, const char *name, int64_t idle_usec);

/* store_process_lives says whether the process with an id lives. Errors: ERR_DB. */
enum err store_process_lives(struct store_tx *tx, struct slice process_id, bool *out,
                             struct why *why) ERR_CHECKED;

struct store_lease_row {
    struct slice name;
    struct slice owner; /* process id, "" for nobody */
    struct slice host;
    int64_t pid;
    struct slice roles;
    uint64_t fence;
    int64_t since_usec; /* wall time of the database */
    bool alive;         /* the owner */
    int64_t idle_usec;  /* how long ago the owner was last known to live */
};

/* store_leases_list lists all leases by name. Owns: the arena. Errors: ERR_DB. */
enum err store_leases_list(struct store_tx *tx, struct arena *arena, struct store_lease_row **out,
                           size_t *out_count, struct why *why) ERR_CHECKED;

struct store_process_row {
    struct slice id;
    struct slice host;
    int64_t pid;
    struct slice roles;
    struct slice version;
    int64_t started_usec;
    bool alive;
};

/* store_processes_list lists processes, oldest first. Owns: the arena. Errors: ERR_DB. */
enum err store_processes_list(struct store_tx *tx, struct arena *arena,
                              struct store_process_row **out, size_t *out_count,
                              struct why *why) ERR_CHECKED;

#define STORE_INSTALLATION_MAX 72

/*
 * store_installation reads the random text that tells this database from all others, and makes it
 * the first time. Nobody outside of the database knows it. Errors: those of store_write.
 */
enum err store_installation(struct store *store, char out[STORE_INSTALLATION_MAX],
                            struct why *why) ERR_CHECKED;

struct store_lease_state {
    const char *name;
    bool held;
    uint64_t fence; /* of the present owner, as of the last look */
};

/* store_lease_states copies the state of up to `cap` wanted leases; returns how many there are. */
size_t store_lease_states(struct store *store, struct store_lease_state *out, size_t cap);

/* store_lease_metrics_register makes the metric rows part of /metrics and the reference, once. */
void store_lease_metrics_register(void);

#endif
