/*
 * journal_folder.c: a folder of files as a medium.
 */
#include <fcntl.h>

#include "domain/trading/journal/journal_internal.h"
#include "kernel/base/check.h"
#include "kernel/base/mem.h"

struct folder {
    struct journal_medium medium; /* first */
    struct journal_dir dir;
    uint64_t file_bytes;
    struct engine_limits limits;
    struct journal_files_end end; /* as it was read */
    int fd;                       /* of the file that is written; -1: none yet */
    uint64_t at;
};

static struct folder *folder_of(struct journal_medium *m)
{
    return (struct folder *)m;
}

static enum err folder_limits(struct journal_medium *m, struct engine_limits *out, struct why *why)
{
    return journal_files_limits(&folder_of(m)->dir, out, why);
}

static enum err folder_load(struct journal_medium *m, const struct engine_limits *limits,
                            uint64_t upto, struct engine **out, struct why *why)
{
    return journal_snapshot_load(&folder_of(m)->dir, limits, upto, out, why);
}

static enum err folder_scan(struct journal_medium *m, const struct journal_scan *scan,
                            struct journal_end *out_end, struct journal_recovery *out_recovery,
                            struct why *why)
{
    struct folder *f = folder_of(m);
    const enum err e = journal_files_scan(&f->dir, scan, &f->end, out_recovery, why);
    if (e == OK) {
        *out_end = (struct journal_end){.seq = f->end.seq, .chain = f->end.chain};
    }
    return e;
}

static enum err folder_begin_append(struct journal_medium *m, const struct engine_limits *limits,
                                    struct why *why)
{
    struct folder *f = folder_of(m);
    char name[JOURNAL_NAME_MAX];
    char path[JOURNAL_PATH_MAX];
    f->limits = *limits;
    if (!f->end.exists) {
        return OK;
    }
    journal_file_name(JOURNAL_PREFIX, f->end.first_seq, name);
    journal_file_path(&f->dir, name, path);
    f->fd = f->dir.io->open(f->dir.io->ctx, path, O_RDWR);
    f->file_bytes = f->end.bytes;
    f->at = f->end.offset;
    return f->fd >= 0 ? OK : journal_io_error(why, "opened", name);
}

static enum err next_file(struct folder *f, const struct journal_sealed *block, struct why *why)
{
    const struct journal_head head = {
        .limits = f->limits, .first_seq = block->first_seq, .chain = block->before};
    int fd;
    const enum err e = journal_file_make(&f->dir, &head, f->file_bytes, &fd, why);
    if (e == OK) {
        if (f->fd >= 0) {
            (void)f->dir.io->close(f->dir.io->ctx, f->fd);
        }
        f->fd = fd;
        f->at = JOURNAL_HEAD_BYTES;
    }
    return e;
}

/* Writes and syncs one block. */
static enum err folder_append(struct journal_medium *m, const struct journal_sealed *block,
                              struct why *why)
{
    struct folder *f = folder_of(m);
    enum err e = OK;
    if (f->fd < 0 || f->at + block->size > f->file_bytes) {
        e = next_file(f, block, why);
    }
    if (e != OK) {
        return e;
    }
    const struct journal_io *io = f->dir.io;
    e = journal_write_all(io, f->fd, block->bytes, block->size, f->at, "the journal", why);
    if (e == OK && io->sync(io->ctx, f->fd) != 0) {
        e = journal_io_error(why, "synced", "the journal");
    }
    f->at += block->size;
    return e;
}

static enum err folder_save(struct journal_medium *m, const struct engine *e, struct why *why)
{
    return journal_snapshot_write(&folder_of(m)->dir, e, why);
}

static void folder_close(struct journal_medium *m)
{
    struct folder *f = folder_of(m);
    if (f->fd >= 0) {
        (void)f->dir.io->close(f->dir.io->ctx, f->fd);
    }
    journal_dir_close(&f->dir);
    mem_free(f);
}

enum err journal_folder_open(struct journal_medium **out, const struct journal_config *config,
                             bool create, struct why *why)
{
    if (create && (config->file_bytes < JOURNAL_HEAD_BYTES + JOURNAL_BLOCK_MAX ||
                   config->file_bytes % JOURNAL_UNIT != 0)) {
        return why_set(
            why, ERR_INVALID_FIELD, "file_bytes",
            "a journal file must be a multiple of %d bytes and hold its head and a block "
            "of %zu bytes",
            JOURNAL_UNIT, JOURNAL_BLOCK_MAX);
    }
    struct folder *f = mem_alloc(sizeof *f);
    *f = (struct folder){.medium = {.limits = folder_limits,
                                    .load = folder_load,
                                    .scan = folder_scan,
                                    .begin_append = folder_begin_append,
                                    .append = folder_append,
                                    .save = folder_save,
                                    .close = folder_close},
                         .file_bytes = config->file_bytes,
                         .fd = -1};
    const enum err e = journal_dir_open(&f->dir, config->dir, config->io, create, why);
    if (e != OK) {
        mem_free(f);
        return e;
    }
    *out = &f->medium;
    return OK;
}
