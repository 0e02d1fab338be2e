/* Ranges and names of files: RFC 9110 section 14 and RFC 6266, their examples and the edges. */
#include "kernel/base/mem.h"
#include "kernel/http/file.h"
#include "unit/test.h"

static void part(const char *header, uint64_t size, uint64_t from, uint64_t len)
{
    uint64_t got_from = 99;
    uint64_t got_len = 99;
    assert_int_equal(http_range_read(slice_text(header), size, &got_from, &got_len),
                     HTTP_RANGE_PART);
    assert_int_equal(got_from, from);
    assert_int_equal(got_len, len);
}

static void verdict(const char *header, uint64_t size, enum http_range_verdict expected)
{
    uint64_t from = 99;
    uint64_t len = 99;
    assert_int_equal(http_range_read(slice_text(header), size, &from, &len), expected);
    assert_true(from == 99 && len == 99);
}

static void one_range_is_served(void **state)
{
    part("bytes=0-499", 10000, 0, 500); /* the examples of RFC 9110 section 14.1.2 */
    part("bytes=500-999", 10000, 500, 500);
    part("bytes=-500", 10000, 9500, 500);
    part("bytes=9500-", 10000, 9500, 500);
    part("bytes=0-0", 10000, 0, 1);
    part("bytes=-1", 10000, 9999, 1);
    part("Bytes=9999-", 10000, 9999, 1);
    part("bytes=-20000", 10000, 0, 10000);
    part("bytes=0-18446744073709551615", 10000, 0, 10000);
    part("bytes=9999-9999", 10000, 9999, 1);
    part("bytes=0-10000", 10000, 0, 10000);
}

static void what_is_not_there_is_refused(void **state)
{
    verdict("bytes=10000-", 10000, HTTP_RANGE_NONE);
    verdict("bytes=10000-10001", 10000, HTTP_RANGE_NONE);
    verdict("bytes=-0", 10000, HTTP_RANGE_NONE);
    verdict("bytes=0-", 0, HTTP_RANGE_NONE);
    verdict("bytes=-5", 0, HTTP_RANGE_NONE);
}

static void the_rest_is_ignored(void **state)
{
    static const char *const headers[] = {"",
                                          "bytes",
                                          "bytes=",
                                          "bytes=-",
                                          "bytes=2-1",
                                          "bytes=0-0,-1",
                                          "bytes=a-b",
                                          "items=0-1",
                                          "bytes=1--2",
                                          "bytes=+1-2",
                                          "bytes=0x1-2",
                                          "0-1",
                                          "bytes=18446744073709551616-"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        verdict(headers[i], 10000, HTTP_RANGE_WHOLE);
    }
}

static void called(const char *name, const char *expected)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct slice header = http_disposition(&arena, slice_text(name));
    if (!slice_equal_text(header, expected)) {
        print_error("%.*s\n", SLICE_ARG(header));
    }
    assert_true(slice_equal_text(header, expected));
    arena_free(&arena);
}

static void names_end_no_header(void **state)
{
    called("lease.pdf", "attachment; filename=\"lease.pdf\"");
    called("my lease (1).pdf", "attachment; filename=\"my lease (1).pdf\"");
    /* RFC 6266 section 5: EURO SIGN is E2 82 AC */
    called("\xE2\x82\xAC rates.pdf",
           "attachment; filename=\"_ rates.pdf\"; filename*=UTF-8''%E2%82%AC%20rates.pdf");
    called("a\"b\\c.pdf", "attachment; filename=\"a_b_c.pdf\"; filename*=UTF-8''a%22b%5Cc.pdf");
    called("a\r\nSet-Cookie: x", "attachment; filename=\"a__Set-Cookie_ x\"; "
                                 "filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x");
    called("../../etc/passwd", "attachment; filename=\".._.._etc_passwd\"; "
                               "filename*=UTF-8''..%2F..%2Fetc%2Fpasswd");
    called("100%25.pdf", "attachment; filename=\"100_25.pdf\"; filename*=UTF-8''100%2525.pdf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_range_is_served),
        cmocka_unit_test(what_is_not_there_is_refused),
        cmocka_unit_test(the_rest_is_ignored),
        cmocka_unit_test(names_end_no_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
