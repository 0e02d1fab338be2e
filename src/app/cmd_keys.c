/*
 * cmd_keys.c: freehold keys: API keys from the command line, on the database itself, so that the
 * first key needs no key.
 */
#include "app/cmd_audit.h"
#include "app/commands.h"
#include "kernel/auth/auth_session.h"

#define PAGE 200

struct keys {
    struct cli *cli;
    struct arena arena;
    struct buf out;
    struct slice after;
    struct auth_key *keys;
    size_t count;
    struct auth_key one;
};

static struct audit_entry operator_entry(struct arena *arena)
{
    return (struct audit_entry){.actor_kind = AUDIT_OPERATOR, .actor = operator_name(arena)};
}

static void show(struct keys *k, const struct auth_key *key, const char *text)
{
    if (k->cli->json) {
        struct json_out j;
        json_out_init(&j, &k->out);
        auth_key_json(&j, key, text);
        buf_add_byte(&k->out, '\n');
        return;
    }
    struct slice roles = http_roles_text(&k->arena, key->roles);
    const char *state = key->revoked_usec != 0                   ? "revoked"
                        : key->expires_usec <= clock_wall_usec() ? "expired"
                                                                 : "live";
    buf_format(&k->out, "%.*s  %-7s  %.*s  %.*s\n", SLICE_ARG(key->id), state, SLICE_ARG(roles),
               SLICE_ARG(key->name));
    if (text != NULL) {
        buf_format(&k->out, "%s\nThis is the key; it is not shown again.\n", text);
    }
}

static enum err create(struct keys *k, struct store *store, struct why *why)
{
    const char *name = cli_word(k->cli, 1);
    const char *roles_text = cli_option_value(k->cli, "roles");
    const char *days_text = cli_option_value(k->cli, "days");
    struct auth_issue issue;
    unsigned roles = 0;
    uint64_t days = AUTH_DAYS_DEFAULT;
    if (name == NULL || roles_text == NULL || cli_word(k->cli, 2) != NULL ||
        (days_text != NULL && slice_parse_u64(slice_text(days_text), &days) != OK)) {
        return why_set(why, ERR_USAGE, NULL, "keys create NAME --roles ROLES [--days N]");
    }
    enum err e = auth_roles_parse(slice_text(roles_text), &roles, why);
    if (e == OK) {
        e = auth_issue_init(&issue, slice_text(name), roles, days, why);
    }
    if (e != OK) {
        return e;
    }
    issue.by = operator_entry(&k->arena);
    e = store_write(store, auth_issue_write, &issue, why);
    if (e == OK) {
        show(k, &issue.key, issue.text);
        cli_print(buf_slice(&k->out));
        mem_wipe(k->out.ptr, k->out.len);
        k->out.len = 0;
    }
    auth_issue_clear(&issue);
    return e;
}

static enum err read_page(struct store_tx *tx, void *ctx, struct why *why)
{
    struct keys *k = ctx;
    return auth_keys_list(tx, &k->arena, k->after, PAGE, &k->keys, &k->count, why);
}

static enum err list(struct keys *k, struct store *store, struct why *why)
{
    enum err e;
    do {
        e = store_read(store, read_page, k, why);
        for (size_t i = 0; e == OK && i < k->count; i++) {
            show(k, &k->keys[i], NULL);
            k->after = k->keys[i].id;
        }
    } while (e == OK && k->count == PAGE);
    return e;
}

static enum err revoke_one(struct store_tx *tx, void *ctx, struct why *why)
{
    struct keys *k = ctx;
    return auth_key_revoke(tx, &k->arena, slice_text(cli_word(k->cli, 1)),
                           operator_entry(&k->arena), &k->one, why);
}

static enum err revoke(struct keys *k, struct store *store, struct why *why)
{
    enum err e = store_write(store, revoke_one, k, why);
    if (e == OK) {
        show(k, &k->one, NULL);
    }
    return e;
}

struct rotation {
    struct arena *arena;
    int64_t count;
};

static enum err rotate_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct rotation *r = ctx;
    return auth_keys_rotate(tx, operator_entry(r->arena), &r->count, why);
}

/* Keys of callers are not touched: those that sign access tokens are ended. */
static enum err rotate(struct keys *k, struct store *store, struct why *why)
{
    struct rotation r = {.arena = &k->arena};
    enum err e = store_write(store, rotate_tx, &r, why);
    if (e == OK) {
        buf_format(&k->out,
                   k->cli->json ? "{\"ended\":%lld}\n"
                                : "%lld signing keys ended; each process makes its next one.\n",
                   (long long)r.count);
    }
    return e;
}

static enum err run(struct cli *cli, struct store *store, const struct settings *settings,
                    struct why *why)
{
    (void)settings;
    struct keys k = {.cli = cli};
    struct slice word = slice_text(cli_word(cli, 0));
    arena_init(&k.arena, 0);
    buf_init(&k.out, &k.arena, 1024);
    enum err e = slice_equal_text(word, "create")   ? create(&k, store, why)
                 : slice_equal_text(word, "list")   ? list(&k, store, why)
                 : slice_equal_text(word, "rotate") ? rotate(&k, store, why)
                                                    : revoke(&k, store, why);
    if (e == OK) {
        cli_print(buf_slice(&k.out));
    }
    arena_free(&k.arena);
    return e;
}

enum err command_keys(struct cli *cli, struct why *why)
{
    const char *word = cli_word(cli, 0);
    if (word != NULL && strcmp(word, "list") == 0 && cli_word(cli, 1) == NULL) {
        return command_with_store(cli, true, run, why);
    }
    if (word != NULL && strcmp(word, "rotate") == 0 && cli_word(cli, 1) == NULL) {
        return command_beside(cli, run, why);
    }
    if (word != NULL && (strcmp(word, "create") == 0 || strcmp(word, "revoke") == 0) &&
        cli_word(cli, 1) != NULL) {
        return command_beside(cli, run, why);
    }
    return why_set(why, ERR_USAGE, NULL, "keys create NAME, list, revoke ID, or rotate");
}
