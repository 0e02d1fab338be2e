/*
 * public.h: which addresses are of the public internet. Private to kernel/net.
 *
 * Who lets others name a URL that this machine then calls must not be led to what only this machine
 * can reach. A name is no proof of an address, so what is looked at is the address that is about to
 * be connected to.
 */
#ifndef KERNEL_NET_PUBLIC_H
#define KERNEL_NET_PUBLIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* net_address_is_public says whether an IPv4 or IPv6 address is one; any other family is not. */
bool net_address_is_public(const struct sockaddr *address);

#endif
