/*
 * leasing_access_api.c: access to leased assets, sold by the second for payments by x402. The money
 * goes from the payer to the lessor on the chain; what is written about it is written in the
 * transaction that makes the payment SETTLED (kernel/paywall): seconds and money of the lease, the
 * payment, its hour, the ledger.
 */
#include "domain/leasing/leasing_access.h"
#include "domain/leasing/leasing_access_sql.h"
#include "domain/leasing/leasing_rows.h"
#include "kernel/paywall/paywall.h"

#define HOUR_USEC (3600 * (int64_t)USEC_PER_SEC)
/* Behind every hour that can be written: the end of the year 9999. */
#define LAST_HOUR_USEC (INT64_C(253402300799) * (int64_t)USEC_PER_SEC)

/* ---- rows ---- */

static enum err stream_read(struct store_tx *tx, struct slice lease_id, struct leasing_stream *out,
                            struct why *why)
{
    struct leasing_stream s = {.seconds_sold = 0, .paid = stable_of(U256_ZERO)};
    struct store_query q;
    store_begin(&q, tx, &leasing_access_sql_stream_get);
    store_bind_text(&q, "lease_id", lease_id);
    if (store_step(&q)) {
        s.seconds_sold = (uint64_t)store_get_i64(&q, "seconds_sold");
        s.paid = stable_of(store_get_u256(&q, "paid"));
        s.payments = (uint64_t)store_get_i64(&q, "payments");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = s;
    }
    return e;
}

/* One step of one sale. */
struct step {
    struct slice lease_id;
    struct slice mode;
    uint32_t interval_sec;
    const struct paywall_sale *sale;
    int64_t hour_usec;
};

static enum err stream_add(struct store_tx *tx, const struct step *step, struct why *why)
{
    struct leasing_stream s;
    struct u256 paid;
    struct store_query q;
    enum err e = stream_read(tx, step->lease_id, &s, why);
    if (e == OK) {
        e = u256_add(stable_raw(s.paid), step->sale->amount, &paid);
    }
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_access_sql_stream_put);
    store_bind_text(&q, "lease_id", step->lease_id);
    store_bind_i64(&q, "seconds_sold", (int64_t)(s.seconds_sold + step->interval_sec));
    store_bind_u256(&q, "paid", paid);
    store_bind_i64(&q, "payments", (int64_t)s.payments + 1);
    store_bind_time(&q, "now", step->sale->settled_usec);
    return store_finish(&q, NULL, why);
}

static enum err payment_add(struct store_tx *tx, const struct step *step, struct why *why)
{
    const struct paywall_sale *sale = step->sale;
    struct store_query q;
    store_begin(&q, tx, &leasing_access_sql_payment_insert);
    store_bind_text(&q, "lease_id", step->lease_id);
    store_bind_text(&q, "mode", step->mode);
    store_bind_i64(&q, "interval_seconds", step->interval_sec);
    store_bind_u256(&q, "amount", sale->amount);
    store_bind_i64(&q, "chain_id", (int64_t)sale->key.chain_id);
    store_bind_bytes(&q, "asset", address_slice(&sale->key.asset));
    store_bind_bytes(&q, "payer", address_slice(&sale->key.payer));
    store_bind_bytes(&q, "nonce", hash_slice(&sale->key.nonce));
    store_bind_bytes(&q, "transaction_hash", hash_slice(&sale->transaction));
    store_bind_time(&q, "bucket_slot", step->hour_usec);
    store_bind_time(&q, "paid_at", sale->settled_usec);
    return store_finish(&q, NULL, why);
}

static enum err hour_add(struct store_tx *tx, const struct step *step, struct why *why)
{
    struct u256 total = U256_ZERO;
    int64_t payments = 0;
    struct store_query q;
    store_begin(&q, tx, &leasing_access_sql_hour_get);
    store_bind_text(&q, "lease_id", step->lease_id);
    store_bind_time(&q, "hour_bucket", step->hour_usec);
    if (store_step(&q)) {
        total = store_get_u256(&q, "total");
        payments = store_get_i64(&q, "payments");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        e = u256_add(total, step->sale->amount, &total);
    }
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_access_sql_hour_put);
    store_bind_text(&q, "lease_id", step->lease_id);
    store_bind_time(&q, "hour_bucket", step->hour_usec);
    store_bind_u256(&q, "total", total);
    store_bind_i64(&q, "payments", payments + 1);
    store_bind_time(&q, "now", step->sale->settled_usec);
    return store_finish(&q, NULL, why);
}

static enum err ledger_add(struct store_tx *tx, struct arena *arena, const struct leasing *l,
                           const struct paywall_sale *sale, struct why *why)
{
    struct buf id;
    buf_init(&id, arena, LEDGER_ID_MAX);
    buf_add_text(&id, "x402/");
    buf_add_hex(&id, address_slice(&sale->key.payer));
    buf_add_byte(&id, '/');
    buf_add_hex(&id, hash_slice(&sale->key.nonce));
    struct buf cause;
    buf_init(&cause, arena, LEDGER_ID_MAX);
    buf_add_text(&cause, "tx/0x");
    buf_add_hex(&cause, hash_slice(&sale->transaction));
    const struct ledger_transfer transfer = {
        .id = buf_slice(&id),
        .book = slice_text(l->book),
        .debit = leasing_account_of(arena, "external/", &sale->key.payer),
        .credit = leasing_account_of(arena, "external/", &sale->pay_to),
        .amount = sale->amount,
        .kind = SLICE_LIT("leasing.access_sold"),
        .cause = buf_slice(&cause),
        .when_usec = sale->settled_usec,
    };
    /* Who leases to himself moves nothing. */
    return address_equal(&sale->key.payer, &sale->pay_to) ? OK : ledger_post(tx, &transfer, 1, why);
}

static enum err read_detail(struct arena *arena, struct slice text, struct step *out,
                            struct why *why)
{
    const struct json *detail = NULL;
    enum err e = json_parse(arena, text, &json_limits_body, &detail, why);
    if (e == OK) {
        e = json_get_text(detail, "leaseId", &out->lease_id, why);
    }
    if (e == OK) {
        e = json_get_text(detail, "mode", &out->mode, why);
    }
    return e == OK ? leasing_access_interval(out->mode, &out->interval_sec, why) : e;
}

/* In the transaction that makes the payment SETTLED. */
static enum err sold(struct store_tx *tx, void *ctx, const struct paywall_sale *sale,
                     struct why *why)
{
    const struct leasing *l = ctx;
    struct step step = {.sale = sale, .hour_usec = sale->settled_usec / HOUR_USEC * HOUR_USEC};
    struct arena scratch;
    arena_init(&scratch, 0);
    enum err e = read_detail(&scratch, sale->detail, &step, why);
    if (e == OK) {
        e = stream_add(tx, &step, why);
    }
    if (e == OK) {
        e = payment_add(tx, &step, why);
    }
    if (e == OK) {
        e = hour_add(tx, &step, why);
    }
    if (e == OK) {
        e = ledger_add(tx, &scratch, l, sale, why);
    }
    arena_free(&scratch);
    return e;
}

/* ---- the price ---- */

struct asked {
    const struct http_call *call;
    const struct leasing *leasing;
    struct leasing_lease lease;
    struct leasing_stream stream;
};

static enum err load(struct store_tx *tx, void *ctx, struct why *why)
{
    struct asked *a = ctx;
    enum err e = leasing_lease_get(tx, a->call->req, a->leasing, http_param(a->call, "leaseId"),
                                   &a->lease, why);
    return e == OK ? stream_read(tx, a->lease.id, &a->stream, why) : e;
}

static struct slice detail_of(struct arena *arena, const struct leasing_lease *lease,
                              struct slice mode)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, arena, 128);
    json_out_init(&j, &b);
    json_begin_object(&j);
    json_key(&j, "leaseId");
    json_string(&j, lease->id);
    json_key(&j, "mode");
    json_string(&j, mode);
    json_end_object(&j);
    return buf_slice(&b);
}

static struct slice mode_of(const struct http_call *call)
{
    bool found = false;
    struct slice mode = http_query(call, "mode", &found);
    return found ? mode : SLICE_LIT("second");
}

static enum err quote_of(const struct asked *a, struct slice mode, struct paywall_quote *out,
                         struct why *why)
{
    uint32_t interval = 0;
    struct stable_amount price;
    const struct address *asset =
        a->leasing->paywall != NULL ? paywall_asset(a->leasing->paywall) : NULL;
    enum err e = leasing_access_interval(mode, &interval, why);
    if (e == OK && !leasing_lease_is(&a->lease, "active")) {
        e = why_set(why, ERR_CONFLICT, NULL,
                    "Access is sold while the lease is active; it is %.*s.",
                    SLICE_ARG(a->lease.status));
    }
    if (e == OK && (asset == NULL || !address_equal(asset, &a->lease.payment_token))) {
        e = why_set(why, ERR_CONFLICT, NULL, "The token of this lease is not taken as payment.");
    }
    if (e == OK) {
        e = leasing_access_price(a->lease.rent, a->lease.rent_period_sec, &a->stream, interval,
                                 &price, why);
    }
    if (e != OK) {
        return e;
    }
    *out = (struct paywall_quote){
        .amount = stable_raw(price),
        .pay_to = a->lease.lessor,
        .description =
            slice_format(a->call->req, "Access to %.*s for %u s under lease %.*s",
                         SLICE_ARG(a->lease.asset_id), (unsigned)interval, SLICE_ARG(a->lease.id)),
        .detail = detail_of(a->call->req, &a->lease, mode),
    };
    return OK;
}

static enum err quote(void *ctx, const struct http_call *call, struct paywall_quote *out,
                      struct why *why)
{
    struct asked a = {.call = call, .leasing = ctx};
    enum err e = store_read(call->store, load, &a, why);
    return e == OK ? quote_of(&a, mode_of(call), out, why) : e;
}

size_t leasing_prices(struct leasing *leasing, struct paywall_price out[LEASING_PRICES])
{
    out[0] = (struct paywall_price){
        .operation = "buyLeaseAccess", .quote = quote, .sold = sold, .ctx = leasing};
    return LEASING_PRICES;
}

void leasing_access_offer_json(struct json_out *j, const struct http_call *call,
                               const struct leasing *l, struct slice mode)
{
    struct asked a = {.call = call, .leasing = l};
    struct paywall_quote q;
    if (store_read(call->store, load, &a, NULL) != OK || quote_of(&a, mode, &q, NULL) != OK) {
        json_null(j);
        return;
    }
    struct slice path = slice_format(call->req, "/api/v1/leases/%.*s/access?mode=%.*s",
                                     SLICE_ARG(a.lease.id), SLICE_ARG(mode));
    paywall_offer_write(l->paywall, call, X402_V2, path, &q, j);
}

/* ---- routes ---- */

enum err leasing_api_access_buy(struct http_call *call, struct why *why)
{
    struct asked a = {.call = call, .leasing = call->ctx};
    const struct paywall_quote *paid = paywall_quote_of(call);
    struct slice mode = mode_of(call);
    uint32_t interval = 0;
    int64_t now = clock_wall_usec();
    enum err e = store_read(call->store, load, &a, why);
    if (e == OK) {
        e = leasing_access_interval(mode, &interval, why);
    }
    if (e != OK) {
        return e;
    }
    struct json_out *j = call->out;
    json_begin_object(j);
    json_key(j, "leaseId");
    json_string(j, a.lease.id);
    json_key(j, "assetId");
    json_string(j, a.lease.asset_id);
    json_key(j, "mode");
    json_string(j, mode);
    json_key(j, "intervalSeconds");
    json_u64(j, interval);
    json_key(j, "amount");
    json_u256(j, paid->amount);
    json_key(j, "payTo");
    json_address(j, &paid->pay_to);
    json_key(j, "grantedFrom");
    json_time(j, now);
    json_key(j, "grantedUntil");
    json_time(j, now + interval * (int64_t)USEC_PER_SEC);
    json_end_object(j);
    return OK;
}

struct list {
    struct http_call *call;
    struct http_page page;
    int64_t below;
    uint32_t count;
};

static enum err begin_list(struct list *list, struct why *why)
{
    enum err e = http_page_read(list->call, &list->page, why);
    if (e == OK && list->page.offset > 0) {
        e = why_set(why, ERR_INVALID_FIELD, "offset", "Payments are paged by cursor.");
    }
    list->below = INT64_MAX / 2;
    if (e == OK && list->page.cursor.len > 0 &&
        slice_parse_i64(list->page.cursor, &list->below) != OK) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor", "The cursor is not one of this list.");
    }
    return e;
}

static enum err run_list(struct list *list, store_fn read, struct why *why)
{
    struct http_call *call = list->call;
    enum err e = begin_list(list, why);
    if (e == OK) {
        e = store_read(call->store, read, list, why);
    }
    if (e == OK && list->count == list->page.limit) {
        http_cursor_set(call, slice_format(call->req, "%lld", (long long)list->below));
    }
    return e;
}

static enum err must_exist(struct store_tx *tx, const struct list *list, struct why *why)
{
    struct leasing_lease lease;
    return leasing_lease_get(tx, list->call->req, list->call->ctx,
                             http_param(list->call, "leaseId"), &lease, why);
}

static enum err read_payments(struct store_tx *tx, void *ctx, struct why *why)
{
    struct list *list = ctx;
    struct json_out *j = list->call->out;
    struct store_query q;
    enum err e = must_exist(tx, list, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_access_sql_payments_list);
    store_bind_text(&q, "lease_id", http_param(list->call, "leaseId"));
    store_bind_i64(&q, "below_seq", list->below);
    store_bind_i64(&q, "max_rows", list->page.limit);
    json_begin_array(j);
    while (store_step(&q)) {
        list->below = store_get_i64(&q, "seq");
        list->count++;
        json_begin_object(j);
        json_key(j, "mode");
        json_string(j, store_get_text(&q, "mode", list->call->req));
        json_key(j, "intervalSeconds");
        json_i64(j, store_get_i64(&q, "interval_seconds"));
        json_key(j, "amount");
        json_u256(j, store_get_u256(&q, "amount"));
        json_key(j, "payer");
        leasing_json_column_address(j, &q, "payer");
        json_key(j, "transactionHash");
        leasing_json_column_hash(j, &q, "transaction_hash");
        json_key(j, "bucketSlot");
        json_time(j, store_get_time(&q, "bucket_slot"));
        json_key(j, "paidAt");
        json_time(j, store_get_time(&q, "paid_at"));
        json_end_object(j);
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

enum err leasing_api_access_payments(struct http_call *call, struct why *why)
{
    struct list list = {.call = call};
    return run_list(&list, read_payments, why);
}

static enum err read_hours(struct store_tx *tx, void *ctx, struct why *why)
{
    struct list *list = ctx;
    struct json_out *j = list->call->out;
    struct store_query q;
    enum err e = must_exist(tx, list, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_access_sql_hours_list);
    store_bind_text(&q, "lease_id", http_param(list->call, "leaseId"));
    store_bind_time(&q, "below", list->below < LAST_HOUR_USEC ? list->below : LAST_HOUR_USEC);
    store_bind_i64(&q, "max_rows", list->page.limit);
    json_begin_array(j);
    while (store_step(&q)) {
        list->below = store_get_time(&q, "hour_bucket");
        list->count++;
        json_begin_object(j);
        json_key(j, "hourBucket");
        json_time(j, list->below);
        json_key(j, "totalAmount");
        json_u256(j, store_get_u256(&q, "total"));
        json_key(j, "paymentCount");
        json_i64(j, store_get_i64(&q, "payments"));
        json_key(j, "startedAt");
        json_time(j, store_get_time(&q, "started_at"));
        json_key(j, "updatedAt");
        json_time(j, store_get_time(&q, "updated_at"));
        json_end_object(j);
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

enum err leasing_api_access_hours(struct http_call *call, struct why *why)
{
    struct list list = {.call = call};
    return run_list(&list, read_hours, why);
}
