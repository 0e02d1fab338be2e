#include "kernel/rpc/envelope.h"

#include "kernel/base/check.h"
#include "kernel/base/hex.h"

/* How much of a node's message is repeated in a sentence of ours. Units: bytes. */
#define WORDS_MAX 360

/* The code that nodes agree on for a reverted call, and OpenEthereum's for any failed one. */
#define CODE_REVERTED 3
#define CODE_VM_ERROR (-32015)
/* Not JSON-RPC's, but providers repeat the HTTP status as a code. */
#define CODE_TOO_MANY_REQUESTS 429

/* How providers say "slow down" in an error object. Lower case. */
static const char *const rate_limit_words[] = {
    "rate limit",        "ratelimit",     "too many requests",      "request limit reached",
    "request rate",      "rate exceeded", "request count exceeded", "compute units per second",
    "capacity exceeded",
};

/* ---- writing --------------------------------------------------------------------------------- */

static void write_call(struct json_out *j, const struct rpc_call *call, uint64_t id)
{
    json_begin_object(j);
    json_key(j, "jsonrpc");
    json_text(j, "2.0");
    json_key(j, "id");
    json_u64(j, id);
    json_key(j, "method");
    json_text(j, call->method);
    json_key(j, "params");
    json_raw(j, call->params.len > 0 ? call->params : SLICE_LIT("[]"));
    json_end_object(j);
}

void rpc_envelope_write(struct buf *out, struct rpc_call *const *calls, size_t count,
                        uint64_t first_id)
{
    ASSERT(count > 0);
    struct json_out j;
    json_out_init(&j, out);
    if (count == 1) {
        write_call(&j, calls[0], first_id);
        return;
    }
    json_begin_array(&j);
    for (size_t i = 0; i < count; i++) {
        write_call(&j, calls[i], first_id + i);
    }
    json_end_array(&j);
}

/* ---- words ----------------------------------------------------------------------------------- */

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool rpc_text_has(struct slice text, const char *part)
{
    size_t len = strlen(part);
    for (size_t start = 0; start + len <= text.len; start++) {
        size_t i = 0;
        while (i < len && lower(text.ptr[start + i]) == (uint8_t)part[i]) {
            i++;
        }
        if (i == len) {
            return true;
        }
    }
    return false;
}

/* words_of makes a node's message fit for one line of ours: no control bytes, not too long. */
static struct slice words_of(struct arena *arena, struct slice message)
{
    size_t len = message.len;
    if (len > WORDS_MAX) {
        len = WORDS_MAX;
        while (len > 0 && (message.ptr[len] & 0xc0) == 0x80) {
            len--; /* not in the middle of a character */
        }
    }
    uint8_t *out = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        out[i] = message.ptr[i] < 0x20 || message.ptr[i] == 0x7f ? ' ' : message.ptr[i];
    }
    return slice_of(out, len);
}

static bool is_rate_limit(int64_t code, struct slice message)
{
    if (code == CODE_TOO_MANY_REQUESTS) {
        return true;
    }
    for (size_t i = 0; i < sizeof(rate_limit_words) / sizeof(rate_limit_words[0]); i++) {
        if (rpc_text_has(message, rate_limit_words[i])) {
            return true;
        }
    }
    return false;
}

/* ---- error objects --------------------------------------------------------------------------- */

struct node_error {
    int64_t code;
    struct slice message;
    struct slice data; /* bytes */
    bool data_says_reverted;
};

/* hex_run_after finds "Reverted 0x…" in text and returns the hex with its prefix, or nothing. */
static struct slice hex_run_after_reverted(struct slice text)
{
    static const char mark[] = "reverted 0x";
    size_t mark_len = sizeof(mark) - 1;
    for (size_t start = 0; start + mark_len <= text.len; start++) {
        struct slice at = slice_sub(text, start, mark_len);
        if (!slice_equal_nocase(at, slice_text(mark))) {
            continue;
        }
        size_t end = start + mark_len;
        while (end < text.len && ((text.ptr[end] >= '0' && text.ptr[end] <= '9') ||
                                  (lower(text.ptr[end]) >= 'a' && lower(text.ptr[end]) <= 'f'))) {
            end++;
        }
        size_t from = start + mark_len - 2;
        return slice_sub(text, from, end - from);
    }
    return SLICE_EMPTY;
}

/* take_data stores revert data found as hex, or behind the word "Reverted", in `text`. */
static void take_data(struct arena *arena, struct slice text, struct node_error *e)
{
    if (e->data.len > 0) {
        return;
    }
    struct slice found = hex_run_after_reverted(text);
    if (found.len > 0 || rpc_text_has(text, "revert")) {
        e->data_says_reverted = true;
    }
    struct slice bytes;
    if (hex_decode(arena, found.len > 0 ? found : text, &bytes) == OK) {
        e->data = bytes;
    }
}

static enum err read_error(struct arena *arena, const struct json *v, struct node_error *out,
                           struct why *why)
{
    const struct json *code = json_find(v, "code");
    const struct json *message = json_find(v, "message");
    struct node_error e = {0};
    if (code == NULL || code->type != JSON_NUMBER || slice_parse_i64(code->text, &e.code) != OK ||
        message == NULL || message->type != JSON_STRING) {
        return why_set(why, ERR_NODE_RESPONSE, NULL,
                       "The node answered with an error object without code and message.");
    }
    e.message = message->text;
    const struct json *data = json_find(v, "data");
    if (data != NULL && data->type == JSON_OBJECT) {
        const struct json *inner = json_find(data, "data");
        data = inner != NULL ? inner : json_find(data, "result");
    }
    if (data != NULL && data->type == JSON_STRING) {
        take_data(arena, data->text, &e);
    }
    if (hex_run_after_reverted(e.message).len > 0) {
        take_data(arena, e.message, &e);
    }
    *out = e;
    return OK;
}

/* apply_error makes the node's error the outcome of a call. */
static void apply_error(struct arena *arena, const struct node_error *e, struct rpc_call *call)
{
    struct slice words = words_of(arena, e->message);
    call->result = NULL;
    call->error_code = e->code;
    call->error_data = e->data;
    if (e->code == CODE_REVERTED || e->data.len > 0 || e->data_says_reverted ||
        rpc_text_has(e->message, "revert")) {
        struct slice reason = e->data.len >= 4 ? abi_revert_format(arena, e->data, NULL, 0) : words;
        call->err =
            why_set(&call->why, ERR_REVERTED, NULL, "The call reverted: %.*s", SLICE_ARG(reason));
        return;
    }
    enum err err = is_rate_limit(e->code, e->message) ? ERR_NODE_RATE_LIMITED : ERR_NODE_ERROR;
    call->err = why_set(&call->why, err, NULL, "The node answered: %.*s (code %lld)",
                        SLICE_ARG(words), (long long)e->code);
}

/* ---- answers --------------------------------------------------------------------------------- */

static enum err refuse(struct why *why, const char *what)
{
    return why_set(why, ERR_NODE_RESPONSE, NULL, "The node's answer is not JSON-RPC 2.0: %s.",
                   what);
}

/* One answer object after the checks that need no request. */
struct answer {
    const struct json *id;     /* NULL when absent */
    const struct json *result; /* exactly one of these */
    const struct json *error;
};

static enum err read_answer(const struct json *v, struct answer *out, struct why *why)
{
    if (v->type != JSON_OBJECT) {
        return refuse(why, "an answer is not an object");
    }
    const struct json *version = json_find(v, "jsonrpc");
    if (version == NULL || version->type != JSON_STRING ||
        !slice_equal_text(version->text, "2.0")) {
        return refuse(why, "\"jsonrpc\" is not \"2.0\"");
    }
    struct answer a = {
        .id = json_find(v, "id"), .result = json_find(v, "result"), .error = json_find(v, "error")};
    if (a.error != NULL && a.error->type == JSON_NULL && a.result != NULL) {
        a.error = NULL;
    }
    if (a.error != NULL && a.result != NULL && a.result->type == JSON_NULL) {
        a.result = NULL;
    }
    if ((a.error == NULL) == (a.result == NULL)) {
        return refuse(why, "result and error are both there or both missing");
    }
    if (a.error != NULL && a.error->type != JSON_OBJECT) {
        return refuse(why, "\"error\" is not an object");
    }
    *out = a;
    return OK;
}

/* find_call returns which call an id belongs to. */
static bool find_call(const struct json *id, uint64_t first_id, size_t count, size_t *out)
{
    uint64_t value = 0;
    if (id == NULL || id->type != JSON_NUMBER || slice_parse_u64(id->text, &value) != OK ||
        value < first_id || value - first_id >= count) {
        return false;
    }
    *out = (size_t)(value - first_id);
    return true;
}

static void apply_answer(struct arena *arena, const struct answer *a, struct rpc_call *call)
{
    if (a->result != NULL) {
        call->err = OK;
        call->result = a->result;
        return;
    }
    struct node_error e = {0};
    call->err = read_error(arena, a->error, &e, &call->why);
    if (call->err == OK) {
        apply_error(arena, &e, call);
    }
}

static void reset_call(struct rpc_call *call)
{
    call->result = NULL;
    call->error_data = SLICE_EMPTY;
    call->error_code = 0;
    call->err = why_set(&call->why, ERR_NODE_RESPONSE, NULL,
                        "The node did not answer this call of the request.");
}

static enum err read_single(struct arena *arena, const struct json *v, struct rpc_call *call,
                            uint64_t id, struct why *why)
{
    struct answer a = {0};
    enum err e = read_answer(v, &a, why);
    if (e != OK) {
        return e;
    }
    size_t index = 0;
    /* A node that could not read the request answers an error with the id null. */
    bool nameless = a.error != NULL && (a.id == NULL || a.id->type == JSON_NULL);
    if (!nameless && !find_call(a.id, id, 1, &index)) {
        return refuse(why, "its id is not the one that was asked");
    }
    reset_call(call);
    apply_answer(arena, &a, call);
    return OK;
}

/* read_refusal handles one object where an array was due. */
static enum err read_refusal(struct arena *arena, const struct json *v, enum rpc_shape shape,
                             enum rpc_shape *out_shape, struct why *why)
{
    struct answer a = {0};
    enum err e = read_answer(v, &a, why);
    if (e != OK) {
        return e;
    }
    if (a.error == NULL) {
        return refuse(why, "a batch was answered by one result");
    }
    struct node_error said = {0};
    e = read_error(arena, a.error, &said, why);
    if (e != OK) {
        return e;
    }
    if (is_rate_limit(said.code, said.message)) {
        struct slice words = words_of(arena, said.message);
        return why_set(why, ERR_NODE_RATE_LIMITED, NULL, "The node answered: %.*s (code %lld)",
                       SLICE_ARG(words), (long long)said.code);
    }
    *out_shape = shape;
    return OK;
}

static bool is_lone_error(const struct json *v)
{
    return v->count == 1 && v->child->type == JSON_OBJECT && json_find(v->child, "error") != NULL;
}

static void read_batch(struct arena *arena, const struct json *v, struct rpc_call *const *calls,
                       size_t count, uint64_t first_id)
{
    bool *seen = arena_alloc_array(arena, count, sizeof(*seen));
    for (size_t i = 0; i < count; i++) {
        reset_call(calls[i]);
    }
    for (const struct json *item = v->child; item != NULL; item = item->next) {
        struct answer a = {0};
        size_t index = 0;
        if (item->type != JSON_OBJECT ||
            !find_call(json_find(item, "id"), first_id, count, &index)) {
            continue; /* nobody asked; the call it was meant for stays unanswered */
        }
        struct rpc_call *call = calls[index];
        if (seen[index]) {
            reset_call(call);
            call->err = why_set(&call->why, ERR_NODE_RESPONSE, NULL,
                                "The node answered one call of the request twice.");
            continue;
        }
        seen[index] = true;
        call->err = read_answer(item, &a, &call->why);
        if (call->err == OK) {
            apply_answer(arena, &a, call);
        }
    }
}

enum err rpc_envelope_read(struct arena *arena, struct slice body, size_t bytes_max,
                           struct rpc_call *const *calls, size_t count, uint64_t first_id,
                           enum rpc_shape *out_shape, struct why *why)
{
    ASSERT(count > 0);
    struct json_limits limits = json_limits_node;
    limits.bytes_max = bytes_max < limits.bytes_max ? bytes_max : limits.bytes_max;
    const struct json *v = NULL;
    struct why parse_why = {0};
    if (json_parse(arena, body, &limits, &v, &parse_why) != OK) {
        return why_set(why, ERR_NODE_RESPONSE, NULL, "The node's answer is not JSON: %s",
                       parse_why.text);
    }
    enum rpc_shape shape = RPC_SHAPE_ANSWERS;
    enum err e = OK;
    if (count == 1) {
        e = read_single(arena, v, calls[0], first_id, why);
    } else if (v->type == JSON_OBJECT) {
        e = read_refusal(arena, v, RPC_SHAPE_NO_BATCHES, &shape, why);
    } else if (v->type == JSON_ARRAY && is_lone_error(v)) {
        e = read_refusal(arena, v->child, RPC_SHAPE_SMALLER_BATCH, &shape, why);
    } else if (v->type == JSON_ARRAY) {
        read_batch(arena, v, calls, count, first_id);
    } else {
        e = refuse(why, "a batch was answered by neither an array nor an object");
    }
    if (e == OK) {
        *out_shape = shape;
    }
    return e;
}
