#include "kernel/base/mem.h"

#include <stdalign.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/check.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEM_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MEM_ASAN 1
#endif

#if defined(MEM_ASAN)
#include <sanitizer/asan_interface.h>
/* Bytes left poisoned behind each allocation, so that running over its end is seen. */
#define ARENA_REDZONE 16
#else
#define ARENA_REDZONE 0
#endif

#define ARENA_BLOCK_DEFAULT ((size_t)16 * 1024)
#define ARENA_ALIGN alignof(max_align_t)
/* Far beyond any capped input; keeps every sum below free of overflow. */
#define ALLOC_MAX (SIZE_MAX / 4)

#define LARGE_PAGE ((size_t)2 << 20)

struct arena_block {
    struct arena_block *next;
    size_t size; /* of bytes */
    size_t used; /* never more than size */
    alignas(max_align_t) uint8_t bytes[];
};

static void poison(void *ptr, size_t size)
{
#if defined(MEM_ASAN)
    __asan_poison_memory_region(ptr, size);
#else
    (void)ptr;
    (void)size;
#endif
}

static void unpoison(void *ptr, size_t size)
{
#if defined(MEM_ASAN)
    __asan_unpoison_memory_region(ptr, size);
#else
    (void)ptr;
    (void)size;
#endif
}

static _Noreturn void out_of_memory(size_t size)
{
    fprintf(stderr, "freehold: no memory for %zu bytes\n", size);
    abort();
}

void arena_init(struct arena *a, size_t block_size)
{
    *a = (struct arena){.block_size = block_size ? block_size : ARENA_BLOCK_DEFAULT};
}

/* The bytes of a fresh block are zero: calloc gets big ones from the system without touching them.
 */
static struct arena_block *block_new(size_t size)
{
    struct arena_block *block = calloc(1, sizeof *block + size);
    if (!block) {
        out_of_memory(size);
    }
    block->size = size;
    poison(block->bytes, size);
    return block;
}

static void *block_take(struct arena_block *block, size_t size, size_t step)
{
    ASSERT(step <= block->size - block->used);
    void *ptr = block->bytes + block->used;
    block->used += step;
    unpoison(ptr, size);
    return ptr;
}

void *arena_alloc(struct arena *a, size_t size)
{
    ASSERT(a->block_size > 0);
    if (size > ALLOC_MAX) {
        out_of_memory(size);
    }
    /* Zero bytes still get an address of their own. */
    size_t step = ((size ? size : 1) + ARENA_REDZONE + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    a->used += step;
    struct arena_block *head = a->head;
    if (head && step <= head->size - head->used) {
        return memset(block_take(head, size, step), 0, size);
    }
    if (head && step > a->block_size / 4) {
        /* A big one goes behind the head, whose rest stays in use for small ones. */
        struct arena_block *own = block_new(step);
        own->next = head->next;
        head->next = own;
        return block_take(own, size, step);
    }
    struct arena_block *block = block_new(step > a->block_size ? step : a->block_size);
    block->next = head;
    a->head = block;
    return block_take(block, size, step);
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        out_of_memory(SIZE_MAX);
    }
    return arena_alloc(a, total);
}

static void blocks_free(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        unpoison(block->bytes, block->size);
        free(block);
        block = next;
    }
}

void arena_clear(struct arena *a)
{
    /* A block of the usual size is kept; a huge one would pin the memory of one odd request. */
    struct arena_block *keep = NULL;
    struct arena_block **link = &a->head;
    while (*link && (*link)->size != a->block_size) {
        link = &(*link)->next;
    }
    if (*link) {
        keep = *link;
        *link = keep->next;
        keep->next = NULL;
        keep->used = 0;
        poison(keep->bytes, keep->size);
    }
    blocks_free(a->head);
    a->head = keep;
    a->used = 0;
}

void arena_wipe(struct arena *a)
{
    for (struct arena_block *block = a->head; block; block = block->next) {
        unpoison(block->bytes, block->used);
        mem_wipe(block->bytes, block->used);
    }
    arena_clear(a);
}

void arena_free(struct arena *a)
{
    blocks_free(a->head);
    *a = (struct arena){0};
}

void *mem_alloc(size_t size)
{
    void *ptr = size > ALLOC_MAX ? NULL : calloc(1, size ? size : 1);
    if (!ptr) {
        out_of_memory(size);
    }
    return ptr;
}

void *mem_alloc_large(size_t size)
{
    uint8_t *ptr = mem_alloc(size);
    const size_t skip = (size_t)(-(uintptr_t)ptr % LARGE_PAGE);
    if (size > skip + LARGE_PAGE) {
        /* A wish: where it is not granted, all is as before. */
        (void)madvise(ptr + skip, (size - skip) / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
    }
    return ptr;
}

void *mem_resize(void *ptr, size_t size)
{
    void *moved = size > ALLOC_MAX ? NULL : realloc(ptr, size ? size : 1);
    if (!moved) {
        out_of_memory(size);
    }
    return moved;
}

void mem_free(void *ptr)
{
    free(ptr);
}

void mem_wipe(void *ptr, size_t size)
{
    if (size > 0) {
        explicit_bzero(ptr, size);
    }
}

int mem_equal_secret(const void *a, const void *b, size_t size)
{
    const volatile uint8_t *x = a;
    const volatile uint8_t *y = b;
    unsigned diff = 0;
    for (size_t i = 0; i < size; i++) {
        diff |= (unsigned)(x[i] ^ y[i]);
    }
    return (int)(1 & ((diff - 1) >> 8));
}

void secret_init(struct secret *s, const void *bytes, size_t len)
{
    *s = (struct secret){0};
    if (len == 0) {
        return;
    }
    /*
     * Pages of its own: not shared with the heap, kept out of swap and core dumps. The last two
     * are best effort, since a small RLIMIT_MEMLOCK must not keep the program from starting.
     */
    void *pages = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        out_of_memory(len);
    }
    (void)mlock(pages, len);
    (void)madvise(pages, len, MADV_DONTDUMP);
    memcpy(pages, bytes, len);
    s->ptr_ = pages;
    s->len_ = len;
}

const uint8_t *secret_bytes(const struct secret *s)
{
    static const uint8_t none[1];
    return s->ptr_ ? s->ptr_ : none;
}

size_t secret_len(const struct secret *s)
{
    return s->len_;
}

void secret_clear(struct secret *s)
{
    if (s->ptr_) {
        mem_wipe(s->ptr_, s->len_);
        int failed = munmap(s->ptr_, s->len_);
        ASSERT(!failed);
    }
    *s = (struct secret){0};
}
