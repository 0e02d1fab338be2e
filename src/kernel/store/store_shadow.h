/*
 * store_shadow.h: a second, empty database beside the one of an installation, to build something in
 * while that one is at work.
 *
 * With SQLite it is a file beside the database's ("PATH-shadow"), with PostgreSQL a schema of the
 * same database ("freehold_shadow"), with all tables of the program. It is a store like any other,
 * which knows nothing of the first one; whatever is written there is seen by nobody.
 *
 * A crash leaves it as it was at its last commit. Who comes next opens it and goes on, or drops it
 * first. While somebody is at work in it, it is neither dropped nor, with SQLite, opened by another
 * (ERR_LOCKED).
 */
#ifndef KERNEL_STORE_STORE_SHADOW_H
#define KERNEL_STORE_STORE_SHADOW_H

#include "kernel/store/store.h"

/*
 * store_shadow_open opens the shadow of `live`, which was opened with `config` and can be written
 * to, and brings its schema to the program's version. Owns: the caller, store_close. Errors: as
 * store_open and store_migrate.
 */
enum err store_shadow_open(struct store *live, const struct store_config *config,
                           struct store **out, struct why *why) ERR_CHECKED;

/* store_shadow_drop removes it, if there is one. Errors: ERR_LOCKED, ERR_IO, of the store. */
enum err store_shadow_drop(struct store *live, const struct store_config *config,
                           struct why *why) ERR_CHECKED;

#endif
