/*
 * journal_scan.c: reading what is there: from the first file or from a snapshot on.
 */
#include <fcntl.h>

#include "domain/trading/journal/journal_internal.h"
#include "kernel/base/mem.h"

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
    for (uint32_t i = 0; i < block->count; i++) {
        const uint64_t seq = block->first_seq + i;
        struct engine_command c;
        if (seq < scan->from) {
            continue;
        }
        enum err e = journal_record_decode(block->records + (size_t)i * JOURNAL_UNIT, &c, why);
        e = e == OK ? scan->record(scan->ctx, seq, &c, why) : e;
        if (e != OK) {
            return e;
        }
        recovery->replayed++;
    }
    return OK;
}

/* Reads one file; `end` says what must come next and is moved on. */
static enum err scan_file(const struct journal_dir *d, const struct journal_scan *scan,
                          const char *name, struct slice bytes, bool last,
                          struct journal_files_end *end, struct journal_recovery *recovery,
                          struct why *why)
{
    size_t at = JOURNAL_HEAD_BYTES;
    for (;;) {
        struct journal_block block;
        const enum journal_found found =
            journal_block_read(bytes, at, end->seq + 1, &end->chain, &block, why);
        if (found == JOURNAL_BROKEN) {
            return in_file(why, name);
        }
        if (found == JOURNAL_TORN && !last) {
            (void)why_set(why, ERR_CORRUPT, NULL,
                          "offset %zu, record %llu: bytes are missing, and "
                          "another file follows",
                          at, (unsigned long long)end->seq + 1);
            return in_file(why, name);
        }
        if (found != JOURNAL_BLOCK) {
            end->offset = at;
            if (found == JOURNAL_TORN) {
                recovery->torn_bytes = block.size;
                recovery->torn_offset = at;
                (void)snprintf(recovery->torn_file, sizeof recovery->torn_file, "%s", name);
                return scan->repair ? zero_out(d, name, at, block.size, why) : OK;
            }
            return OK;
        }
        const enum err e = journal_give_records(scan, &block, recovery, why);
        if (e != OK) {
            return e == ERR_CORRUPT ? in_file(why, name) : e;
        }
        end->seq += block.count;
        at += block.size;
    }
}

static bool limits_equal(const struct engine_limits *a, const struct engine_limits *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static enum err open_file(const struct journal_dir *d, uint64_t first_seq, bool first,
                          struct journal_files_end *end, char name[JOURNAL_NAME_MAX],
                          struct journal_bytes *out, struct why *why)
{
    struct journal_head head;
    journal_file_name(JOURNAL_PREFIX, first_seq, name);
    enum err e = journal_file_read(d, name, out, why);
    if (e != OK) {
        return e;
    }
    if (out->len < JOURNAL_HEAD_BYTES || journal_head_decode(out->ptr, &head, why) != OK) {
        (void)why_set(why, ERR_CORRUPT, NULL, "offset 0: the head of the file is damaged");
        e = in_file(why, name);
    } else if (head.first_seq != first_seq ||
               (!first &&
                (head.first_seq != end->seq + 1 || !hash_equal(&head.chain, &end->chain) ||
                 !limits_equal(&head.limits, &end->limits)))) {
        (void)why_set(why, ERR_CORRUPT, NULL, "offset 0: the file does not follow the one before");
        e = in_file(why, name);
    }
    if (e != OK) {
        mem_free(out->ptr);
        return e;
    }
    *end = (struct journal_files_end){.exists = true,
                                      .first_seq = first_seq,
                                      .bytes = out->len,
                                      .seq = first_seq - 1,
                                      .chain = head.chain,
                                      .limits = head.limits};
    return OK;
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
    size_t start = 0;
    while (start + 1 < names.count && names.seqs[start + 1] <= scan->from) {
        start++;
    }
    for (size_t i = start; i < names.count && e == OK; i++) {
        char name[JOURNAL_NAME_MAX];
        struct journal_bytes bytes = {0};
        e = open_file(d, names.seqs[i], i == start, &end, name, &bytes, why);
        if (e == OK) {
            e = scan_file(d, scan, name, slice_of(bytes.ptr, bytes.len), i + 1 == names.count, &end,
                          &recovery, why);
            mem_free(bytes.ptr);
        }
    }
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
    struct journal_bytes bytes = {0};
    char name[JOURNAL_NAME_MAX];
    enum err e = journal_dir_list(d, JOURNAL_PREFIX, &names, why);
    if (e != OK) {
        return e;
    }
    e = names.count > 0 ? open_file(d, names.seqs[names.count - 1], true, &end, name, &bytes, why)
                        : why_set(why, ERR_NOT_FOUND, "dir", "there is no journal in %s", d->path);
    mem_free(names.seqs);
    if (e == OK) {
        mem_free(bytes.ptr);
        *out = end.limits;
    }
    return e;
}
