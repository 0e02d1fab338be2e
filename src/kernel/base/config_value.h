/*
 * config_value.h: one configuration value as text and as C value; private to config*.c.
 *
 * The textual form is what a file holds. Parsing and describing live side by side, so that what a
 * sentence, the sample and the reference call allowed is what is allowed.
 */
#ifndef KERNEL_BASE_CONFIG_VALUE_H
#define KERNEL_BASE_CONFIG_VALUE_H

#include "kernel/base/config.h"

/* Longest value from any source. Units: bytes. */
#define CONFIG_VALUE_MAX 4096

union config_value {
    const char *text; /* TEXT, ADDRESS, ENUM */
    uint64_t u64;     /* U64, SIZE */
    bool boolean;
    int64_t usec; /* DURATION */
    struct u256 wei;
    struct secret secret;
};

/*
 * config_value_parse reads `text` as the row's type and checks its bounds. Owns: texts live in
 * `arena`; a secret is the caller's to clear. Errors: ERR_CONFIG, without a sentence.
 */
enum err config_value_parse(const struct config_row *row, struct slice text, struct arena *arena,
                            union config_value *out) ERR_CHECKED;

/* config_value_store moves a value into the member of a config struct; a secret there is wiped. */
void config_value_store(const struct config_row *row, void *target, union config_value *value);

/* config_value_is_unset says whether the member of a config struct is empty (texts, secrets). */
bool config_value_is_unset(const struct config_row *row, const union config_value *value);

/* config_value_format appends the member of a config struct as a file would hold it. */
void config_value_format(const struct config_row *row, const void *target, struct buf *out);

/* config_value_allowed appends a phrase that says what is allowed: "a whole number from 1 to 9". */
void config_value_allowed(const struct config_row *row, struct buf *out);

#endif
