/*
 * cmd_serve.c: the daemon. The main thread starts everything, waits for a signal, stops everything.
 */
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/service.h"
#include "kernel/base/log.h"

/* How often the main thread looks whether its children live. Units: milliseconds. */
#define LOOK_MSEC 500

static bool json_lines;

static void print_stage(struct json_out *j, const struct service *s, enum service_stage stage)
{
    switch (stage) {
    case SERVICE_CHAIN_READY:
        json_text(j, "chain_ready");
        json_key(j, "rpc");
        json_text(j, s->settings->chain.rpc_urls);
        json_key(j, "chainId");
        json_u64(j, s->settings->chain.chain_id);
        json_key(j, "started");
        json_bool(j, s->devchain != NULL);
        return;
    case SERVICE_CONTRACTS_READY:
        json_text(j, "contracts_ready");
        json_key(j, "stablecoin");
        json_text(j, s->settings->leasing.stablecoin);
        json_key(j, "assetRegistry");
        json_text(j, s->settings->leasing.asset_registry);
        json_key(j, "leaseFactory");
        json_text(j, s->settings->leasing.lease_factory);
        json_key(j, "marketplace");
        json_text(j, s->settings->leasing.marketplace);
        return;
    case SERVICE_SERVING:
        json_text(j, "serving");
        json_key(j, "url");
        json_string(j, slice_format(j->buf->arena, "http://%s:%u", s->settings->http.host,
                                    (unsigned)http_port(s->http)));
        json_key(j, "rpc");
        json_text(j, s->settings->chain.rpc_urls);
        json_key(j, "roles");
        json_text(j, s->roles);
        json_key(j, "pid");
        json_i64(j, getpid());
        return;
    }
}

/* The line that tells a person where the API is. */
static void greet(const struct service *s)
{
    (void)printf("Freehold %s serves http://%s:%u (%s; chain %llu at %s)\n", FREEHOLD_VERSION,
                 s->settings->http.host, (unsigned)http_port(s->http), s->roles,
                 (unsigned long long)s->settings->chain.chain_id,
                 s->devchain ? devchain_url(s->devchain) : "the configured nodes");
    (void)fflush(stdout);
}

static void progress(const struct service *s, enum service_stage stage)
{
    if (!json_lines) {
        if (stage == SERVICE_SERVING) {
            greet(s);
        }
        return;
    }
    struct arena arena;
    struct buf b;
    struct json_out j;
    arena_init(&arena, 0);
    buf_init(&b, &arena, 512);
    json_out_init(&j, &b);
    json_begin_object(&j);
    json_key(&j, "event");
    print_stage(&j, s, stage);
    json_end_object(&j);
    buf_add_byte(&b, '\n');
    cli_print(buf_slice(&b));
    arena_free(&arena);
}

/*
 * Blocks until a signal, the end of standard input (when asked) or the end of a child. Input before
 * its end is the parent's word that we may outlive it.
 */
static enum err wait_for_end(struct service *s, int signals, bool until_eof, struct why *why)
{
    struct pollfd fds[2] = {{.fd = signals, .events = POLLIN},
                            {.fd = STDIN_FILENO, .events = POLLIN}};
    for (;;) {
        int n = poll(fds, until_eof ? 2 : 1, LOOK_MSEC);
        if (n > 0 && (fds[0].revents & POLLIN) != 0) {
            return OK;
        }
        if (n > 0 && until_eof && fds[1].revents != 0) {
            char drain[256];
            if (read(STDIN_FILENO, drain, sizeof drain) <= 0) {
                return OK;
            }
            until_eof = false;
        }
        enum err e = service_check(s, why);
        if (e != OK) {
            return e;
        }
    }
}

enum err command_serve(struct cli *cli, struct why *why)
{
    struct settings settings;
    struct service *service = NULL;
    sigset_t set;
    json_lines = cli->json;
    /* Blocked before threads start, so that all of them leave signals to the main thread. */
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    settings_init(&settings);
    const char *roles = cli_option_value(cli, "role");
    if (roles != NULL && cli->setting_count < CLI_FLAGS_MAX) {
        cli->settings[cli->setting_count++] = (struct config_flag){"service.roles", roles};
    }
    enum err e = signals >= 0 ? settings_load(&settings, cli, why)
                              : why_set(why, ERR_IO, NULL, "signals cannot be waited for");
    if (e == OK) {
        e = service_new(&settings, progress, &service, why);
    }
    if (e == OK) {
        LOG(LOG_INFO, "service.started", log_u64("port", http_port(service->http)),
            log_text("roles", service->roles),
            log_text("process", store_process_id(service->store)),
            log_text("database", store_url_shown(service->store)));
        e = wait_for_end(service, signals, cli_option_value(cli, "until-eof") != NULL, why);
        LOG(LOG_INFO, "service.stopping", log_err(e));
    }
    service_free(service);
    settings_clear(&settings);
    if (signals >= 0) {
        (void)close(signals);
    }
    return e;
}
