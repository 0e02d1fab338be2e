/*
 * documents_local.c: documents in a folder of this machine.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/base/mem.h"
#include "kernel/base/rand.h"
#include "kernel/documents/documents_store.h"

#define COPY_BYTES 65536
#define NAME_MAX_ (2 * HASH_BYTES + 4) /* "ab/abcd…" */

struct local {
    struct documents_store base;
    struct arena arena;
    const char *dir;
    int dir_fd;
    int tmp_fd;
};

static enum err failed(struct why *why, const char *verb, const char *dir)
{
    int code = errno;
    enum err e = code == ENOSPC || code == EDQUOT   ? ERR_DISK_FULL
                 : code == EMFILE || code == ENFILE ? ERR_OVERLOADED
                 : code == ENOENT                   ? ERR_NOT_FOUND
                                                    : ERR_IO;
    return why_set(why, e, NULL, "A document cannot be %s in %s: %s.", verb, dir, strerror(code));
}

static void name_of(const struct hash *hash, char out[NAME_MAX_])
{
    char digits[2 * HASH_BYTES + 3];
    hex_encode_to(hash_slice(hash), digits);
    (void)snprintf(out, NAME_MAX_, "%.2s/%s", digits + 2, digits + 2);
}

/* ---- the hold ---- */

static enum err local_hold(struct documents_store *base, bool alone, int *out, struct why *why)
{
    struct local *s = (struct local *)base;
    int fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return failed(why, "held", s->dir);
    }
    while (flock(fd, alone ? LOCK_EX : LOCK_SH) != 0) {
        if (errno != EINTR) {
            enum err e = failed(why, "held", s->dir);
            (void)close(fd);
            return e;
        }
    }
    *out = fd;
    return OK;
}

static void local_let_go(struct documents_store *base, int hold)
{
    (void)base;
    (void)close(hold);
}

/* ---- writing ---- */

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool copy_all(int from, int to)
{
    uint8_t bytes[COPY_BYTES];
    off_t at = 0;
    for (;;) {
        ssize_t n = pread(from, bytes, sizeof bytes, at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0;
        }
        if (!write_all(to, bytes, (size_t)n)) {
            return false;
        }
        at += n;
    }
}

/* The folder of a hash's first byte, durable before anything is in it. */
static bool make_folder(const struct local *s, const char *name, int *out)
{
    char folder[3] = {name[0], name[1], '\0'};
    bool made = mkdirat(s->dir_fd, folder, 0700) == 0;
    if ((!made && errno != EEXIST) || (made && fsync(s->dir_fd) != 0)) {
        return false;
    }
    *out = openat(s->dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *out >= 0;
}

static bool move(const struct local *s, const char *temporary, const char *name)
{
    int folder = -1;
    if (!make_folder(s, name, &folder)) {
        return false;
    }
    bool good = renameat(s->tmp_fd, temporary, folder, name + 3) == 0 && fsync(folder) == 0;
    int code = errno;
    (void)close(folder);
    errno = code;
    return good;
}

static enum err local_put(struct documents_store *base, const struct hash *hash, int fd,
                          struct why *why)
{
    struct local *s = (struct local *)base;
    char name[NAME_MAX_];
    char temporary[RAND_ID_MAX];
    name_of(hash, name);
    rand_id("put", temporary);
    int to = openat(s->tmp_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0) {
        return failed(why, "written", s->dir);
    }
    bool good = copy_all(fd, to) && fsync(to) == 0;
    int code = errno;
    good = close(to) == 0 && good;
    errno = good ? errno : code;
    if (good && move(s, temporary, name)) {
        return OK;
    }
    enum err e = failed(why, "written", s->dir);
    (void)unlinkat(s->tmp_fd, temporary, 0);
    return e == ERR_NOT_FOUND ? why_set(why, ERR_IO, NULL, "The folder %s is gone.", s->dir) : e;
}

/* ---- the rest ---- */

static enum err local_open(struct documents_store *base, const struct hash *hash, int *out_fd,
                           uint64_t *out_size, struct why *why)
{
    struct local *s = (struct local *)base;
    struct stat about;
    char name[NAME_MAX_];
    name_of(hash, name);
    int fd = openat(s->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return failed(why, "read", s->dir);
    }
    if (fstat(fd, &about) != 0) {
        enum err e = failed(why, "read", s->dir);
        (void)close(fd);
        return e;
    }
    *out_fd = fd;
    *out_size = (uint64_t)about.st_size;
    return OK;
}

static enum err local_remove(struct documents_store *base, const struct hash *hash, struct why *why)
{
    struct local *s = (struct local *)base;
    char name[NAME_MAX_];
    name_of(hash, name);
    return unlinkat(s->dir_fd, name, 0) == 0 || errno == ENOENT ? OK
                                                                : failed(why, "removed", s->dir);
}

/* ---- all of them ---- */

static bool is_old(int folder, const char *name, int64_t before_usec)
{
    struct stat about;
    return fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(about.st_mode) &&
           (int64_t)about.st_mtim.tv_sec * USEC_PER_SEC < before_usec;
}

static bool hash_of(const char *folder, const char *name, struct hash *out)
{
    char text[2 * HASH_BYTES + 3];
    if (strlen(name) != (size_t)2 * HASH_BYTES || strncmp(folder, name, 2) != 0) {
        return false;
    }
    (void)snprintf(text, sizeof text, "0x%s", name);
    return hash_parse(slice_text(text), out) == OK;
}

/* `folder` NULL: what is there is half of something. Takes the descriptor. */
static enum err visit_folder(int fd, const char *folder, int64_t before_usec,
                             documents_visit_fn visit, void *ctx, struct why *why)
{
    struct hash hash;
    const struct dirent *entry;
    enum err e = OK;
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return failed(why, "listed", folder != NULL ? folder : "tmp");
    }
    while (e == OK && (entry = readdir(dir)) != NULL) {
        if (!is_old(dirfd(dir), entry->d_name, before_usec)) {
            continue;
        }
        if (folder == NULL) {
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
        } else if (hash_of(folder, entry->d_name, &hash)) {
            e = visit(ctx, &hash, why);
        }
    }
    (void)closedir(dir);
    return e;
}

static enum err local_visit(struct documents_store *base, int64_t before_usec,
                            documents_visit_fn visit, void *ctx, struct why *why)
{
    struct local *s = (struct local *)base;
    int tmp = openat(s->dir_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = tmp >= 0 ? visit_folder(tmp, NULL, before_usec, visit, ctx, why)
                          : failed(why, "listed", s->dir);
    for (unsigned i = 0; e == OK && i < 256; i++) {
        char folder[3];
        (void)snprintf(folder, sizeof folder, "%02x", i);
        int fd = openat(s->dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            e = visit_folder(fd, folder, before_usec, visit, ctx, why);
        } else if (errno != ENOENT) {
            e = failed(why, "listed", s->dir);
        }
    }
    return e;
}

static void local_free(struct documents_store *base)
{
    struct local *s = (struct local *)base;
    (void)close(s->dir_fd);
    (void)close(s->tmp_fd);
    arena_free(&s->arena);
    mem_free(s);
}

static const struct documents_store_ops local_ops = {
    .hold = local_hold,
    .let_go = local_let_go,
    .put = local_put,
    .open = local_open,
    .remove = local_remove,
    .visit = local_visit,
    .free = local_free,
};

/* Makes a folder and those above it. */
static bool make_folders(struct arena *arena, const char *path)
{
    char *partial = slice_cstr(arena, slice_text(path));
    size_t len = strlen(partial);
    bool good = true;
    for (size_t i = 1; good && i <= len; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            partial[i] = '\0';
            good = mkdir(partial, 0755) == 0 || errno == EEXIST;
            partial[i] = path[i];
        }
    }
    return good;
}

enum err documents_store_local(const char *dir, struct documents_store **out, struct why *why)
{
    struct local *s = mem_alloc(sizeof *s);
    *s = (struct local){.base = {.ops = &local_ops}, .dir_fd = -1, .tmp_fd = -1};
    arena_init(&s->arena, 0);
    s->dir = slice_cstr(&s->arena, slice_text(dir));
    s->base.spool_dir = slice_cstr(&s->arena, slice_format(&s->arena, "%s/tmp", dir));
    if (make_folders(&s->arena, s->base.spool_dir)) {
        s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        s->tmp_fd = open(s->base.spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (s->dir_fd < 0 || s->tmp_fd < 0) {
        enum err e = why_set(why, ERR_CONFIG, "documents.dir", "The folder %s cannot be used: %s.",
                             dir, strerror(errno));
        local_free(&s->base);
        return e;
    }
    *out = &s->base;
    return OK;
}
