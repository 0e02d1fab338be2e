/*
 * What happens in the world: drawn from the seed, tick by tick.
 */
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/evm/tx.h"
#include "sim/sim.h"

#define GWEI UINT64_C(1000000000)
#define HOUR (3600 * (int64_t)USEC_PER_SEC)

void sim_plan_begin(struct sim *w)
{
    for (enum sim_trouble t = 0; t < SIM_TROUBLES; t++) {
        w->trouble |= sim_chance(w, 450) ? 1u << t : 0;
    }
    w->relays = sim_chance(w, 700);
    w->ticks = 10 + sim_below(w, 24);
    w->node_count = 1 + sim_below(w, SIM_NODES_MAX);
    w->kills_left = sim_has(w, SIM_KILLS) ? 1 + sim_below(w, 6) : 0;
    w->confirmations = sim_chance(w, 300) ? 1 + sim_below(w, 3) : 0;
    w->range_max = 1 + sim_below(w, SIM_RANGE_MAX);
    w->headers_only = sim_chance(w, 150);
    w->base_fee = GWEI;
    size_t steady = 1 + sim_below(w, w->node_count);
    for (size_t i = 0; i < w->node_count; i++) {
        (void)snprintf(w->nodes[i].url, sizeof w->nodes[i].url, "http://provider%zu.sim", i);
    }
    for (size_t given = 0; given < steady;) { /* anywhere in the order */
        struct sim_node *n = &w->nodes[sim_below(w, w->node_count)];
        given += !n->steady;
        n->steady = true;
    }
    w->steady_majority = 2 * steady > w->node_count;
    /* With a quorum of most, what most have is all that is believed. */
    w->quorum = w->steady_majority && w->node_count > 1 ? (uint32_t)(w->node_count / 2 + 1) : 1;
    for (size_t i = 0; i < SIM_WALLETS; i++) {
        ASSERT(secp256k1_address(sim_wallet_key(i), &w->wallets[i]) == OK);
    }
    w->head = sim_block_add(w, -1, NULL, 0);
    w->blocks[w->head].canonical = true;
    for (uint64_t i = 0; i < 4 + sim_below(w, 30); i++) {
        sim_mine(w);
    }
    sim_nodes_draw(w);
    sim_say(w, "seed %llu: trouble %x, %zu providers (%zu steady), quorum %u, confirmations %llu",
            (unsigned long long)w->seed, w->trouble, w->node_count, steady, w->quorum,
            (unsigned long long)w->confirmations);
}

/*
 * Somebody else who has the key sends a transaction of that wallet, ahead of ours or behind them,
 * where nobody else may have its nonce when it gets lost.
 */
static void use_key(struct sim *w)
{
    struct arena arena;
    size_t i = sim_below(w, SIM_WALLETS);
    uint64_t nonce = sim_nonce(w, w->head, &w->wallets[i]);
    bool behind = sim_chance(w, 500);
    bool poor = sim_chance(w, 300); /* never mined: it waits until it is forgotten */
    while (behind && sim_pool_find(w, &w->wallets[i], nonce) >= 0) {
        nonce++;
    }
    struct tx tx = {.kind = TX_EIP1559,
                    .chain_id = SIM_CHAIN_ID,
                    .nonce = nonce,
                    .fee_max = wei_of(u256_from_u64(poor ? 2000 : 1000 * GWEI)),
                    .fee_priority = wei_of(u256_from_u64(poor ? 2000 : 100 * GWEI)),
                    .gas_limit = 21000,
                    .has_to = true,
                    .to = w->wallets[i],
                    .value = wei_of(u256_from_u64(w->strangers))};
    struct slice raw;
    struct hash hash;
    arena_init(&arena, 0);
    ASSERT(tx_sign(&arena, &tx, sim_wallet_key(i), &raw, &hash) == OK);
    uint32_t made = sim_tx_of_raw(w, raw);
    w->txs[made].is_foreign = true;
    arena_free(&arena);
    if (sim_pool_take(w, w->head, made) == NULL) {
        w->strangers++;
        sim_say(w, "somebody else uses nonce %llu of wallet %zu", (unsigned long long)tx.nonce, i);
    }
}

static void trouble_pool(struct sim *w)
{
    if (sim_has(w, SIM_MEMPOOL) && w->pool_count > 0 && sim_chance(w, 250)) {
        size_t before = w->pool_count;
        bool all = sim_chance(w, 300);
        for (size_t i = w->pool_count; i-- > 0;) {
            if (all || sim_chance(w, 300)) {
                sim_pool_drop(w, i);
            }
        }
        sim_say(w, "%zu transactions are evicted", before - w->pool_count);
    }
    if (sim_has(w, SIM_FEES) && sim_chance(w, 250)) {
        static const uint64_t fees[] = {GWEI / 2, GWEI, 2 * GWEI, 8 * GWEI, 64 * GWEI, 800 * GWEI};
        w->base_fee = fees[sim_below(w, sizeof fees / sizeof fees[0])];
        sim_say(w, "base fee %llu", (unsigned long long)w->base_fee);
    }
    if (sim_has(w, SIM_FUNDS) && sim_chance(w, 250)) {
        size_t i = sim_below(w, SIM_WALLETS);
        w->poor[i] = !w->poor[i];
        sim_say(w, "wallet %zu is %s", i, w->poor[i] ? "empty" : "filled");
    }
    if (sim_has(w, SIM_STRANGERS) && w->relays && sim_chance(w, 150)) {
        use_key(w);
    }
}

/*
 * Whether the block below which nothing falls out when another one becomes the head is near enough
 * to the highest that there ever was: forks of a chain that has become shorter add up.
 */
static bool may_go_to(const struct sim *w, int head)
{
    int at = head;
    while (sim_find(w, w->head, w->blocks[at].number) != at) {
        at = w->blocks[at].parent;
    }
    return w->blocks[at].number + SIM_DEPTH_MAX >= w->top;
}

static void trouble_chain(struct sim *w)
{
    if (!sim_has(w, SIM_FORKS) || !sim_chance(w, 300)) {
        return;
    }
    int back = w->left_head;
    if (back >= 0 && sim_chance(w, 250) && may_go_to(w, back)) {
        w->left_head = w->head;
        w->reorgs++;
        sim_set_head(w, back);
        sim_say(w, "back to block %llu of the other fork",
                (unsigned long long)w->blocks[back].number);
        return;
    }
    uint64_t depth = 1 + sim_below(w, sim_chance(w, 700) ? 3 : SIM_REORG_MAX);
    if (sim_has(w, SIM_DEEP) && sim_chance(w, 200)) {
        depth = 1 + sim_below(w, SIM_DEPTH_MAX);
    }
    uint64_t fallen = w->top - w->blocks[w->head].number;
    sim_fork(w, depth + fallen < SIM_DEPTH_MAX ? depth : SIM_DEPTH_MAX - fallen);
}

static void trouble_program(struct sim *w)
{
    if (sim_has(w, SIM_CLOCK) && sim_chance(w, 150)) {
        int64_t jump = (int64_t)sim_below(w, 2 * (uint64_t)HOUR) - HOUR;
        w->wall_offset_usec += jump;
        sim_say(w, "the wall clock jumps by %lld s", (long long)(jump / USEC_PER_SEC));
    }
    if (sim_has(w, SIM_USURPERS) && w->usurp_in == 0 && sim_chance(w, 80)) {
        w->usurp_in = 1 + sim_below(w, 30);
    }
}

void sim_plan_tick(struct sim *w)
{
    uint64_t blocks = sim_chance(w, 100) ? 5 + sim_below(w, 20) : sim_below(w, 3);
    trouble_chain(w);
    trouble_pool(w);
    trouble_program(w);
    for (uint64_t i = 0; i < blocks; i++) {
        sim_mine(w);
    }
    if (sim_chance(w, 150)) {
        sim_nodes_draw(w);
    }
    w->to_submit = w->relays && sim_chance(w, 400) ? 1 + sim_below(w, 6) : 0;
}
