/*
 * A folder of backups. Everything is made 0700 and 0600, because a backup holds what the database
 * holds.
 */
#include "kernel/backup/backup_place.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES_MAX 4096
#define PARTIAL_SUFFIX ".partial"
#define PIECE_BYTES 65536
#define DEPTH_MAX 16

struct folder {
    char path[PATH_BYTES_MAX];
    char id[BACKUP_ID_MAX];
    char partial[PATH_BYTES_MAX]; /* of the backup in the making */
    char name[PATH_BYTES_MAX];    /* of the file in the making */
    int fd;
    int lock_fd;
};

/* ---- sentences ---- */

static enum err fail(const char *path, const char *doing, struct why *why)
{
    int reason = errno;
    if (reason == ENOSPC || reason == EDQUOT || reason == EFBIG) {
        return why_set(why, ERR_DISK_FULL, NULL,
                       "The disk of the backup is full: %s cannot be %s (%s).", path, doing,
                       strerror(reason));
    }
    if (reason == ENOENT && strcmp(doing, "read") == 0) {
        return why_set(why, ERR_NOT_FOUND, NULL, "There is no %s.", path);
    }
    return why_set(why, ERR_IO, NULL, "%s cannot be %s: %s.", path, doing, strerror(reason));
}

static enum err join(char out[PATH_BYTES_MAX], const char *a, const char *b, struct why *why)
{
    int len = snprintf(out, PATH_BYTES_MAX, "%s/%s", a, b);
    return len > 0 && len < PATH_BYTES_MAX
               ? OK
               : why_set(why, ERR_IO, NULL, "The path %.200s… is too long.", a);
}

/* Makes the folders on the way to a path, and the last one too when `whole`. */
static enum err make_folders(const char *path, bool whole, struct why *why)
{
    char part[PATH_BYTES_MAX];
    size_t len = strlen(path);
    ASSERT(len < sizeof(part));
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && !(whole && path[i] == '\0')) {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST) {
            return fail(part, "made", why);
        }
    }
    return OK;
}

static enum err sync_folder(const char *path, struct why *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = fd >= 0 && fsync(fd) == 0 ? OK : fail(path, "written", why);
    if (fd >= 0) {
        (void)close(fd);
    }
    return e;
}

typedef enum err (*entry_fn)(void *ctx, const char *path, bool is_folder, struct why *why);

/* Visits what is below a folder, a folder after what it holds. */
static enum err walk(const char *path, unsigned depth, entry_fn fn, void *ctx, struct why *why)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return fail(path, "read", why);
    }
    enum err e =
        depth < DEPTH_MAX ? OK : why_set(why, ERR_LIMIT, NULL, "%.200s is nested too deep.", path);
    for (const struct dirent *entry = readdir(dir); e == OK && entry != NULL;
         entry = readdir(dir)) {
        char inner[PATH_BYTES_MAX];
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        e = join(inner, path, entry->d_name, why);
        if (e == OK && lstat(inner, &st) != 0) {
            e = fail(inner, "read", why);
        }
        if (e != OK) {
            break;
        }
        if (S_ISDIR(st.st_mode)) {
            e = walk(inner, depth + 1, fn, ctx, why);
        }
        e = e == OK ? fn(ctx, inner, S_ISDIR(st.st_mode), why) : e;
    }
    (void)closedir(dir);
    return e;
}

static enum err remove_entry(void *ctx, const char *path, bool is_folder, struct why *why)
{
    (void)ctx;
    return (is_folder ? rmdir(path) : unlink(path)) == 0 ? OK : fail(path, "removed", why);
}

static enum err remove_tree(const char *path, struct why *why)
{
    enum err e = walk(path, 0, remove_entry, NULL, why);
    return e == OK ? remove_entry(NULL, path, true, why) : e;
}

static enum err sync_entry(void *ctx, const char *path, bool is_folder, struct why *why)
{
    (void)ctx;
    return is_folder ? sync_folder(path, why) : OK;
}

/* ---- writing ---- */

static enum err take_lock(struct folder *f, struct why *why)
{
    char path[PATH_BYTES_MAX];
    enum err e = join(path, f->path, ".lock", why);
    if (e != OK) {
        return e;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail(path, "made", why);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return why_set(why, ERR_LOCKED, NULL, "Another backup is being written to %s.", f->path);
    }
    f->lock_fd = fd;
    return OK;
}

static void drop_lock(struct folder *f)
{
    if (f->lock_fd >= 0) {
        (void)close(f->lock_fd);
    }
    f->lock_fd = -1;
}

/* Whoever holds the lock knows that nobody writes what is left unfinished. */
static enum err sweep_partial(struct folder *f, struct why *why)
{
    DIR *dir = opendir(f->path);
    enum err e = dir != NULL ? OK : fail(f->path, "read", why);
    const struct dirent *entry = dir != NULL ? readdir(dir) : NULL;
    for (; e == OK && entry != NULL; entry = readdir(dir)) {
        char path[PATH_BYTES_MAX];
        struct slice name = slice_text(entry->d_name);
        if (name.ptr[0] == '.' && slice_ends(name, SLICE_LIT(PARTIAL_SUFFIX))) {
            e = join(path, f->path, entry->d_name, why);
            e = e == OK ? remove_tree(path, why) : e;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return e;
}

static enum err folder_begin(void *self, const char *id, struct why *why)
{
    struct folder *f = self;
    char name[BACKUP_ID_MAX + 16];
    char path[PATH_BYTES_MAX];
    (void)snprintf(f->id, sizeof(f->id), "%s", id);
    (void)snprintf(name, sizeof(name), ".%s" PARTIAL_SUFFIX, id);
    enum err e = make_folders(f->path, true, why);
    if (e == OK) {
        e = take_lock(f, why);
    }
    if (e == OK) {
        e = sweep_partial(f, why);
    }
    if (e == OK) {
        e = join(f->partial, f->path, name, why);
    }
    if (e == OK) {
        e = join(path, f->path, id, why);
    }
    if (e == OK && access(path, F_OK) == 0) {
        e = why_set(why, ERR_ALREADY_EXISTS, NULL, "There is a backup %s already.", path);
    }
    if (e == OK && mkdir(f->partial, 0700) != 0) {
        e = fail(f->partial, "made", why);
    }
    if (e != OK) {
        drop_lock(f);
    }
    return e;
}

static enum err folder_create(void *self, const char *name, struct why *why)
{
    struct folder *f = self;
    enum err e = join(f->name, f->partial, name, why);
    if (e == OK) {
        e = make_folders(f->name, false, why);
    }
    if (e == OK) {
        f->fd = open(f->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        e = f->fd >= 0 ? OK : fail(f->name, "made", why);
    }
    return e;
}

static enum err folder_write(void *self, struct slice bytes, struct why *why)
{
    struct folder *f = self;
    while (bytes.len > 0) {
        ssize_t n = write(f->fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail(f->name, "written", why);
        }
        bytes = slice_sub(bytes, (size_t)n, bytes.len);
    }
    return OK;
}

static enum err folder_finish(void *self, struct why *why)
{
    struct folder *f = self;
    bool synced = fsync(f->fd) == 0;
    int reason = errno;
    bool closed = close(f->fd) == 0;
    f->fd = -1;
    if (!synced) {
        errno = reason;
    }
    return synced && closed ? OK : fail(f->name, "written", why);
}

static enum err folder_commit(void *self, struct why *why)
{
    struct folder *f = self;
    char path[PATH_BYTES_MAX];
    enum err e = join(path, f->path, f->id, why);
    if (e == OK) {
        e = walk(f->partial, 0, sync_entry, NULL, why);
    }
    if (e == OK) {
        e = sync_folder(f->partial, why);
    }
    if (e == OK && rename(f->partial, path) != 0) {
        e = fail(path, "made", why);
    }
    if (e == OK) {
        e = sync_folder(f->path, why);
        drop_lock(f);
    }
    return e;
}

static void folder_abandon(void *self)
{
    struct folder *f = self;
    if (f->fd >= 0) {
        (void)close(f->fd);
        f->fd = -1;
    }
    /* What cannot be removed now is removed by the next backup. */
    (void)(remove_tree(f->partial, NULL) == OK);
    drop_lock(f);
}

/* ---- reading ---- */

static enum err folder_read(void *self, const char *id, const char *name, backup_piece_fn fn,
                            void *ctx, struct why *why)
{
    const struct folder *f = self;
    char whole[PATH_BYTES_MAX];
    char path[PATH_BYTES_MAX];
    enum err e = join(whole, f->path, id, why);
    if (e == OK) {
        e = join(path, whole, name, why);
    }
    if (e != OK) {
        return e;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return fail(path, "read", why);
    }
    uint8_t *piece = mem_alloc(PIECE_BYTES);
    ssize_t n = 1;
    while (e == OK && n > 0) {
        n = read(fd, piece, PIECE_BYTES);
        if (n < 0) {
            e = fail(path, "read", why);
        } else if (n > 0) {
            e = fn(ctx, slice_of(piece, (size_t)n), why);
        }
    }
    mem_free(piece);
    (void)close(fd);
    return e;
}

static bool is_backup(const struct folder *f, const char *name)
{
    char path[PATH_BYTES_MAX];
    int64_t unused = 0;
    int len = snprintf(path, sizeof(path), "%s/%s/" BACKUP_MANIFEST, f->path, name);
    return backup_id_parse(slice_text(name), &unused) == OK && len > 0 &&
           (size_t)len < sizeof(path) && access(path, F_OK) == 0;
}

static enum err folder_list(void *self, struct arena *arena, struct slice **out, size_t *out_count,
                            struct why *why)
{
    const struct folder *f = self;
    DIR *dir = opendir(f->path);
    if (dir == NULL) {
        return fail(f->path, "read", why);
    }
    size_t room = 16;
    size_t count = 0;
    struct slice *ids = arena_alloc_array(arena, room, sizeof(*ids));
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (!is_backup(f, entry->d_name)) {
            continue;
        }
        if (count == room) {
            struct slice *more = arena_alloc_array(arena, 2 * room, sizeof(*ids));
            memcpy(more, ids, count * sizeof(*ids));
            ids = more;
            room *= 2;
        }
        ids[count++] = slice_copy(arena, slice_text(entry->d_name));
    }
    (void)closedir(dir);
    *out = ids;
    *out_count = count;
    return OK;
}

static enum err folder_remove(void *self, const char *id, struct why *why)
{
    const struct folder *f = self;
    char path[PATH_BYTES_MAX];
    char manifest[PATH_BYTES_MAX];
    enum err e = join(path, f->path, id, why);
    if (e == OK) {
        e = join(manifest, path, BACKUP_MANIFEST, why);
    }
    if (e == OK && unlink(manifest) != 0) {
        e = fail(manifest, "removed", why);
    }
    return e == OK ? remove_tree(path, why) : e;
}

static enum err folder_sweep(void *self, int64_t before_usec, struct why *why)
{
    /* Each backup begins by doing that, under the lock. */
    (void)self;
    (void)before_usec;
    (void)why;
    return OK;
}

static void folder_close(void *self)
{
    struct folder *f = self;
    drop_lock(f);
    mem_free(f);
}

static const struct backup_place_kind folder_kind = {
    .begin = folder_begin,
    .create = folder_create,
    .write = folder_write,
    .finish = folder_finish,
    .commit = folder_commit,
    .abandon = folder_abandon,
    .read = folder_read,
    .list = folder_list,
    .remove = folder_remove,
    .sweep = folder_sweep,
    .close = folder_close,
};

enum err backup_place_folder(const char *path, struct backup_place **out, struct why *why)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    if (len == 0 || len + BACKUP_ID_MAX + BACKUP_NAME_MAX + 16 > PATH_BYTES_MAX) {
        return why_set(why, ERR_IO, NULL, "The path of the folder is empty or too long.");
    }
    struct folder *f = mem_alloc(sizeof(*f));
    memcpy(f->path, path, len);
    f->fd = f->lock_fd = -1;
    *out = backup_place_new(&folder_kind, f, f->path);
    return OK;
}
