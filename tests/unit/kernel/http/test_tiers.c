/*
 * Tiers of callers and limits of operations; the numbers are those of the tables in
 * docs/operations.md, which the seed of the gateway has.
 */
#include "kernel/http/http_internal.h"
#include "unit/test.h"

#define SEC ((int64_t)USEC_PER_SEC)
/* The beginning of a day, so that hours and minutes begin there too. */
#define START (20000 * 86400 * SEC)

static struct arena arena;
static struct cache *cache;
static int64_t now_usec;

static int64_t clock_now(void *ctx)
{
    return now_usec;
}

static const struct clock_source moved = {.wall_usec = clock_now, .mono_usec = clock_now};

static int setup(void **state)
{
    const struct cache_config config = {.redis_url = "", .timeout_usec = 50000};
    arena_init(&arena, 0);
    assert_int_equal(cache_new(&config, SLICE_LIT("test"), &cache, NULL), OK);
    now_usec = START;
    clock_set_source(&moved);
    return 0;
}

static int teardown(void **state)
{
    clock_set_source(NULL);
    cache_free(cache);
    arena_free(&arena);
    return 0;
}

static struct http_limited ask(const char *who, const struct http_tier *tier,
                               enum http_limit_class class)
{
    struct http_limited limited = {.is = false};
    enum err e = http_tier_take(&arena, cache, slice_text(who), tier, class, &limited, NULL);
    assert_true(e == OK || e == ERR_RATE_LIMITED);
    assert_int_equal(e == OK, !limited.is || limited.verdict.allowed);
    return limited;
}

/* Asks at one moment until it is refused; returns how often it was answered. */
static uint64_t exhaust(const char *who, const struct http_tier *tier, enum http_limit_class class,
                        struct http_limited *out)
{
    uint64_t count = 0;
    for (*out = ask(who, tier, class); out->verdict.allowed; *out = ask(who, tier, class)) {
        count++;
        assert_true(count < 10000);
    }
    return count;
}

static void tiers_are_by_who_calls(void **state)
{
    static const struct {
        bool known;
        unsigned roles;
        const char *name;
    } rows[] = {
        {false, 0, "unauthenticated"},
        {true, 0, "authenticated"},
        {true, HTTP_ROLE_INVESTOR, "authenticated"},
        {true, HTTP_ROLE_INVESTOR | HTTP_ROLE_ISSUER, "verified"},
        {true, HTTP_ROLE_SERVICE, "verified"},
        {true, HTTP_ROLE_ADMIN, "admin"},
        {true, HTTP_ROLE_OPERATOR | HTTP_ROLE_SERVICE, "admin"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_string_equal(http_tier_of(rows[i].known, rows[i].roles)->name, rows[i].name);
    }
}

static void each_tier_has_its_minute_hour_and_day(void **state)
{
    static const struct {
        bool known;
        unsigned roles;
        uint64_t minute, hour, day;
    } rows[] = {
        {false, 0, 20, 100, 500},
        {true, HTTP_ROLE_INVESTOR, 60, 500, 2000},
        {true, HTTP_ROLE_ISSUER, 100, 1000, 5000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct http_tier *tier = http_tier_of(rows[i].known, rows[i].roles);
        struct http_limited last;
        now_usec = START + (int64_t)i * 10 * 86400 * SEC;
        assert_int_equal(exhaust("a", tier, HTTP_LIMIT_NONE, &last), rows[i].minute);
        assert_int_equal(last.uses, rows[i].minute);
        assert_int_equal(ask("b", tier, HTTP_LIMIT_NONE).verdict.remaining, rows[i].minute - 1);
        /* Every other minute, so that no minute carries anything over. */
        uint64_t answered = rows[i].minute;
        while (last.uses == rows[i].minute) {
            now_usec += 120 * SEC;
            answered += exhaust("a", tier, HTTP_LIMIT_NONE, &last);
        }
        assert_int_equal(answered, rows[i].hour);
        assert_int_equal(last.uses, rows[i].hour);
        while (last.uses != rows[i].day) {
            now_usec += last.uses == rows[i].hour ? 2 * 3600 * SEC : 120 * SEC;
            answered += exhaust("a", tier, HTTP_LIMIT_NONE, &last);
        }
        assert_int_equal(answered, rows[i].day);
        assert_true(last.verdict.retry_usec > 0);
    }
    const struct http_tier *admin = http_tier_of(true, HTTP_ROLE_ADMIN);
    for (int i = 0; i < 20000; i++) {
        assert_false(ask("boss", admin, HTTP_LIMIT_REGISTRATION).is);
    }
}

static void operations_have_limits_of_their_own(void **state)
{
    static const uint64_t uses[HTTP_LIMIT_CLASSES][2] = {
        [HTTP_LIMIT_REGISTRATION] = {1, 5}, [HTTP_LIMIT_AUTHENTICATION] = {5, 30},
        [HTTP_LIMIT_INVEST] = {3, 20},      [HTTP_LIMIT_REDEEM] = {3, 20},
        [HTTP_LIMIT_CREDENTIAL] = {1, 3},   [HTTP_LIMIT_SEAL] = {5, 30},
    };
    const struct http_tier *tier = http_tier_of(true, HTTP_ROLE_ISSUER);
    for (int class = HTTP_LIMIT_REGISTRATION; class < HTTP_LIMIT_CLASSES; class ++) {
        struct http_limited last;
        char who[32];
        (void)snprintf(who, sizeof who, "caller %d", class);
        now_usec = START + (int64_t) class * 10 * 86400 * SEC;
        uint64_t answered = exhaust(who, tier, (enum http_limit_class) class, &last);
        assert_int_equal(answered, uses[class][0]);
        assert_int_equal(last.uses, uses[class][0]);
        /* What else he asks is answered, and told by the tier. */
        assert_true(ask(who, tier, HTTP_LIMIT_NONE).verdict.allowed);
        while (last.uses == uses[class][0]) {
            now_usec += 120 * SEC;
            answered += exhaust(who, tier, (enum http_limit_class) class, &last);
        }
        assert_int_equal(answered, uses[class][1]);
    }
}

static void the_exempt_are_addresses_and_callers(void **state)
{
    const char *list = "192.0.2.1, 2001:db8::1,key:00ff,wallet:0xab , operator";
    assert_int_equal(http_exempt_check(list, NULL), OK);
    assert_int_equal(http_exempt_check("", NULL), OK);
    static const struct {
        const char *client, *principal;
        bool exempt;
    } rows[] = {
        {"192.0.2.1", "", true},   {"::ffff:192.0.2.1", "", true},
        {"2001:db8::1", "", true}, {"192.0.2.10", "", false},
        {"192.0.2.2", "", false},  {"::1", "key:00ff", true},
        {"::1", "key:00f", false}, {"::1", "wallet:0xab", true},
        {"::1", "operator", true}, {"::1", "", false},
        {"", "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(
            http_is_exempt(list, slice_text(rows[i].client), slice_text(rows[i].principal)),
            rows[i].exempt);
        assert_false(http_is_exempt("", slice_text(rows[i].client), slice_text(rows[i].principal)));
    }
    static const char *const bad[] = {"192.0.2.1,,::1", "192.0.2.01",      "192.0.2.0/24",
                                      "2001:DB8::1",    "0:0:0:0:0:0:0:1", "localhost",
                                      "somebody"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(http_exempt_check(bad[i], NULL), ERR_CONFIG);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tiers_are_by_who_calls),
        TEST(each_tier_has_its_minute_hour_and_day),
        TEST(operations_have_limits_of_their_own),
        TEST(the_exempt_are_addresses_and_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
