#include "kernel/http/request.h"

#include "kernel/base/mem.h"
#include "unit/test.h"

static struct arena req;

static int setup(void **state)
{
    arena_init(&req, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&req);
    return 0;
}

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static struct slice text(const char *t)
{
    return slice_text(t);
}

static void assert_slice(struct slice s, const char *expected)
{
    if (!slice_equal_text(s, expected)) {
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(s), expected);
    }
}

/* ---- percent-encoding ------------------------------------------------------------------------ */

static void percent_is_undone_once(void **state)
{
    struct slice out;
    assert_int_equal(http_percent_decode(&req, text("a%2Fb%2fc%41+d"), false, &out, NULL), OK);
    assert_slice(out, "a/b/cA+d");
    assert_int_equal(http_percent_decode(&req, text("a+b%2B"), true, &out, NULL), OK);
    assert_slice(out, "a b+");
    assert_int_equal(http_percent_decode(&req, text("%2541"), false, &out, NULL), OK);
    assert_slice(out, "%41");
    assert_int_equal(http_percent_decode(&req, text(""), true, &out, NULL), OK);
    assert_int_equal(out.len, 0);
    assert_int_equal(http_percent_decode(&req, text("%F0%9F%8F%A0"), false, &out, NULL), OK);
    assert_slice(out, "\xF0\x9F\x8F\xA0"); /* U+1F3E0 */
}

static void malformed_percent_is_refused(void **state)
{
    static const char *const bad[] = {
        "%",
        "%4",
        "a%",
        "a%4",
        "%zz",
        "%4z",
        "%-1",
        "%00",
        "%0A",
        "%1F",
        "%7F",
        "%C2%80",
        "%C2%9F", /* controls */
        "%80",
        "%C3",
        "%C0%80",
        "%C1%BF",
        "%E0%80%AF",
        "%E0%9F%BF", /* overlong */
        "%ED%A0%80",
        "%ED%BF%BF", /* surrogates */
        "%F4%90%80%80",
        "%F5%80%80%80",
        "%FE", /* beyond Unicode */
        "%F0%8F%BF%BF",
        "%E2%82",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct slice out = SLICE_LIT("untouched");
        if (http_percent_decode(&req, text(bad[i]), false, &out, NULL) != ERR_INVALID_ENCODING) {
            fail_msg("%s was taken", bad[i]);
        }
        assert_slice(out, "untouched");
    }
}

static void targets_are_split(void **state)
{
    static const struct {
        const char *target, *path, *query;
    } good[] = {
        {"/", "/", ""},
        {"/a/b?c=d?e", "/a/b", "c=d?e"},
        {"/a?", "/a", ""},
        {"*", "*", ""},
        {"http://host:80/a?b", "/a", "b"},
        {"HTTPS://host", "/", ""},
        {"https://host?x=1", "/", "x=1"},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        struct slice path;
        struct slice query;
        assert_int_equal(http_target_split(text(good[i].target), &path, &query, NULL), OK);
        assert_slice(path, good[i].path);
        assert_slice(query, good[i].query);
    }
    static const char *const bad[] = {"",     "a",     "a/b",  "http://", "http:///a", "ftp://h/a",
                                      "/a b", "/a\tb", "/a#b", "/\x80",   "**",        "?a=b"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct slice path;
        struct slice query;
        if (http_target_split(text(bad[i]), &path, &query, NULL) != ERR_INVALID_REQUEST) {
            fail_msg("%s was taken", bad[i]);
        }
    }
}

static void paths_become_segments(void **state)
{
    struct http_segments s;
    assert_int_equal(http_path_decode(&req, text("/a/b%2Fc/"), &s, NULL), OK);
    assert_int_equal(s.count, 2);
    assert_slice(s.at[0], "a");
    assert_slice(s.at[1], "b/c");
    assert_int_equal(http_path_decode(&req, text("/"), &s, NULL), OK);
    assert_int_equal(s.count, 0);
    assert_int_equal(http_path_decode(&req, text("//"), &s, NULL), OK);
    assert_int_equal(s.count, 0);
    assert_int_equal(http_path_decode(&req, text("///"), &s, NULL), OK);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.at[0].len, 0);
    assert_int_equal(http_path_decode(&req, text("/.../..a"), &s, NULL), OK);
    assert_int_equal(s.count, 2);
    static const char *const bad[] = {"/.", "/..", "/a/../b", "/%2e", "/%2E.", "/a/./b", "/%00"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(http_path_decode(&req, text(bad[i]), &s, NULL), ERR_INVALID_ENCODING);
    }
    assert_int_equal(http_path_decode(&req, text("/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g"), &s, NULL),
                     OK);
    assert_false(s.too_many);
    assert_int_equal(http_path_decode(&req, text("/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h"), &s, NULL),
                     OK);
    assert_true(s.too_many);
}

/* ---- the query ------------------------------------------------------------------------------- */

static const char *const status_key[] = {"status", "from", NULL};
static const struct http_route list_route = {.flags = HTTP_LIST, .query_keys = status_key};
static const struct http_route plain_route = {.flags = 0};

static enum err query(const char *q, const struct http_route *route, struct http_call *call,
                      struct why *why)
{
    *call = (struct http_call){.req = &req, .route = route};
    return http_query_decode(&req, text(q), route, &call->query, &call->query_count, why);
}

static void queries_are_read(void **state)
{
    struct http_call call;
    bool found;
    assert_int_equal(query("status=a%26b&&from=&limit=5", &list_route, &call, NULL), OK);
    assert_int_equal(call.query_count, 3);
    assert_slice(http_query(&call, "status", &found), "a&b");
    assert_true(found);
    assert_slice(http_query(&call, "from", &found), "");
    assert_true(found);
    assert_slice(http_query(&call, "cursor", &found), "");
    assert_false(found);
    assert_int_equal(query("status", &list_route, &call, NULL), OK);
    assert_slice(http_query(&call, "status", &found), "");
    assert_true(found);
    assert_int_equal(query("", &plain_route, &call, NULL), OK);
    assert_int_equal(query("st%61tus=a=b", &list_route, &call, NULL), OK);
    assert_slice(http_query(&call, "status", NULL), "a=b");
}

static void strange_queries_are_refused(void **state)
{
    struct http_call call;
    struct why why = {.err = OK};
    assert_int_equal(query("Status=1", &list_route, &call, &why), ERR_UNKNOWN_FIELD);
    assert_non_null(strstr(why.text, "\"Status\""));
    assert_int_equal(query("limit=1", &plain_route, &call, &why), ERR_UNKNOWN_FIELD);
    assert_int_equal(query("=1", &list_route, &call, NULL), ERR_UNKNOWN_FIELD);
    assert_int_equal(query("status=1&from=2&st%61tus=3", &list_route, &call, &why),
                     ERR_INVALID_FIELD);
    assert_non_null(strstr(why.text, "status"));
    assert_int_equal(query("status=%0a", &list_route, &call, NULL), ERR_INVALID_ENCODING);
    assert_int_equal(query("%=1", &list_route, &call, NULL), ERR_INVALID_ENCODING);
}

static enum err page(const char *q, struct http_page *out, struct why *why)
{
    struct http_call call;
    assert_int_equal(query(q, &list_route, &call, NULL), OK);
    return http_page_read(&call, out, why);
}

static void pages_are_read(void **state)
{
    struct http_page p;
    struct why why = {.err = OK};
    assert_int_equal(page("", &p, NULL), OK);
    assert_true(p.limit == 50 && p.offset == 0 && p.cursor.len == 0);
    assert_int_equal(page("limit=1&offset=9223372036854775807", &p, NULL), OK);
    assert_true(p.limit == 1 && p.offset == INT64_MAX);
    assert_int_equal(page("limit=200&cursor=Zm9v", &p, NULL), OK);
    assert_slice(p.cursor, "foo");
    assert_int_equal(page("limit=0", &p, &why), ERR_INVALID_FIELD);
    assert_string_equal(why.field, "limit");
    assert_int_equal(page("limit=201", &p, NULL), ERR_INVALID_FIELD);
    assert_int_equal(page("limit=-1", &p, NULL), ERR_INVALID_AMOUNT);
    assert_int_equal(page("limit=", &p, NULL), ERR_INVALID_AMOUNT);
    assert_int_equal(page("limit=99999999999999999999", &p, NULL), ERR_INVALID_AMOUNT);
    assert_int_equal(page("offset=1.5", &p, &why), ERR_INVALID_AMOUNT);
    assert_string_equal(why.field, "offset");
    assert_int_equal(page("offset=9223372036854775808", &p, NULL), ERR_INVALID_FIELD);
    assert_int_equal(page("cursor=!", &p, &why), ERR_INVALID_FIELD);
    assert_string_equal(why.field, "cursor");
    assert_int_equal(page("cursor=Zm9v&offset=1", &p, NULL), ERR_INVALID_FIELD);
}

/* RFC 4648 section 10, without padding and in the URL alphabet. */
static void cursors_are_base64url(void **state)
{
    static const struct {
        const char *bytes, *encoded;
    } vectors[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xFB\xFF\xFE", "-__-"},
    };
    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct slice out;
        assert_slice(http_cursor_encode(&req, text(vectors[i].bytes)), vectors[i].encoded);
        assert_int_equal(http_cursor_decode(&req, text(vectors[i].encoded), &out, NULL), OK);
        assert_slice(out, vectors[i].bytes);
    }
    /* One spelling: no padding, no other alphabet, no bits that say nothing. */
    static const char *const bad[] = {"Z", "Zg==", "Zm9v\n", "Zm9vY", "+//+", "Zh", "Zm9", "Zm 9v"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct slice out;
        if (http_cursor_decode(&req, text(bad[i]), &out, NULL) != ERR_INVALID_FIELD) {
            fail_msg("%s was taken", bad[i]);
        }
    }
}

/* ---- headers --------------------------------------------------------------------------------- */

struct pair {
    const char *name, *value;
};

static enum err check(const struct pair *pairs, bool http11, struct http_framing *out)
{
    struct http_param headers[8];
    size_t count = 0;
    for (; pairs[count].name; count++) {
        headers[count] = (struct http_param){text(pairs[count].name), text(pairs[count].value)};
    }
    return http_headers_check(headers, count, http11, out, NULL);
}

static void framing_is_read(void **state)
{
    struct http_framing f;
    const struct pair none[] = {{"Host", "x"}, {NULL, NULL}};
    assert_int_equal(check(none, true, &f), OK);
    assert_false(f.chunked || f.has_length || f.expects_continue);
    const struct pair length[] = {
        {"host", "[::1]:80"}, {"content-length", "12"}, {"Expect", "100-Continue"}, {NULL, NULL}};
    assert_int_equal(check(length, true, &f), OK);
    assert_true(f.has_length && f.length == 12 && f.expects_continue);
    const struct pair chunked[] = {{"Host", ""}, {"Transfer-Encoding", "Chunked"}, {NULL, NULL}};
    assert_int_equal(check(chunked, true, &f), OK);
    assert_true(f.chunked);
    const struct pair old[] = {{NULL, NULL}};
    assert_int_equal(check(old, false, &f), OK);
    assert_int_equal(check(old, true, &f), ERR_INVALID_REQUEST);
}

static void header_sets_of_two_meanings_are_refused(void **state)
{
    static const struct pair sets[][4] = {
        {{"Host", "x"}, {"Host", "x"}, {NULL, NULL}},
        {{"Host", "x y"}, {NULL, NULL}},
        {{"Host", "x"}, {"Content-Length", "1"}, {"Transfer-Encoding", "chunked"}, {NULL, NULL}},
        {{"Host", "x"}, {"Content-Length", "1"}, {"Content-Length", "1"}, {NULL, NULL}},
        {{"Host", "x"}, {"Content-Length", "-1"}, {NULL, NULL}},
        {{"Host", "x"}, {"Content-Length", "0x1"}, {NULL, NULL}},
        {{"Host", "x"}, {"Content-Length", "1, 1"}, {NULL, NULL}},
        {{"Host", "x"}, {"Content-Length", ""}, {NULL, NULL}},
        {{"Host", "x"}, {"Content-Length", "99999999999999999999"}, {NULL, NULL}},
        {{"Host", "x"}, {"Transfer-Encoding", "gzip"}, {NULL, NULL}},
        {{"Host", "x"}, {"Transfer-Encoding", "chunked, chunked"}, {NULL, NULL}},
        {{"Host", "x"}, {"Transfer-Encoding", ""}, {NULL, NULL}},
        {{"Host", "x"}, {"Authorization", "a"}, {"authorization", "b"}, {NULL, NULL}},
        {{"Host", "x"}, {"Content-Type", "a"}, {"Content-Type", "b"}, {NULL, NULL}},
        {{"Host", "x"}, {"Bad Name", "a"}, {NULL, NULL}},
        {{"Host", "x"}, {"", "a"}, {NULL, NULL}},
        {{"Host", "x"}, {"B\xC3\xA4", "a"}, {NULL, NULL}},
        {{"Host", "x"}, {"A", "a\x01"}, {NULL, NULL}},
        {{"Host", "x"}, {"A", "a\x7F"}, {NULL, NULL}},
        {{"Host", "x"}, {"A", "a\rb"}, {NULL, NULL}},
    };
    for (size_t i = 0; i < COUNT(sets); i++) {
        struct http_framing f;
        if (check(sets[i], true, &f) != ERR_INVALID_REQUEST) {
            fail_msg("set %zu was taken", i);
        }
    }
    const struct pair old[] = {{"Transfer-Encoding", "chunked"}, {NULL, NULL}};
    struct http_framing f;
    assert_int_equal(check(old, false, &f), ERR_INVALID_REQUEST);
}

static void json_is_recognised(void **state)
{
    assert_true(http_media_is_json(text("application/json")));
    assert_true(http_media_is_json(text("Application/JSON ; charset=UTF-8")));
    assert_true(http_media_is_json(text("application/json;charset=\"utf-8\"")));
    assert_true(http_media_is_json(text("application/json;")));
    assert_false(http_media_is_json(text("")));
    assert_false(http_media_is_json(text("application/jsonp")));
    assert_false(http_media_is_json(text("text/json")));
    assert_false(http_media_is_json(text("application/json; charset=latin1")));
    assert_false(http_media_is_json(text("text/plain; application/json")));
}

static void etags_are_compared(void **state)
{
    assert_true(http_etag_matches(text("\"a\""), text("a")));
    assert_true(http_etag_matches(text("\"b\", \"a\""), text("a")));
    assert_true(http_etag_matches(text("W/\"a\""), text("a")));
    assert_true(http_etag_matches(text("*"), text("a")));
    assert_false(http_etag_matches(text(""), text("a")));
    assert_false(http_etag_matches(text("a"), text("a")));
    assert_false(http_etag_matches(text("\"a"), text("a")));
    assert_false(http_etag_matches(text("\"aa\""), text("a")));
    assert_false(http_etag_matches(text("\""), text("")));
}

static void gzip_is_sent_to_who_takes_it(void **state)
{
    static const char *const takes[] = {"gzip",
                                        "GZIP",
                                        "x-gzip",
                                        "*",
                                        "deflate, gzip;q=1.0, *;q=0.5",
                                        "br , gzip ; q=0.001",
                                        "*;q=0, gzip",
                                        "gzip;q=1.000"};
    static const char *const refuses[] = {"",
                                          "identity",
                                          "gzip;q=0",
                                          "*, gzip;q=0.000",
                                          "*;q=0",
                                          "gzipp",
                                          "gzip;q=2",
                                          "gzip;q=1.001",
                                          "gzip;q=0.0001",
                                          "gzip;q=.5",
                                          "gzip;level=1",
                                          "gzip;q=0x1",
                                          ";q=1",
                                          ",,"};
    for (size_t i = 0; i < sizeof takes / sizeof takes[0]; i++) {
        if (!http_accepts_gzip(text(takes[i]))) {
            fail_msg("%s", takes[i]);
        }
    }
    for (size_t i = 0; i < sizeof refuses / sizeof refuses[0]; i++) {
        if (http_accepts_gzip(text(refuses[i]))) {
            fail_msg("%s", refuses[i]);
        }
    }
}

static void ids_and_keys_are_checked(void **state)
{
    char long_text[300];
    memset(long_text, 'a', sizeof long_text);
    assert_true(http_id_is_valid(text("a.B_9-z")));
    assert_true(http_id_is_valid(slice_of(long_text, 64)));
    assert_false(http_id_is_valid(slice_of(long_text, 65)));
    assert_false(http_id_is_valid(text("")));
    assert_false(http_id_is_valid(text("a b")));
    assert_false(http_id_is_valid(text("a\"b")));
    assert_true(http_key_is_valid(slice_of(long_text, 255)));
    assert_false(http_key_is_valid(slice_of(long_text, 256)));
    assert_true(http_key_is_valid(text("~!{}\"")));
    assert_false(http_key_is_valid(text("\xC3\xA9")));
}

static struct http_call call_for_missing;

static void read_missing_param(void)
{
    (void)http_param(&call_for_missing, "id");
}

static void handlers_read_parameters_and_headers(void **state)
{
    const struct http_param headers[] = {{text("X-Thing"), text("one")}};
    struct http_call call = {.headers = headers, .header_count = 1, .param_count = 1};
    call.params[0] = (struct http_param){text("id"), text("7")};
    assert_slice(http_param(&call, "id"), "7");
    assert_slice(http_header(&call, "x-thing"), "one");
    assert_slice(http_header(&call, "x-other"), "");
    assert_true(test_aborts(read_missing_param));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(percent_is_undone_once),
        TEST(malformed_percent_is_refused),
        TEST(targets_are_split),
        TEST(paths_become_segments),
        TEST(queries_are_read),
        TEST(strange_queries_are_refused),
        TEST(pages_are_read),
        TEST(cursors_are_base64url),
        TEST(framing_is_read),
        TEST(header_sets_of_two_meanings_are_refused),
        TEST(json_is_recognised),
        TEST(etags_are_compared),
        TEST(gzip_is_sent_to_who_takes_it),
        TEST(ids_and_keys_are_checked),
        TEST(handlers_read_parameters_and_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
