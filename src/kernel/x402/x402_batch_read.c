/* What clients send of a channel, and which of our offers it belongs to. */
#include "kernel/base/hex.h"
#include "kernel/x402/x402_batch.h"

#define DELAY_BITS 40

/* get_amount reads a string of digits below 2^bits, without sign or leading zero. */
static enum err get_amount(const struct json *object, const char *key, unsigned bits,
                           struct u256 *out, struct why *why)
{
    struct slice text = SLICE_EMPTY;
    struct u256 value = U256_ZERO;
    enum err e = json_get_text(object, key, &text, why);
    if (e != OK) {
        return e;
    }
    e = text.len > 1 && text.ptr[0] == '0' ? ERR_INVALID_AMOUNT : u256_parse(text, &value);
    if (e == OK && u256_bits(value) > bits) {
        e = ERR_AMOUNT_OVERFLOW;
    }
    if (e != OK) {
        return why_set(why, e, key, "%s must be decimal digits below 2^%u.", key, bits);
    }
    *out = value;
    return OK;
}

static enum err get_signature(const struct json *object, struct signature *out, struct why *why)
{
    uint8_t bytes[SIGNATURE_BYTES];
    struct slice text = SLICE_EMPTY;
    enum err e = json_get_text(object, "signature", &text, why);
    if (e == OK && hex_decode_fixed(text, bytes, sizeof(bytes)) != OK) {
        e = why_set(why, ERR_SIGNATURE_MALFORMED, "signature",
                    "The signature must be 0x and the hexadecimal digits of 65 bytes.");
    }
    return e == OK ? signature_decode(slice_of(bytes, sizeof(bytes)), out, why) : e;
}

static enum err channel_read(const struct json *payload, struct x402_channel *out, struct why *why)
{
    const struct json *c = NULL;
    const struct json *delay = NULL;
    enum err e = json_get(payload, "channelConfig", JSON_OBJECT, &c, why);
    if (e == OK) {
        e = json_get_address(c, "payer", &out->payer, why);
    }
    if (e == OK) {
        e = json_get_address(c, "payerAuthorizer", &out->payer_authorizer, why);
    }
    if (e == OK) {
        e = json_get_address(c, "receiver", &out->receiver, why);
    }
    if (e == OK) {
        e = json_get_address(c, "receiverAuthorizer", &out->receiver_authorizer, why);
    }
    if (e == OK) {
        e = json_get_address(c, "token", &out->token, why);
    }
    if (e == OK) {
        e = json_get(c, "withdrawDelay", JSON_NUMBER, &delay, why);
    }
    if (e == OK && (slice_parse_u64(delay->text, &out->withdraw_delay) != OK ||
                    out->withdraw_delay >> DELAY_BITS != 0)) {
        e = why_set(why, ERR_INVALID_FIELD, "withdrawDelay",
                    "withdrawDelay must be whole seconds below 2^%d.", DELAY_BITS);
    }
    return e == OK ? json_get_hash(c, "salt", &out->salt, why) : e;
}

static enum x402_batch_reason voucher_read(const struct json *payload,
                                           struct x402_batch_payment *out, struct hash *said,
                                           struct why *why)
{
    const struct json *v = NULL;
    struct slice id = SLICE_EMPTY;
    enum err e = json_get(payload, "voucher", JSON_OBJECT, &v, why);
    if (e == OK) {
        e = json_get_text(v, "channelId", &id, why);
    }
    if (e == OK && hash_parse(id, said) != OK) {
        (void)why_set(why, ERR_INVALID_HASH, "channelId",
                      "channelId must be 0x and the hexadecimal digits of 32 bytes.");
        return X402_BATCH_CHANNEL_ID;
    }
    if (e == OK) {
        e = get_amount(v, "maxClaimableAmount", X402_BATCH_AMOUNT_BITS, &out->claimable, why);
    }
    if (e != OK) {
        return X402_BATCH_PAYLOAD;
    }
    return get_signature(v, &out->signature, why) == OK ? X402_BATCH_OK : X402_BATCH_SIGNATURE;
}

/* get_salt reads digits, decimal or of 0x: the nonce is made of the number. */
static enum err get_salt(const struct json *object, struct u256 *out, struct why *why)
{
    struct slice text = SLICE_EMPTY;
    enum err e = json_get_text(object, "salt", &text, why);
    if (e == OK && u256_parse_hex(text, out) != OK && u256_parse(text, out) != OK) {
        e = why_set(why, ERR_INVALID_AMOUNT, "salt", "salt must be an integer below 2^256.");
    }
    return e;
}

static enum x402_batch_reason deposit_read(const struct json *payload, struct x402_deposit *out,
                                           struct why *why)
{
    const struct json *d = NULL;
    const struct json *authorization = NULL;
    const struct json *a = NULL;
    enum err e = json_get(payload, "deposit", JSON_OBJECT, &d, why);
    if (e == OK) {
        e = get_amount(d, "amount", X402_BATCH_AMOUNT_BITS, &out->amount, why);
    }
    if (e == OK) {
        e = json_get(d, "authorization", JSON_OBJECT, &authorization, why);
    }
    if (e != OK) {
        return X402_BATCH_PAYLOAD;
    }
    if (json_get(authorization, "erc3009Authorization", JSON_OBJECT, &a, why) != OK) {
        return X402_BATCH_DEPOSIT_METHOD;
    }
    e = get_amount(a, "validAfter", 256, &out->valid_after, why);
    if (e == OK) {
        e = get_amount(a, "validBefore", 256, &out->valid_before, why);
    }
    if (e == OK) {
        e = get_salt(a, &out->salt, why);
    }
    if (e != OK) {
        return X402_BATCH_PAYLOAD;
    }
    return get_signature(a, &out->signature, why) == OK ? X402_BATCH_OK
                                                        : X402_BATCH_DEPOSIT_SIGNATURE;
}

static enum x402_batch_reason refund_read(const struct json *payload,
                                          struct x402_batch_payment *out, struct why *why)
{
    if (json_find(payload, "amount") == NULL) {
        return X402_BATCH_OK;
    }
    enum err e = get_amount(payload, "amount", X402_BATCH_AMOUNT_BITS, &out->refund_amount, why);
    if (e == OK && u256_is_zero(out->refund_amount)) {
        e = why_set(why, ERR_INVALID_AMOUNT, "amount", "A refund is of at least one unit.");
    }
    out->has_refund_amount = e == OK;
    return e == OK ? X402_BATCH_OK : X402_BATCH_REFUND_AMOUNT;
}

/* binding says whether a channel is one that our offer is about. */
static enum x402_batch_reason binding(const struct x402_batch_payment *p, const struct hash *said,
                                      const struct x402_batch_offer *offer, struct why *why)
{
    const struct x402_channel *c = &p->channel;
    enum x402_batch_reason reason = X402_BATCH_OK;
    if (!hash_equal(said, &p->channel_id)) {
        reason = X402_BATCH_CHANNEL_ID_MISMATCH;
    } else if (!address_equal(&c->receiver, &offer->pay_to)) {
        reason = X402_BATCH_RECEIVER;
    } else if (!address_equal(&c->receiver_authorizer, &offer->receiver_authorizer)) {
        reason = X402_BATCH_RECEIVER_AUTHORIZER;
    } else if (!address_equal(&c->token, &offer->asset)) {
        reason = X402_BATCH_TOKEN;
    } else if (c->withdraw_delay != offer->withdraw_delay) {
        reason = X402_BATCH_DELAY;
    } else if (c->withdraw_delay < X402_BATCH_DELAY_MIN ||
               c->withdraw_delay > X402_BATCH_DELAY_MAX) {
        reason = X402_BATCH_DELAY_RANGE;
    }
    if (reason != X402_BATCH_OK) {
        (void)why_set(why, ERR_INVALID_FIELD, "channelConfig",
                      "The channel is not one of this offer: %s.", x402_batch_reason_code(reason));
    }
    return reason;
}

static enum x402_batch_type type_of(const struct json *payload)
{
    static const struct {
        const char *text;
        enum x402_batch_type type;
    } rows[] = {{"deposit", X402_BATCH_DEPOSIT},
                {"voucher", X402_BATCH_VOUCHER},
                {"refund", X402_BATCH_REFUND}};
    const struct json *said = json_find(payload, "type");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (said != NULL && said->type == JSON_STRING &&
            slice_equal_text(said->text, rows[i].text)) {
            return rows[i].type;
        }
    }
    return 0;
}

enum x402_batch_reason x402_batch_read(const struct json *payload,
                                       const struct x402_batch_offer *offer,
                                       struct x402_batch_payment *out, struct why *why)
{
    struct x402_batch_payment p = {.type = type_of(payload)};
    struct hash said = {{0}};
    if (p.type == 0) {
        (void)why_set(why, ERR_INVALID_FIELD, "type", "type is deposit, voucher or refund.");
        return X402_BATCH_PAYLOAD;
    }
    if (channel_read(payload, &p.channel, why) != OK) {
        return X402_BATCH_PAYLOAD;
    }
    enum x402_batch_reason reason = voucher_read(payload, &p, &said, why);
    if (reason == X402_BATCH_OK && p.type == X402_BATCH_DEPOSIT) {
        reason = deposit_read(payload, &p.deposit, why);
    }
    if (reason == X402_BATCH_OK && p.type == X402_BATCH_REFUND) {
        reason = refund_read(payload, &p, why);
    }
    if (reason == X402_BATCH_OK) {
        p.channel_id = x402_channel_id(&offer->escrow, &p.channel);
        reason = binding(&p, &said, offer, why);
    }
    if (reason == X402_BATCH_OK) {
        *out = p;
    }
    return reason;
}

/* ---- which offer ---- */

static bool text_is(const struct json *object, const char *key, struct slice expected)
{
    const struct json *v = json_find(object, key);
    return v != NULL && v->type == JSON_STRING && slice_equal(v->text, expected);
}

static bool address_is(const struct json *object, const char *key, const struct address *expected)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(expected, text);
    return text_is(object, key, slice_text(text));
}

static bool amount_is(const struct json *object, const char *key, struct u256 expected)
{
    char text[U256_TEXT_MAX];
    (void)u256_format(expected, text);
    return text_is(object, key, slice_text(text));
}

static bool number_is(const struct json *object, const char *key, uint64_t expected)
{
    uint64_t value = 0;
    const struct json *v = json_find(object, key);
    return v != NULL && v->type == JSON_NUMBER && slice_parse_u64(v->text, &value) == OK &&
           value == expected;
}

/* echo_is says whether an echoed offer is ours to the letter; `extra` may hold more. */
static bool echo_is(const struct json *echo, const struct x402_batch_offer *offer)
{
    static const char *const members[] = {"scheme", "network",           "amount", "asset",
                                          "payTo",  "maxTimeoutSeconds", "extra",  NULL};
    char network[X402_NETWORK_MAX];
    x402_network_format(X402_V2, offer->escrow.chain_id, network);
    const struct json *extra = json_find(echo, "extra");
    return json_only(echo, members, NULL) == OK &&
           text_is(echo, "scheme", SLICE_LIT("batch-settlement")) &&
           text_is(echo, "network", slice_text(network)) &&
           amount_is(echo, "amount", offer->amount) && address_is(echo, "asset", &offer->asset) &&
           address_is(echo, "payTo", &offer->pay_to) &&
           number_is(echo, "maxTimeoutSeconds", offer->timeout_seconds) &&
           text_is(extra, "name", offer->token_name) &&
           text_is(extra, "version", offer->token_version) &&
           address_is(extra, "receiverAuthorizer", &offer->receiver_authorizer) &&
           number_is(extra, "withdrawDelay", offer->withdraw_delay) &&
           amount_is(extra, "minDeposit", offer->deposit_min);
}

const struct x402_batch_offer *x402_batch_match(const struct x402_payment *payment,
                                                const struct x402_batch_offer *offers, size_t count)
{
    for (size_t i = 0; payment->version == X402_V2 && i < count; i++) {
        if (echo_is(payment->accepted, &offers[i])) {
            return &offers[i];
        }
    }
    return NULL;
}
