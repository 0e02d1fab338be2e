/*
 * relay_queue.h: queued intents on their way to a signature. Private to this folder.
 *
 *   load (relay_queue.c) --> judged --> simulated (relay_gas.c) --> nonces and bytes made
 *   (relay_assign.c) --> one transaction stores each one's fate
 *
 * Until that transaction nothing has happened: who dies here has used no nonce.
 */
#ifndef KERNEL_RELAY_RELAY_QUEUE_H
#define KERNEL_RELAY_RELAY_QUEUE_H

#include "kernel/relay/relay_internal.h"

enum relay_fate {
    RELAY_SIGN,
    RELAY_FAIL,
    RELAY_LATER,
};

/* A queued intent in a pass. */
struct relay_candidate {
    struct slice id;
    struct address wallet;
    bool has_to;
    struct address to;
    struct wei_amount value;
    struct slice data;
    struct slice role;
    struct slice purpose;
    uint64_t gas_limit;
    int64_t deadline_usec;
    enum relay_priority priority;
    uint32_t tries;
    enum relay_state after_state; /* 0: waits for nothing */
    bool after_missing;
    bool behind; /* something submitted before is under way, or was until after the last look */
    /* What the pass decided: */
    enum relay_fate fate;
    enum err err;
    struct why why;
    int64_t pause_usec; /* of RELAY_LATER */
    bool counts;        /* RELAY_LATER is one of the tries */
    bool done;          /* the fate was stored */
    /* Of RELAY_SIGN, made before the storing transaction: */
    struct tx content;
    struct slice raw; /* empty: no place in this pass */
    struct hash hash;
    bool locked; /* storing: its bytes are stored in this transaction */
};

/* A wallet of the candidates. */
struct relay_turn {
    const struct address *address;
    uint64_t stored;    /* next nonce of its row when the bytes were made */
    uint64_t first;     /* what the first bytes get that are not stored yet */
    uint64_t next;      /* what the next bytes get */
    uint64_t under_way; /* signed or sent */
    bool ended;         /* a nonce was not taken, so none behind it may be */
    bool broken;        /* storing: the same, as of this transaction */
    uint64_t taken;     /* storing: the one behind those that were */
};

struct relay_queue {
    struct relay *relay;
    struct relay_candidate *items;
    size_t count;
    struct relay_fee fee;
    struct relay_turn *turns;
    size_t turn_count;
    int64_t read_usec; /* when the candidates were read */
    size_t from;       /* storing: the candidates of this transaction */
    size_t to;
};

/* relay_fail makes a candidate fail with its `why`. */
void relay_fail(struct relay_candidate *c, enum err e);
/* relay_put_off leaves a candidate alone for a while. */
void relay_put_off(struct relay_candidate *c, enum err e, int64_t pause_usec);

/* relay_simulate asks for the gas of all that may be signed, and decides on those that fail. */
enum err relay_simulate(struct relay_queue *queue, struct why *why) ERR_CHECKED;

/* relay_assign gives nonces to all that may be signed and has their bytes made. */
enum err relay_assign(struct relay_queue *queue, struct why *why) ERR_CHECKED;

/*
 * relay_store_signed stores the bytes of candidates whose wallet and who themselves are as they
 * were when the bytes were made, and marks them done; for others the next pass makes new ones.
 */
enum err relay_store_signed(struct relay_queue *queue, struct store_tx *tx,
                            struct why *why) ERR_CHECKED;
/* relay_signed_stored is told that this transaction was committed, and the next one comes. */
void relay_signed_stored(struct relay_queue *queue);

#endif
