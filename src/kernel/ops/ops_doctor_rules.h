/*
 * ops_doctor_rules.h: the rules behind the rows of ops_checks. Private to this folder.
 *
 * A rule says one of three things: fine (a sentence about what is there), bad (the row's severity)
 * or mild (a warning, whatever the row's severity); the sentences name what was found, the row says
 * what to do. Skipping by topic is done before a rule is asked; a rule may skip for reasons of its
 * own.
 *
 *   ops_doctor_setup.c   machine, config, files, http, redis
 *   ops_doctor_data.c    database, books, work, backup
 *   ops_doctor_chain.c   node, contracts, wallets
 */
#ifndef KERNEL_OPS_OPS_DOCTOR_RULES_H
#define KERNEL_OPS_OPS_DOCTOR_RULES_H

#include "kernel/ops/ops_doctor.h"

/* The form of all rules: see struct ops_check. */
typedef void ops_rule(const struct ops_check *check, const struct ops_facts *f,
                      struct ops_verdict *out);

/* ops_fine says ok. */
void ops_fine(struct ops_verdict *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* ops_bad says no, as badly as the row says. */
void ops_bad(const struct ops_check *check, struct ops_verdict *out, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* ops_mild says no, as a warning. */
void ops_mild(struct ops_verdict *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* ops_skip says why nothing can be said. */
void ops_skip(struct ops_verdict *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ops_late says no, and true, when looking at a topic took too long or crashed. */
bool ops_late(const struct ops_check *check, const struct ops_facts *f, enum ops_topic topic,
              struct ops_verdict *out);

#define OPS_SPAN_MAX 32
/* ops_span_format writes a span of time for people: "3 days". Units: microseconds. */
void ops_span_format(int64_t usec, char out[OPS_SPAN_MAX]);
/* ops_bytes_format writes a number of bytes for people: "12.5 GiB". */
void ops_bytes_format(uint64_t bytes, char out[OPS_SPAN_MAX]);

extern ops_rule ops_rule_descriptors;
extern ops_rule ops_rule_file_size;
extern ops_rule ops_rule_anvil;

extern ops_rule ops_rule_config_right;
extern ops_rule ops_rule_config_mode;
extern ops_rule ops_rule_dev_accounts;
extern ops_rule ops_rule_confirmations;
extern ops_rule ops_rule_unsynced;
extern ops_rule ops_rule_operator_token;
extern ops_rule ops_rule_one_node;
extern ops_rule ops_rule_cleartext;

extern ops_rule ops_rule_folder;
extern ops_rule ops_rule_space;
extern ops_rule ops_rule_filesystem;
extern ops_rule ops_rule_database_mode;
extern ops_rule ops_rule_keystore_mode;
extern ops_rule ops_rule_password_mode;

extern ops_rule ops_rule_database;
extern ops_rule ops_rule_migrations;
extern ops_rule ops_rule_copy;
extern ops_rule ops_rule_owner;
extern ops_rule ops_rule_wal;
extern ops_rule ops_rule_integrity;
extern ops_rule ops_rule_durable;
extern ops_rule ops_rule_commit;
extern ops_rule ops_rule_connections;
extern ops_rule ops_rule_autovacuum;
extern ops_rule ops_rule_clock;
extern ops_rule ops_rule_statistics;
extern ops_rule ops_rule_partitions;

extern ops_rule ops_rule_ledger;
extern ops_rule ops_rule_audit;

extern ops_rule ops_rule_dead;
extern ops_rule ops_rule_leases;
extern ops_rule ops_rule_keys_left;
extern ops_rule ops_rule_halted;

extern ops_rule ops_rule_node;
extern ops_rule ops_rule_chain_id;
extern ops_rule ops_rule_syncing;
extern ops_rule ops_rule_head;
extern ops_rule ops_rule_node_clock;
extern ops_rule ops_rule_start_block;
extern ops_rule ops_rule_logs;
extern ops_rule ops_rule_finalized;
extern ops_rule ops_rule_receipts;

extern ops_rule ops_rule_code;
extern ops_rule ops_rule_agreement;
extern ops_rule ops_rule_decimals;
extern ops_rule ops_rule_implementation;
extern ops_rule ops_rule_roles;

extern ops_rule ops_rule_keys;
extern ops_rule ops_rule_balance;
extern ops_rule ops_rule_nonce;

extern ops_rule ops_rule_port;
extern ops_rule ops_rule_outside;
extern ops_rule ops_rule_redis;

extern ops_rule ops_rule_backup_scheduled;
extern ops_rule ops_rule_backup_place;
extern ops_rule ops_rule_backup_age;
extern ops_rule ops_rule_backup_verified;

#endif
