/*
 * doctor.h: the looking half of `freehold doctor`; what is judged and said is ops_doctor.h.
 *
 * A look is a function that fills in facts about one part of the world. Each is made by a process
 * of its own, forked from the command before it has a thread, with the facts in memory that they
 * share:
 *
 *   forked --facts written--> ended --the parent waits--> its topics are known, or it said why not
 *   forked --its time is over--> killed  -> its topics are not known: "did not answer in 15 s"
 *   forked --a signal ends it--> ended   -> its topics are not known: "crashed"
 *
 * So a disk, server or node that does not answer costs its own topics and the time of its row, and
 * never holds up the rest: looks of one wave are made side by side, those of the second use facts
 * of the first. A child writes members of its own only. When the command is killed, the kernel
 * kills its children (PR_SET_PDEATHSIG).
 *
 *   wave 1   files (before the database is opened, so that its users are others)
 *   wave 2   database, books, keys, redis, backup, http
 *   wave 3   chain (whose wallets the keys told)
 */
#ifndef APP_DOCTOR_H
#define APP_DOCTOR_H

#include "app/settings.h"
#include "kernel/ops/ops_doctor.h"

/*
 * doctor_config fills in what the settings tell, and the limits of the process; `load` is what
 * loading them ended with. False: there are no settings, so that nothing can be looked at.
 */
bool doctor_config(const struct settings *settings, const char *config_path, enum err load,
                   const struct why *why, struct ops_facts *facts);

/*
 * doctor_look makes all looks, or those that the checks of one group use (OPS_GROUP_COUNT: all).
 * `facts` are of doctor_facts_new.
 */
void doctor_look(const struct settings *settings, enum ops_group only, struct ops_facts *facts);

/* doctor_facts_new maps facts that forked processes share. Owns: the caller, doctor_facts_free. */
enum err doctor_facts_new(struct ops_facts **out, struct why *why) ERR_CHECKED;
/* doctor_facts_free unmaps; NULL is fine. */
void doctor_facts_free(struct ops_facts *facts);

/* The looks; each is called in a process of its own. */
typedef void doctor_look_fn(const struct settings *settings, struct ops_facts *facts);
extern doctor_look_fn doctor_look_files;
extern doctor_look_fn doctor_look_database;
extern doctor_look_fn doctor_look_books;
extern doctor_look_fn doctor_look_keys;
extern doctor_look_fn doctor_look_redis;
extern doctor_look_fn doctor_look_backup;
extern doctor_look_fn doctor_look_http;
extern doctor_look_fn doctor_look_chain;

/*
 * doctor_writable says whether a folder may be written, or, while it is not there, the folder that
 * it would be made in. True when it is there.
 */
bool doctor_writable(const char *folder, struct ops_answer *out);

#endif
