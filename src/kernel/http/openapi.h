/*
 * openapi.h: what the route rows say, told to programs and to people: an OpenAPI 3.1 document and a
 * page.
 *
 * Both are written from the rows and from the table of errors and from nothing else, so they cannot
 * say what the program does not do: the router reads the same rows, and the API tests hold every
 * answer against the document (tests/support/openapi.mjs). They are pure functions: the same rows
 * give the same bytes. docs/reference/openapi.json is that document, checked in; sdk/typescript is
 * generated from it.
 *
 * What the document says of a row
 *   path, and parameters that are whole segments; `query_keys`, and limit, cursor and offset of a
 *   list; Idempotency-Key of a POST; the body by `body_schema`; success by `reply_schema`, in the
 *   envelope unless HTTP_RAW, with the headers that it has; 304 of a GET; failures by `errors` and
 * by what the server itself refuses (a row of `general` in codes.c), one response a status, with
 *   the codes that it can have. Equal schemas and equal refusals are written once, as components.
 *   x-roles     who may call it besides admins; x-operators: true, with HTTP_OPERATOR
 *   x-aliases   other paths of the same operation
 *   x-list      true, with HTTP_LIST
 *   x-errors    (of the document) each code with its status and whether to try again
 *
 * The page needs no script: one section a tag, one block an operation, types written as TypeScript
 * does. It has its style sheet beside it, as the policy of pages (http_answer_policy) takes no
 * other.
 *
 * struct http_documents has both and the style sheet, written once at the start and given as they
 * are from then on; handlers only read them, on any thread.
 */
#ifndef KERNEL_HTTP_OPENAPI_H
#define KERNEL_HTTP_OPENAPI_H

#include "kernel/http/http.h"

struct http_about {
    const char *title;
    const char *version;
    const char *summary;
    const char *license; /* SPDX */
};

/* http_openapi_write appends the OpenAPI document of the routes, as JSON. */
void http_openapi_write(const struct http_table *tables, size_t table_count,
                        const struct http_about *about, struct buf *out);

/*
 * http_page_write appends the page about the routes, as HTML. `scratch` is emptied by no one here.
 * Schemas that are no JSON are a bug (ASSERT).
 */
void http_page_write(const struct http_table *tables, size_t table_count,
                     const struct http_about *about, struct arena *scratch, struct buf *out);

struct http_document {
    struct slice body;
    struct slice etag;
    const char *content_type;
};

struct http_documents {
    struct http_document openapi;
    struct http_document page;
    struct http_document style;
};

/*
 * http_documents_init writes the documents. The routes of http_documents_table should be among the
 * tables. Owns: `boot` has the texts.
 */
void http_documents_init(struct http_documents *documents, const struct http_table *tables,
                         size_t table_count, const struct http_about *about, struct arena *boot);

/*
 * http_documents_table makes the routes /openapi.json, /docs and /docs.css; `documents` must be
 * initialised before the first request and outlive the server.
 */
struct http_table http_documents_table(struct http_documents *documents);

#endif
