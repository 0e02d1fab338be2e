#include "kernel/backup/backup.h"

#include "kernel/base/check.h"
#include "kernel/base/clock.h"

#define USEC_PER_DAY (86400ll * USEC_PER_SEC)
/* 1970 began on a Thursday: the first Sunday was the fourth of January. */
#define FIRST_SUNDAY 3
/* What is unfinished for longer than this was left by a crash. */
#define SWEEP_USEC USEC_PER_DAY

static int64_t week_of(int64_t usec)
{
    int64_t day = usec / USEC_PER_DAY - FIRST_SUNDAY;
    return day >= 0 ? day / 7 : (day - 6) / 7;
}

void backup_retention(const int64_t *moments_usec, size_t count, int64_t now_usec,
                      int64_t daily_usec, int64_t weekly_usec, bool *out_keep)
{
    for (size_t i = 0; i < count; i++) {
        int64_t age = now_usec - moments_usec[i];
        bool first_of_week = i == 0 || week_of(moments_usec[i - 1]) != week_of(moments_usec[i]);
        out_keep[i] = age < daily_usec || (age < weekly_usec && first_of_week) || i + 1 == count;
    }
}

enum err backup_expire(struct backup_place *place, int64_t daily_usec, int64_t weekly_usec,
                       size_t *out_removed, struct why *why)
{
    struct arena scratch;
    struct slice *ids = NULL;
    size_t count = 0;
    size_t removed = 0;
    int64_t now = clock_wall_usec();
    arena_init(&scratch, 0);
    enum err e = backup_place_list(place, &scratch, &ids, &count, why);
    int64_t *moments = arena_alloc_array(&scratch, count + 1, sizeof(*moments));
    bool *keep = arena_alloc_array(&scratch, count + 1, sizeof(*keep));
    for (size_t i = 0; e == OK && i < count; i++) {
        e = backup_id_parse(ids[i], &moments[i]);
    }
    if (e == OK) {
        backup_retention(moments, count, now, daily_usec, weekly_usec, keep);
    }
    for (size_t i = 0; e == OK && i < count; i++) {
        if (!keep[i]) {
            e = backup_place_remove(place, slice_cstr(&scratch, ids[i]), why);
            removed += e == OK;
        }
    }
    if (e == OK) {
        e = backup_place_sweep(place, now - SWEEP_USEC, why);
    }
    arena_free(&scratch);
    if (e == OK) {
        *out_removed = removed;
    }
    return e;
}
