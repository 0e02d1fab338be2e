/*
 * file.h: pure parts of answers that are files: which range a client wants, and how a file is
 * called in a header. Private to this folder, fuzzed.
 *
 * Of Range (RFC 9110 section 14.2) a single range of bytes is served; several, another unit and
 * what cannot be read are ignored, as the standard allows, and answered with the whole file.
 */
#ifndef KERNEL_HTTP_FILE_H
#define KERNEL_HTTP_FILE_H

#include "kernel/base/slice.h"

enum http_range_verdict {
    HTTP_RANGE_WHOLE,
    HTTP_RANGE_PART, /* outputs are set: at least one byte, all within the file */
    HTTP_RANGE_NONE, /* nothing of it is in the file */
};

/* http_range_read reads a Range header for a file of `size` bytes. */
enum http_range_verdict http_range_read(struct slice header, uint64_t size, uint64_t *out_from,
                                        uint64_t *out_len);
/*
 * http_disposition makes a Content-Disposition: attachment of a name in UTF-8 (RFC 6266), with a
 * plain form for those who know no other. Whatever the name holds, it ends no line and no string.
 * Owns: the arena.
 */
struct slice http_disposition(struct arena *arena, struct slice name);

#endif
