#include "kernel/net/http_client.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/net/public.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <strings.h>

/*
 * Handles that wait for their next request. Each keeps its own connections, so nothing is shared
 * between threads but this stack; the one used last goes out first, because its connection is the
 * least likely to have been closed by the other side.
 */
#define IDLE_MAX 64
/* Connections that one handle keeps: a handle meets the endpoints of a pool in turn. */
#define CONNECTIONS_MAX 4L
#define HEADER_TEXT_MAX 8192
/* Flights that wait for their next requests, and the connections that each of them keeps. */
#define IDLE_FLIGHTS_MAX 16
#define FLIGHT_CONNECTIONS_MAX 16L
/* How long curl may sleep before it is asked again; its own timers wake it earlier. */
#define POLL_MS_MAX 1000
#define POLL_USEC_MAX ((int64_t)POLL_MS_MAX * 1000)

struct net_client {
    pthread_mutex_t lock;
    size_t idle_count;
    CURL *idle[IDLE_MAX];
    size_t idle_flight_count;
    struct net_flight *idle_flights[IDLE_FLIGHTS_MAX];
};

/* The state of one request, seen by the callbacks. */
struct transfer {
    CURL *handle;
    struct arena *arena;
    struct net_request request;
    struct curl_slist *headers;
    struct buf body;
    size_t bytes_max;
    bool under_way; /* in a flight */
    bool too_large;
    bool refused; /* the address is not of the public internet */
};

struct net_flight {
    struct net_client *client;
    CURLM *multi;                              /* has the connections of all of its handles */
    struct transfer transfers[NET_FLIGHT_MAX]; /* a handle stays in its place for the next one */
};

static pthread_once_t start_once = PTHREAD_ONCE_INIT;
static _Atomic bool started;
static bool (*_Atomic forbidden_check)(void);
static struct net_transport transport; /* of a test; `run` is NULL: the network */

static void start(void)
{
    /* Writes to a closed TLS connection raise SIGPIPE inside OpenSSL whatever curl is told. */
    (void)signal(SIGPIPE, SIG_IGN);
    ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    atomic_store(&started, true);
}

void net_start(void)
{
    ASSERT(pthread_once(&start_once, start) == 0);
}

void net_set_forbidden_check(bool (*forbidden)(void))
{
    atomic_store(&forbidden_check, forbidden);
}

void net_set_transport(const struct net_transport *replacement)
{
    transport = replacement != NULL ? *replacement : (struct net_transport){NULL, NULL};
}

struct net_client *net_client_new(void)
{
    ASSERT(atomic_load(&started));
    struct net_client *client = mem_alloc(sizeof(*client));
    ASSERT(pthread_mutex_init(&client->lock, NULL) == 0);
    return client;
}

static void flight_destroy(struct net_flight *flight)
{
    for (size_t i = 0; i < NET_FLIGHT_MAX; i++) {
        curl_easy_cleanup(flight->transfers[i].handle);
    }
    (void)curl_multi_cleanup(flight->multi);
    mem_free(flight);
}

void net_client_free(struct net_client *client)
{
    if (client == NULL) {
        return;
    }
    for (size_t i = 0; i < client->idle_count; i++) {
        curl_easy_cleanup(client->idle[i]);
    }
    for (size_t i = 0; i < client->idle_flight_count; i++) {
        flight_destroy(client->idle_flights[i]);
    }
    (void)pthread_mutex_destroy(&client->lock);
    mem_free(client);
}

static CURL *handle_take(struct net_client *client)
{
    CURL *handle = NULL;
    (void)pthread_mutex_lock(&client->lock);
    if (client->idle_count > 0) {
        handle = client->idle[--client->idle_count];
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (handle == NULL) {
        handle = curl_easy_init();
        ASSERT(handle != NULL);
    }
    return handle;
}

static void handle_give(struct net_client *client, CURL *handle)
{
    curl_easy_reset(handle); /* forgets the request, keeps the connections */
    (void)pthread_mutex_lock(&client->lock);
    if (client->idle_count < IDLE_MAX) {
        client->idle[client->idle_count++] = handle;
        handle = NULL;
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (handle != NULL) {
        curl_easy_cleanup(handle);
    }
}

/* on_body takes a piece of the answer; anything but its length makes curl stop. */
static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = size * count;
    if (t->body.len == 0) {
        curl_off_t announced = -1;
        (void)curl_easy_getinfo(t->handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
        if (announced > 0 && (uint64_t)announced > t->bytes_max) {
            t->too_large = true;
            return 0;
        }
        if (announced > 0) {
            (void)buf_room(&t->body, (size_t)announced);
        }
    }
    if (len > t->bytes_max - t->body.len) {
        t->too_large = true;
        return 0;
    }
    buf_add(&t->body, bytes, len);
    return len;
}

/* on_socket keeps our connections out of the programs that we start. */
static int on_socket(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    (void)ctx;
    (void)purpose;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? CURL_SOCKOPT_OK : CURL_SOCKOPT_ERROR;
}

/* on_open is asked for a socket to an address: the last moment at which it can be refused. */
static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *t = ctx;
    (void)purpose;
    if (!net_address_is_public(&address->addr)) {
        t->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool header_is_clean(struct slice text)
{
    return slice_find(text, '\r') < 0 && slice_find(text, '\n') < 0 && slice_find(text, 0) < 0;
}

/* add_header appends one line; a value of nothing needs curl's own spelling. */
static struct curl_slist *add_header(struct curl_slist *list, struct arena *arena,
                                     const struct net_header *header)
{
    ASSERT(header_is_clean(header->name) && header_is_clean(header->value));
    ASSERT(header->name.len + header->value.len < HEADER_TEXT_MAX);
    struct slice line =
        header->value.len == 0
            ? slice_format(arena, "%.*s;", SLICE_ARG(header->name))
            : slice_format(arena, "%.*s: %.*s", SLICE_ARG(header->name), SLICE_ARG(header->value));
    struct curl_slist *longer = curl_slist_append(list, (const char *)line.ptr);
    ASSERT(longer != NULL);
    return longer;
}

static struct curl_slist *make_headers(struct arena *arena, const struct net_request *request)
{
    /* Without this curl waits up to a second for "100 Continue" before large bodies. */
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    ASSERT(list != NULL);
    for (size_t i = 0; i < request->header_count; i++) {
        list = add_header(list, arena, &request->headers[i]);
    }
    return list;
}

#define SET(handle, option, value) ASSERT(curl_easy_setopt(handle, option, value) == CURLE_OK)

static void set_limits(CURL *handle, const struct net_request *request)
{
    int64_t timeout_ms = (request->timeout_usec + 999) / 1000;
    ASSERT(timeout_ms > 0);
    SET(handle, CURLOPT_NOSIGNAL, 1L);
    SET(handle, CURLOPT_TIMEOUT_MS, timeout_ms < LONG_MAX ? (long)timeout_ms : LONG_MAX);
    SET(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(handle, CURLOPT_FOLLOWLOCATION, 0L);
    SET(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(handle, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(handle, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(handle, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(handle, CURLOPT_PROXY, "");
    SET(handle, CURLOPT_MAXCONNECTS, CONNECTIONS_MAX);
    SET(handle, CURLOPT_TCP_NODELAY, 1L);
    SET(handle, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(handle, CURLOPT_SOCKOPTFUNCTION, on_socket);
    SET(handle, CURLOPT_USERAGENT, "freehold");
}

static void set_body(CURL *handle, const struct net_request *request)
{
    if (strcmp(request->method, "GET") == 0 && request->body.len == 0) {
        SET(handle, CURLOPT_HTTPGET, 1L);
        return;
    }
    if (strcmp(request->method, "HEAD") == 0) {
        SET(handle, CURLOPT_NOBODY, 1L);
        return;
    }
    if (request->body.len > 0 || strcmp(request->method, "POST") == 0) {
        SET(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        SET(handle, CURLOPT_POSTFIELDS,
            request->body.len > 0 ? (const char *)request->body.ptr : "");
    }
    if (strcmp(request->method, "POST") != 0) {
        SET(handle, CURLOPT_CUSTOMREQUEST, request->method);
    }
}

/* transfer_failed turns curl's code into ours and a sentence that shows the origin only. */
static enum err transfer_failed(CURLcode code, const struct transfer *t,
                                const struct net_request *request, struct why *why)
{
    char origin[NET_ORIGIN_MAX];
    net_url_origin(request->url, origin);
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return why_set(why, ERR_NODE_TIMEOUT, NULL, "%s did not answer within %lld ms.", origin,
                       (long long)(request->timeout_usec / 1000));
    }
    if (t->refused) {
        return why_set(why, ERR_FORBIDDEN, NULL,
                       "%s is not on the public internet, where it would have to be.", origin);
    }
    if (t->too_large) {
        return why_set(why, ERR_LIMIT, NULL, "%s answered with more than %zu bytes.", origin,
                       t->bytes_max);
    }
    bool is_http = strncasecmp(request->url, "http://", 7) == 0 ||
                   strncasecmp(request->url, "https://", 8) == 0;
    if (code == CURLE_URL_MALFORMAT || !is_http) {
        return why_set(why, ERR_CONFIG, "url", "%s is not an http or https URL.", origin);
    }
    const char *what = curl_easy_strerror(code);
    if (code == CURLE_COULDNT_CONNECT) {
        what = "connection refused or unreachable";
    } else if (code == CURLE_COULDNT_RESOLVE_HOST) {
        what = "the host name does not resolve";
    } else if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR) {
        what = "the connection was closed before an answer was complete";
    } else if (code == CURLE_UNSUPPORTED_PROTOCOL) {
        what = "it does not speak HTTP";
    } else if (code == CURLE_PARTIAL_FILE) {
        what = "the answer ended before its announced length";
    }
    return why_set(why, ERR_UPSTREAM, NULL, "%s cannot be used: %s.", origin, what);
}

static struct slice find_header(struct arena *arena, CURL *handle, const char *name)
{
    struct curl_header *header = NULL;
    bool found =
        name != NULL && curl_easy_header(handle, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK;
    return found ? slice_copy(arena, slice_text(header->value)) : SLICE_EMPTY;
}

static void read_answer(struct arena *arena, struct transfer *t, const struct net_request *request,
                        struct net_answer *out)
{
    long status = 0;
    long connects = 0;
    curl_off_t retry_after_sec = 0;
    const char *content_type = NULL;
    (void)curl_easy_getinfo(t->handle, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(t->handle, CURLINFO_NUM_CONNECTS, &connects);
    (void)curl_easy_getinfo(t->handle, CURLINFO_RETRY_AFTER, &retry_after_sec);
    (void)curl_easy_getinfo(t->handle, CURLINFO_CONTENT_TYPE, &content_type);
    if (retry_after_sec < 0) {
        retry_after_sec = 0;
    }
    if (retry_after_sec > INT32_MAX) {
        retry_after_sec = INT32_MAX;
    }
    *out = (struct net_answer){
        .status = (int)status,
        .body = buf_slice(&t->body),
        .content_type = slice_copy(arena, slice_text(content_type)),
        .kept_header = find_header(arena, t->handle, request->keep_header),
        .retry_after_usec = (int64_t)retry_after_sec * USEC_PER_SEC,
        .connected = connects > 0,
    };
}

static void assert_allowed(void)
{
    bool (*forbidden)(void) = atomic_load(&forbidden_check);
    ASSERT(forbidden == NULL || !forbidden());
}

static void transfer_begin(struct transfer *t, CURL *handle, struct arena *arena,
                           const struct net_request *request)
{
    *t = (struct transfer){.handle = handle,
                           .arena = arena,
                           .request = *request,
                           .bytes_max = request->answer_bytes_max};
    buf_init(&t->body, arena, 0);
    t->headers = make_headers(arena, request);
    set_limits(handle, request);
    set_body(handle, request);
    SET(handle, CURLOPT_HTTPHEADER, t->headers);
    SET(handle, CURLOPT_WRITEFUNCTION, on_body);
    SET(handle, CURLOPT_WRITEDATA, t);
    if (request->public_only) {
        SET(handle, CURLOPT_OPENSOCKETFUNCTION, on_open);
        SET(handle, CURLOPT_OPENSOCKETDATA, t);
    }
}

static enum err transfer_end(struct transfer *t, CURLcode code, struct net_answer *out,
                             struct why *why)
{
    enum err e = OK;
    if (code == CURLE_OK) {
        read_answer(t->arena, t, &t->request, out);
    } else {
        e = transfer_failed(code, t, &t->request, why);
    }
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    return e;
}

enum err net_request_run(struct net_client *client, struct arena *arena,
                         const struct net_request *request, struct net_answer *out, struct why *why)
{
    assert_allowed();
    if (transport.run != NULL) {
        return transport.run(transport.ctx, arena, request, out, why);
    }
    struct transfer t;
    CURL *handle = handle_take(client);
    transfer_begin(&t, handle, arena, request);
    CURLcode code = curl_easy_setopt(handle, CURLOPT_URL, request->url);
    if (code == CURLE_OK) {
        code = curl_easy_perform(handle);
    }
    enum err e = transfer_end(&t, code, out, why);
    handle_give(client, handle);
    return e;
}

/* ---- several requests of one thread ---- */

struct net_flight *net_flight_new(struct net_client *client)
{
    struct net_flight *flight = NULL;
    (void)pthread_mutex_lock(&client->lock);
    if (client->idle_flight_count > 0) {
        flight = client->idle_flights[--client->idle_flight_count];
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (flight == NULL) {
        flight = mem_alloc(sizeof(*flight));
        flight->client = client;
        flight->multi = curl_multi_init();
        ASSERT(flight->multi != NULL);
        ASSERT(curl_multi_setopt(flight->multi, CURLMOPT_MAXCONNECTS, FLIGHT_CONNECTIONS_MAX) ==
               CURLM_OK);
    }
    return flight;
}

void net_flight_free(struct net_flight *flight)
{
    if (flight == NULL) {
        return;
    }
    struct net_client *client = flight->client;
    for (size_t i = 0; i < NET_FLIGHT_MAX; i++) {
        net_flight_break_off(flight, i);
    }
    (void)pthread_mutex_lock(&client->lock);
    if (client->idle_flight_count < IDLE_FLIGHTS_MAX) {
        client->idle_flights[client->idle_flight_count++] = flight;
        flight = NULL;
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (flight != NULL) {
        flight_destroy(flight);
    }
}

void net_flight_send(struct net_flight *flight, size_t slot, struct arena *arena,
                     const struct net_request *request)
{
    ASSERT(slot < NET_FLIGHT_MAX && !flight->transfers[slot].under_way);
    struct transfer *t = &flight->transfers[slot];
    assert_allowed();
    if (transport.run != NULL) {
        *t = (struct transfer){
            .handle = t->handle, .arena = arena, .request = *request, .under_way = true};
        return;
    }
    CURL *handle = t->handle != NULL ? t->handle : curl_easy_init();
    ASSERT(handle != NULL);
    transfer_begin(t, handle, arena, request);
    SET(handle, CURLOPT_PRIVATE, t);
    /* Breaking one off must not wait for a name server. */
    SET(handle, CURLOPT_QUICK_EXIT, 1L);
    /* What curl thinks of the URL is told when it looks at it. */
    (void)curl_easy_setopt(handle, CURLOPT_URL, request->url);
    ASSERT(curl_multi_add_handle(flight->multi, handle) == CURLM_OK);
    t->under_way = true;
}

/* leave takes a request out of the flight; curl closes its connection unless it had ended. */
static void leave(struct net_flight *flight, struct transfer *t)
{
    ASSERT(curl_multi_remove_handle(flight->multi, t->handle) == CURLM_OK);
    t->under_way = false;
}

void net_flight_break_off(struct net_flight *flight, size_t slot)
{
    ASSERT(slot < NET_FLIGHT_MAX);
    struct transfer *t = &flight->transfers[slot];
    if (t->under_way && transport.run != NULL) {
        t->under_way = false;
    } else if (t->under_way) {
        leave(flight, t);
        curl_slist_free_all(t->headers);
        t->headers = NULL;
        curl_easy_reset(t->handle);
    }
}

static bool land_one(struct net_flight *flight, struct net_landing *out)
{
    int left = 0;
    int running = 0;
    ASSERT(curl_multi_perform(flight->multi, &running) == CURLM_OK);
    const CURLMsg *said = curl_multi_info_read(flight->multi, &left);
    if (said == NULL) {
        return false;
    }
    ASSERT(said->msg == CURLMSG_DONE);
    CURLcode code = said->data.result;
    char *which = NULL;
    ASSERT(curl_easy_getinfo(said->easy_handle, CURLINFO_PRIVATE, &which) == CURLE_OK);
    struct transfer *t = (struct transfer *)(void *)which;
    *out = (struct net_landing){.slot = (size_t)(t - flight->transfers)};
    out->err = transfer_end(t, code, &out->answer, &out->why);
    leave(flight, t);
    curl_easy_reset(t->handle);
    return true;
}

/* carry_one has the first request carried by what replaces the network. */
static bool carry_one(struct net_flight *flight, struct net_landing *out)
{
    for (size_t i = 0; i < NET_FLIGHT_MAX; i++) {
        struct transfer *t = &flight->transfers[i];
        if (t->under_way) {
            *out = (struct net_landing){.slot = i};
            out->err = transport.run(transport.ctx, t->arena, &t->request, &out->answer, &out->why);
            t->under_way = false;
            return true;
        }
    }
    return false;
}

static int64_t real_usec(void)
{
    struct timespec now;
    clock_deadline(0, &now);
    return (int64_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

static bool has_request(const struct net_flight *flight)
{
    for (size_t i = 0; i < NET_FLIGHT_MAX; i++) {
        if (flight->transfers[i].under_way) {
            return true;
        }
    }
    return false;
}

bool net_flight_wait(struct net_flight *flight, int64_t wait_usec, struct net_landing *out)
{
    int64_t deadline = wait_usec > 0 ? real_usec() + wait_usec : 0;
    if (transport.run != NULL) {
        return carry_one(flight, out);
    }
    while (has_request(flight)) {
        if (land_one(flight, out)) {
            return true;
        }
        int64_t left_usec = wait_usec > 0 ? deadline - real_usec() : 0;
        if (left_usec <= 0) {
            break;
        }
        int64_t left_ms = left_usec < POLL_USEC_MAX ? (left_usec + 999) / 1000 : POLL_MS_MAX;
        ASSERT(curl_multi_poll(flight->multi, NULL, 0, (int)left_ms, NULL) == CURLM_OK);
    }
    return false;
}

void net_url_origin(const char *url, char out[NET_ORIGIN_MAX])
{
    struct slice rest = slice_text(url);
    const char *mark = strstr(url, "://");
    size_t scheme = mark != NULL ? (size_t)(mark - url) : 0;
    rest = slice_sub(rest, scheme + 3, rest.len);
    size_t end = 0;
    size_t host = 0;
    while (end < rest.len && strchr("/?#\\", rest.ptr[end]) == NULL) {
        if (rest.ptr[end] == '@') {
            host = end + 1;
        }
        end++;
    }
    if (scheme == 0 || scheme > 8 || end == host) {
        (void)snprintf(out, NET_ORIGIN_MAX, "(malformed URL)");
        return;
    }
    (void)snprintf(out, NET_ORIGIN_MAX, "%.*s://%.*s", (int)scheme, url, (int)(end - host),
                   (const char *)rest.ptr + host);
}
