/*
 * mem.h: memory has three lifetimes, visible in parameter names.
 *
 *   boot   lives until the process ends: tables, pools, configuration.
 *   req/job/scratch   an arena cleared when the request, job or step is over.
 *   fixed pools   inside the module that owns them.
 *
 * This file is the only one that calls malloc. An arena never returns NULL: when the system has
 * no memory left the process stops (every state is a row, so a restart loses nothing), and input
 * is capped where it enters (bodies, pages, node answers), which bounds every arena.
 *
 * Arenas are not thread safe: one thread owns one.
 */
#ifndef KERNEL_BASE_MEM_H
#define KERNEL_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

struct arena_block;

struct arena {
    struct arena_block *head;
    size_t block_size; /* bytes of a fresh block */
    size_t used;       /* bytes handed out since the last clear */
};

/* arena_init prepares an arena whose blocks hold `block_size` bytes (0: 16 KiB). No allocation. */
void arena_init(struct arena *a, size_t block_size);

/* arena_alloc returns `size` zeroed bytes aligned for any type. Owns: the arena. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((returns_nonnull, malloc));

/* arena_alloc_array returns `count` zeroed elements of `size` bytes; aborts on overflow. */
void *arena_alloc_array(struct arena *a, size_t count, size_t size)
    __attribute__((returns_nonnull, malloc));

/* arena_clear forgets everything but keeps one block, ready for the next request. */
void arena_clear(struct arena *a);

/* arena_wipe is arena_clear for an arena that secrets were in: what was handed out is wiped first.
 */
void arena_wipe(struct arena *a);

/* arena_free gives all memory back; the arena may be used again after arena_init. */
void arena_free(struct arena *a);

/* mem_alloc returns zeroed memory for long-lived objects. Owns: the caller, mem_free. */
void *mem_alloc(size_t size) __attribute__((returns_nonnull, malloc));

/*
 * mem_alloc_large is mem_alloc for tables of many megabytes that are read at random: it asks the
 * system for large pages, so that a look-up does not also miss where its page is.
 */
void *mem_alloc_large(size_t size) __attribute__((returns_nonnull, malloc));

/* mem_resize grows or shrinks memory of mem_alloc; new bytes are not zeroed. */
void *mem_resize(void *ptr, size_t size) __attribute__((returns_nonnull));

/* mem_free gives memory of mem_alloc back; NULL is fine. */
void mem_free(void *ptr);

/* mem_wipe overwrites memory in a way that the compiler keeps. */
void mem_wipe(void *ptr, size_t size);

/* mem_equal_secret compares in constant time: 1 when equal. */
int mem_equal_secret(const void *a, const void *b, size_t size);

/*
 * struct secret holds bytes that must not be printed, logged or copied into a slice by accident.
 * There is no function that formats one.
 */
struct secret {
    uint8_t *ptr_;
    size_t len_;
};

/* secret_init copies `len` bytes into memory of its own. Owns: the caller, secret_clear. */
void secret_init(struct secret *s, const void *bytes, size_t len);

/* secret_bytes lends the bytes to code that must use them (signing, HMAC). */
const uint8_t *secret_bytes(const struct secret *s);

/* secret_len returns the number of bytes. */
size_t secret_len(const struct secret *s);

/* secret_clear wipes and frees; a zeroed or cleared secret is fine. */
void secret_clear(struct secret *s);

#endif
