/* paywall_chain.c: what only the chain knows of a payment. */
#include "gen/abi_test_stablecoin.h"
#include "kernel/base/check.h"
#include "kernel/evm/eip712.h"
#include "kernel/paywall/paywall_internal.h"

/* How far back the event of a settlement by somebody else is looked for. Units: blocks. */
#define LOOK_BACK_BLOCKS 500

/* Functions that any token with EIP-3009 has; the bindings of ours know them. */
static enum err ask(const struct paywall *p, struct arena *arena, struct slice question,
                    struct slice *out, struct slice *out_revert, struct why *why)
{
    return rpc_eth_call(p->rpc, arena, RPC_MONEY, NULL, &p->asset, question, NULL, out, out_revert,
                        why);
}

/* ---- the domain ---- */

static enum err read_separator(const struct paywall *p, struct arena *arena, struct hash *out,
                               struct why *why)
{
    struct test_stablecoin_domain_separator_result r;
    struct slice question;
    struct slice data;
    struct slice revert = SLICE_EMPTY;
    enum err e = test_stablecoin_domain_separator_encode(arena, &question, why);
    e = e == OK ? ask(p, arena, question, &data, &revert, why) : e;
    if (e == OK) {
        e = test_stablecoin_domain_separator_result_decode(arena, data, &r, why);
    }
    if (e == ERR_REVERTED || e == ERR_INVALID_ENCODING) {
        return why_set(why, ERR_CONFIG, "x402.asset",
                       "the token of x402.asset has no DOMAIN_SEPARATOR(): payments need EIP-3009");
    }
    if (e == OK) {
        *out = r.value;
    }
    return e;
}

static enum err read_name(const struct paywall *p, struct arena *arena, struct slice *out,
                          struct why *why)
{
    struct test_stablecoin_name_result r;
    struct slice question;
    struct slice data;
    struct slice revert = SLICE_EMPTY;
    enum err e = test_stablecoin_name_encode(arena, &question, why);
    e = e == OK ? ask(p, arena, question, &data, &revert, why) : e;
    e = e == OK ? test_stablecoin_name_result_decode(arena, data, &r, why) : e;
    if (e == OK) {
        *out = r.value;
    }
    return e;
}

static bool domain_is(const struct paywall *p, struct slice name, struct slice version,
                      const struct hash *separator)
{
    struct eip712_domain domain = {
        .name = name, .version = version, .chain_id = p->chain_id, .contract = p->asset};
    struct hash computed = eip712_domain_separator(&domain);
    return hash_equal(&computed, separator);
}

enum err paywall_domain_check(struct paywall *p, struct why *why)
{
    static const char *const guesses[] = {"2", "1"};
    struct slice name = slice_text(p->config.token_name);
    struct slice version = slice_text(p->config.token_version);
    struct slice told = SLICE_EMPTY;
    struct hash separator;
    bool fits = false;
    enum err e = read_separator(p, &p->boot, &separator, why);
    if (e == OK) {
        e = read_name(p, &p->boot, &told, why);
    }
    if (e != OK) {
        return e;
    }
    bool named = name.len > 0;
    name = named ? name : told;
    if (version.len > 0) {
        fits = domain_is(p, name, version, &separator);
    }
    for (size_t i = 0; version.len == 0 && i < sizeof guesses / sizeof guesses[0]; i++) {
        fits = domain_is(p, name, slice_text(guesses[i]), &separator);
        version = fits ? slice_text(guesses[i]) : version;
    }
    if (!fits) {
        return why_set(
            why, ERR_CONFIG, named ? "x402.token_name" : "x402.token_version",
            "x402.token_name and x402.token_version (\"%.*s\", \"%.*s\") do not make the "
            "DOMAIN_SEPARATOR of x402.asset, which calls itself \"%.*s\": no signature "
            "would be valid",
            SLICE_ARG(name), SLICE_ARG(version), SLICE_ARG(told));
    }
    p->token_name = slice_copy(&p->boot, name);
    p->token_version = slice_copy(&p->boot, version);
    return OK;
}

/* ---- before it is taken ---- */

enum err paywall_transfer_encode(struct arena *arena, const struct x402_authorization *a,
                                 struct slice *out, struct why *why)
{
    struct hash r;
    struct hash s;
    memcpy(r.bytes, a->signature.r, HASH_BYTES);
    memcpy(s.bytes, a->signature.s, HASH_BYTES);
    return test_stablecoin_transfer_with_authorization_uint8_encode(
        arena, &a->from, &a->to, a->value, a->valid_after, a->valid_before, &a->nonce,
        a->signature.v, &r, &s, out, why);
}

static enum err read_used(const struct paywall *p, struct arena *arena, const struct address *payer,
                          const struct hash *nonce, bool *out, struct why *why)
{
    struct test_stablecoin_authorization_state_result r;
    struct slice question;
    struct slice data;
    struct slice revert = SLICE_EMPTY;
    enum err e = test_stablecoin_authorization_state_encode(arena, payer, nonce, &question, why);
    e = e == OK ? ask(p, arena, question, &data, &revert, why) : e;
    e = e == OK ? test_stablecoin_authorization_state_result_decode(arena, data, &r, why) : e;
    if (e == OK) {
        *out = r.value;
    }
    return e;
}

static enum err read_balance(const struct paywall *p, struct arena *arena,
                             const struct address *account, struct u256 *out, struct why *why)
{
    struct test_stablecoin_balance_of_result r;
    struct slice question;
    struct slice data;
    struct slice revert = SLICE_EMPTY;
    enum err e = test_stablecoin_balance_of_encode(arena, account, &question, why);
    e = e == OK ? ask(p, arena, question, &data, &revert, why) : e;
    e = e == OK ? test_stablecoin_balance_of_result_decode(arena, data, &r, why) : e;
    if (e == OK) {
        *out = r.value;
    }
    return e;
}

/* What is known of why a transfer does not go through. */
static enum err find_reason(const struct paywall *p, struct arena *arena,
                            const struct address *payer, const struct hash *nonce,
                            struct u256 value, enum x402_reason otherwise, enum x402_reason *out,
                            struct why *why)
{
    bool used = false;
    struct u256 balance = U256_ZERO;
    enum err e = read_used(p, arena, payer, nonce, &used, why);
    if (e == OK && !used) {
        e = read_balance(p, arena, payer, &balance, why);
    }
    if (e == OK) {
        *out = used ? X402_NONCE_USED : u256_compare(balance, value) < 0 ? X402_BALANCE : otherwise;
    }
    return e;
}

enum err paywall_simulate(const struct paywall *p, struct arena *arena,
                          const struct x402_authorization *a, enum x402_reason *out,
                          struct why *said, struct why *why)
{
    struct slice data;
    struct slice answer;
    struct slice revert = SLICE_EMPTY;
    struct why refused = {.err = OK};
    enum err e = paywall_transfer_encode(arena, a, &data, why);
    if (e != OK) {
        return e;
    }
    e = ask(p, arena, data, &answer, &revert, &refused);
    if (e == OK) {
        *out = X402_OK;
        return OK;
    }
    if (e != ERR_REVERTED) {
        return why_set(why, e, NULL, "%s", why_text(&refused, e));
    }
    (void)why_set(said, ERR_PAYMENT_REFUSED, NULL,
                  "The token would refuse the transfer: it was used or cancelled, or the balance "
                  "of the payer is too small.");
    return find_reason(p, arena, &a->from, &a->nonce, a->value, X402_SIMULATION, out, why);
}

/* ---- after it was sent ---- */

static bool moves(struct arena *arena, const struct evm_log *log, const struct paywall_sale *sale)
{
    struct test_stablecoin_transfer t;
    const struct hash *topic = &abi_test_stablecoin_events[TEST_STABLECOIN_EVENT_TRANSFER].topic;
    return address_equal(&log->address, &sale->key.asset) && log->topic_count > 0 &&
           hash_equal(&log->topics[0], topic) &&
           test_stablecoin_transfer_decode(arena, log, &t, NULL) == OK &&
           address_equal(&t.from, &sale->key.payer) && address_equal(&t.to, &sale->pay_to) &&
           u256_equal(t.value, sale->amount);
}

static bool uses(struct arena *arena, const struct evm_log *log, const struct paywall_sale *sale)
{
    struct test_stablecoin_authorization_used u;
    return test_stablecoin_authorization_used_decode(arena, log, &u, NULL) == OK &&
           address_equal(&u.authorizer, &sale->key.payer) && hash_equal(&u.nonce, &sale->key.nonce);
}

enum err paywall_receipt(const struct paywall *p, struct arena *arena, const struct hash *tx,
                         const struct paywall_sale *sale, bool *out_found,
                         enum x402_reason *out_reason, struct why *why)
{
    struct evm_receipt receipt;
    bool found = false;
    enum err e = rpc_receipt(p->rpc, arena, tx, &receipt, &found, why);
    if (e != OK || !found) {
        *out_found = false;
        return e;
    }
    bool moved = false;
    for (size_t i = 0; i < receipt.log_count; i++) {
        moved = moved || moves(arena, &receipt.logs[i], sale);
    }
    *out_found = true;
    *out_reason = !receipt.succeeded ? X402_TRANSACTION : moved ? X402_OK : X402_TRANSFER_EVENT;
    return OK;
}

static enum err find_use(const struct paywall *p, struct arena *arena,
                         const struct paywall_sale *sale, struct hash *out_tx, bool *out_found,
                         struct why *why)
{
    uint64_t head = 0;
    struct evm_log *logs = NULL;
    size_t count = 0;
    enum err e = rpc_block_number(p->rpc, &head, why);
    if (e != OK) {
        return e;
    }
    const struct rpc_log_filter filter = {
        .from_block = head > LOOK_BACK_BLOCKS ? head - LOOK_BACK_BLOCKS : 0,
        .to_block = head,
        .addresses = &sale->key.asset,
        .address_count = 1,
        .topics0 = &abi_test_stablecoin_events[TEST_STABLECOIN_EVENT_AUTHORIZATION_USED].topic,
        .topic0_count = 1,
    };
    e = rpc_logs(p->rpc, arena, &filter, &logs, &count, why);
    *out_found = false;
    for (size_t i = 0; e == OK && i < count && !*out_found; i++) {
        *out_found = uses(arena, &logs[i], sale);
        *out_tx = logs[i].tx_hash;
    }
    return e;
}

enum err paywall_settled_elsewhere(const struct paywall *p, struct arena *arena,
                                   const struct paywall_sale *sale, struct hash *out_tx,
                                   enum x402_reason *out_reason, struct why *why)
{
    bool found = false;
    enum x402_reason reason = X402_TRANSACTION;
    enum err e = find_reason(p, arena, &sale->key.payer, &sale->key.nonce, sale->amount,
                             X402_TRANSACTION, &reason, why);
    if (e != OK || reason != X402_NONCE_USED) {
        *out_reason = reason;
        return e;
    }
    e = find_use(p, arena, sale, out_tx, &found, why);
    if (e == OK && found) {
        enum x402_reason receipt = X402_TRANSACTION;
        e = paywall_receipt(p, arena, out_tx, sale, &found, &receipt, why);
        reason = found && receipt == X402_OK ? X402_OK : reason;
    }
    *out_reason = reason;
    return e;
}
