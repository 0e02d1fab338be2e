/*
 * The proof of the books. Rows of accounts are read in pages in the order of their key and gathered
 * by account; then the transfers of the account are read in pages too, its rows are computed again
 * and compared. Sums of a book are carried along and closed when the book changes, so that memory
 * grows with nothing but the number of origins of one account.
 */
#include "kernel/ledger/ledger_audit.h"

#include "kernel/base/check.h"
#include "kernel/ledger/ledger_sql.h"
#include "kernel/ledger/ledger_store.h"

#define ACCOUNTS_PAGE 256
#define LEGS_PAGE 512
#define ORIGINS_FIRST 4
#define TAG_ACCOUNT 'A'

/* ---- findings ---- */

struct finding {
    const char *name;
    const char *text;
};

static const struct finding findings[LEDGER_FINDINGS] = {
    [LEDGER_SOUND] = {"sound", "nothing"},
    [LEDGER_TOTALS_WRONG] = {"totalsWrong", "accounts whose totals differ from their transfers"},
    [LEDGER_NUMBERS_WRONG] = {"numbersWrong", "accounts whose entries are not numbered 1, 2, 3"},
    [LEDGER_FLAGS_DIFFER] = {"flagsDiffer", "accounts whose origins disagree about their flags"},
    [LEDGER_OVERDRAWN] = {"overdrawn", "accounts below zero that may not be"},
    [LEDGER_BOOK_UNBALANCED] = {"bookUnbalanced", "books whose credits differ from their debits"},
    [LEDGER_TRANSFER_ORPHANED] = {"transferOrphaned", "transfers of accounts that have no row"},
    [LEDGER_TRANSFER_BROKEN] = {"transferBroken", "transfers that contradict themselves"},
};

const char *ledger_finding_name(enum ledger_finding finding)
{
    ASSERT(finding < LEDGER_FINDINGS);
    return findings[finding].name;
}

const char *ledger_finding_text(enum ledger_finding finding)
{
    ASSERT(finding < LEDGER_FINDINGS);
    return findings[finding].text;
}

void audit_found(struct audit *audit, enum ledger_finding finding, struct slice book,
                 struct slice path, struct slice id)
{
    struct ledger_report *r = &audit->report;
    r->found[finding]++;
    if (r->first == LEDGER_SOUND) {
        r->first = finding;
        snprintf(r->first_book, sizeof(r->first_book), "%.*s", SLICE_ARG(book));
        snprintf(r->first_path, sizeof(r->first_path), "%.*s", SLICE_ARG(path));
        snprintf(r->first_id, sizeof(r->first_id), "%.*s", SLICE_ARG(id));
    }
}

/* ---- the digest ---- */

void audit_digest_begin(struct audit_digest *d, struct audit *audit, uint8_t tag)
{
    arena_clear(&audit->row);
    d->audit = audit;
    buf_init(&d->bytes, &audit->row, 1024);
    buf_add_byte(&d->bytes, tag);
}

void audit_digest_i64(struct audit_digest *d, int64_t value)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)((uint64_t)value >> (56 - 8 * i));
    }
    buf_add(&d->bytes, bytes, sizeof(bytes));
}

void audit_digest_text(struct audit_digest *d, struct slice text)
{
    audit_digest_i64(d, (int64_t)text.len);
    buf_add_slice(&d->bytes, text);
}

void audit_digest_u256(struct audit_digest *d, struct u256 value)
{
    uint8_t bytes[U256_BYTES];
    u256_encode_be(value, bytes);
    buf_add(&d->bytes, bytes, sizeof(bytes));
}

void audit_digest_end(struct audit_digest *d)
{
    struct hash hash = sha256(buf_slice(&d->bytes));
    struct u256 value;
    enum err e = u256_decode_be(hash_slice(&hash), &value);
    ASSERT(e == OK);
    ledger_wide_add(&d->audit->digest, value); /* of which only the low 256 bits are looked at */
}

static void finish_digest(struct audit *audit)
{
    uint8_t bytes[U256_BYTES];
    u256_encode_be(audit->digest.low, bytes);
    audit->report.digest = sha256(slice_of(bytes, sizeof(bytes)));
}

/* ---- accounts ---- */

/* A row of an account, and what its transfers say it should be. */
struct row {
    int64_t origin;
    unsigned flags;
    struct ledger_row stored;
    struct ledger_row sum;
    bool overflown;
    /* Of the numbers of entries: no set but 1, 2, … n has all three by accident. */
    int64_t number_max;
    uint64_t number_sum;
    uint64_t number_squares;
};

struct account {
    struct slice book;
    struct slice path;
    struct row *rows;
    size_t count;
    size_t cap;
};

struct book {
    struct slice book;
    uint64_t accounts;
    struct ledger_sums sums;
};

/* The account and the book in progress. */
struct walk {
    struct audit *audit;
    struct arena names;
    struct account account;
    struct book book;
    bool begun;
};

static struct row *row_of(struct account *a, int64_t origin)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->rows[i].origin == origin) {
            return &a->rows[i];
        }
    }
    return NULL;
}

struct leg {
    enum ledger_side side;
    struct slice id;
    int64_t origin;
    int64_t closer; /* -1 while pending */
    bool held;
    struct u256 amount;
    struct u256 posted;
    enum ledger_state state;
    int64_t entry;
    int64_t created_usec;
};

static void read_leg(struct store_query *q, struct arena *arena, struct leg *out)
{
    out->id = store_get_text(q, "id", arena);
    out->origin = store_get_i64(q, "origin");
    out->held = store_get_bool(q, "held");
    out->amount = store_get_u256(q, "amount");
    out->posted = store_get_u256(q, "posted");
    out->state = (enum ledger_state)store_get_i64(q, "state");
    out->closer = store_is_null(q, "closer") ? -1 : store_get_i64(q, "closer");
    out->entry = store_get_i64(q, "entry");
    out->created_usec = store_get_time(q, "created");
}

/* Adds a leg to the rows of its account; a row that is missing is found with the transfer. */
static void add_leg(struct account *a, const struct leg *leg)
{
    struct row *maker = row_of(a, leg->origin);
    struct row *closer = row_of(a, leg->closer);
    if (maker != NULL) {
        maker->sum.entries++;
        maker->number_max = leg->entry > maker->number_max ? leg->entry : maker->number_max;
        maker->number_sum += (uint64_t)leg->entry;
        maker->number_squares += (uint64_t)leg->entry * (uint64_t)leg->entry;
        if (leg->held && leg->closer != leg->origin) {
            struct ledger_total *total = &maker->sum.side[leg->side];
            maker->overflown |= u256_add(total->pending, leg->amount, &total->pending) != OK;
        }
    }
    if (closer != NULL) {
        struct ledger_total *total = &closer->sum.side[leg->side];
        if (closer != maker) {
            closer->overflown |= u256_add(total->released, leg->amount, &total->released) != OK;
        }
        if (leg->state == LEDGER_POSTED) {
            closer->overflown |= u256_add(total->posted, leg->posted, &total->posted) != OK;
        }
    }
}

/* Two arenas take turns, because a page is asked for by the last leg of the one before it. */
static enum err add_legs(struct walk *w, enum ledger_side side, struct why *why)
{
    struct arena arenas[2];
    arena_init(&arenas[0], 0);
    arena_init(&arenas[1], 0);
    struct leg leg = {.side = side};
    size_t count = LEGS_PAGE;
    enum err e = OK;
    for (size_t page = 0; e == OK && count == LEGS_PAGE; page++) {
        struct arena *arena = &arenas[page % 2];
        arena_clear(arena);
        struct store_query q;
        store_begin(&q, w->audit->tx,
                    side == LEDGER_DEBIT ? &ledger_sql_audit_debits : &ledger_sql_audit_credits);
        store_bind_text(&q, "book", w->account.book);
        store_bind_text(&q, "path", w->account.path);
        store_bind_time(&q, "created", leg.created_usec);
        store_bind_i64(&q, "entry", leg.entry);
        store_bind_text(&q, "id", leg.id);
        store_bind_i64(&q, "limit", LEGS_PAGE);
        for (count = 0; store_step(&q); count++) {
            read_leg(&q, arena, &leg);
            add_leg(&w->account, &leg);
        }
        e = store_finish(&q, NULL, why);
        w->audit->report.entries += count;
    }
    arena_free(&arenas[0]);
    arena_free(&arenas[1]);
    return e;
}

static bool totals_equal(const struct row *r)
{
    for (size_t i = 0; i < 2; i++) {
        const struct ledger_total *a = &r->stored.side[i];
        const struct ledger_total *b = &r->sum.side[i];
        if (!u256_equal(a->pending, b->pending) || !u256_equal(a->released, b->released) ||
            !u256_equal(a->posted, b->posted)) {
            return false;
        }
    }
    return !r->overflown && r->stored.entries == r->sum.entries;
}

/* 1 + 2 + … + n and 1 + 4 + … + n², modulo 2^64 as the sums are. */
static bool numbers_right(const struct row *r)
{
    unsigned __int128 n = (unsigned __int128)r->sum.entries;
    unsigned __int128 sum = n * (n + 1) / 2;
    /* Three times the sum of squares stays below 2^128 as long as n is below 2^42. */
    unsigned __int128 squares = sum * (2 * n + 1) / 3;
    return r->number_max == r->sum.entries && r->number_sum == (uint64_t)sum &&
           r->number_squares == (uint64_t)squares;
}

static void judge_account(struct walk *w)
{
    struct account *a = &w->account;
    struct ledger_balance balance = {0};
    struct ledger_sums sums = {0};
    bool totals = true;
    bool numbers = true;
    bool flags = true;
    for (size_t i = 0; i < a->count; i++) {
        const struct row *r = &a->rows[i];
        totals = totals && totals_equal(r);
        ledger_sums_add(&sums, &r->stored);
        numbers = numbers && numbers_right(r);
        flags = flags && r->flags == a->rows[0].flags;
    }
    totals = ledger_sums_end(&sums, &balance) == OK && totals;
    const struct {
        bool right;
        enum ledger_finding finding;
    } checks[] = {
        {totals, LEDGER_TOTALS_WRONG},
        {numbers, LEDGER_NUMBERS_WRONG},
        {flags, LEDGER_FLAGS_DIFFER},
        {(a->rows[0].flags & LEDGER_NO_OVERDRAFT) == 0 || !ledger_is_overdrawn(&balance),
         LEDGER_OVERDRAWN},
    };
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (!checks[i].right) {
            audit_found(w->audit, checks[i].finding, a->book, a->path, SLICE_EMPTY);
        }
    }
}

static enum err end_account(struct walk *w, struct why *why)
{
    bool whole = !w->audit->books_only;
    enum err e = whole ? add_legs(w, LEDGER_DEBIT, why) : OK;
    if (e == OK && whole) {
        e = add_legs(w, LEDGER_CREDIT, why);
    }
    if (e == OK && whole) {
        judge_account(w);
    }
    if (e == OK) {
        w->audit->report.accounts++;
        w->book.accounts++;
    }
    return e;
}

static void end_book(struct walk *w)
{
    struct audit *audit = w->audit;
    const struct book *b = &w->book;
    struct ledger_sums s = b->sums;
    bool balanced = ledger_wide_equal(&s.released[LEDGER_DEBIT], &s.released[LEDGER_CREDIT]) &&
                    ledger_wide_equal(&s.pending[LEDGER_DEBIT], &s.pending[LEDGER_CREDIT]) &&
                    ledger_wide_equal(&s.posted[LEDGER_DEBIT], &s.posted[LEDGER_CREDIT]);
    for (size_t i = 0; i < 2; i++) {
        balanced = ledger_wide_sub(&s.pending[i], &s.released[i]) && balanced;
    }
    audit->report.books++;
    if (!balanced) {
        audit_found(audit, LEDGER_BOOK_UNBALANCED, b->book, SLICE_EMPTY, SLICE_EMPTY);
    }
    if (audit->each != NULL) {
        const struct ledger_book told = {
            .book = b->book,
            .accounts = b->accounts,
            .debits_pending = s.pending[LEDGER_DEBIT],
            .debits_posted = s.posted[LEDGER_DEBIT],
            .credits_pending = s.pending[LEDGER_CREDIT],
            .credits_posted = s.posted[LEDGER_CREDIT],
        };
        audit->each(audit->each_ctx, &told);
    }
}

/* ---- rows ---- */

struct stored_row {
    struct slice book;
    struct slice path;
    int64_t origin;
    unsigned flags;
    struct ledger_row row;
};

/* Ends the account and the book in progress when `r` (NULL: the end) is not of them. */
static enum err turn_to(struct walk *w, const struct stored_row *r, struct why *why)
{
    bool same_book = w->begun && r != NULL && slice_equal(r->book, w->book.book);
    bool same_account = same_book && slice_equal(r->path, w->account.path);
    if (w->begun && !same_account) {
        enum err e = end_account(w, why);
        if (e != OK) {
            return e;
        }
    }
    if (w->begun && !same_book) {
        end_book(w);
    }
    if (r == NULL || same_account) {
        return OK;
    }
    /* The old names live in the arena that is cleared, those of `r` do not. */
    arena_clear(&w->names);
    struct slice book = slice_copy(&w->names, r->book);
    w->account = (struct account){
        .book = book,
        .path = slice_copy(&w->names, r->path),
        .rows = arena_alloc_array(&w->names, ORIGINS_FIRST, sizeof(w->account.rows[0])),
        .cap = ORIGINS_FIRST};
    if (same_book) {
        w->book.book = book;
    } else {
        w->book = (struct book){.book = book};
    }
    w->begun = true;
    return OK;
}

static void add_row(struct walk *w, const struct stored_row *r)
{
    struct account *a = &w->account;
    if (a->count == a->cap) {
        struct row *rows = arena_alloc_array(&w->names, 2 * a->cap, sizeof(rows[0]));
        memcpy(rows, a->rows, a->count * sizeof(rows[0]));
        a->rows = rows;
        a->cap *= 2;
    }
    ledger_sums_add(&w->book.sums, &r->row);
    a->rows[a->count++] = (struct row){.origin = r->origin, .flags = r->flags, .stored = r->row};
    struct audit_digest d;
    audit_digest_begin(&d, w->audit, TAG_ACCOUNT);
    audit_digest_text(&d, r->book);
    audit_digest_text(&d, r->path);
    audit_digest_i64(&d, r->origin);
    audit_digest_i64(&d, r->flags);
    audit_digest_i64(&d, r->row.entries);
    for (size_t i = 0; i < 2; i++) {
        const struct ledger_total *t = &r->row.side[i];
        audit_digest_u256(&d, t->pending);
        audit_digest_u256(&d, t->released);
        audit_digest_u256(&d, t->posted);
    }
    audit_digest_end(&d);
}

static enum err read_page(struct store_tx *tx, struct arena *arena, const struct stored_row *after,
                          struct stored_row *out, size_t *out_count, struct why *why)
{
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &ledger_sql_audit_accounts);
    store_bind_text(&q, "book", after->book);
    store_bind_text(&q, "path", after->path);
    store_bind_i64(&q, "origin", after->origin);
    store_bind_i64(&q, "limit", ACCOUNTS_PAGE);
    while (store_step(&q)) {
        ASSERT(count < ACCOUNTS_PAGE);
        struct stored_row *r = &out[count++];
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

/* Two arenas take turns here too. */
static enum err walk_accounts(struct walk *w, struct why *why)
{
    struct arena arenas[2];
    arena_init(&arenas[0], 0);
    arena_init(&arenas[1], 0);
    struct stored_row last = {.origin = -1};
    size_t count = ACCOUNTS_PAGE;
    enum err e = OK;
    for (size_t page = 0; e == OK && count == ACCOUNTS_PAGE; page++) {
        struct arena *arena = &arenas[page % 2];
        arena_clear(arena);
        struct stored_row *rows = arena_alloc_array(arena, ACCOUNTS_PAGE, sizeof(rows[0]));
        e = read_page(w->audit->tx, arena, &last, rows, &count, why);
        for (size_t i = 0; e == OK && i < count; i++) {
            e = turn_to(w, &rows[i], why);
            if (e == OK) {
                add_row(w, &rows[i]);
                last = rows[i];
            }
        }
    }
    if (e == OK) {
        e = turn_to(w, NULL, why);
    }
    arena_free(&arenas[0]);
    arena_free(&arenas[1]);
    return e;
}

static enum err audit_accounts(struct audit *audit, struct why *why)
{
    struct walk w = {.audit = audit};
    arena_init(&w.names, 0);
    enum err e = walk_accounts(&w, why);
    arena_free(&w.names);
    return e;
}

enum err ledger_audit_books(struct store_tx *tx, struct ledger_report *out, struct why *why)
{
    struct audit audit = {.tx = tx, .books_only = true};
    arena_init(&audit.row, 0);
    enum err e = audit_accounts(&audit, why);
    arena_free(&audit.row);
    if (e == OK) {
        *out = audit.report;
    }
    return e;
}

enum err ledger_audit(struct store_tx *tx, ledger_book_fn each, void *ctx,
                      struct ledger_report *out, struct why *why)
{
    struct audit audit = {.tx = tx, .each = each, .each_ctx = ctx};
    arena_init(&audit.row, 0);
    enum err e = audit_accounts(&audit, why);
    if (e == OK) {
        e = audit_transfers(&audit, why);
    }
    arena_free(&audit.row);
    if (e == OK) {
        finish_digest(&audit);
        *out = audit.report;
    }
    return e;
}
