#include "kernel/backup/backup.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "unit/kernel/backup/fixture.h"

static struct support_store source;
static struct support_store target;
static struct arena arena;
static struct backup_place *place;
static char dir[64];
static struct backup_manifest manifest;
static struct why why;
static char id[BACKUP_ID_MAX];

static void assert_ok(enum err e)
{
    if (e != OK) {
        fail_msg("%s: %s", err_code(e), why_text(&why, e));
    }
}

static struct backup_write_options options(const struct backup_folder *folders, size_t count)
{
    return (struct backup_write_options){
        .store = source.store,
        .catalog = &sql_catalog,
        .place = place,
        .program = "9.9.9",
        .config_text = SLICE_LIT("http.port = 1\n"),
        .folders = folders,
        .folder_count = count,
    };
}

static int open_all(void **state)
{
    arena_init(&arena, 0);
    fixture_source(&source);
    support_store_prepare(&target, &sql_catalog);
    assert_ok(support_store_start(&target, &why));
    snprintf(dir, sizeof(dir), "/tmp/freehold-backup-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_ok(backup_place_folder(dir, &place, &why));
    struct backup_write_options o = options(NULL, 0);
    assert_ok(backup_write(&o, &arena, &manifest, &why));
    snprintf(id, sizeof(id), "%.*s", SLICE_ARG(manifest.id));
    return 0;
}

static int close_all(void **state)
{
    backup_place_close(place);
    support_remove_folder(dir);
    support_store_close(&target);
    store_close(source.store);
    support_remove_folder(source.folder);
    arena_free(&arena);
    return 0;
}

static enum err restore(struct backup_copy_report *report)
{
    enum err e = backup_manifest_load(place, id, &sql_catalog, &arena, &manifest, &why);
    const struct backup_restore_options o = {
        .place = place, .manifest = &manifest, .catalog = &sql_catalog, .target = target.store};
    return e == OK ? backup_restore(&o, &arena, report, &why) : e;
}

static const struct backup_table *table(const char *name)
{
    for (size_t i = 0; i < manifest.table_count; i++) {
        if (strcmp(manifest.tables[i].table->name, name) == 0) {
            return &manifest.tables[i];
        }
    }
    fail_msg("no table %s", name);
    return NULL;
}

static void test_comes_back_equal(void **state)
{
    struct backup_copy_report report;
    assert_ok(restore(&report));
    assert_true(report.equal);
    assert_int_equal(report.rows, manifest.rows);
    assert_int_equal(table("jobs")->sum.rows, 2995);
    assert_string_equal(
        slice_cstr(&arena,
                   support_store_rows(&target, &arena, "SELECT count(*), sum(priority) FROM jobs")),
        "2995|3|\n");
    assert_true(slice_equal_text(manifest.program, "9.9.9"));
    assert_true(slice_equal_text(manifest.database, "sqlite"));
}

/* Changes one byte of a file of the backup, in place. */
static void damage(const char *name, off_t at)
{
    char path[256];
    uint8_t byte = 0;
    snprintf(path, sizeof(path), "%s/%s/%s", dir, id, name);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    at = at < 0 ? st.st_size + at : at;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x20;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void cut(const char *name, off_t bytes)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s/%s", dir, id, name);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - bytes), 0);
}

static void test_damage_is_found(void **state)
{
    struct backup_copy_report report;
    static const off_t places[] = {0, 9, 20, 5000, -20, -5, -1};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        damage("tables/jobs.rows.gz", places[i]);
        assert_int_equal(restore(&report), ERR_CORRUPT);
        assert_int_equal(backup_copy_check(target.store, &why), ERR_CONFLICT);
        damage("tables/jobs.rows.gz", places[i]); /* and back */
    }
    assert_ok(restore(&report));
    assert_true(report.equal);
}

static void test_short_and_missing_files_are_found(void **state)
{
    struct backup_copy_report report;
    char path[256];
    cut("tables/undo_log.rows.gz", 1);
    assert_int_equal(restore(&report), ERR_CORRUPT);
    cut("tables/undo_log.rows.gz", 12);
    assert_int_equal(restore(&report), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "tables/undo_log.rows.gz"));
    snprintf(path, sizeof(path), "%s/%s/tables/jobs.rows.gz", dir, id);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(restore(&report), ERR_NOT_FOUND);
    snprintf(path, sizeof(path), "%s/%s/manifest.json", dir, id);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(restore(&report), ERR_NOT_FOUND);
}

static struct slice manifest_text(void)
{
    struct buf text;
    buf_init(&text, &arena, 4096);
    backup_manifest_write(&manifest, &sql_catalog, &text);
    return buf_slice(&text);
}

static struct slice replaced(struct slice text, const char *from, const char *to)
{
    const char *at = strstr(slice_cstr(&arena, text), from);
    assert_non_null(at);
    const char *all = slice_cstr(&arena, text);
    size_t before = (size_t)(strstr(all, from) - all);
    return slice_format(&arena, "%.*s%s%s", (int)before, all, to, all + before + strlen(from));
}

static void test_reads_manifests_with_care(void **state)
{
    struct backup_manifest m;
    struct slice good = manifest_text();
    assert_ok(backup_manifest_parse(good, &sql_catalog, &arena, &m, &why));
    assert_int_equal(m.rows, manifest.rows);
    assert_int_equal(m.bytes, manifest.bytes);
    static const struct {
        const char *from;
        const char *to;
        enum err err;
        const char *said;
    } bad[] = {
        {"freehold-backup/1", "freehold-backup/2", ERR_CORRUPT, "no backup of ours"},
        {"\"version\":", "\"version\":9", ERR_DB_VERSION, "made by program 9.9.9"},
        {"\"checksum\":\"", "\"checksum\":\"0", ERR_DB_VERSION, "Restore with the program"},
        {"tables/jobs.rows.gz", "../../etc/passwd", ERR_CORRUPT, "jobs"},
        {"\"name\":\"jobs\"", "\"name\":\"jobz\"", ERR_CORRUPT, "jobs"},
        {"\"sha256\":\"0x", "\"sha256\":\"0xz", ERR_CORRUPT, "damaged"},
        {"\"facts\":{", "\"factz\":{", ERR_CORRUPT, "head"},
        {"\"rows\":", "\"rows\":-", ERR_CORRUPT, "damaged"},
        {"}]}\n", "}]", ERR_CORRUPT, "JSON"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct slice text = replaced(good, bad[i].from, bad[i].to);
        why = (struct why){0};
        assert_int_equal(backup_manifest_parse(text, &sql_catalog, &arena, &m, &why), bad[i].err);
        assert_non_null(strstr(why.text, bad[i].said));
    }
}

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

/* A second backup needs another moment for its id. */
static enum err write_again(const struct backup_folder *folders, size_t count)
{
    struct backup_write_options o = options(folders, count);
    usleep(2000);
    enum err e = backup_write(&o, &arena, &manifest, &why);
    if (e == OK) {
        snprintf(id, sizeof(id), "%.*s", SLICE_ARG(manifest.id));
    }
    return e;
}

static void test_takes_folders_and_refuses_plain_keys(void **state)
{
    char keys[128];
    char path[256];
    snprintf(keys, sizeof(keys), "%s/keys", source.folder);
    assert_int_equal(mkdir(keys, 0700), 0);
    snprintf(path, sizeof(path), "%s/one", keys);
    write_text(path, "{\"version\":3,\"crypto\":{\"ciphertext\":\"00\"}}");
    const struct backup_folder folders[] = {{"keystore", keys, true}};
    assert_ok(write_again(folders, 1));
    assert_int_equal(manifest.file_count, 2);
    assert_string_equal(manifest.files[0].name, "config.txt");
    assert_string_equal(manifest.files[1].name, "keystore/one");

    char out[128];
    struct backup_copy_report report;
    snprintf(out, sizeof(out), "%s/out", source.folder);
    const struct backup_restore_options o = {.place = place,
                                             .manifest = &manifest,
                                             .catalog = &sql_catalog,
                                             .target = target.store,
                                             .files_dir = out};
    assert_ok(backup_restore(&o, &arena, &report, &why));
    struct stat st;
    snprintf(path, sizeof(path), "%s/keystore/one", out);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    static const char *const plain[] = {
        "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80\n",
        "{\"version\":3,\"privateKey\":\"00\"}",
        "{\"version\":1,\"crypto\":{\"ciphertext\":\"00\"}}",
        "test test test test test test test test test test test junk",
    };
    snprintf(path, sizeof(path), "%s/two", keys);
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        struct slice *ids = NULL;
        size_t count = 0;
        write_text(path, plain[i]);
        assert_int_equal(write_again(folders, 1), ERR_CONFIG);
        assert_non_null(strstr(why.text, "keys/two is no encrypted key file"));
        assert_ok(backup_place_list(place, &arena, &ids, &count, &why));
        assert_int_equal(count, 2); /* those from before */
    }
    /* A link could lead to a plain key, or out of the folder. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(write_again(folders, 1), ERR_IO);
}

static enum err say_fine(struct store *store, struct buf *detail, struct why *unused)
{
    buf_add_text(detail, "fine");
    return OK;
}

static enum err say_bad(struct store *store, struct buf *detail, struct why *detail_why)
{
    return why_set(detail_why, ERR_CORRUPT, NULL, "Not fine.");
}

static enum err verify(const struct backup_check *checks, size_t count, struct backup_verdict **out,
                       size_t *out_count)
{
    const struct backup_restore_options o = {
        .place = place, .manifest = &manifest, .catalog = &sql_catalog, .target = target.store};
    return backup_verify(&o, checks, count, &arena, out, out_count, &why);
}

static void test_verifies_with_all_proofs(void **state)
{
    static const struct backup_check fine[] = {{"own", say_fine}};
    struct backup_verdict *verdicts = NULL;
    size_t count = 0;
    assert_ok(verify(fine, 1, &verdicts, &count));
    static const char *const names[] = {"rows", "schema", "foreignKeys", "facts", "own"};
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(verdicts[i].name, names[i]);
        assert_int_equal(verdicts[i].err, OK);
    }
}

static void test_tells_every_proof_that_fails(void **state)
{
    static const struct backup_check checks[] = {{"bad", say_bad}, {"own", say_fine}};
    struct backup_verdict *verdicts = NULL;
    size_t count = 0;
    manifest.facts = SLICE_LIT("{\"chains\":[],\"audit\":{\"seq\":1,\"hash\":\"0x00\"}}");
    assert_int_equal(verify(checks, 2, &verdicts, &count), ERR_CORRUPT);
    assert_int_equal(count, 6);
    assert_int_equal(verdicts[3].err, ERR_CORRUPT);
    assert_int_equal(verdicts[4].err, ERR_CORRUPT);
    assert_true(slice_equal_text(verdicts[4].detail, "Not fine."));
    assert_int_equal(verdicts[5].err, OK);
    assert_string_equal(why.text, "facts: Cursors of chains or the head of the audit log are not "
                                  "what the manifest says.");
}

/* A table's file that is whole in itself, and not what the manifest says. */
static void test_counts_are_held_against_the_manifest(void **state)
{
    struct backup_verdict *verdicts = NULL;
    size_t count = 0;
    for (size_t i = 0; i < manifest.table_count; i++) {
        if (strcmp(manifest.tables[i].table->name, "jobs") == 0) {
            manifest.tables[i].sum.rows++;
        }
    }
    assert_int_equal(verify(NULL, 0, &verdicts, &count), ERR_CORRUPT);
    assert_int_equal(count, 1);
    assert_non_null(strstr(why.text, "2995 rows instead of 2996"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_comes_back_equal, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_damage_is_found, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_short_and_missing_files_are_found, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(test_reads_manifests_with_care, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_takes_folders_and_refuses_plain_keys, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(test_verifies_with_all_proofs, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_tells_every_proof_that_fails, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_counts_are_held_against_the_manifest, open_all,
                                        close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
