/*
 * The life of an intent that meets no trouble, and what callers see of it.
 */
#include "unit/kernel/relay/fake.h"

static void an_intent_goes_all_the_way(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    struct relay_row row = row_of(id);
    assert_int_equal(row.state, RELAY_QUEUED);
    assert_false(row.has_nonce || row.has_hash || row.has_block || row.final);
    assert_true(slice_starts(id, SLICE_LIT("tx_")));
    settle();
    row = row_of(id);
    assert_int_equal(row.state, RELAY_SENT);
    assert_true(row.has_nonce && row.nonce == 0 && row.has_hash && row.attempts == 1);
    assert_int_equal(fake_node_pool(node), 1);
    assert_int_equal(store_signal_now(w.s.store, "chain_poke"), 0);
    mine();
    settle();
    row = row_of(id);
    assert_int_equal(row.state, RELAY_MINED);
    assert_int_equal(store_signal_now(w.s.store, "chain_poke"), 1);
    assert_true(row.has_block && row.block_number == 1 && row.gas_used == 21000);
    struct hash block = fake_node_hash(node, fake_node_head(node));
    assert_true(hash_equal(&row.block_hash, &block));
    assert_true(u256_equal(wei_raw(row.gas_price), u256_from_u64(7)));
    assert_false(row.final || row.has_contract || row.error_code.len > 0);
    struct fake_mined mined[2];
    assert_int_equal(mined_of(wallet(0), mined, 2), 1);
    assert_true(hash_equal(&mined[0].hash, &row.hash));
    assert_true(address_equal(&mined[0].to, &coin));
    assert_int_equal(mined[0].gas_limit, 60000); /* the estimate and a fifth */
    mine_empty(7);
    push(3 * SECONDS);
    settle();
    assert_false(row_of(id).final);
    mine_empty(1);
    push(3 * SECONDS);
    settle();
    assert_true(row_of(id).final);
    assert_string_equal(history(id), "signed sent mined mined!");
    unsigned before = fake_node_calls(node, "eth_getTransactionReceipt");
    push(60 * SECONDS);
    settle();
    assert_int_equal(fake_node_calls(node, "eth_getTransactionReceipt"), before);
}

static void reverted_transaction_says_so(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    FAULT(revert_mined, 1);
    settle();
    mine();
    settle();
    assert_state(id, RELAY_REVERTED);
    assert_error(id, ERR_REVERTED, "mined and reverted");
    assert_string_equal(history(id), "signed sent reverted");
    assert_true(row_of(id).has_block);
    mine_empty(8);
    push(3 * SECONDS);
    settle();
    assert_string_equal(history(id), "signed sent reverted reverted!");
}

static void creation_tells_the_address(void **state)
{
    (void)state;
    struct relay_intent intent = plain("a");
    intent.has_to = false;
    intent.role = "deployer";
    intent.data = SLICE_LIT("\x60\x00");
    struct slice id = submit(&intent);
    settle();
    mine();
    settle();
    struct relay_row row = row_of(id);
    struct address expected = address_of_create(wallet(0), 0);
    assert_false(row.has_to);
    assert_true(row.has_contract && address_equal(&row.contract, &expected));
}

static void nonces_follow_the_order_of_submission(void **state)
{
    (void)state;
    struct slice ids[100];
    for (size_t i = 0; i < 100; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%zu", i);
        struct relay_intent intent = plain(key);
        intent.key = slice_copy(&w.arena, intent.key);
        intent.wallet = *wallet(i % 2);
        ids[i] = submit(&intent);
    }
    settle();
    mine();
    settle();
    for (size_t i = 0; i < 100; i++) {
        struct relay_row row = row_of(ids[i]);
        assert_int_equal(row.state, RELAY_MINED);
        assert_int_equal(row.nonce, i / 2);
    }
}

/* ---- keys ---- */

static void key_makes_it_one(void **state)
{
    (void)state;
    struct relay_intent intent = plain("a");
    struct slice first = submit(&intent);
    intent.gas_limit = 99000;
    intent.deadline_usec = clock_wall_usec() + SECONDS;
    assert_true(slice_equal(first, submit(&intent)));
    settle();
    assert_true(slice_equal(first, submit(&intent)));
    mine();
    settle();
    assert_true(slice_equal(first, submit(&intent)));
    settle();
    assert_int_equal(mined_count(), 1);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents"), 1);
}

static void key_with_other_content_is_refused(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    struct relay_intent others[7];
    for (size_t i = 0; i < 7; i++) {
        others[i] = plain("a");
    }
    others[0].wallet = *wallet(1);
    others[1].to = somebody;
    others[2].has_to = false;
    others[3].value = wei_of(u256_from_u64(1));
    others[4].data = transfer_data(&w.arena, 2);
    others[5].role = "patron";
    others[6].purpose = "other";
    for (size_t i = 0; i < 7; i++) {
        struct slice out = SLICE_EMPTY;
        struct why why = {0};
        assert_int_equal(submit_result(&others[i], &out, &why), ERR_IDEMPOTENCY_MISMATCH);
        assert_non_null(strstr(why.text, slice_cstr(&w.arena, id)));
    }
    assert_int_equal(count_rows("SELECT COUNT(*) FROM relay_intents"), 1);
}

/* ---- after, deadline, cancel ---- */

static void after_holds_back_until_the_other_is_mined(void **state)
{
    (void)state;
    struct relay_intent second = plain("b");
    second.after = submit_plain("a");
    struct relay_intent third = plain("c");
    third.after = submit(&second);
    struct slice c = submit(&third);
    struct slice free = submit_plain("d");
    settle();
    assert_state(second.after, RELAY_SENT);
    assert_state(third.after, RELAY_QUEUED);
    assert_state(c, RELAY_QUEUED);
    assert_state(free, RELAY_SENT);
    mine();
    settle();
    assert_state(third.after, RELAY_SENT);
    assert_state(c, RELAY_QUEUED);
    mine();
    settle();
    mine();
    settle();
    assert_state(c, RELAY_MINED);
    assert_int_equal(row_of(c).nonce, 3);
}

static void after_something_that_failed_fails(void **state)
{
    (void)state;
    struct relay_intent bad = plain("a");
    bad.role = "nobody";
    struct relay_intent dependent[3] = {plain("d"), plain("e"), plain("f")};
    dependent[0].after = submit(&bad);
    dependent[1].after = submit_plain("b"); /* will revert */
    dependent[2].after = SLICE_LIT("tx_that_never_was");
    struct slice ids[3];
    for (size_t i = 0; i < 3; i++) {
        ids[i] = submit(&dependent[i]);
    }
    struct relay_intent last = plain("h");
    last.after = ids[0];
    struct slice end = submit(&last);
    FAULT(revert_mined, 1);
    settle();
    mine();
    settle();
    for (size_t i = 0; i < 3; i++) {
        assert_state(ids[i], RELAY_FAILED);
        assert_error(ids[i], ERR_CONFLICT, "waited for did not succeed");
        assert_false(row_of(ids[i]).has_nonce);
        assert_true(row_of(ids[i]).final);
    }
    assert_state(end, RELAY_FAILED);
    assert_string_equal(history(end), "failed!");
}

struct cancelling {
    struct slice id;
};

static enum err run_cancel(struct store_tx *tx, void *ctx, struct why *why)
{
    return relay_cancel(tx, ((struct cancelling *)ctx)->id, why);
}

static enum err cancel(struct slice id, struct why *why)
{
    struct cancelling c = {.id = id};
    return store_write(w.s.store, run_cancel, &c, why);
}

static void what_is_queued_is_cancelled_at_once(void **state)
{
    (void)state;
    struct why why = {0};
    struct slice a = submit_plain("a");
    struct relay_intent after = plain("b");
    after.after = a;
    struct slice b = submit(&after);
    assert_int_equal(cancel(a, &why), OK);
    assert_int_equal(cancel(a, &why), OK);
    assert_state(a, RELAY_CANCELLED);
    assert_true(row_of(a).final);
    settle();
    assert_state(b, RELAY_FAILED);
    assert_int_equal(fake_node_pool(node), 0);
    assert_int_equal(cancel(SLICE_LIT("tx_none"), &why), ERR_NOT_FOUND);
    struct slice c = submit_plain("c");
    settle();
    mine();
    settle();
    assert_state(c, RELAY_MINED);
    assert_int_equal(row_of(c).nonce, 0);
    assert_int_equal(cancel(c, &why), ERR_CONFLICT);
    assert_non_null(strstr(why.text, "is mined: it cannot be cancelled"));
}

static void deadline_ends_what_was_not_signed(void **state)
{
    (void)state;
    int64_t soon = clock_wall_usec() + 10 * SECONDS;
    struct relay_intent intent = plain("a");
    intent.deadline_usec = soon;
    struct slice in_time = submit(&intent);
    settle();
    /* Waiting for another transaction does not stop the clock. */
    struct relay_intent late = plain("b");
    late.deadline_usec = soon;
    late.after = in_time;
    struct slice waiting = submit(&late);
    settle();
    assert_state(waiting, RELAY_QUEUED);
    wait_seconds(11);
    assert_state(waiting, RELAY_FAILED);
    assert_error(waiting, ERR_DEADLINE_EXPIRED, "deadline passed");
    assert_false(row_of(waiting).has_nonce);
    /* Nor does a chain that is too dear. */
    fake_node_set_fees(node, 600 * GWEI, 0);
    struct relay_intent dear = plain("c");
    dear.deadline_usec = clock_wall_usec() + 10 * SECONDS;
    struct slice priced_out = submit(&dear);
    wait_seconds(15);
    assert_state(priced_out, RELAY_FAILED);
    assert_error(priced_out, ERR_DEADLINE_EXPIRED, "deadline passed");
}

/* ---- reading ---- */

static enum err read_all(struct store_tx *tx, void *ctx, struct why *why)
{
    struct slice *ids = ctx;
    struct relay_row row;
    bool found = false;
    struct hash unknown = {{1}};
    assert_int_equal(relay_get_by_key(tx, &w.arena, SLICE_LIT("k1"), &row, why), OK);
    assert_true(slice_equal(row.id, ids[1]));
    assert_int_equal(relay_get_by_key(tx, &w.arena, SLICE_LIT("none"), &row, why), ERR_NOT_FOUND);
    assert_int_equal(relay_get(tx, &w.arena, ids[0], &row, why), OK);
    struct hash hash = row.hash;
    assert_int_equal(relay_get_by_hash(tx, &w.arena, &hash, &row, &found, why), OK);
    assert_true(found && slice_equal(row.id, ids[0]));
    assert_int_equal(relay_get_by_hash(tx, &w.arena, &unknown, &row, &found, why), OK);
    assert_false(found);
    struct relay_row *rows = NULL;
    size_t count = 0;
    struct relay_filter filter = {.limit = 2};
    assert_int_equal(relay_list(tx, &w.arena, &filter, &rows, &count, why), OK);
    assert_int_equal(count, 2);
    assert_true(slice_equal(rows[0].id, ids[2]) && slice_equal(rows[1].id, ids[1]));
    filter.cursor = rows[1].id;
    assert_int_equal(relay_list(tx, &w.arena, &filter, &rows, &count, why), OK);
    assert_int_equal(count, 1);
    assert_true(slice_equal(rows[0].id, ids[0]));
    struct relay_filter each[] = {
        {.state = RELAY_MINED},
        {.purpose = SLICE_LIT("test")},
        {.has_wallet = true, .wallet = *wallet(0)},
        {.has_hash = true, .hash = hash},
        {.state = RELAY_FAILED},
        {.open = true},
        {.purpose = SLICE_LIT("other")},
        {.has_wallet = true, .wallet = *wallet(1)},
        {.has_hash = true, .hash = unknown},
    };
    static const size_t wanted[] = {3, 3, 3, 1, 0, 0, 0, 0, 0};
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++) {
        each[i].limit = 9;
        assert_int_equal(relay_list(tx, &w.arena, &each[i], &rows, &count, why), OK);
        assert_int_equal(count, wanted[i]);
    }
    return OK;
}

static void intents_are_found(void **state)
{
    (void)state;
    struct slice ids[3] = {submit_plain("k0"), submit_plain("k1"), submit_plain("k2")};
    settle();
    mine();
    settle();
    assert_int_equal(store_read(w.s.store, read_all, ids, NULL), OK);
    assert_true(relay_has_wallet(w.relay, wallet(2)));
    assert_false(relay_has_wallet(w.relay, &somebody));
}

static const char *json_of(const struct relay_row *row)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, &w.arena, 1024);
    json_out_init(&j, &b);
    relay_row_json(&j, row);
    return slice_cstr(&w.arena, buf_slice(&b));
}

static void row_as_json(void **state)
{
    (void)state;
    struct slice id = submit_plain("a");
    struct relay_row row = row_of(id);
    const char *text = json_of(&row);
    assert_non_null(strstr(text, "\"state\":\"queued\",\"final\":false,\"chainId\":31337"));
    assert_non_null(strstr(text, "\"nonce\":null,\"transactionHash\":null"));
    assert_non_null(strstr(text, "\"blockNumber\":null"));
    settle();
    mine();
    settle();
    row = row_of(id);
    text = json_of(&row);
    assert_non_null(strstr(text, "\"state\":\"mined\""));
    assert_non_null(strstr(text, "\"nonce\":0,\"transactionHash\":\"0x"));
    assert_non_null(strstr(text, "\"blockNumber\":1,\"gasUsed\":21000,\"gasPrice\":\"7\""));
    assert_null(strstr(text, "\"error\""));
}

/* ---- the thread ---- */

static void the_thread_is_quick_and_quiet(void **state)
{
    (void)state;
    fake_node_set_automine(node, true);
    struct why why = {0};
    assert_int_equal(relay_start(w.relay, &why), OK);
    clock_sleep_usec(300000);
    /* Idle, it asks nothing. */
    unsigned before =
        fake_node_calls(node, "eth_getTransactionCount") + fake_node_calls(node, "eth_feeHistory");
    clock_sleep_usec(400000);
    assert_int_equal(fake_node_calls(node, "eth_getTransactionCount") +
                         fake_node_calls(node, "eth_feeHistory"),
                     before);
    int64_t started = clock_mono_usec();
    struct relay_row row;
    struct slice id = submit_plain("a");
    assert_int_equal(relay_wait(w.s.store, &w.arena, id, 10 * SECONDS, &row, &why), OK);
    assert_int_equal(row.state, RELAY_MINED);
    int64_t took = clock_mono_usec() - started;
    print_message("submitted to mined: %lld us\n", (long long)took);
    assert_true(took < 2 * SECONDS);
    relay_stop(w.relay);
}

static void a_sent_transaction_is_not_asked_for_all_the_time(void **state)
{
    (void)state;
    struct why why = {0};
    assert_int_equal(relay_start(w.relay, &why), OK);
    struct relay_row row;
    struct slice id = submit_plain("a");
    assert_int_equal(relay_wait(w.s.store, &w.arena, id, 500000, &row, &why), OK);
    assert_int_equal(row.state, RELAY_SENT);
    unsigned before = fake_node_calls(node, "eth_getTransactionCount");
    clock_sleep_usec(1000000);
    unsigned asked = fake_node_calls(node, "eth_getTransactionCount") - before;
    assert_true(asked >= 10 && asked <= 30); /* every 100 ms, as configured: two questions */
    assert_int_equal(fake_node_calls(node, "eth_getTransactionReceipt"), 0);
    assert_int_equal(fake_node_calls(node, "eth_sendRawTransaction"), 1);
    mine();
    assert_int_equal(relay_wait(w.s.store, &w.arena, id, 10 * SECONDS, &row, &why), OK);
    assert_int_equal(row.state, RELAY_MINED);
    relay_stop(w.relay);
}

/* A thread that was stopped once before on the same store is as patient as the first. */
static void a_failing_node_is_asked_ever_more_seldom(void **state)
{
    (void)state;
    struct why why = {0};
    assert_int_equal(relay_start(w.relay, &why), OK);
    relay_stop(w.relay);
    assert_int_equal(relay_start(w.relay, &why), OK);
    FAULT(fail_every, 1);
    struct slice id = submit_plain("a");
    unsigned before = fake_node_requests(node);
    for (int i = 0; i < 40; i++) {
        store_wake(w.s.store, "relay"); /* as submissions do */
        clock_sleep_usec(50000);
    }
    unsigned asked = fake_node_requests(node) - before;
    assert_true(asked >= 2 && asked <= 16);
    FAULT(fail_every, 0);
    fake_node_set_automine(node, true);
    struct relay_row row;
    assert_int_equal(relay_wait(w.s.store, &w.arena, id, 20 * SECONDS, &row, &why), OK);
    assert_int_equal(row.state, RELAY_MINED);
    relay_stop(w.relay);
}

struct waiting {
    struct slice id;
    struct relay_row row;
    struct arena arena;
    pthread_t thread;
};

static void *wait_for_it(void *ctx)
{
    struct waiting *wait = ctx;
    (void)!relay_wait(w.s.store, &wait->arena, wait->id, 20 * SECONDS, &wait->row, NULL);
    return NULL;
}

static void waiters_wake_up(void **state)
{
    (void)state;
    struct why why = {0};
    assert_int_equal(relay_start(w.relay, &why), OK);
    struct waiting waits[8];
    for (size_t i = 0; i < 8; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        waits[i] = (struct waiting){.id = submit_plain(slice_cstr(&w.arena, slice_text(key)))};
        arena_init(&waits[i].arena, 0);
        assert_int_equal(pthread_create(&waits[i].thread, NULL, wait_for_it, &waits[i]), 0);
    }
    while (fake_node_pool(node) < 8) {
        clock_sleep_usec(1000);
    }
    mine();
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(waits[i].thread, NULL), 0);
        assert_int_equal(waits[i].row.state, RELAY_MINED);
        assert_true(slice_equal(waits[i].row.id, waits[i].id));
        arena_free(&waits[i].arena);
    }
    relay_stop(w.relay);
    struct relay_row row;
    assert_int_equal(relay_wait(w.s.store, &w.arena, SLICE_LIT("tx_none"), SECONDS, &row, &why),
                     ERR_NOT_FOUND);
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        TEST(an_intent_goes_all_the_way),
        TEST(reverted_transaction_says_so),
        TEST(creation_tells_the_address),
        TEST(nonces_follow_the_order_of_submission),
        TEST(key_makes_it_one),
        TEST(key_with_other_content_is_refused),
        TEST(after_holds_back_until_the_other_is_mined),
        TEST(after_something_that_failed_fails),
        TEST(what_is_queued_is_cancelled_at_once),
        TEST(deadline_ends_what_was_not_signed),
        TEST(intents_are_found),
        TEST(row_as_json),
        TEST(the_thread_is_quick_and_quiet),
        TEST(a_sent_transaction_is_not_asked_for_all_the_time),
        TEST(a_failing_node_is_asked_ever_more_seldom),
        TEST(waiters_wake_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
