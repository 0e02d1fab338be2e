/*
 * commands.h: what the subcommands do; the table is in main.c, the texts for users are there.
 */
#ifndef APP_COMMANDS_H
#define APP_COMMANDS_H

#include "app/cli.h"
#include "app/settings.h"
#include "kernel/store/store.h"

typedef enum err (*command_store_fn)(struct cli *cli, struct store *store,
                                     const struct settings *settings, struct why *why);

/* command_with_store runs a command on the configured database. Errors: of store_open, of `run`. */
enum err command_with_store(struct cli *cli, bool read_only, command_store_fn run,
                            struct why *why) ERR_CHECKED;

/*
 * command_beside runs a command that changes the configured database next to a running daemon. The
 * schema must be the program's. Errors: ERR_DB_VERSION, of store_open, of `run`.
 */
enum err command_beside(struct cli *cli, command_store_fn run, struct why *why) ERR_CHECKED;

/* command_serve runs the daemon until SIGINT or SIGTERM. */
enum err command_serve(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_demo runs one of the demos. */
enum err command_demo(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_config checks, shows or explains the configuration. */
enum err command_config(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_migrate moves the schema. */
enum err command_migrate(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_backup makes, lists and verifies backups. */
enum err command_backup(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_restore fills an empty database from a backup. */
enum err command_restore(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_db copies an installation from one database to another. */
enum err command_db(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_audit runs the proofs. */
enum err command_audit(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_audit_ledger proves the ledger. */
enum err command_audit_ledger(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_ledger shows accounts, balances and entries. */
enum err command_ledger(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_jobs lists, replays and cancels jobs. */
enum err command_jobs(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_tx shows relayed transactions, takes them back and hurries them. */
enum err command_tx(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_chain shows a chain's cursor and resumes after a halt. */
enum err command_chain(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_reindex builds what follows from the chain again, and compares. */
enum err command_reindex(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_reconcile compares rows with what the chain says. */
enum err command_reconcile(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_leases shows the processes on the database and what each of them has. */
enum err command_leases(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_keys makes, lists and revokes API keys, and ends signing keys. */
enum err command_keys(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_roles grants roles to wallets, takes them back and lists them. */
enum err command_roles(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_assets registers the assets of a file through a running daemon. */
enum err command_assets(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_wallet manages keystore files. */
enum err command_wallet(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_engine runs the matching engine on a flow, or reads a journal. */
enum err command_engine(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_doctor checks everything that a newcomer gets wrong, and changes nothing. */
enum err command_doctor(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_reference prints generated documentation. */
enum err command_reference(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_openapi prints the OpenAPI document of the API. */
enum err command_openapi(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_version prints the version. */
enum err command_version(struct cli *cli, struct why *why) ERR_CHECKED;
/* command_help explains a command. */
enum err command_help(struct cli *cli, struct why *why) ERR_CHECKED;

#endif
