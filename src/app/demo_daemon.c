#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/demo.h"
#include "kernel/base/check.h"

#define START_USEC_MAX (30 * (int64_t)USEC_PER_SEC)
#define STOP_USEC_MAX (15 * (int64_t)USEC_PER_SEC)
#define ARGUMENTS_MAX 32

/* All that the signal handler touches. */
static volatile sig_atomic_t signal_caught;
static volatile sig_atomic_t daemon_to_stop; /* process id, or 0 */

/* Steps wait for answers of the daemon: when it stops, they end by themselves. */
static void stop_daemon_on_signal(int number)
{
    int saved = errno;
    signal_caught = number;
    if (daemon_to_stop > 0) {
        (void)kill((pid_t)daemon_to_stop, SIGTERM);
    }
    errno = saved;
}

void demo_catch_signals(void)
{
    /* Once: a second Ctrl-C ends the demo at once, and the daemon by the end of its input. */
    struct sigaction action = {.sa_handler = stop_daemon_on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
}

int demo_signal_caught(void)
{
    return (int)signal_caught;
}

enum err demo_check_signal(struct why *why)
{
    return signal_caught == 0
               ? OK
               : why_set(why, ERR_CANCELLED, NULL, "stopped by signal %d", (int)signal_caught);
}

struct arguments {
    const char *list[ARGUMENTS_MAX + 1];
    size_t count;
};

static void add(struct arguments *a, struct arena *arena, const char *key, const char *value)
{
    ASSERT(a->count < ARGUMENTS_MAX);
    a->list[a->count++] = slice_cstr(arena, slice_format(arena, "%s%s", key, value));
}

static void add_address(struct arguments *a, struct arena *arena, const char *key,
                        const struct address *value)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(value, text);
    add(a, arena, key, text);
}

static enum err make_dir(struct demo *demo, struct why *why)
{
    const char *given = cli_option_value(demo->cli, "dir");
    if (given != NULL) {
        (void)snprintf(demo->dir, sizeof demo->dir, "%s", given);
        if (mkdir(demo->dir, 0755) != 0 && errno != EEXIST) {
            return why_set(why, ERR_IO, NULL, "the folder %s could not be made: %s", given,
                           strerror(errno));
        }
        return OK;
    }
    const char *base = getenv("TMPDIR");
    (void)snprintf(demo->dir, sizeof demo->dir, "%s/freehold-demo-XXXXXX",
                   base != NULL && base[0] == '/' ? base : "/tmp");
    if (mkdtemp(demo->dir) == NULL) {
        return why_set(why, ERR_IO, NULL, "no temporary folder could be made: %s", strerror(errno));
    }
    demo->dir_is_ours = true;
    return OK;
}

static void fill_arguments(struct demo *demo, struct arguments *a)
{
    struct arena *arena = &demo->arena;
    add(a, arena, "freehold", "");
    add(a, arena, "serve", "");
    add(a, arena, "--json", "");
    add(a, arena, "--until-eof", "");
    add(a, arena, "--http.port=", "0");
    add(a, arena, "--x402.enabled=", demo->pays ? "true" : "false");
    if (demo->given_store == NULL) {
        add(a, arena, "--store.url=", demo->store_url);
    }
    add(a, arena,
        "--devchain.dir=", slice_cstr(arena, slice_format(arena, "%s/devchain", demo->dir)));
    if (demo->given_rpc == NULL) {
        return;
    }
    char id[32];
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)demo->contracts.chain_id);
    add(a, arena, "--chain.rpc_urls=", demo->given_rpc);
    add(a, arena, "--chain.id=", id);
    add(a, arena, "--chain.poll_interval=", "100ms");
    add(a, arena, "--wallets.dev_accounts=", "5");
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)demo->contracts.start_block);
    add(a, arena, "--chain.start_block=", id);
    add_address(a, arena, "--leasing.stablecoin=", &demo->contracts.stablecoin);
    add_address(a, arena, "--leasing.asset_registry=", &demo->contracts.asset_registry);
    add_address(a, arena, "--leasing.lease_factory=", &demo->contracts.lease_factory);
    add_address(a, arena, "--leasing.marketplace=", &demo->contracts.marketplace);
}

/* In the child: nothing but system calls that are safe after fork. */
static _Noreturn void become_daemon(const char *const *arguments, int in, int out, int err)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid(); /* a Ctrl-C at the demo is the demo's to handle */
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(err, STDERR_FILENO) < 0) {
        _exit(127);
    }
    /* execv does not write to its arguments; its type predates const. */
    union {
        const char *const *in;
        char *const *out;
    } argv = {.in = arguments};
    (void)execv("/proc/self/exe", argv.out);
    _exit(127);
}

enum err demo_daemon_start(struct demo *demo, struct why *why)
{
    enum err e = make_dir(demo, why);
    if (e != OK) {
        return e;
    }
    struct arguments arguments = {.count = 0};
    demo->store_url = demo->given_store;
    if (demo->given_store == NULL) {
        struct slice file = slice_format(&demo->arena, "sqlite:%s/freehold.db", demo->dir);
        demo->store_url = slice_cstr(&demo->arena, file);
    } else if (setenv("FREEHOLD_STORE_URL", demo->given_store, 1) != 0) {
        /* Not an argument: those can be read by everybody on the machine, and it has a password. */
        return why_set(why, ERR_IO, NULL, "the environment cannot be set: %s", strerror(errno));
    }
    fill_arguments(demo, &arguments);
    int in[2];
    int out[2];
    char log_path[4200];
    (void)snprintf(log_path, sizeof log_path, "%s/daemon.log", demo->dir);
    int err = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (err < 0 || pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
        return why_set(why, ERR_IO, NULL, "the daemon could not be started: %s", strerror(errno));
    }
    (void)fflush(stdout);
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before); /* no signal between a child and its number */
    demo->pid = fork();
    if (demo->pid == 0) {
        become_daemon(arguments.list, in[0], out[1], err);
    }
    daemon_to_stop = demo->pid > 0 ? demo->pid : 0;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    (void)close(in[0]);
    (void)close(out[1]);
    (void)close(err);
    demo->stdin_fd = in[1];
    demo->stdout_fd = out[0];
    if (demo->pid < 0) {
        return why_set(why, ERR_IO, NULL, "the daemon could not be started: %s", strerror(errno));
    }
    return OK;
}

/* Takes the first whole line out of what was read. */
static bool take_line(struct demo *demo, struct slice *out)
{
    struct slice all = buf_slice(&demo->lines);
    struct slice line;
    struct slice rest;
    if (!slice_cut(all, '\n', &line, &rest)) {
        return false;
    }
    *out = slice_copy(&demo->arena, line);
    struct slice kept = slice_copy(&demo->arena, rest);
    demo->lines.len = 0;
    buf_add_slice(&demo->lines, kept);
    return true;
}

static enum err take_event(struct demo *demo, struct slice line, const char *event,
                           const struct json **out, struct why *why)
{
    const struct json *v = NULL;
    enum err e = json_parse(&demo->arena, line, &json_limits_body, &v, why);
    if (e != OK) {
        return e;
    }
    const struct json *error = json_find(v, "error");
    if (error != NULL) {
        const struct json *code = json_find(v, "code");
        enum err named = err_find(code ? slice_cstr(&demo->arena, code->text) : "");
        return why_set(why, named != ERR_COUNT ? named : ERR_UPSTREAM, NULL, "%.*s",
                       SLICE_ARG(error->text));
    }
    const struct json *name = json_find(v, "event");
    if (name != NULL && slice_equal_text(name->text, event)) {
        *out = v;
    }
    return OK;
}

/* Waits for output of the daemon and appends it to what was read. */
static enum err read_more(struct demo *demo, const char *event, int64_t deadline, struct why *why)
{
    struct pollfd fd = {.fd = demo->stdout_fd, .events = POLLIN};
    int64_t left = deadline - clock_mono_usec();
    int ready = left <= 0 ? 0 : poll(&fd, 1, (int)(left / 1000) + 1);
    enum err e = demo_check_signal(why);
    if (e != OK) {
        return e;
    }
    if (ready == 0) {
        demo->dir_is_ours = false; /* keep the log for whoever looks */
        return why_set(why, ERR_NODE_TIMEOUT, NULL,
                       "the daemon did not say \"%s\" within 30 s; its log is %s/daemon.log", event,
                       demo->dir);
    }
    uint8_t *room = buf_room(&demo->lines, 4096);
    ssize_t n = read(demo->stdout_fd, room, 4096);
    if (n <= 0) {
        demo->dir_is_ours = false;
        return why_set(why, ERR_UPSTREAM, NULL, "the daemon ended; its log is %s/daemon.log",
                       demo->dir);
    }
    demo->lines.len += (size_t)n;
    return OK;
}

enum err demo_daemon_await(struct demo *demo, const char *event, const struct json **out,
                           struct why *why)
{
    int64_t deadline = clock_mono_usec() + START_USEC_MAX;
    *out = NULL;
    while (*out == NULL) {
        struct slice line;
        if (take_line(demo, &line)) {
            enum err e = take_event(demo, line, event, out, why);
            if (e != OK) {
                return e;
            }
            continue;
        }
        enum err e = read_more(demo, event, deadline, why);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static void remove_dir(const char *dir)
{
    static const char *const names[] = {
        "devchain/chain.json",
        "devchain/chain.log",
        "devchain/chain.json.lock",
        "devchain/contracts.json",
        "devchain",
        "freehold.db",
        "freehold.db-wal",
        "freehold.db-shm",
        "freehold.db.lock",
        "daemon.log",
    };
    char path[4200];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)remove(path);
    }
    (void)remove(dir);
}

enum err demo_daemon_release(struct demo *demo, struct why *why)
{
    static const char line[] = "stay\n";
    daemon_to_stop = 0;
    if (write(demo->stdin_fd, line, sizeof line - 1) != (ssize_t)(sizeof line - 1)) {
        return why_set(why, ERR_UPSTREAM, NULL, "the daemon has ended");
    }
    return OK;
}

/* What a daemon that was told to stop should not do. */
static enum err check_end(struct demo *demo, int status, struct why *why)
{
    bool served = demo->url[0] != '\0';
    char how[48] = "";
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGTERM) {
        (void)snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(status));
    } else if (served && WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        (void)snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(status));
    }
    if (how[0] == '\0') {
        return OK;
    }
    demo->dir_is_ours = false; /* keep the log for whoever looks */
    return why_set(why, ERR_UPSTREAM, NULL, "the daemon %s; its log is %s/daemon.log", how,
                   demo->dir);
}

static enum err end_daemon(struct demo *demo, struct why *why)
{
    int status = 0;
    pid_t ended = 0;
    daemon_to_stop = 0; /* from here on its number may become somebody else's */
    (void)kill(demo->pid, SIGTERM);
    (void)close(demo->stdin_fd);
    int64_t deadline = clock_mono_usec() + STOP_USEC_MAX;
    while (ended == 0 && clock_mono_usec() < deadline) {
        ended = waitpid(demo->pid, &status, WNOHANG);
        if (ended == 0) {
            clock_sleep_usec(2000);
        }
    }
    if (ended == 0) {
        (void)kill(demo->pid, SIGKILL);
        (void)waitpid(demo->pid, &status, 0);
    }
    (void)close(demo->stdout_fd);
    demo->pid = 0;
    return check_end(demo, status, why);
}

enum err demo_daemon_stop(struct demo *demo, struct why *why)
{
    if (demo->keep) {
        return OK;
    }
    enum err e = demo->pid > 0 ? end_daemon(demo, why) : OK;
    if (demo->dir_is_ours) {
        remove_dir(demo->dir);
    }
    return e;
}
