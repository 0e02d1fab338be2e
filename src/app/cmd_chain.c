/*
 * cmd_chain.c: the followed chain: where it is, going on after a halt, and whether the events that
 * are stored are its own.
 */
#include "app/cmd_audit.h"
#include "app/commands.h"
#include "app/nodes.h"
#include "app/settings.h"
#include "domain/leasing/leasing.h"
#include "kernel/base/hex.h"
#include "kernel/chain/chain_compare.h"
#include "kernel/net/http_client.h"

struct cursor {
    uint64_t chain_id;
    uint64_t block;
    struct hash hash;
};

static enum err read_cursor(struct store_tx *tx, void *ctx, struct why *why)
{
    struct cursor *c = ctx;
    return chain_cursor_read(tx, c->chain_id, &c->block, &c->hash, why);
}

static enum err print_cursor(const struct cli *cli, struct store *store, uint64_t chain_id,
                             struct why *why)
{
    struct cursor c = {.chain_id = chain_id};
    enum err e = store_read(store, read_cursor, &c, why);
    if (e == OK) {
        char text[2 * HASH_BYTES + 3];
        hex_encode_to(hash_slice(&c.hash), text);
        (void)printf(cli->json ? "{\"success\":true,\"chainId\":%llu,\"block\":%llu,"
                                 "\"hash\":\"%s\"}\n"
                               : "Chain %llu: applied up to block %llu (%s).\n",
                     (unsigned long long)c.chain_id, (unsigned long long)c.block, text);
    }
    return e;
}

/* block_option reads a block's number, or leaves the default. */
static enum err block_option(const struct cli *cli, const char *name, uint64_t *out,
                             struct why *why)
{
    const char *text = cli_option_value(cli, name);
    if (text != NULL && slice_parse_u64(slice_text(text), out) != OK) {
        return why_set(why, ERR_USAGE, NULL, "--%s takes the number of a block", name);
    }
    return OK;
}

static enum err resume(struct cli *cli, struct store *store, uint64_t chain_id, struct why *why)
{
    uint64_t from = 0;
    enum err e = block_option(cli, "from", &from, why);
    return e == OK ? chain_resume(store, chain_id, from, operator_name(cli->boot), why) : e;
}

/* ---- verify ---- */

static enum err print_comparison(const struct cli *cli, uint64_t chain_id,
                                 const struct chain_comparison *c, struct why *why)
{
    char digest[2 * HASH_BYTES + 3];
    if (!c->equal) {
        return why_set(
            why, ERR_CORRUPT, NULL,
            "Event %u of block %llu of chain %llu %s; those of the blocks before it from "
            "%llu on are right as far as they were read.",
            c->log_index, (unsigned long long)c->block, (unsigned long long)chain_id, c->difference,
            (unsigned long long)c->from);
    }
    hex_encode_to(hash_slice(&c->digest), digest);
    (void)printf(cli->json ? "{\"success\":true,\"chainId\":%llu,\"from\":%llu,\"to\":%llu,"
                             "\"events\":%llu,\"digest\":\"%s\"}\n"
                           : "Chain %llu: blocks %llu to %llu hold the %llu events that are stored "
                             "(%s).\n",
                 (unsigned long long)chain_id, (unsigned long long)c->from,
                 (unsigned long long)c->to, (unsigned long long)c->events, digest);
    return OK;
}

static enum err compare(const struct cli *cli, const struct chain_options *options, struct why *why)
{
    uint64_t from = options->config->start_block, to = UINT64_MAX;
    struct chain_comparison comparison = {0};
    enum err e = block_option(cli, "from", &from, why);
    if (e == OK) {
        e = block_option(cli, "to", &to, why);
    }
    if (e == OK) {
        struct chain *chain = chain_new(options);
        e = chain_compare(chain, from, to, &comparison, why);
        chain_free(chain);
    }
    return e == OK ? print_comparison(cli, options->config->chain_id, &comparison, why) : e;
}

static enum err verify(const struct cli *cli, struct store *store, const struct settings *settings,
                       struct why *why)
{
    struct rpc_pool *pool = NULL;
    struct leasing *leasing = NULL;
    net_start();
    enum err e = nodes_pool(&settings->chain, false, &pool, why);
    if (e == OK) {
        const struct leasing_options options = {
            .config = &settings->leasing,
            .chain_id = settings->chain.chain_id,
            .start_block = settings->chain.start_block,
            .undo_depth = settings->chain.undo_depth,
            .store = store,
            .rpc = pool,
        };
        e = leasing_new(&options, &leasing, why);
    }
    if (e == OK) {
        const struct chain_table table = leasing_chain_table(leasing);
        const struct chain_options options = {
            .config = &settings->chain,
            .store = store,
            .rpc = pool,
            .tables = &table,
            .table_count = 1,
        };
        e = compare(cli, &options, why);
    }
    leasing_free(leasing);
    rpc_pool_free(pool);
    return e;
}

static enum err run_chain(struct cli *cli, struct store *store, const struct settings *settings,
                          struct why *why)
{
    const char *word = cli_word(cli, 0);
    uint64_t chain_id = settings->chain.chain_id;
    if (word != NULL && strcmp(word, "verify") == 0) {
        return verify(cli, store, settings, why);
    }
    bool resumes = word != NULL && strcmp(word, "resume") == 0;
    enum err e = resumes ? resume(cli, store, chain_id, why) : OK;
    return e == OK ? print_cursor(cli, store, chain_id, why) : e;
}

/* A wrong command line is said before anything is opened. */
static enum err check_line(const struct cli *cli, const char *word, struct why *why)
{
    uint64_t block = 0;
    bool resumes = strcmp(word, "resume") == 0;
    if (!resumes && strcmp(word, "status") != 0 && strcmp(word, "verify") != 0) {
        return why_set(why, ERR_USAGE, NULL,
                       "chain status, chain resume --from BLOCK, or chain verify [--from BLOCK] "
                       "[--to BLOCK]");
    }
    if (resumes && cli_option_value(cli, "from") == NULL) {
        return why_set(why, ERR_USAGE, NULL, "chain resume --from BLOCK");
    }
    enum err e = block_option(cli, "from", &block, why);
    return e == OK ? block_option(cli, "to", &block, why) : e;
}

enum err command_chain(struct cli *cli, struct why *why)
{
    const char *word = cli_word(cli, 0) != NULL ? cli_word(cli, 0) : "status";
    enum err e = check_line(cli, word, why);
    if (e != OK) {
        return e;
    }
    return strcmp(word, "resume") == 0 ? command_beside(cli, run_chain, why)
                                       : command_with_store(cli, true, run_chain, why);
}
