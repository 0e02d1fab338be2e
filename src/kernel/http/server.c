#include <errno.h>
#include <microhttpd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/http/http_internal.h"

#define POOLED_MAX 256
/* How long an answer may take to leave once the time for draining is over. */
#define CUT_USEC 100000

/* ---- requests -------------------------------------------------------------------------------- */

struct http_request *http_request_take(struct http_server *server)
{
    pthread_mutex_lock(&server->pool_mutex);
    struct http_request *req = server->pool;
    if (req) {
        server->pool = req->next;
        server->pooled--;
    }
    pthread_mutex_unlock(&server->pool_mutex);
    if (!req) {
        req = mem_alloc(sizeof *req);
        arena_init(&req->arena, 0);
    }
    struct arena arena = req->arena;
    *req = (struct http_request){.server = server, .state = HTTP_NEW, .arena = arena};
    req->call.req = &req->arena;
    req->call.store = server->store;
    metric_set(&http_metrics[HTTP_METRIC_ACTIVE], atomic_fetch_add(&server->active, 1) + 1);
    return req;
}

static void request_free(struct http_request *req)
{
    arena_free(&req->arena);
    mem_free(req);
}

void http_request_give(struct http_request *req)
{
    struct http_server *server = req->server;
    http_upload_close(req);
    http_file_close(req);
    if (req->wipe || (req->call.route && req->call.route->secret)) {
        arena_wipe(&req->arena);
    } else {
        arena_clear(&req->arena);
    }
    pthread_mutex_lock(&server->pool_mutex);
    bool keep = server->pooled < POOLED_MAX;
    if (keep) {
        req->next = server->pool;
        server->pool = req;
        server->pooled++;
    }
    pthread_mutex_unlock(&server->pool_mutex);
    if (!keep) {
        request_free(req);
    }
    int64_t left = atomic_fetch_sub(&server->active, 1) - 1;
    metric_set(&http_metrics[HTTP_METRIC_ACTIVE], left);
    if (left == 0 && atomic_load(&server->mode) == HTTP_DRAINING) {
        pthread_mutex_lock(&server->idle_mutex);
        pthread_cond_broadcast(&server->idle);
        pthread_mutex_unlock(&server->idle_mutex);
    }
}

/* ---- start ----------------------------------------------------------------------------------- */

static enum err check_store(const struct http_server *server, const struct http_table *tables,
                            size_t table_count, struct why *why)
{
    for (size_t t = 0; !server->store && t < table_count; t++) {
        for (size_t r = 0; r < tables[t].count; r++) {
            if (!(tables[t].routes[r].flags & HTTP_NO_STORE)) {
                return why_set(why, ERR_CONFIG, NULL, "The route \"%s\" needs a database.",
                               tables[t].routes[r].path);
            }
        }
    }
    return OK;
}

/* Each connection is a descriptor: raise the limit as far as we may, then live within it. */
static void fit_descriptors(struct http_server *server)
{
    struct rlimit limit;
    size_t want = (size_t)server->config.connections_max;
    size_t other = HTTP_DESCRIPTORS_OTHER + (size_t)server->config.uploads_max +
                   (size_t)server->config.detached_max;
    server->conns.count_max = want;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    if (limit.rlim_cur < want + other) {
        rlim_t before = limit.rlim_cur;
        rlim_t wanted = want + other;
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            limit.rlim_cur = before;
        }
    }
    /* Sockets that handlers take come out of the same: at least half is for requests. */
    size_t half = limit.rlim_cur / 2;
    size_t left = limit.rlim_cur > other ? limit.rlim_cur - other : 0;
    size_t room = left > half ? left : half;
    if (room < want) {
        server->conns.count_max = room;
        LOG(LOG_WARN, "http.connections_limited", log_u64("connections_max", want),
            log_u64("descriptors", limit.rlim_cur), log_u64("used", room));
    }
}

static void init_sync(struct http_server *server)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&server->idle_mutex, NULL);
    pthread_cond_init(&server->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&server->pool_mutex, NULL);
    pthread_mutex_init(&server->runs_mutex, NULL);
    pthread_mutex_init(&server->conns.mutex, NULL);
    pthread_mutex_init(&server->queue.mutex, NULL);
}

static struct http_server *server_new(const struct http_config *config, struct store *store)
{
    ASSERT(config->io_threads > 0 && config->workers > 0 && config->queue_max > 0);
    ASSERT(config->connections_max > 0 && config->connections_per_client_max > 0);
    struct http_server *server = mem_alloc(sizeof *server);
    arena_init(&server->boot, 0);
    arena_init(&server->conns.scratch, 4096);
    server->config = *config;
    server->config.host = slice_cstr(&server->boot, slice_text(config->host));
    server->store = store;
    server->conns.listen_fd = -1;
    server->conns.wake_fd = -1;
    server->conns.per_client_max = (size_t)config->connections_per_client_max;
    server->started_usec = clock_wall_usec();
    if (store != NULL && store_leases_started(store)) {
        (void)snprintf(server->boot_id, sizeof server->boot_id, "%s", store_process_id(store));
    } else {
        rand_id("boot", server->boot_id);
    }
    init_sync(server);
    return server;
}

enum err http_start(struct http_server **out, const struct http_config *config,
                    const struct http_table *tables, size_t table_count, struct store *store,
                    struct why *why)
{
    http_metrics_register();
    struct http_server *server = server_new(config, store);
    enum err e = http_router_build(&server->boot, tables, table_count, &server->router, why);
    e = e ? e : http_cors_parse(&server->boot, config->cors_origins, &server->cors, why);
    e = e ? e : check_store(server, tables, table_count, why);
    if (!e) {
        fit_descriptors(server);
        e = http_conns_listen(server, why);
    }
    e = e ? e : http_workers_start(server, why);
    e = e ? e : http_mhd_start(server, why);
    e = e ? e : http_conns_start(server, why);
    if (e) {
        http_stop(server);
        return e;
    }
    LOG(LOG_INFO, "http.started", log_text("host", server->config.host),
        log_u64("port", server->port));
    *out = server;
    return OK;
}

uint16_t http_port(const struct http_server *server)
{
    return server->port;
}

/* ---- stop ------------------------------------------------------------------------------------ */

/* Waits until no request is under way, for at most `usec`. */
static bool wait_idle(struct http_server *server, int64_t usec)
{
    int64_t end = clock_mono_usec() + usec;
    struct timespec until = {
        .tv_sec = (time_t)(end / USEC_PER_SEC),
        .tv_nsec = (long)(end % USEC_PER_SEC * 1000),
    };
    int timed_out = 0;
    pthread_mutex_lock(&server->idle_mutex);
    while (atomic_load(&server->active) > 0 && timed_out != ETIMEDOUT) {
        timed_out = pthread_cond_timedwait(&server->idle, &server->idle_mutex, &until);
    }
    pthread_mutex_unlock(&server->idle_mutex);
    return atomic_load(&server->active) == 0;
}

/*
 * A request raises `active` before it looks at the mode, we set the mode before we look at
 * `active`: once it is 0, no request can reach the workers any more.
 */
static void drain(struct http_server *server)
{
    atomic_store(&server->mode, HTTP_DRAINING);
    http_conns_wake(server);
    if (wait_idle(server, server->config.drain_usec)) {
        return;
    }
    LOG(LOG_WARN, "http.drain_cut_short",
        log_u64("requests", (uint64_t)atomic_load(&server->active)));
    http_workers_refuse(server);
    do {
        http_conns_cut(server);
    } while (!wait_idle(server, CUT_USEC));
}

static void server_free(struct http_server *server)
{
    while (server->pool) {
        struct http_request *next = server->pool->next;
        request_free(server->pool);
        server->pool = next;
    }
    pthread_mutex_destroy(&server->idle_mutex);
    pthread_cond_destroy(&server->idle);
    pthread_mutex_destroy(&server->pool_mutex);
    pthread_mutex_destroy(&server->runs_mutex);
    pthread_mutex_destroy(&server->conns.mutex);
    pthread_mutex_destroy(&server->queue.mutex);
    arena_free(&server->boot);
    mem_free(server);
}

void http_stop(struct http_server *server)
{
    if (!server) {
        return;
    }
    if (server->conns.has_keeper) {
        drain(server);
    }
    http_workers_stop(server);
    if (server->daemon) {
        /* MHD must find no suspended connection: the workers have resumed the last one. */
        MHD_stop_daemon(server->daemon);
    }
    http_conns_stop(server);
    server_free(server);
}
