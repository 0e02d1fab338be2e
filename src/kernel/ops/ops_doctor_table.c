/*
 * The table of `freehold doctor`. A name is public and never means something else later; `asks` and
 * `mend` are one sentence each, for somebody who sees the program for the first time.
 */
#include "kernel/ops/ops_doctor_rules.h"

#define CHECK(name_, group_, needs_, severity_, judge_, asks_, mend_)                              \
    {                                                                                              \
        .name = (name_), .group = OPS_GROUP_##group_, .needs = OPS_##needs_,                       \
        .severity = OPS_##severity_, .judge = ops_rule_##judge_, .asks = (asks_), .mend = (mend_)  \
    }

const struct ops_check ops_checks[] = {
    CHECK("machine.descriptors", MACHINE, CONFIG, WARNING, descriptors,
          "May the program open enough files for http.connections_max?",
          "Raise the hard limit of open files (LimitNOFILE= of the unit, ulimit -Hn), or lower "
          "http.connections_max."),
    CHECK("machine.file_size", MACHINE, NOTHING, PROBLEM, file_size,
          "May files grow as the database does?",
          "Remove the limit of file sizes (LimitFSIZE= of the unit, ulimit -f)."),
    CHECK("machine.anvil", MACHINE, CONFIG, PROBLEM, anvil,
          "Is anvil there, where a development chain is to be started?",
          "Run tools/setup, name the program in devchain.anvil, or set chain.rpc_urls to a node."),

    CHECK("config.right", CONFIG, NOTHING, PROBLEM, config_right,
          "Can the settings be read, are all keys known, do values fit together?",
          "Correct the setting that is named; docs/reference/config.md and `freehold config "
          "--sample` have all of them."),
    CHECK("config.mode", CONFIG, CONFIG, PROBLEM, config_mode,
          "Can only its owner read a configuration file with secrets in it?",
          "chmod 600 the file, or move the secrets to the environment."),
    CHECK("config.dev_accounts", CONFIG, CONFIG, WARNING, dev_accounts,
          "Does a real chain do without the keys that everybody knows?",
          "Set wallets.dev_accounts = 0 and give the relay a key of its own (freehold wallet "
          "new)."),
    CHECK("config.confirmations", CONFIG, CONFIG, WARNING, confirmations,
          "Are events of a real chain applied only when blocks are on top of them?",
          "Set chain.confirmations: 2 for chains that finalise in seconds, 12 for the others."),
    CHECK("config.synchronous", CONFIG, CONFIG, WARNING, unsynced,
          "Is a commit on the disk before it is acknowledged?",
          "Set store.synchronous = full: normal may lose the last commits in a power cut."),
    CHECK("config.operator_token", CONFIG, CONFIG, WARNING, operator_token,
          "Do operators' routes ask for a token?",
          "Set http.operator_token: without one, behind a proxy on this machine, every caller is "
          "an operator."),
    CHECK("config.one_node", CONFIG, CONFIG, WARNING, one_node,
          "Is there a second node for when the first one fails?",
          "Add a node of another provider to chain.rpc_urls."),
    CHECK("config.cleartext", CONFIG, CONFIG, WARNING, cleartext,
          "Are nodes on other machines asked over TLS?",
          "Write https:// in chain.rpc_urls: what is asked in the clear can be answered by "
          "anybody."),

    CHECK("files.folder", FILES, CONFIG, PROBLEM, folder,
          "May the program write where its data is?",
          "Run as the user that owns the folder, or give the folder to this user (chown)."),
    CHECK("files.space", FILES, FILES, PROBLEM, space,
          "Is there room on the disk of the data folder?",
          "Free space or move the data to a larger disk: with a full one nothing is accepted any "
          "more."),
    CHECK("files.filesystem", FILES, FILES, PROBLEM, filesystem,
          "Is the data folder on a disk that keeps what SQLite writes, and its locks?",
          "Put the database on a local disk (store.url), or use PostgreSQL."),
    CHECK("files.database_mode", FILES, FILES, PROBLEM, database_mode,
          "Is the database file closed to other users?",
          "chmod 600 the database and the files beside it."),
    CHECK("files.keystore_mode", FILES, FILES, PROBLEM, keystore_mode,
          "Can only their owner read the key files?",
          "chmod 700 the keystore folder and chmod 600 its files."),
    CHECK("files.password_mode", FILES, FILES, PROBLEM, password_mode,
          "Can the program, and only its user, read the password of the keys?",
          "Write the password into the file that wallets.password_file names and chmod 600 it."),

    CHECK("database.reachable", DATABASE, CONFIG, PROBLEM, database,
          "Can the database be reached, and is it one of ours?",
          "Start the server, or correct store.url; the sentence says what was refused."),
    CHECK("database.migrations", DATABASE, CONFIG, PROBLEM, migrations,
          "Do database and program have the same schema?",
          "Use the program that applied the migrations, or restore a backup; what is only "
          "missing is applied by `freehold migrate up` or the next start."),
    CHECK("database.whole", DATABASE, ROWS, PROBLEM, copy,
          "Was a copy or a restore into this database finished?",
          "Run the same `freehold db copy` or `freehold restore` again: it goes on."),
    CHECK("database.owner", DATABASE, FILE, WARNING, owner,
          "Does at most one process use the SQLite file?",
          "End the other process: it reads or writes past the program."),
    CHECK("database.log", DATABASE, FILE, WARNING, wal,
          "Is the write-ahead log small, and was the file closed?",
          "Start the program, which reads the log back; one that grows while it runs means that "
          "some reader never ends."),
    CHECK("database.integrity", DATABASE, ROWS, PROBLEM, integrity,
          "Are the pages of a small SQLite file as they should be?",
          "Stop the program, keep the file aside and restore a backup (docs/operations.md)."),
    CHECK("database.durable", DATABASE, SERVER, PROBLEM, durable,
          "Does the server keep what it committed over a power cut?",
          "Set fsync = on and full_page_writes = on in postgresql.conf and restart the server."),
    CHECK("database.commit", DATABASE, SERVER, WARNING, commit,
          "Does the server wait for its disk at a commit?",
          "Remove synchronous_commit = off from server, database and role; sessions of Freehold "
          "turn it on, others do not."),
    CHECK("database.connections", DATABASE, SERVER, WARNING, connections,
          "Has the server room for the connections of a process?",
          "Raise max_connections or the limit of the role, or lower store.readers and "
          "store.writers."),
    CHECK("database.autovacuum", DATABASE, SERVER, WARNING, autovacuum,
          "Does the server clean up by itself?",
          "Set autovacuum = on: without it the job queue becomes slower every day."),
    CHECK("database.clock", DATABASE, SERVER, PROBLEM, clock,
          "Do the clocks of this machine and of the server agree?",
          "Run a time service (chrony, systemd-timesyncd) on both machines."),
    CHECK("database.statistics", DATABASE, SERVER, WARNING, statistics,
          "Does the planner know the large tables?",
          "Run ANALYZE on the database, as after each restore, and keep autovacuum on."),
    CHECK("database.partitions", DATABASE, SERVER, WARNING, partitions,
          "Are there partitions for this month and the next?",
          "Start a process with the role jobs: its schedule makes them; rows go to the default "
          "partition until then."),

    CHECK("books.ledger", BOOKS, BOOKS, PROBLEM, ledger,
          "Do the credits of each book equal its debits?",
          "Stop the program, run `freehold audit ledger` for the whole proof and compare with a "
          "backup."),
    CHECK("books.audit", BOOKS, BOOKS, PROBLEM, audit,
          "Is the end of the audit log as it was sealed?",
          "Run `freehold audit verify`, which names the first row that was touched, and find out "
          "who has access to the database."),

    CHECK("work.dead_jobs", WORK, ROWS, PROBLEM, dead, "Are there few dead jobs?",
          "Look at `freehold jobs list --state dead`, mend the cause, then `freehold jobs "
          "replay`."),
    CHECK("work.leases", WORK, ROWS, WARNING, leases, "Does a living process hold each lease?",
          "Start a process with the role that is missing (freehold leases shows what)."),
    CHECK("work.idempotency", WORK, ROWS, WARNING, keys_left,
          "Do requests end, and are old idempotency keys let go?",
          "Start a process with the role jobs, whose schedule ops.purge_keys lets them go; keys of "
          "processes that died are free for the next request."),
    CHECK("work.chain", WORK, ROWS, PROBLEM, halted, "Is the chain followed?",
          "Find out what happened on the chain, then `freehold chain resume --from BLOCK`."),

    CHECK("node.reachable", NODE, CONFIG, PROBLEM, node, "Does each node answer?",
          "Correct chain.rpc_urls or start the node; the sentence says what was refused."),
    CHECK("node.chain_id", NODE, CONFIG, PROBLEM, chain_id,
          "Does each node serve the chain of chain.id?",
          "Set chain.id and chain.rpc_urls of the same chain."),
    CHECK("node.syncing", NODE, NODE, PROBLEM, syncing, "Has the node caught up with its chain?",
          "Wait until it has, or put another node first in chain.rpc_urls."),
    CHECK("node.head", NODE, NODE, PROBLEM, head, "Is the newest block young?",
          "Look after the node: it does not hear of new blocks; or put another one first."),
    CHECK("node.clock", NODE, NODE, WARNING, node_clock,
          "Do the clock of this machine and that of the chain agree?",
          "Run a time service on this machine: deadlines of signatures and jobs go by its clock."),
    CHECK("node.start_block", NODE, NODE, PROBLEM, start_block,
          "Is chain.start_block a block of the chain?",
          "Set chain.start_block to a block not after the deployment of the contracts."),
    CHECK("node.logs", NODE, NODE, PROBLEM, logs,
          "Does the node answer eth_getLogs for a range of blocks?",
          "Use a node that does; some free plans refuse it."),
    CHECK("node.finalized", NODE, NODE, WARNING, finalized,
          "Does the node know which blocks are final?",
          "Choose chain.confirmations with care: this chain or node has no \"finalized\"."),
    CHECK("node.receipts", NODE, NODE, WARNING, receipts,
          "Does the node give all receipts of a block at once?",
          "Nothing has to be done: receipts are asked one by one, which costs more requests."),

    CHECK("contracts.code", CONTRACTS, CONTRACTS, PROBLEM, code,
          "Is there a contract at each configured address?",
          "Correct the address in the settings leasing.*, or chain.id."),
    CHECK("contracts.agreement", CONTRACTS, CONTRACTS, PROBLEM, agreement,
          "Do the contracts name each other as the settings do?",
          "Set leasing.* to contracts that were deployed together."),
    CHECK("contracts.decimals", CONTRACTS, CONTRACTS, PROBLEM, decimals,
          "Has the stablecoin six decimals?",
          "Set leasing.stablecoin to the coin that the marketplace takes."),
    CHECK("contracts.implementation", CONTRACTS, CONTRACTS, PROBLEM, implementation,
          "Is there code behind each proxy?",
          "Upgrade the proxy to an implementation that is deployed (contracts/README.md)."),
    CHECK("contracts.roles", CONTRACTS, CONTRACTS, PROBLEM, roles,
          "May the registrar do what it is there for?",
          "Grant the role on the asset registry to leasing.registrar, or name another wallet."),

    CHECK("wallets.keys", WALLETS, CONFIG, PROBLEM, keys,
          "Do the key files open with the password, and does a remote signer have its keys?",
          "Put the right password into wallets.password_file, take the file out of the keystore "
          "folder, or look after the signer of wallets.signer_url."),
    CHECK("wallets.balance", WALLETS, BALANCES, PROBLEM, balance, "Can each wallet pay for gas?",
          "Send native coin to the wallet; ops.balance_alert is the limit of the warning."),
    CHECK("wallets.nonce", WALLETS, BALANCES, WARNING, nonce,
          "Does nobody else send from the wallets, and is nothing stuck?",
          "Let only this installation use the wallet; what is stuck is replaced after "
          "relay.stuck_after."),

    CHECK("http.port", HTTP, HTTP, PROBLEM, port, "Is the port free, or ours already?",
          "End the program that has it, or set http.port to another one."),
    CHECK("http.outside", HTTP, CONFIG, WARNING, outside,
          "Is the API behind something that speaks TLS and knows callers?",
          "Let it listen on 127.0.0.1 behind a proxy with TLS and authentication, or make sure of "
          "the network."),

    CHECK("redis.reachable", REDIS, CONFIG, WARNING, redis,
          "Does Redis answer, if it is configured?",
          "Start Redis or correct redis.url; meanwhile each process counts requests by itself."),

    CHECK("backup.scheduled", BACKUP, CONFIG, WARNING, backup_scheduled,
          "Are backups made by themselves?",
          "Set backup.to to a folder on another disk or to s3://BUCKET/PREFIX."),
    CHECK("backup.place", BACKUP, CONFIG, PROBLEM, backup_place,
          "Can the place of the backups be read, and a folder be written?",
          "Mount the folder, give it to this user, or correct backup.to and backup.s3_*."),
    CHECK("backup.age", BACKUP, BACKUP, PROBLEM, backup_age,
          "Is the last good backup young enough?",
          "Run `freehold backup` and see what it says; a process with the role jobs makes the "
          "scheduled ones."),
    CHECK("backup.verified", BACKUP, BACKUP, WARNING, backup_verified,
          "Was a backup restored and proven lately?",
          "Run `freehold backup verify`; the schedule BackupVerification does it every Sunday."),
};
const size_t ops_check_count = sizeof(ops_checks) / sizeof(ops_checks[0]);
