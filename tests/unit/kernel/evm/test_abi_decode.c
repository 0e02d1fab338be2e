#include "kernel/evm/abi.h"
#include "kernel/evm/block.h"

#include "unit/vectors.h"

#define ZERO "0000000000000000000000000000000000000000000000000000000000000000"
#define ONE "0000000000000000000000000000000000000000000000000000000000000001"
#define TWO "0000000000000000000000000000000000000000000000000000000000000002"
#define X20 "0000000000000000000000000000000000000000000000000000000000000020"
#define X40 "0000000000000000000000000000000000000000000000000000000000000040"
#define FULL "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static const struct abi_type *types_of(const char *text)
{
    const struct abi_type *type = NULL;
    assert_int_equal(abi_type_parse(&arena, slice_text(text), &type, NULL), OK);
    return type;
}

static enum err decode(const char *tuple, const char *hex, const struct abi_value **out,
                       struct why *why)
{
    const struct abi_type *type = types_of(tuple);
    return abi_decode(&arena, type->items, type->count, vector_hex(&arena, hex), out, why);
}

static uint64_t small(const struct abi_value *v)
{
    uint64_t n = UINT64_MAX;
    assert_int_equal(u256_to_u64(v->number, &n), OK);
    return n;
}

/* Arguments of g(uint256[][],string[]) in the Solidity manual's ABI specification. */
static void nested_lists_of_the_specification(void **state)
{
    const struct abi_value *v = NULL;
    assert_int_equal(
        decode("(uint256[][],string[])",
               "0x"
               "0000000000000000000000000000000000000000000000000000000000000040"
               "0000000000000000000000000000000000000000000000000000000000000140" TWO
               "0000000000000000000000000000000000000000000000000000000000000040"
               "00000000000000000000000000000000000000000000000000000000000000a0" TWO ONE TWO ONE
               "0000000000000000000000000000000000000000000000000000000000000003"
               "0000000000000000000000000000000000000000000000000000000000000003"
               "0000000000000000000000000000000000000000000000000000000000000060"
               "00000000000000000000000000000000000000000000000000000000000000a0"
               "00000000000000000000000000000000000000000000000000000000000000e0"
               "0000000000000000000000000000000000000000000000000000000000000003"
               "6f6e650000000000000000000000000000000000000000000000000000000000"
               "0000000000000000000000000000000000000000000000000000000000000003"
               "74776f0000000000000000000000000000000000000000000000000000000000"
               "0000000000000000000000000000000000000000000000000000000000000005"
               "7468726565000000000000000000000000000000000000000000000000000000",
               &v, NULL),
        OK);
    assert_int_equal(v[0].count, 2);
    assert_int_equal(v[0].items[0].count, 2);
    assert_int_equal(small(&v[0].items[0].items[1]), 2);
    assert_int_equal(v[0].items[1].count, 1);
    assert_int_equal(small(&v[0].items[1].items[0]), 3);
    assert_int_equal(v[1].count, 3);
    assert_text(v[1].items[0].bytes, "one");
    assert_text(v[1].items[2].bytes, "three");
}

static void words_decode_to_their_values(void **state)
{
    const struct abi_value *v = NULL;
    assert_int_equal(decode("(address,bool,bytes4,int8)",
                            "0x"
                            "00000000000000000000000070997970c51812dc3a010c7d01b50e0d17dc79c8" ONE
                            "1234567800000000000000000000000000000000000000000000000000000000"
                            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff80",
                            &v, NULL),
                     OK);
    struct address a = abi_to_address(&v[0]);
    assert_hex(slice_of(a.bytes, ADDRESS_BYTES), "0x70997970c51812dc3a010c7d01b50e0d17dc79c8");
    assert_int_equal(small(&v[1]), 1);
    assert_hex(v[2].bytes, "0x12345678");
}

static void malformed_data_is_refused(void **state)
{
    static const struct {
        const char *types, *data, *field;
    } cases[] = {
        /* too short */
        {"(uint256)", "0x", ""},
        {"(uint256)", "0x00", ""},
        {"(uint256,uint256)", "0x" ZERO, ""},
        {"(string)", "0x" X20, "0"},
        {"(string)", "0x" X20 ONE, "0"},
        {"(string)", "0x" X20 ONE "78", "0"}, /* the padding is missing */
        {"(uint8[3])", "0x" ONE TWO, ""},
        /* wrong padding */
        {"(uint8)", "0x" FULL, "0"},
        {"(uint64 n)", "0x0000000000000000000000000000000000000000000000010000000000000000", "n"},
        {"(bool)", "0x" TWO, "0"},
        {"(bool)", "0x" FULL, "0"},
        {"(address)", "0x00000000000000000000000170997970c51812dc3a010c7d01b50e0d17dc79c8", "0"},
        {"(bytes4)", "0x1234567800000000000000000000000000000000000000000000000000000001", "0"},
        {"(int8)", "0x0000000000000000000000000000000000000000000000000000000000000080", "0"},
        {"(int8)", "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "0"},
        {"(string)",
         "0x" X20 ONE "7800000000000000000000000000000000000000000000000000000000000001", "0"},
        /* offsets and lengths outside the data */
        {"(string s)", "0x" FULL ZERO, "s"},
        {"(string)", "0x" X40 ONE, "0"},
        {"(string)", "0x" X20 FULL, "0"},
        {"(string)", "0x" X20 "0000000000000000000000000000000000000000000000010000000000000000",
         "0"},
        {"(uint8[])", "0x" X20 FULL ONE, "0"},
        {"(uint8[])", "0x" X20 TWO ONE, "0"},
        {"(string[])", "0x" X20 ONE FULL, "0.0"},
        {"((uint8 a,string b)[] list)", "0x" X20 ONE X20 ONE FULL ZERO, "list.0.b"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct abi_value *v = NULL;
        struct why why = {0};
        if (decode(cases[i].types, cases[i].data, &v, &why) != ERR_INVALID_ENCODING) {
            fail_msg("case %zu: %s", i, cases[i].types);
        }
        assert_null(v);
        assert_string_equal(why.field, cases[i].field);
    }
}

static void trailing_bytes_are_allowed(void **state)
{
    const struct abi_value *v = NULL;
    assert_int_equal(decode("(uint8)", "0x" ONE FULL "aabb", &v, NULL), OK);
    assert_int_equal(small(&v[0]), 1);
}

/* Two offsets to one place are legal and cost only the values they name. */
static void shared_tails_are_read_twice(void **state)
{
    const struct abi_value *v = NULL;
    assert_int_equal(decode("(string,string)",
                            "0x" X40 X40 ONE
                            "7800000000000000000000000000000000000000000000000000000000000000",
                            &v, NULL),
                     OK);
    assert_text(v[0].bytes, "x");
    assert_text(v[1].bytes, "x");
    assert_ptr_equal(v[0].bytes.ptr, v[1].bytes.ptr);
}

/*
 * Each level is one table of 64 offsets which all point at the table of the next level, so that
 * 12 KiB of data name 64^6 values: the number of values is bounded instead.
 */
static void overlapping_offsets_cannot_explode(void **state)
{
    struct buf data;
    const struct abi_type *type = types_of("(uint256[][][][][][])");
    const struct abi_value *v = NULL;
    struct why why = {0};
    uint8_t word[32] = {0};
    buf_init(&data, &arena, 0);
    word[31] = 32;
    buf_add(&data, word, 32);
    word[31] = 64;
    buf_add(&data, word, 32);
    for (unsigned level = 0; level < 5; level++) {
        for (unsigned i = 0; i < 64; i++) {
            u256_encode_be(u256_from_u64(64 * 32), word);
            buf_add(&data, word, 32);
        }
        memset(word, 0, sizeof(word));
        word[31] = 64;
        buf_add(&data, word, 32);
    }
    for (unsigned i = 0; i < 64; i++) {
        buf_add(&data, word, 32);
    }
    assert_int_equal(abi_decode(&arena, type->items, 1, buf_slice(&data), &v, &why),
                     ERR_INVALID_ENCODING);
    assert_non_null(strstr(why.text, "too many values"));
    assert_true(arena.used < (size_t)ABI_NODES_MAX * sizeof(struct abi_value) + (1 << 20));
}

static void sizes_that_do_not_exist_are_not_allocated(void **state)
{
    const struct abi_value *v = NULL;
    size_t before = arena.used;
    assert_int_equal(decode("(bool[65535][65535][65535])", "0x" ONE, &v, NULL),
                     ERR_INVALID_ENCODING);
    assert_int_equal(decode("(bool[65535][65535][])", "0x" X20 ONE ONE, &v, NULL),
                     ERR_INVALID_ENCODING);
    assert_true(arena.used - before < 65536);
}

static void nothing_decodes_from_nothing(void **state)
{
    const struct abi_value *v = NULL;
    assert_int_equal(abi_decode(&arena, NULL, 0, SLICE_EMPTY, &v, NULL), OK);
}

/* ---- events: a made-up one whose topics skip the plain input between them ---- */

static const struct abi_type minted_inputs[] = {
    {.kind = ABI_UINT, .size = 256, .name = "tokenId", .indexed = true},
    {.kind = ABI_UINT, .size = 256, .name = "assetId"},
    {.kind = ABI_STRING, .name = "note", .indexed = true},
    {.kind = ABI_ADDRESS, .name = "lessee", .indexed = true},
};

static struct abi_event minted(void)
{
    struct abi_event event = {.name = "Minted",
                              .signature = "Minted(uint256,uint256,string,address)",
                              .inputs = minted_inputs,
                              .input_count = 4,
                              .indexed_count = 3};
    event.topic = keccak256(slice_text(event.signature));
    return event;
}

static struct evm_log minted_log(void)
{
    struct evm_log log = {.topic_count = 4};
    log.topics[0] = minted().topic;
    log.topics[1] = vector_hash("0x" TWO);
    log.topics[2] = keccak256(SLICE_LIT("hello"));
    log.topics[3] =
        vector_hash("0x00000000000000000000000070997970c51812dc3a010c7d01b50e0d17dc79c8");
    log.data = vector_hex(&arena, "0x" ONE);
    return log;
}

static void an_event_decodes_in_declaration_order(void **state)
{
    const struct abi_event event = minted();
    struct evm_log log = minted_log();
    const struct abi_value *v = NULL;
    assert_int_equal(abi_event_decode(&arena, &event, &log, &v, NULL), OK);
    struct hash note = keccak256(SLICE_LIT("hello"));
    memset(&log, 0, sizeof(log)); /* nothing may borrow from the log itself */
    struct address lessee = abi_to_address(&v[3]);
    struct hash kept = abi_to_hash(&v[2]);
    assert_int_equal(small(&v[0]), 2);
    assert_int_equal(small(&v[1]), 1);
    assert_true(hash_equal(&kept, &note));
    assert_hex(slice_of(lessee.bytes, 20), "0x70997970c51812dc3a010c7d01b50e0d17dc79c8");
}

static void a_log_of_something_else_is_refused(void **state)
{
    const struct abi_event event = minted();
    const struct abi_value *v = NULL;
    struct why why = {0};
    struct evm_log log = minted_log();
    log.topic_count = 3;
    assert_int_equal(abi_event_decode(&arena, &event, &log, &v, NULL), ERR_INVALID_ENCODING);
    log = minted_log();
    log.topics[0].bytes[0] ^= 1;
    assert_int_equal(abi_event_decode(&arena, &event, &log, &v, NULL), ERR_INVALID_ENCODING);
    log = minted_log();
    log.topics[3].bytes[0] = 1;
    assert_int_equal(abi_event_decode(&arena, &event, &log, &v, &why), ERR_INVALID_ENCODING);
    assert_string_equal(why.field, "lessee");
    log = minted_log();
    log.data.len = 31;
    assert_int_equal(abi_event_decode(&arena, &event, &log, &v, NULL), ERR_INVALID_ENCODING);
    assert_null(v);
}

/* ERC-20 and ERC-721 share the topic of Transfer and differ in what is indexed. */
static void rows_are_found_by_topic_and_number_of_topics(void **state)
{
    struct abi_event events[2] = {minted(), minted()};
    events[0].indexed_count = 2;
    const struct abi_contract contract = {.name = "X", .events = events, .event_count = 2};
    struct evm_log log = minted_log();
    assert_ptr_equal(abi_event_find(&contract, &log), &events[1]);
    log.topic_count = 3;
    assert_ptr_equal(abi_event_find(&contract, &log), &events[0]);
    log.topic_count = 2;
    assert_null(abi_event_find(&contract, &log));
    log.topic_count = 0;
    assert_null(abi_event_find(&contract, &log));
}

static void functions_are_found_by_selector(void **state)
{
    const struct abi_function functions[] = {{.name = "a", .selector = {1, 2, 3, 4}},
                                             {.name = "b", .selector = {1, 2, 3, 5}}};
    const struct abi_contract contract = {.functions = functions, .function_count = 2};
    assert_ptr_equal(abi_function_find(&contract, SLICE_LIT("\x01\x02\x03\x05zzz")), &functions[1]);
    assert_null(abi_function_find(&contract, SLICE_LIT("\x01\x02\x03\x06")));
    assert_null(abi_function_find(&contract, SLICE_LIT("\x01\x02\x03")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nested_lists_of_the_specification),
        cmocka_unit_test(words_decode_to_their_values),
        cmocka_unit_test(malformed_data_is_refused),
        cmocka_unit_test(trailing_bytes_are_allowed),
        cmocka_unit_test(shared_tails_are_read_twice),
        cmocka_unit_test(overlapping_offsets_cannot_explode),
        cmocka_unit_test(sizes_that_do_not_exist_are_not_allocated),
        cmocka_unit_test(nothing_decodes_from_nothing),
        cmocka_unit_test(an_event_decodes_in_declaration_order),
        cmocka_unit_test(a_log_of_something_else_is_refused),
        cmocka_unit_test(rows_are_found_by_topic_and_number_of_topics),
        cmocka_unit_test(functions_are_found_by_selector),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
