#include <errno.h>
#include <time.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/store/store_private.h"

#define WAIT_USEC_MAX (24ll * 3600 * USEC_PER_SEC)

/* The channel of a name, made when first heard of. Called with signal_lock held. */
static size_t channel_index(struct store *store, const char *name)
{
    for (size_t i = 0; i < store->channel_count; i++) {
        if (strcmp(store->channels[i].name, name) == 0) {
            return i;
        }
    }
    ASSERT(store->channel_count < STORE_CHANNEL_MAX);
    struct store_channel *channel = &store->channels[store->channel_count];
    channel->name = name;
    channel->count = 0;
    pthread_condattr_t attributes;
    ASSERT(pthread_condattr_init(&attributes) == 0);
    ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_cond_init(&channel->changed, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
    return store->channel_count++;
}

void store_signal_publish(struct store *store, uint32_t channels)
{
    if (channels == 0) {
        return;
    }
    pthread_mutex_lock(&store->signal_lock);
    for (size_t i = 0; i < store->channel_count; i++) {
        if ((channels & (1u << i)) != 0) {
            store->channels[i].count++;
            pthread_cond_broadcast(&store->channels[i].changed);
        }
    }
    pthread_mutex_unlock(&store->signal_lock);
}

void store_signal_hear(struct store *store, struct slice names)
{
    uint32_t channels = 0;
    pthread_mutex_lock(&store->signal_lock);
    while (names.len > 0) {
        ptrdiff_t blank = slice_find(names, ' ');
        size_t len = blank >= 0 ? (size_t)blank : names.len;
        for (size_t i = 0; i < store->channel_count; i++) {
            bool named = slice_equal_text(slice_of(names.ptr, len), store->channels[i].name);
            channels |= named ? 1u << i : 0;
        }
        size_t gone = len < names.len ? len + 1 : len;
        names = slice_of(names.ptr + gone, names.len - gone);
    }
    pthread_mutex_unlock(&store->signal_lock);
    store_signal_publish(store, channels);
}

void store_signal_names(struct store *store, uint32_t channels, struct buf *out)
{
    pthread_mutex_lock(&store->signal_lock);
    for (size_t i = 0; i < store->channel_count; i++) {
        if ((channels & (1u << i)) != 0) {
            buf_add_text(out, out->len > 0 ? " " : "");
            buf_add_text(out, store->channels[i].name);
        }
    }
    pthread_mutex_unlock(&store->signal_lock);
}

void store_notify(struct store_tx *tx, const char *channel)
{
    ASSERT(tx == store_tx_current() && tx->writes);
    pthread_mutex_lock(&tx->store->signal_lock);
    size_t index = channel_index(tx->store, channel);
    pthread_mutex_unlock(&tx->store->signal_lock);
    tx->notified |= 1u << index;
}

uint64_t store_signal_now(struct store *store, const char *channel)
{
    pthread_mutex_lock(&store->signal_lock);
    uint64_t count = store->channels[channel_index(store, channel)].count;
    pthread_mutex_unlock(&store->signal_lock);
    return count;
}

void store_wake(struct store *store, const char *channel)
{
    pthread_mutex_lock(&store->signal_lock);
    struct store_channel *c = &store->channels[channel_index(store, channel)];
    c->count++;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&store->signal_lock);
}

bool store_wait(struct store *store, const char *channel, uint64_t *seen, int64_t timeout_usec)
{
    ASSERT(!store_in_tx());
    int64_t usec = timeout_usec < 0 ? 0 : timeout_usec;
    struct timespec deadline;
    clock_deadline(usec < WAIT_USEC_MAX ? usec : WAIT_USEC_MAX, &deadline);
    pthread_mutex_lock(&store->signal_lock);
    struct store_channel *c = &store->channels[channel_index(store, channel)];
    int waited = 0;
    while (c->count == *seen && waited != ETIMEDOUT) {
        waited = pthread_cond_timedwait(&c->changed, &store->signal_lock, &deadline);
    }
    bool changed = c->count != *seen;
    *seen = c->count;
    pthread_mutex_unlock(&store->signal_lock);
    return changed;
}
