#include "app/settings.h"

#include <unistd.h>

#include "kernel/net/http_client.h"

static const struct config_row service_rows[] = {
    {.key = "service.roles",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct settings_service, roles),
     .default_ = "all",
     .doc = "What this process does: api, chain, relay, jobs, match, or all of it. A part of the "
            "roles needs a PostgreSQL database and configured nodes; match is reserved for the "
            "trading venue and has nothing to do yet."},
};

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};

static const struct config_row log_rows[] = {
    {.key = "log.level",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct settings_log, level),
     .default_ = "info",
     .choices = log_levels,
     .doc = "Least important level that is written."},
};

static const struct config_row wallet_rows[] = {
    {.key = "wallets.keystore_dir",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct settings_wallets, keystore_dir),
     .doc = "Folder with the relay's keys as Web3 Secret Storage V3 files (geth, ethers)."},
    {.key = "wallets.password_file",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct settings_wallets, password_file),
     .doc = "File whose first line is the password of those keys."},
    {.key = "wallets.pool",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct settings_wallets, pool),
     .doc = "Wallets that share what any of them may send: addresses apart by commas, or all."},
    {.key = "wallets.dev_accounts",
     .type = CONFIG_U64,
     .offset = offsetof(struct settings_wallets, dev_accounts),
     .default_ = "0",
     .max = 10,
     .doc = "How many accounts of the public development mnemonic to use as well; refused, but on "
            "chains 31337 and 1337, unless all nodes are on this machine. Five when the program "
            "starts the chain itself."},
};

static const char *const signer_apis[] = {"sign", "transaction", NULL};

static const struct config_row signer_rows[] = {
    {.key = "wallets.signer_url",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct settings_wallets, signer_url),
     .flags = CONFIG_URLS,
     .doc = "A remote signer with the HTTP API of Web3Signer, whose keys are wallets too."},
    {.key = "wallets.signer_api",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct settings_wallets, signer_api),
     .default_ = "sign",
     .choices = signer_apis,
     .doc = "How it is asked: sign (POST /api/v1/eth1/sign/{key}) or transaction "
            "(eth_signTransaction)."},
    {.key = "wallets.signer_accounts",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct settings_wallets, signer_accounts),
     .doc = "Addresses of its keys that are used, apart by commas; empty uses all."},
    {.key = "wallets.signer_timeout",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct settings_wallets, signer_timeout_usec),
     .default_ = "5s",
     .min = 10000,
     .max = 60000000,
     .doc = "How long one signature may take."},
};

static const struct config_row devchain_rows[] = {
    {.key = "devchain.port",
     .type = CONFIG_U64,
     .offset = offsetof(struct settings_devchain, port),
     .default_ = "0",
     .max = 65535,
     .doc = "Port of the development chain on 127.0.0.1; 0 takes a free one."},
    {.key = "devchain.dir",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct settings_devchain, dir),
     .default_ = "freehold-data/devchain",
     .doc = "Folder for the development chain's state, log and contract addresses."},
    {.key = "devchain.block_time",
     .type = CONFIG_U64,
     .offset = offsetof(struct settings_devchain, block_time_sec),
     .default_ = "0",
     .max = 3600,
     .doc = "Seconds between blocks; 0 mines each transaction at once."},
    {.key = "devchain.anvil",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct settings_devchain, anvil),
     .doc = "Path of the anvil program; empty looks in node_modules and in the PATH."},
};

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static void add(struct settings *s, const char *title, const struct config_row *rows, size_t count,
                void *target)
{
    const struct config_part part = {
        .rows = rows, .count = count, .target = target, .title = title};
    config_add(s->registry, &part);
}

void settings_init(struct settings *s)
{
    memset(s, 0, sizeof *s);
    s->registry = config_new();
    add(s, "Process", service_rows, COUNT(service_rows), &s->service);
    add(s, "HTTP server", http_config_rows, http_config_row_count, &s->http);
    add(s, "Login by wallet", auth_config_rows, auth_config_row_count, &s->auth);
    add(s, "Streams", stream_config_rows, stream_config_row_count, &s->stream);
    add(s, "Redis", cache_config_rows, cache_config_row_count, &s->cache);
    add(s, "Database", store_config_rows, store_config_row_count, &s->store);
    add(s, "Backups", backup_config_rows, backup_config_row_count, &s->backup);
    add(s, "Documents", documents_config_rows, documents_config_row_count, &s->documents);
    add(s, "Chain", chain_config_rows, chain_config_row_count, &s->chain);
    add(s, "Relay", relay_config_rows, relay_config_row_count, &s->relay);
    add(s, "Wallets", wallet_rows, COUNT(wallet_rows), &s->wallets);
    add(s, "Remote signer", signer_rows, COUNT(signer_rows), &s->wallets);
    add(s, "Jobs", jobs_config_rows, jobs_config_row_count, &s->jobs);
    add(s, "Webhooks", webhooks_config_rows, webhooks_config_row_count, &s->webhooks);
    add(s, "Operations", ops_config_rows, ops_config_row_count, &s->ops);
    add(s, "Audit log", audit_config_rows, audit_config_row_count, &s->audit);
    add(s, "Outside events", inbox_config_rows, inbox_config_row_count, &s->inbox);
    add(s, "Payments by x402", paywall_config_rows, paywall_config_row_count, &s->x402);
    add(s, "Leasing", leasing_config_rows, leasing_config_row_count, &s->leasing);
    add(s, "Payment channels", channels_config_rows, channels_config_row_count, &s->channels);
    add(s, "Development chain", devchain_rows, COUNT(devchain_rows), &s->devchain);
    add(s, "Log", log_rows, COUNT(log_rows), &s->log);
}

bool settings_is_local(const char *url)
{
    static const char *const origins[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    char origin[NET_ORIGIN_MAX];
    net_url_origin(url, origin);
    for (size_t i = 0; i < COUNT(origins); i++) {
        size_t len = strlen(origins[i]);
        if (strncmp(origin, origins[i], len) == 0 && (origin[len] == ':' || origin[len] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Whether every node is on this machine: then the chain is somebody's own, whatever its id. */
static bool all_local(const char *urls)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    bool local = true;
    struct slice rest = slice_text(urls);
    while (local && rest.len > 0) {
        struct slice url;
        (void)slice_cut(rest, ',', &url, &rest);
        url = slice_trim(url);
        local = url.len == 0 || settings_is_local(slice_cstr(&scratch, url));
    }
    arena_free(&scratch);
    return local;
}

/* What a process that does a part of the whole must be told, because it cannot find it out. */
static enum err check_roles(const struct settings *s, struct why *why)
{
    char roles[ROLES_TEXT_MAX];
    roles_format(s->service.role_set, roles);
    if (s->service.role_set == ROLE_ALL) {
        return OK;
    }
    if (strncmp(s->store.url, "sqlite:", strlen("sqlite:")) == 0) {
        return why_set(why, ERR_CONFIG, "service.roles",
                       "service.roles is %s: the other roles belong to other processes, but a "
                       "SQLite file has one process; set store.url to a PostgreSQL database",
                       roles);
    }
    if (s->chain.rpc_urls[0] == '\0') {
        return why_set(why, ERR_CONFIG, "chain.rpc_urls",
                       "service.roles is %s: the other processes must follow the same chain, so "
                       "set chain.rpc_urls instead of starting a development chain here",
                       roles);
    }
    bool asks = (s->service.role_set & (ROLE_API | ROLE_JOBS)) != 0;
    bool signs = (s->service.role_set & ROLE_RELAY) != 0;
    if (asks && !signs && s->leasing.registrar[0] == '\0') {
        return why_set(why, ERR_CONFIG, "leasing.registrar",
                       "service.roles is %s: leasing.registrar must be set where the relay's "
                       "wallets are in another process",
                       roles);
    }
    return OK;
}

bool settings_is_development(const struct settings *s)
{
    return s->chain.chain_id == 31337 || s->chain.chain_id == 1337 || all_local(s->chain.rpc_urls);
}

static enum err check_together(const struct settings *s, struct why *why)
{
    enum err e = cache_url_check(s->cache.redis_url, why);
    e = e == OK ? http_config_check(&s->http, why) : e;
    e = e == OK ? auth_config_check(&s->auth, why) : e;
    if (e != OK) {
        return e;
    }
    const struct chain_config *c = &s->chain;
    unsigned long long needed = c->reorg_depth_max + c->confirmations;
    if (c->undo_depth < needed) {
        return why_set(why, ERR_CONFIG, "chain.undo_depth",
                       "chain.undo_depth must be at least chain.max_reorg_depth + "
                       "chain.confirmations (%llu)",
                       needed);
    }
    if (s->wallets.dev_accounts > 0 && !settings_is_development(s)) {
        return why_set(why, ERR_CONFIG, "wallets.dev_accounts",
                       "wallets.dev_accounts uses keys that everybody knows: on chain %llu it is "
                       "refused, unless all nodes are on this machine",
                       (unsigned long long)c->chain_id);
    }
    if (s->wallets.keystore_dir[0] != '\0' && s->wallets.password_file[0] == '\0') {
        return why_set(why, ERR_CONFIG, "wallets.password_file",
                       "wallets.keystore_dir needs wallets.password_file");
    }
    e = relay_config_check(&s->relay, c->chain_id, why);
    return e == OK ? check_roles(s, why) : e;
}

enum err settings_load(struct settings *s, const struct cli *cli, struct why *why)
{
    enum err e =
        config_load(s->registry, cli->config_path, environ, cli->settings, cli->setting_count, why);
    if (e == OK) {
        e = roles_parse(slice_text(s->service.roles), &s->service.role_set, why);
    }
    if (e == OK) {
        e = check_together(s, why);
    }
    enum log_level level = LOG_INFO;
    if (e == OK) {
        e = log_level_parse(slice_text(s->log.level), &level);
    }
    if (e == OK) {
        log_set_level(level);
    }
    return e;
}

void settings_clear(struct settings *s)
{
    config_free(s->registry);
    s->registry = NULL;
}
