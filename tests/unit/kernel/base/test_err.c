#include "kernel/base/err.h"

#include "unit/test.h"

static void codes_are_unique_snake_case(void **state)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        const char *code = err_code((enum err)i);
        size_t len = strlen(code);
        assert_true(len > 0 && strspn(code, "abcdefghijklmnopqrstuvwxyz0123456789_") == len);
        assert_true(code[0] >= 'a' && code[0] <= 'z' && code[len - 1] != '_');
        assert_null(strstr(code, "__"));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(code, err_code((enum err)j));
        }
    }
}

static void codes_are_found_again(void **state)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        assert_int_equal(err_find(err_code((enum err)i)), i);
    }
    assert_int_equal(err_find("no_such_code"), ERR_COUNT);
    assert_int_equal(err_find(""), ERR_COUNT);
    assert_int_equal(err_find("INVALID_JSON"), ERR_COUNT);
}

static void statuses_are_error_statuses(void **state)
{
    assert_int_equal(err_http_status(OK), 200);
    assert_false(err_retryable(OK));
    for (int i = 1; i < ERR_COUNT; i++) {
        int status = err_http_status((enum err)i);
        assert_in_range(status, 400, 504);
        /* A caller's mistake does not mend itself: only these 4xx may be tried again. */
        if (status < 500 && err_retryable((enum err)i)) {
            assert_true(status == 408 || status == 409 || status == 429);
        }
        /* 503 and 504 promise that later is better. */
        if (status == 503 || status == 504) {
            assert_true(err_retryable((enum err)i));
        }
    }
}

static void public_contract_holds(void **state)
{
    static const struct {
        enum err err;
        const char *code;
        int status;
    } expected[] = {
        {ERR_INVALID_JSON, "invalid_json", 400},
        {ERR_INVALID_REQUEST, "invalid_request", 400},
        {ERR_INVALID_ADDRESS, "invalid_address", 400},
        {ERR_ADDRESS_CHECKSUM, "address_checksum", 400},
        {ERR_INVALID_AMOUNT, "invalid_amount", 400},
        {ERR_AMOUNT_OVERFLOW, "amount_overflow", 400},
        {ERR_INVALID_METADATA, "invalid_metadata", 422},
        {ERR_SIGNATURE_MALFORMED, "signature_malformed", 422},
        {ERR_SIGNATURE_HIGH_S, "signature_high_s", 422},
        {ERR_SIGNATURE_V, "signature_v", 422},
        {ERR_SIGNATURE_SIGNER, "signature_signer", 422},
        {ERR_SIGNATURE_CHAIN, "signature_chain", 422},
        {ERR_SIGNATURE_CONTRACT, "signature_contract", 422},
        {ERR_DEADLINE_EXPIRED, "deadline_expired", 422},
        {ERR_REVERTED, "reverted", 422},
        {ERR_UNAUTHENTICATED, "unauthenticated", 401},
        {ERR_FORBIDDEN, "forbidden", 403},
        {ERR_NOT_FOUND, "not_found", 404},
        {ERR_ROUTE_NOT_FOUND, "route_not_found", 404},
        {ERR_METHOD_NOT_ALLOWED, "method_not_allowed", 405},
        {ERR_REQUEST_TIMEOUT, "request_timeout", 408},
        {ERR_IDEMPOTENCY_MISMATCH, "idempotency_mismatch", 409},
        {ERR_LENGTH_REQUIRED, "length_required", 411},
        {ERR_BODY_TOO_LARGE, "body_too_large", 413},
        {ERR_UNSUPPORTED_MEDIA, "unsupported_media", 415},
        {ERR_RANGE, "range_not_satisfiable", 416},
        {ERR_RATE_LIMITED, "rate_limited", 429},
        {ERR_HEADERS_TOO_LARGE, "headers_too_large", 431},
        {ERR_INTERNAL, "internal", 500},
        {ERR_NODE_RESPONSE, "node_response", 502},
        {ERR_STOPPING, "stopping", 503},
        {ERR_DB_BUSY, "db_busy", 503},
        {ERR_NODE_TIMEOUT, "node_timeout", 504},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_string_equal(err_code(expected[i].err), expected[i].code);
        assert_int_equal(err_http_status(expected[i].err), expected[i].status);
    }
}

static void sentences_read_as_sentences(void **state)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        const char *sentence = err_sentence((enum err)i);
        size_t len = strlen(sentence);
        assert_true(len > 5 && len < WHY_TEXT_MAX);
        assert_true(sentence[0] >= 'A' && sentence[0] <= 'Z');
        assert_int_equal(sentence[len - 1], '.');
    }
}

static void code_out_of_range(void)
{
    (void)err_code(ERR_COUNT);
}

static void why_without_error(void)
{
    struct why why = {0};
    (void)why_set(&why, OK, NULL, "fine");
}

static void misuse_aborts(void **state)
{
    assert_true(test_aborts(code_out_of_range));
    assert_true(test_aborts(why_without_error));
}

static void why_takes_sentence_and_field(void **state)
{
    struct why why = {0};
    enum err e = why_set(&why, ERR_INVALID_FIELD, "rent", "The rent is %d.", -5);
    assert_int_equal(e, ERR_INVALID_FIELD);
    assert_int_equal(why.err, ERR_INVALID_FIELD);
    assert_string_equal(why.field, "rent");
    assert_string_equal(why.text, "The rent is -5.");
    assert_string_equal(why_text(&why, e), "The rent is -5.");

    e = why_set(&why, ERR_DB, NULL, "Gone.");
    assert_string_equal(why.field, "");
    assert_string_equal(why.text, "Gone.");
}

static void why_may_be_null(void **state)
{
    assert_int_equal(why_set(NULL, ERR_IO, "x", "%s", "y"), ERR_IO);
    assert_int_equal(why_prefix_field(NULL, ERR_IO, "x"), ERR_IO);
    assert_string_equal(why_text(NULL, ERR_IO), err_sentence(ERR_IO));
    struct why empty = {0};
    assert_string_equal(why_text(&empty, ERR_IO), err_sentence(ERR_IO));
}

static void why_wraps_itself(void **state)
{
    struct why why = {0};
    (void)why_set(&why, ERR_IO, "file", "Disk gone.");
    (void)why_set(&why, ERR_CONFIG, why.field, "Cannot load: %s", why.text);
    assert_string_equal(why.text, "Cannot load: Disk gone.");
    assert_string_equal(why.field, "file");
}

static void prefixes_build_the_path(void **state)
{
    struct why why = {0};
    enum err e = why_set(&why, ERR_MISSING_FIELD, "amount", "It is missing.");
    e = why_prefix_field(&why, e, "rent");
    e = why_prefix_field(&why, e, "lease");
    assert_int_equal(e, ERR_MISSING_FIELD);
    assert_string_equal(why.field, "lease.rent.amount");

    assert_int_equal(why_prefix_field(&why, OK, "no"), OK);
    assert_string_equal(why.field, "lease.rent.amount");

    (void)why_set(&why, ERR_INVALID_JSON, NULL, "Broken.");
    (void)why_prefix_field(&why, ERR_INVALID_JSON, "body");
    assert_string_equal(why.field, "");
}

/* A cut never leaves half a character, whatever the offset at which the buffer ends. */
static void long_texts_are_cut_between_characters(void **state)
{
    static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8f\xa0"};
    for (size_t c = 0; c < 4; c++) {
        for (size_t lead = 0; lead < 4; lead++) {
            char text[3000] = {0};
            size_t unit = strlen(characters[c]);
            memset(text, 'x', lead);
            for (size_t at = lead; at + unit < sizeof text; at += unit) {
                memcpy(text + at, characters[c], unit);
            }
            struct why why = {0};
            (void)why_set(&why, ERR_IO, text, "%s", text);
            assert_int_equal(strlen(why.text), lead + (WHY_TEXT_MAX - 1 - lead) / unit * unit);
            assert_int_equal(strlen(why.field), lead + (WHY_FIELD_MAX - 1 - lead) / unit * unit);
        }
    }
}

static void exact_fit_is_not_cut(void **state)
{
    char text[WHY_TEXT_MAX];
    memset(text, 'x', sizeof text);
    memcpy(text + sizeof text - 3, "\xc3\xa9", 3);
    struct why why = {0};
    (void)why_set(&why, ERR_IO, NULL, "%s", text);
    assert_string_equal(why.text, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_unique_snake_case),
        cmocka_unit_test(codes_are_found_again),
        cmocka_unit_test(statuses_are_error_statuses),
        cmocka_unit_test(public_contract_holds),
        cmocka_unit_test(sentences_read_as_sentences),
        cmocka_unit_test(misuse_aborts),
        cmocka_unit_test(why_takes_sentence_and_field),
        cmocka_unit_test(why_may_be_null),
        cmocka_unit_test(why_wraps_itself),
        cmocka_unit_test(prefixes_build_the_path),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(exact_fit_is_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
