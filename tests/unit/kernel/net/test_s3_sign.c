#include "kernel/net/s3_sign.h"

#include "kernel/net/s3.h"
#include "unit/test.h"

/* The credentials and the moment of all examples in AWS's documentation of S3. */
#define KEY_ID "AKIAIOSFODNN7EXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define MOMENT 1369353600000000 /* 2013-05-24T00:00:00Z */
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

#define HEADER(n, v)                                                                               \
    {                                                                                              \
        {(const uint8_t *)(n), sizeof(n) - 1},                                                     \
        {                                                                                          \
            (const uint8_t *)(v), sizeof(v) - 1                                                    \
        }                                                                                          \
    }
#define HOST HEADER("host", "examplebucket.s3.amazonaws.com")
#define DATE HEADER("x-amz-date", "20130524T000000Z")

static struct arena arena;

static int begin(void **state)
{
    arena_init(&arena, 0);
    return 0;
}

static int end(void **state)
{
    arena_free(&arena);
    return 0;
}

static struct s3_signing signing(const char *method, const char *path, const char *hash)
{
    return (struct s3_signing){.method = method,
                               .path = slice_text(path),
                               .payload_hash = slice_text(hash),
                               .now_usec = MOMENT,
                               .region = "us-east-1",
                               .service = "s3",
                               .key_id = SLICE_LIT(KEY_ID),
                               .secret = SLICE_LIT(SECRET)};
}

static void assert_signature(const struct s3_signing *s, const char *expected)
{
    assert_string_equal(slice_cstr(&arena, s3_signature(&arena, s)), expected);
}

/*
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "GET Object", "PUT
 * Object", "GET Bucket Lifecycle", "Get Bucket (List Objects)"
 */
static void test_signs_the_published_examples(void **state)
{
    static const struct net_header get[] = {HOST, HEADER("range", "bytes=0-9"),
                                            HEADER("x-amz-content-sha256", EMPTY_HASH), DATE};
    struct s3_signing s = signing("GET", "/test.txt", EMPTY_HASH);
    s.headers = get;
    s.header_count = 4;
    assert_signature(&s, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    assert_string_equal(
        slice_cstr(&arena, s3_authorization(&arena, &s)),
        "AWS4-HMAC-SHA256 Credential=" KEY_ID "/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");

    /* The hash of "Welcome to Amazon S3.", and headers in no order. */
    static const char body[] = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    static const struct net_header put[] = {
        HEADER("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        HEADER("date", "Fri, 24 May 2013 00:00:00 GMT"), HOST, DATE,
        HEADER("x-amz-content-sha256",
               "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072")};
    s = signing("PUT", "/test$file.text", body);
    s.headers = put;
    s.header_count = 5;
    assert_signature(&s, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");

    static const struct net_header plain[] = {HOST, HEADER("x-amz-content-sha256", EMPTY_HASH),
                                              DATE};
    static const struct s3_pair lifecycle[] = {HEADER("lifecycle", "")};
    s = signing("GET", "/", EMPTY_HASH);
    s.headers = plain;
    s.header_count = 3;
    s.query = lifecycle;
    s.query_count = 1;
    assert_signature(&s, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");

    static const struct s3_pair list[] = {HEADER("prefix", "J"), HEADER("max-keys", "2")};
    s.query = list;
    s.query_count = 2;
    assert_signature(&s, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static struct net_s3 *open_bucket(const char *endpoint, bool path_style)
{
    static struct secret id;
    static struct secret secret;
    static struct secret none;
    struct net_s3 *s3 = NULL;
    struct why why = {0};
    secret_init(&id, KEY_ID, sizeof(KEY_ID) - 1);
    secret_init(&secret, SECRET, sizeof(SECRET) - 1);
    const struct net_s3_options options = {.endpoint = endpoint,
                                           .region = "us-east-1",
                                           .bucket = "examplebucket",
                                           .path_style = path_style,
                                           .key_id = &id,
                                           .secret = &secret,
                                           .session_token = &none,
                                           .timeout_usec = 1000000,
                                           .attempts_max = 1};
    assert_int_equal(net_s3_new(&options, &s3, &why), OK);
    secret_clear(&id);
    secret_clear(&secret);
    return s3;
}

/* https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, its example */
static void test_presigns_the_published_example(void **state)
{
    struct net_s3 *s3 = open_bucket("https://s3.amazonaws.com", false);
    struct slice url = net_s3_presign(s3, &arena, "GET", "test.txt", MOMENT, 86400);
    assert_string_equal(
        slice_cstr(&arena, url),
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=" KEY_ID "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    net_s3_free(s3);
}

static void test_addresses_buckets_in_both_styles(void **state)
{
    struct net_s3 *path = open_bucket("http://127.0.0.1:9000/", true);
    struct net_s3 *host = open_bucket("", false);
    struct slice a = net_s3_presign(path, &arena, "GET", "a b/c", MOMENT, 1);
    struct slice b = net_s3_presign(host, &arena, "GET", "a b/c", MOMENT, 1);
    assert_true(slice_starts(a, SLICE_LIT("http://127.0.0.1:9000/examplebucket/a%20b/c?")));
    assert_true(
        slice_starts(b, SLICE_LIT("https://examplebucket.s3.us-east-1.amazonaws.com/a%20b/c?")));
    net_s3_free(path);
    net_s3_free(host);
}

/* RFC 3986: everything but letters, digits, '-', '.', '_' and '~'. */
static void test_encodes_every_byte(void **state)
{
    struct buf out;
    buf_init(&out, &arena, 64);
    s3_encode(&out, SLICE_LIT("aZ09-._~/ +%&=\xc3\xa4"), true);
    assert_string_equal(slice_cstr(&arena, buf_slice(&out)), "aZ09-._~/%20%2B%25%26%3D%C3%A4");
    out.len = 0;
    s3_encode(&out, SLICE_LIT("/"), false);
    assert_string_equal(slice_cstr(&arena, buf_slice(&out)), "%2F");
}

static void test_refuses_what_is_no_bucket(void **state)
{
    static struct secret id;
    static struct secret none;
    struct why why;
    struct net_s3 *s3 = NULL;
    secret_init(&id, "x", 1);
    static const char *const endpoints[] = {"s3.example", "ftp://x", "https://", "https://a/b",
                                            "https://u@h"};
    struct net_s3_options o = {.endpoint = "",
                               .region = "r",
                               .bucket = "b",
                               .key_id = &id,
                               .secret = &id,
                               .session_token = &none};
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        o.endpoint = endpoints[i];
        assert_int_equal(net_s3_new(&o, &s3, &why), ERR_CONFIG);
        assert_string_equal(why.field, "backup.s3_endpoint");
    }
    o.endpoint = "";
    o.bucket = "a/b";
    assert_int_equal(net_s3_new(&o, &s3, &why), ERR_CONFIG);
    o.bucket = "b";
    o.secret = &none;
    assert_int_equal(net_s3_new(&o, &s3, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "credentials"));
    assert_null(s3);
    secret_clear(&id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_signs_the_published_examples, begin, end),
        cmocka_unit_test_setup_teardown(test_presigns_the_published_example, begin, end),
        cmocka_unit_test_setup_teardown(test_addresses_buckets_in_both_styles, begin, end),
        cmocka_unit_test_setup_teardown(test_encodes_every_byte, begin, end),
        cmocka_unit_test(test_refuses_what_is_no_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
