#include "app/devchain.h"

#include "app/devchain_cache.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/mem.h"
#include "kernel/rpc/rpc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MAX_USEC (10 * (int64_t)USEC_PER_SEC)
#define STOP_MAX_USEC (5 * (int64_t)USEC_PER_SEC)
#define LOCK_MAX_USEC (5 * (int64_t)USEC_PER_SEC)
#define POLL_USEC 10000
#define ARGS_MAX 32
#define LAST_LINE_MAX 300
#define URL_TEXT_MAX 48

struct devchain {
    pid_t pid;
    bool reaped;
    int status; /* of the child, once reaped */
    uint16_t port;
    int log_fd;
    int lock_fd;          /* -1 without a state file */
    uint64_t genesis_sec; /* 0: when it starts */
    struct devchain_cache cache;
    char url[URL_TEXT_MAX];
};

/* What the child needs, made before the fork: after it only system calls are allowed. */
struct launch {
    const char *path;
    char *args[ARGS_MAX];
    size_t arg_count;
    int null_fd;
    int log_fd;
    int lock_fd;
    int death_signal;
    pid_t parent;
};

static void close_if_open(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* ---- the port -------------------------------------------------------------------------------- */

static int bind_loopback(uint16_t port, bool reuse)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    if ((!reuse || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0) &&
        bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 &&
        /* From here on the child may bind the same port, because we do not listen on it. */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0) {
        return fd;
    }
    int reason = errno;
    (void)close(fd);
    errno = reason;
    return -1;
}

/*
 * reserve_port holds a port for the child: bound without SO_REUSEADDR, so that nobody who asks for
 * a free one is given it, then shared. Connections of an earlier chain that are not forgotten yet
 * (TIME_WAIT) forbid the first, but not the second try.
 */
static enum err reserve_port(uint16_t wanted, int *out_fd, uint16_t *out_port, struct why *why)
{
    int fd = bind_loopback(wanted, false);
    if (fd < 0 && errno == EADDRINUSE && wanted != 0) {
        fd = bind_loopback(wanted, true);
    }
    if (fd < 0 && errno == EADDRINUSE) {
        return why_set(why, ERR_CONFIG, "port",
                       "Port %u on 127.0.0.1 is in use by another program: stop that program or "
                       "choose another port for the development chain.",
                       wanted);
    }
    struct sockaddr_in at = {0};
    socklen_t len = sizeof(at);
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        int reason = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return why_set(why, ERR_CONFIG, "port", "Port %u on 127.0.0.1 cannot be used: %s.", wanted,
                       strerror(reason));
    }
    *out_fd = fd;
    *out_port = ntohs(at.sin_port);
    return OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum err open_log(const char *path, int *out_fd, struct why *why)
{
    int fd = path != NULL
                 ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)
                 : memfd_create("devchain-log", MFD_CLOEXEC);
    if (fd < 0) {
        return why_set(why, ERR_CONFIG, "log_path", "The log file %s cannot be written: %s.",
                       path != NULL ? path : "in memory", strerror(errno));
    }
    *out_fd = fd;
    return OK;
}

/* lock_state takes the lock that a living chain holds on its state file. */
static enum err lock_state(struct arena *arena, const char *state_path, int *out_fd,
                           struct why *why)
{
    const char *path = (const char *)slice_format(arena, "%s.lock", state_path).ptr;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return why_set(why, ERR_CONFIG, "state_path", "The chain's state cannot be kept at %s: %s.",
                       state_path, strerror(errno));
    }
    int64_t deadline = clock_mono_usec() + LOCK_MAX_USEC;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || clock_mono_usec() > deadline) {
            (void)close(fd);
            return why_set(why, ERR_LOCKED, "state_path",
                           "The chain's state at %s is in use by another development chain.",
                           state_path);
        }
        clock_sleep_usec(POLL_USEC);
    }
    *out_fd = fd;
    return OK;
}

/*
 * find_genesis says when the chain of a state file began. anvil makes a genesis block of the
 * present at every start, and which of those in the file it uses is left to chance: so each start
 * of one chain is given the same time, which stands in the lock file from the first one on.
 */
static enum err find_genesis(const char *state_path, int lock_fd, uint64_t *out_sec,
                             struct why *why)
{
    char text[24];
    if (access(state_path, F_OK) == 0) {
        ssize_t n = pread(lock_fd, text, sizeof(text), 0);
        if (n <= 0 || slice_parse_u64(slice_of(text, (size_t)n), out_sec) != OK) {
            *out_sec = 0; /* somebody else's state file */
        }
        return OK;
    }
    *out_sec = (uint64_t)(clock_wall_usec() / (int64_t)USEC_PER_SEC);
    int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)*out_sec);
    if (ftruncate(lock_fd, 0) != 0 || pwrite(lock_fd, text, (size_t)len, 0) != len) {
        return why_set(why, ERR_IO, "state_path", "The chain's state cannot be kept at %s: %s.",
                       state_path, strerror(errno));
    }
    return OK;
}

/* last_line_of reads the last line that is not blank from what the child printed. */
static void last_line_of(int fd, char out[LAST_LINE_MAX])
{
    char tail[4096];
    struct stat st;
    out[0] = '\0';
    if (fstat(fd, &st) != 0) {
        return;
    }
    off_t from = st.st_size > (off_t)sizeof(tail) ? st.st_size - (off_t)sizeof(tail) : 0;
    ssize_t n = pread(fd, tail, sizeof(tail), from);
    struct slice text = slice_trim(slice_of(tail, n > 0 ? (size_t)n : 0));
    size_t start = text.len;
    while (start > 0 && text.ptr[start - 1] != '\n') {
        start--;
    }
    text = slice_sub(text, start, LAST_LINE_MAX - 1);
    for (size_t i = 0; i < text.len; i++) {
        out[i] = text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? (char)text.ptr[i] : ' ';
    }
    out[text.len] = '\0';
}

/* ---- the child ------------------------------------------------------------------------------- */

static void add_arg(struct arena *arena, struct launch *l, const char *text)
{
    ASSERT(l->arg_count + 1 < ARGS_MAX); /* the last one stays NULL */
    l->args[l->arg_count++] = slice_cstr(arena, slice_text(text));
}

static void add_number(struct arena *arena, struct launch *l, const char *flag, uint64_t value)
{
    add_arg(arena, l, flag);
    add_arg(arena, l, (const char *)slice_format(arena, "%llu", (unsigned long long)value).ptr);
}

static void make_args(struct arena *arena, const struct devchain_options *options,
                      const struct devchain *chain, struct launch *l)
{
    add_arg(arena, l, "anvil");
    add_arg(arena, l, "--host");
    add_arg(arena, l, "127.0.0.1");
    add_number(arena, l, "--port", chain->port);
    add_number(arena, l, "--chain-id", options->chain_id);
    add_number(arena, l, "--accounts", DEVCHAIN_ACCOUNTS);
    add_number(arena, l, "--balance", 10000);
    add_arg(arena, l, "--mnemonic");
    add_arg(arena, l, DEVCHAIN_MNEMONIC);
    /* First come, first served: a wallet's transactions are mined in the order they were sent. */
    add_arg(arena, l, "--order");
    add_arg(arena, l, "fifo");
    add_arg(arena, l, "--quiet");
    add_arg(arena, l, "--cache-path");
    add_arg(arena, l, chain->cache.path);
    add_arg(arena, l, "--no-cors");
    if (chain->genesis_sec > 0) {
        add_number(arena, l, "--timestamp", chain->genesis_sec);
    }
    if (options->block_time_sec > 0) {
        add_number(arena, l, "--block-time", options->block_time_sec);
    }
    if (options->state_path != NULL) {
        add_arg(arena, l, "--state");
        add_arg(arena, l, options->state_path);
    }
}

/* run_child replaces the forked process; system calls only, because other threads may hold locks.
 */
static _Noreturn void run_child(const struct launch *l)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    /* Out of the terminal's process group: Ctrl-C reaches us, and we end the chain in order. */
    (void)setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, l->death_signal) != 0 || getppid() != l->parent) {
        _exit(127); /* we were too late to be told of our parent's end */
    }
    if (dup2(l->null_fd, 0) != 0 || dup2(l->log_fd, 1) != 1 || dup2(l->log_fd, 2) != 2) {
        _exit(127);
    }
    unsigned first = 3;
    if (l->lock_fd >= 0) {
        if (l->lock_fd == 3 ? fcntl(3, F_SETFD, 0) != 0 : dup2(l->lock_fd, 3) != 3) {
            _exit(127);
        }
        first = 4;
    }
    (void)syscall(SYS_close_range, first, ~0U, 0U);
    (void)execv(l->path, l->args);
    _exit(127);
}

static bool reap(struct devchain *chain, int flags)
{
    if (!chain->reaped) {
        pid_t got = waitpid(chain->pid, &chain->status, flags);
        chain->reaped = got == chain->pid || (got < 0 && errno == ECHILD);
    }
    return chain->reaped;
}

/* ---- waiting for the first answer ------------------------------------------------------------ */

static enum err ended_early(const struct devchain *chain, struct why *why)
{
    char line[LAST_LINE_MAX];
    last_line_of(chain->log_fd, line);
    char how[48];
    if (WIFSIGNALED(chain->status)) {
        (void)snprintf(how, sizeof(how), "was ended by signal %d", WTERMSIG(chain->status));
    } else {
        (void)snprintf(how, sizeof(how), "ended with status %d", WEXITSTATUS(chain->status));
    }
    if (strstr(line, "ddress already in use") != NULL) {
        return why_set(why, ERR_CONFIG, "port",
                       "Port %u on 127.0.0.1 is in use by another program: stop that program or "
                       "choose another port for the development chain.",
                       chain->port);
    }
    return why_set(why, ERR_NODE_UNAVAILABLE, NULL, "The development chain %s%s%s", how,
                   line[0] != '\0' ? "; its last words: " : ".", line);
}

static bool accepts_connections(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    bool accepted = fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
    close_if_open(fd);
    return accepted;
}

/* set_clock takes the chain from the time of its genesis to the present. */
static enum err set_clock(struct rpc_pool *pool, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    long long now_sec = clock_wall_usec() / (int64_t)USEC_PER_SEC;
    struct rpc_call call = {.method = "evm_setTime",
                            .params = slice_format(&scratch, "[%lld]", now_sec)};
    enum err e = rpc_call_one(pool, &scratch, RPC_ANY, &call, why);
    arena_free(&scratch);
    return e;
}

/* check_chain asks for the chain id, as every user of the chain will. */
static enum err check_chain(const struct devchain *chain, uint64_t chain_id, struct why *why)
{
    struct rpc_endpoint endpoint = {.url = chain->url, .role = RPC_PRIMARY};
    struct rpc_options options = {
        .chain_id = chain_id,
        .endpoints = &endpoint,
        .endpoint_count = 1,
        .timeout_usec = START_MAX_USEC,
        .attempts_max = 1,
        .batch_max = 1,
        .answer_bytes_max = 4096,
    };
    struct rpc_pool *pool = rpc_pool_new(&options);
    uint64_t id = 0;
    enum err e = rpc_chain_id(pool, &id, why);
    if (e == OK && chain->genesis_sec > 0) {
        e = set_clock(pool, why);
    }
    rpc_pool_free(pool);
    return e;
}

static enum err wait_until_ready(struct devchain *chain, uint64_t chain_id, struct why *why)
{
    int64_t deadline = clock_mono_usec() + START_MAX_USEC;
    while (!reap(chain, WNOHANG) && !accepts_connections(chain->port)) {
        if (clock_mono_usec() > deadline) {
            return why_set(why, ERR_NODE_TIMEOUT, NULL,
                           "The development chain did not answer within %lld seconds.",
                           (long long)(START_MAX_USEC / USEC_PER_SEC));
        }
        clock_sleep_usec(POLL_USEC);
    }
    if (!chain->reaped) {
        enum err e = check_chain(chain, chain_id, why);
        if (e == OK || e == ERR_WRONG_CHAIN || !reap(chain, WNOHANG)) {
            return e;
        }
    }
    return ended_early(chain, why);
}

/* ---- start and stop -------------------------------------------------------------------------- */

/* prepare opens what the child gets; the caller closes what is open, also on failure. */
static enum err prepare(struct arena *arena, const struct devchain_options *options,
                        struct devchain *chain, struct launch *l, int *out_port_fd, struct why *why)
{
    enum err e = devchain_find_anvil(arena, options->anvil_path, &l->path, why);
    if (e == OK && options->state_path != NULL) {
        e = lock_state(arena, options->state_path, &chain->lock_fd, why);
        e = e ? e : find_genesis(options->state_path, chain->lock_fd, &chain->genesis_sec, why);
    }
    if (e == OK) {
        e = reserve_port(options->port, out_port_fd, &chain->port, why);
    }
    if (e == OK) {
        e = open_log(options->log_path, &chain->log_fd, why);
    }
    if (e == OK) {
        e = devchain_cache_open(&chain->cache, why);
    }
    if (e == OK) {
        l->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        e = l->null_fd >= 0 ? OK : why_set(why, ERR_IO, NULL, "/dev/null cannot be opened.");
    }
    if (e != OK) {
        return e;
    }
    make_args(arena, options, chain, l);
    l->log_fd = chain->log_fd;
    l->lock_fd = chain->lock_fd;
    l->death_signal = options->state_path != NULL ? SIGTERM : SIGKILL;
    l->parent = getpid();
    (void)snprintf(chain->url, sizeof(chain->url), "http://127.0.0.1:%u", chain->port);
    return OK;
}

enum err devchain_start(const struct devchain_options *options, struct devchain **out,
                        struct why *why)
{
    ASSERT(getpid() == gettid());
    struct arena scratch;
    arena_init(&scratch, 0);
    struct devchain *chain = mem_alloc(sizeof(*chain));
    chain->pid = -1;
    chain->log_fd = -1;
    chain->lock_fd = -1;
    chain->cache = (struct devchain_cache){.lock_fd = -1};
    struct launch l = {.null_fd = -1};
    int port_fd = -1;
    enum err e = prepare(&scratch, options, chain, &l, &port_fd, why);
    if (e != OK) {
        goto out;
    }
    chain->pid = fork();
    if (chain->pid == 0) {
        run_child(&l);
    }
    if (chain->pid < 0) {
        e = why_set(why, ERR_IO, NULL, "No process can be started: %s.", strerror(errno));
        goto out;
    }
    close_if_open(chain->lock_fd); /* the child's copy holds the lock exactly as long as it lives */
    chain->lock_fd = -1;
    e = wait_until_ready(chain, options->chain_id, why);
out:
    close_if_open(port_fd);
    close_if_open(l.null_fd);
    arena_free(&scratch);
    if (e != OK) {
        devchain_stop(chain);
        return e;
    }
    *out = chain;
    return OK;
}

const char *devchain_url(const struct devchain *chain)
{
    return chain->url;
}

uint16_t devchain_port(const struct devchain *chain)
{
    return chain->port;
}

pid_t devchain_pid(const struct devchain *chain)
{
    return chain->pid;
}

bool devchain_is_running(struct devchain *chain)
{
    return !reap(chain, WNOHANG);
}

void devchain_stop(struct devchain *chain)
{
    if (chain == NULL) {
        return;
    }
    if (chain->pid > 0 && !reap(chain, WNOHANG)) {
        (void)kill(chain->pid, SIGTERM);
        int64_t deadline = clock_mono_usec() + STOP_MAX_USEC;
        while (!reap(chain, WNOHANG) && clock_mono_usec() < deadline) {
            clock_sleep_usec(POLL_USEC / 5);
        }
        if (!chain->reaped) {
            (void)kill(chain->pid, SIGKILL);
            (void)reap(chain, 0);
        }
    }
    close_if_open(chain->log_fd);
    close_if_open(chain->lock_fd);
    devchain_cache_close(&chain->cache);
    mem_free(chain);
}
