#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/base/rand.h"
#include "kernel/crypto/keystore.h"

#define FILE_BYTES_MAX (64 << 10)

static enum err io_error(struct why *why, const char *doing, const char *path)
{
    enum err e = errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO;
    char reason[128];
    return why_set(why, e, NULL, "%s %s failed: %s.", doing, path,
                   strerror_r(errno, reason, sizeof(reason)));
}

/* file_name is geth's: UTC--2026-11-22T05-20-40.123000000Z--address. */
static struct slice file_name(struct arena *arena, const struct address *address)
{
    char stamp[CLOCK_TEXT_MAX];
    char hex[2 * ADDRESS_BYTES + 3];
    int64_t now_usec = clock_wall_usec();
    (void)clock_format(now_usec, stamp);
    for (char *c = stamp; *c != '\0'; c++) {
        if (*c == ':') {
            *c = '-';
        }
    }
    hex_encode_to(slice_of(address->bytes, ADDRESS_BYTES), hex);
    return slice_format(arena, "UTC--%.19s.%06u000Z--%s", stamp,
                        (unsigned)(now_usec % USEC_PER_SEC), hex + 2);
}

static bool write_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        bytes = slice_of(bytes.ptr + n, bytes.len - (size_t)n);
    }
    return true;
}

/* file_create writes a new file and makes it durable; what it leaves on failure is the caller's. */
static enum err file_create(const char *path, struct slice bytes, struct why *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return io_error(why, "Creating", path);
    }
    enum err e = OK;
    if (!write_all(fd, bytes) || fsync(fd) != 0) {
        e = io_error(why, "Writing", path);
    }
    if (close(fd) != 0 && e == OK) {
        e = io_error(why, "Closing", path);
    }
    return e;
}

/* A rename is durable only when its directory is. */
static enum err directory_sync(const char *directory, struct why *why)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return io_error(why, "Opening", directory);
    }
    enum err e = fsync(fd) == 0 ? OK : io_error(why, "Syncing", directory);
    close(fd);
    return e;
}

enum err keystore_write_file(struct arena *arena, const char *directory,
                             const struct address *address, struct slice json,
                             struct slice *out_path, struct why *why)
{
    struct slice name = file_name(arena, address);
    struct slice path = slice_format(arena, "%s/%.*s", directory, SLICE_ARG(name));
    const char *final = slice_cstr(arena, path);
    const char *temporary = slice_cstr(
        arena, slice_format(arena, "%s/.%016llx.tmp", directory, (unsigned long long)rand_u64()));
    enum err e = file_create(temporary, json, why);
    if (e == OK && rename(temporary, final) != 0) {
        e = io_error(why, "Renaming", temporary);
    }
    if (e != OK) {
        (void)unlink(temporary);
        return e;
    }
    e = directory_sync(directory, why);
    if (e == OK) {
        *out_path = path;
    }
    return e;
}

/* file_read reads a regular file of bounded size into `buffer`. */
static enum err file_read(const char *path, uint8_t *buffer, size_t *out_len, struct why *why)
{
    struct stat st;
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        enum err failed = io_error(why, "Opening", path);
        if (fd >= 0) {
            close(fd);
        }
        return failed;
    }
    enum err e = OK;
    if (!S_ISREG(st.st_mode)) {
        e = why_set(why, ERR_IO, NULL, "%s is not a regular file.", path);
    }
    while (e == OK && len <= FILE_BYTES_MAX) {
        ssize_t n = read(fd, buffer + len, FILE_BYTES_MAX + 1 - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            e = io_error(why, "Reading", path);
        }
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
    }
    close(fd);
    if (e == OK && len > FILE_BYTES_MAX) {
        e = why_set(why, ERR_CORRUPT, NULL, "%s is too large for a keystore file.", path);
    }
    if (e == OK) {
        *out_len = len;
    }
    return e;
}

enum err keystore_read_file(const char *path, const struct secret *password, struct secret *out_key,
                            struct address *out_address, struct why *why)
{
    uint8_t *buffer = mem_alloc(FILE_BYTES_MAX + 1);
    size_t len = 0;
    enum err e = file_read(path, buffer, &len, why);
    if (e == OK) {
        e = keystore_decode(slice_of(buffer, len), password, out_key, out_address, why);
    }
    mem_free(buffer);
    return e;
}
