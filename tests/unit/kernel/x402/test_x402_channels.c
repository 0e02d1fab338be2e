#include "kernel/x402/x402_channels.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "kernel/base/rand.h"
#include "unit/support.h"

#define NOW (INT64_C(1800000000) * USEC_PER_SEC)
#define PRICE 1000
#define HELD_USEC (60 * USEC_PER_SEC)

static struct support_store support;

enum step {
    SYNC,
    TAKE,
    COMMIT,
    RELEASE,
    CHARGE,
    GET,
    CLAIM,
    CLAIMED,
    UNCLAIMED,
    STALE,
};

struct doing {
    enum step step;
    struct x402_batch_offer offer;
    struct x402_batch_payment payment;
    struct x402_channel_request r;
    struct x402_channel_hold hold;
    struct x402_channel_state chain;
    uint64_t block;
    struct u256 price;
    const char *holder;
    const char *claim_key;
    bool leaving_only;
    bool fail;
    struct arena *arena;
    struct x402_channel_answer answer; /* out */
    struct x402_channel_row row;       /* out */
    struct x402_channel_claim *claims; /* out */
    struct hash *ids;                  /* out */
    size_t count;                      /* out */
};

static enum err do_claim(struct store_tx *tx, struct doing *d, struct why *why)
{
    struct x402_claim_filter filter = {.escrow = d->offer.escrow,
                                       .receiver_authorizer = d->offer.receiver_authorizer,
                                       .leaving_only = d->leaving_only,
                                       .limit = 3};
    return x402_channels_claim(tx, d->arena, &filter, slice_text(d->claim_key), &d->claims,
                               &d->count, why);
}

static enum err do_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct doing *d = ctx;
    struct x402_channel_key key = x402_channel_key_of(&d->offer, &d->payment);
    enum err e = OK;
    d->r.offer = &d->offer;
    d->r.payment = &d->payment;
    switch (d->step) {
    case SYNC:
        e = x402_channel_sync(tx, &d->offer.escrow, &d->payment.channel, &d->chain, d->block,
                              d->r.now_usec, why);
        break;
    case TAKE:
        e = x402_channel_take(tx, d->arena, &d->r, &d->hold, d->holder, &d->answer, why);
        break;
    case COMMIT:
        e = x402_channel_commit(tx, d->arena, &d->r, &d->hold, d->price, &d->row, why);
        break;
    case RELEASE:
        e = x402_channel_release(tx, &key, &d->hold, why);
        break;
    case CHARGE:
        e = x402_channel_charge(tx, d->arena, &d->r, d->price, &d->answer, why);
        break;
    case GET:
        e = x402_channel_get(tx, d->arena, &key, &d->row, why);
        break;
    case CLAIM:
        e = do_claim(tx, d, why);
        break;
    case CLAIMED:
        e = x402_channels_claimed(tx, slice_text(d->claim_key), why);
        break;
    case UNCLAIMED:
        e = x402_channels_unclaimed(tx, slice_text(d->claim_key), why);
        break;
    case STALE:
        e = x402_channels_stale(tx, d->arena, &d->offer.escrow, d->r.now_usec, 10, &d->ids,
                                &d->count, why);
        break;
    }
    return e == OK && d->fail ? why_set(why, ERR_CANCELLED, NULL, "no") : e;
}

static enum err does(struct doing *d)
{
    return store_write(support.store, do_tx, d, NULL);
}

static struct arena *test_arena(void)
{
    static struct arena arena; /* what it holds is small */
    if (arena.block_size == 0) {
        arena_init(&arena, 0);
    }
    return &arena;
}

/* with makes a request of channel `n` whose voucher allows `claimable`; nobody checks signatures.
 */
static struct doing with(enum step step, unsigned n, uint64_t claimable)
{
    struct doing d = {.step = step,
                      .offer = {.escrow = {.chain_id = 31337, .contract = x402_batch_escrow},
                                .amount = u256_from_u64(PRICE),
                                .withdraw_delay = 900},
                      .payment = {.type = X402_BATCH_VOUCHER,
                                  .claimable = u256_from_u64(claimable),
                                  .signature = {.v = 27}},
                      .r = {.now_usec = NOW, .fresh_usec = 300 * USEC_PER_SEC},
                      .block = 1,
                      .price = u256_from_u64(PRICE),
                      .holder = "",
                      .arena = test_arena()};
    memset(d.offer.receiver_authorizer.bytes, 0x3c, ADDRESS_BYTES);
    memset(d.payment.channel.payer.bytes, 0x19, ADDRESS_BYTES);
    memset(d.payment.signature.r, (int)(claimable % 251), sizeof(d.payment.signature.r));
    d.payment.channel.receiver_authorizer = d.offer.receiver_authorizer;
    d.payment.channel.withdraw_delay = 900;
    memcpy(d.payment.channel.salt.bytes, &n, sizeof(n));
    d.payment.channel_id = x402_channel_id(&d.offer.escrow, &d.payment.channel);
    d.hold = x402_channel_token(NOW, HELD_USEC);
    d.r.request_hash.bytes[0] = 1;
    return d;
}

static void synced(unsigned n, uint64_t balance, uint64_t claimed, uint64_t block)
{
    struct doing d = with(SYNC, n, 0);
    d.chain.balance = u256_from_u64(balance);
    d.chain.claimed = u256_from_u64(claimed);
    d.block = block;
    assert_int_equal(does(&d), OK);
}

static struct x402_channel_row row_of(unsigned n)
{
    struct doing d = with(GET, n, 0);
    assert_int_equal(does(&d), OK);
    return d.row;
}

static void assert_refused(struct doing *d, enum x402_batch_reason reason)
{
    assert_int_equal(does(d), OK);
    assert_int_equal(d->answer.verdict, X402_CHANNEL_REFUSED);
    if (d->answer.reason != reason) {
        fail_msg("%s", x402_batch_reason_code(d->answer.reason));
    }
}

static void assert_runs(struct doing *d)
{
    assert_int_equal(does(d), OK);
    if (d->answer.verdict != X402_CHANNEL_RUN) {
        fail_msg("%s", x402_batch_reason_code(d->answer.reason));
    }
}

static int open_store(void **state)
{
    support_store_open(&support, &sql_catalog);
    return 0;
}

static int close_store(void **state)
{
    support_store_close(&support);
    return 0;
}

static void test_requests_are_served_one_after_the_other(void **state)
{
    synced(1, 50000, 0, 1);
    struct doing first = with(TAKE, 1, PRICE);
    assert_runs(&first);
    struct doing other = with(TAKE, 1, PRICE);
    assert_refused(&other, X402_BATCH_BUSY);
    other.step = CHARGE;
    assert_refused(&other, X402_BATCH_BUSY);
    assert_true(u256_is_zero(other.answer.row.state.charged));
    other.step = COMMIT; /* without having it */
    assert_int_equal(does(&other), ERR_CONFLICT);
    other.step = RELEASE; /* is not its to give free */
    assert_int_equal(does(&other), OK);
    first.step = COMMIT;
    first.price = u256_from_u64(700); /* less than the voucher allows */
    assert_int_equal(does(&first), OK);
    assert_true(u256_equal(first.row.state.charged, u256_from_u64(700)));
    first.price = u256_from_u64(100);
    assert_int_equal(does(&first), ERR_CONFLICT); /* once */
    support_store_reopen(&support);
    struct x402_channel_row row = row_of(1);
    assert_true(u256_equal(row.state.charged, u256_from_u64(700)));
    assert_true(u256_equal(row.state.signed_max, u256_from_u64(PRICE)));
    assert_memory_equal(&row.state.signature, &first.payment.signature,
                        sizeof(row.state.signature));
    assert_true(row.served && u256_equal(row.served_price, u256_from_u64(700)));
    /* The next voucher goes on from what was charged. */
    other = with(TAKE, 1, 2 * PRICE);
    assert_refused(&other, X402_BATCH_CUMULATIVE);
    assert_true(u256_equal(other.answer.row.state.charged, u256_from_u64(700)));
    other = with(TAKE, 1, 700 + PRICE);
    assert_runs(&other);
}

static void test_a_lost_answer_is_not_paid_for_twice(void **state)
{
    synced(1, 50000, 0, 1);
    struct doing d = with(CHARGE, 1, PRICE);
    assert_runs(&d);
    struct doing again = with(TAKE, 1, PRICE);
    assert_int_equal(does(&again), OK);
    assert_int_equal(again.answer.verdict, X402_CHANNEL_SERVED);
    again.step = CHARGE;
    assert_int_equal(does(&again), OK);
    assert_int_equal(again.answer.verdict, X402_CHANNEL_SERVED);
    assert_true(u256_equal(row_of(1).state.charged, u256_from_u64(PRICE)));
    /* For another request it is a voucher that does not fit. */
    again.r.request_hash.bytes[0] = 2;
    assert_refused(&again, X402_BATCH_CUMULATIVE);
}

static void test_a_failed_handler_charges_nothing(void **state)
{
    synced(1, 50000, 0, 1);
    struct doing d = with(TAKE, 1, PRICE);
    assert_runs(&d);
    struct doing late = d;
    d.step = RELEASE;
    assert_int_equal(does(&d), OK);
    late.step = COMMIT;
    assert_int_equal(does(&late), ERR_CONFLICT);
    d = with(TAKE, 1, PRICE);
    assert_runs(&d);
    d.step = COMMIT;
    d.price = u256_from_u64(PRICE + 1);
    assert_int_equal(does(&d), ERR_INVALID_AMOUNT);
    /* A transaction that goes back keeps the reservation and charges nothing. */
    d.price = u256_from_u64(PRICE);
    d.fail = true;
    assert_int_equal(does(&d), ERR_CANCELLED);
    assert_true(u256_is_zero(row_of(1).state.charged));
    d.fail = false;
    assert_int_equal(does(&d), OK);
}

static void test_a_reservation_ends_with_its_time(void **state)
{
    synced(1, 50000, 0, 1);
    struct doing first = with(TAKE, 1, PRICE);
    assert_runs(&first);
    struct doing next = with(TAKE, 1, PRICE);
    next.r.now_usec = NOW + HELD_USEC - 1;
    assert_refused(&next, X402_BATCH_BUSY);
    next.r.now_usec = NOW + HELD_USEC;
    next.hold.until_usec = next.r.now_usec + HELD_USEC;
    assert_runs(&next);
    first.step = COMMIT; /* too slow: another one has it */
    assert_int_equal(does(&first), ERR_CONFLICT);
    next.step = COMMIT;
    assert_int_equal(does(&next), OK);
}

static void test_a_reservation_ends_with_its_process(void **state)
{
    synced(1, 50000, 0, 1);
    struct doing d = with(TAKE, 1, PRICE);
    d.holder = "process_that_never_was";
    assert_runs(&d);
    struct doing next = with(TAKE, 1, PRICE);
    assert_runs(&next);
}

static void test_the_chain_is_believed_as_of_its_latest_block(void **state)
{
    struct doing d = with(TAKE, 1, PRICE);
    assert_refused(&d, X402_BATCH_STATE_UNKNOWN); /* never heard of */
    assert_false(d.answer.has_row);
    synced(1, PRICE, 0, 7);
    synced(1, 50000, 0, 6); /* earlier: passed over */
    assert_true(u256_equal(row_of(1).state.balance, u256_from_u64(PRICE)));
    d.r.now_usec = NOW + d.r.fresh_usec + 1;
    assert_refused(&d, X402_BATCH_STATE_UNKNOWN); /* too long ago */
    d.r.now_usec = NOW + d.r.fresh_usec;
    d.hold.until_usec = d.r.now_usec + HELD_USEC;
    assert_runs(&d);
    /* The channel is emptied while the handler runs: nothing is recorded as served. */
    synced(1, 0, 0, 8);
    d.step = COMMIT;
    assert_int_equal(does(&d), ERR_CONFLICT);
    synced(1, 50000, 0, 9);
    assert_int_equal(does(&d), OK);
}

static void test_a_deposit_counts_when_it_has_come(void **state)
{
    synced(1, 0, 0, 1);
    struct doing d = with(TAKE, 1, PRICE);
    d.payment.type = X402_BATCH_DEPOSIT;
    d.payment.deposit.amount = u256_from_u64(10 * PRICE);
    assert_runs(&d);
    d.step = COMMIT;
    assert_int_equal(does(&d), ERR_CONFLICT);
    synced(1, 10 * PRICE, 0, 2);
    assert_int_equal(does(&d), OK);
}

static void test_lost_rows_go_on_from_what_was_claimed(void **state)
{
    synced(1, 50000, 3000, 1);
    assert_true(u256_equal(row_of(1).state.charged, u256_from_u64(3000)));
    struct doing d = with(CHARGE, 1, 3000 + PRICE);
    assert_runs(&d);
    synced(1, 50000, 9000, 2); /* claimed by whoever has later vouchers */
    struct x402_channel_row row = row_of(1);
    assert_true(u256_equal(row.state.charged, u256_from_u64(9000)));
    assert_true(u256_is_zero(row.state.signed_max));
    d = with(CHARGE, 1, 9000 + PRICE);
    assert_runs(&d);
}

/* ---- many by one statement ---- */

#define MANY 7

struct many {
    struct doing doings[MANY];
    struct x402_channel_charge charges[MANY];
};

static enum err do_many(struct store_tx *tx, void *ctx, struct why *why)
{
    struct many *m = ctx;
    for (size_t i = 0; i < MANY; i++) {
        struct doing *d = &m->doings[i];
        d->r.offer = &d->offer;
        d->r.payment = &d->payment;
        m->charges[i] = (struct x402_channel_charge){.request = d->r, .price = d->price};
    }
    return x402_channels_charge(tx, test_arena(), m->charges, MANY, why);
}

static void test_many_are_charged_each_with_its_own_answer(void **state)
{
    struct many m = {.doings = {{0}}};
    static const struct {
        enum x402_channel_verdict verdict;
        enum x402_batch_reason reason;
        uint64_t charged;
    } expected[MANY] = {
        {X402_CHANNEL_RUN, X402_BATCH_OK, PRICE},
        {X402_CHANNEL_REFUSED, X402_BATCH_BUSY, 0},
        {X402_CHANNEL_REFUSED, X402_BATCH_CUMULATIVE, 0},
        {X402_CHANNEL_REFUSED, X402_BATCH_STATE_UNKNOWN, 0},
        {X402_CHANNEL_SERVED, X402_BATCH_OK, PRICE},
        {X402_CHANNEL_REFUSED, X402_BATCH_BALANCE, 0},
        {X402_CHANNEL_RUN, X402_BATCH_OK, 300},
    };
    for (unsigned n = 1; n <= MANY; n++) {
        if (n != 4) {
            synced(n, n == 6 ? PRICE - 1 : 50000, 0, 1);
        }
        m.doings[n - 1] = with(CHARGE, n, n == 3 ? 2 * PRICE : PRICE);
    }
    struct doing taken = with(TAKE, 2, PRICE);
    assert_runs(&taken);
    struct doing served_before = with(CHARGE, 5, PRICE);
    assert_runs(&served_before);
    m.doings[6].price = u256_from_u64(300);
    /* A withdrawal is out of the ordinary, and does not keep it from being charged. */
    struct doing d = with(SYNC, 7, 0);
    d.chain.balance = u256_from_u64(50000);
    d.chain.withdrawing = u256_from_u64(40000);
    d.chain.withdraw_requested_at = 1800000000;
    d.block = 2;
    assert_int_equal(does(&d), OK);
    assert_int_equal(store_write(support.store, do_many, &m, NULL), OK);
    for (size_t i = 0; i < MANY; i++) {
        const struct x402_channel_answer *a = &m.charges[i].answer;
        if (a->verdict != expected[i].verdict || a->reason != expected[i].reason ||
            !u256_equal(a->row.state.charged, u256_from_u64(expected[i].charged))) {
            fail_msg("%zu: %d %s", i, (int)a->verdict, x402_batch_reason_code(a->reason));
        }
    }
    /* What is told without reading is what is there. */
    struct x402_channel_row there = row_of(1);
    const struct x402_channel_row *told = &m.charges[0].answer.row;
    assert_memory_equal(&there.state, &told->state, sizeof(there.state));
    assert_memory_equal(&there.escrow, &told->escrow, sizeof(there.escrow));
    assert_memory_equal(&there.channel, &told->channel, sizeof(there.channel));
    assert_int_equal(there.synced_usec, told->synced_usec);
    assert_int_equal(there.served_usec, told->served_usec);
}

static struct doing claim(const char *key)
{
    struct doing d = with(CLAIM, 0, 0);
    d.claim_key = key;
    assert_int_equal(does(&d), OK);
    return d;
}

static void test_claims_are_made_once_and_requests_go_on(void **state)
{
    for (unsigned n = 1; n <= 5; n++) {
        synced(n, 50000, 0, 1);
        for (unsigned i = 1; i <= n && n < 5; i++) { /* the fifth has nothing to claim */
            struct doing d = with(CHARGE, n, (uint64_t)i * PRICE);
            assert_runs(&d);
        }
    }
    struct doing d = with(SYNC, 1, 0);
    d.chain.balance = u256_from_u64(50000);
    d.chain.withdrawing = u256_from_u64(49000);
    d.chain.withdraw_requested_at = 1799999990;
    d.block = 2;
    assert_int_equal(does(&d), OK);
    struct doing first = claim("a");
    assert_int_equal(first.count, 3);
    /* Who is leaving comes first, then the largest. */
    uint64_t expected[] = {1, 4, 3};
    for (size_t i = 0; i < 3; i++) {
        assert_true(u256_equal(first.claims[i].total, u256_from_u64(expected[i] * PRICE)));
        assert_true(u256_equal(first.claims[i].signed_max, first.claims[i].total));
        struct hash id = x402_channel_id(&first.offer.escrow, &first.claims[i].channel);
        assert_true(hash_equal(&id, &first.claims[i].channel_id));
        assert_int_equal(first.claims[i].signature.v, 27);
    }
    assert_int_equal(first.claims[0].withdraw_requested_at, 1799999990);
    assert_int_equal(claim("b").count, 1);
    assert_int_equal(claim("c").count, 0);
    struct doing more = with(CHARGE, 4, 5 * PRICE);
    assert_runs(&more);
    struct doing end = with(CLAIMED, 0, 0);
    end.claim_key = "a";
    assert_int_equal(does(&end), OK);
    assert_int_equal(does(&end), OK); /* again: nothing is left of it */
    assert_true(u256_equal(row_of(4).state.claimed, u256_from_u64(4 * PRICE)));
    assert_true(u256_equal(row_of(1).state.claimed, u256_from_u64(PRICE)));
    end = with(UNCLAIMED, 0, 0);
    end.claim_key = "b";
    assert_int_equal(does(&end), OK);
    assert_true(row_of(2).served && !row_of(2).claiming);
    /* What came later, and what came to nothing, is claimed next. */
    struct doing last = claim("d");
    assert_int_equal(last.count, 2);
    assert_true(u256_equal(last.claims[0].total, u256_from_u64(5 * PRICE)));
    assert_true(u256_equal(last.claims[1].total, u256_from_u64(2 * PRICE)));
    /* A block that says less (after a reorg) makes it claimable again. */
    synced(1, 50000, 0, 3);
    assert_int_equal(claim("e").count, 1);
}

/* What is charged while a claim is under way waits for it, unless its payer leaves. */
static void test_a_leaving_payer_is_claimed_again(void **state)
{
    synced(1, 50000, 0, 1);
    struct doing d = with(CHARGE, 1, PRICE);
    assert_runs(&d);
    assert_int_equal(claim("a").count, 1);
    d = with(CHARGE, 1, 2 * PRICE);
    assert_runs(&d);
    assert_int_equal(claim("b").count, 0);
    d = with(SYNC, 1, 0);
    d.chain.balance = u256_from_u64(50000);
    d.chain.withdrawing = u256_from_u64(48000);
    d.chain.withdraw_requested_at = 1800000000;
    d.block = 2;
    assert_int_equal(does(&d), OK);
    struct doing again = claim("c");
    assert_int_equal(again.count, 1);
    assert_true(u256_equal(again.claims[0].total, u256_from_u64(2 * PRICE)));
    assert_int_equal(claim("d").count, 0);
    struct doing end = with(CLAIMED, 0, 0);
    end.claim_key = "a"; /* the first one is over, the second is not */
    assert_int_equal(does(&end), OK);
    assert_true(row_of(1).claiming);
    end.claim_key = "c";
    assert_int_equal(does(&end), OK);
    assert_true(u256_equal(row_of(1).state.claimed, u256_from_u64(2 * PRICE)));
}

/* A payer who was faster leaves less than was charged: what is there is claimed. */
static void test_no_more_is_claimed_than_there_is(void **state)
{
    synced(1, 50000, 0, 1);
    for (unsigned i = 1; i <= 3; i++) {
        struct doing d = with(CHARGE, 1, (uint64_t)i * PRICE);
        assert_runs(&d);
    }
    synced(1, 2500, 0, 2);
    struct doing c = claim("a");
    assert_int_equal(c.count, 1);
    assert_true(u256_equal(c.claims[0].total, u256_from_u64(2500)));
    synced(1, 2500, 2500, 3);
    struct doing end = with(UNCLAIMED, 0, 0);
    end.claim_key = "a";
    assert_int_equal(does(&end), OK);
    assert_int_equal(claim("b").count, 0);
}

static void test_only_those_who_leave(void **state)
{
    for (unsigned n = 1; n <= 2; n++) {
        synced(n, 50000, 0, 1);
        struct doing d = with(CHARGE, n, PRICE);
        assert_runs(&d);
    }
    struct doing d = with(SYNC, 2, 0);
    d.chain.balance = u256_from_u64(50000);
    d.chain.withdraw_requested_at = 1800000000;
    d.block = 2;
    assert_int_equal(does(&d), OK);
    struct doing c = with(CLAIM, 0, 0);
    c.claim_key = "a";
    c.leaving_only = true;
    assert_int_equal(does(&c), OK);
    assert_int_equal(c.count, 1);
    assert_true(hash_equal(&c.claims[0].channel_id, &d.payment.channel_id));
    /* Those that were not looked at for a while, and have something to lose. */
    struct doing s = with(STALE, 0, 0);
    s.r.now_usec = NOW + 1;
    assert_int_equal(does(&s), OK);
    assert_int_equal(s.count, 2);
    s.r.now_usec = NOW;
    assert_int_equal(does(&s), OK);
    assert_int_equal(s.count, 0);
}

/* ---- at once ---- */

#define THREADS 8
#define ROUNDS 40

static _Atomic unsigned served;

/* spend asks for one channel, as a client that resynchronises does. */
static void *spend(void *store)
{
    struct arena arena;
    uint64_t charged = 0;
    arena_init(&arena, 0);
    for (unsigned done = 0; done < ROUNDS;) {
        struct doing d = with(TAKE, 1, charged + PRICE);
        d.arena = &arena;
        rand_bytes(d.r.request_hash.bytes, HASH_BYTES);
        assert_int_equal(store_write(store, do_tx, &d, NULL), OK);
        assert_int_not_equal(d.answer.verdict, X402_CHANNEL_SERVED);
        if (d.answer.verdict == X402_CHANNEL_RUN) {
            d.step = COMMIT;
            assert_int_equal(store_write(store, do_tx, &d, NULL), OK);
            served++;
            done++;
        }
        assert_int_equal(u256_to_u64(d.answer.row.state.charged, &charged), OK);
        if (d.answer.verdict == X402_CHANNEL_RUN) {
            charged += PRICE;
        }
    }
    arena_free(&arena);
    return NULL;
}

static void test_many_threads_one_channel(void **state)
{
    struct store *second = NULL;
    pthread_t threads[THREADS];
    (void)test_arena(); /* exists before the threads */
    synced(1, UINT64_C(1) << 40, 0, 1);
    /* A database of SQLite belongs to one process at a time. */
    if (support_on_postgres()) {
        assert_int_equal(store_open(&second, &support.config, &sql_catalog, NULL), OK);
    }
    for (int i = 0; i < THREADS; i++) {
        struct store *store = i % 2 == 0 || second == NULL ? support.store : second;
        assert_int_equal(pthread_create(&threads[i], NULL, spend, store), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(served, THREADS * ROUNDS);
    assert_true(u256_equal(row_of(1).state.charged, u256_from_u64(THREADS * ROUNDS * PRICE)));
    store_close(second);
}

/* serve_until_killed tells over a pipe how many requests were acknowledged, until it dies. */
static void serve_until_killed(int told)
{
    if (support_store_start(&support, NULL) != OK) {
        _exit(1);
    }
    for (uint64_t i = 1;; i++) {
        struct doing d = with(TAKE, 1, i * PRICE);
        if (does(&d) != OK || d.answer.verdict != X402_CHANNEL_RUN) {
            _exit(1);
        }
        d.step = COMMIT;
        if (does(&d) != OK || write(told, &i, sizeof(i)) != (ssize_t)sizeof(i)) {
            _exit(1);
        }
    }
}

/* Every voucher that was acknowledged is there after kill -9, and at most one more. */
static void test_a_killed_process_loses_no_voucher(void **state)
{
    int ends[2];
    uint64_t acknowledged = 0;
    synced(1, UINT64_C(1) << 40, 0, 1);
    store_close(support.store);
    support.store = NULL;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        serve_until_killed(ends[1]);
    }
    close(ends[1]);
    for (int i = 0; i < 25; i++) {
        assert_int_equal(read(ends[0], &acknowledged, sizeof(acknowledged)), sizeof(acknowledged));
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(ends[0], &acknowledged, sizeof(acknowledged)) == sizeof(acknowledged)) {
    }
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(support_store_start(&support, NULL), OK);
    struct x402_channel_row row = row_of(1);
    uint64_t charged = 0;
    assert_int_equal(u256_to_u64(row.state.charged, &charged), OK);
    assert_true(charged == acknowledged * PRICE || charged == (acknowledged + 1) * PRICE);
    assert_true(u256_equal(row.state.signed_max, row.state.charged));
    /* The next one may have been reserved: it is served when that is over. */
    struct doing d = with(TAKE, 1, charged + PRICE);
    d.r.now_usec = NOW + HELD_USEC;
    assert_runs(&d);
}

static void test_how_old_the_state_may_be(void **state)
{
    assert_int_equal(x402_channel_fresh_usec(900), 300 * USEC_PER_SEC);
    assert_int_equal(x402_channel_fresh_usec(60), 30 * USEC_PER_SEC);
    assert_int_equal(x402_channel_fresh_usec(X402_BATCH_DELAY_MAX), 300 * USEC_PER_SEC);
    assert_int_equal(x402_channel_fresh_usec(300), 100 * USEC_PER_SEC);
}

int main(void)
{
#define STORED(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)
    const struct CMUnitTest tests[] = {
        STORED(test_requests_are_served_one_after_the_other),
        STORED(test_a_lost_answer_is_not_paid_for_twice),
        STORED(test_a_failed_handler_charges_nothing),
        STORED(test_a_reservation_ends_with_its_time),
        STORED(test_a_reservation_ends_with_its_process),
        STORED(test_the_chain_is_believed_as_of_its_latest_block),
        STORED(test_a_deposit_counts_when_it_has_come),
        STORED(test_lost_rows_go_on_from_what_was_claimed),
        STORED(test_many_are_charged_each_with_its_own_answer),
        STORED(test_claims_are_made_once_and_requests_go_on),
        STORED(test_a_leaving_payer_is_claimed_again),
        STORED(test_no_more_is_claimed_than_there_is),
        STORED(test_only_those_who_leave),
        STORED(test_many_threads_one_channel),
        STORED(test_a_killed_process_loses_no_voucher),
        cmocka_unit_test(test_how_old_the_state_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
