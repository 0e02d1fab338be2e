/*
 * The ten checks before a transaction is sent for a user, each broken alone.
 */
#include "kernel/relay/relay_checks.h"
#include "unit/kernel/relay/fake.h"

struct request {
    struct relay_caller caller;
    struct relay_intent intent;
    struct slice id;
    enum relay_check failed;
};

/* A request that passes. */
static struct request good(const char *key, uint64_t nonce)
{
    struct request r = {
        .caller = {.id = SLICE_LIT("user_1"),
                   .known = true,
                   .session_until_usec = clock_wall_usec() + 60 * SECONDS,
                   .signature_valid = true,
                   .nonce = nonce,
                   .client = SLICE_LIT("192.0.2.7")},
        .intent = plain(key),
    };
    r.intent.deadline_usec = clock_wall_usec() + 600 * SECONDS;
    return r;
}

static enum err run_submit_for(struct store_tx *tx, void *ctx, struct why *why)
{
    struct request *r = ctx;
    return relay_submit_for(w.relay, tx, &w.arena, &r->caller, &r->intent, &r->id, &r->failed, why);
}

static enum err ask(struct request *r)
{
    struct why why = {0};
    enum err e = store_write(w.s.store, run_submit_for, r, &why);
    assert_true(e == OK || strlen(why.text) > 10);
    return e;
}

static enum err run_nonce(struct store_tx *tx, void *ctx, struct why *why)
{
    return relay_caller_nonce(tx, SLICE_LIT("user_1"), ctx, why);
}

static uint64_t next_number(void)
{
    uint64_t next = 0;
    assert_int_equal(store_read(w.s.store, run_nonce, &next, NULL), OK);
    return next;
}

static int64_t intents(void)
{
    return count_rows("SELECT COUNT(*) FROM relay_intents");
}

static void assert_refused_by(struct request r, enum relay_check check, const char *code)
{
    uint64_t before = next_number();
    int64_t rows = intents();
    enum err e = ask(&r);
    assert_string_equal(err_code(e), code);
    assert_int_equal(r.failed, check);
    assert_int_equal(next_number(), before); /* nothing was used up */
    assert_int_equal(intents(), rows);
}

/* Everybody low, or not. */
static enum err run_low(struct store_tx *tx, void *ctx, struct why *why)
{
    const bool *low = ctx;
    return relay_wallet_note(tx, 31337, wallet(0), wei_of(u256_from_u64(1)), *low, why);
}

static void set_low(bool low)
{
    assert_int_equal(store_write(w.s.store, run_low, &low, NULL), OK);
}

static void what_passes_all_is_sent(void **state)
{
    (void)state;
    struct request r = good("a", 0);
    assert_int_equal(ask(&r), OK);
    assert_int_equal(r.failed, RELAY_CHECK_COUNT);
    settle();
    assert_state(r.id, RELAY_SENT);
    assert_int_equal(next_number(), 1);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM audit_log WHERE action = 'relay.asked_for' "
                                "AND actor = 'user_1'"),
                     1);
    /* The address itself is nowhere. */
    assert_int_equal(count_rows(support_pick(
                         "SELECT COUNT(*) FROM audit_log WHERE details LIKE '%192.0.2.7%'",
                         "SELECT COUNT(*) FROM audit_log WHERE details::text LIKE '%192.0.2.7%'")),
                     0);
}

static void each_check_refuses_by_its_own_name(void **state)
{
    (void)state;
    struct request r = good("a", 0);
    r.caller.known = false;
    assert_refused_by(r, RELAY_CHECK_USER, "caller_unknown");
    r = good("a", 0);
    r.caller.session_until_usec = clock_wall_usec() - 1;
    assert_refused_by(r, RELAY_CHECK_SESSION, "session_expired");
    r.caller.session_until_usec = 0;
    assert_refused_by(r, RELAY_CHECK_SESSION, "session_expired");
    r = good("a", 0);
    r.caller.signature_valid = false;
    assert_refused_by(r, RELAY_CHECK_SIGNATURE, "caller_signature");
    assert_refused_by(good("a", 1), RELAY_CHECK_NONCE, "caller_nonce");
    r = good("a", 0);
    r.intent.deadline_usec = clock_wall_usec() - 1;
    assert_refused_by(r, RELAY_CHECK_DEADLINE, "deadline_expired");
    r.intent.deadline_usec = 0; /* good for ever is not good */
    assert_refused_by(r, RELAY_CHECK_DEADLINE, "deadline_expired");
    r = good("a", 0);
    r.intent.data = SLICE_LIT("\x01\x02\x03\x04");
    assert_refused_by(r, RELAY_CHECK_OPERATION, "operation_refused");
    r = good("a", 0);
    r.intent.to = somebody; /* the right call, to another contract */
    assert_refused_by(r, RELAY_CHECK_CONTRACT, "contract_refused");
    set_low(true);
    assert_refused_by(good("a", 0), RELAY_CHECK_BALANCE, "wallet_low");
    set_low(false);
    r = good("a", 0);
    assert_int_equal(ask(&r), OK);
}

static void fees_above_the_cap_are_refused(void **state)
{
    (void)state;
    fake_node_set_fees(node, 600 * GWEI, 0);
    mine_empty(1);
    (void)submit_plain("waits"); /* the relay looks at fees when it has something to do */
    settle();
    assert_refused_by(good("a", 0), RELAY_CHECK_FEE, "fee_bounds");
    fake_node_set_fees(node, GWEI, 0);
    mine_empty(1);
    wait_seconds(5);
    struct request r = good("a", 0);
    assert_int_equal(ask(&r), OK);
}

static void a_replay_is_refused_and_a_repetition_is_not(void **state)
{
    (void)state;
    struct request r = good("a", 0);
    assert_int_equal(ask(&r), OK);
    struct request again = good("a", 0); /* the same key: the same request, asked again */
    assert_int_equal(ask(&again), OK);
    assert_true(slice_equal(again.id, r.id));
    assert_int_equal(next_number(), 1);
    assert_refused_by(good("b", 0), RELAY_CHECK_NONCE, "caller_nonce");
    struct request next = good("b", 1);
    assert_int_equal(ask(&next), OK);
    assert_int_equal(next_number(), 2);
}

static void who_asks_too_often_waits_a_minute(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%llu", (unsigned long long)i);
        struct request r = good(slice_cstr(&w.arena, slice_text(key)), i);
        assert_int_equal(ask(&r), OK);
    }
    assert_refused_by(good("more", 3), RELAY_CHECK_RATE, "rate_limited");
    struct request other = good("other", 0);
    other.caller.id = SLICE_LIT("user_2");
    assert_int_equal(ask(&other), OK);
    push(61 * SECONDS);
    struct request later = good("more", 3);
    assert_int_equal(ask(&later), OK);
}

static void a_refusal_is_written_down(void **state)
{
    (void)state;
    struct request r = good("a", 7);
    assert_int_equal(ask(&r), ERR_CALLER_NONCE);
    assert_int_equal(relay_refusal_note(w.relay, &r.caller, &r.intent, r.failed, NULL), OK);
    assert_int_equal(
        count_rows(support_pick(
            "SELECT COUNT(*) FROM audit_log WHERE action = 'relay.refused' AND outcome = 2 AND "
            "details LIKE '%\"check\":\"nonce\"%'",
            "SELECT COUNT(*) FROM audit_log WHERE action = 'relay.refused' AND outcome = 2 AND "
            "details::text LIKE '%caller_nonce%'")),
        1);
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        TEST(what_passes_all_is_sent),           TEST(each_check_refuses_by_its_own_name),
        TEST(fees_above_the_cap_are_refused),    TEST(a_replay_is_refused_and_a_repetition_is_not),
        TEST(who_asks_too_often_waits_a_minute), TEST(a_refusal_is_written_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
