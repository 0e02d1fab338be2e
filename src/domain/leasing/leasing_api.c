#include "domain/leasing/leasing_api.h"

#include "kernel/base/check.h"
#include "kernel/base/hex.h"

#define WAIT_SEC_MAX 30
/* How often rows are looked at when a signal was missed. */
#define LOOK_USEC 100000
/* The largest integer that every JSON reader keeps exactly. */
#define JSON_INTEGER_MAX ((UINT64_C(1) << 53) - 1)

const struct leasing_tx_names leasing_tx_main = {"intent_id", "tx_state", "tx_hash", "tx_code",
                                                 "tx_error"};
const struct leasing_tx_names leasing_tx_action = {"action_intent_id", "action_state",
                                                   "action_hash", "action_code", "action_error"};

/* ---- transactions ---- */

void leasing_tx_read(struct store_query *q, const struct leasing_tx_names *names,
                     struct arena *arena, struct leasing_tx *out)
{
    *out = (struct leasing_tx){.id = SLICE_EMPTY};
    out->id = store_get_text(q, names->id, arena);
    out->known = !store_is_null(q, names->state);
    out->state = (enum relay_state)store_get_i64(q, names->state);
    out->has_hash = !store_is_null(q, names->hash);
    store_get_fixed(q, names->hash, out->hash.bytes, HASH_BYTES);
    out->code = store_get_text(q, names->code, arena);
    out->error = store_get_text(q, names->error, arena);
}

bool leasing_tx_is_open(const struct leasing_tx *tx)
{
    return tx->known && tx->state <= RELAY_SENT;
}

bool leasing_tx_is_dead(const struct leasing_tx *tx)
{
    return tx->known && tx->state >= RELAY_REVERTED;
}

void leasing_tx_json(struct json_out *j, const struct leasing_tx *tx)
{
    if (!tx->known) {
        json_null(j);
        return;
    }
    json_begin_object(j);
    json_key(j, "transactionId");
    json_string(j, tx->id);
    json_key(j, "state");
    json_text(j, relay_state_text(tx->state));
    json_key(j, "transactionHash");
    if (tx->has_hash) {
        json_hex(j, hash_slice(&tx->hash));
    } else {
        json_null(j);
    }
    if (tx->code.len > 0) {
        json_key(j, "error");
        json_string(j, tx->error);
        json_key(j, "code");
        json_string(j, tx->code);
    }
    json_end_object(j);
}

enum err leasing_effect_submit(struct store_tx *tx, struct arena *arena, const struct leasing *l,
                               const struct leasing_effect *effect, struct slice previous,
                               struct slice *out_id, struct why *why)
{
    const struct relay_intent intent = {
        .key = previous.len > 0 ? slice_format(arena, "%.*s/after/%.*s", SLICE_ARG(effect->key),
                                               SLICE_ARG(previous))
                                : effect->key,
        .chain_id = l->chain_id,
        .wallet = effect->wallet,
        .pooled = effect->pooled,
        .has_to = true,
        .to = effect->to,
        .value = wei_of(U256_ZERO),
        .data = effect->data,
        .role = effect->role,
        .purpose = effect->purpose,
        .after = effect->after,
        .deadline_usec = effect->deadline_usec,
    };
    return relay_submit(tx, arena, &intent, out_id, why);
}

enum err leasing_effect_tries(struct store_tx *tx, struct arena *arena, struct slice key, int max,
                              struct leasing_tries *out, struct why *why)
{
    struct slice next = key;
    *out = (struct leasing_tries){.alive = SLICE_EMPTY, .previous = SLICE_EMPTY};
    while (out->failed < max) {
        struct relay_row row;
        struct why said;
        enum err e = relay_get_by_key(tx, arena, next, &row, &said);
        if (e != OK) {
            return e == ERR_NOT_FOUND ? OK : why_set(why, e, NULL, "%s", why_text(&said, e));
        }
        if (row.state < RELAY_REVERTED) {
            out->alive = row.id;
            return OK;
        }
        out->previous = row.id;
        out->failed++;
        next = slice_format(arena, "%.*s/after/%.*s", SLICE_ARG(key), SLICE_ARG(row.id));
    }
    return OK;
}

void leasing_effect_json(struct json_out *j, const struct leasing *l,
                         const struct leasing_effect *effect)
{
    json_begin_object(j);
    json_key(j, "purpose");
    json_text(j, effect->purpose);
    json_key(j, "chainId");
    json_u64(j, l->chain_id);
    json_key(j, "from");
    json_address(j, &effect->wallet);
    json_key(j, "to");
    json_address(j, &effect->to);
    json_key(j, "value");
    json_quantity(j, U256_ZERO);
    json_key(j, "data");
    json_hex(j, effect->data);
    json_end_object(j);
}

/* ---- waiting ---- */

enum err leasing_wait_read(const struct http_call *call, int64_t *out_usec, struct why *why)
{
    bool found = false;
    uint64_t seconds = 0;
    struct slice text = http_query(call, "wait", &found);
    if (found && (slice_parse_u64(text, &seconds) != OK || seconds > WAIT_SEC_MAX)) {
        return why_set(why, ERR_INVALID_FIELD, "wait",
                       "wait must be a whole number of seconds between 0 and %d.", WAIT_SEC_MAX);
    }
    *out_usec = (int64_t)seconds * USEC_PER_SEC;
    return OK;
}

struct cursor_read {
    uint64_t chain_id;
    uint64_t block;
};

static enum err read_cursor(struct store_tx *tx, void *ctx, struct why *why)
{
    struct cursor_read *c = ctx;
    struct hash hash;
    return chain_cursor_read(tx, c->chain_id, &c->block, &hash, why);
}

void leasing_await(const struct http_call *call, struct slice intent_id, int64_t wait_usec)
{
    const struct leasing *l = call->ctx;
    if (wait_usec == 0 || intent_id.len == 0) {
        return;
    }
    int64_t end = clock_mono_usec() + wait_usec;
    uint64_t seen = store_signal_now(l->store, "chain");
    struct relay_row row = {.state = RELAY_QUEUED};
    enum err e = relay_wait(l->store, call->req, intent_id, wait_usec, &row, NULL);
    while (e == OK && row.state == RELAY_MINED) {
        struct cursor_read c = {.chain_id = l->chain_id};
        int64_t left = end - clock_mono_usec();
        enum err read = store_read(l->store, read_cursor, &c, NULL);
        if (left <= 0 || (read == OK && c.block >= row.block_number)) {
            return;
        }
        (void)store_wait(l->store, "chain", &seen, left < LOOK_USEC ? left : LOOK_USEC);
    }
}

/* ---- reading requests ---- */

enum err leasing_why_under(struct why *why, enum err e, const char *object)
{
    if (e != OK && why != NULL && why->field[0] == '\0') {
        (void)snprintf(why->field, sizeof why->field, "%s", object);
        return e;
    }
    return why_prefix_field(why, e, object);
}

enum err leasing_not_found(struct why *why, const char *what)
{
    return why_set(why, ERR_NOT_FOUND, NULL, "%s not found", what);
}

enum err leasing_address_parse(struct slice text, const char *field, struct address *out,
                               struct why *why)
{
    enum err e = address_parse(text, out);
    if (e == ERR_ADDRESS_CHECKSUM) {
        return why_set(why, e, field,
                       "%s mixes upper and lower case, but not as EIP-55 prescribes: a digit may "
                       "be mistyped.",
                       field);
    }
    if (e != OK) {
        return why_set(why, e, field, "%s must be an address: 0x and 40 hexadecimal digits.",
                       field);
    }
    return OK;
}

enum err leasing_address_query(const struct http_call *call, const char *name, struct address *out,
                               bool *out_found, struct why *why)
{
    bool found = false;
    struct slice text = http_query(call, name, &found);
    enum err e = found ? leasing_address_parse(text, name, out, why) : OK;
    if (e == OK) {
        *out_found = found;
    }
    return e;
}

enum err leasing_number_param(const struct http_call *call, const char *name, uint64_t *out,
                              struct why *why)
{
    uint64_t value = 0;
    if (slice_parse_u64(http_param(call, name), &value) != OK || value > INT64_MAX) {
        return why_set(why, ERR_INVALID_FIELD, name, "%s must be a whole number.", name);
    }
    *out = value;
    return OK;
}

enum err leasing_body_account(const struct json *object, const char *key, struct address *out,
                              struct why *why)
{
    struct address read = {{0}};
    enum err e = json_get_address(object, key, &read, why);
    if (e == OK && address_is_zero(&read)) {
        e = why_set(why, ERR_INVALID_ADDRESS, key, "%s must not be the zero address.", key);
    }
    if (e == OK) {
        *out = read;
    }
    return e;
}

enum err leasing_body_amount(const struct json *object, const char *key, struct u256 *out,
                             struct why *why)
{
    struct u256 amount = U256_ZERO;
    enum err e = json_get_u256(object, key, &amount, why);
    if (e != OK) {
        return e;
    }
    const struct json *member = json_find(object, key);
    if (member->type == JSON_NUMBER && u256_compare(amount, u256_from_u64(JSON_INTEGER_MAX)) > 0) {
        return why_set(why, ERR_INVALID_AMOUNT, key,
                       "%s is beyond what a JSON number holds exactly: write it as a string of "
                       "digits.",
                       key);
    }
    if (u256_is_zero(amount)) {
        return why_set(why, ERR_INVALID_AMOUNT, key, "%s must be above zero.", key);
    }
    *out = amount;
    return OK;
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

enum err leasing_body_text(const struct json *object, const char *key, size_t max,
                           struct slice *out, struct why *why)
{
    struct slice text = SLICE_EMPTY;
    enum err e = json_get_text(object, key, &text, why);
    if (e == OK && (text.len == 0 || text.len > max || has_control(text))) {
        e = why_set(why, ERR_INVALID_FIELD, key,
                    "%s must be 1 to %zu bytes of text without control characters.", key, max);
    }
    if (e == OK) {
        *out = text;
    }
    return e;
}

enum err leasing_json_hash(struct arena *arena, struct slice json, struct hash *out,
                           struct why *why)
{
    const struct json *tree = NULL;
    enum err e = json_parse(arena, json, &json_limits_body, &tree, why);
    return e == OK ? leasing_metadata_hash(arena, tree, out, why) : e;
}

struct slice leasing_json_slice(struct arena *arena, const struct json *v)
{
    struct buf b;
    buf_init(&b, arena, 512);
    json_write(&b, v);
    return buf_slice(&b);
}

enum err leasing_body_signature(struct arena *arena, const struct json *object, struct slice *out,
                                struct why *why)
{
    return json_get_hex(arena, object, "signature", out, why);
}

/* ---- lists ---- */

enum err leasing_status_query(const struct http_call *call, const char *const *allowed,
                              struct slice *out, struct why *why)
{
    bool found = false;
    struct slice text = http_query(call, "status", &found);
    struct buf names;
    buf_init(&names, call->req, 64);
    for (size_t i = 0; allowed[i] != NULL; i++) {
        if (slice_equal_text(text, allowed[i])) {
            *out = text;
            return OK;
        }
        buf_format(&names, "%s%s", i > 0 ? ", " : "", allowed[i]);
    }
    if (!found) {
        *out = SLICE_EMPTY;
        return OK;
    }
    return why_set(why, ERR_INVALID_FIELD, "status", "status must be one of %.*s.",
                   SLICE_ARG(buf_slice(&names)));
}

enum err leasing_cursor_read(const struct http_page *page, int64_t *out_usec, struct slice *out_id,
                             struct why *why)
{
    struct slice time = SLICE_EMPTY;
    struct slice id = SLICE_EMPTY;
    int64_t usec = 0;
    if (page->cursor.len > 0 &&
        (!slice_cut(page->cursor, '/', &time, &id) || slice_parse_i64(time, &usec) != OK ||
         id.len == 0 || !slice_is_utf8(id))) {
        return why_set(why, ERR_INVALID_FIELD, "cursor", "This cursor is not of this list.");
    }
    *out_usec = usec;
    *out_id = id;
    return OK;
}

void leasing_cursor_set(struct http_call *call, int64_t usec, struct slice id)
{
    http_cursor_set(call, slice_format(call->req, "%lld/%.*s", (long long)usec, SLICE_ARG(id)));
}

/* ---- writing answers ---- */

void leasing_json_text(struct json_out *j, struct slice text)
{
    if (text.len > 0) {
        json_string(j, text);
    } else {
        json_null(j);
    }
}

void leasing_json_column_u256(struct json_out *j, struct store_query *q, const char *column)
{
    if (store_is_null(q, column)) {
        json_null(j);
    } else {
        json_u256(j, store_get_u256(q, column));
    }
}

void leasing_json_column_address(struct json_out *j, struct store_query *q, const char *column)
{
    struct address a;
    if (store_is_null(q, column)) {
        json_null(j);
        return;
    }
    store_get_fixed(q, column, a.bytes, ADDRESS_BYTES);
    json_address(j, &a);
}

void leasing_json_column_hash(struct json_out *j, struct store_query *q, const char *column)
{
    struct hash h;
    if (store_is_null(q, column)) {
        json_null(j);
        return;
    }
    store_get_fixed(q, column, h.bytes, HASH_BYTES);
    json_hex(j, hash_slice(&h));
}

void leasing_json_column_i64(struct json_out *j, struct store_query *q, const char *column)
{
    if (store_is_null(q, column)) {
        json_null(j);
    } else {
        json_i64(j, store_get_i64(q, column));
    }
}

void leasing_json_column_text(struct json_out *j, struct store_query *q, const char *column,
                              struct arena *arena)
{
    if (store_is_null(q, column)) {
        json_null(j);
    } else {
        json_string(j, store_get_text(q, column, arena));
    }
}
