/*
 * cmd_ledger.c: the ledger for people and programs: its proof, accounts, balances and entries.
 */
#include "app/commands.h"
#include "kernel/base/clock.h"
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

/* ---- ledger ---- */

#define ROWS_DEFAULT 200
#define ROWS_MAX 10000

/* What one `freehold ledger` asks for and gets. */
struct ledger_command {
    struct arena arena;
    struct slice book;
    struct slice path;
    struct slice after;
    uint64_t limit;
    struct ledger_accounts_ask ask;
    struct ledger_account_info *accounts;
    struct ledger_entry *entries;
    size_t count;
};

static enum err ask_accounts(struct store_tx *tx, void *ctx, struct why *why)
{
    struct ledger_command *c = ctx;
    return ledger_accounts(tx, &c->arena, &c->ask, &c->accounts, &c->count, why);
}

static enum err ask_balance(struct store_tx *tx, void *ctx, struct why *why)
{
    struct ledger_command *c = ctx;
    struct ledger_account_info info;
    enum err e = ledger_account_get(tx, c->book, c->path, &info, why);
    if (e == OK) {
        c->accounts = arena_alloc(&c->arena, sizeof info);
        *c->accounts = info;
        c->count = 1;
    }
    return e;
}

static enum err ask_entries(struct store_tx *tx, void *ctx, struct why *why)
{
    struct ledger_command *c = ctx;
    struct ledger_account_info info;
    enum err e = ledger_account_get(tx, c->book, c->path, &info, why);
    if (e == OK) {
        e = ledger_entries(tx, &c->arena, c->book, c->path, c->after, c->limit, &c->entries,
                           &c->count, why);
    }
    return e;
}

static void show_account(struct buf *b, const struct ledger_account_info *a)
{
    char available[U256_TEXT_MAX];
    char credits[U256_TEXT_MAX];
    char debits[U256_TEXT_MAX];
    char pending[U256_TEXT_MAX];
    u256_format(ledger_available(&a->balance), available);
    u256_format(a->balance.credits_posted, credits);
    u256_format(a->balance.debits_posted, debits);
    u256_format(a->balance.debits_pending, pending);
    buf_format(b, "%.*s  %.*s\n  available %s  credits %s  debits %s  held %s  entries %lld\n",
               SLICE_ARG(a->book), SLICE_ARG(a->path), available, credits, debits, pending,
               (long long)a->entries);
}

static void show_entry(struct buf *b, const struct ledger_command *c, const struct ledger_entry *e)
{
    char amount[U256_TEXT_MAX];
    char time[CLOCK_TEXT_MAX];
    bool gives = slice_equal(e->debit, c->path);
    u256_format(e->amount, amount);
    clock_format(e->created_usec, time);
    buf_format(b, "%s  %-7s  %c%s  %s %.*s  %.*s  %.*s\n", time, ledger_state_text(e->state),
               gives ? '-' : '+', amount, gives ? "to" : "from",
               SLICE_ARG(gives ? e->credit : e->debit), SLICE_ARG(e->kind), SLICE_ARG(e->id));
}

static void show_rows(const struct cli *cli, struct ledger_command *c)
{
    struct buf b;
    buf_init(&b, &c->arena, 4096);
    for (size_t i = 0; i < c->count; i++) {
        struct json_out j;
        json_out_init(&j, &b);
        if (c->entries != NULL) {
            if (cli->json) {
                ledger_entry_json(&j, &c->entries[i]);
            } else {
                show_entry(&b, c, &c->entries[i]);
            }
        } else if (cli->json) {
            ledger_account_json(&j, &c->accounts[i]);
        } else {
            show_account(&b, &c->accounts[i]);
        }
        if (cli->json) {
            buf_add_byte(&b, '\n');
        }
    }
    cli_print(buf_slice(&b));
}

static struct slice option_slice(const struct cli *cli, const char *name)
{
    const char *text = cli_option_value(cli, name);
    return text != NULL ? slice_text(text) : SLICE_EMPTY;
}

static enum err read_words(const struct cli *cli, struct ledger_command *c, store_fn *out,
                           struct why *why)
{
    const char *what = cli_word(cli, 0);
    const char *book = cli_word(cli, 1);
    const char *path = cli_word(cli, 2);
    const char *limit = cli_option_value(cli, "limit");
    c->limit = ROWS_DEFAULT;
    if (limit != NULL && (slice_parse_u64(slice_text(limit), &c->limit) != OK || c->limit == 0 ||
                          c->limit > ROWS_MAX)) {
        return why_set(why, ERR_USAGE, NULL, "--limit is a number from 1 to %d", ROWS_MAX);
    }
    c->after = option_slice(cli, "after");
    if (what != NULL && strcmp(what, "accounts") == 0 && path == NULL) {
        c->ask = (struct ledger_accounts_ask){.book = book != NULL ? slice_text(book) : SLICE_EMPTY,
                                              .prefix = option_slice(cli, "prefix"),
                                              .after_path = c->after,
                                              .limit = c->limit};
        c->ask.after_book = c->after.len > 0 ? c->ask.book : SLICE_EMPTY;
        if (c->after.len > 0 && book == NULL) {
            return why_set(why, ERR_USAGE, NULL, "--after needs the book: ledger accounts BOOK");
        }
        *out = ask_accounts;
        return OK;
    }
    bool balance = what != NULL && strcmp(what, "balance") == 0;
    bool entries = what != NULL && strcmp(what, "entries") == 0;
    if ((!balance && !entries) || path == NULL) {
        return why_set(why, ERR_USAGE, NULL,
                       "ledger accounts [BOOK], balance BOOK ACCOUNT, or entries BOOK ACCOUNT");
    }
    c->book = slice_text(book);
    c->path = slice_text(path);
    *out = balance ? ask_balance : ask_entries;
    return OK;
}

static enum err run_ledger(struct cli *cli, struct store *store, const struct settings *settings,
                           struct why *why)
{
    (void)settings;
    struct ledger_command c = {0};
    store_fn ask = NULL;
    arena_init(&c.arena, 0);
    enum err e = read_words(cli, &c, &ask, why);
    if (e == OK) {
        e = store_read(store, ask, &c, why);
    }
    if (e == OK) {
        show_rows(cli, &c);
    }
    arena_free(&c.arena);
    return e;
}

enum err command_ledger(struct cli *cli, struct why *why)
{
    return command_with_store(cli, true, run_ledger, why);
}
