/* What clients send: base64, the payment in it, and which of our offers it means. */
#include <string.h>

#include "kernel/base/check.h"
#include "kernel/x402/x402.h"

static const struct json_limits header_limits = {
    .bytes_max = X402_HEADER_MAX, .depth_max = 16, .nodes_max = 512};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void x402_base64_encode(struct buf *out, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t have = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = (uint32_t)bytes.ptr[i] << 16;
        group |= have > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0;
        group |= have > 2 ? (uint32_t)bytes.ptr[i + 2] : 0;
        for (size_t d = 0; d < 4; d++) {
            char digit = d <= have ? alphabet[group >> (18 - 6 * d) & 63] : '=';
            buf_add_byte(out, (uint8_t)digit);
        }
    }
}

/* digit_value returns 0..63, or 64 for a byte that is no digit. */
static uint32_t digit_value(uint8_t c)
{
    const char *at = c != 0 ? strchr(alphabet, c) : NULL;
    return at != NULL ? (uint32_t)(at - alphabet) : 64;
}

enum err x402_base64_decode(struct arena *arena, struct slice text, struct slice *out,
                            struct why *why)
{
    if (text.len > X402_HEADER_MAX) {
        return why_set(why, ERR_HEADERS_TOO_LARGE, NULL,
                       "The payment has more than %zu characters.", X402_HEADER_MAX);
    }
    size_t digits = text.len;
    while (digits > 0 && text.len - digits < 2 && text.ptr[digits - 1] == '=') {
        digits--;
    }
    if (text.len % 4 != 0) {
        return why_set(why, ERR_INVALID_ENCODING, NULL,
                       "The payment is not padded base64: its length is no multiple of 4.");
    }
    uint8_t *bytes = arena_alloc(arena, text.len / 4 * 3 + 1);
    size_t len = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < digits; i++) {
        uint32_t value = digit_value(text.ptr[i]);
        if (value == 64) {
            return why_set(why, ERR_INVALID_ENCODING, NULL,
                           "The payment is not base64: character %zu is not of its alphabet.", i);
        }
        bits = bits << 6 | value;
        if (i % 4 != 0) {
            bytes[len++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
        }
    }
    uint32_t unused = digits % 4 == 2 ? 15 : digits % 4 == 3 ? 3 : 0;
    if ((bits & unused) != 0) {
        return why_set(why, ERR_INVALID_ENCODING, NULL,
                       "The payment is not base64: bits beyond its last byte are set.");
    }
    *out = slice_of(bytes, len);
    return OK;
}

enum err x402_payment_decode(struct arena *arena, enum x402_version version, struct slice header,
                             struct x402_payment *out, struct why *why)
{
    struct slice text = SLICE_EMPTY;
    const struct json *document = NULL;
    struct x402_payment p = {.version = version};
    uint64_t said = 0;
    enum err e = x402_base64_decode(arena, header, &text, why);
    if (e == OK) {
        e = json_parse(arena, text, &header_limits, &document, why);
    }
    if (e == OK && document->type != JSON_OBJECT) {
        e = why_set(why, ERR_INVALID_TYPE, NULL, "The payment must be a JSON object.");
    }
    const struct json *number = NULL;
    if (e == OK) {
        e = json_get(document, "x402Version", JSON_NUMBER, &number, why);
    }
    if (e == OK && (slice_parse_u64(number->text, &said) != OK || said != (uint64_t)version)) {
        e = why_set(why, ERR_INVALID_FIELD, "x402Version", "x402Version must be %d here.",
                    (int)version);
    }
    if (e == OK && version == X402_V2) {
        e = json_get(document, "accepted", JSON_OBJECT, &p.accepted, why);
    } else if (e == OK) {
        e = json_get_text(document, "scheme", &p.scheme, why);
        if (e == OK) {
            e = json_get_text(document, "network", &p.network, why);
        }
    }
    if (e == OK) {
        e = json_get(document, "payload", JSON_OBJECT, &p.payload, why);
    }
    if (e == OK) {
        *out = p;
    }
    return e;
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

/* echo_is says whether an echoed offer is ours to the letter; `extra` may hold more. */
static bool echo_is(const struct json *echo, const struct x402_offer *offer)
{
    static const char *const members[] = {"scheme", "network",           "amount", "asset",
                                          "payTo",  "maxTimeoutSeconds", "extra",  NULL};
    char network[X402_NETWORK_MAX];
    char amount[U256_TEXT_MAX];
    uint64_t timeout = 0;
    x402_network_format(X402_V2, offer->chain_id, network);
    (void)u256_format(offer->amount, amount);
    const struct json *seconds = json_find(echo, "maxTimeoutSeconds");
    const struct json *extra = json_find(echo, "extra");
    return json_only(echo, members, NULL) == OK && text_is(echo, "scheme", SLICE_LIT("exact")) &&
           text_is(echo, "network", slice_text(network)) &&
           text_is(echo, "amount", slice_text(amount)) &&
           address_is(echo, "asset", &offer->asset) && address_is(echo, "payTo", &offer->pay_to) &&
           seconds != NULL && seconds->type == JSON_NUMBER &&
           slice_parse_u64(seconds->text, &timeout) == OK && timeout == offer->timeout_seconds &&
           text_is(extra, "name", offer->token_name) &&
           text_is(extra, "version", offer->token_version);
}

const struct x402_offer *x402_offer_match(const struct x402_payment *payment,
                                          const struct x402_offer *offers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char network[X402_NETWORK_MAX];
        x402_network_format(X402_V1, offers[i].chain_id, network);
        bool meant = payment->version == X402_V2 ? echo_is(payment->accepted, &offers[i])
                                                 : slice_equal_text(payment->scheme, "exact") &&
                                                       slice_equal_text(payment->network, network);
        if (meant) {
            return &offers[i];
        }
    }
    return NULL;
}

/* ---- offers of others ---- */

static enum err terms_read(const struct json *requirements, enum x402_version version,
                           struct x402_offer *out, struct why *why)
{
    const char *amount = version == X402_V2 ? "amount" : "maxAmountRequired";
    struct slice digits = SLICE_EMPTY;
    enum err e = json_get_address(requirements, "asset", &out->asset, why);
    if (e == OK) {
        e = json_get_address(requirements, "payTo", &out->pay_to, why);
    }
    if (e == OK) {
        e = json_get_text(requirements, amount, &digits, why);
    }
    if (e == OK && u256_parse(digits, &out->amount) != OK) {
        e = why_set(why, ERR_INVALID_AMOUNT, amount, "%s must be decimal digits below 2^256.",
                    amount);
    }
    return e == OK ? json_get_u64(requirements, "maxTimeoutSeconds", &out->timeout_seconds, why)
                   : e;
}

enum x402_reason x402_offer_read(const struct json *requirements, enum x402_version version,
                                 uint64_t chain_id, struct x402_offer *out, struct why *why)
{
    struct x402_offer o = {.chain_id = chain_id};
    char network[X402_NETWORK_MAX];
    const struct json *extra = NULL;
    x402_network_format(version, chain_id, network);
    if (!text_is(requirements, "scheme", SLICE_LIT("exact"))) {
        (void)why_set(why, ERR_INVALID_FIELD, "scheme", "The scheme must be exact.");
        return X402_SCHEME;
    }
    if (!text_is(requirements, "network", slice_text(network))) {
        (void)why_set(why, ERR_INVALID_FIELD, "network", "The network must be %s.", network);
        return X402_NETWORK;
    }
    if (json_get(requirements, "extra", JSON_OBJECT, &extra, why) != OK ||
        json_get_text(extra, "name", &o.token_name, why) != OK ||
        json_get_text(extra, "version", &o.token_version, why) != OK) {
        return X402_NO_DOMAIN;
    }
    if (terms_read(requirements, version, &o, why) != OK) {
        return X402_UNSUPPORTED_PAYLOAD;
    }
    *out = o;
    return X402_OK;
}
