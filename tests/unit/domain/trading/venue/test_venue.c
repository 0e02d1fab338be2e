/*
 * The loop around engine and journal: what leaves is durable, in order, whole; what fails stops;
 * what is due happens. On a folder, and on the database together with the projections.
 */
#include "domain/trading/venue/venue.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "domain/trading/journal/journal_table.h"
#include "domain/trading/projections/projections.h"
#include "kernel/base/clock.h"
#include "kernel/base/mem.h"
#include "unit/support.h"

#define PATIENCE_USEC (60 * (int64_t)USEC_PER_SEC)
#define FILE_BYTES (UINT64_C(1) << 20)
#define THREADS 4
#define EACH 200

static const struct engine_limits limits = {.pairs = 2,
                                            .assets = 4,
                                            .accounts = 16,
                                            .orders = 4096,
                                            .balances = 64,
                                            .rights = 8,
                                            .holds = 8,
                                            .id_window = 1u << 14};

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/freehold-venue-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    support_remove_folder(folder);
    return 0;
}

/* ---- a disk that can be made to wait or to fail ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool closed;      /* syncs wait */
    unsigned waiting; /* that do */
    int syncs_left;   /* until they fail; below 0: never */
} disk = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0, -1};

static int disk_sync(void *ctx, int fd)
{
    (void)ctx;
    pthread_mutex_lock(&disk.lock);
    disk.waiting++;
    pthread_cond_broadcast(&disk.moved);
    while (disk.closed) {
        pthread_cond_wait(&disk.moved, &disk.lock);
    }
    disk.waiting--;
    const bool bad = disk.syncs_left == 0;
    disk.syncs_left -= disk.syncs_left > 0;
    pthread_mutex_unlock(&disk.lock);
    if (bad) {
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

static void set_disk(bool closed, int syncs_left)
{
    pthread_mutex_lock(&disk.lock);
    disk.closed = closed;
    disk.syncs_left = syncs_left;
    pthread_cond_broadcast(&disk.moved);
    pthread_mutex_unlock(&disk.lock);
}

static bool disk_waits(void)
{
    pthread_mutex_lock(&disk.lock);
    const bool waits = disk.waiting > 0;
    pthread_mutex_unlock(&disk.lock);
    return waits;
}

/* ---- a venue ---- */

/* What left it. Written by the release thread. */
static struct {
    struct journal *journal;
    uint64_t last_seq;
    uint32_t last_index;
    _Atomic uint64_t events;
    _Atomic uint64_t expired;
    _Atomic uint64_t highest;
} left;

static void on_event(void *ctx, const struct engine_event *ev)
{
    (void)ctx;
    if (ev->seq > journal_durable(left.journal) || ev->seq < left.last_seq) {
        abort(); /* it left too early, or out of order */
    }
    left.last_seq = ev->seq;
    left.last_index = ev->index;
    atomic_store(&left.highest, ev->seq);
    atomic_fetch_add(&left.events, 1);
    if (ev->kind == ENGINE_EVENT_CANCELLED && ev->reason == ENGINE_EXPIRED) {
        atomic_fetch_add(&left.expired, 1);
    }
}

static struct venue *open_venue(uint64_t snapshot_every)
{
    static struct journal_io io;
    io = *journal_io_system();
    io.sync = disk_sync;
    const struct journal_config config = {
        .dir = folder, .limits = limits, .file_bytes = FILE_BYTES, .io = &io};
    struct venue_config v = {.queue_max = 10000,
                             .snapshot_every = snapshot_every,
                             .sink = {.event = on_event, .kinds = ENGINE_EVERY_KIND}};
    struct journal_recovery recovery;
    struct venue *venue;
    struct why why = {0};
    set_disk(false, -1);
    if (journal_open(&v.journal, &config, &v.engine, &recovery, &why) != OK) {
        fail_msg("%s", why.text);
    }
    memset(&left, 0, sizeof left);
    left.journal = v.journal;
    assert_int_equal(venue_start(&venue, &v, &why), OK);
    return venue;
}

static void must(struct venue *v, struct engine_command c)
{
    struct venue_answer answer;
    assert_int_equal(venue_submit(v, &c, 1, &answer, NULL), OK);
    assert_int_equal(answer.reason, ENGINE_OK);
}

/* Two assets, accounts with plenty of both, a pair that is open. */
static void set_up_market(struct venue *v)
{
    struct engine_command c;
    for (uint32_t i = 0; i < 2; i++) {
        c = (struct engine_command){.op = ENGINE_OP_ASSET};
        c.asset = (struct engine_asset_in){.asset = i};
        must(v, c);
    }
    for (uint32_t i = 0; i < 8; i++) {
        c = (struct engine_command){.op = ENGINE_OP_ACCOUNT};
        c.account = (struct engine_account_in){.account = i, .owner = i, .orders_max = 4096};
        must(v, c);
        for (uint32_t asset = 0; asset < 2; asset++) {
            c = (struct engine_command){.op = ENGINE_OP_DEPOSIT};
            c.money = (struct engine_money_in){
                .id = 1 + 2 * i + asset, .amount = 1u << 30, .account = i, .asset = asset};
            must(v, c);
        }
    }
    c = (struct engine_command){.op = ENGINE_OP_PAIR};
    c.pair = (struct engine_pair_in){
        .pair = 0, .base = 1, .quote = 0, .fee_account = 7, .lot_units = 3, .tick_units = 2};
    must(v, c);
    c = (struct engine_command){.op = ENGINE_OP_FEES};
    c.fees = (struct engine_fees_in){.pair = 0, .maker_ppm = 1000, .taker_ppm = 3000};
    must(v, c);
    c = (struct engine_command){.op = ENGINE_OP_STATE};
    c.state = (struct engine_state_in){.pair = 0, .state = ENGINE_OPEN};
    must(v, c);
}

static struct engine_command order(uint64_t id, uint32_t account)
{
    struct engine_command c = {.op = ENGINE_OP_NEW, .side = (uint8_t)(id % 2)};
    c.order = (struct engine_order_in){.id = id,
                                       .price = 100 + (int64_t)(id * 7 % 5),
                                       .qty = 1 + (int64_t)(id % 9),
                                       .account = account};
    return c;
}

/* ---- callers ---- */

struct caller {
    struct venue *venue;
    uint32_t number;
    pthread_t thread;
    _Atomic bool answered;
    enum err err;
    struct engine_command commands[EACH];
    struct venue_answer answers[EACH];
    uint32_t done;
};

/* Gives its commands in groups of one, two and three. */
static void *call(void *arg)
{
    struct caller *c = arg;
    while (c->done < EACH && c->err == OK) {
        uint32_t count = 1 + c->done % 3;
        count = count < EACH - c->done ? count : EACH - c->done;
        c->err = venue_submit(c->venue, &c->commands[c->done], count, &c->answers[c->done], NULL);
        c->done += c->err == OK ? count : 0;
    }
    atomic_store(&c->answered, true);
    return NULL;
}

static void start_caller(struct caller *c, struct venue *v, uint32_t number)
{
    *c = (struct caller){.venue = v, .number = number};
    for (uint32_t i = 0; i < EACH; i++) {
        c->commands[i] = order(100 + i * THREADS + number, number);
    }
    assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

/* The journal, as commands by number. */
static struct {
    struct engine_command at[4 * THREADS * EACH];
    uint64_t count;
} kept;

static void keep_record(void *ctx, uint64_t seq, const struct engine_command *c)
{
    (void)ctx;
    assert_true(seq < sizeof kept.at / sizeof kept.at[0]);
    kept.at[seq] = *c;
    kept.count = seq;
}

static void read_journal(void)
{
    struct engine_limits found;
    struct journal_recovery recovery;
    memset(&kept, 0, sizeof kept);
    assert_int_equal(journal_read(folder, &(struct journal_visitor){.record = keep_record}, &found,
                                  &recovery, NULL),
                     OK);
}

/* What was answered is in the journal, under the number of the answer, groups unbroken. */
static void assert_kept(const struct caller *c)
{
    for (uint32_t i = 0; i < c->done; i++) {
        assert_memory_equal(&kept.at[c->answers[i].seq], &c->commands[i], sizeof kept.at[0]);
    }
    for (uint32_t i = 0; i < c->done;) {
        const uint32_t count = 1 + i % 3;
        for (uint32_t k = 1; k < count && i + k < c->done; k++) {
            assert_int_equal(c->answers[i + k].seq, c->answers[i].seq + k);
        }
        i += count;
    }
}

static void many_callers_are_answered_in_the_journals_order(void **state)
{
    (void)state;
    static struct caller callers[THREADS];
    struct venue *v = open_venue(100);
    set_up_market(v);
    for (uint32_t i = 0; i < THREADS; i++) {
        start_caller(&callers[i], v, i);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].err, OK);
        assert_int_equal(callers[i].done, EACH);
    }
    assert_int_equal(venue_state_of(v), VENUE_RUNNING);
    venue_stop(v);
    read_journal();
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_kept(&callers[i]);
    }
    assert_int_equal(atomic_load(&left.highest), kept.count); /* all of it left in the end */
    v = open_venue(0);                                        /* from a snapshot */
    assert_int_equal(venue_submit(v, &callers[0].commands[0], 1, &callers[0].answers[0], NULL), OK);
    assert_int_equal(callers[0].answers[0].reason, ENGINE_DUPLICATE);
    venue_stop(v);
}

/* The same orders from everybody at once, as retries come: each is taken once. */
static void an_id_is_taken_once(void **state)
{
    (void)state;
    static struct caller callers[THREADS];
    struct venue *v = open_venue(0);
    set_up_market(v);
    for (uint32_t i = 0; i < THREADS; i++) {
        start_caller(&callers[i], v, 3);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].err, OK);
    }
    venue_stop(v);
    for (uint32_t k = 0; k < EACH; k++) {
        unsigned taken = 0;
        for (uint32_t i = 0; i < THREADS; i++) {
            const enum engine_reason reason = callers[i].answers[k].reason;
            assert_true(reason == ENGINE_OK || reason == ENGINE_DUPLICATE);
            taken += reason == ENGINE_OK;
        }
        assert_int_equal(taken, 1);
    }
}

static void nothing_leaves_before_it_is_durable(void **state)
{
    (void)state;
    static struct caller caller;
    struct venue *v = open_venue(0);
    set_up_market(v);
    const uint64_t events = atomic_load(&left.events);
    set_disk(true, -1);
    start_caller(&caller, v, 1);
    const int64_t deadline = clock_mono_usec() + PATIENCE_USEC;
    while (!disk_waits()) { /* it is matched, written, and not synced */
        assert_true(clock_mono_usec() < deadline);
        clock_sleep_usec(1000);
    }
    clock_sleep_usec(50000);
    assert_false(atomic_load(&caller.answered));
    assert_int_equal(caller.done, 0);
    assert_int_equal(atomic_load(&left.events), events);
    set_disk(false, -1);
    assert_int_equal(pthread_join(caller.thread, NULL), 0);
    assert_int_equal(caller.done, EACH);
    assert_true(atomic_load(&left.events) >= events + EACH);
    venue_stop(v);
}

static void a_failing_disk_stops_it(void **state)
{
    (void)state;
    static struct caller callers[THREADS];
    struct venue_answer answer;
    struct why why = {0};
    struct venue *v = open_venue(0);
    set_up_market(v);
    set_disk(false, 20);
    for (uint32_t i = 0; i < THREADS; i++) {
        start_caller(&callers[i], v, i);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].err, ERR_IO);
    }
    assert_int_equal(venue_state_of(v), VENUE_FAILED);
    const struct engine_command c = order(9000, 1);
    assert_int_equal(venue_submit(v, &c, 1, &answer, &why), ERR_IO);
    assert_non_null(strstr(why.text, "stopped"));
    venue_stop(v);
    read_journal();
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_kept(&callers[i]);
    }
    assert_true(atomic_load(&left.highest) <= kept.count);
}

static void what_is_due_happens_by_itself(void **state)
{
    (void)state;
    struct venue *v = open_venue(0);
    set_up_market(v);
    struct engine_command c = order(500, 1);
    c.tif = ENGINE_GTD;
    c.order.expire_usec = clock_wall_usec() + 100000;
    must(v, c);
    const int64_t deadline = clock_mono_usec() + PATIENCE_USEC;
    while (atomic_load(&left.expired) == 0) {
        assert_true(clock_mono_usec() < deadline);
        clock_sleep_usec(2000);
    }
    assert_int_equal(atomic_load(&left.expired), 1);
    venue_stop(v);
}

static void what_is_not_sound_is_refused(void **state)
{
    (void)state;
    struct venue_answer answers[2];
    struct engine_command c[2] = {order(600, 1), order(601, 1)};
    struct venue *v = open_venue(0);
    c[1].op = ENGINE_OP_COUNT;
    assert_int_equal(venue_submit(v, c, 2, answers, NULL), ERR_INVALID_ENCODING);
    c[1] = (struct engine_command){.op = ENGINE_OP_TIME};
    assert_int_equal(venue_submit(v, c, 2, answers, NULL), ERR_INVALID_FIELD);
    assert_int_equal(venue_submit(v, c, 0, answers, NULL), ERR_INVALID_FIELD);
    assert_int_equal(venue_submit(v, c, VENUE_GROUP_MAX + 1, answers, NULL), ERR_INVALID_FIELD);
    venue_stop(v);
    assert_int_equal(atomic_load(&left.events), 0);
}

/* ---- on the database, with rows ---- */

static void the_same_on_the_database_with_rows(void **state)
{
    (void)state;
    static struct caller callers[THREADS];
    static struct support_store s;
    struct why why = {0};
    struct journal_recovery recovery;
    struct engine *engine = NULL;
    struct projections *p = NULL;
    struct projections_audit audit;
    struct venue *v;
    support_store_open(&s, &sql_catalog);
    s.config.lease_usec = 3000000;
    support_store_reopen(&s);
    assert_int_equal(store_leases_start(s.store, "match", "1", NULL), OK);
    struct store_hold hold = {.lease = store_lease_want(s.store, JOURNAL_LEASE, "venue-test")};
    const int64_t deadline = clock_mono_usec() + PATIENCE_USEC;
    while ((hold.fence = store_lease_held(s.store, hold.lease)) == 0) {
        assert_true(clock_mono_usec() < deadline);
        clock_sleep_usec(5000);
    }
    const struct journal_config config = {.limits = limits,
                                          .medium = journal_table_open(s.store, &hold)};
    struct venue_config vc = {.queue_max = 1000, .snapshot_every = 300};
    assert_int_equal(projections_open(&p, s.store, &hold, &why), OK);
    vc.sink = (struct engine_sink){projections_event, p, ENGINE_EVERY_KIND};
    assert_int_equal(journal_open(&vc.journal, &config, &vc.engine, &recovery, &why), OK);
    assert_int_equal(venue_start(&v, &vc, &why), OK);
    set_up_market(v);
    for (uint32_t i = 0; i < THREADS; i++) {
        start_caller(&callers[i], v, i);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].err, OK);
    }
    venue_stop(v);
    assert_int_equal(projections_flush(p, &why), OK);
    const struct journal_replay replay = {.after = projections_seq(p)};
    assert_int_equal(
        journal_replay_medium(journal_table_open(s.store, NULL), &replay, &engine, &recovery, &why),
        OK);
    assert_true(recovery.snapshot_seq > 0);
    if (projections_compare(p, engine, &why) != OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(projections_audit(s.store, &audit, &why), OK);
    assert_true(audit.trades > 50);
    projections_close(p);
    engine_free(engine);
    support_store_close(&s);
}

int main(void)
{
#define ON_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        ON_FOLDER(many_callers_are_answered_in_the_journals_order),
        ON_FOLDER(an_id_is_taken_once),
        ON_FOLDER(nothing_leaves_before_it_is_durable),
        ON_FOLDER(a_failing_disk_stops_it),
        ON_FOLDER(what_is_due_happens_by_itself),
        ON_FOLDER(what_is_not_sound_is_refused),
        cmocka_unit_test(the_same_on_the_database_with_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
