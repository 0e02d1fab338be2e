#include "kernel/store/store_shadow.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/store/store_private.h"

#define SUFFIX "-shadow"
#define CLAIM_SUFFIX ".claim"
#define CLAIM_MODE 0600
#define SCHEMA "freehold_shadow"
/* "FRHS": the advisory lock of whoever has the shadow. */
#define SCHEMA_CLAIM "1179797587"
/* A server notices a moment later that a session has ended. Units: microseconds. */
#define REST_USEC 20000
#define RESTS_MAX 100

struct store_shadow {
    struct arena arena;
    struct store *live;
    struct store *store;
    struct store_config config; /* its texts are in `arena` */
    struct store_conn *session; /* PostgreSQL: has the claim; NULL: not yet */
    const char *claim_path;     /* SQLite */
    int claim_fd;               /* SQLite: has the claim; -1: not yet */
};

/* ---- a schema ---- */

/* 55P03: a lock that was not to be had. A lost claim does not open what others are at work in. */
#define REFUSE_SQL                                                                                 \
    " RAISE EXCEPTION 'another process is at work in the schema " SCHEMA "'"                       \
    "  USING ERRCODE = 'lock_not_available';"

static const char claim_sql[] =
    "DO $claim$ BEGIN"
    " IF NOT pg_try_advisory_lock(" SCHEMA_CLAIM ") THEN" REFUSE_SQL " END IF; END; $claim$";

static const char alone_sql[] =
    "DO $alone$ BEGIN"
    " IF EXISTS (SELECT 1 FROM pg_stat_activity"
    "  WHERE datname = current_database() AND application_name = "
    "'" STORE_SHADOW_APPLICATION "') THEN" REFUSE_SQL " END IF; END; $alone$";

static const char drop_sql[] = "DROP SCHEMA IF EXISTS " SCHEMA " CASCADE";
static const char create_sql[] = "CREATE SCHEMA IF NOT EXISTS " SCHEMA;

static enum err run(struct store_shadow *shadow, const char *sql, struct why *why)
{
    return shadow->live->driver->run_script(shadow->session, sql, NULL, why);
}

static enum err run_patiently(struct store_shadow *shadow, const char *sql, struct why *why)
{
    struct why detail = {0};
    enum err e = run(shadow, sql, &detail);
    for (unsigned i = 0; e == ERR_DB_BUSY && i < RESTS_MAX; i++) {
        clock_sleep_usec(REST_USEC);
        e = run(shadow, sql, &detail);
    }
    return e == OK            ? OK
           : e == ERR_DB_BUSY ? why_set(why, ERR_LOCKED, NULL, "%s", why_text(&detail, e))
                              : why_set(why, e, NULL, "%s", why_text(&detail, e));
}

static enum err claim_schema(struct store_shadow *shadow, struct why *why)
{
    enum err e = store_connect(shadow->live, true, &shadow->session, why);
    e = e == OK ? run_patiently(shadow, claim_sql, why) : e;
    return e == OK ? run_patiently(shadow, alone_sql, why) : e;
}

/* ---- files ---- */

static enum err fail_file(const char *path, const char *verb, struct why *why)
{
    return why_set(why, ERR_IO, NULL, "%s cannot be %s: %s.", path, verb, strerror(errno));
}

/* Whether the file that was opened is still the one of that name: who had it may have removed it.
 */
static bool is_current(int fd, const char *path)
{
    struct stat opened;
    struct stat named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

static enum err claim_file(struct store_shadow *shadow, struct why *why)
{
    for (unsigned i = 0; i < RESTS_MAX; i++) {
        int fd = open(shadow->claim_path, O_RDWR | O_CREAT | O_CLOEXEC, CLAIM_MODE);
        if (fd < 0) {
            return fail_file(shadow->claim_path, "opened", why);
        }
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_current(fd, shadow->claim_path)) {
            shadow->claim_fd = fd;
            return OK;
        }
        close(fd);
        clock_sleep_usec(REST_USEC);
    }
    return why_set(why, ERR_LOCKED, NULL, "another process is at work in %s",
                   shadow->config.url + strlen("sqlite:"));
}

static enum err remove_file(const char *path, struct why *why)
{
    return unlink(path) == 0 || errno == ENOENT ? OK : fail_file(path, "removed", why);
}

static enum err remove_files(struct store_shadow *shadow, struct why *why)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    const char *path = shadow->config.url + strlen("sqlite:");
    enum err e = OK;
    for (size_t i = 0; e == OK && i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        struct slice whole = slice_format(&shadow->arena, "%s%s", path, suffixes[i]);
        e = remove_file(slice_cstr(&shadow->arena, whole), why);
    }
    return e;
}

/* ---- either ---- */

static bool is_file(const struct store_shadow *shadow)
{
    return shadow->live->driver->single_writer;
}

static enum err claim(struct store_shadow *shadow, struct why *why)
{
    return is_file(shadow) ? claim_file(shadow, why) : claim_schema(shadow, why);
}

/* The claim's file goes while it is locked: whoever waits for it sees that it is another one. */
static void unclaim(struct store_shadow *shadow)
{
    if (shadow->session != NULL) {
        shadow->live->driver->close(shadow->session);
    }
    if (shadow->claim_fd >= 0) {
        (void)unlink(shadow->claim_path);
        close(shadow->claim_fd);
    }
}

static enum err drop(struct store_shadow *shadow, struct why *why)
{
    return is_file(shadow) ? remove_files(shadow, why) : run_patiently(shadow, drop_sql, why);
}

static void configure(struct store_shadow *shadow, const struct store_config *config)
{
    struct store_config *c = &shadow->config;
    struct arena *arena = &shadow->arena;
    *c = *config;
    c->read_only = c->passive = c->beside = false;
    if (is_file(shadow)) {
        c->url = slice_cstr(arena, slice_format(arena, "%s" SUFFIX, config->url));
        c->synchronous = "normal"; /* what a power cut takes is built again */
        struct slice path = slice_format(arena, "%s" CLAIM_SUFFIX, c->url + strlen("sqlite:"));
        shadow->claim_path = slice_cstr(arena, path);
    } else {
        c->schema = SCHEMA;
    }
}

static enum err open_store(struct store_shadow *shadow, struct why *why)
{
    struct store_version version = {0};
    enum err e = is_file(shadow) ? OK : run(shadow, create_sql, why);
    if (e == OK) {
        e = store_open(&shadow->store, &shadow->config, shadow->live->catalog, why);
    }
    if (e == OK) {
        e = store_version_read(shadow->store, &version, why);
    }
    if (e == OK && version.applied < version.known) {
        e = store_migrate(shadow->store, version.known, why);
    }
    return e;
}

enum err store_shadow_open(struct store *live, const struct store_config *config, bool anew,
                           struct store_shadow **out, struct why *why)
{
    struct store_shadow *shadow = mem_alloc(sizeof(*shadow));
    *shadow = (struct store_shadow){.live = live, .claim_fd = -1};
    arena_init(&shadow->arena, 0);
    configure(shadow, config);
    enum err e = claim(shadow, why);
    if (e == OK && anew) {
        e = drop(shadow, why);
    }
    if (e == OK) {
        e = open_store(shadow, why);
    }
    if (e != OK) {
        struct why ignored = {0};
        enum err closed = store_shadow_close(shadow, false, &ignored);
        ASSERT(closed == OK);
        return e;
    }
    *out = shadow;
    return OK;
}

struct store *store_shadow_store(const struct store_shadow *shadow)
{
    return shadow->store;
}

enum err store_shadow_close(struct store_shadow *shadow, bool and_drop, struct why *why)
{
    if (shadow == NULL) {
        return OK;
    }
    store_close(shadow->store);
    enum err e = and_drop ? drop(shadow, why) : OK;
    unclaim(shadow);
    arena_free(&shadow->arena);
    mem_free(shadow);
    return e;
}
