/*
 * leasing_api_leases.c: a new lease agreement. With a lessee it waits for two signatures; without
 * one it is offered on the marketplace and finds its lessee among the bidders.
 */
#include "domain/leasing/leasing_api_sql.h"
#include "domain/leasing/leasing_dues.h"
#include "domain/leasing/leasing_lease_keys.h"
#include "domain/leasing/leasing_rows.h"
#include "kernel/base/rand.h"

#define LEASE_ID_MAX 50
#define CURRENCY_MAX 10
#define RESTRICTIONS_MAX 100
#define RESTRICTION_BYTES_MAX 1000
#define TERMS_VERSION_DEFAULT 1

struct lease_request {
    struct http_call *call;
    const struct leasing *leasing;
    const struct json *metadata;    /* NULL when none was sent */
    struct leasing_lease lease;     /* as its row will be */
    struct leasing_lease_keys keys; /* that the asset's type wants */
    bool ours;                      /* the relay has the lessor's key */
    bool created;
    struct slice intent_id;
};

/* ---- the body ---- */

static bool is_id(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && c != '_' && c != '.' && c != '-') {
            return false;
        }
    }
    return text.len > 0 && text.len <= LEASE_ID_MAX;
}

/* Without an id of the caller's, an Idempotency-Key names the lease: a second run finds it. */
static struct slice make_id(const struct http_call *call)
{
    char id[RAND_ID_MAX];
    if (call->idempotency_key.len == 0) {
        rand_id("lease", id);
        return slice_copy(call->req, slice_text(id));
    }
    struct slice seed = slice_format(call->req, "lease/%.*s/%.*s", SLICE_ARG(call->principal),
                                     SLICE_ARG(call->idempotency_key));
    struct hash h = sha256(seed);
    struct buf b;
    buf_init(&b, call->req, 48);
    buf_add_text(&b, "lease_");
    buf_add_hex(&b, slice_of(h.bytes, 13));
    return buf_slice(&b);
}

static enum err read_ids(struct lease_request *r, struct why *why)
{
    const struct json *body = r->call->json;
    struct leasing_lease *lease = &r->lease;
    enum err e = OK;
    if (json_find(body, "leaseId") == NULL) {
        lease->id = make_id(r->call);
    } else {
        e = json_get_text(body, "leaseId", &lease->id, why);
    }
    if (e == OK && !is_id(lease->id)) {
        e = why_set(why, ERR_INVALID_FIELD, "leaseId",
                    "leaseId must be 1 to %d of the characters A-Z, a-z, 0-9, '_', '.' and '-'.",
                    LEASE_ID_MAX);
    }
    if (e == OK && slice_starts(lease->id, SLICE_LIT(LEASING_FOUND_PREFIX))) {
        e = why_set(why, ERR_INVALID_FIELD, "leaseId",
                    "leaseId must not begin with " LEASING_FOUND_PREFIX
                    ": such ids are given to leases that are found on chain.");
    }
    return e == OK ? json_get_text(body, "assetId", &lease->asset_id, why) : e;
}

static enum err read_parties(struct lease_request *r, struct why *why)
{
    const struct json *body = r->call->json;
    struct leasing_lease *lease = &r->lease;
    enum err e = leasing_body_account(body, "lessorAddress", &lease->lessor, why);
    lease->has_lessee = json_find(body, "lesseeAddress") != NULL;
    if (e == OK && lease->has_lessee) {
        e = leasing_body_account(body, "lesseeAddress", &lease->lessee, why);
    }
    if (e == OK && lease->has_lessee && address_equal(&lease->lessor, &lease->lessee)) {
        e = why_set(why, ERR_INVALID_FIELD, "lesseeAddress",
                    "lesseeAddress must be another account than lessorAddress.");
    }
    return e;
}

/* On chain times are whole seconds; a fraction is dropped, as wallets and scripts do. */
static enum err read_time(const struct json *object, const char *key, int64_t *out_usec,
                          struct why *why)
{
    int64_t usec = 0;
    enum err e = json_get_time(object, key, &usec, why);
    if (e == OK) {
        *out_usec = usec - usec % USEC_PER_SEC;
    }
    return e;
}

static enum err read_dates(const struct json *terms, struct leasing_lease *lease, struct why *why)
{
    enum err e = read_time(terms, "startDate", &lease->start_usec, why);
    if (e == OK) {
        e = read_time(terms, "endDate", &lease->end_usec, why);
    }
    if (e == OK && lease->start_usec >= lease->end_usec) {
        e = why_set(why, ERR_INVALID_FIELD, "endDate", "endDate must be after startDate.");
    }
    if (e == OK && lease->end_usec <= clock_wall_usec()) {
        e = why_set(why, ERR_INVALID_FIELD, "endDate", "endDate must be in the future.");
    }
    return e;
}

/* Rent that cannot be reckoned is refused before anybody signs it. */
static enum err check_schedule(const struct leasing_lease *lease, struct why *why)
{
    const struct leasing_rent rent = leasing_rent_of(lease);
    struct stable_amount sum = stable_of(U256_ZERO);
    uint64_t count = 0;
    enum err e = leasing_schedule_count(&rent, &count, why);
    for (uint64_t i = 0; e == OK && i < count; i++) {
        struct leasing_instalment instalment;
        e = leasing_schedule_at(&rent, i, &instalment, why);
        if (e == OK && stable_add(sum, instalment.amount, &sum) != OK) {
            e = why_set(why, ERR_AMOUNT_OVERFLOW, "paymentAmount",
                        "The rent of the term is more than 256 bits hold.");
        }
    }
    return e;
}

static enum err read_period(const struct json *terms, struct leasing_lease *lease, struct why *why)
{
    uint64_t period = 0;
    enum err e = json_get_text(terms, "paymentSchedule", &lease->schedule, why);
    if (e == OK) {
        e = leasing_schedule_period(lease->schedule, (uint64_t)(lease->start_usec / USEC_PER_SEC),
                                    (uint64_t)(lease->end_usec / USEC_PER_SEC), &period, why);
    }
    if (e == OK && json_find(terms, "rentPeriod") != NULL) {
        e = json_get_u64(terms, "rentPeriod", &period, why);
    }
    if (e == OK && period > LEASING_PERIOD_SEC_MAX) {
        e = why_set(why, ERR_AMOUNT_OVERFLOW, "rentPeriod",
                    "rentPeriod must be at most %lld seconds.", (long long)LEASING_PERIOD_SEC_MAX);
    }
    if (e == OK && period == 0) {
        e = why_set(why, ERR_INVALID_FIELD, "rentPeriod", "rentPeriod must be above zero seconds.");
    }
    lease->rent_period_sec = period;
    return e == OK ? check_schedule(lease, why) : e;
}

/* Rent is paid in one coin: terms in another currency would be another contract. */
static enum err read_currency(const struct json *terms, struct lease_request *r, struct why *why)
{
    struct slice symbol = slice_text(r->leasing->stable_symbol);
    struct slice text = SLICE_EMPTY;
    enum err e = leasing_body_text(terms, "currency", CURRENCY_MAX, &text, why);
    if (e != OK) {
        return e;
    }
    if (!slice_equal_nocase(text, symbol) && !slice_equal_text(text, "USDC") &&
        !slice_equal_text(text, "USD")) {
        return why_set(why, ERR_INVALID_FIELD, "currency",
                       "currency must be %.*s, USDC or USD: rent is paid in the stablecoin.",
                       SLICE_ARG(symbol));
    }
    r->lease.currency = text;
    return OK;
}

static enum err read_money(const struct json *terms, struct lease_request *r, struct why *why)
{
    struct u256 rent = U256_ZERO;
    struct u256 deposit = U256_ZERO;
    const struct json *given = json_find(terms, "securityDeposit");
    bool zero = given != NULL && slice_equal_text(given->text, "0") &&
                (given->type == JSON_STRING || given->type == JSON_NUMBER);
    enum err e = leasing_body_amount(terms, "paymentAmount", &rent, why);
    if (e == OK && given != NULL && !zero) {
        e = leasing_body_amount(terms, "securityDeposit", &deposit, why);
    }
    r->lease.rent = stable_of(rent);
    r->lease.deposit = stable_of(deposit);
    return e == OK ? read_currency(terms, r, why) : e;
}

static enum err read_restrictions(const struct json *terms, struct lease_request *r,
                                  struct why *why)
{
    const struct json *list = json_find(terms, "restrictions");
    r->lease.restrictions = SLICE_LIT("[]");
    if (list == NULL) {
        return OK;
    }
    bool good = list->type == JSON_ARRAY && list->count <= RESTRICTIONS_MAX;
    for (const struct json *v = list->child; good && v != NULL; v = v->next) {
        good = v->type == JSON_STRING && v->text.len > 0 && v->text.len <= RESTRICTION_BYTES_MAX;
    }
    if (!good) {
        return why_set(why, list->type == JSON_ARRAY ? ERR_INVALID_FIELD : ERR_INVALID_TYPE,
                       "restrictions",
                       "restrictions must be an array of at most %d texts of 1 to %d bytes.",
                       RESTRICTIONS_MAX, RESTRICTION_BYTES_MAX);
    }
    r->lease.restrictions = leasing_json_slice(r->call->req, list);
    return OK;
}

static enum err read_terms(struct lease_request *r, struct why *why)
{
    static const char *const members[] = {"startDate",       "endDate",         "paymentAmount",
                                          "paymentSchedule", "currency",        "restrictions",
                                          "rentPeriod",      "securityDeposit", NULL};
    const struct json *terms = NULL;
    enum err e = json_get(r->call->json, "terms", JSON_OBJECT, &terms, why);
    if (e != OK) {
        return e;
    }
    e = json_only(terms, members, why);
    if (e == OK) {
        e = read_dates(terms, &r->lease, why);
    }
    if (e == OK) {
        e = read_money(terms, r, why);
    }
    if (e == OK) {
        e = read_period(terms, &r->lease, why);
    }
    if (e == OK) {
        e = read_restrictions(terms, r, why);
    }
    return leasing_why_under(why, e, "terms");
}

static enum err read_version(struct lease_request *r, struct why *why)
{
    uint64_t version = TERMS_VERSION_DEFAULT;
    enum err e = OK;
    if (json_find(r->call->json, "termsVersion") != NULL) {
        e = json_get_u64(r->call->json, "termsVersion", &version, why);
    }
    if (e == OK && version > UINT16_MAX) {
        e = why_set(why, ERR_AMOUNT_OVERFLOW, "termsVersion", "termsVersion must be at most %d.",
                    UINT16_MAX);
    }
    r->lease.terms_version = (uint16_t)version;
    return e;
}

static enum err read_deadline(struct lease_request *r, struct why *why)
{
    int64_t now = clock_wall_usec();
    int64_t deadline = now + r->leasing->config.signature_validity_usec;
    enum err e = OK;
    if (json_find(r->call->json, "deadline") != NULL) {
        e = read_time(r->call->json, "deadline", &deadline, why);
    }
    if (e == OK && deadline <= now) {
        e = why_set(why, ERR_DEADLINE_EXPIRED, "deadline", "deadline must be in the future.");
    }
    r->lease.deadline_usec = deadline - deadline % USEC_PER_SEC;
    return e;
}

static enum err read_lease_metadata(struct lease_request *r, struct why *why)
{
    struct arena *arena = r->call->req;
    const struct json *v = json_find(r->call->json, "metadata");
    if (v != NULL && v->type != JSON_OBJECT) {
        return why_set(why, ERR_INVALID_TYPE, "metadata", "metadata must be an object.");
    }
    r->metadata = v;
    r->lease.metadata = v != NULL ? leasing_json_slice(arena, v) : SLICE_LIT("{}");
    return leasing_why_under(
        why, leasing_json_hash(arena, r->lease.metadata, &r->lease.metadata_hash, why), "metadata");
}

static enum err read_lease_request(struct lease_request *r, struct why *why)
{
    static const char *const members[] = {
        "leaseId",           "assetId",  "lessorAddress", "lesseeAddress", "terms",
        "legalDocumentHash", "metadata", "termsVersion",  "deadline",      NULL};
    const struct json *body = r->call->json;
    struct leasing_lease *lease = &r->lease;
    enum err e = json_only(body, members, why);
    if (e == OK) {
        e = read_ids(r, why);
    }
    if (e == OK) {
        e = read_parties(r, why);
    }
    if (e == OK) {
        e = read_terms(r, why);
    }
    if (e == OK) {
        e = json_get_hash(body, "legalDocumentHash", &lease->legal_document_hash, why);
    }
    if (e == OK) {
        e = read_lease_metadata(r, why);
    }
    if (e == OK) {
        e = read_version(r, why);
    }
    if (e == OK) {
        e = read_deadline(r, why);
    }
    lease->chain_id = r->leasing->chain_id;
    lease->factory = r->leasing->factory;
    lease->payment_token = r->leasing->stablecoin;
    lease->agreement = leasing_json_slice(r->call->req, body);
    return e;
}

/* ---- the asset ---- */

static enum err read_asset(struct store_tx *tx, void *ctx, struct why *why)
{
    struct lease_request *r = ctx;
    struct arena *arena = r->call->req;
    struct leasing_asset asset;
    struct leasing_type type;
    bool ours = false;
    bool onchain = false;
    enum err e = leasing_asset_get(tx, arena, r->lease.asset_id, &asset, why);
    if (e == OK && (!asset.on_chain || !slice_equal_text(asset.status, "active"))) {
        e = why_set(why, ERR_CONFLICT, "assetId",
                    "The asset %.*s is not active on chain: it is "
                    "%.*s.",
                    SLICE_ARG(asset.id), SLICE_ARG(asset.status));
    }
    if (e == OK) {
        e = leasing_type_find(tx, arena, asset.type, &type, &ours, why);
    }
    if (e != OK) {
        return e;
    }
    r->lease.asset_on_chain = true;
    r->lease.onchain_asset_id = asset.onchain_id;
    r->lease.asset_type = asset.type;
    r->keys = (struct leasing_lease_keys){
        .type = asset.type,
        .names = ours ? type.required_keys : SLICE_EMPTY,
        .schema = ours ? type.schema : SLICE_EMPTY,
    };
    struct hash type_hash = leasing_type_hash(asset.type);
    return ours ? OK
                : leasing_onchain_type_find(tx, arena, r->leasing, &type_hash, &r->keys.hashes,
                                            &onchain, why);
}

/* What the lessor sends to offer the lease. */
static enum err make_offer(struct arena *arena, const struct leasing *l,
                           const struct leasing_lease *lease, struct leasing_effect *out,
                           struct why *why)
{
    struct leasing_terms terms;
    struct slice data = SLICE_EMPTY;
    enum err e = leasing_lease_terms(arena, lease, NULL, &terms, why);
    if (e == OK) {
        e = leasing_terms_offer_call(arena, &terms, &data, why);
    }
    if (e != OK) {
        return e;
    }
    *out = (struct leasing_effect){
        .role = LEASING_ROLE_LESSOR,
        .purpose = "leasing.post_offer",
        .key = slice_format(arena, "lease/%.*s/offer", SLICE_ARG(lease->id)),
        .wallet = lease->lessor,
        .to = l->marketplace,
        .data = data,
        .deadline_usec = lease->deadline_usec,
    };
    return OK;
}

/* ---- writing ---- */

/* Comes before any look for the row: who looks first is in conflict with all who add one beside it.
 */
static enum err insert_lease(struct store_tx *tx, const struct lease_request *r, bool *out_inserted,
                             struct why *why)
{
    const struct leasing_lease *lease = &r->lease;
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_lease_insert);
    store_bind_text(&q, "lease_id", lease->id);
    store_bind_text(&q, "asset_id", lease->asset_id);
    store_bind_i64(&q, "chain_id", (int64_t)lease->chain_id);
    store_bind_bytes(&q, "contract_address", address_slice(&lease->factory));
    store_bind_bytes(&q, "lessor", address_slice(&lease->lessor));
    if (lease->has_lessee) {
        store_bind_bytes(&q, "lessee", address_slice(&lease->lessee));
    } else {
        store_bind_null(&q, "lessee");
    }
    store_bind_time(&q, "start_date", lease->start_usec);
    store_bind_time(&q, "end_date", lease->end_usec);
    store_bind_time(&q, "deadline", lease->deadline_usec);
    store_bind_bytes(&q, "payment_token", address_slice(&lease->payment_token));
    store_bind_u256(&q, "payment_amount", stable_raw(lease->rent));
    store_bind_text(&q, "payment_schedule", lease->schedule);
    store_bind_i64(&q, "rent_period_sec", (int64_t)lease->rent_period_sec);
    store_bind_u256(&q, "security_deposit", stable_raw(lease->deposit));
    store_bind_text(&q, "currency", lease->currency);
    store_bind_bytes(&q, "legal_document_hash", hash_slice(&lease->legal_document_hash));
    store_bind_i64(&q, "terms_version", lease->terms_version);
    store_bind_json(&q, "agreement", lease->agreement);
    store_bind_json(&q, "metadata", lease->metadata);
    store_bind_bytes(&q, "metadata_hash", hash_slice(&lease->metadata_hash));
    store_bind_json(&q, "restrictions", lease->restrictions);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    *out_inserted = e == OK && changed > 0;
    return e;
}

static enum err compare_lease(const struct lease_request *r, const struct leasing_lease *row,
                              struct why *why)
{
    struct hash stored;
    struct hash asked;
    enum err e = leasing_json_hash(r->call->req, row->agreement, &stored, why);
    if (e == OK) {
        e = leasing_json_hash(r->call->req, r->lease.agreement, &asked, why);
    }
    if (e == OK && !hash_equal(&stored, &asked)) {
        e = why_set(why, ERR_ALREADY_EXISTS, "leaseId", "The lease %.*s exists with other content.",
                    SLICE_ARG(r->lease.id));
    }
    return e;
}

/* `lease` is the agreement as it stands; what was asked for before may have failed. */
static enum err offer_lease(struct store_tx *tx, struct lease_request *r,
                            const struct leasing_lease *lease, struct why *why)
{
    struct leasing_effect effect;
    r->intent_id = lease->tx.id;
    if (lease->has_offer || (lease->tx.known && !leasing_tx_is_dead(&lease->tx))) {
        return OK;
    }
    enum err e = make_offer(r->call->req, r->leasing, lease, &effect, why);
    if (e == OK) {
        e = leasing_effect_submit(tx, r->call->req, r->leasing, &effect, lease->tx.id,
                                  &r->intent_id, why);
    }
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_lease_intent);
    store_bind_text(&q, "lease_id", lease->id);
    store_bind_text(&q, "intent_id", r->intent_id);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err write_lease(struct store_tx *tx, void *ctx, struct why *why)
{
    struct lease_request *r = ctx;
    struct leasing_lease row;
    bool found = false;
    bool inserted = false;
    r->intent_id = SLICE_EMPTY;
    enum err e = insert_lease(tx, r, &inserted, why);
    if (e == OK && !inserted) {
        e = leasing_lease_find(tx, r->call->req, r->leasing, r->lease.id, &row, &found, why);
    }
    if (e == OK && !inserted && !found) {
        e = why_set(why, ERR_DB_BUSY, "leaseId", "The lease is being written by another call.");
    }
    r->created = inserted;
    if (e == OK && found) {
        e = compare_lease(r, &row, why);
    }
    const struct leasing_lease *lease = found ? &row : &r->lease;
    bool offers = !r->lease.has_lessee && r->ours && (!found || leasing_lease_is_unsigned(&row));
    if (e == OK && offers) {
        e = offer_lease(tx, r, lease, why);
    }
    struct slice subject = slice_format(r->call->req, "lease/%.*s", SLICE_ARG(r->lease.id));
    return e == OK && inserted ? leasing_audit(tx, r->call, LEASING_AUDIT_LEASE_CREATED, subject,
                                               r->intent_id, SLICE_EMPTY, why)
                               : e;
}

static enum err request_member(struct lease_request *r, const struct leasing_lease *row,
                               struct why *why)
{
    struct json_out *j = r->call->out;
    struct leasing_effect effect;
    json_key(j, "transactionRequest");
    if (row->has_lessee || row->has_offer || r->ours) {
        json_null(j);
        return OK;
    }
    enum err e = make_offer(r->call->req, r->leasing, row, &effect, why);
    if (e == OK) {
        leasing_effect_json(j, r->leasing, &effect);
    }
    return e;
}

static enum err write_lease_answer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct lease_request *r = ctx;
    struct json_out *j = r->call->out;
    struct leasing_lease row;
    struct leasing_terms terms;
    enum err e = leasing_lease_get(tx, r->call->req, r->leasing, r->lease.id, &row, why);
    if (e == OK && row.has_lessee) {
        e = leasing_lease_terms(r->call->req, &row, &row.lessee, &terms, why);
    }
    if (e != OK) {
        return e;
    }
    json_begin_object(j);
    leasing_lease_json(j, r->leasing, &row);
    if (row.has_lessee) {
        leasing_terms_json(j, r->leasing, &terms);
    }
    e = request_member(r, &row, why);
    if (e == OK) {
        json_end_object(j);
    }
    return e;
}

enum err leasing_api_lease_create(struct http_call *call, struct why *why)
{
    struct lease_request r = {.call = call, .leasing = call->ctx};
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = read_lease_request(&r, why);
    }
    if (e == OK) {
        e = store_read(call->store, read_asset, &r, why);
    }
    if (e == OK) {
        e = leasing_lease_keys_check(call->req, &r.keys, r.metadata, why);
    }
    struct leasing_effect offer;
    if (e == OK) {
        /* Of a lease that is not offered it proves that its calldata can be made. */
        e = make_offer(call->req, r.leasing, &r.lease, &offer, why);
    }
    if (e != OK) {
        return e;
    }
    r.ours = relay_has_wallet(r.leasing->relay, &r.lease.lessor);
    e = store_write(call->store, write_lease, &r, why);
    if (e != OK) {
        return e;
    }
    leasing_await(call, r.intent_id, wait_usec);
    call->status = r.created ? 201 : 200;
    call->location = slice_format(call->req, "/api/v1/leases/%.*s", SLICE_ARG(r.lease.id));
    return store_read(call->store, write_lease_answer, &r, why);
}
