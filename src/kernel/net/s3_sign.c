#include "kernel/net/s3_sign.h"

#include "kernel/base/check.h"

#include <stdlib.h>
#include <string.h>

void s3_encode(struct buf *out, struct slice text, bool slashes)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && slashes);
        if (plain) {
            buf_add_byte(out, c);
        } else {
            buf_add_byte(out, '%');
            buf_add_byte(out, (uint8_t)digits[c >> 4]);
            buf_add_byte(out, (uint8_t)digits[c & 15]);
        }
    }
}

void s3_date(int64_t wall_usec, char out[S3_DATE_TEXT_MAX])
{
    char text[CLOCK_TEXT_MAX]; /* "2013-05-24T00:00:00.000Z" */
    clock_format(wall_usec, text);
    (void)snprintf(out, S3_DATE_TEXT_MAX, "%.4s%.2s%.5s%.2s%.2sZ", text, text + 5, text + 8,
                   text + 14, text + 17);
    /* The day and the hour are together: "24T00". */
}

static struct slice encoded(struct arena *arena, struct slice text)
{
    struct buf out;
    buf_init(&out, arena, text.len + 16);
    s3_encode(&out, text, false);
    return buf_slice(&out);
}

static int by_name(const void *a, const void *b)
{
    const struct s3_pair *left = a;
    const struct s3_pair *right = b;
    int order = slice_compare(left->name, right->name);
    return order != 0 ? order : slice_compare(left->value, right->value);
}

void s3_query(struct buf *out, const struct s3_pair *query, size_t count, struct arena *scratch)
{
    struct s3_pair *sorted = arena_alloc_array(scratch, count + 1, sizeof(*sorted));
    for (size_t i = 0; i < count; i++) {
        sorted[i].name = encoded(scratch, query[i].name);
        sorted[i].value = encoded(scratch, query[i].value);
    }
    qsort(sorted, count, sizeof(*sorted), by_name);
    for (size_t i = 0; i < count; i++) {
        buf_format(out, "%s%.*s=%.*s", i > 0 ? "&" : "", SLICE_ARG(sorted[i].name),
                   SLICE_ARG(sorted[i].value));
    }
}

static int by_header(const void *a, const void *b)
{
    const struct net_header *const *left = a;
    const struct net_header *const *right = b;
    return slice_compare((*left)->name, (*right)->name);
}

static const struct net_header **sorted_headers(struct arena *arena, const struct s3_signing *s)
{
    const struct net_header **sorted =
        arena_alloc_array(arena, s->header_count + 1, sizeof(const struct net_header *));
    for (size_t i = 0; i < s->header_count; i++) {
        sorted[i] = &s->headers[i];
    }
    qsort(sorted, s->header_count, sizeof(sorted[0]), by_header);
    return sorted;
}

struct slice s3_signed_headers(struct arena *arena, const struct s3_signing *s)
{
    const struct net_header **sorted = sorted_headers(arena, s);
    struct buf out;
    buf_init(&out, arena, 128);
    for (size_t i = 0; i < s->header_count; i++) {
        buf_format(&out, "%s%.*s", i > 0 ? ";" : "", SLICE_ARG(sorted[i]->name));
    }
    return buf_slice(&out);
}

static struct slice canonical_request(struct arena *arena, const struct s3_signing *s)
{
    const struct net_header **sorted = sorted_headers(arena, s);
    struct slice names = s3_signed_headers(arena, s);
    struct buf out;
    buf_init(&out, arena, 512);
    buf_format(&out, "%s\n", s->method);
    s3_encode(&out, s->path, true);
    buf_add_byte(&out, '\n');
    s3_query(&out, s->query, s->query_count, arena);
    buf_add_byte(&out, '\n');
    for (size_t i = 0; i < s->header_count; i++) {
        buf_format(&out, "%.*s:%.*s\n", SLICE_ARG(sorted[i]->name),
                   SLICE_ARG(slice_trim(sorted[i]->value)));
    }
    buf_format(&out, "\n%.*s\n%.*s", SLICE_ARG(names), SLICE_ARG(s->payload_hash));
    return buf_slice(&out);
}

struct slice s3_scope(struct arena *arena, const struct s3_signing *s)
{
    char date[S3_DATE_TEXT_MAX];
    s3_date(s->now_usec, date);
    return slice_format(arena, "%.8s/%s/%s/aws4_request", date, s->region, s->service);
}

static struct slice string_to_sign(struct arena *arena, const struct s3_signing *s)
{
    char date[S3_DATE_TEXT_MAX];
    struct hash hash = sha256(canonical_request(arena, s));
    struct slice scope = s3_scope(arena, s);
    struct buf out;
    s3_date(s->now_usec, date);
    buf_init(&out, arena, 256);
    buf_format(&out, "AWS4-HMAC-SHA256\n%s\n%.*s\n", date, SLICE_ARG(scope));
    buf_add_hex(&out, hash_slice(&hash));
    return buf_slice(&out);
}

/* The key of a day, wiped by the caller. */
static struct hash signing_key(const struct s3_signing *s)
{
    char date[S3_DATE_TEXT_MAX];
    size_t len = strlen("AWS4") + s->secret.len;
    uint8_t *seed = mem_alloc(len);
    s3_date(s->now_usec, date);
    memcpy(seed, "AWS4", strlen("AWS4"));
    memcpy(seed + strlen("AWS4"), s->secret.ptr, s->secret.len);
    struct hash key = hmac_sha256(slice_of(seed, len), slice_of(date, 8));
    mem_wipe(seed, len);
    mem_free(seed);
    key = hmac_sha256(hash_slice(&key), slice_text(s->region));
    key = hmac_sha256(hash_slice(&key), slice_text(s->service));
    return hmac_sha256(hash_slice(&key), SLICE_LIT("aws4_request"));
}

struct slice s3_signature(struct arena *arena, const struct s3_signing *s)
{
    struct hash key = signing_key(s);
    struct hash signature = hmac_sha256(hash_slice(&key), string_to_sign(arena, s));
    struct buf out;
    mem_wipe(&key, sizeof(key));
    buf_init(&out, arena, 2 * HASH_BYTES);
    buf_add_hex(&out, hash_slice(&signature));
    return buf_slice(&out);
}

struct slice s3_authorization(struct arena *arena, const struct s3_signing *s)
{
    struct slice scope = s3_scope(arena, s);
    struct slice names = s3_signed_headers(arena, s);
    struct slice signature = s3_signature(arena, s);
    return slice_format(
        arena, "AWS4-HMAC-SHA256 Credential=%.*s/%.*s,SignedHeaders=%.*s,Signature=%.*s",
        SLICE_ARG(s->key_id), SLICE_ARG(scope), SLICE_ARG(names), SLICE_ARG(signature));
}
