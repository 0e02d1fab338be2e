/*
 * ops_internal.h: the handlers behind ops_http_table. Private to this folder.
 */
#ifndef KERNEL_OPS_OPS_INTERNAL_H
#define KERNEL_OPS_OPS_INTERNAL_H

#include "kernel/ops/ops.h"

/* ops_health answers /health. */
enum err ops_health(struct http_call *call, struct why *why) ERR_CHECKED;
/* ops_processes answers /api/v1/processes. */
enum err ops_processes(struct http_call *call, struct why *why) ERR_CHECKED;
/* ops_metrics answers /metrics. */
enum err ops_metrics(struct http_call *call, struct why *why) ERR_CHECKED;
/* ops_ledger_accounts lists accounts of the ledger. */
enum err ops_ledger_accounts(struct http_call *call, struct why *why) ERR_CHECKED;
/* ops_ledger_balance answers one account. */
enum err ops_ledger_balance(struct http_call *call, struct why *why) ERR_CHECKED;
/* ops_ledger_entries lists what moved an account. */
enum err ops_ledger_entries(struct http_call *call, struct why *why) ERR_CHECKED;

#endif
