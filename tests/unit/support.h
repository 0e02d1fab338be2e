/*
 * support.h: a migrated store of its own for each test, in a folder or on a server.
 *
 *     struct support_store s;
 *     support_store_open(&s, &sql_catalog);
 *     ... s.store ...
 *     support_store_close(&s);
 *
 * support_store_reopen closes and opens again on the same data; support_store_close removes it.
 *
 * Which database is chosen by the environment: SQLite, unless TEST_DATABASE=postgres; then each
 * store is a database of its own on the server at TEST_POSTGRES_URL (tools/with-postgres).
 */
#ifndef TESTS_UNIT_SUPPORT_H
#define TESTS_UNIT_SUPPORT_H

#include <dirent.h>
#include <unistd.h>

#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else
#include <postgresql/libpq-fe.h> /* where Debian keeps it */
#endif

#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/store/store.h"
#include "unit/test.h"

struct support_store {
    struct store *store;
    const struct store_catalog *catalog;
    struct store_config config;
    char folder[64];
    char url[256];
    char path[128]; /* SQLite: of the database file */
    char name[32];  /* PostgreSQL: of the database */
};

/* support_on_postgres says which of the two databases is under test. */
static inline bool support_on_postgres(void)
{
    const char *database = getenv("TEST_DATABASE");
    return database != NULL && strcmp(database, "postgres") == 0;
}

/* support_postgres_run runs one command as the superuser of the server, on its own database. */
static inline void support_postgres_run(const char *sql)
{
    PGconn *pq = PQconnectdb(getenv("TEST_POSTGRES_URL"));
    PGresult *result = PQexec(pq, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(pq));
    }
    PQclear(result);
    PQfinish(pq);
}

/* support_postgres_url writes the url of a database of the server. */
static inline void support_postgres_url(const char *name, char *out, size_t size)
{
    const char *server = getenv("TEST_POSTGRES_URL");
    ASSERT(server != NULL); /* run the tests by tools/with-postgres */
    int base = (int)(strrchr(server, '/') - server);
    int len = snprintf(out, size, "%.*s/%s", base, server, name);
    ASSERT(len > 0 && (size_t)len < size);
}

/* support_store_prepare makes the folder and the configuration, without opening anything. */
static inline void support_store_prepare(struct support_store *s,
                                         const struct store_catalog *catalog)
{
    *s = (struct support_store){.catalog = catalog};
    snprintf(s->folder, sizeof(s->folder), "/tmp/freehold-store-XXXXXX");
    ASSERT(mkdtemp(s->folder) != NULL);
    if (support_on_postgres()) {
        char sql[64];
        snprintf(s->name, sizeof(s->name), "test_%s", strrchr(s->folder, '-') + 1);
        snprintf(sql, sizeof(sql), "CREATE DATABASE \"%s\"", s->name);
        support_postgres_run(sql);
        support_postgres_url(s->name, s->url, sizeof(s->url));
    } else {
        snprintf(s->path, sizeof(s->path), "%s/data/freehold.db", s->folder);
        snprintf(s->url, sizeof(s->url), "sqlite:%s", s->path);
    }
    s->config = (struct store_config){.url = s->url,
                                      .readers = 4,
                                      .writers = 8,
                                      .busy_usec = 2000000,
                                      .connect_usec = 5000000,
                                      .statement_usec = 60000000,
                                      .batch_max = 256,
                                      .synchronous = "full"};
}

/* support_store_start opens the store without migrating it. */
static inline enum err support_store_start(struct support_store *s, struct why *why)
{
    return store_open(&s->store, &s->config, s->catalog, why);
}

/* support_store_migrate brings the schema to the newest version of the catalog. */
static inline void support_store_migrate(struct support_store *s)
{
    struct why why = {0};
    struct store_version version;
    enum err e = store_version_read(s->store, &version, &why);
    if (e == OK) {
        e = store_migrate(s->store, version.known, &why);
    }
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
}

/* support_store_open makes a folder with a migrated database and opens it. */
static inline void support_store_open(struct support_store *s, const struct store_catalog *catalog)
{
    struct why why = {0};
    support_store_prepare(s, catalog);
    enum err e = support_store_start(s, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    support_store_migrate(s);
}

/* support_store_reopen closes the store and opens it again. */
static inline void support_store_reopen(struct support_store *s)
{
    struct why why = {0};
    store_close(s->store);
    s->store = NULL;
    enum err e = support_store_start(s, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
}

/* support_remove_folder removes a folder with everything in it. */
static inline void support_remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        int len = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        ASSERT(len > 0 && (size_t)len < sizeof(path));
        if (unlink(path) != 0) {
            support_remove_folder(path);
        }
    }
    closedir(dir);
    rmdir(folder);
}

/* support_store_close closes the store and removes its data. */
static inline void support_store_close(struct support_store *s)
{
    store_close(s->store);
    s->store = NULL;
    if (s->name[0] != '\0') {
        char sql[80];
        snprintf(sql, sizeof(sql), "DROP DATABASE \"%s\" WITH (FORCE)", s->name);
        support_postgres_run(sql);
    }
    support_remove_folder(s->folder);
}

#endif
