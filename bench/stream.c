/*
 * Measures how long a change needs from before its commit to each of many subscribers.
 *
 *     stream STORE_URL SUBSCRIBERS SECONDS
 *
 * One process serves: HTTP, streams, an empty database. Each second it writes one row, whose
 * `changesUndone` is the time; noting, numbering and telling go their ordinary way. Another process
 * opens SUBSCRIBERS WebSockets on 127.0.0.1, of which each hears one message a second, and looks at
 * the time when it reads it. Prints one line of JSON: percentiles, what a connection costs, CPU.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/chain/chain_sql.h"
#include "kernel/ops/ops.h"

#define TEXT_MAX 2048
#define BUSY_USEC 1000
#define MARK "\"changesUndone\":"

struct result {
    uint64_t heard;
    int64_t p50_usec;
    int64_t p99_usec;
    int64_t max_usec;
};

static void die(const char *what, const struct why *why, enum err e)
{
    (void)fprintf(stderr, "stream: %s: %s\n", what, why_text(why, e));
    _exit(1);
}

/* ---- subscribers ---- */

struct subscriber {
    int fd;
    size_t len;
    char text[TEXT_MAX];
};

static void send_all(int fd, const void *bytes, size_t len)
{
    ASSERT(send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static void open_subscriber(struct subscriber *s, uint16_t port)
{
    static const char request[] =
        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    static const char wish[] = "{\"type\":\"subscribe\",\"topic\":\"reorgs\"}";
    uint8_t frame[6 + sizeof wish - 1] = {0x81, 0x80 | (sizeof wish - 1)}; /* masked with zeros */
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    char answer[1024];
    int on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT(s->fd >= 0);
    ASSERT(connect(s->fd, (const struct sockaddr *)&to, sizeof to) == 0);
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    send_all(s->fd, request, sizeof request - 1);
    size_t got = 0;
    do {
        ssize_t n = recv(s->fd, answer + got, sizeof answer - 1 - got, 0);
        ASSERT(n > 0);
        got += (size_t)n;
        answer[got] = '\0';
    } while (strstr(answer, "\r\n\r\n") == NULL);
    ASSERT(strncmp(answer, "HTTP/1.1 101", 12) == 0);
    memcpy(frame + 6, wish, sizeof wish - 1);
    send_all(s->fd, frame, sizeof frame);
    ASSERT(fcntl(s->fd, F_SETFL, O_NONBLOCK) == 0);
}

/* Frames lie one after the other; a mark that is whole is a message that was read. */
static void hear(struct subscriber *s, int64_t *delays, uint64_t *count, uint64_t max)
{
    ssize_t n = recv(s->fd, s->text + s->len, TEXT_MAX - 1 - s->len, 0);
    ASSERT(n > 0 || (n < 0 && errno == EAGAIN));
    int64_t now = clock_mono_usec();
    s->len += n > 0 ? (size_t)n : 0;
    for (size_t i = 0; i < s->len; i++) { /* heads of frames have zeros, which end text */
        s->text[i] = s->text[i] == '\0' ? ' ' : s->text[i];
    }
    s->text[s->len] = '\0';
    const char *mark;
    const char *at = s->text;
    while ((mark = strstr(at, MARK)) != NULL && strchr(mark, '}') != NULL) {
        int64_t sent = strtoll(mark + strlen(MARK), NULL, 10);
        if (*count < max) {
            delays[(*count)++] = now - sent;
        }
        at = strchr(mark, '}');
    }
    s->len = strlen(at);
    memmove(s->text, at, s->len);
    s->len = s->len > TEXT_MAX / 2 ? 0 : s->len;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void subscribe(uint16_t port, uint64_t subscribers, uint64_t seconds, int begin_fd,
                      int result_fd)
{
    struct subscriber *all = mem_alloc(subscribers * sizeof *all);
    uint64_t max = subscribers * seconds;
    int64_t *delays = mem_alloc((max + 1) * sizeof *delays);
    struct result r = {.heard = 0};
    int epoll = epoll_create1(0);
    for (uint64_t i = 0; i < subscribers; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        open_subscriber(&all[i], port);
        ASSERT(epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event) == 0);
    }
    ASSERT(write(begin_fd, "b", 1) == 1);
    int64_t end = clock_mono_usec() + (int64_t)(seconds + 10) * USEC_PER_SEC;
    int64_t busy_until = 0;
    while (r.heard < max && clock_mono_usec() < end) {
        struct epoll_event events[512];
        /* In the middle of a second's messages it does not sleep: to wake it costs the server. */
        int n = epoll_wait(epoll, events, 512, clock_mono_usec() < busy_until ? 0 : 100);
        busy_until = n > 0 ? clock_mono_usec() + BUSY_USEC : busy_until;
        for (int i = 0; i < n; i++) {
            hear(events[i].data.ptr, delays, &r.heard, max);
        }
    }
    qsort(delays, r.heard, sizeof *delays, by_size);
    if (r.heard > 0) {
        r.p50_usec = delays[r.heard / 2];
        r.p99_usec = delays[r.heard * 99 / 100];
        r.max_usec = delays[r.heard - 1];
    }
    ASSERT(write(result_fd, &r, sizeof r) == sizeof r);
    _exit(0);
}

/* ---- the server ---- */

static enum err change(struct store_tx *tx, void *ctx, struct why *why)
{
    uint8_t hash[32] = {0};
    struct store_query q;
    (void)ctx;
    store_begin(&q, tx, &chain_sql_reorg_insert);
    store_bind_i64(&q, "chain_id", 31337);
    store_bind_i64(&q, "fork_block", 1);
    store_bind_i64(&q, "depth", 1);
    store_bind_bytes(&q, "old_hash", slice_of(hash, sizeof hash));
    store_bind_bytes(&q, "new_hash", slice_of(hash, sizeof hash));
    store_bind_i64(&q, "changes_undone", *(const int64_t *)ctx);
    store_bind_time(&q, "now", clock_wall_usec());
    store_notify(tx, STREAM_CHANNEL);
    return store_finish(&q, NULL, why);
}

static struct store *open_store(const char *url)
{
    struct store *store = NULL;
    struct why why = {0};
    struct store_version version;
    const struct store_config config = {.url = url,
                                        .readers = 4,
                                        .writers = 4,
                                        .busy_usec = 2000000,
                                        .connect_usec = 5000000,
                                        .statement_usec = 60000000,
                                        .batch_max = 256,
                                        .synchronous = "full"};
    enum err e = store_open(&store, &config, &sql_catalog, &why);
    e = e ? e : store_version_read(store, &version, &why);
    e = e ? e : store_migrate(store, version.known, &why);
    if (e != OK) {
        die(url, &why, e);
    }
    return store;
}

static uint64_t resident_kib(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    ASSERT(f != NULL && fscanf(f, "%*s %lu", &pages) == 1);
    (void)fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static int64_t cpu_usec(void)
{
    struct rusage u;
    ASSERT(getrusage(RUSAGE_SELF, &u) == 0);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * (int64_t)USEC_PER_SEC + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

static void configure(struct config *registry, struct http_config *http,
                      struct stream_config *stream)
{
    struct why why = {0};
    static char *const none[] = {NULL};
    static const struct config_flag flags[] = {{"http.port", "0"},
                                               {"stream.connections_max", "20000"},
                                               {"stream.connections_per_client_max", "20000"}};
    const struct config_part parts[] = {
        {.rows = http_config_rows, .count = http_config_row_count, .target = http, .title = "h"},
        {.rows = stream_config_rows,
         .count = stream_config_row_count,
         .target = stream,
         .title = "s"}};
    config_add(registry, &parts[0]);
    config_add(registry, &parts[1]);
    enum err e = config_load(registry, NULL, none, flags, 3, &why);
    if (e != OK) {
        die("configuration", &why, e);
    }
    http->detached_max = stream->connections_max;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: stream STORE_URL SUBSCRIBERS SECONDS\n");
        return 2;
    }
    uint64_t subscribers = strtoull(argv[2], NULL, 10);
    uint64_t seconds = strtoull(argv[3], NULL, 10);
    int port_pipe[2];
    int begin_pipe[2];
    int result_pipe[2];
    ASSERT(pipe(port_pipe) == 0 && pipe(begin_pipe) == 0 && pipe(result_pipe) == 0);
    struct rlimit files = {0};
    ASSERT(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    ASSERT(setrlimit(RLIMIT_NOFILE, &files) == 0);
    pid_t child = fork(); /* before there are threads */
    ASSERT(child >= 0);
    if (child == 0) {
        uint16_t port = 0;
        ASSERT(read(port_pipe[0], &port, sizeof port) == sizeof port);
        subscribe(port, subscribers, seconds, begin_pipe[1], result_pipe[1]);
    }
    log_set_level(LOG_WARN);
    struct why why = {0};
    struct http_config http = {0};
    struct stream_config config = {0};
    struct config *registry = config_new();
    configure(registry, &http, &config);
    struct store *store = open_store(argv[1]);
    struct stream *stream = NULL;
    struct http_server *server = NULL;
    const struct stream_topics topics = ops_stream_topics();
    enum err e = stream_start(&config, &http, &topics, 1, store, &stream, &why);
    const struct http_table table = stream_http_table(stream);
    e = e ? e : http_start(&server, &http, &table, 1, store, &why);
    if (e != OK) {
        die("start", &why, e);
    }
    uint64_t before_kib = resident_kib();
    uint16_t port = http_port(server);
    char byte;
    ASSERT(write(port_pipe[1], &port, sizeof port) == sizeof port);
    ASSERT(read(begin_pipe[0], &byte, 1) == 1);
    clock_sleep_usec(2 * (int64_t)USEC_PER_SEC); /* snapshots */
    uint64_t after_kib = resident_kib();
    int64_t cpu = cpu_usec();
    for (uint64_t i = 0; e == OK && i < seconds; i++) {
        int64_t now = clock_mono_usec();
        e = store_write(store, change, &now, &why);
        clock_sleep_usec(USEC_PER_SEC - (clock_mono_usec() - now));
    }
    cpu = cpu_usec() - cpu;
    struct result r = {0};
    if (e != OK || read(result_pipe[0], &r, sizeof r) != sizeof r) {
        die("write", &why, e);
    }
    (void)waitpid(child, NULL, 0);
    (void)printf("{\"subscribers\":%llu,\"seconds\":%llu,\"heard\":%llu,\"p50Usec\":%lld,"
                 "\"p99Usec\":%lld,\"maxUsec\":%lld,\"bytesPerConnection\":%llu,"
                 "\"cpuPerSecondUsec\":%lld}\n",
                 (unsigned long long)subscribers, (unsigned long long)seconds,
                 (unsigned long long)r.heard, (long long)r.p50_usec, (long long)r.p99_usec,
                 (long long)r.max_usec,
                 (unsigned long long)((after_kib - before_kib) * 1024 / subscribers),
                 (long long)(cpu / (int64_t)seconds));
    stream_stop(stream);
    http_stop(server);
    stream_free(stream);
    store_close(store);
    config_free(registry);
    return 0;
}
