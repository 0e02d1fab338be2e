/*
 * settings.h: every module's configuration in one struct, and the registry that fills it.
 */
#ifndef APP_SETTINGS_H
#define APP_SETTINGS_H

#include "app/cli.h"
#include "app/roles.h"
#include "domain/channels/channels.h"
#include "domain/leasing/leasing.h"
#include "kernel/audit/audit.h"
#include "kernel/auth/auth.h"
#include "kernel/backup/backup_config.h"
#include "kernel/base/config.h"
#include "kernel/base/log.h"
#include "kernel/cache/cache.h"
#include "kernel/chain/chain.h"
#include "kernel/documents/documents.h"
#include "kernel/http/http.h"
#include "kernel/inbox/inbox.h"
#include "kernel/jobs/jobs.h"
#include "kernel/ops/ops.h"
#include "kernel/paywall/paywall.h"
#include "kernel/relay/relay.h"
#include "kernel/store/store.h"
#include "kernel/stream/stream.h"
#include "kernel/webhooks/webhooks.h"

struct settings_log {
    const char *level;
};

struct settings_wallets {
    const char *keystore_dir;  /* V3 files of the relay's wallets */
    const char *password_file; /* one password for all of them, first line */
    uint64_t dev_accounts;     /* accounts of the development mnemonic to use as well */
    const char *pool;          /* wallets that share work: addresses, "all", or "" */
    const char *signer_url;    /* of a remote signer, or "" */
    const char *signer_api;
    const char *signer_accounts; /* apart by commas; "": all that it has */
    int64_t signer_timeout_usec;
};

struct settings_devchain {
    uint64_t port;
    const char *dir; /* where the chain's state and log are kept */
    uint64_t block_time_sec;
    const char *anvil; /* program, or "": looked for */
};

struct settings_service {
    const char *roles;
    unsigned role_set; /* of enum role */
};

struct settings {
    struct settings_service service;
    struct settings_log log;
    struct settings_wallets wallets;
    struct settings_devchain devchain;
    struct store_config store;
    struct backup_config backup;
    struct documents_config documents;
    struct chain_config chain;
    struct relay_config relay;
    struct jobs_config jobs;
    struct webhooks_config webhooks;
    struct ops_config ops;
    struct audit_config audit;
    struct inbox_config inbox;
    struct http_config http;
    struct auth_config auth;
    struct stream_config stream;
    struct cache_config cache;
    struct leasing_config leasing;
    struct paywall_config x402;
    struct channels_config channels;
    struct config *registry; /* rows, sources, text values */
};

/* settings_init registers all rows with their defaults. Owns: the caller, settings_clear. */
void settings_init(struct settings *settings);
/* settings_load applies file, environment and command line. Errors: as config_load. */
enum err settings_load(struct settings *settings, const struct cli *cli,
                       struct why *why) ERR_CHECKED;
/* settings_is_local says whether a URL leads to this machine. */
bool settings_is_local(const char *url);
/* settings_is_development says whether the chain is somebody's own, where money is play money. */
bool settings_is_development(const struct settings *settings);
/* settings_clear frees values and wipes secrets. */
void settings_clear(struct settings *settings);

#endif
