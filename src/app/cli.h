/*
 * cli.h: subcommands are rows; `freehold help` is generated from them.
 *
 * Syntax: freehold COMMAND [WORD…] [--option[=VALUE]…] [--section.key=VALUE…]. Options that every
 * command takes: --config FILE,
 * --json, --help. A word that names a configuration key (it has a dot) sets it for this run.
 * Exit status is 0 only on success; 2 for a wrong command line, 1 for everything else. With --json
 * results are JSON objects on stdout, one a line, and a failure is {"success":false,…} there too.
 */
#ifndef APP_CLI_H
#define APP_CLI_H

#include "kernel/base/config.h"
#include "kernel/base/json.h"
#include "kernel/base/mem.h"

#define CLI_FLAGS_MAX 64
#define CLI_WORDS_MAX 16

struct cli_option {
    const char *name;  /* "keep" for --keep */
    const char *value; /* what is shown for its value ("FILE"), or NULL for a switch */
    const char *doc;
};

struct cli {
    const struct command *command;
    const char *program; /* argv[0] */
    const char *config_path;
    bool json;
    bool told; /* by the command: why it failed is in its output, only the exit status is left */
    const char *words[CLI_WORDS_MAX]; /* after the command's name */
    size_t word_count;
    struct config_flag settings[CLI_FLAGS_MAX]; /* --section.key=value */
    size_t setting_count;
    struct config_flag options[CLI_FLAGS_MAX]; /* of the command */
    size_t option_count;
    struct arena *boot;
};

struct command {
    const char *name;  /* "demo" */
    const char *words; /* shown after the name: "complete|asset|lease|revenue", or NULL */
    const char *summary;
    const struct cli_option *options; /* ends with a NULL name; NULL when there are none */
    enum err (*run)(struct cli *cli, struct why *why);
};

/* cli_commands is the table of all subcommands (app/main.c). */
extern const struct command cli_commands[];
extern const size_t cli_command_count;

/* cli_parse reads the command line. Errors: ERR_USAGE. */
enum err cli_parse(struct cli *cli, struct arena *boot, int argc, char **argv,
                   struct why *why) ERR_CHECKED;

/* cli_option_value returns the value of an option ("" for a switch), or NULL when absent. */
const char *cli_option_value(const struct cli *cli, const char *name);

/* cli_word returns word `index` after the command, or NULL. */
const char *cli_word(const struct cli *cli, size_t index);

/* cli_help prints the general help, or that of one command. */
void cli_help(const struct command *command);

/* cli_print writes text to stdout. */
void cli_print(struct slice text);

/* cli_fail prints a failure as a sentence on stderr, or as JSON on stdout. */
void cli_fail(const struct cli *cli, enum err e, const struct why *why);

#endif
