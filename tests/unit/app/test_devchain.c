#include "app/devchain.h"

#include "kernel/base/clock.h"
#include "kernel/base/mem.h"
#include "kernel/evm/address.h"
#include "kernel/rpc/rpc.h"
#include "unit/test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* The first account of the mnemonic, as every tool that knows it prints it. */
#define FIRST_ACCOUNT "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
#define SECOND_ACCOUNT "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"

static char folder[64];

static struct devchain_options plain(void)
{
    return (struct devchain_options){.chain_id = DEVCHAIN_ID};
}

/* need_anvil skips a test on a machine where `tools/setup` has not run. */
static void need_anvil(void)
{
    struct arena arena;
    arena_init(&arena, 0);
    const char *path;
    struct why why = {0};
    enum err e = devchain_find_anvil(&arena, NULL, &path, &why);
    arena_free(&arena);
    if (e != OK) {
        print_message("skipped: %s\n", why.text);
        skip();
    }
}

static struct rpc_pool *pool_of(const struct devchain *chain)
{
    struct rpc_endpoint endpoint = {.url = devchain_url(chain)};
    struct rpc_options options = {.chain_id = DEVCHAIN_ID,
                                  .endpoints = &endpoint,
                                  .endpoint_count = 1,
                                  .timeout_usec = 5 * USEC_PER_SEC,
                                  .attempts_max = 1,
                                  .batch_max = 10,
                                  .answer_bytes_max = 1 << 20};
    return rpc_pool_new(&options);
}

static bool port_is_free(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool is_free = bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    (void)close(fd);
    return is_free;
}

/* send_ether makes a transaction and waits for its block, which comes at once but not at the same
 * time as the answer.
 */
static void send_ether(struct rpc_pool *pool)
{
    struct arena arena;
    uint64_t before = 0;
    assert_int_equal(rpc_block_number(pool, &before, NULL), OK);
    arena_init(&arena, 0);
    struct rpc_call call = {.method = "eth_sendTransaction",
                            .params =
                                SLICE_LIT("[{\"from\":\"" FIRST_ACCOUNT
                                          "\",\"to\":\"" SECOND_ACCOUNT "\",\"value\":\"0x1\"}]")};
    assert_int_equal(rpc_call_one(pool, &arena, RPC_ANY, &call, NULL), OK);
    uint64_t height = before;
    for (int i = 0; i < 200 && height == before; i++) {
        assert_int_equal(rpc_block_number(pool, &height, NULL), OK);
        clock_sleep_usec(5000);
    }
    assert_int_equal(height, before + 1);
    arena_free(&arena);
}

static void test_start_use_and_stop(void **state)
{
    (void)state;
    need_anvil();
    struct devchain_options options = plain();
    struct devchain *chain = NULL;
    struct why why = {0};
    assert_int_equal(devchain_start(&options, &chain, &why), OK);
    assert_true(devchain_is_running(chain));
    assert_int_equal(kill(devchain_pid(chain), 0), 0);
    uint16_t port = devchain_port(chain);
    char expected[64];
    (void)snprintf(expected, sizeof(expected), "http://127.0.0.1:%u", port);
    assert_string_equal(devchain_url(chain), expected);

    struct rpc_pool *pool = pool_of(chain);
    struct address first;
    struct wei_amount balance;
    struct u256 ten_thousand_ether;
    assert_int_equal(u256_parse(slice_text("10000000000000000000000"), &ten_thousand_ether), OK);
    assert_int_equal(address_parse(slice_text(FIRST_ACCOUNT), &first), OK);
    assert_int_equal(rpc_balance(pool, &first, &balance, &why), OK);
    assert_true(u256_equal(wei_raw(balance), ten_thousand_ether));
    uint64_t height = 99;
    assert_int_equal(rpc_block_number(pool, &height, NULL), OK);
    assert_int_equal(height, 0);
    send_ether(pool);
    assert_int_equal(rpc_block_number(pool, &height, NULL), OK);
    assert_int_equal(height, 1);
    rpc_pool_free(pool);

    pid_t pid = devchain_pid(chain);
    devchain_stop(chain);
    assert_int_equal(kill(pid, 0), -1);
    assert_true(port_is_free(port));
}

static void test_other_chain_id(void **state)
{
    (void)state;
    need_anvil();
    struct devchain_options options = plain();
    options.chain_id = 43113;
    struct devchain *chain = NULL;
    struct why why = {0};
    assert_int_equal(devchain_start(&options, &chain, &why), OK);
    struct rpc_pool *pool = pool_of(chain); /* that expects another id */
    uint64_t id = 0;
    assert_int_equal(rpc_chain_id(pool, &id, &why), ERR_WRONG_CHAIN);
    assert_non_null(strstr(why.text, "43113"));
    rpc_pool_free(pool);
    devchain_stop(chain);
}

static void test_port_in_use(void **state)
{
    (void)state;
    need_anvil();
    struct devchain_options options = plain();
    struct devchain *chain = NULL;
    assert_int_equal(devchain_start(&options, &chain, NULL), OK);
    options.port = devchain_port(chain);
    char port[16];
    (void)snprintf(port, sizeof(port), "Port %u ", options.port);

    struct devchain *second = NULL;
    struct why why = {0};
    assert_int_equal(devchain_start(&options, &second, &why), ERR_CONFIG);
    assert_null(second);
    assert_string_equal(why.field, "port");
    assert_int_equal(strncmp(why.text, port, strlen(port)), 0);
    assert_true(devchain_is_running(chain));
    devchain_stop(chain);

    /* The port that it left can be taken again at once. */
    assert_int_equal(devchain_start(&options, &chain, &why), OK);
    assert_int_equal(devchain_port(chain), options.port);
    devchain_stop(chain);
}

static void test_nothing_of_ours_is_inherited(void **state)
{
    (void)state;
    need_anvil();
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/leak", folder);
    int leak = open(path, O_RDWR | O_CREAT, 0600); /* not close-on-exec */
    assert_true(leak >= 0);
    struct devchain_options options = plain();
    struct devchain *chain = NULL;
    assert_int_equal(devchain_start(&options, &chain, NULL), OK);
    char fds[64];
    (void)snprintf(fds, sizeof(fds), "/proc/%d/fd", devchain_pid(chain));
    DIR *dir = opendir(fds);
    assert_non_null(dir);
    unsigned seen = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char target[256] = {0};
        if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0) {
            assert_string_not_equal(target, path);
            seen++;
        }
    }
    assert_true(seen >= 3);
    (void)closedir(dir);
    devchain_stop(chain);
    (void)close(leak);
}

/* start_in_child runs a process that starts a chain, tells its pid and waits for its end. */
static pid_t start_in_child(const char *state_path, pid_t *out_chain)
{
    int pipe_fd[2];
    assert_int_equal(pipe(pipe_fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct devchain_options options = plain();
        options.state_path = state_path;
        struct devchain *chain = NULL;
        pid_t pid = -1;
        if (devchain_start(&options, &chain, NULL) == OK) {
            struct rpc_pool *pool = pool_of(chain);
            send_ether(pool);
            pid = devchain_pid(chain);
        }
        (void)!write(pipe_fd[1], &pid, sizeof(pid));
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            (void)pause();
        }
    }
    assert_int_equal(read(pipe_fd[0], out_chain, sizeof(*out_chain)), sizeof(*out_chain));
    assert_true(*out_chain > 0);
    (void)close(pipe_fd[0]);
    (void)close(pipe_fd[1]);
    return child;
}

/* ends_soon waits for a process that was handed to us as its ancestor. */
static bool ends_soon(pid_t pid, int *out_status)
{
    for (int i = 0; i < 500; i++) {
        if (waitpid(pid, out_status, WNOHANG) == pid) {
            return true;
        }
        clock_sleep_usec(10000);
    }
    return false;
}

static void test_ends_with_its_parent(void **state)
{
    (void)state;
    need_anvil();
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* orphans come to us */
    static const int signals[] = {SIGKILL, SIGTERM, SIGABRT};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        pid_t chain = -1;
        pid_t child = start_in_child(NULL, &chain);
        assert_int_equal(kill(chain, 0), 0);
        assert_int_equal(kill(child, signals[i]), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_true(ends_soon(chain, &status));
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
}

static void test_state_survives_the_death_of_its_parent(void **state)
{
    (void)state;
    need_anvil();
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/state.json", folder);
    pid_t first = -1;
    pid_t child = start_in_child(path, &first);
    assert_int_equal(kill(child, SIGKILL), 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);

    /* At once: the new chain has to wait until the old one has written its state. */
    struct devchain_options options = plain();
    options.state_path = path;
    struct devchain *chain = NULL;
    struct why why = {0};
    assert_int_equal(devchain_start(&options, &chain, &why), OK);
    assert_true(ends_soon(first, &status));
    assert_true(WIFEXITED(status));
    struct rpc_pool *pool = pool_of(chain);
    uint64_t height = 0;
    assert_int_equal(rpc_block_number(pool, &height, NULL), OK);
    assert_int_equal(height, 1);
    send_ether(pool);
    rpc_pool_free(pool);
    devchain_stop(chain);

    assert_int_equal(devchain_start(&options, &chain, &why), OK);
    pool = pool_of(chain);
    assert_int_equal(rpc_block_number(pool, &height, NULL), OK);
    assert_int_equal(height, 2);
    rpc_pool_free(pool);
    devchain_stop(chain);
}

/* ---- the folder for older states ---- */

static size_t folders_in(const char *base)
{
    size_t n = 0;
    DIR *dir = opendir(base);
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        n += strncmp(entry->d_name, "freehold-chain-", 15) == 0;
    }
    (void)closedir(dir);
    return n;
}

static void test_older_states_go_with_the_chain(void **state)
{
    (void)state;
    need_anvil();
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    char base[128];
    char other[160];
    (void)snprintf(base, sizeof(base), "%s/states", folder);
    (void)snprintf(other, sizeof(other), "%s/freehold-chain-link", base);
    assert_int_equal(mkdir(base, 0700), 0);
    assert_int_equal(setenv("TMPDIR", base, 1), 0);

    struct devchain_options options = plain();
    struct devchain *chain = NULL;
    assert_int_equal(devchain_start(&options, &chain, NULL), OK);
    assert_int_equal(folders_in(base), 1);
    devchain_stop(chain);
    assert_int_equal(folders_in(base), 0);

    /* One is killed: the next one removes its folder, and none of a chain that lives. */
    pid_t killed = -1;
    pid_t child = start_in_child(NULL, &killed);
    assert_int_equal(kill(child, SIGKILL), 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(ends_soon(killed, &status));
    assert_int_equal(folders_in(base), 1);
    assert_int_equal(symlink(folder, other), 0); /* never followed */
    struct devchain *second = NULL;
    assert_int_equal(devchain_start(&options, &chain, NULL), OK);
    assert_int_equal(devchain_start(&options, &second, NULL), OK);
    assert_int_equal(folders_in(base), 3);
    assert_int_equal(access(base, F_OK), 0);
    devchain_stop(second);
    devchain_stop(chain);
    assert_int_equal(folders_in(base), 1);

    assert_int_equal(unlink(other), 0);
    assert_int_equal(rmdir(base), 0);
    assert_int_equal(devchain_start(&options, &chain, NULL), ERR_IO);
    assert_int_equal(unsetenv("TMPDIR"), 0);
}

/* Reads the genesis block, and how far the newest block is from the present. */
static void look_at_time(const struct devchain *chain, struct hash *out_genesis,
                         int64_t *out_off_sec)
{
    struct arena scratch;
    struct evm_header header;
    struct rpc_pool *pool = pool_of(chain);
    arena_init(&scratch, 0);
    assert_int_equal(rpc_header(pool, &scratch, 0, &header, NULL), OK);
    *out_genesis = header.hash;
    send_ether(pool);
    uint64_t height = 0;
    assert_int_equal(rpc_block_number(pool, &height, NULL), OK);
    assert_int_equal(rpc_header(pool, &scratch, height, &header, NULL), OK);
    *out_off_sec = clock_wall_usec() / (int64_t)USEC_PER_SEC - (int64_t)header.time_sec;
    rpc_pool_free(pool);
    arena_free(&scratch);
}

/* A follower takes another genesis block for another chain; blocks have the time of the world. */
static void test_genesis_survives_restarts(void **state)
{
    (void)state;
    need_anvil();
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/again.json", folder);
    struct devchain_options options = plain();
    options.state_path = path;
    struct hash first = {0};
    for (int i = 0; i < 6; i++) {
        struct devchain *chain = NULL;
        struct hash genesis;
        int64_t off_sec = 0;
        struct why why = {0};
        if (devchain_start(&options, &chain, &why) != OK) {
            fail_msg("%s", why.text);
        }
        look_at_time(chain, &genesis, &off_sec);
        assert_true(off_sec > -60 && off_sec < 60);
        first = i == 0 ? genesis : first;
        assert_true(hash_equal(&first, &genesis));
        devchain_stop(chain);
        clock_sleep_usec((int64_t)USEC_PER_SEC); /* or its time would be the same by chance */
    }
}

static void write_script(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static void test_early_end_is_explained(void **state)
{
    (void)state;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/anvil-that-fails", folder);
    write_script(path, "#!/bin/sh\necho starting\necho 'Error: no such thing' >&2\necho\nexit 3\n");
    struct devchain_options options = plain();
    options.anvil_path = path;
    struct devchain *chain = NULL;
    struct why why = {0};
    assert_int_equal(devchain_start(&options, &chain, &why), ERR_NODE_UNAVAILABLE);
    assert_null(chain);
    assert_non_null(strstr(why.text, "status 3"));
    assert_non_null(strstr(why.text, "Error: no such thing"));
}

static void test_named_program_missing(void **state)
{
    (void)state;
    static const char *const paths[] = {"/nowhere/anvil", "/etc/passwd", "/tmp"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct devchain_options options = plain();
        options.anvil_path = paths[i];
        struct devchain *chain = NULL;
        struct why why = {0};
        assert_int_equal(devchain_start(&options, &chain, &why), ERR_CONFIG);
        assert_non_null(strstr(why.text, paths[i]));
    }
}

/* find_and_print is what a copy of this program does outside the tree. */
static int find_and_print(void)
{
    struct arena arena;
    arena_init(&arena, 0);
    const char *path = "";
    struct why why = {0};
    enum err e = devchain_find_anvil(&arena, NULL, &path, &why);
    printf("%s %s%s\n", err_code(e), e == OK ? path : "", why.text);
    arena_free(&arena);
    return 0;
}

static void run_copy(const char *copy, const char *path_variable, char *out, size_t size)
{
    int pipe_fd[2];
    assert_int_equal(pipe(pipe_fd), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(pipe_fd[1], 1);
        (void)setenv("PATH", path_variable, 1);
        (void)unsetenv("FREEHOLD_ANVIL");
        (void)execl(copy, copy, "find", (char *)NULL);
        _exit(127);
    }
    (void)close(pipe_fd[1]);
    size_t len = 0;
    ssize_t n = 0;
    while ((n = read(pipe_fd[0], out + len, size - 1 - len)) > 0) {
        len += (size_t)n;
    }
    out[len] = '\0';
    (void)close(pipe_fd[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
}

static void copy_self(const char *to)
{
    int in = open("/proc/self/exe", O_RDONLY);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    static char block[1 << 16];
    ssize_t n = 0;
    while ((n = read(in, block, sizeof(block))) > 0) {
        assert_int_equal(write(out, block, (size_t)n), n);
    }
    (void)close(in);
    (void)close(out);
}

static void test_where_it_is_looked_for(void **state)
{
    (void)state;
    char copy[128];
    char text[1024];
    (void)snprintf(copy, sizeof(copy), "%s/copy", folder);
    copy_self(copy);
    run_copy(copy, "/nowhere", text, sizeof(text));
    assert_int_equal(strncmp(text, "config", 6), 0);
    assert_non_null(strstr(text, "tools/setup"));

    /* The package's script, which is no ELF file, is passed over; a program is taken. */
    char bin[128];
    char script[160];
    (void)snprintf(bin, sizeof(bin), "%s/bin", folder);
    (void)snprintf(script, sizeof(script), "%s/anvil", bin);
    assert_int_equal(mkdir(bin, 0700), 0);
    write_script(script, "#!/usr/bin/env node\n");
    run_copy(copy, bin, text, sizeof(text));
    assert_int_equal(strncmp(text, "config", 6), 0);
    assert_int_equal(unlink(script), 0);
    copy_self(script);
    run_copy(copy, bin, text, sizeof(text));
    assert_int_equal(strncmp(text, "ok ", 3), 0);
    assert_non_null(strstr(text, script));
}

static void *start_off_main(void *arg)
{
    struct devchain_options options = plain();
    struct devchain *chain = NULL;
    (void)!devchain_start(&options, &chain, NULL);
    return arg;
}

static void start_from_a_thread(void)
{
    pthread_t thread;
    (void)pthread_create(&thread, NULL, start_off_main, NULL);
    (void)pthread_join(thread, NULL);
}

static void test_another_thread_than_main_is_a_bug(void **state)
{
    (void)state;
    assert_true(test_aborts(start_from_a_thread));
}

static int setup(void **state)
{
    (void)state;
    (void)unsetenv("FREEHOLD_ANVIL");
    net_start();
    (void)snprintf(folder, sizeof(folder), "/tmp/freehold-devchain-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"bin/anvil",        "bin",        "copy",
                                        "anvil-that-fails", "leak",       "state.json",
                                        "state.json.lock",  "again.json", "again.json.lock"};
    char path[160];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    return rmdir(folder);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "find") == 0) {
        return find_and_print();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_use_and_stop),
        cmocka_unit_test(test_other_chain_id),
        cmocka_unit_test(test_port_in_use),
        cmocka_unit_test(test_nothing_of_ours_is_inherited),
        cmocka_unit_test(test_ends_with_its_parent),
        cmocka_unit_test(test_state_survives_the_death_of_its_parent),
        cmocka_unit_test(test_older_states_go_with_the_chain),
        cmocka_unit_test(test_genesis_survives_restarts),
        cmocka_unit_test(test_early_end_is_explained),
        cmocka_unit_test(test_named_program_missing),
        cmocka_unit_test(test_where_it_is_looked_for),
        cmocka_unit_test(test_another_thread_than_main_is_a_bug),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
