/* Scheme "exact" with EIP-3009: reading an authorization and holding it against an offer. */
#include <string.h>

#include "kernel/base/hex.h"
#include "kernel/evm/eip712.h"
#include "kernel/x402/x402.h"

/*
 * Typehash of TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,
 * uint256 validBefore,bytes32 nonce)
 */
static const struct hash transfer_typehash = {{0x7c, 0x7c, 0x6c, 0xdb, 0x67, 0xa1, 0x87, 0x43,
                                               0xf4, 0x9e, 0xc6, 0xfa, 0x9b, 0x35, 0xf5, 0x0d,
                                               0x52, 0xed, 0x05, 0xcb, 0xed, 0x4c, 0xc5, 0x92,
                                               0xe1, 0x3b, 0x44, 0x50, 0x1c, 0x1a, 0x22, 0x67}};

struct hash x402_exact_digest(const struct x402_offer *offer, const struct x402_authorization *a)
{
    struct eip712_domain domain = {.name = offer->token_name,
                                   .version = offer->token_version,
                                   .chain_id = offer->chain_id,
                                   .contract = offer->asset};
    uint8_t words[7 * U256_BYTES] = {0};
    memcpy(words, transfer_typehash.bytes, HASH_BYTES);
    memcpy(words + 2 * U256_BYTES - ADDRESS_BYTES, a->from.bytes, ADDRESS_BYTES);
    memcpy(words + 3 * U256_BYTES - ADDRESS_BYTES, a->to.bytes, ADDRESS_BYTES);
    u256_encode_be(a->value, words + 3 * U256_BYTES);
    u256_encode_be(a->valid_after, words + 4 * U256_BYTES);
    u256_encode_be(a->valid_before, words + 5 * U256_BYTES);
    memcpy(words + 6 * U256_BYTES, a->nonce.bytes, HASH_BYTES);
    struct hash separator = eip712_domain_separator(&domain);
    struct hash message = keccak256(slice_of(words, sizeof(words)));
    return eip712_digest(&separator, &message);
}

/* get_decimal reads a string of digits as uint256 texts are written: no sign, no leading zero. */
static enum err get_decimal(const struct json *object, const char *key, struct u256 *out,
                            struct why *why)
{
    struct slice text = SLICE_EMPTY;
    enum err e = json_get_text(object, key, &text, why);
    if (e != OK) {
        return e;
    }
    e = text.len > 1 && text.ptr[0] == '0' ? ERR_INVALID_AMOUNT : u256_parse(text, out);
    if (e != OK) {
        return why_set(why, e, key, "%s must be decimal digits below 2^256.", key);
    }
    return OK;
}

static enum err authorization_read(const struct json *payload, struct x402_authorization *out,
                                   struct why *why)
{
    const struct json *a = NULL;
    enum err e = json_get(payload, "authorization", JSON_OBJECT, &a, why);
    if (e == OK) {
        e = json_get_address(a, "from", &out->from, why);
    }
    if (e == OK) {
        e = json_get_address(a, "to", &out->to, why);
    }
    if (e == OK) {
        e = get_decimal(a, "value", &out->value, why);
    }
    if (e == OK) {
        e = get_decimal(a, "validAfter", &out->valid_after, why);
    }
    if (e == OK) {
        e = get_decimal(a, "validBefore", &out->valid_before, why);
    }
    if (e == OK) {
        e = json_get_hash(a, "nonce", &out->nonce, why);
    }
    return e;
}

static enum x402_reason signature_check(const struct json *payload, const struct x402_offer *offer,
                                        struct x402_authorization *a, struct why *why)
{
    uint8_t bytes[SIGNATURE_BYTES];
    struct slice text = SLICE_EMPTY;
    struct address signer;
    if (json_get_text(payload, "signature", &text, why) != OK) {
        return X402_UNSUPPORTED_PAYLOAD;
    }
    if (hex_decode_fixed(text, bytes, sizeof(bytes)) != OK) {
        (void)why_set(why, ERR_SIGNATURE_MALFORMED, "signature",
                      "The signature must be 0x and the hexadecimal digits of 65 bytes.");
        return X402_SIGNATURE_UNREADABLE;
    }
    if (signature_decode(slice_of(bytes, sizeof(bytes)), &a->signature, why) != OK) {
        return X402_SIGNATURE;
    }
    struct hash digest = x402_exact_digest(offer, a);
    if (secp256k1_recover(&digest, &a->signature, &signer, why) != OK) {
        return X402_SIGNATURE;
    }
    if (address_is_zero(&a->from) || !address_equal(&signer, &a->from)) {
        (void)why_set(why, ERR_SIGNATURE_SIGNER, "signature",
                      "The signature was not made by `from` for this asset, chain and message.");
        return X402_SIGNATURE;
    }
    return X402_OK;
}

enum x402_reason x402_exact_terms(const struct x402_authorization *a,
                                  const struct x402_offer *offer, int64_t now_usec, struct why *why)
{
    /* Whole seconds: the end must be at least the margin away, the begin not after this second. */
    uint64_t now = now_usec > 0 ? (uint64_t)(now_usec / USEC_PER_SEC) : 0;
    struct u256 soonest = u256_from_u64(now + (uint64_t)(X402_MARGIN_USEC / USEC_PER_SEC));
    if (!address_equal(&a->to, &offer->pay_to)) {
        (void)why_set(why, ERR_INVALID_FIELD, "to", "The payment goes to another payee.");
        return X402_RECIPIENT;
    }
    if (u256_compare(a->valid_before, soonest) < 0) {
        (void)why_set(why, ERR_DEADLINE_EXPIRED, "validBefore",
                      "The payment has expired, or does so within 6 seconds.");
        return X402_VALID_BEFORE;
    }
    if (u256_compare(a->valid_after, u256_from_u64(now)) > 0) {
        (void)why_set(why, ERR_INVALID_TIME, "validAfter", "The payment is not valid yet.");
        return X402_VALID_AFTER;
    }
    if (!u256_equal(a->value, offer->amount)) {
        (void)why_set(why, ERR_INVALID_AMOUNT, "value", "The value is not the amount asked for.");
        return X402_VALUE;
    }
    return X402_OK;
}

enum x402_reason x402_exact_read(const struct json *payload, const struct x402_offer *offer,
                                 struct x402_authorization *out, struct why *why)
{
    struct x402_authorization a = {0};
    if (offer->token_name.len == 0 || offer->token_version.len == 0) {
        (void)why_set(why, ERR_CONFIG, NULL, "The EIP-712 domain of the asset is not known.");
        return X402_NO_DOMAIN;
    }
    if (authorization_read(payload, &a, why) != OK) {
        return X402_UNSUPPORTED_PAYLOAD;
    }
    enum x402_reason reason = signature_check(payload, offer, &a, why);
    if (reason == X402_OK) {
        *out = a;
    }
    return reason;
}

enum x402_reason x402_exact_check(const struct json *payload, const struct x402_offer *offer,
                                  int64_t now_usec, struct x402_authorization *out, struct why *why)
{
    struct x402_authorization a = {0};
    enum x402_reason reason = x402_exact_read(payload, offer, &a, why);
    if (reason == X402_OK) {
        reason = x402_exact_terms(&a, offer, now_usec, why);
    }
    if (reason == X402_OK) {
        *out = a;
    }
    return reason;
}
