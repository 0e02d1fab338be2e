/*
 * leasing_reconcile.c: what must be so between our rows, and between them and the contracts; see
 * kernel/chain/chain_reconcile.h.
 */
#include "domain/leasing/leasing_internal.h"
#include "domain/leasing/leasing_reconcile_sql.h"
#include "gen/abi_asset_erc20.h"
#include "gen/abi_lease_factory.h"
#include "kernel/base/hex.h"
#include "kernel/base/rand.h"
#include "kernel/chain/chain_reconcile.h"

/* Rows of one snapshot, and calls of one batch. */
#define PAGE_ROWS 100

/* A row that a contract is asked about. */
struct asked {
    struct address contract;
    struct address who;  /* a holder, or the owner of `id` */
    struct u256 id;      /* of a lease token */
    struct u256 balance; /* of a holder, or of all holders together */
};

struct page {
    struct chain_reconciling *r;
    struct asked rows[PAGE_ROWS];
    size_t count;
    struct asked after; /* where it begins */
};

/* How one kind of rows is read, asked and judged. */
struct question {
    store_fn read;
    enum err (*calldata)(struct arena *arena, const struct asked *row, struct slice *out,
                         struct why *why);
    void (*judge)(struct chain_reconciling *r, const struct asked *row, struct u256 answer);
};

static void found(struct chain_reconciling *r, const char *kind, const struct address *contract,
                  struct slice of, struct slice what)
{
    struct arena scratch;
    char text[ADDRESS_TEXT_MAX];
    arena_init(&scratch, 0);
    address_format(contract, text);
    chain_found(
        r, slice_format(&scratch, "%s/%s%s%.*s", kind, text, of.len > 0 ? "/" : "", SLICE_ARG(of)),
        what);
    arena_free(&scratch);
}

/* Puts the answers of a page beside its rows. A node that refuses one says nothing about a row. */
static enum err ask_page(const struct question *q, struct page *page, struct why *why)
{
    struct chain_reconciling *r = page->r;
    struct arena scratch;
    size_t before = r->count;
    bool holds = true;
    enum err e = OK;
    arena_init(&scratch, 0);
    struct rpc_call *calls = arena_alloc_array(&scratch, PAGE_ROWS, sizeof *calls);
    for (size_t i = 0; e == OK && i < page->count; i++) {
        struct slice data;
        char to[ADDRESS_TEXT_MAX];
        struct buf params;
        e = q->calldata(&scratch, &page->rows[i], &data, why);
        if (e != OK) {
            break;
        }
        address_format(&page->rows[i].contract, to);
        buf_init(&params, &scratch, 256);
        buf_format(&params, "[{\"to\":\"%s\",\"data\":\"0x", to);
        buf_add_hex(&params, data);
        buf_format(&params, "\"},\"0x%llx\"]", (unsigned long long)r->block);
        calls[i].method = "eth_call";
        calls[i].params = buf_slice(&params);
    }
    if (e == OK && page->count > 0) {
        e = rpc_call_many(r->reconciler->rpc, &scratch, RPC_ANY, calls, page->count, why);
    }
    for (size_t i = 0; e == OK && i < page->count; i++) {
        uint8_t word[U256_BYTES];
        struct u256 answer = U256_ZERO;
        bool reverted = calls[i].err == ERR_REVERTED;
        bool told = calls[i].err == OK && calls[i].result->type == JSON_STRING &&
                    hex_decode_fixed(calls[i].result->text, word, sizeof word) == OK &&
                    u256_decode_be(slice_of(word, sizeof word), &answer) == OK;
        if (told || reverted) {
            q->judge(r, &page->rows[i], answer);
        }
    }
    r->looked += page->count;
    if (e == OK) {
        e = chain_reconcile_holds(r, before, &holds, why);
    }
    arena_free(&scratch);
    return e;
}

/* Asks about rows, page by page, from anywhere on when only a part is to be looked at. */
static enum err ask_all(const struct question *q, struct chain_reconciling *r, struct why *why)
{
    struct page page = {.r = r};
    uint64_t asked = 0;
    bool wrapped = !r->sampled;
    enum err e = OK;
    if (r->sampled) {
        rand_bytes(&page.after.contract, sizeof page.after.contract);
    }
    while (e == OK && asked < r->limit) {
        e = store_read(r->reconciler->store, q->read, &page, why);
        if (e == OK) {
            e = ask_page(q, &page, why);
        }
        asked += page.count;
        if (page.count > 0) {
            page.after = page.rows[page.count - 1];
        }
        if (page.count < PAGE_ROWS) {
            if (wrapped) {
                break;
            }
            wrapped = true;
            page.after = (struct asked){0};
        }
    }
    return e;
}

/* ---- holders ---- */

static enum err read_holders(struct store_tx *tx, void *ctx, struct why *why)
{
    struct page *page = ctx;
    enum err e = chain_reconcile_at(tx, page->r, why);
    page->count = 0;
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_reconcile_sql_holders);
    store_bind_i64(&q, "chain_id", (int64_t)page->r->reconciler->chain_id);
    store_bind_bytes(&q, "token", address_slice(&page->after.contract));
    store_bind_bytes(&q, "holder", address_slice(&page->after.who));
    store_bind_i64(&q, "max_rows", PAGE_ROWS);
    while (store_step(&q)) {
        struct asked *row = &page->rows[page->count++];
        store_get_fixed(&q, "token", row->contract.bytes, ADDRESS_BYTES);
        store_get_fixed(&q, "holder", row->who.bytes, ADDRESS_BYTES);
        row->balance = store_get_u256(&q, "balance");
    }
    return store_finish(&q, NULL, why);
}

static enum err holder_calldata(struct arena *arena, const struct asked *row, struct slice *out,
                                struct why *why)
{
    return asset_erc20_balance_of_encode(arena, &row->who, out, why);
}

static void judge_amount(struct chain_reconciling *r, const char *kind, const struct asked *row,
                         struct slice of, struct u256 answer)
{
    char is[U256_TEXT_MAX];
    char should[U256_TEXT_MAX];
    char what[3 * U256_TEXT_MAX];
    if (u256_equal(row->balance, answer)) {
        return;
    }
    u256_format(row->balance, is);
    u256_format(answer, should);
    (void)snprintf(what, sizeof what, "our rows say %s, the contract %s", is, should);
    found(r, kind, &row->contract, of, slice_text(what));
}

static void judge_holder(struct chain_reconciling *r, const struct asked *row, struct u256 answer)
{
    char holder[ADDRESS_TEXT_MAX];
    address_format(&row->who, holder);
    judge_amount(r, "holder", row, slice_text(holder), answer);
}

static enum err look_at_holders(struct chain_reconciling *r, struct why *why)
{
    static const struct question question = {read_holders, holder_calldata, judge_holder};
    return ask_all(&question, r, why);
}

/* ---- supplies ---- */

static enum err add_balances(struct store_tx *tx, const struct page *page, struct asked *row,
                             struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_reconcile_sql_balances);
    store_bind_i64(&q, "chain_id", (int64_t)page->r->reconciler->chain_id);
    store_bind_bytes(&q, "token", address_slice(&row->contract));
    while (store_step(&q)) {
        if (u256_add(row->balance, store_get_u256(&q, "balance"), &row->balance) != OK) {
            row->balance = U256_MAX; /* more than there can be: it differs */
        }
    }
    return store_finish(&q, NULL, why);
}

static enum err read_tokens(struct store_tx *tx, void *ctx, struct why *why)
{
    struct page *page = ctx;
    enum err e = chain_reconcile_at(tx, page->r, why);
    page->count = 0;
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_reconcile_sql_tokens);
    store_bind_i64(&q, "chain_id", (int64_t)page->r->reconciler->chain_id);
    store_bind_bytes(&q, "token", address_slice(&page->after.contract));
    store_bind_i64(&q, "max_rows", PAGE_ROWS);
    while (store_step(&q)) {
        struct asked *row = &page->rows[page->count++];
        *row = (struct asked){0};
        store_get_fixed(&q, "address", row->contract.bytes, ADDRESS_BYTES);
    }
    e = store_finish(&q, NULL, why);
    for (size_t i = 0; e == OK && i < page->count; i++) {
        e = add_balances(tx, page, &page->rows[i], why);
    }
    return e;
}

static enum err supply_calldata(struct arena *arena, const struct asked *row, struct slice *out,
                                struct why *why)
{
    (void)row;
    return asset_erc20_total_supply_encode(arena, out, why);
}

static void judge_supply(struct chain_reconciling *r, const struct asked *row, struct u256 answer)
{
    judge_amount(r, "supply", row, SLICE_EMPTY, answer);
}

static enum err look_at_supplies(struct chain_reconciling *r, struct why *why)
{
    static const struct question question = {read_tokens, supply_calldata, judge_supply};
    return ask_all(&question, r, why);
}

/* ---- owners of lease tokens ---- */

static enum err read_nfts(struct store_tx *tx, void *ctx, struct why *why)
{
    struct page *page = ctx;
    enum err e = chain_reconcile_at(tx, page->r, why);
    page->count = 0;
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_reconcile_sql_nfts);
    store_bind_i64(&q, "chain_id", (int64_t)page->r->reconciler->chain_id);
    store_bind_bytes(&q, "factory", address_slice(&page->after.contract));
    store_bind_u256(&q, "token_id", page->after.id);
    store_bind_i64(&q, "max_rows", PAGE_ROWS);
    while (store_step(&q)) {
        struct asked *row = &page->rows[page->count++];
        store_get_fixed(&q, "factory", row->contract.bytes, ADDRESS_BYTES);
        row->id = store_get_u256(&q, "token_id");
        store_get_fixed(&q, "owner", row->who.bytes, ADDRESS_BYTES);
    }
    return store_finish(&q, NULL, why);
}

static enum err owner_calldata(struct arena *arena, const struct asked *row, struct slice *out,
                               struct why *why)
{
    return lease_factory_owner_of_encode(arena, row->id, out, why);
}

static void judge_owner(struct chain_reconciling *r, const struct asked *row, struct u256 answer)
{
    uint8_t word[U256_BYTES];
    struct address owner;
    char is[ADDRESS_TEXT_MAX];
    char should[ADDRESS_TEXT_MAX];
    char id[U256_TEXT_MAX];
    char what[3 * ADDRESS_TEXT_MAX];
    u256_encode_be(answer, word);
    memcpy(owner.bytes, word + sizeof word - ADDRESS_BYTES, ADDRESS_BYTES);
    if (address_equal(&owner, &row->who)) {
        return;
    }
    address_format(&row->who, is);
    address_format(&owner, should);
    u256_format(row->id, id);
    (void)snprintf(what, sizeof what, "our rows say %s, the contract %s", is, should);
    found(r, "nft", &row->contract, slice_text(id), slice_text(what));
}

static enum err look_at_nfts(struct chain_reconciling *r, struct why *why)
{
    static const struct question question = {read_nfts, owner_calldata, judge_owner};
    return ask_all(&question, r, why);
}

/* ---- events and records ---- */

struct lost {
    struct chain_reconciling *r;
    const struct store_statement *statement;
};

static enum err read_lost_records(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct lost *lost = ctx;
    struct arena scratch;
    struct store_query q;
    arena_init(&scratch, 0);
    store_begin(&q, tx, lost->statement);
    store_bind_i64(&q, "chain_id", (int64_t)lost->r->reconciler->chain_id);
    store_bind_i64(&q, "max_rows", CHAIN_FINDINGS_MAX);
    while (store_step(&q)) {
        struct slice type = store_get_text(&q, "event_type", &scratch);
        long long block = store_get_i64(&q, "block_number");
        long long index = store_get_i64(&q, "log_index");
        chain_found(lost->r, slice_format(&scratch, "event/%lld/%lld", block, index),
                    slice_format(&scratch, "%.*s was applied, and what it made is not there",
                                 SLICE_ARG(type)));
    }
    enum err e = store_finish(&q, NULL, why);
    arena_free(&scratch);
    return e;
}

static enum err look_for_records(struct chain_reconciling *r, struct why *why)
{
    struct lost lost = {r, &leasing_reconcile_sql_lost_records};
    return store_read(r->reconciler->store, read_lost_records, &lost, why);
}

static enum err look_for_assets(struct chain_reconciling *r, struct why *why)
{
    struct lost lost = {r, &leasing_reconcile_sql_lost_assets};
    return store_read(r->reconciler->store, read_lost_records, &lost, why);
}

static enum err read_lost_events(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct lost *lost = ctx;
    struct arena scratch;
    struct store_query q;
    arena_init(&scratch, 0);
    store_begin(&q, tx, lost->statement);
    store_bind_i64(&q, "chain_id", (int64_t)lost->r->reconciler->chain_id);
    store_bind_i64(&q, "max_rows", CHAIN_FINDINGS_MAX);
    while (store_step(&q)) {
        struct slice record = store_get_text(&q, "record", &scratch);
        struct slice id = store_get_text(&q, "id", &scratch);
        long long block = store_get_i64(&q, "block_number");
        chain_found(lost->r, slice_format(&scratch, "%.*s/%.*s", SLICE_ARG(record), SLICE_ARG(id)),
                    slice_format(&scratch,
                                 "it names a transaction of block %lld of which there is "
                                 "no event",
                                 block));
    }
    enum err e = store_finish(&q, NULL, why);
    arena_free(&scratch);
    return e;
}

static enum err look_for_events(struct chain_reconciling *r, struct why *why)
{
    struct lost lost = {r, &leasing_reconcile_sql_lost_events};
    return store_read(r->reconciler->store, read_lost_events, &lost, why);
}

static enum err look_for_links(struct chain_reconciling *r, struct why *why)
{
    struct lost lost = {r, &leasing_reconcile_sql_lost_links};
    return store_read(r->reconciler->store, read_lost_events, &lost, why);
}

/* "asset/SAT-1" waits again. */
static enum err unlink_one(struct store_tx *tx, const struct chain_finding *finding, void *ctx,
                           struct why *why)
{
    static const struct {
        const char *kind;
        const struct store_statement *statement;
        const char *key;
    } kinds[] = {
        {"asset", &leasing_reconcile_sql_unlink_asset, "asset_id"},
        {"type", &leasing_reconcile_sql_unlink_type, "type_name"},
        {"lease", &leasing_reconcile_sql_unlink_lease, "lease_id"},
    };
    (void)ctx;
    struct slice kind;
    struct slice id;
    (void)slice_cut(finding->subject, '/', &kind, &id);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (slice_equal_text(kind, kinds[i].kind)) {
            struct store_query q;
            store_begin(&q, tx, kinds[i].statement);
            store_bind_text(&q, kinds[i].key, id);
            e = store_finish(&q, NULL, why);
        }
    }
    return e;
}

/* ---- the table ---- */

#define REBUILD .repair = CHAIN_REPAIR_REBUILD, .repair_doc = "built again from the chain"

static const struct chain_rule rules[] = {
    {.name = "leasing.holder_balance",
     .doc = "What a holder of an asset's token has is what the token's balanceOf says.",
     .look = look_at_holders,
     REBUILD},
    {.name = "leasing.token_supply",
     .doc = "All holders of a token together have its totalSupply.",
     .look = look_at_supplies,
     REBUILD},
    {.name = "leasing.nft_owner",
     .doc = "The owner of a lease's token is whom ownerOf says.",
     .look = look_at_nfts,
     REBUILD},
    {.name = "leasing.event_without_record",
     .doc = "What an applied event makes (offer, sale, bid, lease token) is there.",
     .look = look_for_records,
     REBUILD},
    {.name = "leasing.event_without_asset",
     .doc = "An asset that was registered is there.",
     .look = look_for_assets,
     .repair = CHAIN_REPAIR_HUMAN,
     .repair_doc = "`freehold chain resume --from` its block applies it again"},
    {.name = "leasing.record_without_event",
     .doc = "An offer, sale, bid or lease token has an event of the transaction that it names.",
     .look = look_for_events,
     REBUILD},
    {.name = "leasing.link_without_event",
     .doc = "So has an asset, type or lease that is on the chain.",
     .look = look_for_links,
     .fix = unlink_one,
     .repair = CHAIN_REPAIR_ROW,
     .repair_doc = "it waits for its event again"},
    {.name = "leasing.access_hours",
     .doc = "The total of an hour in which access to a lease was sold is that of its payments.",
     .look = leasing_access_look,
     .repair = CHAIN_REPAIR_HUMAN,
     .repair_doc = "the payments are what was paid on the chain; the hour is set to their sum"},
};

struct chain_reconciler leasing_reconciler(struct leasing *leasing)
{
    return (struct chain_reconciler){
        .store = leasing->store,
        .rpc = leasing->rpc,
        .chain_id = leasing->chain_id,
        .rules = rules,
        .rule_count = sizeof rules / sizeof rules[0],
        .ctx = leasing,
    };
}
