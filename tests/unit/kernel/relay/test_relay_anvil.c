/*
 * The relay on a real node with a real contract: what was mined is counted by what it did. Each
 * transfer of the tests mints one unit, so a balance tells how often an intent took effect.
 */
#include "unit/kernel/relay/world.h"

#include "app/devchain.h"
#include "gen/bytecode.h"
#include "kernel/base/hex.h"
#include "kernel/evm/block.h"

static struct devchain *devchain;

/* ---- the node ---- */

static const struct json *ask(const char *method, struct slice params)
{
    struct rpc_call call = {.method = method, .params = params};
    struct why why = {0};
    enum err e = rpc_call_one(w.pool, &w.arena, RPC_ANY, &call, &why);
    if (e != OK) {
        fail_msg("%s: %s", method, why_text(&why, e));
    }
    return call.result;
}

#define ASK(method, ...) ask(method, slice_format(&w.arena, __VA_ARGS__))

static const char *wallet_text(size_t i)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(wallet(i), text);
    return slice_cstr(&w.arena, slice_text(text));
}

static uint64_t chain_nonce(size_t i)
{
    uint64_t nonce = 0;
    assert_int_equal(rpc_nonce(w.pool, wallet(i), false, &nonce, NULL), OK);
    return nonce;
}

static uint64_t balance_of(const struct address *holder)
{
    struct slice data;
    struct slice result;
    struct test_stablecoin_balance_of_result balance;
    uint64_t out = 0;
    assert_int_equal(test_stablecoin_balance_of_encode(&w.arena, holder, &data, NULL), OK);
    assert_int_equal(
        rpc_eth_call(w.pool, &w.arena, RPC_ANY, NULL, &coin, data, NULL, &result, NULL, NULL), OK);
    assert_int_equal(test_stablecoin_balance_of_result_decode(&w.arena, result, &balance, NULL),
                     OK);
    assert_int_equal(u256_to_u64(balance.value, &out), OK);
    return out;
}

/* A holder that no other test uses. */
static struct address new_holder(void)
{
    struct address a;
    rand_bytes(a.bytes, sizeof a.bytes);
    return a;
}

static struct relay_intent minting(const char *key, const struct address *holder)
{
    struct relay_intent intent = plain(key);
    assert_int_equal(
        test_stablecoin_mint_encode(&w.arena, holder, u256_from_u64(1), &intent.data, NULL), OK);
    return intent;
}

/* ---- setup ---- */

static int open_world(void **state)
{
    (void)state;
    log_set_fd(getenv("LOUD") != NULL ? 2 : -1);
    use_pushed_clock();
    world_open(devchain_url(devchain));
    assert_int_equal(relay_reconcile(w.relay, NULL), OK);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world_close();
    return 0;
}

static int start_chain(void **state)
{
    (void)state;
    struct devchain_options options = {.chain_id = DEVCHAIN_ID};
    struct why why = {0};
    net_start();
    if (devchain_start(&options, &devchain, &why) != OK) {
        print_message("skipped: %s\n", why.text);
        return 0;
    }
    (void)open_world(state);
    struct slice code;
    struct relay_intent intent = plain("coin");
    assert_int_equal(hex_decode(&w.arena, bytecode_test_stablecoin, &code), OK);
    intent.has_to = false;
    intent.role = "deployer";
    intent.data = code;
    struct slice id = submit(&intent);
    struct relay_row row = row_of(id);
    for (int i = 0; i < 1000 && row.state < RELAY_MINED; i++) {
        settle();
        clock_sleep_usec(5000);
        row = row_of(id);
    }
    assert_int_equal(row.state, RELAY_MINED);
    assert_true(row.has_contract);
    coin = row.contract;
    return close_world(state);
}

static int stop_chain(void **state)
{
    (void)state;
    devchain_stop(devchain);
    return 0;
}

static int setup(void **state)
{
    if (devchain == NULL) {
        return 0;
    }
    return open_world(state);
}

static int teardown(void **state)
{
    return devchain == NULL ? 0 : close_world(state);
}

static void need_anvil(void)
{
    if (devchain == NULL) {
        skip();
    }
}

/* await steps until the intent is in a state; anvil mines a moment after it has answered. */
static void await(struct slice id, enum relay_state wanted)
{
    for (int i = 0; i < 2000 && row_of(id).state != wanted; i++) {
        settle();
        clock_sleep_usec(2000);
    }
    assert_state(id, wanted);
}

/* ---- many submitters ---- */

enum { THREADS = 50, EACH = 20 };

struct submitter {
    pthread_t thread;
    size_t index;
    struct address holder;
    struct slice ids[EACH];
    enum err err;
};

static void *run_submitter(void *ctx)
{
    struct submitter *s = ctx;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < EACH; i++) {
        struct relay_intent intent = {
            .key = slice_format(&arena, "many/%zu/%zu", s->index, i),
            .chain_id = 31337,
            .wallet = *wallet(0),
            .has_to = true,
            .to = coin,
            .role = "payer",
            .purpose = "test",
        };
        s->err =
            test_stablecoin_mint_encode(&arena, &s->holder, u256_from_u64(1), &intent.data, NULL);
        struct submission submission = {.arena = &arena, .intent = &intent};
        if (s->err == OK) {
            s->err = store_write(w.s.store, run_submit, &submission, NULL);
        }
        if (s->err != OK) {
            break;
        }
    }
    arena_free(&arena);
    return NULL;
}

static void a_thousand_intents_of_fifty_threads(void **state)
{
    (void)state;
    need_anvil();
    struct why why = {0};
    struct submitter submitters[THREADS];
    struct address holder = new_holder();
    uint64_t first = chain_nonce(0);
    int64_t started = clock_mono_usec();
    w.config.stuck_usec = 2 * SECONDS; /* anvil shelves some transactions */
    world_renew();
    assert_int_equal(relay_start(w.relay, &why), OK);
    for (size_t i = 0; i < THREADS; i++) {
        submitters[i] = (struct submitter){.index = i, .holder = holder};
        assert_int_equal(pthread_create(&submitters[i].thread, NULL, run_submitter, &submitters[i]),
                         0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(submitters[i].thread, NULL), 0);
        assert_int_equal(submitters[i].err, OK);
    }
    for (int i = 0; i < 6000; i++) {
        if (count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4") == THREADS * EACH) {
            break;
        }
        clock_sleep_usec(10000);
    }
    int64_t took = clock_mono_usec() - started;
    relay_stop(w.relay);
    print_message("%d intents of one wallet mined in %lld ms: %lld tx/s\n", THREADS * EACH,
                  (long long)(took / 1000), (long long)(THREADS * EACH * SECONDS / took));
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4"),
                     THREADS * EACH);
    assert_int_equal(count_rows("SELECT COUNT(DISTINCT nonce) FROM relay_intents"), THREADS * EACH);
    assert_int_equal(count_rows("SELECT MAX(nonce) - MIN(nonce) FROM relay_intents"),
                     THREADS * EACH - 1);
    assert_int_equal(chain_nonce(0), first + THREADS * EACH);
    assert_int_equal(balance_of(&holder), THREADS * EACH);
}

/* ---- what contracts say ---- */

static void a_revert_says_why(void **state)
{
    (void)state;
    need_anvil();
    uint64_t before = chain_nonce(1);
    struct relay_intent intent = plain("poor");
    intent.wallet = *wallet(1);
    struct slice id = submit(&intent);
    settle();
    assert_state(id, RELAY_FAILED);
    assert_error(id, ERR_REVERTED, "ERC20InsufficientBalance(");
    assert_error(id, ERR_REVERTED, wallet_text(1));
    assert_int_equal(chain_nonce(1), before);
}

static void after_sees_what_the_other_did(void **state)
{
    (void)state;
    need_anvil();
    struct address before = somebody;
    uint64_t had = balance_of(&before);
    struct relay_intent spend = plain("spend");
    spend.wallet = *wallet(2);
    struct relay_intent mint = minting("mint", wallet(2));
    spend.after = submit(&mint);
    struct slice id = submit(&spend);
    await(id, RELAY_MINED);
    assert_true(balance_of(&before) == had + 1);
    assert_true(row_of(id).block_number >= row_of(spend.after).block_number);
}

/* ---- what nodes do ---- */

static void a_reorganisation_takes_it_away_and_it_comes_back(void **state)
{
    (void)state;
    need_anvil();
    struct address holder = new_holder();
    struct relay_intent intent = minting("reorg", &holder);
    struct slice id = submit(&intent);
    await(id, RELAY_MINED);
    struct hash hash = row_of(id).hash;
    (void)ASK("anvil_reorg", "[1,[]]");
    assert_int_equal(balance_of(&holder), 0);
    push(3 * SECONDS);
    settle();
    await(id, RELAY_MINED);
    struct relay_row row = row_of(id);
    assert_true(hash_equal(&row.hash, &hash));
    assert_int_equal(row.attempts, 1);
    assert_int_equal(balance_of(&holder), 1);
    assert_non_null(strstr(history(id), "mined signed"));
}

static void an_empty_wallet_recovers(void **state)
{
    (void)state;
    need_anvil();
    struct address holder = new_holder();
    (void)ASK("anvil_setBalance", "[\"%s\",\"0x0\"]", wallet_text(0));
    struct relay_intent first = minting("first", &holder);
    struct relay_intent second = minting("second", &holder);
    struct slice a = submit(&first);
    struct slice b = submit(&second);
    for (int i = 0; i < 10; i++) {
        push(SECONDS);
        settle();
    }
    assert_true(row_of(a).state <= RELAY_SIGNED);
    assert_int_equal(balance_of(&holder), 0);
    (void)ASK("anvil_setBalance", "[\"%s\",\"0x21e19e0c9bab2400000\"]", wallet_text(0));
    push(4 * SECONDS);
    await(a, RELAY_MINED);
    await(b, RELAY_MINED);
    assert_int_equal(balance_of(&holder), 2);
}

static void a_pool_that_was_dropped_is_filled_again(void **state)
{
    (void)state;
    need_anvil();
    struct address holder = new_holder();
    struct slice ids[5];
    (void)ASK("evm_setAutomine", "[false]");
    for (size_t i = 0; i < 5; i++) {
        struct relay_intent intent =
            minting(slice_cstr(&w.arena, slice_format(&w.arena, "drop/%zu", i)), &holder);
        ids[i] = submit(&intent);
    }
    settle();
    assert_state(ids[4], RELAY_SENT);
    (void)ASK("anvil_dropAllTransactions", "[]");
    (void)ASK("evm_mine", "[]");
    settle();
    assert_int_equal(balance_of(&holder), 0);
    push(16 * SECONDS);
    settle();
    (void)ASK("evm_mine", "[]");
    (void)ASK("evm_setAutomine", "[true]");
    for (size_t i = 0; i < 5; i++) {
        await(ids[i], RELAY_MINED);
        assert_int_equal(row_of(ids[i]).attempts, 1);
    }
    assert_int_equal(balance_of(&holder), 5);
}

static void a_fee_that_fell_behind_is_raised(void **state)
{
    (void)state;
    need_anvil();
    struct address holder = new_holder();
    (void)ASK("evm_setAutomine", "[false]");
    struct relay_intent intent = minting("stuck", &holder);
    struct slice id = submit(&intent);
    settle();
    assert_state(id, RELAY_SENT);
    (void)ASK("anvil_setNextBlockBaseFeePerGas", "[\"0x174876e800\"]"); /* 100 gwei */
    (void)ASK("evm_mine", "[]");
    settle();
    assert_state(id, RELAY_SENT);
    push(61 * SECONDS);
    settle();
    assert_int_equal(row_of(id).attempts, 2);
    (void)ASK("evm_mine", "[]");
    (void)ASK("evm_setAutomine", "[true]");
    await(id, RELAY_MINED);
    assert_int_equal(balance_of(&holder), 1);
    (void)ASK("anvil_setNextBlockBaseFeePerGas", "[\"0x3b9aca00\"]");
    (void)ASK("evm_mine", "[]");
}

static void somebody_else_uses_the_key(void **state)
{
    (void)state;
    need_anvil();
    struct address holder = new_holder();
    (void)ASK("evm_setAutomine", "[false]");
    struct relay_intent lost = minting("lost", &holder);
    struct slice id = submit(&lost);
    settle();
    assert_state(id, RELAY_SENT);
    (void)ASK("anvil_dropAllTransactions", "[]");
    (void)ASK("eth_sendTransaction", "[{\"from\":\"%s\",\"to\":\"%s\",\"value\":\"0x1\"}]",
              wallet_text(0), wallet_text(1));
    (void)ASK("evm_mine", "[]");
    (void)ASK("evm_setAutomine", "[true]");
    settle();
    push(31 * SECONDS);
    settle();
    await(id, RELAY_REPLACED);
    assert_error(id, ERR_TX_REPLACED, "outside of this relay");
    struct relay_intent next = minting("next", &holder);
    await(submit(&next), RELAY_MINED);
    assert_int_equal(balance_of(&holder), 1);
}

/* ---- kill -9 ---- */

enum { KILLS = 50, PER_LIFE = 12 };

static const char *life_key(size_t i)
{
    return slice_cstr(&w.arena, slice_format(&w.arena, "life/%zu", i));
}

/* One life: asks again for what earlier lives asked for, and for some more, until it is killed. */
static int live_until_killed(const char *url, const char *store_url, const char *coin_text,
                             const char *holder_text, size_t intents)
{
    struct why why = {0};
    struct address holder;
    w = (struct world){.config = world_config()};
    w.config.poll_usec = 5000;
    w.config.stuck_usec = SECONDS;
    (void)pthread_mutex_init(&w.lock, NULL);
    log_set_fd(-1);
    net_start();
    arena_init(&w.arena, 0);
    w.s.catalog = &sql_catalog;
    w.s.config = (struct store_config){.url = store_url,
                                       .readers = 4,
                                       .writers = 8,
                                       .busy_usec = 2000000,
                                       .connect_usec = 5000000,
                                       .statement_usec = 60000000,
                                       .batch_max = 256,
                                       .synchronous = "full"};
    if (address_parse(slice_text(coin_text), &coin) != OK ||
        address_parse(slice_text(holder_text), &holder) != OK ||
        support_store_start(&w.s, &why) != OK) {
        return 2;
    }
    make_keys();
    w.pool = world_pool(url);
    w.relay = make_relay(w.s.store, w.pool);
    if (relay_start(w.relay, &why) != OK) {
        return 3;
    }
    (void)!write(STDOUT_FILENO, "!", 1);
    for (size_t i = 0; i < intents; i++) {
        struct relay_intent intent = minting(life_key(i), &holder);
        intent.wallet = *wallet(i % 2);
        (void)submit(&intent);
    }
    for (;;) {
        pause();
    }
}

static void killed_at_any_time_each_intent_is_mined_once(void **state)
{
    (void)state;
    need_anvil();
    struct address holder = new_holder();
    char coin_text[ADDRESS_TEXT_MAX];
    char holder_text[ADDRESS_TEXT_MAX];
    uint64_t first[2] = {chain_nonce(0), chain_nonce(1)};
    address_format(&coin, coin_text);
    address_format(&holder, holder_text);
    store_close(w.s.store);
    w.s.store = NULL;
    int worked = 0;
    uint64_t last = 0;
    uint64_t life_usec = 120000; /* at most; it moves to where about every other one gets to work */
    for (int round = 1; round <= KILLS; round++) {
        char intents[16];
        (void)snprintf(intents, sizeof intents, "%d", round * PER_LIFE);
        int ready[2];
        assert_int_equal(pipe(ready), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)dup2(ready[1], STDOUT_FILENO);
            (void)execl("/proc/self/exe", "test_relay_anvil", "live", devchain_url(devchain),
                        w.s.url, coin_text, holder_text, intents, (char *)NULL);
            _exit(127);
        }
        (void)close(ready[1]); /* a child that dies by itself is an end of file */
        /* Most are killed at work, some while they start. */
        char mark = 0;
        if (round % 5 != 0) {
            assert_int_equal(read(ready[0], &mark, 1), 1);
        }
        (void)close(ready[0]);
        clock_sleep_usec((int64_t)rand_below(life_usec));
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        uint64_t now = balance_of(&holder);
        worked += now != last;
        life_usec = mark == 0     ? life_usec
                    : now == last ? life_usec + life_usec / 8
                                  : life_usec - life_usec / 8;
        last = now;
    }
    assert_true(worked >= KILLS / 4);
    struct why why = {0};
    assert_int_equal(support_store_start(&w.s, &why), OK);
    w.config.stuck_usec = SECONDS;
    world_renew();
    assert_int_equal(relay_reconcile(w.relay, NULL), OK);
    size_t count = KILLS * PER_LIFE;
    for (size_t i = 0; i < count; i++) {
        struct relay_intent intent = minting(life_key(i), &holder);
        intent.wallet = *wallet(i % 2);
        (void)submit(&intent);
    }
    for (int i = 0; i < 3000; i++) {
        settle();
        if (count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4") == (int64_t)count) {
            break;
        }
        push(SECONDS / 10);
        clock_sleep_usec(2000);
    }
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents WHERE state = 4"), count);
    assert_int_equal(balance_of(&holder), count);
    assert_int_equal(chain_nonce(0) - first[0] + chain_nonce(1) - first[1], count);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "live") == 0) {
        return live_until_killed(argv[2], argv[3], argv[4], argv[5],
                                 (size_t)strtoull(argv[6], NULL, 10));
    }
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        TEST(a_thousand_intents_of_fifty_threads),
        TEST(a_revert_says_why),
        TEST(after_sees_what_the_other_did),
        TEST(a_reorganisation_takes_it_away_and_it_comes_back),
        TEST(an_empty_wallet_recovers),
        TEST(a_pool_that_was_dropped_is_filled_again),
        TEST(a_fee_that_fell_behind_is_raised),
        TEST(somebody_else_uses_the_key),
        TEST(killed_at_any_time_each_intent_is_mined_once),
    };
    return cmocka_run_group_tests(tests, start_chain, stop_chain);
}
