/*
 * leasing_api_dues.c: when rent is due: of one lease, and of all.
 */
#include "domain/leasing/leasing_dues.h"
#include "domain/leasing/leasing_dues_sql.h"

static void instalment_json(struct json_out *j, int64_t number, int64_t due_usec, int64_t end_usec)
{
    json_key(j, "number");
    json_i64(j, number);
    json_key(j, "dueAt");
    json_time(j, due_usec);
    json_key(j, "periodEnd");
    json_time(j, end_usec);
}

static void amounts_json(struct json_out *j, struct u256 amount, struct u256 paid,
                         struct slice status)
{
    json_key(j, "amount");
    json_u256(j, amount);
    json_key(j, "paid");
    json_u256(j, paid);
    json_key(j, "status");
    json_string(j, status);
}

static void row_json(struct json_out *j, struct store_query *q, struct arena *arena)
{
    instalment_json(j, store_get_i64(q, "number"), store_get_time(q, "due_at"),
                    store_get_time(q, "period_end"));
    amounts_json(j, store_get_u256(q, "amount"), store_get_u256(q, "paid"),
                 store_get_text(q, "status", arena));
}

/* ---- of a lease ---- */

struct schedule_read {
    struct http_call *call;
    struct http_page page;
    uint64_t after; /* number of the last instalment of the page before */
    uint64_t count; /* of all instalments */
    uint64_t last;  /* number of the last one that was written */
    uint32_t given;
    bool stored; /* the lease is on chain and its dues are rows */
};

static void begin_json(struct schedule_read *r, const struct leasing_lease *lease)
{
    struct json_out *j = r->call->out;
    json_begin_object(j);
    json_key(j, "leaseId");
    json_string(j, lease->id);
    json_key(j, "paymentSchedule");
    json_string(j, lease->schedule);
    json_key(j, "leaseStatus");
    json_string(j, lease->status);
}

static void sums_json(struct schedule_read *r, struct u256 total, struct u256 paid)
{
    struct json_out *j = r->call->out;
    json_key(j, "instalmentCount");
    json_u64(j, r->count);
    json_key(j, "total");
    json_u256(j, total);
    json_key(j, "paid");
    json_u256(j, paid);
}

/* What a lease that is not on chain would be due. */
static enum err write_plan(struct schedule_read *r, const struct leasing_lease *lease,
                           struct why *why)
{
    struct json_out *j = r->call->out;
    const struct leasing_rent rent = leasing_rent_of(lease);
    struct stable_amount total = stable_of(U256_ZERO);
    struct leasing_instalment i;
    enum err e = leasing_schedule_count(&rent, &r->count, why);
    json_key(j, "instalments");
    json_begin_array(j);
    for (uint64_t n = 0; e == OK && n < r->count; n++) {
        e = leasing_schedule_at(&rent, n, &i, why);
        if (e == OK && stable_add(total, i.amount, &total) != OK) {
            e = why_set(why, ERR_AMOUNT_OVERFLOW, "paymentAmount",
                        "The rent of the term is more than 256 bits hold.");
        }
        if (e != OK || n < r->after || r->given == r->page.limit) {
            continue;
        }
        json_begin_object(j);
        instalment_json(j, (int64_t)n + 1, (int64_t)i.start_sec * USEC_PER_SEC,
                        (int64_t)i.end_sec * USEC_PER_SEC);
        amounts_json(j, stable_raw(i.amount), U256_ZERO, SLICE_LIT("planned"));
        json_end_object(j);
        r->last = n + 1;
        r->given++;
    }
    json_end_array(j);
    sums_json(r, stable_raw(total), U256_ZERO);
    return e;
}

static enum err write_rows(struct store_tx *tx, struct schedule_read *r, struct slice lease_id,
                           struct why *why)
{
    struct json_out *j = r->call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_dues_sql_of_lease);
    store_bind_text(&q, "lease_id", lease_id);
    store_bind_i64(&q, "after_number", (int64_t)r->after);
    store_bind_i64(&q, "max_rows", r->page.limit);
    json_key(j, "instalments");
    json_begin_array(j);
    while (store_step(&q)) {
        r->last = (uint64_t)store_get_i64(&q, "number");
        json_begin_object(j);
        row_json(j, &q, r->call->req);
        json_end_object(j);
        r->given++;
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

static enum err read_schedule(struct store_tx *tx, void *ctx, struct why *why)
{
    struct schedule_read *r = ctx;
    struct leasing_lease lease = {.id = SLICE_EMPTY};
    struct u256 total = U256_ZERO;
    struct u256 paid = U256_ZERO;
    int64_t updated = 0;
    struct store_query q;
    enum err e = leasing_lease_get(tx, r->call->req, r->call->ctx, http_param(r->call, "leaseId"),
                                   &lease, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_dues_sql_schedule_get);
    store_bind_text(&q, "lease_id", lease.id);
    r->stored = store_step(&q);
    if (r->stored) {
        r->count = (uint64_t)store_get_i64(&q, "instalments");
        total = store_get_u256(&q, "total");
        paid = store_get_u256(&q, "paid");
        updated = store_get_time(&q, "updated_at");
    }
    e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    begin_json(r, &lease);
    if (r->stored) {
        e = write_rows(tx, r, lease.id, why);
        sums_json(r, total, paid);
    } else {
        e = write_plan(r, &lease, why);
    }
    json_key(r->call->out, "updatedAt");
    if (r->stored) {
        json_time(r->call->out, updated);
    } else {
        json_null(r->call->out);
    }
    json_end_object(r->call->out);
    return e;
}

enum err leasing_api_schedule_get(struct http_call *call, struct why *why)
{
    struct schedule_read r = {.call = call};
    enum err e = http_page_read(call, &r.page, why);
    if (e == OK && r.page.cursor.len > 0 &&
        (slice_parse_u64(r.page.cursor, &r.after) != OK || r.after > INT64_MAX)) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor", "This cursor is not of this list.");
    }
    if (e == OK && r.page.cursor.len == 0) {
        r.after = r.page.offset;
    }
    if (e == OK) {
        e = store_read(call->store, read_schedule, &r, why);
    }
    if (e == OK && r.given == r.page.limit && r.last < r.count) {
        http_cursor_set(call, slice_format(call->req, "%llu", (unsigned long long)r.last));
    }
    return e;
}

/* ---- of all leases ---- */

struct dues_list {
    struct http_call *call;
    struct http_page page;
    struct slice status;
    struct address lessor;
    struct address lessee;
    bool has_lessor;
    bool has_lessee;
    int64_t at_usec; /* position: of the last item, or of the cursor */
    struct slice at_id;
    uint64_t at_number;
    uint32_t count;
};

static void bind_party(struct store_query *q, const char *name, bool given,
                       const struct address *party)
{
    if (given) {
        store_bind_bytes(q, name, address_slice(party));
    } else {
        store_bind_null(q, name);
    }
}

static enum err read_dues(struct store_tx *tx, void *ctx, struct why *why)
{
    struct dues_list *list = ctx;
    struct http_call *call = list->call;
    const struct leasing *l = call->ctx;
    struct json_out *j = call->out;
    struct store_query q;
    store_begin(&q, tx, &leasing_dues_sql_list);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_text(&q, "status", list->status);
    store_bind_text(&q, "asset_id", http_query(call, "assetId", NULL));
    bind_party(&q, "lessor", list->has_lessor, &list->lessor);
    bind_party(&q, "lessee", list->has_lessee, &list->lessee);
    store_bind_time(&q, "after_at", list->at_usec);
    store_bind_text(&q, "after_id", list->at_id);
    store_bind_i64(&q, "after_number", (int64_t)list->at_number);
    store_bind_i64(&q, "max_rows", list->page.limit);
    json_begin_array(j);
    while (store_step(&q)) {
        list->at_usec = store_get_time(&q, "due_at");
        list->at_id = store_get_text(&q, "lease_id", call->req);
        list->at_number = (uint64_t)store_get_i64(&q, "number");
        json_begin_object(j);
        json_key(j, "leaseId");
        json_string(j, list->at_id);
        json_key(j, "assetId");
        json_string(j, store_get_text(&q, "asset_id", call->req));
        json_key(j, "lessorAddress");
        leasing_json_column_address(j, &q, "lessor");
        json_key(j, "lesseeAddress");
        leasing_json_column_address(j, &q, "lessee");
        row_json(j, &q, call->req);
        json_end_object(j);
        list->count++;
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

/* "<microseconds>/<number>/<lease>": what leasing_api_dues_list gave out. */
static enum err read_cursor(struct dues_list *list, struct why *why)
{
    struct slice time = SLICE_EMPTY;
    struct slice rest = SLICE_EMPTY;
    struct slice number = SLICE_EMPTY;
    if (list->page.cursor.len == 0) {
        return OK;
    }
    bool good = slice_cut(list->page.cursor, '/', &time, &rest) &&
                slice_cut(rest, '/', &number, &list->at_id) &&
                slice_parse_i64(time, &list->at_usec) == OK &&
                slice_parse_u64(number, &list->at_number) == OK && list->at_id.len > 0 &&
                list->at_number <= LEASING_INSTALMENTS_MAX && slice_is_utf8(list->at_id);
    return good ? OK
                : why_set(why, ERR_INVALID_FIELD, "cursor", "This cursor is not of this list.");
}

enum err leasing_api_dues_list(struct http_call *call, struct why *why)
{
    static const char *const statuses[] = {"due", "overdue", "paid", "void", NULL};
    struct dues_list list = {.call = call};
    enum err e = http_page_read(call, &list.page, why);
    if (e == OK && list.page.offset > 0) {
        e = why_set(why, ERR_INVALID_FIELD, "offset", "This list is read on by cursor.");
    }
    if (e == OK) {
        e = read_cursor(&list, why);
    }
    if (e == OK) {
        e = leasing_status_query(call, statuses, &list.status, why);
    }
    if (e == OK) {
        e = leasing_address_query(call, "lessor", &list.lessor, &list.has_lessor, why);
    }
    if (e == OK) {
        e = leasing_address_query(call, "lessee", &list.lessee, &list.has_lessee, why);
    }
    if (e == OK) {
        e = store_read(call->store, read_dues, &list, why);
    }
    if (e == OK && list.count == list.page.limit) {
        http_cursor_set(call,
                        slice_format(call->req, "%lld/%llu/%.*s", (long long)list.at_usec,
                                     (unsigned long long)list.at_number, SLICE_ARG(list.at_id)));
    }
    return e;
}
