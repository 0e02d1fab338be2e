#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/store/sqlite_private.h"
#include "kernel/store/store_file.h"

#define APPLICATION_ID 0x46524844 /* "FRHD" in the header of the file */
#define QUICK_CHECK_MAX (64ll << 20)
#define FILE_MODE 0600
#define FOLDER_MODE 0700
#define USEC_PER_MSEC 1000

static char *join(const char *a, const char *b)
{
    size_t size = strlen(a) + strlen(b) + 1;
    char *text = mem_alloc(size);
    snprintf(text, size, "%s%s", a, b);
    return text;
}

/* The path behind "sqlite:"; never one that SQLite would take for a URI or for memory. */
static enum err parse_path(const char *url, char **out, struct why *why)
{
    const char *path = url + strlen("sqlite:");
    if (path[0] == '\0' || strcmp(path, ":memory:") == 0 || path[strlen(path) - 1] == '/') {
        return why_set(why, ERR_CONFIG, "store.url", "store.url must name a file: sqlite:PATH.");
    }
    *out = join(path[0] == '/' ? "" : "./", path);
    return OK;
}

static enum err make_folders(char *path, struct why *why)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = mkdir(path, FOLDER_MODE) == 0 || errno == EEXIST;
        int reason = errno;
        if (!made) {
            why_set(why, ERR_IO, "store.url", "The folder %s cannot be made: %s.", path,
                    strerror(reason));
        }
        *slash = '/';
        if (!made) {
            return ERR_IO;
        }
    }
    return OK;
}

/* ---- one process ---- */

static enum err locked_by_other(int fd, const char *path, struct why *why)
{
    char owner[24] = {0};
    ssize_t n = pread(fd, owner, sizeof(owner) - 1, 0);
    owner[n > 0 ? strcspn(owner, "\n") : 0] = '\0';
    return why_set(why, ERR_LOCKED, "store.url",
                   "The database %s is in use by process %s: stop it first.", path,
                   owner[0] != '\0' ? owner : "unknown");
}

/* Takes the lock of the file for the life of the connection, and writes who holds it. */
static enum err take_lock(struct store_conn *conn, struct why *why)
{
    char *lock_path = join(conn->path, ".lock");
    int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    enum err e = OK;
    if (fd < 0) {
        e = why_set(why, ERR_IO, "store.url", "%s cannot be opened: %s.", lock_path,
                    strerror(errno));
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        e = locked_by_other(fd, conn->path, why);
        close(fd);
    } else {
        conn->lock_fd = fd;
        /* The number is for people; a disk too full to take it does not matter. */
        char owner[24];
        int len = snprintf(owner, sizeof(owner), "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) != 0 || pwrite(fd, owner, (size_t)len, 0) != len) {
            errno = 0;
        }
    }
    mem_free(lock_path);
    return e;
}

/* ---- is it ours, is it whole ---- */

/* Runs a statement that answers with one row. Owns: the caller, sqlite3_finalize, also on error. */
static enum err ask(struct store_conn *conn, const char *sql, sqlite3_stmt **out, struct why *why)
{
    int code = sqlite3_prepare_v2(conn->db, sql, -1, out, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(*out);
    }
    if (code == SQLITE_ROW) {
        return OK;
    }
    return sqlite_fail(conn, code == SQLITE_DONE ? SQLITE_ERROR : code, sql, why);
}

static enum err ask_i64(struct store_conn *conn, const char *sql, int64_t *out, struct why *why)
{
    sqlite3_stmt *stmt = NULL;
    enum err e = ask(conn, sql, &stmt, why);
    if (e == OK) {
        *out = sqlite3_column_int64(stmt, 0);
    }
    sqlite3_finalize(stmt);
    return e;
}

/* Copies the answer of a statement, cut to `size`. */
static enum err ask_text(struct store_conn *conn, const char *sql, char *said, size_t size,
                         struct why *why)
{
    sqlite3_stmt *stmt = NULL;
    enum err e = ask(conn, sql, &stmt, why);
    if (e == OK) {
        const unsigned char *text = sqlite3_column_text(stmt, 0);
        snprintf(said, size, "%s", text != NULL ? (const char *)text : "no answer");
    }
    sqlite3_finalize(stmt);
    return e;
}

/* Refuses the database of another program; marks a new one as ours, unless it is only read. */
static enum err check_owner(struct store_conn *conn, bool read_only, struct why *why)
{
    int64_t id = 0;
    int64_t objects = 0;
    enum err e = ask_i64(conn, "PRAGMA application_id", &id, why);
    if (e == OK) {
        e = ask_i64(conn, "SELECT count(*) FROM sqlite_schema", &objects, why);
    }
    if (e != OK || id == APPLICATION_ID) {
        return e;
    }
    if (id != 0 || objects > 0) {
        return why_set(why, ERR_CONFIG, "store.url", "%s is the database of another program.",
                       conn->path);
    }
    if (read_only) {
        return why_set(why, ERR_NOT_FOUND, "store.url", "There is no database at %s.", conn->path);
    }
    char sql[64];
    snprintf(sql, sizeof(sql), "PRAGMA application_id=%d", APPLICATION_ID);
    return sqlite_run_script(conn, sql, NULL, why);
}

static enum err quick_check(struct store_conn *conn, struct why *why)
{
    char said[200];
    enum err e = ask_text(conn, "PRAGMA quick_check(1)", said, sizeof(said), why);
    if (e == OK && strcmp(said, "ok") != 0) {
        e = why_set(why, ERR_CORRUPT, "store.url",
                    "The database %s is damaged (%s): restore a backup.", conn->path, said);
    }
    return e;
}

/* Whether the last owner ended without closing: then its write-ahead log is still there. */
static bool ended_badly(const struct store_conn *conn)
{
    char *wal_path = join(conn->path, "-wal");
    struct stat wal;
    bool left = stat(wal_path, &wal) == 0 && wal.st_size > 0;
    mem_free(wal_path);
    return left;
}

/* Reads every page of a database that is small or was not closed; otherwise only its header. */
static enum err check_whole(struct store_conn *conn, bool badly, struct why *why)
{
    struct stat file;
    int64_t version = 0;
    enum err e = ask_i64(conn, "PRAGMA schema_version", &version, why);
    if (e == OK && (badly || stat(conn->path, &file) != 0 || file.st_size <= QUICK_CHECK_MAX)) {
        e = quick_check(conn, why);
    }
    return e;
}

/* ---- opening ---- */

/*
 * Makes a database that is not there yet, so that only the owner may read it; SQLite gives its
 * other files the same mode. A file that is there must not be opened past SQLite: closing it would
 * drop the locks that this process has on it, whatever connection took them, and the next reader
 * of another process would believe to be alone and clear our write-ahead log away.
 */
static enum err make_file(struct store_conn *conn, struct why *why)
{
    int fd = open(conn->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd >= 0) {
        close(fd);
    } else if (errno != EEXIST) {
        return why_set(why, ERR_IO, "store.url", "The database %s cannot be opened: %s.",
                       conn->path, strerror(errno));
    }
    return OK;
}

static enum err open_file(struct store_conn *conn, struct why *why)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(conn->path, &conn->db, flags, NULL);
    return code == SQLITE_OK ? OK : sqlite_fail(conn, code, "open", why);
}

/* A path as SQLite reads it in a URI. */
static char *uri_of(struct arena *arena, const char *path, const char *options)
{
    struct buf uri;
    buf_init(&uri, arena, 256);
    buf_add_text(&uri, "file:");
    for (const char *c = path; *c != '\0'; c++) {
        if (strchr("%?#", *c) != NULL) {
            buf_format(&uri, "%%%02X", (unsigned)*c);
        } else {
            buf_add_byte(&uri, (uint8_t)*c);
        }
    }
    buf_add_text(&uri, options);
    return slice_cstr(arena, buf_slice(&uri));
}

/*
 * Opens so that nothing on the disk changes. Beside an owner, or after one that crashed, the index
 * of its log is read and not written (SQLite makes one in memory when that one is of no use). Where
 * nobody has the file and there is no log, there would be no index to read: the file alone is all.
 */
static enum err open_passive(struct store_conn *conn, const char *url, struct why *why)
{
    struct store_file file;
    struct arena scratch;
    enum err e = store_file_look(url, &file, why);
    if (e != OK) {
        return e;
    }
    bool alone = file.owner_pid == 0 && file.wal_bytes == 0;
    if (!alone && !file.has_index) {
        return why_set(why, ERR_DB_UNAVAILABLE, "store.url",
                       "The write-ahead log of %s was not read back yet.", conn->path);
    }
    arena_init(&scratch, 512);
    const char *uri =
        uri_of(&scratch, conn->path, alone ? "?mode=ro&immutable=1" : "?mode=ro&readonly_shm=1");
    int flags =
        SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(uri, &conn->db, flags, NULL);
    arena_free(&scratch);
    if (code != SQLITE_OK) {
        return sqlite_fail(conn, code, "open", why);
    }
    /* The last one to leave would write the log back. */
    code = sqlite3_db_config(conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return code == SQLITE_OK ? OK : sqlite_fail(conn, code, "open", why);
}

static enum err choose_wal(struct store_conn *conn, struct why *why)
{
    char mode[16];
    enum err e = ask_text(conn, "PRAGMA journal_mode=WAL", mode, sizeof(mode), why);
    if (e == OK && strcmp(mode, "wal") != 0) {
        e = why_set(why, ERR_IO, "store.url",
                    "The disk of %s cannot hold a database: it has no shared memory.", conn->path);
    }
    return e;
}

static enum err configure(struct store_conn *conn, const struct store_config *config,
                          bool for_writing, struct why *why)
{
    int64_t busy_msec = config->busy_usec / USEC_PER_MSEC;
    ASSERT(busy_msec >= 0 && busy_msec <= INT32_MAX);
    sqlite3_busy_timeout(conn->db, (int)busy_msec);
    /* A misspelt "column" is an error, not a string; nothing edits the schema behind our back. */
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* Who only reads leaves the write-ahead log to the owner. */
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !for_writing, NULL);

    bool normal = strcmp(config->synchronous, "normal") == 0;
    if (!normal && strcmp(config->synchronous, "full") != 0) {
        return why_set(why, ERR_CONFIG, "store.synchronous",
                       "store.synchronous must be full or normal.");
    }
    enum err e = for_writing ? choose_wal(conn, why) : OK;
    if (e == OK) {
        e = sqlite_run_script(
            conn, normal ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL", NULL, why);
    }
    if (e == OK) {
        e = sqlite_run_script(conn,
                              "PRAGMA foreign_keys=ON;"
                              "PRAGMA recursive_triggers=ON;"
                              "PRAGMA trusted_schema=OFF;"
                              "PRAGMA mmap_size=0;"
                              "PRAGMA temp_store=MEMORY;"
                              "PRAGMA journal_size_limit=67108864",
                              NULL, why);
    }
    if (e == OK && !for_writing) {
        e = sqlite_run_script(conn, "PRAGMA query_only=ON", NULL, why);
    }
    return e;
}

static void sqlite_close(struct store_conn *conn)
{
    sqlite_cache_free(conn);
    ASSERT(sqlite3_close(conn->db) == SQLITE_OK);
    if (conn->lock_fd >= 0) {
        close(conn->lock_fd);
    }
    mem_free(conn->path);
    mem_free(conn);
}

/* Opens and checks as the one owner of the file. */
static enum err open_writer(struct store_conn *conn, const struct store_config *config,
                            struct why *why)
{
    enum err e = make_folders(conn->path, why);
    if (e == OK) {
        e = take_lock(conn, why);
    }
    bool badly = ended_badly(conn);
    if (e == OK) {
        e = make_file(conn, why);
    }
    if (e == OK) {
        e = open_file(conn, why);
    }
    if (e == OK) {
        e = configure(conn, config, true, why);
    }
    if (e == OK) {
        e = check_owner(conn, false, why);
    }
    return e == OK ? check_whole(conn, badly, why) : e;
}

/* Opens to write between the transactions of the owner, if there is one. */
static enum err open_beside(struct store_conn *conn, const struct store_config *config,
                            struct why *why)
{
    if (access(conn->path, F_OK) != 0) {
        return why_set(why, ERR_NOT_FOUND, "store.url", "There is no database at %s.", conn->path);
    }
    enum err e = open_file(conn, why);
    if (e == OK) {
        e = configure(conn, config, true, why);
    }
    return e == OK ? check_owner(conn, true, why) : e;
}

/* Opens beside the writer of this process or, read only, beside the owner of another. */
static enum err open_reader(struct store_conn *conn, const struct store_config *config,
                            struct why *why)
{
    if (config->read_only && access(conn->path, F_OK) != 0) {
        return why_set(why, ERR_NOT_FOUND, "store.url", "There is no database at %s.", conn->path);
    }
    enum err e = config->passive ? open_passive(conn, config->url, why) : open_file(conn, why);
    if (e == OK) {
        e = configure(conn, config, false, why);
    }
    return e == OK && config->read_only ? check_owner(conn, true, why) : e;
}

static enum err sqlite_open(struct store_conn **out, const struct store_config *config,
                            const struct store_catalog *catalog, bool for_writing, struct why *why)
{
    struct store_conn *conn = mem_alloc(sizeof(*conn));
    conn->lock_fd = -1;
    conn->cache_len = catalog->statement_count;
    conn->cache = mem_alloc((conn->cache_len + 1) * sizeof(conn->cache[0]));
    enum err e = parse_path(config->url, &conn->path, why);
    if (e == OK && for_writing) {
        e = config->beside ? open_beside(conn, config, why) : open_writer(conn, config, why);
    } else if (e == OK) {
        e = open_reader(conn, config, why);
    }
    if (e != OK) {
        sqlite_close(conn);
        return e;
    }
    *out = conn;
    return OK;
}

static const char *sqlite_up(const struct store_migration *m)
{
    return m->up_sqlite;
}

static const char *sqlite_down(const struct store_migration *m)
{
    return m->down_sqlite;
}

const struct store_driver store_driver_sqlite = {
    .name = "sqlite",
    .single_writer = true,
    .open = sqlite_open,
    .close = sqlite_close,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .in_tx = sqlite_in_tx,
    .savepoint = sqlite_savepoint,
    .release = sqlite_release,
    .rollback_to = sqlite_rollback_to,
    .query_begin = sqlite_query_begin,
    .query_bind = sqlite_query_bind,
    .query_row = sqlite_query_row,
    .query_step = sqlite_query_step,
    .query_get = sqlite_query_get,
    .query_changed = sqlite_query_changed,
    .query_end = sqlite_query_end,
    .run_script = sqlite_run_script,
    .up = sqlite_up,
    .down = sqlite_down,
};
