#include "kernel/store/store_lease.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/store/store_keeper.h"
#include "kernel/store/store_lease_sql.h"
#include "kernel/store/store_private.h"

#define LISTED_START 32

/* ---- what this process holds ---- */

bool store_leases_started(const struct store *store)
{
    return store->leases.started;
}

const char *store_process_id(const struct store *store)
{
    return store->leases.process_id;
}

const char *store_lease_name(const struct store_lease *lease)
{
    return lease->name;
}

/* Called with the lock held. */
static struct store_lease *find_wanted(struct store_leases *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->wanted[i].name, name) == 0) {
            return &l->wanted[i];
        }
    }
    return NULL;
}

struct store_lease *store_lease_want(struct store *store, const char *name, const char *channel)
{
    struct store_leases *l = &store->leases;
    ASSERT(l->started && !store_in_tx());
    ASSERT(strlen(name) < STORE_LEASE_NAME_MAX && channel != NULL);
    pthread_mutex_lock(&l->lock);
    struct store_lease *lease = find_wanted(l, name);
    if (lease == NULL) {
        ASSERT(l->count < STORE_LEASES_MAX);
        lease = &l->wanted[l->count++];
        (void)snprintf(lease->name, sizeof(lease->name), "%s", name);
    }
    lease->channel = channel;
    pthread_mutex_unlock(&l->lock);
    store_keeper_look(store);
    return lease;
}

uint64_t store_lease_held(struct store *store, const struct store_lease *lease)
{
    struct store_leases *l = &store->leases;
    pthread_mutex_lock(&l->lock);
    uint64_t fence = clock_mono_usec() < l->valid_mono_usec ? lease->fence : 0;
    pthread_mutex_unlock(&l->lock);
    return fence;
}

struct giving {
    const char *name;
    const char *owner;
    uint64_t fence;
};

static enum err give(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct giving *g = ctx;
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_give);
    store_bind_text(&q, "name", slice_text(g->name));
    store_bind_text(&q, "owner", slice_text(g->owner));
    store_bind_i64(&q, "fence", (int64_t)g->fence);
    store_notify(tx, STORE_KEEPER_CHANNEL);
    return store_finish(&q, NULL, why);
}

void store_lease_release(struct store *store, struct store_lease *lease)
{
    struct store_leases *l = &store->leases;
    struct giving g = {.name = lease->name, .owner = l->process_id};
    struct why why = {0};
    pthread_mutex_lock(&l->lock);
    g.fence = lease->fence;
    lease->fence = 0;
    lease->channel = NULL;
    pthread_mutex_unlock(&l->lock);
    if (g.fence == 0) {
        return;
    }
    enum err e = store_write(store, give, &g, &why);
    if (e != OK) {
        /* Others have to wait until its time has passed. */
        LOG(LOG_WARN, "lease.not_released", log_text("name", g.name), log_err(e), log_why(&why, e));
    } else {
        LOG(LOG_INFO, "lease.released", log_text("name", g.name), log_u64("fence", g.fence));
    }
}

size_t store_lease_states(struct store *store, struct store_lease_state *out, size_t cap)
{
    struct store_leases *l = &store->leases;
    size_t count = 0;
    pthread_mutex_lock(&l->lock);
    bool valid = clock_mono_usec() < l->valid_mono_usec;
    for (size_t i = 0; i < l->count; i++) {
        const struct store_lease *lease = &l->wanted[i];
        if (lease->channel == NULL) {
            continue;
        }
        if (count < cap) {
            out[count] = (struct store_lease_state){.name = lease->name,
                                                    .held = valid && lease->fence != 0,
                                                    .fence = lease->seen_fence};
        }
        count++;
    }
    pthread_mutex_unlock(&l->lock);
    return count;
}

bool store_lease_known(struct store *store, const char *name, int64_t idle_usec)
{
    struct store_leases *l = &store->leases;
    bool known = false;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; !known && i < l->look_count; i++) {
        const struct store_lease_look *look = &l->looks[i];
        known = strcmp(look->name, name) == 0 && (look->alive || look->idle_usec < idle_usec);
    }
    pthread_mutex_unlock(&l->lock);
    return known;
}

/* ---- writing under leases ---- */

struct fenced {
    const char *process_id;
    const struct store_hold *holds;
    size_t count;
    store_fn fn;
    void *ctx;
    bool committed; /* at READ COMMITTED: the fences are locked, whoever reads them */
    size_t refused; /* out: the one that is another's; `count` when there is none */
};

static enum err check(struct store_tx *tx, const char *process_id, const struct store_hold *hold,
                      struct why *why)
{
    bool mine = false;
    uint64_t fence = 0;
    struct arena scratch;
    arena_init(&scratch, 256);
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_fence);
    store_bind_text(&q, "name", slice_text(hold->lease->name));
    if (store_step(&q)) {
        mine = slice_equal_text(store_get_text(&q, "owner", &scratch), process_id);
        fence = (uint64_t)store_get_i64(&q, "fence");
    }
    arena_free(&scratch);
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && (!mine || fence != hold->fence)) {
        e = why_set(why, ERR_FENCED, NULL,
                    "Another process has taken over %s: its number is %llu, ours was %llu.",
                    hold->lease->name, (unsigned long long)fence, (unsigned long long)hold->fence);
    }
    return e;
}

static enum err run_fenced(struct store_tx *tx, void *ctx, struct why *why)
{
    struct fenced *f = ctx;
    f->refused = f->count;
    if (f->committed) {
        store_read_committed(tx);
    }
    for (size_t i = 0; i < f->count; i++) {
        enum err e = check(tx, f->process_id, &f->holds[i], why);
        if (e != OK) {
            f->refused = e == ERR_FENCED ? i : f->count;
            return e;
        }
    }
    return f->fn(tx, f->ctx, why);
}

static enum err write_fenced(struct store *store, struct fenced *f, struct why *why)
{
    struct why detail = {0};
    f->process_id = store->leases.process_id;
    f->refused = f->count;
    enum err e = store_write(store, run_fenced, f, &detail);
    if (e == ERR_FENCED && f->refused < f->count) {
        store_keeper_fenced(store, &f->holds[f->refused], &detail);
    }
    if (e != OK && why != NULL) {
        *why = detail;
    }
    return e;
}

enum err store_lease_write(struct store *store, const struct store_hold *holds, size_t count,
                           store_fn fn, void *ctx, struct why *why)
{
    struct fenced f = {.holds = holds, .count = count, .fn = fn, .ctx = ctx};
    return write_fenced(store, &f, why);
}

enum err store_lease_write_committed(struct store *store, const struct store_hold *holds,
                                     size_t count, store_fn fn, void *ctx, struct why *why)
{
    struct fenced f = {.holds = holds, .count = count, .fn = fn, .ctx = ctx, .committed = true};
    return write_fenced(store, &f, why);
}

/* ---- reading ---- */

enum err store_process_lives(struct store_tx *tx, struct slice process_id, bool *out,
                             struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_lives);
    store_bind_text(&q, "process_id", process_id);
    bool lives = store_step(&q);
    if (lives) {
        store_ignore(&q, "process_id");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = lives;
    }
    return e;
}

static void read_lease(struct store_query *q, struct arena *arena, struct store_lease_row *out)
{
    *out = (struct store_lease_row){
        .name = store_get_text(q, "name", arena),
        .owner = store_get_text(q, "owner", arena),
        .fence = (uint64_t)store_get_i64(q, "fence"),
        .since_usec = store_get_time(q, "since"),
        .host = store_get_text(q, "host", arena),
        .pid = store_get_i64(q, "pid"),
        .roles = store_get_text(q, "roles", arena),
        .alive = store_get_bool(q, "alive"),
        .idle_usec = store_get_i64(q, "idle_usec"),
    };
}

enum err store_leases_list(struct store_tx *tx, struct arena *arena, struct store_lease_row **out,
                           size_t *out_count, struct why *why)
{
    size_t cap = LISTED_START;
    size_t count = 0;
    struct store_lease_row *rows = arena_alloc_array(arena, cap, sizeof(*rows));
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_list);
    while (store_step(&q)) {
        if (count == cap) {
            struct store_lease_row *grown = arena_alloc_array(arena, 2 * cap, sizeof(*grown));
            memcpy(grown, rows, cap * sizeof(*grown));
            rows = grown;
            cap *= 2;
        }
        read_lease(&q, arena, &rows[count++]);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = rows;
        *out_count = count;
    }
    return e;
}

static void read_process(struct store_query *q, struct arena *arena, struct store_process_row *out)
{
    *out = (struct store_process_row){
        .id = store_get_text(q, "process_id", arena),
        .host = store_get_text(q, "host", arena),
        .pid = store_get_i64(q, "pid"),
        .roles = store_get_text(q, "roles", arena),
        .version = store_get_text(q, "version", arena),
        .started_usec = store_get_time(q, "started_at"),
        .alive = store_get_bool(q, "alive"),
    };
}

enum err store_processes_list(struct store_tx *tx, struct arena *arena,
                              struct store_process_row **out, size_t *out_count, struct why *why)
{
    size_t cap = LISTED_START;
    size_t count = 0;
    struct store_process_row *rows = arena_alloc_array(arena, cap, sizeof(*rows));
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_processes);
    while (store_step(&q)) {
        if (count == cap) {
            struct store_process_row *grown = arena_alloc_array(arena, 2 * cap, sizeof(*grown));
            memcpy(grown, rows, cap * sizeof(*grown));
            rows = grown;
            cap *= 2;
        }
        read_process(&q, arena, &rows[count++]);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = rows;
        *out_count = count;
    }
    return e;
}

/* ---- the name of the database ---- */

struct naming {
    char fresh[STORE_INSTALLATION_MAX];
    char id[STORE_INSTALLATION_MAX];
};

static enum err name_database(struct store_tx *tx, void *ctx, struct why *why)
{
    struct naming *n = ctx;
    struct arena scratch;
    struct store_query q;
    store_begin(&q, tx, &store_lease_sql_installation_make);
    store_bind_text(&q, "id", slice_text(n->fresh));
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    arena_init(&scratch, 256);
    store_begin(&q, tx, &store_lease_sql_installation);
    if (store_step(&q)) {
        (void)snprintf(n->id, sizeof(n->id), "%.*s", SLICE_ARG(store_get_text(&q, "id", &scratch)));
    }
    arena_free(&scratch);
    return store_finish_one(&q, "installation", why);
}

enum err store_installation(struct store *store, char out[STORE_INSTALLATION_MAX], struct why *why)
{
    struct naming n = {0};
    uint8_t random[32];
    rand_bytes(random, sizeof(random));
    hex_encode_to(slice_of(random, sizeof(random)), n.fresh);
    enum err e = store_write(store, name_database, &n, why);
    if (e == OK) {
        memcpy(out, n.id, sizeof(n.id));
    }
    return e;
}
