/*
 * documents_store.h: where the bytes of documents are, whatever it is that keeps them.
 *
 * A store knows files by their SHA-256 and nothing else of them. `put` returns when the bytes are
 * durable under that name, and replaces what was there under it: so a file that has rotted is
 * mended by the next upload. `open` gives a descriptor to read from, of what is there, right or
 * not.
 *
 * The hold: puts and the commits of their rows are done under a shared hold, removals under one of
 * one's own (documents.h, "Crash points"). It reaches as far as the store does.
 */
#ifndef KERNEL_DOCUMENTS_DOCUMENTS_STORE_H
#define KERNEL_DOCUMENTS_DOCUMENTS_STORE_H

#include "kernel/crypto/hash.h"

struct documents_store;

/* Told of each file that has been there for a while. */
typedef enum err (*documents_visit_fn)(void *ctx, const struct hash *hash, struct why *why);

struct documents_store_ops {
    enum err (*hold)(struct documents_store *s, bool alone, int *out, struct why *why);
    void (*let_go)(struct documents_store *s, int hold);
    /* Reads all of `fd`. Errors: ERR_DISK_FULL, ERR_IO, ERR_UPSTREAM. */
    enum err (*put)(struct documents_store *s, const struct hash *hash, int fd, struct why *why);
    /*
     * Errors: ERR_NOT_FOUND, ERR_OVERLOADED, ERR_IO, ERR_UPSTREAM; ERR_CORRUPT of a store that
     * sees it by itself. Owns: the caller, close.
     */
    enum err (*open)(struct documents_store *s, const struct hash *hash, int *out_fd,
                     uint64_t *out_size, struct why *why);
    /* One that is not there is fine. */
    enum err (*remove)(struct documents_store *s, const struct hash *hash, struct why *why);
    /* Also removes what puts have left half. Units: microseconds of wall time. */
    enum err (*visit)(struct documents_store *s, int64_t before_usec, documents_visit_fn visit,
                      void *ctx, struct why *why);
    void (*free)(struct documents_store *s);
};

struct documents_store {
    const struct documents_store_ops *ops;
    const char *spool_dir; /* where files may be that arrive */
};

/*
 * documents_store_local keeps files in a folder: DIR/ab/abcd…, written to DIR/tmp, synced, renamed,
 * the folder synced. Owns: the caller, ops->free. Errors: ERR_CONFIG.
 */
enum err documents_store_local(const char *dir, struct documents_store **out,
                               struct why *why) ERR_CHECKED;

#endif
