/*
 * backup_config.h: the settings of section "backup".
 */
#ifndef KERNEL_BACKUP_BACKUP_CONFIG_H
#define KERNEL_BACKUP_BACKUP_CONFIG_H

#include "kernel/backup/backup_place.h"
#include "kernel/base/config.h"

struct backup_config {
    const char *to; /* a folder or s3://BUCKET/PREFIX; "": none are scheduled */
    const char *include;
    int64_t keep_daily_usec;
    int64_t keep_weekly_usec;
    int64_t age_usec_max; /* of the last good one, before health says so */
    const char *s3_endpoint;
    const char *s3_region;
    bool s3_path_style;
    struct secret s3_access_key;
    struct secret s3_secret_key;
    struct secret s3_session_token;
};

/* backup_config_rows are the rows of section "backup". */
extern const struct config_row backup_config_rows[];
extern const size_t backup_config_row_count;

/* backup_config_open opens a place by its name. Errors: ERR_CONFIG, of the place. */
enum err backup_config_open(const struct backup_config *config, const char *where,
                            struct backup_place **out, struct why *why) ERR_CHECKED;

/*
 * backup_config_find opens the place of "PLACE/ID" or of "PLACE", which means its newest backup,
 * and tells the id. Owns: the arena; the caller, backup_place_close. Errors: ERR_NOT_FOUND, as
 * backup_config_open.
 */
enum err backup_config_find(const struct backup_config *config, const char *from,
                            struct arena *arena, struct backup_place **out, const char **out_id,
                            struct why *why) ERR_CHECKED;

#endif
