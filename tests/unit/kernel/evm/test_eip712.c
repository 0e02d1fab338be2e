#include "kernel/evm/eip712.h"

#include "unit/vectors.h"

static struct arena arena;
static const struct json *vectors;

static int setup(void **state)
{
    arena_init(&arena, 0);
    vectors = vector_file(&arena, "leasing.json");
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static void assert_hash(struct hash h, const char *expected)
{
    assert_hex(hash_slice(&h), expected);
}

static struct slice at(const char *path)
{
    return vector_text(vectors, path);
}

static void assert_hash_at(struct hash h, const char *path)
{
    assert_hash(h, slice_cstr(&arena, at(path)));
}

static struct address address_at(const char *path)
{
    return vector_address(slice_cstr(&arena, at(path)));
}

static struct hash hash_at(const char *path)
{
    return vector_hash(slice_cstr(&arena, at(path)));
}

static struct abi_value number_at(const char *path)
{
    struct u256 v;
    assert_int_equal(u256_parse(at(path), &v), OK);
    return abi_uint(v);
}

static struct eip712_domain domain_at(const char *prefix)
{
    struct eip712_domain d = {.chain_id = 31337};
    d.name = at(slice_cstr(&arena, slice_format(&arena, "%s.domain.name", prefix)));
    d.version = at(slice_cstr(&arena, slice_format(&arena, "%s.domain.version", prefix)));
    d.contract =
        address_at(slice_cstr(&arena, slice_format(&arena, "%s.domain.verifyingContract", prefix)));
    return d;
}

static const struct abi_type *members(const char *text)
{
    const struct abi_type *type = NULL;
    assert_int_equal(abi_type_parse(&arena, slice_text(text), &type, NULL), OK);
    return type;
}

static struct hash struct_hash(const char *type_string, const char *types,
                               const struct abi_value *values)
{
    struct hash type_hash = keccak256(slice_text(type_string)), out;
    const struct abi_type *type = members(types);
    struct why why = {0};
    if (eip712_struct_hash(&arena, &type_hash, type->items, values, type->count, &out, &why) !=
        OK) {
        fail_msg("%s: %s", why.field, why.text);
    }
    return out;
}

/* The EIP's own "Mail" example. */
static void mail_of_the_eip(void **state)
{
    static const char person[] = "Person(string name,address wallet)";
    static const char mail[] =
        "Mail(Person from,Person to,string contents)Person(string name,address wallet)";
    const struct eip712_domain domain = {
        .name = SLICE_LIT("Ether Mail"),
        .version = SLICE_LIT("1"),
        .chain_id = 1,
        .contract = vector_address("0xcccccccccccccccccccccccccccccccccccccccc")};
    struct hash separator = eip712_domain_separator(&domain);
    assert_hash(separator, "0xf2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f");

    const struct address cow = vector_address("0xcd2a3d9f938e13cd947ec05abc7fe734df8dd826");
    const struct address bob = vector_address("0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    const struct abi_value from[] = {abi_bytes(SLICE_LIT("Cow")), abi_address(&cow)};
    const struct abi_value to[] = {abi_bytes(SLICE_LIT("Bob")), abi_address(&bob)};
    struct hash from_hash = struct_hash(person, "(string,address)", from);
    struct hash to_hash = struct_hash(person, "(string,address)", to);
    assert_hash(from_hash, "0xfc71e5fa27ff56c350aa531bc129ebdf613b772b6604664f5d8dbe21b85eb0c8");
    assert_hash(to_hash, "0xcd54f074a4af31b4411ff6a60c9719dbd559c221c8ac3492d9d872b041d703d1");
    const struct abi_value values[] = {abi_hash(&from_hash), abi_hash(&to_hash),
                                       abi_bytes(SLICE_LIT("Hello, Bob!"))};
    struct hash mail_hash = struct_hash(mail, "(bytes32,bytes32,string)", values);
    assert_hash(mail_hash, "0xc52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e");
    assert_hash(eip712_digest(&separator, &mail_hash),
                "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
}

static struct hash lease_hash(void)
{
    const struct address lessor = address_at("lease.intent.lease.lessor");
    const struct address lessee = address_at("lease.intent.lease.lessee");
    const struct address token = address_at("lease.intent.lease.paymentToken");
    const struct hash document = hash_at("lease.intent.lease.legalDocHash");
    const struct abi_value values[] = {
        abi_address(&lessor),
        abi_address(&lessee),
        number_at("lease.intent.lease.assetId"),
        abi_address(&token),
        number_at("lease.intent.lease.rentAmount"),
        number_at("lease.intent.lease.rentPeriod"),
        number_at("lease.intent.lease.securityDeposit"),
        number_at("lease.intent.lease.startTime"),
        number_at("lease.intent.lease.endTime"),
        abi_hash(&document),
        number_at("lease.intent.lease.termsVersion"),
    };
    return struct_hash("Lease(address lessor,address lessee,uint256 assetId,address paymentToken,"
                       "uint256 rentAmount,uint256 rentPeriod,uint256 securityDeposit,"
                       "uint64 startTime,uint64 endTime,bytes32 legalDocHash,uint16 termsVersion)",
                       "(address,address,uint256,address,uint256,uint256,uint256,uint64,uint64,"
                       "bytes32,uint16)",
                       values);
}

static void assert_signer(const char *signature_path, const struct hash *digest,
                          const char *signer_path)
{
    struct signature sig;
    struct address signer, expected = address_at(signer_path);
    assert_int_equal(
        signature_decode(vector_hex(&arena, slice_cstr(&arena, at(signature_path))), &sig, NULL),
        OK);
    assert_int_equal(secp256k1_recover(digest, &sig, &signer, NULL), OK);
    assert_memory_equal(signer.bytes, expected.bytes, ADDRESS_BYTES);
}

/* The lease intent is not standard: the type string lacks the Lease type and renames a member. */
static void the_lease_intent_as_the_contract_hashes_it(void **state)
{
    const struct eip712_domain domain = domain_at("lease");
    struct hash separator = eip712_domain_separator(&domain);
    assert_hash_at(separator, "lease.domainSeparator");
    struct hash lease = lease_hash();
    assert_hash_at(lease, "lease.leaseHash");
    const struct hash asset_type = hash_at("lease.intent.assetType");
    const struct abi_value values[] = {number_at("lease.intent.deadline"), abi_hash(&asset_type),
                                       abi_hash(&lease)};
    struct hash intent =
        struct_hash("LeaseIntent(uint64 deadline,bytes32 assetTypeSchemaHash,Lease lease)",
                    "(uint64,bytes32,bytes32)", values);
    assert_hash_at(intent, "lease.leaseIntentStructHash");
    struct hash digest = eip712_digest(&separator, &intent);
    assert_hash_at(digest, "lease.digest");
    assert_signer("lease.sigLessor", &digest, "lease.intent.lease.lessor");
    assert_signer("lease.sigLessee", &digest, "lease.intent.lease.lessee");
}

static void the_parties_sign_the_same_bytes_again(void **state)
{
    static const char *const paths[] = {"lease.sigLessor", "lease.sigLessee"};
    const struct hash digest = hash_at("lease.digest");
    for (uint32_t i = 0; i < 2; i++) {
        struct secret key = vector_key(
            i == 0 ? "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
                   : "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a");
        struct signature sig;
        uint8_t bytes[SIGNATURE_BYTES];
        assert_int_equal(secp256k1_sign(&key, &digest, &sig), OK);
        signature_encode(&sig, bytes);
        assert_hex(slice_of(bytes, sizeof(bytes)), slice_cstr(&arena, at(paths[i])));
        secret_clear(&key);
    }
}

static void the_permit_of_a_coin(void **state)
{
    const struct eip712_domain domain = domain_at("permit");
    struct hash separator = eip712_domain_separator(&domain);
    assert_hash_at(separator, "permit.domainSeparator");
    const struct address owner = address_at("permit.permit.owner");
    const struct address spender = address_at("permit.permit.spender");
    const struct abi_value values[] = {
        abi_address(&owner), abi_address(&spender), number_at("permit.permit.value"),
        number_at("permit.permit.nonce"), number_at("permit.permit.deadline")};
    struct hash body = struct_hash(
        "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)",
        "(address,address,uint256,uint256,uint256)", values);
    struct hash digest = eip712_digest(&separator, &body);
    assert_hash_at(digest, "permit.digest");

    struct hash r = hash_at("permit.r"), s = hash_at("permit.s");
    struct signature sig = {.v = 28};
    struct address signer;
    memcpy(sig.r, r.bytes, 32);
    memcpy(sig.s, s.bytes, 32);
    assert_int_equal(secp256k1_recover(&digest, &sig, &signer, NULL), OK);
    assert_memory_equal(signer.bytes, owner.bytes, ADDRESS_BYTES);
}

static void nested_members_must_come_as_hashes(void **state)
{
    static const char *const types[] = {"(uint8 a,uint8[] list)", "(uint8 a,uint8[2] list)",
                                        "(uint8 a,(uint8) list)"};
    const struct abi_value inner[] = {abi_u64(1), abi_u64(2)};
    const struct abi_value values[] = {abi_u64(1), abi_items(inner, 2)};
    struct hash type_hash = {{0}}, out = {{5}};
    for (size_t i = 0; i < 3; i++) {
        struct why why = {0};
        assert_int_equal(
            eip712_struct_hash(&arena, &type_hash, members(types[i])->items, values, 2, &out, &why),
            ERR_INVALID_ENCODING);
        assert_string_equal(why.field, "list");
        assert_int_equal(out.bytes[0], 5);
    }
    const struct abi_value large[] = {abi_u64(256)};
    struct why why = {0};
    assert_int_equal(eip712_struct_hash(&arena, &type_hash, members("(uint8 small)")->items, large,
                                        1, &out, &why),
                     ERR_INVALID_ENCODING);
    assert_string_equal(why.field, "small");
}

/* Digests by ethers 6 (hashMessage). */
static void personal_messages(void **state)
{
    assert_hash(eip712_personal(SLICE_LIT("Hello World")),
                "0xa1de988600a42c4b4ab089b619297c17d53cffae5d5120d82d8a92d0bb3b78f2");
    assert_hash(eip712_personal(SLICE_EMPTY),
                "0x5f35dce98ba4fba25530a026ed80b2cecdaa31091ba4958b99b52ea1d068adad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_of_the_eip),
        cmocka_unit_test(the_lease_intent_as_the_contract_hashes_it),
        cmocka_unit_test(the_parties_sign_the_same_bytes_again),
        cmocka_unit_test(the_permit_of_a_coin),
        cmocka_unit_test(nested_members_must_come_as_hashes),
        cmocka_unit_test(personal_messages),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
