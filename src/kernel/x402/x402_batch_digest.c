/* What the sides of a channel sign: EIP-712 of the escrow, and of the asset for a deposit. */
#include <string.h>

#include "kernel/base/check.h"
#include "kernel/evm/eip712.h"
#include "kernel/x402/x402_batch.h"

#define CLAIM_ENTRY "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
#define WORDS_MAX 8

const struct address x402_batch_escrow = {{0x40, 0x20, 0x07, 0x4e, 0x9d, 0xf2, 0xce,
                                           0x1d, 0xee, 0x5a, 0x9c, 0x1b, 0x5c, 0x3f,
                                           0x54, 0x1d, 0x02, 0xa1, 0x00, 0x03}};
const struct address x402_batch_collector = {{0x40, 0x20, 0x80, 0x60, 0x89, 0x47, 0x0a,
                                              0x89, 0x82, 0x6c, 0xb9, 0xfb, 0x1f, 0x40,
                                              0x59, 0x15, 0x0b, 0x55, 0x00, 0x04}};

/* A struct as it is hashed: its type hash, then a word a member. */
struct encoded {
    uint8_t bytes[WORDS_MAX * U256_BYTES];
    size_t len;
};

static struct encoded encoded_of(const char *type)
{
    struct encoded s = {.len = HASH_BYTES};
    struct hash h = keccak256(slice_text(type));
    memcpy(s.bytes, h.bytes, HASH_BYTES);
    return s;
}

static uint8_t *add_word(struct encoded *s)
{
    ASSERT(s->len + U256_BYTES <= sizeof(s->bytes));
    s->len += U256_BYTES;
    return s->bytes + s->len - U256_BYTES;
}

static void add_address(struct encoded *s, const struct address *a)
{
    memcpy(add_word(s) + U256_BYTES - ADDRESS_BYTES, a->bytes, ADDRESS_BYTES);
}

static void add_u256(struct encoded *s, struct u256 value)
{
    u256_encode_be(value, add_word(s));
}

static void add_hash(struct encoded *s, const struct hash *h)
{
    memcpy(add_word(s), h->bytes, HASH_BYTES);
}

static struct hash hash_of(const struct encoded *s)
{
    return keccak256(slice_of(s->bytes, s->len));
}

static struct hash digest_for(const struct x402_escrow *escrow, const struct encoded *s)
{
    struct eip712_domain domain = {.name = SLICE_LIT("x402 Batch Settlement"),
                                   .version = SLICE_LIT("1"),
                                   .chain_id = escrow->chain_id,
                                   .contract = escrow->contract};
    struct hash separator = eip712_domain_separator(&domain);
    struct hash message = hash_of(s);
    return eip712_digest(&separator, &message);
}

struct hash x402_channel_id(const struct x402_escrow *escrow, const struct x402_channel *channel)
{
    struct encoded s =
        encoded_of("ChannelConfig(address payer,address payerAuthorizer,address receiver,"
                   "address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)");
    add_address(&s, &channel->payer);
    add_address(&s, &channel->payer_authorizer);
    add_address(&s, &channel->receiver);
    add_address(&s, &channel->receiver_authorizer);
    add_address(&s, &channel->token);
    add_u256(&s, u256_from_u64(channel->withdraw_delay));
    add_hash(&s, &channel->salt);
    return digest_for(escrow, &s);
}

struct hash x402_voucher_digest(const struct x402_escrow *escrow, const struct hash *channel_id,
                                struct u256 claimable)
{
    struct encoded s = encoded_of("Voucher(bytes32 channelId,uint128 maxClaimableAmount)");
    add_hash(&s, channel_id);
    add_u256(&s, claimable);
    return digest_for(escrow, &s);
}

struct hash x402_refund_digest(const struct x402_escrow *escrow, const struct hash *channel_id,
                               struct u256 nonce, struct u256 amount)
{
    struct encoded s = encoded_of("Refund(bytes32 channelId,uint256 nonce,uint128 amount)");
    add_hash(&s, channel_id);
    add_u256(&s, nonce);
    add_u256(&s, amount);
    return digest_for(escrow, &s);
}

struct hash x402_claims_digest(struct arena *arena, const struct x402_escrow *escrow,
                               const struct x402_claim *claims, size_t count)
{
    uint8_t *entries = arena_alloc(arena, count * HASH_BYTES + 1);
    for (size_t i = 0; i < count; i++) {
        struct encoded s = encoded_of(CLAIM_ENTRY);
        add_hash(&s, &claims[i].channel_id);
        add_u256(&s, claims[i].claimable);
        add_u256(&s, claims[i].total);
        struct hash h = hash_of(&s);
        memcpy(entries + i * HASH_BYTES, h.bytes, HASH_BYTES);
    }
    struct hash list = keccak256(slice_of(entries, count * HASH_BYTES));
    struct encoded s = encoded_of("ClaimBatch(ClaimEntry[] claims)" CLAIM_ENTRY);
    add_hash(&s, &list);
    return digest_for(escrow, &s);
}

struct hash x402_deposit_nonce(const struct hash *channel_id, struct u256 salt)
{
    uint8_t words[2 * U256_BYTES];
    memcpy(words, channel_id->bytes, HASH_BYTES);
    u256_encode_be(salt, words + U256_BYTES);
    return keccak256(slice_of(words, sizeof(words)));
}

struct hash x402_deposit_digest(const struct x402_batch_offer *offer,
                                const struct x402_batch_payment *payment)
{
    const struct x402_deposit *d = &payment->deposit;
    struct eip712_domain domain = {.name = offer->token_name,
                                   .version = offer->token_version,
                                   .chain_id = offer->escrow.chain_id,
                                   .contract = offer->asset};
    struct encoded s = encoded_of("ReceiveWithAuthorization(address from,address to,uint256 value,"
                                  "uint256 validAfter,uint256 validBefore,bytes32 nonce)");
    struct hash nonce = x402_deposit_nonce(&payment->channel_id, d->salt);
    add_address(&s, &payment->channel.payer);
    add_address(&s, &offer->collector);
    add_u256(&s, d->amount);
    add_u256(&s, d->valid_after);
    add_u256(&s, d->valid_before);
    add_hash(&s, &nonce);
    struct hash separator = eip712_domain_separator(&domain);
    struct hash message = hash_of(&s);
    return eip712_digest(&separator, &message);
}
