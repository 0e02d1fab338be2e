#include "kernel/backup/backup_copy.h"

#include "kernel/backup/backup_sql.h"
#include "kernel/base/check.h"
#include "kernel/base/clock.h"

/* The migration that made the table of copies. */
#define COPY_VERSION 12

/* One table on its way. */
struct track {
    struct backup_sum source; /* what was read in this run */
    struct backup_sum kept;   /* what an earlier run left in the target */
    bool done;                /* the earlier run had all of it */
    struct backup_sum target; /* what was read back */
};

struct copy {
    const struct backup_copy_options *options;
    struct track *tracks; /* one a table of the catalog */
    struct backup_copy_report *report;
    bool changed; /* the source is not what it was in the earlier run */
};

static struct track *track_of(struct copy *c, const struct store_table *table)
{
    return &c->tracks[table - c->options->catalog->tables];
}

/* ---- what the target says ---- */

struct target_state {
    struct copy *copy;
    struct arena *arena;
    enum backup_copy_state state;
    struct slice source;
    const char *filled; /* a table that has rows */
};

static enum err read_state(struct store_tx *tx, struct target_state *t, struct why *why)
{
    struct store_query q;
    t->state = BACKUP_COPY_NONE;
    store_begin(&q, tx, &backup_sql_copy_get);
    if (store_step(&q)) {
        t->state = (enum backup_copy_state)store_get_i64(&q, "state");
        t->source = store_get_text(&q, "source", t->arena);
    }
    return store_finish(&q, NULL, why);
}

static enum err read_tracks(struct store_tx *tx, struct target_state *t, struct why *why)
{
    const struct store_catalog *catalog = t->copy->options->catalog;
    struct store_query q;
    store_begin(&q, tx, &backup_sql_copy_tables);
    while (store_step(&q)) {
        struct slice name = store_get_text(&q, "name", t->arena);
        struct hash hash;
        struct track track = {.kept.rows = (uint64_t)store_get_i64(&q, "row_count"),
                              .done = store_get_bool(&q, "done")};
        store_get_fixed(&q, "row_hash", hash.bytes, HASH_BYTES);
        ASSERT(u256_decode_be(hash_slice(&hash), &track.kept.hashes) == OK);
        for (uint16_t i = 0; i < catalog->table_count; i++) {
            if (slice_equal_text(name, catalog->tables[i].name)) {
                t->copy->tracks[i] = track;
            }
        }
    }
    return store_finish(&q, NULL, why);
}

/* Looks for rows that no migration put there. */
static enum err look_for_rows(struct store_tx *tx, struct target_state *t, struct why *why)
{
    const struct store_catalog *catalog = t->copy->options->catalog;
    enum err e = OK;
    t->filled = NULL;
    for (uint16_t i = 0; e == OK && t->filled == NULL && i < catalog->table_count; i++) {
        struct store_query q;
        store_begin(&q, tx, catalog->tables[i].count);
        if (store_step(&q) &&
            (uint64_t)store_get_i64(&q, "rows") != catalog->tables[i].rows_fresh) {
            t->filled = catalog->tables[i].name;
        }
        e = store_finish_one(&q, "count", why);
    }
    return e;
}

static enum err look_at_target(struct store_tx *tx, void *ctx, struct why *why)
{
    struct target_state *t = ctx;
    enum err e = read_state(tx, t, why);
    if (e == OK && t->state == BACKUP_COPY_NONE) {
        e = look_for_rows(tx, t, why);
    } else if (e == OK) {
        e = read_tracks(tx, t, why);
    }
    return e;
}

/* ---- beginning ---- */

static enum err begin_copy(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct copy *c = ctx;
    const struct backup_copy_options *o = c->options;
    struct store_query q;
    enum err e = OK;
    for (uint16_t i = 0; e == OK && i < o->catalog->table_count; i++) {
        if (o->catalog->tables[i].clear != NULL) {
            store_begin(&q, tx, o->catalog->tables[i].clear);
            e = store_finish(&q, NULL, why);
        }
    }
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &backup_sql_copy_begin);
    store_bind_text(&q, "source", slice_text(o->source_name));
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

/* Empties the target by taking its schema down, and begins anew. */
static enum err begin_anew(struct copy *c, struct why *why)
{
    const struct backup_copy_options *o = c->options;
    struct store_version version;
    memset(c->tracks, 0, o->catalog->table_count * sizeof(c->tracks[0]));
    enum err e = store_version_read(o->target, &version, why);
    if (e == OK) {
        e = store_migrate(o->target, 0, why);
    }
    if (e == OK) {
        e = store_migrate(o->target, version.known, why);
    }
    return e == OK ? store_write(o->target, begin_copy, c, why) : e;
}

static enum err judge_target(struct copy *c, struct target_state *t, struct why *why)
{
    const struct backup_copy_options *o = c->options;
    switch (t->state) {
    case BACKUP_COPY_NONE:
        if (t->filled != NULL) {
            return why_set(why, ERR_CONFLICT, NULL,
                           "The target %s is not empty: its table %s has rows. Copies fill an "
                           "empty database only.",
                           store_url_shown(o->target), t->filled);
        }
        return store_write(o->target, begin_copy, c, why);
    case BACKUP_COPY_WHOLE:
        return why_set(why, ERR_CONFLICT, NULL,
                       "The target %s holds a finished copy of %.*s. Copies fill an empty "
                       "database only.",
                       store_url_shown(o->target), SLICE_ARG(t->source));
    case BACKUP_COPY_UNDER_WAY:
    case BACKUP_COPY_DIFFERS:
        break;
    }
    if (!slice_equal_text(t->source, o->source_name)) {
        return why_set(why, ERR_CONFLICT, NULL,
                       "The target %s holds an unfinished copy of %.*s: finish that one, or take "
                       "another target.",
                       store_url_shown(o->target), SLICE_ARG(t->source));
    }
    return t->state == BACKUP_COPY_DIFFERS ? begin_anew(c, why) : OK;
}

static enum err open_target(struct copy *c, struct why *why)
{
    struct store *target = c->options->target;
    struct store_version version;
    struct arena scratch;
    arena_init(&scratch, 0);
    struct target_state t = {.copy = c, .arena = &scratch};
    enum err e = store_version_read(target, &version, why);
    if (e == OK && version.applied < version.known) {
        e = store_migrate(target, version.known, why);
    }
    if (e == OK) {
        e = store_read(target, look_at_target, &t, why);
    }
    if (e == OK) {
        e = judge_target(c, &t, why);
    }
    arena_free(&scratch);
    return e;
}

/* ---- rows ---- */

/* The part of a batch that goes to the target, and what its table has then. */
struct step {
    struct copy *copy;
    const struct backup_batch *batch;
    size_t from; /* rows before it are there already */
    struct backup_sum after;
};

static enum err renumber(struct store_tx *tx, const struct backup_batch *batch, struct why *why)
{
    if (batch->table->renumber == NULL) {
        return OK;
    }
    struct store_query q;
    store_begin(&q, tx, batch->table->renumber);
    store_bind_i64(&q, "number", batch->number);
    if (store_step(&q)) {
        store_ignore(&q, "number");
    }
    return store_finish(&q, NULL, why);
}

static enum err write_rows(struct store_tx *tx, const struct step *step, struct why *why)
{
    const struct backup_batch *batch = step->batch;
    struct arena scratch;
    struct store_query q;
    enum err e = OK;
    arena_init(&scratch, 0);
    store_begin_rows(&q, tx, batch->table->insert);
    for (size_t i = step->from; e == OK && i < batch->count; i++) {
        e = backup_row_bind(&q, step->copy->options->target, batch->table, &batch->rows[i],
                            &scratch, why);
        store_row(&q);
    }
    enum err finished = store_finish(&q, NULL, e == OK ? why : NULL);
    arena_free(&scratch);
    return e != OK ? e : finished;
}

static enum err write_step(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct step *step = ctx;
    const struct backup_batch *batch = step->batch;
    enum err e = write_rows(tx, step, why);
    if (e == OK && batch->ends) {
        e = renumber(tx, batch, why);
    }
    if (e != OK) {
        return e;
    }
    struct hash hash = backup_sum_hash(&step->after);
    struct store_query q;
    store_begin(&q, tx, &backup_sql_copy_advance);
    store_bind_text(&q, "name", slice_text(batch->table->name));
    store_bind_i64(&q, "row_count", (int64_t)step->after.rows);
    store_bind_bytes(&q, "row_hash", hash_slice(&hash));
    store_bind_bool(&q, "done", batch->ends);
    return store_finish(&q, NULL, why);
}

static enum err source_changed(struct copy *c, struct why *why)
{
    c->changed = true;
    return why_set(why, ERR_CONFLICT, NULL, "The source has changed since the copy was begun.");
}

/* Hashes a batch; finds where what the target has ends, and that it is the same. */
static enum err hash_batch(struct copy *c, struct track *t, const struct backup_batch *batch,
                           size_t *out_from, struct why *why)
{
    struct arena scratch;
    enum err e = OK;
    *out_from = 0;
    arena_init(&scratch, 0);
    for (size_t i = 0; e == OK && i < batch->count; i++) {
        e = backup_sum_add(&t->source, batch->table, &batch->rows[i], &scratch, why);
        arena_clear(&scratch);
        if (e == OK && t->source.rows <= t->kept.rows) {
            *out_from = i + 1;
            c->report->rows_resumed++;
        }
        if (e == OK && t->source.rows == t->kept.rows && !backup_sum_equal(&t->source, &t->kept)) {
            e = source_changed(c, why);
        }
    }
    if (e == OK && ((batch->ends && t->source.rows < t->kept.rows) ||
                    (t->done && t->source.rows > t->kept.rows))) {
        e = source_changed(c, why);
    }
    arena_free(&scratch);
    return e;
}

static enum err copy_batch(void *ctx, const struct backup_batch *batch, struct why *why)
{
    struct copy *c = ctx;
    struct track *t = track_of(c, batch->table);
    struct step step = {.copy = c, .batch = batch};
    enum err e = hash_batch(c, t, batch, &step.from, why);
    step.after = t->source;
    bool news = step.from < batch->count || batch->ends;
    if (e == OK && news && !t->done) {
        e = store_write(c->options->target, write_step, &step, why);
    }
    if (e == OK && c->options->progress != NULL) {
        e = c->options->progress(c->options->progress_ctx, batch->table->name, t->source.rows, why);
    }
    return e;
}

static enum err copy_rows(struct copy *c, struct why *why)
{
    const struct backup_copy_options *o = c->options;
    for (uint16_t i = 0; i < o->catalog->table_count; i++) {
        c->tracks[i].source = (struct backup_sum){0};
    }
    c->report->rows_resumed = 0;
    c->changed = false;
    o->rewind(o->source.ctx);
    return backup_stream_run(&o->source, copy_batch, c, why);
}

/* ---- the proof ---- */

static enum err hash_target(void *ctx, const struct backup_batch *batch, struct why *why)
{
    struct copy *c = ctx;
    struct track *t = track_of(c, batch->table);
    struct arena scratch;
    enum err e = OK;
    arena_init(&scratch, 0);
    for (size_t i = 0; e == OK && i < batch->count; i++) {
        e = backup_sum_add(&t->target, batch->table, &batch->rows[i], &scratch, why);
        arena_clear(&scratch);
    }
    arena_free(&scratch);
    if (e == OK && c->options->progress != NULL) {
        e = c->options->progress(c->options->progress_ctx, batch->table->name, t->target.rows, why);
    }
    return e;
}

struct ending {
    enum backup_copy_state state;
};

static enum err end_copy(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct ending *ending = ctx;
    struct store_query q;
    store_begin(&q, tx, &backup_sql_copy_end);
    store_bind_i64(&q, "state", ending->state);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err compare(struct copy *c, struct arena *arena, struct why *why)
{
    const struct backup_copy_options *o = c->options;
    struct backup_copy_report *r = c->report;
    struct backup_store_source reading = {.store = o->target, .catalog = o->catalog};
    const struct backup_source source = {.produce = backup_stream_read_store, .ctx = &reading};
    enum err e = backup_stream_run(&source, hash_target, c, why);
    if (e != OK) {
        return e;
    }
    r->table_count = o->catalog->table_count;
    r->tables = arena_alloc_array(arena, r->table_count + 1, sizeof(r->tables[0]));
    r->rows = 0;
    r->equal = true;
    const char *first = NULL;
    for (size_t i = 0; i < r->table_count; i++) {
        r->tables[i] = (struct backup_copy_table){.name = o->catalog->tables[i].name,
                                                  .source = c->tracks[i].source,
                                                  .target = c->tracks[i].target};
        r->rows += c->tracks[i].source.rows;
        if (!backup_sum_equal(&c->tracks[i].source, &c->tracks[i].target)) {
            first = first != NULL ? first : r->tables[i].name;
            r->equal = false;
        }
    }
    struct ending ending = {.state = r->equal ? BACKUP_COPY_WHOLE : BACKUP_COPY_DIFFERS};
    e = store_write(o->target, end_copy, &ending, why);
    if (e == OK && !r->equal) {
        e = why_set(why, ERR_CORRUPT, first,
                    "The target is not what the source was: table %s differs. The target is "
                    "marked as unusable.",
                    first);
    }
    return e;
}

enum err backup_copy_run(const struct backup_copy_options *options, struct arena *arena,
                         struct backup_copy_report *out, struct why *why)
{
    struct copy c = {.options = options, .report = out};
    *out = (struct backup_copy_report){0};
    c.tracks = arena_alloc_array(arena, options->catalog->table_count + 1u, sizeof(c.tracks[0]));
    enum err e = open_target(&c, why);
    if (e == OK) {
        e = copy_rows(&c, why);
    }
    if (e == ERR_CONFLICT && c.changed) {
        out->begun_anew = true;
        e = begin_anew(&c, why);
        e = e == OK ? copy_rows(&c, why) : e;
    }
    return e == OK ? compare(&c, arena, why) : e;
}

/* ---- before a daemon starts ---- */

static enum err look_at_copy(struct store_tx *tx, void *ctx, struct why *why)
{
    return read_state(tx, ctx, why);
}

enum err backup_copy_check(struct store *store, struct why *why)
{
    struct arena scratch;
    struct store_version version;
    arena_init(&scratch, 0);
    struct target_state t = {.arena = &scratch};
    enum err e = store_version_read(store, &version, why);
    /* A copy brings its target to the newest version before it begins. */
    if (e == OK && version.applied >= COPY_VERSION) {
        e = store_read(store, look_at_copy, &t, why);
    }
    if (e == OK && t.state == BACKUP_COPY_UNDER_WAY) {
        e = why_set(why, ERR_CONFLICT, "store.url",
                    "The database %s holds an unfinished copy of %.*s: run the copy again, it goes "
                    "on where it stopped.",
                    store_url_shown(store), SLICE_ARG(t.source));
    } else if (e == OK && t.state == BACKUP_COPY_DIFFERS) {
        e = why_set(why, ERR_CONFLICT, "store.url",
                    "The database %s holds a copy of %.*s that is not equal to it: copy into an "
                    "empty database.",
                    store_url_shown(store), SLICE_ARG(t.source));
    }
    arena_free(&scratch);
    return e;
}

static enum err count_sessions(struct store_tx *tx, void *ctx, struct why *why)
{
    int64_t *out = ctx;
    struct store_query q;
    store_begin(&q, tx, &backup_sql_sessions);
    if (store_step(&q)) {
        *out = store_get_i64(&q, "sessions");
    }
    return store_finish_one(&q, "sessions", why);
}

enum err backup_copy_sessions(struct store *store, int64_t *out, struct why *why)
{
    int64_t sessions = 0;
    enum err e = store_read(store, count_sessions, &sessions, why);
    if (e == OK) {
        *out = sessions;
    }
    return e;
}
