#include <pthread.h>
#include <sys/resource.h>

#include "kernel/base/clock.h"
#include "unit/kernel/store/sample.h"

static struct support_store s;

static int open_store(void **state)
{
    support_store_open(&s, &sample_catalog);
    return 0;
}

/* With one connection for writes, functions wait for each other on either database. */
static int open_narrow(void **state)
{
    support_store_prepare(&s, &sample_catalog);
    s.config.writers = 1;
    assert_int_equal(support_store_start(&s, NULL), OK);
    support_store_migrate(&s);
    return 0;
}

static int close_store(void **state)
{
    support_store_close(&s);
    return 0;
}

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    assert_int_equal(pthread_create(thread, NULL, run, arg), 0);
}

static void join(pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* A door that a test holds shut while threads gather in front of it. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int inside;
    bool open;
};

#define GATE_INIT                                                                                  \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false                              \
    }

static void gate_pass(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->inside++;
    pthread_cond_broadcast(&g->moved);
    while (!g->open) {
        pthread_cond_wait(&g->moved, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
}

static void gate_wait(struct gate *g, int inside)
{
    pthread_mutex_lock(&g->lock);
    while (g->inside < inside) {
        pthread_cond_wait(&g->moved, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
}

static void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->moved);
    pthread_mutex_unlock(&g->lock);
}

/* ---- many producers ---- */

enum { PRODUCERS = 64, WRITES = 60 };

struct producer {
    pthread_t thread;
    int number;
    int64_t failures;
};

/* Two counters in one transaction; every third write fails after both. */
struct pair {
    int number;
    bool fails;
};

static enum err add_pair(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct pair *p = ctx;
    char own[32];
    snprintf(own, sizeof(own), "producer%d", p->number);
    struct sample_counter mine = {.name = own, .step = 1};
    struct sample_counter all = {.name = "all", .step = 1};
    enum err e = sample_counter_add(tx, &mine, why);
    if (e == OK) {
        e = sample_counter_add(tx, &all, why);
    }
    if (e == OK && p->fails) {
        return why_set(why, ERR_CONFLICT, "pair", "Producer %d wanted it.", p->number);
    }
    return e;
}

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (int i = 0; i < WRITES; i++) {
        struct pair pair = {.number = p->number, .fails = i % 3 == 2};
        struct why why = {0};
        enum err e = store_write(s.store, add_pair, &pair, &why);
        char expected[64];
        snprintf(expected, sizeof(expected), "Producer %d wanted it.", p->number);
        bool right = pair.fails ? e == ERR_CONFLICT && strcmp(why.text, expected) == 0
                                : e == OK && why.text[0] == '\0';
        p->failures += !right;
    }
    return NULL;
}

static void writes_of_many_threads_are_all_there(void **state)
{
    static struct producer producers[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.number = i};
        start(&producers[i].thread, produce, &producers[i]);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        join(producers[i].thread);
        assert_int_equal(producers[i].failures, 0);
    }
    struct store_stats stats;
    store_stats_read(s.store, &stats);
    assert_true(stats.functions >= PRODUCERS * WRITES);
    assert_int_equal(stats.rollbacks, PRODUCERS * WRITES / 3);
    if (!support_on_postgres()) {
        assert_true(stats.commits < PRODUCERS * WRITES / 2); /* they shared commits */
    }
    assert_true(stats.commit_usec_last > 0);

    support_store_reopen(&s);
    assert_int_equal(sample_counter(s.store, "all"), PRODUCERS * WRITES / 3 * 2);
    for (int i = 0; i < PRODUCERS; i++) {
        char own[32];
        snprintf(own, sizeof(own), "producer%d", i);
        assert_int_equal(sample_counter(s.store, own), WRITES / 3 * 2);
    }
}

/* ---- one batch, looked at closely ---- */

struct member {
    pthread_t thread;
    store_fn fn;
    const char *name;
    int64_t step;
    struct gate *gate;
    enum err result;
    struct why why;
};

static void *run_member(void *arg)
{
    struct member *m = arg;
    m->result = store_write(s.store, m->fn, m, &m->why);
    return NULL;
}

static enum err member_holds(struct store_tx *tx, void *ctx, struct why *why)
{
    gate_pass(((struct member *)ctx)->gate);
    return OK;
}

static enum err member_adds(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct member *m = ctx;
    struct sample_counter c = {.name = m->name, .step = m->step};
    return sample_counter_add(tx, &c, why);
}

static enum err member_conflicts(struct store_tx *tx, void *ctx, struct why *why)
{
    enum err e = member_adds(tx, ctx, why);
    for (int i = 0; e == OK && i < 2; i++) {
        struct store_query q;
        store_begin(&q, tx, &sample_sql_item_default);
        store_bind_text(&q, "name", SLICE_LIT("same"));
        e = store_finish(&q, NULL, why);
    }
    return e;
}

static enum err member_gives_up(struct store_tx *tx, void *ctx, struct why *why)
{
    enum err e = member_adds(tx, ctx, why);
    return e != OK ? e : why_set(why, ERR_NOT_FOUND, NULL, "Nothing here.");
}

static void wait_for_waiting(uint64_t count)
{
    struct store_stats stats;
    do {
        clock_sleep_usec(200);
        store_stats_read(s.store, &stats);
    } while (stats.waiting < count);
}

/*
 * Runs all members in one transaction, in their order: a function before them holds the writer
 * until they all wait, and longer than a batch is kept open for late ones.
 */
static void run_together(struct member *members, size_t count)
{
    struct gate gate = GATE_INIT;
    struct member holder = {.fn = member_holds, .gate = &gate};
    start(&holder.thread, run_member, &holder);
    gate_wait(&gate, 1);
    for (size_t i = 0; i < count; i++) {
        start(&members[i].thread, run_member, &members[i]);
        wait_for_waiting(i + 2);
    }
    clock_sleep_usec(20000);
    gate_open(&gate);
    join(holder.thread);
    assert_int_equal(holder.result, OK);
    for (size_t i = 0; i < count; i++) {
        join(members[i].thread);
    }
}

static void a_failure_takes_back_its_own_work_only(void **state)
{
    struct member members[] = {
        {.fn = member_adds, .name = "first", .step = 1},
        {.fn = member_conflicts, .name = "second", .step = 1},
        {.fn = member_gives_up, .name = "first", .step = 10},
        {.fn = member_adds, .name = "third", .step = 1},
    };
    run_together(members, 4);
    assert_int_equal(members[0].result, OK);
    assert_int_equal(members[1].result, ERR_DB_CONSTRAINT);
    assert_string_equal(members[1].why.field, support_pick("items.name", "items_name_key"));
    assert_int_equal(members[2].result, ERR_NOT_FOUND);
    assert_string_equal(members[2].why.text, "Nothing here.");
    assert_int_equal(members[3].result, OK);
    assert_string_equal(members[3].why.text, "");
    assert_int_equal(sample_counter(s.store, "first"), 1);
    assert_int_equal(sample_counter(s.store, "second"), 0);
    assert_int_equal(sample_counter(s.store, "third"), 1);
}

/* ---- a commit that fails ---- */

static const struct store_statement orphan_add = {
    .name = "test_orphan_add",
    .id = 200, /* beyond the catalog */
    .writes = true,
    .sqlite = "INSERT INTO orphans (parent) VALUES (1)",
    .postgres = "INSERT INTO orphans (parent) VALUES (1)",
};

static enum err member_orphan(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &orphan_add);
    return store_finish(&q, NULL, why);
}

/* A constraint that is checked at the end is the one thing that fails a commit at will. */
static void a_failed_commit_answers_everyone_in_it(void **state)
{
    if (support_on_postgres()) {
        skip(); /* no one shares a commit */
    }
    struct store_migration migrations[] = {
        sample_catalog.migrations[0],
        sample_catalog.migrations[1],
        {.version = 3,
         .name = "orphans",
         .checksum = "x",
         .up_sqlite = "CREATE TABLE parents (id INTEGER PRIMARY KEY) STRICT;"
                      "CREATE TABLE orphans (parent INTEGER REFERENCES parents (id)"
                      " DEFERRABLE INITIALLY DEFERRED) STRICT;"},
    };
    struct store_catalog catalog = sample_catalog;
    catalog.migrations = migrations;
    catalog.migration_count = 3;
    support_store_open(&s, &catalog);
    struct member members[] = {
        {.fn = member_adds, .name = "innocent", .step = 1},
        {.fn = member_gives_up, .name = "innocent", .step = 1},
        {.fn = member_orphan},
        {.fn = member_adds, .name = "innocent", .step = 1},
    };
    run_together(members, 4);
    assert_int_equal(members[0].result, ERR_DB_CONSTRAINT);
    assert_non_null(strstr(members[0].why.text, "FOREIGN KEY"));
    assert_int_equal(members[1].result, ERR_NOT_FOUND);
    assert_int_equal(members[2].result, ERR_DB_CONSTRAINT);
    assert_int_equal(members[3].result, ERR_DB_CONSTRAINT);
    assert_int_equal(sample_counter(s.store, "innocent"), 0);

    struct member again = {.fn = member_adds, .name = "innocent", .step = 1};
    run_together(&again, 1);
    assert_int_equal(again.result, OK);
    assert_int_equal(sample_counter(s.store, "innocent"), 1);
    support_store_close(&s);
}

/* ---- a disk that fills up in the middle of a batch ---- */

static enum err flood_item(struct store_tx *tx, int number, struct why *why)
{
    static const uint8_t blob[64 * 1024];
    char name[32];
    snprintf(name, sizeof(name), "flood%d", number);
    struct store_query q;
    store_begin(&q, tx, &sample_sql_item_add);
    store_bind_text(&q, "name", slice_text(name));
    store_bind_null(&q, "payload");
    store_bind_bytes(&q, "raw", slice_of(blob, sizeof(blob)));
    store_bind_null(&q, "digest");
    store_bind_null(&q, "owner");
    store_bind_u256(&q, "amount", U256_ZERO);
    store_bind_time(&q, "at", 0);
    store_bind_bool(&q, "done", false);
    store_bind_null(&q, "score");
    store_bind_null(&q, "parent");
    return store_finish(&q, NULL, why);
}

/* More than the page cache holds, so that the disk is written before the commit. */
static enum err member_floods(struct store_tx *tx, void *ctx, struct why *why)
{
    enum err e = OK;
    for (int i = 0; e == OK && i < 100; i++) {
        e = flood_item(tx, i, why);
    }
    return e;
}

static enum err count_items(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_items_count);
    if (store_step(&q)) {
        *(int64_t *)ctx = store_get_i64(&q, "count");
    }
    return store_finish_one(&q, "count", why);
}

static void a_full_disk_takes_no_one_along_silently(void **state)
{
    if (support_on_postgres()) {
        skip(); /* the disk is the server's */
    }
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = before;
    small.rlim_cur = 2 << 20;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct member members[] = {
        {.fn = member_adds, .name = "beside", .step = 1},
        {.fn = member_floods},
        {.fn = member_adds, .name = "beside", .step = 1},
    };
    run_together(members, 3);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);

    assert_int_equal(members[1].result, ERR_DISK_FULL);
    /* The database may give up the transaction as a whole: whoever was in it is told. */
    assert_true(members[0].result == OK || members[0].result == ERR_DISK_FULL);
    assert_true(members[2].result == OK || members[2].result == ERR_DISK_FULL);
    int64_t items = -1;
    support_store_reopen(&s);
    sample_read(s.store, count_items, &items);
    assert_int_equal(items, 0);
    assert_int_equal(sample_counter(s.store, "beside"),
                     (members[0].result == OK) + (members[2].result == OK));

    struct member again = {.fn = member_floods};
    run_together(&again, 1);
    assert_int_equal(again.result, OK);
    sample_read(s.store, count_items, &items);
    assert_int_equal(items, 100);
}

/* ---- snapshots ---- */

struct transfers {
    pthread_t thread;
    int64_t failures;
};

enum { TRANSFERS = 400 };

static enum err transfer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct sample_counter from = {.name = "from", .step = -1};
    struct sample_counter to = {.name = "to", .step = 1};
    enum err e = sample_counter_add(tx, &from, why);
    return e == OK ? sample_counter_add(tx, &to, why) : e;
}

static void *run_transfers(void *arg)
{
    struct transfers *t = arg;
    for (int i = 0; i < TRANSFERS; i++) {
        t->failures += store_write(s.store, transfer, NULL, NULL) != OK;
    }
    return NULL;
}

struct balance {
    int64_t from;
    int64_t to;
    int64_t from_again;
};

static enum err read_balance(struct store_tx *tx, void *ctx, struct why *why)
{
    struct balance *b = ctx;
    struct sample_counter from = {.name = "from"};
    struct sample_counter to = {.name = "to"};
    enum err e = sample_counter_get(tx, &from, why);
    b->from = from.value;
    if (e == OK) {
        e = sample_counter_get(tx, &to, why);
        b->to = to.value;
    }
    clock_sleep_usec(50);
    if (e == OK) {
        e = sample_counter_get(tx, &from, why);
        b->from_again = from.value;
    }
    return e;
}

static void a_read_sees_one_moment(void **state)
{
    struct transfers writer = {0};
    start(&writer.thread, run_transfers, &writer);
    struct balance b = {0};
    int64_t seen = 0;
    while (b.to < TRANSFERS) {
        sample_read(s.store, read_balance, &b);
        assert_int_equal(b.from + b.to, 0);
        assert_int_equal(b.from, b.from_again);
        assert_true(b.to >= seen); /* time does not go back */
        seen = b.to;
    }
    join(writer.thread);
    assert_int_equal(writer.failures, 0);
}

struct open_read {
    pthread_t thread;
    struct gate *gate;
    int64_t before;
    int64_t after;
    enum err result;
};

static enum err read_at_gate(struct store_tx *tx, void *ctx, struct why *why)
{
    struct open_read *r = ctx;
    struct sample_counter c = {.name = "to"};
    enum err e = sample_counter_get(tx, &c, why);
    r->before = c.value;
    gate_pass(r->gate);
    if (e == OK) {
        e = sample_counter_get(tx, &c, why);
        r->after = c.value;
    }
    return e;
}

static void *run_read(void *arg)
{
    struct open_read *r = arg;
    r->result = store_read(s.store, read_at_gate, r, NULL);
    return NULL;
}

static void writes_go_on_while_a_read_is_open(void **state)
{
    struct gate gate = GATE_INIT;
    struct open_read reader = {.gate = &gate};
    sample_write(s.store, transfer, NULL);
    start(&reader.thread, run_read, &reader);
    gate_wait(&gate, 1);
    sample_write(s.store, transfer, NULL);
    assert_int_equal(sample_counter(s.store, "to"), 2);
    gate_open(&gate);
    join(reader.thread);
    assert_int_equal(reader.result, OK);
    assert_int_equal(reader.before, 1);
    assert_int_equal(reader.after, 1);
}

/* ---- more readers than connections ---- */

static void readers_beyond_the_connections_wait(void **state)
{
    enum { READERS = 12 };
    struct gate gate = GATE_INIT;
    struct open_read readers[READERS];
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct open_read){.gate = &gate, .result = ERR_INTERNAL};
        start(&readers[i].thread, run_read, &readers[i]);
    }
    gate_wait(&gate, (int)s.config.readers);
    clock_sleep_usec(20000);
    pthread_mutex_lock(&gate.lock);
    assert_int_equal(gate.inside, s.config.readers); /* the others are not let in */
    pthread_mutex_unlock(&gate.lock);
    gate_open(&gate);
    for (size_t i = 0; i < READERS; i++) {
        join(readers[i].thread);
        assert_int_equal(readers[i].result, OK);
    }
}

static void a_wait_for_a_connection_has_an_end(void **state)
{
    enum { LATE = 3 };
    struct gate gate = GATE_INIT;
    struct open_read readers[4];
    struct store_stats stats;
    struct why why = {0};
    store_close(s.store);
    s.config.readers = 4;
    s.config.wait_usec = 20000;
    assert_int_equal(support_store_start(&s, NULL), OK);
    for (size_t i = 0; i < 4; i++) {
        readers[i] = (struct open_read){.gate = &gate, .result = ERR_INTERNAL};
        start(&readers[i].thread, run_read, &readers[i]);
    }
    gate_wait(&gate, 4);
    for (int i = 0; i < LATE; i++) {
        struct sample_counter c = {.name = "late"};
        assert_int_equal(store_read(s.store, sample_counter_get, &c, &why), ERR_DB_BUSY);
        assert_string_equal(why.text,
                            "All 4 reading connections to the database are in use: try again.");
    }
    assert_int_equal(err_http_status(ERR_DB_BUSY), 503); /* and those carry Retry-After */
    store_stats_read(s.store, &stats);
    const struct store_pool_stats *pool = &stats.pools[STORE_READERS];
    assert_int_equal(pool->open, 4);
    assert_int_equal(pool->in_use, 4);
    assert_int_equal(pool->waiting, 0);
    assert_int_equal(pool->waits, LATE);
    assert_int_equal(pool->timeouts, LATE);
    assert_true(pool->wait_usec >= LATE * 20000);
    gate_open(&gate);
    for (size_t i = 0; i < 4; i++) {
        join(readers[i].thread);
        assert_int_equal(readers[i].result, OK);
    }
    assert_int_equal(sample_counter(s.store, "late"), 0); /* and it goes on */
    store_stats_read(s.store, &stats);
    assert_int_equal(stats.pools[STORE_READERS].in_use, 0);
}

/* ---- savepoints ---- */

struct nested {
    const char *name;
    enum err answer;
    bool conflicts;
    bool undo;
    const char *channel;
};

static enum err run_nested(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct nested *n = ctx;
    struct sample_counter c = {.name = n->name, .step = 1};
    enum err e = sample_counter_add(tx, &c, why);
    if (n->channel != NULL) {
        store_notify(tx, n->channel);
    }
    if (e == OK && n->undo) {
        e = store_undo_begin(tx, 1, 1, why);
    }
    for (int i = 0; e == OK && n->conflicts && i < 2; i++) {
        struct store_query q;
        store_begin(&q, tx, &sample_sql_item_default);
        store_bind_text(&q, "name", SLICE_LIT("same"));
        /* Says OK although the database refused: the error counts all the same. */
        (void)(store_finish(&q, NULL, why) == OK);
    }
    return e != OK ? e : n->answer;
}

/* Steps through counters while savepoints come and go inside. */
static enum err outer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct nested good = {.name = "good"};
    struct nested bad = {.name = "bad", .answer = ERR_CONFLICT, .undo = true, .channel = "bad"};
    struct nested refused = {.name = "refused", .conflicts = true};
    struct why inner = {0};
    size_t rows = 0;
    struct store_query q;
    store_begin(&q, tx, &sample_sql_items_all);
    while (store_step(&q)) {
        rows++;
        store_ignore(&q, "name");
        assert_int_equal(store_nested(tx, run_nested, &good, &inner), OK);
        assert_int_equal(store_nested(tx, run_nested, &bad, &inner), ERR_CONFLICT);
        assert_int_equal(store_nested(tx, run_nested, &refused, &inner), ERR_DB_CONSTRAINT);
        assert_string_equal(inner.field, support_pick("items.name", "items_name_key"));
    }
    assert_int_equal(rows, 3);
    enum err e = store_finish(&q, NULL, why);
    struct sample_counter c = {.name = "outer", .step = 1};
    return e == OK ? sample_counter_add(tx, &c, why) : e;
}

static enum err add_items(struct store_tx *tx, void *ctx, struct why *why)
{
    enum err e = OK;
    for (int i = 0; e == OK && i < 3; i++) {
        e = flood_item(tx, i, why);
    }
    return e;
}

static void a_savepoint_takes_back_its_own_work_only(void **state)
{
    sample_write(s.store, add_items, NULL);
    sample_write(s.store, outer, NULL);
    assert_int_equal(sample_counter(s.store, "good"), 3);
    assert_int_equal(sample_counter(s.store, "bad"), 0);
    assert_int_equal(sample_counter(s.store, "refused"), 0);
    assert_int_equal(sample_counter(s.store, "outer"), 1);
    assert_int_equal(store_signal_now(s.store, "bad"), 0);
}

/* ---- stopping ---- */

static void *run_close(void *arg)
{
    store_close(s.store);
    return NULL;
}

static void close_answers_what_was_queued(void **state)
{
    struct gate gate = GATE_INIT;
    struct member holder = {.fn = member_holds, .gate = &gate};
    struct member queued = {.fn = member_adds, .name = "queued", .step = 1};
    pthread_t closer;
    start(&holder.thread, run_member, &holder);
    gate_wait(&gate, 1);
    start(&queued.thread, run_member, &queued);
    wait_for_waiting(2);
    start(&closer, run_close, NULL);
    clock_sleep_usec(100000);
    assert_int_equal(store_write(s.store, transfer, NULL, NULL), ERR_STOPPING);
    gate_open(&gate);
    join(holder.thread);
    join(queued.thread);
    join(closer);
    assert_int_equal(holder.result, OK);
    assert_int_equal(queued.result, OK);

    s.store = NULL;
    support_store_reopen(&s);
    assert_int_equal(sample_counter(s.store, "queued"), 1);
}

static enum err inside(struct store_tx *tx, void *ctx, struct why *why)
{
    *(bool *)ctx = store_in_tx();
    return OK;
}

static void a_thread_knows_that_it_is_inside(void **state)
{
    bool was = false;
    assert_false(store_in_tx());
    sample_write(s.store, inside, &was);
    assert_true(was);
    was = false;
    sample_read(s.store, inside, &was);
    assert_true(was);
    assert_false(store_in_tx());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_of_many_threads_are_all_there, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(a_failure_takes_back_its_own_work_only, open_narrow,
                                        close_store),
        cmocka_unit_test(a_failed_commit_answers_everyone_in_it),
        cmocka_unit_test_setup_teardown(a_full_disk_takes_no_one_along_silently, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(a_read_sees_one_moment, open_store, close_store),
        cmocka_unit_test_setup_teardown(writes_go_on_while_a_read_is_open, open_store, close_store),
        cmocka_unit_test_setup_teardown(readers_beyond_the_connections_wait, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(a_wait_for_a_connection_has_an_end, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(a_savepoint_takes_back_its_own_work_only, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(close_answers_what_was_queued, open_narrow, close_store),
        cmocka_unit_test_setup_teardown(a_thread_knows_that_it_is_inside, open_store, close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
