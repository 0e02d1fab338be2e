/*
 * demo.h: the lifecycle of seed 000, driven from outside and checked independently.
 *
 * The demo is a client: it starts `freehold serve` as a process of its own, talks to it over HTTP
 * only, and checks each step against two witnesses: the chain (its own eth_call, its own node
 * connection) and the database (opened for reading next to the daemon). Lessor, bidders and one
 * holder have wallets in the daemon's relay; another holder ("treasury") has not, signs for itself
 * and sends its own transactions, as users with their own wallets do.
 *
 * Steps are rows; each demo is a set of them. Private to src/app.
 */
#ifndef APP_DEMO_H
#define APP_DEMO_H

#include <sys/types.h>

#include "app/cli.h"
#include "app/deploy.h"
#include "domain/leasing/leasing_terms.h"
#include "kernel/net/http_client.h"
#include "kernel/rpc/rpc.h"
#include "kernel/store/store.h"

/* The people of the demo are accounts of the development mnemonic. */
enum demo_party {
    DEMO_REGISTRAR,
    DEMO_LESSOR,
    DEMO_BIDDER_LOW,
    DEMO_BIDDER_HIGH,
    DEMO_HOLDER,   /* its wallet is in the daemon */
    DEMO_TREASURY, /* its wallet is its own */
    DEMO_PARTIES
};

#define DEMO_FACTS_MAX 24
#define DEMO_TXS_MAX 16

struct demo_fact {
    const char *key;
    struct slice text;
};

struct demo_tx {
    struct hash hash;
    uint64_t gas_used;
    struct slice purpose;
};

/* What a step has to tell, besides whether it passed. */
struct demo_note {
    struct demo_fact facts[DEMO_FACTS_MAX];
    size_t fact_count;
    struct demo_tx txs[DEMO_TXS_MAX];
    size_t tx_count;
};

struct demo {
    struct cli *cli;
    struct arena arena;
    struct net_client *http;
    struct rpc_pool *rpc;
    struct store *store;
    struct demo_note *note; /* of the running step */

    /* The daemon. */
    char dir[4096];
    bool dir_is_ours;
    pid_t pid;
    int stdin_fd;
    int stdout_fd;
    struct buf lines; /* read and not yet taken */
    char url[128];
    char rpc_url[256];
    const char *given_rpc;
    const char *given_store; /* NULL: a file in the folder */
    const char *store_url;   /* of the daemon, and where the demo reads beside it */
    bool keep;
    bool pays; /* the daemon takes payments */

    /* The world. */
    struct deployment contracts;
    struct secret keys[DEMO_PARTIES];
    struct address parties[DEMO_PARTIES];
    uint64_t treasury_nonce;

    /* What the steps made. */
    char type_name[64];
    char asset_id[64];
    char lease_id[64];
    struct hash type_hash;
    struct u256 onchain_asset;
    struct address token;
    struct u256 offer_id;
    struct u256 bid_low;
    struct u256 bid_high;
    struct u256 nft_id;
    struct leasing_terms terms;
    uint64_t round_id;
    struct u256 claimed; /* by all holders */
};

struct demo_step {
    const char *name;  /* "registerAsset" */
    const char *title; /* "Register asset" */
    unsigned demos;    /* bits of enum demo_kind */
    bool chain;        /* counts as chain time */
    enum err (*run)(struct demo *demo, struct why *why);
};

enum demo_kind {
    DEMO_COMPLETE = 1 << 0,
    DEMO_ASSET = 1 << 1,
    DEMO_LEASE = 1 << 2,
    DEMO_REVENUE = 1 << 3,
    DEMO_X402 = 1 << 4,
};

/* demo_steps are all steps (demo_steps.c). */
extern const struct demo_step demo_steps[];
extern const size_t demo_step_count;

/* ---- demo_daemon.c ---- */

/* demo_daemon_start starts `freehold serve`. Errors: ERR_IO. */
enum err demo_daemon_start(struct demo *demo, struct why *why) ERR_CHECKED;
/*
 * demo_daemon_await waits for the daemon's line with this event and gives its object.
 * Errors: ERR_UPSTREAM when it ended first (why holds its sentence), ERR_NODE_TIMEOUT.
 */
enum err demo_daemon_await(struct demo *demo, const char *event, const struct json **out,
                           struct why *why) ERR_CHECKED;
/* demo_daemon_release lets the daemon outlive the demo. Errors: ERR_UPSTREAM (it has ended). */
enum err demo_daemon_release(struct demo *demo, struct why *why) ERR_CHECKED;
/*
 * demo_daemon_stop stops the daemon, unless it is kept, and removes a folder of ours. Errors:
 * ERR_UPSTREAM (it crashed or failed; its log is left).
 */
enum err demo_daemon_stop(struct demo *demo, struct why *why) ERR_CHECKED;

/*
 * demo_catch_signals makes SIGINT, SIGTERM and SIGHUP stop the daemon, so that the running step
 * fails and everything is cleared up. However the demo ends, the daemon sees the end of its
 * standard input.
 */
void demo_catch_signals(void);
/* demo_signal_caught gives the number of the signal that came, or 0. */
int demo_signal_caught(void);
/* demo_check_signal is for loops that wait. Errors: ERR_CANCELLED once a signal came. */
enum err demo_check_signal(struct why *why) ERR_CHECKED;

/* ---- demo_client.c ---- */

/*
 * demo_post and demo_get call the API and give "data". `body` is a JSON object. Errors: the
 * daemon's own code and sentence; ERR_UPSTREAM when it does not answer.
 */
enum err demo_post(struct demo *demo, struct slice path, struct slice body, const struct json **out,
                   struct why *why) ERR_CHECKED;
/* demo_post_paid is demo_post of nothing, with a payment by x402 (PAYMENT-SIGNATURE). */
enum err demo_post_paid(struct demo *demo, struct slice path, struct slice payment,
                        const struct json **out, struct why *why) ERR_CHECKED;
/* demo_get: see demo_post. */
enum err demo_get(struct demo *demo, struct slice path, const struct json **out,
                  struct why *why) ERR_CHECKED;
/* demo_at finds a member by a dotted path ("offer.offerId"), or NULL. */
const struct json *demo_at(const struct json *v, const char *path);
/*
 * demo_note_relayed fetches the relayed transaction whose id stands at `path` of an answer, checks
 * that it was mined and notes it.
 */
enum err demo_note_relayed(struct demo *demo, const struct json *answer, const char *path,
                           struct why *why) ERR_CHECKED;
/* demo_fact notes something to print, printf style. */
void demo_fact(struct demo *demo, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* demo_expect is a check of a step: ERR_CORRUPT with the sentence when it does not hold. */
enum err demo_expect(bool holds, struct why *why, const char *format, ...) ERR_CHECKED
    __attribute__((format(printf, 3, 4)));

/* demo_usdc writes an amount for people, in the arena. */
struct slice demo_usdc(struct demo *demo, struct u256 units);
/* demo_tokens writes an amount of asset tokens for people, in the arena. */
struct slice demo_tokens(struct demo *demo, struct u256 units);
/* demo_address writes an address in the arena. */
struct slice demo_address(struct demo *demo, const struct address *a);
/* demo_hash writes 0x hex in the arena. */
struct slice demo_hash(struct demo *demo, const struct hash *h);

/* ---- demo_market.c: steps 7 to 12 ---- */

/* demo_step_offer posts a lease offer. */
enum err demo_step_offer(struct demo *demo, struct why *why) ERR_CHECKED;
/* demo_step_fund gives the bidders stablecoin. */
enum err demo_step_fund(struct demo *demo, struct why *why) ERR_CHECKED;
/* demo_step_bids places two bids with signatures. */
enum err demo_step_bids(struct demo *demo, struct why *why) ERR_CHECKED;
/* demo_step_accept accepts the higher bid. */
enum err demo_step_accept(struct demo *demo, struct why *why) ERR_CHECKED;
/* demo_step_stream checks the price of streaming access. */
enum err demo_step_stream(struct demo *demo, struct why *why) ERR_CHECKED;
/* demo_step_access buys streaming access by the second (demo_stream.c). */
enum err demo_step_access(struct demo *demo, struct why *why) ERR_CHECKED;
/* demo_step_claims claims the revenue and proves the books. */
enum err demo_step_claims(struct demo *demo, struct why *why) ERR_CHECKED;

/* ---- demo_chain.c: the independent witness ---- */

/* demo_call runs eth_call and returns the answer's bytes in the arena. */
enum err demo_call(struct demo *demo, const struct address *to, struct slice data,
                   struct slice *out, struct why *why) ERR_CHECKED;
/* demo_token_balance reads an ERC-20 balance. */
enum err demo_token_balance(struct demo *demo, const struct address *token,
                            const struct address *holder, struct u256 *out,
                            struct why *why) ERR_CHECKED;
/* demo_send_own signs a call with the treasury's key, sends it and waits for its receipt. */
enum err demo_send_own(struct demo *demo, const struct address *to, struct slice data,
                       const char *purpose, struct why *why) ERR_CHECKED;
/* demo_wait_cursor waits until the daemon has applied the node's newest block. */
enum err demo_wait_cursor(struct demo *demo, struct why *why) ERR_CHECKED;
/* demo_sign signs a digest with a party's key as 0x hex text in the arena. */
enum err demo_sign(struct demo *demo, enum demo_party party, const struct hash *digest,
                   struct slice *out, struct why *why) ERR_CHECKED;

#endif
