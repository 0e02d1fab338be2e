/* What endpoints have shown that they can do. */
#include "kernel/rpc/pool.h"
#include "support/fake_node.c"
#include "support/rpc_fixture.c"
#include "unit/test.h"

#define BLOCKS 20

struct world {
    struct fixture *f;
    struct fake_node *fakes[2];
};

static int world_setup(void **state)
{
    struct world *w = mem_alloc(sizeof *w);
    fixture_setup((void **)&w->f);
    w->f->options.timeout_usec = 10 * (int64_t)USEC_PER_SEC;
    w->f->options.answer_bytes_max = 1000000;
    for (size_t i = 0; i < 2; i++) {
        w->fakes[i] = fake_node_start();
        int head = fake_node_head(w->fakes[i]);
        for (int b = 0; b < BLOCKS; b++) {
            head = fake_node_block(w->fakes[i], head, NULL, 0, 0);
        }
        fake_node_set_head(w->fakes[i], head);
        fixture_url(w->f, fake_node_url(w->fakes[i]));
    }
    *state = w;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *w = *state;
    void *f = w->f;
    fixture_teardown(&f);
    fake_node_stop(w->fakes[0]);
    fake_node_stop(w->fakes[1]);
    mem_free(w);
    return 0;
}

static const struct json *shown(struct world *w, size_t which, const char *key)
{
    struct buf out;
    struct json_out j;
    const struct json *v = NULL;
    buf_init(&out, &w->f->arena, 0);
    json_out_init(&j, &out);
    json_begin_object(&j);
    rpc_health(w->f->pool, &j);
    json_end_object(&j);
    assert_int_equal(json_parse(&w->f->arena, buf_slice(&out), &json_limits_body, &v, NULL), OK);
    return json_find(json_at(json_find(v, "endpoints"), which), key);
}

static void assert_shown(struct world *w, size_t which, const char *key, const char *text)
{
    const struct json *v = shown(w, which, key);
    struct buf out;
    struct json_out j;
    buf_init(&out, &w->f->arena, 0);
    json_out_init(&j, &out);
    json_tree(&j, v);
    if (!slice_equal_text(buf_slice(&out), text)) {
        fail_msg("%s of %zu: %.*s", key, which, SLICE_ARG(buf_slice(&out)));
    }
}

static void test_endpoints_are_asked_what_they_know(void **state)
{
    struct world *w = *state;
    fake_node_lock(w->fakes[0])->no_block_receipts = true;
    fake_node_unlock(w->fakes[0]);
    fixture_pool(w->f);
    assert_shown(w, 0, "blockReceipts", "null");
    assert_shown(w, 0, "finalizedTag", "null");
    assert_shown(w, 0, "batchMax", "100");
    rpc_survey(w->f->pool);
    assert_shown(w, 0, "blockReceipts", "false");
    assert_shown(w, 1, "blockReceipts", "true");
    unsigned asked = fake_node_calls(w->fakes[1], "eth_getBlockReceipts");
    assert_int_equal(asked, 1);
    for (int i = 0; i < 5; i++) { /* not with every survey */
        fixture_advance(3 * USEC_PER_SEC);
        rpc_survey(w->f->pool);
    }
    assert_int_equal(fake_node_calls(w->fakes[1], "eth_getBlockReceipts"), asked);
}

static enum err ask_logs(struct world *w, uint64_t blocks)
{
    const struct rpc_log_filter filter = {.from_block = 1, .to_block = blocks};
    struct evm_log *logs = NULL;
    size_t count = 0;
    return rpc_logs(w->f->pool, &w->f->arena, &filter, &logs, &count, &w->f->why);
}

static void test_ranges_of_logs_are_learned(void **state)
{
    struct world *w = *state;
    fixture_pool(w->f);
    assert_shown(w, 0, "logRangeTaken", "null");
    assert_int_equal(ask_logs(w, 10), OK);
    assert_shown(w, 0, "logRangeTaken", "10");
    assert_shown(w, 0, "logRangeRefused", "null");
    fake_node_lock(w->fakes[0])->logs_range_max = 5;
    fake_node_unlock(w->fakes[0]);
    assert_int_equal(ask_logs(w, 8), ERR_LIMIT);
    assert_shown(w, 0, "logRangeRefused", "8");
    assert_shown(w, 0, "logRangeTaken", "null"); /* the limit is another than it was */
    assert_int_equal(ask_logs(w, 4), OK);
    assert_shown(w, 0, "logRangeTaken", "4");
    fake_node_lock(w->fakes[0])->logs_range_max = 0;
    fake_node_unlock(w->fakes[0]);
    assert_int_equal(ask_logs(w, 20), OK);
    assert_shown(w, 0, "logRangeTaken", "20");
    assert_shown(w, 0, "logRangeRefused", "null");
    assert_shown(w, 1, "logRangeTaken", "null");
}

/* The second knows the method: the first is not asked for single receipts instead. */
static void test_receipts_come_from_the_one_that_has_them(void **state)
{
    struct world *w = *state;
    struct fake_log log = {.address = {{7}}, .tx = {{9}}};
    for (size_t i = 0; i < 2; i++) {
        int head = fake_node_block(w->fakes[i], fake_node_head(w->fakes[i]), &log, 1, 0);
        fake_node_set_head(w->fakes[i], head);
    }
    fake_node_lock(w->fakes[0])->no_block_receipts = true;
    fake_node_unlock(w->fakes[0]);
    fixture_pool(w->f);
    struct evm_header header;
    struct evm_log *logs = NULL;
    size_t count = 0;
    assert_int_equal(rpc_header(w->f->pool, &w->f->arena, BLOCKS + 1, &header, &w->f->why), OK);
    const struct evm_header *headers[] = {&header};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rpc_proven_logs(w->f->pool, &w->f->arena, headers, 1, &log.address, 1,
                                         &logs, &count, &w->f->why),
                         OK);
        assert_int_equal(count, 1);
    }
    assert_int_equal(fake_node_calls(w->fakes[0], "eth_getBlockReceipts"), 1);
    assert_int_equal(fake_node_calls(w->fakes[1], "eth_getBlockReceipts"), 3);
    assert_int_equal(fake_node_calls(w->fakes[0], "eth_getTransactionReceipt"), 0);
    assert_int_equal(fake_node_calls(w->fakes[1], "eth_getTransactionReceipt"), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_endpoints_are_asked_what_they_know),
        TEST(test_ranges_of_logs_are_learned),
        TEST(test_receipts_come_from_the_one_that_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
