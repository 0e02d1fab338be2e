/*
 * Measures transfers a second: of the ledger, and of the two-column table that a program without a
 * ledger would have, on the same database. bench/ledger.mjs runs it and makes the table.
 *
 *     ledger WHO URL THREADS BATCH hot|spread SECONDS
 *
 * WHO is `ledger` (BATCH linked transfers in one call, one transaction), `calls` (BATCH calls of
 * one transfer in one transaction) or `naive` (BATCH times two UPDATEs and an INSERT in one
 * transaction, prepared, at the database's default isolation). The database must be empty for the
 * first WHO and may be the same for the next. `hot`: every transfer takes from one account;
 * `spread`: both accounts are any of ACCOUNTS. Each thread draws its own transfers; every commit is
 * on the disk before the next begins. The books are audited at the end. Prints one line of JSON.
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else
#include <postgresql/libpq-fe.h> /* where Debian keeps it */
#endif

#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/rand.h"
#include "kernel/ledger/ledger.h"

#define ACCOUNTS 10000
#define THREADS_MAX 64
#define BATCH_MAX 1000
#define FUND 1000000000

struct bench {
    const char *who;
    const char *url;
    size_t threads;
    size_t batch;
    bool hot;
    int64_t until_usec;
    struct store *store;
    bool postgres;
    uint64_t run; /* makes ids of this run its own */
};

struct worker {
    pthread_t thread;
    struct bench *bench;
    size_t number;
    uint64_t seed;
    uint64_t made; /* numbers its ids */
    uint64_t transfers;
    uint64_t again; /* transactions that the database made the naive one repeat */
    int64_t *usec;  /* of each transaction */
    size_t count;
    size_t cap;
    PGconn *pq;
    sqlite3 *db;
    sqlite3_stmt *statements[3];
};

struct pick {
    unsigned debit;
    unsigned credit;
};

static void die(const char *what, const char *detail)
{
    (void)fprintf(stderr, "ledger: %s: %s\n", what, detail);
    _exit(1);
}

/* splitmix64: rand_below is one lock for all threads. */
static unsigned draw(struct worker *w, unsigned below)
{
    uint64_t z = (w->seed += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (unsigned)((z ^ (z >> 31)) % below);
}

static struct pick draw_pick(struct worker *w)
{
    struct pick p = {.debit = w->bench->hot ? 0 : draw(w, ACCOUNTS)};
    p.credit = draw(w, ACCOUNTS - 1);
    p.credit += p.credit >= p.debit;
    return p;
}

/* ---- the ledger ---- */

struct call {
    struct worker *worker;
    struct arena arena;
    struct ledger_transfer transfers[BATCH_MAX];
    size_t count;
    bool linked;
};

static struct slice account_name(struct arena *arena, unsigned number)
{
    return slice_format(arena, "bench/account/%u", number);
}

static enum err post_call(struct store_tx *tx, void *ctx, struct why *why)
{
    struct call *c = ctx;
    if (c->linked) {
        return ledger_post(tx, c->transfers, c->count, why);
    }
    enum err e = OK;
    for (size_t i = 0; e == OK && i < c->count; i++) {
        e = ledger_post(tx, &c->transfers[i], 1, why);
    }
    return e;
}

static void post_or_die(struct bench *b, struct call *c)
{
    struct why why = {0};
    enum err e = store_write(b->store, post_call, c, &why);
    if (e != OK) {
        die("post", why_text(&why, e));
    }
}

static void build_call(struct call *c)
{
    struct worker *w = c->worker;
    arena_clear(&c->arena);
    for (size_t i = 0; i < c->count; i++) {
        struct pick p = draw_pick(w);
        c->transfers[i] = (struct ledger_transfer){
            .id = slice_format(&c->arena, "bench/%llx/%zu/%llu", (unsigned long long)w->bench->run,
                               w->number, (unsigned long long)w->made++),
            .book = SLICE_LIT("bench"),
            .debit = account_name(&c->arena, p.debit),
            .credit = account_name(&c->arena, p.credit),
            .debit_flags = LEDGER_NO_OVERDRAFT,
            .credit_flags = LEDGER_NO_OVERDRAFT,
            .amount = u256_from_u64(1),
            .kind = SLICE_LIT("bench.moved"),
            .cause = SLICE_LIT("bench"),
        };
    }
}

static void note(struct worker *w, int64_t usec)
{
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 4096 : 2 * w->cap;
        w->usec = mem_resize(w->usec, w->cap * sizeof(w->usec[0]));
    }
    w->usec[w->count++] = usec;
    w->transfers += w->bench->batch;
}

static void run_ledger(struct worker *w)
{
    struct call *c = mem_alloc(sizeof(*c));
    *c = (struct call){
        .worker = w, .count = w->bench->batch, .linked = strcmp(w->bench->who, "ledger") == 0};
    arena_init(&c->arena, 0);
    while (clock_mono_usec() < w->bench->until_usec) {
        build_call(c);
        int64_t begun = clock_mono_usec();
        post_or_die(w->bench, c);
        note(w, clock_mono_usec() - begun);
    }
    arena_free(&c->arena);
    mem_free(c);
}

/* Opens every account with money, unless an earlier run did. */
static void fund(struct bench *b)
{
    struct call *c = mem_alloc(sizeof(*c));
    *c = (struct call){.linked = true, .count = BATCH_MAX};
    arena_init(&c->arena, 0);
    for (unsigned first = 0; first < ACCOUNTS; first += BATCH_MAX) {
        arena_clear(&c->arena);
        for (unsigned i = 0; i < BATCH_MAX; i++) {
            c->transfers[i] = (struct ledger_transfer){
                .id = slice_format(&c->arena, "bench/fund/%u", first + i),
                .book = SLICE_LIT("bench"),
                .debit = SLICE_LIT("bench/mint"),
                .credit = account_name(&c->arena, first + i),
                .credit_flags = LEDGER_NO_OVERDRAFT,
                .amount = u256_from_u64(FUND),
                .kind = SLICE_LIT("bench.funded"),
                .cause = SLICE_LIT("bench"),
            };
        }
        post_or_die(b, c);
    }
    arena_free(&c->arena);
    mem_free(c);
}

static enum err audit_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    return ledger_audit(tx, NULL, NULL, ctx, why);
}

static void open_ledger(struct bench *b)
{
    struct store_config config = {.url = b->url,
                                  .readers = 2,
                                  .writers = b->threads,
                                  .busy_usec = 30000000,
                                  .connect_usec = 5000000,
                                  .statement_usec = 600000000,
                                  .batch_max = 256,
                                  .synchronous = "full"};
    struct why why = {0};
    struct store_version version;
    enum err e = store_open(&b->store, &config, &sql_catalog, &why);
    if (e == OK) {
        e = store_version_read(b->store, &version, &why);
    }
    if (e == OK) {
        e = store_migrate(b->store, version.known, &why);
    }
    if (e != OK) {
        die(b->url, why_text(&why, e));
    }
    fund(b);
}

static void audit_or_die(struct bench *b)
{
    struct ledger_report report;
    struct why why = {0};
    enum err e = store_read(b->store, audit_fn, &report, &why);
    if (e != OK || report.first != LEDGER_SOUND) {
        die("audit", e != OK ? why_text(&why, e) : ledger_finding_text(report.first));
    }
}

/* ---- two columns, PostgreSQL ---- */

static PGresult *ask(struct worker *w, const char *name, int count, const char *const *values)
{
    return PQexecPrepared(w->pq, name, count, values, NULL, NULL, 0);
}

static bool done(PGresult *result)
{
    bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!ok) {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        if (state == NULL || strcmp(state, "40P01") != 0) { /* a deadlock is tried again */
            die("naive", PQresultErrorMessage(result));
        }
    }
    PQclear(result);
    return ok;
}

static bool naive_pg_once(struct worker *w, const struct pick *picks)
{
    bool ok = done(PQexec(w->pq, "BEGIN"));
    for (size_t i = 0; ok && i < w->bench->batch; i++) {
        char debit[16];
        char credit[16];
        char id[64];
        snprintf(debit, sizeof(debit), "%u", picks[i].debit);
        snprintf(credit, sizeof(credit), "%u", picks[i].credit);
        snprintf(id, sizeof(id), "%llx/%zu/%llu", (unsigned long long)w->bench->run, w->number,
                 (unsigned long long)w->made++);
        const char *const values[] = {id, debit, credit};
        /* In the order of the accounts, so that single transfers never deadlock. */
        bool swap = picks[i].credit < picks[i].debit;
        ok = done(ask(w, swap ? "give" : "take", 1, swap ? &values[2] : &values[1])) &&
             done(ask(w, swap ? "take" : "give", 1, swap ? &values[1] : &values[2])) &&
             done(ask(w, "keep", 3, values));
    }
    done(PQexec(w->pq, ok ? "COMMIT" : "ROLLBACK"));
    return ok;
}

static const char *const naive_statements[][2] = {
    {"take", "UPDATE naive_accounts SET balance = balance - 1 WHERE id = $1::bigint"},
    {"give", "UPDATE naive_accounts SET balance = balance + 1 WHERE id = $1::bigint"},
    {"keep", "INSERT INTO naive_transfers (id, debit, credit, amount, created) "
             "VALUES ($1, $2::bigint, $3::bigint, 1, now())"},
};

static void naive_pg_connect(struct worker *w)
{
    w->pq = PQconnectdb(w->bench->url);
    if (PQstatus(w->pq) != CONNECTION_OK) {
        die("naive", PQerrorMessage(w->pq));
    }
    for (size_t i = 0; i < 3; i++) {
        done(PQprepare(w->pq, naive_statements[i][0], naive_statements[i][1], 0, NULL));
    }
}

static void naive_pg_open(struct bench *b)
{
    PGconn *pq = PQconnectdb(b->url);
    PGresult *result = PQexec(
        pq, "SET client_min_messages = warning;"
            "CREATE TABLE IF NOT EXISTS naive_accounts (id BIGINT PRIMARY KEY, balance "
            "NUMERIC(78,0) NOT NULL CHECK (balance >= 0));"
            "CREATE TABLE IF NOT EXISTS naive_transfers (id TEXT PRIMARY KEY, debit BIGINT NOT "
            "NULL, credit BIGINT NOT NULL, amount NUMERIC(78,0) NOT NULL, created TIMESTAMPTZ NOT "
            "NULL);"
            "INSERT INTO naive_accounts SELECT i, 1000000000 FROM generate_series(0, 9999) i ON "
            "CONFLICT DO NOTHING");
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        die("naive", PQerrorMessage(pq));
    }
    PQclear(result);
    PQfinish(pq);
}

/* ---- two columns, SQLite ---- */

static pthread_mutex_t naive_turn = PTHREAD_MUTEX_INITIALIZER;

static void lite(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        die(sql, sqlite3_errmsg(db));
    }
}

static const char *naive_path(const struct bench *b)
{
    return b->url + strlen("sqlite:");
}

static void naive_lite_connect(struct worker *w)
{
    static const char *const sql[3] = {
        "UPDATE naive_accounts SET balance = balance - 1 WHERE id = ?1",
        "UPDATE naive_accounts SET balance = balance + 1 WHERE id = ?1",
        "INSERT INTO naive_transfers (id, debit, credit, amount, created) "
        "VALUES (?1, ?2, ?3, 1, unixepoch())",
    };
    if (sqlite3_open(naive_path(w->bench), &w->db) != SQLITE_OK) {
        die("naive", sqlite3_errmsg(w->db));
    }
    sqlite3_busy_timeout(w->db, 30000);
    lite(w->db, "PRAGMA journal_mode = WAL");
    lite(w->db, "PRAGMA synchronous = FULL");
    for (size_t i = 0; i < 3; i++) {
        if (sqlite3_prepare_v2(w->db, sql[i], -1, &w->statements[i], NULL) != SQLITE_OK) {
            die(sql[i], sqlite3_errmsg(w->db));
        }
    }
}

static void naive_lite_open(struct bench *b)
{
    sqlite3 *db = NULL;
    if (sqlite3_open(naive_path(b), &db) != SQLITE_OK) {
        die("naive", sqlite3_errmsg(db));
    }
    lite(db, "PRAGMA journal_mode = WAL");
    lite(db, "CREATE TABLE IF NOT EXISTS naive_accounts (id INTEGER PRIMARY KEY, balance INTEGER "
             "NOT NULL CHECK (balance >= 0));"
             "CREATE TABLE IF NOT EXISTS naive_transfers (id TEXT PRIMARY KEY, debit INTEGER NOT "
             "NULL, credit INTEGER NOT NULL, amount INTEGER NOT NULL, created INTEGER NOT NULL);"
             "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) "
             "INSERT OR IGNORE INTO naive_accounts SELECT i, 1000000000 FROM n");
    sqlite3_close(db);
}

static void lite_step(struct worker *w, size_t which)
{
    if (sqlite3_step(w->statements[which]) != SQLITE_DONE) {
        die("naive", sqlite3_errmsg(w->db));
    }
    sqlite3_reset(w->statements[which]);
}

static bool naive_lite_once(struct worker *w, const struct pick *picks)
{
    /* One writer at a time is SQLite's rule; whoever waits does so here and not in its back-off. */
    pthread_mutex_lock(&naive_turn);
    lite(w->db, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < w->bench->batch; i++) {
        char id[64];
        snprintf(id, sizeof(id), "%llx/%zu/%llu", (unsigned long long)w->bench->run, w->number,
                 (unsigned long long)w->made++);
        sqlite3_bind_int64(w->statements[0], 1, picks[i].debit);
        lite_step(w, 0);
        sqlite3_bind_int64(w->statements[1], 1, picks[i].credit);
        lite_step(w, 1);
        sqlite3_bind_text(w->statements[2], 1, id, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int64(w->statements[2], 2, picks[i].debit);
        sqlite3_bind_int64(w->statements[2], 3, picks[i].credit);
        lite_step(w, 2);
    }
    lite(w->db, "COMMIT");
    pthread_mutex_unlock(&naive_turn);
    return true;
}

static void run_naive(struct worker *w)
{
    struct bench *b = w->bench;
    (b->postgres ? naive_pg_connect : naive_lite_connect)(w);
    while (clock_mono_usec() < b->until_usec) {
        struct pick picks[BATCH_MAX];
        for (size_t i = 0; i < b->batch; i++) {
            picks[i] = draw_pick(w);
        }
        int64_t begun = clock_mono_usec();
        /* Large batches may do nothing but deadlock: the end of the time ends that too. */
        bool done_once = false;
        while (!done_once && clock_mono_usec() < b->until_usec) {
            done_once = (b->postgres ? naive_pg_once : naive_lite_once)(w, picks);
            w->again += !done_once;
        }
        if (done_once) {
            note(w, clock_mono_usec() - begun);
        }
    }
    PQfinish(w->pq);
    for (size_t i = 0; i < 3; i++) {
        sqlite3_finalize(w->statements[i]);
    }
    sqlite3_close(w->db);
}

/* ---- running ---- */

static void *work(void *arg)
{
    struct worker *w = arg;
    (strcmp(w->bench->who, "naive") == 0 ? run_naive : run_ledger)(w);
    return NULL;
}

static int compare_usec(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* User and system time of this process. */
static int64_t cpu_usec(void)
{
    struct rusage u;
    ASSERT(getrusage(RUSAGE_SELF, &u) == 0);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * USEC_PER_SEC + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

static void report(const struct bench *b, struct worker *workers, int64_t took_usec,
                   int64_t spent_usec)
{
    uint64_t transfers = 0;
    uint64_t again = 0;
    size_t count = 0;
    for (size_t i = 0; i < b->threads; i++) {
        transfers += workers[i].transfers;
        again += workers[i].again;
        count += workers[i].count;
    }
    int64_t *usec = mem_alloc((count + 1) * sizeof(usec[0]));
    size_t at = 0;
    for (size_t i = 0; i < b->threads; i++) {
        if (workers[i].count > 0) {
            memcpy(usec + at, workers[i].usec, workers[i].count * sizeof(usec[0]));
        }
        at += workers[i].count;
    }
    qsort(usec, count, sizeof(usec[0]), compare_usec);
    if (b->store != NULL) {
        struct store_stats stats;
        store_stats_read(b->store, &stats);
        again = stats.reruns;
    }
    (void)printf("{\"who\":\"%s\",\"database\":\"%s\",\"threads\":%zu,\"batch\":%zu,"
                 "\"accounts\":\"%s\",\"perSecond\":%.0f,\"p50Usec\":%lld,\"p99Usec\":%lld,"
                 "\"again\":%llu,\"transactions\":%zu,\"cpuUsec\":%.1f}\n",
                 b->who, b->postgres ? "postgres" : "sqlite", b->threads, b->batch,
                 b->hot ? "hot" : "spread", (double)transfers * 1e6 / (double)took_usec,
                 (long long)usec[count / 2], (long long)usec[count * 99 / 100],
                 (unsigned long long)again, count,
                 (double)spent_usec / (double)(transfers > 0 ? transfers : 1));
    mem_free(usec);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    if (argc != 7) {
        die("usage", "ledger ledger|calls|naive URL THREADS BATCH hot|spread SECONDS");
    }
    b.who = argv[1];
    b.url = argv[2];
    b.threads = strtoul(argv[3], NULL, 10);
    b.batch = strtoul(argv[4], NULL, 10);
    b.hot = strcmp(argv[5], "hot") == 0;
    b.postgres = strncmp(b.url, "sqlite:", 7) != 0;
    b.run = rand_u64();
    if (b.threads < 1 || b.threads > THREADS_MAX || b.batch < 1 || b.batch > BATCH_MAX) {
        die("usage", "1 to 64 threads, 1 to 1000 a batch");
    }
    if (strcmp(b.who, "naive") != 0) {
        open_ledger(&b);
    } else {
        (b.postgres ? naive_pg_open : naive_lite_open)(&b);
    }
    struct worker *workers = mem_alloc(b.threads * sizeof(workers[0]));
    int64_t spent = cpu_usec();
    int64_t begun = clock_mono_usec();
    b.until_usec = begun + (int64_t)(strtod(argv[6], NULL) * USEC_PER_SEC);
    for (size_t i = 0; i < b.threads; i++) {
        workers[i].bench = &b;
        workers[i].number = i;
        workers[i].seed = b.run + i * 7919;
        ASSERT(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (size_t i = 0; i < b.threads; i++) {
        ASSERT(pthread_join(workers[i].thread, NULL) == 0);
    }
    report(&b, workers, clock_mono_usec() - begun, cpu_usec() - spent);
    if (b.store != NULL) {
        audit_or_die(&b);
        store_close(b.store);
    }
    return 0;
}
