#include "kernel/base/hex.h"
#include "kernel/rpc/stream.h"

/* A header has about twenty members; what is larger is something else. */
static const struct json_limits limits = {
    .bytes_max = 1 << 20, .depth_max = 16, .nodes_max = 20000};

static enum err is_wrong(struct why *why)
{
    return why_set(why, ERR_NODE_RESPONSE, NULL, "its notification is not one of a new block");
}

static bool text_is(const struct json *v, const char *text)
{
    return v != NULL && v->type == JSON_STRING && slice_equal_text(v->text, text);
}

enum err rpc_stream_message_read(struct arena *arena, struct slice text,
                                 struct rpc_stream_message *out, struct why *why)
{
    const struct json *v = NULL;
    if (json_parse(arena, text, &limits, &v, NULL) != OK || v->type != JSON_OBJECT ||
        !text_is(json_find(v, "jsonrpc"), "2.0")) {
        return why_set(why, ERR_NODE_RESPONSE, NULL, "its message is not of JSON-RPC 2.0");
    }
    struct rpc_stream_message m = {.is_answer = json_find(v, "method") == NULL};
    if (m.is_answer) {
        *out = m;
        return OK;
    }
    const struct json *params = json_find(v, "params");
    const struct json *id = json_find(params, "subscription");
    const struct json *head = json_find(params, "result");
    const struct json *number = json_find(head, "number");
    const struct json *hash = json_find(head, "hash");
    if (!text_is(json_find(v, "method"), "eth_subscription") || id == NULL ||
        id->type != JSON_STRING || number == NULL || number->type != JSON_STRING || hash == NULL ||
        hash->type != JSON_STRING || hex_parse_u64(number->text, &m.number) != OK ||
        hex_decode_fixed(hash->text, m.hash.bytes, HASH_BYTES) != OK) {
        return is_wrong(why);
    }
    m.subscription = id->text;
    *out = m;
    return OK;
}
