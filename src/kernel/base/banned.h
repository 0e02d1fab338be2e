/*
 * banned.h is force-included into every file of ours: calls that C programs are regularly broken
 * with become compile errors that name the replacement.
 */
#ifndef KERNEL_BASE_BANNED_H
#define KERNEL_BASE_BANNED_H

#if !defined(__cplusplus)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#undef alloca
/* The fortified libc makes macros of these two, and clang will not poison a macro. */
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat stpcpy sprintf vsprintf gets strtok strtok_r
#pragma GCC poison atoi atol atoll atof alloca asctime asctime_r ctime ctime_r
#pragma GCC poison localtime localtime_r gmtime mktime srand drand48
#pragma GCC poison system popen tmpnam mktemp
/* OpenSSL's headers name parameters `rand`, so only the call is refused (it is not declared). */
#define rand() banned_call_use_rand_bytes()
#endif

#endif
