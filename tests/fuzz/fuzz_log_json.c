/* What nodes answer with: logs, receipts, headers; and the events that logs decode to. */
#include "gen/abi_types.h"
#include "kernel/base/check.h"
#include "kernel/evm/block.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_event(struct arena *arena, const struct evm_log *log)
{
    for (size_t i = 0; i < ABI_CONTRACT_COUNT; i++) {
        const struct abi_event *event = abi_event_find(abi_contracts[i], log);
        const struct abi_value *values = NULL;
        if (event != NULL && abi_event_decode(arena, event, log, &values, NULL) == OK) {
            struct buf out;
            struct json_out j;
            buf_init(&out, arena, 256);
            json_out_init(&j, &out);
            json_begin_array(&j);
            for (size_t k = 0; k < event->input_count; k++) {
                const struct abi_type hash = {.kind = ABI_FIXED_BYTES, .size = HASH_BYTES};
                const struct abi_type *type = &event->inputs[k];
                bool hashed = type->indexed && abi_is_dynamic(type);
                abi_value_json(&j, hashed ? &hash : type, &values[k]);
            }
            json_end_array(&j);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct json *v = NULL;
    arena_init(&arena, 0);
    if (json_parse(&arena, slice_of(data, size), &json_limits_body, &v, NULL) == OK) {
        struct evm_log log;
        struct evm_header header;
        struct evm_receipt receipt;
        struct why why = {.err = OK};
        enum err e = evm_log_parse(&arena, v, &log, &why);
        ASSERT(e == OK || e == ERR_NODE_RESPONSE);
        if (e == OK) {
            decode_event(&arena, &log);
        }
        e = evm_receipt_parse(&arena, v, &receipt, &why);
        ASSERT(e == OK || e == ERR_NODE_RESPONSE);
        e = evm_header_parse(v, &header, &why);
        ASSERT(e == OK || e == ERR_NODE_RESPONSE);
        e = evm_header_verify(&arena, v, &why);
        ASSERT(e == OK || e == ERR_NODE_RESPONSE || e == ERR_CORRUPT);
    }
    arena_free(&arena);
    return 0;
}
