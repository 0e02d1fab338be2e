/* What is known of an SQLite file from outside, and reading it so that nothing of it changes. */
#include "kernel/store/store_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/kernel/store/sample.h"

static struct support_store s;

static int open_store(void **state)
{
    setenv("TEST_DATABASE", "sqlite", 1);
    support_store_open(&s, &sample_catalog);
    return 0;
}

static int close_store(void **state)
{
    support_store_close(&s);
    return 0;
}

static void add(void)
{
    struct sample_counter c = {.name = "seen", .step = 1};
    sample_write(s.store, sample_counter_add, &c);
}

static struct store_file look(void)
{
    struct store_file file;
    struct why why = {0};
    enum err e = store_file_look(s.url, &file, &why);
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    return file;
}

/* A process that has the database open, with rows in its log; it ends when it is killed. */
static pid_t spawn_owner(void)
{
    int pipes[2];
    char ready = 0;
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (support_store_start(&s, NULL) != OK) {
            _exit(1);
        }
        add();
        (void)!write(pipes[1], "r", 1);
        for (;;) {
            pause();
        }
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &ready, 1), 1);
    close(pipes[0]);
    return child;
}

static void end_owner(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void let_go(void)
{
    store_close(s.store);
    s.store = NULL;
}

static int64_t passive_count(void)
{
    s.config.read_only = true;
    s.config.passive = true;
    struct why why = {0};
    enum err e = support_store_start(&s, &why);
    s.config.read_only = false;
    s.config.passive = false;
    if (e != OK) {
        fail_msg("%s", why_text(&why, e));
    }
    int64_t count = sample_counter(s.store, "seen");
    let_go();
    return count;
}

static bool there(const char *suffix, struct stat *out)
{
    char path[512];
    snprintf(path, sizeof(path), "%s%s", s.path, suffix);
    return stat(path, out) == 0;
}

static void urls_and_files_that_are_none(void **state)
{
    struct store_file file;
    assert_true(store_file_is("sqlite:x"));
    assert_false(store_file_is("postgresql://h/n"));
    assert_int_equal(store_file_look("postgresql://h/n", &file, NULL), ERR_CONFIG);
    assert_int_equal(store_file_look("sqlite:", &file, NULL), ERR_CONFIG);
    assert_int_equal(store_file_look("sqlite:/nowhere/x.db", &file, NULL), OK);
    assert_false(file.exists);
}

static void an_owner_is_known_by_its_lock(void **state)
{
    assert_int_equal(look().owner_pid, getpid());
    let_go();
    struct store_file file = look();
    assert_true(file.exists);
    assert_int_equal(file.mode, 0600);
    assert_int_equal(file.owner_pid, 0);
    assert_int_equal(file.wal_bytes, 0);
    pid_t child = spawn_owner();
    file = look();
    assert_int_equal(file.owner_pid, child);
    assert_int_equal(file.other_pid, 0);
    assert_true(file.wal_bytes > 0 && file.has_index);
    end_owner(child);
    file = look();
    assert_int_equal(file.owner_pid, 0);
    assert_true(file.wal_bytes > 0); /* which says that it did not close */
}

/* Alone, beside an owner, and after one that crashed: the rows are read, the files are the same. */
static void reading_passively_changes_no_file(void **state)
{
    struct stat before;
    struct stat after;
    add();
    let_go();
    assert_int_equal(passive_count(), 1);
    assert_false(there("-wal", &after));
    assert_false(there("-shm", &after));

    pid_t child = spawn_owner();
    assert_int_equal(passive_count(), 2);
    end_owner(child);

    assert_true(there("-wal", &before));
    assert_int_equal(passive_count(), 2);
    assert_true(there("-wal", &after));
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(support_store_start(&s, NULL), OK); /* and the next owner finds its log */
    assert_int_equal(sample_counter(s.store, "seen"), 2);
}

/* Without its index a log cannot be read, unless one is made: that is for the next owner. */
static void a_log_without_its_index_is_left(void **state)
{
    char path[512];
    struct stat st;
    struct why why = {0};
    let_go();
    end_owner(spawn_owner());
    snprintf(path, sizeof(path), "%s-shm", s.path);
    assert_int_equal(unlink(path), 0);
    s.config.read_only = true;
    s.config.passive = true;
    assert_int_equal(support_store_start(&s, &why), ERR_DB_UNAVAILABLE);
    assert_non_null(strstr(why.text, "was not read back yet"));
    assert_false(there("-shm", &st));
}

#define ON_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_and_files_that_are_none),
        ON_STORE(an_owner_is_known_by_its_lock),
        ON_STORE(reading_passively_changes_no_file),
        ON_STORE(a_log_without_its_index_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
