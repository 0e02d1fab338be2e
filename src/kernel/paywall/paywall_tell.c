/*
 * paywall_tell.c: offers and receipts as clients are told. Clients of version 2 read headers, those
 * of version 1 the body of the 402: the envelope has what they look for beside its own members.
 */
#include "kernel/base/check.h"
#include "kernel/paywall/paywall_internal.h"

#define HEADER_START 1024

struct x402_offer paywall_offer_of(const struct paywall *p, const struct paywall_quote *quote)
{
    return (struct x402_offer){
        .chain_id = p->chain_id,
        .asset = p->asset,
        .pay_to = quote->pay_to,
        .amount = quote->amount,
        .timeout_seconds = (uint64_t)(p->config.timeout_usec / USEC_PER_SEC),
        .token_name = p->token_name,
        .token_version = p->token_version,
    };
}

struct x402_resource paywall_resource_of(const struct paywall *p, const struct http_call *call,
                                         struct slice target, struct slice description)
{
    struct slice base = slice_text(p->config.public_url);
    if (base.len == 0) {
        struct slice host = http_header(call, "Host");
        base = slice_format(call->req, "http://%.*s", SLICE_ARG(host));
    }
    bool slash = base.len > 0 && base.ptr[base.len - 1] == '/';
    return (struct x402_resource){
        .url = slice_format(call->req, "%.*s%.*s", (int)(base.len - (slash ? 1 : 0)),
                            (const char *)base.ptr, SLICE_ARG(target)),
        .description = description,
        .mime_type = SLICE_LIT("application/json"),
    };
}

static struct slice as_header(struct arena *arena, struct slice json)
{
    struct buf text;
    buf_init(&text, arena, json.len / 3 * 4 + 4);
    x402_base64_encode(&text, json);
    return buf_slice(&text);
}

void paywall_tell_offer(struct http_call *call, const struct paywall_passage *passage,
                        const char *code)
{
    struct buf v2;
    struct buf v1;
    struct json_out j;
    buf_init(&v2, call->req, HEADER_START);
    json_out_init(&j, &v2);
    x402_required_write(&j, X402_V2, code, &passage->resource, &passage->offer, 1);
    http_add_header(call, "PAYMENT-REQUIRED", as_header(call->req, buf_slice(&v2)));
    buf_init(&v1, call->req, HEADER_START);
    json_out_init(&j, &v1);
    x402_required_write(&j, X402_V1, NULL, &passage->resource, &passage->offer, 1);
    /* The members, without the braces around them. */
    call->members = slice_sub(buf_slice(&v1), 1, v1.len - 2);
    if (code != NULL) {
        struct json_out *details = http_details(call);
        json_begin_object(details);
        json_key(details, "reason");
        json_text(details, code);
        json_end_object(details);
    }
}

void paywall_tell_settlement(struct http_call *call, const struct paywall_passage *passage,
                             enum x402_reason reason, const struct hash *transaction)
{
    const struct x402_settlement settlement = {
        .reason = reason,
        .transaction = transaction,
        .chain_id = passage->offer.chain_id,
        .payer = &passage->key.payer,
    };
    struct buf text;
    struct json_out j;
    buf_init(&text, call->req, HEADER_START);
    json_out_init(&j, &text);
    x402_settlement_write(&j, passage->version, &settlement);
    http_add_header(call, passage->version == X402_V2 ? "PAYMENT-RESPONSE" : "X-PAYMENT-RESPONSE",
                    as_header(call->req, buf_slice(&text)));
}

void paywall_offer_write(const struct paywall *p, const struct http_call *call,
                         enum x402_version version, struct slice path,
                         const struct paywall_quote *quote, struct json_out *out)
{
    struct x402_offer offer = paywall_offer_of(p, quote);
    struct x402_resource resource = paywall_resource_of(p, call, path, quote->description);
    x402_required_write(out, version, NULL, &resource, &offer, 1);
}
