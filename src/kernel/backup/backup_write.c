/*
 * Making a backup: rows come from a stream and leave as gzip, one file a table; then the other
 * files, then the manifest.
 */
#include "kernel/backup/backup.h"

#include "kernel/backup/backup_facts.h"
#include "kernel/base/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define PIECE_BYTES ((size_t)256 << 10)
/* Fast, and small enough: rows are text and hashes. */
#define LEVEL 3
#define GZIP_WINDOW (15 + 16)
#define PATH_BYTES_MAX 4096
#define DEPTH_MAX 16
#define KEY_BYTES_MAX ((size_t)64 << 10)

struct writing {
    const struct backup_write_options *options;
    struct backup_manifest *m;
    struct arena *arena;
    struct buf facts;
    z_stream z;
    bool open; /* a table's file */
    struct buf rows;
    uint8_t *piece;
    size_t file_room;
};

/* ---- tables ---- */

/* Compresses what is in `rows`; with `last` also ends the file's stream. */
static enum err compress_rows(struct writing *w, bool last, struct why *why)
{
    enum err e = OK;
    w->z.next_in = w->rows.ptr;
    w->z.avail_in = (uInt)w->rows.len;
    int code = Z_OK;
    do {
        w->z.next_out = w->piece;
        w->z.avail_out = (uInt)PIECE_BYTES;
        code = deflate(&w->z, last ? Z_FINISH : Z_NO_FLUSH);
        ASSERT(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR);
        size_t len = PIECE_BYTES - w->z.avail_out;
        if (len > 0) {
            e = backup_place_write(w->options->place, slice_of(w->piece, len), why);
        }
    } while (e == OK && (last ? code != Z_STREAM_END : w->z.avail_out == 0));
    w->rows.len = 0;
    return e;
}

static enum err open_table(struct writing *w, const struct store_table *table, struct why *why)
{
    char name[BACKUP_NAME_MAX + 1];
    (void)snprintf(name, sizeof(name), "tables/%s.rows.gz", table->name);
    memset(&w->z, 0, sizeof(w->z));
    ASSERT(deflateInit2(&w->z, LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    w->open = true;
    return backup_place_create(w->options->place, name, why);
}

static enum err close_table(struct writing *w, struct backup_table *t, struct why *why)
{
    enum err e = compress_rows(w, true, why);
    (void)deflateEnd(&w->z);
    w->open = false;
    return e == OK ? backup_place_finish(w->options->place, &t->file, why) : e;
}

static void add_row(struct writing *w, const struct store_table *table,
                    const struct backup_row *row)
{
    size_t head = w->rows.len;
    for (int i = 0; i < 4; i++) {
        buf_add_byte(&w->rows, 0);
    }
    backup_row_encode(table, row, &w->rows);
    size_t len = w->rows.len - head - 4;
    ASSERT(len <= UINT32_MAX);
    for (size_t i = 0; i < 4; i++) {
        w->rows.ptr[head + i] = (uint8_t)(len >> (8 * (3 - i)));
    }
}

static enum err write_batch(void *ctx, const struct backup_batch *batch, struct why *why)
{
    struct writing *w = ctx;
    struct backup_table *t = &w->m->tables[batch->table - w->options->catalog->tables];
    struct arena scratch;
    enum err e = OK;
    arena_init(&scratch, 0);
    if (!w->open) {
        t->table = batch->table;
        e = open_table(w, batch->table, why);
    }
    for (size_t i = 0; e == OK && i < batch->count; i++) {
        e = backup_sum_add(&t->sum, batch->table, &batch->rows[i], &scratch, why);
        add_row(w, batch->table, &batch->rows[i]);
        arena_clear(&scratch);
        if (e == OK && w->rows.len > PIECE_BYTES) {
            e = compress_rows(w, false, why);
        }
    }
    if (e == OK && batch->ends) {
        t->number = batch->number;
        e = close_table(w, t, why);
    }
    arena_free(&scratch);
    if (e == OK && w->options->progress != NULL) {
        e = w->options->progress(w->options->progress_ctx, batch->table->name, t->sum.rows, why);
    }
    return e;
}

static enum err note_facts(struct store_tx *tx, void *ctx, struct why *why)
{
    struct writing *w = ctx;
    return backup_facts(tx, &w->facts, why);
}

static enum err write_tables(struct writing *w, struct why *why)
{
    const struct backup_write_options *o = w->options;
    struct backup_store_source reading = {
        .store = o->store, .catalog = o->catalog, .also = note_facts, .also_ctx = w};
    const struct backup_source source = {.produce = backup_stream_read_store, .ctx = &reading};
    w->m->table_count = o->catalog->table_count;
    w->m->tables = arena_alloc_array(w->arena, w->m->table_count + 1, sizeof(w->m->tables[0]));
    enum err e = backup_stream_run(&source, write_batch, w, why);
    if (w->open) {
        (void)deflateEnd(&w->z);
        w->open = false;
    }
    w->m->facts = buf_slice(&w->facts);
    return e;
}

/* ---- files ---- */

static enum err note_file(struct writing *w, struct why *why)
{
    struct backup_manifest *m = w->m;
    if (m->file_count == w->file_room) {
        size_t room = w->file_room * 2 + 16;
        struct backup_file *more = arena_alloc_array(w->arena, room, sizeof(*more));
        if (m->file_count > 0) {
            memcpy(more, m->files, m->file_count * sizeof(*more));
        }
        m->files = more;
        w->file_room = room;
    }
    enum err e = backup_place_finish(w->options->place, &m->files[m->file_count], why);
    m->file_count += e == OK;
    return e;
}

static enum err unreadable(const char *path, struct why *why)
{
    return why_set(why, ERR_IO, NULL, "%.300s cannot be read: %s.", path, strerror(errno));
}

/* A key file is JSON of version 3 that says how it is encrypted. */
static enum err check_key(const char *path, struct slice text, struct why *why)
{
    static const struct json_limits limits = {
        .bytes_max = KEY_BYTES_MAX, .depth_max = 8, .nodes_max = 200};
    struct arena arena;
    const struct json *root = NULL;
    uint64_t version = 0;
    arena_init(&arena, 0);
    bool encrypted = json_parse(&arena, text, &limits, &root, NULL) == OK &&
                     (json_get_u64(root, "version", &version, NULL) == OK && version == 3);
    const struct json *crypto = encrypted ? json_find(root, "crypto") : NULL;
    crypto = encrypted && crypto == NULL ? json_find(root, "Crypto") : crypto;
    encrypted = crypto != NULL && json_find(crypto, "ciphertext") != NULL;
    arena_free(&arena);
    return encrypted ? OK
                     : why_set(why, ERR_CONFIG, "wallets.keystore_dir",
                               "%.300s is no encrypted key file (Web3 Secret Storage, version 3): "
                               "what is not encrypted does not go into a backup.",
                               path);
}

static enum err copy_open(struct writing *w, const char *name, const char *path, int fd, bool key,
                          struct why *why)
{
    uint8_t *piece = mem_alloc(PIECE_BYTES);
    enum err e = backup_place_create(w->options->place, name, why);
    ssize_t n = 1;
    while (e == OK && n > 0) {
        n = read(fd, piece, key ? KEY_BYTES_MAX : PIECE_BYTES);
        if (n < 0) {
            e = unreadable(path, why);
        } else if (n > 0 && key) {
            /* A longer file is none, so the first piece is all of it. */
            e = check_key(path, slice_of(piece, (size_t)n), why);
        }
        if (e == OK && n > 0) {
            e = backup_place_write(w->options->place, slice_of(piece, (size_t)n), why);
        }
    }
    mem_free(piece);
    return e == OK ? note_file(w, why) : e;
}

static enum err copy_folder(struct writing *w, const char *name, const char *path, bool keys,
                            unsigned depth, struct why *why);

static enum err copy_entry(struct writing *w, const char *name, const char *path, bool keys,
                           unsigned depth, struct why *why)
{
    struct stat st;
    if (!backup_name_is_safe(slice_text(name))) {
        return why_set(why, ERR_CONFIG, NULL,
                       "%.300s has a name that a backup cannot hold: letters, digits, '.', '-' and "
                       "'_' are fine.",
                       path);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        enum err e = unreadable(path, why);
        if (fd >= 0) {
            (void)close(fd);
        }
        return e;
    }
    enum err e = OK;
    if (S_ISDIR(st.st_mode)) {
        e = copy_folder(w, name, path, keys, depth + 1, why);
    } else if (S_ISREG(st.st_mode)) {
        e = copy_open(w, name, path, fd, keys, why);
    } else {
        e = why_set(why, ERR_CONFIG, NULL, "%.300s is neither a file nor a folder.", path);
    }
    (void)close(fd);
    return e;
}

static enum err copy_folder(struct writing *w, const char *name, const char *path, bool keys,
                            unsigned depth, struct why *why)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return unreadable(path, why);
    }
    enum err e =
        depth < DEPTH_MAX ? OK : why_set(why, ERR_LIMIT, NULL, "%.300s is nested too deep.", path);
    for (const struct dirent *entry = readdir(dir); e == OK && entry != NULL;
         entry = readdir(dir)) {
        char inner_name[PATH_BYTES_MAX];
        char inner[PATH_BYTES_MAX];
        if (entry->d_name[0] == '.') {
            continue; /* as everywhere where keys are read: not meant for us */
        }
        int a = snprintf(inner_name, sizeof(inner_name), "%s/%s", name, entry->d_name);
        int b = snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        if (a < 0 || b < 0 || (size_t)b >= sizeof(inner) || (size_t)a >= sizeof(inner_name)) {
            e = why_set(why, ERR_IO, NULL, "A path below %.300s is too long.", path);
        } else {
            e = copy_entry(w, inner_name, inner, keys, depth, why);
        }
    }
    (void)closedir(dir);
    return e;
}

static enum err write_config(struct writing *w, struct why *why)
{
    enum err e = backup_place_create(w->options->place, "config.txt", why);
    if (e == OK) {
        e = backup_place_write(w->options->place, w->options->config_text, why);
    }
    return e == OK ? note_file(w, why) : e;
}

static enum err write_files(struct writing *w, struct why *why)
{
    enum err e = write_config(w, why);
    for (size_t i = 0; e == OK && i < w->options->folder_count; i++) {
        const struct backup_folder *f = &w->options->folders[i];
        e = copy_folder(w, f->name, f->path, f->keys, 0, why);
    }
    return e;
}

/* ---- the whole ---- */

static enum err write_manifest(struct writing *w, struct why *why)
{
    struct backup_manifest *m = w->m;
    struct buf text;
    for (size_t i = 0; i < m->table_count; i++) {
        m->rows += m->tables[i].sum.rows;
        m->bytes += m->tables[i].file.bytes;
    }
    for (size_t i = 0; i < m->file_count; i++) {
        m->bytes += m->files[i].bytes;
    }
    buf_init(&text, w->arena, 16384);
    backup_manifest_write(m, w->options->catalog, &text);
    return backup_place_commit(w->options->place, buf_slice(&text), why);
}

enum err backup_write(const struct backup_write_options *options, struct arena *arena,
                      struct backup_manifest *out, struct why *why)
{
    struct backup_manifest m = {.created_usec = clock_wall_usec(),
                                .program = slice_text(options->program),
                                .database = slice_text(store_kind(options->store))};
    struct writing w = {.options = options, .m = &m, .arena = arena};
    struct arena rows;
    char *id = arena_alloc(arena, BACKUP_ID_MAX);
    backup_id_format(m.created_usec, id);
    m.id = slice_text(id);
    arena_init(&rows, 0);
    buf_init(&w.rows, &rows, 2 * PIECE_BYTES);
    buf_init(&w.facts, arena, 512);
    w.piece = mem_alloc(PIECE_BYTES);
    enum err e = backup_place_begin(options->place, id, why);
    if (e == OK) {
        e = write_tables(&w, why);
        e = e == OK ? write_files(&w, why) : e;
        e = e == OK ? write_manifest(&w, why) : e;
        if (e != OK) {
            backup_place_abandon(options->place);
        }
    }
    mem_free(w.piece);
    arena_free(&rows);
    if (e == OK) {
        *out = m;
    }
    return e;
}
