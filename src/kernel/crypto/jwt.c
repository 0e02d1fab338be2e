#include "kernel/crypto/jwt.h"

#include "kernel/base/base64.h"
#include "kernel/base/check.h"

/* A token is flat: an object, or an object with a list. */
static const struct json_limits limits = {
    .bytes_max = JWT_TEXT_MAX, .depth_max = 3, .nodes_max = 64};

static bool is_kid(struct slice kid)
{
    bool good = kid.len > 0 && kid.len <= JWT_KID_MAX;
    for (size_t i = 0; good && i < kid.len; i++) {
        uint8_t c = kid.ptr[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '-' || c == '_';
    }
    return good;
}

enum err jwt_sign(struct buf *out, const struct secret *key, const char *typ, const char *kid,
                  struct slice claims)
{
    ASSERT(is_kid(slice_text(kid)));
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    size_t start = out->len;
    struct slice header =
        slice_format(out->arena, "{\"alg\":\"EdDSA\",\"typ\":\"%s\",\"kid\":\"%s\"}", typ, kid);
    base64_encode(out, BASE64_URL, header);
    buf_add_byte(out, '.');
    base64_encode(out, BASE64_URL, claims);
    enum err e = ed25519_sign(key, slice_of(out->ptr + start, out->len - start), signature);
    if (e != OK) {
        out->len = start;
        return e;
    }
    buf_add_byte(out, '.');
    base64_encode(out, BASE64_URL, slice_of(signature, sizeof signature));
    ASSERT(out->len - start <= JWT_TEXT_MAX);
    return OK;
}

static enum err read_object(struct arena *arena, struct slice part, const struct json **out)
{
    struct slice text;
    enum err e = base64_decode(arena, BASE64_URL, part, &text);
    if (e == OK) {
        e = json_parse(arena, text, &limits, out, NULL);
    }
    return e == OK && (*out)->type == JSON_OBJECT ? OK : ERR_UNAUTHENTICATED;
}

static bool is_member(const struct json *object, const char *key, const char *value)
{
    const struct json *member = json_find(object, key);
    return member != NULL && member->type == JSON_STRING && slice_equal_text(member->text, value);
}

enum err jwt_read(struct arena *arena, struct slice text, const char *typ, struct jwt *out)
{
    struct slice parts[3];
    struct slice rest = text;
    if (text.len > JWT_TEXT_MAX) {
        return ERR_UNAUTHENTICATED;
    }
    for (size_t i = 0; i < 3; i++) {
        bool more = slice_cut(rest, '.', &parts[i], &rest);
        if (more != (i < 2)) {
            return ERR_UNAUTHENTICATED;
        }
    }
    const struct json *header = NULL;
    struct jwt jwt = {.signed_text = slice_sub(text, 0, parts[0].len + 1 + parts[1].len)};
    enum err e = read_object(arena, parts[0], &header);
    if (e != OK || header->count != 3 || !is_member(header, "alg", "EdDSA") ||
        !is_member(header, "typ", typ)) {
        return ERR_UNAUTHENTICATED;
    }
    const struct json *kid = json_find(header, "kid");
    if (kid == NULL || kid->type != JSON_STRING || !is_kid(kid->text) ||
        read_object(arena, parts[1], &jwt.claims) != OK ||
        base64_decode(arena, BASE64_URL, parts[2], &jwt.signature) != OK ||
        jwt.signature.len != ED25519_SIGNATURE_BYTES) {
        return ERR_UNAUTHENTICATED;
    }
    jwt.kid = kid->text;
    *out = jwt;
    return OK;
}

bool jwt_verify(const struct jwt *jwt, const uint8_t public_key[ED25519_KEY_BYTES])
{
    return ed25519_verify(public_key, jwt->signed_text, jwt->signature);
}
