/*
 * Keystore files under the password "x". Parsing is what is fuzzed: documents with a number of five
 * digits or more are skipped, because an honest high cost takes seconds.
 */
#include "kernel/base/check.h"
#include "kernel/crypto/keystore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_cheap(const uint8_t *data, size_t size)
{
    size_t digits = 0;
    bool number = false;
    for (size_t i = 0; i < size; i++) {
        bool digit = data[i] >= '0' && data[i] <= '9';
        number = data[i] == ':' || (number && (digit || data[i] == ' '));
        digits = number && digit ? digits + 1 : 0;
        if (digits == 5) {
            return false;
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!is_cheap(data, size)) {
        return 0;
    }
    struct secret password, key;
    struct address address, expected;
    struct why why = {.err = OK};
    secret_init(&password, "x", 1);
    enum err e = keystore_decode(slice_of(data, size), &password, &key, &address, &why);
    if (e == OK) {
        ASSERT(secp256k1_address(&key, &expected) == OK);
        ASSERT(memcmp(&address, &expected, sizeof(address)) == 0);
        secret_clear(&key);
    } else {
        ASSERT(e == ERR_INVALID_JSON || e == ERR_CORRUPT || e == ERR_KEYSTORE_PASSWORD);
        ASSERT(why.err == e && why.text[0] != '\0');
    }
    secret_clear(&password);
    return 0;
}
