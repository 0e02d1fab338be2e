/*
 * relay_tell.c: intents as they stand after a change, for the audit log and for the watcher.
 *
 * A pass changes hundreds of intents in one transaction. Statements that change them answer with
 * the whole row, so that nothing is read again, and travel as many (store_begin_rows): on a server
 * a batch costs a few round trips, however many intents there are in it.
 */
#include "kernel/base/check.h"
#include "kernel/relay/relay_internal.h"
#include "kernel/relay/relay_sql.h"

void relay_row_take(struct store_query *q, struct arena *arena, struct relay_row *out)
{
    memset(out, 0, sizeof *out);
    out->id = store_get_text(q, "intent_id", arena);
    out->key = store_get_text(q, "intent_key", arena);
    out->chain_id = (uint64_t)store_get_i64(q, "chain_id");
    store_get_fixed(q, "wallet", out->wallet.bytes, ADDRESS_BYTES);
    out->has_to = !store_is_null(q, "to_address");
    store_get_fixed(q, "to_address", out->to.bytes, ADDRESS_BYTES);
    out->value = wei_of(store_get_u256(q, "value"));
    out->purpose = store_get_text(q, "purpose", arena);
    out->state = (enum relay_state)store_get_i64(q, "state");
    out->final = store_get_bool(q, "final");
    out->has_nonce = !store_is_null(q, "nonce");
    out->nonce = (uint64_t)store_get_i64(q, "nonce");
    out->has_hash = !store_is_null(q, "transaction_hash");
    store_get_fixed(q, "transaction_hash", out->hash.bytes, HASH_BYTES);
    out->attempts = (uint32_t)store_get_i64(q, "attempts");
    out->priority = (enum relay_priority)store_get_i64(q, "priority");
    out->cancelling = store_get_bool(q, "cancelling");
    out->unassigned = store_get_i64(q, "pool") == 1;
    out->has_block = !store_is_null(q, "block_number");
    out->block_number = (uint64_t)store_get_i64(q, "block_number");
    store_get_fixed(q, "block_hash", out->block_hash.bytes, HASH_BYTES);
    out->gas_used = (uint64_t)store_get_i64(q, "gas_used");
    out->gas_price = wei_of(store_get_u256(q, "gas_price"));
    out->has_contract = !store_is_null(q, "contract");
    store_get_fixed(q, "contract", out->contract.bytes, ADDRESS_BYTES);
    out->error_code = store_get_text(q, "error_code", arena);
    out->error = store_get_text(q, "error", arena);
    out->created_usec = store_get_time(q, "created_at");
    out->updated_usec = store_get_time(q, "updated_at");
}

/* ---- gathering ---- */

void relay_told_init(struct relay_told *told, struct arena *arena, size_t cap)
{
    *told = (struct relay_told){
        .arena = arena,
        .rows = arena_alloc_array(arena, cap + 1, sizeof *told->rows),
        .cap = cap,
    };
}

struct relay_row *relay_told_add(struct relay_told *told)
{
    ASSERT(told->count < told->cap);
    return &told->rows[told->count++];
}

struct relay_row *relay_told_take(struct relay_told *told, struct store_query *q)
{
    struct relay_row *row = relay_told_add(told);
    relay_row_take(q, told->arena, row);
    return row;
}

enum err relay_told_run(struct relay_told *told, struct store_tx *tx,
                        const struct store_statement *statement, const struct slice *ids,
                        size_t count, struct why *why)
{
    int64_t now = clock_wall_usec();
    struct store_query q;
    store_begin_rows(&q, tx, statement);
    for (size_t i = 0; i < count; i++) {
        store_bind_text(&q, "intent_id", ids[i]);
        store_bind_time(&q, "now", now);
        store_row(&q);
    }
    while (store_step(&q)) {
        (void)relay_told_take(told, &q);
    }
    return store_finish(&q, NULL, why);
}

/* ---- telling ---- */

enum err relay_tell_all(const struct relay *relay, struct store_tx *tx,
                        const struct relay_told *told, struct why *why)
{
    if (told->count == 0) {
        return OK;
    }
    store_notify(tx, "relay_state");
    store_notify(tx, "stream"); /* what changed is told */
    enum err e = relay_audit_states(tx, told->arena, told->rows, told->count, why);
    if (e == OK && relay->watch != NULL) {
        e = relay->watch(tx, relay->watch_ctx, told->rows, told->count, why);
    }
    return e;
}

enum err relay_tell(const struct relay *relay, struct store_tx *tx, struct slice id,
                    struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 4096);
    struct relay_told told;
    relay_told_init(&told, &scratch, 1);
    enum err e = relay_get(tx, &scratch, id, relay_told_add(&told), why);
    if (e == OK) {
        e = relay_tell_all(relay, tx, &told, why);
    }
    arena_free(&scratch);
    return e;
}
