/*
 * cmd_db.c: moving an installation to another database.
 */
#include <stdlib.h>
#include <unistd.h>

#include "app/backups.h"
#include "app/commands.h"
#include "app/settings.h"
#include "gen/sql_all.h"
#include "kernel/backup/backup_copy.h"
#include "kernel/base/hex.h"

/* How often a terminal hears how far it is. Units: microseconds. */
#define TELL_USEC (USEC_PER_SEC / 2)
/* Digits of a hash that a person compares. */
#define HASH_DIGITS_SHOWN 12

struct teller {
    bool terminal;
    int64_t told_usec;
};

static enum err tell(void *ctx, const char *table, uint64_t rows, struct why *why)
{
    (void)why;
    struct teller *t = ctx;
    int64_t now = clock_mono_usec();
    if (t->terminal && now - t->told_usec >= TELL_USEC) {
        t->told_usec = now;
        (void)fprintf(stderr, "\r\033[K%s: %llu rows", table, (unsigned long long)rows);
    }
    return OK;
}

/* ---- the report ---- */

static void hash_text(const struct backup_sum *sum, char out[2 * HASH_BYTES + 3])
{
    struct hash hash = backup_sum_hash(sum);
    hex_encode_to(hash_slice(&hash), out);
}

static void print_json(const struct backup_copy_report *r)
{
    struct arena arena;
    struct buf b;
    struct json_out j;
    char text[2 * HASH_BYTES + 3];
    arena_init(&arena, 0);
    buf_init(&b, &arena, 8192);
    json_out_init(&j, &b);
    json_begin_object(&j);
    json_key(&j, "success");
    json_bool(&j, r->equal);
    json_key(&j, "rows");
    json_u64(&j, r->rows);
    json_key(&j, "resumedRows");
    json_u64(&j, r->rows_resumed);
    json_key(&j, "begunAnew");
    json_bool(&j, r->begun_anew);
    json_key(&j, "tables");
    json_begin_array(&j);
    for (size_t i = 0; i < r->table_count; i++) {
        const struct backup_copy_table *t = &r->tables[i];
        json_begin_object(&j);
        json_key(&j, "name");
        json_text(&j, t->name);
        json_key(&j, "sourceRows");
        json_u64(&j, t->source.rows);
        json_key(&j, "targetRows");
        json_u64(&j, t->target.rows);
        json_key(&j, "sourceHash");
        hash_text(&t->source, text);
        json_text(&j, text);
        json_key(&j, "targetHash");
        hash_text(&t->target, text);
        json_text(&j, text);
        json_key(&j, "equal");
        json_bool(&j, backup_sum_equal(&t->source, &t->target));
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
    buf_add_byte(&b, '\n');
    cli_print(buf_slice(&b));
    arena_free(&arena);
}

static void print_text(const struct backup_copy_report *r)
{
    (void)printf("%-26s %12s %12s  %-*s  %-*s\n", "table", "source", "target", HASH_DIGITS_SHOWN,
                 "source hash", HASH_DIGITS_SHOWN, "target hash");
    for (size_t i = 0; i < r->table_count; i++) {
        const struct backup_copy_table *t = &r->tables[i];
        char source[2 * HASH_BYTES + 3];
        char target[2 * HASH_BYTES + 3];
        hash_text(&t->source, source);
        hash_text(&t->target, target);
        (void)printf("%-26s %12llu %12llu  %.*s  %.*s  %s\n", t->name,
                     (unsigned long long)t->source.rows, (unsigned long long)t->target.rows,
                     HASH_DIGITS_SHOWN, source + 2, HASH_DIGITS_SHOWN, target + 2,
                     backup_sum_equal(&t->source, &t->target) ? "equal" : "DIFFERS");
    }
    if (r->begun_anew) {
        (void)printf("The source had changed since the copy was begun: it began anew.\n");
    }
    if (r->equal) {
        (void)printf("Equal: %zu tables, %llu rows, %llu of them from an earlier run.\n",
                     r->table_count, (unsigned long long)r->rows,
                     (unsigned long long)r->rows_resumed);
    }
    (void)fflush(stdout);
}

/* ---- both sides ---- */

/*
 * The source is opened to read first, because that makes no database; then, unless it is a
 * rehearsal, as its owner, so that no daemon starts on it meanwhile.
 */
static enum err open_source(const struct settings *s, const char *url, bool live,
                            struct store **out, struct why *why)
{
    struct store_config config = backups_store_config(s, url, true);
    struct store *store = NULL;
    int64_t sessions = 0;
    enum err e = store_open(&store, &config, &sql_catalog, why);
    if (e == OK && !live) {
        store_close(store);
        store = NULL;
        config.read_only = false;
        e = store_open(&store, &config, &sql_catalog, why);
    }
    struct store_version version;
    if (e == OK) {
        e = store_version_read(store, &version, why);
    }
    if (e == OK && version.applied != version.known) {
        e = why_set(why, ERR_DB_VERSION, NULL,
                    "The source %s is at version %u of %u: run freehold migrate up on it first.",
                    store_url_shown(store), version.applied, version.known);
    }
    if (e == OK) {
        e = backup_copy_check(store, why);
    }
    if (e == OK && !live) {
        e = backup_copy_sessions(store, &sessions, why);
    }
    if (e == OK && sessions > 0) {
        e = why_set(why, ERR_LOCKED, NULL,
                    "Daemons work on the source %s (%lld connections): stop them first, or "
                    "rehearse with --live.",
                    store_url_shown(store), (long long)sessions);
    }
    if (e != OK) {
        store_close(store);
        return e;
    }
    *out = store;
    return OK;
}

static void rewind_store(void *ctx)
{
    struct backup_store_source *source = ctx;
    source->begun_ = false;
}

static enum err copy(struct cli *cli, struct store *source, struct store *target, struct why *why)
{
    struct backup_store_source reading = {.store = source, .catalog = &sql_catalog};
    struct teller teller = {.terminal = !cli->json && isatty(STDERR_FILENO) == 1};
    const struct backup_copy_options options = {
        .source = {.produce = backup_stream_read_store, .ctx = &reading},
        .rewind = rewind_store,
        .source_name = store_url_shown(source),
        .target = target,
        .catalog = &sql_catalog,
        .progress = tell,
        .progress_ctx = &teller,
    };
    struct backup_copy_report report;
    enum err e = backup_copy_run(&options, cli->boot, &report, why);
    if (teller.told_usec != 0) {
        (void)fprintf(stderr, "\r\033[K");
    }
    if (report.table_count > 0 && cli->json && report.equal) {
        print_json(&report);
    } else if (report.table_count > 0 && !cli->json) {
        print_text(&report);
    }
    return e;
}

enum err command_db(struct cli *cli, struct why *why)
{
    const char *from = cli_word(cli, 1);
    const char *to = cli_word(cli, 2);
    if (cli_word(cli, 0) == NULL || strcmp(cli_word(cli, 0), "copy") != 0 || to == NULL ||
        cli_word(cli, 3) != NULL) {
        return why_set(why, ERR_USAGE, NULL, "db copy FROM TO, each sqlite:PATH or postgresql://…");
    }
    if (!store_url_known(from) || !store_url_known(to)) {
        return why_set(why, ERR_USAGE, NULL,
                       "db copy: %s must be sqlite:PATH or postgresql://HOST/NAME.",
                       store_url_known(from) ? "TO" : "FROM");
    }
    struct settings settings;
    struct store *source = NULL;
    struct store *target = NULL;
    /* Our own connections are not those of a daemon. */
    (void)setenv("PGAPPNAME", "freehold-copy", 1);
    settings_init(&settings);
    enum err e = settings_load(&settings, cli, why);
    if (e == OK) {
        e = open_source(&settings, from, cli_option_value(cli, "live") != NULL, &source, why);
    }
    if (e == OK) {
        struct store_config config = backups_store_config(&settings, to, false);
        e = store_open(&target, &config, &sql_catalog, why);
    }
    if (e == OK) {
        e = copy(cli, source, target, why);
    }
    store_close(target);
    store_close(source);
    settings_clear(&settings);
    return e;
}
