#include "kernel/base/metric.h"

#include <stdlib.h>

#include "kernel/base/check.h"
#include "kernel/base/log.h"

#define ROWS_MAX 2048

const int64_t metric_bucket_usec[METRIC_BUCKETS] = {
    500,    1000,   2500,    5000,    10000,   25000,    50000,
    100000, 250000, 1000000, 2500000, 5000000, 15000000, 60000000,
};

struct entry {
    const struct metric_row *row;
    struct metric_value *value;
};

/* Sorted by name and labels, so that the rows of one name follow each other. */
static struct entry entries[ROWS_MAX];
static size_t entry_count;

static const char *labels_of(const struct metric_row *row)
{
    return row->labels ? row->labels : "";
}

static int compare_rows(const struct metric_row *a, const struct metric_row *b)
{
    int order = strcmp(a->name, b->name);
    return order ? order : strcmp(labels_of(a), labels_of(b));
}

/* [a-zA-Z_:][a-zA-Z0-9_:]* */
static bool name_is_valid(const char *name)
{
    static const char tail[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789";
    bool starts_with_digit = name[0] >= '0' && name[0] <= '9';
    return name[0] != '\0' && !starts_with_digit && name[strspn(name, tail)] == '\0';
}

static _Noreturn void stop(const struct metric_row *row, const char *problem)
{
    LOG(LOG_BROKEN, "metric.row_refused", log_text("metric", row->name),
        log_text("labels", labels_of(row)), log_text("why", problem));
    abort();
}

static void insert(const struct metric_row *row, struct metric_value *value)
{
    ASSERT(entry_count < ROWS_MAX);
    if (!name_is_valid(row->name)) {
        stop(row, "The name is not one that Prometheus accepts.");
    }
    size_t at = entry_count;
    while (at > 0 && compare_rows(row, entries[at - 1].row) < 0) {
        entries[at] = entries[at - 1];
        at--;
    }
    if (at > 0 && compare_rows(row, entries[at - 1].row) == 0) {
        stop(row, "Two rows have the same name and labels.");
    }
    entries[at] = (struct entry){.row = row, .value = value};
    entry_count++;
}

/* Prometheus has one type for a name; rows of one name must agree. */
static void check_types(void)
{
    for (size_t i = 1; i < entry_count; i++) {
        const struct metric_row *a = entries[i - 1].row;
        const struct metric_row *b = entries[i].row;
        if (strcmp(a->name, b->name) == 0 && a->type != b->type) {
            stop(b, "Two rows of one name have different types.");
        }
    }
}

void metric_register(const struct metric_row *rows, struct metric_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        insert(&rows[i], &values[i]);
    }
    check_types();
}

void metric_reset(void)
{
    entry_count = 0;
}

void metric_add(struct metric_value *v, int64_t delta)
{
    atomic_fetch_add_explicit(&v->value, delta, memory_order_relaxed);
}

void metric_set(struct metric_value *v, int64_t value)
{
    atomic_store_explicit(&v->value, value, memory_order_relaxed);
}

int64_t metric_get(const struct metric_value *v)
{
    return atomic_load_explicit(&v->value, memory_order_relaxed);
}

void metric_observe(struct metric_value *v, int64_t usec)
{
    usec = usec < 0 ? 0 : usec;
    size_t i = 0;
    while (i < METRIC_BUCKETS && usec > metric_bucket_usec[i]) {
        i++;
    }
    if (i < METRIC_BUCKETS) {
        atomic_fetch_add_explicit(&v->bucket[i], 1, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&v->sum, usec, memory_order_relaxed);
    atomic_fetch_add_explicit(&v->value, 1, memory_order_relaxed);
}

/* ---- exposition ------------------------------------------------------------------------------ */

static const char *type_name(enum metric_type type)
{
    switch (type) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_HISTOGRAM:
        return "histogram";
    }
    return "untyped";
}

/* Seconds from microseconds without floating point: "0.0005", "1", "2.5". */
static void add_seconds(struct buf *out, int64_t usec)
{
    buf_add_i64(out, usec / 1000000);
    int64_t fraction = usec % 1000000;
    if (fraction == 0) {
        return;
    }
    unsigned digits = 6;
    while (fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    buf_format(out, ".%0*lld", (int)digits, (long long)fraction);
}

static void add_head(struct buf *out, const struct metric_row *row)
{
    buf_format(out, "# HELP %s ", row->name);
    for (const char *c = row->help; *c; c++) {
        if (*c == '\\') {
            buf_add_text(out, "\\\\");
        } else if (*c == '\n') {
            buf_add_text(out, "\\n");
        } else {
            buf_add_byte(out, (uint8_t)*c);
        }
    }
    buf_format(out, "\n# TYPE %s %s\n", row->name, type_name(row->type));
}

/* Name, suffix and fixed labels: `name_sum{result="ok"} `. */
static void add_series(struct buf *out, const struct metric_row *row, const char *suffix)
{
    buf_format(out, "%s%s", row->name, suffix);
    if (labels_of(row)[0]) {
        buf_format(out, "{%s}", row->labels);
    }
    buf_add_byte(out, ' ');
}

static void add_bucket(struct buf *out, const struct metric_row *row, int64_t bound_usec,
                       int64_t count)
{
    buf_format(out, "%s_bucket{%s%sle=\"", row->name, labels_of(row), labels_of(row)[0] ? "," : "");
    if (bound_usec < 0) {
        buf_add_text(out, "+Inf");
    } else {
        add_seconds(out, bound_usec);
    }
    buf_format(out, "\"} %lld\n", (long long)count);
}

/*
 * The parts of a histogram are updated one after the other, and read while that happens: the
 * total is never shown smaller than the buckets that it must contain.
 */
static void add_histogram(struct buf *out, const struct entry *e)
{
    int64_t below = 0;
    for (size_t i = 0; i < METRIC_BUCKETS; i++) {
        below += atomic_load_explicit(&e->value->bucket[i], memory_order_relaxed);
        add_bucket(out, e->row, metric_bucket_usec[i], below);
    }
    int64_t total = metric_get(e->value);
    total = total < below ? below : total;
    add_bucket(out, e->row, -1, total);
    add_series(out, e->row, "_sum");
    add_seconds(out, atomic_load_explicit(&e->value->sum, memory_order_relaxed));
    buf_add_byte(out, '\n');
    add_series(out, e->row, "_count");
    buf_add_i64(out, total);
    buf_add_byte(out, '\n');
}

static bool opens_family(size_t index)
{
    return index == 0 || strcmp(entries[index].row->name, entries[index - 1].row->name) != 0;
}

void metric_render(struct buf *out)
{
    for (size_t i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i];
        if (opens_family(i)) {
            add_head(out, e->row);
        }
        if (e->row->type == METRIC_HISTOGRAM) {
            add_histogram(out, e);
        } else {
            add_series(out, e->row, "");
            buf_add_i64(out, metric_get(e->value));
            buf_add_byte(out, '\n');
        }
    }
}

/* Text of a Markdown table cell, which '|' and line ends would break. */
static void add_cell(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|') {
            buf_add_byte(out, '\\');
        }
        buf_add_byte(out, *text == '\n' ? ' ' : (uint8_t)*text);
    }
}

void metric_reference(struct buf *out)
{
    buf_add_text(out, "| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < entry_count; i++) {
        const struct metric_row *row = entries[i].row;
        buf_format(out, "| `%s` | %s | ", row->name, type_name(row->type));
        if (labels_of(row)[0]) {
            buf_format(out, "`%s` | ", row->labels);
        } else {
            buf_add_text(out, "| ");
        }
        add_cell(out, row->help);
        buf_add_text(out, " |\n");
    }
}
