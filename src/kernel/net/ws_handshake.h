/*
 * ws_handshake.h: the opening handshake of a WebSocket (RFC 6455, section 4), client side, as bytes
 * without a network. The server side shares the accept of a key (kernel/stream).
 *
 * An answer is believed only if it upgrades: status 101, "Upgrade: websocket", "Connection" with
 * the token "upgrade", and the one Sec-WebSocket-Accept that belongs to our key. Extensions and
 * sub-protocols are not asked for, so an answer that names one is refused. Head lines are bounded.
 *
 * Sentences show of a URL what net_url_origin gives, and of an answer its status.
 */
#ifndef KERNEL_NET_WS_HANDSHAKE_H
#define KERNEL_NET_WS_HANDSHAKE_H

#include "kernel/base/mem.h"
#include "kernel/base/slice.h"

/* A longer head of an answer is refused. Units: bytes. */
#define WS_HEAD_BYTES_MAX 16384
/* Random bytes of a key, and the text that is sent for them. */
#define WS_NONCE_BYTES 16
#define WS_KEY_TEXT_MAX 25
#define WS_ACCEPT_TEXT_MAX 29

/* ws_key_format writes the key of a handshake and a NUL. */
void ws_key_format(const uint8_t nonce[WS_NONCE_BYTES], char out[WS_KEY_TEXT_MAX]);

/* ws_accept_format writes the Sec-WebSocket-Accept that belongs to a key (24 bytes), and a NUL. */
void ws_accept_format(struct slice key, char out[WS_ACCEPT_TEXT_MAX]);

/*
 * ws_request_write appends the request for a URL (ws:// or wss://). `http_url` gets the URL that
 * the connection is made to. Owns: the arena. Errors: ERR_CONFIG (no such URL).
 */
enum err ws_request_write(struct arena *arena, const char *url, const char *key, struct buf *out,
                          const char **http_url, struct why *why) ERR_CHECKED;

/*
 * ws_answer_read reads the head of the answer. *out_used is the number of its bytes, what is behind
 * them is of the first frame; 0 when the head is not complete yet. Errors: ERR_UPSTREAM (no
 * upgrade), ERR_LIMIT (the head is too long).
 */
enum err ws_answer_read(struct slice bytes, const char *key, size_t *out_used,
                        struct why *why) ERR_CHECKED;

#endif
