/*
 * cmd_leases.c: which processes work on the database, and what each of them has.
 */
#include "app/commands.h"
#include "kernel/base/clock.h"
#include "kernel/ops/ops.h"
#include "kernel/store/store_lease.h"

struct listing {
    struct arena arena;
    struct store_process_row *processes;
    size_t process_count;
    struct store_lease_row *leases;
    size_t lease_count;
};

static enum err list(struct store_tx *tx, void *ctx, struct why *why)
{
    struct listing *l = ctx;
    enum err e = store_processes_list(tx, &l->arena, &l->processes, &l->process_count, why);
    return e == OK ? store_leases_list(tx, &l->arena, &l->leases, &l->lease_count, why) : e;
}

static void print_text(const struct listing *l)
{
    char since[CLOCK_TEXT_MAX];
    for (size_t i = 0; i < l->process_count; i++) {
        const struct store_process_row *p = &l->processes[i];
        (void)clock_format(p->started_usec, since);
        (void)printf("%-38.*s %.*s:%lld  %.*s  since %s%s\n", SLICE_ARG(p->id), SLICE_ARG(p->host),
                     (long long)p->pid, SLICE_ARG(p->roles), since, p->alive ? "" : "  (silent)");
    }
    for (size_t i = 0; i < l->lease_count; i++) {
        const struct store_lease_row *r = &l->leases[i];
        (void)clock_format(r->since_usec, since);
        (void)printf("%-60.*s fence %llu  %.*s  since %s%s\n", SLICE_ARG(r->name),
                     (unsigned long long)r->fence,
                     SLICE_ARG(r->owner.len > 0 ? r->owner : SLICE_LIT("nobody")), since,
                     r->alive || r->owner.len == 0 ? "" : "  (silent)");
    }
}

static void print_json(const struct listing *l, struct arena *arena)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, arena, 2048);
    json_out_init(&j, &b);
    json_begin_object(&j);
    json_key(&j, "success");
    json_bool(&j, true);
    ops_processes_json(&j, l->processes, l->process_count);
    ops_leases_json(&j, l->leases, l->lease_count);
    json_end_object(&j);
    buf_add_byte(&b, '\n');
    cli_print(buf_slice(&b));
}

static enum err run_leases(struct cli *cli, struct store *store, const struct settings *settings,
                           struct why *why)
{
    (void)settings;
    struct listing l = {0};
    arena_init(&l.arena, 0);
    enum err e = store_read(store, list, &l, why);
    if (e == OK && cli->json) {
        print_json(&l, &l.arena);
    } else if (e == OK) {
        print_text(&l);
    }
    arena_free(&l.arena);
    return e;
}

enum err command_leases(struct cli *cli, struct why *why)
{
    return command_with_store(cli, true, run_leases, why);
}
