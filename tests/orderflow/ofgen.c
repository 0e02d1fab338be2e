/* ofgen - deterministic order-flow generator.  Integer arithmetic only, so the
 * same arguments give the same bytes on any machine.  See README.md.
 *   ofgen -n OPS [-y SYMBOLS] [-s SEED] [-p core|full] [-l LIVE] [-m N,C,R]
 *         [-w WALK] [-k MARKETABLE%] [-t TAKERMUL] > flow.txt
 */
#include "ofbook.h"
#include <unistd.h>

/* xoshiro256** seeded by splitmix64 (both public-domain algorithms; own code) */
static uint64_t S[4];
static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}
static uint64_t rnd64(void)
{
    uint64_t r = rotl(S[1] * 5, 7) * 9, t = S[1] << 17;
    S[2] ^= S[0];
    S[3] ^= S[1];
    S[1] ^= S[2];
    S[0] ^= S[3];
    S[2] ^= t;
    S[3] = rotl(S[3], 45);
    return r;
}
static void seed(uint64_t x)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (x += 0x9E3779B97F4A7C15ull);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        S[i] = z ^ (z >> 31);
    }
}
static uint64_t rnd(uint64_t n)
{
    return (uint64_t)(((unsigned __int128)rnd64() * n) >> 64);
}
static int pct(unsigned p)
{
    return rnd(100) < p;
}

/* passive distance from the fair price: power-law tail, 0..510 ticks */
static int64_t dist(void)
{
    int k = 0;
    while (k < 8 && (rnd64() >> 63))
        k++;
    return ((int64_t)1 << k) - 1 + (int64_t)rnd((uint64_t)1 << k);
}
static int64_t size(void)
{
    unsigned u = (unsigned)rnd(100);
    if (u < 60)
        return 1 + (int64_t)rnd(20);
    if (u < 90)
        return 10 * (1 + (int64_t)rnd(10));
    return 100 * (1 + (int64_t)rnd(10));
}

static size_t blive(const book_t *b)
{
    return b->bid.n + b->ask.n + b->park.n;
}
static order_t *pick_live(const book_t *b)
{
    size_t i = rnd(blive(b));
    if (i < b->bid.n)
        return b->bid.e[i].o;
    i -= b->bid.n;
    if (i < b->ask.n)
        return b->ask.e[i].o;
    return b->park.e[i - b->ask.n].o;
}

typedef struct {
    int64_t f, f0;
    uint64_t ring[64];
    unsigned nring;
} symst_t;

int main(int argc, char **argv)
{
    uint64_t n = 100000, sd = 42;
    uint32_t ny = 1;
    int full = 0, c;
    long live_target = 0;
    unsigned pn = 60, pc = 30, pr = 5;
    unsigned walk = 256, pmk = 2;
    int64_t tmul = 1;
    while ((c = getopt(argc, argv, "n:y:s:p:l:m:w:k:t:")) != -1)
        switch (c) {
        case 'n':
            n = strtoull(optarg, 0, 10);
            break;
        case 'y':
            ny = (uint32_t)atoi(optarg);
            break;
        case 's':
            sd = strtoull(optarg, 0, 10);
            break;
        case 'p':
            full = optarg[0] == 'f';
            break;
        case 'l':
            live_target = atol(optarg);
            break;
        case 'm':
            if (sscanf(optarg, "%u,%u,%u", &pn, &pc, &pr) != 3)
                return 2;
            break;
        case 'w':
            walk = (unsigned)atoi(optarg);
            break;
        case 'k':
            pmk = (unsigned)atoi(optarg);
            break;
        case 't':
            tmul = atol(optarg);
            break;
        default: /* not an enum */
            return 2;
        }
    if (!live_target)
        live_target = ny == 1 ? 5000 : 1000;
    seed(sd);
    venue_t v;
    venue_init(&v, ny);
    symst_t *st = calloc(ny, sizeof *st);
    uint64_t *cumw = calloc(ny, sizeof *cumw), wsum = 0;
    for (uint32_t i = 0; i < ny; i++) { /* activity ~ 1/(rank+1), integer weights */
        st[i].f = st[i].f0 = 10000 + (int64_t)((i * 373u) % 5000u);
        wsum += 1000000u / (i + 1);
        cumw[i] = wsum;
    }
    printf("# orderflow v1 profile=%s ops=%llu symbols=%u seed=%llu live=%ld mix=%u/%u/%u/%u "
           "walk=%u marketable=%u%% takermul=%lld\n",
           full ? "full" : "core", (unsigned long long)n, ny, (unsigned long long)sd, live_target,
           pn, pc, pr, 100 - pn - pc - pr, walk, pmk, (long long)tmul);
    printf("# seq,op,id,side,type,tif,price,qty,sym,acct,stop,flags\n");
    uint64_t next = 1, cnt[5] = {0}, taker_cnt[3] = {0};
    uint32_t nacct = full ? 40 : 1000;
    static const char modes[5] = {0, 'n', 'o', 'b', 'd'};

    for (uint64_t seq = 1; seq <= n; seq++) {
        uint64_t w = rnd(wsum);
        uint32_t y = 0;
        if (ny > 1) {
            uint32_t lo = 0, hi = ny - 1;
            while (lo < hi) {
                uint32_t m = (lo + hi) / 2;
                if (cumw[m] > w)
                    hi = m;
                else
                    lo = m + 1;
            }
            y = lo;
        }
        symst_t *s = &st[y];
        book_t *b = &v.b[y];
        if (rnd(walk) == 0) { /* the fair price walks */
            s->f += (rnd64() >> 63) ? 1 : -1;
            if (s->f < s->f0 / 2)
                s->f++;
            if (s->f > s->f0 * 3 / 2)
                s->f--;
        }
        op_t p;
        memset(&p, 0, sizeof p);
        p.seq = seq;
        p.sym = y;
        p.side = p.type = p.tif = '-';
        unsigned u = (unsigned)rnd(100);
        int kind = u < pn ? 0 : u < pn + pc ? 1 : u < pn + pc + pr ? 2 : 3;
        /* keep the book near its target: too full -> some N become C; too thin -> C become N */
        if (kind == 0 && (long)blive(b) > live_target && pct(50))
            kind = 1;
        if (kind == 1 && (long)blive(b) < live_target / 2 && pct(80))
            kind = 0;
        if ((kind == 1 || kind == 2) && blive(b) == 0)
            kind = 0;

        if (kind == 0 || kind == 3) { /* a new order */
            p.op = 'N';
            p.id = next++;
            p.acct = 1 + (uint32_t)rnd(nacct);
            p.side = (rnd64() >> 63) ? 'B' : 'S';
            int64_t sg = p.side == 'B' ? 1 : -1;
            p.type = 'L';
            p.tif = 'G';
            if (kind == 0) {
                p.qty = size();
                if (pct(pmk))
                    p.price = s->f + sg * (1 + (int64_t)rnd(4)); /* marketable */
                else
                    p.price = s->f - sg * (1 + dist()); /* passive */
                if (full) {
                    if (pct(6)) {
                        p.type = 'S';
                        p.stop = s->f + sg * (1 + (int64_t)rnd(40));
                        p.price = p.stop + sg * (int64_t)rnd(6);
                        if (pct(10))
                            p.tif = 'I';
                        else if (pct(5))
                            p.tif = 'F';
                    } else if (pct(15))
                        p.post = 1;
                }
            } else {
                p.qty = tmul * size();
                unsigned t = (unsigned)rnd(100);
                if (t < 50) {
                    p.type = 'M';
                    p.tif = full && pct(10) ? 'F' : 'I';
                    p.price = 0;
                    taker_cnt[0]++;
                } else {
                    p.price = s->f + sg * (int64_t)rnd(6);
                    p.tif = t < 80 ? 'I' : 'F';
                    taker_cnt[t < 80 ? 1 : 2]++;
                }
            }
            if (p.type != 'M' && p.price < 1)
                p.price = 1;
            if (full) {
                p.stp = modes[p.acct % 5];
                if (rnd(500) == 0) { /* a few that must be refused */
                    switch (rnd(4)) {
                    case 0:
                        p.qty = 0;
                        break;
                    case 1:
                        if (p.type == 'M')
                            p.tif = 'G';
                        else
                            p.price = 0;
                        break;
                    case 2:
                        if (next > 2)
                            p.id = 1 + rnd(next - 2);
                        break;
                    default: /* not an enum */
                        p.post = 1;
                        p.tif = 'I';
                        if (p.type == 'L')
                            break;
                        p.type = 'S';
                    }
                }
            }
            if (p.tif == 'G')
                s->ring[s->nring++ % 64] = p.id;
        } else {
            order_t *o = NULL;
            if (kind == 1 && pct(3) && next > 1) { /* a cancel that raced with a fill or a cancel */
                uint64_t id = next - 1 - rnd(next - 1 < 2000 ? next - 1 : 2000);
                o = find(&v, id);
            }
            if (!o && pct(50) && s->nring) { /* fleeting orders: one of the newest 64 */
                o = find(&v, s->ring[rnd(s->nring < 64 ? s->nring : 64)]);
                if (o && o->state == ST_DONE)
                    o = NULL;
            }
            if (!o)
                o = pick_live(b);
            p.id = o->id;
            p.sym = o->sym;
            p.acct = o->acct;
            p.side = o->side;
            if (kind == 1)
                p.op = 'C';
            else {
                p.op = 'R';
                unsigned t = (unsigned)rnd(100);
                int64_t left = leaves(o), d = 1 + (int64_t)rnd(8);
                p.price = o->price;
                p.qty = o->total;
                if (t < 50)
                    p.qty = o->cum + (left * (int64_t)rnd(95)) / 100; /* down (may reach cum) */
                else if (t < 85)
                    p.price += (rnd64() >> 63) ? d : -d; /* move */
                else if (t < 95)
                    p.qty += 1 + (int64_t)rnd(50); /* up */
                else {
                    p.price += (rnd64() >> 63) ? d : -d;
                    p.qty += 1 + (int64_t)rnd(50);
                }
                if (p.price < 1)
                    p.price = 1;
                if (p.qty < 1)
                    p.qty = 1;
            }
        }
        cnt[kind]++;
        print_line(stdout, &p);
        apply(&v, &p);
    }
    uint64_t live = 0;
    for (uint32_t i = 0; i < ny; i++)
        live += blive(&v.b[i]);
    fprintf(stderr,
            "new=%llu cancel=%llu replace=%llu taker=%llu (M %llu, IOC %llu, FOK %llu) trades=%llu "
            "rejects=%llu live_at_end=%llu mix=%016llx\n",
            (unsigned long long)cnt[0], (unsigned long long)cnt[1], (unsigned long long)cnt[2],
            (unsigned long long)cnt[3], (unsigned long long)taker_cnt[0],
            (unsigned long long)taker_cnt[1], (unsigned long long)taker_cnt[2],
            (unsigned long long)v.ntrades, (unsigned long long)v.nrej, (unsigned long long)live,
            (unsigned long long)v.mix);
    return 0;
}
