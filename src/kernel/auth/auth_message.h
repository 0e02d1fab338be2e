/*
 * auth_message.h: the message that a wallet signs to log in (EIP-4361, Sign-In with Ethereum).
 *
 * What is read is the grammar of the standard (ABNF, with RFC 3986 for authorities and URIs and
 * RFC 3339 for times) and nothing beside it: the signature is over the text, and two readers of one
 * text must see the same domain, address and nonce. Lines end with LF, in the order of the
 * standard; the address has its EIP-55 case. What a message means (whose domain, which chain, whose
 * nonce) is judged by who reads it: auth_message_check knows all of that but the nonce.
 *
 * Threads: pure functions.
 */
#ifndef KERNEL_AUTH_AUTH_MESSAGE_H
#define KERNEL_AUTH_AUTH_MESSAGE_H

#include "kernel/base/clock.h"
#include "kernel/evm/address.h"

#define AUTH_MESSAGE_BYTES_MAX 4096
#define AUTH_NONCE_DIGITS_MIN 8
/* How far a clock of somebody else may be ahead of ours. Units: microseconds. */
#define AUTH_SKEW_USEC (60 * (int64_t)USEC_PER_SEC)

struct auth_message {
    struct slice scheme; /* of the origin, "" when it has none */
    struct slice domain;
    struct address address;
    struct slice statement; /* "" when there is none */
    struct slice uri;
    uint64_t chain_id;
    struct slice nonce;
    int64_t issued_usec;
    int64_t expires_usec;    /* 0: never */
    int64_t not_before_usec; /* 0: at once */
    struct slice request_id; /* "" when there is none */
    size_t resource_count;
};

/*
 * auth_message_parse reads a message; its slices are of the text. Errors: ERR_INVALID_FIELD, naming
 * the line.
 */
enum err auth_message_parse(struct slice text, struct auth_message *out,
                            struct why *why) ERR_CHECKED;

/* auth_message_is_domain says whether a message can have this domain. */
bool auth_message_is_domain(struct slice text);

struct auth_message_rules {
    struct slice domains; /* that are ours, apart by commas */
    uint64_t chain_id;
    int64_t now_usec;
    int64_t age_usec_max; /* of a message, from its issued-at */
};

/*
 * auth_message_check holds a message against the rules. The URI must be of http or https and of the
 * same domain, since nothing else says where the session is for. Errors: ERR_FORBIDDEN (another
 * domain), ERR_SIGNATURE_CHAIN, ERR_DEADLINE_EXPIRED, ERR_INVALID_TIME (not valid yet).
 */
enum err auth_message_check(const struct auth_message *message,
                            const struct auth_message_rules *rules, struct why *why) ERR_CHECKED;

/*
 * auth_message_signer returns who signed the text by personal_sign (EIP-191, version 0x45).
 * Errors: ERR_SIGNATURE_MALFORMED, ERR_SIGNATURE_HIGH_S, ERR_SIGNATURE_V.
 */
enum err auth_message_signer(struct slice text, struct slice signature, struct address *out,
                             struct why *why) ERR_CHECKED;

#endif
