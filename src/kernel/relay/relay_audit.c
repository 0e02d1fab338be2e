/*
 * What is written into the audit log of each transaction: that it was asked for, and each state
 * that it came to, with what was known then.
 */
#include "kernel/audit/audit.h"
#include "kernel/base/check.h"
#include "kernel/relay/relay_internal.h"

enum {
    ACTION_SUBMITTED = 0, /* of RELAY_QUEUED, which numbers the rest */
    ACTION_FINAL = RELAY_CANCELLED + 1,
    ACTION_COUNT
};

static const struct audit_action actions[ACTION_COUNT] = {
    [ACTION_SUBMITTED] = {"relay.submitted", "A transaction was asked for, in the transaction of "
                                             "what wants it."},
    [RELAY_QUEUED] = {"relay.queued", "A transaction waits for its turn again."},
    [RELAY_SIGNED] = {"relay.signed", "Bytes were signed at a nonce, for the first time or anew."},
    [RELAY_SENT] = {"relay.sent", "A node took the bytes, or a block that had them fell out."},
    [RELAY_MINED] = {"relay.mined", "A block has the transaction."},
    [RELAY_REVERTED] = {"relay.reverted", "A block has the transaction, without effect."},
    [RELAY_FAILED] = {"relay.failed", "The transaction will not be sent, or only its nonce was "
                                      "used."},
    [RELAY_REPLACED] = {"relay.replaced", "Its nonce was used by bytes that are none of ours."},
    [RELAY_CANCELLED] = {"relay.cancelled", "It was cancelled: before it had a nonce, or an empty "
                                            "transfer took that."},
    [ACTION_FINAL] = {"relay.final", "A reorganisation cannot take the transaction away any more."},
};

struct audit_table relay_audit_table(void)
{
    return (struct audit_table){actions, ACTION_COUNT};
}

static enum audit_outcome outcome_of(enum relay_state state)
{
    switch (state) {
    case RELAY_QUEUED:
    case RELAY_SIGNED:
    case RELAY_SENT:
    case RELAY_MINED:
    case RELAY_CANCELLED:
        return AUDIT_DONE;
    case RELAY_REVERTED:
    case RELAY_FAILED:
    case RELAY_REPLACED:
        return AUDIT_FAILED;
    }
    return AUDIT_DONE;
}

static void write_facts(struct json_out *j, const struct relay_row *row)
{
    json_begin_object(j);
    json_key(j, "purpose");
    json_string(j, row->purpose);
    json_key(j, "chainId");
    json_u64(j, row->chain_id);
    if (!row->unassigned) {
        json_key(j, "from");
        json_address(j, &row->wallet);
    }
    if (row->has_to) {
        json_key(j, "to");
        json_address(j, &row->to);
    }
    json_key(j, "value");
    json_u256(j, wei_raw(row->value));
    if (row->has_nonce) {
        json_key(j, "nonce");
        json_u64(j, row->nonce);
    }
    if (row->has_hash) {
        json_key(j, "hash");
        json_hex(j, hash_slice(&row->hash));
        json_key(j, "attempt");
        json_u64(j, row->attempts);
    }
    if (row->has_block) {
        json_key(j, "block");
        json_u64(j, row->block_number);
        json_key(j, "blockHash");
        json_hex(j, hash_slice(&row->block_hash));
        json_key(j, "gasUsed");
        json_u64(j, row->gas_used);
        json_key(j, "gasPrice");
        json_u256(j, wei_raw(row->gas_price));
    }
    if (row->error_code.len > 0) {
        json_key(j, "code");
        json_string(j, row->error_code);
        json_key(j, "error");
        json_string(j, row->error);
    }
    json_end_object(j);
}

static struct audit_entry make_entry(struct arena *arena, const struct audit_action *action,
                                     const struct relay_row *row, enum audit_outcome outcome)
{
    struct buf details;
    struct json_out j;
    buf_init(&details, arena, 512);
    json_out_init(&j, &details);
    write_facts(&j, row);
    return (struct audit_entry){
        .action = action,
        .actor_kind = AUDIT_SYSTEM,
        .actor = SLICE_LIT("relay"),
        .subject = slice_format(arena, "transaction/%.*s", SLICE_ARG(row->id)),
        .outcome = outcome,
        .details = buf_slice(&details),
        .transaction_id = row->id,
    };
}

enum err relay_audit_submitted(struct store_tx *tx, const struct relay_intent *intent,
                               struct slice id, struct why *why)
{
    const struct relay_row row = {
        .id = id,
        .purpose = slice_text(intent->purpose),
        .chain_id = intent->chain_id,
        .unassigned = intent->pooled,
        .wallet = intent->wallet,
        .has_to = intent->has_to,
        .to = intent->to,
        .value = intent->value,
    };
    struct arena scratch;
    arena_init(&scratch, 2048);
    const struct audit_entry entry =
        make_entry(&scratch, &actions[ACTION_SUBMITTED], &row, AUDIT_DONE);
    enum err e = audit_write(tx, &entry, why);
    arena_free(&scratch);
    return e;
}

enum err relay_audit_states(struct store_tx *tx, struct arena *arena, const struct relay_row *rows,
                            size_t count, struct why *why)
{
    struct audit_entry *entries = arena_alloc_array(arena, count, sizeof *entries);
    for (size_t i = 0; i < count; i++) {
        const struct relay_row *row = &rows[i];
        ASSERT(row->state >= RELAY_QUEUED && row->state <= RELAY_CANCELLED);
        entries[i] = make_entry(arena, row->final ? &actions[ACTION_FINAL] : &actions[row->state],
                                row, outcome_of(row->state));
    }
    return audit_write_many(tx, entries, count, why);
}
