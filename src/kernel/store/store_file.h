/*
 * store_file.h: what can be known of an SQLite database without opening it.
 *
 * The owner of a file (the daemon) holds a lock on "PATH.lock" and has written its process id
 * there. Trying that lock would, for a moment, be in the way of a daemon that starts; so the
 * kernel's own list, /proc/locks, is read instead: it has the inode and the process of each lock. A
 * process of another pid namespace is not in it; where the list cannot be read, nobody seems to
 * have the file.
 *
 * Nothing is opened but the list and the lock's text: closing a descriptor of the database would
 * drop locks that this process has on it.
 */
#ifndef KERNEL_STORE_STORE_FILE_H
#define KERNEL_STORE_STORE_FILE_H

#include "kernel/store/store.h"

#define STORE_FILE_PATH_MAX 4096

struct store_file {
    char path[STORE_FILE_PATH_MAX];
    bool exists;
    unsigned mode; /* permission bits */
    uint64_t bytes;
    uint64_t wal_bytes; /* of the write-ahead log; 0: none */
    bool has_index;     /* the shared-memory index of that log is there */
    int64_t owner_pid;  /* 0: nobody has it */
    int64_t other_pid;  /* another process with locks on the database, 0: none */
};

/* store_file_is says whether a url names an SQLite file. */
bool store_file_is(const char *url);

/* store_file_look looks. Errors: ERR_CONFIG (no such url, too long), ERR_IO (not to be reached). */
enum err store_file_look(const char *url, struct store_file *out, struct why *why) ERR_CHECKED;

#endif
