#include "gen/abi_asset_erc20.h"
#include "gen/abi_asset_registry.h"
#include "gen/abi_erc1967_proxy.h"
#include "gen/abi_lease_factory.h"
#include "gen/abi_marketplace.h"
#include "gen/abi_test_stablecoin.h"
#include "gen/abi_types.h"
#include "gen/bytecode.h"
#include "kernel/evm/block.h"
#include "unit/vectors.h"

static struct arena arena;
static const struct json *lease;

static int setup(void **state)
{
    arena_init(&arena, 0);
    lease = json_find(vector_file(&arena, "leasing.json"), "lease");
    assert_non_null(lease);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static const char *text_at(const char *path)
{
    return slice_cstr(&arena, vector_text(lease, path));
}

static struct u256 number_at(const char *path)
{
    struct u256 v;
    assert_int_equal(u256_parse(vector_text(lease, path), &v), OK);
    return v;
}

static uint64_t u64_at(const char *path)
{
    return number_at(path).limb[0];
}

static struct abi_lease_intent intent_of_the_vectors(void)
{
    static struct abi_metadata metadata;
    metadata = (struct abi_metadata){SLICE_LIT("uri"), SLICE_LIT("ipfs://x/")};
    return (struct abi_lease_intent){
        .deadline = u64_at("intent.deadline"),
        .asset_type = vector_hash(text_at("intent.assetType")),
        .lease = {.lessor = vector_address(text_at("intent.lease.lessor")),
                  .lessee = vector_address(text_at("intent.lease.lessee")),
                  .asset_id = number_at("intent.lease.assetId"),
                  .payment_token = vector_address(text_at("intent.lease.paymentToken")),
                  .rent_amount = number_at("intent.lease.rentAmount"),
                  .rent_period = number_at("intent.lease.rentPeriod"),
                  .security_deposit = number_at("intent.lease.securityDeposit"),
                  .start_time = u64_at("intent.lease.startTime"),
                  .end_time = u64_at("intent.lease.endTime"),
                  .legal_doc_hash = vector_hash(text_at("intent.lease.legalDocHash")),
                  .terms_version = (uint16_t)u64_at("intent.lease.termsVersion"),
                  .metadata = &metadata,
                  .metadata_count = 1}};
}

static void mint_lease_encodes_to_the_byte(void **state)
{
    const struct abi_lease_intent intent = intent_of_the_vectors();
    struct slice out;
    assert_int_equal(
        lease_factory_mint_lease_encode(&arena, &intent, vector_hex(&arena, text_at("sigLessor")),
                                        vector_hex(&arena, text_at("sigLessee")), &out, NULL),
        OK);
    assert_hex(out, text_at("mintLeaseCalldata"));
}

/* What mintLease takes, leaseOffers gives back inside a larger tuple. */
static void structs_survive_encoding_and_reading(void **state)
{
    const struct abi_lease_intent intent = intent_of_the_vectors();
    const struct abi_type types[] = {
        {.kind = ABI_ADDRESS, .name = "lessor"},
        {.kind = ABI_TUPLE, .count = 3, .items = abi_lease_intent_members, .name = "terms"},
        {.kind = ABI_BOOL, .name = "active"}};
    const struct abi_value values[] = {abi_address(&intent.lease.lessor),
                                       abi_lease_intent_value(&arena, &intent), abi_bool(true)};
    struct marketplace_lease_offers_result offer;
    struct slice data;
    struct why why = {0};
    assert_int_equal(abi_encode(&arena, types, values, 3, &data, NULL), OK);
    if (marketplace_lease_offers_result_decode(&arena, data, &offer, &why) != OK) {
        fail_msg("%s: %s", why.field, why.text);
    }
    assert_true(offer.active);
    assert_true(offer.terms.deadline == intent.deadline);
    assert_int_equal(offer.terms.lease.terms_version, 1);
    assert_true(offer.terms.lease.end_time == 1800000000);
    assert_memory_equal(offer.terms.lease.lessee.bytes, intent.lease.lessee.bytes, ADDRESS_BYTES);
    assert_int_equal(offer.terms.lease.metadata_count, 1);
    assert_text(offer.terms.lease.metadata[0].key, "uri");
    assert_text(offer.terms.lease.metadata[0].value, "ipfs://x/");
    assert_int_equal(marketplace_lease_offers_result_decode(
                         &arena, slice_sub(data, 0, data.len - 1), &offer, &why),
                     ERR_INVALID_ENCODING);
    assert_string_equal(why.field, "terms.lease.metadata.0.value");
}

/* log_at makes the log of the vectors: they hold address, topics and data only. */
static struct evm_log log_at(size_t index)
{
    const struct json *v = json_at(json_find(lease, "logs"), index);
    struct evm_log log = {.topic_count = 0};
    for (const struct json *t = json_find(v, "topics")->child; t != NULL; t = t->next) {
        log.topics[log.topic_count++] = vector_hash(slice_cstr(&arena, t->text));
    }
    log.data = vector_hex(&arena, slice_cstr(&arena, vector_text(v, "data")));
    log.address = vector_address(slice_cstr(&arena, vector_text(v, "address")));
    return log;
}

static void logs_of_a_minted_lease(void **state)
{
    const struct address lessor = vector_address(text_at("intent.lease.lessor"));
    const struct address lessee = vector_address(text_at("intent.lease.lessee"));
    struct evm_log log = log_at(0);
    struct lease_factory_transfer transfer;
    assert_ptr_equal(abi_event_find(&abi_lease_factory, &log),
                     &abi_lease_factory_events[LEASE_FACTORY_EVENT_TRANSFER]);
    assert_null(abi_event_find(&abi_asset_erc20, &log)); /* an ERC-20 Transfer has three topics */
    assert_int_equal(lease_factory_transfer_decode(&arena, &log, &transfer, NULL), OK);
    assert_memory_equal(transfer.to.bytes, lessee.bytes, ADDRESS_BYTES);
    assert_true(u256_is_zero(transfer.token_id));

    struct lease_factory_metadata_updated updated;
    log = log_at(1);
    assert_int_equal(lease_factory_metadata_updated_decode(&arena, &log, &updated, NULL), OK);
    assert_hex(hash_slice(&updated.hash),
               "0x290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563");
    assert_text(updated.key, "uri");
    assert_text(updated.value, "ipfs://x/");

    struct lease_factory_lease_minted minted;
    log = log_at(2);
    assert_int_equal(lease_factory_lease_minted_decode(&arena, &log, &minted, NULL), OK);
    assert_memory_equal(minted.lessor.bytes, lessor.bytes, ADDRESS_BYTES);
    assert_memory_equal(minted.lessee.bytes, lessee.bytes, ADDRESS_BYTES);
    assert_true(u256_equal(minted.asset_id, u256_from_u64(1)));
    assert_int_equal(lease_factory_transfer_decode(&arena, &log, &transfer, NULL),
                     ERR_INVALID_ENCODING);
}

static void an_indexed_string_is_only_its_hash(void **state)
{
    struct evm_log log = {.topic_count = 3};
    struct asset_registry_asset_type_created created;
    log.topics[0] =
        vector_hash("0xb465a381bc5b7c249b2d273580b13753c505208f430da9624481dc3a9d9133bc");
    log.topics[1] = keccak256(SLICE_LIT("satellite"));
    log.topics[2] = keccak256(SLICE_LIT("SatelliteSchema"));
    log.data =
        vector_hex(&arena, "0x0000000000000000000000000000000000000000000000000000000000000020"
                           "0000000000000000000000000000000000000000000000000000000000000001"
                           "00000000000000000000000000000000000000000000000000000000000000ab");
    assert_int_equal(asset_registry_asset_type_created_decode(&arena, &log, &created, NULL), OK);
    assert_true(hash_equal(&created.name_hash, &log.topics[1]));
    assert_int_equal(created.required_lease_keys_count, 1);
    assert_int_equal(created.required_lease_keys[0].bytes[31], 0xab);
}

/* Selectors and topics as the deployed contracts have them. */
static void selectors_and_topics_are_the_published_ones(void **state)
{
    static const struct {
        const struct abi_contract *contract;
        const char *signature, *selector;
    } functions[] = {
        {&abi_asset_registry, "createAssetType(string,bytes32,bytes32[],(string,string)[])",
         "0x82190ddb"},
        {&abi_asset_registry,
         "registerAsset(bytes32,string,string,uint256,address,address,address,(string,string)[])",
         "0xd904cd17"},
        {&abi_asset_erc20, "getHolders()", "0x5fe8e7cc"},
        {&abi_asset_erc20, "transfer(address,uint256)", "0xa9059cbb"},
        {&abi_lease_factory, "tokenURI(uint256)", "0xc87b56dd"},
        {&abi_marketplace, "acceptLeaseBid(uint256,uint256,bytes)", "0x5d21cf82"},
        {&abi_marketplace, "placeLeaseBid(uint256,bytes,uint256)", "0x719b5c70"},
        {&abi_marketplace, "claimRevenue()", "0x564f4f76"},
        {&abi_test_stablecoin, "mint(address,uint256)", "0x40c10f19"},
    };
    static const struct {
        const struct abi_contract *contract;
        const char *signature, *topic;
        uint16_t indexed;
    } events[] = {
        {&abi_asset_registry, "AssetRegistered(uint256,bytes32,address)",
         "0x2aa9c4e6dfc93d089f25ff3356df5305b7977f768884056b3bf4c0361e2ab2ac", 2},
        {&abi_lease_factory, "LeaseMinted(uint256,address,address,uint256)",
         "0xefe2f746143aa1d2f03b11088ab609d0d5fd98fa818fa1da44c1874718665cf9", 3},
        {&abi_marketplace, "LeaseAccepted(uint256,uint256,address,uint256)",
         "0x3e44f8a8cda28678d6b201fe31fa4fd406ec9fde581d80d7439edd23b85d9596", 3},
        {&abi_marketplace, "LeaseBidPlaced(uint256,uint256,address,uint256)",
         "0x4d926c7447ed310dcc37cf2962fd0aa7527c47ee21c87f50aa6f9b2005da3822", 3},
        {&abi_marketplace, "RevenueClaimed(address,uint256)",
         "0xc15f451120b13b6b40c6ad6203614ab3088308bef9150c0d6f46ea79bf464224", 1},
    };
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        struct slice selector = vector_hex(&arena, functions[i].selector);
        const struct abi_function *f = abi_function_find(functions[i].contract, selector);
        assert_non_null(f);
        assert_string_equal(f->signature, functions[i].signature);
    }
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        struct evm_log log = {.topic_count = (uint8_t)(events[i].indexed + 1)};
        log.topics[0] = vector_hash(events[i].topic);
        const struct abi_event *event = abi_event_find(events[i].contract, &log);
        assert_non_null(event);
        assert_string_equal(event->signature, events[i].signature);
    }
}

/* The generator hashes in Python; every row must agree with our own Keccak and type texts. */
static void every_row_is_consistent(void **state)
{
    for (size_t c = 0; c < ABI_CONTRACT_COUNT; c++) {
        const struct abi_contract *contract = abi_contracts[c];
        for (size_t i = 0; i < contract->function_count; i++) {
            const struct abi_function *f = &contract->functions[i];
            const struct abi_type inputs = {
                .kind = ABI_TUPLE, .count = f->input_count, .items = f->inputs};
            struct hash h = keccak256(slice_text(f->signature));
            struct buf text;
            assert_memory_equal(h.bytes, f->selector, 4);
            buf_init(&text, &arena, 0);
            buf_add_text(&text, f->name);
            abi_type_format(&text, &inputs);
            assert_text(buf_slice(&text), f->signature);
        }
        for (size_t i = 0; i < contract->event_count; i++) {
            const struct abi_event *event = &contract->events[i];
            struct hash h = keccak256(slice_text(event->signature));
            uint16_t indexed = 0;
            for (size_t k = 0; k < event->input_count; k++) {
                indexed = (uint16_t)(indexed + event->inputs[k].indexed);
            }
            assert_true(hash_equal(&h, &event->topic));
            assert_int_equal(indexed, event->indexed_count);
        }
        for (size_t i = 0; i < contract->error_count; i++) {
            struct hash h = keccak256(slice_text(contract->errors[i].signature));
            assert_memory_equal(h.bytes, contract->errors[i].selector, 4);
        }
    }
}

static void overloads_have_names_of_their_own(void **state)
{
    struct hash key = keccak256(SLICE_LIT("x"));
    struct slice out;
    assert_int_equal(
        lease_factory_get_metadata_bytes32_encode(&arena, &key, SLICE_LIT("uri"), &out, NULL), OK);
    assert_hex(slice_sub(out, 0, 4), "0x0e1ae91b");
    assert_int_equal(
        lease_factory_get_metadata_uint256_encode(&arena, U256_ZERO, SLICE_LIT("uri"), &out, NULL),
        OK);
    assert_hex(slice_sub(out, 0, 4), "0xcb4799f2");
    assert_int_equal(asset_erc20_get_all_metadata_encode(&arena, &out, NULL), OK);
    assert_hex(out, "0xd9a19635");
}

static void creation_code_decodes(void **state)
{
    static const struct {
        const struct slice *text;
        size_t at_least;
    } codes[] = {{&bytecode_asset_registry, 8000},  {&bytecode_asset_erc20, 8000},
                 {&bytecode_lease_factory, 8000},   {&bytecode_marketplace, 8000},
                 {&bytecode_test_stablecoin, 2000}, {&bytecode_erc1967_proxy, 200}};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct slice bytes;
        assert_int_equal(hex_decode(&arena, *codes[i].text, &bytes), OK);
        assert_true(bytes.len > codes[i].at_least);
        assert_int_equal(bytes.ptr[0] & 0xfe, 0x60); /* PUSH1 or PUSH2, as solc begins programs */
    }
    const struct address implementation =
        vector_address("0x5fc8d32690cc91d4c39d9d3abcbd16989f875707");
    struct slice arguments;
    assert_int_equal(erc1967_proxy_constructor_encode(&arena, &implementation, SLICE_LIT("\x01"),
                                                      &arguments, NULL),
                     OK);
    assert_hex(arguments, "0x"
                          "0000000000000000000000005fc8d32690cc91d4c39d9d3abcbd16989f875707"
                          "0000000000000000000000000000000000000000000000000000000000000040"
                          "0000000000000000000000000000000000000000000000000000000000000001"
                          "0100000000000000000000000000000000000000000000000000000000000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mint_lease_encodes_to_the_byte),
        cmocka_unit_test(structs_survive_encoding_and_reading),
        cmocka_unit_test(logs_of_a_minted_lease),
        cmocka_unit_test(an_indexed_string_is_only_its_hash),
        cmocka_unit_test(selectors_and_topics_are_the_published_ones),
        cmocka_unit_test(every_row_is_consistent),
        cmocka_unit_test(overloads_have_names_of_their_own),
        cmocka_unit_test(creation_code_decodes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
