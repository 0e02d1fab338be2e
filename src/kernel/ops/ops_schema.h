/*
 * ops_schema.h: JSON Schema of what the routes of ops answer. Private to this folder.
 */
#ifndef KERNEL_OPS_OPS_SCHEMA_H
#define KERNEL_OPS_OPS_SCHEMA_H

extern const char ops_schema_health[];
extern const char ops_schema_processes[];
extern const char ops_schema_network[];
extern const char ops_schema_events[];
extern const char ops_schema_transaction[];
extern const char ops_schema_transactions[];
extern const char ops_schema_job[];
extern const char ops_schema_jobs[];
extern const char ops_schema_queues[];
extern const char ops_schema_schedules[];

#endif
