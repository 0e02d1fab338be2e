/*
 * leasing_metadata.h: asset metadata as one JSON object, as key-value pairs on chain, and its hash.
 *
 * The object (seed 000 §2): assetId, name, description, assetType, specifications (any JSON
 * object), documents (array of references), createdAt, updatedAt, and further members.
 *
 * Flattening is lossless: leasing_metadata_unflatten gives back an object with the same canonical
 * form, whatever the input. Keys are [A-Za-z0-9_] up to 64 characters, values up to 1024 bytes, at
 * most 100 pairs: the limits that the protocol's tools check.
 *
 *   name, description, assetType, assetId     verbatim, in this order, first
 *   metadataHash                              0x + SHA-256 of the canonical object
 *   spec_<path>                               members of specifications
 *   meta_createdAt, meta_updatedAt            the two times
 *   x_<path>                                  every other top-level member
 *   path: names joined by '_'; inside a name '_' is written "__" and any byte outside of
 *         [A-Za-z0-9] as "_x" + two lower-case hex digits + "_" (so "a_b" and {"a":{"b":…}}
 * differ); an empty name is "_e"; the decoder accepts nothing that the encoder would not write.
 *   value: a string is written as it is, unless it could be read as other JSON (it parses as a
 *         JSON document) – then as a JSON string with quotes. Numbers, true, false, null, arrays
 *         and empty objects are written as canonical JSON. Objects with members become paths.
 *   documentHashes                            not used for reading; the documents' hashes joined
 *                                             by commas, for tools that look for it (absent when
 *                                             there are no documents)
 *
 * The hash is SHA-256 over the canonical JSON (RFC 8785) of the object as given.
 */
#ifndef DOMAIN_LEASING_LEASING_METADATA_H
#define DOMAIN_LEASING_LEASING_METADATA_H

#include "kernel/base/json.h"
#include "kernel/crypto/hash.h"

#define LEASING_PAIRS_MAX 100
#define LEASING_KEY_MAX 64
#define LEASING_VALUE_MAX 1024

struct leasing_pair {
    struct slice key;
    struct slice value;
};

/*
 * leasing_metadata_check validates the fixed members (assetId 1..50 of [A-Za-z0-9_.-], name
 * 1..255, description 1..1000, assetType 1..64 of [a-z0-9_], specifications an object, documents
 * as in seed 000 §2.2, times RFC 3339). Errors: ERR_INVALID_METADATA, ERR_MISSING_FIELD,
 * ERR_INVALID_TYPE; why names the path below "metadata".
 */
enum err leasing_metadata_check(const struct json *metadata, struct why *why) ERR_CHECKED;

/* leasing_metadata_hash computes the canonical hash. Errors: ERR_INVALID_JSON. */
enum err leasing_metadata_hash(struct arena *arena, const struct json *metadata, struct hash *out,
                               struct why *why) ERR_CHECKED;

/*
 * leasing_metadata_flatten makes the pairs. Owns: the arena.
 * Errors: ERR_INVALID_METADATA (a key, a value or the number of pairs over its limit; names it).
 */
enum err leasing_metadata_flatten(struct arena *arena, const struct json *metadata,
                                  struct leasing_pair **out, size_t *out_count,
                                  struct why *why) ERR_CHECKED;

/*
 * leasing_metadata_unflatten rebuilds the object (JSON text) from pairs in any order; pairs of
 * other tools that it cannot place are collected under "x" members as strings. When metadataHash
 * is present and the rebuilt object has another hash, *out_exact is false.
 * Errors: ERR_INVALID_METADATA (two pairs contradict each other).
 */
enum err leasing_metadata_unflatten(struct arena *arena, const struct leasing_pair *pairs,
                                    size_t count, struct slice *out_json, bool *out_exact,
                                    struct why *why) ERR_CHECKED;

#endif
