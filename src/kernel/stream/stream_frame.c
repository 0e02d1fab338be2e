#include "kernel/stream/stream_frame.h"

#include "kernel/base/check.h"

#define MASK_BYTES 4

struct frame {
    uint8_t opcode;
    bool last;
    size_t head_len; /* with the mask */
    size_t len;
    uint8_t mask[MASK_BYTES];
};

enum outcome {
    MORE, /* the head has not come whole */
    GOOD,
    BAD,
};

static bool is_control(uint8_t opcode)
{
    return opcode >= STREAM_CLOSE;
}

static bool is_known(uint8_t opcode)
{
    return opcode <= STREAM_BINARY || (opcode >= STREAM_CLOSE && opcode <= STREAM_PONG);
}

/* The length behind the first two bytes; false: it is not the shortest form of it. */
static bool read_length(const uint8_t *bytes, size_t extra, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < extra; i++) {
        value = value << 8 | bytes[i];
    }
    *out = value;
    return value >> 63 == 0 && value >= (extra == 2 ? 126U : 65536U);
}

static enum outcome read_head(struct slice bytes, size_t room, struct frame *out,
                              unsigned *out_code)
{
    *out_code = STREAM_PROTOCOL;
    if (bytes.len < 2) {
        return MORE;
    }
    uint64_t len = bytes.ptr[1] & 0x7F;
    struct frame f = {.opcode = bytes.ptr[0] & 0x0F, .last = (bytes.ptr[0] & 0x80) != 0};
    bool masked = (bytes.ptr[1] & 0x80) != 0;
    bool short_and_whole = len <= STREAM_CONTROL_MAX && f.last;
    if ((bytes.ptr[0] & 0x70) != 0 || !masked || !is_known(f.opcode) ||
        (is_control(f.opcode) && !short_and_whole)) {
        return BAD;
    }
    size_t extra = len == 126 ? 2 : len == 127 ? 8 : 0;
    f.head_len = 2 + extra + MASK_BYTES;
    if (bytes.len < 2 + extra) {
        return MORE;
    }
    if (extra > 0 && !read_length(bytes.ptr + 2, extra, &len)) {
        return BAD;
    }
    if (!is_control(f.opcode) && len > room) {
        *out_code = STREAM_TOO_BIG;
        return BAD;
    }
    if (bytes.len < f.head_len) {
        return MORE;
    }
    f.len = (size_t)len;
    memcpy(f.mask, bytes.ptr + 2 + extra, MASK_BYTES);
    *out = f;
    return GOOD;
}

static void unmask(uint8_t *payload, size_t len, const uint8_t mask[MASK_BYTES])
{
    for (size_t i = 0; i < len; i++) {
        payload[i] ^= mask[i % MASK_BYTES];
    }
}

bool stream_code_is_valid(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static unsigned give_control(uint8_t opcode, struct slice data, stream_got_fn got, void *ctx,
                             bool *out_more)
{
    unsigned code = STREAM_NO_CODE;
    if (opcode == STREAM_CLOSE && data.len > 0) {
        code = data.len >= 2 ? (unsigned)data.ptr[0] << 8 | data.ptr[1] : 0;
        if (!stream_code_is_valid(code)) {
            return STREAM_PROTOCOL;
        }
        data = slice_sub(data, 2, data.len);
        if (!slice_is_utf8(data)) {
            return STREAM_NOT_UTF8;
        }
    }
    *out_more = got(ctx, (enum stream_opcode)opcode, data, code);
    return 0;
}

static unsigned give_message(uint8_t opcode, struct slice data, stream_got_fn got, void *ctx,
                             bool *out_more)
{
    if (opcode == STREAM_TEXT && !slice_is_utf8(data)) {
        return STREAM_NOT_UTF8;
    }
    *out_more = got(ctx, (enum stream_opcode)opcode, data, 0);
    return 0;
}

static void keep_fragment(struct stream_reader *r, const uint8_t *bytes, size_t len)
{
    if (len > 0) {
        r->message =
            r->message == NULL ? mem_alloc(len) : mem_resize(r->message, r->message_len + len);
        memcpy(r->message + r->message_len, bytes, len);
        r->message_len += len;
    }
}

static void drop_message(struct stream_reader *r)
{
    mem_free(r->message);
    r->message = NULL;
    r->message_len = 0;
    r->opcode = 0;
}

static unsigned take_frame(struct stream_reader *r, const struct frame *f, const uint8_t *payload,
                           stream_got_fn got, void *ctx, bool *out_more)
{
    struct slice data = slice_of(payload, f->len);
    if (is_control(f->opcode)) {
        return give_control(f->opcode, data, got, ctx, out_more);
    }
    bool begins = f->opcode != STREAM_CONTINUATION;
    if (begins == (r->opcode != 0)) {
        return STREAM_PROTOCOL; /* a message inside of another, or the rest of none */
    }
    if (begins && f->last) {
        return give_message(f->opcode, data, got, ctx, out_more);
    }
    r->opcode = begins ? f->opcode : r->opcode;
    keep_fragment(r, payload, f->len);
    if (!f->last) {
        return 0;
    }
    unsigned code =
        give_message(r->opcode, slice_of(r->message, r->message_len), got, ctx, out_more);
    drop_message(r);
    return code;
}

/* Takes whole frames; *out_used is how many bytes they had. */
static unsigned take_frames(struct stream_reader *r, uint8_t *bytes, size_t len, size_t max,
                            stream_got_fn got, void *ctx, size_t *out_used, bool *out_more)
{
    size_t used = 0;
    unsigned code = 0;
    while (code == 0 && *out_more) {
        struct frame f;
        enum outcome o =
            read_head(slice_of(bytes + used, len - used), max - r->message_len, &f, &code);
        if (o == BAD) {
            break;
        }
        code = 0;
        if (o == MORE || len - used - f.head_len < f.len) {
            break;
        }
        uint8_t *payload = bytes + used + f.head_len;
        unmask(payload, f.len, f.mask);
        code = take_frame(r, &f, payload, got, ctx, out_more);
        used += f.head_len + f.len;
        r->frames++;
    }
    *out_used = used;
    return code;
}

unsigned stream_reader_take(struct stream_reader *r, uint8_t *bytes, size_t len,
                            size_t message_bytes_max, stream_got_fn got, void *ctx)
{
    size_t used = 0;
    bool more = true;
    if (r->part_len > 0) {
        r->part = mem_resize(r->part, r->part_len + len);
        memcpy(r->part + r->part_len, bytes, len);
        bytes = r->part;
        len += r->part_len;
    }
    unsigned code = take_frames(r, bytes, len, message_bytes_max, got, ctx, &used, &more);
    size_t left = code == 0 && more ? len - used : 0;
    uint8_t *before = r->part;
    r->part = NULL;
    r->part_len = left;
    if (left > 0) {
        r->part = mem_alloc(left);
        memcpy(r->part, bytes + used, left);
    }
    mem_free(before);
    return code;
}

void stream_reader_clear(struct stream_reader *r)
{
    mem_free(r->part);
    mem_free(r->message);
    *r = (struct stream_reader){.part = NULL};
}

size_t stream_frame_head(enum stream_opcode opcode, size_t len, uint8_t out[10])
{
    size_t extra = len < 126 ? 0 : len < 65536 ? 2 : 8;
    out[0] = (uint8_t)(0x80 | (unsigned)opcode);
    out[1] = (uint8_t)(extra == 0 ? len : extra == 2 ? 126 : 127);
    for (size_t i = 0; i < extra; i++) {
        out[2 + i] = (uint8_t)((uint64_t)len >> 8 * (extra - 1 - i));
    }
    return 2 + extra;
}
