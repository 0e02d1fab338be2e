#include "support/script_server.h"

#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCRIPT_CONNECTIONS_MAX 512
#define SCRIPT_REQUEST_MAX (1 << 20)
#define SCRIPT_IDS_MAX 10

struct script_connection {
    struct script_server *server;
    pthread_t thread;
    int fd; /* -1 once closed */
};

struct script_server {
    const struct script_step *steps;
    size_t step_count;
    int listen_fd;
    char url[64];
    pthread_t acceptor;
    pthread_mutex_t lock; /* guards all below */
    bool stopping;
    const char *chain_id;
    unsigned requests;
    unsigned chain_checks;
    size_t connection_count;
    struct script_connection connections[SCRIPT_CONNECTIONS_MAX];
    char last[4096];
};

static void script_nap(struct script_server *s, int ms)
{
    (void)s;
    (void)poll(NULL, 0, ms);
}

static bool script_is_stopping(struct script_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return stopping;
}

static bool script_write(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* script_read reads one request into `in`; returns its length, 0 at the end of the connection. */
static size_t script_read(int fd, char *in)
{
    size_t len = 0;
    size_t need = 0;
    while (need == 0 || len < need) {
        ssize_t n = recv(fd, in + len, SCRIPT_REQUEST_MAX - 1 - len, 0);
        if (n <= 0) {
            return 0;
        }
        len += (size_t)n;
        in[len] = '\0';
        char *end = need == 0 ? strstr(in, "\r\n\r\n") : NULL;
        if (end != NULL) {
            const char *length = strcasestr(in, "\r\nContent-Length:");
            size_t body = 0;
            if (length != NULL && length < end) {
                body = strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
            }
            need = (size_t)(end - in) + 4 + body;
            ASSERT(need < SCRIPT_REQUEST_MAX);
        }
    }
    return len;
}

/* script_expand copies `body` with the ids of the request put in; returns memory of mem_alloc. */
static char *script_expand(const char *body, const char *request)
{
    char ids[SCRIPT_IDS_MAX][24] = {{0}};
    const char *at = request;
    for (size_t i = 0; i < SCRIPT_IDS_MAX && (at = strstr(at, "\"id\":")) != NULL; i++) {
        at += 5;
        (void)snprintf(ids[i], sizeof(ids[i]), "%.*s", (int)strspn(at, "0123456789"), at);
    }
    char *out = mem_alloc(strlen(body) * sizeof(ids[0]) + 1);
    size_t len = 0;
    for (; *body != '\0'; body++) {
        if (body[0] == '$' && body[1] >= '0' && body[1] <= '9') {
            const char *id = ids[body[1] - '0'];
            memcpy(out + len, id, strlen(id));
            len += strlen(id);
            body++;
        } else {
            out[len++] = *body;
        }
    }
    out[len] = '\0';
    return out;
}

static bool script_send_body(struct script_server *s, int fd, enum script_mode mode,
                             const char *body)
{
    size_t len = strlen(body);
    if (mode == SCRIPT_TRUNCATE) {
        (void)script_write(fd, body, len / 2);
        return false;
    }
    if (mode == SCRIPT_DRIP) {
        for (size_t i = 0; i < len && !script_is_stopping(s); i++) {
            if (!script_write(fd, body + i, 1)) {
                return false;
            }
            script_nap(s, 20);
        }
        return true;
    }
    return script_write(fd, body, len) && mode != SCRIPT_CLOSE;
}

static void script_endless(struct script_server *s, int fd)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char chunk[] = "10\r\n[[[[[[[[[[[[[[[[\r\n";
    bool more = script_write(fd, head, sizeof(head) - 1);
    while (more && !script_is_stopping(s)) {
        more = script_write(fd, chunk, sizeof(chunk) - 1);
    }
}

/* script_answer performs a step; false ends the connection. */
static bool script_answer(struct script_server *s, int fd, const struct script_step *step,
                          const char *request)
{
    for (int i = 0; i < step->delay_ms / 10 && !script_is_stopping(s); i++) {
        script_nap(s, 10);
    }
    if (step->mode == SCRIPT_RESET) {
        struct linger hard = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        return false;
    }
    if (step->mode == SCRIPT_SILENCE) {
        while (!script_is_stopping(s)) {
            script_nap(s, 20);
        }
        return false;
    }
    if (step->mode == SCRIPT_ENDLESS) {
        script_endless(s, fd);
        return false;
    }
    char *body = script_expand(step->body, request);
    if (step->mode == SCRIPT_RAW) {
        (void)script_write(fd, body, strlen(body));
        mem_free(body);
        return false;
    }
    char head[512];
    int len = snprintf(head, sizeof(head),
                       "HTTP/1.1 %d Scripted\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n%s%s\r\n",
                       step->status != 0 ? step->status : 200, strlen(body),
                       step->headers != NULL ? step->headers : "",
                       step->mode == SCRIPT_CLOSE ? "Connection: close\r\n" : "");
    bool more = script_write(fd, head, (size_t)len) && script_send_body(s, fd, step->mode, body);
    mem_free(body);
    return more;
}

/* script_choose takes the step of a request; a request for the chain id has one of its own. */
static struct script_step script_choose(struct script_server *s, const char *request,
                                        char chain_body[96])
{
    struct script_step step;
    pthread_mutex_lock(&s->lock);
    if (s->chain_id != NULL && strstr(request, "\"eth_chainId\"") != NULL) {
        s->chain_checks++;
        (void)snprintf(chain_body, 96, "{\"jsonrpc\":\"2.0\",\"id\":$0,\"result\":\"%s\"}",
                       s->chain_id);
        step = (struct script_step){.body = chain_body};
    } else {
        size_t index = s->requests < s->step_count ? s->requests : s->step_count - 1;
        s->requests++;
        (void)snprintf(s->last, sizeof(s->last), "%s", request);
        step = s->steps[index];
    }
    pthread_mutex_unlock(&s->lock);
    return step;
}

static void *script_serve(void *arg)
{
    struct script_connection *c = arg;
    char *request = mem_alloc(SCRIPT_REQUEST_MAX);
    bool more = true;
    while (more && script_read(c->fd, request) > 0) {
        char chain_body[96];
        struct script_step step = script_choose(c->server, request, chain_body);
        more = script_answer(c->server, c->fd, &step, request);
    }
    mem_free(request);
    pthread_mutex_lock(&c->server->lock);
    (void)close(c->fd);
    c->fd = -1;
    pthread_mutex_unlock(&c->server->lock);
    return NULL;
}

static void *script_accept(void *arg)
{
    struct script_server *s = arg;
    for (;;) {
        int fd = accept(s->listen_fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        pthread_mutex_lock(&s->lock);
        ASSERT(s->connection_count < SCRIPT_CONNECTIONS_MAX);
        struct script_connection *c = &s->connections[s->connection_count++];
        *c = (struct script_connection){.server = s, .fd = fd};
        ASSERT(pthread_create(&c->thread, NULL, script_serve, c) == 0);
        pthread_mutex_unlock(&s->lock);
    }
}

struct script_server *script_start(const struct script_step *steps, size_t count,
                                   const char *chain_id)
{
    struct script_server *s = mem_alloc(sizeof(*s));
    s->steps = steps;
    s->step_count = count;
    s->chain_id = chain_id;
    ASSERT(count > 0 && pthread_mutex_init(&s->lock, NULL) == 0);
    s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    ASSERT(bind(s->listen_fd, (const struct sockaddr *)&at, len) == 0);
    ASSERT(listen(s->listen_fd, 64) == 0);
    ASSERT(getsockname(s->listen_fd, (struct sockaddr *)&at, &len) == 0);
    (void)snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", ntohs(at.sin_port));
    ASSERT(pthread_create(&s->acceptor, NULL, script_accept, s) == 0);
    return s;
}

static void script_drop_connections(struct script_server *s)
{
    for (size_t i = 0; i < s->connection_count; i++) {
        if (s->connections[i].fd >= 0) {
            (void)shutdown(s->connections[i].fd, SHUT_RDWR);
        }
    }
}

void script_stop(struct script_server *s)
{
    (void)shutdown(s->listen_fd, SHUT_RDWR);
    ASSERT(pthread_join(s->acceptor, NULL) == 0);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    script_drop_connections(s);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->connection_count; i++) {
        ASSERT(pthread_join(s->connections[i].thread, NULL) == 0);
    }
    (void)close(s->listen_fd);
    (void)pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

const char *script_url(const struct script_server *s)
{
    return s->url;
}

unsigned script_requests(struct script_server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->requests;
    pthread_mutex_unlock(&s->lock);
    return n;
}

unsigned script_chain_checks(struct script_server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->chain_checks;
    pthread_mutex_unlock(&s->lock);
    return n;
}

unsigned script_connections(struct script_server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = (unsigned)s->connection_count;
    pthread_mutex_unlock(&s->lock);
    return n;
}

void script_set_chain(struct script_server *s, const char *chain_id)
{
    pthread_mutex_lock(&s->lock);
    s->chain_id = chain_id;
    script_drop_connections(s);
    pthread_mutex_unlock(&s->lock);
}

void script_last(struct script_server *s, char *out, size_t size)
{
    pthread_mutex_lock(&s->lock);
    (void)snprintf(out, size, "%s", s->last);
    pthread_mutex_unlock(&s->lock);
}
