#include "support/fake_node.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/hex.h"
#include "kernel/base/json.h"
#include "kernel/base/mem.h"
#include "kernel/evm/address.h"
#include "kernel/evm/block.h"
#include "kernel/evm/rlp.h"
#include "kernel/evm/tx.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define FAKE_CHAIN_ID 31337
#define FAKE_TIME 1700000000
#define FAKE_METHODS_MAX 32
#define FAKE_ESTIMATE 50000

struct fake_tx {
    struct fake_mined about;
    bool creates;
    bool failed; /* mined with status 0 */
};

struct fake_block {
    int parent;
    uint64_t number;
    uint64_t time;
    uint64_t salt;
    struct hash hash;
    struct hash logs_hash; /* what makes two blocks the same, with parent and salt */
    char *json;            /* the header object */
    struct fake_log *logs;
    size_t log_count;
    struct fake_tx *txs;
    size_t tx_count;
};

struct fake_node {
    struct MHD_Daemon *daemon;
    char url[64];
    pthread_mutex_t lock; /* guards all below */
    struct arena boot;
    struct fake_block *blocks;
    int block_count;
    int head;
    struct fake_faults faults;
    struct fake_tx pool[FAKE_POOL_MAX];
    size_t pool_count;
    bool automine;
    bool empty;
    bool legacy;
    uint64_t gas_limit;
    uint64_t block_sec;
    bool close_now; /* the request at hand is not answered */
    uint64_t base_wei;
    uint64_t least_wei;
    uint64_t foreign;
    uint64_t requests;
    struct {
        char name[48];
        unsigned calls;
    } methods[FAKE_METHODS_MAX];
};

/* ---- blocks ---- */

static void fake_bloom_add(uint8_t bloom[EVM_BLOOM_BYTES], struct slice item)
{
    struct hash h = keccak256(item);
    for (size_t i = 0; i < 6; i += 2) {
        unsigned bit = ((unsigned)h.bytes[i] << 8 | h.bytes[i + 1]) % 2048;
        bloom[EVM_BLOOM_BYTES - 1 - bit / 8] |= (uint8_t)(1u << (bit % 8));
    }
}

static struct hash fake_hash_of(const char *what, uint64_t a, uint64_t b)
{
    char text[96];
    int len = snprintf(text, sizeof text, "%s/%llu/%llu", what, (unsigned long long)a,
                       (unsigned long long)b);
    return keccak256(slice_of(text, (size_t)len));
}

static void fake_json_hash(struct json_out *j, const char *key, const struct hash *h)
{
    json_key(j, key);
    json_hex(j, hash_slice(h));
}

static void fake_json_number(struct json_out *j, const char *key, uint64_t value)
{
    json_key(j, key);
    json_quantity(j, u256_from_u64(value));
}

struct fake_call {
    struct fake_node *node;
    struct arena *arena;
    const struct json *params;
    int head; /* what this call takes for the newest block */
    struct json_out *j;
    const char *error; /* out: error object */
};

static void fake_log_json_as(struct json_out *j, const struct fake_block *b, size_t index,
                             const struct hash *tx);

#include "support/fake_proofs.c"

/* Writes the header object and hashes the header, in the order of the Yellow Paper and EIP-1559. */
static void fake_seal(struct fake_node *n, struct fake_block *b)
{
    static const uint8_t zeros[32];
    uint8_t bloom[EVM_BLOOM_BYTES] = {0};
    for (size_t i = 0; i < b->log_count; i++) {
        fake_log_bloom(bloom, &b->logs[i]);
    }
    struct hash parent = {0};
    if (b->parent >= 0) {
        parent = n->blocks[b->parent].hash;
    }
    const struct hash uncles = fake_hash_of("uncles", 0, 0);
    struct hash txs_root, receipts_root;
    fake_roots(n, b, &txs_root, &receipts_root);
    const struct hash state = fake_hash_of("state", b->number, b->salt);
    uint64_t time = b->time;
    struct buf rlp;
    buf_init(&rlp, &n->boot, 1024);
    size_t list = rlp_begin_list(&rlp);
    rlp_add_bytes(&rlp, hash_slice(&parent));
    rlp_add_bytes(&rlp, hash_slice(&uncles));
    rlp_add_bytes(&rlp, slice_of(zeros, ADDRESS_BYTES));
    rlp_add_bytes(&rlp, hash_slice(&state));
    rlp_add_bytes(&rlp, hash_slice(&txs_root));
    rlp_add_bytes(&rlp, hash_slice(&receipts_root));
    rlp_add_bytes(&rlp, slice_of(bloom, sizeof bloom));
    rlp_add_u64(&rlp, 0);
    rlp_add_u64(&rlp, b->number);
    rlp_add_u64(&rlp, n->gas_limit);
    rlp_add_u64(&rlp, b->tx_count * FAKE_ESTIMATE);
    rlp_add_u64(&rlp, time);
    rlp_add_bytes(&rlp, SLICE_EMPTY);
    rlp_add_bytes(&rlp, slice_of(zeros, 32));
    rlp_add_bytes(&rlp, slice_of(zeros, 8));
    if (!n->legacy) {
        rlp_add_u64(&rlp, n->base_wei);
    }
    rlp_end_list(&rlp, list);
    b->hash = keccak256(buf_slice(&rlp));

    struct buf text;
    struct json_out j;
    buf_init(&text, &n->boot, 2048);
    json_out_init(&j, &text);
    json_begin_object(&j);
    fake_json_hash(&j, "hash", &b->hash);
    fake_json_hash(&j, "parentHash", &parent);
    fake_json_hash(&j, "sha3Uncles", &uncles);
    json_key(&j, "miner");
    json_hex(&j, slice_of(zeros, ADDRESS_BYTES));
    fake_json_hash(&j, "stateRoot", &state);
    fake_json_hash(&j, "transactionsRoot", &txs_root);
    fake_json_hash(&j, "receiptsRoot", &receipts_root);
    json_key(&j, "logsBloom");
    json_hex(&j, slice_of(bloom, sizeof bloom));
    fake_json_number(&j, "difficulty", 0);
    fake_json_number(&j, "number", b->number);
    fake_json_number(&j, "gasLimit", n->gas_limit);
    fake_json_number(&j, "gasUsed", b->tx_count * FAKE_ESTIMATE);
    fake_json_number(&j, "timestamp", time);
    json_key(&j, "extraData");
    json_text(&j, "0x");
    json_key(&j, "mixHash");
    json_hex(&j, slice_of(zeros, 32));
    json_key(&j, "nonce");
    json_hex(&j, slice_of(zeros, 8));
    if (!n->legacy) {
        fake_json_number(&j, "baseFeePerGas", n->base_wei);
    }
    json_key(&j, "transactions");
    json_begin_array(&j);
    json_end_array(&j);
    json_end_object(&j);
    b->json = slice_cstr(&n->boot, buf_slice(&text));
}

static struct hash fake_content(struct fake_node *n, const struct fake_log *logs, size_t count,
                                const struct fake_tx *txs, size_t tx_count)
{
    struct buf b;
    buf_init(&b, &n->boot, 256);
    for (size_t i = 0; i < count; i++) {
        buf_add(&b, logs[i].address.bytes, ADDRESS_BYTES);
        buf_add(&b, logs[i].topics, sizeof logs[i].topics);
        buf_add(&b, logs[i].data, logs[i].data_len);
        buf_add(&b, logs[i].tx.bytes, HASH_BYTES);
    }
    for (size_t i = 0; i < tx_count; i++) {
        buf_add(&b, txs[i].about.hash.bytes, HASH_BYTES);
    }
    return keccak256(buf_slice(&b));
}

/* Called with the lock held. */
static int fake_add(struct fake_node *n, int parent, const struct fake_log *logs, size_t count,
                    const struct fake_tx *txs, size_t tx_count, uint64_t salt)
{
    struct hash content = fake_content(n, logs, count, txs, tx_count);
    for (int i = 0; i < n->block_count; i++) {
        const struct fake_block *b = &n->blocks[i];
        if (b->parent == parent && b->salt == salt && hash_equal(&b->logs_hash, &content)) {
            return i;
        }
    }
    ASSERT(n->block_count < FAKE_BLOCKS_MAX);
    struct fake_block *b = &n->blocks[n->block_count];
    *b = (struct fake_block){.parent = parent, .salt = salt, .logs_hash = content};
    b->number = parent >= 0 ? n->blocks[parent].number + 1 : 0;
    b->time = parent >= 0 ? n->blocks[parent].time + n->block_sec : FAKE_TIME;
    b->logs = arena_alloc_array(&n->boot, count, sizeof *logs);
    b->txs = arena_alloc_array(&n->boot, tx_count, sizeof *txs);
    b->log_count = count;
    b->tx_count = tx_count;
    if (count > 0) {
        memcpy(b->logs, logs, count * sizeof *logs);
    }
    if (tx_count > 0) {
        memcpy(b->txs, txs, tx_count * sizeof *txs);
    }
    fake_seal(n, b);
    return n->block_count++;
}

static int fake_find(const struct fake_node *n, int block, uint64_t number)
{
    while (block >= 0 && n->blocks[block].number > number) {
        block = n->blocks[block].parent;
    }
    return block >= 0 && n->blocks[block].number == number ? block : FAKE_NO_BLOCK;
}

int fake_node_block(struct fake_node *n, int parent, const struct fake_log *logs, size_t count,
                    uint64_t salt)
{
    pthread_mutex_lock(&n->lock);
    int block = fake_add(n, parent, logs, count, NULL, 0, salt);
    pthread_mutex_unlock(&n->lock);
    return block;
}

void fake_node_set_head(struct fake_node *n, int block)
{
    pthread_mutex_lock(&n->lock);
    n->head = block;
    pthread_mutex_unlock(&n->lock);
}

int fake_node_head(struct fake_node *n)
{
    pthread_mutex_lock(&n->lock);
    int head = n->head;
    pthread_mutex_unlock(&n->lock);
    return head;
}

int fake_node_ancestor(struct fake_node *n, int block, uint64_t number)
{
    pthread_mutex_lock(&n->lock);
    int found = fake_find(n, block, number);
    pthread_mutex_unlock(&n->lock);
    return found;
}

uint64_t fake_node_number(struct fake_node *n, int block)
{
    pthread_mutex_lock(&n->lock);
    uint64_t number = n->blocks[block].number;
    pthread_mutex_unlock(&n->lock);
    return number;
}

struct hash fake_node_hash(struct fake_node *n, int block)
{
    pthread_mutex_lock(&n->lock);
    struct hash hash = n->blocks[block].hash;
    pthread_mutex_unlock(&n->lock);
    return hash;
}

bool fake_node_has_log(struct fake_node *n, int block, const struct hash *tx)
{
    bool found = false;
    pthread_mutex_lock(&n->lock);
    for (int b = block; b >= 0 && !found; b = n->blocks[b].parent) {
        for (size_t i = 0; i < n->blocks[b].log_count && !found; i++) {
            found = hash_equal(&n->blocks[b].logs[i].tx, tx);
        }
    }
    pthread_mutex_unlock(&n->lock);
    return found;
}

/* ---- transactions ---- */

static uint64_t fake_nonce(const struct fake_node *n, int head, const struct address *from)
{
    uint64_t nonce = 0;
    for (int b = head; b >= 0; b = n->blocks[b].parent) {
        for (size_t i = 0; i < n->blocks[b].tx_count; i++) {
            nonce += address_equal(&n->blocks[b].txs[i].about.from, from);
        }
    }
    return nonce;
}

static struct fake_tx *fake_pooled(struct fake_node *n, const struct address *from, uint64_t nonce)
{
    for (size_t i = 0; i < n->pool_count; i++) {
        if (n->pool[i].about.nonce == nonce && address_equal(&n->pool[i].about.from, from)) {
            return &n->pool[i];
        }
    }
    return NULL;
}

static void fake_unpool(struct fake_node *n, const struct fake_tx *tx)
{
    size_t i = (size_t)(tx - n->pool);
    memmove(&n->pool[i], &n->pool[i + 1], (n->pool_count - i - 1) * sizeof *n->pool);
    n->pool_count--;
}

/* Called with the lock held. */
static int fake_mine(struct fake_node *n, size_t max)
{
    struct fake_tx *txs = arena_alloc_array(&n->boot, n->pool_count, sizeof *txs);
    size_t count = 0;
    for (bool more = true; more && count < max;) {
        more = false;
        for (size_t i = 0; i < n->pool_count && count < max && !more; i++) {
            struct fake_tx tx = n->pool[i];
            uint64_t next = fake_nonce(n, n->head, &tx.about.from);
            for (size_t k = 0; k < count; k++) {
                next += address_equal(&txs[k].about.from, &tx.about.from);
            }
            more = tx.about.nonce == next &&
                   u256_compare(tx.about.fee_max, u256_from_u64(n->base_wei)) >= 0;
            if (more) {
                tx.failed = n->faults.revert_mined > 0;
                n->faults.revert_mined -= tx.failed;
                txs[count++] = tx;
                fake_unpool(n, &n->pool[i]);
            }
        }
    }
    n->head = fake_add(n, n->head, NULL, 0, txs, count, 0);
    return n->head;
}

static bool fake_raised_enough(struct u256 now, struct u256 before)
{
    struct u256 tenth;
    struct u256 least;
    u256_div(before, u256_from_u64(10), &tenth, NULL);
    return u256_add(before, tenth, &least) == OK && u256_compare(now, least) >= 0;
}

/* Takes a transaction as geth does; returns what is wrong with it, or NULL. */
static const char *fake_take(struct fake_node *n, const struct fake_tx *tx)
{
    const struct fake_mined *t = &tx->about;
    if (t->nonce < fake_nonce(n, n->head, &t->from)) {
        return "{\"code\":-32000,\"message\":\"nonce too low\"}";
    }
    if (n->empty) {
        return "{\"code\":-32000,\"message\":\"insufficient funds for gas * price + value\"}";
    }
    if (u256_compare(t->fee_max, u256_from_u64(n->least_wei)) < 0) {
        return "{\"code\":-32000,\"message\":\"transaction underpriced\"}";
    }
    struct fake_tx *there = fake_pooled(n, &t->from, t->nonce);
    if (there == NULL) {
        ASSERT(n->pool_count < FAKE_POOL_MAX);
        n->pool[n->pool_count++] = *tx;
        return NULL;
    }
    if (hash_equal(&there->about.hash, &t->hash)) {
        return "{\"code\":-32000,\"message\":\"already known\"}";
    }
    if (!fake_raised_enough(t->fee_max, there->about.fee_max) ||
        !fake_raised_enough(t->fee_priority, there->about.fee_priority)) {
        return "{\"code\":-32000,\"message\":\"replacement transaction underpriced\"}";
    }
    *there = *tx;
    return NULL;
}

static bool fake_read_tx(struct arena *arena, struct slice raw, struct fake_tx *out);

void fake_node_set_automine(struct fake_node *n, bool on)
{
    pthread_mutex_lock(&n->lock);
    n->automine = on;
    pthread_mutex_unlock(&n->lock);
}

int fake_node_mine(struct fake_node *n, size_t max)
{
    pthread_mutex_lock(&n->lock);
    int block = fake_mine(n, max);
    pthread_mutex_unlock(&n->lock);
    return block;
}

void fake_node_forget(struct fake_node *n)
{
    pthread_mutex_lock(&n->lock);
    n->pool_count = 0;
    pthread_mutex_unlock(&n->lock);
}

size_t fake_node_pool(struct fake_node *n)
{
    pthread_mutex_lock(&n->lock);
    size_t count = n->pool_count;
    pthread_mutex_unlock(&n->lock);
    return count;
}

void fake_node_set_fees(struct fake_node *n, uint64_t base_wei, uint64_t least_wei)
{
    pthread_mutex_lock(&n->lock);
    n->base_wei = base_wei;
    n->least_wei = least_wei;
    pthread_mutex_unlock(&n->lock);
}

void fake_node_set_block_sec(struct fake_node *n, uint64_t sec)
{
    pthread_mutex_lock(&n->lock);
    n->block_sec = sec;
    pthread_mutex_unlock(&n->lock);
}

void fake_node_set_legacy(struct fake_node *n, bool on)
{
    pthread_mutex_lock(&n->lock);
    n->legacy = on;
    pthread_mutex_unlock(&n->lock);
}

void fake_node_set_gas_limit(struct fake_node *n, uint64_t gas)
{
    pthread_mutex_lock(&n->lock);
    n->gas_limit = gas;
    pthread_mutex_unlock(&n->lock);
}

void fake_node_add_pending(struct fake_node *n, const struct address *from, uint64_t nonce)
{
    pthread_mutex_lock(&n->lock);
    struct fake_tx tx = {.about = {.from = *from, .has_to = true, .nonce = nonce}};
    tx.about.hash = fake_hash_of("foreign", n->foreign++, nonce);
    tx.about.fee_max = u256_from_u64(n->base_wei * 100);
    tx.about.fee_priority = tx.about.fee_max;
    n->pool[n->pool_count++] = tx;
    pthread_mutex_unlock(&n->lock);
}

bool fake_node_give(struct fake_node *n, struct slice raw)
{
    struct arena arena;
    struct fake_tx tx = {.creates = false};
    arena_init(&arena, 0);
    pthread_mutex_lock(&n->lock);
    bool taken = fake_read_tx(&arena, raw, &tx) && fake_take(n, &tx) == NULL;
    pthread_mutex_unlock(&n->lock);
    arena_free(&arena);
    return taken;
}

void fake_node_set_empty(struct fake_node *n, bool empty)
{
    pthread_mutex_lock(&n->lock);
    n->empty = empty;
    pthread_mutex_unlock(&n->lock);
}

int fake_node_use_nonce(struct fake_node *n, const struct address *from)
{
    pthread_mutex_lock(&n->lock);
    struct fake_tx tx = {
        .about = {.from = *from, .has_to = true, .nonce = fake_nonce(n, n->head, from)}};
    tx.about.hash = fake_hash_of("foreign", n->foreign++, tx.about.nonce);
    struct fake_tx *there = fake_pooled(n, from, tx.about.nonce);
    if (there != NULL) {
        fake_unpool(n, there);
    }
    n->head = fake_add(n, n->head, NULL, 0, &tx, 1, 0);
    int block = n->head;
    pthread_mutex_unlock(&n->lock);
    return block;
}

size_t fake_node_mined(struct fake_node *n, struct fake_mined *out, size_t max)
{
    pthread_mutex_lock(&n->lock);
    size_t count = 0;
    uint64_t top = n->blocks[n->head].number;
    for (uint64_t number = 0; number <= top; number++) {
        const struct fake_block *b = &n->blocks[fake_find(n, n->head, number)];
        for (size_t i = 0; i < b->tx_count; i++) {
            ASSERT(count < max);
            out[count++] = b->txs[i].about;
        }
    }
    pthread_mutex_unlock(&n->lock);
    return count;
}

/* ---- answers: the lock is held ---- */

static uint64_t fake_tag(const struct fake_call *c, const struct json *v)
{
    uint64_t number = 0;
    if (v == NULL || v->type != JSON_STRING || hex_parse_u64(v->text, &number) != OK) {
        return c->node->blocks[c->head].number; /* latest, pending */
    }
    return number;
}

/* The block that a question is about; -1: there is none. */
static int fake_asked_block(const struct fake_call *c)
{
    const struct json *v = json_at(c->params, 0);
    uint64_t behind = c->node->faults.final_behind;
    uint64_t number = c->node->blocks[c->head].number;
    bool is_final = v != NULL && v->type == JSON_STRING &&
                    (slice_equal_text(v->text, "safe") || slice_equal_text(v->text, "finalized"));
    if (is_final) {
        return behind == 0 ? -1
                           : fake_find(c->node, c->head, number > behind ? number - behind : 0);
    }
    return fake_find(c->node, c->head, fake_tag(c, v));
}

static void fake_get_block(struct fake_call *c)
{
    int block = fake_asked_block(c);
    if (block < 0) {
        json_null(c->j);
    } else {
        json_raw(c->j, slice_text(c->node->blocks[block].json));
    }
}

static bool fake_is_asked(const struct json *addresses, const struct address *address)
{
    if (addresses == NULL) {
        return true;
    }
    for (const struct json *v = addresses->child; v != NULL; v = v->next) {
        struct address a;
        if (address_parse(v->text, &a) == OK && address_equal(&a, address)) {
            return true;
        }
    }
    return false;
}

static void fake_log_json_as(struct json_out *j, const struct fake_block *b, size_t index,
                             const struct hash *tx)
{
    const struct fake_log *log = &b->logs[index];
    uint64_t tx_index = fake_log_txs(b, index + 1) - 1;
    json_begin_object(j);
    json_key(j, "address");
    json_hex(j, address_slice(&log->address));
    json_key(j, "topics");
    json_begin_array(j);
    for (size_t i = 0; i < log->topic_count; i++) {
        json_hex(j, hash_slice(&log->topics[i]));
    }
    json_end_array(j);
    json_key(j, "data");
    json_hex(j, slice_of(log->data, log->data_len));
    fake_json_number(j, "blockNumber", b->number);
    fake_json_hash(j, "blockHash", &b->hash);
    fake_json_hash(j, "transactionHash", tx);
    fake_json_number(j, "transactionIndex", tx_index);
    fake_json_number(j, "logIndex", index);
    json_key(j, "removed");
    json_bool(j, false);
    json_end_object(j);
}

static void fake_log_json(struct json_out *j, const struct fake_block *b, size_t index)
{
    struct hash tx = fake_log_tx(&b->logs[index].tx);
    fake_log_json_as(j, b, index, &tx);
}

static void fake_logs_of(struct fake_call *c, const struct json *addresses, int block, bool *drop)
{
    const struct fake_block *b = &c->node->blocks[block];
    for (size_t i = 0; i < b->log_count; i++) {
        if (!fake_is_asked(addresses, &b->logs[i].address)) {
            continue;
        }
        if (*drop) {
            *drop = false;
            continue;
        }
        fake_log_json(c->j, b, i);
    }
}

static void fake_get_logs(struct fake_call *c)
{
    struct fake_node *n = c->node;
    const struct json *filter = json_at(c->params, 0);
    const struct json *addresses = json_find(filter, "address");
    const struct json *by_hash = json_find(filter, "blockHash");
    bool drop = false;
    if (by_hash != NULL) {
        int block = fake_by_hash(n, by_hash);
        if (block < 0) {
            c->error = "{\"code\":-32000,\"message\":\"unknown block\"}";
            return;
        }
        json_begin_array(c->j);
        fake_logs_of(c, addresses, block, &drop);
        json_end_array(c->j);
        return;
    }
    uint64_t from = fake_tag(c, json_find(filter, "fromBlock"));
    uint64_t to = fake_tag(c, json_find(filter, "toBlock"));
    if (n->faults.logs_range_max > 0 && to - from + 1 > n->faults.logs_range_max) {
        c->error = "{\"code\":-32005,\"message\":\"query exceeds the range of this plan\"}";
        return;
    }
    int head = n->faults.logs_head >= 0 ? n->faults.logs_head : c->head;
    bool empty = n->faults.logs_empty > 0;
    n->faults.logs_empty -= empty;
    drop = n->faults.logs_drop > 0;
    n->faults.logs_drop -= drop;
    json_begin_array(c->j);
    for (uint64_t number = from; !empty && number <= to; number++) {
        int block = fake_find(n, head, number);
        if (block >= 0) {
            fake_logs_of(c, addresses, block, &drop);
        }
    }
    json_end_array(c->j);
}

static void fake_count(struct fake_call *c)
{
    struct address account;
    const struct json *tag = json_at(c->params, 1);
    ASSERT(address_parse(json_at(c->params, 0)->text, &account) == OK);
    uint64_t nonce = fake_nonce(c->node, c->head, &account);
    while (slice_equal_text(tag->text, "pending") &&
           fake_pooled(c->node, &account, nonce) != NULL) {
        nonce++;
    }
    json_quantity(c->j, u256_from_u64(nonce));
}

static bool fake_read_tx(struct arena *arena, struct slice raw, struct fake_tx *out)
{
    struct tx tx;
    struct fake_mined *m = &out->about;
    if (tx_decode(arena, raw, &tx, &m->from, &m->hash, NULL) != OK) {
        return false;
    }
    m->has_to = tx.has_to;
    m->to = tx.to;
    m->nonce = tx.nonce;
    m->fee_max = wei_raw(tx.fee_max);
    m->fee_priority = wei_raw(tx.kind == TX_LEGACY ? tx.fee_max : tx.fee_priority);
    m->data_len = tx.data.len;
    m->gas_limit = tx.gas_limit;
    m->legacy = tx.kind == TX_LEGACY;
    out->creates = !tx.has_to;
    return true;
}

static void fake_send(struct fake_call *c)
{
    struct fake_node *n = c->node;
    struct slice raw;
    struct fake_tx taken = {.creates = false};
    ASSERT(hex_decode(c->arena, json_at(c->params, 0)->text, &raw) == OK);
    if (n->faults.send_error != NULL) {
        c->error = n->faults.send_error;
        if (n->faults.send_times > 0 && --n->faults.send_times == 0) {
            n->faults.send_error = NULL;
        }
        return;
    }
    if (!fake_read_tx(c->arena, raw, &taken)) {
        c->error = "{\"code\":-32000,\"message\":\"rlp: cannot decode transaction\"}";
        return;
    }
    if (n->faults.send_swallow > 0) {
        n->faults.send_swallow--;
    } else {
        c->error = fake_take(n, &taken);
    }
    if (c->error == NULL && n->faults.send_lose > 0) {
        n->faults.send_lose--;
        n->close_now = true;
    }
    if (c->error == NULL && n->automine) {
        (void)fake_mine(n, SIZE_MAX);
    }
    if (c->error == NULL) {
        json_hex(c->j, hash_slice(&taken.about.hash));
    }
}

static void fake_receipt_json(struct json_out *j, const struct fake_block *b, size_t index)
{
    const struct fake_tx *tx = &b->txs[index];
    json_begin_object(j);
    fake_json_hash(j, "transactionHash", &tx->about.hash);
    fake_json_hash(j, "blockHash", &b->hash);
    fake_json_number(j, "blockNumber", b->number);
    fake_json_number(j, "transactionIndex", index);
    json_key(j, "from");
    json_address(j, &tx->about.from);
    json_key(j, "to");
    if (tx->about.has_to) {
        json_address(j, &tx->about.to);
    } else {
        json_null(j);
    }
    json_key(j, "contractAddress");
    if (tx->creates) {
        struct address made = address_of_create(&tx->about.from, tx->about.nonce);
        json_address(j, &made);
    } else {
        json_null(j);
    }
    fake_json_number(j, "status", !tx->failed);
    fake_json_number(j, "gasUsed", 21000);
    fake_json_number(j, "effectiveGasPrice", 7);
    json_key(j, "logs");
    json_begin_array(j);
    json_end_array(j);
    json_end_object(j);
}

static void fake_get_receipt(struct fake_call *c)
{
    struct fake_node *n = c->node;
    struct hash hash;
    ASSERT(hash_parse(json_at(c->params, 0)->text, &hash) == OK);
    if (n->faults.receipts_late > 0) {
        n->faults.receipts_late--;
        json_null(c->j);
        return;
    }
    if (fake_get_log_receipt(c, &hash)) {
        return;
    }
    for (int b = c->head; b >= 0; b = n->blocks[b].parent) {
        for (size_t i = 0; i < n->blocks[b].tx_count; i++) {
            if (hash_equal(&n->blocks[b].txs[i].about.hash, &hash)) {
                fake_receipt_json(c->j, &n->blocks[b], i);
                return;
            }
        }
    }
    json_null(c->j);
}

static void fake_estimate(struct fake_call *c)
{
    struct fake_faults *f = &c->node->faults;
    if (f->estimate_error == NULL) {
        json_quantity(c->j, u256_from_u64(FAKE_ESTIMATE));
        return;
    }
    c->error = f->estimate_error;
    if (f->estimate_times > 0 && --f->estimate_times == 0) {
        f->estimate_error = NULL;
    }
}

static void fake_fee_history(struct fake_call *c)
{
    if (c->node->legacy) {
        c->error = "{\"code\":-32601,\"message\":\"the method does not exist\"}";
        return;
    }
    json_begin_object(c->j);
    fake_json_number(c->j, "oldestBlock", 0);
    json_key(c->j, "baseFeePerGas");
    json_begin_array(c->j);
    json_quantity(c->j, u256_from_u64(c->node->base_wei));
    json_quantity(c->j, u256_from_u64(c->node->base_wei));
    json_end_array(c->j);
    json_key(c->j, "reward");
    json_begin_array(c->j);
    json_end_array(c->j);
    json_end_object(c->j);
}

static void fake_block_number(struct fake_call *c)
{
    uint64_t more = c->node->faults.number_more;
    json_quantity(c->j, u256_from_u64(c->node->blocks[c->head].number + more));
}

static void fake_chain_id(struct fake_call *c)
{
    json_quantity(c->j, u256_from_u64(FAKE_CHAIN_ID));
}

static void fake_gas_price(struct fake_call *c)
{
    json_quantity(c->j, u256_from_u64(c->node->base_wei + 1000));
}

static void fake_priority(struct fake_call *c)
{
    json_quantity(c->j, u256_from_u64(1000));
}

static const struct {
    const char *name;
    void (*answer)(struct fake_call *c);
} fake_methods[] = {
    {"eth_chainId", fake_chain_id},
    {"eth_blockNumber", fake_block_number},
    {"eth_getBlockByNumber", fake_get_block},
    {"eth_getBlockByHash", fake_get_block_by_hash},
    {"eth_getBlockReceipts", fake_get_block_receipts},
    {"eth_getLogs", fake_get_logs},
    {"eth_getTransactionCount", fake_count},
    {"eth_sendRawTransaction", fake_send},
    {"eth_getTransactionReceipt", fake_get_receipt},
    {"eth_estimateGas", fake_estimate},
    {"eth_feeHistory", fake_fee_history},
    {"eth_gasPrice", fake_gas_price},
    {"eth_maxPriorityFeePerGas", fake_priority},
};

static void fake_note(struct fake_node *n, struct slice method)
{
    for (size_t i = 0; i < FAKE_METHODS_MAX; i++) {
        if (n->methods[i].name[0] == '\0') {
            (void)snprintf(n->methods[i].name, sizeof n->methods[i].name, "%.*s",
                           SLICE_ARG(method));
        }
        if (slice_equal_text(method, n->methods[i].name)) {
            n->methods[i].calls++;
            return;
        }
    }
}

/* The head that a call sees: of one of two nodes behind one door, or of one that lags. */
static int fake_seen_head(struct fake_node *n)
{
    int head = n->head;
    if (n->faults.other >= 0) {
        head = n->faults.other_now ? n->faults.other : head;
        n->faults.other_now = !n->faults.other_now;
    }
    uint64_t number = n->blocks[head].number;
    uint64_t lag = n->faults.lag < number ? n->faults.lag : number;
    return fake_find(n, head, number - lag);
}

static void fake_answer(struct fake_node *n, struct arena *arena, const struct json *request,
                        struct json_out *out)
{
    struct buf result;
    struct json_out j;
    buf_init(&result, arena, 4096);
    json_out_init(&j, &result);
    struct fake_call c = {.node = n,
                          .arena = arena,
                          .params = json_find(request, "params"),
                          .head = fake_seen_head(n),
                          .j = &j,
                          .error = "{\"code\":-32601,\"message\":\"no such method\"}"};
    struct slice method = json_find(request, "method")->text;
    fake_note(n, method);
    for (size_t i = 0; i < sizeof fake_methods / sizeof fake_methods[0]; i++) {
        if (slice_equal_text(method, fake_methods[i].name)) {
            c.error = NULL;
            fake_methods[i].answer(&c);
        }
    }
    json_begin_object(out);
    json_key(out, "jsonrpc");
    json_text(out, "2.0");
    json_key(out, "id");
    json_tree(out, json_find(request, "id"));
    json_key(out, c.error != NULL ? "error" : "result");
    json_raw(out, c.error != NULL ? slice_text(c.error) : buf_slice(&result));
    json_end_object(out);
}

/* ---- HTTP ---- */

struct fake_request {
    struct arena arena;
    struct buf body;
};

static bool fake_fails(struct fake_node *n)
{
    n->requests++;
    if (n->faults.fail > 0) {
        n->faults.fail--;
        return true;
    }
    return n->faults.fail_every > 0 && n->requests % n->faults.fail_every == 0;
}

static void fake_respond(struct fake_node *n, struct fake_request *r, struct buf *out,
                         unsigned *out_status)
{
    const struct json *root = NULL;
    struct why why = {0};
    struct json_out j;
    ASSERT(json_parse(&r->arena, buf_slice(&r->body), &json_limits_node, &root, &why) == OK);
    json_out_init(&j, out);
    pthread_mutex_lock(&n->lock);
    *out_status = fake_fails(n) ? 500 : 200;
    n->close_now = false;
    if (*out_status == 500) {
        json_text(&j, "out of order");
    } else if (root->type == JSON_ARRAY) {
        json_begin_array(&j);
        for (const struct json *v = root->child; v != NULL; v = v->next) {
            fake_answer(n, &r->arena, v, &j);
        }
        json_end_array(&j);
    } else {
        fake_answer(n, &r->arena, root, &j);
    }
    *out_status = n->close_now ? 0 : *out_status;
    pthread_mutex_unlock(&n->lock);
}

/* Takes the time before an answer; who asks for the chain id is not kept waiting. */
static void fake_linger(struct fake_node *n, const struct fake_request *r)
{
    pthread_mutex_lock(&n->lock);
    int delay_ms = n->faults.delay_ms;
    struct fake_meeting *meeting = n->faults.meeting;
    pthread_mutex_unlock(&n->lock);
    if (memmem(r->body.ptr, r->body.len, "eth_chainId", 11) != NULL) {
        return;
    }
    if (delay_ms > 0) {
        (void)poll(NULL, 0, delay_ms);
    }
    if (meeting != NULL) {
        atomic_fetch_add(&meeting->arrived, 1);
        for (int i = 0; i < 10000 && atomic_load(&meeting->arrived) < meeting->wanted; i++) {
            (void)poll(NULL, 0, 1);
        }
    }
}

static enum MHD_Result fake_handle(void *ctx, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_size, void **state)
{
    (void)url;
    (void)method;
    (void)version;
    struct fake_request *r = *state;
    if (r == NULL) {
        r = mem_alloc(sizeof *r);
        arena_init(&r->arena, 65536);
        buf_init(&r->body, &r->arena, 4096);
        *state = r;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        buf_add(&r->body, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    struct buf out;
    unsigned status = 0;
    buf_init(&out, &r->arena, 8192);
    fake_linger(ctx, r);
    fake_respond(ctx, r, &out, &status);
    if (status == 0) {
        return MHD_NO; /* closes the connection */
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(out.len, out.ptr, MHD_RESPMEM_MUST_COPY);
    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static void fake_done(void *ctx, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode how)
{
    (void)ctx;
    (void)connection;
    (void)how;
    struct fake_request *r = *state;
    if (r != NULL) {
        arena_free(&r->arena);
        mem_free(r);
        *state = NULL;
    }
}

struct fake_node *fake_node_start(void)
{
    struct fake_node *n = mem_alloc(sizeof *n);
    arena_init(&n->boot, 65536);
    (void)pthread_mutex_init(&n->lock, NULL);
    n->blocks = mem_alloc(FAKE_BLOCKS_MAX * sizeof *n->blocks);
    n->base_wei = 1000000000;
    n->gas_limit = 30000000;
    n->block_sec = 12;
    n->faults.other = FAKE_NO_BLOCK;
    n->faults.logs_head = FAKE_NO_BLOCK;
    n->head = fake_add(n, FAKE_NO_BLOCK, NULL, 0, NULL, 0, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    n->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 0, NULL, NULL,
                                 fake_handle, n, MHD_OPTION_SOCK_ADDR, &at,
                                 MHD_OPTION_NOTIFY_COMPLETED, fake_done, NULL, MHD_OPTION_END);
    ASSERT(n->daemon != NULL);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(n->daemon, MHD_DAEMON_INFO_BIND_PORT);
    (void)snprintf(n->url, sizeof n->url, "http://127.0.0.1:%u", (unsigned)info->port);
    return n;
}

void fake_node_stop(struct fake_node *n)
{
    MHD_stop_daemon(n->daemon);
    arena_free(&n->boot);
    (void)pthread_mutex_destroy(&n->lock);
    mem_free(n->blocks);
    mem_free(n);
}

const char *fake_node_url(const struct fake_node *n)
{
    return n->url;
}

struct fake_faults *fake_node_lock(struct fake_node *n)
{
    pthread_mutex_lock(&n->lock);
    return &n->faults;
}

void fake_node_unlock(struct fake_node *n)
{
    pthread_mutex_unlock(&n->lock);
}

unsigned fake_node_calls(struct fake_node *n, const char *method)
{
    unsigned calls = 0;
    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < FAKE_METHODS_MAX; i++) {
        if (strcmp(n->methods[i].name, method) == 0) {
            calls = n->methods[i].calls;
        }
    }
    pthread_mutex_unlock(&n->lock);
    return calls;
}

unsigned fake_node_requests(struct fake_node *n)
{
    pthread_mutex_lock(&n->lock);
    unsigned requests = (unsigned)n->requests;
    pthread_mutex_unlock(&n->lock);
    return requests;
}
