/*
 * check.h: assertions that stay on in production.
 *
 * ASSERT is for bugs of ours, never for input: a crash is cheaper than a wrong balance, and every
 * crash is recoverable because everything that matters is a row. The message holds file, line and
 * the expression as written, never a value, so that no secret can leave through it.
 */
#ifndef KERNEL_BASE_CHECK_H
#define KERNEL_BASE_CHECK_H

/* check_failed reports a broken assertion on stderr and aborts the process. */
_Noreturn void check_failed(const char *expression, const char *file, int line);

#define ASSERT(expression) ((expression) ? (void)0 : check_failed(#expression, __FILE__, __LINE__))

#endif
