/*
 * The ledger for operators: accounts, one account, its entries. Reading only: money moves with the
 * state that explains it, never by a request of its own.
 */
#include "kernel/ledger/ledger.h"
#include "kernel/ops/ops_internal.h"

/* A query parameter that must be there. */
static enum err required(const struct http_call *call, const char *name, struct slice *out,
                         struct why *why)
{
    struct slice text = http_query(call, name, NULL);
    if (text.len == 0) {
        return why_set(why, ERR_MISSING_FIELD, name, "%s is missing in the query", name);
    }
    *out = text;
    return OK;
}

struct accounts {
    struct http_call *call;
    struct ledger_accounts_ask ask;
    struct ledger_account_info *rows;
    size_t count;
};

static enum err read_accounts(struct store_tx *tx, void *ctx, struct why *why)
{
    struct accounts *a = ctx;
    return ledger_accounts(tx, a->call->req, &a->ask, &a->rows, &a->count, why);
}

/* The cursor is "BOOK PATH" of the last account given; names have no blanks. */
enum err ops_ledger_accounts(struct http_call *call, struct why *why)
{
    struct ops *ops = call->ctx;
    struct http_page page;
    struct accounts a = {.call = call};
    enum err e = http_page_read(call, &page, why);
    if (e == OK && page.cursor.len > 0 &&
        !slice_cut(page.cursor, ' ', &a.ask.after_book, &a.ask.after_path)) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor", "this cursor is not of this list");
    }
    if (e != OK) {
        return e;
    }
    a.ask.book = http_query(call, "book", NULL);
    a.ask.prefix = http_query(call, "prefix", NULL);
    a.ask.limit = page.limit;
    e = store_read(ops->store, read_accounts, &a, why);
    if (e != OK) {
        return e;
    }
    json_begin_array(call->out);
    for (size_t i = 0; i < a.count; i++) {
        ledger_account_json(call->out, &a.rows[i]);
    }
    json_end_array(call->out);
    if (a.count == page.limit) {
        const struct ledger_account_info *last = &a.rows[a.count - 1];
        http_cursor_set(call, slice_format(call->req, "%.*s %.*s", SLICE_ARG(last->book),
                                           SLICE_ARG(last->path)));
    }
    return OK;
}

struct account {
    struct http_call *call;
    struct slice book;
    struct slice path;
    struct http_page page;
    struct ledger_account_info info;
    struct ledger_entry *entries;
    size_t count;
};

static enum err read_account(struct store_tx *tx, void *ctx, struct why *why)
{
    struct account *a = ctx;
    return ledger_account_get(tx, a->book, a->path, &a->info, why);
}

enum err ops_ledger_balance(struct http_call *call, struct why *why)
{
    struct ops *ops = call->ctx;
    struct account a = {.call = call};
    enum err e = required(call, "book", &a.book, why);
    if (e == OK) {
        e = required(call, "account", &a.path, why);
    }
    if (e == OK) {
        e = store_read(ops->store, read_account, &a, why);
    }
    if (e == OK) {
        ledger_account_json(call->out, &a.info);
    }
    return e;
}

static enum err read_entries(struct store_tx *tx, void *ctx, struct why *why)
{
    struct account *a = ctx;
    enum err e = ledger_account_get(tx, a->book, a->path, &a->info, why);
    if (e == OK) {
        e = ledger_entries(tx, a->call->req, a->book, a->path, a->page.cursor, a->page.limit,
                           &a->entries, &a->count, why);
    }
    return e;
}

/* The cursor is the id of the last transfer given. */
enum err ops_ledger_entries(struct http_call *call, struct why *why)
{
    struct ops *ops = call->ctx;
    struct account a = {.call = call};
    enum err e = http_page_read(call, &a.page, why);
    if (e == OK) {
        e = required(call, "book", &a.book, why);
    }
    if (e == OK) {
        e = required(call, "account", &a.path, why);
    }
    if (e == OK) {
        e = store_read(ops->store, read_entries, &a, why);
    }
    if (e != OK) {
        return e;
    }
    json_begin_array(call->out);
    for (size_t i = 0; i < a.count; i++) {
        ledger_entry_json(call->out, &a.entries[i]);
    }
    json_end_array(call->out);
    if (a.count == a.page.limit) {
        http_cursor_set(call, a.entries[a.count - 1].id);
    }
    return OK;
}
