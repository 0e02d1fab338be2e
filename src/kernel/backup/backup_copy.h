/*
 * backup_copy.h: fills a database with the rows of another one, or of a backup.
 *
 * The target must be empty, or hold an unfinished copy of the same source. What is copied is every
 * table of the catalog, referenced ones first; numbers that the database assigns go on where the
 * source stood. Undo triggers write nothing, because no apply step is open.
 *
 * Steps, and what a crash at each point leaves
 *   1. The schema is brought to the program's version.   An empty database.
 *   2. `backup_copy` says: under way (1), from where.     A daemon refuses to start from here on.
 *   3. Batch after batch: rows, and in the same transaction how many rows of the table are there
 *      and the sum of their hashes.                       Whole batches; the next run goes on.
 *   4. Every row of the target is read again and hashed, table by table, and compared with what
 *      the source gave.                                   The next run reads and compares again.
 *   5. `backup_copy` says: whole (2), or differs (3).     A daemon starts on a whole one only.
 *
 * Going on. The source is read again from its beginning, in one transaction. Rows that are in the
 * target are only hashed; where the count that was written down is reached, the sum must be the one
 * that was written down with it. So what is in the target is known to be what the source shows now,
 * and nothing is taken on trust. When it is not (the source was changed in between), the target is
 * emptied by taking its migrations back, and the copy begins anew: two moments are never mixed.
 *
 * Memory: a few batches of about 1 MiB, whatever the size of the database.
 * Threads: one call at a time for a target; the source is read on a thread of its own.
 */
#ifndef KERNEL_BACKUP_BACKUP_COPY_H
#define KERNEL_BACKUP_BACKUP_COPY_H

#include "kernel/backup/backup_stream.h"

/* Stored: numbers are append-only. */
enum backup_copy_state {
    BACKUP_COPY_NONE = 0, /* there is no row */
    BACKUP_COPY_UNDER_WAY = 1,
    BACKUP_COPY_WHOLE = 2,
    BACKUP_COPY_DIFFERS = 3,
};

struct backup_copy_table {
    const char *name;
    struct backup_sum source;
    struct backup_sum target;
};

struct backup_copy_report {
    struct backup_copy_table *tables; /* in the arena that backup_copy_run was given */
    size_t table_count;
    uint64_t rows;
    uint64_t rows_resumed; /* that an earlier run had copied */
    bool begun_anew;       /* the source had changed since then */
    bool equal;
};

/* Told after each batch; may be NULL. An error ends the copy where it is. */
typedef enum err (*backup_progress_fn)(void *ctx, const char *table, uint64_t rows,
                                       struct why *why);

struct backup_copy_options {
    /* Makes the source anew for each reading of it. */
    struct backup_source source;
    void (*rewind)(void *ctx);
    const char *source_name; /* shown, and compared when a copy goes on */
    struct store *target;
    const struct store_catalog *catalog;
    backup_progress_fn progress;
    void *progress_ctx;
};

/*
 * backup_copy_run copies, going on where an earlier run stopped, and compares. Owns: the arena.
 * Errors: ERR_CONFLICT (the target holds something else), ERR_CORRUPT (the target differs at the
 * end: `out` says where), of the source, of the store.
 */
enum err backup_copy_run(const struct backup_copy_options *options, struct arena *arena,
                         struct backup_copy_report *out, struct why *why) ERR_CHECKED;

/*
 * backup_copy_check refuses a database that a copy has not filled whole. The schema may be older
 * than the table of copies. Errors: ERR_CONFLICT, of the store.
 */
enum err backup_copy_check(struct store *store, struct why *why) ERR_CHECKED;

/* backup_copy_sessions counts connections of daemons to a server's database. Errors: ERR_DB. */
enum err backup_copy_sessions(struct store *store, int64_t *out, struct why *why) ERR_CHECKED;

#endif
