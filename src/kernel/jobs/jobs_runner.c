#include "kernel/jobs/jobs_runner.h"

#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/base/thread.h"

/* ---- metrics ---- */

static const struct metric_row metric_rows[JOBS_METRIC_COUNT] = {
    [JOBS_METRIC_DONE] = {.name = "freehold_jobs_done_total",
                          .type = METRIC_COUNTER,
                          .help = "Jobs that this process ended well."},
    [JOBS_METRIC_FAILED] = {.name = "freehold_jobs_failed_total",
                            .type = METRIC_COUNTER,
                            .help = "Attempts that failed, those that killed the job included."},
    [JOBS_METRIC_DEAD] = {.name = "freehold_jobs_dead_total",
                          .type = METRIC_COUNTER,
                          .help = "Jobs that this process declared dead."},
    [JOBS_METRIC_CANCELLED] = {.name = "freehold_jobs_cancelled_total",
                               .type = METRIC_COUNTER,
                               .help = "Running jobs that ended because somebody cancelled them."},
    [JOBS_METRIC_LEASE_LOST] = {.name = "freehold_jobs_lease_lost_total",
                                .type = METRIC_COUNTER,
                                .help = "Jobs whose lease this process lost; its result was "
                                        "refused."},
    [JOBS_METRIC_LAPSED] = {.name = "freehold_jobs_lapsed_total",
                            .type = METRIC_COUNTER,
                            .help = "Leases of others that ran out and that this process ended."},
    [JOBS_METRIC_RUNNING] = {.name = "freehold_jobs_running",
                             .type = METRIC_GAUGE,
                             .help = "Handlers that run in this process now."},
    [JOBS_METRIC_QUEUED_ROWS] = {.name = "freehold_jobs_queued_rows",
                                 .type = METRIC_GAUGE,
                                 .help = "Queued jobs in the database, delayed ones included."},
    [JOBS_METRIC_DEAD_ROWS] = {.name = "freehold_jobs_dead_rows",
                               .type = METRIC_GAUGE,
                               .help = "Dead jobs in the database."},
    [JOBS_METRIC_DEAD_ALERT] = {.name = "freehold_jobs_dead_alert",
                                .type = METRIC_GAUGE,
                                .help = "1 while there are more dead jobs than jobs.dead_alert."},
    [JOBS_METRIC_RUN] = {.name = "freehold_jobs_run_seconds",
                         .type = METRIC_HISTOGRAM,
                         .help = "How long handlers ran."},
    [JOBS_METRIC_WAIT] = {.name = "freehold_jobs_wait_seconds",
                          .type = METRIC_HISTOGRAM,
                          .help = "From when a job could run to its claim."},
};

struct metric_value jobs_metrics[JOBS_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(metric_rows, jobs_metrics, JOBS_METRIC_COUNT);
}

void jobs_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}

/* ---- lists and runs ---- */

void jobs_list_push(struct jobs_list *list, struct jobs_run *run)
{
    run->next = NULL;
    if (list->tail != NULL) {
        list->tail->next = run;
    } else {
        list->head = run;
    }
    list->tail = run;
    list->count++;
}

struct jobs_run *jobs_list_pop(struct jobs_list *list)
{
    struct jobs_run *run = list->head;
    if (run != NULL) {
        list->head = run->next;
        list->tail = list->head != NULL ? list->tail : NULL;
        list->count--;
        run->next = NULL;
    }
    return run;
}

size_t jobs_slots(const struct jobs *jobs)
{
    size_t able = jobs->worker_count - jobs->hung;
    size_t most = (size_t)jobs->config.threads;
    most = able < most ? able : most;
    return most > jobs->active ? most - jobs->active : 0;
}

void jobs_run_free(struct jobs *jobs, struct jobs_run *run)
{
    ASSERT(run->place != JOBS_FREE);
    run->place = JOBS_FREE;
    jobs->free_count++;
}

struct jobs_run *jobs_run_find(struct jobs *jobs, struct jobs_hold hold)
{
    for (size_t i = 0; i < jobs->run_count; i++) {
        struct jobs_run *run = &jobs->runs[i];
        if (run->place != JOBS_FREE && run->hold.id == hold.id && run->hold.token == hold.token) {
            return run;
        }
    }
    return NULL;
}

void jobs_run_end(struct jobs_run *run, struct jobs_list *list)
{
    run->place = JOBS_RESULT;
    run->hold = run->renewed;
    jobs_list_push(list, run);
}

void jobs_run_kept(struct jobs_run *run, const struct jobs_kept *kept)
{
    run->lost = run->lost || !kept->held;
    run->cancelling = run->cancelling || kept->cancelling;
    if (kept->held) {
        run->renewed = kept->hold;
    }
}

/* ---- words ---- */

struct slice jobs_error_text(char out[JOBS_ERROR_MAX], enum err e, const struct why *why)
{
    int len = snprintf(out, JOBS_ERROR_MAX, "%s: %s", err_code(e), why_text(why, e));
    ASSERT(len > 0 && len < JOBS_ERROR_MAX);
    return slice_of(out, (size_t)len);
}

void jobs_log_failure(struct jobs_hold hold, struct slice kind, uint32_t attempt, bool dead,
                      enum err e, const struct why *why)
{
    metric_add(&jobs_metrics[JOBS_METRIC_FAILED], 1);
    metric_add(&jobs_metrics[JOBS_METRIC_DEAD], dead);
    LOG(dead ? LOG_ERROR : LOG_WARN, dead ? "jobs.dead" : "jobs.failed", log_i64("job", hold.id),
        log_slice("kind", kind), log_u64("attempt", attempt), log_err(e), log_why(why, e));
}

void jobs_log_cancelled(struct jobs_hold hold, struct slice kind)
{
    metric_add(&jobs_metrics[JOBS_METRIC_CANCELLED], 1);
    LOG(LOG_INFO, "jobs.cancelled", log_i64("job", hold.id), log_slice("kind", kind));
}

void jobs_log_lost(struct jobs_hold hold, struct slice kind)
{
    metric_add(&jobs_metrics[JOBS_METRIC_LEASE_LOST], 1);
    LOG(LOG_WARN, "jobs.lease_lost", log_i64("job", hold.id), log_slice("kind", kind));
}

/* ---- life ---- */

static void name_owner(struct jobs *jobs)
{
    char host[48] = "";
    if (gethostname(host, sizeof(host) - 1) != 0) {
        host[0] = '\0';
    }
    snprintf(jobs->owner, sizeof(jobs->owner), "%s/%ld/%08llx", host, (long)getpid(),
             (unsigned long long)(rand_u64() & 0xffffffff));
}

/* The memory of runs and threads. */
static void make_room(struct jobs *jobs)
{
    const struct jobs_config *config = &jobs->config;
    jobs->run_count = 2 * (size_t)(config->claim_batch + config->threads);
    jobs->free_count = jobs->run_count;
    jobs->runs = arena_alloc_array(&jobs->boot, jobs->run_count, sizeof(jobs->runs[0]));
    for (size_t i = 0; i < jobs->run_count; i++) {
        arena_init(&jobs->runs[i].arena, 4096);
    }
    jobs->worker_max = 2 * (size_t)config->threads;
    jobs->workers = arena_alloc_array(&jobs->boot, jobs->worker_max, sizeof(jobs->workers[0]));
    size_t schedules = jobs->catalog->schedule_count;
    jobs->seen_slots = arena_alloc_array(&jobs->boot, schedules, sizeof(jobs->seen_slots[0]));
    for (size_t i = 0; i < schedules; i++) {
        jobs->seen_slots[i] = INT64_MIN;
    }
}

enum err jobs_new(struct jobs **out, struct store *store, const struct jobs_config *config,
                  const struct job_table *tables, size_t table_count, struct why *why)
{
    jobs_metrics_register();
    ASSERT(config->threads > 0 && config->claim_batch > 0 && config->poll_usec > 0);
    ASSERT(config->lease_usec >= 0 && config->lease_usec <= JOBS_LEASE_USEC_MAX);
    struct jobs *jobs = mem_alloc(sizeof(*jobs));
    arena_init(&jobs->boot, 0);
    jobs->store = store;
    jobs->config = *config;
    if (config->lease_usec == 0) {
        jobs->config.lease_usec = JOBS_LEASE_USEC_DEFAULT;
    }
    name_owner(jobs);
    enum err e = jobs_catalog_new(&jobs->boot, tables, table_count, &jobs->catalog, why);
    if (e != OK) {
        arena_free(&jobs->boot);
        mem_free(jobs);
        return e;
    }
    ASSERT(pthread_mutex_init(&jobs->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&jobs->filled, NULL) == 0);
    make_room(jobs);
    *out = jobs;
    return OK;
}

void jobs_free(struct jobs *jobs)
{
    if (jobs == NULL) {
        return;
    }
    ASSERT(!jobs->started);
    for (size_t i = 0; i < jobs->run_count; i++) {
        arena_free(&jobs->runs[i].arena);
    }
    pthread_cond_destroy(&jobs->filled);
    pthread_mutex_destroy(&jobs->lock);
    arena_free(&jobs->boot);
    mem_free(jobs);
}

bool jobs_worker_add(struct jobs *jobs)
{
    if (jobs->worker_count == jobs->worker_max) {
        return false;
    }
    struct jobs_worker *worker = &jobs->workers[jobs->worker_count];
    worker->jobs = jobs;
    if (thread_start(&worker->thread, jobs_worker_main, worker) != 0) {
        return false;
    }
    jobs->worker_count++;
    return true;
}

/* Ends the workers, then whoever serves them. */
static void stop_threads(struct jobs *jobs, bool dispatcher, bool keeper)
{
    pthread_mutex_lock(&jobs->lock);
    jobs->stopping = true;
    pthread_cond_broadcast(&jobs->filled);
    size_t workers = jobs->worker_count; /* no more are added now */
    pthread_mutex_unlock(&jobs->lock);
    for (size_t i = 0; i < workers; i++) {
        ASSERT(pthread_join(jobs->workers[i].thread, NULL) == 0);
    }
    pthread_mutex_lock(&jobs->lock);
    jobs->workers_gone = true;
    pthread_mutex_unlock(&jobs->lock);
    if (dispatcher) {
        store_wake(jobs->store, JOBS_CHANNEL);
        ASSERT(pthread_join(jobs->dispatcher, NULL) == 0);
    }
    pthread_mutex_lock(&jobs->lock);
    jobs->keeper_ends = true;
    pthread_mutex_unlock(&jobs->lock);
    if (keeper) {
        store_wake(jobs->store, JOBS_KEEPER_CHANNEL);
        ASSERT(pthread_join(jobs->keeper, NULL) == 0);
    }
    jobs->started = false;
}

enum err jobs_start(struct jobs *jobs, struct why *why)
{
    ASSERT(!jobs->started && !jobs->stopping);
    bool keeper = thread_start(&jobs->keeper, jobs_keeper_main, jobs) == 0;
    bool dispatcher = keeper && thread_start(&jobs->dispatcher, jobs_dispatcher_main, jobs) == 0;
    bool workers = dispatcher;
    pthread_mutex_lock(&jobs->lock);
    for (uint64_t i = 0; workers && i < jobs->config.threads; i++) {
        workers = jobs_worker_add(jobs);
    }
    pthread_mutex_unlock(&jobs->lock);
    jobs->started = true;
    if (!workers) {
        stop_threads(jobs, dispatcher, keeper);
        return why_set(why, ERR_INTERNAL, NULL, "The threads of the job runner cannot be started.");
    }
    return OK;
}

void jobs_stop(struct jobs *jobs)
{
    if (jobs->started) {
        stop_threads(jobs, true, true);
    }
}
