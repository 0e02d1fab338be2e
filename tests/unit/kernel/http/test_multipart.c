/* Bodies as curl and browsers send them, in every cut; and what no reader should guess at. */
#include "kernel/base/mem.h"
#include "kernel/http/multipart.h"
#include "unit/test.h"

#include <stdio.h>

/* What the sink is told, as text: name[=file name[;type]]{bytes} for each part. */
static struct arena arena;
static struct buf told;

static enum err on_begin(void *ctx, const struct http_part *part, struct why *why)
{
    buf_add_slice(&told, part->name);
    if (part->is_file) {
        buf_format(&told, "=%.*s;%.*s", SLICE_ARG(part->file_name), SLICE_ARG(part->content_type));
    }
    buf_add_text(&told, "{");
    return OK;
}

static enum err on_bytes(void *ctx, struct slice bytes, struct why *why)
{
    assert_true(bytes.len > 0);
    buf_add_slice(&told, bytes);
    return OK;
}

static enum err on_end(void *ctx, struct why *why)
{
    buf_add_text(&told, "}");
    return OK;
}

static const struct http_multipart_sink sink = {
    .begin = on_begin, .bytes = on_bytes, .end = on_end};

static int setup(void **state)
{
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

/* Feeds `body` in pieces of `step` bytes. */
static enum err feed(const char *boundary, struct slice body, size_t step)
{
    struct http_multipart m;
    enum err e = OK;
    buf_init(&told, &arena, 256);
    http_multipart_init(&m, slice_text(boundary), &sink, NULL);
    for (size_t at = 0; e == OK && at < body.len; at += step) {
        e = http_multipart_feed(&m, slice_sub(body, at, step), NULL);
    }
    return e == OK ? http_multipart_finish(&m, NULL) : e;
}

static void gives(const char *boundary, const char *body, const char *expected)
{
    struct slice text = slice_text(body);
    for (size_t step = 1; step <= text.len; step++) {
        assert_int_equal(feed(boundary, text, step), OK);
        if (!slice_equal_text(buf_slice(&told), expected)) {
            print_error("step %zu: %.*s\n", step, SLICE_ARG(buf_slice(&told)));
        }
        assert_true(slice_equal_text(buf_slice(&told), expected));
    }
}

static void refuses(const char *body)
{
    struct slice text = slice_text(body);
    for (size_t step = 1; step <= text.len; step++) {
        assert_int_equal(feed("b", text, step), ERR_INVALID_ENCODING);
    }
}

#define FIELD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"

static void what_clients_send_is_read(void **state)
{
    /* curl 7.88 -F document=@a.pdf -F description=x, its own boundary, taken from the wire */
    gives("------------------------d74496d66958873e",
          "--------------------------d74496d66958873e\r\n"
          "Content-Disposition: form-data; name=\"document\"; filename=\"a.pdf\"\r\n"
          "Content-Type: application/pdf\r\n\r\n%PDF-1.7\n\r\n"
          "--------------------------d74496d66958873e\r\n" FIELD(
              "description") "x\r\n"
                             "--------------------------d74496d66958873e--\r\n",
          "document=a.pdf;application/pdf{%PDF-1.7\n}description{x}");
    /* RFC 2046 section 5.1.1: preamble, epilogue and blanks behind a boundary say nothing */
    gives("simple boundary",
          "This is the preamble.\r\n--simple boundary  \r\n" FIELD(
              "a") "1\r\n"
                   "--simple boundary\t\r\n" FIELD(
                       "b") "\r\n--simple boundary--\r\nThis is the epilogue.",
          "a{1}b{}");
    gives("b", "--b\r\n" FIELD("a") "\r\n\r\n--b--", "a{\r\n}");
    gives("b", "--b--", "");
}

static void what_looks_like_a_boundary_is_data(void **state)
{
    gives("xyz",
          "--xyz\r\n" FIELD("a") "--xyz\r\n--xy\r\n--x\r\r\n-\r\n\r\n --xyz\n--xyz\r\n--xyz--",
          "a{--xyz\r\n--xy\r\n--x\r\r\n-\r\n\r\n --xyz\n--xyz}");
    gives("-", "---\r\n" FIELD("a") "\r\n--\r\n-\r\n---\r\n" FIELD("b") "-\r\n-----",
          "a{\r\n--\r\n-}b{-}");
}

static void names_are_unescaped_once(void **state)
{
    gives("b",
          "--b\r\nContent-Disposition: form-data; name=f; filename=\"a\\\"b\\\\c\\d.pdf\"\r\n\r\n"
          "\r\n--b--",
          "f=a\"b\\c\\d.pdf;{}");
    gives(
        "b",
        "--b\r\ncontent-disposition:FORM-DATA;Name=f;filename=\"\"\r\nX-Other: y\r\n\r\n\r\n--b--",
        "f=;{}");
}

static void what_could_be_read_twice_is_refused(void **state)
{
    refuses("");
    refuses("--b");
    refuses("--b-");
    refuses("no boundary at all");
    refuses("--b\r\n" FIELD("a") "1");
    refuses("--b\r\n" FIELD("a") "1\r\n--b");
    refuses("--bc\r\n" FIELD("a") "1\r\n--b--");
    refuses("--b\r\n" FIELD("a") "1\r\n--bc\r\n--b--");
    refuses("--b\n" FIELD("a") "1\r\n--b--");
    refuses("--b \r \n" FIELD("a") "1\r\n--b--");
    refuses("--b\r\n\r\n1\r\n--b--"); /* no name */
    refuses("--b\r\nContent-Type: text/plain\r\n\r\n1\r\n--b--");
    refuses("--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--b--");
    refuses("--b\r\nContent-Disposition: form-data; filename=a\r\n\r\n1\r\n--b--");
    refuses("--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--b--");
    refuses("--b\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n1\r\n--b--");
    refuses(
        "--b\r\nContent-Disposition: form-data; name=a; filename=a; filename=b\r\n\r\n1\r\n--b--");
    refuses("--b\r\nContent-Disposition: form-data; name=\"\xC3\x28\"\r\n\r\n1\r\n--b--");
    refuses("--b\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\n1\r\n--b--"); /* folded */
    refuses("--b\r\nContent-Disposition: form-data; name=a\n\r\n1\r\n--b--");
    refuses("--b\r\nContent-Disposition: form-data; name=a\rb\r\n\r\n1\r\n--b--");
    refuses("--b\r\nContent-Disposition: form-data; name=a\r\n" FIELD("a") "1\r\n--b--");
    refuses("--b\r\nContent-Transfer-Encoding: base64\r\n" FIELD("a") "MQ==\r\n--b--");
    char long_header[HTTP_PART_HEADERS_MAX + 64];
    int n = snprintf(long_header, sizeof long_header, "--b\r\nX: %0*d\r\n\r\n",
                     HTTP_PART_HEADERS_MAX, 0);
    assert_int_equal(feed("b", slice_of(long_header, (size_t)n), 64), ERR_INVALID_ENCODING);
}

static void the_content_type_names_the_boundary(void **state)
{
    static const struct {
        const char *type;
        const char *boundary;
    } cases[] = {
        {"multipart/form-data; boundary=abc", "abc"},
        {"Multipart/Form-Data;charset=utf-8; BOUNDARY=\"a b:c\"", "a b:c"},
        {"multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
         "----WebKitFormBoundary7MA4YWxkTrZu0gW"},
        {"multipart/form-data", NULL},
        {"multipart/form-data; boundary=", NULL},
        {"multipart/form-data; boundary=\"\"", NULL},
        {"multipart/form-data; boundary=\"a \"", NULL},
        {"multipart/form-data; boundary=\"a\xC3\xA4\"", NULL},
        {"multipart/form-data; boundary=a; boundary=b", NULL},
        {"multipart/form-data boundary=a", NULL},
        {"multipart/form-datax; boundary=a", NULL},
        {"multipart/mixed; boundary=a", NULL},
        {"application/json", NULL},
        {"", NULL},
        {"multipart/form-data; "
         "boundary=12345678901234567890123456789012345678901234567890123456789012345678901",
         NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice boundary = SLICE_EMPTY;
        enum err e = http_multipart_boundary(&arena, slice_text(cases[i].type), &boundary, NULL);
        assert_int_equal(e, cases[i].boundary ? OK : ERR_UNSUPPORTED_MEDIA);
        assert_true(!cases[i].boundary || slice_equal_text(boundary, cases[i].boundary));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_clients_send_is_read),
        TEST(what_looks_like_a_boundary_is_data),
        TEST(names_are_unescaped_once),
        TEST(what_could_be_read_twice_is_refused),
        TEST(the_content_type_names_the_boundary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
