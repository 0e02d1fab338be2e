#include "kernel/crypto/scrypt.h"

#include "unit/vectors.h"

/* RFC 7914, section 12; the fourth example needs 1 GiB and is left out. */
static void derives_the_keys_of_the_rfc(void **state)
{
    static const struct {
        const char *password, *salt;
        struct scrypt_cost cost;
        const char *derived;
    } cases[] = {
        {"",
         "",
         {16, 1, 1},
         "0x77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
         "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"},
        {"password",
         "NaCl",
         {1024, 8, 16},
         "0xfdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
         "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"},
        {"pleaseletmein",
         "SodiumChloride",
         {16384, 8, 1},
         "0x7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
         "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t out[64];
        assert_int_equal(scrypt_derive(slice_text(cases[i].password), slice_text(cases[i].salt),
                                       cases[i].cost, out, sizeof(out)),
                         OK);
        assert_hex(slice_of(out, sizeof(out)), cases[i].derived);
    }
}

static void impossible_costs_are_refused(void **state)
{
    static const struct scrypt_cost costs[] = {
        {0, 1, 1},  {1, 1, 1},           {3, 1, 1},           {16, 0, 1},
        {16, 1, 0}, {16, 1ull << 40, 1}, {16, 8, 1ull << 40}, {1ull << 63, 8, 1},
    };
    uint8_t out[32];
    for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++) {
        assert_int_equal(scrypt_derive(SLICE_EMPTY, SLICE_EMPTY, costs[i], out, sizeof(out)),
                         ERR_CRYPTO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derives_the_keys_of_the_rfc),
        cmocka_unit_test(impossible_costs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
