/*
 * devchain_cache.h: the folder where the development chain keeps its older states.
 *
 * anvil writes the states of older blocks to a folder, in the user's home unless it is told
 * otherwise, and leaves it there when it is killed: a hundred megabytes each time. So each chain
 * gets a folder of its own in $TMPDIR (or /tmp), which goes with the chain. Who uses a folder holds
 * a lock on it: a process that is killed lets go of the lock, and the next chain that starts
 * removes the folders that nobody holds. Folders of other users are left alone.
 *
 * Crash: a folder stays until the next start. Any thread.
 */
#ifndef APP_DEVCHAIN_CACHE_H
#define APP_DEVCHAIN_CACHE_H

#include "kernel/base/slice.h"

#define DEVCHAIN_CACHE_PATH_MAX 512

struct devchain_cache {
    char path[DEVCHAIN_CACHE_PATH_MAX]; /* "" without a folder */
    int lock_fd;                        /* -1 without a folder */
};

/*
 * devchain_cache_open removes what earlier chains have left and makes a folder.
 * Owns: the caller, devchain_cache_close. Errors: ERR_IO.
 */
enum err devchain_cache_open(struct devchain_cache *cache, struct why *why) ERR_CHECKED;
/* devchain_cache_close removes the folder; nothing happens without one. */
void devchain_cache_close(struct devchain_cache *cache);

#endif
