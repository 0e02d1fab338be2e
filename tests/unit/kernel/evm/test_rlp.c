#include "kernel/evm/rlp.h"

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

static struct buf fresh(void)
{
    struct buf b;
    buf_init(&b, &arena, 0);
    return b;
}

/* The examples of the Ethereum wiki. */
static void strings_and_integers(void **state)
{
    struct buf b = fresh();
    rlp_add_bytes(&b, SLICE_LIT("dog"));
    rlp_add_bytes(&b, SLICE_EMPTY);
    rlp_add_bytes(&b, SLICE_LIT("\x00"));
    rlp_add_u64(&b, 0);
    rlp_add_u64(&b, 15);
    rlp_add_u64(&b, 127);
    rlp_add_u64(&b, 128);
    rlp_add_u64(&b, 1024);
    rlp_add_u256(&b, U256_ZERO);
    rlp_add_u256(&b, u256_from_u64(1024));
    assert_hex(buf_slice(&b), "0x83646f678000800f7f81808204008082"
                              "0400");
}

static void a_string_of_56_bytes_has_the_long_form(void **state)
{
    struct buf b = fresh();
    rlp_add_bytes(&b, SLICE_LIT("Lorem ipsum dolor sit amet, consectetur adipisicing elit"));
    assert_hex(buf_slice(&b), "0xb8384c6f72656d20697073756d20646f6c6f722073697420616d65742c20636f6e"
                              "7365637465747572206164697069736963696e6720656c6974");
}

static void lists_nest(void **state)
{
    struct buf b = fresh();
    size_t outer = rlp_begin_list(&b);
    rlp_add_bytes(&b, SLICE_LIT("cat"));
    rlp_add_bytes(&b, SLICE_LIT("dog"));
    rlp_end_list(&b, outer);
    assert_hex(buf_slice(&b), "0xc88363617483646f67");

    /* [ [], [[]], [ [], [[]] ] ] */
    b = fresh();
    outer = rlp_begin_list(&b);
    rlp_end_list(&b, rlp_begin_list(&b));
    size_t one = rlp_begin_list(&b);
    rlp_end_list(&b, rlp_begin_list(&b));
    rlp_end_list(&b, one);
    size_t two = rlp_begin_list(&b);
    rlp_end_list(&b, rlp_begin_list(&b));
    one = rlp_begin_list(&b);
    rlp_end_list(&b, rlp_begin_list(&b));
    rlp_end_list(&b, one);
    rlp_end_list(&b, two);
    rlp_end_list(&b, outer);
    assert_hex(buf_slice(&b), "0xc7c0c1c0c3c0c1c0");
}

static void a_list_of_56_bytes_has_the_long_form(void **state)
{
    for (size_t n = 54; n <= 58; n++) {
        struct buf b = fresh();
        size_t list = rlp_begin_list(&b);
        for (size_t i = 0; i < n; i++) {
            rlp_add_u64(&b, 1);
        }
        rlp_end_list(&b, list);
        assert_int_equal(b.len, n <= 55 ? n + 1 : n + 2);
        assert_int_equal(b.ptr[0], n <= 55 ? 0xc0 + n : 0xf8);
        const struct rlp *v = NULL;
        assert_int_equal(rlp_decode(&arena, buf_slice(&b), &v, NULL), OK);
        assert_true(v->is_list);
        assert_int_equal(v->count, n);
    }
}

static const struct rlp *decode(const char *hex)
{
    const struct rlp *v = NULL;
    struct why why = {0};
    if (rlp_decode(&arena, vector_hex(&arena, hex), &v, &why) != OK) {
        fail_msg("%s: %s", hex, why.text);
    }
    return v;
}

static void decoding_gives_the_tree(void **state)
{
    const struct rlp *v = decode("0xc88363617483646f67");
    assert_true(v->is_list);
    assert_int_equal(v->count, 2);
    assert_text(v->child->bytes, "cat");
    assert_text(v->child->next->bytes, "dog");
    assert_null(v->child->next->next);

    v = decode("0xc7c0c1c0c3c0c1c0");
    assert_int_equal(v->count, 3);
    const struct rlp *third = v->child->next->next;
    assert_int_equal(third->count, 2);
    assert_int_equal(third->child->count, 0);
    assert_null(third->child->child);
    assert_int_equal(third->child->next->child->count, 0);

    v = decode("0x80");
    assert_false(v->is_list);
    assert_int_equal(v->bytes.len, 0);
}

static void integers_are_read_without_leading_zeros(void **state)
{
    uint64_t n = 7;
    struct u256 wide;
    assert_int_equal(rlp_u64(decode("0x80"), &n), OK);
    assert_int_equal(n, 0);
    assert_int_equal(rlp_u64(decode("0x88ffffffffffffffff"), &n), OK);
    assert_true(n == UINT64_MAX);
    assert_int_equal(rlp_u64(decode("0x89010000000000000000"), &n), ERR_INVALID_ENCODING);
    assert_int_equal(rlp_u64(decode("0x00"), &n), ERR_INVALID_ENCODING);
    assert_int_equal(rlp_u64(decode("0x820001"), &n), ERR_INVALID_ENCODING);
    assert_int_equal(rlp_u64(decode("0xc0"), &n), ERR_INVALID_ENCODING);
    assert_int_equal(rlp_u64(NULL, &n), ERR_INVALID_ENCODING);
    assert_true(n == UINT64_MAX);
    assert_int_equal(
        rlp_u256(decode("0xa0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
                 &wide),
        OK);
    assert_true(u256_equal(wide, U256_MAX));
    assert_int_equal(
        rlp_u256(decode("0xa1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
                 &wide),
        ERR_INVALID_ENCODING);
}

static void other_spellings_of_a_value_are_refused(void **state)
{
    static const char *const bad[] = {
        "0x",       /* nothing */
        "0x8000",   /* a byte follows */
        "0x8100",   /* one byte below 0x80 in the long form */
        "0x817f",   /* the same at the edge */
        "0x81",     /* cut */
        "0x83646f", /* cut */
        "0xb80102", /* short string, long form */
        "0xb837"
        "00", /* 55 bytes in the long form, and cut */
        "0xb90038"
        "00",                     /* length with a leading zero */
        "0xb8",                   /* the length is cut */
        "0xb9ff",                 /* the length is cut */
        "0xbfffffffffffffffff00", /* a length near 2^64 */
        "0xbf8000000000000000",   /* the same, signed minimum */
        "0xf800",                 /* short list, long form */
        "0xf90000",               /* the same with a leading zero */
        "0xffffffffffffffffff00", /* a length near 2^64 */
        "0xc1",                   /* cut list */
        "0xc28361",               /* item beyond its list */
        "0xc2c183",               /* item beyond its list, nested */
        "0xc0c0",                 /* two items */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct rlp *v = NULL;
        struct why why = {0};
        assert_int_equal(rlp_decode(&arena, vector_hex(&arena, bad[i]), &v, &why),
                         ERR_INVALID_ENCODING);
        assert_null(v);
        assert_true(why.text[0] != '\0');
    }
}

static void the_boundary_of_81_is_accepted(void **state)
{
    assert_hex(decode("0x8180")->bytes, "0x80");
}

/* nested makes `depth` lists inside each other. */
static struct slice nested(unsigned depth)
{
    struct buf b = fresh();
    size_t marks[64];
    for (unsigned i = 0; i < depth; i++) {
        marks[i] = rlp_begin_list(&b);
    }
    for (unsigned i = depth; i > 0; i--) {
        rlp_end_list(&b, marks[i - 1]);
    }
    return buf_slice(&b);
}

static void depth_and_items_are_bounded(void **state)
{
    const struct rlp *v = NULL;
    assert_int_equal(rlp_decode(&arena, nested(RLP_DEPTH_MAX), &v, NULL), OK);
    assert_int_equal(rlp_decode(&arena, nested(RLP_DEPTH_MAX + 1), &v, NULL), ERR_INVALID_ENCODING);

    struct buf b = fresh();
    size_t list = rlp_begin_list(&b);
    memset(buf_room(&b, RLP_ITEMS_MAX), 1, RLP_ITEMS_MAX);
    b.len += RLP_ITEMS_MAX - 1;
    rlp_end_list(&b, list);
    assert_int_equal(rlp_decode(&arena, buf_slice(&b), &v, NULL), OK);
    b = fresh();
    list = rlp_begin_list(&b);
    memset(buf_room(&b, RLP_ITEMS_MAX), 1, RLP_ITEMS_MAX);
    b.len += RLP_ITEMS_MAX;
    rlp_end_list(&b, list);
    assert_int_equal(rlp_decode(&arena, buf_slice(&b), &v, NULL), ERR_INVALID_ENCODING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_and_integers),
        cmocka_unit_test(a_string_of_56_bytes_has_the_long_form),
        cmocka_unit_test(lists_nest),
        cmocka_unit_test(a_list_of_56_bytes_has_the_long_form),
        cmocka_unit_test(decoding_gives_the_tree),
        cmocka_unit_test(integers_are_read_without_leading_zeros),
        cmocka_unit_test(other_spellings_of_a_value_are_refused),
        cmocka_unit_test(the_boundary_of_81_is_accepted),
        cmocka_unit_test(depth_and_items_are_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
