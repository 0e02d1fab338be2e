#include "kernel/base/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <unistd.h>

#include "kernel/base/check.h"
#include "kernel/base/config_registry.h"

/* Room for a line of the file with its end, as inih counts. Values are capped lower. */
#define LINE_MAX_BYTES (CONFIG_VALUE_MAX + 256)
#define FILE_MAX_BYTES ((size_t)1 << 20)
/* inih cuts longer sections and names off without a word. */
#define KEY_PART_MAX 49

/* ---- the registry ---------------------------------------------------------------------------- */

struct config *config_new(void)
{
    struct config *c = mem_alloc(sizeof(*c));
    arena_init(&c->boot, 4096);
    return c;
}

static void unstage(struct config_slot *slot)
{
    if (slot->is_staged && slot->row->type == CONFIG_SECRET) {
        secret_clear(&slot->staged.secret);
    }
    slot->is_staged = false;
    slot->line = 0;
}

void config_free(struct config *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->count; i++) {
        struct config_slot *slot = &c->slots[i];
        unstage(slot);
        if (slot->row->type == CONFIG_SECRET) {
            union config_value empty = {.secret = {0}};
            config_value_store(slot->row, slot->target, &empty);
        }
    }
    mem_free(c->slots);
    arena_free(&c->boot);
    mem_free(c);
}

struct slice config_key_split(const char *key, const char **out_name)
{
    const char *dot = strrchr(key, '.');
    ASSERT(dot != NULL);
    *out_name = dot + 1;
    return slice_of(key, (size_t)(dot - key));
}

static char env_char(char c)
{
    if (c == '.') {
        return '_';
    }
    if (c >= 'a' && c <= 'z') {
        return (char)(c - 'a' + 'A');
    }
    return c;
}

void config_env_name(const char *key, struct buf *out)
{
    buf_add_text(out, CONFIG_ENV_PREFIX);
    for (; *key; key++) {
        buf_add_byte(out, (uint8_t)env_char(*key));
    }
}

/* Two keys that share an environment variable are as bad as two equal keys. */
static bool env_equal(const char *a, const char *b)
{
    while (*a && env_char(*a) == env_char(*b)) {
        a++;
        b++;
    }
    return env_char(*a) == env_char(*b);
}

static bool key_is_well_formed(const char *key)
{
    const char *name;
    struct slice section = config_key_split(key, &name);
    if (section.len == 0 || section.len > KEY_PART_MAX || strlen(name) > KEY_PART_MAX) {
        return false;
    }
    return name[0] != '\0' && key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_.")] == '\0';
}

static struct config_slot *find_slot(const struct config *c, const char *key)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->slots[i].row->key, key) == 0) {
            return &c->slots[i];
        }
    }
    return NULL;
}

void config_add(struct config *c, const struct config_part *part)
{
    if (c->count + part->count > c->cap) {
        c->cap = 2 * (c->count + part->count);
        c->slots = mem_resize(c->slots, c->cap * sizeof(*c->slots));
    }
    for (size_t i = 0; i < part->count; i++) {
        const struct config_row *row = &part->rows[i];
        ASSERT(key_is_well_formed(row->key));
        ASSERT(row->doc != NULL);
        ASSERT(row->type != CONFIG_ENUM || row->choices != NULL);
        for (size_t k = 0; k < c->count; k++) {
            ASSERT(!env_equal(c->slots[k].row->key, row->key));
        }
        c->slots[c->count++] =
            (struct config_slot){.row = row, .target = part->target, .title = part->title};
    }
}

const struct config_row *config_find(const struct config *c, const char *key)
{
    const struct config_slot *slot = find_slot(c, key);
    return slot ? slot->row : NULL;
}

const char *config_source(const struct config *c, const char *key)
{
    const struct config_slot *slot = find_slot(c, key);
    return slot ? slot->source : "";
}

/* ---- staging: nothing reaches a config struct before everything is known to be right --------- */

/* Where a value came from: `label` is remembered, `place` is for sentences. */
struct origin {
    const char *label;
    const char *place;
};

static enum err refuse_value(struct config *c, const struct config_row *row, struct slice value,
                             const struct origin *origin, struct why *why)
{
    if (value.len > CONFIG_VALUE_MAX) {
        return why_set(why, ERR_CONFIG, row->key, "%s (%s) is longer than %d bytes.", row->key,
                       origin->place, CONFIG_VALUE_MAX);
    }
    struct buf allowed;
    buf_init(&allowed, &c->boot, 64);
    config_value_allowed(row, &allowed);
    /* A text is refused for its bytes, and may carry a password: it is not repeated. */
    if (row->type == CONFIG_TEXT || row->type == CONFIG_SECRET) {
        return why_set(why, ERR_CONFIG, row->key,
                       "%s (%s) must be %.*s in UTF-8 without control characters.", row->key,
                       origin->place, SLICE_ARG(buf_slice(&allowed)));
    }
    struct slice shown = slice_sub(value, 0, 64);
    return why_set(why, ERR_CONFIG, row->key, "%s (%s) must be %.*s, not \"%.*s\".", row->key,
                   origin->place, SLICE_ARG(buf_slice(&allowed)), SLICE_ARG(shown));
}

static enum err stage(struct config *c, struct config_slot *slot, struct slice text,
                      const struct origin *origin, struct why *why)
{
    union config_value value;
    enum err e = config_value_parse(slot->row, text, &c->boot, &value);
    if (e) {
        return refuse_value(c, slot->row, text, origin, why);
    }
    unsigned line = slot->line;
    unstage(slot);
    slot->staged = value;
    slot->is_staged = true;
    slot->line = line;
    snprintf(slot->staged_source, sizeof(slot->staged_source), "%s", origin->label);
    return OK;
}

static void stage_default(struct config *c, struct config_slot *slot)
{
    static const struct origin origin = {.label = "default", .place = "default"};
    if (slot->row->default_) {
        enum err e = stage(c, slot, slice_text(slot->row->default_), &origin, NULL);
        ASSERT(e == OK);
        return;
    }
    unstage(slot);
    memset(&slot->staged, 0, sizeof(slot->staged));
    if (slot->row->type == CONFIG_TEXT || slot->row->type == CONFIG_ADDRESS ||
        slot->row->type == CONFIG_ENUM) {
        slot->staged.text = "";
    }
    slot->is_staged = true;
    snprintf(slot->staged_source, sizeof(slot->staged_source), "%s", origin.label);
}

static void commit(struct config_slot *slot)
{
    config_value_store(slot->row, slot->target, &slot->staged);
    memcpy(slot->source, slot->staged_source, sizeof(slot->source));
    slot->is_staged = false;
    slot->line = 0;
}

/* ---- the file -------------------------------------------------------------------------------- */

struct file_reader {
    struct config *config;
    const char *path;
    struct slice rest; /* not read yet */
    unsigned line;     /* of what inih is looking at */
    bool refused;      /* the sentence is written */
    enum err err;
    struct why *why;
};

static enum err refuse_file(const char *path, enum err e, const char *problem, struct why *why)
{
    return why_set(why, e, NULL, "The configuration file %s %s.", path, problem);
}

/* Reads the file whole; `out` is to be wiped and freed, for it may hold secrets. */
static enum err read_file(const char *path, uint8_t *bytes, size_t *out_len, struct why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return refuse_file(path, ERR_CONFIG, strerror(errno), why);
    }
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len <= FILE_MAX_BYTES) {
        got = read(fd, bytes + len, FILE_MAX_BYTES + 1 - len);
        if (got < 0 && errno == EINTR) {
            got = 1;
            continue;
        }
        len += got > 0 ? (size_t)got : 0;
    }
    int read_errno = errno;
    close(fd);
    if (got < 0) {
        return refuse_file(path, ERR_CONFIG, strerror(read_errno), why);
    }
    if (len > FILE_MAX_BYTES) {
        return refuse_file(path, ERR_CONFIG, "is larger than 1 MiB", why);
    }
    *out_len = len;
    return OK;
}

static void refuse_line(struct file_reader *r, const char *problem)
{
    r->err = why_set(r->why, ERR_CONFIG, NULL, "%s:%u: %s.", r->path, r->line, problem);
    r->refused = true;
}

/* inih takes "[section] port = 1" for the section alone and drops the rest: refused here. */
static bool section_line_is_clean(struct slice line)
{
    line = slice_trim(line);
    struct slice head;
    struct slice tail;
    if (line.len == 0 || line.ptr[0] != '[' || !slice_cut(line, ']', &head, &tail)) {
        return true;
    }
    tail = slice_trim(tail);
    return tail.len == 0 || tail.ptr[0] == ';' || tail.ptr[0] == '#';
}

/* Hands inih the next line, and knows its number, which Debian's inih does not tell. */
static char *next_line(char *out, int room, void *stream)
{
    struct file_reader *r = stream;
    if (r->rest.len == 0 || r->refused) {
        return NULL;
    }
    struct slice line;
    slice_cut(r->rest, '\n', &line, &r->rest);
    r->line++;
    if (line.len + 3 > (size_t)room) {
        refuse_line(r, "the line is too long");
        return NULL;
    }
    if (!section_line_is_clean(line)) {
        refuse_line(r, "the line has text behind [section]");
        return NULL;
    }
    memcpy(out, line.ptr, line.len);
    memcpy(out + line.len, "\n", 2);
    return out;
}

static enum err stage_from_file(struct file_reader *r, const char *section, const char *name,
                                const char *value)
{
    char key[2 * KEY_PART_MAX + 4];
    snprintf(key, sizeof(key), "%s%s%s", section, section[0] ? "." : "", name);
    struct config_slot *slot = find_slot(r->config, key);
    if (!slot) {
        return why_set(r->why, ERR_UNKNOWN_CONFIG_KEY, key, "%s:%u: %s is not a known key.",
                       r->path, r->line, key);
    }
    if (slot->line > 0) {
        return why_set(r->why, ERR_CONFIG, key, "%s:%u: %s was already set in line %u.", r->path,
                       r->line, key, slot->line);
    }
    char label[CONFIG_SOURCE_MAX];
    char place[512];
    snprintf(label, sizeof(label), "file:%u", r->line);
    snprintf(place, sizeof(place), "%.400s:%u", r->path, r->line);
    struct origin origin = {.label = label, .place = place};
    slot->line = r->line;
    return stage(r->config, slot, slice_text(value), &origin, r->why);
}

static int take_pair(void *user, const char *section, const char *name, const char *value)
{
    struct file_reader *r = user;
    if (!r->refused) {
        r->err = stage_from_file(r, section, name, value);
        r->refused = r->err != OK;
    }
    return !r->refused;
}

static enum err stage_text(struct config *c, const char *path, struct slice text, struct why *why)
{
    if (slice_find(text, 0) >= 0 || !slice_is_utf8(text)) {
        return refuse_file(path, ERR_CONFIG, "is not UTF-8 text", why);
    }
    ini_use_stack = true;
    ini_max_line = LINE_MAX_BYTES;
    ini_allow_multiline = false;
    ini_stop_on_first_error = true;
    struct file_reader r = {.config = c, .path = path, .rest = text, .why = why};
    int bad_line = ini_parse_stream(next_line, &r, take_pair, &r);
    if (bad_line != 0 && !r.refused) {
        refuse_line(&r, "expected [section], name = value, or a comment with '#' or ';'");
    }
    return r.err;
}

static enum err stage_file(struct config *c, const char *path, struct why *why)
{
    uint8_t *bytes = mem_alloc(FILE_MAX_BYTES + 1);
    size_t len = 0;
    enum err e = read_file(path, bytes, &len, why);
    if (!e) {
        e = stage_text(c, path, slice_of(bytes, len), why);
    }
    mem_wipe(bytes, len);
    mem_free(bytes);
    return e;
}

/* ---- environment and command line ------------------------------------------------------------ */

static struct config_slot *find_slot_by_env(struct config *c, struct slice name)
{
    for (size_t i = 0; i < c->count; i++) {
        const char *key = c->slots[i].row->key;
        size_t at = 0;
        while (at < name.len && key[at] && env_char(key[at]) == (char)name.ptr[at]) {
            at++;
        }
        if (at == name.len && key[at] == '\0') {
            return &c->slots[i];
        }
    }
    return NULL;
}

static enum err stage_environment(struct config *c, char *const *environ_, struct why *why)
{
    for (; environ_ && *environ_; environ_++) {
        struct slice name;
        struct slice value;
        slice_cut(slice_text(*environ_), '=', &name, &value);
        if (!slice_starts(name, SLICE_LIT(CONFIG_ENV_PREFIX))) {
            continue;
        }
        char place[128];
        snprintf(place, sizeof(place), "environment variable %.*s",
                 SLICE_ARG(slice_sub(name, 0, 96)));
        struct slice tail = slice_sub(name, sizeof(CONFIG_ENV_PREFIX) - 1, name.len);
        struct config_slot *slot = find_slot_by_env(c, tail);
        if (!slot) {
            return why_set(why, ERR_UNKNOWN_CONFIG_KEY, NULL,
                           "The %s does not belong to a known key.", place);
        }
        struct origin origin = {.label = "env", .place = place};
        enum err e = stage(c, slot, value, &origin, why);
        if (e) {
            return e;
        }
    }
    return OK;
}

static enum err stage_flag(struct config *c, const struct config_flag *flag, struct why *why)
{
    struct config_slot *slot = find_slot(c, flag->key);
    if (!slot) {
        return why_set(why, ERR_UNKNOWN_CONFIG_KEY, flag->key, "--%s is not a known key.",
                       flag->key);
    }
    char place[128];
    snprintf(place, sizeof(place), "--%s", flag->key);
    struct origin origin = {.label = "flag", .place = place};
    return stage(c, slot, slice_text(flag->value), &origin, why);
}

static enum err check_required(struct config *c, struct why *why)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct config_slot *slot = &c->slots[i];
        const char *key = slot->row->key;
        bool missing = (slot->row->flags & CONFIG_REQUIRED) &&
                       (strcmp(slot->staged_source, "default") == 0 ||
                        config_value_is_unset(slot->row, &slot->staged));
        if (missing) {
            struct buf env;
            buf_init(&env, &c->boot, 64);
            config_env_name(key, &env);
            return why_set(why, ERR_CONFIG, key,
                           "%s is required: set it in the file, as %.*s or with --%s=VALUE.", key,
                           SLICE_ARG(buf_slice(&env)), key);
        }
    }
    return OK;
}

static enum err stage_all(struct config *c, const char *file_path, char *const *environ_,
                          const struct config_flag *flags, size_t flag_count, struct why *why)
{
    for (size_t i = 0; i < c->count; i++) {
        stage_default(c, &c->slots[i]);
    }
    enum err e = file_path ? stage_file(c, file_path, why) : OK;
    if (!e) {
        e = stage_environment(c, environ_, why);
    }
    for (size_t i = 0; i < flag_count && !e; i++) {
        e = stage_flag(c, &flags[i], why);
    }
    return e ? e : check_required(c, why);
}

enum err config_load(struct config *c, const char *file_path, char *const *environ_,
                     const struct config_flag *flags, size_t flag_count, struct why *why)
{
    enum err e = stage_all(c, file_path, environ_, flags, flag_count, why);
    for (size_t i = 0; i < c->count; i++) {
        if (e) {
            unstage(&c->slots[i]);
        } else {
            commit(&c->slots[i]);
        }
    }
    return e;
}

enum err config_set(struct config *c, const char *key, const char *value, const char *source,
                    struct why *why)
{
    struct config_slot *slot = find_slot(c, key);
    if (!slot) {
        return why_set(why, ERR_UNKNOWN_CONFIG_KEY, key, "%s is not a known key.", key);
    }
    struct origin origin = {.label = source, .place = source};
    enum err e = stage(c, slot, slice_text(value), &origin, why);
    if (!e) {
        commit(slot);
    }
    return e;
}
