#include "kernel/rpc/latency.h"

#include "kernel/base/check.h"

#define KEPT 512
#define FIRST_USEC 256
#define PER_OCTAVE 4

/* The upper bound of a bucket: FIRST_USEC times 2^(i/4), by the part of its octave. */
static int64_t bound_usec(unsigned i)
{
    static const int64_t per_mille[PER_OCTAVE] = {1000, 1189, 1414, 1682};
    return (FIRST_USEC * per_mille[i % PER_OCTAVE] / 1000) << (i / PER_OCTAVE);
}

static unsigned bucket_of(int64_t usec)
{
    unsigned i = 0;
    while (i < RPC_LATENCY_BUCKETS - 1 && usec > bound_usec(i)) {
        i++;
    }
    return i;
}

static void forget_half(struct rpc_latency *l)
{
    l->count = 0;
    for (unsigned i = 0; i < RPC_LATENCY_BUCKETS; i++) {
        l->bucket[i] /= 2;
        l->count += l->bucket[i];
    }
}

void rpc_latency_add(struct rpc_latency *l, int64_t usec)
{
    usec = usec > 0 ? usec : 1;
    l->bucket[bucket_of(usec)]++;
    l->count++;
    l->average_usec = l->average_usec == 0 ? usec : (7 * l->average_usec + usec) / 8;
    if (l->count >= KEPT) {
        forget_half(l);
    }
}

int64_t rpc_latency_quantile(const struct rpc_latency *l, uint32_t per_mille)
{
    ASSERT(per_mille <= 1000);
    uint64_t wanted = ((uint64_t)l->count * per_mille + 999) / 1000;
    uint64_t below = 0;
    for (unsigned i = 0; i < RPC_LATENCY_BUCKETS && l->count > 0; i++) {
        below += l->bucket[i];
        if (below >= wanted && below > 0) {
            return bound_usec(i);
        }
    }
    return 0;
}
