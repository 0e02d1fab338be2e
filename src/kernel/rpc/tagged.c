#include "kernel/rpc/pool.h"

struct tagged {
    uint64_t *number;
    bool *known;
};

static enum err accept_number(void *ctx, struct arena *arena, size_t index,
                              const struct json *result, struct why *why)
{
    const struct tagged *t = ctx;
    (void)arena;
    (void)index;
    *t->known = result->type != JSON_NULL;
    if (!*t->known) {
        return OK;
    }
    const struct json *number = json_find(result, "number");
    if (number == NULL) {
        return why_set(why, ERR_NODE_RESPONSE, NULL,
                       "The node answered with a block without number.");
    }
    return rpc_read_u64(number, t->number, why);
}

enum err rpc_tagged_block(struct rpc_pool *pool, const char *tag, uint64_t *out, bool *out_known,
                          struct why *why)
{
    struct arena scratch;
    uint64_t number = 0;
    bool known = false;
    struct tagged t = {&number, &known};
    struct why said = {0};
    arena_init(&scratch, 0);
    struct rpc_call call = {.method = "eth_getBlockByNumber",
                            .params = slice_format(&scratch, "[\"%s\",false]", tag)};
    struct rpc_ask ask = {.calls = &call, .count = 1, .accept = accept_number, .ctx = &t};
    enum err e = rpc_ask_one(pool, &scratch, &ask, &said);
    arena_free(&scratch);
    if (e == ERR_NODE_ERROR) {
        known = false; /* the node's own words for "no such tag" */
    } else if (e != OK) {
        if (why != NULL) {
            *why = said;
        }
        return e;
    }
    *out = number;
    *out_known = known;
    return OK;
}
