/*
 * cmd_assets.c: freehold assets import: registers the assets of a file, one POST /api/v1/assets a
 * row, so that the daemon checks, records and relays them like any other.
 *
 * The key of a row is its assetId. An asset that is there with the same content is left as it is:
 * a run that was cut short is gone on with by the same command, and nothing is asked for twice. A
 * row that the API refuses is reported with its line and its reason, and the next one follows. What
 * is no matter of the row (the daemon is away, the key is not valid) ends the run.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/asset_rows.h"
#include "app/commands.h"
#include "kernel/base/clock.h"
#include "kernel/net/http_client.h"

#define FILE_BYTES_MAX (UINT64_C(256) << 20)
#define KEY_BYTES_MAX 4096
#define ANSWER_BYTES_MAX (UINT64_C(4) << 20)
#define REQUEST_USEC_MAX (60 * (int64_t)USEC_PER_SEC)
#define TRIES_MAX 6
#define TELL_USEC 100000
#define BAR_CELLS 30

struct import {
    struct cli *cli;
    struct arena arena; /* of the whole run */
    struct asset_rows rows;
    struct net_client *http;
    const char *url;
    struct buf authorization; /* empty without a key */
    bool terminal;
    int64_t told_usec;
    uint64_t done;
    uint64_t created;
    uint64_t present;
    uint64_t refused;
};

/* ---- files ---- */

static enum err read_file(struct arena *arena, const char *path, uint64_t max, struct buf *out,
                          struct why *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return why_set(why, ERR_IO, NULL, "%s is not a file that can be read.", path);
    }
    if ((uint64_t)st.st_size > max) {
        (void)close(fd);
        return why_set(why, ERR_LIMIT, NULL, "%s has more than %llu bytes: split it.", path,
                       (unsigned long long)max);
    }
    uint8_t block[16384];
    ssize_t n = 1;
    buf_init(out, arena, (size_t)st.st_size + 1);
    while (n > 0 && out->len <= max) {
        n = read(fd, block, sizeof block);
        buf_add(out, block, n > 0 ? (size_t)n : 0);
    }
    mem_wipe(block, sizeof block);
    (void)close(fd);
    return n == 0 ? OK : why_set(why, ERR_IO, NULL, "%s could not be read.", path);
}

static enum err choose_format(const struct cli *cli, const char *path, enum asset_format *out,
                              struct why *why)
{
    struct slice name = slice_text(path);
    const char *given = cli_option_value(cli, "format");
    bool csv = given != NULL ? slice_equal_text(slice_text(given), "csv")
                             : slice_ends(name, SLICE_LIT(".csv"));
    bool lines = given != NULL ? slice_equal_text(slice_text(given), "jsonl")
                               : slice_ends(name, SLICE_LIT(".jsonl")) ||
                                     slice_ends(name, SLICE_LIT(".ndjson"));
    if (!csv && !lines) {
        return why_set(why, ERR_USAGE, NULL,
                       "Say with --format csv or --format jsonl what the file holds.");
    }
    *out = csv ? ASSET_CSV : ASSET_JSON_LINES;
    return OK;
}

/* ---- telling ---- */

static void clear_bar(struct import *i)
{
    if (i->terminal && i->told_usec != 0) {
        (void)fprintf(stderr, "\r\033[K");
    }
}

static void show_bar(struct import *i, bool last)
{
    int64_t now = clock_mono_usec();
    if (!i->terminal || (!last && now - i->told_usec < TELL_USEC)) {
        return;
    }
    char bar[BAR_CELLS + 1];
    size_t full = i->rows.total > 0 ? (size_t)(i->done * BAR_CELLS / i->rows.total) : BAR_CELLS;
    for (size_t c = 0; c < BAR_CELLS; c++) {
        bar[c] = c < full ? '#' : '.';
    }
    bar[BAR_CELLS] = '\0';
    i->told_usec = now;
    (void)fprintf(stderr, "\r\033[K[%s] %llu of %llu, %llu refused", bar,
                  (unsigned long long)i->done, (unsigned long long)i->rows.total,
                  (unsigned long long)i->refused);
}

static void key_u64(struct json_out *j, const char *key, uint64_t value)
{
    json_key(j, key);
    json_u64(j, value);
}

static void key_text(struct json_out *j, const char *key, struct slice text)
{
    json_key(j, key);
    if (text.len > 0) {
        json_string(j, text);
    } else {
        json_null(j);
    }
}

struct refusal {
    struct slice code;
    struct slice field;
    struct slice error;
};

static void report_refusal(struct import *i, struct arena *arena, const struct asset_row *row,
                           const struct refusal *r)
{
    i->refused++;
    clear_bar(i);
    struct buf b;
    struct json_out j;
    buf_init(&b, arena, 512);
    if (i->cli->json) {
        json_out_init(&j, &b);
        json_begin_object(&j);
        key_u64(&j, "line", row->line);
        key_text(&j, "assetId", row->asset_id);
        key_text(&j, "code", r->code);
        key_text(&j, "field", r->field);
        key_text(&j, "error", r->error);
        json_end_object(&j);
    } else {
        buf_format(&b, "line %llu%s%.*s: %.*s%s%.*s", (unsigned long long)row->line,
                   row->asset_id.len > 0 ? " " : "", SLICE_ARG(row->asset_id), SLICE_ARG(r->field),
                   r->field.len > 0 ? ": " : "", SLICE_ARG(r->error));
    }
    buf_add_byte(&b, '\n');
    cli_print(buf_slice(&b));
}

static void report_end(struct import *i)
{
    struct buf b;
    struct json_out j;
    clear_bar(i);
    buf_init(&b, &i->arena, 256);
    if (i->cli->json) {
        json_out_init(&j, &b);
        json_begin_object(&j);
        json_key(&j, "success");
        json_bool(&j, i->refused == 0);
        key_u64(&j, "rows", i->rows.total);
        key_u64(&j, "created", i->created);
        key_u64(&j, "present", i->present);
        key_u64(&j, "refused", i->refused);
        json_end_object(&j);
        buf_add_byte(&b, '\n');
    } else {
        buf_format(&b, "%llu rows: %llu asked for, %llu there already, %llu refused\n",
                   (unsigned long long)i->rows.total, (unsigned long long)i->created,
                   (unsigned long long)i->present, (unsigned long long)i->refused);
    }
    cli_print(buf_slice(&b));
}

/* ---- sending ---- */

static enum err post(struct import *i, struct arena *arena, struct slice body,
                     struct net_answer *out, struct why *why)
{
    const struct net_header headers[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("application/json")},
        {SLICE_LIT("Authorization"), buf_slice(&i->authorization)},
    };
    const struct net_request request = {
        .method = "POST",
        .url = i->url,
        .headers = headers,
        .header_count = i->authorization.len > 0 ? 2 : 1,
        .body = body,
        .timeout_usec = REQUEST_USEC_MAX,
        .answer_bytes_max = ANSWER_BYTES_MAX,
    };
    return net_request_run(i->http, arena, &request, out, why);
}

static bool may_pass(enum err e, const struct net_answer *answer)
{
    return e != OK || answer->status == 429 || answer->status >= 500;
}

/* Asks again while the daemon is away or busy: the same row twice is one asset. */
static enum err post_patiently(struct import *i, struct arena *arena, struct slice body,
                               struct net_answer *out, struct why *why)
{
    enum err e = post(i, arena, body, out, why);
    int64_t wait_usec = USEC_PER_SEC / 4;
    for (int tries = 1; tries < TRIES_MAX && may_pass(e, out); tries++) {
        bool told = e == OK && out->retry_after_usec > 0;
        clock_sleep_usec(told ? out->retry_after_usec : wait_usec);
        wait_usec *= 2;
        *out = (struct net_answer){.status = 0};
        e = post(i, arena, body, out, why);
    }
    return e;
}

static struct slice member(const struct json *v, const char *key)
{
    const struct json *m = v != NULL && v->type == JSON_OBJECT ? json_find(v, key) : NULL;
    return m != NULL && m->type == JSON_STRING ? m->text : SLICE_EMPTY;
}

static bool is_of_the_row(int status)
{
    return status == 400 || status == 404 || status == 409 || status == 413 || status == 422;
}

static enum err send_row(struct import *i, struct arena *arena, const struct asset_row *row,
                         struct why *why)
{
    struct net_answer answer = {.status = 0};
    const struct json *v = NULL;
    enum err e = post_patiently(i, arena, row->body, &answer, why);
    if (e != OK) {
        return e;
    }
    if (json_parse(arena, answer.body, &json_limits_body, &v, NULL) != OK) {
        return why_set(why, ERR_UPSTREAM, NULL,
                       "%s answered %d with something else than JSON: is it a Freehold?", i->url,
                       answer.status);
    }
    if (answer.status == 201) {
        i->created++;
    } else if (answer.status == 200) {
        i->present++;
    } else if (is_of_the_row(answer.status)) {
        const struct refusal refusal = {member(v, "code"), member(v, "field"), member(v, "error")};
        report_refusal(i, arena, row, &refusal);
    } else {
        struct slice error = member(v, "error");
        return why_set(why, ERR_UPSTREAM, NULL, "The API answered %d: %.*s", answer.status,
                       SLICE_ARG(error));
    }
    return OK;
}

static enum err take_row(struct import *i, struct arena *arena, const struct asset_row *row,
                         struct why *why)
{
    struct why said = {.err = OK};
    enum err e = OK;
    if (row->body.len == 0) {
        const struct refusal refusal = {
            .code = slice_text(err_code(row->wrong.err)),
            .error = slice_text(why_text(&row->wrong, row->wrong.err)),
        };
        report_refusal(i, arena, row, &refusal);
    } else {
        e = send_row(i, arena, row, &said);
    }
    if (e != OK) {
        clear_bar(i);
        return why_set(why, e, NULL,
                       "%s Rows before line %llu are done; the same command goes on from there.",
                       why_text(&said, e), (unsigned long long)row->line);
    }
    i->done++;
    show_bar(i, false);
    return OK;
}

static enum err send_rows(struct import *i, struct why *why)
{
    struct arena arena;
    struct asset_row row;
    enum err e = OK;
    arena_init(&arena, 0);
    while (e == OK && asset_rows_next(&i->rows, &arena, &row)) {
        e = take_row(i, &arena, &row, why);
        arena_clear(&arena);
    }
    arena_free(&arena);
    if (e == OK) {
        show_bar(i, true);
        report_end(i);
    }
    if (e == OK && i->refused > 0) {
        i->cli->told = true;
        e = ERR_INVALID_FIELD;
    }
    return e;
}

/* ---- the command ---- */

static enum err choose_url(struct import *i, const struct settings *settings, struct why *why)
{
    const char *url = cli_option_value(i->cli, "url");
    struct slice base = slice_text(url);
    if (url == NULL && settings->http.port == 0) {
        return why_set(why, ERR_USAGE, NULL,
                       "http.port is not set: say with --url where the daemon listens.");
    }
    if (url == NULL) {
        base = slice_format(&i->arena, "http://127.0.0.1:%llu",
                            (unsigned long long)settings->http.port);
    }
    while (slice_ends(base, SLICE_LIT("/"))) {
        base.len--;
    }
    i->url = slice_cstr(&i->arena, slice_format(&i->arena, "%.*s/api/v1/assets", SLICE_ARG(base)));
    return OK;
}

static enum err read_key(struct import *i, struct why *why)
{
    const char *path = cli_option_value(i->cli, "key-file");
    struct buf text;
    buf_init(&i->authorization, &i->arena, KEY_BYTES_MAX + 16);
    buf_init(&text, &i->arena, 0);
    if (path == NULL) {
        return OK;
    }
    enum err e = read_file(&i->arena, path, KEY_BYTES_MAX, &text, why);
    struct slice key = slice_trim(buf_slice(&text));
    if (e == OK && (key.len == 0 || slice_find(key, '\n') >= 0)) {
        e = why_set(why, ERR_USAGE, NULL, "%s must hold one key.", path);
    }
    if (e == OK) {
        buf_add_text(&i->authorization, "Bearer ");
        buf_add_slice(&i->authorization, key);
    }
    mem_wipe(text.ptr, text.len);
    return e;
}

static enum err open_rows(struct import *i, const char *path, struct why *why)
{
    enum asset_format format = ASSET_CSV;
    struct buf text;
    buf_init(&text, &i->arena, 0);
    enum err e = choose_format(i->cli, path, &format, why);
    if (e == OK) {
        e = read_file(&i->arena, path, FILE_BYTES_MAX, &text, why);
    }
    return e == OK ? asset_rows_open(&i->rows, &i->arena, format, buf_slice(&text), why) : e;
}

static enum err run_import(struct import *i, const char *path, struct why *why)
{
    struct settings settings;
    settings_init(&settings);
    enum err e = settings_load(&settings, i->cli, why);
    if (e == OK) {
        e = open_rows(i, path, why);
    }
    if (e == OK) {
        e = choose_url(i, &settings, why);
    }
    if (e == OK) {
        e = read_key(i, why);
    }
    if (e == OK) {
        net_start();
        i->http = net_client_new();
        e = send_rows(i, why);
        net_client_free(i->http);
    }
    mem_wipe(i->authorization.ptr, i->authorization.len);
    settings_clear(&settings);
    return e;
}

enum err command_assets(struct cli *cli, struct why *why)
{
    const char *verb = cli_word(cli, 0);
    const char *path = cli_word(cli, 1);
    if (verb == NULL || !slice_equal_text(slice_text(verb), "import") || path == NULL ||
        cli_word(cli, 2) != NULL) {
        return why_set(why, ERR_USAGE, NULL, "assets import FILE [--format csv|jsonl]");
    }
    struct import i = {.cli = cli, .terminal = !cli->json && isatty(STDERR_FILENO) == 1};
    arena_init(&i.arena, 0);
    enum err e = run_import(&i, path, why);
    arena_free(&i.arena);
    return e;
}
