/*
 * backup_stream.h: batches of rows on their way from one thread to another.
 *
 * Rows are read in one transaction, so that all of them are of one moment, and written in others,
 * or to a network that no transaction may wait for. So the reader has a thread of its own; a queue
 * of STREAM_QUEUE_MAX batches is all that is in memory. Whoever fails first stops the other, and
 * its error is the stream's.
 */
#ifndef KERNEL_BACKUP_BACKUP_STREAM_H
#define KERNEL_BACKUP_BACKUP_STREAM_H

#include "kernel/backup/backup_row.h"

#define STREAM_QUEUE_MAX 2

struct backup_stream;

/* Reads everything and pushes it; runs on the thread of the stream. */
typedef enum err (*backup_produce_fn)(void *ctx, struct backup_stream *to, struct why *why);
/* Takes one batch, which stays the stream's; runs on the caller's thread. */
typedef enum err (*backup_consume_fn)(void *ctx, const struct backup_batch *batch, struct why *why);

/* What a stream reads from. */
struct backup_source {
    backup_produce_fn produce;
    void *ctx;
};

/*
 * backup_stream_run moves all batches and returns when both sides are done. Errors: of the side
 * that failed first; ERR_INTERNAL (no thread).
 */
enum err backup_stream_run(const struct backup_source *source, backup_consume_fn consume, void *ctx,
                           struct why *why) ERR_CHECKED;

/*
 * backup_stream_push hands a batch over and waits for room. Owns: the stream from now on, also on
 * failure. Errors: ERR_CANCELLED (the other side has failed).
 */
enum err backup_stream_push(struct backup_stream *to, struct backup_batch *batch,
                            struct why *why) ERR_CHECKED;

/* Where a table is read on: the key of the last row, with its memory. */
struct backup_position {
    struct arena arena;
    struct backup_value *key; /* NULL: at the beginning */
};

/*
 * backup_page_read reads the next rows of the batch's table, `limit` of them or all that are left
 * (`ends`), and moves the position. Errors: of the store.
 */
enum err backup_page_read(struct store_tx *tx, const struct store *store,
                          struct backup_position *at, size_t limit, struct backup_batch *batch,
                          struct why *why) ERR_CHECKED;

/* What backup_stream_read_store reads: `ctx` of a source. */
struct backup_store_source {
    struct store *store;
    const struct store_catalog *catalog;
    /* Reads something else in the same transaction, after the rows; may be NULL. */
    store_fn also;
    void *also_ctx;
    bool begun_; /* the stream's own; set to false */
};

/*
 * backup_stream_read_store is the backup_produce_fn that reads all tables of a store in one
 * transaction: referenced tables first, each in the order of its primary key, the last batch of
 * each marked. Errors: ERR_DB_UNAVAILABLE (the connection broke: another one would show another
 * moment), of the store.
 */
enum err backup_stream_read_store(void *ctx, struct backup_stream *to, struct why *why) ERR_CHECKED;

#endif
