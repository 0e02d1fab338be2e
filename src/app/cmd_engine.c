/*
 * cmd_engine.c: the matching engine from the command line.
 *
 * `engine run` drives the engine by a flow (format: tests/orderflow/README.md) and writes the
 * tapes that the references write, so that they can be compared byte for byte.
 */
#include <errno.h>

#include "app/commands.h"
#include "domain/trading/engine/engine.h"

#define RUN_PAIRS 4096
#define RUN_ORDERS (1u << 20)
#define LINE_MAX_BYTES 256
#define FIELDS 12

/* ---- flows ---- */

struct run {
    struct engine *engine;
    FILE *tape;
    FILE *events;
    uint64_t seq; /* of the flow's line */
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

/* A flow names no accounts and pairs: they are what its lines say. */
static void run_setup(struct run *run, const struct flow_line *line)
{
    struct engine_command c = {.op = ENGINE_OP_ACCOUNT};
    c.account = (struct engine_account_in){
        .account = line->account, .owner = line->account, .orders_max = RUN_ORDERS};
    (void)engine_apply(run->engine, &c);
}

static void run_pairs(struct run *run)
{
    for (uint32_t i = 0; i < RUN_PAIRS; i++) {
        struct engine_command c = {.op = ENGINE_OP_PAIR};
        c.pair = (struct engine_pair_in){.pair = i, .flags = ENGINE_PAIR_UNSETTLED};
        (void)engine_apply(run->engine, &c);
        c = (struct engine_command){.op = ENGINE_OP_STATE};
        c.state = (struct engine_state_in){.pair = i, .state = ENGINE_OPEN};
        (void)engine_apply(run->engine, &c);
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
        run_setup(run, &line);
        engine_set_sink(run->engine, &sink);
        run->seq = line.seq;
        (void)engine_apply(run->engine, &line.command);
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

static enum err engine_run(struct cli *cli, struct why *why)
{
    const char *paths[3] = {cli_word(cli, 1), cli_word(cli, 2), cli_word(cli, 3)};
    if (paths[0] == NULL || paths[1] == NULL || paths[2] == NULL) {
        return why_set(why, ERR_USAGE, NULL, "engine run FLOW TAPE EVENTS");
    }
    struct engine_limits limits = engine_limits_default(RUN_ORDERS);
    limits.pairs = RUN_PAIRS;
    struct run run = {.engine = engine_new(&limits)};
    FILE *flow = NULL;
    enum err e = open_file(paths[0], "r", &flow, why);
    e = e == OK ? open_file(paths[1], "w", &run.tape, why) : e;
    e = e == OK ? open_file(paths[2], "w", &run.events, why) : e;
    e = e == OK ? run_flow(&run, flow, why) : e;
    e = close_file(flow, paths[0], e, why);
    e = close_file(run.tape, paths[1], e, why);
    e = close_file(run.events, paths[2], e, why);
    if (e == OK) {
        engine_check(run.engine);
        (void)printf(cli->json ? "{\"success\":true,\"commands\":%llu,\"stateHash\":\"%016llx\"}\n"
                               : "commands=%llu state=%016llx\n",
                     (unsigned long long)engine_seq(run.engine),
                     (unsigned long long)engine_hash(run.engine));
    }
    engine_free(run.engine);
    return e;
}

enum err command_engine(struct cli *cli, struct why *why)
{
    const char *word = cli_word(cli, 0);
    const struct slice what = slice_text(word);
    if (slice_equal_text(what, "run")) {
        return engine_run(cli, why);
    }
    return why_set(why, ERR_USAGE, NULL, "engine run FLOW TAPE EVENTS");
}
