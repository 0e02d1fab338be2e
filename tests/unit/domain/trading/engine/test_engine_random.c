/*
 * Random commands of every kind, good and bad, on a small venue. After each one: the engine's
 * invariants hold, a keeper that knows only events agrees with it, a refusal changed nothing; now
 * and then a saved and loaded engine has the same hash and answers the rest alike.
 */
#include "unit/domain/trading/engine/keeper.h"
#include "unit/domain/trading/venue.h"
#include "unit/test.h"

/* ---- saving and loading through an array of words ---- */

struct words {
    uint64_t *at;
    size_t count;
    size_t capacity;
    size_t read;
};

static void add_word(void *ctx, uint64_t word)
{
    struct words *w = ctx;
    if (w->count == w->capacity) {
        w->capacity = w->capacity != 0 ? 2 * w->capacity : 1024;
        w->at = mem_resize(w->at, w->capacity * sizeof *w->at);
    }
    w->at[w->count++] = word;
}

static bool next_word(void *ctx, uint64_t *out)
{
    struct words *w = ctx;
    if (w->read == w->count) {
        return false;
    }
    *out = w->at[w->read++];
    return true;
}

static struct engine *copy_of(const struct engine *e)
{
    struct words words = {0};
    struct why why = {0};
    engine_save(e, add_word, &words);
    struct engine *copy = engine_new(engine_limits_of(e));
    assert_int_equal(engine_load(copy, next_word, &words, engine_seq(e), &why), OK);
    assert_int_equal(words.read, words.count);
    engine_check(copy);
    mem_free(words.at);
    return copy;
}

static uint64_t run(uint64_t seed, unsigned commands, uint64_t counts[ENGINE_EVENT_COUNT],
                    uint64_t *out_mix)
{
    struct world w;
    struct engine *twin = NULL;
    struct keeper *keeper = mem_alloc(sizeof *keeper);
    seed_state = seed;
    set_up(&w, 1, &(struct engine_sink){keeper_event, keeper, ENGINE_EVERY_KIND});
    for (unsigned i = 0; i < commands; i++) {
        const struct engine_command c = some_command(&w);
        const unsigned rejections = keeper->rejections;
        const uint64_t before = engine_hash(w.engine);
        const enum engine_reason reason = apply(&w, &c);
        assert_int_equal(keeper->rejections - rejections, reason != ENGINE_OK);
        if (reason != ENGINE_OK) {
            assert_int_equal(engine_hash(w.engine), before);
        }
        engine_check(w.engine);
        keeper_agrees(keeper, w.engine);
        if (twin != NULL) {
            assert_int_equal(engine_apply(twin, &c), reason);
            assert_int_equal(engine_hash(twin), engine_hash(w.engine));
        }
        if (i % 500 == 250) {
            engine_free(twin);
            twin = copy_of(w.engine);
        }
    }
    const uint64_t hash = engine_hash(w.engine);
    for (size_t i = 0; i < ENGINE_EVENT_COUNT; i++) {
        counts[i] += keeper->counts[i];
    }
    *out_mix = keeper->mix;
    engine_free(twin);
    engine_free(w.engine);
    mem_free(keeper);
    return hash;
}

static void test_random_commands_keep_every_invariant(void **state)
{
    uint64_t counts[ENGINE_EVENT_COUNT] = {0};
    const char *more = getenv("ENGINE_SEEDS");
    const unsigned seeds = more != NULL ? (unsigned)strtoul(more, NULL, 10) : 20;
    const uint64_t first = (uint64_t)getpid() * 1000; /* fresh ones each run */
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        uint64_t mix;
        print_message("seed %llu\n", (unsigned long long)seed);
        (void)run(seed, 1500, counts, &mix);
    }
    /* The flow does reach what it is meant to try. */
    for (unsigned kind = 1; kind < ENGINE_EVENT_COUNT; kind++) {
        print_message("%s %llu\n", engine_event_text(kind), (unsigned long long)counts[kind]);
        assert_true(counts[kind] > 0);
    }
}

/* That other builds come to the same is what tests/orderflow/builds.sh compares. */
static void test_the_same_commands_give_the_same_state_and_events(void **state)
{
    uint64_t counts[ENGINE_EVENT_COUNT] = {0};
    uint64_t mixes[3];
    const uint64_t hash = run(7, 3000, counts, &mixes[0]);
    assert_int_equal(run(7, 3000, counts, &mixes[1]), hash);
    assert_int_equal(mixes[1], mixes[0]);
    assert_int_not_equal(run(8, 3000, counts, &mixes[2]), hash);
    assert_int_not_equal(mixes[2], mixes[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_commands_keep_every_invariant),
        cmocka_unit_test(test_the_same_commands_give_the_same_state_and_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
