/*
 * fixture.h: an installation with rows of every type, for copies and backups.
 *
 * The source is always SQLite, the target what the environment chooses, so that
 * TEST_DATABASE=postgres copies from one kind of database to the other.
 */
#ifndef UNIT_KERNEL_BACKUP_FIXTURE_H
#define UNIT_KERNEL_BACKUP_FIXTURE_H

#include "kernel/backup/backup_copy.h"
#include "unit/support.h"

#define FIXTURE_JOBS 3000

/* fixture_sqlite runs statements past a closed store. */
static inline void fixture_sqlite(const struct support_store *s, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(s->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s", message);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* fixture_source makes a SQLite installation and fills it, leaving it open. */
static inline void fixture_source(struct support_store *s)
{
    *s = (struct support_store){.catalog = &sql_catalog};
    snprintf(s->folder, sizeof(s->folder), "/tmp/freehold-store-XXXXXX");
    ASSERT(mkdtemp(s->folder) != NULL);
    snprintf(s->path, sizeof(s->path), "%s/freehold.db", s->folder);
    snprintf(s->url, sizeof(s->url), "sqlite:%s", s->path);
    s->config = (struct store_config){.url = s->url,
                                      .readers = 1,
                                      .writers = 1,
                                      .busy_usec = 2000000,
                                      .connect_usec = 5000000,
                                      .batch_max = 256,
                                      .synchronous = "normal"};
    struct why why = {0};
    if (support_store_start(s, &why) != OK) {
        fail_msg("%s", why.text);
    }
    support_store_migrate(s);
    store_close(s->store);
    fixture_sqlite(
        s,
        "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
        "INSERT INTO jobs (kind, key, payload, priority, state, attempts, lapses, created,"
        " scheduled, run_at, lease_token, finished, error)"
        " SELECT 'test.kind', 'key/' || i, '{\"b\": ' || i || '.50, \"a\": [1e2, \"\xc3\xa4\"]}',"
        "  i % 7 - 3, 3, 1, 0, 1795797783250000 + i, i, -i, i, 1795797783250001, NULL FROM n;"
        "DELETE FROM jobs WHERE id > 2995;"
        "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 700)"
        "INSERT INTO token_holders (chain_id, token, holder, balance)"
        " SELECT 31337, randomblob(20), randomblob(20),"
        "  substr('1157920892373161954235709850086879078532699846656405640394575840079131296399'"
        "   || '35', 1, 70) || printf('%08d', i) FROM n;"
        /* Text that sorts differently by bytes than by a language. */
        "INSERT INTO job_crons (name, slot, fired) VALUES ('Zebra', 1, 1), ('apple', 2, 2),"
        " ('\xc3\xa4pfel', 3, 3), ('zebra', 4, 4), ('', 5, 5), ('it''s \\n', 6, 6);"
        "INSERT INTO http_idempotency (key, route, principal, body_hash, state, boot, started_at,"
        " status, content_type, location, body) VALUES"
        " ('k', 'r', 'p', randomblob(32), 2, 'b', 7, 200, NULL, NULL, zeroblob(0)),"
        " ('k2', 'r', 'p', randomblob(32), 2, 'b', 7, 200, 't', 'l', randomblob(3000000));"
        "INSERT INTO relay_intents (intent_id, intent_key, content_hash, chain_id, wallet, value,"
        " data, role, purpose, gas_limit, state, final, attempts, try_at, created_at, updated_at,"
        " nonce) VALUES ('i1', 'k1', randomblob(32), 1, randomblob(20),"
        " printf('%078d', 0), x'', 'r', 'p', 1, 4, 1, 1, 1, 1, 1, 1);"
        "INSERT INTO relay_attempts (intent_id, attempt, transaction_hash, raw, fee_max,"
        " fee_priority, gas_limit, filler, created_at) VALUES ('i1', 1, randomblob(32),"
        " x'00ff', printf('%078d', 5), printf('%078d', 1), 21000, 0, 9);"
        "INSERT INTO undo_log (chain_id, block_number, statement) VALUES (31337, 5,"
        " 'UPDATE \"assets\" SET \"status\"=''registered'',\"token_address\"=NULL,"
        "\"updated_at\"=1795797783250000 WHERE \"asset_id\"=''a\\b''');");
    if (support_store_start(s, &why) != OK) {
        fail_msg("%s", why.text);
    }
}

#endif
