/*
 * chain_window.c: ranges of blocks that are read ahead while others are applied.
 *
 * The window is a list of consecutive ranges behind the cursor. Its threads take the first one that
 * nobody reads yet; the chain's thread takes the first of all, and applies it. So ranges are read
 * in any order and applied in one.
 *
 *     PLANNED ──a thread──▶ READING ──▶ READ ──applied──▶ gone
 *                              └──────▶ FAILED
 *
 * What a range says is looked at when it is its turn: its first block must have the cursor's for
 * its parent, and ranges that are already read behind it must continue it. Whatever does not fit,
 * fails, or was read for another cursor is forgotten together with all the rest: the next step
 * begins anew at the row. A range that is being read then belongs to nobody but its thread, which
 * throws it away when it is done; its ticket tells.
 *
 * A range that would be too much for memory, of which the node has not all blocks, or whose blocks
 * do not link, ends earlier; the rest of its blocks is planned again behind it. Memory is bounded
 * by the number of ranges, the bytes of each, and one answer a thread.
 *
 * Contracts: a range is read with those that were followed when it was begun. What was announced
 * since is looked for when it is its turn (chain_collect_missing).
 *
 * Threads: `lock` guards all of the window. The contents of a range are its thread's while READING
 * and the chain thread's afterwards.
 */
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/chain/chain_internal.h"

/* The contracts of one loading; ranges share it. */
struct followed_set {
    size_t users;
    uint64_t load;
    size_t count;
    struct chain_followed list[];
};

enum range_state {
    RANGE_PLANNED,
    RANGE_READING,
    RANGE_READ,
    RANGE_FAILED,
};

struct range {
    struct range *next;
    enum range_state state;
    bool forgotten; /* its thread frees it */
    uint64_t first;
    uint64_t last;
    uint64_t head; /* as it was known when the range was planned */
    struct followed_set *set;
    struct arena arena;
    struct chain_batch batch;
    enum err err;
    struct why why;
};

struct chain_window {
    struct chain *chain;
    size_t ranges_max;
    size_t threads_max;
    pthread_t *threads; /* started when there is something to read */
    size_t thread_count;

    pthread_mutex_t lock;
    pthread_cond_t work; /* something is planned, or all ends */
    pthread_cond_t done; /* a range was read */
    bool ending;
    bool interrupted;
    struct range *first;
    size_t count;
    struct hash base; /* the block that the first range continues */
    struct followed_set *set;
};

static void lock(struct chain_window *w)
{
    ASSERT(pthread_mutex_lock(&w->lock) == 0);
}

static void unlock(struct chain_window *w)
{
    ASSERT(pthread_mutex_unlock(&w->lock) == 0);
}

/* ---- ranges; with the lock held ---- */

static void set_drop(struct followed_set *set)
{
    if (set != NULL && --set->users == 0) {
        mem_free(set);
    }
}

static void range_free(struct range *r)
{
    set_drop(r->set);
    arena_free(&r->arena);
    mem_free(r);
}

static struct range *range_new(uint64_t first, uint64_t last, uint64_t head)
{
    struct range *r = mem_alloc(sizeof *r);
    r->first = first;
    r->last = last;
    r->head = head;
    arena_init(&r->arena, 256 * 1024);
    return r;
}

static void forget(struct range *r)
{
    if (r->state == RANGE_READING) {
        r->forgotten = true;
    } else {
        range_free(r);
    }
}

static void forget_all(struct chain_window *w)
{
    metric_add(&chain_metrics[CHAIN_METRIC_DROPPED], (int64_t)w->count);
    while (w->first != NULL) {
        struct range *next = w->first->next;
        forget(w->first);
        w->first = next;
    }
    w->count = 0;
}

static void set_renew(struct chain_window *w)
{
    const struct chain *chain = w->chain;
    if (w->set != NULL && w->set->load == chain->followed_loads) {
        return;
    }
    set_drop(w->set);
    size_t bytes = chain->followed_count * sizeof *chain->followed;
    w->set = mem_alloc(sizeof *w->set + bytes);
    w->set->users = 1;
    w->set->load = chain->followed_loads;
    w->set->count = chain->followed_count;
    if (bytes > 0) {
        memcpy(w->set->list, chain->followed, bytes);
    }
}

/* ---- reading one range; without the lock ---- */

static enum err read_linked_headers(struct chain *chain, struct range *r, struct why *why)
{
    size_t count = (size_t)(r->last - r->first + 1);
    struct evm_header *headers = arena_alloc_array(&r->arena, count, sizeof *headers);
    struct arena answer;
    size_t got = 0;
    arena_init(&answer, 0);
    enum err e = rpc_headers(chain->rpc, &answer, r->first, count, headers, &got, why);
    arena_free(&answer);
    if (e == OK && got == 0) {
        e = why_set(why, ERR_NODE_UNAVAILABLE, NULL,
                    "the node announced block %llu and does not have block %llu",
                    (unsigned long long)r->head, (unsigned long long)r->first);
    }
    if (e != OK) {
        return e;
    }
    size_t linked = 1;
    while (linked < got && hash_equal(&headers[linked].parent_hash, &headers[linked - 1].hash)) {
        linked++;
    }
    r->batch.headers = headers;
    r->batch.header_count = linked;
    return OK;
}

/*
 * Says whether so many blocks are known above the range that no reorganisation will end in it. As
 * many nodes as the quorum must have them: one alone could say any height.
 */
static bool is_deep(struct chain *chain, struct range *r)
{
    const struct evm_header *last = &r->batch.headers[r->batch.header_count - 1];
    /* One more than are kept: with the head reached nothing is left of such a batch's undo step. */
    uint64_t above = last->number + chain->config.undo_depth + 1;
    struct evm_header header;
    /* Who stops below the head keeps as much as if the chain ended there. */
    return above <= r->head && above <= atomic_load(&chain->limit) &&
           rpc_header(chain->rpc, &r->arena, above, &header, NULL) == OK &&
           rpc_confirm(chain->rpc, above, &header.hash, NULL) == OK;
}

static void write_data(struct chain_batch *batch)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    for (size_t i = 0; i < batch->item_count; i++) {
        struct slice data = chain_event_data(&scratch, &batch->items[i]);
        batch->items[i].data = slice_copy(batch->arena, data);
        arena_clear(&scratch);
    }
    arena_free(&scratch);
}

static enum err read_range(struct chain *chain, struct range *r, struct why *why)
{
    bool may_be_deep = r->last + chain->config.undo_depth < r->head;
    r->batch = (struct chain_batch){
        .chain = chain,
        .head = r->head,
        .arena = &r->arena,
        .bytes_max = may_be_deep ? CHAIN_BATCH_BYTES_MAX : CHAIN_STEPS_BYTES_MAX,
        .read_usec = clock_mono_usec(),
        .followed = r->set->list,
        .followed_count = r->set->count,
        .followed_load = r->set->load,
    };
    enum err e = read_linked_headers(chain, r, why);
    if (e == OK) {
        e = chain_collect_read(chain, &r->batch, why);
    }
    if (e != OK) {
        return e;
    }
    write_data(&r->batch);
    r->batch.deep = is_deep(chain, r);
    const struct evm_header *last = &r->batch.headers[r->batch.header_count - 1];
    return rpc_confirm(chain->rpc, last->number, &last->hash, why);
}

/* ---- the threads ---- */

static struct range *take_planned(struct chain_window *w)
{
    struct range *r = w->first;
    while (r != NULL && r->state != RANGE_PLANNED) {
        r = r->next;
    }
    if (r != NULL) {
        r->state = RANGE_READING;
        r->set = w->set;
        w->set->users++;
    }
    return r;
}

/* What a range has left of its blocks is planned behind it. */
static void put_back_rest(struct chain_window *w, struct range *r)
{
    uint64_t last = r->first + r->batch.header_count - 1;
    if (last < r->last) {
        struct range *rest = range_new(last + 1, r->last, r->head);
        rest->next = r->next;
        r->next = rest;
        r->last = last;
        w->count++;
        (void)pthread_cond_signal(&w->work);
    }
}

static void *run_reader(void *ctx)
{
    struct chain_window *w = ctx;
    lock(w);
    while (!w->ending) {
        struct range *r = take_planned(w);
        if (r == NULL) {
            (void)pthread_cond_wait(&w->work, &w->lock);
            continue;
        }
        unlock(w);
        r->err = read_range(w->chain, r, &r->why);
        if (r->err == OK) {
            chain_fit_stride(w->chain, &r->batch, r->last - r->first + 1);
        }
        lock(w);
        if (r->forgotten) {
            range_free(r);
            continue;
        }
        r->state = r->err == OK ? RANGE_READ : RANGE_FAILED;
        if (r->err == OK) {
            put_back_rest(w, r);
        }
        (void)pthread_cond_broadcast(&w->done);
    }
    unlock(w);
    return NULL;
}

/* With fewer threads than asked for it is slower; with none nothing is read ahead. */
static void start(struct chain_window *w)
{
    while (w->thread_count < w->threads_max &&
           pthread_create(&w->threads[w->thread_count], NULL, run_reader, w) == 0) {
        (void)pthread_setname_np(w->threads[w->thread_count], "chain-reader");
        w->thread_count++;
    }
}

/* ---- what the chain's thread does ---- */

struct chain_window *chain_window_new(struct chain *chain, size_t ranges, size_t threads)
{
    ASSERT(ranges > 1 && threads > 0);
    struct chain_window *w = mem_alloc(sizeof *w);
    w->chain = chain;
    w->ranges_max = ranges;
    w->threads_max = threads;
    w->threads = mem_alloc(threads * sizeof *w->threads);
    ASSERT(pthread_mutex_init(&w->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&w->work, NULL) == 0);
    ASSERT(pthread_cond_init(&w->done, NULL) == 0);
    return w;
}

void chain_window_stop(struct chain_window *w)
{
    lock(w);
    forget_all(w);
    w->ending = true;
    (void)pthread_cond_broadcast(&w->work);
    unlock(w);
    for (size_t i = 0; i < w->thread_count; i++) {
        (void)pthread_join(w->threads[i], NULL);
    }
    w->thread_count = 0;
    w->ending = false;
    w->interrupted = false;
}

void chain_window_free(struct chain_window *w)
{
    if (w == NULL) {
        return;
    }
    chain_window_stop(w);
    set_drop(w->set);
    (void)pthread_cond_destroy(&w->done);
    (void)pthread_cond_destroy(&w->work);
    (void)pthread_mutex_destroy(&w->lock);
    mem_free(w->threads);
    mem_free(w);
}

void chain_window_discard(struct chain_window *w)
{
    lock(w);
    forget_all(w);
    unlock(w);
}

void chain_window_interrupt(struct chain_window *w, bool on)
{
    lock(w);
    w->interrupted = on;
    (void)pthread_cond_broadcast(&w->done);
    unlock(w);
}

static bool covers(const struct chain_window *w, const struct chain_position *at)
{
    return w->first != NULL && w->first->first == at->block + 1 && hash_equal(&w->base, &at->hash);
}

bool chain_window_covers(struct chain_window *w, const struct chain_position *at)
{
    lock(w);
    bool yes = covers(w, at);
    unlock(w);
    return yes;
}

void chain_window_aim(struct chain_window *w, const struct chain_position *at, uint64_t last)
{
    lock(w);
    start(w);
    if (!covers(w, at)) {
        forget_all(w);
        w->base = at->hash;
    }
    set_renew(w);
    uint64_t next = at->block + 1;
    struct range **end = &w->first;
    for (; *end != NULL; end = &(*end)->next) {
        next = (*end)->last + 1;
    }
    while (w->thread_count > 0 && w->count < w->ranges_max && next <= last) {
        uint64_t blocks = atomic_load(&w->chain->stride);
        uint64_t to = last - next < blocks ? last : next + blocks - 1;
        *end = range_new(next, to, w->chain->head);
        end = &(*end)->next;
        w->count++;
        next = to + 1;
        (void)pthread_cond_signal(&w->work);
    }
    unlock(w);
}

/* Says whether the ranges that are read continue the position and one another. */
static bool is_linked(const struct chain_window *w, const struct chain_position *at)
{
    const struct hash *parent = &at->hash;
    for (const struct range *r = w->first; r != NULL && r->state == RANGE_READ; r = r->next) {
        if (!hash_equal(&r->batch.headers[0].parent_hash, parent)) {
            return false;
        }
        parent = &r->batch.headers[r->batch.header_count - 1].hash;
    }
    return true;
}

enum err chain_window_next(struct chain_window *w, const struct chain_position *at,
                           struct chain_batch **out, struct why *why)
{
    enum err e = OK;
    *out = NULL;
    lock(w);
    ASSERT(covers(w, at));
    struct range *r = w->first;
    while (!w->interrupted && r->state != RANGE_READ && r->state != RANGE_FAILED) {
        (void)pthread_cond_wait(&w->done, &w->lock);
    }
    if (r->state == RANGE_FAILED) {
        e = r->err;
        if (why != NULL) {
            *why = r->why;
        }
        forget_all(w);
    } else if (r->state != RANGE_READ) {
        e = why_set(why, ERR_STOPPING, NULL, "the chain is being stopped");
    } else if (!is_linked(w, at)) {
        forget_all(w);
    } else {
        r->batch.from = *at;
        *out = &r->batch;
    }
    unlock(w);
    return e;
}

void chain_window_drop(struct chain_window *w)
{
    lock(w);
    ASSERT(w->first != NULL && w->first->state == RANGE_READ);
    struct range *r = w->first;
    w->base = r->batch.headers[r->batch.header_count - 1].hash;
    w->first = r->next;
    w->count--;
    range_free(r);
    unlock(w);
}
