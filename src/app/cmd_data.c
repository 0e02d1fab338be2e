/*
 * cmd_data.c: commands on the configuration and the database: config, migrate.
 */
#include "app/cmd_audit.h"
#include "app/commands.h"
#include "app/settings.h"
#include "gen/sql_all.h"

/* Units: microseconds. */
#define BESIDE_LEASE_USEC (120 * (int64_t)USEC_PER_SEC)

enum err command_with_store(struct cli *cli, bool read_only, command_store_fn run, struct why *why)
{
    struct settings settings;
    struct store *store = NULL;
    settings_init(&settings);
    enum err e = settings_load(&settings, cli, why);
    settings.store.read_only = read_only;
    if (e == OK) {
        e = store_open(&store, &settings.store, &sql_catalog, why);
    }
    if (e == OK) {
        e = run(cli, store, &settings, why);
    }
    store_close(store);
    settings_clear(&settings);
    return e;
}

enum err command_beside(struct cli *cli, command_store_fn run, struct why *why)
{
    struct settings settings;
    struct store *store = NULL;
    struct store_version v = {0};
    settings_init(&settings);
    enum err e = settings_load(&settings, cli, why);
    settings.store.beside = true;
    /* A transaction here may rest while something else is read. */
    settings.store.lease_usec = BESIDE_LEASE_USEC;
    if (e == OK) {
        e = store_open(&store, &settings.store, &sql_catalog, why);
    }
    if (e == OK) {
        e = store_version_read(store, &v, why);
    }
    if (e == OK && v.applied != v.known) {
        e = why_set(why, ERR_DB_VERSION, NULL,
                    "The database is at version %u of %u: run freehold migrate up first.",
                    v.applied, v.known);
    }
    if (e == OK) {
        e = run(cli, store, &settings, why);
    }
    store_close(store);
    settings_clear(&settings);
    return e;
}

/* ---- config ---- */

enum err command_config(struct cli *cli, struct why *why)
{
    struct settings settings;
    struct arena arena;
    struct buf out;
    arena_init(&arena, 0);
    buf_init(&out, &arena, 16384);
    settings_init(&settings);
    enum err e = OK;
    if (cli_option_value(cli, "sample") != NULL) {
        config_sample(settings.registry, &out);
    } else if (cli_option_value(cli, "reference") != NULL) {
        config_reference(settings.registry, &out);
    } else {
        e = settings_load(&settings, cli, why);
        if (e == OK && cli_option_value(cli, "check") != NULL) {
            buf_add_text(&out,
                         cli->json ? "{\"success\":true}\n" : "The configuration is right.\n");
        } else if (e == OK) {
            config_dump(settings.registry, &out);
        }
    }
    if (e == OK) {
        cli_print(buf_slice(&out));
    }
    settings_clear(&settings);
    arena_free(&arena);
    return e;
}

/* ---- migrate ---- */

static void print_versions(const struct cli *cli, const struct store_version *v)
{
    if (cli->json) {
        (void)printf("{\"success\":true,\"applied\":%u,\"known\":%u}\n", v->applied, v->known);
    } else {
        (void)printf("Applied version %u of %u.\n", v->applied, v->known);
    }
}

static enum err run_migrate(struct cli *cli, struct store *store, const struct settings *settings,
                            struct why *why)
{
    (void)settings;
    const char *word = cli_word(cli, 0);
    struct slice what = slice_text(word != NULL ? word : "status");
    struct store_version v;
    enum err e = store_version_read(store, &v, why);
    uint64_t target = v.known;
    const char *to = cli_option_value(cli, "to");
    if (e == OK && slice_equal_text(what, "down")) {
        target = v.applied > 0 ? v.applied - 1 : 0;
    }
    if (e == OK && to != NULL &&
        (slice_parse_u64(slice_text(to), &target) != OK || target > v.known)) {
        e = why_set(why, ERR_USAGE, NULL, "--to is a version from 0 to %u", v.known);
    }
    if (e == OK && (slice_equal_text(what, "up") || slice_equal_text(what, "down"))) {
        e = operator_migrate(store, (uint32_t)target, why);
    } else if (e == OK && slice_equal_text(what, "verify")) {
        e = store_migrate_verify(store, why);
        e = e == OK && v.applied == v.known ? store_prepare_all(store, why) : e;
    } else if (e == OK && !slice_equal_text(what, "status")) {
        e = why_set(why, ERR_USAGE, NULL, "migrate status, up, down or verify");
    }
    if (e == OK) {
        e = store_version_read(store, &v, why);
    }
    if (e == OK) {
        print_versions(cli, &v);
    }
    return e;
}

enum err command_migrate(struct cli *cli, struct why *why)
{
    const char *word = cli_word(cli, 0);
    bool writes = word != NULL && (strcmp(word, "up") == 0 || strcmp(word, "down") == 0);
    return command_with_store(cli, !writes, run_migrate, why);
}
