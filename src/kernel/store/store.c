#include "kernel/store/store.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/store/store_private.h"

/* Units: microseconds. */
#define LEASE_USEC (3 * (int64_t)USEC_PER_SEC)

static const char *const synchronous_choices[] = {"full", "normal", NULL};

const struct config_row store_config_rows[] = {
    {.key = "store.url",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct store_config, url),
     .default_ = "sqlite:freehold-data/freehold.db",
     .flags = CONFIG_URLS,
     .doc = "Database: sqlite:PATH keeps everything in one file beside the program; "
            "postgresql://USER@HOST/NAME?sslmode=verify-full is a server, 15 or newer."},
    {.key = "store.readers",
     .type = CONFIG_U64,
     .offset = offsetof(struct store_config, readers),
     .default_ = "4",
     .min = 1,
     .max = 256,
     .doc = "Read connections; requests beyond them wait for one."},
    {.key = "store.writers",
     .type = CONFIG_U64,
     .offset = offsetof(struct store_config, writers),
     .default_ = "8",
     .min = 1,
     .max = 256,
     .doc = "PostgreSQL: write connections; writes beyond them wait for one."},
    {.key = "store.busy",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct store_config, busy_usec),
     .default_ = "5s",
     .max = 600ull * USEC_PER_SEC,
     .doc = "How long a statement waits for a lock that another program holds."},
    {.key = "store.connect_timeout",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct store_config, connect_usec),
     .default_ = "5s",
     .min = 2ull * USEC_PER_SEC,
     .max = 600ull * USEC_PER_SEC,
     .doc = "PostgreSQL: how long connecting may take, in whole seconds."},
    {.key = "store.statement_timeout",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct store_config, statement_usec),
     .default_ = "60s",
     .max = 86400ull * USEC_PER_SEC,
     .doc = "PostgreSQL: how long a statement may run, or a reading transaction rest; 0 is for "
            "ever."},
    {.key = "store.wait_timeout",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct store_config, wait_usec),
     .default_ = "10s",
     .max = 600ull * USEC_PER_SEC,
     .doc = "How long a request waits for a connection before it is answered 503 (db_busy); 0 is "
            "for ever."},
    {.key = "store.idle_timeout",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct store_config, idle_usec),
     .default_ = "10min",
     .max = 86400ull * USEC_PER_SEC,
     .doc = "PostgreSQL: a connection that nobody used for so long is closed; 0 is never."},
    {.key = "store.lease",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct store_config, lease_usec),
     .default_ = "3s",
     .min = USEC_PER_SEC,
     .max = 60ull * USEC_PER_SEC,
     .doc = "PostgreSQL: how long a process that says nothing keeps work that only one may do; "
            "a writing transaction that rests for half of it is ended."},
    {.key = "store.batch_max",
     .type = CONFIG_U64,
     .offset = offsetof(struct store_config, batch_max),
     .default_ = "256",
     .min = 1,
     .max = 65536,
     .doc = "Most writes that share one commit to the disk."},
    {.key = "store.synchronous",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct store_config, synchronous),
     .default_ = "full",
     .choices = synchronous_choices,
     .doc = "SQLite: full survives a power cut, normal may lose the last commits in one."},
};
const size_t store_config_row_count = sizeof(store_config_rows) / sizeof(store_config_rows[0]);

struct scheme {
    const char *prefix;
    const struct store_driver *driver;
};

static const struct scheme schemes[] = {
    {"sqlite:", &store_driver_sqlite},
    {"postgresql://", &store_driver_postgres},
    {"postgres://", &store_driver_postgres},
};

static const struct store_driver *driver_of(const char *url)
{
    struct slice text = slice_text(url);
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (slice_starts(text, slice_text(schemes[i].prefix))) {
            return schemes[i].driver;
        }
    }
    return NULL;
}

bool store_url_known(const char *url)
{
    return driver_of(url) != NULL;
}

static enum err find_driver(const char *url, const struct store_driver **out, struct why *why)
{
    *out = driver_of(url);
    if (*out != NULL) {
        return OK;
    }
    return why_set(why, ERR_CONFIG, "store.url",
                   "store.url must be sqlite:PATH or postgresql://HOST/NAME.");
}

/* A url for people: what stands between the user's ':' and '@' is a password. */
static char *hide_password(struct arena *arena, const char *url)
{
    struct slice whole = slice_text(url);
    const char *authority = strstr(url, "://");
    if (authority == NULL) {
        return slice_cstr(arena, whole);
    }
    const char *user = authority + 3;
    const char *end = user + strcspn(user, "/?#");
    const char *at = memrchr(user, '@', (size_t)(end - user));
    const char *colon = at != NULL ? memchr(user, ':', (size_t)(at - user)) : NULL;
    struct buf shown;
    buf_init(&shown, arena, whole.len + 8);
    if (colon != NULL) {
        buf_add(&shown, url, (size_t)(colon + 1 - url));
        buf_add_text(&shown, "***");
        url = at;
    }
    for (const char *key = strstr(url, "password="); key != NULL; key = strstr(url, "password=")) {
        const char *secret = key + strlen("password=");
        buf_add(&shown, url, (size_t)(secret - url));
        buf_add_text(&shown, "***");
        url = secret + strcspn(secret, "&");
    }
    buf_add_text(&shown, url);
    return slice_cstr(arena, buf_slice(&shown));
}

/* Who waits to be alone comes before those who would share: it has lost a race already. */
static void init_turn(pthread_rwlock_t *turn)
{
    pthread_rwlockattr_t first;
    ASSERT(pthread_rwlockattr_init(&first) == 0);
    ASSERT(pthread_rwlockattr_setkind_np(&first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) ==
           0);
    ASSERT(pthread_rwlock_init(turn, &first) == 0);
    pthread_rwlockattr_destroy(&first);
}

static void init_locks(struct store *store)
{
    ASSERT(pthread_mutex_init(&store->queue_lock, NULL) == 0);
    ASSERT(pthread_cond_init(&store->queue_filled, NULL) == 0);
    ASSERT(pthread_cond_init(&store->queue_left, NULL) == 0);
    init_turn(&store->turn);
    ASSERT(pthread_mutex_init(&store->outage.lock, NULL) == 0);
    ASSERT(pthread_mutex_init(&store->signal_lock, NULL) == 0);
    ASSERT(pthread_mutex_init(&store->writing.lock, NULL) == 0);
}

/* Gives back a store whose threads have ended; connections that were not opened are NULL. */
static void store_free(struct store *store)
{
    store_pool_clear(store, &store->readers);
    store_pool_clear(store, &store->writers);
    store_pool_clear(store, &store->keeping);
    store_leases_clear(store);
    if (store->writer != NULL) {
        store->driver->close(store->writer);
    }
    for (size_t i = 0; i < store->channel_count; i++) {
        pthread_cond_destroy(&store->channels[i].changed);
    }
    pthread_mutex_destroy(&store->signal_lock);
    pthread_mutex_destroy(&store->writing.lock);
    pthread_mutex_destroy(&store->outage.lock);
    pthread_rwlock_destroy(&store->turn);
    pthread_cond_destroy(&store->queue_left);
    pthread_cond_destroy(&store->queue_filled);
    pthread_mutex_destroy(&store->queue_lock);
    arena_free(&store->boot);
    mem_free(store);
}

static enum err open_connections(struct store *store, struct why *why)
{
    const struct store_driver *driver = store->driver;
    enum err e = OK;
    store->is_new = !store->read_only && !store->config.beside;
    if (driver->single_writer && !store->read_only) {
        e = driver->open(&store->writer, &store->config, store->catalog, true, why);
    } else if (!store->read_only) {
        e = store_pool_fill(store, &store->writers, 1, why);
        store->is_new = e == OK && driver->is_new(store->writers.idle[0].conn);
    }
    /* A server's connections are made when they are needed, a file's are no work. */
    if (e == OK) {
        size_t count = driver->single_writer ? store->readers.size : 1;
        e = store_pool_fill(store, &store->readers, count, why);
    }
    return e;
}

static enum err start_threads(struct store *store, struct why *why)
{
    if (!store->driver->single_writer) {
        return store_listener_start(store, why);
    }
    return store->read_only ? OK : store_writer_start(store, why);
}

enum err store_open(struct store **out, const struct store_config *config,
                    const struct store_catalog *catalog, struct why *why)
{
    ASSERT(config->readers > 0 && config->batch_max > 0);
    const struct store_driver *driver = NULL;
    enum err e = find_driver(config->url, &driver, why);
    if (e != OK) {
        return e;
    }
    ASSERT(driver != NULL);
    struct store *store = mem_alloc(sizeof(*store));
    arena_init(&store->boot, 0);
    store->driver = driver;
    store->catalog = catalog;
    store->config = *config;
    store->config.url = slice_cstr(&store->boot, slice_text(config->url));
    store->config.synchronous = slice_cstr(&store->boot, slice_text(config->synchronous));
    if (store->config.lease_usec == 0) {
        store->config.lease_usec = LEASE_USEC;
    }
    store->batch_max = config->batch_max;
    store->read_only = config->read_only;
    store->url_shown = hide_password(&store->boot, config->url);
    store->queue_tail = &store->queue_head;
    init_locks(store);
    store_pool_init(&store->readers, &store->boot, config->readers, STORE_READERS);
    store_pool_init(&store->writers, &store->boot, driver->single_writer ? 0 : config->writers,
                    STORE_WRITERS);
    store_pool_init(&store->keeping, &store->boot, driver->single_writer ? 0 : 1, STORE_KEEPER);
    store_leases_init(store);

    e = open_connections(store, why);
    if (e == OK) {
        e = start_threads(store, why);
    }
    if (e == OK) {
        e = store_migrate_begin(store, why);
    }
    if (e != OK) {
        store_close(store);
        return e;
    }
    *out = store;
    return OK;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    ASSERT(!store_in_tx());
    store_leases_stop(store);
    store_writer_stop(store);
    store_pool_close(&store->writers);
    store_pool_close(&store->readers);
    store_pool_close(&store->keeping);
    store_listener_stop(store);
    store_free(store);
}

const char *store_kind(const struct store *store)
{
    return store->driver->name;
}

const char *store_url_shown(const struct store *store)
{
    return store->url_shown;
}

void store_stats_read(struct store *store, struct store_stats *out)
{
    pthread_mutex_lock(&store->queue_lock);
    *out = store->stats;
    out->waiting = store->queue_callers;
    pthread_mutex_unlock(&store->queue_lock);
    pthread_mutex_lock(&store->outage.lock);
    out->connects = store->outage.connects;
    pthread_mutex_unlock(&store->outage.lock);
    store_pool_stats_read(&store->readers, &out->pools[STORE_READERS]);
    store_pool_stats_read(&store->writers, &out->pools[STORE_WRITERS]);
    store_pool_stats_read(&store->keeping, &out->pools[STORE_KEEPER]);
}
