/*
 * Against a real redis-server: shared, killed, paused, and something else in its place that answers
 * garbage.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/cache/cache_internal.h"
#include "unit/test.h"

#define PATIENCE_USEC (60 * (int64_t)USEC_PER_SEC)
#define SECRET SLICE_LIT("of the installation under test")

static pid_t server;
static uint16_t port;
static char url[64];

static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void start_server(void)
{
    char text[8];
    (void)snprintf(text, sizeof text, "%u", (unsigned)port);
    fflush(NULL);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        int null = open("/dev/null", O_RDWR);
        (void)dup2(null, 1);
        (void)dup2(null, 2);
        execlp("redis-server", "redis-server", "--port", text, "--bind", "127.0.0.1", "--save", "",
               "--appendonly", "no", "--daemonize", "no", (char *)NULL);
        _exit(127);
    }
}

static void kill_server(void)
{
    if (server > 0) {
        kill(server, SIGKILL);
        assert_int_equal(waitpid(server, NULL, 0), server);
        server = 0;
    }
}

static int set_up(void **state)
{
    (void)state;
    port = free_port();
    (void)snprintf(url, sizeof url, "redis://127.0.0.1:%u/1", (unsigned)port);
    start_server();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kill_server();
    return 0;
}

static struct cache *open_cache_with(const char *address, struct slice secret)
{
    const struct cache_config config = {.redis_url = address, .timeout_usec = 50000};
    struct cache *cache = NULL;
    assert_int_equal(cache_new(&config, secret, &cache, NULL), OK);
    return cache;
}

static void await(struct cache *cache, enum cache_state wanted)
{
    int64_t deadline = clock_mono_usec() + PATIENCE_USEC;
    while (cache_state_read(cache, NULL) != wanted) {
        assert_true(clock_mono_usec() < deadline);
        clock_sleep_usec(2000);
    }
}

static struct cache *open_cache(void)
{
    struct cache *cache = open_cache_with(url, SECRET);
    await(cache, CACHE_SHARED);
    return cache;
}

static const struct cache_limit ten_an_hour = {.uses = 10,
                                               .window_usec = 3600 * (int64_t)USEC_PER_SEC};

static bool take(struct cache *cache, const char *key)
{
    struct cache_verdict v = {0};
    cache_limit_take(cache, slice_text(key), &ten_an_hour, &v);
    return v.allowed;
}

/* An hour may begin anew while a test runs: then it is tried again with another key. */
static void processes_share_a_limit(void **state)
{
    (void)state;
    struct cache *a = open_cache();
    struct cache *b = open_cache();
    struct cache_verdict v = {0};
    for (uint64_t i = 0; i < 10; i++) {
        cache_limit_take(i % 2 == 0 ? a : b, SLICE_LIT("k"), &ten_an_hour, &v);
        assert_true(v.allowed);
        assert_int_equal(v.remaining, 9 - i);
    }
    cache_limit_take(a, SLICE_LIT("k"), &ten_an_hour, &v);
    assert_false(v.allowed);
    assert_true(v.retry_usec > 0 && v.retry_usec <= 2 * ten_an_hour.window_usec);
    assert_true(v.reset_usec >= v.retry_usec);
    assert_false(take(b, "k"));
    assert_true(take(b, "another"));
    struct cache *other = open_cache_with(url, SLICE_LIT("another installation"));
    await(other, CACHE_SHARED);
    assert_true(take(other, "k"));
    cache_free(other);
    cache_free(b);
    cache_free(a);
}

/* The script slides as the arithmetic does: never more than the limit and what a slot spreads. */
static void the_window_slides_on_the_clock_of_redis(void **state)
{
    (void)state;
    struct cache *cache = open_cache();
    const struct cache_limit five = {.uses = 5, .window_usec = USEC_PER_SEC};
    int64_t start = clock_mono_usec();
    uint64_t allowed = 0;
    while (clock_mono_usec() - start < 3 * (int64_t)USEC_PER_SEC) {
        struct cache_verdict v = {0};
        cache_limit_take(cache, SLICE_LIT("k"), &five, &v);
        allowed += v.allowed;
        clock_sleep_usec(1000);
    }
    uint64_t seconds = (uint64_t)((clock_mono_usec() - start) / USEC_PER_SEC) + 2;
    assert_true(allowed >= 10 && allowed <= 5 * seconds);
    cache_free(cache);
}

static void a_killed_server_is_done_without_and_found_again(void **state)
{
    (void)state;
    struct cache *cache = open_cache();
    for (int i = 0; i < 10; i++) {
        assert_true(take(cache, "k"));
    }
    assert_false(take(cache, "k"));
    kill_server();
    for (int i = 0; i < 10; i++) {
        assert_true(take(cache, "k")); /* this process begins to count */
    }
    assert_false(take(cache, "k"));
    struct why why = {0};
    assert_int_equal(cache_state_read(cache, &why), CACHE_DEGRADED);
    assert_non_null(strstr(why.text, "Redis at 127.0.0.1"));
    assert_int_equal(metric_get(&cache_metrics[CACHE_METRIC_DEGRADED]), 1);
    start_server();
    await(cache, CACHE_SHARED);
    assert_true(take(cache, "k")); /* it forgot with its memory */
    assert_int_equal(metric_get(&cache_metrics[CACHE_METRIC_DEGRADED]), 0);
    cache_free(cache);
}

static void a_paused_server_delays_one_request_and_no_other(void **state)
{
    (void)state;
    struct cache *cache = open_cache();
    assert_true(take(cache, "k"));
    kill(server, SIGSTOP);
    int64_t failures = metric_get(&cache_metrics[CACHE_METRIC_FAILURES]);
    bool last = true;
    for (int i = 0; i < 5000; i++) {
        last = take(cache, "k");
    }
    assert_false(last);
    /* One of ours, and the tries of the thread that looks for Redis; not thousands. */
    assert_true(metric_get(&cache_metrics[CACHE_METRIC_FAILURES]) - failures < 100);
    assert_int_equal(cache_state_read(cache, NULL), CACHE_DEGRADED);
    kill(server, SIGCONT);
    await(cache, CACHE_SHARED);
    cache_free(cache);
}

static void values_are_found_by_their_own_installation_only(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct cache *a = open_cache();
    struct cache *b = open_cache();
    struct cache *other = open_cache_with(url, SLICE_LIT("another installation"));
    await(other, CACHE_SHARED);
    struct slice value = SLICE_EMPTY;
    assert_false(cache_get(a, &arena, SLICE_LIT("GET /x"), &value));
    cache_put(a, SLICE_LIT("GET /x"), SLICE_LIT("{\"x\":1}"), 60 * (int64_t)USEC_PER_SEC);
    assert_true(cache_get(b, &arena, SLICE_LIT("GET /x"), &value));
    assert_true(slice_equal_text(value, "{\"x\":1}"));
    assert_false(cache_get(b, &arena, SLICE_LIT("GET /y"), &value));
    assert_false(cache_get(other, &arena, SLICE_LIT("GET /x"), &value));
    char *large = arena_alloc(&arena, CACHE_VALUE_MAX + 1);
    cache_put(a, SLICE_LIT("large"), slice_of(large, CACHE_VALUE_MAX + 1), USEC_PER_SEC);
    assert_false(cache_get(a, &arena, SLICE_LIT("large"), &value));
    cache_free(other);
    cache_free(b);
    cache_free(a);
    arena_free(&arena);
}

/* Somebody with the same Redis changes each byte of what is kept, and moves it to other keys. */
static void what_others_wrote_is_not_there(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct cache *cache = open_cache();
    cache_put(cache, SLICE_LIT("a"), SLICE_LIT("1"), 60 * (int64_t)USEC_PER_SEC);
    cache_put(cache, SLICE_LIT("b"), SLICE_LIT("2"), 60 * (int64_t)USEC_PER_SEC);
    redisContext *c = redisConnect("127.0.0.1", port);
    freeReplyObject(redisCommand(c, "SELECT 1"));
    redisReply *keys = redisCommand(c, "KEYS freehold:*");
    assert_int_equal(keys->elements, 2);
    redisReply *one = redisCommand(c, "GET %s", keys->element[0]->str);
    freeReplyObject(redisCommand(c, "SET %s %b", keys->element[1]->str, one->str, one->len));
    struct slice value = SLICE_EMPTY;
    int64_t forged = metric_get(&cache_metrics[CACHE_METRIC_FORGED]);
    bool a = cache_get(cache, &arena, SLICE_LIT("a"), &value);
    bool b = cache_get(cache, &arena, SLICE_LIT("b"), &value);
    assert_true(a != b); /* the one that is in its own place */
    for (size_t i = 0; i < one->len; i++) {
        one->str[i] = (char)(one->str[i] ^ 1);
        freeReplyObject(redisCommand(c, "SET %s %b", keys->element[0]->str, one->str, one->len));
        one->str[i] = (char)(one->str[i] ^ 1);
        assert_false(cache_get(cache, &arena, SLICE_LIT("a"), &value));
        assert_false(cache_get(cache, &arena, SLICE_LIT("b"), &value));
    }
    assert_int_equal(metric_get(&cache_metrics[CACHE_METRIC_FORGED]) - forged, 1 + 2 * one->len);
    /* A counter that is no counter any more. */
    assert_true(take(cache, "k"));
    freeReplyObject(keys);
    keys = redisCommand(c, "KEYS freehold:*");
    for (size_t i = 0; i < keys->elements; i++) {
        freeReplyObject(redisCommand(c, "SET %s junk", keys->element[i]->str));
    }
    assert_true(take(cache, "k"));
    freeReplyObject(one);
    freeReplyObject(keys);
    redisFree(c);
    cache_free(cache);
    arena_free(&arena);
}

static void a_password_is_used_and_a_wrong_one_is_said(void **state)
{
    (void)state;
    redisContext *c = NULL;
    struct cache *first = open_cache();
    c = redisConnect("127.0.0.1", port);
    freeReplyObject(redisCommand(c, "CONFIG SET requirepass s3cret"));
    char with[96];
    (void)snprintf(with, sizeof with, "redis://:s3cret@127.0.0.1:%u", (unsigned)port);
    struct cache *good = open_cache_with(with, SECRET);
    await(good, CACHE_SHARED);
    (void)snprintf(with, sizeof with, "redis://:wrong@127.0.0.1:%u", (unsigned)port);
    struct cache *bad = open_cache_with(with, SECRET);
    struct why why = {0};
    int64_t deadline = clock_mono_usec() + PATIENCE_USEC;
    while (cache_state_read(bad, &why) != CACHE_DEGRADED || why.text[0] == '\0') {
        assert_true(clock_mono_usec() < deadline);
        clock_sleep_usec(2000);
    }
    assert_non_null(strstr(why.text, "WRONGPASS"));
    redisFree(c);
    cache_free(bad);
    cache_free(good);
    cache_free(first);
}

/* ---- something else in its place ---- */

static _Atomic bool babbling;
static int babble_fd;

static void *babble(void *ctx)
{
    (void)ctx;
    static const char *const texts[] = {
        "*4\r\n:1\r\n:-5\r\n:0\r\n:0\r\n",
        "$-99\r\n",
        "*2147483647\r\n",
        "+OK\r\n",
        "-ERR no\r\n",
        ":1\r\n",
        "$5\r\nab",
        "*4\r\n:9\r\n:1\r\n:1\r\n:1\r\n",
        "\x00\xff\r\n",
        "*-1\r\n",
    };
    while (atomic_load(&babbling)) {
        int fd = accept(babble_fd, NULL, NULL);
        for (int i = 0; fd >= 0 && i < 4; i++) {
            char drain[4096];
            if (recv(fd, drain, sizeof drain, 0) <= 0) {
                break;
            }
            const char *text = texts[rand_below(sizeof texts / sizeof texts[0])];
            (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    return NULL;
}

static void garbage_is_not_believed(void **state)
{
    (void)state;
    kill_server();
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int on = 1;
    babble_fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)setsockopt(babble_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(babble_fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(babble_fd, 16), 0);
    pthread_t thread;
    atomic_store(&babbling, true);
    assert_int_equal(pthread_create(&thread, NULL, babble, NULL), 0);
    struct cache *cache = open_cache_with(url, SECRET);
    struct arena arena;
    arena_init(&arena, 0);
    int allowed = 0;
    for (int i = 0; i < 500; i++) {
        struct slice value;
        allowed += take(cache, "k");
        assert_false(cache_get(cache, &arena, SLICE_LIT("a"), &value));
        clock_sleep_usec(1000);
    }
    assert_true(allowed >= 10); /* as many as this process allows, or what the babble did */
    arena_free(&arena);
    cache_free(cache);
    atomic_store(&babbling, false);
    (void)shutdown(babble_fd, SHUT_RDWR);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(babble_fd);
}

/* ---- many threads ---- */

struct taker {
    struct cache *cache;
    uint64_t allowed;
};

static void *taker_main(void *ctx)
{
    struct taker *t = ctx;
    for (int i = 0; i < 300; i++) {
        struct cache_verdict v = {0};
        const struct cache_limit limit = {.uses = 100,
                                          .window_usec = 86400 * (int64_t)USEC_PER_SEC};
        cache_limit_take(t->cache, SLICE_LIT("k"), &limit, &v);
        t->allowed += v.allowed;
    }
    return NULL;
}

static void threads_that_find_no_connection_count_for_themselves(void **state)
{
    (void)state;
    struct cache *cache = open_cache();
    struct taker takers[8];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        takers[i] = (struct taker){.cache = cache};
        assert_int_equal(pthread_create(&threads[i], NULL, taker_main, &takers[i]), 0);
    }
    uint64_t allowed = 0;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        allowed += takers[i].allowed;
    }
    assert_true(allowed >= 100 && allowed <= 200); /* of Redis, and of this process */
    assert_int_equal(cache_state_read(cache, NULL), CACHE_SHARED);
    cache_free(cache);
}

static void without_redis_nothing_is_shared(void **state)
{
    (void)state;
    struct cache *a = open_cache_with("", SECRET);
    struct cache *b = open_cache_with("", SECRET);
    for (int i = 0; i < 10; i++) {
        assert_true(take(a, "k"));
        assert_true(take(b, "k"));
    }
    assert_false(take(a, "k"));
    assert_int_equal(cache_state_read(a, NULL), CACHE_OFF);
    struct slice value;
    cache_put(a, SLICE_LIT("x"), SLICE_LIT("1"), USEC_PER_SEC);
    assert_false(cache_get(a, NULL, SLICE_LIT("x"), &value));
    cache_free(b);
    cache_free(a);
}

int main(void)
{
    log_set_fd(-1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(processes_share_a_limit),
        TEST(the_window_slides_on_the_clock_of_redis),
        TEST(a_killed_server_is_done_without_and_found_again),
        TEST(a_paused_server_delays_one_request_and_no_other),
        TEST(values_are_found_by_their_own_installation_only),
        TEST(what_others_wrote_is_not_there),
        TEST(a_password_is_used_and_a_wrong_one_is_said),
        TEST(garbage_is_not_believed),
        TEST(threads_that_find_no_connection_count_for_themselves),
        cmocka_unit_test(without_redis_nothing_is_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
