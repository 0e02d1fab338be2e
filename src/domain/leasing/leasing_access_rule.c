/*
 * leasing_access_rule.c: the totals of hours in which access was sold are proven from the payments
 * (kernel/chain/chain_reconcile.h).
 */
#include "domain/leasing/leasing_access_sql.h"
#include "domain/leasing/leasing_internal.h"
#include "kernel/base/check.h"

#define PAGE_ROWS 100

struct hour {
    struct slice lease_id;
    int64_t hour_usec;
    struct u256 total;
    int64_t payments;
    struct u256 paid; /* of the payments themselves */
    int64_t found;
    bool fits;
};

struct hours {
    struct chain_reconciling *r;
    struct arena *arena; /* of a page */
    struct hour rows[PAGE_ROWS];
    size_t count;
    struct hour after;
};

static enum err read_hours(struct store_tx *tx, struct hours *h, struct why *why)
{
    struct store_query q;
    h->count = 0;
    store_begin(&q, tx, &leasing_access_sql_hours_next);
    store_bind_text(&q, "lease_id", h->after.lease_id);
    store_bind_time(&q, "hour_bucket", h->after.hour_usec);
    store_bind_i64(&q, "max_rows", PAGE_ROWS);
    while (store_step(&q)) {
        struct hour *row = &h->rows[h->count++];
        row->lease_id = store_get_text(&q, "lease_id", h->arena);
        row->hour_usec = store_get_time(&q, "hour_bucket");
        row->total = store_get_u256(&q, "total");
        row->payments = store_get_i64(&q, "payments");
    }
    return store_finish(&q, NULL, why);
}

static enum err add_up(struct store_tx *tx, struct hour *row, struct why *why)
{
    struct store_query q;
    row->paid = U256_ZERO;
    row->found = 0;
    row->fits = true;
    store_begin(&q, tx, &leasing_access_sql_hour_amounts);
    store_bind_text(&q, "lease_id", row->lease_id);
    store_bind_time(&q, "hour_bucket", row->hour_usec);
    while (store_step(&q)) {
        struct u256 sum;
        bool fits = u256_add(row->paid, store_get_u256(&q, "amount"), &sum) == OK;
        row->paid = fits ? sum : row->paid;
        row->fits = row->fits && fits;
        row->found++;
    }
    return store_finish(&q, NULL, why);
}

static void judge(const struct hours *h, const struct hour *row)
{
    char said[U256_TEXT_MAX];
    char paid[U256_TEXT_MAX];
    if (row->fits && row->found == row->payments && u256_equal(row->paid, row->total)) {
        return;
    }
    u256_format(row->total, said);
    u256_format(row->paid, paid);
    chain_found(h->r,
                slice_format(h->arena, "lease/%.*s/%lld", SLICE_ARG(row->lease_id),
                             (long long)(row->hour_usec / (int64_t)USEC_PER_SEC)),
                slice_format(h->arena,
                             "The hour says %s in %lld payments; its payments are %lld with %s.",
                             said, (long long)row->payments, (long long)row->found, paid));
}

static enum err look_at_page(struct store_tx *tx, void *ctx, struct why *why)
{
    struct hours *h = ctx;
    enum err e = read_hours(tx, h, why);
    for (size_t i = 0; e == OK && i < h->count; i++) {
        e = add_up(tx, &h->rows[i], why);
    }
    return e;
}

enum err leasing_access_look(struct chain_reconciling *r, struct why *why)
{
    struct arena pages[2]; /* the next one begins behind the last row of the one before */
    struct hours h = {.r = r, .after = {.lease_id = SLICE_EMPTY}};
    enum err e = OK;
    arena_init(&pages[0], 0);
    arena_init(&pages[1], 0);
    for (size_t page = 0;; page++) {
        h.arena = &pages[page % 2];
        arena_clear(h.arena);
        e = store_read(r->reconciler->store, look_at_page, &h, why);
        for (size_t i = 0; e == OK && i < h.count; i++) {
            judge(&h, &h.rows[i]);
        }
        if (e != OK || h.count < PAGE_ROWS) {
            break;
        }
        h.after = h.rows[h.count - 1];
    }
    arena_free(&pages[0]);
    arena_free(&pages[1]);
    return e;
}
