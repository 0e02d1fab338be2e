/*
 * What a client sends on a WebSocket, in two cuts: what is heard, and how it ends, must not depend
 * on where the network cut the bytes. Nothing longer than a message may be is heard or held, text
 * is UTF-8, and codes are codes. The first byte of the input says how long the pieces are.
 */
#include "kernel/base/check.h"
#include "kernel/stream/stream_frame.h"

#define MAX 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    uint64_t hash;
    bool closed;
};

static void mix(struct heard *h, uint64_t value)
{
    h->hash = (h->hash ^ value) * UINT64_C(1099511628211);
}

static bool on_frame(void *ctx, enum stream_opcode opcode, struct slice data, unsigned code)
{
    struct heard *h = ctx;
    bool control = opcode >= STREAM_CLOSE;
    ASSERT(opcode == STREAM_TEXT || opcode == STREAM_BINARY || control);
    ASSERT(data.len <= (control ? STREAM_CONTROL_MAX : MAX));
    ASSERT((opcode != STREAM_TEXT && opcode != STREAM_CLOSE) || slice_is_utf8(data));
    ASSERT(opcode != STREAM_CLOSE || code == STREAM_NO_CODE || stream_code_is_valid(code));
    mix(h, (uint64_t)opcode << 32 | code);
    for (size_t i = 0; i < data.len; i++) {
        mix(h, data.ptr[i]);
    }
    h->closed = opcode == STREAM_CLOSE;
    return opcode != STREAM_CLOSE;
}

static unsigned read_all(const uint8_t *data, size_t size, size_t piece, struct heard *h)
{
    struct stream_reader reader = {.part = NULL};
    uint8_t copy[256];
    unsigned code = 0;
    h->hash = UINT64_C(14695981039346656037);
    h->closed = false;
    for (size_t at = 0; code == 0 && !h->closed && at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        memcpy(copy, data + at, n);
        code = stream_reader_take(&reader, copy, n, MAX, on_frame, h);
        ASSERT(reader.part_len < MAX + STREAM_HEAD_MAX && reader.message_len <= MAX);
    }
    stream_reader_clear(&reader);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heard whole;
    struct heard cut;
    if (size < 2) {
        return 0;
    }
    unsigned first = read_all(data + 1, size - 1, 1, &whole);
    unsigned second = read_all(data + 1, size - 1, (size_t)data[0] + 1, &cut);
    ASSERT(first == second && whole.hash == cut.hash && whole.closed == cut.closed);
    ASSERT(first == 0 || (first >= STREAM_PROTOCOL && first <= STREAM_TOO_BIG));
    return 0;
}
