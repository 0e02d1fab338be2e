/* Threads that leave the signals of others alone, and get their own. */
#include "kernel/base/thread.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/support.h"

static void *ask_mask(void *arg)
{
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, arg), 0);
    return NULL;
}

static void signals_of_others_are_blocked(void **state)
{
    static const int blocked[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGCHLD, SIGXFSZ};
    static const int open[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};
    sigset_t before;
    sigset_t after;
    sigset_t inside;
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    assert_int_equal(thread_start(&thread, ask_mask, &inside), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++) {
        assert_true(sigismember(&inside, blocked[i]));
    }
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        assert_false(sigismember(&inside, open[i]));
    }
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (int number = 1; number < SIGRTMIN; number++) {
        assert_int_equal(sigismember(&after, number), sigismember(&before, number));
    }
}

static void end_well(int number)
{
    _exit(number == SIGBUS ? 7 : 1);
}

static void *touch(void *arg)
{
    *(volatile char *)arg = 1;
    return NULL;
}

/* A page of a file that became shorter is what a page of a broken disk is. */
static void a_fault_of_the_thread_reaches_its_handler(void **state)
{
    int status = 0;
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char path[] = "/tmp/freehold-test-XXXXXX";
        int fd = mkstemp(path);
        (void)unlink(path);
        pthread_t thread;
        (void)signal(SIGBUS, end_well);
        if (fd < 0 || ftruncate(fd, 4096) != 0) {
            _exit(2);
        }
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED || ftruncate(fd, 0) != 0 ||
            thread_start(&thread, touch, page) != 0) {
            _exit(3);
        }
        (void)pthread_join(thread, NULL);
        _exit(4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_of_others_are_blocked),
        cmocka_unit_test(a_fault_of_the_thread_reaches_its_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
