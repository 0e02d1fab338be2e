/*
 * x402_payments.h: one payment, one run of a handler, whatever the concurrency.
 *
 * Nothing on the chain protects the time between checking a payment and settling it: the same
 * payment sent many times at once would be checked well many times and paid once. So a payment is a
 * row of `x402_payments`, unique by (chain, asset, payer, nonce), which are what the asset's
 * contract itself lets through once. The row is committed before the handler runs, and whoever does
 * not insert it does not run the handler.
 *
 *   (no row) ─x402_reserve─▶ RESERVED ─x402_settling─▶ SETTLING ─x402_settled─▶ SETTLED
 *                               │                       │   ▲│                     ▲
 *                               │              x402_pending  ││                    │
 *                               │                       ▼   ││                     │
 *                               │                      PENDING ─x402_settled───────┘
 *                               └──x402_failed──▶ FAILED ◀──x402_failed── (SETTLING, PENDING)
 *
 * RESERVED: the handler runs, or ran and failed, or the process died in it. SETTLING: it succeeded
 * and its answer is held back until the money has moved. PENDING: a transaction was sent and has no
 * receipt yet; its hash is in the row and the client is told, since paying again would pay twice.
 * Rows never go back, and an end is never changed: each function refuses a row in another state
 * (ERR_CONFLICT), so of two who end a payment at once one does.
 *
 * A crash leaves, by the state of the row:
 *   none       before the commit: nothing ran. The client sends it again, it is new.
 *   RESERVED   (one whose handler failed and could say so is FAILED at once) an unknown part of the
 * handler ran, nothing was charged. Nobody runs it again; the payment is FAILED when the time for
 * which it was signed is over (x402_expire), and the client, who is told that it is in progress
 * until then, may sign another. SETTLING   the money may have moved: whoever settles keys its
 * transaction by the payment and goes on; the row is not given up by time alone. PENDING    the
 * same, and the hash says where to look.
 *
 * Amounts and times are those that were signed and checked (x402_exact_check); the payload is kept
 * as it was sent, so that it can be settled by another process. `request_hash` is of what was asked
 * (method, path, body): after the end the receipt is told to the same request only.
 *
 * Rows are kept: they are the proof of what was sold, and the receipt of a replay. Threads: inside
 * transactions, from any thread.
 */
#ifndef KERNEL_X402_X402_PAYMENTS_H
#define KERNEL_X402_X402_PAYMENTS_H

#include "kernel/store/store.h"
#include "kernel/x402/x402.h"

#define X402_RESOURCE_MAX 2048

/* Stored: append only. */
enum x402_state {
    X402_RESERVED = 1,
    X402_SETTLING = 2,
    X402_PENDING = 3,
    X402_SETTLED = 4,
    X402_FAILED = 5,
};

struct x402_key {
    uint64_t chain_id;
    struct address asset;
    struct address payer;
    struct hash nonce;
};

struct x402_reservation {
    struct x402_key key;
    struct address pay_to;
    struct u256 amount;
    struct u256 valid_before;  /* seconds */
    struct slice resource;     /* what is paid for, at most X402_RESOURCE_MAX bytes */
    struct hash request_hash;  /* of what was asked */
    struct slice payload_json; /* as it was sent, normalised JSON */
};

struct x402_record {
    enum x402_state state;
    struct hash request_hash;
    struct slice reason; /* code of a failure, "" for none */
    bool has_transaction;
    struct hash transaction;
    int64_t reserved_usec;
    int64_t ended_usec; /* 0: not ended */
};

/* What to do with a payment. */
enum x402_verdict {
    X402_RUN,         /* it was taken now, by this call alone: run the handler */
    X402_IN_PROGRESS, /* 409: somebody runs the handler, or settles */
    X402_TOLD_LATER,  /* settlement_pending: with the hash of the record */
    X402_RECEIPT,     /* it was settled for this request: give its receipt */
    X402_USED,        /* 402 invalid_exact_evm_nonce_already_used: ended otherwise */
};

/* x402_key_of names a payment that was checked against an offer. */
struct x402_key x402_key_of(const struct x402_offer *offer, const struct x402_authorization *a);

/* x402_verdict_of says what a known payment means for a request. */
enum x402_verdict x402_verdict_of(const struct x402_record *record,
                                  const struct hash *request_hash);

/*
 * x402_reserve takes a payment, or says what became of it (`out_record`, but for X402_RUN). The
 * handler runs after the transaction of X402_RUN has been committed. Owns: the record's text lives
 * in the arena. Errors: ERR_INVALID_FIELD (resource), those of the store.
 */
enum err x402_reserve(struct store_tx *tx, struct arena *arena, const struct x402_reservation *r,
                      int64_t now_usec, enum x402_verdict *out_verdict,
                      struct x402_record *out_record, struct why *why) ERR_CHECKED;

/* x402_payment_get reads what is known. Errors: ERR_NOT_FOUND, those of the store. */
enum err x402_payment_get(struct store_tx *tx, struct arena *arena, const struct x402_key *key,
                          struct x402_record *out, struct why *why) ERR_CHECKED;

/* The moves of the picture above. Errors: ERR_CONFLICT (another state), those of the store. */
/* x402_settling says that the handler succeeded. */
enum err x402_settling(struct store_tx *tx, const struct x402_key *key,
                       struct why *why) ERR_CHECKED;
/* x402_pending remembers a transaction that was sent; again for one that took its place. */
enum err x402_pending(struct store_tx *tx, const struct x402_key *key,
                      const struct hash *transaction, struct why *why) ERR_CHECKED;
/* x402_settled ends it well. */
enum err x402_settled(struct store_tx *tx, const struct x402_key *key,
                      const struct hash *transaction, int64_t now_usec,
                      struct why *why) ERR_CHECKED;
/* x402_failed ends it with nothing moved; `reason` is not X402_OK. */
enum err x402_failed(struct store_tx *tx, const struct x402_key *key, enum x402_reason reason,
                     int64_t now_usec, struct why *why) ERR_CHECKED;

/*
 * x402_expire ends at most `limit` payments that are RESERVED and can be settled no more, and says
 * how many.
 */
enum err x402_expire(struct store_tx *tx, int64_t now_usec, uint64_t limit, uint64_t *out_rows,
                     struct why *why) ERR_CHECKED;

#endif
