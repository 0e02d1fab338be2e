/*
 * backup_facts.h: what a manifest says of an installation besides its rows: how far each chain was
 * followed, and the head of the audit log. Private to kernel/backup.
 */
#ifndef KERNEL_BACKUP_BACKUP_FACTS_H
#define KERNEL_BACKUP_BACKUP_FACTS_H

#include "kernel/base/json.h"
#include "kernel/store/store.h"

/* backup_facts appends a JSON object. Errors: of the store. */
enum err backup_facts(struct store_tx *tx, struct buf *out, struct why *why) ERR_CHECKED;

#endif
