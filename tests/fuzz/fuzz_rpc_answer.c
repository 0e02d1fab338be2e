/*
 * The answer of a node, read for one to four calls. The first byte of the input chooses how many,
 * the rest is the body. Whatever comes, every call ends with a result or with an error and a
 * sentence, never both.
 */
#include "kernel/base/check.h"
#include "kernel/base/mem.h"
#include "kernel/rpc/envelope.h"

#define CALLS 4
#define FIRST_ID 1
#define BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_call(const struct rpc_call *call)
{
    if (call->err == OK) {
        ASSERT(call->result != NULL);
        return;
    }
    ASSERT(call->result == NULL);
    ASSERT(call->why.err == call->err);
    ASSERT(call->why.text[0] != '\0');
    ASSERT(slice_find(slice_text(call->why.text), '\n') < 0);
    ASSERT(call->error_data.len == 0 || call->err == ERR_REVERTED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct arena arena;
    arena_init(&arena, 0);
    size_t count = data[0] % CALLS + 1u;
    struct rpc_call calls[CALLS] = {0};
    struct rpc_call *list[CALLS];
    for (size_t i = 0; i < CALLS; i++) {
        calls[i].err = ERR_INTERNAL;
        list[i] = &calls[i];
    }
    enum rpc_shape shape = RPC_SHAPE_ANSWERS;
    struct why why = {0};
    enum err e = rpc_envelope_read(&arena, slice_of(data + 1, size - 1), BYTES_MAX, list, count,
                                   FIRST_ID, &shape, &why);
    ASSERT(e == OK || ((e == ERR_NODE_RESPONSE || e == ERR_NODE_RATE_LIMITED) && why.err == e));
    for (size_t i = 0; i < CALLS; i++) {
        if (e == OK && shape == RPC_SHAPE_ANSWERS && i < count) {
            check_call(&calls[i]);
            (void)rpc_send_verdict(calls[i].err, &calls[i].why);
        } else {
            ASSERT(calls[i].err == ERR_INTERNAL);
        }
    }
    arena_free(&arena);
    return 0;
}
