/*
 * nodes.h: chain.rpc_urls and chain.rpc_backup_urls as a list, and as a pool; chain.ws_urls.
 */
#ifndef APP_NODES_H
#define APP_NODES_H

#include "kernel/chain/chain.h"
#include "kernel/rpc/rpc.h"

/*
 * nodes_list reads URLs between commas; the first is the primary. Owns: the arena. Errors:
 * ERR_CONFIG, without the URL.
 */
enum err nodes_list(const struct chain_config *config, struct arena *arena,
                    struct rpc_endpoint out[RPC_ENDPOINTS_MAX], size_t *out_count,
                    struct why *why) ERR_CHECKED;

/* nodes_streams reads chain.ws_urls likewise. */
enum err nodes_streams(const struct chain_config *config, struct arena *arena,
                       const char *out[RPC_ENDPOINTS_MAX], size_t *out_count,
                       struct why *why) ERR_CHECKED;

/*
 * nodes_pool makes the pool of the configured nodes; `measured` for the one of a daemon. Owns: the
 * caller, rpc_pool_free. Errors: ERR_CONFIG.
 */
enum err nodes_pool(const struct chain_config *config, bool measured, struct rpc_pool **out,
                    struct why *why) ERR_CHECKED;

#endif
