#include <microhttpd.h>

#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/http/http_internal.h"

/* ---- one request ----------------------------------------------------------------------------- */

static enum err read_json(struct http_request *req, struct why *why)
{
    struct http_call *call = &req->call;
    struct json_limits limits = json_limits_body;
    limits.bytes_max = req->body_max;
    if (call->body.len == 0) {
        return why_set(why, ERR_INVALID_JSON, NULL, "The body must be a JSON object; it is empty.");
    }
    enum err e = json_parse(call->req, call->body, &limits, &call->json, why);
    if (e) {
        return e;
    }
    if (call->json->type != JSON_OBJECT) {
        return why_set(why, ERR_INVALID_TYPE, NULL, "The body must be a JSON object.");
    }
    return OK;
}

static enum err decode(struct http_request *req, struct why *why)
{
    struct http_call *call = &req->call;
    enum err e = http_query_decode(call->req, req->query, call->route, &call->query,
                                   &call->query_count, why);
    if (!e && (call->route->flags & HTTP_JSON_BODY)) {
        e = read_json(req, why);
    }
    return e;
}

static void fail(struct http_request *req, enum err e, const struct why *why)
{
    http_reply_error(req, e, why);
    if (req->answer.status >= 500) {
        LOG(LOG_ERROR, "http.request_failed", log_slice("req", req->call.request_id),
            log_text("route", req->call.route->path), log_err(e), log_why(why, e));
    }
}

/* Runs the handler and leaves the answer in req->answer. */
static void run_free(struct http_request *req)
{
    struct why why = {.err = OK};
    http_reply_begin(req);
    enum err e = req->call.route->handler(&req->call, &why);
    if (e) {
        fail(req, e, &why);
    } else if (!req->call.detached) {
        http_reply_success(req);
    }
}

static bool costs(const struct http_request *req)
{
    const struct http_cashier *cashier = req->server->config.cashier;
    return cashier != NULL && cashier->charges(cashier->ctx, req->call.route);
}

/* Holds the answer of the handler back until the cashier has let it go. */
static enum err run_paid(struct http_request *req, struct http_toll *toll, struct why *why)
{
    const struct http_cashier *cashier = req->server->config.cashier;
    const struct http_answer *a = &req->answer;
    req->call.toll = toll->state;
    run_free(req);
    if (a->status >= 400) {
        cashier->fail(cashier->ctx, &req->call, toll);
        return OK;
    }
    toll->status = a->status;
    toll->content_type = a->content_type;
    toll->location = a->location;
    toll->body = a->body;
    req->call.details = NULL;
    return cashier->leave(cashier->ctx, &req->call, toll, why);
}

static void run_handler(struct http_request *req)
{
    const struct http_cashier *cashier = req->server->config.cashier;
    struct http_toll toll = {.told = false};
    struct why why = {.err = OK};
    if (!costs(req)) {
        if (req->call.route->flags & HTTP_PAID) {
            fail(req,
                 why_set(&why, ERR_FORBIDDEN, NULL,
                         "This costs something, and payments are not taken here."),
                 &why);
            return;
        }
        run_free(req);
        return;
    }
    enum err e = cashier->enter(cashier->ctx, &req->call, &toll, &why);
    if (!e && !toll.told) {
        e = run_paid(req, &toll, &why);
    } else if (!e) {
        req->answer = (struct http_answer){
            .status = toll.status,
            .body = toll.body,
            .content_type = toll.content_type,
            .location = toll.location,
            .is_get = req->method == HTTP_GET,
        };
    }
    req->unpaid = e != OK;
    if (e) {
        fail(req, e, &why);
    }
    req->answer.is_private = true;
}

static enum err run_once(struct http_request *req, struct why *why)
{
    struct http_idempotency run;
    enum http_idempotency_verdict verdict;
    enum err e = http_idempotency_begin(req, &run, &verdict, &req->answer, why);
    if (e) {
        return e;
    }
    if (verdict == HTTP_IDEMPOTENCY_REPLAY) {
        metric_add(&http_metrics[HTTP_METRIC_REPLAYED], 1);
        return OK;
    }
    run_handler(req);
    bool keep = req->answer.status < 500 && !req->unpaid && !(req->err && err_retryable(req->err));
    struct why unkept;
    e = http_idempotency_finish(req, &run, keep, &unkept);
    if (e) {
        /* The effects stand and the caller learns of them; a retry runs the handler again. */
        LOG(LOG_WARN, "http.answer_not_kept", log_slice("req", req->call.request_id), log_err(e),
            log_why(&unkept, e));
    }
    return OK;
}

static bool wants_once(const struct http_request *req)
{
    return req->method == HTTP_POST && req->call.idempotency_key.len > 0 && req->server->store &&
           !(req->call.route->flags & HTTP_NO_IDEMPOTENCY);
}

/* Who sends what is not valid is counted too, as nobody: guessing is limited. */
static enum err enter(struct http_request *req, struct why *why)
{
    enum err e = http_limit_client(req, &req->limited, why);
    if (e) {
        return e;
    }
    e = http_recognise(req, why);
    if (!e || e == ERR_UNAUTHENTICATED) {
        struct why refused = {.err = OK};
        enum err beyond = http_limit_caller(req, &req->limited, &refused);
        if (beyond) {
            *why = refused;
            return beyond;
        }
    }
    return e ? e : http_admit(req, why);
}

/* Who calls and what he may. Of an upload that is known from its head on. */
static enum err admit(struct http_request *req, struct why *why)
{
    if (req->spool) {
        return OK;
    }
    return enter(req, why);
}

/* An upload whose body has not come: an answer is left only when it need not come. */
static void serve_head(struct http_request *req)
{
    struct why why = {.err = OK};
    enum err e = admit(req, &why);
    e = e ? e : decode(req, &why);
    e = e ? e : http_upload_open(req, &why);
    if (e) {
        fail(req, e, &why);
        http_limit_tell(req, &req->limited);
    }
}

void http_serve(struct http_request *req)
{
    struct why why = {.err = OK};
    if (req->state == HTTP_AT_HEAD) {
        serve_head(req);
        return;
    }
    enum err e = admit(req, &why);
    if (!e && !costs(req) && http_final_find(req)) {
        http_represent(req);
        http_limit_tell(req, &req->limited);
        return;
    }
    e = e ? e : (req->spool ? OK : decode(req, &why));
    if (!e && wants_once(req)) {
        e = run_once(req, &why);
    } else if (!e) {
        run_handler(req);
        if (!req->answer.is_private) {
            http_final_keep(req);
            http_represent(req);
        }
    }
    if (e) {
        fail(req, e, &why);
    }
    http_limit_tell(req, &req->limited);
}

struct audit_entry http_audit(const struct http_call *call, const struct audit_action *action)
{
    return (struct audit_entry){
        .action = action,
        .actor_kind = AUDIT_CALLER,
        .actor = call->principal,
        .request_id = call->request_id,
    };
}

/* ---- the queue ------------------------------------------------------------------------------- */

bool http_workers_reserve(struct http_server *server)
{
    struct http_queue *q = &server->queue;
    if (atomic_fetch_sub(&q->places, 1) > 0) {
        return true;
    }
    atomic_fetch_add(&q->places, 1);
    return false;
}

/*
 * One worker is woken at a time; it wakes the next one when it finds more than it can take. So a
 * burst of short requests does not rouse every thread to find nothing left. The caller holds the
 * mutex.
 */
static void wake_one(struct http_queue *q)
{
    struct http_worker *w = q->idle;
    if (w && !q->waking) {
        q->idle = w->next_idle;
        q->waking = true;
        w->is_idle = false;
        pthread_cond_signal(&w->woken);
    }
}

void http_workers_push(struct http_request *req)
{
    struct http_queue *q = &req->server->queue;
    req->next = NULL;
    pthread_mutex_lock(&q->mutex);
    if (q->tail) {
        q->tail->next = req;
    } else {
        q->head = req;
    }
    q->tail = req;
    wake_one(q);
    pthread_mutex_unlock(&q->mutex);
}

/* Waits for the next request; NULL when the server stops and none is left. */
static struct http_request *queue_pop(struct http_worker *w, bool *out_refuse)
{
    struct http_queue *q = &w->server->queue;
    pthread_mutex_lock(&q->mutex);
    while (!q->head && !q->quit) {
        w->is_idle = true;
        w->next_idle = q->idle;
        q->idle = w;
        while (w->is_idle) {
            pthread_cond_wait(&w->woken, &q->mutex);
        }
        q->waking = false;
    }
    struct http_request *req = q->head;
    if (req) {
        q->head = req->next;
        q->tail = q->head ? q->tail : NULL;
    }
    if (q->head || q->quit) {
        wake_one(q);
    }
    *out_refuse = q->refuse;
    pthread_mutex_unlock(&q->mutex);
    if (req) {
        atomic_fetch_add(&q->places, 1);
    }
    return req;
}

static void *worker_main(void *arg)
{
    struct http_worker *w = arg;
    bool refuse;
    struct http_request *req;
    while ((req = queue_pop(w, &refuse)) != NULL) {
        if (refuse) {
            http_reply_error(req, ERR_STOPPING, NULL);
        } else {
            http_serve(req);
        }
        req->state = req->state == HTTP_AT_HEAD ? HTTP_ADMITTED : HTTP_ANSWERED;
        /* From here on the request belongs to its I/O thread again. */
        MHD_resume_connection(req->mhd);
    }
    return NULL;
}

enum err http_workers_start(struct http_server *server, struct why *why)
{
    struct http_queue *q = &server->queue;
    size_t count = (size_t)server->config.workers;
    q->workers = arena_alloc_array(&server->boot, count, sizeof *q->workers);
    /* A place is free again when a worker takes the request out. */
    atomic_store(&q->places, (int64_t)server->config.queue_max);
    for (size_t i = 0; i < count; i++) {
        struct http_worker *w = &q->workers[i];
        w->server = server;
        pthread_cond_init(&w->woken, NULL);
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            pthread_cond_destroy(&w->woken);
            return why_set(why, ERR_IO, NULL, "The system does not give %zu HTTP worker threads.",
                           count);
        }
        q->worker_count++;
    }
    return OK;
}

void http_workers_refuse(struct http_server *server)
{
    pthread_mutex_lock(&server->queue.mutex);
    server->queue.refuse = true;
    pthread_mutex_unlock(&server->queue.mutex);
}

void http_workers_stop(struct http_server *server)
{
    struct http_queue *q = &server->queue;
    pthread_mutex_lock(&q->mutex);
    q->quit = true;
    wake_one(q);
    pthread_mutex_unlock(&q->mutex);
    for (size_t i = 0; i < q->worker_count; i++) {
        (void)pthread_join(q->workers[i].thread, NULL);
        pthread_cond_destroy(&q->workers[i].woken);
    }
    q->worker_count = 0;
}
