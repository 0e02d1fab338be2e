/* ofbook.h - the reference matcher: SLOW ON PURPOSE, to be read and believed.
 *
 * The live orders of one side of a symbol lie in one unsorted array; "the best
 * resting order" is found by looking at all of them.  There is no price level,
 * no queue, no tree and no cache to get wrong.  The rules it follows are the ones
 * written in README.md ("Matching semantics"); the numbers R1..R16 in the
 * comments are the rule numbers there.
 *
 * Used by ofref (makes the expected tapes) and ofgen (so that the generator
 * knows which orders are alive when it picks one to cancel or replace).
 */
#ifndef OFBOOK_H
#define OFBOOK_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct op {
    uint64_t seq, id;
    char op, side, type, tif; /* N C R | B S - | L M S - | G I F - */
    int64_t price, qty;       /* ticks, lots */
    uint32_t sym, acct;
    int64_t stop;
    int post; /* 1 = post-only */
    char stp; /* 0, 'n','o','b','d' */
} op_t;

enum { ST_NONE = 0, ST_LIVE, ST_PARKED, ST_QUEUED, ST_DONE };

typedef struct order {
    uint64_t id, prio; /* prio: smaller = earlier */
    uint32_t sym, acct;
    char side, type, tif, stp;
    int post, state;
    int64_t price, stop, total, cum;
    size_t at; /* index in its list */
} order_t;

typedef struct ent {
    int64_t key;
    uint64_t prio;
    order_t *o;
} ent_t;
typedef struct list {
    ent_t *e;
    size_t n, cap;
} list_t; /* in no order */

typedef struct book {
    list_t bid, ask; /* key = price */
    list_t park;     /* untriggered stops, key = stop price */
    int64_t last;    /* last trade price, 0 = none yet */
} book_t;

typedef struct venue {
    book_t *b;
    uint32_t nsym;
    order_t **byid;
    size_t idcap;
    uint64_t prio;
    int lose_prio; /* 1: every replace loses priority (R9 variant) */
    uint64_t seq;
    FILE *tape, *events;
    /* results */
    uint64_t ntrades, vol, mix;
    unsigned __int128 turnover;
    uint64_t nrej, ncxl, ntrig;
} venue_t;

static inline int64_t leaves(const order_t *o)
{
    return o->total - o->cum;
}

static inline void tape_mix(uint64_t *h, uint64_t w)
{
    *h = (*h ^ w) * 0x9E3779B97F4A7C15ull;
    *h ^= *h >> 32;
}

static void venue_init(venue_t *v, uint32_t nsym)
{
    memset(v, 0, sizeof *v);
    v->nsym = nsym;
    v->b = calloc(nsym, sizeof *v->b);
    v->mix = 0xcbf29ce484222325ull;
}

static order_t *find(venue_t *v, uint64_t id)
{
    return id < v->idcap ? v->byid[id] : NULL;
}

static void remember(venue_t *v, order_t *o)
{
    if (o->id >= v->idcap) {
        size_t n = v->idcap ? v->idcap : 1024;
        while (n <= o->id)
            n *= 2;
        v->byid = realloc(v->byid, n * sizeof *v->byid);
        memset(v->byid + v->idcap, 0, (n - v->idcap) * sizeof *v->byid);
        v->idcap = n;
    }
    v->byid[o->id] = o;
}

static list_t *list_of(venue_t *v, const order_t *o)
{
    book_t *b = &v->b[o->sym];
    return o->state == ST_PARKED ? &b->park : o->side == 'B' ? &b->bid : &b->ask;
}

static void put(venue_t *v, order_t *o, int state)
{
    o->prio = ++v->prio; /* R2: time priority = order of (re-)entry */
    o->state = state;
    list_t *l = list_of(v, o);
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->e = realloc(l->e, l->cap * sizeof *l->e);
    }
    o->at = l->n;
    l->e[l->n++] = (ent_t){state == ST_PARKED ? o->stop : o->price, o->prio, o};
}

static void take(venue_t *v, order_t *o, int state)
{
    list_t *l = list_of(v, o);
    l->e[o->at] = l->e[--l->n];
    l->e[o->at].o->at = o->at;
    o->state = state;
}

static int crosses(char taker_side, int market, int64_t limit, int64_t maker_price)
{
    if (market)
        return 1;
    return taker_side == 'B' ? maker_price <= limit : maker_price >= limit;
}

/* is (price x, prio xp) ahead of (y, yp) on this side?  R1 price, then R2 time */
static int ahead(char side, int64_t x, uint64_t xp, int64_t y, uint64_t yp)
{
    if (x != y)
        return side == 'B' ? x > y : x < y;
    return xp < yp;
}

/* the best resting order of a side; with `after`, the best of those behind it */
static order_t *best_of(book_t *b, char side, const order_t *after)
{
    list_t *l = side == 'B' ? &b->bid : &b->ask;
    ent_t *best = NULL;
    for (ent_t *e = l->e; e < l->e + l->n; e++) {
        if (after && !ahead(side, after->price, after->prio, e->key, e->prio))
            continue;
        if (!best || ahead(side, e->key, e->prio, best->key, best->prio))
            best = e;
    }
    return best ? best->o : NULL;
}

static order_t *best(book_t *b, char side)
{
    return best_of(b, side, NULL);
}

static void ev_cancel(venue_t *v, order_t *o, char why, int64_t left)
{
    v->ncxl++;
    if (v->events)
        fprintf(v->events, "X,%llu,%llu,%c,%lld\n", (unsigned long long)v->seq,
                (unsigned long long)o->id, why, (long long)left);
}

static void ev_reject(venue_t *v, uint64_t id, char why)
{
    v->nrej++;
    if (v->events)
        fprintf(v->events, "J,%llu,%llu,%c\n", (unsigned long long)v->seq, (unsigned long long)id,
                why);
}

static void trade(venue_t *v, order_t *maker, order_t *taker, int64_t q)
{
    int64_t p = maker->price; /* R3: always the maker's price */
    maker->cum += q;
    taker->cum += q;
    v->b[taker->sym].last = p;
    v->ntrades++;
    v->vol += (uint64_t)q;
    v->turnover += (unsigned __int128)p * (uint64_t)q;
    tape_mix(&v->mix, maker->id);
    tape_mix(&v->mix, taker->id);
    tape_mix(&v->mix, (uint64_t)p);
    tape_mix(&v->mix, (uint64_t)q);
    if (v->tape)
        fprintf(v->tape, "%llu,%llu,%lld,%lld\n", (unsigned long long)maker->id,
                (unsigned long long)taker->id, (long long)p, (long long)q);
    if (v->events)
        fprintf(v->events, "T,%llu,%llu,%llu,%lld,%lld\n", (unsigned long long)v->seq,
                (unsigned long long)maker->id, (unsigned long long)taker->id, (long long)p,
                (long long)q);
}

/* R6: can `o` be filled whole, by trades alone, right now?  Changes nothing. */
static int fok_possible(venue_t *v, order_t *o)
{
    book_t *b = &v->b[o->sym];
    char opp = o->side == 'B' ? 'S' : 'B';
    int64_t need = leaves(o);
    order_t *m = NULL;
    for (;;) {
        m = best_of(b, opp, m);
        if (!m || !crosses(o->side, o->type == 'M', o->price, m->price))
            return 0;
        if (o->stp && m->acct == o->acct) {
            if (o->stp == 'o')
                continue; /* would be cancelled: gives no quantity */
            return 0;     /* n, b, d: cannot fill by trades alone */
        }
        need -= leaves(m);
        if (need <= 0)
            return 1;
    }
}

/* Match `o` (not on the book) and rest, expire or finish what is left. */
static void enter(venue_t *v, order_t *o)
{
    book_t *b = &v->b[o->sym];
    char opp = o->side == 'B' ? 'S' : 'B';
    int market = o->type == 'M';

    if (o->tif == 'F' && !fok_possible(v, o)) { /* R6 */
        o->state = ST_DONE;
        ev_cancel(v, o, 'F', leaves(o));
        return;
    }
    while (leaves(o) > 0) { /* R3 */
        order_t *m = best(b, opp);
        if (!m || !crosses(o->side, market, o->price, m->price))
            break;
        if (o->stp && m->acct == o->acct) { /* R10: the taker's mode rules */
            int64_t q = leaves(m) < leaves(o) ? leaves(m) : leaves(o);
            switch (o->stp) {
            case 'o':
                take(v, m, ST_DONE);
                ev_cancel(v, m, 'S', leaves(m));
                continue;
            case 'n':
                o->state = ST_DONE;
                ev_cancel(v, o, 'S', leaves(o));
                return;
            case 'b':
                take(v, m, ST_DONE);
                ev_cancel(v, m, 'S', leaves(m));
                o->state = ST_DONE;
                ev_cancel(v, o, 'S', leaves(o));
                return;
            default: /* not an enum */ /* 'd': both totals shrink by q, no trade */
                m->total -= q;
                o->total -= q;
                if (!leaves(m)) {
                    take(v, m, ST_DONE);
                    ev_cancel(v, m, 'S', 0);
                }
                if (!leaves(o)) {
                    o->state = ST_DONE;
                    ev_cancel(v, o, 'S', 0);
                    return;
                }
                continue;
            }
        }
        int64_t q = leaves(m) < leaves(o) ? leaves(m) : leaves(o);
        trade(v, m, o, q);
        if (!leaves(m))
            take(v, m, ST_DONE);
    }
    if (leaves(o) == 0) {
        o->state = ST_DONE;
        return;
    }
    if (market) {
        o->state = ST_DONE;
        ev_cancel(v, o, 'M', leaves(o));
    } /* R5 */
    else if (o->tif == 'I') {
        o->state = ST_DONE;
        ev_cancel(v, o, 'I', leaves(o));
    } /* R4 */
    else
        put(v, o, ST_LIVE);
}

static int stop_met(const book_t *b, const order_t *o) /* R11 */
{
    if (!b->last)
        return 0;
    return o->side == 'B' ? b->last >= o->stop : b->last <= o->stop;
}

static void ev_trigger(venue_t *v, order_t *o)
{
    v->ntrig++;
    if (v->events)
        fprintf(v->events, "G,%llu,%llu\n", (unsigned long long)v->seq, (unsigned long long)o->id);
}

/* R12: after an N or R is wholly done, release stops, one at a time, FIFO. */
static void cascade(venue_t *v, uint32_t sym)
{
    book_t *b = &v->b[sym];
    order_t **q = NULL;
    size_t head = 0, tail = 0, cap = 0;
    for (;;) {
        for (;;) { /* append every parked stop that is now met */
            order_t *pick = NULL;
            for (size_t i = 0; i < b->park.n; i++) {
                order_t *o = b->park.e[i].o;
                if (!stop_met(b, o))
                    continue;
                if (!pick) {
                    pick = o;
                    continue;
                }
                if (o->side != pick->side) {
                    if (o->side == 'B')
                        pick = o;
                    continue;
                }
                int nearer = o->side == 'B' ? o->stop < pick->stop : o->stop > pick->stop;
                if (nearer || (o->stop == pick->stop && o->prio < pick->prio))
                    pick = o;
            }
            if (!pick)
                break;
            take(v, pick, ST_QUEUED);
            ev_trigger(v, pick);
            if (tail == cap) {
                cap = cap ? cap * 2 : 16;
                q = realloc(q, cap * sizeof *q);
            }
            q[tail++] = pick;
        }
        if (head == tail)
            break;
        enter(v, q[head++]); /* becomes an ordinary limit order, new priority */
    }
    free(q);
}

static int would_cross(venue_t *v, uint32_t sym, char side, int64_t price)
{
    order_t *m = best(&v->b[sym], side == 'B' ? 'S' : 'B');
    return m && crosses(side, 0, price, m->price);
}

static void apply(venue_t *v, const op_t *p)
{
    v->seq = p->seq;
    if (p->op == 'N') {
        int bad = p->qty <= 0 || (p->side != 'B' && p->side != 'S') || p->sym >= v->nsym ||
                  (p->type != 'M' && p->price <= 0) || (p->type == 'M' && p->tif == 'G') ||
                  (p->type == 'S' && (p->stop <= 0 || p->post)) ||
                  (p->post && (p->type != 'L' || p->tif != 'G'));
        if (bad) {
            ev_reject(v, p->id, 'V');
            return;
        } /* R14 */
        if (find(v, p->id)) {
            ev_reject(v, p->id, 'D');
            return;
        }                                                           /* R14 */
        if (p->post && would_cross(v, p->sym, p->side, p->price)) { /* R7 */
            ev_reject(v, p->id, 'P');
            return;
        }
        order_t *o = calloc(1, sizeof *o);
        o->id = p->id;
        o->sym = p->sym;
        o->acct = p->acct;
        o->side = p->side;
        o->type = p->type;
        o->tif = p->tif;
        o->stp = p->stp;
        o->post = p->post;
        o->price = p->type == 'M' ? 0 : p->price;
        o->stop = p->stop;
        o->total = p->qty;
        remember(v, o);
        if (o->type == 'S') {
            if (!stop_met(&v->b[o->sym], o)) {
                put(v, o, ST_PARKED);
                return;
            }
            ev_trigger(v, o);
        }
        enter(v, o);
        cascade(v, o->sym);
    } else if (p->op == 'C') {
        order_t *o = find(v, p->id);
        if (!o || o->state == ST_DONE) {
            ev_reject(v, p->id, 'U');
            return;
        }
        take(v, o, ST_DONE);
        ev_cancel(v, o, 'C', leaves(o));
    } else if (p->op == 'R') {
        order_t *o = find(v, p->id);
        if (!o || o->state == ST_DONE) {
            ev_reject(v, p->id, 'U');
            return;
        }
        if (p->price <= 0 || p->qty <= 0) {
            ev_reject(v, p->id, 'V');
            return;
        }
        if (o->state == ST_PARKED) {
            ev_reject(v, p->id, 'S');
            return;
        }                       /* R13 */
        if (p->qty <= o->cum) { /* R8 */
            int64_t left = leaves(o);
            take(v, o, ST_DONE);
            ev_cancel(v, o, 'R', left);
            return;
        }
        if (!v->lose_prio && p->price == o->price && p->qty <= o->total) { /* R9 */
            o->total = p->qty;
            return;
        }
        if (o->post && would_cross(v, o->sym, o->side, p->price)) { /* R7 */
            ev_reject(v, p->id, 'P');
            return;
        }
        take(v, o, ST_QUEUED);
        o->price = p->price;
        o->total = p->qty;
        enter(v, o);
        cascade(v, o->sym);
    }
}

/* ---- text line <-> op ---------------------------------------------------- */
static int parse_line(const char *s, op_t *p)
{
    unsigned long long seq, id;
    long long price, qty, stop;
    unsigned sym, acct;
    char fl[8];
    if (sscanf(s, "%llu,%c,%llu,%c,%c,%c,%lld,%lld,%u,%u,%lld,%7[A-Za-z-]", &seq, &p->op, &id,
               &p->side, &p->type, &p->tif, &price, &qty, &sym, &acct, &stop, fl) != 12)
        return -1;
    p->seq = seq;
    p->id = id;
    p->price = price;
    p->qty = qty;
    p->stop = stop;
    p->sym = sym;
    p->acct = acct;
    p->post = 0;
    p->stp = 0;
    for (char *c = fl; *c; c++) {
        if (*c == 'P')
            p->post = 1;
        else if (strchr("nobd", *c))
            p->stp = *c;
    }
    return 0;
}

static void print_line(FILE *f, const op_t *p)
{
    char fl[4];
    int k = 0;
    if (p->post)
        fl[k++] = 'P';
    if (p->stp)
        fl[k++] = p->stp;
    if (!k)
        fl[k++] = '-';
    fl[k] = 0;
    fprintf(f, "%llu,%c,%llu,%c,%c,%c,%lld,%lld,%u,%u,%lld,%s\n", (unsigned long long)p->seq, p->op,
            (unsigned long long)p->id, p->side, p->type, p->tif, (long long)p->price,
            (long long)p->qty, p->sym, p->acct, (long long)p->stop, fl);
}
#endif
