#include "kernel/relay/relay_remote.h"

#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/net/http_client.h"

#define PUBLIC_KEY_BYTES 64
#define URL_BYTES_MAX 1024
/* 64 keys in hex, or a signed transaction with the largest calldata that nodes take. */
#define ANSWER_BYTES_MAX ((size_t)1 << 20)

struct remote_key {
    struct relay_remote *remote;
    struct address address;
    char name[2 * PUBLIC_KEY_BYTES + 3]; /* SIGN: the public key, as the path wants it */
};

struct relay_remote {
    struct net_client *client;
    char url[URL_BYTES_MAX];
    enum relay_remote_api api;
    int64_t timeout_usec;
    struct remote_key keys[RELAY_REMOTE_MAX];
    size_t count;
};

/* ---- asking ---- */

static enum err ask(const struct relay_remote *r, struct arena *arena, const char *method,
                    const char *path, struct slice body, struct slice *out, struct why *why)
{
    static const struct net_header headers[] = {
        {SLICE_LIT("content-type"), SLICE_LIT("application/json")}};
    char url[URL_BYTES_MAX + 256];
    int len = snprintf(url, sizeof url, "%s%s", r->url, path);
    ASSERT(len > 0 && (size_t)len < sizeof url);
    const struct net_request request = {
        .method = method,
        .url = url,
        .headers = headers,
        .header_count = body.len > 0 ? 1 : 0,
        .body = body,
        .timeout_usec = r->timeout_usec,
        .answer_bytes_max = ANSWER_BYTES_MAX,
    };
    struct net_answer answer;
    enum err e = net_request_run(r->client, arena, &request, &answer, why);
    if (e == OK && answer.status == 404) {
        return why_set(why, ERR_UNKNOWN_WALLET, NULL, "the remote signer does not have this key");
    }
    if (e == OK && answer.status != 200) {
        return why_set(why, ERR_UPSTREAM, NULL, "the remote signer answered with status %d",
                       answer.status);
    }
    if (e == OK) {
        *out = answer.body;
    }
    return e;
}

static enum err not_understood(struct why *why)
{
    return why_set(why, ERR_UPSTREAM, NULL, "the answer of the remote signer makes no sense");
}

/* A JSON-RPC call; what the server says against it is not repeated, it may quote the request. */
static enum err call(const struct relay_remote *r, struct arena *arena, const char *method,
                     struct slice params, const struct json **out, struct why *why)
{
    struct slice body =
        slice_format(arena, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%.*s}",
                     method, SLICE_ARG(params));
    struct slice text = SLICE_EMPTY;
    const struct json *answer = NULL;
    enum err e = ask(r, arena, "POST", "/", body, &text, why);
    if (e != OK) {
        return e;
    }
    if (json_parse(arena, text, &json_limits_body, &answer, NULL) != OK ||
        answer->type != JSON_OBJECT) {
        return not_understood(why);
    }
    const struct json *error = json_find(answer, "error");
    const struct json *result = json_find(answer, "result");
    if (error != NULL && error->type == JSON_OBJECT) {
        const struct json *code = json_find(error, "code");
        struct slice shown = code != NULL ? slice_sub(code->text, 0, 20) : SLICE_LIT("?");
        return why_set(why, ERR_UPSTREAM, NULL, "the remote signer refused (code %.*s)",
                       SLICE_ARG(shown));
    }
    if (result == NULL) {
        return not_understood(why);
    }
    *out = result;
    return OK;
}

/* ---- signing ---- */

/* The signature as hex text, plain or as a JSON string; v may be the parity alone. */
static enum err read_signature(struct slice text, struct signature *out, struct why *why)
{
    uint8_t bytes[SIGNATURE_BYTES];
    text = slice_trim(text);
    if (text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"') {
        text = slice_sub(text, 1, text.len - 2);
    }
    if (hex_decode_fixed(text, bytes, sizeof bytes) != OK) {
        return not_understood(why);
    }
    if (bytes[SIGNATURE_BYTES - 1] < 27) {
        bytes[SIGNATURE_BYTES - 1] = (uint8_t)(bytes[SIGNATURE_BYTES - 1] + 27);
    }
    return signature_decode(slice_of(bytes, sizeof bytes), out, why);
}

static enum err sign_data(const struct remote_key *k, struct arena *arena, const struct tx *tx,
                          struct slice *out_raw, struct why *why)
{
    char path[sizeof k->name + 32];
    struct buf body;
    struct json_out j;
    struct slice text = SLICE_EMPTY;
    struct signature signature = {.v = 27};
    struct slice payload = tx_signing_payload(arena, tx);
    buf_init(&body, arena, 2 * payload.len + 32);
    json_out_init(&j, &body);
    json_begin_object(&j);
    json_key(&j, "data");
    json_hex(&j, payload);
    json_end_object(&j);
    (void)snprintf(path, sizeof path, "/api/v1/eth1/sign/%s", k->name);
    enum err e = ask(k->remote, arena, "POST", path, buf_slice(&body), &text, why);
    if (e == OK) {
        e = read_signature(text, &signature, why);
    }
    if (e == OK) {
        *out_raw = tx_attach(arena, tx, &signature);
    }
    return e;
}

static void quantity(struct json_out *j, const char *key, struct u256 value)
{
    json_key(j, key);
    json_quantity(j, value);
}

static struct slice transaction_params(const struct remote_key *k, struct arena *arena,
                                       const struct tx *tx)
{
    struct buf text;
    struct json_out j;
    buf_init(&text, arena, 2 * tx->data.len + 512);
    json_out_init(&j, &text);
    json_begin_array(&j);
    json_begin_object(&j);
    json_key(&j, "from");
    json_hex(&j, address_slice(&k->address));
    json_key(&j, "to");
    if (tx->has_to) {
        json_hex(&j, address_slice(&tx->to));
    } else {
        json_null(&j);
    }
    quantity(&j, "gas", u256_from_u64(tx->gas_limit));
    if (tx->kind == TX_LEGACY) {
        quantity(&j, "gasPrice", wei_raw(tx->fee_max));
    } else {
        quantity(&j, "maxFeePerGas", wei_raw(tx->fee_max));
        quantity(&j, "maxPriorityFeePerGas", wei_raw(tx->fee_priority));
    }
    quantity(&j, "nonce", u256_from_u64(tx->nonce));
    quantity(&j, "value", wei_raw(tx->value));
    json_key(&j, "data");
    json_hex(&j, tx->data);
    json_end_object(&j);
    json_end_array(&j);
    return buf_slice(&text);
}

static enum err sign_transaction(const struct remote_key *k, struct arena *arena,
                                 const struct tx *tx, struct slice *out_raw, struct why *why)
{
    const struct json *result = NULL;
    enum err e = call(k->remote, arena, "eth_signTransaction", transaction_params(k, arena, tx),
                      &result, why);
    if (e == OK && (result == NULL || result->type != JSON_STRING ||
                    hex_decode(arena, result->text, out_raw) != OK)) {
        e = not_understood(why);
    }
    return e;
}

static enum err sign(void *ctx, struct arena *arena, const struct tx *tx, struct slice *out_raw,
                     struct hash *out_hash, struct why *why)
{
    const struct remote_key *k = ctx;
    struct slice raw = SLICE_EMPTY;
    enum err e = OK;
    switch (k->remote->api) {
    case RELAY_REMOTE_SIGN:
        e = sign_data(k, arena, tx, &raw, why);
        break;
    case RELAY_REMOTE_TRANSACTION:
        e = sign_transaction(k, arena, tx, &raw, why);
        break;
    }
    if (e == OK) {
        *out_raw = raw;
        *out_hash = keccak256(raw);
    }
    return e;
}

/* ---- keys ---- */

/* A public key as 64 bytes, or as 65 that begin with the mark of an uncompressed one. */
static bool read_public_key(struct slice text, struct remote_key *out)
{
    uint8_t bytes[1 + PUBLIC_KEY_BYTES];
    const uint8_t *point = bytes;
    if (hex_decode_fixed(text, bytes, PUBLIC_KEY_BYTES) != OK) {
        if (hex_decode_fixed(text, bytes, sizeof bytes) != OK || bytes[0] != 4) {
            return false;
        }
        point = bytes + 1;
    }
    struct hash hash = keccak256(slice_of(point, PUBLIC_KEY_BYTES));
    memcpy(out->address.bytes, hash.bytes + HASH_BYTES - ADDRESS_BYTES, ADDRESS_BYTES);
    hex_encode_to(slice_of(point, PUBLIC_KEY_BYTES), out->name);
    return true;
}

static bool is_wanted(const struct relay_remote_options *options, const struct address *address)
{
    for (size_t i = 0; i < options->wanted_count; i++) {
        if (address_equal(&options->wanted[i], address)) {
            return true;
        }
    }
    return options->wanted_count == 0;
}

static enum err list_keys(const struct relay_remote *r, struct arena *arena,
                          const struct json **out, struct why *why)
{
    if (r->api == RELAY_REMOTE_TRANSACTION) {
        return call(r, arena, "eth_accounts", SLICE_LIT("[]"), out, why);
    }
    struct slice text = SLICE_EMPTY;
    enum err e = ask(r, arena, "GET", "/api/v1/eth1/publicKeys", SLICE_EMPTY, &text, why);
    if (e == OK && json_parse(arena, text, &json_limits_body, out, NULL) != OK) {
        e = not_understood(why);
    }
    return e;
}

static enum err take_keys(struct relay_remote *r, const struct relay_remote_options *options,
                          const struct json *list, struct why *why)
{
    if (list == NULL || list->type != JSON_ARRAY) {
        return not_understood(why);
    }
    for (const struct json *item = list->child; item != NULL; item = item->next) {
        struct remote_key key = {.remote = r};
        bool read = item->type == JSON_STRING &&
                    (r->api == RELAY_REMOTE_SIGN ? read_public_key(item->text, &key)
                                                 : address_parse(item->text, &key.address) == OK);
        if (!read) {
            return not_understood(why);
        }
        if (!is_wanted(options, &key.address)) {
            continue;
        }
        if (r->count == RELAY_REMOTE_MAX) {
            return why_set(why, ERR_LIMIT, NULL,
                           "the remote signer has more than %d keys: name the wanted ones",
                           RELAY_REMOTE_MAX);
        }
        r->keys[r->count++] = key;
    }
    return OK;
}

static enum err all_there(const struct relay_remote *r, const struct relay_remote_options *options,
                          struct why *why)
{
    if (r->count == 0 && options->wanted_count == 0) {
        return why_set(why, ERR_UNKNOWN_WALLET, NULL, "the remote signer has no keys");
    }
    for (size_t i = 0; i < options->wanted_count; i++) {
        bool found = false;
        for (size_t k = 0; k < r->count; k++) {
            found = found || address_equal(&options->wanted[i], &r->keys[k].address);
        }
        if (!found) {
            char text[ADDRESS_TEXT_MAX];
            address_format(&options->wanted[i], text);
            return why_set(why, ERR_UNKNOWN_WALLET, NULL,
                           "the remote signer does not have the key of %s", text);
        }
    }
    return OK;
}

enum err relay_remote_new(const struct relay_remote_options *options, struct relay_remote **out,
                          struct why *why)
{
    size_t len = strlen(options->url);
    if (len == 0 || len >= URL_BYTES_MAX) {
        return why_set(why, ERR_CONFIG, NULL, "the URL of the remote signer is empty or too long");
    }
    struct relay_remote *r = mem_alloc(sizeof *r);
    r->client = net_client_new();
    r->api = options->api;
    r->timeout_usec = options->timeout_usec;
    memcpy(r->url, options->url, len + 1);
    while (len > 0 && r->url[len - 1] == '/') {
        r->url[--len] = '\0';
    }
    struct arena scratch;
    arena_init(&scratch, 0);
    const struct json *list = NULL;
    enum err e = list_keys(r, &scratch, &list, why);
    if (e == OK) {
        e = take_keys(r, options, list, why);
    }
    if (e == OK) {
        e = all_there(r, options, why);
    }
    arena_free(&scratch);
    if (e != OK) {
        relay_remote_free(r);
        return e;
    }
    *out = r;
    return OK;
}

void relay_remote_free(struct relay_remote *remote)
{
    if (remote != NULL) {
        net_client_free(remote->client);
        mem_free(remote);
    }
}

size_t relay_remote_count(const struct relay_remote *remote)
{
    return remote->count;
}

struct relay_signer relay_remote_signer(struct relay_remote *remote, size_t i)
{
    ASSERT(i < remote->count);
    return (struct relay_signer){
        .address = remote->keys[i].address, .sign = sign, .ctx = &remote->keys[i]};
}
