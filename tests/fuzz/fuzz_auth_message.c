/* fuzz_auth_message.c: what is read as a message to log in stands in the text as it was read. */
#include "kernel/auth/auth_message.h"
#include "kernel/base/check.h"
#include "kernel/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct auth_message m;
    struct slice text = slice_of(data, size);
    if (auth_message_parse(text, &m, NULL) != OK) {
        return 0;
    }
    arena_init(&arena, 0);
    char address[ADDRESS_TEXT_MAX];
    address_format(&m.address, address);
    struct slice head = slice_format(
        &arena,
        "%.*s%s%.*s wants you to sign in with your Ethereum account:\n%s\n\n%.*s%s\nURI: %.*s\n"
        "Version: 1\nChain ID: ",
        SLICE_ARG(m.scheme), m.scheme.len > 0 ? "://" : "", SLICE_ARG(m.domain), address,
        SLICE_ARG(m.statement), m.statement.len > 0 ? "\n" : "", SLICE_ARG(m.uri));
    ASSERT(slice_starts(text, head));
    ASSERT(m.nonce.len >= AUTH_NONCE_DIGITS_MIN && m.domain.len > 0);
    for (size_t i = 0; i < size; i++) {
        ASSERT(data[i] == '\n' || (data[i] >= ' ' && data[i] < 0x7f));
    }
    arena_free(&arena);
    return 0;
}
