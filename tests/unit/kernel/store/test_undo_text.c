#include <time.h>

#include "kernel/store/store_private.h"
#include "unit/kernel/store/sample.h"

/*
 * The same inverse as the triggers of each database write it. Left: what SQLite's quote() gives,
 * right: what PostgreSQL's format('%L') gives, both seen on real servers.
 */
static const struct {
    const char *portable;
    const char *postgres;
} pairs[] = {
    {"DELETE FROM \"lots\" WHERE \"id\"=7", "DELETE FROM \"lots\" WHERE \"id\" = '7'"},
    {"DELETE FROM \"holdings\" WHERE \"asset\"=-3 AND "
     "\"holder\"=X'0A0B0C0D0E0F101112131415161718191A1B1C1D'",
     "DELETE FROM \"holdings\" WHERE \"asset\" = '-3' AND "
     "\"holder\" = E'\\\\x0a0b0c0d0e0f101112131415161718191a1b1c1d'"},
    {"UPDATE \"holdings\" SET \"label\"='it''s \"so\"',\"memo\"='{\"a\": "
     "1}',\"at\"=NULL,\"active\"=1"
     " WHERE \"asset\"=1",
     "UPDATE \"holdings\" SET \"label\" = 'it''s \"so\"', \"memo\" = '{\"a\": 1}', \"at\" = NULL, "
     "\"active\" = 't' WHERE \"asset\" = '1'"},
    {"UPDATE \"holdings\" SET \"label\"='a\\b''c' WHERE \"asset\"=1",
     "UPDATE \"holdings\" SET \"label\" = E'a\\\\b''c' WHERE \"asset\" = '1'"},
    {"UPDATE \"holdings\" SET \"label\"='',\"raw\"=X'',\"active\"=0 WHERE \"asset\"=1",
     "UPDATE \"holdings\" SET \"label\" = '', \"raw\" = E'\\\\x', \"active\" = 'f' WHERE "
     "\"asset\" = '1'"},
    {"INSERT INTO \"lots\" (\"id\", \"asset\", \"size\") VALUES (9223372036854775807, "
     "-9223372036854775808, "
     "'115792089237316195423570985008687907853269984665640564039457584007913129639935')",
     "INSERT INTO \"lots\" (\"id\", \"asset\", \"size\") OVERRIDING SYSTEM VALUE VALUES "
     "('9223372036854775807', '-9223372036854775808', "
     "'115792089237316195423570985008687907853269984665640564039457584007913129639935')"},
    {"UPDATE \"holdings\" SET \"balance\"="
     "'000000000000000000000000000000000000000000000000000000000000000000000000000120' WHERE "
     "\"asset\"=1",
     "UPDATE \"holdings\" SET \"balance\" = '120' WHERE \"asset\" = '1'"},
    {"UPDATE \"holdings\" SET \"at\"=1795797783250000 WHERE \"asset\"=1",
     "UPDATE \"holdings\" SET \"at\" = '2026-11-27 16:43:03.250000+00' WHERE \"asset\" = '1'"},
    {"UPDATE \"holdings\" SET \"at\"=-1 WHERE \"asset\"=1",
     "UPDATE \"holdings\" SET \"at\" = '1969-12-31 23:59:59.999999+00' WHERE \"asset\" = '1'"},
    {"UPDATE \"holdings\" SET \"at\"=253402300800000000 WHERE \"asset\"=1",
     "UPDATE \"holdings\" SET \"at\" = '10000-01-01 00:00:00.000000+00' WHERE \"asset\" = '1'"},
};

static enum err translate(struct arena *arena, const char *from, bool to_postgres,
                          struct slice *out)
{
    return store_undo_translate(&sample_catalog, arena, slice_text(from), to_postgres, out, NULL);
}

static void test_each_form_becomes_the_other(void **state)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct slice out = SLICE_EMPTY;
        assert_int_equal(translate(&arena, pairs[i].portable, true, &out), OK);
        assert_string_equal(slice_cstr(&arena, out), pairs[i].postgres);
        assert_int_equal(translate(&arena, pairs[i].postgres, false, &out), OK);
        assert_string_equal(slice_cstr(&arena, out), pairs[i].portable);
    }
    arena_free(&arena);
}

/* The server leaves zeros at the end of a fraction out. */
static void test_reads_times_as_the_server_writes_them(void **state)
{
    struct arena arena;
    struct slice out = SLICE_EMPTY;
    arena_init(&arena, 0);
    assert_int_equal(
        translate(&arena,
                  "UPDATE \"holdings\" SET \"at\" = '2024-02-29 00:00:00+00' WHERE \"asset\" = '1'",
                  false, &out),
        OK);
    struct tm leap_day = {.tm_year = 124, .tm_mon = 1, .tm_mday = 29};
    char expected[128];
    snprintf(expected, sizeof(expected), "UPDATE \"holdings\" SET \"at\"=%lld WHERE \"asset\"=1",
             (long long)timegm(&leap_day) * 1000000);
    assert_string_equal(slice_cstr(&arena, out), expected);
    arena_free(&arena);
}

/* Every day of eight centuries, against the C library's calendar. */
static void test_knows_the_calendar(void **state)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (int64_t day = -141000; day < 160000; day += 1) {
        char portable[128];
        char postgres[128];
        time_t sec = (time_t)(day * 86400);
        struct tm date;
        struct slice out = SLICE_EMPTY;
        assert_non_null(gmtime_r(&sec, &date));
        snprintf(portable, sizeof(portable),
                 "UPDATE \"holdings\" SET \"at\"=%lld WHERE \"asset\"=1", (long long)sec * 1000000);
        snprintf(postgres, sizeof(postgres),
                 "UPDATE \"holdings\" SET \"at\" = '%04d-%02d-%02d 00:00:00.000000+00' WHERE "
                 "\"asset\" = '1'",
                 date.tm_year + 1900, date.tm_mon + 1, date.tm_mday);
        assert_int_equal(translate(&arena, portable, true, &out), OK);
        assert_true(slice_equal_text(out, postgres));
        assert_int_equal(translate(&arena, postgres, false, &out), OK);
        assert_true(slice_equal_text(out, portable));
        arena_clear(&arena);
    }
    arena_free(&arena);
}

static void test_refuses_what_no_trigger_writes(void **state)
{
    static const char *const portable[] = {
        "",
        "DROP TABLE holdings",
        "DELETE FROM \"holdings\"",
        "DELETE FROM \"holdings\" WHERE \"asset\"=1; DELETE FROM \"lots\" WHERE \"id\"=1",
        "DELETE FROM \"holdings\" WHERE \"asset\"=1 OR 1=1",
        "DELETE FROM \"strangers\" WHERE \"asset\"=1",
        "DELETE FROM \"holdings\" WHERE \"nothing\"=1",
        "DELETE FROM \"holdings\" WHERE \"asset\"='1'",
        "DELETE FROM \"holdings\" WHERE \"asset\"=1.5",
        "DELETE FROM \"holdings\" WHERE \"asset\"=9223372036854775808",
        "UPDATE \"holdings\" SET \"active\"=2 WHERE \"asset\"=1",
        "UPDATE \"holdings\" SET \"label\"='open WHERE \"asset\"=1",
        "UPDATE \"holdings\" SET \"raw\"=X'ABC' WHERE \"asset\"=1",
        "UPDATE \"holdings\" SET \"raw\"=X'GG' WHERE \"asset\"=1",
        "INSERT INTO \"lots\" (\"id\", \"asset\") VALUES (1)",
        "INSERT INTO \"lots\" (\"id\") VALUES (1, 2)",
    };
    static const char *const postgres[] = {
        "UPDATE \"holdings\" SET \"at\" = '2026-13-01 00:00:00+00' WHERE \"asset\" = '1'",
        "UPDATE \"holdings\" SET \"at\" = '2026-01-01 00:00:00+02' WHERE \"asset\" = '1'",
        "UPDATE \"holdings\" SET \"at\" = '0044-03-15 00:00:00+00 BC' WHERE \"asset\" = '1'",
        "UPDATE \"holdings\" SET \"at\" = 'infinity' WHERE \"asset\" = '1'",
        "UPDATE \"holdings\" SET \"active\" = 'true' WHERE \"asset\" = '1'",
        "UPDATE \"holdings\" SET \"label\" = E'\\n' WHERE \"asset\" = '1'",
    };
    struct arena arena;
    struct slice out = SLICE_EMPTY;
    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof(portable) / sizeof(portable[0]); i++) {
        assert_int_equal(translate(&arena, portable[i], true, &out), ERR_CORRUPT);
    }
    for (size_t i = 0; i < sizeof(postgres) / sizeof(postgres[0]); i++) {
        assert_int_equal(translate(&arena, postgres[i], false, &out), ERR_CORRUPT);
    }
    assert_int_equal(out.len, 0);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_form_becomes_the_other),
        cmocka_unit_test(test_reads_times_as_the_server_writes_them),
        cmocka_unit_test(test_knows_the_calendar),
        cmocka_unit_test(test_refuses_what_no_trigger_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
