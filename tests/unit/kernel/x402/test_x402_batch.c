#include "kernel/x402/x402_batch.h"

#include "unit/vectors.h"

/*
 * Expected values are those of tests/vectors/x402.json and x402_batch.json, which viem and
 * @x402/evm 2.27 made.
 */

#define NOW (INT64_C(1800000000) * USEC_PER_SEC)
#define PAYEE "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
#define OTHER "0x8ba1f109551bD432803012645Ac136ddd64DBA72"

static struct arena arena;
static const struct json *old_vectors;
static const struct json *vectors;
static struct x402_batch_offer offer;

static int setup(void **state)
{
    arena_init(&arena, 0);
    old_vectors = vector_file(&arena, "x402.json");
    vectors = vector_file(&arena, "x402_batch.json");
    offer = (struct x402_batch_offer){
        .escrow = {.chain_id = 31337, .contract = x402_batch_escrow},
        .collector = x402_batch_collector,
        .asset = vector_address("0x5FbDB2315678afecb367f032d93F642f64180aa3"),
        .pay_to = vector_address(PAYEE),
        .amount = u256_from_u64(1000),
        .timeout_seconds = 300,
        .receiver_authorizer = vector_address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
        .withdraw_delay = 900,
        .deposit_min = u256_from_u64(10000),
        .token_name = SLICE_LIT("USD Coin"),
        .token_version = SLICE_LIT("2")};
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static struct hash hash_member(const struct json *v, const char *key)
{
    struct hash h;
    assert_int_equal(json_get_hash(v, key, &h, NULL), OK);
    return h;
}

static void assert_digest(struct hash digest, const struct json *vector)
{
    struct hash expected = hash_member(vector, "digest");
    assert_true(hash_equal(&digest, &expected));
}

static const struct json *old_vector(size_t index)
{
    return json_at(json_find(old_vectors, "vectors"), index);
}

static struct x402_channel old_channel(void)
{
    return (struct x402_channel){
        .payer = vector_address("0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"),
        .payer_authorizer = vector_address("0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"),
        .receiver = vector_address(PAYEE),
        .receiver_authorizer = vector_address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
        .token = vector_address("0x5FbDB2315678afecb367f032d93F642f64180aa3"),
        .withdraw_delay = 900};
}

static void test_digests(void **state)
{
    struct x402_channel channel = old_channel();
    struct hash id = x402_channel_id(&offer.escrow, &channel);
    assert_digest(id, old_vector(1));
    assert_digest(x402_voucher_digest(&offer.escrow, &id, u256_from_u64(5000)), old_vector(2));
    assert_digest(x402_refund_digest(&offer.escrow, &id, U256_ZERO, u256_from_u64(700)),
                  old_vector(3));
    struct x402_claim claim = {id, u256_from_u64(5000), u256_from_u64(4200)};
    assert_digest(x402_claims_digest(&arena, &offer.escrow, &claim, 1), old_vector(4));
    struct x402_batch_payment p = {
        .channel = channel,
        .channel_id = id,
        .deposit = {.amount = u256_from_u64(50000), .valid_before = u256_from_u64(4102444800)}};
    const struct json *nonce = json_find(old_vectors, "depositNonce");
    struct hash salt = hash_member(nonce, "salt");
    assert_int_equal(u256_decode_be(hash_slice(&salt), &p.deposit.salt), OK);
    struct hash made = x402_deposit_nonce(&id, p.deposit.salt);
    struct hash expected = hash_member(nonce, "nonce");
    assert_true(hash_equal(&made, &expected));
    assert_digest(x402_deposit_digest(&offer, &p), old_vector(5));
}

static void test_digest_of_many_claims(void **state)
{
    const struct json *rows = json_find(json_find(vectors, "claims"), "rows");
    struct x402_claim claims[3];
    assert_int_equal(rows->count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct json *row = json_at(rows, i);
        claims[i].channel_id = hash_member(row, "channelId");
        assert_int_equal(json_get_u256(row, "maxClaimableAmount", &claims[i].claimable, NULL), OK);
        assert_int_equal(json_get_u256(row, "totalClaimed", &claims[i].total, NULL), OK);
    }
    assert_digest(x402_claims_digest(&arena, &offer.escrow, claims, 3),
                  json_find(vectors, "claims"));
}

/* read_vector reads what a client of the reference package made, from its header. */
static struct x402_batch_payment read_vector(const char *name)
{
    struct slice header = SLICE_EMPTY;
    struct x402_payment payment = {0};
    struct x402_batch_payment p = {0};
    struct why why = {0};
    assert_int_equal(json_get_text(json_find(vectors, name), "header", &header, NULL), OK);
    assert_int_equal(x402_payment_decode(&arena, X402_V2, header, &payment, &why), OK);
    assert_ptr_equal(x402_batch_match(&payment, &offer, 1), &offer);
    if (x402_batch_read(payment.payload, &offer, &p, &why) != X402_BATCH_OK) {
        fail_msg("%s: %s", name, why.text);
    }
    return p;
}

static struct x402_channel_state state_of(uint64_t charged, uint64_t balance, uint64_t claimed)
{
    return (struct x402_channel_state){.charged = u256_from_u64(charged),
                                       .balance = u256_from_u64(balance),
                                       .claimed = u256_from_u64(claimed)};
}

static enum x402_batch_reason checked(const struct x402_batch_payment *p,
                                      struct x402_channel_state s)
{
    return x402_batch_check(&offer, p, &s, NULL);
}

static void test_what_a_client_sends(void **state)
{
    struct x402_batch_payment p = read_vector("deposit");
    assert_int_equal(p.type, X402_BATCH_DEPOSIT);
    assert_true(u256_equal(p.deposit.amount, u256_from_u64(10000)));
    assert_int_equal(x402_batch_signed(&offer, &p, NOW, NULL), X402_BATCH_OK);
    assert_int_equal(checked(&p, state_of(0, 0, 0)), X402_BATCH_OK);
    p = read_vector("voucher");
    assert_int_equal(p.type, X402_BATCH_VOUCHER);
    assert_int_equal(x402_batch_signed(&offer, &p, NOW, NULL), X402_BATCH_OK);
    assert_int_equal(checked(&p, state_of(4200, 50000, 3000)), X402_BATCH_OK);
    p = read_vector("topup");
    assert_int_equal(p.type, X402_BATCH_DEPOSIT);
    assert_int_equal(x402_batch_signed(&offer, &p, NOW, NULL), X402_BATCH_OK);
    assert_int_equal(checked(&p, state_of(49500, 50000, 3000)), X402_BATCH_OK);
    p = read_vector("refund");
    assert_int_equal(p.type, X402_BATCH_REFUND);
    assert_int_equal(x402_batch_signed(&offer, &p, NOW, NULL), X402_BATCH_OK);
    assert_int_equal(checked(&p, state_of(4200, 50000, 4200)), X402_BATCH_OK);
}

/* changed returns the payload of a vector with one piece of text in place of another. */
static const struct json *changed(const char *name, const char *from, const char *to)
{
    struct buf text = {.arena = &arena};
    json_write(&text, json_find(json_find(vectors, name), "payload"));
    char *all = slice_cstr(&arena, buf_slice(&text));
    const char *at = strstr(all, from);
    assert_non_null(at);
    struct buf out = {.arena = &arena};
    buf_add(&out, all, (size_t)(at - all));
    buf_add_text(&out, to);
    buf_add_text(&out, at + strlen(from));
    return vector_json(&arena, slice_cstr(&arena, buf_slice(&out)));
}

static void test_shape(void **state)
{
    static const struct {
        const char *vector;
        const char *from;
        const char *to;
        enum x402_batch_reason reason;
    } rows[] = {
        {"voucher", "\"type\":\"voucher\"", "\"type\":\"claim\"", X402_BATCH_PAYLOAD},
        {"voucher", "\"type\":\"voucher\"", "\"type\":1", X402_BATCH_PAYLOAD},
        {"voucher", "\"channelConfig\"", "\"config\"", X402_BATCH_PAYLOAD},
        {"voucher", "\"withdrawDelay\":900", "\"withdrawDelay\":\"900\"", X402_BATCH_PAYLOAD},
        {"voucher", "\"withdrawDelay\":900", "\"withdrawDelay\":1099511627776", X402_BATCH_PAYLOAD},
        {"voucher", "\"withdrawDelay\":900", "\"withdrawDelay\":901",
         X402_BATCH_CHANNEL_ID_MISMATCH},
        {"voucher", "\"receiver\":\"" PAYEE, "\"receiver\":\"" OTHER,
         X402_BATCH_CHANNEL_ID_MISMATCH},
        {"voucher", "\"channelId\":\"0x", "\"channelId\":\"", X402_BATCH_CHANNEL_ID},
        {"voucher", "\"5200\"", "5200", X402_BATCH_PAYLOAD},
        {"voucher", "\"5200\"", "\"05200\"", X402_BATCH_PAYLOAD},
        {"voucher", "\"5200\"", "\"-1\"", X402_BATCH_PAYLOAD},
        {"voucher", "\"5200\"", "\"340282366920938463463374607431768211455\"", X402_BATCH_OK},
        {"voucher", "\"5200\"", "\"340282366920938463463374607431768211456\"", X402_BATCH_PAYLOAD},
        {"voucher", "\"signature\":\"0x", "\"signature\":\"0x00", X402_BATCH_SIGNATURE},
        {"refund", "\"1500\"", "\"0\"", X402_BATCH_REFUND_AMOUNT},
        {"refund", "\"1500\"", "1500", X402_BATCH_REFUND_AMOUNT},
        {"refund", ",\"amount\":\"1500\"", "", X402_BATCH_OK},
        {"deposit", "erc3009Authorization", "permit2Authorization", X402_BATCH_DEPOSIT_METHOD},
        {"deposit", "\"10000\"", "\"1e4\"", X402_BATCH_PAYLOAD},
        {"deposit", "\"salt\":\"0xa4", "\"salt\":\"0xg4", X402_BATCH_PAYLOAD},
        {"deposit", "\"validAfter\":\"0\"", "\"validAfter\":0", X402_BATCH_PAYLOAD},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct x402_batch_payment out = {0};
        enum x402_batch_reason reason =
            x402_batch_read(changed(rows[i].vector, rows[i].from, rows[i].to), &offer, &out, NULL);
        if (reason != rows[i].reason) {
            fail_msg("%zu %s: %s", i, rows[i].to, x402_batch_reason_code(reason));
        }
        assert_int_equal(out.type != 0, reason == X402_BATCH_OK);
    }
}

/* A channel that is one, but not of this offer. */
static void test_binding(void **state)
{
    const struct json *payload = json_find(json_find(vectors, "voucher"), "payload");
    struct x402_batch_offer mine = offer;
    struct x402_batch_payment out = {0};
    struct why why = {0};
    mine.pay_to = vector_address(OTHER);
    assert_int_equal(x402_batch_read(payload, &mine, &out, &why), X402_BATCH_RECEIVER);
    assert_non_null(strstr(why.text, "receiver_mismatch"));
    mine = offer;
    mine.receiver_authorizer = vector_address(OTHER);
    assert_int_equal(x402_batch_read(payload, &mine, &out, NULL), X402_BATCH_RECEIVER_AUTHORIZER);
    mine = offer;
    mine.asset = vector_address(OTHER);
    assert_int_equal(x402_batch_read(payload, &mine, &out, NULL), X402_BATCH_TOKEN);
    mine = offer;
    mine.withdraw_delay = 1000;
    assert_int_equal(x402_batch_read(payload, &mine, &out, NULL), X402_BATCH_DELAY);
    mine = offer;
    mine.escrow.chain_id = 1; /* the id of another chain */
    assert_int_equal(x402_batch_read(payload, &mine, &out, NULL), X402_BATCH_CHANNEL_ID_MISMATCH);
    mine = offer;
    mine.escrow.contract = vector_address(OTHER);
    assert_int_equal(x402_batch_read(payload, &mine, &out, NULL), X402_BATCH_CHANNEL_ID_MISMATCH);
}

static void test_signatures(void **state)
{
    struct x402_batch_payment p = read_vector("voucher");
    p.claimable = u256_from_u64(5201);
    assert_int_equal(x402_batch_signed(&offer, &p, NOW, NULL), X402_BATCH_SIGNATURE);
    p = read_vector("voucher");
    p.channel.payer_authorizer = vector_address(OTHER);
    assert_int_equal(x402_batch_signed(&offer, &p, NOW, NULL), X402_BATCH_SIGNATURE);
    p.channel.payer_authorizer = (struct address){{0}}; /* a contract would be asked */
    assert_int_equal(x402_batch_signed(&offer, &p, NOW, NULL), X402_BATCH_SIGNATURE);
    p = read_vector("deposit");
    p.deposit.amount = u256_from_u64(10001);
    assert_int_equal(x402_batch_signed(&offer, &p, NOW, NULL), X402_BATCH_DEPOSIT_SIGNATURE);
    p = read_vector("deposit");
    /* validBefore is 1800000300: six seconds ahead are needed. */
    int64_t last = (INT64_C(1800000300) - 6) * USEC_PER_SEC;
    assert_int_equal(x402_batch_signed(&offer, &p, last, NULL), X402_BATCH_OK);
    assert_int_equal(x402_batch_signed(&offer, &p, last + USEC_PER_SEC, NULL),
                     X402_BATCH_DEPOSIT_BEFORE);
    p.deposit.valid_after = u256_from_u64(1800000001);
    assert_int_equal(x402_batch_signed(&offer, &p, NOW, NULL), X402_BATCH_DEPOSIT_AFTER);
    struct x402_batch_offer nameless = offer;
    nameless.token_name = SLICE_EMPTY;
    assert_int_equal(x402_batch_signed(&nameless, &p, NOW, NULL), X402_BATCH_NO_DOMAIN);
}

static void test_amounts(void **state)
{
    struct x402_batch_payment p = read_vector("voucher"); /* up to 5200, of 1000 a request */
    assert_int_equal(checked(&p, state_of(4199, 50000, 0)), X402_BATCH_CUMULATIVE);
    assert_int_equal(checked(&p, state_of(4201, 50000, 0)), X402_BATCH_CUMULATIVE);
    assert_int_equal(checked(&p, state_of(4200, 5200, 0)), X402_BATCH_OK);
    assert_int_equal(checked(&p, state_of(4200, 5199, 0)), X402_BATCH_BALANCE);
    assert_int_equal(checked(&p, state_of(4200, 0, 0)), X402_BATCH_NOT_FOUND);
    assert_int_equal(checked(&p, state_of(4200, 6000, 5199)), X402_BATCH_OK);
    assert_int_equal(checked(&p, state_of(4200, 6000, 5200)), X402_BATCH_BELOW_CLAIMED);
    struct x402_channel_state s = state_of(4200, 6000, 0);
    s.withdrawing = u256_from_u64(800);
    assert_int_equal(checked(&p, s), X402_BATCH_OK);
    s.withdrawing = u256_from_u64(801);
    assert_int_equal(checked(&p, s), X402_BATCH_BALANCE);
    s.withdrawing = U256_MAX;
    assert_int_equal(checked(&p, s), X402_BATCH_BALANCE);

    p = read_vector("topup"); /* 500 are missing, 10000 or less come in */
    s = state_of(49500, 50000, 0);
    assert_int_equal(checked(&p, s), X402_BATCH_OK);
    struct x402_batch_offer strict = offer;
    strict.deposit_enforced = true;
    strict.deposit_min = u256_from_u64(1000000);
    assert_int_equal(x402_batch_check(&strict, &p, &s, NULL), X402_BATCH_DEPOSIT_MIN);
    p.deposit.amount = u256_from_u64(499);
    assert_int_equal(checked(&p, s), X402_BATCH_BALANCE);

    p = read_vector("refund"); /* at 4200 */
    assert_int_equal(checked(&p, state_of(3200, 50000, 0)), X402_BATCH_CUMULATIVE);
    assert_int_equal(checked(&p, state_of(4200, 50000, 4201)), X402_BATCH_BELOW_CLAIMED);
}

static void test_charges_and_refunds(void **state)
{
    struct x402_batch_payment p = read_vector("voucher");
    struct x402_channel_state s = state_of(4200, 50000, 0);
    struct u256 out = U256_ZERO;
    assert_int_equal(x402_batch_charge(&p, &s, u256_from_u64(700), &out, NULL), X402_BATCH_OK);
    assert_true(u256_equal(out, u256_from_u64(4900)));
    assert_int_equal(x402_batch_charge(&p, &s, u256_from_u64(1001), &out, NULL), X402_BATCH_CHARGE);
    assert_int_equal(x402_batch_charge(&p, &s, U256_MAX, &out, NULL), X402_BATCH_CHARGE);
    assert_true(u256_equal(out, u256_from_u64(4900)));

    p = read_vector("refund");
    assert_int_equal(x402_batch_refund(&p, &s, &out, NULL), X402_BATCH_OK);
    assert_true(u256_equal(out, u256_from_u64(1500)));
    p.has_refund_amount = false;
    assert_int_equal(x402_batch_refund(&p, &s, &out, NULL), X402_BATCH_OK);
    assert_true(u256_equal(out, u256_from_u64(45800)));
    p.has_refund_amount = true;
    p.refund_amount = u256_from_u64(45801);
    assert_int_equal(x402_batch_refund(&p, &s, &out, NULL), X402_BATCH_REFUND_AMOUNT);
    s = state_of(4200, 4200, 0);
    assert_int_equal(x402_batch_refund(&p, &s, &out, NULL), X402_BATCH_REFUND_NOTHING);
}

static void test_echo(void **state)
{
    static const char *const parts[][2] = {
        {"\"batch-settlement\"", "\"exact\""},
        {"\"eip155:31337\"", "\"eip155:8453\""},
        {"\"1000\"", "\"1\""},
        {"\"1000\"", "1000"},
        {PAYEE, OTHER},
        {"\"maxTimeoutSeconds\":300", "\"maxTimeoutSeconds\":3000"},
        {"\"withdrawDelay\":900", "\"withdrawDelay\":\"900\""},
        {"\"minDeposit\":\"10000\"", "\"minDeposit\":\"1\""},
        {"\"receiverAuthorizer\"", "\"authorizer\""},
        {"\"version\":\"2\"", "\"version\":\"1\""},
    };
    struct buf text = {.arena = &arena};
    json_write(&text, json_find(vectors, "requirements"));
    char *all = slice_cstr(&arena, buf_slice(&text));
    struct x402_payment p = {.version = X402_V2, .accepted = vector_json(&arena, all)};
    assert_ptr_equal(x402_batch_match(&p, &offer, 1), &offer);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const char *at = strstr(all, parts[i][0]);
        assert_non_null(at);
        struct buf out = {.arena = &arena};
        buf_add(&out, all, (size_t)(at - all));
        buf_add_text(&out, parts[i][1]);
        buf_add_text(&out, at + strlen(parts[i][0]));
        p.accepted = vector_json(&arena, slice_cstr(&arena, buf_slice(&out)));
        assert_null(x402_batch_match(&p, &offer, 1));
    }
    p = (struct x402_payment){.version = X402_V1, .scheme = SLICE_LIT("batch-settlement")};
    assert_null(x402_batch_match(&p, &offer, 1));
}

static struct slice written_offer(const struct hash *id, const struct x402_channel_state *s)
{
    struct buf *text = arena_alloc(&arena, sizeof(*text));
    struct json_out j;
    text->arena = &arena;
    json_out_init(&j, text);
    x402_batch_offer_write(&j, &offer, id, s);
    return buf_slice(text);
}

static void test_written(void **state)
{
    struct buf expected = {.arena = &arena};
    json_write(&expected, json_find(vectors, "requirements"));
    assert_true(slice_equal(written_offer(NULL, NULL), buf_slice(&expected)));

    /* Put right, the client echoes more in extra: still the same offer. */
    struct x402_batch_payment p = read_vector("voucher");
    struct x402_channel_state s = state_of(5200, 50000, 3000);
    s.signed_max = p.claimable;
    s.signature = p.signature;
    struct slice text = written_offer(&p.channel_id, &s);
    assert_non_null(strstr(slice_cstr(&arena, text),
                           "\"channelState\":{\"channelId\":\"0x60fcc7ec1ccb0b3f9a8909a19db785ffc8"
                           "70e6516feb2912fa0a8e32cee491ad\",\"balance\":\"50000\",\"totalClaimed\""
                           ":\"3000\",\"withdrawRequestedAt\":0,\"refundNonce\":\"0\","
                           "\"chargedCumulativeAmount\":\"5200\"},\"voucherState\":"
                           "{\"signedMaxClaimable\":\"5200\",\"signature\":\"0x"));
    struct x402_payment echo = {.version = X402_V2,
                                .accepted = vector_json(&arena, slice_cstr(&arena, text))};
    assert_ptr_equal(x402_batch_match(&echo, &offer, 1), &offer);
    struct slice signature = SLICE_EMPTY, sent = SLICE_EMPTY;
    const struct json *extra = json_find(echo.accepted, "extra");
    assert_int_equal(json_get_text(json_find(extra, "voucherState"), "signature", &signature, NULL),
                     OK);
    const struct json *payload = json_find(json_find(vectors, "voucher"), "payload");
    assert_int_equal(json_get_text(json_find(payload, "voucher"), "signature", &sent, NULL), OK);
    assert_true(slice_equal(signature, sent));
    /* Without a voucher there is nothing to believe. */
    s.signed_max = U256_ZERO;
    assert_null(strstr(slice_cstr(&arena, written_offer(&p.channel_id, &s)), "voucherState"));
}

static void test_receipts(void **state)
{
    struct x402_channel_state s = state_of(4900, 50000, 3000);
    struct address payer = vector_address(PAYEE);
    struct hash tx =
        vector_hash("0x2222222222222222222222222222222222222222222222222222222222222222");
    struct x402_batch_receipt r = {.type = X402_BATCH_VOUCHER,
                                   .chain_id = 31337,
                                   .payer = &payer,
                                   .charged = u256_from_u64(700),
                                   .state = &s};
    struct buf text = {.arena = &arena};
    struct json_out j;
    json_out_init(&j, &text);
    x402_batch_receipt_write(&j, &r);
#define STATE                                                                                      \
    "\"channelState\":{\"channelId\":\"0x000000000000000000000000000000000000000000000000000000"   \
    "0000000000\",\"balance\":\"50000\",\"totalClaimed\":\"3000\",\"withdrawRequestedAt\":0,"      \
    "\"refundNonce\":\"0\",\"chargedCumulativeAmount\":\"4900\"}"
    assert_text(buf_slice(&text),
                "{\"success\":true,\"transaction\":\"\",\"network\":"
                "\"eip155:31337\",\"payer\":\"" PAYEE "\",\"amount\":\"\",\"extra\":{" STATE
                ",\"chargedAmount\":\"700\"}}");
    r.type = X402_BATCH_REFUND;
    r.transaction = &tx;
    r.amount = u256_from_u64(1500);
    text.len = 0;
    json_out_init(&j, &text);
    x402_batch_receipt_write(&j, &r);
    assert_text(buf_slice(&text), "{\"success\":true,\"transaction\":\"0x22222222222222222222222222"
                                  "22222222222222222222222222222222222222\",\"network\":"
                                  "\"eip155:31337\",\"payer\":\"" PAYEE
                                  "\",\"amount\":\"1500\",\"extra\":{" STATE "}}");
    r = (struct x402_batch_receipt){.reason = X402_BATCH_BUSY, .chain_id = 8453};
    text.len = 0;
    json_out_init(&j, &text);
    x402_batch_receipt_write(&j, &r);
    assert_text(buf_slice(&text),
                "{\"success\":false,\"errorReason\":\"invalid_batch_settlement_evm_channel_busy\","
                "\"transaction\":\"\",\"network\":\"eip155:8453\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_digest_of_many_claims),
        cmocka_unit_test(test_what_a_client_sends),
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_binding),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_charges_and_refunds),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_receipts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
