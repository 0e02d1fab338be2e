/*
 * stream.h: what happens, told to whoever listens: WebSocket (/ws) and Server-Sent Events.
 *
 * Topics are rows (struct stream_topic): a name, who may listen, and two statements, one that reads
 * a row by its key and one that reads the newest rows. What is told of a topic is the state of a
 * row, whole, under its key: whoever keeps the last state of each key has the topic, and hearing
 * the same twice changes nothing.
 *
 * From a change to a message
 *   change -> noted -> numbered -> told
 *   noted     A trigger writes (topic, key, undone) into stream_changes, in the transaction of the
 *             change (migration 30); so a note exists exactly when its cause does, whoever wrote
 *             the row. Replaying the undo log fires the same triggers: what a reorganisation took
 *             back is told as `undone`, with the row as it is now, or null when it is gone.
 *   numbered  Any process takes the notes, reads their rows, and writes messages with the next
 *             number of their topic and the next position of all, in one transaction. The row of
 *             the last position is locked first, so there is one at a time. Sequences of the
 *             database would be cheaper and leave gaps, and their order is not that of commits.
 *             Several notes of one row between two times are one message.
 *   told      Each process reads messages behind the last position it has told, and sends them to
 *             its subscribers. Numbers are therefore the same in all processes and after restarts,
 *             and have no gaps; bodies are the stored bytes.
 *   A crash before the commit of a change leaves nothing; before numbering, the note; after it, the
 *   message, which is told when somebody asks for what is behind the last number that he has.
 *
 * Numbers mean something under one epoch, a random name that is in the database and is not copied
 * from one to another: a restored database begins again. Messages are kept for stream.retention,
 * stream.messages_max at most.
 *
 * What a client says on a WebSocket (text messages, JSON objects)
 *   {"type":"auth","token":"..."}       who he is, where headers cannot say it (browsers)
 *   {"type":"subscribe","topic":"leases"}                      from now on, after a snapshot
 *   {"type":"subscribe","topic":"leases","from":12,"epoch":"..."}  everything after number 12
 *   {"type":"unsubscribe","topic":"leases"}
 * and what he is told
 *   {"type":"hello","heartbeatMs":20000,"topics":["assets",...]}
 *   {"type":"authenticated","principal":"key:...","roles":"operator"}
 *   {"type":"subscribed","topic":"leases","number":15,"epoch":"...","resumed":true}
 *   {"type":"resync","topic":"leases","reason":"gap"}   numbers are missing: a snapshot follows
 *   {"type":"snapshot","topic":"leases","number":15,"complete":true,"rows":[{"key":..,"row":..}]}
 *   {"type":"change","topic":"leases","number":16,"key":"...","undone":false,"row":{...}}
 *   {"type":"unsubscribed","topic":"leases"}
 *   {"type":"error","code":"forbidden","error":"...","topic":"leases"}
 * A snapshot has the newest stream.snapshot_rows_max rows at least as they were at its number;
 * `complete` false says that there are more, which the routes list. From `subscribed` on, numbers
 * of a topic go up by one: a client that misses one has lost something.
 *
 * Server-Sent Events: GET /api/v1/events?topics=leases,assets. The same objects as `data`, their
 * type as `event`. The id is epoch and position, from the end of the snapshots on: a browser sends
 * it as Last-Event-ID when it comes again, and is told what it missed.
 *
 * Limits: connections in all (503) and of one client (1013), subscriptions of a connection, size of
 * a message (close 1009), messages and frames a second (1008), bytes that wait for a client that
 * does not read (1013; he resumes from his number). Frames are masked, text is UTF-8, no extension
 * is spoken. A page of an origin that http.cors_origins does not have opens no WebSocket (403). A
 * client who is silent for stream.ping_interval is pinged, and dropped after stream.pong_timeout
 * more. Who is known is looked up again every stream.recheck_interval, and a key that is revoked
 * ends its connections (1008). All end after stream.session_max (1000).
 *
 * Threads: the feed (database) and the loop (sockets, an epoll set). Connections and subscriptions
 * are the loop's alone; feed and HTTP workers give it items in a list. A subscription is read by
 * the feed between two readings of messages, so that nothing falls between its snapshot and what
 * follows. A message is made once and shared by all who get it.
 */
#ifndef KERNEL_STREAM_STREAM_H
#define KERNEL_STREAM_STREAM_H

#include "kernel/base/config.h"
#include "kernel/http/http.h"
#include "kernel/store/store.h"

struct stream;

/* The channel on which notes and messages are signalled. */
#define STREAM_CHANNEL "stream"
#define STREAM_TOPICS_MAX 64
#define STREAM_TOPIC_NAME_MAX 64

/*
 * `one` has the parts of a key as parameters; `rows` has max_rows, and the columns of `one`, in
 * which those parts are. The text of a key is the parts with '/' between them: numbers in decimal,
 * addresses in hex, the only part of a text key as it is.
 */
struct stream_topic {
    const char *name;
    unsigned roles; /* who may listen, bits of enum http_role; 0: everybody */
    const char *doc;
    const struct store_statement *one;
    const struct store_statement *rows;
};

struct stream_topics {
    const struct stream_topic *topics;
    size_t count;
};

struct stream_config {
    uint64_t connections_max;
    uint64_t connections_per_client_max;
    uint64_t subscriptions_max;
    uint64_t queue_bytes_max;
    uint64_t message_bytes_max;
    uint64_t message_rate;
    int64_t ping_usec;
    int64_t pong_usec;
    int64_t close_usec;
    int64_t session_usec;
    int64_t recheck_usec;
    int64_t poll_usec;
    int64_t retention_usec;
    uint64_t messages_max;
    uint64_t snapshot_rows_max;
    uint64_t resume_messages_max;
};

/* stream_config_rows are the rows of section "stream". */
extern const struct config_row stream_config_rows[];
extern const size_t stream_config_row_count;

/*
 * stream_start makes the epoch if there is none, and starts both threads. What the configurations
 * and tables point to must outlive it. Owns: the caller, stream_free. Errors: ERR_IO, ERR_CONFIG
 * (two topics of one name), those of the store.
 */
enum err stream_start(const struct stream_config *config, const struct http_config *http,
                      const struct stream_topics *tables, size_t table_count, struct store *store,
                      struct stream **out, struct why *why) ERR_CHECKED;

/*
 * stream_stop tells all clients that we go (1001), waits stream.close_timeout for them at most, and
 * joins the threads; from then on nobody is taken. NULL is fine.
 */
void stream_stop(struct stream *stream);

/* stream_free frees what stream_stop stopped; HTTP has stopped too. NULL is fine. */
void stream_free(struct stream *stream);

/* stream_http_table has the routes; `stream` must outlive the server. */
struct http_table stream_http_table(struct stream *stream);

/* stream_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void stream_metrics_register(void);

#endif
