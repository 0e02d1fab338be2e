#include "kernel/evm/abi_word.h"

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

static const struct abi_type *parse(const char *text)
{
    const struct abi_type *type = NULL;
    struct why why = {0};
    if (abi_type_parse(&arena, slice_text(text), &type, &why) != OK) {
        fail_msg("%s: %s", text, why.text);
    }
    return type;
}

static struct slice format(const struct abi_type *type)
{
    struct buf out;
    buf_init(&out, &arena, 0);
    abi_type_format(&out, type);
    return buf_slice(&out);
}

static void canonical_text_goes_there_and_back(void **state)
{
    static const char *const texts[] = {
        "uint8",
        "uint256",
        "int8",
        "int256",
        "bool",
        "address",
        "bytes1",
        "bytes32",
        "bytes",
        "string",
        "uint256[]",
        "string[3]",
        "bytes3[2][][65535]",
        "()",
        "(uint256)",
        "(uint64,bytes32,(address,address,uint256,address,uint256,uint256,uint256,uint64,uint64,"
        "bytes32,uint16,(string,string)[]))",
        "((bool)[2],(string,(bytes)))[]"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_text(format(parse(texts[i])), texts[i]);
    }
}

static void names_are_kept_but_not_canonical(void **state)
{
    const struct abi_type *t =
        parse("(uint256 assetId, (string key,string value)[]  metadata,bool)");
    assert_text(format(t), "(uint256,(string,string)[],bool)");
    assert_string_equal(t->items[0].name, "assetId");
    assert_string_equal(t->items[1].name, "metadata");
    assert_string_equal(t->items[2].name, "");
    assert_int_equal(t->items[1].kind, ABI_LIST);
    assert_string_equal(t->items[1].items->items[1].name, "value");
}

static void arrays_wrap_from_the_inside(void **state)
{
    const struct abi_type *t = parse("uint8[2][]");
    assert_int_equal(t->kind, ABI_LIST);
    assert_int_equal(t->items->kind, ABI_ARRAY);
    assert_int_equal(t->items->size, 2);
    assert_int_equal(t->items->items->kind, ABI_UINT);
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "uint",
                                      "int",
                                      "byte",
                                      "fixed128x18",
                                      "function",
                                      "uint0",
                                      "uint7",
                                      "uint264",
                                      "uint08",
                                      "uint2560",
                                      "int1",
                                      "bytes0",
                                      "bytes33",
                                      "bytes032",
                                      "Bool",
                                      "bool2",
                                      "address1",
                                      "string8",
                                      "uint256[",
                                      "uint256]",
                                      "uint256[0]",
                                      "uint256[01]",
                                      "uint256[65536]",
                                      "uint256[-1]",
                                      "uint256[a]",
                                      "uint256[ 2]",
                                      "(",
                                      ")",
                                      "(uint256",
                                      "(uint256,)",
                                      "(,uint256)",
                                      "(uint256)x",
                                      "(uint256))",
                                      "()[]",
                                      "()[2]",
                                      "(())",
                                      "(bool,())",
                                      "uint256,uint256",
                                      "(uint256;bool)",
                                      "tuple(bool)",
                                      "uint256\n",
                                      "\x80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct abi_type *type = NULL;
        struct why why = {0};
        if (abi_type_parse(&arena, slice_text(bad[i]), &type, &why) != ERR_INVALID_ENCODING) {
            fail_msg("\"%s\" was accepted", bad[i]);
        }
        assert_true(why.text[0] != '\0');
    }
}

static void depth_is_bounded(void **state)
{
    for (unsigned depth = 1; depth < 40; depth++) {
        struct buf lists, tuples;
        const struct abi_type *type = NULL;
        enum err expected = depth <= ABI_DEPTH_MAX ? OK : ERR_INVALID_ENCODING;
        buf_init(&lists, &arena, 0);
        buf_init(&tuples, &arena, 0);
        buf_add_text(&lists, "bool");
        for (unsigned i = 0; i < depth; i++) {
            buf_add_text(&lists, "[]");
            buf_add_text(&tuples, "(");
        }
        buf_add_text(&tuples, "bool");
        for (unsigned i = 0; i < depth; i++) {
            buf_add_text(&tuples, ")");
        }
        assert_int_equal(abi_type_parse(&arena, buf_slice(&lists), &type, NULL), expected);
        assert_int_equal(abi_type_parse(&arena, buf_slice(&tuples), &type, NULL), expected);
    }
}

static void dynamic_is_what_has_no_fixed_size(void **state)
{
    static const struct {
        const char *text;
        bool dynamic;
        uint64_t head;
    } cases[] = {
        {"uint8", false, 32},
        {"bytes32", false, 32},
        {"bytes", true, 32},
        {"string", true, 32},
        {"uint8[]", true, 32},
        {"uint8[3]", false, 96},
        {"string[3]", true, 32},
        {"(uint8,bool[2])", false, 96},
        {"(uint8,bool[])", true, 32},
        {"((bool)[2],(address))[3]", false, 288},
        /* 65535^4 words do not fit; the size saturates instead of wrapping */
        {"bool[65535][65535][65535][65535]", false, 1ull << 40},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct abi_type *type = parse(cases[i].text);
        assert_int_equal(abi_is_dynamic(type), cases[i].dynamic);
        assert_true(abi_head_bytes(type) == cases[i].head);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_text_goes_there_and_back),
        cmocka_unit_test(names_are_kept_but_not_canonical),
        cmocka_unit_test(arrays_wrap_from_the_inside),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(dynamic_is_what_has_no_fixed_size),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
