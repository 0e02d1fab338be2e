/*
 * leasing_rows.h: a lease agreement as it is stored, the terms that its parties sign, and how it
 * is shown. Private to this folder.
 */
#ifndef DOMAIN_LEASING_LEASING_ROWS_H
#define DOMAIN_LEASING_LEASING_ROWS_H

#include "domain/leasing/leasing_api.h"

struct leasing_lease {
    struct slice id;
    struct slice asset_id;
    uint64_t chain_id;
    struct address factory;
    struct address lessor;
    bool has_lessee; /* else it is offered to bidders */
    struct address lessee;
    int64_t start_usec;
    int64_t end_usec;
    int64_t deadline_usec;
    struct address payment_token;
    struct stable_amount rent;
    struct slice schedule;
    uint64_t rent_period_sec;
    struct stable_amount deposit;
    struct slice currency;
    struct hash legal_document_hash;
    uint16_t terms_version;
    struct slice agreement; /* JSON text: the request, or what the chain says */
    struct slice metadata;  /* JSON text */
    struct hash metadata_hash;
    struct slice restrictions;     /* JSON array of text */
    struct slice lessor_signature; /* "" until it is there */
    struct slice lessee_signature;
    struct slice lessor_termination;
    struct slice lessee_termination;
    struct slice termination_reason;
    struct slice status;
    struct slice error;
    bool has_offer;
    struct u256 offer_id;
    struct slice offer_status;
    bool has_nft;
    struct u256 nft_token_id;
    uint64_t block_number; /* of the transaction that made it active */
    struct hash transaction_hash;
    int64_t created_usec;
    int64_t updated_usec;
    struct slice asset_type;
    bool asset_on_chain;
    struct u256 onchain_asset_id;
    struct leasing_tx tx;     /* mints it or posts its offer */
    struct leasing_tx action; /* accepts a bid or cancels the offer */
    struct slice action_purpose;
};

/* leasing_lease_read reads the current row of a statement of leases. Owns: the arena. */
void leasing_lease_read(struct store_query *q, struct arena *arena, struct leasing_lease *out);

/* leasing_lease_find reads a lease that may not exist. Owns: the arena. */
enum err leasing_lease_find(struct store_tx *tx, struct arena *arena, const struct leasing *l,
                            struct slice id, struct leasing_lease *out, bool *out_found,
                            struct why *why) ERR_CHECKED;

/* leasing_lease_get reads a lease. Owns: the arena. Errors: ERR_NOT_FOUND "Lease not found". */
enum err leasing_lease_get(struct store_tx *tx, struct arena *arena, const struct leasing *l,
                           struct slice id, struct leasing_lease *out, struct why *why) ERR_CHECKED;

/* leasing_lease_is says whether the lease has this status. */
bool leasing_lease_is(const struct leasing_lease *lease, const char *status);

/* leasing_lease_is_unsigned says whether it is a draft or waits for signatures. */
bool leasing_lease_is_unsigned(const struct leasing_lease *lease);

/*
 * leasing_lease_terms makes what is signed, with `lessee` (NULL: nobody, as in an offer), and the
 * metadata pairs of the calldata. Owns: the arena. Errors: ERR_CONFLICT (the asset is not on
 * chain), ERR_INVALID_METADATA.
 */
enum err leasing_lease_terms(struct arena *arena, const struct leasing_lease *lease,
                             const struct address *lessee, struct leasing_terms *out,
                             struct why *why) ERR_CHECKED;

/*
 * leasing_lease_verify checks a signature over the terms with `lessee` by `signer`. Errors: as
 * leasing_terms_check_signature, with the field "signature".
 */
enum err leasing_lease_verify(const struct leasing *l, const struct leasing_terms *terms,
                              const struct address *signer, struct slice signature,
                              struct why *why) ERR_CHECKED;

/*
 * leasing_offer_must_be_open says that bids on the lease may be placed and accepted. Errors:
 * ERR_CONFLICT (tells what it is instead).
 */
enum err leasing_offer_must_be_open(const struct leasing_lease *lease, struct why *why) ERR_CHECKED;

/* leasing_lease_json writes the members of a lease into an open object. */
void leasing_lease_json(struct json_out *j, const struct leasing *l,
                        const struct leasing_lease *lease);

/* leasing_terms_json writes the members digest and typedData into an open object. */
void leasing_terms_json(struct json_out *j, const struct leasing *l,
                        const struct leasing_terms *terms);

#endif
