/*
 * leasing_lease_keys.h: what the metadata of a lease must hold. Private to this folder.
 *
 * An asset type names keys that every lease of such an asset carries. Of types that were made here
 * the names are known, and the type's JSON Schema: a key that the schema describes among its
 * `properties` must satisfy that description, `$ref` to its `$defs` included. Of types that others
 * put on chain only the hashes of the names are known.
 */
#ifndef DOMAIN_LEASING_LEASING_LEASE_KEYS_H
#define DOMAIN_LEASING_LEASING_LEASE_KEYS_H

#include "kernel/base/json.h"

struct leasing_lease_keys {
    struct slice type;   /* name of the asset's type, for the sentence */
    struct slice names;  /* JSON array of the keys, or "" */
    struct slice hashes; /* or of their Keccak-256, or "" */
    struct slice schema; /* JSON Schema of the type, or "" */
};

/*
 * leasing_lease_keys_check holds metadata (NULL: none) against the keys. Errors:
 * ERR_INVALID_METADATA with the path ("metadata.orbit.altitude_km"), ERR_INVALID_JSON, ERR_LIMIT.
 */
enum err leasing_lease_keys_check(struct arena *arena, const struct leasing_lease_keys *keys,
                                  const struct json *metadata, struct why *why) ERR_CHECKED;

#endif
