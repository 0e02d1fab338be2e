/*
 * stream_frame.h: frames and messages of a WebSocket (RFC 6455, section 5), server side, as bytes
 * without a network.
 *
 * A reader takes bytes as they come and gives whole messages and control frames. It holds what has
 * come of a frame and of a fragmented message, never more than a message may have; without such it
 * holds nothing. What the RFC forbids ends it with the code of the close frame that says so: 1002
 * (no mask, reserved bits or opcodes, a control frame that is long or in fragments, a continuation
 * of nothing, lengths that are not the shortest), 1007 (text that is no UTF-8), 1009 (too long).
 * Too long is known from a frame's head: its bytes are not waited for.
 */
#ifndef KERNEL_STREAM_STREAM_FRAME_H
#define KERNEL_STREAM_STREAM_FRAME_H

#include "kernel/base/mem.h"
#include "kernel/base/slice.h"

#define STREAM_HEAD_MAX 14 /* of a frame that is masked */
#define STREAM_CONTROL_MAX 125

enum stream_opcode {
    STREAM_CONTINUATION = 0,
    STREAM_TEXT = 1,
    STREAM_BINARY = 2,
    STREAM_CLOSE = 8,
    STREAM_PING = 9,
    STREAM_PONG = 10,
};

/* Section 7.4.1. */
enum stream_code {
    STREAM_NORMAL = 1000,
    STREAM_GOING_AWAY = 1001,
    STREAM_PROTOCOL = 1002,
    STREAM_UNSUPPORTED = 1003,
    STREAM_NO_CODE = 1005, /* never sent */
    STREAM_NOT_UTF8 = 1007,
    STREAM_POLICY = 1008,
    STREAM_TOO_BIG = 1009,
    STREAM_TRY_LATER = 1013,
};

struct stream_reader {
    uint8_t *part; /* of a frame that has not come whole */
    size_t part_len;
    uint8_t *message; /* fragments so far, unmasked */
    size_t message_len;
    uint8_t opcode;  /* of them; 0: no message is under way */
    uint64_t frames; /* that were taken, of any kind */
};

/*
 * A message or a control frame; false ends the reading without a fault. `code` is that of a close
 * frame, STREAM_NO_CODE without one.
 */
typedef bool (*stream_got_fn)(void *ctx, enum stream_opcode opcode, struct slice data,
                              unsigned code);

/*
 * stream_reader_take takes bytes, which it unmasks in place. Returns 0, or the code to close with:
 * then the reader is only good for clearing.
 */
unsigned stream_reader_take(struct stream_reader *reader, uint8_t *bytes, size_t len,
                            size_t message_bytes_max, stream_got_fn got, void *ctx);

/* stream_reader_clear frees what is held. */
void stream_reader_clear(struct stream_reader *reader);

/* stream_frame_head writes the head of an unmasked, whole frame, and returns its length. */
size_t stream_frame_head(enum stream_opcode opcode, size_t payload_len, uint8_t out[10]);

/* stream_code_is_valid says whether a close frame may have this code. */
bool stream_code_is_valid(unsigned code);

#endif
