/*
 * flow.h: a flow of tests/orderflow as commands in memory, and the venue that it needs.
 */
#ifndef BENCH_FLOW_H
#define BENCH_FLOW_H

#include "domain/trading/engine/engine.h"
#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#define FLOW_ACCOUNTS 1001
#define FLOW_MONEY 0 /* asset; pair n trades asset n + 1 */

struct flow {
    struct engine_command *commands;
    size_t count;
    uint32_t pairs;
};

static inline void flow_parse(const char *line, struct flow *flow)
{
    struct engine_command *c = &flow->commands[flow->count++];
    unsigned long long seq;
    unsigned long long id;
    long long price;
    long long qty;
    long long stop;
    unsigned pair;
    unsigned account;
    char op;
    char side;
    char type;
    char tif;
    *c = (struct engine_command){0};
    ASSERT(sscanf(line, "%llu,%c,%llu,%c,%c,%c,%lld,%lld,%u,%u,%lld,-", &seq, &op, &id, &side,
                  &type, &tif, &price, &qty, &pair, &account, &stop) == 11);
    flow->pairs = pair >= flow->pairs ? pair + 1 : flow->pairs;
    if (op == 'N') {
        c->op = ENGINE_OP_NEW;
        c->stp = ENGINE_STP_NONE;
        c->side = side == 'B' ? ENGINE_BUY : ENGINE_SELL;
        c->type = type == 'M' ? ENGINE_MARKET : ENGINE_LIMIT;
        c->tif = tif == 'G' ? ENGINE_GTC : (tif == 'I' ? ENGINE_IOC : ENGINE_FOK);
        c->order = (struct engine_order_in){
            .id = id, .price = price, .qty = qty, .account = account, .pair = pair};
    } else if (op == 'C') {
        c->op = ENGINE_OP_CANCEL;
        c->cancel = (struct engine_cancel_in){.id = id, .account = account};
    } else {
        c->op = ENGINE_OP_REPLACE;
        c->replace =
            (struct engine_replace_in){.id = id, .price = price, .qty = qty, .account = account};
    }
}

static inline struct flow flow_read(const char *path)
{
    char line[256];
    struct flow flow = {0};
    size_t capacity = 1 << 20;
    FILE *file = fopen(path, "r");
    ASSERT(file != NULL);
    flow.commands = mem_alloc(capacity * sizeof *flow.commands);
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] != '#') {
            if (flow.count == capacity) {
                capacity *= 2;
                flow.commands = mem_resize(flow.commands, capacity * sizeof *flow.commands);
            }
            flow_parse(line, &flow);
        }
    }
    (void)fclose(file);
    return flow;
}

/* Who takes the commands that set a venue up. */
struct flow_taker {
    void (*take)(void *ctx, const struct engine_command *c);
    void *ctx;
};

static inline void flow_give(const struct flow_taker *to, struct engine_command c)
{
    to->take(to->ctx, &c);
}

/* Everybody has all of everything; bases are restricted, so that rights are looked at. */
static inline void flow_deposit_all(const struct flow_taker *to, uint32_t assets)
{
    uint64_t id = UINT64_C(1) << 20; /* beyond the flow's: the window is wide enough */
    for (uint32_t a = 1; a < FLOW_ACCOUNTS; a++) {
        for (uint32_t asset = 0; asset < assets; asset++) {
            struct engine_command c = {.op = ENGINE_OP_DEPOSIT};
            c.money = (struct engine_money_in){.id = ++id,
                                               .amount = (uint64_t)INT64_MAX / (2 * FLOW_ACCOUNTS),
                                               .account = a,
                                               .asset = asset};
            if (asset != FLOW_MONEY) {
                struct engine_command r = {.op = ENGINE_OP_ELIGIBILITY};
                r.right = (struct engine_right_in){
                    .owner = a, .asset = asset, .until_usec = INT64_MAX, .cap = UINT64_MAX};
                flow_give(to, r);
            }
            flow_give(to, c);
        }
    }
}

static inline void flow_set_up(const struct flow_taker *to, uint32_t pairs, bool settled)
{
    struct engine_command c;
    for (uint32_t a = 0; a < FLOW_ACCOUNTS; a++) {
        c = (struct engine_command){.op = ENGINE_OP_ACCOUNT};
        c.account = (struct engine_account_in){.account = a, .owner = a, .orders_max = 1u << 20};
        flow_give(to, c);
    }
    for (uint32_t asset = 0; asset <= pairs; asset++) {
        c = (struct engine_command){.op = ENGINE_OP_ASSET};
        c.asset = (struct engine_asset_in){
            .asset = asset, .flags = asset != FLOW_MONEY ? ENGINE_ASSET_RESTRICTED : 0};
        flow_give(to, c);
    }
    if (settled) {
        flow_deposit_all(to, pairs + 1);
    }
    for (uint32_t p = 0; p < pairs; p++) {
        c = (struct engine_command){.op = ENGINE_OP_PAIR};
        c.pair = (struct engine_pair_in){.pair = p,
                                         .base = p + 1,
                                         .quote = FLOW_MONEY,
                                         .fee_account = 0,
                                         .lot_units = 1000,
                                         .tick_units = 10,
                                         .flags = settled ? 0 : ENGINE_PAIR_UNSETTLED};
        flow_give(to, c);
        if (settled) {
            c = (struct engine_command){.op = ENGINE_OP_FEES};
            c.fees = (struct engine_fees_in){.pair = p, .maker_ppm = 1000, .taker_ppm = 2000};
            flow_give(to, c);
        }
        c = (struct engine_command){.op = ENGINE_OP_STATE};
        c.state = (struct engine_state_in){.pair = p, .state = ENGINE_OPEN};
        flow_give(to, c);
    }
}

#endif
