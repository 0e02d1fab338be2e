/*
 * engine_commands.h: the parts of `freehold engine`.
 */
#ifndef APP_ENGINE_COMMANDS_H
#define APP_ENGINE_COMMANDS_H

#include "app/cli.h"

/* engine_command_rows applies a journal to the database (project DIR), or anew (rebuild DIR). */
enum err engine_command_rows(struct cli *cli, struct why *why) ERR_CHECKED;

/* engine_command_audit proves balances from the rows. */
enum err engine_command_audit(struct cli *cli, struct why *why) ERR_CHECKED;

#endif
