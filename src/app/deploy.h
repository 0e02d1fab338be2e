/*
 * deploy.h: the leasing contracts on a development chain.
 *
 * Deploys through the relay like any other transaction, with the key "deploy/<genesis>/<name>": a
 * crash in the middle goes on where it was, a second call finds everything done. Order: stablecoin,
 * AssetERC20 implementation, registry, lease factory, marketplace (the last three behind UUPS
 * proxies). All roles go to `admin`.
 */
#ifndef APP_DEPLOY_H
#define APP_DEPLOY_H

#include "kernel/evm/address.h"
#include "kernel/relay/relay.h"

struct deployment {
    uint64_t chain_id;
    struct address stablecoin;
    struct address asset_registry;
    struct address lease_factory;
    struct address marketplace;
    uint64_t start_block;
};

struct deploy_options {
    struct store *store;
    struct rpc_pool *rpc;
    uint64_t chain_id;
    const struct relay_config *relay;
    struct relay_signer deployer; /* pays for it, gets no role */
    struct address admin;
};

/* deploy_run deploys what is missing. Errors: as relay and rpc; ERR_REVERTED names the contract. */
enum err deploy_run(const struct deploy_options *options, struct deployment *out,
                    struct why *why) ERR_CHECKED;

/*
 * deployment_read reads {"chainId","stablecoin","assetRegistry","leaseFactory","marketplace"} and
 * optionally "startBlock" from a file. Errors: ERR_IO, ERR_INVALID_JSON, field errors.
 */
enum err deployment_read(const char *path, struct deployment *out, struct why *why) ERR_CHECKED;

/* deployment_write writes such a file, atomically. Errors: ERR_IO, ERR_DISK_FULL. */
enum err deployment_write(const char *path, const struct deployment *d,
                          struct why *why) ERR_CHECKED;

#endif
