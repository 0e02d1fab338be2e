/*
 * A venue's commands, a store, and what the rows say, past the program.
 */
#ifndef UNIT_TRADING_PROJECTIONS_FIXTURE_H
#define UNIT_TRADING_PROJECTIONS_FIXTURE_H

#include "domain/trading/projections/projections.h"
#include "kernel/base/mem.h"
#include "kernel/base/rand.h"
#include "unit/domain/trading/venue.h"
#include "unit/support.h"

#define VENUE_UNIT_USEC INT64_C(40000000) /* so that some thousand commands take days */

static struct support_store fixture;

static inline int open_fixture(void **state)
{
    (void)state;
    support_store_open(&fixture, &sql_catalog);
    return 0;
}

static inline int close_fixture(void **state)
{
    (void)state;
    support_store_close(&fixture);
    mem_free(venue_tape.at);
    venue_tape.at = NULL;
    return 0;
}

/* Fills the tape with `count` commands of a seed. */
static inline void record_venue(uint64_t seed, size_t count)
{
    struct world w;
    venue_tape.at = mem_alloc(count * sizeof *venue_tape.at);
    venue_tape.size = count;
    venue_tape.count = 0;
    seed_state = seed;
    set_up(&w, VENUE_UNIT_USEC, NULL);
    while (venue_tape.count < count) {
        const struct engine_command c = some_command(&w);
        (void)apply(&w, &c);
    }
    engine_free(w.engine);
    venue_tape.size = 0;
}

static inline void must_do(enum err e, const struct why *why)
{
    if (e != OK) {
        fail_msg("%s: %s", err_code(e), why_text(why, e));
    }
}

static inline struct projections *open_rows(void)
{
    struct projections *p = NULL;
    struct why why = {0};
    must_do(projections_open(&p, fixture.store, NULL, &why), &why);
    return p;
}

static inline void flush_rows(struct projections *p)
{
    struct why why = {0};
    must_do(projections_flush(p, &why), &why);
}

/* An engine that has done the first `count` commands; its events go nowhere yet. */
static inline struct engine *engine_at(size_t count)
{
    struct engine *e = engine_new(&venue_limits);
    for (size_t i = 0; i < count; i++) {
        (void)engine_apply(e, &venue_tape.at[i]);
    }
    return e;
}

static inline void follow(struct engine *e, struct projections *p)
{
    engine_set_sink(e, &(struct engine_sink){projections_event, p, ENGINE_EVERY_KIND});
}

/* Applies the tape from where the rows are up to `end`, with flushes after `every` rows. */
static inline void project_tape(size_t end, size_t every)
{
    struct projections *p = open_rows();
    struct engine *e = engine_at((size_t)projections_seq(p));
    follow(e, p);
    for (size_t i = (size_t)projections_seq(p); i < end; i++) {
        (void)engine_apply(e, &venue_tape.at[i]);
        if (projections_waiting(p) >= every) {
            flush_rows(p);
        }
    }
    flush_rows(p);
    projections_close(p);
    engine_free(e);
}

/* Every row of every table, in the order of the keys. */
static inline struct slice all_rows(struct arena *arena)
{
    static const char *const tables[] = {
        "trading_cursor ORDER BY single",
        "trading_pairs ORDER BY pair",
        "trading_orders ORDER BY id",
        "trading_trades ORDER BY id",
        "trading_movements ORDER BY seq",
        "trading_balances ORDER BY account, asset",
        "trading_levels ORDER BY pair, side, price",
        "trading_deltas ORDER BY pair, number",
        "trading_candles ORDER BY pair, span_sec, begins",
        "trading_statistics ORDER BY pair",
    };
    struct buf all;
    buf_init(&all, arena, 1 << 20);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        const char *sql = slice_cstr(arena, slice_format(arena, "SELECT * FROM %s", tables[i]));
        const struct slice rows = support_store_rows(&fixture, arena, sql);
        assert_true(rows.len > 0); /* each table is tried */
        buf_format(&all, "%s\n", tables[i]);
        buf_add_slice(&all, rows);
    }
    return buf_slice(&all);
}

static inline void assert_same_rows(struct slice a, struct slice b)
{
    if (slice_equal(a, b)) {
        return;
    }
    size_t at = 0;
    while (at < a.len && at < b.len && a.ptr[at] == b.ptr[at]) {
        at++;
    }
    const size_t from = at > 300 ? at - 300 : 0;
    fail_msg("rows differ at byte %zu:\n%.*s\n--- and ---\n%.*s", at,
             SLICE_ARG(slice_sub(a, from, 500)), SLICE_ARG(slice_sub(b, from, 500)));
}

/* The rows of the tape, made at once from nothing. */
static inline struct slice rebuilt(struct arena *arena, size_t end)
{
    struct why why = {0};
    must_do(projections_clear(fixture.store, NULL, &why), &why);
    project_tape(end, SIZE_MAX);
    return all_rows(arena);
}

static inline int64_t number_of(const char *sql)
{
    struct arena arena;
    arena_init(&arena, 0);
    const struct slice row = support_store_rows(&fixture, &arena, sql);
    const int64_t value = strtoll(slice_cstr(&arena, row), NULL, 10);
    arena_free(&arena);
    return value;
}

#endif
