/* Payment headers: what is read is bounded and whole, and never passes for another offer. */
#include "kernel/base/check.h"
#include "kernel/x402/x402.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one(struct arena *arena, enum x402_version version, struct slice header)
{
    struct x402_payment p = {0};
    struct x402_authorization a = {0};
    struct why why = {.err = OK};
    struct x402_offer offer = {.chain_id = 31337,
                               .amount = u256_from_u64(1000),
                               .timeout_seconds = 300,
                               .token_name = SLICE_LIT("USD Coin"),
                               .token_version = SLICE_LIT("2")};
    enum err e = x402_payment_decode(arena, version, header, &p, &why);
    if (e != OK) {
        ASSERT(why.err == e && why.text[0] != '\0');
        return;
    }
    ASSERT(p.payload->type == JSON_OBJECT && p.version == version);
    (void)x402_offer_match(&p, &offer, 1);
    if (x402_exact_check(p.payload, &offer, 0, &a, &why) == X402_OK) {
        ASSERT(u256_equal(a.value, offer.amount) && address_equal(&a.to, &offer.pay_to));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slice bytes = SLICE_EMPTY;
    struct buf text = {.arena = &arena};
    arena_init(&arena, 0);
    if (x402_base64_decode(&arena, slice_of(data, size), &bytes, NULL) == OK) {
        x402_base64_encode(&text, bytes);
        ASSERT(slice_equal(buf_slice(&text), slice_of(data, size)));
    }
    one(&arena, X402_V2, slice_of(data, size));
    one(&arena, X402_V1, slice_of(data, size));
    /* The bytes as what is inside, which changes of single bytes do not reach otherwise. */
    struct buf wrapped = {.arena = &arena};
    x402_base64_encode(&wrapped, slice_of(data, size));
    one(&arena, X402_V2, buf_slice(&wrapped));
    one(&arena, X402_V1, buf_slice(&wrapped));
    arena_free(&arena);
    return 0;
}
