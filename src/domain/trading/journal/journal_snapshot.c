/*
 * journal_snapshot.c: the state of an engine in a file: head, then the words of engine_save.
 */
#include <fcntl.h>
#include <stddef.h>

#include "domain/trading/journal/journal_internal.h"
#include "kernel/base/mem.h"

#define SNAPSHOT_MAGIC UINT64_C(0x315053474E454846)
#define KEPT 2

struct snapshot_head {
    uint64_t magic;
    uint64_t seq;
    uint64_t state_hash;
    uint64_t words;
    uint32_t words_crc;
    uint32_t crc; /* of all before */
};
_Static_assert(sizeof(struct snapshot_head) == 40, "no holes");

struct words {
    uint64_t *at;
    size_t count;
    size_t capacity;
    size_t read;
};

static void add_word(void *ctx, uint64_t word)
{
    struct words *w = ctx;
    if (w->count == w->capacity) {
        w->capacity = w->capacity != 0 ? 2 * w->capacity : 1u << 16;
        w->at = mem_resize(w->at, w->capacity * sizeof *w->at);
    }
    w->at[w->count++] = word;
}

static bool next_word(void *ctx, uint64_t *out)
{
    struct words *w = ctx;
    if (w->read == w->count) {
        return false;
    }
    *out = w->at[w->read++];
    return true;
}

static void remove_old(const struct journal_dir *d)
{
    struct journal_names names;
    if (journal_dir_list(d, SNAPSHOT_PREFIX, &names, NULL) != OK) {
        return; /* too many are no harm */
    }
    for (size_t i = 0; i + KEPT < names.count; i++) {
        char name[JOURNAL_NAME_MAX];
        char path[JOURNAL_PATH_MAX];
        journal_file_name(SNAPSHOT_PREFIX, names.seqs[i], name);
        journal_file_path(d, name, path);
        (void)d->io->remove(d->io->ctx, path);
    }
    mem_free(names.seqs);
}

struct journal_bytes journal_snapshot_encode(const struct engine *e)
{
    struct words words = {0};
    engine_save(e, add_word, &words);
    struct snapshot_head head = {.magic = SNAPSHOT_MAGIC,
                                 .seq = engine_seq(e),
                                 .state_hash = engine_hash(e),
                                 .words = words.count};
    const size_t size = words.count * sizeof words.at[0];
    head.words_crc = journal_crc32c(0, words.at, size);
    head.crc = journal_crc32c(0, &head, offsetof(struct snapshot_head, crc));
    struct journal_bytes out = {.ptr = mem_alloc(sizeof head + size), .len = sizeof head + size};
    memcpy(out.ptr, &head, sizeof head);
    memcpy(out.ptr + sizeof head, words.at, size);
    mem_free(words.at);
    return out;
}

enum err journal_snapshot_write(const struct journal_dir *d, const struct engine *e,
                                struct why *why)
{
    char name[JOURNAL_NAME_MAX];
    char path[JOURNAL_PATH_MAX];
    char temporary[JOURNAL_PATH_MAX];
    const struct journal_bytes bytes = journal_snapshot_encode(e);
    journal_file_name(SNAPSHOT_PREFIX, engine_seq(e), name);
    journal_file_path(d, name, path);
    journal_file_path(d, "new-snapshot", temporary);
    const int fd = d->io->open(d->io->ctx, temporary, O_RDWR | O_CREAT | O_TRUNC);
    enum err err = fd >= 0 ? OK : journal_io_error(why, "made", temporary);
    err = err == OK ? journal_write_all(d->io, fd, bytes.ptr, bytes.len, 0, name, why) : err;
    if (err == OK && d->io->sync(d->io->ctx, fd) != 0) {
        err = journal_io_error(why, "synced", name);
    }
    if (err == OK && d->io->rename(d->io->ctx, temporary, path) != 0) {
        err = journal_io_error(why, "renamed", name);
    }
    err = err == OK ? journal_dir_sync(d, why) : err;
    if (fd >= 0) {
        (void)d->io->close(d->io->ctx, fd);
    }
    mem_free(bytes.ptr);
    if (err == OK) {
        remove_old(d);
    }
    return err;
}

struct engine *journal_snapshot_decode(struct slice bytes, const struct engine_limits *limits)
{
    struct snapshot_head head;
    if (bytes.len < sizeof head) {
        return NULL;
    }
    memcpy(&head, bytes.ptr, sizeof head);
    const size_t size = bytes.len - sizeof head;
    if (head.magic != SNAPSHOT_MAGIC ||
        head.crc != journal_crc32c(0, &head, offsetof(struct snapshot_head, crc)) ||
        size / sizeof(uint64_t) != head.words || size % sizeof(uint64_t) != 0 ||
        head.words_crc != journal_crc32c(0, bytes.ptr + sizeof head, size)) {
        return NULL;
    }
    struct words words = {.at = mem_alloc(size + 1), .count = size / sizeof(uint64_t)};
    memcpy(words.at, bytes.ptr + sizeof head, size);
    struct engine *e = engine_new(limits);
    if (engine_load(e, next_word, &words, head.seq, NULL) != OK ||
        engine_hash(e) != head.state_hash) {
        engine_free(e);
        e = NULL;
    }
    mem_free(words.at);
    return e;
}

enum err journal_snapshot_load(const struct journal_dir *d, const struct engine_limits *limits,
                               uint64_t upto, struct engine **out, struct why *why)
{
    struct journal_names names;
    enum err err = journal_dir_list(d, SNAPSHOT_PREFIX, &names, why);
    struct engine *e = NULL;
    for (size_t i = err == OK ? names.count : 0; i-- > 0 && err == OK && e == NULL;) {
        char name[JOURNAL_NAME_MAX];
        struct journal_bytes bytes = {0};
        if (names.seqs[i] > upto) {
            continue;
        }
        journal_file_name(SNAPSHOT_PREFIX, names.seqs[i], name);
        err = journal_file_read(d, name, &bytes, why);
        if (err == OK) {
            e = journal_snapshot_decode(slice_of(bytes.ptr, bytes.len), limits);
            mem_free(bytes.ptr);
        }
    }
    if (err != OK) {
        return err;
    }
    mem_free(names.seqs);
    *out = e != NULL ? e : engine_new(limits);
    return OK;
}
