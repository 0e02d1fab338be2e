/*
 * cmd_reconcile.c: freehold reconcile: do the rows say what the chain says, and what to do when
 * not.
 */
#include "app/cmd_audit.h"
#include "app/cmd_reindex.h"
#include "app/commands.h"
#include "app/nodes.h"
#include "domain/leasing/leasing.h"
#include "kernel/chain/chain_reconcile.h"
#include "kernel/net/http_client.h"

static const char *const repairs[] = {
    [CHAIN_REPAIR_REBUILD] = "rebuild",
    [CHAIN_REPAIR_ROW] = "row",
    [CHAIN_REPAIR_HUMAN] = "human",
};

static void print_json(struct buf *b, const struct chain_reconciling *run, bool fixes)
{
    struct json_out j;
    json_out_init(&j, b);
    json_begin_object(&j);
    json_key(&j, "success");
    json_bool(&j, run->count == 0 || fixes);
    json_key(&j, "looked");
    json_u64(&j, run->looked);
    json_key(&j, "found");
    json_u64(&j, run->count);
    json_key(&j, "findings");
    json_begin_array(&j);
    for (size_t i = 0; i < run->count; i++) {
        const struct chain_finding *f = &run->findings[i];
        json_begin_object(&j);
        json_key(&j, "rule");
        json_text(&j, f->rule->name);
        json_key(&j, "subject");
        json_string(&j, f->subject);
        json_key(&j, "what");
        json_string(&j, f->what);
        json_key(&j, "repair");
        json_text(&j, repairs[f->rule->repair]);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
    buf_add_byte(b, '\n');
}

static void print_text(struct buf *b, const struct chain_reconciling *run)
{
    for (size_t i = 0; i < run->count; i++) {
        const struct chain_finding *f = &run->findings[i];
        buf_format(b, "%s  %.*s: %.*s (%s)\n", f->rule->name, SLICE_ARG(f->subject),
                   SLICE_ARG(f->what), f->rule->repair_doc);
    }
    buf_format(b, "%zu rules, %llu rows held against contracts, %zu differences.\n",
               run->reconciler->rule_count, (unsigned long long)run->looked, run->count);
}

/* Repairs rows one by one; what follows from the chain alone is built again, all at once. */
static enum err repair(struct cli *cli, struct store *store, const struct settings *settings,
                       const struct chain_reconciling *run, struct why *why)
{
    enum err e = OK;
    size_t rebuild = 0;
    size_t human = 0;
    for (size_t i = 0; e == OK && i < run->count; i++) {
        const struct chain_finding *f = &run->findings[i];
        rebuild += f->rule->repair == CHAIN_REPAIR_REBUILD;
        human += f->rule->repair == CHAIN_REPAIR_HUMAN;
        if (f->rule->repair == CHAIN_REPAIR_ROW) {
            e = chain_reconcile_fix(run->reconciler, f, operator_name(cli->boot), why);
        }
    }
    if (e == OK && rebuild > 0) {
        e = reindex_accepted(cli, store, settings, why);
    }
    if (e == OK && human > 0) {
        e = why_set(why, ERR_CONFLICT, NULL,
                    "%zu findings wait for somebody to decide; what can be done stands beside them",
                    human);
    }
    return e;
}

static enum err look(struct cli *cli, struct store *store, const struct settings *settings,
                     struct leasing *leasing, struct why *why)
{
    const struct chain_reconciler reconciler = leasing_reconciler(leasing);
    struct chain_reconciling run;
    struct buf b;
    bool fixes = cli_option_value(cli, "fix") != NULL;
    enum err e =
        chain_reconcile_run(&reconciler, false, operator_name(cli->boot), cli->boot, &run, why);
    if (e != OK) {
        return e;
    }
    buf_init(&b, cli->boot, 1024);
    if (cli->json) {
        print_json(&b, &run, fixes);
    } else {
        print_text(&b, &run);
    }
    cli_print(buf_slice(&b));
    if (fixes) {
        return repair(cli, store, settings, &run, why);
    }
    cli->told = run.count > 0 && cli->json;
    return run.count == 0 ? OK
                          : why_set(why, ERR_CONFLICT, NULL,
                                    "%zu differences; freehold reconcile --fix repairs them as the "
                                    "rules say",
                                    run.count);
}

static enum err run_reconcile(struct cli *cli, struct store *store, const struct settings *settings,
                              struct why *why)
{
    struct rpc_pool *pool = NULL;
    struct leasing *leasing = NULL;
    if (cli_option_value(cli, "fix") != NULL && cli_option_value(cli, "dry-run") != NULL) {
        return why_set(why, ERR_USAGE, NULL, "--dry-run or --fix, not both");
    }
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
        e = look(cli, store, settings, leasing, why);
    }
    leasing_free(leasing);
    rpc_pool_free(pool);
    return e;
}

enum err command_reconcile(struct cli *cli, struct why *why)
{
    return command_beside(cli, run_reconcile, why);
}
