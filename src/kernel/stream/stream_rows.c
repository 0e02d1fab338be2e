/*
 * stream_rows.c: rows as what is told of them. How a row looks follows from the columns of its
 * topic's statements, so that a topic needs no code.
 */
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/json.h"
#include "kernel/base/log.h"
#include "kernel/stream/stream_internal.h"

#define NAME_MAX_BYTES 64
#define FIXED_MAX 32
#define ADDRESS_LEN 20
#define HASH_LEN 32
#define PARTS_MAX 8

/* "onchain_asset_id" is told as "onchainAssetId". */
static void camel_case(const char *name, char out[NAME_MAX_BYTES])
{
    size_t len = 0;
    bool upper = false;
    for (; *name != '\0'; name++) {
        ASSERT(len + 1 < NAME_MAX_BYTES);
        if (*name == '_') {
            upper = true;
            continue;
        }
        out[len++] = upper ? (char)(*name - 'a' + 'A') : *name;
        upper = false;
    }
    out[len] = '\0';
}

static void value_json(struct store_query *q, const struct store_column *c, struct arena *arena,
                       struct json_out *j)
{
    uint8_t fixed[FIXED_MAX];
    if (c->nullable && store_is_null(q, c->name)) {
        json_null(j);
        return;
    }
    switch (c->type) {
    case STORE_I64:
        json_i64(j, store_get_i64(q, c->name));
        return;
    case STORE_BOOL:
        json_bool(j, store_get_bool(q, c->name));
        return;
    case STORE_TEXT:
        json_string(j, store_get_text(q, c->name, arena));
        return;
    case STORE_JSON: /* may have line ends, which a stream of events does not take */
        check_failed("a topic tells no JSON", __FILE__, __LINE__);
    case STORE_BYTES:
        json_hex(j, store_get_bytes(q, c->name, arena));
        return;
    case STORE_HASH:
    case STORE_ADDRESS: {
        size_t len = c->type == STORE_HASH ? HASH_LEN : ADDRESS_LEN;
        store_get_fixed(q, c->name, fixed, len);
        json_hex(j, slice_of(fixed, len));
        return;
    }
    case STORE_U256:
        json_u256(j, store_get_u256(q, c->name));
        return;
    case STORE_TIME:
        json_time(j, store_get_time(q, c->name));
        return;
    }
}

void stream_row_json(struct store_query *q, struct arena *arena, struct json_out *j)
{
    const struct store_statement *s = q->statement;
    char name[NAME_MAX_BYTES];
    json_begin_object(j);
    for (uint16_t i = 0; i < s->column_count; i++) {
        camel_case(s->columns[i].name, name);
        json_key(j, name);
        value_json(q, &s->columns[i], arena, j);
    }
    json_end_object(j);
}

/* ---- keys ---- */

struct part {
    int64_t number;
    struct u256 wide;
    struct slice bytes;
};

static bool read_part(const struct store_column *p, struct arena *arena, struct slice text,
                      struct part *out)
{
    out->bytes = text;
    switch (p->type) {
    case STORE_I64:
        return slice_parse_i64(text, &out->number) == OK;
    case STORE_U256:
        return u256_parse(text, &out->wide) == OK;
    case STORE_ADDRESS:
        return hex_decode(arena, text, &out->bytes) == OK && out->bytes.len == ADDRESS_LEN;
    case STORE_TEXT:
        return true;
    case STORE_BOOL:
    case STORE_JSON:
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_TIME:
        break;
    }
    return false;
}

static bool read_key(const struct store_statement *s, struct arena *arena, struct slice key,
                     struct part parts[])
{
    bool good = true;
    for (uint16_t i = 0; good && i < s->param_count; i++) {
        struct slice text = key;
        good = i + 1 == s->param_count || slice_cut(key, '/', &text, &key);
        good = good && read_part(&s->params[i], arena, text, &parts[i]);
    }
    return good;
}

static void bind_part(struct store_query *q, const struct store_column *p, const struct part *part)
{
    if (p->type == STORE_I64) {
        store_bind_i64(q, p->name, part->number);
    } else if (p->type == STORE_U256) {
        store_bind_u256(q, p->name, part->wide);
    } else if (p->type == STORE_ADDRESS) {
        store_bind_bytes(q, p->name, part->bytes);
    } else {
        store_bind_text(q, p->name, part->bytes);
    }
}

enum err stream_row_find(struct store_tx *tx, struct arena *arena, const struct stream_topic *topic,
                         struct slice key, struct json_out *j, struct why *why)
{
    const struct store_statement *s = topic->one;
    struct part parts[PARTS_MAX];
    struct store_query q;
    ASSERT(s->param_count > 0 && s->param_count <= PARTS_MAX);
    if (!read_key(s, arena, key, parts)) {
        /* A trigger and its topic differ. What others are told must not wait for that. */
        LOG(LOG_ERROR, "stream.key_unreadable", log_text("topic", topic->name),
            log_slice("key", key));
        json_null(j);
        return OK;
    }
    store_begin(&q, tx, s);
    for (uint16_t i = 0; i < s->param_count; i++) {
        bind_part(&q, &s->params[i], &parts[i]);
    }
    if (store_step(&q)) {
        stream_row_json(&q, arena, j);
    } else {
        json_null(j);
    }
    return store_finish(&q, NULL, why);
}

static void add_part(struct store_query *q, const struct store_column *p, struct arena *arena,
                     struct buf *out)
{
    uint8_t address[ADDRESS_LEN];
    char digits[U256_TEXT_MAX];
    if (p->type == STORE_I64) {
        buf_add_i64(out, store_get_i64(q, p->name));
    } else if (p->type == STORE_U256) {
        u256_format(store_get_u256(q, p->name), digits);
        buf_add_text(out, digits);
    } else if (p->type == STORE_ADDRESS) {
        store_get_fixed(q, p->name, address, sizeof address);
        buf_add_text(out, "0x");
        buf_add_hex(out, slice_of(address, sizeof address));
    } else {
        buf_add_slice(out, store_get_text(q, p->name, arena));
    }
}

static struct slice row_key(struct store_query *q, const struct stream_topic *topic,
                            struct arena *arena)
{
    struct buf key;
    buf_init(&key, arena, 128);
    for (uint16_t i = 0; i < topic->one->param_count; i++) {
        buf_add_text(&key, i > 0 ? "/" : "");
        add_part(q, &topic->one->params[i], arena, &key);
    }
    return buf_slice(&key);
}

enum err stream_rows_json(struct store_tx *tx, struct arena *arena,
                          const struct stream_topic *topic, uint64_t rows_max, struct json_out *j,
                          bool *out_complete, struct why *why)
{
    struct store_query q;
    uint64_t count = 0;
    bool more = false;
    json_begin_array(j);
    store_begin(&q, tx, topic->rows);
    store_bind_i64(&q, "max_rows", (int64_t)rows_max + 1);
    while (store_step(&q)) {
        if (count++ == rows_max) {
            more = true;
            for (uint16_t i = 0; i < q.statement->column_count; i++) {
                store_ignore(&q, q.statement->columns[i].name);
            }
            continue;
        }
        json_begin_object(j);
        json_key(j, "key");
        json_string(j, row_key(&q, topic, arena));
        json_key(j, "row");
        stream_row_json(&q, arena, j);
        json_end_object(j);
    }
    json_end_array(j);
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_complete = !more;
    }
    return e;
}
