/*
 * The input is a configuration file. Whatever it holds: a refusal names something and changes
 * nothing, and what was accepted can be printed and read again to the same values.
 */
#include "kernel/base/config.h"

#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct values {
    const char *host;
    uint64_t port;
    bool verbose;
    int64_t timeout_usec;
    uint64_t body_bytes;
    const char *registry;
    struct u256 fee;
    const char *mode;
    struct secret password;
};

static const char *const modes[] = {"fast", "safe", NULL};

#define AT(member) offsetof(struct values, member)
static const struct config_row rows[] = {
    {"http.host", CONFIG_TEXT, AT(host), "localhost", 0, 0, NULL, 0, "Host."},
    {"http.port", CONFIG_U64, AT(port), "8080", 1, 65535, NULL, 0, "Port."},
    {"http.verbose", CONFIG_BOOL, AT(verbose), "false", 0, 0, NULL, 0, "Verbose."},
    {"http.timeout", CONFIG_DURATION, AT(timeout_usec), "10s", 0, 0, NULL, 0, "Timeout."},
    {"http.body_max", CONFIG_SIZE, AT(body_bytes), "1MiB", 0, 0, NULL, 0, "Body."},
    {"chain.dev.registry", CONFIG_ADDRESS, AT(registry), NULL, 0, 0, NULL, 0, "Registry."},
    {"chain.dev.fee_max", CONFIG_WEI, AT(fee), "30gwei", 0, 0, NULL, 0, "Fee."},
    {"chain.dev.mode", CONFIG_ENUM, AT(mode), "safe", 0, 0, modes, 0, "Mode."},
    {"chain.dev.password", CONFIG_SECRET, AT(password), NULL, 0, 0, NULL, 0, "Password."},
};

static struct config *new_config(struct values *values)
{
    struct config *c = config_new();
    struct config_part part = {rows, sizeof(rows) / sizeof(rows[0]), values, "Fuzz"};
    *values = (struct values){.host = NULL};
    config_add(c, &part);
    return c;
}

/* Loads bytes through a file in memory, since a configuration comes from a path. */
static enum err load(struct config *c, struct slice text, struct why *why)
{
    int fd = memfd_create("config", MFD_CLOEXEC);
    ASSERT(fd >= 0);
    ssize_t written = write(fd, text.ptr, text.len);
    ASSERT(written == (ssize_t)text.len);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    enum err e = config_load(c, path, NULL, NULL, 0, why);
    close(fd);
    return e;
}

static void check_equal(const struct values *a, const struct values *b)
{
    ASSERT(strcmp(a->host, b->host) == 0);
    ASSERT(a->port == b->port && a->verbose == b->verbose);
    ASSERT(a->timeout_usec == b->timeout_usec && a->body_bytes == b->body_bytes);
    ASSERT(strcmp(a->registry, b->registry) == 0);
    ASSERT(u256_equal(a->fee, b->fee));
    ASSERT(strcmp(a->mode, b->mode) == 0);
    ASSERT((secret_len(&a->password) == 0) == (secret_len(&b->password) == 0));
}

static void check_values(const struct values *v)
{
    ASSERT(v->port >= 1 && v->port <= 65535);
    ASSERT(v->timeout_usec >= 0);
    ASSERT(strcmp(v->mode, "fast") == 0 || strcmp(v->mode, "safe") == 0);
    ASSERT(strlen(v->registry) == 0 || strlen(v->registry) == 42);
}

static void check_dump(struct config *c, const struct values *values)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct buf dump;
    buf_init(&dump, &arena, 0);
    config_dump(c, &dump);
    struct values again;
    struct config *copy = new_config(&again);
    enum err e = load(copy, buf_slice(&dump), NULL);
    ASSERT(e == OK);
    check_equal(values, &again);
    config_free(copy);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct values values;
    struct config *c = new_config(&values);
    struct why why = {.err = OK};
    enum err e = load(c, slice_of(data, size), &why);
    if (e) {
        ASSERT(e == ERR_CONFIG || e == ERR_UNKNOWN_CONFIG_KEY);
        ASSERT(why.err == e && why.text[0] != '\0');
        ASSERT(values.host == NULL && values.port == 0);
    } else {
        check_values(&values);
        check_dump(c, &values);
    }
    config_free(c);
    return 0;
}
