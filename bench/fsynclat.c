/* fsynclat - what does one durable append cost on this disk, now?  Run it right
 * before any durable bench: the disk is shared and its tail moves a lot.
 *   fsynclat DIR fdatasync|prealloc|direct BYTES COUNT
 * prealloc: the file is written with zeros first, so a commit changes no metadata.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static int cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}
int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: fsynclat DIR fdatasync|prealloc|direct BYTES COUNT\n");
        return 2;
    }
    int direct = !strcmp(argv[2], "direct"), pre = direct || !strcmp(argv[2], "prealloc");
    size_t bytes = (size_t)atol(argv[3]);
    int n = atoi(argv[4]);
    if (bytes == 0 || n <= 0 || (direct && bytes % 4096)) {
        fprintf(stderr, "bad size or count\n");
        return 2;
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/fsynclat.%d", argv[1], (int)getpid());
    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    char *b;
    if (posix_memalign((void **)&b, 4096, (bytes + 4095) & ~(size_t)4095))
        return 1;
    memset(b, 7, bytes);
    if (pre) {
        for (int i = 0; i < n; i++)
            if (pwrite(fd, b, bytes, (off_t)bytes * i) != (ssize_t)bytes) {
                perror("write");
                return 1;
            }
        if (fsync(fd)) {
            perror("fsync");
            return 1;
        }
    }
    if (direct) {
        close(fd);
        fd = open(path, O_RDWR | O_DIRECT | O_DSYNC);
        if (fd < 0) {
            perror("O_DIRECT");
            unlink(path);
            return 1;
        }
    }
    uint64_t *l = malloc(sizeof *l * (size_t)n), t0 = now();
    for (int i = 0; i < n; i++) {
        uint64_t a = now();
        if (pwrite(fd, b, bytes, (off_t)bytes * i) != (ssize_t)bytes) {
            perror("write");
            return 1;
        }
        if (!direct && fdatasync(fd)) {
            perror("fdatasync");
            return 1;
        }
        l[i] = now() - a;
    }
    double s = (double)(now() - t0) / 1e9;
    qsort(l, (size_t)n, sizeof *l, cmp);
    printf("%s %s %zu bytes: %.0f commits/s, us p50 %.0f p90 %.0f p99 %.0f p99.9 %.0f max %.0f\n",
           argv[1], argv[2], bytes, n / s, (double)l[n / 2] / 1e3,
           (double)l[(long)n * 9 / 10] / 1e3, (double)l[(long)n * 99 / 100] / 1e3,
           (double)l[(long)n * 999 / 1000] / 1e3, (double)l[n - 1] / 1e3);
    unlink(path);
    return 0;
}
