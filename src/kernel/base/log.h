/*
 * log.h: JSON lines, one event a line, never a secret.
 *
 * An event is named module.past_participle ("relay.tx_sent"). Common fields: req, job, chain,
 * block, tx, err, why, dur_usec. The kernel returns errors; dispatchers (HTTP, jobs, chain loop,
 * relay loop, main) log. Level `broken` means that an invariant of ours does not hold: any such
 * line fails a test run that did not announce it.
 *
 * A field whose key is in the redaction list (authorization, cookie, password, secret, key,
 * private_key, mnemonic, token, signature) is written as "[redacted]" whatever its value; so is
 * one that ends with an unmistakable word of the list ("keystore_password", "jwt-secret"). Case
 * does not matter. The list looks at keys only: do not put a secret into a sentence.
 *
 * A line begins with "ts", "level" and "event"; a field of such a name gets '_' behind it. Values
 * are cut at LOG_VALUE_MAX bytes. A line that cannot be written is lost.
 *
 * Thread safe: one write(2) a line. errno is kept.
 */
#ifndef KERNEL_BASE_LOG_H
#define KERNEL_BASE_LOG_H

#include "kernel/base/slice.h"
#include "kernel/base/u256.h"

/* Longest value in a line. Units: bytes before escaping. */
#define LOG_VALUE_MAX 4096

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
    LOG_BROKEN,
};

enum log_type {
    LOG_FIELD_TEXT,
    LOG_FIELD_SLICE,
    LOG_FIELD_HEX,
    LOG_FIELD_U64,
    LOG_FIELD_I64,
    LOG_FIELD_U256,
    LOG_FIELD_BOOL,
};

struct log_field {
    const char *key;
    enum log_type type;
    union {
        const char *text;
        struct slice slice;
        uint64_t u64;
        int64_t i64;
        struct u256 u256;
        bool boolean;
    } value;
};

/* log_text makes a field of a NUL-terminated string. */
struct log_field log_text(const char *key, const char *text);
/* log_slice makes a field of text. */
struct log_field log_slice(const char *key, struct slice text);
/* log_hex makes a field of bytes written as 0x hex. */
struct log_field log_hex(const char *key, struct slice bytes);
/* log_u64 makes a number field. */
struct log_field log_u64(const char *key, uint64_t value);
/* log_i64 makes a number field. */
struct log_field log_i64(const char *key, int64_t value);
/* log_u256 makes a field with decimal digits. */
struct log_field log_u256(const char *key, struct u256 value);
/* log_bool makes a boolean field. */
struct log_field log_bool(const char *key, bool value);
/* log_err makes the field "err" with the public code. */
struct log_field log_err(enum err e);
/* log_why makes the field "why" with the sentence. */
struct log_field log_why(const struct why *why, enum err e);

/* log_set_level drops events below `level`. */
void log_set_level(enum log_level level);
/* log_level_parse reads "debug", "info", "warn", "error". Errors: ERR_INVALID_FIELD. */
enum err log_level_parse(struct slice text, enum log_level *out) ERR_CHECKED;
/* log_set_fd sends lines to a file descriptor (default 2); -1 drops them. */
void log_set_fd(int fd);
/* log_write writes one line. */
void log_write(enum log_level level, const char *event, const struct log_field *fields,
               size_t count);

#define LOG_FIELDS_(...)                                                                           \
    (const struct log_field[])                                                                     \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define LOG(level, event, ...)                                                                     \
    log_write(level, event, LOG_FIELDS_(__VA_ARGS__),                                              \
              sizeof(LOG_FIELDS_(__VA_ARGS__)) / sizeof(struct log_field))

#endif
