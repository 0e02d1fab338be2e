/*
 * leasing_probe.c: what the configured contracts say of themselves, asked once at start.
 */
#include "domain/leasing/leasing_internal.h"
#include "gen/abi_lease_factory.h"
#include "gen/abi_marketplace.h"
#include "gen/abi_test_stablecoin.h"

struct probe {
    struct leasing *leasing;
    struct arena scratch;
};

static enum err ask(struct probe *p, const struct address *to, struct slice data, struct slice *out,
                    struct why *why)
{
    struct slice revert = SLICE_EMPTY;
    return rpc_eth_call(p->leasing->rpc, &p->scratch, NULL, to, data, NULL, out, &revert, why);
}

/* Whether an error tells of the contract, and not of the node or the way to it. */
static bool is_answer(enum err e)
{
    return e == ERR_REVERTED || e == ERR_INVALID_ENCODING;
}

/* A question that the contract need not be able to answer. */
static enum err forgive(enum err e, const struct why *said, struct why *why)
{
    if (e == OK || is_answer(e)) {
        return OK;
    }
    if (why != NULL) {
        *why = *said;
    }
    return e;
}

static enum err check_code(struct probe *p, const char *key, const struct address *address,
                           struct why *why)
{
    struct slice code = SLICE_EMPTY;
    enum err e = rpc_code(p->leasing->rpc, &p->scratch, address, &code, why);
    if (e == OK && code.len == 0) {
        char text[ADDRESS_TEXT_MAX];
        address_format(address, text);
        e = why_set(why, ERR_CONFIG, key, "%s: there is no contract at %s on chain %llu", key, text,
                    (unsigned long long)p->leasing->chain_id);
    }
    return e;
}

static enum err check_codes(struct probe *p, struct why *why)
{
    const struct leasing *l = p->leasing;
    enum err e = check_code(p, "leasing.stablecoin", &l->stablecoin, why);
    if (e == OK) {
        e = check_code(p, "leasing.asset_registry", &l->registry, why);
    }
    if (e == OK) {
        e = check_code(p, "leasing.lease_factory", &l->factory, why);
    }
    return e == OK ? check_code(p, "leasing.marketplace", &l->marketplace, why) : e;
}

/* One contract names another one: both must be what is configured. */
struct agreement {
    const char *key;     /* of the contract that is asked */
    const char *role;    /* "stablecoin" */
    const char *related; /* key of the one that it should name */
    const struct address *asked;
    const struct address *expected;
    struct slice call;
};

static enum err check_agreement(struct probe *p, const struct agreement *a, struct why *why)
{
    struct slice data = SLICE_EMPTY;
    struct marketplace_stable_result named;
    enum err e = ask(p, a->asked, a->call, &data, why);
    if (e == OK) {
        /* All of these functions return one address. */
        e = marketplace_stable_result_decode(&p->scratch, data, &named, why);
    }
    if (is_answer(e)) {
        return why_set(why, ERR_CONFIG, a->key, "%s: the contract does not tell its %s", a->key,
                       a->role);
    }
    if (e == OK && !address_equal(&named.value, a->expected)) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&named.value, text);
        e = why_set(why, ERR_CONFIG, a->related, "%s: the %s of %s is %s", a->related, a->role,
                    a->key, text);
    }
    return e;
}

static enum err check_agreements(struct probe *p, struct why *why)
{
    const struct leasing *l = p->leasing;
    struct agreement coin = {"leasing.marketplace", "stablecoin",   "leasing.stablecoin",
                             &l->marketplace,       &l->stablecoin, SLICE_EMPTY};
    struct agreement factory = {"leasing.marketplace", "lease factory", "leasing.lease_factory",
                                &l->marketplace,       &l->factory,     SLICE_EMPTY};
    struct agreement registry = {"leasing.lease_factory",
                                 "asset registry",
                                 "leasing.asset_registry",
                                 &l->factory,
                                 &l->registry,
                                 SLICE_EMPTY};
    enum err e = marketplace_stable_encode(&p->scratch, &coin.call, why);
    if (e == OK) {
        e = marketplace_lease_factory_encode(&p->scratch, &factory.call, why);
    }
    if (e == OK) {
        e = lease_factory_registry_encode(&p->scratch, &registry.call, why);
    }
    if (e == OK) {
        e = check_agreement(p, &coin, why);
    }
    if (e == OK) {
        e = check_agreement(p, &factory, why);
    }
    return e == OK ? check_agreement(p, &registry, why) : e;
}

/*
 * Only our generation keeps refunds, and only it tells shares in events. A node that fails must not
 * be taken for a contract that has no such function: projections would follow the wrong rules.
 */
static enum err find_generation(struct probe *p, struct why *why)
{
    struct slice call = SLICE_EMPTY;
    struct slice data = SLICE_EMPTY;
    struct marketplace_refunds_result refunds;
    struct why said = {.err = OK};
    enum err e = marketplace_refunds_encode(&p->scratch, &p->leasing->marketplace, &call, &said);
    if (e == OK) {
        e = ask(p, &p->leasing->marketplace, call, &data, &said);
    }
    if (e == OK) {
        e = marketplace_refunds_result_decode(&p->scratch, data, &refunds, &said);
    }
    p->leasing->tells_shares = e == OK;
    return forgive(e, &said, why);
}

static enum err check_decimals(struct probe *p, struct why *why)
{
    struct slice call = SLICE_EMPTY;
    struct slice data = SLICE_EMPTY;
    struct test_stablecoin_decimals_result decimals = {0};
    enum err e = test_stablecoin_decimals_encode(&p->scratch, &call, why);
    if (e == OK) {
        e = ask(p, &p->leasing->stablecoin, call, &data, why);
    }
    if (e == OK) {
        e = test_stablecoin_decimals_result_decode(&p->scratch, data, &decimals, why);
    }
    if (is_answer(e)) {
        return why_set(why, ERR_CONFIG, "leasing.stablecoin",
                       "leasing.stablecoin: the contract does not tell its decimals");
    }
    if (e == OK && decimals.value != STABLE_DECIMALS) {
        e = why_set(why, ERR_CONFIG, "leasing.stablecoin",
                    "leasing.stablecoin: the coin has %u decimals, not %d",
                    (unsigned)decimals.value, STABLE_DECIMALS);
    }
    return e;
}

/* The symbol is for people: a coin that has none that can be shown is a coin nevertheless. */
static enum err read_symbol(struct probe *p, struct why *why)
{
    struct slice call = SLICE_EMPTY;
    struct slice data = SLICE_EMPTY;
    struct test_stablecoin_symbol_result symbol = {.value = SLICE_EMPTY};
    struct why said = {.err = OK};
    enum err e = test_stablecoin_symbol_encode(&p->scratch, &call, &said);
    if (e == OK) {
        e = ask(p, &p->leasing->stablecoin, call, &data, &said);
    }
    if (e == OK) {
        e = test_stablecoin_symbol_result_decode(&p->scratch, data, &symbol, &said);
    }
    if (e == OK && slice_is_utf8(symbol.value) &&
        symbol.value.len < sizeof p->leasing->stable_symbol) {
        memcpy(p->leasing->stable_symbol, symbol.value.ptr, symbol.value.len);
        p->leasing->stable_symbol[symbol.value.len] = '\0';
    }
    return forgive(e, &said, why);
}

enum err leasing_probe(struct leasing *leasing, struct why *why)
{
    struct probe p = {.leasing = leasing};
    arena_init(&p.scratch, 0);
    enum err e = check_codes(&p, why);
    if (e == OK) {
        e = check_agreements(&p, why);
    }
    if (e == OK) {
        e = find_generation(&p, why);
    }
    if (e == OK) {
        e = check_decimals(&p, why);
    }
    if (e == OK) {
        e = read_symbol(&p, why);
    }
    arena_free(&p.scratch);
    return e;
}
