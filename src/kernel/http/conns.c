#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/http/http_internal.h"

/*
 * MHD could accept by itself. The keeper does it because a cap then refuses at once instead of
 * leaving connections in the backlog, and because MHD 0.9.75 may abort when a daemon with several
 * threads is quiesced at the moment in which one of them wakes up.
 */

#define PHASE_BITS 3
#define PHASE_MASK ((UINT64_C(1) << PHASE_BITS) - 1)
#define NO_DEADLINE (INT64_MAX >> (PHASE_BITS + 1))
#define ACCEPT_BURST 64
#define ACCEPT_PAUSE_USEC 100000
#define TICK_MIN_USEC 5000
#define TICK_MAX_USEC 250000
#define DRAIN_TICK_USEC 5000
/* A connection this young may have its first request in flight when the server stops. */
#define FIRST_GRACE_USEC 200000
/* How long a body whose end is missing is waited for when the client has closed. */
#define LEFT_GRACE_USEC 1000000
#define BACKLOG 1024

static const char *const phase_names[] = {
    "first", "idle", "headers", "body", "running", "sending", "doomed",
};

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

struct http_client {
    struct http_client *next;
    uint8_t key[16];
    size_t count;
    size_t uploads;
};

static uint64_t word_make(enum http_phase phase, int64_t deadline_usec)
{
    ASSERT(deadline_usec >= 0 && deadline_usec <= NO_DEADLINE);
    return (uint64_t)deadline_usec << PHASE_BITS | (uint64_t)phase;
}

static enum http_phase word_phase(uint64_t word)
{
    return (enum http_phase)(word & PHASE_MASK);
}

static int64_t word_deadline(uint64_t word)
{
    return (int64_t)(word >> PHASE_BITS);
}

bool http_conn_enter(struct http_conn *conn, enum http_phase phase, int64_t deadline_usec)
{
    uint64_t want = word_make(phase, phase == HTTP_PHASE_RUNNING ? NO_DEADLINE : deadline_usec);
    uint64_t now = atomic_load(&conn->word);
    while (word_phase(now) != HTTP_PHASE_DOOMED) {
        if (atomic_compare_exchange_weak(&conn->word, &now, want)) {
            return true;
        }
    }
    return false;
}

/* ---- clients --------------------------------------------------------------------------------- */

/* An IPv4 address whole; of an IPv6 address the network, since a host has the rest for itself. */
static void client_key(const union address *address, uint8_t out[16])
{
    memset(out, 0, 16);
    if (address->any.sa_family == AF_INET) {
        out[10] = out[11] = 0xFF;
        memcpy(out + 12, &address->four.sin_addr, 4);
        return;
    }
    const struct in6_addr *six = &address->six.sin6_addr;
    memcpy(out, six, IN6_IS_ADDR_V4MAPPED(six) ? 16 : 8);
}

static size_t client_bucket(const struct http_conns *c, const uint8_t key[16])
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < 16; i++) {
        hash = (hash ^ key[i]) * UINT64_C(1099511628211);
    }
    return (size_t)(hash ^ hash >> 32) & (c->bucket_count - 1);
}

static struct http_client *client_take(struct http_conns *c, const uint8_t key[16])
{
    struct http_client **bucket = &c->buckets[client_bucket(c, key)];
    for (struct http_client *client = *bucket; client; client = client->next) {
        if (memcmp(client->key, key, 16) == 0) {
            return client;
        }
    }
    struct http_client *client = c->client_spare;
    if (client) {
        c->client_spare = client->next;
    } else {
        client = mem_alloc(sizeof *client);
    }
    *client = (struct http_client){.next = *bucket};
    memcpy(client->key, key, 16);
    *bucket = client;
    return client;
}

static void client_drop(struct http_conns *c, struct http_client *client)
{
    ASSERT(client->count > 0);
    if (--client->count > 0) {
        return;
    }
    struct http_client **link = &c->buckets[client_bucket(c, client->key)];
    while (*link != client) {
        link = &(*link)->next;
    }
    *link = client->next;
    client->next = c->client_spare;
    c->client_spare = client;
}

/* ---- records --------------------------------------------------------------------------------- */

static void list_push(struct http_conn **list, struct http_conn *conn)
{
    conn->prev = NULL;
    conn->next = *list;
    if (*list) {
        (*list)->prev = conn;
    }
    *list = conn;
}

static void list_remove(struct http_conn **list, struct http_conn *conn)
{
    if (conn->prev) {
        conn->prev->next = conn->next;
    } else {
        *list = conn->next;
    }
    if (conn->next) {
        conn->next->prev = conn->prev;
    }
}

static struct http_conn *find_pending(struct http_conns *c, int fd)
{
    struct http_conn *conn = c->pending;
    while (conn && conn->fd != fd) {
        conn = conn->next;
    }
    return conn;
}

/* The record is out of its list; the caller holds the mutex. */
static void record_drop(struct http_conns *c, struct http_conn *conn)
{
    client_drop(c, conn->client);
    c->count--;
    metric_set(&http_metrics[HTTP_METRIC_CONNECTIONS], (int64_t)c->count);
    conn->next = c->spare;
    c->spare = conn;
}

/* Makes the record of a fresh socket, or says which cap it would break. */
static enum err record_add(struct http_server *server, int fd, const union address *address)
{
    struct http_conns *c = &server->conns;
    int64_t now = clock_mono_usec();
    uint8_t key[16];
    client_key(address, key);
    struct http_conn *stale = find_pending(c, fd);
    if (stale) { /* MHD closed it without a word; the number came back */
        list_remove(&c->pending, stale);
        record_drop(c, stale);
    }
    if (c->count >= c->count_max) {
        return ERR_OVERLOADED;
    }
    struct http_client *client = client_take(c, key);
    client->count++;
    if (client->count > c->per_client_max) {
        client_drop(c, client);
        return ERR_RATE_LIMITED;
    }
    struct http_conn *conn = c->spare;
    if (conn) {
        c->spare = conn->next;
    } else {
        conn = mem_alloc(sizeof *conn);
    }
    conn->server = server;
    conn->request = NULL;
    conn->served = false;
    conn->ended_word = 0;
    conn->client = client;
    memcpy(conn->client_key, key, sizeof conn->client_key);
    conn->fd = fd;
    conn->accepted_usec = now;
    atomic_store(&conn->word, word_make(HTTP_PHASE_FIRST, now + server->config.header_usec));
    const void *host = address->any.sa_family == AF_INET ? (const void *)&address->four.sin_addr
                                                         : (const void *)&address->six.sin6_addr;
    if (!inet_ntop(address->any.sa_family, host, conn->address, sizeof conn->address)) {
        conn->address[0] = '\0';
    }
    list_push(&c->pending, conn);
    c->count++;
    metric_set(&http_metrics[HTTP_METRIC_CONNECTIONS], (int64_t)c->count);
    return OK;
}

struct http_conn *http_conn_opened(struct http_server *server, int fd)
{
    struct http_conns *c = &server->conns;
    pthread_mutex_lock(&c->mutex);
    struct http_conn *conn = find_pending(c, fd);
    ASSERT(conn != NULL);
    list_remove(&c->pending, conn);
    list_push(&c->live, conn);
    pthread_mutex_unlock(&c->mutex);
    return conn;
}

void http_conn_closed(struct http_conn *conn)
{
    struct http_conns *c = &conn->server->conns;
    pthread_mutex_lock(&c->mutex);
    list_remove(&c->live, conn);
    record_drop(c, conn);
    pthread_mutex_unlock(&c->mutex);
}

bool http_conn_upload_begin(struct http_conn *conn)
{
    struct http_conns *c = &conn->server->conns;
    pthread_mutex_lock(&c->mutex);
    bool may = conn->client->uploads < conn->server->config.uploads_per_client_max;
    conn->client->uploads += may ? 1 : 0;
    pthread_mutex_unlock(&c->mutex);
    return may;
}

void http_conn_upload_end(struct http_conn *conn)
{
    struct http_conns *c = &conn->server->conns;
    pthread_mutex_lock(&c->mutex);
    ASSERT(conn->client->uploads > 0);
    conn->client->uploads--;
    pthread_mutex_unlock(&c->mutex);
}

/* ---- closing --------------------------------------------------------------------------------- */

/* Says what fits into the socket's buffer at once; a client that does not read gets nothing. */
static void send_bare(int fd, struct arena *arena, enum err e, struct slice request_id)
{
    struct buf b;
    buf_init(&b, arena, 1024);
    http_reply_bare(&b, e, request_id);
    ssize_t sent = send(fd, b.ptr, b.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
    (void)shutdown(fd, SHUT_WR);
}

void http_conn_refuse(struct http_conn *conn, struct arena *req, enum err e,
                      struct slice request_id)
{
    if (!http_conn_enter(conn, HTTP_PHASE_DOOMED, NO_DEADLINE)) {
        return;
    }
    send_bare(conn->fd, req, e, request_id);
    /* Closing with unread bytes resets the connection, which can overtake the answer. */
    uint8_t dropped[4096];
    for (int i = 0; i < 64 && recv(conn->fd, dropped, sizeof dropped, MSG_DONTWAIT) > 0; i++) {
    }
}

/* The caller holds the mutex: MHD cannot have closed the socket yet. */
static void doom(struct http_conn *conn, uint64_t seen)
{
    if (!atomic_compare_exchange_strong(&conn->word, &seen,
                                        word_make(HTTP_PHASE_DOOMED, NO_DEADLINE))) {
        return;
    }
    (void)shutdown(conn->fd, SHUT_RDWR);
}

static void doom_late(struct http_conn *conn, uint64_t seen)
{
    struct arena *scratch = &conn->server->conns.scratch;
    enum http_phase phase = word_phase(seen);
    if (!atomic_compare_exchange_strong(&conn->word, &seen,
                                        word_make(HTTP_PHASE_DOOMED, NO_DEADLINE))) {
        return;
    }
    if (phase == HTTP_PHASE_HEADERS || phase == HTTP_PHASE_BODY) {
        char id[RAND_ID_MAX];
        rand_id("req", id);
        send_bare(conn->fd, scratch, ERR_REQUEST_TIMEOUT, slice_text(id));
        arena_clear(scratch);
    }
    (void)shutdown(conn->fd, SHUT_RDWR);
    if (phase != HTTP_PHASE_IDLE) {
        metric_add(&http_metrics[HTTP_METRIC_REJECTED_DEADLINE], 1);
        LOG(LOG_INFO, "http.deadline_passed", log_text("client", conn->address),
            log_text("phase", phase_names[phase]));
    }
}

/* While stopping: nothing of a request has come, and nothing waits in the socket. */
static bool is_unused(const struct http_conn *conn, enum http_phase phase, int64_t now_usec)
{
    uint8_t byte;
    if (phase == HTTP_PHASE_FIRST && now_usec - conn->accepted_usec < FIRST_GRACE_USEC) {
        return false;
    }
    return (phase == HTTP_PHASE_FIRST || phase == HTTP_PHASE_IDLE) &&
           recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/*
 * The client has left in the middle of a body, of which MHD waits for the rest all the same. One
 * that has sent the whole and closed his side looks like that for as long as MHD needs to see it.
 */
static bool has_left(struct http_conn *conn, uint64_t word, int64_t now_usec)
{
    uint8_t byte;
    ssize_t got = recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    bool ended = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    if (!ended || conn->ended_word != word) {
        conn->ended_word = ended ? word : 0;
        conn->ended_usec = now_usec;
        return false;
    }
    return now_usec - conn->ended_usec >= LEFT_GRACE_USEC;
}

static void sweep(struct http_server *server)
{
    struct http_conns *c = &server->conns;
    int64_t now = clock_mono_usec();
    bool draining = atomic_load(&server->mode) == HTTP_DRAINING;
    pthread_mutex_lock(&c->mutex);
    for (struct http_conn *conn = c->live; conn; conn = conn->next) {
        uint64_t word = atomic_load(&conn->word);
        if (word_deadline(word) <= now) {
            doom_late(conn, word);
        } else if ((word_phase(word) == HTTP_PHASE_BODY && has_left(conn, word, now)) ||
                   (draining && is_unused(conn, word_phase(word), now))) {
            doom(conn, word);
        }
    }
    pthread_mutex_unlock(&c->mutex);
}

void http_conns_cut(struct http_server *server)
{
    struct http_conns *c = &server->conns;
    pthread_mutex_lock(&c->mutex);
    for (struct http_conn *conn = c->live; conn; conn = conn->next) {
        uint64_t word = atomic_load(&conn->word);
        if (word_phase(word) != HTTP_PHASE_RUNNING && word_phase(word) != HTTP_PHASE_DOOMED) {
            doom(conn, word);
        }
    }
    pthread_mutex_unlock(&c->mutex);
}

/* ---- accepting ------------------------------------------------------------------------------- */

static void refuse_socket(struct http_server *server, int fd, enum err e)
{
    char id[RAND_ID_MAX];
    rand_id("req", id);
    metric_add(&http_metrics[e == ERR_OVERLOADED ? HTTP_METRIC_REJECTED_CONNECTIONS
                                                 : HTTP_METRIC_REJECTED_CLIENT],
               1);
    send_bare(fd, &server->conns.scratch, e, slice_text(id));
    arena_clear(&server->conns.scratch);
    (void)close(fd);
}

static void give_socket(struct http_server *server, int fd, const union address *address,
                        socklen_t len)
{
    struct http_conns *c = &server->conns;
    pthread_mutex_lock(&c->mutex);
    enum err e = record_add(server, fd, address);
    pthread_mutex_unlock(&c->mutex);
    if (e) {
        refuse_socket(server, fd, e);
        return;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (MHD_add_connection(server->daemon, fd, &address->any, len) == MHD_YES) {
        return;
    }
    pthread_mutex_lock(&c->mutex);
    struct http_conn *conn = find_pending(c, fd);
    if (conn) {
        list_remove(&c->pending, conn);
        record_drop(c, conn);
    }
    pthread_mutex_unlock(&c->mutex);
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Returns until when accepting must pause; 0 when it need not. */
static int64_t accept_some(struct http_server *server)
{
    for (int i = 0; i < ACCEPT_BURST; i++) {
        union address address = {.six = {.sin6_family = AF_UNSPEC}};
        socklen_t len = sizeof address;
        int fd = accept4(server->conns.listen_fd, &address.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && is_shortage(errno)) {
            LOG(LOG_WARN, "http.accept_failed", log_i64("errno", errno));
            return clock_mono_usec() + ACCEPT_PAUSE_USEC;
        }
        if (fd < 0) {
            return 0;
        }
        give_socket(server, fd, &address, len);
    }
    return 0;
}

static int64_t tick_usec(const struct http_server *server)
{
    const struct http_config *config = &server->config;
    int64_t usec =
        config->header_usec < config->request_usec ? config->header_usec : config->request_usec;
    usec = (config->idle_usec < usec ? config->idle_usec : usec) / 8;
    usec = usec < TICK_MIN_USEC ? TICK_MIN_USEC : usec > TICK_MAX_USEC ? TICK_MAX_USEC : usec;
    return atomic_load(&server->mode) == HTTP_DRAINING ? DRAIN_TICK_USEC : usec;
}

static void stop_listening(struct http_conns *c)
{
    if (c->listen_fd >= 0) {
        (void)close(c->listen_fd);
        c->listen_fd = -1;
    }
}

static void wait_for_work(struct http_conns *c, bool pause, int64_t usec, bool *out_accept)
{
    struct pollfd fds[2] = {
        {.fd = c->wake_fd, .events = POLLIN},
        {.fd = pause ? -1 : c->listen_fd, .events = POLLIN},
    };
    (void)poll(fds, 2, (int)((usec + 999) / 1000));
    if (fds[0].revents & POLLIN) {
        uint64_t count;
        ssize_t got = read(c->wake_fd, &count, sizeof count);
        (void)got;
    }
    *out_accept = (fds[1].revents & POLLIN) != 0;
}

static void *keeper_main(void *arg)
{
    struct http_server *server = arg;
    struct http_conns *c = &server->conns;
    int64_t paused_until = 0;
    int64_t swept_usec = clock_mono_usec();
    while (!atomic_load(&c->quit)) {
        if (atomic_load(&server->mode) == HTTP_DRAINING) {
            stop_listening(c);
        }
        int64_t left = swept_usec + tick_usec(server) - clock_mono_usec();
        bool accept_now = false;
        if (left > 0) {
            wait_for_work(c, paused_until > clock_mono_usec(), left, &accept_now);
        }
        if (accept_now) {
            paused_until = accept_some(server);
        }
        if (left <= 0) {
            sweep(server);
            swept_usec = clock_mono_usec();
        }
    }
    return NULL;
}

void http_conns_wake(struct http_server *server)
{
    uint64_t one = 1;
    ssize_t put = write(server->conns.wake_fd, &one, sizeof one);
    (void)put; /* full means that it is awake already */
}

/* ---- start and stop -------------------------------------------------------------------------- */

static enum err listen_on(struct http_server *server, const struct addrinfo *info, int *out_fd,
                          struct why *why)
{
    const struct http_config *config = &server->config;
    int on = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return why_set(why, ERR_IO, "http.host", "The system gives no socket for %s.",
                       config->host);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        *out_fd = fd;
        return OK;
    }
    int error = errno;
    (void)close(fd);
    if (error == EADDRINUSE) {
        return why_set(why, ERR_IO, "http.port", "Port %llu of %s is in use by another program.",
                       (unsigned long long)config->port, config->host);
    }
    return why_set(why, ERR_IO, "http.port", "Port %llu of %s cannot be listened on (errno %d).",
                   (unsigned long long)config->port, config->host, error);
}

static uint16_t port_of(int fd)
{
    union address address = {.six = {.sin6_family = AF_UNSPEC}};
    socklen_t len = sizeof address;
    int failed = getsockname(fd, &address.any, &len);
    ASSERT(!failed);
    return ntohs(address.any.sa_family == AF_INET ? address.four.sin_port : address.six.sin6_port);
}

enum err http_conns_listen(struct http_server *server, struct why *why)
{
    char port[24];
    (void)snprintf(port, sizeof port, "%llu", (unsigned long long)server->config.port);
    struct addrinfo *infos = NULL;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    if (getaddrinfo(server->config.host, port, &hints, &infos) != 0 || !infos) {
        return why_set(why, ERR_CONFIG, "http.host", "The address \"%s\" cannot be listened on.",
                       server->config.host);
    }
    enum err e = listen_on(server, infos, &server->conns.listen_fd, why);
    freeaddrinfo(infos);
    if (e) {
        return e;
    }
    server->port = port_of(server->conns.listen_fd);
    server->conns.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (server->conns.wake_fd < 0) {
        return why_set(why, ERR_IO, NULL, "The system gives no event descriptor.");
    }
    return OK;
}

enum err http_conns_start(struct http_server *server, struct why *why)
{
    struct http_conns *c = &server->conns;
    c->bucket_count = 64;
    while (c->bucket_count < c->count_max) {
        c->bucket_count *= 2;
    }
    c->buckets = arena_alloc_array(&server->boot, c->bucket_count, sizeof(struct http_client *));
    if (pthread_create(&c->keeper, NULL, keeper_main, server) != 0) {
        return why_set(why, ERR_IO, NULL, "The system gives no thread to accept connections.");
    }
    c->has_keeper = true;
    return OK;
}

static void free_records(struct http_conn *conn)
{
    while (conn) {
        struct http_conn *next = conn->next;
        mem_free(conn);
        conn = next;
    }
}

void http_conns_stop(struct http_server *server)
{
    struct http_conns *c = &server->conns;
    if (c->has_keeper) {
        atomic_store(&c->quit, true);
        http_conns_wake(server);
        (void)pthread_join(c->keeper, NULL);
        c->has_keeper = false;
    }
    stop_listening(c);
    if (c->wake_fd >= 0) {
        (void)close(c->wake_fd);
    }
    ASSERT(c->live == NULL);
    while (c->pending) { /* accepted, and closed by MHD's stop before it looked at them */
        struct http_conn *conn = c->pending;
        list_remove(&c->pending, conn);
        record_drop(c, conn);
    }
    free_records(c->spare);
    while (c->client_spare) {
        struct http_client *next = c->client_spare->next;
        mem_free(c->client_spare);
        c->client_spare = next;
    }
    arena_free(&c->scratch);
}
