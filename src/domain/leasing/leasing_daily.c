#include "domain/leasing/leasing_daily.h"

#include <stdlib.h>

#include "domain/leasing/leasing_daily_sql.h"

#define DAY_USEC (INT64_C(86400) * USEC_PER_SEC)
#define DAYS_DEFAULT 30
#define DAY_TEXT 10 /* "2026-11-28" */

struct part {
    int64_t day; /* since 1970 */
    struct u256 lease_token_id;
    struct slice lease_id;
    struct slice asset_id;
    struct stable_amount amount;
    uint64_t rounds;
};

struct daily {
    struct http_call *call;
    int64_t from_usec;
    int64_t to_usec; /* the day after the last one */
    struct part *parts;
    size_t count;
};

/* ---- the question ---- */

static enum err day_query(const struct http_call *call, const char *name, int64_t *out_usec,
                          struct why *why)
{
    bool found = false;
    int64_t usec = 0;
    struct slice text = http_query(call, name, &found);
    if (!found) {
        return OK;
    }
    struct slice time = slice_format(call->req, "%.*sT00:00:00Z", SLICE_ARG(text));
    if (text.len != DAY_TEXT || clock_parse(time, &usec) != OK) {
        return why_set(why, ERR_INVALID_TIME, name, "%s must be a day such as 2026-11-28.", name);
    }
    *out_usec = usec;
    return OK;
}

static enum err read_question(struct daily *d, struct why *why)
{
    int64_t last = clock_wall_usec();
    last -= last % DAY_USEC;
    enum err e = day_query(d->call, "to", &last, why);
    int64_t first = last - (DAYS_DEFAULT - 1) * DAY_USEC;
    if (e == OK) {
        e = day_query(d->call, "from", &first, why);
    }
    if (e == OK && (first > last || last - first >= LEASING_DAILY_DAYS_MAX * DAY_USEC)) {
        e = why_set(why, ERR_INVALID_FIELD, "from", "from must be at most %d days before to.",
                    LEASING_DAILY_DAYS_MAX - 1);
    }
    d->from_usec = first;
    d->to_usec = last + DAY_USEC;
    return e;
}

/* ---- adding up ---- */

/* Newest day first, leases by their NFT. */
static int compare(const void *a, const void *b)
{
    const struct part *x = a;
    const struct part *y = b;
    if (x->day != y->day) {
        return x->day > y->day ? -1 : 1;
    }
    return u256_compare(x->lease_token_id, y->lease_token_id);
}

static enum err add_up(struct daily *d, struct why *why)
{
    size_t kept = 0;
    qsort(d->parts, d->count, sizeof d->parts[0], compare);
    for (size_t i = 0; i < d->count; i++) {
        if (kept == 0 || compare(&d->parts[kept - 1], &d->parts[i]) != 0) {
            d->parts[kept++] = d->parts[i];
            continue;
        }
        struct part *sum = &d->parts[kept - 1];
        sum->rounds++;
        if (stable_add(sum->amount, d->parts[i].amount, &sum->amount) != OK) {
            return why_set(why, ERR_OVERFLOW, NULL,
                           "The rounds of a day add up to more than 256 bits hold.");
        }
    }
    d->count = kept;
    return OK;
}

static enum err read_rounds(struct store_tx *tx, void *ctx, struct why *why)
{
    struct daily *d = ctx;
    const struct http_call *call = d->call;
    const struct leasing *l = call->ctx;
    struct store_query q;
    d->count = 0;
    store_begin(&q, tx, &leasing_daily_sql_rounds);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "registry", address_slice(&l->registry));
    store_bind_time(&q, "from_time", d->from_usec);
    store_bind_time(&q, "to_time", d->to_usec);
    store_bind_text(&q, "lease_id", http_query(call, "leaseId", NULL));
    store_bind_text(&q, "asset_id", http_query(call, "assetId", NULL));
    store_bind_i64(&q, "max_rows", LEASING_DAILY_ROUNDS_MAX + 1);
    while (store_step(&q)) {
        struct part *p = &d->parts[d->count++];
        p->day = store_get_time(&q, "created_at") / DAY_USEC;
        p->lease_token_id = store_get_u256(&q, "lease_token_id");
        p->amount = stable_of(store_get_u256(&q, "total_amount"));
        p->lease_id = store_get_text(&q, "lease_id", call->req);
        p->asset_id = store_get_text(&q, "asset_id", call->req);
        p->rounds = 1;
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && d->count > LEASING_DAILY_ROUNDS_MAX) {
        e = why_set(why, ERR_LIMIT, "from",
                    "There are more than %d rounds in this time: ask for fewer days.",
                    LEASING_DAILY_ROUNDS_MAX);
    }
    return e == OK ? add_up(d, why) : e;
}

/* ---- the answer ---- */

static void json_day(struct json_out *j, const char *key, int64_t usec)
{
    char text[CLOCK_TEXT_MAX];
    (void)clock_format(usec, text);
    json_key(j, key);
    json_string(j, slice_of(text, DAY_TEXT));
}

static void write_answer(const struct daily *d)
{
    struct json_out *j = d->call->out;
    json_begin_array(j);
    for (size_t i = 0; i < d->count; i++) {
        const struct part *p = &d->parts[i];
        json_begin_object(j);
        json_day(j, "day", p->day * DAY_USEC);
        json_key(j, "leaseId");
        leasing_json_text(j, p->lease_id);
        json_key(j, "leaseTokenId");
        json_u256(j, p->lease_token_id);
        json_key(j, "assetId");
        leasing_json_text(j, p->asset_id);
        json_key(j, "amount");
        json_u256(j, stable_raw(p->amount));
        json_key(j, "rounds");
        json_u64(j, p->rounds);
        json_end_object(j);
    }
    json_end_array(j);
}

enum err leasing_api_daily_list(struct http_call *call, struct why *why)
{
    struct daily d = {.call = call};
    enum err e = read_question(&d, why);
    if (e != OK) {
        return e;
    }
    d.parts = arena_alloc_array(call->req, LEASING_DAILY_ROUNDS_MAX + 1, sizeof d.parts[0]);
    e = store_read(call->store, read_rounds, &d, why);
    if (e == OK) {
        write_answer(&d);
    }
    return e;
}
