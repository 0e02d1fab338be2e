/*
 * relay_remote.h: signers whose keys are on another machine, behind the HTTP API of Web3Signer.
 *
 * Two ways to ask, as the server offers them:
 *   "sign"         POST /api/v1/eth1/sign/{public key} with {"data": bytes}, answered by the
 * signature over the Keccak-256 of the bytes; keys are listed at /api/v1/eth1/publicKeys.
 *   "transaction"  JSON-RPC eth_signTransaction, answered by the signed bytes; accounts are listed
 * by eth_accounts. The chain id is the server's. https://docs.web3signer.consensys.io/reference/api
 *
 * The server is trusted with nothing but its keys: what it returns is parsed and compared with what
 * was asked for before it is stored (relay.h), so that a wrong key, another transaction, or a
 * signature with a high s is refused and uses no nonce. A server that is away puts intents off; no
 * request makes it send anything.
 *
 * Keys are listed once, when the signer is made; a server without keys, or without one that is
 * wanted, is an error then. Threads: a signer may be used by any thread.
 */
#ifndef KERNEL_RELAY_RELAY_REMOTE_H
#define KERNEL_RELAY_RELAY_REMOTE_H

#include "kernel/relay/relay.h"

/* Wallets of one server. */
#define RELAY_REMOTE_MAX 64

enum relay_remote_api {
    RELAY_REMOTE_SIGN,
    RELAY_REMOTE_TRANSACTION,
};

struct relay_remote_options {
    const char *url; /* http(s)://…, without a path */
    enum relay_remote_api api;
    const struct address *wanted; /* none: all that the server has */
    size_t wanted_count;
    int64_t timeout_usec; /* of one request */
};

struct relay_remote;

/*
 * relay_remote_new asks the server for its keys; `options` is copied. Owns: the caller,
 * relay_remote_free. Errors: ERR_UPSTREAM, ERR_NODE_TIMEOUT, ERR_LIMIT (too many keys),
 * ERR_UNKNOWN_WALLET (a wanted one is not there, or there are none), ERR_CONFIG (url).
 */
enum err relay_remote_new(const struct relay_remote_options *options, struct relay_remote **out,
                          struct why *why) ERR_CHECKED;
/* relay_remote_free closes the connections; NULL is fine. */
void relay_remote_free(struct relay_remote *remote);
/* relay_remote_count tells how many wallets it signs for. */
size_t relay_remote_count(const struct relay_remote *remote);
/* relay_remote_signer makes the signer of one of them; valid until relay_remote_free. */
struct relay_signer relay_remote_signer(struct relay_remote *remote, size_t i);

#endif
