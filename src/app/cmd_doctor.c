/*
 * cmd_doctor.c: `freehold doctor`: look, judge, tell.
 */
#include "app/commands.h"
#include "app/doctor.h"
#include "kernel/base/log.h"

enum err command_doctor(struct cli *cli, struct why *why)
{
    struct settings settings;
    struct ops_facts *facts = NULL;
    struct ops_tally tally = {{0}};
    struct why load_why = {.err = OK};
    struct buf out;
    const char *only = cli_option_value(cli, "only");
    enum ops_group group = only != NULL ? ops_group_find(slice_text(only)) : OPS_GROUP_COUNT;
    if (cli_word(cli, 0) != NULL || (only != NULL && group == OPS_GROUP_COUNT)) {
        return why_set(why, ERR_USAGE, NULL,
                       "doctor takes no word but --only with a group: machine, config, files, "
                       "database, books, work, node, contracts, wallets, http, redis or backup");
    }
    settings_init(&settings);
    enum err load = settings_load(&settings, cli, &load_why);
    log_set_fd(-1); /* what modules log on the way is said by a check */
    enum err e = doctor_facts_new(&facts, why);
    if (e == OK) {
        if (doctor_config(&settings, cli->config_path, load, &load_why, facts)) {
            doctor_look(&settings, group, facts);
        }
        buf_init(&out, cli->boot, 16384);
        (cli->json ? ops_doctor_json : ops_doctor_text)(facts, group, &out, &tally);
        cli_print(buf_slice(&out));
        cli->told = tally.count[OPS_PROBLEM] > 0;
    }
    if (e == OK && cli->told) {
        e = why_set(why, ERR_CONFLICT, NULL, "there are %zu problems", tally.count[OPS_PROBLEM]);
    }
    doctor_facts_free(facts);
    settings_clear(&settings);
    return e;
}
