/*
 * The ledger against a model that is as simple as the books are: plain arrays, one row of totals
 * for each origin and account in GMP's integers, and a list of transfers from which everything is
 * added up again after a reorganisation. Random linked chains, holds and their ends, repeats,
 * repeats with other content, overdrafts, amounts around 2^256, by the engine and by blocks of two
 * chains that are undone again.
 */
#include "unit/kernel/ledger/random.h"

#define ORIGINS 3 /* the engine, chains 7 and 9 */
#define ACCOUNTS 14
#define SPELL 60 /* operations in one transaction */
#define CHAIN_MAX 4
#define FIRST_BLOCK 100
#define RECENT 400 /* transfers that are ended and repeated */

enum side {
    DEBIT,
    CREDIT,
    SIDES,
};

static const uint64_t chain_ids[ORIGINS] = {0, 7, 9};

struct moved {
    unsigned debit;
    unsigned credit;
    mpz_t amount;
    mpz_t posted;
    enum ledger_state state;
    bool held;
    bool gone; /* refused, or its block was orphaned */
    size_t origin;
    uint64_t block;
    size_t closer;
    uint64_t closer_block;
};

struct total {
    mpz_t pending; /* not ended by the origin itself */
    mpz_t released;
    mpz_t posted;
};

struct model {
    struct total rows[ORIGINS][ACCOUNTS][SIDES];
    struct moved *list;
    size_t count;
    size_t cap;
    uint64_t head[ORIGINS];
    mpz_t limit; /* 2^256 */
    mpz_t a;     /* scratch */
    mpz_t b;
    uint64_t done[8];
    uint64_t refused;
    uint64_t overflown;
};

enum {
    DID_POST,
    DID_HOLD,
    DID_REPEAT,
    DID_VOID,
    DID_SETTLE,
    DID_REORG,
};

/* Accounts 0 and 1 may go below zero, the others not. */
static bool is_capped(unsigned account)
{
    return account > 1;
}

/* The last four accounts keep a book of their own, in which amounts are as large as they get. */
static bool is_wide(unsigned account)
{
    return account >= ACCOUNTS - 4 || account == 1;
}

/* ---- arithmetic of the model ---- */

static void each_total(struct model *m, void (*f)(mpz_t))
{
    struct total *t = &m->rows[0][0][0];
    for (size_t i = 0; i < sizeof(m->rows) / sizeof(*t); i++) {
        f(t[i].pending);
        f(t[i].released);
        f(t[i].posted);
    }
}

static void set_zero(mpz_t value)
{
    mpz_set_ui(value, 0);
}

static void init_one(mpz_t value)
{
    mpz_init(value);
}

static void clear_one(mpz_t value)
{
    mpz_clear(value);
}

static void model_init(struct model *m)
{
    *m = (struct model){.cap = 1024};
    m->list = mem_alloc(m->cap * sizeof(m->list[0]));
    each_total(m, init_one);
    mpz_inits(m->limit, m->a, m->b, NULL);
    mpz_ui_pow_ui(m->limit, 2, 256);
    for (size_t i = 0; i < ORIGINS; i++) {
        m->head[i] = FIRST_BLOCK;
    }
}

static void model_clear(struct model *m)
{
    each_total(m, clear_one);
    mpz_clears(m->limit, m->a, m->b, NULL);
    for (size_t i = 0; i < m->count; i++) {
        mpz_clears(m->list[i].amount, m->list[i].posted, NULL);
    }
    mem_free(m->list);
}

static void sum_pending(struct model *m, unsigned account, enum side side, mpz_t out)
{
    mpz_set_ui(out, 0);
    for (size_t o = 0; o < ORIGINS; o++) {
        mpz_add(out, out, m->rows[o][account][side].pending);
        mpz_sub(out, out, m->rows[o][account][side].released);
    }
}

static void sum_posted(struct model *m, unsigned account, enum side side, mpz_t out)
{
    mpz_set_ui(out, 0);
    for (size_t o = 0; o < ORIGINS; o++) {
        mpz_add(out, out, m->rows[o][account][side].posted);
    }
}

/* Adds what a transfer did, or takes it off again. */
static void count_side(struct model *m, const struct moved *t, enum side side, int sign)
{
    void (*op)(mpz_t, const mpz_t, const mpz_t) = sign > 0 ? mpz_add : mpz_sub;
    unsigned account = side == DEBIT ? t->debit : t->credit;
    struct total *maker = &m->rows[t->origin][account][side];
    struct total *closer = &m->rows[t->closer][account][side];
    bool pending = t->state == LEDGER_PENDING;
    if (t->held && (pending || t->closer != t->origin)) {
        op(maker->pending, maker->pending, t->amount);
    }
    if (t->held && !pending && t->closer != t->origin) {
        op(closer->released, closer->released, t->amount);
    }
    if (t->state == LEDGER_POSTED) {
        op(closer->posted, closer->posted, t->posted);
    }
}

static void count(struct model *m, const struct moved *t, int sign)
{
    count_side(m, t, DEBIT, sign);
    count_side(m, t, CREDIT, sign);
}

static bool is_overdrawn(struct model *m, unsigned account)
{
    sum_pending(m, account, DEBIT, m->a);
    sum_posted(m, account, DEBIT, m->b);
    mpz_add(m->a, m->a, m->b);
    sum_posted(m, account, CREDIT, m->b);
    return mpz_cmp(m->a, m->b) > 0;
}

static bool fits(struct model *m, const mpz_t have, const mpz_t more)
{
    mpz_add(m->b, have, more);
    return mpz_cmp(m->b, m->limit) < 0;
}

/* Whether a side can take `amount` as pending or as posted. */
static bool side_fits(struct model *m, size_t origin, unsigned account, enum side side, bool held,
                      const mpz_t amount)
{
    const struct total *row = &m->rows[origin][account][side];
    (held ? sum_pending : sum_posted)(m, account, side, m->a);
    return fits(m, m->a, amount) && fits(m, held ? row->pending : row->posted, amount);
}

/* Keeps the transfer when it is legal. */
static enum err model_move(struct model *m, const struct moved *t)
{
    if (!side_fits(m, t->origin, t->debit, DEBIT, t->held, t->amount)) {
        return ERR_OVERFLOW;
    }
    bool credit_fits = side_fits(m, t->origin, t->credit, CREDIT, t->held, t->amount);
    count(m, t, 1);
    enum err e = OK;
    if (is_capped(t->debit) && is_overdrawn(m, t->debit)) {
        e = ERR_INSUFFICIENT_FUNDS;
    } else if (!credit_fits) {
        e = ERR_OVERFLOW;
    }
    if (e != OK) {
        count(m, t, -1);
    }
    return e;
}

static enum err model_make(struct model *m, struct moved *ts, size_t many)
{
    enum err e = OK;
    size_t kept = 0;
    while (e == OK && kept < many) {
        e = model_move(m, &ts[kept]);
        kept += e == OK;
    }
    for (size_t i = 0; e != OK && i < kept; i++) {
        count(m, &ts[i], -1);
    }
    m->refused += e == ERR_INSUFFICIENT_FUNDS;
    m->overflown += e == ERR_OVERFLOW;
    return e;
}

/* Whether the end of a hold fits the rows of both accounts. */
static bool close_fits(struct model *m, const struct moved *t, size_t closer, const mpz_t posted)
{
    for (enum side side = DEBIT; side < SIDES; side++) {
        unsigned account = side == DEBIT ? t->debit : t->credit;
        const struct total *row = &m->rows[closer][account][side];
        if (closer != t->origin && !fits(m, row->released, t->amount)) {
            return false;
        }
        if (mpz_sgn(posted) > 0 && !side_fits(m, closer, account, side, false, posted)) {
            return false;
        }
    }
    return true;
}

/* ---- operations ---- */

struct spell {
    struct model *m;
    struct arena *arena;
    size_t origin;
    uint64_t block; /* 0: the engine */
};

static struct moved *add_moved(struct model *m)
{
    if (m->count == m->cap) {
        m->cap *= 2;
        m->list = mem_resize(m->list, m->cap * sizeof(m->list[0]));
    }
    struct moved *t = &m->list[m->count++];
    *t = (struct moved){.state = LEDGER_PENDING};
    mpz_inits(t->amount, t->posted, NULL);
    return t;
}

static void draw_amount(const struct model *m, bool wide, mpz_t out)
{
    mpz_set_ui(out, 1 + rand_below(rand_below(8) == 0 ? 100000 : 900));
    if (!wide) {
        return;
    }
    struct u256 bits;
    uint8_t bytes[U256_BYTES];
    switch (rand_below(6)) {
    case 0: /* the largest ones */
        mpz_sub(out, m->limit, out);
        break;
    case 1: /* around the half */
        mpz_fdiv_q_2exp(out, m->limit, 1);
        mpz_sub_ui(out, out, rand_below(3));
        break;
    case 2:
    case 3:
        rand_bytes(bytes, sizeof(bytes));
        bytes[0] = (uint8_t)(bytes[0] >> rand_below(8));
        assert_int_equal(u256_decode_be(slice_of(bytes, sizeof(bytes)), &bits), OK);
        random_to_gmp(bits, out);
        mpz_add_ui(out, out, mpz_sgn(out) == 0);
        break;
    default: /* not an enum */
        break;
    }
}

static struct ledger_transfer transfer_of(const struct moved *t, size_t index, struct arena *arena)
{
    return (struct ledger_transfer){
        .id = slice_format(arena, "t/%zu", index),
        .book = is_wide(t->debit) ? S("wei") : S("usd"),
        .debit = slice_format(arena, "m/%u", t->debit),
        .credit = slice_format(arena, "m/%u", t->credit),
        .debit_flags = is_capped(t->debit) ? LEDGER_NO_OVERDRAFT : 0,
        .credit_flags = is_capped(t->credit) ? LEDGER_NO_OVERDRAFT : 0,
        .amount = random_from_gmp(t->amount),
        .kind = S("model"),
        .cause = S("model"),
        .when_usec = (int64_t)t->block,
    };
}

static unsigned draw_account(bool wide, bool debit)
{
    for (;;) {
        unsigned account = (unsigned)rand_below(debit && rand_below(3) == 0 ? 2 : ACCOUNTS);
        if (is_wide(account) == wide) {
            return account;
        }
    }
}

static enum err do_make(struct store_tx *tx, struct spell *s)
{
    struct model *m = s->m;
    struct ledger_transfer real[CHAIN_MAX];
    size_t many = 1 + rand_below(CHAIN_MAX);
    size_t first = m->count;
    bool held = rand_below(2) == 0;
    bool wide = rand_below(4) == 0;
    for (size_t i = 0; i < many; i++) {
        struct moved *t = add_moved(m);
        t->debit = draw_account(wide, true);
        do {
            t->credit = draw_account(wide, false);
        } while (t->credit == t->debit);
        draw_amount(m, wide, t->amount);
        t->held = held;
        t->origin = t->closer = s->origin;
        t->block = t->closer_block = s->block;
        if (!held) {
            t->state = LEDGER_POSTED;
            mpz_set(t->posted, t->amount);
        }
        real[i] = transfer_of(t, first + i, s->arena);
    }
    enum err want = model_make(m, &m->list[first], many);
    enum err got = held ? ledger_hold(tx, real, many, NULL) : ledger_post(tx, real, many, NULL);
    for (size_t i = 0; i < many; i++) {
        m->list[first + i].gone = want != OK; /* their ids are not used again */
    }
    m->done[held ? DID_HOLD : DID_POST] += want == OK;
    return want == got ? OK : ERR_INTERNAL;
}

static size_t draw_recent(const struct model *m)
{
    return m->count - 1 - rand_below(m->count < RECENT ? m->count : RECENT);
}

static enum err do_repeat(struct store_tx *tx, struct spell *s)
{
    struct model *m = s->m;
    size_t i = draw_recent(m);
    const struct moved *t = &m->list[i];
    if (t->gone) {
        return OK;
    }
    struct ledger_transfer real = transfer_of(t, i, s->arena);
    real.when_usec = (int64_t)s->block;
    bool other = rand_below(2) == 0;
    if (other) {
        real.amount = u256_from_u64(1000000);
    }
    enum err got = t->held ? ledger_hold(tx, &real, 1, NULL) : ledger_post(tx, &real, 1, NULL);
    m->done[DID_REPEAT]++;
    return got == (other ? ERR_IDEMPOTENCY_MISMATCH : OK) ? OK : ERR_INTERNAL;
}

/* What the model says to the end of a hold; *out_changes when it does something. */
static enum err judge_close(struct model *m, const struct moved *t, size_t closer, bool voids,
                            const mpz_t posted, bool *out_changes)
{
    *out_changes = false;
    if (t->gone) {
        return ERR_NOT_FOUND;
    }
    if (t->state != LEDGER_PENDING) {
        bool same = voids ? t->state == LEDGER_VOIDED
                          : t->state == LEDGER_POSTED && mpz_cmp(t->posted, posted) == 0;
        return same ? OK : ERR_CONFLICT;
    }
    if (t->origin != 0 && t->origin != closer) {
        return ERR_CONFLICT;
    }
    if (mpz_cmp(posted, t->amount) > 0) {
        return ERR_OVERFLOW;
    }
    if (!close_fits(m, t, closer, posted)) {
        m->overflown++;
        return ERR_OVERFLOW;
    }
    *out_changes = true;
    return OK;
}

static void draw_posted(const struct moved *t, bool voids, mpz_t out)
{
    mpz_set_ui(out, 0);
    if (!voids) {
        /* Up to an eighth more than there is. */
        mpz_mul_ui(out, t->amount, 1 + rand_below(9));
        mpz_fdiv_q_2exp(out, out, 3);
        if (mpz_sgn(out) == 0) {
            mpz_set(out, t->amount);
        }
        if (mpz_sizeinbase(out, 2) > 256) {
            mpz_set(out, t->amount);
        }
    }
}

static enum err do_close(struct store_tx *tx, struct spell *s)
{
    struct model *m = s->m;
    size_t i = draw_recent(m);
    struct moved *t = &m->list[i];
    struct slice id = slice_format(s->arena, "t/%zu", i);
    bool voids = rand_below(3) == 0;
    bool changes = false;
    mpz_t posted;
    mpz_init(posted);
    draw_posted(t, voids, posted);
    enum err want = judge_close(m, t, s->origin, voids, posted, &changes);
    enum err got = voids ? ledger_void(tx, id, (int64_t)s->block, NULL)
                         : ledger_settle(tx, id, random_from_gmp(posted), (int64_t)s->block, NULL);
    if (changes) {
        count(m, t, -1);
        t->state = voids ? LEDGER_VOIDED : LEDGER_POSTED;
        mpz_set(t->posted, posted);
        t->closer = s->origin;
        t->closer_block = s->block;
        count(m, t, 1);
        m->done[voids ? DID_VOID : DID_SETTLE]++;
    }
    mpz_clear(posted);
    return want == got ? OK : ERR_INTERNAL;
}

/* A total beyond the range, which only a reorganisation makes, is told as the largest number. */
static bool is_told(struct model *m, struct u256 got, const mpz_t want)
{
    random_to_gmp(got, m->b);
    if (mpz_cmp(want, m->limit) >= 0) {
        mpz_add_ui(m->b, m->b, 1);
        return mpz_cmp(m->b, m->limit) == 0;
    }
    return mpz_cmp(m->b, want) == 0;
}

static enum err balances_equal(struct store_tx *tx, struct spell *s)
{
    struct model *m = s->m;
    for (unsigned account = 0; account < ACCOUNTS; account++) {
        struct ledger_balance b;
        enum err e = ledger_balance_read(tx, is_wide(account) ? S("wei") : S("usd"),
                                         slice_format(s->arena, "m/%u", account), &b, NULL);
        if (e != OK) {
            return e;
        }
        const struct u256 pending[SIDES] = {b.debits_pending, b.credits_pending};
        const struct u256 posted[SIDES] = {b.debits_posted, b.credits_posted};
        for (enum side side = DEBIT; side < SIDES; side++) {
            sum_pending(m, account, side, m->a);
            if (!is_told(m, pending[side], m->a)) {
                return ERR_CORRUPT;
            }
            sum_posted(m, account, side, m->a);
            if (!is_told(m, posted[side], m->a)) {
                return ERR_CORRUPT;
            }
        }
    }
    return OK;
}

/* A block of a chain, or a spell of the engine's own doing. */
static enum err spell_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct spell *s = ctx;
    enum err e = s->block != 0 ? store_undo_begin(tx, chain_ids[s->origin], s->block, why) : OK;
    for (size_t i = 0; e == OK && i < SPELL; i++) {
        uint64_t kind = rand_below(10);
        if (kind < 5 || s->m->count == 0) {
            e = do_make(tx, s);
        } else if (kind < 9) {
            e = do_close(tx, s);
        } else {
            e = do_repeat(tx, s);
        }
        if (e == OK && i % 17 == 0) {
            e = balances_equal(tx, s);
        }
    }
    if (s->block != 0) {
        enum err ended = store_undo_end(tx, why);
        e = e == OK ? ended : e;
    }
    return e == OK ? balances_equal(tx, s) : e;
}

static void reorg(struct model *m, size_t origin, uint64_t from_block)
{
    assert_int_equal(rollback(chain_ids[origin], from_block, NULL), OK);
    each_total(m, set_zero);
    for (size_t i = 0; i < m->count; i++) {
        struct moved *t = &m->list[i];
        if (t->origin == origin && t->block >= from_block) {
            t->gone = true;
        } else if (t->held && t->state != LEDGER_PENDING && t->closer == origin &&
                   t->closer_block >= from_block) {
            t->state = LEDGER_PENDING;
            mpz_set_ui(t->posted, 0);
            t->closer = t->origin;
        }
        if (!t->gone) {
            count(m, t, 1);
        }
    }
    m->head[origin] = from_block - 1;
    m->done[DID_REORG]++;
}

static void audit_agrees(struct model *m)
{
    struct ledger_report r = audit();
    uint64_t overdrawn = 0;
    uint64_t transfers = 0;
    for (unsigned account = 0; account < ACCOUNTS; account++) {
        overdrawn += is_capped(account) && is_overdrawn(m, account);
    }
    for (size_t i = 0; i < m->count; i++) {
        transfers += !m->list[i].gone;
    }
    assert_int_equal(r.transfers, transfers);
    assert_int_equal(r.found[LEDGER_OVERDRAWN], overdrawn);
    for (int f = LEDGER_SOUND; f < LEDGER_FINDINGS; f++) {
        assert_true(f == LEDGER_OVERDRAWN || r.found[f] == 0);
    }
}

static void random_sequences_match_the_model(void **state)
{
    (void)state;
    static struct model m;
    struct arena scratch;
    uint64_t rounds = 0;
    arena_init(&scratch, 0);
    random_begin(support_on_postgres() ? 60 : 250, &rounds);
    model_init(&m);
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t who = rand_below(5);
        struct spell s = {.m = &m, .arena = &scratch};
        if (who >= 2) {
            s.origin = who == 2 ? 2 : 1;
            s.block = ++m.head[s.origin];
        }
        struct why why = {0};
        enum err e = store_write(fixture.store, spell_fn, &s, &why);
        if (e != OK) {
            fail_msg("round %llu: %s", (unsigned long long)round, why_text(&why, e));
        }
        if (rand_below(12) == 0) {
            size_t origin = 1 + (size_t)rand_below(2);
            uint64_t depth = 1 + rand_below(6);
            uint64_t head = m.head[origin];
            reorg(&m, origin, head > FIRST_BLOCK + depth ? head - depth + 1 : FIRST_BLOCK + 1);
        }
        if (rand_below(20) == 0 || round + 1 == rounds) {
            audit_agrees(&m);
        }
        arena_clear(&scratch);
    }
    /* The run is worth something only when every kind of operation happened often. */
    for (size_t kind = DID_POST; kind <= DID_SETTLE; kind++) {
        assert_true(m.done[kind] > rounds);
    }
    assert_true(m.done[DID_REORG] > 0 && m.refused > rounds && m.overflown > rounds / 2);
    model_clear(&m);
    arena_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(random_sequences_match_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
