/*
 * hex.h: 0x-prefixed hexadecimal as JSON-RPC and the API use it.
 */
#ifndef KERNEL_BASE_HEX_H
#define KERNEL_BASE_HEX_H

#include "kernel/base/slice.h"

/*
 * hex_decode reads "0x" and an even number of hex digits into the arena.
 * Errors: ERR_INVALID_HEX.
 */
enum err hex_decode(struct arena *arena, struct slice text, struct slice *out) ERR_CHECKED;

/*
 * hex_decode_fixed reads "0x" and exactly 2*len digits into `out`. Errors: ERR_INVALID_HEX; `out`
 * is untouched then.
 */
enum err hex_decode_fixed(struct slice text, uint8_t *out, size_t len) ERR_CHECKED;

/* hex_encode returns "0x" and lower-case digits in the arena. */
struct slice hex_encode(struct arena *arena, struct slice bytes);

/* hex_encode_to writes "0x", lower-case digits and a NUL: 2*len+3 bytes. */
void hex_encode_to(struct slice bytes, char *out);

/*
 * hex_parse_u64 reads a JSON-RPC quantity ("0x0", "0x1a"); leading zeros, which some nodes write,
 * are fine. Errors: ERR_INVALID_HEX, ERR_OVERFLOW.
 */
enum err hex_parse_u64(struct slice text, uint64_t *out) ERR_CHECKED;

#endif
