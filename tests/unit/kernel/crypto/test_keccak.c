#include "kernel/crypto/hash.h"

#include "unit/vectors.h"

static void assert_digest(struct hash h, const char *expected)
{
    assert_hex(hash_slice(&h), expected);
}

static void published_digests(void **state)
{
    assert_digest(keccak256(SLICE_EMPTY),
                  "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    assert_digest(keccak256(SLICE_LIT("abc")),
                  "0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
    assert_digest(keccak256(SLICE_LIT("EIP712Domain(string name,string version,uint256 chainId,"
                                      "address verifyingContract)")),
                  "0x8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f");
    uint8_t kat[200];
    memset(kat, 0xa3, sizeof(kat));
    assert_digest(keccak256(slice_of(kat, sizeof(kat))),
                  "0x3a57666b048777f2c953dc4456f45a2588e1cb6f2da760122d530ac2ce607d4a");
}

/* Byte i of a message of n bytes is (7 i + n) mod 256; digests by ethers 6. */
static const struct {
    size_t len;
    const char *digest;
} around_blocks[] = {
    {1, "0x5fe7f977e71dba2ea1a68e21057beebb9be2ac30c6410aa38d4f3fbe41dcffd2"},
    {55, "0x546a7fe6ccfdaf2fb18c8725219ad2041f386774722f4f2dcb3b2793bfa58b7e"},
    {135, "0x8ab570337c9a3a773c3605160ca58e3f0546d92d217c908669cc4f35a31933bc"},
    {136, "0x16b30a6be318a7acbcba7a2194789f628abf68dfbbf55a4d840f22f6a4d29efd"},
    {137, "0x6a7e8293441d51be41bf4994995b35981f90c07866c7fd0465f405e2b7a8f8dd"},
    {200, "0x5df43bf0d784fc93408fa76ffebdf2b45f60884dbbae8b0f1e47ab05f37f8508"},
    {271, "0xbb02bca6be57f42d131406260c6f1a81fd9922af8bd1c96d78f454b19ae10add"},
    {272, "0x443464c0c3ac8036d14a6f8647fc93b592d514adefbe88683cbbda3b4b2c4553"},
    {273, "0x73d5960773e36742ead7c872d84d535f35e75b9517ccb1023491276013f88890"},
    {1000, "0x5cab097db1a529f5b1a15428cc494df950671bc3824340aad89941fa68e151bc"},
};

static void lengths_around_a_block(void **state)
{
    uint8_t message[1000];
    for (size_t c = 0; c < sizeof(around_blocks) / sizeof(around_blocks[0]); c++) {
        size_t len = around_blocks[c].len;
        for (size_t i = 0; i < len; i++) {
            message[i] = (uint8_t)(7 * i + len);
        }
        assert_digest(keccak256(slice_of(message, len)), around_blocks[c].digest);
    }
}

static void a_stream_does_not_depend_on_how_it_is_cut(void **state)
{
    uint8_t message[1000];
    for (size_t i = 0; i < sizeof(message); i++) {
        message[i] = (uint8_t)(7 * i + sizeof(message));
    }
    for (size_t piece = 1; piece < 300; piece++) {
        struct keccak k;
        struct hash out;
        keccak_init(&k);
        for (size_t at = 0; at < sizeof(message); at += piece) {
            keccak_update(&k, slice_sub(slice_of(message, sizeof(message)), at, piece));
            keccak_update(&k, SLICE_EMPTY);
        }
        keccak_final(&k, &out);
        assert_digest(out, "0x5cab097db1a529f5b1a15428cc494df950671bc3824340aad89941fa68e151bc");
    }
}

static void use_after_final(void)
{
    struct keccak k;
    struct hash out;
    keccak_init(&k);
    keccak_final(&k, &out);
    keccak_update(&k, SLICE_LIT("x"));
}

static void a_finished_stream_cannot_go_on(void **state)
{
    assert_true(test_aborts(use_after_final));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_digests),
        cmocka_unit_test(lengths_around_a_block),
        cmocka_unit_test(a_stream_does_not_depend_on_how_it_is_cut),
        cmocka_unit_test(a_finished_stream_cannot_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
