#include "kernel/evm/proof.h"

#include "kernel/evm/member.h"
#include "kernel/evm/receipt.h"
#include "kernel/evm/trie.h"
#include "kernel/evm/tx_node.h"

static enum err lied(struct why *why, const struct evm_header *header, const char *what)
{
    return why_set(why, ERR_NODE_LIED, NULL, "The node's %s of block %llu.", what,
                   (unsigned long long)header->number);
}

/* What of a log does not follow from the receipts is what its receipt and its place say. */
static bool log_is_at(const struct evm_log *log, const struct evm_header *header,
                      const struct receipt *r, size_t tx_index, size_t log_index)
{
    return log->block_number == header->number && hash_equal(&log->block_hash, &header->hash) &&
           hash_equal(&log->tx_hash, &r->tx_hash) && log->tx_index == tx_index &&
           log->log_index == log_index && !log->removed;
}

/* A type that is not known here may have another form; then the difference says nothing. */
static enum err not_the_root(const struct receipt *receipts, size_t count,
                             const struct evm_header *header, struct why *why)
{
    for (size_t i = 0; i < count; i++) {
        if (!receipt_type_known(receipts[i].type)) {
            return why_set(why, ERR_NODE_UNKNOWN, NULL,
                           "Block %llu has receipts of type %u, which is not known here: they "
                           "cannot be verified.",
                           (unsigned long long)header->number, receipts[i].type);
        }
    }
    return lied(why, header, "receipts are not those");
}

enum err proof_of_receipts(struct arena *arena, const struct json *const *receipts, size_t count,
                           const struct evm_header *header, struct evm_log **out_logs,
                           size_t *out_log_count, struct hash **out_txs, struct why *why)
{
    struct receipt *read = arena_alloc_array(arena, count, sizeof(*read));
    struct hash *txs = arena_alloc_array(arena, count, sizeof(*txs));
    size_t log_count = 0;
    for (size_t i = 0; i < count; i++) {
        enum err e = receipt_parse(arena, receipts[i], &read[i], why);
        if (e != OK) {
            return e;
        }
        txs[i] = read[i].tx_hash;
        log_count += read[i].log_count;
    }
    struct hash root = receipts_root(arena, read, count);
    if (!hash_equal(&root, &header->receipts_root)) {
        return not_the_root(read, count, header, why);
    }
    struct evm_log *logs = arena_alloc_array(arena, log_count, sizeof(*logs));
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < read[i].log_count; k++) {
            if (!log_is_at(&read[i].logs[k], header, &read[i], i, at)) {
                return lied(why, header, "receipts give logs other places than they have, those");
            }
            logs[at++] = read[i].logs[k];
        }
    }
    *out_logs = logs;
    *out_log_count = log_count;
    *out_txs = txs;
    return OK;
}

/*
 * Development nodes let accounts send that nobody has the key of, and name such a transaction as
 * they like. No chain with signatures has one, which the root proves; so the name is taken as it
 * is.
 */
static bool is_unsigned(const struct json *v)
{
    struct u256 r, s;
    uint64_t type = 0;
    return (member_find(v, "type") == NULL || member_u64(v, "type", &type, NULL) == OK) &&
           type != RECEIPT_TYPE_DEPOSIT && member_u256(v, "r", &r, NULL) == OK &&
           member_u256(v, "s", &s, NULL) == OK && u256_is_zero(r) && u256_is_zero(s);
}

static enum err name_of(const struct json *v, struct slice encoded, struct hash *out,
                        struct why *why)
{
    if (is_unsigned(v)) {
        return member_hash(v, "hash", out, why);
    }
    *out = keccak256(encoded);
    return OK;
}

enum err proof_of_transactions(struct arena *arena, const struct json *list,
                               const struct evm_header *header, struct hash **out_hashes,
                               size_t *out_count, struct why *why)
{
    if (list == NULL || list->type != JSON_ARRAY) {
        return member_refuse(why, "transactions", "is not a list");
    }
    struct slice *values = arena_alloc_array(arena, list->count, sizeof(*values));
    struct hash *hashes = arena_alloc_array(arena, list->count, sizeof(*hashes));
    size_t count = 0;
    for (const struct json *v = list->child; v != NULL; v = v->next) {
        struct buf b;
        buf_init(&b, arena, 256);
        enum err e = tx_node_encode(arena, v, &b, why);
        values[count] = buf_slice(&b);
        if (e == OK) {
            e = name_of(v, values[count], &hashes[count], why);
        }
        if (e != OK) {
            return why_prefix_field(why, e, "transactions");
        }
        count++;
    }
    struct hash root = trie_root_of_list(arena, values, count);
    if (!hash_equal(&root, &header->transactions_root)) {
        return lied(why, header, "transactions are not those");
    }
    *out_hashes = hashes;
    *out_count = count;
    return OK;
}
