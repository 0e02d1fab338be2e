/*
 * backup_row.h: rows outside of a database: read, written, encoded, hashed.
 *
 * A row is the values of all columns of its table, in the table's order. Its encoded form is the
 * same whichever database it came from:
 *
 *     field   00 for NULL, or 01 and the value
 *     value   I64, TIME (microseconds)  8 bytes, big-endian, two's complement
 *             BOOL                      1 byte, 0 or 1
 *             U256                      32 bytes, big-endian
 *             HASH, ADDRESS             32, 20 bytes
 *             TEXT, JSON, BYTES         4 bytes length, big-endian, and the bytes
 *
 * A row's hash is the SHA-256 of that form with each JSON value written canonically: no blanks,
 * keys sorted by their bytes, every number as the one text that equal numbers share (decimal.h: 1
 * and 1.0 are 0.1e1). PostgreSQL keeps JSON by its meaning and not by its text, so the hash does
 * too; no digit is lost, as it would be in the form of RFC 8785. Inverses of the undo log are in
 * the portable form of store.h.
 *
 * A table's hash is the sum of its rows' hashes modulo 2^256, so that it does not depend on the
 * order in which a database sorts text. It proves that a copy is whole, to somebody who trusts
 * whoever made it; it is no commitment against a forger.
 *
 * Threads: none of its own; a batch belongs to one thread at a time.
 */
#ifndef KERNEL_BACKUP_BACKUP_ROW_H
#define KERNEL_BACKUP_BACKUP_ROW_H

#include "kernel/base/json.h"
#include "kernel/crypto/hash.h"
#include "kernel/store/store.h"

struct backup_value {
    bool is_null;
    int64_t i64;
    struct slice bytes;
    struct u256 u256;
};

struct backup_row {
    const struct backup_value *values; /* as many as the table has columns */
};

/* Some rows of one table, in the order of its primary key, with their memory. */
struct backup_batch {
    struct arena arena;
    const struct store_table *table;
    struct backup_row *rows;
    size_t count;
    bool ends;      /* it is the table's last one; it may be empty */
    int64_t number; /* then: how far the database has counted a column that it numbers */
    struct backup_batch *next;
};

/* How many rows, and the sum of their hashes. Zeroed is none. */
struct backup_sum {
    uint64_t rows;
    struct u256 hashes;
};

/* backup_batch_new makes an empty batch. Owns: the caller, backup_batch_free. */
struct backup_batch *backup_batch_new(const struct store_table *table);
/* backup_batch_free gives it back; NULL is fine. */
void backup_batch_free(struct backup_batch *batch);

/* backup_row_read reads the current row of a table's `first` or `next`. Owns: the arena. */
enum err backup_row_read(struct store_query *q, const struct store *store,
                         const struct store_table *table, struct arena *arena,
                         struct backup_row *out, struct why *why) ERR_CHECKED;

/*
 * backup_row_bind binds a row to the table's `insert`. Owns: `scratch`, until the row has left.
 * Errors: ERR_CORRUPT (an inverse that makes no sense).
 */
enum err backup_row_bind(struct store_query *q, const struct store *store,
                         const struct store_table *table, const struct backup_row *row,
                         struct arena *scratch, struct why *why) ERR_CHECKED;

/* backup_row_encode appends the encoded form, JSON as it is. */
void backup_row_encode(const struct store_table *table, const struct backup_row *row,
                       struct buf *out);

/*
 * backup_row_decode reads the encoded form; values of the result are part of `bytes`. Owns: the
 * arena. Errors: ERR_CORRUPT.
 */
enum err backup_row_decode(const struct store_table *table, struct slice bytes, struct arena *arena,
                           struct backup_row *out, struct why *why) ERR_CHECKED;

/* backup_row_hash computes a row's hash. Errors: ERR_CORRUPT (a column's JSON is none). */
enum err backup_row_hash(const struct store_table *table, const struct backup_row *row,
                         struct arena *scratch, struct hash *out, struct why *why) ERR_CHECKED;

/* backup_sum_add counts a row and adds its hash. Errors: as backup_row_hash. */
enum err backup_sum_add(struct backup_sum *sum, const struct store_table *table,
                        const struct backup_row *row, struct arena *scratch,
                        struct why *why) ERR_CHECKED;

/* backup_sum_equal compares. */
bool backup_sum_equal(const struct backup_sum *a, const struct backup_sum *b);

/* backup_sum_hash returns the table's hash. */
struct hash backup_sum_hash(const struct backup_sum *sum);

/* backup_json_exact appends the canonical form that keeps every digit. Errors: ERR_OVERFLOW. */
enum err backup_json_exact(struct buf *out, const struct json *v, struct why *why) ERR_CHECKED;

#endif
