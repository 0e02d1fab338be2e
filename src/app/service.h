/*
 * service.h: the wiring. One function puts the modules together, in the order in which they need
 * each other; this is the product on one page.
 *
 *   database, migrations → development chain (when no node is configured) → nodes → wallets →
 *   contracts (deployed on the development chain, else as configured) → leasing → chain → paywall →
 *   relay → jobs → http
 *
 * What runs of it is the process's roles: each process has the database, the nodes, the domain's
 * tables and an HTTP server (health, metrics, leases); `api` adds the routes, `chain` applies
 * blocks instead of watching others do it, `relay` opens the wallets and sends, `jobs` runs
 * handlers. `match` has nothing to do yet.
 *
 * A start that fails stops what was started, in reverse order.
 */
#ifndef APP_SERVICE_H
#define APP_SERVICE_H

#include "app/deploy.h"
#include "app/devchain.h"
#include "app/schedules.h"
#include "app/settings.h"
#include "kernel/auth/auth_session.h"
#include "kernel/http/openapi.h"
#include "kernel/ops/ops.h"
#include "kernel/paywall/paywall.h"
#include "kernel/relay/relay_remote.h"

#define FREEHOLD_VERSION "0.1.0"
#define SERVICE_WALLETS_MAX 64
#define SERVICE_POLICIES_MAX 64

struct service {
    struct settings *settings;
    struct store *store;
    struct devchain *devchain;
    struct rpc_pool *rpc;
    struct relay_key *keys[SERVICE_WALLETS_MAX]; /* NULL: the key is on another machine */
    struct relay_remote *remote;                 /* or NULL */
    struct address pool[SERVICE_WALLETS_MAX];    /* wallets that share work */
    size_t pool_count;
    bool has_treasury;
    struct relay_treasury treasury;
    struct relay_signer signers[SERVICE_WALLETS_MAX];
    size_t signer_count;
    struct deployment contracts;
    /* Text that leasing's configuration points into. */
    char address_texts[5][ADDRESS_TEXT_MAX];
    struct leasing *leasing;
    struct channels *channels;
    struct cache *cache;
    struct relay *relay;
    struct paywall *paywall;
    struct relay_policy policies[SERVICE_POLICIES_MAX];
    struct chain_options chain_options;
    struct chain *chain;
    struct job_table job_tables[SCHEDULES_TABLES_MAX];
    struct ops_retention retention;
    struct chain_expect_watch expect;
    struct chain_reconciler reconciler;
    struct audit_sealer *sealer;
    struct jobs *jobs;
    struct ops ops;
    char roles[ROLES_TEXT_MAX];
    struct http_table http_tables[16];
    struct http_documents pages;
    struct stream_topics topics[2];
    struct stream *stream;
    struct auth auth;
    struct webhooks webhooks;
    struct documents documents;
    struct http_server *http;
    struct arena boot;
};

/* service_about is what the documents about the API begin with. */
extern const struct http_about service_about;

enum service_stage {
    SERVICE_CHAIN_READY,
    SERVICE_CONTRACTS_READY,
    SERVICE_SERVING,
};

/* Told when a stage of the start is done. */
typedef void (*service_progress_fn)(const struct service *service, enum service_stage stage);

/*
 * service_new starts everything; `progress` may be NULL. Owns: the caller, service_free. Errors:
 * of the module that failed.
 */
enum err service_new(struct settings *settings, service_progress_fn progress, struct service **out,
                     struct why *why) ERR_CHECKED;

/* service_free stops everything, in reverse order; NULL is fine. */
void service_free(struct service *service);

/* service_check says whether something that must run has stopped. Errors: ERR_NODE_UNAVAILABLE. */
enum err service_check(struct service *service, struct why *why) ERR_CHECKED;

#endif
