/*
 * leasing_dues.h: the due dates of leases as rows. Private to this folder.
 *
 * What they are
 *   An instalment of leasing_schedule.h for each step of a lease that is on chain, with what of it
 *   is paid. Paid is what the revenue rounds of the lease hold: the funds of the bid that was
 *   accepted and whatever is settled into a round of the lease later. It pays the oldest instalment
 *   first, and what is left over pays nothing.
 *
 *   due      not paid whole, its date has not passed
 *   overdue  not paid whole, its date has passed
 *   paid     paid whole
 *   void     begins after the lease was terminated and is not paid; the one that was running when
 *            that happened stays due as it was
 *
 * Who moves them
 *   The rows are a function of lease, rounds and clock. `lease_schedules` remembers what they were
 *   made from; the job leasing.due_dates looks once a minute for leases where that is not so any
 *   more (a round more, another status, a date that has passed, a lease that a fork gave another
 *   transaction) and writes all rows of such a lease again. The job that follows a lease's minting
 *   does so at once. What a reorganisation takes away is written again like anything else; leases
 *   that left the chain lose their rows.
 *
 * Crash points: the rows of a lease and what they were made from are one transaction.
 */
#ifndef DOMAIN_LEASING_LEASING_DUES_H
#define DOMAIN_LEASING_LEASING_DUES_H

#include "domain/leasing/leasing_rows.h"
#include "domain/leasing/leasing_schedule.h"

/* leasing_rent_of takes what dates and amounts depend on from a lease. */
struct leasing_rent leasing_rent_of(const struct leasing_lease *lease);

/* leasing_dues_job is the handler of leasing.due_dates. */
enum err leasing_dues_job(struct job_call *call, struct why *why) ERR_CHECKED;
/* leasing_dues_follow writes the dues of the lease with an NFT. Errors: those of the store. */
enum err leasing_dues_follow(const struct job_call *call, struct u256 token_id,
                             struct why *why) ERR_CHECKED;

/* leasing_api_dues.c */
enum err leasing_api_schedule_get(struct http_call *call, struct why *why) ERR_CHECKED;
enum err leasing_api_dues_list(struct http_call *call, struct why *why) ERR_CHECKED;

#endif
