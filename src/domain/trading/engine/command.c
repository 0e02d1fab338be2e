#include "domain/trading/engine/command.h"

#include <stdbool.h>
#include <stddef.h>

/* Where the bytes begin that a command of an op does not use. Units: bytes from its start. */
#define USED_UPTO(type, member) (offsetof(struct engine_command, order) + offsetof(type, member))

static const struct {
    const char *text;
    size_t used; /* later bytes are zero */
    size_t hole; /* four zero bytes in between, 0: none */
} ops[ENGINE_OP_COUNT] = {
    [ENGINE_OP_NEW] = {"new", ENGINE_COMMAND_BYTES, 0},
    [ENGINE_OP_CANCEL] = {"cancel", USED_UPTO(struct engine_cancel_in, unused_), 0},
    [ENGINE_OP_REPLACE] = {"replace", USED_UPTO(struct engine_replace_in, unused_), 0},
    [ENGINE_OP_MASS_CANCEL] = {"mass_cancel", USED_UPTO(struct engine_mass_in, unused_), 0},
    [ENGINE_OP_CANCEL_AFTER] = {"cancel_after", USED_UPTO(struct engine_mass_in, unused_), 0},
    [ENGINE_OP_TIME] = {"time", USED_UPTO(struct engine_clock_in, unused_), 0},
    [ENGINE_OP_ASSET] = {"asset", USED_UPTO(struct engine_asset_in, unused_), 0},
    [ENGINE_OP_PAIR] = {"pair", USED_UPTO(struct engine_pair_in, unused_), 0},
    [ENGINE_OP_RULES] = {"rules", USED_UPTO(struct engine_rules_in, unused_), 0},
    [ENGINE_OP_GUARD] = {"guard", USED_UPTO(struct engine_guard_in, unused2_),
                         USED_UPTO(struct engine_guard_in, unused_)},
    [ENGINE_OP_FEES] = {"fees", USED_UPTO(struct engine_fees_in, unused_), 0},
    [ENGINE_OP_ACCOUNT] = {"account", USED_UPTO(struct engine_account_in, unused_), 0},
    [ENGINE_OP_ELIGIBILITY] = {"eligibility", USED_UPTO(struct engine_right_in, unused_), 0},
    [ENGINE_OP_STATE] = {"state", USED_UPTO(struct engine_state_in, unused_), 0},
    [ENGINE_OP_REFERENCE] = {"reference", USED_UPTO(struct engine_reference_in, unused2_),
                             USED_UPTO(struct engine_reference_in, unused_)},
    [ENGINE_OP_DEPOSIT] = {"deposit", USED_UPTO(struct engine_money_in, to), 0},
    [ENGINE_OP_TRANSFER] = {"transfer", USED_UPTO(struct engine_money_in, unused_), 0},
    [ENGINE_OP_HOLD] = {"hold", USED_UPTO(struct engine_money_in, unused_), 0},
    [ENGINE_OP_POST] = {"post", USED_UPTO(struct engine_cancel_in, account), 0},
    [ENGINE_OP_VOID] = {"void", USED_UPTO(struct engine_cancel_in, account), 0},
};

/* By words, because each command that is read again comes by. `from` is a multiple of 4. */
static bool zero_to_the_end(const uint8_t *bytes, size_t from)
{
    uint64_t any = 0;
    if (from % sizeof any != 0) {
        uint32_t half;
        memcpy(&half, bytes + from, sizeof half);
        any = half;
        from += sizeof half;
    }
    for (; from < ENGINE_COMMAND_BYTES; from += sizeof any) {
        uint64_t word;
        memcpy(&word, bytes + from, sizeof word);
        any |= word;
    }
    return any == 0;
}

static bool shape_sound(const uint8_t bytes[ENGINE_COMMAND_BYTES])
{
    const unsigned op = bytes[0];
    if (op == ENGINE_OP_NONE || op >= ENGINE_OP_COUNT) {
        return false;
    }
    uint64_t head;
    uint32_t hole = 0;
    memcpy(&head, bytes, sizeof head);
    if (ops[op].hole != 0) {
        memcpy(&hole, bytes + ops[op].hole, sizeof hole);
    }
    const size_t used = op == ENGINE_OP_NEW ? offsetof(struct engine_command, unused_) : 1;
    return head >> (8 * used) == 0 && hole == 0 && zero_to_the_end(bytes, ops[op].used);
}

bool engine_command_sound(const struct engine_command *c)
{
    return shape_sound((const uint8_t *)c);
}

void engine_command_encode(const struct engine_command *c, uint8_t out[ENGINE_COMMAND_BYTES])
{
    memcpy(out, c, ENGINE_COMMAND_BYTES);
}

enum err engine_command_decode(const uint8_t bytes[ENGINE_COMMAND_BYTES],
                               struct engine_command *out, struct why *why)
{
    const unsigned op = bytes[0];
    if (op == ENGINE_OP_NONE || op >= ENGINE_OP_COUNT) {
        return why_set(why, ERR_INVALID_ENCODING, "op", "there is no command %u", op);
    }
    if (!shape_sound(bytes)) {
        return why_set(why, ERR_INVALID_ENCODING, NULL,
                       "a %s has something in bytes that it does not use", ops[op].text);
    }
    memcpy(out, bytes, ENGINE_COMMAND_BYTES);
    return OK;
}

const char *engine_op_text(unsigned op)
{
    return op > ENGINE_OP_NONE && op < ENGINE_OP_COUNT ? ops[op].text : "unknown";
}

const char *engine_state_text(unsigned state)
{
    static const char *const texts[ENGINE_STATE_COUNT] = {
        [ENGINE_PRE_OPEN] = "pre_open", [ENGINE_AUCTION] = "auction",
        [ENGINE_OPEN] = "open",         [ENGINE_CANCEL_ONLY] = "cancel_only",
        [ENGINE_HALTED] = "halted",     [ENGINE_CLOSED] = "closed",
    };
    return state < ENGINE_STATE_COUNT ? texts[state] : "unknown";
}
