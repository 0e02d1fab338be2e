/*
 * stream_internal.h: what the files of kernel/stream share. Private to this folder.
 *
 *   stream.c          configuration, metrics, starting and stopping
 *   stream_api.c      the routes: handshakes, in HTTP's workers
 *   stream_frame.c    frames, without a network
 *   stream_message.c  what is sent, made once and shared
 *   stream_rows.c     rows as JSON, keys
 *   stream_number.c   notes become messages
 *   stream_feed.c     the feed's thread: numbering, telling, subscriptions
 *   stream_conn.c     a connection: its queue, what it says, its end
 *   stream_loop.c     the loop's thread: sockets, items, deadlines
 *
 * Who owns what: connections, subscriptions and clients belong to the loop; items belong to whoever
 * has them out of a list; a message belongs to all who hold it, by a count.
 */
#ifndef KERNEL_STREAM_STREAM_INTERNAL_H
#define KERNEL_STREAM_STREAM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "kernel/base/mem.h"
#include "kernel/base/metric.h"
#include "kernel/base/rand.h"
#include "kernel/stream/stream.h"
#include "kernel/stream/stream_frame.h"

/* ---- stream_message.c ---- */

#define STREAM_EVENT_HEAD_MAX 128

struct stream_message {
    _Atomic uint32_t refs;
    uint16_t topic; /* of a change; what else is said belongs to nobody's subscription */
    uint64_t number;
    uint8_t frame_len;
    uint8_t frame[10]; /* the head of its frame */
    uint8_t event_len;
    char event[STREAM_EVENT_HEAD_MAX]; /* what stands before it in a stream of events */
    size_t len;
    uint8_t body[];
};

/*
 * stream_message_new makes a message with one reference. `type` is the name of its event, `id` that
 * of the event or NULL. Owns: the caller, stream_message_drop.
 */
struct stream_message *stream_message_new(const char *type, const char *id, struct slice body);
/* stream_message_frame makes a control frame, which streams of events do not know. */
struct stream_message *stream_message_frame(enum stream_opcode opcode, struct slice payload);
/* stream_message_comment makes what keeps a stream of events alive. */
struct stream_message *stream_message_comment(void);
/* stream_message_error makes {"type":"error"}; `topic` may be NULL. */
struct stream_message *stream_message_error(enum err e, const struct why *why, const char *topic);
/* stream_message_hold adds a reference. */
struct stream_message *stream_message_hold(struct stream_message *message);
/* stream_message_drop gives a reference back; NULL is fine. */
void stream_message_drop(struct stream_message *message);

/* ---- items ---- */

#define STREAM_EPOCH_MAX RAND_ID_MAX

/* The number of a join that came to nothing. */
#define STREAM_NOT_JOINED UINT64_MAX

struct stream_join {
    uint16_t topic;
    uint64_t number; /* last one that the connection has or gets with the item's messages */
};

enum stream_item_kind {
    STREAM_ITEM_CONN,      /* HTTP to loop: a socket */
    STREAM_ITEM_AUTH,      /* loop to feed: a token */
    STREAM_ITEM_SUBSCRIBE, /* loop to feed */
    STREAM_ITEM_ANSWER,    /* feed to loop: messages of a connection, and what it joins */
    STREAM_ITEM_CHANGES,   /* feed to loop: messages for subscribers */
};

struct stream_item {
    struct stream_item *next;
    enum stream_item_kind kind;
    uint64_t conn;
    /* CONN */
    int fd;
    bool events; /* Server-Sent Events */
    uint8_t client_key[HTTP_CLIENT_KEY_BYTES];
    struct stream_message *first; /* bytes of the handshake's answer */
    unsigned roles;               /* CONN, SUBSCRIBE; ANSWER to AUTH */
    bool authenticated;           /* ANSWER to AUTH */
    unsigned close_code;          /* ANSWER: 0, or the connection ends after the messages */
    struct secret token;          /* AUTH; CONN: of its header, or empty */
    bool again;                   /* AUTH: he was known before; nothing is said when he still is */
    /* SUBSCRIBE: where to go on. */
    bool has_from;
    uint64_t from; /* number of the only topic; with `events` a position of all */
    char epoch[STREAM_EPOCH_MAX];
    /* CONN, SUBSCRIBE: topics; ANSWER: what is joined. */
    struct stream_join *joins;
    size_t join_count;
    /* ANSWER, CHANGES */
    struct stream_message **messages;
    size_t message_count;
    size_t message_cap;
};

struct stream_list {
    pthread_mutex_t lock;
    struct stream_item *head;
    struct stream_item *tail;
    bool closed;
};

/* stream_item_new makes an item. Owns: the caller, stream_item_free. */
struct stream_item *stream_item_new(enum stream_item_kind kind, uint64_t conn);
/* stream_item_add adds a message, whose reference it takes. */
void stream_item_add(struct stream_item *item, struct stream_message *message);
/* stream_item_free frees an item with what it holds; not its socket. */
void stream_item_free(struct stream_item *item);
/* stream_list_put appends; false when the list is closed: the item stays the caller's. */
bool stream_list_put(struct stream_list *list, struct stream_item *item);
/* stream_list_take takes all items, oldest first; with `close` nothing is put in any more. */
struct stream_item *stream_list_take(struct stream_list *list, bool close);

/* ---- connections ---- */

struct stream_conn;

struct stream_sub {
    struct stream_conn *conn;
    struct stream_sub *next; /* of the topic */
    struct stream_sub *prev;
    struct stream_sub *next_of_conn;
    uint64_t number; /* last one that was queued */
    uint16_t topic;
    bool joined; /* else the feed has not answered yet */
};

struct stream_client {
    struct stream_client *next;
    uint8_t key[HTTP_CLIENT_KEY_BYTES];
    uint64_t count;
};

enum stream_conn_state {
    STREAM_CONN_OPEN,
    STREAM_CONN_CLOSING, /* its close frame is queued or sent */
    STREAM_CONN_DEAD,    /* freed when the loop comes around */
};

#define STREAM_FEW 4

struct stream_conn {
    struct stream *stream;
    uint64_t id; /* slot in the lower half */
    int fd;
    enum stream_conn_state state;
    bool events;
    bool writing; /* waits until the socket takes more */
    bool dirty;   /* in the loop's list of those to flush */
    bool close_heard;
    struct stream_conn *next_dirty;
    unsigned roles;
    uint32_t asking;     /* items that are with the feed */
    struct secret token; /* that he is known by; empty for nobody known */
    int64_t checked_usec;
    uint64_t sub_count;
    struct stream_sub *subs;
    struct stream_client *client;
    int64_t heard_usec; /* monotonic, as all times here */
    int64_t pinged_usec;
    int64_t end_usec;       /* of the session; CLOSING: when waiting ends */
    int64_t allowed_usec;   /* of the rate: when the frames so far were due */
    uint64_t frames_judged; /* of reader.frames */
    struct stream_message **queue;
    struct stream_message *few[STREAM_FEW]; /* the queue while it is short */
    uint32_t queue_cap;
    uint32_t queue_at;
    uint32_t queue_len;
    size_t sent;      /* of the first one */
    size_t waiting;   /* bytes of the queue */
    size_t allowance; /* bytes of snapshots among them, which do not count as slowness */
    struct stream_reader reader;
};

/* stream_conn_queue queues a message for a connection and takes a reference of its own. */
void stream_conn_queue(struct stream_conn *conn, struct stream_message *message);
/* stream_conn_say is stream_conn_queue that takes the caller's reference. */
void stream_conn_say(struct stream_conn *conn, struct stream_message *message);
/* stream_conn_flush sends what the socket takes. */
void stream_conn_flush(struct stream_conn *conn);
/* stream_conn_close begins the closing handshake. */
void stream_conn_close(struct stream_conn *conn, unsigned code, const char *reason);
/* stream_conn_read reads what the client says. */
void stream_conn_read(struct stream_conn *conn);
/* stream_conn_look does what is due at this time: pings, ends. */
void stream_conn_look(struct stream_conn *conn, int64_t now_usec);
/* stream_conn_answer takes what the feed has for it. */
void stream_conn_answer(struct stream_conn *conn, struct stream_item *item);
/* stream_conn_ask asks the feed for topics. */
void stream_conn_ask(struct stream_conn *conn, const struct stream_item *from);
/* stream_conn_auth asks the feed who has the connection's token. */
void stream_conn_auth(struct stream_conn *conn, bool again);
/* stream_conn_free closes the socket and frees. */
void stream_conn_free(struct stream_conn *conn);
/* stream_conn_unsubscribe leaves a topic; false when it was not in it. */
bool stream_conn_unsubscribe(struct stream_conn *conn, uint16_t topic);
/* stream_conn_size returns the bytes of a message on this connection. */
size_t stream_conn_size(const struct stream_conn *conn, const struct stream_message *message);

/* ---- stream_said.c ---- */

/* stream_said takes what a client said in a text message. */
void stream_said(struct stream_conn *conn, struct slice text);

/* ---- stream.c ---- */

struct stream {
    const struct stream_config *config;
    const struct http_config *http;
    struct store *store;
    const struct stream_topic *topics[STREAM_TOPICS_MAX];
    size_t topic_count;
    char epoch[STREAM_EPOCH_MAX];
    struct stream_list to_feed;
    struct stream_list to_loop;
    pthread_t feed;
    pthread_t loop;
    bool feed_runs;
    bool loop_runs;
    _Atomic bool stopping;
    _Atomic uint64_t count; /* connections, with those on their way to the loop */
    /* The loop's. */
    int wake_fd;
    int epoll_fd;
    struct stream_conn **conns; /* by slot */
    uint32_t *free_slots;
    uint32_t free_count;
    uint32_t generation;
    struct stream_sub *subs[STREAM_TOPICS_MAX];
    struct stream_conn *dirty;
    struct stream_client **clients;
    size_t client_buckets;
    struct stream_message *hello;
    struct stream_message *comment;
    struct stream_message *ping;
    uint8_t *input;
    /* The feed's. */
    uint64_t position; /* last one told */
    struct stream_message *snapshots[STREAM_TOPICS_MAX];
    uint64_t snapshot_numbers[STREAM_TOPICS_MAX];
    int64_t pruned_usec;
};

/* stream_topic_find returns the index of a topic, or -1. */
int stream_topic_find(const struct stream *stream, struct slice name);
/* stream_may_listen says whether roles are enough for a topic. */
bool stream_may_listen(const struct stream_topic *topic, unsigned roles);
/* stream_wake wakes the loop. */
void stream_wake(struct stream *stream);

/* ---- stream_rows.c ---- */

/* stream_row_json writes the current row of a statement: columns by their names in camel case. */
void stream_row_json(struct store_query *q, struct arena *arena, struct json_out *j);
/*
 * stream_row_find writes the row with a key into `j`, or null. Errors: those of the store.
 */
enum err stream_row_find(struct store_tx *tx, struct arena *arena, const struct stream_topic *topic,
                         struct slice key, struct json_out *j, struct why *why) ERR_CHECKED;
/* stream_rows_json writes the newest rows with their keys; *out_complete: these are all. */
enum err stream_rows_json(struct store_tx *tx, struct arena *arena,
                          const struct stream_topic *topic, uint64_t rows_max, struct json_out *j,
                          bool *out_complete, struct why *why) ERR_CHECKED;

/* ---- stream_number.c ---- */

/* stream_number turns notes into messages; *out_count is how many notes. Errors: of the store. */
enum err stream_number(struct stream *stream, uint64_t *out_count, struct why *why) ERR_CHECKED;
/* stream_prune forgets old messages. */
enum err stream_prune(struct stream *stream, struct why *why) ERR_CHECKED;
/* stream_number_get reads the last number of a topic; of "" the last position. */
enum err stream_number_get(struct store_tx *tx, const char *topic, uint64_t *out,
                           struct why *why) ERR_CHECKED;

/* ---- stream_feed.c, stream_loop.c ---- */

/* stream_feed_main is the feed's thread. */
void *stream_feed_main(void *arg);
/* stream_loop_main is the loop's thread. */
void *stream_loop_main(void *arg);

/* ---- metrics ---- */

enum stream_metric {
    STREAM_METRIC_WS,
    STREAM_METRIC_EVENTS,
    STREAM_METRIC_SUBSCRIPTIONS,
    STREAM_METRIC_QUEUED_BYTES,
    STREAM_METRIC_NUMBERED,
    STREAM_METRIC_SENT,
    STREAM_METRIC_RESYNCS,
    STREAM_METRIC_CLOSED_SLOW,
    STREAM_METRIC_CLOSED_FLOOD,
    STREAM_METRIC_CLOSED_SILENT,
    STREAM_METRIC_CLOSED_PROTOCOL,
    STREAM_METRIC_COUNT
};

extern struct metric_value stream_metrics[STREAM_METRIC_COUNT];

#endif
