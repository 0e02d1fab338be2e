/* ofref - reads a flow on stdin (or FILE), writes the expected tapes.
 *   ofref [-l] [-t tape.csv] [-e events.csv] [-b book.csv] [FILE]
 *   -l  every replace loses time priority (the variant of rule R9)
 * Prints one summary line of key=value pairs on stdout.
 */
#include "ofbook.h"
#include <time.h>
#include <unistd.h>

static int cmp_book(const void *x, const void *y)
{
    const order_t *a = *(order_t *const *)x, *b = *(order_t *const *)y;
    if (a->sym != b->sym)
        return a->sym < b->sym ? -1 : 1;
    if (a->state != b->state)
        return a->state < b->state ? -1 : 1; /* live, then parked */
    if (a->side != b->side)
        return a->side < b->side ? -1 : 1; /* B, then S */
    if (a->state == ST_LIVE && a->price != b->price)
        return (a->side == 'B') == (a->price > b->price) ? -1 : 1;
    return a->prio < b->prio ? -1 : 1;
}

int main(int argc, char **argv)
{
    const char *tape = NULL, *events = NULL, *bookf = NULL;
    int c, lose = 0;
    while ((c = getopt(argc, argv, "lt:e:b:")) != -1) {
        if (c == 'l')
            lose = 1;
        else if (c == 't')
            tape = optarg;
        else if (c == 'e')
            events = optarg;
        else if (c == 'b')
            bookf = optarg;
        else
            return 2;
    }
    FILE *in = optind < argc ? fopen(argv[optind], "r") : stdin;
    if (!in) {
        perror("flow");
        return 1;
    }
    venue_t v;
    venue_init(&v, 4096);
    v.lose_prio = lose;
    if (tape && !(v.tape = fopen(tape, "w"))) {
        perror(tape);
        return 1;
    }
    if (events && !(v.events = fopen(events, "w"))) {
        perror(events);
        return 1;
    }
    char line[256];
    uint64_t nops = 0;
    op_t p;
    while (fgets(line, sizeof line, in)) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (parse_line(line, &p)) {
            fprintf(stderr, "bad line: %s", line);
            return 1;
        }
        apply(&v, &p);
        nops++;
        if (getenv("OF_CHECK")) { /* never crossed, never an empty order on the book */
            book_t *b = &v.b[p.sym];
            order_t *x = best(b, 'B'), *y = best(b, 'S');
            if (x && y && x->price >= y->price) {
                fprintf(stderr, "crossed at %s", line);
                return 1;
            }
            if ((x && leaves(x) <= 0) || (y && leaves(y) <= 0)) {
                fprintf(stderr, "empty at %s", line);
                return 1;
            }
        }
    }
    uint64_t live = 0, parked = 0, openq = 0;
    order_t **all = NULL;
    size_t k = 0, cap = 0;
    for (uint32_t s = 0; s < v.nsym; s++) {
        list_t *ls[3] = {&v.b[s].bid, &v.b[s].ask, &v.b[s].park};
        for (int j = 0; j < 3; j++)
            for (size_t i = 0; i < ls[j]->n; i++) {
                order_t *o = ls[j]->e[i].o;
                if (o->state == ST_LIVE)
                    live++;
                else
                    parked++;
                openq += (uint64_t)leaves(o);
                if (k == cap) {
                    cap = cap ? cap * 2 : 1024;
                    all = realloc(all, cap * sizeof *all);
                }
                all[k++] = o;
            }
    }
    if (bookf) {
        FILE *f = fopen(bookf, "w");
        if (!f) {
            perror(bookf);
            return 1;
        }
        qsort(all, k, sizeof *all, cmp_book);
        for (size_t i = 0; i < k; i++)
            fprintf(f, "%u,%c,%c,%lld,%lld,%llu,%lld\n", all[i]->sym,
                    all[i]->state == ST_LIVE ? 'L' : 'P', all[i]->side, (long long)all[i]->price,
                    (long long)all[i]->stop, (unsigned long long)all[i]->id,
                    (long long)leaves(all[i]));
        fclose(f);
    }
    if (v.tape)
        fclose(v.tape);
    if (v.events)
        fclose(v.events);
    printf("ops=%llu trades=%llu volume=%llu turnover=%llu cancels=%llu rejects=%llu triggers=%llu "
           "live=%llu parked=%llu openqty=%llu mix=%016llx\n",
           (unsigned long long)nops, (unsigned long long)v.ntrades, (unsigned long long)v.vol,
           (unsigned long long)v.turnover, (unsigned long long)v.ncxl, (unsigned long long)v.nrej,
           (unsigned long long)v.ntrig, (unsigned long long)live, (unsigned long long)parked,
           (unsigned long long)openq, (unsigned long long)v.mix);
    return 0;
}
