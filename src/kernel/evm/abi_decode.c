#include "kernel/base/check.h"
#include "kernel/evm/abi_word.h"
#include "kernel/evm/block.h"

struct decoder {
    struct arena *arena;
    struct why *why;
    size_t nodes;
    unsigned depth;
};

static enum err refuse(struct decoder *d, const char *sentence)
{
    (void)why_set(d->why, ERR_INVALID_ENCODING, NULL, "%s", sentence);
    return ERR_INVALID_ENCODING;
}

/* size_read reads a word that says an offset or a count, which must be at most `max`. */
static enum err size_read(struct decoder *d, struct slice data, size_t at, uint64_t max,
                          size_t *out)
{
    struct u256 v;
    uint64_t narrow = 0;
    if (data.len < ABI_WORD || at > data.len - ABI_WORD) {
        return refuse(d, "The data ends too early.");
    }
    enum err e = u256_decode_be(slice_of(data.ptr + at, ABI_WORD), &v);
    ASSERT(e == OK);
    if (u256_to_u64(v, &narrow) != OK || narrow > max) {
        return refuse(d, "An offset or a length points outside the data.");
    }
    *out = narrow;
    return OK;
}

static enum err bytes_decode(struct decoder *d, struct slice data, struct abi_value *out)
{
    size_t len = 0;
    enum err e = size_read(d, data, 0, data.len, &len);
    if (e != OK) {
        return e;
    }
    size_t padding = (ABI_WORD - len % ABI_WORD) % ABI_WORD;
    if (len + padding > data.len - ABI_WORD) {
        return refuse(d, "The data ends too early.");
    }
    const uint8_t *bytes = data.ptr + ABI_WORD;
    for (size_t i = 0; i < padding; i++) {
        if (bytes[len + i] != 0) {
            return refuse(d, "The padding after bytes is not zero.");
        }
    }
    out->bytes = slice_of(bytes, len);
    return OK;
}

static enum err sequence_decode(struct decoder *d, const struct abi_type *types, size_t stride,
                                size_t count, struct slice frame, const struct abi_value **out);

/* nested_decode decodes tuple, array or list; `data` begins where their own offsets count from. */
static enum err nested_decode(struct decoder *d, const struct abi_type *type, struct slice data,
                              struct abi_value *out)
{
    size_t count = type->kind == ABI_TUPLE ? type->count : type->size;
    if (d->depth == ABI_DEPTH_MAX) {
        return refuse(d, "The type is nested too deeply.");
    }
    if (type->kind == ABI_LIST) {
        enum err e = size_read(d, data, 0, data.len / ABI_WORD, &count);
        if (e != OK) {
            return e;
        }
        data = slice_of(data.ptr + ABI_WORD, data.len - ABI_WORD);
    }
    d->depth++;
    enum err e = sequence_decode(d, type->items, type->kind == ABI_TUPLE, count, data, &out->items);
    d->depth--;
    out->count = count;
    return e;
}

/* value_decode decodes the value whose head stands at `head` of the frame. */
static enum err value_decode(struct decoder *d, const struct abi_type *type, struct slice frame,
                             size_t head, struct abi_value *out)
{
    size_t at = head;
    if (abi_is_word(type)) {
        if (head + ABI_WORD > frame.len) {
            return refuse(d, "The data ends too early.");
        }
        return abi_word_decode(type, frame.ptr + head, out, d->why);
    }
    if (abi_is_dynamic(type)) {
        enum err e = size_read(d, frame, head, frame.len, &at);
        if (e != OK) {
            return e;
        }
    }
    struct slice data = slice_of(frame.ptr + at, frame.len - at);
    if (type->kind == ABI_BYTES || type->kind == ABI_STRING) {
        return bytes_decode(d, data, out);
    }
    return nested_decode(d, type, data, out);
}

/*
 * heads_fit says whether the heads of a sequence are inside the frame, before memory is taken for
 * its values: that bounds every count by the bytes that were sent.
 */
static bool heads_fit(const struct abi_type *types, size_t stride, size_t count, size_t room)
{
    uint64_t needed = 0;
    if (stride == 0 && count > 0) {
        uint64_t each = abi_head_bytes(types);
        return each > 0 && count <= room / each;
    }
    for (size_t i = 0; i < count; i++) {
        needed += abi_head_bytes(&types[i]);
    }
    return needed <= room;
}

static enum err sequence_decode(struct decoder *d, const struct abi_type *types, size_t stride,
                                size_t count, struct slice frame, const struct abi_value **out)
{
    if (!heads_fit(types, stride, count, frame.len)) {
        return refuse(d, "The data ends too early.");
    }
    if (count > ABI_NODES_MAX - d->nodes) {
        return refuse(d, "There are too many values.");
    }
    d->nodes += count;
    struct abi_value *values = arena_alloc_array(d->arena, count, sizeof(*values));
    size_t head = 0;
    for (size_t i = 0; i < count; i++) {
        const struct abi_type *type = &types[i * stride];
        enum err e = value_decode(d, type, frame, head, &values[i]);
        if (e != OK) {
            return abi_why_under(d->why, e, stride == 0 ? NULL : type, i);
        }
        head += abi_head_bytes(type);
    }
    *out = values;
    return OK;
}

enum err abi_decode(struct arena *arena, const struct abi_type *types, size_t count,
                    struct slice data, const struct abi_value **out, struct why *why)
{
    struct decoder d = {.arena = arena, .why = why};
    return sequence_decode(&d, types, 1, count, data, out);
}

/* ---- events and calls ---- */

const struct abi_event *abi_event_find(const struct abi_contract *contract,
                                       const struct evm_log *log)
{
    if (log->topic_count == 0) {
        return NULL;
    }
    for (size_t i = 0; i < contract->event_count; i++) {
        const struct abi_event *event = &contract->events[i];
        if (log->topic_count == event->indexed_count + 1 &&
            hash_equal(&event->topic, &log->topics[0])) {
            return event;
        }
    }
    return NULL;
}

/* data_types copies the types of the inputs that are not indexed: they form the data's tuple. */
static const struct abi_type *data_types(struct arena *arena, const struct abi_event *event)
{
    struct abi_type *types = arena_alloc_array(
        arena, (size_t)(event->input_count - event->indexed_count), sizeof(*types));
    size_t n = 0;
    for (size_t i = 0; i < event->input_count; i++) {
        if (!event->inputs[i].indexed) {
            types[n++] = event->inputs[i];
        }
    }
    return types;
}

/* topic_decode reads an indexed input; of anything longer than a word only the hash is there. */
static enum err topic_decode(struct arena *arena, const struct abi_type *type,
                             const struct hash *topic, struct abi_value *out, struct why *why)
{
    struct slice kept = slice_copy(arena, hash_slice(topic));
    if (!abi_is_word(type)) {
        *out = abi_bytes(kept);
        return OK;
    }
    return abi_word_decode(type, kept.ptr, out, why);
}

enum err abi_event_decode(struct arena *arena, const struct abi_event *event,
                          const struct evm_log *log, const struct abi_value **out, struct why *why)
{
    const struct abi_value *plain = NULL;
    if (log->topic_count != event->indexed_count + 1 ||
        !hash_equal(&event->topic, &log->topics[0])) {
        return why_set(why, ERR_INVALID_ENCODING, NULL, "The log is not a %s event.", event->name);
    }
    enum err e =
        abi_decode(arena, data_types(arena, event),
                   (size_t)(event->input_count - event->indexed_count), log->data, &plain, why);
    if (e != OK) {
        return e;
    }
    struct abi_value *values = arena_alloc_array(arena, event->input_count, sizeof(*values));
    size_t topic = 1;
    for (size_t i = 0; i < event->input_count; i++) {
        const struct abi_type *type = &event->inputs[i];
        if (!type->indexed) {
            values[i] = *plain++;
            continue;
        }
        e = topic_decode(arena, type, &log->topics[topic++], &values[i], why);
        if (e != OK) {
            return abi_why_under(why, e, type, i);
        }
    }
    *out = values;
    return OK;
}

const struct abi_function *abi_function_find(const struct abi_contract *contract,
                                             struct slice calldata)
{
    if (calldata.len < 4) {
        return NULL;
    }
    for (size_t i = 0; i < contract->function_count; i++) {
        if (memcmp(contract->functions[i].selector, calldata.ptr, 4) == 0) {
            return &contract->functions[i];
        }
    }
    return NULL;
}
