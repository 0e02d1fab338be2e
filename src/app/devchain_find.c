#include "app/devchain.h"

#include "kernel/base/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__aarch64__)
#define NPM_ARCH "arm64"
#else
#define NPM_ARCH "amd64"
#endif
#define NPM_PATH "node_modules/@foundry-rs/anvil-linux-" NPM_ARCH "/bin/anvil"

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* is_elf tells a program from a script that would start one. */
static bool is_elf(const char *path)
{
    static const char magic[4] = {0x7f, 'E', 'L', 'F'};
    char head[sizeof(magic)] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, head, sizeof(head));
    (void)close(fd);
    return n == (ssize_t)sizeof(head) && memcmp(head, magic, sizeof(magic)) == 0;
}

/* find_above looks for the npm package in the executable's folder and those above it. */
static const char *find_above(struct arena *arena)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe));
    if (n <= 0 || (size_t)n == sizeof(exe)) {
        return NULL;
    }
    for (size_t len = (size_t)n; len > 0; len--) {
        if (exe[len - 1] != '/') {
            continue;
        }
        struct slice path = slice_format(arena, "%.*s" NPM_PATH, (int)len, exe);
        const char *text = (const char *)path.ptr;
        if (is_program(text) && is_elf(text)) {
            return text;
        }
    }
    return NULL;
}

static const char *find_on_path(struct arena *arena)
{
    struct slice rest = slice_text(getenv("PATH"));
    while (rest.len > 0) {
        struct slice folder;
        (void)slice_cut(rest, ':', &folder, &rest);
        if (folder.len == 0) {
            continue;
        }
        const char *path = (const char *)slice_format(arena, "%.*s/anvil", SLICE_ARG(folder)).ptr;
        if (is_program(path) && is_elf(path)) {
            return path;
        }
    }
    return NULL;
}

enum err devchain_find_anvil(struct arena *arena, const char *named, const char **out,
                             struct why *why)
{
    if (named != NULL && named[0] != '\0') {
        if (!is_program(named)) {
            return why_set(why, ERR_CONFIG, "devchain.anvil",
                           "devchain.anvil names %s, which is not a program that can be run.",
                           named);
        }
        *out = named;
        return OK;
    }
    const char *path = find_above(arena);
    if (path == NULL) {
        path = find_on_path(arena);
    }
    if (path == NULL) {
        return why_set(
            why, ERR_CONFIG, "devchain.anvil",
            "The development chain needs anvil, which was not found: run tools/setup, or "
            "name the program in devchain.anvil.");
    }
    *out = path;
    return OK;
}
