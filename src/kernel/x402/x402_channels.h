/*
 * x402_channels.h: the channels that pay us, as rows: what was charged, and the voucher for it.
 *
 * A voucher is money only as long as we have it. So the latest one of a channel is a row of
 * `x402_channels`, replaced by the next one, which covers all that is charged by then, in the
 * transaction that records what was served for it. The row also has what the chain said of the
 * channel and when, so that no request waits for a chain.
 *
 * Requests of a channel are served one after the other, since each signs the total that the one
 * before left. A handler that has effects outside of the database reserves the channel first:
 *
 *   FREE ─x402_channel_take─▶ BUSY ─x402_channel_commit──▶ FREE, charged
 *    ▲                         │ └───x402_channel_release─▶ FREE, as before
 *    │                         └─(its time passes, or its process is gone)─▶ may be taken
 *    └──x402_channel_charge─▶ FREE, charged: for what is served by this very transaction
 *
 * A reservation has a random token. One that was taken over is not known any more: the late
 * commit is refused (ERR_CONFLICT), with all that its transaction would have recorded, and the
 * answer must not be sent.
 *
 * A crash leaves:
 *   before take is committed      nothing; the client sends its voucher again.
 *   BUSY                          an unknown part of a handler ran, nothing was charged. The next
 *                                 process takes the channel as soon as this one is known to be
 * gone, at the latest when the time of the reservation has passed; the same voucher still fits.
 *   after commit, before the answer   it is charged. The client sends the same request and voucher
 *                                 again, which are those that the row remembers:
 * X402_CHANNEL_SERVED, to be answered as before, and not paid for twice. while a claim is under way
 * the row names it (`claim_key`): whoever goes on asks what became of the transaction with that
 * key.
 *
 * A refund charges nothing: the channel is taken, the units go back, x402_channel_sync notes it and
 * x402_channel_release ends it.
 *
 * What the chain says is written by x402_channel_sync with the number of its block; what an earlier
 * block said is passed over. A channel that is not known here is one that nobody asked the chain
 * for: X402_BATCH_STATE_UNKNOWN, as is one whose state is older than `fresh_usec`. Totals that were
 * claimed and are not ours (the rows were lost) become the total to go on from; vouchers of that
 * time that were never claimed are lost.
 *
 * One statement charges (x402_channels_charge takes many requests at once): the voucher says from
 * which total it goes on, so that the row is read only when something is in the way.
 *
 * Claims. x402_channels_claim marks up to a number of channels with a key, and what to send for
 * them; x402_channels_claimed and x402_channels_unclaimed end that. Meanwhile requests go on. While
 * a payer leaves, a second claim may take the place of one that is under way and reaches less far.
 *
 * Amounts are bounded as in x402_batch.h. Threads: inside transactions, from any thread. Each
 * statement compares what it changes, so that the transactions may be store_read_committed.
 */
#ifndef KERNEL_X402_X402_CHANNELS_H
#define KERNEL_X402_X402_CHANNELS_H

#include "kernel/store/store.h"
#include "kernel/x402/x402_batch.h"

#define X402_CLAIMS_MAX 100
#define X402_CHARGES_MAX 256

struct x402_channel_key {
    uint64_t chain_id;
    struct hash channel_id;
};

struct x402_channel_row {
    struct address escrow;
    struct x402_channel channel;
    struct x402_channel_state state;
    int64_t synced_usec;
    bool served; /* at least one request: the three below */
    struct hash served_hash;
    struct u256 served_price;
    int64_t served_usec;
    bool claiming;
};

/* What a request brings along; the signatures of the payment have been checked. */
struct x402_channel_request {
    const struct x402_batch_offer *offer;
    const struct x402_batch_payment *payment;
    struct hash request_hash; /* of what is asked: method, path, body */
    int64_t now_usec;
    int64_t fresh_usec; /* how old the state of the chain may be */
};

/* A reservation; made by the caller, by x402_channel_token. */
struct x402_channel_hold {
    struct hash token;
    int64_t until_usec;
};

enum x402_channel_verdict {
    X402_CHANNEL_RUN,     /* serve it */
    X402_CHANNEL_SERVED,  /* it was: the last request of the row, with this voucher */
    X402_CHANNEL_REFUSED, /* for the reason; X402_BATCH_CUMULATIVE: tell the state of the row */
};

struct x402_channel_answer {
    enum x402_channel_verdict verdict;
    enum x402_batch_reason reason;
    bool has_row;
    struct x402_channel_row row; /* as it is after the call */
};

/* x402_channel_key_of names the channel of a payment. */
struct x402_channel_key x402_channel_key_of(const struct x402_batch_offer *offer,
                                            const struct x402_batch_payment *payment);
/* x402_channel_token makes a reservation that ends after `usec`. */
struct x402_channel_hold x402_channel_token(int64_t now_usec, int64_t usec);
/* x402_channel_fresh_usec is how old the state of a channel may be, by its delay in seconds. */
int64_t x402_channel_fresh_usec(uint64_t withdraw_delay);

/*
 * x402_channel_sync notes what the chain says as of a block: `state` without charged, signed_max
 * and signature. A channel that is not known begins with what was claimed. Errors: the store's.
 */
enum err x402_channel_sync(struct store_tx *tx, const struct x402_escrow *escrow,
                           const struct x402_channel *channel,
                           const struct x402_channel_state *state, uint64_t block_number,
                           int64_t now_usec, struct why *why) ERR_CHECKED;

/* x402_channel_get reads a channel. Errors: ERR_NOT_FOUND, the store's. */
enum err x402_channel_get(struct store_tx *tx, struct arena *arena,
                          const struct x402_channel_key *key, struct x402_channel_row *out,
                          struct why *why) ERR_CHECKED;

/*
 * x402_channel_take reserves the channel of a request. The handler runs after the transaction of
 * X402_CHANNEL_RUN has been committed. Errors: the store's.
 */
enum err x402_channel_take(struct store_tx *tx, struct arena *arena,
                           const struct x402_channel_request *r,
                           const struct x402_channel_hold *hold, const char *holder,
                           struct x402_channel_answer *out, struct why *why) ERR_CHECKED;

/*
 * x402_channel_commit charges `price` for what this transaction records as served, and keeps the
 * voucher. The units of a deposit must have come (x402_channel_sync) before. Errors: ERR_CONFLICT
 * (the reservation is over, or the voucher is not covered any more), ERR_INVALID_AMOUNT (more than
 * the voucher allows), the store's.
 */
enum err x402_channel_commit(struct store_tx *tx, struct arena *arena,
                             const struct x402_channel_request *r,
                             const struct x402_channel_hold *hold, struct u256 price,
                             struct x402_channel_row *out, struct why *why) ERR_CHECKED;

/* x402_channel_release gives a channel free, uncharged; nothing if it is not held any more. */
enum err x402_channel_release(struct store_tx *tx, const struct x402_channel_key *key,
                              const struct x402_channel_hold *hold, struct why *why) ERR_CHECKED;

/*
 * x402_channel_charge does it in one step, for what is served by this transaction alone. Unless
 * the verdict is X402_CHANNEL_RUN nothing was charged. Errors: ERR_INVALID_AMOUNT, the store's.
 */
enum err x402_channel_charge(struct store_tx *tx, struct arena *arena,
                             const struct x402_channel_request *r, struct u256 price,
                             struct x402_channel_answer *out, struct why *why) ERR_CHECKED;

/* One of many requests that a transaction charges. */
struct x402_channel_charge {
    struct x402_channel_request request;
    struct u256 price;
    struct x402_channel_answer answer; /* out */
};

/*
 * x402_channels_charge charges for requests of different channels by one statement: group commit,
 * where the database does not do it, and no reading of rows. At most X402_CHARGES_MAX, no channel
 * twice. Each has an answer of its own. Errors: ERR_INVALID_AMOUNT (of any), the store's.
 */
enum err x402_channels_charge(struct store_tx *tx, struct arena *arena,
                              struct x402_channel_charge *charges, size_t count,
                              struct why *why) ERR_CHECKED;

/* A channel to be claimed: config, voucher, and up to where: what was charged and is there. */
struct x402_channel_claim {
    struct hash channel_id;
    struct x402_channel channel;
    struct u256 signed_max;
    struct signature signature;
    struct u256 total;
    uint64_t withdraw_requested_at;
};

/* Which channels are claimed by whom. */
struct x402_claim_filter {
    struct x402_escrow escrow;
    struct address receiver_authorizer;
    bool leaving_only; /* only those whose payers withdraw */
    size_t limit;      /* at most X402_CLAIMS_MAX */
};

/*
 * x402_channels_claim marks channels of which more was charged than is claimed, and returns them;
 * none is fine. `key` names the claim. Owns: the arena. Errors: ERR_CONFLICT (another claim was
 * faster), the store's.
 */
enum err x402_channels_claim(struct store_tx *tx, struct arena *arena,
                             const struct x402_claim_filter *filter, struct slice key,
                             struct x402_channel_claim **out, size_t *out_count,
                             struct why *why) ERR_CHECKED;
/* x402_channels_claimed ends a claim that was booked. */
enum err x402_channels_claimed(struct store_tx *tx, struct slice key, struct why *why) ERR_CHECKED;
/* x402_channels_unclaimed ends one that was not. */
enum err x402_channels_unclaimed(struct store_tx *tx, struct slice key,
                                 struct why *why) ERR_CHECKED;

/*
 * x402_channels_stale lists channels with unclaimed charges that nobody has asked the chain about
 * since a time, the longest ago first. Owns: the arena. Errors: the store's.
 */
enum err x402_channels_stale(struct store_tx *tx, struct arena *arena,
                             const struct x402_escrow *escrow, int64_t before_usec, size_t limit,
                             struct hash **out, size_t *out_count, struct why *why) ERR_CHECKED;

/*
 * x402_channels_receivers lists who has claims in which coin: `receiver` and `token` of each row.
 * Owns: the arena. Errors: the store's.
 */
enum err x402_channels_receivers(struct store_tx *tx, struct arena *arena,
                                 const struct x402_escrow *escrow,
                                 const struct address *receiver_authorizer, size_t limit,
                                 struct x402_channel **out, size_t *out_count,
                                 struct why *why) ERR_CHECKED;

#endif
