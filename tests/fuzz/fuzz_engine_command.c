/* Commands: what decodes, encodes back to the same bytes, and an engine survives any series. */
#include "domain/trading/engine/engine.h"

#include "kernel/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct engine_limits limits = {.pairs = 4,
                                         .assets = 4,
                                         .accounts = 8,
                                         .orders = 32,
                                         .balances = 32,
                                         .rights = 32,
                                         .holds = 4,
                                         .id_window = 256};
    struct engine *e = engine_new(&limits);
    for (size_t at = 0; at + ENGINE_COMMAND_BYTES <= size; at += ENGINE_COMMAND_BYTES) {
        struct engine_command c;
        uint8_t again[ENGINE_COMMAND_BYTES];
        if (engine_command_decode(data + at, &c, NULL) == OK) {
            engine_command_encode(&c, again);
            ASSERT(memcmp(again, data + at, sizeof again) == 0);
            const uint64_t before = engine_hash(e);
            ASSERT(engine_apply(e, &c) == ENGINE_OK || engine_hash(e) == before);
        }
    }
    engine_check(e);
    engine_free(e);
    return 0;
}
