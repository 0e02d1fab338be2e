#include "domain/leasing/leasing_rows.h"

#include "domain/leasing/leasing_api_sql.h"

/* The domain and the type strings of what is signed, as leasing_terms.h tells them. */
#define DOMAIN_NAME "Lease"
#define DOMAIN_VERSION "1"
#define INTENT_TYPE "LeaseIntent(uint64 deadline,bytes32 assetTypeSchemaHash,Lease lease)"
#define LEASE_TYPE                                                                                 \
    "Lease(address lessor,address lessee,uint256 assetId,address paymentToken,uint256 rentAmount," \
    "uint256 rentPeriod,uint256 securityDeposit,uint64 startTime,uint64 endTime,"                  \
    "bytes32 legalDocHash,uint16 termsVersion)"

/* ---- rows ---- */

static void read_agreement(struct store_query *q, struct arena *arena, struct leasing_lease *out)
{
    out->id = store_get_text(q, "lease_id", arena);
    out->asset_id = store_get_text(q, "asset_id", arena);
    out->chain_id = (uint64_t)store_get_i64(q, "chain_id");
    store_get_fixed(q, "contract_address", out->factory.bytes, ADDRESS_BYTES);
    store_get_fixed(q, "lessor", out->lessor.bytes, ADDRESS_BYTES);
    out->has_lessee = !store_is_null(q, "lessee");
    store_get_fixed(q, "lessee", out->lessee.bytes, ADDRESS_BYTES);
    out->start_usec = store_get_time(q, "start_date");
    out->end_usec = store_get_time(q, "end_date");
    out->deadline_usec = store_get_time(q, "deadline");
    store_get_fixed(q, "payment_token", out->payment_token.bytes, ADDRESS_BYTES);
    out->rent = stable_of(store_get_u256(q, "payment_amount"));
    out->schedule = store_get_text(q, "payment_schedule", arena);
    out->rent_period_sec = (uint64_t)store_get_i64(q, "rent_period_sec");
    out->deposit = stable_of(store_get_u256(q, "security_deposit"));
    out->currency = store_get_text(q, "currency", arena);
    store_get_fixed(q, "legal_document_hash", out->legal_document_hash.bytes, HASH_BYTES);
    out->terms_version = (uint16_t)store_get_i64(q, "terms_version");
    out->agreement = store_get_text(q, "agreement", arena);
    out->metadata = store_get_text(q, "metadata", arena);
    store_get_fixed(q, "metadata_hash", out->metadata_hash.bytes, HASH_BYTES);
    out->restrictions = store_get_text(q, "restrictions", arena);
}

static void read_progress(struct store_query *q, struct arena *arena, struct leasing_lease *out)
{
    out->lessor_signature = store_get_bytes(q, "lessor_signature", arena);
    out->lessee_signature = store_get_bytes(q, "lessee_signature", arena);
    out->lessor_termination = store_get_bytes(q, "lessor_termination", arena);
    out->lessee_termination = store_get_bytes(q, "lessee_termination", arena);
    out->termination_reason = store_get_text(q, "termination_reason", arena);
    out->status = store_get_text(q, "status", arena);
    out->error = store_get_text(q, "error", arena);
    out->has_offer = !store_is_null(q, "offer_id");
    out->offer_id = store_get_u256(q, "offer_id");
    out->has_nft = !store_is_null(q, "nft_token_id");
    out->nft_token_id = store_get_u256(q, "nft_token_id");
    out->block_number = (uint64_t)store_get_i64(q, "block_number");
    store_get_fixed(q, "transaction_hash", out->transaction_hash.bytes, HASH_BYTES);
    out->created_usec = store_get_time(q, "created_at");
    out->updated_usec = store_get_time(q, "updated_at");
}

void leasing_lease_read(struct store_query *q, struct arena *arena, struct leasing_lease *out)
{
    memset(out, 0, sizeof *out);
    read_agreement(q, arena, out);
    read_progress(q, arena, out);
    out->asset_type = store_get_text(q, "asset_type", arena);
    out->asset_on_chain = !store_is_null(q, "onchain_asset_id");
    out->onchain_asset_id = store_get_u256(q, "onchain_asset_id");
    out->offer_status = store_get_text(q, "offer_status", arena);
    leasing_tx_read(q, &leasing_tx_main, arena, &out->tx);
    leasing_tx_read(q, &leasing_tx_action, arena, &out->action);
    out->action_purpose = store_get_text(q, "action_purpose", arena);
}

enum err leasing_lease_find(struct store_tx *tx, struct arena *arena, const struct leasing *l,
                            struct slice id, struct leasing_lease *out, bool *out_found,
                            struct why *why)
{
    struct leasing_lease lease = {.id = SLICE_EMPTY};
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_lease_get);
    store_bind_text(&q, "lease_id", id);
    store_bind_bytes(&q, "marketplace", address_slice(&l->marketplace));
    bool found = store_step(&q);
    if (found) {
        leasing_lease_read(&q, arena, &lease);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = lease;
        *out_found = found;
    }
    return e;
}

enum err leasing_lease_get(struct store_tx *tx, struct arena *arena, const struct leasing *l,
                           struct slice id, struct leasing_lease *out, struct why *why)
{
    bool found = false;
    enum err e = leasing_lease_find(tx, arena, l, id, out, &found, why);
    return e == OK && !found ? leasing_not_found(why, "Lease") : e;
}

bool leasing_lease_is(const struct leasing_lease *lease, const char *status)
{
    return slice_equal_text(lease->status, status);
}

bool leasing_lease_is_unsigned(const struct leasing_lease *lease)
{
    return leasing_lease_is(lease, "draft") || leasing_lease_is(lease, "pending_signatures");
}

enum err leasing_offer_must_be_open(const struct leasing_lease *lease, struct why *why)
{
    if (lease->has_lessee && !lease->has_offer) {
        return why_set(why, ERR_CONFLICT, NULL, "The lease is not on offer: it has a lessee.");
    }
    if (!leasing_lease_is_unsigned(lease)) {
        return why_set(why, ERR_CONFLICT, NULL, "The lease is %.*s: it is not on offer.",
                       SLICE_ARG(lease->status));
    }
    if (!lease->has_offer || lease->offer_status.len == 0) {
        return why_set(why, ERR_CONFLICT, NULL, "The offer is not on chain yet.");
    }
    if (!slice_equal_text(lease->offer_status, "active")) {
        return why_set(why, ERR_CONFLICT, NULL, "The offer is %.*s.",
                       SLICE_ARG(lease->offer_status));
    }
    return OK;
}

/* ---- what is signed ---- */

enum err leasing_lease_terms(struct arena *arena, const struct leasing_lease *lease,
                             const struct address *lessee, struct leasing_terms *out,
                             struct why *why)
{
    const struct json *metadata = NULL;
    struct leasing_pair *pairs = NULL;
    size_t count = 0;
    if (!lease->asset_on_chain) {
        return why_set(why, ERR_CONFLICT, "assetId", "The asset %.*s is not on chain.",
                       SLICE_ARG(lease->asset_id));
    }
    enum err e = json_parse(arena, lease->metadata, &json_limits_body, &metadata, why);
    if (e == OK && metadata->count > 0) {
        e = leasing_why_under(why, leasing_metadata_flatten(arena, metadata, &pairs, &count, why),
                              "metadata");
    }
    if (e != OK) {
        return e;
    }
    *out = (struct leasing_terms){
        .deadline_sec = (uint64_t)(lease->deadline_usec / USEC_PER_SEC),
        .asset_type = leasing_type_hash(lease->asset_type),
        .lessor = lease->lessor,
        .lessee = lessee != NULL ? *lessee : (struct address){{0}},
        .asset_id = lease->onchain_asset_id,
        .payment_token = lease->payment_token,
        .rent = lease->rent,
        .rent_period_sec = lease->rent_period_sec,
        .deposit = lease->deposit,
        .start_sec = (uint64_t)(lease->start_usec / USEC_PER_SEC),
        .end_sec = (uint64_t)(lease->end_usec / USEC_PER_SEC),
        .legal_doc_hash = lease->legal_document_hash,
        .terms_version = lease->terms_version,
        .metadata = pairs,
        .metadata_count = count,
    };
    return OK;
}

enum err leasing_lease_verify(const struct leasing *l, const struct leasing_terms *terms,
                              const struct address *signer, struct slice signature, struct why *why)
{
    const struct address others[] = {l->marketplace, l->registry, l->stablecoin};
    enum err e =
        leasing_terms_check_signature(terms, l->chain_id, &l->factory, others,
                                      sizeof others / sizeof others[0], signer, signature, why);
    return leasing_why_under(why, e, "signature");
}

/* ---- answers ---- */

static void terms_member(struct json_out *j, const struct leasing_lease *lease)
{
    json_key(j, "terms");
    json_begin_object(j);
    json_key(j, "startDate");
    json_time(j, lease->start_usec);
    json_key(j, "endDate");
    json_time(j, lease->end_usec);
    json_key(j, "paymentAmount");
    json_u256(j, stable_raw(lease->rent));
    json_key(j, "paymentSchedule");
    json_string(j, lease->schedule);
    json_key(j, "currency");
    json_string(j, lease->currency);
    json_key(j, "restrictions");
    json_raw(j, lease->restrictions);
    json_key(j, "rentPeriod");
    json_u64(j, lease->rent_period_sec);
    json_key(j, "securityDeposit");
    json_u256(j, stable_raw(lease->deposit));
    json_end_object(j);
}

static void signature_members(struct json_out *j, const struct leasing_lease *lease)
{
    /* The contract checked both before it minted. */
    bool lessor = lease->has_nft || lease->lessor_signature.len > 0;
    bool lessee = lease->has_nft || lease->lessee_signature.len > 0;
    bool wanted = leasing_lease_is_unsigned(lease);
    json_key(j, "signatures");
    json_begin_object(j);
    json_key(j, "lessor");
    json_bool(j, lessor);
    json_key(j, "lessee");
    json_bool(j, lessee);
    json_end_object(j);
    json_key(j, "signaturesRequired");
    json_begin_array(j);
    if (wanted && !lessor) {
        json_text(j, "lessor");
    }
    if (wanted && !lessee) {
        json_text(j, "lessee");
    }
    json_end_array(j);
}

static void offer_member(struct json_out *j, const struct leasing_lease *lease)
{
    json_key(j, "offer");
    if (!lease->has_offer) {
        json_null(j);
        return;
    }
    json_begin_object(j);
    json_key(j, "offerId");
    json_u256(j, lease->offer_id);
    json_key(j, "status");
    leasing_json_text(j, lease->offer_status);
    json_end_object(j);
}

static void onchain_member(struct json_out *j, const struct leasing_lease *lease)
{
    json_key(j, "onChain");
    if (!lease->has_nft) {
        json_null(j);
        return;
    }
    json_begin_object(j);
    json_key(j, "tokenId");
    json_u256(j, lease->nft_token_id);
    json_key(j, "blockNumber");
    json_u64(j, lease->block_number);
    json_key(j, "transactionHash");
    json_hex(j, hash_slice(&lease->transaction_hash));
    json_end_object(j);
}

static void termination_member(struct json_out *j, const struct leasing_lease *lease)
{
    json_key(j, "termination");
    if (lease->lessor_termination.len == 0 && lease->lessee_termination.len == 0) {
        json_null(j);
        return;
    }
    json_begin_object(j);
    json_key(j, "lessor");
    json_bool(j, lease->lessor_termination.len > 0);
    json_key(j, "lessee");
    json_bool(j, lease->lessee_termination.len > 0);
    json_key(j, "reason");
    leasing_json_text(j, lease->termination_reason);
    json_end_object(j);
}

static void action_member(struct json_out *j, const struct leasing_lease *lease)
{
    json_key(j, "action");
    if (!lease->action.known) {
        json_null(j);
        return;
    }
    json_begin_object(j);
    json_key(j, "purpose");
    json_string(j, lease->action_purpose);
    json_key(j, "transaction");
    leasing_tx_json(j, &lease->action);
    json_end_object(j);
}

void leasing_lease_json(struct json_out *j, const struct leasing *l,
                        const struct leasing_lease *lease)
{
    json_key(j, "leaseId");
    json_string(j, lease->id);
    json_key(j, "assetId");
    json_string(j, lease->asset_id);
    json_key(j, "status");
    json_string(j, lease->status);
    json_key(j, "error");
    leasing_json_text(j, lease->error);
    json_key(j, "chainId");
    json_u64(j, lease->chain_id);
    json_key(j, "contractAddress");
    json_address(j, &lease->factory);
    json_key(j, "lessorAddress");
    json_address(j, &lease->lessor);
    json_key(j, "lesseeAddress");
    if (lease->has_lessee) {
        json_address(j, &lease->lessee);
    } else {
        json_null(j);
    }
    terms_member(j, lease);
    json_key(j, "paymentToken");
    json_address(j, &lease->payment_token);
    json_key(j, "paymentTokenSymbol");
    bool ours = address_equal(&lease->payment_token, &l->stablecoin);
    leasing_json_text(j, ours ? slice_text(l->stable_symbol) : SLICE_EMPTY);
    json_key(j, "deadline");
    json_time(j, lease->deadline_usec);
    json_key(j, "legalDocumentHash");
    json_hex(j, hash_slice(&lease->legal_document_hash));
    json_key(j, "termsVersion");
    json_u64(j, lease->terms_version);
    json_key(j, "metadata");
    json_raw(j, lease->metadata);
    json_key(j, "metadataHash");
    json_hex(j, hash_slice(&lease->metadata_hash));
    signature_members(j, lease);
    offer_member(j, lease);
    onchain_member(j, lease);
    termination_member(j, lease);
    action_member(j, lease);
    json_key(j, "createdAt");
    json_time(j, lease->created_usec);
    json_key(j, "updatedAt");
    json_time(j, lease->updated_usec);
    json_key(j, "transaction");
    leasing_tx_json(j, &lease->tx);
}

/* ---- the signed message, for people and tools ---- */

static void domain_member(struct json_out *j, const struct leasing *l)
{
    json_key(j, "domain");
    json_begin_object(j);
    json_key(j, "name");
    json_text(j, DOMAIN_NAME);
    json_key(j, "version");
    json_text(j, DOMAIN_VERSION);
    json_key(j, "chainId");
    json_u64(j, l->chain_id);
    json_key(j, "verifyingContract");
    json_address(j, &l->factory);
    json_end_object(j);
}

static void message_member(struct json_out *j, const struct leasing_terms *t)
{
    json_key(j, "message");
    json_begin_object(j);
    json_key(j, "deadline");
    json_u64(j, t->deadline_sec);
    json_key(j, "assetTypeSchemaHash");
    json_hex(j, hash_slice(&t->asset_type));
    json_key(j, "lease");
    json_begin_object(j);
    json_key(j, "lessor");
    json_address(j, &t->lessor);
    json_key(j, "lessee");
    json_address(j, &t->lessee);
    json_key(j, "assetId");
    json_u256(j, t->asset_id);
    json_key(j, "paymentToken");
    json_address(j, &t->payment_token);
    json_key(j, "rentAmount");
    json_u256(j, stable_raw(t->rent));
    json_key(j, "rentPeriod");
    json_u256(j, u256_from_u64(t->rent_period_sec));
    json_key(j, "securityDeposit");
    json_u256(j, stable_raw(t->deposit));
    json_key(j, "startTime");
    json_u64(j, t->start_sec);
    json_key(j, "endTime");
    json_u64(j, t->end_sec);
    json_key(j, "legalDocHash");
    json_hex(j, hash_slice(&t->legal_doc_hash));
    json_key(j, "termsVersion");
    json_u64(j, t->terms_version);
    json_end_object(j);
    json_end_object(j);
}

void leasing_terms_json(struct json_out *j, const struct leasing *l,
                        const struct leasing_terms *terms)
{
    struct hash digest = leasing_terms_digest(terms, l->chain_id, &l->factory);
    struct hash struct_hash = leasing_terms_struct_hash(terms);
    json_key(j, "digest");
    json_hex(j, hash_slice(&digest));
    json_key(j, "structHash");
    json_hex(j, hash_slice(&struct_hash));
    json_key(j, "typedData");
    json_begin_object(j);
    domain_member(j, l);
    json_key(j, "primaryType");
    json_text(j, "LeaseIntent");
    json_key(j, "typeStrings");
    json_begin_object(j);
    json_key(j, "LeaseIntent");
    json_text(j, INTENT_TYPE);
    json_key(j, "Lease");
    json_text(j, LEASE_TYPE);
    json_end_object(j);
    message_member(j, terms);
    json_end_object(j);
}
