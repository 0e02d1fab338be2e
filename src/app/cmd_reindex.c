/*
 * cmd_reindex.c: freehold reindex: builds what follows from the chain again, beside a daemon.
 */
#include "app/cmd_reindex.h"

#include <unistd.h>

#include "app/cmd_audit.h"
#include "app/commands.h"
#include "app/nodes.h"
#include "domain/leasing/leasing.h"
#include "gen/sql_all.h"
#include "kernel/base/hex.h"
#include "kernel/net/http_client.h"
#include "kernel/ops/ops_reindex.h"
#include "kernel/store/store_shadow.h"

/* How often a terminal hears how far it is. Units: microseconds. */
#define TELL_USEC (USEC_PER_SEC / 2)

struct teller {
    bool terminal;
    int64_t told_usec;
};

static void tell(void *ctx, uint64_t block, uint64_t head)
{
    struct teller *t = ctx;
    int64_t now = clock_mono_usec();
    if (t->terminal && now - t->told_usec >= TELL_USEC) {
        t->told_usec = now;
        (void)fprintf(stderr, "\r\033[Kblock %llu of %llu", (unsigned long long)block,
                      (unsigned long long)head);
    }
}

/* ---- the report ---- */

static void key_u64(struct json_out *j, const char *key, uint64_t value)
{
    json_key(j, key);
    json_u64(j, value);
}

static void json_tables(struct json_out *j, const struct ops_reindex_report *r)
{
    json_key(j, "tables");
    json_begin_array(j);
    for (size_t i = 0; i < r->table_count; i++) {
        const struct ops_reindex_table *t = &r->tables[i];
        json_begin_object(j);
        json_key(j, "name");
        json_text(j, t->name);
        key_u64(j, "rows", t->rows);
        key_u64(j, "missing", t->missing);
        key_u64(j, "extra", t->extra);
        key_u64(j, "altered", t->altered);
        json_end_object(j);
    }
    json_end_array(j);
    json_key(j, "first");
    json_begin_array(j);
    for (size_t i = 0; i < r->shown_count; i++) {
        json_begin_object(j);
        json_key(j, "table");
        json_text(j, r->shown[i].table);
        json_key(j, "key");
        json_string(j, r->shown[i].key);
        json_key(j, "what");
        json_string(j, r->shown[i].what);
        json_end_object(j);
    }
    json_end_array(j);
}

static void print_json(struct buf *b, uint64_t chain_id, const struct ops_reindex_report *r)
{
    struct json_out j;
    json_out_init(&j, b);
    json_begin_object(&j);
    json_key(&j, "success");
    json_bool(&j, r->differing == 0 || r->written);
    key_u64(&j, "chainId", chain_id);
    key_u64(&j, "block", r->block);
    json_key(&j, "hash");
    json_hex(&j, hash_slice(&r->hash));
    key_u64(&j, "rows", r->rows);
    key_u64(&j, "differing", r->differing);
    json_key(&j, "written");
    json_bool(&j, r->written);
    json_key(&j, "resumed");
    json_bool(&j, r->resumed);
    json_tables(&j, r);
    json_end_object(&j);
    buf_add_byte(b, '\n');
}

static void print_text(struct buf *b, uint64_t chain_id, const struct ops_reindex_report *r)
{
    buf_format(b, "%-22s %10s %8s %8s %8s\n", "table", "rows", "missing", "extra", "altered");
    for (size_t i = 0; i < r->table_count; i++) {
        const struct ops_reindex_table *t = &r->tables[i];
        buf_format(b, "%-22s %10llu %8llu %8llu %8llu\n", t->name, (unsigned long long)t->rows,
                   (unsigned long long)t->missing, (unsigned long long)t->extra,
                   (unsigned long long)t->altered);
    }
    for (size_t i = 0; i < r->shown_count; i++) {
        buf_format(b, "%s (%.*s): %.*s\n", r->shown[i].table, SLICE_ARG(r->shown[i].key),
                   SLICE_ARG(r->shown[i].what));
    }
    if (r->differing > r->shown_count && r->shown_count > 0) {
        buf_format(b, "... and %llu more\n", (unsigned long long)(r->differing - r->shown_count));
    }
    buf_format(b, "Chain %llu at block %llu: of %llu rows %llu differ%s%s.\n",
               (unsigned long long)chain_id, (unsigned long long)r->block,
               (unsigned long long)r->rows, (unsigned long long)r->differing,
               r->written && r->differing > 0 ? "ed; they are right now" : "",
               r->resumed ? ", and the chain goes on from there" : "");
}

static enum err report(struct cli *cli, uint64_t chain_id, const struct ops_reindex_report *r,
                       struct why *why)
{
    struct buf b;
    buf_init(&b, cli->boot, 4096);
    if (cli->json) {
        print_json(&b, chain_id, r);
    } else {
        print_text(&b, chain_id, r);
    }
    cli_print(buf_slice(&b));
    if (r->differing == 0 || r->written) {
        return OK;
    }
    cli->told = cli->json;
    return why_set(why, ERR_CONFLICT, NULL,
                   "%llu rows are not what the chain says; look at them, then run freehold reindex "
                   "--continue --accept",
                   (unsigned long long)r->differing);
}

/* ---- the parts ---- */

/* What is made for one run; the pointers are NULL until then. */
struct parts {
    const struct settings *settings;
    struct teller teller;
    struct store *live;
    struct store_shadow *shadow;
    struct rpc_pool *pool;
    struct leasing *leasing;
    struct chain *chain;
};

/* The follower of the shadow: the same tables and contracts, in a store of its own. */
static enum err make_chain(struct parts *p, struct chain_table *table, struct why *why)
{
    const struct settings *s = p->settings;
    enum err e = nodes_pool(&s->chain, false, &p->pool, why);
    if (e == OK) {
        const struct leasing_options options = {
            .config = &s->leasing,
            .chain_id = s->chain.chain_id,
            .start_block = s->chain.start_block,
            .undo_depth = s->chain.undo_depth,
            .store = store_shadow_store(p->shadow),
            .rpc = p->pool,
        };
        e = leasing_new(&options, &p->leasing, why);
    }
    if (e == OK) {
        e = leasing_probe(p->leasing, why);
    }
    if (e == OK) {
        *table = leasing_chain_table(p->leasing);
        struct chain_options options = {
            .config = &s->chain,
            .store = store_shadow_store(p->shadow),
            .rpc = p->pool,
            .tables = table,
            .table_count = 1,
            .readers = 0, /* inverses of single blocks fit whatever the installation remembers */
        };
        options.sources = leasing_sources(p->leasing, &options.source_count);
        p->chain = chain_new(&options);
    }
    return e;
}

static enum err read_options(const struct cli *cli, struct ops_reindex_options *o, struct why *why)
{
    const char *from = cli_option_value(cli, "from");
    o->accept = cli_option_value(cli, "accept") != NULL;
    if (from != NULL && (slice_parse_u64(slice_text(from), &o->from) != OK || o->from == 0)) {
        return why_set(why, ERR_USAGE, NULL, "--from takes the number of a block");
    }
    if (from != NULL && cli_option_value(cli, "continue") != NULL) {
        return why_set(why, ERR_USAGE, NULL, "--from begins anew: it does not go with --continue");
    }
    return OK;
}

static enum err run_parts(struct cli *cli, struct parts *p, struct ops_reindex_options *o,
                          struct why *why)
{
    struct chain_table table;
    struct ops_reindex_report found;
    bool anew = cli_option_value(cli, "continue") == NULL;
    enum err e = store_shadow_open(p->live, &p->settings->store, anew, &p->shadow, why);
    if (e == OK) {
        e = make_chain(p, &table, why);
    }
    if (e != OK) {
        return e;
    }
    o->live = p->live;
    o->shadow = store_shadow_store(p->shadow);
    o->catalog = &sql_catalog;
    o->chain = p->chain;
    o->rpc = p->pool;
    o->chain_id = p->settings->chain.chain_id;
    o->linked = leasing_linked_tables;
    o->unlink = leasing_unlink;
    o->event_retention_usec = p->settings->chain.event_retention_usec;
    o->by = operator_name(cli->boot);
    o->progress = tell;
    o->progress_ctx = &p->teller;
    e = ops_reindex_run(o, cli->boot, &found, why);
    if (p->teller.told_usec != 0) {
        (void)fprintf(stderr, "\r\033[K");
    }
    return e == OK ? report(cli, o->chain_id, &found, why) : e;
}

static enum err rebuild(struct cli *cli, struct store *store, const struct settings *settings,
                        struct ops_reindex_options *o, struct why *why)
{
    struct parts p = {
        .settings = settings,
        .teller = {.terminal = !cli->json && isatty(STDERR_FILENO) == 1},
        .live = store,
    };
    enum err e = run_parts(cli, &p, o, why);
    chain_free(p.chain);
    leasing_free(p.leasing);
    rpc_pool_free(p.pool);
    /* What differs may be gone on with. */
    enum err closed = store_shadow_close(p.shadow, e == OK, e == OK ? why : NULL);
    return e == OK ? closed : e;
}

enum err reindex_accepted(struct cli *cli, struct store *store, const struct settings *settings,
                          struct why *why)
{
    struct ops_reindex_options o = {.accept = true};
    return rebuild(cli, store, settings, &o, why);
}

static enum err run_reindex(struct cli *cli, struct store *store, const struct settings *settings,
                            struct why *why)
{
    struct ops_reindex_options o = {0};
    enum err e = read_options(cli, &o, why);
    net_start();
    return e == OK ? rebuild(cli, store, settings, &o, why) : e;
}

enum err command_reindex(struct cli *cli, struct why *why)
{
    struct ops_reindex_options said = {0};
    enum err e = read_options(cli, &said, why); /* before anything is opened */
    return e == OK ? command_beside(cli, run_reindex, why) : e;
}
