#include "kernel/documents/documents.h"

#include <pthread.h>

#include "kernel/documents/documents_internal.h"
#include "kernel/documents/documents_sql.h"

#define MIB (UINT64_C(1) << 20)

const struct config_row documents_config_rows[] = {
    {.key = "documents.dir",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct documents_config, dir),
     .default_ = "freehold-data/documents",
     .doc = "Folder for documents, and for files while they arrive; all processes need the same."},
    {.key = "documents.store",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct documents_config, store),
     .doc = "Where documents are kept: empty is documents.dir, s3://BUCKET/PREFIX a bucket."},
    {.key = "documents.bytes_max",
     .type = CONFIG_SIZE,
     .offset = offsetof(struct documents_config, bytes_max),
     .default_ = "50MiB",
     .min = 1024,
     .max = 1024 * MIB,
     .doc = "Size of one document."},
    {.key = "documents.s3_endpoint",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct documents_config, s3_endpoint),
     .flags = CONFIG_URLS,
     .doc = "Server of the bucket, as https://HOST; empty is AWS in documents.s3_region."},
    {.key = "documents.s3_region",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct documents_config, s3_region),
     .default_ = "us-east-1",
     .doc = "Region of the bucket; servers of one's own mostly take any."},
    {.key = "documents.s3_path_style",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct documents_config, s3_path_style),
     .default_ = "false",
     .doc = "Address buckets as HOST/BUCKET instead of BUCKET.HOST (servers of one's own)."},
    {.key = "documents.s3_access_key",
     .type = CONFIG_SECRET,
     .offset = offsetof(struct documents_config, s3_access_key),
     .doc = "Access key id; empty takes AWS_ACCESS_KEY_ID of the environment."},
    {.key = "documents.s3_secret_key",
     .type = CONFIG_SECRET,
     .offset = offsetof(struct documents_config, s3_secret_key),
     .doc = "Secret access key; empty takes AWS_SECRET_ACCESS_KEY of the environment."},
    {.key = "documents.s3_session_token",
     .type = CONFIG_SECRET,
     .offset = offsetof(struct documents_config, s3_session_token),
     .doc = "Session token of temporary credentials; empty takes AWS_SESSION_TOKEN."},
};
const size_t documents_config_row_count =
    sizeof documents_config_rows / sizeof documents_config_rows[0];

static const struct metric_row rows[DOCUMENTS_METRIC_COUNT] = {
    [DOCUMENTS_METRIC_UPLOADED] = {"freehold_documents_uploaded_total", METRIC_COUNTER,
                                   "Documents that were uploaded for the first time.", NULL},
    [DOCUMENTS_METRIC_KNOWN] = {"freehold_documents_known_total", METRIC_COUNTER,
                                "Uploads of documents that were there already.", NULL},
    [DOCUMENTS_METRIC_BYTES] = {"freehold_documents_uploaded_bytes_total", METRIC_COUNTER,
                                "Bytes of documents that were uploaded.", NULL},
    [DOCUMENTS_METRIC_VERIFIED] = {"freehold_documents_verified_total", METRIC_COUNTER,
                                   "Documents whose bytes were read again and were right.", NULL},
    [DOCUMENTS_METRIC_FAILED] = {"freehold_documents_failed_total", METRIC_COUNTER,
                                 "Documents whose bytes were read again and were not right.", NULL},
    [DOCUMENTS_METRIC_DAMAGED] = {"freehold_documents_damaged", METRIC_GAUGE,
                                  "Documents that are not what they were, at the last sweep.",
                                  NULL},
    [DOCUMENTS_METRIC_TOTAL] = {"freehold_documents", METRIC_GAUGE,
                                "Documents that there are, at the last sweep.", NULL},
    [DOCUMENTS_METRIC_ORPHANS] = {"freehold_documents_orphans_total", METRIC_COUNTER,
                                  "Files that were removed because no document had them.", NULL},
};

struct metric_value documents_metrics[DOCUMENTS_METRIC_COUNT];

static void register_rows(void)
{
    metric_register(rows, documents_metrics, DOCUMENTS_METRIC_COUNT);
}

void documents_metrics_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_rows);
}

const struct audit_action documents_actions[DOCUMENTS_ACTIONS] = {
    [DOCUMENTS_UPLOADED] = {"documents.uploaded", "A document was uploaded."},
    [DOCUMENTS_LINKED] = {"documents.linked", "A document was linked to an asset or a lease."},
    [DOCUMENTS_UNLINKED] = {"documents.unlinked", "A link of a document was taken back."},
    [DOCUMENTS_DELETED] = {"documents.deleted", "A document was deleted."},
    [DOCUMENTS_DAMAGED] = {"documents.damaged",
                           "The bytes of a document were found changed, or not at all."},
    [DOCUMENTS_RESTORED] = {"documents.restored",
                            "The bytes of a document that was damaged are right again."},
};

struct audit_table documents_audit_table(void)
{
    return (struct audit_table){documents_actions, DOCUMENTS_ACTIONS};
}

enum err documents_init(struct documents *documents, const struct documents_config *config,
                        struct store *store, struct documents_port port, struct why *why)
{
    documents_metrics_register();
    struct documents_store *files = NULL;
    bool in_bucket = strncmp(config->store, "s3://", strlen("s3://")) == 0;
    if (!in_bucket && config->store[0] != '\0') {
        return why_set(why, ERR_CONFIG, "documents.store",
                       "documents.store must be empty or s3://BUCKET/PREFIX.");
    }
    enum err e = in_bucket ? documents_store_s3(config, &files, why)
                           : documents_store_local(config->dir, &files, why);
    if (e == OK) {
        *documents =
            (struct documents){.config = config, .store = store, .files = files, .port = port};
        arena_init(&documents->boot, 0);
    }
    return e;
}

void documents_clear(struct documents *documents)
{
    if (documents->files != NULL) {
        documents->files->ops->free(documents->files);
        documents->files = NULL;
        arena_free(&documents->boot);
    }
}

void documents_take(struct store_query *q, struct arena *arena, struct document *out)
{
    out->id = store_get_text(q, "document_id", arena);
    out->filename = store_get_text(q, "filename", arena);
    out->content_type = store_get_text(q, "content_type", arena);
    out->size = (uint64_t)store_get_i64(q, "file_size");
    store_get_fixed(q, "file_hash", out->hash.bytes, HASH_BYTES);
    out->cid = store_get_text(q, "cid", arena);
    out->type = store_get_text(q, "document_type", arena);
    out->state = store_get_text(q, "state", arena);
    out->uploaded_by = store_get_text(q, "uploaded_by", arena);
    out->created_usec = store_get_time(q, "created_at");
    out->verified_usec = store_get_time(q, "verified_at");
    out->checked_usec = store_get_time(q, "checked_at");
}

enum err documents_get(struct store_tx *tx, struct arena *arena, struct slice id,
                       struct document *out, struct why *why)
{
    struct document found = {.size = 0};
    struct store_query q;
    store_begin(&q, tx, &documents_sql_get);
    store_bind_text(&q, "document_id", id);
    if (store_step(&q)) {
        documents_take(&q, arena, &found);
    }
    enum err e = store_finish_one(&q, "document", why);
    if (e == OK) {
        *out = found;
    }
    return e;
}

enum err documents_audit(struct store_tx *tx, struct arena *arena, struct audit_entry entry,
                         enum documents_action action, struct slice id, struct why *why)
{
    entry.action = &documents_actions[action];
    entry.subject = slice_format(arena, "document/%.*s", SLICE_ARG(id));
    return audit_write(tx, &entry, why);
}
