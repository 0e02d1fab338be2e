/*
 * store_shadow.h: a second, empty database beside the one of an installation, to build something in
 * while that one is at work.
 *
 * With SQLite it is a file beside the database's ("PATH-shadow"), with PostgreSQL a schema of the
 * same database ("freehold_shadow"), with all tables of the program. It is a store like any other,
 * which knows nothing of the first one; whatever is written there is seen by nobody.
 *
 * Of several processes that want it one has it: whoever opens it first takes a claim (an flock on
 * "PATH-shadow.claim", an advisory lock on a connection of its own), and gives it back as the last
 * thing. Making, dropping and bringing its schema up to date happen under the claim. Others are
 * told after two seconds (ERR_LOCKED); so long may a server need to notice that a process has died.
 *
 * A crash leaves it as it was at its last commit, and nobody's claim. Who comes next goes on there,
 * or begins anew.
 */
#ifndef KERNEL_STORE_STORE_SHADOW_H
#define KERNEL_STORE_STORE_SHADOW_H

#include "kernel/store/store.h"

struct store_shadow;

/*
 * store_shadow_open claims the shadow of `live`, which was opened with `config` and can be written
 * to, empties it if it is to be `anew`, and brings its schema to the program's version. Owns: the
 * caller, store_shadow_close; `live` has to outlive it. Errors: ERR_LOCKED (another has it),
 * ERR_IO, as store_open and store_migrate.
 */
enum err store_shadow_open(struct store *live, const struct store_config *config, bool anew,
                           struct store_shadow **out, struct why *why) ERR_CHECKED;

/* store_shadow_store returns the store; it belongs to the shadow. */
struct store *store_shadow_store(const struct store_shadow *shadow);

/*
 * store_shadow_close gives the claim back, and removes the shadow before that if it is to `drop`
 * it. The shadow, which may be NULL, is closed however that ends. Errors: ERR_IO, of the store.
 */
enum err store_shadow_close(struct store_shadow *shadow, bool drop, struct why *why) ERR_CHECKED;

#endif
