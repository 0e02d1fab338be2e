/*
 * vectors.h: literals of tests (hexadecimal text) and vector files, for crypto and evm.
 */
#ifndef UNIT_VECTORS_H
#define UNIT_VECTORS_H

#include "kernel/base/hex.h"
#include "kernel/base/json.h"
#include "kernel/base/mem.h"
#include "kernel/crypto/secp256k1.h"
#include "unit/test.h"

/* vector_hex decodes 0x text that must be right. */
static inline struct slice vector_hex(struct arena *arena, const char *text)
{
    struct slice out = SLICE_EMPTY;
    assert_int_equal(hex_decode(arena, slice_text(text), &out), OK);
    return out;
}

static inline struct hash vector_hash(const char *text)
{
    struct hash h = {{0}};
    assert_int_equal(hash_parse(slice_text(text), &h), OK);
    return h;
}

static inline struct address vector_address(const char *text)
{
    struct address a = {{0}};
    assert_int_equal(hex_decode_fixed(slice_text(text), a.bytes, ADDRESS_BYTES), OK);
    return a;
}

static inline struct secret vector_key(const char *text)
{
    struct hash h = vector_hash(text);
    struct secret key;
    secret_init(&key, h.bytes, HASH_BYTES);
    return key;
}

/* assert_hex compares bytes with 0x text and prints both when they differ. */
static inline void assert_hex(struct slice bytes, const char *expected)
{
    struct arena arena;
    arena_init(&arena, 0);
    assert_string_equal(slice_cstr(&arena, hex_encode(&arena, bytes)), expected);
    arena_free(&arena);
}

static inline void assert_text(struct slice text, const char *expected)
{
    struct arena arena;
    arena_init(&arena, 0);
    assert_string_equal(slice_cstr(&arena, text), expected);
    arena_free(&arena);
}

/* vector_json parses text that must be right. */
static inline const struct json *vector_json(struct arena *arena, const char *text)
{
    const struct json *v = NULL;
    struct why why = {0};
    if (json_parse(arena, slice_text(text), &json_limits_node, &v, &why) != OK) {
        fail_msg("%s", why.text);
    }
    return v;
}

/* vector_file reads a file of tests/vectors; tests run in the root of the tree. */
static inline const struct json *vector_file(struct arena *arena, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "tests/vectors/%s", name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s cannot be opened", path);
    }
    struct buf text;
    buf_init(&text, arena, 1 << 16);
    for (size_t n = 1; n > 0;) {
        uint8_t *room = buf_room(&text, 1 << 16);
        n = fread(room, 1, 1 << 16, file);
        text.len += n;
    }
    fclose(file);
    buf_add_byte(&text, 0);
    return vector_json(arena, (const char *)text.ptr);
}

/* vector_text is a string at a dotted path of a tree. */
static inline struct slice vector_text(const struct json *v, const char *path)
{
    struct slice rest = slice_text(path), key;
    while (rest.len > 0) {
        (void)slice_cut(rest, '.', &key, &rest);
        const struct json *next = NULL;
        for (const struct json *m = v->child; m != NULL; m = m->next) {
            next = slice_equal(m->key, key) ? m : next;
        }
        if (next == NULL) {
            fail_msg("the vectors have no %s", path);
        }
        v = next;
    }
    return v->text;
}

#endif
