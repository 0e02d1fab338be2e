#include "kernel/base/check.h"
#include "kernel/base/config_registry.h"

/* Comments of the sample are wrapped at this column. */
#define SAMPLE_COLUMNS 100

/* ---- sections in the order in which they first appear ---------------------------------------- */

static struct slice section_of(const struct config_slot *slot)
{
    const char *name;
    return config_key_split(slot->row->key, &name);
}

static const char *name_of(const struct config_slot *slot)
{
    const char *name;
    config_key_split(slot->row->key, &name);
    return name;
}

static bool opens_section(const struct config *c, size_t index)
{
    struct slice section = section_of(&c->slots[index]);
    for (size_t i = 0; i < index; i++) {
        if (slice_equal(section_of(&c->slots[i]), section)) {
            return false;
        }
    }
    return true;
}

/* Calls `show` for each slot of the section that slot `first` opens. */
static void each_of_section(const struct config *c, size_t first,
                            void (*show)(const struct config_slot *, struct buf *), struct buf *out)
{
    struct slice section = section_of(&c->slots[first]);
    for (size_t i = first; i < c->count; i++) {
        if (slice_equal(section_of(&c->slots[i]), section)) {
            show(&c->slots[i], out);
        }
    }
}

static const char *default_of(const struct config_row *row)
{
    return row->default_ ? row->default_ : "";
}

/* ---- sample ---------------------------------------------------------------------------------- */

static void add_comment(struct buf *out, struct slice text)
{
    size_t column = 0;
    while (text.len > 0) {
        struct slice word;
        slice_cut(text, ' ', &word, &text);
        if (column > 0 && column + 1 + word.len > SAMPLE_COLUMNS) {
            buf_add_byte(out, '\n');
            column = 0;
        }
        buf_add_text(out, column == 0 ? "# " : " ");
        buf_add_slice(out, word);
        column += (column == 0 ? 2 : 1) + word.len;
    }
    buf_add_byte(out, '\n');
}

static void add_sample_row(const struct config_slot *slot, struct buf *out)
{
    const struct config_row *row = slot->row;
    struct buf note;
    buf_init(&note, out->arena, 256);
    add_comment(out, slice_text(row->doc));
    buf_add_text(&note, "Allowed: ");
    config_value_allowed(row, &note);
    buf_add_text(&note, ". Environment: ");
    config_env_name(row->key, &note);
    buf_add_byte(&note, '.');
    if (row->flags & CONFIG_REQUIRED) {
        buf_add_text(&note, " Required.");
    }
    if (row->flags & CONFIG_RELOAD) {
        buf_add_text(&note, " May change while running.");
    }
    add_comment(out, buf_slice(&note));
    buf_format(out, "#%s =%s%s\n\n", name_of(slot), default_of(row)[0] ? " " : "", default_of(row));
}

void config_sample(const struct config *c, struct buf *out)
{
    buf_add_text(out, "# Configuration of freehold with every key and its default.\n"
                      "# A line that begins with '#' is a comment, and so is the rest of a line\n"
                      "# behind a blank and ';'. Remove the '#' before a name to set it.\n\n");
    for (size_t i = 0; i < c->count; i++) {
        if (opens_section(c, i)) {
            buf_format(out, "# --- %s\n[%.*s]\n\n", c->slots[i].title,
                       SLICE_ARG(section_of(&c->slots[i])));
            each_of_section(c, i, add_sample_row, out);
        }
    }
}

/* ---- reference ------------------------------------------------------------------------------- */

/* Text of a Markdown table cell, where '|' would end the cell. */
static void add_cell(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '|') {
            buf_add_byte(out, '\\');
        }
        buf_add_byte(out, text.ptr[i]);
    }
    buf_add_text(out, " | ");
}

static void add_reference_row(const struct config_slot *slot, struct buf *out)
{
    const struct config_row *row = slot->row;
    struct buf cell;
    buf_init(&cell, out->arena, 256);
    buf_format(out, "| `%s` | ", row->key);
    config_value_allowed(row, &cell);
    add_cell(out, buf_slice(&cell));
    if (row->flags & CONFIG_REQUIRED) {
        buf_add_text(out, "required | ");
    } else if (default_of(row)[0]) {
        buf_format(out, "`%s` | ", default_of(row));
    } else {
        buf_add_text(out, "| ");
    }
    buf_add_text(out, row->flags & CONFIG_RELOAD ? "yes | " : "no | ");
    cell.len = 0;
    config_env_name(row->key, &cell);
    buf_format(out, "`%.*s` | ", SLICE_ARG(buf_slice(&cell)));
    add_cell(out, slice_text(row->doc));
    out->len--; /* the blank behind the last bar */
    buf_add_byte(out, '\n');
}

void config_reference(const struct config *c, struct buf *out)
{
    buf_add_text(out, "# Configuration reference\n\n"
                      "Sources, the later wins: default, file, environment, command line\n"
                      "(`--section.name=value`). An unknown key is refused wherever it stands.\n");
    for (size_t i = 0; i < c->count; i++) {
        if (opens_section(c, i)) {
            buf_format(out, "\n## [%.*s] %s\n\n", SLICE_ARG(section_of(&c->slots[i])),
                       c->slots[i].title);
            buf_add_text(out, "| Key | Allowed | Default | Reload | Environment | Meaning |\n"
                              "|---|---|---|---|---|---|\n");
            each_of_section(c, i, add_reference_row, out);
        }
    }
}

/* ---- help and dump --------------------------------------------------------------------------- */

static const char *placeholder(enum config_type type)
{
    switch (type) {
    case CONFIG_TEXT:
        return "TEXT";
    case CONFIG_U64:
        return "NUMBER";
    case CONFIG_BOOL:
        return "true|false";
    case CONFIG_DURATION:
        return "DURATION";
    case CONFIG_SIZE:
        return "SIZE";
    case CONFIG_ADDRESS:
        return "ADDRESS";
    case CONFIG_WEI:
        return "AMOUNT";
    case CONFIG_ENUM:
        return "CHOICE";
    case CONFIG_SECRET:
        return "SECRET";
    }
    return "VALUE";
}

static void add_help_row(const struct config_slot *slot, struct buf *out)
{
    const struct config_row *row = slot->row;
    buf_format(out, "  --%s=%s\n      %s", row->key, placeholder(row->type), row->doc);
    if (row->flags & CONFIG_REQUIRED) {
        buf_add_text(out, " Required.");
    } else if (default_of(row)[0]) {
        buf_format(out, " Default: %s.", default_of(row));
    }
    buf_add_byte(out, '\n');
}

void config_help(const struct config *c, struct buf *out)
{
    for (size_t i = 0; i < c->count; i++) {
        if (opens_section(c, i)) {
            buf_format(out, "%s%s:\n", i > 0 ? "\n" : "", c->slots[i].title);
            each_of_section(c, i, add_help_row, out);
        }
    }
}

static void add_dump_row(const struct config_slot *slot, struct buf *out)
{
    buf_format(out, "%s =", name_of(slot));
    size_t at = out->len;
    buf_add_byte(out, ' ');
    config_value_format(slot->row, slot->target, out);
    if (out->len > at + 1 && out->ptr[at + 1] == ';') {
        /* Behind a blank the value would be a comment to whoever reads the dump as a file. */
        memmove(out->ptr + at, out->ptr + at + 1, out->len - at - 1);
        out->len--;
    }
    buf_format(out, " ; %s\n", slot->source);
}

void config_dump(const struct config *c, struct buf *out)
{
    for (size_t i = 0; i < c->count; i++) {
        if (opens_section(c, i)) {
            buf_format(out, "%s[%.*s]\n", i > 0 ? "\n" : "", SLICE_ARG(section_of(&c->slots[i])));
            each_of_section(c, i, add_dump_row, out);
        }
    }
}

/* Whether a value must not be read by others: a secret, or a URL that carries one. */
static bool is_secret(const struct config_slot *slot)
{
    const char *text = NULL;
    if (slot->row->type == CONFIG_SECRET) {
        struct secret secret;
        memcpy(&secret, (const char *)slot->target + slot->row->offset, sizeof(secret));
        return secret_len(&secret) > 0;
    }
    if ((slot->row->flags & CONFIG_URLS) != 0) {
        memcpy(&text, (const char *)slot->target + slot->row->offset, sizeof(text));
    }
    return text != NULL && (strchr(text, '@') != NULL || strstr(text, "password=") != NULL);
}

const char *config_file_secret(const struct config *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct config_slot *slot = &c->slots[i];
        if (strncmp(slot->source, "file", strlen("file")) == 0 && is_secret(slot)) {
            return slot->row->key;
        }
    }
    return NULL;
}
