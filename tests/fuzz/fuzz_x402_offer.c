/* Offers of other servers, as a facilitator reads them: whole, or refused with a reason. */
#include "kernel/base/check.h"
#include "kernel/x402/x402.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one(struct arena *arena, enum x402_version version, const struct json *v)
{
    struct x402_offer offer = {.chain_id = 7};
    struct why why = {.err = OK};
    enum x402_reason reason = x402_offer_read(v, version, 84532, &offer, &why);
    if (reason != X402_OK) {
        ASSERT(why.err != OK && why.text[0] != '\0' && offer.chain_id == 7);
        return;
    }
    /* What was read is written again, and read as the same. */
    struct buf text = {.arena = arena};
    struct json_out j;
    const struct json *again = NULL;
    const struct x402_resource resource = {.url = SLICE_LIT("http://x/")};
    struct x402_offer second;
    json_out_init(&j, &text);
    x402_offers_write(&j, version, &resource, &offer, 1);
    ASSERT(json_parse(arena, buf_slice(&text), &json_limits_body, &again, NULL) == OK);
    ASSERT(x402_offer_read(again->child, version, 84532, &second, NULL) == X402_OK);
    ASSERT(u256_equal(offer.amount, second.amount) &&
           address_equal(&offer.pay_to, &second.pay_to) &&
           address_equal(&offer.asset, &second.asset) &&
           slice_equal(offer.token_name, second.token_name) &&
           slice_equal(offer.token_version, second.token_version) &&
           offer.timeout_seconds == second.timeout_seconds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct json *v = NULL;
    arena_init(&arena, 0);
    if (json_parse(&arena, slice_of(data, size), &json_limits_body, &v, NULL) == OK &&
        v->type == JSON_OBJECT) {
        one(&arena, X402_V2, v);
        one(&arena, X402_V1, v);
    }
    arena_free(&arena);
    return 0;
}
