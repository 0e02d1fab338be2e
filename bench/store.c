/*
 * Measures the statement layer beside the client library of the same database. bench/store.mjs runs
 * it and makes the table.
 *
 *     store WAY HOW URL COUNT
 *
 * measures one cell in an empty database. HOW is `layer` (kernel/store) or
 * `raw` (libpq or SQLite as one would write it for this one table: what is prepared is prepared,
 * text is made for each row as the layer's callers do). WAY is
 *
 *     load     COUNT rows in one transaction: COPY, prepared inserts on SQLite
 *     set      the same by INSERT ... ON CONFLICT DO NOTHING over arrays (raw: 500 rows of VALUES)
 *     each     the same by one statement a row, pipelined
 *     single   the same by one statement a row, waiting for each
 *     event    COUNT events of a chain in one transaction, in their partitions on PostgreSQL
 *     read     COUNT reads by key, each in a snapshot of its own, on one thread
 *     commit   COUNT changes of a row of its own, each on the disk, by one thread
 *     commit8  the same by eight threads
 *
 * Prints one line of JSON: rows a second, CPU of this process.
 */
#include <pthread.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/chain/chain_sql.h"
#include "kernel/store/store_partition.h"
#include "unit/kernel/store/sample/sample_all.c"
#include "unit/kernel/store/sample/sample_sql.c"

#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else
#include <postgresql/libpq-fe.h> /* where Debian keeps it */
#endif

#define THREADS 8
#define FIELDS 10
#define VALUES_ROWS 500
#define EPOCH_USEC 946684800000000ll

struct bench {
    const char *way;
    bool layer;
    bool postgres;
    const char *url;
    uint64_t count;
    size_t threads;
    struct store *store;
};

static struct bench b;

static _Noreturn void give_up(const char *doing, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", doing, why);
    exit(1);
}

static void must(enum err e, const char *doing, const struct why *why)
{
    if (e != OK) {
        give_up(doing, why_text(why, e));
    }
}

/* ---- a row: 186 bytes of values or so, as an event of a chain has ---- */

struct item {
    char name[32];
    char payload[64];
    uint8_t raw[16];
    uint8_t digest[32];
    uint8_t owner[20];
    uint64_t amount;
    int64_t at_usec;
};

static void make_item(uint64_t number, struct item *out)
{
    snprintf(out->name, sizeof(out->name), "transfer/%010llu", (unsigned long long)number);
    snprintf(out->payload, sizeof(out->payload), "{\"from\": %llu, \"amount\": \"%llu\"}",
             (unsigned long long)number, (unsigned long long)number * 1000003);
    memset(out->raw, (int)number, sizeof(out->raw));
    memset(out->digest, (int)(number >> 3), sizeof(out->digest));
    memcpy(out->digest, &number, sizeof(number));
    memset(out->owner, (int)(number >> 5), sizeof(out->owner));
    out->amount = number * 1000003;
    out->at_usec = 1793337600000000 + (int64_t)number;
}

/* ---- the layer ---- */

static void bind_item(struct store_query *q, const struct item *item)
{
    store_bind_text(q, "name", slice_text(item->name));
    store_bind_json(q, "payload", slice_text(item->payload));
    store_bind_bytes(q, "raw", slice_of(item->raw, sizeof(item->raw)));
    store_bind_bytes(q, "digest", slice_of(item->digest, sizeof(item->digest)));
    store_bind_bytes(q, "owner", slice_of(item->owner, sizeof(item->owner)));
    store_bind_u256(q, "amount", u256_from_u64(item->amount));
    store_bind_time(q, "at", item->at_usec);
    store_bind_bool(q, "done", true);
    store_bind_i64(q, "score", 7);
    store_bind_null(q, "parent");
}

static enum err layer_rows(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct store_statement *statement = ctx;
    struct arena scratch;
    struct store_query q;
    struct item item;
    arena_init(&scratch, 0);
    store_begin_rows(&q, tx, statement);
    for (uint64_t i = 0; i < b.count; i++) {
        make_item(i, &item);
        bind_item(&q, &item);
        store_row(&q);
    }
    while (statement->column_count > 0 && store_step(&q)) {
        store_ignore(&q, "id");
        if (statement->column_count > 1) {
            store_ignore(&q, "name");
        }
    }
    arena_free(&scratch);
    return store_finish(&q, NULL, why);
}

static enum err layer_single(struct store_tx *tx, void *ctx, struct why *why)
{
    struct item item;
    enum err e = OK;
    (void)ctx;
    for (uint64_t i = 0; e == OK && i < b.count; i++) {
        struct store_query q;
        make_item(i, &item);
        store_begin(&q, tx, &sample_sql_item_add);
        bind_item(&q, &item);
        if (store_step(&q)) {
            store_ignore(&q, "id");
        }
        e = store_finish(&q, NULL, why);
    }
    return e;
}

static enum err layer_events(struct store_tx *tx, void *ctx, struct why *why)
{
    struct item item;
    struct store_query q;
    (void)ctx;
    store_begin_rows(&q, tx, &chain_sql_event_insert);
    for (uint64_t i = 0; i < b.count; i++) {
        make_item(i, &item);
        store_bind_i64(&q, "chain_id", 1);
        store_bind_i64(&q, "block_number", (int64_t)(i / 100));
        store_bind_i64(&q, "log_index", (int64_t)(i % 100));
        store_bind_bytes(&q, "block_hash", slice_of(item.digest, 32));
        store_bind_bytes(&q, "transaction_hash", slice_of(item.digest, 32));
        store_bind_bytes(&q, "contract_address", slice_of(item.owner, 20));
        store_bind_text(&q, "event_type", SLICE_LIT("Transfer"));
        store_bind_json(&q, "event_data", slice_text(item.payload));
        store_bind_bool(&q, "processed", true);
        store_bind_null(&q, "error");
        store_bind_time(&q, "now", clock_wall_usec());
        store_row(&q);
    }
    return store_finish(&q, NULL, why);
}

struct counter {
    pthread_t thread;
    char name[16];
    uint64_t count;
};

static enum err layer_add(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct counter *c = ctx;
    struct store_query q;
    store_begin(&q, tx, &sample_sql_counter_add);
    store_bind_text(&q, "name", slice_text(c->name));
    store_bind_i64(&q, "step", 1);
    if (store_step(&q)) {
        store_ignore(&q, "value");
    }
    return store_finish(&q, NULL, why);
}

static enum err layer_get(struct store_tx *tx, void *ctx, struct why *why)
{
    int64_t *value = ctx;
    struct store_query q;
    store_begin(&q, tx, &sample_sql_counter_get);
    store_bind_text(&q, "name", SLICE_LIT("c0"));
    if (store_step(&q)) {
        *value = store_get_i64(&q, "value");
    }
    return store_finish(&q, NULL, why);
}

static void *layer_commits(void *arg)
{
    struct counter *c = arg;
    struct why why = {0};
    for (uint64_t i = 0; i < c->count; i++) {
        must(store_write(b.store, layer_add, c, &why), "commit", &why);
    }
    return NULL;
}

/* ---- libpq ---- */

static PGconn *pg_connect(void)
{
    PGconn *pq = PQconnectdb(b.url);
    if (PQstatus(pq) != CONNECTION_OK) {
        give_up("connect", PQerrorMessage(pq));
    }
    return pq;
}

static void pg_check(PGconn *pq, PGresult *result, const char *doing)
{
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_COPY_IN) {
        give_up(doing, PQerrorMessage(pq));
    }
    PQclear(result);
}

static void put(uint8_t **at, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        (*at)[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    }
    *at += len;
}

static void put_field(uint8_t **at, const void *bytes, size_t len)
{
    put(at, len, 4);
    memcpy(*at, bytes, len);
    *at += len;
}

/* NUMERIC in groups of four digits. */
static void put_amount(uint8_t **at, uint64_t amount)
{
    uint16_t groups[8];
    size_t count = 0;
    for (uint64_t rest = amount; rest > 0; rest /= 10000) {
        groups[count++] = (uint16_t)(rest % 10000);
    }
    put(at, 8 + 2 * count, 4);
    put(at, count, 2);
    put(at, count > 0 ? count - 1 : 0, 2);
    put(at, 0, 4);
    while (count > 0) {
        put(at, groups[--count], 2);
    }
}

/* Writes the fields of a row in binary form, each behind its length. */
static void put_item(uint8_t **at, const struct item *item)
{
    char json[72];
    int json_len = snprintf(json, sizeof(json), "\x01%s", item->payload);
    put_field(at, item->name, strlen(item->name));
    put_field(at, json, (size_t)json_len);
    put_field(at, item->raw, sizeof(item->raw));
    put_field(at, item->digest, sizeof(item->digest));
    put_field(at, item->owner, sizeof(item->owner));
    put_amount(at, item->amount);
    put(at, 8, 4);
    put(at, (uint64_t)(item->at_usec - EPOCH_USEC), 8);
    put(at, 1, 4);
    put(at, 1, 1);
    put(at, 8, 4);
    put(at, 7, 8);
    put(at, UINT32_MAX, 4);
}

static const char columns[] = "name, payload, raw, digest, owner, amount, at, done, score, parent";

static void put_event(uint8_t **at, const struct item *item, uint64_t number)
{
    char json[72];
    int json_len = snprintf(json, sizeof(json), "\x01%s", item->payload);
    const uint64_t numbers[] = {1, number / 100, number % 100};
    for (size_t i = 0; i < 3; i++) {
        put(at, 8, 4);
        put(at, numbers[i], 8);
    }
    put_field(at, item->digest, 32);
    put_field(at, item->digest, 32);
    put_field(at, item->owner, 20);
    put_field(at, "Transfer", 8);
    put_field(at, json, (size_t)json_len);
    put(at, 1, 4);
    put(at, 1, 1);
    put(at, UINT32_MAX, 4);
    put(at, 8, 4);
    put(at, (uint64_t)(clock_wall_usec() - EPOCH_USEC), 8);
}

static void pg_copy(PGconn *pq, bool events)
{
    static uint8_t chunk[1 << 16];
    static const char head[19] = "PGCOPY\n\377\r\n";
    uint8_t *at = chunk;
    char sql[256];
    snprintf(sql, sizeof(sql), "COPY %s (%s) FROM STDIN (FORMAT binary)",
             events ? "blockchain_events" : "items",
             events ? "chain_id, block_number, log_index, block_hash, transaction_hash,"
                      " contract_address, event_type, event_data, processed, error, created_at"
                    : columns);
    pg_check(pq, PQexec(pq, sql), "copy");
    memcpy(at, head, sizeof(head));
    at += sizeof(head);
    for (uint64_t i = 0; i < b.count; i++) {
        struct item item;
        make_item(i, &item);
        put(&at, events ? 11 : FIELDS, 2);
        if (events) {
            put_event(&at, &item, i);
        } else {
            put_item(&at, &item);
        }
        if (sizeof(chunk) - (size_t)(at - chunk) < 1024) {
            PQputCopyData(pq, (const char *)chunk, (int)(at - chunk));
            at = chunk;
        }
    }
    put(&at, UINT16_MAX, 2);
    PQputCopyData(pq, (const char *)chunk, (int)(at - chunk));
    PQputCopyEnd(pq, NULL);
    pg_check(pq, PQgetResult(pq), "copy");
    PQclear(PQgetResult(pq));
}

/* Points at the fields of a row that put_item wrote. */
static void split(const uint8_t *at, const char **values, int *lengths)
{
    for (size_t i = 0; i < FIELDS; i++) {
        int len =
            (int)((unsigned)at[0] << 24 | (unsigned)at[1] << 16 | (unsigned)at[2] << 8 | at[3]);
        values[i] = len >= 0 ? (const char *)at + 4 : NULL;
        lengths[i] = len;
        at += 4 + (len > 0 ? len : 0);
    }
}

/* INSERT with `rows` tuples of parameters. */
static void pg_prepare(PGconn *pq, uint64_t rows)
{
    static char sql[64 * FIELDS * VALUES_ROWS];
    size_t len = (size_t)snprintf(sql, sizeof(sql), "INSERT INTO items (%s) VALUES ", columns);
    for (uint64_t i = 0; i < rows; i++) {
        static const char *const types[FIELDS] = {"text",   "jsonb",   "bytea",       "bytea",
                                                  "bytea",  "numeric", "timestamptz", "boolean",
                                                  "bigint", "bigint"};
        for (size_t f = 0; f < FIELDS; f++) {
            len += (size_t)snprintf(sql + len, sizeof(sql) - len, "%s$%zu::%s",
                                    f > 0   ? ", "
                                    : i > 0 ? ", ("
                                            : "(",
                                    i * FIELDS + f + 1, types[f]);
        }
        len += (size_t)snprintf(sql + len, sizeof(sql) - len, ")");
    }
    snprintf(sql + len, sizeof(sql) - len, rows > 1 ? " ON CONFLICT (name) DO NOTHING" : "");
    pg_check(pq, PQprepare(pq, "add", sql, 0, NULL), "prepare");
}

static void pg_insert(PGconn *pq, uint64_t rows, bool pipelined)
{
    static uint8_t bytes[VALUES_ROWS][512];
    static const char *values[FIELDS * VALUES_ROWS];
    static int lengths[FIELDS * VALUES_ROWS];
    static int formats[FIELDS * VALUES_ROWS];
    for (size_t i = 0; i < FIELDS * VALUES_ROWS; i++) {
        formats[i] = 1;
    }
    pg_prepare(pq, rows);
    uint64_t waiting = 0;
    if (pipelined) {
        PQenterPipelineMode(pq);
    }
    for (uint64_t i = 0; i < b.count; i += rows) {
        for (uint64_t r = 0; r < rows; r++) {
            struct item item;
            uint8_t *at = bytes[r];
            make_item(i + r, &item);
            put_item(&at, &item);
            split(bytes[r], values + r * FIELDS, lengths + r * FIELDS);
        }
        if (!pipelined) {
            pg_check(pq,
                     PQexecPrepared(pq, "add", (int)(rows * FIELDS), values, lengths, formats, 1),
                     "insert");
            continue;
        }
        PQsendQueryPrepared(pq, "add", (int)(rows * FIELDS), values, lengths, formats, 1);
        if (++waiting == 1000 || i + rows == b.count) {
            PQpipelineSync(pq);
            for (; waiting > 0; waiting--) {
                pg_check(pq, PQgetResult(pq), "insert");
                PQclear(PQgetResult(pq));
            }
            PQclear(PQgetResult(pq)); /* of the sync */
        }
    }
    if (pipelined) {
        PQexitPipelineMode(pq);
    }
}

static void *pg_commits(void *arg)
{
    struct counter *c = arg;
    PGconn *pq = pg_connect();
    const char *name = c->name;
    pg_check(pq,
             PQprepare(pq, "add",
                       "INSERT INTO counters (name, value) VALUES ($1, 1) ON CONFLICT (name)"
                       " DO UPDATE SET value = counters.value + 1 RETURNING value",
                       0, NULL),
             "prepare");
    for (uint64_t i = 0; i < c->count; i++) {
        pg_check(pq, PQexec(pq, "BEGIN ISOLATION LEVEL SERIALIZABLE"), "begin");
        pg_check(pq, PQexecPrepared(pq, "add", 1, &name, NULL, NULL, 1), "add");
        pg_check(pq, PQexec(pq, "COMMIT"), "commit");
    }
    PQfinish(pq);
    return NULL;
}

static void pg_reads(PGconn *pq)
{
    const char *name = "c0";
    pg_check(pq, PQprepare(pq, "get", "SELECT value FROM counters WHERE name = $1", 0, NULL),
             "prepare");
    for (uint64_t i = 0; i < b.count; i++) {
        pg_check(pq, PQexec(pq, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"), "begin");
        pg_check(pq, PQexecPrepared(pq, "get", 1, &name, NULL, NULL, 1), "get");
        pg_check(pq, PQexec(pq, "ROLLBACK"), "rollback");
    }
}

static void pg_raw(void)
{
    PGconn *pq = pg_connect();
    if (strcmp(b.way, "read") == 0) {
        pg_reads(pq);
    } else {
        pg_check(pq, PQexec(pq, "BEGIN ISOLATION LEVEL SERIALIZABLE"), "begin");
        if (strcmp(b.way, "load") == 0 || strcmp(b.way, "event") == 0) {
            pg_copy(pq, b.way[0] == 'e');
        } else {
            pg_insert(pq, strcmp(b.way, "set") == 0 ? VALUES_ROWS : 1, strcmp(b.way, "each") == 0);
        }
        pg_check(pq, PQexec(pq, "COMMIT"), "commit");
    }
    PQfinish(pq);
}

/* ---- SQLite ---- */

static void lite_check(sqlite3 *db, int code, const char *doing)
{
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) {
        give_up(doing, sqlite3_errmsg(db));
    }
}

static sqlite3 *lite_open(void)
{
    sqlite3 *db = NULL;
    lite_check(db, sqlite3_open(b.url + strlen("sqlite:"), &db), "open");
    lite_check(db,
               sqlite3_exec(db,
                            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                            "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY",
                            NULL, NULL, NULL),
               "configure");
    sqlite3_busy_timeout(db, 120000);
    return db;
}

static sqlite3_stmt *lite_prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    lite_check(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL), sql);
    return stmt;
}

static void lite_rows(sqlite3 *db, bool events)
{
    char digits[80];
    const struct store_statement *s = events                       ? &chain_sql_event_insert
                                      : strcmp(b.way, "set") == 0  ? &sample_sql_items_set
                                      : strcmp(b.way, "load") == 0 ? &sample_sql_items_load
                                                                   : &sample_sql_item_add;
    sqlite3_stmt *stmt = lite_prepare(db, s->sqlite);
    for (uint64_t i = 0; i < b.count; i++) {
        struct item item;
        int at = 1;
        make_item(i, &item);
        if (events) {
            sqlite3_bind_int64(stmt, at++, 1);
            sqlite3_bind_int64(stmt, at++, (int64_t)(i / 100));
            sqlite3_bind_int64(stmt, at++, (int64_t)(i % 100));
            sqlite3_bind_blob(stmt, at++, item.digest, 32, SQLITE_STATIC);
            sqlite3_bind_blob(stmt, at++, item.digest, 32, SQLITE_STATIC);
            sqlite3_bind_blob(stmt, at++, item.owner, 20, SQLITE_STATIC);
            sqlite3_bind_text(stmt, at++, "Transfer", 8, SQLITE_STATIC);
            sqlite3_bind_text(stmt, at++, item.payload, -1, SQLITE_STATIC);
            sqlite3_bind_int64(stmt, at++, 1);
            sqlite3_bind_null(stmt, at++);
            sqlite3_bind_int64(stmt, at++, clock_wall_usec());
        } else {
            snprintf(digits, sizeof(digits), "%078llu", (unsigned long long)item.amount);
            sqlite3_bind_text(stmt, at++, item.name, -1, SQLITE_STATIC);
            sqlite3_bind_text(stmt, at++, item.payload, -1, SQLITE_STATIC);
            sqlite3_bind_blob(stmt, at++, item.raw, sizeof(item.raw), SQLITE_STATIC);
            sqlite3_bind_blob(stmt, at++, item.digest, 32, SQLITE_STATIC);
            sqlite3_bind_blob(stmt, at++, item.owner, 20, SQLITE_STATIC);
            sqlite3_bind_text(stmt, at++, digits, 78, SQLITE_STATIC);
            sqlite3_bind_int64(stmt, at++, item.at_usec);
            sqlite3_bind_int64(stmt, at++, 1);
            sqlite3_bind_int64(stmt, at++, 7);
            sqlite3_bind_null(stmt, at++);
        }
        int code = sqlite3_step(stmt);
        while (code == SQLITE_ROW) {
            code = sqlite3_step(stmt);
        }
        lite_check(db, code, "insert");
        sqlite3_reset(stmt);
    }
    sqlite3_finalize(stmt);
}

static void *lite_commits(void *arg)
{
    struct counter *c = arg;
    sqlite3 *db = lite_open();
    sqlite3_stmt *stmt = lite_prepare(db, "INSERT INTO counters (name, value) VALUES (?1, 1) ON"
                                          " CONFLICT (name) DO UPDATE SET value = value + 1");
    for (uint64_t i = 0; i < c->count; i++) {
        lite_check(db, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), "begin");
        sqlite3_bind_text(stmt, 1, c->name, -1, SQLITE_STATIC);
        lite_check(db, sqlite3_step(stmt), "add");
        sqlite3_reset(stmt);
        lite_check(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), "commit");
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return NULL;
}

static void lite_raw(void)
{
    sqlite3 *db = lite_open();
    if (strcmp(b.way, "read") == 0) {
        sqlite3_stmt *stmt = lite_prepare(db, "SELECT value FROM counters WHERE name = ?1");
        for (uint64_t i = 0; i < b.count; i++) {
            sqlite3_bind_text(stmt, 1, "c0", -1, SQLITE_STATIC);
            lite_check(db, sqlite3_step(stmt), "get");
            sqlite3_reset(stmt);
        }
        sqlite3_finalize(stmt);
    } else {
        lite_check(db, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), "begin");
        lite_rows(db, strcmp(b.way, "event") == 0);
        lite_check(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), "commit");
    }
    sqlite3_close(db);
}

/* ---- one cell ---- */

static void run_commits(void *(*fn)(void *))
{
    struct counter counters[THREADS];
    for (size_t i = 0; i < b.threads; i++) {
        counters[i].count = b.count / b.threads;
        snprintf(counters[i].name, sizeof(counters[i].name), "c%zu", i);
        if (pthread_create(&counters[i].thread, NULL, fn, &counters[i]) != 0) {
            give_up("thread", "cannot be started");
        }
    }
    for (size_t i = 0; i < b.threads; i++) {
        pthread_join(counters[i].thread, NULL);
    }
}

static void run_layer(void)
{
    struct why why = {0};
    enum err e = OK;
    if (strcmp(b.way, "read") == 0) {
        int64_t value = 0;
        for (uint64_t i = 0; e == OK && i < b.count; i++) {
            e = store_read(b.store, layer_get, &value, &why);
        }
    } else if (strcmp(b.way, "event") == 0) {
        e = store_write(b.store, layer_events, NULL, &why);
    } else if (strcmp(b.way, "single") == 0) {
        e = store_write(b.store, layer_single, NULL, &why);
    } else {
        const struct store_statement *s = strcmp(b.way, "load") == 0  ? &sample_sql_items_load
                                          : strcmp(b.way, "set") == 0 ? &sample_sql_items_set
                                                                      : &sample_sql_item_add;
        e = store_write(b.store, layer_rows, (void *)(uintptr_t)s, &why);
    }
    must(e, b.way, &why);
}

static void open_store(void)
{
    const struct store_catalog *catalog =
        strcmp(b.way, "event") == 0 ? &sql_catalog : &sample_catalog;
    const struct store_config config = {.url = b.url,
                                        .readers = 4,
                                        .writers = THREADS,
                                        .busy_usec = 5000000,
                                        .connect_usec = 5000000,
                                        .batch_max = 256,
                                        .synchronous = "full"};
    struct why why = {0};
    struct store_version version;
    struct store_partitions_done done;
    struct counter first = {.name = "c0"};
    must(store_open(&b.store, &config, catalog, &why), "open", &why);
    must(store_version_read(b.store, &version, &why), "version", &why);
    must(store_migrate(b.store, version.known, &why), "migrate", &why);
    must(store_partitions_keep(b.store, &done, &why), "partitions", &why);
    if (catalog == &sample_catalog) {
        must(store_write(b.store, layer_add, &first, &why), "first", &why);
    }
}

static int64_t cpu_usec(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * (int64_t)USEC_PER_SEC +
           used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        give_up("usage", "store WAY layer|raw URL COUNT");
    }
    b = (struct bench){.way = argv[1],
                       .layer = strcmp(argv[2], "layer") == 0,
                       .postgres = strncmp(argv[3], "postgres", 8) == 0,
                       .url = argv[3],
                       .count = strtoull(argv[4], NULL, 10)};
    bool commits = strncmp(b.way, "commit", 6) == 0;
    b.threads = strcmp(b.way, "commit8") == 0 ? THREADS : 1;
    open_store();
    if (!b.layer) {
        store_close(b.store); /* it made the tables */
        b.store = NULL;
    }
    int64_t start = clock_mono_usec();
    int64_t cpu = cpu_usec();
    if (commits) {
        run_commits(b.layer ? layer_commits : b.postgres ? pg_commits : lite_commits);
    } else if (b.layer) {
        run_layer();
    } else if (b.postgres) {
        pg_raw();
    } else {
        lite_raw();
    }
    cpu = cpu_usec() - cpu;
    double seconds = (double)(clock_mono_usec() - start) / USEC_PER_SEC;
    printf("{\"perSecond\":%.1f,\"cpuUsec\":%.3f}\n", (double)b.count / seconds,
           (double)cpu / (double)b.count);
    store_close(b.store);
    return 0;
}
