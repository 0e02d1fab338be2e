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

enum err nodes_streams(const struct chain_config *config, struct arena *arena,
                       const char *out[RPC_ENDPOINTS_MAX], size_t *out_count, struct why *why)
{
    struct slice rest = slice_text(config->ws_urls != NULL ? config->ws_urls : "");
    size_t count = 0;
    while (rest.len > 0) {
        struct slice url;
        (void)slice_cut(rest, ',', &url, &rest);
        url = slice_trim(url);
        if (url.len == 0) {
            continue;
        }
        if (count == RPC_ENDPOINTS_MAX) {
            return why_set(why, ERR_CONFIG, "chain.ws_urls", "at most %d endpoints",
                           RPC_ENDPOINTS_MAX);
        }
        if (!slice_starts(url, SLICE_LIT("ws://")) && !slice_starts(url, SLICE_LIT("wss://"))) {
            return why_set(why, ERR_CONFIG, "chain.ws_urls",
                           "endpoint %zu of chain.ws_urls does not start with ws:// or wss://",
                           count + 1);
        }
        out[count++] = slice_cstr(arena, url);
    }
    *out_count = count;
    return OK;
}

static enum err make_pool(const struct chain_config *config, bool measured, struct arena *arena,
                          struct rpc_pool **out, struct why *why)
{
    struct rpc_endpoint endpoints[RPC_ENDPOINTS_MAX];
    size_t count = 0;
    enum err e = nodes_list(config, arena, endpoints, &count, why);
    if (e != OK) {
        return e;
    }
    if (count == 0) {
        return why_set(why, ERR_CONFIG, "chain.rpc_urls", "chain.rpc_urls names no node");
    }
    if (config->quorum > count) {
        return why_set(why, ERR_CONFIG, "chain.quorum",
                       "chain.quorum asks for %llu nodes to agree, and %zu are configured",
                       (unsigned long long)config->quorum, count);
    }
    const struct rpc_options options = {
        .chain_id = config->chain_id,
        .endpoints = endpoints,
        .endpoint_count = count,
        .timeout_usec = config->rpc_timeout_usec,
        .attempts_max = 4,
        .batch_max = 100,
        .answer_bytes_max = config->rpc_answer_max,
        .rate_max = (uint32_t)config->rpc_rate,
        .hedge_percent = (uint32_t)config->rpc_hedge,
        .quorum = (uint32_t)config->quorum,
        .trusted = chain_verify_of(config) == CHAIN_VERIFY_TRUSTED,
        .measured = measured,
    };
    *out = rpc_pool_new(&options);
    return OK;
}

enum err nodes_pool(const struct chain_config *config, bool measured, struct rpc_pool **out,
                    struct why *why)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    enum err e = make_pool(config, measured, &scratch, out, why);
    arena_free(&scratch);
    return e;
}
