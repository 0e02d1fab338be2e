#include "kernel/crypto/cid.h"

#include <string.h>

#include "kernel/base/check.h"
#include "kernel/base/mem.h"
#include "kernel/crypto/hash.h"

#define LEAF_BYTES 262144
#define LINKS_MAX 174
#define LEVELS_MAX 4 /* 174^4 leaves are 218 TiB */
#define CID_BYTES (4 + HASH_BYTES)
#define VARINT_MAX 10

enum { CODEC_RAW = 0x55, CODEC_DAG_PB = 0x70 };

struct block {
    uint8_t cid[CID_BYTES];
    uint64_t file_bytes; /* of the file that are in it and below */
    uint64_t dag_bytes;  /* of all blocks in it and below */
};

struct level {
    struct block blocks[LINKS_MAX];
    size_t count;
    bool has_sent; /* a node to the level above */
};

struct cid {
    struct sha256 *leaf;
    size_t leaf_len;
    struct level levels[LEVELS_MAX];
};

struct cid *cid_new(void)
{
    struct cid *c = mem_alloc(sizeof *c);
    c->leaf = sha256_new();
    return c;
}

void cid_free(struct cid *c)
{
    if (c != NULL) {
        sha256_free(c->leaf);
        mem_free(c);
    }
}

static void make_cid(uint8_t codec, const struct hash *hash, uint8_t out[CID_BYTES])
{
    const uint8_t head[] = {0x01, codec, 0x12, HASH_BYTES};
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, hash->bytes, HASH_BYTES);
}

/* ---- protobuf -------------------------------------------------------------------------------- */

static void add_varint(struct buf *b, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        buf_add_byte(b, (uint8_t)(value | 0x80));
    }
    buf_add_byte(b, (uint8_t)value);
}

static void add_bytes(struct buf *b, uint8_t tag, struct slice bytes)
{
    buf_add_byte(b, tag);
    add_varint(b, bytes.len);
    buf_add_slice(b, bytes);
}

/* PBLink: 1 Hash, 2 Name (empty), 3 Tsize. */
static void add_link(struct buf *node, struct arena *arena, const struct block *block)
{
    struct buf link;
    buf_init(&link, arena, CID_BYTES + 4 + VARINT_MAX);
    add_bytes(&link, 0x0A, slice_of(block->cid, CID_BYTES));
    add_bytes(&link, 0x12, SLICE_EMPTY);
    buf_add_byte(&link, 0x18);
    add_varint(&link, block->dag_bytes);
    add_bytes(node, 0x12, buf_slice(&link));
}

/* UnixFS Data: 1 Type (2: file), 3 filesize, 4 blocksizes. */
static void add_unixfs(struct buf *node, struct arena *arena, const struct level *level,
                       uint64_t file_bytes)
{
    struct buf data;
    buf_init(&data, arena, 16 + level->count * 6);
    buf_add_byte(&data, 0x08);
    buf_add_byte(&data, 0x02);
    buf_add_byte(&data, 0x18);
    add_varint(&data, file_bytes);
    for (size_t i = 0; i < level->count; i++) {
        buf_add_byte(&data, 0x20);
        add_varint(&data, level->blocks[i].file_bytes);
    }
    add_bytes(node, 0x0A, buf_slice(&data));
}

/* ---- the tree -------------------------------------------------------------------------------- */

static void add_block(struct cid *c, size_t at, const struct block *block);

/* Makes a node of a level's blocks and sends it to the next one. */
static void close_level(struct cid *c, size_t at)
{
    struct level *level = &c->levels[at];
    struct block block = {.file_bytes = 0};
    struct arena scratch;
    struct buf node;
    arena_init(&scratch, 0);
    buf_init(&node, &scratch, level->count * 64);
    for (size_t i = 0; i < level->count; i++) {
        add_link(&node, &scratch, &level->blocks[i]);
        block.file_bytes += level->blocks[i].file_bytes;
        block.dag_bytes += level->blocks[i].dag_bytes;
    }
    add_unixfs(&node, &scratch, level, block.file_bytes);
    block.dag_bytes += node.len;
    struct hash hash = sha256(buf_slice(&node));
    arena_free(&scratch);
    make_cid(CODEC_DAG_PB, &hash, block.cid);
    level->count = 0;
    level->has_sent = true;
    add_block(c, at + 1, &block);
}

static void add_block(struct cid *c, size_t at, const struct block *block)
{
    ASSERT(at < LEVELS_MAX);
    struct level *level = &c->levels[at];
    level->blocks[level->count++] = *block;
    if (level->count == LINKS_MAX) {
        close_level(c, at);
    }
}

static void close_leaf(struct cid *c)
{
    struct hash hash;
    struct block block = {.file_bytes = c->leaf_len, .dag_bytes = c->leaf_len};
    sha256_final(c->leaf, &hash);
    make_cid(CODEC_RAW, &hash, block.cid);
    c->leaf_len = 0;
    add_block(c, 0, &block);
}

void cid_update(struct cid *c, struct slice bytes)
{
    while (bytes.len > 0) {
        struct slice piece = slice_sub(bytes, 0, LEAF_BYTES - c->leaf_len);
        sha256_update(c->leaf, piece);
        c->leaf_len += piece.len;
        bytes = slice_sub(bytes, piece.len, bytes.len - piece.len);
        if (c->leaf_len == LEAF_BYTES) {
            close_leaf(c);
        }
    }
}

/* RFC 4648 section 6, in lower case and without padding. */
static void format(const uint8_t cid[CID_BYTES], char out[CID_TEXT_MAX])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint32_t bits = 0;
    unsigned held = 0;
    size_t len = 0;
    out[len++] = 'b';
    for (size_t i = 0; i < CID_BYTES; i++) {
        bits = bits << 8 | cid[i];
        for (held += 8; held >= 5; held -= 5) {
            out[len++] = digits[bits >> (held - 5) & 31];
        }
    }
    if (held > 0) {
        out[len++] = digits[bits << (5 - held) & 31];
    }
    ASSERT(len == CID_TEXT_MAX - 1);
    out[len] = '\0';
}

void cid_final(struct cid *c, char out[CID_TEXT_MAX])
{
    if (c->leaf_len > 0 || (c->levels[0].count == 0 && !c->levels[0].has_sent)) {
        close_leaf(c);
    }
    size_t at = 0;
    while (c->levels[at].count != 1 || c->levels[at].has_sent) {
        if (c->levels[at].count > 0) {
            close_level(c, at);
        }
        at++;
        ASSERT(at < LEVELS_MAX);
    }
    format(c->levels[at].blocks[0].cid, out);
}
