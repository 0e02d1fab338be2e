/*
 * cmd_misc.c: wallets, generated references, version, help.
 */
#include <errno.h>
#include <sys/stat.h>

#include "app/cmd_audit.h"
#include "app/commands.h"
#include "app/service.h"
#include "app/wallets.h"
#include "kernel/auth/auth_session.h"
#include "kernel/backup/backup_runs.h"
#include "kernel/base/hex.h"
#include "kernel/base/metric.h"
#include "kernel/chain/chain_reconcile.h"
#include "kernel/crypto/keystore.h"
#include "kernel/http/http.h"
#include "kernel/ops/ops_doctor.h"
#include "kernel/store/store_lease.h"

#define SCRYPT_LOG2_N 17

/* ---- wallet ---- */

struct wallet_paths {
    const char *dir;
    const char *password_file;
};

/* A private key as 0x and 64 hex digits on the first line of a file. */
static enum err read_key(const char *path, struct secret *out, struct why *why)
{
    struct secret line = {0};
    uint8_t bytes[PRIVATE_KEY_BYTES];
    enum err e = wallets_read_line(path, &line, why);
    if (e == OK && hex_decode_fixed(slice_of(secret_bytes(&line), secret_len(&line)), bytes,
                                    sizeof bytes) != OK) {
        e = why_set(why, ERR_INVALID_HEX, NULL, "%s does not begin with 0x and 64 hex digits",
                    path);
    }
    if (e == OK) {
        secret_init(out, bytes, sizeof bytes);
        e = secp256k1_key_check(out);
        if (e != OK) {
            e = why_set(why, e, NULL, "%s holds no valid private key", path);
        }
    }
    mem_wipe(bytes, sizeof bytes);
    secret_clear(&line);
    return e;
}

static void print_wallet(const struct cli *cli, const struct address *address, struct slice path)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(address, text);
    (void)printf(cli->json ? "{\"success\":true,\"address\":\"%s\",\"path\":\"%.*s\"}\n"
                           : "%s  %.*s\n",
                 text, SLICE_ARG(path));
}

static enum err save_wallet(struct cli *cli, const struct wallet_paths *paths,
                            const struct secret *key, struct why *why)
{
    struct secret password = {0};
    struct address address;
    struct slice json;
    struct slice path;
    enum err e = wallets_read_line(paths->password_file, &password, why);
    if (e == OK && secret_len(&password) < 8) {
        e = why_set(why, ERR_CONFIG, "wallets.password_file",
                    "the password in %s is shorter than 8 characters", paths->password_file);
    }
    if (e == OK) {
        e = secp256k1_address(key, &address);
    }
    if (e == OK && mkdir(paths->dir, 0700) != 0 && errno != EEXIST) {
        e = why_set(why, ERR_IO, NULL, "the folder %s could not be made: %s", paths->dir,
                    strerror(errno));
    }
    if (e == OK) {
        e = keystore_encode(cli->boot, key, &password,
                            (struct keystore_cost){.scrypt_log2_n = SCRYPT_LOG2_N}, &json, why);
    }
    if (e == OK) {
        e = keystore_write_file(cli->boot, paths->dir, &address, json, &path, why);
    }
    if (e == OK) {
        print_wallet(cli, &address, path);
    }
    secret_clear(&password);
    return e;
}

static enum err list_wallet(void *ctx, const struct secret *key, const struct address *address,
                            const char *path, struct why *why)
{
    (void)key;
    (void)why;
    print_wallet(ctx, address, slice_text(path));
    return OK;
}

enum err command_wallet(struct cli *cli, struct why *why)
{
    struct settings settings;
    settings_init(&settings);
    enum err e = settings_load(&settings, cli, why);
    const char *dir = cli_option_value(cli, "dir");
    const char *password = cli_option_value(cli, "password-file");
    const char *key_file = cli_option_value(cli, "key-file");
    const char *word = cli_word(cli, 0);
    struct slice what = slice_text(word != NULL ? word : "list");
    struct secret key = {0};
    if (e == OK) {
        const struct wallet_paths paths = {
            .dir = dir != NULL ? dir : settings.wallets.keystore_dir,
            .password_file = password != NULL ? password : settings.wallets.password_file,
        };
        if (paths.dir[0] == '\0' || paths.password_file[0] == '\0') {
            e = why_set(why, ERR_USAGE, NULL,
                        "say where: --dir DIR and --password-file FILE, or the settings "
                        "wallets.keystore_dir and wallets.password_file");
        } else if (slice_equal_text(what, "list")) {
            e = wallets_each(paths.dir, paths.password_file, list_wallet, cli, why);
        } else if (slice_equal_text(what, "new")) {
            secp256k1_key_new(&key);
            e = save_wallet(cli, &paths, &key, why);
        } else if (slice_equal_text(what, "import") && key_file != NULL) {
            e = read_key(key_file, &key, why);
            e = e == OK ? save_wallet(cli, &paths, &key, why) : e;
        } else {
            e = why_set(why, ERR_USAGE, NULL, "wallet list, new, or import --key-file FILE");
        }
    }
    secret_clear(&key);
    settings_clear(&settings);
    return e;
}

/* ---- reference ---- */

static void reference_errors(struct buf *out)
{
    buf_add_text(out, "| code | HTTP status | try again | meaning |\n|---|---|---|---|\n");
    for (int e = OK + 1; e < ERR_COUNT; e++) {
        buf_format(out, "| `%s` | %d | %s | %s |\n", err_code((enum err)e),
                   err_http_status((enum err)e), err_retryable((enum err)e) ? "yes" : "no",
                   err_sentence((enum err)e));
    }
}

static void reference_metrics(struct buf *out)
{
    /* Modules register their rows when they are made; a reference needs no module. */
    chain_metrics_register();
    relay_metrics_register();
    webhooks_metrics_register();
    jobs_metrics_register();
    rpc_metrics_register();
    rpc_stream_metrics_register();
    http_metrics_register();
    paywall_metrics_register();
    cache_metrics_register();
    auth_metrics_register();
    ops_metrics_register();
    chain_reconcile_metrics_register();
    store_lease_metrics_register();
    store_metrics_register();
    audit_metrics_register();
    backup_metrics_register();
    documents_metrics_register();
    stream_metrics_register();
    metric_reference(out);
}

static enum err reference(struct slice what, struct buf *out, struct why *why)
{
    struct settings settings;
    static struct ops no_ops;
    const struct http_table routes[] = {
        ops_http_table(&no_ops),         ops_api_table(&no_ops),
        ops_jobs_http_table(&no_ops),    http_documents_table(NULL),
        leasing_http_table(NULL),        ops_transactions_http_table(&no_ops),
        webhooks_http_table(NULL),       auth_http_table(NULL),
        leasing_market_http_table(NULL), auth_sessions_http_table(NULL),
        documents_http_table(NULL),      paywall_http_table(NULL),
        stream_http_table(NULL),
    };
    const struct chain_table events = leasing_chain_table(NULL);
    struct job_table jobs[SCHEDULES_TABLES_MAX];
    size_t job_tables = schedules_job_tables(&(struct schedules_owners){.ops = NULL}, jobs);
    if (slice_equal_text(what, "openapi")) {
        http_openapi_write(routes, sizeof routes / sizeof routes[0], &service_about, out);
        buf_add_text(out, "\n");
        return OK;
    }
    buf_format(out, "<!-- Written by `freehold reference %.*s`; do not edit. -->\n\n",
               SLICE_ARG(what));
    if (slice_equal_text(what, "errors")) {
        buf_add_text(out, "# Errors\n\nThe `code` of every failure answer.\n\n");
        reference_errors(out);
    } else if (slice_equal_text(what, "routes")) {
        buf_add_text(out, "# Routes\n\n");
        http_routes_reference(routes, sizeof routes / sizeof routes[0], out);
    } else if (slice_equal_text(what, "events")) {
        buf_add_text(out, "# Contract events\n\n");
        chain_events_reference(&events, 1, out);
    } else if (slice_equal_text(what, "jobs")) {
        buf_add_text(out, "# Background jobs\n\n");
        jobs_reference(jobs, job_tables, out);
    } else if (slice_equal_text(what, "audit")) {
        buf_add_text(out, "# Audit log\n\nThe actions that `audit_log` records.\n\n");
        audit_actions_reference(out);
    } else if (slice_equal_text(what, "doctor")) {
        buf_add_text(out, "# Checks of freehold doctor\n\n");
        ops_doctor_reference(out);
    } else if (slice_equal_text(what, "metrics")) {
        buf_add_text(out, "# Metrics\n\n");
        reference_metrics(out);
    } else if (slice_equal_text(what, "config")) {
        settings_init(&settings);
        config_reference(settings.registry, out);
        settings_clear(&settings);
    } else {
        return why_set(why, ERR_USAGE, NULL,
                       "reference errors, routes, metrics, events, jobs, audit, doctor or config");
    }
    return OK;
}

enum err command_reference(struct cli *cli, struct why *why)
{
    struct buf out;
    buf_init(&out, cli->boot, 16384);
    const char *word = cli_word(cli, 0);
    enum err e = reference(slice_text(word), &out, why);
    if (e == OK) {
        cli_print(buf_slice(&out));
    }
    return e;
}

enum err command_openapi(struct cli *cli, struct why *why)
{
    struct buf out;
    buf_init(&out, cli->boot, (size_t)1 << 20);
    enum err e = reference(SLICE_LIT("openapi"), &out, why);
    if (e == OK) {
        cli_print(buf_slice(&out));
    }
    return e;
}

/* ---- version and help ---- */

enum err command_version(struct cli *cli, struct why *why)
{
    (void)why;
    (void)printf(cli->json ? "{\"success\":true,\"version\":\"%s\"}\n" : "freehold %s\n",
                 FREEHOLD_VERSION);
    return OK;
}

enum err command_help(struct cli *cli, struct why *why)
{
    const char *word = cli_word(cli, 0);
    if (word == NULL) {
        cli_help(NULL);
        return OK;
    }
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_commands[i].name, word) == 0) {
            cli_help(&cli_commands[i]);
            return OK;
        }
    }
    return why_set(why, ERR_USAGE, NULL, "there is no command \"%s\"", word);
}
