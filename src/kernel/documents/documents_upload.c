/*
 * documents_upload.c: a file becomes a document.
 */
#include <errno.h>
#include <unistd.h>

#include "kernel/base/log.h"
#include "kernel/base/rand.h"
#include "kernel/crypto/cid.h"
#include "kernel/documents/documents_internal.h"
#include "kernel/documents/documents_sql.h"

#define READ_BYTES 65536

struct upload {
    struct http_call *call;
    struct documents *d;
    struct document doc; /* in the end the one that has these bytes */
    struct slice asset;
    struct slice lease;
    struct slice description;
    char id[RAND_ID_MAX];
    char cid[CID_TEXT_MAX];
    bool known;
};

/* ---- what is asked for ---- */

static enum err read_subject(const struct http_call *call, const char *field, struct slice *out,
                             struct why *why)
{
    bool found = false;
    struct slice id = http_field(call, field, &found);
    if (found && (id.len == 0 || id.len > DOCUMENTS_SUBJECT_BYTES_MAX)) {
        return why_set(why, ERR_INVALID_FIELD, field, "%s has 1 to %d bytes.", field,
                       DOCUMENTS_SUBJECT_BYTES_MAX);
    }
    *out = id;
    return OK;
}

static enum err read_type(const struct http_call *call, struct slice *out, struct why *why)
{
    bool found = false;
    struct slice sent = http_field(call, "documentType", &found);
    const char *type = found ? documents_type_find(sent) : documents_type_of(call->upload->name);
    if (type == NULL) {
        return why_set(why, ERR_INVALID_FIELD, "documentType",
                       "documentType is manual, certification, specification or lease_agreement.");
    }
    *out = slice_text(type);
    return OK;
}

/* A client that does not know says so; one that says something else is wrong or lies. */
static enum err check_declared(struct slice type, struct why *why)
{
    struct slice media;
    struct slice rest;
    (void)slice_cut(type, ';', &media, &rest);
    media = slice_trim(media);
    bool fits = media.len == 0 || slice_equal_nocase(media, SLICE_LIT("application/pdf")) ||
                slice_equal_nocase(media, SLICE_LIT("application/octet-stream"));
    return fits ? OK
                : why_set(why, ERR_UNSUPPORTED_MEDIA, "contentType",
                          "Documents are application/pdf.");
}

static enum err read_at(int fd, uint64_t at, uint8_t *bytes, size_t len, struct slice *out,
                        struct why *why)
{
    ssize_t n = pread(fd, bytes, len, (off_t)at);
    if (n < 0) {
        return why_set(why, ERR_IO, NULL, "An upload cannot be read: %s.", strerror(errno));
    }
    *out = slice_of(bytes, (size_t)n);
    return OK;
}

static enum err check_content(const struct http_upload *file, struct why *why)
{
    uint8_t head_bytes[DOCUMENTS_PDF_HEAD_BYTES];
    uint8_t tail_bytes[DOCUMENTS_PDF_TAIL_BYTES];
    struct slice head = SLICE_EMPTY;
    struct slice tail = SLICE_EMPTY;
    uint64_t from = file->size > sizeof tail_bytes ? file->size - sizeof tail_bytes : 0;
    enum err e = read_at(file->fd, 0, head_bytes, sizeof head_bytes, &head, why);
    e = e ? e : read_at(file->fd, from, tail_bytes, sizeof tail_bytes, &tail, why);
    return e ? e : documents_pdf_check(head, tail, why);
}

/* The file is in the page cache: it has just come. */
static enum err identify(const struct http_upload *file, char out[CID_TEXT_MAX], struct why *why)
{
    uint8_t bytes[READ_BYTES];
    struct slice piece = SLICE_EMPTY;
    enum err e = OK;
    struct cid *c = cid_new();
    for (uint64_t at = 0; e == OK && at < file->size; at += piece.len) {
        e = read_at(file->fd, at, bytes, sizeof bytes, &piece, why);
        if (e == OK && piece.len == 0) {
            e = why_set(why, ERR_IO, NULL, "An upload has become shorter.");
        }
        if (e == OK) {
            cid_update(c, piece);
        }
    }
    if (e == OK) {
        cid_final(c, out);
    }
    cid_free(c);
    return e;
}

static enum err read_request(struct upload *u, struct why *why)
{
    const struct http_call *call = u->call;
    const struct http_upload *file = call->upload;
    bool is_file = file != NULL && (slice_equal_text(file->field, "document") ||
                                    slice_equal_text(file->field, "file"));
    if (!is_file) {
        return why_set(why, ERR_MISSING_FIELD, "document",
                       "A file is required, as the part \"document\" or \"file\".");
    }
    enum err e = documents_name_check(file->name, why);
    e = e ? e : check_declared(file->content_type, why);
    e = e ? e : check_content(file, why);
    e = e ? e : read_type(call, &u->doc.type, why);
    e = e ? e : read_subject(call, "assetId", &u->asset, why);
    e = e ? e : read_subject(call, "leaseId", &u->lease, why);
    u->description = http_field(call, "description", NULL);
    if (e == OK && u->description.len > DOCUMENTS_DESCRIPTION_BYTES_MAX) {
        e = why_set(why, ERR_INVALID_FIELD, "description", "description has at most %d bytes.",
                    DOCUMENTS_DESCRIPTION_BYTES_MAX);
    }
    rand_id("doc", u->id);
    u->doc.id = slice_text(u->id);
    u->doc.filename = file->name;
    u->doc.content_type = SLICE_LIT("application/pdf");
    u->doc.size = file->size;
    u->doc.hash = file->sha256;
    u->doc.state = SLICE_LIT("stored");
    u->doc.uploaded_by = call->principal;
    u->doc.created_usec = clock_wall_usec();
    u->doc.verified_usec = u->doc.created_usec;
    u->doc.checked_usec = u->doc.created_usec;
    return e;
}

/* ---- rows ---- */

static enum err check_subjects(struct store_tx *tx, void *ctx, struct why *why)
{
    const struct upload *u = ctx;
    enum err e = OK;
    if (u->asset.len > 0) {
        e = documents_subject_check(u->d, tx, SLICE_LIT("asset"), u->asset, why);
    }
    if (e == OK && u->lease.len > 0) {
        e = documents_subject_check(u->d, tx, SLICE_LIT("lease"), u->lease, why);
    }
    return e;
}

static enum err insert(struct store_tx *tx, const struct document *doc, int64_t *out_rows,
                       struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &documents_sql_insert);
    store_bind_text(&q, "document_id", doc->id);
    store_bind_text(&q, "filename", doc->filename);
    store_bind_text(&q, "content_type", doc->content_type);
    store_bind_i64(&q, "file_size", (int64_t)doc->size);
    store_bind_bytes(&q, "file_hash", hash_slice(&doc->hash));
    store_bind_text(&q, "cid", doc->cid);
    store_bind_text(&q, "document_type", doc->type);
    store_bind_text(&q, "uploaded_by", doc->uploaded_by);
    store_bind_time(&q, "now", doc->created_usec);
    return store_finish(&q, out_rows, why);
}

/* The bytes were just written again: whatever was wrong with them is not any more. */
static enum err meet_known(struct store_tx *tx, struct upload *u, struct why *why)
{
    struct document known = {.size = 0};
    struct store_query q;
    store_begin(&q, tx, &documents_sql_by_hash);
    store_bind_bytes(&q, "file_hash", hash_slice(&u->doc.hash));
    if (store_step(&q)) {
        documents_take(&q, u->call->req, &known);
    }
    enum err e = store_finish_one(&q, "document", why);
    if (e == ERR_NOT_FOUND) { /* deleted between two statements */
        return why_set(why, ERR_DB_BUSY, NULL, "%s", err_sentence(ERR_DB_BUSY));
    }
    if (e != OK) {
        return e;
    }
    bool was_right = slice_equal_text(known.state, "stored");
    known.state = SLICE_LIT("stored");
    known.verified_usec = u->doc.created_usec;
    known.checked_usec = u->doc.created_usec;
    u->doc = known;
    store_begin(&q, tx, &documents_sql_checked);
    store_bind_text(&q, "document_id", known.id);
    store_bind_text(&q, "state", known.state);
    store_bind_time(&q, "now", known.checked_usec);
    e = store_finish(&q, NULL, why);
    return e != OK || was_right ? e
                                : documents_audit(tx, u->call->req, http_audit(u->call, NULL),
                                                  DOCUMENTS_RESTORED, known.id, why);
}

static enum err write_rows(struct store_tx *tx, void *ctx, struct why *why)
{
    struct upload *u = ctx;
    struct http_call *call = u->call;
    int64_t rows = 0;
    enum err e = check_subjects(tx, u, why);
    e = e ? e : insert(tx, &u->doc, &rows, why);
    if (e != OK) {
        return e;
    }
    u->known = rows == 0;
    e = u->known ? meet_known(tx, u, why)
                 : documents_audit(tx, call->req, http_audit(call, NULL), DOCUMENTS_UPLOADED,
                                   u->doc.id, why);
    if (e == OK && u->asset.len > 0) {
        e = documents_link_write(tx, call, u->doc.id, SLICE_LIT("asset"), u->asset, u->description,
                                 why);
    }
    if (e == OK && u->lease.len > 0) {
        e = documents_link_write(tx, call, u->doc.id, SLICE_LIT("lease"), u->lease, u->description,
                                 why);
    }
    return e;
}

/* ---- bytes first, then the row ---- */

static enum err keep(struct upload *u, struct why *why)
{
    struct documents_store *files = u->d->files;
    struct hash hash = u->doc.hash;
    bool removed = false;
    int hold = -1;
    enum err e = files->ops->hold(files, false, &hold, why);
    if (e != OK) {
        return e;
    }
    e = files->ops->put(files, &hash, u->call->upload->fd, why);
    bool is_put = e == OK;
    e = e ? e : store_write(u->d->store, write_rows, u, why);
    files->ops->let_go(files, hold);
    if (is_put && e != OK) {
        struct why kept = {.err = OK};
        enum err left = documents_remove(u->d, &hash, &removed, &kept);
        if (left != OK) { /* the sweep has it */
            LOG(LOG_WARN, "documents.not_removed", log_err(left), log_why(&kept, left));
        }
    }
    return e;
}

enum err documents_upload(struct http_call *call, struct why *why)
{
    struct upload u = {.call = call, .d = call->ctx};
    enum err e = read_request(&u, why);
    e = e ? e : store_read(u.d->store, check_subjects, &u, why);
    e = e ? e : identify(call->upload, u.cid, why);
    if (e == OK) {
        u.doc.cid = slice_text(u.cid);
        e = keep(&u, why);
    }
    if (e != OK) {
        return e;
    }
    metric_add(&documents_metrics[u.known ? DOCUMENTS_METRIC_KNOWN : DOCUMENTS_METRIC_UPLOADED], 1);
    metric_add(&documents_metrics[DOCUMENTS_METRIC_BYTES], (int64_t)u.doc.size);
    call->status = u.known ? 200 : 201;
    call->location = slice_format(call->req, "/api/v1/documents/%.*s", SLICE_ARG(u.doc.id));
    json_begin_object(call->out);
    documents_json(call->out, &u.doc);
    json_key(call->out, "deduplicated");
    json_bool(call->out, u.known);
    json_end_object(call->out);
    return OK;
}
