/*
 * Signatures by the vectors of RFC 8032, section 7.1; tokens by tests/vectors/jwt.json, which jose
 * made.
 */
#include "kernel/base/hex.h"
#include "kernel/crypto/jwt.h"
#include "unit/test.h"
#include "unit/vectors.h"

static struct arena arena;
static const struct json *vectors;

static int setup(void **state)
{
    arena_init(&arena, 0);
    vectors = vector_file(&arena, "jwt.json");
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static struct slice bytes_of(const char *hex)
{
    struct slice out;
    assert_int_equal(hex_decode(&arena, slice_format(&arena, "0x%s", hex), &out), OK);
    return out;
}

static struct slice member(const char *key)
{
    struct slice out;
    assert_int_equal(json_get_text(vectors, key, &out, NULL), OK);
    return out;
}

static void signatures_are_those_of_the_standard(void **state)
{
    static const char *const tests[][4] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
         "c"
         "f9b46bd25bf5f0595bbe24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d"
         "0"
         "f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7609"
         "8"
         "4dc6594a7c15e9716ed28dc027beceea1ec40a"},
    };
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        struct secret key;
        struct slice seed = bytes_of(tests[i][0]);
        struct slice message = bytes_of(tests[i][2]);
        uint8_t public_key[ED25519_KEY_BYTES];
        uint8_t signature[ED25519_SIGNATURE_BYTES];
        secret_init(&key, seed.ptr, seed.len);
        assert_int_equal(ed25519_public_key(&key, public_key), OK);
        assert_memory_equal(public_key, bytes_of(tests[i][1]).ptr, sizeof public_key);
        assert_int_equal(ed25519_sign(&key, message, signature), OK);
        assert_memory_equal(signature, bytes_of(tests[i][3]).ptr, sizeof signature);
        struct slice sent = slice_of(signature, sizeof signature);
        assert_true(ed25519_verify(public_key, message, sent));
        assert_false(ed25519_verify(public_key, SLICE_LIT("another"), sent));
        assert_false(ed25519_verify(public_key, message, slice_sub(sent, 0, 63)));
        signature[40] ^= 1;
        assert_false(ed25519_verify(public_key, message, sent));
        secret_clear(&key);
    }
}

/* S + L is the same scalar to the group; RFC 8032, section 5.1.7, refuses it. */
static void a_signature_has_one_text(void **state)
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    struct secret key;
    struct slice seed =
        bytes_of("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    uint8_t public_key[ED25519_KEY_BYTES];
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    secret_init(&key, seed.ptr, seed.len);
    assert_int_equal(ed25519_public_key(&key, public_key), OK);
    assert_int_equal(ed25519_sign(&key, SLICE_LIT("m"), signature), OK);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)signature[32 + i] + order[i];
        signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_false(ed25519_verify(public_key, SLICE_LIT("m"), slice_of(signature, sizeof signature)));
    secret_clear(&key);
}

static void a_token_is_byte_for_byte_that_of_jose(void **state)
{
    struct secret key;
    struct buf out;
    struct jwt jwt;
    char hex[65];
    (void)snprintf(hex, sizeof hex, "%.*s", SLICE_ARG(member("privateKey")));
    struct slice seed = bytes_of(hex);
    secret_init(&key, seed.ptr, seed.len);
    buf_init(&out, &arena, 16);
    buf_add_text(&out, "before ");
    assert_int_equal(jwt_sign(&out, &key, "at+jwt", "k1", member("claims")), OK);
    struct slice token = slice_sub(buf_slice(&out), strlen("before "), out.len);
    assert_true(slice_equal(token, member("good")));
    secret_clear(&key);
    assert_int_equal(jwt_read(&arena, token, "at+jwt", &jwt), OK);
    assert_true(slice_equal_text(jwt.kid, "k1"));
    (void)snprintf(hex, sizeof hex, "%.*s", SLICE_ARG(member("publicKey")));
    assert_true(jwt_verify(&jwt, bytes_of(hex).ptr));
    uint64_t exp = 0;
    assert_int_equal(json_get_u64(jwt.claims, "exp", &exp, NULL), OK);
    assert_int_equal(exp, 1790000900);
}

static void what_is_bent_is_refused(void **state)
{
    char hex[65];
    struct jwt jwt;
    (void)snprintf(hex, sizeof hex, "%.*s", SLICE_ARG(member("publicKey")));
    const uint8_t *public_key = bytes_of(hex).ptr;
    const struct json *unread = json_find(vectors, "unread");
    assert_true(unread->count > 20);
    for (const struct json *v = unread->child; v != NULL; v = v->next) {
        if (jwt_read(&arena, v->text, "at+jwt", &jwt) != ERR_UNAUTHENTICATED) {
            fail_msg("%.*s was taken", SLICE_ARG(v->key));
        }
    }
    const struct json *unverified = json_find(vectors, "unverified");
    assert_true(unverified->count > 3);
    for (const struct json *v = unverified->child; v != NULL; v = v->next) {
        assert_int_equal(jwt_read(&arena, v->text, "at+jwt", &jwt), OK);
        if (jwt_verify(&jwt, public_key)) {
            fail_msg("%.*s was taken", SLICE_ARG(v->key));
        }
    }
}

/* Each character of the token counts: with another one it is not read, or not verified. */
static void no_character_can_be_another(void **state)
{
    char hex[65];
    struct jwt jwt;
    struct slice good = member("good");
    (void)snprintf(hex, sizeof hex, "%.*s", SLICE_ARG(member("publicKey")));
    const uint8_t *public_key = bytes_of(hex).ptr;
    static const char others[] = {'A', 'z', '.', '=', ' '};
    for (size_t at = 0; at < good.len; at++) {
        for (size_t i = 0; i < sizeof others; i++) {
            char *bent = slice_cstr(&arena, good);
            if (bent[at] != others[i]) {
                bent[at] = others[i];
                assert_false(jwt_read(&arena, slice_of(bent, good.len), "at+jwt", &jwt) == OK &&
                             jwt_verify(&jwt, public_key));
            }
        }
    }
    char *huge = arena_alloc(&arena, JWT_TEXT_MAX + 1);
    memset(huge, 'A', JWT_TEXT_MAX + 1);
    assert_int_equal(jwt_read(&arena, slice_of(huge, JWT_TEXT_MAX + 1), "at+jwt", &jwt),
                     ERR_UNAUTHENTICATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_the_standard),
        cmocka_unit_test(a_signature_has_one_text),
        cmocka_unit_test(a_token_is_byte_for_byte_that_of_jose),
        cmocka_unit_test(what_is_bent_is_refused),
        cmocka_unit_test(no_character_can_be_another),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
