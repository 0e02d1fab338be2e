#include "kernel/base/clock.h"

#include <errno.h>

#include "kernel/base/check.h"

#define SEC_PER_DAY 86400
/* 9999-12-31T23:59:59.999999Z, the last instant that RFC 3339 can write. */
#define WALL_USEC_MAX INT64_C(253402300799999999)

static int64_t system_usec(clockid_t id)
{
    struct timespec now;
    int failed = clock_gettime(id, &now);
    ASSERT(!failed);
    return (int64_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

static int64_t system_wall_usec(void *ctx)
{
    (void)ctx;
    return system_usec(CLOCK_REALTIME);
}

static int64_t system_mono_usec(void *ctx)
{
    (void)ctx;
    return system_usec(CLOCK_MONOTONIC);
}

static const struct clock_source system_source = {system_wall_usec, system_mono_usec, NULL, NULL};
static struct clock_source current = {system_wall_usec, system_mono_usec, NULL, NULL};

void clock_set_source(const struct clock_source *source)
{
    current = source ? *source : system_source;
}

int64_t clock_wall_usec(void)
{
    return current.wall_usec(current.ctx);
}

int64_t clock_wall_sec(void)
{
    int64_t usec = clock_wall_usec();
    return usec / USEC_PER_SEC - (usec % USEC_PER_SEC < 0);
}

int64_t clock_mono_usec(void)
{
    return current.mono_usec(current.ctx);
}

void clock_deadline(int64_t usec, struct timespec *out)
{
    ASSERT(clock_gettime(CLOCK_MONOTONIC, out) == 0);
    int64_t part = out->tv_nsec / 1000 + usec % USEC_PER_SEC;
    out->tv_sec += usec / USEC_PER_SEC + part / USEC_PER_SEC;
    out->tv_nsec = (part % USEC_PER_SEC) * 1000;
}

void clock_sleep_usec(int64_t usec)
{
    if (usec <= 0) {
        return;
    }
    if (current.sleep_usec != NULL) {
        current.sleep_usec(current.ctx, usec);
        return;
    }
    int64_t until;
    if (__builtin_add_overflow(system_usec(CLOCK_MONOTONIC), usec, &until)) {
        until = INT64_MAX;
    }
    struct timespec wake = {.tv_sec = until / USEC_PER_SEC, .tv_nsec = until % USEC_PER_SEC * 1000};
    /* An absolute wake time lets a signal interrupt the sleep without lengthening it. */
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL) == EINTR) {
    }
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/*
 * Days since 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that
 * the leap day is the last one of its year; month lengths from March on follow (153m + 2) / 5.
 */
static int64_t days_of_date(int year, int month, int day)
{
    int64_t y = year - (month <= 2) + 400; /* one era more keeps every division positive */
    int64_t m = (month + 9) % 12;
    int64_t day_of_year = (153 * m + 2) / 5 + day - 1;
    return 365 * y + y / 4 - y / 100 + y / 400 + day_of_year - 719468 - 146097;
}

static void date_of_days(int64_t days, int *out_year, int *out_month, int *out_day)
{
    int64_t shifted = days + 719468; /* days since 0000-03-01 */
    int64_t era = shifted / 146097;
    int64_t day_of_era = shifted % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t m = (5 * day_of_year + 2) / 153;
    *out_day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
    *out_month = (int)(m < 10 ? m + 3 : m - 9);
    *out_year = (int)(400 * era + year_of_era + (m >= 10));
}

static char *put_digits(char *out, int value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + width;
}

size_t clock_format(int64_t wall_usec, char out[CLOCK_TEXT_MAX])
{
    int64_t usec = wall_usec < 0 ? 0 : wall_usec > WALL_USEC_MAX ? WALL_USEC_MAX : wall_usec;
    int64_t sec = usec / USEC_PER_SEC;
    int sec_of_day = (int)(sec % SEC_PER_DAY);
    int year;
    int month;
    int day;
    date_of_days(sec / SEC_PER_DAY, &year, &month, &day);
    char *at = put_digits(out, year, 4);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    at = put_digits(at, day, 2);
    *at++ = 'T';
    at = put_digits(at, sec_of_day / 3600, 2);
    *at++ = ':';
    at = put_digits(at, sec_of_day / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, sec_of_day % 60, 2);
    *at++ = '.';
    at = put_digits(at, (int)(usec % USEC_PER_SEC / 1000), 3);
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - out);
}

/* Reads exactly `width` digits at the front of `rest` when their value is within [min, max]. */
static bool take_number(struct slice *rest, size_t width, int min, int max, int *out)
{
    if (rest->len < width) {
        return false;
    }
    int value = 0;
    for (size_t i = 0; i < width; i++) {
        uint8_t c = rest->ptr[i];
        if (c < '0' || c > '9') {
            return false;
        }
        value = value * 10 + (c - '0');
    }
    if (value < min || value > max) {
        return false;
    }
    *rest = slice_sub(*rest, width, rest->len);
    *out = value;
    return true;
}

static bool take_byte(struct slice *rest, char byte)
{
    if (rest->len == 0 || rest->ptr[0] != (uint8_t)byte) {
        return false;
    }
    *rest = slice_sub(*rest, 1, rest->len);
    return true;
}

static bool take_date(struct slice *rest, int64_t *out_days)
{
    int year;
    int month;
    int day;
    if (!take_number(rest, 4, 0, 9999, &year) || !take_byte(rest, '-') ||
        !take_number(rest, 2, 1, 12, &month) || !take_byte(rest, '-') ||
        !take_number(rest, 2, 1, days_in_month(year, month), &day)) {
        return false;
    }
    *out_days = days_of_date(year, month, day);
    return true;
}

/* A fraction has any number of digits; those beyond microseconds are read and dropped. */
static bool take_fraction(struct slice *rest, int64_t *out_usec)
{
    int64_t usec = 0;
    int64_t weight = USEC_PER_SEC / 10;
    size_t count = 0;
    int digit;
    while (take_number(rest, 1, 0, 9, &digit)) {
        usec += weight * digit;
        weight /= 10;
        count++;
    }
    *out_usec = usec;
    return count > 0;
}

static bool take_time(struct slice *rest, int64_t *out_usec)
{
    int hour;
    int minute;
    int second;
    if (!take_number(rest, 2, 0, 23, &hour) || !take_byte(rest, ':') ||
        !take_number(rest, 2, 0, 59, &minute) || !take_byte(rest, ':') ||
        !take_number(rest, 2, 0, 59, &second)) {
        return false;
    }
    int64_t fraction = 0;
    if (take_byte(rest, '.') && !take_fraction(rest, &fraction)) {
        return false;
    }
    *out_usec = (int64_t)(hour * 3600 + minute * 60 + second) * USEC_PER_SEC + fraction;
    return true;
}

/* The offset that must be taken away to get to UTC. */
static bool take_offset(struct slice *rest, int64_t *out_usec)
{
    if (take_byte(rest, 'Z') || take_byte(rest, 'z')) {
        *out_usec = 0;
        return true;
    }
    bool east = take_byte(rest, '+');
    int hour;
    int minute;
    if ((!east && !take_byte(rest, '-')) || !take_number(rest, 2, 0, 23, &hour) ||
        !take_byte(rest, ':') || !take_number(rest, 2, 0, 59, &minute)) {
        return false;
    }
    int64_t usec = (int64_t)(hour * 3600 + minute * 60) * USEC_PER_SEC;
    *out_usec = east ? usec : -usec;
    return true;
}

enum err clock_parse(struct slice text, int64_t *out_wall_usec)
{
    struct slice rest = text;
    int64_t days;
    int64_t usec_of_day;
    int64_t offset_usec;
    if (!take_date(&rest, &days) || (!take_byte(&rest, 'T') && !take_byte(&rest, 't')) ||
        !take_time(&rest, &usec_of_day) || !take_offset(&rest, &offset_usec) || rest.len != 0) {
        return ERR_INVALID_TIME;
    }
    int64_t wall_usec = days * SEC_PER_DAY * USEC_PER_SEC + usec_of_day - offset_usec;
    if (wall_usec < 0 || wall_usec > WALL_USEC_MAX) {
        return ERR_INVALID_TIME;
    }
    *out_wall_usec = wall_usec;
    return OK;
}
