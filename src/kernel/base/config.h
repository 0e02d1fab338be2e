/*
 * config.h: configuration is one table of rows.
 *
 * A module declares rows that point into its own config struct; the table gives parsing, bounds,
 * `--help`, the sample file (`freehold config --sample`) and the reference
 * (docs/reference/config.md). Keys are public: "section.name". Sources, the later wins: default,
 * file (INI), environment (FREEHOLD_SECTION_NAME), command line (--section.name=value). An unknown
 * key in a file, in an environment variable with our prefix or on the command line is refused by
 * name, with the file's line.
 *
 * Loading is all or nothing: the config structs change when every value is right, never before.
 * They must outlive the registry, which owns the texts in them and wipes the secrets. Loading is
 * for one thread; a struct that other threads read is loaded before they start.
 *
 * Where a value came from is remembered (config_source). Secrets are printed as "[set]" only.
 * Paths to secrets (keystore password files) are preferred over secrets in the environment.
 */
#ifndef KERNEL_BASE_CONFIG_H
#define KERNEL_BASE_CONFIG_H

#include "kernel/base/mem.h"
#include "kernel/base/slice.h"
#include "kernel/base/u256.h"

enum config_type {
    CONFIG_TEXT,     /* const char *, never NULL ("" when unset) */
    CONFIG_U64,      /* uint64_t with min and max */
    CONFIG_BOOL,     /* bool: true/false */
    CONFIG_DURATION, /* int64_t microseconds; written "500ms", "10s", "5min", "2h", "30d" */
    CONFIG_SIZE,     /* uint64_t bytes; written "64KiB", "50MiB", "1GiB", "4096" */
    CONFIG_ADDRESS,  /* const char *: 0x + 40 hex (its EIP-55 case is the user's to check), or "" */
    CONFIG_WEI,      /* struct u256; written "30gwei", "0.5ether", "1000" (wei) */
    CONFIG_ENUM,     /* const char *: one of `choices` */
    CONFIG_SECRET,   /* struct secret */
};

enum config_flags {
    CONFIG_RELOAD = 1 << 0,   /* may change while running */
    CONFIG_REQUIRED = 1 << 1, /* no default */
    CONFIG_URLS = 1 << 2,     /* TEXT: comma-separated; shown without user, path and query */
};

struct config_row {
    const char *key; /* "http.port" */
    enum config_type type;
    size_t offset;              /* of the member in the module's config struct */
    const char *default_;       /* as it would be written in the file; NULL: empty or zero */
    uint64_t min;               /* U64, DURATION (usec), SIZE */
    uint64_t max;               /* 0: no bound */
    const char *const *choices; /* ENUM: NULL-terminated */
    unsigned flags;
    const char *doc; /* one sentence, present tense */
};

struct config_part {
    const struct config_row *rows;
    size_t count;
    void *target; /* the module's config struct */
    const char *title;
};

struct config_flag {
    const char *key;
    const char *value;
};

struct config;

/* config_new makes an empty registry. Owns: the caller, config_free. */
struct config *config_new(void);
/* config_free gives the registry and all text values back; secrets are wiped. */
void config_free(struct config *c);
/* config_add registers a part; duplicates of a key are a bug (ASSERT). */
void config_add(struct config *c, const struct config_part *part);
/*
 * config_load applies defaults, `file_path` (NULL: none), the environment and `flags`.
 * Errors: ERR_CONFIG (file unreadable, malformed line, bad or missing value),
 * ERR_UNKNOWN_CONFIG_KEY; `why` names key, file and line. All problems of a file are reported one
 * at a time.
 */
enum err config_load(struct config *c, const char *file_path, char *const *environ_,
                     const struct config_flag *flags, size_t flag_count,
                     struct why *why) ERR_CHECKED;
/* config_set sets one key; `source` is what config_source tells. Errors as config_load. */
enum err config_set(struct config *c, const char *key, const char *value, const char *source,
                    struct why *why) ERR_CHECKED;
/*
 * config_duration_parse reads a duration as a DURATION row does, for values with durations in them.
 * Units: microseconds. Errors: ERR_CONFIG.
 */
enum err config_duration_parse(struct slice text, int64_t *out_usec) ERR_CHECKED;
/* config_find returns the row of a key, or NULL. */
const struct config_row *config_find(const struct config *c, const char *key);
/* config_source tells where the value of a key came from: "default", "file:12", "env", "flag". */
const char *config_source(const struct config *c, const char *key);
/*
 * config_file_secret returns the key of a secret that came from the file, or of a URL with a user
 * part or a password; NULL when there is none.
 */
const char *config_file_secret(const struct config *c);
/* config_sample appends a complete commented sample file. */
void config_sample(const struct config *c, struct buf *out);
/* config_reference appends the Markdown reference. */
void config_reference(const struct config *c, struct buf *out);
/* config_help appends a short list for --help. */
void config_help(const struct config *c, struct buf *out);
/* config_dump appends the effective values with sources, secrets as "[set]". */
void config_dump(const struct config *c, struct buf *out);

#endif
