#include "app/roles.h"

struct role_row {
    enum role role;
    const char *name;
};

static const struct role_row rows[] = {
    {ROLE_API, "api"},   {ROLE_CHAIN, "chain"}, {ROLE_RELAY, "relay"},
    {ROLE_JOBS, "jobs"}, {ROLE_MATCH, "match"},
};

#define COUNT (sizeof rows / sizeof rows[0])

enum err roles_parse(struct slice text, unsigned *out, struct why *why)
{
    unsigned roles = 0;
    struct slice rest = text;
    while (rest.len > 0) {
        struct slice word;
        (void)slice_cut(rest, ',', &word, &rest);
        word = slice_trim(word);
        unsigned found = slice_equal_text(word, "all") ? ROLE_ALL : 0;
        for (size_t i = 0; i < COUNT; i++) {
            found |= slice_equal_text(word, rows[i].name) ? (unsigned)rows[i].role : 0;
        }
        if (found == 0) {
            return why_set(why, ERR_CONFIG, "service.roles",
                           "service.roles has \"%.*s\": roles are api, chain, relay, jobs, match "
                           "and all, apart by commas",
                           SLICE_ARG(word));
        }
        roles |= found;
    }
    *out = roles != 0 ? roles : ROLE_ALL;
    return OK;
}

void roles_format(unsigned roles, char out[ROLES_TEXT_MAX])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < COUNT; i++) {
        if ((roles & (unsigned)rows[i].role) != 0) {
            len += (size_t)snprintf(out + len, ROLES_TEXT_MAX - len, "%s%s", len > 0 ? "," : "",
                                    rows[i].name);
        }
    }
}
