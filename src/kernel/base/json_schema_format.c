/* The texts that a schema can ask for: patterns, date-time, uri. */
#include "kernel/base/json_schema_private.h"

#define GROUP_DEPTH_MAX 32
#define STATES_MAX 500

/* ---- patterns -------------------------------------------------------------------------------- */

/*
 * A walk over the pattern that counts the states a matcher needs: regcomp unrolls counted
 * repetitions, nested ones multiply, and 256 bytes can ask for more memory than there is.
 */
struct vetting {
    struct slice pattern;
    size_t at;
    uint64_t states[GROUP_DEPTH_MAX]; /* of each open group, without the last atom */
    unsigned depth;
    uint64_t atom;      /* states of the last atom */
    bool is_repeatable; /* the last thing was an atom */
    const char *field;
    struct why *why;
};

static uint8_t peek(const struct vetting *p, size_t ahead)
{
    return p->at + ahead < p->pattern.len ? p->pattern.ptr[p->at + ahead] : 0;
}

static enum err refuse_pattern(const struct vetting *p, const char *sentence)
{
    return why_set(p->why, ERR_INVALID_FIELD, p->field, "The pattern %.*s is refused: %s",
                   SLICE_ARG(p->pattern), sentence);
}

static void add_atom(struct vetting *p, uint64_t states)
{
    p->states[p->depth] += p->atom;
    p->atom = states;
    p->is_repeatable = true;
}

static void end_branch(struct vetting *p)
{
    p->states[p->depth] += p->atom + 1;
    p->atom = 0;
    p->is_repeatable = false;
}

static enum err vet_escape(struct vetting *p)
{
    uint8_t c = peek(p, 1);
    if (c == 0 || strchr("^.[]$()|*+?{}\\/-", c) == NULL) {
        return refuse_pattern(p, "a backslash may stand only before punctuation that has a meaning "
                                 "(write [0-9] for \\d).");
    }
    p->at += 2;
    add_atom(p, 1);
    return OK;
}

/* Skips [:class:] and the like, of which brackets may be part. */
static enum err vet_bracket(struct vetting *p)
{
    p->at += peek(p, 1) == '^' ? 2 : 1;
    bool first = true;
    while (p->at < p->pattern.len && (first || peek(p, 0) != ']')) {
        uint8_t kind = peek(p, 1);
        first = false;
        if (peek(p, 0) == '\\') {
            return refuse_pattern(p, "within brackets a backslash would stand for itself.");
        }
        if (peek(p, 0) != '[' || (kind != ':' && kind != '.' && kind != '=')) {
            p->at++;
            continue;
        }
        p->at += 2;
        while (p->at < p->pattern.len && !(peek(p, 0) == kind && peek(p, 1) == ']')) {
            p->at++;
        }
        p->at += 2;
    }
    p->at++;
    add_atom(p, 1);
    return OK;
}

static enum err vet_group(struct vetting *p)
{
    if (peek(p, 0) == '(') {
        if (peek(p, 1) == '?') {
            return refuse_pattern(p, "groups that begin with (? are not known.");
        }
        if (p->depth + 1 == GROUP_DEPTH_MAX) {
            return refuse_pattern(p, "its groups are nested too deep.");
        }
        add_atom(p, 0);
        p->states[++p->depth] = 0;
        p->is_repeatable = false;
    } else if (p->depth > 0) {
        uint64_t states = p->states[p->depth] + p->atom + 2;
        p->depth--;
        p->atom = states;
        p->is_repeatable = true;
    } else {
        return refuse_pattern(p, "a parenthesis is closed that was not opened.");
    }
    p->at++;
    return OK;
}

static enum err vet_count(struct vetting *p, uint64_t *out)
{
    size_t end = p->at + 1;
    while (end < p->pattern.len && p->pattern.ptr[end] != '}') {
        end++;
    }
    struct slice low;
    struct slice high;
    uint64_t least;
    uint64_t most;
    bool two = slice_cut(slice_sub(p->pattern, p->at + 1, end - p->at - 1), ',', &low, &high);
    if (end == p->pattern.len || slice_parse_u64(low, &least) != OK) {
        return refuse_pattern(p, "a { must begin a count such as {2} or {1,3}.");
    }
    most = least + 1;
    if (two && high.len > 0 && slice_parse_u64(high, &most) != OK) {
        return refuse_pattern(p, "a { must begin a count such as {2} or {1,3}.");
    }
    *out = most > least ? most : least + 1;
    p->at = end;
    return OK;
}

static enum err vet_quantifier(struct vetting *p)
{
    uint64_t times = 1;
    if (!p->is_repeatable) {
        return refuse_pattern(p, "a quantifier must follow something that can be repeated.");
    }
    if (peek(p, 0) == '{') {
        enum err e = vet_count(p, &times);
        if (e != OK) {
            return e;
        }
    }
    if (times > STATES_MAX || p->atom * times > STATES_MAX) {
        return refuse_pattern(p, "it repeats too much.");
    }
    p->atom = p->atom * times + 1;
    p->is_repeatable = false;
    p->at++;
    return OK;
}

static enum err vet_next(struct vetting *p)
{
    switch (peek(p, 0)) {
    case '\0':
        return refuse_pattern(p, "it holds a zero byte.");
    case '\\':
        return vet_escape(p);
    case '[':
        return vet_bracket(p);
    case '(':
    case ')':
        return vet_group(p);
    case '*':
    case '+':
    case '?':
    case '{':
        return vet_quantifier(p);
    case '|':
        end_branch(p);
        break;
    case '^':
    case '$':
        p->states[p->depth] += p->atom + 1;
        p->atom = 0;
        p->is_repeatable = false;
        break;
    default: /* not an enum */
        add_atom(p, 1);
        break;
    }
    p->at++;
    return OK;
}

static int compile(struct slice pattern, regex_t *out)
{
    char text[JSON_SCHEMA_PATTERN_MAX + 1] = "";
    if (pattern.len > 0) {
        memcpy(text, pattern.ptr, pattern.len);
    }
    return regcomp(out, text, REG_EXTENDED | REG_NOSUB);
}

/* What the library itself refuses, such as a bracket that is not closed. */
static enum err try_compile(const struct vetting *p)
{
    regex_t compiled;
    int failure = compile(p->pattern, &compiled);
    if (failure == 0) {
        regfree(&compiled);
        return OK;
    }
    char text[128];
    regerror(failure, NULL, text, sizeof text);
    return refuse_pattern(p, text);
}

enum err json_schema_pattern_verify(struct slice pattern, const char *field, struct why *why)
{
    struct vetting p = {.pattern = pattern, .field = field, .why = why};
    if (pattern.len > JSON_SCHEMA_PATTERN_MAX) {
        return why_set(why, ERR_INVALID_FIELD, field, "A pattern may have up to %d bytes.",
                       JSON_SCHEMA_PATTERN_MAX);
    }
    while (p.at < pattern.len) {
        enum err e = vet_next(&p);
        if (e != OK) {
            return e;
        }
        if (p.states[p.depth] + p.atom > STATES_MAX) {
            return refuse_pattern(&p, "it repeats too much.");
        }
    }
    return try_compile(&p);
}

bool json_schema_pattern_compile(struct slice pattern, regex_t *out)
{
    return compile(pattern, out) == 0;
}

bool json_schema_pattern_match(const regex_t *pattern, struct slice text)
{
    regmatch_t range = {.rm_so = 0, .rm_eo = (regoff_t)text.len};
    const char *bytes = text.len > 0 ? (const char *)text.ptr : "";
    return regexec(pattern, bytes, 1, &range, REG_STARTEND) == 0;
}

/* ---- date-time ------------------------------------------------------------------------------- */

/* Reads `count` digits at `*at`, or returns -1. */
static int read_number(struct slice text, size_t *at, size_t count)
{
    int value = 0;
    for (size_t i = 0; i < count; i++, (*at)++) {
        if (*at >= text.len || text.ptr[*at] < '0' || text.ptr[*at] > '9') {
            return -1;
        }
        value = value * 10 + (text.ptr[*at] - '0');
    }
    return value;
}

static bool read_mark(struct slice text, size_t *at, const char *allowed)
{
    bool found = *at < text.len && text.ptr[*at] != 0 && strchr(allowed, text.ptr[*at]) != NULL;
    *at += found;
    return found;
}

static bool read_date(struct slice text, size_t *at)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = read_number(text, at, 4);
    if (year < 0 || !read_mark(text, at, "-")) {
        return false;
    }
    int month = read_number(text, at, 2);
    if (month < 1 || month > 12 || !read_mark(text, at, "-")) {
        return false;
    }
    int day = read_number(text, at, 2);
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day >= 1 && day <= month_days[month - 1] + (month == 2 && is_leap);
}

/* Reads hours and minutes; returns them as minutes, or -1. */
static int read_minutes(struct slice text, size_t *at)
{
    int hour = read_number(text, at, 2);
    if (hour < 0 || hour > 23 || !read_mark(text, at, ":")) {
        return -1;
    }
    int minute = read_number(text, at, 2);
    return minute < 0 || minute > 59 ? -1 : hour * 60 + minute;
}

/* Reads Z or a numeric offset. */
static bool read_offset(struct slice text, size_t *at, int *out_minutes)
{
    *out_minutes = 0;
    if (read_mark(text, at, "Zz")) {
        return true;
    }
    bool is_west = *at < text.len && text.ptr[*at] == '-';
    if (!read_mark(text, at, "+-")) {
        return false;
    }
    int minutes = read_minutes(text, at);
    *out_minutes = is_west ? -minutes : minutes;
    return minutes >= 0;
}

bool json_schema_is_date_time(struct slice text)
{
    size_t at = 0;
    int offset;
    if (!read_date(text, &at) || !read_mark(text, &at, "Tt")) {
        return false;
    }
    int minutes = read_minutes(text, &at);
    if (minutes < 0 || !read_mark(text, &at, ":")) {
        return false;
    }
    int second = read_number(text, &at, 2);
    if (second < 0 || second > 60) {
        return false;
    }
    if (read_mark(text, &at, ".")) {
        size_t start = at;
        while (read_mark(text, &at, "0123456789")) {
        }
        if (at == start) {
            return false;
        }
    }
    if (!read_offset(text, &at, &offset) || at != text.len) {
        return false;
    }
    /* A leap second is the last one of a day in UTC. */
    int minutes_utc = (minutes - offset + 2 * 24 * 60) % (24 * 60);
    return second < 60 || minutes_utc == 24 * 60 - 1;
}

/* ---- uri ------------------------------------------------------------------------------------- */

static bool is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(uint8_t c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static bool is_hex(uint8_t c)
{
    return is_one_of(c, "0123456789abcdefABCDEF");
}

/* Whether the text has only letters, digits, well-formed %XX and bytes of `extra`. */
static bool is_uri_text(struct slice text, const char *extra)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '%') {
            if (text.len - i < 3 || !is_hex(text.ptr[i + 1]) || !is_hex(text.ptr[i + 2])) {
                return false;
            }
            i += 2;
        } else if (!is_alpha(c) && !is_one_of(c, "0123456789") && !is_one_of(c, extra)) {
            return false;
        }
    }
    return true;
}

static bool is_scheme(struct slice text)
{
    return text.len > 0 && is_alpha(text.ptr[0]) && slice_find(text, '%') < 0 &&
           is_uri_text(text, "+-.");
}

/* [userinfo@]host[:port], the host perhaps an IP literal in brackets. */
static bool is_authority(struct slice text)
{
    struct slice user;
    struct slice host = text;
    if (slice_find(text, '@') >= 0) {
        (void)slice_cut(text, '@', &user, &host);
        if (!is_uri_text(user, "-._~!$&'()*+,;=:")) {
            return false;
        }
    }
    struct slice port = SLICE_EMPTY;
    if (host.len > 0 && host.ptr[0] == '[') {
        ptrdiff_t end = slice_find(host, ']');
        if (end < 2 || !is_uri_text(slice_sub(host, 1, (size_t)end - 1), "-._~!$&'()*+,;=:")) {
            return false;
        }
        port = slice_sub(host, (size_t)end + 1, host.len);
        if (port.len > 0 && port.ptr[0] != ':') {
            return false;
        }
        port = slice_sub(port, 1, port.len);
    } else {
        (void)slice_cut(host, ':', &host, &port);
        if (!is_uri_text(host, "-._~!$&'()*+,;=")) {
            return false;
        }
    }
    for (size_t i = 0; i < port.len; i++) {
        if (port.ptr[i] < '0' || port.ptr[i] > '9') {
            return false;
        }
    }
    return true;
}

bool json_schema_is_uri(struct slice text)
{
    struct slice scheme;
    struct slice rest;
    struct slice fragment;
    struct slice query;
    if (!slice_cut(text, ':', &scheme, &rest) || !is_scheme(scheme)) {
        return false;
    }
    (void)slice_cut(rest, '#', &rest, &fragment);
    (void)slice_cut(rest, '?', &rest, &query);
    if (!is_uri_text(fragment, "-._~!$&'()*+,;=:@/?") ||
        !is_uri_text(query, "-._~!$&'()*+,;=:@/?")) {
        return false;
    }
    if (slice_starts(rest, SLICE_LIT("//"))) {
        rest = slice_sub(rest, 2, rest.len);
        ptrdiff_t slash = slice_find(rest, '/');
        size_t end = slash < 0 ? rest.len : (size_t)slash;
        if (!is_authority(slice_sub(rest, 0, end))) {
            return false;
        }
        rest = slice_sub(rest, end, rest.len);
    }
    return is_uri_text(rest, "-._~!$&'()*+,;=:@/");
}
