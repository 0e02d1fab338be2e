/*
 * rpc_fixture.h: scripted nodes, a pool that asks them, and a clock that can be pushed forward.
 */
#ifndef SUPPORT_RPC_FIXTURE_H
#define SUPPORT_RPC_FIXTURE_H

#include "kernel/base/mem.h"
#include "kernel/rpc/pool.h"
#include "support/script_server.h"

#define NODES_MAX 6
#define CHAIN_ID 31337
#define CHAIN_HEX "0x7a69"
#define RESULT(text) "{\"jsonrpc\":\"2.0\",\"id\":$0,\"result\":" text "}"
#define ERROR(text) "{\"jsonrpc\":\"2.0\",\"id\":$0,\"error\":" text "}"
#define STEPS(...)                                                                                 \
    (const struct script_step[])                                                                   \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define STEP_COUNT(...) (sizeof(STEPS(__VA_ARGS__)) / sizeof(struct script_step))
/* NODE adds a scripted node to the fixture. */
#define NODE(f, ...) fixture_node(f, STEPS(__VA_ARGS__), STEP_COUNT(__VA_ARGS__), CHAIN_HEX)

struct fixture {
    struct arena arena;
    struct script_server *nodes[NODES_MAX]; /* NULL: the endpoint is somebody else's */
    struct rpc_endpoint endpoints[NODES_MAX];
    size_t node_count;
    struct rpc_options options;
    struct rpc_pool *pool;
    struct why why;
};

/* fixture_setup and fixture_teardown are for cmocka. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
/* fixture_node starts a node; the first is the primary, further ones are fallbacks. */
struct script_server *fixture_node(struct fixture *f, const struct script_step *steps, size_t count,
                                   const char *chain_id);
/* fixture_url adds an endpoint that the test has made itself. */
void fixture_url(struct fixture *f, const char *url);
/* fixture_pool makes the pool of the nodes so far. */
void fixture_pool(struct fixture *f);
/* fixture_call makes one call. */
enum err fixture_call(struct fixture *f, struct rpc_call *call);
/* fixture_text_of is a result in an envelope, with the first `from` in it replaced. */
const char *fixture_answer(struct fixture *f, const char *result, const char *from, const char *to);
/* fixture_advance pushes the monotonic clock forward. */
void fixture_advance(int64_t usec);
/* fixture_metric reads a counter of the module. */
int64_t fixture_metric(enum rpc_metric row);

#endif
