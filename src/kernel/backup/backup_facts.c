#include "kernel/backup/backup_facts.h"

#include "kernel/backup/backup_sql.h"
#include "kernel/crypto/hash.h"

static void write_hash(struct json_out *j, struct store_query *q, const char *column)
{
    struct hash hash;
    store_get_fixed(q, column, hash.bytes, HASH_BYTES);
    json_hex(j, hash_slice(&hash));
}

enum err backup_facts(struct store_tx *tx, struct buf *out, struct why *why)
{
    struct store_query q;
    struct json_out j;
    json_out_init(&j, out);
    json_begin_object(&j);
    json_key(&j, "chains");
    json_begin_array(&j);
    store_begin(&q, tx, &backup_sql_chains);
    while (store_step(&q)) {
        json_begin_object(&j);
        json_key(&j, "chainId");
        json_i64(&j, store_get_i64(&q, "chain_id"));
        json_key(&j, "block");
        json_i64(&j, store_get_i64(&q, "block_number"));
        json_key(&j, "hash");
        write_hash(&j, &q, "block_hash");
        json_end_object(&j);
    }
    enum err e = store_finish(&q, NULL, why);
    json_end_array(&j);
    if (e != OK) {
        return e;
    }
    json_key(&j, "audit");
    json_begin_object(&j);
    store_begin(&q, tx, &backup_sql_audit_head);
    if (store_step(&q)) {
        json_key(&j, "seq");
        json_i64(&j, store_get_i64(&q, "seq"));
        json_key(&j, "hash");
        write_hash(&j, &q, "hash");
    }
    e = store_finish(&q, NULL, why);
    json_end_object(&j);
    json_end_object(&j);
    return e;
}
