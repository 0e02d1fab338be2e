#include "kernel/x402/x402_channels.h"

#include <string.h>

#include "kernel/base/check.h"
#include "kernel/base/rand.h"
#include "kernel/x402/x402_channels_sql.h"

#define FRESH_USEC_MIN (30 * USEC_PER_SEC)
#define FRESH_USEC_MAX (300 * USEC_PER_SEC)

struct x402_channel_key x402_channel_key_of(const struct x402_batch_offer *offer,
                                            const struct x402_batch_payment *payment)
{
    return (struct x402_channel_key){.chain_id = offer->escrow.chain_id,
                                     .channel_id = payment->channel_id};
}

struct x402_channel_hold x402_channel_token(int64_t now_usec, int64_t usec)
{
    struct x402_channel_hold hold = {.until_usec = now_usec + usec};
    rand_bytes(hold.token.bytes, HASH_BYTES);
    return hold;
}

int64_t x402_channel_fresh_usec(uint64_t withdraw_delay)
{
    ASSERT(withdraw_delay <= X402_BATCH_DELAY_MAX);
    int64_t third = (int64_t)withdraw_delay * USEC_PER_SEC / 3;
    return third < FRESH_USEC_MIN   ? FRESH_USEC_MIN
           : third > FRESH_USEC_MAX ? FRESH_USEC_MAX
                                    : third;
}

static void begin_for(struct store_query *q, struct store_tx *tx, const struct store_statement *s,
                      const struct x402_channel_key *key)
{
    store_begin(q, tx, s);
    store_bind_i64(q, "chain_id", (int64_t)key->chain_id);
    store_bind_bytes(q, "channel_id", hash_slice(&key->channel_id));
}

/* ---- what the chain says ---- */

static void bind_chain(struct store_query *q, const struct x402_channel_state *s,
                       uint64_t block_number, int64_t now_usec)
{
    store_bind_u256(q, "balance", s->balance);
    store_bind_u256(q, "claimed", s->claimed);
    store_bind_u256(q, "withdrawing", s->withdrawing);
    store_bind_i64(q, "withdraw_requested_at", (int64_t)s->withdraw_requested_at);
    store_bind_u256(q, "refund_nonce", s->refund_nonce);
    store_bind_i64(q, "block", (int64_t)block_number);
    store_bind_time(q, "now", now_usec);
}

enum err x402_channel_sync(struct store_tx *tx, const struct x402_escrow *escrow,
                           const struct x402_channel *c, const struct x402_channel_state *state,
                           uint64_t block_number, int64_t now_usec, struct why *why)
{
    struct x402_channel_key key = {escrow->chain_id, x402_channel_id(escrow, c)};
    int64_t changed = 0;
    struct store_query q;
    begin_for(&q, tx, &x402_channels_sql_open, &key);
    store_bind_bytes(&q, "escrow", address_slice(&escrow->contract));
    store_bind_bytes(&q, "payer", address_slice(&c->payer));
    store_bind_bytes(&q, "payer_authorizer", address_slice(&c->payer_authorizer));
    store_bind_bytes(&q, "receiver", address_slice(&c->receiver));
    store_bind_bytes(&q, "receiver_authorizer", address_slice(&c->receiver_authorizer));
    store_bind_bytes(&q, "token", address_slice(&c->token));
    store_bind_i64(&q, "withdraw_delay", (int64_t)c->withdraw_delay);
    store_bind_bytes(&q, "salt", hash_slice(&c->salt));
    bind_chain(&q, state, block_number, now_usec);
    enum err e = store_finish(&q, &changed, why);
    if (e != OK || changed == 1) {
        return e;
    }
    begin_for(&q, tx, &x402_channels_sql_sync, &key);
    bind_chain(&q, state, block_number, now_usec);
    return store_finish(&q, NULL, why);
}

/* ---- reading ---- */

/* get_signature reads a signature that was checked before it was written. */
static struct signature get_signature(struct store_query *q, struct arena *arena)
{
    struct signature signature = {.v = 0};
    struct slice bytes = store_get_bytes(q, "signature", arena);
    if (bytes.len == SIGNATURE_BYTES) {
        memcpy(signature.r, bytes.ptr, sizeof(signature.r));
        memcpy(signature.s, bytes.ptr + sizeof(signature.r), sizeof(signature.s));
        signature.v = bytes.ptr[SIGNATURE_BYTES - 1];
    }
    return signature;
}

static void get_channel(struct store_query *q, struct x402_channel *c)
{
    store_get_fixed(q, "payer", c->payer.bytes, ADDRESS_BYTES);
    store_get_fixed(q, "payer_authorizer", c->payer_authorizer.bytes, ADDRESS_BYTES);
    store_get_fixed(q, "receiver", c->receiver.bytes, ADDRESS_BYTES);
    store_get_fixed(q, "token", c->token.bytes, ADDRESS_BYTES);
    c->withdraw_delay = (uint64_t)store_get_i64(q, "withdraw_delay");
    store_get_fixed(q, "salt", c->salt.bytes, HASH_BYTES);
}

static void get_state(struct store_query *q, struct arena *arena, struct x402_channel_state *s)
{
    s->charged = store_get_u256(q, "charged");
    s->signed_max = store_get_u256(q, "signed_max");
    s->signature = get_signature(q, arena);
    s->balance = store_get_u256(q, "balance");
    s->claimed = store_get_u256(q, "claimed");
    s->withdrawing = store_get_u256(q, "withdrawing");
    s->withdraw_requested_at = (uint64_t)store_get_i64(q, "withdraw_requested_at");
    s->refund_nonce = store_get_u256(q, "refund_nonce");
}

enum err x402_channel_get(struct store_tx *tx, struct arena *arena,
                          const struct x402_channel_key *key, struct x402_channel_row *out,
                          struct why *why)
{
    struct x402_channel_row row = {.served = false};
    struct store_query q;
    begin_for(&q, tx, &x402_channels_sql_get, key);
    if (store_step(&q)) {
        store_get_fixed(&q, "escrow", row.escrow.bytes, ADDRESS_BYTES);
        get_channel(&q, &row.channel);
        store_get_fixed(&q, "receiver_authorizer", row.channel.receiver_authorizer.bytes,
                        ADDRESS_BYTES);
        get_state(&q, arena, &row.state);
        row.synced_usec = store_get_time(&q, "synced_at");
        store_get_fixed(&q, "served_hash", row.served_hash.bytes, HASH_BYTES);
        row.served_price = store_get_u256(&q, "served_price");
        row.served_usec = store_get_time(&q, "served_at");
        row.served = row.served_usec != 0;
        row.claiming = store_get_text(&q, "claim_key", arena).len > 0;
    }
    enum err e = store_finish_one(&q, "channel", why);
    if (e == OK) {
        *out = row;
    }
    return e;
}

/* ---- one request ---- */

/* judge says what may be done with a request, by the row as it is. */
static void judge(const struct x402_channel_request *r, struct x402_channel_answer *a)
{
    const struct x402_channel_state *s = &a->row.state;
    a->verdict = X402_CHANNEL_REFUSED;
    if (!a->has_row || r->now_usec - a->row.synced_usec > r->fresh_usec) {
        a->reason = X402_BATCH_STATE_UNKNOWN;
        return;
    }
    a->reason = x402_batch_check(r->offer, r->payment, s, NULL);
    if (a->reason == X402_BATCH_OK) {
        a->verdict = X402_CHANNEL_RUN;
    } else if (a->row.served && r->payment->type != X402_BATCH_REFUND &&
               u256_equal(r->payment->claimable, s->signed_max) &&
               hash_equal(&r->request_hash, &a->row.served_hash)) {
        a->verdict = X402_CHANNEL_SERVED;
        a->reason = X402_BATCH_OK;
    }
}

static enum err look(struct store_tx *tx, struct arena *arena, const struct x402_channel_request *r,
                     struct x402_channel_answer *out, struct why *why)
{
    struct x402_channel_key key = x402_channel_key_of(r->offer, r->payment);
    struct x402_channel_answer a = {.has_row = true};
    enum err e = x402_channel_get(tx, arena, &key, &a.row, why);
    if (e == ERR_NOT_FOUND) {
        a.has_row = false;
        e = OK;
    }
    if (e == OK) {
        judge(r, &a);
        *out = a;
    }
    return e;
}

/* finish_busy ends a statement that changes nothing where somebody else has the channel. */
static enum err finish_busy(struct store_query *q, struct x402_channel_answer *a, struct why *why)
{
    int64_t changed = 0;
    enum err e = store_finish(q, &changed, why);
    if (e == OK && changed == 0) {
        a->verdict = X402_CHANNEL_REFUSED;
        a->reason = X402_BATCH_BUSY;
    }
    return e;
}

enum err x402_channel_take(struct store_tx *tx, struct arena *arena,
                           const struct x402_channel_request *r,
                           const struct x402_channel_hold *hold, const char *holder,
                           struct x402_channel_answer *out, struct why *why)
{
    struct x402_channel_key key = x402_channel_key_of(r->offer, r->payment);
    struct x402_channel_answer a = {.has_row = false};
    enum err e = look(tx, arena, r, &a, why);
    if (e == OK && a.verdict == X402_CHANNEL_RUN) {
        struct store_query q;
        begin_for(&q, tx, &x402_channels_sql_take, &key);
        store_bind_u256(&q, "charged", a.row.state.charged);
        store_bind_bytes(&q, "token", hash_slice(&hold->token));
        store_bind_text(&q, "holder", slice_text(holder));
        store_bind_time(&q, "until", hold->until_usec);
        store_bind_time(&q, "now", r->now_usec);
        e = finish_busy(&q, &a, why);
    }
    if (e == OK) {
        *out = a;
    }
    return e;
}

/* bind_served binds what both forms of charging write, and puts it into the row. */
static void bind_served(struct store_query *q, const struct x402_channel_request *r,
                        struct u256 charged, struct u256 price, struct x402_channel_row *row)
{
    uint8_t signature[SIGNATURE_BYTES];
    signature_encode(&r->payment->signature, signature);
    store_bind_u256(q, "before", row->state.charged);
    store_bind_u256(q, "charged", charged);
    store_bind_u256(q, "signed_max", r->payment->claimable);
    store_bind_bytes(q, "signature", slice_of(signature, sizeof(signature)));
    store_bind_bytes(q, "served_hash", hash_slice(&r->request_hash));
    store_bind_u256(q, "served_price", price);
    store_bind_time(q, "now", r->now_usec);
    row->state.charged = charged;
    row->state.signed_max = r->payment->claimable;
    row->state.signature = r->payment->signature;
    row->served = true;
    row->served_hash = r->request_hash;
    row->served_price = price;
    row->served_usec = r->now_usec;
}

static enum err total_after(const struct x402_channel_request *r,
                            const struct x402_channel_row *row, struct u256 price, struct u256 *out,
                            struct why *why)
{
    return x402_batch_charge(r->payment, &row->state, price, out, why) == X402_BATCH_OK
               ? OK
               : ERR_INVALID_AMOUNT;
}

enum err x402_channel_commit(struct store_tx *tx, struct arena *arena,
                             const struct x402_channel_request *r,
                             const struct x402_channel_hold *hold, struct u256 price,
                             struct x402_channel_row *out, struct why *why)
{
    struct x402_channel_key key = x402_channel_key_of(r->offer, r->payment);
    struct x402_channel_row row;
    struct u256 charged = U256_ZERO;
    int64_t changed = 0;
    struct store_query q;
    ASSERT(r->payment->type != X402_BATCH_REFUND);
    enum err e = x402_channel_get(tx, arena, &key, &row, why);
    if (e == OK) {
        e = total_after(r, &row, price, &charged, why);
    }
    if (e != OK) {
        return e;
    }
    begin_for(&q, tx, &x402_channels_sql_commit, &key);
    store_bind_bytes(&q, "token", hash_slice(&hold->token));
    bind_served(&q, r, charged, price, &row);
    e = store_finish(&q, &changed, why);
    if (e == OK && changed == 0) {
        e = why_set(why, ERR_CONFLICT, NULL,
                    "The channel is not reserved any more, or does not cover the voucher.");
    }
    if (e == OK) {
        *out = row;
    }
    return e;
}

enum err x402_channel_release(struct store_tx *tx, const struct x402_channel_key *key,
                              const struct x402_channel_hold *hold, struct why *why)
{
    struct store_query q;
    begin_for(&q, tx, &x402_channels_sql_release, key);
    store_bind_bytes(&q, "token", hash_slice(&hold->token));
    return store_finish(&q, NULL, why);
}

/* charge_alone reads the row first, so that it can say what is in the way. */
static enum err charge_alone(struct store_tx *tx, struct arena *arena,
                             const struct x402_channel_request *r, struct u256 price,
                             struct x402_channel_answer *out, struct why *why)
{
    struct x402_channel_key key = x402_channel_key_of(r->offer, r->payment);
    struct x402_channel_answer a = {.has_row = false};
    struct u256 charged = U256_ZERO;
    enum err e = look(tx, arena, r, &a, why);
    if (e == OK && a.verdict == X402_CHANNEL_RUN) {
        e = total_after(r, &a.row, price, &charged, why);
    }
    if (e == OK && a.verdict == X402_CHANNEL_RUN) {
        struct store_query q;
        struct x402_channel_row before = a.row;
        begin_for(&q, tx, &x402_channels_sql_charge, &key);
        bind_served(&q, r, charged, price, &a.row);
        e = finish_busy(&q, &a, why);
        if (a.verdict != X402_CHANNEL_RUN) {
            a.row = before;
        }
    }
    if (e == OK) {
        *out = a;
    }
    return e;
}

/*
 * bind_plain adds a charge to the statement for many: the voucher itself says from which total it
 * goes on. Returns whether there is such a total.
 */
static bool bind_plain(struct store_query *q, struct x402_channel_charge *c)
{
    const struct x402_channel_request *r = &c->request;
    struct x402_channel_key key = x402_channel_key_of(r->offer, r->payment);
    struct u256 before = U256_ZERO;
    struct u256 charged = U256_ZERO;
    c->answer = (struct x402_channel_answer){.verdict = X402_CHANNEL_REFUSED};
    if (u256_sub(r->payment->claimable, r->offer->amount, &before) != OK ||
        u256_add(before, c->price, &charged) != OK ||
        u256_compare(charged, r->payment->claimable) > 0) {
        return false;
    }
    c->answer.row.state.charged = before;
    store_bind_i64(q, "chain_id", (int64_t)key.chain_id);
    store_bind_bytes(q, "channel_id", hash_slice(&key.channel_id));
    bind_served(q, r, charged, c->price, &c->answer.row);
    store_bind_time(q, "oldest", r->now_usec - r->fresh_usec);
    store_row(q);
    return true;
}

static struct x402_channel_charge *charge_of(struct x402_channel_charge *charges, size_t count,
                                             const struct hash *channel_id)
{
    for (size_t i = 0; i < count; i++) {
        if (hash_equal(&charges[i].request.payment->channel_id, channel_id)) {
            return &charges[i];
        }
    }
    return NULL;
}

/* read_plain reads a row that came back: it was charged. */
static void read_plain(struct store_query *q, struct x402_channel_charge *charges, size_t count)
{
    struct hash id;
    store_get_fixed(q, "channel_id", id.bytes, HASH_BYTES);
    struct x402_channel_charge *c = charge_of(charges, count, &id);
    ASSERT(c != NULL);
    struct x402_channel_row *row = &c->answer.row;
    row->escrow = c->request.offer->escrow.contract;
    row->channel = c->request.payment->channel;
    row->state.balance = store_get_u256(q, "balance");
    row->state.claimed = store_get_u256(q, "claimed");
    row->state.withdraw_requested_at = (uint64_t)store_get_i64(q, "withdraw_requested_at");
    row->state.refund_nonce = store_get_u256(q, "refund_nonce");
    row->synced_usec = store_get_time(q, "synced_at");
    row->claiming = store_get_bool(q, "claiming");
    c->answer.has_row = true;
    c->answer.verdict = X402_CHANNEL_RUN;
}

enum err x402_channels_charge(struct store_tx *tx, struct arena *arena,
                              struct x402_channel_charge *charges, size_t count, struct why *why)
{
    struct store_query q;
    size_t plain = 0;
    ASSERT(count <= X402_CHARGES_MAX);
    store_begin_rows(&q, tx, &x402_channels_sql_charge_many);
    for (size_t i = 0; i < count; i++) {
        const struct x402_batch_payment *p = charges[i].request.payment;
        ASSERT(p->type != X402_BATCH_REFUND && charge_of(charges, i, &p->channel_id) == NULL);
        plain += bind_plain(&q, &charges[i]) ? 1 : 0;
    }
    while (plain > 0 && store_step(&q)) {
        read_plain(&q, charges, count);
    }
    enum err e = store_finish(&q, NULL, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        struct x402_channel_charge *c = &charges[i];
        if (c->answer.verdict != X402_CHANNEL_RUN) {
            e = charge_alone(tx, arena, &c->request, c->price, &c->answer, why);
        }
    }
    return e;
}

enum err x402_channel_charge(struct store_tx *tx, struct arena *arena,
                             const struct x402_channel_request *r, struct u256 price,
                             struct x402_channel_answer *out, struct why *why)
{
    struct x402_channel_charge charge = {.request = *r, .price = price};
    enum err e = x402_channels_charge(tx, arena, &charge, 1, why);
    if (e == OK) {
        *out = charge.answer;
    }
    return e;
}

/* ---- claims ---- */

static enum err claimable(struct store_tx *tx, struct arena *arena,
                          const struct x402_claim_filter *filter, struct x402_channel_claim *rows,
                          size_t *out_count, struct why *why)
{
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &x402_channels_sql_claimable);
    store_bind_i64(&q, "chain_id", (int64_t)filter->escrow.chain_id);
    store_bind_bytes(&q, "escrow", address_slice(&filter->escrow.contract));
    store_bind_bytes(&q, "receiver_authorizer", address_slice(&filter->receiver_authorizer));
    store_bind_bool(&q, "leaving_only", filter->leaving_only);
    store_bind_i64(&q, "limit", (int64_t)filter->limit);
    while (store_step(&q) && count < filter->limit) {
        struct x402_channel_claim *c = &rows[count++];
        store_get_fixed(&q, "channel_id", c->channel_id.bytes, HASH_BYTES);
        get_channel(&q, &c->channel);
        c->channel.receiver_authorizer = filter->receiver_authorizer;
        c->total = store_get_u256(&q, "total");
        c->signed_max = store_get_u256(&q, "signed_max");
        c->signature = get_signature(&q, arena);
        c->withdraw_requested_at = (uint64_t)store_get_i64(&q, "withdraw_requested_at");
    }
    *out_count = count;
    return store_finish(&q, NULL, why);
}

enum err x402_channels_claim(struct store_tx *tx, struct arena *arena,
                             const struct x402_claim_filter *filter, struct slice key,
                             struct x402_channel_claim **out, size_t *out_count, struct why *why)
{
    ASSERT(filter->limit > 0 && filter->limit <= X402_CLAIMS_MAX && key.len > 0);
    struct x402_channel_claim *rows = arena_alloc(arena, filter->limit * sizeof(*rows));
    size_t count = 0;
    int64_t changed = 0;
    enum err e = claimable(tx, arena, filter, rows, &count, why);
    if (e == OK && count > 0) {
        struct store_query q;
        store_begin_rows(&q, tx, &x402_channels_sql_claiming);
        for (size_t i = 0; i < count; i++) {
            store_bind_i64(&q, "chain_id", (int64_t)filter->escrow.chain_id);
            store_bind_bytes(&q, "channel_id", hash_slice(&rows[i].channel_id));
            store_bind_text(&q, "claim_key", key);
            store_bind_u256(&q, "claim_total", rows[i].total);
            store_row(&q);
        }
        e = store_finish(&q, &changed, why);
        if (e == OK && changed != (int64_t)count) {
            e = why_set(why, ERR_CONFLICT, NULL, "Another claim took some of the channels.");
        }
    }
    if (e == OK) {
        *out = rows;
        *out_count = count;
    }
    return e;
}

static enum err end_claim(struct store_tx *tx, const struct store_statement *s, struct slice key,
                          struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, s);
    store_bind_text(&q, "claim_key", key);
    return store_finish(&q, NULL, why);
}

enum err x402_channels_claimed(struct store_tx *tx, struct slice key, struct why *why)
{
    return end_claim(tx, &x402_channels_sql_claimed, key, why);
}

enum err x402_channels_unclaimed(struct store_tx *tx, struct slice key, struct why *why)
{
    return end_claim(tx, &x402_channels_sql_unclaimed, key, why);
}

enum err x402_channels_stale(struct store_tx *tx, struct arena *arena,
                             const struct x402_escrow *escrow, int64_t before_usec, size_t limit,
                             struct hash **out, size_t *out_count, struct why *why)
{
    struct hash *ids = arena_alloc(arena, limit * sizeof(*ids) + 1);
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &x402_channels_sql_stale);
    store_bind_i64(&q, "chain_id", (int64_t)escrow->chain_id);
    store_bind_bytes(&q, "escrow", address_slice(&escrow->contract));
    store_bind_time(&q, "before", before_usec);
    store_bind_i64(&q, "limit", (int64_t)limit);
    while (store_step(&q) && count < limit) {
        store_get_fixed(&q, "channel_id", ids[count++].bytes, HASH_BYTES);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = ids;
        *out_count = count;
    }
    return e;
}

enum err x402_channels_receivers(struct store_tx *tx, struct arena *arena,
                                 const struct x402_escrow *escrow,
                                 const struct address *receiver_authorizer, size_t limit,
                                 struct x402_channel **out, size_t *out_count, struct why *why)
{
    struct x402_channel *rows = arena_alloc(arena, limit * sizeof(*rows) + 1);
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &x402_channels_sql_receivers);
    store_bind_i64(&q, "chain_id", (int64_t)escrow->chain_id);
    store_bind_bytes(&q, "escrow", address_slice(&escrow->contract));
    store_bind_bytes(&q, "receiver_authorizer", address_slice(receiver_authorizer));
    store_bind_i64(&q, "limit", (int64_t)limit);
    while (store_step(&q) && count < limit) {
        rows[count] = (struct x402_channel){.receiver_authorizer = *receiver_authorizer};
        store_get_fixed(&q, "receiver", rows[count].receiver.bytes, ADDRESS_BYTES);
        store_get_fixed(&q, "token", rows[count++].token.bytes, ADDRESS_BYTES);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = rows;
        *out_count = count;
    }
    return e;
}
