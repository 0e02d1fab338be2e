/*
 * slice.h: borrowed bytes, and a growing buffer that makes them.
 *
 * A slice never owns: it is valid as long as the arena, buffer or literal behind it. Text is UTF-8
 * without a terminator; printing uses "%.*s" with SLICE_ARG.
 */
#ifndef KERNEL_BASE_SLICE_H
#define KERNEL_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/base/err.h"

struct arena;

struct slice {
    const uint8_t *ptr;
    size_t len;
};

#define SLICE_LIT(text) ((struct slice){(const uint8_t *)("" text), sizeof(text) - 1})
#define SLICE_EMPTY ((struct slice){NULL, 0})
#define SLICE_ARG(s) (int)(s).len, (const char *)((s).ptr ? (s).ptr : (const uint8_t *)"")

/* slice_of makes a slice of `len` bytes at `ptr`. */
static inline struct slice slice_of(const void *ptr, size_t len)
{
    return (struct slice){(const uint8_t *)ptr, len};
}

/* slice_text makes a slice of a NUL-terminated string; NULL gives the empty slice. */
struct slice slice_text(const char *text);

/* slice_equal compares bytes; not constant time, not for secrets. */
bool slice_equal(struct slice a, struct slice b);

/* slice_equal_text compares with a NUL-terminated string. */
bool slice_equal_text(struct slice a, const char *text);

/* slice_equal_nocase compares ASCII letters without case. */
bool slice_equal_nocase(struct slice a, struct slice b);

/* slice_compare orders bytewise, shorter first on a tie: <0, 0, >0. */
int slice_compare(struct slice a, struct slice b);

/* slice_starts says whether `a` begins with `prefix`. */
bool slice_starts(struct slice a, struct slice prefix);

/* slice_ends says whether `a` ends with `suffix`. */
bool slice_ends(struct slice a, struct slice suffix);

/* slice_sub returns bytes [from, from+len) of `a`, clipped to its end. */
struct slice slice_sub(struct slice a, size_t from, size_t len);

/* slice_find returns the offset of the first `byte`, or -1. */
ptrdiff_t slice_find(struct slice a, uint8_t byte);

/* slice_trim drops ASCII blanks at both ends. */
struct slice slice_trim(struct slice a);

/*
 * slice_cut splits at the first `byte`: `out_head` before it, `out_tail` after it. Returns false
 * (head = whole, tail empty) when the byte is absent.
 */
bool slice_cut(struct slice a, uint8_t byte, struct slice *out_head, struct slice *out_tail);

/* slice_is_utf8 says whether the bytes are well-formed UTF-8 (RFC 3629, no surrogates). */
bool slice_is_utf8(struct slice a);

/* slice_copy copies into the arena; the copy is followed by a NUL byte outside its length. */
struct slice slice_copy(struct arena *arena, struct slice a);

/* slice_cstr returns a NUL-terminated copy in the arena (bytes after an inner NUL are lost). */
char *slice_cstr(struct arena *arena, struct slice a);

/* slice_format prints into the arena, printf style. */
struct slice slice_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* slice_parse_u64 reads decimal digits only. Errors: ERR_INVALID_AMOUNT, ERR_AMOUNT_OVERFLOW. */
enum err slice_parse_u64(struct slice a, uint64_t *out) ERR_CHECKED;

/* slice_parse_i64 reads an optional minus sign and decimal digits. Errors as slice_parse_u64. */
enum err slice_parse_i64(struct slice a, int64_t *out) ERR_CHECKED;

/*
 * struct buf grows in an arena (memory of outgrown versions is given back with the arena). Zeroed
 * is empty; set `arena` before the first append.
 */
struct buf {
    struct arena *arena;
    uint8_t *ptr;
    size_t len;
    size_t cap;
};

/* buf_init makes an empty buffer with room for `cap` bytes. */
void buf_init(struct buf *b, struct arena *arena, size_t cap);

/* buf_room makes sure that `more` bytes fit and returns where they go; add them to len yourself. */
uint8_t *buf_room(struct buf *b, size_t more);

/* buf_add appends bytes. */
void buf_add(struct buf *b, const void *bytes, size_t len);

/* buf_add_slice appends a slice. */
void buf_add_slice(struct buf *b, struct slice s);

/* buf_add_text appends a NUL-terminated string. */
void buf_add_text(struct buf *b, const char *text);

/* buf_add_byte appends one byte. */
void buf_add_byte(struct buf *b, uint8_t byte);

/* buf_add_u64 appends decimal digits. */
void buf_add_u64(struct buf *b, uint64_t value);

/* buf_add_i64 appends decimal digits with a sign when negative. */
void buf_add_i64(struct buf *b, int64_t value);

/* buf_add_hex appends lower-case hex digits without a prefix. */
void buf_add_hex(struct buf *b, struct slice bytes);

/* buf_format appends printf style. */
void buf_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* buf_slice returns what was appended so far, borrowed until the next append. */
static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->ptr, b->len};
}

#endif
