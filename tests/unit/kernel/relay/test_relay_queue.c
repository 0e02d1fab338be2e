/*
 * From queued to signed: who may send what, what it costs, who waits for what.
 */
#include "unit/kernel/relay/fake.h"

#include "kernel/relay/relay_sql.h"

/* ---- the policy ---- */

static struct slice hex(const char *text)
{
    struct slice bytes;
    assert_int_equal(hex_decode(&w.arena, slice_text(text), &bytes), OK);
    return bytes;
}

#define WORD(digits) "00000000000000000000000000000000000000000000000000000000" digits
#define TRANSFER "0xa9059cbb" WORD("000000aa") WORD("00000001")

static void assert_refused(struct relay_intent *intent, const char *key)
{
    intent->key = slice_text(key);
    struct slice id = submit(intent);
    settle();
    assert_state(id, RELAY_FAILED);
    assert_error(id, ERR_POLICY_REFUSED, "may not");
    assert_string_equal(history(id), "failed!");
    assert_false(row_of(id).has_nonce);
}

static void policy_refuses(void **state)
{
    (void)state;
    struct relay_intent good = plain("good");
    good.data = hex(TRANSFER);
    struct relay_intent bad = good;
    bad.role = "stranger";
    assert_refused(&bad, "role");
    bad = good;
    bad.to = somebody;
    assert_refused(&bad, "callee");
    bad = good;
    bad.data = hex("0x095ea7b3" WORD("000000aa") WORD("00000001")); /* approve */
    assert_refused(&bad, "function");
    bad = good;
    bad.data = hex("0xdeadbeef" WORD("000000aa") WORD("00000001"));
    assert_refused(&bad, "selector");
    bad = good;
    bad.data = hex(TRANSFER "00");
    assert_refused(&bad, "one byte behind the arguments");
    bad = good;
    bad.data = hex(TRANSFER WORD("00000000"));
    assert_refused(&bad, "one word behind the arguments");
    bad = good;
    bad.data = hex("0xa9059cbb" WORD("000000aa"));
    assert_refused(&bad, "too few arguments");
    bad = good;
    bad.data =
        hex("0xa9059cbb"
            "000000000000000000000001000000000000000000000000000000000000aaaa" WORD("00000001"));
    assert_refused(&bad, "dirty address");
    bad = good;
    bad.data = hex("0xa905");
    assert_refused(&bad, "short");
    bad = good;
    bad.data = SLICE_EMPTY;
    assert_refused(&bad, "empty");
    bad = good;
    bad.value = wei_of(u256_from_u64(1));
    assert_refused(&bad, "native coin");
    bad = good;
    bad.has_to = false;
    assert_refused(&bad, "creation");
    bad = good;
    bad.role = "deployer";
    assert_refused(&bad, "a creator that calls");
    assert_int_equal(fake_node_calls(node, "eth_estimateGas"), 0);

    struct slice id = submit(&good);
    struct relay_intent paying = plain("paying");
    paying.role = "patron";
    paying.to = somebody;
    paying.value = wei_of(u256_from_u64(5));
    struct slice paid = submit(&paying);
    struct relay_intent any = good;
    any.key = SLICE_LIT("any");
    any.role = "anything";
    any.to = somebody;
    any.data = hex("0x095ea7b3" WORD("000000aa") WORD("00000001"));
    struct slice wide = submit(&any);
    settle();
    mine();
    settle();
    assert_state(id, RELAY_MINED);
    assert_state(paid, RELAY_MINED);
    assert_state(wide, RELAY_MINED);
    assert_int_equal(row_of(wide).nonce, 2); /* refusals used none */
}

/* The same arguments by another route of offsets: a decoder takes it, we do not sign it. */
static void policy_refuses_a_second_encoding(void **state)
{
    (void)state;
    /* permit(address,address,uint256,uint256,bytes) */
    static const char head[] =
        "0x9fd5a6cf" WORD("000000aa") WORD("000000bb") WORD("00000001") WORD("00000002");
    struct relay_intent intent = plain("a");
    intent.role = "anything";
    intent.data = slice_format(&w.arena, "%s%s", head, WORD("000000a0") WORD("00000000"));
    intent.data = hex(slice_cstr(&w.arena, intent.data));
    struct slice straight = submit(&intent);
    struct relay_intent bad = intent;
    bad.data =
        slice_format(&w.arena, "%s%s", head, WORD("000000c0") WORD("00000000") WORD("00000000"));
    bad.data = hex(slice_cstr(&w.arena, bad.data));
    assert_refused(&bad, "detour");
    assert_state(straight, RELAY_SENT);
}

static void wallet_without_a_key_fails(void **state)
{
    (void)state;
    struct relay_intent intent = plain("a");
    intent.wallet = somebody;
    struct slice id = submit(&intent);
    settle();
    assert_state(id, RELAY_FAILED);
    assert_error(id, ERR_UNKNOWN_WALLET, "there is no key");
}

/* ---- simulation ---- */

static void revert_in_simulation_fails_with_its_reason(void **state)
{
    (void)state;
    static const struct {
        const char *error;
        const char *words;
    } rows[] = {
        {"{\"code\":3,\"message\":\"execution reverted: x\",\"data\":\"0x08c379a0" WORD("00000020")
             WORD("00000008") "546f6f206c617465000000000000000000000000000000000000000000000000\"}",
         "the call would revert: Too late"},
        /* ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed) */
        {"{\"code\":3,\"message\":\"execution reverted\",\"data\":\"0xe450d38c" WORD("000000aa")
             WORD("00000005") WORD("00000007") "\"}",
         "ERC20InsufficientBalance"},
        {"{\"code\":-32000,\"message\":\"execution reverted\"}", "the call would revert"},
        {"{\"code\":-32000,\"message\":\"gas required exceeds allowance (30000000)\"}",
         "the call would fail"},
        {"{\"code\":-32000,\"message\":\"invalid opcode: INVALID\"}", "the call would fail"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        FAULT(estimate_error, rows[i].error);
        struct slice id = submit_plain(rows[i].words);
        if (i == 2) {
            id = submit_plain("third");
        }
        settle();
        assert_state(id, RELAY_FAILED);
        assert_error(id, ERR_REVERTED, rows[i].words);
        assert_false(row_of(id).has_nonce);
    }
    FAULT(estimate_error, NULL);
    struct slice id = submit_plain("good");
    settle();
    assert_int_equal(row_of(id).nonce, 0);
}

/* What the call builds on may have fallen out of the chain a moment ago. */
static void a_revert_is_believed_at_the_second_look(void **state)
{
    (void)state;
    FAULT(estimate_error, "{\"code\":-32000,\"message\":\"execution reverted\"}");
    FAULT(estimate_times, 1);
    struct slice passing = submit_plain("passing");
    settle();
    assert_state(passing, RELAY_SENT);
    assert_int_equal(fake_node_calls(node, "eth_estimateGas"), 2);
    mine();
    settle();
    FAULT(estimate_error, "{\"code\":-32000,\"message\":\"execution reverted\"}");
    struct slice lasting = submit_plain("lasting");
    settle();
    assert_state(lasting, RELAY_FAILED);
    assert_error(lasting, ERR_REVERTED, "the call would revert");
    assert_int_equal(fake_node_calls(node, "eth_estimateGas"), 4);
}

static void a_revert_waits_for_what_is_under_way(void **state)
{
    (void)state;
    struct slice first = submit_plain("first");
    settle();
    assert_state(first, RELAY_SENT);
    FAULT(estimate_error, "{\"code\":-32000,\"message\":\"execution reverted\"}");
    struct slice builds_on_it = submit_plain("builds on it");
    wait_seconds(10);
    assert_state(builds_on_it, RELAY_QUEUED);
    mine();
    settle();
    assert_state(first, RELAY_MINED);
    FAULT(estimate_error, NULL);
    wait_seconds(60);
    assert_state(builds_on_it, RELAY_SENT);
}

/* Two reorganisations in a row: what the first look missed was there again and fell out again. */
static void a_look_does_not_count_when_an_earlier_intent_changed_since(void **state)
{
    (void)state;
    struct slice first = submit_plain("first");
    settle();
    FAULT(estimate_error, "{\"code\":-32000,\"message\":\"execution reverted\"}");
    struct slice builds_on_it = submit_plain("builds on it");
    settle();
    unsigned asked = fake_node_calls(node, "eth_estimateGas");
    mine();
    settle();
    assert_state(first, RELAY_MINED);
    for (int i = 0; i < 30 && fake_node_calls(node, "eth_estimateGas") == asked; i++) {
        wait_seconds(1);
    }
    assert_int_equal(fake_node_calls(node, "eth_estimateGas"), asked + 1);
    assert_state(builds_on_it, RELAY_QUEUED);
    wait_seconds(60);
    assert_error(builds_on_it, ERR_REVERTED, "the call would revert");
    assert_int_equal(fake_node_calls(node, "eth_estimateGas"), asked + 2);
}

static void estimate_that_fails_for_ever_ends(void **state)
{
    (void)state;
    FAULT(estimate_error, "{\"code\":-32603,\"message\":\"internal error\"}");
    struct slice id = submit_plain("a");
    settle();
    assert_state(id, RELAY_QUEUED);
    unsigned asked = fake_node_calls(node, "eth_estimateGas");
    assert_int_equal(asked, 1);
    wait_seconds(2);
    assert_int_equal(fake_node_calls(node, "eth_estimateGas"), 1);
    wait_seconds(2);
    assert_int_equal(fake_node_calls(node, "eth_estimateGas"), 2);
    for (int i = 0; i < 100 && row_of(id).state == RELAY_QUEUED; i++) {
        push(30 * SECONDS);
        settle();
    }
    assert_state(id, RELAY_FAILED);
    assert_error(id, ERR_NODE_ERROR, "internal error");
    assert_int_equal(fake_node_calls(node, "eth_estimateGas"), 20);
    int64_t minutes =
        count_rows(support_pick("SELECT (updated_at - created_at) / 60000000 FROM relay_intents",
                                "SELECT floor(extract(epoch FROM updated_at - created_at) / 60) "
                                "FROM relay_intents"));
    assert_true(minutes >= 15 && minutes <= 18);
    assert_string_equal(history(id), "failed!");
}

/* A node that fails without saying why is asked twice more; then the operation's row counts. */
static void an_operation_with_a_limit_needs_no_estimate(void **state)
{
    (void)state;
    static const struct relay_gas gases[] = {{"other", 1}, {"test", 91000}};
    world_gases = gases;
    world_gas_count = 2;
    world_renew();
    FAULT(estimate_error, "{\"code\":-32603,\"message\":\"internal error\"}");
    struct slice id = submit_plain("a");
    settle();
    assert_state(id, RELAY_QUEUED);
    wait_seconds(30);
    assert_state(id, RELAY_SENT);
    assert_int_equal(fake_node_calls(node, "eth_estimateGas"), 3);
    mine();
    settle();
    struct fake_mined mined[1];
    assert_int_equal(mined_of(wallet(0), mined, 1), 1);
    assert_int_equal(mined[0].gas_limit, 91000);
    /* What reverts is not sent for all that. */
    FAULT(estimate_error, "{\"code\":3,\"message\":\"execution reverted\",\"data\":\"0x\"}");
    struct slice reverting = submit_plain("b");
    wait_seconds(60);
    assert_state(reverting, RELAY_FAILED);
    assert_false(row_of(reverting).has_nonce);
    world_gases = NULL;
    world_gas_count = 0;
}

static void estimate_that_works_later_is_enough(void **state)
{
    (void)state;
    FAULT(estimate_error, "{\"code\":-32603,\"message\":\"internal error\"}");
    FAULT(estimate_times, 3);
    struct slice id = submit_plain("a");
    wait_seconds(30);
    assert_state(id, RELAY_SENT);
    assert_int_equal(fake_node_calls(node, "eth_estimateGas"), 4);
}

static void estimate_without_funds_waits_without_end(void **state)
{
    (void)state;
    FAULT(estimate_error, "{\"code\":-32000,\"message\":\"insufficient funds for transfer\"}");
    struct slice id = submit_plain("a");
    for (int i = 0; i < 40; i++) {
        push(60 * SECONDS);
        settle();
    }
    assert_state(id, RELAY_QUEUED);
    FAULT(estimate_error, NULL);
    wait_seconds(4);
    assert_state(id, RELAY_SENT);
}

static void a_node_that_is_away_is_no_fault_of_the_intent(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    FAULT(fail_every, 1);
    for (int i = 0; i < 4; i++) {
        push(60 * SECONDS);
        assert_int_not_equal(step_once(NULL, NULL), OK);
    }
    assert_state(id, RELAY_QUEUED);
    FAULT(fail_every, 0);
    push(60 * SECONDS);
    settle();
    assert_state(id, RELAY_SENT);
}

static void gas_limits(void **state)
{
    (void)state;
    struct relay_intent given = plain("given");
    given.gas_limit = 77777;
    struct relay_intent greedy = plain("greedy");
    greedy.gas_limit = 12000001;
    (void)submit(&given);
    struct slice refused = submit(&greedy);
    settle();
    mine();
    assert_state(refused, RELAY_FAILED);
    assert_error(refused, ERR_POLICY_REFUSED, "needs 12000001 gas");
    /* Blocks that are smaller than estimate and margin, but not than the estimate. */
    fake_node_set_gas_limit(node, 55000);
    mine_empty(1);
    settle();
    (void)submit_plain("margin");
    settle();
    mine();
    settle();
    struct fake_mined mined[3];
    assert_int_equal(mined_of(wallet(0), mined, 3), 2);
    assert_int_equal(mined[0].gas_limit, 77777);
    assert_int_equal(mined[1].gas_limit, 55000);
    fake_node_set_gas_limit(node, 49999);
    mine_empty(1);
    settle();
    struct slice large = submit_plain("large");
    settle();
    assert_state(large, RELAY_FAILED);
    assert_error(large, ERR_POLICY_REFUSED, "the blocks allow 49999");
}

/* ---- fees ---- */

static void fees_are_what_the_chain_asks(void **state)
{
    (void)state;
    fake_node_set_fees(node, 40 * GWEI, 0);
    mine_empty(1);
    (void)submit_plain("a");
    settle();
    mine();
    struct fake_mined mined[2];
    assert_int_equal(mined_of(wallet(0), mined, 2), 1);
    assert_true(u256_equal(mined[0].fee_priority, u256_from_u64(1000)));
    assert_true(u256_equal(mined[0].fee_max, u256_from_u64(80 * GWEI + 1000)));
    assert_false(mined[0].legacy);
}

static void fees_are_capped_and_have_a_floor(void **state)
{
    (void)state;
    w.config.priority_wei_min = u256_from_u64(3 * GWEI);
    world_renew();
    fake_node_set_fees(node, 300 * GWEI, 0);
    mine_empty(1);
    (void)submit_plain("a");
    settle();
    mine();
    struct fake_mined mined[2];
    assert_int_equal(mined_of(wallet(0), mined, 2), 1);
    assert_true(u256_equal(mined[0].fee_priority, u256_from_u64(3 * GWEI)));
    assert_true(u256_equal(mined[0].fee_max, u256_from_u64(500 * GWEI)));
}

static void a_chain_without_base_fee_gets_legacy_transactions(void **state)
{
    (void)state;
    fake_node_set_legacy(node, true);
    mine_empty(1);
    (void)submit_plain("a");
    settle();
    mine();
    settle();
    struct fake_mined mined[2];
    assert_int_equal(mined_of(wallet(0), mined, 2), 1);
    assert_true(mined[0].legacy);
    assert_true(u256_equal(mined[0].fee_max, u256_from_u64(GWEI + 1000)));
}

static void above_the_cap_everybody_waits(void **state)
{
    (void)state;
    fake_node_set_fees(node, 501 * GWEI, 0);
    mine_empty(1);
    struct slice ids[10];
    for (size_t i = 0; i < 10; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        ids[i] = submit_plain(slice_cstr(&w.arena, slice_text(key)));
    }
    wait_seconds(60);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 1"), 10);
    assert_int_equal(fake_node_calls(node, "eth_estimateGas"), 0);
    fake_node_set_fees(node, 400 * GWEI, 0);
    mine_empty(1);
    wait_seconds(4);
    mine();
    settle();
    for (size_t i = 0; i < 10; i++) {
        assert_state(ids[i], RELAY_MINED);
        assert_int_equal(row_of(ids[i]).nonce, i);
    }
}

/* ---- turns ---- */

static void a_full_wallet_does_not_hold_up_others(void **state)
{
    (void)state;
    w.config.inflight_max = 3;
    w.config.batch_max = 4;
    world_renew();
    for (size_t i = 0; i < 40; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        (void)submit_plain(slice_cstr(&w.arena, slice_text(key)));
    }
    struct relay_intent other = plain("other");
    other.wallet = *wallet(1);
    struct slice id = submit(&other);
    settle();
    assert_state(id, RELAY_SENT);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 3"), 4);
    /* Those that cannot be signed yet are not simulated either. */
    assert_true(fake_node_calls(node, "eth_estimateGas") <= 4);
    for (int i = 0; i < 20; i++) {
        mine();
        settle();
    }
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4"), 41);
    struct fake_mined mined[50];
    assert_int_equal(mined_of(wallet(0), mined, 50), 40);
}

static void wallets_take_turns(void **state)
{
    (void)state;
    w.config.batch_max = 2;
    world_renew();
    for (size_t i = 0; i < 200; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        (void)submit_plain(slice_cstr(&w.arena, slice_text(key)));
    }
    struct relay_intent other = plain("other");
    other.wallet = *wallet(1);
    struct slice id = submit(&other);
    assert_int_equal(step_once(NULL, NULL), OK);
    assert_state(id, RELAY_SIGNED);
}

/* ---- signers ---- */

static enum { HONEST, AWAY, WRONG_KEY, WRONG_NONCE, WRONG_HASH, HIGH_FEE } mood;

static enum err moody_sign(void *ctx, struct arena *arena, const struct tx *tx,
                           struct slice *out_raw, struct hash *out_hash, struct why *why)
{
    const struct relay_signer *honest = ctx;
    const struct relay_signer *signer = honest;
    struct tx changed = *tx;
    struct relay_signer other = relay_key_signer(w.keys[2]);
    if (mood == AWAY) {
        return why_set(why, ERR_UPSTREAM, NULL, "the signer is away");
    }
    signer = mood == WRONG_KEY ? &other : signer;
    changed.nonce += mood == WRONG_NONCE;
    changed.gas_limit += mood == HIGH_FEE;
    enum err e = signer->sign(signer->ctx, arena, &changed, out_raw, out_hash, why);
    out_hash->bytes[0] ^= mood == WRONG_HASH;
    return e;
}

static void what_a_signer_returns_is_not_believed(void **state)
{
    (void)state;
    struct relay_signer honest = w.signers[0];
    w.signers[0] =
        (struct relay_signer){.address = honest.address, .sign = moody_sign, .ctx = &honest};
    struct slice id = submit_plain("a");
    struct relay_intent other = plain("other");
    other.wallet = *wallet(1);
    struct slice free = submit(&other);
    for (mood = AWAY; mood <= HIGH_FEE; mood++) {
        push(4 * SECONDS);
        settle();
        assert_state(id, RELAY_QUEUED);
        assert_int_equal(next_nonce_of_first(), 0);
    }
    assert_state(free, RELAY_SENT);
    mood = HONEST;
    push(4 * SECONDS);
    settle();
    assert_state(id, RELAY_SENT);
    assert_int_equal(row_of(id).nonce, 0);
    w.signers[0] = honest;
}

/* ---- clocks ---- */

/* Signing takes its time; meanwhile somebody cancels an intent that is about to get a nonce. */
struct meddling {
    struct relay_signer honest;
    struct slice victim;
    unsigned when; /* at which call */
    unsigned calls;
};

static enum err cancel_victim(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct meddling *m = ctx;
    return relay_cancel(tx, m->victim, why);
}

static enum err meddling_sign(void *ctx, struct arena *arena, const struct tx *tx,
                              struct slice *out_raw, struct hash *out_hash, struct why *why)
{
    struct meddling *m = ctx;
    assert_false(store_in_tx()); /* a signer may be another machine */
    if (m->calls++ == m->when) {
        assert_int_equal(store_write(w.s.store, cancel_victim, m, NULL), OK);
    }
    return m->honest.sign(m->honest.ctx, arena, tx, out_raw, out_hash, why);
}

static void an_intent_cancelled_while_it_is_signed_leaves_no_hole(void **state)
{
    (void)state;
    struct slice ids[4];
    struct meddling m = {.honest = w.signers[0], .when = 2};
    for (size_t i = 0; i < 4; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        ids[i] = submit_plain(slice_cstr(&w.arena, slice_text(key)));
    }
    m.victim = ids[1];
    w.signers[0] =
        (struct relay_signer){.address = m.honest.address, .sign = meddling_sign, .ctx = &m};
    settle();
    w.signers[0] = m.honest;
    assert_state(ids[1], RELAY_CANCELLED);
    assert_false(row_of(ids[1]).has_nonce);
    static const uint64_t nonces[4] = {0, 0, 1, 2};
    for (size_t i = 0; i < 4; i++) {
        if (i != 1) {
            assert_state(ids[i], RELAY_SENT);
            assert_int_equal(row_of(ids[i]).nonce, nonces[i]);
        }
    }
    assert_int_equal(m.calls, 6); /* the two behind the hole were made anew */
    mine();
    settle();
    assert_int_equal(mined_count(), 3);
}

/* A pass stores what it has signed in several transactions: a hole in one ends those behind it. */
static void a_hole_ends_what_is_stored_after_it(void **state)
{
    (void)state;
    enum { INTENTS = 200, VICTIM = 70 };
    struct slice ids[INTENTS];
    struct meddling m = {.honest = w.signers[0], .when = 150};
    w.config.batch_max = 500;
    world_renew();
    for (size_t i = 0; i < INTENTS; i++) {
        ids[i] = submit_plain(slice_cstr(&w.arena, slice_format(&w.arena, "k%zu", i)));
    }
    m.victim = ids[VICTIM];
    w.signers[0] =
        (struct relay_signer){.address = m.honest.address, .sign = meddling_sign, .ctx = &m};
    assert_int_equal(step_once(NULL, NULL), OK);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 2"), VICTIM);
    assert_int_equal(next_nonce_of_first(), VICTIM);
    settle();
    w.signers[0] = m.honest;
    assert_state(ids[VICTIM], RELAY_CANCELLED);
    for (size_t i = 0; i < INTENTS; i++) {
        if (i != VICTIM) {
            assert_state(ids[i], RELAY_SENT);
            assert_int_equal(row_of(ids[i]).nonce, i < VICTIM ? i : i - 1);
        }
    }
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_attempts"), INTENTS - 1);
    mine();
    settle();
    assert_int_equal(mined_count(), INTENTS - 1);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4"), INTENTS - 1);
}

static void a_clock_that_is_put_back_stops_nothing(void **state)
{
    (void)state;
    struct slice queued = submit_plain("a");
    atomic_store(&wall_usec, -3600 * SECONDS);
    settle();
    assert_state(queued, RELAY_SENT);
    FAULT(send_error, "{\"code\":-32000,\"message\":\"txpool is full\"}");
    struct slice signed_one = submit_plain("b");
    settle();
    assert_state(signed_one, RELAY_SIGNED);
    FAULT(send_error, NULL);
    atomic_store(&wall_usec, -2 * 3600 * SECONDS);
    settle();
    assert_state(signed_one, RELAY_SENT);
    mine();
    settle();
    assert_state(signed_one, RELAY_MINED);
}

/* ---- others with the key ---- */

static void nonces_used_elsewhere_are_skipped(void **state)
{
    (void)state;
    struct slice a = submit_plain("a");
    settle();
    mine();
    settle();
    for (int i = 0; i < 4; i++) {
        (void)fake_node_use_nonce(node, wallet(0));
    }
    struct slice b = submit_plain("b");
    settle();
    mine();
    settle();
    assert_state(a, RELAY_MINED);
    assert_state(b, RELAY_MINED);
    assert_int_equal(row_of(b).nonce, 5);
    /* One that waits in the pool is not overtaken. */
    fake_node_add_pending(node, wallet(0), 6);
    struct slice c = submit_plain("c");
    settle();
    assert_int_equal(row_of(c).nonce, 7);
    mine();
    settle();
    assert_state(c, RELAY_MINED);
}

static void start_looks_at_the_chain(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        (void)fake_node_use_nonce(node, wallet(0));
    }
    fake_node_add_pending(node, wallet(0), 3);
    assert_int_equal(relay_reconcile(w.relay, NULL), OK);
    assert_int_equal(next_nonce_of_first(), 4);
    /* A node that lost its pool, or lags, does not take nonces back. */
    fake_node_set_head(node, 0);
    fake_node_forget(node);
    assert_int_equal(relay_reconcile(w.relay, NULL), OK);
    assert_int_equal(count_rows("SELECT MAX(next_nonce) FROM relay_wallets"), 4);
}

/* ---- two relays on one store ---- */

struct late {
    pthread_t thread;
    struct slice id;
    struct hash hash;
};

static void *step_in_thread(void *ctx)
{
    (void)ctx;
    struct why why = {0};
    bool progress = false;
    return relay_step(w.relay, &progress, &why) == OK ? ctx : NULL;
}

/* Lets the relay read the queue and holds it up at its first question to the node. */
static void hold_up(struct late *late)
{
    (void)fake_node_lock(node);
    assert_int_equal(pthread_create(&late->thread, NULL, step_in_thread, late), 0);
    clock_sleep_usec(100000);
}

static void let_go(struct late *late)
{
    void *result = NULL;
    fake_node_unlock(node);
    assert_int_equal(pthread_join(late->thread, &result), 0);
    assert_non_null(result);
}

static enum err sign_by_hand(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct late *late = ctx;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_intent_sign);
    store_bind_text(&q, "intent_id", late->id);
    store_bind_i64(&q, "nonce", 0);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&late->hash));
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

/* Judged while it was queued; another process signs it before the verdict is stored. */
static void a_late_failure_changes_nothing(void **state)
{
    (void)state;
    struct relay_intent intent = plain("a");
    intent.deadline_usec = clock_wall_usec() - 1;
    struct late late = {.id = submit(&intent), .hash = {{7}}};
    hold_up(&late);
    assert_int_equal(store_write(w.s.store, sign_by_hand, &late, NULL), OK);
    let_go(&late);
    assert_state(late.id, RELAY_SIGNED);
    assert_string_equal(history(late.id), "");
}

static void a_late_signature_changes_nothing(void **state)
{
    (void)state;
    struct late late = {.id = submit_plain("a"), .hash = {{7}}};
    hold_up(&late);
    assert_int_equal(store_write(w.s.store, sign_by_hand, &late, NULL), OK);
    let_go(&late);
    assert_state(late.id, RELAY_SIGNED);
    struct hash now = row_of(late.id).hash;
    assert_true(hash_equal(&now, &late.hash));
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_attempts"), 0);
    assert_int_equal(count_rows("SELECT MAX(next_nonce) FROM relay_wallets"), 0);
}

static enum err cancel_it(struct store_tx *tx, void *ctx, struct why *why)
{
    return relay_cancel(tx, ((const struct late *)ctx)->id, why);
}

static void cancelled_while_it_is_simulated(void **state)
{
    (void)state;
    struct late late = {.id = submit_plain("a")};
    hold_up(&late);
    assert_int_equal(store_write(w.s.store, cancel_it, &late, NULL), OK);
    let_go(&late);
    assert_state(late.id, RELAY_CANCELLED);
    struct slice next = submit_plain("b");
    settle();
    assert_int_equal(row_of(next).nonce, 0);
    assert_int_equal(fake_node_pool(node), 1);
}

struct racer {
    struct relay *relay;
    struct rpc_pool *pool;
    pthread_t thread;
    _Atomic bool *stop;
    unsigned errors;
};

static void *race(void *ctx)
{
    struct racer *r = ctx;
    while (!atomic_load(r->stop)) {
        bool progress = false;
        struct why why = {0};
        r->errors += relay_step(r->relay, &progress, &why) != OK;
    }
    return NULL;
}

static void two_relays_sign_nothing_twice(void **state)
{
    (void)state;
    enum { INTENTS = 400, RACERS = 3 };
    _Atomic bool stop = false;
    struct racer racers[RACERS];
    for (size_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.pool = world_pool(fake_node_url(node)), .stop = &stop};
        racers[i].relay = make_relay(w.s.store, racers[i].pool);
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    struct slice ids[INTENTS];
    for (size_t i = 0; i < INTENTS; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        struct relay_intent intent = plain(slice_cstr(&w.arena, slice_text(key)));
        intent.wallet = *wallet(i % WALLETS);
        ids[i] = submit(&intent);
        if (i % 50 == 49) {
            mine();
        }
    }
    for (int i = 0; i < 2000; i++) {
        mine();
        clock_sleep_usec(5000);
        if (count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4") == INTENTS) {
            break;
        }
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
        relay_free(racers[i].relay);
        rpc_pool_free(racers[i].pool);
        assert_int_equal(racers[i].errors, 0);
    }
    for (size_t i = 0; i < INTENTS; i++) {
        assert_state(ids[i], RELAY_MINED);
    }
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_attempts"), INTENTS);
    assert_int_equal(mined_count(), INTENTS);
    assert_int_equal(count_rows("SELECT SUM(next_nonce) FROM relay_wallets"), INTENTS);
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        TEST(policy_refuses),
        TEST(policy_refuses_a_second_encoding),
        TEST(wallet_without_a_key_fails),
        TEST(revert_in_simulation_fails_with_its_reason),
        TEST(a_revert_is_believed_at_the_second_look),
        TEST(a_revert_waits_for_what_is_under_way),
        TEST(a_look_does_not_count_when_an_earlier_intent_changed_since),
        TEST(estimate_that_fails_for_ever_ends),
        TEST(an_operation_with_a_limit_needs_no_estimate),
        TEST(estimate_that_works_later_is_enough),
        TEST(estimate_without_funds_waits_without_end),
        TEST(a_node_that_is_away_is_no_fault_of_the_intent),
        TEST(gas_limits),
        TEST(fees_are_what_the_chain_asks),
        TEST(fees_are_capped_and_have_a_floor),
        TEST(a_chain_without_base_fee_gets_legacy_transactions),
        TEST(above_the_cap_everybody_waits),
        TEST(a_full_wallet_does_not_hold_up_others),
        TEST(wallets_take_turns),
        TEST(what_a_signer_returns_is_not_believed),
        TEST(an_intent_cancelled_while_it_is_signed_leaves_no_hole),
        TEST(a_hole_ends_what_is_stored_after_it),
        TEST(a_clock_that_is_put_back_stops_nothing),
        TEST(nonces_used_elsewhere_are_skipped),
        TEST(start_looks_at_the_chain),
        TEST(a_late_failure_changes_nothing),
        TEST(a_late_signature_changes_nothing),
        TEST(cancelled_while_it_is_simulated),
        TEST(two_relays_sign_nothing_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
