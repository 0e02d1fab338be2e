#include "app/nodes.h"

enum err nodes_list(const char *urls, struct arena *arena,
                    struct rpc_endpoint out[RPC_ENDPOINTS_MAX], size_t *out_count, struct why *why)
{
    size_t count = 0;
    struct slice rest = slice_text(urls);
    while (rest.len > 0) {
        struct slice url;
        (void)slice_cut(rest, ',', &url, &rest);
        url = slice_trim(url);
        if (url.len == 0) {
            continue;
        }
        if (count == RPC_ENDPOINTS_MAX) {
            return why_set(why, ERR_CONFIG, "chain.rpc_urls", "at most %d endpoints",
                           RPC_ENDPOINTS_MAX);
        }
        if (!slice_starts(url, SLICE_LIT("http://")) && !slice_starts(url, SLICE_LIT("https://"))) {
            return why_set(why, ERR_CONFIG, "chain.rpc_urls",
                           "endpoint %zu of chain.rpc_urls does not start with http:// or https://",
                           count + 1);
        }
        out[count] = (struct rpc_endpoint){
            .url = slice_cstr(arena, url),
            .role = count == 0 ? RPC_PRIMARY : RPC_FALLBACK,
        };
        count++;
    }
    *out_count = count;
    return OK;
}
