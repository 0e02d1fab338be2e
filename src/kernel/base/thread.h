/*
 * thread.h: starting threads that leave signals alone.
 *
 * Signals of others (SIGTERM, SIGINT) are for the thread that waits for them. Those that a thread
 * causes itself (SIGBUS, SIGSEGV, SIGFPE, SIGILL) stay open: the kernel ends a process that blocks
 * them without asking its handler, and so without the line that says why.
 */
#ifndef KERNEL_BASE_THREAD_H
#define KERNEL_BASE_THREAD_H

#include <pthread.h>

/* thread_start is pthread_create for such a thread; 0, or the error number of pthread_create. */
int thread_start(pthread_t *thread, void *(*main)(void *), void *arg);

#endif
