/*
 * base64.h: RFC 4648, the standard alphabet with padding (section 4) and the one for URLs without
 * (section 5, as JOSE writes it).
 *
 * Reading is strict, because what is signed or compared must have one text: the alphabet alone, no
 * blanks, padding where the form has it and nowhere else, no bits set beyond the last byte.
 */
#ifndef KERNEL_BASE_BASE64_H
#define KERNEL_BASE_BASE64_H

#include "kernel/base/slice.h"

enum base64_form {
    BASE64_STANDARD, /* '+' and '/', padded with '=' */
    BASE64_URL,      /* '-' and '_', not padded */
};

/* base64_encode appends the text of bytes. */
void base64_encode(struct buf *out, enum base64_form form, struct slice bytes);

/*
 * base64_decode reads text into the arena. Errors: ERR_INVALID_ENCODING; `out` is untouched then.
 */
enum err base64_decode(struct arena *arena, enum base64_form form, struct slice text,
                       struct slice *out) ERR_CHECKED;

#endif
