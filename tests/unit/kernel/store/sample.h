/*
 * sample.h: the little program of SQL files that the tests of the store run on, and shorthands.
 *
 * A test program includes this once; the generated files come with it, because they belong to no
 * library.
 */
#ifndef UNIT_KERNEL_STORE_SAMPLE_H
#define UNIT_KERNEL_STORE_SAMPLE_H

#include "unit/kernel/store/sample/sample_all.c"
#include "unit/kernel/store/sample/sample_sql.c"

#include "unit/support.h"

/* sample_write runs `fn` in a write transaction that must succeed. */
static inline void sample_write(struct store *store, store_fn fn, void *ctx)
{
    struct why why = {0};
    enum err e = store_write(store, fn, ctx, &why);
    if (e != OK) {
        fail_msg("%s: %s", err_code(e), why_text(&why, e));
    }
}

/* sample_read runs `fn` in a read transaction that must succeed. */
static inline void sample_read(struct store *store, store_fn fn, void *ctx)
{
    struct why why = {0};
    enum err e = store_read(store, fn, ctx, &why);
    if (e != OK) {
        fail_msg("%s: %s", err_code(e), why_text(&why, e));
    }
}

struct sample_counter {
    const char *name;
    int64_t step;
    int64_t value;
};

/* sample_counter_add adds `step` to a counter and tells its new value. */
static inline enum err sample_counter_add(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sample_counter *c = ctx;
    struct store_query q;
    store_begin(&q, tx, &sample_sql_counter_add);
    store_bind_text(&q, "name", slice_text(c->name));
    store_bind_i64(&q, "step", c->step);
    if (store_step(&q)) {
        c->value = store_get_i64(&q, "value");
    }
    return store_finish_one(&q, "counter", why);
}

/* sample_counter_get reads a counter; one that does not exist is 0. */
static inline enum err sample_counter_get(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sample_counter *c = ctx;
    struct store_query q;
    c->value = 0;
    store_begin(&q, tx, &sample_sql_counter_get);
    store_bind_text(&q, "name", slice_text(c->name));
    if (store_step(&q)) {
        c->value = store_get_i64(&q, "value");
    }
    return store_finish(&q, NULL, why);
}

/* sample_counter returns the value of a counter. */
static inline int64_t sample_counter(struct store *store, const char *name)
{
    struct sample_counter c = {.name = name};
    sample_read(store, sample_counter_get, &c);
    return c.value;
}

#endif
