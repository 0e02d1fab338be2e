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
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
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

/* support_pick returns what fits the database under test. */
static inline const char *support_pick(const char *sqlite, const char *postgres)
{
    return support_on_postgres() ? postgres : sqlite;
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

/*
 * What the migrations of a catalog make, kept from the first store of a process for the others: a
 * closed file, or a database that the server copies. Most of a test's time would go into migrating.
 */
struct support_template {
    const struct store_catalog *catalog;
    char path[64]; /* SQLite */
    char name[48]; /* PostgreSQL */
};

struct support_templates {
    pid_t owner; /* a child of the process shares them and does not remove them */
    size_t count;
    struct support_template all[8];
};

static inline struct support_templates *support_templates_get(void)
{
    static struct support_templates templates;
    return &templates;
}

static inline void support_templates_drop(void)
{
    struct support_templates *t = support_templates_get();
    for (size_t i = 0; t->owner == getpid() && i < t->count; i++) {
        char sql[80];
        if (t->all[i].path[0] != '\0') {
            unlink(t->all[i].path);
            continue;
        }
        snprintf(sql, sizeof(sql), "DROP DATABASE IF EXISTS \"%s\"", t->all[i].name);
        support_postgres_run(sql);
    }
}

static inline void support_copy_file(const char *from, const char *to)
{
    char bytes[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ASSERT(in >= 0 && out >= 0);
    for (ssize_t n = read(in, bytes, sizeof(bytes)); n != 0; n = read(in, bytes, sizeof(bytes))) {
        ASSERT(n > 0 && write(out, bytes, (size_t)n) == n);
    }
    ASSERT(close(in) == 0 && close(out) == 0);
}

/* Fills the place of a prepared store from a template; false: there is none. */
static inline bool support_template_use(const struct support_store *s)
{
    const struct support_templates *t = support_templates_get();
    char text[160];
    size_t i = 0;
    bool file = s->name[0] == '\0'; /* a test may change from one database to the other */
    while (i < t->count &&
           (t->all[i].catalog != s->catalog || (t->all[i].path[0] != '\0') != file)) {
        i++;
    }
    if (i == t->count) {
        return false;
    }
    if (file) {
        snprintf(text, sizeof(text), "%s/data", s->folder);
        ASSERT(mkdir(text, 0700) == 0);
        support_copy_file(t->all[i].path, s->path);
        return true;
    }
    snprintf(text, sizeof(text), "DROP DATABASE \"%s\"", s->name);
    support_postgres_run(text);
    snprintf(text, sizeof(text), "CREATE DATABASE \"%s\" TEMPLATE \"%s\"", s->name, t->all[i].name);
    support_postgres_run(text);
    return true;
}

/* Keeps what a closed store holds as the template of its catalog. */
static inline void support_template_keep(const struct support_store *s)
{
    struct support_templates *t = support_templates_get();
    if (t->count == sizeof(t->all) / sizeof(t->all[0])) {
        return;
    }
    if (t->count == 0) {
        t->owner = getpid();
        ASSERT(atexit(support_templates_drop) == 0);
    }
    struct support_template *template = &t->all[t->count];
    *template = (struct support_template){.catalog = s->catalog};
    if (s->name[0] == '\0') {
        snprintf(template->path, sizeof(template->path), "/tmp/freehold-template-%ld-%zu.db",
                 (long)getpid(), t->count);
        support_copy_file(s->path, template->path);
    } else {
        char sql[160];
        snprintf(template->name, sizeof(template->name), "template_%ld_%zu", (long)getpid(),
                 t->count);
        snprintf(sql, sizeof(sql), "CREATE DATABASE \"%s\" TEMPLATE \"%s\"", template->name,
                 s->name);
        support_postgres_run(sql);
    }
    t->count++;
}

/* support_store_begin opens a prepared store with a migrated database. */
static inline void support_store_begin(struct support_store *s)
{
    struct why why = {0};
    bool filled = support_template_use(s);
    enum err e = support_store_start(s, &why);
    if (e == OK && !filled) {
        support_store_migrate(s);
        store_close(s->store);
        support_template_keep(s);
        e = support_store_start(s, &why);
    }
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
}

/* support_store_open makes a folder with a migrated database and opens it. */
static inline void support_store_open(struct support_store *s, const struct store_catalog *catalog)
{
    support_store_prepare(s, catalog);
    support_store_begin(s);
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

/* Appends the rows of a query to `out`: columns end in '|', bytes are hex, NULL is "null". */
static inline int support_rows_sqlite(const struct support_store *s, const char *sql,
                                      struct buf *out)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open(s->path, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const void *bytes = sqlite3_column_blob(stmt, i);
            struct slice value = slice_of(bytes, (size_t)sqlite3_column_bytes(stmt, i));
            switch (sqlite3_column_type(stmt, i)) {
            case SQLITE_NULL:
                buf_add_text(out, "null");
                break;
            case SQLITE_BLOB:
                buf_add_hex(out, value);
                break;
            default: /* not an enum */
                buf_add_slice(out, value);
                break;
            }
            buf_add_byte(out, '|');
        }
        buf_add_byte(out, '\n');
    }
    if (sqlite3_finalize(stmt) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    int changed = sqlite3_changes(db);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return changed;
}

static inline int support_rows_postgres(const struct support_store *s, const char *sql,
                                        struct buf *out)
{
    PGconn *pq = PQconnectdb(s->url);
    /* As on SQLite, nobody looks at foreign keys. */
    PQclear(PQexec(pq, "SET session_replication_role = replica"));
    PGresult *result = PQexec(pq, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(pq));
    }
    for (int row = 0; row < PQntuples(result); row++) {
        for (int i = 0; i < PQnfields(result); i++) {
            bool null = PQgetisnull(result, row, i);
            buf_add_text(out, null ? "null" : PQgetvalue(result, row, i));
            buf_add_byte(out, '|');
        }
        buf_add_byte(out, '\n');
    }
    int changed = (int)strtol(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    PQfinish(pq);
    return changed;
}

/*
 * support_store_rows runs a statement past the store and returns its rows as text of the database:
 * the same rows give the same text. The store may be open, and is left alone.
 */
static inline struct slice support_store_rows(const struct support_store *s, struct arena *arena,
                                              const char *sql)
{
    struct buf out;
    buf_init(&out, arena, 1024);
    if (support_on_postgres()) {
        support_rows_postgres(s, sql, &out);
    } else {
        support_rows_sqlite(s, sql, &out);
    }
    return buf_slice(&out);
}

/* support_store_change runs a statement past the store, which is closed for it; counts rows. */
static inline int support_store_change(struct support_store *s, const char *sql)
{
    struct arena scratch;
    struct buf out;
    arena_init(&scratch, 0);
    buf_init(&out, &scratch, 64);
    store_close(s->store);
    s->store = NULL;
    int changed = support_on_postgres() ? support_rows_postgres(s, sql, &out)
                                        : support_rows_sqlite(s, sql, &out);
    arena_free(&scratch);
    struct why why = {0};
    enum err e = support_store_start(s, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    return changed;
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
