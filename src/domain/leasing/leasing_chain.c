/*
 * leasing_chain.c: events of the registry, the asset tokens and the lease factory.
 */
#include "domain/leasing/leasing_chain_sql.h"
#include "domain/leasing/leasing_internal.h"
#include "gen/abi_asset_erc20.h"
#include "gen/abi_asset_registry.h"
#include "gen/abi_lease_factory.h"
#include "gen/abi_marketplace.h"
#include "kernel/base/check.h"

struct hash leasing_namespace(struct u256 id)
{
    uint8_t word[U256_BYTES];
    u256_encode_be(id, word);
    return keccak256(slice_of(word, sizeof word));
}

struct hash leasing_type_hash(struct slice name)
{
    return keccak256(name);
}

static void bind_chain(struct store_query *q, const struct chain_event *ev)
{
    store_bind_i64(q, "chain_id", (int64_t)ev->chain_id);
}

static void bind_place(struct store_query *q, const struct chain_event *ev)
{
    store_bind_i64(q, "block_number", (int64_t)ev->log->block_number);
    store_bind_bytes(q, "transaction_hash", hash_slice(&ev->log->tx_hash));
}

/* ---- types ---- */

static enum err on_type_created(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    struct asset_registry_asset_type_created type;
    enum err e = asset_registry_asset_type_created_decode(ev->scratch, ev->log, &type, why);
    if (e != OK) {
        return e;
    }
    struct buf keys;
    struct json_out j;
    buf_init(&keys, ev->scratch, 256);
    json_out_init(&j, &keys);
    json_begin_array(&j);
    for (size_t i = 0; i < type.required_lease_keys_count; i++) {
        json_hex(&j, hash_slice(&type.required_lease_keys[i]));
    }
    json_end_array(&j);
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_type_put);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "registry", address_slice(&ev->log->address));
    store_bind_bytes(&q, "type_hash", hash_slice(&type.asset_type));
    store_bind_bytes(&q, "name_hash", hash_slice(&type.name_hash));
    store_bind_json(&q, "required_lease_keys", buf_slice(&keys));
    bind_place(&q, ev);
    e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_chain_sql_type_activate);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "type_hash", hash_slice(&type.asset_type));
    bind_place(&q, ev);
    store_bind_time(&q, "now", ev->block_time_usec);
    return store_finish(&q, NULL, why);
}

/* ---- metadata: the same events on the registry, the tokens and the factory ---- */

static enum err on_metadata_updated(struct store_tx *tx, const struct chain_event *ev,
                                    struct why *why)
{
    const struct abi_value *v = NULL;
    enum err e = abi_event_decode(ev->scratch, ev->event, ev->log, &v, why);
    if (e != OK) {
        return e;
    }
    struct hash namespace = abi_to_hash(&v[0]);
    if (!slice_is_utf8(v[1].bytes) || !slice_is_utf8(v[2].bytes)) {
        return why_set(why, ERR_INVALID_ENCODING, NULL, "the metadata pair is not UTF-8");
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_metadata_put);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "contract", address_slice(&ev->log->address));
    store_bind_bytes(&q, "namespace", hash_slice(&namespace));
    store_bind_text(&q, "meta_key", v[1].bytes);
    store_bind_text(&q, "meta_value", v[2].bytes);
    store_bind_i64(&q, "block_number", (int64_t)ev->log->block_number);
    store_bind_i64(&q, "log_index", ev->log->log_index);
    return store_finish(&q, NULL, why);
}

static enum err on_metadata_removed(struct store_tx *tx, const struct chain_event *ev,
                                    struct why *why)
{
    const struct abi_value *v = NULL;
    enum err e = abi_event_decode(ev->scratch, ev->event, ev->log, &v, why);
    if (e != OK) {
        return e;
    }
    struct hash namespace = abi_to_hash(&v[0]);
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_metadata_remove);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "contract", address_slice(&ev->log->address));
    store_bind_bytes(&q, "namespace", hash_slice(&namespace));
    store_bind_text(&q, "meta_key", v[1].bytes);
    return store_finish(&q, NULL, why);
}

/* ---- assets ---- */

struct rebuilt {
    const struct json *metadata;
    struct slice text;
    struct hash hash;
};

static enum err load_metadata(struct store_tx *tx, const struct chain_event *ev,
                              const struct address *token, struct u256 asset_id,
                              struct rebuilt *out, struct why *why)
{
    struct hash namespace = leasing_namespace(asset_id);
    size_t cap = LEASING_PAIRS_MAX;
    struct leasing_pair *pairs = arena_alloc_array(ev->scratch, cap, sizeof *pairs);
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_metadata_list);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "contract", address_slice(token));
    store_bind_bytes(&q, "namespace", hash_slice(&namespace));
    while (store_step(&q)) {
        if (count == cap) {
            struct leasing_pair *grown = arena_alloc_array(ev->scratch, cap * 2, sizeof *grown);
            memcpy(grown, pairs, cap * sizeof *grown);
            pairs = grown;
            cap *= 2;
        }
        pairs[count].key = store_get_text(&q, "meta_key", ev->scratch);
        pairs[count++].value = store_get_text(&q, "meta_value", ev->scratch);
    }
    enum err e = store_finish(&q, NULL, why);
    bool exact = false;
    if (e == OK) {
        out->text = leasing_metadata_unflatten(ev->scratch, pairs, count, &exact);
        e = json_parse(ev->scratch, out->text, &json_limits_body, &out->metadata, why);
    }
    return e == OK ? leasing_metadata_hash(ev->scratch, out->metadata, &out->hash, why) : e;
}

static struct slice text_member(const struct json *object, const char *key, const char *otherwise)
{
    const struct json *v = json_find(object, key);
    return v != NULL && v->type == JSON_STRING ? v->text : slice_text(otherwise);
}

/* Whether the id is free, or belongs to the registration that this event completes. */
static enum err find_wanted(struct store_tx *tx, const struct chain_event *ev, struct slice id,
                            const struct rebuilt *rebuilt, bool *out_exists, bool *out_same,
                            struct why *why)
{
    struct hash stored = {0};
    struct slice status = SLICE_EMPTY;
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_asset_find);
    store_bind_text(&q, "asset_id", id);
    bool exists = store_step(&q);
    if (exists) {
        status = store_get_text(&q, "status", ev->scratch);
        store_get_fixed(&q, "metadata_hash", stored.bytes, HASH_BYTES);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        bool waiting = slice_equal_text(status, "registered") || slice_equal_text(status, "failed");
        *out_exists = exists;
        *out_same = exists && waiting && hash_equal(&stored, &rebuilt->hash);
    }
    return e;
}

static enum err activate(struct store_tx *tx, const struct chain_event *ev, struct slice id,
                         const struct asset_registry_asset_registered *asset, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_asset_activate);
    store_bind_text(&q, "asset_id", id);
    store_bind_u256(&q, "onchain_id", asset->asset_id);
    store_bind_bytes(&q, "token_address", address_slice(&asset->token_address));
    store_bind_null(&q, "issuer");
    bind_place(&q, ev);
    store_bind_time(&q, "now", ev->block_time_usec);
    return store_finish(&q, NULL, why);
}

/* The largest holder right after registration: the whole supply was minted to one account. */
static enum err first_holder(struct store_tx *tx, const struct chain_event *ev,
                             const struct address *token, struct address *out_holder,
                             struct u256 *out_supply, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_holders_list);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "token", address_slice(token));
    struct u256 supply = U256_ZERO;
    struct address holder = {0};
    enum err e = OK;
    while (e == OK && store_step(&q)) {
        store_get_fixed(&q, "holder", holder.bytes, ADDRESS_BYTES);
        e = u256_add(supply, store_get_u256(&q, "balance"), &supply);
    }
    enum err finished = store_finish(&q, NULL, why);
    if (e == OK && finished == OK) {
        *out_holder = holder;
        *out_supply = supply;
    }
    return e != OK ? e : finished;
}

static enum err insert_asset(struct store_tx *tx, const struct chain_event *ev, struct slice id,
                             const struct asset_registry_asset_registered *asset,
                             const struct rebuilt *rebuilt, struct why *why)
{
    const struct json *specifications = json_find(rebuilt->metadata, "specifications");
    struct buf b;
    buf_init(&b, ev->scratch, 256);
    if (specifications != NULL && specifications->type == JSON_OBJECT) {
        json_write(&b, specifications);
    } else {
        buf_add_text(&b, "{}");
    }
    struct address holder;
    struct u256 supply;
    enum err e = first_holder(tx, ev, &asset->token_address, &holder, &supply, why);
    if (e != OK) {
        return e;
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_asset_insert);
    store_bind_text(&q, "asset_id", id);
    bind_chain(&q, ev);
    store_bind_text(&q, "name", text_member(rebuilt->metadata, "name", ""));
    store_bind_text(&q, "description", text_member(rebuilt->metadata, "description", ""));
    store_bind_text(&q, "asset_type", text_member(rebuilt->metadata, "assetType", ""));
    store_bind_json(&q, "specifications", buf_slice(&b));
    store_bind_json(&q, "metadata", rebuilt->text);
    store_bind_bytes(&q, "metadata_hash", hash_slice(&rebuilt->hash));
    store_bind_u256(&q, "total_supply", supply);
    store_bind_bytes(&q, "token_recipient", address_slice(&holder));
    store_bind_bytes(&q, "contract_address", address_slice(&ev->log->address));
    store_bind_u256(&q, "onchain_id", asset->asset_id);
    store_bind_bytes(&q, "token_address", address_slice(&asset->token_address));
    bind_place(&q, ev);
    store_bind_time(&q, "now", ev->block_time_usec);
    return store_finish(&q, NULL, why);
}

static enum err on_asset_registered(struct store_tx *tx, const struct chain_event *ev,
                                    struct why *why)
{
    struct asset_registry_asset_registered asset;
    struct rebuilt rebuilt;
    bool exists = false;
    bool same = false;
    enum err e = asset_registry_asset_registered_decode(ev->scratch, ev->log, &asset, why);
    if (e == OK) {
        e = load_metadata(tx, ev, &asset.token_address, asset.asset_id, &rebuilt, why);
    }
    if (e != OK) {
        return e;
    }
    /* Assets of other tools carry no assetId: they are known by chain and number. */
    char number[U256_TEXT_MAX];
    (void)u256_format(asset.asset_id, number);
    struct slice generic =
        slice_format(ev->scratch, "chain-%llu-%s", (unsigned long long)ev->chain_id, number);
    struct slice id = text_member(rebuilt.metadata, "assetId", "");
    id = id.len > 0 && id.len <= 50 ? id : generic;
    e = find_wanted(tx, ev, id, &rebuilt, &exists, &same, why);
    if (e != OK) {
        return e;
    }
    if (same) {
        return activate(tx, ev, id, &asset, why);
    }
    return insert_asset(tx, ev, exists ? generic : id, &asset, &rebuilt, why);
}

/* ---- token balances ---- */

static enum err read_balance(struct store_tx *tx, const struct chain_event *ev,
                             const struct address *holder, struct u256 *out, struct why *why)
{
    struct u256 balance = U256_ZERO;
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_holder_get);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "token", address_slice(&ev->log->address));
    store_bind_bytes(&q, "holder", address_slice(holder));
    if (store_step(&q)) {
        balance = store_get_u256(&q, "balance");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = balance;
    }
    return e;
}

static enum err write_balance(struct store_tx *tx, const struct chain_event *ev,
                              const struct address *holder, struct u256 balance, struct why *why)
{
    bool gone = u256_is_zero(balance);
    struct store_query q;
    store_begin(&q, tx, gone ? &leasing_chain_sql_holder_remove : &leasing_chain_sql_holder_put);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "token", address_slice(&ev->log->address));
    store_bind_bytes(&q, "holder", address_slice(holder));
    if (!gone) {
        store_bind_u256(&q, "balance", balance);
    }
    enum err e = store_finish(&q, NULL, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &leasing_chain_sql_balance_put);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "token", address_slice(&ev->log->address));
    store_bind_bytes(&q, "holder", address_slice(holder));
    store_bind_i64(&q, "block_number", (int64_t)ev->log->block_number);
    store_bind_i64(&q, "log_index", ev->log->log_index);
    store_bind_u256(&q, "balance", balance);
    return store_finish(&q, NULL, why);
}

static enum err on_token_transfer(struct store_tx *tx, const struct chain_event *ev,
                                  struct why *why)
{
    struct asset_erc20_transfer t;
    struct u256 balance;
    enum err e = asset_erc20_transfer_decode(ev->scratch, ev->log, &t, why);
    if (e != OK || u256_is_zero(t.value)) {
        return e; /* moving nothing makes nobody a holder */
    }
    if (!address_is_zero(&t.from)) {
        e = read_balance(tx, ev, &t.from, &balance, why);
        if (e == OK && u256_sub(balance, t.value, &balance) != OK) {
            e = why_set(why, ERR_CORRUPT, NULL,
                        "a transfer moves more than its sender is known to hold");
        }
        if (e == OK) {
            e = write_balance(tx, ev, &t.from, balance, why);
        }
    }
    if (e == OK && !address_is_zero(&t.to)) {
        e = read_balance(tx, ev, &t.to, &balance, why);
        if (e == OK) {
            e = u256_add(balance, t.value, &balance);
        }
        if (e == OK) {
            e = write_balance(tx, ev, &t.to, balance, why);
        }
    }
    return e;
}

/* ---- lease NFTs ---- */

static enum err put_nft(struct store_tx *tx, const struct chain_event *ev, struct u256 token_id,
                        const struct address *lessor, const struct address *lessee,
                        struct u256 asset_id, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_nft_put);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "factory", address_slice(&ev->log->address));
    store_bind_u256(&q, "token_id", token_id);
    store_bind_bytes(&q, "lessor", address_slice(lessor));
    store_bind_bytes(&q, "lessee", address_slice(lessee));
    store_bind_bytes(&q, "owner", address_slice(lessee));
    store_bind_u256(&q, "onchain_asset_id", asset_id);
    store_bind_i64(&q, "block_number", (int64_t)ev->log->block_number);
    store_bind_i64(&q, "log_index", ev->log->log_index);
    store_bind_bytes(&q, "transaction_hash", hash_slice(&ev->log->tx_hash));
    return store_finish(&q, NULL, why);
}

static enum err on_nft_transfer(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    struct lease_factory_transfer t;
    const struct address nobody = {0};
    enum err e = lease_factory_transfer_decode(ev->scratch, ev->log, &t, why);
    if (e != OK) {
        return e;
    }
    if (address_is_zero(&t.from)) {
        return put_nft(tx, ev, t.token_id, &nobody, &t.to, U256_ZERO, why);
    }
    struct store_query q;
    store_begin(&q, tx, &leasing_chain_sql_nft_owner);
    bind_chain(&q, ev);
    store_bind_bytes(&q, "factory", address_slice(&ev->log->address));
    store_bind_u256(&q, "token_id", t.token_id);
    store_bind_bytes(&q, "owner", address_slice(&t.to));
    return store_finish(&q, NULL, why);
}

/* Asks a job to make an agreement row for a lease that was minted without us. */
static enum err want_adoption(struct store_tx *tx, const struct chain_event *ev,
                              struct u256 token_id, struct why *why)
{
    char number[U256_TEXT_MAX];
    (void)u256_format(token_id, number);
    const struct job_new job = {
        .kind = "leasing.adopt_lease",
        .key = slice_format(ev->scratch, "lease/%llu/%s", (unsigned long long)ev->chain_id, number),
        .payload = slice_format(ev->scratch, "{\"tokenId\":\"%s\"}", number),
    };
    return jobs_enqueue(tx, &job, NULL, why);
}

static enum err on_lease_minted(struct store_tx *tx, const struct chain_event *ev, struct why *why)
{
    struct lease_factory_lease_minted m;
    struct relay_row ours = {0};
    bool known = false;
    enum err e = lease_factory_lease_minted_decode(ev->scratch, ev->log, &m, why);
    if (e == OK) {
        e = put_nft(tx, ev, m.token_id, &m.lessor, &m.lessee, m.asset_id, why);
    }
    if (e == OK) {
        e = relay_get_by_hash(tx, ev->scratch, &ev->log->tx_hash, &ours, &known, why);
    }
    if (e == OK && known) {
        struct store_query q;
        store_begin(&q, tx, &leasing_chain_sql_lease_minted);
        store_bind_text(&q, "intent_id", ours.id);
        store_bind_u256(&q, "nft_token_id", m.token_id);
        bind_place(&q, ev);
        store_bind_time(&q, "now", ev->block_time_usec);
        e = store_finish(&q, NULL, why);
    }
    return e == OK ? want_adoption(tx, ev, m.token_id, why) : e;
}

/* ---- the table ---- */

#define REGISTRY(event)                                                                            \
    &abi_asset_registry, &abi_asset_registry_events[ASSET_REGISTRY_EVENT_##event]
#define TOKEN(event) &abi_asset_erc20, &abi_asset_erc20_events[ASSET_ERC20_EVENT_##event]
#define FACTORY(event) &abi_lease_factory, &abi_lease_factory_events[LEASE_FACTORY_EVENT_##event]
#define MARKET(event) &abi_marketplace, &abi_marketplace_events[MARKETPLACE_EVENT_##event]

const struct chain_handler leasing_chain_handlers[] = {
    {REGISTRY(ASSET_TYPE_CREATED), on_type_created, "The type exists; the request is active."},
    {REGISTRY(ASSET_REGISTERED), on_asset_registered,
     "The asset is active, or is added from its on-chain metadata."},
    {REGISTRY(METADATA_UPDATED), on_metadata_updated, "Metadata of a type."},
    {REGISTRY(METADATA_REMOVED), on_metadata_removed, "Metadata of a type."},
    {TOKEN(TRANSFER), on_token_transfer, "Holders and balances, also at past blocks."},
    {TOKEN(METADATA_UPDATED), on_metadata_updated, "Metadata of an asset."},
    {TOKEN(METADATA_REMOVED), on_metadata_removed, "Metadata of an asset."},
    {FACTORY(TRANSFER), on_nft_transfer, "Owner of a lease NFT."},
    {FACTORY(LEASE_MINTED), on_lease_minted, "The lease exists; its agreement is active."},
    {FACTORY(METADATA_UPDATED), on_metadata_updated, "Metadata of a lease."},
    {FACTORY(METADATA_REMOVED), on_metadata_removed, "Metadata of a lease."},
    {MARKET(LEASE_OFFER_POSTED), leasing_on_offer_posted, "An offer is open to bids."},
    {MARKET(LEASE_OFFER_CANCELLED), leasing_on_offer_cancelled, "An offer was taken back."},
    {MARKET(LEASE_BID_PLACED), leasing_on_bid_placed, "A bid and its escrow in the ledger."},
    {MARKET(LEASE_BID_REFUNDED), leasing_on_bid_refunded, "A losing bid was paid back."},
    {MARKET(LEASE_BID_WITHDRAWN), leasing_on_bid_withdrawn, "A bid was taken back."},
    {MARKET(LEASE_ACCEPTED), leasing_on_lease_accepted,
     "The lease is active and a revenue round opens."},
    {MARKET(REVENUE_SHARED), leasing_on_revenue_shared, "Supply and remainder of a round."},
    {MARKET(REVENUE_CREDITED), leasing_on_revenue_credited, "A holder's claim in a round."},
    {MARKET(REVENUE_CLAIMED), leasing_on_revenue_claimed, "A holder's claims were paid."},
    {MARKET(SALE_POSTED), leasing_on_sale_posted, "Asset tokens are for sale."},
    {MARKET(SALE_CANCELLED), leasing_on_sale_cancelled, "A sale was taken back."},
    {MARKET(SALE_BID_PLACED), leasing_on_sale_bid_placed,
     "A bid on a sale and its escrow in the ledger."},
    {MARKET(SALE_BID_ACCEPTED), leasing_on_sale_bid_accepted,
     "Tokens were sold; the seller was paid."},
    {MARKET(SALE_BID_REFUNDED), leasing_on_sale_bid_refunded, "A bid on a sale was paid back."},
    {MARKET(SALE_BID_WITHDRAWN), leasing_on_sale_bid_withdrawn, "A bid on a sale was taken back."},
    {MARKET(REFUND_CREDITED), leasing_on_refund_credited, "A refund that waits to be fetched."},
    {MARKET(REFUND_CLAIMED), leasing_on_refund_claimed, "Such a refund was fetched."},
};
const size_t leasing_chain_handler_count =
    sizeof leasing_chain_handlers / sizeof leasing_chain_handlers[0];

const struct chain_discovery leasing_chain_discoveries[] = {
    {REGISTRY(ASSET_REGISTERED), 2, &abi_asset_erc20},
};
const size_t leasing_chain_discovery_count =
    sizeof leasing_chain_discoveries / sizeof leasing_chain_discoveries[0];
