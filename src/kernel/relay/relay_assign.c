/*
 * relay_assign.c: nonces and bytes for those that passed.
 *
 * Bytes are made between transactions, from the wallet's row as it was read. The storing
 * transaction locks that row: what it says must be what the bytes were made from. Then it locks the
 * intents: each must still be queued. From the first one that is not, the wallet's other bytes of
 * this pass have nonces with a hole before them, so they are dropped. Nobody has seen them but the
 * signer. What is left is stored, for all wallets together.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_queue.h"
#include "kernel/relay/relay_sql.h"

/* ---- before the transaction ---- */

static struct relay_turn *turn_of(const struct relay_queue *queue, const struct address *wallet)
{
    for (size_t i = 0; i < queue->turn_count; i++) {
        if (address_equal(queue->turns[i].address, wallet)) {
            return &queue->turns[i];
        }
    }
    return NULL;
}

static void make_turns(struct relay_queue *queue)
{
    queue->turns = arena_alloc_array(&queue->relay->step, queue->count, sizeof *queue->turns);
    queue->turn_count = 0;
    for (size_t i = 0; i < queue->count; i++) {
        const struct relay_candidate *c = &queue->items[i];
        if (c->fate == RELAY_SIGN && turn_of(queue, &c->wallet) == NULL) {
            queue->turns[queue->turn_count++] = (struct relay_turn){.address = &c->wallet};
        }
    }
}

/* Who else has the key is found out here, before a nonce is given out that is gone. */
static enum err ask_counts(struct relay_queue *queue, struct why *why)
{
    struct arena *arena = &queue->relay->step;
    size_t n = queue->turn_count;
    const struct address **wallets = arena_alloc_array(arena, n, sizeof(const struct address *));
    uint64_t *mined = arena_alloc_array(arena, n, sizeof *mined);
    uint64_t *pending = arena_alloc_array(arena, n, sizeof *pending);
    for (size_t i = 0; i < n; i++) {
        wallets[i] = queue->turns[i].address;
    }
    enum err e = n > 0 ? relay_counts(queue->relay, wallets, n, mined, pending, why) : OK;
    for (size_t i = 0; e == OK && i < n; i++) {
        queue->turns[i].next = pending[i];
    }
    return e;
}

static enum err read_stored(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                            uint64_t *out, struct why *why)
{
    struct store_query q;
    uint64_t next = 0;
    store_begin(&q, tx, &relay_sql_wallet_next);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_bytes(&q, "address", address_slice(wallet));
    if (store_step(&q)) {
        next = (uint64_t)store_get_i64(&q, "next_nonce");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = next;
    }
    return e;
}

static enum err read_under_way(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                               uint64_t *out, struct why *why)
{
    struct store_query q;
    uint64_t count = 0;
    store_begin(&q, tx, &relay_sql_inflight_count);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_bytes(&q, "wallet", address_slice(wallet));
    if (store_step(&q)) {
        count = (uint64_t)store_get_i64(&q, "inflight");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = count;
    }
    return e;
}

static enum err read_turns(struct store_tx *tx, void *ctx, struct why *why)
{
    struct relay_queue *queue = ctx;
    uint64_t chain_id = queue->relay->chain_id;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < queue->turn_count; i++) {
        struct relay_turn *t = &queue->turns[i];
        e = read_stored(tx, chain_id, t->address, &t->stored, why);
        if (e == OK) {
            e = read_under_way(tx, chain_id, t->address, &t->under_way, why);
        }
    }
    return e;
}

static void make_bytes(const struct relay_queue *queue, struct relay_turn *turn,
                       struct relay_candidate *c)
{
    struct relay *relay = queue->relay;
    struct relay_offer offer;
    relay_fee_offer(relay, &queue->fee, c->priority, &offer);
    c->content = (struct tx){
        .kind = offer.legacy ? TX_LEGACY : TX_EIP1559,
        .chain_id = relay->chain_id,
        .nonce = turn->next,
        .fee_max = offer.max,
        .fee_priority = offer.priority,
        .gas_limit = c->gas_limit,
        .has_to = c->has_to,
        .to = c->to,
        .value = c->value,
        .data = c->data,
    };
    enum err e = relay_sign(relay, &c->wallet, c->role, &c->content, &c->raw, &c->hash, &c->why);
    if (e == ERR_POLICY_REFUSED) {
        relay_fail(c, e);
        return;
    }
    if (e != OK) {
        /* A signer that is away must not hold up the other wallets; no nonce was taken. */
        relay_put_off(c, e, RELAY_RETRY_USEC);
        return;
    }
    turn->next++;
    turn->under_way++;
}

enum err relay_assign(struct relay_queue *queue, struct why *why)
{
    make_turns(queue);
    enum err e = ask_counts(queue, why);
    if (e == OK) {
        e = store_read(queue->relay->store, read_turns, queue, why);
    }
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < queue->turn_count; i++) {
        struct relay_turn *t = &queue->turns[i];
        t->next = t->stored > t->next ? t->stored : t->next;
        t->first = t->next;
    }
    for (size_t i = 0; i < queue->count; i++) {
        struct relay_candidate *c = &queue->items[i];
        struct relay_turn *t = c->fate == RELAY_SIGN ? turn_of(queue, &c->wallet) : NULL;
        if (t != NULL && t->under_way < queue->relay->config.inflight_max) {
            make_bytes(queue, t, c);
        }
    }
    return OK;
}

/* ---- in the transaction ---- */

static bool has_bytes(const struct relay_candidate *c)
{
    return c->fate == RELAY_SIGN && c->raw.len > 0;
}

/* Whether this transaction stores something of a wallet. */
static bool has_bytes_of(const struct relay_queue *queue, const struct relay_turn *turn)
{
    for (size_t i = queue->from; i < queue->to; i++) {
        const struct relay_candidate *c = &queue->items[i];
        if (has_bytes(c) && address_equal(&c->wallet, turn->address)) {
            return true;
        }
    }
    return false;
}

/*
 * The row must say what it said when the bytes were made. A nonce that the node knows of and the
 * row does not is somebody else's. It stays locked, so that all bytes of the turn are behind it.
 */
static enum err lock_turns(struct relay_queue *queue, struct store_tx *tx, struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < queue->turn_count; i++) {
        struct relay_turn *t = &queue->turns[i];
        uint64_t next = 0;
        t->broken = t->ended;
        t->taken = t->first;
        if (!t->ended && has_bytes_of(queue, t)) {
            e = relay_nonce_at_least(tx, queue->relay->chain_id, t->address, t->first, &next, why);
            t->broken = e == OK && next != t->first;
        }
    }
    return e;
}

/*
 * Locks the intents whose bytes may be stored: up to the first of each wallet that is not queued
 * any more (cancelled meanwhile), because its nonce is not taken. `told` gets their rows.
 */
static enum err lock_intents(struct relay_queue *queue, struct store_tx *tx,
                             struct relay_told *told, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &relay_sql_intent_lock);
    for (size_t i = queue->from; i < queue->to; i++) {
        struct relay_candidate *c = &queue->items[i];
        c->locked = has_bytes(c) && !turn_of(queue, &c->wallet)->broken;
        if (c->locked) {
            store_bind_text(&q, "intent_id", c->id);
            store_row(&q);
        }
    }
    bool more = store_step(&q);
    struct relay_row row;
    if (more) {
        relay_row_take(&q, told->arena, &row);
    }
    for (size_t i = queue->from; i < queue->to; i++) {
        struct relay_candidate *c = &queue->items[i];
        if (!c->locked) {
            continue;
        }
        struct relay_turn *t = turn_of(queue, &c->wallet);
        bool found = more && slice_equal(row.id, c->id);
        c->locked = found && !t->broken;
        t->broken = !c->locked;
        if (c->locked) {
            *relay_told_add(told) = row;
        }
        more = found ? store_step(&q) : more;
        if (found && more) {
            relay_row_take(&q, told->arena, &row);
        }
    }
    return store_finish(&q, NULL, why);
}

/* Writes states; what is told is what was locked, with that. */
static enum err store_states(struct relay_queue *queue, struct store_tx *tx,
                             struct relay_told *told, struct why *why)
{
    int64_t now = clock_wall_usec();
    int64_t changed = 0;
    size_t n = 0;
    struct store_query q;
    store_begin_rows(&q, tx, &relay_sql_intent_sign);
    for (size_t i = queue->from; i < queue->to; i++) {
        const struct relay_candidate *c = &queue->items[i];
        if (!c->locked) {
            continue;
        }
        store_bind_text(&q, "intent_id", c->id);
        store_bind_i64(&q, "nonce", (int64_t)c->content.nonce);
        store_bind_bytes(&q, "transaction_hash", hash_slice(&c->hash));
        store_bind_time(&q, "now", now);
        store_row(&q);
        struct relay_row *row = &told->rows[n++];
        row->state = RELAY_SIGNED;
        row->has_nonce = true;
        row->nonce = c->content.nonce;
        row->has_hash = true;
        row->hash = c->hash;
        row->attempts = 1;
        row->updated_usec = now;
    }
    enum err e = store_finish(&q, &changed, why);
    ASSERT(e != OK || (size_t)changed == n); /* they are locked */
    return e;
}

static enum err store_bytes(struct relay_queue *queue, struct store_tx *tx, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &relay_sql_attempt_insert);
    for (size_t i = queue->from; i < queue->to; i++) {
        const struct relay_candidate *c = &queue->items[i];
        if (c->locked) {
            relay_attempt_bind(&q, c->id, 1, &c->content, false, c->raw, &c->hash);
            store_row(&q);
            turn_of(queue, &c->wallet)->taken = c->content.nonce + 1;
        }
    }
    return store_finish(&q, NULL, why);
}

enum err relay_store_signed(struct relay_queue *queue, struct store_tx *tx, struct why *why)
{
    struct relay_told told;
    relay_told_init(&told, &queue->relay->step, queue->to - queue->from);
    for (size_t i = queue->from; i < queue->to; i++) {
        queue->items[i].locked = false;
    }
    enum err e = lock_turns(queue, tx, why);
    if (e == OK) {
        e = lock_intents(queue, tx, &told, why);
    }
    if (e == OK) {
        e = store_states(queue, tx, &told, why);
    }
    if (e == OK) {
        e = store_bytes(queue, tx, why);
    }
    for (size_t i = 0; e == OK && i < queue->turn_count; i++) {
        const struct relay_turn *t = &queue->turns[i];
        if (t->taken > t->first) {
            e = relay_nonce_put(tx, queue->relay->chain_id, t->address, t->taken, why);
        }
    }
    if (e == OK) {
        e = relay_tell_all(queue->relay, tx, &told, why);
    }
    for (size_t i = queue->from; e == OK && i < queue->to; i++) {
        queue->items[i].done = queue->items[i].locked;
    }
    return e;
}

void relay_signed_stored(struct relay_queue *queue)
{
    for (size_t i = 0; i < queue->turn_count; i++) {
        queue->turns[i].first = queue->turns[i].taken;
        queue->turns[i].ended = queue->turns[i].broken;
    }
}
