/* channels_jobs.c: questions to the escrow contract, and the transactions that follow. */
#include "domain/channels/channels_internal.h"
#include "gen/abi_batch_settlement.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"

/* Channels that one call asks about, and pages that one job goes through. */
#define ASKED_MAX 25
#define ASKS 3 /* for each: balance, withdrawal, nonce */
#define PAGES_MAX 40
#define RECEIVERS_MAX 100
#define SETTLES_MAX 10 /* that failed, of one total */

/* ---- what the contract says ---- */

struct look {
    const struct channels *c;
    struct arena *arena;
    int64_t now_usec;
    struct hash *ids;
    size_t count;
    struct x402_channel_state *states; /* as many */
    uint64_t block;
};

static enum err list_stale(struct store_tx *tx, void *ctx, struct why *why)
{
    struct look *l = ctx;
    return x402_channels_stale(tx, l->arena, &l->c->escrow,
                               l->now_usec - l->c->config.watch_usec / 2, ASKED_MAX, &l->ids,
                               &l->count, why);
}

static enum err encode_asks(const struct look *l, struct slice *out, struct why *why)
{
    struct slice calls[ASKED_MAX * ASKS];
    enum err e = OK;
    for (size_t i = 0; e == OK && i < l->count; i++) {
        struct slice *call = &calls[i * ASKS];
        e = batch_settlement_channels_encode(l->arena, &l->ids[i], &call[0], why);
        if (e == OK) {
            e = batch_settlement_pending_withdrawals_encode(l->arena, &l->ids[i], &call[1], why);
        }
        if (e == OK) {
            e = batch_settlement_refund_nonce_encode(l->arena, &l->ids[i], &call[2], why);
        }
    }
    return e == OK ? batch_settlement_multicall_encode(l->arena, calls, l->count * ASKS, out, why)
                   : e;
}

static enum err decode_answer(struct arena *arena, const struct slice *answers,
                              struct x402_channel_state *out, struct why *why)
{
    struct batch_settlement_channels_result channel;
    struct batch_settlement_pending_withdrawals_result withdrawal;
    struct batch_settlement_refund_nonce_result nonce;
    enum err e = batch_settlement_channels_result_decode(arena, answers[0], &channel, why);
    if (e == OK) {
        e = batch_settlement_pending_withdrawals_result_decode(arena, answers[1], &withdrawal, why);
    }
    if (e == OK) {
        e = batch_settlement_refund_nonce_result_decode(arena, answers[2], &nonce, why);
    }
    if (e == OK) {
        *out = (struct x402_channel_state){.balance = channel.balance,
                                           .claimed = channel.total_claimed,
                                           .withdrawing = withdrawal.amount,
                                           .withdraw_requested_at = withdrawal.initiated_at,
                                           .refund_nonce = nonce.value};
    }
    return e;
}

static enum err ask(struct look *l, struct why *why)
{
    struct slice call = SLICE_EMPTY;
    struct slice data = SLICE_EMPTY;
    struct slice revert = SLICE_EMPTY;
    struct batch_settlement_multicall_result r = {.results_count = 0};
    /* The answer is of this block or a later one: what it says is not older than its number. */
    enum err e = rpc_block_number(l->c->rpc, &l->block, why);
    if (e == OK) {
        e = encode_asks(l, &call, why);
    }
    if (e == OK) {
        e = rpc_eth_call(l->c->rpc, l->arena, RPC_MONEY, NULL, &l->c->escrow.contract, call, NULL,
                         &data, &revert, why);
    }
    if (e == OK) {
        e = batch_settlement_multicall_result_decode(l->arena, data, &r, why);
    }
    if (e == OK && r.results_count != l->count * ASKS) {
        e = why_set(why, ERR_NODE_RESPONSE, NULL, "The escrow contract answered in part.");
    }
    l->states = arena_alloc_array(l->arena, l->count, sizeof *l->states);
    for (size_t i = 0; e == OK && i < l->count; i++) {
        e = decode_answer(l->arena, &r.results[i * ASKS], &l->states[i], why);
    }
    return e;
}

static enum err write_states(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct look *l = ctx;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < l->count; i++) {
        struct x402_channel_key key = {l->c->escrow.chain_id, l->ids[i]};
        struct x402_channel_row row;
        e = x402_channel_get(tx, l->arena, &key, &row, why);
        if (e == OK) {
            e = x402_channel_sync(tx, &l->c->escrow, &row.channel, &l->states[i], l->block,
                                  l->now_usec, why);
        }
    }
    return e;
}

/* refresh asks about all channels that have something to lose and were not asked about of late. */
static enum err refresh(const struct channels *c, struct job_call *call, struct why *why)
{
    struct look l = {.c = c, .arena = call->job, .now_usec = clock_wall_usec()};
    for (size_t page = 0; page < PAGES_MAX; page++) {
        enum err e = store_read(call->store, list_stale, &l, why);
        if (e == OK && l.count > 0) {
            e = ask(&l, why);
        }
        if (e == OK && l.count > 0) {
            e = store_write(call->store, write_states, &l, why);
        }
        if (e != OK || l.count < ASKED_MAX) {
            return e;
        }
    }
    return OK;
}

/* ---- claims ---- */

struct claiming {
    const struct channels *c;
    struct arena *arena;
    bool leaving_only;
    char key[RAND_ID_MAX];
    size_t count;
};

static enum err encode_claim(struct arena *arena, const struct x402_channel_claim *claims,
                             size_t count, struct slice *out, struct why *why)
{
    struct abi_voucher_claim *rows = arena_alloc_array(arena, count, sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        uint8_t *signature = arena_alloc(arena, SIGNATURE_BYTES);
        signature_encode(&claims[i].signature, signature);
        rows[i] = (struct abi_voucher_claim){
            .voucher = {.channel = channels_abi_config(&claims[i].channel),
                        .max_claimable_amount = claims[i].signed_max},
            .signature = slice_of(signature, SIGNATURE_BYTES),
            .total_claimed = claims[i].total};
    }
    return batch_settlement_claim_encode(arena, rows, count, out, why);
}

static enum err write_claim(struct store_tx *tx, void *ctx, struct why *why)
{
    struct claiming *k = ctx;
    struct x402_claim_filter filter = {.escrow = k->c->escrow,
                                       .receiver_authorizer = k->c->authorizer,
                                       .leaving_only = k->leaving_only,
                                       .limit = k->c->config.claims_max};
    struct x402_channel_claim *claims = NULL;
    struct slice data = SLICE_EMPTY;
    struct slice key = slice_text(k->key);
    enum err e = x402_channels_claim(tx, k->arena, &filter, key, &claims, &k->count, why);
    if (e == OK && k->count > 0) {
        e = encode_claim(k->arena, claims, k->count, &data, why);
    }
    if (e != OK || k->count == 0) {
        return e;
    }
    bool leaving = claims[0].withdraw_requested_at > 0;
    struct relay_intent intent = {.key = key,
                                  .data = data,
                                  .purpose = CHANNELS_PURPOSE_CLAIM,
                                  .priority = leaving ? RELAY_HIGH : RELAY_NORMAL};
    return channels_submit(tx, k->c, k->arena, intent, NULL, why);
}

static enum err claim_all(const struct channels *c, struct job_call *call, bool leaving_only,
                          struct why *why)
{
    struct claiming k = {.c = c, .arena = call->job, .leaving_only = leaving_only};
    for (size_t page = 0; page < PAGES_MAX; page++) {
        rand_id("claim", k.key);
        enum err e = store_write(call->store, write_claim, &k, why);
        if (e == OK && k.count > 0) {
            LOG(LOG_INFO, "channels.claim_submitted", log_text("claim", k.key),
                log_u64("channels", k.count), log_bool("leaving", leaving_only));
        }
        if (e != OK || k.count < c->config.claims_max) {
            return e;
        }
    }
    return OK;
}

static enum err ready(const struct channels *c, struct why *why)
{
    if (c->relay == NULL || !relay_has_wallet(c->relay, &c->authorizer)) {
        return why_set(why, ERR_UNKNOWN_WALLET, "channels.authorizer",
                       "No process has the key of the wallet that claims.");
    }
    return OK;
}

enum err channels_job_watch(struct job_call *call, struct why *why)
{
    const struct channels *c = call->ctx;
    enum err e = ready(c, why);
    if (e == OK) {
        e = refresh(c, call, why);
    }
    return e == OK ? claim_all(c, call, true, why) : e;
}

enum err channels_job_claim(struct job_call *call, struct why *why)
{
    const struct channels *c = call->ctx;
    enum err e = ready(c, why);
    if (e == OK) {
        e = refresh(c, call, why);
    }
    return e == OK ? claim_all(c, call, false, why) : e;
}

/* ---- settlements ---- */

struct settling {
    const struct channels *c;
    struct arena *arena;
    struct x402_channel *receivers;
    size_t count;
    const struct x402_channel *one; /* of them */
    struct u256 total;              /* that was claimed for it */
    bool submitted;
};

static enum err list_receivers(struct store_tx *tx, void *ctx, struct why *why)
{
    struct settling *s = ctx;
    return x402_channels_receivers(tx, s->arena, &s->c->escrow, &s->c->authorizer, RECEIVERS_MAX,
                                   &s->receivers, &s->count, why);
}

/* owed asks whether more was booked for a receiver than was paid. */
static enum err owed(struct settling *s, bool *out, struct why *why)
{
    struct slice call = SLICE_EMPTY;
    struct slice data = SLICE_EMPTY;
    struct slice revert = SLICE_EMPTY;
    struct batch_settlement_receivers_result r;
    enum err e =
        batch_settlement_receivers_encode(s->arena, &s->one->receiver, &s->one->token, &call, why);
    if (e == OK) {
        e = rpc_eth_call(s->c->rpc, s->arena, RPC_MONEY, NULL, &s->c->escrow.contract, call, NULL,
                         &data, &revert, why);
    }
    if (e == OK) {
        e = batch_settlement_receivers_result_decode(s->arena, data, &r, why);
    }
    if (e == OK) {
        s->total = r.total_claimed;
        *out = u256_compare(r.total_claimed, r.total_settled) > 0;
    }
    return e;
}

/* key_of names the payment of a total: those that failed made room for another one. */
static struct slice key_of(const struct settling *s, size_t attempt)
{
    char receiver[ADDRESS_TEXT_MAX];
    char token[ADDRESS_TEXT_MAX];
    char total[U256_TEXT_MAX];
    address_format(&s->one->receiver, receiver);
    address_format(&s->one->token, token);
    (void)u256_format(s->total, total);
    return slice_format(s->arena, "settle/%llu/%s/%s/%s/%zu",
                        (unsigned long long)s->c->escrow.chain_id, receiver, token, total, attempt);
}

static enum err write_settlement(struct store_tx *tx, void *ctx, struct why *why)
{
    struct settling *s = ctx;
    struct slice data = SLICE_EMPTY;
    enum err e =
        batch_settlement_settle_encode(s->arena, &s->one->receiver, &s->one->token, &data, why);
    s->submitted = false;
    for (size_t i = 0; e == OK && i < SETTLES_MAX; i++) {
        struct relay_row row;
        struct slice key = key_of(s, i);
        enum err found = relay_get_by_key(tx, s->arena, key, &row, why);
        if (found == ERR_NOT_FOUND) {
            s->submitted = true;
            return channels_submit(
                tx, s->c, s->arena,
                (struct relay_intent){.key = key, .data = data, .purpose = CHANNELS_PURPOSE_SETTLE},
                NULL, why);
        }
        if (found != OK || row.state <= RELAY_MINED) {
            return found; /* it is under way, or was paid a moment ago */
        }
    }
    return e;
}

enum err channels_job_settle(struct job_call *call, struct why *why)
{
    const struct channels *c = call->ctx;
    struct settling s = {.c = c, .arena = call->job};
    enum err e = ready(c, why);
    if (e == OK) {
        e = store_read(call->store, list_receivers, &s, why);
    }
    for (size_t i = 0; e == OK && i < s.count; i++) {
        bool more = false;
        s.one = &s.receivers[i];
        e = owed(&s, &more, why);
        if (e == OK && more) {
            e = store_write(call->store, write_settlement, &s, why);
        }
        if (e == OK && more && s.submitted) {
            LOG(LOG_INFO, "channels.settle_submitted",
                log_hex("receiver", address_slice(&s.one->receiver)),
                log_hex("token", address_slice(&s.one->token)));
        }
    }
    return e;
}
