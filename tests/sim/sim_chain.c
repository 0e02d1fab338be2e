#include "sim/sim.h"

#include "gen/abi_test_stablecoin.h"
#include "kernel/base/check.h"
#include "kernel/base/json.h"
#include "kernel/evm/address.h"
#include "kernel/evm/receipt.h"
#include "kernel/evm/rlp.h"
#include "kernel/evm/trie.h"
#include "kernel/evm/tx.h"

#define BLOCK_TIME_START 1700000000
#define DEPOSIT 0x7e
/* A pool holds no nonce further away than this. */
#define POOL_AHEAD_MAX 64
#define LEAST_FEE_WEI 1000

const struct address sim_factory = {{0xfa, 0xc7}};
const struct address sim_coin = {{0xc0, 0x11}};

struct address sim_token(uint64_t i)
{
    return (struct address){{0x70, 0x6b, (uint8_t)i}};
}

static struct address holder(uint64_t i)
{
    return (struct address){{0xad, (uint8_t)i}};
}

static struct hash topic_of(const struct address *a)
{
    struct hash h = {{0}};
    memcpy(h.bytes + 12, a->bytes, ADDRESS_BYTES);
    return h;
}

static struct hash name_hash(const char *what, uint64_t a, uint64_t b)
{
    char text[96];
    int len = snprintf(text, sizeof text, "%s/%llu/%llu", what, (unsigned long long)a,
                       (unsigned long long)b);
    return keccak256(slice_of(text, (size_t)len));
}

bool sim_followed(const struct sim *w, const struct sim_block *b, const struct address *address)
{
    if (address_equal(address, &sim_factory) || address_equal(address, &sim_coin)) {
        return true;
    }
    for (uint64_t i = 0; i < w->token_count; i++) {
        struct address token = sim_token(i);
        if (address_equal(address, &token)) {
            return (b->tokens >> i & 1) != 0;
        }
    }
    return false;
}

/* ---- blocks ---- */

static void log_of(struct evm_log *out, const struct sim_log *log, uint8_t word[32])
{
    u256_encode_be(u256_from_u64(log->value), word);
    *out = (struct evm_log){
        .address = log->address, .topic_count = log->topic_count, .data = slice_of(word, 32)};
    memcpy(out->topics, log->topics, sizeof log->topics);
}

static void bloom_of(uint8_t bloom[EVM_BLOOM_BYTES], const struct sim_tx *tx)
{
    for (size_t i = 0; i < tx->log_count; i++) {
        evm_bloom_add(bloom, address_slice(&tx->logs[i].address));
        for (size_t k = 0; k < tx->logs[i].topic_count; k++) {
            evm_bloom_add(bloom, hash_slice(&tx->logs[i].topics[k]));
        }
    }
}

static struct slice receipt_rlp(struct arena *arena, const struct sim_tx *tx, size_t place)
{
    struct receipt r = {.type = tx->is_signed ? 2 : DEPOSIT,
                        .succeeded = !tx->reverts,
                        .gas_cumulative = (place + 1) * 21000,
                        .log_count = tx->log_count};
    uint8_t(*words)[32] = arena_alloc_array(arena, SIM_TX_LOGS_MAX, sizeof *words);
    r.logs = arena_alloc_array(arena, SIM_TX_LOGS_MAX, sizeof *r.logs);
    for (size_t i = 0; i < tx->log_count; i++) {
        log_of(&r.logs[i], &tx->logs[i], words[i]);
    }
    bloom_of(r.bloom, tx);
    struct buf b;
    buf_init(&b, arena, 512);
    receipt_encode(&b, &r);
    return buf_slice(&b);
}

/* What a header is made of, beside zeros. */
struct header {
    struct hash parent;
    struct hash state;
    struct hash txs_root;
    struct hash receipts_root;
    uint8_t bloom[EVM_BLOOM_BYTES];
    uint64_t gas_used;
};

static const uint8_t zeros[32];
#define GAS_LIMIT 30000000

static void header_hash(struct arena *arena, struct sim_block *b, const struct header *h)
{
    struct buf rlp;
    buf_init(&rlp, arena, 1024);
    size_t list = rlp_begin_list(&rlp);
    rlp_add_bytes(&rlp, hash_slice(&h->parent));
    rlp_add_bytes(&rlp, slice_of(zeros, 32)); /* uncles */
    rlp_add_bytes(&rlp, slice_of(zeros, ADDRESS_BYTES));
    rlp_add_bytes(&rlp, hash_slice(&h->state));
    rlp_add_bytes(&rlp, hash_slice(&h->txs_root));
    rlp_add_bytes(&rlp, hash_slice(&h->receipts_root));
    rlp_add_bytes(&rlp, slice_of(h->bloom, sizeof h->bloom));
    rlp_add_u64(&rlp, 0); /* difficulty */
    rlp_add_u64(&rlp, b->number);
    rlp_add_u64(&rlp, GAS_LIMIT);
    rlp_add_u64(&rlp, h->gas_used);
    rlp_add_u64(&rlp, BLOCK_TIME_START + b->number * 12);
    rlp_add_bytes(&rlp, SLICE_EMPTY);
    rlp_add_bytes(&rlp, slice_of(zeros, 32));
    rlp_add_bytes(&rlp, slice_of(zeros, 8));
    rlp_add_u64(&rlp, b->base_fee);
    rlp_end_list(&rlp, list);
    b->hash = keccak256(buf_slice(&rlp));
}

static void put_hash(struct json_out *j, const char *key, const struct hash *h)
{
    json_key(j, key);
    json_hex(j, hash_slice(h));
}

static void put_number(struct json_out *j, const char *key, uint64_t value)
{
    json_key(j, key);
    json_quantity(j, u256_from_u64(value));
}

static void header_json(struct sim *w, struct arena *arena, struct sim_block *b,
                        const struct header *h)
{
    static const struct hash nothing;
    struct buf text;
    struct json_out j;
    buf_init(&text, arena, 2048);
    json_out_init(&j, &text);
    json_begin_object(&j);
    put_hash(&j, "hash", &b->hash);
    put_hash(&j, "parentHash", &h->parent);
    put_hash(&j, "sha3Uncles", &nothing);
    json_key(&j, "miner");
    json_hex(&j, slice_of(zeros, ADDRESS_BYTES));
    put_hash(&j, "stateRoot", &h->state);
    put_hash(&j, "transactionsRoot", &h->txs_root);
    put_hash(&j, "receiptsRoot", &h->receipts_root);
    json_key(&j, "logsBloom");
    json_hex(&j, slice_of(h->bloom, sizeof h->bloom));
    put_number(&j, "difficulty", 0);
    put_number(&j, "number", b->number);
    put_number(&j, "gasLimit", GAS_LIMIT);
    put_number(&j, "gasUsed", h->gas_used);
    put_number(&j, "timestamp", BLOCK_TIME_START + b->number * 12);
    json_key(&j, "extraData");
    json_text(&j, "0x");
    put_hash(&j, "mixHash", &nothing);
    json_key(&j, "nonce");
    json_hex(&j, slice_of(zeros, 8));
    put_number(&j, "baseFeePerGas", b->base_fee);
    json_end_object(&j);
    b->header = slice_of(sim_keep(w, text.ptr + 1, text.len - 2), text.len - 2);
}

static void seal(struct sim *w, struct arena *arena, struct sim_block *b)
{
    struct header h = {.state = name_hash("state", (uint64_t)w->block_count, b->number),
                       .gas_used = b->tx_count * 21000};
    struct slice *txs = arena_alloc_array(arena, b->tx_count, sizeof *txs);
    struct slice *receipts = arena_alloc_array(arena, b->tx_count, sizeof *receipts);
    for (size_t i = 0; i < b->tx_count; i++) {
        const struct sim_tx *tx = &w->txs[b->txs[i]];
        txs[i] = tx->rlp;
        receipts[i] = receipt_rlp(arena, tx, i);
        bloom_of(h.bloom, tx);
        b->log_count += tx->log_count;
        b->tokens |= tx->creates;
    }
    h.txs_root = trie_root_of_list(arena, txs, b->tx_count);
    h.receipts_root = trie_root_of_list(arena, receipts, b->tx_count);
    if (b->parent >= 0) {
        h.parent = w->blocks[b->parent].hash;
    }
    header_hash(arena, b, &h);
    header_json(w, arena, b, &h);
}

int sim_block_add(struct sim *w, int parent, const uint32_t *txs, size_t count)
{
    ASSERT(w->block_count < SIM_BLOCKS_MAX);
    struct sim_block *b = &w->blocks[w->block_count];
    *b = (struct sim_block){.parent = parent, .base_fee = w->base_fee, .tx_count = count};
    b->txs = sim_keep(w, txs, count * sizeof *txs);
    if (parent >= 0) {
        b->number = w->blocks[parent].number + 1;
        b->tokens = w->blocks[parent].tokens;
    }
    struct arena arena;
    arena_init(&arena, 0);
    seal(w, &arena, b);
    arena_free(&arena);
    return w->block_count++;
}

int sim_find(const struct sim *w, int head, uint64_t number)
{
    while (head >= 0 && w->blocks[head].number > number) {
        head = w->blocks[head].parent;
    }
    return head >= 0 && w->blocks[head].number == number ? head : -1;
}

int sim_find_hash(const struct sim *w, const struct hash *hash)
{
    for (int i = w->block_count - 1; i >= 0; i--) {
        if (hash_equal(&w->blocks[i].hash, hash)) {
            return i;
        }
    }
    return -1;
}

bool sim_has_tx(const struct sim *w, int head, uint32_t tx)
{
    for (int b = head; b >= 0; b = w->blocks[b].parent) {
        for (size_t i = 0; i < w->blocks[b].tx_count; i++) {
            if (w->blocks[b].txs[i] == tx) {
                return true;
            }
        }
    }
    return false;
}

uint64_t sim_nonce(const struct sim *w, int head, const struct address *from)
{
    uint64_t nonce = 0;
    for (int b = head; b >= 0; b = w->blocks[b].parent) {
        for (size_t i = 0; i < w->blocks[b].tx_count; i++) {
            const struct sim_tx *tx = &w->txs[w->blocks[b].txs[i]];
            nonce += tx->is_signed && address_equal(&tx->from, from);
        }
    }
    return nonce;
}

/* ---- transactions ---- */

static struct sim_log *add_log(struct sim_tx *tx, const struct address *by, const char *signature,
                               uint64_t value)
{
    ASSERT(tx->log_count < SIM_TX_LOGS_MAX);
    struct sim_log *log = &tx->logs[tx->log_count++];
    *log = (struct sim_log){.address = *by, .topic_count = 1, .value = value};
    log->topics[0] = keccak256(slice_text(signature));
    return log;
}

static void add_topic(struct sim_log *log, const struct address *a)
{
    log->topics[log->topic_count++] = topic_of(a);
}

static void log_moved(struct sim_tx *tx, const struct address *token, const struct address *from,
                      const struct address *to, uint64_t amount)
{
    struct sim_log *log = add_log(tx, token, "Moved(address,address,uint256)", amount);
    add_topic(log, from);
    add_topic(log, to);
}

static void log_transfer(struct sim_tx *tx, const struct address *from, const struct address *to,
                         uint64_t amount)
{
    struct sim_log *log = add_log(tx, &sim_coin, "Transfer(address,address,uint256)", amount);
    add_topic(log, from);
    add_topic(log, to);
}

static void create_token(struct sim *w, struct sim_tx *tx)
{
    static const struct address nobody;
    struct address token = sim_token(w->token_count);
    struct address to = holder(sim_below(w, 4));
    bool early = sim_chance(w, 500);
    if (early) { /* a child logs before its factory announces it */
        log_moved(tx, &token, &nobody, &to, 1000);
    }
    add_topic(add_log(tx, &sim_factory, "Created(address,uint256)", sim_chance(w, 100) ? 13 : 1),
              &token);
    if (!early) {
        log_moved(tx, &token, &nobody, &to, 1000);
    }
    tx->creates = UINT64_C(1) << w->token_count++;
}

static void random_logs(struct sim *w, struct sim_tx *tx)
{
    static const struct address stranger = {{0x57, 0x72}};
    if (w->token_count < SIM_TOKENS_MAX && sim_chance(w, w->token_count < 3 ? 600 : 30)) {
        create_token(w, tx);
        return;
    }
    uint64_t count = 1 + sim_below(w, SIM_TX_LOGS_MAX);
    for (uint64_t i = 0; i < count; i++) {
        struct address from = holder(sim_below(w, 4));
        struct address to = holder(4 + sim_below(w, 4));
        struct address token = sim_token(sim_below(w, w->token_count + 1));
        uint64_t what = sim_below(w, 10);
        if (what < 5) {
            log_moved(tx, &token, sim_chance(w, 500) ? &to : &from, &from, 1 + sim_below(w, 300));
        } else if (what < 8) {
            log_transfer(tx, &from, &to, 1 + sim_below(w, 50));
        } else if (what < 9) { /* an event that the binding does not know */
            add_topic(add_log(tx, &token, "Strange(address)", 7), &from);
        } else { /* somebody else's contract */
            log_moved(tx, &stranger, &from, &to, 5);
        }
    }
}

static void deposit_rlp(struct sim *w, struct sim_tx *tx)
{
    struct arena arena;
    struct buf b;
    arena_init(&arena, 0);
    buf_init(&b, &arena, 128);
    buf_add_byte(&b, DEPOSIT);
    size_t list = rlp_begin_list(&b);
    rlp_add_bytes(&b, hash_slice(&tx->source));
    rlp_add_bytes(&b, slice_of(zeros, ADDRESS_BYTES)); /* from */
    rlp_add_bytes(&b, slice_of(zeros, ADDRESS_BYTES)); /* to */
    for (int i = 0; i < 4; i++) {
        rlp_add_u64(&b, 0); /* mint, value, gas, isSystemTx */
    }
    rlp_add_bytes(&b, SLICE_EMPTY);
    rlp_end_list(&b, list);
    tx->rlp = slice_of(sim_keep(w, b.ptr, b.len), b.len);
    tx->hash = keccak256(tx->rlp);
    arena_free(&arena);
}

uint32_t sim_random_tx(struct sim *w)
{
    ASSERT(w->tx_count < SIM_TXS_MAX);
    struct sim_tx *tx = &w->txs[w->tx_count];
    *tx = (struct sim_tx){.source = name_hash("tx", w->seed, w->tx_count)};
    random_logs(w, tx);
    deposit_rlp(w, tx);
    return w->tx_count++;
}

/* transfer(address,uint256) is all that the coin knows. Amounts that end in 98 and 99 revert. */
static void read_effect(struct sim_tx *tx)
{
    const struct abi_function *f =
        &abi_test_stablecoin_functions[TEST_STABLECOIN_FUNCTION_TRANSFER];
    struct u256 amount;
    uint64_t value = 0;
    if (!address_equal(&tx->to, &sim_coin) || tx->data.len != 68 ||
        memcmp(tx->data.ptr, f->selector, 4) != 0 ||
        u256_decode_be(slice_sub(tx->data, 36, 32), &amount) != OK ||
        u256_to_u64(amount, &value) != OK) {
        return;
    }
    struct address to;
    memcpy(to.bytes, tx->data.ptr + 16, ADDRESS_BYTES);
    tx->reverts = value % 100 >= 98;
    if (!tx->reverts) {
        log_transfer(tx, &tx->from, &to, value);
    }
}

static uint64_t wei_u64(struct wei_amount a)
{
    uint64_t out = UINT64_MAX;
    return u256_to_u64(wei_raw(a), &out) == OK ? out : UINT64_MAX;
}

uint32_t sim_tx_of_raw(struct sim *w, struct slice raw)
{
    struct hash hash = keccak256(raw);
    for (uint32_t i = w->tx_count; i-- > 0;) {
        if (hash_equal(&w->txs[i].hash, &hash)) {
            return i;
        }
    }
    struct arena arena;
    struct tx tx;
    struct address from;
    arena_init(&arena, 0);
    uint32_t made = UINT32_MAX;
    if (tx_decode(&arena, raw, &tx, &from, &hash, NULL) == OK) {
        ASSERT(w->tx_count < SIM_TXS_MAX && tx.kind == TX_EIP1559 && tx.chain_id == SIM_CHAIN_ID);
        made = w->tx_count++;
        struct sim_tx *t = &w->txs[made];
        *t = (struct sim_tx){.is_signed = true, .hash = hash, .from = from, .to = tx.to};
        t->nonce = tx.nonce;
        t->gas_limit = tx.gas_limit;
        t->fee_max = wei_u64(tx.fee_max);
        t->fee_priority = wei_u64(tx.fee_priority);
        t->data = slice_of(sim_keep(w, tx.data.ptr, tx.data.len), tx.data.len);
        t->rlp = slice_of(sim_keep(w, raw.ptr, raw.len), raw.len);
        read_effect(t);
    }
    arena_free(&arena);
    return made;
}

/* ---- the pool ---- */

int sim_pool_find(const struct sim *w, const struct address *from, uint64_t nonce)
{
    for (size_t i = 0; i < w->pool_count; i++) {
        const struct sim_tx *tx = &w->txs[w->pool[i]];
        if (tx->nonce == nonce && address_equal(&tx->from, from)) {
            return (int)i;
        }
    }
    return -1;
}

void sim_pool_drop(struct sim *w, size_t place)
{
    ASSERT(place < w->pool_count);
    memmove(&w->pool[place], &w->pool[place + 1], (w->pool_count - place - 1) * sizeof w->pool[0]);
    w->pool_count--;
}

void sim_pool_forget_foreign(struct sim *w)
{
    for (size_t i = w->pool_count; i-- > 0;) {
        if (w->txs[w->pool[i]].is_foreign) {
            sim_pool_drop(w, i);
        }
    }
}

static bool is_raised(uint64_t now, uint64_t before)
{
    return now >= before + before / 10 && now > before;
}

static bool is_poor(const struct sim *w, const struct address *from)
{
    for (size_t i = 0; i < SIM_WALLETS; i++) {
        if (address_equal(&w->wallets[i], from)) {
            return w->poor[i];
        }
    }
    return false;
}

#define REFUSED(text) "{\"code\":-32000,\"message\":\"" text "\"}"

const char *sim_pool_take(struct sim *w, int head, uint32_t tx)
{
    const struct sim_tx *t = &w->txs[tx];
    uint64_t next = sim_nonce(w, head, &t->from);
    if (t->nonce < next) {
        return REFUSED("nonce too low");
    }
    if (t->nonce > next + POOL_AHEAD_MAX) {
        return REFUSED("nonce too high");
    }
    if (is_poor(w, &t->from)) {
        return REFUSED("insufficient funds for gas * price + value");
    }
    if (t->fee_max < LEAST_FEE_WEI) {
        return REFUSED("transaction underpriced");
    }
    int at = sim_pool_find(w, &t->from, t->nonce);
    if (at < 0 && w->pool_count == SIM_POOL_MAX) {
        return REFUSED("txpool is full");
    }
    if (at < 0) {
        w->pool[w->pool_count++] = tx;
        return NULL;
    }
    const struct sim_tx *there = &w->txs[w->pool[at]];
    if (w->pool[at] == tx) {
        return REFUSED("already known");
    }
    if (!is_raised(t->fee_max, there->fee_max) ||
        !is_raised(t->fee_priority, there->fee_priority)) {
        return REFUSED("replacement transaction underpriced");
    }
    w->pool[at] = tx;
    return NULL;
}

/* What is mined, or cannot be any more, leaves the pool. */
static void tidy_pool(struct sim *w)
{
    for (size_t i = w->pool_count; i-- > 0;) {
        const struct sim_tx *tx = &w->txs[w->pool[i]];
        if (tx->nonce < sim_nonce(w, w->head, &tx->from)) {
            sim_pool_drop(w, i);
        }
    }
}

/* ---- how the chain grows ---- */

static void mark_canonical(struct sim *w)
{
    for (int b = w->head; b >= 0 && !w->blocks[b].canonical; b = w->blocks[b].parent) {
        w->blocks[b].canonical = true;
    }
}

void sim_set_head(struct sim *w, int head)
{
    int old = w->head;
    w->head = head;
    w->top = w->blocks[head].number > w->top ? w->blocks[head].number : w->top;
    mark_canonical(w);
    for (int b = old; b >= 0 && sim_find(w, head, w->blocks[b].number) != b;
         b = w->blocks[b].parent) {
        for (size_t i = 0; i < w->blocks[b].tx_count; i++) {
            uint32_t tx = w->blocks[b].txs[i];
            bool lost = sim_has(w, SIM_MEMPOOL) && !w->calm && sim_chance(w, 300);
            if (w->txs[tx].is_signed && !lost) {
                (void)sim_pool_take(w, head, tx);
            }
        }
    }
    tidy_pool(w);
}

/* The next nonce of an account in a block that is being made. */
static uint64_t next_nonce(const struct sim *w, int parent, const uint32_t *txs, size_t count,
                           const struct address *from)
{
    uint64_t next = sim_nonce(w, parent, from);
    for (size_t i = 0; i < count; i++) {
        next += w->txs[txs[i]].is_signed && address_equal(&w->txs[txs[i]].from, from);
    }
    return next;
}

/* Adds the pool's transactions that can be mined on a block, those of one account in order. */
static size_t pick_pool(struct sim *w, int parent, uint32_t *out, size_t count, size_t max)
{
    for (size_t at = 0; at < SIM_WALLETS; at++) {
        const struct address *from = &w->wallets[at];
        uint64_t next = next_nonce(w, parent, out, count, from);
        for (int place = sim_pool_find(w, from, next); place >= 0 && count < max;
             place = sim_pool_find(w, from, next)) {
            const struct sim_tx *tx = &w->txs[w->pool[place]];
            if (tx->fee_max < w->base_fee || w->poor[at]) {
                break;
            }
            out[count++] = w->pool[place];
            next++;
        }
    }
    return count;
}

/* Mines some of what a block of another branch had: deposits in another order, the rest in its. */
static size_t pick_again(struct sim *w, int parent, const struct sim_block *before, uint32_t *out)
{
    size_t count = 0;
    for (size_t i = before->tx_count; i-- > 0 && count < SIM_BLOCK_TXS_MAX / 4;) {
        uint32_t tx = before->txs[i];
        if (!w->txs[tx].is_signed && sim_chance(w, 600) && !sim_has_tx(w, parent, tx)) {
            out[count++] = tx;
        }
    }
    for (size_t i = 0; i < before->tx_count && count < SIM_BLOCK_TXS_MAX / 2; i++) {
        const struct sim_tx *tx = &w->txs[before->txs[i]];
        if (tx->is_signed && sim_chance(w, 700) && tx->fee_max >= w->base_fee &&
            tx->nonce == next_nonce(w, parent, out, count, &tx->from)) {
            out[count++] = before->txs[i];
        }
    }
    return count;
}

/* A block with what the pool has, and deposits: new ones, or those that a block before it had. */
static int grow(struct sim *w, int parent, const struct sim_block *before)
{
    uint32_t txs[SIM_BLOCK_TXS_MAX];
    size_t count = before != NULL ? pick_again(w, parent, before, txs) : 0;
    size_t fresh = sim_chance(w, 300) ? 0 : sim_below(w, 4);
    for (size_t i = 0; i < fresh; i++) {
        txs[count++] = sim_random_tx(w);
    }
    if (before == NULL || sim_chance(w, 500)) {
        count = pick_pool(w, parent, txs, count, count + sim_below(w, 24));
    }
    return sim_block_add(w, parent, txs, count);
}

void sim_mine(struct sim *w)
{
    sim_set_head(w, grow(w, w->head, NULL));
    const struct sim_block *b = &w->blocks[w->head];
    sim_say(w, "block %llu of %zu transactions, base fee %llu", (unsigned long long)b->number,
            b->tx_count, (unsigned long long)b->base_fee);
}

void sim_fork(struct sim *w, uint64_t depth)
{
    uint64_t top = w->blocks[w->head].number;
    depth = depth < top ? depth : top - 1;
    if (depth == 0) {
        return;
    }
    int at = sim_find(w, w->head, top - depth);
    uint64_t length = depth + 1 - (sim_chance(w, 150) ? sim_below(w, depth + 1) : 0);
    for (uint64_t i = 0; i < length; i++) {
        /* Shifted by a block now and then, so that transactions change their places. */
        int old = sim_find(w, w->head, w->blocks[at].number + 1 - (i > 0 && sim_chance(w, 300)));
        at = grow(w, at, old >= 0 ? &w->blocks[old] : NULL);
    }
    w->left_head = w->head;
    w->reorgs++;
    sim_set_head(w, at);
    sim_say(w, "fork of %llu blocks at %llu, head %llu", (unsigned long long)depth,
            (unsigned long long)(top - depth), (unsigned long long)w->blocks[at].number);
}
