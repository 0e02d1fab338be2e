#include "domain/trading/journal/journal_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int system_open(void *ctx, const char *path, int flags)
{
    (void)ctx;
    return open(path, flags | O_CLOEXEC, 0600);
}

static int system_close(void *ctx, int fd)
{
    (void)ctx;
    return close(fd);
}

static ssize_t system_read_at(void *ctx, int fd, void *bytes, size_t size, off_t at)
{
    (void)ctx;
    ssize_t n;
    do {
        n = pread(fd, bytes, size, at);
    } while (n < 0 && errno == EINTR);
    return n;
}

static ssize_t system_write_at(void *ctx, int fd, const void *bytes, size_t size, off_t at)
{
    (void)ctx;
    ssize_t n;
    do {
        n = pwrite(fd, bytes, size, at);
    } while (n < 0 && errno == EINTR);
    return n;
}

static int system_sync(void *ctx, int fd)
{
    (void)ctx;
    return fdatasync(fd);
}

static int system_rename(void *ctx, const char *from, const char *to)
{
    (void)ctx;
    return rename(from, to);
}

static int system_remove(void *ctx, const char *path)
{
    (void)ctx;
    return unlink(path);
}

const struct journal_io *journal_io_system(void)
{
    static const struct journal_io io = {
        .open = system_open,
        .close = system_close,
        .read_at = system_read_at,
        .write_at = system_write_at,
        .sync = system_sync,
        .rename = system_rename,
        .remove = system_remove,
    };
    return &io;
}
