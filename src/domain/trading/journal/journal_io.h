/*
 * journal_io.h: the few calls by which the journal touches files, so that tests can stand between.
 *
 * Each answers as its system call does: -1 (or a short count) with errno. No call is retried after
 * an error by anybody: what a failed fsync has thrown away cannot be asked for again.
 */
#ifndef DOMAIN_TRADING_JOURNAL_JOURNAL_IO_H
#define DOMAIN_TRADING_JOURNAL_JOURNAL_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct journal_io {
    void *ctx;
    int (*open)(void *ctx, const char *path, int flags);
    int (*close)(void *ctx, int fd);
    ssize_t (*read_at)(void *ctx, int fd, void *bytes, size_t size, off_t at);
    ssize_t (*write_at)(void *ctx, int fd, const void *bytes, size_t size, off_t at);
    int (*sync)(void *ctx, int fd); /* data and what is needed to find it */
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*remove)(void *ctx, const char *path);
};

/* journal_io_system returns the real ones. */
const struct journal_io *journal_io_system(void);

#endif
