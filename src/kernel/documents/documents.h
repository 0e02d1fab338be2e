/*
 * documents.h: files that agreements refer to: uploaded once, kept under the hash of their bytes,
 * proven from time to time.
 *
 * A document is a row and its bytes. The bytes are in a store (documents_store.h) under their
 * SHA-256, so that the same file is there once, whoever uploads it under whatever name: the second
 * upload answers with the first one's row. Only PDFs are taken, and what is one is told by the
 * content. Links say which assets and leases a document belongs to. Its `cid` is the name that IPFS
 * has for the same bytes (crypto/cid.h), computed here: no node is asked.
 *
 *   (bytes arrive, hashed, without a name) --put--> bytes durable --commit--> STORED
 *   STORED --a look finds other bytes--> DAMAGED       STORED --finds none--> MISSING
 *   DAMAGED, MISSING --the same file is uploaded again, or is found to be right--> STORED
 *   any --delete, while it belongs to nothing--> (no row) --remove--> (no bytes)
 *
 * Crash points: before the put is done: nothing, but for a half-written file which has no name of
 * a document. Between put and commit: bytes that no row knows; between the commit of a delete and
 * the removal: the same. The sweep removes them when they are an hour old. There is never a row
 * whose bytes were not durable first. An upload holds the store (shared) from its put to its
 * commit, and a removal holds it alone, from looking for a row to the end: so nothing is removed
 * that somebody is about to refer to.
 *
 * In a bucket (documents.store) the hold reaches as far as this machine: between the look for a row
 * and the removal another machine may upload the same file. The sweep would tell of it, as missing.
 *
 * Proof: POST …/verify reads the bytes again and compares; the job documents.sweep does so for all,
 * those first that were not looked at for longest. What is not right any more is logged
 * (documents.damaged), counted, recorded in the audit log, and not served: downloads fail with
 * `corrupt`.
 *
 * Threads: all functions from anywhere.
 */
#ifndef KERNEL_DOCUMENTS_DOCUMENTS_H
#define KERNEL_DOCUMENTS_DOCUMENTS_H

#include "kernel/audit/audit.h"
#include "kernel/base/config.h"
#include "kernel/documents/documents_store.h"
#include "kernel/http/http.h"
#include "kernel/jobs/jobs.h"
#include "kernel/store/store.h"

struct documents_config {
    const char *dir;
    const char *store;  /* "": the folder; s3://BUCKET/PREFIX */
    uint64_t bytes_max; /* of one document */
    const char *s3_endpoint;
    const char *s3_region;
    bool s3_path_style;
    struct secret s3_access_key;
    struct secret s3_secret_key;
    struct secret s3_session_token;
};

/* documents_config_rows are the rows of section "documents". */
extern const struct config_row documents_config_rows[];
extern const size_t documents_config_row_count;

/* What documents ask of those whose assets and leases they belong to. */
struct documents_port {
    enum err (*has)(void *ctx, struct store_tx *tx, struct slice kind, struct slice id,
                    bool *out_has, struct why *why);
    void *ctx;
};

struct documents {
    const struct documents_config *config;
    struct store *store;
    struct documents_store *files;
    struct documents_port port;
    struct arena boot;
    struct http_route *routes;
};

/*
 * documents_store_s3 opens the bucket of `store`; credentials are of the configuration, or of the
 * usual variables of the environment. The configuration must outlive it. Owns: the caller,
 * ops->free. Errors: ERR_CONFIG.
 */
enum err documents_store_s3(const struct documents_config *config, struct documents_store **out,
                            struct why *why) ERR_CHECKED;

/*
 * documents_init opens the store of bytes, making its folders. Owns: the caller, documents_clear.
 * Errors: ERR_CONFIG.
 */
enum err documents_init(struct documents *documents, const struct documents_config *config,
                        struct store *store, struct documents_port port,
                        struct why *why) ERR_CHECKED;
/* documents_clear frees; one that is zero is fine. */
void documents_clear(struct documents *documents);

/* documents_http_table makes the routes; NULL gives a table to look at. */
struct http_table documents_http_table(struct documents *documents);
/* documents_job_table makes the jobs; NULL gives a table to look at. */
struct job_table documents_job_table(struct documents *documents);
/* documents_audit_table has the actions. */
struct audit_table documents_audit_table(void);
/* documents_metrics_register makes the metric rows part of /metrics and of the reference, once. */
void documents_metrics_register(void);

#endif
