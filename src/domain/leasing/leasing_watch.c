/*
 * leasing_watch.c: what we asked the chain to do, followed from the relay's side. Success is told
 * by events; here failures become visible, and disappear again when a reorganisation gives the
 * transaction another chance.
 */
#include "domain/leasing/leasing_internal.h"
#include "domain/leasing/leasing_watch_sql.h"

struct watched {
    const char *purpose;
    const struct store_statement *statement;
};

static const struct watched watched[] = {
    {"leasing.create_type", &leasing_watch_sql_type},
    {"leasing.register_asset", &leasing_watch_sql_asset},
    {"leasing.post_offer", &leasing_watch_sql_lease},
    {"leasing.mint_lease", &leasing_watch_sql_lease},
    {"leasing.accept_bid", &leasing_watch_sql_action},
    {"leasing.cancel_offer", &leasing_watch_sql_action},
};

static const struct watched *find(struct slice purpose)
{
    for (size_t i = 0; i < sizeof watched / sizeof watched[0]; i++) {
        if (slice_equal_text(purpose, watched[i].purpose)) {
            return &watched[i];
        }
    }
    return NULL;
}

enum err leasing_watch(struct store_tx *tx, void *ctx, const struct relay_row *row, struct why *why)
{
    (void)ctx;
    const struct watched *w = find(row->purpose);
    bool failed = row->state >= RELAY_REVERTED;
    if (w == NULL || (!failed && row->state != RELAY_SIGNED)) {
        return OK;
    }
    struct store_query q;
    store_begin(&q, tx, w->statement);
    store_bind_text(&q, "intent_id", row->id);
    if (failed) {
        store_bind_text(&q, "error",
                        row->error.len > 0 ? row->error : slice_text(relay_state_text(row->state)));
    } else {
        store_bind_null(&q, "error");
    }
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}
