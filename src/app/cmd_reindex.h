/*
 * cmd_reindex.h: rebuilding, for commands that find that it is needed. Private to src/app.
 */
#ifndef APP_CMD_REINDEX_H
#define APP_CMD_REINDEX_H

#include "app/cli.h"
#include "app/settings.h"
#include "kernel/store/store.h"

/*
 * reindex_accepted builds what follows from the chain again, sets right what differs, and prints
 * the report. `store` was opened by command_beside. Errors: as ops_reindex_run.
 */
enum err reindex_accepted(struct cli *cli, struct store *store, const struct settings *settings,
                          struct why *why) ERR_CHECKED;

#endif
