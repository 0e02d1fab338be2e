/*
 * leasing.h: the asset leasing protocol, off chain.
 *
 * What it is about (seeds 000 and 001)
 *   An asset (a satellite, a ship, a machine) is registered with metadata that satisfies the JSON
 *   schema of its type; the registry contract gives it an id and an ERC-20 token whose holders own
 *   its revenue. A lease is an agreement of lessor and lessee over EIP-712 signatures; it is minted
 *   as an NFT, either directly with both signatures or by accepting a bid on the marketplace, in
 *   which case the bid's stablecoin is credited to the token's holders pro rata (a revenue round)
 *   and claimed by each of them.
 *
 * Where state comes from
 *   Only confirmed chain events change what is true: assets become active, offers, bids, leases,
 *   rounds and claims appear through the handlers of leasing_chain_*.c, in the same transaction as
 * the cursor. The API writes agreements and intents (relay rows); what was submitted but is not
 * final is visible as pending, with its transaction. Nothing is believed because we sent it.
 *
 * States, and who moves them
 *
 *   asset    registered --AssetRegistered--> active
 *            registered --its transaction failed--> failed      (a new POST may reuse the id)
 *   lease    draft --first valid signature--> pending_signatures
 *            draft/pending_signatures --LeaseMinted or LeaseAccepted of its transaction--> active
 *            active --end date passed (cron)--> completed
 *            draft/pending_signatures --either party (POST terminate)--> terminated
 *            active --both parties (POST terminate)--> terminated
 *            A lease without a lessee is offered on the marketplace: LeaseOfferPosted sets its
 *            offer id, LeaseAccepted its lessee and NFT.
 *   offer    active --LeaseAccepted--> accepted;  --LeaseOfferCancelled--> cancelled
 *   bid      active --LeaseAccepted--> accepted (the others: refunded);  --withdrawn--> withdrawn
 *   sale     active --SaleBidAccepted (less remains)--> active, or sold when nothing remains
 *            active --SaleCancelled--> cancelled
 *   sale bid active --SaleBidAccepted--> accepted (the others: refunded);  --> withdrawn
 *   round    calculating --shares stored--> open --every claim paid--> closed
 *   claim    open --RevenueClaimed of its holder--> claimed
 *
 * Money in the ledger (book "stable/<chain id>", accounts without overdraft)
 *   bid placed        external/<bidder>            -> leasing/offer/<o>/bid/<i>
 *   bid refunded      leasing/offer/<o>/bid/<i>    -> external/<bidder>
 *   bid accepted      leasing/offer/<o>/bid/<i>    -> leasing/round/<round>
 *   revenue credited  leasing/round/<round>        -> leasing/claimable/<holder>, one a holder,
 *                     the remainder with the holder that RevenueShared names; marketplaces
 *                     without that event keep it: leasing/marketplace/dust
 *   revenue claimed   leasing/claimable/<holder>   -> external/<holder>
 *   sale bid placed   external/<bidder>            -> leasing/sale/<s>/bid/<i>
 *   .. refunded, withdrawn: back to external/<bidder>; .. accepted: -> external/<seller>
 *   access sold       external/<payer>             -> external/<lessor>, when its payment by x402
 *                     is settled (leasing_access.h); the money never was the marketplace's
 *   refund refused    external/<bidder>            -> leasing/refund/<bidder>, back when claimed
 *   The sum of leasing/… accounts is the marketplace's stablecoin balance, but for what somebody
 *   gave it; tests compare it with the contract.
 *
 * Two generations of marketplaces
 *   Ours emits RevenueShared and RevenueCredited; the deployed one does not, and leaves the
 *   remainder in the contract. Which one it is is asked once at start (leasing_probe) and
 * remembered; projections are a function of the chain for either.
 *
 * Who may send what
 *   Wallets that the relay has keys of are used directly. For other lessors, bidders and holders
 *   the answer carries the unsigned transaction ("transactionRequest") to send from their wallet;
 *   the events make the same rows either way.
 *
 * Crash points: agreements and intents are one transaction; the relay owns the rest; handlers are
 * part of the chain's transaction; jobs are idempotent by their key.
 *
 * Access to leased assets is sold by the second, for payments by x402 to the lessor
 * (leasing_access.h, leasing_access_api.c).
 *
 * Files: leasing_metadata (flatten, canonical hash), leasing_terms (digest, calldata, signatures),
 * leasing_revenue (pro rata): pure rules. leasing_rows: a lease as it is stored and shown.
 * leasing_chain*: events (_market: offers, bids, revenue; _sales: asset tokens). leasing_links,
 * leasing_reconcile: rows without them. leasing_routes, leasing_api*, leasing_schema: the API;
 * leasing_sale*, leasing_market_*: that of sales (leasing_sales.h).
 * leasing_schedule: when rent is due, pure; leasing_dues: as rows.
 * leasing_claims_signed: claims on behalf of holders. leasing_sweep: dead bids are taken back.
 * leasing_watch: what became of our transactions. leasing_jobs: background work. leasing_probe:
 * questions at the start.
 */
#ifndef DOMAIN_LEASING_LEASING_H
#define DOMAIN_LEASING_LEASING_H

#include "kernel/base/config.h"
#include "kernel/chain/chain.h"
#include "kernel/chain/chain_reconcile.h"
#include "kernel/http/http.h"
#include "kernel/jobs/jobs.h"
#include "kernel/paywall/paywall.h"
#include "kernel/relay/relay.h"
#include "kernel/store/store.h"
#include "kernel/stream/stream.h"

struct leasing;

struct leasing_config {
    const char *stablecoin; /* addresses; "" only before the dev chain is deployed */
    const char *asset_registry;
    const char *lease_factory;
    const char *marketplace;
    uint64_t asset_registry_start_block; /* 0: that of the chain */
    uint64_t lease_factory_start_block;
    uint64_t marketplace_start_block;
    const char *registrar;           /* wallet with REGISTRAR_ROLE and DEFAULT_ADMIN_ROLE */
    int64_t signature_validity_usec; /* default deadline of a lease intent */
    bool mint_by_pool;
    bool sweep_bids;
};

/* leasing_config_rows are the rows of section "leasing". */
extern const struct config_row leasing_config_rows[];
extern const size_t leasing_config_row_count;

struct leasing_options {
    const struct leasing_config *config;
    uint64_t chain_id;
    uint64_t start_block; /* where the contracts' logs begin */
    uint64_t undo_depth;  /* blocks so far below the cursor are never undone */
    struct store *store;
    struct rpc_pool *rpc;
};

/*
 * leasing_new makes the domain's context. Owns: the caller, leasing_free.
 * Errors: ERR_CONFIG (an address is missing or malformed).
 */
enum err leasing_new(const struct leasing_options *options, struct leasing **out,
                     struct why *why) ERR_CHECKED;
/* leasing_free frees; NULL is fine. */
void leasing_free(struct leasing *leasing);

#define LEASING_PRICES 1
/* leasing_prices writes what routes of the domain cost; returns LEASING_PRICES. */
size_t leasing_prices(struct leasing *leasing, struct paywall_price out[LEASING_PRICES]);
/* leasing_set_paywall gives the context who takes payments; before serving. */
void leasing_set_paywall(struct leasing *leasing, const struct paywall *paywall);

/* leasing_set_relay gives the context the relay whose wallets it may use; before serving. */
void leasing_set_relay(struct leasing *leasing, struct relay *relay);

/*
 * leasing_probe asks the contracts what they are (code present, factory of the marketplace,
 * stablecoin, which generation) and compares with the configuration.
 * Errors: ERR_CONFIG (names the key), node errors.
 */
enum err leasing_probe(struct leasing *leasing, struct why *why) ERR_CHECKED;

enum leasing_question {
    LEASING_ASK_CODE,           /* is there code at each address */
    LEASING_ASK_AGREEMENT,      /* do they name each other as the configuration does */
    LEASING_ASK_GENERATION,     /* which marketplace is it */
    LEASING_ASK_DECIMALS,       /* of the stablecoin */
    LEASING_ASK_SYMBOL,         /* of the stablecoin */
    LEASING_ASK_ROLES,          /* has the registrar what it needs */
    LEASING_ASK_IMPLEMENTATION, /* is there code behind each proxy */
    LEASING_QUESTIONS,
};

/*
 * leasing_ask asks the contracts one question; leasing_probe asks all but the last two. Errors:
 * ERR_CONFIG (names the key), ERR_FORBIDDEN (a role is missing), node errors.
 */
enum err leasing_ask(struct leasing *leasing, enum leasing_question question,
                     struct why *why) ERR_CHECKED;

/* The tables that wire the domain into the kernel; all live as long as the context. */
struct http_table leasing_http_table(struct leasing *leasing);
struct http_table leasing_market_http_table(struct leasing *leasing);
struct chain_table leasing_chain_table(struct leasing *leasing);
struct job_table leasing_job_table(struct leasing *leasing);
/* leasing_linked_tables are those whose rows users own, though events set columns; NULL ends it. */
extern const char *const leasing_linked_tables[];
/*
 * leasing_unlink takes from these rows what blocks above `block` had set, so that they wait for
 * their events again: for forks that are older than the undo log. The tables that follow from the
 * chain are as of `block` already. Errors: of the store.
 */
enum err leasing_unlink(struct store_tx *tx, void *ctx, uint64_t chain_id, uint64_t block,
                        struct why *why) ERR_CHECKED;
/* leasing_has says whether there is an "asset" or a "lease" of this id. Errors: of the store. */
enum err leasing_has(void *ctx, struct store_tx *tx, struct slice kind, struct slice id,
                     bool *out_has, struct why *why) ERR_CHECKED;
/* leasing_reconciler has the rules that compare rows with the contracts; see leasing_reconcile.c.
 */
struct chain_reconciler leasing_reconciler(struct leasing *leasing);
/* leasing_sources lists the contracts to follow. Owns: the context. */
const struct chain_source *leasing_sources(const struct leasing *leasing, size_t *out_count);
/* leasing_policies lists what the relay may send for the domain's roles. Owns: the context. */
const struct relay_policy *leasing_policies(const struct leasing *leasing, size_t *out_count);
/* leasing_gases lists gas limits of operations, for where no node can estimate. */
const struct relay_gas *leasing_gases(size_t *out_count);
/* leasing_abis lists the bindings for decoding revert reasons. */
const struct abi_contract *const *leasing_abis(size_t *out_count);
/* leasing_watch follows the domain's intents: give it to the relay as its watcher. */
enum err leasing_watch(struct store_tx *tx, void *ctx, const struct relay_row *row,
                       struct why *why) ERR_CHECKED;

/* leasing_audit_table has the actions that leasing records. */
struct audit_table leasing_audit_table(void);

/* leasing_stream_topics has what subscribers can listen to (leasing_stream.c). */
struct stream_topics leasing_stream_topics(void);

#endif
