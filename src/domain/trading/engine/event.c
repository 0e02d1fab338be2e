#include "domain/trading/engine/event.h"

#include <stddef.h>

const char *engine_event_text(unsigned kind)
{
    static const char *const texts[ENGINE_EVENT_COUNT] = {
        [ENGINE_EVENT_REJECTED] = "rejected",
        [ENGINE_EVENT_APPLIED] = "applied",
        [ENGINE_EVENT_ACCEPTED] = "accepted",
        [ENGINE_EVENT_RESTED] = "rested",
        [ENGINE_EVENT_TRADED] = "traded",
        [ENGINE_EVENT_REDUCED] = "reduced",
        [ENGINE_EVENT_REMOVED] = "removed",
        [ENGINE_EVENT_CANCELLED] = "cancelled",
        [ENGINE_EVENT_PARKED] = "parked",
        [ENGINE_EVENT_TRIGGERED] = "triggered",
        [ENGINE_EVENT_PREVENTED] = "prevented",
        [ENGINE_EVENT_STATE] = "state",
        [ENGINE_EVENT_INDICATIVE] = "indicative",
        [ENGINE_EVENT_UNCROSSED] = "uncrossed",
        [ENGINE_EVENT_CREDITED] = "credited",
        [ENGINE_EVENT_TRANSFERRED] = "transferred",
        [ENGINE_EVENT_HELD] = "held",
        [ENGINE_EVENT_POSTED] = "posted",
        [ENGINE_EVENT_VOIDED] = "voided",
        [ENGINE_EVENT_TIME] = "time",
        [ENGINE_EVENT_PAIR] = "pair",
    };
    return kind < ENGINE_EVENT_COUNT && texts[kind] != NULL ? texts[kind] : "unknown";
}

static const struct {
    enum engine_reason reason;
    const char *text;
} reasons[] = {
    {ENGINE_OK, "none"},
    {ENGINE_INVALID, "a value is not allowed"},
    {ENGINE_DUPLICATE, "the id is used"},
    {ENGINE_UNKNOWN, "no such open order or hold"},
    {ENGINE_NO_ACCOUNT, "no such account"},
    {ENGINE_WOULD_TAKE, "post-only, and it would take"},
    {ENGINE_SELF_TRADE, "self-trade prevented, or a parked stop that cannot be replaced"},
    {ENGINE_INELIGIBLE, "the owner is not eligible"},
    {ENGINE_FUNDS, "the balance does not cover it"},
    {ENGINE_CAP, "the owner would hold more than allowed"},
    {ENGINE_LIMITED, "a limit is reached"},
    {ENGINE_STATE_FORBIDS, "the state of the pair forbids it"},
    {ENGINE_NO_REFERENCE, "no price to protect the order by"},
    {ENGINE_ASKED, "asked for"},
    {ENGINE_REPLACED, "replaced to or below what is filled"},
    {ENGINE_REST_IOC, "rest of an IOC order"},
    {ENGINE_REST_MARKET, "rest of a market order"},
    {ENGINE_NOT_FILLABLE, "cannot be filled whole"},
    {ENGINE_SPENT, "the funds are used"},
    {ENGINE_EXPIRED, "expired"},
    {ENGINE_SWITCHED, "mass cancel or dead-man switch"},
    {ENGINE_ENDED, "the pair was closed"},
};

const char *engine_reason_text(unsigned reason)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if ((unsigned)reasons[i].reason == reason) {
            return reasons[i].text;
        }
    }
    return "unknown";
}
