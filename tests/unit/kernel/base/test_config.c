#include "kernel/base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

struct sample_config {
    const char *host;
    uint64_t port;
    bool verbose;
    int64_t timeout_usec;
    uint64_t body_bytes;
    const char *registry;
    struct u256 fee;
    const char *mode;
    struct secret password;
    const char *url;
    uint64_t last;
};

static const char *const modes[] = {"fast", "safe", NULL};

#define AT(member) offsetof(struct sample_config, member)
static const struct config_row http_rows[] = {
    {"http.host", CONFIG_TEXT, AT(host), "127.0.0.1", 0, 0, NULL, 0, "Address to listen on."},
    {"http.port", CONFIG_U64, AT(port), "8080", 1, 65535, NULL, 0, "Port to listen on."},
    {"http.verbose", CONFIG_BOOL, AT(verbose), "false", 0, 0, NULL, CONFIG_RELOAD,
     "Writes a line for each request | reply."},
    {"http.timeout", CONFIG_DURATION, AT(timeout_usec), "10s", 1000, 3600000000, NULL,
     CONFIG_RELOAD, "Longest time for a request."},
    {"http.body_max", CONFIG_SIZE, AT(body_bytes), "1MiB", 1024, 1 << 30, NULL, 0,
     "Largest request body."},
};
static const struct config_row chain_rows[] = {
    {"chain.dev.registry", CONFIG_ADDRESS, AT(registry), NULL, 0, 0, NULL, 0,
     "Address of the asset registry."},
    {"chain.dev.fee_max", CONFIG_WEI, AT(fee), "30gwei", 0, 0, NULL, 0, "Highest fee for gas."},
    {"chain.dev.mode", CONFIG_ENUM, AT(mode), "safe", 0, 0, modes, 0, "How blocks are followed."},
    {"chain.dev.password", CONFIG_SECRET, AT(password), NULL, 0, 0, NULL, 0, "Password of a key."},
    {"chain.dev.url", CONFIG_TEXT, AT(url), NULL, 0, 0, NULL, CONFIG_REQUIRED, "URL of the node."},
    {"http.last", CONFIG_U64, AT(last), NULL, 5, 0, NULL, 0, "A key of an earlier section."},
};

struct fixture {
    struct config *config;
    struct sample_config values;
    struct arena arena;
    struct why why;
    char path[64];
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    arena_init(&f->arena, 0);
    f->config = config_new();
    struct config_part http = {http_rows, sizeof(http_rows) / sizeof(http_rows[0]), &f->values,
                               "HTTP server"};
    struct config_part chain = {chain_rows, sizeof(chain_rows) / sizeof(chain_rows[0]), &f->values,
                                "Chain"};
    config_add(f->config, &http);
    config_add(f->config, &chain);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    config_free(f->config);
    arena_free(&f->arena);
    if (f->path[0]) {
        unlink(f->path);
    }
    mem_free(f);
    return 0;
}

static void write_file(struct fixture *f, const void *bytes, size_t len)
{
    if (!f->path[0]) {
        snprintf(f->path, sizeof(f->path), "/tmp/test_config_XXXXXX");
        int fd = mkstemp(f->path);
        assert_true(fd >= 0);
        close(fd);
    }
    FILE *file = fopen(f->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

static enum err load(struct fixture *f, const char *file, char *const *env,
                     const struct config_flag *flags, size_t flag_count)
{
    f->why = (struct why){0};
    if (file) {
        write_file(f, file, strlen(file));
    }
    return config_load(f->config, file ? f->path : NULL, env, flags, flag_count, &f->why);
}

static enum err load_file(struct fixture *f, const char *file)
{
    static const struct config_flag url = {"chain.dev.url", "http://127.0.0.1:8545"};
    return load(f, file, NULL, &url, 1);
}

static void defaults_apply(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load_file(f, NULL), OK);
    assert_string_equal(f->values.host, "127.0.0.1");
    assert_int_equal(f->values.port, 8080);
    assert_false(f->values.verbose);
    assert_int_equal(f->values.timeout_usec, 10000000);
    assert_int_equal(f->values.body_bytes, 1048576);
    assert_string_equal(f->values.registry, "");
    assert_true(u256_equal(f->values.fee, u256_from_u64(30000000000)));
    assert_string_equal(f->values.mode, "safe");
    assert_int_equal(secret_len(&f->values.password), 0);
    assert_int_equal(f->values.last, 0);
    assert_string_equal(config_source(f->config, "http.port"), "default");
    assert_string_equal(config_source(f->config, "chain.dev.url"), "flag");
    assert_string_equal(config_source(f->config, "no.such"), "");
    assert_non_null(config_find(f->config, "http.port"));
    assert_null(config_find(f->config, "http.prt"));
}

static void later_source_wins(void **state)
{
    struct fixture *f = *state;
    const char *file = "; first line\n"
                       "[http]\n"
                       "host = localhost\n"
                       "port = 1\n"
                       "timeout = 1s\n"
                       "[chain.dev]\n"
                       "url = http://node/a;b ; comment\n";
    char *env[] = {(char[]){"PATH=/bin"}, (char[]){"FREEHOLD_HTTP_PORT=2"},
                   (char[]){"FREEHOLD_HTTP_TIMEOUT=2s"}, (char[]){"FREEHOLD_CHAIN_DEV_MODE=fast"},
                   NULL};
    struct config_flag flags[] = {{"http.port", "3"}};
    assert_int_equal(load(f, file, env, flags, 1), OK);
    assert_string_equal(f->values.host, "localhost");
    assert_int_equal(f->values.port, 3);
    assert_int_equal(f->values.timeout_usec, 2000000);
    assert_string_equal(f->values.url, "http://node/a;b");
    assert_string_equal(f->values.mode, "fast");
    assert_string_equal(config_source(f->config, "http.host"), "file:3");
    assert_string_equal(config_source(f->config, "http.port"), "flag");
    assert_string_equal(config_source(f->config, "http.timeout"), "env");
    assert_string_equal(config_source(f->config, "http.body_max"), "default");
}

struct value_case {
    const char *key;
    const char *value;
    bool valid;
};

static const struct value_case value_cases[] = {
    {"http.port", "1", true},
    {"http.port", "65535", true},
    {"http.port", "0", false},
    {"http.port", "65536", false},
    {"http.port", "", false},
    {"http.port", "-1", false},
    {"http.port", "+1", false},
    {"http.port", "1.0", false},
    {"http.port", "0x50", false},
    {"http.port", "80 80", false},
    {"http.port", "18446744073709551616", false},
    {"http.last", "18446744073709551615", true},
    {"http.last", "4", false},
    {"http.verbose", "true", true},
    {"http.verbose", "false", true},
    {"http.verbose", "yes", false},
    {"http.verbose", "1", false},
    {"http.verbose", "TRUE", false},
    {"http.verbose", "", false},
    {"http.timeout", "1ms", true},
    {"http.timeout", "1000us", true},
    {"http.timeout", "1h", true},
    {"http.timeout", "60min", true},
    {"http.timeout", "61min", false},
    {"http.timeout", "999us", false},
    {"http.timeout", "10", false},
    {"http.timeout", "0", false},
    {"http.timeout", "s", false},
    {"http.timeout", "1 s", false},
    {"http.timeout", "1.5s", false},
    {"http.timeout", "1m", false},
    {"http.timeout", "-1s", false},
    {"http.timeout", "106751992d", false},
    {"http.timeout", "18446744073709551615s", false},
    {"http.body_max", "1024", true},
    {"http.body_max", "1024B", true},
    {"http.body_max", "1KiB", true},
    {"http.body_max", "1GiB", true},
    {"http.body_max", "1025MiB", false},
    {"http.body_max", "1023", false},
    {"http.body_max", "1MB", false},
    {"http.body_max", "1kib", false},
    {"http.body_max", "17179869185GiB", false},
    {"chain.dev.registry", "", true},
    {"chain.dev.registry", "0x00000000000000000000000000000000000000aA", true},
    {"chain.dev.registry", "0x00000000000000000000000000000000000000a", false},
    {"chain.dev.registry", "0x00000000000000000000000000000000000000aaa", false},
    {"chain.dev.registry", "0X00000000000000000000000000000000000000aa", false},
    {"chain.dev.registry", "0x00000000000000000000000000000000000000ag", false},
    {"chain.dev.registry", "0000000000000000000000000000000000000000aa", false},
    {"chain.dev.fee_max", "1", true},
    {"chain.dev.fee_max", "1wei", true},
    {"chain.dev.fee_max", "0.000000001gwei", true},
    {"chain.dev.fee_max", "0.0000000001gwei", false},
    {"chain.dev.fee_max", "1.5ether", true},
    {"chain.dev.fee_max", "1.5", false},
    {"chain.dev.fee_max", "1.ether", false},
    {"chain.dev.fee_max", ".5ether", false},
    {"chain.dev.fee_max", "1.5.5ether", false},
    {"chain.dev.fee_max", "1e9", false},
    {"chain.dev.fee_max", "1 gwei", false},
    {"chain.dev.fee_max", "ether", false},
    {"chain.dev.fee_max", "", false},
    {"chain.dev.fee_max",
     "115792089237316195423570985008687907853269984665640564039457584007913129639935", true},
    {"chain.dev.fee_max",
     "115792089237316195423570985008687907853269984665640564039457584007913129639936", false},
    {"chain.dev.fee_max",
     "115792089237316195423570985008687907853269984665640564039457.584007913129639936ether", false},
    {"chain.dev.mode", "fast", true},
    {"chain.dev.mode", "Fast", false},
    {"chain.dev.mode", "", false},
    {"http.host", "", true},
    {"http.host", "caf\xc3\xa9", true},
    {"http.host", "caf\xe9", false},
    {"http.host", "a\nb", false},
    {"http.host", "a\x7f", false},
};

static void values_are_checked(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load_file(f, NULL), OK);
    for (size_t i = 0; i < sizeof(value_cases) / sizeof(value_cases[0]); i++) {
        const struct value_case *c = &value_cases[i];
        enum err e = config_set(f->config, c->key, c->value, "test", &f->why);
        if (e != (c->valid ? OK : ERR_CONFIG)) {
            fail_msg("%s = %s gave %s", c->key, c->value, err_code(e));
        }
        if (!c->valid) {
            assert_string_equal(f->why.field, c->key);
            assert_non_null(strstr(f->why.text, c->key));
        }
    }
}

static void units_are_exact(void **state)
{
    struct fixture *f = *state;
    struct u256 expected;
    assert_int_equal(load_file(f, NULL), OK);
    assert_int_equal(
        config_set(f->config, "chain.dev.fee_max", "1.000000000000000001ether", "test", NULL), OK);
    assert_int_equal(u256_parse(SLICE_LIT("1000000000000000001"), &expected), OK);
    assert_true(u256_equal(f->values.fee, expected));
    assert_int_equal(config_set(f->config, "chain.dev.fee_max", "2.5gwei", "test", NULL), OK);
    assert_true(u256_equal(f->values.fee, u256_from_u64(2500000000)));
    assert_int_equal(config_set(f->config, "http.timeout", "5min", "test", NULL), OK);
    assert_int_equal(f->values.timeout_usec, 300000000);
    assert_int_equal(config_set(f->config, "http.timeout", "500ms", "test", NULL), OK);
    assert_int_equal(f->values.timeout_usec, 500000);
    assert_int_equal(config_set(f->config, "http.body_max", "50MiB", "test", NULL), OK);
    assert_int_equal(f->values.body_bytes, 52428800);
    assert_string_equal(config_source(f->config, "http.body_max"), "test");
}

struct file_case {
    const char *text;
    enum err err;
    const char *says; /* behind the file's path, or anywhere */
};

static const struct file_case bad_files[] = {
    {"[http]\nprt = 1\n", ERR_UNKNOWN_CONFIG_KEY, ":2: http.prt is not a known key"},
    {"port = 1\n", ERR_UNKNOWN_CONFIG_KEY, ":1: port is not"},
    {"[htp]\n\n\nport = 1\n", ERR_UNKNOWN_CONFIG_KEY, ":4: htp.port is not"},
    {"[HTTP]\nport = 1\n", ERR_UNKNOWN_CONFIG_KEY, ":2: HTTP.port"},
    {"[http]\nport = x\n", ERR_CONFIG, ":2) must be a whole number from 1 to 65535, not \"x\""},
    {"[http]\nport = 1\nport = 2\n", ERR_CONFIG, ":3: http.port was already set in line 2"},
    {"[http]\nport = 1\n[http]\nport = 1\n", ERR_CONFIG, ":4: http.port was already set"},
    {"[http]\n# a\n; b\n\nport\n", ERR_CONFIG, ":5: expected [section]"},
    {"[http\nport = 1\n", ERR_CONFIG, ":1: expected"},
    {"[http] port = 1\n", ERR_CONFIG, ":1: the line has text behind [section]"},
    {"[http]\n  host = a\n  b\n", ERR_CONFIG, ":3: expected"},
    {"[chain.dev]\nmode = slow\n", ERR_CONFIG, "must be one of fast or safe, not \"slow\""},
    {"[http]\ntimeout = 2h\n", ERR_CONFIG, ", from 1ms to 1h, not \"2h\""},
    {"[http]\nbody_max = 1\n", ERR_CONFIG, ", from 1KiB to 1GiB, not"},
    {"[http]\nlast = 1\n", ERR_CONFIG, "must be a whole number, at least 5, not"},
    {"[http]\nhost = \xff\n", ERR_CONFIG, "not UTF-8"},
};

static void bad_files_are_refused_with_the_line(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
        enum err e = load_file(f, bad_files[i].text);
        if (e != bad_files[i].err || !strstr(f->why.text, bad_files[i].says) ||
            !strstr(f->why.text, f->path)) {
            fail_msg("%s: %s: %s", bad_files[i].text, err_code(e), f->why.text);
        }
    }
}

static void good_files_are_read(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load_file(f, ""), OK);
    assert_int_equal(load_file(f, "# nothing\n"), OK);
    assert_int_equal(load_file(f, "[http] ; the server\r\nport = 81\r\n"), OK);
    assert_int_equal(f->values.port, 81);
    assert_int_equal(load_file(f, "\xef\xbb\xbf[http]\nport: 82"), OK);
    assert_int_equal(f->values.port, 82);
    assert_int_equal(load_file(f, "[http]\nhost =\n[chain.dev]\nurl = a = b # c\n"), OK);
    assert_string_equal(f->values.host, "");
    assert_string_equal(config_source(f->config, "http.host"), "file:2");
}

static void odd_files_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct config_flag url = {"chain.dev.url", "x"};
    assert_int_equal(config_load(f->config, "/no/such/file.ini", NULL, &url, 1, &f->why),
                     ERR_CONFIG);
    assert_non_null(strstr(f->why.text, "/no/such/file.ini"));
    assert_int_equal(config_load(f->config, "/tmp", NULL, &url, 1, &f->why), ERR_CONFIG);
    assert_int_equal(config_load(f->config, "/dev/zero", NULL, &url, 1, &f->why), ERR_CONFIG);
    assert_non_null(strstr(f->why.text, "larger"));
    write_file(f, "[http]\nport = 1\0\n", 17);
    assert_int_equal(config_load(f->config, f->path, NULL, &url, 1, &f->why), ERR_CONFIG);

    char *text = mem_alloc(6000);
    memcpy(text, "[http]\nhost = ", 14);
    memset(text + 14, 'h', 4096);
    assert_int_equal(load_file(f, text), OK);
    assert_int_equal(strlen(f->values.host), 4096);
    memset(text + 14, 'i', 4097);
    assert_int_equal(load_file(f, text), ERR_CONFIG);
    assert_non_null(strstr(f->why.text, "longer than 4096 bytes"));
    memset(text + 14, 'j', 5000);
    assert_int_equal(load_file(f, text), ERR_CONFIG);
    assert_non_null(strstr(f->why.text, ":2: the line is too long"));
    mem_free(text);
}

static void failure_changes_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load_file(f, "[http]\nport = 90\n[chain.dev]\npassword = old\n"), OK);
    assert_int_equal(load_file(f, "[http]\nport = 91\n[chain.dev]\npassword = new\nurl = 1\nx=1"),
                     ERR_UNKNOWN_CONFIG_KEY);
    assert_int_equal(f->values.port, 90);
    assert_string_equal(f->values.url, "http://127.0.0.1:8545");
    assert_int_equal(secret_len(&f->values.password), 3);
    assert_memory_equal(secret_bytes(&f->values.password), "old", 3);
    assert_string_equal(config_source(f->config, "http.port"), "file:2");
    assert_int_equal(config_set(f->config, "http.port", "0", "test", NULL), ERR_CONFIG);
    assert_int_equal(f->values.port, 90);
    assert_int_equal(load_file(f, ""), OK);
    assert_int_equal(f->values.port, 8080);
    assert_int_equal(secret_len(&f->values.password), 0);
}

static void required_keys_are_demanded(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, NULL, NULL, NULL, 0), ERR_CONFIG);
    assert_string_equal(f->why.field, "chain.dev.url");
    assert_non_null(strstr(f->why.text, "FREEHOLD_CHAIN_DEV_URL"));
    assert_int_equal(load(f, "[chain.dev]\nurl =\n", NULL, NULL, 0), ERR_CONFIG);
    assert_int_equal(load(f, "[chain.dev]\nurl = x\n", NULL, NULL, 0), OK);
}

static void unknown_environment_and_flags_are_refused(void **state)
{
    struct fixture *f = *state;
    char *env[] = {(char[]){"FREEHOLD_HTTP_PROT=1"}, NULL};
    struct config_flag flags[] = {{"chain.dev.url", "x"}, {"http.prot", "1"}};
    assert_int_equal(load(f, NULL, env, flags, 1), ERR_UNKNOWN_CONFIG_KEY);
    assert_non_null(strstr(f->why.text, "FREEHOLD_HTTP_PROT"));
    assert_int_equal(load(f, NULL, NULL, flags, 2), ERR_UNKNOWN_CONFIG_KEY);
    assert_non_null(strstr(f->why.text, "--http.prot"));
    env[0] = (char[]){"FREEHOLD_HTTP_PORT=http"};
    assert_int_equal(load(f, NULL, env, flags, 1), ERR_CONFIG);
    assert_non_null(strstr(f->why.text, "environment variable FREEHOLD_HTTP_PORT"));
    env[0] = (char[]){"FREEHOLD_HTTP_POR=1"};
    assert_int_equal(load(f, NULL, env, flags, 1), ERR_UNKNOWN_CONFIG_KEY);
    env[0] = (char[]){"FREEHOLDER=1"};
    assert_int_equal(load(f, NULL, env, flags, 1), OK);
    assert_int_equal(config_set(f->config, "http.prot", "1", "test", &f->why),
                     ERR_UNKNOWN_CONFIG_KEY);
}

static struct slice printed(struct fixture *f, void (*print)(const struct config *, struct buf *))
{
    struct buf out;
    buf_init(&out, &f->arena, 0);
    print(f->config, &out);
    buf_add_byte(&out, 0);
    return slice_sub(buf_slice(&out), 0, out.len - 1);
}

static bool contains(struct slice text, const char *part)
{
    return strstr((const char *)text.ptr, part) != NULL;
}

static void secrets_are_never_printed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load_file(f, "[chain.dev]\npassword = hunter2\n"), OK);
    struct slice dump = printed(f, config_dump);
    assert_true(contains(dump, "password = [set] ; file:2\n"));
    assert_false(contains(dump, "hunter2"));
    assert_false(contains(printed(f, config_sample), "hunter2"));
    assert_false(contains(printed(f, config_help), "hunter2"));
    char *text = mem_alloc(6000);
    memcpy(text, "[chain.dev]\npassword = ", 23);
    memset(text + 23, 'z', 4100);
    assert_int_equal(load_file(f, text), ERR_CONFIG);
    assert_null(strstr(f->why.text, "zz"));
    mem_free(text);
}

static void dump_shows_values_as_they_are_written(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load_file(f, "[http]\ntimeout = 90000ms\nbody_max = 1536KiB\nverbose = true\n"
                                  "[chain.dev]\nfee_max = 1500000000\nmode=fast\n"),
                     OK);
    assert_string_equal((const char *)printed(f, config_dump).ptr,
                        "[http]\n"
                        "host = 127.0.0.1 ; default\n"
                        "port = 8080 ; default\n"
                        "verbose = true ; file:4\n"
                        "timeout = 90s ; file:2\n"
                        "body_max = 1536KiB ; file:3\n"
                        "last = 0 ; default\n"
                        "\n"
                        "[chain.dev]\n"
                        "registry =  ; default\n"
                        "fee_max = 1500000000 ; file:6\n"
                        "mode = fast ; file:7\n"
                        "password =  ; default\n"
                        "url = http://127.0.0.1:8545 ; flag\n");
    assert_int_equal(config_set(f->config, "chain.dev.fee_max", "1000000000wei", "test", NULL), OK);
    assert_true(contains(printed(f, config_dump), "fee_max = 1gwei ; test\n"));
    assert_int_equal(config_set(f->config, "chain.dev.fee_max", "2000gwei", "test", NULL), OK);
    assert_true(contains(printed(f, config_dump), "fee_max = 2000gwei ; test\n"));
    assert_int_equal(config_set(f->config, "chain.dev.fee_max", "0", "test", NULL), OK);
    assert_true(contains(printed(f, config_dump), "fee_max = 0 ; test\n"));
    assert_int_equal(config_set(f->config, "http.timeout", "1500us", "test", NULL), OK);
    assert_true(contains(printed(f, config_dump), "timeout = 1500us ; test\n"));
    assert_int_equal(config_set(f->config, "http.body_max", "1025", "test", NULL), OK);
    assert_true(contains(printed(f, config_dump), "body_max = 1025 ; test\n"));
    assert_int_equal(config_set(f->config, "http.host", ";host", "test", NULL), OK);
    assert_true(contains(printed(f, config_dump), "host =;host ; test\n"));
}

/* What `freehold config --sample` prints loads as it is, and with every comment sign removed. */
static void sample_is_a_valid_file(void **state)
{
    struct fixture *f = *state;
    struct slice sample = printed(f, config_sample);
    assert_true(contains(sample, "[http]\n"));
    assert_true(contains(sample, "#port = 8080\n"));
    assert_true(contains(sample, "# Port to listen on.\n"));
    assert_true(contains(sample, "#registry =\n"));
    assert_true(contains(sample, "FREEHOLD_HTTP_PORT"));
    assert_int_equal(load_file(f, (const char *)sample.ptr), OK);

    struct buf enabled;
    buf_init(&enabled, &f->arena, 0);
    for (struct slice line, rest = sample; rest.len > 0;) {
        slice_cut(rest, '\n', &line, &rest);
        bool is_key = line.len > 1 && line.ptr[0] == '#' && line.ptr[1] != ' ';
        /* `last` has a lower bound and no default, so an empty value is not valid. */
        if (is_key && !slice_starts(line, SLICE_LIT("#last"))) {
            line = slice_sub(line, 1, line.len);
        }
        buf_add_slice(&enabled, line);
        buf_add_byte(&enabled, '\n');
    }
    buf_add_byte(&enabled, 0);
    assert_int_equal(load_file(f, (const char *)enabled.ptr), OK);
    assert_int_equal(f->values.port, 8080);
    assert_memory_equal(config_source(f->config, "http.port"), "file:", 5);
}

static void texts_are_deterministic(void **state)
{
    struct fixture *f = *state;
    struct slice before = printed(f, config_reference);
    assert_int_equal(load_file(f, "[http]\nport = 9\n"), OK);
    struct slice after = printed(f, config_reference);
    assert_true(slice_equal(before, after));
    assert_true(contains(after, "\n## [http] HTTP server\n"));
    assert_true(contains(after, "| `http.port` | a whole number from 1 to 65535 | `8080` | no | "
                                "`FREEHOLD_HTTP_PORT` | Port to listen on. |\n"));
    assert_true(contains(after, "for each request \\| reply."));
    assert_true(contains(after, "| `chain.dev.url` | text | required | no |"));
    struct slice help = printed(f, config_help);
    assert_true(contains(help, "HTTP server:\n  --http.host=TEXT\n"));
    assert_true(contains(help, "  --http.port=NUMBER\n      Port to listen on. Default: 8080.\n"));
    assert_true(contains(help, "  --chain.dev.url=TEXT\n      URL of the node. Required.\n"));
}

struct urls_config {
    const char *urls;
    struct secret token;
};

/* Who may read a file matters when a secret came from it, and not otherwise. */
static void test_secrets_of_a_file_are_known(void **state)
{
    static const struct config_row rows[] = {{.key = "u.urls",
                                              .type = CONFIG_TEXT,
                                              .offset = offsetof(struct urls_config, urls),
                                              .flags = CONFIG_URLS,
                                              .doc = "Urls."},
                                             {.key = "u.token",
                                              .type = CONFIG_SECRET,
                                              .offset = offsetof(struct urls_config, token),
                                              .doc = "Token."}};
    static const struct {
        const char *key;
        const char *value;
        const char *source;
        const char *found;
    } cases[] = {
        {"u.token", "t", "file:3", "u.token"},
        {"u.token", "", "file:3", NULL},
        {"u.token", "t", "env", NULL},
        {"u.urls", "postgresql://me:pass@db/n", "file:1", "u.urls"},
        {"u.urls", "postgresql://db/n?password=pass", "file:1", "u.urls"},
        {"u.urls", "postgresql://db/n", "file:1", NULL},
        {"u.urls", "postgresql://me:pass@db/n", "flag", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct urls_config target = {.urls = NULL};
        struct config *c = config_new();
        config_add(c, &(struct config_part){.rows = rows, .count = 2, .target = &target});
        assert_null(config_file_secret(c));
        assert_int_equal(config_set(c, cases[i].key, cases[i].value, cases[i].source, NULL), OK);
        const char *found = config_file_secret(c);
        if (cases[i].found == NULL) {
            assert_null(found);
        } else {
            assert_string_equal(found, cases[i].found);
        }
        config_free(c);
    }
}

/* Keys hide in URLs: what is shown is where they lead, not what they carry. */
static void test_urls_are_shown_without_keys(void **state)
{
    (void)state;
    static const struct config_row rows[] = {{.key = "u.urls",
                                              .type = CONFIG_TEXT,
                                              .offset = offsetof(struct urls_config, urls),
                                              .flags = CONFIG_URLS,
                                              .doc = "Urls."}};
    static const char *const cases[][2] = {
        {"https://node.example/v3/0123456789abcdef", "https://node.example/***"},
        {"http://127.0.0.1:8545", "http://127.0.0.1:8545"},
        {"https://me:pass@node.example/?apikey=k, http://b:1/",
         "https://***@node.example/***,http://b:1"},
        {"postgresql://app:secret@db:5432/freehold", "postgresql://***@db:5432/***"},
        {"sqlite:data/freehold.db", "sqlite:data/freehold.db"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct urls_config target = {.urls = NULL};
        struct arena arena;
        struct buf out;
        struct why why = {0};
        arena_init(&arena, 0);
        buf_init(&out, &arena, 256);
        struct config *c = config_new();
        config_add(c, &(struct config_part){.rows = rows, .count = 1, .target = &target});
        assert_int_equal(config_set(c, "u.urls", cases[i][0], "flag", &why), OK);
        assert_string_equal(target.urls, cases[i][0]);
        config_dump(c, &out);
        const char *text = slice_cstr(&arena, buf_slice(&out));
        assert_non_null(strstr(text, cases[i][1]));
        assert_null(strstr(text, "secret"));
        assert_null(strstr(text, "0123456789abcdef"));
        assert_null(strstr(text, "apikey"));
        config_free(c);
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secrets_of_a_file_are_known),
        cmocka_unit_test(test_urls_are_shown_without_keys),
        cmocka_unit_test_setup_teardown(defaults_apply, setup, teardown),
        cmocka_unit_test_setup_teardown(later_source_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(values_are_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(units_are_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_files_are_refused_with_the_line, setup, teardown),
        cmocka_unit_test_setup_teardown(good_files_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(odd_files_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(failure_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(required_keys_are_demanded, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_environment_and_flags_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_are_never_printed, setup, teardown),
        cmocka_unit_test_setup_teardown(dump_shows_values_as_they_are_written, setup, teardown),
        cmocka_unit_test_setup_teardown(sample_is_a_valid_file, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_are_deterministic, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
