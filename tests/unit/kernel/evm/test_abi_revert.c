#include "gen/abi_asset_registry.h"
#include "gen/abi_lease_factory.h"
#include "gen/abi_types.h"
#include "kernel/evm/abi.h"
#include "unit/vectors.h"

#define X20 "0000000000000000000000000000000000000000000000000000000000000020"

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

static void assert_explained(const char *hex, const char *expected)
{
    struct slice text =
        abi_revert_format(&arena, vector_hex(&arena, hex), abi_contracts, ABI_CONTRACT_COUNT);
    assert_text(text, expected);
}

static void reasons_of_require(void **state)
{
    assert_explained("0x08c379a0" X20
                     "000000000000000000000000000000000000000000000000000000000000000c"
                     "74797065202165786973747300000000"
                     "00000000000000000000000000000000",
                     "type !exists");
    assert_explained("0x08c379a0" X20
                     "0000000000000000000000000000000000000000000000000000000000000000",
                     "no reason given");
    assert_explained("0x", "no reason given");
}

/* The text is the contract's: line breaks, control characters and broken UTF-8 do not get out. */
static void a_reason_stays_one_harmless_line(void **state)
{
    assert_explained("0x08c379a0" X20
                     "0000000000000000000000000000000000000000000000000000000000000004"
                     "610a1b6200000000000000000000000000000000000000000000000000000000",
                     "a  b");
    assert_explained("0x08c379a0" X20
                     "0000000000000000000000000000000000000000000000000000000000000002"
                     "fffe000000000000000000000000000000000000000000000000000000000000",
                     "0xfffe");
    /* next line (C1), line separator and right-to-left override */
    assert_explained("0x08c379a0" X20
                     "000000000000000000000000000000000000000000000000000000000000000b"
                     "61c285e280a8e280ae62630000000000"
                     "00000000000000000000000000000000",
                     "a   bc");
}

static void a_long_reason_is_cut_between_characters(void **state)
{
    uint8_t data[4 + 64 + 512] = {0x08, 0xc3, 0x79, 0xa0};
    data[4 + 31] = 0x20;
    data[4 + 62] = 1; /* 501 bytes: 'a', then 250 characters of two bytes: byte 400 splits one */
    data[4 + 63] = 0xf5;
    data[68] = 'a';
    for (size_t i = 0; i < 250; i++) {
        memcpy(data + 69 + 2 * i, "\xc3\xa9", 2);
    }
    struct slice text = abi_revert_format(&arena, slice_of(data, sizeof(data)), NULL, 0);
    assert_true(slice_is_utf8(text));
    assert_int_equal(text.len, 399 + 3);
    assert_true(slice_ends(text, SLICE_LIT("\xc3\xa9...")));
}

static void panics_have_meanings(void **state)
{
    assert_explained("0x4e487b71"
                     "0000000000000000000000000000000000000000000000000000000000000011",
                     "panic 0x11: arithmetic overflow or underflow");
    assert_explained("0x4e487b71"
                     "0000000000000000000000000000000000000000000000000000000000000032",
                     "panic 0x32: array index out of bounds");
    assert_explained("0x4e487b71"
                     "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                     "panic 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff: "
                     "unknown panic code");
}

static void custom_errors_are_named_with_their_arguments(void **state)
{
    assert_explained("0xe2517d3f"
                     "00000000000000000000000070997970c51812dc3a010c7d01b50e0d17dc79c8"
                     "edcc084d3dcd65a1f7f23c65c46722faca6953d28e43150a467cf43e5c309238",
                     "AccessControlUnauthorizedAccount(account "
                     "0x70997970C51812dc3A010C7d01b50e0d17dc79C8, neededRole "
                     "0xedcc084d3dcd65a1f7f23c65c46722faca6953d28e43150a467cf43e5c309238)");
    assert_explained("0xfce698f7"
                     "0000000000000000000000000000000000000000000000000000000000000040",
                     "ECDSAInvalidSignatureLength(length 64)");
    assert_explained("0xf92ee8a9", "InvalidInitialization()");
    assert_explained("0x305a27a9" X20
                     "0000000000000000000000000000000000000000000000000000000000000003"
                     "617f620000000000000000000000000000000000000000000000000000000000",
                     "StringTooLong(str \"a b\")");
}

static void what_cannot_be_read_is_still_said(void **state)
{
    assert_explained("0x1234", "unreadable reason 0x1234");
    assert_explained("0x12345678aabb", "unknown error 0x12345678 with 2 bytes of arguments");
    assert_explained("0xe2517d3faa", "AccessControlUnauthorizedAccount(...)");
    /* the selector of Error(string) with data that is no string */
    assert_explained("0x08c379a0ff", "unknown error 0x08c379a0 with 1 bytes of arguments");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_of_require),
        cmocka_unit_test(a_reason_stays_one_harmless_line),
        cmocka_unit_test(a_long_reason_is_cut_between_characters),
        cmocka_unit_test(panics_have_meanings),
        cmocka_unit_test(custom_errors_are_named_with_their_arguments),
        cmocka_unit_test(what_cannot_be_read_is_still_said),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
