#include "kernel/ops/ops_internal.h"

#include "kernel/audit/audit.h"
#include "kernel/backup/backup_runs.h"
#include "kernel/base/metric.h"

enum health {
    HEALTHY,
    DEGRADED,
    UNHEALTHY,
};

static const char *health_text(enum health h)
{
    switch (h) {
    case HEALTHY:
        return "healthy";
    case DEGRADED:
        return "degraded";
    case UNHEALTHY:
        return "unhealthy";
    }
    return "unhealthy";
}

static enum health worse(enum health a, enum health b)
{
    return a > b ? a : b;
}

struct database_look {
    int64_t dead;
    uint64_t chain_id; /* in */
    bool read;         /* what follows was read */
    size_t wallets_low;
    int64_t backup_usec; /* of the last good one; 0: there is none */
    int64_t verified_usec;
    struct audit_head audit;
};

static enum err look_at_wallets(struct store_tx *tx, struct database_look *look, struct why *why)
{
    struct arena scratch;
    struct relay_wallet_row *wallets = NULL;
    size_t count = 0;
    arena_init(&scratch, 0);
    enum err e = relay_wallets(tx, &scratch, look->chain_id, &wallets, &count, why);
    look->wallets_low = 0;
    for (size_t i = 0; e == OK && i < count; i++) {
        look->wallets_low += wallets[i].low;
    }
    arena_free(&scratch);
    return e;
}

static enum err look_at_database(struct store_tx *tx, void *ctx, struct why *why)
{
    struct database_look *look = ctx;
    enum err e = jobs_count(tx, JOB_DEAD, &look->dead, why);
    if (e == OK) {
        e = backup_runs_last(tx, BACKUP_RUN_BACKUP, &look->backup_usec, why);
    }
    if (e == OK) {
        e = backup_runs_last(tx, BACKUP_RUN_VERIFY, &look->verified_usec, why);
    }
    if (e == OK) {
        e = look_at_wallets(tx, look, why);
    }
    return e == OK ? audit_head_read(tx, &look->audit, why) : e;
}

static void part(struct json_out *j, const char *name, enum health h, const char *detail)
{
    json_key(j, name);
    json_begin_object(j);
    json_key(j, "status");
    json_text(j, health_text(h));
    if (detail != NULL && detail[0] != '\0') {
        json_key(j, "detail");
        json_text(j, detail);
    }
}

static enum health database_part(struct ops *ops, struct json_out *j, enum health *jobs,
                                 struct database_look *look)
{
    struct why why = {0};
    struct store_writing writing;
    enum err e = store_read(ops->store, look_at_database, look, &why);
    store_writing_look(ops->store, &writing);
    look->read = e == OK;
    if (e == OK && writing.own != OK) {
        e = why_set(&why, writing.own, NULL, "nothing can be written: %s",
                    why_text(&writing.own_why, writing.own));
    }
    enum health h = e != OK ? UNHEALTHY : writing.others != OK ? DEGRADED : HEALTHY;
    part(j, "database", h,
         e != OK                ? why_text(&why, e)
         : writing.others != OK ? err_sentence(writing.others)
                                : NULL);
    json_key(j, "reads");
    json_bool(j, look->read);
    json_key(j, "writes");
    json_bool(j, h == HEALTHY);
    json_key(j, "url");
    json_text(j, store_url_shown(ops->store));
    json_end_object(j);
    *jobs = (uint64_t)look->dead > ops->dead_alert ? DEGRADED : HEALTHY;
    return h;
}

/* The head is for whoever keeps it elsewhere: `freehold audit verify --head`. */
static void audit_part(struct json_out *j, bool read, const struct audit_head *head)
{
    char text[AUDIT_PLACE_TEXT_MAX];
    part(j, "audit", read ? HEALTHY : UNHEALTHY, NULL);
    if (read) {
        audit_place_format(&head->place, text);
        json_key(j, "head");
        json_text(j, text);
        json_key(j, "sealedAt");
        json_time(j, head->sealed_usec);
    }
    json_end_object(j);
}

static const char *verify_text(enum chain_verify verify)
{
    switch (verify) {
    case CHAIN_VERIFY_FULL:
        return "full";
    case CHAIN_VERIFY_HEADERS:
        return "headers";
    case CHAIN_VERIFY_TRUSTED:
        return "trusted: answers of nodes are not proven";
    }
    return "";
}

static const char *follow_text(const struct chain_status *s)
{
    if (!s->final_unknown) {
        return chain_follow_name(s->follow);
    }
    return s->follow == CHAIN_FOLLOW_SAFE
               ? "safe: the node does not know it, chain.confirmations count instead"
               : "finalized: the node does not know it, chain.confirmations count instead";
}

static enum health chain_part(struct ops *ops, struct json_out *j)
{
    struct chain_status s;
    chain_status_read(ops->chain, &s);
    bool waits = s.owned && s.waiting_why[0] != '\0';
    enum health h = s.halted ? UNHEALTHY : s.node_ok && s.followed && !waits ? HEALTHY : DEGRADED;
    part(j, "chain", h,
         s.halted      ? s.halted_why
         : !s.followed ? "no process applies its blocks at the moment"
         : waits       ? s.waiting_why
         : s.node_ok   ? NULL
                       : "no node answers at the moment");
    json_key(j, "verify");
    json_text(j, verify_text(s.verify));
    json_key(j, "follow");
    json_text(j, follow_text(&s));
    if (s.final_block > 0) {
        json_key(j, "finalBlock");
        json_u64(j, s.final_block);
    }
    json_key(j, "synced");
    json_bool(j, s.synced && h == HEALTHY);
    json_key(j, "chainId");
    json_u64(j, s.chain_id);
    json_key(j, "block");
    json_u64(j, s.cursor_block);
    json_key(j, "head");
    json_u64(j, s.head_block);
    json_key(j, "lagBlocks");
    json_u64(j, s.head_block > s.cursor_block ? s.head_block - s.cursor_block : 0);
    json_key(j, "reorgs");
    json_u64(j, s.reorgs);
    json_key(j, "eventsFailed");
    json_u64(j, s.events_failed);
    rpc_health(ops->rpc, j);
    rpc_stream_health(chain_stream(ops->chain), j);
    json_end_object(j);
    return h;
}

static void age(struct json_out *j, const char *key, int64_t since_usec, int64_t now_usec)
{
    json_key(j, key);
    if (since_usec == 0) {
        json_null(j);
    } else {
        json_i64(j, (now_usec - since_usec) / USEC_PER_SEC);
    }
}

/* A backup that is not due yet since this process began is not missed. */
static enum health backup_part(const struct ops *ops, struct json_out *j,
                               const struct database_look *look)
{
    int64_t now = clock_wall_usec();
    int64_t since = look->backup_usec > 0 ? look->backup_usec : ops->started_usec;
    enum health h = ops->backups && now - since > ops->backup_age_usec_max ? DEGRADED : HEALTHY;
    part(j, "backup", h, h == HEALTHY ? NULL : "there is no good backup that is young enough");
    json_key(j, "scheduled");
    json_bool(j, ops->backups);
    age(j, "ageSeconds", look->backup_usec, now);
    age(j, "verifiedAgeSeconds", look->verified_usec, now);
    json_end_object(j);
    return h;
}

/* What only one process does, as this one sees it. */
static void leases_part(const struct ops *ops, struct json_out *j)
{
    struct store_lease_state states[STORE_LEASES_MAX];
    size_t count = store_lease_states(ops->store, states, STORE_LEASES_MAX);
    json_key(j, "leases");
    json_begin_array(j);
    for (size_t i = 0; i < count && i < STORE_LEASES_MAX; i++) {
        json_begin_object(j);
        json_key(j, "name");
        json_text(j, states[i].name);
        json_key(j, "state");
        json_text(j, states[i].held ? "held" : "standby");
        json_key(j, "fence");
        json_u64(j, states[i].fence);
        json_end_object(j);
    }
    json_end_array(j);
}

static enum health relay_part(const struct ops *ops, struct json_out *j,
                              const struct database_look *look)
{
    bool working = relay_is_working(ops->relay);
    enum health h = working && look->wallets_low == 0 ? HEALTHY : DEGRADED;
    part(j, "relay", h,
         !working                ? "no process sends transactions at the moment"
         : look->wallets_low > 0 ? "a wallet has less than ops.balance_critical"
                                 : NULL);
    json_key(j, "walletsLow");
    json_u64(j, look->wallets_low);
    json_end_object(j);
    return h;
}

/* Redis that is configured and gone costs shared limits and speed, nothing else. */
static enum health cache_part(const struct ops *ops, struct json_out *j)
{
    struct why why = {0};
    enum cache_state state = cache_state_read(ops->cache, &why);
    if (state == CACHE_OFF) {
        return HEALTHY;
    }
    enum health h = state == CACHE_SHARED ? HEALTHY : DEGRADED;
    part(j, "cache", h, why.text[0] != '\0' ? why.text : NULL);
    json_end_object(j);
    return h;
}

enum err ops_health(struct http_call *call, struct why *why)
{
    (void)why;
    struct ops *ops = call->ctx;
    struct json_out j;
    json_out_init(&j, call->raw);
    enum health all = HEALTHY;
    enum health jobs = HEALTHY;
    struct database_look look = {.chain_id = ops->chain_id};
    struct buf parts;
    buf_init(&parts, call->req, 1024);
    struct json_out p;
    json_out_init(&p, &parts);
    json_begin_object(&p);
    all = worse(all, database_part(ops, &p, &jobs, &look));
    audit_part(&p, look.read, &look.audit);
    all = worse(all, chain_part(ops, &p));
    all = worse(all, relay_part(ops, &p, &look));
    all = worse(all, cache_part(ops, &p));
    all = worse(all, backup_part(ops, &p, &look));
    all = worse(all, jobs);
    part(&p, "jobs", jobs, NULL);
    json_key(&p, "dead");
    json_i64(&p, look.dead);
    json_end_object(&p);
    json_end_object(&p);
    json_begin_object(&j);
    json_key(&j, "success");
    json_bool(&j, all != UNHEALTHY);
    json_key(&j, "status");
    json_text(&j, health_text(all));
    json_key(&j, "service");
    json_text(&j, "freehold");
    json_key(&j, "version");
    json_text(&j, ops->version);
    json_key(&j, "process");
    json_text(&j, store_process_id(ops->store));
    json_key(&j, "roles");
    json_text(&j, ops->roles);
    leases_part(ops, &j);
    json_key(&j, "timestamp");
    json_time(&j, clock_wall_usec());
    json_key(&j, "uptimeSeconds");
    json_i64(&j, (clock_wall_usec() - ops->started_usec) / USEC_PER_SEC);
    json_key(&j, "parts");
    json_raw(&j, buf_slice(&parts));
    json_end_object(&j);
    call->content_type = "application/json";
    call->status = all == UNHEALTHY ? 503 : 200;
    return OK;
}

enum err ops_metrics(struct http_call *call, struct why *why)
{
    (void)why;
    call->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metric_render(call->raw);
    return OK;
}
