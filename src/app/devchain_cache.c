#include "app/devchain_cache.h"

#include "kernel/base/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "freehold-chain-"
#define OPEN_FILES_MAX 16
#define TRIES_MAX 16

static const char *base_folder(void)
{
    const char *base = getenv("TMPDIR");
    return base != NULL && base[0] == '/' ? base : "/tmp";
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    (void)remove(path); /* what cannot be removed stays: there is nobody to tell */
    return 0;
}

static void remove_folder(const char *path)
{
    (void)nftw(path, remove_entry, OPEN_FILES_MAX, FTW_DEPTH | FTW_PHYS);
}

/* open_locked returns the locked folder, or -1: not ours, held by somebody, or removed meanwhile.
 */
static int open_locked(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &st) != 0 ||
                    st.st_uid != geteuid() || st.st_nlink == 0)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void remove_leftovers(const char *base)
{
    DIR *folder = opendir(base);
    if (folder == NULL) {
        return;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char path[DEVCHAIN_CACHE_PATH_MAX];
        int n = snprintf(path, sizeof(path), "%s/%s", base, entry->d_name);
        if (strncmp(entry->d_name, PREFIX, sizeof(PREFIX) - 1) != 0 || n < 0 ||
            (size_t)n >= sizeof(path)) {
            continue;
        }
        int fd = open_locked(path);
        if (fd >= 0) {
            remove_folder(path);
            (void)close(fd);
        }
    }
    (void)closedir(folder);
}

enum err devchain_cache_open(struct devchain_cache *cache, struct why *why)
{
    cache->lock_fd = -1;
    const char *base = base_folder();
    remove_leftovers(base);
    /* Another chain that starts may take a folder between its making and its lock for a leftover.
     */
    for (int i = 0; i < TRIES_MAX && cache->lock_fd < 0; i++) {
        int n = snprintf(cache->path, sizeof(cache->path), "%s/" PREFIX "XXXXXX", base);
        if (n < 0 || (size_t)n >= sizeof(cache->path) || mkdtemp(cache->path) == NULL) {
            cache->path[0] = '\0';
            return why_set(why, ERR_IO, "TMPDIR",
                           "No folder for the development chain can be made in %s: %s.", base,
                           strerror(errno));
        }
        cache->lock_fd = open_locked(cache->path);
    }
    if (cache->lock_fd < 0) {
        remove_folder(cache->path);
        cache->path[0] = '\0';
        return why_set(why, ERR_IO, "TMPDIR",
                       "The folders for the development chain in %s cannot be locked.", base);
    }
    return OK;
}

void devchain_cache_close(struct devchain_cache *cache)
{
    if (cache->path[0] != '\0') {
        remove_folder(cache->path);
        cache->path[0] = '\0';
    }
    if (cache->lock_fd >= 0) {
        (void)close(cache->lock_fd);
        cache->lock_fd = -1;
    }
}
