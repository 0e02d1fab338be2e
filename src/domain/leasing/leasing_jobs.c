/*
 * leasing_jobs.c: work that needs a question to the chain, or the clock.
 *
 * Events do not tell everything: neither the terms of a lease or an offer nor the signature of a
 * bid are in them. Jobs read these back and complete the rows. What a job wrote is not in the undo
 * log; when the thing itself leaves the chain in a reorganisation, the cron below repairs the row.
 */
#include "domain/leasing/leasing_chain_sql.h"
#include "domain/leasing/leasing_dues.h"
#include "domain/leasing/leasing_internal.h"
#include "domain/leasing/leasing_jobs_sql.h"
#include "domain/leasing/leasing_sweep.h"
#include "gen/abi_lease_factory.h"
#include "gen/abi_marketplace.h"
#include "kernel/base/log.h"

#define DAY_SEC UINT64_C(86400)
#define SECOND ((int64_t)USEC_PER_SEC)
/* The last second that a date can be written for. */
#define TIME_SEC_MAX UINT64_C(253402300799)

static enum err ask(const struct job_call *call, const struct address *to, struct slice data,
                    struct slice *out, struct why *why)
{
    const struct leasing *l = call->ctx;
    struct slice revert = SLICE_EMPTY;
    return rpc_eth_call(l->rpc, call->job, RPC_MONEY, NULL, to, data, NULL, out, &revert, why);
}

/* ---- terms as the chain has them ---- */

/* What an agreement's columns hold of on-chain terms; times beyond the calendar are cut. */
struct onchain_terms {
    struct address lessor;
    struct address lessee;
    struct u256 asset_id;
    struct address payment_token;
    struct stable_amount rent;
    struct u256 rent_period;
    struct stable_amount deposit;
    uint64_t start_sec;
    uint64_t end_sec;
    struct hash legal_doc_hash;
    uint16_t terms_version;
};

static int64_t column_time(uint64_t sec)
{
    return (int64_t)(sec < TIME_SEC_MAX ? sec : TIME_SEC_MAX) * SECOND;
}

static int64_t column_period(struct u256 period)
{
    uint64_t sec = 0;
    if (u256_to_u64(period, &sec) != OK || sec > LEASING_PERIOD_SEC_MAX) {
        return LEASING_PERIOD_SEC_MAX;
    }
    return sec > 0 ? (int64_t)sec : 1;
}

static void bind_terms(struct store_query *q, const struct onchain_terms *t)
{
    int64_t end = column_time(t->end_sec);
    int64_t start = column_time(t->start_sec);
    store_bind_bytes(q, "lessor", address_slice(&t->lessor));
    store_bind_time(q, "start_date", start < end ? start : end - SECOND);
    store_bind_time(q, "end_date", end);
    store_bind_bytes(q, "payment_token", address_slice(&t->payment_token));
    store_bind_u256(q, "payment_amount", stable_raw(t->rent));
    store_bind_i64(q, "rent_period_sec", column_period(t->rent_period));
    store_bind_u256(q, "security_deposit", stable_raw(t->deposit));
    store_bind_bytes(q, "legal_document_hash", hash_slice(&t->legal_doc_hash));
    store_bind_i64(q, "terms_version", t->terms_version);
}

static enum err find_asset(struct store_tx *tx, const struct leasing *l, struct arena *arena,
                           struct u256 onchain_id, struct slice *out_id, struct slice *out_type,
                           struct why *why)
{
    struct slice id = SLICE_EMPTY;
    struct slice type = SLICE_EMPTY;
    struct store_query q;
    store_begin(&q, tx, &leasing_jobs_sql_asset_find);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "registry", address_slice(&l->registry));
    store_bind_u256(&q, "onchain_id", onchain_id);
    if (store_step(&q)) {
        id = store_get_text(&q, "asset_id", arena);
        type = store_get_text(&q, "asset_type", arena);
    }
    enum err e = store_finish_one(&q, "The asset of the lease", why);
    if (e == OK) {
        *out_id = id;
        *out_type = type;
    }
    return e;
}

/* An agreement of ours that waits for these terms: "" when there is none. */
static enum err match_lease(struct store_tx *tx, const struct leasing *l, struct arena *arena,
                            struct slice asset_id, const struct onchain_terms *t,
                            const uint64_t *deadline_sec, struct slice *out_id, struct why *why)
{
    struct slice id = SLICE_EMPTY;
    struct store_query q;
    store_begin(&q, tx, &leasing_jobs_sql_lease_match);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_text(&q, "asset_id", asset_id);
    bind_terms(&q, t);
    if (address_is_zero(&t->lessee)) {
        store_bind_null(&q, "lessee");
    } else {
        store_bind_bytes(&q, "lessee", address_slice(&t->lessee));
    }
    if (deadline_sec != NULL) {
        store_bind_time(&q, "deadline", column_time(*deadline_sec));
    } else {
        store_bind_null(&q, "deadline");
    }
    if (store_step(&q)) {
        id = store_get_text(&q, "lease_id", arena);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_id = id;
    }
    return e;
}

/* ---- leasing.adopt_lease ---- */

struct adoption {
    struct job_call *call;
    const struct leasing *leasing;
    struct u256 token_id;
    bool wanted; /* the NFT is there and has no agreement */
    int64_t block_number;
    struct hash transaction_hash;
    struct onchain_terms terms;
};

static enum err read_nft(struct store_tx *tx, struct adoption *a, bool *out_found, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_jobs_sql_nft_get);
    store_bind_i64(&q, "chain_id", (int64_t)a->leasing->chain_id);
    store_bind_bytes(&q, "factory", address_slice(&a->leasing->factory));
    store_bind_u256(&q, "token_id", a->token_id);
    bool found = store_step(&q);
    if (found) {
        store_ignore(&q, "lessor");
        store_ignore(&q, "lessee");
        store_ignore(&q, "onchain_asset_id");
        a->block_number = store_get_i64(&q, "block_number");
        store_get_fixed(&q, "transaction_hash", a->transaction_hash.bytes, HASH_BYTES);
    }
    *out_found = found;
    return store_finish(&q, NULL, why);
}

static enum err look_for_agreement(struct store_tx *tx, void *ctx, struct why *why)
{
    struct adoption *a = ctx;
    bool minted = false;
    enum err e = read_nft(tx, a, &minted, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_lease_by_nft);
    store_bind_i64(&q, "chain_id", (int64_t)a->leasing->chain_id);
    store_bind_u256(&q, "nft_token_id", a->token_id);
    bool known = store_step(&q);
    if (known) {
        store_ignore(&q, "lease_id");
    }
    a->wanted = minted && !known;
    return store_finish(&q, NULL, why);
}

static enum err read_minted_terms(struct adoption *a, struct why *why)
{
    struct slice call = SLICE_EMPTY;
    struct slice data = SLICE_EMPTY;
    struct lease_factory_leases_result r;
    enum err e = lease_factory_leases_encode(a->call->job, a->token_id, &call, why);
    if (e == OK) {
        e = ask(a->call, &a->leasing->factory, call, &data, why);
    }
    if (e == OK) {
        e = lease_factory_leases_result_decode(a->call->job, data, &r, why);
    }
    if (e != OK) {
        return e;
    }
    a->wanted = !address_is_zero(&r.lessor) && r.start_time < r.end_time;
    a->terms = (struct onchain_terms){
        .lessor = r.lessor,
        .lessee = r.lessee,
        .asset_id = r.asset_id,
        .payment_token = r.payment_token,
        .rent = stable_of(r.rent_amount),
        .rent_period = r.rent_period,
        .deposit = stable_of(r.security_deposit),
        .start_sec = r.start_time,
        .end_sec = r.end_time,
        .legal_doc_hash = r.legal_doc_hash,
        .terms_version = r.terms_version,
    };
    return OK;
}

/* The pairs of the NFT as one object, with its hash. */
static enum err load_metadata(struct store_tx *tx, const struct adoption *a, struct slice *out_json,
                              struct hash *out_hash, struct why *why)
{
    struct arena *arena = a->call->job;
    struct hash namespace = leasing_namespace(a->token_id);
    size_t cap = 16;
    size_t count = 0;
    struct leasing_pair *pairs = arena_alloc_array(arena, cap, sizeof *pairs);
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_metadata_list);
    store_bind_i64(&q, "chain_id", (int64_t)a->leasing->chain_id);
    store_bind_bytes(&q, "contract", address_slice(&a->leasing->factory));
    store_bind_bytes(&q, "namespace", hash_slice(&namespace));
    while (store_step(&q)) {
        if (count == cap) {
            struct leasing_pair *grown = arena_alloc_array(arena, cap * 2, sizeof *grown);
            memcpy(grown, pairs, cap * sizeof *grown);
            pairs = grown;
            cap *= 2;
        }
        pairs[count].key = store_get_text(&q, "meta_key", arena);
        pairs[count++].value = store_get_text(&q, "meta_value", arena);
    }
    const struct json *tree = NULL;
    bool exact = false;
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out_json = leasing_metadata_unflatten(arena, pairs, count, &exact);
        e = json_parse(arena, *out_json, &json_limits_body, &tree, why);
    }
    return e == OK ? leasing_metadata_hash(arena, tree, out_hash, why) : e;
}

static const char *schedule_of(struct u256 period)
{
    uint64_t sec = 0;
    if (u256_to_u64(period, &sec) != OK) {
        return "upfront";
    }
    return sec == 30 * DAY_SEC    ? "monthly"
           : sec == 90 * DAY_SEC  ? "quarterly"
           : sec == 365 * DAY_SEC ? "annual"
                                  : "upfront";
}

/* The terms exactly as the chain has them, whatever the columns can hold. */
static struct slice agreement_text(struct arena *arena, const struct onchain_terms *t)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, arena, 512);
    json_out_init(&j, &b);
    json_begin_object(&j);
    json_key(&j, "adopted");
    json_bool(&j, true);
    json_key(&j, "onChainAssetId");
    json_u256(&j, t->asset_id);
    json_key(&j, "rentAmount");
    json_u256(&j, stable_raw(t->rent));
    json_key(&j, "rentPeriod");
    json_u256(&j, t->rent_period);
    json_key(&j, "securityDeposit");
    json_u256(&j, stable_raw(t->deposit));
    json_key(&j, "startTime");
    json_u256(&j, u256_from_u64(t->start_sec));
    json_key(&j, "endTime");
    json_u256(&j, u256_from_u64(t->end_sec));
    json_end_object(&j);
    return buf_slice(&b);
}

static void bind_minted(struct store_query *q, const struct adoption *a)
{
    store_bind_bytes(q, "lessee", address_slice(&a->terms.lessee));
    store_bind_u256(q, "nft_token_id", a->token_id);
    store_bind_i64(q, "block_number", a->block_number);
    store_bind_bytes(q, "transaction_hash", hash_slice(&a->transaction_hash));
    store_bind_time(q, "now", clock_wall_usec());
}

static enum err insert_adopted(struct store_tx *tx, const struct adoption *a, struct slice asset_id,
                               struct why *why)
{
    const struct leasing *l = a->leasing;
    struct arena *arena = a->call->job;
    struct slice metadata = SLICE_EMPTY;
    struct hash metadata_hash;
    char number[U256_TEXT_MAX];
    enum err e = load_metadata(tx, a, &metadata, &metadata_hash, why);
    if (e != OK) {
        return e;
    }
    (void)u256_format(a->token_id, number);
    bool stable = address_equal(&a->terms.payment_token, &l->stablecoin);
    struct store_query q;
    store_begin(&q, tx, &leasing_jobs_sql_lease_adopt);
    store_bind_text(&q, "lease_id",
                    slice_format(arena, "chain-%llu-%s", (unsigned long long)l->chain_id, number));
    store_bind_text(&q, "asset_id", asset_id);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "contract_address", address_slice(&l->factory));
    bind_terms(&q, &a->terms);
    store_bind_text(&q, "payment_schedule", slice_text(schedule_of(a->terms.rent_period)));
    store_bind_text(&q, "currency", slice_text(stable ? l->stable_symbol : ""));
    store_bind_json(&q, "agreement", agreement_text(arena, &a->terms));
    store_bind_json(&q, "metadata", metadata);
    store_bind_bytes(&q, "metadata_hash", hash_slice(&metadata_hash));
    bind_minted(&q, a);
    return store_finish(&q, NULL, why);
}

static enum err write_adoption(struct store_tx *tx, void *ctx, struct why *why)
{
    struct adoption *a = ctx;
    struct slice asset_id = SLICE_EMPTY;
    struct slice type = SLICE_EMPTY;
    struct slice lease_id = SLICE_EMPTY;
    enum err e = look_for_agreement(tx, a, why);
    if (e != OK || !a->wanted) {
        return e == OK ? jobs_complete(tx, a->call, why) : e;
    }
    e = find_asset(tx, a->leasing, a->call->job, a->terms.asset_id, &asset_id, &type, why);
    if (e == OK) {
        e = match_lease(tx, a->leasing, a->call->job, asset_id, &a->terms, NULL, &lease_id, why);
    }
    if (e == OK && lease_id.len == 0) {
        e = insert_adopted(tx, a, asset_id, why);
    } else if (e == OK) {
        struct store_query q;
        store_begin(&q, tx, &leasing_jobs_sql_lease_link);
        store_bind_text(&q, "lease_id", lease_id);
        bind_minted(&q, a);
        e = store_finish(&q, NULL, why);
    }
    return e == OK ? jobs_complete(tx, a->call, why) : e;
}

static enum err adopt_lease(struct job_call *call, struct why *why)
{
    struct adoption a = {.call = call, .leasing = call->ctx};
    enum err e = json_get_u256(call->payload, "tokenId", &a.token_id, why);
    if (e == OK) {
        e = store_read(call->store, look_for_agreement, &a, why);
    }
    if (e == OK && a.wanted) {
        e = read_minted_terms(&a, why);
    }
    if (e == OK && a.wanted) {
        e = store_write(call->store, write_adoption, &a, why);
    }
    if (e == OK && leasing_dues_follow(call, a.token_id, NULL) != OK) {
        /* The lease is there; its due dates come with the minute. */
        LOG(LOG_WARN, "leasing.dues_late", log_u256("token", a.token_id));
    }
    return e;
}

/* ---- offers ---- */

struct offer {
    struct job_call *call;
    const struct leasing *leasing;
    struct u256 offer_id;
    bool wanted; /* the offer is there and has no agreement */
    struct abi_lease_intent terms;
};

static enum err read_offer(const struct job_call *call, struct u256 offer_id,
                           struct abi_lease_intent *out, struct why *why)
{
    const struct leasing *l = call->ctx;
    struct slice question = SLICE_EMPTY;
    struct slice data = SLICE_EMPTY;
    struct marketplace_lease_offers_result r;
    enum err e = marketplace_lease_offers_encode(call->job, offer_id, &question, why);
    if (e == OK) {
        e = ask(call, &l->marketplace, question, &data, why);
    }
    if (e == OK) {
        e = marketplace_lease_offers_result_decode(call->job, data, &r, why);
    }
    if (e == OK) {
        *out = r.terms;
    }
    return e;
}

static enum err look_for_offer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct offer *o = ctx;
    struct store_query q;
    store_begin(&q, tx, &leasing_jobs_sql_offer_find);
    store_bind_i64(&q, "chain_id", (int64_t)o->leasing->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&o->leasing->marketplace));
    store_bind_u256(&q, "offer_id", o->offer_id);
    o->wanted = store_step(&q);
    if (o->wanted) {
        o->wanted = slice_equal_text(store_get_text(&q, "status", o->call->job), "active") &&
                    store_is_null(&q, "lease_id");
        store_ignore(&q, "lease_id");
    }
    return store_finish(&q, NULL, why);
}

static struct onchain_terms terms_of_offer(const struct abi_lease_intent *i)
{
    return (struct onchain_terms){
        .lessor = i->lease.lessor,
        .asset_id = i->lease.asset_id,
        .payment_token = i->lease.payment_token,
        .rent = stable_of(i->lease.rent_amount),
        .rent_period = i->lease.rent_period,
        .deposit = stable_of(i->lease.security_deposit),
        .start_sec = i->lease.start_time,
        .end_sec = i->lease.end_time,
        .legal_doc_hash = i->lease.legal_doc_hash,
        .terms_version = i->lease.terms_version,
    };
}

static enum err write_offer_link(struct store_tx *tx, void *ctx, struct why *why)
{
    struct offer *o = ctx;
    struct onchain_terms terms = terms_of_offer(&o->terms);
    struct slice asset_id = SLICE_EMPTY;
    struct slice type = SLICE_EMPTY;
    struct slice lease_id = SLICE_EMPTY;
    struct store_query q;
    enum err e = look_for_offer(tx, o, why);
    if (e != OK || !o->wanted) {
        return e;
    }
    e = find_asset(tx, o->leasing, o->call->job, terms.asset_id, &asset_id, &type, why);
    if (e == OK) {
        e = match_lease(tx, o->leasing, o->call->job, asset_id, &terms, &o->terms.deadline,
                        &lease_id, why);
    }
    if (e != OK || lease_id.len == 0) {
        return e == ERR_NOT_FOUND ? OK : e;
    }
    store_begin(&q, tx, &leasing_jobs_sql_offer_link);
    store_bind_text(&q, "lease_id", lease_id);
    store_bind_u256(&q, "offer_id", o->offer_id);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err link_offer(struct job_call *call, struct why *why)
{
    struct offer o = {.call = call, .leasing = call->ctx};
    enum err e = json_get_u256(call->payload, "offerId", &o.offer_id, why);
    if (e == OK) {
        e = store_read(call->store, look_for_offer, &o, why);
    }
    if (e != OK || !o.wanted) {
        return e;
    }
    e = read_offer(call, o.offer_id, &o.terms, why);
    return e == OK ? store_write(call->store, write_offer_link, &o, why) : e;
}

/* ---- leasing.check_bid ---- */

struct bid_check {
    struct job_call *call;
    const struct leasing *leasing;
    struct u256 offer_id;
    struct u256 bid_index;
    bool wanted; /* the bid is there */
    struct address bidder;
    struct slice signature;
    bool valid;
    struct slice detail;
};

static enum err find_bid(struct store_tx *tx, void *ctx, struct why *why)
{
    struct bid_check *c = ctx;
    struct store_query q;
    store_begin(&q, tx, &leasing_jobs_sql_bid_find);
    store_bind_i64(&q, "chain_id", (int64_t)c->leasing->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&c->leasing->marketplace));
    store_bind_u256(&q, "offer_id", c->offer_id);
    store_bind_u256(&q, "bid_index", c->bid_index);
    c->wanted = store_step(&q);
    if (c->wanted) {
        store_get_fixed(&q, "bidder", c->bidder.bytes, ADDRESS_BYTES);
    }
    return store_finish(&q, NULL, why);
}

static enum err read_bid(struct bid_check *c, struct why *why)
{
    struct slice question = SLICE_EMPTY;
    struct slice data = SLICE_EMPTY;
    struct marketplace_lease_bids_result r;
    enum err e =
        marketplace_lease_bids_encode(c->call->job, c->offer_id, c->bid_index, &question, why);
    if (e == OK) {
        e = ask(c->call, &c->leasing->marketplace, question, &data, why);
    }
    if (e == OK) {
        e = marketplace_lease_bids_result_decode(c->call->job, data, &r, why);
    }
    if (e == OK && !address_equal(&r.bidder, &c->bidder)) {
        /* The node is ahead of the rows, or behind: the next try sees both. */
        e = why_set(why, ERR_NODE_RESPONSE, NULL, "The chain has another bid at this index.");
    }
    if (e == OK) {
        c->signature = r.sig_lessee;
    }
    return e;
}

static enum err judge_bid(struct bid_check *c, struct why *why)
{
    const struct leasing *l = c->leasing;
    struct abi_lease_intent i;
    enum err e = read_offer(c->call, c->offer_id, &i, why);
    if (e != OK) {
        return e;
    }
    struct u256 period = i.lease.rent_period;
    struct leasing_terms terms = {
        .deadline_sec = i.deadline,
        .asset_type = i.asset_type,
        .lessor = i.lease.lessor,
        .lessee = c->bidder,
        .asset_id = i.lease.asset_id,
        .payment_token = i.lease.payment_token,
        .rent = stable_of(i.lease.rent_amount),
        .deposit = stable_of(i.lease.security_deposit),
        .start_sec = i.lease.start_time,
        .end_sec = i.lease.end_time,
        .legal_doc_hash = i.lease.legal_doc_hash,
        .terms_version = i.lease.terms_version,
    };
    struct why said = {.err = OK};
    if (u256_to_u64(period, &terms.rent_period_sec) != OK) {
        c->valid = false;
        c->detail = SLICE_LIT("The rent period of the offer is beyond 64 bits: not checked.");
        return OK;
    }
    const struct address others[] = {l->marketplace, l->registry, l->stablecoin};
    enum err checked = leasing_terms_check_signature(&terms, l->chain_id, &l->factory, others,
                                                     sizeof others / sizeof others[0], &c->bidder,
                                                     c->signature, &said);
    c->valid = checked == OK;
    c->detail =
        c->valid ? SLICE_EMPTY : slice_copy(c->call->job, slice_text(why_text(&said, checked)));
    return OK;
}

static enum err write_check(struct store_tx *tx, void *ctx, struct why *why)
{
    struct bid_check *c = ctx;
    struct store_query q;
    store_begin(&q, tx, &leasing_jobs_sql_check_put);
    store_bind_i64(&q, "chain_id", (int64_t)c->leasing->chain_id);
    store_bind_bytes(&q, "marketplace", address_slice(&c->leasing->marketplace));
    store_bind_u256(&q, "offer_id", c->offer_id);
    store_bind_u256(&q, "bid_index", c->bid_index);
    store_bind_bytes(&q, "bidder", address_slice(&c->bidder));
    store_bind_bytes(&q, "signature", c->signature);
    store_bind_bool(&q, "signature_valid", c->valid);
    store_bind_text(&q, "detail", c->detail);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, NULL, why);
    return e == OK ? jobs_complete(tx, c->call, why) : e;
}

static enum err check_bid(struct job_call *call, struct why *why)
{
    struct bid_check c = {.call = call, .leasing = call->ctx};
    enum err e = json_get_u256(call->payload, "offerId", &c.offer_id, why);
    if (e == OK) {
        e = json_get_u256(call->payload, "bidIndex", &c.bid_index, why);
    }
    if (e == OK) {
        e = store_read(call->store, find_bid, &c, why);
    }
    if (e != OK || !c.wanted) {
        return e;
    }
    e = read_bid(&c, why);
    if (e == OK) {
        e = judge_bid(&c, why);
    }
    if (e == OK && !c.valid) {
        LOG(LOG_WARN, "leasing.bid_unsigned", log_u256("offer", c.offer_id),
            log_u256("bid", c.bid_index), log_slice("why", c.detail));
    }
    return e == OK ? store_write(call->store, write_check, &c, why) : e;
}

/* ---- leasing.complete_leases ---- */

static enum err sweep(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct leasing *l = ctx;
    int64_t now = clock_wall_usec();
    struct store_query q;
    store_begin(&q, tx, &leasing_jobs_sql_leases_forget);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "factory", address_slice(&l->factory));
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_jobs_sql_leases_unlink);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "factory", address_slice(&l->factory));
    store_bind_time(&q, "now", now);
    e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_jobs_sql_offers_unlink);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "factory", address_slice(&l->factory));
    store_bind_bytes(&q, "marketplace", address_slice(&l->marketplace));
    store_bind_time(&q, "now", now);
    e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_jobs_sql_leases_end);
    store_bind_time(&q, "now", now);
    return store_finish(&q, NULL, why);
}

static enum err complete_leases(struct job_call *call, struct why *why)
{
    return store_write(call->store, sweep, call->ctx, why);
}

/* ---- the tables ---- */

const struct job_queue leasing_job_queues[] = {
    {
        .name = "leasing",
        .attempts_max = 20,
        .backoff = JOB_BACKOFF_EXPONENTIAL,
        .backoff_usec = SECOND,
        .backoff_usec_max = 300 * SECOND,
        .doc = "What leasing does beside requests and events.",
    },
};
const size_t leasing_job_queue_count = sizeof leasing_job_queues / sizeof leasing_job_queues[0];

const struct job_kind leasing_job_kinds[] = {
    {
        .name = "leasing.adopt_lease",
        .queue = "leasing",
        .handler = adopt_lease,
        .timeout_usec = 60 * SECOND,
        .doc = "Finds or makes the agreement of a lease that was minted without us.",
    },
    {
        .name = "leasing.link_offer",
        .queue = "leasing",
        .handler = link_offer,
        .timeout_usec = 60 * SECOND,
        .doc = "Finds the agreement of an offer that was posted from a wallet that is not ours.",
    },
    {
        .name = "leasing.check_bid",
        .queue = "leasing",
        .handler = check_bid,
        .timeout_usec = 60 * SECOND,
        .doc = "Reads the signature of a bid back from the chain and verifies it.",
    },
    {
        .name = "leasing.complete_leases",
        .queue = "leasing",
        .handler = complete_leases,
        .attempts_max = 3,
        .backoff = JOB_BACKOFF_FIXED,
        .backoff_usec = 5 * SECOND,
        .backoff_usec_max = 5 * SECOND,
        .timeout_usec = 60 * SECOND,
        .doc = "Completes leases whose end has come and repairs what a reorganisation took away.",
    },
    {
        .name = "leasing.due_dates",
        .queue = "leasing",
        .handler = leasing_dues_job,
        .attempts_max = 3,
        .backoff = JOB_BACKOFF_FIXED,
        .backoff_usec = 5 * SECOND,
        .backoff_usec_max = 5 * SECOND,
        .timeout_usec = 300 * SECOND,
        .doc = "Writes the due dates of leases again where what they depend on has changed.",
    },
    {
        .name = "leasing.sweep_bids",
        .queue = "leasing",
        .handler = leasing_sweep_job,
        .attempts_max = 3,
        .backoff = JOB_BACKOFF_FIXED,
        .backoff_usec = 5 * SECOND,
        .backoff_usec_max = 5 * SECOND,
        .timeout_usec = 300 * SECOND,
        .doc = "Takes bids of our wallets back that cannot be accepted any more.",
    },
};
const size_t leasing_job_kind_count = sizeof leasing_job_kinds / sizeof leasing_job_kinds[0];

const struct job_cron leasing_job_crons[] = {
    {
        .name = "leasing.complete_leases",
        .kind = "leasing.complete_leases",
        .every_usec = 60 * SECOND,
        .doc = "Leases end on time.",
    },
    {
        .name = "leasing.due_dates",
        .kind = "leasing.due_dates",
        .every_usec = 60 * SECOND,
        .doc = "Rent becomes due, overdue and paid.",
    },
    {
        .name = "leasing.sweep_bids",
        .kind = "leasing.sweep_bids",
        .every_usec = 60 * SECOND,
        .doc = "Money does not stay in dead bids, where leasing.sweep_bids is set.",
    },
};
const size_t leasing_job_cron_count = sizeof leasing_job_crons / sizeof leasing_job_crons[0];
