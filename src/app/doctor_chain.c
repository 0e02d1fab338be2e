/*
 * Looking at the chain: each node by itself, then, through the first good one, contracts and
 * wallets.
 */
#include "app/doctor.h"
#include "app/nodes.h"
#include "domain/leasing/leasing.h"

#define CALL_USEC (3ll * USEC_PER_SEC)
#define ANSWER_BYTES_MAX (64ull * 1024 * 1024)
#define LOG_BLOCKS 100

static struct rpc_pool *pool_of(const struct settings *s, const struct rpc_endpoint *endpoint)
{
    const struct rpc_options options = {
        .chain_id = s->chain.chain_id,
        .endpoints = endpoint,
        .endpoint_count = 1,
        .timeout_usec =
            s->chain.rpc_timeout_usec < CALL_USEC ? s->chain.rpc_timeout_usec : CALL_USEC,
        .attempts_max = 1,
        .batch_max = 100,
        .answer_bytes_max = ANSWER_BYTES_MAX,
    };
    return rpc_pool_new(&options);
}

/* ---- nodes ---- */

/* Asks every node for its chain. Owns: the caller has the pool of the first good one, or NULL. */
static struct rpc_pool *look_at_nodes(const struct settings *s, struct ops_node_facts *n)
{
    struct arena scratch;
    struct rpc_endpoint endpoints[RPC_ENDPOINTS_MAX];
    struct rpc_pool *good = NULL;
    size_t count = 0;
    arena_init(&scratch, 0);
    if (nodes_list(&s->chain, &scratch, endpoints, &count, NULL) != OK) {
        count = 0;
    }
    n->endpoint_count = count;
    for (size_t i = 0; i < count; i++) {
        struct why why = {.err = OK};
        uint64_t chain_id = 0;
        struct rpc_pool *pool = pool_of(s, &endpoints[i]);
        net_url_origin(endpoints[i].url, n->endpoints[i].origin);
        enum err e = rpc_chain_id(pool, &chain_id, &why);
        ops_answer_set(&n->endpoints[i].answer, e, &why);
        if (e == OK && good == NULL) {
            good = pool;
            (void)snprintf(n->origin, sizeof(n->origin), "%s", n->endpoints[i].origin);
        } else {
            rpc_pool_free(pool);
        }
    }
    arena_free(&scratch);
    return good;
}

/* Logs of the registry, or of an address that has none, in the newest blocks. */
static void look_at_logs(struct rpc_pool *pool, const struct settings *s, struct ops_node_facts *n)
{
    struct arena scratch;
    struct why why = {.err = OK};
    struct address address = {{0}};
    struct evm_log *logs = NULL;
    size_t count = 0;
    if (address_parse(slice_text(s->leasing.asset_registry), &address) != OK) {
        address = (struct address){{0}};
    }
    const struct rpc_log_filter filter = {
        .from_block = n->head > LOG_BLOCKS ? n->head - LOG_BLOCKS : 0,
        .to_block = n->head,
        .addresses = &address,
        .address_count = 1,
    };
    arena_init(&scratch, 0);
    enum err e = rpc_logs(pool, &scratch, &filter, &logs, &count, &why);
    ops_answer_set(&n->logs, e, &why);
    arena_free(&scratch);
}

static enum err look_at_node(struct rpc_pool *pool, const struct settings *s, struct ops_facts *f,
                             struct why *why)
{
    struct ops_node_facts *n = &f->node;
    struct rpc_condition condition = {.head = 0};
    enum err e = rpc_condition_read(pool, &condition, why);
    if (e != OK) {
        return e;
    }
    n->chain_id = s->chain.chain_id;
    n->instant = !f->config.real_chain;
    n->start_block = s->chain.start_block;
    n->syncing = condition.syncing;
    n->head = condition.head;
    n->head_usec = condition.head_usec;
    ops_answer_set(&n->finalized, condition.finalized.err, &condition.finalized);
    ops_answer_set(&n->receipts, condition.receipts.err, &condition.receipts);
    look_at_logs(pool, s, n);
    return OK;
}

/* ---- contracts ---- */

static const enum leasing_question questions[OPS_CONTRACT_QUESTIONS] = {
    [OPS_CONTRACT_CODE] = LEASING_ASK_CODE,
    [OPS_CONTRACT_AGREEMENT] = LEASING_ASK_AGREEMENT,
    [OPS_CONTRACT_DECIMALS] = LEASING_ASK_DECIMALS,
    [OPS_CONTRACT_IMPLEMENTATION] = LEASING_ASK_IMPLEMENTATION,
    [OPS_CONTRACT_ROLES] = LEASING_ASK_ROLES,
};

static void look_at_contracts(struct rpc_pool *pool, const struct settings *s, struct ops_facts *f)
{
    struct leasing_config config = s->leasing;
    char registrar[ADDRESS_TEXT_MAX];
    struct leasing *leasing = NULL;
    struct why why = {.err = OK};
    if (config.registrar[0] == '\0' && f->wallet_count > 0) {
        address_format(&f->wallets[0].address, registrar);
        config.registrar = registrar;
    }
    const struct leasing_options options = {
        .config = &config, .chain_id = s->chain.chain_id, .rpc = pool};
    enum err e = leasing_new(&options, &leasing, &why);
    if (e != OK) {
        ops_answer_set(&f->contracts[OPS_CONTRACT_CODE], e, &why);
    }
    /* Without code at one of the addresses the other questions have no answer. */
    for (int q = 0; leasing != NULL && q < OPS_CONTRACT_QUESTIONS; q++) {
        if (q > OPS_CONTRACT_CODE && f->contracts[OPS_CONTRACT_CODE].err != OK) {
            break;
        }
        why = (struct why){.err = OK};
        e = leasing_ask(leasing, questions[q], &why);
        ops_answer_set(&f->contracts[q], e, &why);
    }
    leasing_free(leasing);
    ops_topic_learn(f, OPS_CONTRACTS);
}

/* ---- wallets ---- */

static enum err look_at_wallet(struct rpc_pool *pool, struct ops_wallet_facts *w, struct why *why)
{
    enum err e = rpc_balance(pool, &w->address, &w->balance, why);
    if (e == OK) {
        e = rpc_nonce(pool, &w->address, false, &w->latest, why);
    }
    return e == OK ? rpc_nonce(pool, &w->address, true, &w->pending, why) : e;
}

static void note_database(struct ops_facts *f, struct ops_wallet_facts *w)
{
    for (size_t i = 0; f->topics[OPS_ROWS].known && i < f->noted_count; i++) {
        if (address_equal(&f->noted[i].address, &w->address)) {
            w->in_database = true;
            w->next = f->noted[i].next;
            w->open = f->noted[i].open;
        }
    }
}

static void look_at_wallets(struct rpc_pool *pool, struct ops_facts *f)
{
    struct why why = {.err = OK};
    enum err e = OK;
    for (size_t i = 0; e == OK && i < f->wallet_count; i++) {
        note_database(f, &f->wallets[i]);
        e = look_at_wallet(pool, &f->wallets[i], &why);
    }
    if (e == OK) {
        ops_topic_learn(f, OPS_BALANCES);
    } else {
        ops_topic_miss(f, OPS_BALANCES, "%s", why_text(&why, e));
    }
}

/* ---- all of it ---- */

static void miss_all(struct ops_facts *f, const char *text)
{
    ops_topic_miss(f, OPS_NODE, "%s", text);
    ops_topic_miss(f, OPS_CONTRACTS, "%s", text);
    ops_topic_miss(f, OPS_BALANCES, "%s", text);
}

void doctor_look_chain(const struct settings *s, struct ops_facts *f)
{
    struct why why = {.err = OK};
    if (f->config.starts_chain) {
        miss_all(f, "no node is configured: the daemon starts a development chain");
        return;
    }
    struct rpc_pool *pool = look_at_nodes(s, &f->node);
    if (pool == NULL) {
        miss_all(f, "no node of the chain answers");
        return;
    }
    enum err e = look_at_node(pool, s, f, &why);
    if (e != OK) {
        miss_all(f, why_text(&why, e));
        rpc_pool_free(pool);
        return;
    }
    ops_topic_learn(f, OPS_NODE);
    look_at_contracts(pool, s, f);
    look_at_wallets(pool, f);
    rpc_pool_free(pool);
}
