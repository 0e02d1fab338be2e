/*
 * relay_stuck.c: what neither moves nor is mined. Each finding has to last a while, because a node
 * may be behind or two nodes may answer in turns; nothing here is urgent.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

/* Nonces that are filled in one pass. */
#define FILL_MAX 64
#define STILL_DOUBLINGS_MAX 10

/* Says whether a finding has lasted; `since` is 0 while it does not hold. */
static bool lasted(int64_t *since, bool holds)
{
    int64_t now = clock_mono_usec();
    if (!holds) {
        *since = 0;
        return false;
    }
    *since = *since == 0 ? now : *since;
    return now - *since >= RELAY_BELIEVE_USEC;
}

/* ---- nonces that were mined with foreign bytes ---- */

struct replaced {
    struct relay *relay;
    const struct relay_lane *lane;
    size_t count; /* out */
};

static enum err store_replaced(struct store_tx *tx, const struct relay_open *o, bool *out_done,
                               struct why *why)
{
    struct store_query q;
    int64_t changed = 0;
    store_begin(&q, tx, &relay_sql_intent_replaced);
    store_bind_text(&q, "intent_id", o->id);
    store_bind_i64(&q, "attempt", o->attempt);
    store_bind_text(&q, "error_code", slice_text(err_code(ERR_TX_REPLACED)));
    store_bind_text(&q, "error",
                    SLICE_LIT("another transaction with this nonce was mined: the wallet's key "
                              "is used outside of this relay"));
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &changed, why);
    *out_done = e == OK && changed > 0;
    return e;
}

static enum err run_replaced(struct store_tx *tx, void *ctx, struct why *why)
{
    struct replaced *r = ctx;
    enum err e = OK;
    r->count = 0;
    for (size_t i = 0; e == OK && i < r->lane->count; i++) {
        const struct relay_open *o = &r->lane->items[i];
        bool done = false;
        if (!o->below || o->found || o->nonce >= r->lane->wallet->behind_below) {
            continue;
        }
        e = store_replaced(tx, o, &done, why);
        if (e == OK && done) {
            r->count++;
            store_notify(tx, "relay"); /* others may have waited for it */
            e = relay_tell(r->relay, tx, o->id, why);
        }
    }
    return e;
}

static bool any_lost(const struct relay_lane *lane)
{
    for (size_t i = 0; i < lane->count; i++) {
        if (lane->items[i].below && !lane->items[i].found) {
            return true;
        }
    }
    return false;
}

/* The receipts were asked for in this pass, after the chain had said which nonces are mined. */
static enum err give_up_replaced(struct relay *relay, const struct relay_lane *lane,
                                 bool *out_progress, struct why *why)
{
    struct relay_wallet *w = lane->wallet;
    w->behind_below = w->behind_usec == 0 ? lane->mined : w->behind_below;
    if (!lasted(&w->behind_usec, any_lost(lane))) {
        return OK;
    }
    struct replaced r = {.relay = relay, .lane = lane};
    enum err e = relay_write_one(relay, &lane->address, run_replaced, &r, why);
    w->behind_usec = e == OK ? 0 : w->behind_usec; /* what was mined since has its own time */
    if (e != OK || r.count == 0) {
        return e;
    }
    char text[ADDRESS_TEXT_MAX];
    address_format(&lane->address, text);
    *out_progress = true;
    metric_add(&relay_metrics[RELAY_METRIC_REPLACED], (int64_t)r.count);
    LOG(LOG_ERROR, "relay.replaced", log_text("wallet", text), log_u64("intents", r.count),
        log_u64("next_nonce", lane->mined));
    return OK;
}

/* ---- nonces that nobody has ---- */

/* The chain waits for a nonce below all of ours, and no pool has it: nothing would move again. */
static enum err fill_gap(struct relay *relay, const struct relay_lane *lane, bool *out_progress,
                         struct why *why)
{
    uint64_t first = lane->items[0].nonce;
    if (!lasted(&lane->wallet->gap_usec, lane->mined < first)) {
        return OK;
    }
    uint64_t pending = 0;
    enum err e = rpc_nonce(relay->rpc, &lane->address, true, &pending, why);
    if (pending > lane->mined) {
        return e; /* somebody's transaction is on its way */
    }
    first = first - lane->mined < FILL_MAX ? first : lane->mined + FILL_MAX;
    for (uint64_t nonce = lane->mined; e == OK && nonce < first; nonce++) {
        e = relay_fill(relay, &lane->address, nonce, why);
    }
    *out_progress = *out_progress || e == OK;
    return e;
}

/* ---- bytes that the node has not ---- */

struct dropped {
    const struct relay_lane *lane;
    size_t count; /* out */
};

/* A pool counts what it has from the mined nonce on, without a hole: beyond that it has nothing. */
static bool is_dropped(const struct relay_lane *lane, const struct relay_open *o)
{
    return o->state == RELAY_SENT && !o->found && o->nonce >= lane->pending &&
           clock_wall_usec() - o->sent_usec >= RELAY_DROPPED_USEC &&
           o->try_usec > clock_wall_usec();
}

static enum err send_again(struct store_tx *tx, void *ctx, struct why *why)
{
    struct dropped *d = ctx;
    enum err e = OK;
    d->count = 0;
    for (size_t i = 0; e == OK && i < d->lane->count; i++) {
        const struct relay_open *o = &d->lane->items[i];
        if (!is_dropped(d->lane, o)) {
            continue;
        }
        struct store_query q;
        store_begin(&q, tx, &relay_sql_intent_retry_at);
        store_bind_text(&q, "intent_id", o->id);
        store_bind_i64(&q, "attempt", o->attempt);
        store_bind_time(&q, "try_at", clock_wall_usec());
        e = store_finish(&q, NULL, why);
        d->count++;
    }
    return e;
}

/* Swallowed, or evicted from the pool: nothing behind the first of them can be mined. */
static enum err resend_dropped(struct relay *relay, const struct relay_lane *lane,
                               bool *out_progress, struct why *why)
{
    struct dropped d = {.lane = lane};
    bool any = false;
    for (size_t i = 0; !any && i < lane->count; i++) {
        any = is_dropped(lane, &lane->items[i]);
    }
    if (!any) {
        return OK;
    }
    enum err e = relay_write_one(relay, &lane->address, send_again, &d, why);
    if (e == OK && d.count > 0) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&lane->address, text);
        *out_progress = true;
        metric_add(&relay_metrics[RELAY_METRIC_DROPPED], (int64_t)d.count);
        LOG(LOG_WARN, "relay.dropped", log_text("wallet", text), log_u64("pending", lane->pending),
            log_u64("mined", lane->mined), log_u64("intents", d.count));
    }
    return e;
}

/* ---- fees that are too low by now ---- */

/* How long a version has to be mined: twice as long each time, while no block comes at all. */
static int64_t patience(const struct relay *relay, const struct relay_open *o, bool blocks_come)
{
    uint32_t doublings =
        o->attempt - 1 < STILL_DOUBLINGS_MAX ? o->attempt - 1 : STILL_DOUBLINGS_MAX;
    return relay_speed_up_of(relay, o->attempt)->wait_usec *
           (blocks_come ? 1 : (int64_t)1 << doublings);
}

/*
 * The lowest nonce holds up all others. It is bumped when it has waited long enough. A chain that
 * stands still is hardly a reason to pay more; but a node may have shelved the transaction, and
 * take another version.
 */
static enum err bump_stuck(struct relay *relay, const struct relay_lane *lane, bool *out_progress,
                           struct why *why)
{
    const struct relay_open *first = &lane->items[0];
    struct relay_wallet *w = lane->wallet;
    int64_t age = clock_wall_usec() - first->attempt_usec;
    if (first->state != RELAY_SENT || first->nonce != lane->mined ||
        age < relay_speed_up_of(relay, first->attempt)->wait_usec) {
        return OK;
    }
    uint64_t head = 0;
    struct relay_fee now;
    enum err e = rpc_block_number(relay->rpc, &head, why);
    if (e == OK) {
        e = relay_fees(relay, &now, why);
    }
    if (e != OK) {
        return e;
    }
    if (w->stuck_nonce != first->nonce || w->stuck_attempt != first->attempt) {
        w->stuck_nonce = first->nonce;
        w->stuck_attempt = first->attempt;
        w->stuck_head = head;
    }
    bool left_behind = wei_compare(now.base, first->fee_max) > 0;
    if (!left_behind && age < patience(relay, first, head > w->stuck_head)) {
        return OK;
    }
    struct relay_version version = {
        .fill = OK, .bump_permille = relay_speed_up_of(relay, first->attempt)->bump_permille};
    struct why local = {0};
    bool done = false;
    e = relay_resign(relay, first, &version, &done, &local);
    *out_progress = *out_progress || done;
    if (e != OK && e != ERR_LIMIT && why != NULL) {
        *why = local;
    }
    return e == ERR_LIMIT ? OK : e; /* at the cap: keep waiting with what was signed */
}

enum err relay_look_after(struct relay *relay, struct relay_lane *lane, bool *out_progress,
                          struct why *why)
{
    ASSERT(lane->wallet != NULL);
    enum err e = give_up_replaced(relay, lane, out_progress, why);
    if (e == OK) {
        e = fill_gap(relay, lane, out_progress, why);
    }
    if (e == OK) {
        e = resend_dropped(relay, lane, out_progress, why);
    }
    return e == OK ? bump_stuck(relay, lane, out_progress, why) : e;
}
