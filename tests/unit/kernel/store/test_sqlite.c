#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "kernel/base/clock.h"
#include "kernel/base/rand.h"
#include "unit/kernel/store/sample.h"

static struct support_store s;

static int open_store(void **state)
{
    support_store_open(&s, &sample_catalog);
    return 0;
}

static int close_store(void **state)
{
    support_store_close(&s);
    return 0;
}

static void add(const char *name, int64_t step)
{
    struct sample_counter c = {.name = name, .step = step};
    sample_write(s.store, sample_counter_add, &c);
}

static void closed(void)
{
    store_close(s.store);
    s.store = NULL;
}

static void opening_fails(enum err expected, const char *sentence)
{
    struct why why = {0};
    struct store *untouched = s.store;
    enum err e = support_store_start(&s, &why);
    if (e != expected || strstr(why.text, sentence) == NULL) {
        fail_msg("%s: %s", err_code(e), why.text);
    }
    assert_ptr_equal(s.store, untouched);
}

/* ---- where the file is ---- */

static void urls_that_name_no_file_are_refused(void **state)
{
    static const char *const urls[] = {"sqlite:", "sqlite::memory:", "sqlite:/tmp/",
                                       "mysql:x", "postgres:x",      ""};
    support_store_prepare(&s, &sample_catalog);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        s.config.url = urls[i];
        opening_fails(ERR_CONFIG, "store.url must");
    }
    s.config.url = s.url;
    s.config.synchronous = "off";
    opening_fails(ERR_CONFIG, "store.synchronous must be full or normal");
    support_store_close(&s);
}

static void folders_are_made_for_the_owner_only(void **state)
{
    struct stat info;
    support_store_prepare(&s, &sample_catalog);
    snprintf(s.path, sizeof(s.path), "%s/a/b/file:x?mode=memory", s.folder); /* not a URI */
    snprintf(s.url, sizeof(s.url), "sqlite:%s", s.path);
    assert_int_equal(support_store_start(&s, NULL), OK);
    support_store_migrate(&s);
    assert_int_equal(stat(s.path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    char wal[256];
    snprintf(wal, sizeof(wal), "%s-wal", s.path);
    assert_int_equal(stat(wal, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    char folder[128];
    snprintf(folder, sizeof(folder), "%s/a", s.folder);
    assert_int_equal(stat(folder, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    support_store_close(&s);
}

static void a_relative_path_is_below_the_working_folder(void **state)
{
    char before[512];
    struct stat info;
    support_store_prepare(&s, &sample_catalog);
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(s.folder), 0);
    s.config.url = "sqlite:data/file:relative.db";
    assert_int_equal(support_store_start(&s, NULL), OK);
    assert_int_equal(stat("data/file:relative.db", &info), 0);
    closed();
    assert_int_equal(chdir(before), 0);
    support_store_close(&s);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    support_store_prepare(&s, &sample_catalog);
    char file[128];
    snprintf(file, sizeof(file), "%s/data", s.folder);
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    opening_fails(ERR_IO, s.folder);
    support_store_close(&s);
}

/* ---- whose it is ---- */

static void a_second_store_is_refused(void **state)
{
    struct store *second = NULL;
    struct why why = {0};
    char owner[64];
    snprintf(owner, sizeof(owner), "in use by process %ld", (long)getpid());
    assert_int_equal(store_open(&second, &s.config, &sample_catalog, &why), ERR_LOCKED);
    assert_non_null(strstr(why.text, owner));
    assert_null(second);
    add("still", 1);
}

static void say(int fd, char byte)
{
    ASSERT(write(fd, &byte, 1) == 1);
}

static char hear(int fd)
{
    char byte = 0;
    return read(fd, &byte, 1) == 1 ? byte : '?';
}

/* A process that opens the store, says so and lives until it is killed. */
static pid_t spawn_owner(int *out_pipe)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        say(ends[1], support_store_start(&s, NULL) == OK ? 'o' : 'x');
        for (;;) {
            pause();
        }
    }
    close(ends[1]);
    *out_pipe = ends[0];
    return child;
}

static void a_second_process_is_refused_until_the_first_is_dead(void **state)
{
    int from_child = -1;
    char owner[64];
    support_store_prepare(&s, &sample_catalog);
    pid_t child = spawn_owner(&from_child);
    assert_int_equal(hear(from_child), 'o');
    snprintf(owner, sizeof(owner), "in use by process %ld", (long)child);
    opening_fails(ERR_LOCKED, owner);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(from_child);
    assert_int_equal(support_store_start(&s, NULL), OK);
    support_store_migrate(&s);
    support_store_close(&s);
}

static void a_reader_looks_while_another_process_owns(void **state)
{
    int from_child = -1;
    add("seen", 4);
    closed();
    pid_t child = spawn_owner(&from_child);
    assert_int_equal(hear(from_child), 'o');
    s.config.read_only = true;
    assert_int_equal(support_store_start(&s, NULL), OK);
    assert_int_equal(sample_counter(s.store, "seen"), 4);
    struct why why = {0};
    struct sample_counter c = {.name = "seen", .step = 1};
    assert_int_equal(store_write(s.store, sample_counter_add, &c, &why), ERR_CONFLICT);
    assert_non_null(strstr(why.text, "reading only"));
    closed();
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(from_child);
    assert_int_equal(support_store_start(&s, NULL), OK); /* needs no owner either */
    assert_int_equal(sample_counter(s.store, "seen"), 4);
}

static void read_in_another_process(void)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int quiet = open("/dev/null", O_WRONLY);
        dup2(quiet, STDOUT_FILENO);
        execlp("sqlite3", "sqlite3", s.path, "SELECT count(*) FROM counters", (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/*
 * The last connection to close clears the write-ahead log away; our lock on the file tells other
 * processes that theirs is not the last one.
 */
static void another_process_may_read_and_leave(void **state)
{
    char wal[160];
    struct stat before;
    struct stat after;
    struct arena arena;
    arena_init(&arena, 0);
    snprintf(wal, sizeof(wal), "%s-wal", s.path);
    for (int i = 0; i < 5; i++) {
        add("seen", 1);
        assert_int_equal(stat(wal, &before), 0);
        read_in_another_process();
        assert_int_equal(stat(wal, &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
    }
    assert_string_equal(
        slice_cstr(&arena, support_store_rows(&s, &arena, "SELECT value FROM counters")), "5|\n");
    arena_free(&arena);
}

static void a_reader_makes_no_database(void **state)
{
    struct stat info;
    support_store_prepare(&s, &sample_catalog);
    s.config.read_only = true;
    opening_fails(ERR_NOT_FOUND, "There is no database at");
    assert_int_equal(stat(s.path, &info), -1);
    snprintf(s.path, sizeof(s.path), "%s/empty.db", s.folder);
    snprintf(s.url, sizeof(s.url), "sqlite:%s", s.path);
    int fd = open(s.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    opening_fails(ERR_NOT_FOUND, "There is no database at");
    assert_int_equal(stat(s.path, &info), 0);
    assert_int_equal(info.st_size, 0);
    support_store_close(&s);
}

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(s.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void the_database_of_another_program_is_left_alone(void **state)
{
    support_store_prepare(&s, &sample_catalog);
    snprintf(s.path, sizeof(s.path), "%s/other.db", s.folder);
    snprintf(s.url, sizeof(s.url), "sqlite:%s", s.path);
    run_sql("CREATE TABLE theirs (id INTEGER)");
    opening_fails(ERR_CONFIG, "is the database of another program");
    run_sql("DROP TABLE theirs; PRAGMA application_id=7");
    opening_fails(ERR_CONFIG, "is the database of another program");
    support_store_close(&s);
}

static void a_lock_of_another_program_is_waited_for(void **state)
{
    sqlite3 *db = NULL;
    struct why why = {0};
    struct sample_counter c = {.name = "busy", .step = 1};
    closed();
    s.config.busy_usec = 50000;
    assert_int_equal(support_store_start(&s, NULL), OK);
    assert_int_equal(sqlite3_open(s.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    int64_t start = clock_mono_usec();
    assert_int_equal(store_write(s.store, sample_counter_add, &c, &why), ERR_DB_BUSY);
    assert_true(clock_mono_usec() - start >= 40000);
    assert_int_equal(sample_counter(s.store, "busy"), 0); /* reading goes on */
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    add("busy", 1);
    assert_int_equal(sample_counter(s.store, "busy"), 1);
}

/* ---- damage ---- */

static void fill_database(void)
{
    for (int i = 0; i < 200; i++) {
        char name[64];
        snprintf(name, sizeof(name), "a counter with a name that takes some room %d", i);
        add(name, i);
    }
    closed();
}

static void overwrite(off_t at, const void *bytes, size_t len)
{
    int fd = open(s.path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, at), len);
    close(fd);
}

static void a_damaged_header_is_refused(void **state)
{
    fill_database();
    overwrite(0, "not a database..", 16);
    opening_fails(ERR_CORRUPT, "restore a backup");
}

static void a_damaged_page_is_refused(void **state)
{
    static uint8_t noise[4096];
    struct stat info;
    fill_database();
    assert_int_equal(stat(s.path, &info), 0);
    rand_set_seed(3);
    rand_bytes(noise, sizeof(noise));
    overwrite(info.st_size - 4096, noise, sizeof(noise));
    opening_fails(ERR_CORRUPT, "restore a backup");
}

static void a_cut_file_is_refused(void **state)
{
    struct stat info;
    fill_database();
    assert_int_equal(stat(s.path, &info), 0);
    assert_int_equal(truncate(s.path, info.st_size / 2 / 4096 * 4096), 0);
    opening_fails(ERR_CORRUPT, "restore a backup");
}

static void damage_found_while_running_is_an_error(void **state)
{
    static uint8_t noise[4096];
    struct stat info;
    struct why why = {0};
    fill_database();
    assert_int_equal(support_store_start(&s, NULL), OK);
    assert_int_equal(stat(s.path, &info), 0);
    memset(noise, 0x5a, sizeof(noise));
    for (off_t at = 4096; at < info.st_size; at += 4096) {
        overwrite(at, noise, sizeof(noise));
    }
    struct sample_counter c = {.name = "a counter with a name that takes some room 7"};
    assert_int_equal(store_read(s.store, sample_counter_get, &c, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "restore a backup"));
}

/* ---- kill -9 ---- */

enum { KILL_ROUNDS = 25, KILL_THREADS = 6 };

struct report {
    int32_t thread;
    int32_t value;
};

struct writer {
    pthread_t thread;
    int number;
    int fd;
};

static void counter_name(int number, char out[16])
{
    snprintf(out, 16, "kill%d", number);
}

/* Counts up for ever and reports each value that was acknowledged. */
static void *count_for_ever(void *arg)
{
    const struct writer *w = arg;
    char name[16];
    counter_name(w->number, name);
    for (;;) {
        struct sample_counter c = {.name = name, .step = 1};
        if (store_write(s.store, sample_counter_add, &c, NULL) != OK) {
            _exit(3);
        }
        struct report r = {.thread = w->number, .value = (int32_t)c.value};
        if (write(w->fd, &r, sizeof(r)) != sizeof(r)) {
            _exit(4);
        }
    }
}

static void be_killed(int fd)
{
    static struct writer writers[KILL_THREADS];
    if (support_store_start(&s, NULL) != OK) {
        _exit(2);
    }
    for (int i = 0; i < KILL_THREADS; i++) {
        writers[i] = (struct writer){.number = i, .fd = fd};
        if (pthread_create(&writers[i].thread, NULL, count_for_ever, &writers[i]) != 0) {
            _exit(5);
        }
    }
    for (;;) {
        pause();
    }
}

/* Runs a child for a moment, kills it, and keeps the last value that each thread was told. */
static void kill_one(int32_t acknowledged[KILL_THREADS])
{
    int ends[2];
    struct report r;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        be_killed(ends[1]);
    }
    close(ends[1]);
    int64_t lives_usec = (int64_t)rand_below(30000);
    assert_int_equal(read(ends[0], &r, sizeof(r)), sizeof(r)); /* it is under way */
    acknowledged[r.thread] = r.value;
    clock_sleep_usec(lives_usec);
    kill(child, SIGKILL);
    while (read(ends[0], &r, sizeof(r)) == sizeof(r)) {
        acknowledged[r.thread] = r.value;
    }
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void what_was_acknowledged_survives_a_kill(void **state)
{
    int32_t acknowledged[KILL_THREADS] = {0};
    closed();
    rand_set_seed(9);
    for (int round = 0; round < KILL_ROUNDS; round++) {
        kill_one(acknowledged);
        assert_int_equal(support_store_start(&s, NULL), OK);
        for (int i = 0; i < KILL_THREADS; i++) {
            char name[16];
            counter_name(i, name);
            int64_t value = sample_counter(s.store, name);
            /* One more may be on the disk whose answer did not get out. */
            assert_in_range(value, acknowledged[i], acknowledged[i] + 1);
            acknowledged[i] = (int32_t)value;
        }
        closed();
    }
    assert_int_equal(support_store_start(&s, NULL), OK);
}

/* ---- a full disk ---- */

static enum err add_blob(struct store_tx *tx, void *ctx, struct why *why)
{
    static const uint8_t blob[64 * 1024];
    const int *number = ctx;
    char name[32];
    snprintf(name, sizeof(name), "blob%d", *number);
    struct store_query q;
    store_begin(&q, tx, &sample_sql_item_add);
    store_bind_text(&q, "name", slice_text(name));
    store_bind_null(&q, "payload");
    store_bind_bytes(&q, "raw", slice_of(blob, sizeof(blob)));
    store_bind_null(&q, "digest");
    store_bind_null(&q, "owner");
    store_bind_u256(&q, "amount", U256_ZERO);
    store_bind_time(&q, "at", 0);
    store_bind_bool(&q, "done", false);
    store_bind_null(&q, "score");
    store_bind_null(&q, "parent");
    return store_finish(&q, NULL, why);
}

static enum err count_items(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_items_count);
    if (store_step(&q)) {
        *(int64_t *)ctx = store_get_i64(&q, "count");
    }
    return store_finish_one(&q, "count", why);
}

/* Writes until the disk is full; returns how many writes were acknowledged. */
static int fill_disk(int from)
{
    for (int number = from; number < from + 2000; number++) {
        struct why why = {0};
        enum err e = store_write(s.store, add_blob, &number, &why);
        if (e == ERR_DISK_FULL) {
            assert_non_null(strstr(why.text, "full"));
            return number;
        }
        if (e != OK) {
            fail_msg("write %d: %s: %s", number, err_code(e), why.text);
        }
    }
    fail_msg("the disk never was full");
    return 0;
}

/* Reads go on, small writes may fail, nothing that was acknowledged is lost. */
static void live_on_a_full_disk(int written)
{
    for (int i = 0; i < 5; i++) {
        int64_t count = 0;
        int number = written;
        assert_int_equal(store_write(s.store, add_blob, &number, NULL), ERR_DISK_FULL);
        sample_read(s.store, count_items, &count);
        assert_int_equal(count, written);
    }
}

static void recover(int written)
{
    int64_t count = 0;
    assert_int_equal(store_write(s.store, add_blob, &written, NULL), OK);
    sample_read(s.store, count_items, &count);
    assert_int_equal(count, written + 1);
    support_store_reopen(&s);
    sample_read(s.store, count_items, &count);
    assert_int_equal(count, written + 1);
}

static void a_file_that_may_not_grow_is_a_full_disk(void **state)
{
    struct rlimit before;
    struct rlimit small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 3 << 20;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int written = fill_disk(0);
    assert_true(written > 10);
    live_on_a_full_disk(written);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    recover(written);
}

static void a_full_disk_is_survived(void **state)
{
    char mount_point[80];
    support_store_prepare(&s, &sample_catalog);
    snprintf(mount_point, sizeof(mount_point), "%s/data", s.folder);
    assert_int_equal(mkdir(mount_point, 0700), 0);
    if (mount("tmpfs", mount_point, "tmpfs", 0, "size=8m") != 0) {
        support_store_close(&s);
        skip(); /* needs root */
    }
    assert_int_equal(support_store_start(&s, NULL), OK);
    support_store_migrate(&s);
    char ballast[128];
    snprintf(ballast, sizeof(ballast), "%s/ballast", mount_point);
    int fd = open(ballast, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, 2 << 20), 0);
    close(fd);

    int written = fill_disk(0);
    assert_true(written > 10);
    live_on_a_full_disk(written);
    assert_int_equal(unlink(ballast), 0);
    recover(written);
    closed();
    assert_int_equal(umount(mount_point), 0);
    support_store_close(&s);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

int main(void)
{
    unsetenv("TEST_DATABASE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_that_name_no_file_are_refused),
        cmocka_unit_test(folders_are_made_for_the_owner_only),
        cmocka_unit_test(a_relative_path_is_below_the_working_folder),
        cmocka_unit_test(a_folder_that_cannot_be_made_is_named),
        WITH_STORE(a_second_store_is_refused),
        cmocka_unit_test(a_second_process_is_refused_until_the_first_is_dead),
        WITH_STORE(a_reader_looks_while_another_process_owns),
        WITH_STORE(another_process_may_read_and_leave),
        cmocka_unit_test(a_reader_makes_no_database),
        cmocka_unit_test(the_database_of_another_program_is_left_alone),
        WITH_STORE(a_lock_of_another_program_is_waited_for),
        WITH_STORE(a_damaged_header_is_refused),
        WITH_STORE(a_damaged_page_is_refused),
        WITH_STORE(a_cut_file_is_refused),
        WITH_STORE(damage_found_while_running_is_an_error),
        WITH_STORE(what_was_acknowledged_survives_a_kill),
        WITH_STORE(a_file_that_may_not_grow_is_a_full_disk),
        cmocka_unit_test(a_full_disk_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
