/* RFC 3339 text: what is read is written again as the same instant, to the millisecond. */
#include "kernel/base/clock.h"

#include "kernel/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t usec;
    if (clock_parse(slice_of(data, size), &usec) != OK) {
        return 0;
    }
    char text[CLOCK_TEXT_MAX];
    int64_t back;
    size_t len = clock_format(usec, text);
    ASSERT(clock_parse(slice_of(text, len), &back) == OK);
    ASSERT(back == usec - usec % 1000);
    return 0;
}
