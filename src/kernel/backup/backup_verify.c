#include "kernel/backup/backup.h"

#include "kernel/backup/backup_facts.h"
#include "kernel/backup/backup_sql.h"
#include "kernel/base/check.h"

#define OWN_CHECKS 4

struct verifying {
    const struct backup_restore_options *options;
    struct arena *arena;
    struct backup_copy_report report;
};

typedef enum err (*own_fn)(struct verifying *v, struct buf *detail, struct why *why);

static enum err check_rows(struct verifying *v, struct buf *detail, struct why *why)
{
    enum err e = backup_restore(v->options, v->arena, &v->report, why);
    if (e == OK) {
        buf_format(detail, "%llu rows in %zu tables and %zu other files are what the manifest says",
                   (unsigned long long)v->report.rows, v->report.table_count,
                   v->options->manifest->file_count);
    }
    return e;
}

static enum err check_schema(struct verifying *v, struct buf *detail, struct why *why)
{
    struct store_version version = {0};
    enum err e = store_migrate_verify(v->options->target, why);
    if (e == OK) {
        e = store_prepare_all(v->options->target, why);
    }
    if (e == OK) {
        e = store_version_read(v->options->target, &version, why);
    }
    if (e == OK) {
        buf_format(detail, "version %u of %u, all statements prepare", version.applied,
                   version.known);
    }
    return e;
}

static enum err count_broken(struct store_tx *tx, void *ctx, struct why *why)
{
    int64_t *out = ctx;
    struct store_query q;
    store_begin(&q, tx, &backup_sql_foreign_keys);
    if (store_step(&q)) {
        *out = store_get_i64(&q, "broken");
    }
    return store_finish_one(&q, "foreign keys", why);
}

static enum err check_keys(struct verifying *v, struct buf *detail, struct why *why)
{
    int64_t broken = 0;
    enum err e = store_read(v->options->target, count_broken, &broken, why);
    if (e == OK && broken > 0) {
        e = why_set(why, ERR_CORRUPT, NULL, "%lld foreign keys lead nowhere.", (long long)broken);
    }
    if (e == OK) {
        buf_add_text(detail, "every foreign key leads to a row");
    }
    return e;
}

static enum err read_facts(struct store_tx *tx, void *ctx, struct why *why)
{
    return backup_facts(tx, ctx, why);
}

static enum err check_facts(struct verifying *v, struct buf *detail, struct why *why)
{
    struct buf facts;
    buf_init(&facts, v->arena, 512);
    enum err e = store_read(v->options->target, read_facts, &facts, why);
    if (e == OK && !slice_equal(buf_slice(&facts), v->options->manifest->facts)) {
        e = why_set(why, ERR_CORRUPT, NULL,
                    "Cursors of chains or the head of the audit log are not what the manifest "
                    "says.");
    }
    if (e == OK) {
        buf_add_slice(detail, buf_slice(&facts));
    }
    return e;
}

static const struct {
    const char *name;
    own_fn run;
} own_checks[OWN_CHECKS] = {
    {"rows", check_rows},
    {"schema", check_schema},
    {"foreignKeys", check_keys},
    {"facts", check_facts},
};

static void note(struct arena *arena, struct backup_verdict *verdict, const char *name, enum err e,
                 const struct buf *detail, const struct why *why)
{
    *verdict = (struct backup_verdict){.name = name, .err = e, .detail = buf_slice(detail)};
    if (e != OK) {
        verdict->detail = slice_copy(arena, slice_text(why_text(why, e)));
    }
}

enum err backup_verify(const struct backup_restore_options *options,
                       const struct backup_check *checks, size_t check_count, struct arena *arena,
                       struct backup_verdict **out, size_t *out_count, struct why *why)
{
    struct verifying v = {.options = options, .arena = arena};
    struct backup_verdict *verdicts =
        arena_alloc_array(arena, OWN_CHECKS + check_count, sizeof(*verdicts));
    enum err first = OK;
    size_t count = 0;
    for (size_t i = 0; i < OWN_CHECKS + check_count; i++) {
        struct buf detail;
        struct why said = {0};
        bool own = i < OWN_CHECKS;
        buf_init(&detail, arena, 256);
        enum err e = own ? own_checks[i].run(&v, &detail, &said)
                         : checks[i - OWN_CHECKS].run(options->target, &detail, &said);
        note(arena, &verdicts[count++], own ? own_checks[i].name : checks[i - OWN_CHECKS].name, e,
             &detail, &said);
        if (e != OK && first == OK) {
            first = why_set(why, e, NULL, "%s: %s", verdicts[count - 1].name, why_text(&said, e));
        }
        if (e != OK && i == 0) {
            break; /* there is nothing to look at */
        }
    }
    *out = verdicts;
    *out_count = count;
    return first;
}
