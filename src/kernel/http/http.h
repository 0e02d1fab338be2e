/*
 * http.h: the API server: routes are rows, a handler is one plain synchronous function.
 *
 * How a request travels
 *   libmicrohttpd's epoll threads read headers and body into the request's arena, enforcing every
 *   limit while streaming; the connection is then suspended and the request handed to a worker
 *   thread, which runs the handler and resumes the connection with the answer. A blocking handler
 *   therefore holds one worker, never the I/O threads. When all workers are busy and the queue is
 *   full the answer is 503 with Retry-After at once. One more thread, the keeper, accepts
 *   connections and closes those that are past a deadline, or whose client left in mid-body.
 *
 * Hardening (on top of MHD's parser): exactly one Host, at most one Content-Length, none
 * together with Transfer-Encoding, no folded header lines, no bare line feeds (400 and close);
 * header block capped (431), body capped before and during streaming (413), a deadline for the
 * header, for the whole request and for taking the answer, enforced by the keeper (408/close), a
 * cap on connections in all and per address (IPv6: per /64), keep-alive idle timeout. Security
 * headers on every answer of ours; the few requests that MHD itself refuses (no HTTP at all, a
 * header block beyond its buffer, a length or chunk that is no number) get its bare error page.
 * Never a stack trace, never a secret: a failure with status 500 is answered with the general
 * sentence and logged with the real one.
 *
 * Envelope
 *   success  {"success":true,"data":…}                     plus "nextCursor"/"count" for lists
 *   failure  {"success":false,"error":"<sentence>","code":"<code>","field":"…"?,"details":…?,
 *             "requestId":"req_…"}                         with the status of the error's row
 *   Handlers return `enum err`; one renderer writes failures. Success bodies are written by the
 *   handler through `call->out`, positioned at the value of "data".
 *
 * Routes
 *   A row: method, path with {parameters}, handler, flags, body limit, doc, and the schemas that
 *   the OpenAPI document is generated from (openapi.h). Paths start with /api/v1; each row may list
 *   aliases (the seeds' own paths). A known path with another method is 405 with Allow; HEAD is
 *   GET without body; OPTIONS answers Allow. Trailing slashes are not significant. Parameters are
 *   percent-decoded once, must be UTF-8 without control characters; an encoded slash is data, "."
 *   and ".." are refused. Where a literal segment and a parameter both fit, the literal wins; two
 *   rows of one method whose patterns differ in parameter names only stop the start.
 *
 * Idempotency: a POST with Idempotency-Key (1-255 visible characters) runs once per key, route
 * and principal: the stored answer is given again (header Idempotency-Replayed: true), another body
 * is 409 idempotency_mismatch, a first one still running is 409 in_progress with Retry-After. The
 * row is written before the handler runs; answers with 5xx, and those that may be tried again
 * unchanged (err_retryable), are not kept. Keys live 7 days (HTTP_KEY_LIFE_USEC).
 *   A crash between the row and the answer leaves the row "running", and so does a database that
 * goes away in between. Rows carry the id of the process and a time: one whose run has ended
 * without an answer, of a process that does not live any more, or older than 10 minutes, is taken
 * over by the next request with that key, which runs the handler again although an unknown part of
 * the first run may be durable. (That a run ended so is known in its own process only; other
 * processes wait the 10 minutes.) Handlers must therefore key their own effects (intents, jobs,
 * ledger transfers) by call->idempotency_key when it is not empty: then the second run finds what
 * the first one did. The late finish of a run that was taken over changes nothing.
 *
 * Operators: a route with HTTP_OPERATOR is answered to callers with `Authorization: Bearer` and
 * http.operator_token, compared in constant time (401 unauthenticated otherwise). Without a token
 * configured it is answered to clients of this machine only (403 forbidden otherwise). A proxy on
 * this machine makes everybody such a client: set the token then. A request with Origin comes from
 * a page, which anybody may have made: without credentials it is never such a client.
 *
 * Callers: `Authorization: Bearer` carries http.operator_token (principal "operator", roles admin
 * and operator) or what the authority of the configuration knows (kernel/auth: an API key, or the
 * access token of a wallet's session). What is sent and is not valid is 401 on every route, never
 * ignored; a scheme that we do not speak too. Only what works without a database (health) looks at
 * no credentials, unless it is for operators. A row's `roles` are who may call it: 401 without
 * credentials, 403 without one of the roles; admin may call everything. HTTP_OPERATOR is also open
 * to the roles operator and admin. A row without roles is open to everybody; with
 * http.auth_required those that change something ask for a caller with one of the row's
 * `auth_roles`, or of any role where it names none. Who it is, is call->principal: keys of
 * idempotency and rows of the audit log are by it.
 *
 * Routes that cost something: which ones, how much and how it is paid is known to the cashier of
 * the configuration (kernel/paywall), of whom http knows only when he is asked: after credentials
 * and body were looked at, before the handler (`enter`), and before the handler's answer goes out
 * (`leave`). Until then the answer is held back; a cashier who refuses it has it replaced by the
 * refusal. A handler that fails keeps its own answer, and the cashier is told (`fail`). He may also
 * know the answer already (`toll.told`): then nothing runs. What he refuses is never kept under an
 * Idempotency-Key, so that the request can be paid under the same key; what was paid under one is
 * given again under it without being paid again. Answers of such routes are told apart by nobody in
 * between (Cache-Control: private, no-store), have no validator and are not compressed.
 *
 * Limit of requests: with `rate_limit` each client (an IPv4 address, an IPv6 /64) may make so many
 * requests in any 60 seconds; routes for operators are not counted. Every answer then tells
 * X-RateLimit-Limit, -Remaining and -Reset (seconds until all are back), a refusal 429 also
 * Retry-After. With `rate_tiers` callers have limits too, for a minute, an hour and a day: by their
 * tier (nobody known, known, verified by a role that was granted, without limits), counted by
 * principal, or by client where nobody is known or what was sent is not valid; and by the row's
 * `limit`, what the request does. The tables are in tiers.c. An answer tells the limit that is
 * nearest to its end. Clients and callers in `rate_exempt` have none. With Redis all processes
 * count together (cache.h). Behind a proxy all clients are one: leave it to the proxy.
 *
 * Browsers: pages of the origins in `cors_origins` may call the API and read the headers that an
 * answer is incomplete without (Fetch standard, CORS protocol). Credentials of the browser itself
 * (cookies) are never allowed: callers send theirs in Authorization. With a list of origins every
 * answer varies by Origin; a page of another origin gets an answer that its browser keeps from it.
 *
 * What a GET answers with 200 has a validator: the handler's own, or the first half of the body's
 * SHA-256. A client that takes gzip (RFC 9110 section 12.5.3) gets answers to GET of 1 KiB and
 * more compressed, under a validator of their own. Answers to POST are never compressed: secrets
 * are shown there.
 *
 * Uploads: a route with HTTP_UPLOAD takes multipart/form-data with one file and some short fields.
 * Who calls, whether he may, his limit and the number of uploads under way are looked at before the
 * body: a worker does it while the connection is suspended at its head. The file then goes to disk
 * as it comes, hashed, without a name (so that a crash leaves nothing), in memory that does not
 * grow with it, and is closed with the request. It may take as long as any request, and a second
 * for each 16 KiB that have come. What is refused in the middle is read to its end and dropped, so
 * that clients see the answer; those that wait for 100-continue see it before they send anything.
 * An Idempotency-Key stands for the file's hash and the fields, whatever the boundary was.
 *
 * Files: a handler of an HTTP_RAW route may answer with an open file (call->file), which is sent
 * without passing through memory: whole, or the one range that was asked for (206, 416), with a
 * validator of its own (If-None-Match, If-Range) and a name that no header can be broken with.
 *
 * Secrets: a request that sent credentials, and one to a route with `secret`, has its arena wiped
 * when its answer has left. MHD's own buffer, in which headers and body arrived, is not ours to
 * wipe.
 *
 * Long-lived connections: the handler of a route with HTTP_DETACHES may take the socket of its
 * connection (http_detach) when everything that is asked of a request has been looked at: framing,
 * limit, caller, query. From then on the socket is the handler's, which answers on it itself;
 * the connection does not count here any more and no deadline of this server is on it.
 *
 * Answers that can never change (call->final, of routes with HTTP_MAY_BE_FINAL) are kept in Redis
 * under path and query, and given from there.
 *
 * Graceful stop: listening ends, idle connections close, requests that have arrived finish within
 * `drain_usec`; after that, waiting ones get 503 and connections are cut. A handler that runs is
 * always waited for (what it stands on is about to be freed), then threads join.
 *
 * Threads: handlers run on `workers` threads at once, each call on one. A struct http_call, its
 * arena and everything in it belong to that call and die with the answer.
 */
#ifndef KERNEL_HTTP_HTTP_H
#define KERNEL_HTTP_HTTP_H

#include "kernel/audit/audit.h"
#include "kernel/base/config.h"
#include "kernel/base/json.h"
#include "kernel/cache/cache.h"
#include "kernel/crypto/hash.h"
#include "kernel/store/store.h"

struct http_server;

enum http_method {
    HTTP_GET,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
};

#define HTTP_PARAMS_MAX 6
#define HTTP_ADDED_MAX 4

struct http_param {
    struct slice name;
    struct slice value;
};

/* The file of an upload. What the client says of it is not to be believed. */
struct http_upload {
    int fd; /* the server's, without a name, in http.upload_dir; at its end */
    struct slice field;
    struct slice name;
    struct slice content_type;
    uint64_t size;
    struct hash sha256;
};

/* A file to answer with. */
struct http_file {
    bool is_open;
    int fd; /* the server's once is_open is set */
    uint64_t size;
    struct slice name; /* UTF-8 */
    const char *content_type;
    struct slice etag; /* strong validator without quotes */
};

struct http_call {
    const struct http_route *route;
    struct slice method;
    struct slice path;
    struct slice target;                       /* path and query as they were sent */
    struct http_param params[HTTP_PARAMS_MAX]; /* of the path */
    size_t param_count;
    const struct http_param *query; /* decoded; first occurrence counts, repeats are 400 */
    size_t query_count;
    const struct http_param *headers;
    size_t header_count;
    struct slice body;
    const struct json *json;          /* of a body with HTTP_JSON_BODY; an object */
    const struct http_upload *upload; /* with HTTP_UPLOAD; NULL when no file came */
    const struct http_param *fields;  /* with HTTP_UPLOAD: the other parts */
    size_t field_count;
    struct slice request_id;
    struct slice client;          /* remote address */
    struct slice idempotency_key; /* "" when none was sent */
    struct slice principal;       /* "key:…", "wallet:0x…", "operator"; "" for nobody known */
    unsigned roles;               /* of the principal: bits of enum http_role */
    struct slice session;         /* that the principal calls in, "" for none */

    struct arena *req;
    struct store *store;
    void *ctx; /* of the route table */

    int status; /* of success (HTTP_RAW: any); the row's reply_status or 200 unless set here */
    struct json_out *out;     /* at the value of "data"; the handler writes exactly one value */
    struct buf *raw;          /* with HTTP_RAW: the whole body instead of the envelope */
    const char *content_type; /* with HTTP_RAW */
    struct http_file file;    /* with HTTP_RAW, of a GET: the answer, once it is open */
    struct slice next_cursor; /* lists: opaque, "" at the end */
    bool has_count;
    uint64_t count;           /* lists: envelope member "count" */
    void *toll;               /* of a route that costs something: the state of its cashier */
    struct slice etag;        /* GET: strong validator without quotes, "" for none */
    bool final;               /* HTTP_MAY_BE_FINAL: this answer is true for ever */
    bool detached;            /* by http_detach: there is no answer of ours */
    struct slice location;    /* 201/202: Location header */
    struct json_out *details; /* failures: set by http_details */
    struct buf *details_buf_;
    struct slice members; /* failures: JSON members that the envelope has besides, "" for none */
    struct http_param added[HTTP_ADDED_MAX]; /* headers of the answer: http_add_header */
    size_t added_count;
};

typedef enum err (*http_handler)(struct http_call *call, struct why *why);

enum http_flags {
    HTTP_JSON_BODY = 1 << 0,      /* body required, application/json, an object */
    HTTP_RAW = 1 << 1,            /* answer is not an envelope (metrics, openapi) */
    HTTP_NO_STORE = 1 << 2,       /* handler works while the database is away (health) */
    HTTP_LIST = 1 << 3,           /* takes limit, cursor, offset */
    HTTP_NO_IDEMPOTENCY = 1 << 4, /* POST without effect (verify): the key is ignored */
    HTTP_OPERATOR = 1 << 5,       /* for operators only, see below */
    HTTP_UNLIMITED = 1 << 6,      /* not counted against http.rate_limit */
    HTTP_MAY_BE_FINAL = 1 << 7,   /* GET: some answers can never change (call->final) */
    HTTP_UPLOAD = 1 << 8,         /* POST: takes a file, see "Uploads" */
    HTTP_PAID = 1 << 9,           /* never free: 403 where nobody takes money for it */
    HTTP_DETACHES = 1 << 10,      /* GET: the handler may take the socket (http_detach) */
};

enum http_role {
    HTTP_ROLE_ADMIN = 1 << 0,
    HTTP_ROLE_ISSUER = 1 << 1,
    HTTP_ROLE_OPERATOR = 1 << 2,
    HTTP_ROLE_INVESTOR = 1 << 3,
    HTTP_ROLE_SERVICE = 1 << 4,
};
#define HTTP_ROLES 5 /* stored as bits: append-only */

/* What a request does, for the limits of operations (tiers.c). */
enum http_limit_class {
    HTTP_LIMIT_NONE,
    HTTP_LIMIT_REGISTRATION,
    HTTP_LIMIT_AUTHENTICATION,
    HTTP_LIMIT_INVEST,
    HTTP_LIMIT_REDEEM,
    HTTP_LIMIT_CREDENTIAL,
    HTTP_LIMIT_SEAL,
};
#define HTTP_LIMIT_CLASSES 7

struct http_caller {
    struct slice principal; /* in the request's arena */
    struct slice session;   /* likewise; "" for none */
    unsigned roles;
};

/* Who knows callers by the tokens that they send. Errors of `identify`: ERR_UNAUTHENTICATED. */
struct http_authority {
    enum err (*identify)(void *ctx, struct arena *req, struct slice token, struct http_caller *out,
                         struct why *why);
    void *ctx;
};

struct http_route;

/* One passage of a route that costs something. */
struct http_toll {
    void *state; /* the cashier's */
    bool told;   /* by `enter`: what follows is the answer, and the handler does not run */
    int status;
    const char *content_type;
    struct slice location;
    struct slice body;
};

/* Who takes the money. All run on the worker of the call, outside of transactions. */
struct http_cashier {
    bool (*charges)(void *ctx, const struct http_route *route);
    /* Whether the handler may run. Errors: what the call is refused with. */
    enum err (*enter)(void *ctx, struct http_call *call, struct http_toll *toll, struct why *why);
    /* The handler has answered well; `toll` holds the answer. Errors: as `enter`. */
    enum err (*leave)(void *ctx, struct http_call *call, struct http_toll *toll, struct why *why);
    /* The handler has failed. */
    void (*fail)(void *ctx, struct http_call *call, struct http_toll *toll);
    void *ctx;
};

struct http_route {
    enum http_method method;
    const char *path;           /* "/api/v1/assets/{assetId}" */
    const char *const *aliases; /* NULL-terminated, or NULL */
    http_handler handler;
    unsigned flags;
    unsigned roles;                /* who may call, bits of enum http_role; 0: see "Callers" */
    unsigned auth_roles;           /* the same, with http.auth_required only; 0: any role */
    enum http_limit_class limit;   /* with http.rate_tiers: counted beside the caller's tier */
    bool secret;                   /* body or answer has a secret: its memory is wiped */
    size_t body_bytes_max;         /* 0: the server's default; with HTTP_UPLOAD: of the file */
    const char *const *field_keys; /* with HTTP_UPLOAD, NULL-terminated: the parts that it takes */
    const char *const *query_keys; /* NULL-terminated: allowed query parameters; others are 400 */
    const char *tag;               /* "assets" */
    const char *operation;         /* "registerAsset" */
    const char *summary;
    const char *body_schema;  /* JSON Schema text of the body, or NULL */
    const char *reply_schema; /* JSON Schema text of "data" */
    int reply_status;         /* of success */
    const enum err *errors;   /* OK-terminated: what it can answer besides the general ones */
    int reply_status_other;   /* a second one with a body of the same kind, or 0 */
    const char *reply_type;   /* HTTP_RAW: media type of the body; NULL: application/json */
    const char *body_type;    /* media type of the body; NULL: application/json */
};

/* What a key of the query means, wherever routes of the table have it. */
struct http_query_doc {
    const char *name;
    const char *schema; /* JSON Schema text */
    const char *doc;
};

struct http_table {
    const struct http_route *routes;
    size_t count;
    void *ctx;
    const struct http_query_doc *query_docs; /* ends with a NULL name; or NULL */
};

struct http_config {
    const char *host;
    uint64_t port; /* 0: a free one */
    uint64_t io_threads;
    uint64_t workers;
    uint64_t queue_max;
    uint64_t connections_max;
    uint64_t connections_per_client_max;
    uint64_t header_bytes_max;
    uint64_t body_bytes_max;
    int64_t header_usec;  /* deadline for the header block */
    int64_t request_usec; /* deadline for the whole request to arrive */
    int64_t idle_usec;
    int64_t drain_usec;
    uint64_t rate_limit; /* requests a minute of one client; 0: no limit */
    uint64_t uploads_max;
    uint64_t uploads_per_client_max;
    const char *upload_dir; /* not a row: where files are while they arrive */
    bool rate_tiers;        /* limits by caller and operation */
    const char *rate_exempt;
    bool access_log;
    bool gzip;
    const char *cors_origins;
    bool auth_required;                     /* what changes something needs a caller */
    const struct http_authority *authority; /* not a row: who knows callers, or NULL */
    const struct http_cashier *cashier;     /* not a row: who takes money, or NULL */
    uint64_t detached_max; /* not a row: sockets that handlers take, for the limit of descriptors */
    struct cache *cache;   /* not a row: counts for all processes, keeps final answers; or NULL */
    struct secret operator_token; /* empty: operators are who calls from this machine */
};

/* http_config_rows are the rows of section "http". */
extern const struct config_row http_config_rows[];
extern const size_t http_config_row_count;

/* http_config_check holds what rows cannot: origins, exemptions. Errors: ERR_CONFIG. */
enum err http_config_check(const struct http_config *config, struct why *why) ERR_CHECKED;

/* Descriptors that the rest of the program needs beside connections. */
#define HTTP_DESCRIPTORS_OTHER 128
#define HTTP_KEY_LIFE_USEC (INT64_C(7) * 24 * 3600 * USEC_PER_SEC)

/*
 * http_keys_purge forgets at most `limit` idempotency keys from before `before_usec`, and says how
 * many. Whoever serves calls it from time to time. Errors: those of the store.
 */
enum err http_keys_purge(struct store_tx *tx, int64_t before_usec, uint64_t limit,
                         uint64_t *out_rows, struct why *why) ERR_CHECKED;

/*
 * http_start listens and serves. `store` may be NULL when all routes are HTTP_NO_STORE.
 * Errors: ERR_IO (port in use: the sentence names it), ERR_CONFIG (conflicting routes).
 */
enum err http_start(struct http_server **out, const struct http_config *config,
                    const struct http_table *tables, size_t table_count, struct store *store,
                    struct why *why) ERR_CHECKED;

/*
 * http_audit begins a row of the audit log for what a call does: who called, and in which request.
 * The subject is the caller's to add.
 */
struct audit_entry http_audit(const struct http_call *call, const struct audit_action *action);

/* http_port returns the port that is listened on. */
uint16_t http_port(const struct http_server *server);

/* http_stop drains and frees; NULL is fine. */
void http_stop(struct http_server *server);

/* http_role_parse returns the bit of a role's name, or 0. */
unsigned http_role_parse(struct slice name);
/* http_roles_text returns the names of roles, apart by commas. Owns: the arena. */
struct slice http_roles_text(struct arena *arena, unsigned roles);

/*
 * http_identify finds out who sends a token: the operator, or a caller that the authority knows.
 * Owns: the arena. Errors: ERR_UNAUTHENTICATED, those of the authority's store.
 */
enum err http_identify(const struct http_config *config, struct arena *arena, struct slice token,
                       struct http_caller *out, struct why *why) ERR_CHECKED;

/* ---- for handlers ---- */

#define HTTP_CLIENT_KEY_BYTES 16

struct http_detached {
    int fd;                                    /* non-blocking; the handler's from now on */
    uint8_t client_key[HTTP_CLIENT_KEY_BYTES]; /* whom limits count: an IPv4 address, an IPv6 /64 */
    struct slice headers; /* lines that every answer of ours has, for the one that is written */
};

/*
 * http_detach takes the connection's socket out of this server's hands, with the headers that the
 * handler's own answer begins with behind its status line: request id, security, CORS. The handler
 * returns OK then. Owns: the caller, `fd`; the request's arena, the headers. Errors: ERR_IO.
 */
enum err http_detach(struct http_call *call, struct http_detached *out,
                     struct why *why) ERR_CHECKED;
/*
 * http_roles_admitted returns the roles of the caller for things that have a policy of their own:
 * those of the principal, or an operator's for whom HTTP_OPERATOR takes without credentials.
 */
unsigned http_roles_admitted(const struct http_call *call);
/*
 * http_origin_is_welcome says whether a page may open what browsers do not ask for first (a
 * WebSocket): there is no Origin, it is the server's own, or one of http.cors_origins.
 */
bool http_origin_is_welcome(const struct http_call *call);

/* http_param returns a path parameter; it exists by construction of the route (ASSERT). */
struct slice http_param(const struct http_call *call, const char *name);
/* http_query returns a query parameter, or the empty slice; *out_found (may be NULL) says which. */
struct slice http_query(const struct http_call *call, const char *name, bool *out_found);
/* http_field returns a field of an upload, or the empty slice; *out_found (may be NULL). */
struct slice http_field(const struct http_call *call, const char *name, bool *out_found);
/* http_header returns a header by name (no case), or the empty slice. */
struct slice http_header(const struct http_call *call, const char *name);
struct http_page {
    uint32_t limit;
    uint64_t offset;
    struct slice cursor; /* decoded bytes that the handler itself gave out, "" at the start */
};
/*
 * http_page_read reads limit (1..200, default 50), cursor and offset of a list route; cursor and
 * offset exclude each other. Errors: ERR_INVALID_FIELD, ERR_INVALID_AMOUNT.
 */
enum err http_page_read(const struct http_call *call, struct http_page *out,
                        struct why *why) ERR_CHECKED;
/* http_cursor_set encodes the position after the last item as the opaque nextCursor. */
void http_cursor_set(struct http_call *call, struct slice position);
/* http_details opens the "details" value of a failure answer; the handler writes one value. */
struct json_out *http_details(struct http_call *call);

/*
 * http_add_header adds a header to the answer, also to a refusal; HTTP_ADDED_MAX at most. `name`
 * stays; the value, of visible ASCII, lives in the request's arena.
 */
void http_add_header(struct http_call *call, const char *name, struct slice value);

/* http_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void http_metrics_register(void);

/* http_routes_reference appends the Markdown table of all routes. */
void http_routes_reference(const struct http_table *tables, size_t table_count, struct buf *out);

#endif
