#include "support/rpc_fixture.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "support/script_server.c"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t pushed_usec;

static int64_t real_usec(clockid_t which)
{
    struct timespec t;
    ASSERT(clock_gettime(which, &t) == 0);
    return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000;
}

static int64_t pushed_wall(void *ctx)
{
    (void)ctx;
    return real_usec(CLOCK_REALTIME);
}

static int64_t pushed_mono(void *ctx)
{
    (void)ctx;
    return real_usec(CLOCK_MONOTONIC) + atomic_load(&pushed_usec);
}

void fixture_advance(int64_t usec)
{
    atomic_fetch_add(&pushed_usec, usec);
}

int fixture_setup(void **state)
{
    static const struct clock_source source = {.wall_usec = pushed_wall, .mono_usec = pushed_mono};
    clock_set_source(&source);
    log_set_fd(-1);
    net_start();
    struct fixture *f = mem_alloc(sizeof(*f));
    arena_init(&f->arena, 0);
    f->options = (struct rpc_options){
        .chain_id = CHAIN_ID,
        .timeout_usec = USEC_PER_SEC,
        .attempts_max = 3,
        .batch_max = 100,
        .answer_bytes_max = 100000,
    };
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    rpc_pool_free(f->pool);
    for (size_t i = 0; i < f->node_count; i++) {
        if (f->nodes[i] != NULL) {
            script_stop(f->nodes[i]);
        }
    }
    arena_free(&f->arena);
    mem_free(f);
    return 0;
}

struct script_server *fixture_node(struct fixture *f, const struct script_step *steps, size_t count,
                                   const char *chain_id)
{
    ASSERT(f->node_count < NODES_MAX && f->pool == NULL);
    struct script_step *kept = arena_alloc_array(&f->arena, count, sizeof(*kept));
    memcpy(kept, steps, count * sizeof(*kept));
    struct script_server *node = script_start(kept, count, chain_id);
    f->endpoints[f->node_count] = (struct rpc_endpoint){
        .url = script_url(node), .role = f->node_count == 0 ? RPC_PRIMARY : RPC_FALLBACK};
    f->nodes[f->node_count++] = node;
    return node;
}

void fixture_url(struct fixture *f, const char *url)
{
    ASSERT(f->node_count < NODES_MAX && f->pool == NULL);
    f->endpoints[f->node_count] =
        (struct rpc_endpoint){.url = url, .role = f->node_count == 0 ? RPC_PRIMARY : RPC_FALLBACK};
    f->nodes[f->node_count++] = NULL;
}

void fixture_pool(struct fixture *f)
{
    f->options.endpoints = f->endpoints;
    f->options.endpoint_count = f->node_count;
    f->pool = rpc_pool_new(&f->options);
}

enum err fixture_call(struct fixture *f, struct rpc_call *call)
{
    if (f->pool == NULL) {
        fixture_pool(f);
    }
    return rpc_call_one(f->pool, &f->arena, RPC_ANY, call, &f->why);
}

const char *fixture_answer(struct fixture *f, const char *result, const char *from, const char *to)
{
    const char *at = strstr(result, from);
    ASSERT(at != NULL);
    return (const char *)slice_format(&f->arena,
                                      "{\"jsonrpc\":\"2.0\",\"id\":$0,\"result\":%.*s%s%s}",
                                      (int)(at - result), result, to, at + strlen(from))
        .ptr;
}

int64_t fixture_metric(enum rpc_metric row)
{
    return metric_get(&rpc_metrics[row]);
}
