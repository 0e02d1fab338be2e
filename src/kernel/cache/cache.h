/*
 * cache.h: what processes share in Redis, when there is one: counters of requests, and answers that
 * can never change. Nothing here is needed for an answer to be right, and nothing waits for it.
 *
 * Counters
 *   cache_limit_take counts a use of a key in a sliding window: the uses of the present slot of
 *   `window` length, and of the one before as much as still lies in the window (uses are taken as
 *   spread evenly over a slot, which is off by few percent and costs two numbers a key). A use that
 *   is refused is not counted. With Redis a script does that on its clock, for all processes;
 *   without, or while it is gone, each process counts for itself: a client of n processes may then
 *   have n times the limit, never less than the limit of one. The window begins anew whenever that
 *   changes. The table of a process keeps CACHE_LOCAL_KEYS keys; the one used longest ago goes.
 *
 * Answers
 *   cache_put keeps bytes that are true for ever, cache_get finds them. Both are best effort. Keys
 *   are hashes over the installation's secret, the program's version and the caller's key, and the
 *   bytes carry a MAC over key and bytes with that secret: another database, an older program, or
 *   somebody else who writes into the same Redis is never taken at his word; what does not verify
 *   is not there.
 *
 * When Redis is gone
 *   A call that fails or takes longer than `redis.timeout` closes its connection and opens the
 *   breaker: for a while nobody asks Redis, then one caller tries; the while doubles up to 5 s.
 *   So one request in a while is late by the timeout, and no other. That state is logged once each
 *   way (cache.degraded, cache.recovered), a metric, and part of /health.
 *
 *   off (no redis.url)        shared --a call fails--> degraded --the try succeeds--> shared
 *
 * Sources: RESP is parsed by hiredis; the script is ours. TLS (rediss://) is not spoken here.
 *
 * Threads: all functions from any thread. CACHE_CONNECTIONS callers use Redis at a time; others
 * count for themselves or miss.
 */
#ifndef KERNEL_CACHE_CACHE_H
#define KERNEL_CACHE_CACHE_H

#include "kernel/base/clock.h"
#include "kernel/base/config.h"
#include "kernel/base/mem.h"

#define CACHE_CONNECTIONS 16
#define CACHE_LOCAL_KEYS 16384
#define CACHE_KEY_MAX 1024
#define CACHE_VALUE_MAX (256 * 1024)
#define CACHE_USES_MAX 10000000
#define CACHE_WINDOW_USEC_MAX (86400ll * USEC_PER_SEC)

struct cache;

struct cache_config {
    const char *redis_url; /* "": none */
    int64_t timeout_usec;  /* of connecting, and of each answer */
};

/* cache_config_rows are the rows of section "redis". */
extern const struct config_row cache_config_rows[];
extern const size_t cache_config_row_count;

/*
 * cache_new makes a cache; `secret` tells installations apart and is copied. It does not connect.
 * Owns: the caller, cache_free. Errors: ERR_CONFIG (redis.url).
 */
enum err cache_new(const struct cache_config *config, struct slice secret, struct cache **out,
                   struct why *why) ERR_CHECKED;
/* cache_free closes and frees; NULL is fine. */
void cache_free(struct cache *cache);

struct cache_limit {
    uint64_t uses;       /* allowed in a window: 1 to CACHE_USES_MAX */
    int64_t window_usec; /* a second to CACHE_WINDOW_USEC_MAX */
};

struct cache_verdict {
    bool allowed;
    uint64_t remaining; /* uses that are left now */
    int64_t reset_usec; /* until all of them are back, if nothing is used */
    int64_t retry_usec; /* until one is; 0 when there is one left */
};

/* cache_limit_take counts a use of `key`, unless that is beyond the limit. */
void cache_limit_take(struct cache *cache, struct slice key, const struct cache_limit *limit,
                      struct cache_verdict *out);

/* cache_get finds bytes under a key; false when they are not there. Owns: the arena. */
bool cache_get(struct cache *cache, struct arena *arena, struct slice key, struct slice *out);
/* cache_put keeps bytes under a key for `ttl_usec`; what is too long is not kept. */
void cache_put(struct cache *cache, struct slice key, struct slice value, int64_t ttl_usec);

enum cache_state {
    CACHE_OFF,
    CACHE_SHARED,
    CACHE_DEGRADED,
};

/* cache_state_read tells the state; `out_why` (may be NULL) says why it is degraded, or "". */
enum cache_state cache_state_read(struct cache *cache, struct why *out_why);

/* cache_url_check reads a redis.url without connecting. Errors: ERR_CONFIG. */
enum err cache_url_check(const char *url, struct why *why) ERR_CHECKED;

/* cache_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void cache_metrics_register(void);

#endif
