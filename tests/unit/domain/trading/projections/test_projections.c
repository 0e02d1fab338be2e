/*
 * The rows of a venue: equal to the engine at every flush, equal to themselves however they came
 * about, and equal to what is computed from the trades in another way.
 */
#include "kernel/base/clock.h"
#include "kernel/store/store_partition.h"
#include "unit/domain/trading/projections/fixture.h"

#define COMMANDS 6000

/* ---- against the engine, and in any number of pieces ---- */

static void rows_equal_the_engine_and_a_rebuild(void **state)
{
    (void)state;
    struct arena arena;
    struct why why = {0};
    arena_init(&arena, 0);
    record_venue(11, COMMANDS);
    struct projections *p = open_rows();
    struct engine *e = engine_at(0);
    follow(e, p);
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)engine_apply(e, &venue_tape.at[i]);
        if (rand_below(60) == 0) {
            flush_rows(p);
            must_do(projections_compare(p, e, &why), &why);
        }
        if (rand_below(400) == 0) { /* what was not flushed comes again */
            projections_close(p);
            p = open_rows();
            engine_free(e);
            i = (size_t)projections_seq(p) - 1;
            e = engine_at(i + 1);
            follow(e, p);
        }
    }
    flush_rows(p);
    must_do(projections_compare(p, e, &why), &why);
    projections_close(p);
    engine_free(e);

    struct projections_audit audit;
    must_do(projections_audit(fixture.store, &audit, &why), &why);
    assert_int_equal(audit.seq, COMMANDS);
    assert_int_equal(audit.trades, number_of("SELECT COUNT(*) FROM trading_trades"));
    assert_true(audit.trades > 500 && audit.transfers > 3 * 500);

    struct store_partitions_done done;
    must_do(store_partitions_keep(fixture.store, &done, &why), &why);
    const struct slice pieces = all_rows(&arena);
    assert_same_rows(pieces, rebuilt(&arena, COMMANDS));
    arena_free(&arena);
}

/* Projects in a child until it is killed; says how far it came by the rows alone. */
static void project_and_die(int64_t life_usec)
{
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (support_store_start(&fixture, NULL) != OK) {
            _exit(1);
        }
        project_tape(COMMANDS, 1 + rand_below(40));
        _exit(0);
    }
    clock_sleep_usec(life_usec);
    kill(child, SIGKILL);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
}

static void killed_anywhere_they_equal_a_rebuild(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    record_venue(rand_below(UINT32_MAX), COMMANDS);
    const char *more = getenv("PROJECTIONS_LIVES");
    const unsigned lives_max = more != NULL ? (unsigned)strtoul(more, NULL, 10) : 12;
    int64_t seq = 0;
    unsigned lives = 0;
    for (; seq < COMMANDS; lives++) {
        store_close(fixture.store);
        fixture.store = NULL;
        project_and_die(20000 + (int64_t)rand_below(120000));
        assert_int_equal(support_store_start(&fixture, NULL), OK);
        const int64_t now = number_of("SELECT seq FROM trading_cursor");
        assert_true(now >= seq);
        seq = now;
        if (lives >= lives_max) { /* a slow machine: the rest lives on */
            project_tape(COMMANDS, SIZE_MAX);
            seq = COMMANDS;
        }
    }
    print_message("%u lives\n", lives);
    struct why why = {0};
    struct projections_audit audit;
    must_do(projections_audit(fixture.store, &audit, &why), &why);
    const struct slice pieces = all_rows(&arena);
    assert_same_rows(pieces, rebuilt(&arena, COMMANDS));
    arena_free(&arena);
}

static void a_second_writer_is_refused(void **state)
{
    (void)state;
    struct why why = {0};
    record_venue(5, 300);
    struct projections *p = open_rows();
    struct projections *late = open_rows();
    struct engine *e = engine_at(0);
    struct engine *e2 = engine_at(0);
    follow(e, p);
    follow(e2, late);
    for (size_t i = 0; i < 300; i++) {
        (void)engine_apply(e, &venue_tape.at[i]);
        (void)engine_apply(e2, &venue_tape.at[i]);
    }
    flush_rows(p);
    const int64_t orders = number_of("SELECT COUNT(*) FROM trading_orders");
    assert_int_equal(projections_flush(late, &why), ERR_CONFLICT);
    assert_int_equal(projections_seq(late), 0);
    assert_int_equal(number_of("SELECT COUNT(*) FROM trading_orders"), orders);
    projections_close(p);
    projections_close(late);
    engine_free(e);
    engine_free(e2);
}

static void rows_that_nobody_wrote_are_refused(void **state)
{
    (void)state;
    struct why why = {0};
    struct projections_audit audit;
    struct projections *p = NULL;
    record_venue(6, 2000);
    project_tape(2000, SIZE_MAX);
    must_do(projections_audit(fixture.store, &audit, &why), &why);

    assert_int_equal(support_store_change(&fixture, "UPDATE trading_balances SET total = total + 1 "
                                                    "WHERE account = 1 AND asset = 0"),
                     1);
    assert_int_equal(projections_audit(fixture.store, &audit, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "account 1, asset 0"));
    assert_int_equal(support_store_change(&fixture, "UPDATE trading_balances SET total = total - 1 "
                                                    "WHERE account = 1 AND asset = 0"),
                     1);
    must_do(projections_audit(fixture.store, &audit, &why), &why);

    assert_true(support_store_change(&fixture, "UPDATE trading_orders SET filled = filled + 1, "
                                               "open_qty = open_qty - 1 WHERE id = (SELECT id FROM "
                                               "trading_orders WHERE state = 1 AND open_qty > 1 "
                                               "AND lot_lock > 0 ORDER BY id LIMIT 1)") == 1);
    assert_int_equal(projections_audit(fixture.store, &audit, &why), ERR_CORRUPT);
    assert_int_equal(projections_open(&p, fixture.store, NULL, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "rebuild"));
}

/* ---- books ---- */

/* CRC-32 as ISO 3309 defines it, bit by bit. */
static uint32_t naive_crc(const char *text)
{
    uint32_t crc = 0xffffffff;
    for (; *text != '\0'; text++) {
        crc ^= (uint8_t)*text;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
        }
    }
    return ~crc;
}

#define NAIVE_LEVELS 400

/* A book as a client keeps it. */
struct naive_book {
    struct {
        bool bid;
        long long price;
        long long qty;
    } levels[NAIVE_LEVELS];
    size_t count;
    long long number;
};

static void naive_set(struct naive_book *b, bool bid, long long price, long long qty)
{
    size_t at = 0;
    while (at < b->count && (b->levels[at].bid != bid || b->levels[at].price != price)) {
        at++;
    }
    if (qty == 0) {
        assert_true(at < b->count);
        b->levels[at] = b->levels[--b->count];
        return;
    }
    assert_true(at < NAIVE_LEVELS);
    b->count = at == b->count ? at + 1 : b->count;
    b->levels[at].bid = bid;
    b->levels[at].price = price;
    b->levels[at].qty = qty;
}

static uint32_t naive_checksum(const struct naive_book *b)
{
    char text[1024] = "";
    for (int side = 0; side < 2; side++) {
        long long last = side == 0 ? 0 : INT64_MAX;
        for (int depth = 0; depth < 10; depth++) {
            size_t best = SIZE_MAX;
            for (size_t i = 0; i < b->count; i++) {
                const long long price = b->levels[i].price;
                if (b->levels[i].bid == (side == 1) && (side == 0 ? price > last : price < last) &&
                    (best == SIZE_MAX ||
                     (side == 0 ? price < b->levels[best].price : price > b->levels[best].price))) {
                    best = i;
                }
            }
            if (best == SIZE_MAX) {
                break;
            }
            last = b->levels[best].price;
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%lld%lld", last,
                     b->levels[best].qty);
        }
    }
    return naive_crc(text);
}

static void naive_load(struct naive_book *b, struct arena *arena, unsigned pair)
{
    const char *sql = slice_cstr(
        arena,
        slice_format(arena, "SELECT side, price, qty FROM trading_levels WHERE pair = %u", pair));
    const char *at = slice_cstr(arena, support_store_rows(&fixture, arena, sql));
    int side;
    long long price;
    long long qty;
    int used;
    *b = (struct naive_book){0};
    for (; sscanf(at, "%d|%lld|%lld|\n%n", &side, &price, &qty, &used) == 3; at += used) {
        naive_set(b, side == 0, price, qty);
    }
    sql = slice_cstr(arena, slice_format(arena,
                                         "SELECT book_number FROM trading_pairs "
                                         "WHERE pair = %u",
                                         pair));
    b->number = number_of(sql);
}

/* Applies one delta if it is the next one. */
static bool naive_apply(struct naive_book *b, long long number, const char *changes,
                        long long checksum)
{
    if (number != b->number + 1) {
        return false;
    }
    b->number = number;
    char side[4];
    long long price;
    long long qty;
    int used;
    changes++; /* "[" */
    while (sscanf(changes, "[\"%3[a-z]\",%lld,%lld]%n", side, &price, &qty, &used) == 3) {
        naive_set(b, strcmp(side, "bid") == 0, price, qty);
        changes += used;
        changes += *changes == ',';
    }
    assert_int_equal(*changes, ']');
    assert_int_equal(naive_checksum(b), checksum);
    return true;
}

static int by_level(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(((struct naive_book *)0)->levels[0]));
}

static void assert_same_book(struct naive_book *a, struct naive_book *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->number, b->number);
    qsort(a->levels, a->count, sizeof a->levels[0], by_level);
    qsort(b->levels, b->count, sizeof b->levels[0], by_level);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->levels[i].bid, b->levels[i].bid);
        assert_int_equal(a->levels[i].price, b->levels[i].price);
        assert_int_equal(a->levels[i].qty, b->levels[i].qty);
    }
}

static void a_book_is_followed_by_its_deltas(void **state)
{
    (void)state;
    static struct naive_book books[VENUE_PAIRS];
    static struct naive_book skipping;
    static struct naive_book now;
    struct arena arena;
    arena_init(&arena, 0);
    assert_int_equal(naive_crc("123456789"), 0xCBF43926); /* the check value of the standard */
    record_venue(21, 3000);
    project_tape(1500, 7);
    for (unsigned pair = 0; pair < VENUE_PAIRS; pair++) {
        naive_load(&books[pair], &arena, pair);
    }
    project_tape(3000, 100);
    size_t applied = 0;
    for (unsigned pair = 0; pair < VENUE_PAIRS; pair++) {
        const char *sql =
            slice_cstr(&arena, slice_format(&arena,
                                            "SELECT number, checksum, changes FROM trading_deltas "
                                            "WHERE pair = %u AND number > %lld ORDER BY number",
                                            pair, books[pair].number));
        char *at = slice_cstr(&arena, support_store_rows(&fixture, &arena, sql));
        skipping = books[pair];
        for (char *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
            long long number;
            long long checksum;
            int used;
            *end = '\0';
            assert_int_equal(sscanf(at, "%lld|%lld|%n", &number, &checksum, &used), 2);
            at[strlen(at) - 1] = '\0'; /* the last "|" */
            assert_true(naive_apply(&books[pair], number, at + used, checksum));
            if (number % 50 != 0) { /* who misses one knows it at the next */
                const bool follows = skipping.number + 1 == number;
                assert_int_equal(naive_apply(&skipping, number, at + used, checksum), follows);
            }
            applied++;
        }
        naive_load(&now, &arena, pair);
        assert_same_book(&books[pair], &now);
    }
    assert_true(applied > 300);
    arena_free(&arena);
}

static void only_the_newest_deltas_are_kept(void **state)
{
    (void)state;
    record_venue(22, 20000);
    project_tape(9000, 500);
    project_tape(20000, 5000);
    assert_int_equal(number_of("SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM trading_deltas "
                               "GROUP BY pair) t"),
                     PROJECTIONS_DELTAS_KEPT);
    assert_int_equal(number_of("SELECT COUNT(*) FROM trading_deltas d JOIN trading_pairs p "
                               "ON p.pair = d.pair WHERE d.number > p.book_number OR d.number <= "
                               "p.book_number - 1024"),
                     0);
}

struct queue_walk {
    char text[1 << 16];
    size_t len;
};

static void add_to_queue(void *ctx, const struct engine_order_view *o)
{
    struct queue_walk *q = ctx;
    if (!o->parked) {
        q->len += (size_t)snprintf(q->text + q->len, sizeof q->text - q->len, "%llu|%lld|\n",
                                   (unsigned long long)o->id, (long long)o->left);
    }
}

/* L3: the queues by place; L2: their sums. */
static void queues_and_levels_are_those_of_the_engine(void **state)
{
    (void)state;
    static struct queue_walk queue;
    struct arena arena;
    arena_init(&arena, 0);
    record_venue(23, 2500);
    project_tape(2500, 50);
    struct engine *e = engine_at(2500);
    for (unsigned pair = 0; pair < VENUE_PAIRS; pair++) {
        queue.len = 0;
        queue.text[0] = '\0';
        engine_walk(e, pair, add_to_queue, &queue);
        const char *sql = slice_cstr(
            &arena, slice_format(&arena,
                                 "SELECT id, open_qty FROM trading_orders WHERE pair = %u AND "
                                 "state = 1 ORDER BY side, CASE side WHEN 0 THEN -price ELSE price "
                                 "END, place",
                                 pair));
        assert_string_equal(slice_cstr(&arena, support_store_rows(&fixture, &arena, sql)),
                            queue.text);
    }
    engine_free(e);
    const char *levels = "SELECT pair, side, price, qty, orders FROM trading_levels "
                         "ORDER BY pair, side, price";
    const char *sums = "SELECT pair, side, price, SUM(open_qty), COUNT(*) FROM trading_orders "
                       "WHERE state = 1 GROUP BY pair, side, price ORDER BY pair, side, price";
    assert_same_rows(support_store_rows(&fixture, &arena, levels),
                     support_store_rows(&fixture, &arena, sums));
    arena_free(&arena);
}

/* ---- candles and statistics, the slow way ---- */

struct naive_trade {
    int64_t usec;
    uint32_t pair;
    int64_t price;
    int64_t qty;
};

struct naive_tape {
    struct naive_trade trades[20000];
    size_t count;
    int64_t now;
};

static void note_trade(void *ctx, const struct engine_event *ev)
{
    struct naive_tape *t = ctx;
    if (ev->kind == ENGINE_EVENT_TIME) {
        t->now = ev->price;
    } else if (ev->kind == ENGINE_EVENT_TRADED) {
        assert_true(t->count < sizeof t->trades / sizeof t->trades[0]);
        t->trades[t->count++] = (struct naive_trade){
            .usec = t->now, .pair = ev->pair, .price = ev->price, .qty = ev->qty};
    }
}

/* "open|high|low|close|volume|notional|trades|" of the trades of a pair within a time. */
static bool naive_figures(const struct naive_tape *t, uint32_t pair, int64_t from, int64_t to,
                          char *out, size_t size)
{
    int64_t open = 0;
    int64_t high = 0;
    int64_t low = 0;
    int64_t close = 0;
    uint64_t trades = 0;
    struct u256 volume = U256_ZERO;
    struct u256 notional = U256_ZERO;
    for (size_t i = 0; i < t->count; i++) {
        const struct naive_trade *n = &t->trades[i];
        if (n->pair != pair || n->usec < from || n->usec >= to) {
            continue;
        }
        struct u256 product;
        open = trades == 0 ? n->price : open;
        high = trades == 0 || n->price > high ? n->price : high;
        low = trades == 0 || n->price < low ? n->price : low;
        close = n->price;
        trades++;
        assert_int_equal(u256_add(volume, u256_from_u64((uint64_t)n->qty), &volume), OK);
        assert_int_equal(
            u256_mul(u256_from_u64((uint64_t)n->price), u256_from_u64((uint64_t)n->qty), &product),
            OK);
        assert_int_equal(u256_add(notional, product, &notional), OK);
    }
    char v[U256_TEXT_MAX];
    char n[U256_TEXT_MAX];
    if (support_on_postgres()) {
        u256_format(volume, v);
        u256_format(notional, n);
    } else {
        u256_format_padded(volume, v);
        u256_format_padded(notional, n);
    }
    snprintf(out, size, "%lld|%lld|%lld|%lld|%s|%s|%llu|\n", (long long)open, (long long)high,
             (long long)low, (long long)close, v, n, (unsigned long long)trades);
    return trades > 0;
}

static void candles_are_those_of_the_trades(void **state)
{
    (void)state;
    static struct naive_tape tape;
    struct arena arena;
    struct buf expected;
    char figures[400];
    arena_init(&arena, 0);
    buf_init(&expected, &arena, 1 << 16);
    record_venue(31, COMMANDS);
    project_tape(COMMANDS, 90);
    tape.count = 0;
    tape.now = 0;
    struct engine *e = engine_at(0);
    engine_set_sink(e, &(struct engine_sink){note_trade, &tape, ENGINE_EVERY_KIND});
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)engine_apply(e, &venue_tape.at[i]);
    }
    engine_free(e);
    static const int64_t spans[] = {60, 300, 900, 3600, 14400, 86400};
    for (uint32_t pair = 0; pair < VENUE_PAIRS; pair++) {
        for (size_t s = 0; s < 6; s++) {
            const int64_t span = spans[s] * 1000000;
            int64_t last = -1;
            for (size_t i = 0; i < tape.count; i++) {
                const int64_t begins = tape.trades[i].usec / span * span;
                if (tape.trades[i].pair != pair || begins == last) {
                    continue;
                }
                last = begins;
                assert_true(
                    naive_figures(&tape, pair, begins, begins + span, figures, sizeof figures));
                buf_format(&expected, "%u|%lld|%s", pair, (long long)spans[s], figures);
            }
        }
    }
    assert_true(tape.now > 2 * INT64_C(86400000000));
    assert_same_rows(buf_slice(&expected),
                     support_store_rows(&fixture, &arena,
                                        "SELECT pair, span_sec, open, high, low, close, volume, "
                                        "notional, trades FROM trading_candles ORDER BY pair, "
                                        "span_sec, begins"));
    expected.len = 0;
    const int64_t minute = tape.now / 60000000 * 60000000;
    unsigned traded = 0;
    for (uint32_t pair = 0; pair < VENUE_PAIRS; pair++) {
        traded += naive_figures(&tape, pair, minute - 1439 * INT64_C(60000000), INT64_MAX, figures,
                                sizeof figures);
        buf_format(&expected, "%u|%s", pair, figures);
    }
    assert_true(traded > 0);
    assert_same_rows(buf_slice(&expected),
                     support_store_rows(&fixture, &arena,
                                        "SELECT pair, open, high, low, close, volume, notional, "
                                        "trades FROM trading_statistics ORDER BY pair"));
    arena_free(&arena);
}

/* With nothing but time the trades of yesterday leave the statistics. */
static void statistics_forget_after_a_day(void **state)
{
    (void)state;
    record_venue(32, 2000);
    project_tape(2000, 200);
    assert_true(number_of("SELECT SUM(trades) FROM trading_statistics") > 0);
    struct projections *p = open_rows();
    struct engine *e = engine_at(2000);
    follow(e, p);
    for (int twice = 0; twice < 2; twice++) { /* an auction may end at the first */
        struct engine_command c = {.op = ENGINE_OP_TIME};
        c.clock.now_usec = engine_now_usec(e) + 2 * INT64_C(86400000000);
        assert_int_equal(engine_apply(e, &c), ENGINE_OK);
        flush_rows(p);
    }
    assert_int_equal(number_of("SELECT SUM(trades) FROM trading_statistics"), 0);
    assert_int_equal(number_of("SELECT SUM(high) FROM trading_statistics"), 0);
    projections_close(p);
    engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_equal_the_engine_and_a_rebuild, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(killed_anywhere_they_equal_a_rebuild, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(a_second_writer_is_refused, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(rows_that_nobody_wrote_are_refused, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(a_book_is_followed_by_its_deltas, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(only_the_newest_deltas_are_kept, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(queues_and_levels_are_those_of_the_engine, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(candles_are_those_of_the_trades, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(statistics_forget_after_a_day, open_fixture, close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
