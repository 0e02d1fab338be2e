#include "domain/leasing/leasing_terms.h"

#include "gen/abi_lease_factory.h"
#include "gen/abi_marketplace.h"
#include "kernel/base/hex.h"
#include "kernel/base/mem.h"

#define SEC_PER_DAY 86400

/*
 * Hashes of type strings. The contract's own:
 *   Lease(address lessor,address lessee,uint256 assetId,address paymentToken,uint256 rentAmount,
 *         uint256 rentPeriod,uint256 securityDeposit,uint64 startTime,uint64 endTime,
 *         bytes32 legalDocHash,uint16 termsVersion)
 *   LeaseIntent(uint64 deadline,bytes32 assetTypeSchemaHash,Lease lease)
 * and what wallets make of the same fields: the second string with the first appended, the second
 * member called assetTypeSchemaHash or, after the ABI, assetType. The tests hash the strings.
 */
static const struct hash lease_typehash = {{0x1f, 0x0d, 0xd3, 0x47, 0xb9, 0xac, 0xc3, 0xb4,
                                            0xcb, 0x2a, 0x22, 0x4c, 0x07, 0x4e, 0x7f, 0xc8,
                                            0x6f, 0x87, 0x14, 0xc2, 0x89, 0x91, 0x79, 0xa4,
                                            0xc2, 0x77, 0x7c, 0xc0, 0x0e, 0xd6, 0x13, 0xaa}};
static const struct hash intent_typehash = {{0x03, 0x6b, 0x00, 0xe9, 0x58, 0xc9, 0x7f, 0x61,
                                             0x40, 0xb1, 0x05, 0xfa, 0x91, 0x61, 0xb1, 0x87,
                                             0xaf, 0x9c, 0x6f, 0xd7, 0x1d, 0x67, 0xbb, 0x38,
                                             0xa7, 0xf6, 0xcb, 0x65, 0xdc, 0x05, 0x3c, 0x1d}};
static const struct hash wallet_typehashes[] = {
    {{0xaf, 0x77, 0xf3, 0xe6, 0x87, 0x2a, 0xfb, 0xb8, 0x67, 0x8e, 0xdd,
      0x18, 0xe5, 0x64, 0x59, 0x23, 0x03, 0x4b, 0x3f, 0x6e, 0x4a, 0xea,
      0x95, 0x8e, 0xb3, 0x07, 0x9e, 0x3c, 0xc9, 0xdf, 0x30, 0x70}},
    {{0x46, 0xca, 0x02, 0x35, 0x7d, 0x62, 0x52, 0x31, 0x5a, 0xe7, 0x5b,
      0x4c, 0x35, 0x89, 0xd0, 0x71, 0xe0, 0x09, 0x51, 0xf4, 0x17, 0x31,
      0x77, 0x22, 0x9c, 0x79, 0xe0, 0x13, 0x24, 0x87, 0xa5, 0x9c}}};

/* Chains that wallets are commonly left on by mistake. */
static const uint64_t common_chains[] = {1,     10,    56,       137,   8453, 42161, 43113,
                                         43114, 84532, 11155111, 31337, 1337, 23294, 23295};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- digest ---------------------------------------------------------------------------------- */

static void add_hash(uint8_t *word, const struct hash *h)
{
    memcpy(word, h->bytes, HASH_BYTES);
}

static void add_address(uint8_t *word, const struct address *a)
{
    memset(word, 0, U256_BYTES - ADDRESS_BYTES);
    memcpy(word + U256_BYTES - ADDRESS_BYTES, a->bytes, ADDRESS_BYTES);
}

static void add_u64(uint8_t *word, uint64_t value)
{
    u256_encode_be(u256_from_u64(value), word);
}

static struct hash lease_hash(const struct leasing_terms *t)
{
    uint8_t words[12][U256_BYTES];
    add_hash(words[0], &lease_typehash);
    add_address(words[1], &t->lessor);
    add_address(words[2], &t->lessee);
    u256_encode_be(t->asset_id, words[3]);
    add_address(words[4], &t->payment_token);
    u256_encode_be(stable_raw(t->rent), words[5]);
    add_u64(words[6], t->rent_period_sec);
    u256_encode_be(stable_raw(t->deposit), words[7]);
    add_u64(words[8], t->start_sec);
    add_u64(words[9], t->end_sec);
    add_hash(words[10], &t->legal_doc_hash);
    add_u64(words[11], t->terms_version);
    return keccak256(slice_of(words, sizeof words));
}

static struct hash intent_hash(const struct hash *typehash, const struct leasing_terms *t)
{
    struct hash lease = lease_hash(t);
    uint8_t words[4][U256_BYTES];
    add_hash(words[0], typehash);
    add_u64(words[1], t->deadline_sec);
    add_hash(words[2], &t->asset_type);
    add_hash(words[3], &lease);
    return keccak256(slice_of(words, sizeof words));
}

static struct hash domain_digest(const struct hash *struct_hash, uint64_t chain_id,
                                 const struct address *factory)
{
    const struct eip712_domain domain = {.name = SLICE_LIT("Lease"),
                                         .version = SLICE_LIT("1"),
                                         .chain_id = chain_id,
                                         .contract = *factory};
    struct hash separator = eip712_domain_separator(&domain);
    return eip712_digest(&separator, struct_hash);
}

struct hash leasing_terms_struct_hash(const struct leasing_terms *terms)
{
    return intent_hash(&intent_typehash, terms);
}

struct hash leasing_terms_digest(const struct leasing_terms *terms, uint64_t chain_id,
                                 const struct address *factory)
{
    struct hash h = leasing_terms_struct_hash(terms);
    return domain_digest(&h, chain_id, factory);
}

/* ---- signatures ------------------------------------------------------------------------------ */

/* What a wrong signature is held against. */
struct suspect {
    const struct leasing_terms *terms;
    uint64_t chain_id;
    const struct address *factory;
    const struct address *expected;
    const struct signature *sig;
    char expected_text[ADDRESS_TEXT_MAX];
};

static bool signed_by_expected(const struct suspect *s, const struct hash *digest)
{
    struct address signer;
    return secp256k1_recover(digest, s->sig, &signer, NULL) == OK &&
           address_equal(&signer, s->expected);
}

static enum err find_other_chain(const struct suspect *s, struct why *why)
{
    struct hash h = leasing_terms_struct_hash(s->terms);
    for (size_t i = 0; i < COUNT(common_chains); i++) {
        struct hash digest = domain_digest(&h, common_chains[i], s->factory);
        if (common_chains[i] != s->chain_id && signed_by_expected(s, &digest)) {
            return why_set(why, ERR_SIGNATURE_CHAIN, NULL,
                           "%s signed these terms for chain %llu; the lease is on chain %llu: "
                           "switch the wallet's network and sign again.",
                           s->expected_text, (unsigned long long)common_chains[i],
                           (unsigned long long)s->chain_id);
        }
    }
    return OK;
}

static enum err find_other_contract(const struct suspect *s, const struct address *others,
                                    size_t count, struct why *why)
{
    struct hash h = leasing_terms_struct_hash(s->terms);
    for (size_t i = 0; i < count && i < LEASING_OTHERS_MAX; i++) {
        struct hash digest = domain_digest(&h, s->chain_id, &others[i]);
        if (!address_equal(&others[i], s->factory) && signed_by_expected(s, &digest)) {
            char other[ADDRESS_TEXT_MAX];
            char factory[ADDRESS_TEXT_MAX];
            address_format(&others[i], other);
            address_format(s->factory, factory);
            return why_set(why, ERR_SIGNATURE_CONTRACT, NULL,
                           "%s signed these terms for the contract %s; verifyingContract must be "
                           "the lease factory %s.",
                           s->expected_text, other, factory);
        }
    }
    return OK;
}

static enum err find_wallet_encoding(const struct suspect *s, struct why *why)
{
    for (size_t i = 0; i < COUNT(wallet_typehashes); i++) {
        struct hash h = intent_hash(&wallet_typehashes[i], s->terms);
        struct hash digest = domain_digest(&h, s->chain_id, s->factory);
        if (signed_by_expected(s, &digest)) {
            return why_set(why, ERR_SIGNATURE_SIGNER, NULL,
                           "%s signed standard EIP-712 typed data (eth_signTypedData), which the "
                           "lease factory does not accept: its type string is not standard. Sign "
                           "the 32-byte digest itself.",
                           s->expected_text);
        }
    }
    return OK;
}

static enum err find_personal_message(const struct suspect *s, struct why *why)
{
    struct hash digest = leasing_terms_digest(s->terms, s->chain_id, s->factory);
    char text[2 * HASH_BYTES + 3];
    hex_encode_to(hash_slice(&digest), text);
    struct hash of_bytes = eip712_personal(hash_slice(&digest));
    struct hash of_text = eip712_personal(slice_text(text));
    if (!signed_by_expected(s, &of_bytes) && !signed_by_expected(s, &of_text)) {
        return OK;
    }
    return why_set(why, ERR_SIGNATURE_SIGNER, NULL,
                   "%s signed the digest as a message (personal_sign), which adds a prefix that "
                   "the lease factory does not accept: sign the 32-byte digest itself.",
                   s->expected_text);
}

static enum err find_open_lessee(const struct suspect *s, struct why *why)
{
    struct leasing_terms open = *s->terms;
    open.lessee = (struct address){{0}};
    struct hash digest = leasing_terms_digest(&open, s->chain_id, s->factory);
    if (address_is_zero(&s->terms->lessee) || !signed_by_expected(s, &digest)) {
        return OK;
    }
    char lessee[ADDRESS_TEXT_MAX];
    address_format(&s->terms->lessee, lessee);
    return why_set(why, ERR_SIGNATURE_SIGNER, NULL,
                   "%s signed the terms without a lessee; the digest must name the lessee %s.",
                   s->expected_text, lessee);
}

static enum err refuse_signer(const struct suspect *s, const struct address *signer,
                              struct why *why)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(signer, text);
    const char *party = address_equal(signer, &s->terms->lessor)   ? ", the lessor,"
                        : address_equal(signer, &s->terms->lessee) ? ", the lessee,"
                                                                   : "";
    return why_set(why, ERR_SIGNATURE_SIGNER, NULL,
                   "The signature recovers to %s%s and not to %s: another account signed, or it "
                   "signed other terms.",
                   text, party, s->expected_text);
}

enum err leasing_terms_check_signature(const struct leasing_terms *terms, uint64_t chain_id,
                                       const struct address *factory, const struct address *others,
                                       size_t other_count, const struct address *expected,
                                       struct slice signature, struct why *why)
{
    struct signature sig;
    struct address signer;
    enum err e = signature_decode(signature, &sig, why);
    if (e != OK) {
        return e;
    }
    struct hash digest = leasing_terms_digest(terms, chain_id, factory);
    e = secp256k1_recover(&digest, &sig, &signer, why);
    if (e != OK || address_equal(&signer, expected)) {
        return e;
    }
    struct suspect s = {.terms = terms,
                        .chain_id = chain_id,
                        .factory = factory,
                        .expected = expected,
                        .sig = &sig};
    address_format(expected, s.expected_text);
    e = find_wallet_encoding(&s, why);
    e = e != OK ? e : find_personal_message(&s, why);
    e = e != OK ? e : find_open_lessee(&s, why);
    e = e != OK ? e : find_other_contract(&s, others, other_count, why);
    e = e != OK ? e : find_other_chain(&s, why);
    return e != OK ? e : refuse_signer(&s, &signer, why);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static struct abi_lease_intent intent_of(struct arena *arena, const struct leasing_terms *t)
{
    struct abi_metadata *metadata =
        arena_alloc_array(arena, t->metadata_count, sizeof(struct abi_metadata));
    for (size_t i = 0; i < t->metadata_count; i++) {
        metadata[i] = (struct abi_metadata){t->metadata[i].key, t->metadata[i].value};
    }
    return (struct abi_lease_intent){
        .deadline = t->deadline_sec,
        .asset_type = t->asset_type,
        .lease = {.lessor = t->lessor,
                  .lessee = t->lessee,
                  .asset_id = t->asset_id,
                  .payment_token = t->payment_token,
                  .rent_amount = stable_raw(t->rent),
                  .rent_period = u256_from_u64(t->rent_period_sec),
                  .security_deposit = stable_raw(t->deposit),
                  .start_time = t->start_sec,
                  .end_time = t->end_sec,
                  .legal_doc_hash = t->legal_doc_hash,
                  .terms_version = t->terms_version,
                  .metadata = metadata,
                  .metadata_count = t->metadata_count},
    };
}

enum err leasing_terms_mint_call(struct arena *arena, const struct leasing_terms *terms,
                                 struct slice lessor_signature, struct slice lessee_signature,
                                 struct slice *out, struct why *why)
{
    struct abi_lease_intent intent = intent_of(arena, terms);
    return lease_factory_mint_lease_encode(arena, &intent, lessor_signature, lessee_signature, out,
                                           why);
}

enum err leasing_terms_offer_call(struct arena *arena, const struct leasing_terms *terms,
                                  struct slice *out, struct why *why)
{
    struct abi_lease_intent intent = intent_of(arena, terms);
    return marketplace_post_lease_offer_encode(arena, &intent, out, why);
}

/* ---- schedules ------------------------------------------------------------------------------- */

struct schedule {
    const char *name;
    uint64_t days; /* 0: the whole term */
};

static const struct schedule schedules[] = {
    {"monthly", 30},
    {"quarterly", 90},
    {"annual", 365},
    {"upfront", 0},
};

enum err leasing_schedule_period(struct slice schedule, uint64_t start_sec, uint64_t end_sec,
                                 uint64_t *out_sec, struct why *why)
{
    if (end_sec <= start_sec) {
        return why_set(why, ERR_INVALID_FIELD, "endDate", "endDate must be after startDate.");
    }
    for (size_t i = 0; i < COUNT(schedules); i++) {
        if (slice_equal_text(schedule, schedules[i].name)) {
            uint64_t days = schedules[i].days;
            *out_sec = days > 0 ? days * SEC_PER_DAY : end_sec - start_sec;
            return OK;
        }
    }
    return why_set(why, ERR_INVALID_FIELD, "paymentSchedule",
                   "paymentSchedule must be monthly, quarterly, annual or upfront.");
}
