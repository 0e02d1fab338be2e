#include "kernel/base/check.h"

void check_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "freehold: broken assertion at %s:%d: %s\n", file, line, expression);
    abort();
}
