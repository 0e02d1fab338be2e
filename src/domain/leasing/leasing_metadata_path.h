/*
 * leasing_metadata_path.h: how members of a metadata object are named and written as pairs; shared
 * by flattening and its inverse, private to them. The rules are in leasing_metadata.h.
 */
#ifndef DOMAIN_LEASING_LEASING_METADATA_PATH_H
#define DOMAIN_LEASING_LEASING_METADATA_PATH_H

#include "domain/leasing/leasing_metadata.h"

/* More names than a key of LEASING_KEY_MAX characters can hold. */
#define LEASING_PATH_NAMES_MAX 24
/* An array that is split has at most as many elements as there are pairs. */
#define LEASING_PATH_INDEX_MAX LEASING_PAIRS_MAX

struct leasing_path {
    struct slice names[LEASING_PATH_NAMES_MAX];
    size_t count;
    bool is_element; /* of the array that the names lead to */
    uint32_t index;
};

/* leasing_path_add_name appends a name to a key; the first of a key has no separator before it. */
void leasing_path_add_name(struct buf *key, struct slice name, bool first);

/* leasing_path_add_index appends the index of an element to a key. */
void leasing_path_add_index(struct buf *key, size_t index);

/*
 * leasing_path_decode reads what the two functions above write, and nothing else. Returns false,
 * with `out` undefined, for any other text.
 */
bool leasing_path_decode(struct arena *arena, struct slice text, struct leasing_path *out);

/*
 * leasing_value_encode writes a member's value.
 * Errors: ERR_INVALID_JSON (a number beyond a double).
 */
enum err leasing_value_encode(struct arena *arena, const struct json *value, struct slice *out,
                              struct why *why) ERR_CHECKED;

/*
 * leasing_value_decode reads a value: canonical JSON of at most `depth_max` levels, or else a
 * string; bytes that are not UTF-8 come back as 0x hex. Owns: the arena.
 */
const struct json *leasing_value_decode(struct arena *arena, struct slice text, uint32_t depth_max);

/* leasing_value_string makes a string value of any bytes, as leasing_value_decode does. */
const struct json *leasing_value_string(struct arena *arena, struct slice bytes);

#endif
