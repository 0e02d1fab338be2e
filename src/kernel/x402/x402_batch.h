/*
 * x402_batch.h: the x402 scheme "batch-settlement" on EVM, without network, clock or database.
 *
 * A payer deposits once into a channel of the escrow contract (contracts/src/BatchSettlement.sol)
 * and signs with every request a running total, the voucher, up to which the receiver may claim.
 * No chain is in the path of a request; the latest voucher of a channel is all that is ever needed.
 * Version 2 of the protocol only.
 *
 * A channel is what its config says, and its id is the EIP-712 digest of that: chain and escrow are
 * in it. A client sends one of
 *   deposit  config, voucher, and an authorization by which the units come to the escrow (EIP-3009
 *            to the collector, under a nonce that names the channel)
 *   voucher  config and voucher
 *   refund   config, a voucher that charges nothing, and how much to give back (all, if not said)
 * What is read is held against our offer member by member; the echo has been matched before, as in
 * x402.h.
 *
 * Money. `charged` is what was served, `signed_max` what the payer signed at last, `balance` and
 * `claimed` what the chain says. A voucher must be exactly `charged` and the price of this request:
 * less would serve for nothing, more is money that was not asked for, and either says that the two
 * sides do not agree; then the client is told our state and its own last signature, to go on from
 * there. It is never more than `balance`, of which a withdrawal that the payer has started counts
 * as gone: it cannot be spent while the payer may still take it.
 *     claimed <= charged <= signed_max <= balance - withdrawing   when a voucher is taken
 *
 * Vouchers are signed by the account that the config names as authorizer. Payers that are contracts
 * name none and would have to be asked on the chain for each request; they are refused as a wrong
 * signature, as in x402.h. So are deposits by Permit2.
 *
 * Reasons are the codes that the reference packages send. Any thread; results live in the caller's
 * arena.
 */
#ifndef KERNEL_X402_X402_BATCH_H
#define KERNEL_X402_X402_BATCH_H

#include "kernel/x402/x402.h"

/* Of a config, by the contract. Units: seconds. */
#define X402_BATCH_DELAY_MIN 900
#define X402_BATCH_DELAY_MAX 2592000
/* The reference server asks for a deposit of so many times the price. */
#define X402_BATCH_DEPOSIT_TIMES 10
#define X402_BATCH_AMOUNT_BITS 128

/* Where reference clients look for the contracts, on every chain. */
extern const struct address x402_batch_escrow;
extern const struct address x402_batch_collector;

/* The reasons, in the order of their table (x402_batch_reason.c). */
enum x402_batch_reason {
    X402_BATCH_OK,
    X402_BATCH_PAYLOAD,
    X402_BATCH_CHANNEL_ID,
    X402_BATCH_CHANNEL_ID_MISMATCH,
    X402_BATCH_RECEIVER,
    X402_BATCH_RECEIVER_AUTHORIZER,
    X402_BATCH_TOKEN,
    X402_BATCH_DELAY,
    X402_BATCH_DELAY_RANGE,
    X402_BATCH_SIGNATURE,
    X402_BATCH_CUMULATIVE,
    X402_BATCH_BALANCE,
    X402_BATCH_BELOW_CLAIMED,
    X402_BATCH_NOT_FOUND,
    X402_BATCH_BUSY,
    X402_BATCH_STATE_UNKNOWN,
    X402_BATCH_CHARGE,
    X402_BATCH_MISSING,
    X402_BATCH_NO_DOMAIN,
    X402_BATCH_DEPOSIT_METHOD,
    X402_BATCH_DEPOSIT_MIN,
    X402_BATCH_DEPOSIT_BEFORE,
    X402_BATCH_DEPOSIT_AFTER,
    X402_BATCH_DEPOSIT_SIGNATURE,
    X402_BATCH_DEPOSIT_FUNDS,
    X402_BATCH_DEPOSIT_SIMULATION,
    X402_BATCH_DEPOSIT_TRANSACTION,
    X402_BATCH_REFUND_AMOUNT,
    X402_BATCH_REFUND_NOTHING,
    X402_BATCH_REFUND_TRANSACTION,
    X402_BATCH_CLAIM_TRANSACTION,
    X402_BATCH_SETTLE_TRANSACTION,
    X402_BATCH_REASON_COUNT
};

/* The escrow that ids and signatures are made for. */
struct x402_escrow {
    uint64_t chain_id;
    struct address contract;
};

/* What never changes about a channel. */
struct x402_channel {
    struct address payer;
    struct address payer_authorizer;
    struct address receiver;
    struct address receiver_authorizer;
    struct address token;
    uint64_t withdraw_delay; /* seconds, 40 bits */
    struct hash salt;
};

/* What we ask for. The text is the caller's. */
struct x402_batch_offer {
    struct x402_escrow escrow;
    struct address collector;
    struct address asset;
    struct address pay_to;
    struct u256 amount; /* the most that a request costs, smallest units of the asset */
    uint64_t timeout_seconds;
    struct address receiver_authorizer;
    uint64_t withdraw_delay;    /* seconds */
    struct u256 deposit_min;    /* hint for clients, and bound if `deposit_enforced` */
    bool deposit_enforced;      /* deposits below it are refused */
    struct slice token_name;    /* of the EIP-712 domain of the asset */
    struct slice token_version; /* the same */
};

enum x402_batch_type {
    X402_BATCH_DEPOSIT = 1,
    X402_BATCH_VOUCHER = 2,
    X402_BATCH_REFUND = 3,
};

struct x402_deposit {
    struct u256 amount;
    struct u256 valid_after;  /* seconds */
    struct u256 valid_before; /* seconds */
    struct u256 salt;
    struct signature signature;
};

/* A payment that was read and belongs to an offer. */
struct x402_batch_payment {
    enum x402_batch_type type;
    struct x402_channel channel;
    struct hash channel_id; /* computed; the client said the same */
    struct u256 claimable;  /* the running total that the payer allows */
    struct signature signature;
    struct x402_deposit deposit; /* of a deposit */
    bool has_refund_amount;      /* of a refund */
    struct u256 refund_amount;
};

/* What the two sides and the chain know of a channel. */
struct x402_channel_state {
    struct u256 charged;
    struct u256 signed_max;
    struct signature signature; /* of signed_max; not looked at where that is 0 */
    struct u256 balance;
    struct u256 claimed;
    struct u256 withdrawing;        /* of the withdrawal that was started */
    uint64_t withdraw_requested_at; /* seconds; 0: none was started */
    struct u256 refund_nonce;
};

/* One row of a claim: the voucher, and up to where it is claimed. */
struct x402_claim {
    struct hash channel_id;
    struct u256 claimable;
    struct u256 total;
};

/* x402_batch_reason_code returns the public code; "" for X402_BATCH_OK. */
const char *x402_batch_reason_code(enum x402_batch_reason reason);

/* x402_channel_id returns the id of a channel. */
struct hash x402_channel_id(const struct x402_escrow *escrow, const struct x402_channel *channel);
/* x402_voucher_digest is what a payer signs for a request. */
struct hash x402_voucher_digest(const struct x402_escrow *escrow, const struct hash *channel_id,
                                struct u256 claimable);
/* x402_refund_digest is what a receiver's authorizer signs to give back. */
struct hash x402_refund_digest(const struct x402_escrow *escrow, const struct hash *channel_id,
                               struct u256 nonce, struct u256 amount);
/* x402_claims_digest is what a receiver's authorizer signs for a batch of claims. */
struct hash x402_claims_digest(struct arena *arena, const struct x402_escrow *escrow,
                               const struct x402_claim *claims, size_t count);
/* x402_deposit_nonce returns the nonce of the authorization of a deposit. */
struct hash x402_deposit_nonce(const struct hash *channel_id, struct u256 salt);
/* x402_deposit_digest is what a payer signs for a deposit: ReceiveWithAuthorization. */
struct hash x402_deposit_digest(const struct x402_batch_offer *offer,
                                const struct x402_batch_payment *payment);

/*
 * x402_batch_match returns the offer that a payment means, or NULL: then the answer is 402 with
 * the offers again.
 */
const struct x402_batch_offer *x402_batch_match(const struct x402_payment *payment,
                                                const struct x402_batch_offer *offers,
                                                size_t count);

/*
 * x402_batch_read reads the payload of a payment and holds the channel against the offer.
 * X402_BATCH_OK: *out is filled, nothing signed has been checked; otherwise it is untouched and
 * `why` (may be NULL) tells more.
 */
enum x402_batch_reason x402_batch_read(const struct json *payload,
                                       const struct x402_batch_offer *offer,
                                       struct x402_batch_payment *out, struct why *why);

/*
 * x402_batch_signed checks what the payer signed: the voucher, and of a deposit its authorization
 * with its time. The dear part of a check: some 60 microseconds for each signature.
 */
enum x402_batch_reason x402_batch_signed(const struct x402_batch_offer *offer,
                                         const struct x402_batch_payment *payment, int64_t now_usec,
                                         struct why *why);

/* x402_batch_check holds the amounts of a payment against the state of its channel. */
enum x402_batch_reason x402_batch_check(const struct x402_batch_offer *offer,
                                        const struct x402_batch_payment *payment,
                                        const struct x402_channel_state *state, struct why *why);

/*
 * x402_batch_charge returns the total after a request that cost `price`: at most what this voucher
 * allows, X402_BATCH_CHARGE otherwise.
 */
enum x402_batch_reason x402_batch_charge(const struct x402_batch_payment *payment,
                                         const struct x402_channel_state *state, struct u256 price,
                                         struct u256 *out_charged, struct why *why);

/* x402_batch_refund returns how much a refund gives back, after what was charged is claimed. */
enum x402_batch_reason x402_batch_refund(const struct x402_batch_payment *payment,
                                         const struct x402_channel_state *state,
                                         struct u256 *out_amount, struct why *why);

/*
 * x402_batch_offer_write writes an offer, one of the members of "accepts". With `state` (may be
 * NULL) the client is put right: it is the answer to X402_BATCH_CUMULATIVE for that channel.
 */
void x402_batch_offer_write(struct json_out *j, const struct x402_batch_offer *offer,
                            const struct hash *channel_id, const struct x402_channel_state *state);

/* What is told of a payment: the content of PAYMENT-RESPONSE. */
struct x402_batch_receipt {
    enum x402_batch_reason reason; /* X402_BATCH_OK: it was taken */
    enum x402_batch_type type;
    uint64_t chain_id;
    const struct hash *transaction; /* of a deposit or refund; NULL for a voucher */
    const struct address *payer;    /* NULL when not known */
    struct hash channel_id;
    struct u256 amount;                     /* that was deposited or given back */
    struct u256 charged;                    /* by this request */
    const struct x402_channel_state *state; /* after it; NULL of a failure */
};

/* x402_batch_receipt_write writes SettleResponse. */
void x402_batch_receipt_write(struct json_out *j, const struct x402_batch_receipt *receipt);

#endif
