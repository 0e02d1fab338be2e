/*
 * relay.h: transactions that get through exactly once.
 *
 * An intent is a row written in the transaction that wants it (relay_submit); its key makes it
 * unique. From then on the relay owns it:
 *
 *   QUEUED --simulated, fees set, nonce taken, signed, bytes stored (one transaction)--> SIGNED
 *   QUEUED --simulation reverts, policy refuses, `after` failed, deadline passed--> FAILED
 *   QUEUED --relay_cancel--> CANCELLED      (neither has used a nonce)
 *   SIGNED/SENT --relay_cancel, or the deadline passed--> a filler takes the nonce, see below
 *   SIGNED --a node took the bytes--> SENT
 *   SIGNED/SENT --other bytes at the same nonce: higher fees, or a filler--> SIGNED
 *   SIGNED/SENT --receipt, status 1--> MINED       --receipt, status 0--> REVERTED
 *   SIGNED/SENT --receipt of a filler--> FAILED, or CANCELLED when that was asked for
 *   SIGNED/SENT --the nonce was mined with bytes of somebody else--> REPLACED (never signed anew)
 *   what has a receipt --final_depth blocks on top--> `final`
 *   what has a receipt --the block fell out--> SIGNED (the same bytes again)
 *
 * Never two transactions for one intent: signed bytes are stored before they are sent, and what is
 * sent again is the same bytes, or a replacement with the same nonce.
 *
 * Never a nonce gap that stays: nonces are taken from the wallet's row in the signing transaction,
 * in order, and every SIGNED intent is sent until mined. Bytes that no node will ever take get a
 * filler at their nonce, an empty transfer to the wallet itself, and the intent fails; should its
 * own bytes be mined nevertheless, it is MINED. A nonce that the chain waits for and nobody has (a
 * foreign transaction vanished, a deep reorganisation) is filled too, or sent again by the ended
 * intent that had it.
 *
 * Concurrency: one thread a chain works on all wallets in batches: simulate (eth_estimateGas), sign
 * and store (one transaction), send, ask which nonces are mined, read receipts. Submitters never
 * touch nonces, so they cannot collide. Wallets take turns; one that has inflight_max transactions
 * under way waits without holding up the others. Signing happens between transactions, because a
 * signer may be another machine: bytes for the next nonces are made first, and stored in one
 * transaction if wallet and intents are still as they were; else they are dropped, unsent.
 *
 * Several wallets: an intent may leave the choice of its wallet open (`pooled`). The process that
 * watches the chain gives it to the wallet of the pool that has least under way and is not low on
 * coin; while it is queued and its wallet runs low, it is given to another one. What has a nonce
 * stays where it is. A pool without any wallet that could send leaves intents waiting.
 *
 * Order: intents of one wallet are signed by rank, and within one in the order of submission among
 * those that are ready. The rank is the priority, one higher after relay.aging in the queue and two
 * after twice that. So an urgent one goes before all that is young, and nothing waits for ever:
 * what has reached the highest rank is overtaken by nothing that was submitted after it. `after`
 * holds an intent back until another one is MINED (approve before bid). Fillings apart, an intent
 * whose look failed (a node in trouble) is overtaken.
 *
 * A simulation that reverts is made again before it is believed, after a look at what was mined,
 * and not while something submitted before is under way or was mined since the look before: after a
 * reorganisation, or the second of two, an intent would fail for want of what is about to be mined
 * again.
 *
 * Waiting: what will pass is waited for without end (no funds, fees above the cap, no node). What a
 * node holds against an intent without calling it a revert is asked again for a quarter of an hour.
 *
 * Fees: EIP-1559 with max = 2 * next base fee + priority, at least fee_wei_min and at most
 * fee_wei_max (waits when the cap is below the base fee); legacy where the chain has no base fee.
 * Both bounds, left at 0, are those of the chain (relay_profile_find). The priority fee is what
 * recent blocks paid (eth_feeHistory), scaled by the intent's priority. The lowest nonce, when it
 * was not mined in time, is replaced with both fees raised, as the speed-up schedule says, up to
 * the cap; ever more seldom while no block comes at all. Fees that a node refuses are raised at
 * once, twice as much each time.
 *
 * Gas: the node's estimate and gas_margin_percent. Where no node can estimate (it fails without
 * calling it a revert, again and again), the limit of the operation's row is taken, if there is
 * one. What reverts is never sent.
 *
 * Taking back: relay_cancel of signed bytes, and a deadline that passes them, has a filler with
 * higher fees sent at their nonce, so that what comes after goes on; whichever of the two is mined
 * decides. relay_hurry replaces signed bytes at once, and makes a queued intent urgent.
 *
 * Dropped: bytes that a node took and whose nonce it does not count as pending a second later were
 * swallowed or evicted: they are sent again, at most once a second.
 *
 * The signer decodes the calldata again and checks policy rows: (role, contract, function) must be
 * allowed and the calldata be the one encoding of its arguments; native coin only where the row
 * says so; gas below the cap. The role comes from who submitted, not from the payload. What a
 * signer returns is read back before it is stored. All this happens each time that bytes are made,
 * from the rows as they are then: what somebody changed in the database is not signed, and what the
 * policy allowed once and does not any more gets a filler instead of higher fees.
 *
 * Somebody else with the key moves the nonce: seen at the start and before each signing, so that
 * only what was signed by then can be REPLACED. That is believed after half a minute in which no
 * receipt of ours appeared.
 *
 * Crash points: before SIGNED commits: still QUEUED, nothing used. After: the bytes are there and
 * are sent (again). Between send and SENT: "already known" is success. On a node that lost its
 * memory pool: sent again every 15 s.
 *
 * Many processes: with `leased` each wallet is worked on by the one process that holds its lease
 * "relay/<chain>/<wallet>", of those that have its key; what belongs to no wallet by the one that
 * holds "relay/<chain>". Their writes are refused when they do not (store_lease.h). Bytes that a
 * paused process sends late are bytes that are stored. Processes without keys submit for wallets
 * that others have, or had within a day; after that, what is queued for them fails.
 *
 * Two relays on one store without leases do no harm either: every transition checks the state and
 * the version that it started from.
 *
 * Threads: one relay thread a chain; all other functions from anywhere.
 */
#ifndef KERNEL_RELAY_RELAY_H
#define KERNEL_RELAY_RELAY_H

#include "kernel/audit/audit.h"
#include "kernel/base/config.h"
#include "kernel/evm/abi.h"
#include "kernel/evm/address.h"
#include "kernel/evm/tx.h"
#include "kernel/jobs/jobs.h"
#include "kernel/rpc/rpc.h"
#include "kernel/store/store.h"

struct relay;

/* Stored: numbers are append-only. */
enum relay_state {
    RELAY_QUEUED = 1,
    RELAY_SIGNED = 2,
    RELAY_SENT = 3,
    RELAY_MINED = 4,
    RELAY_REVERTED = 5,
    RELAY_FAILED = 6,
    RELAY_REPLACED = 7,
    RELAY_CANCELLED = 8,
};

/* relay_state_text returns "queued", "signed", … */
const char *relay_state_text(enum relay_state state);
/* relay_state_parse reads such a word. Errors: ERR_INVALID_FIELD ("state"). */
enum err relay_state_parse(struct slice text, enum relay_state *out, struct why *why) ERR_CHECKED;

/* Who goes first, and what is offered for it. Stored: numbers are append-only. */
enum relay_priority {
    RELAY_LOW = 1,
    RELAY_NORMAL = 2,
    RELAY_HIGH = 3,
};

/* relay_priority_text returns "low", "normal" or "high". */
const char *relay_priority_text(enum relay_priority priority);

struct relay_intent {
    struct slice key; /* unique text: the idempotency key of the effect */
    uint64_t chain_id;
    struct address wallet; /* one of the relay's wallets */
    bool pooled;           /* any wallet of the pool: `wallet` is not looked at */
    bool has_to;           /* false: contract creation */
    struct address to;
    struct wei_amount value;
    struct slice data;
    const char *role;             /* policy role of the submitter: "registrar", "lessor", … */
    const char *purpose;          /* "leasing.register_asset" */
    uint64_t gas_limit;           /* 0: estimate + gas_margin_percent */
    struct slice after;           /* id of an intent that must be mined before, or "" */
    int64_t deadline_usec;        /* wall time after which it is not wanted any more; 0: none */
    enum relay_priority priority; /* 0: normal */
};

struct relay_row {
    struct slice id; /* "tx_…" */
    struct slice key;
    uint64_t chain_id;
    bool unassigned; /* of the pool, and no wallet was chosen yet */
    struct address wallet;
    bool has_to;
    struct address to;
    struct wei_amount value;
    struct slice purpose;
    enum relay_state state;
    bool final;
    bool has_nonce;
    uint64_t nonce;
    bool has_hash;
    struct hash hash;  /* of the latest signed bytes, or of those that were mined */
    uint32_t attempts; /* signed versions */
    enum relay_priority priority;
    bool cancelling; /* asked for; the nonce is signed already */
    bool has_block;
    uint64_t block_number;
    struct hash block_hash;
    uint64_t gas_used;
    struct wei_amount gas_price;
    bool has_contract;
    struct address contract; /* created */
    struct slice error_code; /* "" when none */
    struct slice error;      /* sentence */
    int64_t created_usec;
    int64_t updated_usec;
};

/*
 * What a role may send. The calldata must be an encoding of `function` of `contract`. A NULL
 * address matches any callee, a NULL function any of the contract. Both NULL: contract creation.
 */
struct relay_policy {
    const char *role;
    const struct abi_contract *contract;
    const struct abi_function *function;
    const struct address *address;
    bool payable; /* may send native coin along */
};

/*
 * Signs with a key that the relay never sees the bytes of. Called outside of transactions. An error
 * puts the intent off.
 */
struct relay_signer {
    struct address address;
    enum err (*sign)(void *ctx, struct arena *arena, const struct tx *tx, struct slice *out_raw,
                     struct hash *out_hash, struct why *why);
    void *ctx;
};

/* The gas limit of an operation where no node can estimate it. */
struct relay_gas {
    const char *purpose;
    uint64_t gas_limit;
};

/* Bounds of fees on a chain, where the configuration says nothing. */
struct relay_profile {
    const char *name;
    uint64_t chain_id; /* 0: any other */
    struct u256 fee_wei_min;
    struct u256 fee_wei_max;
};

/* relay_profile_find returns the row of a chain, or the general one. */
const struct relay_profile *relay_profile_find(uint64_t chain_id);

struct relay_config {
    struct u256 fee_wei_min; /* least maxFeePerGas; 0: of the chain's profile */
    struct u256 fee_wei_max; /* cap of maxFeePerGas; 0: of the chain's profile */
    struct u256 priority_wei_min;
    uint64_t low_percent;  /* of the priority fee that recent blocks paid */
    uint64_t high_percent; /* of the same */
    uint64_t bump_percent;
    int64_t stuck_usec;
    const char *speed_up; /* the schedule; "" or NULL: every stuck_usec by bump_percent */
    int64_t poll_usec;
    uint64_t batch_max;
    uint64_t inflight_max; /* signed or sent per wallet */
    uint64_t gas_limit_max;
    uint64_t gas_margin_percent;
    uint64_t caller_rate; /* transactions that one caller may ask for in a minute */
    int64_t aging_usec;   /* after which a queued intent counts as of the next priority; 0: never */
    uint64_t final_depth; /* blocks on top after which a receipt is not looked at again */
};

/* relay_config_rows are the rows of section "relay". */
extern const struct config_row relay_config_rows[];
extern const size_t relay_config_row_count;
/* relay_config_check says whether the values fit together. Errors: ERR_CONFIG. */
enum err relay_config_check(const struct relay_config *config, uint64_t chain_id,
                            struct why *why) ERR_CHECKED;

/*
 * Called inside the transaction in which the relay changes the states of intents, with the rows
 * that changed, so that a domain can follow them; not by relay_cancel of a queued intent, whose
 * caller knows. That transaction is READ COMMITTED on PostgreSQL (store_read_committed).
 */
typedef enum err (*relay_watch_fn)(struct store_tx *tx, void *ctx, const struct relay_row *rows,
                                   size_t count, struct why *why);

/*
 * The wallet that refills others. With the role RELAY_ROLE_TREASURY it may send plain coin, at most
 * `value_max` at a time, to wallets of the relay and nowhere else.
 */
struct relay_treasury {
    struct address wallet;
    struct wei_amount value_max;
};

#define RELAY_ROLE_TREASURY "relay.treasury"
#define RELAY_PURPOSE_REFILL "relay.refill"

struct relay_options {
    const struct relay_config *config;
    uint64_t chain_id;
    struct store *store;
    struct rpc_pool *rpc;
    const struct relay_signer *signers;
    size_t signer_count;
    const struct relay_policy *policies;
    size_t policy_count;
    const struct relay_gas *gases;
    size_t gas_count;
    const struct abi_contract *const *contracts; /* for decoding revert reasons */
    size_t contract_count;
    const struct address *pool; /* wallets that share work */
    size_t pool_count;
    const struct relay_treasury *treasury; /* or NULL: nobody refills */
    relay_watch_fn watch;                  /* or NULL */
    void *watch_ctx;
    bool leased; /* other processes may relay for this chain: work under leases */
};

/* relay_new makes a relay. Owns: the caller, relay_free. */
struct relay *relay_new(const struct relay_options *options);
/*
 * relay_start reconciles the wallets that are ours with the node and starts the thread; a relay
 * that is never started serves those who submit. Errors: as rpc.
 */
enum err relay_start(struct relay *relay, struct why *why) ERR_CHECKED;
/*
 * relay_reconcile compares each wallet's next nonce with the node's, as relay_start does; for those
 * who drive relay_step themselves. Errors: as rpc.
 */
enum err relay_reconcile(struct relay *relay, struct why *why) ERR_CHECKED;
/* relay_stop ends the thread after the current step. */
void relay_stop(struct relay *relay);
/* relay_free frees a stopped relay; NULL is fine. */
void relay_free(struct relay *relay);
/* relay_step does one pass on the caller's thread (tests). *out_progress: something changed. */
enum err relay_step(struct relay *relay, bool *out_progress, struct why *why) ERR_CHECKED;

/*
 * relay_submit writes an intent in the caller's transaction. The same key again returns the same
 * id and changes nothing; with other content (wallet, callee, value, data, role, purpose)
 * ERR_IDEMPOTENCY_MISMATCH. Owns: out_id in the arena.
 * Errors: ERR_UNKNOWN_WALLET is reported by relay_has_wallet beforehand; ERR_DB.
 */
enum err relay_submit(struct store_tx *tx, struct arena *arena, const struct relay_intent *intent,
                      struct slice *out_id, struct why *why) ERR_CHECKED;

/*
 * relay_has_wallet says whether this relay can sign for `address`, or another process (as of a
 * moment ago).
 */
bool relay_has_wallet(const struct relay *relay, const struct address *address);

/* relay_has_pool says whether this process knows of wallets that share work. */
bool relay_has_pool(const struct relay *relay);

/* A wallet as its row tells. */
struct relay_wallet_row {
    struct address address;
    uint64_t next_nonce;
    uint64_t open; /* queued, signed or sent */
    bool pooled;
    bool low;
    bool has_balance;
    struct wei_amount balance;
    int64_t balance_usec; /* when it was looked at */
};

/* relay_wallets lists the wallets of a chain. Owns: the arena. */
enum err relay_wallets(struct store_tx *tx, struct arena *arena, uint64_t chain_id,
                       struct relay_wallet_row **out, size_t *out_count,
                       struct why *why) ERR_CHECKED;
/*
 * relay_wallet_note notes what a wallet holds; one that is low gets no more work of the pool. A
 * wallet without a row is passed over.
 */
enum err relay_wallet_note(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                           struct wei_amount balance, bool low, struct why *why) ERR_CHECKED;
/*
 * relay_refills tells what the treasury has sent to a wallet: whether a refill is under way, and
 * how much was asked for by all wallets together since a time, failures left out.
 */
enum err relay_refills(struct store_tx *tx, uint64_t chain_id, const struct address *wallet,
                       int64_t since_usec, bool *out_open, struct wei_amount *out_total,
                       struct why *why) ERR_CHECKED;

/* relay_is_working says whether some process sees to the chain's intents, as of a moment ago. */
bool relay_is_working(const struct relay *relay);

/* relay_get reads an intent. Owns: the arena. Errors: ERR_NOT_FOUND. */
enum err relay_get(struct store_tx *tx, struct arena *arena, struct slice id, struct relay_row *out,
                   struct why *why) ERR_CHECKED;
/* relay_get_by_key reads an intent by its key. Errors: ERR_NOT_FOUND. */
enum err relay_get_by_key(struct store_tx *tx, struct arena *arena, struct slice key,
                          struct relay_row *out, struct why *why) ERR_CHECKED;
/*
 * relay_get_by_hash reads the intent that a mined transaction belongs to; *out_found is false for
 * a transaction that was sent by somebody else.
 */
enum err relay_get_by_hash(struct store_tx *tx, struct arena *arena, const struct hash *hash,
                           struct relay_row *out, bool *out_found, struct why *why) ERR_CHECKED;
/* What is listed; a member that is 0 or empty asks for nothing. */
struct relay_filter {
    enum relay_state state;
    struct slice purpose;
    bool has_wallet;
    struct address wallet;
    bool has_hash;
    struct hash hash;    /* of any signed version */
    bool open;           /* only what is queued, signed or sent */
    struct slice cursor; /* the id of the last one seen */
    size_t limit;
};

/* relay_list lists intents newest first. Owns: the arena. */
enum err relay_list(struct store_tx *tx, struct arena *arena, const struct relay_filter *filter,
                    struct relay_row **out, size_t *out_count, struct why *why) ERR_CHECKED;

/* One signed version at the nonce of an intent. */
struct relay_attempt {
    uint32_t attempt;
    struct hash hash;
    struct wei_amount fee_max;
    struct wei_amount fee_priority;
    uint64_t gas_limit;
    bool filler; /* an empty transfer that only takes the nonce */
    int64_t created_usec;
};

/* relay_attempts lists the signed versions of an intent, newest first. Owns: the arena. */
enum err relay_attempts(struct store_tx *tx, struct arena *arena, struct slice id,
                        struct relay_attempt **out, size_t *out_count, struct why *why) ERR_CHECKED;
/*
 * relay_cancel cancels a queued intent, or asks to take back the nonce of a signed one: then it is
 * `cancelling` until a receipt tells which of the two was mined. Errors: ERR_NOT_FOUND,
 * ERR_CONFLICT (it has ended).
 */
enum err relay_cancel(struct store_tx *tx, struct slice id, struct why *why) ERR_CHECKED;
/*
 * relay_hurry makes a queued intent urgent, or asks to replace signed bytes at once by others with
 * higher fees. Errors: ERR_NOT_FOUND, ERR_CONFLICT (it has ended).
 */
enum err relay_hurry(struct store_tx *tx, struct slice id, struct why *why) ERR_CHECKED;
/* relay_row_json writes an intent for the API. */
void relay_row_json(struct json_out *j, const struct relay_row *row);
/* relay_detail_json writes an intent with its signed versions. */
void relay_detail_json(struct json_out *j, const struct relay_row *row,
                       const struct relay_attempt *attempts, size_t count);

/* relay_wait waits until the intent leaves QUEUED/SIGNED/SENT or `timeout_usec` passed. */
enum err relay_wait(struct store *store, struct arena *arena, struct slice id, int64_t timeout_usec,
                    struct relay_row *out, struct why *why) ERR_CHECKED;

/* relay_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void relay_metrics_register(void);

/* A signer that holds a key in process memory (from a keystore file or a dev mnemonic). */
struct relay_key;
/* relay_key_new copies the key. Owns: the caller, relay_key_free. Errors: ERR_CRYPTO. */
enum err relay_key_new(const struct secret *key, struct relay_key **out) ERR_CHECKED;
/* relay_key_signer makes the signer; valid until relay_key_free. */
struct relay_signer relay_key_signer(struct relay_key *key);
/* relay_key_free wipes and frees; NULL is fine. */
void relay_key_free(struct relay_key *key);

/* relay_audit_table has the actions that the relay records (kernel/audit/audit.h). */
struct audit_table relay_audit_table(void);

#endif
