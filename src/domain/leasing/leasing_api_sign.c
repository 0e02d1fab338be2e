/*
 * leasing_api_sign.c: the signatures of the parties: those that make a lease and those that end it.
 *
 * Nothing is stored before it is verified. The second signature of a lease and the transaction that
 * mints it are one database transaction.
 */
#include "domain/leasing/leasing_api_sql.h"
#include "domain/leasing/leasing_rows.h"
#include "kernel/base/check.h"

#define REASON_MAX 500

struct sign_request {
    struct http_call *call;
    const struct leasing *leasing;
    bool by_lessor;
    struct slice signature;
    struct slice reason; /* of a termination */
    struct leasing_lease lease;
    struct leasing_terms terms;
    bool has_effect; /* both signatures are there: this mints the lease */
    bool ours;       /* one of our wallets sends it */
    struct leasing_effect effect;
    struct slice intent_id;
};

static enum err load_lease(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sign_request *r = ctx;
    return leasing_lease_get(tx, r->call->req, r->leasing, http_param(r->call, "leaseId"),
                             &r->lease, why);
}

static enum err read_signer(struct sign_request *r, struct why *why)
{
    struct slice type = SLICE_EMPTY;
    enum err e = leasing_body_signature(r->call->req, r->call->json, &r->signature, why);
    if (e == OK) {
        e = json_get_text(r->call->json, "signerType", &type, why);
    }
    r->by_lessor = slice_equal_text(type, "lessor");
    if (e == OK && !r->by_lessor && !slice_equal_text(type, "lessee")) {
        e = why_set(why, ERR_INVALID_FIELD, "signerType", "signerType must be lessor or lessee.");
    }
    return e;
}

static const struct address *signer_of(const struct sign_request *r)
{
    return r->by_lessor ? &r->lease.lessor : &r->lease.lessee;
}

static struct slice stored_signature(const struct sign_request *r, const struct leasing_lease *row)
{
    return r->by_lessor ? row->lessor_signature : row->lessee_signature;
}

/* ---- signing ---- */

/* A wallet that knows its domain wrong is told before its signature is looked at. */
static enum err check_domain(const struct sign_request *r, struct why *why)
{
    static const char *const members[] = {"name", "version", "chainId", "verifyingContract", NULL};
    const struct json *domain = json_find(r->call->json, "domain");
    uint64_t chain_id = r->leasing->chain_id;
    struct address contract = r->leasing->factory;
    if (domain == NULL) {
        return OK;
    }
    if (domain->type != JSON_OBJECT) {
        return why_set(why, ERR_INVALID_TYPE, "domain", "domain must be an object.");
    }
    enum err e = json_only(domain, members, why);
    if (e == OK && json_find(domain, "chainId") != NULL) {
        e = json_get_u64(domain, "chainId", &chain_id, why);
    }
    if (e == OK && json_find(domain, "verifyingContract") != NULL) {
        e = json_get_address(domain, "verifyingContract", &contract, why);
    }
    if (e == OK && chain_id != r->leasing->chain_id) {
        e = why_set(why, ERR_SIGNATURE_CHAIN, "chainId",
                    "The lease is on chain %llu, the signature was made for chain %llu.",
                    (unsigned long long)r->leasing->chain_id, (unsigned long long)chain_id);
    }
    if (e == OK && !address_equal(&contract, &r->leasing->factory)) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&r->leasing->factory, text);
        e = why_set(why, ERR_SIGNATURE_CONTRACT, "verifyingContract",
                    "verifyingContract must be the lease factory %s.", text);
    }
    return leasing_why_under(why, e, "domain");
}

static enum err read_sign_request(struct sign_request *r, struct why *why)
{
    static const char *const members[] = {"signature", "signerType", "domain", NULL};
    enum err e = json_only(r->call->json, members, why);
    if (e == OK) {
        e = read_signer(r, why);
    }
    return e == OK ? check_domain(r, why) : e;
}

static enum err may_be_signed(const struct leasing_lease *lease, struct why *why)
{
    if (!leasing_lease_is_unsigned(lease)) {
        return why_set(why, ERR_CONFLICT, NULL, "The lease is %.*s: it cannot be signed any more.",
                       SLICE_ARG(lease->status));
    }
    if (!lease->has_lessee) {
        return why_set(why, ERR_CONFLICT, NULL,
                       "The lease has no lessee yet: bidders sign with their bids, the lessor when "
                       "he accepts one.");
    }
    if (lease->deadline_usec <= clock_wall_usec()) {
        return why_set(why, ERR_DEADLINE_EXPIRED, "deadline",
                       "The deadline for signing the lease has passed.");
    }
    return OK;
}

static enum err verify_signature(struct sign_request *r, struct why *why)
{
    enum err e = may_be_signed(&r->lease, why);
    if (e == OK) {
        e = leasing_lease_terms(r->call->req, &r->lease, &r->lease.lessee, &r->terms, why);
    }
    return e == OK ? leasing_lease_verify(r->leasing, &r->terms, signer_of(r), r->signature, why)
                   : e;
}

/*
 * Anybody who has both signatures may mint, the only call of leasing that does not look at who
 * makes it: a wallet of the pool where that is wanted, the lessor's wallet, or else the
 * registrar's.
 */
static void choose_wallet(struct sign_request *r)
{
    const struct leasing *l = r->leasing;
    bool lessor = relay_has_wallet(l->relay, &r->lease.lessor);
    bool registrar = l->has_registrar && relay_has_wallet(l->relay, &l->registrar);
    r->effect.pooled = l->config.mint_by_pool && relay_has_pool(l->relay);
    r->ours = lessor || registrar || r->effect.pooled;
    r->effect.wallet = lessor || !registrar ? r->lease.lessor : l->registrar;
}

static enum err make_mint(struct sign_request *r, const struct leasing_lease *row, struct why *why)
{
    struct slice data = SLICE_EMPTY;
    enum err e = leasing_terms_mint_call(
        r->call->req, &r->terms, r->by_lessor ? r->signature : row->lessor_signature,
        r->by_lessor ? row->lessee_signature : r->signature, &data, why);
    if (e != OK) {
        return e;
    }
    r->has_effect = true;
    r->effect = (struct leasing_effect){
        .role = LEASING_ROLE_LESSOR,
        .purpose = "leasing.mint_lease",
        .key = slice_format(r->call->req, "lease/%.*s/mint", SLICE_ARG(row->id)),
        .to = r->leasing->factory,
        .data = data,
        .deadline_usec = row->deadline_usec,
    };
    choose_wallet(r);
    return OK;
}

static enum err submit_mint(struct store_tx *tx, struct sign_request *r,
                            const struct leasing_lease *row, struct why *why)
{
    r->intent_id = row->tx.id;
    if (row->tx.known && !leasing_tx_is_dead(&row->tx)) {
        return OK;
    }
    enum err e = leasing_effect_submit(tx, r->call->req, r->leasing, &r->effect, row->tx.id,
                                       &r->intent_id, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_lease_intent);
    store_bind_text(&q, "lease_id", row->id);
    store_bind_text(&q, "intent_id", r->intent_id);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static void bind_party(struct store_query *q, const char *name, bool given, struct slice signature)
{
    if (given) {
        store_bind_bytes(q, name, signature);
    } else {
        store_bind_null(q, name);
    }
}

static const char *party(const struct sign_request *r)
{
    return r->by_lessor ? "lessor" : "lessee";
}

static struct slice lease_subject(const struct sign_request *r)
{
    return slice_format(r->call->req, "lease/%.*s", SLICE_ARG(r->lease.id));
}

static enum err write_signature(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sign_request *r = ctx;
    struct leasing_lease row;
    struct store_query q;
    r->has_effect = false;
    r->intent_id = SLICE_EMPTY;
    enum err e = leasing_lease_get(tx, r->call->req, r->leasing, r->lease.id, &row, why);
    if (e == OK && !leasing_lease_is_unsigned(&row) &&
        slice_equal(stored_signature(r, &row), r->signature)) {
        return OK; /* signed before, and it came true since we looked */
    }
    if (e == OK) {
        e = may_be_signed(&row, why);
    }
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_api_sql_lease_sign);
    store_bind_text(&q, "lease_id", row.id);
    bind_party(&q, "lessor_signature", r->by_lessor, r->signature);
    bind_party(&q, "lessee_signature", !r->by_lessor, r->signature);
    store_bind_time(&q, "now", clock_wall_usec());
    e = store_finish(&q, NULL, why);
    if (e == OK) {
        e = leasing_audit(tx, r->call, LEASING_AUDIT_LEASE_SIGNED, lease_subject(r), SLICE_EMPTY,
                          slice_format(r->call->req, "{\"by\":\"%s\"}", party(r)), why);
    }
    struct slice other = r->by_lessor ? row.lessee_signature : row.lessor_signature;
    if (e != OK || other.len == 0) {
        return e;
    }
    /* One signature of a party is as good as another: the one that came first is used. */
    if (stored_signature(r, &row).len > 0) {
        r->signature = stored_signature(r, &row);
    }
    e = make_mint(r, &row, why);
    return e == OK && r->ours ? submit_mint(tx, r, &row, why) : e;
}

static enum err write_lease_answer(struct sign_request *r, struct why *why)
{
    struct json_out *j = r->call->out;
    enum err e = store_read(r->call->store, load_lease, r, why);
    if (e != OK) {
        return e;
    }
    json_begin_object(j);
    leasing_lease_json(j, r->leasing, &r->lease);
    json_key(j, "transactionRequest");
    if (r->has_effect && !r->ours) {
        leasing_effect_json(j, r->leasing, &r->effect);
    } else {
        json_null(j);
    }
    json_end_object(j);
    return OK;
}

enum err leasing_api_lease_sign(struct http_call *call, struct why *why)
{
    struct sign_request r = {.call = call, .leasing = call->ctx};
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = read_sign_request(&r, why);
    }
    if (e == OK) {
        e = store_read(call->store, load_lease, &r, why);
    }
    if (e != OK) {
        return e;
    }
    bool repeated = !leasing_lease_is_unsigned(&r.lease) &&
                    slice_equal(stored_signature(&r, &r.lease), r.signature);
    if (!repeated) {
        e = verify_signature(&r, why);
    }
    if (e == OK && !repeated) {
        e = store_write(call->store, write_signature, &r, why);
    }
    if (e != OK) {
        return e;
    }
    leasing_await(call, r.intent_id, wait_usec);
    return write_lease_answer(&r, why);
}

/* ---- ending ---- */

static struct hash termination_digest(struct arena *arena, struct slice lease_id, uint64_t chain_id,
                                      const struct address *factory, struct slice *out_text)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(factory, text);
    *out_text = slice_format(arena, "Terminate lease %.*s on chain %llu at %s", SLICE_ARG(lease_id),
                             (unsigned long long)chain_id, text);
    return eip712_personal(*out_text);
}

static bool signed_for(const struct sign_request *r, const struct signature *sig, uint64_t chain_id,
                       const struct address *factory)
{
    struct address signer;
    struct slice text;
    struct hash h = termination_digest(r->call->req, r->lease.id, chain_id, factory, &text);
    return secp256k1_recover(&h, sig, &signer, NULL) == OK && address_equal(&signer, signer_of(r));
}

/* Tells a signature for another place apart from one of another account. */
static enum err explain_termination(const struct sign_request *r, const struct signature *sig,
                                    struct slice wanted, struct why *why)
{
    static const uint64_t chains[] = {1, 10, 137, 1337, 8453, 31337, 42161, 84532, 11155111};
    const struct leasing *l = r->leasing;
    const struct address *contracts[] = {&l->marketplace, &l->registry, &l->stablecoin};
    enum err e = ERR_SIGNATURE_SIGNER;
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        if (signed_for(r, sig, chains[i], &r->lease.factory)) {
            e = ERR_SIGNATURE_CHAIN;
        }
    }
    for (size_t i = 0; i < sizeof contracts / sizeof contracts[0]; i++) {
        if (signed_for(r, sig, l->chain_id, contracts[i])) {
            e = ERR_SIGNATURE_CONTRACT;
        }
    }
    return why_set(why, e, "signature",
                   "The %s must sign exactly this text as a message (personal_sign): %.*s",
                   r->by_lessor ? "lessor" : "lessee", SLICE_ARG(wanted));
}

static enum err verify_termination(struct sign_request *r, struct why *why)
{
    struct signature sig;
    struct address signer;
    struct slice wanted;
    struct hash digest = termination_digest(r->call->req, r->lease.id, r->leasing->chain_id,
                                            &r->lease.factory, &wanted);
    enum err e = signature_decode(r->signature, &sig, why);
    if (e == OK) {
        e = secp256k1_recover(&digest, &sig, &signer, why);
    }
    e = leasing_why_under(why, e, "signature");
    if (e == OK && !address_equal(&signer, signer_of(r))) {
        e = explain_termination(r, &sig, wanted, why);
    }
    return e;
}

static enum err may_be_ended(const struct sign_request *r, const struct leasing_lease *row,
                             struct why *why)
{
    if (!leasing_lease_is_unsigned(row) && !leasing_lease_is(row, "active")) {
        return why_set(why, ERR_CONFLICT, NULL, "The lease is %.*s already.",
                       SLICE_ARG(row->status));
    }
    if (!r->by_lessor && !row->has_lessee) {
        return why_set(why, ERR_CONFLICT, "signerType", "The lease has no lessee yet.");
    }
    if (leasing_lease_is_unsigned(row) && slice_equal_text(row->offer_status, "active")) {
        return why_set(
            why, ERR_CONFLICT, NULL,
            "The lease is on offer: cancel the offer first, so that bids are paid back.");
    }
    return OK;
}

/* A transaction that would make the lease after all is stopped, or it is too late. */
static enum err stop_transaction(struct store_tx *tx, const struct leasing_lease *row,
                                 struct why *why)
{
    bool under_way = row->tx.known && !leasing_tx_is_dead(&row->tx) && !row->has_offer;
    if (!under_way) {
        return OK;
    }
    if (row->tx.state == RELAY_QUEUED && relay_cancel(tx, row->tx.id, NULL) == OK) {
        return OK;
    }
    return why_set(why, ERR_CONFLICT, NULL,
                   "The transaction %.*s of the lease is on its way: try again when it is done.",
                   SLICE_ARG(row->tx.id));
}

static enum err write_termination(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sign_request *r = ctx;
    struct leasing_lease row;
    struct store_query q;
    enum err e = leasing_lease_get(tx, r->call->req, r->leasing, r->lease.id, &row, why);
    if (e == OK) {
        e = may_be_ended(r, &row, why);
    }
    bool active = e == OK && leasing_lease_is(&row, "active");
    if (e == OK && !active) {
        e = stop_transaction(tx, &row, why);
    }
    if (e != OK) {
        return e;
    }
    struct slice other = r->by_lessor ? row.lessee_termination : row.lessor_termination;
    bool ends = !active || other.len > 0;
    store_begin(&q, tx, &leasing_api_sql_lease_terminate);
    store_bind_text(&q, "lease_id", row.id);
    bind_party(&q, "lessor_termination", r->by_lessor, r->signature);
    bind_party(&q, "lessee_termination", !r->by_lessor, r->signature);
    store_bind_text(&q, "termination_reason", r->reason);
    store_bind_text(&q, "status", ends ? SLICE_LIT("terminated") : row.status);
    store_bind_time(&q, "now", clock_wall_usec());
    e = store_finish(&q, NULL, why);
    struct slice details = slice_format(r->call->req, "{\"by\":\"%s\",\"ended\":%s}", party(r),
                                        ends ? "true" : "false");
    return e == OK ? leasing_audit(tx, r->call, LEASING_AUDIT_LEASE_TERMINATED, lease_subject(r),
                                   SLICE_EMPTY, details, why)
                   : e;
}

enum err leasing_api_lease_terminate(struct http_call *call, struct why *why)
{
    static const char *const members[] = {"signature", "signerType", "reason", NULL};
    struct sign_request r = {.call = call, .leasing = call->ctx};
    enum err e = json_only(call->json, members, why);
    if (e == OK) {
        e = read_signer(&r, why);
    }
    if (e == OK) {
        e = leasing_body_text(call->json, "reason", REASON_MAX, &r.reason, why);
    }
    if (e == OK) {
        e = store_read(call->store, load_lease, &r, why);
    }
    if (e == OK) {
        e = may_be_ended(&r, &r.lease, why);
    }
    if (e == OK) {
        e = verify_termination(&r, why);
    }
    if (e == OK) {
        e = store_write(call->store, write_termination, &r, why);
    }
    return e == OK ? write_lease_answer(&r, why) : e;
}
