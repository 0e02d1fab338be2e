/*
 * Cron expressions. One that is taken has a last and a next minute, which agree with each other and
 * with its bits.
 */
#include "kernel/jobs/jobs_cron.h"

#include "kernel/base/check.h"

#define MINUTE (60ll * USEC_PER_SEC)

static void check_minutes(const struct jobs_cron *cron, int64_t now_usec)
{
    int64_t last = jobs_cron_last(cron, now_usec);
    int64_t next = jobs_cron_next(cron, now_usec);
    ASSERT(last * MINUTE <= now_usec && now_usec < next * MINUTE);
    ASSERT(jobs_cron_last(cron, next * MINUTE) == next);
    ASSERT(jobs_cron_last(cron, next * MINUTE - 1) == last);
    ASSERT(jobs_cron_next(cron, last * MINUTE) == next);
    ASSERT((cron->minutes >> (next % 60) & 1) == 1);
    ASSERT((cron->hours >> (next / 60 % 24) & 1) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jobs_cron cron;
    struct why why;
    struct slice text = slice_of(data, size);
    if (jobs_cron_parse(text, &cron, &why) != OK) {
        return 0;
    }
    check_minutes(&cron, 1795800659ll * USEC_PER_SEC);
    check_minutes(&cron, 4107542400ll * USEC_PER_SEC); /* 2100-03-01 */
    return 0;
}
