/*
 * documents_api.c: documents and what they belong to, over HTTP.
 */
#include <unistd.h>

#include "kernel/base/hex.h"
#include "kernel/documents/documents_internal.h"
#include "kernel/documents/documents_sql.h"

/* ---- writing ---- */

static void key_text(struct json_out *j, const char *key, struct slice text)
{
    json_key(j, key);
    json_string(j, text);
}

static void key_time(struct json_out *j, const char *key, int64_t usec)
{
    json_key(j, key);
    json_time(j, usec);
}

void documents_json(struct json_out *j, const struct document *doc)
{
    key_text(j, "documentId", doc->id);
    key_text(j, "filename", doc->filename);
    key_text(j, "documentType", doc->type);
    key_text(j, "contentType", doc->content_type);
    json_key(j, "size");
    json_u64(j, doc->size);
    json_key(j, "hash");
    json_hex(j, hash_slice(&doc->hash));
    key_text(j, "cid", doc->cid);
    key_text(j, "state", doc->state);
    key_text(j, "uploadedBy", doc->uploaded_by);
    key_time(j, "uploadedAt", doc->created_usec);
    key_time(j, "verifiedAt", doc->verified_usec);
    key_time(j, "checkedAt", doc->checked_usec);
}

/* ---- one document ---- */

struct link {
    struct slice kind;
    struct slice subject;
    struct slice description;
    struct link *next;
};

struct one {
    struct http_call *call;
    struct documents *d;
    struct document doc;
    struct slice kind; /* of the link that changes */
    struct slice subject;
    struct link *links;
};

static enum err read_links(struct store_tx *tx, struct one *one, struct why *why)
{
    struct arena *req = one->call->req;
    struct link **end = &one->links;
    struct store_query q;
    one->links = NULL;
    store_begin(&q, tx, &documents_sql_links);
    store_bind_text(&q, "document_id", one->doc.id);
    while (store_step(&q)) {
        struct link *link = arena_alloc(req, sizeof *link);
        *link = (struct link){.kind = store_get_text(&q, "subject_kind", req),
                              .subject = store_get_text(&q, "subject_id", req),
                              .description = store_get_text(&q, "description", req)};
        *end = link;
        end = &link->next;
    }
    return store_finish(&q, NULL, why);
}

static enum err read_one(struct store_tx *tx, void *ctx, struct why *why)
{
    struct one *one = ctx;
    struct slice id = http_param(one->call, "documentId");
    enum err e = documents_get(tx, one->call->req, id, &one->doc, why);
    return e ? e : read_links(tx, one, why);
}

static void one_json(const struct one *one)
{
    struct json_out *j = one->call->out;
    json_begin_object(j);
    documents_json(j, &one->doc);
    json_key(j, "links");
    json_begin_array(j);
    for (const struct link *link = one->links; link != NULL; link = link->next) {
        json_begin_object(j);
        key_text(j, "kind", link->kind);
        key_text(j, "id", link->subject);
        key_text(j, "description", link->description);
        json_end_object(j);
    }
    json_end_array(j);
    json_end_object(j);
}

static enum err document_show(struct http_call *call, struct why *why)
{
    struct one one = {.call = call, .d = call->ctx};
    enum err e = store_read(one.d->store, read_one, &one, why);
    if (e == OK) {
        one_json(&one);
    }
    return e;
}

static enum err document_verify(struct http_call *call, struct why *why)
{
    struct one one = {.call = call, .d = call->ctx};
    enum err e = store_read(one.d->store, read_one, &one, why);
    e = e ? e
          : documents_check(one.d, call->req, &one.doc, http_audit(call, NULL), NULL, NULL, why);
    if (e != OK) {
        return e;
    }
    json_begin_object(call->out);
    json_key(call->out, "valid");
    json_bool(call->out, slice_equal_text(one.doc.state, "stored"));
    documents_json(call->out, &one.doc);
    json_end_object(call->out);
    return OK;
}

/* ---- the bytes ---- */

static enum err refuse_damaged(const struct document *doc, const char *what, struct why *why)
{
    return why_set(why, ERR_CORRUPT, NULL, "The document %.*s %s.", SLICE_ARG(doc->id), what);
}

static enum err document_content(struct http_call *call, struct why *why)
{
    struct one one = {.call = call, .d = call->ctx};
    struct documents_store *files = one.d->files;
    char etag[2 * HASH_BYTES + 3];
    uint64_t size = 0;
    int fd = -1;
    enum err e = store_read(one.d->store, read_one, &one, why);
    if (e != OK) {
        return e;
    }
    if (!slice_equal_text(one.doc.state, "stored")) {
        return refuse_damaged(&one.doc, "was found damaged", why);
    }
    e = files->ops->open(files, &one.doc.hash, &fd, &size, why);
    if (e == ERR_NOT_FOUND) {
        return refuse_damaged(&one.doc, "is gone from its store", why);
    }
    if (e == OK && size != one.doc.size) {
        (void)close(fd);
        return refuse_damaged(&one.doc, "has another size than it had", why);
    }
    if (e != OK) {
        return e;
    }
    hex_encode_to(hash_slice(&one.doc.hash), etag);
    call->file = (struct http_file){
        .is_open = true,
        .fd = fd,
        .size = size,
        .name = one.doc.filename,
        .content_type = "application/pdf",
        .etag = slice_copy(call->req, slice_text(etag + 2)),
    };
    return OK;
}

/* ---- deleting ---- */

static enum err delete_row(struct store_tx *tx, void *ctx, struct why *why)
{
    struct one *one = ctx;
    int64_t rows = 0;
    struct store_query q;
    enum err e = read_one(tx, one, why);
    if (e != OK) {
        return e;
    }
    store_begin(&q, tx, &documents_sql_delete);
    store_bind_text(&q, "document_id", one->doc.id);
    e = store_finish(&q, &rows, why);
    if (e == OK && rows == 0) {
        return why_set(why, ERR_CONFLICT, NULL,
                       "The document belongs to assets or leases: unlink it first.");
    }
    return e ? e
             : documents_audit(tx, one->call->req, http_audit(one->call, NULL), DOCUMENTS_DELETED,
                               one->doc.id, why);
}

static enum err document_delete(struct http_call *call, struct why *why)
{
    struct one one = {.call = call, .d = call->ctx};
    bool removed = false;
    enum err e = store_write(one.d->store, delete_row, &one, why);
    e = e ? e : documents_remove(one.d, &one.doc.hash, &removed, why);
    if (e == OK) {
        one_json(&one);
    }
    return e;
}

/* ---- links ---- */

enum err documents_subject_check(struct documents *d, struct store_tx *tx, struct slice kind,
                                 struct slice id, struct why *why)
{
    bool has = false;
    enum err e = d->port.has(d->port.ctx, tx, kind, id, &has, why);
    return e != OK || has ? e
                          : why_set(why, ERR_NOT_FOUND, NULL, "There is no %.*s %.*s.",
                                    SLICE_ARG(kind), SLICE_ARG(id));
}

static void begin_link(struct store_query *q, struct store_tx *tx,
                       const struct store_statement *statement, struct slice id, struct slice kind,
                       struct slice subject)
{
    store_begin(q, tx, statement);
    store_bind_text(q, "document_id", id);
    store_bind_text(q, "subject_kind", kind);
    store_bind_text(q, "subject_id", subject);
}

static enum err audit_link(struct store_tx *tx, const struct http_call *call,
                           enum documents_action action, struct slice id, struct slice kind,
                           struct slice subject, struct why *why)
{
    struct buf details;
    struct json_out j;
    struct audit_entry entry = http_audit(call, NULL);
    buf_init(&details, call->req, 128);
    json_out_init(&j, &details);
    json_begin_object(&j);
    key_text(&j, "kind", kind);
    key_text(&j, "id", subject);
    json_end_object(&j);
    entry.details = buf_slice(&details);
    return documents_audit(tx, call->req, entry, action, id, why);
}

enum err documents_link_write(struct store_tx *tx, struct http_call *call, struct slice id,
                              struct slice kind, struct slice subject, struct slice description,
                              struct why *why)
{
    int64_t rows = 0;
    struct store_query q;
    begin_link(&q, tx, &documents_sql_link, id, kind, subject);
    store_bind_text(&q, "description", description);
    store_bind_time(&q, "now", clock_wall_usec());
    enum err e = store_finish(&q, &rows, why);
    return e != OK || rows == 0 ? e
                                : audit_link(tx, call, DOCUMENTS_LINKED, id, kind, subject, why);
}

static enum err link_one(struct store_tx *tx, void *ctx, struct why *why)
{
    struct one *one = ctx;
    enum err e = read_one(tx, one, why);
    e = e ? e : documents_subject_check(one->d, tx, one->kind, one->subject, why);
    e = e ? e
          : documents_link_write(tx, one->call, one->doc.id, one->kind, one->subject, SLICE_EMPTY,
                                 why);
    return e ? e : read_links(tx, one, why);
}

static enum err unlink_one(struct store_tx *tx, void *ctx, struct why *why)
{
    struct one *one = ctx;
    int64_t rows = 0;
    struct store_query q;
    enum err e = read_one(tx, one, why);
    if (e != OK) {
        return e;
    }
    begin_link(&q, tx, &documents_sql_unlink, one->doc.id, one->kind, one->subject);
    e = store_finish(&q, &rows, why);
    if (e == OK && rows > 0) {
        e = audit_link(tx, one->call, DOCUMENTS_UNLINKED, one->doc.id, one->kind, one->subject,
                       why);
    }
    return e ? e : read_links(tx, one, why);
}

static enum err change_link(struct http_call *call, const char *kind, const char *param,
                            store_fn change, struct why *why)
{
    struct one one = {
        .call = call, .d = call->ctx, .kind = slice_text(kind), .subject = http_param(call, param)};
    enum err e = store_write(one.d->store, change, &one, why);
    if (e == OK) {
        one_json(&one);
    }
    return e;
}

static enum err asset_link(struct http_call *call, struct why *why)
{
    return change_link(call, "asset", "assetId", link_one, why);
}

static enum err asset_unlink(struct http_call *call, struct why *why)
{
    return change_link(call, "asset", "assetId", unlink_one, why);
}

static enum err lease_link(struct http_call *call, struct why *why)
{
    return change_link(call, "lease", "leaseId", link_one, why);
}

static enum err lease_unlink(struct http_call *call, struct why *why)
{
    return change_link(call, "lease", "leaseId", unlink_one, why);
}

/* ---- lists ---- */

struct list {
    struct http_call *call;
    struct slice type;
    struct slice state;
    struct hash hash;
    bool has_hash;
    struct slice cid;
    struct slice kind;
    struct slice subject;
    struct http_page page;
    struct document *docs;
    size_t count;
};

static enum err read_list(struct store_tx *tx, void *ctx, struct why *why)
{
    struct list *l = ctx;
    struct store_query q;
    l->count = 0;
    l->docs = arena_alloc_array(l->call->req, l->page.limit, sizeof *l->docs);
    store_begin(&q, tx, &documents_sql_list);
    store_bind_text(&q, "document_type", l->type);
    store_bind_text(&q, "state", l->state);
    if (l->has_hash) {
        store_bind_bytes(&q, "file_hash", hash_slice(&l->hash));
    } else {
        store_bind_null(&q, "file_hash");
    }
    store_bind_text(&q, "cid", l->cid);
    store_bind_text(&q, "subject_kind", l->kind);
    store_bind_text(&q, "subject_id", l->subject);
    store_bind_text(&q, "below_id", l->page.cursor);
    store_bind_i64(&q, "max_rows", (int64_t)l->page.limit);
    while (store_step(&q)) {
        documents_take(&q, l->call->req, &l->docs[l->count++]);
    }
    return store_finish(&q, NULL, why);
}

static enum err show_list(struct list *l, struct why *why)
{
    struct http_call *call = l->call;
    const struct documents *d = call->ctx;
    enum err e = http_page_read(call, &l->page, why);
    if (e == OK && l->page.offset > 0) {
        e = why_set(why, ERR_INVALID_FIELD, "offset",
                    "Documents are paged by the cursor of this list.");
    }
    e = e ? e : store_read(d->store, read_list, l, why);
    if (e != OK) {
        return e;
    }
    json_begin_array(call->out);
    for (size_t i = 0; i < l->count; i++) {
        json_begin_object(call->out);
        documents_json(call->out, &l->docs[i]);
        json_end_object(call->out);
    }
    json_end_array(call->out);
    if (l->count == l->page.limit) {
        http_cursor_set(call, l->docs[l->count - 1].id);
    }
    return OK;
}

static enum err documents_index(struct http_call *call, struct why *why)
{
    struct list l = {.call = call};
    struct slice hash = http_query(call, "hash", &l.has_hash);
    bool has_state = false;
    bool has_type = false;
    l.type = http_query(call, "documentType", &has_type);
    l.state = http_query(call, "state", &has_state);
    l.cid = http_query(call, "cid", NULL);
    if (has_type && documents_type_find(l.type) == NULL) {
        return why_set(why, ERR_INVALID_FIELD, "documentType",
                       "documentType is manual, certification, specification or lease_agreement.");
    }
    if (has_state && !slice_equal_text(l.state, "stored") &&
        !slice_equal_text(l.state, "damaged") && !slice_equal_text(l.state, "missing")) {
        return why_set(why, ERR_INVALID_FIELD, "state", "state is stored, damaged or missing.");
    }
    if (l.has_hash && hash_parse(hash, &l.hash) != OK) {
        return why_set(why, ERR_INVALID_HASH, "hash", "%s", err_sentence(ERR_INVALID_HASH));
    }
    return show_list(&l, why);
}

static enum err asset_documents(struct http_call *call, struct why *why)
{
    struct list l = {
        .call = call, .kind = SLICE_LIT("asset"), .subject = http_param(call, "assetId")};
    return show_list(&l, why);
}

static enum err lease_documents(struct http_call *call, struct why *why)
{
    struct list l = {
        .call = call, .kind = SLICE_LIT("lease"), .subject = http_param(call, "leaseId")};
    return show_list(&l, why);
}

/* ---- the table ---- */

#define MEMBERS                                                                                    \
    "\"documentId\":{\"type\":\"string\"},\"filename\":{\"type\":\"string\"},\"documentType\":"    \
    "{\"enum\":[\"manual\",\"certification\",\"specification\",\"lease_agreement\"]},"             \
    "\"contentType\":{\"const\":\"application/pdf\"},\"size\":{\"type\":\"integer\"},\"hash\":"    \
    "{\"type\":\"string\",\"pattern\":\"^0x[0-9a-f]{64}$\"},\"cid\":{\"type\":\"string\"},"        \
    "\"state\":{\"enum\":[\"stored\",\"damaged\",\"missing\"]},\"uploadedBy\":{\"type\":"          \
    "\"string\"},\"uploadedAt\":{\"type\":\"string\"},\"verifiedAt\":{\"type\":\"string\"},"       \
    "\"checkedAt\":{\"type\":\"string\"}"
#define REQUIRED                                                                                   \
    "\"required\":[\"documentId\",\"filename\",\"documentType\",\"contentType\",\"size\","         \
    "\"hash\",\"cid\",\"state\",\"uploadedBy\",\"uploadedAt\",\"verifiedAt\",\"checkedAt\"]"

static const char document_schema[] =
    "{\"type\":\"object\"," REQUIRED ",\"properties\":{" MEMBERS
    ",\"links\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"kind\",\"id\","
    "\"description\"]}}}}";
static const char list_schema[] = "{\"type\":\"array\",\"items\":{\"type\":\"object\"," REQUIRED
                                  ",\"properties\":{" MEMBERS "}}}";
static const char upload_schema[] = "{\"type\":\"object\"," REQUIRED ",\"properties\":{" MEMBERS
                                    ",\"deduplicated\":{\"type\":\"boolean\"}}}";
/* The file is one of the two; which one is of no matter. */
static const char upload_body[] =
    "{\"type\":\"object\",\"properties\":{\"document\":{\"type\":\"string\",\"format\":"
    "\"binary\"},\"file\":{\"type\":\"string\",\"format\":\"binary\"},\"documentType\":{\"type\":"
    "\"string\",\"enum\":[\"manual\",\"certification\",\"specification\",\"lease_agreement\"]},"
    "\"description\":{\"type\":\"string\"},\"assetId\":{\"type\":\"string\"},\"leaseId\":{"
    "\"type\":\"string\"}}}";
static const char verify_schema[] =
    "{\"type\":\"object\",\"required\":[\"valid\"],"
    "\"properties\":{\"valid\":{\"type\":\"boolean\"}," MEMBERS "}}";

static const char *const upload_fields[] = {
    "document", "file", "documentType", "description", "assetId", "leaseId", NULL};
static const char *const index_keys[] = {"documentType", "state", "hash", "cid", NULL};

static const enum err upload_errors[] = {ERR_MISSING_FIELD,
                                         ERR_INVALID_FIELD,
                                         ERR_UNKNOWN_FIELD,
                                         ERR_INVALID_ENCODING,
                                         ERR_NOT_FOUND,
                                         ERR_UNSUPPORTED_MEDIA,
                                         ERR_BODY_TOO_LARGE,
                                         ERR_DISK_FULL,
                                         ERR_OVERLOADED,
                                         ERR_UPSTREAM,
                                         OK};
static const enum err index_errors[] = {ERR_INVALID_FIELD, ERR_INVALID_HASH, OK};
static const enum err list_errors[] = {ERR_INVALID_FIELD, OK};
static const enum err one_errors[] = {ERR_NOT_FOUND, OK};
static const enum err content_errors[] = {ERR_NOT_FOUND, ERR_RANGE, ERR_CORRUPT, OK};
static const enum err delete_errors[] = {ERR_UNAUTHENTICATED, ERR_FORBIDDEN, ERR_NOT_FOUND,
                                         ERR_CONFLICT, OK};

#define ALIASES(...)                                                                               \
    .aliases = (const char *const[])                                                               \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define AT(path_) .path = "/api/v1" path_, ALIASES(path_, "/api" path_)
#define ROUTE(method_, handler_, flags_, operation_, summary_, schema_, status_, errors_)          \
    .method = method_, .handler = handler_, .flags = flags_, .tag = "documents",                   \
    .operation = operation_, .summary = summary_, .reply_schema = schema_,                         \
    .reply_status = status_, .errors = errors_

static const struct http_route routes[] = {
    {AT("/documents"),
     ROUTE(HTTP_POST, documents_upload, HTTP_UPLOAD, "uploadDocument",
           "Uploads a PDF as the part `document` or `file`, with `documentType`, `description`, "
           "`assetId` and `leaseId` beside it; 200 when its bytes are known.",
           upload_schema, 201, upload_errors),
     .body_type = "multipart/form-data", .body_schema = upload_body, .reply_status_other = 200,
     .field_keys = upload_fields},
    {AT("/documents"),
     ROUTE(HTTP_GET, documents_index, HTTP_LIST, "listDocuments", "Documents, newest first.",
           list_schema, 200, index_errors),
     .query_keys = index_keys},
    {.path = "/api/v1/documents/{documentId}",
     ROUTE(HTTP_GET, document_show, 0, "getDocument", "A document and what it belongs to.",
           document_schema, 200, one_errors)},
    {.path = "/api/v1/documents/{documentId}/content",
     ALIASES("/documents/{documentId}", "/api/documents/{documentId}"),
     ROUTE(HTTP_GET, document_content, HTTP_RAW, "downloadDocument",
           "The PDF itself, or a range of it.", NULL, 200, content_errors),
     .reply_type = "application/pdf",
     .reply_status_other = 206},
    {AT("/documents/{documentId}/verify"),
     ROUTE(HTTP_POST, document_verify, 0, "verifyDocument",
           "Reads a document's bytes again and says whether they are what they were.",
           verify_schema, 200, one_errors)},
    {AT("/documents/{documentId}"),
     ROUTE(HTTP_DELETE, document_delete, HTTP_OPERATOR, "deleteDocument",
           "Deletes a document that belongs to nothing.", document_schema, 200, delete_errors)},
    {AT("/assets/{assetId}/documents"),
     ROUTE(HTTP_GET, asset_documents, HTTP_LIST, "listAssetDocuments", "Documents of an asset.",
           list_schema, 200, list_errors)},
    {AT("/assets/{assetId}/documents/{documentId}"),
     ROUTE(HTTP_PUT, asset_link, 0, "linkAssetDocument", "Links a document to an asset.",
           document_schema, 200, one_errors)},
    {AT("/assets/{assetId}/documents/{documentId}"),
     ROUTE(HTTP_DELETE, asset_unlink, 0, "unlinkAssetDocument",
           "Takes the link of a document to an asset back.", document_schema, 200, one_errors)},
    {AT("/leases/{leaseId}/documents"),
     ROUTE(HTTP_GET, lease_documents, HTTP_LIST, "listLeaseDocuments", "Documents of a lease.",
           list_schema, 200, list_errors)},
    {AT("/leases/{leaseId}/documents/{documentId}"),
     ROUTE(HTTP_PUT, lease_link, 0, "linkLeaseDocument", "Links a document to a lease.",
           document_schema, 200, one_errors)},
    {AT("/leases/{leaseId}/documents/{documentId}"),
     ROUTE(HTTP_DELETE, lease_unlink, 0, "unlinkLeaseDocument",
           "Takes the link of a document to a lease back.", document_schema, 200, one_errors)},
};

#define ROUTE_COUNT (sizeof routes / sizeof routes[0])

/* How large a file may be is configured: the rows that are served know it. */
struct http_table documents_http_table(struct documents *documents)
{
    struct http_table table = {.routes = routes, .count = ROUTE_COUNT, .ctx = documents};
    if (documents != NULL) {
        documents->routes = arena_alloc_array(&documents->boot, ROUTE_COUNT, sizeof routes[0]);
        memcpy(documents->routes, routes, sizeof routes);
        for (size_t i = 0; i < ROUTE_COUNT; i++) {
            if (routes[i].flags & HTTP_UPLOAD) {
                documents->routes[i].body_bytes_max = (size_t)documents->config->bytes_max;
            }
        }
        table.routes = documents->routes;
    }
    return table;
}
