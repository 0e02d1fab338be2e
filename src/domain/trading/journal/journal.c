#include "domain/trading/journal/journal.h"

#include <pthread.h>
#include <stdatomic.h>

#include "domain/trading/journal/journal_medium.h"
#include "kernel/base/check.h"
#include "kernel/base/mem.h"

#define QUEUE (1u << 16) /* commands; a power of two */

struct journal {
    struct journal_medium *medium;
    struct engine_command *queue;
    _Atomic uint64_t appended; /* last sequence number in the queue; the caller's */
    _Atomic uint64_t taken;    /* last one copied out of it; the writer's */
    _Atomic uint64_t durable;
    _Atomic bool failed;
    _Atomic bool writer_sleeps;
    _Atomic uint32_t waiters;
    pthread_mutex_t lock; /* of the conditions and `failure` */
    pthread_cond_t work;
    pthread_cond_t progress;
    struct why failure;
    bool stopping;
    pthread_t writer;
    bool writer_runs;
    /* the writer's */
    struct hash chain;
    uint8_t *block;
};

/* ---- the writer ---- */

/* Makes one block of what is queued durable. */
static enum err commit(struct journal *j, uint64_t first_seq, uint32_t count, struct why *why)
{
    for (uint32_t i = 0; i < count; i++) {
        engine_command_encode(&j->queue[(first_seq + i) & (QUEUE - 1)],
                              j->block + (size_t)(i + 1) * JOURNAL_UNIT);
    }
    atomic_store_explicit(&j->taken, first_seq + count - 1, memory_order_release);
    struct journal_sealed sealed = {
        .bytes = j->block, .first_seq = first_seq, .count = count, .before = j->chain};
    sealed.size = journal_block_seal(j->block, count, first_seq, &j->chain);
    return j->medium->append(j->medium, &sealed, why);
}

static void announce(struct journal *j, uint64_t durable, enum err e, const struct why *why)
{
    if (e == OK) {
        atomic_store(&j->durable, durable);
    }
    if (e == OK && atomic_load(&j->waiters) == 0) {
        return;
    }
    pthread_mutex_lock(&j->lock);
    if (e != OK) {
        j->failure = *why;
        atomic_store(&j->failed, true);
    }
    pthread_cond_broadcast(&j->progress);
    pthread_mutex_unlock(&j->lock);
}

/* Sleeps until something is queued. Returns false when nothing will be. */
static bool sleep_until_work(struct journal *j, uint64_t done)
{
    pthread_mutex_lock(&j->lock);
    atomic_store(&j->writer_sleeps, true);
    while (atomic_load(&j->appended) == done && !j->stopping) {
        pthread_cond_wait(&j->work, &j->lock);
    }
    atomic_store(&j->writer_sleeps, false);
    pthread_mutex_unlock(&j->lock);
    return atomic_load(&j->appended) != done;
}

static void *writer_main(void *arg)
{
    struct journal *j = arg;
    uint64_t done = atomic_load(&j->durable);
    for (;;) {
        const uint64_t appended = atomic_load_explicit(&j->appended, memory_order_acquire);
        if (appended == done) {
            if (!sleep_until_work(j, done)) {
                return NULL;
            }
            continue;
        }
        const uint64_t waiting = appended - done;
        const uint32_t count =
            waiting < JOURNAL_RECORDS_MAX ? (uint32_t)waiting : JOURNAL_RECORDS_MAX;
        struct why why = {0};
        const enum err e = commit(j, done + 1, count, &why);
        done += count;
        announce(j, done, e, &why);
        if (e != OK) {
            return NULL;
        }
    }
}

/* ---- the caller ---- */

uint64_t journal_append(struct journal *j, const struct engine_command *c)
{
    const uint64_t seq = atomic_load_explicit(&j->appended, memory_order_relaxed) + 1;
    ASSERT(engine_command_sound(c)); /* or the journal could not be read again */
    /* Full: the disk is the bound now. A failed journal takes no more; its commands are lost. */
    while (seq - atomic_load_explicit(&j->taken, memory_order_acquire) > QUEUE) {
        const uint64_t oldest = seq - QUEUE;
        if (journal_wait(j, oldest, NULL) != OK) {
            return seq;
        }
    }
    j->queue[seq & (QUEUE - 1)] = *c;
    atomic_store(&j->appended, seq);
    if (atomic_load(&j->writer_sleeps)) {
        pthread_mutex_lock(&j->lock);
        pthread_cond_signal(&j->work);
        pthread_mutex_unlock(&j->lock);
    }
    return seq;
}

uint64_t journal_durable(const struct journal *j)
{
    return atomic_load(&j->durable);
}

enum journal_state journal_state_of(const struct journal *j)
{
    return atomic_load(&j->failed) ? JOURNAL_FAILED : JOURNAL_RUNNING;
}

enum err journal_wait(struct journal *j, uint64_t seq, struct why *why)
{
    if (atomic_load(&j->durable) >= seq) {
        return OK;
    }
    pthread_mutex_lock(&j->lock);
    atomic_fetch_add(&j->waiters, 1);
    while (atomic_load(&j->durable) < seq && !atomic_load(&j->failed)) {
        pthread_cond_wait(&j->progress, &j->lock);
    }
    atomic_fetch_sub(&j->waiters, 1);
    const bool durable = atomic_load(&j->durable) >= seq;
    const struct why failure = j->failure;
    pthread_mutex_unlock(&j->lock);
    return durable ? OK
                   : why_set(why, failure.err, NULL, "the venue has stopped: %s", failure.text);
}

enum err journal_snapshot(struct journal *j, const struct engine *e, struct why *why)
{
    const enum err err = journal_wait(j, engine_seq(e), why);
    return err == OK ? j->medium->save(j->medium, e, why) : err;
}

/* ---- opening ---- */

static enum err replay_record(void *ctx, uint64_t seq, const struct engine_command *c,
                              struct why *why)
{
    struct engine *e = ctx;
    (void)engine_apply(e, c);
    return engine_seq(e) == seq
               ? OK
               : why_set(why, ERR_CORRUPT, NULL, "record %llu does not follow the snapshot",
                         (unsigned long long)seq);
}

static void hint(void *ctx, const struct engine_command *soon, const struct engine_command *later)
{
    engine_hint(ctx, soon, later);
}

static enum err recover(struct journal *j, const struct journal_config *config,
                        struct engine **out_engine, struct journal_recovery *out_recovery,
                        struct why *why)
{
    struct journal_medium *m = j->medium;
    struct journal_end end = {0};
    struct engine_limits limits;
    struct engine *e = NULL;
    enum err err = m->limits(m, &limits, why);
    if (err == ERR_NOT_FOUND) {
        limits = config->limits;
        err = engine_limits_check(&limits, why);
    }
    err = err == OK ? m->load(m, &limits, UINT64_MAX, &e, why) : err;
    if (err != OK) {
        return err;
    }
    struct journal_recovery recovery = {0};
    const uint64_t snapshot_seq = engine_seq(e);
    const struct journal_scan scan = {
        .from = snapshot_seq + 1, .repair = true, .record = replay_record, .ahead = hint, .ctx = e};
    err = m->scan(m, &scan, &end, &recovery, why);
    if (err == OK && end.seq < snapshot_seq) {
        err =
            why_set(why, ERR_CORRUPT, NULL, "the journal ends at record %llu, before snapshot %llu",
                    (unsigned long long)end.seq, (unsigned long long)snapshot_seq);
    }
    err = err == OK ? m->begin_append(m, &limits, why) : err;
    if (err != OK) {
        engine_free(e);
        return err;
    }
    j->chain = end.chain;
    atomic_store(&j->appended, end.seq);
    atomic_store(&j->taken, end.seq);
    atomic_store(&j->durable, end.seq);
    recovery.snapshot_seq = snapshot_seq;
    *out_recovery = recovery;
    *out_engine = e;
    return OK;
}

enum err journal_open(struct journal **out, const struct journal_config *config,
                      struct engine **out_engine, struct journal_recovery *out_recovery,
                      struct why *why)
{
    struct journal_medium *medium = config->medium;
    enum err e = medium != NULL ? OK : journal_folder_open(&medium, config, true, why);
    if (e != OK) {
        return e;
    }
    struct journal *j = mem_alloc(sizeof *j);
    j->medium = medium;
    j->queue = mem_alloc((size_t)QUEUE * sizeof *j->queue);
    j->block = mem_alloc(JOURNAL_BLOCK_MAX);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->work, NULL);
    pthread_cond_init(&j->progress, NULL);
    struct engine *engine = NULL;
    e = recover(j, config, &engine, out_recovery, why);
    if (e == OK && pthread_create(&j->writer, NULL, writer_main, j) != 0) {
        engine_free(engine);
        e = why_set(why, ERR_INTERNAL, NULL, "the journal's thread could not be started");
    }
    if (e != OK) {
        journal_close(j);
        return e;
    }
    j->writer_runs = true;
    *out = j;
    *out_engine = engine;
    return OK;
}

void journal_close(struct journal *j)
{
    if (j == NULL) {
        return;
    }
    if (j->writer_runs) {
        pthread_mutex_lock(&j->lock);
        j->stopping = true;
        pthread_cond_signal(&j->work);
        pthread_mutex_unlock(&j->lock);
        pthread_join(j->writer, NULL);
    }
    j->medium->close(j->medium);
    pthread_cond_destroy(&j->progress);
    pthread_cond_destroy(&j->work);
    pthread_mutex_destroy(&j->lock);
    mem_free(j->block);
    mem_free(j->queue);
    mem_free(j);
}
