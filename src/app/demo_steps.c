/*
 * demo_steps.c: the table of the twelve steps of seed 000, and steps 1 to 6 with their checks.
 */
#include "app/demo.h"
#include "gen/abi_asset_erc20.h"
#include "gen/abi_asset_registry.h"
#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/base/rand.h"

#define TOKEN_SUPPLY "1000000000000000000000" /* 1000 tokens */
#define TOKEN_GIFT "333000000000000000000"    /* 333 of them go to the second holder */

/* ---- 1 to 3: chain, contracts, services ---- */

static enum err step_connect(struct demo *demo, struct why *why)
{
    const struct json *line = NULL;
    struct slice rpc;
    uint64_t chain_id = 0;
    enum err e = demo_daemon_start(demo, why);
    if (e == OK) {
        e = demo_daemon_await(demo, "chain_ready", &line, why);
    }
    if (e == OK) {
        e = json_get_text(line, "rpc", &rpc, why);
    }
    if (e == OK) {
        e = json_get_u64(line, "chainId", &chain_id, why);
    }
    if (e != OK) {
        return e;
    }
    (void)snprintf(demo->rpc_url, sizeof demo->rpc_url, "%.*s", SLICE_ARG(rpc));
    demo->contracts.chain_id = chain_id;
    const struct rpc_endpoint endpoint = {.url = demo->rpc_url, .role = RPC_PRIMARY};
    const struct rpc_options options = {
        .chain_id = chain_id,
        .endpoints = &endpoint,
        .endpoint_count = 1,
        .timeout_usec = 10 * (int64_t)USEC_PER_SEC,
        .attempts_max = 2,
        .batch_max = 50,
        .answer_bytes_max = 64UL * 1024 * 1024,
    };
    demo->rpc = rpc_pool_new(&options);
    uint64_t served = 0;
    e = rpc_chain_id(demo->rpc, &served, why);
    if (e == OK) {
        e = demo_expect(served == chain_id, why, "the node serves chain %llu",
                        (unsigned long long)served);
    }
    demo_fact(demo, "chain", "%llu at %s", (unsigned long long)chain_id, demo->rpc_url);
    return e;
}

static enum err expect_code(struct demo *demo, const char *name, const struct address *a,
                            struct why *why)
{
    struct slice code;
    enum err e = rpc_code(demo->rpc, &demo->arena, a, &code, why);
    if (e == OK) {
        e = demo_expect(code.len > 0, why, "there is no contract at the %s's address", name);
    }
    demo_fact(demo, name, "%.*s", SLICE_ARG(demo_address(demo, a)));
    return e;
}

static enum err step_contracts(struct demo *demo, struct why *why)
{
    const struct json *line = NULL;
    struct deployment *c = &demo->contracts;
    enum err e = demo_daemon_await(demo, "contracts_ready", &line, why);
    if (e == OK) {
        e = json_get_address(line, "stablecoin", &c->stablecoin, why);
    }
    if (e == OK) {
        e = json_get_address(line, "assetRegistry", &c->asset_registry, why);
    }
    if (e == OK) {
        e = json_get_address(line, "leaseFactory", &c->lease_factory, why);
    }
    if (e == OK) {
        e = json_get_address(line, "marketplace", &c->marketplace, why);
    }
    if (e == OK) {
        e = expect_code(demo, "stablecoin", &c->stablecoin, why);
    }
    if (e == OK) {
        e = expect_code(demo, "assetRegistry", &c->asset_registry, why);
    }
    if (e == OK) {
        e = expect_code(demo, "leaseFactory", &c->lease_factory, why);
    }
    return e == OK ? expect_code(demo, "marketplace", &c->marketplace, why) : e;
}

static enum err step_services(struct demo *demo, struct why *why)
{
    const struct json *line = NULL;
    const struct json *network = NULL;
    struct slice url;
    uint64_t chain_id = 0;
    enum err e = demo_daemon_await(demo, "serving", &line, why);
    if (e == OK) {
        e = json_get_text(line, "url", &url, why);
    }
    if (e != OK) {
        return e;
    }
    (void)snprintf(demo->url, sizeof demo->url, "%.*s", SLICE_ARG(url));
    const struct store_config config = {
        .url = demo->store_url,
        .readers = 1,
        .busy_usec = 5 * (int64_t)USEC_PER_SEC,
        .connect_usec = 5 * (int64_t)USEC_PER_SEC,
        .batch_max = 1,
        .synchronous = "full",
        .read_only = true,
    };
    e = store_open(&demo->store, &config, &sql_catalog, why);
    if (e == OK) {
        e = demo_get(demo, SLICE_LIT("/api/v1/blockchain/network"), &network, why);
    }
    if (e == OK) {
        e = json_get_u64(network, "chainId", &chain_id, why);
    }
    if (e == OK) {
        e = demo_expect(chain_id == demo->contracts.chain_id, why, "the API follows chain %llu",
                        (unsigned long long)chain_id);
    }
    demo_fact(demo, "api", "%s", demo->url);
    if (demo->store != NULL) {
        demo_fact(demo, "database", "%s", store_url_shown(demo->store));
    }
    return e;
}

/* ---- 4 to 6: asset type, asset, holders ---- */

static enum err step_asset_type(struct demo *demo, struct why *why)
{
    static const char schema[] =
        "{\"type\":\"object\",\"required\":[\"orbit\",\"compute\"],\"properties\":{"
        "\"orbit\":{\"type\":\"object\",\"required\":[\"altitude_km\"],\"properties\":{"
        "\"altitude_km\":{\"type\":\"number\",\"minimum\":160}}},"
        "\"compute\":{\"type\":\"object\",\"required\":[\"cores\"],\"properties\":{"
        "\"cores\":{\"type\":\"integer\",\"minimum\":1}}}}}";
    char id[RAND_ID_MAX];
    rand_id("d", id);
    /* A name of its own, so that the demo can run again on a chain that it has used. */
    (void)snprintf(demo->type_name, sizeof demo->type_name, "orbital_compute%s",
                   demo->given_rpc != NULL ? id + 20 : "");
    for (char *c = demo->type_name; *c != '\0'; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    }
    demo->type_hash = keccak256(slice_text(demo->type_name));
    struct slice body = slice_format(
        &demo->arena,
        "{\"name\":\"%s\",\"schema\":%s,\"requiredLeaseKeys\":[\"compute_allocation_cores\","
        "\"memory_allocation_gb\"]}",
        demo->type_name, schema);
    const struct json *answer = NULL;
    struct slice call;
    struct slice result;
    enum err e = demo_post(demo, SLICE_LIT("/api/v1/asset-types?wait=20"), body, &answer, why);
    if (e == OK) {
        e = demo_note_relayed(demo, answer, "transaction.transactionId", why);
    }
    if (e == OK) {
        e = asset_registry_get_type_encode(&demo->arena, &demo->type_hash, &call, why);
    }
    if (e == OK) {
        e = demo_call(demo, &demo->contracts.asset_registry, call, &result, why);
    }
    struct asset_registry_get_type_result on_chain;
    if (e == OK) {
        e = asset_registry_get_type_result_decode(&demo->arena, result, &on_chain, why);
    }
    if (e == OK) {
        e = demo_expect(slice_equal_text(on_chain.value.name, demo->type_name) &&
                            on_chain.value.required_lease_keys_count == 2,
                        why, "getType() on chain gives another type");
    }
    demo_fact(demo, "type", "%s = %.*s", demo->type_name,
              SLICE_ARG(demo_hash(demo, &demo->type_hash)));
    return e;
}

static struct slice asset_body(struct demo *demo)
{
    return slice_format(
        &demo->arena,
        "{\"metadata\":{\"assetId\":\"%s\",\"name\":\"Orbital compute node\","
        "\"description\":\"A compute module in low earth orbit\",\"assetType\":\"%s\","
        "\"specifications\":{\"orbit\":{\"type\":\"leo\",\"altitude_km\":550},"
        "\"compute\":{\"cores\":64,\"memory_gb\":512},\"bands\":[\"S\",\"Ka\"]},"
        "\"documents\":[],\"createdAt\":\"2026-01-01T00:00:00Z\","
        "\"updatedAt\":\"2026-01-01T00:00:00Z\"},\"tokenName\":\"Orbital Compute One\","
        "\"tokenSymbol\":\"OCO\",\"totalSupply\":\"" TOKEN_SUPPLY "\",\"tokenRecipient\":\"%.*s\"}",
        demo->asset_id, demo->type_name,
        SLICE_ARG(demo_address(demo, &demo->parties[DEMO_TREASURY])));
}

static enum err check_asset_on_chain(struct demo *demo, struct why *why)
{
    struct slice call;
    struct slice result;
    struct asset_registry_get_asset_result asset;
    enum err e = asset_registry_get_asset_encode(&demo->arena, demo->onchain_asset, &call, why);
    if (e == OK) {
        e = demo_call(demo, &demo->contracts.asset_registry, call, &result, why);
    }
    if (e == OK) {
        e = asset_registry_get_asset_result_decode(&demo->arena, result, &asset, why);
    }
    if (e == OK) {
        e = demo_expect(address_equal(&asset.value.token_address, &demo->token) &&
                            hash_equal(&asset.value.asset_type, &demo->type_hash),
                        why, "getAsset() on chain gives another asset");
    }
    struct u256 supply;
    struct u256 held;
    if (e == OK) {
        e = u256_parse(SLICE_LIT(TOKEN_SUPPLY), &supply);
    }
    if (e == OK) {
        e = demo_token_balance(demo, &demo->token, &demo->parties[DEMO_TREASURY], &held, why);
    }
    if (e == OK) {
        e = demo_expect(u256_equal(supply, held), why, "the supply is not with the recipient");
    }
    return e;
}

static enum err step_asset(struct demo *demo, struct why *why)
{
    char id[RAND_ID_MAX];
    rand_id("OCS", id);
    (void)snprintf(demo->asset_id, sizeof demo->asset_id, "OCS-%s", id + 18);
    const struct json *answer = NULL;
    const struct json *asset = NULL;
    const struct json *on_chain = NULL;
    struct slice status;
    enum err e =
        demo_post(demo, SLICE_LIT("/api/v1/assets?wait=20"), asset_body(demo), &answer, why);
    if (e == OK) {
        e = demo_note_relayed(demo, answer, "transactionId", why);
    }
    if (e == OK) {
        e = demo_wait_cursor(demo, why);
    }
    if (e == OK) {
        e = demo_get(demo, slice_format(&demo->arena, "/api/v1/assets/%s", demo->asset_id), &asset,
                     why);
    }
    if (e == OK) {
        e = json_get_text(asset, "status", &status, why);
    }
    if (e == OK) {
        e = demo_expect(slice_equal_text(status, "active"), why, "the asset is %.*s, not active",
                        SLICE_ARG(status));
    }
    if (e == OK) {
        e = json_get(asset, "onChain", JSON_OBJECT, &on_chain, why);
    }
    if (e == OK) {
        e = json_get_u256(on_chain, "id", &demo->onchain_asset, why);
    }
    if (e == OK) {
        e = json_get_address(on_chain, "tokenAddress", &demo->token, why);
    }
    if (e == OK) {
        e = check_asset_on_chain(demo, why);
    }
    if (e == OK) {
        char number[U256_TEXT_MAX];
        (void)u256_format(demo->onchain_asset, number);
        demo_fact(demo, "asset", "%s (number %s on chain)", demo->asset_id, number);
        demo_fact(demo, "token", "%.*s, supply 1000", SLICE_ARG(demo_address(demo, &demo->token)));
    }
    return e;
}

/* The treasury gives a third of the tokens away with its own wallet; the daemon sees the event. */
static enum err step_holders(struct demo *demo, struct why *why)
{
    struct u256 gift;
    struct slice call;
    const struct json *answer = NULL;
    const struct json *holders = NULL;
    enum err e = u256_parse(SLICE_LIT(TOKEN_GIFT), &gift);
    if (e == OK) {
        e = asset_erc20_transfer_encode(&demo->arena, &demo->parties[DEMO_HOLDER], gift, &call,
                                        why);
    }
    if (e == OK) {
        e = demo_send_own(demo, &demo->token, call, "transfer of 333 tokens", why);
    }
    if (e == OK) {
        e = demo_wait_cursor(demo, why);
    }
    if (e == OK) {
        e = demo_get(demo, slice_format(&demo->arena, "/api/v1/assets/%s/holders", demo->asset_id),
                     &answer, why);
    }
    if (e == OK) {
        e = json_get(answer, "holders", JSON_ARRAY, &holders, why);
    }
    if (e == OK) {
        e = demo_expect(holders->count == 2, why, "there are %u holders, not 2", holders->count);
    }
    for (const struct json *h = e == OK ? holders->child : NULL; e == OK && h != NULL;
         h = h->next) {
        struct address who;
        struct u256 indexed;
        struct u256 on_chain;
        e = json_get_address(h, "holderAddress", &who, why);
        if (e == OK) {
            e = json_get_u256(h, "balance", &indexed, why);
        }
        if (e == OK) {
            e = demo_token_balance(demo, &demo->token, &who, &on_chain, why);
        }
        if (e == OK) {
            e = demo_expect(u256_equal(indexed, on_chain), why,
                            "an indexed balance differs from balanceOf()");
        }
        if (e == OK) {
            demo_fact(demo, "holder", "%.*s  %.*s tokens", SLICE_ARG(demo_address(demo, &who)),
                      SLICE_ARG(demo_tokens(demo, indexed)));
        }
    }
    return e;
}

#define ALL (DEMO_COMPLETE | DEMO_ASSET | DEMO_LEASE | DEMO_REVENUE | DEMO_X402)
#define MARKET (DEMO_COMPLETE | DEMO_LEASE | DEMO_REVENUE | DEMO_X402)

const struct demo_step demo_steps[] = {
    {"connect", "Connect to the chain", ALL, false, step_connect},
    {"deployContracts", "Deploy contracts", ALL, true, step_contracts},
    {"initializeServices", "Initialize services", ALL, false, step_services},
    {"createAssetType", "Create asset type", ALL, true, step_asset_type},
    {"registerAsset", "Register asset", ALL, true, step_asset},
    {"queryTokenHolders", "Query token holders", DEMO_COMPLETE | DEMO_ASSET | DEMO_REVENUE, true,
     step_holders},
    {"createLeaseOffer", "Create lease offer", MARKET, true, demo_step_offer},
    {"fundBidders", "Fund bidders", MARKET, true, demo_step_fund},
    {"placeBids", "Place competing bids", MARKET, true, demo_step_bids},
    {"acceptBid", "Accept winning bid", MARKET, true, demo_step_accept},
    {"streamingQuote", "x402 streaming price", DEMO_COMPLETE | DEMO_LEASE, false, demo_step_stream},
    {"streamAccess", "Streaming access, paid by the second", DEMO_X402, true, demo_step_access},
    {"revenueClaims", "Revenue claims", DEMO_COMPLETE | DEMO_REVENUE, true, demo_step_claims},
};
const size_t demo_step_count = sizeof demo_steps / sizeof demo_steps[0];
