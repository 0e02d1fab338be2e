/*
 * main.c: the table of subcommands, and the one place that turns an error into an exit status.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/commands.h"

static const struct cli_option serve_options[] = {
    {"role", "ROLES",
     "Do a part only: api, chain, relay, jobs, match, apart by commas (service.roles). match is "
     "for the trading venue, which is still to come: it is idle."},
    {"until-eof", NULL,
     "Stop when standard input ends without a byte (for programs that start this one)."},
    {NULL, NULL, NULL},
};

static const struct cli_option demo_options[] = {
    {"keep", NULL, "Leave the daemon and the chain running and print their URLs."},
    {"dir", "DIR", "Folder for the demo's data (default: a temporary one)."},
    {"store.url=URL", NULL, "An empty database for it (default: a file in its folder)."},
    {"rpc", "URL", "Use this node instead of starting one; needs --contracts."},
    {"contracts", "FILE",
     "Drive deployed contracts: {\"chainId\",\"stablecoin\",\"assetRegistry\","
     "\"leaseFactory\",\"marketplace\"}."},
    {NULL, NULL, NULL},
};

static const struct cli_option config_options[] = {
    {"check", NULL, "Read the configuration and say whether it is right."},
    {"sample", NULL, "Print a complete commented file."},
    {"reference", NULL, "Print the reference of all settings (Markdown)."},
    {"show", NULL, "Print the effective values and where each came from (default)."},
    {NULL, NULL, NULL},
};

static const struct cli_option migrate_options[] = {
    {"to", "N", "Version to move to (up: the newest, down: one less)."},
    {NULL, NULL, NULL},
};

static const struct cli_option backup_options[] = {
    {"scratch", "URL", "verify: restore into this empty database, not into a temporary file."},
    {NULL, NULL, NULL},
};

static const struct cli_option restore_options[] = {
    {"to", "URL", "The empty database to fill (default: store.url)."},
    {"files", "DIR", "Write settings, keys and documents of the backup below this folder."},
    {NULL, NULL, NULL},
};

static const struct cli_option db_options[] = {
    {"live", NULL,
     "Copy what the source holds at this moment, next to a daemon that runs on it (a rehearsal)."},
    {NULL, NULL, NULL},
};

static const struct cli_option engine_options[] = {
    {"journal", "DIR", "run: keep the commands in a new journal in this folder."},
    {"table", NULL, "Read the journal in the database instead of one in a folder."},
    {"batch", "ROWS", "project, rebuild: about how many rows are written in one transaction."},
    {NULL, NULL, NULL},
};

static const struct cli_option ledger_options[] = {
    {"prefix", "PATH", "accounts: only those whose path begins so."},
    {"after", "NAME", "Go on behind this account, or behind this transfer (entries)."},
    {"limit", "N", "Rows to show, from 1 to 10000 (default: 200)."},
    {NULL, NULL, NULL},
};

static const struct cli_option doctor_options[] = {
    {"only", "GROUP",
     "Only the checks of machine, config, files, database, books, work, node, contracts, wallets, "
     "http, redis or backup."},
    {NULL, NULL, NULL},
};

static const struct cli_option jobs_options[] = {
    {"state", "STATE", "Only jobs that are queued, running, done, dead or cancelled."},
    {"kind", "KIND", "list, replay: only jobs of this kind."},
    {"queue", "QUEUE", "list: only jobs of this queue."},
    {"limit", "N", "list: at most so many (50)."},
    {"all", NULL, "replay: every dead job."},
    {NULL, NULL, NULL},
};

static const struct cli_option tx_options[] = {
    {"state", "STATE",
     "list: only what is queued, signed, sent, mined, reverted, failed, replaced "
     "or cancelled."},
    {"open", NULL, "list: only what is queued, signed or sent."},
    {"purpose", "PURPOSE", "list: only what was asked for this (leasing.place_bid)."},
    {"wallet", "ADDRESS", "list: only what this wallet sends."},
    {"hash", "HASH", "list: the one that has this transaction hash, mined or replaced."},
    {"after", "ID", "list: go on behind this one."},
    {"limit", "N", "list: at most so many (50)."},
    {NULL, NULL, NULL},
};

static const struct cli_option audit_options[] = {
    {"head", "N:HASH", "verify: a head that was kept elsewhere; the chain must lead to it."},
    {NULL, NULL, NULL},
};

static const struct cli_option chain_options[] = {
    {"from", "BLOCK", "resume: first block to apply again; verify: first block to compare."},
    {"to", "BLOCK", "verify: last block to compare (default: the last applied one)."},
    {NULL, NULL, NULL},
};

static const struct cli_option reindex_options[] = {
    {"from", "BLOCK", "Believe what follows from earlier blocks, as far as it can be undone."},
    {"accept", NULL, "Set right what differs (default: only show it)."},
    {"continue", NULL, "Go on with what an earlier run has built, instead of beginning anew."},
    {NULL, NULL, NULL},
};

static const struct cli_option reconcile_options[] = {
    {"dry-run", NULL, "Only show what differs (default)."},
    {"fix", NULL, "Repair it, as each rule says."},
    {NULL, NULL, NULL},
};

static const struct cli_option keys_options[] = {
    {"roles", "ROLES", "create: of admin, issuer, operator, investor, service; apart by commas."},
    {"days", "N", "create: how long it is valid (90)."},
    {NULL, NULL, NULL},
};

static const struct cli_option assets_options[] = {
    {"format", "csv|jsonl", "What the file holds (default: by its name)."},
    {"url", "URL", "Where the daemon listens (default: this machine, http.port)."},
    {"key-file", "FILE", "File with an API key of an issuer, where callers must have one."},
    {NULL, NULL, NULL},
};

static const struct cli_option wallet_options[] = {
    {"dir", "DIR", "Keystore folder (default: wallets.keystore_dir)."},
    {"password-file", "FILE", "Password file (default: wallets.password_file)."},
    {"key-file", "FILE", "import: file with the private key as 0x hex."},
    {NULL, NULL, NULL},
};

const struct command cli_commands[] = {
    {"serve", NULL, "Run the API, chain following, relay and jobs, or a part of them.",
     serve_options, command_serve},
    {"demo", "complete|asset|lease|revenue|x402", "Run the leasing lifecycle and check every step.",
     demo_options, command_demo},
    {"config", NULL, "Check, show or explain the configuration.", config_options, command_config},
    {"doctor", NULL, "Check everything that goes wrong at first, and say how to mend it.",
     doctor_options, command_doctor},
    {"migrate", "status|up|down|verify", "Look at or move the database schema.", migrate_options,
     command_migrate},
    {"backup", "[PLACE]|list [PLACE]|verify [PLACE[/ID]]",
     "Make, list or prove backups of the whole installation, beside a running daemon.",
     backup_options, command_backup},
    {"restore", "PLACE[/ID]", "Fill an empty database from a backup.", restore_options,
     command_restore},
    {"db", "copy FROM TO", "Copy an installation into an empty database, and prove it equal.",
     db_options, command_db},
    {"audit", "ledger|verify", "Prove the balances from their transfers, or the audit log.",
     audit_options, command_audit},
    {"ledger", "accounts|balance|entries [BOOK [ACCOUNT]]",
     "Show accounts with their balances, or the entries of one.", ledger_options, command_ledger},
    {"jobs", "list|show|retry|cancel|replay|queues|schedules [ID]",
     "Look at background jobs, run, cancel or replay them.", jobs_options, command_jobs},
    {"tx", "list|show|cancel|speed-up [ID]",
     "Look at relayed transactions, take one back or send it with higher fees.", tx_options,
     command_tx},
    {"chain", "status|resume|verify",
     "Look at the followed chain, go on after a halt, compare the stored events with it.",
     chain_options, command_chain},
    {"reindex", NULL,
     "Build what follows from the chain again, beside a daemon at work, and compare.",
     reindex_options, command_reindex},
    {"reconcile", NULL, "Ask contracts and rows whether they agree, and repair what does not.",
     reconcile_options, command_reconcile},
    {"leases", NULL, "List the processes on the database and who has what only one may do.", NULL,
     command_leases},
    {"keys", "create NAME|list|revoke ID|rotate",
     "Make, list or revoke keys of callers of the API; end the keys that sign access tokens.",
     keys_options, command_keys},
    {"roles", "grant ADDRESS ROLE|revoke ADDRESS ROLE|list",
     "Grant roles to wallets that log in, take them back, or list them.", NULL, command_roles},
    {"assets", "import FILE",
     "Register the assets of a CSV or JSON lines file through a running daemon, and say which rows "
     "were refused and why; the same again goes on.",
     assets_options, command_assets},
    {"wallet", "new|import|list", "Make, import or list the relay's encrypted keys.",
     wallet_options, command_wallet},
    {"engine", "run FLOW TAPE EVENTS | replay|verify|dump|project|rebuild DIR|--table | audit",
     "Run the matching engine over a flow of orders; replay, verify or list its journal; write "
     "what follows from it to the database, make that again, or prove its balances.",
     engine_options, command_engine},
    {"reference", "errors|routes|metrics|events|jobs|audit|doctor|config",
     "Print a generated reference (Markdown).", NULL, command_reference},
    {"openapi", NULL, "Print the API as an OpenAPI 3.1 document (JSON).", NULL, command_openapi},
    {"version", NULL, "Print the version.", NULL, command_version},
    {"help", "[COMMAND]", "Explain the program or one command.", NULL, command_help},
};
const size_t cli_command_count = sizeof cli_commands / sizeof cli_commands[0];

/*
 * A program may be started without its standard streams; the next files opened would take their
 * numbers and be written to as if they were the terminal.
 */
static void fill_standard_streams(void)
{
    int fd = 0;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        (void)close(fd);
    }
}

/*
 * SQLite keeps the index of its log in a mapped file. When a page of that file cannot be written
 * any more, because the disk failed or turned read-only, the kernel ends the process in the middle
 * of an instruction, and nothing can go on from there. So say why, and end by the same signal: what
 * was acknowledged is in the log, and the next start is refused with a sentence until the disk is
 * well. The text is made beforehand, as little else may be done here.
 */
static void say_bus_error(int signal_number)
{
    static const char line[] =
        "{\"level\":\"error\",\"event\":\"process.bus_error\",\"why\":\"A page of a mapped file "
        "cannot be read or written: the disk of the database failed or turned read-only.\"}\n";
    ssize_t written = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)written;
    (void)signal(signal_number, SIG_DFL); /* to which the same instruction leads again */
}

int main(int argc, char **argv)
{
    fill_standard_streams();
    /* The demo starts its daemon through /proc, whose link would be the name that `ps` shows. */
    (void)prctl(PR_SET_NAME, "freehold");
    struct arena boot;
    struct cli cli;
    struct why why = {0};
    arena_init(&boot, 0);
    /* A peer that hangs up is an error of one write, never the end of the process. */
    (void)signal(SIGPIPE, SIG_IGN);
    /* A file at its size limit is "disk full", which the store answers. */
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)signal(SIGBUS, say_bus_error);
    enum err e = cli_parse(&cli, &boot, argc, argv, &why);
    if (e == OK && (cli.command == NULL || cli_option_value(&cli, "help") != NULL)) {
        cli_help(cli.command);
        if (cli.command == NULL && cli_option_value(&cli, "help") == NULL) {
            e = ERR_USAGE;
        }
    } else if (e == OK) {
        e = cli.command->run(&cli, &why);
        if (e != OK && !cli.told) {
            cli_fail(&cli, e, &why);
        }
    } else {
        cli_fail(&cli, e, &why);
    }
    arena_free(&boot);
    return e == OK ? 0 : (e == ERR_USAGE ? 2 : 1);
}
