/*
 * The keeper. A round: say that we live, look at all leases, take those that are wanted and free.
 *
 * It has a connection of its own, because one that waits behind other writes would let leases run
 * out just when there is much to do. In a file a round is made by whoever asks for one, and says
 * that we live once.
 */
#include "kernel/store/store_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/base/metric.h"
#include "kernel/base/rand.h"
#include "kernel/base/thread.h"
#include "kernel/store/store_lease_sql.h"
#include "kernel/store/store_private.h"

/* Rounds in the time that a silent process counts as alive. */
#define ROUNDS 4

enum lease_metric {
    LEASE_METRIC_HELD,
    LEASE_METRIC_WANTED,
    LEASE_METRIC_ACQUIRED,
    LEASE_METRIC_LOST,
    LEASE_METRIC_FENCED,
    LEASE_METRIC_COUNT
};

static const struct metric_row rows[LEASE_METRIC_COUNT] = {
    [LEASE_METRIC_HELD] = {"freehold_leases_held", METRIC_GAUGE,
                           "Work of one owner that this process has.", NULL},
    [LEASE_METRIC_WANTED] = {"freehold_leases_wanted", METRIC_GAUGE,
                             "Work of one owner that this process has or waits for.", NULL},
    [LEASE_METRIC_ACQUIRED] = {"freehold_leases_acquired_total", METRIC_COUNTER,
                               "Times that this process got such work.", NULL},
    [LEASE_METRIC_LOST] = {"freehold_leases_lost_total", METRIC_COUNTER,
                           "Times that another process took such work over.", NULL},
    [LEASE_METRIC_FENCED] = {"freehold_leases_fenced_total", METRIC_COUNTER,
                             "Late writes that were refused by their fencing number.", NULL},
};
static struct metric_value values[LEASE_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(rows, values, LEASE_METRIC_COUNT);
}

void store_lease_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}

/* ---- one round ---- */

struct round {
    struct store *store;
    struct arena arena;
    struct store_lease_row *rows;
    size_t row_count;
    struct slice dead[STORE_LEASES_MAX]; /* processes of this machine that are no more */
    size_t dead_count;
    const char *takeable[STORE_LEASES_MAX];
    size_t takeable_count;
    uint64_t parted; /* connections of paused processes that were ended */
};

static enum err beat(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct store *store = ctx;
    const struct store_leases *l = &store->leases;
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_beat);
    store_bind_text(&q, "process_id", slice_text(l->process_id));
    store_bind_text(&q, "host", slice_text(l->host));
    store_bind_i64(&q, "pid", getpid());
    store_bind_text(&q, "place", slice_text(l->place));
    store_bind_text(&q, "roles", slice_text(l->roles));
    store_bind_text(&q, "version", slice_text(l->version));
    store_bind_i64(&q, "lease_usec", store->config.lease_usec);
    return store_finish(&q, NULL, why);
}

/* Finds processes that ended without saying so, where that can be known: before their time. */
static enum err look_around(struct store_tx *tx, struct round *r, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_neighbours);
    store_bind_text(&q, "place", slice_text(r->store->leases.place));
    while (store_step(&q)) {
        struct slice id = store_get_text(&q, "process_id", &r->arena);
        int64_t pid = store_get_i64(&q, "pid");
        if (r->dead_count < STORE_LEASES_MAX && kill((pid_t)pid, 0) != 0 && errno == ESRCH) {
            r->dead[r->dead_count++] = id;
        }
    }
    return store_finish(&q, NULL, why);
}

static enum err look(struct store_tx *tx, void *ctx, struct why *why)
{
    struct round *r = ctx;
    arena_clear(&r->arena);
    r->dead_count = 0;
    enum err e = store_leases_list(tx, &r->arena, &r->rows, &r->row_count, why);
    return e == OK ? look_around(tx, r, why) : e;
}

static enum err forget(struct store_tx *tx, struct slice process_id, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_leave);
    store_bind_text(&q, "process_id", process_id);
    return store_finish(&q, NULL, why);
}

static enum err bury(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct round *r = ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < r->dead_count; i++) {
        e = forget(tx, r->dead[i], why);
    }
    return e;
}

static enum err take_one(struct store_tx *tx, struct round *r, size_t i, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_make);
    store_bind_text(&q, "name", slice_text(r->takeable[i]));
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &store_lease_sql_take);
    store_bind_text(&q, "name", slice_text(r->takeable[i]));
    store_bind_text(&q, "owner", slice_text(r->store->leases.process_id));
    return store_finish(&q, NULL, why);
}

/* Whoever does not live does not end what it began, either. */
static enum err part(struct store_tx *tx, struct round *r, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_part);
    store_bind_i64(&q, "lease_usec", r->store->config.lease_usec);
    r->parted = store_step(&q) ? (uint64_t)store_get_i64(&q, "parted") : 0;
    return store_finish(&q, NULL, why);
}

static enum err take(struct store_tx *tx, void *ctx, struct why *why)
{
    struct round *r = ctx;
    enum err e = part(tx, r, why);
    for (size_t i = 0; e == OK && i < r->takeable_count; i++) {
        e = take_one(tx, r, i, why);
    }
    store_notify(tx, STORE_KEEPER_CHANNEL);
    return e;
}

static const struct store_lease_row *row_of(const struct round *r, const char *name)
{
    for (size_t i = 0; i < r->row_count; i++) {
        if (slice_equal_text(r->rows[i].name, name)) {
            return &r->rows[i];
        }
    }
    return NULL;
}

static bool is_mine(const struct store *store, const struct store_lease_row *row)
{
    return row != NULL && slice_equal_text(row->owner, store->leases.process_id);
}

/* Names what is wanted and nobody has. */
static void find_takeable(struct round *r)
{
    struct store_leases *l = &r->store->leases;
    r->takeable_count = 0;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->count; i++) {
        const struct store_lease_row *row = row_of(r, l->wanted[i].name);
        bool free = row == NULL || (!row->alive && !is_mine(r->store, row));
        if (l->wanted[i].channel != NULL && free) {
            r->takeable[r->takeable_count++] = l->wanted[i].name; /* names do not move */
        }
    }
    pthread_mutex_unlock(&l->lock);
}

/* Keeps what was seen for those who ask about leases of others. Called with the lock held. */
static void keep_looks(struct store_leases *l, const struct round *r)
{
    if (r->row_count > l->look_cap) {
        l->look_cap = 2 * r->row_count;
        l->looks = mem_resize(l->looks, l->look_cap * sizeof(l->looks[0]));
    }
    for (size_t i = 0; i < r->row_count; i++) {
        struct store_lease_look *k = &l->looks[i];
        (void)snprintf(k->name, sizeof(k->name), "%.*s", SLICE_ARG(r->rows[i].name));
        k->alive = r->rows[i].alive;
        k->idle_usec = r->rows[i].idle_usec;
    }
    l->look_count = r->row_count;
}

/* What became of a lease, to be told when no lock is held. */
struct change {
    const char *name;
    const char *channel;
    uint64_t before;
    uint64_t now;
    uint64_t owner_fence;
};

static void tell(struct store *store, const struct change *c)
{
    if (c->before != 0 && c->before != c->now) {
        metric_add(&values[LEASE_METRIC_LOST], 1);
        LOG(LOG_WARN, "lease.lost", log_text("name", c->name), log_u64("fence", c->before),
            log_u64("new_fence", c->owner_fence));
    }
    if (c->now != 0 && c->before != c->now) {
        metric_add(&values[LEASE_METRIC_ACQUIRED], 1);
        LOG(LOG_INFO, "lease.acquired", log_text("name", c->name), log_u64("fence", c->now));
    }
    store_wake(store, c->channel);
}

/* Takes over what was seen; returns how many changes there are. Called with the lock held. */
static size_t note_all(struct round *r, bool lapsed, struct change *changes)
{
    struct store_leases *l = &r->store->leases;
    size_t count = 0;
    for (size_t i = 0; i < l->count; i++) {
        struct store_lease *lease = &l->wanted[i];
        if (lease->channel == NULL) {
            continue;
        }
        const struct store_lease_row *row = row_of(r, lease->name);
        uint64_t before = lease->fence;
        lease->seen_fence = row != NULL ? row->fence : 0;
        lease->fence = row != NULL && is_mine(r->store, row) ? row->fence : 0;
        /* Our time had passed and nobody took it: the work goes on. */
        if (lease->fence != before || (lapsed && before != 0)) {
            changes[count++] = (struct change){lease->name, lease->channel, before, lease->fence,
                                               lease->seen_fence};
        }
    }
    return count;
}

static void note(struct round *r, int64_t valid_mono_usec)
{
    struct store_leases *l = &r->store->leases;
    struct change changes[STORE_LEASES_MAX];
    pthread_mutex_lock(&l->lock);
    bool lapsed = clock_mono_usec() >= l->valid_mono_usec;
    l->valid_mono_usec = valid_mono_usec;
    keep_looks(l, r);
    size_t count = note_all(r, lapsed, changes);
    int64_t held = 0;
    int64_t wanted = 0;
    for (size_t i = 0; i < l->count; i++) {
        held += l->wanted[i].fence != 0;
        wanted += l->wanted[i].channel != NULL;
    }
    pthread_mutex_unlock(&l->lock);
    metric_set(&values[LEASE_METRIC_HELD], held);
    metric_set(&values[LEASE_METRIC_WANTED], wanted);
    for (size_t i = 0; i < count; i++) {
        tell(r->store, &changes[i]);
    }
}

/* On the keeper's own connection, where there are many. */
static enum err write_now(struct store *store, store_fn fn, void *ctx, struct why *why)
{
    return store->driver->single_writer ? store_write(store, fn, ctx, why)
                                        : store_write_in(store, &store->keeping, fn, ctx, why);
}

static enum err look_now(struct round *r, struct why *why)
{
    struct store *store = r->store;
    return store->driver->single_writer ? store_read(store, look, r, why)
                                        : store_read_in(store, &store->keeping, look, r, why);
}

static enum err make_round(struct round *r, struct why *why)
{
    struct store *store = r->store;
    bool alone = store->driver->single_writer;
    /* What counts is when we ask, not when the answer comes. */
    int64_t valid = alone ? INT64_MAX : clock_mono_usec() + store->config.lease_usec;
    enum err e = OK;
    if (!alone) {
        struct why detail = {0};
        e = write_now(store, beat, store, &detail);
        store_writing_note_own(store, e, &detail);
        if (e != OK) {
            *why = detail;
        }
    }
    if (e == OK) {
        e = look_now(r, why);
    }
    if (e == OK && r->dead_count > 0) {
        e = write_now(store, bury, r, why);
        e = e == OK ? look_now(r, why) : e;
    }
    if (e != OK) {
        return e;
    }
    find_takeable(r);
    if (r->takeable_count > 0) {
        e = write_now(store, take, r, why);
        if (r->parted > 0) {
            LOG(LOG_WARN, "lease.paused_connections_ended", log_u64("connections", r->parted));
        }
        e = e == OK ? look_now(r, why) : e;
    }
    if (e == OK) {
        note(r, valid);
    }
    return e;
}

static void note_failure(struct store *store, enum err e, const struct why *why)
{
    struct store_leases *l = &store->leases;
    pthread_mutex_lock(&l->lock);
    bool failing = l->failing;
    l->failing = e != OK;
    pthread_mutex_unlock(&l->lock);
    if (e != OK && !failing) {
        LOG(LOG_WARN, "lease.renewal_failed", log_err(e), log_why(why, e));
    } else if (e == OK && failing) {
        LOG(LOG_INFO, "lease.renewed");
    }
}

static void end_round(struct store_leases *l)
{
    pthread_mutex_lock(&l->lock);
    l->rounds++;
    pthread_cond_broadcast(&l->looked);
    pthread_mutex_unlock(&l->lock);
}

static enum err round_now(struct store *store, struct why *why)
{
    struct round r = {.store = store};
    arena_init(&r.arena, 16384);
    enum err e = make_round(&r, why);
    arena_free(&r.arena);
    return e;
}

/* ---- the thread ---- */

static bool stopping(struct store_leases *l)
{
    pthread_mutex_lock(&l->lock);
    bool stopping = l->stopping;
    pthread_mutex_unlock(&l->lock);
    return stopping;
}

static void *keeper_main(void *arg)
{
    struct store *store = arg;
    struct store_leases *l = &store->leases;
    uint64_t seen = store_signal_now(store, STORE_KEEPER_CHANNEL);
    while (!stopping(l)) {
        struct why why = {0};
        enum err e = round_now(store, &why);
        note_failure(store, e, &why);
        end_round(l);
        (void)store_wait(store, STORE_KEEPER_CHANNEL, &seen, store->config.lease_usec / ROUNDS);
    }
    return NULL;
}

void store_keeper_look(struct store *store)
{
    struct store_leases *l = &store->leases;
    if (!l->has_thread) {
        struct why why = {0};
        enum err e = round_now(store, &why);
        note_failure(store, e, &why);
        return;
    }
    pthread_mutex_lock(&l->lock);
    uint64_t until = l->rounds + 2; /* the round that runs may have begun before */
    pthread_mutex_unlock(&l->lock);
    for (;;) {
        store_wake(store, STORE_KEEPER_CHANNEL);
        pthread_mutex_lock(&l->lock);
        uint64_t before = l->rounds;
        while (l->rounds == before && l->rounds < until && !l->stopping) {
            pthread_cond_wait(&l->looked, &l->lock);
        }
        bool done = l->rounds >= until || l->stopping;
        pthread_mutex_unlock(&l->lock);
        if (done) {
            return;
        }
    }
}

void store_keeper_fenced(struct store *store, const struct store_hold *hold, const struct why *why)
{
    struct store_leases *l = &store->leases;
    struct store_lease *lease = hold->lease;
    metric_add(&values[LEASE_METRIC_FENCED], 1);
    LOG(LOG_WARN, "lease.fenced", log_text("name", lease->name), log_u64("fence", hold->fence),
        log_why(why, ERR_FENCED));
    pthread_mutex_lock(&l->lock);
    bool known = lease->fence == hold->fence;
    if (known) {
        lease->fence = 0;
    }
    pthread_mutex_unlock(&l->lock);
    if (known) {
        metric_add(&values[LEASE_METRIC_LOST], 1);
        LOG(LOG_WARN, "lease.lost", log_text("name", lease->name), log_u64("fence", hold->fence));
    }
    store_wake(store, STORE_KEEPER_CHANNEL);
}

/* ---- start and end ---- */

void store_leases_init(struct store *store)
{
    struct store_leases *l = &store->leases;
    ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&l->looked, NULL) == 0);
}

void store_leases_clear(struct store *store)
{
    struct store_leases *l = &store->leases;
    mem_free(l->looks);
    pthread_cond_destroy(&l->looked);
    pthread_mutex_destroy(&l->lock);
}

/* Who comes first, and what is gone for good. */
static enum err enter(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store *store = ctx;
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_forget);
    store_bind_text(&q, "process_id", slice_text(store->leases.process_id));
    enum err e = store_finish(&q, NULL, why);
    return e == OK ? beat(tx, store, why) : e;
}

static enum err leave(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct store *store = ctx;
    store_notify(tx, STORE_KEEPER_CHANNEL);
    return forget(tx, slice_text(store->leases.process_id), why);
}

static enum err start_thread(struct store *store, struct why *why)
{
    struct store_leases *l = &store->leases;
    int failed = thread_start(&l->thread, keeper_main, store);
    if (failed != 0) {
        return why_set(why, ERR_INTERNAL, NULL, "The keeper of leases cannot be started: %s.",
                       strerror(failed));
    }
    (void)pthread_setname_np(l->thread, "leases");
    l->has_thread = true;
    return OK;
}

/* A name for "where my pids mean the same": empty when the system does not tell. */
static void find_place(char *out, size_t size)
{
    char boot[64];
    struct stat pids;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, boot, sizeof(boot) - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    out[0] = '\0';
    if (len > 0 && stat("/proc/self/ns/pid", &pids) == 0) {
        boot[len] = '\0';
        (void)snprintf(out, size, "%.*s/%llu", (int)strcspn(boot, "\n"), boot,
                       (unsigned long long)pids.st_ino);
    }
}

enum err store_leases_start(struct store *store, const char *roles, const char *version,
                            struct why *why)
{
    struct store_leases *l = &store->leases;
    ASSERT(!l->started && !store->read_only);
    char id[RAND_ID_MAX];
    rand_id("process", id);
    ASSERT(strlen(id) < sizeof(l->process_id));
    (void)snprintf(l->process_id, sizeof(l->process_id), "%s", id);
    if (gethostname(l->host, sizeof(l->host)) != 0) {
        (void)snprintf(l->host, sizeof(l->host), "unknown");
    }
    l->host[sizeof(l->host) - 1] = '\0';
    find_place(l->place, sizeof(l->place));
    l->roles = slice_cstr(&store->boot, slice_text(roles));
    l->version = slice_cstr(&store->boot, slice_text(version));
    store_lease_metrics_register();
    enum err e = store_write(store, enter, store, why);
    if (e == OK) {
        l->started = true;
        e = store->driver->single_writer ? round_now(store, why) : start_thread(store, why);
    }
    if (e == OK) {
        store_keeper_look(store);
    }
    return e;
}

void store_leases_stop(struct store *store)
{
    struct store_leases *l = &store->leases;
    if (!l->started) {
        return;
    }
    if (l->has_thread) {
        pthread_mutex_lock(&l->lock);
        l->stopping = true;
        pthread_cond_broadcast(&l->looked);
        pthread_mutex_unlock(&l->lock);
        store_wake(store, STORE_KEEPER_CHANNEL);
        ASSERT(pthread_join(l->thread, NULL) == 0);
        l->has_thread = false;
    }
    for (size_t i = 0; i < l->count; i++) {
        store_lease_release(store, &l->wanted[i]);
    }
    struct why why = {0};
    enum err e = store_write(store, leave, store, &why);
    if (e != OK) {
        LOG(LOG_WARN, "lease.not_left", log_err(e), log_why(&why, e));
    }
    l->started = false;
}
