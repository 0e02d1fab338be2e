/*
 * leasing_probe.c: what the configured contracts say of themselves, asked once at start, and by
 * people who look for what is wrong.
 */
#include "domain/leasing/leasing_internal.h"
#include "gen/abi_asset_registry.h"
#include "gen/abi_lease_factory.h"
#include "gen/abi_marketplace.h"
#include "gen/abi_test_stablecoin.h"
#include "kernel/base/check.h"

struct probe {
    struct leasing *leasing;
    struct arena scratch;
};

static enum err ask(struct probe *p, const struct address *to, struct slice data, struct slice *out,
                    struct why *why)
{
    struct slice revert = SLICE_EMPTY;
    return rpc_eth_call(p->leasing->rpc, &p->scratch, RPC_ANY, NULL, to, data, NULL, out, &revert,
                        why);
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

/* ---- what only people ask ---- */

/* Whether the registrar has a role of the registry. */
static enum err check_role(struct probe *p, const char *name, const struct hash *role,
                           struct why *why)
{
    const struct leasing *l = p->leasing;
    struct slice call = SLICE_EMPTY;
    struct slice data = SLICE_EMPTY;
    struct asset_registry_has_role_result has = {.value = false};
    enum err e = asset_registry_has_role_encode(&p->scratch, role, &l->registrar, &call, why);
    if (e == OK) {
        e = ask(p, &l->registry, call, &data, why);
    }
    if (e == OK) {
        e = asset_registry_has_role_result_decode(&p->scratch, data, &has, why);
    }
    if (is_answer(e)) {
        return why_set(why, ERR_CONFIG, "leasing.asset_registry",
                       "leasing.asset_registry: the contract does not tell its roles");
    }
    if (e == OK && !has.value) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&l->registrar, text);
        e = why_set(why, ERR_FORBIDDEN, "leasing.registrar",
                    "leasing.registrar: %s does not have %s on the asset registry", text, name);
    }
    return e;
}

static enum err check_roles(struct probe *p, struct why *why)
{
    static const struct hash admin = {{0}};
    struct hash registrar = keccak256(SLICE_LIT("REGISTRAR_ROLE"));
    if (!p->leasing->has_registrar) {
        return OK;
    }
    enum err e = check_role(p, "DEFAULT_ADMIN_ROLE", &admin, why);
    return e == OK ? check_role(p, "REGISTRAR_ROLE", &registrar, why) : e;
}

/* https://eips.ethereum.org/EIPS/eip-1967: keccak256("eip1967.proxy.implementation") - 1 */
static enum err implementation_slot(struct hash *out)
{
    struct hash name = keccak256(SLICE_LIT("eip1967.proxy.implementation"));
    struct u256 slot = U256_ZERO;
    enum err e = u256_decode_be(hash_slice(&name), &slot);
    if (e == OK) {
        e = u256_sub(slot, u256_from_u64(1), &slot);
    }
    if (e == OK) {
        u256_encode_be(slot, out->bytes);
    }
    return e;
}

static enum err check_proxy(struct probe *p, const char *key, const struct address *address,
                            struct why *why)
{
    struct hash slot = {{0}};
    struct hash value = {{0}};
    struct slice code = SLICE_EMPTY;
    enum err e = implementation_slot(&slot);
    if (e == OK) {
        e = rpc_storage(p->leasing->rpc, &p->scratch, address, &slot, &value, why);
    }
    if (e != OK || hash_is_zero(&value)) {
        return e; /* a contract without a proxy is fine */
    }
    struct address behind =
        address_of_bytes(slice_sub(hash_slice(&value), HASH_BYTES - ADDRESS_BYTES, ADDRESS_BYTES));
    e = rpc_code(p->leasing->rpc, &p->scratch, &behind, &code, why);
    if (e == OK && code.len == 0) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&behind, text);
        e = why_set(why, ERR_CONFIG, key, "%s: the proxy leads to %s, where there is no contract",
                    key, text);
    }
    return e;
}

static enum err check_proxies(struct probe *p, struct why *why)
{
    const struct leasing *l = p->leasing;
    enum err e = check_proxy(p, "leasing.asset_registry", &l->registry, why);
    if (e == OK) {
        e = check_proxy(p, "leasing.lease_factory", &l->factory, why);
    }
    return e == OK ? check_proxy(p, "leasing.marketplace", &l->marketplace, why) : e;
}

/* ---- the questions ---- */

static enum err (*const questions[LEASING_QUESTIONS])(struct probe *, struct why *) = {
    [LEASING_ASK_CODE] = check_codes,
    [LEASING_ASK_AGREEMENT] = check_agreements,
    [LEASING_ASK_GENERATION] = find_generation,
    [LEASING_ASK_DECIMALS] = check_decimals,
    [LEASING_ASK_SYMBOL] = read_symbol,
    [LEASING_ASK_ROLES] = check_roles,
    [LEASING_ASK_IMPLEMENTATION] = check_proxies,
};

enum err leasing_ask(struct leasing *leasing, enum leasing_question question, struct why *why)
{
    ASSERT(question < LEASING_QUESTIONS);
    struct probe p = {.leasing = leasing};
    arena_init(&p.scratch, 0);
    enum err e = questions[question](&p, why);
    arena_free(&p.scratch);
    return e;
}

enum err leasing_probe(struct leasing *leasing, struct why *why)
{
    enum err e = OK;
    for (int q = LEASING_ASK_CODE; e == OK && q <= LEASING_ASK_SYMBOL; q++) {
        e = leasing_ask(leasing, (enum leasing_question)q, why);
    }
    return e;
}
