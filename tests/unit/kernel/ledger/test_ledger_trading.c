/*
 * A small venue on the ledger: deposits, orders that lock money, trades of linked transfers with
 * fees, cancellations, withdrawals, by many threads on the same accounts at once. A watcher takes
 * snapshots while they work and checks what must hold at every moment; each thread keeps what it
 * was told happened in plain integers, and at the end the ledger must be their sum.
 *
 * An order's lock is a hold, a fill settles it into the clearing account and posts a linked chain
 * out of it, a cancellation voids it.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "unit/kernel/ledger/random.h"

#define THREADS 8
#define USERS 6
#define FEE_BPS 25
#define ORDERS_MAX 24
#define SHARED_MAX 100000

enum account {
    FEES = USERS,
    CLEARING,
    OUTSIDE,
    ACCOUNTS,
};

enum book {
    USD,
    BTC,
    BOOKS,
};

enum order_kind {
    BUY,
    SELL,
    WITHDRAWAL,
};

struct order {
    enum order_kind kind;
    enum book book;
    unsigned user;
    uint64_t held;
    uint64_t quantity;
    uint64_t price;
    char id[32];
};

/* What one thread was told, in plain integers: credits less debits, and what is held. */
struct told {
    int64_t posted[BOOKS][ACCOUNTS];
    int64_t held[BOOKS][ACCOUNTS];
};

enum deed {
    DID_DEPOSIT,
    DID_SHARED,
    DID_LOCK,
    DID_CANCEL,
    DID_TRADE,
    DID_WITHDRAW,
    DID_REFUSED,
    DID_BROKEN,
    DID_MISMATCH,
    DEEDS,
};

struct worker {
    pthread_t thread;
    size_t number;
    uint64_t seed;
    uint64_t rounds;
    uint64_t made;
    struct order orders[ORDERS_MAX];
    size_t order_count;
    struct told told;
    uint64_t did[DEEDS];
    const char *failure; /* assertions belong to the thread of the test */
};

static atomic_uchar shared_done[SHARED_MAX];
static atomic_ullong shared_next;
static atomic_bool at_work;

static uint64_t draw(struct worker *w, uint64_t below)
{
    uint64_t z = (w->seed += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (z ^ (z >> 31)) % below;
}

static struct slice book_name(enum book book)
{
    return book == USD ? S("usd") : S("btc");
}

static struct slice account_name(unsigned account)
{
    static const char *const names[ACCOUNTS] = {"user/0", "user/1", "user/2",   "user/3", "user/4",
                                                "user/5", "fees",   "clearing", "outside"};
    return slice_text(names[account]);
}

static struct ledger_transfer transfer(const char *id, enum book book, unsigned debit,
                                       unsigned credit, uint64_t amount)
{
    return (struct ledger_transfer){
        .id = slice_text(id),
        .book = book_name(book),
        .debit = account_name(debit),
        .credit = account_name(credit),
        .debit_flags = debit == OUTSIDE ? 0 : LEDGER_NO_OVERDRAFT,
        .credit_flags = credit == OUTSIDE ? 0 : LEDGER_NO_OVERDRAFT,
        .amount = u256_from_u64(amount),
        .kind = S("venue"),
        .cause = S("test"),
    };
}

static void new_id(struct worker *w, char out[32])
{
    snprintf(out, 32, "w/%zu/%llu", w->number, (unsigned long long)w->made++);
}

/* ---- one transaction ---- */

/* Steps run in order: ends of holds, then new holds, then one linked chain. All or nothing. */
struct deal {
    const struct order *settle[2];
    uint64_t settle_amount[2];
    size_t settles;
    const struct order *cancel;
    struct ledger_transfer holds[2];
    size_t hold_count;
    struct ledger_transfer posts[3];
    size_t post_count;
};

static enum err deal_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct deal *d = ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < d->settles; i++) {
        e = ledger_settle(tx, slice_text(d->settle[i]->id), u256_from_u64(d->settle_amount[i]), 0,
                          why);
    }
    if (e == OK && d->cancel != NULL) {
        e = ledger_void(tx, slice_text(d->cancel->id), 0, why);
    }
    if (e == OK) {
        e = ledger_hold(tx, d->holds, d->hold_count, why);
    }
    return e == OK ? ledger_post(tx, d->posts, d->post_count, why) : e;
}

/* A transaction that lost too many races is asked for again, as a client would. */
static enum err run_deal(struct deal *d)
{
    enum err e = ERR_DB_BUSY;
    while (e == ERR_DB_BUSY) {
        e = store_write(fixture.store, deal_fn, d, NULL);
    }
    return e;
}

static void tell_posted(struct worker *w, enum book book, unsigned debit, unsigned credit,
                        uint64_t amount)
{
    w->told.posted[book][debit] -= (int64_t)amount;
    w->told.posted[book][credit] += (int64_t)amount;
}

static void complain(struct worker *w, const char *what)
{
    w->failure = w->failure == NULL ? what : w->failure;
}

/* ---- what a thread does ---- */

/* Every fourth deposit has an id that other threads use too, at the same time. */
static void do_deposit(struct worker *w)
{
    char id[32];
    struct deal d = {.post_count = 1};
    bool shared = draw(w, 4) == 0;
    unsigned long long n = shared ? atomic_fetch_add(&shared_next, 1) / 3 : 0;
    enum book book = shared ? (enum book)(n % BOOKS) : (enum book)draw(w, BOOKS);
    unsigned user = (unsigned)(shared ? n % USERS : draw(w, USERS));
    uint64_t amount = shared ? 1000 + n : 1 + draw(w, 50000);
    snprintf(id, sizeof(id), "shared/%llu", n);
    if (!shared) {
        new_id(w, id);
    }
    d.posts[0] = transfer(id, book, OUTSIDE, user, amount);
    if (n >= SHARED_MAX || run_deal(&d) != OK) {
        complain(w, "a deposit was refused");
        return;
    }
    w->did[shared ? DID_SHARED : DID_DEPOSIT]++;
    if (!shared || atomic_exchange(&shared_done[n], 1) == 0) {
        tell_posted(w, book, OUTSIDE, user, amount);
    }
    if (draw(w, 4) == 0) {
        d.posts[0].amount = u256_from_u64(amount + 1);
        if (run_deal(&d) != ERR_IDEMPOTENCY_MISMATCH) {
            complain(w, "other content under a known id was taken");
        }
        w->did[DID_MISMATCH]++;
    }
}

static uint64_t fee_of(uint64_t cost)
{
    return (cost * FEE_BPS + 9999) / 10000;
}

static void set_held(struct order *o)
{
    uint64_t cost = o->quantity * o->price;
    o->held = o->kind == BUY ? cost + fee_of(cost) : o->quantity;
}

static struct ledger_transfer hold_of(const struct order *o)
{
    return transfer(o->id, o->book, o->user, o->kind == WITHDRAWAL ? OUTSIDE : CLEARING, o->held);
}

static void do_order(struct worker *w)
{
    if (w->order_count == ORDERS_MAX) {
        return;
    }
    struct order *o = &w->orders[w->order_count];
    *o = (struct order){.kind = (enum order_kind)draw(w, 3),
                        .user = (unsigned)draw(w, USERS),
                        .quantity = 1 + draw(w, 400),
                        .price = 1 + draw(w, 90)};
    o->book = o->kind == BUY || (o->kind == WITHDRAWAL && draw(w, 2) == 0) ? USD : BTC;
    set_held(o);
    new_id(w, o->id);
    struct deal d = {.holds = {hold_of(o)}, .hold_count = 1};
    enum err e = run_deal(&d);
    if (e == OK) {
        w->order_count++;
        w->told.held[o->book][o->user] += (int64_t)o->held;
        w->did[DID_LOCK]++;
    } else if (e == ERR_INSUFFICIENT_FUNDS) {
        w->did[DID_REFUSED]++;
    } else {
        complain(w, "a lock failed otherwise than for want of money");
    }
}

static void drop_order(struct worker *w, size_t i)
{
    w->orders[i] = w->orders[--w->order_count];
}

/* A withdrawal completes or comes back, an order is cancelled. */
static void do_end(struct worker *w)
{
    if (w->order_count == 0) {
        return;
    }
    size_t i = (size_t)draw(w, w->order_count);
    struct order *o = &w->orders[i];
    bool completes = o->kind == WITHDRAWAL && draw(w, 3) != 0;
    struct deal d = {.cancel = completes ? NULL : o,
                     .settle = {o},
                     .settle_amount = {o->held},
                     .settles = completes};
    if (run_deal(&d) != OK) {
        complain(w, "a lock could not be ended");
        return;
    }
    w->told.held[o->book][o->user] -= (int64_t)o->held;
    if (completes) {
        tell_posted(w, o->book, o->user, OUTSIDE, o->held);
    }
    w->did[completes ? DID_WITHDRAW : DID_CANCEL]++;
    drop_order(w, i);
}

static struct order *find_order(struct worker *w, enum order_kind kind)
{
    size_t first = (size_t)draw(w, w->order_count + 1);
    for (size_t i = 0; i < w->order_count; i++) {
        struct order *o = &w->orders[(first + i) % w->order_count];
        if (o->kind == kind) {
            return o;
        }
    }
    return NULL;
}

static void tell_trade(struct worker *w, const struct order *buy, const struct order *sell,
                       uint64_t quantity, uint64_t cost, uint64_t fee)
{
    w->told.held[USD][buy->user] -= (int64_t)buy->held;
    w->told.held[BTC][sell->user] -= (int64_t)sell->held;
    tell_posted(w, USD, buy->user, sell->user, cost);
    tell_posted(w, USD, buy->user, FEES, fee);
    tell_posted(w, BTC, sell->user, buy->user, quantity);
}

/* Two locks are settled for what is traded, what is left of them is locked again. */
static void do_trade(struct worker *w)
{
    struct order *buy = find_order(w, BUY);
    struct order *sell = find_order(w, SELL);
    if (buy == NULL || sell == NULL) {
        return;
    }
    uint64_t most = buy->quantity < sell->quantity ? buy->quantity : sell->quantity;
    uint64_t quantity = draw(w, 2) == 0 ? most : 1 + draw(w, most);
    uint64_t cost = quantity * buy->price;
    uint64_t fee = fee_of(cost);
    struct order rest[2] = {*buy, *sell};
    char ids[3][32];
    struct deal d = {.settle = {buy, sell},
                     .settle_amount = {cost + fee, quantity},
                     .settles = 2,
                     .post_count = 3};
    for (size_t i = 0; i < 2; i++) {
        rest[i].quantity -= quantity;
        set_held(&rest[i]);
        new_id(w, rest[i].id);
        if (rest[i].quantity > 0) {
            d.holds[d.hold_count++] = hold_of(&rest[i]);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        new_id(w, ids[i]);
    }
    d.posts[0] = transfer(ids[0], USD, CLEARING, sell->user, cost);
    d.posts[1] = transfer(ids[1], USD, CLEARING, FEES, fee);
    d.posts[2] = transfer(ids[2], BTC, CLEARING, buy->user, quantity);
    enum err e = run_deal(&d);
    if (e == ERR_INSUFFICIENT_FUNDS || e == ERR_OVERFLOW) {
        /* Fees are rounded up a fill: the last ones may be short of a unit. Nothing happened. */
        w->did[DID_REFUSED]++;
        return;
    }
    if (e != OK) {
        complain(w, "a trade failed");
        return;
    }
    tell_trade(w, buy, sell, quantity, cost, fee);
    w->did[DID_TRADE]++;
    size_t at[2] = {(size_t)(buy - w->orders), (size_t)(sell - w->orders)};
    w->orders[at[0]] = rest[0];
    w->orders[at[1]] = rest[1];
    w->told.held[USD][rest[0].user] += rest[0].quantity > 0 ? (int64_t)rest[0].held : 0;
    w->told.held[BTC][rest[1].user] += rest[1].quantity > 0 ? (int64_t)rest[1].held : 0;
    size_t high = at[0] > at[1] ? 0 : 1;
    for (size_t i = 0; i < 2; i++) {
        size_t which = i == 0 ? high : 1 - high; /* the last one first, since it takes that place */
        if (rest[which].quantity == 0) {
            drop_order(w, at[which]);
        }
    }
}

static enum err absent_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct deal *d = ctx;
    for (size_t i = 0; i < d->post_count; i++) {
        /* Voiding is asked for what is not there. */
        enum err e = ledger_void(tx, d->posts[i].id, 0, why);
        if (e != ERR_NOT_FOUND) {
            return ERR_INTERNAL;
        }
    }
    return OK;
}

/* A chain whose last link asks for more than there is leaves nothing of the first ones. */
static void do_broken_chain(struct worker *w)
{
    char ids[3][32];
    unsigned user = (unsigned)draw(w, USERS);
    struct deal d = {.post_count = 3};
    for (size_t i = 0; i < 3; i++) {
        new_id(w, ids[i]);
    }
    d.posts[0] = transfer(ids[0], USD, OUTSIDE, user, 5);
    d.posts[1] = transfer(ids[1], USD, user, FEES, 5);
    d.posts[2] = transfer(ids[2], USD, user, FEES, INT64_MAX);
    if (run_deal(&d) != ERR_INSUFFICIENT_FUNDS) {
        complain(w, "a chain was taken whose last link has no money");
    }
    enum err e = ERR_DB_BUSY;
    while (e == ERR_DB_BUSY) {
        e = store_write(fixture.store, absent_fn, &d, NULL);
    }
    if (e != OK) {
        complain(w, "a part of a refused chain is there");
    }
    w->did[DID_BROKEN]++;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (uint64_t i = 0; i < w->rounds && w->failure == NULL; i++) {
        uint64_t what = draw(w, 20);
        if (what < 4) {
            do_deposit(w);
        } else if (what < 10) {
            do_order(w);
        } else if (what < 12) {
            do_end(w);
        } else if (what < 18) {
            do_trade(w);
        } else {
            do_broken_chain(w);
        }
    }
    return NULL;
}

/* ---- what must hold in every snapshot (numbers of the twenty invariants of a venue) ---- */

struct snapshot {
    struct ledger_balance balance[BOOKS][ACCOUNTS];
    struct ledger_report report;
    bool entries_checked;
    uint64_t locked[BOOKS][ACCOUNTS]; /* from the entries */
    int64_t moved[BOOKS][ACCOUNTS];
};

static int64_t net(const struct ledger_balance *b)
{
    return (int64_t)small(b->credits_posted) - (int64_t)small(b->debits_posted);
}

/* 6. Per asset: available + locked + fees + withdrawals on their way = deposits - withdrawals. */
static void invariant_6_money_is_conserved(const struct snapshot *s)
{
    for (enum book book = USD; book < BOOKS; book++) {
        int64_t inside = 0;
        uint64_t pending_out = 0;
        uint64_t pending_in = 0;
        for (unsigned account = 0; account < ACCOUNTS; account++) {
            inside += account == OUTSIDE ? 0 : net(&s->balance[book][account]);
            pending_out += small(s->balance[book][account].debits_pending);
            pending_in += small(s->balance[book][account].credits_pending);
        }
        assert_int_equal(inside, -net(&s->balance[book][OUTSIDE]));
        assert_int_equal(pending_out, pending_in);
    }
}

/* 7. Available and locked are never below zero. */
static void invariant_7_nothing_is_negative(const struct snapshot *s)
{
    for (enum book book = USD; book < BOOKS; book++) {
        for (unsigned account = 0; account < OUTSIDE; account++) {
            const struct ledger_balance *b = &s->balance[book][account];
            assert_true(net(b) >= (int64_t)small(b->debits_pending));
            assert_int_equal(small(ledger_available(b)),
                             net(b) - (int64_t)small(b->debits_pending));
        }
    }
    assert_int_equal(s->report.found[LEDGER_OVERDRAWN], 0);
}

/* 8. What is locked is the sum of the open locks, counted from the entries. */
static void invariant_8_locks_are_their_holds(const struct snapshot *s)
{
    for (enum book book = USD; s->entries_checked && book < BOOKS; book++) {
        for (unsigned account = 0; account < ACCOUNTS; account++) {
            assert_int_equal(small(s->balance[book][account].debits_pending),
                             s->locked[book][account]);
        }
    }
}

/* 9. A trade moves nothing in sum, and each balance is the sum of its entries. */
static void invariant_9_trades_sum_to_zero(const struct snapshot *s)
{
    for (enum book book = USD; book < BOOKS; book++) {
        assert_int_equal(net(&s->balance[book][CLEARING]), 0);
        for (unsigned account = 0; s->entries_checked && account < ACCOUNTS; account++) {
            assert_int_equal(net(&s->balance[book][account]), s->moved[book][account]);
        }
    }
    assert_int_equal(s->report.first, LEDGER_SOUND);
}

static enum err add_entries(struct store_tx *tx, struct snapshot *s, enum book book,
                            unsigned account, struct why *why)
{
    struct arena arenas[2];
    arena_init(&arenas[0], 0);
    arena_init(&arenas[1], 0);
    struct slice after = SLICE_EMPTY;
    size_t count = 200;
    enum err e = OK;
    for (size_t page = 0; e == OK && count == 200; page++) {
        struct ledger_entry *entries = NULL;
        arena_clear(&arenas[page % 2]);
        e = ledger_entries(tx, &arenas[page % 2], book_name(book), account_name(account), after,
                           200, &entries, &count, why);
        for (size_t i = 0; e == OK && i < count; i++) {
            bool gives = slice_equal(entries[i].debit, account_name(account));
            int64_t amount = (int64_t)small(entries[i].amount);
            if (entries[i].state == LEDGER_POSTED) {
                s->moved[book][account] += gives ? -amount : amount;
            } else if (entries[i].state == LEDGER_PENDING && gives) {
                s->locked[book][account] += (uint64_t)amount;
            }
            after = entries[i].id;
        }
    }
    arena_free(&arenas[0]);
    arena_free(&arenas[1]);
    return e;
}

static enum err snapshot_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct snapshot *s = ctx;
    *s = (struct snapshot){.entries_checked = s->entries_checked};
    enum err e = ledger_audit(tx, NULL, NULL, &s->report, why);
    for (enum book book = USD; book < BOOKS; book++) {
        for (unsigned account = 0; e == OK && account < ACCOUNTS; account++) {
            e = ledger_balance_read(tx, book_name(book), account_name(account),
                                    &s->balance[book][account], why);
            if (e == OK && s->entries_checked) {
                e = add_entries(tx, s, book, account, why);
            }
        }
    }
    return e;
}

static void check_snapshot(bool entries, struct snapshot *s)
{
    s->entries_checked = entries;
    assert_int_equal(store_read(fixture.store, snapshot_fn, s, NULL), OK);
    invariant_6_money_is_conserved(s);
    invariant_7_nothing_is_negative(s);
    invariant_8_locks_are_their_holds(s);
    invariant_9_trades_sum_to_zero(s);
}

/* ---- the run ---- */

static void *wait_for_all(void *arg)
{
    struct worker *workers = arg;
    for (size_t i = 0; i < THREADS; i++) {
        ASSERT(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        ASSERT(pthread_join(workers[i].thread, NULL) == 0);
    }
    atomic_store(&at_work, false);
    return NULL;
}

static void assert_told(struct worker *workers, const struct snapshot *s)
{
    for (enum book book = USD; book < BOOKS; book++) {
        for (unsigned account = 0; account < ACCOUNTS; account++) {
            int64_t posted = 0;
            int64_t held = 0;
            for (size_t i = 0; i < THREADS; i++) {
                posted += workers[i].told.posted[book][account];
                held += workers[i].told.held[book][account];
            }
            assert_int_equal(net(&s->balance[book][account]), posted);
            assert_int_equal(small(s->balance[book][account].debits_pending), held);
        }
    }
}

static void invariants_hold_while_many_trade(void **state)
{
    (void)state;
    static struct worker workers[THREADS];
    static struct snapshot s;
    uint64_t rounds = 0;
    uint64_t seed = random_begin(120, &rounds);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){
            .number = i, .seed = seed ^ (i * 0x9e3779b97f4a7c15U), .rounds = rounds};
    }
    for (size_t i = 0; i < SHARED_MAX; i++) {
        atomic_init(&shared_done[i], 0);
    }
    atomic_store(&shared_next, 0);
    atomic_store(&at_work, true);
    pthread_t all;
    size_t snapshots = 0;
    ASSERT(pthread_create(&all, NULL, wait_for_all, workers) == 0);
    for (; atomic_load(&at_work); snapshots++) {
        check_snapshot(snapshots % 8 == 7, &s);
    }
    ASSERT(pthread_join(all, NULL) == 0);
    check_snapshot(true, &s);
    uint64_t did[DEEDS] = {0};
    for (size_t i = 0; i < THREADS; i++) {
        if (workers[i].failure != NULL) {
            fail_msg("thread %zu: %s", i, workers[i].failure);
        }
        for (size_t d = 0; d < DEEDS; d++) {
            did[d] += workers[i].did[d];
        }
    }
    assert_told(workers, &s);
    for (size_t d = 0; d < DEEDS; d++) {
        assert_true(did[d] > 0);
    }
    struct store_stats stats;
    store_stats_read(fixture.store, &stats);
    print_message("%llu trades, %llu locks, %llu refused, %zu snapshots, %llu run again\n",
                  (unsigned long long)did[DID_TRADE], (unsigned long long)did[DID_LOCK],
                  (unsigned long long)did[DID_REFUSED], snapshots,
                  (unsigned long long)stats.reruns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(invariants_hold_while_many_trade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
