/*
 * s3_sign.h: AWS Signature Version 4, as S3 and its like want it. Private to kernel/net.
 *
 * A request is written canonically (method, path, query and headers in order), hashed, and signed
 * by a key that is derived from the secret for one day, region and service. Of the ways to sign a
 * body the plain one is used: its SHA-256, because bodies here are parts in memory. A signature in
 * chunks is for streams that cannot be read twice, and an unsigned body trusts TLS with what can
 * be proven.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
 */
#ifndef KERNEL_NET_S3_SIGN_H
#define KERNEL_NET_S3_SIGN_H

#include "kernel/base/clock.h"
#include "kernel/crypto/hash.h"
#include "kernel/net/http_client.h"

#define S3_DATE_TEXT_MAX 17 /* "20130524T000000Z" */

struct s3_pair {
    struct slice name;
    struct slice value;
};

struct s3_signing {
    const char *method;
    struct slice path; /* "/a b/c", not encoded yet */
    const struct s3_pair *query;
    size_t query_count;
    const struct net_header *headers; /* what is signed: names in lower case; host among them */
    size_t header_count;
    struct slice payload_hash; /* hex, or UNSIGNED-PAYLOAD */
    int64_t now_usec;
    const char *region;
    const char *service;
    struct slice key_id;
    struct slice secret;
};

/* s3_encode appends text percent-encoded as RFC 3986 wants; `slashes` stay when asked. */
void s3_encode(struct buf *out, struct slice text, bool slashes);
/* s3_query appends the query in canonical order, encoded. Owns: `scratch` for sorting. */
void s3_query(struct buf *out, const struct s3_pair *query, size_t count, struct arena *scratch);
/* s3_date writes a moment as the signature wants it. */
void s3_date(int64_t wall_usec, char out[S3_DATE_TEXT_MAX]);
/* s3_scope returns "DATE/REGION/SERVICE/aws4_request" in the arena. */
struct slice s3_scope(struct arena *arena, const struct s3_signing *s);
/* s3_signed_headers returns "host;x-amz-date" in the arena. */
struct slice s3_signed_headers(struct arena *arena, const struct s3_signing *s);
/* s3_signature returns the 64 hex digits in the arena. */
struct slice s3_signature(struct arena *arena, const struct s3_signing *s);
/* s3_authorization returns the header's value in the arena. */
struct slice s3_authorization(struct arena *arena, const struct s3_signing *s);

#endif
