/* channels_send.c: calls of the escrow contract as intents of the relay. */
#include "domain/channels/channels_internal.h"
#include "gen/abi_batch_settlement.h"
#include "kernel/base/check.h"
#include "kernel/base/hex.h"

struct abi_channel_config channels_abi_config(const struct x402_channel *c)
{
    return (struct abi_channel_config){.payer = c->payer,
                                       .payer_authorizer = c->payer_authorizer,
                                       .receiver = c->receiver,
                                       .receiver_authorizer = c->receiver_authorizer,
                                       .token = c->token,
                                       .withdraw_delay = c->withdraw_delay,
                                       .salt = c->salt};
}

enum err channels_submit(struct store_tx *tx, const struct channels *c, struct arena *arena,
                         struct relay_intent intent, struct slice *out_id, struct why *why)
{
    struct slice id = SLICE_EMPTY;
    intent.chain_id = c->escrow.chain_id;
    intent.wallet = c->authorizer;
    intent.has_to = true;
    intent.to = c->escrow.contract;
    intent.role = CHANNELS_ROLE;
    enum err e = relay_submit(tx, arena, &intent, &id, why);
    if (e == OK && out_id != NULL) {
        *out_id = id;
    }
    return e;
}

/* collector_data is abi.encode(uint256, uint256, uint256, bytes) of what the payer signed. */
static struct slice collector_data(struct arena *arena, const struct x402_deposit *d)
{
    enum { HEAD = 4 * U256_BYTES, TAIL = U256_BYTES + 3 * U256_BYTES };
    uint8_t *bytes = arena_alloc_array(arena, HEAD + TAIL, 1);
    u256_encode_be(d->valid_after, bytes);
    u256_encode_be(d->valid_before, bytes + U256_BYTES);
    u256_encode_be(d->salt, bytes + 2 * U256_BYTES);
    u256_encode_be(u256_from_u64(HEAD), bytes + 3 * U256_BYTES);
    u256_encode_be(u256_from_u64(SIGNATURE_BYTES), bytes + HEAD);
    signature_encode(&d->signature, bytes + HEAD + U256_BYTES);
    return slice_of(bytes, HEAD + TAIL);
}

/* deadline_of is when an authorization ends; one beyond the calendar has none. */
static int64_t deadline_of(struct u256 valid_before)
{
    uint64_t seconds = 0;
    enum err e = u256_to_u64(valid_before, &seconds);
    bool far = e != OK || seconds > (uint64_t)(INT64_MAX / USEC_PER_SEC);
    return far ? 0 : (int64_t)seconds * USEC_PER_SEC;
}

static struct slice hex_key(struct arena *arena, const char *what, uint64_t chain_id,
                            const struct hash *h, struct u256 number)
{
    char digits[U256_TEXT_MAX];
    (void)u256_format(number, digits);
    struct slice hex = hex_encode(arena, hash_slice(h));
    return slice_format(arena, "%s/%llu/%.*s/%s", what, (unsigned long long)chain_id,
                        SLICE_ARG(hex), digits);
}

enum err channels_deposit(struct store_tx *tx, struct arena *arena, const struct channels *c,
                          const struct x402_batch_offer *offer,
                          const struct x402_batch_payment *payment, struct slice *out_id,
                          struct why *why)
{
    const struct x402_deposit *d = &payment->deposit;
    struct abi_channel_config config = channels_abi_config(&payment->channel);
    struct slice data = SLICE_EMPTY;
    ASSERT(payment->type == X402_BATCH_DEPOSIT);
    enum err e = batch_settlement_deposit_encode(arena, &config, d->amount, &offer->collector,
                                                 collector_data(arena, d), &data, why);
    if (e != OK) {
        return e;
    }
    /* Channel and salt are the nonce of the authorization, which the token lets through once. */
    struct relay_intent intent = {
        .key = hex_key(arena, "deposit", c->escrow.chain_id, &payment->channel_id, d->salt),
        .data = data,
        .purpose = CHANNELS_PURPOSE_DEPOSIT,
        .deadline_usec = deadline_of(d->valid_before),
        .priority = RELAY_HIGH};
    return channels_submit(tx, c, arena, intent, out_id, why);
}

enum err channels_refund(struct store_tx *tx, struct arena *arena, const struct channels *c,
                         const struct x402_channel_row *row, struct u256 amount,
                         struct slice *out_id, struct why *why)
{
    struct abi_channel_config config = channels_abi_config(&row->channel);
    struct hash id = x402_channel_id(&c->escrow, &row->channel);
    struct slice data = SLICE_EMPTY;
    enum err e = batch_settlement_refund_encode(arena, &config, amount, &data, why);
    if (e != OK) {
        return e;
    }
    struct relay_intent intent = {
        .key = hex_key(arena, "refund", c->escrow.chain_id, &id, row->state.refund_nonce),
        .data = data,
        .purpose = CHANNELS_PURPOSE_REFUND};
    return channels_submit(tx, c, arena, intent, out_id, why);
}
