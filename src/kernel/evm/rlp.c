#include "kernel/evm/rlp.h"

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

/* First bytes: below 0x80 itself, then short and long strings, then short and long lists. */
#define STRING_BASE 0x80
#define LIST_BASE 0xc0
#define SHORT_MAX 55

/* ---- encoding ---- */

/* length_bytes writes `len` big-endian without leading zeros and returns how many bytes. */
static size_t length_bytes(uint64_t len, uint8_t out[8])
{
    size_t n = 0;
    for (int shift = 56; shift >= 0; shift -= 8) {
        uint8_t byte = (uint8_t)(len >> shift);
        if (n > 0 || byte != 0) {
            out[n++] = byte;
        }
    }
    return n;
}

/* header_encode writes the prefix of a payload of `len` bytes and returns its size. */
static size_t header_encode(uint8_t base, size_t len, uint8_t out[9])
{
    if (len <= SHORT_MAX) {
        out[0] = (uint8_t)(base + len);
        return 1;
    }
    size_t n = length_bytes(len, out + 1);
    out[0] = (uint8_t)(base + SHORT_MAX + n);
    return 1 + n;
}

void rlp_add_bytes(struct buf *out, struct slice bytes)
{
    uint8_t header[9];
    if (bytes.len != 1 || bytes.ptr[0] >= STRING_BASE) {
        buf_add(out, header, header_encode(STRING_BASE, bytes.len, header));
    }
    buf_add_slice(out, bytes);
}

void rlp_add_u64(struct buf *out, uint64_t value)
{
    uint8_t bytes[8];
    rlp_add_bytes(out, slice_of(bytes, length_bytes(value, bytes)));
}

void rlp_add_u256(struct buf *out, struct u256 value)
{
    uint8_t bytes[U256_BYTES];
    u256_encode_be(value, bytes);
    size_t skip = U256_BYTES - (u256_bits(value) + 7) / 8;
    rlp_add_bytes(out, slice_of(bytes + skip, U256_BYTES - skip));
}

size_t rlp_begin_list(struct buf *out)
{
    return out->len;
}

void rlp_end_list(struct buf *out, size_t mark)
{
    uint8_t header[9];
    ASSERT(mark <= out->len);
    size_t payload = out->len - mark;
    size_t n = header_encode(LIST_BASE, payload, header);
    (void)buf_room(out, n);
    memmove(out->ptr + mark + n, out->ptr + mark, payload);
    memcpy(out->ptr + mark, header, n);
    out->len += n;
}

/* ---- decoding ---- */

struct reader {
    struct arena *arena;
    struct why *why;
    size_t items;
};

static enum err refuse(struct reader *r, const char *sentence)
{
    return why_set(r->why, ERR_INVALID_ENCODING, NULL, "Not valid RLP: %s.", sentence);
}

/* long_length reads a length of `n` bytes that must not fit a shorter form. */
static enum err long_length(struct reader *r, struct slice bytes, size_t n, size_t *out)
{
    uint64_t len = 0;
    if (bytes.len < 1 + n) {
        return refuse(r, "a length runs past the end");
    }
    if (bytes.ptr[1] == 0) {
        return refuse(r, "a length begins with a zero");
    }
    for (size_t i = 0; i < n; i++) {
        len = len << 8 | bytes.ptr[1 + i];
    }
    if (len <= SHORT_MAX) {
        return refuse(r, "a short length is written in the long form");
    }
    *out = len;
    return OK;
}

/* item_split reads the header at the front of `bytes` and gives what follows the item back. */
static enum err item_split(struct reader *r, struct slice bytes, struct rlp *item,
                           struct slice *out_rest)
{
    uint8_t first = bytes.ptr[0];
    size_t header = 1, len = 1;
    enum err e = OK;
    if (first < STRING_BASE) {
        header = 0;
    } else {
        uint8_t base = first < LIST_BASE ? STRING_BASE : LIST_BASE;
        item->is_list = base == LIST_BASE;
        len = (size_t)(first - base);
        if (len > SHORT_MAX) {
            header += len - SHORT_MAX;
            e = long_length(r, bytes, len - SHORT_MAX, &len);
        }
    }
    if (e != OK) {
        return e;
    }
    if (len > bytes.len - header) {
        return refuse(r, "an item runs past the end");
    }
    item->bytes = slice_of(bytes.ptr + header, len);
    if (first == STRING_BASE + 1 && item->bytes.ptr[0] < STRING_BASE) {
        return refuse(r, "a single byte is written in the long form");
    }
    *out_rest = slice_of(bytes.ptr + header + len, bytes.len - header - len);
    return OK;
}

static enum err item_decode(struct reader *r, struct slice bytes, unsigned depth, struct rlp **out,
                            struct slice *out_rest);

static enum err list_decode(struct reader *r, struct rlp *list, unsigned depth)
{
    struct slice rest = list->bytes;
    struct rlp *last = NULL;
    if (depth == RLP_DEPTH_MAX) {
        return refuse(r, "the lists are nested too deeply");
    }
    while (rest.len > 0) {
        struct rlp *item = NULL;
        enum err e = item_decode(r, rest, depth + 1, &item, &rest);
        if (e != OK) {
            return e;
        }
        if (last == NULL) {
            list->child = item;
        } else {
            last->next = item;
        }
        last = item;
        list->count++;
    }
    return OK;
}

static enum err item_decode(struct reader *r, struct slice bytes, unsigned depth, struct rlp **out,
                            struct slice *out_rest)
{
    if (++r->items > RLP_ITEMS_MAX) {
        return refuse(r, "there are too many items");
    }
    struct rlp *item = arena_alloc(r->arena, sizeof(*item));
    enum err e = item_split(r, bytes, item, out_rest);
    if (e == OK && item->is_list) {
        e = list_decode(r, item, depth);
    }
    if (e == OK) {
        *out = item;
    }
    return e;
}

enum err rlp_decode(struct arena *arena, struct slice bytes, const struct rlp **out,
                    struct why *why)
{
    struct reader r = {.arena = arena, .why = why};
    struct rlp *item = NULL;
    struct slice rest = SLICE_EMPTY;
    if (bytes.len == 0) {
        return refuse(&r, "there are no bytes");
    }
    enum err e = item_decode(&r, bytes, 0, &item, &rest);
    if (e == OK && rest.len > 0) {
        e = refuse(&r, "bytes follow the item");
    }
    if (e == OK) {
        *out = item;
    }
    return e;
}

enum err rlp_u256(const struct rlp *item, struct u256 *out)
{
    if (item == NULL || item->is_list || item->bytes.len > U256_BYTES ||
        (item->bytes.len > 0 && item->bytes.ptr[0] == 0)) {
        return ERR_INVALID_ENCODING;
    }
    return u256_decode_be(item->bytes, out);
}

enum err rlp_u64(const struct rlp *item, uint64_t *out)
{
    struct u256 wide;
    if (rlp_u256(item, &wide) != OK || u256_to_u64(wide, out) != OK) {
        return ERR_INVALID_ENCODING;
    }
    return OK;
}
