/*
 * The transfers by themselves: whether each is one that the ledger could have written, and whether
 * the rows of totals that it moved are there.
 */
#include "kernel/base/check.h"
#include "kernel/ledger/ledger_audit.h"
#include "kernel/ledger/ledger_sql.h"

#define TRANSFERS_PAGE 512
#define TAG_TRANSFER 'T'
/* What a column that is NULL adds to the digest. */
#define NONE (-1)

struct audit_transfer {
    struct slice id;
    struct slice book;
    struct slice debit;
    struct slice credit;
    int64_t origin;
    bool held;
    struct u256 amount;
    struct u256 posted;
    int64_t state;
    int64_t closer; /* NONE while pending */
    struct slice kind;
    struct slice cause;
    int64_t debit_entry;
    int64_t credit_entry;
    int64_t created_usec;
    int64_t closed_usec; /* NONE while pending */
    bool known;
};

static void read_transfer(struct store_query *q, struct arena *arena, struct audit_transfer *out)
{
    out->id = store_get_text(q, "id", arena);
    out->book = store_get_text(q, "book", arena);
    out->debit = store_get_text(q, "debit", arena);
    out->credit = store_get_text(q, "credit", arena);
    out->origin = store_get_i64(q, "origin");
    out->held = store_get_bool(q, "held");
    out->amount = store_get_u256(q, "amount");
    out->posted = store_get_u256(q, "posted");
    out->state = store_get_i64(q, "state");
    out->closer = store_is_null(q, "closer") ? NONE : store_get_i64(q, "closer");
    out->kind = store_get_text(q, "kind", arena);
    out->cause = store_get_text(q, "cause", arena);
    out->debit_entry = store_get_i64(q, "debit_entry");
    out->credit_entry = store_get_i64(q, "credit_entry");
    out->created_usec = store_get_time(q, "created");
    out->closed_usec = store_is_null(q, "closed") ? NONE : store_get_time(q, "closed");
    out->known = store_get_bool(q, "known");
}

static bool is_sound(const struct audit_transfer *t)
{
    bool ended = t->closer != NONE && t->closed_usec != NONE;
    bool may_end = t->closer == t->origin || t->origin == 0;
    if (u256_is_zero(t->amount) || slice_equal(t->debit, t->credit)) {
        return false;
    }
    switch ((enum ledger_state)t->state) {
    case LEDGER_PENDING:
        return t->held && t->closer == NONE && t->closed_usec == NONE && u256_is_zero(t->posted);
    case LEDGER_POSTED:
        if (!t->held) {
            return t->closer == t->origin && t->closed_usec == t->created_usec &&
                   u256_equal(t->posted, t->amount);
        }
        return ended && may_end && !u256_is_zero(t->posted) &&
               u256_compare(t->posted, t->amount) <= 0;
    case LEDGER_VOIDED:
        return t->held && ended && may_end && u256_is_zero(t->posted);
    }
    return false;
}

static void digest_transfer(struct audit *audit, const struct audit_transfer *t)
{
    struct audit_digest d;
    audit_digest_begin(&d, audit, TAG_TRANSFER);
    audit_digest_text(&d, t->id);
    audit_digest_text(&d, t->book);
    audit_digest_text(&d, t->debit);
    audit_digest_text(&d, t->credit);
    audit_digest_i64(&d, t->origin);
    audit_digest_i64(&d, t->held);
    audit_digest_u256(&d, t->amount);
    audit_digest_u256(&d, t->posted);
    audit_digest_i64(&d, t->state);
    audit_digest_i64(&d, t->closer);
    audit_digest_text(&d, t->kind);
    audit_digest_text(&d, t->cause);
    audit_digest_i64(&d, t->debit_entry);
    audit_digest_i64(&d, t->credit_entry);
    audit_digest_i64(&d, t->created_usec);
    audit_digest_i64(&d, t->closed_usec);
    audit_digest_end(&d);
}

static void audit_transfer(struct audit *audit, const struct audit_transfer *t)
{
    audit->report.transfers++;
    if (!t->known) {
        audit_found(audit, LEDGER_TRANSFER_ORPHANED, t->book, SLICE_EMPTY, t->id);
    }
    if (!is_sound(t)) {
        audit_found(audit, LEDGER_TRANSFER_BROKEN, t->book, SLICE_EMPTY, t->id);
    }
    digest_transfer(audit, t);
}

/* *last becomes the id of the last transfer of the page, which lives in `arena`. */
static enum err audit_page(struct audit *audit, struct arena *arena, struct slice *last,
                           size_t *out_count, struct why *why)
{
    size_t count = 0;
    struct slice id = *last;
    struct store_query q;
    store_begin(&q, audit->tx, &ledger_sql_audit_transfers);
    store_bind_text(&q, "id", id);
    store_bind_i64(&q, "limit", TRANSFERS_PAGE);
    while (store_step(&q)) {
        struct audit_transfer t;
        read_transfer(&q, arena, &t);
        audit_transfer(audit, &t);
        id = t.id;
        count++;
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *last = id;
        *out_count = count;
    }
    return e;
}

/* Two arenas take turns, because a page is asked for by the last id of the one before it. */
enum err audit_transfers(struct audit *audit, struct why *why)
{
    struct arena arenas[2];
    arena_init(&arenas[0], 0);
    arena_init(&arenas[1], 0);
    struct slice last = SLICE_EMPTY;
    size_t count = TRANSFERS_PAGE;
    enum err e = OK;
    for (size_t page = 0; e == OK && count == TRANSFERS_PAGE; page++) {
        struct arena *arena = &arenas[page % 2];
        arena_clear(arena);
        e = audit_page(audit, arena, &last, &count, why);
    }
    arena_free(&arenas[0]);
    arena_free(&arenas[1]);
    return e;
}
