/*
 * journal_replay.c: the events of a journal that nobody has open.
 */
#include "domain/trading/journal/journal_internal.h"

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

static enum err replay_dir(const struct journal_dir *d, struct running *r,
                           struct journal_recovery *out_recovery, struct why *why)
{
    struct engine_limits limits;
    struct journal_end end = {0};
    enum err e = journal_limits(d, &limits, why);
    e = e == OK ? journal_snapshot_load(d, &limits, r->replay->after, &r->engine, why) : e;
    if (e != OK) {
        return e;
    }
    const uint64_t snapshot_seq = engine_seq(r->engine);
    const struct journal_scan scan = {.from = snapshot_seq + 1, .record = apply, .ctx = r};
    e = journal_scan(d, &scan, &end, out_recovery, why);
    out_recovery->snapshot_seq = snapshot_seq;
    if (e == OK && end.seq < r->replay->after) {
        e = why_set(why, ERR_CONFLICT, NULL,
                    "the journal ends at command %llu; what is asked for follows command %llu",
                    (unsigned long long)end.seq, (unsigned long long)r->replay->after);
    }
    return e;
}

enum err journal_replay(const char *dir, const struct journal_replay *replay,
                        struct engine **out_engine, struct journal_recovery *out_recovery,
                        struct why *why)
{
    struct journal_dir d;
    struct running r = {.replay = replay};
    enum err e = journal_dir_open(&d, dir, NULL, false, why);
    if (e != OK) {
        return e;
    }
    e = replay_dir(&d, &r, out_recovery, why);
    journal_dir_close(&d);
    if (e != OK) {
        engine_free(r.engine);
        return e;
    }
    *out_engine = r.engine;
    return OK;
}
