/*
 * journal_medium.h: where the blocks of a journal and its snapshots are kept: a folder of files, or
 * tables of a database.
 *
 * What a block is (journal_block.h), queue, group commit, waiting and failing are the journal's and
 * the same for all. A medium keeps blocks in their order, makes them durable one at a time, and
 * gives them back; what `append` has returned OK for is there after any crash, whatever it failed
 * for is there whole or not at all.
 */
#ifndef DOMAIN_TRADING_JOURNAL_JOURNAL_MEDIUM_H
#define DOMAIN_TRADING_JOURNAL_JOURNAL_MEDIUM_H

#include "domain/trading/journal/journal.h"

/* A block that is sealed. */
struct journal_sealed {
    const uint8_t *bytes;
    size_t size;
    uint64_t first_seq;
    uint32_t count;
    struct hash before; /* the chain in front of it */
};

/* Where a journal ends. */
struct journal_end {
    uint64_t seq; /* the last one */
    struct hash chain;
};

/* How records are read: those from `from` on are given to `record`. */
struct journal_scan {
    uint64_t from;
    bool repair; /* a torn tail is removed; it is told either way */
    enum err (*record)(void *ctx, uint64_t seq, const struct engine_command *c, struct why *why);
    /* What comes a few records later, as engine_hint wants it; NULL: nobody does. */
    void (*ahead)(void *ctx, const struct engine_command *soon, const struct engine_command *later);
    void *ctx;
};

struct journal_medium {
    /* limits reads those of the journal. Errors: ERR_NOT_FOUND: there is none. */
    enum err (*limits)(struct journal_medium *m, struct engine_limits *out, struct why *why);
    /* load gives the newest whole snapshot up to `upto` as an engine, or an empty one. */
    enum err (*load)(struct journal_medium *m, const struct engine_limits *limits, uint64_t upto,
                     struct engine **out, struct why *why);
    /* scan reads; out_end stays zero when there is no record. */
    enum err (*scan)(struct journal_medium *m, const struct journal_scan *scan,
                     struct journal_end *out_end, struct journal_recovery *out_recovery,
                     struct why *why);
    /* begin_append is called once, when everything was read. */
    enum err (*begin_append)(struct journal_medium *m, const struct engine_limits *limits,
                             struct why *why);
    /* append makes a block durable. */
    enum err (*append)(struct journal_medium *m, const struct journal_sealed *block,
                       struct why *why);
    /* save makes a snapshot durable and lets all but the newest two go. */
    enum err (*save)(struct journal_medium *m, const struct engine *e, struct why *why);
    void (*close)(struct journal_medium *m);
};

/*
 * journal_folder_open opens a folder, or makes it when `create`, and locks it.
 * Owns: the caller, until a journal takes it. Errors: ERR_NOT_FOUND, ERR_LOCKED, ERR_IO,
 * ERR_INVALID_FIELD.
 */
enum err journal_folder_open(struct journal_medium **out, const struct journal_config *config,
                             bool create, struct why *why) ERR_CHECKED;

/* journal_give_records gives the records of a block from `scan->from` on, and counts them. */
enum err journal_give_records(const struct journal_scan *scan, const struct journal_block *block,
                              struct journal_recovery *recovery, struct why *why) ERR_CHECKED;

/* A snapshot as bytes: head, then the words of engine_save. Owns: the caller, mem_free(ptr). */
struct journal_bytes {
    uint8_t *ptr;
    size_t len;
};
/* journal_snapshot_encode writes one. */
struct journal_bytes journal_snapshot_encode(const struct engine *e);
/* journal_snapshot_decode makes an engine of one; NULL when it is not whole. */
struct engine *journal_snapshot_decode(struct slice bytes, const struct engine_limits *limits);

#endif
