/*
 * cmd_backup.c: backups made, listed, verified and restored by hand.
 */
#include <stdlib.h>
#include <unistd.h>

#include "app/backups.h"
#include "app/commands.h"
#include "gen/sql_all.h"
#include "kernel/backup/backup_config.h"

/* How often a terminal hears how far it is. Units: microseconds. */
#define TELL_USEC (USEC_PER_SEC / 2)

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

static void end_telling(const struct teller *t)
{
    if (t->told_usec != 0) {
        (void)fprintf(stderr, "\r\033[K");
    }
}

static struct teller teller_for(const struct cli *cli)
{
    return (struct teller){.terminal = !cli->json && isatty(STDERR_FILENO) == 1};
}

/* ---- printing ---- */

static void manifest_json(struct json_out *j, const struct backup_manifest *m)
{
    json_key(j, "id");
    json_string(j, m->id);
    json_key(j, "createdAt");
    json_time(j, m->created_usec);
    json_key(j, "program");
    json_string(j, m->program);
    json_key(j, "database");
    json_string(j, m->database);
    json_key(j, "tables");
    json_u64(j, m->table_count);
    json_key(j, "rows");
    json_u64(j, m->rows);
    json_key(j, "files");
    json_u64(j, m->file_count);
    json_key(j, "bytes");
    json_u64(j, m->bytes);
}

static void manifest_text(struct buf *b, const struct backup_manifest *m)
{
    buf_format(b, "%.*s  %8llu rows  %10llu bytes  %s, program %.*s\n", SLICE_ARG(m->id),
               (unsigned long long)m->rows, (unsigned long long)m->bytes,
               slice_equal_text(m->database, "sqlite") ? "SQLite" : "PostgreSQL",
               SLICE_ARG(m->program));
}

static void print_manifest(const struct cli *cli, const char *place,
                           const struct backup_manifest *m)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, cli->boot, 512);
    if (!cli->json) {
        manifest_text(&b, m);
    } else {
        json_out_init(&j, &b);
        json_begin_object(&j);
        json_key(&j, "success");
        json_bool(&j, true);
        if (place != NULL) {
            json_key(&j, "place");
            json_text(&j, place);
        }
        manifest_json(&j, m);
        json_end_object(&j);
        buf_add_byte(&b, '\n');
    }
    cli_print(buf_slice(&b));
}

static void print_verdicts(const struct cli *cli, const struct backup_manifest *m,
                           const struct backup_verdict *verdicts, size_t count, enum err e)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, cli->boot, 1024);
    json_out_init(&j, &b);
    if (!cli->json) {
        for (size_t i = 0; i < count; i++) {
            buf_format(&b, "%-12s %s  %.*s\n", verdicts[i].name,
                       verdicts[i].err == OK ? "ok  " : "FAIL", SLICE_ARG(verdicts[i].detail));
        }
        cli_print(buf_slice(&b));
        return;
    }
    if (e != OK) {
        return; /* the failure says it all, in one object */
    }
    json_begin_object(&j);
    json_key(&j, "success");
    json_bool(&j, true);
    manifest_json(&j, m);
    json_key(&j, "checks");
    json_begin_array(&j);
    for (size_t i = 0; i < count; i++) {
        json_begin_object(&j);
        json_key(&j, "name");
        json_text(&j, verdicts[i].name);
        json_key(&j, "detail");
        json_string(&j, verdicts[i].detail);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
    buf_add_byte(&b, '\n');
    cli_print(buf_slice(&b));
}

/* ---- backup ---- */

static enum err make(struct cli *cli, const struct settings *s, const char *where, struct why *why)
{
    struct backup_manifest m;
    struct teller teller = teller_for(cli);
    if (where == NULL || where[0] == '\0') {
        return why_set(why, ERR_USAGE, NULL, "backup DIR, or the setting backup.to");
    }
    enum err e = backups_make(s, where, tell, &teller, cli->boot, &m, why);
    end_telling(&teller);
    if (e == OK) {
        print_manifest(cli, where, &m);
    }
    return e;
}

static enum err verify(struct cli *cli, const struct settings *s, const char *from, struct why *why)
{
    struct backup_manifest m = {.rows = 0};
    struct backup_verdict *verdicts = NULL;
    struct teller teller = teller_for(cli);
    const char *scratch = cli_option_value(cli, "scratch");
    size_t count = 0;
    enum err e = backups_verify(s, from, scratch != NULL ? scratch : "", tell, &teller, cli->boot,
                                &m, &verdicts, &count, why);
    end_telling(&teller);
    print_verdicts(cli, &m, verdicts, count, e);
    return e;
}

static enum err list(struct cli *cli, const struct settings *s, const char *where, struct why *why)
{
    struct backup_place *place = NULL;
    struct slice *ids = NULL;
    size_t count = 0;
    enum err e = backup_config_open(&s->backup, where, &place, why);
    if (e == OK) {
        e = backup_place_list(place, cli->boot, &ids, &count, why);
    }
    for (size_t i = 0; e == OK && i < count; i++) {
        struct backup_manifest m;
        struct why said = {0};
        const char *id = slice_cstr(cli->boot, ids[i]);
        /* One of another version is listed by its id, and said to be so. */
        enum err read = backup_manifest_load(place, id, &sql_catalog, cli->boot, &m, &said);
        if (read == OK) {
            print_manifest(cli, NULL, &m);
        } else if (!cli->json) {
            (void)printf("%s  %s\n", id, why_text(&said, read));
        } else {
            (void)printf("{\"success\":false,\"id\":\"%s\",\"code\":\"%s\"}\n", id, err_code(read));
        }
    }
    backup_place_close(place);
    return e;
}

enum err command_backup(struct cli *cli, struct why *why)
{
    const char *word = cli_word(cli, 0);
    const char *second = cli_word(cli, 1);
    bool verifies = word != NULL && strcmp(word, "verify") == 0;
    bool lists = word != NULL && strcmp(word, "list") == 0;
    struct settings s;
    (void)setenv("PGAPPNAME", "freehold-backup", 1);
    settings_init(&s);
    enum err e = settings_load(&s, cli, why);
    const char *where = verifies || lists ? second : word;
    if (e == OK && where == NULL) {
        where = s.backup.to;
    }
    if (e == OK && (where[0] == '\0' || cli_word(cli, verifies || lists ? 2 : 1) != NULL)) {
        e = why_set(why, ERR_USAGE, NULL,
                    "backup PLACE, backup list PLACE, or backup verify PLACE[/ID]; a place is a "
                    "folder, by itself that of the setting backup.to");
    } else if (e == OK) {
        e = verifies ? verify(cli, &s, where, why)
            : lists  ? list(cli, &s, where, why)
                     : make(cli, &s, where, why);
    }
    settings_clear(&s);
    return e;
}

/* ---- restore ---- */

static enum err restore(struct cli *cli, const struct settings *s, const char *from,
                        struct why *why)
{
    const char *to = cli_option_value(cli, "to");
    struct backup_manifest m = {.rows = 0};
    struct backup_copy_report report;
    struct backup_place *place = NULL;
    struct store *target = NULL;
    const char *id = NULL;
    struct teller teller = teller_for(cli);
    struct store_config config = backups_store_config(s, to != NULL ? to : s->store.url, false);
    enum err e = backup_config_find(&s->backup, from, cli->boot, &place, &id, why);
    if (e == OK) {
        e = backup_manifest_load(place, id, &sql_catalog, cli->boot, &m, why);
    }
    if (e == OK) {
        e = store_open(&target, &config, &sql_catalog, why);
    }
    if (e == OK) {
        const struct backup_restore_options options = {
            .place = place,
            .manifest = &m,
            .catalog = &sql_catalog,
            .target = target,
            .files_dir = cli_option_value(cli, "files"),
            .progress = tell,
            .progress_ctx = &teller,
        };
        e = backup_restore(&options, cli->boot, &report, why);
        end_telling(&teller);
    }
    if (e == OK) {
        print_manifest(cli, store_url_shown(target), &m);
    }
    if (e == OK && !cli->json && cli_option_value(cli, "files") == NULL && m.file_count > 0) {
        (void)printf("%zu other files (settings, keys, documents) were looked at and not written: "
                     "--files DIR does.\n",
                     m.file_count);
    }
    store_close(target);
    backup_place_close(place);
    return e;
}

enum err command_restore(struct cli *cli, struct why *why)
{
    struct settings s;
    (void)setenv("PGAPPNAME", "freehold-restore", 1);
    settings_init(&s);
    enum err e = settings_load(&s, cli, why);
    if (e == OK && (cli_word(cli, 0) == NULL || cli_word(cli, 1) != NULL)) {
        e = why_set(why, ERR_USAGE, NULL, "restore PLACE[/ID] [--to URL] [--files DIR]");
    }
    if (e == OK) {
        e = restore(cli, &s, cli_word(cli, 0), why);
    }
    settings_clear(&s);
    return e;
}
