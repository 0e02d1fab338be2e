/*
 * trail.h: what the tests of the audit log share: a store with rows in it, and a look at them.
 */
#ifndef UNIT_KERNEL_AUDIT_TRAIL_H
#define UNIT_KERNEL_AUDIT_TRAIL_H

#include "kernel/audit/audit.h"
#include "kernel/base/log.h"
#include "unit/support.h"

static struct support_store support;

static const struct audit_action trail_paid = {"test.paid", "A test paid."};

struct trail_rows {
    int first;
    int count;
    bool fail;
};

static inline enum err trail_write_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct trail_rows *rows = ctx;
    enum err e = OK;
    for (int i = rows->first; e == OK && i < rows->first + rows->count; i++) {
        char subject[32];
        char details[64];
        snprintf(subject, sizeof(subject), "payment/%d", i);
        snprintf(details, sizeof(details), "{\"z\": %d.50, \"a\":\"\\u00fc\"}", i);
        const struct audit_entry entry = {
            .action = &trail_paid,
            .actor_kind = AUDIT_CALLER,
            .actor = SLICE_LIT("alice"),
            .subject = slice_text(subject),
            .details = slice_text(details),
            .request_id = i % 2 == 0 ? SLICE_LIT("req_1") : SLICE_EMPTY,
            .job_id = i % 3,
        };
        e = audit_write(tx, &entry, why);
    }
    return e == OK && rows->fail ? why_set(why, ERR_CONFLICT, NULL, "no") : e;
}

/* Writes rows payment/first, payment/first + 1, … in one transaction. */
static inline void trail_write(int first, int count)
{
    struct why why = {0};
    struct trail_rows rows = {.first = first, .count = count};
    enum err e = store_write(support.store, trail_write_tx, &rows, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
}

/* Seals everything, and returns how many rows that were. */
static inline uint64_t trail_seal(void)
{
    uint64_t all = 0;
    uint64_t rows = 0;
    do {
        struct why why = {0};
        enum err e = audit_seal(support.store, &rows, &why);
        if (e != OK) {
            fail_msg("%s", why_text(&why, e));
        }
        all += rows;
    } while (rows > 0);
    return all;
}

struct trail_proof {
    const struct audit_place *witness;
    struct audit_report report;
};

static inline enum err trail_verify_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct trail_proof *p = ctx;
    return audit_verify(tx, p->witness, &p->report, why);
}

static inline struct audit_report trail_verify(const struct audit_place *witness)
{
    struct why why = {0};
    struct trail_proof p = {.witness = witness};
    enum err e = store_read(support.store, trail_verify_tx, &p, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    return p.report;
}

static inline struct audit_place trail_head(void)
{
    struct audit_report report = trail_verify(NULL);
    return report.head.place;
}

static inline int trail_open(void **state)
{
    (void)state;
    log_set_level(LOG_BROKEN);
    support_store_open(&support, &sql_catalog);
    return 0;
}

static inline int trail_close(void **state)
{
    (void)state;
    support_store_close(&support);
    return 0;
}

/* Runs a statement past the store, as whoever has a client of the database would. */
static inline bool trail_refused(const char *sql)
{
    if (support_on_postgres()) {
        PGconn *pq = PQconnectdb(support.url);
        PGresult *result = PQexec(pq, sql);
        bool done = PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
        PQfinish(pq);
        return !done;
    }
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(support.path, &db), SQLITE_OK);
    int status = sqlite3_exec(db, sql, NULL, NULL, NULL);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return status != SQLITE_OK;
}

#endif
