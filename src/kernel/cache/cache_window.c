#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/cache/cache_internal.h"

/* A key may be in any of so many places, from the one that its hash names on. */
#define WAYS 4

/* The uses of the slot before that still lie in the window, rounded up. */
static uint64_t carried(const struct cache_window *w, int64_t window_usec, int64_t into_usec)
{
    uint64_t left = (uint64_t)(window_usec - into_usec);
    uint64_t window = (uint64_t)window_usec;
    /* Both factors are bounded: the product fits. */
    return (w->before * left + window - 1) / window;
}

void cache_window_judge(const struct cache_window *w, const struct cache_limit *limit,
                        int64_t now_usec, bool allowed, struct cache_verdict *out)
{
    int64_t into = now_usec % limit->window_usec;
    uint64_t used = w->now + carried(w, limit->window_usec, into);
    int64_t next = limit->window_usec - into;
    out->allowed = allowed;
    out->remaining = used < limit->uses ? limit->uses - used : 0;
    out->reset_usec = w->now > 0 ? next + limit->window_usec : w->before > 0 ? next : 0;
    out->retry_usec = 0;
    if (out->remaining > 0) {
        return;
    }
    if (w->now >= limit->uses || w->before == 0) {
        /* Only the next slot gives uses back: its first one after 1/uses of it. */
        out->retry_usec = next + limit->window_usec / (int64_t)limit->uses;
    } else {
        /* before * left / window must fall to uses - now - 1. */
        uint64_t room = limit->uses - w->now - 1;
        int64_t left = (int64_t)(room * (uint64_t)limit->window_usec / w->before);
        out->retry_usec = next > left ? next - left : 1;
    }
}

void cache_window_take(struct cache_window *w, const struct cache_limit *limit, int64_t now_usec,
                       struct cache_verdict *out)
{
    ASSERT(limit->uses > 0 && limit->uses <= CACHE_USES_MAX);
    ASSERT(limit->window_usec >= USEC_PER_SEC && limit->window_usec <= CACHE_WINDOW_USEC_MAX);
    int64_t slot = now_usec / limit->window_usec;
    if (slot != w->slot) {
        w->before = slot == w->slot + 1 ? w->now : 0;
        w->now = 0;
        w->slot = slot;
    }
    bool allowed =
        w->now + carried(w, limit->window_usec, now_usec % limit->window_usec) < limit->uses;
    w->now += allowed;
    cache_window_judge(w, limit, now_usec, allowed, out);
}

/* ---- the table of this process ---- */

struct entry {
    struct hash key;
    int64_t used_usec; /* monotonic; 0: empty */
    struct cache_window window;
};

struct cache_table {
    pthread_mutex_t lock;
    struct entry *entries;
};

struct cache_table *cache_table_new(void)
{
    struct cache_table *table = mem_alloc(sizeof *table);
    ASSERT(pthread_mutex_init(&table->lock, NULL) == 0);
    table->entries = mem_alloc(CACHE_LOCAL_KEYS * sizeof table->entries[0]);
    return table;
}

void cache_table_free(struct cache_table *table)
{
    if (table != NULL) {
        pthread_mutex_destroy(&table->lock);
        mem_free(table->entries);
        mem_free(table);
    }
}

/* The entry of a key, or the one that is given up for it. Called with the lock held. */
static struct entry *entry_of(struct cache_table *table, const struct hash *key)
{
    size_t first = 0;
    memcpy(&first, key->bytes, sizeof first);
    struct entry *oldest = NULL;
    for (size_t i = 0; i < WAYS; i++) {
        struct entry *e = &table->entries[(first + i) % CACHE_LOCAL_KEYS];
        if (e->used_usec != 0 && hash_equal(&e->key, key)) {
            return e;
        }
        if (oldest == NULL || e->used_usec < oldest->used_usec) {
            oldest = e;
        }
    }
    *oldest = (struct entry){.key = *key};
    return oldest;
}

void cache_table_take(struct cache_table *table, const struct hash *key,
                      const struct cache_limit *limit, struct cache_verdict *out)
{
    int64_t now = clock_mono_usec();
    pthread_mutex_lock(&table->lock);
    struct entry *e = entry_of(table, key);
    e->used_usec = now;
    cache_window_take(&e->window, limit, now, out);
    pthread_mutex_unlock(&table->lock);
}
