/*
 * paywall.h: routes that cost something, paid by x402 (kernel/x402).
 *
 * A route has a price by a row of a domain (struct paywall_price, which may compute it from the
 * request) or by the setting x402.prices. How a request passes, as http's cashier:
 *
 *   no payment        402: the offer in PAYMENT-REQUIRED (version 2), and in the body with
 *                     x402Version 1 and accepts (version 1)
 *   refused           the same, with the reason in it; nothing was charged, nothing ran
 *   taken             the payment is RESERVED (committed), the handler runs, its answer is held
 * back handler failed    its own answer; the payment is FAILED, nothing was charged handler
 * succeeded SETTLING, the answer, the relay's intent and a row of what was sold in one transaction;
 * then the relay sends transferWithAuthorization mined             receipt and Transfer event are
 * looked at; SETTLED, and what the seller writes, in one transaction; the answer goes out with
 * PAYMENT-RESPONSE (version 1: X-PAYMENT-RESPONSE) settlement failed the answer is dropped: 402,
 * with the reason in PAYMENT-RESPONSE and a new offer not mined in time 409 settlement_pending with
 * the hash, if there is one. Never a 402, which a client would take for an invitation to pay again.
 *
 * The same payment again: while it is under way 409 in_progress or settlement_pending. After it was
 * settled the same request gets its receipt and the answer that it bought, which is kept for
 * x402.answer_kept; afterwards 409 payment_used with the receipt. Another request with it is
 * refused (invalid_exact_evm_nonce_already_used). "The same request" is method, target, body,
 * caller and Idempotency-Key; without such a key also the client's address: what settles a payment
 * can be read on the chain by everybody, who could otherwise fetch the answer with it. Behind a
 * proxy all clients have one address: there clients of what is confidential send an
 * Idempotency-Key.
 *
 * Before anything is reserved the transfer is simulated (eth_call): a payer without the money, an
 * authorization that was used or cancelled costs us a question to the node and no row. What changes
 * between that and the settlement (the payer spends the money, or cancels) ends in a failed
 * settlement: the handler ran, its answer is dropped.
 *
 * Somebody else may settle a payment before we do, since anybody may broadcast it. Then our
 * transaction fails, the payment's AuthorizationUsed event is looked for, and if its transaction
 * moved exactly this money to the payee, the payment is settled by it.
 *
 * A transaction of ours that failed while the authorization is neither used nor without money says
 * nothing yet: the one of somebody else may be in the nodes' pools. Then the payment stays under
 * way until it is used, or its time is over.
 *
 * A crash leaves what x402_payments.h says. SETTLING and PENDING are gone on with by the job
 * "x402.settle" of any process; the intent has the payment's name as its key and its end as
 * deadline, so that there is one transaction whoever goes on, and each payment comes to an end. A
 * client whose connection was lost in between asks again with the same payment.
 *
 * What is charged is the offer of this moment: where a price has changed since the client was told,
 * its payment matches no offer, and it is asked again.
 *
 * The asset is one token with EIP-3009. Its EIP-712 domain is compared with what the contract says
 * when the program starts: a wrong name would have every signature refused.
 *
 * As facilitator (paywall_http_table) the same serves other resource servers: verify looks and
 * writes nothing; settle keeps the same rows, so that a payment is settled once whoever asks how
 * often. Settling spends our gas and is for callers with the role service.
 *
 * Threads: after paywall_ready all functions from anywhere.
 */
#ifndef KERNEL_PAYWALL_PAYWALL_H
#define KERNEL_PAYWALL_PAYWALL_H

#include "kernel/audit/audit.h"
#include "kernel/base/config.h"
#include "kernel/http/http.h"
#include "kernel/jobs/jobs.h"
#include "kernel/relay/relay.h"
#include "kernel/rpc/rpc.h"
#include "kernel/store/store.h"
#include "kernel/x402/x402_payments.h"

struct paywall;

struct paywall_config {
    bool enabled;
    const char *asset;         /* "": that of the options */
    const char *token_name;    /* "": what the contract calls itself */
    const char *token_version; /* "": "2" or "1", whichever the contract has */
    const char *pay_to;
    const char *prices;
    const char *wallet;     /* "": the pool, or else that of the options */
    const char *public_url; /* "": http:// and the Host that was asked */
    int64_t timeout_usec;
    int64_t wait_usec;
    int64_t kept_usec;
};

/* paywall_config_rows are the rows of section "x402". */
extern const struct config_row paywall_config_rows[];
extern const size_t paywall_config_row_count;

/* What is asked for one request. */
struct paywall_quote {
    struct u256 amount; /* above zero */
    struct address pay_to;
    struct slice description; /* "" for none */
    struct slice detail;      /* a JSON object that `sold` is given again; "" for {} */
};

/* What was sold. */
struct paywall_sale {
    struct x402_key key;
    struct address pay_to;
    struct u256 amount;
    struct u256 valid_before; /* seconds */
    struct slice operation;
    struct slice detail;
    struct hash transaction;
    int64_t settled_usec;
};

struct paywall_price {
    const char *operation; /* of the route's row */
    /* Errors: what the request is answered with instead of an offer (ERR_NOT_FOUND, …). */
    enum err (*quote)(void *ctx, const struct http_call *call, struct paywall_quote *out,
                      struct why *why);
    /* In the transaction that makes the payment SETTLED; NULL: nothing to write. */
    enum err (*sold)(struct store_tx *tx, void *ctx, const struct paywall_sale *sale,
                     struct why *why);
    void *ctx;
};

struct paywall_options {
    const struct paywall_config *config;
    uint64_t chain_id;
    struct store *store;
    struct rpc_pool *rpc;
    const char *asset;  /* where the configuration names none */
    const char *wallet; /* the same; "" for none */
    const struct paywall_price *prices;
    size_t price_count;
};

/*
 * paywall_new reads the configuration and, when payments are taken, asks the asset for its domain.
 * Owns: the caller, paywall_free. Errors: ERR_CONFIG (names the setting), node errors.
 */
enum err paywall_new(const struct paywall_options *options, struct paywall **out,
                     struct why *why) ERR_CHECKED;
/* paywall_free frees; NULL is fine. */
void paywall_free(struct paywall *paywall);

/* paywall_policies lists what the relay may send for it. Owns: the paywall. */
const struct relay_policy *paywall_policies(const struct paywall *paywall, size_t *out_count);

/*
 * paywall_ready gives it the relay, and the routes whose operations x402.prices may name (the
 * tables stay); before serving. Errors: ERR_CONFIG.
 */
enum err paywall_ready(struct paywall *paywall, struct relay *relay,
                       const struct http_table *tables, size_t table_count,
                       struct why *why) ERR_CHECKED;

/* paywall_cashier is for http_config.cashier; NULL when no payments are taken. */
const struct http_cashier *paywall_cashier(const struct paywall *paywall);

/* paywall_quote_of is what the running handler of a paid route is paid; it exists (ASSERT). */
const struct paywall_quote *paywall_quote_of(const struct http_call *call);

/*
 * paywall_offer_write writes the offer for a quote as PaymentRequired of one version, with the
 * members description and mimeType of the resource at `path`.
 */
void paywall_offer_write(const struct paywall *paywall, const struct http_call *call,
                         enum x402_version version, struct slice path,
                         const struct paywall_quote *quote, struct json_out *out);

/* paywall_asset returns the token that is taken, or NULL when none is. */
const struct address *paywall_asset(const struct paywall *paywall);

/* paywall_job_table has the job that ends payments; `paywall` may be NULL, to be looked at. */
struct job_table paywall_job_table(struct paywall *paywall);
/* paywall_http_table has the routes of the facilitator; `paywall` may be NULL, to be looked at. */
struct http_table paywall_http_table(struct paywall *paywall);
/* paywall_audit_table has the actions. */
struct audit_table paywall_audit_table(void);
/* paywall_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void paywall_metrics_register(void);

#endif
