/*
 * The proof of the books. Accounts are read in pages in the order of their key; for each row the
 * legs of its transfers are summed again and compared. Sums of an account and of a book are carried
 * along and closed when the key changes, so that memory does not grow with the ledger.
 */
#include "kernel/base/check.h"
#include "kernel/ledger/ledger_sql.h"
#include "kernel/ledger/ledger_store.h"

#define AUDIT_PAGE 256

/* A sum over accounts may leave 256 bits where no account does. */
struct wide {
    struct u256 low;
    uint64_t carries;
};

struct book_sum {
    struct slice book;
    struct wide pending[2];
    struct wide released[2];
    struct wide posted[2];
};

struct account_sum {
    struct slice book;
    struct slice path;
    unsigned flags;
    struct ledger_balance balance;
    struct u256 released[2];
    bool wrong;
};

struct audit_row {
    struct slice book;
    struct slice path;
    int64_t origin;
    unsigned flags;
    struct ledger_row row;
};

struct audit {
    struct store_tx *tx;
    struct arena names; /* of the account and book in progress */
    struct ledger_report report;
    struct account_sum account;
    struct book_sum book;
    bool begun;
};

static void wide_add(struct wide *sum, struct u256 value)
{
    struct u256 room;
    enum err e = u256_sub(U256_MAX, sum->low, &room);
    ASSERT(e == OK);
    if (u256_compare(value, room) <= 0) {
        e = u256_add(sum->low, value, &sum->low);
    } else {
        /* low + value - 2^256 */
        struct u256 past;
        e = u256_sub(value, room, &past);
        ASSERT(e == OK);
        e = u256_sub(past, u256_from_u64(1), &sum->low);
        sum->carries++;
    }
    ASSERT(e == OK);
}

static bool wide_equal(const struct wide *a, const struct wide *b)
{
    return a->carries == b->carries && u256_equal(a->low, b->low);
}

/* ---- what the transfers say ---- */

struct leg {
    enum ledger_side side;
    int64_t origin;
    int64_t closer; /* -1 while pending */
    bool held;
    struct u256 amount;
    struct u256 posted;
    enum ledger_state state;
    int64_t entry;
};

static void read_leg(struct store_query *q, struct leg *out)
{
    out->side = store_get_bool(q, "is_debit") ? LEDGER_DEBIT : LEDGER_CREDIT;
    out->origin = store_get_i64(q, "origin");
    out->held = store_get_bool(q, "held");
    out->amount = store_get_u256(q, "amount");
    out->posted = store_get_u256(q, "posted");
    out->state = (enum ledger_state)store_get_i64(q, "state");
    out->closer = store_is_null(q, "closer") ? -1 : store_get_i64(q, "closer");
    out->entry = store_get_i64(q, "entry");
}

/* Adds one leg to the row of `origin` as it should be; false when that cannot be. */
static bool add_leg(struct ledger_row *sum, int64_t origin, const struct leg *leg)
{
    struct ledger_total *total = &sum->side[leg->side];
    bool fits = true;
    if (leg->origin == origin) {
        sum->entries++;
        if (leg->held && leg->closer != origin) {
            fits = u256_add(total->pending, leg->amount, &total->pending) == OK;
        }
    } else if (leg->closer == origin) {
        fits = leg->held && u256_add(total->released, leg->amount, &total->released) == OK;
    }
    if (fits && leg->closer == origin && leg->state == LEDGER_POSTED) {
        fits = u256_add(total->posted, leg->posted, &total->posted) == OK;
    }
    return fits;
}

static bool row_equal(const struct ledger_row *a, const struct ledger_row *b)
{
    for (size_t i = 0; i < 2; i++) {
        if (!u256_equal(a->side[i].pending, b->side[i].pending) ||
            !u256_equal(a->side[i].released, b->side[i].released) ||
            !u256_equal(a->side[i].posted, b->side[i].posted)) {
            return false;
        }
    }
    return a->entries == b->entries;
}

static enum err check_row(struct audit *audit, const struct audit_row *r, bool *out_right,
                          struct why *why)
{
    struct ledger_row sum = {0};
    bool right = true;
    int64_t entry_max = 0;
    struct store_query q;
    store_begin(&q, audit->tx, &ledger_sql_audit_legs);
    store_bind_text(&q, "book", r->book);
    store_bind_text(&q, "path", r->path);
    while (store_step(&q)) {
        struct leg leg;
        read_leg(&q, &leg);
        right = right && add_leg(&sum, r->origin, &leg);
        if (leg.origin == r->origin && leg.entry > entry_max) {
            entry_max = leg.entry;
        }
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_right = right && row_equal(&sum, &r->row) && entry_max == sum.entries;
    }
    return e;
}

/* ---- accounts and books ---- */

static void remember(struct ledger_report *report, struct slice book, struct slice path)
{
    if (report->first_book[0] == '\0') {
        snprintf(report->first_book, sizeof(report->first_book), "%.*s", SLICE_ARG(book));
        snprintf(report->first_path, sizeof(report->first_path), "%.*s", SLICE_ARG(path));
    }
}

static void end_account(struct audit *audit)
{
    struct account_sum *a = &audit->account;
    bool wrong = a->wrong || ledger_sum_end(&a->balance, a->released) != OK;
    bool overdrawn = (a->flags & LEDGER_NO_OVERDRAFT) != 0 && ledger_is_overdrawn(&a->balance);
    audit->report.accounts++;
    audit->report.wrong_accounts += wrong;
    audit->report.overdrafts += overdrawn;
    if (wrong || overdrawn) {
        remember(&audit->report, a->book, a->path);
    }
}

static void end_book(struct audit *audit)
{
    const struct book_sum *b = &audit->book;
    audit->report.books++;
    if (!wide_equal(&b->pending[LEDGER_DEBIT], &b->pending[LEDGER_CREDIT]) ||
        !wide_equal(&b->released[LEDGER_DEBIT], &b->released[LEDGER_CREDIT]) ||
        !wide_equal(&b->posted[LEDGER_DEBIT], &b->posted[LEDGER_CREDIT])) {
        audit->report.unbalanced_books++;
        remember(&audit->report, b->book, SLICE_EMPTY);
    }
}

/* Closes the account and the book in progress when `r` (NULL: the end) is not of them. */
static void turn_to(struct audit *audit, const struct audit_row *r)
{
    bool same_book = audit->begun && r != NULL && slice_equal(r->book, audit->book.book);
    bool same_account = same_book && slice_equal(r->path, audit->account.path);
    if (audit->begun && !same_account) {
        end_account(audit);
    }
    if (audit->begun && !same_book) {
        end_book(audit);
    }
    if (r == NULL || same_account) {
        return;
    }
    /* The old names live in the arena that is cleared, those of `r` do not. */
    arena_clear(&audit->names);
    struct slice book = slice_copy(&audit->names, r->book);
    audit->account = (struct account_sum){
        .book = book, .path = slice_copy(&audit->names, r->path), .flags = r->flags};
    if (same_book) {
        audit->book.book = book;
    } else {
        audit->book = (struct book_sum){.book = book};
    }
    audit->begun = true;
}

static enum err audit_row(struct audit *audit, const struct audit_row *r, struct why *why)
{
    turn_to(audit, r);
    bool right = false;
    enum err e = check_row(audit, r, &right, why);
    if (e != OK) {
        return e;
    }
    struct account_sum *a = &audit->account;
    if (ledger_sum_row(&a->balance, a->released, &r->row) != OK) {
        right = false;
    }
    a->wrong = a->wrong || !right || a->flags != r->flags;
    for (size_t i = 0; i < 2; i++) {
        wide_add(&audit->book.pending[i], r->row.side[i].pending);
        wide_add(&audit->book.released[i], r->row.side[i].released);
        wide_add(&audit->book.posted[i], r->row.side[i].posted);
    }
    return OK;
}

static enum err read_page(struct store_tx *tx, struct arena *arena, const struct audit_row *after,
                          struct audit_row *out, size_t *out_count, struct why *why)
{
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &ledger_sql_audit_accounts);
    store_bind_text(&q, "book", after->book);
    store_bind_text(&q, "path", after->path);
    store_bind_i64(&q, "origin", after->origin);
    store_bind_i64(&q, "limit", AUDIT_PAGE);
    while (store_step(&q)) {
        ASSERT(count < AUDIT_PAGE);
        struct audit_row *r = &out[count++];
        r->book = store_get_text(&q, "book", arena);
        r->path = store_get_text(&q, "path", arena);
        r->origin = store_get_i64(&q, "origin");
        r->flags = (unsigned)store_get_i64(&q, "flags");
        ledger_row_read(&q, &r->row);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_count = count;
    }
    return e;
}

/* Two arenas take turns, because a page is asked for by the last key of the one before it. */
static enum err audit_accounts(struct audit *audit, struct why *why)
{
    struct arena arenas[2];
    arena_init(&arenas[0], 0);
    arena_init(&arenas[1], 0);
    struct audit_row last = {.origin = -1};
    size_t count = AUDIT_PAGE;
    enum err e = OK;
    for (size_t page = 0; e == OK && count == AUDIT_PAGE; page++) {
        struct arena *arena = &arenas[page % 2];
        arena_clear(arena);
        struct audit_row *rows = arena_alloc_array(arena, AUDIT_PAGE, sizeof(rows[0]));
        e = read_page(audit->tx, arena, &last, rows, &count, why);
        for (size_t i = 0; e == OK && i < count; i++) {
            e = audit_row(audit, &rows[i], why);
            last = rows[i];
        }
    }
    if (e == OK) {
        turn_to(audit, NULL);
    }
    arena_free(&arenas[0]);
    arena_free(&arenas[1]);
    return e;
}

static enum err count_transfers(struct audit *audit, struct why *why)
{
    struct store_query q;
    store_begin(&q, audit->tx, &ledger_sql_audit_counts);
    if (store_step(&q)) {
        audit->report.transfers = (uint64_t)store_get_i64(&q, "transfers");
        audit->report.orphans = (uint64_t)store_get_i64(&q, "orphans");
    }
    return store_finish_one(&q, "count", why);
}

enum err ledger_audit(struct store_tx *tx, struct ledger_report *out, struct why *why)
{
    struct audit audit = {.tx = tx};
    arena_init(&audit.names, 0);
    enum err e = count_transfers(&audit, why);
    if (e == OK) {
        e = audit_accounts(&audit, why);
    }
    arena_free(&audit.names);
    if (e == OK) {
        *out = audit.report;
    }
    return e;
}
