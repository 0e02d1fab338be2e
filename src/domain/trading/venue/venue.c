#include "domain/trading/venue/venue.h"

#include <pthread.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/mem.h"

#define HELD_START 1024

/* Commands of one caller, who waits; it lives on his stack. */
struct ticket {
    const struct engine_command *commands;
    struct venue_answer *answers;
    uint32_t count;
    bool done;
    enum err err;
    struct why why;
    pthread_cond_t answered;
    struct ticket *next;
};

struct tickets {
    struct ticket *first;
    struct ticket *last;
};

/* What a group of commands brought about and nobody knows yet. */
struct held {
    struct engine_event *events;
    size_t count;
    size_t capacity;
    struct tickets tickets;
    uint64_t last_seq;
};

struct venue {
    struct venue_config config;
    pthread_mutex_t lock; /* of all up to `failure` */
    pthread_cond_t work;  /* for matching: tickets, stopping, or room behind it */
    pthread_cond_t group; /* for release */
    struct tickets queue;
    uint32_t queued;    /* commands */
    struct held handed; /* to the release thread; empty when it has taken it */
    bool handed_full;
    bool stopping;
    bool matched_all; /* matching has ended */
    bool failed;
    struct why failure;
    struct held open;    /* matching's */
    struct held leaving; /* release's */
    uint64_t snapshot_seq;
    pthread_t matching;
    pthread_t release;
};

static void add_ticket(struct tickets *list, struct ticket *t)
{
    t->next = NULL;
    *(list->last != NULL ? &list->last->next : &list->first) = t;
    list->last = t;
}

static void add_tickets(struct tickets *list, const struct tickets *more)
{
    if (more->first != NULL) {
        *(list->last != NULL ? &list->last->next : &list->first) = more->first;
        list->last = more->last;
    }
}

/* Called with the lock held. The ticket is gone as soon as its owner has the lock. */
static void answer(struct tickets *list, enum err e, const struct why *why)
{
    for (struct ticket *t = list->first, *next; t != NULL; t = next) {
        next = t->next;
        t->err = e;
        if (e != OK) {
            t->why = *why;
        }
        t->done = true;
        pthread_cond_signal(&t->answered);
    }
    *list = (struct tickets){0};
}

/* Called with the lock held: from here on nothing is done and nothing leaves. */
static void fail(struct venue *v, const struct why *why)
{
    if (!v->failed) {
        v->failed = true;
        v->failure = *why;
    }
    answer(&v->queue, v->failure.err, &v->failure);
    v->queued = 0;
    pthread_cond_broadcast(&v->work);
    pthread_cond_broadcast(&v->group);
}

/* ---- matching ---- */

static void hold_event(void *ctx, const struct engine_event *ev)
{
    struct held *h = &((struct venue *)ctx)->open;
    if (h->count == h->capacity) {
        h->capacity = h->capacity != 0 ? 2 * h->capacity : HELD_START;
        h->events = h->events != NULL ? mem_resize(h->events, h->capacity * sizeof *h->events)
                                      : mem_alloc(h->capacity * sizeof *h->events);
    }
    h->events[h->count++] = *ev;
}

static enum engine_reason give(struct venue *v, const struct engine_command *c)
{
    v->open.last_seq = journal_append(v->config.journal, c);
    ASSERT(v->open.last_seq == engine_seq(v->config.engine) + 1);
    return engine_apply(v->config.engine, c);
}

static void give_time(struct venue *v)
{
    struct engine_command c = {.op = ENGINE_OP_TIME};
    c.clock.now_usec = v->config.now_usec();
    if (c.clock.now_usec > engine_now_usec(v->config.engine)) {
        (void)give(v, &c);
    }
}

static void match(struct venue *v, struct tickets *list)
{
    give_time(v);
    for (struct ticket *t = list->first; t != NULL; t = t->next) {
        for (uint32_t i = 0; i < t->count; i++) {
            const enum engine_reason reason = give(v, &t->commands[i]);
            t->answers[i] = (struct venue_answer){.seq = v->open.last_seq, .reason = reason};
        }
    }
    add_tickets(&v->open.tickets, list);
}

/* Called with the lock held: hands over what is held, when release has taken the group before. */
static void hand_over(struct venue *v)
{
    if (!v->handed_full && v->open.last_seq != 0) {
        const struct held empty = v->handed;
        v->handed = v->open;
        v->open = empty;
        v->handed_full = true;
        pthread_cond_signal(&v->group);
    }
}

/* Takes what waits, up to a group. Called with the lock held. */
static struct tickets take(struct venue *v)
{
    struct tickets taken = {0};
    uint32_t count = 0;
    while (v->queue.first != NULL && count + v->queue.first->count <= VENUE_GROUP_MAX) {
        struct ticket *t = v->queue.first;
        v->queue.first = t->next;
        v->queue.last = v->queue.first != NULL ? v->queue.last : NULL;
        count += t->count;
        add_ticket(&taken, t);
    }
    v->queued -= count;
    return taken;
}

static bool due(const struct venue *v)
{
    const int64_t when = engine_due_usec(v->config.engine);
    return when != 0 && when <= v->config.now_usec();
}

/* Sleeps until somebody asks for something or the engine's next time has come. */
static void sleep_until_work(struct venue *v)
{
    const int64_t when = engine_due_usec(v->config.engine);
    if (when == 0) {
        pthread_cond_wait(&v->work, &v->lock);
        return;
    }
    struct timespec until;
    clock_deadline(when - v->config.now_usec(), &until);
    (void)pthread_cond_timedwait(&v->work, &v->lock, &until);
}

static void snapshot(struct venue *v)
{
    const uint64_t seq = engine_seq(v->config.engine);
    struct why why = {0};
    if (v->config.snapshot_every == 0 || seq - v->snapshot_seq < v->config.snapshot_every) {
        return;
    }
    v->snapshot_seq = seq;
    if (journal_snapshot(v->config.journal, v->config.engine, &why) != OK) {
        pthread_mutex_lock(&v->lock);
        fail(v, &why);
        pthread_mutex_unlock(&v->lock);
    }
}

static void *matching_main(void *arg)
{
    struct venue *v = arg;
    pthread_mutex_lock(&v->lock);
    while (!v->failed) {
        hand_over(v);
        const bool room = v->open.count < VENUE_HELD_MAX;
        if (v->queue.first == NULL && v->stopping && v->open.last_seq == 0) {
            break;
        }
        if (!room || (v->queue.first == NULL && (v->open.last_seq != 0 || v->stopping))) {
            pthread_cond_wait(&v->work, &v->lock); /* for release to take what is held */
            continue;
        }
        if (v->queue.first == NULL && !due(v)) {
            sleep_until_work(v);
            continue;
        }
        struct tickets taken = take(v);
        pthread_mutex_unlock(&v->lock);
        match(v, &taken);
        snapshot(v);
        pthread_mutex_lock(&v->lock);
    }
    if (v->failed) {
        answer(&v->open.tickets, v->failure.err, &v->failure);
    }
    v->matched_all = true;
    pthread_cond_signal(&v->group);
    pthread_mutex_unlock(&v->lock);
    return NULL;
}

/* ---- release ---- */

static void tell_events(const struct venue *v)
{
    const struct engine_sink *sink = &v->config.sink;
    for (size_t i = 0; i < v->leaving.count; i++) {
        const struct engine_event *ev = &v->leaving.events[i];
        if ((sink->kinds >> ev->kind & 1) != 0) {
            sink->event(sink->ctx, ev);
        }
    }
}

static void *release_main(void *arg)
{
    struct venue *v = arg;
    struct why why = {0};
    pthread_mutex_lock(&v->lock);
    for (;;) {
        while (!v->handed_full && !v->matched_all) {
            pthread_cond_wait(&v->group, &v->lock);
        }
        if (!v->handed_full) {
            break;
        }
        const struct held empty = v->leaving;
        v->leaving = v->handed;
        v->handed = empty;
        v->handed_full = false;
        pthread_cond_signal(&v->work);
        pthread_mutex_unlock(&v->lock);
        const enum err e = journal_wait(v->config.journal, v->leaving.last_seq, &why);
        if (e == OK) {
            tell_events(v);
        }
        pthread_mutex_lock(&v->lock);
        if (e != OK) {
            fail(v, &why);
        }
        answer(&v->leaving.tickets, e, &why);
        v->leaving.count = 0;
        v->leaving.last_seq = 0;
    }
    pthread_mutex_unlock(&v->lock);
    return NULL;
}

/* ---- callers ---- */

static enum err check_commands(const struct engine_command *commands, uint32_t count,
                               struct why *why)
{
    if (count == 0 || count > VENUE_GROUP_MAX) {
        return why_set(why, ERR_INVALID_FIELD, NULL, "1 to %d commands can be given at a time",
                       VENUE_GROUP_MAX);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!engine_command_sound(&commands[i])) {
            return why_set(why, ERR_INVALID_ENCODING, NULL, "command %u has no sound shape", i);
        }
        if (commands[i].op == ENGINE_OP_TIME) {
            return why_set(why, ERR_INVALID_FIELD, "op", "the time is the venue's to tell");
        }
    }
    return OK;
}

/* Called with the lock held. */
static enum err admit(struct venue *v, struct ticket *t, struct why *why)
{
    if (v->failed) {
        return why_set(why, v->failure.err, NULL, "%s", v->failure.text);
    }
    if (v->stopping) {
        return why_set(why, ERR_STOPPING, NULL, "the venue is stopping");
    }
    if (v->queued + t->count > v->config.queue_max && v->queued > 0) {
        return why_set(why, ERR_OVERLOADED, NULL, "%u commands wait already", v->queued);
    }
    add_ticket(&v->queue, t);
    v->queued += t->count;
    pthread_cond_signal(&v->work);
    return OK;
}

enum err venue_submit(struct venue *v, const struct engine_command *commands, uint32_t count,
                      struct venue_answer *out, struct why *why)
{
    enum err e = check_commands(commands, count, why);
    if (e != OK) {
        return e;
    }
    struct ticket t = {.commands = commands, .answers = out, .count = count};
    pthread_cond_init(&t.answered, NULL);
    pthread_mutex_lock(&v->lock);
    e = admit(v, &t, why);
    while (e == OK && !t.done) {
        pthread_cond_wait(&t.answered, &v->lock);
    }
    pthread_mutex_unlock(&v->lock);
    pthread_cond_destroy(&t.answered);
    if (e == OK && t.err != OK) {
        e = why_set(why, t.err, NULL, "%s", t.why.text);
    }
    return e;
}

enum venue_state venue_state_of(struct venue *v)
{
    pthread_mutex_lock(&v->lock);
    const bool failed = v->failed;
    pthread_mutex_unlock(&v->lock);
    return failed ? VENUE_FAILED : VENUE_RUNNING;
}

/* ---- life ---- */

static int64_t wall_usec(void)
{
    return clock_wall_usec();
}

static void nobody(void *ctx, const struct engine_event *ev)
{
    (void)ctx;
    (void)ev;
}

static void clear(struct venue *v)
{
    journal_close(v->config.journal);
    engine_free(v->config.engine);
    mem_free(v->open.events);
    mem_free(v->handed.events);
    mem_free(v->leaving.events);
    pthread_cond_destroy(&v->work);
    pthread_cond_destroy(&v->group);
    pthread_mutex_destroy(&v->lock);
    mem_free(v);
}

enum err venue_start(struct venue **out, const struct venue_config *config, struct why *why)
{
    struct venue *v = mem_alloc(sizeof *v);
    pthread_condattr_t monotonic;
    v->config = *config;
    v->config.now_usec = config->now_usec != NULL ? config->now_usec : wall_usec;
    if (v->config.sink.event == NULL) {
        v->config.sink = (struct engine_sink){.event = nobody};
    }
    v->snapshot_seq = engine_seq(config->engine);
    pthread_mutex_init(&v->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&v->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&v->group, NULL);
    engine_set_sink(
        config->engine,
        &(struct engine_sink){.event = hold_event, .ctx = v, .kinds = v->config.sink.kinds});
    if (pthread_create(&v->matching, NULL, matching_main, v) != 0) {
        clear(v);
        return why_set(why, ERR_INTERNAL, NULL, "the venue's threads could not be started");
    }
    if (pthread_create(&v->release, NULL, release_main, v) != 0) {
        pthread_mutex_lock(&v->lock);
        v->stopping = true;
        pthread_cond_signal(&v->work);
        pthread_mutex_unlock(&v->lock);
        pthread_join(v->matching, NULL);
        clear(v);
        return why_set(why, ERR_INTERNAL, NULL, "the venue's threads could not be started");
    }
    *out = v;
    return OK;
}

void venue_stop(struct venue *v)
{
    if (v == NULL) {
        return;
    }
    pthread_mutex_lock(&v->lock);
    v->stopping = true;
    pthread_cond_signal(&v->work);
    pthread_mutex_unlock(&v->lock);
    pthread_join(v->matching, NULL);
    pthread_join(v->release, NULL);
    clear(v);
}
