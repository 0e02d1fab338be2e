#include "kernel/ledger/ledger_rules.h"

#include "kernel/base/check.h"

/* ---- names ---- */

static bool is_name_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '.' || c == ':' || c == '-';
}

/* Names go into keys, logs and URLs: one alphabet, and no segment that could be lost on the way. */
static bool is_name(struct slice name, size_t len_max)
{
    if (name.len == 0 || name.len > len_max || name.ptr[name.len - 1] == '/') {
        return false;
    }
    bool segment_empty = true;
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_byte(name.ptr[i]) || (name.ptr[i] == '/' && segment_empty)) {
            return false;
        }
        segment_empty = name.ptr[i] == '/';
    }
    return true;
}

static enum err check_name(struct slice name, size_t len_max, const char *field, struct why *why)
{
    if (is_name(name, len_max)) {
        return OK;
    }
    return why_set(why, ERR_INVALID_FIELD, field,
                   "%s must be 1 to %zu letters, digits or /_.:- without empty segments.", field,
                   len_max);
}

enum err ledger_check_transfer(const struct ledger_transfer *t, struct why *why)
{
    const struct {
        struct slice name;
        size_t len_max;
        const char *field;
    } names[] = {
        {t->id, LEDGER_ID_MAX, "id"},         {t->book, LEDGER_BOOK_MAX, "book"},
        {t->debit, LEDGER_PATH_MAX, "debit"}, {t->credit, LEDGER_PATH_MAX, "credit"},
        {t->kind, LEDGER_KIND_MAX, "kind"},   {t->cause, LEDGER_ID_MAX, "cause"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        enum err e = check_name(names[i].name, names[i].len_max, names[i].field, why);
        if (e != OK) {
            return e;
        }
    }
    ASSERT((t->debit_flags & ~(unsigned)LEDGER_NO_OVERDRAFT) == 0);
    ASSERT((t->credit_flags & ~(unsigned)LEDGER_NO_OVERDRAFT) == 0);
    if (slice_equal(t->debit, t->credit)) {
        return why_set(why, ERR_INVALID_FIELD, "credit", "Account %.*s cannot give to itself.",
                       SLICE_ARG(t->debit));
    }
    if (u256_is_zero(t->amount)) {
        return why_set(why, ERR_INVALID_AMOUNT, "amount", "A transfer moves more than zero.");
    }
    return OK;
}

/* ---- totals ---- */

void ledger_sums_add(struct ledger_sums *sums, const struct ledger_row *row)
{
    for (size_t i = 0; i < 2; i++) {
        ledger_wide_add(&sums->pending[i], row->side[i].pending);
        ledger_wide_add(&sums->released[i], row->side[i].released);
        ledger_wide_add(&sums->posted[i], row->side[i].posted);
    }
}

static struct u256 narrow(const struct ledger_wide *sum)
{
    return sum->carries == 0 ? sum->low : U256_MAX;
}

enum err ledger_sums_end(const struct ledger_sums *sums, struct ledger_balance *out)
{
    struct ledger_sums s = *sums;
    for (size_t i = 0; i < 2; i++) {
        if (!ledger_wide_sub(&s.pending[i], &s.released[i])) {
            return ERR_CORRUPT;
        }
    }
    *out = (struct ledger_balance){
        .debits_pending = narrow(&s.pending[LEDGER_DEBIT]),
        .debits_posted = narrow(&s.posted[LEDGER_DEBIT]),
        .credits_pending = narrow(&s.pending[LEDGER_CREDIT]),
        .credits_posted = narrow(&s.posted[LEDGER_CREDIT]),
    };
    return OK;
}

/* The two totals of a balance that belong to a side. */
static void sum_of(struct ledger_balance *sum, enum ledger_side side, struct u256 **out_pending,
                   struct u256 **out_posted)
{
    *out_pending = side == LEDGER_DEBIT ? &sum->debits_pending : &sum->credits_pending;
    *out_posted = side == LEDGER_DEBIT ? &sum->debits_posted : &sum->credits_posted;
}

enum err ledger_account_hold(struct ledger_account *a, enum ledger_side side, struct u256 amount)
{
    struct ledger_total *mine = &a->mine.side[side];
    struct u256 *pending, *posted;
    sum_of(&a->sum, side, &pending, &posted);
    struct u256 mine_pending, sum_pending;
    if (u256_add(mine->pending, amount, &mine_pending) != OK ||
        u256_add(*pending, amount, &sum_pending) != OK) {
        return ERR_OVERFLOW;
    }
    mine->pending = mine_pending;
    *pending = sum_pending;
    a->changed = true;
    return OK;
}

enum err ledger_account_post(struct ledger_account *a, enum ledger_side side, struct u256 amount)
{
    struct ledger_total *mine = &a->mine.side[side];
    struct u256 *pending, *posted;
    sum_of(&a->sum, side, &pending, &posted);
    struct u256 mine_posted, sum_posted;
    if (u256_add(mine->posted, amount, &mine_posted) != OK ||
        u256_add(*posted, amount, &sum_posted) != OK) {
        return ERR_OVERFLOW;
    }
    mine->posted = mine_posted;
    *posted = sum_posted;
    a->changed = true;
    return OK;
}

enum err ledger_account_close(struct ledger_account *a, enum ledger_side side, bool own,
                              struct u256 held, struct u256 posted)
{
    ASSERT(u256_compare(posted, held) <= 0);
    struct ledger_account after = *a;
    struct ledger_total *mine = &after.mine.side[side];
    struct u256 *sum_pending, *sum_posted;
    sum_of(&after.sum, side, &sum_pending, &sum_posted);
    enum err e = own ? u256_sub(mine->pending, held, &mine->pending)
                     : u256_add(mine->released, held, &mine->released);
    if (e != OK || u256_sub(*sum_pending, held, sum_pending) != OK) {
        return ERR_OVERFLOW;
    }
    if (!u256_is_zero(posted) && ledger_account_post(&after, side, posted) != OK) {
        return ERR_OVERFLOW;
    }
    after.changed = true;
    *a = after;
    return OK;
}

bool ledger_is_overdrawn(const struct ledger_balance *balance)
{
    struct u256 debits;
    enum err e = u256_add(balance->debits_posted, balance->debits_pending, &debits);
    return e != OK || u256_compare(debits, balance->credits_posted) > 0;
}

struct u256 ledger_available(const struct ledger_balance *balance)
{
    struct u256 left = U256_ZERO;
    if (ledger_is_overdrawn(balance) ||
        u256_sub(balance->credits_posted, balance->debits_posted, &left) != OK ||
        u256_sub(left, balance->debits_pending, &left) != OK) {
        return U256_ZERO;
    }
    return left;
}
