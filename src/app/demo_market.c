/*
 * demo_market.c: steps 7 to 12: offer, bids, acceptance, streaming price, revenue.
 */
#include "app/demo.h"
#include "domain/leasing/leasing_chain_sql.h"
#include "gen/abi_lease_factory.h"
#include "gen/abi_marketplace.h"
#include "gen/abi_test_stablecoin.h"
#include "kernel/base/check.h"
#include "kernel/ledger/ledger.h"

/* 1000 USDC an hour, bids of 6000 and 7000 USDC (seed 000, demo 5). Units: minor units. */
#define RENT_HOURLY 1000000000ULL
#define BID_LOW 6000000000ULL
#define BID_HIGH 7000000000ULL
#define FUNDS_EACH 10000000000ULL

/* ---- 7 to 10: offer, funds, bids, acceptance ---- */

static enum err check_offer_on_chain(struct demo *demo, struct why *why)
{
    struct slice call;
    struct slice result;
    struct marketplace_lease_offers_result offer;
    enum err e = marketplace_lease_offers_encode(&demo->arena, demo->offer_id, &call, why);
    if (e == OK) {
        e = demo_call(demo, &demo->contracts.marketplace, call, &result, why);
    }
    if (e == OK) {
        e = marketplace_lease_offers_result_decode(&demo->arena, result, &offer, why);
    }
    if (e != OK) {
        return e;
    }
    const struct abi_lease *l = &offer.terms.lease;
    struct leasing_pair *pairs =
        arena_alloc_array(&demo->arena, l->metadata_count + 1, sizeof *pairs);
    for (size_t i = 0; i < l->metadata_count; i++) {
        pairs[i] = (struct leasing_pair){l->metadata[i].key, l->metadata[i].value};
    }
    /* What the parties sign from here on is what the chain says, not what we sent. */
    demo->terms = (struct leasing_terms){
        .deadline_sec = offer.terms.deadline,
        .asset_type = offer.terms.asset_type,
        .lessor = l->lessor,
        .lessee = l->lessee,
        .asset_id = l->asset_id,
        .payment_token = l->payment_token,
        .rent = stable_of(l->rent_amount),
        .deposit = stable_of(l->security_deposit),
        .start_sec = l->start_time,
        .end_sec = l->end_time,
        .legal_doc_hash = l->legal_doc_hash,
        .terms_version = l->terms_version,
        .metadata = pairs,
        .metadata_count = l->metadata_count,
    };
    e = u256_to_u64(l->rent_period, &demo->terms.rent_period_sec);
    if (e == OK) {
        e = demo_expect(offer.active && address_equal(&offer.lessor, &demo->parties[DEMO_LESSOR]) &&
                            u256_equal(l->asset_id, demo->onchain_asset) &&
                            u256_equal(l->rent_amount, u256_from_u64(RENT_HOURLY)) &&
                            demo->terms.rent_period_sec == 3600,
                        why, "leaseOffers() on chain gives other terms");
    }
    return e;
}

/* The later of our clock and the chain's: a test chain's time may have been moved ahead. */
static enum err read_now(struct demo *demo, int64_t *out_usec, struct why *why)
{
    uint64_t head = 0;
    struct evm_header header;
    enum err e = rpc_block_number(demo->rpc, &head, why);
    if (e == OK) {
        e = rpc_header(demo->rpc, &demo->arena, head, &header, why);
    }
    if (e == OK) {
        int64_t ours = clock_wall_usec();
        int64_t chain = header.time_sec * USEC_PER_SEC;
        *out_usec = chain > ours ? chain : ours;
    }
    return e;
}

static struct slice lease_body(struct demo *demo, int64_t now)
{
    char start[CLOCK_TEXT_MAX];
    char end[CLOCK_TEXT_MAX];
    (void)clock_format(now + 600 * (int64_t)USEC_PER_SEC, start);
    (void)clock_format(now + 30 * 86400 * (int64_t)USEC_PER_SEC, end);
    struct hash document = sha256(SLICE_LIT("lease agreement of the demo"));
    return slice_format(
        &demo->arena,
        "{\"assetId\":\"%s\",\"lessorAddress\":\"%.*s\",\"terms\":{\"startDate\":\"%s\","
        "\"endDate\":\"%s\",\"paymentAmount\":\"%llu\",\"rentPeriod\":3600,"
        "\"paymentSchedule\":\"monthly\",\"currency\":\"USDC\","
        "\"restrictions\":[\"no resale of compute\"]},\"legalDocumentHash\":\"%.*s\","
        "\"metadata\":{\"compute_allocation_cores\":\"32\",\"memory_allocation_gb\":\"256\"},"
        "\"deadline\":\"%s\"}",
        demo->asset_id, SLICE_ARG(demo_address(demo, &demo->parties[DEMO_LESSOR])), start, end,
        (unsigned long long)RENT_HOURLY, SLICE_ARG(demo_hash(demo, &document)), end);
}

enum err demo_step_offer(struct demo *demo, struct why *why)
{
    const struct json *answer = NULL;
    const struct json *lease = NULL;
    struct slice id;
    int64_t now = 0;
    enum err e = read_now(demo, &now, why);
    if (e == OK) {
        e = demo_post(demo, SLICE_LIT("/api/v1/leases?wait=20"), lease_body(demo, now), &answer,
                      why);
    }
    if (e == OK) {
        e = json_get_text(answer, "leaseId", &id, why);
    }
    if (e == OK) {
        (void)snprintf(demo->lease_id, sizeof demo->lease_id, "%.*s", SLICE_ARG(id));
        e = demo_note_relayed(demo, answer, "transaction.transactionId", why);
    }
    if (e == OK) {
        e = demo_wait_cursor(demo, why);
    }
    if (e == OK) {
        e = demo_get(demo, slice_format(&demo->arena, "/api/v1/leases/%s", demo->lease_id), &lease,
                     why);
    }
    if (e == OK) {
        e = json_get_u256(demo_at(lease, "offer"), "offerId", &demo->offer_id, why);
    }
    if (e == OK) {
        e = check_offer_on_chain(demo, why);
    }
    if (e == OK) {
        char number[U256_TEXT_MAX];
        (void)u256_format(demo->offer_id, number);
        demo_fact(demo, "lease", "%s, offer %s", demo->lease_id, number);
        demo_fact(demo, "rent", "%.*s an hour",
                  SLICE_ARG(demo_usdc(demo, u256_from_u64(RENT_HOURLY))));
    }
    return e;
}

enum err demo_step_fund(struct demo *demo, struct why *why)
{
    static const enum demo_party bidders[] = {DEMO_BIDDER_LOW, DEMO_BIDDER_HIGH};
    enum err e = OK;
    for (size_t i = 0; e == OK && i < 2; i++) {
        const struct address *who = &demo->parties[bidders[i]];
        struct slice call;
        struct u256 before;
        struct u256 after;
        struct u256 wanted;
        e = demo_token_balance(demo, &demo->contracts.stablecoin, who, &before, why);
        if (e == OK) {
            e = test_stablecoin_mint_encode(&demo->arena, who, u256_from_u64(FUNDS_EACH), &call,
                                            why);
        }
        if (e == OK) {
            e = demo_send_own(demo, &demo->contracts.stablecoin, call, "mint of 10000 USDC", why);
        }
        if (e == OK) {
            e = demo_token_balance(demo, &demo->contracts.stablecoin, who, &after, why);
        }
        if (e == OK) {
            e = u256_add(before, u256_from_u64(FUNDS_EACH), &wanted);
        }
        if (e == OK) {
            e = demo_expect(u256_equal(after, wanted), why, "the bidder's balance is wrong");
        }
        if (e == OK) {
            demo_fact(demo, "bidder", "%.*s  %.*s", SLICE_ARG(demo_address(demo, who)),
                      SLICE_ARG(demo_usdc(demo, after)));
        }
    }
    return e;
}

/* The digest is computed three times: by us, by the API and by the contract. */
static enum err agreed_digest(struct demo *demo, const struct address *lessee, struct hash *out,
                              struct why *why)
{
    struct leasing_terms terms = demo->terms;
    terms.lessee = *lessee;
    struct hash ours =
        leasing_terms_digest(&terms, demo->contracts.chain_id, &demo->contracts.lease_factory);
    const struct json *answer = NULL;
    struct hash theirs;
    enum err e = demo_get(demo,
                          slice_format(&demo->arena, "/api/v1/leases/%s/digest?lessee=%.*s",
                                       demo->lease_id, SLICE_ARG(demo_address(demo, lessee))),
                          &answer, why);
    if (e == OK) {
        e = json_get_hash(answer, "digest", &theirs, why);
    }
    if (e == OK) {
        e = demo_expect(hash_equal(&ours, &theirs), why, "the API computes another digest");
    }
    struct slice offer_call;
    struct slice result;
    if (e == OK) {
        e = leasing_terms_offer_call(&demo->arena, &terms, &offer_call, why);
    }
    if (e == OK) {
        /* hashLeaseIntent(LeaseIntent) takes the same arguments as postLeaseOffer. */
        struct buf call;
        buf_init(&call, &demo->arena, offer_call.len);
        buf_add(&call,
                abi_lease_factory_functions[LEASE_FACTORY_FUNCTION_HASH_LEASE_INTENT].selector, 4);
        buf_add_slice(&call, slice_sub(offer_call, 4, offer_call.len));
        e = demo_call(demo, &demo->contracts.lease_factory, buf_slice(&call), &result, why);
    }
    if (e == OK) {
        e = demo_expect(slice_equal(result, hash_slice(&ours)), why,
                        "hashLeaseIntent() on chain gives another digest");
    }
    if (e == OK) {
        *out = ours;
    }
    return e;
}

static enum err place_bid(struct demo *demo, enum demo_party party, uint64_t funds, struct why *why)
{
    struct hash digest;
    struct slice signature;
    const struct json *answer = NULL;
    enum err e = agreed_digest(demo, &demo->parties[party], &digest, why);
    if (e == OK) {
        e = demo_sign(demo, party, &digest, &signature, why);
    }
    if (e != OK) {
        return e;
    }
    struct slice path =
        slice_format(&demo->arena, "/api/v1/leases/%s/bids?wait=20", demo->lease_id);
    struct slice body = slice_format(
        &demo->arena, "{\"bidder\":\"%.*s\",\"funds\":\"%llu\",\"signature\":\"%.*s\"}",
        SLICE_ARG(demo_address(demo, &demo->parties[party])), (unsigned long long)funds,
        SLICE_ARG(signature));
    e = demo_post(demo, path, body, &answer, why);
    if (e == OK) {
        e = demo_note_relayed(demo, answer, "approveTransactionId", why);
    }
    return e == OK ? demo_note_relayed(demo, answer, "transaction.transactionId", why) : e;
}

static enum err find_bid(struct demo *demo, const struct json *bids, enum demo_party party,
                         uint64_t funds, struct u256 *out_index, struct why *why)
{
    for (const struct json *b = bids->child; b != NULL; b = b->next) {
        struct address bidder;
        struct u256 amount;
        struct u256 index;
        enum err e = json_get_address(b, "bidder", &bidder, why);
        if (e == OK) {
            e = json_get_u256(b, "funds", &amount, why);
        }
        if (e == OK) {
            e = json_get_u256(b, "bidIndex", &index, why);
        }
        if (e != OK) {
            return e;
        }
        if (address_equal(&bidder, &demo->parties[party]) &&
            u256_equal(amount, u256_from_u64(funds))) {
            *out_index = index;
            return OK;
        }
    }
    return why_set(why, ERR_CORRUPT, NULL, "check failed: the bid is not in the list");
}

enum err demo_step_bids(struct demo *demo, struct why *why)
{
    const struct json *bids = NULL;
    struct u256 before;
    struct u256 after;
    struct u256 wanted;
    const struct address *market = &demo->contracts.marketplace;
    enum err e = demo_token_balance(demo, &demo->contracts.stablecoin, market, &before, why);
    if (e == OK) {
        e = place_bid(demo, DEMO_BIDDER_LOW, BID_LOW, why);
    }
    if (e == OK) {
        e = place_bid(demo, DEMO_BIDDER_HIGH, BID_HIGH, why);
    }
    if (e == OK) {
        e = demo_wait_cursor(demo, why);
    }
    if (e == OK) {
        e = demo_get(demo, slice_format(&demo->arena, "/api/v1/leases/%s/bids", demo->lease_id),
                     &bids, why);
    }
    if (e == OK) {
        e = find_bid(demo, bids, DEMO_BIDDER_LOW, BID_LOW, &demo->bid_low, why);
    }
    if (e == OK) {
        e = find_bid(demo, bids, DEMO_BIDDER_HIGH, BID_HIGH, &demo->bid_high, why);
    }
    if (e == OK) {
        e = demo_token_balance(demo, &demo->contracts.stablecoin, market, &after, why);
    }
    if (e == OK) {
        e = u256_add(before, u256_from_u64(BID_LOW + BID_HIGH), &wanted);
    }
    if (e == OK) {
        e = demo_expect(u256_equal(after, wanted), why, "the escrow does not hold both bids");
    }
    if (e == OK) {
        demo_fact(demo, "bids", "%.*s and %.*s, both in escrow",
                  SLICE_ARG(demo_usdc(demo, u256_from_u64(BID_LOW))),
                  SLICE_ARG(demo_usdc(demo, u256_from_u64(BID_HIGH))));
    }
    return e;
}

static enum err check_nft(struct demo *demo, struct why *why)
{
    struct slice call;
    struct slice result;
    struct lease_factory_owner_of_result owner;
    enum err e = lease_factory_owner_of_encode(&demo->arena, demo->nft_id, &call, why);
    if (e == OK) {
        e = demo_call(demo, &demo->contracts.lease_factory, call, &result, why);
    }
    if (e == OK) {
        e = lease_factory_owner_of_result_decode(&demo->arena, result, &owner, why);
    }
    if (e == OK) {
        e = demo_expect(address_equal(&owner.value, &demo->parties[DEMO_BIDDER_HIGH]), why,
                        "ownerOf() on chain names somebody else");
    }
    return e;
}

static enum err accept_best(struct demo *demo, struct why *why)
{
    struct hash digest;
    struct slice signature;
    const struct json *answer = NULL;
    char index[U256_TEXT_MAX];
    (void)u256_format(demo->bid_high, index);
    enum err e = agreed_digest(demo, &demo->parties[DEMO_BIDDER_HIGH], &digest, why);
    if (e == OK) {
        e = demo_sign(demo, DEMO_LESSOR, &digest, &signature, why);
    }
    if (e == OK) {
        e = demo_post(demo,
                      slice_format(&demo->arena, "/api/v1/leases/%s/bids/%s/accept?wait=20",
                                   demo->lease_id, index),
                      slice_format(&demo->arena, "{\"signature\":\"%.*s\"}", SLICE_ARG(signature)),
                      &answer, why);
    }
    return e == OK ? demo_note_relayed(demo, answer, "action.transaction.transactionId", why) : e;
}

enum err demo_step_accept(struct demo *demo, struct why *why)
{
    const struct json *lease = NULL;
    struct slice status;
    struct u256 before;
    struct u256 after;
    struct u256 wanted;
    const struct address *loser = &demo->parties[DEMO_BIDDER_LOW];
    enum err e = demo_token_balance(demo, &demo->contracts.stablecoin, loser, &before, why);
    if (e == OK) {
        e = accept_best(demo, why);
    }
    if (e == OK) {
        e = demo_wait_cursor(demo, why);
    }
    if (e == OK) {
        e = demo_get(demo, slice_format(&demo->arena, "/api/v1/leases/%s", demo->lease_id), &lease,
                     why);
    }
    if (e == OK) {
        e = json_get_text(lease, "status", &status, why);
    }
    if (e == OK) {
        e = demo_expect(slice_equal_text(status, "active"), why, "the lease is %.*s, not active",
                        SLICE_ARG(status));
    }
    if (e == OK) {
        e = json_get_u256(demo_at(lease, "onChain"), "tokenId", &demo->nft_id, why);
    }
    if (e == OK) {
        e = check_nft(demo, why);
    }
    if (e == OK) {
        e = demo_token_balance(demo, &demo->contracts.stablecoin, loser, &after, why);
    }
    if (e == OK) {
        e = u256_add(before, u256_from_u64(BID_LOW), &wanted);
    }
    if (e == OK) {
        e = demo_expect(u256_equal(after, wanted), why, "the losing bid was not paid back");
    }
    if (e == OK) {
        char number[U256_TEXT_MAX];
        (void)u256_format(demo->nft_id, number);
        demo_fact(demo, "lessee", "%.*s, lease NFT %s",
                  SLICE_ARG(demo_address(demo, &demo->parties[DEMO_BIDDER_HIGH])), number);
        demo_fact(demo, "refunded", "%.*s", SLICE_ARG(demo_usdc(demo, u256_from_u64(BID_LOW))));
    }
    return e;
}

/* ---- 11: streaming price ---- */

static enum err check_quote(struct demo *demo, const char *mode, uint64_t steps, struct why *why)
{
    const struct json *answer = NULL;
    struct u256 base;
    uint64_t extra = 0;
    enum err e = demo_get(demo,
                          slice_format(&demo->arena, "/api/v1/leases/%s/x402/requirements?mode=%s",
                                       demo->lease_id, mode),
                          &answer, why);
    if (e == OK) {
        e = json_get_u256(answer, "maxAmountRequired", &base, why);
    }
    if (e == OK) {
        e = json_get_u64(demo_at(answer, "extra"), "extraSteps", &extra, why);
    }
    struct u256 sum;
    if (e == OK) {
        e = u256_mul(base, u256_from_u64(steps), &sum);
    }
    if (e == OK) {
        e = u256_add(sum, u256_from_u64(extra), &sum);
    }
    if (e == OK) {
        e = demo_expect(u256_equal(sum, u256_from_u64(RENT_HOURLY)), why,
                        "the %llu payments of an hour do not add up to the hourly rent",
                        (unsigned long long)steps);
    }
    if (e == OK) {
        demo_fact(demo, mode, "%.*s a payment, %llu of %llu cost 0.000001 USDC more",
                  SLICE_ARG(demo_usdc(demo, base)), (unsigned long long)extra,
                  (unsigned long long)steps);
    }
    return e;
}

enum err demo_step_stream(struct demo *demo, struct why *why)
{
    enum err e = check_quote(demo, "second", 3600, why);
    return e == OK ? check_quote(demo, "batch-5s", 720, why) : e;
}

/* ---- 12: revenue ---- */

static enum err on_chain_claim(struct demo *demo, const struct address *holder, struct u256 *out,
                               struct why *why)
{
    struct slice call = SLICE_EMPTY;
    struct slice result = SLICE_EMPTY;
    enum err e = marketplace_claims_encode(&demo->arena, holder, &call, why);
    if (e == OK) {
        e = demo_call(demo, &demo->contracts.marketplace, call, &result, why);
    }
    if (e == OK && result.len != U256_BYTES) {
        e = why_set(why, ERR_INVALID_ENCODING, NULL, "claims() did not answer one word");
    }
    return e == OK ? u256_decode_be(result, out) : e;
}

/* Claims through the daemon's wallet, or with the unsigned transaction that the API gives. */
static enum err claim(struct demo *demo, const struct address *holder, struct why *why)
{
    const struct json *answer = NULL;
    enum err e = demo_post(
        demo,
        slice_format(&demo->arena, "/api/v1/revenue-rounds/%llu/claims/%.*s/process?wait=20",
                     (unsigned long long)demo->round_id, SLICE_ARG(demo_address(demo, holder))),
        SLICE_EMPTY, &answer, why);
    if (e != OK) {
        return e;
    }
    const struct json *request = json_find(answer, "transactionRequest");
    if (request == NULL || request->type != JSON_OBJECT) {
        return demo_note_relayed(demo, answer, "claim.transaction.transactionId", why);
    }
    struct address to;
    struct slice data;
    e = json_get_address(request, "to", &to, why);
    if (e == OK) {
        e = json_get_hex(&demo->arena, request, "data", &data, why);
    }
    return e == OK ? demo_send_own(demo, &to, data, "claim with an own wallet", why) : e;
}

struct open_claims {
    uint64_t chain_id;
    struct address holder;
    struct u256 sum;
};

static enum err read_open_claims(struct store_tx *tx, void *ctx, struct why *why)
{
    struct open_claims *c = ctx;
    struct store_query q;
    enum err e = OK;
    c->sum = U256_ZERO;
    store_begin(&q, tx, &leasing_chain_sql_claims_open);
    store_bind_i64(&q, "chain_id", (int64_t)c->chain_id);
    store_bind_bytes(&q, "holder", address_slice(&c->holder));
    while (e == OK && store_step(&q)) {
        (void)store_get_i64(&q, "round_id");
        e = u256_add(c->sum, store_get_u256(&q, "claim_amount"), &c->sum);
    }
    enum err finished = store_finish(&q, NULL, why);
    return e != OK ? e : finished;
}

/* The contract pays all rounds at once; on a chain that others use there may be earlier ones. */
static enum err owed_in_all(struct demo *demo, const struct address *holder, struct u256 *out,
                            struct why *why)
{
    struct open_claims indexed = {.chain_id = demo->contracts.chain_id, .holder = *holder};
    struct u256 on_chain;
    enum err e = store_read(demo->store, read_open_claims, &indexed, why);
    if (e == OK) {
        e = on_chain_claim(demo, holder, &on_chain, why);
    }
    if (e == OK) {
        e = demo_expect(u256_equal(indexed.sum, on_chain), why,
                        "claims() on chain differs from the indexed claims");
    }
    if (e == OK) {
        *out = on_chain;
    }
    return e;
}

static enum err claim_and_check(struct demo *demo, const struct json *row, struct why *why)
{
    struct address holder;
    struct u256 owed;
    struct u256 in_all;
    struct u256 before;
    struct u256 after;
    const struct address *coin = &demo->contracts.stablecoin;
    enum err e = json_get_address(row, "holderAddress", &holder, why);
    if (e == OK) {
        e = json_get_u256(row, "claimAmount", &owed, why);
    }
    if (e == OK) {
        e = owed_in_all(demo, &holder, &in_all, why);
    }
    if (e == OK) {
        e = demo_token_balance(demo, coin, &holder, &before, why);
    }
    if (e == OK) {
        e = claim(demo, &holder, why);
    }
    if (e == OK) {
        e = demo_token_balance(demo, coin, &holder, &after, why);
    }
    if (e == OK) {
        e = u256_sub(after, before, &after);
    }
    if (e == OK) {
        e = demo_expect(u256_equal(after, in_all), why, "the holder was not paid what was owed");
    }
    if (e == OK) {
        e = u256_add(demo->claimed, owed, &demo->claimed);
    }
    if (e == OK) {
        bool only = u256_equal(in_all, owed);
        demo_fact(demo, "claimed", "%.*s  %.*s%s%.*s", SLICE_ARG(demo_address(demo, &holder)),
                  SLICE_ARG(demo_usdc(demo, owed)), only ? "" : ", with earlier rounds ",
                  SLICE_ARG(only ? SLICE_EMPTY : demo_usdc(demo, in_all)));
    }
    return e;
}

static enum err read_audit(struct store_tx *tx, void *ctx, struct why *why)
{
    return ledger_audit(tx, NULL, NULL, ctx, why);
}

/* The ledger proves itself, and every claim of the round is paid. */
static enum err check_books(struct demo *demo, struct why *why)
{
    struct ledger_report report = {0};
    const struct json *round = NULL;
    struct slice status;
    enum err e = store_read(demo->store, read_audit, &report, why);
    if (e == OK) {
        e = demo_expect(report.transfers > 0 && report.first == LEDGER_SOUND, why,
                        "the ledger does not add up");
    }
    if (e == OK) {
        e = demo_get(demo,
                     slice_format(&demo->arena, "/api/v1/revenue-rounds/%llu",
                                  (unsigned long long)demo->round_id),
                     &round, why);
    }
    if (e == OK) {
        e = json_get_text(round, "status", &status, why);
    }
    if (e == OK) {
        e = demo_expect(slice_equal_text(status, "closed"), why, "the round is %.*s, not closed",
                        SLICE_ARG(status));
    }
    if (e == OK) {
        demo_fact(demo, "ledger", "%llu transfers, proven", (unsigned long long)report.transfers);
    }
    return e;
}

enum err demo_step_claims(struct demo *demo, struct why *why)
{
    const struct json *rounds = NULL;
    const struct json *claims = NULL;
    enum err e = demo_get(
        demo, slice_format(&demo->arena, "/api/v1/assets/%s/revenue-rounds", demo->asset_id),
        &rounds, why);
    if (e == OK) {
        e = demo_expect(rounds->type == JSON_ARRAY && rounds->count == 1, why,
                        "there is not exactly one revenue round");
    }
    if (e == OK) {
        e = json_get_u64(rounds->child, "roundId", &demo->round_id, why);
    }
    if (e == OK) {
        e = demo_get(demo,
                     slice_format(&demo->arena, "/api/v1/revenue-rounds/%llu/claims",
                                  (unsigned long long)demo->round_id),
                     &claims, why);
    }
    if (e == OK) {
        e = demo_expect(claims->type == JSON_ARRAY && claims->count == 2, why,
                        "there are not two claims");
    }
    for (const struct json *c = e == OK ? claims->child : NULL; e == OK && c != NULL; c = c->next) {
        e = claim_and_check(demo, c, why);
    }
    /* Deployed marketplaces keep the remainder of the division: less than a unit a holder. */
    struct u256 rest;
    if (e == OK) {
        e = u256_sub(u256_from_u64(BID_HIGH), demo->claimed, &rest);
    }
    if (e == OK) {
        e = demo_expect(u256_compare(rest, u256_from_u64(2)) < 0, why,
                        "the claims do not add up to the accepted bid");
    }
    if (e == OK) {
        e = demo_wait_cursor(demo, why);
    }
    return e == OK ? check_books(demo, why) : e;
}
