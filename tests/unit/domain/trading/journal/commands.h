/*
 * commands.h: commands by number, and what an engine must be after so many of them.
 */
#ifndef UNIT_TRADING_JOURNAL_COMMANDS_H
#define UNIT_TRADING_JOURNAL_COMMANDS_H

#include "domain/trading/engine/engine.h"
#include "unit/test.h"

static const struct engine_limits limits = {.pairs = 2,
                                            .assets = 2,
                                            .accounts = 8,
                                            .orders = 64,
                                            .balances = 32,
                                            .rights = 8,
                                            .holds = 4,
                                            .id_window = 4096};

/* How many points of a kind are tried: JOURNAL_POINTS, or a few. */
static inline unsigned points(unsigned few)
{
    const char *text = getenv("JOURNAL_POINTS");
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : few;
}

static inline uint64_t mix(uint64_t z)
{
    z += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* The command with a number: always the same one. */
static inline struct engine_command command(uint64_t n)
{
    const uint64_t r = mix(n);
    struct engine_command c = {0};
    if (n == 1) {
        c.op = ENGINE_OP_PAIR;
        c.pair = (struct engine_pair_in){.pair = 0, .flags = ENGINE_PAIR_UNSETTLED};
    } else if (n == 2) {
        c.op = ENGINE_OP_STATE;
        c.state = (struct engine_state_in){.pair = 0, .state = ENGINE_OPEN};
    } else if (n < 8) {
        c.op = ENGINE_OP_ACCOUNT;
        c.account = (struct engine_account_in){
            .account = (uint32_t)n, .owner = (uint32_t)n, .orders_max = 40};
    } else if (r % 3 == 0) {
        c.op = ENGINE_OP_CANCEL;
        c.cancel = (struct engine_cancel_in){.id = n - 1 - r % 5, .account = ENGINE_NOBODY};
    } else {
        c.op = ENGINE_OP_NEW;
        c.side = r >> 20 & 1;
        c.order = (struct engine_order_in){.id = n,
                                           .price = 100 + (int64_t)(r >> 24 & 7),
                                           .qty = 1 + (int64_t)(r >> 32 & 15),
                                           .account = 3 + (uint32_t)(r >> 40) % 5};
    }
    return c;
}

/* What an engine must be after the first `count` commands. */
static inline uint64_t hash_after(uint64_t count)
{
    struct engine *e = engine_new(&limits);
    for (uint64_t n = 1; n <= count; n++) {
        const struct engine_command c = command(n);
        (void)engine_apply(e, &c);
    }
    const uint64_t hash = engine_hash(e);
    engine_free(e);
    return hash;
}

#endif
