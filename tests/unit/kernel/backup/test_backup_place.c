#include "kernel/backup/backup_place.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "kernel/base/hex.h"
#include "unit/support.h"

static char dir[64];
static struct arena arena;
static struct backup_place *place;
static struct why why;

static int open_place(void **state)
{
    snprintf(dir, sizeof(dir), "/tmp/freehold-place-XXXXXX");
    assert_non_null(mkdtemp(dir));
    arena_init(&arena, 0);
    assert_int_equal(backup_place_folder(dir, &place, &why), OK);
    return 0;
}

static int close_place(void **state)
{
    backup_place_close(place);
    support_remove_folder(dir);
    arena_free(&arena);
    return 0;
}

#define FIRST "20260101T000000.000Z"
#define SECOND "20260102T000000.000Z"

static enum err put(const char *name, const char *text, struct backup_file *out)
{
    enum err e = backup_place_create(place, name, &why);
    if (e == OK) {
        e = backup_place_write(place, slice_text(text), &why);
    }
    return e == OK ? backup_place_finish(place, out, &why) : e;
}

static void make(const char *id)
{
    struct backup_file file;
    assert_int_equal(backup_place_begin(place, id, &why), OK);
    assert_int_equal(put("a/b.txt", "abc", &file), OK);
    assert_int_equal(backup_place_commit(place, SLICE_LIT("{}"), &why), OK);
}

static size_t count(void)
{
    struct slice *ids = NULL;
    size_t n = 0;
    assert_int_equal(backup_place_list(place, &arena, &ids, &n, &why), OK);
    return n;
}

/* Entries of the folder but for the lock. */
static int entries(void)
{
    DIR *d = opendir(dir);
    int n = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
             strcmp(e->d_name, ".lock") != 0;
    }
    closedir(d);
    return n;
}

static enum err gather(void *ctx, struct slice piece, struct why *unused)
{
    buf_add_slice(ctx, piece);
    return OK;
}

static void test_keeps_files_and_their_hashes(void **state)
{
    struct backup_file file;
    struct buf text;
    char hex[2 * HASH_BYTES + 3];
    assert_int_equal(backup_place_begin(place, FIRST, &why), OK);
    assert_int_equal(put("a/b.txt", "abc", &file), OK);
    assert_string_equal(file.name, "a/b.txt");
    assert_int_equal(file.bytes, 3);
    /* FIPS 180-4, appendix: SHA-256 of "abc" */
    hex_encode_to(hash_slice(&file.sha256), hex);
    assert_string_equal(hex, "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(count(), 0);
    assert_int_equal(backup_place_commit(place, SLICE_LIT("{}"), &why), OK);
    assert_int_equal(count(), 1);

    buf_init(&text, &arena, 16);
    assert_int_equal(backup_place_read(place, FIRST, "a/b.txt", gather, &text, &why), OK);
    assert_true(slice_equal_text(buf_slice(&text), "abc"));
    assert_int_equal(backup_place_read(place, FIRST, "none", gather, &text, &why), ERR_NOT_FOUND);
    /* Nobody else may look into a backup. */
    struct stat st;
    char path[128];
    snprintf(path, sizeof(path), "%s/" FIRST, dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(path, sizeof(path), "%s/" FIRST "/a/b.txt", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_nothing_is_left_of_what_is_abandoned(void **state)
{
    assert_int_equal(backup_place_begin(place, FIRST, &why), OK);
    assert_int_equal(backup_place_create(place, "x", &why), OK);
    assert_int_equal(backup_place_write(place, SLICE_LIT("half"), &why), OK);
    backup_place_abandon(place);
    assert_int_equal(entries(), 0);
    make(FIRST);
    assert_int_equal(count(), 1);
}

static void test_what_a_crash_left_is_no_backup_and_goes(void **state)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/." FIRST ".partial", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/." FIRST ".partial/manifest.json", dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    /* Without its manifest a folder is none, whatever its name. */
    snprintf(path, sizeof(path), "%s/" FIRST, dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(count(), 0);
    make(SECOND);
    assert_int_equal(count(), 1);
    snprintf(path, sizeof(path), "%s/." FIRST ".partial", dir);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_one_writer_at_a_time(void **state)
{
    struct backup_place *other = NULL;
    assert_int_equal(backup_place_folder(dir, &other, &why), OK);
    assert_int_equal(backup_place_begin(place, FIRST, &why), OK);
    assert_int_equal(backup_place_begin(other, SECOND, &why), ERR_LOCKED);
    backup_place_abandon(place);
    assert_int_equal(backup_place_begin(other, SECOND, &why), OK);
    backup_place_close(other); /* abandons it */
    assert_int_equal(entries(), 0);
    make(FIRST);
    assert_int_equal(backup_place_begin(place, FIRST, &why), ERR_ALREADY_EXISTS);
}

static void test_lists_by_time_and_removes(void **state)
{
    struct slice *ids = NULL;
    size_t n = 0;
    make(SECOND);
    make(FIRST);
    assert_int_equal(backup_place_list(place, &arena, &ids, &n, &why), OK);
    assert_int_equal(n, 2);
    assert_true(slice_equal_text(ids[0], FIRST) && slice_equal_text(ids[1], SECOND));
    assert_int_equal(backup_place_remove(place, FIRST, &why), OK);
    assert_int_equal(count(), 1);
    assert_int_equal(entries(), 1);
    assert_int_equal(backup_place_remove(place, FIRST, &why), ERR_IO);
}

/* A limit on the size of files is how a full disk looks to one process. */
static void test_a_full_disk_says_so_and_leaves_nothing(void **state)
{
    struct backup_file file;
    struct rlimit before;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = before.rlim_max};
    char *large = arena_alloc(&arena, 9000);
    memset(large, 'x', 8999);
    assert_int_equal(backup_place_begin(place, FIRST, &why), OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    enum err e = put("large", large, &file);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(e, ERR_DISK_FULL);
    assert_non_null(strstr(why.text, "The disk of the backup is full"));
    backup_place_abandon(place);
    assert_int_equal(entries(), 0);
}

static void test_names_stay_inside(void **state)
{
    static const char *const good[] = {"a", "tables/a_b.rows.gz", "keystore/UTC--1Z--0a", "x/y/z"};
    static const char *const bad[] = {"",   "/a",   "a/",  "../a", "a/../b", "a//b",
                                      ".a", "a/.b", "a b", "a\\b", "a:b",    "\xc3\xa4"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(backup_name_is_safe(slice_text(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(backup_name_is_safe(slice_text(bad[i])));
    }
}

static void test_ids_are_moments(void **state)
{
    char id[BACKUP_ID_MAX];
    int64_t usec = 0;
    backup_id_format(1795797783250999, id); /* date -u -d @1795797783 */
    assert_string_equal(id, "20261127T164303.250Z");
    assert_int_equal(backup_id_parse(slice_text(id), &usec), OK);
    assert_int_equal(usec, 1795797783250000);
    static const char *const bad[] = {"", "20261327T164303.250Z", "20261127T164303.25Z",
                                      "2026-11-27T16:43:03Z", "20261127T164303.250Zx"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(backup_id_parse(slice_text(bad[i]), &usec), ERR_INVALID_FIELD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keeps_files_and_their_hashes, open_place, close_place),
        cmocka_unit_test_setup_teardown(test_nothing_is_left_of_what_is_abandoned, open_place,
                                        close_place),
        cmocka_unit_test_setup_teardown(test_what_a_crash_left_is_no_backup_and_goes, open_place,
                                        close_place),
        cmocka_unit_test_setup_teardown(test_one_writer_at_a_time, open_place, close_place),
        cmocka_unit_test_setup_teardown(test_lists_by_time_and_removes, open_place, close_place),
        cmocka_unit_test_setup_teardown(test_a_full_disk_says_so_and_leaves_nothing, open_place,
                                        close_place),
        cmocka_unit_test(test_names_stay_inside),
        cmocka_unit_test(test_ids_are_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
