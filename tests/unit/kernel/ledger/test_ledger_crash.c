/*
 * A process that posts is killed at any moment, and on PostgreSQL the server is too: what was
 * acknowledged is there, nothing is half there, and to ask again for what nobody answered is safe.
 */
#include <signal.h>
#include <sys/wait.h>

#include "kernel/base/clock.h"
#include "unit/kernel/ledger/random.h"

#define CHAIN 3
#define BATCH_IDS 100000

/* Transfer `n` of three that are linked: out of the mint, through a hot account, to one of ten. */
static void link_of(struct arena *arena, uint64_t n, struct ledger_transfer out[CHAIN])
{
    const char *to = slice_cstr(arena, slice_format(arena, "holder/%u", (unsigned)(n % 10)));
    const char *paths[CHAIN + 1] = {"mint", "desk", "hot", to};
    for (size_t i = 0; i < CHAIN; i++) {
        const char *id =
            slice_cstr(arena, slice_format(arena, "c/%llu/%zu", (unsigned long long)n, i));
        out[i] = move(id, paths[i], paths[i + 1], 1 + n);
    }
}

static enum err post_link(struct arena *arena, uint64_t n)
{
    struct ledger_transfer ts[CHAIN];
    arena_clear(arena);
    link_of(arena, n, ts);
    return post(ts, CHAIN, NULL);
}

/* Posts from `first` on until it is killed, and tells each number once it is acknowledged. */
static void post_until_killed(uint64_t first, int tell)
{
    struct arena arena;
    arena_init(&arena, 0);
    if (support_store_start(&fixture, NULL) != OK) {
        _exit(1);
    }
    for (uint64_t n = first; n < first + BATCH_IDS; n++) {
        if (post_link(&arena, n) != OK || write(tell, &n, sizeof(n)) != sizeof(n)) {
            _exit(2);
        }
    }
    _exit(3);
}

/* Kills a poster after `count` acknowledgements and a moment; returns the first number not told. */
static uint64_t run_and_kill(uint64_t first, uint64_t count)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(pipes[0]);
        post_until_killed(first, pipes[1]);
    }
    close(pipes[1]);
    uint64_t told = first;
    uint64_t n = 0;
    while (told < first + count && read(pipes[0], &n, sizeof(n)) == sizeof(n)) {
        assert_int_equal(n, told);
        told++;
    }
    clock_sleep_usec((int64_t)rand_below(3000));
    kill(pid, SIGKILL);
    while (read(pipes[0], &n, sizeof(n)) == sizeof(n)) {
        told = n + 1;
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    close(pipes[0]);
    return told;
}

static void assert_posted(uint64_t count, uint64_t total)
{
    struct ledger_report r = audit();
    assert_clean();
    assert_int_equal(r.transfers, CHAIN * count);
    assert_balance("mint", 0, total, 0, 0);
    assert_balance("hot", 0, total, 0, total);
}

static void killed_posters_leave_whole_chains(void **state)
{
    (void)state;
    uint64_t rounds = 0;
    struct arena arena;
    arena_init(&arena, 0);
    random_begin(8, &rounds);
    uint64_t next = 0;
    uint64_t total = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        store_close(fixture.store);
        fixture.store = NULL;
        uint64_t told = run_and_kill(next, 5 + rand_below(40));
        assert_int_equal(support_store_start(&fixture, NULL), OK);
        /* What was told is there; the one that nobody answered may be. */
        for (uint64_t n = next; n < told; n++) {
            total += 1 + n;
        }
        struct ledger_report r = audit();
        assert_clean();
        bool more = r.transfers == CHAIN * (told + 1);
        assert_true(more || r.transfers == CHAIN * told);
        /* Asked again it is done once, whether it had been or not. */
        assert_int_equal(post_link(&arena, told), OK);
        total += 1 + told;
        next = told + 1;
        assert_posted(next, total);
    }
    arena_free(&arena);
}

/* ---- the server ---- */

static void restart_server(void)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("tools/with-postgres", "tools/with-postgres", "--do", "restart", NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_server_that_dies_loses_nothing(void **state)
{
    (void)state;
    if (!support_on_postgres()) {
        skip();
    }
    struct arena arena;
    arena_init(&arena, 0);
    uint64_t total = 0;
    uint64_t unanswered = 0;
    for (uint64_t n = 0; n < 30; n++) {
        if (n % 10 == 5) {
            restart_server();
        }
        /* As a client does: the same again until there is an answer. */
        enum err e = post_link(&arena, n);
        while (e == ERR_DB_UNAVAILABLE || e == ERR_DB_BUSY) {
            unanswered++;
            clock_sleep_usec(20000);
            e = post_link(&arena, n);
        }
        assert_int_equal(e, OK);
        total += 1 + n;
    }
    print_message("%llu without an answer\n", (unsigned long long)unanswered);
    assert_posted(30, total);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(killed_posters_leave_whole_chains),
        TEST(a_server_that_dies_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
