/*
 * builds.c: what one build of engine and journal makes of the same commands, as text to compare.
 *
 *     builds DIR
 *
 * Random commands of every kind (unit/domain/trading/venue.h) for a few seeds go through an engine
 * and a journal in DIR; every 1,000th command prints the hash of the state and a mix of all events
 * so far. Then the journal is read again without its snapshot, and the same lines must come of it.
 */
#include <sys/stat.h>

#include "domain/trading/journal/journal.h"
#include "kernel/base/check.h"
#include "kernel/base/mem.h"
#include "unit/domain/trading/venue.h"

#define SEEDS 4
#define COMMANDS 20000
#define EVERY 1000

static uint64_t mix;

/* Each member by itself: what is between them has no value. */
static void on_event(void *ctx, const struct engine_event *ev)
{
    (void)ctx;
    const uint64_t words[] = {ev->seq,
                              ev->kind | (uint64_t)ev->reason << 8 | (uint64_t)ev->side << 16 |
                                  (uint64_t)ev->type << 24 | (uint64_t)ev->tif << 32,
                              ev->order,
                              ev->other,
                              (uint64_t)ev->price,
                              (uint64_t)ev->qty,
                              ev->amount,
                              ev->fee_maker,
                              ev->fee_taker,
                              ev->account | (uint64_t)ev->account_other << 32,
                              ev->pair | (uint64_t)ev->index << 32};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        mix = (mix ^ words[i]) * UINT64_C(0x9E3779B97F4A7C15);
        mix ^= mix >> 32;
    }
}

static const struct engine_sink sink = {.event = on_event, .kinds = ENGINE_EVERY_KIND};

struct marks {
    uint64_t hash[COMMANDS / EVERY];
    uint64_t mix[COMMANDS / EVERY];
};

static void mark(struct marks *m, const struct engine *e)
{
    const uint64_t seq = engine_seq(e);
    if (seq % EVERY == 0) {
        m->hash[seq / EVERY - 1] = engine_hash(e);
        m->mix[seq / EVERY - 1] = mix;
    }
}

struct reading {
    struct engine *engine;
    struct marks marks;
};

static void read_record(void *ctx, uint64_t seq, const struct engine_command *c)
{
    struct reading *r = ctx;
    (void)engine_apply(r->engine, c);
    ASSERT(engine_seq(r->engine) == seq);
    mark(&r->marks, r->engine);
}

static void must_ok(enum err e, const struct why *why)
{
    if (e != OK) {
        (void)fprintf(stderr, "%s\n", why_text(why, e));
        exit(1);
    }
}

static void live(const char *dir, struct marks *out)
{
    const struct journal_config config = {
        .dir = dir, .limits = venue_limits, .file_bytes = UINT64_C(1) << 20};
    struct journal *j;
    struct engine *e;
    struct journal_recovery recovery;
    struct why why = {0};
    must_ok(journal_open(&j, &config, &e, &recovery, &why), &why);
    engine_set_sink(e, &sink);
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)journal_append(j, &venue_tape.at[i]);
        (void)engine_apply(e, &venue_tape.at[i]);
        mark(out, e);
        if (i == COMMANDS / 2) {
            must_ok(journal_snapshot(j, e, &why), &why);
        }
    }
    engine_check(e);
    journal_close(j);
    engine_free(e);
    must_ok(journal_open(&j, &config, &e, &recovery, &why), &why); /* snapshot and the rest */
    ASSERT(recovery.snapshot_seq == COMMANDS / 2 + 1);
    ASSERT(engine_seq(e) == COMMANDS && engine_hash(e) == out->hash[COMMANDS / EVERY - 1]);
    journal_close(j);
    engine_free(e);
}

static void one_seed(const char *parent, uint64_t seed)
{
    static struct marks marks;
    static struct reading reading;
    struct engine_limits limits;
    struct journal_recovery recovery;
    struct why why = {0};
    struct world w;
    char dir[300];
    (void)snprintf(dir, sizeof dir, "%s/%llu", parent, (unsigned long long)seed);
    venue_tape.count = 0;
    venue_tape.size = COMMANDS;
    seed_state = seed;
    set_up(&w, 1, NULL);
    while (venue_tape.count < COMMANDS) {
        const struct engine_command c = some_command(&w);
        (void)apply(&w, &c);
    }
    engine_free(w.engine);
    mix = seed;
    live(dir, &marks);
    reading.engine = engine_new(&venue_limits);
    engine_set_sink(reading.engine, &sink);
    mix = seed;
    const struct journal_visitor visitor = {.record = read_record, .ctx = &reading};
    must_ok(journal_read(dir, &visitor, &limits, &recovery, &why), &why);
    engine_free(reading.engine);
    ASSERT(recovery.last_seq == COMMANDS && memcmp(&limits, &venue_limits, sizeof limits) == 0);
    for (size_t i = 0; i < COMMANDS / EVERY; i++) {
        ASSERT(marks.hash[i] == reading.marks.hash[i] && marks.mix[i] == reading.marks.mix[i]);
        (void)printf("%llu %zu %016llx %016llx\n", (unsigned long long)seed, (i + 1) * EVERY,
                     (unsigned long long)marks.hash[i], (unsigned long long)marks.mix[i]);
    }
}

int main(int argc, char **argv)
{
    ASSERT(argc == 2);
    venue_tape.at = mem_alloc(COMMANDS * sizeof *venue_tape.at);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        one_seed(argv[1], seed);
    }
    mem_free(venue_tape.at);
    return 0;
}
