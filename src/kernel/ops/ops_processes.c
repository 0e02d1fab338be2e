#include "kernel/ops/ops_internal.h"

static void text_or_null(struct json_out *j, const char *key, struct slice text)
{
    json_key(j, key);
    if (text.len > 0) {
        json_string(j, text);
    } else {
        json_null(j);
    }
}

void ops_processes_json(struct json_out *j, const struct store_process_row *rows, size_t count)
{
    json_key(j, "processes");
    json_begin_array(j);
    for (size_t i = 0; i < count; i++) {
        json_begin_object(j);
        json_key(j, "processId");
        json_string(j, rows[i].id);
        json_key(j, "host");
        json_string(j, rows[i].host);
        json_key(j, "pid");
        json_i64(j, rows[i].pid);
        json_key(j, "roles");
        json_string(j, rows[i].roles);
        json_key(j, "version");
        json_string(j, rows[i].version);
        json_key(j, "startedAt");
        json_time(j, rows[i].started_usec);
        json_key(j, "alive");
        json_bool(j, rows[i].alive);
        json_end_object(j);
    }
    json_end_array(j);
}

void ops_leases_json(struct json_out *j, const struct store_lease_row *rows, size_t count)
{
    json_key(j, "leases");
    json_begin_array(j);
    for (size_t i = 0; i < count; i++) {
        json_begin_object(j);
        json_key(j, "name");
        json_string(j, rows[i].name);
        text_or_null(j, "owner", rows[i].owner);
        text_or_null(j, "host", rows[i].host);
        json_key(j, "pid");
        if (rows[i].host.len > 0) {
            json_i64(j, rows[i].pid);
        } else {
            json_null(j);
        }
        json_key(j, "fence");
        json_u64(j, rows[i].fence);
        json_key(j, "since");
        json_time(j, rows[i].since_usec);
        json_key(j, "alive");
        json_bool(j, rows[i].alive);
        json_end_object(j);
    }
    json_end_array(j);
}

static enum err read_all(struct store_tx *tx, void *ctx, struct why *why)
{
    struct http_call *call = ctx;
    struct store_process_row *processes = NULL;
    struct store_lease_row *leases = NULL;
    size_t process_count = 0;
    size_t lease_count = 0;
    enum err e = store_processes_list(tx, call->req, &processes, &process_count, why);
    if (e == OK) {
        e = store_leases_list(tx, call->req, &leases, &lease_count, why);
    }
    if (e == OK) {
        json_begin_object(call->out);
        ops_processes_json(call->out, processes, process_count);
        ops_leases_json(call->out, leases, lease_count);
        json_end_object(call->out);
    }
    return e;
}

enum err ops_processes(struct http_call *call, struct why *why)
{
    struct ops *ops = call->ctx;
    return store_read(ops->store, read_all, call, why);
}
