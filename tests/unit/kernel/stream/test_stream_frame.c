/*
 * Frames: the examples of RFC 6455, section 5.7, and what the RFC forbids, whole and in any pieces.
 */
#include "kernel/stream/stream_frame.h"

#include "kernel/base/check.h"
#include "unit/test.h"

#define MAX 1024

struct heard {
    char text[4096]; /* "1:Hello 9:Hello " */
    size_t len;
    unsigned code;
};

static bool on_frame(void *ctx, enum stream_opcode opcode, struct slice data, unsigned code)
{
    struct heard *h = ctx;
    int n = snprintf(h->text + h->len, sizeof h->text - h->len, "%u:%.*s ", (unsigned)opcode,
                     SLICE_ARG(data));
    h->len += n > 0 ? (size_t)n : 0;
    h->code = opcode == STREAM_CLOSE ? code : h->code;
    return opcode != STREAM_CLOSE;
}

/* Gives bytes in pieces of a size. */
static unsigned give(const uint8_t *bytes, size_t len, size_t piece, struct heard *out)
{
    struct stream_reader reader = {.part = NULL};
    uint8_t copy[8192];
    unsigned code = 0;
    memset(out, 0, sizeof *out);
    for (size_t at = 0; code == 0 && at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        memcpy(copy, bytes + at, n);
        code = stream_reader_take(&reader, copy, n, MAX, on_frame, out);
    }
    stream_reader_clear(&reader);
    return code;
}

#define GIVE(bytes, piece, heard) give((const uint8_t *)(bytes), sizeof(bytes) - 1, piece, heard)

static void a_masked_text_message(void **state)
{
    static const char hello[] = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    struct heard h;
    for (size_t piece = 1; piece < sizeof hello; piece++) {
        assert_int_equal(GIVE(hello, piece, &h), 0);
        assert_string_equal(h.text, "1:Hello ");
    }
}

/* A ping between the fragments; masks of zeros leave the payload readable here. */
static void fragments_with_a_ping_between(void **state)
{
    static const char bytes[] = "\x01\x83\0\0\0\0Hel"
                                "\x89\x85\0\0\0\0Hello"
                                "\x00\x80\0\0\0\0"
                                "\x80\x82\0\0\0\0lo"
                                "\x82\x81\0\0\0\0!";
    struct heard h;
    for (size_t piece = 1; piece < sizeof bytes; piece++) {
        assert_int_equal(GIVE(bytes, piece, &h), 0);
        assert_string_equal(h.text, "9:Hello 1:Hello 2:! ");
    }
}

static void what_stands_behind_a_goodbye_is_not_read(void **state)
{
    static const char bytes[] = "\x88\x85\0\0\0\0\x03\xe8"
                                "bye\x81\x81\0\0\0\0x";
    struct heard h;
    assert_int_equal(GIVE(bytes, 64, &h), 0);
    assert_int_equal(h.code, 1000);
    static const char bare[] = "\x88\x80\0\0\0\0";
    assert_int_equal(GIVE(bare, 64, &h), 0);
    assert_int_equal(h.code, STREAM_NO_CODE);
}

static void what_is_forbidden(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        unsigned code;
    } bad[] = {
        {"\x81\x05Hello", 7, 1002},                             /* not masked (section 5.7's own) */
        {"\xc1\x80\0\0\0\0", 6, 1002},                          /* RSV1: no extension was agreed */
        {"\xa1\x80\0\0\0\0", 6, 1002},                          /* RSV2 */
        {"\x91\x80\0\0\0\0", 6, 1002},                          /* RSV3 */
        {"\x83\x80\0\0\0\0", 6, 1002},                          /* opcode 3 */
        {"\x8b\x80\0\0\0\0", 6, 1002},                          /* opcode 11 */
        {"\x80\x80\0\0\0\0", 6, 1002},                          /* the rest of nothing */
        {"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 12, 1002},         /* a message inside of another */
        {"\x09\x80\0\0\0\0", 6, 1002},                          /* a ping in fragments */
        {"\x89\xfe\x00\x7e", 4, 1002},                          /* a ping of 126 bytes */
        {"\x81\xfe\x00\x7d", 4, 1002},                          /* 125 in two bytes */
        {"\x81\xff\0\0\0\0\0\0\xff\xff", 10, 1002},             /* 65535 in eight */
        {"\x81\xff\x80\0\0\0\0\0\0\0", 10, 1002},               /* the highest bit */
        {"\x81\xff\0\0\0\0\0\x01\0\0", 10, 1009},               /* 65536 */
        {"\x81\xfe\x04\x01", 4, 1009},                          /* 1025: known from the head */
        {"\x81\x82\0\0\0\0\xc0\x80", 8, 1007},                  /* an overlong NUL */
        {"\x01\x81\0\0\0\0\xe2\x80\x81\0\0\0\0\x82", 14, 1007}, /* an end that is missing */
        {"\x88\x81\0\0\0\0x", 7, 1002},                         /* half a code */
        {"\x88\x82\0\0\0\0\x03\xee", 8, 1002},                  /* 1006 is never sent */
        {"\x88\x83\0\0\0\0\x03\xe8\xff", 9, 1007},
    };
    struct heard h;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        for (size_t piece = 1; piece <= bad[i].len; piece++) {
            assert_int_equal(give((const uint8_t *)bad[i].bytes, bad[i].len, piece, &h),
                             bad[i].code);
            assert_string_equal(h.text, "");
        }
    }
    /* UTF-8 that is cut between fragments is whole again. */
    static const char cut[] = "\x01\x81\0\0\0\0\xe2\x80\x82\0\0\0\0\x82\xac";
    assert_int_equal(GIVE(cut, 5, &h), 0);
    assert_string_equal(h.text, "1:\xe2\x82\xac ");
}

static void codes(void **state)
{
    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999};
    static const unsigned bad[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(stream_code_is_valid(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(stream_code_is_valid(bad[i]));
    }
}

/* Section 5.7: 256 bytes of binary, and 64 KiB; "Hello" unmasked. */
static void heads_of_ours(void **state)
{
    uint8_t head[10];
    assert_int_equal(stream_frame_head(STREAM_TEXT, 5, head), 2);
    assert_memory_equal(head, "\x81\x05", 2);
    assert_int_equal(stream_frame_head(STREAM_BINARY, 256, head), 4);
    assert_memory_equal(head, "\x82\x7e\x01\x00", 4);
    assert_int_equal(stream_frame_head(STREAM_BINARY, 65536, head), 10);
    assert_memory_equal(head, "\x82\x7f\0\0\0\0\0\x01\0\0", 10);
    assert_int_equal(stream_frame_head(STREAM_PONG, 125, head), 2);
    assert_memory_equal(head, "\x8a\x7d", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_masked_text_message),
        cmocka_unit_test(fragments_with_a_ping_between),
        cmocka_unit_test(what_stands_behind_a_goodbye_is_not_read),
        cmocka_unit_test(what_is_forbidden),
        cmocka_unit_test(codes),
        cmocka_unit_test(heads_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
