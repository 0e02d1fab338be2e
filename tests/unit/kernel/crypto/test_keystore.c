#include "kernel/crypto/keystore.h"

#include "kernel/base/rand.h"
#include "unit/vectors.h"

/* The two examples of the Web3 Secret Storage Definition; password "testpassword". */
static const char pbkdf2_example[] =
    "{\"crypto\":{\"cipher\":\"aes-128-ctr\",\"cipherparams\":{\"iv\":"
    "\"6087dab2f9fdbbfaddc31a909735c1e6\"},\"ciphertext\":"
    "\"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46\",\"kdf\":\"pbkdf2\","
    "\"kdfparams\":{\"c\":262144,\"dklen\":32,\"prf\":\"hmac-sha256\",\"salt\":"
    "\"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd\"},\"mac\":"
    "\"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2\"},\"id\":"
    "\"3198bc9c-6672-5ab3-d995-4942343ae5b6\",\"version\":3}";
static const char scrypt_example[] =
    "{\"crypto\":{\"cipher\":\"aes-128-ctr\",\"cipherparams\":{\"iv\":"
    "\"83dbcc02d8ccb40e466191a123791e0e\"},\"ciphertext\":"
    "\"d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c\",\"kdf\":\"scrypt\","
    "\"kdfparams\":{\"dklen\":32,\"n\":262144,\"r\":1,\"p\":8,\"salt\":"
    "\"ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19\"},\"mac\":"
    "\"2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097\"},\"id\":"
    "\"3198bc9c-6672-5ab3-d995-4942343ae5b6\",\"version\":3}";
static const char example_key[] =
    "0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
static const char example_address[] = "0x008aeeda4d805471df9b2a5b0f38a0c3bcba786b";

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static struct secret password_of(const char *text)
{
    struct secret s;
    secret_init(&s, text, strlen(text));
    return s;
}

static enum err open_with(struct slice json, const char *password, struct why *why)
{
    struct secret key, pass = password_of(password);
    struct address address;
    enum err e = keystore_decode(json, &pass, &key, &address, why);
    if (e == OK) {
        secret_clear(&key);
    }
    secret_clear(&pass);
    return e;
}

static void assert_opens(const char *json, const char *expected_key, const char *expected_address)
{
    struct secret key, pass = password_of("testpassword");
    struct address address;
    struct why why = {0};
    if (keystore_decode(slice_text(json), &pass, &key, &address, &why) != OK) {
        fail_msg("%s", why.text);
    }
    assert_hex(slice_of(secret_bytes(&key), secret_len(&key)), expected_key);
    assert_hex(slice_of(address.bytes, ADDRESS_BYTES), expected_address);
    secret_clear(&key);
    secret_clear(&pass);
}

static void published_files_open(void **state)
{
    assert_opens(pbkdf2_example, example_key, example_address);
    assert_opens(scrypt_example, example_key, example_address);
}

/* replace returns the example with one piece of text exchanged. */
static struct slice replace(const char *json, const char *piece, const char *by)
{
    const char *at = strstr(json, piece);
    assert_non_null(at);
    return slice_format(&arena, "%.*s%s%s", (int)(at - json), json, by, at + strlen(piece));
}

static void a_wrong_password_and_a_changed_file_are_the_same(void **state)
{
    struct why wrong = {0}, changed = {0};
    assert_int_equal(open_with(slice_text(pbkdf2_example), "testpasswore", &wrong),
                     ERR_KEYSTORE_PASSWORD);
    assert_int_equal(
        open_with(replace(pbkdf2_example, "5318b4d5", "5318b4d4"), "testpassword", &changed),
        ERR_KEYSTORE_PASSWORD);
    assert_string_equal(wrong.text, changed.text);
    assert_null(strstr(wrong.text, "testpasswor"));
}

/* Each document is refused before any work is done for it. */
static void malformed_documents_are_refused(void **state)
{
    static const struct {
        const char *piece, *by, *field;
    } cases[] = {
        {"\"version\":3", "\"version\":1", "version"},
        {"\"version\":3", "\"version\":\"3\"", "version"},
        {"\"version\":3", "\"version\":3.0", "version"},
        {",\"version\":3", "", "version"},
        {"\"crypto\":", "\"crypt\":", "crypto"},
        {"\"id\"", "\"Crypto\":{},\"id\"", "crypto"},
        {"aes-128-ctr", "aes-128-cbc", "cipher"},
        {"\"iv\":\"60", "\"iv\":\"", "iv"},
        {"\"iv\":\"60", "\"iv\":\"6060", "iv"},
        {"5318b4d5", "5318b4d", "ciphertext"},
        {"5318b4d5", "5318b4zz", "ciphertext"},
        {"517ead92", "517ead", "mac"},
        {"\"kdf\":\"pbkdf2\"", "\"kdf\":\"argon2\"", "kdf"},
        {"\"kdf\":\"pbkdf2\"", "\"kdf\":2", "kdf"},
        {"hmac-sha256", "hmac-sha1", "prf"},
        {"\"c\":262144", "\"c\":0", "kdfparams"},
        {"\"c\":262144", "\"c\":10000001", "kdfparams"},
        {"\"c\":262144", "\"c\":-1", "c"},
        {"\"c\":262144", "\"c\":1e3", "c"},
        {"\"dklen\":32", "\"dklen\":31", "dklen"},
        {"\"dklen\":32", "\"dklen\":65", "dklen"},
        {"\"dklen\":32", "\"dklen\":18446744073709551616", "dklen"},
        {"\"salt\":\"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd\"",
         "\"salt\":\"\"", "salt"},
        {"\"id\"", "\"address\":\"1234\",\"id\"", "address"},
        {"\"id\"", "\"address\":null,\"id\"", "address"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct why why = {0};
        struct slice json = replace(pbkdf2_example, cases[i].piece, cases[i].by);
        assert_int_equal(open_with(json, "testpassword", &why), ERR_CORRUPT);
        assert_string_equal(why.field, cases[i].field);
    }
    assert_int_equal(open_with(SLICE_LIT("{"), "x", NULL), ERR_INVALID_JSON);
    assert_int_equal(open_with(SLICE_EMPTY, "x", NULL), ERR_INVALID_JSON);
    assert_int_equal(open_with(SLICE_LIT("[]"), "x", NULL), ERR_CORRUPT);
}

static void scrypt_cost_is_bounded(void **state)
{
    static const char *const costs[] = {
        "\"n\":0,\"r\":1,\"p\":1",
        "\"n\":1,\"r\":1,\"p\":1",
        "\"n\":3,\"r\":1,\"p\":1",
        "\"n\":1024,\"r\":0,\"p\":1",
        "\"n\":1024,\"r\":1,\"p\":0",
        "\"n\":8388608,\"r\":1,\"p\":1", /* 1 GiB */
        "\"n\":1048576,\"r\":8,\"p\":1", /* 1 GiB */
        "\"n\":262144,\"r\":8,\"p\":9",  /* nine times the standard work */
        "\"n\":2,\"r\":1,\"p\":1073741824",
        "\"n\":9223372036854775808,\"r\":9223372036854775808,\"p\":1",
    };
    for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++) {
        struct why why = {0};
        struct slice json = replace(scrypt_example, "\"n\":262144,\"r\":1,\"p\":8", costs[i]);
        assert_int_equal(open_with(json, "testpassword", &why), ERR_CORRUPT);
        assert_string_equal(why.field, "kdfparams");
    }
}

static void case_order_and_prefixes_do_not_matter(void **state)
{
    static const char shuffled[] =
        "{\"VERSION\":3,\"Crypto\":{\"MAC\":"
        "\"0x517EAD924A9D0DC3124507E3393D175CE3FF7C1E96529C6C555CE9E51205E9B2\",\"kdfParams\":{"
        "\"salt\":\"AE3CD4E7013836A3DF6BD7241B12DB061DBE2C6785853CCE422D148A624CE0BD\","
        "\"prf\":\"HMAC-SHA256\",\"dklen\":32,\"c\":262144},\"KDF\":\"PBKDF2\",\"cipherText\":"
        "\"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46\",\"CipherParams\":{"
        "\"IV\":\"6087dab2f9fdbbfaddc31a909735c1e6\"},\"cipher\":\"AES-128-CTR\"},"
        "\"address\":\"0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b\",\"more\":[1,2]}";
    assert_opens(shuffled, example_key, example_address);
}

static void the_address_must_be_that_of_the_key(void **state)
{
    struct why why = {0};
    struct slice json = replace(pbkdf2_example, "\"id\"",
                                "\"address\":\"008aeeda4d805471df9b2a5b0f38a0c3bcba786c\",\"id\"");
    assert_int_equal(open_with(json, "testpassword", &why), ERR_CORRUPT);
    assert_string_equal(why.field, "address");
}

static void what_is_written_can_be_read(void **state)
{
    static const char *const passwords[] = {"", "x", "correct horse",
                                            "p\xc3\xa4ss \xf0\x9f\x94\x91"};
    for (size_t i = 0; i < sizeof(passwords) / sizeof(passwords[0]); i++) {
        struct secret key, back, pass = password_of(passwords[i]);
        struct address address, expected;
        struct slice json = SLICE_EMPTY;
        secp256k1_key_new(&key);
        assert_int_equal(secp256k1_address(&key, &expected), OK);
        assert_int_equal(
            keystore_encode(&arena, &key, &pass, (struct keystore_cost){8}, &json, NULL), OK);
        assert_int_equal(keystore_decode(json, &pass, &back, &address, NULL), OK);
        assert_memory_equal(secret_bytes(&back), secret_bytes(&key), PRIVATE_KEY_BYTES);
        assert_memory_equal(address.bytes, expected.bytes, ADDRESS_BYTES);
        assert_int_equal(open_with(json, "other", NULL), ERR_KEYSTORE_PASSWORD);
        secret_clear(&key);
        secret_clear(&back);
        secret_clear(&pass);
    }
}

/* Salt, IV and id are fresh each time, so two files of one key share nothing but the address. */
static void two_files_of_one_key_differ(void **state)
{
    struct secret key = vector_key(example_key), pass = password_of("x");
    struct slice a = SLICE_EMPTY, b = SLICE_EMPTY;
    const struct keystore_cost cost = {8};
    assert_int_equal(keystore_encode(&arena, &key, &pass, cost, &a, NULL), OK);
    assert_int_equal(keystore_encode(&arena, &key, &pass, cost, &b, NULL), OK);
    const struct json *left = vector_json(&arena, slice_cstr(&arena, a));
    const struct json *right = vector_json(&arena, slice_cstr(&arena, b));
    static const char *const fresh[] = {"crypto.cipherparams.iv", "crypto.kdfparams.salt",
                                        "crypto.ciphertext", "crypto.mac", "id"};
    for (size_t i = 0; i < sizeof(fresh) / sizeof(fresh[0]); i++) {
        assert_false(slice_equal(vector_text(left, fresh[i]), vector_text(right, fresh[i])));
    }
    assert_text(vector_text(left, "address"), example_address + 2);
    assert_text(vector_text(left, "crypto.kdfparams.n"), "256");
    secret_clear(&key);
    secret_clear(&pass);
}

static void impossible_costs_and_keys_are_not_written(void **state)
{
    struct secret key = vector_key(example_key), pass = password_of("x");
    struct secret zero =
        vector_key("0x0000000000000000000000000000000000000000000000000000000000000000");
    struct slice json = SLICE_LIT("old");
    static const uint32_t costs[] = {0, 20, 63, 64, UINT32_MAX};
    for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++) {
        assert_int_equal(
            keystore_encode(&arena, &key, &pass, (struct keystore_cost){costs[i]}, &json, NULL),
            ERR_CRYPTO);
    }
    assert_int_equal(keystore_encode(&arena, &zero, &pass, (struct keystore_cost){8}, &json, NULL),
                     ERR_CRYPTO);
    assert_text(json, "old");
    secret_clear(&key);
    secret_clear(&zero);
    secret_clear(&pass);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_files_open),
        cmocka_unit_test(a_wrong_password_and_a_changed_file_are_the_same),
        cmocka_unit_test(malformed_documents_are_refused),
        cmocka_unit_test(scrypt_cost_is_bounded),
        cmocka_unit_test(case_order_and_prefixes_do_not_matter),
        cmocka_unit_test(the_address_must_be_that_of_the_key),
        cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(two_files_of_one_key_differ),
        cmocka_unit_test(impossible_costs_and_keys_are_not_written),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
