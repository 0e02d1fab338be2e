#include <stdarg.h>

#include "app/demo.h"
#include "kernel/base/check.h"
#include "kernel/base/hex.h"

#define REQUEST_USEC_MAX (60 * (int64_t)USEC_PER_SEC)
#define ANSWER_BYTES_MAX (4UL * 1024 * 1024)

static enum err take_answer(struct demo *demo, const struct net_answer *answer,
                            const struct json **out, struct why *why)
{
    const struct json *v = NULL;
    enum err e = json_parse(&demo->arena, answer->body, &json_limits_body, &v, why);
    if (e != OK) {
        return why_set(why, ERR_UPSTREAM, NULL, "the API answered %d with something else than JSON",
                       answer->status);
    }
    const struct json *data = json_find(v, "data");
    if (answer->status < 300 && data != NULL) {
        *out = data;
        return OK;
    }
    const struct json *code = json_find(v, "code");
    const struct json *error = json_find(v, "error");
    enum err named = code != NULL ? err_find(slice_cstr(&demo->arena, code->text)) : ERR_COUNT;
    return why_set(why, named != ERR_COUNT ? named : ERR_UPSTREAM, NULL,
                   "the API answered %d: %.*s", answer->status,
                   SLICE_ARG(error != NULL ? error->text : SLICE_EMPTY));
}

static enum err run(struct demo *demo, const char *method, struct slice path, struct slice body,
                    struct slice payment, const struct json **out, struct why *why)
{
    const struct net_header headers[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("application/json")},
        {SLICE_LIT("PAYMENT-SIGNATURE"), payment},
    };
    struct slice url = slice_format(&demo->arena, "%s%.*s", demo->url, SLICE_ARG(path));
    const struct net_request request = {
        .method = method,
        .url = slice_cstr(&demo->arena, url),
        .headers = headers,
        .header_count = payment.len > 0 ? 2
                        : body.len > 0  ? 1
                                        : 0,
        .body = body,
        .timeout_usec = REQUEST_USEC_MAX,
        .answer_bytes_max = ANSWER_BYTES_MAX,
    };
    struct net_answer answer;
    enum err e = net_request_run(demo->http, &demo->arena, &request, &answer, why);
    return e == OK ? take_answer(demo, &answer, out, why) : e;
}

enum err demo_post(struct demo *demo, struct slice path, struct slice body, const struct json **out,
                   struct why *why)
{
    return run(demo, "POST", path, body.len > 0 ? body : SLICE_LIT("{}"), SLICE_EMPTY, out, why);
}

enum err demo_post_paid(struct demo *demo, struct slice path, struct slice payment,
                        const struct json **out, struct why *why)
{
    return run(demo, "POST", path, SLICE_LIT("{}"), payment, out, why);
}

enum err demo_get(struct demo *demo, struct slice path, const struct json **out, struct why *why)
{
    return run(demo, "GET", path, SLICE_EMPTY, SLICE_EMPTY, out, why);
}

const struct json *demo_at(const struct json *v, const char *path)
{
    struct slice rest = slice_text(path);
    while (v != NULL && rest.len > 0) {
        char key[64];
        struct slice name;
        (void)slice_cut(rest, '.', &name, &rest);
        (void)snprintf(key, sizeof key, "%.*s", SLICE_ARG(name));
        v = json_find(v, key);
    }
    return v;
}

enum err demo_note_relayed(struct demo *demo, const struct json *answer, const char *path,
                           struct why *why)
{
    const struct json *id_value = demo_at(answer, path);
    const struct json *tx = NULL;
    struct slice state = SLICE_EMPTY;
    struct demo_tx noted = {0};
    enum err e = demo_expect(id_value != NULL && id_value->type == JSON_STRING, why,
                             "the API did not name the transaction (%s)", path);
    struct slice id = id_value != NULL ? id_value->text : SLICE_EMPTY;
    if (e == OK) {
        e = demo_get(demo, slice_format(&demo->arena, "/api/v1/transactions/%.*s", SLICE_ARG(id)),
                     &tx, why);
    }
    if (e == OK) {
        e = json_get_text(tx, "state", &state, why);
    }
    if (e == OK) {
        const struct json *error = json_find(tx, "error");
        e = demo_expect(slice_equal_text(state, "mined"), why, "transaction %.*s is %.*s%s%.*s",
                        SLICE_ARG(id), SLICE_ARG(state), error != NULL ? ": " : "",
                        SLICE_ARG(error != NULL ? error->text : SLICE_EMPTY));
    }
    if (e == OK) {
        e = json_get_hash(tx, "transactionHash", &noted.hash, why);
    }
    if (e == OK) {
        e = json_get_u64(tx, "gasUsed", &noted.gas_used, why);
    }
    if (e == OK) {
        e = json_get_text(tx, "purpose", &noted.purpose, why);
    }
    if (e == OK) {
        ASSERT(demo->note->tx_count < DEMO_TXS_MAX);
        demo->note->txs[demo->note->tx_count++] = noted;
    }
    return e;
}

void demo_fact(struct demo *demo, const char *key, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ASSERT(demo->note->fact_count < DEMO_FACTS_MAX);
    demo->note->facts[demo->note->fact_count++] =
        (struct demo_fact){key, slice_copy(&demo->arena, slice_text(text))};
}

enum err demo_expect(bool holds, struct why *why, const char *format, ...)
{
    if (holds) {
        return OK;
    }
    char text[WHY_TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return why_set(why, ERR_CORRUPT, NULL, "check failed: %s", text);
}

struct slice demo_usdc(struct demo *demo, struct u256 units)
{
    char text[U256_TEXT_MAX + 2];
    (void)u256_format_units(units, STABLE_DECIMALS, text);
    return slice_format(&demo->arena, "%s USDC", text);
}

struct slice demo_tokens(struct demo *demo, struct u256 units)
{
    char text[U256_TEXT_MAX + 2];
    (void)u256_format_units(units, TOKEN_DECIMALS, text);
    return slice_copy(&demo->arena, slice_text(text));
}

struct slice demo_address(struct demo *demo, const struct address *a)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(a, text);
    return slice_copy(&demo->arena, slice_text(text));
}

struct slice demo_hash(struct demo *demo, const struct hash *h)
{
    return hex_encode(&demo->arena, hash_slice(h));
}
