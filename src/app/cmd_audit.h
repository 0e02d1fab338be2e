/*
 * cmd_audit.h: what operators do, as rows of the audit log. Private to src/app.
 *
 * A migration cannot be recorded in its own transaction, since it may be the one that makes the
 * table: `schema_migrations` is its record, and the row of the audit log follows. All else that is
 * done at the command line is written down in the transaction that does it.
 */
#ifndef APP_CMD_AUDIT_H
#define APP_CMD_AUDIT_H

#include "kernel/audit/audit.h"

enum operator_action {
    OPERATOR_MIGRATED,
    OPERATOR_JOB_REPLAYED,
    OPERATOR_JOB_CANCELLED,
    OPERATOR_JOB_RETRIED,
    OPERATOR_TX_CANCELLED,
    OPERATOR_TX_HURRIED,
    OPERATOR_ACTION_COUNT
};

extern const struct audit_action operator_actions[OPERATOR_ACTION_COUNT];

/* operator_name is the system's user who runs this program, in the arena. */
struct slice operator_name(struct arena *arena);

/* operator_write records what an operator does. Errors: those of the store. */
enum err operator_write(struct store_tx *tx, enum operator_action action, struct slice subject,
                        struct slice details, struct why *why) ERR_CHECKED;

/* operator_migrate is store_migrate with its row of the audit log. Errors: as store_migrate. */
enum err operator_migrate(struct store *store, uint32_t target, struct why *why) ERR_CHECKED;

/* audit_actions_reference appends the table of all actions of the program. */
void audit_actions_reference(struct buf *out);

#endif
