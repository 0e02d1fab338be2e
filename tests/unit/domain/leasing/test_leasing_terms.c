/*
 * The vectors were made and checked on the deployed bytecode; the signatures below were made with
 * ethers 6 by the lessor of the vectors.
 */
#include "domain/leasing/leasing_terms.h"

#include "kernel/base/rand.h"
#include "unit/vectors.h"

static struct arena arena;
static const struct json *vectors;
static struct leasing_terms terms;
static struct leasing_pair metadata;
static struct address factory;

#define CHAIN_ID 31337
#define LESSOR_KEY "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"

/* signTypedData of the same fields, the second member called as in the type string. */
static const char signed_typed_schema_hash[] =
    "0x1f461c2feb8ded91da0ea82218f5b6dc482c216218b335d27bdaecad918100c3080dc3ff95f1e3eb67"
    "9f457175d323cee7fee3bf78726e7470218cd230f92afd1b";
/* signTypedData with the second member called as in the ABI. */
static const char signed_typed_asset_type[] =
    "0xc1574e6d9de07ad899913a5191b700591d1da7c6d2e91c960a18ab2ac3474d6f2bc3fa8e60a21ff651"
    "348df0966d47f2923f5f8d92dacf9986a5737d781a491f1b";
/* signMessage of the digest's bytes, and of its text. */
static const char signed_message_bytes[] =
    "0x0df8cffc9bbc4cf5ee203d42615e264c5c5049f5b8827fa76b340f4d91c11d5a5c97f0d9936c29f3c8"
    "045a04a5a44fca30a67a508ebdbfacf7f3d55635ce42871c";
static const char signed_message_text[] =
    "0xa7b71eccc84c53918de6914ecacad5b4a89f2ecc2648656e66de0f1a61e9478e6ff80956dc7744ffac"
    "2877b4469966011f978af238a70cc2167ea9c14729320f1b";
/* The contract's digest, but for other chains. */
static const char signed_for_mainnet[] =
    "0xf1132fb464e029efc0b1e4772094c3bedd1818bfe21608801b34a1641e88ef1375a1337ef4dcf7335c"
    "87a31a4ee86daa614fd587b57aa1cffa32d031118586021b";
static const char signed_for_base_sepolia[] =
    "0x472a6e6f80c3b6f5eac3672bc0ea6d21d5a138c062f713fb9a739065455f3d3f434be4cce4232ffe0d"
    "1ee6b628cf5388f8d2f44a79feadc9a11b9e9c6e0a8de91b";
static const char signed_for_sapphire_testnet[] =
    "0xf8164a91ea334af62d8f59359eeb5227cbbf8f2d3d2aca0e60b6ef87abc0c39f3f53cd51252cb066af"
    "78b3e779b2eb83dbaddbfa58bc698a34b8bffc3d27f4e01b";
/* For the stablecoin as verifying contract. */
static const char signed_for_stablecoin[] =
    "0xec7b8c54c2f732d3244dd8f9d5591abf03733f0716877474ca0904b010b7f73469081359c2cae81a37"
    "c32d76eb3facc7f8f6754590cbb344937e1dbd3b8500491c";
/* Before the lessee was known. */
static const char signed_without_lessee[] =
    "0xf377512b50162f20cdfca3ccba8c32e55ccb03611430229cb9912c689dcef9516e9fee4fb20021b67c"
    "a2d83033fdd4a05f9fe69d2dc143cd4457237e0b7e68831b";
/* Interface.encodeFunctionData("postLeaseOffer", …). */
static const char offer_calldata[] =
    "0xe2beb69d00000000000000000000000000000000000000000000000000000000000000200000000000"
    "0000000000000000000000000000000000000000000000f48657004ef7c3a47056d35d188e3a86d76854"
    "c9a51e0381ea304e8bf2424405a4edaf9600000000000000000000000000000000000000000000000000"
    "0000000000006000000000000000000000000070997970c51812dc3a010c7d01b50e0d17dc79c8000000"
    "0000000000000000003c44cdddb6a900fa2b585dd299e03d12fa4293bc00000000000000000000000000"
    "000000000000000000000000000000000000010000000000000000000000005fbdb2315678afecb367f0"
    "32d93f642f64180aa300000000000000000000000000000000000000000000000000000000000f424000"
    "00000000000000000000000000000000000000000000000000000000000e100000000000000000000000"
    "0000000000000000000000000000000000004c4b40000000000000000000000000000000000000000000"
    "000000000000006553f100000000000000000000000000000000000000000000000000000000006b49d2"
    "00585f0ffac4590ed956ef7d99c1177e00c7f240a28094f8eaffb94c5a559815a3000000000000000000"
    "000000000000000000000000000000000000000000000100000000000000000000000000000000000000"
    "000000000000000000000001800000000000000000000000000000000000000000000000000000000000"
    "000001000000000000000000000000000000000000000000000000000000000000002000000000000000"
    "000000000000000000000000000000000000000000000000400000000000000000000000000000000000"
    "000000000000000000000000000080000000000000000000000000000000000000000000000000000000"
    "000000000375726900000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000009697066733a2f2f782f000000000000"
    "0000000000000000000000000000000000";

static uint64_t number_at(const char *path)
{
    uint64_t value = 0;
    assert_int_equal(slice_parse_u64(vector_text(vectors, path), &value), OK);
    return value;
}

static struct address address_at(const char *path)
{
    return vector_address(slice_cstr(&arena, vector_text(vectors, path)));
}

static struct hash hash_at(const char *path)
{
    return vector_hash(slice_cstr(&arena, vector_text(vectors, path)));
}

static struct slice bytes_at(const char *path)
{
    return vector_hex(&arena, slice_cstr(&arena, vector_text(vectors, path)));
}

static int load(void **state)
{
    arena_init(&arena, 0);
    vectors = json_find(vector_file(&arena, "leasing.json"), "lease");
    const struct json *lease = json_find(json_find(vectors, "intent"), "lease");
    const struct json *pair = json_at(json_find(lease, "metadata"), 0);
    metadata = (struct leasing_pair){vector_text(pair, "key"), vector_text(pair, "value")};
    factory = address_at("domain.verifyingContract");
    terms = (struct leasing_terms){
        .deadline_sec = number_at("intent.deadline"),
        .asset_type = hash_at("intent.assetType"),
        .lessor = address_at("intent.lease.lessor"),
        .lessee = address_at("intent.lease.lessee"),
        .asset_id = u256_from_u64(number_at("intent.lease.assetId")),
        .payment_token = address_at("intent.lease.paymentToken"),
        .rent = stable_of(u256_from_u64(number_at("intent.lease.rentAmount"))),
        .rent_period_sec = number_at("intent.lease.rentPeriod"),
        .deposit = stable_of(u256_from_u64(number_at("intent.lease.securityDeposit"))),
        .start_sec = number_at("intent.lease.startTime"),
        .end_sec = number_at("intent.lease.endTime"),
        .legal_doc_hash = hash_at("intent.lease.legalDocHash"),
        .terms_version = (uint16_t)number_at("intent.lease.termsVersion"),
        .metadata = &metadata,
        .metadata_count = 1,
    };
    return 0;
}

static int unload(void **state)
{
    arena_free(&arena);
    return 0;
}

/* ---- digest ---------------------------------------------------------------------------------- */

static void test_digest(void **state)
{
    struct hash struct_hash = leasing_terms_struct_hash(&terms);
    struct hash digest = leasing_terms_digest(&terms, CHAIN_ID, &factory);
    struct hash expected_struct = hash_at("leaseIntentStructHash");
    struct hash expected = hash_at("digest");
    assert_memory_equal(struct_hash.bytes, expected_struct.bytes, HASH_BYTES);
    assert_memory_equal(digest.bytes, expected.bytes, HASH_BYTES);
}

/* Each signed field changes the digest; metadata does not. */
static void test_digest_covers_every_field(void **state)
{
    struct hash digests[16];
    size_t count = 0;
    struct leasing_terms changed[13];
    for (size_t i = 0; i < 13; i++) {
        changed[i] = terms;
    }
    changed[1].deadline_sec++;
    changed[2].asset_type.bytes[31] ^= 1;
    changed[3].lessor.bytes[0] ^= 1;
    changed[4].lessee.bytes[19] ^= 1;
    changed[5].asset_id.limb[3] ^= 1;
    changed[6].payment_token.bytes[7] ^= 1;
    changed[7].rent = stable_of(U256_MAX);
    changed[8].rent_period_sec++;
    changed[9].deposit = stable_of(U256_ZERO);
    changed[10].start_sec = UINT64_MAX;
    changed[11].end_sec++;
    changed[12].legal_doc_hash.bytes[0] ^= 1;
    for (size_t i = 0; i < 13; i++) {
        digests[count++] = leasing_terms_digest(&changed[i], CHAIN_ID, &factory);
    }
    changed[0].terms_version = UINT16_MAX;
    digests[count++] = leasing_terms_digest(&changed[0], CHAIN_ID, &factory);
    digests[count++] = leasing_terms_digest(&terms, CHAIN_ID + 1, &factory);
    digests[count++] = leasing_terms_digest(&terms, CHAIN_ID, &terms.lessor);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(hash_equal(&digests[i], &digests[j]));
        }
    }
    struct leasing_terms bare = terms;
    bare.metadata_count = 0;
    struct hash same = leasing_terms_digest(&bare, CHAIN_ID, &factory);
    assert_true(hash_equal(&same, &digests[0]));
}

/* ---- signatures ------------------------------------------------------------------------------ */

static enum err check(const struct address *expected, struct slice signature, struct why *why)
{
    const struct address others[] = {factory, terms.lessee, terms.payment_token};
    return leasing_terms_check_signature(&terms, CHAIN_ID, &factory, others, 3, expected, signature,
                                         why);
}

static void assert_refused(const char *signature, enum err expected, const char *phrase)
{
    struct why why = {.err = OK};
    assert_int_equal(check(&terms.lessor, vector_hex(&arena, signature), &why), expected);
    assert_int_equal(why.err, expected);
    if (strstr(why.text, phrase) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", why.text, phrase);
    }
}

static void test_accepts_both_parties(void **state)
{
    struct why why = {.err = OK};
    assert_int_equal(check(&terms.lessor, bytes_at("sigLessor"), &why), OK);
    assert_int_equal(check(&terms.lessee, bytes_at("sigLessee"), &why), OK);
    assert_int_equal(why.err, OK);
}

static void test_makes_the_same_signature(void **state)
{
    struct secret key = vector_key(LESSOR_KEY);
    struct hash digest = leasing_terms_digest(&terms, CHAIN_ID, &factory);
    struct signature sig;
    uint8_t bytes[SIGNATURE_BYTES];
    assert_int_equal(secp256k1_sign(&key, &digest, &sig), OK);
    signature_encode(&sig, bytes);
    assert_true(slice_equal(slice_of(bytes, sizeof bytes), bytes_at("sigLessor")));
    secret_clear(&key);
}

static void test_names_the_wallets_encoding(void **state)
{
    assert_refused(signed_typed_schema_hash, ERR_SIGNATURE_SIGNER, "eth_signTypedData");
    assert_refused(signed_typed_asset_type, ERR_SIGNATURE_SIGNER, "eth_signTypedData");
    assert_refused(signed_message_bytes, ERR_SIGNATURE_SIGNER, "personal_sign");
    assert_refused(signed_message_text, ERR_SIGNATURE_SIGNER, "personal_sign");
}

static void test_names_the_other_chain(void **state)
{
    assert_refused(signed_for_mainnet, ERR_SIGNATURE_CHAIN, "for chain 1;");
    assert_refused(signed_for_base_sepolia, ERR_SIGNATURE_CHAIN, "for chain 84532;");
    assert_refused(signed_for_sapphire_testnet, ERR_SIGNATURE_CHAIN, "for chain 23295;");
}

static void test_names_the_other_contract(void **state)
{
    assert_refused(signed_for_stablecoin, ERR_SIGNATURE_CONTRACT,
                   "0x5FbDB2315678afecb367f032d93F642f64180aa3");
    assert_refused(signed_for_stablecoin, ERR_SIGNATURE_CONTRACT,
                   "0x5FC8d32690cc91D4c39d9d3abcBD16989F875707");
}

static void test_names_the_missing_lessee(void **state)
{
    assert_refused(signed_without_lessee, ERR_SIGNATURE_SIGNER, "without a lessee");
}

static void test_names_the_signer(void **state)
{
    struct why why;
    assert_int_equal(check(&terms.lessor, bytes_at("sigLessee"), &why), ERR_SIGNATURE_SIGNER);
    assert_non_null(strstr(why.text,
                           "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC, the lessee, and not to "
                           "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"));
    assert_int_equal(check(&terms.lessee, bytes_at("sigLessor"), &why), ERR_SIGNATURE_SIGNER);
    assert_non_null(strstr(why.text, "the lessor,"));
    terms.rent = stable_of(u256_from_u64(999999));
    assert_int_equal(check(&terms.lessor, bytes_at("sigLessor"), &why), ERR_SIGNATURE_SIGNER);
    assert_non_null(strstr(why.text, "other terms"));
}

/* The digest of any of the listed chains is recognised, except on that chain itself. */
static void test_knows_common_chains(void **state)
{
    static const uint64_t chains[] = {1,     10,    56,       137,   8453, 42161, 43113,
                                      43114, 84532, 11155111, 31337, 1337, 23294, 23295};
    struct secret key = vector_key(LESSOR_KEY);
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        struct hash digest = leasing_terms_digest(&terms, chains[i], &factory);
        struct signature sig;
        uint8_t bytes[SIGNATURE_BYTES];
        assert_int_equal(secp256k1_sign(&key, &digest, &sig), OK);
        signature_encode(&sig, bytes);
        for (size_t j = 0; j < sizeof chains / sizeof chains[0]; j++) {
            enum err e =
                leasing_terms_check_signature(&terms, chains[j], &factory, NULL, 0, &terms.lessor,
                                              slice_of(bytes, sizeof bytes), NULL);
            assert_int_equal(e, i == j ? OK : ERR_SIGNATURE_CHAIN);
        }
    }
    secret_clear(&key);
}

static void test_refuses_malformed_signatures(void **state)
{
    struct slice good = bytes_at("sigLessor");
    uint8_t bytes[SIGNATURE_BYTES + 1] = {0};
    struct why why;
    /* n - s of the vector's s with the other v: the same signature, malleated (EIP-2). */
    static const char high_s[] =
        "0x282a37a770a65bad6e7d450ba47942ee8e423a5bce5b3b16054a0a36d4719729"
        "ea9fdfa0aeb013b386b069efec248f063d584ffa76062c2466a19b73ccd324bb1c";
    memcpy(bytes, good.ptr, SIGNATURE_BYTES);
    assert_int_equal(check(&terms.lessor, slice_of(bytes, 64), &why), ERR_SIGNATURE_MALFORMED);
    assert_int_equal(check(&terms.lessor, slice_of(bytes, 66), &why), ERR_SIGNATURE_MALFORMED);
    assert_int_equal(check(&terms.lessor, SLICE_EMPTY, &why), ERR_SIGNATURE_MALFORMED);
    bytes[64] = 0;
    assert_int_equal(check(&terms.lessor, slice_of(bytes, 65), &why), ERR_SIGNATURE_V);
    bytes[64] = 1;
    assert_int_equal(check(&terms.lessor, slice_of(bytes, 65), &why), ERR_SIGNATURE_V);
    bytes[64] = 29;
    assert_int_equal(check(&terms.lessor, slice_of(bytes, 65), &why), ERR_SIGNATURE_V);
    memset(bytes, 0, 32);
    bytes[64] = 27;
    assert_int_equal(check(&terms.lessor, slice_of(bytes, 65), &why), ERR_SIGNATURE_MALFORMED);
    assert_int_equal(check(&terms.lessor, vector_hex(&arena, high_s), &why), ERR_SIGNATURE_HIGH_S);
}

/* No byte of a signature may be changed. */
static void test_refuses_altered_signatures(void **state)
{
    struct slice good = bytes_at("sigLessor");
    rand_set_seed(3);
    for (size_t i = 0; i < 64; i++) {
        uint8_t bytes[SIGNATURE_BYTES];
        memcpy(bytes, good.ptr, SIGNATURE_BYTES);
        bytes[i] ^= (uint8_t)(1 + rand_below(255));
        assert_int_not_equal(check(&terms.lessor, slice_of(bytes, sizeof bytes), NULL), OK);
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void test_mint_call(void **state)
{
    struct slice call;
    struct why why;
    assert_int_equal(leasing_terms_mint_call(&arena, &terms, bytes_at("sigLessor"),
                                             bytes_at("sigLessee"), &call, &why),
                     OK);
    assert_hex(call, slice_cstr(&arena, vector_text(vectors, "mintLeaseCalldata")));
}

static void test_offer_call(void **state)
{
    struct slice call;
    struct why why;
    assert_int_equal(leasing_terms_offer_call(&arena, &terms, &call, &why), OK);
    assert_hex(call, offer_calldata);
}

/* ---- schedules ------------------------------------------------------------------------------- */

static void test_schedules(void **state)
{
    static const struct {
        const char *schedule;
        uint64_t start_sec;
        uint64_t end_sec;
        uint64_t period_sec;
    } cases[] = {
        {"monthly", 0, 1, 2592000},
        {"quarterly", 1700000000, 1800000000, 7776000},
        {"annual", 1700000000, 1800000000, 31536000},
        {"upfront", 1700000000, 1800000000, 100000000},
        {"upfront", 0, UINT64_MAX, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t period = 0;
        assert_int_equal(leasing_schedule_period(slice_text(cases[i].schedule), cases[i].start_sec,
                                                 cases[i].end_sec, &period, NULL),
                         OK);
        assert_true(period == cases[i].period_sec);
    }
}

static void test_refuses_schedules(void **state)
{
    static const char *const names[] = {"", "weekly", "Monthly", "monthly ", "month"};
    uint64_t period = 77;
    struct why why;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(leasing_schedule_period(slice_text(names[i]), 1, 2, &period, &why),
                         ERR_INVALID_FIELD);
        assert_string_equal(why.field, "paymentSchedule");
    }
    assert_int_equal(leasing_schedule_period(SLICE_LIT("upfront"), 5, 5, &period, &why),
                     ERR_INVALID_FIELD);
    assert_string_equal(why.field, "endDate");
    assert_int_equal(leasing_schedule_period(SLICE_LIT("monthly"), 6, 5, &period, &why),
                     ERR_INVALID_FIELD);
    assert_true(period == 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_digest, load, unload),
        cmocka_unit_test_setup_teardown(test_digest_covers_every_field, load, unload),
        cmocka_unit_test_setup_teardown(test_accepts_both_parties, load, unload),
        cmocka_unit_test_setup_teardown(test_makes_the_same_signature, load, unload),
        cmocka_unit_test_setup_teardown(test_names_the_wallets_encoding, load, unload),
        cmocka_unit_test_setup_teardown(test_names_the_other_chain, load, unload),
        cmocka_unit_test_setup_teardown(test_names_the_other_contract, load, unload),
        cmocka_unit_test_setup_teardown(test_names_the_missing_lessee, load, unload),
        cmocka_unit_test_setup_teardown(test_names_the_signer, load, unload),
        cmocka_unit_test_setup_teardown(test_knows_common_chains, load, unload),
        cmocka_unit_test_setup_teardown(test_refuses_malformed_signatures, load, unload),
        cmocka_unit_test_setup_teardown(test_refuses_altered_signatures, load, unload),
        cmocka_unit_test_setup_teardown(test_mint_call, load, unload),
        cmocka_unit_test_setup_teardown(test_offer_call, load, unload),
        cmocka_unit_test_setup_teardown(test_schedules, load, unload),
        cmocka_unit_test_setup_teardown(test_refuses_schedules, load, unload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
