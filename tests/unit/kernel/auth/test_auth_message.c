/*
 * Messages of EIP-4361 by tests/vectors/siwe.json: siwe and viem wrote them, viem signed, and the
 * verdicts about bent ones are those of a parser that is generated from the standard's ABNF.
 */
#include "kernel/auth/auth.h"
#include "kernel/auth/auth_message.h"
#include "unit/test.h"
#include "unit/vectors.h"

static struct arena arena;
static const struct json *vectors;

static int setup(void **state)
{
    arena_init(&arena, 0);
    vectors = vector_file(&arena, "siwe.json");
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static struct slice text_of(const struct json *v, const char *key)
{
    struct slice out;
    assert_int_equal(json_get_text(v, key, &out, NULL), OK);
    return out;
}

static uint64_t number_of(const struct json *v, const char *key)
{
    uint64_t out = 0;
    assert_int_equal(json_get_u64(v, key, &out, NULL), OK);
    return out;
}

static void assert_message(const struct json *v)
{
    struct auth_message m;
    struct why why = {.err = OK};
    struct slice signature;
    struct address signer;
    if (auth_message_parse(text_of(v, "text"), &m, &why) != OK) {
        fail_msg("%.*s: %s", SLICE_ARG(text_of(v, "name")), why_text(&why, why.err));
    }
    char address[ADDRESS_TEXT_MAX];
    address_format(&m.address, address);
    assert_true(slice_equal_text(text_of(v, "address"), address));
    assert_true(slice_equal(m.scheme, text_of(v, "scheme")));
    assert_true(slice_equal(m.domain, text_of(v, "domain")));
    assert_true(slice_equal(m.statement, text_of(v, "statement")));
    assert_true(slice_equal(m.uri, text_of(v, "uri")));
    assert_true(slice_equal(m.nonce, text_of(v, "nonce")));
    assert_true(slice_equal(m.request_id, text_of(v, "requestId")));
    assert_int_equal(m.chain_id, number_of(v, "chainId"));
    assert_int_equal(m.issued_usec / USEC_PER_SEC, number_of(v, "issuedSec"));
    assert_int_equal(m.expires_usec / USEC_PER_SEC, number_of(v, "expiresSec"));
    assert_int_equal(m.not_before_usec / USEC_PER_SEC, number_of(v, "notBeforeSec"));
    assert_int_equal(m.resource_count, number_of(v, "resources"));
    assert_int_equal(json_get_hex(&arena, v, "signature", &signature, NULL), OK);
    assert_int_equal(auth_message_signer(text_of(v, "text"), signature, &signer, NULL), OK);
    assert_true(address_equal(&signer, &m.address));
}

static void messages_of_others_are_read(void **state)
{
    const struct json *good = json_find(vectors, "good");
    assert_true(good->count > 10);
    for (const struct json *v = good->child; v != NULL; v = v->next) {
        assert_message(v);
    }
}

static void bent_messages_are_judged_as_by_the_grammar(void **state)
{
    struct auth_message m;
    const struct json *bent = json_find(vectors, "bent");
    assert_true(bent->count > 50);
    for (const struct json *v = bent->child; v != NULL; v = v->next) {
        bool taken = false;
        assert_int_equal(json_get_bool(v, "taken", &taken, NULL), OK);
        /* Theirs has a rule of its own for an empty statement; the standard says 1*( … ). */
        taken = taken && !slice_equal_text(text_of(v, "name"), "three empty lines");
        struct slice text = text_of(v, "text");
        if ((auth_message_parse(text, &m, NULL) == OK) != taken) {
            fail_msg("%.*s: %s", SLICE_ARG(text_of(v, "name")), taken ? "refused" : "taken");
        }
    }
    uint8_t *huge = arena_alloc(&arena, AUTH_MESSAGE_BYTES_MAX + 1);
    memset(huge, 'a', AUTH_MESSAGE_BYTES_MAX + 1);
    assert_int_equal(auth_message_parse(slice_of(huge, AUTH_MESSAGE_BYTES_MAX + 1), &m, NULL),
                     ERR_INVALID_FIELD);
}

#define AT(hour, minute, second)                                                                   \
    ((INT64_C(1795824000) + (hour)*3600 + (minute)*60 + (second)) * USEC_PER_SEC)

/* All but one thing is right in each row. 2026-11-28T00:00:00Z is 1795824000. */
static void rules_are_those_of_who_reads(void **state)
{
    const struct auth_message good = {
        .domain = SLICE_LIT("app.example.com"),
        .uri = SLICE_LIT("https://app.example.com/login"),
        .chain_id = 31337,
        .issued_usec = AT(8, 0, 0),
    };
    const struct auth_message_rules rules = {.domains = SLICE_LIT("x.example, app.example.com"),
                                             .chain_id = 31337,
                                             .now_usec = AT(8, 1, 0),
                                             .age_usec_max = AT(0, 5, 0) - AT(0, 0, 0)};
    int64_t issued = 0;
    assert_int_equal(clock_parse(SLICE_LIT("2026-11-28T08:00:00Z"), &issued), OK);
    assert_int_equal(issued, AT(8, 0, 0));
    assert_int_equal(auth_message_check(&good, &rules, NULL), OK);
    static const struct {
        const char *domain, *uri, *scheme;
        int64_t issued_usec, expires_usec, not_before_usec;
        uint64_t chain_id;
        enum err err;
    } rows[] = {
        {.domain = "evil.example.com", .err = ERR_FORBIDDEN},
        {.domain = "app.example.com.evil", .err = ERR_FORBIDDEN},
        {.domain = "app.example", .err = ERR_FORBIDDEN},
        {.domain = "APP.example.com", .err = ERR_FORBIDDEN},
        {.domain = "x.example", .err = ERR_FORBIDDEN}, /* ours, but not the URI's */
        {.domain = "", .err = ERR_FORBIDDEN},
        {.uri = "https://evil.example/app.example.com", .err = ERR_FORBIDDEN},
        {.uri = "https://app.example.com@evil.example/", .err = ERR_FORBIDDEN},
        {.uri = "https://evil@app.example.com/", .err = ERR_FORBIDDEN},
        {.uri = "ftp://app.example.com/", .err = ERR_FORBIDDEN},
        {.uri = "urn:app.example.com", .err = ERR_FORBIDDEN},
        {.uri = "https://app.example.com?a=b", .err = OK},
        {.scheme = "http", .err = ERR_FORBIDDEN},
        {.scheme = "https", .err = OK},
        {.uri = "http://app.example.com", .err = OK},
        {.chain_id = 1, .err = ERR_SIGNATURE_CHAIN},
        {.issued_usec = AT(8, 2, 0), .err = OK},
        {.issued_usec = AT(8, 2, 1), .err = ERR_INVALID_TIME},
        {.issued_usec = AT(7, 55, 0), .err = OK},
        {.issued_usec = AT(7, 54, 59), .err = ERR_DEADLINE_EXPIRED},
        {.expires_usec = AT(8, 1, 1), .err = OK},
        {.expires_usec = AT(8, 1, 0), .err = ERR_DEADLINE_EXPIRED},
        {.not_before_usec = AT(8, 1, 0), .err = OK},
        {.not_before_usec = AT(8, 1, 1), .err = ERR_INVALID_TIME},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct auth_message m = good;
        m.domain = rows[i].domain != NULL ? slice_text(rows[i].domain) : m.domain;
        m.uri = rows[i].uri != NULL ? slice_text(rows[i].uri) : m.uri;
        m.scheme = slice_text(rows[i].scheme);
        m.issued_usec = rows[i].issued_usec != 0 ? rows[i].issued_usec : m.issued_usec;
        m.expires_usec = rows[i].expires_usec;
        m.not_before_usec = rows[i].not_before_usec;
        m.chain_id = rows[i].chain_id != 0 ? rows[i].chain_id : m.chain_id;
        enum err e = auth_message_check(&m, &rules, NULL);
        if (e != rows[i].err) {
            fail_msg("row %zu: %s", i, err_code(e));
        }
    }
    struct auth_message_rules nobody = rules;
    nobody.domains = SLICE_EMPTY;
    assert_int_equal(auth_message_check(&good, &nobody, NULL), ERR_FORBIDDEN);
}

/* Domains are compared as texts: what cannot be in a message must not be in the settings. */
static void settings_that_let_nobody_in_are_refused(void **state)
{
    struct auth_config config = {.issuer = "i", .audience = "a", .domains = ""};
    static const char *const good[] = {"", "app.example.com", "localhost:5173, [::1]:8080 ,a"};
    static const char *const bad[] = {"https://app.example.com",
                                      "app.example.com/",
                                      "a,,b",
                                      "a b",
                                      "a, ",
                                      "app.example.com:x",
                                      "[::1"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        config.domains = good[i];
        assert_int_equal(auth_config_check(&config, NULL), OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        config.domains = bad[i];
        assert_int_equal(auth_config_check(&config, NULL), ERR_CONFIG);
    }
    config.domains = "";
    static const char *const claims[] = {"", "two words", "tab\t", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        config.issuer = claims[i];
        assert_int_equal(auth_config_check(&config, NULL), ERR_CONFIG);
    }
    config.issuer = "https://api.example.com";
    assert_int_equal(auth_config_check(&config, NULL), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_others_are_read),
        cmocka_unit_test(bent_messages_are_judged_as_by_the_grammar),
        cmocka_unit_test(rules_are_those_of_who_reads),
        cmocka_unit_test(settings_that_let_nobody_in_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
