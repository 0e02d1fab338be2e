/*
 * ops_doctor.h: what `freehold doctor` asks, as one table.
 *
 * A check is a row: its name, what it asks, how bad a no is, what to do then, and what must be
 * known before it can be asked. Asking has two halves that know nothing of each other:
 *
 *   looking   the program (app/doctor*.c) gathers facts (ops_doctor_facts.h) about settings, files,
 *             database, nodes: everything that touches the world, can fail, or can hang
 *   judging   the rules (ops_doctor_rules.h) turn facts into verdicts: pure functions, which tests
 *             give facts that were made up
 *
 * Checks of a topic that is not known are skipped with the sentence that says why. Whether a topic
 * *should* have been known is the question of one check each ("database.reachable").
 *
 * Nothing is changed, anywhere: a database file is opened so that neither it nor a file beside it
 * is touched (store_config.passive), no port is kept, nothing is written to a backup's place.
 *
 * Verdicts: ok, warning (it works, and will bite), problem (something does not work, or money or
 * data are at risk), skipped.
 *
 * Threads: none.
 */
#ifndef KERNEL_OPS_OPS_DOCTOR_H
#define KERNEL_OPS_OPS_DOCTOR_H

#include "kernel/base/json.h"
#include "kernel/ops/ops_doctor_facts.h"
#include "kernel/store/store.h"

enum ops_outcome {
    OPS_OK,
    OPS_SKIPPED,
    OPS_WARNING,
    OPS_PROBLEM,
    OPS_OUTCOME_COUNT,
};

enum ops_group {
    OPS_GROUP_MACHINE,
    OPS_GROUP_CONFIG,
    OPS_GROUP_FILES,
    OPS_GROUP_DATABASE,
    OPS_GROUP_BOOKS,
    OPS_GROUP_WORK,
    OPS_GROUP_NODE,
    OPS_GROUP_CONTRACTS,
    OPS_GROUP_WALLETS,
    OPS_GROUP_HTTP,
    OPS_GROUP_REDIS,
    OPS_GROUP_BACKUP,
    OPS_GROUP_COUNT,
};

struct ops_verdict {
    enum ops_outcome outcome;
    char said[OPS_SAID_MAX];
};

struct ops_check {
    const char *name; /* "database.reachable": public */
    enum ops_group group;
    enum ops_topic needs;
    enum ops_outcome severity; /* of a no: OPS_WARNING or OPS_PROBLEM */
    const char *asks;
    const char *mend; /* one sentence */
    void (*judge)(const struct ops_check *check, const struct ops_facts *f,
                  struct ops_verdict *out);
};

/* ops_checks is the table, by group. */
extern const struct ops_check ops_checks[];
extern const size_t ops_check_count;

/* ops_outcome_text returns "ok", "skipped", "warning" or "problem". */
const char *ops_outcome_text(enum ops_outcome outcome);
/* ops_group_text returns the name of a group: "database". */
const char *ops_group_text(enum ops_group group);
/* ops_group_find finds a group by its name; OPS_GROUP_COUNT when there is none. */
enum ops_group ops_group_find(struct slice name);

/* ops_check_run judges facts by one check: skipped when its topic is not known. */
void ops_check_run(const struct ops_check *check, const struct ops_facts *facts,
                   struct ops_verdict *out);

/* What came of a run, by outcome. */
struct ops_tally {
    size_t count[OPS_OUTCOME_COUNT];
};

/*
 * ops_doctor_text judges all checks, or those of one group (OPS_GROUP_COUNT: all), and writes them
 * for people, a line each.
 */
void ops_doctor_text(const struct ops_facts *facts, enum ops_group only, struct buf *out,
                     struct ops_tally *tally);
/* ops_doctor_json does so for programs: an object a line. */
void ops_doctor_json(const struct ops_facts *facts, enum ops_group only, struct buf *out,
                     struct ops_tally *tally);
/* ops_doctor_reference appends the Markdown reference. */
void ops_doctor_reference(struct buf *out);

/*
 * ops_doctor_read_rows reads what the rows of a database with this program's schema tell: the facts
 * of database (a server's settings, integrity of a small file) and work, and what is known of the
 * wallets' nonces. Errors: of the store.
 */
enum err ops_doctor_read_rows(struct store *store, uint64_t chain_id, bool small,
                              struct ops_facts *facts, struct why *why) ERR_CHECKED;
/*
 * ops_doctor_read_books proves what can be proven in little time: that the books balance, and the
 * end of the audit log. Errors: of the store, ERR_CORRUPT.
 */
enum err ops_doctor_read_books(struct store *store, struct ops_facts *facts,
                               struct why *why) ERR_CHECKED;

#endif
