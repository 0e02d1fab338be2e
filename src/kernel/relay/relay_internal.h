/*
 * relay_internal.h: what the files of kernel/relay share. Private to this folder.
 *
 *   relay.c         the pass, the thread, wallets against the chain at the start
 *   relay_rows.c    submitting, reading, cancelling, hurrying, waiting
 *   relay_tell.c    what became of intents, told to the audit log and to the watcher
 *   relay_json.c    intents as JSON
 *   relay_pool.c    which wallet sends what any may send; wallets as rows
 *   relay_queue.c   queued intents: judged, simulated, signed or failed
 *   relay_gas.c     simulation: what a call costs, or why it would fail
 *   relay_assign.c  nonces and bytes for those that passed
 *   relay_sign.c    making bytes, and another version of them at the same nonce
 *   relay_fill.c    a nonce that nobody has
 *   relay_open.c    signed bytes are sent until they are mined
 *   relay_receipt.c receipts, and what they make of an intent
 *   relay_wish.c    what was asked of signed intents: taken back, hurried
 *   relay_stuck.c   what neither moves nor is mined: bumped, given up, or its nonce filled
 *   relay_final.c   mined intents are watched until a reorganisation cannot take them
 *   relay_lease.c   which wallets are ours, when other processes have keys too
 *   relay_checks.c  what is looked at before sending for somebody else
 *   relay_policy.c  what the signer allows
 *   relay_fees.c    what is offered for a place in a block, and how that grows
 *   relay_key.c     a signer in process memory
 *   relay_remote.c  signers on another machine
 *
 * Network calls happen between transactions; each transaction checks the state (and version) that
 * it moves from, so that a cancel or a second process in between is harmless.
 */
#ifndef KERNEL_RELAY_RELAY_INTERNAL_H
#define KERNEL_RELAY_RELAY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "kernel/base/metric.h"
#include "kernel/relay/relay.h"
#include "kernel/store/store_lease.h"

/* Gas of an empty transfer. */
#define RELAY_FILL_GAS 21000
/* The same bytes are sent again when no receipt came for this long. Units: microseconds. */
#define RELAY_RESEND_USEC (15 * (int64_t)USEC_PER_SEC)
/* Bytes that a node took and does not count as pending for this long are sent again. */
#define RELAY_DROPPED_USEC ((int64_t)USEC_PER_SEC)
/* Looks at an intent that no node can estimate, before the limit of its operation is taken. */
#define RELAY_BLIND_TRIES 2
/* The least rise with which nodes take a replacement. */
#define RELAY_BUMP_PERMILLE_MIN 100
#define RELAY_SPEED_UPS_MAX 16
/* That a nonce was mined by foreign bytes, or is a gap, is believed after this long. */
#define RELAY_BELIEVE_USEC (30 * (int64_t)USEC_PER_SEC)
/* Pause after a failure that may pass (no funds, fee above the cap). Units: microseconds. */
#define RELAY_RETRY_USEC (3 * (int64_t)USEC_PER_SEC)
/* The pause after a node's error doubles up to this. Units: microseconds. */
#define RELAY_RETRY_USEC_MAX (60 * (int64_t)USEC_PER_SEC)
/* The first pause before a simulation that reverts is made again, doubling. Units: microseconds. */
#define RELAY_DOUBT_USEC ((int64_t)USEC_PER_SEC)
/* Looks at a queued intent that a node answers with errors, before it fails: a quarter hour. */
#define RELAY_TRIES_MAX 20
/* No row is put off as far as this: a later time is of a clock that was put back since. */
#define RELAY_FAR_USEC (5 * 60 * (int64_t)USEC_PER_SEC)
/* Whoever had a wallet may be away for this long before its queued intents fail: a day. */
#define RELAY_AWAY_USEC (86400 * (int64_t)USEC_PER_SEC)
/* Intents that one transaction stores: whoever submits meanwhile waits for no more of them. */
#define RELAY_STORED_MAX 64
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
    RELAY_METRIC_FILLED,
    RELAY_METRIC_REFUSED,
    RELAY_METRIC_REORGED,
    RELAY_METRIC_CANCELLED,
    RELAY_METRIC_DROPPED,
    RELAY_METRIC_QUEUED,
    RELAY_METRIC_INFLIGHT,
    RELAY_METRIC_LATENCY,
    RELAY_METRIC_COUNT
};

extern struct metric_value relay_metrics[RELAY_METRIC_COUNT];

/*
 * What the relay thread remembers of a wallet of its own from one pass to the next. Only suspicions
 * that ripen with time are here: a restart lets them ripen anew.
 */
struct relay_wallet {
    struct store_hold hold;
    bool reconciled;       /* with the node, under this hold */
    int64_t behind_usec;   /* since when a nonce is mined and no receipt is ours; 0: not so */
    uint64_t behind_below; /* nonces below were mined then: those above have their own time */
    int64_t gap_usec; /* since when the nonce that the chain waits for is nobody's; 0: not so */
    uint64_t stuck_nonce;
    uint32_t stuck_attempt;
    uint64_t stuck_head; /* newest block when that version had waited long enough; 0: not yet */
    bool low_funds;      /* said once until it passes */
    int64_t wish_usec;   /* monotonic: wishes that the cap forbade are looked at again then */
};

/* How long the n-th version may wait to be mined, and by how much the next one offers more. */
struct relay_speed_up {
    int64_t wait_usec;
    uint64_t bump_permille;
};

/* The last step counts for all further versions. */
struct relay_schedule {
    struct relay_speed_up steps[RELAY_SPEED_UPS_MAX];
    size_t count;
};

struct relay {
    struct relay_config config; /* with the bounds of the chain's profile */
    struct relay_schedule schedule;
    uint64_t chain_id;
    struct store *store;
    struct rpc_pool *rpc;
    const struct relay_signer *signers;
    struct relay_wallet *wallets; /* one for each signer */
    size_t signer_count;
    const struct relay_policy *policies;
    size_t policy_count;
    const struct relay_gas *gases;
    size_t gas_count;
    const struct abi_contract *const *contracts;
    size_t contract_count;
    struct address *pool;
    size_t pool_count;
    bool has_treasury;
    struct relay_treasury treasury;
    relay_watch_fn watch;
    void *watch_ctx;
    bool leased;
    struct store_hold hold; /* of what belongs to no wallet */

    struct arena step;
    int64_t recheck_usec;   /* monotonic time of the last look at mined intents */
    uint64_t reorg_seen;    /* of the signal "chain_reorg" */
    int64_t short_usec;     /* since when the node lacks a block that it had; 0: not so */
    _Atomic bool fees_high; /* the cap is below what the chain asks, as of the last look */
    char installation[STORE_INSTALLATION_MAX]; /* a key for hashes in the audit log */

    pthread_t thread;
    bool running;
    _Atomic bool stopping;
};

/* What the chain asks. */
struct relay_fee {
    bool legacy;
    struct wei_amount base;   /* of the next block; the whole price on a legacy chain */
    struct wei_amount reward; /* what recent blocks paid above it */
    bool wait;                /* the cap is below what the chain asks */
    uint64_t gas_limit;       /* of a block */
};

/* What we offer. */
struct relay_offer {
    bool legacy;
    struct wei_amount max;
    struct wei_amount priority;
};

/* A signed or sent intent with its newest bytes. */
struct relay_open {
    struct slice id;
    struct address wallet;
    enum relay_state state;
    uint64_t nonce;
    uint32_t attempt;
    bool accepted; /* a node took some version of it once */
    int64_t sent_usec;
    int64_t try_usec;
    enum relay_priority priority;
    bool cancelling;
    bool hurried;
    int64_t deadline_usec; /* 0: none */
    bool filling;          /* the newest bytes are a filler */
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
    bool below; /* its nonce is mined, by whatever bytes */
    bool found;
    enum relay_state outcome; /* when found and stored */
    struct evm_receipt receipt;
};

/* The open intents of one wallet in nonce order, with what the chain says of the wallet. */
struct relay_lane {
    struct address address;
    const struct relay_signer *signer; /* NULL: the key is gone from the configuration */
    struct relay_wallet *wallet;       /* NULL with it */
    struct relay_open *items;
    size_t count;
    uint64_t mined;   /* the nonce that the chain waits for */
    uint64_t pending; /* the next one by the node's pool */
};

/* What makes another version of an open intent. */
struct relay_version {
    enum err fill; /* OK: the same content; else a filler, and this is what the intent fails with */
    const struct why *why;
    uint64_t bump_permille; /* 0: no node has the old bytes, the fees of today will do */
};

/* Intents as they are after a change that is to be told. */
struct relay_told {
    struct arena *arena;
    struct relay_row *rows;
    size_t count;
    size_t cap;
};

/* A receipt of one of an intent's versions. */
struct relay_landing {
    struct slice id;
    const struct evm_receipt *receipt;
    enum relay_state outcome; /* out: what the intent became; 0: its row was not touched */
};

/* The leases that a write of several wallets needs. */
struct relay_holds {
    struct store_hold *list; /* in the arena of the step */
    size_t count;
};

/* ---- relay_lease.c ---- */

/* relay_lease_want asks for the leases of the chain and of all wallets. */
void relay_lease_want(struct relay *relay);
/* relay_lease_release gives them back. */
void relay_lease_release(struct relay *relay);
/* relay_lease_take says whether the next step is ours to make, and remembers of what. */
bool relay_lease_take(struct relay *relay);
/* relay_works_on says whether we have the key of a wallet, and nobody else works on it. */
bool relay_works_on(const struct relay *relay, const struct address *wallet);
/* relay_watches says whether we see to what belongs to no wallet. */
bool relay_watches(const struct relay *relay);
/*
 * relay_looks_at says whether what is open of a wallet is ours to send and to look for: of those
 * that nobody works on, whoever watches does that.
 */
bool relay_looks_at(const struct relay *relay, const struct address *wallet);
/* relay_is_unknown says whether no process has the key, nor had it lately. */
bool relay_is_unknown(const struct relay *relay, const struct address *wallet);
/* relay_holds_init makes an empty list. */
void relay_holds_init(struct relay *relay, struct relay_holds *out);
/* relay_holds_add adds the lease under which we work on a wallet; NULL: on none. */
void relay_holds_add(const struct relay *relay, struct relay_holds *holds,
                     const struct address *wallet);
/*
 * relay_write is store_write at READ COMMITTED (decision 0030), refused when one of the leases is
 * another process's (ERR_FENCED): `fn` locks what it decides on, or compares it in the statement
 * that changes it.
 */
enum err relay_write(struct relay *relay, const struct relay_holds *holds, store_fn fn, void *ctx,
                     struct why *why) ERR_CHECKED;
/* relay_write_one is relay_write under the lease of one wallet; NULL: of none. */
enum err relay_write_one(struct relay *relay, const struct address *wallet, store_fn fn, void *ctx,
                         struct why *why) ERR_CHECKED;

/* ---- relay_policy.c ---- */

/* relay_signer_find returns the signer of an address, or NULL. */
const struct relay_signer *relay_signer_find(const struct relay *relay,
                                             const struct address *address);

/*
 * relay_policy_check is the signer's own look at what it signs: callee, function and exact calldata
 * must be allowed for the role. Errors: ERR_POLICY_REFUSED.
 */
enum err relay_policy_check(const struct relay *relay, struct arena *scratch,
                            const struct address *wallet, struct slice role, bool has_to,
                            const struct address *to, struct wei_amount value, struct slice data,
                            struct why *why) ERR_CHECKED;

/*
 * relay_policy_operation says whether a role may make a call with these bytes, to whichever
 * contract that has the function. The treasury's role is for nobody who asks.
 */
bool relay_policy_operation(const struct relay *relay, struct arena *scratch, struct slice role,
                            bool has_to, struct wei_amount value, struct slice data);

/* ---- relay_fees.c ---- */

/*
 * relay_config_resolve fills what was left open with the chain's profile and reads the schedule.
 * Errors: ERR_CONFIG.
 */
enum err relay_config_resolve(const struct relay_config *config, uint64_t chain_id,
                              struct relay_config *out, struct relay_schedule *schedule,
                              struct why *why) ERR_CHECKED;
/* relay_schedule_parse reads the schedule of a configuration. Errors: ERR_CONFIG. */
enum err relay_schedule_parse(const struct relay_config *config, struct relay_schedule *out,
                              struct why *why) ERR_CHECKED;
/* relay_speed_up_of returns the step for a version, counted from 1. */
const struct relay_speed_up *relay_speed_up_of(const struct relay *relay, uint32_t attempt);

/* relay_fees asks what the chain asks. */
enum err relay_fees(struct relay *relay, struct relay_fee *out, struct why *why) ERR_CHECKED;
/* relay_fee_offer decides what is offered for new bytes. */
void relay_fee_offer(const struct relay *relay, const struct relay_fee *fee,
                     enum relay_priority priority, struct relay_offer *out);
/*
 * relay_fee_raise decides what is offered instead of old bytes: both fees risen by `permille` and 1
 * wei, or what is offered now, if that is more. Errors: ERR_LIMIT (the cap).
 */
enum err relay_fee_raise(const struct relay *relay, const struct relay_offer *now,
                         struct wei_amount old_max, struct wei_amount old_priority,
                         uint64_t permille, struct relay_offer *out, struct why *why) ERR_CHECKED;

/* ---- relay_sign.c ---- */

/*
 * relay_sign is the only way to a signature. It looks at the policy of the role once more, whatever
 * was looked at before and wherever the content comes from; only an empty transfer to the wallet
 * itself is nobody's. Then it has the bytes made and reads them back: they must say what was asked
 * for and be signed by the wallet. Errors: ERR_POLICY_REFUSED, ERR_UNKNOWN_WALLET, ERR_CRYPTO,
 * those of the signer.
 */
enum err relay_sign(struct relay *relay, const struct address *wallet, struct slice role,
                    const struct tx *content, struct slice *out_raw, struct hash *out_hash,
                    struct why *why) ERR_CHECKED;

/* relay_attempt_bind gives one version of signed bytes to the statement that stores it. */
void relay_attempt_bind(struct store_query *q, struct slice id, uint32_t attempt,
                        const struct tx *content, bool filler, struct slice raw,
                        const struct hash *hash);
/* relay_attempt_put stores one version of signed bytes. */
enum err relay_attempt_put(struct store_tx *tx, struct slice id, uint32_t attempt,
                           const struct tx *content, bool filler, struct slice raw,
                           const struct hash *hash, struct why *why) ERR_CHECKED;

/*
 * relay_resign signs another version at the nonce of `open`, in its own transaction. *out_done is
 * false when somebody else was faster. Errors: ERR_LIMIT (the cap forbids the fees).
 */
enum err relay_resign(struct relay *relay, const struct relay_open *open,
                      const struct relay_version *version, bool *out_done,
                      struct why *why) ERR_CHECKED;

/* relay_filler_make makes the content of an empty transfer to the wallet itself. */
void relay_filler_make(struct tx *content, const struct address *wallet);

/* ---- relay_fill.c ---- */

/* relay_fill takes a nonce that the chain waits for and that nobody has, with an empty transfer. */
enum err relay_fill(struct relay *relay, const struct address *wallet, uint64_t nonce,
                    struct why *why) ERR_CHECKED;

/* ---- the passes ---- */

/* relay_pass_pool gives intents that any wallet may send to wallets. */
enum err relay_pass_pool(struct relay *relay, bool *out_progress, struct why *why) ERR_CHECKED;
/* relay_bind_ages binds the times by which the ranks of queued intents are reckoned. */
void relay_bind_ages(const struct relay *relay, struct store_query *q, int64_t now_usec);
/* relay_pass_queued judges, simulates and signs queued intents. */
enum err relay_pass_queued(struct relay *relay, bool *out_progress, struct why *why) ERR_CHECKED;
/* relay_pass_open sends signed bytes, looks for receipts and after what is stuck. */
enum err relay_pass_open(struct relay *relay, bool *out_progress, struct why *why) ERR_CHECKED;
/* relay_pass_final watches mined intents until a reorganisation cannot take them. */
enum err relay_pass_final(struct relay *relay, bool *out_progress, struct why *why) ERR_CHECKED;

/*
 * relay_grant_wishes replaces signed bytes that were cancelled, hurried or have outlived their
 * deadline. *out_changed: what was loaded is not so any more.
 */
enum err relay_grant_wishes(struct relay *relay, struct relay_open *items, size_t count,
                            bool *out_changed, struct why *why) ERR_CHECKED;

/* relay_look_after is what a pass does for a lane that waits. */
enum err relay_look_after(struct relay *relay, struct relay_lane *lane, bool *out_progress,
                          struct why *why) ERR_CHECKED;

/*
 * relay_take_receipts looks for receipts of the intents that are marked below and stores what they
 * say. `holds`: the leases for that.
 */
enum err relay_take_receipts(struct relay *relay, struct relay_open *items, size_t count,
                             const struct relay_holds *holds, bool *out_progress,
                             struct why *why) ERR_CHECKED;

/*
 * relay_find_receipts asks for the receipts of all versions of the intents that are marked below,
 * and marks what it finds.
 */
enum err relay_find_receipts(struct relay *relay, struct relay_open *items, size_t count,
                             size_t *out_found, struct why *why) ERR_CHECKED;

/* relay_landings_put stores what receipts say of intents and tells of it. */
enum err relay_landings_put(struct relay *relay, struct store_tx *tx, struct relay_landing *list,
                            size_t count, struct why *why) ERR_CHECKED;

/* relay_wallet_low notes that a node found a wallet without the coin for a transaction. */
enum err relay_wallet_low(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                          struct why *why) ERR_CHECKED;

/* relay_run_by_id runs a statement that has the parameters intent_id and now, and answers nothing.
 */
enum err relay_run_by_id(struct store_tx *tx, const struct store_statement *statement,
                         struct slice id, struct why *why) ERR_CHECKED;

/* ---- relay_tell.c ---- */

/* relay_row_take reads the columns of an intent. Owns: the arena. */
void relay_row_take(struct store_query *q, struct arena *arena, struct relay_row *out);
/* relay_told_init makes room for `cap` rows. Owns: the arena. */
void relay_told_init(struct relay_told *told, struct arena *arena, size_t cap);
/* relay_told_add returns the next row, to be filled. */
struct relay_row *relay_told_add(struct relay_told *told);
/* relay_told_take adds the row that a statement has answered. */
struct relay_row *relay_told_take(struct relay_told *told, struct store_query *q);
/*
 * relay_told_run runs a statement, which has the parameters intent_id and now and answers with
 * rows, for each of the ids, and adds what it answers.
 */
enum err relay_told_run(struct relay_told *told, struct store_tx *tx,
                        const struct store_statement *statement, const struct slice *ids,
                        size_t count, struct why *why) ERR_CHECKED;
/* relay_tell_all records the states that intents came to, and tells the watcher. */
enum err relay_tell_all(const struct relay *relay, struct store_tx *tx,
                        const struct relay_told *told, struct why *why) ERR_CHECKED;
/* relay_tell reads one intent and does so for it. */
enum err relay_tell(const struct relay *relay, struct store_tx *tx, struct slice id,
                    struct why *why) ERR_CHECKED;

/*
 * relay_nonce_at_least makes `nonce` the wallet's next one when its row is behind; *out_next is
 * what it is then. A wallet without a row gets one.
 */
enum err relay_nonce_at_least(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                              uint64_t nonce, uint64_t *out_next, struct why *why) ERR_CHECKED;

/* relay_nonce_put raises the wallet's next nonce. */
enum err relay_nonce_put(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                         uint64_t nonce, struct why *why) ERR_CHECKED;

/* relay_wallet_of returns what is remembered of a wallet, or NULL: it is not ours to work on. */
struct relay_wallet *relay_wallet_of(struct relay *relay, const struct address *wallet);

/*
 * relay_counts asks for the next nonces of some wallets in one batch: by what is mined, and with
 * what waits in the node's pool. Errors: node errors.
 */
enum err relay_counts(struct relay *relay, const struct address *const *wallets, size_t count,
                      uint64_t *out_mined, uint64_t *out_pending, struct why *why) ERR_CHECKED;

/* ---- relay_audit.c ---- */

/* relay_audit_submitted records a new intent in its transaction. */
enum err relay_audit_submitted(struct store_tx *tx, const struct relay_intent *intent,
                               struct slice id, struct why *why) ERR_CHECKED;
/* relay_audit_states records the states that intents came to, in the transaction of that. */
enum err relay_audit_states(struct store_tx *tx, struct arena *arena, const struct relay_row *rows,
                            size_t count, struct why *why) ERR_CHECKED;

#endif
