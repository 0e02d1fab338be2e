/*
 * Saved states: whatever the words behind a right header, loading ends inside the engine's memory,
 * and what it took can be saved.
 */
#include <string.h>

#include "domain/trading/engine/engine.h"
#include "kernel/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As unit/domain/trading/venue.h has them: the corpus is of that venue. */
static const struct engine_limits limits = {.pairs = 4,
                                            .assets = 4,
                                            .accounts = 16,
                                            .orders = 200,
                                            .balances = 60,
                                            .rights = 60,
                                            .holds = 6,
                                            .id_window = 4096};

#define HEADER 5 /* version and limits */

struct words {
    uint64_t header[HEADER + 1]; /* and one that is not kept */
    size_t saved;
    const uint8_t *data;
    size_t size;
    size_t read; /* words */
};

static void keep_header(void *ctx, uint64_t word)
{
    struct words *w = ctx;
    w->header[w->saved < HEADER ? w->saved : HEADER] = word;
    w->saved++;
}

static bool next_word(void *ctx, uint64_t *out)
{
    struct words *w = ctx;
    if (w->read < HEADER) {
        *out = w->header[w->read++];
        return true;
    }
    const size_t at = (w->read - HEADER) * sizeof *out;
    if (at + sizeof *out > w->size) {
        return false;
    }
    memcpy(out, w->data + at, sizeof *out);
    w->read++;
    return true;
}

static void ignore(void *ctx, uint64_t word)
{
    *(uint64_t *)ctx += word != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct words w = {.data = data, .size = size};
    struct engine *fresh = engine_new(&limits);
    engine_save(fresh, keep_header, &w);
    if (engine_load(fresh, next_word, &w, 7, NULL) == OK) {
        uint64_t count = 0;
        ASSERT(engine_seq(fresh) == 7);
        engine_save(fresh, ignore, &count);
    }
    engine_free(fresh);
    return 0;
}
