#include "kernel/crypto/secp256k1.h"

#include "kernel/base/rand.h"
#include "unit/vectors.h"

#define ONE "0x0000000000000000000000000000000000000000000000000000000000000001"
#define ORDER "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
#define ORDER_LESS_ONE "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140"
#define HALF_ORDER "0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0"
#define ABOVE_HALF "0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a1"

static void put(uint8_t out[32], const char *text)
{
    struct hash h = vector_hash(text);
    memcpy(out, h.bytes, 32);
}

/* Widely used deterministic vectors of this curve: RFC 6979 with SHA-256 of the message. */
static void signatures_are_those_of_rfc6979(void **state)
{
    static const struct {
        const char *key, *message, *r, *s;
    } cases[] = {
        {ONE, "Satoshi Nakamoto",
         "0x934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8",
         "0x2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"},
        {ONE, "All those moments will be lost in time, like tears in rain. Time to die...",
         "0x8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b",
         "0x547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21"},
        {ORDER_LESS_ONE, "Satoshi Nakamoto",
         "0xfd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0",
         "0x6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5"},
        {"0xf8b8af8ce3c7cca5e300d33939540c10d45ce001b8f252bfbc57ba0342904181", "Alan Turing",
         "0x7063ae83e7f62bbb171798131b4a0564b956930092b33b07b395615d9ec7e15c",
         "0x58dfcc1e00a35e1572f366ffe34ba0fc47db1e7189759b9fb233c5b05ab388ea"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct secret key = vector_key(cases[i].key);
        struct hash digest = sha256(slice_text(cases[i].message));
        struct signature sig;
        struct address signer, recovered;
        assert_int_equal(secp256k1_sign(&key, &digest, &sig), OK);
        assert_hex(slice_of(sig.r, 32), cases[i].r);
        assert_hex(slice_of(sig.s, 32), cases[i].s);
        assert_int_equal(secp256k1_address(&key, &signer), OK);
        assert_int_equal(secp256k1_recover(&digest, &sig, &recovered, NULL), OK);
        assert_memory_equal(recovered.bytes, signer.bytes, ADDRESS_BYTES);
        secret_clear(&key);
    }
}

static void addresses_of_well_known_keys(void **state)
{
    static const struct {
        const char *key, *address;
    } cases[] = {
        {ONE, "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"},
        {"0x0000000000000000000000000000000000000000000000000000000000000002",
         "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf"},
        {"0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
         "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"},
        {"0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
         "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct secret key = vector_key(cases[i].key);
        struct address address;
        assert_int_equal(secp256k1_address(&key, &address), OK);
        assert_hex(slice_of(address.bytes, ADDRESS_BYTES), cases[i].address);
        secret_clear(&key);
    }
}

static void the_public_key_of_one_is_the_generator(void **state)
{
    struct secret key = vector_key(ONE);
    uint8_t point[64];
    assert_int_equal(secp256k1_public_key(&key, point), OK);
    assert_hex(slice_of(point, 64),
               "0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
               "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8");
    secret_clear(&key);
}

static void invalid_keys_are_refused_everywhere(void **state)
{
    static const char *const bad[] = {
        "0x0000000000000000000000000000000000000000000000000000000000000000", ORDER,
        "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    struct hash digest = sha256(SLICE_EMPTY);
    struct signature sig;
    struct address address;
    uint8_t point[64];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct secret key = vector_key(bad[i]);
        assert_int_equal(secp256k1_key_check(&key), ERR_CRYPTO);
        assert_int_equal(secp256k1_address(&key, &address), ERR_CRYPTO);
        assert_int_equal(secp256k1_public_key(&key, point), ERR_CRYPTO);
        assert_int_equal(secp256k1_sign(&key, &digest, &sig), ERR_CRYPTO);
        secret_clear(&key);
    }
    struct secret key;
    secret_init(&key, point, 31);
    assert_int_equal(secp256k1_key_check(&key), ERR_CRYPTO);
    secret_clear(&key);
    key = vector_key(ORDER_LESS_ONE);
    assert_int_equal(secp256k1_key_check(&key), OK);
    secret_clear(&key);
}

static void new_keys_are_valid_and_different(void **state)
{
    struct secret a, b;
    secp256k1_key_new(&a);
    secp256k1_key_new(&b);
    assert_int_equal(secp256k1_key_check(&a), OK);
    assert_int_equal(secp256k1_key_check(&b), OK);
    assert_memory_not_equal(secret_bytes(&a), secret_bytes(&b), PRIVATE_KEY_BYTES);
    secret_clear(&a);
    secret_clear(&b);
}

/* The "Mail" example of EIP-712: a signature with v 28 by the key keccak("cow"). */
static struct signature mail_signature(void)
{
    struct signature sig = {.v = 28};
    put(sig.r, "0x4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d");
    put(sig.s, "0x07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b91562");
    return sig;
}

static const char mail_digest[] =
    "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2";

static void recovery_names_the_signer(void **state)
{
    struct hash digest = vector_hash(mail_digest);
    struct signature sig = mail_signature();
    struct address signer;
    assert_int_equal(secp256k1_recover(&digest, &sig, &signer, NULL), OK);
    assert_hex(slice_of(signer.bytes, ADDRESS_BYTES), "0xcd2a3d9f938e13cd947ec05abc7fe734df8dd826");
    sig.v = 27; /* the mirror point: someone else */
    assert_int_equal(secp256k1_recover(&digest, &sig, &signer, NULL), OK);
    const struct address cow = vector_address("0xcd2a3d9f938e13cd947ec05abc7fe734df8dd826");
    assert_memory_not_equal(signer.bytes, cow.bytes, ADDRESS_BYTES);
}

static enum err decode(const struct signature *sig, struct why *why)
{
    uint8_t bytes[SIGNATURE_BYTES];
    struct signature out;
    signature_encode(sig, bytes);
    return signature_decode(slice_of(bytes, sizeof(bytes)), &out, why);
}

static void each_breach_has_its_own_error(void **state)
{
    static const struct {
        const char *r, *s; /* NULL: as in the example */
        uint8_t v;
        enum err err;
    } cases[] = {
        {"0x0000000000000000000000000000000000000000000000000000000000000000", NULL, 28,
         ERR_SIGNATURE_MALFORMED},
        {NULL, "0x0000000000000000000000000000000000000000000000000000000000000000", 28,
         ERR_SIGNATURE_MALFORMED},
        {ORDER, NULL, 28, ERR_SIGNATURE_MALFORMED},
        {NULL, ORDER, 28, ERR_SIGNATURE_MALFORMED},
        {NULL, ABOVE_HALF, 28, ERR_SIGNATURE_HIGH_S},
        {NULL, ORDER_LESS_ONE, 28, ERR_SIGNATURE_HIGH_S},
        {NULL, HALF_ORDER, 28, OK},
        {NULL, NULL, 0, ERR_SIGNATURE_V},
        {NULL, NULL, 1, ERR_SIGNATURE_V},
        {NULL, NULL, 26, ERR_SIGNATURE_V},
        {NULL, NULL, 29, ERR_SIGNATURE_V},
        {NULL, NULL, 255, ERR_SIGNATURE_V},
        {NULL, NULL, 27, OK},
    };
    struct hash digest = vector_hash(mail_digest);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct signature sig = mail_signature();
        struct address signer = {{0}};
        struct why why = {0};
        sig.v = cases[i].v;
        if (cases[i].r != NULL) {
            put(sig.r, cases[i].r);
        }
        if (cases[i].s != NULL) {
            put(sig.s, cases[i].s);
        }
        assert_int_equal(decode(&sig, &why), cases[i].err);
        assert_int_equal(secp256k1_recover(&digest, &sig, &signer, &why), cases[i].err);
        assert_true((why.text[0] != '\0') == (cases[i].err != OK));
    }
}

/* x = 5 is on no point of the curve: 5^3 + 7 = 132 is no square modulo p. */
static void an_r_off_the_curve_recovers_nobody(void **state)
{
    struct hash digest = vector_hash(mail_digest);
    struct signature sig = mail_signature();
    struct address signer = {{9}};
    put(sig.r, "0x0000000000000000000000000000000000000000000000000000000000000005");
    assert_int_equal(secp256k1_recover(&digest, &sig, &signer, NULL), ERR_SIGNATURE_MALFORMED);
    assert_int_equal(signer.bytes[0], 9);
}

static void only_65_bytes_are_a_signature(void **state)
{
    uint8_t bytes[66] = {0};
    struct signature sig = mail_signature(), out;
    signature_encode(&sig, bytes);
    for (size_t len = 0; len <= 66; len++) {
        enum err expected = len == 65 ? OK : ERR_SIGNATURE_MALFORMED;
        assert_int_equal(signature_decode(slice_of(bytes, len), &out, NULL), expected);
    }
    assert_memory_equal(&out, &sig, sizeof(sig));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_rfc6979),
        cmocka_unit_test(addresses_of_well_known_keys),
        cmocka_unit_test(the_public_key_of_one_is_the_generator),
        cmocka_unit_test(invalid_keys_are_refused_everywhere),
        cmocka_unit_test(new_keys_are_valid_and_different),
        cmocka_unit_test(recovery_names_the_signer),
        cmocka_unit_test(each_breach_has_its_own_error),
        cmocka_unit_test(an_r_off_the_curve_recovers_nobody),
        cmocka_unit_test(only_65_bytes_are_a_signature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
