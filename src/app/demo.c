/*
 * demo.c: runs the steps of a demo, prints what each found, stops everything on every way out.
 */
#include "app/demo.h"

#include <signal.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/devchain.h"
#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/base/log.h"
#include "kernel/crypto/keystore.h"

struct demo_kind_row {
    const char *name;
    enum demo_kind kind;
};

static const struct demo_kind_row kinds[] = {
    {"complete", DEMO_COMPLETE}, {"asset", DEMO_ASSET}, {"lease", DEMO_LEASE},
    {"revenue", DEMO_REVENUE},   {"x402", DEMO_X402},
};

struct totals {
    unsigned steps;
    unsigned passed;
    int64_t chain_usec;
    int64_t total_usec;
};

/* ---- printing ---- */

static void gas_text(uint64_t gas, char out[32])
{
    if (gas >= 1000000) {
        (void)snprintf(out, 32, "%llu,%03llu,%03llu", (unsigned long long)(gas / 1000000),
                       (unsigned long long)(gas / 1000 % 1000), (unsigned long long)(gas % 1000));
    } else {
        (void)snprintf(out, 32, "%llu,%03llu", (unsigned long long)(gas / 1000),
                       (unsigned long long)(gas % 1000));
    }
}

static void print_step_text(unsigned number, unsigned count, const struct demo_step *step,
                            const struct demo_note *note, int64_t usec, enum err e,
                            const struct why *why)
{
    (void)printf("[%2u/%u] %-22s %s  %lld.%03lld s\n", number, count, step->title,
                 e == OK ? "passed" : "FAILED", (long long)(usec / USEC_PER_SEC),
                 (long long)(usec / 1000 % 1000));
    for (size_t i = 0; i < note->fact_count; i++) {
        (void)printf("          %-20s %.*s\n", note->facts[i].key, SLICE_ARG(note->facts[i].text));
    }
    for (size_t i = 0; i < note->tx_count; i++) {
        char hash[2 * HASH_BYTES + 3];
        char gas[32];
        hex_encode_to(hash_slice(&note->txs[i].hash), hash);
        gas_text(note->txs[i].gas_used, gas);
        (void)printf("          tx %s  gas %s  %.*s\n", hash, gas, SLICE_ARG(note->txs[i].purpose));
    }
    if (e != OK) {
        (void)printf("          %s\n", why_text(why, e));
    }
    (void)fflush(stdout);
}

static void json_seconds(struct json_out *j, int64_t usec)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld.%06lld", (long long)(usec / USEC_PER_SEC),
                   (long long)(usec % USEC_PER_SEC));
    json_raw(j, slice_text(text));
}

/* The first fact of that key at or behind a place; the number of facts when there is none. */
static size_t find_fact(const struct demo_note *note, const char *key, size_t from)
{
    while (from < note->fact_count && strcmp(note->facts[from].key, key) != 0) {
        from++;
    }
    return from;
}

/* What occurs more than once, a holder for instance, becomes an array. */
static void json_facts(struct json_out *j, const struct demo_note *note)
{
    json_begin_object(j);
    for (size_t i = 0; i < note->fact_count; i++) {
        const char *key = note->facts[i].key;
        bool listed = find_fact(note, key, 0) < i;
        bool alone = find_fact(note, key, i + 1) == note->fact_count;
        if (listed) {
            continue;
        }
        json_key(j, key);
        if (alone) {
            json_string(j, note->facts[i].text);
            continue;
        }
        json_begin_array(j);
        for (size_t k = i; k < note->fact_count; k = find_fact(note, key, k + 1)) {
            json_string(j, note->facts[k].text);
        }
        json_end_array(j);
    }
    json_end_object(j);
}

static void print_step_json(unsigned number, const struct demo_step *step,
                            const struct demo_note *note, int64_t usec, enum err e,
                            const struct why *why)
{
    struct arena arena;
    struct buf b;
    struct json_out j;
    arena_init(&arena, 0);
    buf_init(&b, &arena, 2048);
    json_out_init(&j, &b);
    json_begin_object(&j);
    json_key(&j, "step");
    json_u64(&j, number);
    json_key(&j, "name");
    json_text(&j, step->name);
    json_key(&j, "passed");
    json_bool(&j, e == OK);
    json_key(&j, "seconds");
    json_seconds(&j, usec);
    json_key(&j, "facts");
    json_facts(&j, note);
    json_key(&j, "transactions");
    json_begin_array(&j);
    for (size_t i = 0; i < note->tx_count; i++) {
        json_begin_object(&j);
        json_key(&j, "hash");
        json_hex(&j, hash_slice(&note->txs[i].hash));
        json_key(&j, "gasUsed");
        json_u64(&j, note->txs[i].gas_used);
        json_key(&j, "purpose");
        json_string(&j, note->txs[i].purpose);
        json_end_object(&j);
    }
    json_end_array(&j);
    if (e != OK) {
        json_key(&j, "error");
        json_text(&j, why_text(why, e));
        json_key(&j, "code");
        json_text(&j, err_code(e));
    }
    json_end_object(&j);
    buf_add_byte(&b, '\n');
    cli_print(buf_slice(&b));
    arena_free(&arena);
}

static void print_summary(const struct demo *demo, const struct totals *t)
{
    if (demo->cli->json) {
        struct arena arena;
        struct buf b;
        struct json_out j;
        arena_init(&arena, 0);
        buf_init(&b, &arena, 512);
        json_out_init(&j, &b);
        json_begin_object(&j);
        json_key(&j, "steps");
        json_u64(&j, t->steps);
        json_key(&j, "passed");
        json_u64(&j, t->passed);
        json_key(&j, "chainSeconds");
        json_seconds(&j, t->chain_usec);
        json_key(&j, "totalSeconds");
        json_seconds(&j, t->total_usec);
        if (demo->keep) {
            json_key(&j, "url");
            json_text(&j, demo->url);
            json_key(&j, "rpc");
            json_text(&j, demo->rpc_url);
            json_key(&j, "pid");
            json_i64(&j, demo->pid);
            json_key(&j, "dir");
            json_text(&j, demo->dir);
        }
        json_end_object(&j);
        buf_add_byte(&b, '\n');
        cli_print(buf_slice(&b));
        arena_free(&arena);
        return;
    }
    (void)printf("\n%u of %u steps passed; %lld.%03lld s of chain work, %lld.%03lld s in all.\n",
                 t->passed, t->steps, (long long)(t->chain_usec / USEC_PER_SEC),
                 (long long)(t->chain_usec / 1000 % 1000),
                 (long long)(t->total_usec / USEC_PER_SEC),
                 (long long)(t->total_usec / 1000 % 1000));
    if (demo->keep) {
        (void)printf("\nKept running: API %s, chain %s, data %s.\nStop %s with: kill %ld\n",
                     demo->url, demo->rpc_url, demo->dir,
                     demo->given_rpc != NULL ? "the daemon" : "both", (long)demo->pid);
    }
}

/* ---- running ---- */

static enum err find_kind(const struct cli *cli, enum demo_kind *out, struct why *why)
{
    const char *word = cli_word(cli, 0);
    struct slice name = slice_text(word != NULL ? word : "complete");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (slice_equal_text(name, kinds[i].name)) {
            *out = kinds[i].kind;
            return OK;
        }
    }
    return why_set(why, ERR_USAGE, NULL, "demo complete, asset, lease, revenue or x402");
}

/*
 * The only setting that a demo takes. Not from a file or the environment: what is meant for the
 * daemon of this machine must not lead the demo into its database.
 */
static enum err take_settings(struct demo *demo, const struct cli *cli, struct why *why)
{
    for (size_t i = 0; i < cli->setting_count; i++) {
        if (strcmp(cli->settings[i].key, "store.url") != 0) {
            return why_set(why, ERR_USAGE, cli->settings[i].key,
                           "the demo takes no setting but --store.url");
        }
        demo->given_store = cli->settings[i].value;
    }
    return OK;
}

static enum err prepare(struct demo *demo, struct cli *cli, struct why *why)
{
    memset(demo, 0, sizeof *demo);
    demo->cli = cli;
    demo->keep = cli_option_value(cli, "keep") != NULL;
    demo->given_rpc = cli_option_value(cli, "rpc");
    arena_init(&demo->arena, 256 * 1024);
    buf_init(&demo->lines, &demo->arena, 4096);
    net_start();
    demo->http = net_client_new();
    const char *file = cli_option_value(cli, "contracts");
    if ((file == NULL) != (demo->given_rpc == NULL)) {
        return why_set(why, ERR_USAGE, NULL, "--rpc and --contracts go together");
    }
    if (demo->given_rpc != NULL && demo->given_rpc[0] == '\0') {
        return why_set(why, ERR_USAGE, NULL, "--rpc needs the URL of a node");
    }
    enum err e = take_settings(demo, cli, why);
    if (e == OK && file != NULL) {
        e = deployment_read(file, &demo->contracts, why);
    }
    for (uint32_t i = 0; e == OK && i < DEMO_PARTIES; i++) {
        e = keystore_mnemonic_key(SLICE_LIT(DEVCHAIN_MNEMONIC), i, &demo->keys[i]);
        if (e == OK) {
            e = secp256k1_address(&demo->keys[i], &demo->parties[i]);
        }
    }
    return e;
}

/* Stops everything. `e` is what went wrong before; the daemon's end is news only next to that. */
static enum err finish(struct demo *demo, enum err e, struct why *why)
{
    struct why end = {.err = OK};
    store_close(demo->store);
    rpc_pool_free(demo->rpc);
    net_client_free(demo->http);
    enum err ended = demo_daemon_stop(demo, &end);
    if (ended != OK && e != OK) {
        (void)fprintf(stderr, "freehold: %s\n", why_text(&end, ended));
    } else if (ended != OK) {
        e = why_set(why, ended, NULL, "%s", why_text(&end, ended));
    }
    for (size_t i = 0; i < DEMO_PARTIES; i++) {
        secret_clear(&demo->keys[i]);
    }
    arena_free(&demo->arena);
    return e;
}

static enum err run_steps(struct demo *demo, enum demo_kind kind, struct totals *totals,
                          struct why *why)
{
    unsigned count = 0;
    for (size_t i = 0; i < demo_step_count; i++) {
        count += (demo_steps[i].demos & kind) != 0;
    }
    totals->steps = count;
    unsigned number = 0;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < demo_step_count; i++) {
        const struct demo_step *step = &demo_steps[i];
        if ((step->demos & kind) == 0) {
            continue;
        }
        struct demo_note note = {.fact_count = 0};
        demo->note = &note; /* cppcheck-suppress autoVariables; cleared below */
        int64_t started = clock_mono_usec();
        e = step->run(demo, why);
        if (demo_signal_caught() != 0) {
            e = demo_check_signal(why); /* the reason of whatever else went wrong */
        }
        int64_t usec = clock_mono_usec() - started;
        demo->note = NULL;
        totals->chain_usec += step->chain ? usec : 0;
        totals->passed += e == OK;
        number++;
        if (demo->cli->json) {
            print_step_json(number, step, &note, usec, e, why);
        } else {
            print_step_text(number, count, step, &note, usec, e, why);
        }
        if (e == OK && ferror(stdout) != 0) {
            e = why_set(why, ERR_IO, NULL, "nobody reads the standard output any more");
        }
    }
    return e;
}

enum err command_demo(struct cli *cli, struct why *why)
{
    struct demo demo;
    struct totals totals = {0};
    enum demo_kind kind = DEMO_COMPLETE;
    int64_t started = clock_mono_usec();
    log_set_level(LOG_ERROR);
    enum err e = find_kind(cli, &kind, why);
    if (e != OK) {
        return e;
    }
    demo_catch_signals();
    e = prepare(&demo, cli, why);
    if (e == OK) {
        demo.pays = kind == DEMO_X402;
        e = run_steps(&demo, kind, &totals, why);
        if (e == OK && demo.keep) {
            e = demo_daemon_release(&demo, why);
        }
        demo.keep = demo.keep && e == OK;
        totals.total_usec = clock_mono_usec() - started;
        print_summary(&demo, &totals);
    }
    e = finish(&demo, e, why);
    if (demo_signal_caught() != 0) {
        /* Who sent the signal learns that it is what ended us; its handler has been reset. */
        (void)raise(demo_signal_caught());
    }
    return e;
}
