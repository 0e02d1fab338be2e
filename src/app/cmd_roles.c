/*
 * cmd_roles.c: freehold roles: roles of wallets from the command line, on the database itself, so
 * that the first admin needs no other.
 */
#include "app/cmd_audit.h"
#include "app/commands.h"
#include "kernel/auth/auth_session.h"

#define PAGE 200

struct roles {
    struct cli *cli;
    struct arena arena;
    struct buf out;
    struct address after;
    struct auth_wallet *wallets;
    size_t count;
    struct auth_wallet one;
    unsigned role;
    bool granted;
};

static void show(struct roles *r, const struct auth_wallet *wallet)
{
    char address[ADDRESS_TEXT_MAX];
    if (r->cli->json) {
        struct json_out j;
        json_out_init(&j, &r->out);
        auth_wallet_json(&j, wallet);
        buf_add_byte(&r->out, '\n');
        return;
    }
    struct slice roles = http_roles_text(&r->arena, wallet->roles);
    address_format(&wallet->address, address);
    buf_format(&r->out, "%s  %.*s\n", address, SLICE_ARG(roles));
}

static enum err set_tx(struct store_tx *tx, void *ctx, struct why *why)
{
    struct roles *r = ctx;
    const struct audit_entry by = {.actor_kind = AUDIT_OPERATOR, .actor = operator_name(&r->arena)};
    enum err e = auth_role_set(tx, &r->one.address, r->role, r->granted, by, why);
    return e == OK ? auth_roles_get(tx, &r->one.address, &r->one.roles, why) : e;
}

static enum err set(struct roles *r, struct store *store, struct why *why)
{
    enum err e = address_parse(slice_text(cli_word(r->cli, 1)), &r->one.address);
    if (e != OK) {
        return why_set(why, e, "address", "%s", err_sentence(e));
    }
    r->role = http_role_parse(slice_text(cli_word(r->cli, 2)));
    if (r->role == 0) {
        return why_set(why, ERR_INVALID_FIELD, "role",
                       "a role is one of admin, issuer, operator, investor and service");
    }
    e = store_write(store, set_tx, r, why);
    if (e == OK) {
        show(r, &r->one);
    }
    return e;
}

static enum err read_page(struct store_tx *tx, void *ctx, struct why *why)
{
    struct roles *r = ctx;
    return auth_wallets_list(tx, &r->arena, &r->after, PAGE, &r->wallets, &r->count, why);
}

static enum err list(struct roles *r, struct store *store, struct why *why)
{
    enum err e;
    do {
        e = store_read(store, read_page, r, why);
        for (size_t i = 0; e == OK && i < r->count; i++) {
            show(r, &r->wallets[i]);
            r->after = r->wallets[i].address;
        }
    } while (e == OK && r->count == PAGE);
    return e;
}

static enum err run(struct cli *cli, struct store *store, const struct settings *settings,
                    struct why *why)
{
    (void)settings;
    struct roles r = {.cli = cli};
    const char *word = cli_word(cli, 0);
    r.granted = strcmp(word, "grant") == 0;
    arena_init(&r.arena, 0);
    buf_init(&r.out, &r.arena, 1024);
    enum err e = strcmp(word, "list") == 0 ? list(&r, store, why) : set(&r, store, why);
    if (e == OK) {
        cli_print(buf_slice(&r.out));
    }
    arena_free(&r.arena);
    return e;
}

enum err command_roles(struct cli *cli, struct why *why)
{
    const char *word = cli_word(cli, 0);
    if (word != NULL && strcmp(word, "list") == 0 && cli_word(cli, 1) == NULL) {
        return command_with_store(cli, true, run, why);
    }
    if (word != NULL && (strcmp(word, "grant") == 0 || strcmp(word, "revoke") == 0) &&
        cli_word(cli, 1) != NULL && cli_word(cli, 2) != NULL && cli_word(cli, 3) == NULL) {
        return command_beside(cli, run, why);
    }
    return why_set(why, ERR_USAGE, NULL, "roles grant ADDRESS ROLE, revoke ADDRESS ROLE, or list");
}
