#include "kernel/base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "kernel/base/clock.h"
#include "kernel/base/json.h"
#include "kernel/base/mem.h"

/* A line up to this size is made on the stack, which holds for all but the oddest. */
#define LINE_ROOM 2048

static _Atomic int log_fd = STDERR_FILENO;
static _Atomic int log_level = LOG_INFO;

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info",     [LOG_WARN] = "warn",
    [LOG_ERROR] = "error", [LOG_BROKEN] = "broken",
};

struct redaction {
    const char *word;
    bool as_ending; /* also keys that end with '_' or '-' and the word */
};

static const struct redaction redactions[] = {
    {"authorization", true}, {"cookie", true},      {"password", true},
    {"secret", true},        {"private_key", true}, {"mnemonic", true},
    {"key", false},          {"token", false},      {"signature", false},
};

/* Keys of the line itself: a field of the same name gets '_' behind it. */
static const char *const reserved_keys[] = {"ts", "level", "event"};

struct log_field log_text(const char *key, const char *text)
{
    return (struct log_field){.key = key, .type = LOG_FIELD_TEXT, .value.text = text};
}

struct log_field log_slice(const char *key, struct slice text)
{
    return (struct log_field){.key = key, .type = LOG_FIELD_SLICE, .value.slice = text};
}

struct log_field log_hex(const char *key, struct slice bytes)
{
    return (struct log_field){.key = key, .type = LOG_FIELD_HEX, .value.slice = bytes};
}

struct log_field log_u64(const char *key, uint64_t value)
{
    return (struct log_field){.key = key, .type = LOG_FIELD_U64, .value.u64 = value};
}

struct log_field log_i64(const char *key, int64_t value)
{
    return (struct log_field){.key = key, .type = LOG_FIELD_I64, .value.i64 = value};
}

struct log_field log_u256(const char *key, struct u256 value)
{
    return (struct log_field){.key = key, .type = LOG_FIELD_U256, .value.u256 = value};
}

struct log_field log_bool(const char *key, bool value)
{
    return (struct log_field){.key = key, .type = LOG_FIELD_BOOL, .value.boolean = value};
}

struct log_field log_err(enum err e)
{
    return log_text("err", err_code(e));
}

struct log_field log_why(const struct why *why, enum err e)
{
    return log_text("why", why_text(why, e));
}

void log_set_level(enum log_level level)
{
    atomic_store(&log_level, (int)level);
}

enum err log_level_parse(struct slice text, enum log_level *out)
{
    for (enum log_level level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        if (slice_equal_text(text, level_names[level])) {
            *out = level;
            return OK;
        }
    }
    return ERR_INVALID_FIELD;
}

void log_set_fd(int fd)
{
    atomic_store(&log_fd, fd);
}

static bool is_secret_key(const char *key)
{
    struct slice whole = slice_text(key);
    for (size_t i = 0; i < sizeof(redactions) / sizeof(redactions[0]); i++) {
        struct slice word = slice_text(redactions[i].word);
        if (slice_equal_nocase(whole, word)) {
            return true;
        }
        if (!redactions[i].as_ending || whole.len <= word.len) {
            continue;
        }
        size_t at = whole.len - word.len;
        uint8_t before = whole.ptr[at - 1];
        if ((before == '_' || before == '-') &&
            slice_equal_nocase(slice_sub(whole, at, word.len), word)) {
            return true;
        }
    }
    return false;
}

static bool is_reserved(const char *key)
{
    for (size_t i = 0; i < sizeof(reserved_keys) / sizeof(reserved_keys[0]); i++) {
        if (strcmp(key, reserved_keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Cuts before a UTF-8 sequence that would be split. */
static struct slice clip_text(struct slice text, bool *out_clipped)
{
    *out_clipped = text.len > LOG_VALUE_MAX;
    if (!*out_clipped) {
        return text;
    }
    size_t len = LOG_VALUE_MAX;
    while (len > LOG_VALUE_MAX - 4 && (text.ptr[len] & 0xC0) == 0x80) {
        len--;
    }
    return slice_sub(text, 0, len);
}

static void write_text(struct json_out *j, struct slice text)
{
    bool clipped;
    struct slice shown = clip_text(text, &clipped);
    if (!clipped) {
        json_string(j, shown);
        return;
    }
    struct buf whole;
    buf_init(&whole, j->buf->arena, shown.len + 64);
    buf_add_slice(&whole, shown);
    buf_format(&whole, "... (%zu bytes)", text.len);
    json_string(j, buf_slice(&whole));
}

static void write_value(struct json_out *j, const struct log_field *f)
{
    switch (f->type) {
    case LOG_FIELD_TEXT:
        if (f->value.text) {
            write_text(j, slice_text(f->value.text));
        } else {
            json_null(j);
        }
        break;
    case LOG_FIELD_SLICE:
        write_text(j, f->value.slice);
        break;
    case LOG_FIELD_HEX:
        json_hex(j, slice_sub(f->value.slice, 0, LOG_VALUE_MAX / 2));
        break;
    case LOG_FIELD_U64:
        json_u64(j, f->value.u64);
        break;
    case LOG_FIELD_I64:
        json_i64(j, f->value.i64);
        break;
    case LOG_FIELD_U256:
        json_u256(j, f->value.u256);
        break;
    case LOG_FIELD_BOOL:
        json_bool(j, f->value.boolean);
        break;
    }
}

static void write_field(struct json_out *j, const struct log_field *f)
{
    if (is_reserved(f->key)) {
        json_key_slice(j, slice_format(j->buf->arena, "%s_", f->key));
    } else {
        json_key_slice(j, slice_text(f->key));
    }
    if (is_secret_key(f->key)) {
        json_string(j, SLICE_LIT("[redacted]"));
    } else {
        write_value(j, f);
    }
}

/* A log that cannot be written must not stop the work: the line is lost then. */
static void write_line(int fd, struct slice line)
{
    while (line.len > 0) {
        ssize_t written = write(fd, line.ptr, line.len);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return;
        }
        line = slice_sub(line, (size_t)written, line.len);
    }
}

void log_write(enum log_level level, const char *event, const struct log_field *fields,
               size_t count)
{
    int fd = atomic_load(&log_fd);
    if (fd < 0 || (int)level < atomic_load(&log_level)) {
        return;
    }
    int saved_errno = errno;
    uint8_t room[LINE_ROOM];
    struct arena scratch;
    arena_init(&scratch, 0);
    struct buf line = {.arena = &scratch, .ptr = room, .len = 0, .cap = sizeof(room)};
    struct json_out j;
    json_out_init(&j, &line);
    json_begin_object(&j);
    json_key(&j, "ts");
    json_time(&j, clock_wall_usec());
    json_key(&j, "level");
    json_text(&j, level_names[level]);
    json_key(&j, "event");
    json_text(&j, event);
    for (size_t i = 0; i < count; i++) {
        write_field(&j, &fields[i]);
    }
    json_end_object(&j);
    buf_add_byte(&line, '\n');
    write_line(fd, buf_slice(&line));
    arena_free(&scratch);
    errno = saved_errno;
}
