/*
 * Redis. A thread connects and tries again, requests only use what is connected: a name server or a
 * machine that does not answer makes nobody wait. The first failure of a request closes all
 * connections and opens the breaker, until the thread has one that answers.
 */
#include <hiredis/hiredis.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/base/thread.h"
#include "kernel/cache/cache_internal.h"

/* How long the thread waits between two tries: doubled each time, the half of it by chance. */
#define BACKOFF_USEC_MIN 100000
#define BACKOFF_USEC_MAX (5 * (int64_t)USEC_PER_SEC)

/* How long Redis may go unused before it is asked whether it is there. */
#define PING_USEC (1 * (int64_t)USEC_PER_SEC)

/* cache_window_take, on the clock of Redis. A key is one hash, so that it lives on one machine. */
static const char script[] =
    "local t = redis.call('TIME')\n"
    "local now, window = t[1] * 1000000 + t[2], tonumber(ARGV[2])\n"
    "local slot = math.floor(now / window)\n"
    "local into = now - slot * window\n"
    "local h = redis.call('HMGET', KEYS[1], 's', 'n', 'b')\n"
    "local s, n, b = tonumber(h[1]) or -2, tonumber(h[2]) or 0, tonumber(h[3]) or 0\n"
    "if s ~= slot then\n"
    "  b = s == slot - 1 and n or 0\n"
    "  n = 0\n"
    "end\n"
    "local allowed = 0\n"
    "if n + math.ceil(b * (window - into) / window) < tonumber(ARGV[1]) then\n"
    "  n, allowed = n + 1, 1\n"
    "  redis.call('HSET', KEYS[1], 's', slot, 'n', n, 'b', b)\n"
    "  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 500))\n"
    "end\n"
    "return {allowed, n, b, into}\n";

struct cache_redis {
    struct cache_address address;
    struct timeval timeout;

    pthread_mutex_t lock;
    pthread_cond_t wanted; /* by the thread: something to do */
    pthread_t thread;
    bool healthy;
    bool told; /* of the present outage */
    bool stopping;
    struct why why;
    uint64_t generation; /* of connections; those of an older one are closed */
    redisContext *idle[CACHE_CONNECTIONS];
    size_t idle_count;
    size_t count;  /* connected, idle or in use, of this generation */
    bool short_of; /* somebody found none idle */
    char sha[48];  /* of the script; the same for ever once it is known */
};

struct lease {
    redisContext *context;
    uint64_t generation;
};

/* ---- what a request does ---- */

static bool borrow(struct cache_redis *r, struct lease *out)
{
    bool got = false;
    pthread_mutex_lock(&r->lock);
    if (r->healthy && r->idle_count > 0) {
        *out = (struct lease){r->idle[--r->idle_count], r->generation};
        got = true;
    } else if (r->healthy && r->count < CACHE_CONNECTIONS) {
        r->short_of = true;
        pthread_cond_signal(&r->wanted);
    }
    pthread_mutex_unlock(&r->lock);
    return got;
}

static void give_back(struct cache_redis *r, const struct lease *l)
{
    redisContext *late = NULL;
    pthread_mutex_lock(&r->lock);
    if (l->generation == r->generation) {
        r->idle[r->idle_count++] = l->context;
    } else {
        late = l->context;
    }
    pthread_mutex_unlock(&r->lock);
    redisFree(late);
}

/* Closes what is idle and lets nobody in, until the thread has found Redis again. */
static void open_breaker(struct cache_redis *r, const char *problem)
{
    redisContext *closing[CACHE_CONNECTIONS];
    size_t count = 0;
    bool tell = false;
    pthread_mutex_lock(&r->lock);
    while (r->idle_count > 0) {
        closing[count++] = r->idle[--r->idle_count];
    }
    r->count = 0;
    r->generation++;
    r->healthy = false;
    tell = !r->told && !r->stopping;
    r->told = true;
    (void)why_set(&r->why, ERR_UPSTREAM, NULL, "Redis at %s:%d: %.200s", r->address.host,
                  r->address.port, problem);
    struct why why = r->why;
    pthread_cond_signal(&r->wanted);
    pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < count; i++) {
        redisFree(closing[i]);
    }
    metric_add(&cache_metrics[CACHE_METRIC_FAILURES], 1);
    metric_set(&cache_metrics[CACHE_METRIC_DEGRADED], 1);
    if (tell) {
        LOG(LOG_WARN, "cache.degraded", log_why(&why, ERR_UPSTREAM));
    }
}

/* Ends a use: gives the connection back when the answer was good, else opens the breaker. */
static void end_use(struct cache_redis *r, struct lease *l, bool good, const redisReply *reply)
{
    if (good) {
        give_back(r, l);
        return;
    }
    char problem[256];
    const char *said = l->context->err != 0                                ? l->context->errstr
                       : reply != NULL && reply->type == REDIS_REPLY_ERROR ? reply->str
                                                                           : "a strange answer";
    (void)snprintf(problem, sizeof problem, "%s", said);
    redisFree(l->context);
    open_breaker(r, problem);
}

static bool take_counts(const redisReply *reply, const struct cache_limit *limit,
                        struct cache_verdict *out)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 4) {
        return false;
    }
    long long n[4];
    for (size_t i = 0; i < 4; i++) {
        if (reply->element[i]->type != REDIS_REPLY_INTEGER || reply->element[i]->integer < 0) {
            return false;
        }
        n[i] = reply->element[i]->integer;
    }
    /* A limit that was higher a moment ago may have left more. */
    if (n[0] > 1 || n[1] > CACHE_USES_MAX || n[2] > CACHE_USES_MAX || n[3] >= limit->window_usec) {
        return false;
    }
    const struct cache_window w = {.now = (uint64_t)n[1], .before = (uint64_t)n[2]};
    cache_window_judge(&w, limit, n[3], n[0] == 1, out);
    return true;
}

bool cache_redis_take(struct cache_redis *r, struct slice key, const struct cache_limit *limit,
                      struct cache_verdict *out)
{
    struct lease l;
    if (!borrow(r, &l)) {
        return false;
    }
    redisReply *reply =
        redisCommand(l.context, "EVALSHA %s 1 %b %llu %lld", r->sha, key.ptr, key.len,
                     (unsigned long long)limit->uses, (long long)limit->window_usec);
    bool good = take_counts(reply, limit, out);
    end_use(r, &l, good, reply);
    freeReplyObject(reply);
    return good;
}

void cache_redis_get(struct cache_redis *r, struct arena *arena, struct slice key,
                     struct slice *out, bool *out_found)
{
    struct lease l;
    *out_found = false;
    if (!borrow(r, &l)) {
        return;
    }
    redisReply *reply = redisCommand(l.context, "GET %b", key.ptr, key.len);
    bool good =
        reply != NULL && (reply->type == REDIS_REPLY_NIL || reply->type == REDIS_REPLY_STRING);
    if (good && reply->type == REDIS_REPLY_STRING) {
        *out = slice_copy(arena, slice_of(reply->str, reply->len));
        *out_found = true;
    }
    end_use(r, &l, good, reply);
    freeReplyObject(reply);
}

void cache_redis_put(struct cache_redis *r, struct slice key, struct slice value, int64_t ttl_usec)
{
    struct lease l;
    if (!borrow(r, &l)) {
        return;
    }
    redisReply *reply = redisCommand(l.context, "SET %b %b PX %lld", key.ptr, key.len, value.ptr,
                                     value.len, (long long)(ttl_usec / 1000));
    bool good = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    end_use(r, &l, good, reply);
    freeReplyObject(reply);
}

bool cache_redis_is_open(struct cache_redis *r, struct why *out_why)
{
    pthread_mutex_lock(&r->lock);
    bool open = !r->healthy;
    if (out_why != NULL) {
        *out_why = r->why;
    }
    pthread_mutex_unlock(&r->lock);
    return open;
}

/* ---- what the thread does ---- */

/* Runs a command of the greeting; its answer must have the type. */
static bool greet(redisContext *c, int type, char *out, size_t size, int argc, const char **argv,
                  const size_t *lens)
{
    redisReply *reply = redisCommandArgv(c, argc, argv, lens);
    bool good = reply != NULL && reply->type == type;
    if (out != NULL && reply != NULL && (good || reply->type == REDIS_REPLY_ERROR)) {
        (void)snprintf(out, size, "%s", reply->str);
    }
    freeReplyObject(reply);
    return good;
}

static bool authenticate(const struct cache_redis *r, redisContext *c, char *said, size_t size)
{
    const struct cache_address *a = &r->address;
    if (!a->has_password) {
        return true;
    }
    const char *password = (const char *)secret_bytes(&a->password);
    const char *argv[3] = {"AUTH", a->user, password};
    size_t lens[3] = {4, strlen(a->user), secret_len(&a->password)};
    int argc = 3;
    if (a->user[0] == '\0') {
        argv[1] = password;
        lens[1] = lens[2];
        argc = 2;
    }
    return greet(c, REDIS_REPLY_STATUS, said, size, argc, argv, lens);
}

static bool prepare(struct cache_redis *r, redisContext *c, char *said, size_t size)
{
    char number[24];
    char sha[sizeof r->sha] = "";
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)r->address.database);
    const char *select[2] = {"SELECT", number};
    const char *load[3] = {"SCRIPT", "LOAD", script};
    const size_t lens[3] = {6, 4, sizeof script - 1};
    const size_t select_lens[2] = {6, strlen(number)};
    if (!authenticate(r, c, said, size) ||
        !greet(c, REDIS_REPLY_STATUS, said, size, 2, select, select_lens)) {
        return false;
    }
    if (!greet(c, REDIS_REPLY_STRING, sha, sizeof sha, 3, load, lens) || strlen(sha) != 40) {
        (void)snprintf(said, size, "%s", sha[0] != '\0' ? sha : "a strange answer");
        return false;
    }
    pthread_mutex_lock(&r->lock);
    memcpy(r->sha, sha, sizeof r->sha);
    pthread_mutex_unlock(&r->lock);
    return true;
}

/* Makes a connection that has answered; NULL with a reason in `said`. */
static redisContext *connect_one(struct cache_redis *r, char *said, size_t size)
{
    redisContext *c = redisConnectWithTimeout(r->address.host, r->address.port, r->timeout);
    if (c == NULL) {
        (void)snprintf(said, size, "no memory");
        return NULL;
    }
    bool good =
        c->err == 0 && redisSetTimeout(c, r->timeout) == REDIS_OK && prepare(r, c, said, size);
    if (!good && c->err != 0) {
        (void)snprintf(said, size, "%s", c->errstr);
    }
    if (!good) {
        redisFree(c);
        return NULL;
    }
    return c;
}

static void add(struct cache_redis *r, redisContext *c)
{
    pthread_mutex_lock(&r->lock);
    bool recovered = !r->healthy && r->told;
    r->healthy = true;
    r->told = false;
    r->short_of = false;
    r->why = (struct why){0};
    r->idle[r->idle_count++] = c;
    r->count++;
    pthread_mutex_unlock(&r->lock);
    metric_set(&cache_metrics[CACHE_METRIC_DEGRADED], 0);
    if (recovered) {
        LOG(LOG_INFO, "cache.recovered", log_text("host", r->address.host));
    }
}

/* Waits between two tries; says whether to end. */
static bool back_off(struct cache_redis *r, int64_t usec)
{
    struct timespec deadline;
    clock_deadline(usec, &deadline);
    pthread_mutex_lock(&r->lock);
    int waited = 0;
    while (!r->stopping && waited == 0) {
        waited = pthread_cond_timedwait(&r->wanted, &r->lock, &deadline);
    }
    bool stopping = r->stopping;
    pthread_mutex_unlock(&r->lock);
    return stopping;
}

/* Waits until a connection is wanted, or has not been looked at for a while; false: the latter. */
static bool rest(struct cache_redis *r, bool *out_stopping)
{
    struct timespec deadline;
    clock_deadline(PING_USEC, &deadline);
    pthread_mutex_lock(&r->lock);
    int waited = 0;
    while (!r->stopping && r->healthy && !r->short_of && waited == 0) {
        waited = pthread_cond_timedwait(&r->wanted, &r->lock, &deadline);
    }
    bool wanted = !r->healthy || r->short_of;
    *out_stopping = r->stopping;
    pthread_mutex_unlock(&r->lock);
    return wanted;
}

/* Nobody may ask for long, and yet health is to be true. */
static void ping(struct cache_redis *r)
{
    struct lease l;
    if (!borrow(r, &l)) {
        return;
    }
    redisReply *reply = redisCommand(l.context, "PING");
    end_use(r, &l, reply != NULL && reply->type == REDIS_REPLY_STATUS, reply);
    freeReplyObject(reply);
}

static void *connector_main(void *arg)
{
    struct cache_redis *r = arg;
    int64_t delay = 0;
    bool stopping = false;
    while (!stopping) {
        char said[256] = "a strange answer";
        redisContext *c = connect_one(r, said, sizeof said);
        if (c != NULL) {
            add(r, c);
            delay = 0;
            while (!rest(r, &stopping) && !stopping) {
                ping(r);
            }
            continue;
        }
        open_breaker(r, said);
        delay = delay * 2 > BACKOFF_USEC_MIN ? delay * 2 : BACKOFF_USEC_MIN;
        delay = delay < BACKOFF_USEC_MAX ? delay : BACKOFF_USEC_MAX;
        stopping = back_off(r, delay / 2 + (int64_t)rand_below((uint64_t)(delay / 2) + 1));
    }
    return NULL;
}

struct cache_redis *cache_redis_new(const struct cache_address *address, int64_t timeout_usec)
{
    struct cache_redis *r = mem_alloc(sizeof *r);
    r->address = *address;
    r->timeout = (struct timeval){.tv_sec = timeout_usec / USEC_PER_SEC,
                                  .tv_usec = timeout_usec % USEC_PER_SEC};
    pthread_condattr_t attributes;
    ASSERT(pthread_condattr_init(&attributes) == 0);
    ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_mutex_init(&r->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&r->wanted, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
    ASSERT(thread_start(&r->thread, connector_main, r) == 0);
    (void)pthread_setname_np(r->thread, "redis");
    return r;
}

void cache_redis_free(struct cache_redis *r)
{
    if (r == NULL) {
        return;
    }
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_signal(&r->wanted);
    pthread_mutex_unlock(&r->lock);
    ASSERT(pthread_join(r->thread, NULL) == 0);
    for (size_t i = 0; i < r->idle_count; i++) {
        redisFree(r->idle[i]);
    }
    secret_clear(&r->address.password);
    pthread_cond_destroy(&r->wanted);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}
