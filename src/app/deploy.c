#include "app/deploy.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "gen/abi_asset_registry.h"
#include "gen/abi_erc1967_proxy.h"
#include "gen/abi_lease_factory.h"
#include "gen/abi_marketplace.h"
#include "gen/bytecode.h"
#include "kernel/base/check.h"
#include "kernel/base/hex.h"

/* How long one creation may take before the deployment gives up. Units: microseconds. */
#define CREATE_USEC_MAX (60 * (int64_t)USEC_PER_SEC)
#define FILE_BYTES_MAX 65536

struct deployer {
    const struct deploy_options *options;
    struct relay *relay;
    struct arena arena;
    char genesis[2 * HASH_BYTES + 3];
    struct slice last; /* the previous creation: the next one waits for it */
};

struct creation {
    struct deployer *d;
    const char *name;
    struct slice code;
    struct slice id;
};

static enum err submit(struct store_tx *tx, void *ctx, struct why *why)
{
    struct creation *c = ctx;
    const struct deploy_options *o = c->d->options;
    const struct relay_intent intent = {
        .key = slice_format(&c->d->arena, "deploy/%.18s/%s", c->d->genesis, c->name),
        .chain_id = o->chain_id,
        .wallet = o->deployer.address,
        .data = c->code,
        .role = "deployer",
        .purpose = "deploy",
        .after = c->d->last,
    };
    return relay_submit(tx, &c->d->arena, &intent, &c->id, why);
}

/* Drives the relay on this thread until the creation is mined. */
static enum err create(struct deployer *d, const char *name, struct slice code, struct address *out,
                       struct why *why)
{
    struct creation c = {.d = d, .name = name, .code = code};
    enum err e = store_write(d->options->store, submit, &c, why);
    int64_t deadline = clock_mono_usec() + CREATE_USEC_MAX;
    struct relay_row row = {0};
    while (e == OK) {
        bool progress = false;
        e = relay_step(d->relay, &progress, why);
        if (e == OK) {
            e = relay_wait(d->options->store, &d->arena, c.id, progress ? 0 : 2000, &row, why);
        }
        if (e != OK || row.state > RELAY_SENT) {
            break;
        }
        if (clock_mono_usec() > deadline) {
            return why_set(why, ERR_NODE_TIMEOUT, NULL, "%s was not mined within 60 s", name);
        }
    }
    if (e != OK) {
        return e;
    }
    if (row.state != RELAY_MINED || !row.has_contract) {
        return why_set(why, ERR_REVERTED, NULL, "%s could not be deployed: %.*s", name,
                       SLICE_ARG(row.error));
    }
    d->last = c.id;
    *out = row.contract;
    return OK;
}

/* Creation code, with constructor arguments behind it. */
static enum err with_arguments(struct arena *arena, struct slice hex, struct slice arguments,
                               struct slice *out, struct why *why)
{
    struct slice code;
    enum err e = hex_decode(arena, hex, &code);
    if (e != OK) {
        return why_set(why, e, NULL, "the embedded bytecode is damaged");
    }
    struct buf b;
    buf_init(&b, arena, code.len + arguments.len);
    buf_add_slice(&b, code);
    buf_add_slice(&b, arguments);
    *out = buf_slice(&b);
    return OK;
}

static enum err create_plain(struct deployer *d, const char *name, struct slice hex,
                             struct address *out, struct why *why)
{
    struct slice code;
    enum err e = with_arguments(&d->arena, hex, SLICE_EMPTY, &code, why);
    return e == OK ? create(d, name, code, out, why) : e;
}

/* An implementation and its ERC-1967 proxy, initialised in the proxy's constructor. */
static enum err create_proxied(struct deployer *d, const char *name, struct slice hex,
                               struct slice init_call, struct address *out, struct why *why)
{
    struct address implementation;
    char implementation_name[64];
    (void)snprintf(implementation_name, sizeof implementation_name, "%sImplementation", name);
    enum err e = create_plain(d, implementation_name, hex, &implementation, why);
    struct slice arguments;
    struct slice code;
    if (e == OK) {
        e = erc1967_proxy_constructor_encode(&d->arena, &implementation, init_call, &arguments,
                                             why);
    }
    if (e == OK) {
        e = with_arguments(&d->arena, bytecode_erc1967_proxy, arguments, &code, why);
    }
    return e == OK ? create(d, name, code, out, why) : e;
}

static enum err create_all(struct deployer *d, struct deployment *out, struct why *why)
{
    const struct address *admin = &d->options->admin;
    struct address token;
    struct slice call;
    enum err e = create_plain(d, "Stablecoin", bytecode_test_stablecoin, &out->stablecoin, why);
    if (e == OK) {
        e = create_plain(d, "AssetERC20", bytecode_asset_erc20, &token, why);
    }
    if (e == OK) {
        e = asset_registry_initialize_encode(&d->arena, admin, admin, admin, &token, &call, why);
    }
    if (e == OK) {
        e = create_proxied(d, "AssetRegistry", bytecode_asset_registry, call, &out->asset_registry,
                           why);
    }
    if (e == OK) {
        e = lease_factory_initialize_encode(&d->arena, admin, admin, &out->asset_registry, &call,
                                            why);
    }
    if (e == OK) {
        e = create_proxied(d, "LeaseFactory", bytecode_lease_factory, call, &out->lease_factory,
                           why);
    }
    if (e == OK) {
        e = marketplace_initialize_encode(&d->arena, admin, admin, &out->stablecoin,
                                          &out->lease_factory, &call, why);
    }
    if (e == OK) {
        e = create_proxied(d, "Marketplace", bytecode_marketplace, call, &out->marketplace, why);
    }
    return e;
}

enum err deploy_run(const struct deploy_options *options, struct deployment *out, struct why *why)
{
    static const struct relay_policy policies[] = {{.role = "deployer"}};
    const struct relay_options relay_options = {
        .config = options->relay,
        .chain_id = options->chain_id,
        .store = options->store,
        .rpc = options->rpc,
        .signers = &options->deployer,
        .signer_count = 1,
        .policies = policies,
        .policy_count = 1,
    };
    struct deployer d = {.options = options};
    struct deployment result = {.chain_id = options->chain_id};
    struct evm_header genesis;
    arena_init(&d.arena, 128 * 1024);
    enum err e = rpc_header(options->rpc, &d.arena, 0, &genesis, why);
    if (e == OK) {
        hex_encode_to(hash_slice(&genesis.hash), d.genesis);
        d.relay = relay_new(&relay_options);
        e = relay_reconcile(d.relay, why);
    }
    if (e == OK) {
        e = create_all(&d, &result, why);
    }
    relay_free(d.relay);
    arena_free(&d.arena);
    if (e == OK) {
        *out = result;
    }
    return e;
}

/* ---- the file ---- */

static enum err read_file(struct arena *arena, const char *path, struct slice *out, struct why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return why_set(why, ERR_IO, NULL, "%s could not be read: %s", path, strerror(errno));
    }
    char *bytes = arena_alloc(arena, FILE_BYTES_MAX);
    ssize_t n = read(fd, bytes, FILE_BYTES_MAX);
    (void)close(fd);
    if (n < 0 || n == FILE_BYTES_MAX) {
        return why_set(why, ERR_IO, NULL, "%s could not be read, or is too large", path);
    }
    *out = slice_of(bytes, (size_t)n);
    return OK;
}

static enum err parse(struct arena *arena, struct slice text, struct deployment *out,
                      struct why *why)
{
    const struct json *v = NULL;
    struct deployment d = {0};
    enum err e = json_parse(arena, text, &json_limits_body, &v, why);
    if (e == OK) {
        e = json_get_u64(v, "chainId", &d.chain_id, why);
    }
    if (e == OK) {
        e = json_get_address(v, "stablecoin", &d.stablecoin, why);
    }
    if (e == OK) {
        e = json_get_address(v, "assetRegistry", &d.asset_registry, why);
    }
    if (e == OK) {
        e = json_get_address(v, "leaseFactory", &d.lease_factory, why);
    }
    if (e == OK) {
        e = json_get_address(v, "marketplace", &d.marketplace, why);
    }
    if (e == OK && json_find(v, "startBlock") != NULL) {
        e = json_get_u64(v, "startBlock", &d.start_block, why);
    }
    if (e == OK) {
        *out = d;
    }
    return e;
}

enum err deployment_read(const char *path, struct deployment *out, struct why *why)
{
    struct arena arena;
    struct slice text = SLICE_EMPTY;
    arena_init(&arena, 0);
    enum err e = read_file(&arena, path, &text, why);
    if (e == OK) {
        e = parse(&arena, text, out, why);
        if (e != OK) {
            struct why inner = why != NULL ? *why : (struct why){0};
            e = why_set(why, e, inner.field, "%s: %s", path, why_text(&inner, e));
        }
    }
    arena_free(&arena);
    return e;
}

static enum err write_text(const char *path, struct slice text, struct why *why)
{
    char temporary[4096];
    int n = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof temporary) {
        return why_set(why, ERR_IO, NULL, "the path %s is too long", path);
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    int saved = errno;
    if (fd >= 0) {
        ok = close(fd) == 0 && ok;
    }
    ok = ok && rename(temporary, path) == 0;
    if (!ok) {
        enum err e = saved == ENOSPC ? ERR_DISK_FULL : ERR_IO;
        return why_set(why, e, NULL, "%s could not be written: %s", path, strerror(saved));
    }
    return OK;
}

enum err deployment_write(const char *path, const struct deployment *d, struct why *why)
{
    struct arena arena;
    struct buf b;
    struct json_out j;
    arena_init(&arena, 0);
    buf_init(&b, &arena, 512);
    json_out_init(&j, &b);
    json_begin_object(&j);
    json_key(&j, "chainId");
    json_u64(&j, d->chain_id);
    json_key(&j, "stablecoin");
    json_address(&j, &d->stablecoin);
    json_key(&j, "assetRegistry");
    json_address(&j, &d->asset_registry);
    json_key(&j, "leaseFactory");
    json_address(&j, &d->lease_factory);
    json_key(&j, "marketplace");
    json_address(&j, &d->marketplace);
    json_key(&j, "startBlock");
    json_u64(&j, d->start_block);
    json_end_object(&j);
    buf_add_byte(&b, '\n');
    enum err e = write_text(path, buf_slice(&b), why);
    arena_free(&arena);
    return e;
}
