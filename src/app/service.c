#include "app/service.h"

#include <errno.h>
#include <sys/stat.h>

#include "app/cmd_audit.h"
#include "app/nodes.h"
#include "app/wallets.h"
#include "gen/sql_all.h"
#include "kernel/backup/backup_copy.h"
#include "kernel/backup/backup_runs.h"
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/crypto/keystore.h"
#include "kernel/net/http_client.h"
#include "kernel/store/store_lease.h"
#include "kernel/store/store_partition.h"

#define PATH_BYTES_MAX 4096
/* On a development chain blocks are looked for this often. Units: microseconds. */
#define DEV_POLL_USEC 50000
/*
 * anvil shelves a transaction for good that arrives just while the one before it is mined; another
 * version of it helps. Units: microseconds.
 */
#define DEV_STUCK_USEC (2 * (int64_t)USEC_PER_SEC)
/* Accounts of the development mnemonic that the relay signs for: the first holds all roles. */
#define DEV_WALLETS 5
#define DEVCHAIN_LOOK_USEC 50000

/* ---- database ---- */

/* Partitions are a matter of speed, not of correctness: the next job tries again. */
static void keep_partitions(struct store *store)
{
    struct why why = {0};
    struct store_partitions_done done;
    enum err e = store_partitions_keep(store, &done, &why);
    if (e != OK) {
        LOG(LOG_WARN, "store.partitions_not_kept", log_why(&why, e));
    }
}

static enum err start_store(struct service *s, struct why *why)
{
    enum err e = store_open(&s->store, &s->settings->store, &sql_catalog, why);
    if (e != OK) {
        return e;
    }
    struct store_version version;
    e = store_version_read(s->store, &version, why);
    if (e == OK && version.applied < version.known) {
        LOG(LOG_INFO, "store.migrated", log_u64("from", version.applied),
            log_u64("to", version.known));
        e = operator_migrate(s->store, version.known, why);
    }
    e = e == OK ? store_migrate_verify(s->store, why) : e;
    e = e == OK ? backup_copy_check(s->store, why) : e;
    if (e == OK) {
        keep_partitions(s->store);
    }
    backup_metrics_register();
    e = e == OK ? backup_metrics_load(s->store, why) : e;
    roles_format(s->settings->service.role_set, s->roles);
    if (e == OK) {
        e = store_leases_start(s->store, s->roles, FREEHOLD_VERSION, why);
    }
    audit_metrics_register();
    store_metrics_register();
    return e == OK ? audit_sealer_start(s->store, &s->settings->audit, &s->sealer, why) : e;
}

static bool has_role(const struct service *s, enum role role)
{
    return (s->settings->service.role_set & (unsigned)role) != 0;
}

/* ---- nodes ---- */

/*
 * One process runs the development chain of a database. After a crash its lease may last for a
 * moment.
 */
static enum err own_devchain(struct service *s, struct why *why)
{
    const struct store_lease *lease = store_lease_want(s->store, "devchain", "devchain");
    int64_t deadline = clock_mono_usec() + 2 * s->settings->store.lease_usec;
    while (store_lease_held(s->store, lease) == 0) {
        if (clock_mono_usec() > deadline) {
            return why_set(why, ERR_LOCKED, "chain.rpc_urls",
                           "another process runs the development chain of this database; set "
                           "chain.rpc_urls to its node, and the addresses of its contracts");
        }
        clock_sleep_usec(DEVCHAIN_LOOK_USEC);
    }
    return OK;
}

static enum err make_directories(const char *path, struct why *why)
{
    char partial[PATH_BYTES_MAX];
    size_t len = strlen(path);
    if (len >= sizeof partial) {
        return why_set(why, ERR_CONFIG, "devchain.dir", "the path %s is too long", path);
    }
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(partial, path, i);
        partial[i] = '\0';
        if (mkdir(partial, 0755) != 0 && errno != EEXIST) {
            return why_set(why, ERR_IO, "devchain.dir", "the folder %s could not be made: %s",
                           partial, strerror(errno));
        }
    }
    return OK;
}

static enum err start_devchain(struct service *s, struct why *why)
{
    struct settings *set = s->settings;
    enum err e = own_devchain(s, why);
    if (e == OK) {
        e = make_directories(set->devchain.dir, why);
    }
    if (e != OK) {
        return e;
    }
    struct slice state = slice_format(&s->boot, "%s/chain.json", set->devchain.dir);
    struct slice log = slice_format(&s->boot, "%s/chain.log", set->devchain.dir);
    const struct devchain_options options = {
        .port = (uint16_t)set->devchain.port,
        .chain_id = set->chain.chain_id,
        .block_time_sec = (uint32_t)set->devchain.block_time_sec,
        .state_path = slice_cstr(&s->boot, state),
        .log_path = slice_cstr(&s->boot, log),
        .anvil_path = set->devchain.anvil,
    };
    e = devchain_start(&options, &s->devchain, why);
    if (e != OK) {
        return e;
    }
    LOG(LOG_INFO, "devchain.started", log_text("url", devchain_url(s->devchain)),
        log_u64("pid", (uint64_t)devchain_pid(s->devchain)));
    set->chain.rpc_urls = devchain_url(s->devchain);
    if (set->chain.ws_urls[0] == '\0') {
        const char *address = set->chain.rpc_urls + strlen("http");
        set->chain.ws_urls = slice_cstr(&s->boot, slice_format(&s->boot, "ws%s", address));
    }
    if (set->wallets.dev_accounts == 0) {
        set->wallets.dev_accounts = DEV_WALLETS;
    }
    if (strcmp(config_source(set->registry, "chain.poll_interval"), "default") == 0) {
        set->chain.poll_usec = DEV_POLL_USEC;
    }
    if (strcmp(config_source(set->registry, "relay.stuck_after"), "default") == 0) {
        set->relay.stuck_usec =
            DEV_STUCK_USEC + 4 * (int64_t)USEC_PER_SEC * (int64_t)set->devchain.block_time_sec;
    }
    return OK;
}

static enum err start_rpc(struct service *s, struct why *why)
{
    rpc_metrics_register();
    enum err e = nodes_pool(&s->settings->chain, true, &s->rpc, why);
    if (e != OK) {
        return e;
    }
    uint64_t served = 0;
    return rpc_chain_id(s->rpc, &served, why);
}

/* ---- wallets ---- */

/* A wallet that is there already is taken once; `key` is its key here, NULL for a remote one. */
static enum err add_signer(struct service *s, struct relay_signer signer, struct relay_key *key,
                           struct why *why)
{
    for (size_t i = 0; i < s->signer_count; i++) {
        if (address_equal(&s->signers[i].address, &signer.address)) {
            relay_key_free(key);
            return OK;
        }
    }
    if (s->signer_count == SERVICE_WALLETS_MAX) {
        relay_key_free(key);
        return why_set(why, ERR_CONFIG, "wallets.keystore_dir", "at most %d wallets",
                       SERVICE_WALLETS_MAX);
    }
    s->keys[s->signer_count] = key;
    s->signers[s->signer_count++] = signer;
    return OK;
}

static enum err add_wallet(struct service *s, const struct secret *key, struct why *why)
{
    struct relay_key *k = NULL;
    enum err e = relay_key_new(key, &k);
    if (e != OK) {
        return why_set(why, e, "wallets.keystore_dir", "a wallet's key is not valid");
    }
    return add_signer(s, relay_key_signer(k), k, why);
}

static enum err add_remote_wallets(struct service *s, struct why *why)
{
    enum err e = wallets_open_remote(&s->settings->wallets, &s->remote, why);
    for (size_t i = 0; e == OK && i < relay_remote_count(s->remote); i++) {
        e = add_signer(s, relay_remote_signer(s->remote, i), NULL, why);
    }
    return e;
}

static enum err add_dev_wallets(struct service *s, struct why *why)
{
    enum err e = OK;
    for (uint32_t i = 0; e == OK && i < s->settings->wallets.dev_accounts; i++) {
        struct secret key = {0};
        e = keystore_mnemonic_key(SLICE_LIT(DEVCHAIN_MNEMONIC), i, &key);
        if (e == OK) {
            e = add_wallet(s, &key, why);
        }
        secret_clear(&key);
    }
    return e;
}

static enum err add_file_wallet(void *ctx, const struct secret *key, const struct address *address,
                                const char *path, struct why *why)
{
    (void)address;
    (void)path;
    return add_wallet(ctx, key, why);
}

static enum err start_wallets(struct service *s, struct why *why)
{
    enum err e = OK;
    if (s->settings->wallets.keystore_dir[0] != '\0') {
        const struct settings_wallets *w = &s->settings->wallets;
        e = wallets_each(w->keystore_dir, w->password_file, add_file_wallet, s, why);
    }
    if (e == OK && s->settings->wallets.signer_url[0] != '\0') {
        e = add_remote_wallets(s, why);
    }
    if (e == OK && s->settings->wallets.dev_accounts > 0) {
        e = add_dev_wallets(s, why);
    }
    return e;
}

/* ---- contracts ---- */

static bool contracts_configured(const struct leasing_config *c)
{
    return c->stablecoin[0] != '\0' || c->asset_registry[0] != '\0' ||
           c->lease_factory[0] != '\0' || c->marketplace[0] != '\0';
}

static void use_contracts(struct service *s)
{
    struct leasing_config *c = &s->settings->leasing;
    address_format(&s->contracts.stablecoin, s->address_texts[0]);
    address_format(&s->contracts.asset_registry, s->address_texts[1]);
    address_format(&s->contracts.lease_factory, s->address_texts[2]);
    address_format(&s->contracts.marketplace, s->address_texts[3]);
    c->stablecoin = s->address_texts[0];
    c->asset_registry = s->address_texts[1];
    c->lease_factory = s->address_texts[2];
    c->marketplace = s->address_texts[3];
}

/* Says whether the file's contracts are on the chain that runs now. */
static bool deployed(struct service *s, const struct deployment *d)
{
    struct arena scratch;
    struct slice code = SLICE_EMPTY;
    arena_init(&scratch, 0);
    bool there = d->chain_id == s->settings->chain.chain_id &&
                 rpc_code(s->rpc, &scratch, &d->marketplace, &code, NULL) == OK && code.len > 0;
    arena_free(&scratch);
    return there;
}

/*
 * On a development chain without configured contracts ours are deployed, once. A file next to the
 * chain's state remembers their addresses.
 */
static enum err start_contracts(struct service *s, struct why *why)
{
    struct settings *set = s->settings;
    if (contracts_configured(&set->leasing) || s->devchain == NULL) {
        return OK;
    }
    const char *path =
        slice_cstr(&s->boot, slice_format(&s->boot, "%s/contracts.json", set->devchain.dir));
    if (deployment_read(path, &s->contracts, NULL) == OK && deployed(s, &s->contracts)) {
        use_contracts(s);
        return OK;
    }
    const struct deploy_options options = {
        .store = s->store,
        .rpc = s->rpc,
        .chain_id = set->chain.chain_id,
        .relay = &set->relay,
        .deployer = s->signers[0],
        .admin = s->signers[0].address,
    };
    enum err e = deploy_run(&options, &s->contracts, why);
    if (e == OK) {
        e = deployment_write(path, &s->contracts, why);
    }
    if (e == OK) {
        LOG(LOG_INFO, "devchain.contracts_deployed", log_text("file", path));
        use_contracts(s);
    }
    return e;
}

/* ---- the rest ---- */

static enum err start_leasing(struct service *s, struct why *why)
{
    struct leasing_config *config = &s->settings->leasing;
    if (config->registrar[0] == '\0' && s->signer_count > 0) {
        address_format(&s->signers[0].address, s->address_texts[4]);
        config->registrar = s->address_texts[4];
    }
    const struct leasing_options options = {
        .config = &s->settings->leasing,
        .chain_id = s->settings->chain.chain_id,
        .start_block = s->settings->chain.start_block,
        .undo_depth = s->settings->chain.undo_depth,
        .store = s->store,
        .rpc = s->rpc,
    };
    enum err e = leasing_new(&options, &s->leasing, why);
    return e == OK ? leasing_probe(s->leasing, why) : e;
}

/* An event that somebody waited for came, or did not: those outside are told. */
static enum err tell_expected(struct store_tx *tx, void *ctx, const struct chain_expect_row *row,
                              struct why *why)
{
    struct arena scratch;
    struct buf data;
    struct json_out j;
    (void)ctx;
    bool seen = row->state == CHAIN_EXPECT_SEEN;
    arena_init(&scratch, 0);
    buf_init(&data, &scratch, 512);
    json_out_init(&j, &data);
    json_begin_object(&j);
    json_key(&j, "key");
    json_string(&j, row->key);
    json_key(&j, "event");
    json_string(&j, row->event_type);
    json_key(&j, "contract");
    json_hex(&j, address_slice(&row->address));
    json_key(&j, "state");
    json_text(&j, chain_expect_state_text(row->state));
    if (seen) {
        json_key(&j, "block");
        json_u64(&j, row->block);
        json_key(&j, "logIndex");
        json_u64(&j, row->log_index);
        json_key(&j, "transactionHash");
        json_hex(&j, hash_slice(&row->seen_in));
    }
    json_end_object(&j);
    const struct webhooks_event event = {
        .name = seen ? "event.seen" : "event.timed_out",
        .subject = slice_format(&scratch, "expectation/%.*s", SLICE_ARG(row->key)),
        .data = buf_slice(&data),
    };
    enum err e = webhooks_emit(tx, &event, 1, why);
    arena_free(&scratch);
    return e;
}

static enum err start_chain(struct service *s, struct why *why)
{
    struct settings *set = s->settings;
    struct chain_table *table = arena_alloc(&s->boot, sizeof *table);
    *table = leasing_chain_table(s->leasing);
    size_t source_count = 0;
    const struct chain_source *sources = leasing_sources(s->leasing, &source_count);
    const char **ws_urls = arena_alloc_array(&s->boot, RPC_ENDPOINTS_MAX, sizeof *ws_urls);
    size_t ws_url_count = 0;
    enum err e = nodes_streams(&set->chain, &s->boot, ws_urls, &ws_url_count, why);
    if (e != OK) {
        return e;
    }
    s->chain_options = (struct chain_options){
        .config = &set->chain,
        .store = s->store,
        .rpc = s->rpc,
        .sources = sources,
        .source_count = source_count,
        .tables = table,
        .table_count = 1,
        .expected = tell_expected,
        .expected_ctx = s,
        .ws_urls = ws_urls,
        .ws_url_count = ws_url_count,
        /* Half as many as batches: one is applied, some wait their turn. */
        .readers = ((size_t)set->chain.backfill_window + 1) / 2,
        .leased = true,
        .watch_only = !has_role(s, ROLE_CHAIN),
    };
    s->chain = chain_new(&s->chain_options);
    return chain_start(s->chain, why);
}

/* The addresses of wallets.pool; "all" are those whose keys this process has. */
static enum err read_pool(struct service *s, struct why *why)
{
    const char *text = s->settings->wallets.pool;
    if (strcmp(text, "all") != 0) {
        return wallets_read_addresses("wallets.pool", text, s->pool, &s->pool_count, why);
    }
    for (size_t i = 0; i < s->signer_count; i++) {
        s->pool[s->pool_count++] = s->signers[i].address;
    }
    return OK;
}

static enum err read_treasury(struct service *s, struct why *why)
{
    const struct ops_config *c = &s->settings->ops;
    s->has_treasury = c->treasury[0] != '\0';
    s->treasury.value_max = wei_of(c->refill_wei_to);
    if (s->has_treasury && address_parse(slice_text(c->treasury), &s->treasury.wallet) != OK) {
        return why_set(why, ERR_CONFIG, "ops.treasury", "ops.treasury is no address");
    }
    return OK;
}

/* What others can be told: each state that a transaction comes to. */
static const char *const webhook_events[] = {
    "transaction.signed",
    "transaction.sent",
    "transaction.mined",
    "transaction.reverted",
    "transaction.failed",
    "transaction.replaced",
    "transaction.cancelled",
    "transaction.final",
    "event.seen",
    "event.timed_out",
    NULL,
};

static struct webhooks_event event_of(struct arena *arena, const struct relay_row *row)
{
    struct buf data;
    struct json_out j;
    buf_init(&data, arena, 1024);
    json_out_init(&j, &data);
    relay_row_json(&j, row);
    bool is_final = row->final && row->has_block;
    return (struct webhooks_event){
        .name = slice_cstr(arena, slice_format(arena, "transaction.%s",
                                               is_final ? "final" : relay_state_text(row->state))),
        .subject = slice_format(arena, "transaction/%.*s", SLICE_ARG(row->id)),
        .data = buf_slice(&data),
    };
}

static enum err tell_others(struct store_tx *tx, const struct relay_row *rows, size_t count,
                            struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct webhooks_event *events = arena_alloc_array(&scratch, count, sizeof *events);
    for (size_t i = 0; i < count; i++) {
        events[i] = event_of(&scratch, &rows[i]);
    }
    enum err e = webhooks_emit(tx, events, count, why);
    arena_free(&scratch);
    return e;
}

/* Who follows the relay's transactions: the domains that wanted them, then those outside. */
static enum err watch_relay(struct store_tx *tx, void *ctx, const struct relay_row *rows,
                            size_t count, struct why *why)
{
    struct service *s = ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        e = leasing_watch(tx, s->leasing, &rows[i], why);
        if (e == OK) {
            e = channels_watch(tx, s->channels, &rows[i], why);
        }
    }
    return e == OK ? tell_others(tx, rows, count, why) : e;
}

/* What the relay may send: for the domain, then for payments and channels. */
static size_t gather_policies(struct service *s)
{
    size_t leasing = 0;
    size_t paywall = 0;
    const struct relay_policy *first = leasing_policies(s->leasing, &leasing);
    const struct relay_policy *then = paywall_policies(s->paywall, &paywall);
    size_t channels = 0;
    const struct relay_policy *last = channels_policies(s->channels, &channels);
    ASSERT(leasing + paywall + channels <= SERVICE_POLICIES_MAX);
    memcpy(s->policies, first, leasing * sizeof *first);
    memcpy(s->policies + leasing, then, paywall * sizeof *then);
    memcpy(s->policies + leasing + paywall, last, channels * sizeof *last);
    return leasing + paywall + channels;
}

static enum err start_paywall(struct service *s, struct why *why)
{
    const struct leasing_config *leasing = &s->settings->leasing;
    struct paywall_price prices[LEASING_PRICES];
    const struct paywall_options options = {
        .config = &s->settings->x402,
        .chain_id = s->settings->chain.chain_id,
        .store = s->store,
        .rpc = s->rpc,
        .asset = leasing->stablecoin,
        .wallet = leasing->registrar,
        .prices = prices,
        .price_count = leasing_prices(s->leasing, prices),
    };
    paywall_metrics_register();
    enum err e = paywall_new(&options, &s->paywall, why);
    leasing_set_paywall(s->leasing, s->paywall);
    return e;
}

static enum err start_channels(struct service *s, struct why *why)
{
    const struct channels_options options = {
        .config = &s->settings->channels, .chain_id = s->settings->chain.chain_id, .rpc = s->rpc};
    return channels_new(&options, &s->channels, why);
}

static enum err start_relay(struct service *s, struct why *why)
{
    enum err e = read_pool(s, why);
    if (e == OK) {
        e = read_treasury(s, why);
    }
    if (e != OK) {
        return e;
    }
    struct relay_options options = {
        .config = &s->settings->relay,
        .chain_id = s->settings->chain.chain_id,
        .store = s->store,
        .rpc = s->rpc,
        .signers = s->signers,
        .signer_count = s->signer_count,
        .pool = s->pool,
        .pool_count = s->pool_count,
        .treasury = s->has_treasury ? &s->treasury : NULL,
        .watch = watch_relay,
        .watch_ctx = s,
        .leased = true,
    };
    options.policies = s->policies;
    options.policy_count = gather_policies(s);
    options.gases = leasing_gases(&options.gas_count);
    options.contracts = leasing_abis(&options.contract_count);
    s->relay = relay_new(&options);
    leasing_set_relay(s->leasing, s->relay);
    channels_set_relay(s->channels, s->relay);
    return has_role(s, ROLE_RELAY) ? relay_start(s->relay, why) : OK;
}

/* Answers of another database, of another version or under another schema are other answers. */
static enum err start_cache(struct service *s, struct why *why)
{
    char id[STORE_INSTALLATION_MAX];
    struct store_version version;
    enum err e = store_installation(s->store, id, why);
    if (e == OK) {
        e = store_version_read(s->store, &version, why);
    }
    if (e != OK) {
        return e;
    }
    struct slice secret =
        slice_format(&s->boot, "%s/%s/%u/%llu", id, FREEHOLD_VERSION, version.applied,
                     (unsigned long long)s->settings->chain.chain_id);
    return cache_new(&s->settings->cache, secret, &s->cache, why);
}

static void fill_ops(struct service *s)
{
    s->ops = (struct ops){
        .config = &s->settings->ops,
        .version = FREEHOLD_VERSION,
        .roles = s->roles,
        .chain_id = s->settings->chain.chain_id,
        .dead_alert = s->settings->jobs.dead_alert,
        .backups = s->settings->backup.to[0] != 0,
        .backup_age_usec_max = s->settings->backup.age_usec_max,
        .started_usec = clock_wall_usec(),
        .store = s->store,
        .rpc = s->rpc,
        .chain = s->chain,
        .relay = s->relay,
        .cache = s->cache,
    };
    s->ops.has_treasury = s->has_treasury;
    s->ops.treasury = s->treasury.wallet;
    ops_metrics_register();
}

static enum err start_jobs(struct service *s, struct why *why)
{
    s->expect = (struct chain_expect_watch){.rpc = s->rpc, .ended = tell_expected, .ctx = s};
    s->retention = (struct ops_retention){
        .audit_usec = s->settings->audit.retention_usec,
        .events_usec = s->settings->chain.event_retention_usec,
        .inbox_usec = s->settings->inbox.retention_usec,
        .sessions = auth_sessions_purge,
        .sessions_usec = AUTH_ENDED_USEC,
    };
    fill_ops(s);
    s->reconciler = leasing_reconciler(s->leasing);
    chain_reconcile_metrics_register();
    webhooks_init(&s->webhooks, &s->settings->webhooks, s->store, webhook_events);
    const struct schedules_owners owners = {
        .ops = &s->ops,
        .retention = &s->retention,
        .leasing = s->leasing,
        .settings = s->settings,
        .webhooks = &s->webhooks,
        .reconciler = &s->reconciler,
        .expect = &s->expect,
        .chain = &s->chain_options,
        .documents = &s->documents,
        .paywall = s->paywall,
        .channels = s->channels,
    };
    size_t count = schedules_job_tables(&owners, s->job_tables);
    enum err e = jobs_catalog_new(&s->boot, s->job_tables, count, &s->ops.jobs, why);
    if (e == OK && has_role(s, ROLE_JOBS)) {
        e = jobs_new(&s->jobs, s->store, &s->settings->jobs, s->job_tables, count, why);
    }
    return e == OK && s->jobs != NULL ? jobs_start(s->jobs, why) : e;
}

const struct http_about service_about = {
    .title = "Freehold",
    .version = FREEHOLD_VERSION,
    .summary = "Kernel and products for tokenised real-world assets.",
    .license = "Apache-2.0",
};

/* Every process numbers and tells; who has no routes has nobody to tell. */
static enum err start_stream(struct service *s, struct why *why)
{
    auth_init(&s->auth, s->store, &s->settings->auth, s->settings->chain.chain_id);
    s->settings->http.authority = &s->auth.authority;
    s->settings->http.detached_max = s->settings->stream.connections_max;
    s->topics[0] = leasing_stream_topics();
    s->topics[1] = ops_stream_topics();
    return stream_start(&s->settings->stream, &s->settings->http, s->topics,
                        sizeof s->topics / sizeof s->topics[0], s->store, &s->stream, why);
}

static enum err start_http(struct service *s, struct why *why)
{
    s->settings->http.cache = s->cache;
    const struct http_table tables[] = {
        ops_http_table(&s->ops),
        ops_api_table(&s->ops),
        ops_jobs_http_table(&s->ops),
        leasing_http_table(s->leasing),
        ops_transactions_http_table(&s->ops),
        webhooks_http_table(&s->webhooks),
        auth_http_table(&s->auth),
        leasing_market_http_table(s->leasing),
        auth_sessions_http_table(&s->auth),
        documents_http_table(has_role(s, ROLE_API) ? &s->documents : NULL),
        paywall_http_table(s->paywall),
        http_documents_table(&s->pages),
        stream_http_table(s->stream),
    };
    _Static_assert(sizeof tables <= sizeof s->http_tables, "more room for tables");
    memcpy(s->http_tables, tables, sizeof tables);
    enum err e =
        paywall_ready(s->paywall, s->relay, s->http_tables, sizeof tables / sizeof tables[0], why);
    if (e != OK) {
        return e;
    }
    s->settings->http.cashier = paywall_cashier(s->paywall);
    size_t count = 1;
    if (has_role(s, ROLE_API)) {
        count = sizeof tables / sizeof tables[0];
        s->settings->http.upload_dir = s->documents.files->spool_dir;
    }
    http_documents_init(&s->pages, s->http_tables, count, &service_about, &s->boot);
    return http_start(&s->http, &s->settings->http, s->http_tables, count, s->store, why);
}

static enum err start_documents(struct service *s, struct why *why)
{
    const struct documents_port port = {.has = leasing_has};
    return has_role(s, ROLE_API) || has_role(s, ROLE_JOBS)
               ? documents_init(&s->documents, &s->settings->documents, s->store, port, why)
               : OK;
}

static void no_progress(const struct service *s, enum service_stage stage)
{
    (void)s;
    (void)stage;
}

enum err service_new(struct settings *settings, service_progress_fn progress, struct service **out,
                     struct why *why)
{
    struct service *s = mem_alloc(sizeof *s);
    s->settings = settings;
    progress = progress != NULL ? progress : no_progress;
    arena_init(&s->boot, 0);
    net_start();
    net_set_forbidden_check(store_in_tx);
    enum err e = start_store(s, why);
    if (e == OK && settings->chain.rpc_urls[0] == '\0') {
        e = start_devchain(s, why);
    }
    if (e == OK) {
        e = start_rpc(s, why);
    }
    if (e == OK) {
        progress(s, SERVICE_CHAIN_READY);
        e = has_role(s, ROLE_RELAY) ? start_wallets(s, why) : OK;
    }
    if (e == OK) {
        e = start_contracts(s, why);
    }
    if (e == OK) {
        e = start_leasing(s, why);
    }
    if (e == OK) {
        progress(s, SERVICE_CONTRACTS_READY);
    }
    if (e == OK) {
        e = start_chain(s, why);
    }
    if (e == OK) {
        e = start_paywall(s, why);
    }
    if (e == OK) {
        e = start_channels(s, why);
    }
    if (e == OK) {
        e = start_relay(s, why);
    }
    if (e == OK) {
        e = start_cache(s, why);
    }
    if (e == OK) {
        e = start_documents(s, why);
    }
    if (e == OK) {
        e = start_jobs(s, why);
    }
    if (e == OK) {
        e = start_stream(s, why);
    }
    if (e == OK) {
        e = start_http(s, why);
    }
    if (e != OK) {
        service_free(s);
        return e;
    }
    progress(s, SERVICE_SERVING);
    *out = s;
    return OK;
}

enum err service_check(struct service *s, struct why *why)
{
    if (s->devchain != NULL && !devchain_is_running(s->devchain)) {
        return why_set(why, ERR_NODE_UNAVAILABLE, NULL,
                       "the development chain ended; its log is %s/chain.log",
                       s->settings->devchain.dir);
    }
    return OK;
}

void service_free(struct service *s)
{
    if (s == NULL) {
        return;
    }
    stream_stop(s->stream);
    http_stop(s->http);
    stream_free(s->stream);
    auth_clear(&s->auth);
    if (s->jobs != NULL) {
        jobs_stop(s->jobs);
        jobs_free(s->jobs);
    }
    webhooks_clear(&s->webhooks);
    documents_clear(&s->documents);
    relay_stop(s->relay);
    chain_stop(s->chain);
    relay_free(s->relay);
    chain_free(s->chain);
    paywall_free(s->paywall);
    channels_free(s->channels);
    leasing_free(s->leasing);
    cache_free(s->cache);
    for (size_t i = 0; i < s->signer_count; i++) {
        relay_key_free(s->keys[i]);
    }
    relay_remote_free(s->remote);
    rpc_pool_free(s->rpc);
    devchain_stop(s->devchain);
    audit_sealer_stop(s->sealer);
    store_close(s->store);
    arena_free(&s->boot);
    mem_free(s);
}
