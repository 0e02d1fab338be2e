/*
 * cmd_tx.c: freehold tx: relayed transactions, seen and moved from the command line. It works on
 * the database, so that it needs no running server; what it asks for, the process that has the
 * wallet does. On SQLite, whose file one process owns, changes go through the API of the running
 * one.
 */
#include "app/cmd_audit.h"
#include "app/commands.h"
#include "kernel/evm/address.h"
#include "kernel/relay/relay.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 10000

struct tx_command {
    struct cli *cli;
    struct store *store;
    struct arena arena;
    struct buf out;
    struct json_out json;
    struct relay_filter filter;
    struct slice id;
    struct relay_row row;
    struct relay_row *rows;
    size_t count;
    struct relay_attempt *attempts;
    size_t attempt_count;
};

typedef enum err (*tx_word_fn)(struct tx_command *c, struct why *why);

/* ---- options ---- */

static enum err read_id(struct tx_command *c, struct why *why)
{
    const char *text = cli_word(c->cli, 1);
    if (text == NULL || cli_word(c->cli, 2) != NULL) {
        return why_set(why, ERR_USAGE, NULL, "tx %s ID, with the id that tx list shows",
                       cli_word(c->cli, 0));
    }
    c->id = slice_text(text);
    return OK;
}

static enum err read_places(struct tx_command *c, struct why *why)
{
    const char *wallet = cli_option_value(c->cli, "wallet");
    const char *hash = cli_option_value(c->cli, "hash");
    c->filter.has_wallet = wallet != NULL;
    c->filter.has_hash = hash != NULL;
    if (wallet != NULL && address_parse(slice_text(wallet), &c->filter.wallet) != OK) {
        return why_set(why, ERR_USAGE, NULL, "--wallet is an address, not \"%s\"", wallet);
    }
    if (hash != NULL && hash_parse(slice_text(hash), &c->filter.hash) != OK) {
        return why_set(why, ERR_USAGE, NULL, "--hash is 0x and 64 hexadecimal digits, not \"%s\"",
                       hash);
    }
    return OK;
}

static enum err read_filter(struct tx_command *c, struct why *why)
{
    const char *state = cli_option_value(c->cli, "state");
    const char *purpose = cli_option_value(c->cli, "purpose");
    const char *after = cli_option_value(c->cli, "after");
    const char *limit = cli_option_value(c->cli, "limit");
    uint64_t n = LIMIT_DEFAULT;
    if (limit != NULL &&
        (slice_parse_u64(slice_text(limit), &n) != OK || n == 0 || n > LIMIT_MAX)) {
        return why_set(why, ERR_USAGE, NULL, "--limit is a number from 1 to %d", LIMIT_MAX);
    }
    if (state != NULL && relay_state_parse(slice_text(state), &c->filter.state, NULL) != OK) {
        return why_set(why, ERR_USAGE, NULL,
                       "--state is queued, signed, sent, mined, reverted, failed, replaced or "
                       "cancelled, not \"%s\"",
                       state);
    }
    c->filter.limit = (size_t)n;
    c->filter.open = cli_option_value(c->cli, "open") != NULL;
    c->filter.purpose = slice_text(purpose != NULL ? purpose : "");
    c->filter.cursor = slice_text(after != NULL ? after : "");
    return read_places(c, why);
}

/* ---- list and show ---- */

static enum err list_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct tx_command *c = ctx;
    return relay_list(tx, &c->arena, &c->filter, &c->rows, &c->count, why);
}

static void print_row(struct tx_command *c, const struct relay_row *row)
{
    if (c->cli->json) {
        json_out_init(&c->json, &c->out);
        relay_row_json(&c->json, row);
        buf_add_byte(&c->out, '\n');
        return;
    }
    bool open = row->state <= RELAY_SENT;
    char wallet[ADDRESS_TEXT_MAX];
    address_format(&row->wallet, wallet);
    buf_format(&c->out, "%.*s  %-10s %-26.*s %s", SLICE_ARG(row->id),
               open && row->cancelling ? "cancelling" : relay_state_text(row->state),
               SLICE_ARG(row->purpose), wallet);
    if (row->has_nonce) {
        buf_format(&c->out, "  nonce %llu, version %u", (unsigned long long)row->nonce,
                   row->attempts);
    }
    if (row->has_block) {
        buf_format(&c->out, "  block %llu%s", (unsigned long long)row->block_number,
                   row->final ? "" : ", not final");
    }
    buf_format(&c->out, "  %.*s\n", SLICE_ARG(row->error));
}

static enum err run_list(struct tx_command *c, struct why *why)
{
    enum err e = read_filter(c, why);
    if (e == OK) {
        e = store_read(c->store, list_fn, c, why);
    }
    for (size_t i = 0; e == OK && i < c->count; i++) {
        print_row(c, &c->rows[i]);
    }
    return e;
}

static enum err get_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct tx_command *c = ctx;
    enum err e = relay_get(tx, &c->arena, c->id, &c->row, why);
    return e == OK ? relay_attempts(tx, &c->arena, c->id, &c->attempts, &c->attempt_count, why) : e;
}

/* One transaction is one JSON object in either form: its hashes are what one wants to copy. */
static enum err run_show(struct tx_command *c, struct why *why)
{
    enum err e = read_id(c, why);
    if (e == OK) {
        e = store_read(c->store, get_fn, c, why);
    }
    if (e == OK) {
        json_out_init(&c->json, &c->out);
        relay_detail_json(&c->json, &c->row, c->attempts, c->attempt_count);
        buf_add_byte(&c->out, '\n');
    }
    return e;
}

/* ---- moving ---- */

static enum err audit(struct store_tx *tx, const struct tx_command *c, enum operator_action action,
                      struct why *why)
{
    char subject[80];
    (void)snprintf(subject, sizeof subject, "transaction/%.60s", cli_word(c->cli, 1));
    return operator_write(tx, action, slice_text(subject), SLICE_LIT("{}"), why);
}

static enum err cancel_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct tx_command *c = ctx;
    enum err e = relay_cancel(tx, c->id, why);
    return e == OK ? audit(tx, c, OPERATOR_TX_CANCELLED, why) : e;
}

static enum err speed_up_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct tx_command *c = ctx;
    enum err e = relay_hurry(tx, c->id, why);
    return e == OK ? audit(tx, c, OPERATOR_TX_HURRIED, why) : e;
}

/* Says what became of it: a signed one is taken back by the process that has its wallet. */
static enum err run_move(struct tx_command *c, store_fn fn, struct why *why)
{
    enum err e = read_id(c, why);
    if (e == OK) {
        e = store_write(c->store, fn, c, why);
    }
    if (e == OK) {
        e = store_read(c->store, get_fn, c, why);
    }
    if (e == OK) {
        print_row(c, &c->row);
    }
    return e;
}

static enum err run_cancel(struct tx_command *c, struct why *why)
{
    return run_move(c, cancel_fn, why);
}

static enum err run_speed_up(struct tx_command *c, struct why *why)
{
    return run_move(c, speed_up_fn, why);
}

/* ---- the words ---- */

static const struct tx_word {
    const char *word;
    bool writes;
    tx_word_fn run;
} words[] = {
    {"list", false, run_list},
    {"show", false, run_show},
    {"cancel", true, run_cancel},
    {"speed-up", true, run_speed_up},
};

static const struct tx_word *find_word(const struct cli *cli)
{
    const char *word = cli_word(cli, 0);
    if (word == NULL) {
        return &words[0];
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, word) == 0) {
            return &words[i];
        }
    }
    return NULL;
}

static enum err run_tx(struct cli *cli, struct store *store, const struct settings *settings,
                       struct why *why)
{
    (void)settings;
    struct tx_command c = {.cli = cli, .store = store};
    arena_init(&c.arena, 0);
    buf_init(&c.out, &c.arena, 4096);
    enum err e = find_word(cli)->run(&c, why);
    if (e == OK) {
        cli_print(buf_slice(&c.out));
    }
    arena_free(&c.arena);
    return e;
}

enum err command_tx(struct cli *cli, struct why *why)
{
    const struct tx_word *word = find_word(cli);
    if (word == NULL) {
        return why_set(why, ERR_USAGE, NULL, "tx list, show ID, cancel ID or speed-up ID");
    }
    return command_with_store(cli, !word->writes, run_tx, why);
}
