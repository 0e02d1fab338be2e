/*
 * script_server.h: an HTTP server on a free loopback port that answers by script, also badly.
 *
 * Each request takes the next step; the last step answers all that follow. In a body, "$0" to "$9"
 * stand for the first ten JSON-RPC ids of the request. With a chain id set, requests for
 * eth_chainId are answered with it and take no step, as a test of calls does not want to count
 * them.
 *
 * Included as a .c file by the tests that use it.
 */
#ifndef SUPPORT_SCRIPT_SERVER_H
#define SUPPORT_SCRIPT_SERVER_H

#include <stdbool.h>
#include <stddef.h>

enum script_mode {
    SCRIPT_ANSWER,   /* an answer with its length */
    SCRIPT_CLOSE,    /* the same, and the connection is closed behind it */
    SCRIPT_RESET,    /* no answer: the connection is reset */
    SCRIPT_TRUNCATE, /* half of the announced body, then the end */
    SCRIPT_DRIP,     /* a byte every 20 ms */
    SCRIPT_SILENCE,  /* never an answer */
    SCRIPT_ENDLESS,  /* a chunked body without end */
    SCRIPT_RAW,      /* `body` is everything that is sent */
};

struct script_step {
    const char *body;
    enum script_mode mode;
    int status;          /* 0: 200 */
    const char *headers; /* further lines, each with its CRLF, or NULL */
    int delay_ms;        /* before anything is sent */
};

struct script_server;

/* script_start serves `steps`, which must stay; `chain_id` is a JSON-RPC quantity or NULL. */
struct script_server *script_start(const struct script_step *steps, size_t count,
                                   const char *chain_id);
/* script_stop closes all connections and frees. */
void script_stop(struct script_server *s);
/* script_url returns "http://127.0.0.1:PORT". */
const char *script_url(const struct script_server *s);
/* script_requests counts the requests that took a step. */
unsigned script_requests(struct script_server *s);
/* script_chain_checks counts the requests for eth_chainId that were answered by themselves. */
unsigned script_chain_checks(struct script_server *s);
/* script_connections counts accepted connections. */
unsigned script_connections(struct script_server *s);
/* script_set_chain changes the chain id and drops the open connections: another node took over. */
void script_set_chain(struct script_server *s, const char *chain_id);
/* script_last returns a copy of the last request (head and body) that took a step, in `out`. */
void script_last(struct script_server *s, char *out, size_t size);

#endif
