/*
 * leasing_daily.h: what leases brought in, by day and lease (seed 001 section 6). Private to this
 * folder.
 *
 * A day is one of UTC, by the time of the block that opened the round. Sums are of 256 bits, which
 * no database adds up on both sides, so rounds are read and added here: at most
 * LEASING_DAILY_ROUNDS_MAX of them, or a shorter span must be asked for.
 */
#ifndef DOMAIN_LEASING_LEASING_DAILY_H
#define DOMAIN_LEASING_LEASING_DAILY_H

#include "domain/leasing/leasing_api.h"

#define LEASING_DAILY_ROUNDS_MAX 10000
#define LEASING_DAILY_DAYS_MAX 366

/* leasing_api_daily_list is the handler of GET /revenue/daily. */
enum err leasing_api_daily_list(struct http_call *call, struct why *why) ERR_CHECKED;

#endif
