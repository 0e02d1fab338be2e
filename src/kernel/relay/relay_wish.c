/*
 * relay_wish.c: what was asked of signed intents. One that was cancelled, or has outlived its
 * deadline, gets a filler at its nonce; one that was hurried gets another version of itself. Both
 * offer more than the bytes before, because a node may have those.
 *
 * A crash leaves the wish in its row. Bytes that were mined meanwhile make it void: a receipt wins
 * over every wish.
 */
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/relay/relay_internal.h"

static bool outlived(const struct relay_open *o)
{
    return o->deadline_usec > 0 && clock_wall_usec() > o->deadline_usec;
}

/* Says whether an intent wants another version, and which. */
static bool wish_of(const struct relay *relay, const struct relay_open *o, struct why *scratch,
                    struct relay_version *out)
{
    struct relay_version v = {.fill = OK,
                              .bump_permille = relay_speed_up_of(relay, o->attempt)->bump_permille};
    if (o->cancelling && !o->filling) {
        v.fill = why_set(scratch, ERR_CANCELLED, NULL, "the transaction was cancelled");
    } else if (outlived(o) && !o->filling) {
        v.fill = why_set(scratch, ERR_DEADLINE_EXPIRED, NULL,
                         "the deadline passed before the transaction was mined");
    } else if (!o->hurried) {
        return false;
    }
    v.why = scratch;
    *out = v;
    return true;
}

static enum err grant(struct relay *relay, const struct relay_open *o, bool *out_changed,
                      struct why *why)
{
    struct why reason = {0};
    struct why local = {0};
    struct relay_version version;
    struct relay_wallet *w = relay_wallet_of(relay, &o->wallet);
    bool done = false;
    if (w == NULL || !wish_of(relay, o, &reason, &version) || clock_mono_usec() < w->wish_usec) {
        return OK;
    }
    enum err e = relay_resign(relay, o, &version, &done, &local);
    *out_changed = *out_changed || done;
    if (e == ERR_LIMIT) {
        /* The cap forbids it now; the old bytes may be mined, or the fees come down. */
        w->wish_usec = clock_mono_usec() + RELAY_RETRY_USEC;
        LOG(LOG_WARN, "relay.wish_waits", log_slice("tx", o->id), log_why(&local, e));
        return OK;
    }
    if (e != OK && why != NULL) {
        *why = local;
    }
    return e;
}

enum err relay_grant_wishes(struct relay *relay, struct relay_open *items, size_t count,
                            bool *out_changed, struct why *why)
{
    enum err e = OK;
    *out_changed = false;
    for (size_t i = 0; e == OK && i < count; i++) {
        e = grant(relay, &items[i], out_changed, why);
    }
    return e;
}
