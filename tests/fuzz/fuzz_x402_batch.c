/* Payloads of channels: what is read is bounded, whole, and of the offer it was held against. */
#include "kernel/base/check.h"
#include "kernel/x402/x402_batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_limits limits = {
    .bytes_max = X402_HEADER_MAX, .depth_max = 16, .nodes_max = 512};

/* offer_of makes the offer that the payload would belong to, if it belongs to any. */
static struct x402_batch_offer offer_of(const struct json *payload)
{
    struct x402_batch_offer offer = {.escrow = {.chain_id = 31337, .contract = x402_batch_escrow},
                                     .collector = x402_batch_collector,
                                     .amount = u256_from_u64(1000),
                                     .withdraw_delay = 900,
                                     .token_name = SLICE_LIT("USD Coin"),
                                     .token_version = SLICE_LIT("2")};
    const struct json *config = json_find(payload, "channelConfig");
    if (json_get_address(config, "receiver", &offer.pay_to, NULL) != OK ||
        json_get_address(config, "receiverAuthorizer", &offer.receiver_authorizer, NULL) != OK ||
        json_get_address(config, "token", &offer.asset, NULL) != OK) {
        offer.withdraw_delay = 901;
    }
    return offer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct json *payload = NULL;
    struct why why = {.err = OK};
    arena_init(&arena, 0);
    if (json_parse(&arena, slice_of(data, size), &limits, &payload, NULL) == OK &&
        payload->type == JSON_OBJECT) {
        struct x402_batch_payment p = {0};
        struct x402_batch_offer offer = offer_of(payload);
        enum x402_batch_reason reason = x402_batch_read(payload, &offer, &p, &why);
        if (reason != X402_BATCH_OK) {
            ASSERT(p.type == 0 && why.text[0] != '\0');
        } else {
            struct hash id = x402_channel_id(&offer.escrow, &p.channel);
            struct x402_channel_state state = {.balance = p.claimable};
            struct u256 charged = U256_ZERO;
            ASSERT(hash_equal(&id, &p.channel_id));
            ASSERT(u256_bits(p.claimable) <= X402_BATCH_AMOUNT_BITS);
            ASSERT(address_equal(&p.channel.receiver, &offer.pay_to));
            (void)x402_batch_signed(&offer, &p, 0, &why);
            (void)x402_batch_check(&offer, &p, &state, &why);
            if (x402_batch_charge(&p, &state, offer.amount, &charged, &why) == X402_BATCH_OK) {
                ASSERT(u256_compare(charged, p.claimable) <= 0);
            }
        }
    }
    struct x402_payment echo = {.version = X402_V2, .accepted = payload};
    struct x402_batch_offer offer = offer_of(NULL);
    if (payload != NULL) {
        (void)x402_batch_match(&echo, &offer, 1);
    }
    arena_free(&arena);
    return 0;
}
