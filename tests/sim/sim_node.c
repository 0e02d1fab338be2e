#include "sim/sim.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/base/json.h"
#include "kernel/evm/address.h"
#include "kernel/evm/rlp.h"

#define DEPOSIT 0x7e
#define ESTIMATE 50000
#define ERROR(text) "{\"code\":-32000,\"message\":\"" text "\"}"

/* One call of a request. */
struct call {
    struct sim *w;
    struct sim_node *node;
    struct arena *arena;
    const struct json *params;
    int head; /* what this provider takes for the newest block; -1: none */
    struct json_out *j;
    const char *error; /* out */
};

/* ---- what providers are like ---- */

/* A branch of the provider's own that nobody else has. */
static int private_branch(struct sim *w)
{
    uint64_t top = w->blocks[w->head].number;
    uint64_t depth = sim_below(w, top < 8 ? top : 8);
    int at = sim_find(w, w->head, top - depth);
    for (uint64_t i = 0; i < depth + 1 + sim_below(w, 4); i++) {
        uint32_t txs[2] = {sim_random_tx(w), sim_random_tx(w)};
        at = sim_block_add(w, at, txs, sim_below(w, 3));
    }
    return at;
}

static void draw_view(struct sim *w, struct sim_node *n)
{
    n->view = SIM_HONEST;
    if (!sim_has(w, SIM_VIEWS) || sim_chance(w, 400)) {
        return;
    }
    uint64_t top = w->blocks[w->head].number;
    n->view = n->steady ? (sim_chance(w, 500) ? SIM_BEHIND : SIM_HONEST)
                        : (enum sim_view)sim_below(w, SIM_VIEW_COUNT);
    n->lag = 1 + sim_below(w, n->steady ? 3 : 50);
    if (n->view == SIM_AHEAD) {
        n->lag += sim_chance(w, 500) ? SIM_FINAL_DEPTH : 0; /* so that much would seem final */
    }
    if (n->view == SIM_STUCK) {
        n->head = sim_find(w, w->head, top - sim_below(w, top < 30 ? top : 30));
    }
    if (n->view == SIM_FORKED || n->view == SIM_WRONG_CHAIN) {
        n->head = private_branch(w);
    }
}

static void draw_chance(struct sim *w, struct sim_node *n, enum sim_fault fault, unsigned most)
{
    n->chance[fault] = sim_chance(w, 400) ? (uint16_t)sim_below(w, most) : 0;
}

static void draw_node(struct sim *w, struct sim_node *n)
{
    draw_view(w, n);
    memset(n->chance, 0, sizeof n->chance);
    n->chance[SIM_LATE] = 50;
    n->connected = true;
    n->no_block_receipts = sim_chance(w, 150);
    if (sim_has(w, SIM_NETWORK)) {
        for (enum sim_fault f = SIM_UNREACHABLE; f <= SIM_CALL_ERROR; f++) {
            draw_chance(w, n, f, n->steady ? 60 : 300);
        }
    }
    if (sim_has(w, SIM_LIES) && !n->steady) {
        for (enum sim_fault f = SIM_NULL_BLOCK; f <= SIM_RENAME; f++) {
            draw_chance(w, n, f, 400);
        }
    }
    if (sim_has(w, SIM_SENDS)) {
        draw_chance(w, n, SIM_SWALLOW, 300);
        draw_chance(w, n, SIM_KNOWN, 300);
    }
}

void sim_nodes_draw(struct sim *w)
{
    /* Nobody is another chain's within the second in which the pool has looked. */
    sim_pass(w, 2 * USEC_PER_SEC);
    for (size_t i = 0; i < w->node_count; i++) {
        struct sim_node *n = &w->nodes[i];
        draw_node(w, n);
        sim_say(w, "provider %zu: view %d, lag %llu%s", i, (int)n->view, (unsigned long long)n->lag,
                n->steady ? ", steady" : "");
    }
}

void sim_nodes_calm(struct sim *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        struct sim_node *n = &w->nodes[i];
        n->view = SIM_HONEST;
        n->connected = true;
        memset(n->chance, 0, sizeof n->chance);
    }
}

static bool faulty(struct call *c, enum sim_fault fault)
{
    unsigned chance = c->node->chance[fault];
    if (chance == 0 || !sim_chance(c->w, chance)) {
        return false;
    }
    sim_say(c->w, "  fault %d", (int)fault);
    return true;
}

/* What the provider shows as its newest block. */
static int seen_head(const struct sim *w, const struct sim_node *n)
{
    uint64_t top = w->blocks[w->head].number;
    switch (n->view) {
    case SIM_BEHIND:
        return sim_find(w, w->head, top > n->lag ? top - n->lag : 0);
    case SIM_STUCK:
    case SIM_FORKED:
    case SIM_WRONG_CHAIN:
        return n->head;
    case SIM_HONEST:
    case SIM_AHEAD:
    case SIM_VIEW_COUNT:
        break;
    }
    return w->head;
}

/* ---- writing ---- */

static void put_hash(struct json_out *j, const char *key, const struct hash *h)
{
    json_key(j, key);
    json_hex(j, hash_slice(h));
}

static void put_number(struct json_out *j, const char *key, uint64_t value)
{
    json_key(j, key);
    json_quantity(j, u256_from_u64(value));
}

static void put_address(struct json_out *j, const char *key, const struct address *a)
{
    json_key(j, key);
    json_hex(j, address_slice(a));
}

/* The place of a transaction's first log among those of its block. */
static size_t first_log(const struct sim *w, const struct sim_block *b, size_t place)
{
    size_t logs = 0;
    for (size_t i = 0; i < place; i++) {
        logs += w->txs[b->txs[i]].log_count;
    }
    return logs;
}

/* How an answer with logs is twisted. */
struct twist {
    bool omit;
    bool alter;
    bool twice;
    bool rename;
};

static struct twist draw_twist(struct call *c)
{
    return (struct twist){.omit = faulty(c, SIM_OMIT),
                          .alter = faulty(c, SIM_ALTER),
                          .twice = faulty(c, SIM_TWICE),
                          .rename = faulty(c, SIM_RENAME)};
}

struct place {
    const struct sim_block *block;
    size_t tx;
    size_t log; /* of the transaction */
};

static void write_log(struct call *c, const struct place *at, const struct hash *tx, uint64_t value)
{
    const struct sim_log *log = &c->w->txs[at->block->txs[at->tx]].logs[at->log];
    struct json_out *j = c->j;
    uint8_t word[32];
    u256_encode_be(u256_from_u64(value), word);
    json_begin_object(j);
    put_address(j, "address", &log->address);
    json_key(j, "topics");
    json_begin_array(j);
    for (size_t i = 0; i < log->topic_count; i++) {
        json_hex(j, hash_slice(&log->topics[i]));
    }
    json_end_array(j);
    json_key(j, "data");
    json_hex(j, slice_of(word, sizeof word));
    put_number(j, "blockNumber", at->block->number);
    put_hash(j, "blockHash", &at->block->hash);
    put_hash(j, "transactionHash", tx);
    put_number(j, "transactionIndex", at->tx);
    put_number(j, "logIndex", first_log(c->w, at->block, at->tx) + at->log);
    json_key(j, "removed");
    json_bool(j, false);
    json_end_object(j);
}

/* Writes the logs of a transaction that an answer is about. */
static void write_logs(struct call *c, struct place at, const struct hash *hash,
                       struct twist *twist, bool (*wanted)(struct call *, const struct sim_log *))
{
    const struct sim_tx *tx = &c->w->txs[at.block->txs[at.tx]];
    for (at.log = 0; at.log < tx->log_count; at.log++) {
        const struct sim_log *log = &tx->logs[at.log];
        if (wanted != NULL && !wanted(c, log)) {
            continue;
        }
        if (twist->omit) {
            twist->omit = false;
            continue;
        }
        write_log(c, &at, hash, log->value + (twist->alter ? 1 : 0));
        twist->alter = false;
        if (twist->twice) {
            write_log(c, &at, hash, log->value);
            twist->twice = false;
        }
    }
}

static void write_receipt(struct call *c, const struct sim_block *b, size_t place,
                          struct twist *twist)
{
    const struct sim_tx *tx = &c->w->txs[b->txs[place]];
    struct json_out *j = c->j;
    uint8_t bloom[EVM_BLOOM_BYTES] = {0};
    struct hash hash = tx->hash;
    hash.bytes[0] = (uint8_t)(hash.bytes[0] ^ (twist->rename ? 1 : 0));
    for (size_t i = 0; i < tx->log_count; i++) {
        evm_bloom_add(bloom, address_slice(&tx->logs[i].address));
        for (size_t k = 0; k < tx->logs[i].topic_count; k++) {
            evm_bloom_add(bloom, hash_slice(&tx->logs[i].topics[k]));
        }
    }
    json_begin_object(j);
    put_number(j, "type", tx->is_signed ? 2 : DEPOSIT);
    put_number(j, "status", !tx->reverts);
    put_number(j, "cumulativeGasUsed", (place + 1) * 21000);
    json_key(j, "logsBloom");
    json_hex(j, slice_of(bloom, sizeof bloom));
    put_hash(j, "transactionHash", &hash);
    put_hash(j, "blockHash", &b->hash);
    put_number(j, "blockNumber", b->number);
    put_number(j, "transactionIndex", place);
    put_address(j, "from", &tx->from);
    put_address(j, "to", &tx->to);
    json_key(j, "contractAddress");
    json_null(j);
    put_number(j, "gasUsed", 21000);
    put_number(j, "effectiveGasPrice", b->base_fee);
    json_key(j, "logs");
    json_begin_array(j);
    write_logs(c, (struct place){.block = b, .tx = place}, &hash, twist, NULL);
    json_end_array(j);
    json_end_object(j);
}

static void write_deposit(struct json_out *j, const struct sim_tx *tx)
{
    put_number(j, "type", DEPOSIT);
    put_hash(j, "sourceHash", &tx->source);
    put_address(j, "from", &tx->from);
    put_address(j, "to", &tx->to);
    put_number(j, "value", 0);
    put_number(j, "gas", 0);
    json_key(j, "input");
    json_text(j, "0x");
}

static struct slice item_bytes(const struct rlp *item, size_t index)
{
    const struct rlp *at = item->child;
    while (index-- > 0) {
        at = at->next;
    }
    return at->bytes;
}

static void put_word(struct json_out *j, const char *key, struct slice bytes)
{
    struct u256 word;
    ASSERT(u256_decode_be(bytes, &word) == OK);
    json_key(j, key);
    json_quantity(j, word);
}

/* As the signed bytes say: chain, nonce, fees, gas, to, value, data, access list, signature. */
static void write_signed(struct call *c, const struct sim_tx *tx)
{
    const struct rlp *list = NULL;
    struct json_out *j = c->j;
    ASSERT(rlp_decode(c->arena, slice_sub(tx->rlp, 1, tx->rlp.len), &list, NULL) == OK);
    static const char *const words[] = {"chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas",
                                        "gas"};
    put_number(j, "type", 2);
    for (size_t i = 0; i < 5; i++) {
        put_word(j, words[i], item_bytes(list, i));
    }
    put_address(j, "to", &tx->to);
    put_word(j, "value", item_bytes(list, 6));
    json_key(j, "input");
    json_hex(j, tx->data);
    json_key(j, "accessList");
    json_begin_array(j);
    json_end_array(j);
    put_word(j, "yParity", item_bytes(list, 9));
    put_word(j, "r", item_bytes(list, 10));
    put_word(j, "s", item_bytes(list, 11));
    put_hash(j, "hash", &tx->hash);
}

static void write_block(struct call *c, const struct sim_block *b, bool with_txs)
{
    struct json_out *j = c->j;
    json_begin_object(j);
    json_key(j, "transactions");
    json_begin_array(j);
    for (size_t i = 0; with_txs && i < b->tx_count; i++) {
        const struct sim_tx *tx = &c->w->txs[b->txs[i]];
        json_begin_object(j);
        if (tx->is_signed) {
            write_signed(c, tx);
        } else {
            write_deposit(j, tx);
        }
        json_end_object(j);
    }
    json_end_array(j);
    buf_add_byte(j->buf, ','); /* the header's members, as they were kept */
    buf_add_slice(j->buf, b->header);
    json_end_object(j);
}

/* ---- methods ---- */

static uint64_t number_of(const struct call *c, const struct json *v)
{
    uint64_t number = 0;
    if (v == NULL || v->type != JSON_STRING || hex_parse_u64(v->text, &number) != OK) {
        return c->w->blocks[c->head].number; /* latest, pending */
    }
    return number;
}

static void chain_id(struct call *c)
{
    json_quantity(c->j, u256_from_u64(c->node->view == SIM_WRONG_CHAIN ? 1 : SIM_CHAIN_ID));
}

static void block_number(struct call *c)
{
    uint64_t number = c->w->blocks[c->head].number;
    json_quantity(c->j, u256_from_u64(number + (c->node->view == SIM_AHEAD ? c->node->lag : 0)));
}

static void block_by_number(struct call *c)
{
    int block = sim_find(c->w, c->head, number_of(c, json_at(c->params, 0)));
    if (block < 0 || faulty(c, SIM_NULL_BLOCK)) {
        json_null(c->j);
    } else {
        write_block(c, &c->w->blocks[block], false);
    }
}

/* A provider knows the blocks of its own chain, and those that it has left. */
static int known_block(struct call *c)
{
    struct hash hash;
    const struct json *v = json_at(c->params, 0);
    if (v == NULL || v->type != JSON_STRING || hash_parse(v->text, &hash) != OK) {
        return -1;
    }
    int block = sim_find_hash(c->w, &hash);
    if (block < 0 || c->w->blocks[block].canonical) {
        bool has = block >= 0 && c->w->blocks[block].number <= c->w->blocks[c->head].number;
        return has ? block : -1;
    }
    return sim_find(c->w, c->head, c->w->blocks[block].number) == block ? block : -1;
}

static void block_by_hash(struct call *c)
{
    int block = known_block(c);
    if (block < 0 || faulty(c, SIM_NULL_BLOCK)) {
        json_null(c->j);
    } else {
        write_block(c, &c->w->blocks[block], true);
    }
}

static void block_receipts(struct call *c)
{
    int block = known_block(c);
    if (c->node->no_block_receipts) {
        c->error = "{\"code\":-32601,\"message\":\"the method does not exist\"}";
        return;
    }
    if (block < 0 || faulty(c, SIM_NULL_RECEIPT)) {
        json_null(c->j);
        return;
    }
    const struct sim_block *b = &c->w->blocks[block];
    struct twist twist = draw_twist(c);
    bool empty = faulty(c, SIM_EMPTY);
    bool shuffled = faulty(c, SIM_SHUFFLE);
    json_begin_array(c->j);
    for (size_t i = 0; !empty && i < b->tx_count; i++) {
        write_receipt(c, b, shuffled ? b->tx_count - 1 - i : i, &twist);
    }
    json_end_array(c->j);
}

static void receipt(struct call *c)
{
    struct hash hash;
    ASSERT(hash_parse(json_at(c->params, 0)->text, &hash) == OK);
    for (int at = c->head; at >= 0; at = c->w->blocks[at].parent) {
        const struct sim_block *b = &c->w->blocks[at];
        for (size_t i = 0; i < b->tx_count; i++) {
            if (!hash_equal(&c->w->txs[b->txs[i]].hash, &hash)) {
                continue;
            }
            if (faulty(c, SIM_NULL_RECEIPT)) {
                json_null(c->j);
                return;
            }
            struct twist twist = draw_twist(c);
            write_receipt(c, b, i, &twist);
            return;
        }
    }
    json_null(c->j);
}

static bool is_asked(struct call *c, const struct sim_log *log)
{
    const struct json *list = json_find(json_at(c->params, 0), "address");
    for (const struct json *v = list != NULL ? list->child : NULL; v != NULL; v = v->next) {
        struct address a;
        if (address_parse(v->text, &a) == OK && address_equal(&a, &log->address)) {
            return true;
        }
    }
    return list == NULL;
}

static void logs_of(struct call *c, int block, struct twist *twist)
{
    const struct sim_block *b = &c->w->blocks[block];
    for (size_t i = 0; i < b->tx_count; i++) {
        write_logs(c, (struct place){.block = b, .tx = i}, &c->w->txs[b->txs[i]].hash, twist,
                   is_asked);
    }
}

/* Logs are believed where headers alone are verified: there nobody lies but by silence. */
static void get_logs(struct call *c)
{
    const struct json *filter = json_at(c->params, 0);
    const struct json *by_hash = json_find(filter, "blockHash");
    struct twist twist = {.twice = faulty(c, SIM_TWICE)};
    bool empty = by_hash == NULL && faulty(c, SIM_EMPTY); /* twice would be believed */
    uint64_t from = number_of(c, json_find(filter, "fromBlock"));
    uint64_t to = number_of(c, json_find(filter, "toBlock"));
    if (by_hash != NULL) {
        struct hash hash;
        ASSERT(hash_parse(by_hash->text, &hash) == OK);
        int block = sim_find_hash(c->w, &hash);
        if (block < 0 || sim_find(c->w, c->head, c->w->blocks[block].number) != block) {
            c->error = ERROR("unknown block");
            return;
        }
        from = to = c->w->blocks[block].number;
    }
    json_begin_array(c->j);
    for (uint64_t number = from; !empty && number <= to; number++) {
        int block = sim_find(c->w, c->head, number);
        if (block >= 0) {
            logs_of(c, block, &twist);
        }
    }
    json_end_array(c->j);
}

static void transaction_count(struct call *c)
{
    struct address account;
    const struct json *tag = json_at(c->params, 1);
    ASSERT(address_parse(json_at(c->params, 0)->text, &account) == OK);
    uint64_t nonce = sim_nonce(c->w, c->head, &account);
    while (slice_equal_text(tag->text, "pending") && sim_pool_find(c->w, &account, nonce) >= 0) {
        nonce++;
    }
    json_quantity(c->j, u256_from_u64(nonce));
}

static void send_raw(struct call *c)
{
    struct slice raw;
    ASSERT(hex_decode(c->arena, json_at(c->params, 0)->text, &raw) == OK);
    uint32_t tx = sim_tx_of_raw(c->w, raw);
    if (tx == UINT32_MAX) {
        c->error = ERROR("rlp: cannot decode transaction");
        return;
    }
    if (faulty(c, SIM_KNOWN)) { /* it says so, and may have it or not */
        c->error = ERROR("already known");
        if (sim_chance(c->w, 500)) {
            (void)sim_pool_take(c->w, c->head, tx);
        }
        return;
    }
    if (!faulty(c, SIM_SWALLOW)) {
        c->error = sim_pool_take(c->w, c->head, tx);
    }
    sim_say(c->w, "  nonce %llu of %02x sent, fee %llu: %s",
            (unsigned long long)c->w->txs[tx].nonce, c->w->txs[tx].from.bytes[0],
            (unsigned long long)c->w->txs[tx].fee_max, c->error != NULL ? c->error : "taken");
    if (c->error == NULL) {
        json_hex(c->j, hash_slice(&c->w->txs[tx].hash));
    }
}

/* Amounts that end in 99 revert here as in blocks, those that end in 98 in blocks only. */
static void estimate(struct call *c)
{
    const struct json *call = json_at(c->params, 0);
    const struct json *data = json_find(call, "data");
    struct slice bytes = SLICE_EMPTY;
    struct u256 amount;
    uint64_t value = 0;
    ASSERT(data != NULL && hex_decode(c->arena, data->text, &bytes) == OK);
    if (bytes.len == 68 && u256_decode_be(slice_sub(bytes, 36, 32), &amount) == OK &&
        u256_to_u64(amount, &value) == OK && value % 100 == 99) {
        c->error = "{\"code\":3,\"message\":\"execution reverted\",\"data\":\"0x\"}";
        return;
    }
    json_quantity(c->j, u256_from_u64(ESTIMATE));
}

static void fee_history(struct call *c)
{
    json_begin_object(c->j);
    put_number(c->j, "oldestBlock", 0);
    json_key(c->j, "baseFeePerGas");
    json_begin_array(c->j);
    json_quantity(c->j, u256_from_u64(c->w->base_fee));
    json_quantity(c->j, u256_from_u64(c->w->base_fee));
    json_end_array(c->j);
    json_key(c->j, "reward");
    json_begin_array(c->j);
    json_end_array(c->j);
    json_end_object(c->j);
}

static void gas_price(struct call *c)
{
    json_quantity(c->j, u256_from_u64(c->w->base_fee + 1000));
}

static void priority_fee(struct call *c)
{
    json_quantity(c->j, u256_from_u64(1000));
}

static void balance(struct call *c)
{
    json_quantity(c->j, u256_from_u64(UINT64_C(1000000000000000000)));
}

static const struct {
    const char *name;
    void (*answer)(struct call *c);
} methods[] = {
    {"eth_chainId", chain_id},
    {"eth_blockNumber", block_number},
    {"eth_getBlockByNumber", block_by_number},
    {"eth_getBlockByHash", block_by_hash},
    {"eth_getBlockReceipts", block_receipts},
    {"eth_getTransactionReceipt", receipt},
    {"eth_getLogs", get_logs},
    {"eth_getTransactionCount", transaction_count},
    {"eth_sendRawTransaction", send_raw},
    {"eth_estimateGas", estimate},
    {"eth_feeHistory", fee_history},
    {"eth_gasPrice", gas_price},
    {"eth_maxPriorityFeePerGas", priority_fee},
    {"eth_getBalance", balance},
};

/* ---- requests ---- */

static void answer_call(struct call *c, const struct json *request, struct json_out *out)
{
    struct buf result;
    struct json_out j;
    buf_init(&result, c->arena, 4096);
    json_out_init(&j, &result);
    c->j = &j;
    c->params = json_find(request, "params");
    c->head = seen_head(c->w, c->node);
    c->error = "{\"code\":-32601,\"message\":\"no such method\"}";
    struct slice method = json_find(request, "method")->text;
    const struct json *first = json_at(c->params, 0);
    struct slice shown = first != NULL ? slice_sub(first->text, 0, 24) : SLICE_EMPTY;
    sim_say(c->w, "  %.*s %.*s", SLICE_ARG(method), SLICE_ARG(shown));
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (slice_equal_text(method, methods[i].name)) {
            c->error = NULL;
            if (faulty(c, SIM_CALL_ERROR)) {
                c->error = ERROR("header not found");
            } else {
                methods[i].answer(c);
            }
        }
    }
    json_begin_object(out);
    json_key(out, "jsonrpc");
    json_text(out, "2.0");
    json_key(out, "id");
    json_tree(out, json_find(request, "id"));
    json_key(out, c->error != NULL ? "error" : "result");
    json_raw(out, c->error != NULL ? slice_text(c->error) : buf_slice(&result));
    json_end_object(out);
}

static struct slice answer_request(struct call *c, struct slice body)
{
    const struct json *root = NULL;
    struct buf text;
    struct json_out j;
    ASSERT(json_parse(c->arena, body, &json_limits_node, &root, NULL) == OK);
    buf_init(&text, c->arena, 8192);
    json_out_init(&j, &text);
    if (root->type == JSON_ARRAY) {
        json_begin_array(&j);
        for (const struct json *v = root->child; v != NULL; v = v->next) {
            answer_call(c, v, &j);
        }
        json_end_array(&j);
    } else {
        answer_call(c, root, &j);
    }
    return buf_slice(&text);
}

static enum err gone(const char *url, struct why *why)
{
    return why_set(why, ERR_UPSTREAM, NULL, "%s cannot be used: the connection was closed.", url);
}

static enum err late(struct sim *w, const struct net_request *request, struct why *why)
{
    sim_pass(w, request->timeout_usec);
    return why_set(why, ERR_NODE_TIMEOUT, NULL, "%s did not answer.", request->url);
}

static struct sim_node *node_of(struct sim *w, const char *url)
{
    for (size_t i = 0; i < w->node_count; i++) {
        if (strcmp(w->nodes[i].url, url) == 0) {
            return &w->nodes[i];
        }
    }
    ASSERT(false);
    return NULL;
}

/* Faults after which the provider has not seen the request; ERR_INTERNAL: there is none. */
static enum err refuse(struct call *c, const struct net_request *request, struct net_answer *out,
                       struct why *why)
{
    if (faulty(c, SIM_UNREACHABLE)) {
        return gone(request->url, why);
    }
    if (faulty(c, SIM_LIMITED)) {
        out->status = 429;
        out->retry_after_usec =
            sim_chance(c->w, 500) ? (int64_t)(1 + sim_below(c->w, 20)) * USEC_PER_SEC : 0;
        return OK;
    }
    if (faulty(c, SIM_BROKEN)) {
        out->status = sim_chance(c->w, 500) ? 500 : 503;
        return OK;
    }
    if (faulty(c, SIM_HTML)) {
        out->body = slice_copy(c->arena, SLICE_LIT("<html>sorry</html>"));
        return OK;
    }
    return ERR_INTERNAL;
}

static enum err carry(void *ctx, struct arena *arena, const struct net_request *request,
                      struct net_answer *out, struct why *why)
{
    struct sim *w = ctx;
    struct sim_node *n = node_of(w, request->url);
    struct call c = {.w = w, .node = n, .arena = arena};
    sim_say(w, "request to provider %d", (int)(n - w->nodes));
    sim_digest(w, request->body.ptr, request->body.len);
    sim_point(w, "before a request");
    sim_usurp(w);
    n->requests++;
    sim_pass(w, 200 + (int64_t)sim_below(w, 20000));
    if (faulty(&c, SIM_LATE)) {
        sim_pass(w, (int64_t)sim_below(w, 2 * USEC_PER_SEC));
    }
    *out = (struct net_answer){.status = 200, .connected = n->connected};
    enum err e = refuse(&c, request, out, why);
    if (e != ERR_INTERNAL) {
        return e;
    }
    n->connected = sim_chance(w, 20);
    out->body = answer_request(&c, request->body);
    sim_digest(w, out->body.ptr, out->body.len);
    sim_point(w, "before an answer");
    if (faulty(&c, SIM_TIMEOUT)) {
        return late(w, request, why);
    }
    if (faulty(&c, SIM_LOST_ANSWER)) {
        return gone(request->url, why);
    }
    if (faulty(&c, SIM_CUT_SHORT)) {
        out->body.len = sim_below(w, out->body.len);
    }
    return OK;
}

struct net_transport sim_transport(struct sim *w)
{
    return (struct net_transport){.run = carry, .ctx = w};
}
