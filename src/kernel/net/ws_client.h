/*
 * ws_client.h: one outgoing WebSocket (RFC 6455), on libcurl's connection and wslay's frames.
 *
 * ws:// and wss://, the latter with the certificate verified as for http_client.h; proxies of the
 * environment are not used, redirects not followed. Messages are whole ones, text or binary alike;
 * a longer one than `message_bytes_max` ends the connection, so does whatever the protocol forbids.
 * Not more than one message waits here: what the caller does not take stays with the other side.
 *
 * A connection may be dead without saying so (the other side is gone, a firewall forgot it). So the
 * other side is asked (ping) after `ping_usec` of silence, and given up after `dead_usec` of it.
 *
 * One thread at a time uses a socket. Another may make the file descriptor `wake_fd` readable: a
 * wait ends then, and an open that is under way is given up within a second.
 *
 * Sentences show of the URL what net_url_origin gives and nothing that the other side said.
 */
#ifndef KERNEL_NET_WS_CLIENT_H
#define KERNEL_NET_WS_CLIENT_H

#include "kernel/base/mem.h"
#include "kernel/base/slice.h"

struct net_ws;

struct net_ws_options {
    const char *url;
    int64_t timeout_usec; /* of connecting and of the handshake, each */
    int64_t ping_usec;
    int64_t dead_usec; /* more than ping_usec */
    size_t message_bytes_max;
    int wake_fd; /* -1: none */
};

/*
 * net_ws_open connects and shakes hands; net_start was called. Owns: the caller, net_ws_close.
 * Errors: ERR_UPSTREAM (refused, DNS, TLS, no upgrade), ERR_NODE_TIMEOUT, ERR_CONFIG (URL),
 * ERR_LIMIT, ERR_STOPPING (woken).
 */
enum err net_ws_open(const struct net_ws_options *options, struct net_ws **out,
                     struct why *why) ERR_CHECKED;

/* net_ws_send sends a text message. Errors: ERR_UPSTREAM, ERR_NODE_TIMEOUT, ERR_STOPPING. */
enum err net_ws_send(struct net_ws *ws, struct slice text, struct why *why) ERR_CHECKED;

/*
 * net_ws_receive waits for a message. *out_got is false when none came in time or somebody woke.
 * Owns: the arena. Errors: ERR_UPSTREAM (closed, or against the protocol), ERR_NODE_TIMEOUT (it is
 * silent), ERR_LIMIT (a message is too long). After an error only net_ws_close is allowed.
 */
enum err net_ws_receive(struct net_ws *ws, struct arena *arena, int64_t timeout_usec,
                        struct slice *out, bool *out_got, struct why *why) ERR_CHECKED;

/* net_ws_close says goodbye if that costs no time, and frees; NULL is fine. */
void net_ws_close(struct net_ws *ws);

#endif
