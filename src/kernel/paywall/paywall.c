#include "kernel/paywall/paywall.h"

#include <pthread.h>

#include "gen/abi_test_stablecoin.h"
#include "kernel/base/check.h"
#include "kernel/paywall/paywall_internal.h"

/* ---- configuration ---- */

const struct config_row paywall_config_rows[] = {
    {.key = "x402.enabled",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct paywall_config, enabled),
     .default_ = "false",
     .doc = "Whether payments by x402 are taken for routes that cost something."},
    {.key = "x402.asset",
     .type = CONFIG_ADDRESS,
     .offset = offsetof(struct paywall_config, asset),
     .doc = "Token that is taken, with EIP-3009 (USDC); empty takes leasing.stablecoin."},
    {.key = "x402.token_name",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct paywall_config, token_name),
     .doc =
         "Name in the token's EIP-712 domain, which differs by chain; empty asks the token. It is "
         "compared with the token's DOMAIN_SEPARATOR at the start."},
    {.key = "x402.token_version",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct paywall_config, token_version),
     .doc = "Version in that domain; empty finds out whether it is 2 or 1."},
    {.key = "x402.pay_to",
     .type = CONFIG_ADDRESS,
     .offset = offsetof(struct paywall_config, pay_to),
     .doc = "Account that prices of x402.prices are paid to."},
    {.key = "x402.prices",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct paywall_config, prices),
     .doc = "Prices of routes by their operation, in units of the token, apart by commas: "
            "getAsset=10000, listAssets=2500."},
    {.key = "x402.wallet",
     .type = CONFIG_ADDRESS,
     .offset = offsetof(struct paywall_config, wallet),
     .doc =
         "Wallet of the relay that settles and pays the gas; empty takes the pool of wallets, or "
         "leasing.registrar where there is none."},
    {.key = "x402.public_url",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct paywall_config, public_url),
     .flags = CONFIG_URLS,
     .doc = "What clients know this server as, for the resource in offers; empty takes the Host "
            "that they ask."},
    {.key = "x402.timeout",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct paywall_config, timeout_usec),
     .default_ = "300s",
     .min = 10ull * USEC_PER_SEC,
     .max = 3600ull * USEC_PER_SEC,
     .doc = "How long clients are asked to make their payments valid for."},
    {.key = "x402.settle_wait",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct paywall_config, wait_usec),
     .default_ = "15s",
     .min = 100000,
     .max = 300ull * USEC_PER_SEC,
     .doc = "How long an answer waits for its payment to be mined; then the client is told "
            "settlement_pending."},
    {.key = "x402.answer_kept",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct paywall_config, kept_usec),
     .default_ = "1h",
     .min = 1ull * USEC_PER_SEC,
     .max = 7ull * 86400 * USEC_PER_SEC,
     .doc = "How long an answer that was paid for is given again to the same request."},
};
const size_t paywall_config_row_count =
    sizeof(paywall_config_rows) / sizeof(paywall_config_rows[0]);

static enum err read_address(const char *key, const char *text, struct address *out, bool *out_has,
                             struct why *why)
{
    *out_has = text[0] != '\0';
    if (*out_has && address_parse(slice_text(text), out) != OK) {
        return why_set(why, ERR_CONFIG, key, "%s is no address, or its checksum is wrong", key);
    }
    return OK;
}

static enum err add_price(struct paywall *p, struct slice operation, struct u256 amount,
                          struct why *why)
{
    if (paywall_price_find(p, operation) != NULL) {
        return why_set(why, ERR_CONFIG, "x402.prices", "x402.prices: %.*s has a price already",
                       SLICE_ARG(operation));
    }
    if (p->price_count == PAYWALL_PRICES_MAX) {
        return why_set(why, ERR_CONFIG, "x402.prices", "at most %d routes may have a price",
                       PAYWALL_PRICES_MAX);
    }
    p->amounts[p->price_count] = amount;
    p->prices[p->price_count++] =
        (struct paywall_price){.operation = slice_cstr(&p->boot, operation)};
    return OK;
}

static enum err read_prices(struct paywall *p, struct why *why)
{
    struct slice rest = slice_trim(slice_text(p->config.prices));
    while (rest.len > 0) {
        struct slice one;
        struct slice operation;
        struct slice digits;
        struct u256 amount;
        (void)slice_cut(rest, ',', &one, &rest);
        if (!slice_cut(slice_trim(one), '=', &operation, &digits) ||
            u256_parse(slice_trim(digits), &amount) != OK || u256_is_zero(amount)) {
            return why_set(why, ERR_CONFIG, "x402.prices",
                           "x402.prices: \"%.*s\" is not operation=amount, with an amount above "
                           "zero in units of the token",
                           SLICE_ARG(one));
        }
        enum err e = add_price(p, slice_trim(operation), amount, why);
        if (e != OK) {
            return e;
        }
    }
    if (!p->has_pay_to && p->config.prices[0] != '\0') {
        return why_set(why, ERR_CONFIG, "x402.pay_to", "x402.prices needs x402.pay_to");
    }
    return OK;
}

static enum err read_config(struct paywall *p, const struct paywall_options *o, struct why *why)
{
    const struct paywall_config *c = &p->config;
    bool has_asset = false;
    enum err e = read_address("x402.asset", c->asset[0] != '\0' ? c->asset : o->asset, &p->asset,
                              &has_asset, why);
    if (e == OK && !has_asset) {
        e = why_set(why, ERR_CONFIG, "x402.asset", "x402.enabled needs x402.asset");
    }
    if (e == OK) {
        e = read_address("x402.pay_to", c->pay_to, &p->pay_to, &p->has_pay_to, why);
    }
    if (e == OK) {
        p->names_wallet = c->wallet[0] != '\0';
        e = read_address("x402.wallet", p->names_wallet ? c->wallet : o->wallet, &p->wallet,
                         &p->has_wallet, why);
    }
    return e == OK ? read_prices(p, why) : e;
}

/* ---- life ---- */

enum err paywall_new(const struct paywall_options *o, struct paywall **out, struct why *why)
{
    struct paywall *p = mem_alloc(sizeof *p);
    *p = (struct paywall){
        .config = *o->config, .chain_id = o->chain_id, .store = o->store, .rpc = o->rpc};
    arena_init(&p->boot, 0);
    ASSERT(o->price_count <= PAYWALL_PRICES_MAX);
    for (size_t i = 0; i < o->price_count; i++) {
        p->prices[p->price_count++] = o->prices[i];
    }
    enum err e = p->config.enabled ? read_config(p, o, why) : OK;
    if (e == OK && p->config.enabled) {
        e = paywall_domain_check(p, why);
    }
    if (e != OK) {
        paywall_free(p);
        return e;
    }
    p->policies[0] = (struct relay_policy){
        .role = PAYWALL_ROLE,
        .contract = &abi_test_stablecoin,
        .function = &abi_test_stablecoin_functions
                        [TEST_STABLECOIN_FUNCTION_TRANSFER_WITH_AUTHORIZATION_UINT8],
        .address = &p->asset,
    };
    paywall_cashier_init(p);
    *out = p;
    return OK;
}

void paywall_free(struct paywall *p)
{
    if (p != NULL) {
        arena_free(&p->boot);
        mem_free(p);
    }
}

const struct relay_policy *paywall_policies(const struct paywall *p, size_t *out_count)
{
    *out_count = p->config.enabled ? PAYWALL_POLICIES : 0;
    return p->policies;
}

static bool has_operation(const struct http_table *tables, size_t count, const char *operation)
{
    for (size_t t = 0; t < count; t++) {
        for (size_t r = 0; r < tables[t].count; r++) {
            if (strcmp(tables[t].routes[r].operation, operation) == 0) {
                return true;
            }
        }
    }
    return false;
}

enum err paywall_ready(struct paywall *p, struct relay *relay, const struct http_table *tables,
                       size_t table_count, struct why *why)
{
    p->relay = relay;
    p->tables = tables;
    p->table_count = table_count;
    p->started_usec = clock_wall_usec();
    for (size_t i = 0; p->config.enabled && i < p->price_count; i++) {
        if (!has_operation(tables, table_count, p->prices[i].operation)) {
            return why_set(
                why, ERR_CONFIG, "x402.prices",
                "x402.prices: there is no operation \"%s\"; see docs/reference/routes.md",
                p->prices[i].operation);
        }
    }
    return OK;
}

const struct http_cashier *paywall_cashier(const struct paywall *p)
{
    return p->config.enabled ? &p->cashier : NULL;
}

const struct address *paywall_asset(const struct paywall *p)
{
    return p->config.enabled ? &p->asset : NULL;
}

const struct paywall_price *paywall_price_find(const struct paywall *p, struct slice operation)
{
    for (size_t i = 0; i < p->price_count; i++) {
        if (slice_equal_text(operation, p->prices[i].operation)) {
            return &p->prices[i];
        }
    }
    return NULL;
}

/* ---- tables ---- */

const struct audit_action paywall_audit_actions[PAYWALL_AUDIT_COUNT] = {
    [PAYWALL_AUDIT_SETTLED] = {"x402.payment_settled",
                               "A payment was settled; details say for what, by whom and to whom."},
    [PAYWALL_AUDIT_FAILED] = {"x402.payment_failed",
                              "The settlement of a payment failed and nothing was charged; details "
                              "have the reason."},
};

struct audit_table paywall_audit_table(void)
{
    return (struct audit_table){paywall_audit_actions, PAYWALL_AUDIT_COUNT};
}

#define PAYMENTS "freehold_x402_payments_total", METRIC_COUNTER, "Payments by what became of them."

static const struct metric_row rows[PAYWALL_METRIC_COUNT] = {
    [PAYWALL_METRIC_OFFERED] = {"freehold_x402_offers_total", METRIC_COUNTER,
                                "Requests without a payment that were answered with an offer.",
                                NULL},
    [PAYWALL_METRIC_REFUSED] = {PAYMENTS, "result=\"refused\""},
    [PAYWALL_METRIC_SETTLED] = {PAYMENTS, "result=\"settled\""},
    [PAYWALL_METRIC_FAILED] = {PAYMENTS, "result=\"failed\""},
    [PAYWALL_METRIC_PENDING] = {PAYMENTS, "result=\"pending\""},
    [PAYWALL_METRIC_TOLD] = {PAYMENTS, "result=\"told_again\""},
    [PAYWALL_METRIC_HANDLER_FAILED] = {PAYMENTS, "result=\"handler_failed\""},
    [PAYWALL_METRIC_DURATION] = {"freehold_x402_settlement_duration_seconds", METRIC_HISTOGRAM,
                                 "How long answers were held back for their settlement.", NULL},
};

struct metric_value paywall_metrics[PAYWALL_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(rows, paywall_metrics, PAYWALL_METRIC_COUNT);
}

void paywall_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}
