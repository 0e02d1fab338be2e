/*
 * fake.h: the world of the relay tests on a fake node. Included once by a test program.
 */
#ifndef UNIT_KERNEL_RELAY_FAKE_H
#define UNIT_KERNEL_RELAY_FAKE_H

#include "kernel/base/hex.h"
#include "support/fake_node.c"
#include "unit/kernel/relay/world.h"

#define GWEI UINT64_C(1000000000)

static struct fake_node *node;

static int setup(void **state)
{
    (void)state;
    log_set_fd(-1);
    use_pushed_clock();
    node = fake_node_start();
    world_open(fake_node_url(node));
    assert_int_equal(relay_reconcile(w.relay, NULL), OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close();
    fake_node_stop(node);
    return 0;
}

/* mine makes a block of everything in the pool. */
static inline void mine(void)
{
    (void)fake_node_mine(node, SIZE_MAX);
}

static inline void mine_empty(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        (void)fake_node_mine(node, 0);
    }
}

/* mined_of copies what was mined of a wallet. */
static inline size_t mined_of(const struct address *from, struct fake_mined *out, size_t max)
{
    static struct fake_mined all[8192];
    size_t count = fake_node_mined(node, all, 8192);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (address_equal(&all[i].from, from)) {
            ASSERT(n < max);
            out[n++] = all[i];
        }
    }
    return n;
}

static inline size_t mined_count(void)
{
    static struct fake_mined all[8192];
    return fake_node_mined(node, all, 8192);
}

/* wait_seconds lets time pass in which the relay looks now and then. */
static inline void wait_seconds(int seconds)
{
    for (int i = 0; i < seconds; i++) {
        push(SECONDS);
        struct why why = {0};
        enum err e = step_once(NULL, &why);
        if (e != OK) {
            fail_msg("%s: %s", err_code(e), why_text(&why, e));
        }
    }
    settle();
}

/* Puts a version of an intent into the node's pool without the relay. */
static inline void give_attempt(struct slice id, int attempt)
{
    char sql[160];
    struct slice raw;
    (void)snprintf(
        sql, sizeof sql, "SELECT %s FROM relay_attempts WHERE intent_id = '%.*s' AND attempt = %d",
        support_pick("'0x' || hex(raw)", "'0x' || encode(raw, 'hex')"), SLICE_ARG(id), attempt);
    assert_int_equal(hex_decode(&w.arena, slice_text(ask_text(sql)), &raw), OK);
    assert_true(fake_node_give(node, raw));
}

#define FAULT(member, value)                                                                       \
    do {                                                                                           \
        fake_node_lock(node)->member = (value);                                                    \
        fake_node_unlock(node);                                                                    \
    } while (0)

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
