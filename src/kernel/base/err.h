/*
 * err.h: the one error type of the program.
 *
 * Every fallible function returns `enum err`; 0 is success. One table (err.c) gives each error its
 * public code (the `code` of the HTTP envelope and of `--json` output), its HTTP status and
 * whether trying again can help. Codes are public: renaming one needs a note in CHANGELOG.md.
 *
 * The sentence for a human goes to a `struct why`, which is untouched on success. A sentence names
 * the field and never carries a secret. `why` may be NULL wherever it is a parameter.
 */
#ifndef KERNEL_BASE_ERR_H
#define KERNEL_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#define ERR_CHECKED __attribute__((warn_unused_result))

enum err {
    OK = 0,
    /* What a caller sent is malformed. */
    ERR_INVALID_JSON,
    ERR_INVALID_REQUEST, /* headers or framing that HTTP forbids */
    ERR_INVALID_FIELD,   /* well-formed, but not an allowed value */
    ERR_INVALID_TYPE,    /* a string where a number belongs, and so on */
    ERR_MISSING_FIELD,
    ERR_UNKNOWN_FIELD,
    ERR_INVALID_ADDRESS,
    ERR_ADDRESS_CHECKSUM, /* EIP-55 mixed case that does not match */
    ERR_INVALID_HASH,
    ERR_INVALID_HEX,
    ERR_INVALID_AMOUNT,  /* not a decimal integer: sign, fraction, exponent, empty */
    ERR_AMOUNT_OVERFLOW, /* does not fit its unit */
    ERR_INVALID_TIME,
    ERR_INVALID_METADATA, /* violates the schema of its asset type */
    ERR_INVALID_ENCODING, /* ABI, RLP, UTF-8: bytes that do not decode */
    /* Signatures. */
    ERR_SIGNATURE_MALFORMED, /* not 65 bytes, r or s zero or beyond the order */
    ERR_SIGNATURE_HIGH_S,
    ERR_SIGNATURE_V, /* v not 27 or 28 */
    ERR_SIGNATURE_SIGNER,
    ERR_SIGNATURE_CHAIN,    /* right signer, digest of another chain id */
    ERR_SIGNATURE_CONTRACT, /* right signer, digest of another contract */
    ERR_DEADLINE_EXPIRED,
    /* Asked for something that cannot be. */
    ERR_NOT_FOUND,
    ERR_ROUTE_NOT_FOUND,
    ERR_METHOD_NOT_ALLOWED,
    ERR_CONFLICT, /* the state of the thing forbids it */
    ERR_ALREADY_EXISTS,
    ERR_IDEMPOTENCY_MISMATCH, /* same Idempotency-Key, other body */
    ERR_IN_PROGRESS,          /* same Idempotency-Key, first one still running */
    ERR_INSUFFICIENT_FUNDS,
    /* Routes that cost something (kernel/paywall). */
    ERR_PAYMENT_REQUIRED,
    ERR_PAYMENT_REFUSED, /* nothing was charged */
    ERR_PAYMENT_PENDING, /* sent, and no receipt yet */
    ERR_PAYMENT_USED,    /* it was settled for this request, and its answer is not kept any more */
    ERR_UNAUTHENTICATED,
    ERR_FORBIDDEN,
    ERR_BODY_TOO_LARGE,
    ERR_HEADERS_TOO_LARGE,
    ERR_UNSUPPORTED_MEDIA,
    ERR_LENGTH_REQUIRED,
    ERR_RANGE,            /* of a file: nothing of it is there */
    ERR_UPGRADE_REQUIRED, /* HTTP where a WebSocket belongs */
    ERR_RATE_LIMITED,
    ERR_REQUEST_TIMEOUT,
    ERR_OVERLOADED, /* more requests at once than we take */
    /* The chain and its nodes. */
    ERR_NODE_UNAVAILABLE,
    ERR_NODE_TIMEOUT,
    ERR_NODE_RATE_LIMITED,
    ERR_NODE_RESPONSE, /* an answer that is not what JSON-RPC promises */
    ERR_NODE_ERROR,    /* the node's own error object */
    ERR_NODE_LIED,     /* an answer that the block's header disproves */
    ERR_NODE_UNKNOWN,  /* something of the chain that is not known here and cannot be verified */
    ERR_WRONG_CHAIN,   /* the node serves another chain id than configured */
    ERR_REVERTED,      /* a call or transaction reverted; why holds the decoded reason */
    ERR_CHAIN_HALTED,  /* reorg deeper than allowed: a human must look */
    ERR_EVENT_REFUSED, /* an event's handler does not take it, at the moment */
    ERR_POLICY_REFUSED,
    ERR_UNKNOWN_WALLET,
    ERR_TX_REPLACED,
    /* What is looked at before sending for somebody else (kernel/relay/relay_checks.h). */
    ERR_CALLER_UNKNOWN,
    ERR_SESSION_EXPIRED,
    ERR_CALLER_SIGNATURE,
    ERR_CALLER_NONCE,
    ERR_OPERATION_REFUSED,
    ERR_FEE_BOUNDS,
    ERR_WALLET_LOW,
    ERR_CONTRACT_REFUSED,
    /* Us and what we stand on. */
    ERR_CONFIG,
    ERR_UNKNOWN_CONFIG_KEY,
    ERR_USAGE, /* wrong command line */
    ERR_IO,
    ERR_DISK_FULL,
    ERR_CORRUPT, /* stored bytes that fail their check */
    ERR_DB,
    ERR_DB_BUSY,
    ERR_DB_CONSTRAINT,
    ERR_DB_UNAVAILABLE,
    ERR_DB_VERSION, /* database newer than the program, or edited migration */
    ERR_LOCKED,     /* another process owns it */
    ERR_FENCED,     /* another process has taken over what this one was doing */
    ERR_LIMIT,      /* a configured cap was reached */
    ERR_OVERFLOW,   /* checked arithmetic refused */
    ERR_CRYPTO,
    ERR_KEYSTORE_PASSWORD,
    ERR_UPSTREAM, /* another service (not a node) failed */
    ERR_STOPPING,
    ERR_CANCELLED,
    ERR_INTERNAL,
    ERR_COUNT
};

/* Room for a full sentence with two addresses in it. */
#define WHY_TEXT_MAX 512
#define WHY_FIELD_MAX 96

struct why {
    enum err err;
    char field[WHY_FIELD_MAX]; /* dotted path of the offending field, or "" */
    char text[WHY_TEXT_MAX];   /* one sentence, no trailing newline */
};

/* err_code returns the public snake_case code of `e`; "ok" for OK. Never NULL. */
const char *err_code(enum err e);

/* err_http_status returns the HTTP status that `e` is answered with; 200 for OK. */
int err_http_status(enum err e);

/* err_retryable says whether the same request may succeed later unchanged. */
bool err_retryable(enum err e);

/* err_sentence returns the general sentence for `e`, used where no better one was written. */
const char *err_sentence(enum err e);

/* err_find looks an error up by its public code; ERR_COUNT when there is none. */
enum err err_find(const char *code);

/*
 * why_set writes the sentence (printf format) and the field into `why` when it is not NULL, and
 * returns `e`, so that a caller can write `return why_set(why, ERR_X, "field", "…")`.
 * `field` may be NULL.
 */
enum err why_set(struct why *why, enum err e, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * why_prefix_field puts `prefix` and a dot before the field of `why` (when it has one set for an
 * error), so that nested validators name the full path. Returns `e` unchanged.
 */
enum err why_prefix_field(struct why *why, enum err e, const char *prefix);

/* why_text returns the sentence in `why`, or the general one of `e` when `why` is NULL or empty. */
const char *why_text(const struct why *why, enum err e);

#endif
