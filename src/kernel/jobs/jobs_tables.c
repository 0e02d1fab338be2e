#include "kernel/jobs/jobs_tables.h"

#include "kernel/base/check.h"

#define UNKNOWN_ATTEMPTS 12

static enum err refuse_unknown(struct job_call *call, struct why *why)
{
    return why_set(why, ERR_LOCKED, "kind", "This process has no handler for kind %.*s.",
                   SLICE_ARG(call->kind));
}

/* A newer process may know the kind, so the job is passed on for about an hour before it dies. */
static const struct job_kind unknown_kind = {
    .name = "",
    .queue = "",
    .handler = refuse_unknown,
    .attempts_max = UNKNOWN_ATTEMPTS,
    .backoff = JOB_BACKOFF_EXPONENTIAL,
    .backoff_usec = 2 * USEC_PER_SEC,
    .backoff_usec_max = 600ll * USEC_PER_SEC,
    .timeout_usec = 10 * USEC_PER_SEC,
};

static const struct job_queue unknown_queue = {.name = ""};

static int compare_entries(const void *left, const void *right)
{
    const struct jobs_entry *a = left;
    const struct jobs_entry *b = right;
    return slice_compare(slice_text(a->kind->name), slice_text(b->kind->name));
}

static const struct jobs_entry *find(const struct job_catalog *catalog, struct slice name)
{
    size_t low = 0;
    size_t high = catalog->kind_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = slice_compare(slice_text(catalog->kinds[middle].kind->name), name);
        if (order == 0) {
            return &catalog->kinds[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

struct jobs_entry jobs_catalog_find(const struct job_catalog *catalog, struct slice name)
{
    const struct jobs_entry *entry = find(catalog, name);
    return entry != NULL ? *entry
                         : (struct jobs_entry){.kind = &unknown_kind,
                                               .queue = &unknown_queue,
                                               .gate = JOBS_NO_GATE};
}

bool jobs_catalog_knows(const struct job_catalog *catalog, struct slice name)
{
    return find(catalog, name) != NULL;
}

/* ---- queues ---- */

/* The index of a queue, or the number of queues. */
static size_t find_queue(const struct job_catalog *c, const char *name)
{
    size_t i = 0;
    while (i < c->queue_count && strcmp(c->queues[i]->name, name) != 0) {
        i++;
    }
    return i;
}

static enum err add_queue(struct job_catalog *c, const struct job_queue *q, struct why *why)
{
    ASSERT(q->name != NULL && q->name[0] != '\0' && q->doc != NULL);
    if (find_queue(c, q->name) < c->queue_count) {
        return why_set(why, ERR_CONFIG, NULL, "Two queues have the name %s.", q->name);
    }
    if (q->rate > JOBS_RATE_MAX || (q->rate > 0) != (q->rate_usec > 0)) {
        return why_set(why, ERR_CONFIG, NULL,
                       "The queue %s needs a rate of 1 to %d and a window, or neither.", q->name,
                       JOBS_RATE_MAX);
    }
    c->queues[c->queue_count++] = q;
    return OK;
}

/* Limited queues come first, each kind of queue in the order of the tables. */
static enum err add_queues(struct job_catalog *c, const struct job_table *table, bool limited,
                           struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < table->queue_count; i++) {
        if (jobs_is_limited(&table->queues[i]) == limited) {
            e = add_queue(c, &table->queues[i], why);
            c->gate_count += limited;
        }
    }
    return e;
}

/* ---- kinds and schedules ---- */

static enum err add_kind(struct job_catalog *c, struct arena *arena, const struct job_kind *k,
                         void *ctx, struct why *why)
{
    ASSERT(k->name != NULL && k->name[0] != '\0' && strlen(k->name) <= JOBS_KIND_MAX);
    ASSERT(k->queue != NULL && k->handler != NULL && k->doc != NULL);
    ASSERT(k->timeout_usec > 0 && k->backoff_usec >= 0 && k->backoff_usec_max >= 0);
    size_t at = find_queue(c, k->queue);
    if (at == c->queue_count) {
        return why_set(why, ERR_CONFIG, NULL,
                       "The job kind %s names the queue %s, which is no row.", k->name, k->queue);
    }
    const struct job_queue *q = c->queues[at];
    struct job_kind *whole = arena_alloc(arena, sizeof(*whole));
    *whole = *k;
    if (k->attempts_max == 0) {
        whole->attempts_max = q->attempts_max > 0 ? q->attempts_max : 1;
        whole->backoff = q->backoff;
        whole->backoff_usec = q->backoff_usec;
        whole->backoff_usec_max = q->backoff_usec_max;
    }
    c->kinds[c->kind_count++] = (struct jobs_entry){
        .kind = whole, .ctx = ctx, .queue = q, .gate = at < c->gate_count ? at : JOBS_NO_GATE};
    return OK;
}

static enum err add_kinds(struct job_catalog *c, struct arena *arena, const struct job_table *table,
                          struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < table->kind_count; i++) {
        e = add_kind(c, arena, &table->kinds[i], table->ctx, why);
    }
    return e;
}

static enum err check_kinds(struct job_catalog *c, struct why *why)
{
    qsort(c->kinds, c->kind_count, sizeof(c->kinds[0]), compare_entries);
    for (size_t i = 1; i < c->kind_count; i++) {
        if (compare_entries(&c->kinds[i - 1], &c->kinds[i]) == 0) {
            return why_set(why, ERR_CONFIG, NULL, "Two job kinds have the name %s.",
                           c->kinds[i].kind->name);
        }
    }
    return OK;
}

static enum err add_schedule(struct job_catalog *c, const struct job_cron *row, struct why *why)
{
    bool known = jobs_catalog_knows(c, slice_text(row->kind));
    if (!known && row->awaits == NULL) {
        return why_set(why, ERR_CONFIG, NULL,
                       "The schedule %s names the job kind %s, which is no row.", row->name,
                       row->kind);
    }
    for (size_t i = 0; i < c->schedule_count; i++) {
        if (strcmp(c->schedules[i].row->name, row->name) == 0) {
            return why_set(why, ERR_CONFIG, NULL, "Two schedules have the name %s.", row->name);
        }
    }
    return jobs_timetable_make(&c->schedules[c->schedule_count++], row, known, why);
}

static enum err add_schedules(struct job_catalog *c, const struct job_table *table, struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < table->cron_count; i++) {
        e = add_schedule(c, &table->crons[i], why);
    }
    return e;
}

/* ---- the whole ---- */

static const struct job_table *table_at(const struct job_table *tables, size_t count, size_t i)
{
    return i < count ? &tables[i] : jobs_own_table();
}

enum err jobs_catalog_new(struct arena *arena, const struct job_table *tables, size_t table_count,
                          const struct job_catalog **out, struct why *why)
{
    struct job_catalog *c = arena_alloc(arena, sizeof(*c));
    size_t queues = 0;
    size_t kinds = 0;
    size_t crons = 0;
    for (size_t i = 0; i <= table_count; i++) {
        const struct job_table *t = table_at(tables, table_count, i);
        queues += t->queue_count;
        kinds += t->kind_count;
        crons += t->cron_count;
    }
    c->queues = arena_alloc_array(arena, queues, sizeof(c->queues[0]));
    c->kinds = arena_alloc_array(arena, kinds, sizeof(c->kinds[0]));
    c->schedules = arena_alloc_array(arena, crons, sizeof(c->schedules[0]));
    enum err e = OK;
    for (int limited = 1; limited >= 0; limited--) {
        for (size_t i = 0; e == OK && i <= table_count; i++) {
            e = add_queues(c, table_at(tables, table_count, i), limited != 0, why);
        }
    }
    for (size_t i = 0; e == OK && i <= table_count; i++) {
        e = add_kinds(c, arena, table_at(tables, table_count, i), why);
    }
    if (e == OK) {
        e = check_kinds(c, why);
    }
    for (size_t i = 0; e == OK && i <= table_count; i++) {
        e = add_schedules(c, table_at(tables, table_count, i), why);
    }
    if (e == OK) {
        *out = c;
    }
    return e;
}

enum err jobs_catalog_kinds(const struct job_catalog *catalog, struct arena *arena,
                            struct slice queue, const char *const **out, size_t *out_count,
                            struct why *why)
{
    const char **kinds = arena_alloc_array(arena, catalog->kind_count, sizeof(kinds[0]));
    size_t count = 0;
    if (find_queue(catalog, slice_cstr(arena, queue)) == catalog->queue_count) {
        return why_set(why, ERR_INVALID_FIELD, "queue", "There is no queue of this name.");
    }
    for (size_t i = 0; i < catalog->kind_count; i++) {
        if (slice_equal_text(queue, catalog->kinds[i].queue->name)) {
            kinds[count++] = catalog->kinds[i].kind->name;
        }
    }
    *out = kinds;
    *out_count = count;
    return OK;
}
