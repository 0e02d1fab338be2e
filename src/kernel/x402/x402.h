/*
 * x402.h: the x402 payment protocol as objects and checks, without network, clock or database.
 *
 * A server asks for money with a list of offers (status 402), a client answers with a payment: a
 * signed authorization of the token (EIP-3009, scheme "exact") that whoever broadcasts it cannot
 * change. Two forms are spoken:
 *   version 2  PAYMENT-REQUIRED, PAYMENT-SIGNATURE and PAYMENT-RESPONSE: base64 of JSON; the client
 *              echoes the offer that it took, networks are "eip155:<chain id>"
 *   version 1  the challenge is the body of the 402, X-PAYMENT and X-PAYMENT-RESPONSE are base64 of
 *              JSON; the client names scheme and network only, networks have names
 *
 * What a client echoes is never gone on with: x402_offer_match says which of our offers it means,
 * and everything after that looks at the offer. An echo must be the offer to the letter, as the
 * reference servers have it: the case of hex digits, a number for a string or an additional member
 * make it another offer. Only `extra` may have additional members. Version 1 has no echo: the first
 * offer of that scheme and network is meant, and a payment that was signed for another one of them
 * does not pass the checks.
 *
 * x402_exact_check holds a payment against an offer, in this order: shape, signature (65 bytes, v
 * 27 or 28, low s, recovered account is `from`), payee, end and begin of its time, value. The first
 * breach is the answer. x402_exact_read and x402_exact_terms are its two halves: who signed what,
 * and whether that is what we ask for now; between them a payment has a name. What only the chain
 * knows (code at the asset, balance, nonce used) is not looked at here, and neither is whether this
 * payment was taken before: (chain, asset, payer, nonce) names it. Accounts that are contracts
 * (ERC-1271) are refused as a wrong signature.
 *
 * Reasons are the codes that the reference packages send; clients compare them as text.
 *
 * Bounds hold before memory is spent: a header has at most X402_HEADER_MAX characters, its JSON 16
 * levels and 512 values; a second member of one name is refused. Base64 is the standard alphabet
 * with padding, its unused bits zero. Any thread; results live in the caller's arena.
 */
#ifndef KERNEL_X402_X402_H
#define KERNEL_X402_X402_H

#include "kernel/evm/address.h"

#define X402_HEADER_MAX ((size_t)16 * 1024)
/* A payment must be valid so much longer than now, or it would end while it is settled. */
#define X402_MARGIN_USEC (6 * USEC_PER_SEC)
#define X402_NETWORK_MAX 32

enum x402_version {
    X402_V1 = 1,
    X402_V2 = 2,
};

/* The reasons, in the order of their table (x402_reason.c). */
enum x402_reason {
    X402_OK,
    X402_UNSUPPORTED_PAYLOAD,
    X402_SCHEME,
    X402_NETWORK,
    X402_NO_DOMAIN,
    X402_SIGNATURE_UNREADABLE,
    X402_SIGNATURE,
    X402_RECIPIENT,
    X402_VALID_BEFORE,
    X402_VALID_AFTER,
    X402_VALUE,
    X402_NONCE_USED,
    X402_BALANCE,
    X402_ASSET_NO_CONTRACT,
    X402_SIMULATION,
    X402_TRANSACTION,
    X402_TRANSFER_EVENT,
    X402_SETTLEMENT_PENDING,
    X402_NO_OFFER,       /* a payment for none of the offers */
    X402_NO_EIP3009,     /* facilitators: an asset that is not served */
    X402_HANDLER_FAILED, /* our own word, in rows only: nothing was charged */
    X402_REASON_COUNT
};

/* What we ask for: one offer of scheme "exact". The text is the caller's. */
struct x402_offer {
    uint64_t chain_id;
    struct address asset;
    struct address pay_to;
    struct u256 amount; /* smallest units of the asset */
    uint64_t timeout_seconds;
    struct slice token_name;    /* of the EIP-712 domain of the asset */
    struct slice token_version; /* the same */
};

struct x402_resource {
    struct slice url;
    struct slice description; /* "" for none */
    struct slice mime_type;   /* "" for none */
};

/* A payment as it was read: nothing of it has been checked but its form. */
struct x402_payment {
    enum x402_version version;
    const struct json *accepted; /* version 2: the echoed offer, an object */
    struct slice scheme;         /* version 1 */
    struct slice network;        /* version 1 */
    const struct json *payload;  /* of the scheme, an object */
};

struct x402_authorization {
    struct address from;
    struct address to;
    struct u256 value;
    struct u256 valid_after;  /* seconds */
    struct u256 valid_before; /* seconds */
    struct hash nonce;
    struct signature signature;
};

struct x402_settlement {
    enum x402_reason reason;        /* X402_OK: it was settled */
    const struct hash *transaction; /* NULL for none */
    uint64_t chain_id;
    const struct address *payer; /* NULL when not known */
};

/* x402_reason_code returns the public code; "" for X402_OK. */
const char *x402_reason_code(enum x402_reason reason);

/* x402_reason_find returns the reason of a code; X402_TRANSACTION for one that nobody knows. */
enum x402_reason x402_reason_find(struct slice code);

/* x402_base64_encode appends RFC 4648, section 4, with padding. */
void x402_base64_encode(struct buf *out, struct slice bytes);
/*
 * x402_base64_decode reads it into the arena. Errors: ERR_INVALID_ENCODING; ERR_HEADERS_TOO_LARGE
 * beyond X402_HEADER_MAX.
 */
enum err x402_base64_decode(struct arena *arena, struct slice text, struct slice *out,
                            struct why *why) ERR_CHECKED;

/*
 * x402_payment_decode reads the header PAYMENT-SIGNATURE (X402_V2) or X-PAYMENT (X402_V1); the
 * version inside must be that one. Errors: those of x402_base64_decode, ERR_INVALID_JSON,
 * ERR_LIMIT, ERR_MISSING_FIELD, ERR_INVALID_TYPE, ERR_INVALID_FIELD.
 */
enum err x402_payment_decode(struct arena *arena, enum x402_version version, struct slice header,
                             struct x402_payment *out, struct why *why) ERR_CHECKED;

/*
 * x402_offer_match returns the offer that a payment means, or NULL: then the answer is 402 with the
 * offers again.
 */
const struct x402_offer *x402_offer_match(const struct x402_payment *payment,
                                          const struct x402_offer *offers, size_t count);

/*
 * x402_offer_read reads an offer that somebody else made (PaymentRequirements), for facilitators:
 * of scheme "exact" on the chain. Not X402_OK: `why` (may be NULL) tells more. Borrows the text.
 */
enum x402_reason x402_offer_read(const struct json *requirements, enum x402_version version,
                                 uint64_t chain_id, struct x402_offer *out, struct why *why);

/* x402_exact_digest is what the payer signs: TransferWithAuthorization of the asset's domain. */
struct hash x402_exact_digest(const struct x402_offer *offer, const struct x402_authorization *a);

/*
 * x402_exact_check reads the payload of an "exact" payment and holds it against an offer. X402_OK:
 * *out is the authorization; otherwise it is untouched and `why` (may be NULL) tells more.
 */
enum x402_reason x402_exact_check(const struct json *payload, const struct x402_offer *offer,
                                  int64_t now_usec, struct x402_authorization *out,
                                  struct why *why);

/* x402_exact_read is the first half of x402_exact_check: shape and signature. */
enum x402_reason x402_exact_read(const struct json *payload, const struct x402_offer *offer,
                                 struct x402_authorization *out, struct why *why);
/* x402_exact_terms is the second half: payee, times and value. */
enum x402_reason x402_exact_terms(const struct x402_authorization *a,
                                  const struct x402_offer *offer, int64_t now_usec,
                                  struct why *why);

/* x402_network_format writes the CAIP-2 name of a chain, or its name in version 1, and a NUL. */
void x402_network_format(enum x402_version version, uint64_t chain_id, char out[X402_NETWORK_MAX]);

/*
 * x402_required_write writes PaymentRequired: the content of PAYMENT-REQUIRED, or the body of a 402
 * of version 1. `error` NULL: no payment was sent.
 */
void x402_required_write(struct json_out *j, enum x402_version version, const char *error,
                         const struct x402_resource *resource, const struct x402_offer *offers,
                         size_t count);
/* x402_offers_write writes the list of offers alone, the member "accepts". */
void x402_offers_write(struct json_out *j, enum x402_version version,
                       const struct x402_resource *resource, const struct x402_offer *offers,
                       size_t count);
/* x402_settlement_write writes SettleResponse, the content of PAYMENT-RESPONSE. */
void x402_settlement_write(struct json_out *j, enum x402_version version,
                           const struct x402_settlement *settlement);

#endif
