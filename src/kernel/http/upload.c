/*
 * upload.c: the body of an upload: one file, spooled and hashed while it arrives, and small fields.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/http/http_internal.h"
#include "kernel/http/multipart.h"

#define FIELDS_MAX 16
#define FIELD_BYTES_MAX 4096
#define NAME_BYTES_MAX 1024

struct http_spool {
    struct http_request *req;
    struct http_multipart multipart;
    struct http_upload file;
    struct sha256 *sha;
    struct http_param fields[FIELDS_MAX];
    size_t field_count;
    struct buf text; /* of the field that arrives */
    bool in_file;
    bool has_file;
};

/* ---- the file without a name ----------------------------------------------------------------- */

static enum err spool_failed(struct why *why, const char *folder)
{
    int code = errno;
    enum err e = code == ENOSPC || code == EDQUOT   ? ERR_DISK_FULL
                 : code == EMFILE || code == ENFILE ? ERR_OVERLOADED
                                                    : ERR_IO;
    return why_set(why, e, NULL, "Uploads cannot be kept in %s: %s.", folder, strerror(code));
}

/* A name only ever stands there where the file system knows no files without one. */
static enum err open_unnamed(struct arena *arena, const char *folder, int *out, struct why *why)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        char *name = slice_cstr(arena, slice_format(arena, "%s/upload-XXXXXX", folder));
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0) {
            (void)unlink(name);
        }
    }
    if (fd < 0) {
        return spool_failed(why, folder);
    }
    *out = fd;
    return OK;
}

static enum err write_all(int fd, struct slice bytes)
{
    size_t done = 0;
    while (done < bytes.len) {
        ssize_t n = write(fd, bytes.ptr + done, bytes.len - done);
        if (n < 0 && errno != EINTR) {
            return ERR_IO;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return OK;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static bool takes_field(const struct http_route *route, struct slice name)
{
    bool takes = false;
    for (size_t i = 0; !takes && route->field_keys && route->field_keys[i]; i++) {
        takes = slice_equal_text(name, route->field_keys[i]);
    }
    return takes;
}

static enum err begin_file(struct http_spool *s, const struct http_part *part, struct why *why)
{
    struct arena *arena = &s->req->arena;
    if (s->has_file) {
        return why_set(why, ERR_INVALID_FIELD, "file", "One file comes with a request.");
    }
    if (part->file_name.len > NAME_BYTES_MAX) {
        return why_set(why, ERR_INVALID_FIELD, "filename", "A file name has at most %d bytes.",
                       NAME_BYTES_MAX);
    }
    s->has_file = true;
    s->in_file = true;
    s->file.field = slice_copy(arena, part->name);
    s->file.name = slice_copy(arena, part->file_name);
    s->file.content_type = slice_copy(arena, part->content_type);
    return OK;
}

static enum err part_begin(void *ctx, const struct http_part *part, struct why *why)
{
    struct http_spool *s = ctx;
    if (!takes_field(s->req->call.route, part->name)) {
        return why_set(why, ERR_UNKNOWN_FIELD, NULL, "A part has a name that is not known here.");
    }
    if (part->is_file) {
        return begin_file(s, part, why);
    }
    if (s->field_count == FIELDS_MAX) {
        return why_set(why, ERR_INVALID_FIELD, NULL, "At most %d fields are taken.", FIELDS_MAX);
    }
    struct slice name = slice_copy(&s->req->arena, part->name);
    for (size_t i = 0; i < s->field_count; i++) {
        if (slice_equal(s->fields[i].name, name)) {
            return why_set(why, ERR_INVALID_FIELD, slice_cstr(&s->req->arena, name),
                           "A field comes twice.");
        }
    }
    s->in_file = false;
    s->fields[s->field_count++] = (struct http_param){.name = name};
    buf_init(&s->text, &s->req->arena, 64);
    return OK;
}

static enum err file_bytes(struct http_spool *s, struct slice bytes, struct why *why)
{
    const struct http_server *server = s->req->server;
    uint64_t limit = s->req->call.route->body_bytes_max;
    if (bytes.len > limit - s->file.size) {
        return why_set(why, ERR_BODY_TOO_LARGE, NULL, "The file may have %llu bytes here.",
                       (unsigned long long)limit);
    }
    if (write_all(s->file.fd, bytes) != OK) {
        return spool_failed(why, server->config.upload_dir);
    }
    sha256_update(s->sha, bytes);
    s->file.size += bytes.len;
    return OK;
}

static enum err part_bytes(void *ctx, struct slice bytes, struct why *why)
{
    struct http_spool *s = ctx;
    if (s->in_file) {
        return file_bytes(s, bytes, why);
    }
    if (bytes.len > FIELD_BYTES_MAX - s->text.len) {
        struct slice name = s->fields[s->field_count - 1].name;
        return why_set(why, ERR_INVALID_FIELD, slice_cstr(&s->req->arena, name),
                       "A field has at most %d bytes.", FIELD_BYTES_MAX);
    }
    buf_add_slice(&s->text, bytes);
    return OK;
}

static enum err part_end(void *ctx, struct why *why)
{
    struct http_spool *s = ctx;
    if (s->in_file) {
        s->in_file = false;
        sha256_final(s->sha, &s->file.sha256);
        return OK;
    }
    struct http_param *field = &s->fields[s->field_count - 1];
    field->value = buf_slice(&s->text);
    if (!slice_is_utf8(field->value) || slice_find(field->value, '\0') >= 0) {
        return why_set(why, ERR_INVALID_ENCODING, slice_cstr(&s->req->arena, field->name),
                       "A field must be text in UTF-8.");
    }
    return OK;
}

static const struct http_multipart_sink sink = {
    .begin = part_begin, .bytes = part_bytes, .end = part_end};

/* ---- a request's upload ---------------------------------------------------------------------- */

enum err http_upload_open(struct http_request *req, struct why *why)
{
    struct http_server *server = req->server;
    struct slice boundary;
    int fd = -1;
    enum err e = http_multipart_boundary(&req->arena, http_header(&req->call, "Content-Type"),
                                         &boundary, why);
    if (e) {
        return e;
    }
    if (!http_conn_upload_begin(req->conn)) {
        return why_set(why, ERR_RATE_LIMITED, NULL, "At most %llu files may be arriving from you.",
                       (unsigned long long)server->config.uploads_per_client_max);
    }
    if (atomic_fetch_add(&server->uploads, 1) >= (int64_t)server->config.uploads_max) {
        e = why_set(why, ERR_OVERLOADED, NULL, "%s", err_sentence(ERR_OVERLOADED));
    }
    e = e ? e : open_unnamed(&req->arena, server->config.upload_dir, &fd, why);
    if (e) {
        atomic_fetch_sub(&server->uploads, 1);
        http_conn_upload_end(req->conn);
        return e;
    }
    struct http_spool *s = arena_alloc(&req->arena, sizeof *s);
    *s = (struct http_spool){.req = req, .file = {.fd = fd}, .sha = sha256_new()};
    http_multipart_init(&s->multipart, boundary, &sink, s);
    req->spool = s;
    return OK;
}

enum err http_upload_feed(struct http_request *req, struct slice bytes, struct why *why)
{
    return http_multipart_feed(&req->spool->multipart, bytes, why);
}

enum err http_upload_finish(struct http_request *req, struct why *why)
{
    struct http_spool *s = req->spool;
    enum err e = http_multipart_finish(&s->multipart, why);
    if (e) {
        return e;
    }
    req->call.upload = s->has_file ? &s->file : NULL;
    req->call.fields = s->fields;
    req->call.field_count = s->field_count;
    return OK;
}

void http_upload_close(struct http_request *req)
{
    struct http_spool *s = req->spool;
    if (!s) {
        return;
    }
    (void)close(s->file.fd);
    sha256_free(s->sha);
    atomic_fetch_sub(&req->server->uploads, 1);
    http_conn_upload_end(req->conn);
    req->spool = NULL;
    req->call.upload = NULL;
}

static void absorb(struct sha256 *stream, struct slice part)
{
    char length[32];
    int n = snprintf(length, sizeof length, "%zu:", part.len);
    sha256_update(stream, slice_of(length, (size_t)n));
    sha256_update(stream, part);
}

void http_upload_hash(const struct http_request *req, struct sha256 *stream)
{
    const struct http_call *call = &req->call;
    if (call->upload) {
        const struct http_upload *file = call->upload;
        absorb(stream, file->field);
        absorb(stream, file->name);
        absorb(stream, file->content_type);
        absorb(stream, hash_slice(&file->sha256));
    }
    for (size_t i = 0; i < call->field_count; i++) {
        absorb(stream, call->fields[i].name);
        absorb(stream, call->fields[i].value);
    }
}

struct slice http_field(const struct http_call *call, const char *name, bool *out_found)
{
    for (size_t i = 0; i < call->field_count; i++) {
        if (slice_equal_text(call->fields[i].name, name)) {
            if (out_found) {
                *out_found = true;
            }
            return call->fields[i].value;
        }
    }
    if (out_found) {
        *out_found = false;
    }
    return SLICE_EMPTY;
}
