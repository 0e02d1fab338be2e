#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "kernel/base/clock.h"
#include "kernel/base/rand.h"
#include "unit/kernel/store/server.h"

/* ---- the dialect ---- */

static Oid oid_of(enum store_type type)
{
    switch (type) {
    case STORE_I64:
        return 20;
    case STORE_BOOL:
        return 16;
    case STORE_TEXT:
        return 25;
    case STORE_JSON:
        return 3802;
    case STORE_BYTES:
    case STORE_HASH:
    case STORE_ADDRESS:
        return 17;
    case STORE_U256:
        return 1700;
    case STORE_TIME:
        return 1184;
    }
    return 0;
}

static int check_fields(const struct store_statement *statement, const char *what,
                        const struct store_column *declared, int count, const Oid *found)
{
    int wrong = 0;
    for (int i = 0; i < count; i++) {
        Oid wanted = oid_of(declared[i].type);
        bool small = wanted == 20 && (found[i] == 21 || found[i] == 23); /* int2, int4 */
        if (found[i] != wanted && !small) {
            print_error("%s: %s %s has type %u of the server, not %u\n", statement->name, what,
                        declared[i].name, found[i], wanted);
            wrong++;
        }
    }
    return wrong;
}

static int check_statement(PGconn *pq, const struct store_statement *statement)
{
    Oid params[64];
    Oid columns[64];
    PGresult *result = PQprepare(pq, "", statement->postgres, 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        print_error("%s: %s", statement->name, PQerrorMessage(pq));
        PQclear(result);
        return 1;
    }
    PQclear(result);
    result = PQdescribePrepared(pq, "");
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    assert_int_equal(PQnparams(result), statement->param_count);
    if (statement->column_count > 0) {
        assert_int_equal(PQnfields(result), statement->column_count);
    }
    for (int i = 0; i < PQnparams(result); i++) {
        params[i] = PQparamtype(result, i);
    }
    for (int i = 0; i < statement->column_count; i++) {
        columns[i] = PQftype(result, i);
    }
    PQclear(result);
    return check_fields(statement, "parameter", statement->params, statement->param_count, params) +
           check_fields(statement, "column", statement->columns, statement->column_count, columns);
}

static void every_statement_of_the_program_has_its_types(void **state)
{
    NEED_SERVER();
    int wrong = 0;
    support_store_open(&s, &sql_catalog);
    PGconn *pq = stranger();
    for (uint16_t i = 0; i < sql_catalog.statement_count; i++) {
        wrong += check_statement(pq, sql_catalog.statements[i]);
    }
    PQfinish(pq);
    assert_int_equal(wrong, 0);
    support_store_close(&s);
}

/* ---- opening ---- */

static void opening_fails(const char *url, enum err expected, const char *sentence)
{
    struct store *store = NULL;
    struct why why = {0};
    s.config.url = url;
    enum err e = store_open(&store, &s.config, &sample_catalog, &why);
    s.config.url = s.url;
    if (e != expected || strstr(why.text, sentence) == NULL) {
        fail_msg("%s: %s", err_code(e), why.text);
    }
    assert_null(store);
    assert_null(strstr(why.text, "hunter2"));
}

static void urls_that_cannot_be_read_are_not_repeated(void **state)
{
    NEED_SERVER();
    opening_fails("postgresql://u:hunter2@[::1/x", ERR_CONFIG, "store.url must be postgresql://");
    opening_fails("postgresql://u:hunter2%zz@h/x", ERR_CONFIG, "store.url must be postgresql://");
    opening_fails("postgresql://u@h/x?pasword=hunter2", ERR_CONFIG, "store.url must be");
}

/* Replaces the password of the server's url. */
static void other_password(const char *password, char *out, size_t size)
{
    const char *colon = strchr(s.url + strlen("postgresql://"), ':');
    const char *at = strchr(s.url, '@');
    int len = snprintf(out, size, "%.*s:%s%s", (int)(colon - s.url), s.url, password, at);
    assert_in_range(len, 1, size - 1);
}

static void a_wrong_password_is_refused_and_not_shown(void **state)
{
    NEED_SERVER();
    char url[300];
    other_password("hunter2", url, sizeof(url));
    opening_fails(url, ERR_DB_UNAVAILABLE, "password authentication failed");
    assert_null(strstr(store_url_shown(s.store), strchr(strchr(s.url, ':') + 1, ':')));
    assert_non_null(strstr(store_url_shown(s.store), "://freehold:***@127.0.0.1:"));
}

static void a_server_that_is_not_there_is_named(void **state)
{
    NEED_SERVER();
    opening_fails("postgresql://u:hunter2@127.0.0.1:1/x", ERR_DB_UNAVAILABLE, "127.0.0.1");
    opening_fails("postgresql://u:hunter2@127.0.0.1:1/x?sslmode=wat", ERR_DB_UNAVAILABLE, "wat");
}

static void a_reader_makes_no_database(void **state)
{
    NEED_SERVER();
    support_store_prepare(&s, &sample_catalog);
    s.config.read_only = true;
    opening_fails(s.url, ERR_NOT_FOUND, "There is no database of ours in");
    s.config.read_only = false;
    assert_int_equal(support_store_start(&s, NULL), OK);
    support_store_migrate(&s);
    add("seen");
    store_close(s.store);
    s.config.read_only = true;
    assert_int_equal(support_store_start(&s, NULL), OK);
    assert_int_equal(sample_counter(s.store, "seen"), 1);
    struct sample_counter c = {.name = "seen", .step = 1};
    assert_int_equal(store_write(s.store, sample_counter_add, &c, NULL), ERR_CONFLICT);
    support_store_close(&s);
}

static void a_database_of_another_encoding_is_refused(void **state)
{
    NEED_SERVER();
    char url[256];
    support_postgres_run("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    support_postgres_url("latin", url, sizeof(url));
    opening_fails(url, ERR_CONFIG, "must have the encoding UTF8");
    support_postgres_run("DROP DATABASE latin WITH (FORCE)");
}

static const struct store_statement durable = {
    .name = "test_durable",
    .id = 300,
    .postgres = "SELECT current_setting('synchronous_commit') AS value,"
                " current_setting('application_name') AS name",
    .columns =
        (const struct store_column[]){{"value", STORE_TEXT, false}, {"name", STORE_TEXT, false}},
    .column_count = 2,
};

static enum err read_durable(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &durable);
    assert_true(store_step(&q));
    assert_true(slice_equal_text(store_get_text(&q, "value", ctx), "on"));
    assert_true(slice_equal_text(store_get_text(&q, "name", ctx), "freehold"));
    return store_finish(&q, NULL, why);
}

/* An answer means that the disk has it, whatever the server was configured to say. */
static void sessions_wait_for_the_disk(void **state)
{
    NEED_SERVER();
    char sql[128];
    struct arena arena;
    arena_init(&arena, 0);
    snprintf(sql, sizeof(sql), "ALTER DATABASE \"%s\" SET synchronous_commit = off", s.name);
    strange_once(sql);
    support_store_reopen(&s);
    sample_read(s.store, read_durable, &arena);
    sample_write(s.store, read_durable, &arena);
    arena_free(&arena);
}

static const struct store_statement planner = {
    .name = "test_planner",
    .id = 301,
    .postgres = "SELECT current_setting('enable_seqscan') AS scans, current_setting('jit') AS jit",
    .columns =
        (const struct store_column[]){{"scans", STORE_TEXT, false}, {"jit", STORE_TEXT, false}},
    .column_count = 2,
};

struct planned {
    struct arena arena;
    struct slice scans;
    struct slice jit;
};

static enum err read_planner(struct store_tx *tx, void *ctx, struct why *why)
{
    struct planned *p = ctx;
    struct store_query q;
    store_begin(&q, tx, &planner);
    assert_true(store_step(&q));
    p->scans = store_get_text(&q, "scans", &p->arena);
    p->jit = store_get_text(&q, "jit", &p->arena);
    return store_finish(&q, NULL, why);
}

/* Decision 0023. */
static void who_writes_reads_by_index(void **state)
{
    NEED_SERVER();
    struct planned p;
    arena_init(&p.arena, 0);
    sample_write(s.store, read_planner, &p);
    assert_true(slice_equal_text(p.scans, "off"));
    assert_true(slice_equal_text(p.jit, "off"));
    sample_read(s.store, read_planner, &p);
    assert_true(slice_equal_text(p.scans, "on"));
    assert_true(slice_equal_text(p.jit, "off"));
    arena_free(&p.arena);
}

struct opener {
    pthread_t thread;
    enum err result;
    struct why why;
};

static void *open_and_migrate(void *arg)
{
    struct opener *o = arg;
    struct store *store = NULL;
    o->result = store_open(&store, &s.config, &sample_catalog, &o->why);
    if (o->result == OK) {
        o->result = store_migrate(store, 4, &o->why);
    }
    store_close(store);
    return NULL;
}

static void programs_that_start_together_migrate_once(void **state)
{
    NEED_SERVER();
    struct opener openers[6] = {0};
    support_store_prepare(&s, &sample_catalog);
    s.config.writers = 2;
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(pthread_create(&openers[i].thread, NULL, open_and_migrate, &openers[i]),
                         0);
    }
    for (size_t i = 0; i < 6; i++) {
        pthread_join(openers[i].thread, NULL);
        if (openers[i].result != OK) {
            fail_msg("%s: %s", err_code(openers[i].result), openers[i].why.text);
        }
    }
    assert_int_equal(support_store_start(&s, NULL), OK);
    struct store_version version;
    assert_int_equal(store_version_read(s.store, &version, NULL), OK);
    assert_int_equal(version.applied, 4);
    support_store_close(&s);
}

/* ---- what the server says ---- */

struct raising {
    struct store_statement statement;
    int runs;
};

static enum err run_raising(struct store_tx *tx, void *ctx, struct why *why)
{
    struct raising *r = ctx;
    struct store_query q;
    r->runs++;
    store_begin(&q, tx, &r->statement);
    return store_finish(&q, NULL, why);
}

static void each_refusal_has_its_error(void **state)
{
    NEED_SERVER();
    static const struct {
        const char *sqlstate;
        enum err err;
        int runs;
    } cases[] = {
        {"23505", ERR_DB_CONSTRAINT, 1},
        {"23514", ERR_DB_CONSTRAINT, 1},
        {"53100", ERR_DISK_FULL, 1},
        {"53200", ERR_DB_UNAVAILABLE, 1},
        {"55P03", ERR_DB_BUSY, 1},
        {"57014", ERR_DB_BUSY, 1},
        {"42501", ERR_DB_UNAVAILABLE, 1},
        {"58030", ERR_IO, 1},
        {"XX001", ERR_CORRUPT, 1},
        {"42P01", ERR_DB, 1},
        {"P0001", ERR_DB, 1},
        {"57P01", ERR_DB_UNAVAILABLE, 3},
        {"25006", ERR_DB_UNAVAILABLE, 3},
        {"40001", ERR_DB_BUSY, 41},
        {"40P01", ERR_DB_BUSY, 41},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char sql[256];
        char name[32];
        snprintf(name, sizeof(name), "test_raise_%s", cases[i].sqlstate);
        snprintf(sql, sizeof(sql),
                 "DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = '%s',"
                 " DETAIL = 'secret detail', HINT = 'secret hint'; END $$",
                 cases[i].sqlstate);
        struct raising r = {
            .statement = {
                .name = name, .id = (uint16_t)(310 + i), .writes = true, .postgres = sql}};
        struct why why = {0};
        enum err e = store_write(s.store, run_raising, &r, &why);
        if (e != cases[i].err || r.runs != cases[i].runs) {
            fail_msg("%s: %s after %d runs: %s", cases[i].sqlstate, err_code(e), r.runs, why.text);
        }
        assert_null(strstr(why.text, "secret"));
        assert_null(strstr(why.text, "RAISE"));
    }
    add("still"); /* and the store goes on */
}

static const struct store_statement slow = {
    .name = "test_slow",
    .id = 302,
    .writes = true,
    .postgres = "SELECT pg_sleep(30)",
};

static enum err run_slow(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &slow);
    return store_finish(&q, NULL, why);
}

static void statements_and_locks_have_an_end(void **state)
{
    NEED_SERVER();
    store_close(s.store);
    s.config.statement_usec = 300000;
    s.config.busy_usec = 100000;
    assert_int_equal(support_store_start(&s, NULL), OK);
    struct why why = {0};
    assert_int_equal(store_write(s.store, run_slow, NULL, &why), ERR_DB_BUSY);
    assert_non_null(strstr(why.text, "statement timeout"));
    add("locked");
    PGconn *pq = stranger();
    strange(pq, "BEGIN; UPDATE counters SET value = 7 WHERE name = 'locked'");
    struct sample_counter c = {.name = "locked", .step = 1};
    assert_int_equal(store_write(s.store, sample_counter_add, &c, &why), ERR_DB_BUSY);
    assert_non_null(strstr(why.text, "lock timeout"));
    strange(pq, "ROLLBACK");
    PQfinish(pq);
    add("locked");
    assert_int_equal(sample_counter(s.store, "locked"), 2);
}

static enum err item_at(struct store_tx *tx, void *ctx, struct why *why)
{
    struct store_query q;
    store_begin(&q, tx, &sample_sql_item_add);
    store_bind_text(&q, "name", SLICE_LIT("old"));
    store_bind_null(&q, "payload");
    store_bind_null(&q, "raw");
    store_bind_null(&q, "digest");
    store_bind_null(&q, "owner");
    store_bind_u256(&q, "amount", U256_ZERO);
    store_bind_time(&q, "at", *(const int64_t *)ctx);
    store_bind_bool(&q, "done", false);
    store_bind_null(&q, "score");
    store_bind_null(&q, "parent");
    return store_finish(&q, NULL, why);
}

static void a_time_that_the_server_cannot_keep_is_an_error(void **state)
{
    NEED_SERVER();
    struct why why = {0};
    int64_t before_everything = INT64_MIN;
    assert_int_equal(store_write(s.store, item_at, &before_everything, &why), ERR_OVERFLOW);
    assert_string_equal(why.field, "at");
    int64_t before_the_calendar = INT64_MIN / 2;
    assert_int_equal(store_write(s.store, item_at, &before_the_calendar, &why), ERR_DB);
}

/* ---- TLS ---- */

static void make_certificate(const char *folder, const char *name, const char *subject)
{
    char key[128];
    char certificate[128];
    char alternative[64];
    snprintf(key, sizeof(key), "%s/%s.key", folder, name);
    snprintf(certificate, sizeof(certificate), "%s/%s.crt", folder, name);
    snprintf(alternative, sizeof(alternative), "subjectAltName=%s", subject);
    run_program((const char *const[]){"openssl",
                                      "req",
                                      "-x509",
                                      "-newkey",
                                      "ec",
                                      "-pkeyopt",
                                      "ec_paramgen_curve:prime256v1",
                                      "-nodes",
                                      "-days",
                                      "2",
                                      "-subj",
                                      "/CN=freehold test",
                                      "-addext",
                                      alternative,
                                      "-keyout",
                                      key,
                                      "-out",
                                      certificate,
                                      "-batch",
                                      NULL});
}

/* Puts a certificate where the server may read it, and tells the server. */
static void use_certificate(const char *folder, const char *name)
{
    char sql[256];
    struct stat owner;
    const char *cluster = getenv("TEST_POSTGRES_FOLDER");
    assert_int_equal(stat(cluster, &owner), 0);
    static const char *const ends[] = {"key", "crt"};
    for (size_t i = 0; i < 2; i++) {
        char from[160];
        char to[160];
        snprintf(from, sizeof(from), "%s/%s.%s", folder, name, ends[i]);
        snprintf(to, sizeof(to), "%s/server.%s", cluster, ends[i]);
        run_program((const char *const[]){"install", "-m", "600", from, to, NULL});
        assert_int_equal(chown(to, owner.st_uid, owner.st_gid), 0);
        snprintf(sql, sizeof(sql), "ALTER SYSTEM SET ssl_%s_file = '%s'", i == 0 ? "key" : "cert",
                 to);
        support_postgres_run(sql);
    }
    support_postgres_run("ALTER SYSTEM SET ssl = on");
    support_postgres_run("SELECT pg_reload_conf()");
}

static void connects(const char *folder, const char *root, const char *mode, bool good,
                     const char *sentence)
{
    struct store *store = NULL;
    struct why why = {0};
    char url[600];
    snprintf(url, sizeof(url), "%s?sslmode=%s&sslrootcert=%s/%s.crt", s.url, mode, folder, root);
    s.config.url = url;
    enum err e = OK;
    /* The server reads its settings again when it gets to it. */
    for (int i = 0; i < 100; i++) {
        why = (struct why){0};
        e = store_open(&store, &s.config, &sample_catalog, &why);
        store_close(store);
        store = NULL;
        bool as_expected =
            good ? e == OK : e == ERR_DB_UNAVAILABLE && strstr(why.text, sentence) != NULL;
        if (as_expected) {
            s.config.url = s.url;
            return;
        }
        clock_sleep_usec(50000);
    }
    fail_msg("%s %s: %s: %s", root, mode, err_code(e), why.text);
}

static void tls_is_verified(void **state)
{
    NEED_SERVER();
    connects(s.folder, "none", "require", false, "does not support SSL");
    make_certificate(s.folder, "right", "IP:127.0.0.1");
    make_certificate(s.folder, "elsewhere", "DNS:db.example");
    make_certificate(s.folder, "forged", "IP:127.0.0.1");
    use_certificate(s.folder, "right");
    connects(s.folder, "right", "verify-full", true, "");
    connects(s.folder, "forged", "verify-full", false, "certificate verify failed");
    use_certificate(s.folder, "elsewhere");
    connects(s.folder, "elsewhere", "verify-full", false, "does not match host name");
    connects(s.folder, "elsewhere", "verify-ca", true, "");
    support_postgres_run("ALTER SYSTEM SET ssl = off");
    support_postgres_run("SELECT pg_reload_conf()");
}

/* ---- a full disk ---- */

struct blobs {
    int64_t first;
    int64_t count;
    const struct store_statement *statement;
};

static enum err add_blobs(struct store_tx *tx, void *ctx, struct why *why)
{
    static uint8_t blob[1 << 16];
    const struct blobs *blobs = ctx;
    struct arena scratch;
    struct store_query q;
    arena_init(&scratch, 0);
    store_begin_rows(&q, tx, blobs->statement);
    for (int64_t i = 0; i < blobs->count; i++) {
        rand_bytes(blob, sizeof(blob)); /* nothing that could be pressed together */
        store_bind_text(&q, "name",
                        slice_format(&scratch, "blob %lld", (long long)(blobs->first + i)));
        store_bind_null(&q, "payload");
        store_bind_bytes(&q, "raw", slice_of(blob, sizeof(blob)));
        store_bind_null(&q, "digest");
        store_bind_null(&q, "owner");
        store_bind_u256(&q, "amount", U256_ZERO);
        store_bind_time(&q, "at", 0);
        store_bind_bool(&q, "done", true);
        store_bind_null(&q, "score");
        store_bind_null(&q, "parent");
        store_row(&q);
    }
    while (blobs->statement->column_count > 0 && store_step(&q)) {
        store_ignore(&q, "id");
        if (blobs->statement->column_count > 1) {
            store_ignore(&q, "name");
        }
    }
    enum err e = store_finish(&q, NULL, why);
    arena_free(&scratch);
    return e;
}

static int64_t count_blobs(void)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct slice rows = support_store_rows(&s, &arena, "SELECT count(*) FROM items");
    int64_t count = strtoll(slice_cstr(&arena, rows), NULL, 10);
    arena_free(&arena);
    return count;
}

/* In the middle of a COPY, of a set, of pipelined rows: what was acknowledged is there, the rest is
 * not, and when there is room again it goes on. */
static void live_on_a_full_disk(void)
{
    static const struct store_statement *const ways[] = {
        &sample_sql_items_load, &sample_sql_items_set, &sample_sql_item_add};
    struct blobs blobs = {.count = 16, .statement = &sample_sql_items_load};
    struct why why = {0};
    enum err e = OK;
    for (; e == OK; blobs.first += e == OK ? blobs.count : 0) {
        assert_true(blobs.first < 10000);
        e = store_write(s.store, add_blobs, &blobs, &why);
    }
    assert_int_equal(e, ERR_DISK_FULL);
    assert_non_null(strstr(why.text, "No space left on device"));
    for (size_t way = 0; way < 3; way++) {
        struct blobs more = {.first = 20000, .count = 100, .statement = ways[way]};
        assert_int_equal(store_write(s.store, add_blobs, &more, &why), ERR_DISK_FULL);
        assert_int_equal(count_blobs(), blobs.first);
    }
    assert_true(blobs.first > 0);
}

static void a_full_disk_is_survived(void **state)
{
    NEED_SERVER();
    char mount_point[80];
    char sql[256];
    struct stat owner;
    assert_int_equal(stat(getenv("TEST_POSTGRES_FOLDER"), &owner), 0);
    snprintf(mount_point, sizeof(mount_point), "%s/small", getenv("TEST_POSTGRES_FOLDER"));
    assert_int_equal(mkdir(mount_point, 0700), 0);
    if (mount("tmpfs", mount_point, "tmpfs", 0, "size=24m") != 0) {
        assert_int_equal(rmdir(mount_point), 0);
        skip(); /* needs root */
    }
    assert_int_equal(chown(mount_point, owner.st_uid, owner.st_gid), 0);
    snprintf(sql, sizeof(sql), "CREATE TABLESPACE small LOCATION '%s'", mount_point);
    support_postgres_run(sql);
    store_close(s.store);
    snprintf(sql, sizeof(sql), "ALTER DATABASE \"%s\" SET TABLESPACE small", s.name);
    support_postgres_run(sql);
    assert_int_equal(support_store_start(&s, NULL), OK);

    live_on_a_full_disk();
    int64_t before = count_blobs();
    assert_int_equal(mount("tmpfs", mount_point, "tmpfs", MS_REMOUNT, "size=96m"), 0);
    struct blobs more = {.first = 20000, .count = 100, .statement = &sample_sql_items_load};
    sample_write(s.store, add_blobs, &more);
    assert_int_equal(count_blobs(), before + 100);

    store_close(s.store);
    snprintf(sql, sizeof(sql), "ALTER DATABASE \"%s\" SET TABLESPACE pg_default", s.name);
    support_postgres_run(sql);
    support_postgres_run("DROP TABLESPACE small");
    assert_int_equal(umount(mount_point), 0);
    assert_int_equal(rmdir(mount_point), 0);
    assert_int_equal(support_store_start(&s, NULL), OK);
    assert_int_equal(count_blobs(), before + 100);
}

int main(void)
{
    setenv("TEST_DATABASE", "postgres", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_statement_of_the_program_has_its_types),
        WITH_STORE(urls_that_cannot_be_read_are_not_repeated),
        WITH_STORE(a_wrong_password_is_refused_and_not_shown),
        WITH_STORE(a_server_that_is_not_there_is_named),
        cmocka_unit_test(a_reader_makes_no_database),
        WITH_STORE(a_database_of_another_encoding_is_refused),
        WITH_STORE(sessions_wait_for_the_disk),
        WITH_STORE(who_writes_reads_by_index),
        cmocka_unit_test(programs_that_start_together_migrate_once),
        WITH_STORE(each_refusal_has_its_error),
        WITH_STORE(statements_and_locks_have_an_end),
        WITH_STORE(a_time_that_the_server_cannot_keep_is_an_error),
        WITH_STORE(tls_is_verified),
        WITH_STORE(a_full_disk_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
