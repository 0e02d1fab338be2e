/*
 * What a node sends over a WebSocket before and above its frames: the head that answers the
 * handshake, and the messages. The first byte of the input chooses. A head that is taken ends in an
 * empty line and holds the accept of our key; a message that is taken has a number and an id.
 */
#include "kernel/base/check.h"
#include "kernel/net/ws_handshake.h"
#include "kernel/rpc/stream.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_head(struct slice bytes)
{
    size_t used = 0;
    struct why why = {0};
    enum err e = ws_answer_read(bytes, KEY, &used, &why);
    ASSERT(e == OK || ((e == ERR_UPSTREAM || e == ERR_LIMIT) && why.err == e && why.text[0] != 0));
    if (e == OK && used > 0) {
        ASSERT(used <= bytes.len && used <= WS_HEAD_BYTES_MAX);
        ASSERT(memcmp(bytes.ptr + used - 4, "\r\n\r\n", 4) == 0);
        ASSERT(memmem(bytes.ptr, used, ACCEPT, strlen(ACCEPT)) != NULL);
    }
}

static void read_message(struct slice bytes)
{
    struct arena arena;
    struct rpc_stream_message m = {0};
    struct why why = {0};
    arena_init(&arena, 0);
    enum err e = rpc_stream_message_read(&arena, bytes, &m, &why);
    ASSERT(e == OK || (e == ERR_NODE_RESPONSE && why.err == e && why.text[0] != 0));
    ASSERT(e != OK || m.is_answer || m.subscription.ptr != NULL || m.subscription.len == 0);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        struct slice rest = slice_of(data + 1, size - 1);
        if (data[0] % 2 == 0) {
            read_head(rest);
        } else {
            read_message(rest);
        }
    }
    return 0;
}
