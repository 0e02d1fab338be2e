/*
 * cmd_jobs.c: freehold jobs: the queue, seen and moved from the command line. It works on the
 * database, so that it needs no running server; on SQLite, whose file one process owns, changes go
 * through the API of the running one.
 */
#include "app/cmd_audit.h"
#include "app/commands.h"
#include "app/schedules.h"
#include "kernel/jobs/jobs_admin.h"

#define LIMIT_DEFAULT 50

struct job_command {
    struct cli *cli;
    struct store *store;
    const struct job_catalog *catalog;
    struct arena arena;
    struct buf out;
    struct json_out json;
    struct job_filter filter;
    int64_t id;
    struct job_row row;
    struct job_row *rows;
    size_t count;
    bool running; /* a cancel that a handler has to see */
    struct job_replay replay;
};

typedef enum err (*job_word_fn)(struct job_command *c, struct why *why);

/* ---- options ---- */

static enum err read_id(struct job_command *c, struct why *why)
{
    uint64_t id = 0;
    const char *text = cli_word(c->cli, 1);
    if (text == NULL || slice_parse_u64(slice_text(text), &id) != OK || id == 0 || id > INT64_MAX) {
        return why_set(why, ERR_USAGE, NULL, "jobs %s ID, with the number that jobs list shows",
                       cli_word(c->cli, 0));
    }
    c->id = (int64_t)id;
    return OK;
}

static enum err read_filter(struct job_command *c, struct why *why)
{
    const char *state = cli_option_value(c->cli, "state");
    const char *kind = cli_option_value(c->cli, "kind");
    const char *queue = cli_option_value(c->cli, "queue");
    const char *limit = cli_option_value(c->cli, "limit");
    uint64_t n = LIMIT_DEFAULT;
    if (limit != NULL &&
        (slice_parse_u64(slice_text(limit), &n) != OK || n == 0 || n > JOBS_LIST_MAX)) {
        return why_set(why, ERR_USAGE, NULL, "--limit is a number from 1 to %d", JOBS_LIST_MAX);
    }
    c->filter.limit = (size_t)n;
    if (state != NULL && jobs_state_parse(slice_text(state), &c->filter.state, NULL) != OK) {
        return why_set(why, ERR_USAGE, NULL,
                       "--state is queued, running, done, dead or cancelled, not \"%s\"", state);
    }
    if (kind != NULL && queue != NULL) {
        return why_set(why, ERR_USAGE, NULL, "--kind or --queue, not both");
    }
    if (queue != NULL) {
        return jobs_catalog_kinds(c->catalog, &c->arena, slice_text(queue), &c->filter.kinds,
                                  &c->filter.kind_count, why);
    }
    if (kind != NULL) {
        const char **kinds = arena_alloc(&c->arena, sizeof kinds[0]);
        kinds[0] = kind;
        c->filter.kinds = kinds;
        c->filter.kind_count = 1;
    }
    return OK;
}

/* ---- list and show ---- */

static enum err list_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct job_command *c = ctx;
    return jobs_list(tx, &c->arena, &c->filter, &c->rows, &c->count, why);
}

static void print_row(struct job_command *c, const struct job_row *row)
{
    if (c->cli->json) {
        json_out_init(&c->json, &c->out);
        jobs_row_json(&c->json, row, false);
        buf_add_byte(&c->out, '\n');
        return;
    }
    const char *state = row->cancelling && row->state == JOB_RUNNING ? "cancelling"
                        : row->behind && row->state == JOB_QUEUED    ? "in line"
                                                                     : jobs_state_text(row->state);
    buf_format(&c->out, "%8lld  %-10s %-32.*s %u attempts", (long long)row->id, state,
               SLICE_ARG(row->kind), row->attempts);
    if (row->has_progress) {
        buf_format(&c->out, "  %lld/%lld %.*s", (long long)row->progress_done,
                   (long long)row->progress_total, SLICE_ARG(row->progress_note));
    }
    buf_format(&c->out, "  %.*s\n", SLICE_ARG(row->error));
}

static enum err run_list(struct job_command *c, struct why *why)
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
    struct job_command *c = ctx;
    return jobs_get(tx, &c->arena, c->id, &c->row, why);
}

/* One job is one JSON object in either form: it is the payload that one wants to copy. */
static enum err run_show(struct job_command *c, struct why *why)
{
    enum err e = read_id(c, why);
    if (e == OK) {
        e = store_read(c->store, get_fn, c, why);
    }
    if (e == OK) {
        json_out_init(&c->json, &c->out);
        jobs_row_json(&c->json, &c->row, true);
        buf_add_byte(&c->out, '\n');
    }
    return e;
}

/* ---- moving ---- */

static enum err audit_one(struct store_tx *tx, const struct job_command *c,
                          enum operator_action action, struct why *why)
{
    char subject[40];
    (void)snprintf(subject, sizeof subject, "job/%lld", (long long)c->id);
    return operator_write(tx, action, slice_text(subject), SLICE_LIT("{\"jobs\":1}"), why);
}

static enum err retry_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct job_command *c = ctx;
    enum err e = jobs_retry(tx, c->id, why);
    return e == OK ? audit_one(tx, c, OPERATOR_JOB_RETRIED, why) : e;
}

static enum err cancel_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct job_command *c = ctx;
    enum err e = jobs_cancel(tx, c->id, &c->running, why);
    return e == OK ? audit_one(tx, c, OPERATOR_JOB_CANCELLED, why) : e;
}

static enum err replay_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct job_command *c = ctx;
    enum err e = jobs_replay(tx, c->id, why);
    return e == OK ? audit_one(tx, c, OPERATOR_JOB_REPLAYED, why) : e;
}

static enum err replay_page_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct job_command *c = ctx;
    enum err e = jobs_replay_page(tx, &c->replay, JOBS_LIST_MAX, why);
    if (e != OK || c->replay.replayed == 0) {
        return e;
    }
    char details[40];
    (void)snprintf(details, sizeof details, "{\"jobs\":%lld}", (long long)c->replay.replayed);
    return operator_write(tx, OPERATOR_JOB_REPLAYED, SLICE_LIT("job/dead"), slice_text(details),
                          why);
}

static void say_changed(struct job_command *c, int64_t changed, const char *what)
{
    buf_format(&c->out,
               c->cli->json ? "{\"success\":true,\"changed\":%lld,\"result\":\"%s\"}\n"
                            : "%lld %s.\n",
               (long long)changed, what);
}

static enum err run_one(struct job_command *c, store_fn fn, const char *what, struct why *why)
{
    enum err e = read_id(c, why);
    if (e == OK) {
        e = store_write(c->store, fn, c, why);
    }
    if (e == OK) {
        say_changed(c, 1, c->running ? "asked to end" : what);
    }
    return e;
}

static enum err run_retry(struct job_command *c, struct why *why)
{
    return run_one(c, retry_fn, "queued to run now", why);
}

static enum err run_cancel(struct job_command *c, struct why *why)
{
    return run_one(c, cancel_fn, "cancelled", why);
}

/* All of them, a page a transaction: a backlog of any size neither fills memory nor blocks. */
static enum err run_replay(struct job_command *c, struct why *why)
{
    c->replay.kind = cli_option_value(c->cli, "kind");
    if (cli_option_value(c->cli, "all") == NULL && c->replay.kind == NULL) {
        return run_one(c, replay_fn, "queued again", why);
    }
    if (cli_word(c->cli, 1) != NULL) {
        return why_set(why, ERR_USAGE, NULL, "jobs replay ID, --all or --kind KIND");
    }
    int64_t replayed = 0;
    enum err e = OK;
    c->replay.more = true;
    while (e == OK && c->replay.more) {
        e = store_write(c->store, replay_page_fn, c, why);
        replayed += e == OK ? c->replay.replayed : 0;
    }
    if (e == OK) {
        say_changed(c, replayed, "queued again");
    }
    return e;
}

/* ---- queues and schedules ---- */

static enum err queues_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct job_command *c = ctx;
    buf_init(&c->out, &c->arena, 4096);
    json_out_init(&c->json, &c->out);
    return jobs_queues_json(tx, c->catalog, &c->json, why);
}

static enum err schedules_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct job_command *c = ctx;
    buf_init(&c->out, &c->arena, 4096);
    json_out_init(&c->json, &c->out);
    return jobs_schedules_json(tx, c->catalog, &c->json, why);
}

/* The text of a member, whatever its type; "" when it is not there. */
static struct slice member(const struct json *object, const char *key)
{
    for (const struct json *m = object->child; m != NULL; m = m->next) {
        if (slice_equal_text(m->key, key)) {
            return m->text;
        }
    }
    return SLICE_EMPTY;
}

static void print_queue(struct buf *out, const struct json *q)
{
    struct slice concurrency = member(q, "concurrency");
    struct slice rate = member(q, "rate");
    buf_format(out, "%-18.*s %8.*s queued %6.*s running %6.*s dead", SLICE_ARG(member(q, "name")),
               SLICE_ARG(member(q, "queued")), SLICE_ARG(member(q, "running")),
               SLICE_ARG(member(q, "dead")));
    if (concurrency.len > 0) {
        buf_format(out, "  at most %.*s at once", SLICE_ARG(concurrency));
    }
    if (rate.len > 0) {
        buf_format(out, "  %.*s in %.*s ms", SLICE_ARG(rate), SLICE_ARG(member(q, "rateWindowMs")));
    }
    buf_format(out, "  %.*s attempts, back-off %.*s\n", SLICE_ARG(member(q, "attempts")),
               SLICE_ARG(member(q, "backoff")));
}

static void print_schedule(struct buf *out, const struct json *s)
{
    struct slice cron = member(s, "cron");
    struct slice waits = member(s, "waitsFor");
    buf_format(out, "%-26.*s ", SLICE_ARG(member(s, "name")));
    if (cron.len > 0) {
        buf_format(out, "%-16.*s ", SLICE_ARG(cron));
    } else {
        buf_format(out, "every %7.*s ms ", SLICE_ARG(member(s, "everyMs")));
    }
    buf_format(out, "%-36.*s ", SLICE_ARG(member(s, "kind")));
    if (waits.len > 0) {
        buf_format(out, "disabled: waits for %.*s\n", SLICE_ARG(waits));
    } else {
        buf_format(out, "next %.*s\n", SLICE_ARG(member(s, "nextAt")));
    }
}

/* Both are arrays of objects: as they are with --json, one a line, or as lines for people. */
static enum err run_array(struct job_command *c, store_fn fn,
                          void (*print)(struct buf *out, const struct json *object),
                          struct why *why)
{
    const struct json *array = NULL;
    enum err e = store_read(c->store, fn, c, why);
    if (e == OK) {
        e = json_parse(&c->arena, buf_slice(&c->out), &json_limits_node, &array, why);
    }
    if (e != OK) {
        return e;
    }
    buf_init(&c->out, &c->arena, 4096);
    for (const struct json *object = array->child; object != NULL; object = object->next) {
        if (c->cli->json) {
            json_write(&c->out, object);
            buf_add_byte(&c->out, '\n');
        } else {
            print(&c->out, object);
        }
    }
    return OK;
}

static enum err run_queues(struct job_command *c, struct why *why)
{
    return run_array(c, queues_fn, print_queue, why);
}

static enum err run_schedules(struct job_command *c, struct why *why)
{
    return run_array(c, schedules_fn, print_schedule, why);
}

/* ---- the words ---- */

static const struct job_word {
    const char *word;
    bool writes;
    job_word_fn run;
} words[] = {
    {"list", false, run_list},           {"show", false, run_show},
    {"retry", true, run_retry},          {"cancel", true, run_cancel},
    {"replay", true, run_replay},        {"queues", false, run_queues},
    {"schedules", false, run_schedules},
};

static const struct job_word *find_word(const struct cli *cli)
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

static enum err run_jobs(struct cli *cli, struct store *store, const struct settings *settings,
                         struct why *why)
{
    (void)settings;
    struct job_table tables[SCHEDULES_TABLES_MAX];
    struct job_command c = {.cli = cli, .store = store};
    arena_init(&c.arena, 0);
    buf_init(&c.out, &c.arena, 4096);
    size_t count = schedules_job_tables(&(struct schedules_owners){.ops = NULL}, tables);
    enum err e = jobs_catalog_new(&c.arena, tables, count, &c.catalog, why);
    if (e == OK) {
        e = find_word(cli)->run(&c, why);
    }
    if (e == OK) {
        cli_print(buf_slice(&c.out));
    }
    arena_free(&c.arena);
    return e;
}

enum err command_jobs(struct cli *cli, struct why *why)
{
    const struct job_word *word = find_word(cli);
    if (word == NULL) {
        return why_set(
            why, ERR_USAGE, NULL,
            "jobs list, show ID, retry ID, cancel ID, replay ID, replay --all, queues or "
            "schedules");
    }
    return command_with_store(cli, !word->writes, run_jobs, why);
}
