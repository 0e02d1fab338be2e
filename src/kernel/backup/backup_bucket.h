/*
 * backup_bucket.h: a place for backups in a bucket of S3 or its like.
 */
#ifndef KERNEL_BACKUP_BACKUP_BUCKET_H
#define KERNEL_BACKUP_BACKUP_BUCKET_H

#include "kernel/backup/backup_place.h"
#include "kernel/net/s3.h"

/*
 * backup_place_bucket opens "s3://BUCKET/PREFIX" with the other options. Errors: ERR_CONFIG.
 */
enum err backup_place_bucket(const char *url, struct net_s3_options options,
                             struct backup_place **out, struct why *why) ERR_CHECKED;

#endif
