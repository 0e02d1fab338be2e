#include "kernel/cache/cache.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/cache/cache_internal.h"

/* What begins our keys in a Redis that others may use too. */
#define PREFIX "freehold:"
#define REDIS_KEY_BYTES (sizeof PREFIX - 1 + 2 + 2 * HASH_BYTES)

const struct config_row cache_config_rows[] = {
    {.key = "redis.url",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct cache_config, redis_url),
     .flags = CONFIG_URLS,
     .doc = "Optional Redis that processes share: redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER]. "
            "Counts requests for all of them and keeps answers that cannot change."},
    {.key = "redis.timeout",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct cache_config, timeout_usec),
     .default_ = "50ms",
     .min = 1000,
     .max = USEC_PER_SEC,
     .doc = "How long Redis may take to connect, and to answer: then work goes on without it."},
};
const size_t cache_config_row_count = sizeof cache_config_rows / sizeof cache_config_rows[0];

static const struct metric_row rows[CACHE_METRIC_COUNT] = {
    [CACHE_METRIC_DEGRADED] = {"freehold_cache_degraded", METRIC_GAUGE,
                               "1 while Redis is configured and does not answer.", NULL},
    [CACHE_METRIC_FAILURES] = {"freehold_cache_failures_total", METRIC_COUNTER,
                               "Calls of Redis that failed or took too long.", NULL},
    [CACHE_METRIC_HITS] = {"freehold_cache_hits_total", METRIC_COUNTER,
                           "Answers that were found in Redis.", NULL},
    [CACHE_METRIC_MISSES] = {"freehold_cache_misses_total", METRIC_COUNTER,
                             "Answers that were looked for in Redis and not there.", NULL},
    [CACHE_METRIC_FORGED] = {"freehold_cache_forged_total", METRIC_COUNTER,
                             "Values in Redis that we did not write; they are not used.", NULL},
};

struct metric_value cache_metrics[CACHE_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(rows, cache_metrics, CACHE_METRIC_COUNT);
}

void cache_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}

struct cache {
    struct secret secret;
    struct cache_table *table;
    struct cache_redis *redis; /* or NULL */
};

enum err cache_new(const struct cache_config *config, struct slice secret, struct cache **out,
                   struct why *why)
{
    struct cache_address address = {0};
    bool shared = config->redis_url != NULL && config->redis_url[0] != '\0';
    if (shared) {
        enum err e = cache_url_parse(slice_text(config->redis_url), &address, why);
        if (e != OK) {
            return e;
        }
    }
    cache_metrics_register();
    struct cache *cache = mem_alloc(sizeof *cache);
    secret_init(&cache->secret, secret.ptr, secret.len);
    cache->table = cache_table_new();
    cache->redis = shared ? cache_redis_new(&address, config->timeout_usec) : NULL;
    *out = cache;
    return OK;
}

void cache_free(struct cache *cache)
{
    if (cache != NULL) {
        cache_redis_free(cache->redis);
        cache_table_free(cache->table);
        secret_clear(&cache->secret);
        mem_free(cache);
    }
}

enum cache_state cache_state_read(struct cache *cache, struct why *out_why)
{
    if (cache == NULL || cache->redis == NULL) {
        return CACHE_OFF;
    }
    return cache_redis_is_open(cache->redis, out_why) ? CACHE_DEGRADED : CACHE_SHARED;
}

/* A MAC over a label and parts, so that nothing of one use can be taken for another. */
static struct hash mac(const struct cache *cache, char label, struct slice key, struct slice value)
{
    struct arena scratch;
    struct buf b;
    arena_init(&scratch, 0);
    buf_init(&b, &scratch, key.len + value.len + 32);
    buf_format(&b, "%c%zu:", label, key.len);
    buf_add_slice(&b, key);
    buf_add_slice(&b, value);
    struct hash h = hmac_sha256(slice_of(secret_bytes(&cache->secret), secret_len(&cache->secret)),
                                buf_slice(&b));
    arena_free(&scratch);
    return h;
}

/* The key in Redis: nothing of what it is about can be read from it. */
static struct slice redis_key(char out[REDIS_KEY_BYTES + 1], const struct hash *h)
{
    memcpy(out, PREFIX, sizeof PREFIX - 1);
    hex_encode_to(hash_slice(h), out + sizeof PREFIX - 1);
    return slice_text(out);
}

void cache_limit_take(struct cache *cache, struct slice key, const struct cache_limit *limit,
                      struct cache_verdict *out)
{
    ASSERT(key.len <= CACHE_KEY_MAX);
    char text[REDIS_KEY_BYTES + 1];
    char number[48];
    int len = snprintf(number, sizeof number, "%lld/", (long long)limit->window_usec);
    /* Windows of another length are other counters. */
    struct hash h = mac(cache, 'l', slice_of(number, (size_t)len), key);
    if (cache->redis == NULL || !cache_redis_take(cache->redis, redis_key(text, &h), limit, out)) {
        cache_table_take(cache->table, &h, limit, out);
    }
}

bool cache_get(struct cache *cache, struct arena *arena, struct slice key, struct slice *out)
{
    if (cache == NULL || cache->redis == NULL || key.len > CACHE_KEY_MAX) {
        return false;
    }
    char text[REDIS_KEY_BYTES + 1];
    struct hash h = mac(cache, 'k', key, SLICE_EMPTY);
    struct slice sealed = SLICE_EMPTY;
    bool found = false;
    cache_redis_get(cache->redis, arena, redis_key(text, &h), &sealed, &found);
    struct slice value = SLICE_EMPTY;
    if (found && !cache_unseal(cache, key, sealed, &value)) {
        metric_add(&cache_metrics[CACHE_METRIC_FORGED], 1);
        found = false;
    }
    metric_add(&cache_metrics[found ? CACHE_METRIC_HITS : CACHE_METRIC_MISSES], 1);
    if (found) {
        *out = value;
    }
    return found;
}

bool cache_unseal(const struct cache *cache, struct slice key, struct slice sealed,
                  struct slice *out)
{
    struct hash said;
    if (sealed.len < HASH_BYTES) {
        return false;
    }
    memcpy(said.bytes, sealed.ptr, HASH_BYTES);
    struct slice value = slice_sub(sealed, HASH_BYTES, sealed.len - HASH_BYTES);
    struct hash real = mac(cache, 'v', key, value);
    if (!mem_equal_secret(said.bytes, real.bytes, HASH_BYTES)) {
        return false;
    }
    *out = value;
    return true;
}

void cache_put(struct cache *cache, struct slice key, struct slice value, int64_t ttl_usec)
{
    if (cache == NULL || cache->redis == NULL || key.len > CACHE_KEY_MAX ||
        value.len > CACHE_VALUE_MAX) {
        return;
    }
    struct arena scratch;
    struct buf b;
    char text[REDIS_KEY_BYTES + 1];
    struct hash h = mac(cache, 'k', key, SLICE_EMPTY);
    struct hash seal = mac(cache, 'v', key, value);
    arena_init(&scratch, 0);
    buf_init(&b, &scratch, value.len + HASH_BYTES);
    buf_add_slice(&b, hash_slice(&seal));
    buf_add_slice(&b, value);
    cache_redis_put(cache->redis, redis_key(text, &h), buf_slice(&b), ttl_usec);
    arena_free(&scratch);
}
