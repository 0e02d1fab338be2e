#include "kernel/chain/chain_compare.h"

#include "kernel/base/check.h"
#include "kernel/chain/chain_internal.h"
#include "kernel/chain/chain_sql.h"

/* An event as a row says it, or as it would. */
struct event_row {
    uint64_t block;
    uint32_t log_index;
    struct hash block_hash;
    struct hash tx_hash;
    struct address address;
    struct slice type;
    struct slice data; /* canonical JSON: databases write it in their own way */
};

struct range {
    struct chain *chain;
    uint64_t from;
    uint64_t to;
    struct chain_position at;
    struct event_row *stored;
    size_t stored_count;
    size_t stored_cap;
};

static enum err canonical(struct arena *arena, struct slice text, struct slice *out,
                          struct why *why)
{
    const struct json *v = NULL;
    struct buf b;
    enum err e = json_parse(arena, text, &json_limits_node, &v, why);
    if (e == OK) {
        buf_init(&b, arena, text.len);
        e = json_canonical(&b, v, why);
    }
    if (e == OK) {
        *out = buf_slice(&b);
    }
    return e;
}

/* ---- what is stored ---- */

static struct event_row *add_row(struct range *r)
{
    if (r->stored_count == r->stored_cap) {
        size_t cap = r->stored_cap > 0 ? 2 * r->stored_cap : 64;
        struct event_row *more = arena_alloc_array(&r->chain->step, cap, sizeof *more);
        if (r->stored_count > 0) {
            memcpy(more, r->stored, r->stored_count * sizeof *more);
        }
        r->stored = more;
        r->stored_cap = cap;
    }
    return &r->stored[r->stored_count++];
}

static enum err read_rows(struct store_tx *tx, struct range *r, struct why *why)
{
    struct arena *arena = &r->chain->step;
    struct store_query q;
    enum err e = OK;
    store_begin(&q, tx, &chain_sql_events_range);
    store_bind_i64(&q, "chain_id", (int64_t)r->chain->config.chain_id);
    store_bind_i64(&q, "from_block", (int64_t)r->from);
    store_bind_i64(&q, "to_block", (int64_t)r->to);
    while (e == OK && store_step(&q)) {
        struct event_row *row = add_row(r);
        row->block = (uint64_t)store_get_i64(&q, "block_number");
        row->log_index = (uint32_t)store_get_i64(&q, "log_index");
        store_get_fixed(&q, "block_hash", row->block_hash.bytes, HASH_BYTES);
        store_get_fixed(&q, "transaction_hash", row->tx_hash.bytes, HASH_BYTES);
        store_get_fixed(&q, "contract_address", row->address.bytes, ADDRESS_BYTES);
        row->type = store_get_text(&q, "event_type", arena);
        e = canonical(arena, store_get_text(&q, "event_data", arena), &row->data, why);
    }
    enum err finished = store_finish(&q, NULL, e == OK ? why : NULL);
    return e != OK ? e : finished;
}

/* Rows and cursor are of one moment. */
static enum err read_stored(struct store_tx *tx, void *ctx, struct why *why)
{
    struct range *r = ctx;
    enum err e = chain_position_read(tx, r->chain->config.chain_id, &r->at, why);
    return e == OK ? read_rows(tx, r, why) : e;
}

/* ---- what the chain has ---- */

static enum err not_ours(const struct range *r, struct why *why)
{
    return why_set(why, ERR_CONFLICT, NULL,
                   "the blocks up to %llu that were applied are not the node's at the moment; try "
                   "again when the follower has caught up",
                   (unsigned long long)r->at.block);
}

static enum err read_blocks(struct range *r, struct chain_batch *batch, struct why *why)
{
    struct chain *chain = r->chain;
    size_t count = (size_t)(r->to - r->from + 1);
    struct evm_header *headers = arena_alloc_array(&chain->step, count, sizeof *headers);
    size_t got = 0;
    enum err e = rpc_headers(chain->rpc, &chain->step, r->from, count, headers, &got, why);
    if (e != OK) {
        return e;
    }
    bool linked = got == count;
    for (size_t i = 1; linked && i < count; i++) {
        linked = hash_equal(&headers[i].parent_hash, &headers[i - 1].hash);
    }
    const struct evm_header *last = &headers[count - 1];
    if (!linked || (r->to == r->at.block && !hash_equal(&last->hash, &r->at.hash))) {
        return not_ours(r, why);
    }
    batch->headers = headers;
    batch->header_count = count;
    e = rpc_confirm(chain->rpc, last->number, &last->hash, why);
    return e == OK ? chain_collect(chain, batch, why) : e;
}

/* ---- comparing ---- */

static void digest_row(struct keccak *k, const struct event_row *row)
{
    char place[48];
    int len =
        snprintf(place, sizeof place, "%llu/%u/", (unsigned long long)row->block, row->log_index);
    keccak_update(k, slice_of(place, (size_t)len));
    keccak_update(k, hash_slice(&row->block_hash));
    keccak_update(k, hash_slice(&row->tx_hash));
    keccak_update(k, slice_of(row->address.bytes, ADDRESS_BYTES));
    struct hash type = keccak256(row->type);
    struct hash data = keccak256(row->data);
    keccak_update(k, hash_slice(&type));
    keccak_update(k, hash_slice(&data));
}

static int compare_places(const struct event_row *a, const struct event_row *b)
{
    if (a->block != b->block) {
        return a->block < b->block ? -1 : 1;
    }
    return a->log_index < b->log_index ? -1 : a->log_index > b->log_index;
}

/* What two rows of one place differ in, or NULL. */
static const char *differing(const struct event_row *stored, const struct event_row *right)
{
    if (!hash_equal(&stored->block_hash, &right->block_hash)) {
        return "has another block's hash";
    }
    if (!hash_equal(&stored->tx_hash, &right->tx_hash)) {
        return "names another transaction";
    }
    if (memcmp(&stored->address, &right->address, sizeof stored->address) != 0) {
        return "names another contract";
    }
    if (!slice_equal(stored->type, right->type)) {
        return "is of another type";
    }
    return slice_equal(stored->data, right->data) ? NULL : "has other data";
}

static void differ(struct chain_comparison *out, const struct event_row *at, const char *what)
{
    out->equal = false;
    out->block = at->block;
    out->log_index = at->log_index;
    out->difference = what;
}

/* Walks both lists; the first difference ends it. */
static void compare_lists(const struct range *r, const struct event_row *right, size_t right_count,
                          struct chain_comparison *out)
{
    size_t s = 0;
    for (size_t c = 0; out->equal && (c < right_count || s < r->stored_count);) {
        bool only_stored = c == right_count;
        bool only_right = s == r->stored_count;
        int order = only_stored ? -1 : only_right ? 1 : compare_places(&r->stored[s], &right[c]);
        if (order < 0) {
            differ(out, &r->stored[s], "is stored and not on the chain");
        } else if (order > 0) {
            differ(out, &right[c], "is on the chain and not stored");
        } else {
            const char *what = differing(&r->stored[s++], &right[c++]);
            if (what != NULL) {
                differ(out, &right[c - 1], what);
            }
        }
    }
}

static enum err rows_of_items(struct arena *arena, const struct chain_batch *batch,
                              struct event_row **out, struct why *why)
{
    struct event_row *rows = arena_alloc_array(arena, batch->item_count, sizeof *rows);
    for (size_t i = 0; i < batch->item_count; i++) {
        const struct chain_item *item = &batch->items[i];
        rows[i] = (struct event_row){
            .block = item->log.block_number,
            .log_index = item->log.log_index,
            .block_hash = item->log.block_hash,
            .tx_hash = item->log.tx_hash,
            .address = item->log.address,
            .type = chain_event_type(item),
        };
        enum err e = canonical(arena, chain_event_data(arena, item), &rows[i].data, why);
        if (e != OK) {
            return e;
        }
    }
    *out = rows;
    return OK;
}

/* One range; the digest takes the rows that are stored. */
static enum err compare_range(struct chain *chain, uint64_t from, uint64_t to, struct keccak *k,
                              struct chain_comparison *out, struct why *why)
{
    struct range r = {.chain = chain, .from = from, .to = to};
    struct chain_batch batch = {.chain = chain};
    struct event_row *right = NULL;
    arena_clear(&chain->step);
    enum err e = store_read(chain->store, read_stored, &r, why);
    if (e == OK) {
        e = chain_followed_load(chain, &r.at, why);
    }
    if (e == OK && to > r.at.block) {
        return not_ours(&r, why);
    }
    batch.head = r.at.block;
    if (e == OK) {
        e = read_blocks(&r, &batch, why);
    }
    if (e == OK) {
        e = rows_of_items(&chain->step, &batch, &right, why);
    }
    if (e != OK) {
        return e;
    }
    compare_lists(&r, right, batch.item_count, out);
    for (size_t i = 0; out->equal && i < r.stored_count; i++) {
        digest_row(k, &r.stored[i]);
    }
    out->events += out->equal ? r.stored_count : 0;
    return OK;
}

static enum err read_position(struct store_tx *tx, void *ctx, struct why *why)
{
    struct range *r = ctx;
    return chain_position_read(tx, r->chain->config.chain_id, &r->at, why);
}

enum err chain_compare(struct chain *chain, uint64_t from, uint64_t to,
                       struct chain_comparison *out, struct why *why)
{
    struct range whole = {.chain = chain};
    struct keccak k;
    ASSERT(!chain->running);
    enum err e = store_read(chain->store, read_position, &whole, why);
    if (e == OK && !whole.at.found) {
        e = why_set(why, ERR_NOT_FOUND, NULL, "chain %llu was not followed yet",
                    (unsigned long long)chain->config.chain_id);
    }
    if (e != OK) {
        return e;
    }
    struct chain_comparison c = {.from = from > 0 ? from : 1, .equal = true};
    c.to = to < whole.at.block ? to : whole.at.block;
    keccak_init(&k);
    for (uint64_t at = c.from; c.equal && at <= c.to;) {
        uint64_t left = c.to - at + 1;
        uint64_t span = left < chain->config.range_max ? left : chain->config.range_max;
        e = compare_range(chain, at, at + span - 1, &k, &c, why);
        if (e == OK && !c.equal) {
            /* Was it a reorganisation between the two readings? Then not again. */
            c.equal = true;
            e = compare_range(chain, at, at + span - 1, &k, &c, why);
        }
        if (e != OK) {
            return e;
        }
        at += span;
    }
    keccak_final(&k, &c.digest);
    *out = c;
    return OK;
}
