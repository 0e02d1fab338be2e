/*
 * s3.h: objects in a bucket of S3, or of a server that speaks like it.
 *
 * A bucket is opened with its credentials and used by one thread at a time. Every request is signed
 * (s3_sign.h) over the hash of its body. What passes is tried again with growing pauses (no answer,
 * 429, 500, 502, 503, 504, RequestTimeout); everything here is safe to send twice. Large objects go
 * in parts (net_s3_upload_*), which become visible at once when the upload is completed, and never
 * when it is aborted; they are read in ranges. So memory is bounded by the caller's parts.
 *
 * Styles of address: path (http://host/bucket/key, what servers of one's own have) and virtual host
 * (http://bucket.host/key, what AWS wants).
 *
 * Secrets are in headers only, never in a sentence; of an error answer its code is shown, not its
 * message, which may repeat what was sent. A presigned URL is a secret itself.
 */
#ifndef KERNEL_NET_S3_H
#define KERNEL_NET_S3_H

#include "kernel/crypto/hash.h"
#include "kernel/net/http_client.h"

struct net_s3;

struct net_s3_options {
    const char *endpoint; /* "https://s3.eu-central-1.amazonaws.com"; "": AWS, by region */
    const char *region;
    const char *bucket;
    bool path_style;
    const struct secret *key_id;
    const struct secret *secret;
    const struct secret *session_token; /* may be empty */
    int64_t timeout_usec;               /* of one request */
    unsigned attempts_max;
    int64_t pause_usec; /* before the second attempt; doubles */
};

/* AWS takes no smaller part, but for the last one. */
#define NET_S3_PART_MIN ((size_t)5 << 20)
#define NET_S3_PARTS_MAX 10000

/* net_s3_new opens a bucket; secrets are copied. Owns: the caller, net_s3_free. Errors: ERR_CONFIG.
 */
enum err net_s3_new(const struct net_s3_options *options, struct net_s3 **out,
                    struct why *why) ERR_CHECKED;
/* net_s3_free closes connections and wipes; NULL is fine. */
void net_s3_free(struct net_s3 *s3);

/*
 * All of them: ERR_NOT_FOUND (no such object, bucket or upload), ERR_FORBIDDEN (credentials, clock,
 * policy), ERR_CONFIG (region, endpoint), ERR_UPSTREAM, ERR_NODE_TIMEOUT (after the last attempt).
 */

/* net_s3_put stores an object whole. */
enum err net_s3_put(struct net_s3 *s3, const char *key, struct slice body,
                    struct why *why) ERR_CHECKED;
/*
 * net_s3_get reads `len` bytes from `from` on, or what there is. Owns: the arena. `out_size` may be
 * NULL; it receives the size of the whole object.
 */
enum err net_s3_get(struct net_s3 *s3, struct arena *arena, const char *key, uint64_t from,
                    size_t len, struct slice *out, uint64_t *out_size, struct why *why) ERR_CHECKED;
/* net_s3_head tells the size of an object. */
enum err net_s3_head(struct net_s3 *s3, const char *key, uint64_t *out_size,
                     struct why *why) ERR_CHECKED;
/* net_s3_delete removes an object; one that is not there is fine. */
enum err net_s3_delete(struct net_s3 *s3, const char *key, struct why *why) ERR_CHECKED;

struct net_s3_entry {
    struct slice key; /* of an object, or a common prefix with the delimiter at its end */
    uint64_t size;
    int64_t modified_usec;
    bool is_prefix;
};

struct net_s3_page {
    struct net_s3_entry *entries;
    size_t count;
    struct slice next; /* token of the next page; empty: there is none */
};

/*
 * net_s3_list lists a page of keys that begin with `prefix`; with a delimiter ("/") those that go
 * on behind it are one entry. Owns: the arena.
 */
enum err net_s3_list(struct net_s3 *s3, struct arena *arena, const char *prefix,
                     const char *delimiter, struct slice token, struct net_s3_page *out,
                     struct why *why) ERR_CHECKED;

/* An object that is stored in parts. Zeroed is none. */
struct net_s3_upload {
    char *key;
    char *id;
    struct arena arena;
    struct buf etags; /* each with a NUL */
    unsigned parts;
};

/* net_s3_upload_begin begins one. Owns: the caller, complete or abort. */
enum err net_s3_upload_begin(struct net_s3 *s3, const char *key, struct net_s3_upload *out,
                             struct why *why) ERR_CHECKED;
/* net_s3_upload_part stores the next part. Errors: ERR_LIMIT (too many). */
enum err net_s3_upload_part(struct net_s3 *s3, struct net_s3_upload *upload, struct slice body,
                            struct why *why) ERR_CHECKED;
/* net_s3_upload_complete makes the object of its parts. */
enum err net_s3_upload_complete(struct net_s3 *s3, struct net_s3_upload *upload,
                                struct why *why) ERR_CHECKED;
/* net_s3_upload_abort forgets the parts, as far as the server can be reached; frees the upload. */
void net_s3_upload_abort(struct net_s3 *s3, struct net_s3_upload *upload);

/*
 * net_s3_presign returns a URL that allows one method on one object for a while, in the arena.
 * Units: seconds, at most seven days.
 */
struct slice net_s3_presign(const struct net_s3 *s3, struct arena *arena, const char *method,
                            const char *key, int64_t now_usec, uint32_t life_sec);

#endif
