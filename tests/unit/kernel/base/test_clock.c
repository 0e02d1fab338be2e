#include "kernel/base/clock.h"

#include "kernel/base/rand.h"
#include "unit/test.h"

static int64_t parse_ok(const char *text)
{
    int64_t usec = -7;
    if (clock_parse(slice_text(text), &usec) != OK) {
        fail_msg("refused: %s", text);
    }
    return usec;
}

static void assert_format(int64_t usec, const char *expected)
{
    char text[CLOCK_TEXT_MAX];
    assert_int_equal(clock_format(usec, text), strlen(expected));
    assert_string_equal(text, expected);
}

/* Seconds from `date -u -d TEXT +%s`. */
static void known_instants(void **state)
{
    static const struct {
        const char *text;
        int64_t sec;
    } rows[] = {
        {"1970-01-01T00:00:00.000Z", 0},           {"1972-02-29T00:00:00.000Z", 68169600},
        {"1999-12-31T23:59:59.000Z", 946684799},   {"2000-02-29T12:00:00.000Z", 951825600},
        {"2000-03-01T00:00:00.000Z", 951868800},   {"2001-09-09T01:46:40.000Z", 1000000000},
        {"2026-11-22T05:20:40.000Z", 1795324840},  {"2038-01-19T03:14:08.000Z", 2147483648},
        {"2100-02-28T23:59:59.000Z", 4107542399},  {"2100-03-01T00:00:00.000Z", 4107542400},
        {"2400-02-29T00:00:00.000Z", 13574563200}, {"9999-12-31T23:59:59.000Z", 253402300799},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(parse_ok(rows[i].text) == rows[i].sec * USEC_PER_SEC);
        assert_format(rows[i].sec * USEC_PER_SEC, rows[i].text);
    }
}

/* RFC 3339 section 5.8. */
static void rfc_3339_examples(void **state)
{
    assert_format(parse_ok("1985-04-12T23:20:50.52Z"), "1985-04-12T23:20:50.520Z");
    assert_true(parse_ok("1985-04-12T23:20:50.52Z") == INT64_C(482196050520000));
    assert_format(parse_ok("1996-12-19T16:39:57-08:00"), "1996-12-20T00:39:57.000Z");
    int64_t usec;
    /* The two leap second examples are refused by design. */
    assert_int_equal(clock_parse(SLICE_LIT("1990-12-31T23:59:60Z"), &usec), ERR_INVALID_TIME);
    assert_int_equal(clock_parse(SLICE_LIT("1990-12-31T15:59:60-08:00"), &usec), ERR_INVALID_TIME);
    /* The last one lies before 1970. */
    assert_int_equal(clock_parse(SLICE_LIT("1937-01-01T12:00:27.87+00:20"), &usec),
                     ERR_INVALID_TIME);
}

static void letters_fractions_and_offsets(void **state)
{
    int64_t second = parse_ok("2026-11-22T05:20:40Z");
    static const struct {
        const char *text;
        int64_t delta_usec;
    } rows[] = {
        {"2026-11-22t05:20:40z", 0},
        {"2026-11-22T05:20:40.1Z", 100000},
        {"2026-11-22T05:20:40.000001Z", 1},
        {"2026-11-22T05:20:40.0000009Z", 0},
        {"2026-11-22T05:20:40.999999999999999999999999Z", 999999},
        {"2026-11-22T05:20:40+00:00", 0},
        {"2026-11-22T05:20:40-00:00", 0},
        {"2026-11-22T10:50:40+05:30", 0},
        {"2026-11-21T23:20:40-06:00", 0},
        {"2026-11-23T05:19:40+23:59", 0},
        {"2026-11-21T05:21:40-23:59", 0},
        {"2026-11-22T05:20:40.5+00:00", 500000},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(parse_ok(rows[i].text) == second + rows[i].delta_usec);
    }
    /* The range is that of the instant, not of the digits. */
    assert_true(parse_ok("1969-12-31T23:30:00-01:00") == INT64_C(1800000000));
    assert_format(parse_ok("9999-12-31T23:59:59.999999Z"), "9999-12-31T23:59:59.999Z");
}

static void malformed_times_are_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "2026-11-22",
        "2026-11-22T05:20:40",
        "2026-11-22 05:20:40Z",
        "2026-11-22T05:20Z",
        "2026-11-22T05:20:40.Z",
        "2026-11-22T05:20:40,5Z",
        "2026-11-22T05:20:40ZZ",
        "2026-11-22T05:20:40Z ",
        " 2026-11-22T05:20:40Z",
        "2026-11-22T05:20:40+0530",
        "2026-11-22T05:20:40+05",
        "2026-11-22T05:20:40+24:00",
        "2026-11-22T05:20:40+05:60",
        "2026-11-22T05:20:40 +05:00",
        "2026-11-22T24:00:00Z",
        "2026-11-22T05:60:00Z",
        "2026-11-22T05:20:60Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "+2026-11-22T05:20:40Z",
        "2026-11-2 T05:20:40Z",
        "26-11-22T05:20:40Z",
        "2026/11/22T05:20:40Z",
        "20261122T052040Z",
        "2026-11-22T05:20:-1Z",
        "2026-11-22T05:20:4٣Z",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t usec = 7;
        if (clock_parse(slice_text(rows[i]), &usec) != ERR_INVALID_TIME || usec != 7) {
            fail_msg("not refused: %s", rows[i]);
        }
    }
    int64_t usec;
    assert_int_equal(clock_parse(SLICE_LIT("2026-11-22T05:20:40Z\0"), &usec), ERR_INVALID_TIME);
    /* Every proper prefix of a good text is a bad one. */
    struct slice whole = SLICE_LIT("2026-11-22T05:20:40.25+01:00");
    for (size_t len = 0; len < whole.len; len++) {
        assert_int_equal(clock_parse(slice_sub(whole, 0, len), &usec), ERR_INVALID_TIME);
    }
}

/* Against the C library's calendar, every day from 1970 to 9999. */
static void calendar_agrees_with_libc(void **state)
{
    for (int64_t day = 0; day < 2932897; day++) {
        time_t sec = day * 86400 + day % 86400;
        struct tm tm;
        assert_non_null(gmtime_r(&sec, &tm));
        char expected[CLOCK_TEXT_MAX];
        char text[CLOCK_TEXT_MAX];
        (void)strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
        (void)clock_format(sec * USEC_PER_SEC, text);
        if (strcmp(text, expected) != 0 || parse_ok(text) != sec * USEC_PER_SEC) {
            fail_msg("%s is not %s", text, expected);
        }
    }
}

static void format_rounds_down_and_clamps(void **state)
{
    assert_format(1999, "1970-01-01T00:00:00.001Z");
    assert_format(999999, "1970-01-01T00:00:00.999Z");
    assert_format(-1, "1970-01-01T00:00:00.000Z");
    assert_format(INT64_MIN, "1970-01-01T00:00:00.000Z");
    assert_format(INT64_C(253402300800000000), "9999-12-31T23:59:59.999Z");
    assert_format(INT64_MAX, "9999-12-31T23:59:59.999Z");
}

static int64_t manual_usec;

static int64_t manual_wall(void *ctx)
{
    return manual_usec + *(const int64_t *)ctx;
}

static int64_t manual_mono(void *ctx)
{
    (void)ctx;
    return manual_usec;
}

static void manual_sleep(void *ctx, int64_t usec)
{
    (void)ctx;
    manual_usec += usec;
}

static void the_source_can_be_replaced(void **state)
{
    {
        static int64_t offset_usec = 5;
        struct clock_source manual = {manual_wall, manual_mono, &offset_usec, manual_sleep};
        clock_set_source(&manual);
        memset(&manual, 0, sizeof manual); /* the source was copied */
    }
    manual_usec = 1999990;
    assert_true(clock_wall_usec() == 1999995 && clock_mono_usec() == 1999990);
    assert_true(clock_wall_sec() == 1);
    manual_usec = -6;
    assert_true(clock_wall_usec() == -1 && clock_wall_sec() == -1);
    manual_usec = -1000005;
    assert_true(clock_wall_sec() == -1);
    manual_usec = -1000006;
    assert_true(clock_wall_sec() == -2);
    clock_sleep_usec(7200 * (int64_t)USEC_PER_SEC);
    assert_true(clock_mono_usec() == INT64_C(7198999994));
    clock_sleep_usec(0);
    clock_sleep_usec(-1);
    assert_true(clock_mono_usec() == INT64_C(7198999994));
    clock_set_source(NULL);
    assert_true(clock_wall_usec() > INT64_C(1700000000) * USEC_PER_SEC);
}

static void sleeping_takes_the_time_asked_for(void **state)
{
    int64_t start = clock_mono_usec();
    clock_sleep_usec(20000);
    assert_true(clock_mono_usec() - start >= 20000);
    start = clock_mono_usec();
    clock_sleep_usec(0);
    clock_sleep_usec(-5 * (int64_t)USEC_PER_SEC);
    assert_true(clock_mono_usec() - start < 5 * (int64_t)USEC_PER_SEC);
}

static void on_alarm(int number)
{
    (void)number;
}

static void a_signal_does_not_end_a_sleep(void **state)
{
    struct sigaction act = {.sa_handler = on_alarm};
    struct sigaction old;
    sigaction(SIGALRM, &act, &old);
    int64_t start = clock_mono_usec();
    ualarm(5000, 5000);
    clock_sleep_usec(40000);
    ualarm(0, 0);
    sigaction(SIGALRM, &old, NULL);
    assert_true(clock_mono_usec() - start >= 40000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_instants),
        cmocka_unit_test(rfc_3339_examples),
        cmocka_unit_test(letters_fractions_and_offsets),
        cmocka_unit_test(malformed_times_are_refused),
        cmocka_unit_test(calendar_agrees_with_libc),
        cmocka_unit_test(format_rounds_down_and_clamps),
        cmocka_unit_test(the_source_can_be_replaced),
        cmocka_unit_test(sleeping_takes_the_time_asked_for),
        cmocka_unit_test(a_signal_does_not_end_a_sleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
