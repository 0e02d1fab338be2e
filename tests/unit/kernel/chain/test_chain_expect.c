/* Waiting for one event: it comes, comes differently, is taken back, does not come. */
#include "unit/kernel/chain/world.h"

#include "kernel/chain/chain_expect.h"

static const struct address NOBODY = {{0}};
static struct fake_node *node;
static struct follower f;
static int head;

/* What was told of ends. */
static struct {
    _Atomic int seen;
    _Atomic int timed_out;
    uint64_t block;
    bool at_node;
} told;

static enum err be_told(struct store_tx *tx, void *ctx, const struct chain_expect_row *row,
                        struct why *why)
{
    (void)tx;
    (void)ctx;
    (void)why;
    if (row->state == CHAIN_EXPECT_SEEN) {
        told.block = row->block;
        atomic_fetch_add(&told.seen, 1);
    } else {
        told.at_node = row->at_node;
        atomic_fetch_add(&told.timed_out, 1);
    }
    return OK;
}

static void join(void)
{
    struct chain_options options = {
        .config = &f.config,
        .store = f.s.store,
        .rpc = f.pool,
        .sources = world_sources,
        .source_count = 1,
        .tables = &world_table,
        .table_count = 1,
        .expected = be_told,
    };
    chain_free(f.chain);
    f.chain = chain_new(&options);
}

static void add(int parent, unsigned from, unsigned to, uint64_t tx)
{
    struct address token = address_of(5);
    struct address a = from == 0 ? NOBODY : address_of(from), b = address_of(to);
    struct fake_log log = log_moved(&token, &a, &b, 1, tx_of(tx));
    head = fake_node_block(node, parent, &log, 1, tx);
    fake_node_set_head(node, head);
}

static int setup(void **state)
{
    (void)state;
    struct address token = address_of(5);
    struct fake_log created = log_created(CREATED, &factory, &token, 1, tx_of(1));
    log_set_fd(-1);
    atomic_store(&told.seen, 0);
    atomic_store(&told.timed_out, 0);
    node = fake_node_start();
    follower_open_with(&f, fake_node_url(node), world_config());
    join();
    head = fake_node_block(node, 0, &created, 1, 0);
    fake_node_set_head(node, head);
    add(head, 0, 1, 2);
    settle(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    follower_close(&f);
    fake_node_stop(node);
    return 0;
}

/* ---- */

struct waiting {
    struct chain_expectation x;
    struct hash to;
    struct hash tx;
};

static enum err run_expect(struct store_tx *tx, void *ctx, struct why *why)
{
    return chain_expect(tx, ctx, why);
}

/* Waits for a transfer of the token to a holder; in transaction `tx`, 0: in any. */
static void expect(const char *key, unsigned to, uint64_t tx)
{
    struct why why = {0};
    struct address holder = address_of(to);
    struct hash topic = topic_of(&holder), source = tx_of(tx), hash = fake_log_tx(&source);
    struct chain_expectation x = {
        .key = slice_text(key),
        .chain_id = FAKE_CHAIN_ID,
        .address = address_of(5),
        .event = MOVED,
        .topics = {NULL, &topic, NULL},
        .tx_hash = tx != 0 ? &hash : NULL,
    };
    enum err e = store_write(f.s.store, run_expect, &x, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
}

struct reading {
    const char *key;
    struct arena arena;
    struct chain_expect_row row;
};

static enum err read_one(struct store_tx *tx, void *ctx, struct why *why)
{
    struct reading *r = ctx;
    return chain_expect_read(tx, &r->arena, slice_text(r->key), &r->row, why);
}

static struct chain_expect_row row_of(const char *key)
{
    struct reading r = {.key = key};
    arena_init(&r.arena, 0);
    assert_int_equal(store_read(f.s.store, read_one, &r, NULL), OK);
    arena_free(&r.arena);
    return r.row;
}

/* count runs a query that yields one number, on either database. */
static int64_t count(const char *sql)
{
    struct arena arena;
    int64_t n = -1;
    if (!support_on_postgres()) {
        return count_rows(&f, sql);
    }
    arena_init(&arena, 0);
    struct slice rows = support_store_rows(&f.s, &arena, sql), first, rest;
    (void)slice_cut(rows, '|', &first, &rest);
    assert_int_equal(slice_parse_i64(first, &n), OK);
    arena_free(&arena);
    return n;
}

#define AUDITED(action) count("SELECT COUNT(*) FROM audit_log WHERE action = '" action "'")
#define JOBS count("SELECT COUNT(*) FROM jobs WHERE kind = 'chain.expectation'")

static void it_comes(void **state)
{
    (void)state;
    expect("a", 2, 10);
    expect("b", 2, 0);
    expect("b", 3, 0); /* the key is taken: nothing changes */
    assert_int_equal(JOBS, 2);
    assert_int_equal(row_of("a").state, CHAIN_EXPECT_WAITING);
    assert_int_equal(row_of("a").from_block, 3);
    add(head, 1, 3, 9);
    settle(&f);
    assert_int_equal(row_of("b").state, CHAIN_EXPECT_WAITING);
    add(head, 1, 2, 10);
    settle(&f);
    struct chain_expect_row a = row_of("a"), b = row_of("b");
    struct hash source = tx_of(10), tx = fake_log_tx(&source);
    assert_int_equal(a.state, CHAIN_EXPECT_SEEN);
    assert_int_equal(a.block, 4);
    assert_int_equal(a.log_index, 0);
    assert_true(hash_equal(&a.seen_in, &tx));
    assert_int_equal(b.state, CHAIN_EXPECT_SEEN);
    assert_int_equal(atomic_load(&told.seen), 2);
    assert_int_equal(AUDITED("chain.event_seen"), 2);
    add(head, 1, 2, 11); /* a second one is nobody's */
    settle(&f);
    assert_int_equal(row_of("b").block, 4);
    assert_int_equal(atomic_load(&told.seen), 2);
    assert_int_equal(cursor_of(&f), 5);
}

static void what_was_there_before_does_not_count(void **state)
{
    (void)state;
    add(head, 1, 2, 10);
    settle(&f);
    expect("a", 2, 0);
    add(head, 1, 3, 11);
    settle(&f);
    assert_int_equal(row_of("a").state, CHAIN_EXPECT_WAITING);
}

static void a_reorganisation_takes_it_back(void **state)
{
    (void)state;
    int before = head;
    expect("a", 2, 10);
    add(head, 1, 2, 10);
    settle(&f);
    assert_int_equal(row_of("a").state, CHAIN_EXPECT_SEEN);
    add(before, 1, 3, 20);
    add(head, 1, 3, 21);
    settle(&f);
    assert_int_equal(row_of("a").state, CHAIN_EXPECT_WAITING);
    assert_int_equal(JOBS, 2); /* somebody looks after it again */
    add(head, 1, 2, 10);
    settle(&f);
    assert_int_equal(row_of("a").state, CHAIN_EXPECT_SEEN);
    assert_int_equal(row_of("a").block, 5);
    assert_int_equal(atomic_load(&told.seen), 2);
    if (!support_on_postgres()) { /* dumps are of files */
        assert_as_fresh(&f, node);
    }
}

/* ---- the job ---- */

static struct chain_expect_watch watch = {.ended = be_told};

/* Lets time pass for the rows, and the job that is due run. */
static void pass(int64_t seconds)
{
    static const struct jobs_config config = {.threads = 1,
                                              .claim_batch = 4,
                                              .poll_usec = 10000,
                                              .retention_usec = 3600 * (int64_t)USEC_PER_SEC};
    char sql[256];
    struct why why = {0};
    struct jobs *jobs = NULL;
    const char *unit = support_pick("000000", " seconds'");
    const char *by = support_pick("", "interval '");
    (void)snprintf(sql, sizeof sql, "UPDATE chain_expectations SET since = since - %s%lld%s", by,
                   (long long)seconds, unit);
    chain_free(f.chain);
    (void)support_store_change(&f.s, sql);
    (void)snprintf(sql, sizeof sql, "UPDATE jobs SET run_at = run_at - %s%lld%s WHERE state = 1",
                   by, (long long)seconds, unit);
    (void)support_store_change(&f.s, sql);
    f.chain = NULL;
    join();
    int64_t done = count("SELECT COUNT(*) FROM jobs WHERE state = 3");
    watch.rpc = f.pool;
    const struct job_table table = chain_expect_job_table(&watch);
    assert_int_equal(jobs_new(&jobs, f.s.store, &config, &table, 1, &why), OK);
    assert_int_equal(jobs_start(jobs, &why), OK);
    while (count("SELECT COUNT(*) FROM jobs WHERE state = 3") == done) {
        clock_sleep_usec(5000);
    }
    jobs_stop(jobs);
    jobs_free(jobs);
}

static void it_does_not_come(void **state)
{
    (void)state;
    expect("a", 2, 10);
    pass(31);
    assert_int_equal(row_of("a").state, CHAIN_EXPECT_WAITING);
    assert_false(row_of("a").at_node);
    assert_int_equal(JOBS, 2); /* the next look */
    pass(11);
    assert_int_equal(atomic_load(&told.timed_out), 0);
    pass(140);
    assert_int_equal(row_of("a").state, CHAIN_EXPECT_TIMED_OUT);
    assert_int_equal(atomic_load(&told.timed_out), 1);
    assert_false(told.at_node);
    assert_int_equal(AUDITED("chain.event_timed_out"), 1);
    assert_int_equal(count("SELECT COUNT(*) FROM jobs WHERE state = 1"), 0);
    /* Nobody waits any more; the chain applies it all the same. */
    add(head, 1, 2, 10);
    settle(&f);
    assert_int_equal(row_of("a").state, CHAIN_EXPECT_TIMED_OUT);
    assert_int_equal(atomic_load(&told.seen), 0);
}

static void a_node_has_it_and_the_chain_is_not_there(void **state)
{
    (void)state;
    expect("a", 2, 10);
    add(head, 1, 3, 9);
    add(head, 1, 2, 10); /* and nobody steps */
    pass(31);
    assert_int_equal(row_of("a").state, CHAIN_EXPECT_WAITING); /* a node's word is not enough */
    assert_true(row_of("a").at_node);
    assert_int_equal(row_of("a").node_block, 4);
    pass(150);
    assert_int_equal(row_of("a").state, CHAIN_EXPECT_TIMED_OUT);
    assert_true(told.at_node);
}

static void a_node_that_is_away_does_not_keep_it_waiting(void **state)
{
    (void)state;
    expect("a", 2, 10);
    fake_node_lock(node)->fail = 1000;
    fake_node_unlock(node);
    pass(181);
    assert_int_equal(row_of("a").state, CHAIN_EXPECT_TIMED_OUT);
    fake_node_lock(node)->fail = 0;
    fake_node_unlock(node);
}

static void a_job_for_what_was_seen_ends(void **state)
{
    (void)state;
    expect("a", 2, 10);
    add(head, 1, 2, 10);
    settle(&f);
    pass(31);
    assert_int_equal(count("SELECT COUNT(*) FROM jobs WHERE state = 1"), 0);
    assert_int_equal(row_of("a").state, CHAIN_EXPECT_SEEN);
}

static enum err run_forget(struct store_tx *tx, void *ctx, struct why *why)
{
    return chain_expect_forget(tx, clock_wall_usec() + USEC_PER_SEC, 100, ctx, why);
}

static void what_has_ended_is_forgotten(void **state)
{
    (void)state;
    uint64_t rows = 0;
    expect("a", 2, 10);
    expect("b", 7, 0);
    add(head, 1, 2, 10);
    settle(&f);
    assert_int_equal(store_write(f.s.store, run_forget, &rows, NULL), OK);
    assert_int_equal(rows, 1);
    assert_int_equal(row_of("b").state, CHAIN_EXPECT_WAITING);
}

static void keys_have_a_length(void **state)
{
    (void)state;
    char key[CHAIN_EXPECT_KEY_MAX + 2];
    struct chain_expectation x = {.chain_id = FAKE_CHAIN_ID, .event = MOVED};
    memset(key, 'k', sizeof key);
    assert_int_equal(store_write(f.s.store, run_expect, &x, NULL), ERR_LIMIT);
    x.key = slice_of(key, CHAIN_EXPECT_KEY_MAX + 1);
    assert_int_equal(store_write(f.s.store, run_expect, &x, NULL), ERR_LIMIT);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    world_init();
    const struct CMUnitTest tests[] = {
        TEST(it_comes),
        TEST(what_was_there_before_does_not_count),
        TEST(a_reorganisation_takes_it_back),
        TEST(it_does_not_come),
        TEST(a_node_has_it_and_the_chain_is_not_there),
        TEST(a_node_that_is_away_does_not_keep_it_waiting),
        TEST(a_job_for_what_was_seen_ends),
        TEST(what_has_ended_is_forgotten),
        TEST(keys_have_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
