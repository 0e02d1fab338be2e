#include "kernel/x402/x402_payments.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "unit/support.h"

#define NOW_SECONDS INT64_C(1800000000)
#define NOW (NOW_SECONDS * USEC_PER_SEC)

static struct support_store support;

enum step {
    RESERVE,
    SETTLING,
    PENDING,
    SETTLED,
    FAILED,
    EXPIRE,
};

struct doing {
    enum step step;
    struct x402_reservation r;
    int64_t now_usec;
    bool fail;
    struct arena *arena;
    struct hash transaction;
    enum x402_verdict verdict; /* out */
    struct x402_record record; /* out */
    uint64_t rows;             /* out */
};

static enum err do_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct doing *d = ctx;
    enum err e = OK;
    switch (d->step) {
    case RESERVE:
        e = x402_reserve(tx, d->arena, &d->r, d->now_usec, &d->verdict, &d->record, why);
        break;
    case SETTLING:
        e = x402_settling(tx, &d->r.key, why);
        break;
    case PENDING:
        e = x402_pending(tx, &d->r.key, &d->transaction, why);
        break;
    case SETTLED:
        e = x402_settled(tx, &d->r.key, &d->transaction, d->now_usec, why);
        break;
    case FAILED:
        e = x402_failed(tx, &d->r.key, X402_TRANSACTION, d->now_usec, why);
        break;
    case EXPIRE:
        e = x402_expire(tx, d->now_usec, 2, &d->rows, why);
        break;
    }
    return e == OK && d->fail ? why_set(why, ERR_CANCELLED, NULL, "no") : e;
}

/* payment is one that differs from the others by its nonce. */
static struct x402_reservation payment(unsigned nonce)
{
    struct x402_reservation r = {.key = {.chain_id = 31337},
                                 .amount = U256_MAX,
                                 .valid_before = u256_from_u64((uint64_t)NOW_SECONDS + 300),
                                 .resource = SLICE_LIT("GET /paid"),
                                 .payload_json = SLICE_LIT("{\"signature\": \"0x\"}")};
    memset(r.key.asset.bytes, 0xa5, ADDRESS_BYTES);
    memset(r.key.payer.bytes, 0x19, ADDRESS_BYTES);
    memset(r.pay_to.bytes, 0x90, ADDRESS_BYTES);
    memcpy(r.key.nonce.bytes, &nonce, sizeof(nonce));
    return r;
}

static struct doing with(enum step step, struct x402_reservation r)
{
    static struct arena arena; /* what it holds is small, and checked before the next test */
    struct doing d = {.step = step, .r = r, .now_usec = NOW, .arena = &arena};
    if (arena.block_size == 0) {
        arena_init(&arena, 0);
    }
    memset(d.transaction.bytes, 0x7a, HASH_BYTES);
    return d;
}

static enum err does(struct doing *d)
{
    return store_write(support.store, do_tx, d, NULL);
}

static enum err step(enum step s, unsigned nonce)
{
    struct doing d = with(s, payment(nonce));
    return does(&d);
}

static struct doing reserved(struct x402_reservation r)
{
    struct doing d = with(RESERVE, r);
    assert_int_equal(does(&d), OK);
    return d;
}

static enum x402_verdict verdict(unsigned nonce)
{
    return reserved(payment(nonce)).verdict;
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

static void test_a_payment_runs_once_and_its_receipt_is_told_again(void **state)
{
    assert_int_equal(verdict(1), X402_RUN);
    assert_int_equal(verdict(1), X402_IN_PROGRESS);
    assert_int_equal(step(SETTLING, 1), OK);
    assert_int_equal(verdict(1), X402_IN_PROGRESS);
    assert_int_equal(step(PENDING, 1), OK);
    struct doing d = reserved(payment(1));
    assert_int_equal(d.verdict, X402_TOLD_LATER);
    assert_true(d.record.has_transaction && hash_equal(&d.record.transaction, &d.transaction));
    assert_int_equal(step(SETTLED, 1), OK);
    support_store_reopen(&support);
    d = reserved(payment(1));
    assert_int_equal(d.verdict, X402_RECEIPT);
    assert_int_equal(d.record.state, X402_SETTLED);
    assert_true(hash_equal(&d.record.transaction, &d.transaction));
    assert_int_equal(d.record.reserved_usec, NOW);
    assert_int_equal(d.record.ended_usec, NOW);
    /* For another request it was used. */
    struct x402_reservation other = payment(1);
    other.request_hash.bytes[0] = 1;
    assert_int_equal(reserved(other).verdict, X402_USED);
}

static void test_each_part_of_the_key_makes_another_payment(void **state)
{
    assert_int_equal(verdict(1), X402_RUN);
    struct x402_reservation r = payment(1);
    r.key.chain_id = 8453;
    assert_int_equal(reserved(r).verdict, X402_RUN);
    r = payment(1);
    r.key.asset.bytes[19] ^= 1;
    assert_int_equal(reserved(r).verdict, X402_RUN);
    r = payment(1);
    r.key.payer.bytes[19] ^= 1;
    assert_int_equal(reserved(r).verdict, X402_RUN);
    assert_int_equal(verdict(2), X402_RUN);
    /* What is not of the key does not. */
    r = payment(1);
    r.amount = u256_from_u64(1);
    r.pay_to.bytes[0] ^= 1;
    r.resource = SLICE_LIT("GET /other");
    assert_int_equal(reserved(r).verdict, X402_IN_PROGRESS);
}

static void test_failures_are_ends(void **state)
{
    assert_int_equal(verdict(1), X402_RUN);
    assert_int_equal(step(FAILED, 1), OK);
    struct doing d = reserved(payment(1));
    assert_int_equal(d.verdict, X402_USED);
    assert_int_equal(d.record.state, X402_FAILED);
    assert_true(slice_equal_text(d.record.reason, "invalid_exact_evm_transaction_failed"));
    for (enum step s = SETTLING; s <= FAILED; s++) {
        assert_int_equal(step(s, 1), ERR_CONFLICT);
        assert_int_equal(step(s, 99), ERR_CONFLICT); /* nobody reserved it */
    }
    assert_int_equal(verdict(2), X402_RUN);
    assert_int_equal(step(PENDING, 2), ERR_CONFLICT);
    assert_int_equal(step(SETTLED, 2), ERR_CONFLICT);
    assert_int_equal(step(SETTLING, 2), OK);
    assert_int_equal(step(SETTLING, 2), ERR_CONFLICT);
    assert_int_equal(step(PENDING, 2), OK);
    assert_int_equal(step(PENDING, 2), OK); /* another transaction took its place */
    assert_int_equal(step(FAILED, 2), OK);
    assert_true(reserved(payment(2)).record.has_transaction);
    assert_int_equal(step(SETTLED, 2), ERR_CONFLICT);
}

static void test_nothing_is_taken_by_a_transaction_that_goes_back(void **state)
{
    struct doing d = with(RESERVE, payment(1));
    d.fail = true;
    assert_int_equal(does(&d), ERR_CANCELLED);
    assert_int_equal(verdict(1), X402_RUN);
    struct x402_reservation r = payment(2);
    r.resource = SLICE_EMPTY;
    d = with(RESERVE, r);
    assert_int_equal(does(&d), ERR_INVALID_FIELD);
    assert_int_equal(verdict(2), X402_RUN);
}

static void test_those_that_no_chain_takes_any_more_expire(void **state)
{
    for (unsigned i = 1; i <= 5; i++) {
        assert_int_equal(verdict(i), X402_RUN);
    }
    assert_int_equal(step(SETTLING, 4), OK);
    struct x402_reservation later = payment(6);
    later.valid_before = U256_MAX;
    assert_int_equal(reserved(later).verdict, X402_RUN);
    struct doing d = with(EXPIRE, payment(0));
    d.now_usec = NOW + 300 * USEC_PER_SEC;
    assert_int_equal(does(&d), OK);
    assert_int_equal(d.rows, 0); /* not before the second after */
    d.now_usec += USEC_PER_SEC;
    uint64_t expected[] = {2, 2, 0}; /* 1, 2, 3 and 5, two at a time */
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(does(&d), OK);
        assert_int_equal(d.rows, expected[i]);
    }
    assert_int_equal(verdict(4), X402_IN_PROGRESS);
    assert_int_equal(reserved(later).verdict, X402_IN_PROGRESS);
    /* A handler that was too slow is told so, and does not settle. */
    assert_int_equal(step(SETTLING, 1), ERR_CONFLICT);
    assert_int_equal(verdict(1), X402_USED);
}

/* ---- at once ---- */

#define THREADS 8
#define PAYMENTS 16

static _Atomic unsigned runs[PAYMENTS];
static _Atomic unsigned others;

static void *take_all(void *store)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (unsigned i = 0; i < PAYMENTS; i++) {
        struct doing d = with(RESERVE, payment(i));
        d.arena = &arena;
        assert_int_equal(store_write(store, do_tx, &d, NULL), OK);
        runs[i] += d.verdict == X402_RUN;
        others += d.verdict == X402_IN_PROGRESS;
    }
    arena_free(&arena);
    return NULL;
}

static void test_one_of_many_runs(void **state)
{
    struct store *second = NULL;
    pthread_t threads[THREADS];
    (void)verdict(1000); /* the static arena of with() exists before the threads */
    /* A database of SQLite belongs to one process at a time. */
    if (support_on_postgres()) {
        assert_int_equal(store_open(&second, &support.config, &sql_catalog, NULL), OK);
    }
    for (int i = 0; i < THREADS; i++) {
        struct store *store = i % 2 == 0 || second == NULL ? support.store : second;
        assert_int_equal(pthread_create(&threads[i], NULL, take_all, store), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < PAYMENTS; i++) {
        assert_int_equal(runs[i], 1);
    }
    assert_int_equal(others, PAYMENTS * (THREADS - 1));
    store_close(second);
}

/* A process that is killed in its handler leaves the payment taken. */
static void test_a_killed_process_leaves_the_payment_taken(void **state)
{
    store_close(support.store);
    support.store = NULL;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct doing d = with(RESERVE, payment(1));
        if (support_store_start(&support, NULL) == OK && does(&d) == OK && d.verdict == X402_RUN) {
            kill(getpid(), SIGKILL);
        }
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(support_store_start(&support, NULL), OK);
    assert_int_equal(verdict(1), X402_IN_PROGRESS);
}

int main(void)
{
#define STORED(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)
    const struct CMUnitTest tests[] = {
        STORED(test_a_payment_runs_once_and_its_receipt_is_told_again),
        STORED(test_each_part_of_the_key_makes_another_payment),
        STORED(test_failures_are_ends),
        STORED(test_nothing_is_taken_by_a_transaction_that_goes_back),
        STORED(test_those_that_no_chain_takes_any_more_expire),
        STORED(test_one_of_many_runs),
        STORED(test_a_killed_process_leaves_the_payment_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
