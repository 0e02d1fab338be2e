#include "kernel/backup/backup.h"

#include "kernel/base/check.h"
#include "kernel/base/hex.h"

#define MANIFEST_BYTES_MAX ((size_t)64 << 20)

static const struct json_limits manifest_limits = {
    .bytes_max = MANIFEST_BYTES_MAX,
    .depth_max = 16,
    .nodes_max = 4000000,
};

/* ---- writing ---- */

static void write_hash(struct json_out *j, const char *key, const struct hash *hash)
{
    json_key(j, key);
    json_hex(j, hash_slice(hash));
}

static void write_file(struct json_out *j, const struct backup_file *file)
{
    json_key(j, "file");
    json_text(j, file->name);
    json_key(j, "bytes");
    json_u64(j, file->bytes);
    write_hash(j, "sha256", &file->sha256);
}

static void write_table(struct json_out *j, const struct backup_table *t)
{
    struct hash hash = backup_sum_hash(&t->sum);
    json_begin_object(j);
    json_key(j, "name");
    json_text(j, t->table->name);
    json_key(j, "rows");
    json_u64(j, t->sum.rows);
    write_hash(j, "hash", &hash);
    json_key(j, "number");
    json_i64(j, t->number);
    write_file(j, &t->file);
    json_end_object(j);
}

static void write_schema(struct json_out *j, const struct store_catalog *catalog)
{
    const struct store_migration *last = &catalog->migrations[catalog->migration_count - 1];
    json_begin_object(j);
    json_key(j, "version");
    json_u64(j, last->version);
    json_key(j, "name");
    json_text(j, last->name);
    json_key(j, "checksum");
    json_text(j, last->checksum);
    json_end_object(j);
}

void backup_manifest_write(const struct backup_manifest *m, const struct store_catalog *catalog,
                           struct buf *out)
{
    struct json_out j;
    json_out_init(&j, out);
    json_begin_object(&j);
    json_key(&j, "format");
    json_text(&j, BACKUP_FORMAT);
    json_key(&j, "id");
    json_string(&j, m->id);
    json_key(&j, "createdAt");
    json_time(&j, m->created_usec);
    json_key(&j, "program");
    json_string(&j, m->program);
    json_key(&j, "database");
    json_string(&j, m->database);
    json_key(&j, "schema");
    write_schema(&j, catalog);
    json_key(&j, "facts");
    json_raw(&j, m->facts);
    json_key(&j, "tables");
    json_begin_array(&j);
    for (size_t i = 0; i < m->table_count; i++) {
        write_table(&j, &m->tables[i]);
    }
    json_end_array(&j);
    json_key(&j, "files");
    json_begin_array(&j);
    for (size_t i = 0; i < m->file_count; i++) {
        json_begin_object(&j);
        write_file(&j, &m->files[i]);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
    buf_add_byte(out, '\n');
}

/* ---- reading ---- */

static enum err damaged(struct why *why, const char *what)
{
    return why_set(why, ERR_CORRUPT, what, "The manifest of the backup is damaged (%s).", what);
}

static enum err get_hash(const struct json *object, const char *key, struct hash *out,
                         struct why *why)
{
    struct slice text;
    enum err e = json_get_text(object, key, &text, why);
    return e == OK ? hash_parse(text, out) : e;
}

static enum err read_file(const struct json *object, struct backup_file *out, struct why *why)
{
    struct slice name;
    enum err e = json_get_text(object, "file", &name, why);
    if (e == OK && !backup_name_is_safe(name)) {
        e = ERR_INVALID_FIELD;
    }
    if (e == OK) {
        (void)snprintf(out->name, sizeof(out->name), "%.*s", SLICE_ARG(name));
        e = json_get_u64(object, "bytes", &out->bytes, why);
    }
    return e == OK ? get_hash(object, "sha256", &out->sha256, why) : e;
}

static enum err read_table(const struct json *object, const struct store_table *table,
                           struct backup_table *out, struct why *why)
{
    struct slice name;
    struct hash hash = {{0}};
    uint64_t number = 0;
    enum err e = json_get_text(object, "name", &name, why);
    if (e == OK && !slice_equal_text(name, table->name)) {
        e = ERR_INVALID_FIELD;
    }
    if (e == OK) {
        e = json_get_u64(object, "rows", &out->sum.rows, why);
    }
    if (e == OK) {
        e = get_hash(object, "hash", &hash, why);
    }
    if (e == OK) {
        e = json_get_u64(object, "number", &number, why);
    }
    if (e == OK && (number > INT64_MAX || out->sum.rows > INT64_MAX)) {
        e = ERR_INVALID_FIELD;
    }
    if (e == OK) {
        out->table = table;
        out->number = (int64_t)number;
        ASSERT(u256_decode_be(hash_slice(&hash), &out->sum.hashes) == OK);
        e = read_file(object, &out->file, why);
    }
    return e;
}

/* A backup fits the program whose newest migration it has, byte for byte. */
static enum err check_schema(const struct json *root, const struct store_catalog *catalog,
                             struct why *why)
{
    const struct store_migration *last = &catalog->migrations[catalog->migration_count - 1];
    const struct json *schema = NULL;
    struct slice checksum;
    uint64_t version = 0;
    enum err e = json_get(root, "schema", JSON_OBJECT, &schema, why);
    if (e == OK) {
        e = json_get_u64(schema, "version", &version, why);
    }
    if (e == OK) {
        e = json_get_text(schema, "checksum", &checksum, why);
    }
    if (e != OK) {
        return damaged(why, "schema");
    }
    if (version != last->version || !slice_equal_text(checksum, last->checksum)) {
        struct slice program = SLICE_LIT("?");
        (void)(json_get_text(root, "program", &program, NULL) == OK);
        return why_set(why, ERR_DB_VERSION, NULL,
                       "The backup is of database version %llu, made by program %.*s; this program "
                       "is at version %u. Restore with the program that made it, then upgrade.",
                       (unsigned long long)version, SLICE_ARG(program), last->version);
    }
    return OK;
}

static enum err read_tables(const struct json *root, const struct store_catalog *catalog,
                            struct arena *arena, struct backup_manifest *m, struct why *why)
{
    const struct json *list = NULL;
    if (json_get(root, "tables", JSON_ARRAY, &list, why) != OK ||
        list->count != catalog->table_count) {
        return damaged(why, "tables");
    }
    m->table_count = catalog->table_count;
    m->tables = arena_alloc_array(arena, m->table_count + 1, sizeof(m->tables[0]));
    size_t i = 0;
    for (const struct json *t = list->child; t != NULL; t = t->next, i++) {
        if (read_table(t, &catalog->tables[i], &m->tables[i], why) != OK) {
            return damaged(why, catalog->tables[i].name);
        }
        m->rows += m->tables[i].sum.rows;
        m->bytes += m->tables[i].file.bytes;
    }
    return OK;
}

static enum err read_files(const struct json *root, struct arena *arena, struct backup_manifest *m,
                           struct why *why)
{
    const struct json *list = NULL;
    if (json_get(root, "files", JSON_ARRAY, &list, why) != OK) {
        return damaged(why, "files");
    }
    m->file_count = list->count;
    m->files = arena_alloc_array(arena, m->file_count + 1, sizeof(m->files[0]));
    size_t i = 0;
    for (const struct json *f = list->child; f != NULL; f = f->next, i++) {
        if (read_file(f, &m->files[i], why) != OK) {
            return damaged(why, "files");
        }
        m->bytes += m->files[i].bytes;
    }
    return OK;
}

static enum err read_head(const struct json *root, struct arena *arena, struct backup_manifest *m,
                          struct why *why)
{
    const struct json *facts = NULL;
    struct slice format;
    struct buf text;
    if (json_get_text(root, "format", &format, why) != OK ||
        !slice_equal_text(format, BACKUP_FORMAT)) {
        return why_set(why, ERR_CORRUPT, "format",
                       "This is no backup of ours (" BACKUP_FORMAT ").");
    }
    if (json_get_text(root, "id", &m->id, why) != OK ||
        json_get_time(root, "createdAt", &m->created_usec, why) != OK ||
        json_get_text(root, "program", &m->program, why) != OK ||
        json_get_text(root, "database", &m->database, why) != OK ||
        json_get(root, "facts", JSON_OBJECT, &facts, why) != OK) {
        return damaged(why, "head");
    }
    buf_init(&text, arena, 256);
    json_write(&text, facts);
    m->facts = buf_slice(&text);
    return OK;
}

enum err backup_manifest_parse(struct slice text, const struct store_catalog *catalog,
                               struct arena *arena, struct backup_manifest *out, struct why *why)
{
    const struct json *root = NULL;
    struct backup_manifest m = {.rows = 0};
    if (json_parse(arena, text, &manifest_limits, &root, why) != OK || root->type != JSON_OBJECT) {
        return damaged(why, "JSON");
    }
    enum err e = read_head(root, arena, &m, why);
    if (e == OK) {
        e = check_schema(root, catalog, why);
    }
    if (e == OK) {
        e = read_tables(root, catalog, arena, &m, why);
    }
    if (e == OK) {
        e = read_files(root, arena, &m, why);
    }
    if (e == OK) {
        *out = m;
    }
    return e;
}

static enum err gather(void *ctx, struct slice piece, struct why *why)
{
    struct buf *text = ctx;
    if (text->len + piece.len > MANIFEST_BYTES_MAX) {
        return damaged(why, "size");
    }
    buf_add_slice(text, piece);
    return OK;
}

enum err backup_manifest_load(struct backup_place *place, const char *id,
                              const struct store_catalog *catalog, struct arena *arena,
                              struct backup_manifest *out, struct why *why)
{
    struct buf text;
    buf_init(&text, arena, 16384);
    enum err e = backup_place_read(place, id, BACKUP_MANIFEST, gather, &text, why);
    if (e == OK) {
        e = backup_manifest_parse(buf_slice(&text), catalog, arena, out, why);
    }
    if (e == OK && !slice_equal_text(out->id, id)) {
        e = damaged(why, "id");
    }
    return e;
}
