#include "kernel/crypto/hash.h"

#include <pthread.h>

#include "unit/vectors.h"

static void assert_digest(struct hash h, const char *expected)
{
    assert_hex(hash_slice(&h), expected);
}

/* FIPS 180-4 examples. */
static void sha256_of_the_standard(void **state)
{
    assert_digest(sha256(SLICE_EMPTY),
                  "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest(sha256(SLICE_LIT("abc")),
                  "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_digest(sha256(SLICE_LIT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
                  "0x248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void a_stream_hashes_a_million_letters_and_starts_anew(void **state)
{
    static const struct slice piece = SLICE_LIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    struct hash out;
    struct sha256 *s = sha256_new();
    for (size_t i = 0; i < 1000000 / piece.len; i++) {
        sha256_update(s, piece);
    }
    sha256_final(s, &out);
    assert_digest(out, "0xcdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    sha256_update(s, SLICE_LIT("abc"));
    sha256_final(s, &out);
    assert_digest(out, "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_free(s);
    sha256_free(NULL);
}

/* RFC 4231, test cases 1, 2, 3, 6 and 7. */
static void hmac_of_the_rfc(void **state)
{
    static const struct {
        const char *key, *message, *mac;
    } cases[] = {
        {"0x0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "0x4869205468657265",
         "0xb0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"0x4a656665", "0x7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         "0x5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {"0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "0xddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
         "d"
         "dddddddddddd",
         "0x773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_digest(
            hmac_sha256(vector_hex(&arena, cases[i].key), vector_hex(&arena, cases[i].message)),
            cases[i].mac);
    }
    uint8_t long_key[131];
    memset(long_key, 0xaa, sizeof(long_key));
    assert_digest(hmac_sha256(slice_of(long_key, sizeof(long_key)),
                              SLICE_LIT("Test Using Larger Than Block-Size Key - Hash Key First")),
                  "0x60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_digest(
        hmac_sha256(slice_of(long_key, sizeof(long_key)),
                    SLICE_LIT("This is a test using a larger than block-size key and a larger than "
                              "block-size data. The key needs to be hashed before being used by "
                              "the HMAC algorithm.")),
        "0x9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
    arena_free(&arena);
}

static void *hash_many(void *arg)
{
    static const uint8_t zeros[64];
    struct hash *out = arg;
    for (unsigned i = 0; i < 2000; i++) {
        *out = sha256(slice_of(zeros, sizeof(zeros)));
    }
    return NULL;
}

static void threads_hash_at_the_same_time(void **state)
{
    pthread_t threads[4];
    struct hash out[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hash_many, &out[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_digest(out[i], "0xf5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_of_the_standard),
        cmocka_unit_test(a_stream_hashes_a_million_letters_and_starts_anew),
        cmocka_unit_test(hmac_of_the_rfc),
        cmocka_unit_test(threads_hash_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
