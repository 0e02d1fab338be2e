/*
 * cmd_engine_rows.c: the rows that follow from a venue's journal: written, made again, proven.
 */
#include "app/commands.h"
#include "app/engine_commands.h"
#include "domain/trading/journal/journal_table.h"
#include "domain/trading/projections/projections.h"
#include "kernel/base/clock.h"

#define BATCH_DEFAULT 100000
#define BATCH_MAX 1000000

struct projecting {
    struct projections *p;
    uint64_t batch; /* rows, about */
    uint64_t batches;
};

static enum err flush(struct projecting *run, struct why *why)
{
    run->batches++;
    return projections_flush(run->p, why);
}

static enum err applied(void *ctx, uint64_t seq, struct why *why)
{
    struct projecting *run = ctx;
    (void)seq;
    return projections_waiting(run->p) >= run->batch ? flush(run, why) : OK;
}

static void print_projected(const struct cli *cli, const struct projecting *run, uint64_t from,
                            int64_t usec)
{
    (void)printf(cli->json ? "{\"success\":true,\"from\":%llu,\"to\":%llu,\"batches\":%llu,"
                             "\"usec\":%lld}\n"
                           : "from=%llu to=%llu batches=%llu usec=%lld\n",
                 (unsigned long long)from, (unsigned long long)projections_seq(run->p),
                 (unsigned long long)run->batches, (long long)usec);
}

/* Applies what the rows miss of the journal, and compares them with the engine at its end. */
static enum err project(struct cli *cli, struct store *store, struct journal_medium *medium,
                        uint64_t batch, struct why *why)
{
    struct projecting run = {.batch = batch};
    struct engine *engine = NULL;
    struct journal_recovery recovery;
    const int64_t begin = clock_mono_usec();
    enum err e = projections_open(&run.p, store, NULL, why);
    if (e != OK) {
        medium->close(medium);
        return e;
    }
    const uint64_t from = projections_seq(run.p);
    const struct engine_sink sink = {
        .event = projections_event, .ctx = run.p, .kinds = ENGINE_EVERY_KIND};
    const struct journal_replay replay = {
        .after = from, .sink = &sink, .applied = applied, .ctx = &run};
    e = journal_replay_medium(medium, &replay, &engine, &recovery, why);
    e = e == OK ? flush(&run, why) : e;
    e = e == OK ? projections_compare(run.p, engine, why) : e;
    if (e == OK) {
        print_projected(cli, &run, from, clock_mono_usec() - begin);
    }
    engine_free(engine);
    projections_close(run.p);
    return e;
}

static enum err run_rows(struct cli *cli, struct store *store, const struct settings *settings,
                         struct why *why)
{
    (void)settings;
    const char *text = cli_option_value(cli, "batch");
    uint64_t batch = BATCH_DEFAULT;
    if (text != NULL &&
        (slice_parse_u64(slice_text(text), &batch) != OK || batch == 0 || batch > BATCH_MAX)) {
        return why_set(why, ERR_USAGE, NULL, "--batch is a number from 1 to %d", BATCH_MAX);
    }
    struct journal_medium *medium;
    const struct journal_config config = {.dir = cli_word(cli, 1)};
    enum err e = OK;
    if (config.dir != NULL) {
        e = journal_folder_open(&medium, &config, false, why);
    } else {
        medium = journal_table_open(store, NULL);
    }
    if (e == OK && strcmp(cli_word(cli, 0), "rebuild") == 0) {
        e = projections_clear(store, NULL, why);
        if (e != OK) {
            medium->close(medium);
        }
    }
    return e == OK ? project(cli, store, medium, batch, why) : e;
}

enum err engine_command_rows(struct cli *cli, struct why *why)
{
    return command_with_store(cli, false, run_rows, why);
}

static enum err run_audit(struct cli *cli, struct store *store, const struct settings *settings,
                          struct why *why)
{
    (void)settings;
    struct projections_audit a;
    const enum err e = projections_audit(store, &a, why);
    if (e == OK) {
        (void)printf(cli->json ? "{\"success\":true,\"seq\":%llu,\"trades\":%llu,\"transfers\":"
                                 "%llu,\"balances\":%llu}\n"
                               : "proven: seq=%llu trades=%llu transfers=%llu balances=%llu\n",
                     (unsigned long long)a.seq, (unsigned long long)a.trades,
                     (unsigned long long)a.transfers, (unsigned long long)a.balances);
    }
    return e;
}

enum err engine_command_audit(struct cli *cli, struct why *why)
{
    return command_with_store(cli, true, run_audit, why);
}
