#include "kernel/cache/cache_internal.h"

#define PORT 6379
#define DATABASES_MAX 1000000
#define PART_MAX 512

static enum err refuse(struct why *why, const char *problem)
{
    /* The url is not repeated: it may hold a password. */
    return why_set(why, ERR_CONFIG, "redis.url",
                   "redis.url must be redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER]: %s", problem);
}

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Decodes %XX into a buffer with a NUL; false when it does not fit or is malformed. */
static bool decode(struct slice text, char *out, size_t size, size_t *out_len)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == '%') {
            int high = text.len - i < 3 ? -1 : digit(text.ptr[i + 1]);
            int low = text.len - i < 3 ? -1 : digit(text.ptr[i + 2]);
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (uint8_t)(high * 16 + low);
            i += 2;
        }
        if (byte == 0 || len + 1 >= size) {
            return false;
        }
        out[len++] = (char)byte;
    }
    out[len] = '\0';
    *out_len = len;
    return true;
}

static enum err take_login(struct slice login, struct cache_address *out, struct why *why)
{
    struct slice user;
    struct slice password;
    char plain[PART_MAX];
    size_t len = 0;
    if (!slice_cut(login, ':', &user, &password)) {
        return refuse(why, "before '@' there is USER:PASSWORD or :PASSWORD");
    }
    if (!decode(user, out->user, sizeof out->user, &len) ||
        !decode(password, plain, sizeof plain, &len)) {
        mem_wipe(plain, sizeof plain);
        return refuse(why, "USER or PASSWORD is too long, or has a '%' without two hex digits");
    }
    secret_init(&out->password, plain, len);
    out->has_password = true;
    mem_wipe(plain, sizeof plain);
    return OK;
}

/* HOST, HOST:PORT, [IPV6] or [IPV6]:PORT. */
static enum err take_host(struct slice text, struct cache_address *out, struct why *why)
{
    struct slice host = text;
    struct slice port = SLICE_EMPTY;
    bool has_port = false;
    if (text.len > 0 && text.ptr[0] == '[') {
        ptrdiff_t end = slice_find(text, ']');
        if (end < 0) {
            return refuse(why, "'[' without ']'");
        }
        host = slice_sub(text, 1, (size_t)end - 1);
        struct slice rest = slice_sub(text, (size_t)end + 1, text.len - (size_t)end - 1);
        has_port = rest.len > 0 && rest.ptr[0] == ':';
        if (rest.len > 0 && !has_port) {
            return refuse(why, "behind ']' there is ':' or '/'");
        }
        port = has_port ? slice_sub(rest, 1, rest.len - 1) : SLICE_EMPTY;
    } else {
        has_port = slice_cut(text, ':', &host, &port);
    }
    uint64_t number = PORT;
    if (has_port && (slice_parse_u64(port, &number) != OK || number == 0 || number > UINT16_MAX)) {
        return refuse(why, "PORT is a number from 1 to 65535");
    }
    if (host.len == 0 || host.len >= sizeof out->host || memchr(host.ptr, 0, host.len) != NULL) {
        return refuse(why, "HOST is missing or too long");
    }
    memcpy(out->host, host.ptr, host.len);
    out->host[host.len] = '\0';
    out->port = (int)number;
    return OK;
}

static enum err take_parts(struct slice rest, struct cache_address *out, struct why *why)
{
    struct slice place;
    struct slice number;
    bool has_number = slice_cut(rest, '/', &place, &number);
    if (has_number && number.len > 0 &&
        (slice_parse_u64(number, &out->database) != OK || out->database > DATABASES_MAX)) {
        return refuse(why, "behind '/' there is the number of a database");
    }
    ptrdiff_t at = -1;
    for (size_t i = 0; i < place.len; i++) {
        at = place.ptr[i] == '@' ? (ptrdiff_t)i : at; /* the last one */
    }
    if (at >= 0) {
        enum err e = take_login(slice_sub(place, 0, (size_t)at), out, why);
        if (e != OK) {
            return e;
        }
        place = slice_sub(place, (size_t)at + 1, place.len - (size_t)at - 1);
    }
    return take_host(place, out, why);
}

enum err cache_url_parse(struct slice url, struct cache_address *out, struct why *why)
{
    if (slice_starts(url, SLICE_LIT("rediss://"))) {
        return refuse(why, "rediss:// (TLS) is not spoken here; let a proxy on this machine do it");
    }
    if (!slice_starts(url, SLICE_LIT("redis://"))) {
        return refuse(why, "it does not begin so");
    }
    size_t scheme = strlen("redis://");
    struct cache_address a = {.port = PORT};
    enum err e = take_parts(slice_sub(url, scheme, url.len - scheme), &a, why);
    if (e != OK) {
        secret_clear(&a.password);
        return e;
    }
    *out = a;
    return OK;
}

enum err cache_url_check(const char *url, struct why *why)
{
    struct cache_address a = {0};
    enum err e = url[0] == '\0' ? OK : cache_url_parse(slice_text(url), &a, why);
    secret_clear(&a.password);
    return e;
}
