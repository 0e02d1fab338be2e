#include "kernel/store/store_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SCHEME "sqlite:"
#define LOCKS "/proc/locks"
#define LINE_MAX_BYTES 256
#define MODE_BITS 07777u

bool store_file_is(const char *url)
{
    return strncmp(url, SCHEME, strlen(SCHEME)) == 0;
}

/* Says whether a file beside the database is there. */
static bool look_beside(const char *path, const char *suffix, struct stat *out)
{
    char beside[STORE_FILE_PATH_MAX + 8];
    (void)snprintf(beside, sizeof(beside), "%s%s", path, suffix);
    return stat(beside, out) == 0;
}

struct lock {
    bool whole; /* of flock(2) */
    int64_t pid;
    unsigned major;
    unsigned minor;
    uint64_t inode;
};

/* One line: "1: FLOCK  ADVISORY  WRITE 1234 08:01:123456 0 EOF"; "->" is one that waits. */
static bool parse_lock(const char *line, struct lock *out)
{
    char kind[16];
    char mode[16];
    char access[8];
    int n = sscanf(line, "%*d: %15s %15s %7s %" SCNd64 " %x:%x:%" SCNu64, kind, mode, access,
                   &out->pid, &out->major, &out->minor, &out->inode);
    out->whole = n == 7 && strcmp(kind, "FLOCK") == 0;
    return n == 7;
}

static bool is_lock_of(const struct lock *lock, const struct stat *file)
{
    return lock->inode == (uint64_t)file->st_ino && lock->major == major(file->st_dev) &&
           lock->minor == minor(file->st_dev);
}

/* Who has locks: the owner on the lock's file, others on the database or its shared memory. */
static void read_locks(const struct stat *database, struct store_file *f)
{
    struct stat lock_file;
    struct stat index;
    bool has_lock_file = look_beside(f->path, ".lock", &lock_file);
    bool has_index = look_beside(f->path, "-shm", &index);
    int64_t pids[16];
    size_t count = 0;
    char line[LINE_MAX_BYTES];
    FILE *locks = fopen(LOCKS, "re");
    while (locks != NULL && fgets(line, sizeof(line), locks) != NULL) {
        struct lock lock;
        if (!parse_lock(line, &lock)) {
            continue;
        }
        if (lock.whole && has_lock_file && is_lock_of(&lock, &lock_file)) {
            f->owner_pid = lock.pid;
        }
        bool uses = is_lock_of(&lock, database) || (has_index && is_lock_of(&lock, &index));
        if (!lock.whole && uses && lock.pid != getpid() && count < sizeof(pids) / sizeof(pids[0])) {
            pids[count++] = lock.pid;
        }
    }
    if (locks != NULL) {
        (void)fclose(locks);
    }
    for (size_t i = 0; i < count && f->other_pid == 0; i++) {
        f->other_pid = pids[i] != f->owner_pid ? pids[i] : 0;
    }
}

enum err store_file_look(const char *url, struct store_file *out, struct why *why)
{
    struct store_file f = {.exists = false};
    struct stat database;
    struct stat beside;
    const char *path = url + strlen(SCHEME);
    if (!store_file_is(url) || path[0] == '\0' || strlen(path) + 16 > sizeof(f.path)) {
        return why_set(why, ERR_CONFIG, "store.url", "store.url must name a file: sqlite:PATH.");
    }
    (void)snprintf(f.path, sizeof(f.path), "%s%s", path[0] == '/' ? "" : "./", path);
    f.exists = stat(f.path, &database) == 0;
    if (!f.exists && errno != ENOENT) {
        return why_set(why, ERR_IO, "store.url", "%s cannot be looked at: %s.", f.path,
                       strerror(errno));
    }
    if (f.exists) {
        f.mode = database.st_mode & MODE_BITS;
        f.bytes = (uint64_t)database.st_size;
        f.wal_bytes = look_beside(f.path, "-wal", &beside) ? (uint64_t)beside.st_size : 0;
        f.has_index = look_beside(f.path, "-shm", &beside);
        read_locks(&database, &f);
    }
    *out = f;
    return OK;
}
