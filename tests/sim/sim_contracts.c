/*
 * What the follower does with the events of the simulated contracts: a journal, tokens and their
 * balances (tables of tests/unit/kernel/chain/trace), and transfers of the ledger. Handlers refuse
 * some of them, after they have written something.
 */
#include "sim/sim_contracts.h"

#include "gen/abi_test_stablecoin.h"
#include "gen/sql_all.h"
#include "kernel/base/check.h"
#include "kernel/evm/address.h"
#include "kernel/ledger/ledger.h"
#include "unit/kernel/chain/trace/trace_all.c"
#include "unit/kernel/chain/trace/trace_sql.c"

#define BOOK "sim/31337"
#define REFUSED 13

static const struct abi_type created_inputs[] = {
    {.kind = ABI_ADDRESS, .name = "child", .indexed = true},
    {.kind = ABI_UINT, .size = 256, .name = "kind"},
};
static const struct abi_type moved_inputs[] = {
    {.kind = ABI_ADDRESS, .name = "from", .indexed = true},
    {.kind = ABI_ADDRESS, .name = "to", .indexed = true},
    {.kind = ABI_UINT, .size = 256, .name = "amount"},
};
/* Topics are the hashes of the signatures; sim_contracts_init fills them in. */
static struct abi_event factory_events[] = {
    {.name = "Created",
     .signature = "Created(address,uint256)",
     .inputs = created_inputs,
     .input_count = 2,
     .indexed_count = 1},
};
static struct abi_event token_events[] = {
    {.name = "Moved",
     .signature = "Moved(address,address,uint256)",
     .inputs = moved_inputs,
     .input_count = 3,
     .indexed_count = 2},
};
static const struct abi_contract factory_contract = {
    .name = "Factory", .events = factory_events, .event_count = 1};
static const struct abi_contract token_contract = {
    .name = "Token", .events = token_events, .event_count = 1};

/* ---- the catalog: the program's, with the trace tables behind it ---- */

static struct store_statement statements[64];
static const struct store_statement *statement_list[2048];
static struct store_migration migrations[64];
static struct store_catalog catalog;

static const struct store_statement *statement(const struct store_statement *s)
{
    return &statements[s->id];
}

const struct store_catalog *sim_contracts_init(void)
{
    uint16_t n = sql_catalog.statement_count;
    uint16_t m = sql_catalog.migration_count;
    const struct store_catalog *t = &trace_catalog;
    ASSERT(t->statement_count <= 64 && n + t->statement_count <= 2048 && m < 63);
    for (uint16_t i = 0; i < n; i++) {
        statement_list[i] = sql_catalog.statements[i];
    }
    for (uint16_t i = 0; i < t->statement_count; i++) {
        statements[i] = *t->statements[i];
        statements[i].id = (uint16_t)(n + i);
        statement_list[n + i] = &statements[i];
    }
    for (uint16_t i = 0; i < m; i++) {
        migrations[i] = sql_catalog.migrations[i];
    }
    migrations[m] = t->migrations[t->migration_count - 1];
    migrations[m].version = m + 1u;
    catalog = (struct store_catalog){
        .statements = statement_list,
        .statement_count = (uint16_t)(n + t->statement_count),
        .migrations = migrations,
        .migration_count = (uint16_t)(m + 1),
    };
    factory_events[0].topic = keccak256(slice_text(factory_events[0].signature));
    token_events[0].topic = keccak256(slice_text(token_events[0].signature));
    return &catalog;
}

/* ---- handlers ---- */

static enum err journal(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, statement(&trace_sql_journal_add));
    store_bind_text(&q, "event_id", ev->id);
    store_bind_i64(&q, "block_number", (int64_t)ev->log->block_number);
    store_bind_i64(&q, "log_index", ev->log->log_index);
    return store_finish(&q, NULL, why);
}

static enum err on_created(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    const struct abi_value *values = NULL;
    enum err e = abi_event_decode(ev->scratch, ev->event, ev->log, &values, why);
    if (e == OK) {
        e = journal(tx, ev, why);
    }
    if (e != OK) {
        return e;
    }
    struct address child = abi_to_address(&values[0]);
    struct store_query q;
    store_begin(&q, tx, statement(&trace_sql_token_add));
    store_bind_bytes(&q, "token", address_slice(&child));
    store_bind_bytes(&q, "factory", address_slice(&ev->log->address));
    e = store_finish(&q, NULL, why);
    if (e == OK && u256_equal(values[1].number, u256_from_u64(REFUSED))) {
        e = why_set(why, ERR_CONFLICT, "kind", "This kind is not wanted.");
    }
    return e;
}

static enum err balance_of(struct store_tx *tx, const struct address *token,
                           const struct address *holder, struct u256 *out, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, statement(&trace_sql_balance_get));
    store_bind_bytes(&q, "token", address_slice(token));
    store_bind_bytes(&q, "holder", address_slice(holder));
    *out = store_step(&q) ? store_get_u256(&q, "balance") : U256_ZERO;
    return store_finish(&q, NULL, why);
}

static enum err set_balance(struct store_tx *tx, const struct address *token,
                            const struct address *holder, struct u256 balance, struct why *why)
{
    struct store_query q;
    bool drop = u256_is_zero(balance);
    store_begin(&q, tx, statement(drop ? &trace_sql_balance_drop : &trace_sql_balance_put));
    store_bind_bytes(&q, "token", address_slice(token));
    store_bind_bytes(&q, "holder", address_slice(holder));
    if (!drop) {
        store_bind_u256(&q, "balance", balance);
    }
    return store_finish(&q, NULL, why);
}

/* Gives first and takes then, so that a refusal has something to roll back. */
static enum err move(struct store_tx *tx, const struct address *token,
                     const struct abi_value *values, struct why *why)
{
    struct address from = abi_to_address(&values[0]);
    struct address to = abi_to_address(&values[1]);
    struct u256 amount = values[2].number;
    struct u256 balance;
    enum err e = balance_of(tx, token, &to, &balance, why);
    e = e == OK ? u256_add(balance, amount, &balance) : e;
    e = e == OK ? set_balance(tx, token, &to, balance, why) : e;
    if (e != OK || address_is_zero(&from)) {
        return e;
    }
    e = balance_of(tx, token, &from, &balance, why);
    if (e == OK && u256_sub(balance, amount, &balance) != OK) {
        e = why_set(why, ERR_INSUFFICIENT_FUNDS, "from", "The sender does not have as much.");
    }
    return e == OK ? set_balance(tx, token, &from, balance, why) : e;
}

static struct slice account(const struct chain_event *ev, const char *kind,
                            const struct address *who)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(who, text);
    return slice_format(ev->scratch, "sim/%s/%s", kind, text);
}

static struct ledger_transfer transfer_of(const struct chain_event *ev,
                                          const struct abi_value *values)
{
    struct address from = abi_to_address(&values[0]);
    struct address to = abi_to_address(&values[1]);
    return (struct ledger_transfer){
        .id = ev->id,
        .book = SLICE_LIT(BOOK),
        .debit = account(ev, "from", &from),
        .credit = account(ev, "to", &to),
        .amount = values[2].number,
        .kind = SLICE_LIT("sim.moved"),
        .cause = ev->id,
        .when_usec = ev->block_time_usec,
    };
}

static enum err on_moved(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    const struct abi_value *values = NULL;
    enum err e = abi_event_decode(ev->scratch, ev->event, ev->log, &values, why);
    if (e == OK) {
        e = journal(tx, ev, why);
    }
    if (e == OK) {
        const struct ledger_transfer transfer = transfer_of(ev, values);
        e = ledger_post(tx, &transfer, 1, why);
    }
    return e == OK ? move(tx, &ev->log->address, values, why) : e;
}

/*
 * Payments. One in five is only held, under the name of its receiver; another one in five settles
 * or voids what is held under that name. Both may find that it is not so, and are refused then.
 */
static enum err on_paid(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    const struct abi_value *values = NULL;
    uint64_t amount = 0;
    enum err e = abi_event_decode(ev->scratch, ev->event, ev->log, &values, why);
    if (e == OK) {
        e = journal(tx, ev, why);
    }
    e = e == OK ? u256_to_u64(values[2].number, &amount) : e;
    if (e != OK) {
        return e;
    }
    struct address to = abi_to_address(&values[1]);
    struct ledger_transfer transfer = transfer_of(ev, values);
    struct slice held = account(ev, "held", &to);
    if (amount % 5 == 0) {
        transfer.id = held;
        return ledger_hold(tx, &transfer, 1, why);
    }
    if (amount % 5 == 1) {
        return amount % 2 == 0
                   ? ledger_void(tx, held, ev->block_time_usec, why)
                   : ledger_settle(tx, held, u256_from_u64(1), ev->block_time_usec, why);
    }
    return ledger_post(tx, &transfer, 1, why);
}

static struct chain_handler handlers[] = {
    {&factory_contract, &factory_events[0], on_created, "A token."},
    {&token_contract, &token_events[0], on_moved, "A transfer of a token."},
    {&abi_test_stablecoin, NULL, on_paid, "A payment."},
};
static const struct chain_discovery discoveries[] = {
    {&factory_contract, &factory_events[0], 0, &token_contract},
};
static struct chain_table table = {
    .handlers = handlers, .handler_count = 3, .discoveries = discoveries, .discovery_count = 1};

const struct chain_table *sim_contracts_table(void)
{
    handlers[2].event = &abi_test_stablecoin_events[TEST_STABLECOIN_EVENT_TRANSFER];
    return &table;
}

const struct chain_source *sim_contracts_sources(size_t *out_count)
{
    static struct chain_source sources[2];
    sources[0] = (struct chain_source){.address = sim_factory, .contract = &factory_contract};
    sources[1] = (struct chain_source){.address = sim_coin, .contract = &abi_test_stablecoin};
    *out_count = 2;
    return sources;
}
