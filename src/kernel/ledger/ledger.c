/*
 * Every call works in the same order, because the rows that it needs must be locked before they
 * are judged and nothing may be written before everything was judged: load the accounts in the
 * order of their keys, look at the transfers, move the totals in memory, write.
 */
#include "kernel/ledger/ledger.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/ledger/ledger_sql.h"
#include "kernel/ledger/ledger_store.h"

/* The accounts of a transfer of the call. */
struct sides {
    struct ledger_account *debit;
    struct ledger_account *credit;
};

/* The linked transfers of one call. */
struct batch {
    struct store_tx *tx;
    struct arena *scratch;
    uint64_t origin;
    struct ledger_made *made; /* in the order of the call, each with its sides */
    struct sides *sides;
    size_t count;
    struct ledger_account *accounts; /* each once, sorted by book and path */
    size_t account_count;
};

/* An apply step knows the time of its block; a fresh index must write the same. */
static int64_t time_of(uint64_t origin, int64_t when_usec)
{
    ASSERT(origin == 0 || when_usec > 0);
    return when_usec != 0 ? when_usec : clock_wall_usec();
}

/* ---- accounts of a call ---- */

static int compare_accounts(const void *left, const void *right)
{
    const struct ledger_account *a = left;
    const struct ledger_account *b = right;
    int order = slice_compare(a->book, b->book);
    return order != 0 ? order : slice_compare(a->path, b->path);
}

static struct ledger_account *account_of(const struct batch *b, struct slice book,
                                         struct slice path)
{
    struct ledger_account key = {.book = book, .path = path};
    struct ledger_account *found =
        bsearch(&key, b->accounts, b->account_count, sizeof(key), compare_accounts);
    ASSERT(found != NULL);
    return found;
}

/* Sorts accounts and drops doubles; of two that open one account the first gives its flags. */
static size_t sort_accounts(struct ledger_account *accounts, size_t count)
{
    /* qsort is not stable: `mine.entries`, not in use yet, carries the place of each. */
    for (size_t i = 0; i < count; i++) {
        accounts[i].mine.entries = (int64_t)i;
    }
    qsort(accounts, count, sizeof(accounts[0]), compare_accounts);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct ledger_account *last = kept > 0 ? &accounts[kept - 1] : NULL;
        if (last == NULL || compare_accounts(last, &accounts[i]) != 0) {
            accounts[kept++] = accounts[i];
        } else if (accounts[i].mine.entries < last->mine.entries) {
            *last = accounts[i];
        }
    }
    for (size_t i = 0; i < kept; i++) {
        accounts[i].mine.entries = 0;
    }
    return kept;
}

static enum err totals_overflow(const struct ledger_account *a, struct why *why)
{
    return why_set(why, ERR_OVERFLOW, "amount", "The totals of account %.*s would exceed 256 bits.",
                   SLICE_ARG(a->path));
}

static enum err insufficient(const struct ledger_account *a, struct u256 amount, struct why *why)
{
    char available[U256_TEXT_MAX];
    char asked[U256_TEXT_MAX];
    u256_format(ledger_available(&a->sum), available);
    u256_format(amount, asked);
    return why_set(why, ERR_INSUFFICIENT_FUNDS, "amount",
                   "Account %.*s has %s available and %s is needed.", SLICE_ARG(a->path), available,
                   asked);
}

/* ---- making transfers ---- */

static int compare_ids(const void *left, const void *right)
{
    const struct slice *a = left;
    const struct slice *b = right;
    return slice_compare(*a, *b);
}

static enum err check_call(const struct ledger_transfer *transfers, size_t count,
                           struct arena *scratch, struct why *why)
{
    struct slice *ids = arena_alloc_array(scratch, count, sizeof(ids[0]));
    for (size_t i = 0; i < count; i++) {
        enum err e = ledger_check_transfer(&transfers[i], why);
        if (e != OK) {
            return e;
        }
        ids[i] = transfers[i].id;
    }
    qsort(ids, count, sizeof(ids[0]), compare_ids);
    for (size_t i = 1; i < count; i++) {
        if (slice_equal(ids[i - 1], ids[i])) {
            return why_set(why, ERR_INVALID_FIELD, "id", "Transfer %.*s is given twice.",
                           SLICE_ARG(ids[i]));
        }
    }
    return OK;
}

static void build_batch(struct batch *b, const struct ledger_transfer *transfers, size_t count,
                        bool held)
{
    b->made = arena_alloc_array(b->scratch, count, sizeof(b->made[0]));
    b->sides = arena_alloc_array(b->scratch, count, sizeof(b->sides[0]));
    b->count = count;
    b->accounts = arena_alloc_array(b->scratch, 2 * count, sizeof(b->accounts[0]));
    for (size_t i = 0; i < count; i++) {
        const struct ledger_transfer *t = &transfers[i];
        b->accounts[2 * i] =
            (struct ledger_account){.book = t->book, .path = t->debit, .flags = t->debit_flags};
        b->accounts[2 * i + 1] =
            (struct ledger_account){.book = t->book, .path = t->credit, .flags = t->credit_flags};
    }
    b->account_count = sort_accounts(b->accounts, 2 * count);
    for (size_t i = 0; i < count; i++) {
        const struct ledger_transfer *t = &transfers[i];
        b->made[i] = (struct ledger_made){
            .transfer = t,
            .origin = b->origin,
            .held = held,
            .when_usec = time_of(b->origin, t->when_usec),
        };
        b->sides[i].debit = account_of(b, t->book, t->debit);
        b->sides[i].credit = account_of(b, t->book, t->credit);
    }
}

/* Whether a stored transfer is the one that is asked for again; its state may have moved on. */
static bool is_same(const struct ledger_stored *s, const struct ledger_transfer *t, bool held)
{
    return slice_equal(s->book, t->book) && slice_equal(s->debit, t->debit) &&
           slice_equal(s->credit, t->credit) && u256_equal(s->amount, t->amount) &&
           slice_equal(s->kind, t->kind) && slice_equal(s->cause, t->cause) && s->held == held;
}

/* *out_repeated: all transfers of the call exist and are what is asked for. */
static enum err find_repeated(const struct batch *b, bool *out_repeated, struct why *why)
{
    struct slice *ids = arena_alloc_array(b->scratch, b->count, sizeof(ids[0]));
    struct ledger_stored *stored = arena_alloc_array(b->scratch, b->count, sizeof(stored[0]));
    size_t existing = 0;
    struct slice absent = SLICE_EMPTY;
    for (size_t i = 0; i < b->count; i++) {
        ids[i] = b->made[i].transfer->id;
    }
    enum err e = ledger_transfers_find(b->tx, b->scratch, ids, b->count, stored, why);
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < b->count; i++) {
        const struct ledger_made *made = &b->made[i];
        if (stored[i].found && !is_same(&stored[i], made->transfer, made->held)) {
            return why_set(why, ERR_IDEMPOTENCY_MISMATCH, "id",
                           "Transfer %.*s exists with other content.", SLICE_ARG(ids[i]));
        }
        existing += stored[i].found;
        absent = stored[i].found ? absent : ids[i];
    }
    if (existing > 0 && existing < b->count) {
        return why_set(why, ERR_IDEMPOTENCY_MISMATCH, "id",
                       "Transfer %.*s does not exist, but others that it is linked with do.",
                       SLICE_ARG(absent));
    }
    *out_repeated = existing == b->count;
    return OK;
}

static enum err move_one(struct ledger_made *made, const struct sides *s, struct why *why)
{
    struct u256 amount = made->transfer->amount;
    struct ledger_balance before = s->debit->sum;
    enum err (*move)(struct ledger_account *, enum ledger_side, struct u256) =
        made->held ? ledger_account_hold : ledger_account_post;
    if (move(s->debit, LEDGER_DEBIT, amount) != OK) {
        return totals_overflow(s->debit, why);
    }
    if ((s->debit->flags & LEDGER_NO_OVERDRAFT) != 0 && ledger_is_overdrawn(&s->debit->sum)) {
        s->debit->sum = before;
        return insufficient(s->debit, amount, why);
    }
    if (move(s->credit, LEDGER_CREDIT, amount) != OK) {
        return totals_overflow(s->credit, why);
    }
    made->debit_entry = ++s->debit->mine.entries;
    made->credit_entry = ++s->credit->mine.entries;
    return OK;
}

static enum err move_all(struct batch *b, struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < b->count; i++) {
        e = move_one(&b->made[i], &b->sides[i], why);
    }
    return e;
}

static enum err add_made(struct batch *b, struct why *why)
{
    int64_t added = 0;
    enum err e = ledger_transfers_add(b->tx, b->made, b->count, &added, why);
    if (e == OK && added != (int64_t)b->count) {
        e = why_set(why, ERR_DB_BUSY, "id", "Transfer %.*s%s is being made by someone else.",
                    SLICE_ARG(b->made[0].transfer->id), b->count > 1 ? " or one of its call" : "");
    }
    return e;
}

/*
 * Looks whether the transfers exist, judges and writes: however many there are, four statements
 * after the one that locked the accounts, five when one is opened.
 */
static enum err make_looked_for(struct batch *b, struct why *why)
{
    bool repeated = false;
    enum err e = find_repeated(b, &repeated, why);
    if (e != OK || repeated) {
        return e;
    }
    e = move_all(b, why);
    if (e == OK) {
        e = ledger_accounts_save(b->tx, b->origin, b->accounts, b->account_count, why);
    }
    return e == OK ? add_made(b, why) : e;
}

/*
 * One transfer between accounts that have their rows is written before anybody looks whether it
 * exists. To PostgreSQL a look at an id that is not there is a look at the page of the index where
 * it would be, so that all who write there would seem to be in each other's way.
 */
static enum err make_at_once(struct batch *b, struct why *why)
{
    struct why refusal = {0};
    int64_t added = 0;
    enum err refused = move_all(b, &refusal);
    enum err e = refused == OK ? ledger_transfers_add(b->tx, b->made, 1, &added, why) : OK;
    if (e == OK && added == 1) {
        return ledger_accounts_save(b->tx, b->origin, b->accounts, b->account_count, why);
    }
    bool repeated = false;
    if (e == OK) {
        e = find_repeated(b, &repeated, why);
    }
    if (e != OK || repeated) {
        return e;
    }
    if (refused != OK) {
        return why_set(why, refused, refusal.field, "%s", why_text(&refusal, refused));
    }
    return why_set(why, ERR_DB_BUSY, "id", "Transfer %.*s is being made by someone else.",
                   SLICE_ARG(b->made[0].transfer->id));
}

static enum err make_transfers(struct batch *b, struct why *why)
{
    enum err e =
        ledger_accounts_load(b->tx, b->scratch, b->origin, b->accounts, b->account_count, why);
    if (e != OK) {
        return e;
    }
    bool known = b->count == 1 && b->accounts[0].stored && b->accounts[1].stored;
    return known ? make_at_once(b, why) : make_looked_for(b, why);
}

static enum err add_transfers(struct store_tx *tx, const struct ledger_transfer *transfers,
                              size_t count, bool held, struct why *why)
{
    if (count == 0) {
        return OK;
    }
    struct arena scratch;
    arena_init(&scratch, 0);
    enum err e = check_call(transfers, count, &scratch, why);
    if (e == OK) {
        struct batch b = {.tx = tx, .scratch = &scratch, .origin = store_undo_chain(tx)};
        build_batch(&b, transfers, count, held);
        e = make_transfers(&b, why);
    }
    arena_free(&scratch);
    return e;
}

enum err ledger_post(struct store_tx *tx, const struct ledger_transfer *transfers, size_t count,
                     struct why *why)
{
    return add_transfers(tx, transfers, count, false, why);
}

enum err ledger_hold(struct store_tx *tx, const struct ledger_transfer *transfers, size_t count,
                     struct why *why)
{
    return add_transfers(tx, transfers, count, true, why);
}

/* ---- ending holds ---- */

/* What a settle or void is to do to which transfer. */
struct closing {
    struct slice id;
    enum ledger_state state;
    struct u256 posted; /* zero when voided */
    int64_t when_usec;
    bool done; /* it is in that state already */
};

static enum err judge_closing(struct closing *c, const struct ledger_stored *t, uint64_t origin,
                              struct why *why)
{
    if (t->state != LEDGER_PENDING) {
        c->done = t->state == c->state && u256_equal(t->posted, c->posted);
        if (c->done) {
            return OK;
        }
        return why_set(why, ERR_CONFLICT, "id", "Transfer %.*s was %s before.", SLICE_ARG(c->id),
                       t->state == LEDGER_VOIDED
                           ? "voided"
                           : (c->state == LEDGER_VOIDED ? "posted" : "posted with another amount"));
    }
    if (t->origin != origin && t->origin != 0) {
        return why_set(why, ERR_CONFLICT, "id",
                       "Transfer %.*s was held by an event of chain %llu, which alone can end it.",
                       SLICE_ARG(c->id), (unsigned long long)t->origin);
    }
    if (u256_compare(c->posted, t->amount) > 0) {
        return why_set(why, ERR_OVERFLOW, "amount",
                       "Transfer %.*s cannot be settled for more than it holds.", SLICE_ARG(c->id));
    }
    return OK;
}

static enum err close_accounts(struct batch *b, const struct closing *c,
                               const struct ledger_stored *t, struct why *why)
{
    bool own = t->origin == b->origin;
    struct ledger_account *debit = account_of(b, t->book, t->debit);
    struct ledger_account *credit = account_of(b, t->book, t->credit);
    if (ledger_account_close(debit, LEDGER_DEBIT, own, t->amount, c->posted) != OK) {
        return totals_overflow(debit, why);
    }
    if (ledger_account_close(credit, LEDGER_CREDIT, own, t->amount, c->posted) != OK) {
        return totals_overflow(credit, why);
    }
    return OK;
}

static enum err close_transfer(struct batch *b, struct closing *c, struct why *why)
{
    struct ledger_stored t = {0};
    enum err e = ledger_transfers_find(b->tx, b->scratch, &c->id, 1, &t, why);
    if (e == OK && !t.found) {
        e = why_set(why, ERR_NOT_FOUND, "id", "Transfer %.*s does not exist.", SLICE_ARG(c->id));
    }
    if (e == OK) {
        e = judge_closing(c, &t, b->origin, why);
    }
    if (e != OK || c->done) {
        return e;
    }
    struct ledger_account accounts[2] = {{.book = t.book, .path = t.debit},
                                         {.book = t.book, .path = t.credit}};
    b->accounts = accounts;
    b->account_count = sort_accounts(accounts, 2);
    e = ledger_accounts_load(b->tx, b->scratch, b->origin, accounts, b->account_count, why);
    if (e == OK) {
        e = close_accounts(b, c, &t, why);
    }
    if (e == OK) {
        e = ledger_transfer_close(b->tx, c->id, c->state, c->posted, b->origin, c->when_usec, why);
    }
    e = e == OK ? ledger_accounts_save(b->tx, b->origin, accounts, b->account_count, why) : e;
    b->accounts = NULL;
    b->account_count = 0;
    return e;
}

static enum err run_closing(struct store_tx *tx, struct closing *c, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    struct batch b = {.tx = tx, .scratch = &scratch, .origin = store_undo_chain(tx)};
    c->when_usec = time_of(b.origin, c->when_usec);
    enum err e = close_transfer(&b, c, why);
    arena_free(&scratch);
    return e;
}

enum err ledger_settle(struct store_tx *tx, struct slice id, struct u256 amount, int64_t when_usec,
                       struct why *why)
{
    if (u256_is_zero(amount)) {
        return why_set(why, ERR_INVALID_AMOUNT, "amount",
                       "A hold is settled for more than zero, or voided.");
    }
    struct closing c = {.id = id, .state = LEDGER_POSTED, .posted = amount, .when_usec = when_usec};
    return run_closing(tx, &c, why);
}

enum err ledger_void(struct store_tx *tx, struct slice id, int64_t when_usec, struct why *why)
{
    struct closing c = {
        .id = id, .state = LEDGER_VOIDED, .posted = U256_ZERO, .when_usec = when_usec};
    return run_closing(tx, &c, why);
}
