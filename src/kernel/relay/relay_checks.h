/*
 * relay_checks.h: what is looked at before a transaction is sent for somebody else.
 *
 * Who sends for users and pays their gas verifies ten things first, by number; each has a name and
 * an error of its own. relay_submit_for runs them in order, in the caller's transaction, and writes
 * the intent when all have passed:
 *
 *    1 user       the caller is known                              caller_unknown
 *    2 session    its session has not expired                      session_expired
 *    3 signature  its signature over the request was verified      caller_signature
 *    4 nonce      the request has the caller's next number         caller_nonce
 *    5 deadline   its deadline has not passed                      deadline_expired
 *    6 rate       the caller has asked for few in the last minute  rate_limited
 *    7 operation  the role may make this call with these bytes     operation_refused
 *    8 fee        the chain asks no more than relay.max_fee        fee_bounds
 *    9 balance    the wallet is not low on coin                    wallet_low
 *   10 contract   the role may call this contract                  contract_refused
 *
 * The first three are the domain's to find out (it has the users, the sessions and the digests) and
 * are told as facts; a fact that is not told has not been found out, and fails. The rest is found
 * out here. Fees and balances are as of the relay's last look: what changes after that is waited
 * for, as with any intent.
 *
 * The caller's number goes up in the same transaction, so that of two equal requests one is
 * refused: a replay. A request with a key that is known already is the same request, and is not
 * checked again.
 *
 * Crash: the transaction is there or is not. Threads: any.
 */
#ifndef KERNEL_RELAY_RELAY_CHECKS_H
#define KERNEL_RELAY_RELAY_CHECKS_H

#include "kernel/relay/relay.h"

enum relay_check {
    RELAY_CHECK_USER,
    RELAY_CHECK_SESSION,
    RELAY_CHECK_SIGNATURE,
    RELAY_CHECK_NONCE,
    RELAY_CHECK_DEADLINE,
    RELAY_CHECK_RATE,
    RELAY_CHECK_OPERATION,
    RELAY_CHECK_FEE,
    RELAY_CHECK_BALANCE,
    RELAY_CHECK_CONTRACT,
    RELAY_CHECK_COUNT
};

struct relay_check_row {
    const char *name;
    enum err err; /* of a refusal */
    const char *doc;
};

/* relay_check_rows are the ten, by number less one. */
extern const struct relay_check_row relay_check_rows[RELAY_CHECK_COUNT];

/* For whom a transaction is sent. */
struct relay_caller {
    struct slice id;            /* names it for ever: "user_…", an address */
    bool known;                 /* the domain has such a user */
    int64_t session_until_usec; /* wall time; 0: there is no session */
    bool signature_valid;       /* the domain verified it over what is asked for */
    uint64_t nonce;             /* that was signed */
    struct slice client;        /* remote address; written to the audit log as a keyed hash */
};

/*
 * relay_caller_nonce tells the number that a caller's next request must have. A caller that never
 * asked has 0.
 */
enum err relay_caller_nonce(struct store_tx *tx, struct slice caller_id, uint64_t *out,
                            struct why *why) ERR_CHECKED;

/*
 * relay_submit_for is relay_submit after the ten checks. *out_failed (may be NULL) is the check
 * that refused, RELAY_CHECK_COUNT when none did. Owns: out_id in the arena. Errors: those of the
 * checks, and of relay_submit.
 */
enum err relay_submit_for(struct relay *relay, struct store_tx *tx, struct arena *arena,
                          const struct relay_caller *caller, const struct relay_intent *intent,
                          struct slice *out_id, enum relay_check *out_failed,
                          struct why *why) ERR_CHECKED;

/*
 * relay_refusal_note records a refusal in the audit log, in a transaction of its own: that of the
 * request was rolled back.
 */
enum err relay_refusal_note(struct relay *relay, const struct relay_caller *caller,
                            const struct relay_intent *intent, enum relay_check failed,
                            struct why *why) ERR_CHECKED;

/* relay_checks_audit_table has the actions recorded here. */
struct audit_table relay_checks_audit_table(void);

#endif
