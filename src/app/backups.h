/*
 * backups.h: backups of this program: its settings, its folders, its proofs. Used by the command
 * and by the scheduled jobs. Private to src/app.
 */
#ifndef APP_BACKUPS_H
#define APP_BACKUPS_H

#include "app/settings.h"
#include "kernel/backup/backup.h"

/*
 * backups_make reads the installation of the settings beside a daemon that may run, and writes a
 * backup to `where`. Owns: the arena. Errors: as backup_write.
 */
enum err backups_make(const struct settings *settings, const char *where,
                      backup_progress_fn progress, void *progress_ctx, struct arena *arena,
                      struct backup_manifest *out, struct why *why) ERR_CHECKED;

/*
 * backups_verify restores a backup into a scratch database ("": a file in a temporary folder) and
 * runs all proofs. Owns: the arena. Errors: as backup_verify.
 */
enum err backups_verify(const struct settings *settings, const char *from, const char *scratch_url,
                        backup_progress_fn progress, void *progress_ctx, struct arena *arena,
                        struct backup_manifest *out_manifest, struct backup_verdict **out,
                        size_t *out_count, struct why *why) ERR_CHECKED;

/*
 * backups_job_table makes the kinds behind the schedules of backups; `settings` must outlive the
 * runner.
 */
struct job_table backups_job_table(struct settings *settings);

/* backups_store_config returns the store's settings for work that takes its time. */
struct store_config backups_store_config(const struct settings *settings, const char *url,
                                         bool read_only);

#endif
