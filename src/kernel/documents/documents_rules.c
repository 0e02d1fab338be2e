#include "kernel/documents/documents_internal.h"

#include <string.h>

static const char *const types[] = {"manual", "certification", "specification", "lease_agreement"};

struct hint {
    const char *part;
    const char *type;
};

/* The first one that a name has. */
static const struct hint hints[] = {
    {"manual", "manual"},         {"cert", "certification"},        {"spec", "specification"},
    {"lease", "lease_agreement"}, {"agreement", "lease_agreement"},
};

static bool holds(struct slice text, const char *part)
{
    struct slice wanted = slice_text(part);
    for (size_t i = 0; i + wanted.len <= text.len; i++) {
        if (slice_equal_nocase(slice_sub(text, i, wanted.len), wanted)) {
            return true;
        }
    }
    return false;
}

const char *documents_type_of(struct slice filename)
{
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (holds(filename, hints[i].part)) {
            return hints[i].type;
        }
    }
    return "specification";
}

const char *documents_type_find(struct slice name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (slice_equal_text(name, types[i])) {
            return types[i];
        }
    }
    return NULL;
}

enum err documents_name_check(struct slice filename, struct why *why)
{
    bool good = filename.len > 0 && filename.len <= DOCUMENTS_NAME_BYTES_MAX &&
                !slice_equal_text(filename, ".") && !slice_equal_text(filename, "..") &&
                slice_is_utf8(filename);
    for (size_t i = 0; good && i < filename.len; i++) {
        uint8_t c = filename.ptr[i];
        good = c >= 0x20 && c != 0x7F && c != '/' && c != '\\';
    }
    return good ? OK
                : why_set(why, ERR_INVALID_FIELD, "filename",
                          "The file name must have 1 to %d bytes of UTF-8, without slashes, "
                          "backslashes and control characters.",
                          DOCUMENTS_NAME_BYTES_MAX);
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

enum err documents_pdf_check(struct slice head, struct slice tail, struct why *why)
{
    bool begins = head.len >= 8 && slice_starts(head, SLICE_LIT("%PDF-")) &&
                  is_digit(head.ptr[5]) && head.ptr[6] == '.' && is_digit(head.ptr[7]);
    if (!begins) {
        return why_set(why, ERR_UNSUPPORTED_MEDIA, NULL,
                       "Documents are PDFs: the content of this file does not begin like one.");
    }
    return holds(tail, "%%EOF") ? OK
                                : why_set(why, ERR_UNSUPPORTED_MEDIA, NULL,
                                          "The PDF has no end (%%%%EOF): it is not whole.");
}
