#include "kernel/auth/auth_message.h"

/* ---- characters of RFC 3986 ---- */

static bool is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_one_of(uint8_t c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static bool is_unreserved(uint8_t c)
{
    return is_alpha(c) || is_digit(c) || is_one_of(c, "-._~");
}

#define SUB_DELIMS "!$&'()*+,;="

/* Unreserved, sub-delims, percent-encoded, and what else a component takes. */
static bool is_component(struct slice text, const char *more)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '%') {
            if (text.len - i < 3 || !is_hex(text.ptr[i + 1]) || !is_hex(text.ptr[i + 2])) {
                return false;
            }
            i += 2;
        } else if (!is_unreserved(c) && !is_one_of(c, SUB_DELIMS) && !is_one_of(c, more)) {
            return false;
        }
    }
    return true;
}

static bool is_scheme(struct slice text)
{
    bool good = text.len > 0 && is_alpha(text.ptr[0]);
    for (size_t i = 1; good && i < text.len; i++) {
        good = is_alpha(text.ptr[i]) || is_digit(text.ptr[i]) || is_one_of(text.ptr[i], "+-.");
    }
    return good;
}

static bool is_digits(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* IP-literal: an IPv6 address is looked at no closer, since none but ours is taken. */
static bool is_literal(struct slice host)
{
    bool good = host.len > 4 && host.ptr[host.len - 1] == ']';
    for (size_t i = 1; good && i + 1 < host.len; i++) {
        good = is_hex(host.ptr[i]) || is_one_of(host.ptr[i], ":.");
    }
    return good;
}

/* [ userinfo "@" ] host [ ":" port ], where the host is not empty. */
static bool is_authority(struct slice text)
{
    struct slice user;
    struct slice host;
    struct slice port = SLICE_EMPTY;
    if (slice_cut(text, '@', &user, &host)) {
        if (!is_component(user, ":")) {
            return false;
        }
    } else {
        host = text;
    }
    if (host.len > 0 && host.ptr[0] == '[') {
        ptrdiff_t end = slice_find(host, ']');
        struct slice rest = end < 0 ? SLICE_EMPTY : slice_sub(host, (size_t)end + 1, host.len);
        host = slice_sub(host, 0, end < 0 ? 0 : (size_t)end + 1);
        bool has_port = rest.len > 0 && rest.ptr[0] == ':';
        return is_literal(host) && (rest.len == 0 || has_port) &&
               is_digits(slice_sub(rest, 1, rest.len));
    }
    (void)slice_cut(host, ':', &host, &port);
    return host.len > 0 && is_component(host, "") && is_digits(port);
}

bool auth_message_is_domain(struct slice text)
{
    return is_authority(text);
}

/* Takes a URI apart; `authority` is empty when it has none. */
static bool read_uri(struct slice text, struct slice *scheme, struct slice *authority)
{
    struct slice rest;
    struct slice query;
    struct slice fragment;
    if (!slice_cut(text, ':', scheme, &rest) || !is_scheme(*scheme)) {
        return false;
    }
    (void)slice_cut(rest, '#', &rest, &fragment);
    (void)slice_cut(rest, '?', &rest, &query);
    *authority = SLICE_EMPTY;
    if (slice_starts(rest, SLICE_LIT("//"))) {
        rest = slice_sub(rest, 2, rest.len);
        ptrdiff_t slash = slice_find(rest, '/');
        *authority = slice_sub(rest, 0, slash < 0 ? rest.len : (size_t)slash);
        rest = slice_sub(rest, authority->len, rest.len);
        if (!is_authority(*authority)) {
            return false;
        }
    }
    return is_component(rest, ":@/") && is_component(query, ":@/?") &&
           is_component(fragment, ":@/?");
}

/* ---- lines ---- */

struct reader {
    struct slice rest;
    bool ended; /* the last line had no LF */
    struct why *why;
};

static enum err refuse(const struct reader *r, const char *line)
{
    return why_set(r->why, ERR_INVALID_FIELD, "message",
                   "The message does not follow EIP-4361: %s.", line);
}

/* The next line; false when there is none. */
static bool next_line(struct reader *r, struct slice *out)
{
    if (r->ended) {
        return false;
    }
    r->ended = !slice_cut(r->rest, '\n', out, &r->rest);
    return true;
}

/* The next line if it begins with the label: the rest of it. Otherwise nothing is taken. */
static bool next_labelled(struct reader *r, struct slice label, struct slice *out)
{
    struct reader ahead = *r;
    struct slice line;
    if (!next_line(&ahead, &line) || !slice_starts(line, label)) {
        return false;
    }
    *r = ahead;
    *out = slice_sub(line, label.len, line.len);
    return true;
}

static enum err read_origin(struct reader *r, struct auth_message *m)
{
    static const struct slice words =
        SLICE_LIT(" wants you to sign in with your Ethereum account:");
    struct slice line;
    if (!next_line(r, &line) || !slice_ends(line, words)) {
        return refuse(r, "its first line does not end with \"wants you to sign in with your "
                         "Ethereum account:\"");
    }
    m->domain = slice_sub(line, 0, line.len - words.len);
    for (size_t i = 0; i + 2 < m->domain.len; i++) {
        if (slice_starts(slice_sub(m->domain, i, 3), SLICE_LIT("://"))) {
            m->scheme = slice_sub(m->domain, 0, i);
            m->domain = slice_sub(m->domain, i + 3, m->domain.len);
            if (!is_scheme(m->scheme)) {
                return refuse(r, "the scheme of its first line is none");
            }
            break;
        }
    }
    return is_authority(m->domain) ? OK : refuse(r, "its first line has no domain");
}

static enum err read_account(struct reader *r, struct auth_message *m)
{
    char text[ADDRESS_TEXT_MAX];
    struct slice line = SLICE_EMPTY;
    if (!next_line(r, &line) || address_parse(line, &m->address) != OK) {
        return refuse(r, "its second line is no address");
    }
    address_format(&m->address, text);
    if (!slice_equal_text(line, text)) {
        return refuse(r, "the address does not have its EIP-55 case");
    }
    return next_line(r, &line) && line.len == 0 ? OK : refuse(r, "the third line must be empty");
}

static enum err read_statement(struct reader *r, struct auth_message *m)
{
    struct slice line;
    if (!next_line(r, &line)) {
        return refuse(r, "it ends after the address");
    }
    if (line.len == 0) {
        return OK;
    }
    for (size_t i = 0; i < line.len; i++) {
        uint8_t c = line.ptr[i];
        if (!is_unreserved(c) && !is_one_of(c, SUB_DELIMS ":/?#[]@ ")) {
            return refuse(r, "the statement has a character that is not of RFC 3986");
        }
    }
    m->statement = line;
    return next_line(r, &line) && line.len == 0
               ? OK
               : refuse(r, "the line after the statement must be empty");
}

static bool is_nonce(struct slice text)
{
    bool good = text.len >= AUTH_NONCE_DIGITS_MIN;
    for (size_t i = 0; good && i < text.len; i++) {
        good = is_alpha(text.ptr[i]) || is_digit(text.ptr[i]);
    }
    return good;
}

static enum err read_required(struct reader *r, struct auth_message *m)
{
    struct slice text;
    struct slice scheme;
    struct slice authority;
    if (!next_labelled(r, SLICE_LIT("URI: "), &m->uri) || !read_uri(m->uri, &scheme, &authority)) {
        return refuse(r, "\"URI: \" and a URI must come next");
    }
    if (!next_labelled(r, SLICE_LIT("Version: "), &text) || !slice_equal_text(text, "1")) {
        return refuse(r, "\"Version: 1\" must come after the URI");
    }
    if (!next_labelled(r, SLICE_LIT("Chain ID: "), &text) ||
        slice_parse_u64(text, &m->chain_id) != OK) {
        return refuse(r, "\"Chain ID: \" and a number must come after the version");
    }
    if (!next_labelled(r, SLICE_LIT("Nonce: "), &m->nonce) || !is_nonce(m->nonce)) {
        return refuse(r, "\"Nonce: \" and at least 8 letters and digits must come after the chain");
    }
    if (!next_labelled(r, SLICE_LIT("Issued At: "), &text) ||
        clock_parse(text, &m->issued_usec) != OK) {
        return refuse(r, "\"Issued At: \" and a time of RFC 3339 must come after the nonce");
    }
    return OK;
}

static enum err read_optional(struct reader *r, struct auth_message *m)
{
    struct slice text;
    struct slice scheme;
    struct slice authority;
    if (next_labelled(r, SLICE_LIT("Expiration Time: "), &text) &&
        clock_parse(text, &m->expires_usec) != OK) {
        return refuse(r, "the expiration time is no time of RFC 3339");
    }
    if (next_labelled(r, SLICE_LIT("Not Before: "), &text) &&
        clock_parse(text, &m->not_before_usec) != OK) {
        return refuse(r, "what follows \"Not Before: \" is no time of RFC 3339");
    }
    if (next_labelled(r, SLICE_LIT("Request ID: "), &m->request_id) &&
        !is_component(m->request_id, ":@")) {
        return refuse(r, "the request id has a character that is not of RFC 3986");
    }
    if (next_labelled(r, SLICE_LIT("Resources:"), &text)) {
        bool good = text.len == 0;
        while (good && next_labelled(r, SLICE_LIT("- "), &text)) {
            good = read_uri(text, &scheme, &authority);
            m->resource_count++;
        }
        if (!good) {
            return refuse(r, "the resources are lines of \"- \" and a URI");
        }
    }
    return r->ended ? OK : refuse(r, "there is a line that the standard does not have there");
}

enum err auth_message_parse(struct slice text, struct auth_message *out, struct why *why)
{
    struct auth_message m = {.chain_id = 0};
    struct reader r = {.rest = text, .why = why};
    if (text.len > AUTH_MESSAGE_BYTES_MAX) {
        return why_set(why, ERR_INVALID_FIELD, "message", "The message has more than %d bytes.",
                       AUTH_MESSAGE_BYTES_MAX);
    }
    enum err e = read_origin(&r, &m);
    e = e == OK ? read_account(&r, &m) : e;
    e = e == OK ? read_statement(&r, &m) : e;
    e = e == OK ? read_required(&r, &m) : e;
    e = e == OK ? read_optional(&r, &m) : e;
    if (e == OK) {
        *out = m;
    }
    return e;
}

/* ---- rules ---- */

static bool is_listed(struct slice list, struct slice domain)
{
    while (list.len > 0) {
        struct slice one;
        (void)slice_cut(list, ',', &one, &list);
        one = slice_trim(one);
        if (one.len > 0 && slice_equal(one, domain)) {
            return true;
        }
    }
    return false;
}

static bool is_web(struct slice scheme)
{
    return slice_equal_text(scheme, "https") || slice_equal_text(scheme, "http");
}

static enum err check_place(const struct auth_message *m, const struct auth_message_rules *rules,
                            struct why *why)
{
    struct slice scheme = SLICE_EMPTY;
    struct slice authority = SLICE_EMPTY;
    if (!is_listed(rules->domains, m->domain)) {
        return why_set(why, ERR_FORBIDDEN, "message",
                       "The message is for a domain that is none of ours (auth.domains).");
    }
    if (!read_uri(m->uri, &scheme, &authority) || !is_web(scheme) ||
        !slice_equal(authority, m->domain) ||
        (m->scheme.len > 0 && !slice_equal(m->scheme, scheme))) {
        return why_set(why, ERR_FORBIDDEN, "message",
                       "The URI of the message is not one of its domain.");
    }
    if (m->chain_id != rules->chain_id) {
        return why_set(why, ERR_SIGNATURE_CHAIN, "message", "The message is for chain %llu.",
                       (unsigned long long)m->chain_id);
    }
    return OK;
}

enum err auth_message_check(const struct auth_message *m, const struct auth_message_rules *rules,
                            struct why *why)
{
    enum err e = check_place(m, rules, why);
    if (e != OK) {
        return e;
    }
    int64_t now = rules->now_usec;
    if (m->issued_usec > now + AUTH_SKEW_USEC) {
        return why_set(why, ERR_INVALID_TIME, "message", "The message was issued in the future.");
    }
    if (m->not_before_usec > now) {
        return why_set(why, ERR_INVALID_TIME, "message", "The message is not valid yet.");
    }
    if ((m->expires_usec != 0 && m->expires_usec <= now) ||
        now - m->issued_usec > rules->age_usec_max + AUTH_SKEW_USEC) {
        return why_set(why, ERR_DEADLINE_EXPIRED, "message", "The message has expired.");
    }
    return OK;
}

enum err auth_message_signer(struct slice text, struct slice signature, struct address *out,
                             struct why *why)
{
    char prefix[64];
    struct keccak k;
    struct hash digest;
    struct signature sig;
    enum err e = signature_decode(signature, &sig, why);
    if (e != OK) {
        return e;
    }
    int len = snprintf(prefix, sizeof prefix,
                       "\x19"
                       "Ethereum Signed Message:\n%zu",
                       text.len);
    keccak_init(&k);
    keccak_update(&k, slice_of(prefix, (size_t)len));
    keccak_update(&k, text);
    keccak_final(&k, &digest);
    return secp256k1_recover(&digest, &sig, out, why);
}
