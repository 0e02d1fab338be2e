#include "kernel/store/store_shadow.h"

#include <errno.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/store/store_private.h"

#define SUFFIX "-shadow"
#define SCHEMA "freehold_shadow"
/* A server notices a moment later that a session has ended. Units: microseconds. */
#define REST_USEC 20000
#define RESTS_MAX 100

/* 55P03: a lock that was not to be had. */
static const char drop_sql[] =
    "DO $drop$ BEGIN"
    " IF EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
    "  AND application_name = '" STORE_SHADOW_APPLICATION "') THEN"
    "  RAISE EXCEPTION 'somebody is at work in the schema " SCHEMA "'"
    "   USING ERRCODE = 'lock_not_available';"
    " END IF;"
    " DROP SCHEMA IF EXISTS " SCHEMA " CASCADE;"
    " END; $drop$";

static enum err run_script(struct store_tx *tx, void *ctx, struct why *why)
{
    return tx->store->driver->run_script(tx->conn, ctx, NULL, why);
}

static enum err run(struct store *live, const char *script, struct why *why)
{
    char text[sizeof(drop_sql)];
    (void)snprintf(text, sizeof(text), "%s", script);
    return store_write(live, run_script, text, why);
}

/* The configuration of the shadow, whose texts are in the arena. */
static struct store_config shadow_config(const struct store *live,
                                         const struct store_config *config, struct arena *arena)
{
    struct store_config c = *config;
    c.read_only = c.passive = c.beside = false;
    if (live->driver->single_writer) {
        c.url = slice_cstr(arena, slice_format(arena, "%s" SUFFIX, config->url));
        c.synchronous = "normal"; /* what a power cut takes is built again */
    } else {
        c.schema = SCHEMA;
    }
    return c;
}

enum err store_shadow_open(struct store *live, const struct store_config *config,
                           struct store **out, struct why *why)
{
    struct arena scratch;
    struct store *store = NULL;
    struct store_version version = {0};
    arena_init(&scratch, 0);
    struct store_config c = shadow_config(live, config, &scratch);
    enum err e = OK;
    if (!live->driver->single_writer) {
        e = run(live, "CREATE SCHEMA IF NOT EXISTS " SCHEMA, why);
    }
    if (e == OK) {
        e = store_open(&store, &c, live->catalog, why);
    }
    if (e == OK) {
        e = store_version_read(store, &version, why);
    }
    if (e == OK && version.applied < version.known) {
        e = store_migrate(store, version.known, why);
    }
    arena_free(&scratch);
    if (e != OK) {
        store_close(store);
        return e;
    }
    *out = store;
    return OK;
}

static enum err remove_file(struct arena *arena, const char *path, const char *suffix,
                            struct why *why)
{
    const char *whole = slice_cstr(arena, slice_format(arena, "%s%s", path, suffix));
    if (unlink(whole) == 0 || errno == ENOENT) {
        return OK;
    }
    return why_set(why, ERR_IO, NULL, "%s cannot be removed: %s.", whole, strerror(errno));
}

static enum err remove_files(struct store *live, const struct store_config *c, struct arena *arena,
                             struct why *why)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    const char *path = c->url + strlen("sqlite:");
    struct store *store = NULL;
    if (access(path, F_OK) == 0) {
        /* Whoever is at work in it keeps it; one that cannot be opened otherwise is of no use. */
        enum err opened = store_open(&store, c, live->catalog, why);
        store_close(store);
        if (opened == ERR_LOCKED) {
            return opened;
        }
    }
    enum err e = OK;
    for (size_t i = 0; e == OK && i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        e = remove_file(arena, path, suffixes[i], why);
    }
    return e;
}

static enum err drop_schema(struct store *live, struct why *why)
{
    struct why detail = {0};
    enum err e = run(live, drop_sql, &detail);
    for (unsigned i = 0; e == ERR_DB_BUSY && i < RESTS_MAX; i++) {
        clock_sleep_usec(REST_USEC);
        e = run(live, drop_sql, &detail);
    }
    return e == OK            ? OK
           : e == ERR_DB_BUSY ? why_set(why, ERR_LOCKED, NULL, "%s", why_text(&detail, e))
                              : why_set(why, e, NULL, "%s", why_text(&detail, e));
}

enum err store_shadow_drop(struct store *live, const struct store_config *config, struct why *why)
{
    if (!live->driver->single_writer) {
        return drop_schema(live, why);
    }
    struct arena scratch;
    arena_init(&scratch, 0);
    struct store_config c = shadow_config(live, config, &scratch);
    enum err e = remove_files(live, &c, &scratch, why);
    arena_free(&scratch);
    return e;
}
