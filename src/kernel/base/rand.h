/*
 * rand.h: the one door to randomness.
 *
 * Bytes come from the kernel (getrandom). Tests and simulations replace the source with a seeded
 * one; keys are never made from a replaced source in a release build because only tests link one.
 */
#ifndef KERNEL_BASE_RAND_H
#define KERNEL_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/base/slice.h"

/* rand_set_seed makes all following bytes a function of `seed`; tests only. */
void rand_set_seed(uint64_t seed);

/* rand_bytes fills `out`; never fails (aborts when the system has no randomness). */
void rand_bytes(void *out, size_t len);

/* rand_u64 returns 64 random bits. */
uint64_t rand_u64(void);

/* rand_below returns a number in [0, bound) without bias; bound must not be 0. */
uint64_t rand_below(uint64_t bound);

#define RAND_ID_MAX 40

/*
 * rand_id writes `prefix`, '_' and 26 characters of Crockford base 32: 48 bits of wall time in
 * milliseconds and 80 random bits (a ULID), so that ids sort by creation, and a NUL.
 * Units: prefix up to 8 characters.
 */
void rand_id(const char *prefix, char out[RAND_ID_MAX]);

#endif
