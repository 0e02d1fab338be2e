/*
 * What the fake node's headers commit to: for each transaction that logged something, a deposit of
 * an OP-stack chain whose source is the name that the test gave it, and its receipt.
 *
 * Part of fake_node.c.
 */
#include "kernel/evm/trie.h"

#define FAKE_DEPOSIT 0x7e

/* How many transactions made the first `count` logs of a block. */
static size_t fake_log_txs(const struct fake_block *b, size_t count)
{
    size_t txs = count > 0 ? 1 : 0;
    for (size_t i = 1; i < count; i++) {
        txs += !hash_equal(&b->logs[i].tx, &b->logs[i - 1].tx);
    }
    return txs;
}

static void fake_deposit(struct buf *out, const struct hash *source)
{
    static const uint8_t zeros[ADDRESS_BYTES];
    buf_add_byte(out, FAKE_DEPOSIT);
    size_t list = rlp_begin_list(out);
    rlp_add_bytes(out, hash_slice(source));
    rlp_add_bytes(out, slice_of(zeros, sizeof zeros)); /* from */
    rlp_add_bytes(out, slice_of(zeros, sizeof zeros)); /* to */
    for (int i = 0; i < 4; i++) {
        rlp_add_u64(out, 0); /* mint, value, gas, isSystemTx */
    }
    rlp_add_bytes(out, SLICE_EMPTY);
    rlp_end_list(out, list);
}

static struct hash fake_log_tx(const struct hash *source)
{
    struct arena arena;
    struct buf b;
    arena_init(&arena, 1024);
    buf_init(&b, &arena, 256);
    fake_deposit(&b, source);
    struct hash hash = keccak256(buf_slice(&b));
    arena_free(&arena);
    return hash;
}

static void fake_log_bloom(uint8_t bloom[EVM_BLOOM_BYTES], const struct fake_log *log)
{
    fake_bloom_add(bloom, address_slice(&log->address));
    for (size_t k = 0; k < log->topic_count; k++) {
        fake_bloom_add(bloom, hash_slice(&log->topics[k]));
    }
}

/* The logs from..end of a block are those of one transaction. */
static void fake_receipt_rlp(struct buf *out, const struct fake_block *b, size_t from, size_t end)
{
    uint8_t bloom[EVM_BLOOM_BYTES] = {0};
    for (size_t i = from; i < end; i++) {
        fake_log_bloom(bloom, &b->logs[i]);
    }
    buf_add_byte(out, FAKE_DEPOSIT);
    size_t list = rlp_begin_list(out);
    rlp_add_u64(out, 1);
    rlp_add_u64(out, end);
    rlp_add_bytes(out, slice_of(bloom, sizeof bloom));
    size_t logs = rlp_begin_list(out);
    for (size_t i = from; i < end; i++) {
        const struct fake_log *log = &b->logs[i];
        size_t one = rlp_begin_list(out);
        rlp_add_bytes(out, address_slice(&log->address));
        size_t topics = rlp_begin_list(out);
        for (size_t k = 0; k < log->topic_count; k++) {
            rlp_add_bytes(out, hash_slice(&log->topics[k]));
        }
        rlp_end_list(out, topics);
        rlp_add_bytes(out, slice_of(log->data, log->data_len));
        rlp_end_list(out, one);
    }
    rlp_end_list(out, logs);
    rlp_end_list(out, list);
}

static size_t fake_tx_end(const struct fake_block *b, size_t from)
{
    size_t end = from + 1;
    while (end < b->log_count && hash_equal(&b->logs[end].tx, &b->logs[from].tx)) {
        end++;
    }
    return end;
}

/* The roots of a block with logs; others keep what tells them apart, and nobody proves them. */
static void fake_roots(struct fake_node *n, const struct fake_block *b, struct hash *out_txs,
                       struct hash *out_receipts)
{
    *out_txs = (struct hash){{0}};
    *out_receipts = b->logs_hash;
    if (b->log_count == 0) {
        return;
    }
    size_t count = fake_log_txs(b, b->log_count);
    struct slice *txs = arena_alloc_array(&n->boot, count, sizeof *txs);
    struct slice *receipts = arena_alloc_array(&n->boot, count, sizeof *receipts);
    size_t at = 0;
    for (size_t from = 0; from < b->log_count; from = fake_tx_end(b, from), at++) {
        struct buf buf;
        buf_init(&buf, &n->boot, 128);
        fake_deposit(&buf, &b->logs[from].tx);
        txs[at] = buf_slice(&buf);
        buf_init(&buf, &n->boot, 512);
        fake_receipt_rlp(&buf, b, from, fake_tx_end(b, from));
        receipts[at] = buf_slice(&buf);
    }
    *out_txs = trie_root_of_list(&n->boot, txs, count);
    *out_receipts = trie_root_of_list(&n->boot, receipts, count);
}

/* ---- answers ---- */

/* The faults of an answer with receipts; they are used up by it. */
struct fake_twist {
    bool empty;
    bool drop;
    bool alter;
    bool rename;
};

static void fake_log_receipt(struct json_out *j, const struct fake_block *b, size_t from,
                             struct fake_twist *twist)
{
    static const uint8_t zeros[ADDRESS_BYTES];
    uint8_t bloom[EVM_BLOOM_BYTES] = {0};
    size_t end = fake_tx_end(b, from);
    struct hash hash = fake_log_tx(&b->logs[from].tx);
    for (size_t i = from; i < end; i++) {
        fake_log_bloom(bloom, &b->logs[i]);
    }
    hash.bytes[0] = (uint8_t)(hash.bytes[0] ^ (twist->rename ? 1 : 0));
    json_begin_object(j);
    fake_json_number(j, "type", FAKE_DEPOSIT);
    fake_json_number(j, "status", 1);
    fake_json_number(j, "cumulativeGasUsed", end);
    json_key(j, "logsBloom");
    json_hex(j, slice_of(bloom, sizeof bloom));
    fake_json_hash(j, "transactionHash", &hash);
    fake_json_hash(j, "blockHash", &b->hash);
    fake_json_number(j, "blockNumber", b->number);
    fake_json_number(j, "transactionIndex", fake_log_txs(b, from));
    json_key(j, "from");
    json_hex(j, slice_of(zeros, sizeof zeros));
    fake_json_number(j, "gasUsed", 1);
    fake_json_number(j, "effectiveGasPrice", 0);
    json_key(j, "logs");
    json_begin_array(j);
    for (size_t i = from; i < end; i++) {
        if (twist->drop) {
            twist->drop = false;
            continue;
        }
        uint8_t twisted = twist->alter ? 1 : 0;
        twist->alter = false;
        b->logs[i].data[0] ^= twisted;
        fake_log_json_as(j, b, i, &hash);
        b->logs[i].data[0] ^= twisted;
    }
    json_end_array(j);
    json_end_object(j);
}

static int fake_by_hash(const struct fake_node *n, const struct json *v)
{
    struct hash hash;
    int block = FAKE_NO_BLOCK;
    ASSERT(hash_parse(v->text, &hash) == OK);
    for (int i = 0; i < n->block_count; i++) {
        block = hash_equal(&n->blocks[i].hash, &hash) ? i : block;
    }
    return block;
}

static struct fake_twist fake_next_twist(struct fake_faults *f)
{
    struct fake_twist t = {
        .empty = f->logs_empty > 0,
        .drop = f->logs_drop > 0,
        .alter = f->logs_alter > 0,
        .rename = f->txs_rename > 0,
    };
    f->logs_empty -= t.empty;
    f->logs_drop -= t.drop;
    f->logs_alter -= t.alter;
    f->txs_rename -= t.rename;
    return t;
}

static void fake_get_block_receipts(struct fake_call *c)
{
    struct fake_node *n = c->node;
    int block = fake_by_hash(n, json_at(c->params, 0));
    if (n->faults.no_block_receipts) {
        c->error = "{\"code\":-32601,\"message\":\"the method does not exist\"}";
        return;
    }
    if (block < 0) {
        json_null(c->j);
        return;
    }
    struct fake_twist twist = fake_next_twist(&n->faults);
    const struct fake_block *b = &n->blocks[block];
    json_begin_array(c->j);
    for (size_t i = 0; !twist.empty && i < b->log_count; i = fake_tx_end(b, i)) {
        fake_log_receipt(c->j, b, i, &twist);
    }
    json_end_array(c->j);
}

static void fake_get_block_by_hash(struct fake_call *c)
{
    static const uint8_t zeros[ADDRESS_BYTES];
    int block = fake_by_hash(c->node, json_at(c->params, 0));
    if (block < 0) {
        json_null(c->j);
        return;
    }
    const struct fake_block *b = &c->node->blocks[block];
    json_begin_object(c->j);
    fake_json_hash(c->j, "hash", &b->hash);
    json_key(c->j, "transactions");
    json_begin_array(c->j);
    for (size_t i = 0; i < b->log_count; i = fake_tx_end(b, i)) {
        json_begin_object(c->j);
        fake_json_number(c->j, "type", FAKE_DEPOSIT);
        fake_json_hash(c->j, "sourceHash", &b->logs[i].tx);
        json_key(c->j, "from");
        json_hex(c->j, slice_of(zeros, sizeof zeros));
        json_key(c->j, "to");
        json_hex(c->j, slice_of(zeros, sizeof zeros));
        fake_json_number(c->j, "value", c->node->faults.txs_alter > 0 ? 1 : 0);
        c->node->faults.txs_alter -= c->node->faults.txs_alter > 0;
        fake_json_number(c->j, "gas", 0);
        json_key(c->j, "input");
        json_text(c->j, "0x");
        json_end_object(c->j);
    }
    json_end_array(c->j);
    json_end_object(c->j);
}

/* Answers about a transaction that logged something, if there is one of that hash. */
static bool fake_get_log_receipt(struct fake_call *c, const struct hash *hash)
{
    const struct fake_node *n = c->node;
    for (int at = c->head; at >= 0; at = n->blocks[at].parent) {
        const struct fake_block *b = &n->blocks[at];
        for (size_t i = 0; i < b->log_count; i = fake_tx_end(b, i)) {
            struct hash here = fake_log_tx(&b->logs[i].tx);
            if (hash_equal(&here, hash)) {
                struct fake_twist twist = fake_next_twist(&c->node->faults);
                fake_log_receipt(c->j, b, i, &twist);
                return true;
            }
        }
    }
    return false;
}
