#include "sim/sim.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/clock.h"

#define MONO_START (1000 * (int64_t)USEC_PER_SEC)
#define WALL_START (1700000000 * (int64_t)USEC_PER_SEC)

static void *take(struct sim *w, size_t size)
{
    size_t at = (w->used + 15) & ~(size_t)15;
    ASSERT(at + size <= SIM_MEMORY);
    w->used = at + size;
    return w->memory + at;
}

struct sim *sim_new(uint64_t seed, bool tracing)
{
    uint8_t *memory = mmap(NULL, SIM_MEMORY, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT(memory != MAP_FAILED);
    struct sim *w = (struct sim *)(void *)memory;
    w->memory = memory;
    w->used = sizeof *w;
    w->seed = seed;
    w->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    w->tracing = tracing;
    w->mono_usec = MONO_START;
    w->wall_offset_usec = WALL_START;
    w->trace = UINT64_C(0xcbf29ce484222325);
    w->blocks = take(w, SIM_BLOCKS_MAX * sizeof *w->blocks);
    w->txs = take(w, SIM_TXS_MAX * sizeof *w->txs);
    w->left_head = -1;
    return w;
}

void sim_free(struct sim *w)
{
    ASSERT(munmap(w->memory, SIM_MEMORY) == 0);
}

void *sim_keep(struct sim *w, const void *bytes, size_t len)
{
    void *kept = take(w, len + 1); /* zeroed: texts end */
    if (len > 0) {
        memcpy(kept, bytes, len);
    }
    return kept;
}

/* splitmix64: one word of state, which the world keeps. */
uint64_t sim_below(struct sim *w, uint64_t bound)
{
    ASSERT(bound > 0);
    uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % bound; /* a bias of 2^-50 does not matter here */
}

bool sim_chance(struct sim *w, unsigned permille)
{
    return sim_below(w, 1000) < permille;
}

bool sim_has(const struct sim *w, enum sim_trouble kind)
{
    return (w->trouble >> kind & 1) != 0;
}

/* ---- time ---- */

void sim_pass(struct sim *w, int64_t usec)
{
    w->mono_usec += usec;
}

static int64_t wall(void *ctx)
{
    const struct sim *w = ctx;
    return w->mono_usec + w->wall_offset_usec;
}

static int64_t mono(void *ctx)
{
    const struct sim *w = ctx;
    return w->mono_usec;
}

static void sleep_for(void *ctx, int64_t usec)
{
    sim_pass(ctx, usec);
}

void sim_use_clock(struct sim *w)
{
    const struct clock_source source = {
        .wall_usec = wall, .mono_usec = mono, .sleep_usec = sleep_for, .ctx = w};
    clock_set_source(&source);
}

/* ---- what is told ---- */

void sim_digest(struct sim *w, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    uint64_t h = w->trace ^ len;
    for (; len >= 8; len -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        h = (h ^ word) * UINT64_C(0x100000001b3);
        h ^= h >> 29;
    }
    for (; len > 0; len--, at++) {
        h = (h ^ *at) * UINT64_C(0x100000001b3);
    }
    w->trace = h ^ h >> 32;
}

void sim_say(struct sim *w, const char *format, ...)
{
    char text[SIM_TEXT_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t kept = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    sim_digest(w, text, kept);
    if (w->tracing) {
        (void)fprintf(stderr, "%9.3f  tick %-3llu life %-2llu  %s\n",
                      (double)(w->mono_usec - MONO_START) / USEC_PER_SEC,
                      (unsigned long long)w->tick, (unsigned long long)w->lives, text);
    }
}

void sim_fail(struct sim *w, const char *format, ...)
{
    if (w->failed) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(w->failure, sizeof w->failure, format, args);
    va_end(args);
    w->failed = true;
    if (w->tracing) {
        (void)fprintf(stderr, "FAILED %s\n", w->failure);
    }
}

/* ---- the end of a process ---- */

void sim_point(struct sim *w, const char *what)
{
    if (w->kill_in == 0) {
        return;
    }
    w->points++;
    if (--w->kill_in > 0) {
        return;
    }
    sim_say(w, "killed %s", what);
    _exit(SIM_KILLED); /* nothing is written, closed or given back */
}
