#include "kernel/ledger/ledger_store.h"

#include "kernel/base/check.h"
#include "kernel/ledger/ledger_sql.h"

/* ---- accounts ---- */

void ledger_row_read(struct store_query *q, struct ledger_row *out)
{
    struct ledger_total *debit = &out->side[LEDGER_DEBIT];
    struct ledger_total *credit = &out->side[LEDGER_CREDIT];
    debit->pending = store_get_u256(q, "debits_pending");
    debit->released = store_get_u256(q, "debits_released");
    debit->posted = store_get_u256(q, "debits_posted");
    credit->pending = store_get_u256(q, "credits_pending");
    credit->released = store_get_u256(q, "credits_released");
    credit->posted = store_get_u256(q, "credits_posted");
    out->entries = store_get_i64(q, "entries");
}

static void bind_row(struct store_query *q, const struct ledger_row *row)
{
    const struct ledger_total *debit = &row->side[LEDGER_DEBIT];
    const struct ledger_total *credit = &row->side[LEDGER_CREDIT];
    store_bind_u256(q, "debits_pending", debit->pending);
    store_bind_u256(q, "debits_released", debit->released);
    store_bind_u256(q, "debits_posted", debit->posted);
    store_bind_u256(q, "credits_pending", credit->pending);
    store_bind_u256(q, "credits_released", credit->released);
    store_bind_u256(q, "credits_posted", credit->posted);
    store_bind_i64(q, "entries", row->entries);
}

static enum err corrupt(struct slice book, struct slice path, struct why *why)
{
    return why_set(why, ERR_CORRUPT, NULL, "The stored totals of account %.*s in %.*s are broken.",
                   SLICE_ARG(path), SLICE_ARG(book));
}

/* Gathers the rows of all origins of an account; `mine` is that of `origin`. */
static enum err gather_rows(struct store_query *q, uint64_t origin, struct ledger_account *out,
                            struct why *why)
{
    struct ledger_account a = *out;
    struct ledger_sums sums = {0};
    while (store_step(q)) {
        struct ledger_row row = {0};
        uint64_t row_origin = (uint64_t)store_get_i64(q, "origin");
        a.flags = (unsigned)store_get_i64(q, "flags");
        a.open = true;
        ledger_row_read(q, &row);
        ledger_sums_add(&sums, &row);
        if (row_origin == origin) {
            a.mine = row;
            a.stored = true;
        }
    }
    enum err e = store_finish(q, NULL, why);
    if (e == OK && ledger_sums_end(&sums, &a.sum) != OK) {
        e = corrupt(a.book, a.path, why);
    }
    if (e == OK) {
        *out = a;
    }
    return e;
}

enum err ledger_account_load(struct store_tx *tx, uint64_t origin, struct ledger_account *a,
                             struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &ledger_sql_account_lock);
    store_bind_text(&q, "book", a->book);
    store_bind_text(&q, "path", a->path);
    return gather_rows(&q, origin, a, why);
}

enum err ledger_account_sum(struct store_tx *tx, struct slice book, struct slice path,
                            struct ledger_balance *out, struct why *why)
{
    struct ledger_account a = {.book = book, .path = path};
    struct store_query q;
    store_begin(&q, tx, &ledger_sql_account_read);
    store_bind_text(&q, "book", book);
    store_bind_text(&q, "path", path);
    enum err e = gather_rows(&q, 0, &a, why);
    if (e == OK) {
        *out = a.sum;
    }
    return e;
}

static enum err insert_account(struct store_tx *tx, uint64_t origin, const struct ledger_account *a,
                               struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &ledger_sql_account_insert);
    store_bind_text(&q, "book", a->book);
    store_bind_text(&q, "path", a->path);
    store_bind_i64(&q, "origin", (int64_t)origin);
    store_bind_i64(&q, "flags", (int64_t)a->flags);
    bind_row(&q, &a->mine);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK && changed == 0) {
        return why_set(why, ERR_DB_BUSY, NULL, "Account %.*s is being opened by someone else.",
                       SLICE_ARG(a->path));
    }
    if (e != OK || !a->open) {
        return e;
    }
    store_begin(&q, tx, &ledger_sql_account_touch);
    store_bind_text(&q, "book", a->book);
    store_bind_text(&q, "path", a->path);
    store_bind_i64(&q, "origin", (int64_t)origin);
    return store_finish(&q, NULL, why);
}

enum err ledger_account_save(struct store_tx *tx, uint64_t origin, const struct ledger_account *a,
                             struct why *why)
{
    if (!a->stored) {
        return insert_account(tx, origin, a, why);
    }
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &ledger_sql_account_update);
    store_bind_text(&q, "book", a->book);
    store_bind_text(&q, "path", a->path);
    store_bind_i64(&q, "origin", (int64_t)origin);
    bind_row(&q, &a->mine);
    enum err e = store_finish(&q, &changed, why);
    ASSERT(e != OK || changed == 1);
    return e;
}

/* ---- transfers ---- */

enum err ledger_transfer_find(struct store_tx *tx, struct arena *arena, struct slice id,
                              struct ledger_stored *out, bool *out_found, struct why *why)
{
    struct ledger_stored t = {0};
    struct store_query q;
    store_begin(&q, tx, &ledger_sql_transfer_find);
    store_bind_text(&q, "id", id);
    bool found = store_step(&q);
    if (found) {
        t.book = store_get_text(&q, "book", arena);
        t.debit = store_get_text(&q, "debit", arena);
        t.credit = store_get_text(&q, "credit", arena);
        t.origin = (uint64_t)store_get_i64(&q, "origin");
        t.held = store_get_bool(&q, "held");
        t.amount = store_get_u256(&q, "amount");
        t.posted = store_get_u256(&q, "posted");
        t.state = (enum ledger_state)store_get_i64(&q, "state");
        t.kind = store_get_text(&q, "kind", arena);
        t.cause = store_get_text(&q, "cause", arena);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    *out = t;
    *out_found = found;
    return OK;
}

enum err ledger_transfer_add(struct store_tx *tx, const struct ledger_made *made, struct why *why)
{
    const struct ledger_transfer *t = made->transfer;
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &ledger_sql_transfer_insert);
    store_bind_text(&q, "id", t->id);
    store_bind_text(&q, "book", t->book);
    store_bind_text(&q, "debit", t->debit);
    store_bind_text(&q, "credit", t->credit);
    store_bind_i64(&q, "origin", (int64_t)made->origin);
    store_bind_bool(&q, "held", made->held);
    store_bind_u256(&q, "amount", t->amount);
    store_bind_u256(&q, "posted", made->held ? U256_ZERO : t->amount);
    store_bind_i64(&q, "state", made->held ? LEDGER_PENDING : LEDGER_POSTED);
    if (made->held) {
        store_bind_null(&q, "closer");
    } else {
        store_bind_i64(&q, "closer", (int64_t)made->origin);
    }
    store_bind_text(&q, "kind", t->kind);
    store_bind_text(&q, "cause", t->cause);
    store_bind_i64(&q, "debit_entry", made->debit_entry);
    store_bind_i64(&q, "credit_entry", made->credit_entry);
    store_bind_time(&q, "created", made->when_usec);
    if (made->held) {
        store_bind_null(&q, "closed");
    } else {
        store_bind_time(&q, "closed", made->when_usec);
    }
    enum err e = store_finish(&q, &changed, why);
    if (e == OK && changed == 0) {
        return why_set(why, ERR_DB_BUSY, "id", "Transfer %.*s is being made by someone else.",
                       SLICE_ARG(t->id));
    }
    return e;
}

enum err ledger_transfer_close(struct store_tx *tx, struct slice id, enum ledger_state state,
                               struct u256 posted, uint64_t closer, int64_t when_usec,
                               struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &ledger_sql_transfer_close);
    store_bind_text(&q, "id", id);
    store_bind_i64(&q, "state", state);
    store_bind_u256(&q, "posted", posted);
    store_bind_i64(&q, "closer", (int64_t)closer);
    store_bind_time(&q, "closed", when_usec);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK && changed == 0) {
        return why_set(why, ERR_DB_BUSY, "id", "Transfer %.*s is being closed by someone else.",
                       SLICE_ARG(id));
    }
    return e;
}
