#include "app/backups.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/service.h"
#include "gen/sql_all.h"
#include "kernel/audit/audit.h"
#include "kernel/backup/backup_config.h"
#include "kernel/ledger/ledger.h"

#define FOLDERS_MAX 16
#define SCRATCH_PATH_MAX 4096

struct store_config backups_store_config(const struct settings *settings, const char *url,
                                         bool read_only)
{
    struct store_config config = settings->store;
    config.url = url;
    config.read_only = read_only;
    config.readers = 1;
    config.writers = 1;
    config.statement_usec = 0;
    return config;
}

/* ---- making ---- */

static enum err list_folders(const struct settings *s, struct arena *arena,
                             struct backup_folder out[FOLDERS_MAX], size_t *out_count,
                             struct why *why)
{
    size_t count = 0;
    struct slice rest = slice_text(s->backup.include);
    if (s->wallets.keystore_dir[0] != '\0') {
        out[count++] = (struct backup_folder){"keystore", s->wallets.keystore_dir, true};
    }
    while (rest.len > 0) {
        struct slice path;
        (void)slice_cut(rest, ',', &path, &rest);
        path = slice_trim(path);
        while (path.len > 1 && path.ptr[path.len - 1] == '/') {
            path.len--;
        }
        if (path.len == 0) {
            continue;
        }
        size_t at = path.len;
        while (at > 0 && path.ptr[at - 1] != '/') {
            at--;
        }
        struct slice name =
            slice_format(arena, "files/%.*s", SLICE_ARG(slice_sub(path, at, path.len)));
        if (count == FOLDERS_MAX || !backup_name_is_safe(name)) {
            return why_set(why, ERR_CONFIG, "backup.include",
                           "backup.include must name at most %d folders whose names are letters, "
                           "digits, '.', '-' and '_'.",
                           FOLDERS_MAX - 1);
        }
        out[count++] =
            (struct backup_folder){slice_cstr(arena, name), slice_cstr(arena, path), false};
    }
    *out_count = count;
    return OK;
}

static enum err check_version(struct store *store, struct why *why)
{
    struct store_version version = {0};
    enum err e = store_version_read(store, &version, why);
    if (e == OK && version.applied != version.known) {
        e = why_set(why, ERR_DB_VERSION, NULL,
                    "The database is at version %u of %u: run freehold migrate up first.",
                    version.applied, version.known);
    }
    return e == OK ? backup_copy_check(store, why) : e;
}

enum err backups_make(const struct settings *settings, const char *where,
                      backup_progress_fn progress, void *progress_ctx, struct arena *arena,
                      struct backup_manifest *out, struct why *why)
{
    struct backup_folder folders[FOLDERS_MAX];
    struct store_config config = backups_store_config(settings, settings->store.url, true);
    struct store *store = NULL;
    struct backup_place *place = NULL;
    struct buf text;
    size_t removed = 0;
    size_t folder_count = 0;
    buf_init(&text, arena, 8192);
    config_dump(settings->registry, &text);
    enum err e = list_folders(settings, arena, folders, &folder_count, why);
    if (e == OK) {
        e = store_open(&store, &config, &sql_catalog, why);
    }
    if (e == OK) {
        e = check_version(store, why);
    }
    if (e == OK) {
        e = backup_config_open(&settings->backup, where, &place, why);
    }
    if (e == OK) {
        const struct backup_write_options options = {
            .store = store,
            .catalog = &sql_catalog,
            .place = place,
            .program = FREEHOLD_VERSION,
            .config_text = buf_slice(&text),
            .folders = folders,
            .folder_count = folder_count,
            .progress = progress,
            .progress_ctx = progress_ctx,
        };
        e = backup_write(&options, arena, out, why);
    }
    if (e == OK) {
        e = backup_expire(place, settings->backup.keep_daily_usec,
                          settings->backup.keep_weekly_usec, &removed, why);
    }
    backup_place_close(place);
    store_close(store);
    return e;
}

/* ---- proofs ---- */

static enum err read_ledger(struct store_tx *tx, void *ctx, struct why *why)
{
    return ledger_audit(tx, NULL, NULL, ctx, why);
}

static enum err prove_ledger(struct store *store, struct buf *detail, struct why *why)
{
    struct ledger_report r = {0};
    enum err e = store_read(store, read_ledger, &r, why);
    /* An account that a reorganisation left overdrawn is so in the original, too. */
    for (int f = LEDGER_SOUND + 1; e == OK && f < LEDGER_FINDINGS; f++) {
        if (r.found[f] > 0 && f != LEDGER_OVERDRAWN) {
            e = why_set(why, ERR_CORRUPT, NULL, "Found %llu %s.", (unsigned long long)r.found[f],
                        ledger_finding_text((enum ledger_finding)f));
        }
    }
    if (e == OK) {
        buf_format(detail, "%llu accounts equal the sums of %llu transfers",
                   (unsigned long long)r.accounts, (unsigned long long)r.transfers);
    }
    return e;
}

static enum err read_audit(struct store_tx *tx, void *ctx, struct why *why)
{
    return audit_verify(tx, NULL, ctx, why);
}

static enum err prove_audit(struct store *store, struct buf *detail, struct why *why)
{
    struct audit_report r = {0};
    struct arena scratch;
    arena_init(&scratch, 0);
    enum err e = store_read(store, read_audit, &r, why);
    struct slice said = e == OK ? audit_finding_text(&scratch, &r) : SLICE_EMPTY;
    if (e == OK && r.found != AUDIT_SOUND) {
        e = why_set(why, ERR_CORRUPT, NULL, "%.*s", SLICE_ARG(said));
    }
    buf_add_slice(detail, said);
    arena_free(&scratch);
    return e;
}

static const struct backup_check checks[] = {
    {"ledger", prove_ledger},
    {"audit", prove_audit},
};

/* ---- verifying ---- */

struct scratch {
    char dir[SCRATCH_PATH_MAX];
    struct store *store;
};

/* A database that goes away afterwards: nothing is waited for that a power cut would take. */
static enum err open_scratch(const struct settings *settings, const char *url, struct scratch *s,
                             struct why *why)
{
    char path[SCRATCH_PATH_MAX + 32];
    const char *tmp = getenv("TMPDIR");
    struct store_config config = backups_store_config(settings, url, false);
    if (url[0] == '\0') {
        int len = snprintf(s->dir, sizeof(s->dir), "%s/freehold-verify-XXXXXX",
                           tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
        if (len < 0 || (size_t)len >= sizeof(s->dir) || mkdtemp(s->dir) == NULL) {
            s->dir[0] = '\0';
            return why_set(why, ERR_IO, NULL, "A temporary folder cannot be made: %s.",
                           strerror(errno));
        }
        (void)snprintf(path, sizeof(path), "sqlite:%s/scratch.db", s->dir);
        config.url = path;
        config.synchronous = "normal";
    }
    return store_open(&s->store, &config, &sql_catalog, why);
}

static void close_scratch(struct scratch *s)
{
    static const char *const names[] = {"scratch.db", "scratch.db-wal", "scratch.db-shm",
                                        "scratch.db.lock"};
    char path[SCRATCH_PATH_MAX + 32];
    store_close(s->store);
    for (size_t i = 0; s->dir[0] != '\0' && i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", s->dir, names[i]);
        (void)unlink(path);
    }
    if (s->dir[0] != '\0') {
        (void)rmdir(s->dir);
    }
}

enum err backups_verify(const struct settings *settings, const char *from, const char *scratch_url,
                        backup_progress_fn progress, void *progress_ctx, struct arena *arena,
                        struct backup_manifest *out_manifest, struct backup_verdict **out,
                        size_t *out_count, struct why *why)
{
    struct backup_place *place = NULL;
    const char *id = NULL;
    struct scratch scratch = {.store = NULL};
    *out_count = 0;
    enum err e = backup_config_find(&settings->backup, from, arena, &place, &id, why);
    if (e == OK) {
        e = backup_manifest_load(place, id, &sql_catalog, arena, out_manifest, why);
    }
    if (e == OK) {
        e = open_scratch(settings, scratch_url, &scratch, why);
    }
    if (e == OK) {
        const struct backup_restore_options options = {
            .place = place,
            .manifest = out_manifest,
            .catalog = &sql_catalog,
            .target = scratch.store,
            .progress = progress,
            .progress_ctx = progress_ctx,
        };
        e = backup_verify(&options, checks, sizeof(checks) / sizeof(checks[0]), arena, out,
                          out_count, why);
    }
    close_scratch(&scratch);
    backup_place_close(place);
    return e;
}
