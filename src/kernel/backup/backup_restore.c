/*
 * From a backup back into a database. Files are read as streams: each piece is hashed, inflated,
 * and cut into rows; a file's hash is judged when it ends, a table's by the copy.
 */
#include "kernel/backup/backup.h"

#include "kernel/backup/backup_facts.h"
#include "kernel/backup/backup_sql.h"
#include "kernel/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#define ZLIB_CONST /* it only reads its input */
#include <zlib.h>

#define GZIP_WINDOW (15 + 16)
#define PIECE_BYTES ((size_t)256 << 10)
#define BATCH_BYTES ((size_t)1 << 20)
#define BATCH_ROWS_MAX 2048
/* No row is longer than this; a length that is comes from damage. */
#define ROW_BYTES_MAX ((size_t)1 << 30)
#define PATH_BYTES_MAX 4096

/* ---- a table's file ---- */

struct unpacking {
    const struct backup_table *t;
    struct backup_stream *to;
    struct sha256 *sha256;
    uint64_t bytes;
    z_stream z;
    bool ended; /* of the gzip stream */
    uint8_t *piece;
    struct arena arena;
    struct buf pending; /* inflated, and not a whole row yet */
    struct backup_batch *batch;
};

static enum err damaged(const struct backup_file *file, struct why *why)
{
    return why_set(why, ERR_CORRUPT, file->name, "The file %s of the backup is damaged.",
                   file->name);
}

static void begin_batch(struct unpacking *u)
{
    u->batch = backup_batch_new(u->t->table);
    u->batch->rows = arena_alloc_array(&u->batch->arena, BATCH_ROWS_MAX, sizeof(u->batch->rows[0]));
}

static enum err push(struct unpacking *u, struct why *why)
{
    struct backup_batch *batch = u->batch;
    u->batch = NULL;
    return backup_stream_push(u->to, batch, why);
}

static enum err add_row(struct unpacking *u, struct slice encoded, struct why *why)
{
    struct backup_batch *batch = u->batch;
    struct slice bytes = slice_copy(&batch->arena, encoded);
    enum err e =
        backup_row_decode(u->t->table, bytes, &batch->arena, &batch->rows[batch->count], why);
    if (e != OK) {
        return e;
    }
    batch->count++;
    if (batch->count == BATCH_ROWS_MAX || batch->arena.used > BATCH_BYTES) {
        e = push(u, why);
        begin_batch(u);
    }
    return e;
}

/* Takes the whole rows off the front of what was inflated. */
static enum err cut_rows(struct unpacking *u, struct why *why)
{
    size_t at = 0;
    enum err e = OK;
    while (e == OK && u->pending.len - at >= 4) {
        const uint8_t *p = u->pending.ptr + at;
        size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (len > ROW_BYTES_MAX) {
            return damaged(&u->t->file, why);
        }
        if (u->pending.len - at - 4 < len) {
            break;
        }
        e = add_row(u, slice_of(p + 4, len), why);
        at += 4 + len;
    }
    memmove(u->pending.ptr, u->pending.ptr + at, u->pending.len - at);
    u->pending.len -= at;
    return e;
}

static enum err unpack(void *ctx, struct slice piece, struct why *why)
{
    struct unpacking *u = ctx;
    enum err e = OK;
    sha256_update(u->sha256, piece);
    u->bytes += piece.len;
    ASSERT(piece.len <= UINT32_MAX);
    u->z.next_in = piece.ptr;
    u->z.avail_in = (uInt)piece.len;
    while (e == OK && u->z.avail_in > 0) {
        u->z.next_out = u->piece;
        u->z.avail_out = (uInt)PIECE_BYTES;
        int code = u->ended ? Z_DATA_ERROR : inflate(&u->z, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END) {
            return damaged(&u->t->file, why);
        }
        u->ended = code == Z_STREAM_END;
        buf_add(&u->pending, u->piece, PIECE_BYTES - u->z.avail_out);
        e = cut_rows(u, why);
    }
    return e;
}

/* Inflates what zlib still holds back of the last piece. */
static enum err unpack_rest(struct unpacking *u, struct why *why)
{
    enum err e = OK;
    while (e == OK && !u->ended) {
        u->z.next_out = u->piece;
        u->z.avail_out = (uInt)PIECE_BYTES;
        int code = inflate(&u->z, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END) {
            return damaged(&u->t->file, why);
        }
        u->ended = code == Z_STREAM_END;
        buf_add(&u->pending, u->piece, PIECE_BYTES - u->z.avail_out);
        e = cut_rows(u, why);
    }
    return e;
}

static enum err judge_file(const struct backup_file *file, struct sha256 *sha256, uint64_t bytes,
                           struct why *why)
{
    struct hash found;
    sha256_final(sha256, &found);
    return bytes == file->bytes && hash_equal(&found, &file->sha256) ? OK : damaged(file, why);
}

static enum err read_table(const struct backup_archive *a, const struct backup_table *t,
                           struct backup_stream *to, struct why *why)
{
    struct unpacking u = {.t = t, .to = to, .sha256 = sha256_new()};
    arena_init(&u.arena, 0);
    buf_init(&u.pending, &u.arena, PIECE_BYTES);
    u.piece = mem_alloc(PIECE_BYTES);
    ASSERT(inflateInit2(&u.z, GZIP_WINDOW) == Z_OK);
    begin_batch(&u);
    enum err e = backup_place_read(a->place, slice_cstr(&u.arena, a->manifest->id), t->file.name,
                                   unpack, &u, why);
    if (e == OK) {
        e = unpack_rest(&u, why);
    }
    if (e == OK) {
        e = u.pending.len > 0 ? damaged(&t->file, why)
                              : judge_file(&t->file, u.sha256, u.bytes, why);
    }
    if (e == OK) {
        u.batch->ends = true;
        u.batch->number = t->number;
        e = push(&u, why);
    }
    backup_batch_free(u.batch);
    (void)inflateEnd(&u.z);
    mem_free(u.piece);
    sha256_free(u.sha256);
    arena_free(&u.arena);
    return e;
}

enum err backup_read_rows(void *ctx, struct backup_stream *to, struct why *why)
{
    const struct backup_archive *a = ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < a->manifest->table_count; i++) {
        e = read_table(a, &a->manifest->tables[i], to, why);
    }
    return e;
}

/* ---- other files ---- */

struct saving {
    const struct backup_file *file;
    struct sha256 *sha256;
    uint64_t bytes;
    int fd; /* -1: only looked at */
    const char *path;
};

static enum err cannot_write(const char *path, struct why *why)
{
    int reason = errno;
    enum err e = reason == ENOSPC || reason == EDQUOT ? ERR_DISK_FULL
                 : reason == EEXIST                   ? ERR_ALREADY_EXISTS
                                                      : ERR_IO;
    return why_set(why, e, NULL, "%.300s cannot be written: %s.", path, strerror(reason));
}

static enum err save_piece(void *ctx, struct slice piece, struct why *why)
{
    struct saving *s = ctx;
    sha256_update(s->sha256, piece);
    s->bytes += piece.len;
    while (s->fd >= 0 && piece.len > 0) {
        ssize_t n = write(s->fd, piece.ptr, piece.len);
        if (n < 0 && errno != EINTR) {
            return cannot_write(s->path, why);
        }
        piece = slice_sub(piece, n > 0 ? (size_t)n : 0, piece.len);
    }
    return OK;
}

static enum err make_folders(char *path, struct why *why)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
        enum err e = made ? OK : cannot_write(path, why);
        *slash = '/';
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* Reads one file of the backup and, with a folder, writes it there; never over another. */
static enum err restore_file(struct backup_place *place, const char *id,
                             const struct backup_file *file, const char *dir, struct why *why)
{
    char path[PATH_BYTES_MAX];
    struct saving s = {.file = file, .sha256 = sha256_new(), .fd = -1, .path = path};
    enum err e = OK;
    if (dir != NULL) {
        int len = snprintf(path, sizeof(path), "%s/%s", dir, file->name);
        e = len > 0 && (size_t)len < sizeof(path)
                ? make_folders(path, why)
                : why_set(why, ERR_IO, NULL, "The path of %s is too long.", file->name);
        if (e == OK) {
            s.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
            e = s.fd >= 0 ? OK : cannot_write(path, why);
        }
    }
    if (e == OK) {
        e = backup_place_read(place, id, file->name, save_piece, &s, why);
    }
    if (e == OK) {
        e = judge_file(file, s.sha256, s.bytes, why);
    }
    if (s.fd >= 0) {
        bool kept = fsync(s.fd) == 0;
        kept = close(s.fd) == 0 && kept;
        e = e == OK && !kept ? cannot_write(path, why) : e;
        if (e != OK) {
            (void)unlink(path);
        }
    }
    sha256_free(s.sha256);
    return e;
}

static enum err restore_files(const struct backup_restore_options *o, struct why *why)
{
    struct arena scratch;
    enum err e = OK;
    arena_init(&scratch, 0);
    const char *id = slice_cstr(&scratch, o->manifest->id);
    for (size_t i = 0; e == OK && i < o->manifest->file_count; i++) {
        e = restore_file(o->place, id, &o->manifest->files[i], o->files_dir, why);
    }
    arena_free(&scratch);
    return e;
}

/* ---- the whole ---- */

static void rewind_archive(void *ctx)
{
    (void)ctx; /* each reading opens its files anew */
}

/* What came out must be what the manifest says, not only what the files say. */
static enum err compare_manifest(const struct backup_manifest *m,
                                 const struct backup_copy_report *r, struct why *why)
{
    for (size_t i = 0; i < m->table_count; i++) {
        if (!backup_sum_equal(&m->tables[i].sum, &r->tables[i].target)) {
            return why_set(why, ERR_CORRUPT, m->tables[i].table->name,
                           "Table %s is not what the manifest says: %llu rows instead of %llu, or "
                           "another hash.",
                           m->tables[i].table->name, (unsigned long long)r->tables[i].target.rows,
                           (unsigned long long)m->tables[i].sum.rows);
        }
    }
    return OK;
}

enum err backup_restore(const struct backup_restore_options *options, struct arena *arena,
                        struct backup_copy_report *out, struct why *why)
{
    struct backup_archive archive = {.place = options->place, .manifest = options->manifest};
    struct slice name = slice_format(arena, "%s/%.*s", backup_place_shown(options->place),
                                     SLICE_ARG(options->manifest->id));
    const struct backup_copy_options copy = {
        .source = {.produce = backup_read_rows, .ctx = &archive},
        .rewind = rewind_archive,
        .source_name = slice_cstr(arena, name),
        .target = options->target,
        .catalog = options->catalog,
        .progress = options->progress,
        .progress_ctx = options->progress_ctx,
    };
    enum err e = backup_copy_run(&copy, arena, out, why);
    if (e == OK) {
        e = compare_manifest(options->manifest, out, why);
    }
    return e == OK ? restore_files(options, why) : e;
}
