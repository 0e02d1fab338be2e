/*
 * leasing_internal.h: what the files of domain/leasing share. Private to this folder.
 */
#ifndef DOMAIN_LEASING_LEASING_INTERNAL_H
#define DOMAIN_LEASING_LEASING_INTERNAL_H

#include <stdatomic.h>

#include "domain/leasing/leasing.h"
#include "domain/leasing/leasing_metadata.h"
#include "domain/leasing/leasing_revenue.h"
#include "domain/leasing/leasing_terms.h"
#include "kernel/ledger/ledger.h"

/* round_id = block number * this + log index of the event that opened the round. */
#define LEASING_ROUND_FACTOR 100000

/* Ids of what others put on chain begin so: "chain-<chain id>-<on-chain id>". */
#define LEASING_FOUND_PREFIX "chain-"

/* Longest rent period that an agreement may have: ten thousand years. Units: seconds. */
#define LEASING_PERIOD_SEC_MAX INT64_C(315576000000)

#define LEASING_SOURCES 4
#define LEASING_POLICIES_MAX 32

/* Policy roles of who asks for a transaction. */
#define LEASING_ROLE_REGISTRAR "registrar"
#define LEASING_ROLE_LESSOR "lessor"
#define LEASING_ROLE_BIDDER "bidder"
#define LEASING_ROLE_HOLDER "holder"
#define LEASING_ROLE_SELLER "seller"

struct leasing {
    struct leasing_config config;
    uint64_t chain_id;
    uint64_t undo_depth;
    struct store *store;
    struct rpc_pool *rpc;
    struct relay *relay;
    const struct paywall *paywall; /* or NULL */

    struct address stablecoin;
    struct address registry;
    struct address factory;
    struct address marketplace;
    struct address registrar;
    bool has_registrar;
    /* The marketplace says in events how revenue was shared and bids were refunded. */
    bool tells_shares;
    /* Stablecoin facts for people, asked once. */
    char stable_symbol[32];

    struct chain_source sources[LEASING_SOURCES];
    size_t source_count;
    struct relay_policy policies[LEASING_POLICIES_MAX];
    size_t policy_count;
    char book[LEDGER_BOOK_MAX]; /* "stable/<chain id>" */
};

/* leasing_chain_handlers and leasing_chain_discoveries are the rows behind leasing_chain_table. */
extern const struct chain_handler leasing_chain_handlers[];
extern const size_t leasing_chain_handler_count;
extern const struct chain_discovery leasing_chain_discoveries[];
extern const size_t leasing_chain_discovery_count;

/* leasing_routes are the rows behind leasing_http_table. */
extern const struct http_route leasing_routes[];
extern const size_t leasing_route_count;

/* leasing_job_queues, _kinds and _crons are the rows behind leasing_job_table. */
extern const struct job_queue leasing_job_queues[];
extern const size_t leasing_job_queue_count;
extern const struct job_kind leasing_job_kinds[];
extern const size_t leasing_job_kind_count;
extern const struct job_cron leasing_job_crons[];
extern const size_t leasing_job_cron_count;

/*
 * leasing_access_look is the rule that the totals of hours in which access was sold are those of
 * the payments. Errors: of the store.
 */
enum err leasing_access_look(struct chain_reconciling *r, struct why *why) ERR_CHECKED;

/* leasing_namespace is the metadata namespace of an asset or lease: keccak of the 32-byte id. */
struct hash leasing_namespace(struct u256 id);

/* leasing_type_hash is the on-chain id of an asset type: keccak of its name. */
struct hash leasing_type_hash(struct slice name);

/* leasing_account_of is the ledger path of an address behind a prefix. Owns: the arena. */
struct slice leasing_account_of(struct arena *arena, const char *prefix, const struct address *who);

/* One ledger transfer that an event causes. */
struct leasing_movement {
    const char *suffix; /* of the event's id */
    const char *kind;
    struct slice from;
    bool from_external; /* outside accounts may go below zero */
    struct slice to;
    bool to_external;
    struct u256 amount;
};

/* leasing_move posts it; an amount of zero is none. Errors: of the ledger. */
enum err leasing_move(struct store_tx *tx, const struct chain_event *ev,
                      const struct leasing_movement *m, struct why *why) ERR_CHECKED;

/* The handlers of leasing_chain_market.c and leasing_chain_sales.c. */
enum err leasing_on_offer_posted(struct store_tx *tx, const struct chain_event *ev,
                                 struct why *why) ERR_CHECKED;
enum err leasing_on_offer_cancelled(struct store_tx *tx, const struct chain_event *ev,
                                    struct why *why) ERR_CHECKED;
enum err leasing_on_bid_placed(struct store_tx *tx, const struct chain_event *ev,
                               struct why *why) ERR_CHECKED;
enum err leasing_on_bid_refunded(struct store_tx *tx, const struct chain_event *ev,
                                 struct why *why) ERR_CHECKED;
enum err leasing_on_bid_withdrawn(struct store_tx *tx, const struct chain_event *ev,
                                  struct why *why) ERR_CHECKED;
enum err leasing_on_lease_accepted(struct store_tx *tx, const struct chain_event *ev,
                                   struct why *why) ERR_CHECKED;
enum err leasing_on_revenue_shared(struct store_tx *tx, const struct chain_event *ev,
                                   struct why *why) ERR_CHECKED;
enum err leasing_on_revenue_credited(struct store_tx *tx, const struct chain_event *ev,
                                     struct why *why) ERR_CHECKED;
enum err leasing_on_revenue_claimed(struct store_tx *tx, const struct chain_event *ev,
                                    struct why *why) ERR_CHECKED;
enum err leasing_on_refund_credited(struct store_tx *tx, const struct chain_event *ev,
                                    struct why *why) ERR_CHECKED;
enum err leasing_on_refund_claimed(struct store_tx *tx, const struct chain_event *ev,
                                   struct why *why) ERR_CHECKED;
enum err leasing_on_sale_posted(struct store_tx *tx, const struct chain_event *ev,
                                struct why *why) ERR_CHECKED;
enum err leasing_on_sale_cancelled(struct store_tx *tx, const struct chain_event *ev,
                                   struct why *why) ERR_CHECKED;
enum err leasing_on_sale_bid_placed(struct store_tx *tx, const struct chain_event *ev,
                                    struct why *why) ERR_CHECKED;
enum err leasing_on_sale_bid_accepted(struct store_tx *tx, const struct chain_event *ev,
                                      struct why *why) ERR_CHECKED;
enum err leasing_on_sale_bid_refunded(struct store_tx *tx, const struct chain_event *ev,
                                      struct why *why) ERR_CHECKED;
enum err leasing_on_sale_bid_withdrawn(struct store_tx *tx, const struct chain_event *ev,
                                       struct why *why) ERR_CHECKED;

#endif
