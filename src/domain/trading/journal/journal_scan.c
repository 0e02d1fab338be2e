/*
 * journal_scan.c: reading what is there: from the first file or from a snapshot on.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "domain/trading/journal/journal_internal.h"
#include "kernel/base/mem.h"

#define WINDOW (2u << 20) /* of a file that is looked at; at least a block */
#define RING 8            /* records that are decoded ahead */

/* Adds the name of the file to a sentence about it. */
static enum err in_file(struct why *why, const char *name)
{
    if (why != NULL) {
        const struct why what = *why;
        return why_set(why, ERR_CORRUPT, NULL, "%s: %s", name, what.text);
    }
    return ERR_CORRUPT;
}

static enum err zero_out(const struct journal_dir *d, const char *name, uint64_t at, size_t size,
                         struct why *why)
{
    char path[JOURNAL_PATH_MAX];
    journal_file_path(d, name, path);
    const int fd = d->io->open(d->io->ctx, path, O_RDWR);
    if (fd < 0) {
        return journal_io_error(why, "opened", name);
    }
    uint8_t *zeros = mem_alloc(size + 1);
    enum err e = journal_write_all(d->io, fd, zeros, size, at, name, why);
    if (e == OK && d->io->sync(d->io->ctx, fd) != 0) {
        e = journal_io_error(why, "synced", name);
    }
    mem_free(zeros);
    (void)d->io->close(d->io->ctx, fd);
    return e;
}

enum err journal_give_records(const struct journal_scan *scan, const struct journal_block *block,
                              struct journal_recovery *recovery, struct why *why)
{
    struct engine_command ring[RING]; /* decoded ahead, so that who applies them can prepare */
    const uint64_t skip = scan->from > block->first_seq ? scan->from - block->first_seq : 0;
    uint32_t decoded = skip < block->count ? (uint32_t)skip : block->count;
    for (uint32_t i = decoded; i < block->count; i++) {
        for (; decoded < block->count && decoded < i + RING; decoded++) {
            const uint8_t *record = block->records + (size_t)decoded * JOURNAL_UNIT;
            const enum err e = journal_record_decode(record, &ring[decoded % RING], why);
            if (e != OK) {
                return e;
            }
        }
        if (scan->ahead != NULL && i + RING - 1 < block->count) {
            scan->ahead(scan->ctx, &ring[(i + RING / 2) % RING], &ring[(i + RING - 1) % RING]);
        }
        const enum err e = scan->record(scan->ctx, block->first_seq + i, &ring[i % RING], why);
        if (e != OK) {
            return e;
        }
        recovery->replayed++;
    }
    return OK;
}

/* ---- a file, a window at a time ---- */

struct reader {
    const struct journal_dir *d;
    char name[JOURNAL_NAME_MAX];
    int fd;
    uint64_t size;
    uint8_t *bytes; /* WINDOW of them, of which `len` are the file's from `base` on */
    uint64_t base;
    size_t len;
};

static enum err fill(struct reader *r, uint64_t at, struct why *why)
{
    const uint64_t left = r->size - at;
    const size_t len = left < WINDOW ? (size_t)left : WINDOW;
    r->base = at;
    r->len = 0;
    while (r->len < len) {
        errno = 0;
        const ssize_t n = r->d->io->read_at(r->d->io->ctx, r->fd, r->bytes + r->len, len - r->len,
                                            (off_t)(at + r->len));
        if (n <= 0) {
            return journal_io_error(why, "read", r->name);
        }
        r->len += (size_t)n;
    }
    return OK;
}

static enum err zeros_from(struct reader *r, uint64_t at, bool *out, struct why *why)
{
    *out = true;
    while (at < r->size && *out) {
        if (at < r->base || at >= r->base + r->len) {
            const enum err e = fill(r, at, why);
            if (e != OK) {
                return e;
            }
        }
        const uint8_t *from = r->bytes + (at - r->base);
        const size_t len = r->len - (size_t)(at - r->base);
        *out = from[0] == 0 && memcmp(from, from + 1, len - 1) == 0;
        at += len;
    }
    return OK;
}

/*
 * Finds the block at `at`. What is no whole block is judged with all that follows it: the end of
 * what was written by zeros alone, everything else by the whole file.
 */
static enum err find_block(struct reader *r, uint64_t at, struct journal_files_end *end,
                           enum journal_found *out_found, struct journal_block *out,
                           struct why *why)
{
    enum err e = OK;
    if (at + JOURNAL_BLOCK_MAX > r->base + r->len && r->base + r->len < r->size) {
        e = fill(r, at, why);
    }
    if (e != OK) {
        return e;
    }
    struct why passed;
    *out_found = journal_block_read(slice_of(r->bytes, r->len), (size_t)(at - r->base),
                                    end->seq + 1, &end->chain, out, &passed);
    bool zeros = false;
    if (*out_found == JOURNAL_BLOCK) {
        return OK;
    }
    e = zeros_from(r, at, &zeros, why);
    if (e != OK || zeros) {
        *out_found = JOURNAL_END;
        return e;
    }
    struct journal_bytes whole;
    e = journal_file_read(r->d, r->name, &whole, why);
    if (e == OK) {
        *out_found = journal_block_read(slice_of(whole.ptr, whole.len), (size_t)at, end->seq + 1,
                                        &end->chain, out, why);
        mem_free(whole.ptr);
    }
    return e;
}

/* Reads one file; `end` says what must come next and is moved on. */
static enum err scan_file(struct reader *r, const struct journal_scan *scan, bool last,
                          struct journal_files_end *end, struct journal_recovery *recovery,
                          struct why *why)
{
    uint64_t at = JOURNAL_HEAD_BYTES;
    for (;;) {
        struct journal_block block;
        enum journal_found found;
        enum err e = find_block(r, at, end, &found, &block, why);
        if (e != OK) {
            return e;
        }
        if (found == JOURNAL_BROKEN) {
            return in_file(why, r->name);
        }
        if (found == JOURNAL_TORN && !last) {
            (void)why_set(why, ERR_CORRUPT, NULL,
                          "offset %llu, record %llu: bytes are missing, and another file follows",
                          (unsigned long long)at, (unsigned long long)end->seq + 1);
            return in_file(why, r->name);
        }
        if (found != JOURNAL_BLOCK) {
            end->offset = at;
            if (found == JOURNAL_TORN) {
                recovery->torn_bytes = block.size;
                recovery->torn_offset = at;
                (void)snprintf(recovery->torn_file, sizeof recovery->torn_file, "%s", r->name);
                return scan->repair ? zero_out(r->d, r->name, at, block.size, why) : OK;
            }
            return OK;
        }
        e = journal_give_records(scan, &block, recovery, why);
        if (e != OK) {
            return e == ERR_CORRUPT ? in_file(why, r->name) : e;
        }
        end->seq += block.count;
        at += block.size;
    }
}

static bool limits_equal(const struct engine_limits *a, const struct engine_limits *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void close_file(struct reader *r)
{
    if (r->fd >= 0) {
        (void)r->d->io->close(r->d->io->ctx, r->fd);
        r->fd = -1;
    }
}

/* Opens a file and looks at its head, which must go on where `end` is unless it is the first. */
static enum err open_file(struct reader *r, uint64_t first_seq, bool first,
                          struct journal_files_end *end, struct why *why)
{
    struct journal_head head;
    char path[JOURNAL_PATH_MAX];
    struct stat st;
    journal_file_name(JOURNAL_PREFIX, first_seq, r->name);
    journal_file_path(r->d, r->name, path);
    r->fd = r->d->io->open(r->d->io->ctx, path, O_RDONLY);
    if (r->fd < 0) {
        return journal_io_error(why, "opened", r->name);
    }
    if (fstat(r->fd, &st) != 0 || st.st_size < 0) {
        return journal_io_error(why, "read", r->name);
    }
    r->size = (uint64_t)st.st_size;
    enum err e = fill(r, 0, why);
    if (e != OK) {
        return e;
    }
    if (r->len < JOURNAL_HEAD_BYTES || journal_head_decode(r->bytes, &head, why) != OK) {
        (void)why_set(why, ERR_CORRUPT, NULL, "offset 0: the head of the file is damaged");
        return in_file(why, r->name);
    }
    if (head.first_seq != first_seq ||
        (!first && (head.first_seq != end->seq + 1 || !hash_equal(&head.chain, &end->chain) ||
                    !limits_equal(&head.limits, &end->limits)))) {
        (void)why_set(why, ERR_CORRUPT, NULL, "offset 0: the file does not follow the one before");
        return in_file(why, r->name);
    }
    *end = (struct journal_files_end){.exists = true,
                                      .first_seq = first_seq,
                                      .bytes = r->size,
                                      .seq = first_seq - 1,
                                      .chain = head.chain,
                                      .limits = head.limits};
    return OK;
}

static struct reader reader_of(const struct journal_dir *d)
{
    return (struct reader){.d = d, .fd = -1, .bytes = mem_alloc_large(WINDOW)};
}

enum err journal_files_scan(const struct journal_dir *d, const struct journal_scan *scan,
                            struct journal_files_end *out, struct journal_recovery *out_recovery,
                            struct why *why)
{
    struct journal_names names;
    struct journal_files_end end = {0};
    struct journal_recovery recovery = {0};
    enum err e = journal_dir_list(d, JOURNAL_PREFIX, &names, why);
    if (e != OK) {
        return e;
    }
    struct reader r = reader_of(d);
    size_t start = 0;
    while (start + 1 < names.count && names.seqs[start + 1] <= scan->from) {
        start++;
    }
    for (size_t i = start; i < names.count && e == OK; i++) {
        e = open_file(&r, names.seqs[i], i == start, &end, why);
        e = e == OK ? scan_file(&r, scan, i + 1 == names.count, &end, &recovery, why) : e;
        close_file(&r);
    }
    mem_free(r.bytes);
    mem_free(names.seqs);
    if (e == OK) {
        recovery.last_seq = end.seq;
        *out = end;
        *out_recovery = recovery;
    }
    return e;
}

enum err journal_files_limits(const struct journal_dir *d, struct engine_limits *out,
                              struct why *why)
{
    struct journal_names names;
    struct journal_files_end end = {0};
    enum err e = journal_dir_list(d, JOURNAL_PREFIX, &names, why);
    if (e != OK) {
        return e;
    }
    struct reader r = reader_of(d);
    e = names.count > 0 ? open_file(&r, names.seqs[names.count - 1], true, &end, why)
                        : why_set(why, ERR_NOT_FOUND, "dir", "there is no journal in %s", d->path);
    close_file(&r);
    mem_free(r.bytes);
    mem_free(names.seqs);
    if (e == OK) {
        *out = end.limits;
    }
    return e;
}
