#include "kernel/net/xml.h"

#include "unit/test.h"

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

/* All events as text: "(a", ")a", "=text", "." at the end, "!" when it is bad. */
static const char *events(const char *text)
{
    struct net_xml x;
    struct buf out;
    net_xml_init(&x, &arena, slice_text(text));
    buf_init(&out, &arena, 64);
    for (;;) {
        switch (net_xml_next(&x)) {
        case NET_XML_BEGIN:
            buf_format(&out, "(%.*s", SLICE_ARG(x.name));
            break;
        case NET_XML_END:
            buf_format(&out, ")%.*s", SLICE_ARG(x.name));
            break;
        case NET_XML_TEXT:
            buf_format(&out, "=%.*s", SLICE_ARG(x.text));
            break;
        case NET_XML_DONE:
            buf_add_byte(&out, '.');
            return slice_cstr(&arena, buf_slice(&out));
        case NET_XML_BAD:
            buf_add_byte(&out, '!');
            return slice_cstr(&arena, buf_slice(&out));
        }
    }
}

static void test_reads_what_servers_write(void **state)
{
    assert_string_equal(events("<a/>"), "(a)a.");
    assert_string_equal(events("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a><b>x</b></a>\n"),
                        "=\n(a(b=x)b)a=\n.");
    assert_string_equal(events("<s:a xmlns:s='http://x/?a>b' c=\"'\"><s:b /></s:a>"), "(a(b)b)a.");
    assert_string_equal(events("<a>1 &lt; 2 &amp;&#65;&#x42;&#228;&#x1F600;</a>"),
                        "(a=1 < 2 &AB\xc3\xa4\xf0\x9f\x98\x80)a.");
    assert_string_equal(events("<a><!-- <b> --><![CDATA[<&>]]></a >"), "(a=<&>)a.");
}

static void test_refuses_what_is_no_answer(void **state)
{
    static const char *const bad[] = {
        "",
        "text",
        "<a>",
        "<a></b>",
        "<a><b></a></b>",
        "<a></a><b></b>",
        "<a></a>x",
        "<a",
        "<a b='",
        "<a <b></a>",
        "</a>",
        "<!DOCTYPE a><a/>",
        "<a><!ENTITY x 'y'></a>",
        "<a><?php ?></a>",
        "<a>&unknown;</a>",
        "<a>&#0;</a>",
        "<a>&#xD800;</a>",
        "<a>&#1114112;</a>",
        "<a>&#99999999999999999999;</a>",
        "<a>&amp</a>",
        "<a><![CDATA[x</a>",
        "<a><!-- </a>",
        "< a></a>",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *found = events(bad[i]);
        if (found[strlen(found) - 1] != '!') {
            fail_msg("%s: %s", bad[i], found);
        }
    }
}

static const char *nested(int depth)
{
    struct buf text;
    buf_init(&text, &arena, 256);
    for (int i = 0; i < 2 * depth; i++) {
        buf_add_text(&text, i < depth ? "<a>" : "</a>");
    }
    return slice_cstr(&arena, buf_slice(&text));
}

static void test_nests_to_a_limit(void **state)
{
    const char *found = events(nested(XML_DEPTH_MAX));
    assert_int_equal(found[strlen(found) - 1], '.');
    found = events(nested(XML_DEPTH_MAX + 1));
    assert_int_equal(found[strlen(found) - 1], '!');
}

static void test_finds_the_first_of_a_name(void **state)
{
    struct slice out = SLICE_EMPTY;
    struct slice error =
        SLICE_LIT("<Error><Code>No<!-- -->Such&amp;Key</Code><Code>x</Code></Error>");
    assert_true(net_xml_find(&arena, error, "Code", &out));
    assert_true(slice_equal_text(out, "NoSuch&Key"));
    assert_false(net_xml_find(&arena, error, "Cod", &out));
    assert_false(net_xml_find(&arena, SLICE_LIT("<Code>open"), "Code", &out));
    assert_false(net_xml_find(&arena, SLICE_LIT("{}"), "Code", &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads_what_servers_write, begin, end),
        cmocka_unit_test_setup_teardown(test_refuses_what_is_no_answer, begin, end),
        cmocka_unit_test_setup_teardown(test_nests_to_a_limit, begin, end),
        cmocka_unit_test_setup_teardown(test_finds_the_first_of_a_name, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
