/*
 * cmd_engine.c: the matching engine from the command line.
 *
 * `engine run` drives the engine by a flow (format: tests/orderflow/README.md) and writes the
 * tapes that the references write, so that they can be compared byte for byte. The others read the
 * journal of a venue that is not running; what becomes rows is in cmd_engine_rows.c.
 */
#include <errno.h>

#include "app/commands.h"
#include "app/engine_commands.h"
#include "domain/trading/engine/engine.h"
#include "domain/trading/journal/journal_table.h"
#include "kernel/base/clock.h"
#include "kernel/base/mem.h"

#define RUN_PAIRS 4096
#define RUN_ORDERS (1u << 20)
#define LINE_MAX_BYTES 256
#define FIELDS 12

/* ---- flows ---- */

struct run {
    struct engine *engine;
    struct journal *journal; /* NULL: none is kept */
    uint8_t *accounts;       /* bits of those that were made */
    FILE *tape;
    FILE *events;
    uint64_t seq;      /* of the flow's line */
    uint64_t commands; /* of the flow: setting up is none of it */
};

/* Numbers of a flow may be anything that fits; the engine judges them. */
static enum err flow_number(struct slice text, int64_t *out, const char *field, struct why *why)
{
    if (slice_parse_i64(text, out) != OK) {
        return why_set(why, ERR_INVALID_FIELD, field, "%s is no whole number of 64 bits", field);
    }
    return OK;
}

static uint8_t flow_letter(struct slice text, const char *letters)
{
    const char *at = text.len == 1 ? strchr(letters, text.ptr[0]) : NULL;
    return at != NULL && *at != '\0' ? (uint8_t)(at - letters) : UINT8_MAX;
}

static void flow_flags(struct slice text, struct engine_command *c)
{
    c->stp = ENGINE_STP_NONE;
    for (size_t i = 0; i < text.len; i++) {
        static const char modes[] = "nobd"; /* in the order of enum engine_stp */
        const char *mode = strchr(modes, text.ptr[i]);
        if (text.ptr[i] == 'P') {
            c->flags |= ENGINE_POST_ONLY;
        } else if (mode != NULL && *mode != '\0') {
            c->stp = (uint8_t)(ENGINE_STP_NEWEST + (mode - modes));
        }
    }
}

struct flow_line {
    uint64_t seq;
    struct engine_command command;
    uint32_t account;
    uint32_t pair;
};

static void flow_new(const struct slice *f, const int64_t *n, struct flow_line *out)
{
    struct engine_command *c = &out->command;
    c->op = ENGINE_OP_NEW;
    c->side = flow_letter(f[3], "BS");
    c->type = flow_letter(f[4], "LMS");
    c->tif = flow_letter(f[5], "GIF");
    flow_flags(f[11], c);
    c->order = (struct engine_order_in){.id = (uint64_t)n[2],
                                        .price = c->type == ENGINE_MARKET ? 0 : n[6],
                                        .qty = n[7],
                                        .stop = c->type == ENGINE_STOP_LIMIT ? n[10] : 0,
                                        .account = out->account,
                                        .pair = out->pair};
}

/* Reads "seq,op,id,side,type,tif,price,qty,sym,acct,stop,flags". */
static enum err flow_parse(struct slice line, struct flow_line *out, struct why *why)
{
    static const char *const names[FIELDS] = {"seq",   "op",  "id",  "side", "type", "tif",
                                              "price", "qty", "sym", "acct", "stop", "flags"};
    static const bool numeric[FIELDS] = {
        [0] = true, [2] = true, [6] = true, [7] = true, [8] = true, [9] = true, [10] = true};
    struct slice fields[FIELDS] = {{0}};
    int64_t numbers[FIELDS] = {0};
    *out = (struct flow_line){0};
    for (size_t i = 0; i < FIELDS; i++) {
        if (!slice_cut(line, ',', &fields[i], &line) && i + 1 < FIELDS) {
            return why_set(why, ERR_MISSING_FIELD, names[i + 1], "%s is missing", names[i + 1]);
        }
        enum err e = numeric[i] ? flow_number(fields[i], &numbers[i], names[i], why) : OK;
        if (e != OK) {
            return e;
        }
    }
    out->seq = (uint64_t)numbers[0];
    out->pair = numbers[8] >= 0 && numbers[8] < RUN_PAIRS ? (uint32_t)numbers[8] : ENGINE_ALL;
    out->account =
        numbers[9] >= 0 && numbers[9] < UINT32_MAX ? (uint32_t)numbers[9] : ENGINE_NOBODY;
    if (slice_equal_text(fields[1], "N")) {
        flow_new(fields, numbers, out);
    } else if (slice_equal_text(fields[1], "C")) {
        out->command.op = ENGINE_OP_CANCEL;
        out->command.cancel.id = (uint64_t)numbers[2];
        out->command.cancel.account = ENGINE_NOBODY;
    } else if (slice_equal_text(fields[1], "R")) {
        out->command.op = ENGINE_OP_REPLACE;
        out->command.replace = (struct engine_replace_in){.id = (uint64_t)numbers[2],
                                                          .price = numbers[6],
                                                          .qty = numbers[7],
                                                          .account = ENGINE_NOBODY};
    } else {
        return why_set(why, ERR_INVALID_FIELD, "op", "op is N, C or R");
    }
    return OK;
}

/* ---- engine run ---- */

static void run_event(void *ctx, const struct engine_event *ev)
{
    const struct run *run = ctx;
    const unsigned long long seq = run->seq;
    const unsigned long long order = ev->order;
    const unsigned long long other = ev->other;
    const long long price = ev->price;
    const long long qty = ev->qty;
    if (ev->kind == ENGINE_EVENT_TRADED) {
        (void)fprintf(run->tape, "%llu,%llu,%lld,%lld\n", order, other, price, qty);
        (void)fprintf(run->events, "T,%llu,%llu,%llu,%lld,%lld\n", seq, order, other, price, qty);
    } else if (ev->kind == ENGINE_EVENT_CANCELLED) {
        (void)fprintf(run->events, "X,%llu,%llu,%c,%lld\n", seq, order, ev->reason, qty);
    } else if (ev->kind == ENGINE_EVENT_REJECTED) {
        (void)fprintf(run->events, "J,%llu,%llu,%c\n", seq, order, ev->reason);
    } else if (ev->kind == ENGINE_EVENT_TRIGGERED) {
        (void)fprintf(run->events, "G,%llu,%llu\n", seq, order);
    }
}

static void run_give(struct run *run, const struct engine_command *c)
{
    if (run->journal != NULL) {
        (void)journal_append(run->journal, c);
    }
    (void)engine_apply(run->engine, c);
}

/* A flow names no accounts and pairs: they are what its lines say. */
static void run_account(struct run *run, uint32_t account)
{
    if (account >= engine_limits_of(run->engine)->accounts ||
        (run->accounts[account / 8] >> account % 8 & 1) != 0) {
        return;
    }
    struct engine_command c = {.op = ENGINE_OP_ACCOUNT};
    c.account =
        (struct engine_account_in){.account = account, .owner = account, .orders_max = RUN_ORDERS};
    run->accounts[account / 8] |= (uint8_t)(1u << account % 8);
    run_give(run, &c);
}

static void run_pairs(struct run *run)
{
    for (uint32_t i = 0; i < RUN_PAIRS; i++) {
        struct engine_command c = {.op = ENGINE_OP_PAIR};
        c.pair = (struct engine_pair_in){.pair = i, .flags = ENGINE_PAIR_UNSETTLED};
        run_give(run, &c);
        c = (struct engine_command){.op = ENGINE_OP_STATE};
        c.state = (struct engine_state_in){.pair = i, .state = ENGINE_OPEN};
        run_give(run, &c);
    }
}

static enum err run_flow(struct run *run, FILE *flow, struct why *why)
{
    const struct engine_sink sink = {
        .event = run_event,
        .ctx = run,
        .kinds = 1u << ENGINE_EVENT_TRADED | 1u << ENGINE_EVENT_CANCELLED |
                 1u << ENGINE_EVENT_REJECTED | 1u << ENGINE_EVENT_TRIGGERED};
    char text[LINE_MAX_BYTES];
    uint64_t number = 0;
    run_pairs(run);
    while (fgets(text, sizeof text, flow) != NULL) {
        struct flow_line line;
        number++;
        if (text[0] == '#' || text[0] == '\n') {
            continue;
        }
        enum err e = flow_parse(slice_trim(slice_text(text)), &line, why);
        if (e != OK) {
            struct why what = *why;
            return why_set(why, e, what.field, "line %llu of the flow: %s",
                           (unsigned long long)number, what.text);
        }
        engine_set_sink(run->engine, NULL);
        run_account(run, line.account);
        engine_set_sink(run->engine, &sink);
        run->seq = line.seq;
        run->commands++;
        run_give(run, &line.command);
    }
    return OK;
}

static enum err open_file(const char *path, const char *mode, FILE **out, struct why *why)
{
    *out = fopen(path, mode);
    return *out != NULL
               ? OK
               : why_set(why, ERR_IO, NULL, "%s could not be opened: %s", path, strerror(errno));
}

static enum err close_file(FILE *file, const char *path, enum err e, struct why *why)
{
    if (file == NULL) {
        return e;
    }
    const bool bad = ferror(file) != 0;
    if ((fclose(file) != 0 || bad) && e == OK) {
        return why_set(why, ERR_IO, NULL, "%s could not be read or written", path);
    }
    return e;
}

/* A journal is begun by a run, never gone on with: what it holds then is the flow. */
static enum err run_open(struct run *run, const char *dir, struct why *why)
{
    struct engine_limits limits = engine_limits_default(RUN_ORDERS);
    limits.pairs = RUN_PAIRS;
    run->accounts = mem_alloc(limits.accounts / 8 + 1);
    if (dir == NULL) {
        run->engine = engine_new(&limits);
        return OK;
    }
    const struct journal_config config = {
        .dir = dir, .limits = limits, .file_bytes = JOURNAL_FILE_BYTES_DEFAULT};
    struct journal_recovery recovery;
    const enum err e = journal_open(&run->journal, &config, &run->engine, &recovery, why);
    if (e == OK && recovery.last_seq != 0) {
        return why_set(why, ERR_ALREADY_EXISTS, "journal", "there is a journal in %s", dir);
    }
    return e;
}

static enum err engine_run(struct cli *cli, struct why *why)
{
    const char *paths[3] = {cli_word(cli, 1), cli_word(cli, 2), cli_word(cli, 3)};
    if (paths[0] == NULL || paths[1] == NULL || paths[2] == NULL) {
        return why_set(why, ERR_USAGE, NULL, "engine run FLOW TAPE EVENTS");
    }
    struct run run = {0};
    FILE *flow = NULL;
    enum err e = run_open(&run, cli_option_value(cli, "journal"), why);
    e = e == OK ? open_file(paths[0], "r", &flow, why) : e;
    e = e == OK ? open_file(paths[1], "w", &run.tape, why) : e;
    e = e == OK ? open_file(paths[2], "w", &run.events, why) : e;
    e = e == OK ? run_flow(&run, flow, why) : e;
    e = e == OK && run.journal != NULL ? journal_wait(run.journal, engine_seq(run.engine), why) : e;
    e = close_file(flow, paths[0], e, why);
    e = close_file(run.tape, paths[1], e, why);
    e = close_file(run.events, paths[2], e, why);
    if (e == OK) {
        engine_check(run.engine);
        (void)printf(cli->json ? "{\"success\":true,\"commands\":%llu,\"stateHash\":\"%016llx\"}\n"
                               : "commands=%llu state=%016llx\n",
                     (unsigned long long)run.commands, (unsigned long long)engine_hash(run.engine));
    }
    journal_close(run.journal);
    engine_free(run.engine);
    mem_free(run.accounts);
    return e;
}

/* ---- journals ---- */

struct journal_view {
    struct engine_limits limits;
    struct engine *engine; /* made when the first record comes: then the limits are known */
    bool json;
};

static void view_replay(void *ctx, uint64_t seq, const struct engine_command *c)
{
    struct journal_view *view = ctx;
    (void)seq;
    if (view->engine == NULL) {
        view->engine = engine_new(&view->limits);
    }
    (void)engine_apply(view->engine, c);
}

static void view_ahead(void *ctx, const struct engine_command *soon,
                       const struct engine_command *later)
{
    const struct journal_view *view = ctx;
    if (view->engine != NULL) {
        engine_hint(view->engine, soon, later);
    }
}

static void view_dump(void *ctx, uint64_t seq, const struct engine_command *c)
{
    const struct journal_view *view = ctx;
    uint8_t bytes[ENGINE_COMMAND_BYTES];
    char hex[2 * ENGINE_COMMAND_BYTES + 1];
    engine_command_encode(c, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
    (void)printf(view->json ? "{\"seq\":%llu,\"op\":\"%s\",\"bytes\":\"%s\"}\n" : "%llu %s %s\n",
                 (unsigned long long)seq, engine_op_text(c->op), hex);
}

static void print_state(const struct journal_view *view, const struct journal_recovery *recovery,
                        int64_t usec)
{
    const unsigned long long last = recovery->last_seq;
    const unsigned long long hash = view->engine != NULL ? engine_hash(view->engine) : 0;
    const unsigned open = view->engine != NULL ? engine_open_orders(view->engine) : 0;
    if (view->json) {
        (void)printf(
            "{\"success\":true,\"records\":%llu,\"openOrders\":%u,\"stateHash\":\"%016llx\","
            "\"tornFile\":\"%s\",\"tornOffset\":%llu,\"tornBytes\":%llu,\"usec\":%lld}\n",
            last, open, hash, recovery->torn_file, (unsigned long long)recovery->torn_offset,
            (unsigned long long)recovery->torn_bytes, (long long)usec);
        return;
    }
    (void)printf("records=%llu open=%u state=%016llx usec=%lld\n", last, open, hash,
                 (long long)usec);
}

/* verify repairs a torn tail and checks every invariant of the state; replay changes nothing. */
static enum err engine_replay(struct cli *cli, struct journal_medium *medium, bool verify,
                              struct why *why)
{
    struct journal_view view = {.json = cli->json};
    struct journal_recovery recovery = {0};
    const struct journal_visitor visitor = {
        .record = view_replay, .ahead = view_ahead, .ctx = &view, .repair = verify};
    const int64_t begin = clock_mono_usec();
    const enum err e = journal_read_medium(medium, &visitor, &view.limits, &recovery, why);
    if (e == OK) {
        const int64_t usec = clock_mono_usec() - begin;
        if (verify && view.engine != NULL) {
            engine_check(view.engine);
        }
        if (recovery.torn_bytes != 0 && !cli->json) {
            (void)printf("%s: the last write was torn at offset %llu; %llu bytes of it %s. None of "
                         "its commands was acknowledged.\n",
                         recovery.torn_file, (unsigned long long)recovery.torn_offset,
                         (unsigned long long)recovery.torn_bytes,
                         verify ? "were dropped" : "are passed over");
        }
        print_state(&view, &recovery, usec);
    }
    engine_free(view.engine);
    return e;
}

static enum err engine_dump(struct cli *cli, struct journal_medium *medium, struct why *why)
{
    struct journal_view view = {.json = cli->json};
    struct journal_recovery recovery = {0};
    const struct journal_visitor visitor = {.record = view_dump, .ctx = &view};
    return journal_read_medium(medium, &visitor, &view.limits, &recovery, why);
}

/* One of replay, verify and dump. */
static enum err read_journal(struct cli *cli, struct journal_medium *medium, struct why *why)
{
    const struct slice what = slice_text(cli_word(cli, 0));
    if (slice_equal_text(what, "dump")) {
        return engine_dump(cli, medium, why);
    }
    return engine_replay(cli, medium, slice_equal_text(what, "verify"), why);
}

static enum err read_table(struct cli *cli, struct store *store, const struct settings *settings,
                           struct why *why)
{
    (void)settings;
    return read_journal(cli, journal_table_open(store, NULL), why);
}

static enum err read_anywhere(struct cli *cli, struct why *why)
{
    struct journal_medium *medium;
    const struct journal_config config = {.dir = cli_word(cli, 1)};
    if (config.dir == NULL) {
        return command_with_store(cli, true, read_table, why);
    }
    const enum err e = journal_folder_open(&medium, &config, false, why);
    return e == OK ? read_journal(cli, medium, why) : e;
}

enum err command_engine(struct cli *cli, struct why *why)
{
    static const struct {
        const char *word;
        enum err (*run)(struct cli *cli, struct why *why);
    } parts[] = {
        {"run", engine_run},
        {"replay", read_anywhere},
        {"verify", read_anywhere},
        {"dump", read_anywhere},
        {"project", engine_command_rows},
        {"rebuild", engine_command_rows},
        {"audit", engine_command_audit},
    };
    const struct slice what = slice_text(cli_word(cli, 0));
    const bool table = cli_option_value(cli, "table") != NULL;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const bool reads = i > 0 && parts[i].run != engine_command_audit;
        if (slice_equal_text(what, parts[i].word) &&
            (!reads || table != (cli_word(cli, 1) != NULL))) {
            return parts[i].run(cli, why);
        }
    }
    return why_set(why, ERR_USAGE, NULL,
                   "engine run FLOW TAPE EVENTS, engine audit, or engine replay, verify, dump, "
                   "project or rebuild with DIR or --table");
}
