/*
 * leasing_api_revenue.c: revenue rounds, the claims in them, and having claims paid.
 *
 * The marketplace pays a holder everything at once, so one transaction serves all open claims of a
 * holder, those that are known when it is asked for and those that come before it is mined. When
 * its events are applied, a claim that is still open needs another one.
 */
#include "domain/leasing/leasing_api.h"
#include "domain/leasing/leasing_api_sql.h"
#include "gen/abi_marketplace.h"

/* Rounds whose claims are marked with one transaction; further ones are found through these. */
#define CLAIMS_MAX 256

/* ---- rounds ---- */

static void round_json(struct json_out *j, struct store_query *q, struct arena *arena)
{
    json_begin_object(j);
    json_key(j, "roundId");
    json_i64(j, store_get_i64(q, "round_id"));
    json_key(j, "assetId");
    leasing_json_column_text(j, q, "asset_id", arena);
    json_key(j, "leaseId");
    leasing_json_column_text(j, q, "lease_id", arena);
    json_key(j, "leaseTokenId");
    json_u256(j, store_get_u256(q, "lease_token_id"));
    json_key(j, "onChainAssetId");
    json_u256(j, store_get_u256(q, "onchain_asset_id"));
    json_key(j, "tokenAddress");
    leasing_json_column_address(j, q, "token");
    int64_t block = store_get_i64(q, "snapshot_block");
    int64_t index = store_get_i64(q, "snapshot_log_index");
    json_key(j, "snapshotId");
    json_string(j, slice_format(arena, "%lld/%lld", (long long)block, (long long)index));
    json_key(j, "snapshotBlock");
    json_i64(j, block);
    json_key(j, "totalAmount");
    json_u256(j, store_get_u256(q, "total_amount"));
    json_key(j, "supply");
    json_u256(j, store_get_u256(q, "supply"));
    json_key(j, "remainder");
    json_u256(j, store_get_u256(q, "remainder"));
    json_key(j, "remainderTo");
    leasing_json_column_address(j, q, "remainder_to");
    json_key(j, "status");
    json_string(j, store_get_text(q, "status", arena));
    json_key(j, "transactionHash");
    leasing_json_column_hash(j, q, "transaction_hash");
    json_key(j, "createdAt");
    json_time(j, store_get_time(q, "created_at"));
    json_end_object(j);
}

struct round_read {
    struct http_call *call;
    uint64_t round_id;
};

static void begin_round(struct store_query *q, struct store_tx *tx, const struct round_read *r)
{
    const struct leasing *l = r->call->ctx;
    store_begin(q, tx, &leasing_api_sql_round_get);
    store_bind_i64(q, "chain_id", (int64_t)l->chain_id);
    store_bind_i64(q, "round_id", (int64_t)r->round_id);
    store_bind_bytes(q, "registry", address_slice(&l->registry));
}

static enum err read_round(struct store_tx *tx, void *ctx, struct why *why)
{
    struct round_read *r = ctx;
    struct store_query q;
    begin_round(&q, tx, r);
    bool found = store_step(&q);
    if (found) {
        round_json(r->call->out, &q, r->call->req);
    }
    enum err e = store_finish(&q, NULL, why);
    return e == OK && !found ? leasing_not_found(why, "Revenue round") : e;
}

enum err leasing_api_round_get(struct http_call *call, struct why *why)
{
    struct round_read r = {.call = call};
    enum err e = leasing_number_param(call, "roundId", &r.round_id, why);
    return e == OK ? store_read(call->store, read_round, &r, why) : e;
}

struct rounds_list {
    struct http_call *call;
    struct http_page page;
    uint64_t below;
    uint64_t count;
};

static enum err read_rounds(struct store_tx *tx, void *ctx, struct why *why)
{
    struct rounds_list *list = ctx;
    const struct leasing *l = list->call->ctx;
    struct json_out *j = list->call->out;
    struct leasing_asset a;
    enum err e = leasing_asset_get(tx, list->call->req, http_param(list->call, "assetId"), &a, why);
    if (e != OK) {
        return e;
    }
    json_begin_array(j);
    if (!a.on_chain) {
        json_end_array(j);
        return OK;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_rounds_list);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(&q, "registry", address_slice(&l->registry));
    store_bind_u256(&q, "onchain_asset_id", a.onchain_id);
    store_bind_i64(&q, "below_round", (int64_t)list->below);
    store_bind_i64(&q, "max_rows", list->page.limit);
    store_bind_i64(&q, "skip_rows", (int64_t)list->page.offset);
    while (store_step(&q)) {
        list->below = (uint64_t)store_get_i64(&q, "round_id");
        round_json(j, &q, list->call->req);
        list->count++;
    }
    json_end_array(j);
    return store_finish(&q, NULL, why);
}

enum err leasing_api_asset_rounds_list(struct http_call *call, struct why *why)
{
    struct rounds_list list = {.call = call, .below = INT64_MAX};
    enum err e = http_page_read(call, &list.page, why);
    if (e == OK && list.page.cursor.len > 0 &&
        (slice_parse_u64(list.page.cursor, &list.below) != OK || list.below > INT64_MAX)) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor", "This cursor is not of this list.");
    }
    if (e == OK) {
        e = store_read(call->store, read_rounds, &list, why);
    }
    if (e == OK && list.count == list.page.limit) {
        http_cursor_set(call, slice_format(call->req, "%llu", (unsigned long long)list.below));
    }
    return e;
}

/* ---- claims ---- */

void leasing_claims_open(struct store_query *q, struct store_tx *tx, const struct leasing *l,
                         const struct address *holder)
{
    store_begin(q, tx, &leasing_api_sql_claims_open);
    store_bind_i64(q, "chain_id", (int64_t)l->chain_id);
    store_bind_bytes(q, "holder", address_slice(holder));
}

void leasing_claim_read(struct store_query *q, struct arena *arena, struct leasing_claim *out)
{
    memset(out, 0, sizeof *out);
    out->round_id = (uint64_t)store_get_i64(q, "round_id");
    store_get_fixed(q, "holder", out->holder.bytes, ADDRESS_BYTES);
    out->balance = token_of(store_get_u256(q, "token_balance"));
    out->amount = stable_of(store_get_u256(q, "claim_amount"));
    out->claimed = store_get_bool(q, "claimed");
    out->claimed_usec = store_get_time(q, "claimed_at");
    store_get_fixed(q, "transaction_hash", out->transaction.bytes, HASH_BYTES);
    leasing_tx_read(q, &leasing_tx_main, arena, &out->tx);
    out->tx_block = (uint64_t)store_get_i64(q, "tx_block");
}

static const char *claim_status(const struct leasing_claim *c)
{
    if (c->claimed) {
        return "claimed";
    }
    return c->tx.known && !leasing_tx_is_dead(&c->tx) ? "pending" : "open";
}

void leasing_claim_json(struct json_out *j, const struct leasing_claim *c)
{
    char holder[ADDRESS_TEXT_MAX];
    char id[64 + ADDRESS_TEXT_MAX];
    address_format(&c->holder, holder);
    (void)snprintf(id, sizeof id, "%llu/%s", (unsigned long long)c->round_id, holder);
    json_begin_object(j);
    json_key(j, "claimId");
    json_text(j, id);
    json_key(j, "roundId");
    json_u64(j, c->round_id);
    json_key(j, "holderAddress");
    json_text(j, holder);
    json_key(j, "tokenBalance");
    json_u256(j, token_raw(c->balance));
    json_key(j, "claimAmount");
    json_u256(j, stable_raw(c->amount));
    json_key(j, "claimed");
    json_bool(j, c->claimed);
    json_key(j, "status");
    json_text(j, claim_status(c));
    json_key(j, "claimedAt");
    if (c->claimed) {
        json_time(j, c->claimed_usec);
    } else {
        json_null(j);
    }
    json_key(j, "transactionHash");
    if (c->claimed) {
        json_hex(j, hash_slice(&c->transaction));
    } else {
        json_null(j);
    }
    json_key(j, "transaction");
    leasing_tx_json(j, &c->tx);
    json_end_object(j);
}

static enum err round_must_exist(struct store_tx *tx, const struct round_read *r, struct why *why)
{
    struct store_query q;
    begin_round(&q, tx, r);
    bool found = store_step(&q);
    for (uint16_t i = 0; found && i < q.statement->column_count; i++) {
        store_ignore(&q, q.statement->columns[i].name);
    }
    enum err e = store_finish(&q, NULL, why);
    return e == OK && !found ? leasing_not_found(why, "Revenue round") : e;
}

struct claims_list {
    struct round_read round;
    struct http_page page;
    struct address last;
    uint64_t count;
};

static enum err read_claims(struct store_tx *tx, void *ctx, struct why *why)
{
    struct claims_list *list = ctx;
    struct http_call *call = list->round.call;
    const struct leasing *l = call->ctx;
    struct store_query q;
    enum err e = round_must_exist(tx, &list->round, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_api_sql_claims_list);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_i64(&q, "round_id", (int64_t)list->round.round_id);
    if (list->page.cursor.len > 0) {
        store_bind_bytes(&q, "after_holder", list->page.cursor);
    } else {
        store_bind_null(&q, "after_holder");
    }
    store_bind_i64(&q, "max_rows", list->page.limit);
    store_bind_i64(&q, "skip_rows", (int64_t)list->page.offset);
    json_begin_array(call->out);
    while (store_step(&q)) {
        struct leasing_claim c;
        leasing_claim_read(&q, call->req, &c);
        leasing_claim_json(call->out, &c);
        list->last = c.holder;
        list->count++;
    }
    json_end_array(call->out);
    return store_finish(&q, NULL, why);
}

enum err leasing_api_claims_list(struct http_call *call, struct why *why)
{
    struct claims_list list = {.round = {.call = call}};
    enum err e = leasing_number_param(call, "roundId", &list.round.round_id, why);
    if (e == OK) {
        e = http_page_read(call, &list.page, why);
    }
    if (e == OK && list.page.cursor.len != 0 && list.page.cursor.len != ADDRESS_BYTES) {
        e = why_set(why, ERR_INVALID_FIELD, "cursor", "This cursor is not of this list.");
    }
    if (e == OK) {
        e = store_read(call->store, read_claims, &list, why);
    }
    if (e == OK && list.count == list.page.limit) {
        http_cursor_set(call, slice_copy(call->req, address_slice(&list.last)));
    }
    return e;
}

/* ---- one claim ---- */

struct claim_request {
    struct round_read round;
    struct address holder;
    struct leasing_claim claim;
    struct slice data;     /* calldata */
    int64_t deadline_usec; /* after which it is not wanted any more; 0: none */
    bool ours;             /* the relay has the holder's key */
    struct slice intent_id;
};

static enum err read_claim_params(struct claim_request *r, struct why *why)
{
    struct http_call *call = r->round.call;
    enum err e = leasing_number_param(call, "roundId", &r->round.round_id, why);
    return e == OK ? leasing_address_parse(http_param(call, "holderAddress"), "holderAddress",
                                           &r->holder, why)
                   : e;
}

static enum err find_claim(struct store_tx *tx, struct claim_request *r, struct why *why)
{
    const struct leasing *l = r->round.call->ctx;
    struct store_query q;
    enum err e = round_must_exist(tx, &r->round, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_api_sql_claim_get);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_i64(&q, "round_id", (int64_t)r->round.round_id);
    store_bind_bytes(&q, "holder", address_slice(&r->holder));
    bool found = store_step(&q);
    if (found) {
        leasing_claim_read(&q, r->round.call->req, &r->claim);
    }
    e = store_finish(&q, NULL, why);
    return e == OK && !found ? leasing_not_found(why, "Claim") : e;
}

static enum err read_claim(struct store_tx *tx, void *ctx, struct why *why)
{
    struct claim_request *r = ctx;
    enum err e = find_claim(tx, r, why);
    if (e == OK) {
        leasing_claim_json(r->round.call->out, &r->claim);
    }
    return e;
}

enum err leasing_api_claim_get(struct http_call *call, struct why *why)
{
    struct claim_request r = {.round = {.call = call}};
    enum err e = read_claim_params(&r, why);
    return e == OK ? store_read(call->store, read_claim, &r, why) : e;
}

/* ---- paying ---- */

/* What is known of a holder's open claims: the newest round, and a transaction that will do. */
struct open_claims {
    uint64_t rounds[CLAIMS_MAX];
    size_t count;
    uint64_t newest;
    struct slice previous; /* what was asked for before and did not pay */
    struct slice covering; /* what will pay, "" when it must be asked for */
};

static enum err load_open(struct store_tx *tx, const struct claim_request *r,
                          struct open_claims *out, struct why *why)
{
    const struct leasing *l = r->round.call->ctx;
    uint64_t cursor = 0;
    struct hash hash;
    struct store_query q;
    enum err e = chain_cursor_read(tx, l->chain_id, &cursor, &hash, why);
    if (e != OK) {
        return e;
    }
    out->count = 0;
    out->newest = 0;
    out->previous = r->claim.tx.id;
    out->covering = SLICE_EMPTY;
    struct slice newest_id = SLICE_EMPTY;
    leasing_claims_open(&q, tx, l, &r->holder);
    while (store_step(&q)) {
        struct leasing_claim c;
        leasing_claim_read(&q, r->round.call->req, &c);
        out->newest = c.round_id;
        newest_id = c.tx.id;
        if (out->count < CLAIMS_MAX) {
            out->rounds[out->count++] = c.round_id;
        }
        bool unapplied = c.tx.known && c.tx.state == RELAY_MINED && c.tx_block > cursor;
        if (leasing_tx_is_open(&c.tx) || unapplied) {
            out->covering = c.tx.id;
        }
    }
    /* Its key is by the newest round: a try of that which failed is the one before this. */
    out->previous = out->previous.len > 0 ? out->previous : newest_id;
    return store_finish(&q, NULL, why);
}

static struct leasing_effect claim_effect(const struct claim_request *r, uint64_t newest)
{
    const struct leasing *l = r->round.call->ctx;
    char holder[ADDRESS_TEXT_MAX];
    address_format(&r->holder, holder);
    return (struct leasing_effect){
        .role = LEASING_ROLE_HOLDER,
        .purpose = "leasing.claim_revenue",
        .key =
            slice_format(r->round.call->req, "claim/%s/%llu", holder, (unsigned long long)newest),
        .wallet = r->holder,
        .to = l->marketplace,
        .data = r->data,
        .deadline_usec = r->deadline_usec,
    };
}

static enum err put_request(struct store_tx *tx, const struct claim_request *r, uint64_t round_id,
                            struct why *why)
{
    const struct leasing *l = r->round.call->ctx;
    struct store_query q;
    store_begin(&q, tx, &leasing_api_sql_claim_request_put);
    store_bind_i64(&q, "chain_id", (int64_t)l->chain_id);
    store_bind_i64(&q, "round_id", (int64_t)round_id);
    store_bind_bytes(&q, "holder", address_slice(&r->holder));
    store_bind_text(&q, "intent_id", r->intent_id);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, NULL, why);
}

static enum err ask_payment(struct store_tx *tx, struct claim_request *r,
                            const struct open_claims *open, struct why *why)
{
    if (open->covering.len > 0) {
        r->intent_id = open->covering;
        return put_request(tx, r, r->round.round_id, why);
    }
    struct leasing_effect effect = claim_effect(r, open->newest);
    enum err e = leasing_effect_submit(tx, r->round.call->req, r->round.call->ctx, &effect,
                                       open->previous, &r->intent_id, why);
    for (size_t i = 0; e == OK && i < open->count; i++) {
        e = put_request(tx, r, open->rounds[i], why);
    }
    struct arena *arena = r->round.call->req;
    char holder[ADDRESS_TEXT_MAX];
    address_format(&r->holder, holder);
    return e == OK ? leasing_audit(tx, r->round.call, LEASING_AUDIT_CLAIM_REQUESTED,
                                   slice_format(arena, "holder/%s", holder), r->intent_id,
                                   slice_format(arena, "{\"rounds\":%zu}", open->count), why)
                   : e;
}

enum err leasing_claims_pay(struct store_tx *tx, struct http_call *call,
                            const struct address *holder, int64_t deadline_usec,
                            struct slice *out_intent_id, struct why *why)
{
    struct claim_request r = {
        .round = {.call = call}, .holder = *holder, .deadline_usec = deadline_usec};
    struct open_claims *open = arena_alloc(call->req, sizeof *open);
    enum err e = marketplace_claim_revenue_encode(call->req, &r.data, why);
    if (e == OK) {
        e = load_open(tx, &r, open, why);
    }
    if (e == OK && open->count == 0) {
        e = why_set(why, ERR_CONFLICT, NULL, "There is no revenue to be claimed.");
    }
    r.round.round_id = open->newest;
    if (e == OK) {
        e = ask_payment(tx, &r, open, why);
    }
    if (e == OK) {
        *out_intent_id = r.intent_id;
    }
    return e;
}

static enum err write_claim(struct store_tx *tx, void *ctx, struct why *why)
{
    struct claim_request *r = ctx;
    struct open_claims *open = arena_alloc(r->round.call->req, sizeof *open);
    r->intent_id = SLICE_EMPTY;
    enum err e = find_claim(tx, r, why);
    if (e == OK && r->claim.claimed) {
        e = why_set(why, ERR_CONFLICT, NULL, "The claim has been paid already.");
    }
    if (e != OK || !r->ours) {
        return e;
    }
    e = load_open(tx, r, open, why);
    return e == OK ? ask_payment(tx, r, open, why) : e;
}

static enum err write_claim_answer(struct store_tx *tx, void *ctx, struct why *why)
{
    struct claim_request *r = ctx;
    const struct leasing *l = r->round.call->ctx;
    struct json_out *j = r->round.call->out;
    enum err e = find_claim(tx, r, why);
    if (e != OK) {
        return e;
    }
    json_begin_object(j);
    json_key(j, "claim");
    leasing_claim_json(j, &r->claim);
    json_key(j, "transactionRequest");
    if (r->ours) {
        json_null(j);
    } else {
        struct leasing_effect effect = claim_effect(r, 0);
        leasing_effect_json(j, l, &effect);
    }
    json_end_object(j);
    return OK;
}

enum err leasing_api_claim_process(struct http_call *call, struct why *why)
{
    const struct leasing *l = call->ctx;
    struct claim_request r = {.round = {.call = call}};
    int64_t wait_usec = 0;
    enum err e = leasing_wait_read(call, &wait_usec, why);
    if (e == OK) {
        e = read_claim_params(&r, why);
    }
    if (e == OK) {
        e = marketplace_claim_revenue_encode(call->req, &r.data, why);
    }
    if (e != OK) {
        return e;
    }
    r.ours = relay_has_wallet(l->relay, &r.holder);
    /* Without a wallet of ours nothing is written: who asks sends the transaction himself. */
    e = r.ours ? store_write(call->store, write_claim, &r, why)
               : store_read(call->store, write_claim, &r, why);
    if (e != OK) {
        return e;
    }
    leasing_await(call, r.intent_id, wait_usec);
    return store_read(call->store, write_claim_answer, &r, why);
}
