/*
 * json.h: reading JSON into an arena tree, writing it by appending, and the canonical form.
 *
 * Reading: simdjson validates (RFC 8259, strict UTF-8 and numbers), then a tree of nodes is built.
 * Numbers keep their text, so nothing is rounded: integers of up to 256 bits are read with
 * json_get_u64 or json_get_u256. Limits (bytes, depth, nodes) are the caller's and hold before
 * memory is spent; a duplicate key is refused, because two readers of the same bytes must see the
 * same thing. So is an escaped lone surrogate, which has no UTF-8 form. Reading needs about 56
 * bytes a value and, while it lasts, 4 bytes a byte of text; it uses a fixed amount of stack. Any
 * thread may read; a tree belongs to the thread of its arena.
 *
 * Writing: json_out appends to a buf and places commas itself. Amounts and 256-bit integers are
 * written as strings; numbers only where JavaScript can hold them (|n| < 2^53).
 *
 * Canonical form (RFC 8785, JCS): keys sorted by UTF-16 units, no blanks, ECMAScript numbers. Its
 * SHA-256 is the metadata hash of the leasing protocol.
 */
#ifndef KERNEL_BASE_JSON_H
#define KERNEL_BASE_JSON_H

#include "kernel/base/clock.h"
#include "kernel/base/slice.h"
#include "kernel/base/u256.h"

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json {
    enum json_type type;
    uint32_t count;           /* members of an object or elements of an array */
    struct slice key;         /* of a member of an object, unescaped */
    struct slice text;        /* string (unescaped UTF-8) or number (as written) */
    const struct json *child; /* first member or element */
    const struct json *next;  /* sibling */
};

/* What no limit may exceed: offsets are 32 bits wide, open containers are kept on the stack. */
#define JSON_BYTES_MAX ((size_t)UINT32_MAX - 4096)
#define JSON_DEPTH_MAX 128

struct json_limits {
    size_t bytes_max;
    uint32_t depth_max;
    uint32_t nodes_max;
    bool allow_duplicate_keys; /* only for answers of nodes that we compare otherwise */
};

/* json_limits_body are the limits for request bodies: 1 MiB, depth 32, 100,000 nodes. */
extern const struct json_limits json_limits_body;
/* json_limits_node are the limits for answers of nodes: 256 MiB, depth 64, 40 million nodes. */
extern const struct json_limits json_limits_node;

/*
 * json_parse reads one document. Owns: the tree lives in the arena; string slices too.
 * Errors: ERR_INVALID_JSON (why names the offset or the rule), ERR_LIMIT.
 */
enum err json_parse(struct arena *arena, struct slice text, const struct json_limits *limits,
                    const struct json **out, struct why *why) ERR_CHECKED;

/* json_find returns the member `key` of an object, or NULL (also when `v` is no object or NULL). */
const struct json *json_find(const struct json *v, const char *key);

/* json_at returns element `index` of an array, or NULL. Linear: iterate with child/next instead. */
const struct json *json_at(const struct json *v, size_t index);

/*
 * The json_get_* functions read a required member of an object and name it in `why`:
 * ERR_MISSING_FIELD, ERR_INVALID_TYPE, or the error of the value. Outputs untouched on failure.
 */
enum err json_get(const struct json *object, const char *key, enum json_type type,
                  const struct json **out, struct why *why) ERR_CHECKED;
/* json_get_text reads a string member. */
enum err json_get_text(const struct json *object, const char *key, struct slice *out,
                       struct why *why) ERR_CHECKED;
/* json_get_bool reads true or false. */
enum err json_get_bool(const struct json *object, const char *key, bool *out,
                       struct why *why) ERR_CHECKED;
/* json_get_u64 reads a number without fraction or exponent, or a string of digits. */
enum err json_get_u64(const struct json *object, const char *key, uint64_t *out,
                      struct why *why) ERR_CHECKED;
/* json_get_u256 reads a string of digits or an integer number of any size, exactly as written. */
enum err json_get_u256(const struct json *object, const char *key, struct u256 *out,
                       struct why *why) ERR_CHECKED;
/*
 * json_get_time reads RFC 3339 text, or a whole number of Unix seconds (1970 to 9999).
 * Units: out in microseconds.
 */
enum err json_get_time(const struct json *object, const char *key, int64_t *out_usec,
                       struct why *why) ERR_CHECKED;

/*
 * json_only refuses members that are not in `keys` (NULL-terminated list): a misspelt field must
 * not be ignored when money depends on it. Errors: ERR_UNKNOWN_FIELD, ERR_INVALID_TYPE (no object).
 */
enum err json_only(const struct json *object, const char *const *keys, struct why *why) ERR_CHECKED;

/*
 * json_canonical appends the RFC 8785 form; `out` is untouched on failure.
 * Errors: ERR_INVALID_JSON (number beyond a double, duplicate key in a tree that allowed them).
 */
enum err json_canonical(struct buf *out, const struct json *v, struct why *why) ERR_CHECKED;

/* json_write appends the tree as it was read (numbers verbatim), compact. */
void json_write(struct buf *out, const struct json *v);

/*
 * struct json_out writes nested values. Usage:
 *   json_begin_object(&j); json_key(&j, "id"); json_string(&j, id); json_end_object(&j);
 * Misnesting is a bug (ASSERT). Depth is at most JSON_OUT_DEPTH.
 */
#define JSON_OUT_DEPTH 32
struct json_out {
    struct buf *buf;
    uint32_t depth;
    bool is_object[JSON_OUT_DEPTH + 1]; /* by level; level 0 is the document */
    bool has_value[JSON_OUT_DEPTH + 1];
    bool after_key;
};

/* json_out_init starts a document at the end of `buf`. */
void json_out_init(struct json_out *j, struct buf *buf);
/* json_begin_object opens an object. */
void json_begin_object(struct json_out *j);
/* json_end_object closes it. */
void json_end_object(struct json_out *j);
/* json_begin_array opens an array. */
void json_begin_array(struct json_out *j);
/* json_end_array closes it. */
void json_end_array(struct json_out *j);
/* json_key writes a member's key (ASCII literal, no escaping needed). */
void json_key(struct json_out *j, const char *key);
/* json_key_slice writes a member's key from data, escaped. */
void json_key_slice(struct json_out *j, struct slice key);
/* json_string writes escaped text. */
void json_string(struct json_out *j, struct slice text);
/* json_text writes a NUL-terminated string; NULL writes null. */
void json_text(struct json_out *j, const char *text);
/* json_u64 writes a number; above 2^53-1 a string. */
void json_u64(struct json_out *j, uint64_t value);
/* json_i64 writes a number; beyond +-(2^53-1) a string. */
void json_i64(struct json_out *j, int64_t value);
/* json_u256 writes a decimal string. */
void json_u256(struct json_out *j, struct u256 value);
/* json_quantity writes a JSON-RPC quantity string ("0x1a"). */
void json_quantity(struct json_out *j, struct u256 value);
/* json_hex writes a 0x-prefixed hex string. */
void json_hex(struct json_out *j, struct slice bytes);
/* json_bool writes true or false. */
void json_bool(struct json_out *j, bool value);
/* json_null writes null. */
void json_null(struct json_out *j);
/* json_time writes ISO 8601 text. Units: microseconds of wall time. */
void json_time(struct json_out *j, int64_t wall_usec);
/* json_raw writes text that is already JSON. */
void json_raw(struct json_out *j, struct slice json);
/* json_tree writes a tree that was read. */
void json_tree(struct json_out *j, const struct json *v);

/* json_escape appends text as a quoted JSON string. */
void json_escape(struct buf *out, struct slice text);

#endif
