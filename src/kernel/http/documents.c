/*
 * documents.c: the routes that tell about the routes.
 */
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/crypto/hash.h"
#include "kernel/http/openapi.h"

#define DOCUMENT_START (64 * 1024)
#define ETAG_DIGITS 32

static const char style[] =
    ":root{color-scheme:light dark}\n"
    "body{margin:0;font:16px/1.5 system-ui,sans-serif;display:grid;"
    "grid-template-columns:16rem minmax(0,1fr);grid-template-areas:\"h h\" \"n m\"}\n"
    "header{grid-area:h;padding:1rem 2rem;border-bottom:1px solid #8886}\n"
    "h1{font-size:1.5rem;margin:0}\n"
    "nav{grid-area:n;padding:1rem 1rem 2rem 2rem;font-size:.85rem;position:sticky;top:0;"
    "height:100vh;box-sizing:border-box;overflow:auto}\n"
    "nav h2{font-size:.85rem;margin:1rem 0 .25rem}\n"
    "nav ul{list-style:none;margin:0;padding:0}\n"
    "main{grid-area:m;padding:0 2rem 4rem}\n"
    "section>h2{margin:2rem 0 0;text-transform:capitalize}\n"
    "article{border-top:1px solid #8886;padding:.5rem 0;margin-top:1rem}\n"
    "h3{margin:.25rem 0;font-weight:400;font-size:1rem;overflow-wrap:anywhere}\n"
    "h3 b{display:inline-block;min-width:4rem}\n"
    "p{margin:.25rem 0;max-width:70ch}\n"
    "dl{display:grid;grid-template-columns:6rem minmax(0,1fr);margin:.5rem 0;font-size:.9rem}\n"
    "dd{margin:0;overflow-wrap:anywhere}\n"
    "dt{opacity:.7}\n"
    "pre{margin:.25rem 0;padding:.75rem;overflow:auto;background:#8881;font-size:.85rem}\n"
    "pre i{opacity:.65}\n"
    "summary{cursor:pointer;font-size:.9rem}\n"
    "table{border-collapse:collapse;font-size:.9rem}\n"
    "td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}\n"
    "a{color:LinkText}\n"
    "@media(max-width:50rem){body{display:block}nav{position:static;height:auto}}\n";

static void finish(struct http_document *d, struct slice body, const char *content_type,
                   struct arena *boot)
{
    struct hash hash = sha256(body);
    char *text = arena_alloc(boot, 2 * HASH_BYTES + 3);
    hex_encode_to(hash_slice(&hash), text);
    *d = (struct http_document){
        .body = body,
        .etag = slice_of(text + 2, ETAG_DIGITS), /* without 0x */
        .content_type = content_type,
    };
}

void http_documents_init(struct http_documents *documents, const struct http_table *tables,
                         size_t table_count, const struct http_about *about, struct arena *boot)
{
    struct arena scratch;
    struct buf openapi;
    struct buf page;
    arena_init(&scratch, 0);
    buf_init(&openapi, &scratch, DOCUMENT_START);
    buf_init(&page, &scratch, DOCUMENT_START);
    http_openapi_write(tables, table_count, about, &openapi);
    http_page_write(tables, table_count, about, &scratch, &page);
    finish(&documents->openapi, slice_copy(boot, buf_slice(&openapi)), "application/json", boot);
    finish(&documents->page, slice_copy(boot, buf_slice(&page)), "text/html; charset=utf-8", boot);
    finish(&documents->style, slice_text(style), "text/css; charset=utf-8", boot);
    arena_free(&scratch);
}

/* ---- routes -------------------------------------------------------------------------------------
 */

static enum err give(struct http_call *call, const struct http_document *d)
{
    buf_add_slice(call->raw, d->body);
    call->content_type = d->content_type;
    call->etag = d->etag;
    return OK;
}

static enum err give_openapi(struct http_call *call, struct why *why)
{
    (void)why;
    const struct http_documents *documents = call->ctx;
    return give(call, &documents->openapi);
}

static enum err give_page(struct http_call *call, struct why *why)
{
    (void)why;
    const struct http_documents *documents = call->ctx;
    return give(call, &documents->page);
}

static enum err give_style(struct http_call *call, struct why *why)
{
    (void)why;
    const struct http_documents *documents = call->ctx;
    return give(call, &documents->style);
}

static const char openapi_schema[] =
    "{\"type\":\"object\",\"required\":[\"openapi\",\"info\",\"paths\"],\"properties\":{"
    "\"openapi\":{\"const\":\"3.1.0\"},\"info\":{\"type\":\"object\"},"
    "\"paths\":{\"type\":\"object\"}},\"additionalProperties\":true}";

static const char *const openapi_aliases[] = {"/api/v1/openapi.json", NULL};

static const struct http_route routes[] = {
    {
        .method = HTTP_GET,
        .path = "/openapi.json",
        .aliases = openapi_aliases,
        .handler = give_openapi,
        .flags = HTTP_RAW | HTTP_NO_STORE,
        .tag = "documentation",
        .operation = "getOpenapi",
        .summary = "This API as an OpenAPI 3.1 document.",
        .reply_schema = openapi_schema,
        .reply_status = 200,
    },
    {
        .method = HTTP_GET,
        .path = "/docs",
        .handler = give_page,
        .flags = HTTP_RAW | HTTP_NO_STORE,
        .tag = "documentation",
        .operation = "getDocs",
        .summary = "This API as a page for people.",
        .reply_status = 200,
        .reply_type = "text/html",
    },
    {
        .method = HTTP_GET,
        .path = "/docs.css",
        .handler = give_style,
        .flags = HTTP_RAW | HTTP_NO_STORE,
        .tag = "documentation",
        .operation = "getDocsStyle",
        .summary = "The style sheet of the page.",
        .reply_status = 200,
        .reply_type = "text/css",
    },
};

struct http_table http_documents_table(struct http_documents *documents)
{
    return (struct http_table){
        .routes = routes, .count = sizeof routes / sizeof routes[0], .ctx = documents};
}
