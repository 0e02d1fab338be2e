/*
 * paywall_internal.h: what the files of kernel/paywall share. Private to this folder.
 *
 *   paywall.c          configuration, the asset's domain, tables
 *   paywall_cashier.c  one request through the paywall
 *   paywall_tell.c     offers and receipts as clients are told
 *   paywall_chain.c    questions to the chain
 *   paywall_settle.c   a payment from SETTLING to its end
 *   paywall_rows.c     rows of sales
 *   paywall_facilitator.c  the same for other servers
 *   paywall_job.c      what goes on when nobody waits
 */
#ifndef KERNEL_PAYWALL_PAYWALL_INTERNAL_H
#define KERNEL_PAYWALL_PAYWALL_INTERNAL_H

#include "kernel/base/metric.h"
#include "kernel/paywall/paywall.h"

#define PAYWALL_ROLE "x402"
#define PAYWALL_PURPOSE "x402.settle"
#define PAYWALL_PRICES_MAX 64
#define PAYWALL_POLICIES 1

struct paywall {
    struct paywall_config config;
    uint64_t chain_id;
    struct store *store;
    struct rpc_pool *rpc;
    struct relay *relay;
    struct address asset;
    struct slice token_name;
    struct slice token_version;
    struct address pay_to;
    bool has_pay_to;
    struct address wallet; /* that settles, unless there is a pool and none was named */
    bool has_wallet;
    bool names_wallet;
    struct paywall_price prices[PAYWALL_PRICES_MAX];
    struct u256 amounts[PAYWALL_PRICES_MAX]; /* of prices of the configuration */
    size_t price_count;
    const struct http_table *tables;
    size_t table_count;
    int64_t started_usec;
    struct relay_policy policies[PAYWALL_POLICIES];
    struct http_cashier cashier;
    struct arena boot;
};

/* One request in the paywall: the state of its toll. */
struct paywall_passage {
    const struct paywall_price *price;
    struct paywall_quote quote;
    struct x402_offer offer;
    struct x402_resource resource;
    enum x402_version version;
    struct x402_authorization authorization;
    struct x402_key key;
    struct hash request_hash;
    struct slice payload_json;
};

/* What became of a settlement by now. */
struct paywall_outcome {
    enum x402_state state;   /* SETTLED, FAILED; else it is under way */
    enum x402_reason reason; /* of FAILED */
    bool unsure;             /* under way, but not by us any more */
    bool has_transaction;
    struct hash transaction;
};

enum paywall_metric {
    PAYWALL_METRIC_OFFERED,
    PAYWALL_METRIC_REFUSED,
    PAYWALL_METRIC_SETTLED,
    PAYWALL_METRIC_FAILED,
    PAYWALL_METRIC_PENDING,
    PAYWALL_METRIC_TOLD,
    PAYWALL_METRIC_HANDLER_FAILED,
    PAYWALL_METRIC_DURATION,
    PAYWALL_METRIC_COUNT
};

extern struct metric_value paywall_metrics[PAYWALL_METRIC_COUNT];

enum { PAYWALL_AUDIT_SETTLED, PAYWALL_AUDIT_FAILED, PAYWALL_AUDIT_COUNT };

extern const struct audit_action paywall_audit_actions[PAYWALL_AUDIT_COUNT];

/* paywall_price_find returns the price of an operation, or NULL. */
const struct paywall_price *paywall_price_find(const struct paywall *p, struct slice operation);

/* ---- paywall_chain.c ---- */

/*
 * paywall_domain_check finds name and version of the asset's domain, or holds the configured ones
 * against what the contract says. Owns: the boot arena. Errors: ERR_CONFIG, node errors.
 */
enum err paywall_domain_check(struct paywall *p, struct why *why) ERR_CHECKED;
/* paywall_transfer_encode makes the calldata that settles. Owns: the arena. */
enum err paywall_transfer_encode(struct arena *arena, const struct x402_authorization *a,
                                 struct slice *out, struct why *why) ERR_CHECKED;
/*
 * paywall_simulate asks the chain whether the transfer would go through now, and if not, why.
 * `said` (may be NULL) is told in a sentence. Errors: of the nodes.
 */
enum err paywall_simulate(const struct paywall *p, struct arena *arena,
                          const struct x402_authorization *a, enum x402_reason *out,
                          struct why *said, struct why *why) ERR_CHECKED;
/*
 * paywall_receipt looks whether a transaction moved exactly this money. *out_found: it has a
 * receipt. Errors: of the nodes.
 */
enum err paywall_receipt(const struct paywall *p, struct arena *arena, const struct hash *tx,
                         const struct paywall_sale *sale, bool *out_found,
                         enum x402_reason *out_reason, struct why *why) ERR_CHECKED;
/*
 * paywall_settled_elsewhere looks for the transaction of somebody else that used the authorization.
 * *out_reason is X402_OK when it moved exactly this money, X402_NONCE_USED when the authorization
 * is spent otherwise, X402_BALANCE, or X402_TRANSACTION when nothing is known. Errors: of the
 * nodes.
 */
enum err paywall_settled_elsewhere(const struct paywall *p, struct arena *arena,
                                   const struct paywall_sale *sale, struct hash *out_tx,
                                   enum x402_reason *out_reason, struct why *why) ERR_CHECKED;

/* ---- paywall_rows.c ---- */

/* paywall_sale_insert writes what is sold, with the answer that is held back. */
enum err paywall_sale_insert(struct store_tx *tx, const struct paywall_sale *sale,
                             struct slice intent_id, const struct http_toll *answer,
                             struct why *why) ERR_CHECKED;
/* paywall_sale_find reads a sale and its intent. Owns: the arena. Errors: ERR_NOT_FOUND. */
enum err paywall_sale_find(struct store_tx *tx, struct arena *arena, const struct x402_key *key,
                           struct paywall_sale *out, struct slice *out_intent_id,
                           struct why *why) ERR_CHECKED;
/* paywall_answer_find reads the answer; *out_kept is false when it is gone. Owns: the arena. */
enum err paywall_answer_find(struct store_tx *tx, struct arena *arena, const struct x402_key *key,
                             struct http_toll *out, bool *out_kept, struct why *why) ERR_CHECKED;

/* ---- paywall_settle.c ---- */

/* paywall_can_settle says whether some wallet could send. Errors: ERR_UPSTREAM. */
enum err paywall_can_settle(const struct paywall *p, struct why *why) ERR_CHECKED;
/*
 * paywall_settle_begin makes a payment SETTLING, with its sale and intent, durably. Owns:
 * out_intent_id in the arena. Errors: ERR_CONFLICT (it is not RESERVED), those of the store.
 */
enum err paywall_settle_begin(const struct paywall *p, struct arena *arena,
                              const struct paywall_sale *sale, const struct x402_authorization *a,
                              const struct http_toll *answer, struct slice *out_intent_id,
                              struct why *why) ERR_CHECKED;
/*
 * paywall_settle_go_on waits at most so long for the intent, and writes what became of the payment.
 * Errors: of the store and of the nodes: the payment is as it was.
 */
enum err paywall_settle_go_on(const struct paywall *p, struct arena *arena,
                              const struct paywall_sale *sale, struct slice intent_id,
                              int64_t wait_usec, struct paywall_outcome *out,
                              struct why *why) ERR_CHECKED;
/* paywall_settle_again reads a payment's sale and goes on with it. */
enum err paywall_settle_again(const struct paywall *p, struct arena *arena,
                              const struct x402_key *key, int64_t wait_usec,
                              struct paywall_outcome *out, struct why *why) ERR_CHECKED;

/* ---- paywall_tell.c ---- */

/* paywall_offer_of makes the offer of a quote. */
struct x402_offer paywall_offer_of(const struct paywall *p, const struct paywall_quote *quote);
/* paywall_resource_of says what is sold. Owns: the request's arena. */
struct x402_resource paywall_resource_of(const struct paywall *p, const struct http_call *call,
                                         struct slice target, struct slice description);
/* paywall_tell_offer puts the offer into a refusal; `code` NULL: no payment was sent. */
void paywall_tell_offer(struct http_call *call, const struct paywall_passage *passage,
                        const char *code);
/* paywall_tell_settlement puts a receipt, or the lack of one, into the answer. */
void paywall_tell_settlement(struct http_call *call, const struct paywall_passage *passage,
                             enum x402_reason reason, const struct hash *transaction);

/* ---- paywall_cashier.c ---- */

/* paywall_cashier_init fills the functions in. */
void paywall_cashier_init(struct paywall *p);

#endif
