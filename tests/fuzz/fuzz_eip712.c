/* Typed data documents: hashing answers with a digest or with one of the promised errors. */
#include "kernel/base/check.h"
#include "kernel/evm/eip712.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct json *document = NULL;
    arena_init(&arena, 0);
    if (json_parse(&arena, slice_of(data, size), &json_limits_body, &document, NULL) == OK) {
        struct hash first = {{0}}, second = {{1}};
        struct why why = {.err = OK};
        enum err e = eip712_typed_data(&arena, document, &first, &why);
        if (e == OK) {
            ASSERT(eip712_typed_data(&arena, document, &second, NULL) == OK);
            ASSERT(hash_equal(&first, &second));
        } else {
            ASSERT(e == ERR_INVALID_JSON || e == ERR_INVALID_ENCODING || e == ERR_MISSING_FIELD);
            ASSERT(why.err == e && why.text[0] != '\0');
        }
    }
    arena_free(&arena);
    return 0;
}
