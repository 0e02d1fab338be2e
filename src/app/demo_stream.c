/*
 * demo_stream.c: streaming access, paid by the second. The demo is the client: it takes the offer
 * of each step, signs an authorization of the token for it, and sends that along. What was paid is
 * added up from the answers, and held against the balances on the chain and the API's own books.
 */
#include "app/demo.h"
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/rand.h"
#include "kernel/x402/x402.h"

#define STEPS 10

struct stream {
    struct demo *demo;
    const struct address *payer;
    const struct address *lessor;
    struct u256 paid;
    struct u256 payer_before;
    struct u256 lessor_before;
};

/* ---- paying ---- */

static enum err read_offer(struct demo *demo, struct slice mode, const struct json **out_accepted,
                           struct x402_offer *out, struct why *why)
{
    const struct json *answer = NULL;
    enum err e =
        demo_get(demo,
                 slice_format(&demo->arena, "/api/v1/leases/%s/x402/requirements?mode=%.*s",
                              demo->lease_id, SLICE_ARG(mode)),
                 &answer, why);
    if (e != OK) {
        return e;
    }
    const struct json *accepts = demo_at(answer, "paymentRequired.accepts");
    const struct json *accepted = accepts != NULL ? accepts->child : NULL;
    if (accepted == NULL) {
        return why_set(why, ERR_CORRUPT, NULL, "no step is offered");
    }
    e = demo_expect(x402_offer_read(accepted, X402_V2, demo->contracts.chain_id, out, NULL) ==
                        X402_OK,
                    why, "the offer cannot be read");
    *out_accepted = accepted;
    return e;
}

static void number_json(struct json_out *j, const char *key, struct u256 value)
{
    json_key(j, key);
    json_u256(j, value);
}

/* PAYMENT-SIGNATURE. Owns: the demo's arena. */
static struct slice payment_header(struct demo *demo, const struct json *accepted,
                                   const struct x402_authorization *a, struct slice signature)
{
    struct buf text;
    struct buf header;
    struct json_out j;
    buf_init(&text, &demo->arena, 1024);
    json_out_init(&j, &text);
    json_begin_object(&j);
    json_key(&j, "x402Version");
    json_u64(&j, X402_V2);
    json_key(&j, "accepted");
    json_tree(&j, accepted);
    json_key(&j, "payload");
    json_begin_object(&j);
    json_key(&j, "signature");
    json_string(&j, signature);
    json_key(&j, "authorization");
    json_begin_object(&j);
    json_key(&j, "from");
    json_address(&j, &a->from);
    json_key(&j, "to");
    json_address(&j, &a->to);
    number_json(&j, "value", a->value);
    number_json(&j, "validAfter", a->valid_after);
    number_json(&j, "validBefore", a->valid_before);
    json_key(&j, "nonce");
    json_hex(&j, hash_slice(&a->nonce));
    json_end_object(&j);
    json_end_object(&j);
    json_end_object(&j);
    buf_init(&header, &demo->arena, 2048);
    x402_base64_encode(&header, buf_slice(&text));
    return buf_slice(&header);
}

static enum err buy_step(struct stream *s, struct slice mode, struct why *why)
{
    struct demo *demo = s->demo;
    const struct json *accepted = NULL;
    const struct json *answer = NULL;
    struct x402_offer offer = {.chain_id = 0};
    struct slice signature;
    struct u256 amount;
    enum err e = read_offer(demo, mode, &accepted, &offer, why);
    if (e != OK) {
        return e;
    }
    uint64_t now = (uint64_t)(clock_wall_usec() / (int64_t)USEC_PER_SEC);
    struct x402_authorization a = {
        .from = *s->payer,
        .to = offer.pay_to,
        .value = offer.amount,
        .valid_before = u256_from_u64(now + offer.timeout_seconds),
    };
    rand_bytes(a.nonce.bytes, HASH_BYTES);
    struct hash digest = x402_exact_digest(&offer, &a);
    e = demo_sign(demo, DEMO_BIDDER_HIGH, &digest, &signature, why);
    if (e == OK) {
        e = demo_post_paid(demo,
                           slice_format(&demo->arena, "/api/v1/leases/%s/access?mode=%.*s",
                                        demo->lease_id, SLICE_ARG(mode)),
                           payment_header(demo, accepted, &a, signature), &answer, why);
    }
    if (e == OK) {
        e = json_get_u256(answer, "amount", &amount, why);
    }
    return e == OK ? u256_add(s->paid, amount, &s->paid) : e;
}

/* ---- adding up ---- */

static enum err read_balances(struct stream *s, struct u256 *out_payer, struct u256 *out_lessor,
                              struct why *why)
{
    const struct address *coin = &s->demo->contracts.stablecoin;
    enum err e = demo_token_balance(s->demo, coin, s->payer, out_payer, why);
    return e == OK ? demo_token_balance(s->demo, coin, s->lessor, out_lessor, why) : e;
}

static enum err check_balances(struct stream *s, struct why *why)
{
    struct u256 payer;
    struct u256 lessor;
    struct u256 spent;
    struct u256 earned;
    enum err e = read_balances(s, &payer, &lessor, why);
    if (e == OK) {
        e = u256_sub(s->payer_before, payer, &spent);
    }
    if (e == OK) {
        e = u256_sub(lessor, s->lessor_before, &earned);
    }
    if (e == OK) {
        e = demo_expect(u256_equal(spent, s->paid) && u256_equal(earned, s->paid), why,
                        "the balances on chain do not add up to what was paid");
    }
    if (e == OK) {
        demo_fact(s->demo, "lessee", "%.*s, %.*s before", SLICE_ARG(demo_usdc(s->demo, payer)),
                  SLICE_ARG(demo_usdc(s->demo, s->payer_before)));
        demo_fact(s->demo, "lessor", "%.*s, %.*s before", SLICE_ARG(demo_usdc(s->demo, lessor)),
                  SLICE_ARG(demo_usdc(s->demo, s->lessor_before)));
    }
    return e;
}

/* The hours, as the API tells them, add up to the same. */
static enum err check_hours(struct stream *s, struct why *why)
{
    struct demo *demo = s->demo;
    const struct json *hours = NULL;
    struct u256 sum = U256_ZERO;
    enum err e =
        demo_get(demo, slice_format(&demo->arena, "/api/v1/leases/%s/x402/hours", demo->lease_id),
                 &hours, why);
    for (const struct json *h = e == OK ? hours->child : NULL; e == OK && h != NULL; h = h->next) {
        struct u256 total;
        e = json_get_u256(h, "totalAmount", &total, why);
        if (e == OK) {
            e = u256_add(sum, total, &sum);
        }
    }
    return e == OK ? demo_expect(u256_equal(sum, s->paid), why,
                                 "the hours do not add up to what was paid")
                   : e;
}

enum err demo_step_access(struct demo *demo, struct why *why)
{
    struct stream s = {.demo = demo,
                       .payer = &demo->parties[DEMO_BIDDER_HIGH],
                       .lessor = &demo->parties[DEMO_LESSOR],
                       .paid = U256_ZERO};
    enum err e = read_balances(&s, &s.payer_before, &s.lessor_before, why);
    for (int i = 0; e == OK && i < STEPS; i++) {
        e = buy_step(&s, SLICE_LIT("second"), why);
    }
    if (e == OK) {
        demo_fact(demo, "seconds", "%d, paid one by one, %.*s in all", STEPS,
                  SLICE_ARG(demo_usdc(demo, s.paid)));
        e = buy_step(&s, SLICE_LIT("batch-5s"), why);
    }
    if (e == OK) {
        demo_fact(demo, "paid", "%.*s with a step of 5 s", SLICE_ARG(demo_usdc(demo, s.paid)));
        e = check_balances(&s, why);
    }
    return e == OK ? check_hours(&s, why) : e;
}
