/*
 * ops_transactions.c: the relay's transactions over HTTP. Anybody may look at one, whose id is hard
 * to guess or was given out; taking one back or hurrying it is for operators.
 */
#include "kernel/evm/address.h"
#include "kernel/ops/ops.h"
#include "kernel/ops/ops_schema.h"

struct one {
    struct http_call *call;
    struct slice id;
    enum err (*move)(struct store_tx *tx, struct slice id, struct why *why);
    const struct audit_action *action;
    struct relay_row row;
    struct relay_attempt *attempts;
    size_t attempt_count;
};

static enum err read_one(struct store_tx *tx, void *ctx, struct why *why)
{
    struct one *one = ctx;
    enum err e = relay_get(tx, one->call->req, one->id, &one->row, why);
    return e == OK ? relay_attempts(tx, one->call->req, one->id, &one->attempts,
                                    &one->attempt_count, why)
                   : e;
}

static enum err answer_one(struct one *one, struct why *why)
{
    const struct ops *ops = one->call->ctx;
    enum err e = store_read(ops->store, read_one, one, why);
    if (e == OK) {
        relay_detail_json(one->call->out, &one->row, one->attempts, one->attempt_count);
    }
    return e;
}

static enum err transaction_get(struct http_call *call, struct why *why)
{
    struct one one = {.call = call, .id = http_param(call, "transactionId")};
    return answer_one(&one, why);
}

/* ---- listing ---- */

struct list {
    struct http_call *call;
    struct relay_filter filter;
    struct relay_row *rows;
    size_t count;
};

static enum err read_list(struct store_tx *tx, void *ctx, struct why *why)
{
    struct list *list = ctx;
    return relay_list(tx, list->call->req, &list->filter, &list->rows, &list->count, why);
}

static enum err read_filter(const struct http_call *call, struct relay_filter *out, struct why *why)
{
    bool has_state = false;
    bool has_open = false;
    struct slice state = http_query(call, "state", &has_state);
    struct slice open = http_query(call, "open", &has_open);
    struct slice wallet = http_query(call, "wallet", &out->has_wallet);
    struct slice hash = http_query(call, "hash", &out->has_hash);
    out->purpose = http_query(call, "purpose", NULL);
    enum err e = has_state ? relay_state_parse(state, &out->state, why) : OK;
    if (e == OK && has_open) {
        out->open = slice_equal_text(open, "true");
        if (!out->open && !slice_equal_text(open, "false")) {
            e = why_set(why, ERR_INVALID_FIELD, "open", "open is true or false");
        }
    }
    if (e == OK && out->has_wallet) {
        e = address_parse(wallet, &out->wallet);
        e = e == OK ? OK : why_set(why, e, "wallet", "wallet is an address");
    }
    if (e == OK && out->has_hash && hash_parse(hash, &out->hash) != OK) {
        e = why_set(why, ERR_INVALID_HASH, "hash", "hash is 0x and 64 hexadecimal digits");
    }
    return e;
}

static enum err transactions_list(struct http_call *call, struct why *why)
{
    const struct ops *ops = call->ctx;
    struct list list = {.call = call};
    struct http_page page;
    enum err e = http_page_read(call, &page, why);
    if (e == OK && page.offset > 0) {
        e = why_set(why, ERR_INVALID_FIELD, "offset", "Transactions are paged by cursor.");
    }
    if (e == OK) {
        e = read_filter(call, &list.filter, why);
    }
    if (e == OK) {
        list.filter.cursor = page.cursor;
        list.filter.limit = page.limit;
        e = store_read(ops->store, read_list, &list, why);
    }
    if (e != OK) {
        return e;
    }
    json_begin_array(call->out);
    for (size_t i = 0; i < list.count; i++) {
        relay_row_json(call->out, &list.rows[i]);
    }
    json_end_array(call->out);
    if (list.count == page.limit) {
        http_cursor_set(call, list.rows[list.count - 1].id);
    }
    return OK;
}

/* ---- moving ---- */

enum { CANCELLED, HURRIED, ACTION_COUNT };

static const struct audit_action actions[ACTION_COUNT] = {
    [CANCELLED] = {"ops.transaction_cancelled",
                   "It was asked to cancel a transaction, or to take back its nonce."},
    [HURRIED] = {"ops.transaction_hurried",
                 "It was asked to send a transaction first, or with higher fees."},
};

struct audit_table ops_audit_table(void)
{
    return (struct audit_table){actions, ACTION_COUNT};
}

static enum err move_and_audit(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct one *one = ctx;
    enum err e = one->move(tx, one->id, why);
    if (e != OK) {
        return e;
    }
    struct audit_entry entry = http_audit(one->call, one->action);
    entry.subject = slice_format(one->call->req, "transaction/%.*s", SLICE_ARG(one->id));
    entry.transaction_id = one->id;
    return audit_write(tx, &entry, why);
}

static enum err move_one(struct one *one, struct why *why)
{
    const struct ops *ops = one->call->ctx;
    one->id = http_param(one->call, "transactionId");
    enum err e = store_write(ops->store, move_and_audit, one, why);
    return e == OK ? answer_one(one, why) : e;
}

static enum err transaction_cancel(struct http_call *call, struct why *why)
{
    struct one one = {.call = call, .move = relay_cancel, .action = &actions[CANCELLED]};
    return move_one(&one, why);
}

static enum err transaction_speed_up(struct http_call *call, struct why *why)
{
    struct one one = {.call = call, .move = relay_hurry, .action = &actions[HURRIED]};
    return move_one(&one, why);
}

/* ---- the table ---- */

static const char *const list_keys[] = {"state", "open", "purpose", "wallet", "hash", NULL};
static const enum err list_errors[] = {ERR_INVALID_ADDRESS, ERR_ADDRESS_CHECKSUM, ERR_INVALID_HASH,
                                       OK};
static const enum err not_found[] = {ERR_NOT_FOUND, OK};
static const enum err move_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_NOT_FOUND,
                                       ERR_CONFLICT, OK};

static const struct http_query_doc query_docs[] = {
    {"state",
     "{\"enum\":[\"queued\",\"signed\",\"sent\",\"mined\",\"reverted\",\"failed\",\"replaced\","
     "\"cancelled\"]}",
     "Only those in this state."},
    {"open", "{\"type\":\"boolean\"}", "true: only those that may still change."},
    {"purpose", "{\"type\":\"string\"}", "Only those that were sent for this."},
    {"wallet", "{\"type\":\"string\",\"pattern\":\"^0x[0-9a-fA-F]{40}$\"}",
     "Only those of this wallet."},
    {"hash", "{\"type\":\"string\",\"pattern\":\"^0x[0-9a-fA-F]{64}$\"}",
     "The one that any of its signed versions has this hash."},
    {NULL, NULL, NULL},
};

static const struct http_route routes[] = {
    {
        .method = HTTP_GET,
        .path = "/api/v1/transactions",
        .handler = transactions_list,
        .flags = HTTP_LIST,
        .query_keys = list_keys,
        .tag = "transactions",
        .operation = "listTransactions",
        .summary = "Relayed transactions, newest first.",
        .reply_schema = ops_schema_transactions,
        .reply_status = 200,
        .errors = list_errors,
    },
    {
        .method = HTTP_GET,
        .path = "/api/v1/transactions/{transactionId}",
        .handler = transaction_get,
        .tag = "transactions",
        .operation = "getTransaction",
        .summary = "State of one relayed transaction, with all that was signed for it.",
        .reply_schema = ops_schema_transaction,
        .reply_status = 200,
        .errors = not_found,
    },
    {
        .method = HTTP_POST,
        .path = "/api/v1/transactions/{transactionId}/cancel",
        .handler = transaction_cancel,
        .flags = HTTP_OPERATOR,
        .tag = "transactions",
        .operation = "cancelTransaction",
        .summary =
            "Cancels a transaction that has no nonce yet, or has an empty one take its nonce.",
        .reply_schema = ops_schema_transaction,
        .reply_status = 200,
        .errors = move_errors,
    },
    {
        .method = HTTP_POST,
        .path = "/api/v1/transactions/{transactionId}/speed-up",
        .handler = transaction_speed_up,
        .flags = HTTP_OPERATOR,
        .tag = "transactions",
        .operation = "speedUpTransaction",
        .summary = "Makes a queued transaction urgent, or replaces a sent one with higher fees.",
        .reply_schema = ops_schema_transaction,
        .reply_status = 200,
        .errors = move_errors,
    },
};

struct http_table ops_transactions_http_table(struct ops *ops)
{
    return (struct http_table){
        .routes = routes,
        .count = sizeof routes / sizeof routes[0],
        .ctx = ops,
        .query_docs = query_docs,
    };
}
