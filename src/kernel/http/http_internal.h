/*
 * http_internal.h: what the files of kernel/http share. Private to this folder.
 *
 * Who owns what
 *   keeper thread    the listening socket; accepts, hands sockets to MHD, closes late connections
 *   MHD I/O threads  sockets and the requests of their connections, until a request is queued
 *   worker thread    a queued request, until it resumes the connection
 * A request is attached to its connection from its request line to its last byte of answer, so
 * that it goes back to the pool whichever of MHD's callbacks comes last.
 *
 * The phase of a connection and its deadline are one atomic word. Whoever wants to write to the
 * socket first moves the phase by compare-and-swap; the keeper moves a late connection to DOOMED
 * the same way. So exactly one of them writes, and a doomed connection is only closed.
 */
#ifndef KERNEL_HTTP_HTTP_INTERNAL_H
#define KERNEL_HTTP_HTTP_INTERNAL_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "kernel/base/mem.h"
#include "kernel/base/metric.h"
#include "kernel/base/rand.h"
#include "kernel/http/http.h"
#include "kernel/http/request.h"
#include "kernel/store/store_lease.h"

#define HTTP_METHODS 5
#define HTTP_METHOD_NONE (-1)

struct MHD_Connection;
struct MHD_Daemon;

/* ---- router.c ---- */

struct http_router;

struct http_match {
    const struct http_route *route; /* NULL: path unknown or other method */
    void *ctx;
    unsigned methods; /* bits of the methods that the path has */
    struct http_param params[HTTP_PARAMS_MAX];
    size_t param_count;
};

/*
 * http_router_build compiles the rows into `boot`. Errors: ERR_CONFIG (conflict or bad row, named).
 */
enum err http_router_build(struct arena *boot, const struct http_table *tables, size_t table_count,
                           const struct http_router **out, struct why *why) ERR_CHECKED;
/* http_router_match looks a path up; `method` may be HTTP_METHOD_NONE. */
void http_router_match(const struct http_router *router, int method,
                       const struct http_segments *path, struct http_match *out);
/* http_method_parse returns the enum http_method, HTTP_GET for HEAD, or HTTP_METHOD_NONE. */
int http_method_parse(struct slice method);
/* http_method_name returns "GET" and so on. */
const char *http_method_name(enum http_method method);
/* http_query_doc_find returns what a table says of a key, or NULL; `docs` may be NULL. */
const struct http_query_doc *http_query_doc_find(const struct http_query_doc *docs,
                                                 const char *name);
/* http_allow_text returns the value of Allow for a set of methods. Owns: the arena. */
const char *http_allow_text(struct arena *req, unsigned methods);

/* ---- codes.c ---- */

/* http_takes_key says whether an Idempotency-Key is looked at. */
bool http_takes_key(const struct http_route *route);
/* http_is_counted says whether requests count against http.rate_limit. */
bool http_is_counted(const struct http_route *route);
/* http_codes_collect sets each code that the route can be refused with. */
void http_codes_collect(const struct http_route *route, bool codes[ERR_COUNT]);

/* ---- one request ---- */

enum http_state {
    HTTP_NEW,      /* request line seen */
    HTTP_AT_HEAD,  /* a worker looks who sends an upload, before its body */
    HTTP_ADMITTED, /* it has looked: there is an answer, or the body may come */
    HTTP_BODY,     /* headers accepted, body arriving */
    HTTP_DRAIN,    /* answer known, a small body is read and dropped first */
    HTTP_QUEUED,   /* a worker has it */
    HTTP_ANSWERED, /* answer ready to be sent */
    HTTP_SENT,     /* MHD has it */
};

struct http_answer {
    int status;
    struct slice body;
    const char *content_type; /* NULL without a body */
    const char *allow;
    struct slice location;
    struct slice etag;
    bool has_file; /* instead of `body`: so much of the call's file */
    uint64_t file_from;
    uint64_t file_len;
    struct slice disposition;
    struct slice content_range;
    bool retry_after;
    int64_t retry_sec; /* 0: one */
    bool limited;      /* the next three are told */
    uint64_t limit;
    uint64_t limit_left;
    int64_t limit_reset_sec;
    bool replayed;
    bool close;
    bool gzipped;
    bool varies; /* by what the client takes: it is, or could have been, compressed */
    bool is_get;
    bool is_private; /* of a route that costs something */
};

/* The limit that an answer tells of: the one that is nearest to its end. */
struct http_limited {
    bool is;
    uint64_t uses;
    struct cache_verdict verdict;
};

struct http_request {
    struct http_server *server;
    struct http_conn *conn;
    struct MHD_Connection *mhd;
    struct http_request *next; /* in the queue, or in the pool */
    enum http_state state;
    struct arena arena;
    struct http_call call;
    struct slice target; /* as sent */
    const char *target_ptr;
    struct slice query;
    struct http_framing framing;
    struct buf body;
    size_t body_max;
    uint64_t body_seen;       /* of an upload */
    struct http_spool *spool; /* of an upload that is under way, or NULL */
    struct http_limited limited;
    struct buf out_buf;
    struct json_out out;
    struct http_answer answer;
    enum err err; /* that it was answered with */
    bool unpaid;  /* refused by the cashier */
    bool wipe;    /* a secret is in the arena */
    int method;
    int64_t begun_usec; /* monotonic */
    int64_t body_usec;  /* an upload's body may come since; monotonic */
    char id[HTTP_ID_MAX];
};

/* http_request_take takes a fresh request from the pool. */
struct http_request *http_request_take(struct http_server *server);
/* http_request_give empties a request and gives it back to the pool. */
void http_request_give(struct http_request *req);

/* ---- reply.c ---- */

/* http_reply_begin positions call->out (or call->raw) for the handler. */
void http_reply_begin(struct http_request *req);
/* http_reply_success closes the envelope and fills req->answer. */
void http_reply_success(struct http_request *req);
/* http_reply_error fills req->answer with the failure envelope. */
void http_reply_error(struct http_request *req, enum err e, const struct why *why);
/* http_reply_options fills req->answer for OPTIONS. */
void http_reply_options(struct http_request *req, unsigned methods);
/*
 * http_reply_bare appends a whole HTTP/1.1 failure answer, for sockets that MHD cannot answer on.
 */
void http_reply_bare(struct buf *out, enum err e, struct slice request_id);
/* http_answer_policy returns the Content-Security-Policy that fits the content type. */
const char *http_answer_policy(const struct http_answer *answer);

/* ---- upload.c ---- */

/* The whole of an upload may be so much larger than its file. */
#define HTTP_UPLOAD_EXTRA_BYTES 65536

/*
 * http_upload_open makes ready for the body of an upload. Errors: ERR_UNSUPPORTED_MEDIA,
 * ERR_RATE_LIMITED, ERR_OVERLOADED, ERR_DISK_FULL, ERR_IO.
 */
enum err http_upload_open(struct http_request *req, struct why *why) ERR_CHECKED;
/*
 * http_upload_feed takes bytes of the body. Errors: ERR_BODY_TOO_LARGE, ERR_DISK_FULL, ERR_IO,
 * those of what is no such body.
 */
enum err http_upload_feed(struct http_request *req, struct slice bytes,
                          struct why *why) ERR_CHECKED;
/* http_upload_finish gives the call what came. Errors: ERR_INVALID_ENCODING. */
enum err http_upload_finish(struct http_request *req, struct why *why) ERR_CHECKED;
/* http_upload_close lets the file go; without one it does nothing. */
void http_upload_close(struct http_request *req);
/* http_upload_hash absorbs what an upload says, whatever its boundary is. */
void http_upload_hash(const struct http_request *req, struct sha256 *stream);

/* ---- file.c ---- */

/* http_file_answer fills req->answer from the call's file. */
void http_file_answer(struct http_request *req);
/* http_file_close closes the call's file, if it is still the request's. */
void http_file_close(struct http_request *req);

/* ---- represent.c ---- */

/* http_represent gives an answer to GET its validator, answers 304 if that fits, and compresses. */
void http_represent(struct http_request *req);

/* ---- cors.c ---- */

#define HTTP_CORS_HEADERS_MAX 5

struct http_cors {
    bool any;
    const struct slice *origins;
    size_t count;
};

/* http_cors_parse reads http.cors_origins. Errors: ERR_CONFIG. */
enum err http_cors_parse(struct arena *arena, const char *text, struct http_cors *out,
                         struct why *why) ERR_CHECKED;
/* http_cors_allows says whether an origin is in the list. */
bool http_cors_allows(const struct http_cors *cors, struct slice origin);
/* http_cors_headers writes what the answer tells browsers, and says how many headers that are. */
size_t http_cors_headers(struct http_request *req, struct http_param out[HTTP_CORS_HEADERS_MAX]);

/* ---- idempotency.c ---- */

struct http_idempotency {
    struct slice key;
    struct slice route;
    struct slice principal;
    uint8_t body_hash[32];
    int64_t started_usec;          /* wall; with the server's id it names this run */
    struct http_idempotency *next; /* of the server's runs */
};

enum http_idempotency_verdict {
    HTTP_IDEMPOTENCY_RUN,    /* ours: run the handler, then finish */
    HTTP_IDEMPOTENCY_REPLAY, /* answered before: out_answer holds it */
};

/*
 * http_idempotency_begin claims the key of a request. With HTTP_IDEMPOTENCY_RUN `out` is a run of
 * the server, and stays where it is, until http_idempotency_finish.
 * Errors: ERR_IDEMPOTENCY_MISMATCH, ERR_IN_PROGRESS, those of store_write.
 */
enum err http_idempotency_begin(struct http_request *req, struct http_idempotency *out,
                                enum http_idempotency_verdict *out_verdict,
                                struct http_answer *out_answer, struct why *why) ERR_CHECKED;
/*
 * http_idempotency_finish ends a run: it keeps the answer, or forgets the key when `keep` is false.
 * When that fails, the next request with the key finds that nobody runs it, and takes it over.
 */
enum err http_idempotency_finish(struct http_request *req, struct http_idempotency *run, bool keep,
                                 struct why *why) ERR_CHECKED;

/* ---- worker.c ---- */

struct http_worker {
    struct http_server *server;
    struct http_worker *next_idle;
    pthread_t thread;
    pthread_cond_t woken;
    bool is_idle;
};

struct http_queue {
    pthread_mutex_t mutex;
    struct http_worker *idle; /* the last to fall idle first: its caches are warm */
    struct http_request *head;
    struct http_request *tail;
    _Atomic int64_t places; /* free ones */
    bool refuse;            /* answer 503 instead of running handlers */
    bool quit;
    bool waking; /* a worker was woken and has not looked yet */
    struct http_worker *workers;
    size_t worker_count;
};

/* http_workers_start starts the threads. Errors: ERR_IO. */
enum err http_workers_start(struct http_server *server, struct why *why) ERR_CHECKED;
/* http_workers_reserve takes a place in the queue; false when there is none. */
bool http_workers_reserve(struct http_server *server);
/* http_workers_push queues a request whose place was reserved and connection suspended. */
void http_workers_push(struct http_request *req);
/* http_workers_refuse answers 503 to everything that is and will be queued. */
void http_workers_refuse(struct http_server *server);
/* http_workers_stop empties the queue and joins. */
void http_workers_stop(struct http_server *server);
/* http_serve runs one request to its answer. */
void http_serve(struct http_request *req);

/* ---- callers.c ---- */

/*
 * http_recognise finds out who calls. Errors: ERR_UNAUTHENTICATED, those of the authority's store.
 */
enum err http_recognise(struct http_request *req, struct why *why) ERR_CHECKED;
/* http_admit says whether he may. Errors: ERR_UNAUTHENTICATED, ERR_FORBIDDEN. */
enum err http_admit(struct http_request *req, struct why *why) ERR_CHECKED;

/* ---- detach.c ---- */

/* http_request_of returns the request that a call belongs to. */
struct http_request *http_request_of(const struct http_call *call);

/* ---- limit.c ---- */

/*
 * http_limit_client counts a request against its client's limit, before anything is looked up for
 * it. Errors: ERR_RATE_LIMITED.
 */
enum err http_limit_client(struct http_request *req, struct http_limited *out,
                           struct why *why) ERR_CHECKED;
/*
 * http_limit_caller counts it against the limits of its caller's tier and of its operation; by its
 * client, where nobody is known to call. Errors: ERR_RATE_LIMITED.
 */
enum err http_limit_caller(struct http_request *req, struct http_limited *out,
                           struct why *why) ERR_CHECKED;
/* http_limit_tell makes the answer say what is left. */
void http_limit_tell(struct http_request *req, const struct http_limited *limited);
/* http_limit_seconds rounds up. */
int64_t http_limit_seconds(int64_t usec);
/* http_final_find answers from what was kept of a route's final answers; false when it was not. */
bool http_final_find(struct http_request *req);
/* http_final_keep keeps the answer, if it is final. */
void http_final_keep(struct http_request *req);

/* ---- tiers.c ---- */

#define HTTP_WINDOWS 3 /* a minute, an hour, a day */

struct http_tier {
    const char *name;
    unsigned roles;              /* one of them; 0: any */
    bool known;                  /* who calls */
    uint64_t uses[HTTP_WINDOWS]; /* all 0: without limits */
};

struct http_operation {
    const char *name;
    uint64_t uses[HTTP_WINDOWS];
};

/* http_tier_of finds the row of a caller. */
const struct http_tier *http_tier_of(bool known, unsigned roles);
/* http_operation_of finds the row of a class; NULL for HTTP_LIMIT_NONE. */
const struct http_operation *http_operation_of(enum http_limit_class class);
/*
 * http_tier_take counts a request of `who`, unless it is refused. `out` becomes the limit that is
 * nearest to its end. Errors: ERR_RATE_LIMITED.
 */
enum err http_tier_take(struct arena *arena, struct cache *cache, struct slice who,
                        const struct http_tier *tier, enum http_limit_class class,
                        struct http_limited *out, struct why *why) ERR_CHECKED;
/* http_exempt_check reads http.rate_exempt. Errors: ERR_CONFIG. */
enum err http_exempt_check(const char *list, struct why *why) ERR_CHECKED;
/* http_is_exempt says whether a client or a caller stands in http.rate_exempt. */
bool http_is_exempt(const char *list, struct slice client, struct slice principal);

/* ---- conns.c ---- */

enum http_phase {
    HTTP_PHASE_FIRST,   /* connected, no request line yet */
    HTTP_PHASE_IDLE,    /* between two requests */
    HTTP_PHASE_HEADERS, /* request line seen */
    HTTP_PHASE_BODY,
    HTTP_PHASE_RUNNING, /* no deadline */
    HTTP_PHASE_SENDING,
    HTTP_PHASE_DOOMED, /* being closed */
};

struct http_client;

struct http_conn {
    struct http_server *server;
    struct http_conn *prev;
    struct http_conn *next;
    struct http_request *request;
    struct http_client *client;
    int fd;
    bool served;           /* a request before; I/O thread only */
    _Atomic uint64_t word; /* deadline in microseconds << 3 | phase */
    uint64_t ended_word;   /* keeper only: `word` when the client was seen to have closed, or 0 */
    int64_t ended_usec;    /* keeper only: when that was */
    int64_t accepted_usec;
    uint8_t client_key[16];
    char address[INET6_ADDRSTRLEN];
};

struct http_conns {
    pthread_mutex_t mutex;
    struct http_conn *pending; /* given to MHD, not yet announced by it */
    struct http_conn *live;
    struct http_conn *spare;
    struct http_client **buckets;
    struct http_client *client_spare;
    size_t bucket_count;
    size_t count;
    size_t count_max;
    size_t per_client_max;
    struct arena scratch; /* the keeper's */
    int listen_fd;
    int wake_fd;
    bool has_keeper;
    pthread_t keeper;
    _Atomic bool quit;
};

/* http_conns_listen opens the socket. Errors: ERR_IO (names what is in use), ERR_CONFIG. */
enum err http_conns_listen(struct http_server *server, struct why *why) ERR_CHECKED;
/* http_conns_start starts the keeper. Errors: ERR_IO. */
enum err http_conns_start(struct http_server *server, struct why *why) ERR_CHECKED;
/* http_conns_wake makes the keeper look around now. */
void http_conns_wake(struct http_server *server);
/* http_conns_cut dooms all connections but those whose request runs. */
void http_conns_cut(struct http_server *server);
/* http_conns_stop joins the keeper and frees; MHD must have stopped. */
void http_conns_stop(struct http_server *server);
/* http_conn_opened finds the record of a socket that MHD announces. */
struct http_conn *http_conn_opened(struct http_server *server, int fd);
/* http_conn_closed forgets a connection; MHD closes the socket afterwards. */
void http_conn_closed(struct http_conn *conn);
/* http_conn_enter moves the phase; false when the connection is doomed. Units: monotonic usec. */
bool http_conn_enter(struct http_conn *conn, enum http_phase phase, int64_t deadline_usec);
/* http_conn_refuse writes a bare failure to a connection of this I/O thread and dooms it. */
void http_conn_refuse(struct http_conn *conn, struct arena *req, enum err e,
                      struct slice request_id);

/* http_conn_upload_begin counts an upload of the client; false when he has as many as he may. */
bool http_conn_upload_begin(struct http_conn *conn);
/* http_conn_upload_end ends one. */
void http_conn_upload_end(struct http_conn *conn);

/* ---- server.c ---- */

enum http_mode {
    HTTP_SERVING,
    HTTP_DRAINING,
};

struct http_server {
    struct http_config config;
    struct arena boot;
    const struct http_router *router;
    struct http_cors cors;
    struct store *store;
    struct MHD_Daemon *daemon;
    uint16_t port;
    _Atomic int mode;
    _Atomic int64_t active; /* requests between request line and last byte */
    _Atomic int64_t uploads;
    pthread_mutex_t idle_mutex;
    pthread_cond_t idle; /* active fell to 0 */
    pthread_mutex_t pool_mutex;
    struct http_request *pool;
    size_t pooled;
    struct http_queue queue;
    struct http_conns conns;
    pthread_mutex_t runs_mutex;
    struct http_idempotency *runs; /* handlers that run under a key */
    int64_t started_usec;          /* wall */
    char boot_id[RAND_ID_MAX];
};

/* ---- mhd.c ---- */

/* http_mhd_start starts MHD's threads, without a socket to listen on. Errors: ERR_IO. */
enum err http_mhd_start(struct http_server *server, struct why *why) ERR_CHECKED;

/* ---- metrics.c ---- */

enum http_metric {
    HTTP_METRIC_2XX,
    HTTP_METRIC_3XX,
    HTTP_METRIC_4XX,
    HTTP_METRIC_5XX,
    HTTP_METRIC_DURATION,
    HTTP_METRIC_CONNECTIONS,
    HTTP_METRIC_ACTIVE,
    HTTP_METRIC_REJECTED_CONNECTIONS,
    HTTP_METRIC_REJECTED_CLIENT,
    HTTP_METRIC_REJECTED_QUEUE,
    HTTP_METRIC_REJECTED_DEADLINE,
    HTTP_METRIC_REJECTED_RATE,
    HTTP_METRIC_REPLAYED,
    HTTP_METRIC_COUNT
};

extern struct metric_value http_metrics[HTTP_METRIC_COUNT]; /* see http_metrics_register */

#endif
