#include "kernel/store/store_partition.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"
#include "kernel/base/log.h"
#include "kernel/store/store_partition_sql.h"
#include "kernel/store/store_private.h"

/* How far ahead there are partitions: into the month after the next. Units: microseconds. */
#define AHEAD_USEC (62 * 86400ll * USEC_PER_SEC)

/* Nobody has rows of more months; a clock that counts through all of time must come to an end. */
#define PARTITIONS_MAX 4000

struct step {
    const struct store_partitioned *table;
    char name[STORE_PARTITION_NAME_MAX]; /* of the partition; "" when there was nothing to do */
};

/* Reads the name that a statement answers with. */
static enum err read_name(struct store_query *q, struct step *step, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 256);
    step->name[0] = '\0';
    if (store_step(q)) {
        struct slice name = store_get_text(q, "name", &scratch);
        snprintf(step->name, sizeof(step->name), "%.*s", SLICE_ARG(name));
    }
    enum err e = store_finish(q, NULL, why);
    arena_free(&scratch);
    return e;
}

static enum err take_time(struct store_tx *tx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &store_partition_sql_patience);
    if (store_step(&q)) {
        store_ignore(&q, "timeout");
    }
    return store_finish(&q, NULL, why);
}

static enum err make_next(struct store_tx *tx, void *ctx, struct why *why)
{
    struct step *step = ctx;
    struct store_query q;
    enum err e = take_time(tx, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &store_partition_sql_next);
    store_bind_text(&q, "parent", slice_text(step->table->table));
    store_bind_text(&q, "key", slice_text(step->table->column));
    store_bind_time(&q, "ahead", clock_wall_usec() + AHEAD_USEC);
    return read_name(&q, step, why);
}

static enum err drop_one(struct store_tx *tx, void *ctx, struct why *why)
{
    struct step *step = ctx;
    struct store_query q;
    enum err e = take_time(tx, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &store_partition_sql_drop);
    store_bind_text(&q, "parent", slice_text(step->table->table));
    return read_name(&q, step, why);
}

/* Takes steps until there is nothing left to do. */
static enum err repeat(struct store *store, const struct store_partitioned *table, store_fn fn,
                       const char *event, uint64_t *out_count, struct why *why)
{
    struct step step = {.table = table};
    enum err e = OK;
    for (int i = 0; e == OK && i < PARTITIONS_MAX; i++) {
        e = store_write(store, fn, &step, why);
        if (e != OK || step.name[0] == '\0') {
            break;
        }
        LOG(LOG_INFO, event, log_text("partition", step.name));
        (*out_count)++;
    }
    return e;
}

enum err store_partitions_keep(struct store *store, struct store_partitions_done *out,
                               struct why *why)
{
    const struct store_catalog *catalog = store->catalog;
    enum err e = OK;
    *out = (struct store_partitions_done){0};
    for (uint16_t i = 0; e == OK && !store->driver->single_writer && i < catalog->partitioned_count;
         i++) {
        const struct store_partitioned *table = &catalog->partitioned[i];
        e = repeat(store, table, make_next, "store.partition_made", &out->made, why);
        if (e == OK) {
            e = repeat(store, table, drop_one, "store.partition_dropped", &out->dropped, why);
        }
    }
    return e;
}

static enum err is_there(struct store_tx *tx, const char *parent, const char *name, bool *out,
                         struct why *why)
{
    struct store_query q;
    bool there = false;
    store_begin(&q, tx, &store_partition_sql_there);
    store_bind_text(&q, "parent", slice_text(parent));
    store_bind_text(&q, "name", slice_text(name));
    if (store_step(&q)) {
        there = store_get_bool(&q, "there");
    }
    enum err e = store_finish_one(&q, "partition", why);
    if (e == OK) {
        *out = there;
    }
    return e;
}

enum err store_partitions_missing(struct store_tx *tx, char out[STORE_PARTITION_NAME_MAX],
                                  struct why *why)
{
    const struct store_catalog *catalog = tx->store->catalog;
    time_t now = (time_t)clock_wall_sec();
    struct tm month;
    enum err e = OK;
    out[0] = '\0';
    ASSERT(gmtime_r(&now, &month) != NULL);
    for (int ahead = 0; ahead < 2; ahead++) {
        int number = month.tm_mon + ahead;
        for (uint16_t i = 0; e == OK && i < catalog->partitioned_count; i++) {
            char name[STORE_PARTITION_NAME_MAX];
            bool there = false;
            (void)snprintf(name, sizeof(name), "%s_p%04d%02d", catalog->partitioned[i].table,
                           1900 + month.tm_year + number / 12, number % 12 + 1);
            e = is_there(tx, catalog->partitioned[i].table, name, &there, why);
            if (e == OK && !there && out[0] == '\0') {
                (void)snprintf(out, STORE_PARTITION_NAME_MAX, "%s", name);
            }
        }
    }
    return e;
}
