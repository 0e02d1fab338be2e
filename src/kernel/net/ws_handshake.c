#include "kernel/net/ws_handshake.h"

#include <curl/curl.h>
#include <openssl/evp.h>

#include "kernel/base/base64.h"
#include "kernel/base/check.h"

/* RFC 6455, section 1.3. */
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define SHA1_BYTES 20

/* ---- what is asked ---- */

void ws_key_format(const uint8_t nonce[WS_NONCE_BYTES], char out[WS_KEY_TEXT_MAX])
{
    ASSERT(EVP_EncodeBlock((uint8_t *)out, nonce, WS_NONCE_BYTES) == WS_KEY_TEXT_MAX - 1);
}

/* The parts of a URL, as curl reads them: what is connected to is what is asked for. */
struct target {
    char *host;
    char *port;
    char *path;
    char *query;
    char *user;
    char *password;
};

static bool is_plain(const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool read_target(CURLU *u, const char *http_url, struct target *t)
{
    bool read = curl_url_set(u, CURLUPART_URL, http_url, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_HOST, &t->host, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_PATH, &t->path, 0) == CURLUE_OK;
    (void)curl_url_get(u, CURLUPART_PORT, &t->port, 0);
    (void)curl_url_get(u, CURLUPART_QUERY, &t->query, 0);
    (void)curl_url_get(u, CURLUPART_USER, &t->user, CURLU_URLDECODE);
    (void)curl_url_get(u, CURLUPART_PASSWORD, &t->password, CURLU_URLDECODE);
    return read && is_plain(t->host) && is_plain(t->path) && is_plain(t->query);
}

static void clear_target(struct target *t)
{
    curl_free(t->host);
    curl_free(t->port);
    curl_free(t->path);
    curl_free(t->query);
    curl_free(t->user);
    curl_free(t->password);
}

static void write_request(struct arena *arena, const struct target *t, const char *key,
                          struct buf *out)
{
    buf_format(out, "GET %s%s%s HTTP/1.1\r\nHost: %s%s%s\r\n", t->path, t->query ? "?" : "",
               t->query ? t->query : "", t->host, t->port ? ":" : "", t->port ? t->port : "");
    buf_format(out,
               "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: %s\r\nUser-Agent: freehold\r\n",
               key);
    if (t->user != NULL) {
        buf_add_text(out, "Authorization: Basic ");
        base64_encode(out, BASE64_STANDARD,
                      slice_format(arena, "%s:%s", t->user, t->password ? t->password : ""));
        buf_add_text(out, "\r\n");
    }
    buf_add_text(out, "\r\n");
}

enum err ws_request_write(struct arena *arena, const char *url, const char *key, struct buf *out,
                          const char **http_url, struct why *why)
{
    struct slice text = slice_text(url);
    bool secure = slice_starts(text, SLICE_LIT("wss://"));
    if (!secure && !slice_starts(text, SLICE_LIT("ws://"))) {
        return why_set(why, ERR_CONFIG, "url", "the URL does not start with ws:// or wss://");
    }
    struct slice rest = slice_sub(text, secure ? 6 : 5, text.len);
    struct slice http =
        slice_format(arena, "%s://%.*s", secure ? "https" : "http", SLICE_ARG(rest));
    struct target t = {0};
    CURLU *u = curl_url();
    ASSERT(u != NULL);
    bool good = read_target(u, (const char *)http.ptr, &t);
    if (good) {
        write_request(arena, &t, key, out);
        *http_url = (const char *)http.ptr;
    }
    clear_target(&t);
    curl_url_cleanup(u);
    return good ? OK : why_set(why, ERR_CONFIG, "url", "the URL is malformed");
}

/* ---- what is answered ---- */

void ws_accept_format(struct slice key, char out[WS_ACCEPT_TEXT_MAX])
{
    char joined[WS_KEY_TEXT_MAX + sizeof ACCEPT_GUID];
    uint8_t digest[SHA1_BYTES];
    int len = snprintf(joined, sizeof joined, "%.*s%s", SLICE_ARG(key), ACCEPT_GUID);
    ASSERT(len > 0 && (size_t)len < sizeof joined);
    ASSERT(EVP_Digest(joined, (size_t)len, digest, NULL, EVP_sha1(), NULL) == 1);
    ASSERT(EVP_EncodeBlock((uint8_t *)out, digest, SHA1_BYTES) == WS_ACCEPT_TEXT_MAX - 1);
}

/* The length of a head with the empty line that ends it; 0: it has not ended. */
static size_t head_length(struct slice bytes)
{
    const uint8_t *end = bytes.len > 0 ? memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4) : NULL;
    return end != NULL ? (size_t)(end - bytes.ptr) + 4 : 0;
}

/* next_line cuts a line off a head whose lines all end in CR LF. */
static struct slice next_line(struct slice *rest)
{
    const uint8_t *end = memmem(rest->ptr, rest->len, "\r\n", 2);
    ASSERT(end != NULL);
    struct slice line = slice_of(rest->ptr, (size_t)(end - rest->ptr));
    *rest = slice_sub(*rest, line.len + 2, rest->len);
    return line;
}

static enum err read_status(struct slice line, struct why *why)
{
    struct slice version;
    struct slice rest;
    uint64_t status = 0;
    bool is_http = slice_cut(line, ' ', &version, &rest) && slice_equal_text(version, "HTTP/1.1") &&
                   rest.len >= 3 && slice_parse_u64(slice_sub(rest, 0, 3), &status) == OK &&
                   (rest.len == 3 || rest.ptr[3] == ' ');
    if (!is_http) {
        return why_set(why, ERR_UPSTREAM, NULL, "it does not speak HTTP/1.1");
    }
    if (status != 101) {
        return why_set(why, ERR_UPSTREAM, NULL, "it does not open a WebSocket (HTTP status %llu)",
                       (unsigned long long)status);
    }
    return OK;
}

/* Whether a comma-separated list has a token. */
static bool has_token(struct slice list, const char *token)
{
    while (list.len > 0) {
        struct slice item;
        (void)slice_cut(list, ',', &item, &list);
        if (slice_equal_nocase(slice_trim(item), slice_text(token))) {
            return true;
        }
    }
    return false;
}

struct seen {
    bool upgrade;
    bool connection;
    unsigned accepts;
    bool accepted;
    bool unasked; /* something that was not asked for */
};

static void read_field(struct slice name, struct slice value, const char *accept, struct seen *s)
{
    if (slice_equal_nocase(name, SLICE_LIT("Upgrade"))) {
        s->upgrade = slice_equal_nocase(value, SLICE_LIT("websocket"));
    } else if (slice_equal_nocase(name, SLICE_LIT("Connection"))) {
        s->connection = s->connection || has_token(value, "upgrade");
    } else if (slice_equal_nocase(name, SLICE_LIT("Sec-WebSocket-Accept"))) {
        s->accepts++;
        s->accepted = slice_equal_text(value, accept);
    } else if (slice_equal_nocase(name, SLICE_LIT("Sec-WebSocket-Extensions")) ||
               slice_equal_nocase(name, SLICE_LIT("Sec-WebSocket-Protocol"))) {
        s->unasked = s->unasked || value.len > 0;
    }
}

static enum err judge(const struct seen *s, struct why *why)
{
    if (!s->upgrade || !s->connection) {
        return why_set(why, ERR_UPSTREAM, NULL, "its answer does not upgrade to a WebSocket");
    }
    if (s->accepts != 1 || !s->accepted) {
        return why_set(why, ERR_UPSTREAM, NULL, "its Sec-WebSocket-Accept is not that of our key");
    }
    if (s->unasked) {
        return why_set(why, ERR_UPSTREAM, NULL, "it uses an extension that was not asked for");
    }
    return OK;
}

enum err ws_answer_read(struct slice bytes, const char *key, size_t *out_used, struct why *why)
{
    size_t len = head_length(slice_sub(bytes, 0, WS_HEAD_BYTES_MAX));
    if (len == 0 && bytes.len >= WS_HEAD_BYTES_MAX) {
        return why_set(why, ERR_LIMIT, NULL, "the head of its answer is too long");
    }
    if (len == 0) {
        *out_used = 0;
        return OK;
    }
    struct slice rest = slice_sub(bytes, 0, len);
    struct seen seen = {0};
    char accept[WS_ACCEPT_TEXT_MAX];
    ws_accept_format(slice_text(key), accept);
    enum err e = read_status(next_line(&rest), why);
    for (struct slice line; e == OK && (line = next_line(&rest)).len > 0;) {
        struct slice name;
        struct slice value;
        bool whole =
            slice_cut(line, ':', &name, &value) && name.len > 0 && slice_trim(name).len == name.len;
        if (!whole) {
            return why_set(why, ERR_UPSTREAM, NULL, "its answer has a malformed header");
        }
        read_field(name, slice_trim(value), accept, &seen);
    }
    e = e == OK ? judge(&seen, why) : e;
    if (e == OK) {
        *out_used = len;
    }
    return e;
}
