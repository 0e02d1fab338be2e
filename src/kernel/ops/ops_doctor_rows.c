/*
 * What the doctor reads of a database: in one snapshot, by the modules' own functions where they
 * have them.
 */
#include "kernel/audit/audit.h"
#include "kernel/backup/backup_runs.h"
#include "kernel/base/check.h"
#include "kernel/http/http.h"
#include "kernel/ops/ops_doctor.h"
#include "kernel/ops/ops_doctor_sql.h"
#include "kernel/store/store_partition.h"

/* Tables below this size are read whole, whatever the planner thinks of them. */
#define ROWS_LARGE 10000
/* No request takes so long. Units: microseconds. */
#define STUCK_USEC (60 * 60ll * USEC_PER_SEC)
/* The purge runs every hour or so; a day more is a schedule that does not run. */
#define PURGE_LATE_USEC (86400ll * USEC_PER_SEC)
#define AUDIT_ROWS 1000

struct look {
    struct ops_facts *facts;
    uint64_t chain_id;
    bool small;
    struct arena arena;
};

/* ---- the database itself ---- */

static enum err read_server(struct store_tx *tx, struct look *l, struct why *why)
{
    struct ops_database_facts *d = &l->facts->database;
    struct store_query q;
    int64_t before = clock_wall_usec();
    store_begin(&q, tx, &ops_doctor_sql_server);
    if (store_step(&q)) {
        int64_t now = before + (clock_wall_usec() - before) / 2;
        d->version = store_get_i64(&q, "version");
        d->clock_ahead_usec = now - store_get_time(&q, "wall");
        d->fsync = store_get_bool(&q, "fsync");
        d->full_page_writes = store_get_bool(&q, "full_page_writes");
        d->autovacuum = store_get_bool(&q, "autovacuum");
        d->waits_for_disk = store_get_bool(&q, "waits_for_disk");
        d->connections_free = store_get_i64(&q, "connections_free");
    }
    enum err e = store_finish_one(&q, "server", why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &ops_doctor_sql_unanalysed);
    store_bind_i64(&q, "rows_min", ROWS_LARGE);
    if (store_step(&q)) {
        struct slice name = store_get_text(&q, "name", &l->arena);
        (void)snprintf(d->unanalysed, sizeof(d->unanalysed), "%.*s", SLICE_ARG(name));
    }
    e = store_finish(&q, NULL, why);
    return e == OK ? store_partitions_missing(tx, d->partition, why) : e;
}

static enum err read_integrity(struct store_tx *tx, struct look *l, struct why *why)
{
    struct ops_answer *answer = &l->facts->database.integrity;
    struct slice said = SLICE_EMPTY;
    struct store_query q;
    store_begin(&q, tx, &ops_doctor_sql_integrity);
    if (store_step(&q)) {
        said = store_get_text(&q, "said", &l->arena);
    }
    enum err e = store_finish_one(&q, "check", why);
    if (e == OK) {
        struct why damage = {.err = OK};
        bool sound = slice_equal_text(said, "ok");
        if (!sound) {
            (void)why_set(&damage, ERR_CORRUPT, NULL, "%.*s", SLICE_ARG(said));
        }
        ops_answer_set(answer, sound ? OK : ERR_CORRUPT, &damage);
    }
    return e;
}

/* ---- work ---- */

static enum err read_leases(struct store_tx *tx, struct look *l, struct why *why)
{
    struct ops_work_facts *w = &l->facts->work;
    struct store_lease_row *leases = NULL;
    struct store_process_row *processes = NULL;
    size_t lease_count = 0;
    size_t process_count = 0;
    enum err e = store_leases_list(tx, &l->arena, &leases, &lease_count, why);
    if (e == OK) {
        e = store_processes_list(tx, &l->arena, &processes, &process_count, why);
    }
    for (size_t i = 0; e == OK && i < process_count; i++) {
        w->processes += processes[i].alive;
    }
    for (size_t i = 0; e == OK && i < lease_count; i++) {
        const struct store_lease_row *row = &leases[i];
        if (row->owner.len > 0 && !row->alive && row->idle_usec > w->orphan_usec) {
            (void)snprintf(w->orphan, sizeof(w->orphan), "%.*s", SLICE_ARG(row->name));
            w->orphan_usec = row->idle_usec;
        }
    }
    return e;
}

static enum err read_keys(struct store_tx *tx, struct look *l, struct why *why)
{
    struct ops_work_facts *w = &l->facts->work;
    struct store_query q;
    store_begin(&q, tx, &ops_doctor_sql_keys);
    store_bind_time(&q, "stuck", l->facts->now_usec - STUCK_USEC);
    store_bind_time(&q, "expired", l->facts->now_usec - HTTP_KEY_LIFE_USEC - PURGE_LATE_USEC);
    if (store_step(&q)) {
        w->keys_stuck = store_get_i64(&q, "stuck");
        w->keys_expired = store_get_i64(&q, "expired");
    }
    return store_finish_one(&q, "count", why);
}

static enum err read_halted(struct store_tx *tx, struct look *l, struct why *why)
{
    struct ops_work_facts *w = &l->facts->work;
    struct store_query q;
    store_begin(&q, tx, &ops_doctor_sql_halted);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    if (store_step(&q)) {
        struct slice text = store_get_text(&q, "halted_why", &l->arena);
        (void)snprintf(w->halted, sizeof(w->halted), "%.*s", SLICE_ARG(text));
    }
    return store_finish(&q, NULL, why);
}

/* What is known here of wallets; whose keys are ours is found out elsewhere. */
static enum err read_wallets(struct store_tx *tx, struct look *l, struct why *why)
{
    struct store_query q;
    size_t count = 0;
    store_begin(&q, tx, &ops_doctor_sql_wallets);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    while (store_step(&q)) {
        struct ops_wallet_facts wallet = {.in_database = true};
        store_get_fixed(&q, "address", wallet.address.bytes, sizeof(wallet.address.bytes));
        wallet.next = (uint64_t)store_get_i64(&q, "next_nonce");
        wallet.open = (uint64_t)store_get_i64(&q, "under_way");
        if (count < OPS_WALLETS_MAX) {
            l->facts->noted[count++] = wallet;
        }
    }
    l->facts->noted_count = count;
    return store_finish(&q, NULL, why);
}

static enum err read_work(struct store_tx *tx, struct look *l, struct why *why)
{
    struct ops_work_facts *w = &l->facts->work;
    enum err e = jobs_count(tx, JOB_DEAD, &w->dead, why);
    if (e == OK) {
        e = backup_runs_last(tx, BACKUP_RUN_BACKUP, &w->backup_usec, why);
    }
    if (e == OK) {
        e = backup_runs_last(tx, BACKUP_RUN_VERIFY, &w->verified_usec, why);
    }
    if (e == OK) {
        e = read_leases(tx, l, why);
    }
    if (e == OK) {
        e = read_keys(tx, l, why);
    }
    if (e == OK) {
        e = read_halted(tx, l, why);
    }
    return e == OK ? read_wallets(tx, l, why) : e;
}

static enum err read_rows(struct store_tx *tx, void *ctx, struct why *why)
{
    struct look *l = ctx;
    bool is_file = l->facts->database.is_file;
    l->facts->work = (struct ops_work_facts){.dead_alert = l->facts->work.dead_alert};
    enum err e = is_file ? OK : read_server(tx, l, why);
    if (e == OK && is_file && l->small) {
        e = read_integrity(tx, l, why);
    }
    return e == OK ? read_work(tx, l, why) : e;
}

enum err ops_doctor_read_rows(struct store *store, uint64_t chain_id, bool small,
                              struct ops_facts *facts, struct why *why)
{
    struct look l = {.facts = facts, .chain_id = chain_id, .small = small};
    arena_init(&l.arena, 0);
    enum err e = store_read(store, read_rows, &l, why);
    arena_free(&l.arena);
    return e;
}

/* ---- books ---- */

static enum err read_books(struct store_tx *tx, void *ctx, struct why *why)
{
    struct look *l = ctx;
    struct ops_books_facts *b = &l->facts->books;
    struct ledger_report ledger = {.books = 0};
    struct audit_report audit = {.found = AUDIT_SOUND};
    enum err e = ledger_audit_books(tx, &ledger, why);
    if (e == OK) {
        e = audit_verify_recent(tx, AUDIT_ROWS, &audit, why);
    }
    if (e != OK) {
        return e;
    }
    b->books = ledger.books;
    b->unbalanced = ledger.found[LEDGER_BOOK_UNBALANCED];
    (void)snprintf(b->first_book, sizeof(b->first_book), "%s", ledger.first_book);
    b->audit_rows = audit.rows;
    struct why said = {.err = OK};
    bool sound = audit.found == AUDIT_SOUND;
    if (!sound) {
        struct slice text = audit_finding_text(&l->arena, &audit);
        (void)why_set(&said, ERR_CORRUPT, NULL, "%.*s", SLICE_ARG(text));
    }
    ops_answer_set(&b->audit, sound ? OK : ERR_CORRUPT, &said);
    return OK;
}

enum err ops_doctor_read_books(struct store *store, struct ops_facts *facts, struct why *why)
{
    struct look l = {.facts = facts};
    arena_init(&l.arena, 0);
    enum err e = store_read(store, read_books, &l, why);
    arena_free(&l.arena);
    return e;
}
