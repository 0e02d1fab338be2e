/*
 * sim.c: runs seeds, two at a time, and says which of them fail.
 *
 *     sim [FIRST [COUNT [JOBS]]]     TRACE=1: tells what happens, on standard error
 *     sim sweep SEED [JOBS]          the seed again and again, killed once at each of its points
 *     sim at SEED POINT              one of these; TRACE=1 as above
 *
 * Each life of a run is a child process; what fails is in the world's memory when it ends.
 */
#include "sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/base/check.h"

#define JOBS_MAX 16
#define LIVES_MAX 100
/* Every so many seeds one is run twice: both must tell the same. */
#define TWICE_EVERY 40

static char template_path[128];

static void run_child(void (*fn)(void *), void *ctx, int *out_status)
{
    (void)fflush(NULL);
    pid_t child = fork();
    ASSERT(child >= 0);
    if (child == 0) {
        fn(ctx);
        _exit(0);
    }
    while (waitpid(child, out_status, 0) < 0) {
        ASSERT(errno == EINTR);
    }
}

static void copy(const char *from, const char *folder, const char *name)
{
    char to[192];
    char bytes[65536];
    (void)snprintf(to, sizeof to, "%s/%s", folder, name);
    FILE *in = fopen(from, "rbe");
    FILE *out = fopen(to, "wbe");
    ASSERT(in != NULL && out != NULL);
    for (size_t n = fread(bytes, 1, sizeof bytes, in); n > 0;
         n = fread(bytes, 1, sizeof bytes, in)) {
        ASSERT(fwrite(bytes, 1, n, out) == n);
    }
    (void)fclose(in);
    ASSERT(fclose(out) == 0);
}

static void make_folder(char out[64])
{
    (void)snprintf(out, 64, "%s/freehold-sim-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ASSERT(mkdtemp(out) != NULL);
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = {"empty.db", "sim.db", "fresh.db"};
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    char path[192];
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 4; k++) {
            (void)snprintf(path, sizeof path, "%s/%s%s", folder, names[i], ends[k]);
            (void)unlink(path);
        }
    }
    (void)rmdir(folder);
}

static void live(void *ctx)
{
    sim_program_live(ctx);
}

/* `point` 0: killed as the seed says; else once, there. */
static void run_lives(struct sim *w, uint64_t point)
{
    for (int status = 0; !w->failed; status = 0) {
        w->lives++;
        w->kill_in = w->kills_left > 0 ? 1 + sim_below(w, 150) : 0;
        w->kills_left -= w->kills_left > 0;
        if (point > 0) {
            w->kill_in = w->lives == 1 ? point : 0;
        }
        run_child(live, w, &status);
        if (WIFEXITED(status) && WEXITSTATUS(status) == SIM_KILLED && w->lives < LIVES_MAX) {
            continue;
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            sim_fail(w, "a life ended with status %x (%s %d)", (unsigned)status,
                     WIFSIGNALED(status) ? "signal" : "exit",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
        return;
    }
}

/* Runs a seed once; false when something did not hold, which is printed. */
static bool run_seed(uint64_t seed, uint64_t point, bool tracing, uint64_t *out_trace)
{
    struct sim *w = sim_new(seed, tracing);
    make_folder(w->folder);
    copy(template_path, w->folder, "empty.db");
    copy(template_path, w->folder, "sim.db");
    sim_plan_begin(w);
    run_lives(w, point);
    remove_folder(w->folder);
    bool good = !w->failed;
    *out_trace = w->trace;
    if (tracing) {
        (void)printf("seed %llu: trace %016llx, %llu lives, %llu points, %zu intents, %llu forks, "
                     "%llu resumes\n",
                     (unsigned long long)seed, (unsigned long long)w->trace,
                     (unsigned long long)w->lives, (unsigned long long)w->points, w->intent_count,
                     (unsigned long long)w->reorgs, (unsigned long long)w->resumes);
    }
    if (!good) {
        (void)printf("seed %llu FAILED at tick %llu: %s\n", (unsigned long long)seed,
                     (unsigned long long)w->tick, w->failure);
        (void)printf(point > 0 ? "  again: TRACE=1 build/sim/sim at %llu %llu\n"
                               : "  again: make sim SEED=%llu TRACE=1\n",
                     (unsigned long long)seed, (unsigned long long)point);
    }
    sim_free(w);
    return good;
}

static bool run_checked(uint64_t seed)
{
    uint64_t first = 0;
    uint64_t second = 0;
    bool good = run_seed(seed, 0, false, &first);
    if (good && seed % TWICE_EVERY == 1) {
        good = run_seed(seed, 0, false, &second);
        if (good && first != second) {
            (void)printf("seed %llu FAILED: two runs told different things\n",
                         (unsigned long long)seed);
            good = false;
        }
    }
    return good;
}

struct batch {
    uint64_t first;
    uint64_t count;
    uint64_t sweep; /* not 0: this seed, killed at its points from `first` on */
    uint64_t jobs;
    uint64_t passed; /* out */
    uint64_t failed; /* out */
};

/* One of the processes that share a batch: every n-th seed. */
static void run_share(const struct batch *batch, uint64_t job, _Atomic uint64_t *counts)
{
    for (uint64_t i = job; i < batch->count; i += batch->jobs) {
        uint64_t trace = 0;
        bool good = batch->sweep > 0 ? run_seed(batch->sweep, batch->first + i, false, &trace)
                                     : run_checked(batch->first + i);
        counts[good ? 0 : 1]++;
        (void)fflush(stdout);
    }
}

static void run_batch(struct batch *batch)
{
    ASSERT(batch->jobs > 0 && batch->jobs <= JOBS_MAX);
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    _Atomic uint64_t *counts = memory;
    pid_t children[JOBS_MAX];
    ASSERT(memory != MAP_FAILED);
    (void)fflush(NULL);
    for (uint64_t job = 0; job < batch->jobs; job++) {
        children[job] = fork();
        ASSERT(children[job] >= 0);
        if (children[job] == 0) {
            run_share(batch, job, counts);
            _exit(0);
        }
    }
    for (uint64_t job = 0; job < batch->jobs; job++) {
        int status = 0;
        while (waitpid(children[job], &status, 0) < 0) {
            ASSERT(errno == EINTR);
        }
        counts[1] += status != 0;
    }
    batch->passed = counts[0];
    batch->failed = counts[1];
    ASSERT(munmap(memory, 4096) == 0);
}

static uint64_t number(int argc, char **argv, int at, uint64_t otherwise)
{
    return argc > at ? strtoull(argv[at], NULL, 10) : otherwise;
}

static void prepare(void *ctx)
{
    sim_program_prepare(ctx);
}

/* How many points a seed has when nobody dies. */
static uint64_t count_points(uint64_t seed)
{
    struct sim *w = sim_new(seed, false);
    make_folder(w->folder);
    copy(template_path, w->folder, "empty.db");
    copy(template_path, w->folder, "sim.db");
    sim_plan_begin(w);
    run_lives(w, UINT64_MAX);
    remove_folder(w->folder);
    uint64_t points = w->points;
    sim_free(w);
    return points;
}

static bool is_word(int argc, char **argv, const char *word)
{
    return argc > 2 && strcmp(argv[1], word) == 0;
}

static void run(int argc, char **argv, struct batch *batch)
{
    const char *trace = getenv("TRACE");
    bool tracing = trace != NULL && trace[0] == '1';
    uint64_t ignored = 0;
    if (is_word(argc, argv, "sweep")) {
        batch->sweep = number(argc, argv, 2, 1);
        batch->first = 1;
        batch->count = count_points(batch->sweep);
        batch->jobs = number(argc, argv, 3, 2);
        run_batch(batch);
    } else if (is_word(argc, argv, "at") || tracing) {
        bool at = is_word(argc, argv, "at");
        batch->passed = run_seed(number(argc, argv, at ? 2 : 1, 1),
                                 at ? number(argc, argv, 3, 1) : 0, tracing, &ignored);
        batch->failed = !batch->passed;
    } else {
        batch->first = number(argc, argv, 1, 1);
        batch->count = number(argc, argv, 2, 200);
        batch->jobs = number(argc, argv, 3, 2);
        run_batch(batch);
    }
}

int main(int argc, char **argv)
{
    struct batch batch = {.first = 1};
    int status = 0;
    char folder[64];
    sim_program_init();
    make_folder(folder);
    (void)snprintf(template_path, sizeof template_path, "%s/sim.db", folder);
    run_child(prepare, template_path, &status);
    if (status == 0) {
        run(argc, argv, &batch);
    } else {
        (void)printf("sim: the database cannot be made\n");
        batch.failed = 1;
    }
    remove_folder(folder);
    (void)printf("sim: %llu passed, %llu failed\n", (unsigned long long)batch.passed,
                 (unsigned long long)batch.failed);
    return batch.failed == 0 ? 0 : 1;
}
