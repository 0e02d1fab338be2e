/* What clients are told: challenges and receipts, in both versions. */
#include <inttypes.h>
#include <stdio.h>

#include "kernel/base/check.h"
#include "kernel/x402/x402.h"

/* Names of version 1; chains without one are written as in version 2. */
static const struct network_row {
    uint64_t chain_id;
    const char *name;
} network_rows[] = {
    {8453, "base"},   {84532, "base-sepolia"}, {43114, "avalanche"}, {43113, "avalanche-fuji"},
    {137, "polygon"}, {80002, "polygon-amoy"},
};

void x402_network_format(enum x402_version version, uint64_t chain_id, char out[X402_NETWORK_MAX])
{
    for (size_t i = 0; i < sizeof(network_rows) / sizeof(network_rows[0]); i++) {
        if (version == X402_V1 && network_rows[i].chain_id == chain_id) {
            (void)snprintf(out, X402_NETWORK_MAX, "%s", network_rows[i].name);
            return;
        }
    }
    int len = snprintf(out, X402_NETWORK_MAX, "eip155:%" PRIu64, chain_id);
    ASSERT(len > 0 && len < X402_NETWORK_MAX);
}

static void network_write(struct json_out *j, enum x402_version version, uint64_t chain_id)
{
    char network[X402_NETWORK_MAX];
    x402_network_format(version, chain_id, network);
    json_key(j, "network");
    json_text(j, network);
}

/* resource_write writes the members that describe what is sold, "" ones too where `all`. */
static void resource_write(struct json_out *j, const struct x402_resource *r, bool all)
{
    if (all || r->description.len > 0) {
        json_key(j, "description");
        json_string(j, r->description);
    }
    if (all || r->mime_type.len > 0) {
        json_key(j, "mimeType");
        json_string(j, r->mime_type);
    }
}

static void offer_write(struct json_out *j, enum x402_version version,
                        const struct x402_resource *resource, const struct x402_offer *o)
{
    json_begin_object(j);
    json_key(j, "scheme");
    json_text(j, "exact");
    network_write(j, version, o->chain_id);
    json_key(j, version == X402_V1 ? "maxAmountRequired" : "amount");
    json_u256(j, o->amount);
    if (version == X402_V1) {
        json_key(j, "resource");
        json_string(j, resource->url);
        resource_write(j, resource, true);
    }
    json_key(j, "asset");
    json_address(j, &o->asset);
    json_key(j, "payTo");
    json_address(j, &o->pay_to);
    json_key(j, "maxTimeoutSeconds");
    json_u64(j, o->timeout_seconds);
    json_key(j, "extra");
    json_begin_object(j);
    json_key(j, "name");
    json_string(j, o->token_name);
    json_key(j, "version");
    json_string(j, o->token_version);
    json_end_object(j);
    json_end_object(j);
}

void x402_offers_write(struct json_out *j, enum x402_version version,
                       const struct x402_resource *resource, const struct x402_offer *offers,
                       size_t count)
{
    json_begin_array(j);
    for (size_t i = 0; i < count; i++) {
        offer_write(j, version, resource, &offers[i]);
    }
    json_end_array(j);
}

void x402_required_write(struct json_out *j, enum x402_version version, const char *error,
                         const struct x402_resource *resource, const struct x402_offer *offers,
                         size_t count)
{
    json_begin_object(j);
    json_key(j, "x402Version");
    json_u64(j, (uint64_t)version);
    if (error != NULL) {
        json_key(j, "error");
        json_text(j, error);
    }
    if (version == X402_V2) {
        json_key(j, "resource");
        json_begin_object(j);
        json_key(j, "url");
        json_string(j, resource->url);
        resource_write(j, resource, false);
        json_end_object(j);
    }
    json_key(j, "accepts");
    x402_offers_write(j, version, resource, offers, count);
    json_end_object(j);
}

void x402_settlement_write(struct json_out *j, enum x402_version version,
                           const struct x402_settlement *s)
{
    json_begin_object(j);
    json_key(j, "success");
    json_bool(j, s->reason == X402_OK);
    if (s->reason != X402_OK) {
        json_key(j, "errorReason");
        json_text(j, x402_reason_code(s->reason));
    }
    json_key(j, "transaction");
    if (s->transaction != NULL) {
        json_hex(j, hash_slice(s->transaction));
    } else {
        json_text(j, "");
    }
    network_write(j, version, s->chain_id);
    if (s->payer != NULL) {
        json_key(j, "payer");
        json_address(j, s->payer);
    }
    json_end_object(j);
}
