#include "domain/leasing/leasing_claims_signed.h"

#include <string.h>

#include "domain/leasing/leasing_claims_signed_sql.h"
#include "kernel/evm/eip712.h"

#define TYPE "ClaimRevenue(address holder,bytes32 nonce,uint256 deadline)"

struct signed_claim {
    struct http_call *call;
    const struct leasing *leasing;
    struct address holder;
    struct hash nonce;
    int64_t deadline_usec;
    struct slice signature;
    bool created;
    struct slice intent_id;
    struct leasing_tx tx;
    int64_t created_usec;
    int64_t stored_deadline_usec;
};

/* ---- the signature ---- */

struct hash leasing_claim_digest(uint64_t chain_id, const struct address *contract,
                                 const struct address *holder, const struct hash *nonce,
                                 uint64_t deadline_sec)
{
    const struct eip712_domain domain = {.name = SLICE_LIT("Freehold"),
                                         .version = SLICE_LIT("1"),
                                         .chain_id = chain_id,
                                         .contract = *contract};
    uint8_t words[4 * U256_BYTES] = {0};
    struct hash type = keccak256(SLICE_LIT(TYPE));
    memcpy(words, type.bytes, HASH_BYTES);
    memcpy(words + 2 * U256_BYTES - ADDRESS_BYTES, holder->bytes, ADDRESS_BYTES);
    memcpy(words + 2 * U256_BYTES, nonce->bytes, HASH_BYTES);
    u256_encode_be(u256_from_u64(deadline_sec), words + 3 * U256_BYTES);
    struct hash separator = eip712_domain_separator(&domain);
    struct hash message = keccak256(slice_of(words, sizeof words));
    return eip712_digest(&separator, &message);
}

static bool signed_for(const struct signed_claim *c, const struct signature *sig, uint64_t chain_id,
                       const struct address *contract)
{
    struct address signer;
    struct hash digest = leasing_claim_digest(chain_id, contract, &c->holder, &c->nonce,
                                              (uint64_t)(c->deadline_usec / USEC_PER_SEC));
    return secp256k1_recover(&digest, sig, &signer, NULL) == OK &&
           address_equal(&signer, &c->holder);
}

/* Tells a signature for another place apart from one of another account. */
static enum err explain(const struct signed_claim *c, const struct signature *sig, struct why *why)
{
    static const uint64_t chains[] = {1, 10, 137, 1337, 8453, 31337, 42161, 84532, 11155111};
    const struct leasing *l = c->leasing;
    const struct address *contracts[] = {&l->factory, &l->registry, &l->stablecoin};
    enum err e = ERR_SIGNATURE_SIGNER;
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        e = signed_for(c, sig, chains[i], &l->marketplace) ? ERR_SIGNATURE_CHAIN : e;
    }
    for (size_t i = 0; i < sizeof contracts / sizeof contracts[0]; i++) {
        e = signed_for(c, sig, l->chain_id, contracts[i]) ? ERR_SIGNATURE_CONTRACT : e;
    }
    return why_set(why, e, "signature",
                   "The holder must sign " TYPE " in the domain Freehold, version 1, of the "
                   "marketplace on chain %llu.",
                   (unsigned long long)l->chain_id);
}

static enum err verify(const struct signed_claim *c, struct why *why)
{
    struct signature sig;
    enum err e = leasing_why_under(why, signature_decode(c->signature, &sig, why), "signature");
    if (e == OK && !signed_for(c, &sig, c->leasing->chain_id, &c->leasing->marketplace)) {
        e = explain(c, &sig, why);
    }
    return e;
}

/* ---- the request ---- */

static enum err read_request(struct signed_claim *c, struct why *why)
{
    static const char *const members[] = {"nonce", "deadline", "signature", NULL};
    const struct json *body = c->call->json;
    enum err e = leasing_address_parse(http_param(c->call, "address"), "address", &c->holder, why);
    if (e == OK) {
        e = json_only(body, members, why);
    }
    if (e == OK) {
        e = json_get_hash(body, "nonce", &c->nonce, why);
    }
    if (e == OK) {
        e = json_get_time(body, "deadline", &c->deadline_usec, why);
    }
    if (e == OK && c->deadline_usec % USEC_PER_SEC != 0) {
        e = why_set(why, ERR_INVALID_TIME, "deadline", "deadline must be a whole second.");
    }
    return e == OK ? leasing_body_signature(c->call->req, body, &c->signature, why) : e;
}

/* ---- rows ---- */

static void bind_nonce(struct store_query *q, const struct signed_claim *c)
{
    store_bind_i64(q, "chain_id", (int64_t)c->leasing->chain_id);
    store_bind_bytes(q, "marketplace", address_slice(&c->leasing->marketplace));
    store_bind_bytes(q, "holder", address_slice(&c->holder));
    store_bind_bytes(q, "nonce", hash_slice(&c->nonce));
}

static enum err take_nonce(struct store_tx *tx, struct signed_claim *c, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &leasing_claims_signed_sql_take);
    bind_nonce(&q, c);
    store_bind_time(&q, "deadline", c->deadline_usec);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    c->created = e == OK && changed > 0;
    return e;
}

static enum err read_nonce(struct store_tx *tx, struct signed_claim *c, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_claims_signed_sql_get);
    bind_nonce(&q, c);
    if (store_step(&q)) {
        leasing_tx_read(&q, &leasing_tx_main, c->call->req, &c->tx);
        c->stored_deadline_usec = store_get_time(&q, "deadline");
        c->created_usec = store_get_time(&q, "created_at");
    }
    return store_finish_one(&q, "The request", why);
}

static enum err put_intent(struct store_tx *tx, const struct signed_claim *c, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_claims_signed_sql_intent);
    bind_nonce(&q, c);
    store_bind_text(&q, "intent_id", c->intent_id);
    return store_finish(&q, NULL, why);
}

static enum err find_repeated(struct store_tx *tx, struct signed_claim *c, struct why *why)
{
    enum err e = read_nonce(tx, c, why);
    if (e == OK && c->stored_deadline_usec != c->deadline_usec) {
        e = why_set(why, ERR_ALREADY_EXISTS, "nonce",
                    "The nonce was used for a request with another deadline.");
    }
    c->intent_id = c->tx.id;
    return e;
}

static enum err write_request(struct store_tx *tx, void *ctx, struct why *why)
{
    struct signed_claim *c = ctx;
    char holder[ADDRESS_TEXT_MAX];
    c->intent_id = SLICE_EMPTY;
    enum err e = take_nonce(tx, c, why);
    if (e != OK || !c->created) {
        return e == OK ? find_repeated(tx, c, why) : e;
    }
    if (c->deadline_usec <= clock_wall_usec()) {
        return why_set(why, ERR_DEADLINE_EXPIRED, "deadline", "The deadline has passed.");
    }
    e = leasing_claims_pay(tx, c->call, &c->holder, c->deadline_usec, &c->intent_id, why);
    if (e == OK) {
        e = put_intent(tx, c, why);
    }
    address_format(&c->holder, holder);
    return e == OK ? leasing_audit(tx, c->call, LEASING_AUDIT_CLAIM_AUTHORIZED,
                                   slice_format(c->call->req, "holder/%s", holder), c->intent_id,
                                   SLICE_EMPTY, why)
                   : e;
}

static enum err write_answer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct signed_claim *c = ctx;
    struct json_out *j = c->call->out;
    enum err e = read_nonce(tx, c, why);
    if (e != OK) {
        return e;
    }
    json_begin_object(j);
    json_key(j, "holderAddress");
    json_address(j, &c->holder);
    json_key(j, "nonce");
    json_hex(j, hash_slice(&c->nonce));
    json_key(j, "deadline");
    json_time(j, c->stored_deadline_usec);
    json_key(j, "createdAt");
    json_time(j, c->created_usec);
    json_key(j, "transaction");
    leasing_tx_json(j, &c->tx);
    json_end_object(j);
    return OK;
}

enum err leasing_api_claims_signed(struct http_call *call, struct why *why)
{
    struct signed_claim c = {.call = call, .leasing = call->ctx};
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = read_request(&c, why);
    }
    if (e == OK) {
        e = verify(&c, why);
    }
    if (e == OK && !relay_has_wallet(c.leasing->relay, &c.holder)) {
        e = why_set(why, ERR_UNKNOWN_WALLET, "address",
                    "The marketplace pays the account that asks, and the key of this one is not "
                    "here: its holder sends claimRevenue himself.");
    }
    if (e == OK) {
        e = store_write(call->store, write_request, &c, why);
    }
    if (e != OK) {
        return e;
    }
    leasing_await(call, c.intent_id, wait_usec);
    call->status = c.created ? 201 : 200;
    return store_read(call->store, write_answer, &c, why);
}
