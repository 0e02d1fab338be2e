/*
 * Looking at the database: from outside, at the schema, at rows.
 */
#include "app/backups.h"
#include "app/doctor.h"
#include "gen/sql_all.h"
#include "kernel/backup/backup_copy.h"

#define CONNECT_USEC (5ll * USEC_PER_SEC)
#define STATEMENT_USEC (10ll * USEC_PER_SEC)
#define BUSY_USEC (3ll * USEC_PER_SEC)
/* The pages of a larger file are not all read. Units: bytes. */
#define SMALL_BYTES (64ull << 20)

static enum err open_store(const struct settings *s, struct store **out, struct why *why)
{
    struct store_config config = backups_store_config(s, s->store.url, true);
    config.passive = true;
    config.connect_usec = CONNECT_USEC;
    config.statement_usec = STATEMENT_USEC;
    config.busy_usec = BUSY_USEC;
    config.wait_usec = CONNECT_USEC;
    return store_open(out, &config, &sql_catalog, why);
}

static void miss_rows(struct ops_facts *f, const char *text)
{
    ops_topic_miss(f, OPS_ROWS, "%s", text);
    ops_topic_miss(f, OPS_SERVER, "%s", text);
}

/* Migrations are refused without a field, a server that is too old by the field of its url. */
static bool is_of_schema(enum err e, const struct why *why)
{
    return e == ERR_DB_VERSION && why->field[0] == '\0';
}

static void note_opening(struct ops_facts *f, enum err e, const struct why *why)
{
    struct ops_database_facts *d = &f->database;
    if (e == ERR_NOT_FOUND) {
        d->is_new = true;
        miss_rows(f, "there is no database yet");
    } else if (is_of_schema(e, why)) {
        ops_answer_set(&d->open, OK, NULL);
        ops_answer_set(&d->schema, e, why);
        miss_rows(f, "program and database do not belong together");
    } else {
        ops_answer_set(&d->open, e, why);
        miss_rows(f, e == OK ? "" : "the database cannot be read");
    }
}

static enum err read_schema(struct store *store, struct ops_facts *f, struct why *why)
{
    struct ops_database_facts *d = &f->database;
    struct store_version version = {0};
    enum err e = store_version_read(store, &version, why);
    if (e != OK) {
        return e;
    }
    d->applied = version.applied;
    d->known = version.known;
    ops_answer_set(&d->schema, OK, NULL);
    if (version.applied < version.known) {
        miss_rows(f, "the schema is older than the program");
        return OK;
    }
    struct why said = {.err = OK};
    ops_answer_set(&d->whole, backup_copy_check(store, &said), &said);
    return OK;
}

static void look_inside(const struct settings *s, struct store *store, bool small,
                        struct ops_facts *f)
{
    struct ops_database_facts *d = &f->database;
    struct why why = {.err = OK};
    (void)snprintf(d->shown, sizeof(d->shown), "%s", store_url_shown(store));
    enum err e = read_schema(store, f, &why);
    bool readable = e == OK && d->applied == d->known;
    if (readable) {
        e = ops_doctor_read_rows(store, s->chain.chain_id, small, f, &why);
    }
    ops_answer_set(&d->open, e, &why);
    if (readable && e == OK) {
        ops_topic_learn(f, OPS_ROWS);
        if (!d->is_file) {
            ops_topic_learn(f, OPS_SERVER);
        }
    } else if (e != OK) {
        miss_rows(f, "the database cannot be read");
    }
}

void doctor_look_database(const struct settings *s, struct ops_facts *f)
{
    struct ops_database_facts *d = &f->database;
    struct store *store = NULL;
    struct why why = {.err = OK};
    bool small = d->is_file && d->bytes <= SMALL_BYTES;
    (void)snprintf(d->shown, sizeof(d->shown), "%s",
                   d->is_file ? s->store.url : "the server's database");
    if (d->is_file) {
        ops_topic_miss(f, OPS_SERVER, "the database is a file");
    }
    enum err e = open_store(s, &store, &why);
    if (e != OK) {
        note_opening(f, e, &why);
        return;
    }
    look_inside(s, store, small, f);
    store_close(store);
}

void doctor_look_books(const struct settings *s, struct ops_facts *f)
{
    struct store *store = NULL;
    struct store_version version = {0};
    enum err e = open_store(s, &store, NULL);
    if (e == OK) {
        e = store_version_read(store, &version, NULL);
    }
    if (e == OK && version.applied == version.known) {
        e = ops_doctor_read_books(store, f, NULL);
    } else {
        e = e == OK ? ERR_DB_VERSION : e;
    }
    if (e == OK) {
        ops_topic_learn(f, OPS_BOOKS);
    } else {
        ops_topic_miss(f, OPS_BOOKS, "%s",
                       e == ERR_NOT_FOUND    ? "there is no database yet"
                       : e == ERR_DB_VERSION ? "the schema is not that of the program"
                                             : "the database cannot be read");
    }
    store_close(store);
}
