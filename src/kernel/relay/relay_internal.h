/*
 * relay_internal.h: what the files of kernel/relay share. Private to this folder.
 *
 * One pass (relay_step) is: send what is signed, look for receipts, look after what is stuck,
 * watch the final stretch of what is mined, then simulate, sign and send what is queued. Network
 * calls happen between transactions; each transaction checks the state that it moves from, so
 * that a cancel or a second process in between is harmless.
 */
#ifndef KERNEL_RELAY_RELAY_INTERNAL_H
#define KERNEL_RELAY_RELAY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "kernel/base/metric.h"
#include "kernel/relay/relay.h"

/* Gas of an empty transfer. */
#define RELAY_FILL_GAS 21000
/* The same bytes are sent again when no receipt came for this long. Units: microseconds. */
#define RELAY_RESEND_USEC (15 * (int64_t)USEC_PER_SEC)
/* A nonce that was mined by foreign bytes is believed after this long. Units: microseconds. */
#define RELAY_REPLACED_USEC (30 * (int64_t)USEC_PER_SEC)
/* Pause after a failure that may pass (no funds, fee above the cap). Units: microseconds. */
#define RELAY_RETRY_USEC (3 * (int64_t)USEC_PER_SEC)
/* How often mined intents are looked at until they are final. Units: microseconds. */
#define RELAY_RECHECK_USEC (2 * (int64_t)USEC_PER_SEC)

enum relay_metric {
    RELAY_METRIC_SUBMITTED,
    RELAY_METRIC_SIGNED,
    RELAY_METRIC_SENT,
    RELAY_METRIC_MINED,
    RELAY_METRIC_REVERTED,
    RELAY_METRIC_FAILED,
    RELAY_METRIC_REPLACED,
    RELAY_METRIC_BUMPED,
    RELAY_METRIC_REFUSED,
    RELAY_METRIC_REORGED,
    RELAY_METRIC_QUEUED,
    RELAY_METRIC_INFLIGHT,
    RELAY_METRIC_LATENCY,
    RELAY_METRIC_COUNT
};

extern struct metric_value relay_metrics[RELAY_METRIC_COUNT];

struct relay {
    struct relay_config config;
    uint64_t chain_id;
    struct store *store;
    struct rpc_pool *rpc;
    const struct relay_signer *signers;
    size_t signer_count;
    const struct relay_policy *policies;
    size_t policy_count;
    const struct abi_contract *const *contracts;
    size_t contract_count;
    relay_watch_fn watch;
    void *watch_ctx;
    void (*mined)(void *ctx);
    void *mined_ctx;

    struct arena step;
    int64_t recheck_usec; /* monotonic time of the last look at mined intents */
    uint64_t reorg_seen;  /* of the signal "chain_reorg" */
    bool low_funds;       /* said once until it passes */

    pthread_t thread;
    bool running;
    _Atomic bool stopping;
};

/* A queued intent on its way to a signature. */
struct relay_candidate {
    struct slice id;
    struct address wallet;
    bool has_to;
    struct address to;
    struct wei_amount value;
    struct slice data;
    struct slice role;
    struct slice purpose;
    uint64_t gas_limit;
    int64_t deadline_usec;
    enum relay_state after_state; /* 0: waits for nothing */
    bool after_missing;
    /* What the pass decided: */
    enum err verdict; /* OK: sign; else fail with `why`, unless `later` */
    bool later;
    struct why why;
    bool signed_;
};

/* A signed or sent intent with its newest bytes. */
struct relay_open {
    struct slice id;
    struct address wallet;
    enum relay_state state;
    uint64_t nonce;
    uint32_t attempt;
    int64_t sent_usec;
    int64_t try_usec;
    bool filling;
    struct hash hash;
    struct slice raw;
    struct wei_amount fee_max;
    struct wei_amount fee_priority;
    uint64_t gas_limit;
    int64_t attempt_usec;
    /* What the pass found: */
    enum rpc_verdict verdict;
    bool verdict_known;
    struct why why;
    bool found;
    struct evm_receipt receipt;
};

/* relay_signer_find returns the signer of an address, or NULL. */
const struct relay_signer *relay_signer_find(const struct relay *relay,
                                             const struct address *address);

/*
 * relay_policy_check is the signer's own look at what it signs: callee, function and strict
 * calldata must be allowed for the role. Errors: ERR_POLICY_REFUSED.
 */
enum err relay_policy_check(const struct relay *relay, struct arena *scratch, struct slice role,
                            bool has_to, const struct address *to, struct slice data,
                            struct why *why) ERR_CHECKED;

/* relay_fees decides fees for new bytes. *out_wait: the cap is below what the chain asks. */
enum err relay_fees(struct relay *relay, bool *out_legacy, struct wei_amount *out_max,
                    struct wei_amount *out_priority, bool *out_wait, struct why *why) ERR_CHECKED;

/* relay_open_load reads all open intents of the chain in nonce order. */
enum err relay_open_load(struct relay *relay, struct relay_open **out, size_t *out_count,
                         struct why *why) ERR_CHECKED;

/* relay_pass_queued simulates, signs and stores queued intents. */
enum err relay_pass_queued(struct relay *relay, bool *out_progress, struct why *why) ERR_CHECKED;
/* relay_pass_open sends signed bytes, looks for receipts and replaces what is stuck. */
enum err relay_pass_open(struct relay *relay, bool *out_progress, struct why *why) ERR_CHECKED;
/* relay_pass_final watches mined intents until a reorganisation cannot take them. */
enum err relay_pass_final(struct relay *relay, bool *out_progress, struct why *why) ERR_CHECKED;

/*
 * relay_resign signs another version at the nonce of `open`: a bump of the same content, or a
 * filler when `fill` is not OK. Runs its own transaction.
 */
enum err relay_resign(struct relay *relay, const struct relay_open *open, enum err fill,
                      const struct why *fill_why, struct why *why) ERR_CHECKED;

/* relay_tell calls the watcher with the intent's current row. */
enum err relay_tell(struct relay *relay, struct store_tx *tx, struct slice id,
                    struct why *why) ERR_CHECKED;

/* relay_row_read fills a row from the current row of a get or list statement. */
void relay_row_read(struct store_query *q, struct arena *arena, struct relay_row *out);

/* relay_attempt_put stores one version of signed bytes. */
enum err relay_attempt_put(struct store_tx *tx, struct slice id, uint32_t attempt,
                           const struct tx *content, struct slice raw, const struct hash *hash,
                           struct why *why) ERR_CHECKED;

#endif
