/*
 * fake_node.h: a small EVM node in the test's process, with a tree of blocks instead of a chain.
 *
 * The test makes blocks (any parent, any logs) and says which one is the head; the node answers
 * JSON-RPC (single calls and batches) about the chain below the head, with headers whose hash is
 * right. It has a pool of transactions, which are decoded, checked as nodes check them and mined
 * into blocks; it does not execute anything. struct fake_faults says how it misbehaves.
 *
 * Deterministic: equal calls make equal blocks. One request is answered at a time.
 *
 * Included as a .c file by the tests that use it.
 */
#ifndef SUPPORT_FAKE_NODE_H
#define SUPPORT_FAKE_NODE_H

#include <stdatomic.h>

#include "kernel/base/u256.h"
#include "kernel/crypto/hash.h"
#include "kernel/crypto/secp256k1.h"

#define FAKE_BLOCKS_MAX 4096
#define FAKE_POOL_MAX 4096

struct fake_log {
    struct address address;
    struct hash topics[4];
    uint8_t topic_count;
    uint8_t data[128];
    size_t data_len;
    struct hash tx; /* tells the transaction that made it; logs of one stand together */
};

struct fake_faults {
    uint64_t lag;            /* the head that it shows is so many blocks below the real one */
    unsigned fail;           /* so many requests are answered with HTTP status 500 */
    unsigned fail_every;     /* every n-th request is; 0: none */
    int other;               /* every second call is answered as if this block were the head */
    bool other_now;          /* the next one is */
    int logs_head;           /* logs of a range are those of the chain below this block */
    unsigned logs_empty;     /* so many answers about the logs of a range or a block are empty */
    unsigned logs_drop;      /* so many of them lack their first log */
    unsigned logs_alter;     /* so many receipts have another value in their first log */
    unsigned txs_rename;     /* so many receipts are those of another transaction */
    unsigned txs_alter;      /* so many transactions are others */
    bool no_block_receipts;  /* receipts are given one by one only */
    uint64_t logs_range_max; /* a longer range is refused; 0: none */
    uint64_t final_behind;   /* "safe" and "finalized" are so far below the head; 0: not known */
    uint64_t number_more;    /* eth_blockNumber is so many blocks above the head */
    int delay_ms;            /* before each answer */
    struct fake_meeting *meeting; /* NULL, or answers wait until as many requests as it asks for */

    const char *send_error;     /* error object that each sent transaction gets, or NULL */
    unsigned send_times;        /* for so many transactions; 0: for ever */
    unsigned send_lose;         /* so many are taken, and the connection is closed unanswered */
    unsigned send_swallow;      /* so many are answered with their hash and forgotten */
    const char *estimate_error; /* error object that each gas estimate gets, or NULL */
    unsigned estimate_times;    /* for so many estimates; 0: for ever */
    unsigned revert_mined;      /* so many transactions are mined with status 0 */
    unsigned receipts_late;     /* so many questions for receipts are answered with null */
};

/* Requests of several nodes that wait for each other, which they do in vain if asked in turn. */
struct fake_meeting {
    _Atomic unsigned arrived;
    unsigned wanted;
};

#define FAKE_NO_BLOCK (-1)

struct fake_node;

/* fake_node_start serves chain 31337 with a genesis block, which is block 0 of the tree. */
struct fake_node *fake_node_start(void);
/* fake_node_stop ends the server and frees. */
void fake_node_stop(struct fake_node *n);
/* fake_node_url returns "http://127.0.0.1:PORT". */
const char *fake_node_url(const struct fake_node *n);

/*
 * fake_node_block makes a block on `parent` and returns its place in the tree; blocks with the same
 * parent, logs and salt are the same block. The head stays.
 */
int fake_node_block(struct fake_node *n, int parent, const struct fake_log *logs, size_t count,
                    uint64_t salt);
/* fake_node_set_head says which block is the newest. */
void fake_node_set_head(struct fake_node *n, int block);
/* fake_node_head returns it. */
int fake_node_head(struct fake_node *n);
/* fake_node_ancestor returns the block of the same chain with this number. */
int fake_node_ancestor(struct fake_node *n, int block, uint64_t number);
/* fake_node_number returns the number of a block. */
uint64_t fake_node_number(struct fake_node *n, int block);
/* fake_node_hash returns the hash of a block. */
struct hash fake_node_hash(struct fake_node *n, int block);
/* fake_node_has_log says whether a transaction with logs is in the chain below a block. */
bool fake_node_has_log(struct fake_node *n, int block, const struct hash *tx);

/* fake_node_lock lends the faults to be changed, until fake_node_unlock. */
struct fake_faults *fake_node_lock(struct fake_node *n);
/* fake_node_unlock makes them count. */
void fake_node_unlock(struct fake_node *n);
/* fake_node_requests counts HTTP requests, whatever became of them. */
unsigned fake_node_requests(struct fake_node *n);
/* fake_node_calls counts the calls of a method ("eth_getLogs") so far. */
unsigned fake_node_calls(struct fake_node *n, const char *method);

/* ---- transactions ---- */

/* fake_node_set_automine makes every taken transaction a block of its own, at once. */
void fake_node_set_automine(struct fake_node *n, bool on);
/* fake_node_mine makes a block of what the pool has, at most `max` transactions; returns it. */
int fake_node_mine(struct fake_node *n, size_t max);
/* fake_node_forget empties the pool. */
void fake_node_forget(struct fake_node *n);
/* fake_node_pool counts the transactions in the pool. */
size_t fake_node_pool(struct fake_node *n);
/* fake_node_set_fees sets the base fee of the blocks to come and the fee that the pool asks for. */
void fake_node_set_fees(struct fake_node *n, uint64_t base_wei, uint64_t least_wei);
/* fake_node_set_block_sec sets the time between two blocks to come. */
void fake_node_set_block_sec(struct fake_node *n, uint64_t sec);
/* fake_node_set_legacy makes it a chain without base fees. */
void fake_node_set_legacy(struct fake_node *n, bool on);
/* fake_node_set_gas_limit sets the gas limit of the blocks to come. */
void fake_node_set_gas_limit(struct fake_node *n, uint64_t gas);
/* fake_node_add_pending puts somebody else's transaction of `from` into the pool. */
void fake_node_add_pending(struct fake_node *n, const struct address *from, uint64_t nonce);
/* fake_node_give puts signed bytes into the pool as another node's gossip does. */
bool fake_node_give(struct fake_node *n, struct slice raw);
/* fake_node_set_empty says that an account has nothing to pay for gas with. */
void fake_node_set_empty(struct fake_node *n, bool empty);
/* fake_node_use_nonce mines a transaction of somebody else who has the key of `from`. */
int fake_node_use_nonce(struct fake_node *n, const struct address *from);

struct fake_mined {
    struct hash hash;
    struct address from;
    bool has_to;
    struct address to;
    uint64_t nonce;
    uint64_t gas_limit;
    bool legacy;
    struct u256 fee_max;
    struct u256 fee_priority;
    size_t data_len;
};

/* fake_node_mined copies the mined transactions of the head's chain, oldest first. */
size_t fake_node_mined(struct fake_node *n, struct fake_mined *out, size_t max);

#endif
