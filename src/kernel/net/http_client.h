/*
 * http_client.h: outgoing HTTP with limits, on libcurl.
 *
 * A client keeps connections alive and may be used by any number of threads at once (a pool of easy
 * handles). Every request has a total time limit and a size limit for the answer, both enforced
 * while streaming; only http and https; redirects are not followed; compressed answers are not
 * asked for, so that a small answer cannot become a large one. Certificates are verified. Proxies
 * and .netrc of the environment are not used: what the program talks to is in its configuration
 * only. Calling it inside a database transaction is a bug (ASSERT through
 * net_set_forbidden_check).
 *
 * One thread may also have several requests under way at once (a flight): they share nothing but
 * the thread, the first that ends is handed out first, and those that nobody waits for any more are
 * broken off. A flight is of one thread, the client that it came from of all.
 *
 * A kept connection may be closed by the other side just when a request goes out on it; the request
 * is then sent again on a new one. So what is sent here must be safe to send twice.
 *
 * A URL may hold a secret in its path, query or user part, so no sentence written here carries
 * more of it than net_url_origin gives.
 */
#ifndef KERNEL_NET_HTTP_CLIENT_H
#define KERNEL_NET_HTTP_CLIENT_H

#include "kernel/base/mem.h"
#include "kernel/base/slice.h"

struct net_client;

struct net_header {
    struct slice name;
    struct slice value;
};

struct net_request {
    const char *method; /* "GET", "POST", … */
    const char *url;
    const struct net_header *headers;
    size_t header_count;
    struct slice body;
    bool public_only;        /* refuse addresses that are not of the public internet */
    const char *keep_header; /* name of a header of the answer that is wanted; NULL: none */
    int64_t timeout_usec;
    size_t answer_bytes_max;
};

struct net_answer {
    int status;
    struct slice body;
    struct slice content_type;
    struct slice kept_header; /* what was wanted; empty when it is not there */
    int64_t retry_after_usec; /* of a Retry-After header; 0 when there is none */
    bool connected;           /* the request opened a connection instead of reusing one */
};

/*
 * net_start prepares the process for outgoing requests (libcurl, SIGPIPE ignored); call from main
 * before threads start. Calling it again does nothing.
 */
void net_start(void);
/* net_set_forbidden_check installs a function that says "not now" (inside a transaction). */
void net_set_forbidden_check(bool (*forbidden)(void));

/*
 * What carries requests instead of the network. `run` answers as net_request_run does, on the
 * thread of the caller.
 */
struct net_transport {
    enum err (*run)(void *ctx, struct arena *arena, const struct net_request *request,
                    struct net_answer *out, struct why *why);
    void *ctx;
};

/*
 * net_set_transport replaces the network of the process, before threads start; NULL restores it.
 * Tests only.
 */
void net_set_transport(const struct net_transport *transport);
/* net_client_new makes a client. Owns: the caller, net_client_free. */
struct net_client *net_client_new(void);
/* net_client_free closes all connections; NULL is fine. */
void net_client_free(struct net_client *client);
/*
 * net_request_run sends a request and waits. Owns: answer slices live in the arena. Any HTTP
 * status is OK here. Errors: ERR_UPSTREAM (refused, reset, DNS, TLS; why says which),
 * ERR_NODE_TIMEOUT, ERR_LIMIT (answer too large), ERR_CONFIG (url), ERR_FORBIDDEN (`public_only`,
 * and the address is not). A client either always sends so or never: a kept connection is not
 * looked at again.
 */
enum err net_request_run(struct net_client *client, struct arena *arena,
                         const struct net_request *request, struct net_answer *out,
                         struct why *why) ERR_CHECKED;

/* Requests that may be under way in one flight. */
#define NET_FLIGHT_MAX 16

struct net_flight;

/* net_flight_new begins one without a request. Owns: the caller, net_flight_free. */
struct net_flight *net_flight_new(struct net_client *client);
/* net_flight_free breaks off what is still under way; NULL is fine. */
void net_flight_free(struct net_flight *flight);
/*
 * net_flight_send sends a request as number `slot` (below NET_FLIGHT_MAX, with none under way).
 * Nothing is copied: what the request points to, and the arena, stay until it has ended.
 */
void net_flight_send(struct net_flight *flight, size_t slot, struct arena *arena,
                     const struct net_request *request);
/* net_flight_break_off ends a request that is under way, if there is one, without an answer. */
void net_flight_break_off(struct net_flight *flight, size_t slot);

/* How a request of a flight ended. */
struct net_landing {
    size_t slot;
    enum err err; /* as net_request_run */
    struct net_answer answer;
    struct why why;
};

/*
 * net_flight_wait moves all requests forward until one has ended, for `wait_usec` of real time at
 * most (0: what can be done without waiting). False: none has. With another transport than the
 * network they end one after the other, in the order of their slots.
 */
bool net_flight_wait(struct net_flight *flight, int64_t wait_usec, struct net_landing *out);

#define NET_ORIGIN_MAX 128

/*
 * net_url_origin writes "scheme://host:port" of a URL (the port only when the URL names one) and a
 * NUL: all that may be shown of it. Text that is not such a URL gives "(malformed URL)".
 */
void net_url_origin(const char *url, char out[NET_ORIGIN_MAX]);

#endif
