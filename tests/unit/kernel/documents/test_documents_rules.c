/* What a document is called and what it is: seed 000 section 4.1, ISO 32000-1 section 7.5. */
#include "kernel/documents/documents_internal.h"
#include "unit/test.h"

#include <string.h>

static void types_follow_the_seed(void **state)
{
    static const char *const cases[][2] = {
        {"Manual.pdf", "manual"},
        {"operation-MANUAL-certified.pdf", "manual"},
        {"airworthiness certificate.pdf", "certification"},
        {"cert-spec.pdf", "certification"},
        {"Specification.pdf", "specification"},
        {"inspection of lease.pdf", "specification"}, /* it says "spec" */
        {"lease.pdf", "lease_agreement"},
        {"release notes.pdf", "lease_agreement"}, /* so does the seed */
        {"Agreement 7.pdf", "lease_agreement"},
        {"", "specification"},
        {"x", "specification"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(documents_type_of(slice_text(cases[i][0])), cases[i][1]);
        assert_non_null(documents_type_find(slice_text(cases[i][1])));
    }
    assert_null(documents_type_find(SLICE_LIT("Manual")));
    assert_null(documents_type_find(SLICE_EMPTY));
}

static void names_are_file_names(void **state)
{
    static const char *const good[] = {"a", "a.pdf", "...", ".hidden", "\xC3\xA4 b (1).pdf", "~"};
    static const char *const bad[] = {"",     ".",    "..",    "a/b",          "/a",
                                      "a\\b", "a\nb", "a\x7F", "\xC3\x28.pdf", "../a"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(documents_name_check(slice_text(good[i]), NULL), OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(documents_name_check(slice_text(bad[i]), NULL), ERR_INVALID_FIELD);
    }
    char name[DOCUMENTS_NAME_BYTES_MAX + 1];
    memset(name, 'x', sizeof name);
    assert_int_equal(documents_name_check(slice_of(name, sizeof name - 1), NULL), OK);
    assert_int_equal(documents_name_check(slice_of(name, sizeof name), NULL), ERR_INVALID_FIELD);
    assert_int_equal(documents_name_check(slice_of("a\0b", 3), NULL), ERR_INVALID_FIELD);
}

static void a_pdf_has_both_ends(void **state)
{
    static const struct {
        const char *head;
        const char *tail;
        enum err err;
    } cases[] = {
        {"%PDF-1.4\n", "startxref\n9\n%%EOF", OK},
        {"%PDF-2.0\r", "%%EOF\r\n\r\n", OK},
        {"%PDF-1.7\n", "startxref\n9\n%%EO", ERR_UNSUPPORTED_MEDIA},
        {"%PDF-1.7\n", "", ERR_UNSUPPORTED_MEDIA},
        {"%PDF-", "%%EOF", ERR_UNSUPPORTED_MEDIA},
        {"%PDF-x.y", "%%EOF", ERR_UNSUPPORTED_MEDIA},
        {" %PDF-1.4", "%%EOF", ERR_UNSUPPORTED_MEDIA},
        {"%pdf-1.4", "%%EOF", ERR_UNSUPPORTED_MEDIA},
        {"\x89PNG\r\n\x1A\n", "%%EOF", ERR_UNSUPPORTED_MEDIA},
        {"", "", ERR_UNSUPPORTED_MEDIA},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum err e =
            documents_pdf_check(slice_text(cases[i].head), slice_text(cases[i].tail), NULL);
        assert_int_equal(e, cases[i].err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_follow_the_seed),
        cmocka_unit_test(names_are_file_names),
        cmocka_unit_test(a_pdf_has_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
