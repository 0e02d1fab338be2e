/*
 * webhooks_api.c: endpoints of webhooks, registered and looked at by operators.
 */
#include "kernel/base/check.h"
#include "kernel/base/rand.h"
#include "kernel/webhooks/webhooks_internal.h"
#include "kernel/webhooks/webhooks_sql.h"

#define URL_BYTES_MAX 1000
#define EVENTS_MAX 32

enum { REGISTERED, ROTATED, DELETED, ACTION_COUNT };

static const struct audit_action actions[ACTION_COUNT] = {
    [REGISTERED] = {"webhooks.registered", "An endpoint of webhooks was registered."},
    [ROTATED] = {"webhooks.rotated", "An endpoint got a new secret."},
    [DELETED] = {"webhooks.deleted", "An endpoint was forgotten, with what it was told."},
};

struct audit_table webhooks_audit_table(void)
{
    return (struct audit_table){actions, ACTION_COUNT};
}

struct one {
    struct http_call *call;
    struct webhook_endpoint endpoint;
    store_fn change; /* what is done beside it, or NULL */
    const struct audit_action *action;
};

static enum err audit(struct store_tx *tx, const struct one *one, struct why *why)
{
    struct audit_entry entry = http_audit(one->call, one->action);
    entry.subject = slice_format(one->call->req, "webhook/%.*s", SLICE_ARG(one->endpoint.id));
    return audit_write(tx, &entry, why);
}

/* ---- writing ---- */

static void events_json(struct json_out *j, struct slice events)
{
    struct slice rest = events;
    json_begin_array(j);
    while (rest.len > 0) {
        struct slice name;
        (void)slice_cut(rest, ',', &name, &rest);
        json_string(j, name);
    }
    json_end_array(j);
}

/* The secret is told where it is made, and nowhere else. */
static void endpoint_json(const struct http_call *call, const struct webhook_endpoint *e,
                          bool with_secret)
{
    const struct webhooks *w = call->ctx;
    struct json_out *j = call->out;
    json_begin_object(j);
    json_key(j, "endpointId");
    json_string(j, e->id);
    json_key(j, "url");
    json_string(j, e->url);
    json_key(j, "events");
    events_json(j, e->events);
    json_key(j, "secretVersion");
    json_u64(j, e->secret_version);
    if (with_secret) {
        char secret[WEBHOOKS_SECRET_TEXT_MAX];
        webhooks_secret(w->config, e->id, e->secret_version, secret);
        json_key(j, "secret");
        json_text(j, secret);
        mem_wipe(secret, sizeof secret);
    }
    json_key(j, "createdAt");
    json_time(j, e->created_usec);
    json_end_object(j);
}

/* ---- registering ---- */

static enum err read_url(const struct http_call *call, struct slice *out, struct why *why)
{
    const struct webhooks *w = call->ctx;
    struct slice url;
    enum err e = json_get_text(call->json, "url", &url, why);
    if (e != OK) {
        return e;
    }
    bool secure = slice_starts(url, SLICE_LIT("https://"));
    bool plain = w->config->allow_private && slice_starts(url, SLICE_LIT("http://"));
    if ((!secure && !plain) || url.len > URL_BYTES_MAX || slice_find(url, ' ') >= 0) {
        return why_set(why, ERR_INVALID_FIELD, "url",
                       "url is an https URL of at most %d bytes (http, with "
                       "webhooks.allow_private)",
                       URL_BYTES_MAX);
    }
    *out = url;
    return OK;
}

static bool event_is_known(const struct webhooks *w, struct slice name)
{
    bool known = slice_equal_text(name, "*");
    for (size_t i = 0; !known && w->events[i] != NULL; i++) {
        known = slice_equal_text(name, w->events[i]);
    }
    return known;
}

static enum err read_events(const struct http_call *call, struct slice *out, struct why *why)
{
    const struct json *list = json_find(call->json, "events");
    struct buf text;
    size_t count = 0;
    if (list == NULL) {
        return why_set(why, ERR_MISSING_FIELD, "events", "events is required");
    }
    buf_init(&text, call->req, 256);
    for (const struct json *item = list->child; item != NULL; item = item->next) {
        if (list->type != JSON_ARRAY || item->type != JSON_STRING || ++count > EVENTS_MAX ||
            !event_is_known(call->ctx, item->text)) {
            count = 0;
            break;
        }
        buf_format(&text, "%s%.*s", count > 1 ? "," : "", SLICE_ARG(item->text));
    }
    if (count == 0) {
        return why_set(why, ERR_INVALID_FIELD, "events",
                       "events is a list of names of events, or [\"*\"]");
    }
    *out = buf_slice(&text);
    return OK;
}

static enum err insert(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct one *one = ctx;
    struct store_query q;
    store_begin(&q, tx, &webhooks_sql_endpoint_insert);
    store_bind_text(&q, "endpoint_id", one->endpoint.id);
    store_bind_text(&q, "url", one->endpoint.url);
    store_bind_text(&q, "events", one->endpoint.events);
    store_bind_time(&q, "now", one->endpoint.created_usec);
    enum err e = store_finish(&q, NULL, why);
    return e == OK ? audit(tx, one, why) : e;
}

static enum err endpoint_register(struct http_call *call, struct why *why)
{
    static const char *const members[] = {"url", "events", NULL};
    const struct webhooks *w = call->ctx;
    struct one one = {.call = call, .action = &actions[REGISTERED]};
    char id[RAND_ID_MAX];
    if (secret_len(&w->config->secret) == 0) {
        return why_set(why, ERR_CONFLICT, NULL,
                       "webhooks.secret is not configured: endpoints would have no secrets");
    }
    enum err e = json_only(call->json, members, why);
    if (e == OK) {
        e = read_url(call, &one.endpoint.url, why);
    }
    if (e == OK) {
        e = read_events(call, &one.endpoint.events, why);
    }
    if (e == OK) {
        rand_id("whe", id);
        one.endpoint.id = slice_text(id);
        one.endpoint.secret_version = 1;
        one.endpoint.created_usec = clock_wall_usec();
        e = store_write(w->store, insert, &one, why);
    }
    if (e == OK) {
        endpoint_json(call, &one.endpoint, true);
    }
    return e;
}

/* ---- one endpoint ---- */

static enum err get_and_change(struct store_tx *tx, void *ctx, struct why *why)
{
    struct one *one = ctx;
    struct slice id = http_param(one->call, "endpointId");
    enum err e = webhooks_endpoint_get(tx, one->call->req, id, &one->endpoint, why);
    return e == OK && one->change != NULL ? one->change(tx, one, why) : e;
}

static enum err endpoint_show(struct http_call *call, struct why *why)
{
    const struct webhooks *w = call->ctx;
    struct one one = {.call = call};
    enum err e = store_read(w->store, get_and_change, &one, why);
    if (e == OK) {
        endpoint_json(call, &one.endpoint, false);
    }
    return e;
}

static enum err rotate(struct store_tx *tx, void *ctx, struct why *why)
{
    struct one *one = ctx;
    struct store_query q;
    store_begin(&q, tx, &webhooks_sql_endpoint_rotate);
    store_bind_text(&q, "endpoint_id", one->endpoint.id);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, NULL, why);
    one->endpoint.secret_version++;
    return e == OK ? audit(tx, one, why) : e;
}

static enum err endpoint_rotate(struct http_call *call, struct why *why)
{
    const struct webhooks *w = call->ctx;
    struct one one = {.call = call, .change = rotate, .action = &actions[ROTATED]};
    enum err e = store_write(w->store, get_and_change, &one, why);
    if (e == OK) {
        endpoint_json(call, &one.endpoint, true);
    }
    return e;
}

static enum err run_by_endpoint(struct store_tx *tx, const struct store_statement *statement,
                                struct slice id, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, statement);
    store_bind_text(&q, "endpoint_id", id);
    return store_finish(&q, NULL, why);
}

static enum err forget(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct one *one = ctx;
    enum err e = run_by_endpoint(tx, &webhooks_sql_deliveries_delete, one->endpoint.id, why);
    if (e == OK) {
        e = run_by_endpoint(tx, &webhooks_sql_endpoint_delete, one->endpoint.id, why);
    }
    return e == OK ? audit(tx, one, why) : e;
}

static enum err endpoint_delete(struct http_call *call, struct why *why)
{
    const struct webhooks *w = call->ctx;
    struct one one = {.call = call, .change = forget, .action = &actions[DELETED]};
    enum err e = store_write(w->store, get_and_change, &one, why);
    if (e == OK) {
        endpoint_json(call, &one.endpoint, false);
    }
    return e;
}

static enum err emit_test(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct one *one = ctx;
    return webhooks_emit_to(
        tx, one->call->req, &one->endpoint, "webhook.test",
        slice_format(one->call->req, "webhook/%.*s", SLICE_ARG(one->endpoint.id)), SLICE_LIT("{}"),
        why);
}

/* A delivery of its own, whatever events the endpoint wants. */
static enum err endpoint_test(struct http_call *call, struct why *why)
{
    const struct webhooks *w = call->ctx;
    struct one one = {.call = call, .change = emit_test};
    enum err e = store_write(w->store, get_and_change, &one, why);
    if (e == OK) {
        endpoint_json(call, &one.endpoint, false);
    }
    return e;
}

/* ---- lists ---- */

struct list {
    struct http_call *call;
    struct webhook_endpoint *endpoints;
    size_t count;
};

static enum err read_all(struct store_tx *tx, void *ctx, struct why *why)
{
    struct list *l = ctx;
    return webhooks_endpoints(tx, l->call->req, &l->endpoints, &l->count, why);
}

static enum err endpoints_index(struct http_call *call, struct why *why)
{
    const struct webhooks *w = call->ctx;
    struct list l = {.call = call};
    enum err e = store_read(w->store, read_all, &l, why);
    if (e == OK) {
        json_begin_array(call->out);
        for (size_t i = 0; i < l.count; i++) {
            endpoint_json(call, &l.endpoints[i], false);
        }
        json_end_array(call->out);
    }
    return e;
}

static const char *state_text(enum webhook_state state)
{
    switch (state) {
    case WEBHOOK_WAITING:
        return "waiting";
    case WEBHOOK_DELIVERED:
        return "delivered";
    case WEBHOOK_DEAD:
        return "dead";
    }
    return "unknown";
}

struct deliveries {
    struct http_call *call;
    struct slice endpoint_id;
    enum webhook_state state; /* 0: any */
    uint64_t below;
    uint32_t limit;
    struct buf text;
    uint32_t count;
};

static void delivery_json(struct json_out *j, struct store_query *q, struct arena *req)
{
    json_begin_object(j);
    json_key(j, "deliveryId");
    json_string(j, store_get_text(q, "delivery_id", req));
    json_key(j, "event");
    json_string(j, store_get_text(q, "event", req));
    json_key(j, "subject");
    json_string(j, store_get_text(q, "subject", req));
    json_key(j, "state");
    json_text(j, state_text((enum webhook_state)store_get_i64(q, "state")));
    json_key(j, "attempts");
    json_i64(j, store_get_i64(q, "attempts"));
    json_key(j, "status");
    if (store_is_null(q, "status")) {
        json_null(j);
        store_ignore(q, "status");
    } else {
        json_i64(j, store_get_i64(q, "status"));
    }
    struct slice error = store_get_text(q, "error", req);
    if (error.len > 0) {
        json_key(j, "error");
        json_string(j, error);
    }
    json_key(j, "createdAt");
    json_time(j, store_get_time(q, "created_at"));
    int64_t tried = store_get_time(q, "tried_at");
    if (tried > 0) {
        json_key(j, "triedAt");
        json_time(j, tried);
    }
    json_end_object(j);
}

/* In a buffer of its own, because a reading function may run again. */
static enum err read_deliveries(struct store_tx *tx, void *ctx, struct why *why)
{
    struct deliveries *d = ctx;
    struct webhook_endpoint endpoint;
    struct json_out j;
    enum err e = webhooks_endpoint_get(tx, d->call->req, d->endpoint_id, &endpoint, why);
    if (e != OK) {
        return e;
    }
    buf_init(&d->text, d->call->req, 4096);
    json_out_init(&j, &d->text);
    d->count = 0;
    struct store_query q;
    store_begin(&q, tx, &webhooks_sql_deliveries_list);
    store_bind_text(&q, "endpoint_id", d->endpoint_id);
    store_bind_i64(&q, "state", (int64_t)d->state);
    store_bind_i64(&q, "below_seq", (int64_t)d->below);
    store_bind_i64(&q, "max_rows", d->limit);
    json_begin_array(&j);
    while (store_step(&q)) {
        d->below = (uint64_t)store_get_i64(&q, "seq");
        delivery_json(&j, &q, d->call->req);
        d->count++;
    }
    json_end_array(&j);
    return store_finish(&q, NULL, why);
}

static enum err read_state(const struct http_call *call, enum webhook_state *out, struct why *why)
{
    bool found = false;
    struct slice text = http_query(call, "state", &found);
    for (int s = WEBHOOK_WAITING; found && s <= WEBHOOK_DEAD; s++) {
        if (slice_equal_text(text, state_text((enum webhook_state)s))) {
            *out = (enum webhook_state)s;
            return OK;
        }
    }
    return found ? why_set(why, ERR_INVALID_FIELD, "state",
                           "state is one of waiting, delivered, dead")
                 : OK;
}

static enum err deliveries_index(struct http_call *call, struct why *why)
{
    const struct webhooks *w = call->ctx;
    struct http_page page;
    struct deliveries d = {
        .call = call, .endpoint_id = http_param(call, "endpointId"), .below = INT64_MAX};
    enum err e = http_page_read(call, &page, why);
    if (e == OK &&
        (page.offset > 0 || (page.cursor.len > 0 && (slice_parse_u64(page.cursor, &d.below) != OK ||
                                                     d.below > INT64_MAX)))) {
        e = why_set(why, ERR_INVALID_FIELD, page.offset > 0 ? "offset" : "cursor",
                    "Deliveries are paged by the cursor of this list.");
    }
    if (e == OK) {
        e = read_state(call, &d.state, why);
    }
    if (e == OK) {
        d.limit = page.limit;
        e = store_read(w->store, read_deliveries, &d, why);
    }
    if (e != OK) {
        return e;
    }
    json_raw(call->out, buf_slice(&d.text));
    if (d.count == page.limit) {
        http_cursor_set(call, slice_format(call->req, "%llu", (unsigned long long)d.below));
    }
    return OK;
}

/* ---- the table ---- */

#define ENDPOINT                                                                                   \
    "\"type\":\"object\",\"required\":[\"endpointId\",\"url\",\"events\",\"secretVersion\","       \
    "\"createdAt\"],\"properties\":{\"endpointId\":{\"type\":\"string\"},"                         \
    "\"url\":{\"type\":\"string\"},\"secretVersion\":{\"type\":\"integer\"},"                      \
    "\"events\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"                             \
    "\"secret\":{\"type\":\"string\"},"                                                            \
    "\"createdAt\":{\"type\":\"string\",\"format\":\"date-time\"}}"

static const char endpoint_schema[] = "{" ENDPOINT "}";
static const char endpoints_schema[] = "{\"type\":\"array\",\"items\":{" ENDPOINT "}}";
static const char body_schema[] =
    "{\"type\":\"object\",\"required\":[\"url\",\"events\"],\"properties\":{\"url\":{\"type\":"
    "\"string\",\"maxLength\":1000},\"events\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":32,"
    "\"items\":{\"type\":\"string\"}}},\"additionalProperties\":false}";
static const char deliveries_schema[] =
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"deliveryId\",\"event\","
    "\"subject\",\"state\",\"attempts\",\"status\",\"createdAt\"],\"properties\":{"
    "\"deliveryId\":{\"type\":\"string\"},\"event\":{\"type\":\"string\"},"
    "\"subject\":{\"type\":\"string\"},\"attempts\":{\"type\":\"integer\"},"
    "\"status\":{\"type\":[\"integer\",\"null\"]},\"error\":{\"type\":\"string\"},"
    "\"createdAt\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"triedAt\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"state\":{\"enum\":[\"waiting\",\"delivered\",\"dead\"]}}}}";

static const char *const deliveries_keys[] = {"state", NULL};
static const enum err operator_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, OK};
static const enum err one_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_NOT_FOUND, OK};
static const enum err register_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_CONFLICT, OK};

#define ROUTE(method_, path_, handler_, flags_, operation_, summary_, errors_)                     \
    .method = method_, .path = path_, .handler = handler_, .flags = HTTP_OPERATOR | (flags_),      \
    .tag = "webhooks", .operation = operation_, .summary = summary_, .errors = errors_

static const struct http_query_doc query_docs[] = {
    {"state", "{\"enum\":[\"waiting\",\"delivered\",\"dead\"]}", "Only those in this state."},
    {NULL, NULL, NULL},
};

static const struct http_route routes[] = {
    {ROUTE(HTTP_GET, "/api/v1/webhooks", endpoints_index, 0, "listWebhooks",
           "Endpoints that are told what happens.", operator_errors),
     .reply_schema = endpoints_schema, .reply_status = 200},
    {ROUTE(HTTP_POST, "/api/v1/webhooks", endpoint_register, HTTP_JSON_BODY, "registerWebhook",
           "Registers an endpoint; the answer has its secret, which is not shown again.",
           register_errors),
     .secret = true, .body_schema = body_schema, .reply_schema = endpoint_schema,
     .reply_status = 201},
    {ROUTE(HTTP_GET, "/api/v1/webhooks/{endpointId}", endpoint_show, 0, "getWebhook",
           "One endpoint.", one_errors),
     .reply_schema = endpoint_schema, .reply_status = 200},
    {ROUTE(HTTP_DELETE, "/api/v1/webhooks/{endpointId}", endpoint_delete, 0, "deleteWebhook",
           "Forgets an endpoint, and what it was told.", one_errors),
     .reply_schema = endpoint_schema, .reply_status = 200},
    {ROUTE(HTTP_POST, "/api/v1/webhooks/{endpointId}/rotate", endpoint_rotate, 0, "rotateWebhook",
           "Makes a new secret; the one before signs as well for a day.", one_errors),
     .secret = true, .reply_schema = endpoint_schema, .reply_status = 200},
    {ROUTE(HTTP_POST, "/api/v1/webhooks/{endpointId}/test", endpoint_test, 0, "testWebhook",
           "Sends the endpoint an event of its own (webhook.test).", one_errors),
     .reply_schema = endpoint_schema, .reply_status = 200},
    {ROUTE(HTTP_GET, "/api/v1/webhooks/{endpointId}/deliveries", deliveries_index, HTTP_LIST,
           "listDeliveries", "What an endpoint was told, newest first.", one_errors),
     .query_keys = deliveries_keys, .reply_schema = deliveries_schema, .reply_status = 200},
};

struct http_table webhooks_http_table(struct webhooks *webhooks)
{
    return (struct http_table){
        .routes = routes,
        .count = sizeof routes / sizeof routes[0],
        .ctx = webhooks,
        .query_docs = query_docs,
    };
}
