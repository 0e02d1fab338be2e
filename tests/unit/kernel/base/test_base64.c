/* The vectors of RFC 4648, section 10, and what strict reading refuses. */
#include "kernel/base/base64.h"

#include "kernel/base/mem.h"
#include "kernel/base/rand.h"
#include "unit/test.h"

static struct arena arena;

static int setup(void **state)
{
    rand_set_seed(4648);
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static struct slice encoded(enum base64_form form, struct slice bytes)
{
    struct buf out;
    buf_init(&out, &arena, 1);
    base64_encode(&out, form, bytes);
    return buf_slice(&out);
}

static void the_vectors_of_the_standard(void **state)
{
    static const char *const vectors[][3] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        /* RFC 3548's example of both alphabets: 14 fb 9c 03 d9 7e; and three bytes of ones. */
        {"\x14\xfb\x9c\x03\xd9\x7e", "FPucA9l+", "FPucA9l-"},
        {"\xff\xff\xff", "////", "____"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct slice bytes = slice_text(vectors[i][0]);
        for (int form = BASE64_STANDARD; form <= BASE64_URL; form++) {
            struct slice out;
            struct slice text = slice_text(vectors[i][1 + form]);
            assert_true(slice_equal(encoded((enum base64_form)form, bytes), text));
            assert_int_equal(base64_decode(&arena, (enum base64_form)form, text, &out), OK);
            assert_true(slice_equal(out, bytes));
        }
    }
}

static void one_text_for_the_same_bytes(void **state)
{
    static const struct {
        enum base64_form form;
        const char *text;
    } bad[] = {
        {BASE64_STANDARD, "Zg"},
        {BASE64_STANDARD, "Zg="},
        {BASE64_STANDARD, "Zg==="},
        {BASE64_STANDARD, "Z==="},
        {BASE64_STANDARD, "===="},
        {BASE64_STANDARD, "="},
        {BASE64_STANDARD, "Zh=="},
        {BASE64_STANDARD, "Zm9="},
        {BASE64_STANDARD, "Zg==Zg=="},
        {BASE64_STANDARD, "Z=g="},
        {BASE64_STANDARD, "____"},
        {BASE64_STANDARD, "Zm9v\n"},
        {BASE64_STANDARD, "Zm 9"},
        {BASE64_STANDARD, "Zm9v    "},
        {BASE64_URL, "Z"},
        {BASE64_URL, "Zg=="},
        {BASE64_URL, "Zh"},
        {BASE64_URL, "Zm9"},
        {BASE64_URL, "++++"},
        {BASE64_URL, "Zm9v\n"},
        {BASE64_URL, "Zm9vZ"},
        {BASE64_URL, "Zm\xc3\xa4"},
    };
    struct slice out = SLICE_LIT("same");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (base64_decode(&arena, bad[i].form, slice_text(bad[i].text), &out) !=
            ERR_INVALID_ENCODING) {
            fail_msg("%s was taken", bad[i].text);
        }
    }
    assert_int_equal(base64_decode(&arena, BASE64_URL, slice_of("Zg\0", 3), &out),
                     ERR_INVALID_ENCODING);
    assert_true(slice_equal_text(out, "same"));
}

static void any_bytes_go_there_and_back(void **state)
{
    for (size_t len = 0; len < 200; len++) {
        uint8_t bytes[200];
        rand_bytes(bytes, len);
        for (int form = BASE64_STANDARD; form <= BASE64_URL; form++) {
            struct slice out;
            struct slice text = encoded((enum base64_form)form, slice_of(bytes, len));
            assert_int_equal(base64_decode(&arena, (enum base64_form)form, text, &out), OK);
            assert_true(slice_equal(out, slice_of(bytes, len)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_vectors_of_the_standard, setup, teardown),
        cmocka_unit_test_setup_teardown(one_text_for_the_same_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(any_bytes_go_there_and_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
