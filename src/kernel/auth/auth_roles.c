/*
 * auth_roles.c: roles of wallets.
 */
#include "kernel/auth/auth_internal.h"
#include "kernel/auth/auth_sql.h"
#include "kernel/base/check.h"

enum err auth_roles_get(struct store_tx *tx, const struct address *address, unsigned *out,
                        struct why *why)
{
    struct store_query q;
    unsigned roles = 0;
    store_begin(&q, tx, &auth_sql_roles_of);
    store_bind_bytes(&q, "address", address_slice(address));
    if (store_step(&q)) {
        roles = (unsigned)store_get_i64(&q, "roles");
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = roles | HTTP_ROLE_INVESTOR;
    }
    return e;
}

static enum err grant(struct store_tx *tx, const struct address *address, unsigned role,
                      struct slice by, int64_t *out_changed, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &auth_sql_role_grant);
    store_bind_bytes(&q, "address", address_slice(address));
    store_bind_i64(&q, "role", role);
    store_bind_text(&q, "granted_by", by);
    store_bind_time(&q, "now", clock_wall_usec());
    return store_finish(&q, out_changed, why);
}

static enum err take_back(struct store_tx *tx, const struct address *address, unsigned role,
                          int64_t *out_changed, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &auth_sql_role_take);
    store_bind_bytes(&q, "address", address_slice(address));
    store_bind_i64(&q, "role", role);
    return store_finish(&q, out_changed, why);
}

enum err auth_role_set(struct store_tx *tx, const struct address *address, unsigned role,
                       bool granted, struct audit_entry by, struct why *why)
{
    int64_t changed = 0;
    enum err e = granted ? grant(tx, address, role, by.actor, &changed, why)
                         : take_back(tx, address, role, &changed, why);
    if (e != OK || changed == 0) {
        return e;
    }
    struct arena scratch;
    char text[ADDRESS_TEXT_MAX];
    arena_init(&scratch, 0);
    address_format(address, text);
    by.action = &auth_actions[granted ? AUTH_ROLE_GRANTED : AUTH_ROLE_TAKEN];
    by.subject = slice_format(&scratch, "wallet/%s", text);
    by.details =
        slice_format(&scratch, "{\"role\":\"%.*s\"}", SLICE_ARG(http_roles_text(&scratch, role)));
    e = audit_write(tx, &by, why);
    arena_free(&scratch);
    return e;
}

enum err auth_wallets_list(struct store_tx *tx, struct arena *arena, const struct address *after,
                           uint32_t limit, struct auth_wallet **out, size_t *out_count,
                           struct why *why)
{
    struct auth_wallet *wallets = arena_alloc_array(arena, limit, sizeof *wallets);
    size_t count = 0;
    struct store_query q;
    store_begin(&q, tx, &auth_sql_roles_list);
    store_bind_bytes(&q, "after_address", address_slice(after));
    store_bind_i64(&q, "max_rows", limit);
    while (store_step(&q)) {
        ASSERT(count < limit);
        struct auth_wallet *wallet = &wallets[count++];
        store_get_fixed(&q, "address", wallet->address.bytes, ADDRESS_BYTES);
        wallet->roles = (unsigned)store_get_i64(&q, "roles") | HTTP_ROLE_INVESTOR;
    }
    enum err e = store_finish(&q, NULL, why);
    if (e == OK) {
        *out = wallets;
        *out_count = count;
    }
    return e;
}

void auth_wallet_json(struct json_out *j, const struct auth_wallet *wallet)
{
    json_begin_object(j);
    json_key(j, "address");
    json_address(j, &wallet->address);
    json_key(j, "roles");
    auth_roles_json(j, wallet->roles);
    json_end_object(j);
}
