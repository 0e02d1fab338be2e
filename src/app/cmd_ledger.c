/*
 * cmd_ledger.c: the proof of the ledger for people and programs.
 */
#include "app/commands.h"
#include "kernel/base/hex.h"
#include "kernel/ledger/ledger.h"

/* ---- audit ledger ---- */

struct proof {
    bool json;
    struct arena arena;
    struct buf books; /* as they are shown */
    struct json_out j;
    struct ledger_report report;
};

static void show_book(struct proof *p, const struct ledger_book *b)
{
    const struct {
        const char *key;
        const char *text;
        struct ledger_wide value;
    } sums[] = {
        {"debitsPosted", "debits posted", b->debits_posted},
        {"creditsPosted", "credits posted", b->credits_posted},
        {"debitsPending", "debits pending", b->debits_pending},
        {"creditsPending", "credits pending", b->credits_pending},
    };
    if (p->json) {
        json_begin_object(&p->j);
        json_key(&p->j, "book");
        json_string(&p->j, b->book);
        json_key(&p->j, "accounts");
        json_u64(&p->j, b->accounts);
    } else {
        buf_format(&p->books, "%.*s, %llu accounts\n", SLICE_ARG(b->book),
                   (unsigned long long)b->accounts);
    }
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        char digits[LEDGER_WIDE_TEXT_MAX];
        ledger_wide_format(sums[i].value, digits);
        if (p->json) {
            json_key(&p->j, sums[i].key);
            json_text(&p->j, digits);
        } else {
            buf_format(&p->books, "  %-16s %s\n", sums[i].text, digits);
        }
    }
    if (p->json) {
        json_end_object(&p->j);
    }
}

static void on_book(void *ctx, const struct ledger_book *book)
{
    show_book(ctx, book);
}

/* May run again, when the connection was lost: what was shown before is forgotten. */
static enum err prove(struct store_tx *tx, void *ctx, struct why *why)
{
    struct proof *p = ctx;
    arena_clear(&p->arena);
    buf_init(&p->books, &p->arena, 1024);
    json_out_init(&p->j, &p->books);
    if (p->json) {
        json_begin_object(&p->j);
        json_key(&p->j, "books");
        json_begin_array(&p->j);
    }
    return ledger_audit(tx, on_book, p, &p->report, why);
}

static void digest_text(const struct ledger_report *r, char out[2 * HASH_BYTES + 3])
{
    hex_encode_to(hash_slice(&r->digest), out);
}

static void end_json(struct proof *p)
{
    const struct ledger_report *r = &p->report;
    struct json_out *j = &p->j;
    char digest[2 * HASH_BYTES + 3];
    digest_text(r, digest);
    json_end_array(j);
    json_key(j, "success");
    json_bool(j, r->first == LEDGER_SOUND);
    json_key(j, "accounts");
    json_u64(j, r->accounts);
    json_key(j, "transfers");
    json_u64(j, r->transfers);
    json_key(j, "entries");
    json_u64(j, r->entries);
    json_key(j, "digest");
    json_text(j, digest);
    json_key(j, "found");
    json_begin_object(j);
    for (int f = LEDGER_SOUND + 1; f < LEDGER_FINDINGS; f++) {
        json_key(j, ledger_finding_name((enum ledger_finding)f));
        json_u64(j, r->found[f]);
    }
    json_end_object(j);
    json_key(j, "first");
    if (r->first == LEDGER_SOUND) {
        json_null(j);
    } else {
        json_begin_object(j);
        json_key(j, "finding");
        json_text(j, ledger_finding_name(r->first));
        json_key(j, "book");
        json_text(j, r->first_book);
        json_key(j, "account");
        json_text(j, r->first_path);
        json_key(j, "transfer");
        json_text(j, r->first_id);
        json_end_object(j);
    }
    json_end_object(j);
    buf_add_byte(&p->books, '\n');
}

static void end_text(struct proof *p)
{
    const struct ledger_report *r = &p->report;
    char digest[2 * HASH_BYTES + 3];
    digest_text(r, digest);
    for (int f = LEDGER_SOUND + 1; f < LEDGER_FINDINGS; f++) {
        if (r->found[f] > 0) {
            buf_format(&p->books, "found %llu %s\n", (unsigned long long)r->found[f],
                       ledger_finding_text((enum ledger_finding)f));
        }
    }
    if (r->first != LEDGER_SOUND) {
        bool account = r->first_path[0] != '\0';
        bool transfer = r->first_id[0] != '\0';
        buf_format(&p->books, "the first: %s%s in book %s\n",
                   transfer ? "transfer " : (account ? "account " : "sums"),
                   transfer ? r->first_id : r->first_path, r->first_book);
    }
    buf_format(&p->books,
               "%s: %llu books, %llu accounts, %llu transfers, %llu entries\ndigest %s\n",
               r->first == LEDGER_SOUND ? "Proven" : "BROKEN", (unsigned long long)r->books,
               (unsigned long long)r->accounts, (unsigned long long)r->transfers,
               (unsigned long long)r->entries, digest);
}

static enum err run_audit_ledger(struct cli *cli, struct store *store,
                                 const struct settings *settings, struct why *why)
{
    (void)settings;
    struct proof p = {.json = cli->json};
    arena_init(&p.arena, 0);
    enum err e = store_read(store, prove, &p, why);
    if (e == OK) {
        (cli->json ? end_json : end_text)(&p);
        cli_print(buf_slice(&p.books));
        if (p.report.first != LEDGER_SOUND) {
            e = why_set(why, ERR_CORRUPT, NULL,
                        "the ledger is not what its transfers say it should be");
        }
    }
    arena_free(&p.arena);
    return e;
}

enum err command_audit_ledger(struct cli *cli, struct why *why)
{
    return command_with_store(cli, true, run_audit_ledger, why);
}
