/*
 * /api/v1/jobs: the queue for operators, the twin of `freehold jobs`.
 */
#include "kernel/ops/ops_internal.h"
#include "kernel/ops/ops_schema.h"

#define REPLAY_LIMIT_DEFAULT 1000
#define REPLAY_LIMIT_MAX 10000

/* ---- reading ---- */

struct listing {
    struct http_call *call;
    struct job_filter filter;
    struct job_row *rows;
    size_t count;
};

static enum err read_list(struct store_tx *tx, void *ctx, struct why *why)
{
    struct listing *l = ctx;
    return jobs_list(tx, l->call->req, &l->filter, &l->rows, &l->count, why);
}

static enum err filter_kinds(struct listing *l, const struct ops *ops, struct why *why)
{
    bool has_kind = false;
    bool has_queue = false;
    struct slice kind = http_query(l->call, "kind", &has_kind);
    struct slice queue = http_query(l->call, "queue", &has_queue);
    if (has_kind && has_queue) {
        return why_set(why, ERR_INVALID_FIELD, "queue", "Ask for a kind or a queue, not both.");
    }
    if (has_queue) {
        return jobs_catalog_kinds(ops->jobs, l->call->req, queue, &l->filter.kinds,
                                  &l->filter.kind_count, why);
    }
    if (has_kind) {
        const char **kinds = arena_alloc(l->call->req, sizeof kinds[0]);
        kinds[0] = slice_cstr(l->call->req, kind);
        l->filter.kinds = kinds;
        l->filter.kind_count = 1;
    }
    return OK;
}

/* The cursor of the list is "id" of the last job given; of an end state "time/id". */
static enum err filter_cursor(struct job_filter *filter, struct slice cursor, struct why *why)
{
    struct slice time = SLICE_EMPTY;
    struct slice id = cursor;
    uint64_t before = 0;
    uint64_t below = 0;
    if (cursor.len == 0) {
        return OK;
    }
    bool ended = filter->state >= JOB_DONE;
    if (slice_cut(cursor, '/', &time, &id) != ended) {
        id = SLICE_EMPTY;
    } else if (!ended) {
        id = cursor;
    }
    if (slice_parse_u64(id, &below) != OK || below == 0 || below > INT64_MAX ||
        (ended && (slice_parse_u64(time, &before) != OK || before == 0 ||
                   before > (uint64_t)INT64_MAX / 1000))) {
        return why_set(why, ERR_INVALID_FIELD, "cursor", "this cursor is not of this list");
    }
    filter->below_id = (int64_t)below;
    filter->before_usec = (int64_t)before;
    return OK;
}

static void set_cursor(const struct listing *l)
{
    const struct job_row *last = &l->rows[l->count - 1];
    struct http_call *call = l->call;
    http_cursor_set(call, l->filter.state >= JOB_DONE
                              ? slice_format(call->req, "%lld/%lld", (long long)last->finished_usec,
                                             (long long)last->id)
                              : slice_format(call->req, "%lld", (long long)last->id));
}

static enum err jobs_index(struct http_call *call, struct why *why)
{
    const struct ops *ops = call->ctx;
    struct listing l = {.call = call};
    struct http_page page;
    bool found = false;
    enum err e = http_page_read(call, &page, why);
    struct slice state = http_query(call, "state", &found);
    if (e == OK && page.offset > 0) {
        e = why_set(why, ERR_INVALID_FIELD, "offset", "Jobs are paged by cursor.");
    }
    if (e == OK && found) {
        e = jobs_state_parse(state, &l.filter.state, why);
    }
    if (e == OK) {
        e = filter_kinds(&l, ops, why);
    }
    if (e == OK) {
        l.filter.limit = page.limit;
        e = filter_cursor(&l.filter, page.cursor, why);
    }
    if (e == OK) {
        e = store_read(ops->store, read_list, &l, why);
    }
    if (e != OK) {
        return e;
    }
    json_begin_array(call->out);
    for (size_t i = 0; i < l.count; i++) {
        jobs_row_json(call->out, &l.rows[i], false);
    }
    json_end_array(call->out);
    if (l.count == page.limit) {
        set_cursor(&l);
    }
    return OK;
}

struct one {
    struct http_call *call;
    int64_t id;
    struct job_row row;
};

static enum err read_one(struct store_tx *tx, void *ctx, struct why *why)
{
    struct one *one = ctx;
    return jobs_get(tx, one->call->req, one->id, &one->row, why);
}

static enum err path_id(struct one *one, struct why *why)
{
    uint64_t id = 0;
    if (slice_parse_u64(http_param(one->call, "jobId"), &id) != OK || id == 0 || id > INT64_MAX) {
        return why_set(why, ERR_NOT_FOUND, "jobId",
                       "A job's id is a number; there is none of this.");
    }
    one->id = (int64_t)id;
    return OK;
}

static enum err answer_one(struct one *one, struct why *why)
{
    const struct ops *ops = one->call->ctx;
    enum err e = store_read(ops->store, read_one, one, why);
    if (e == OK) {
        jobs_row_json(one->call->out, &one->row, true);
    }
    return e;
}

static enum err job_show(struct http_call *call, struct why *why)
{
    struct one one = {.call = call};
    enum err e = path_id(&one, why);
    return e == OK ? answer_one(&one, why) : e;
}

static enum err read_queues(struct store_tx *tx, void *ctx, struct why *why)
{
    struct http_call *call = ctx;
    const struct ops *ops = call->ctx;
    return jobs_queues_json(tx, ops->jobs, call->out, why);
}

static enum err read_schedules(struct store_tx *tx, void *ctx, struct why *why)
{
    struct http_call *call = ctx;
    const struct ops *ops = call->ctx;
    return jobs_schedules_json(tx, ops->jobs, call->out, why);
}

/* Writes an array in a buffer of its own, because a reading function may run again. */
static enum err answer_array(struct http_call *call, store_fn fn, struct why *why)
{
    const struct ops *ops = call->ctx;
    struct json_out *answer = call->out;
    struct buf text;
    struct json_out j;
    buf_init(&text, call->req, 4096);
    json_out_init(&j, &text);
    call->out = &j;
    enum err e = store_read(ops->store, fn, call, why);
    call->out = answer;
    if (e == OK) {
        json_raw(answer, buf_slice(&text));
    }
    return e;
}

static enum err queues_index(struct http_call *call, struct why *why)
{
    return answer_array(call, read_queues, why);
}

static enum err schedules_index(struct http_call *call, struct why *why)
{
    return answer_array(call, read_schedules, why);
}

/* ---- moving ---- */

enum move {
    MOVE_RETRY,
    MOVE_CANCEL,
    MOVE_REPLAY,
    MOVE_COUNT,
};

static const struct audit_action actions[MOVE_COUNT] = {
    [MOVE_RETRY] = {"ops.job_retried", "It was asked to run a queued job at once."},
    [MOVE_CANCEL] = {"ops.job_cancelled", "It was asked to cancel a job."},
    [MOVE_REPLAY] = {"ops.job_replayed", "It was asked to queue dead jobs again."},
};

struct audit_table ops_jobs_audit_table(void)
{
    return (struct audit_table){actions, MOVE_COUNT};
}

static enum err audit_move(struct store_tx *tx, const struct http_call *call, enum move move,
                           struct slice subject, int64_t jobs, struct why *why)
{
    struct audit_entry entry = http_audit(call, &actions[move]);
    entry.subject = subject;
    entry.details = slice_format(call->req, "{\"jobs\":%lld}", (long long)jobs);
    return audit_write(tx, &entry, why);
}

static enum err audit_one(struct store_tx *tx, const struct one *one, enum move move,
                          struct why *why)
{
    struct slice subject = slice_format(one->call->req, "job/%lld", (long long)one->id);
    return audit_move(tx, one->call, move, subject, 1, why);
}

static enum err retry_one(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct one *one = ctx;
    enum err e = jobs_retry(tx, one->id, why);
    return e == OK ? audit_one(tx, one, MOVE_RETRY, why) : e;
}

static enum err cancel_one(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct one *one = ctx;
    enum err e = jobs_cancel(tx, one->id, NULL, why);
    return e == OK ? audit_one(tx, one, MOVE_CANCEL, why) : e;
}

static enum err replay_one(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct one *one = ctx;
    enum err e = jobs_replay(tx, one->id, why);
    return e == OK ? audit_one(tx, one, MOVE_REPLAY, why) : e;
}

static enum err move_one(struct http_call *call, store_fn fn, struct why *why)
{
    const struct ops *ops = call->ctx;
    struct one one = {.call = call};
    enum err e = path_id(&one, why);
    if (e == OK) {
        e = store_write(ops->store, fn, &one, why);
    }
    return e == OK ? answer_one(&one, why) : e;
}

static enum err job_retry(struct http_call *call, struct why *why)
{
    return move_one(call, retry_one, why);
}

static enum err job_cancel(struct http_call *call, struct why *why)
{
    return move_one(call, cancel_one, why);
}

static enum err job_replay_one(struct http_call *call, struct why *why)
{
    return move_one(call, replay_one, why);
}

struct many {
    struct http_call *call;
    struct job_replay replay;
    size_t page;
};

static enum err replay_page(struct store_tx *tx, void *ctx, struct why *why)
{
    struct many *many = ctx;
    enum err e = jobs_replay_page(tx, &many->replay, many->page, why);
    return e == OK && many->replay.replayed > 0
               ? audit_move(tx, many->call, MOVE_REPLAY, SLICE_LIT("job/dead"),
                            many->replay.replayed, why)
               : e;
}

/* Page by page, each durable, up to the caller's limit; `more` says whether to ask again. */
static enum err replay_many(struct http_call *call, struct why *why)
{
    static const char *const members[] = {"kind", "limit", NULL};
    const struct ops *ops = call->ctx;
    struct many many = {.call = call, .replay = {.more = true}};
    struct slice kind = SLICE_EMPTY;
    uint64_t limit = REPLAY_LIMIT_DEFAULT;
    enum err e = json_only(call->json, members, why);
    if (e == OK && json_find(call->json, "kind") != NULL) {
        e = json_get_text(call->json, "kind", &kind, why);
        many.replay.kind = slice_cstr(call->req, kind);
    }
    if (e == OK && json_find(call->json, "limit") != NULL) {
        e = json_get_u64(call->json, "limit", &limit, why);
    }
    if (e == OK && (limit == 0 || limit > REPLAY_LIMIT_MAX)) {
        e = why_set(why, ERR_INVALID_FIELD, "limit", "limit is a number from 1 to %d.",
                    REPLAY_LIMIT_MAX);
    }
    int64_t replayed = 0;
    for (size_t left = (size_t)limit; e == OK && many.replay.more && left > 0;) {
        many.page = left < JOBS_LIST_MAX ? left : JOBS_LIST_MAX;
        e = store_write(ops->store, replay_page, &many, why);
        replayed += e == OK ? many.replay.replayed : 0;
        left -= many.page;
    }
    if (e == OK) {
        json_begin_object(call->out);
        json_key(call->out, "replayed");
        json_i64(call->out, replayed);
        json_key(call->out, "more");
        json_bool(call->out, many.replay.more);
        json_end_object(call->out);
    }
    return e;
}

/* ---- the table ---- */

static const char *const list_keys[] = {"state", "kind", "queue", NULL};
static const enum err operator_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, OK};
static const enum err show_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_NOT_FOUND, OK};
static const enum err move_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_NOT_FOUND,
                                       ERR_CONFLICT, OK};

static const char replay_body_schema[] =
    "{\"type\":\"object\",\"properties\":{\"kind\":{\"type\":\"string\"},\"limit\":{\"type\":"
    "\"integer\",\"minimum\":1,\"maximum\":10000}},\"additionalProperties\":false}";
static const char replay_schema[] =
    "{\"type\":\"object\",\"required\":[\"replayed\",\"more\"],\"properties\":{\"replayed\":"
    "{\"type\":\"integer\"},\"more\":{\"type\":\"boolean\"}}}";

static const struct http_query_doc query_docs[] = {
    {"state", "{\"enum\":[\"queued\",\"running\",\"done\",\"dead\",\"cancelled\"]}",
     "Only those in this state."},
    {"kind", "{\"type\":\"string\"}", "Only those of this kind; not together with queue."},
    {"queue", "{\"type\":\"string\"}", "Only those of this queue; not together with kind."},
    {NULL, NULL, NULL},
};

static const struct http_route routes[] = {
    {
        .method = HTTP_GET,
        .path = "/api/v1/jobs",
        .handler = jobs_index,
        .flags = HTTP_LIST | HTTP_OPERATOR,
        .query_keys = list_keys,
        .tag = "jobs",
        .operation = "listJobs",
        .summary = "Background jobs, newest first, without what they carry.",
        .reply_schema = ops_schema_jobs,
        .reply_status = 200,
        .errors = operator_errors,
    },
    {
        .method = HTTP_GET,
        .path = "/api/v1/jobs/queues",
        .handler = queues_index,
        .flags = HTTP_OPERATOR,
        .tag = "jobs",
        .operation = "listQueues",
        .summary = "Queues with their limits and what is in them.",
        .reply_schema = ops_schema_queues,
        .reply_status = 200,
        .errors = operator_errors,
    },
    {
        .method = HTTP_GET,
        .path = "/api/v1/jobs/schedules",
        .handler = schedules_index,
        .flags = HTTP_OPERATOR,
        .tag = "jobs",
        .operation = "listSchedules",
        .summary = "Schedules with their last and next time.",
        .reply_schema = ops_schema_schedules,
        .reply_status = 200,
        .errors = operator_errors,
    },
    {
        .method = HTTP_POST,
        .path = "/api/v1/jobs/replay",
        .handler = replay_many,
        .flags = HTTP_JSON_BODY | HTTP_OPERATOR,
        .tag = "jobs",
        .operation = "replayJobs",
        .summary = "Queues dead jobs again, all or of one kind.",
        .body_schema = replay_body_schema,
        .reply_schema = replay_schema,
        .reply_status = 200,
        .errors = operator_errors,
    },
    {
        .method = HTTP_GET,
        .path = "/api/v1/jobs/{jobId}",
        .handler = job_show,
        .flags = HTTP_OPERATOR,
        .tag = "jobs",
        .operation = "getJob",
        .summary = "One job with what it carries.",
        .reply_schema = ops_schema_job,
        .reply_status = 200,
        .errors = show_errors,
    },
    {
        .method = HTTP_POST,
        .path = "/api/v1/jobs/{jobId}/retry",
        .handler = job_retry,
        .flags = HTTP_OPERATOR,
        .tag = "jobs",
        .operation = "retryJob",
        .summary = "Lets a queued job run now.",
        .reply_schema = ops_schema_job,
        .reply_status = 200,
        .errors = move_errors,
    },
    {
        .method = HTTP_POST,
        .path = "/api/v1/jobs/{jobId}/cancel",
        .handler = job_cancel,
        .flags = HTTP_OPERATOR,
        .tag = "jobs",
        .operation = "cancelJob",
        .summary = "Cancels a queued job, or asks a running one to end.",
        .reply_schema = ops_schema_job,
        .reply_status = 200,
        .errors = move_errors,
    },
    {
        .method = HTTP_POST,
        .path = "/api/v1/jobs/{jobId}/replay",
        .handler = job_replay_one,
        .flags = HTTP_OPERATOR,
        .tag = "jobs",
        .operation = "replayJob",
        .summary = "Queues a dead job again.",
        .reply_schema = ops_schema_job,
        .reply_status = 200,
        .errors = move_errors,
    },
};

struct http_table ops_jobs_http_table(struct ops *ops)
{
    return (struct http_table){
        .routes = routes,
        .count = sizeof routes / sizeof routes[0],
        .ctx = ops,
        .query_docs = query_docs,
    };
}
