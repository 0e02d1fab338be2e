#include "kernel/jobs/jobs_take.h"

#include "kernel/base/check.h"

#define BUDGET_PARTS 40
/*
 * Whoever enqueues takes the time first and commits later, so that jobs appear out of order by the
 * length of a commit. Units: microseconds.
 */
#define PLACE_MARGIN_USEC 50000
#define SUSPECTS_LOOKED_AT 32

/* ---- budgets ---- */

bool jobs_budget_allows(const struct jobs_budget *budget, int64_t mono_usec)
{
    return mono_usec >= budget->from_mono_usec;
}

void jobs_budget_spend(struct jobs_budget *budget, int64_t began_mono_usec, int64_t least_usec)
{
    int64_t now = clock_mono_usec();
    int64_t pause = (now - began_mono_usec) * BUDGET_PARTS;
    budget->from_mono_usec = now + (pause > least_usec ? pause : least_usec);
}

/* ---- gates ---- */

/* How many jobs of a kind may be taken now. */
static enum err ask_gate(struct jobs_taker *t, struct store_tx *tx, const struct jobs_entry *entry,
                         size_t *out_room, struct why *why)
{
    if (entry->gate == JOBS_NO_GATE) {
        *out_room = SIZE_MAX;
        return OK;
    }
    struct jobs_gate *gate = &t->gates[entry->gate];
    enum err e = gate->asked ? OK : jobs_gate_ask(tx, gate, t->wall_usec, why);
    if (e == OK) {
        *out_room = gate->room - gate->taken;
        if (*out_room == 0 && gate->again_usec < t->next_due_usec) {
            t->next_due_usec = gate->again_usec;
        }
    }
    return e;
}

static void pass_gate(struct jobs_taker *t, const struct jobs_entry *entry, size_t count)
{
    if (entry->gate != JOBS_NO_GATE) {
        t->gates[entry->gate].taken += count;
    }
}

static enum err make_gates(struct jobs_taker *t, struct store_tx *tx, struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < t->jobs->catalog->gate_count; i++) {
        t->gates[i].asked = false;
        if (!t->gates_made) {
            e = jobs_gate_make(tx, t->gates[i].queue, t->wall_usec, why);
        }
    }
    return e;
}

static enum err settle_gates(struct jobs_taker *t, struct store_tx *tx, struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < t->jobs->catalog->gate_count; i++) {
        if (t->gates[i].asked) {
            e = jobs_gate_settle(tx, &t->gates[i], t->wall_usec, why);
        }
    }
    return e;
}

/* ---- claims ---- */

static struct jobs_claim claim_of(const struct jobs_taker *t, const struct jobs_entry *entry,
                                  size_t room)
{
    size_t limit = t->want - t->got;
    return (struct jobs_claim){
        .now_usec = t->wall_usec,
        .until_usec = t->wall_usec + t->jobs->config.lease_usec,
        .owner = slice_text(t->jobs->owner),
        .queue = entry->queue->concurrency > 0 ? slice_text(entry->queue->name) : SLICE_EMPTY,
        .limit = room < limit ? room : limit,
    };
}

/* The most urgent suspect whose queue lets it through. */
static enum err take_suspect(struct jobs_taker *t, struct store_tx *tx, struct arena *scratch,
                             struct why *why)
{
    struct jobs_suspect suspects[SUSPECTS_LOOKED_AT];
    size_t count = 0;
    enum err e =
        jobs_store_suspects(tx, scratch, t->wall_usec, SUSPECTS_LOOKED_AT, suspects, &count, why);
    for (size_t i = 0; e == OK && t->got == 0 && i < count; i++) {
        struct jobs_entry entry = jobs_catalog_find(t->jobs->catalog, suspects[i].kind);
        size_t room = 0;
        e = ask_gate(t, tx, &entry, &room, why);
        if (e == OK && room > 0) {
            struct jobs_claim claim = claim_of(t, &entry, 1);
            e = jobs_store_claim_suspect(tx, &claim, suspects[i].id, t->arenas[0], &t->claimed[0],
                                         &t->got, why);
            pass_gate(t, &entry, t->got);
        }
    }
    return e;
}

/* Higher priority first, then the one whose first job waits longest. */
static int compare_looks(const void *left, const void *right)
{
    const struct jobs_head *a = &((const struct jobs_look *)left)->head;
    const struct jobs_head *b = &((const struct jobs_look *)right)->head;
    if (a->priority != b->priority) {
        return a->priority > b->priority ? -1 : 1;
    }
    if (a->run_usec != b->run_usec) {
        return a->run_usec < b->run_usec ? -1 : 1;
    }
    return slice_compare(a->kind, b->kind);
}

static enum err find_looks(struct jobs_taker *t, struct store_tx *tx, struct arena *scratch,
                           struct why *why)
{
    struct jobs_head *heads = NULL;
    size_t count = 0;
    int64_t began = clock_mono_usec();
    t->looks_at_all = jobs_budget_allows(&t->whole, began);
    enum err e = OK;
    if (t->looks_at_all) {
        e = jobs_store_heads(tx, scratch, &heads, &count, why);
        jobs_budget_spend(&t->whole, began, 0);
    } else {
        e = jobs_store_heads_from(tx, scratch, t->places, t->place_count, &heads, &count, why);
    }
    t->looks = arena_alloc_array(scratch, count, sizeof(t->looks[0]));
    t->look_count = count;
    for (size_t i = 0; i < count; i++) {
        t->looks[i] = (struct jobs_look){.head = heads[i]};
    }
    qsort(t->looks, count, sizeof(t->looks[0]), compare_looks);
    return e;
}

static enum err take_head(struct jobs_taker *t, struct store_tx *tx, struct jobs_look *look,
                          struct why *why)
{
    struct jobs_entry entry = jobs_catalog_find(t->jobs->catalog, look->head.kind);
    size_t room = 0;
    enum err e = ask_gate(t, tx, &entry, &room, why);
    if (e != OK || room == 0) {
        return e;
    }
    struct jobs_claim claim = claim_of(t, &entry, room);
    claim.kind = look->head.kind;
    claim.priority = look->head.priority;
    claim.from_usec = look->head.run_usec;
    struct jobs_claimed *claimed = t->claimed + t->got;
    size_t count = 0;
    e = jobs_store_claim(tx, &claim, t->arenas + t->got, claimed, &count, why);
    for (size_t i = 0; i < count; i++) {
        claimed[i].place += t->got;
    }
    if (e == OK && count > 0) {
        look->taken = count;
        look->last_usec = claimed[count - 1].run_usec;
    }
    t->got += count;
    pass_gate(t, &entry, count);
    return e;
}

enum err jobs_take(struct jobs_taker *t, struct store_tx *tx, struct arena *scratch,
                   struct why *why)
{
    t->got = 0;
    t->look_count = 0;
    for (size_t i = 0; i < t->want; i++) {
        arena_clear(t->arenas[i]);
    }
    enum err e = make_gates(t, tx, why);
    if (e == OK && !t->suspect_held) {
        e = take_suspect(t, tx, scratch, why);
    }
    if (e == OK) {
        e = find_looks(t, tx, scratch, why);
    }
    for (size_t i = 0; e == OK && i < t->look_count; i++) {
        struct jobs_look *look = &t->looks[i];
        if (look->head.run_usec > t->wall_usec) {
            t->next_due_usec =
                look->head.run_usec < t->next_due_usec ? look->head.run_usec : t->next_due_usec;
        } else if (t->got < t->want) {
            e = take_head(t, tx, look, why);
        }
    }
    return e == OK ? settle_gates(t, tx, why) : e;
}

/* ---- places ---- */

static struct jobs_mark *find_place(struct jobs_taker *t, const struct jobs_head *head)
{
    for (size_t i = 0; i < t->place_count; i++) {
        struct jobs_mark *p = &t->places[i];
        if (p->priority == head->priority && slice_equal(p->kind, head->kind)) {
            return p;
        }
    }
    return NULL;
}

/* A new place has the name of the kind's row, which outlives the runner. */
static struct jobs_mark *add_place(struct jobs_taker *t, const struct jobs_head *head)
{
    struct jobs_entry entry = jobs_catalog_find(t->jobs->catalog, head->kind);
    if (entry.kind->name[0] == '\0' || t->place_count == JOBS_PLACES_MAX) {
        return NULL;
    }
    struct jobs_mark *p = &t->places[t->place_count++];
    *p = (struct jobs_mark){.kind = slice_text(entry.kind->name), .priority = head->priority};
    return p;
}

void jobs_taker_settle(struct jobs_taker *t)
{
    t->gates_made = true;
    int64_t near = t->wall_usec - PLACE_MARGIN_USEC;
    /* Where nothing was found nothing lies, but for what comes late. */
    for (size_t i = 0; i < t->place_count; i++) {
        struct jobs_mark *p = &t->places[i];
        p->from_usec = p->from_usec > near ? p->from_usec : near;
    }
    for (size_t i = 0; i < t->look_count; i++) {
        const struct jobs_look *look = &t->looks[i];
        struct jobs_mark *p = find_place(t, &look->head);
        p = p != NULL ? p : add_place(t, &look->head);
        if (p == NULL) {
            continue;
        }
        int64_t begins = look->head.run_usec < near ? look->head.run_usec : near;
        int64_t past = look->last_usec - PLACE_MARGIN_USEC;
        p->from_usec = look->taken > 0 && past > begins ? past : begins;
    }
}

void jobs_taker_forget(struct jobs_taker *t)
{
    t->place_count = 0;
    t->whole = (struct jobs_budget){0};
}

void jobs_taker_init(struct jobs_taker *t, struct jobs *jobs, struct arena *boot)
{
    size_t batch = (size_t)jobs->config.claim_batch;
    const struct job_catalog *catalog = jobs->catalog;
    *t = (struct jobs_taker){
        .jobs = jobs,
        .gates = arena_alloc_array(boot, catalog->gate_count, sizeof(t->gates[0])),
        .arenas = arena_alloc_array(boot, batch, sizeof(t->arenas[0])),
        .claimed = arena_alloc_array(boot, batch, sizeof(t->claimed[0])),
        .next_due_usec = INT64_MAX,
    };
    for (size_t i = 0; i < catalog->gate_count; i++) {
        t->gates[i].queue = catalog->queues[i];
    }
}
