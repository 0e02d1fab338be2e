/*
 * cache_internal.h: what the files of kernel/cache share. Private to this folder.
 *
 *   cache.c          what callers see: keys, verdicts, sealed values
 *   cache_window.c   the arithmetic of a sliding window; the table of this process
 *   cache_url.c      redis://USER:PASSWORD@HOST:PORT/NUMBER
 *   cache_redis.c    connections, the breaker, commands
 */
#ifndef KERNEL_CACHE_CACHE_INTERNAL_H
#define KERNEL_CACHE_CACHE_INTERNAL_H

#include <pthread.h>

#include "kernel/base/metric.h"
#include "kernel/cache/cache.h"
#include "kernel/crypto/hash.h"

enum cache_metric {
    CACHE_METRIC_DEGRADED,
    CACHE_METRIC_FAILURES,
    CACHE_METRIC_HITS,
    CACHE_METRIC_MISSES,
    CACHE_METRIC_FORGED,
    CACHE_METRIC_COUNT
};

extern struct metric_value cache_metrics[CACHE_METRIC_COUNT];

/* ---- cache.c ---- */

/* cache_unseal takes bytes of Redis apart; false when they are not what we put under this key. */
bool cache_unseal(const struct cache *cache, struct slice key, struct slice sealed,
                  struct slice *out);

/* ---- cache_window.c ---- */

/* Uses of one key: those of slot `slot`, and of the one before. */
struct cache_window {
    int64_t slot;
    uint64_t now;
    uint64_t before;
};

/*
 * cache_window_take counts a use at `now_usec` (of any clock that goes forward) if the limit allows
 * it. The script of cache_redis.c does the same.
 */
void cache_window_take(struct cache_window *w, const struct cache_limit *limit, int64_t now_usec,
                       struct cache_verdict *out);
/* cache_window_judge fills in what follows from the counts after a use was tried. */
void cache_window_judge(const struct cache_window *w, const struct cache_limit *limit,
                        int64_t now_usec, bool allowed, struct cache_verdict *out);

struct cache_table;

/* cache_table_new makes a table. Owns: the caller, cache_table_free. */
struct cache_table *cache_table_new(void);
/* cache_table_free frees. */
void cache_table_free(struct cache_table *table);
/* cache_table_take is cache_window_take on the window of a key. */
void cache_table_take(struct cache_table *table, const struct hash *key,
                      const struct cache_limit *limit, struct cache_verdict *out);

/* ---- cache_url.c ---- */

struct cache_address {
    char host[256];
    int port;
    char user[128]; /* "": the default user */
    struct secret password;
    bool has_password;
    uint64_t database;
};

/* cache_url_parse reads a url. Owns: the caller wipes the password. Errors: ERR_CONFIG. */
enum err cache_url_parse(struct slice url, struct cache_address *out, struct why *why) ERR_CHECKED;

/* ---- cache_redis.c ---- */

struct cache_redis;

/* cache_redis_new makes a client that is not connected. Owns: the caller, cache_redis_free. */
struct cache_redis *cache_redis_new(const struct cache_address *address, int64_t timeout_usec);
/* cache_redis_free closes and frees; NULL is fine. */
void cache_redis_free(struct cache_redis *redis);
/* cache_redis_take runs the window of a key; false when Redis has no say now. */
bool cache_redis_take(struct cache_redis *redis, struct slice key, const struct cache_limit *limit,
                      struct cache_verdict *out);
/* cache_redis_get reads a value; *out_found is false when there is none, or Redis has no say. */
void cache_redis_get(struct cache_redis *redis, struct arena *arena, struct slice key,
                     struct slice *out, bool *out_found);
/* cache_redis_put writes a value. */
void cache_redis_put(struct cache_redis *redis, struct slice key, struct slice value,
                     int64_t ttl_usec);
/* cache_redis_is_open says whether Redis is not asked at the moment, and why. */
bool cache_redis_is_open(struct cache_redis *redis, struct why *out_why);

#endif
