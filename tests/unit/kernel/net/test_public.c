/*
 * Which addresses are of the public internet, by the special-purpose registries of IANA: the first
 * and last address of blocks, and their neighbours.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "kernel/net/public.h"
#include "unit/test.h"

static bool is_public(const char *text)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_storage any = {.ss_family = AF_UNSPEC};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
        memcpy(&any, &four, sizeof four);
    } else if (inet_pton(AF_INET6, text, &six.sin6_addr) == 1) {
        memcpy(&any, &six, sizeof six);
    } else {
        fail_msg("%s is no address", text);
    }
    return net_address_is_public((const struct sockaddr *)&any);
}

static void others_are_not_called(void **state)
{
    (void)state;
    static const char *const texts[] = {"0.0.0.0",
                                        "10.0.0.0",
                                        "10.255.255.255",
                                        "100.64.0.0",
                                        "100.127.255.255",
                                        "127.0.0.1",
                                        "127.255.255.255",
                                        "169.254.169.254",
                                        "172.16.0.0",
                                        "172.31.255.255",
                                        "192.0.0.8",
                                        "192.0.2.1",
                                        "192.88.99.1",
                                        "192.168.0.1",
                                        "192.168.255.255",
                                        "198.18.0.1",
                                        "198.19.255.255",
                                        "198.51.100.7",
                                        "203.0.113.9",
                                        "224.0.0.1",
                                        "239.255.255.255",
                                        "240.0.0.1",
                                        "255.255.255.255",
                                        "::",
                                        "::1",
                                        "::127.0.0.1",
                                        "::ffff:127.0.0.1",
                                        "::ffff:10.1.2.3",
                                        "64:ff9b::a9fe:a9fe",
                                        "100::1",
                                        "2001::1",
                                        "2001:1ff:ffff::1",
                                        "2001:db8::1",
                                        "2002:7f00:1::1",
                                        "2002:a00:1::",
                                        "3fff::1",
                                        "fc00::1",
                                        "fd12:3456::1",
                                        "fe80::1",
                                        "fec0::1",
                                        "ff02::1",
                                        "4000::1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (is_public(texts[i])) {
            fail_msg("%s counts as public", texts[i]);
        }
    }
}

static void the_public_ones_are(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1.1.1.1",         "9.255.255.255",    "11.0.0.0",    "100.63.255.255",
        "100.128.0.0",     "126.255.255.255",  "128.0.0.0",   "169.253.255.255",
        "169.255.0.0",     "172.15.255.255",   "172.32.0.0",  "192.167.255.255",
        "192.169.0.0",     "198.17.255.255",   "198.20.0.0",  "223.255.255.255",
        "::ffff:8.8.8.8",  "64:ff9b::808:808", "2001:200::1", "2001:4860:4860::8888",
        "2002:808:808::1", "2606:4700::1111",  "2a00:1450::1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!is_public(texts[i])) {
            fail_msg("%s does not count as public", texts[i]);
        }
    }
}

static void other_families_are_refused(void **state)
{
    (void)state;
    struct sockaddr_storage any = {.ss_family = AF_UNIX};
    assert_false(net_address_is_public((const struct sockaddr *)&any));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_are_not_called),
        cmocka_unit_test(the_public_ones_are),
        cmocka_unit_test(other_families_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
