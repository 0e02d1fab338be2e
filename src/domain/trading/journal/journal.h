/*
 * journal.h: the engine's durable input. The engine is a function of its commands, so that keeping
 * the commands keeps everything; journal_block.h says what the bytes are.
 *
 *     caller: seq = journal_append(command); engine_apply(command); … events wait …
 *     writer thread: takes whatever is queued, one write, one fdatasync, durable = last seq
 *     caller: journal_wait(seq); now its events may leave
 *
 * The one rule: matching may run ahead of the disk, but nothing leaves (answer, market data, row,
 * webhook) before journal_durable() has reached its sequence number. There is no timer: a group is
 * what came while the last one was being written.
 *
 * A folder holds files of a fixed size, made of zeros and synced before use, so that a commit
 * changes no metadata; a full one is followed by the next, named by its first sequence number. Two
 * newest snapshots lie beside them. Files are never changed behind what is durable, never deleted.
 *
 * Failure. A write or sync that fails ends the journal: journal_state says FAILED, nothing more
 * becomes durable, every wait returns ERR_IO or ERR_DISK_FULL. It is not tried again: after a
 * failed fsync nobody knows what is on the disk. The process must stop; the next opening finds a
 * prefix of what was appended, which has everything that was acknowledged.
 *
 * Opening: the newest snapshot that is whole, then the rest of the journal through the engine. A
 * torn last write is made zeros again (nothing in it was acknowledged); damage is refused with the
 * file, offset and record, and repairs are for humans.
 *
 * What a crash leaves: making a file: it is under a temporary name and is removed; writing a block:
 * torn or whole; making a snapshot: a temporary file. Each opening is the same whatever it finds.
 *
 * Threads: one appends; any may ask and wait. One process: the folder is locked.
 *
 * What is said here of a folder holds for any medium (journal_medium.h); the other one is a table
 * that several processes share, of which one writes (journal_table.h).
 */
#ifndef DOMAIN_TRADING_JOURNAL_JOURNAL_H
#define DOMAIN_TRADING_JOURNAL_JOURNAL_H

#include "domain/trading/journal/journal_block.h"
#include "domain/trading/journal/journal_io.h"

struct journal;
struct journal_medium;

struct journal_config {
    struct engine_limits limits;   /* of a new journal; an old one keeps its own */
    struct journal_medium *medium; /* it is this journal's from now on; NULL: the folder `dir` */
    const char *dir;
    uint64_t file_bytes;         /* of each file; at least head and one block of the largest size */
    const struct journal_io *io; /* NULL: the system's */
};

#define JOURNAL_FILE_BYTES_DEFAULT (UINT64_C(64) << 20)

struct journal_recovery {
    uint64_t snapshot_seq; /* 0: none was used */
    uint64_t last_seq;
    uint64_t replayed;
    uint64_t torn_bytes; /* of a torn last write, made zeros */
    char torn_file[32];
    uint64_t torn_offset;
};

enum journal_state {
    JOURNAL_RUNNING,
    JOURNAL_FAILED,
};

/*
 * journal_open recovers a journal, or begins one that is empty, and starts the writer. The medium
 * is closed by journal_close, or here after a failure.
 * Owns: *out by journal_close; *out_engine by the caller, engine_free.
 * Errors: ERR_LOCKED, ERR_CORRUPT, ERR_IO, ERR_DISK_FULL, ERR_INVALID_FIELD; of a database also
 * ERR_FENCED and those of store_read.
 */
enum err journal_open(struct journal **out, const struct journal_config *config,
                      struct engine **out_engine, struct journal_recovery *out_recovery,
                      struct why *why) ERR_CHECKED;

/* journal_close writes what is queued, if it can, and stops; NULL is fine. */
void journal_close(struct journal *j);

/* journal_append queues a command and returns its sequence number; waits while the queue is full.
 */
uint64_t journal_append(struct journal *j, const struct engine_command *c);

/* journal_durable returns the highest sequence number that is on the disk. */
uint64_t journal_durable(const struct journal *j);

/*
 * journal_wait returns when `seq` is durable. Errors: it never will be: ERR_IO, ERR_DISK_FULL; of a
 * database also ERR_FENCED (another process goes on with the journal) and those of store_write.
 */
enum err journal_wait(struct journal *j, uint64_t seq, struct why *why) ERR_CHECKED;

/* journal_state_of says whether the journal still takes commands to the disk. */
enum journal_state journal_state_of(const struct journal *j);

/*
 * journal_snapshot waits until all that the engine applied is durable and writes its state with
 * its hash; the two newest snapshots are kept. Errors: as journal_wait.
 */
enum err journal_snapshot(struct journal *j, const struct engine *e, struct why *why) ERR_CHECKED;

/* Reading a folder that nobody has open. */
struct journal_visitor {
    void (*record)(void *ctx, uint64_t seq, const struct engine_command *c); /* or NULL */
    /* What comes a few records later, as engine_hint wants it; or NULL. */
    void (*ahead)(void *ctx, const struct engine_command *soon, const struct engine_command *later);
    void *ctx;
    bool repair; /* make a torn tail zeros */
};

/*
 * journal_read goes through every record from the first file on, without snapshots.
 * Errors: ERR_CORRUPT naming file, offset and record; ERR_LOCKED, ERR_IO, ERR_NOT_FOUND.
 */
enum err journal_read(const char *dir, const struct journal_visitor *visitor,
                      struct engine_limits *out_limits, struct journal_recovery *out_recovery,
                      struct why *why) ERR_CHECKED;
/* journal_read_medium is journal_read of any medium, which it closes. */
enum err journal_read_medium(struct journal_medium *medium, const struct journal_visitor *visitor,
                             struct engine_limits *out_limits,
                             struct journal_recovery *out_recovery, struct why *why) ERR_CHECKED;

/* What replaying is for: the events of the commands behind one. */
struct journal_replay {
    uint64_t after;                 /* the last command whose events are known */
    const struct engine_sink *sink; /* of the events behind it; NULL: nobody wants them */
    /* After each of these commands; what it returns but OK ends the replay. NULL: not asked. */
    enum err (*applied)(void *ctx, uint64_t seq, struct why *why);
    void *ctx;
};

/*
 * journal_replay begins with the newest snapshot that is not behind `after` and applies the rest of
 * the journal of a folder that nobody has open. Nothing in the folder is changed; a torn tail is
 * passed over. Owns: *out_engine by the caller, engine_free.
 * Errors: as journal_read; ERR_CONFLICT: the journal ends before `after`; those of `applied`.
 */
enum err journal_replay(const char *dir, const struct journal_replay *replay,
                        struct engine **out_engine, struct journal_recovery *out_recovery,
                        struct why *why) ERR_CHECKED;
/* journal_replay_medium is journal_replay of any medium, which it closes. */
enum err journal_replay_medium(struct journal_medium *medium, const struct journal_replay *replay,
                               struct engine **out_engine, struct journal_recovery *out_recovery,
                               struct why *why) ERR_CHECKED;

#endif
