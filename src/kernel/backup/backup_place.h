/*
 * backup_place.h: where backups are: a folder, or a prefix in a bucket.
 *
 * A place holds any number of backups, each under its id; a backup is files and, written last of
 * all, a manifest. Without its manifest it is none: what a crash or a full disk leaves is never
 * listed, read or counted.
 *
 *   folder   files are written and fsynced below ".ID.partial", which is renamed to "ID" when the
 *            manifest is there; a lock keeps a second writer away, and lets the next one remove
 *            what a crash has left.
 *   bucket   objects are written below PREFIX/ID/, the manifest after all others are acknowledged;
 *            what a crash has left is removed by backup_place_sweep after a day.
 *
 * Names of files are relative paths of [A-Za-z0-9._-] between slashes, no part of which begins with
 * a dot.
 *
 * Threads: one at a time uses a place. Memory: a bucket's file in the making takes one part.
 */
#ifndef KERNEL_BACKUP_BACKUP_PLACE_H
#define KERNEL_BACKUP_BACKUP_PLACE_H

#include "kernel/base/mem.h"
#include "kernel/base/slice.h"
#include "kernel/crypto/hash.h"

#define BACKUP_ID_MAX 40
#define BACKUP_NAME_MAX 255
#define BACKUP_MANIFEST "manifest.json"

struct backup_place;

/* Takes a piece of a file. */
typedef enum err (*backup_piece_fn)(void *ctx, struct slice piece, struct why *why);

/* What a kind of place fills in; `self` is its own. */
struct backup_place_kind {
    enum err (*begin)(void *self, const char *id, struct why *why);
    enum err (*create)(void *self, const char *name, struct why *why);
    enum err (*write)(void *self, struct slice bytes, struct why *why);
    enum err (*finish)(void *self, struct why *why);
    /* Makes everything durable and visible; the manifest was the last file. */
    enum err (*commit)(void *self, struct why *why);
    void (*abandon)(void *self);
    enum err (*read)(void *self, const char *id, const char *name, backup_piece_fn fn, void *ctx,
                     struct why *why);
    /* Ids of whole backups, in no order. */
    enum err (*list)(void *self, struct arena *arena, struct slice **out, size_t *out_count,
                     struct why *why);
    enum err (*remove)(void *self, const char *id, struct why *why);
    enum err (*sweep)(void *self, int64_t before_usec, struct why *why);
    void (*close)(void *self);
};

/* A file in the making, or what one was found to be. */
struct backup_file {
    char name[BACKUP_NAME_MAX + 1];
    uint64_t bytes;
    struct hash sha256;
};

/* backup_place_new makes a place of a kind. Owns: the caller, backup_place_close. */
struct backup_place *backup_place_new(const struct backup_place_kind *kind, void *self,
                                      const char *shown);
/* backup_place_close abandons what is not committed; NULL is fine. */
void backup_place_close(struct backup_place *place);
/* backup_place_shown returns the place for people. */
const char *backup_place_shown(const struct backup_place *place);

/* backup_place_folder opens a folder, which the first backup makes. Errors: ERR_IO (its path). */
enum err backup_place_folder(const char *path, struct backup_place **out,
                             struct why *why) ERR_CHECKED;

/* backup_place_begin begins a backup. Errors: ERR_LOCKED, ERR_ALREADY_EXISTS, ERR_IO. */
enum err backup_place_begin(struct backup_place *place, const char *id,
                            struct why *why) ERR_CHECKED;
/* backup_place_create begins a file, one at a time. Errors: ERR_IO, ERR_DISK_FULL, ERR_UPSTREAM. */
enum err backup_place_create(struct backup_place *place, const char *name,
                             struct why *why) ERR_CHECKED;
/* backup_place_write appends to the file. Errors: as backup_place_create. */
enum err backup_place_write(struct backup_place *place, struct slice bytes,
                            struct why *why) ERR_CHECKED;
/* backup_place_finish makes the file durable and tells its size and hash. Errors: as create. */
enum err backup_place_finish(struct backup_place *place, struct backup_file *out,
                             struct why *why) ERR_CHECKED;
/* backup_place_commit writes the manifest; the backup is whole then. Errors: as create. */
enum err backup_place_commit(struct backup_place *place, struct slice manifest,
                             struct why *why) ERR_CHECKED;
/* backup_place_abandon removes what was written of a backup that is not committed. */
void backup_place_abandon(struct backup_place *place);

/*
 * backup_place_read gives a file piece by piece. Errors: ERR_NOT_FOUND, ERR_IO, ERR_UPSTREAM, of
 * `fn`.
 */
enum err backup_place_read(struct backup_place *place, const char *id, const char *name,
                           backup_piece_fn fn, void *ctx, struct why *why) ERR_CHECKED;
/* backup_place_list lists the ids of whole backups, oldest first. Owns: the arena. */
enum err backup_place_list(struct backup_place *place, struct arena *arena, struct slice **out,
                           size_t *out_count, struct why *why) ERR_CHECKED;
/* backup_place_remove removes a backup, its manifest first. Errors: ERR_IO, ERR_UPSTREAM. */
enum err backup_place_remove(struct backup_place *place, const char *id,
                             struct why *why) ERR_CHECKED;
/*
 * backup_place_sweep removes what was begun before `before_usec` and is no backup. Errors: ERR_IO,
 * ERR_UPSTREAM. Units: microseconds of wall time.
 */
enum err backup_place_sweep(struct backup_place *place, int64_t before_usec,
                            struct why *why) ERR_CHECKED;

/* backup_name_is_safe says whether a name may be that of a file in a backup. */
bool backup_name_is_safe(struct slice name);
/* backup_id_format writes the id of a moment: "20261127T164303.250Z". Units: microseconds. */
void backup_id_format(int64_t wall_usec, char out[BACKUP_ID_MAX]);
/* backup_id_parse reads one. Errors: ERR_INVALID_FIELD. */
enum err backup_id_parse(struct slice id, int64_t *out_wall_usec) ERR_CHECKED;

#endif
