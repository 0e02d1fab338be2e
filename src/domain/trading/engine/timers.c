#include "domain/trading/engine/timers.h"

#include <stdbool.h>
#include <stddef.h>

#include "kernel/base/check.h"

static bool earlier(const struct timer *a, const struct timer *b)
{
    if (a->when_usec != b->when_usec) {
        return a->when_usec < b->when_usec;
    }
    if (a->kind != b->kind) {
        return a->kind < b->kind;
    }
    return a->number < b->number;
}

static void put(struct timers *t, uint32_t at, const struct timer *timer)
{
    t->heap[at] = *timer;
    *t->place_of(t->ctx, timer) = at;
}

/* Finds the place of a timer from the hole `at`, towards the root or away from it. */
static void settle(struct timers *t, uint32_t at, struct timer timer)
{
    while (at > 1 && earlier(&timer, &t->heap[at / 2])) {
        put(t, at, &t->heap[at / 2]);
        at /= 2;
    }
    for (uint32_t child = 2 * at; child <= t->count; child = 2 * at) {
        if (child < t->count && earlier(&t->heap[child + 1], &t->heap[child])) {
            child++;
        }
        if (!earlier(&t->heap[child], &timer)) {
            break;
        }
        put(t, at, &t->heap[child]);
        at = child;
    }
    put(t, at, &timer);
}

void timers_set(struct timers *t, struct timer timer)
{
    uint32_t *place = t->place_of(t->ctx, &timer);
    uint32_t at = *place;
    if (timer.when_usec == 0) {
        if (at == 0) {
            return;
        }
        *place = 0;
        const struct timer last = t->heap[t->count--];
        if (at <= t->count) {
            settle(t, at, last);
        }
        return;
    }
    if (at == 0) {
        ASSERT(t->count < t->capacity);
        at = ++t->count;
    }
    settle(t, at, timer);
}

const struct timer *timers_due(const struct timers *t, int64_t now_usec)
{
    return t->count > 0 && t->heap[1].when_usec <= now_usec ? &t->heap[1] : NULL;
}
