#include "domain/leasing/leasing_dues.h"

#include "domain/leasing/leasing_dues_sql.h"
#include "kernel/base/log.h"

/* Leases that are looked up at a time, and how often: the rest is for the next minute. */
#define PAGE 200
#define PAGES_MAX 25

struct leasing_rent leasing_rent_of(const struct leasing_lease *lease)
{
    return (struct leasing_rent){
        .schedule = lease->schedule,
        .start_sec = (uint64_t)(lease->start_usec / USEC_PER_SEC),
        .end_sec = (uint64_t)(lease->end_usec / USEC_PER_SEC),
        .rent = lease->rent,
        .period_sec = lease->rent_period_sec,
    };
}

struct dues {
    const struct job_call *call;
    const struct leasing *leasing;
    struct slice lease_id;
    struct leasing_lease lease;
    int64_t now;
    int64_t rounds;
    struct stable_amount paid;
    struct stable_amount left; /* of what was paid, for the instalments that follow */
    struct stable_amount total;
    int64_t next_usec; /* when a date passes; 0: none does */
};

/* ---- one lease ---- */

static enum err read_paid(struct store_tx *tx, struct dues *d, struct why *why)
{
    enum err e = OK;
    struct store_query q;
    d->rounds = 0;
    d->paid = stable_of(U256_ZERO);
    store_begin(&q, tx, &leasing_dues_sql_rounds);
    store_bind_i64(&q, "chain_id", (int64_t)d->leasing->chain_id);
    store_bind_u256(&q, "lease_token_id", d->lease.nft_token_id);
    while (store_step(&q) && e == OK) {
        e = stable_add(d->paid, stable_of(store_get_u256(&q, "total_amount")), &d->paid);
        d->rounds++;
    }
    enum err finished = store_finish(&q, NULL, why);
    d->left = d->paid;
    return e != OK ? why_set(why, e, NULL, "The rounds add up to more than 256 bits hold.")
                   : finished;
}

static const char *status_of(const struct dues *d, int64_t due_usec, bool whole)
{
    if (whole) {
        return "paid";
    }
    if (leasing_lease_is(&d->lease, "terminated") && due_usec >= d->lease.updated_usec) {
        return "void";
    }
    return due_usec < d->now ? "overdue" : "due";
}

static enum err put_instalment(struct store_tx *tx, struct dues *d, uint64_t index,
                               const struct leasing_instalment *i, struct why *why)
{
    int64_t due_usec = (int64_t)i->start_sec * USEC_PER_SEC;
    bool whole = stable_compare(d->left, i->amount) >= 0;
    struct stable_amount paid = whole ? i->amount : d->left;
    const char *status = status_of(d, due_usec, whole);
    enum err e = stable_sub(d->left, paid, &d->left);
    if (e == OK) {
        e = stable_add(d->total, i->amount, &d->total);
    }
    if (e != OK) {
        return why_set(why, e, NULL, "The rent of the term is more than 256 bits hold.");
    }
    if (slice_equal_text(slice_text(status), "due") && d->next_usec == 0) {
        d->next_usec = due_usec;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_dues_sql_put);
    store_bind_text(&q, "lease_id", d->lease.id);
    store_bind_i64(&q, "number", (int64_t)index + 1);
    store_bind_time(&q, "due_at", due_usec);
    store_bind_time(&q, "period_end", (int64_t)i->end_sec * USEC_PER_SEC);
    store_bind_u256(&q, "amount", stable_raw(i->amount));
    store_bind_u256(&q, "paid", stable_raw(paid));
    store_bind_text(&q, "status", slice_text(status));
    return store_finish(&q, NULL, why);
}

static enum err put_schedule(struct store_tx *tx, const struct dues *d, uint64_t count,
                             struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_dues_sql_schedule_put);
    store_bind_text(&q, "lease_id", d->lease.id);
    store_bind_text(&q, "lease_status", d->lease.status);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&d->lease.transaction_hash));
    store_bind_i64(&q, "rounds", d->rounds);
    store_bind_i64(&q, "instalments", (int64_t)count);
    store_bind_u256(&q, "total", stable_raw(d->total));
    store_bind_u256(&q, "paid", stable_raw(d->paid));
    if (d->next_usec > 0) {
        store_bind_time(&q, "next_at", d->next_usec);
    } else {
        store_bind_null(&q, "next_at");
    }
    store_bind_time(&q, "now", d->now);
    return store_finish(&q, NULL, why);
}

static enum err clear_dues(struct store_tx *tx, const struct dues *d, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_dues_sql_clear);
    store_bind_text(&q, "lease_id", d->lease.id);
    return store_finish(&q, NULL, why);
}

/* How many instalments there are; none of terms, made by others, that cannot be reckoned. */
static uint64_t count_instalments(const struct dues *d, const struct leasing_rent *rent)
{
    struct why said = {.err = OK};
    struct leasing_instalment last;
    uint64_t count = 0;
    enum err e = leasing_schedule_count(rent, &count, &said);
    struct stable_amount sum = stable_of(U256_ZERO);
    for (uint64_t i = 0; e == OK && i < count; i++) {
        e = leasing_schedule_at(rent, i, &last, &said);
        if (e == OK) {
            e = stable_add(sum, last.amount, &sum);
        }
    }
    if (e != OK) {
        LOG(LOG_WARN, "leasing.rent_unreckoned", log_slice("lease", d->lease.id),
            log_slice("why", slice_text(why_text(&said, e))));
    }
    return e == OK ? count : 0;
}

static enum err write_dues(struct store_tx *tx, void *ctx, struct why *why)
{
    struct dues *d = ctx;
    bool found = false;
    d->total = stable_of(U256_ZERO);
    d->next_usec = 0;
    enum err e =
        leasing_lease_find(tx, d->call->job, d->leasing, d->lease_id, &d->lease, &found, why);
    if (e != OK || !found || !d->lease.has_nft) {
        return e;
    }
    e = read_paid(tx, d, why);
    if (e == OK) {
        e = clear_dues(tx, d, why);
    }
    const struct leasing_rent rent = leasing_rent_of(&d->lease);
    uint64_t count = count_instalments(d, &rent);
    for (uint64_t i = 0; e == OK && i < count; i++) {
        struct leasing_instalment instalment;
        e = leasing_schedule_at(&rent, i, &instalment, why);
        if (e == OK) {
            e = put_instalment(tx, d, i, &instalment, why);
        }
    }
    return e == OK ? put_schedule(tx, d, count, why) : e;
}

static enum err write_lease(const struct job_call *call, struct slice lease_id, struct why *why)
{
    struct dues d = {
        .call = call, .leasing = call->ctx, .lease_id = lease_id, .now = clock_wall_usec()};
    return store_write(call->store, write_dues, &d, why);
}

/* ---- the lease that was just minted ---- */

struct minted {
    const struct job_call *call;
    struct u256 token_id;
    struct slice lease_id;
};

static enum err find_minted(struct store_tx *tx, void *ctx, struct why *why)
{
    struct minted *m = ctx;
    const struct leasing *l = m->call->ctx;
    struct store_query q;
    m->lease_id = SLICE_EMPTY;
    store_begin(&q, tx, &leasing_dues_sql_of_nft);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_u256(&q, "nft_token_id", m->token_id);
    if (store_step(&q)) {
        m->lease_id = store_get_text(&q, "lease_id", m->call->job);
    }
    return store_finish(&q, NULL, why);
}

enum err leasing_dues_follow(const struct job_call *call, struct u256 token_id, struct why *why)
{
    struct minted m = {.call = call, .token_id = token_id};
    enum err e = store_read(call->store, find_minted, &m, why);
    return e == OK && m.lease_id.len > 0 ? write_lease(call, m.lease_id, why) : e;
}

/* ---- leasing.due_dates ---- */

struct page {
    const struct job_call *call;
    struct slice after_id;
    struct slice ids[PAGE];
    size_t count;
};

static enum err read_page(struct store_tx *tx, void *ctx, struct why *why)
{
    struct page *p = ctx;
    const struct leasing *l = p->call->ctx;
    struct store_query q;
    p->count = 0;
    store_begin(&q, tx, &leasing_dues_sql_stale);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_text(&q, "after_id", p->after_id);
    store_bind_time(&q, "now", clock_wall_usec());
    store_bind_i64(&q, "max_rows", PAGE);
    while (store_step(&q)) {
        p->ids[p->count++] = store_get_text(&q, "lease_id", p->call->job);
    }
    return store_finish(&q, NULL, why);
}

static enum err forget_orphans(struct store_tx *tx, void *ctx, struct why *why)
{
    (void)ctx;
    struct store_query q;
    store_begin(&q, tx, &leasing_dues_sql_orphans);
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_dues_sql_schedule_orphans);
    return store_finish(&q, NULL, why);
}

enum err leasing_dues_job(struct job_call *call, struct why *why)
{
    struct page *p = arena_alloc(call->job, sizeof *p);
    *p = (struct page){.call = call, .after_id = SLICE_EMPTY};
    enum err e = store_write(call->store, forget_orphans, NULL, why);
    size_t pages = 0;
    do {
        if (e == OK) {
            e = store_read(call->store, read_page, p, why);
        }
        for (size_t i = 0; e == OK && i < p->count; i++) {
            e = write_lease(call, p->ids[i], why);
            p->after_id = p->ids[i];
        }
    } while (e == OK && p->count == PAGE && ++pages < PAGES_MAX);
    return e;
}
