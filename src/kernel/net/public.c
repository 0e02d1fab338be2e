/*
 * public.c: which addresses are of the public internet. What is not, is of this machine, of the
 * networks around it, or of nobody: https://www.iana.org/assignments/iana-ipv4-special-registry and
 * iana-ipv6-special-registry.
 */
#include "kernel/net/public.h"

#include <arpa/inet.h>
#include <netinet/in.h>

struct block4 {
    uint32_t prefix;
    unsigned bits;
};

static const struct block4 blocks4[] = {
    {0x00000000, 8},  /* this network */
    {0x0a000000, 8},  /* private */
    {0x64400000, 10}, /* shared by carriers */
    {0x7f000000, 8},  /* loopback */
    {0xa9fe0000, 16}, /* link local, and the metadata services of clouds */
    {0xac100000, 12}, /* private */
    {0xc0000000, 24}, /* IETF protocol assignments */
    {0xc0000200, 24}, /* documentation */
    {0xc0586300, 24}, /* 6to4 relays */
    {0xc0a80000, 16}, /* private */
    {0xc6120000, 15}, /* benchmarks */
    {0xc6336400, 24}, /* documentation */
    {0xcb007100, 24}, /* documentation */
    {0xe0000000, 4},  /* multicast */
    {0xf0000000, 4},  /* reserved, broadcast */
};

static bool public4(uint32_t address)
{
    for (size_t i = 0; i < sizeof blocks4 / sizeof blocks4[0]; i++) {
        if ((address ^ blocks4[i].prefix) >> (32 - blocks4[i].bits) == 0) {
            return false;
        }
    }
    return true;
}

static uint32_t word_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/*
 * Of IPv6 the global unicast space 2000::/3 is public, but for what is set aside in it. Addresses
 * that carry an IPv4 one are what that one is.
 */
static bool public6(const uint8_t a[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (memcmp(a, mapped, sizeof mapped) == 0 || memcmp(a, nat64, sizeof nat64) == 0) {
        return public4(word_at(a + 12));
    }
    if ((a[0] & 0xe0) != 0x20) {
        return false;
    }
    if (a[0] == 0x20 && a[1] == 0x02) { /* 6to4 */
        return public4(word_at(a + 2));
    }
    bool assigned = a[0] == 0x20 && a[1] == 0x01 && (a[2] & 0xfe) == 0; /* 2001::/23 */
    bool example = word_at(a) == 0x20010db8;                            /* documentation */
    bool example2 = a[0] == 0x3f && a[1] == 0xff && (a[2] & 0xf0) == 0; /* 3fff::/20 */
    return !assigned && !example && !example2;
}

bool net_address_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return public4(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, address, sizeof in);
        return public6(in.sin6_addr.s6_addr);
    }
    return false;
}
