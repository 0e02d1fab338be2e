/*
 * roles.h: what a process does of the whole; rows, for parsing and for help.
 *
 * Without a setting one process has all roles. With several processes on one database each has a
 * part of them, in any split; work that only one may do is held by leases (store_lease.h), so that
 * any role may run twice and the second stands by.
 */
#ifndef APP_ROLES_H
#define APP_ROLES_H

#include "kernel/base/slice.h"

enum role {
    ROLE_API = 1 << 0,
    ROLE_CHAIN = 1 << 1,
    ROLE_RELAY = 1 << 2,
    ROLE_JOBS = 1 << 3,
    ROLE_MATCH = 1 << 4,
    ROLE_ALL = (1 << 5) - 1,
};

#define ROLES_TEXT_MAX 64

/*
 * roles_parse reads names apart by commas; "all" or "" is everything. Errors: ERR_CONFIG (names
 * the word that is none).
 */
enum err roles_parse(struct slice text, unsigned *out, struct why *why) ERR_CHECKED;
/* roles_format writes the names, apart by commas, in the order of the table. */
void roles_format(unsigned roles, char out[ROLES_TEXT_MAX]);

#endif
