/*
 * jwt.h: JSON Web Tokens (RFC 7519) as one form and no other: JWS compact serialisation (RFC 7515),
 * EdDSA with Ed25519 (RFC 8037), three parts of strict base64url.
 *
 * Nothing of a token chooses how it is checked. The header must be a JSON object of exactly `alg`,
 * `typ` and `kid`, alg must be "EdDSA" and typ what the caller expects, so that "none", HMAC under
 * a public key, `crit`, `jwk` and `jku` have no way in. Reading and checking are two steps, because
 * the key is looked up by kid in between: until jwt_verify said yes, claims are what somebody sent.
 */
#ifndef KERNEL_CRYPTO_JWT_H
#define KERNEL_CRYPTO_JWT_H

#include "kernel/base/json.h"
#include "kernel/crypto/ed25519.h"

#define JWT_TEXT_MAX 2048
#define JWT_KID_MAX 64

struct jwt {
    struct slice kid;
    const struct json *claims; /* an object */
    struct slice signed_text;  /* what the signature is over */
    struct slice signature;
};

/*
 * jwt_sign appends a token; `claims` is the text of a JSON object. Kids are letters, digits, '-'
 * and '_'. Errors: ERR_CRYPTO.
 */
enum err jwt_sign(struct buf *out, const struct secret *key, const char *typ, const char *kid,
                  struct slice claims) ERR_CHECKED;
/* jwt_read takes a token apart. Owns: the arena. Errors: ERR_UNAUTHENTICATED, without a sentence.
 */
enum err jwt_read(struct arena *arena, struct slice text, const char *typ,
                  struct jwt *out) ERR_CHECKED;
/* jwt_verify says whether the token was signed with the key. */
bool jwt_verify(const struct jwt *jwt, const uint8_t public_key[ED25519_KEY_BYTES]);

#endif
