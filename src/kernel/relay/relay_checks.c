#include "kernel/relay/relay_checks.h"

#include "kernel/base/check.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"
#include "kernel/store/store_lease.h"

#define RATE_WINDOW_USEC (60 * (int64_t)USEC_PER_SEC)

const struct relay_check_row relay_check_rows[RELAY_CHECK_COUNT] = {
    [RELAY_CHECK_USER] = {"user", ERR_CALLER_UNKNOWN, "The caller is known."},
    [RELAY_CHECK_SESSION] = {"session", ERR_SESSION_EXPIRED, "Its session has not expired."},
    [RELAY_CHECK_SIGNATURE] = {"signature", ERR_CALLER_SIGNATURE,
                               "Its signature over the request was verified."},
    [RELAY_CHECK_NONCE] = {"nonce", ERR_CALLER_NONCE, "The request has the caller's next number."},
    [RELAY_CHECK_DEADLINE] = {"deadline", ERR_DEADLINE_EXPIRED, "Its deadline has not passed."},
    [RELAY_CHECK_RATE] = {"rate", ERR_RATE_LIMITED,
                          "The caller has asked for few in the last minute."},
    [RELAY_CHECK_OPERATION] = {"operation", ERR_OPERATION_REFUSED,
                               "The role may make this call with these bytes."},
    [RELAY_CHECK_FEE] = {"fee", ERR_FEE_BOUNDS, "The chain asks no more than relay.max_fee."},
    [RELAY_CHECK_BALANCE] = {"balance", ERR_WALLET_LOW, "The wallet is not low on coin."},
    [RELAY_CHECK_CONTRACT] = {"contract", ERR_CONTRACT_REFUSED, "The role may call this contract."},
};

struct checking {
    struct relay *relay;
    struct store_tx *tx;
    struct arena *arena;
    const struct relay_caller *caller;
    const struct relay_intent *intent;
    int64_t now;
};

/* A check passes, refuses, or could not be made (an error that is not its own). */
typedef enum err (*check_fn)(const struct checking *c, bool *out_passed, struct why *why);

static enum err check_user(const struct checking *c, bool *out_passed, struct why *why)
{
    (void)why;
    *out_passed = c->caller->known && c->caller->id.len > 0;
    return OK;
}

static enum err check_session(const struct checking *c, bool *out_passed, struct why *why)
{
    (void)why;
    *out_passed = c->caller->session_until_usec > c->now;
    return OK;
}

static enum err check_signature(const struct checking *c, bool *out_passed, struct why *why)
{
    (void)why;
    *out_passed = c->caller->signature_valid;
    return OK;
}

static enum err check_nonce(const struct checking *c, bool *out_passed, struct why *why)
{
    uint64_t next = 0;
    enum err e = relay_caller_nonce(c->tx, c->caller->id, &next, why);
    *out_passed = e == OK && next == c->caller->nonce;
    return e;
}

static enum err check_deadline(const struct checking *c, bool *out_passed, struct why *why)
{
    (void)why;
    *out_passed = c->intent->deadline_usec > c->now; /* without one a request is good for ever */
    return OK;
}

static enum err check_rate(const struct checking *c, bool *out_passed, struct why *why)
{
    int64_t asked = 0;
    struct store_query q;
    store_begin(&q, c->tx, &relay_sql_caller_asked);
    store_bind_text(&q, "caller_id", c->caller->id);
    store_bind_time(&q, "since", c->now - RATE_WINDOW_USEC);
    if (store_step(&q)) {
        asked = store_get_i64(&q, "asked");
    }
    enum err e = store_finish(&q, NULL, why);
    *out_passed = e == OK && (uint64_t)asked < c->relay->config.caller_rate;
    return e;
}

static enum err check_operation(const struct checking *c, bool *out_passed, struct why *why)
{
    (void)why;
    const struct relay_intent *i = c->intent;
    *out_passed = relay_policy_operation(c->relay, c->arena, slice_text(i->role), i->has_to,
                                         i->value, i->data);
    return OK;
}

static enum err check_fee(const struct checking *c, bool *out_passed, struct why *why)
{
    (void)why;
    *out_passed = !atomic_load(&c->relay->fees_high);
    return OK;
}

/* Of a pool one wallet that can pay is enough. A wallet that nobody looked at yet is not low. */
static enum err check_balance(const struct checking *c, bool *out_passed, struct why *why)
{
    struct relay_wallet_row *rows = NULL;
    size_t count = 0;
    enum err e = relay_wallets(c->tx, c->arena, c->intent->chain_id, &rows, &count, why);
    bool fine = false;
    for (size_t i = 0; e == OK && i < count; i++) {
        bool counts = c->intent->pooled ? rows[i].pooled
                                        : address_equal(&rows[i].address, &c->intent->wallet);
        fine = fine || (counts && !rows[i].low);
    }
    *out_passed = fine;
    return e;
}

/* The whole policy once more, as the signer will look: what passed as an operation fails here for
 * its callee. */
static enum err check_contract(const struct checking *c, bool *out_passed, struct why *why)
{
    (void)why;
    const struct relay_intent *i = c->intent;
    *out_passed = relay_policy_check(c->relay, c->arena, &i->wallet, slice_text(i->role), i->has_to,
                                     &i->to, i->value, i->data, NULL) == OK;
    return OK;
}

static const check_fn checks[RELAY_CHECK_COUNT] = {
    [RELAY_CHECK_USER] = check_user,           [RELAY_CHECK_SESSION] = check_session,
    [RELAY_CHECK_SIGNATURE] = check_signature, [RELAY_CHECK_NONCE] = check_nonce,
    [RELAY_CHECK_DEADLINE] = check_deadline,   [RELAY_CHECK_RATE] = check_rate,
    [RELAY_CHECK_OPERATION] = check_operation, [RELAY_CHECK_FEE] = check_fee,
    [RELAY_CHECK_BALANCE] = check_balance,     [RELAY_CHECK_CONTRACT] = check_contract,
};

/* ---- the caller's number ---- */

enum err relay_caller_nonce(struct store_tx *tx, struct slice caller_id, uint64_t *out,
                            struct why *why)
{
    uint64_t next = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_caller_next);
    store_bind_text(&q, "caller_id", caller_id);
    if (store_step(&q)) {
        next = (uint64_t)store_get_i64(&q, "next_nonce");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = next;
    }
    return e;
}

static enum err count_up(const struct checking *c, struct slice id, struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, c->tx, &relay_sql_caller_put);
    store_bind_text(&q, "caller_id", c->caller->id);
    store_bind_i64(&q, "next_nonce", (int64_t)c->caller->nonce + 1);
    store_bind_time(&q, "now", c->now);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK && changed == 0) {
        e = why_set(why, ERR_CALLER_NONCE, NULL, "%s", err_sentence(ERR_CALLER_NONCE));
    }
    if (e != OK) {
        return e;
    }
    store_begin(&q, c->tx, &relay_sql_intent_put_caller);
    store_bind_text(&q, "intent_id", id);
    store_bind_text(&q, "caller_id", c->caller->id);
    return store_finish(&q, NULL, why);
}

/* ---- the audit log ---- */

enum { ASKED, REFUSED, ACTION_COUNT };

static const struct audit_action actions[ACTION_COUNT] = {
    [ASKED] = {"relay.asked_for", "A transaction was asked for by a user, and passed all checks."},
    [REFUSED] = {"relay.refused", "A user asked for a transaction and was refused; details name "
                                  "the check."},
};

struct audit_table relay_checks_audit_table(void)
{
    return (struct audit_table){actions, ACTION_COUNT};
}

/* The installation's id is a key that nobody else has: an address cannot be guessed from the hash.
 */
static struct slice client_hash(const struct relay *relay, struct arena *arena, struct slice client)
{
    struct hash hash = hmac_sha256(slice_text(relay->installation), client);
    struct buf text;
    buf_init(&text, arena, 40);
    buf_add_hex(&text, slice_of(hash.bytes, 16));
    return buf_slice(&text);
}

static enum err write_audit(struct store_tx *tx, const struct relay *relay, struct arena *arena,
                            const struct relay_caller *caller, const struct relay_intent *intent,
                            enum relay_check failed, struct slice id, struct why *why)
{
    struct buf details;
    struct json_out j;
    bool passed = failed == RELAY_CHECK_COUNT;
    buf_init(&details, arena, 256);
    json_out_init(&j, &details);
    json_begin_object(&j);
    json_key(&j, "purpose");
    json_text(&j, intent->purpose);
    json_key(&j, "client");
    json_string(&j, client_hash(relay, arena, caller->client));
    if (!passed) {
        json_key(&j, "check");
        json_text(&j, relay_check_rows[failed].name);
        json_key(&j, "code");
        json_text(&j, err_code(relay_check_rows[failed].err));
    }
    json_end_object(&j);
    const struct audit_entry entry = {
        .action = &actions[passed ? ASKED : REFUSED],
        .actor_kind = AUDIT_CALLER,
        .actor = caller->id,
        .subject = passed ? slice_format(arena, "transaction/%.*s", SLICE_ARG(id))
                          : slice_format(arena, "caller/%.*s", SLICE_ARG(caller->id)),
        .outcome = passed ? AUDIT_DONE : AUDIT_REFUSED,
        .details = buf_slice(&details),
        .transaction_id = id,
    };
    return audit_write(tx, &entry, why);
}

struct refusal {
    struct relay *relay;
    const struct relay_caller *caller;
    const struct relay_intent *intent;
    enum relay_check failed;
};

static enum err write_refusal(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct refusal *r = ctx;
    struct arena scratch;
    arena_init(&scratch, 1024);
    enum err e =
        write_audit(tx, r->relay, &scratch, r->caller, r->intent, r->failed, SLICE_EMPTY, why);
    arena_free(&scratch);
    return e;
}

enum err relay_refusal_note(struct relay *relay, const struct relay_caller *caller,
                            const struct relay_intent *intent, enum relay_check failed,
                            struct why *why)
{
    ASSERT(failed < RELAY_CHECK_COUNT);
    struct refusal r = {.relay = relay, .caller = caller, .intent = intent, .failed = failed};
    return store_write(relay->store, write_refusal, &r, why);
}

/* ---- submitting ---- */

static enum err run_checks(const struct checking *c, enum relay_check *out_failed, struct why *why)
{
    for (int i = 0; i < RELAY_CHECK_COUNT; i++) {
        bool passed = false;
        enum err e = checks[i](c, &passed, why);
        if (e != OK) {
            return e;
        }
        if (!passed) {
            *out_failed = (enum relay_check)i;
            enum err refused = relay_check_rows[i].err;
            return why_set(why, refused, NULL, "%s", err_sentence(refused));
        }
    }
    return OK;
}

enum err relay_submit_for(struct relay *relay, struct store_tx *tx, struct arena *arena,
                          const struct relay_caller *caller, const struct relay_intent *intent,
                          struct slice *out_id, enum relay_check *out_failed, struct why *why)
{
    const struct checking c = {.relay = relay,
                               .tx = tx,
                               .arena = arena,
                               .caller = caller,
                               .intent = intent,
                               .now = clock_wall_usec()};
    enum relay_check failed = RELAY_CHECK_COUNT;
    struct relay_row known;
    enum err e = relay_get_by_key(tx, arena, intent->key, &known, NULL);
    bool again = e == OK;
    if (e == ERR_NOT_FOUND) {
        e = run_checks(&c, &failed, why);
    }
    if (out_failed != NULL) {
        *out_failed = failed;
    }
    if (e == OK) {
        e = relay_submit(tx, arena, intent, out_id, why);
    }
    if (e == OK && !again) {
        e = count_up(&c, *out_id, why);
    }
    if (e == OK && !again) {
        e = write_audit(tx, relay, arena, caller, intent, RELAY_CHECK_COUNT, *out_id, why);
    }
    return e;
}
