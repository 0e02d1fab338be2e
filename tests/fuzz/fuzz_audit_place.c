/* fuzz_audit_place.c: what is read as a head of the audit log is written as the same head. */
#include "kernel/audit/audit.h"
#include "kernel/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct audit_place place;
    struct audit_place again;
    char text[AUDIT_PLACE_TEXT_MAX];
    if (audit_place_parse(slice_of(data, size), &place) != OK) {
        return 0;
    }
    audit_place_format(&place, text);
    ASSERT(audit_place_parse(slice_text(text), &again) == OK);
    ASSERT(again.seq == place.seq && hash_equal(&again.hash, &place.hash));
    return 0;
}
