/*
 * metric.h: metrics are rows.
 *
 * A module declares a constant table of metric rows and one array of values of the same length;
 * metric_register makes them part of /metrics and of the generated reference
 * (docs/reference/metrics.md). Names follow Prometheus: freehold_<module>_<what>_<unit>[_total].
 * Two rows of one name stop the start. Updates are atomic and cost nothing but that.
 */
#ifndef KERNEL_BASE_METRIC_H
#define KERNEL_BASE_METRIC_H

#include <stdatomic.h>

#include "kernel/base/slice.h"

enum metric_type {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM, /* of microseconds; exposed in seconds */
};

/* Upper bounds of the histogram buckets. Units: microseconds. */
#define METRIC_BUCKETS 14
extern const int64_t metric_bucket_usec[METRIC_BUCKETS];

struct metric_row {
    const char *name;
    enum metric_type type;
    const char *help;
    const char *labels; /* fixed label pairs, e.g. "result=\"ok\"", or NULL */
};

struct metric_value {
    _Atomic int64_t value; /* counter, gauge; count of a histogram */
    _Atomic int64_t sum;   /* histogram: microseconds */
    _Atomic int64_t bucket[METRIC_BUCKETS];
};

/* metric_register adds a module's table; call before threads start. Duplicates stop the process. */
void metric_register(const struct metric_row *rows, struct metric_value *values, size_t count);

/* metric_add adds to a counter or gauge. */
void metric_add(struct metric_value *v, int64_t delta);

/* metric_set sets a gauge. */
void metric_set(struct metric_value *v, int64_t value);

/* metric_observe adds one duration to a histogram. Units: microseconds. */
void metric_observe(struct metric_value *v, int64_t usec);

/* metric_get reads a counter or gauge. */
int64_t metric_get(const struct metric_value *v);

/* metric_render appends all registered metrics in the Prometheus text format 0.0.4. */
void metric_render(struct buf *out);

/* metric_reference appends the Markdown table of all registered rows. */
void metric_reference(struct buf *out);

/* metric_reset forgets all registrations; tests only. */
void metric_reset(void);

#endif
