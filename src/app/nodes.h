/*
 * nodes.h: chain.rpc_urls as a list.
 */
#ifndef APP_NODES_H
#define APP_NODES_H

#include "kernel/rpc/rpc.h"

/*
 * nodes_list reads URLs between commas; the first is the primary. Owns: the arena. Errors:
 * ERR_CONFIG, without the URL.
 */
enum err nodes_list(const char *urls, struct arena *arena,
                    struct rpc_endpoint out[RPC_ENDPOINTS_MAX], size_t *out_count,
                    struct why *why) ERR_CHECKED;

#endif
