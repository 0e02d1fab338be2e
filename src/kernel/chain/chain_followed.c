#include "kernel/chain/chain_internal.h"
#include "kernel/chain/chain_sql.h"
#include "kernel/evm/address.h"

static const struct abi_contract *contract_find(const struct chain *chain, struct slice name)
{
    for (size_t i = 0; i < chain->static_count; i++) {
        if (slice_equal_text(name, chain->statics[i].contract->name)) {
            return chain->statics[i].contract;
        }
    }
    for (size_t t = 0; t < chain->table_count; t++) {
        const struct chain_table *table = &chain->tables[t];
        for (size_t i = 0; i < table->discovery_count; i++) {
            if (slice_equal_text(name, table->discoveries[i].child->name)) {
                return table->discoveries[i].child;
            }
        }
        for (size_t i = 0; i < table->handler_count; i++) {
            if (slice_equal_text(name, table->handlers[i].contract->name)) {
                return table->handlers[i].contract;
            }
        }
    }
    return NULL;
}

const struct chain_followed *chain_followed_find(const struct chain_followed *list, size_t count,
                                                 const struct address *address)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = memcmp(list[mid].address.bytes, address->bytes, ADDRESS_BYTES);
        if (order == 0) {
            return &list[mid];
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

static enum err read_followed(struct store_query *q, struct chain *chain,
                              struct chain_followed *out, struct why *why)
{
    struct slice name = store_get_text(q, "contract", &chain->followed_arena);
    store_get_fixed(q, "address", out->address.bytes, ADDRESS_BYTES);
    out->start_block = (uint64_t)store_get_i64(q, "from_block");
    out->contract = contract_find(chain, name);
    out->bits = evm_bloom_bits_of(address_slice(&out->address));
    if (out->contract == NULL) {
        return why_set(why, ERR_CORRUPT, NULL,
                       "chain_sources names the contract \"%.*s\", which this program has no "
                       "binding for",
                       SLICE_ARG(name));
    }
    return OK;
}

static enum err load(struct store_tx *tx, void *ctx, struct why *why)
{
    struct chain *chain = ctx;
    size_t cap = 64;
    arena_clear(&chain->followed_arena);
    chain->followed_count = 0;
    chain->followed = arena_alloc_array(&chain->followed_arena, cap, sizeof *chain->followed);
    enum err e = OK;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_sources_list);
    store_bind_i64(&q, "chain_id", (int64_t)chain->config.chain_id);
    while (e == OK && store_step(&q)) {
        if (chain->followed_count == cap) {
            struct chain_followed *grown =
                arena_alloc_array(&chain->followed_arena, cap * 2, sizeof *grown);
            memcpy(grown, chain->followed, cap * sizeof *grown);
            chain->followed = grown;
            cap *= 2;
        }
        e = read_followed(&q, chain, &chain->followed[chain->followed_count++], why);
    }
    enum err finished = store_finish(&q, NULL, e == OK ? why : NULL);
    return e != OK ? e : finished;
}

enum err chain_followed_load(struct chain *chain, const struct chain_position *at, struct why *why)
{
    /* The rows are a function of the cursor, whoever moved it: another process, chain_resume. */
    if (chain->followed_known && hash_equal(&chain->followed_at, &at->hash) &&
        chain->followed_usec == at->updated_usec) {
        return OK;
    }
    chain->followed_known = false;
    chain->followed_loads++;
    enum err e = store_read(chain->store, load, chain, why);
    if (e == OK) {
        chain->followed_known = true;
        chain->followed_at = at->hash;
        chain->followed_usec = at->updated_usec;
    }
    return e;
}

enum err chain_follow(struct store_tx *tx, uint64_t chain_id, const struct address *address,
                      const struct abi_contract *contract, uint64_t from_block, bool *out_added,
                      struct why *why)
{
    int64_t changed = 0;
    struct store_query q;
    store_begin(&q, tx, &chain_sql_source_insert);
    store_bind_i64(&q, "chain_id", (int64_t)chain_id);
    store_bind_bytes(&q, "address", address_slice(address));
    store_bind_text(&q, "contract", slice_text(contract->name));
    store_bind_i64(&q, "from_block", (int64_t)from_block);
    enum err e = store_finish(&q, &changed, why);
    if (e == OK && out_added != NULL) {
        *out_added = changed > 0;
    }
    return e;
}

enum err chain_follow_statics(struct store_tx *tx, const struct chain *chain,
                              const struct chain_position *applied, struct why *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < chain->static_count; i++) {
        const struct chain_source *s = &chain->statics[i];
        bool added = false;
        e = chain_follow(tx, chain->config.chain_id, &s->address, s->contract, s->start_block,
                         &added, why);
        /* Genesis holds no logs. */
        uint64_t first = s->start_block > 0 ? s->start_block : 1;
        if (e == OK && added && applied != NULL && first <= applied->block) {
            char text[ADDRESS_TEXT_MAX];
            address_format(&s->address, text);
            e = why_set(why, ERR_CONFIG, "chain.start_block",
                        "%s at %s is new in the configuration, but blocks up to %llu were applied "
                        "without it; if it has no events there, set chain.start_block to %llu, "
                        "else index with an empty database",
                        s->contract->name, text, (unsigned long long)applied->block,
                        (unsigned long long)applied->block + 1);
        }
    }
    return e;
}
