/* What is written into the audit log of jobs: that one is dead, where it became so. */
#include "kernel/jobs/jobs_audit.h"

static const struct audit_action dead = {
    "jobs.died", "A job failed for good; details have its kind, its attempts and the code of why."};

struct audit_table jobs_audit_table(void)
{
    return (struct audit_table){&dead, 1};
}

enum err jobs_audit_dead(struct store_tx *tx, struct jobs_hold hold, struct slice kind,
                         uint32_t attempt, enum err reason, struct why *why)
{
    struct arena scratch;
    struct buf details;
    struct json_out j;
    arena_init(&scratch, 1024);
    buf_init(&details, &scratch, 256);
    json_out_init(&j, &details);
    json_begin_object(&j);
    json_key(&j, "kind");
    json_string(&j, kind);
    json_key(&j, "attempt");
    json_u64(&j, attempt);
    json_key(&j, "code");
    json_string(&j, slice_text(err_code(reason)));
    json_end_object(&j);
    const struct audit_entry entry = {
        .action = &dead,
        .actor_kind = AUDIT_SYSTEM,
        .actor = SLICE_LIT("jobs"),
        .subject = slice_format(&scratch, "job/%lld", (long long)hold.id),
        .outcome = AUDIT_FAILED,
        .details = buf_slice(&details),
        .job_id = hold.id,
    };
    enum err e = audit_write(tx, &entry, why);
    arena_free(&scratch);
    return e;
}
