/*
 * leasing_claims_signed.h: revenue claimed on behalf of a holder, with his signature. Private to
 * this folder.
 *
 * The marketplace pays revenue to the account that asks for it, so the transaction is always the
 * holder's; this is for holders whose keys the relay has, and who allow somebody else to have
 * them paid. What they sign is EIP-712 typed data, as wallets make it:
 *
 *   domain   {name: "Freehold", version: "1", chainId, verifyingContract: the marketplace}
 *   message  ClaimRevenue(address holder,bytes32 nonce,uint256 deadline)
 *
 * `deadline` is in Unix seconds. The nonce is the holder's to choose; it is good for one request.
 * The same request again finds what the first one did, whatever the time; a nonce with another
 * deadline is refused. A request for nothing uses no nonce up.
 *
 * Crash points: nonce, intent and audit rows are one transaction.
 */
#ifndef DOMAIN_LEASING_LEASING_CLAIMS_SIGNED_H
#define DOMAIN_LEASING_LEASING_CLAIMS_SIGNED_H

#include "domain/leasing/leasing_api.h"

/* leasing_claim_digest is what a holder signs. */
struct hash leasing_claim_digest(uint64_t chain_id, const struct address *contract,
                                 const struct address *holder, const struct hash *nonce,
                                 uint64_t deadline_sec);

/* leasing_api_claims_signed is the handler of POST /accounts/{address}/claims. */
enum err leasing_api_claims_signed(struct http_call *call, struct why *why) ERR_CHECKED;

#endif
