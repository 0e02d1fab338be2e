/*
 * leasing_api_lease_reads.c: what can be asked about lease agreements.
 */
#include "domain/leasing/leasing_api_sql.h"
#include "domain/leasing/leasing_rows.h"

/* ---- one lease ---- */

struct lease_read {
    struct http_call *call;
    struct leasing_lease lease;
};

static enum err load_lease(struct store_tx *tx, void *ctx, struct why *why)
{
    struct lease_read *r = ctx;
    return leasing_lease_get(tx, r->call->req, r->call->ctx, http_param(r->call, "leaseId"),
                             &r->lease, why);
}

enum err leasing_api_lease_get(struct http_call *call, struct why *why)
{
    struct lease_read r = {.call = call};
    enum err e = store_read(call->store, load_lease, &r, why);
    if (e == OK) {
        json_begin_object(call->out);
        leasing_lease_json(call->out, call->ctx, &r.lease);
        json_end_object(call->out);
    }
    return e;
}

/* ---- lists ---- */

struct leases_list {
    struct http_call *call;
    struct http_page page;
    struct slice status;
    struct slice asset_id;
    bool asset_must_exist;
    struct address lessor;
    struct address lessee;
    bool has_lessor;
    bool has_lessee;
    int64_t below_usec;
    struct slice below_id;
    uint32_t count;
    int64_t total;
};

static void bind_filters(struct store_query *q, const struct leases_list *list)
{
    store_bind_text(q, "status", list->status);
    store_bind_text(q, "asset_id", list->asset_id);
    if (list->has_lessor) {
        store_bind_bytes(q, "lessor", address_slice(&list->lessor));
    } else {
        store_bind_null(q, "lessor");
    }
    if (list->has_lessee) {
        store_bind_bytes(q, "lessee", address_slice(&list->lessee));
    } else {
        store_bind_null(q, "lessee");
    }
}

static enum err count_leases(struct store_tx *tx, struct leases_list *list, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_leases_count);
    bind_filters(&q, list);
    if (store_step(&q)) {
        list->total = store_get_i64(&q, "total");
    }
    return store_finish(&q, NULL, why);
}

static enum err read_leases(struct store_tx *tx, void *ctx, struct why *why)
{
    struct leases_list *list = ctx;
    const struct leasing *l = list->call->ctx;
    struct json_out *j = list->call->out;
    struct leasing_asset asset;
    enum err e = list->asset_must_exist
                     ? leasing_asset_get(tx, list->call->req, list->asset_id, &asset, why)
                     : OK;
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_leases_list);
    store_bind_bytes(&q, "marketplace", address_slice(&l->marketplace));
    bind_filters(&q, list);
    store_bind_time(&q, "below_time", list->below_usec);
    store_bind_text(&q, "below_id", list->below_id);
    store_bind_i64(&q, "max_rows", list->page.limit);
    store_bind_i64(&q, "skip_rows", (int64_t)list->page.offset);
    json_begin_array(j);
    while (store_step(&q)) {
        struct leasing_lease lease;
        leasing_lease_read(&q, list->call->req, &lease);
        json_begin_object(j);
        leasing_lease_json(j, l, &lease);
        json_end_object(j);
        list->below_usec = lease.created_usec;
        list->below_id = lease.id;
        list->count++;
    }
    json_end_array(j);
    e = store_finish(&q, NULL, why);
    return e == OK ? count_leases(tx, list, why) : e;
}

static enum err run_list(struct leases_list *list, struct why *why)
{
    static const char *const statuses[] = {"draft",     "pending_signatures", "active",
                                           "completed", "terminated",         NULL};
    struct http_call *call = list->call;
    enum err e = http_page_read(call, &list->page, why);
    if (e == OK) {
        e = leasing_cursor_read(&list->page, &list->below_usec, &list->below_id, why);
    }
    if (e == OK) {
        e = leasing_status_query(call, statuses, &list->status, why);
    }
    if (e == OK) {
        e = leasing_address_query(call, "lessor", &list->lessor, &list->has_lessor, why);
    }
    if (e == OK) {
        e = leasing_address_query(call, "lessee", &list->lessee, &list->has_lessee, why);
    }
    if (e == OK) {
        e = store_read(call->store, read_leases, list, why);
    }
    if (e != OK) {
        return e;
    }
    call->has_count = true;
    call->count = (uint64_t)list->total;
    if (list->count == list->page.limit) {
        leasing_cursor_set(call, list->below_usec, list->below_id);
    }
    return OK;
}

enum err leasing_api_leases_list(struct http_call *call, struct why *why)
{
    struct leases_list list = {.call = call, .asset_id = http_query(call, "assetId", NULL)};
    return run_list(&list, why);
}

enum err leasing_api_asset_leases_list(struct http_call *call, struct why *why)
{
    struct leases_list list = {
        .call = call, .asset_id = http_param(call, "assetId"), .asset_must_exist = true};
    return run_list(&list, why);
}

/* ---- what is to be signed ---- */

enum err leasing_api_lease_digest(struct http_call *call, struct why *why)
{
    struct lease_read r = {.call = call};
    struct address lessee;
    struct leasing_terms terms;
    bool named = false;
    enum err e = leasing_address_query(call, "lessee", &lessee, &named, why);
    if (e == OK) {
        e = store_read(call->store, load_lease, &r, why);
    }
    if (e == OK && !named && !r.lease.has_lessee) {
        e = why_set(why, ERR_MISSING_FIELD, "lessee",
                    "lessee is missing: the lease has none yet, a bidder signs for himself.");
    }
    if (e == OK && named && r.lease.has_lessee && !address_equal(&lessee, &r.lease.lessee)) {
        e = why_set(why, ERR_CONFLICT, "lessee", "The lease has another lessee.");
    }
    if (e == OK && named && address_is_zero(&lessee)) {
        e = why_set(why, ERR_INVALID_ADDRESS, "lessee", "lessee must not be the zero address.");
    }
    if (e == OK) {
        e = leasing_lease_terms(call->req, &r.lease, named ? &lessee : &r.lease.lessee, &terms,
                                why);
    }
    if (e != OK) {
        return e;
    }
    struct json_out *j = call->out;
    json_begin_object(j);
    json_key(j, "leaseId");
    json_string(j, r.lease.id);
    json_key(j, "lessorAddress");
    json_address(j, &terms.lessor);
    json_key(j, "lesseeAddress");
    json_address(j, &terms.lessee);
    json_key(j, "deadline");
    json_time(j, r.lease.deadline_usec);
    leasing_terms_json(j, call->ctx, &terms);
    json_end_object(j);
    return OK;
}

/* ---- the price of streaming access ---- */

static void quote_json(struct json_out *j, const struct leasing *l, const struct http_call *call,
                       const struct leasing_lease *lease, struct slice mode,
                       const struct leasing_quote *quote)
{
    struct slice chain = slice_format(call->req, "eip155:%llu", (unsigned long long)l->chain_id);
    json_begin_object(j);
    json_key(j, "scheme");
    json_text(j, "exact");
    json_key(j, "network");
    json_string(j, l->chain_id == 84532  ? SLICE_LIT("base-sepolia")
                   : l->chain_id == 8453 ? SLICE_LIT("base")
                                         : chain);
    json_key(j, "asset");
    json_address(j, &lease->payment_token);
    json_key(j, "maxAmountRequired");
    json_u256(j, stable_raw(quote->base));
    json_key(j, "payTo");
    json_address(j, &lease->lessor);
    json_key(j, "resource");
    json_string(j, slice_format(call->req, "/api/v1/leases/%.*s/access", SLICE_ARG(lease->id)));
    json_key(j, "description");
    json_string(j, slice_format(call->req, "Access to %.*s for %u s under lease %.*s",
                                SLICE_ARG(lease->asset_id), (unsigned)quote->interval_sec,
                                SLICE_ARG(lease->id)));
    json_key(j, "extra");
    json_begin_object(j);
    json_key(j, "decimals");
    json_u64(j, STABLE_DECIMALS);
    json_key(j, "verifyOptimistically");
    json_bool(j, false);
    json_key(j, "paymentMode");
    json_string(j, mode);
    json_key(j, "intervalSeconds");
    json_u64(j, quote->interval_sec);
    json_key(j, "hourlyAmount");
    json_u256(j, stable_raw(quote->hourly));
    json_key(j, "stepsPerHour");
    json_u64(j, quote->steps_per_hour);
    json_key(j, "extraSteps");
    json_u64(j, quote->extra_steps);
    json_end_object(j);
    json_key(j, "version");
    json_u64(j, 2);
    json_key(j, "chainId");
    json_string(j, chain);
    json_key(j, "paymentRequired");
    leasing_access_offer_json(j, call, l, mode);
    json_end_object(j);
}

enum err leasing_api_x402_quote(struct http_call *call, struct why *why)
{
    struct lease_read r = {.call = call};
    struct leasing_quote quote;
    bool found = false;
    struct slice mode = http_query(call, "mode", &found);
    mode = found ? mode : SLICE_LIT("second");
    enum err e = store_read(call->store, load_lease, &r, why);
    if (e == OK) {
        e = leasing_stream_price(r.lease.rent, r.lease.rent_period_sec, mode, &quote, why);
    }
    if (e == OK) {
        quote_json(call->out, call->ctx, call, &r.lease, mode, &quote);
    }
    return e;
}
