/*
 * documents_internal.h: what the files of this folder share. Private to it.
 */
#ifndef KERNEL_DOCUMENTS_DOCUMENTS_INTERNAL_H
#define KERNEL_DOCUMENTS_DOCUMENTS_INTERNAL_H

#include "kernel/base/metric.h"
#include "kernel/documents/documents.h"

#define DOCUMENTS_NAME_BYTES_MAX 255
#define DOCUMENTS_DESCRIPTION_BYTES_MAX 1000
#define DOCUMENTS_SUBJECT_BYTES_MAX 128

/* ---- documents_rules.c: decisions, without I/O ---- */

/* documents_type_of infers the type of a document from its name (seed 000 section 4.1). */
const char *documents_type_of(struct slice filename);
/* documents_type_find returns the type of that name, or NULL. */
const char *documents_type_find(struct slice name);
/* documents_name_check refuses what is no plain file name. Errors: ERR_INVALID_FIELD. */
enum err documents_name_check(struct slice filename, struct why *why) ERR_CHECKED;
/*
 * documents_pdf_check refuses what is no whole PDF, by its first and last bytes (ISO 32000-1
 * sections 7.5.2 and 7.5.5). Errors: ERR_UNSUPPORTED_MEDIA.
 */
enum err documents_pdf_check(struct slice head, struct slice tail, struct why *why) ERR_CHECKED;
#define DOCUMENTS_PDF_HEAD_BYTES 16
#define DOCUMENTS_PDF_TAIL_BYTES 1024

/* ---- documents.c ---- */

struct document {
    struct slice id;
    struct slice filename;
    struct slice content_type;
    uint64_t size;
    struct hash hash;
    struct slice cid;
    struct slice type;
    struct slice state;
    struct slice uploaded_by;
    int64_t created_usec;
    int64_t verified_usec;
    int64_t checked_usec;
};

enum documents_action {
    DOCUMENTS_UPLOADED,
    DOCUMENTS_LINKED,
    DOCUMENTS_UNLINKED,
    DOCUMENTS_DELETED,
    DOCUMENTS_DAMAGED,
    DOCUMENTS_RESTORED,
    DOCUMENTS_ACTIONS
};

extern const struct audit_action documents_actions[DOCUMENTS_ACTIONS];

enum documents_metric {
    DOCUMENTS_METRIC_UPLOADED,
    DOCUMENTS_METRIC_KNOWN,
    DOCUMENTS_METRIC_BYTES,
    DOCUMENTS_METRIC_VERIFIED,
    DOCUMENTS_METRIC_FAILED,
    DOCUMENTS_METRIC_DAMAGED,
    DOCUMENTS_METRIC_TOTAL,
    DOCUMENTS_METRIC_ORPHANS,
    DOCUMENTS_METRIC_COUNT
};

extern struct metric_value documents_metrics[DOCUMENTS_METRIC_COUNT];

/* documents_take reads a row of documents. Owns: the arena. */
void documents_take(struct store_query *q, struct arena *arena, struct document *out);
/* documents_get reads a document by its id. Errors: ERR_NOT_FOUND. */
enum err documents_get(struct store_tx *tx, struct arena *arena, struct slice id,
                       struct document *out, struct why *why) ERR_CHECKED;
/* documents_audit records an action in its transaction; `entry` says who acts. */
enum err documents_audit(struct store_tx *tx, struct arena *arena, struct audit_entry entry,
                         enum documents_action action, struct slice id,
                         struct why *why) ERR_CHECKED;

/* ---- documents_check.c ---- */

/* Told from time to time while bytes are read; NULL does nothing. */
typedef enum err (*documents_beat_fn)(void *ctx, struct why *why);

/*
 * documents_check reads a document's bytes and notes what it found; `doc->state` is that
 * afterwards. Errors: those of the store, of the stores of bytes but ERR_NOT_FOUND, of the beat.
 */
enum err documents_check(struct documents *d, struct arena *arena, struct document *doc,
                         struct audit_entry by, documents_beat_fn beat, void *ctx,
                         struct why *why) ERR_CHECKED;
/* documents_remove removes bytes that no row knows. Errors: those of the stores. */
enum err documents_remove(struct documents *d, const struct hash *hash, bool *out_removed,
                          struct why *why) ERR_CHECKED;

/* ---- documents_api.c, documents_upload.c ---- */

/* documents_json writes a document. */
void documents_json(struct json_out *j, const struct document *doc);
/* documents_subject_check says whether there is such an asset or lease. Errors: ERR_NOT_FOUND. */
enum err documents_subject_check(struct documents *d, struct store_tx *tx, struct slice kind,
                                 struct slice id, struct why *why) ERR_CHECKED;
/* documents_link_write links a document and records that, once. */
enum err documents_link_write(struct store_tx *tx, struct http_call *call, struct slice id,
                              struct slice kind, struct slice subject, struct slice description,
                              struct why *why) ERR_CHECKED;
/* documents_upload is the handler of POST /documents. */
enum err documents_upload(struct http_call *call, struct why *why) ERR_CHECKED;

#endif
