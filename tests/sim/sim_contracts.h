/*
 * sim_contracts.h: the contracts of the simulated chain as the follower knows them.
 */
#ifndef SIM_SIM_CONTRACTS_H
#define SIM_SIM_CONTRACTS_H

#include "kernel/chain/chain.h"
#include "sim/sim.h"

/* sim_contracts_init makes the catalog of statements and migrations, once. */
const struct store_catalog *sim_contracts_init(void);
/* sim_contracts_table has the handlers. */
const struct chain_table *sim_contracts_table(void);
/* sim_contracts_sources lists what is followed from the start. */
const struct chain_source *sim_contracts_sources(size_t *out_count);

#endif
