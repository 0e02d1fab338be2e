#include "app/cli.h"

#include <unistd.h>

static const struct cli_option common_options[] = {
    {"config", "FILE", "Configuration file (default: ./freehold.conf when it exists)."},
    {"json", NULL, "Machine-readable output."},
    {"help", NULL, "This text."},
    {NULL, NULL, NULL},
};

static const struct command *find_command(struct slice name)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (slice_equal_text(name, cli_commands[i].name)) {
            return &cli_commands[i];
        }
    }
    return NULL;
}

static const struct cli_option *find_option(const struct cli_option *options, struct slice name)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (slice_equal_text(name, options->name)) {
            return options;
        }
    }
    return NULL;
}

/* Keeps one "--name[=value]"; `next` is the following argument, *used says whether it was taken. */
static enum err take_option(struct cli *cli, const char *arg, const char *next, bool *used,
                            struct why *why)
{
    struct slice name;
    struct slice value;
    bool has_value = slice_cut(slice_text(arg + 2), '=', &name, &value);
    if (slice_find(name, '.') >= 0) {
        if (!has_value || cli->setting_count == CLI_FLAGS_MAX) {
            return why_set(why, ERR_USAGE, NULL, "write settings as --section.key=value: %s", arg);
        }
        cli->settings[cli->setting_count++] = (struct config_flag){
            slice_cstr(cli->boot, name),
            slice_cstr(cli->boot, value),
        };
        return OK;
    }
    const struct cli_option *option = find_option(common_options, name);
    if (option == NULL && cli->command != NULL) {
        option = find_option(cli->command->options, name);
    }
    if (option == NULL) {
        return why_set(why, ERR_USAGE, NULL, "unknown option %s; see freehold help%s%s", arg,
                       cli->command ? " " : "", cli->command ? cli->command->name : "");
    }
    if (option->value == NULL && has_value) {
        return why_set(why, ERR_USAGE, NULL, "--%s takes no value", option->name);
    }
    if (option->value != NULL && !has_value) {
        if (next == NULL) {
            return why_set(why, ERR_USAGE, NULL, "--%s needs a value: %s", option->name,
                           option->value);
        }
        value = slice_text(next);
        *used = true;
    }
    if (cli->option_count == CLI_FLAGS_MAX) {
        return why_set(why, ERR_USAGE, NULL, "too many options");
    }
    cli->options[cli->option_count++] =
        (struct config_flag){option->name, slice_cstr(cli->boot, value)};
    return OK;
}

static enum err take_word(struct cli *cli, const char *arg, struct why *why)
{
    if (cli->command == NULL) {
        cli->command = find_command(slice_text(arg));
        return cli->command != NULL
                   ? OK
                   : why_set(why, ERR_USAGE, NULL,
                             "there is no command \"%s\"; freehold help lists them", arg);
    }
    if (cli->word_count == CLI_WORDS_MAX) {
        return why_set(why, ERR_USAGE, NULL, "too many words");
    }
    cli->words[cli->word_count++] = arg;
    return OK;
}

enum err cli_parse(struct cli *cli, struct arena *boot, int argc, char **argv, struct why *why)
{
    memset(cli, 0, sizeof *cli);
    cli->boot = boot;
    cli->program = argv[0];
    for (int i = 1; i < argc; i++) {
        /* Known before the whole line is, so that a wrong line is answered in the wanted form. */
        cli->json = cli->json || strcmp(argv[i], "--json") == 0;
    }
    for (int i = 1; i < argc; i++) {
        bool used = false;
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        enum err e = strncmp(argv[i], "--", 2) == 0 ? take_option(cli, argv[i], next, &used, why)
                                                    : take_word(cli, argv[i], why);
        if (e != OK) {
            return e;
        }
        i += used;
    }
    cli->config_path = cli_option_value(cli, "config");
    if (cli->config_path == NULL && access("freehold.conf", R_OK) == 0) {
        cli->config_path = "freehold.conf";
    }
    return OK;
}

const char *cli_option_value(const struct cli *cli, const char *name)
{
    for (size_t i = cli->option_count; i > 0; i--) {
        if (strcmp(cli->options[i - 1].key, name) == 0) {
            return cli->options[i - 1].value;
        }
    }
    return NULL;
}

const char *cli_word(const struct cli *cli, size_t index)
{
    return index < cli->word_count ? cli->words[index] : NULL;
}

static void print_options(const struct cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        char left[64];
        (void)snprintf(left, sizeof left, "--%s%s%s", options->name, options->value ? " " : "",
                       options->value ? options->value : "");
        (void)printf("  %-24s %s\n", left, options->doc);
    }
}

void cli_help(const struct command *command)
{
    if (command != NULL) {
        (void)printf("freehold %s%s%s [options]\n\n%s\n\nOptions:\n", command->name,
                     command->words ? " " : "", command->words ? command->words : "",
                     command->summary);
        print_options(command->options);
        print_options(common_options);
        return;
    }
    (void)printf("Freehold: the off-chain engine for tokenised real-world assets.\n\n"
                 "freehold COMMAND [options] [--section.key=value]\n\nCommands:\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        (void)printf("  %-10s %s\n", cli_commands[i].name, cli_commands[i].summary);
    }
    (void)printf("\nOptions of every command:\n");
    print_options(common_options);
    (void)printf("\nfreehold help COMMAND explains one; freehold config --reference lists every "
                 "setting.\n");
}

void cli_print(struct slice text)
{
    (void)fwrite(text.ptr, 1, text.len, stdout);
    (void)fflush(stdout);
}

void cli_fail(const struct cli *cli, enum err e, const struct why *why)
{
    if (!cli->json) {
        (void)fprintf(stderr, "freehold: %s (%s)\n", why_text(why, e), err_code(e));
        return;
    }
    struct arena arena;
    struct buf b;
    struct json_out j;
    arena_init(&arena, 0);
    buf_init(&b, &arena, 512);
    json_out_init(&j, &b);
    json_begin_object(&j);
    json_key(&j, "success");
    json_bool(&j, false);
    json_key(&j, "error");
    json_text(&j, why_text(why, e));
    json_key(&j, "code");
    json_text(&j, err_code(e));
    json_end_object(&j);
    buf_add_byte(&b, '\n');
    cli_print(buf_slice(&b));
    arena_free(&arena);
}
