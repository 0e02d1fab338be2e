/*
 * store_keeper.h: the thread behind store_lease.h. Private to this folder.
 */
#ifndef KERNEL_STORE_STORE_KEEPER_H
#define KERNEL_STORE_STORE_KEEPER_H

#include "kernel/store/store_lease.h"

/* Woken when a lease was given back or taken, in all processes. */
#define STORE_KEEPER_CHANNEL "leases"

/* store_keeper_look has the keeper make a round now, and waits for its end. */
void store_keeper_look(struct store *store);

/* store_keeper_fenced is told that a write under a lease was refused. */
void store_keeper_fenced(struct store *store, const struct store_hold *hold, const struct why *why);

#endif
