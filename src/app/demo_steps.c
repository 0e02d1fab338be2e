/*
 * demo_steps.c: the twelve steps of seed 000, each with its checks.
 */
#include "app/demo.h"
#include "gen/abi_asset_erc20.h"
#include "gen/abi_asset_registry.h"
#include "gen/abi_lease_factory.h"
#include "gen/abi_marketplace.h"
#include "gen/abi_test_stablecoin.h"
#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/rand.h"
#include "kernel/ledger/ledger.h"

/* 1000 USDC an hour, bids of 6000 and 7000 USDC (seed 000, demo 5). Units: minor units. */
#define RENT_HOURLY 1000000000ULL
#define BID_LOW 6000000000ULL
#define BID_HIGH 7000000000ULL
#define FUNDS_EACH 10000000000ULL
#define TOKEN_SUPPLY "1000000000000000000000" /* 1000 tokens */
#define TOKEN_GIFT "333000000000000000000"    /* 333 of them go to the second holder */

static struct slice usdc(struct demo *demo, struct u256 units)
{
    char text[U256_TEXT_MAX + 2];
    (void)u256_format_units(units, STABLE_DECIMALS, text);
    return slice_format(&demo->arena, "%s USDC", text);
}

static struct slice tokens(struct demo *demo, struct u256 units)
{
    char text[U256_TEXT_MAX + 2];
    (void)u256_format_units(units, TOKEN_DECIMALS, text);
    return slice_copy(&demo->arena, slice_text(text));
}

static struct slice address_text(struct demo *demo, const struct address *a)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(a, text);
    return slice_copy(&demo->arena, slice_text(text));
}

static struct slice hash_text(struct demo *demo, const struct hash *h)
{
    return hex_encode(&demo->arena, hash_slice(h));
}

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
    demo_fact(demo, name, "%.*s", SLICE_ARG(address_text(demo, a)));
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
    struct slice path = slice_format(&demo->arena, "sqlite:%s/freehold.db", demo->dir);
    const struct store_config config = {
        .url = slice_cstr(&demo->arena, path),
        .readers = 1,
        .busy_usec = 5 * (int64_t)USEC_PER_SEC,
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
    demo_fact(demo, "database", "%.*s", SLICE_ARG(path));
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
        e = demo_note_relayed(demo, answer, "transactionId", why);
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
              SLICE_ARG(hash_text(demo, &demo->type_hash)));
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
        SLICE_ARG(address_text(demo, &demo->parties[DEMO_TREASURY])));
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
        demo_fact(demo, "token", "%.*s, supply 1000", SLICE_ARG(address_text(demo, &demo->token)));
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
        e = json_get_address(h, "address", &who, why);
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
            demo_fact(demo, "holder", "%.*s  %.*s tokens", SLICE_ARG(address_text(demo, &who)),
                      SLICE_ARG(tokens(demo, indexed)));
        }
    }
    return e;
}

/* ---- 7 to 10: offer, funds, bids, acceptance ---- */

static enum err check_offer_on_chain(struct demo *demo, struct why *why)
{
    struct slice call;
    struct slice result;
    struct marketplace_lease_offers_result offer;
    enum err e = marketplace_lease_offers_encode(&demo->arena, demo->offer_id, &call, why);
    if (e == OK) {
        e = demo_call(demo, &demo->contracts.marketplace, call, &result, why);
    }
    if (e == OK) {
        e = marketplace_lease_offers_result_decode(&demo->arena, result, &offer, why);
    }
    if (e != OK) {
        return e;
    }
    const struct abi_lease *l = &offer.terms.lease;
    struct leasing_pair *pairs =
        arena_alloc_array(&demo->arena, l->metadata_count + 1, sizeof *pairs);
    for (size_t i = 0; i < l->metadata_count; i++) {
        pairs[i] = (struct leasing_pair){l->metadata[i].key, l->metadata[i].value};
    }
    /* What the parties sign from here on is what the chain says, not what we sent. */
    demo->terms = (struct leasing_terms){
        .deadline_sec = offer.terms.deadline,
        .asset_type = offer.terms.asset_type,
        .lessor = l->lessor,
        .lessee = l->lessee,
        .asset_id = l->asset_id,
        .payment_token = l->payment_token,
        .rent = stable_of(l->rent_amount),
        .deposit = stable_of(l->security_deposit),
        .start_sec = l->start_time,
        .end_sec = l->end_time,
        .legal_doc_hash = l->legal_doc_hash,
        .terms_version = l->terms_version,
        .metadata = pairs,
        .metadata_count = l->metadata_count,
    };
    e = u256_to_u64(l->rent_period, &demo->terms.rent_period_sec);
    if (e == OK) {
        e = demo_expect(offer.active && address_equal(&offer.lessor, &demo->parties[DEMO_LESSOR]) &&
                            u256_equal(l->asset_id, demo->onchain_asset) &&
                            u256_equal(l->rent_amount, u256_from_u64(RENT_HOURLY)) &&
                            demo->terms.rent_period_sec == 3600,
                        why, "leaseOffers() on chain gives other terms");
    }
    return e;
}

static struct slice lease_body(struct demo *demo)
{
    char start[CLOCK_TEXT_MAX];
    char end[CLOCK_TEXT_MAX];
    int64_t now = clock_wall_usec();
    (void)clock_format(now + 600 * (int64_t)USEC_PER_SEC, start);
    (void)clock_format(now + 30 * 86400 * (int64_t)USEC_PER_SEC, end);
    struct hash document = sha256(SLICE_LIT("lease agreement of the demo"));
    return slice_format(
        &demo->arena,
        "{\"assetId\":\"%s\",\"lessorAddress\":\"%.*s\",\"terms\":{\"startDate\":\"%s\","
        "\"endDate\":\"%s\",\"paymentAmount\":\"%llu\",\"rentPeriod\":3600,"
        "\"paymentSchedule\":\"monthly\",\"currency\":\"USDC\","
        "\"restrictions\":[\"no resale of compute\"]},\"legalDocumentHash\":\"%.*s\","
        "\"metadata\":{\"compute_allocation_cores\":\"32\",\"memory_allocation_gb\":\"256\"}}",
        demo->asset_id, SLICE_ARG(address_text(demo, &demo->parties[DEMO_LESSOR])), start, end,
        (unsigned long long)RENT_HOURLY, SLICE_ARG(hash_text(demo, &document)));
}

static enum err step_offer(struct demo *demo, struct why *why)
{
    const struct json *answer = NULL;
    const struct json *lease = NULL;
    struct slice id;
    enum err e =
        demo_post(demo, SLICE_LIT("/api/v1/leases?wait=20"), lease_body(demo), &answer, why);
    if (e == OK) {
        e = json_get_text(answer, "leaseId", &id, why);
    }
    if (e == OK) {
        (void)snprintf(demo->lease_id, sizeof demo->lease_id, "%.*s", SLICE_ARG(id));
        e = demo_note_relayed(demo, answer, "transactionId", why);
    }
    if (e == OK) {
        e = demo_wait_cursor(demo, why);
    }
    if (e == OK) {
        e = demo_get(demo, slice_format(&demo->arena, "/api/v1/leases/%s", demo->lease_id), &lease,
                     why);
    }
    if (e == OK) {
        e = json_get_u256(lease, "offerId", &demo->offer_id, why);
    }
    if (e == OK) {
        e = check_offer_on_chain(demo, why);
    }
    if (e == OK) {
        char number[U256_TEXT_MAX];
        (void)u256_format(demo->offer_id, number);
        demo_fact(demo, "lease", "%s, offer %s", demo->lease_id, number);
        demo_fact(demo, "rent", "%.*s an hour", SLICE_ARG(usdc(demo, u256_from_u64(RENT_HOURLY))));
    }
    return e;
}

static enum err step_fund(struct demo *demo, struct why *why)
{
    static const enum demo_party bidders[] = {DEMO_BIDDER_LOW, DEMO_BIDDER_HIGH};
    enum err e = OK;
    for (size_t i = 0; e == OK && i < 2; i++) {
        const struct address *who = &demo->parties[bidders[i]];
        struct slice call;
        struct u256 before;
        struct u256 after;
        struct u256 wanted;
        e = demo_token_balance(demo, &demo->contracts.stablecoin, who, &before, why);
        if (e == OK) {
            e = test_stablecoin_mint_encode(&demo->arena, who, u256_from_u64(FUNDS_EACH), &call,
                                            why);
        }
        if (e == OK) {
            e = demo_send_own(demo, &demo->contracts.stablecoin, call, "mint of 10000 USDC", why);
        }
        if (e == OK) {
            e = demo_token_balance(demo, &demo->contracts.stablecoin, who, &after, why);
        }
        if (e == OK) {
            e = u256_add(before, u256_from_u64(FUNDS_EACH), &wanted);
        }
        if (e == OK) {
            e = demo_expect(u256_equal(after, wanted), why, "the bidder's balance is wrong");
        }
        if (e == OK) {
            demo_fact(demo, "bidder", "%.*s  %.*s", SLICE_ARG(address_text(demo, who)),
                      SLICE_ARG(usdc(demo, after)));
        }
    }
    return e;
}

/* The digest is computed three times: by us, by the API and by the contract. */
static enum err agreed_digest(struct demo *demo, const struct address *lessee, struct hash *out,
                              struct why *why)
{
    struct leasing_terms terms = demo->terms;
    terms.lessee = *lessee;
    struct hash ours =
        leasing_terms_digest(&terms, demo->contracts.chain_id, &demo->contracts.lease_factory);
    const struct json *answer = NULL;
    struct hash theirs;
    enum err e = demo_get(demo,
                          slice_format(&demo->arena, "/api/v1/leases/%s/digest?lessee=%.*s",
                                       demo->lease_id, SLICE_ARG(address_text(demo, lessee))),
                          &answer, why);
    if (e == OK) {
        e = json_get_hash(answer, "digest", &theirs, why);
    }
    if (e == OK) {
        e = demo_expect(hash_equal(&ours, &theirs), why, "the API computes another digest");
    }
    struct slice offer_call;
    struct slice result;
    if (e == OK) {
        e = leasing_terms_offer_call(&demo->arena, &terms, &offer_call, why);
    }
    if (e == OK) {
        /* hashLeaseIntent(LeaseIntent) takes the same arguments as postLeaseOffer. */
        struct buf call;
        buf_init(&call, &demo->arena, offer_call.len);
        buf_add(&call,
                abi_lease_factory_functions[LEASE_FACTORY_FUNCTION_HASH_LEASE_INTENT].selector, 4);
        buf_add_slice(&call, slice_sub(offer_call, 4, offer_call.len));
        e = demo_call(demo, &demo->contracts.lease_factory, buf_slice(&call), &result, why);
    }
    if (e == OK) {
        e = demo_expect(slice_equal(result, hash_slice(&ours)), why,
                        "hashLeaseIntent() on chain gives another digest");
    }
    if (e == OK) {
        *out = ours;
    }
    return e;
}

static enum err place_bid(struct demo *demo, enum demo_party party, uint64_t funds, struct why *why)
{
    struct hash digest;
    struct slice signature;
    const struct json *answer = NULL;
    enum err e = agreed_digest(demo, &demo->parties[party], &digest, why);
    if (e == OK) {
        e = demo_sign(demo, party, &digest, &signature, why);
    }
    if (e != OK) {
        return e;
    }
    struct slice path =
        slice_format(&demo->arena, "/api/v1/leases/%s/bids?wait=20", demo->lease_id);
    struct slice body = slice_format(
        &demo->arena, "{\"bidder\":\"%.*s\",\"funds\":\"%llu\",\"signature\":\"%.*s\"}",
        SLICE_ARG(address_text(demo, &demo->parties[party])), (unsigned long long)funds,
        SLICE_ARG(signature));
    e = demo_post(demo, path, body, &answer, why);
    if (e == OK) {
        e = demo_note_relayed(demo, answer, "approveTransactionId", why);
    }
    return e == OK ? demo_note_relayed(demo, answer, "transactionId", why) : e;
}

static enum err find_bid(struct demo *demo, const struct json *bids, enum demo_party party,
                         uint64_t funds, struct u256 *out_index, struct why *why)
{
    for (const struct json *b = bids->child; b != NULL; b = b->next) {
        struct address bidder;
        struct u256 amount;
        struct u256 index;
        enum err e = json_get_address(b, "bidder", &bidder, why);
        if (e == OK) {
            e = json_get_u256(b, "funds", &amount, why);
        }
        if (e == OK) {
            e = json_get_u256(b, "bidIndex", &index, why);
        }
        if (e != OK) {
            return e;
        }
        if (address_equal(&bidder, &demo->parties[party]) &&
            u256_equal(amount, u256_from_u64(funds))) {
            *out_index = index;
            return OK;
        }
    }
    return why_set(why, ERR_CORRUPT, NULL, "check failed: the bid is not in the list");
}

static enum err step_bids(struct demo *demo, struct why *why)
{
    const struct json *bids = NULL;
    struct u256 before;
    struct u256 after;
    struct u256 wanted;
    const struct address *market = &demo->contracts.marketplace;
    enum err e = demo_token_balance(demo, &demo->contracts.stablecoin, market, &before, why);
    if (e == OK) {
        e = place_bid(demo, DEMO_BIDDER_LOW, BID_LOW, why);
    }
    if (e == OK) {
        e = place_bid(demo, DEMO_BIDDER_HIGH, BID_HIGH, why);
    }
    if (e == OK) {
        e = demo_wait_cursor(demo, why);
    }
    if (e == OK) {
        e = demo_get(demo, slice_format(&demo->arena, "/api/v1/leases/%s/bids", demo->lease_id),
                     &bids, why);
    }
    if (e == OK) {
        e = find_bid(demo, bids, DEMO_BIDDER_LOW, BID_LOW, &demo->bid_low, why);
    }
    if (e == OK) {
        e = find_bid(demo, bids, DEMO_BIDDER_HIGH, BID_HIGH, &demo->bid_high, why);
    }
    if (e == OK) {
        e = demo_token_balance(demo, &demo->contracts.stablecoin, market, &after, why);
    }
    if (e == OK) {
        e = u256_add(before, u256_from_u64(BID_LOW + BID_HIGH), &wanted);
    }
    if (e == OK) {
        e = demo_expect(u256_equal(after, wanted), why, "the escrow does not hold both bids");
    }
    if (e == OK) {
        demo_fact(demo, "bids", "%.*s and %.*s, both in escrow",
                  SLICE_ARG(usdc(demo, u256_from_u64(BID_LOW))),
                  SLICE_ARG(usdc(demo, u256_from_u64(BID_HIGH))));
    }
    return e;
}

static enum err check_nft(struct demo *demo, struct why *why)
{
    struct slice call;
    struct slice result;
    struct lease_factory_owner_of_result owner;
    enum err e = lease_factory_owner_of_encode(&demo->arena, demo->nft_id, &call, why);
    if (e == OK) {
        e = demo_call(demo, &demo->contracts.lease_factory, call, &result, why);
    }
    if (e == OK) {
        e = lease_factory_owner_of_result_decode(&demo->arena, result, &owner, why);
    }
    if (e == OK) {
        e = demo_expect(address_equal(&owner.value, &demo->parties[DEMO_BIDDER_HIGH]), why,
                        "ownerOf() on chain names somebody else");
    }
    return e;
}

static enum err accept_best(struct demo *demo, struct why *why)
{
    struct hash digest;
    struct slice signature;
    const struct json *answer = NULL;
    char index[U256_TEXT_MAX];
    (void)u256_format(demo->bid_high, index);
    enum err e = agreed_digest(demo, &demo->parties[DEMO_BIDDER_HIGH], &digest, why);
    if (e == OK) {
        e = demo_sign(demo, DEMO_LESSOR, &digest, &signature, why);
    }
    if (e == OK) {
        e = demo_post(demo,
                      slice_format(&demo->arena, "/api/v1/leases/%s/bids/%s/accept?wait=20",
                                   demo->lease_id, index),
                      slice_format(&demo->arena, "{\"signature\":\"%.*s\"}", SLICE_ARG(signature)),
                      &answer, why);
    }
    return e == OK ? demo_note_relayed(demo, answer, "transactionId", why) : e;
}

static enum err step_accept(struct demo *demo, struct why *why)
{
    const struct json *lease = NULL;
    struct slice status;
    struct u256 before;
    struct u256 after;
    struct u256 wanted;
    const struct address *loser = &demo->parties[DEMO_BIDDER_LOW];
    enum err e = demo_token_balance(demo, &demo->contracts.stablecoin, loser, &before, why);
    if (e == OK) {
        e = accept_best(demo, why);
    }
    if (e == OK) {
        e = demo_wait_cursor(demo, why);
    }
    if (e == OK) {
        e = demo_get(demo, slice_format(&demo->arena, "/api/v1/leases/%s", demo->lease_id), &lease,
                     why);
    }
    if (e == OK) {
        e = json_get_text(lease, "status", &status, why);
    }
    if (e == OK) {
        e = demo_expect(slice_equal_text(status, "active"), why, "the lease is %.*s, not active",
                        SLICE_ARG(status));
    }
    if (e == OK) {
        e = json_get_u256(lease, "nftTokenId", &demo->nft_id, why);
    }
    if (e == OK) {
        e = check_nft(demo, why);
    }
    if (e == OK) {
        e = demo_token_balance(demo, &demo->contracts.stablecoin, loser, &after, why);
    }
    if (e == OK) {
        e = u256_add(before, u256_from_u64(BID_LOW), &wanted);
    }
    if (e == OK) {
        e = demo_expect(u256_equal(after, wanted), why, "the losing bid was not paid back");
    }
    if (e == OK) {
        char number[U256_TEXT_MAX];
        (void)u256_format(demo->nft_id, number);
        demo_fact(demo, "lessee", "%.*s, lease NFT %s",
                  SLICE_ARG(address_text(demo, &demo->parties[DEMO_BIDDER_HIGH])), number);
        demo_fact(demo, "refunded", "%.*s", SLICE_ARG(usdc(demo, u256_from_u64(BID_LOW))));
    }
    return e;
}

/* ---- 11: streaming price ---- */

static enum err check_quote(struct demo *demo, const char *mode, uint64_t steps, struct why *why)
{
    const struct json *answer = NULL;
    struct u256 base;
    uint64_t extra = 0;
    enum err e = demo_get(demo,
                          slice_format(&demo->arena, "/api/v1/leases/%s/x402/requirements?mode=%s",
                                       demo->lease_id, mode),
                          &answer, why);
    const struct json *quote = NULL;
    if (e == OK) {
        e = json_get(answer, "quote", JSON_OBJECT, &quote, why);
    }
    if (e == OK) {
        e = json_get_u256(quote, "amount", &base, why);
    }
    if (e == OK) {
        e = json_get_u64(quote, "extraSteps", &extra, why);
    }
    struct u256 sum;
    if (e == OK) {
        e = u256_mul(base, u256_from_u64(steps), &sum);
    }
    if (e == OK) {
        e = u256_add(sum, u256_from_u64(extra), &sum);
    }
    if (e == OK) {
        e = demo_expect(u256_equal(sum, u256_from_u64(RENT_HOURLY)), why,
                        "the %llu payments of an hour do not add up to the hourly rent",
                        (unsigned long long)steps);
    }
    if (e == OK) {
        demo_fact(demo, mode, "%.*s a payment, %llu of %llu cost 0.000001 USDC more",
                  SLICE_ARG(usdc(demo, base)), (unsigned long long)extra,
                  (unsigned long long)steps);
    }
    return e;
}

static enum err step_stream(struct demo *demo, struct why *why)
{
    enum err e = check_quote(demo, "second", 3600, why);
    return e == OK ? check_quote(demo, "batch-5s", 720, why) : e;
}

/* ---- 12: revenue ---- */

static enum err on_chain_claim(struct demo *demo, const struct address *holder, struct u256 *out,
                               struct why *why)
{
    struct slice call;
    struct slice result;
    enum err e = marketplace_claims_encode(&demo->arena, holder, &call, why);
    if (e == OK) {
        e = demo_call(demo, &demo->contracts.marketplace, call, &result, why);
    }
    if (e == OK && result.len != U256_BYTES) {
        e = why_set(why, ERR_INVALID_ENCODING, NULL, "claims() did not answer one word");
    }
    return e == OK ? u256_decode_be(result, out) : e;
}

/* Claims through the daemon's wallet, or with the unsigned transaction that the API gives. */
static enum err claim(struct demo *demo, const struct address *holder, struct why *why)
{
    const struct json *answer = NULL;
    enum err e = demo_post(
        demo,
        slice_format(&demo->arena, "/api/v1/revenue-rounds/%llu/claims/%.*s/process?wait=20",
                     (unsigned long long)demo->round_id, SLICE_ARG(address_text(demo, holder))),
        SLICE_EMPTY, &answer, why);
    if (e != OK) {
        return e;
    }
    const struct json *request = json_find(answer, "transactionRequest");
    if (request == NULL || request->type != JSON_OBJECT) {
        return demo_note_relayed(demo, answer, "transactionId", why);
    }
    struct address to;
    struct slice data;
    e = json_get_address(request, "to", &to, why);
    if (e == OK) {
        e = json_get_hex(&demo->arena, request, "data", &data, why);
    }
    return e == OK ? demo_send_own(demo, &to, data, "claim with an own wallet", why) : e;
}

static enum err claim_and_check(struct demo *demo, const struct json *row, struct why *why)
{
    struct address holder;
    struct u256 owed;
    struct u256 on_chain;
    struct u256 before;
    struct u256 after;
    const struct address *coin = &demo->contracts.stablecoin;
    enum err e = json_get_address(row, "holderAddress", &holder, why);
    if (e == OK) {
        e = json_get_u256(row, "claimAmount", &owed, why);
    }
    if (e == OK) {
        e = on_chain_claim(demo, &holder, &on_chain, why);
    }
    if (e == OK) {
        e = demo_expect(u256_equal(owed, on_chain), why,
                        "claims() on chain differs from the indexed claim");
    }
    if (e == OK) {
        e = demo_token_balance(demo, coin, &holder, &before, why);
    }
    if (e == OK) {
        e = claim(demo, &holder, why);
    }
    if (e == OK) {
        e = demo_token_balance(demo, coin, &holder, &after, why);
    }
    if (e == OK) {
        e = u256_sub(after, before, &after);
    }
    if (e == OK) {
        e = demo_expect(u256_equal(after, owed), why, "the holder was not paid what was owed");
    }
    if (e == OK) {
        e = u256_add(demo->claimed, owed, &demo->claimed);
    }
    if (e == OK) {
        demo_fact(demo, "claimed", "%.*s  %.*s", SLICE_ARG(address_text(demo, &holder)),
                  SLICE_ARG(usdc(demo, owed)));
    }
    return e;
}

static enum err read_audit(struct store_tx *tx, void *ctx, struct why *why)
{
    return ledger_audit(tx, ctx, why);
}

/* The ledger proves itself, and every claim of the round is paid. */
static enum err check_books(struct demo *demo, struct why *why)
{
    struct ledger_report report = {0};
    const struct json *round = NULL;
    struct slice status;
    enum err e = store_read(demo->store, read_audit, &report, why);
    if (e == OK) {
        e = demo_expect(report.transfers > 0 && report.wrong_accounts == 0 &&
                            report.overdrafts == 0 && report.unbalanced_books == 0,
                        why, "the ledger does not add up");
    }
    if (e == OK) {
        e = demo_get(demo,
                     slice_format(&demo->arena, "/api/v1/revenue-rounds/%llu",
                                  (unsigned long long)demo->round_id),
                     &round, why);
    }
    if (e == OK) {
        e = json_get_text(round, "status", &status, why);
    }
    if (e == OK) {
        e = demo_expect(slice_equal_text(status, "closed"), why, "the round is %.*s, not closed",
                        SLICE_ARG(status));
    }
    if (e == OK) {
        demo_fact(demo, "ledger", "%llu transfers, proven", (unsigned long long)report.transfers);
    }
    return e;
}

static enum err step_claims(struct demo *demo, struct why *why)
{
    const struct json *rounds = NULL;
    const struct json *claims = NULL;
    enum err e = demo_get(
        demo, slice_format(&demo->arena, "/api/v1/assets/%s/revenue-rounds", demo->asset_id),
        &rounds, why);
    if (e == OK) {
        e = demo_expect(rounds->type == JSON_ARRAY && rounds->count == 1, why,
                        "there is not exactly one revenue round");
    }
    if (e == OK) {
        e = json_get_u64(rounds->child, "roundId", &demo->round_id, why);
    }
    if (e == OK) {
        e = demo_get(demo,
                     slice_format(&demo->arena, "/api/v1/revenue-rounds/%llu/claims",
                                  (unsigned long long)demo->round_id),
                     &claims, why);
    }
    if (e == OK) {
        e = demo_expect(claims->type == JSON_ARRAY && claims->count == 2, why,
                        "there are not two claims");
    }
    for (const struct json *c = e == OK ? claims->child : NULL; e == OK && c != NULL; c = c->next) {
        e = claim_and_check(demo, c, why);
    }
    /* Deployed marketplaces keep the remainder of the division: less than a unit a holder. */
    struct u256 rest;
    if (e == OK) {
        e = u256_sub(u256_from_u64(BID_HIGH), demo->claimed, &rest);
    }
    if (e == OK) {
        e = demo_expect(u256_compare(rest, u256_from_u64(2)) < 0, why,
                        "the claims do not add up to the accepted bid");
    }
    if (e == OK) {
        e = demo_wait_cursor(demo, why);
    }
    return e == OK ? check_books(demo, why) : e;
}

#define ALL (DEMO_COMPLETE | DEMO_ASSET | DEMO_LEASE | DEMO_REVENUE)
#define MARKET (DEMO_COMPLETE | DEMO_LEASE | DEMO_REVENUE)

const struct demo_step demo_steps[] = {
    {"connect", "Connect to the chain", ALL, false, step_connect},
    {"deployContracts", "Deploy contracts", ALL, true, step_contracts},
    {"initializeServices", "Initialize services", ALL, false, step_services},
    {"createAssetType", "Create asset type", ALL, true, step_asset_type},
    {"registerAsset", "Register asset", ALL, true, step_asset},
    {"queryTokenHolders", "Query token holders", DEMO_COMPLETE | DEMO_ASSET | DEMO_REVENUE, true,
     step_holders},
    {"createLeaseOffer", "Create lease offer", MARKET, true, step_offer},
    {"fundBidders", "Fund bidders", MARKET, true, step_fund},
    {"placeBids", "Place competing bids", MARKET, true, step_bids},
    {"acceptBid", "Accept winning bid", MARKET, true, step_accept},
    {"streamingQuote", "x402 streaming price", DEMO_COMPLETE | DEMO_LEASE, false, step_stream},
    {"revenueClaims", "Revenue claims", DEMO_COMPLETE | DEMO_REVENUE, true, step_claims},
};
const size_t demo_step_count = sizeof demo_steps / sizeof demo_steps[0];
