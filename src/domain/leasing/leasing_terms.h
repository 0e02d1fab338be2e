/*
 * leasing_terms.h: the terms of a lease: what is signed, what is sent, and whether a signature is
 * right. Pure: no I/O, no clock.
 *
 * The digest is the deployed contract's, which is not standard EIP-712 (interfaces of the leasing
 * protocol, pitfall 1): the type string of LeaseIntent does not append Lease's and calls its second
 * member assetTypeSchemaHash; the metadata array is not signed.
 */
#ifndef DOMAIN_LEASING_LEASING_TERMS_H
#define DOMAIN_LEASING_LEASING_TERMS_H

#include "domain/leasing/leasing_metadata.h"
#include "kernel/base/money.h"
#include "kernel/evm/address.h"
#include "kernel/evm/eip712.h"

struct leasing_terms {
    uint64_t deadline_sec;
    struct hash asset_type;
    struct address lessor;
    struct address lessee; /* zero in an offer that is open to bidders */
    struct u256 asset_id;
    struct address payment_token;
    struct stable_amount rent; /* per rent period */
    uint64_t rent_period_sec;
    struct stable_amount deposit;
    uint64_t start_sec;
    uint64_t end_sec;
    struct hash legal_doc_hash;
    uint16_t terms_version;
    const struct leasing_pair *metadata;
    size_t metadata_count;
};

/* leasing_terms_digest is what lessor and lessee sign. */
struct hash leasing_terms_digest(const struct leasing_terms *terms, uint64_t chain_id,
                                 const struct address *factory);

/* leasing_terms_struct_hash is the hash of the intent alone, for vectors and diagnosis. */
struct hash leasing_terms_struct_hash(const struct leasing_terms *terms);

/*
 * leasing_terms_check_signature verifies that `expected` signed the terms. When somebody else seems
 * to have, what goes wrong in practice is looked for and named: the digest of another common chain
 * id, of another contract of `others` (the first LEASING_OTHERS_MAX), of terms whose lessee was
 * still open, the digest signed as a message (personal_sign), typed data as wallets encode it
 * (eth_signTypedData), the other party's signature. Costs at most about 30 recoveries.
 * Errors: ERR_SIGNATURE_MALFORMED, _HIGH_S, _V, _SIGNER, _CHAIN, _CONTRACT.
 */
#define LEASING_OTHERS_MAX 8
enum err leasing_terms_check_signature(const struct leasing_terms *terms, uint64_t chain_id,
                                       const struct address *factory, const struct address *others,
                                       size_t other_count, const struct address *expected,
                                       struct slice signature, struct why *why) ERR_CHECKED;

/*
 * leasing_terms_mint_call encodes LeaseFactory.mintLease; signatures are taken as they are.
 * Owns: the arena. Errors: ERR_INVALID_ENCODING.
 */
enum err leasing_terms_mint_call(struct arena *arena, const struct leasing_terms *terms,
                                 struct slice lessor_signature, struct slice lessee_signature,
                                 struct slice *out, struct why *why) ERR_CHECKED;

/*
 * leasing_terms_offer_call encodes Marketplace.postLeaseOffer.
 * Owns: the arena. Errors: ERR_INVALID_ENCODING.
 */
enum err leasing_terms_offer_call(struct arena *arena, const struct leasing_terms *terms,
                                  struct slice *out, struct why *why) ERR_CHECKED;

/*
 * leasing_schedule_period returns the rent period that is signed for "monthly" (30 days),
 * "quarterly" (90), "annual" (365) or "upfront" (the whole term): the contract knows seconds, no
 * calendar. When rent is due says leasing_schedule.h. Units: seconds.
 * Errors: ERR_INVALID_FIELD ("paymentSchedule", or "endDate" when it is not after the start).
 */
enum err leasing_schedule_period(struct slice schedule, uint64_t start_sec, uint64_t end_sec,
                                 uint64_t *out_sec, struct why *why) ERR_CHECKED;

#endif
