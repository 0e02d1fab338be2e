#include "kernel/crypto/keystore.h"

#include "unit/vectors.h"

static const char junk[] = "test test test test test test test test test test test junk";

static void derives_the_accounts_of_the_development_mnemonic(void **state)
{
    static const char *const keys[] = {
        "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
        "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
        "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    };
    for (uint32_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct secret key;
        assert_int_equal(keystore_mnemonic_key(slice_text(junk), i, &key), OK);
        assert_hex(slice_of(secret_bytes(&key), secret_len(&key)), keys[i]);
        secret_clear(&key);
    }
}

static void derives_the_address_of_the_bip39_zero_entropy_mnemonic(void **state)
{
    struct secret key;
    struct address address;
    assert_int_equal(
        keystore_mnemonic_key(SLICE_LIT("abandon abandon abandon abandon abandon abandon abandon "
                                        "abandon abandon abandon abandon about"),
                              0, &key),
        OK);
    assert_int_equal(secp256k1_address(&key, &address), OK);
    assert_hex(slice_of(address.bytes, ADDRESS_BYTES),
               "0x9858effd232b4033e47d90003d41ec34ecaeda94");
    secret_clear(&key);
}

static void what_would_need_normalising_is_refused(void **state)
{
    struct secret key;
    static uint8_t too_long[1025];
    memset(too_long, 'a', sizeof(too_long));
    assert_int_equal(keystore_mnemonic_key(SLICE_EMPTY, 0, &key), ERR_CRYPTO);
    assert_int_equal(keystore_mnemonic_key(SLICE_LIT("\xc3\xa9t\xc3\xa9"), 0, &key), ERR_CRYPTO);
    assert_int_equal(keystore_mnemonic_key(SLICE_LIT("test\ntest"), 0, &key), ERR_CRYPTO);
    assert_int_equal(keystore_mnemonic_key(slice_of(too_long, sizeof(too_long)), 0, &key),
                     ERR_CRYPTO);
    assert_int_equal(keystore_mnemonic_key(slice_text(junk), 0x80000000u, &key), ERR_CRYPTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derives_the_accounts_of_the_development_mnemonic),
        cmocka_unit_test(derives_the_address_of_the_bip39_zero_entropy_mnemonic),
        cmocka_unit_test(what_would_need_normalising_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
