#include "kernel/jobs/jobs_cron.h"

#include "kernel/base/check.h"

#define MINUTE_USEC (60ll * USEC_PER_SEC)
#define DAY_MINUTES 1440
/* A given weekday falls on 29 February once in 28 years, in 40 across a century without one. */
#define DAYS_MAX (41 * 366)
#define STEP_MAX 999

/* ---- reading ---- */

struct field {
    const char *name;
    uint32_t min;
    uint32_t max;
};

static const struct field fields[5] = {
    {"minute", 0, 59}, {"hour", 0, 23},           {"day of the month", 1, 31},
    {"month", 1, 12},  {"day of the week", 0, 7},
};

static enum err bad(const struct field *f, struct slice text, struct why *why)
{
    size_t shown = text.len < 40 ? text.len : 40;
    return why_set(why, ERR_CONFIG, "cron",
                   "\"%.*s\" is no %s of a schedule: write *, N, N-M (%u to %u), or * or N-M with "
                   "/STEP, apart by commas.",
                   (int)shown, text.ptr, f->name, f->min, f->max);
}

/* At most three digits, nothing else. */
static bool read_number(struct slice text, uint32_t *out)
{
    uint64_t n = 0;
    if (text.len == 0 || text.len > 3 || slice_parse_u64(text, &n) != OK) {
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

static bool read_item(const struct field *f, struct slice item, uint64_t *bits)
{
    struct slice range = item;
    struct slice step_text = SLICE_EMPTY;
    uint32_t step = 1;
    bool stepped = slice_cut(item, '/', &range, &step_text);
    if (stepped && (!read_number(step_text, &step) || step == 0 || step > STEP_MAX)) {
        return false;
    }
    uint32_t from = f->min;
    uint32_t to = f->max;
    if (!slice_equal_text(range, "*")) {
        struct slice low = range;
        struct slice high = range;
        bool is_range = slice_cut(range, '-', &low, &high);
        if (!is_range) {
            high = low = range;
        }
        if (!read_number(low, &from) || !read_number(high, &to) || from < f->min || to > f->max ||
            from > to || (stepped && !is_range)) {
            return false;
        }
    }
    for (uint32_t n = from; n <= to; n += step) {
        *bits |= 1ull << n;
    }
    return true;
}

static enum err read_field(const struct field *f, struct slice text, uint64_t *out, struct why *why)
{
    uint64_t bits = 0;
    struct slice rest = text;
    bool more = true;
    while (more) {
        struct slice item = rest;
        more = slice_cut(rest, ',', &item, &rest);
        if (!read_item(f, item, &bits)) {
            return bad(f, text, why);
        }
    }
    *out = bits;
    return OK;
}

/* Takes the next word off `rest`; empty at the end. */
static struct slice next_word(struct slice *rest)
{
    size_t from = 0;
    while (from < rest->len && (rest->ptr[from] == ' ' || rest->ptr[from] == '\t')) {
        from++;
    }
    size_t to = from;
    while (to < rest->len && rest->ptr[to] != ' ' && rest->ptr[to] != '\t') {
        to++;
    }
    struct slice word = slice_sub(*rest, from, to - from);
    *rest = slice_sub(*rest, to, rest->len - to);
    return word;
}

/* ---- the calendar ---- */

struct date {
    int64_t year;
    uint32_t month; /* 1-12 */
    uint32_t day;   /* 1-31 */
};

/* Days since 1970-01-01 to a date of the proleptic Gregorian calendar: eras of 400 years. */
static struct date date_of(int64_t days)
{
    int64_t z = days + 719468; /* since 0000-03-01 */
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t of_era = z - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t shifted = (5 * of_year + 2) / 153; /* March is 0 */
    return (struct date){
        .year = year + era * 400 + (shifted >= 10),
        .month = (uint32_t)(shifted < 10 ? shifted + 3 : shifted - 9),
        .day = (uint32_t)(of_year - (153 * shifted + 2) / 5 + 1),
    };
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool has(uint64_t bits, uint32_t n)
{
    return (bits >> n & 1) != 0;
}

static bool day_fits(const struct jobs_cron *cron, int64_t days)
{
    struct date d = date_of(days);
    int64_t week = floor_div(days + 4, 7); /* 1970-01-01 was a Thursday */
    uint32_t weekday = (uint32_t)(days + 4 - week * 7);
    bool day = has(cron->days, d.day);
    bool of_week = has(cron->weekdays, weekday);
    bool either = !cron->any_day && !cron->any_weekday;
    return has(cron->months, d.month) && (either ? day || of_week : day && of_week);
}

static bool minute_fits(const struct jobs_cron *cron, int64_t minute)
{
    return has(cron->hours, (uint32_t)(minute / 60)) && has(cron->minutes, (uint32_t)(minute % 60));
}

/* The first fitting minute from `start` on, or, with step -1, the last one up to it. */
static bool find(const struct jobs_cron *cron, int64_t start, int64_t step, int64_t *out)
{
    int64_t day = floor_div(start, DAY_MINUTES);
    int64_t minute = start - day * DAY_MINUTES;
    for (int i = 0; i <= DAYS_MAX; i++, day += step) {
        if (!day_fits(cron, day)) {
            minute = step > 0 ? 0 : DAY_MINUTES - 1;
            continue;
        }
        for (; minute >= 0 && minute < DAY_MINUTES; minute += step) {
            if (minute_fits(cron, minute)) {
                *out = day * DAY_MINUTES + minute;
                return true;
            }
        }
        minute = step > 0 ? 0 : DAY_MINUTES - 1;
    }
    return false;
}

enum err jobs_cron_parse(struct slice text, struct jobs_cron *out, struct why *why)
{
    struct jobs_cron cron = {0};
    uint64_t *const bits[5] = {&cron.minutes, &cron.hours, &cron.days, &cron.months,
                               &cron.weekdays};
    struct slice rest = text;
    for (size_t i = 0; i < 5; i++) {
        struct slice word = next_word(&rest);
        if (word.len == 0) {
            return why_set(why, ERR_CONFIG, "cron", "A schedule has five fields, not %zu.", i);
        }
        enum err e = read_field(&fields[i], word, bits[i], why);
        if (e != OK) {
            return e;
        }
        cron.any_day = i == 2 ? word.ptr[0] == '*' : cron.any_day;
        cron.any_weekday = i == 4 ? word.ptr[0] == '*' : cron.any_weekday;
    }
    if (next_word(&rest).len > 0) {
        return why_set(why, ERR_CONFIG, "cron", "A schedule has five fields, not more.");
    }
    cron.weekdays = (cron.weekdays | cron.weekdays >> 7) & 0x7f;
    int64_t first = 0;
    if (!find(&cron, 0, 1, &first)) {
        return why_set(why, ERR_CONFIG, "cron", "No day of the calendar fits this schedule.");
    }
    *out = cron;
    return OK;
}

int64_t jobs_cron_last(const struct jobs_cron *cron, int64_t wall_usec)
{
    int64_t minute = 0;
    bool found = find(cron, floor_div(wall_usec, MINUTE_USEC), -1, &minute);
    ASSERT(found); /* or it would not have been parsed */
    return minute;
}

int64_t jobs_cron_next(const struct jobs_cron *cron, int64_t wall_usec)
{
    int64_t minute = 0;
    bool found = find(cron, floor_div(wall_usec, MINUTE_USEC) + 1, 1, &minute);
    ASSERT(found); /* or it would not have been parsed */
    return minute;
}
