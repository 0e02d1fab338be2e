/*
 * journal_files.c: folders and files under the journal.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain/trading/journal/journal_internal.h"
#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#define ZEROS_BYTES (1u << 20)

enum err journal_io_error(struct why *why, const char *what, const char *name)
{
    const int number = errno;
    const bool full = number == ENOSPC || number == EDQUOT || number == EFBIG;
    return why_set(why, full ? ERR_DISK_FULL : ERR_IO, NULL, "%s could not be %s: %s", name, what,
                   number != 0 ? strerror(number) : "fewer bytes than asked for");
}

void journal_file_name(const char *prefix, uint64_t seq, char out[JOURNAL_NAME_MAX])
{
    (void)snprintf(out, JOURNAL_NAME_MAX, "%s%020llu", prefix, (unsigned long long)seq);
}

void journal_file_path(const struct journal_dir *d, const char *name, char out[JOURNAL_PATH_MAX])
{
    const int len = snprintf(out, JOURNAL_PATH_MAX, "%s/%s", d->path, name);
    ASSERT(len > 0 && len < JOURNAL_PATH_MAX); /* journal_dir_open left room */
}

enum err journal_dir_open(struct journal_dir *d, const char *path, const struct journal_io *io,
                          bool create, struct why *why)
{
    char lock[JOURNAL_PATH_MAX];
    *d = (struct journal_dir){.io = io != NULL ? io : journal_io_system(), .lock_fd = -1};
    if (strlen(path) + JOURNAL_NAME_MAX + 2 > JOURNAL_PATH_MAX) {
        return why_set(why, ERR_INVALID_FIELD, "dir",
                       "the name of the journal's folder is too long");
    }
    (void)snprintf(d->path, sizeof d->path, "%s", path);
    if (create && mkdir(path, 0700) != 0 && errno != EEXIST) {
        return journal_io_error(why, "made", path);
    }
    journal_file_path(d, "lock", lock);
    d->lock_fd = open(lock, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
    if (d->lock_fd < 0 && errno == ENOENT) {
        return why_set(why, ERR_NOT_FOUND, "dir", "there is no journal in %s", path);
    }
    if (d->lock_fd < 0) {
        return journal_io_error(why, "opened", lock);
    }
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        journal_dir_close(d);
        return why_set(why, ERR_LOCKED, "dir", "another process has the journal %s open", path);
    }
    return OK;
}

void journal_dir_close(struct journal_dir *d)
{
    if (d->lock_fd >= 0) {
        (void)close(d->lock_fd);
        d->lock_fd = -1;
    }
}

static int by_seq(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

enum err journal_dir_list(const struct journal_dir *d, const char *prefix,
                          struct journal_names *out, struct why *why)
{
    DIR *dir = opendir(d->path);
    if (dir == NULL) {
        return journal_io_error(why, "read", d->path);
    }
    struct journal_names names = {.seqs = mem_alloc(JOURNAL_FILES_MAX * sizeof *names.seqs)};
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL && names.count < JOURNAL_FILES_MAX) {
        const struct slice name = slice_text(entry->d_name);
        const size_t skip = strlen(prefix);
        uint64_t seq;
        if (slice_starts(name, slice_text(prefix)) && name.len == skip + 20 &&
            slice_parse_u64(slice_sub(name, skip, 20), &seq) == OK) {
            names.seqs[names.count++] = seq;
        }
    }
    (void)closedir(dir);
    qsort(names.seqs, names.count, sizeof names.seqs[0], by_seq);
    *out = names;
    return OK;
}

enum err journal_dir_sync(const struct journal_dir *d, struct why *why)
{
    const int fd = d->io->open(d->io->ctx, d->path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        return journal_io_error(why, "opened", d->path);
    }
    const enum err e =
        d->io->sync(d->io->ctx, fd) == 0 ? OK : journal_io_error(why, "synced", d->path);
    (void)d->io->close(d->io->ctx, fd);
    return e;
}

enum err journal_write_all(const struct journal_io *io, int fd, const void *bytes, size_t size,
                           uint64_t at, const char *name, struct why *why)
{
    const uint8_t *from = bytes;
    while (size > 0) {
        errno = 0;
        const ssize_t n = io->write_at(io->ctx, fd, from, size, (off_t)at);
        if (n <= 0) {
            return journal_io_error(why, "written", name);
        }
        from += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return OK;
}

enum err journal_file_read(const struct journal_dir *d, const char *name, struct journal_bytes *out,
                           struct why *why)
{
    char path[JOURNAL_PATH_MAX];
    struct stat st;
    journal_file_path(d, name, path);
    const int fd = d->io->open(d->io->ctx, path, O_RDONLY);
    if (fd < 0) {
        return journal_io_error(why, "opened", name);
    }
    if (fstat(fd, &st) != 0 || st.st_size < 0) {
        (void)d->io->close(d->io->ctx, fd);
        return journal_io_error(why, "read", name);
    }
    const size_t size = (size_t)st.st_size;
    uint8_t *bytes = mem_alloc(size + 1);
    size_t got = 0;
    enum err e = OK;
    while (got < size && e == OK) {
        errno = 0;
        const ssize_t n = d->io->read_at(d->io->ctx, fd, bytes + got, size - got, (off_t)got);
        if (n <= 0) {
            e = journal_io_error(why, "read", name);
        } else {
            got += (size_t)n;
        }
    }
    (void)d->io->close(d->io->ctx, fd);
    if (e != OK) {
        mem_free(bytes);
        return e;
    }
    *out = (struct journal_bytes){.ptr = bytes, .len = size};
    return OK;
}

static enum err fill(const struct journal_dir *d, int fd, const struct journal_head *head,
                     uint64_t bytes, struct why *why)
{
    uint8_t *zeros = mem_alloc(ZEROS_BYTES);
    uint8_t first[JOURNAL_HEAD_BYTES];
    journal_head_encode(head, first);
    enum err e = journal_write_all(d->io, fd, first, sizeof first, 0, "a journal file", why);
    for (uint64_t at = sizeof first; at < bytes && e == OK; at += ZEROS_BYTES) {
        const uint64_t left = bytes - at;
        e = journal_write_all(d->io, fd, zeros, left < ZEROS_BYTES ? (size_t)left : ZEROS_BYTES, at,
                              "a journal file", why);
    }
    mem_free(zeros);
    if (e == OK && d->io->sync(d->io->ctx, fd) != 0) {
        e = journal_io_error(why, "synced", "a journal file");
    }
    return e;
}

enum err journal_file_make(const struct journal_dir *d, const struct journal_head *head,
                           uint64_t bytes, int *out_fd, struct why *why)
{
    char name[JOURNAL_NAME_MAX];
    char path[JOURNAL_PATH_MAX];
    char temporary[JOURNAL_PATH_MAX];
    journal_file_name(JOURNAL_PREFIX, head->first_seq, name);
    journal_file_path(d, name, path);
    journal_file_path(d, "new", temporary);
    const int fd = d->io->open(d->io->ctx, temporary, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0) {
        return journal_io_error(why, "made", temporary);
    }
    enum err e = fill(d, fd, head, bytes, why);
    if (e == OK && d->io->rename(d->io->ctx, temporary, path) != 0) {
        e = journal_io_error(why, "renamed", temporary);
    }
    e = e == OK ? journal_dir_sync(d, why) : e;
    if (e != OK) {
        (void)d->io->close(d->io->ctx, fd);
        return e;
    }
    *out_fd = fd;
    return OK;
}
