/*
 * Values in the server's binary form: the first byte chooses what the statement declares and what
 * the server says that it sends.
 */
#include "kernel/base/check.h"
#include "kernel/store/postgres_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t oids[] = {PG_BOOL, PG_BYTEA,   PG_INT8,        PG_INT2,
                                    PG_INT4, PG_NUMERIC, PG_TIMESTAMPTZ, PG_JSONB};
    if (size < 1) {
        return 0;
    }
    enum store_type type = (enum store_type)(data[0] % (STORE_TIME + 1));
    uint32_t oid = oids[(data[0] / (STORE_TIME + 1)) % (sizeof(oids) / sizeof(oids[0]))];
    struct store_value value = {0};
    if (pg_decode(oid, slice_of(data + 1, size - 1), type, &value) != OK) {
        return 0;
    }
    /* What was a value goes to the server and comes back the same. */
    struct arena arena;
    struct slice bytes;
    struct store_value again = {0};
    arena_init(&arena, 0);
    ASSERT(pg_encode(&value, &arena, &bytes) == OK);
    uint32_t sent = type == STORE_I64 ? PG_INT8 : oid;
    ASSERT(pg_decode(sent, bytes, type, &again) == OK);
    ASSERT(again.i64 == value.i64 && slice_equal(again.bytes, value.bytes));
    ASSERT(u256_equal(again.u256, value.u256));
    arena_free(&arena);
    return 0;
}
