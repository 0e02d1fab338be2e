/*
 * timers.h: what happens at a time: orders that expire, dead-man switches, auctions that end.
 *
 * A binary heap over keys (time, kind, number), so that what is due at one time comes in an order
 * that no history of the heap can change. Whoever owns a timer keeps its place in the heap; the
 * heap writes it there through `place_of`, which makes removal cost no search.
 */
#ifndef DOMAIN_TRADING_ENGINE_TIMERS_H
#define DOMAIN_TRADING_ENGINE_TIMERS_H

#include <stdint.h>

/* In the order in which they happen at one time. */
enum timer_kind {
    TIMER_ORDER = 1,   /* number = id of the order */
    TIMER_ACCOUNT = 2, /* number = account */
    TIMER_PAIR = 3,    /* number = pair */
};

struct timer {
    int64_t when_usec;
    uint64_t number;
    uint32_t kind;
    uint32_t slot; /* where the owner is: slot of the order, account, pair */
};

struct timers {
    struct timer *heap; /* [1 … count] */
    uint32_t count;
    uint32_t capacity;
    void *ctx;
    uint32_t *(*place_of)(void *ctx, const struct timer *t); /* 0 there: no timer */
};

/* timers_set starts, moves or (when_usec 0) stops the timer of an owner. */
void timers_set(struct timers *t, struct timer timer);

/* timers_due returns the first timer at or before `now_usec`, or NULL. It stays in the heap. */
const struct timer *timers_due(const struct timers *t, int64_t now_usec);

#endif
