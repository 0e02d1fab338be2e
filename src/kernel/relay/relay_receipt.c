/*
 * relay_receipt.c: receipts, and what they make of an intent.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

/* The hashes of all versions of the intents: any of them may be the one that was mined. */
struct versions {
    struct relay *relay;
    struct relay_open *items;
    size_t count;
    struct hash *hashes;
    size_t *owner;
    size_t hash_count;
};

static enum err add_versions(struct versions *v, struct store_tx *tx, size_t i, size_t cap,
                             struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &relay_sql_attempts_list);
    store_bind_text(&q, "intent_id", v->items[i].id);
    while (store_step(&q)) {
        struct hash hash = {{0}};
        store_ignore(&q, "attempt");
        store_get_fixed(&q, "transaction_hash", hash.bytes, HASH_BYTES);
        if (v->hash_count < cap) {
            v->hashes[v->hash_count] = hash;
            v->owner[v->hash_count++] = i;
        }
    }
    return store_finish(&q, NULL, why);
}

static enum err load_versions(struct store_tx *tx, void *ctx, struct why *why)
{
    struct versions *v = ctx;
    size_t cap = 0;
    for (size_t i = 0; i < v->count; i++) {
        /* Another process may have signed one more since. */
        cap += v->items[i].below ? v->items[i].attempt + 16 : 0;
    }
    v->hashes = arena_alloc_array(&v->relay->step, cap, sizeof *v->hashes);
    v->owner = arena_alloc_array(&v->relay->step, cap, sizeof *v->owner);
    v->hash_count = 0;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < v->count; i++) {
        if (!v->items[i].below) {
            continue;
        }
        if (v->items[i].attempt == 1) {
            v->hashes[v->hash_count] = v->items[i].hash;
            v->owner[v->hash_count++] = i;
        } else {
            e = add_versions(v, tx, i, cap, why);
        }
    }
    return e;
}

enum err relay_find_receipts(struct relay *relay, struct relay_open *items, size_t count,
                             size_t *out_found, struct why *why)
{
    struct versions v = {.relay = relay, .items = items, .count = count};
    *out_found = 0;
    enum err e = store_read(relay->store, load_versions, &v, why);
    if (e != OK || v.hash_count == 0) {
        return e;
    }
    struct evm_receipt *receipts = arena_alloc_array(&relay->step, v.hash_count, sizeof *receipts);
    bool *found = arena_alloc_array(&relay->step, v.hash_count, sizeof *found);
    e = rpc_receipts(relay->rpc, &relay->step, v.hashes, v.hash_count, receipts, found, why);
    for (size_t i = 0; e == OK && i < v.hash_count; i++) {
        if (found[i]) {
            items[v.owner[i]].found = true;
            items[v.owner[i]].receipt = receipts[i];
            (*out_found)++;
        }
    }
    return e;
}

/* What the mined bytes were. */
struct version {
    bool filler;
    bool cancelling;
};

static enum err read_versions(struct store_tx *tx, const struct relay_landing *list, size_t count,
                              struct version *out, struct why *why)
{
    size_t at = 0;
    struct store_query q;
    store_begin_rows(&q, tx, &relay_sql_attempt_is_filler);
    for (size_t i = 0; i < count; i++) {
        store_bind_bytes(&q, "transaction_hash", hash_slice(&list[i].receipt->tx_hash));
        store_row(&q);
    }
    while (store_step(&q)) {
        struct hash hash = {{0}};
        store_get_fixed(&q, "transaction_hash", hash.bytes, HASH_BYTES);
        struct version v = {.filler = store_get_bool(&q, "filler"),
                            .cancelling = store_get_bool(&q, "cancelling")};
        while (at < count && !hash_equal(&hash, &list[at].receipt->tx_hash)) {
            at++;
        }
        ASSERT(at < count); /* they come in order */
        out[at++] = v;
    }
    return store_finish(&q, NULL, why);
}

/* A filler that was mined means that the intent itself never will be. */
static enum relay_state state_after(const struct evm_receipt *r, bool filler, bool cancelling)
{
    if (filler) {
        return cancelling ? RELAY_CANCELLED : RELAY_FAILED;
    }
    return r->succeeded ? RELAY_MINED : RELAY_REVERTED;
}

static void bind_receipt(struct store_query *q, struct slice id, const struct evm_receipt *r,
                         enum relay_state state, bool filler)
{
    store_bind_text(q, "intent_id", id);
    store_bind_i64(q, "state", (int64_t)state);
    store_bind_bytes(q, "transaction_hash", hash_slice(&r->tx_hash));
    store_bind_i64(q, "block_number", (int64_t)r->block_number);
    store_bind_bytes(q, "block_hash", hash_slice(&r->block_hash));
    store_bind_i64(q, "gas_used", (int64_t)r->gas_used);
    store_bind_u256(q, "gas_price", wei_raw(r->gas_price));
    if (r->has_contract) {
        store_bind_bytes(q, "contract", address_slice(&r->contract));
    } else {
        store_bind_null(q, "contract");
    }
    if (state == RELAY_REVERTED) {
        store_bind_text(q, "error_code", slice_text(err_code(ERR_REVERTED)));
        store_bind_text(q, "error",
                        SLICE_LIT("the transaction was mined and reverted; its state was "
                                  "overtaken between simulation and execution"));
    } else {
        store_bind_null(q, "error_code");
        store_bind_null(q, "error");
    }
    store_bind_bool(q, "filler", filler);
    store_bind_time(q, "now", clock_wall_usec());
}

enum err relay_landings_put(struct relay *relay, struct store_tx *tx, struct relay_landing *list,
                            size_t count, struct why *why)
{
    struct version *versions = arena_alloc_array(&relay->step, count + 1, sizeof *versions);
    struct relay_told told;
    relay_told_init(&told, &relay->step, count);
    enum err e = read_versions(tx, list, count, versions, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin_rows(&q, tx, &relay_sql_intent_mined);
    for (size_t i = 0; i < count; i++) {
        enum relay_state state =
            state_after(list[i].receipt, versions[i].filler, versions[i].cancelling);
        list[i].outcome = 0;
        bind_receipt(&q, list[i].id, list[i].receipt, state, versions[i].filler);
        store_row(&q);
    }
    size_t at = 0;
    while (store_step(&q)) {
        const struct relay_row *row = relay_told_take(&told, &q);
        while (at < count && !slice_equal(list[at].id, row->id)) {
            at++; /* they come in order, without those that are not open any more */
        }
        ASSERT(at < count);
        list[at].outcome = row->state;
    }
    e = store_finish(&q, NULL, why);
    return e == OK ? relay_tell_all(relay, tx, &told, why) : e;
}

struct found {
    struct relay *relay;
    struct relay_open *items;
    size_t count;
    struct relay_landing *landings;
    size_t *owner; /* of a landing */
    size_t landing_count;
    size_t from; /* storing: the landings of this transaction */
    size_t to;
};

static void find_landings(struct found *f)
{
    f->landings = arena_alloc_array(&f->relay->step, f->count, sizeof *f->landings);
    f->owner = arena_alloc_array(&f->relay->step, f->count, sizeof *f->owner);
    for (size_t i = 0; i < f->count; i++) {
        struct relay_open *o = &f->items[i];
        if (o->found) {
            f->owner[f->landing_count] = i;
            f->landings[f->landing_count++] =
                (struct relay_landing){.id = o->id, .receipt = &o->receipt};
        }
    }
}

static enum err store_receipts(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct found *f = ctx;
    enum err e = relay_landings_put(f->relay, tx, f->landings + f->from, f->to - f->from, why);
    if (e == OK) {
        store_notify(tx, "relay");      /* intents may have waited for these */
        store_notify(tx, "chain_poke"); /* their events can be read */
    }
    return e;
}

static enum relay_metric metric_of(enum relay_state outcome)
{
    switch (outcome) {
    case RELAY_MINED:
        return RELAY_METRIC_MINED;
    case RELAY_REVERTED:
        return RELAY_METRIC_REVERTED;
    case RELAY_CANCELLED:
        return RELAY_METRIC_CANCELLED;
    case RELAY_QUEUED:
    case RELAY_SIGNED:
    case RELAY_SENT:
    case RELAY_FAILED:
    case RELAY_REPLACED:
        break;
    }
    return RELAY_METRIC_FAILED;
}

static void report_receipt(const struct relay_open *o)
{
    int64_t now = clock_wall_usec();
    bool fine = o->outcome == RELAY_MINED || o->outcome == RELAY_CANCELLED;
    metric_add(&relay_metrics[metric_of(o->outcome)], 1);
    metric_observe(&relay_metrics[RELAY_METRIC_LATENCY],
                   now > o->attempt_usec ? now - o->attempt_usec : 0);
    LOG(fine ? LOG_INFO : LOG_WARN, o->outcome == RELAY_MINED ? "relay.mined" : "relay.not_mined",
        log_slice("tx", o->id), log_text("state", relay_state_text(o->outcome)),
        log_hex("hash", hash_slice(&o->receipt.tx_hash)), log_u64("block", o->receipt.block_number),
        log_u64("nonce", o->nonce), log_u64("gas", o->receipt.gas_used));
}

/* Of those that were stored just now. */
static void report_landings(const struct found *f)
{
    for (size_t i = f->from; i < f->to; i++) {
        struct relay_open *o = &f->items[f->owner[i]];
        o->outcome = f->landings[i].outcome;
        if (o->outcome != 0) {
            report_receipt(o);
        }
    }
}

enum err relay_take_receipts(struct relay *relay, struct relay_open *items, size_t count,
                             const struct relay_holds *holds, bool *out_progress, struct why *why)
{
    struct found f = {.relay = relay, .items = items, .count = count};
    size_t found = 0;
    enum err e = relay_find_receipts(relay, items, count, &found, why);
    if (e != OK || found == 0) {
        return e;
    }
    find_landings(&f);
    for (size_t from = 0; e == OK && from < f.landing_count; from = f.to) {
        size_t left = f.landing_count - from;
        f.from = from;
        f.to = from + (left < RELAY_STORED_MAX ? left : RELAY_STORED_MAX);
        e = relay_write(relay, holds, store_receipts, &f, why);
        if (e == OK) {
            report_landings(&f);
            *out_progress = true;
        }
    }
    return e;
}
