#include "app/doctor.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/net/http_client.h"

#define WAVES 3
#define POLL_USEC 5000
#define TOPICS_MAX 4
/* How long a killed process may take to end; one that waits for a dead disk may never. */
#define KILLED_USEC (USEC_PER_SEC / 2)

struct look {
    const char *name; /* what did not answer, in a sentence */
    doctor_look_fn *look;
    int wave;
    int sec_max;
    unsigned groups;                   /* bits: checks of these look at its facts */
    enum ops_topic topics[TOPICS_MAX]; /* OPS_NOTHING ends them */
};

#define BIT(group) (1u << OPS_GROUP_##group)

static const struct look looks[] = {
    {"the disk",
     doctor_look_files,
     0,
     5,
     BIT(FILES) | BIT(DATABASE) | BIT(WORK) | BIT(WALLETS) | BIT(BACKUP),
     {OPS_FILES, OPS_FILE}},
    {"the database",
     doctor_look_database,
     1,
     15,
     BIT(DATABASE) | BIT(WORK) | BIT(WALLETS) | BIT(BACKUP),
     {OPS_ROWS, OPS_SERVER}},
    {"the proof of ledger and audit log", doctor_look_books, 1, 20, BIT(BOOKS), {OPS_BOOKS}},
    /* Each key costs about a second of work, on purpose. */
    {"the keystore", doctor_look_keys, 1, 60, BIT(WALLETS) | BIT(CONTRACTS), {OPS_KEYS}},
    {"Redis", doctor_look_redis, 1, 10, BIT(REDIS), {OPS_REDIS}},
    {"the place of the backups", doctor_look_backup, 1, 15, BIT(BACKUP), {OPS_BACKUP}},
    {"the port", doctor_look_http, 1, 5, BIT(HTTP), {OPS_HTTP}},
    {"the nodes",
     doctor_look_chain,
     2,
     30,
     BIT(NODE) | BIT(CONTRACTS) | BIT(WALLETS),
     {OPS_NODE, OPS_CONTRACTS, OPS_BALANCES}},
};

#define LOOKS (sizeof(looks) / sizeof(looks[0]))

struct child {
    pid_t pid; /* 0: ended */
    int64_t deadline_usec;
};

/* ---- facts ---- */

enum err doctor_facts_new(struct ops_facts **out, struct why *why)
{
    struct ops_facts *facts =
        mmap(NULL, sizeof(*facts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (facts == MAP_FAILED) {
        return why_set(why, ERR_INTERNAL, NULL, "No memory can be shared: %s.", strerror(errno));
    }
    facts->now_usec = clock_wall_usec();
    *out = facts;
    return OK;
}

void doctor_facts_free(struct ops_facts *facts)
{
    if (facts != NULL) {
        (void)munmap(facts, sizeof(*facts));
    }
}

/* Says of the topics of a look that they were not answered. */
static void miss(const struct look *look, struct ops_facts *facts, const char *what)
{
    for (size_t i = 0; i < TOPICS_MAX && look->topics[i] != OPS_NOTHING; i++) {
        struct ops_topic_state *topic = &facts->topics[look->topics[i]];
        if (!topic->known && topic->why[0] == '\0') {
            topic->late = true;
            ops_topic_miss(facts, look->topics[i], "%s", what);
        }
    }
}

/* ---- processes ---- */

static pid_t start(const struct look *look, const struct settings *settings,
                   struct ops_facts *facts)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) {
        net_start();
        look->look(settings, facts);
    }
    _exit(0);
}

/* Waits for a child without hanging; true when it has ended. */
static bool has_ended(struct child *child, const struct look *look, struct ops_facts *facts)
{
    int status = 0;
    char what[OPS_SAID_MAX];
    pid_t ended = waitpid(child->pid, &status, WNOHANG);
    if (ended == 0) {
        return false;
    }
    if (ended == child->pid && WIFSIGNALED(status)) {
        (void)snprintf(what, sizeof(what), "looking at %s crashed (signal %d)", look->name,
                       WTERMSIG(status));
    } else {
        (void)snprintf(what, sizeof(what), "looking at %s ended early", look->name);
    }
    miss(look, facts, what);
    child->pid = 0;
    return true;
}

static void give_up(struct child *child, const struct look *look, struct ops_facts *facts)
{
    char what[OPS_SAID_MAX];
    int64_t deadline = clock_mono_usec() + KILLED_USEC;
    (void)kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, WNOHANG) == 0 && clock_mono_usec() < deadline) {
        clock_sleep_usec(POLL_USEC);
    }
    (void)snprintf(what, sizeof(what), "%s did not answer within %d s", look->name, look->sec_max);
    miss(look, facts, what);
    child->pid = 0;
}

static void run_wave(int wave, enum ops_group only, const struct settings *settings,
                     struct ops_facts *facts)
{
    struct child children[LOOKS];
    size_t running = 0;
    for (size_t i = 0; i < LOOKS; i++) {
        children[i] = (struct child){.pid = 0};
        bool wanted = only == OPS_GROUP_COUNT || (looks[i].groups & (1u << only)) != 0;
        if (looks[i].wave != wave || !wanted) {
            continue;
        }
        children[i].deadline_usec = clock_mono_usec() + looks[i].sec_max * (int64_t)USEC_PER_SEC;
        children[i].pid = start(&looks[i], settings, facts);
        if (children[i].pid < 0) {
            children[i].pid = 0;
            miss(&looks[i], facts, "no process could be started");
        }
        running += children[i].pid > 0;
    }
    while (running > 0) {
        clock_sleep_usec(POLL_USEC);
        for (size_t i = 0; i < LOOKS; i++) {
            if (children[i].pid == 0) {
                continue;
            }
            if (has_ended(&children[i], &looks[i], facts)) {
                running--;
            } else if (clock_mono_usec() > children[i].deadline_usec) {
                give_up(&children[i], &looks[i], facts);
                running--;
            }
        }
    }
}

void doctor_look(const struct settings *settings, enum ops_group only, struct ops_facts *facts)
{
    for (int wave = 0; wave < WAVES; wave++) {
        run_wave(wave, only, settings, facts);
    }
}
