/*
 * relay_open.c: signed bytes are sent until they are mined.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

/* Open intents of one wallet in a pass: the lowest nonces, without which no other is mined. */
#define LANE_MAX 1024
/* A fee that a node refuses again and again grows faster each time, up to this many doublings. */
#define BUMP_DOUBLINGS_MAX 6

struct open_set {
    struct relay *relay;
    struct relay_open *items;
    size_t count;
    size_t from; /* storing: the intents of this transaction */
    size_t to;
};

static void read_open(struct store_query *q, struct arena *arena, struct relay_open *o)
{
    o->id = store_get_text(q, "intent_id", arena);
    store_get_fixed(q, "wallet", o->wallet.bytes, ADDRESS_BYTES);
    o->state = (enum relay_state)store_get_i64(q, "state");
    o->nonce = (uint64_t)store_get_i64(q, "nonce");
    o->attempt = (uint32_t)store_get_i64(q, "attempts");
    o->accepted = !store_is_null(q, "sent_at");
    o->sent_usec = store_get_time(q, "sent_at");
    o->try_usec = store_get_time(q, "try_at");
    store_get_fixed(q, "transaction_hash", o->hash.bytes, HASH_BYTES);
    o->raw = store_get_bytes(q, "raw", arena);
    o->fee_max = wei_of(store_get_u256(q, "fee_max"));
    o->fee_priority = wei_of(store_get_u256(q, "fee_priority"));
    o->gas_limit = (uint64_t)store_get_i64(q, "gas_limit");
    o->filling = store_get_bool(q, "filler");
    o->attempt_usec = store_get_time(q, "attempt_at");
    o->priority = (enum relay_priority)store_get_i64(q, "priority");
    o->cancelling = store_get_bool(q, "cancelling");
    o->hurried = store_get_bool(q, "hurried");
    o->deadline_usec = store_get_time(q, "deadline");
}

/* Whether the intent that was read last, behind the others of its wallet, is ours to look at. */
static bool is_ours(const struct open_set *set)
{
    const struct relay_open *o = &set->items[set->count];
    bool known = set->count > 0 && address_equal(&o->wallet, &o[-1].wallet);
    return known || relay_looks_at(set->relay, &o->wallet);
}

static enum err load(struct store_tx *tx, void *ctx, struct why *why)
{
    struct open_set *set = ctx;
    size_t cap = 64;
    set->items = arena_alloc_array(&set->relay->step, cap, sizeof *set->items);
    set->count = 0;
    struct store_query q;
    store_begin(&q, tx, &relay_sql_open_list);
    store_bind_i64(&q, "chain_id", (int64_t)set->relay->chain_id);
    store_bind_i64(&q, "per_wallet", LANE_MAX);
    while (store_step(&q)) {
        if (set->count == cap) {
            struct relay_open *grown = arena_alloc_array(&set->relay->step, cap * 2, sizeof *grown);
            memcpy(grown, set->items, cap * sizeof *grown);
            set->items = grown;
            cap *= 2;
        }
        read_open(&q, &set->relay->step, &set->items[set->count]);
        set->count += is_ours(set);
    }
    return store_finish(&q, NULL, why);
}

/* ---- sending ---- */

static bool due(const struct relay_open *o, int64_t now)
{
    return o->try_usec <= now || o->try_usec > now + RELAY_FAR_USEC;
}

/* Whatever a node said, the bytes have a time at which they are sent again; 0: they count as sent.
 */
static int64_t pause_of(enum rpc_verdict verdict)
{
    switch (verdict) {
    case RPC_SENT:
    case RPC_NONCE_TOO_LOW: /* mined, by our bytes or by others: receipts tell */
        return 0;
    case RPC_INSUFFICIENT_FUNDS:
    case RPC_NONCE_TOO_HIGH:
    case RPC_TRY_AGAIN:
        return RELAY_RETRY_USEC;
    case RPC_UNDERPRICED:
    case RPC_REFUSED:
        break;
    }
    return RELAY_RESEND_USEC;
}

/* Marks what a node took, and tells of those that it took for the first time. */
static enum err store_sent(struct open_set *set, struct store_tx *tx, struct why *why)
{
    int64_t now = clock_wall_usec();
    struct relay_told told;
    relay_told_init(&told, &set->relay->step, set->to - set->from);
    struct store_query q;
    store_begin_rows(&q, tx, &relay_sql_intent_sent);
    for (size_t i = set->from; i < set->to; i++) {
        const struct relay_open *o = &set->items[i];
        if (o->verdict_known && pause_of(o->verdict) == 0) {
            store_bind_text(&q, "intent_id", o->id);
            store_bind_i64(&q, "attempt", o->attempt);
            store_bind_time(&q, "try_at", now + RELAY_RESEND_USEC);
            store_bind_time(&q, "now", now);
            store_row(&q);
        }
    }
    size_t at = set->from;
    while (store_step(&q)) {
        const struct relay_row *row = relay_told_take(&told, &q);
        while (at < set->to && !slice_equal(set->items[at].id, row->id)) {
            at++; /* they come in order, without those that somebody else changed */
        }
        ASSERT(at < set->to);
        if (set->items[at].state != RELAY_SIGNED) {
            told.count--; /* that was told when it happened */
        }
    }
    enum err e = store_finish(&q, NULL, why);
    return e == OK ? relay_tell_all(set->relay, tx, &told, why) : e;
}

static enum err store_pauses(const struct open_set *set, struct store_tx *tx, struct why *why)
{
    int64_t now = clock_wall_usec();
    struct store_query q;
    store_begin_rows(&q, tx, &relay_sql_intent_retry_at);
    for (size_t i = set->from; i < set->to; i++) {
        const struct relay_open *o = &set->items[i];
        if (o->verdict_known && pause_of(o->verdict) > 0) {
            store_bind_text(&q, "intent_id", o->id);
            store_bind_i64(&q, "attempt", o->attempt);
            store_bind_time(&q, "try_at", now + pause_of(o->verdict));
            store_row(&q);
        }
    }
    return store_finish(&q, NULL, why);
}

/* The leases under which the intents of a set are written. */
static void add_holds(const struct open_set *set, struct relay_holds *holds)
{
    relay_holds_init(set->relay, holds);
    for (size_t i = 0; i < set->count; i++) {
        if (i == 0 || !address_equal(&set->items[i].wallet, &set->items[i - 1].wallet)) {
            relay_holds_add(set->relay, holds, &set->items[i].wallet);
        }
    }
}

static enum err store_verdicts(struct store_tx *tx, void *ctx, struct why *why)
{
    struct open_set *set = ctx;
    enum err e = store_sent(set, tx, why);
    if (e == OK) {
        e = store_pauses(set, tx, why);
    }
    for (size_t i = set->from; e == OK && i < set->to; i++) {
        const struct relay_open *o = &set->items[i];
        bool same = i > set->from && address_equal(&o->wallet, &o[-1].wallet) &&
                    o[-1].verdict_known &&
                    o[-1].verdict == o->verdict; /* it was noted a moment ago */
        if (o->verdict_known && o->verdict == RPC_INSUFFICIENT_FUNDS && !same) {
            e = relay_wallet_low(tx, set->relay->chain_id, &o->wallet, why);
        }
    }
    return e;
}

static enum err store_all_verdicts(struct open_set *set, struct why *why)
{
    struct relay_holds holds;
    enum err e = OK;
    add_holds(set, &holds);
    for (size_t from = 0; e == OK && from < set->count; from = set->to) {
        size_t left = set->count - from;
        set->from = from;
        set->to = from + (left < RELAY_STORED_MAX ? left : RELAY_STORED_MAX);
        bool any = false;
        for (size_t i = set->from; !any && i < set->to; i++) {
            any = set->items[i].verdict_known;
        }
        e = any ? relay_write(set->relay, &holds, store_verdicts, set, why) : OK;
    }
    return e;
}

struct relay_wallet *relay_wallet_of(struct relay *relay, const struct address *address)
{
    const struct relay_signer *signer =
        relay_works_on(relay, address) ? relay_signer_find(relay, address) : NULL;
    return signer != NULL ? &relay->wallets[signer - relay->signers] : NULL;
}

static void note_funds(struct relay *relay, const struct relay_open *o)
{
    struct relay_wallet *w = relay_wallet_of(relay, &o->wallet);
    bool low = o->verdict == RPC_INSUFFICIENT_FUNDS;
    if (w == NULL || (!low && o->verdict != RPC_SENT) || w->low_funds == low) {
        return;
    }
    char text[ADDRESS_TEXT_MAX];
    address_format(&o->wallet, text);
    w->low_funds = low;
    if (low) {
        LOG(LOG_ERROR, "relay.wallet_empty", log_text("wallet", text), log_slice("tx", o->id),
            log_why(&o->why, ERR_NODE_ERROR));
    } else {
        LOG(LOG_INFO, "relay.wallet_filled", log_text("wallet", text));
    }
}

/* Bytes that a node took once may be mined: only long waiting speaks against them. */
static bool hopeless(const struct relay *relay, const struct relay_open *o)
{
    return !o->filling && (!o->accepted || clock_wall_usec() - o->attempt_usec >=
                                               relay_speed_up_of(relay, o->attempt)->wait_usec);
}

/* What bytes that a node does not take need: higher fees, or an empty transfer in their place. */
static enum err answer_refusal(struct relay *relay, const struct relay_open *o, bool *out_progress,
                               struct why *why)
{
    struct relay_version version = {.fill = OK};
    if (!relay_works_on(relay, &o->wallet)) {
        return OK; /* nobody can sign anything else */
    }
    if (o->verdict == RPC_UNDERPRICED && o->state == RELAY_SIGNED) {
        unsigned doublings =
            o->attempt - 1 < BUMP_DOUBLINGS_MAX ? o->attempt - 1 : BUMP_DOUBLINGS_MAX;
        version.bump_permille = relay_speed_up_of(relay, o->attempt)->bump_permille << doublings;
    } else if (o->verdict == RPC_REFUSED && hopeless(relay, o)) {
        version.fill = ERR_NODE_ERROR;
        version.why = &o->why;
        version.bump_permille =
            o->accepted ? relay_speed_up_of(relay, o->attempt)->bump_permille : 0;
    } else {
        return OK;
    }
    bool done = false;
    struct why local = {0};
    enum err e = relay_resign(relay, o, &version, &done, &local);
    *out_progress = *out_progress || done;
    if (e != OK && e != ERR_LIMIT && why != NULL) {
        *why = local;
    }
    return e == ERR_LIMIT ? OK : e; /* at the cap: the fees may come down again */
}

static enum err send_due(struct relay *relay, struct open_set *set, bool *out_progress,
                         struct why *why)
{
    struct slice *raws = arena_alloc_array(&relay->step, set->count, sizeof *raws);
    size_t *index = arena_alloc_array(&relay->step, set->count, sizeof *index);
    size_t n = 0;
    int64_t now = clock_wall_usec();
    for (size_t i = 0; i < set->count; i++) {
        if (due(&set->items[i], now)) {
            raws[n] = set->items[i].raw;
            index[n++] = i;
        }
    }
    if (n == 0) {
        return OK;
    }
    enum rpc_verdict *verdicts = arena_alloc_array(&relay->step, n, sizeof *verdicts);
    struct why *whys = arena_alloc_array(&relay->step, n, sizeof *whys);
    enum err e = rpc_send_many(relay->rpc, &relay->step, raws, n, verdicts, whys, why);
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < n; i++) {
        struct relay_open *o = &set->items[index[i]];
        o->verdict = verdicts[i];
        o->verdict_known = true;
        o->why = whys[i];
        *out_progress = *out_progress || (o->verdict == RPC_SENT && o->state == RELAY_SIGNED);
        metric_add(&relay_metrics[RELAY_METRIC_SENT], o->verdict == RPC_SENT);
        note_funds(relay, o);
    }
    e = store_all_verdicts(set, why);
    for (size_t i = 0; e == OK && i < n; i++) {
        e = answer_refusal(relay, &set->items[index[i]], out_progress, why);
    }
    return e;
}

/* ---- the pass ---- */

/* Cuts the open intents, which are sorted by wallet, into one lane a wallet. */
static struct relay_lane *make_lanes(struct relay *relay, const struct open_set *set,
                                     size_t *out_count)
{
    struct relay_lane *lanes = arena_alloc_array(&relay->step, set->count, sizeof *lanes);
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct relay_open *o = &set->items[i];
        if (count == 0 || !address_equal(&lanes[count - 1].address, &o->wallet)) {
            lanes[count++] = (struct relay_lane){
                .address = o->wallet,
                .signer = relay_signer_find(relay, &o->wallet),
                .wallet = relay_wallet_of(relay, &o->wallet),
                .items = o,
            };
        }
        lanes[count - 1].count++;
    }
    *out_count = count;
    return lanes;
}

/*
 * Receipts exist only below the nonce that the chain waits for: one number a wallet tells. Another
 * one tells what the node's pool still has, asked for when something may have been dropped from it.
 */
static enum err ask_lanes(struct relay *relay, struct relay_lane *lanes, size_t count,
                          struct why *why)
{
    const struct address **wallets =
        arena_alloc_array(&relay->step, count, sizeof(const struct address *));
    uint64_t *mined = arena_alloc_array(&relay->step, count, sizeof *mined);
    uint64_t *pending = arena_alloc_array(&relay->step, count, sizeof *pending);
    for (size_t i = 0; i < count; i++) {
        wallets[i] = &lanes[i].address;
    }
    enum err e = relay_counts(relay, wallets, count, mined, pending, why);
    for (size_t i = 0; e == OK && i < count; i++) {
        lanes[i].mined = mined[i];
        lanes[i].pending = pending[i];
        for (size_t k = 0; k < lanes[i].count; k++) {
            lanes[i].items[k].below = lanes[i].items[k].nonce < mined[i];
        }
    }
    return e;
}

enum err relay_pass_open(struct relay *relay, bool *out_progress, struct why *why)
{
    struct open_set set = {.relay = relay};
    bool changed = false;
    enum err e = store_read(relay->store, load, &set, why);
    if (e != OK || set.count == 0) {
        return e;
    }
    e = relay_grant_wishes(relay, set.items, set.count, &changed, why);
    if (e != OK || changed) {
        *out_progress = *out_progress || changed;
        return e; /* what is loaded must not be sent any more */
    }
    e = send_due(relay, &set, out_progress, why);
    if (e != OK) {
        return e;
    }
    size_t count = 0;
    struct relay_lane *lanes = make_lanes(relay, &set, &count);
    e = ask_lanes(relay, lanes, count, why);
    struct relay_holds holds;
    add_holds(&set, &holds);
    if (e == OK) {
        e = relay_take_receipts(relay, set.items, set.count, &holds, out_progress, why);
    }
    for (size_t i = 0; e == OK && i < count; i++) {
        e = lanes[i].wallet != NULL ? relay_look_after(relay, &lanes[i], out_progress, why) : OK;
    }
    return e;
}
