/*
 * cmd_audit.c: the proof of the audit log for people and programs, the actions that it knows, and
 * what operators do at the command line as rows of it.
 */
#include "app/cmd_audit.h"

#include <pwd.h>
#include <unistd.h>

#include "app/commands.h"
#include "kernel/auth/auth.h"
#include "kernel/base/check.h"
#include "kernel/chain/chain_reconcile.h"
#include "kernel/documents/documents.h"
#include "kernel/ops/ops.h"
#include "kernel/ops/ops_reindex.h"
#include "kernel/paywall/paywall.h"
#include "kernel/relay/relay_checks.h"

/* ---- audit verify ---- */

struct verify {
    const struct audit_place *witness;
    struct audit_report report;
};

static enum err read_chain(struct store_tx *tx, void *ctx, struct why *why)
{
    struct verify *v = ctx;
    return audit_verify(tx, v->witness, &v->report, why);
}

static void key_place(struct json_out *j, const char *key, const struct audit_place *place)
{
    char text[AUDIT_PLACE_TEXT_MAX];
    audit_place_format(place, text);
    json_key(j, key);
    json_text(j, text);
}

static void show_json(struct arena *arena, struct buf *out, const struct audit_report *r)
{
    struct json_out j;
    json_out_init(&j, out);
    json_begin_object(&j);
    json_key(&j, "success");
    json_bool(&j, r->found == AUDIT_SOUND);
    json_key(&j, "rows");
    json_u64(&j, r->rows);
    json_key(&j, "unsealed");
    json_u64(&j, r->unsealed);
    key_place(&j, "head", &r->head.place);
    key_place(&j, "anchor", &r->head.anchor);
    json_key(&j, "first");
    if (r->found == AUDIT_SOUND) {
        json_null(&j);
    } else {
        json_begin_object(&j);
        json_key(&j, "finding");
        json_text(&j, audit_finding_name(r->found));
        json_key(&j, "row");
        json_u64(&j, r->seq);
        json_key(&j, "id");
        json_text(&j, r->id[0] != '\0' ? r->id : NULL);
        json_key(&j, "sentence");
        json_string(&j, audit_finding_text(arena, r));
        json_end_object(&j);
    }
    json_end_object(&j);
    buf_add_byte(out, '\n');
}

static void show_text(struct arena *arena, struct buf *out, const struct audit_report *r)
{
    char head[AUDIT_PLACE_TEXT_MAX];
    audit_place_format(&r->head.place, head);
    if (r->found != AUDIT_SOUND) {
        buf_add_slice(out, audit_finding_text(arena, r));
        buf_add_byte(out, '\n');
    }
    buf_format(out, "%s: %llu rows after row %llu, %llu not sealed yet\nhead %s\n",
               r->found == AUDIT_SOUND ? "Proven" : "BROKEN", (unsigned long long)r->rows,
               (unsigned long long)r->head.anchor.seq, (unsigned long long)r->unsealed, head);
}

static enum err run_verify(struct cli *cli, struct store *store, const struct settings *settings,
                           struct why *why)
{
    (void)settings;
    struct audit_place witness;
    struct verify v = {.witness = NULL};
    const char *head = cli_option_value(cli, "head");
    if (head != NULL && audit_place_parse(slice_text(head), &witness) != OK) {
        return why_set(why, ERR_USAGE, NULL,
                       "--head is a number and a hash as they were shown: 17:0x0123…");
    }
    v.witness = head != NULL ? &witness : NULL;
    enum err e = store_read(store, read_chain, &v, why);
    if (e != OK) {
        return e;
    }
    struct arena arena;
    struct buf out;
    arena_init(&arena, 0);
    buf_init(&out, &arena, 512);
    (cli->json ? show_json : show_text)(&arena, &out, &v.report);
    cli_print(buf_slice(&out));
    arena_free(&arena);
    return v.report.found == AUDIT_SOUND
               ? OK
               : why_set(why, ERR_CORRUPT, NULL, "the audit log is not as it was written");
}

enum err command_audit(struct cli *cli, struct why *why)
{
    const char *word = cli_word(cli, 0);
    if (word != NULL && strcmp(word, "ledger") == 0) {
        return command_audit_ledger(cli, why);
    }
    if (word != NULL && strcmp(word, "verify") == 0) {
        return command_with_store(cli, true, run_verify, why);
    }
    return why_set(why, ERR_USAGE, NULL, "audit ledger or verify");
}

/* ---- what operators do ---- */

const struct audit_action operator_actions[OPERATOR_ACTION_COUNT] = {
    [OPERATOR_MIGRATED] = {"store.migrated",
                           "The schema was moved; details have the versions before and after."},
    [OPERATOR_JOB_REPLAYED] = {"jobs.replayed",
                               "Dead jobs were queued again; details have their number."},
    [OPERATOR_JOB_CANCELLED] = {"jobs.cancelled",
                                "A queued job was cancelled, or a running one asked to end."},
    [OPERATOR_JOB_RETRIED] = {"jobs.retried", "A queued job was to run at once."},
    [OPERATOR_TX_CANCELLED] = {"tx.cancelled", "A transaction was cancelled, or its nonce was to "
                                               "be taken back."},
    [OPERATOR_TX_HURRIED] = {"tx.hurried", "A transaction was to be sent first, or with higher "
                                           "fees."},
};

static struct audit_table operator_table(void)
{
    return (struct audit_table){operator_actions, OPERATOR_ACTION_COUNT};
}

void audit_actions_reference(struct buf *out)
{
    const struct audit_table tables[] = {leasing_audit_table(),      relay_audit_table(),
                                         relay_checks_audit_table(), chain_audit_table(),
                                         chain_expect_audit_table(), ops_audit_table(),
                                         ops_jobs_audit_table(),     webhooks_audit_table(),
                                         auth_audit_table(),         jobs_audit_table(),
                                         operator_table(),           audit_own_table(),
                                         ops_reindex_audit_table(),  chain_reconcile_audit_table(),
                                         documents_audit_table(),    paywall_audit_table()};
    audit_reference(tables, sizeof(tables) / sizeof(tables[0]), out);
}

struct slice operator_name(struct arena *arena)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char *space = arena_alloc(arena, 4096);
    if (getpwuid_r(getuid(), &entry, space, 4096, &found) == 0 && found != NULL) {
        return slice_text(found->pw_name);
    }
    return slice_format(arena, "uid %u", (unsigned)getuid());
}

enum err operator_write(struct store_tx *tx, enum operator_action action, struct slice subject,
                        struct slice details, struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    const struct audit_entry entry = {
        .action = &operator_actions[action],
        .actor_kind = AUDIT_OPERATOR,
        .actor = operator_name(&scratch),
        .subject = subject,
        .details = details,
    };
    enum err e = audit_write(tx, &entry, why);
    arena_free(&scratch);
    return e;
}

/* ---- migrations ---- */

/* The migration that makes the table: before it there is nothing to write to. */
#define AUDIT_SINCE 10

struct moved {
    uint32_t from;
    uint32_t to;
};

static enum err write_moved(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct moved *m = ctx;
    char details[64];
    (void)snprintf(details, sizeof(details), "{\"from\":%u,\"to\":%u}", m->from, m->to);
    return operator_write(tx, OPERATOR_MIGRATED, SLICE_LIT("store/schema"), slice_text(details),
                          why);
}

enum err operator_migrate(struct store *store, uint32_t target, struct why *why)
{
    struct store_version before = {0};
    struct store_version after = {0};
    enum err e = store_version_read(store, &before, why);
    if (e == OK) {
        e = store_migrate(store, target, why);
    }
    if (e == OK) {
        e = store_version_read(store, &after, why);
    }
    if (e == OK && after.applied != before.applied && after.applied >= AUDIT_SINCE) {
        struct moved m = {before.applied, after.applied};
        e = store_write(store, write_moved, &m, why);
    }
    return e;
}
