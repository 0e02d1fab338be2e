/*
 * Looking at accounts and entries: for the callers, and for operators.
 */
#include "kernel/base/check.h"
#include "kernel/ledger/ledger_sql.h"
#include "kernel/ledger/ledger_store.h"

enum err ledger_balance_read(struct store_tx *tx, struct slice book, struct slice path,
                             struct ledger_balance *out, struct why *why)
{
    return ledger_account_sum(tx, book, path, out, why);
}

/* ---- accounts ---- */

/* Ends the account in progress; the sums of its rows are its balance. */
static enum err end_account(struct ledger_account_info *account, const struct ledger_sums *sums,
                            struct why *why)
{
    if (ledger_sums_end(sums, &account->balance) != OK) {
        return why_set(why, ERR_CORRUPT, NULL, "The stored totals of account %.*s are broken.",
                       SLICE_ARG(account->path));
    }
    return OK;
}

enum err ledger_accounts(struct store_tx *tx, struct arena *arena,
                         const struct ledger_accounts_ask *ask, struct ledger_account_info **out,
                         size_t *out_count, struct why *why)
{
    struct ledger_account_info *accounts =
        arena_alloc_array(arena, ask->limit, sizeof(accounts[0]));
    struct ledger_sums sums = {0};
    enum err summed = OK;
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &ledger_sql_accounts);
    store_bind_text(&q, "book", ask->book);
    store_bind_text(&q, "prefix", ask->prefix);
    store_bind_text(&q, "after_book", ask->after_book);
    store_bind_text(&q, "after_path", ask->after_path);
    store_bind_i64(&q, "limit", (int64_t)ask->limit);
    while (store_step(&q)) {
        struct ledger_row row;
        struct slice book = store_get_text(&q, "book", arena);
        struct slice path = store_get_text(&q, "path", arena);
        struct ledger_account_info *a = count > 0 ? &accounts[count - 1] : NULL;
        if (a == NULL || !slice_equal(a->book, book) || !slice_equal(a->path, path)) {
            summed = a != NULL && summed == OK ? end_account(a, &sums, why) : summed;
            ASSERT(count < ask->limit);
            a = &accounts[count++];
            *a = (struct ledger_account_info){.book = book, .path = path};
            sums = (struct ledger_sums){0};
        }
        a->flags = (unsigned)store_get_i64(&q, "flags");
        ledger_row_read(&q, &row);
        ledger_sums_add(&sums, &row);
        a->entries += row.entries;
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && summed == OK && count > 0) {
        summed = end_account(&accounts[count - 1], &sums, why);
    }
    if (e != OK || summed != OK) {
        return e != OK ? e : summed;
    }
    *out = accounts;
    *out_count = count;
    return OK;
}

enum err ledger_account_get(struct store_tx *tx, struct slice book, struct slice path,
                            struct ledger_account_info *out, struct why *why)
{
    struct ledger_account_info account = {.book = book, .path = path};
    struct ledger_sums sums = {0};
    struct store_query q;
    bool found = false;
    store_begin(&q, tx, &ledger_sql_account_read);
    store_bind_text(&q, "book", book);
    store_bind_text(&q, "path", path);
    while (store_step(&q)) {
        struct ledger_row row;
        store_ignore(&q, "origin");
        account.flags = (unsigned)store_get_i64(&q, "flags");
        ledger_row_read(&q, &row);
        ledger_sums_add(&sums, &row);
        account.entries += row.entries;
        found = true;
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && !found) {
        e = why_set(why, ERR_NOT_FOUND, "account", "Book %.*s has no account %.*s.",
                    SLICE_ARG(book), SLICE_ARG(path));
    }
    e = e == OK ? end_account(&account, &sums, why) : e;
    if (e == OK) {
        *out = account;
    }
    return e;
}

void ledger_account_json(struct json_out *j, const struct ledger_account_info *account)
{
    const struct ledger_balance *b = &account->balance;
    json_begin_object(j);
    json_key(j, "book");
    json_string(j, account->book);
    json_key(j, "account");
    json_string(j, account->path);
    json_key(j, "mayOverdraw");
    json_bool(j, (account->flags & LEDGER_NO_OVERDRAFT) == 0);
    json_key(j, "available");
    json_u256(j, ledger_available(b));
    json_key(j, "creditsPosted");
    json_u256(j, b->credits_posted);
    json_key(j, "debitsPosted");
    json_u256(j, b->debits_posted);
    json_key(j, "creditsPending");
    json_u256(j, b->credits_pending);
    json_key(j, "debitsPending");
    json_u256(j, b->debits_pending);
    json_key(j, "entries");
    json_i64(j, account->entries);
    json_end_object(j);
}

/* ---- entries ---- */

struct place {
    int64_t created_usec;
    int64_t entry;
    struct slice id;
};

static enum err find_place(struct store_tx *tx, struct slice book, struct slice path,
                           struct slice after, struct place *out, struct why *why)
{
    *out = (struct place){.id = after};
    if (after.len == 0) {
        return OK;
    }
    struct store_query q;
    store_begin(&q, tx, &ledger_sql_entry_place);
    store_bind_text(&q, "id", after);
    store_bind_text(&q, "book", book);
    store_bind_text(&q, "path", path);
    if (store_step(&q)) {
        out->created_usec = store_get_time(&q, "created");
        out->entry = store_get_i64(&q, "entry");
    }
    return store_finish_one(&q, "transfer", why);
}

static void read_entry(struct store_query *q, struct arena *arena, struct ledger_entry *out)
{
    struct u256 amount = store_get_u256(q, "amount");
    struct u256 posted = store_get_u256(q, "posted");
    out->id = store_get_text(q, "id", arena);
    out->debit = store_get_text(q, "debit", arena);
    out->credit = store_get_text(q, "credit", arena);
    out->kind = store_get_text(q, "kind", arena);
    out->cause = store_get_text(q, "cause", arena);
    out->state = (enum ledger_state)store_get_i64(q, "state");
    out->amount = out->state == LEDGER_POSTED ? posted : amount;
    out->created_usec = store_get_time(q, "created");
    out->closed_usec = store_is_null(q, "closed") ? 0 : store_get_time(q, "closed");
    store_ignore(q, "entry");
}

enum err ledger_entries(struct store_tx *tx, struct arena *arena, struct slice book,
                        struct slice path, struct slice after, size_t limit,
                        struct ledger_entry **out, size_t *out_count, struct why *why)
{
    struct place place;
    enum err e = find_place(tx, book, path, after, &place, why);
    if (e != OK) {
        return e;
    }
    struct ledger_entry *entries = arena_alloc_array(arena, limit, sizeof(entries[0]));
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &ledger_sql_entries);
    store_bind_text(&q, "book", book);
    store_bind_text(&q, "path", path);
    store_bind_time(&q, "created", place.created_usec);
    store_bind_i64(&q, "entry", place.entry);
    store_bind_text(&q, "id", place.id);
    store_bind_i64(&q, "limit", (int64_t)limit);
    while (store_step(&q)) {
        ASSERT(count < limit);
        read_entry(&q, arena, &entries[count++]);
    }
    e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = entries;
        *out_count = count;
    }
    return e;
}

const char *ledger_state_text(enum ledger_state state)
{
    switch (state) {
    case LEDGER_PENDING:
        return "pending";
    case LEDGER_POSTED:
        return "posted";
    case LEDGER_VOIDED:
        return "voided";
    }
    return "unknown";
}

void ledger_entry_json(struct json_out *j, const struct ledger_entry *entry)
{
    json_begin_object(j);
    json_key(j, "transferId");
    json_string(j, entry->id);
    json_key(j, "debit");
    json_string(j, entry->debit);
    json_key(j, "credit");
    json_string(j, entry->credit);
    json_key(j, "amount");
    json_u256(j, entry->amount);
    json_key(j, "kind");
    json_string(j, entry->kind);
    json_key(j, "cause");
    json_string(j, entry->cause);
    json_key(j, "state");
    json_text(j, ledger_state_text(entry->state));
    json_key(j, "createdAt");
    json_time(j, entry->created_usec);
    json_key(j, "closedAt");
    if (entry->closed_usec == 0) {
        json_null(j);
    } else {
        json_time(j, entry->closed_usec);
    }
    json_end_object(j);
}
