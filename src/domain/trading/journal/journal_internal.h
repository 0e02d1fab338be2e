/*
 * journal_internal.h: what the files under journal_folder.c share.
 */
#ifndef DOMAIN_TRADING_JOURNAL_JOURNAL_INTERNAL_H
#define DOMAIN_TRADING_JOURNAL_JOURNAL_INTERNAL_H

#include "domain/trading/journal/journal_medium.h"

#define JOURNAL_PATH_MAX 512
#define JOURNAL_NAME_MAX 32
#define JOURNAL_FILES_MAX 65536
#define JOURNAL_PREFIX "journal-"
#define SNAPSHOT_PREFIX "snapshot-"

/* A folder that is locked by us. */
struct journal_dir {
    const struct journal_io *io;
    char path[JOURNAL_PATH_MAX];
    int lock_fd;
};

/* Sequence numbers in the names of files, rising. */
struct journal_names {
    uint64_t *seqs;
    size_t count;
};

enum err journal_dir_open(struct journal_dir *d, const char *path, const struct journal_io *io,
                          bool create, struct why *why) ERR_CHECKED;
void journal_dir_close(struct journal_dir *d);
/* journal_dir_list finds the files of a prefix. Owns: the caller, mem_free(seqs). */
enum err journal_dir_list(const struct journal_dir *d, const char *prefix,
                          struct journal_names *out, struct why *why) ERR_CHECKED;
enum err journal_dir_sync(const struct journal_dir *d, struct why *why) ERR_CHECKED;
void journal_file_name(const char *prefix, uint64_t seq, char out[JOURNAL_NAME_MAX]);
void journal_file_path(const struct journal_dir *d, const char *name, char out[JOURNAL_PATH_MAX]);
/* journal_io_error writes the sentence for errno. */
enum err journal_io_error(struct why *why, const char *what, const char *name);
/* journal_write_all writes all bytes, going on after a short write that made progress. */
enum err journal_write_all(const struct journal_io *io, int fd, const void *bytes, size_t size,
                           uint64_t at, const char *name, struct why *why) ERR_CHECKED;
/* journal_file_read reads a whole file. Owns: the caller, mem_free(out->ptr). */
enum err journal_file_read(const struct journal_dir *d, const char *name, struct journal_bytes *out,
                           struct why *why) ERR_CHECKED;
/* journal_file_make makes a file of zeros behind a head and opens it for writing. */
enum err journal_file_make(const struct journal_dir *d, const struct journal_head *head,
                           uint64_t bytes, int *out_fd, struct why *why) ERR_CHECKED;

/* Where the files end: the next block goes there. */
struct journal_files_end {
    bool exists;
    uint64_t first_seq; /* of the last file: its name */
    uint64_t offset;
    uint64_t bytes; /* of that file */
    uint64_t seq;   /* the last one */
    struct hash chain;
    struct engine_limits limits;
};

/* journal_files_scan reads the files that can hold sequence numbers from `scan->from` on. */
enum err journal_files_scan(const struct journal_dir *d, const struct journal_scan *scan,
                            struct journal_files_end *out, struct journal_recovery *out_recovery,
                            struct why *why) ERR_CHECKED;

/* journal_files_limits reads the limits of the last file. Errors: ERR_NOT_FOUND: there is none. */
enum err journal_files_limits(const struct journal_dir *d, struct engine_limits *out,
                              struct why *why) ERR_CHECKED;

/* journal_snapshot_write writes, syncs, names, and removes all but two. */
enum err journal_snapshot_write(const struct journal_dir *d, const struct engine *e,
                                struct why *why) ERR_CHECKED;
/* journal_snapshot_load gives the newest whole snapshot up to `upto` as an engine, or an empty one.
 */
enum err journal_snapshot_load(const struct journal_dir *d, const struct engine_limits *limits,
                               uint64_t upto, struct engine **out, struct why *why) ERR_CHECKED;

#endif
