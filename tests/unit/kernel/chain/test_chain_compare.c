/* Stored events held against the chain: whatever is done to a row is found, and where. */
#include "unit/kernel/chain/world.h"

#include "kernel/chain/chain_compare.h"

#define BLOCKS 40

static struct fake_node *node;
static struct follower f;
static int head;

static int setup(void **state)
{
    (void)state;
    log_set_fd(-1);
    node = fake_node_start();
    struct address token = address_of(5), from = address_of(1), to = address_of(2);
    struct fake_log created = log_created(CREATED, &factory, &token, 1, tx_of(1000));
    head = fake_node_block(node, 0, &created, 1, 0);
    for (uint64_t i = 1; i < BLOCKS; i++) {
        struct fake_log logs[2] = {
            log_moved(&token, &from, &to, 20 + i, tx_of(2 * i)),
            log_moved(&token, &to, &from, 30 + i, tx_of(2 * i + 1)),
        };
        head = fake_node_block(node, head, logs, i % 3 == 0 ? 0 : 2, i);
    }
    fake_node_set_head(node, head);
    follower_open_with(&f, fake_node_url(node), world_config());
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

static struct chain_comparison compared(uint64_t from, uint64_t to)
{
    struct chain_comparison c = {0};
    struct why why = {0};
    if (chain_compare(f.chain, from, to, &c, &why) != OK) {
        fail_msg("%s", why.text);
    }
    return c;
}

static void tamper(const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open_v2(f.s.path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, 5000), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
    assert_int_equal(sqlite3_changes(db), 1);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void what_was_applied_is_the_chain(void **state)
{
    (void)state;
    struct chain_comparison c = compared(0, UINT64_MAX);
    assert_true(c.equal);
    assert_true(c.from == 1);
    assert_true(c.to == BLOCKS);
    assert_int_equal(c.events, 1 + 2 * 26); /* of 39 blocks a third has none */
    struct chain_comparison part = compared(2, 3);
    assert_true(part.equal);
    assert_int_equal(part.events, 4);
    assert_false(hash_equal(&part.digest, &c.digest));
}

static void the_digest_does_not_depend_on_the_reading(void **state)
{
    (void)state;
    struct chain_comparison large = compared(0, UINT64_MAX);
    struct chain_config config = world_config();
    config.range_max = 3;
    follower_close(&f);
    follower_open_with(&f, fake_node_url(node), config);
    settle(&f);
    struct chain_comparison small = compared(0, UINT64_MAX);
    assert_true(small.equal);
    assert_true(hash_equal(&small.digest, &large.digest));
}

static void every_change_of_a_row_is_found(void **state)
{
    static const struct {
        const char *sql, *undo, *difference;
    } cases[] = {
        {"UPDATE blockchain_events SET event_data = replace(event_data, '\"25\"', '\"26\"') WHERE "
         "block_number = 6 AND log_index = 0",
         "UPDATE blockchain_events SET event_data = replace(event_data, '\"26\"', '\"25\"') WHERE "
         "block_number = 6 AND log_index = 0",
         "has other data"},
        {"UPDATE blockchain_events SET event_type = 'Split' WHERE block_number = 6 AND log_index = "
         "0",
         "UPDATE blockchain_events SET event_type = 'Moved' WHERE block_number = 6 AND log_index = "
         "0",
         "is of another type"},
        {"UPDATE blockchain_events SET contract_address = zeroblob(20) WHERE block_number = 6 AND "
         "log_index = 0",
         "UPDATE blockchain_events SET contract_address = (SELECT contract_address FROM "
         "blockchain_events WHERE block_number = 6 AND log_index = 1) WHERE block_number = 6 AND "
         "log_index = 0",
         "names another contract"},
        {"UPDATE blockchain_events SET log_index = 7 WHERE block_number = 6 AND log_index = 0",
         "UPDATE blockchain_events SET log_index = 0 WHERE block_number = 6 AND log_index = 7",
         "is on the chain and not stored"},
        {"UPDATE blockchain_events SET block_number = 4, log_index = 9 WHERE block_number = 6 AND "
         "log_index = 0",
         "UPDATE blockchain_events SET block_number = 6, log_index = 0 WHERE block_number = 4 AND "
         "log_index = 9",
         "is stored and not on the chain"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tamper(cases[i].sql);
        struct chain_comparison c = compared(0, UINT64_MAX);
        assert_false(c.equal);
        assert_string_equal(c.difference, cases[i].difference);
        assert_in_range(c.block, 4, 6);
        assert_true(compared(7, UINT64_MAX).equal);
        assert_true(compared(1, 3).equal);
        tamper(cases[i].undo);
        assert_true(compared(0, UINT64_MAX).equal);
    }
    tamper(
        "UPDATE blockchain_events SET transaction_hash = zeroblob(32) WHERE block_number = 6 AND "
        "log_index = 0");
    assert_string_equal(compared(0, UINT64_MAX).difference, "names another transaction");
    tamper("DELETE FROM blockchain_events WHERE block_number = 6 AND log_index = 0");
    struct chain_comparison c = compared(0, UINT64_MAX);
    assert_string_equal(c.difference, "is on the chain and not stored");
    assert_true(c.block == 6);
    assert_int_equal(c.log_index, 0);
}

static void blocks_that_are_no_longer_the_chain_are_not_compared(void **state)
{
    (void)state;
    struct chain_comparison c = {.events = 7};
    struct why why = {0};
    int fork = fake_node_ancestor(node, head, BLOCKS - 2);
    for (uint64_t i = 0; i < 4; i++) {
        fork = fake_node_block(node, fork, NULL, 0, 900 + i);
    }
    fake_node_set_head(node, fork);
    assert_int_equal(chain_compare(f.chain, 0, UINT64_MAX, &c, &why), ERR_CONFLICT);
    assert_int_equal(c.events, 7);
    settle(&f);
    c = compared(0, UINT64_MAX);
    assert_true(c.equal);
    assert_true(c.to == cursor_of(&f));
    assert_int_equal(c.events, count_rows(&f, "SELECT COUNT(*) FROM blockchain_events"));
    assert_as_fresh(&f, node);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    world_init();
    const struct CMUnitTest tests[] = {
        TEST(what_was_applied_is_the_chain),
        TEST(the_digest_does_not_depend_on_the_reading),
        TEST(every_change_of_a_row_is_found),
        TEST(blocks_that_are_no_longer_the_chain_are_not_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
