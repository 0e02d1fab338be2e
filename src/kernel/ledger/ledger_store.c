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

/* Adds the row of one origin; `mine` is that of `origin`. */
static void gather_row(struct store_query *q, uint64_t origin, struct ledger_account *a,
                       struct ledger_sums *sums)
{
    struct ledger_row row = {0};
    uint64_t row_origin = (uint64_t)store_get_i64(q, "origin");
    a->flags = (unsigned)store_get_i64(q, "flags");
    a->open = true;
    ledger_row_read(q, &row);
    ledger_sums_add(sums, &row);
    if (row_origin == origin) {
        a->mine = row;
        a->stored = true;
    }
}

enum err ledger_accounts_load(struct store_tx *tx, struct arena *scratch, uint64_t origin,
                              struct ledger_account *accounts, size_t count, struct why *why)
{
    struct ledger_sums *sums = arena_alloc_array(scratch, count, sizeof(sums[0]));
    struct store_query q;
    store_begin_rows(&q, tx, &ledger_sql_account_lock);
    for (size_t i = 0; i < count; i++) {
        store_bind_i64(&q, "place", (int64_t)i);
        store_bind_text(&q, "book", accounts[i].book);
        store_bind_text(&q, "path", accounts[i].path);
        store_row(&q);
    }
    while (store_step(&q)) {
        size_t i = (size_t)store_get_i64(&q, "place");
        ASSERT(i < count);
        gather_row(&q, origin, &accounts[i], &sums[i]);
    }
    enum err e = store_finish(&q, NULL, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        if (ledger_sums_end(&sums[i], &accounts[i].sum) != OK) {
            e = corrupt(accounts[i].book, accounts[i].path, why);
        }
    }
    return e;
}

enum err ledger_account_sum(struct store_tx *tx, struct slice book, struct slice path,
                            struct ledger_balance *out, struct why *why)
{
    struct ledger_account a = {.book = book, .path = path};
    struct ledger_sums sums = {0};
    struct store_query q;
    store_begin(&q, tx, &ledger_sql_account_read);
    store_bind_text(&q, "book", book);
    store_bind_text(&q, "path", path);
    while (store_step(&q)) {
        gather_row(&q, 0, &a, &sums);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK && ledger_sums_end(&sums, out) != OK) {
        e = corrupt(book, path, why);
    }
    return e;
}

static void bind_key(struct store_query *q, uint64_t origin, const struct ledger_account *a)
{
    store_bind_text(q, "book", a->book);
    store_bind_text(q, "path", a->path);
    store_bind_i64(q, "origin", (int64_t)origin);
}

static bool is_new(const struct ledger_account *a)
{
    return a->changed && !a->stored;
}

/* Opens rows of accounts, and touches the rows of other origins that these have. */
static enum err insert_accounts(struct store_tx *tx, uint64_t origin,
                                const struct ledger_account *accounts, size_t count,
                                struct why *why)
{
    int64_t wanted = 0;
    int64_t changed = 0;
    struct store_query q;
    store_begin_rows(&q, tx, &ledger_sql_account_insert);
    for (size_t i = 0; i < count; i++) {
        if (is_new(&accounts[i])) {
            bind_key(&q, origin, &accounts[i]);
            store_bind_i64(&q, "flags", (int64_t)accounts[i].flags);
            bind_row(&q, &accounts[i].mine);
            store_row(&q);
            wanted++;
        }
    }
    enum err e = store_finish(&q, &changed, why);
    if (e != OK || changed != wanted) {
        return e != OK
                   ? e
                   : why_set(why, ERR_DB_BUSY, NULL, "An account is being opened by someone else.");
    }
    store_begin_rows(&q, tx, &ledger_sql_account_touch);
    for (size_t i = 0; i < count; i++) {
        if (is_new(&accounts[i]) && accounts[i].open) {
            bind_key(&q, origin, &accounts[i]);
            store_row(&q);
        }
    }
    return store_finish(&q, NULL, why);
}

static enum err update_accounts(struct store_tx *tx, uint64_t origin,
                                const struct ledger_account *accounts, size_t count,
                                struct why *why)
{
    int64_t wanted = 0;
    int64_t changed = 0;
    struct store_query q;
    store_begin_rows(&q, tx, &ledger_sql_account_update);
    for (size_t i = 0; i < count; i++) {
        if (accounts[i].changed && accounts[i].stored) {
            bind_key(&q, origin, &accounts[i]);
            bind_row(&q, &accounts[i].mine);
            store_row(&q);
            wanted++;
        }
    }
    enum err e = store_finish(&q, &changed, why);
    ASSERT(e != OK || changed == wanted); /* they are locked */
    return e;
}

enum err ledger_accounts_save(struct store_tx *tx, uint64_t origin,
                              const struct ledger_account *accounts, size_t count, struct why *why)
{
    enum err e = insert_accounts(tx, origin, accounts, count, why);
    return e == OK ? update_accounts(tx, origin, accounts, count, why) : e;
}

/* ---- transfers ---- */

static void read_stored(struct store_query *q, struct arena *arena, struct ledger_stored *out)
{
    out->found = true;
    out->book = store_get_text(q, "book", arena);
    out->debit = store_get_text(q, "debit", arena);
    out->credit = store_get_text(q, "credit", arena);
    out->origin = (uint64_t)store_get_i64(q, "origin");
    out->held = store_get_bool(q, "held");
    out->amount = store_get_u256(q, "amount");
    out->posted = store_get_u256(q, "posted");
    out->state = (enum ledger_state)store_get_i64(q, "state");
    out->kind = store_get_text(q, "kind", arena);
    out->cause = store_get_text(q, "cause", arena);
}

enum err ledger_transfers_find(struct store_tx *tx, struct arena *arena, const struct slice *ids,
                               size_t count, struct ledger_stored *out, struct why *why)
{
    struct store_query q;
    store_begin_rows(&q, tx, &ledger_sql_transfer_find);
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct ledger_stored){0};
        store_bind_i64(&q, "place", (int64_t)i);
        store_bind_text(&q, "id", ids[i]);
        store_row(&q);
    }
    while (store_step(&q)) {
        size_t i = (size_t)store_get_i64(&q, "place");
        ASSERT(i < count);
        read_stored(&q, arena, &out[i]);
    }
    return store_finish(&q, NULL, why);
}

static void bind_made(struct store_query *q, const struct ledger_made *made)
{
    const struct ledger_transfer *t = made->transfer;
    store_bind_text(q, "id", t->id);
    store_bind_text(q, "book", t->book);
    store_bind_text(q, "debit", t->debit);
    store_bind_text(q, "credit", t->credit);
    store_bind_i64(q, "origin", (int64_t)made->origin);
    store_bind_bool(q, "held", made->held);
    store_bind_u256(q, "amount", t->amount);
    store_bind_u256(q, "posted", made->held ? U256_ZERO : t->amount);
    store_bind_i64(q, "state", made->held ? LEDGER_PENDING : LEDGER_POSTED);
    if (made->held) {
        store_bind_null(q, "closer");
    } else {
        store_bind_i64(q, "closer", (int64_t)made->origin);
    }
    store_bind_text(q, "kind", t->kind);
    store_bind_text(q, "cause", t->cause);
    store_bind_i64(q, "debit_entry", made->debit_entry);
    store_bind_i64(q, "credit_entry", made->credit_entry);
    store_bind_time(q, "created", made->when_usec);
    if (made->held) {
        store_bind_null(q, "closed");
    } else {
        store_bind_time(q, "closed", made->when_usec);
    }
}

enum err ledger_transfers_add(struct store_tx *tx, const struct ledger_made *made, size_t count,
                              int64_t *out_added, struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    store_begin_rows(&q, tx, &ledger_sql_transfer_insert);
    for (size_t i = 0; i < count; i++) {
        bind_made(&q, &made[i]);
        store_row(&q);
    }
    enum err e = store_finish(&q, &changed, why);
    if (e == OK) {
        *out_added = changed;
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
