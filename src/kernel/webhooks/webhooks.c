#include "kernel/webhooks/webhooks.h"

#include <pthread.h>

#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/rand.h"
#include "kernel/crypto/hash.h"
#include "kernel/webhooks/webhooks_internal.h"
#include "kernel/webhooks/webhooks_sql.h"

const struct config_row webhooks_config_rows[] = {
    {.key = "webhooks.secret",
     .type = CONFIG_SECRET,
     .offset = offsetof(struct webhooks_config, secret),
     .doc = "Of this the secrets of webhook endpoints are derived; without it none can be "
            "registered. Changing it changes them all."},
    {.key = "webhooks.timeout",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct webhooks_config, timeout_usec),
     .default_ = "10s",
     .min = 100000,
     .max = 60000000,
     .doc = "How long an endpoint may take to answer."},
    {.key = "webhooks.allow_private",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct webhooks_config, allow_private),
     .default_ = "false",
     .doc = "Whether endpoints may be on this machine or in private networks."},
};
const size_t webhooks_config_row_count =
    sizeof(webhooks_config_rows) / sizeof(webhooks_config_rows[0]);

static const struct metric_row rows[WEBHOOKS_METRIC_COUNT] = {
    [WEBHOOKS_METRIC_EMITTED] = {"freehold_webhooks_emitted_total", METRIC_COUNTER,
                                 "Deliveries that were written.", NULL},
    [WEBHOOKS_METRIC_DELIVERED] = {"freehold_webhooks_delivered_total", METRIC_COUNTER,
                                   "Deliveries that an endpoint took.", NULL},
    [WEBHOOKS_METRIC_FAILED] = {"freehold_webhooks_failed_total", METRIC_COUNTER,
                                "Attempts that failed.", NULL},
    [WEBHOOKS_METRIC_DEAD] = {"freehold_webhooks_dead_total", METRIC_COUNTER,
                              "Deliveries that were given up.", NULL},
};

struct metric_value webhooks_metrics[WEBHOOKS_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(rows, webhooks_metrics, WEBHOOKS_METRIC_COUNT);
}

void webhooks_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}

void webhooks_init(struct webhooks *webhooks, const struct webhooks_config *config,
                   struct store *store, const char *const *events)
{
    webhooks_metrics_register();
    *webhooks = (struct webhooks){
        .config = config, .store = store, .client = net_client_new(), .events = events};
}

void webhooks_clear(struct webhooks *webhooks)
{
    net_client_free(webhooks->client);
    webhooks->client = NULL;
}

/* ---- secrets ---- */

void webhooks_secret(const struct webhooks_config *config, struct slice endpoint_id,
                     uint64_t version, char out[WEBHOOKS_SECRET_TEXT_MAX])
{
    char name[160];
    char digits[2 * HASH_BYTES + 3];
    int len = snprintf(name, sizeof name, "freehold webhook/%.*s/%llu", SLICE_ARG(endpoint_id),
                       (unsigned long long)version);
    ASSERT(len > 0 && (size_t)len < sizeof name);
    struct slice key = slice_of(secret_bytes(&config->secret), secret_len(&config->secret));
    struct hash derived = hmac_sha256(key, slice_text(name));
    hex_encode_to(hash_slice(&derived), digits);
    (void)snprintf(out, WEBHOOKS_SECRET_TEXT_MAX, "whsec_%s", digits + 2);
}

static void sign(const char *secret, struct slice message, char out[2 * HASH_BYTES + 3])
{
    struct hash mac = hmac_sha256(slice_text(secret), message);
    hex_encode_to(hash_slice(&mac), out);
}

void webhooks_signature(const char *secret, const char *before, int64_t now_sec, struct slice body,
                        char out[WEBHOOKS_SIGNATURE_TEXT_MAX])
{
    struct arena scratch;
    struct buf message;
    char first[2 * HASH_BYTES + 3];
    char second[2 * HASH_BYTES + 3];
    arena_init(&scratch, 0);
    buf_init(&message, &scratch, body.len + 32);
    buf_format(&message, "%lld.", (long long)now_sec);
    buf_add_slice(&message, body);
    sign(secret, buf_slice(&message), first);
    int len =
        snprintf(out, WEBHOOKS_SIGNATURE_TEXT_MAX, "t=%lld,v1=%s", (long long)now_sec, first + 2);
    if (before != NULL) {
        sign(before, buf_slice(&message), second);
        (void)snprintf(out + len, WEBHOOKS_SIGNATURE_TEXT_MAX - (size_t)len, ",v1=%s", second + 2);
    }
    arena_free(&scratch);
}

/* ---- rows ---- */

void webhooks_endpoint_take(struct store_query *q, struct arena *arena,
                            struct webhook_endpoint *out)
{
    out->id = store_get_text(q, "endpoint_id", arena);
    out->url = store_get_text(q, "url", arena);
    out->events = store_get_text(q, "events", arena);
    out->secret_version = (uint64_t)store_get_i64(q, "secret_version");
    out->rotated_usec = store_get_time(q, "rotated_at");
    out->created_usec = store_get_time(q, "created_at");
}

enum err webhooks_endpoint_get(struct store_tx *tx, struct arena *arena, struct slice id,
                               struct webhook_endpoint *out, struct why *why)
{
    struct webhook_endpoint found = {.secret_version = 0};
    struct store_query q;
    store_begin(&q, tx, &webhooks_sql_endpoint_get);
    store_bind_text(&q, "endpoint_id", id);
    if (store_step(&q)) {
        webhooks_endpoint_take(&q, arena, &found);
    }
    enum err e = store_finish_one(&q, "endpoint", why);
    if (e == OK) {
        *out = found;
    }
    return e;
}

enum err webhooks_endpoints(struct store_tx *tx, struct arena *arena, struct webhook_endpoint **out,
                            size_t *out_count, struct why *why)
{
    size_t cap = 8;
    size_t count = 0;
    struct webhook_endpoint *list = arena_alloc_array(arena, cap, sizeof *list);
    struct store_query q;
    store_begin(&q, tx, &webhooks_sql_endpoints_list);
    while (store_step(&q)) {
        if (count == cap) {
            struct webhook_endpoint *grown = arena_alloc_array(arena, cap * 2, sizeof *grown);
            memcpy(grown, list, cap * sizeof *grown);
            list = grown;
            cap *= 2;
        }
        webhooks_endpoint_take(&q, arena, &list[count++]);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = list;
        *out_count = count;
    }
    return e;
}

bool webhooks_wants(struct slice events, struct slice event)
{
    struct slice rest = events;
    while (rest.len > 0) {
        struct slice name;
        (void)slice_cut(rest, ',', &name, &rest);
        if (slice_equal_text(name, "*") || slice_equal(name, event)) {
            return true;
        }
    }
    return false;
}

/* ---- emitting ---- */

static struct slice make_body(struct arena *arena, const char *id, const char *event,
                              struct slice subject, struct slice data)
{
    struct buf text;
    struct json_out j;
    buf_init(&text, arena, data.len + 256);
    json_out_init(&j, &text);
    json_begin_object(&j);
    json_key(&j, "id");
    json_text(&j, id);
    json_key(&j, "event");
    json_text(&j, event);
    json_key(&j, "subject");
    json_string(&j, subject);
    json_key(&j, "createdAt");
    json_time(&j, clock_wall_usec());
    json_key(&j, "data");
    json_raw(&j, data);
    json_end_object(&j);
    return buf_slice(&text);
}

enum err webhooks_emit_to(struct store_tx *tx, struct arena *arena,
                          const struct webhook_endpoint *endpoint, const char *event,
                          struct slice subject, struct slice data, struct why *why)
{
    char id[RAND_ID_MAX];
    struct store_query q;
    rand_id("whd", id);
    store_begin(&q, tx, &webhooks_sql_delivery_insert);
    store_bind_text(&q, "delivery_id", slice_text(id));
    store_bind_text(&q, "endpoint_id", endpoint->id);
    store_bind_text(&q, "event", slice_text(event));
    store_bind_text(&q, "subject", subject);
    store_bind_bytes(&q, "body", make_body(arena, id, event, subject, data));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    const struct job_new job = {
        .kind = "webhooks.deliver",
        .order_key =
            slice_format(arena, "webhook/%.*s/%.*s", SLICE_ARG(endpoint->id), SLICE_ARG(subject)),
        .payload = slice_format(arena, "{\"delivery\":\"%s\"}", id),
    };
    metric_add(&webhooks_metrics[WEBHOOKS_METRIC_EMITTED], 1);
    return jobs_enqueue(tx, &job, NULL, why);
}

static enum err emit_one(struct store_tx *tx, struct arena *arena,
                         const struct webhook_endpoint *endpoints, size_t count,
                         const struct webhooks_event *event, struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        if (webhooks_wants(endpoints[i].events, slice_text(event->name))) {
            e = webhooks_emit_to(tx, arena, &endpoints[i], event->name, event->subject, event->data,
                                 why);
        }
    }
    return e;
}

enum err webhooks_emit(struct store_tx *tx, const struct webhooks_event *events, size_t count,
                       struct why *why)
{
    struct arena scratch;
    struct webhook_endpoint *endpoints = NULL;
    size_t endpoint_count = 0;
    arena_init(&scratch, 0);
    enum err e = webhooks_endpoints(tx, &scratch, &endpoints, &endpoint_count, why);
    for (size_t i = 0; e == OK && endpoint_count > 0 && i < count; i++) {
        e = emit_one(tx, &scratch, endpoints, endpoint_count, &events[i], why);
    }
    arena_free(&scratch);
    return e;
}
