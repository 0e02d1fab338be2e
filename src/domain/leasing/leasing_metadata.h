/*
 * leasing_metadata.h: asset metadata as one JSON object, as key-value pairs on chain, and its hash.
 *
 * The object (seed 000 §2): assetId, name, description, assetType, specifications (any JSON
 * object), documents (array of references), createdAt, updatedAt, and further members. The hash is
 * SHA-256 over the canonical JSON (RFC 8785) of the object as given.
 *
 * Flattening is lossless: leasing_metadata_unflatten gives back an object with the same canonical
 * form, whatever the object that flattening accepted. Keys are [A-Za-z0-9_] up to 64 characters,
 * values 1 to 1024 bytes, at most 100 pairs: the limits that the protocol's tools check. (An empty
 * value would count as absent on chain.)
 *
 *   name, description, assetType, assetId     as they are, in this order, first
 *   metadataHash                              0x + SHA-256 of the canonical object
 *   spec_<path>                               members of specifications
 *   meta_createdAt, meta_updatedAt            the two times
 *   documentHashes                            the documents' hashes joined by commas, for tools
 *                                             that look for it; absent when there are none or they
 *                                             do not fit; not used for reading
 *   x_<path>                                  every other top-level member, and any of the above
 *                                             that is not what it should be: texts that are no
 *                                             string, empty or hold a zero byte, specifications
 *                                             that are no object or have no members
 *   path   names from the outside in, joined by "__". In a name, letters, digits and a single '_'
 *          between other characters stand for themselves ("orbit__altitude_km"); everything else
 *          is 'Z' and two lower-case hex digits for each byte of UTF-8, also a 'Z' that would read
 *          as such; the empty name is "Zz". Each path is written in one way only: the decoder
 *          takes no other for its own.
 *   value  A string is written as it is, unless it could be read as JSON, is empty or holds a zero
 *          byte: then it is a JSON string in quotes. Numbers, true, false, null, arrays and empty
 *          objects are canonical JSON. Objects with members become paths.
 *   array  of more than 1024 bytes (documents, usually): a pair for each element, its key ending
 *          in "___" and the index. An element is one value, also when it is an object.
 *
 * Objects are nested up to 32 levels. Pure; any thread.
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
 * leasing_metadata_check validates the members that the protocol names, all of which are required:
 * assetId 1..50 of [A-Za-z0-9_.-], name 1..255, description 1..1000 and assetType 1..64 of
 * [a-z0-9_] characters, specifications an object, documents an array of {documentId 1..255,
 * filename 1..255, documentType one of manual, certification, specification, lease_agreement, hash
 * 0x + 64 hex digits, uploadedAt a time}, createdAt and updatedAt. Times are RFC 3339 text. Further
 * members are allowed everywhere. Errors: ERR_INVALID_METADATA, ERR_MISSING_FIELD,
 * ERR_INVALID_TYPE; why names the path below "metadata".
 */
enum err leasing_metadata_check(const struct json *metadata, struct why *why) ERR_CHECKED;

/* leasing_metadata_hash computes the canonical hash. Errors: ERR_INVALID_JSON. */
enum err leasing_metadata_hash(struct arena *arena, const struct json *metadata, struct hash *out,
                               struct why *why) ERR_CHECKED;

/*
 * leasing_metadata_flatten makes the pairs. Owns: the arena.
 * Errors: ERR_INVALID_METADATA (a key, a value, the depth or the number of pairs over its limit;
 * names the member), ERR_INVALID_TYPE (no object), ERR_INVALID_JSON (a number beyond a double).
 */
enum err leasing_metadata_flatten(struct arena *arena, const struct json *metadata,
                                  struct leasing_pair **out, size_t *out_count,
                                  struct why *why) ERR_CHECKED;

/* What leasing_metadata_unflatten reads at most; the rest is left out. */
#define LEASING_UNFLATTEN_PAIRS_MAX 1000
#define LEASING_UNFLATTEN_BYTES_MAX (128 * 1024)

/*
 * leasing_metadata_unflatten rebuilds the object and returns its canonical text, which satisfies
 * json_limits_body. It takes pairs of any origin in any order, because a stranger's pairs must not
 * stop the reading of a chain: what flattening would not have written under its key, and what
 * contradicts a pair before it in the order of keys, becomes a string member, called like the key,
 * of the top-level object "x" (or "x_", "x__", … when that name is taken). Text that is not UTF-8
 * is given as 0x hex. *out_exact says that the pairs carry the object's own metadataHash, so that
 * nothing is missing and nothing was changed. Owns: the arena.
 */
struct slice leasing_metadata_unflatten(struct arena *arena, const struct leasing_pair *pairs,
                                        size_t count, bool *out_exact);

#endif
