/* The text of keys: what is no key is refused, to the byte. The hash is that of Python's hashlib.
 */
#include "kernel/auth/auth.h"
#include "unit/test.h"

#define SECRET "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY "fhk_0123456789abcdef_" SECRET

static void a_key_is_taken_apart(void **state)
{
    struct auth_token token;
    struct hash expected;
    assert_int_equal(auth_token_parse(SLICE_LIT(KEY), &token), OK);
    assert_string_equal(token.id, "0123456789abcdef");
    assert_int_equal(
        hash_parse(SLICE_LIT("0x6c86c6aac5fb24bcf5d9939cb7d7d5645ce39418f449e03b262dd4fa14b4b92b"),
                   &expected),
        OK);
    assert_true(hash_equal(&token.secret_hash, &expected));
}

static void what_is_no_key_is_refused(void **state)
{
    struct auth_token token = {.id = "same"};
    char text[] = KEY "0";
    for (size_t len = 0; len <= sizeof KEY; len++) {
        if (len != sizeof KEY - 1) {
            assert_int_equal(auth_token_parse(slice_of(text, len), &token), ERR_UNAUTHENTICATED);
        }
    }
    static const char bad[] = {'\0', ' ', 'A', 'g', '/', ':', '`', '\x80'};
    for (size_t at = 0; at < sizeof KEY - 1; at++) {
        for (size_t i = 0; i < sizeof bad; i++) {
            char bent[] = KEY;
            bent[at] = bad[i];
            assert_int_equal(auth_token_parse(slice_of(bent, sizeof KEY - 1), &token),
                             ERR_UNAUTHENTICATED);
        }
    }
    assert_string_equal(token.id, "same");
}

static void roles_are_names_apart_by_commas(void **state)
{
    unsigned roles = 0;
    struct why why = {.err = OK};
    assert_int_equal(auth_roles_parse(SLICE_LIT("service,admin,admin"), &roles, &why), OK);
    assert_int_equal(roles, HTTP_ROLE_ADMIN | HTTP_ROLE_SERVICE);
    static const char *const bad[] = {"", ",", ",admin", "Admin", "admin ", "root"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(auth_roles_parse(slice_text(bad[i]), &roles, &why), ERR_INVALID_FIELD);
    }
    assert_int_equal(roles, HTTP_ROLE_ADMIN | HTTP_ROLE_SERVICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_taken_apart),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(roles_are_names_apart_by_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
