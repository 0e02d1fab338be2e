#include "kernel/x402/x402.h"

#include "kernel/base/hex.h"
#include "kernel/evm/eip712.h"
#include "unit/vectors.h"

/* Expected values are those of tests/vectors/x402.json, which viem and @x402/evm 2.27 made. */

static struct arena arena;
static const struct json *vectors;
static struct x402_offer offer;

#define NOW_SECONDS INT64_C(1800000000)
#define NOW (NOW_SECONDS * USEC_PER_SEC)

static int setup(void **state)
{
    arena_init(&arena, 0);
    vectors = vector_file(&arena, "x402.json");
    offer =
        (struct x402_offer){.chain_id = 31337,
                            .asset = vector_address("0x5FbDB2315678afecb367f032d93F642f64180aa3"),
                            .pay_to = vector_address("0x90F79bf6EB2c4f870365E785982E1f101E93b906"),
                            .amount = u256_from_u64(1000),
                            .timeout_seconds = 300,
                            .token_name = SLICE_LIT("USD Coin"),
                            .token_version = SLICE_LIT("2")};
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static const struct json *payment_vector(void)
{
    return json_at(json_find(vectors, "vectors"), 0);
}

static struct x402_payment decoded(enum x402_version version, const char *json)
{
    struct buf header = {.arena = &arena};
    struct x402_payment p = {0};
    struct why why = {0};
    x402_base64_encode(&header, slice_text(json));
    if (x402_payment_decode(&arena, version, buf_slice(&header), &p, &why) != OK) {
        fail_msg("%s: %s", json, why.text);
    }
    return p;
}

static void test_vector_header(void **state)
{
    struct slice header = vector_text(vectors, "header.PAYMENT-SIGNATURE");
    struct x402_payment p = {0};
    struct x402_authorization a = {0};
    struct why why = {0};
    assert_int_equal(x402_payment_decode(&arena, X402_V2, header, &p, &why), OK);
    assert_ptr_equal(x402_offer_match(&p, &offer, 1), &offer);
    assert_int_equal(x402_exact_check(p.payload, &offer, NOW, &a, &why), X402_OK);
    assert_hex(address_slice(&a.from), "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a");
    assert_true(u256_equal(a.valid_before, u256_from_u64(4102444800)));
    struct hash digest = x402_exact_digest(&offer, &a);
    struct slice expected;
    assert_int_equal(json_get_text(payment_vector(), "digest", &expected, NULL), OK);
    assert_hex(hash_slice(&digest), slice_cstr(&arena, expected));
    /* Base64 of the same document gives the same header. */
    struct slice bytes;
    struct buf again = {.arena = &arena};
    assert_int_equal(x402_base64_decode(&arena, header, &bytes, NULL), OK);
    x402_base64_encode(&again, bytes);
    assert_true(slice_equal(buf_slice(&again), header));
}

static struct hash hash_member(const struct json *v, const char *key)
{
    struct hash h;
    assert_int_equal(json_get_hash(v, key, &h, NULL), OK);
    return h;
}

/* Domains, digests and signers of every signed message, those of channels too. */
static void test_vector_signatures(void **state)
{
    const struct json *all = json_find(vectors, "vectors");
    assert_int_equal(all->count, 6);
    for (const struct json *v = all->child; v != NULL; v = v->next) {
        const struct json *d = json_find(v, "domain");
        struct eip712_domain domain = {0};
        struct address signer, expected;
        struct slice bytes;
        struct signature signature;
        assert_int_equal(json_get_text(d, "name", &domain.name, NULL), OK);
        assert_int_equal(json_get_text(d, "version", &domain.version, NULL), OK);
        assert_int_equal(json_get_u64(d, "chainId", &domain.chain_id, NULL), OK);
        assert_int_equal(json_get_address(d, "verifyingContract", &domain.contract, NULL), OK);
        struct hash separator = eip712_domain_separator(&domain);
        struct hash said = hash_member(v, "domainSeparator");
        assert_true(hash_equal(&separator, &said));
        struct hash message = hash_member(v, "structHash");
        struct hash digest = eip712_digest(&separator, &message);
        said = hash_member(v, "digest");
        assert_true(hash_equal(&digest, &said));
        assert_int_equal(json_get_hex(&arena, v, "signature", &bytes, NULL), OK);
        assert_int_equal(signature_decode(bytes, &signature, NULL), OK);
        assert_int_equal(secp256k1_recover(&digest, &signature, &signer, NULL), OK);
        assert_int_equal(json_get_address(v, "signer", &expected, NULL), OK);
        assert_true(address_equal(&signer, &expected));
    }
    const struct json *selectors = json_find(vectors, "selectors");
    for (const struct json *v = selectors->child; v != NULL; v = v->next) {
        struct hash h = keccak256(v->key);
        assert_hex(slice_of(h.bytes, 4), slice_cstr(&arena, v->text));
    }
}

/* RFC 4648, section 10, and what is not in its alphabet or not whole. */
static void test_base64(void **state)
{
    static const char *const good[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    static const char *const bad[] = {"Z",    "Zg",     "Zg=",      "Zh==",     "Zm9=",
                                      "=",    "====",   "Z===",     "Zg==Zg==", "Zm-_",
                                      "Zm 9", "Zm9v\n", "Zm9v\nZm9"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct buf out = {.arena = &arena};
        struct slice back;
        x402_base64_encode(&out, slice_text(good[i][0]));
        assert_text(buf_slice(&out), good[i][1]);
        assert_int_equal(x402_base64_decode(&arena, slice_text(good[i][1]), &back, NULL), OK);
        assert_text(back, good[i][0]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct slice back = SLICE_EMPTY;
        assert_int_equal(x402_base64_decode(&arena, slice_text(bad[i]), &back, NULL),
                         ERR_INVALID_ENCODING);
    }
    uint8_t *huge = arena_alloc(&arena, X402_HEADER_MAX + 4);
    memset(huge, 'A', X402_HEADER_MAX + 4);
    struct slice back = SLICE_EMPTY;
    assert_int_equal(x402_base64_decode(&arena, slice_of(huge, X402_HEADER_MAX + 4), &back, NULL),
                     ERR_HEADERS_TOO_LARGE);
    assert_int_equal(x402_base64_decode(&arena, slice_of(huge, X402_HEADER_MAX), &back, NULL), OK);
}

static void test_malformed(void **state)
{
    static const struct {
        const char *json;
        enum err err;
    } rows[] = {
        {"", ERR_INVALID_JSON},
        {"{", ERR_INVALID_JSON},
        {"[]", ERR_INVALID_TYPE},
        {"{}", ERR_MISSING_FIELD},
        {"{\"x402Version\":\"2\",\"accepted\":{},\"payload\":{}}", ERR_INVALID_TYPE},
        {"{\"x402Version\":1,\"accepted\":{},\"payload\":{}}", ERR_INVALID_FIELD},
        {"{\"x402Version\":2.0,\"accepted\":{},\"payload\":{}}", ERR_INVALID_FIELD},
        {"{\"x402Version\":2,\"payload\":{}}", ERR_MISSING_FIELD},
        {"{\"x402Version\":2,\"accepted\":[],\"payload\":{}}", ERR_INVALID_TYPE},
        {"{\"x402Version\":2,\"accepted\":{},\"payload\":\"{}\"}", ERR_INVALID_TYPE},
        {"{\"x402Version\":2,\"accepted\":{},\"accepted\":{},\"payload\":{}}", ERR_INVALID_JSON},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf header = {.arena = &arena};
        struct x402_payment p = {0};
        x402_base64_encode(&header, slice_text(rows[i].json));
        assert_int_equal(x402_payment_decode(&arena, X402_V2, buf_slice(&header), &p, NULL),
                         rows[i].err);
        assert_null(p.payload);
    }
    struct buf deep = {.arena = &arena}, header = {.arena = &arena};
    struct x402_payment p = {0};
    for (int i = 0; i < 40; i++) {
        buf_add_text(&deep, "[");
    }
    x402_base64_encode(&header, buf_slice(&deep));
    assert_int_not_equal(x402_payment_decode(&arena, X402_V2, buf_slice(&header), &p, NULL), OK);
}

#define ECHO_OF(scheme, network, amount, asset, payee, seconds, extra)                             \
    "{\"x402Version\":2,\"payload\":{},\"accepted\":{\"scheme\":\"" scheme                         \
    "\",\"network\":\"" network "\",\"amount\":" amount ",\"asset\":\"" asset                      \
    "\",\"payTo\":\"" payee "\",\"maxTimeoutSeconds\":" seconds ",\"extra\":" extra "}}"
#define ASSET "0x5FbDB2315678afecb367f032d93F642f64180aa3"
#define PAYEE "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
#define OTHER "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
#define EXTRA "{\"name\":\"USD Coin\",\"version\":\"2\"}"
#define MORE "{\"version\":\"2\",\"more\":[1],\"name\":\"USD Coin\"}"

static void test_echo(void **state)
{
    static const struct {
        const char *json;
        bool matches;
    } rows[] = {
        {ECHO_OF("exact", "eip155:31337", "\"1000\"", ASSET, PAYEE, "300", EXTRA), true},
        {ECHO_OF("exact", "eip155:31337", "\"1000\"", ASSET, PAYEE, "300", MORE), true},
        {ECHO_OF("exact", "eip155:31337", "\"1\"", ASSET, PAYEE, "300", EXTRA), false},
        {ECHO_OF("exact", "eip155:31337", "1000", ASSET, PAYEE, "300", EXTRA), false},
        {ECHO_OF("exact", "eip155:31337", "\"01000\"", ASSET, PAYEE, "300", EXTRA), false},
        {ECHO_OF("exact", "eip155:8453", "\"1000\"", ASSET, PAYEE, "300", EXTRA), false},
        {ECHO_OF("exact", "eip155:31337", "\"1000\"", OTHER, PAYEE, "300", EXTRA), false},
        {ECHO_OF("exact", "eip155:31337", "\"1000\"", ASSET, OTHER, "300", EXTRA), false},
        {ECHO_OF("exact", "eip155:31337", "\"1000\"", ASSET, PAYEE, "301", EXTRA), false},
        {ECHO_OF("exact", "eip155:31337", "\"1000\"", ASSET, PAYEE, "\"300\"", EXTRA), false},
        {ECHO_OF("upto", "eip155:31337", "\"1000\"", ASSET, PAYEE, "300", EXTRA), false},
        {ECHO_OF("exact", "eip155:31337", "\"1000\"", ASSET, PAYEE, "300", "{}"), false},
        {ECHO_OF("exact", "eip155:31337", "\"1000\"", ASSET, PAYEE, "300", "null"), false},
        {ECHO_OF("exact", "eip155:31337", "\"1000\"", ASSET, PAYEE, "300",
                 EXTRA ",\"outputSchema\":null"),
         false},
        {ECHO_OF("exact", "eip155:31337", "\"1000\"", "0x5fbdb2315678afecb367f032d93f642f64180aa3",
                 PAYEE, "300", EXTRA),
         false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct x402_payment p = decoded(X402_V2, rows[i].json);
        assert_ptr_equal(x402_offer_match(&p, &offer, 1), rows[i].matches ? &offer : NULL);
    }
    struct x402_payment v1 = decoded(X402_V1, "{\"x402Version\":1,\"scheme\":\"exact\",\"network\":"
                                              "\"base-sepolia\",\"payload\":{}}");
    struct x402_offer offers[2] = {offer, offer};
    assert_null(x402_offer_match(&v1, offers, 2));
    offers[1].chain_id = 84532;
    assert_ptr_equal(x402_offer_match(&v1, offers, 2), &offers[1]);
}

/* signed_by_vector is the payload of an authorization, signed with the key of the vectors. */
static const struct json *signed_by_vector(struct x402_authorization *a, struct x402_offer *domain)
{
    struct secret key =
        vector_key("0x1111111111111111111111111111111111111111111111111111111111111111");
    uint8_t bytes[SIGNATURE_BYTES];
    struct hash digest = x402_exact_digest(domain, a);
    assert_int_equal(secp256k1_sign(&key, &digest, &a->signature), OK);
    secret_clear(&key);
    signature_encode(&a->signature, bytes);
    struct buf text = {.arena = &arena};
    struct json_out j;
    json_out_init(&j, &text);
    json_begin_object(&j);
    json_key(&j, "signature");
    json_hex(&j, slice_of(bytes, sizeof(bytes)));
    json_key(&j, "authorization");
    json_begin_object(&j);
    json_key(&j, "from");
    json_address(&j, &a->from);
    json_key(&j, "to");
    json_address(&j, &a->to);
    json_key(&j, "value");
    json_u256(&j, a->value);
    json_key(&j, "validAfter");
    json_u256(&j, a->valid_after);
    json_key(&j, "validBefore");
    json_u256(&j, a->valid_before);
    json_key(&j, "nonce");
    json_hex(&j, hash_slice(&a->nonce));
    json_end_object(&j);
    json_end_object(&j);
    return vector_json(&arena, slice_cstr(&arena, buf_slice(&text)));
}

static struct x402_authorization payment(void)
{
    return (struct x402_authorization){
        .from = vector_address("0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"),
        .to = offer.pay_to,
        .value = offer.amount,
        .valid_before = u256_from_u64((uint64_t)NOW_SECONDS + 300)};
}

static enum x402_reason checked(struct x402_authorization a, struct x402_offer domain)
{
    struct x402_authorization out = {0};
    enum x402_reason reason =
        x402_exact_check(signed_by_vector(&a, &domain), &offer, NOW, &out, NULL);
    assert_int_equal(address_is_zero(&out.from), reason != X402_OK);
    return reason;
}

static void test_terms(void **state)
{
    struct x402_authorization a = payment();
    assert_int_equal(checked(a, offer), X402_OK);
    a.to = vector_address(OTHER);
    assert_int_equal(checked(a, offer), X402_RECIPIENT);
    a = payment();
    a.value = u256_from_u64(999);
    assert_int_equal(checked(a, offer), X402_VALUE);
    a.value = u256_from_u64(1001);
    assert_int_equal(checked(a, offer), X402_VALUE);
    a.value = U256_MAX;
    assert_int_equal(checked(a, offer), X402_VALUE);
    a = payment();
    a.valid_before = u256_from_u64((uint64_t)NOW_SECONDS + 6);
    assert_int_equal(checked(a, offer), X402_OK);
    a.valid_before = u256_from_u64((uint64_t)NOW_SECONDS + 5);
    assert_int_equal(checked(a, offer), X402_VALID_BEFORE);
    a = payment();
    a.valid_after = u256_from_u64((uint64_t)NOW_SECONDS);
    assert_int_equal(checked(a, offer), X402_OK);
    a.valid_after = u256_from_u64((uint64_t)NOW_SECONDS + 1);
    assert_int_equal(checked(a, offer), X402_VALID_AFTER);
    a = payment();
    a.from = vector_address(OTHER);
    assert_int_equal(checked(a, offer), X402_SIGNATURE);
    a.from = (struct address){{0}};
    assert_int_equal(checked(a, offer), X402_SIGNATURE);
    /* Signed for another chain, asset or domain name: the account is another. */
    struct x402_offer domain = offer;
    domain.chain_id = 1;
    assert_int_equal(checked(payment(), domain), X402_SIGNATURE);
    domain = offer;
    domain.asset = vector_address(OTHER);
    assert_int_equal(checked(payment(), domain), X402_SIGNATURE);
    domain = offer;
    domain.token_name = SLICE_LIT("USDC");
    assert_int_equal(checked(payment(), domain), X402_SIGNATURE);
}

#define VECTOR_R "286238bf10af7d660ba2922180e1b5fc03c4651e6e1d3190609a3eca416bedbe"
#define VECTOR_S "7928328d2e77f6f96ce4119add9efa29db0af896e981775bf4a15e1de9da4c57"
/* The order of the curve less VECTOR_S. */
#define HIGH_S "86d7cd72d1880906931bee65226105d4dfa3e44fc5c728dfcb31006ee65bf4ea"
#define PAYLOAD(signature, value, nonce)                                                           \
    "{\"signature\":\"" signature "\",\"authorization\":{\"from\":"                                \
    "\"0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A\",\"to\":\"" PAYEE "\",\"value\":" value         \
    ",\"validAfter\":\"0\",\"validBefore\":\"4102444800\",\"nonce\":\"" nonce "\"}}"
#define NONCE "0x2222222222222222222222222222222222222222222222222222222222222222"
#define GOOD "0x" VECTOR_R VECTOR_S "1c"
#define TWO_TO_256                                                                                 \
    "\"115792089237316195423570985008687907853269984665640564039457584007913129639936\""

static void test_shape(void **state)
{
    static const struct {
        const char *payload;
        enum x402_reason reason;
    } rows[] = {
        {PAYLOAD(GOOD, "\"1000\"", NONCE), X402_OK},
        {PAYLOAD(GOOD, "1000", NONCE), X402_UNSUPPORTED_PAYLOAD},
        {PAYLOAD(GOOD, "\"01000\"", NONCE), X402_UNSUPPORTED_PAYLOAD},
        {PAYLOAD(GOOD, "\"1e3\"", NONCE), X402_UNSUPPORTED_PAYLOAD},
        {PAYLOAD(GOOD, "\"0x3e8\"", NONCE), X402_UNSUPPORTED_PAYLOAD},
        {PAYLOAD(GOOD, "\"-1000\"", NONCE), X402_UNSUPPORTED_PAYLOAD},
        {PAYLOAD(GOOD, "\"\"", NONCE), X402_UNSUPPORTED_PAYLOAD},
        {PAYLOAD(GOOD, "\"1000 \"", NONCE), X402_UNSUPPORTED_PAYLOAD},
        {PAYLOAD(GOOD, TWO_TO_256, NONCE), X402_UNSUPPORTED_PAYLOAD},
        {PAYLOAD(GOOD, "\"1000\"", "0x22"), X402_UNSUPPORTED_PAYLOAD},
        {PAYLOAD(GOOD, "\"1000\"", NONCE "22"), X402_UNSUPPORTED_PAYLOAD},
        {PAYLOAD("0x", "\"1000\"", NONCE), X402_SIGNATURE_UNREADABLE},
        {PAYLOAD(GOOD "00", "\"1000\"", NONCE), X402_SIGNATURE_UNREADABLE},
        {PAYLOAD("0x" VECTOR_R VECTOR_S "1b", "\"1000\"", NONCE), X402_SIGNATURE},
        {PAYLOAD("0x" VECTOR_R VECTOR_S "01", "\"1000\"", NONCE), X402_SIGNATURE},
        {PAYLOAD("0x" VECTOR_R HIGH_S "1b", "\"1000\"", NONCE), X402_SIGNATURE},
        {"{\"signature\":\"0x\"}", X402_UNSUPPORTED_PAYLOAD},
        {"{\"authorization\":{}}", X402_UNSUPPORTED_PAYLOAD},
        {"{\"permit2Authorization\":{},\"signature\":\"0x\"}", X402_UNSUPPORTED_PAYLOAD},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct x402_authorization out = {0};
        enum x402_reason reason =
            x402_exact_check(vector_json(&arena, rows[i].payload), &offer, NOW, &out, NULL);
        if (reason != rows[i].reason) {
            fail_msg("%s: %s", rows[i].payload, x402_reason_code(reason));
        }
    }
    struct x402_offer nameless = offer;
    struct x402_authorization out = {0};
    nameless.token_name = SLICE_EMPTY;
    assert_int_equal(
        x402_exact_check(vector_json(&arena, rows[0].payload), &nameless, NOW, &out, NULL),
        X402_NO_DOMAIN);
}

static struct slice required(enum x402_version version, const char *error)
{
    struct x402_resource resource = {.url = SLICE_LIT("http://127.0.0.1/paid"),
                                     .mime_type = SLICE_LIT("application/json")};
    struct buf *text = arena_alloc(&arena, sizeof(*text));
    struct json_out j;
    text->arena = &arena;
    json_out_init(&j, text);
    x402_required_write(&j, version, error, &resource, &offer, 1);
    return buf_slice(text);
}

static const struct json *parsed(const char *json)
{
    const struct json *v = NULL;
    assert_int_equal(json_parse(&arena, slice_text(json), &json_limits_body, &v, NULL), OK);
    return v;
}

#define TERMS                                                                                      \
    "\"asset\":\"0x036CbD53842c5426634e7929541eC2318f3dCF7e\","                                    \
    "\"payTo\":\"0x209693bc6afc0c5328ba36faf03c514ef312287c\",\"maxTimeoutSeconds\":60,"

/* Offers of other servers, in the forms of the two versions. */
static void test_offers_of_others(void **state)
{
    static const struct {
        enum x402_version version;
        const char *json;
        enum x402_reason reason;
    } cases[] = {
        {X402_V2,
         "{\"scheme\":\"exact\",\"network\":\"eip155:84532\",\"amount\":\"1000\"," TERMS
         "\"extra\":{\"name\":\"USDC\",\"version\":\"2\"}}",
         X402_OK},
        {X402_V1,
         "{\"scheme\":\"exact\",\"network\":\"base-sepolia\",\"maxAmountRequired\":\"1000\"," TERMS
         "\"extra\":{\"name\":\"USDC\",\"version\":\"2\"}}",
         X402_OK},
        {X402_V2, "{\"scheme\":\"upto\",\"network\":\"eip155:84532\"}", X402_SCHEME},
        {X402_V2, "{\"network\":\"eip155:84532\"}", X402_SCHEME},
        {X402_V2, "{\"scheme\":\"exact\",\"network\":\"base-sepolia\"}", X402_NETWORK},
        {X402_V1, "{\"scheme\":\"exact\",\"network\":\"eip155:84532\"}", X402_NETWORK},
        {X402_V2, "{\"scheme\":\"exact\",\"network\":84532}", X402_NETWORK},
        {X402_V2,
         "{\"scheme\":\"exact\",\"network\":\"eip155:84532\",\"amount\":\"1\"," TERMS
         "\"extra\":{\"name\":\"USDC\"}}",
         X402_NO_DOMAIN},
        {X402_V2,
         "{\"scheme\":\"exact\",\"network\":\"eip155:84532\",\"amount\":\"1.5\"," TERMS
         "\"extra\":{\"name\":\"USDC\",\"version\":\"2\"}}",
         X402_UNSUPPORTED_PAYLOAD},
        {X402_V2,
         "{\"scheme\":\"exact\",\"network\":\"eip155:84532\",\"maxAmountRequired\":\"1\"," TERMS
         "\"extra\":{\"name\":\"USDC\",\"version\":\"2\"}}",
         X402_UNSUPPORTED_PAYLOAD},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct x402_offer o = {.timeout_seconds = 9};
        struct why why = {.err = OK};
        enum x402_reason reason =
            x402_offer_read(parsed(cases[i].json), cases[i].version, 84532, &o, &why);
        if (reason != cases[i].reason) {
            fail_msg("%s: %s", cases[i].json, x402_reason_code(reason));
        }
        assert_int_equal(o.timeout_seconds, reason == X402_OK ? 60 : 9);
        assert_int_equal(why.err == OK, reason == X402_OK);
        if (reason == X402_OK) {
            assert_true(u256_equal(o.amount, u256_from_u64(1000)));
            assert_hex(address_slice(&o.pay_to), "0x209693bc6afc0c5328ba36faf03c514ef312287c");
            assert_true(slice_equal_text(o.token_name, "USDC"));
        }
    }
}

static void test_codes(void **state)
{
    (void)state;
    assert_int_equal(x402_reason_find(SLICE_LIT("invalid_exact_evm_insufficient_balance")),
                     X402_BALANCE);
    assert_int_equal(x402_reason_find(SLICE_LIT("who_knows")), X402_TRANSACTION);
}

static void test_written(void **state)
{
    assert_text(required(X402_V2, NULL),
                "{\"x402Version\":2,\"resource\":{\"url\":\"http://127.0.0.1/paid\",\"mimeType\":"
                "\"application/json\"},\"accepts\":[{\"scheme\":\"exact\",\"network\":"
                "\"eip155:31337\",\"amount\":\"1000\",\"asset\":\"" ASSET "\",\"payTo\":\"" PAYEE
                "\",\"maxTimeoutSeconds\":300,\"extra\":" EXTRA "}]}");
    assert_text(
        required(X402_V1, x402_reason_code(X402_NONCE_USED)),
        "{\"x402Version\":1,\"error\":\"invalid_exact_evm_nonce_already_used\",\"accepts\":"
        "[{\"scheme\":\"exact\",\"network\":\"eip155:31337\",\"maxAmountRequired\":\"1000\","
        "\"resource\":\"http://127.0.0.1/paid\",\"description\":\"\",\"mimeType\":"
        "\"application/json\",\"asset\":\"" ASSET "\",\"payTo\":\"" PAYEE
        "\",\"maxTimeoutSeconds\":300,\"extra\":" EXTRA "}]}");
    struct buf text = {.arena = &arena};
    struct json_out j;
    struct hash tx = vector_hash(NONCE);
    struct address payer = vector_address(OTHER);
    json_out_init(&j, &text);
    x402_settlement_write(&j, X402_V1,
                          &(struct x402_settlement){.reason = X402_SETTLEMENT_PENDING,
                                                    .transaction = &tx,
                                                    .chain_id = 8453,
                                                    .payer = &payer});
    assert_text(buf_slice(&text), "{\"success\":false,\"errorReason\":\"settlement_pending\","
                                  "\"transaction\":\"" NONCE "\",\"network\":\"base\","
                                  "\"payer\":\"" OTHER "\"}");
    text.len = 0;
    json_out_init(&j, &text);
    x402_settlement_write(&j, X402_V2, &(struct x402_settlement){.chain_id = 8453});
    assert_text(buf_slice(&text),
                "{\"success\":true,\"transaction\":\"\",\"network\":\"eip155:8453\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector_header), cmocka_unit_test(test_vector_signatures),
        cmocka_unit_test(test_base64),        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_echo),          cmocka_unit_test(test_terms),
        cmocka_unit_test(test_shape),         cmocka_unit_test(test_written),
        cmocka_unit_test(test_codes),         cmocka_unit_test(test_offers_of_others),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
