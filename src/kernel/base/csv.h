/*
 * csv.h: comma-separated values by RFC 4180, strictly.
 *
 * A field is quoted as a whole or not at all; in a quoted one "" is a quote, and commas and line
 * ends are text. A record ends with CRLF or with LF alone (which the RFC does not know and
 * everybody writes); the last one may lack its end. A byte order mark at the start is passed by.
 * Refused, with the line: a quote inside of a bare field, anything between a closing quote and the
 * comma or line end, a quote that nobody closes, CR without LF outside of quotes, NUL, what is not
 * UTF-8. How many fields records have is the caller's to compare: a record with too few is a
 * record.
 *
 * States: csv_init, then csv_next until it finds none or fails; after a failure where the next
 * record begins is anybody's guess, so there is none. Pure; the text must stay.
 */
#ifndef KERNEL_BASE_CSV_H
#define KERNEL_BASE_CSV_H

#include "kernel/base/err.h"
#include "kernel/base/mem.h"
#include "kernel/base/slice.h"

/* Fields that a record may have. */
#define CSV_FIELDS_MAX 256

struct csv {
    struct slice rest;
    uint64_t line; /* that `rest` begins in, from 1 */
};

struct csv_record {
    uint64_t line; /* that it begins in */
    size_t count;
    struct slice fields[CSV_FIELDS_MAX]; /* in the text, or in the arena when "" was in them */
};

/* csv_init begins at the first record. */
void csv_init(struct csv *csv, struct slice text);

/*
 * csv_next reads a record; *out_found is false at the end. Owns: the arena. Errors:
 * ERR_INVALID_ENCODING (why names the line), ERR_LIMIT (more than CSV_FIELDS_MAX fields).
 */
enum err csv_next(struct csv *csv, struct arena *arena, struct csv_record *out, bool *out_found,
                  struct why *why) ERR_CHECKED;

#endif
