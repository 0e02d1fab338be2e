#include <stdlib.h>
#include <unistd.h>

#include "gen/abi_test_stablecoin.h"
#include "kernel/audit/audit.h"
#include "kernel/base/check.h"
#include "kernel/evm/address.h"
#include "kernel/ledger/ledger.h"
#include "sim/sim_program.h"

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        (void)fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        abort();
    }
    return stmt;
}

int64_t sim_number(struct sim_program *p, const char *sql)
{
    sqlite3_stmt *stmt = prepare(p->eyes, sql);
    ASSERT(sqlite3_step(stmt) == SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}

static struct hash hash_column(sqlite3_stmt *stmt, int column)
{
    struct hash h = {{0}};
    if (sqlite3_column_bytes(stmt, column) == HASH_BYTES) {
        memcpy(h.bytes, sqlite3_column_blob(stmt, column), HASH_BYTES);
    }
    return h;
}

static struct slice text_column(sqlite3_stmt *stmt, int column)
{
    return slice_text((const char *)sqlite3_column_text(stmt, column));
}

/* ---- rows of blocks ---- */

struct expected {
    const struct sim_tx *tx;
    const struct sim_log *log;
    size_t index;
};

/* The logs of a block that count, in order. */
static size_t expect(const struct sim *w, const struct sim_block *b, struct expected *out)
{
    size_t count = 0;
    size_t index = 0;
    for (size_t i = 0; i < b->tx_count; i++) {
        const struct sim_tx *tx = &w->txs[b->txs[i]];
        for (size_t k = 0; k < tx->log_count; k++, index++) {
            if (sim_followed(w, b, &tx->logs[k].address)) {
                out[count++] = (struct expected){tx, &tx->logs[k], index};
            }
        }
    }
    return count;
}

static const char *type_of(const struct sim_log *log)
{
    static const struct {
        const char *signature;
        const char *name;
    } known[] = {{"Created(address,uint256)", "Created"},
                 {"Moved(address,address,uint256)", "Moved"},
                 {"Transfer(address,address,uint256)", "Transfer"}};
    for (size_t i = 0; i < 3; i++) {
        struct hash topic = keccak256(slice_text(known[i].signature));
        if (hash_equal(&topic, &log->topics[0])) {
            return known[i].name;
        }
    }
    return "unknown";
}

static bool row_is(sqlite3_stmt *stmt, const struct expected *x, const struct sim_block *b)
{
    char value[24] = "";
    struct hash tx = hash_column(stmt, 1);
    struct hash block = hash_column(stmt, 5);
    const char *type = type_of(x->log);
    if (strcmp(type, "unknown") != 0) {
        (void)snprintf(value, sizeof value, "%llu", (unsigned long long)x->log->value);
    }
    return (size_t)sqlite3_column_int64(stmt, 0) == x->index && hash_equal(&tx, &x->tx->hash) &&
           sqlite3_column_bytes(stmt, 2) == ADDRESS_BYTES &&
           memcmp(sqlite3_column_blob(stmt, 2), x->log->address.bytes, ADDRESS_BYTES) == 0 &&
           slice_equal_text(text_column(stmt, 3), type) &&
           slice_equal_text(text_column(stmt, 4), value) && hash_equal(&block, &b->hash);
}

static void check_events(struct sim_program *p, sqlite3_stmt *stmt, const struct sim_block *b)
{
    struct expected logs[SIM_BLOCK_TXS_MAX * SIM_TX_LOGS_MAX];
    size_t count = expect(p->w, b, logs);
    size_t at = 0;
    ASSERT(sqlite3_reset(stmt) == SQLITE_OK);
    ASSERT(sqlite3_bind_int64(stmt, 1, (int64_t)b->number) == SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        if (at == count || !row_is(stmt, &logs[at], b)) {
            sim_fail(p->w, "block %llu: event row %zu is not a log of the block",
                     (unsigned long long)b->number, at);
            break;
        }
        at++;
    }
    if (at != count) {
        sim_fail(p->w, "block %llu: %zu event rows of %zu logs", (unsigned long long)b->number, at,
                 count);
    }
    ASSERT(sqlite3_reset(stmt) == SQLITE_OK);
}

/* With most providers steady and a quorum of more than one, nobody else's fork is believed. */
static void check_block(struct sim_program *p, int block, uint64_t number, const struct hash *child)
{
    struct sim *w = p->w;
    if (block < 0) {
        sim_fail(w, "block %llu is applied, and there is no such block in the world",
                 (unsigned long long)number);
        return;
    }
    const struct sim_block *b = &w->blocks[block];
    if (child != NULL) {
        const struct sim_block *c = &w->blocks[sim_find_hash(w, child)];
        if (c->parent != block) {
            sim_fail(w, "block %llu is applied below a block that is not its child",
                     (unsigned long long)number);
        }
    }
    if (w->steady_majority && !b->canonical) {
        sim_fail(w, "block %llu is applied, which only a liar has", (unsigned long long)number);
    }
}

void sim_check_rows(struct sim_program *p)
{
    sqlite3_stmt *cursor =
        prepare(p->eyes, "SELECT block_hash FROM chain_cursors WHERE chain_id = 31337");
    bool known = sqlite3_step(cursor) == SQLITE_ROW;
    struct hash at = known ? hash_column(cursor, 0) : (struct hash){{0}};
    sqlite3_finalize(cursor);
    if (!known || p->w->failed || hash_equal(&at, &p->looked_at)) {
        return;
    }
    p->looked_at = at;
    sqlite3_stmt *blocks = prepare(p->eyes, "SELECT block_number, block_hash FROM chain_blocks "
                                            "ORDER BY block_number DESC LIMIT 64");
    sqlite3_stmt *events = prepare(
        p->eyes, "SELECT log_index, transaction_hash, contract_address, event_type, "
                 "COALESCE(event_data->>'amount', event_data->>'value', event_data->>'kind', ''), "
                 "block_hash FROM blockchain_events WHERE block_number = ? ORDER BY log_index");
    struct hash child = at;
    for (int i = 0; sqlite3_step(blocks) == SQLITE_ROW && !p->w->failed; i++) {
        struct hash hash = hash_column(blocks, 1);
        int block = sim_find_hash(p->w, &hash);
        if (i == 0 && !hash_equal(&hash, &at)) {
            sim_fail(p->w, "the newest block that is remembered is not the cursor's");
        }
        check_block(p, block, (uint64_t)sqlite3_column_int64(blocks, 0), i > 0 ? &child : NULL);
        if (!p->w->failed) {
            check_events(p, events, &p->w->blocks[block]);
        }
        child = hash;
    }
    sqlite3_finalize(blocks);
    sqlite3_finalize(events);
}

/* ---- intents ---- */

/* Most providers are honest: nothing is final before the chain that they share says so. */
void sim_check_final(struct sim_program *p)
{
    struct sim *w = p->w;
    if (!w->steady_majority || w->failed) {
        return;
    }
    sqlite3_stmt *stmt =
        prepare(p->eyes, "SELECT intent_id, block_number, block_hash FROM relay_intents "
                         "WHERE final AND state IN (4, 5)");
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        uint64_t number = (uint64_t)sqlite3_column_int64(stmt, 1);
        struct hash hash = hash_column(stmt, 2);
        int block = sim_find(w, w->head, number);
        if (number + SIM_FINAL_DEPTH > w->top || block < 0 ||
            !hash_equal(&w->blocks[block].hash, &hash)) {
            sim_fail(w, "%s is final in block %llu, of a chain of %llu blocks",
                     (const char *)sqlite3_column_text(stmt, 0), (unsigned long long)number,
                     (unsigned long long)w->top);
        }
    }
    sqlite3_finalize(stmt);
}

/* How often an amount was paid, or tried to be, in the canonical chain. */
static unsigned count_effects(const struct sim *w, uint64_t amount, bool reverted,
                              struct hash *out_tx)
{
    unsigned count = 0;
    for (int b = w->head; b >= 0; b = w->blocks[b].parent) {
        for (size_t i = 0; i < w->blocks[b].tx_count; i++) {
            const struct sim_tx *tx = &w->txs[w->blocks[b].txs[i]];
            uint64_t low = 0;
            for (size_t k = 0; tx->data.len == 68 && k < 8; k++) {
                low = low << 8 | tx->data.ptr[60 + k];
            }
            if (tx->is_signed && tx->data.len == 68 && low == amount && tx->reverts == reverted) {
                count++;
                *out_tx = tx->hash;
            }
        }
    }
    return count;
}

static void check_intent(struct sim_program *p, sqlite3_stmt *stmt, const struct sim_intent *in)
{
    struct sim *w = p->w;
    struct hash mined = {{0}};
    struct hash failed = {{0}};
    unsigned effects = count_effects(w, in->amount, false, &mined);
    unsigned reverts = count_effects(w, in->amount, true, &failed);
    enum relay_state state = (enum relay_state)sqlite3_column_int64(stmt, 0);
    struct hash hash = hash_column(stmt, 1);
    if (effects + reverts > 1) {
        sim_fail(w, "%s was mined %u times", in->id, effects + reverts);
    } else if ((state == RELAY_MINED) != (effects == 1) ||
               (state == RELAY_REVERTED) != (reverts == 1)) {
        sim_fail(w, "%s is %s, and the chain has %u of its transactions (%u reverted)", in->id,
                 relay_state_text(state), effects + reverts, reverts);
    } else if (state == RELAY_MINED && !hash_equal(&hash, &mined)) {
        sim_fail(w, "%s is mined with another transaction than its row says", in->id);
    } else if (state != RELAY_MINED && !in->may_fail &&
               !(state == RELAY_REPLACED && w->strangers > 0)) {
        sim_fail(w, "%s is %s without a reason: %.*s", in->id, relay_state_text(state),
                 SLICE_ARG(text_column(stmt, 2)));
    }
}

static void check_nonces(struct sim_program *p)
{
    struct sim *w = p->w;
    sqlite3_stmt *stmt = prepare(p->eyes, "SELECT next_nonce FROM relay_wallets WHERE address = ?");
    for (size_t i = 0; i < SIM_WALLETS; i++) {
        uint64_t used = sim_nonce(w, w->head, &w->wallets[i]);
        ASSERT(sqlite3_reset(stmt) == SQLITE_OK);
        ASSERT(sqlite3_bind_blob(stmt, 1, w->wallets[i].bytes, ADDRESS_BYTES, SQLITE_STATIC) ==
               SQLITE_OK);
        uint64_t next =
            sqlite3_step(stmt) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
        if (next != used && w->strangers == 0) { /* a stranger's nonce may be free again */
            sim_fail(w, "wallet %zu: the next nonce is %llu, and the chain has %llu transactions",
                     i, (unsigned long long)next, (unsigned long long)used);
        }
    }
    sqlite3_finalize(stmt);
}

void sim_check_intents(struct sim_program *p)
{
    if (p->relay == NULL) {
        return;
    }
    sqlite3_stmt *stmt = prepare(p->eyes, "SELECT state, transaction_hash, COALESCE(error, '') "
                                          "FROM relay_intents WHERE intent_id = ?");
    for (size_t i = 0; i < p->w->intent_count && !p->w->failed; i++) {
        const struct sim_intent *in = &p->w->intents[i];
        ASSERT(sqlite3_reset(stmt) == SQLITE_OK);
        ASSERT(sqlite3_bind_text(stmt, 1, in->id, -1, SQLITE_STATIC) == SQLITE_OK);
        if (sqlite3_step(stmt) != SQLITE_ROW) {
            sim_fail(p->w, "%s is not there any more", in->id);
        } else {
            check_intent(p, stmt, in);
        }
    }
    sqlite3_finalize(stmt);
    check_nonces(p);
}

/* ---- books ---- */

static enum err read_ledger(struct store_tx *tx, void *ctx, struct why *why)
{
    return ledger_audit(tx, NULL, NULL, ctx, why);
}

static enum err read_audit(struct store_tx *tx, void *ctx, struct why *why)
{
    return audit_verify(tx, NULL, ctx, why);
}

void sim_check_books(struct sim_program *p)
{
    struct ledger_report ledger;
    struct audit_report audit;
    struct why why = {0};
    uint64_t sealed = 1;
    enum err e = store_read(p->store, read_ledger, &ledger, &why);
    while (e == OK && sealed > 0) {
        e = audit_seal(p->store, &sealed, &why);
    }
    if (e == OK) {
        e = store_read(p->store, read_audit, &audit, &why);
    }
    if (e != OK) {
        sim_fail(p->w, "the books cannot be proven: %s", why_text(&why, e));
    } else if (ledger.first != LEDGER_SOUND) {
        sim_fail(p->w, "the ledger is not sound: %s (%s %s)", ledger_finding_text(ledger.first),
                 ledger.first_path, ledger.first_id);
    } else if (audit.found != AUDIT_SOUND || audit.unsealed != 0) {
        sim_fail(p->w, "the audit log is not sound: %s", audit_finding_name(audit.found));
    }
}

/* ---- whole databases ---- */

static void add_rows(struct buf *out, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = prepare(db, sql);
    buf_format(out, "%s\n", sql);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            struct slice value =
                slice_of(sqlite3_column_blob(stmt, i), (size_t)sqlite3_column_bytes(stmt, i));
            if (sqlite3_column_type(stmt, i) == SQLITE_BLOB) {
                buf_add_hex(out, value);
            } else {
                buf_add_slice(out, value);
            }
            buf_add_byte(out, '|');
        }
        buf_add_byte(out, '\n');
    }
    ASSERT(sqlite3_finalize(stmt) == SQLITE_OK);
}

/* What must be a function of the canonical chain. */
static const char *const projections[] = {
    "SELECT chain_id, block_number, block_hash, genesis_hash, halted_why FROM chain_cursors",
    "SELECT * FROM chain_sources ORDER BY 1, 2",
    "SELECT * FROM blockchain_events ORDER BY 1, 2, 3",
    /* The oldest that are remembered depend on how far the chain had come before it fell back. */
    "SELECT * FROM chain_blocks ORDER BY block_number DESC LIMIT 64",
    "SELECT * FROM trace_journal ORDER BY 1",
    "SELECT * FROM trace_tokens ORDER BY 1",
    "SELECT * FROM trace_balances ORDER BY 1, 2",
    "SELECT * FROM ledger_accounts ORDER BY 1, 2, 3",
    "SELECT * FROM ledger_transfers ORDER BY 1",
};
#define PROJECTIONS (sizeof projections / sizeof projections[0])

/* What is not: the relay's rows, and what is written down of decisions. */
static const char *const others[] = {
    "SELECT * FROM relay_intents ORDER BY 1",
    "SELECT * FROM relay_attempts ORDER BY 1, 2",
    "SELECT chain_id, address, next_nonce, low FROM relay_wallets ORDER BY 1, 2",
    "SELECT * FROM chain_reorgs ORDER BY 1",
    "SELECT action, actor, subject, outcome, details, created_at FROM audit_log ORDER BY id",
};

uint64_t sim_database_digest(struct sim_program *p)
{
    struct arena arena;
    struct buf out;
    arena_init(&arena, 65536);
    buf_init(&out, &arena, 65536);
    for (size_t i = 0; i < PROJECTIONS; i++) {
        add_rows(&out, p->eyes, projections[i]);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        add_rows(&out, p->eyes, others[i]);
    }
    struct hash h = keccak256(buf_slice(&out));
    arena_free(&arena);
    uint64_t digest;
    memcpy(&digest, h.bytes, sizeof digest);
    return digest;
}

static void compare(struct sim *w, struct slice mine, struct slice theirs)
{
    size_t at = 0;
    while (at < mine.len && at < theirs.len && mine.ptr[at] == theirs.ptr[at]) {
        at++;
    }
    if (at < mine.len || at < theirs.len) {
        size_t from = at > 200 ? at - 200 : 0;
        sim_fail(w, "the rows are not those of a fresh index\n--- followed\n%.*s\n--- fresh\n%.*s",
                 SLICE_ARG(slice_sub(mine, from, 600)), SLICE_ARG(slice_sub(theirs, from, 600)));
    }
}

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    FILE *in = fopen(from, "rbe");
    FILE *out = fopen(to, "wbe");
    ASSERT(in != NULL && out != NULL);
    for (size_t n = fread(bytes, 1, sizeof bytes, in); n > 0;
         n = fread(bytes, 1, sizeof bytes, in)) {
        ASSERT(fwrite(bytes, 1, n, out) == n);
    }
    (void)fclose(in);
    ASSERT(fclose(out) == 0);
}

void sim_check_fresh(struct sim_program *p)
{
    struct sim *w = p->w;
    struct sim_program fresh;
    struct arena arena;
    struct slice dumps[2];
    char from[160];
    char path[160];
    (void)snprintf(from, sizeof from, "%s/empty.db", w->folder);
    (void)snprintf(path, sizeof path, "%s/fresh.db", w->folder);
    copy_file(from, path);
    w->range_max = SIM_RANGE_MAX; /* in batches of another size */
    sim_program_open(&fresh, w, path, false);
    for (unsigned i = 0; i < 1000 && !fresh.chain_synced && !w->failed; i++) {
        sim_chain_step(&fresh);
    }
    arena_init(&arena, 65536);
    for (size_t d = 0; d < 2; d++) {
        struct buf out;
        buf_init(&out, &arena, 65536);
        for (size_t i = 0; i < PROJECTIONS; i++) {
            add_rows(&out, d == 0 ? p->eyes : fresh.eyes, projections[i]);
        }
        dumps[d] = buf_slice(&out);
    }
    compare(w, dumps[0], dumps[1]);
    sim_digest(w, dumps[0].ptr, dumps[0].len);
    arena_free(&arena);
    sim_program_close(&fresh);
}
