/*
 * relay_lease.c: which wallets are ours to work on, when other processes have keys too.
 *
 * "relay/<chain>/<wallet>" is held by one of the processes that have the wallet's key, and is all
 * that touches its nonces. "relay/<chain>" is held by one process with the role, and is what
 * belongs to no wallet: watching until mined intents are final, and the intents of wallets that no
 * process works on now.
 */
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/relay/relay_internal.h"

static void name_of(const struct relay *relay, const struct address *wallet,
                    char out[STORE_LEASE_NAME_MAX])
{
    char text[2 * ADDRESS_BYTES + 3];
    hex_encode_to(address_slice(wallet), text);
    (void)snprintf(out, STORE_LEASE_NAME_MAX, "relay/%llu/%s", (unsigned long long)relay->chain_id,
                   text);
}

static void chain_name(const struct relay *relay, char out[STORE_LEASE_NAME_MAX])
{
    (void)snprintf(out, STORE_LEASE_NAME_MAX, "relay/%llu", (unsigned long long)relay->chain_id);
}

void relay_lease_want(struct relay *relay)
{
    char name[STORE_LEASE_NAME_MAX];
    chain_name(relay, name);
    relay->hold.lease = store_lease_want(relay->store, name, "relay");
    for (size_t i = 0; i < relay->signer_count; i++) {
        name_of(relay, &relay->signers[i].address, name);
        relay->wallets[i].hold.lease = store_lease_want(relay->store, name, "relay");
    }
}

void relay_lease_release(struct relay *relay)
{
    if (relay->hold.lease == NULL) {
        return;
    }
    store_lease_release(relay->store, relay->hold.lease);
    relay->hold = (struct store_hold){0};
    for (size_t i = 0; i < relay->signer_count; i++) {
        store_lease_release(relay->store, relay->wallets[i].hold.lease);
        relay->wallets[i] = (struct relay_wallet){0};
    }
}

bool relay_lease_take(struct relay *relay)
{
    if (relay->hold.lease == NULL) {
        return !relay->leased;
    }
    relay->hold.fence = store_lease_held(relay->store, relay->hold.lease);
    bool any = relay->hold.fence != 0;
    for (size_t i = 0; i < relay->signer_count; i++) {
        struct relay_wallet *w = &relay->wallets[i];
        uint64_t fence = store_lease_held(relay->store, w->hold.lease);
        if (fence != w->hold.fence) {
            /* Suspicions of an earlier hold ripen anew. */
            *w = (struct relay_wallet){.hold = {.lease = w->hold.lease, .fence = fence}};
        }
        any = any || fence != 0;
    }
    return any;
}

bool relay_works_on(const struct relay *relay, const struct address *wallet)
{
    const struct relay_signer *signer = relay_signer_find(relay, wallet);
    return signer != NULL &&
           (!relay->leased || relay->wallets[signer - relay->signers].hold.fence != 0);
}

bool relay_watches(const struct relay *relay)
{
    return !relay->leased || relay->hold.fence != 0;
}

bool relay_looks_at(const struct relay *relay, const struct address *wallet)
{
    char name[STORE_LEASE_NAME_MAX];
    if (!relay->leased || relay_works_on(relay, wallet)) {
        return true;
    }
    name_of(relay, wallet, name);
    return relay_watches(relay) && !store_lease_known(relay->store, name, 0);
}

bool relay_is_unknown(const struct relay *relay, const struct address *wallet)
{
    return relay_signer_find(relay, wallet) == NULL && !relay_has_wallet(relay, wallet);
}

bool relay_has_wallet(const struct relay *relay, const struct address *address)
{
    char name[STORE_LEASE_NAME_MAX];
    if (relay_signer_find(relay, address) != NULL) {
        return true;
    }
    if (!relay->leased) {
        return false;
    }
    name_of(relay, address, name);
    return store_lease_known(relay->store, name, RELAY_AWAY_USEC);
}

bool relay_is_working(const struct relay *relay)
{
    char name[STORE_LEASE_NAME_MAX];
    chain_name(relay, name);
    return !relay->leased || store_lease_known(relay->store, name, 0);
}

/* ---- writing ---- */

void relay_holds_init(struct relay *relay, struct relay_holds *out)
{
    size_t cap = relay->signer_count + 1;
    *out = (struct relay_holds){.list = arena_alloc_array(&relay->step, cap, sizeof *out->list)};
}

void relay_holds_add(const struct relay *relay, struct relay_holds *holds,
                     const struct address *wallet)
{
    const struct store_hold *hold = &relay->hold;
    if (wallet != NULL && relay_works_on(relay, wallet)) {
        hold = &relay->wallets[relay_signer_find(relay, wallet) - relay->signers].hold;
    }
    for (size_t i = 0; i < holds->count; i++) {
        if (holds->list[i].lease == hold->lease) {
            return;
        }
    }
    if (relay->leased) {
        holds->list[holds->count++] = *hold;
    }
}

enum err relay_write(struct relay *relay, const struct relay_holds *holds, store_fn fn, void *ctx,
                     struct why *why)
{
    return store_lease_write_committed(relay->store, holds->list, holds->count, fn, ctx, why);
}

enum err relay_write_one(struct relay *relay, const struct address *wallet, store_fn fn, void *ctx,
                         struct why *why)
{
    struct relay_holds holds;
    relay_holds_init(relay, &holds);
    relay_holds_add(relay, &holds, wallet);
    return relay_write(relay, &holds, fn, ctx, why);
}
