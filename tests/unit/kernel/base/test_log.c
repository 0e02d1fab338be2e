#include "kernel/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernel/base/clock.h"
#include "kernel/base/json.h"
#include "kernel/base/mem.h"

struct fixture {
    int read_fd;
    int write_fd;
    struct arena arena;
};

static int64_t fixed_wall(void *ctx)
{
    (void)ctx;
    return 1795324840123000;
}

static const struct clock_source fixed_clock = {.wall_usec = fixed_wall, .mono_usec = fixed_wall};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    f->read_fd = fds[0];
    f->write_fd = fds[1];
    arena_init(&f->arena, 0);
    clock_set_source(&fixed_clock);
    log_set_fd(f->write_fd);
    log_set_level(LOG_DEBUG);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    log_set_fd(-1);
    clock_set_source(NULL);
    close(f->read_fd);
    close(f->write_fd);
    arena_free(&f->arena);
    mem_free(f);
    return 0;
}

/* What the log wrote since the last call, NUL-terminated. */
static const char *logged(struct fixture *f)
{
    char *text = arena_alloc(&f->arena, 65536);
    fcntl(f->read_fd, F_SETFL, O_NONBLOCK);
    ssize_t len = read(f->read_fd, text, 65535);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

#define HEAD "{\"ts\":\"2026-11-22T05:20:40.123Z\",\"level\":\"info\",\"event\":\"test.done\""

static void a_line_is_one_object(void **state)
{
    struct fixture *f = *state;
    LOG(LOG_INFO, "test.done");
    assert_string_equal(logged(f), HEAD "}\n");
    struct why why = {.err = ERR_NOT_FOUND, .text = "The \"asset\" is unknown."};
    LOG(LOG_INFO, "test.done", log_text("req", "r_1"), log_slice("name", SLICE_LIT("a\nb")),
        log_hex("tx", SLICE_LIT("\xab\x01")), log_u64("block", 12), log_i64("delta", -3),
        log_u256("amount", u256_from_u64(5)), log_bool("final", true), log_err(ERR_NOT_FOUND),
        log_why(&why, ERR_NOT_FOUND), log_text("none", NULL));
    assert_string_equal(logged(f), HEAD ",\"req\":\"r_1\",\"name\":\"a\\nb\",\"tx\":\"0xab01\","
                                        "\"block\":12,\"delta\":-3,\"amount\":\"5\",\"final\":true,"
                                        "\"err\":\"not_found\",\"why\":\"The \\\"asset\\\" is "
                                        "unknown.\",\"none\":null}\n");
}

static void levels_filter(void **state)
{
    struct fixture *f = *state;
    log_set_level(LOG_WARN);
    LOG(LOG_DEBUG, "test.done");
    LOG(LOG_INFO, "test.done");
    assert_string_equal(logged(f), "");
    LOG(LOG_WARN, "test.done");
    LOG(LOG_ERROR, "test.done");
    LOG(LOG_BROKEN, "test.done");
    const char *text = logged(f);
    const char *warn = strstr(text, "\"warn\"");
    assert_non_null(warn);
    const char *error = strstr(warn, "\"error\"");
    assert_non_null(error);
    assert_non_null(strstr(error, "\"broken\""));
    log_set_fd(-1);
    LOG(LOG_ERROR, "test.done");
    assert_string_equal(logged(f), "");
}

static void level_names_are_read(void **state)
{
    (void)state;
    enum log_level level = LOG_BROKEN;
    assert_int_equal(log_level_parse(SLICE_LIT("loud"), &level), ERR_INVALID_FIELD);
    assert_int_equal(log_level_parse(SLICE_LIT("broken"), &level), ERR_INVALID_FIELD);
    assert_int_equal(log_level_parse(SLICE_LIT("INFO"), &level), ERR_INVALID_FIELD);
    assert_int_equal(log_level_parse(SLICE_EMPTY, &level), ERR_INVALID_FIELD);
    assert_int_equal(level, LOG_BROKEN);
    assert_int_equal(log_level_parse(SLICE_LIT("debug"), &level), OK);
    assert_int_equal(level, LOG_DEBUG);
    assert_int_equal(log_level_parse(SLICE_LIT("error"), &level), OK);
    assert_int_equal(level, LOG_ERROR);
}

static void secrets_are_redacted(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[] = {
        "authorization",
        "cookie",
        "password",
        "secret",
        "key",
        "private_key",
        "mnemonic",
        "token",
        "signature",
        "Authorization",
        "PASSWORD",
        "Set-Cookie",
        "keystore_password",
        "jwt-secret",
        "wallet_private_key",
        "Private_Key",
        "demo_mnemonic",
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const struct log_field fields[] = {
            log_text(keys[i], "hunter2"),
            log_slice(keys[i], SLICE_LIT("hunter2")),
            log_hex(keys[i], SLICE_LIT("hunter2")),
            log_u64(keys[i], 31337),
        };
        for (size_t k = 0; k < sizeof(fields) / sizeof(fields[0]); k++) {
            log_write(LOG_INFO, "test.done", &fields[k], 1);
            const char *line = logged(f);
            assert_non_null(strstr(line, ":\"[redacted]\"}"));
            assert_null(strstr(line, "hunter2"));
            assert_null(strstr(line, "68756e746572"));
            assert_null(strstr(line, "31337"));
        }
    }
}

static void plain_words_are_not_redacted(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[] = {"token_address", "asset_token", "keys",   "idempotency_key",
                                       "secretary",     "passwords",   "tokens", "mysecret"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        LOG(LOG_INFO, "test.done", log_text(keys[i], "shown"));
        assert_non_null(strstr(logged(f), "\"shown\""));
    }
}

static void fields_cannot_pose_as_the_head(void **state)
{
    struct fixture *f = *state;
    LOG(LOG_INFO, "test.done", log_text("event", "Transfer"), log_text("level", "x"),
        log_u64("ts", 1), log_text("a\"b", "c"));
    assert_string_equal(logged(f), HEAD ",\"event_\":\"Transfer\",\"level_\":\"x\",\"ts_\":1,"
                                        "\"a\\\"b\":\"c\"}\n");
}

static void bytes_from_outside_stay_one_line_of_json(void **state)
{
    struct fixture *f = *state;
    LOG(LOG_INFO, "test.done", log_slice("a", SLICE_LIT("\xff\n\0\",\"level\":\"broken")));
    const char *line = logged(f);
    const struct json *v = NULL;
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_int_equal(json_parse(&f->arena, slice_text(line), &json_limits_body, &v, NULL), OK);
    struct slice a;
    assert_int_equal(json_get_text(v, "a", &a, NULL), OK);
    assert_true(slice_equal(a, SLICE_LIT("\xef\xbf\xbd\n\0\",\"level\":\"broken")));
}

static void long_values_are_cut(void **state)
{
    struct fixture *f = *state;
    size_t len = LOG_VALUE_MAX + 1;
    uint8_t *text = arena_alloc(&f->arena, len);
    memset(text, 'a', len);
    LOG(LOG_INFO, "test.done", log_slice("v", slice_of(text, LOG_VALUE_MAX)));
    assert_null(strstr(logged(f), "..."));
    /* The cut falls into a character of three bytes, which goes as a whole. */
    memcpy(text + LOG_VALUE_MAX - 2, "\xe2\x82\xac", 3);
    LOG(LOG_INFO, "test.done", log_slice("v", slice_of(text, len)));
    const char *line = logged(f);
    assert_non_null(strstr(line, "aa... (4097 bytes)\"}\n"));
    assert_null(strstr(line, "\xef\xbf\xbd"));
    LOG(LOG_INFO, "test.done", log_hex("v", slice_of(text, len)));
    assert_true(strlen(logged(f)) < LOG_VALUE_MAX + 200);
}

static void errno_is_kept_and_failure_is_harmless(void **state)
{
    struct fixture *f = *state;
    int fd = open("/dev/full", O_WRONLY);
    assert_true(fd >= 0);
    log_set_fd(fd);
    errno = EDOM;
    LOG(LOG_INFO, "test.done");
    assert_int_equal(errno, EDOM);
    close(fd);
    log_set_fd(fd);
    LOG(LOG_INFO, "test.done");
    assert_int_equal(errno, EDOM);
    assert_string_equal(logged(f), "");
}

#define LINES_EACH 50

static void *write_lines(void *arg)
{
    for (unsigned i = 0; i < LINES_EACH; i++) {
        LOG(LOG_INFO, "test.done", log_text("thread", arg), log_u64("i", i));
    }
    return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
    struct fixture *f = *state;
    static char names[4][2] = {"a", "b", "c", "d"};
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    struct slice rest = slice_text(logged(f));
    unsigned lines = 0;
    while (rest.len > 0) {
        struct slice line;
        const struct json *v = NULL;
        slice_cut(rest, '\n', &line, &rest);
        assert_int_equal(json_parse(&f->arena, line, &json_limits_body, &v, NULL), OK);
        lines++;
    }
    assert_int_equal(lines, 4 * LINES_EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_is_one_object, setup, teardown),
        cmocka_unit_test_setup_teardown(levels_filter, setup, teardown),
        cmocka_unit_test(level_names_are_read),
        cmocka_unit_test_setup_teardown(secrets_are_redacted, setup, teardown),
        cmocka_unit_test_setup_teardown(plain_words_are_not_redacted, setup, teardown),
        cmocka_unit_test_setup_teardown(fields_cannot_pose_as_the_head, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_from_outside_stay_one_line_of_json, setup, teardown),
        cmocka_unit_test_setup_teardown(long_values_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(errno_is_kept_and_failure_is_harmless, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_do_not_mix_lines, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
