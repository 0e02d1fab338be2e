/*
 * journal_replay.c: reading a journal that nobody has open, and the events that come of it.
 */
#include "domain/trading/journal/journal_medium.h"

/* ---- records ---- */

static enum err visit_record(void *ctx, uint64_t seq, const struct engine_command *c,
                             struct why *why)
{
    const struct journal_visitor *visitor = ctx;
    (void)why;
    if (visitor->record != NULL) {
        visitor->record(visitor->ctx, seq, c);
    }
    return OK;
}

static void visit_ahead(void *ctx, const struct engine_command *soon,
                        const struct engine_command *later)
{
    const struct journal_visitor *visitor = ctx;
    if (visitor->ahead != NULL) {
        visitor->ahead(visitor->ctx, soon, later);
    }
}

enum err journal_read_medium(struct journal_medium *m, const struct journal_visitor *visitor,
                             struct engine_limits *out_limits,
                             struct journal_recovery *out_recovery, struct why *why)
{
    struct journal_end end;
    struct journal_visitor copy = *visitor;
    const struct journal_scan scan = {.from = 1,
                                      .repair = visitor->repair,
                                      .record = visit_record,
                                      .ahead = visit_ahead,
                                      .ctx = &copy};
    enum err e = m->limits(m, out_limits, why);
    e = e == OK ? m->scan(m, &scan, &end, out_recovery, why) : e;
    m->close(m);
    return e;
}

enum err journal_read(const char *dir, const struct journal_visitor *visitor,
                      struct engine_limits *out_limits, struct journal_recovery *out_recovery,
                      struct why *why)
{
    struct journal_medium *m;
    const struct journal_config config = {.dir = dir};
    const enum err e = journal_folder_open(&m, &config, false, why);
    return e == OK ? journal_read_medium(m, visitor, out_limits, out_recovery, why) : e;
}

/* ---- events ---- */

struct running {
    const struct journal_replay *replay;
    struct engine *engine;
};

static enum err apply(void *ctx, uint64_t seq, const struct engine_command *c, struct why *why)
{
    const struct running *r = ctx;
    const bool wanted = seq > r->replay->after;
    if (seq == r->replay->after + 1) {
        engine_set_sink(r->engine, r->replay->sink);
    }
    (void)engine_apply(r->engine, c);
    return wanted && r->replay->applied != NULL ? r->replay->applied(r->replay->ctx, seq, why) : OK;
}

static void hint(void *ctx, const struct engine_command *soon, const struct engine_command *later)
{
    engine_hint(((const struct running *)ctx)->engine, soon, later);
}

static enum err run(struct journal_medium *m, struct running *r,
                    struct journal_recovery *out_recovery, struct why *why)
{
    struct engine_limits limits;
    struct journal_end end = {0};
    enum err e = m->limits(m, &limits, why);
    e = e == OK ? m->load(m, &limits, r->replay->after, &r->engine, why) : e;
    if (e != OK) {
        return e;
    }
    const uint64_t snapshot_seq = engine_seq(r->engine);
    const struct journal_scan scan = {
        .from = snapshot_seq + 1, .record = apply, .ahead = hint, .ctx = r};
    e = m->scan(m, &scan, &end, out_recovery, why);
    out_recovery->snapshot_seq = snapshot_seq;
    if (e == OK && end.seq < r->replay->after) {
        e = why_set(why, ERR_CONFLICT, NULL,
                    "the journal ends at command %llu; what is asked for follows command %llu",
                    (unsigned long long)end.seq, (unsigned long long)r->replay->after);
    }
    return e;
}

enum err journal_replay_medium(struct journal_medium *m, const struct journal_replay *replay,
                               struct engine **out_engine, struct journal_recovery *out_recovery,
                               struct why *why)
{
    struct running r = {.replay = replay};
    const enum err e = run(m, &r, out_recovery, why);
    m->close(m);
    if (e != OK) {
        engine_free(r.engine);
        return e;
    }
    *out_engine = r.engine;
    return OK;
}

enum err journal_replay(const char *dir, const struct journal_replay *replay,
                        struct engine **out_engine, struct journal_recovery *out_recovery,
                        struct why *why)
{
    struct journal_medium *m;
    const struct journal_config config = {.dir = dir};
    const enum err e = journal_folder_open(&m, &config, false, why);
    return e == OK ? journal_replay_medium(m, replay, out_engine, out_recovery, why) : e;
}
