/* Uploads and files over a socket: what is looked at before the body, what streams, what is kept.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "kernel/base/hex.h"
#include "unit/kernel/http/program.h"

#define LIMIT 100000
#define ABC "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* FIPS 180-4 */

static char folder[] = "/tmp/freehold-upload-XXXXXX";
static _Atomic int ran;

static enum err take(struct http_call *call, struct why *why)
{
    char text[2 * HASH_BYTES + 3];
    atomic_fetch_add(&ran, 1);
    if (!call->upload) {
        return why_set(why, ERR_MISSING_FIELD, "document", "document is required.");
    }
    const struct http_upload *file = call->upload;
    assert_int_equal(lseek(file->fd, 0, SEEK_END), (off_t)file->size);
    hex_encode_to(hash_slice(&file->sha256), text);
    json_begin_object(call->out);
    json_key(call->out, "sha256");
    json_text(call->out, text);
    json_key(call->out, "name");
    json_string(call->out, file->name);
    json_key(call->out, "type");
    json_string(call->out, file->content_type);
    json_key(call->out, "size");
    json_u64(call->out, file->size);
    json_key(call->out, "note");
    json_string(call->out, http_field(call, "note", NULL));
    json_end_object(call->out);
    return OK;
}

static enum err give(struct http_call *call, struct why *why)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/file", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, "0123456789", 10) == 10);
    call->file = (struct http_file){.is_open = true,
                                    .fd = fd,
                                    .size = 10,
                                    .name = SLICE_LIT("d\xC3\xA4ta.pdf"),
                                    .content_type = "application/pdf",
                                    .etag = SLICE_LIT("v1")};
    return OK;
}

static const char *const keys[] = {"document", "note", NULL};
static const struct http_route upload_routes[] = {
    {.method = HTTP_POST,
     .path = "/open",
     .handler = take,
     .flags = PLAIN | HTTP_UPLOAD,
     .body_bytes_max = LIMIT,
     .field_keys = keys},
    {.method = HTTP_POST,
     .path = "/closed",
     .handler = take,
     .flags = PLAIN | HTTP_UPLOAD,
     .roles = HTTP_ROLE_ADMIN,
     .body_bytes_max = LIMIT,
     .field_keys = keys},
    {.path = "/file", .handler = give, .flags = PLAIN | HTTP_RAW},
};
static const struct http_table upload_table = {.routes = upload_routes, .count = 3};

static int descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static uint64_t per_client_max = 64;
static int64_t request_usec = 1000 * MSEC;

static void begin(uint64_t uploads_max)
{
    struct http_config config = probe_config();
    struct why why = {.err = OK};
    config.upload_dir = folder;
    config.uploads_max = uploads_max;
    config.uploads_per_client_max = per_client_max;
    config.request_usec = request_usec;
    assert_int_equal(http_start(&server, &config, &upload_table, 1, NULL, &why), OK);
    port = http_port(server);
    atomic_store(&ran, 0);
}

#define HEAD(path, length, more)                                                                   \
    "POST " path " HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n" more  \
    "Content-Length: " length "\r\n\r\n"
#define FILE_PART                                                                                  \
    "--b\r\nContent-Disposition: form-data; name=\"document\"; filename=\"a.pdf\"\r\n"             \
    "Content-Type: application/pdf\r\n\r\n"
#define NOTE_PART "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n"
#define END "\r\n--b--\r\n"

static void ask(struct probe *p, const char *path, const char *body)
{
    char head[512];
    (void)snprintf(head, sizeof head,
                   "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; "
                   "boundary=b\r\nContent-Length: %zu\r\n\r\n",
                   path, strlen(body));
    probe_send(p, head);
    probe_send(p, body);
    probe_read(p, &a, false);
}

static void a_file_arrives_with_its_hash(void **state)
{
    begin(4);
    struct probe *p = probe_open(port);
    for (int i = 0; i < 3; i++) { /* the connection goes on */
        ask(p, "/open", NOTE_PART FILE_PART "abc" END);
        assert_int_equal(a.status, 200);
        assert_true(probe_has(&a, ABC) && probe_has(&a, "\"name\":\"a.pdf\""));
        assert_true(probe_has(&a, "\"size\":3") && probe_has(&a, "\"note\":\"hello\""));
        assert_true(probe_has(&a, "\"type\":\"application/pdf\""));
    }
    ask(p, "/open", NOTE_PART "--b--");
    assert_int_equal(a.status, 400);
    assert_true(probe_has(&a, "\"field\":\"document\""));
    char chunks[512];
    (void)snprintf(chunks, sizeof chunks, "%zx\r\n%s\r\n%zx\r\n%s\r\n0\r\n\r\n",
                   strlen(FILE_PART "ab"), FILE_PART "ab", strlen("c" END), "c" END);
    probe_send(p, "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                  "Content-Type: multipart/form-data; boundary=b\r\n\r\n");
    probe_send(p, chunks);
    probe_read(p, &a, false);
    assert_true(a.status == 200 && probe_has(&a, ABC));
    probe_close(p);
}

static void refusals_come_as_answers(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *code;
    } cases[] = {
        {FILE_PART "abc", 400, "invalid_encoding"},
        {FILE_PART "abc\r\n" FILE_PART "abc" END, 400, "invalid_field"},
        {NOTE_PART NOTE_PART "--b--", 400, "invalid_field"},
        {"--b\r\nContent-Disposition: form-data; name=other\r\n\r\nx" END, 400, "unknown_field"},
        {"--b\r\nContent-Disposition: form-data; name=note\r\n\r\n\xFF" END, 400,
         "invalid_encoding"},
        {"--bx\r\n", 400, "invalid_encoding"},
        {"{}", 400, "invalid_encoding"},
    };
    begin(4);
    struct probe *p = probe_open(port);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ask(p, "/open", cases[i].body);
        assert_int_equal(a.status, cases[i].status);
        assert_true(probe_has(&a, cases[i].code));
    }
    probe_send(p, "POST /open HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                  "Content-Length: 2\r\n\r\n{}");
    probe_read(p, &a, false);
    assert_int_equal(a.status, 415);
    assert_int_equal(atomic_load(&ran), 0);
    ask(p, "/open", FILE_PART "abc" END);
    assert_int_equal(a.status, 200);
    probe_close(p);
}

static void who_calls_is_known_before_the_body(void **state)
{
    begin(4);
    int before = descriptors();
    /* nothing of the body is sent: the answer comes all the same */
    probe_ask(port, HEAD("/closed", "90000", "Expect: 100-continue\r\n"), &a);
    assert_int_equal(a.status, 401);
    assert_string_equal(probe_header(&a, "Connection"), "close");
    /* without asking first: the body is dropped, and the connection goes on */
    struct probe *p = probe_open(port);
    ask(p, "/closed", FILE_PART "abc" END);
    assert_int_equal(a.status, 401);
    ask(p, "/open", FILE_PART "abc" END);
    assert_int_equal(a.status, 200);
    probe_send(p, HEAD("/open", "90000", "Expect: 100-continue\r\n"));
    assert_true(probe_more(p));
    assert_int_equal(strncmp(p->bytes, "HTTP/1.1 100", 12), 0);
    probe_close(p);
    probe_ask(port, HEAD("/open", "999999", ""), &a);
    assert_int_equal(a.status, 413);
    for (int i = 0; i < 1000 && descriptors() > before; i++) {
        clock_sleep_usec(MSEC);
    }
    assert_int_equal(descriptors(), before);
}

static void size_is_measured_not_believed(void **state)
{
    static char body[LIMIT + 4096];
    begin(4);
    struct probe *p = probe_open(port);
    for (size_t extra = 0; extra < 2; extra++) {
        int n = snprintf(body, sizeof body, "%s%0*d%s", FILE_PART, (int)(LIMIT + extra), 0, END);
        assert_true(n > 0 && (size_t)n < sizeof body);
        ask(p, "/open", body);
        assert_int_equal(a.status, extra ? 413 : 200);
        assert_true(probe_has(&a, extra ? "body_too_large" : "\"size\":100000"));
    }
    /* chunks without an end: cut off where no body may go on */
    probe_send(p, "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                  "Content-Type: multipart/form-data; boundary=b\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        char size[32];
        (void)snprintf(size, sizeof size, "%x\r\n", (unsigned)LIMIT);
        probe_send(p, size);
        probe_send_bytes(p, body, LIMIT);
        probe_send(p, "\r\n");
    }
    probe_read(p, &a, false);
    assert_int_equal(a.status, 413);
    probe_close(p);
    assert_int_equal(atomic_load(&ran), 1);
}

static void so_many_at_once(void **state)
{
    begin(2);
    log_set_fd(-1);
    struct probe *one = probe_open(port);
    struct probe *two = probe_open(port);
    struct probe *three = probe_open(port);
    probe_send(one, HEAD("/open", "200", "Expect: 100-continue\r\n"));
    probe_send(two, HEAD("/open", "200", "Expect: 100-continue\r\n"));
    assert_true(probe_more(one) && probe_more(two));
    ask(three, "/open", FILE_PART "abc" END);
    assert_int_equal(a.status, 503);
    assert_non_null(probe_header(&a, "Retry-After"));
    probe_close(one); /* stops midway */
    for (int i = 0; i < 100 && a.status != 200; i++) {
        ask(three, "/open", FILE_PART "abc" END);
        clock_sleep_usec(10 * MSEC);
    }
    assert_int_equal(a.status, 200);
    /* whoever sends nothing more is let go of, and what had come of the file with him */
    probe_read(two, &a, false);
    probe_read(two, &a, false);
    assert_true(probe_ended(two));
    probe_close(two);
    probe_close(three);
    log_set_fd(2);
}

static void so_many_of_one_client(void **state)
{
    per_client_max = 1;
    request_usec = 3600 * (int64_t)USEC_PER_SEC;
    begin(2);
    per_client_max = 64;
    request_usec = 1000 * MSEC;
    struct probe *one = probe_open(port);
    struct probe *two = probe_open(port);
    probe_send(one, HEAD("/open", "200", "Expect: 100-continue\r\n"));
    assert_true(probe_more(one));
    ask(two, "/open", FILE_PART "abc" END);
    assert_int_equal(a.status, 429);
    assert_non_null(probe_header(&a, "Retry-After"));
    probe_close(one); /* whoever has left is not waited for as long as whoever is slow */
    for (int i = 0; i < 3000 && a.status != 200; i++) {
        ask(two, "/open", FILE_PART "abc" END);
        clock_sleep_usec(10 * MSEC);
    }
    assert_int_equal(a.status, 200);
    probe_close(two);
    struct probe *half = probe_open(port); /* he says that nothing more comes, and waits */
    probe_send(half, GET("/file"));
    probe_read(half, &a, false);
    probe_send(half, HEAD("/open", "117", ""));
    probe_send(half, FILE_PART "abc" END);
    assert_int_equal(shutdown(half->fd, SHUT_WR), 0);
    probe_read(half, &a, false);
    assert_int_equal(a.status, 200);
    probe_close(half);
}

static void a_folder_that_takes_nothing_is_an_answer(void **state)
{
    struct http_config config = probe_config();
    struct why why = {.err = OK};
    config.upload_dir = "/proc/nowhere";
    config.uploads_max = 4;
    config.uploads_per_client_max = 4;
    log_set_fd(-1);
    assert_int_equal(http_start(&server, &config, &upload_table, 1, NULL, &why), OK);
    port = http_port(server);
    struct probe *p = probe_open(port);
    ask(p, "/open", FILE_PART "abc" END);
    assert_int_equal(a.status, 500);
    assert_false(probe_has(&a, "nowhere"));
    probe_close(p);
    log_set_fd(2);
}

static void ranges_of_a_file(void **state)
{
    begin(4);
    int before = descriptors();
    struct probe *p = probe_open(port);
    probe_send(p, GET("/file"));
    probe_read(p, &a, false);
    assert_true(a.status == 200 && strcmp(a.body, "0123456789") == 0);
    assert_string_equal(probe_header(&a, "Content-Type"), "application/pdf");
    assert_string_equal(probe_header(&a, "ETag"), "\"v1\"");
    assert_string_equal(probe_header(&a, "Accept-Ranges"), "bytes");
    assert_string_equal(probe_header(&a, "Content-Disposition"),
                        "attachment; filename=\"d_ta.pdf\"; filename*=UTF-8''d%C3%A4ta.pdf");
    probe_send(p, GET_WITH("/file", "Range: bytes=2-4\r\nAccept-Encoding: gzip\r\n"));
    probe_read(p, &a, false);
    assert_true(a.status == 206 && strcmp(a.body, "234") == 0);
    assert_string_equal(probe_header(&a, "Content-Range"), "bytes 2-4/10");
    probe_send(p, GET_WITH("/file", "Range: bytes=-3\r\nIf-Range: \"v1\"\r\n"));
    probe_read(p, &a, false);
    assert_true(a.status == 206 && strcmp(a.body, "789") == 0);
    probe_send(p, GET_WITH("/file", "Range: bytes=-3\r\nIf-Range: \"v0\"\r\n"));
    probe_read(p, &a, false);
    assert_true(a.status == 200 && a.body_len == 10);
    probe_send(p, GET_WITH("/file", "Range: bytes=10-\r\n"));
    probe_read(p, &a, false);
    assert_true(a.status == 416 && probe_has(&a, "range_not_satisfiable"));
    assert_string_equal(probe_header(&a, "Content-Range"), "bytes */10");
    probe_send(p, GET_WITH("/file", "If-None-Match: \"v1\"\r\nRange: bytes=2-4\r\n"));
    probe_read(p, &a, true);
    assert_int_equal(a.status, 304);
    assert_null(probe_header(&a, "Content-Disposition"));
    probe_send(p, "HEAD /file HTTP/1.1\r\nHost: x\r\nRange: bytes=2-4\r\n\r\n");
    probe_read(p, &a, true);
    assert_int_equal(a.status, 200);
    assert_string_equal(probe_header(&a, "Content-Length"), "10");
    probe_close(p);
    for (int i = 0; i < 1000 && descriptors() > before; i++) {
        clock_sleep_usec(MSEC);
    }
    assert_int_equal(descriptors(), before);
}

static int make_folder(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

/* Nothing that was uploaded has a name at any time. */
static int remove_folder(void **state)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/file", folder);
    (void)unlink(path);
    return rmdir(folder);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(a_file_arrives_with_its_hash),
        TEST(refusals_come_as_answers),
        TEST(who_calls_is_known_before_the_body),
        TEST(size_is_measured_not_believed),
        TEST(so_many_at_once),
        TEST(so_many_of_one_client),
        TEST(a_folder_that_takes_nothing_is_an_answer),
        TEST(ranges_of_a_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
