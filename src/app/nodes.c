#include "app/nodes.h"

struct list {
    struct arena *arena;
    struct rpc_endpoint *out;
    size_t count;
};

/* Adds the URLs of one setting. */
static enum err add_urls(struct list *l, const char *key, const char *urls, enum rpc_role role,
                         struct why *why)
{
    struct slice rest = slice_text(urls != NULL ? urls : "");
    for (size_t place = 1; rest.len > 0;) {
        struct slice url;
        (void)slice_cut(rest, ',', &url, &rest);
        url = slice_trim(url);
        if (url.len == 0) {
            continue;
        }
        if (l->count == RPC_ENDPOINTS_MAX) {
            return why_set(why, ERR_CONFIG, key, "at most %d endpoints", RPC_ENDPOINTS_MAX);
        }
        if (!slice_starts(url, SLICE_LIT("http://")) && !slice_starts(url, SLICE_LIT("https://"))) {
            return why_set(why, ERR_CONFIG, key,
                           "endpoint %zu of %s does not start with http:// or https://", place,
                           key);
        }
        l->out[l->count] = (struct rpc_endpoint){
            .url = slice_cstr(l->arena, url),
            .role = l->count == 0 && role == RPC_FALLBACK ? RPC_PRIMARY : role,
        };
        l->count++;
        place++;
    }
    return OK;
}

enum err nodes_list(const struct chain_config *config, struct arena *arena,
                    struct rpc_endpoint out[RPC_ENDPOINTS_MAX], size_t *out_count, struct why *why)
{
    struct list l = {.arena = arena, .out = out};
    enum err e = add_urls(&l, "chain.rpc_urls", config->rpc_urls, RPC_FALLBACK, why);
    if (e == OK) {
        e = add_urls(&l, "chain.rpc_backup_urls", config->rpc_backup_urls, RPC_BACKUP, why);
    }
    if (e == OK) {
        *out_count = l.count;
    }
    return e;
}
