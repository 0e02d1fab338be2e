#include "kernel/base/err.h"

#include <stdarg.h>

#include "kernel/base/check.h"

struct err_row {
    enum err err;
    const char *code;
    int http_status;
    bool retryable;
    const char *sentence;
};

/*
 * One row an error, in the order of the enum. Rows carry no array designators on purpose: a
 * missing row then shortens the table and the assertion below it fails to compile; err_row checks
 * that the order is right.
 *
 * Status: 400 cannot be read, 422 was read and is refused, 409 fights with stored state, 5xx is
 * not the caller's doing. Retryable: nothing about the request has to change.
 */
static const struct err_row err_rows[] = {
    {OK, "ok", 200, false, "All is well."},

    {ERR_INVALID_JSON, "invalid_json", 400, false, "The body is not valid JSON."},
    {ERR_INVALID_REQUEST, "invalid_request", 400, false, "The request is not valid HTTP."},
    {ERR_INVALID_FIELD, "invalid_field", 400, false, "A field has a value that is not allowed."},
    {ERR_INVALID_TYPE, "invalid_type", 400, false, "A field has the wrong type."},
    {ERR_MISSING_FIELD, "missing_field", 400, false, "A required field is missing."},
    {ERR_UNKNOWN_FIELD, "unknown_field", 400, false, "A field is not known here."},
    {ERR_INVALID_ADDRESS, "invalid_address", 400, false,
     "An address must be 0x and 40 hexadecimal digits."},
    {ERR_ADDRESS_CHECKSUM, "address_checksum", 400, false,
     "The mixed-case address does not match its EIP-55 checksum."},
    {ERR_INVALID_HASH, "invalid_hash", 400, false, "A hash must be 0x and 64 hexadecimal digits."},
    {ERR_INVALID_HEX, "invalid_hex", 400, false,
     "Bytes must be written as 0x and pairs of hexadecimal digits."},
    {ERR_INVALID_AMOUNT, "invalid_amount", 400, false,
     "An amount must be a whole number of its smallest unit in decimal digits."},
    {ERR_AMOUNT_OVERFLOW, "amount_overflow", 400, false, "The amount is too large for its unit."},
    {ERR_INVALID_TIME, "invalid_time", 400, false,
     "A time must be written as RFC 3339, such as 2026-11-22T05:20:40Z."},
    {ERR_INVALID_METADATA, "invalid_metadata", 422, false,
     "The metadata does not follow the schema of its asset type."},
    {ERR_INVALID_ENCODING, "invalid_encoding", 400, false, "The bytes do not decode."},

    {ERR_SIGNATURE_MALFORMED, "signature_malformed", 422, false,
     "A signature must be 65 bytes with r and s between 1 and the order of the curve."},
    {ERR_SIGNATURE_HIGH_S, "signature_high_s", 422, false,
     "The s of the signature is in the upper half of the order."},
    {ERR_SIGNATURE_V, "signature_v", 422, false, "The v of the signature must be 27 or 28."},
    {ERR_SIGNATURE_SIGNER, "signature_signer", 422, false,
     "The signature was made by another account."},
    {ERR_SIGNATURE_CHAIN, "signature_chain", 422, false,
     "The signature was made for another chain."},
    {ERR_SIGNATURE_CONTRACT, "signature_contract", 422, false,
     "The signature was made for another contract."},
    {ERR_DEADLINE_EXPIRED, "deadline_expired", 422, false, "The deadline has passed."},

    {ERR_NOT_FOUND, "not_found", 404, false, "There is nothing with this id."},
    {ERR_ROUTE_NOT_FOUND, "route_not_found", 404, false, "There is no such path."},
    {ERR_METHOD_NOT_ALLOWED, "method_not_allowed", 405, false,
     "The path does not support this method."},
    {ERR_CONFLICT, "conflict", 409, false, "The present state does not allow this."},
    {ERR_ALREADY_EXISTS, "already_exists", 409, false, "It exists already."},
    {ERR_IDEMPOTENCY_MISMATCH, "idempotency_mismatch", 409, false,
     "The Idempotency-Key was used before with another body."},
    {ERR_IN_PROGRESS, "in_progress", 409, true,
     "The first request with this Idempotency-Key is still running."},
    {ERR_INSUFFICIENT_FUNDS, "insufficient_funds", 422, false, "The balance is too small."},
    {ERR_PAYMENT_REQUIRED, "payment_required", 402, false, "This costs something: see accepts."},
    {ERR_PAYMENT_REFUSED, "payment_refused", 402, false,
     "The payment is not taken; nothing was charged."},
    {ERR_PAYMENT_PENDING, "settlement_pending", 409, true,
     "The payment was sent and is not confirmed yet: send the same request with the same payment "
     "again, not another payment."},
    {ERR_PAYMENT_USED, "payment_used", 409, false,
     "The payment was settled for this request, whose answer was given before."},
    {ERR_UNAUTHENTICATED, "unauthenticated", 401, false, "Credentials are missing or wrong."},
    {ERR_FORBIDDEN, "forbidden", 403, false, "The caller may not do this."},
    {ERR_BODY_TOO_LARGE, "body_too_large", 413, false, "The body is larger than allowed."},
    {ERR_HEADERS_TOO_LARGE, "headers_too_large", 431, false,
     "The headers are larger than allowed."},
    {ERR_UNSUPPORTED_MEDIA, "unsupported_media", 415, false,
     "The media type of the body is not supported."},
    {ERR_LENGTH_REQUIRED, "length_required", 411, false, "A Content-Length is required."},
    {ERR_RANGE, "range_not_satisfiable", 416, false, "The range is not in the file."},
    {ERR_UPGRADE_REQUIRED, "upgrade_required", 426, false, "This is for WebSockets."},
    {ERR_RATE_LIMITED, "rate_limited", 429, true, "Too many requests: slow down."},
    {ERR_REQUEST_TIMEOUT, "request_timeout", 408, true, "The request took too long to arrive."},
    {ERR_OVERLOADED, "overloaded", 503, true, "Too much is going on: try again shortly."},

    {ERR_NODE_UNAVAILABLE, "node_unavailable", 503, true, "No node of the chain can be reached."},
    {ERR_NODE_TIMEOUT, "node_timeout", 504, true, "The node did not answer in time."},
    {ERR_NODE_RATE_LIMITED, "node_rate_limited", 503, true, "The node asks us to slow down."},
    {ERR_NODE_RESPONSE, "node_response", 502, true, "The node's answer makes no sense."},
    {ERR_NODE_ERROR, "node_error", 502, false, "The node answered with an error."},
    {ERR_NODE_LIED, "node_lied", 502, true, "The node's answer contradicts the block it is about."},
    {ERR_NODE_UNKNOWN, "node_unknown", 502, false,
     "The chain has something that cannot be verified here."},
    {ERR_WRONG_CHAIN, "wrong_chain", 502, false, "The node serves another chain than configured."},
    {ERR_REVERTED, "reverted", 422, false, "The contract refused the call."},
    {ERR_CHAIN_HALTED, "chain_halted", 503, true,
     "Following the chain has stopped and waits for an operator."},
    {ERR_EVENT_REFUSED, "event_refused", 500, true, "An event of the chain cannot be applied now."},
    {ERR_POLICY_REFUSED, "policy_refused", 403, false, "The signing policy refuses this."},
    {ERR_UNKNOWN_WALLET, "unknown_wallet", 422, false, "There is no wallet for this account."},
    {ERR_TX_REPLACED, "tx_replaced", 409, false, "Another transaction took the place of this one."},

    {ERR_CALLER_UNKNOWN, "caller_unknown", 403, false, "There is no such user."},
    {ERR_SESSION_EXPIRED, "session_expired", 401, false, "The session has expired."},
    {ERR_CALLER_SIGNATURE, "caller_signature", 422, false,
     "The signature over the request is not valid."},
    {ERR_CALLER_NONCE, "caller_nonce", 409, false,
     "The request does not have the number that comes next: it was made before, or out of order."},
    {ERR_OPERATION_REFUSED, "operation_refused", 403, false, "This operation is not allowed."},
    {ERR_FEE_BOUNDS, "fee_bounds", 503, true, "The chain asks for more than we pay at the moment."},
    {ERR_WALLET_LOW, "wallet_low", 503, true, "The wallet that would pay is low on coin."},
    {ERR_CONTRACT_REFUSED, "contract_refused", 403, false, "This contract is not one of ours."},

    {ERR_CONFIG, "config", 500, false, "The configuration is not valid."},
    {ERR_UNKNOWN_CONFIG_KEY, "unknown_config_key", 500, false,
     "The configuration has a key that is not known."},
    {ERR_USAGE, "usage", 400, false, "The command line is not valid."},
    {ERR_IO, "io", 500, true, "Reading or writing failed."},
    {ERR_DISK_FULL, "disk_full", 503, true, "The disk is full."},
    {ERR_CORRUPT, "corrupt", 500, false, "Stored data fails its check."},
    {ERR_DB, "db", 500, false, "The database refused a statement."},
    {ERR_DB_BUSY, "db_busy", 503, true, "The database is busy."},
    {ERR_DB_CONSTRAINT, "db_constraint", 409, false, "The change contradicts what is stored."},
    {ERR_DB_UNAVAILABLE, "db_unavailable", 503, true, "The database cannot be reached."},
    {ERR_DB_VERSION, "db_version", 500, false,
     "The database was made by another version of the program."},
    {ERR_LOCKED, "locked", 503, true, "Another process owns it."},
    {ERR_FENCED, "fenced", 503, true, "Another process has taken this work over."},
    {ERR_LIMIT, "limit", 422, false, "A limit was reached."},
    {ERR_OVERFLOW, "overflow", 422, false, "The result is out of range."},
    {ERR_CRYPTO, "crypto", 500, false, "A cryptographic operation failed."},
    {ERR_KEYSTORE_PASSWORD, "keystore_password", 500, false,
     "The password does not open the keystore."},
    {ERR_UPSTREAM, "upstream", 502, true, "A service that we depend on failed."},
    {ERR_STOPPING, "stopping", 503, true, "The program is stopping."},
    {ERR_CANCELLED, "cancelled", 503, true, "The work was cancelled."},
    {ERR_INTERNAL, "internal", 500, false, "Something went wrong inside."},
};

_Static_assert(sizeof(err_rows) / sizeof(err_rows[0]) == ERR_COUNT,
               "every enum err has exactly one row");

static const struct err_row *err_row(enum err e)
{
    ASSERT((unsigned)e < ERR_COUNT);
    const struct err_row *row = &err_rows[e];
    ASSERT(row->err == e);
    return row;
}

const char *err_code(enum err e)
{
    return err_row(e)->code;
}

int err_http_status(enum err e)
{
    return err_row(e)->http_status;
}

bool err_retryable(enum err e)
{
    return err_row(e)->retryable;
}

const char *err_sentence(enum err e)
{
    return err_row(e)->sentence;
}

enum err err_find(const char *code)
{
    for (unsigned i = 0; i < ERR_COUNT; i++) {
        if (strcmp(err_rows[i].code, code) == 0) {
            return err_rows[i].err;
        }
    }
    return ERR_COUNT;
}

/* A text cut by its buffer may end inside a UTF-8 character: the rest of that one goes too. */
static void drop_partial_char(char *text)
{
    size_t len = strlen(text);
    size_t start = len;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
        start--;
    }
    if (start == 0) {
        return;
    }
    unsigned char lead = (unsigned char)text[start - 1];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (len - (start - 1) < want) {
        text[start - 1] = '\0';
    }
}

static void __attribute__((format(printf, 3, 0)))
print_cut(char *out, size_t size, const char *format, va_list args)
{
    int len = vsnprintf(out, size, format, args);
    ASSERT(len >= 0);
    if ((size_t)len >= size) {
        drop_partial_char(out);
    }
}

static void __attribute__((format(printf, 3, 4)))
format_cut(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_cut(out, size, format, args);
    va_end(args);
}

enum err why_set(struct why *why, enum err e, const char *field, const char *format, ...)
{
    ASSERT(e != OK && (unsigned)e < ERR_COUNT);
    if (!why) {
        return e;
    }
    /* The arguments may point into `why` itself (a reason wrapped in another one). */
    struct why fresh = {.err = e};
    va_list args;
    va_start(args, format);
    print_cut(fresh.text, sizeof fresh.text, format, args);
    va_end(args);
    format_cut(fresh.field, sizeof fresh.field, "%s", field ? field : "");
    *why = fresh;
    return e;
}

enum err why_prefix_field(struct why *why, enum err e, const char *prefix)
{
    if (e == OK || !why || why->field[0] == '\0') {
        return e;
    }
    char joined[WHY_FIELD_MAX];
    format_cut(joined, sizeof joined, "%s.%s", prefix, why->field);
    memcpy(why->field, joined, sizeof joined);
    return e;
}

const char *why_text(const struct why *why, enum err e)
{
    return why && why->text[0] != '\0' ? why->text : err_sentence(e);
}
