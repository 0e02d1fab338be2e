/*
 * Migrations: which are applied is a table; what they do is in the catalog.
 *
 * The applied ones must be the first ones of the catalog, byte for byte: anything else means that
 * program and database do not belong together, and then the database is left alone. Where several
 * processes may share a database, a lock on a connection of its own lets one of them change the
 * schema; the others wait and then find the work done.
 */
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/store/store_private.h"
#include "kernel/store/store_sql.h"

static const struct store_migration *find_migration(const struct store_catalog *catalog,
                                                    int64_t version)
{
    for (uint16_t i = 0; i < catalog->migration_count; i++) {
        if ((int64_t)catalog->migrations[i].version == version) {
            return &catalog->migrations[i];
        }
    }
    return NULL;
}

static uint32_t known_version(const struct store_catalog *catalog)
{
    return catalog->migration_count == 0
               ? 0
               : catalog->migrations[catalog->migration_count - 1].version;
}

/* Compares one applied migration with the one that the catalog has in its place. */
static enum err verify_applied(const struct store_catalog *catalog, uint16_t place, int64_t version,
                               struct slice name, struct slice checksum, struct why *why)
{
    const struct store_migration *m = find_migration(catalog, version);
    if (m == NULL && version > (int64_t)known_version(catalog)) {
        return why_set(why, ERR_DB_VERSION, NULL,
                       "The database is at version %lld (%.*s), this program knows up to %u: "
                       "use the newer program.",
                       (long long)version, SLICE_ARG(name), known_version(catalog));
    }
    if (m == NULL || m != &catalog->migrations[place]) {
        return why_set(why, ERR_DB_VERSION, NULL,
                       "Migration %lld (%.*s) of the database is not the next one of this program: "
                       "they do not belong together.",
                       (long long)version, SLICE_ARG(name));
    }
    if (!slice_equal_text(checksum, m->checksum)) {
        return why_set(why, ERR_DB_VERSION, NULL,
                       "Migration %lld (%.*s) was edited after it was applied: use the program "
                       "that applied it.",
                       (long long)version, SLICE_ARG(name));
    }
    return OK;
}

struct read_ctx {
    const struct store_catalog *catalog;
    uint32_t applied;
};

/* Reads the applied version and verifies all applied migrations. */
static enum err read_applied(struct store_tx *tx, void *arg, struct why *why)
{
    struct read_ctx *ctx = arg;
    struct arena scratch;
    arena_init(&scratch, 0);
    struct store_query q;
    enum err e = OK;
    uint16_t place = 0;
    ctx->applied = 0;
    store_begin(&q, tx, &store_sql_migrations_list);
    while (e == OK && store_step(&q)) {
        int64_t version = store_get_i64(&q, "version");
        struct slice name = store_get_text(&q, "name", &scratch);
        struct slice checksum = store_get_text(&q, "checksum", &scratch);
        e = verify_applied(ctx->catalog, place, version, name, checksum, why);
        ctx->applied = (uint32_t)version;
        place++;
    }
    enum err finished = store_finish(&q, NULL, e == OK ? why : NULL);
    arena_free(&scratch);
    return e != OK ? e : finished;
}

static enum err create_table(struct store_tx *tx, void *arg, struct why *why)
{
    (void)arg;
    struct store_query q;
    store_begin(&q, tx, &store_sql_migrations_create);
    return store_finish(&q, NULL, why);
}

enum err store_migrate_verify(struct store *store, struct why *why)
{
    struct read_ctx ctx = {.catalog = store->catalog};
    return store_read(store, read_applied, &ctx, why);
}

/* Becomes the one who may change the schema. Owns: the caller, unlock; NULL needs no lock. */
static enum err lock(struct store *store, struct store_conn **out, struct why *why)
{
    struct store_conn *conn = NULL;
    if (store->driver->lock_schema == NULL) {
        *out = NULL;
        return OK;
    }
    enum err e = store_connect(store, true, &conn, why);
    if (e != OK) {
        return e;
    }
    e = store->driver->lock_schema(conn, why);
    if (e != OK) {
        store->driver->close(conn);
        return e;
    }
    *out = conn;
    return OK;
}

static void unlock(struct store *store, struct store_conn *conn)
{
    if (conn != NULL) {
        store->driver->close(conn);
    }
}

enum err store_migrate_begin(struct store *store, struct why *why)
{
    enum err e = OK;
    if (store->is_new) {
        struct store_conn *guard = NULL;
        e = lock(store, &guard, why);
        if (e == OK) {
            e = store_write(store, create_table, NULL, why);
            unlock(store, guard);
        }
    }
    return e != OK ? e : store_migrate_verify(store, why);
}

enum err store_version_read(struct store *store, struct store_version *out, struct why *why)
{
    struct read_ctx ctx = {.catalog = store->catalog};
    enum err e = store_read(store, read_applied, &ctx, why);
    if (e == OK) {
        *out =
            (struct store_version){.applied = ctx.applied, .known = known_version(store->catalog)};
    }
    return e;
}

/* ---- one migration, one transaction ---- */

struct step_ctx {
    const struct store_migration *migration;
};

static enum err run_migration_script(struct store_tx *tx, const char *script, struct why *why)
{
    const struct store_driver *driver = tx->store->driver;
    enum err e = OK;
    if (driver->migration_prelude != NULL) {
        e = driver->run_script(tx->conn, driver->migration_prelude, NULL, why);
    }
    return e != OK ? e : driver->run_script(tx->conn, script, NULL, why);
}

static enum err migration_up(struct store_tx *tx, void *arg, struct why *why)
{
    const struct step_ctx *ctx = arg;
    const struct store_migration *m = ctx->migration;
    enum err e = run_migration_script(tx, tx->store->driver->up(m), why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &store_sql_migrations_add);
    store_bind_i64(&q, "version", m->version);
    store_bind_text(&q, "name", slice_text(m->name));
    store_bind_text(&q, "checksum", slice_text(m->checksum));
    store_bind_time(&q, "applied_at", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err migration_down(struct store_tx *tx, void *arg, struct why *why)
{
    const struct step_ctx *ctx = arg;
    const struct store_migration *m = ctx->migration;
    enum err e = run_migration_script(tx, tx->store->driver->down(m), why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &store_sql_migrations_remove);
    store_bind_i64(&q, "version", m->version);
    return store_finish(&q, NULL, why);
}

static enum err run_migration(struct store *store, const struct store_migration *m, bool up,
                              struct why *why)
{
    if (!up && store->driver->down(m) == NULL) {
        return why_set(why, ERR_DB_VERSION, NULL, "Migration %u (%s) cannot be taken back.",
                       m->version, m->name);
    }
    struct step_ctx ctx = {.migration = m};
    struct why detail = {0};
    enum err e = store_write(store, up ? migration_up : migration_down, &ctx, &detail);
    if (e != OK) {
        why_set(why, e, NULL, "Migration %u (%s) %s: %s", m->version, m->name,
                up ? "was not applied" : "was not taken back", why_text(&detail, e));
    }
    return e;
}

static enum err migrate_locked(struct store *store, uint32_t target, struct why *why)
{
    const struct store_catalog *catalog = store->catalog;
    struct store_version version;
    enum err e = store_version_read(store, &version, why);
    if (e != OK) {
        return e;
    }
    if (target != 0 && find_migration(catalog, target) == NULL) {
        return why_set(why, ERR_DB_VERSION, NULL, "There is no migration %u; the newest is %u.",
                       target, version.known);
    }
    for (uint16_t i = 0; e == OK && i < catalog->migration_count; i++) {
        const struct store_migration *m = &catalog->migrations[i];
        if (m->version > version.applied && m->version <= target) {
            e = run_migration(store, m, true, why);
        }
    }
    for (uint16_t i = catalog->migration_count; e == OK && i > 0; i--) {
        const struct store_migration *m = &catalog->migrations[i - 1];
        if (m->version <= version.applied && m->version > target) {
            e = run_migration(store, m, false, why);
        }
    }
    return e;
}

enum err store_migrate(struct store *store, uint32_t target, struct why *why)
{
    struct store_conn *guard = NULL;
    enum err e = lock(store, &guard, why);
    if (e == OK) {
        e = migrate_locked(store, target, why);
        unlock(store, guard);
    }
    return e;
}

/* ---- every statement against the schema ---- */

static enum err prepare_one(struct store_tx *tx, const struct store_statement *s, bool many,
                            struct why *why)
{
    void *handle = NULL;
    enum err e = tx->store->driver->query_begin(tx->conn, s, many, &handle, why);
    if (e == OK) {
        tx->store->driver->query_end(handle);
    }
    return e;
}

static enum err prepare_all(struct store_tx *tx, void *arg, struct why *why)
{
    (void)arg;
    const struct store_catalog *catalog = tx->store->catalog;
    enum err e = OK;
    for (uint16_t i = 0; e == OK && i < catalog->statement_count; i++) {
        const struct store_statement *s = catalog->statements[i];
        e = prepare_one(tx, s, false, why);
        if (e == OK && s->rows != STORE_ROWS_EACH) {
            e = prepare_one(tx, s, true, why);
        }
    }
    return e;
}

enum err store_prepare_all(struct store *store, struct why *why)
{
    return store_read(store, prepare_all, NULL, why);
}
