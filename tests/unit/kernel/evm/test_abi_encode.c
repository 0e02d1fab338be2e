#include "kernel/evm/abi.h"

#include "unit/vectors.h"

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

static struct slice call(const char *signature, const struct abi_value *values)
{
    const char *tuple = strchr(signature, '(');
    const struct abi_type *type = types_of(tuple);
    struct hash h = keccak256(slice_text(signature));
    struct slice out = SLICE_EMPTY;
    struct why why = {0};
    if (abi_encode_call(&arena, h.bytes, type->items, values, type->count, &out, &why) != OK) {
        fail_msg("%s: %s: %s", signature, why.field, why.text);
    }
    return out;
}

static struct abi_value text_value(const char *text)
{
    return abi_bytes(slice_text(text));
}

/* The examples of the Solidity manual's ABI specification. */
static void examples_of_the_specification(void **state)
{
    const struct abi_value baz[] = {abi_u64(69), abi_bool(true)};
    assert_hex(call("baz(uint32,bool)", baz),
               "0xcdcd77c0"
               "0000000000000000000000000000000000000000000000000000000000000045"
               "0000000000000000000000000000000000000000000000000000000000000001");

    const struct abi_value letters[] = {text_value("abc"), text_value("def")};
    const struct abi_value bar[] = {abi_items(letters, 2)};
    assert_hex(call("bar(bytes3[2])", bar),
               "0xfce353f6"
               "6162630000000000000000000000000000000000000000000000000000000000"
               "6465660000000000000000000000000000000000000000000000000000000000");

    const struct abi_value numbers[] = {abi_u64(1), abi_u64(2), abi_u64(3)};
    const struct abi_value sam[] = {text_value("dave"), abi_bool(true), abi_items(numbers, 3)};
    assert_hex(call("sam(bytes,bool,uint256[])", sam),
               "0xa5643bf2"
               "0000000000000000000000000000000000000000000000000000000000000060"
               "0000000000000000000000000000000000000000000000000000000000000001"
               "00000000000000000000000000000000000000000000000000000000000000a0"
               "0000000000000000000000000000000000000000000000000000000000000004"
               "6461766500000000000000000000000000000000000000000000000000000000"
               "0000000000000000000000000000000000000000000000000000000000000003"
               "0000000000000000000000000000000000000000000000000000000000000001"
               "0000000000000000000000000000000000000000000000000000000000000002"
               "0000000000000000000000000000000000000000000000000000000000000003");
}

static void dynamic_types_of_the_specification(void **state)
{
    const struct abi_value small[] = {abi_u64(0x456), abi_u64(0x789)};
    const struct abi_value f[] = {abi_u64(0x123), abi_items(small, 2), text_value("1234567890"),
                                  text_value("Hello, world!")};
    assert_hex(call("f(uint256,uint32[],bytes10,bytes)", f),
               "0x8be65246"
               "0000000000000000000000000000000000000000000000000000000000000123"
               "0000000000000000000000000000000000000000000000000000000000000080"
               "3132333435363738393000000000000000000000000000000000000000000000"
               "00000000000000000000000000000000000000000000000000000000000000e0"
               "0000000000000000000000000000000000000000000000000000000000000002"
               "0000000000000000000000000000000000000000000000000000000000000456"
               "0000000000000000000000000000000000000000000000000000000000000789"
               "000000000000000000000000000000000000000000000000000000000000000d"
               "48656c6c6f2c20776f726c642100000000000000000000000000000000000000");

    const struct abi_value first[] = {abi_u64(1), abi_u64(2)}, second[] = {abi_u64(3)};
    const struct abi_value rows[] = {abi_items(first, 2), abi_items(second, 1)};
    const struct abi_value words[] = {text_value("one"), text_value("two"), text_value("three")};
    const struct abi_value g[] = {abi_items(rows, 2), abi_items(words, 3)};
    assert_hex(call("g(uint256[][],string[])", g),
               "0x2289b18c"
               "0000000000000000000000000000000000000000000000000000000000000040"
               "0000000000000000000000000000000000000000000000000000000000000140"
               "0000000000000000000000000000000000000000000000000000000000000002"
               "0000000000000000000000000000000000000000000000000000000000000040"
               "00000000000000000000000000000000000000000000000000000000000000a0"
               "0000000000000000000000000000000000000000000000000000000000000002"
               "0000000000000000000000000000000000000000000000000000000000000001"
               "0000000000000000000000000000000000000000000000000000000000000002"
               "0000000000000000000000000000000000000000000000000000000000000001"
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
               "7468726565000000000000000000000000000000000000000000000000000000");
}

/* By hand: a static tuple lies in the head, so the offset after it counts its words. */
static void static_tuples_lie_in_the_head(void **state)
{
    const struct abi_value pair[] = {abi_u64(1), abi_u64(2)};
    const struct abi_value values[] = {abi_items(pair, 2), text_value("x")};
    const struct abi_type *type = types_of("((uint8,uint8),string)");
    struct slice out;
    assert_int_equal(abi_encode(&arena, type->items, values, 2, &out, NULL), OK);
    assert_hex(out, "0x"
                    "0000000000000000000000000000000000000000000000000000000000000001"
                    "0000000000000000000000000000000000000000000000000000000000000002"
                    "0000000000000000000000000000000000000000000000000000000000000060"
                    "0000000000000000000000000000000000000000000000000000000000000001"
                    "7800000000000000000000000000000000000000000000000000000000000000");
}

static void nothing_encodes_to_nothing(void **state)
{
    struct slice out = SLICE_LIT("old");
    assert_int_equal(abi_encode(&arena, NULL, NULL, 0, &out, NULL), OK);
    assert_int_equal(out.len, 0);
    assert_hex(call("claimRevenue()", NULL), "0x564f4f76");
}

static struct u256 number(const char *hex)
{
    struct u256 v;
    assert_int_equal(u256_parse_hex(slice_text(hex), &v), OK);
    return v;
}

#define MINUS_128 "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff80"
#define MINUS_129 "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
#define MINUS_1 "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define TOP_BIT "0x8000000000000000000000000000000000000000000000000000000000000000"

static void values_outside_their_range_are_refused(void **state)
{
    static const struct {
        const char *type, *value;
        bool fits;
    } cases[] = {
        {"uint8", "0xff", true},
        {"uint8", "0x100", false},
        {"uint16", "0x11170", false}, /* 70000 */
        {"uint64", "0xffffffffffffffff", true},
        {"uint64", "0x10000000000000000", false},
        {"uint256", MINUS_1, true},
        {"int8", "0x7f", true},
        {"int8", "0x80", false},
        {"int8", MINUS_128, true},
        {"int8", MINUS_129, false},
        {"int8", MINUS_1, true},
        {"int256", TOP_BIT, true},
        {"int256", "0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", true},
        {"bool", "0x1", true},
        {"bool", "0x2", false},
        {"address", "0xffffffffffffffffffffffffffffffffffffffff", true},
        {"address", "0x10000000000000000000000000000000000000000", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct abi_type *type = types_of(cases[i].type);
        const struct abi_value value = abi_uint(number(cases[i].value));
        struct slice out = SLICE_LIT("old");
        struct why why = {0};
        assert_int_equal(abi_encode(&arena, type, &value, 1, &out, &why),
                         cases[i].fits ? OK : ERR_INVALID_ENCODING);
        if (cases[i].fits) {
            char hex[U256_TEXT_MAX];
            (void)u256_format_hex(number(cases[i].value), hex);
            assert_int_equal(out.len, 32);
            assert_string_equal(slice_cstr(&arena, hex_encode(&arena, out)) + 2 + 66 - strlen(hex),
                                hex + 2);
        } else {
            assert_text(out, "old");
        }
    }
}

static void counts_and_sizes_must_match_and_the_error_says_where(void **state)
{
    const struct abi_type *type = types_of("((uint8 a,(bytes4 id,string t)[] list)[2] outer)");
    const struct abi_value good[] = {text_value("1234"), text_value("")};
    const struct abi_value bad[] = {text_value("123"), text_value("")};
    const struct abi_value rows[] = {abi_items(good, 2), abi_items(bad, 2)};
    const struct abi_value left[] = {abi_u64(1), abi_items(rows, 1)};
    const struct abi_value right[] = {abi_u64(1), abi_items(rows, 2)};
    const struct abi_value both[] = {abi_items(left, 2), abi_items(right, 2)};
    struct abi_value value = abi_items(both, 2);
    struct slice out;
    struct why why = {0};
    assert_int_equal(abi_encode(&arena, type->items, &value, 1, &out, &why), ERR_INVALID_ENCODING);
    assert_string_equal(why.field, "outer.1.list.1.id");
    value.count = 1;
    assert_int_equal(abi_encode(&arena, type->items, &value, 1, &out, &why), ERR_INVALID_ENCODING);
    assert_string_equal(why.field, "outer");
    assert_int_equal(abi_encode(&arena, type->items, &value, 1, &out, NULL), ERR_INVALID_ENCODING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_specification),
        cmocka_unit_test(dynamic_types_of_the_specification),
        cmocka_unit_test(static_tuples_lie_in_the_head),
        cmocka_unit_test(nothing_encodes_to_nothing),
        cmocka_unit_test(values_outside_their_range_are_refused),
        cmocka_unit_test(counts_and_sizes_must_match_and_the_error_says_where),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
