/*
 * sim_program.h: one life of the program under simulation, and what is looked at in its database.
 */
#ifndef SIM_SIM_PROGRAM_H
#define SIM_SIM_PROGRAM_H

#include <sqlite3.h>

#include "kernel/chain/chain_internal.h"
#include "kernel/relay/relay_internal.h"
#include "sim/sim.h"

struct sim_program {
    struct sim *w;
    char path[160];
    struct store *store;
    struct rpc_pool *rpc;
    struct chain_config chain_config;
    struct relay_config relay_config;
    struct chain *chain;
    struct relay *relay;
    struct relay_key *keys[SIM_WALLETS];
    struct relay_signer signers[SIM_WALLETS];
    sqlite3 *eyes;         /* looks at the rows past the program */
    uint64_t halted_since; /* tick, 0: not */
    struct hash looked_at; /* the cursor at the last look */
    bool usurped;
    uint64_t usurped_rows; /* what the database was then */
    bool chain_synced;
    bool relay_idle;
};

/* sim_program_open starts the program on a database; every provider of `nodes` is one of its. */
void sim_program_open(struct sim_program *p, struct sim *w, const char *path, bool relays);
/* sim_program_close ends it in order. */
void sim_program_close(struct sim_program *p);
/* sim_program_step lets chain and relay do a few steps. */
void sim_program_step(struct sim_program *p);
/* sim_chain_step is one step of the follower, with the operator beside it. */
void sim_chain_step(struct sim_program *p);

/* ---- sim_check.c ---- */

/* sim_check_rows looks whether the rows of the follower's newest blocks are what these hold. */
void sim_check_rows(struct sim_program *p);
/* sim_check_final looks whether what is called final has the blocks on top that this takes. */
void sim_check_final(struct sim_program *p);
/* sim_check_intents looks what became of the intents, when all is over. */
void sim_check_intents(struct sim_program *p);
/* sim_check_books proves ledger and audit log. */
void sim_check_books(struct sim_program *p);
/* sim_check_fresh compares with a fresh index of the canonical chain. */
void sim_check_fresh(struct sim_program *p);
/* sim_number runs a query that yields one number; `bound` is its parameter, if it has one. */
int64_t sim_number(struct sim_program *p, const char *sql);
/* sim_database_digest is a digest of all rows but those of processes. */
uint64_t sim_database_digest(struct sim_program *p);

#endif
