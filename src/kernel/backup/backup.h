/*
 * backup.h: an installation in files that any database of ours can be filled from again.
 *
 * What is in a backup
 *   manifest.json        what is listed below with sizes and hashes; written last
 *   tables/NAME.rows.gz  the rows of a table: gzip of (4 bytes length, big-endian, and a row as
 *                        backup_row.h encodes it), in the order of the database
 *   config.txt           the effective settings, secrets left out
 *   keystore/…           encrypted key files; a file that is none refuses the backup. Their
 *                        password is not in it: keep it elsewhere.
 *   files/…              the folders of backup.include (documents)
 *
 *   Rows are read in one transaction beside running daemons, so that all of them are of one moment:
 *   next to a file's owner, or from a server's snapshot. The format is that of no database, because
 *   a backup must be restorable, and must be seen to be, without the tools and the version of the
 *   server that it came from; where those are at hand, WAL archiving (docs/operations.md) adds
 *   every moment between two backups.
 *
 * Steps, and what a crash at each point leaves
 *   1. files are written                  something that is no backup, removed by the next one
 *   2. the manifest is written            a whole backup
 *   3. old backups are removed            each of them whole, or no backup any more
 *   4. the run is noted in `backup_runs`  a backup that health does not know of until the next run
 *
 * Restoring is backup_copy.h with a backup as its source: into an empty database, resumable, each
 * file's hash and each table's compared with the manifest, and no daemon starts before the end. The
 * program must know exactly the backup's schema: older backups are restored by the version that
 * made them, which then is upgraded.
 *
 * Verifying restores into a scratch database, and then proves: foreign keys, the facts that were
 * noted (cursors of chains, head of the audit log), and what the caller adds (ledger, audit chain).
 *
 * Threads: one call at a time for a place.
 */
#ifndef KERNEL_BACKUP_BACKUP_H
#define KERNEL_BACKUP_BACKUP_H

#include "kernel/backup/backup_copy.h"
#include "kernel/backup/backup_place.h"
#include "kernel/base/config.h"

#define BACKUP_FORMAT "freehold-backup/1"

struct backup_table {
    const struct store_table *table;
    struct backup_sum sum;
    int64_t number; /* how far the database had counted; 0: it does not */
    struct backup_file file;
};

struct backup_manifest {
    struct slice id;
    int64_t created_usec;
    struct slice program;        /* version of it */
    struct slice database;       /* "sqlite", "postgres" */
    struct backup_table *tables; /* one a table of the catalog, in its order */
    size_t table_count;
    struct backup_file *files;
    size_t file_count;
    struct slice facts; /* a JSON object */
    uint64_t rows;
    uint64_t bytes; /* of all files */
};

/* A folder that goes into the backup. */
struct backup_folder {
    const char *name; /* "keystore", "files/documents" */
    const char *path;
    bool keys; /* every file must be an encrypted key */
};

struct backup_write_options {
    struct store *store;
    const struct store_catalog *catalog;
    struct backup_place *place;
    const char *program;
    struct slice config_text;
    const struct backup_folder *folders;
    size_t folder_count;
    backup_progress_fn progress;
    void *progress_ctx;
};

/*
 * backup_write makes a backup and tells what is in it. Owns: the arena. Errors: ERR_CONFIG (a plain
 * key), ERR_DISK_FULL, ERR_IO, ERR_UPSTREAM, of the store; nothing is left of it then.
 */
enum err backup_write(const struct backup_write_options *options, struct arena *arena,
                      struct backup_manifest *out, struct why *why) ERR_CHECKED;

/* backup_manifest_write appends a manifest as JSON. */
void backup_manifest_write(const struct backup_manifest *m, const struct store_catalog *catalog,
                           struct buf *out);
/*
 * backup_manifest_parse reads one. Owns: the arena. Errors: ERR_CORRUPT (it is none of ours),
 * ERR_DB_VERSION (of another schema).
 */
enum err backup_manifest_parse(struct slice text, const struct store_catalog *catalog,
                               struct arena *arena, struct backup_manifest *out,
                               struct why *why) ERR_CHECKED;
/* backup_manifest_load reads that of a backup. Errors: ERR_NOT_FOUND, and as parse and read. */
enum err backup_manifest_load(struct backup_place *place, const char *id,
                              const struct store_catalog *catalog, struct arena *arena,
                              struct backup_manifest *out, struct why *why) ERR_CHECKED;

/* What backup_read_rows reads: `ctx` of a source. */
struct backup_archive {
    struct backup_place *place;
    const struct backup_manifest *manifest;
};

/*
 * backup_read_rows is the backup_produce_fn that reads the tables of a backup. Errors: ERR_CORRUPT
 * (a file is not what the manifest says), of the place.
 */
enum err backup_read_rows(void *ctx, struct backup_stream *to, struct why *why) ERR_CHECKED;

struct backup_restore_options {
    struct backup_place *place;
    const struct backup_manifest *manifest;
    const struct store_catalog *catalog;
    struct store *target;
    const char *files_dir; /* where files go; NULL: nowhere */
    backup_progress_fn progress;
    void *progress_ctx;
};

/*
 * backup_restore fills an empty database. Owns: the arena. Errors: as backup_copy_run; ERR_CORRUPT
 * (the backup is damaged), ERR_ALREADY_EXISTS (a file is there).
 */
enum err backup_restore(const struct backup_restore_options *options, struct arena *arena,
                        struct backup_copy_report *out, struct why *why) ERR_CHECKED;

/* A proof that a restored database has to pass; `detail` gets what it found. */
struct backup_check {
    const char *name;
    enum err (*run)(struct store *store, struct buf *detail, struct why *why);
};

struct backup_verdict {
    const char *name;
    enum err err;
    struct slice detail; /* what it found, or why it failed */
};

/*
 * backup_verify restores into `options->target`, a scratch database, and runs all proofs; the
 * verdicts tell which passed. Owns: the arena. Errors: that of the first proof that failed.
 */
enum err backup_verify(const struct backup_restore_options *options,
                       const struct backup_check *checks, size_t check_count, struct arena *arena,
                       struct backup_verdict **out, size_t *out_count, struct why *why) ERR_CHECKED;

/* ---- how long backups are kept ---- */

/*
 * backup_retention marks which of the backups of these moments, oldest first, are kept: all that
 * are younger than `daily_usec`; of those that are younger than `weekly_usec` the first of each
 * week (from Sunday, UTC); and always the newest. Units: microseconds.
 */
void backup_retention(const int64_t *moments_usec, size_t count, int64_t now_usec,
                      int64_t daily_usec, int64_t weekly_usec, bool *out_keep);

/* backup_expire removes the backups that are kept no longer. Errors: of the place. */
enum err backup_expire(struct backup_place *place, int64_t daily_usec, int64_t weekly_usec,
                       size_t *out_removed, struct why *why) ERR_CHECKED;

#endif
