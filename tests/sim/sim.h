/*
 * sim.h: one seed, one run: the real follower and the real relay in a world that is made up.
 *
 * What is real
 *   kernel/chain, kernel/relay, kernel/rpc with its pool of endpoints, kernel/store on SQLite with
 *   its writer thread, kernel/ledger, kernel/audit, signing, encoding, proofs: the objects that the
 *   daemon is linked from. They are driven step by step (chain_sync_once, relay_step) on one
 *   thread, so that nothing depends on a scheduler.
 *
 * What is simulated
 *   The chain: a tree of blocks with headers, transactions, receipts and logs whose hashes, roots
 *   and blooms are right; a few contracts that log what their transactions ask for; accounts with
 *   nonces; one pool of transactions with the rules of nodes (order of nonces, replacement by a
 *   tenth, eviction, base fee). It forks, by 1 to 20 blocks, goes back to what it left, and mines
 *   the same transactions again in other blocks and at other places.
 *   The providers: up to four endpoints. Each has a view of the chain (honest, behind, stuck, ahead
 *   by its word, on a fork of its own, of another chain) and faults by chance: late, unreachable,
 *   gone before or after it took a transaction, 429 with Retry-After, 500, answers cut short, HTML,
 *   null blocks and receipts, "[]", logs that are left out, altered, twice or in another order,
 *   transactions that are swallowed, or known already.
 *   Time: a clock that moves when somebody sleeps or waits for an answer, and whose wall jumps.
 *   Randomness: rand_set_seed.
 *   The end of the process: at any await (before a request reaches a provider, and between its
 *   effect and its answer) and around any commit the process ends as by kill -9, and another one
 *   starts on its files. The world goes on living: it lies in memory that the processes share. A
 *   process may also lose its leases to another owner while it waits for an answer.
 *
 * What must hold
 *   After each step: every block that the follower stands on is one of the tree, linked to those
 *   before it, and its rows are its logs, no more and no fewer, with their values. While most
 *   providers are honest, it never stands on a block that only a liar had. A process whose leases
 *   are another's changes nothing.
 *   At the end, when faults have ceased and the chain goes on: the follower reaches its head within
 *   bounded steps (a halt is ended by an operator), all intents end; the tables equal those of a
 *   fresh index of the canonical chain, byte by byte; an intent that is mined has exactly one
 *   transaction with its effect, one that failed has none, and none is left without a reason; a
 *   wallet's nonces are complete; the ledger and the chain of hashes of the audit log are sound.
 *
 * What is not covered
 *   Threads and their races, PostgreSQL and two living processes (tests/api/processes.test.mjs),
 *   disks (tests/api/disk-faults.test.mjs), WebSockets, the HTTP API and jobs, power cuts (files
 *   keep what was written, as after kill -9), contracts with state, other encodings of headers than
 *   London's.
 *
 * The switches of the world are drawn from the seed too, so that some seeds have one kind of
 * trouble for long and others all kinds at once. What is in struct sim lies in shared memory, and
 * so does everything that it points to; pointers are the same in all processes.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdio.h>

#include "kernel/base/mem.h"
#include "kernel/base/slice.h"
#include "kernel/crypto/hash.h"
#include "kernel/crypto/secp256k1.h"
#include "kernel/evm/abi.h"
#include "kernel/evm/bloom.h"
#include "kernel/net/http_client.h"
#include "kernel/relay/relay.h"

#define SIM_CHAIN_ID 31337
#define SIM_NODES_MAX 4
#define SIM_BLOCKS_MAX 4096
#define SIM_TXS_MAX 8192
#define SIM_POOL_MAX 512
#define SIM_BLOCK_TXS_MAX 64
#define SIM_TX_LOGS_MAX 4
#define SIM_WALLETS 2
#define SIM_INTENTS_MAX 256
#define SIM_TOKENS_MAX 60
#define SIM_TEXT_MAX 512
#define SIM_MEMORY ((size_t)192 << 20)
/* A reorganisation that the follower undoes by itself, and what it remembers. */
#define SIM_REORG_MAX 12
#define SIM_UNDO_DEPTH 128
/* Blocks of one batch at most, as many as are looked at after a step. */
#define SIM_RANGE_MAX 64
/* The deepest reorganisation of the world. */
#define SIM_DEPTH_MAX 20
/* Blocks on top of a mined transaction after which no fork of this world takes it away. */
#define SIM_FINAL_DEPTH 24
#define SIM_KILLED 77

/* What may go wrong in a run; a bit each in sim.trouble. */
enum sim_trouble {
    SIM_FORKS,     /* the chain reorganises */
    SIM_DEEP,      /* by up to 20 blocks */
    SIM_VIEWS,     /* providers see other chains */
    SIM_NETWORK,   /* requests and answers are lost, late, cut short, refused */
    SIM_LIES,      /* blocks, receipts and logs are altered or missing */
    SIM_CLOCK,     /* the wall clock jumps */
    SIM_MEMPOOL,   /* transactions are evicted and forgotten */
    SIM_FEES,      /* the base fee rises beyond what is offered, and falls again */
    SIM_SENDS,     /* sends are swallowed, answered wrongly */
    SIM_FUNDS,     /* wallets run dry for a while */
    SIM_STRANGERS, /* somebody else uses the keys of the wallets */
    SIM_WISHES,    /* intents are cancelled and hurried, have deadlines, revert */
    SIM_KILLS,     /* processes end */
    SIM_USURPERS,  /* leases go to another owner */
    SIM_TROUBLES,
};

struct sim_log {
    struct address address;
    struct hash topics[3];
    uint8_t topic_count;
    uint64_t value; /* the data: one word */
};

struct sim_tx {
    struct hash hash;
    bool is_signed; /* else a deposit, which nobody signs */
    struct hash source;
    struct address from;
    struct address to;
    uint64_t nonce;
    uint64_t gas_limit;
    uint64_t fee_max;
    uint64_t fee_priority;
    struct slice data;
    struct slice rlp; /* what its block commits to */
    bool reverts;     /* whenever it is mined */
    bool is_foreign;  /* signed by somebody else who has the key */
    struct sim_log logs[SIM_TX_LOGS_MAX];
    uint8_t log_count;
    uint64_t creates; /* bits of tokens */
};

struct sim_block {
    int parent;
    uint64_t number;
    struct hash hash;
    struct slice header; /* the members of its JSON object, without braces and transactions */
    uint64_t base_fee;
    uint32_t *txs; /* places in sim.txs */
    size_t tx_count;
    size_t log_count;
    uint64_t tokens; /* bits of those that exist with this block */
    bool canonical;  /* was on the way to the head of the honest at some time */
};

enum sim_view {
    SIM_HONEST,
    SIM_BEHIND,
    SIM_STUCK,
    SIM_AHEAD,
    SIM_FORKED,
    SIM_WRONG_CHAIN,
    SIM_VIEW_COUNT,
};

enum sim_fault {
    SIM_LATE,
    SIM_UNREACHABLE,
    SIM_TIMEOUT,
    SIM_LOST_ANSWER,
    SIM_LIMITED,
    SIM_BROKEN,
    SIM_CUT_SHORT,
    SIM_HTML,
    SIM_CALL_ERROR,
    SIM_NULL_BLOCK,
    SIM_NULL_RECEIPT,
    SIM_EMPTY,
    SIM_OMIT,
    SIM_ALTER,
    SIM_TWICE,
    SIM_SHUFFLE,
    SIM_RENAME,
    SIM_SWALLOW,
    SIM_KNOWN,
    SIM_FAULTS,
};

struct sim_node {
    char url[40];
    bool steady; /* never lies and never sees another chain */
    enum sim_view view;
    uint64_t lag;   /* of SIM_BEHIND and SIM_AHEAD */
    int head;       /* of SIM_STUCK, SIM_FORKED, SIM_WRONG_CHAIN */
    bool connected; /* the next request opens a connection */
    bool no_block_receipts;
    uint16_t chance[SIM_FAULTS]; /* in a thousand, of a request or a call */
    uint64_t requests;
};

struct sim_intent {
    char id[48];
    uint64_t amount; /* what tells its effect */
    bool drawn;
    uint64_t wallet; /* SIM_WALLETS: any */
    uint64_t ending; /* of the amount: 98 and 99 revert */
    int64_t deadline_usec;
    enum relay_priority priority;
    bool may_fail; /* cancelled, late or made to revert: need not be mined */
};

struct sim {
    uint64_t seed;
    uint64_t random; /* state */
    uint32_t trouble;
    bool tracing;
    bool calm; /* faults have ceased */

    int64_t mono_usec;
    int64_t wall_offset_usec;

    struct sim_block *blocks;
    int block_count;
    int head;
    uint64_t top;  /* the highest number that the honest ever had */
    int left_head; /* of the fork that was left last, or -1 */
    struct sim_tx *txs;
    uint32_t tx_count;
    uint32_t pool[SIM_POOL_MAX];
    size_t pool_count;
    uint64_t base_fee;
    uint64_t token_count;
    bool poor[SIM_WALLETS];
    struct address wallets[SIM_WALLETS];
    uint64_t strangers; /* times that somebody else used a wallet */

    struct sim_node nodes[SIM_NODES_MAX];
    size_t node_count;
    bool steady_majority; /* most providers are steady */
    uint32_t quorum;
    bool headers_only; /* logs are believed, and nobody lies about them but by silence */
    uint64_t confirmations;
    uint64_t range_max;
    bool relays;
    uint64_t to_submit; /* intents in this tick */

    char folder[64];
    uint64_t tick;
    uint64_t ticks;
    uint64_t lives;
    uint64_t kills_left;
    uint64_t kill_in;  /* points from now; 0: never */
    uint64_t points;   /* that were passed while a process could end there */
    uint64_t usurp_in; /* requests from now; 0: never */
    struct sim_intent intents[SIM_INTENTS_MAX];
    size_t intent_count;
    uint64_t resumes; /* by the operator */
    uint64_t reorgs;  /* of the world */

    uint64_t trace; /* a digest of all that was said */
    bool failed;
    char failure[8192];

    uint8_t *memory; /* what is left of it is at `used` */
    size_t used;
};

/* The contracts that are followed. */
extern const struct address sim_factory;
extern const struct address sim_coin;

/* ---- sim_world.c: memory, chance, time, what is told ---- */

/* sim_new makes a world from a seed in memory that is shared with children. */
struct sim *sim_new(uint64_t seed, bool tracing);
/* sim_free gives the memory back. */
void sim_free(struct sim *w);
/* sim_keep copies bytes into the world's memory. */
void *sim_keep(struct sim *w, const void *bytes, size_t len);
/* sim_below draws a number in [0, bound). */
uint64_t sim_below(struct sim *w, uint64_t bound);
/* sim_chance says yes so many times in a thousand. */
bool sim_chance(struct sim *w, unsigned permille);
/* sim_has says whether the run knows a kind of trouble. */
bool sim_has(const struct sim *w, enum sim_trouble kind);
/* sim_pass lets time pass. */
void sim_pass(struct sim *w, int64_t usec);
/* sim_digest makes bytes part of the trace. */
void sim_digest(struct sim *w, const void *bytes, size_t len);
/* sim_say makes a line part of the trace, and prints it when the run is traced. */
void sim_say(struct sim *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* sim_fail notes what does not hold; the first of them counts. */
void sim_fail(struct sim *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* sim_use_clock makes the world's time that of the process. */
void sim_use_clock(struct sim *w);
/* sim_point is a point at which the process may end. */
void sim_point(struct sim *w, const char *what);

/* ---- sim_chain.c ---- */

/* sim_block_add makes a block of transactions on `parent`. */
int sim_block_add(struct sim *w, int parent, const uint32_t *txs, size_t count);
/* sim_find returns the block of the chain below `head` with a number, or -1. */
int sim_find(const struct sim *w, int head, uint64_t number);
/* sim_find_hash returns the block with a hash, or -1. */
int sim_find_hash(const struct sim *w, const struct hash *hash);
/* sim_has_tx says whether the chain below `head` has a transaction. */
bool sim_has_tx(const struct sim *w, int head, uint32_t tx);
/* sim_nonce counts the transactions of an account in the chain below `head`. */
uint64_t sim_nonce(const struct sim *w, int head, const struct address *from);
/* sim_random_tx makes a deposit that does something to the contracts. */
uint32_t sim_random_tx(struct sim *w);
/* sim_set_head makes a block the newest of the honest; what falls out returns to the pool. */
void sim_set_head(struct sim *w, int head);
/* sim_mine makes a block of random deposits and what the pool has. */
void sim_mine(struct sim *w);
/* sim_fork replaces the newest blocks by others. */
void sim_fork(struct sim *w, uint64_t depth);
/* sim_tx_of_raw decodes signed bytes, or finds them; UINT32_MAX when they are none. */
uint32_t sim_tx_of_raw(struct sim *w, struct slice raw);
/* sim_pool_take takes a transaction as a node does, which sees `head`; NULL or an error object. */
const char *sim_pool_take(struct sim *w, int head, uint32_t tx);
/* sim_pool_find returns the place of an account's nonce in the pool, or -1. */
int sim_pool_find(const struct sim *w, const struct address *from, uint64_t nonce);
/* sim_pool_drop takes the transaction at a place out of the pool. */
void sim_pool_drop(struct sim *w, size_t place);
/* sim_pool_forget_foreign takes out what somebody else has signed. */
void sim_pool_forget_foreign(struct sim *w);
/* sim_token returns the address of a token. */
struct address sim_token(uint64_t i);
/* sim_followed says whether the logs of an address count in a block. */
bool sim_followed(const struct sim *w, const struct sim_block *b, const struct address *address);

/* ---- sim_node.c ---- */

/* sim_nodes_draw gives providers new views and faults. */
void sim_nodes_draw(struct sim *w);
/* sim_nodes_calm makes all providers honest. */
void sim_nodes_calm(struct sim *w);
/* sim_transport carries requests to the providers. */
struct net_transport sim_transport(struct sim *w);

/* ---- sim_program.c ---- */

/* sim_program_prepare makes the database that each run begins with; in a process of its own. */
void sim_program_prepare(const char *path);
/* sim_program_init readies what all processes share, before the first run. */
void sim_program_init(void);
/* sim_program_live is one life of the program, from its start to the end of the run. */
void sim_program_live(struct sim *w);
/* sim_usurp gives the leases of the process that lives to another owner. */
void sim_usurp(struct sim *w);
/* sim_wallet_key lends the key of a wallet. */
const struct secret *sim_wallet_key(size_t i);

/* ---- sim_plan.c ---- */

/* sim_plan_begin draws what the run is about, and the first blocks. */
void sim_plan_begin(struct sim *w);
/* sim_plan_tick lets something happen in the world. */
void sim_plan_tick(struct sim *w);

#endif
