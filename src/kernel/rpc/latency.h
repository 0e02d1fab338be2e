/*
 * latency.h: how long one endpoint takes to answer, as a distribution that forgets.
 *
 * Times fall into buckets that are a quarter of an octave wide, from a quarter of a millisecond to
 * two minutes: a quantile is known to about a fifth, in constant memory. When KEPT answers are in
 * it, all counts are halved, so that what an endpoint was an hour ago stops to matter.
 *
 * Pure functions: no clock, no lock.
 */
#ifndef KERNEL_RPC_LATENCY_H
#define KERNEL_RPC_LATENCY_H

#include <stdint.h>

#define RPC_LATENCY_BUCKETS 76

struct rpc_latency {
    uint32_t bucket[RPC_LATENCY_BUCKETS];
    uint32_t count;       /* in the buckets */
    int64_t average_usec; /* moving; 0: no answer yet */
};

/* rpc_latency_add notes one answer. */
void rpc_latency_add(struct rpc_latency *l, int64_t usec);
/*
 * rpc_latency_quantile gives the time within which `per_mille` of the answers came, rounded up to
 * its bucket; 0 when there is none.
 */
int64_t rpc_latency_quantile(const struct rpc_latency *l, uint32_t per_mille);

#endif
