/*
 * leasing_api.h: what the route handlers of leasing share. Private to this folder.
 *
 * How a handler that changes something works: it reads and checks the body, reads what it needs to
 * know (store_read), verifies signatures and encodes calldata outside of any transaction, then
 * writes agreement and intent in one transaction that looks at the state again, waits when the
 * caller asked for it, and answers with the state as it is then.
 *
 * Effects have natural keys (an asset, a mint, a bid), not keys of the request: the same request
 * again finds what the first one did, with an Idempotency-Key or without. A transaction that ended
 * without effect may be asked for again; its successor's key names it, so that there is one
 * successor whatever the number of requests.
 */
#ifndef DOMAIN_LEASING_LEASING_API_H
#define DOMAIN_LEASING_LEASING_API_H

#include "domain/leasing/leasing_internal.h"

/* ---- transactions that were asked for ---- */

/* A transaction as the relay has it, joined into a statement. */
struct leasing_tx {
    struct slice id; /* "" when none was asked for */
    bool known;
    enum relay_state state;
    bool has_hash;
    struct hash hash;
    struct slice code; /* "" when nothing went wrong */
    struct slice error;
};

/* Under which names a statement has the columns of a transaction. */
struct leasing_tx_names {
    const char *id;
    const char *state;
    const char *hash;
    const char *code;
    const char *error;
};

extern const struct leasing_tx_names leasing_tx_main;
extern const struct leasing_tx_names leasing_tx_action;

/* leasing_tx_read reads the columns of a transaction. Owns: the arena. */
void leasing_tx_read(struct store_query *q, const struct leasing_tx_names *names,
                     struct arena *arena, struct leasing_tx *out);
/* leasing_tx_is_open says whether it may still be mined for the first time. */
bool leasing_tx_is_open(const struct leasing_tx *tx);
/* leasing_tx_is_dead says whether it was asked for and ended without effect. */
bool leasing_tx_is_dead(const struct leasing_tx *tx);
/* leasing_tx_json writes it, or null when none was asked for. */
void leasing_tx_json(struct json_out *j, const struct leasing_tx *tx);

/* What one of our wallets, or somebody with a wallet of his own, shall send. */
struct leasing_effect {
    const char *role;
    const char *purpose;
    struct slice key;
    struct address wallet;
    bool pooled; /* any wallet of the relay's pool: `wallet` is not looked at */
    struct address to;
    struct slice data;
    struct slice after;
    int64_t deadline_usec;
};

/*
 * leasing_effect_submit asks the relay for it. `previous` is the id of the transaction that was
 * asked for before and did not do it, "" for the first time. Owns: out_id in the arena.
 * Errors: as relay_submit.
 */
enum err leasing_effect_submit(struct store_tx *tx, struct arena *arena, const struct leasing *l,
                               const struct leasing_effect *effect, struct slice previous,
                               struct slice *out_id, struct why *why) ERR_CHECKED;

/* What became of an effect that may have been asked for before. */
struct leasing_tries {
    struct slice alive;    /* the transaction that is under way or mined, "" when there is none */
    struct slice previous; /* the newest one that failed, "" when none did */
    int failed;
};

/*
 * leasing_effect_tries follows the tries of an effect by its key, up to `max` that failed. Owns:
 * the arena. Errors: those of the store.
 */
enum err leasing_effect_tries(struct store_tx *tx, struct arena *arena, struct slice key, int max,
                              struct leasing_tries *out, struct why *why) ERR_CHECKED;

/* leasing_effect_json writes the unsigned transaction for a wallet that is not ours. */
void leasing_effect_json(struct json_out *j, const struct leasing *l,
                         const struct leasing_effect *effect);

/* leasing_wait_read reads the query parameter "wait", seconds. Errors: ERR_INVALID_FIELD. */
enum err leasing_wait_read(const struct http_call *call, int64_t *out_usec,
                           struct why *why) ERR_CHECKED;
/*
 * leasing_await waits until the transaction is mined and its events are applied, or it ended, or
 * the time is over. What happened is in the rows.
 */
void leasing_await(const struct http_call *call, struct slice intent_id, int64_t wait_usec);

/* ---- asset types ---- */

struct leasing_type {
    struct slice name;
    struct hash type_hash;
    struct slice schema;        /* JSON text */
    struct slice required_keys; /* JSON array of names that the metadata of leases must have */
    struct slice status;
    struct slice error;
    struct leasing_tx tx;
};

/* leasing_type_find reads the type that was asked for under a name. Owns: the arena. */
enum err leasing_type_find(struct store_tx *tx, struct arena *arena, struct slice name,
                           struct leasing_type *out, bool *out_found, struct why *why) ERR_CHECKED;
/*
 * leasing_onchain_type_find reads the required lease keys (a JSON array of their hashes) of a type
 * as the registry has it. Owns: the arena.
 */
enum err leasing_onchain_type_find(struct store_tx *tx, struct arena *arena,
                                   const struct leasing *l, const struct hash *type_hash,
                                   struct slice *out_keys, bool *out_found,
                                   struct why *why) ERR_CHECKED;
/* leasing_has_registrar says that our registrar can send. Errors: ERR_UNKNOWN_WALLET. */
enum err leasing_has_registrar(const struct leasing *l, struct why *why) ERR_CHECKED;

/* ---- assets ---- */

struct leasing_asset {
    struct slice id;
    struct slice type;
    struct hash metadata_hash;
    struct slice token_name; /* "" when somebody else registered it */
    struct slice token_symbol;
    struct token_amount total_supply;
    struct address token_recipient;
    struct slice status;
    bool on_chain;
    struct u256 onchain_id;
    struct address token;
    struct leasing_tx tx;
};

/* leasing_asset_find reads an asset that may not exist. Owns: the arena. */
enum err leasing_asset_find(struct store_tx *tx, struct arena *arena, struct slice id,
                            struct leasing_asset *out, bool *out_found,
                            struct why *why) ERR_CHECKED;
/* leasing_asset_get reads an asset. Owns: the arena. Errors: ERR_NOT_FOUND "Asset not found". */
enum err leasing_asset_get(struct store_tx *tx, struct arena *arena, struct slice id,
                           struct leasing_asset *out, struct why *why) ERR_CHECKED;

/* ---- claims ---- */

struct leasing_claim {
    uint64_t round_id;
    struct address holder;
    struct token_amount balance;
    struct stable_amount amount;
    bool claimed;
    int64_t claimed_usec;
    struct hash transaction; /* that paid it */
    struct leasing_tx tx;    /* that was asked for */
    uint64_t tx_block;       /* 0 until it is mined */
};

/* leasing_claims_open begins the statement of what a holder has not been paid yet. */
void leasing_claims_open(struct store_query *q, struct store_tx *tx, const struct leasing *l,
                         const struct address *holder);
/* leasing_claim_read reads the current row of a statement of claims. Owns: the arena. */
void leasing_claim_read(struct store_query *q, struct arena *arena, struct leasing_claim *out);
/*
 * leasing_claims_pay asks for the payment of all that a holder with a wallet of ours may claim, or
 * finds the one that is under way. Owns: the arena. Errors: ERR_CONFLICT (there is nothing), as
 * relay_submit.
 */
enum err leasing_claims_pay(struct store_tx *tx, struct http_call *call,
                            const struct address *holder, int64_t deadline_usec,
                            struct slice *out_intent_id, struct why *why) ERR_CHECKED;
/* leasing_claim_json writes a claim. */
void leasing_claim_json(struct json_out *j, const struct leasing_claim *c);

/* ---- reading requests ---- */

/*
 * leasing_why_under puts the name of the object before the field of a refused member; a refusal
 * that names none is of the object itself. Returns `e`.
 */
enum err leasing_why_under(struct why *why, enum err e, const char *object);

/* leasing_not_found is the seeds' sentence: "<what> not found". */
enum err leasing_not_found(struct why *why, const char *what) ERR_CHECKED;

/* leasing_address_parse reads an address that `field` holds. Errors: ERR_INVALID_ADDRESS, … */
enum err leasing_address_parse(struct slice text, const char *field, struct address *out,
                               struct why *why) ERR_CHECKED;
/* leasing_address_query reads an optional query parameter. Errors: as leasing_address_parse. */
enum err leasing_address_query(const struct http_call *call, const char *name, struct address *out,
                               bool *out_found, struct why *why) ERR_CHECKED;
/* leasing_number_param reads a path parameter that fits 63 bits. Errors: ERR_INVALID_FIELD. */
enum err leasing_number_param(const struct http_call *call, const char *name, uint64_t *out,
                              struct why *why) ERR_CHECKED;
/* leasing_body_account reads an address that is not zero. Errors: as json_get_address. */
enum err leasing_body_account(const struct json *object, const char *key, struct address *out,
                              struct why *why) ERR_CHECKED;
/*
 * leasing_body_amount reads an amount above zero: a string of digits, or a number that JavaScript
 * can hold. Errors: ERR_MISSING_FIELD, ERR_INVALID_TYPE, ERR_INVALID_AMOUNT, ERR_AMOUNT_OVERFLOW.
 */
enum err leasing_body_amount(const struct json *object, const char *key, struct u256 *out,
                             struct why *why) ERR_CHECKED;
/*
 * leasing_body_text reads 1 to `max` bytes of text without control characters. Errors:
 * ERR_MISSING_FIELD, ERR_INVALID_TYPE, ERR_INVALID_FIELD.
 */
enum err leasing_body_text(const struct json *object, const char *key, size_t max,
                           struct slice *out, struct why *why) ERR_CHECKED;
/* leasing_json_hash is the canonical hash of JSON text: equal for equal values. Errors:
 * ERR_INVALID_JSON. */
enum err leasing_json_hash(struct arena *arena, struct slice json, struct hash *out,
                           struct why *why) ERR_CHECKED;
/* leasing_json_slice writes a value as it was read. Owns: the arena. */
struct slice leasing_json_slice(struct arena *arena, const struct json *v);
/* leasing_body_signature reads 0x hex bytes. Errors: ERR_INVALID_HEX, … */
enum err leasing_body_signature(struct arena *arena, const struct json *object, struct slice *out,
                                struct why *why) ERR_CHECKED;

/* ---- lists ---- */

/* leasing_status_query reads the query parameter "status": "" or one of the list. */
enum err leasing_status_query(const struct http_call *call, const char *const *allowed,
                              struct slice *out, struct why *why) ERR_CHECKED;
/* leasing_cursor_read takes a position apart that leasing_cursor_set made; "" at the start. */
enum err leasing_cursor_read(const struct http_page *page, int64_t *out_usec, struct slice *out_id,
                             struct why *why) ERR_CHECKED;
/* leasing_cursor_set gives out the position behind an item of a list by time and id. */
void leasing_cursor_set(struct http_call *call, int64_t usec, struct slice id);

/* ---- writing answers ---- */

/* leasing_json_text writes text, or null when it is empty. */
void leasing_json_text(struct json_out *j, struct slice text);
/* leasing_json_column_u256 writes a nullable column. */
void leasing_json_column_u256(struct json_out *j, struct store_query *q, const char *column);
/* leasing_json_column_address writes a nullable column. */
void leasing_json_column_address(struct json_out *j, struct store_query *q, const char *column);
/* leasing_json_column_hash writes a nullable column. */
void leasing_json_column_hash(struct json_out *j, struct store_query *q, const char *column);
/* leasing_json_column_i64 writes a nullable column. */
void leasing_json_column_i64(struct json_out *j, struct store_query *q, const char *column);
/* leasing_json_column_text writes a nullable column. */
void leasing_json_column_text(struct json_out *j, struct store_query *q, const char *column,
                              struct arena *arena);

/* ---- leasing_audit.c ---- */

enum leasing_audit_action {
    LEASING_AUDIT_TYPE_CREATED,
    LEASING_AUDIT_ASSET_REGISTERED,
    LEASING_AUDIT_LEASE_CREATED,
    LEASING_AUDIT_LEASE_SIGNED,
    LEASING_AUDIT_LEASE_TERMINATED,
    LEASING_AUDIT_OFFER_CANCELLED,
    LEASING_AUDIT_BID_PLACED,
    LEASING_AUDIT_BID_ACCEPTED,
    LEASING_AUDIT_BID_WITHDRAWN,
    LEASING_AUDIT_CLAIM_REQUESTED,
    LEASING_AUDIT_SALE_POSTED,
    LEASING_AUDIT_SALE_CANCELLED,
    LEASING_AUDIT_SALE_BID_PLACED,
    LEASING_AUDIT_SALE_BID_ACCEPTED,
    LEASING_AUDIT_SALE_BID_WITHDRAWN,
    LEASING_AUDIT_CLAIM_AUTHORIZED,
    LEASING_AUDIT_COUNT
};

/*
 * leasing_audit records what a call does, in its transaction. `subject` is "kind/id"; the
 * transaction may be empty, so may be the details (a JSON object). Errors: those of the store.
 */
enum err leasing_audit(struct store_tx *tx, const struct http_call *call,
                       enum leasing_audit_action action, struct slice subject,
                       struct slice transaction_id, struct slice details,
                       struct why *why) ERR_CHECKED;

/* ---- handlers, by the file that has them ---- */

/* leasing_api_types.c */
enum err leasing_api_type_create(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_type_get(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_types_list(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_api_assets.c */
enum err leasing_api_asset_create(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_asset_get(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_assets_list(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_api_holders.c */
enum err leasing_api_holders_list(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_account_get(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_contracts_get(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_api_leases.c */
enum err leasing_api_lease_create(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_api_lease_reads.c */
enum err leasing_api_lease_get(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_leases_list(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_asset_leases_list(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_lease_digest(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_x402_quote(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_access_api.c */
enum err leasing_api_access_buy(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_access_payments(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_access_hours(struct http_call *call, struct why *why) ERR_CHECKED;
/*
 * leasing_access_offer_json writes what the next step costs as PaymentRequired, or null where it is
 * not sold.
 */
void leasing_access_offer_json(struct json_out *j, const struct http_call *call,
                               const struct leasing *l, struct slice mode);

/* leasing_api_sign.c */
enum err leasing_api_lease_sign(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_lease_terminate(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_api_bids.c */
enum err leasing_api_bid_create(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_bids_list(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_api_offers.c */
enum err leasing_api_bid_accept(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_bid_withdraw(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_offer_cancel(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_offers_list(struct http_call *call, struct why *why) ERR_CHECKED;

/* leasing_api_revenue.c */
enum err leasing_api_asset_rounds_list(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_round_get(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_claims_list(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_claim_get(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_claim_process(struct http_call *call, struct why *why) ERR_CHECKED;

#endif
