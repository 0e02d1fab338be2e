#include <openssl/sha.h>

#include "unit/kernel/audit/trail.h"

#include "kernel/base/hex.h"

static struct slice rows_of(struct arena *arena, const char *sql)
{
    return support_store_rows(&support, arena, sql);
}

static void test_row_comes_and_goes_with_its_transaction(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct trail_rows rows = {.first = 1, .count = 3, .fail = true};
    assert_int_equal(store_write(support.store, trail_write_tx, &rows, NULL), ERR_CONFLICT);
    assert_true(slice_equal_text(rows_of(&arena, "SELECT count(*) FROM audit_log"), "0|\n"));
    rows.fail = false;
    assert_int_equal(store_write(support.store, trail_write_tx, &rows, NULL), OK);
    assert_true(slice_equal_text(
        rows_of(&arena, "SELECT actor_kind, actor, action, subject, outcome, request_id, job_id, "
                        "transaction_id, seq FROM audit_log ORDER BY subject"),
        "2|alice|test.paid|payment/1|1|null|1|null|null|\n"
        "2|alice|test.paid|payment/2|1|req_1|2|null|null|\n"
        "2|alice|test.paid|payment/3|1|null|null|null|null|\n"));
    arena_free(&arena);
}

static void test_rows_stay_as_they_were_written(void **state)
{
    (void)state;
    trail_write(1, 2);
    static const char *const unsealed[] = {
        "UPDATE audit_log SET actor = 'bob'",
        "UPDATE audit_log SET details = '{}'",
        "UPDATE audit_log SET transaction_id = 'x'",
        "DELETE FROM audit_log",
    };
    for (size_t i = 0; i < sizeof(unsealed) / sizeof(unsealed[0]); i++) {
        assert_true(trail_refused(unsealed[i]));
    }
    assert_int_equal(trail_seal(), 2);
    static const char *const sealed[] = {
        "UPDATE audit_log SET actor = 'bob' WHERE seq = 1",
        "UPDATE audit_log SET seq = 7 WHERE seq = 2",
        "UPDATE audit_log SET seq = NULL, hash = NULL WHERE seq = 2",
        "UPDATE audit_log SET created_at = created_at WHERE seq = 2",
        "DELETE FROM audit_log WHERE seq = 1",
    };
    for (size_t i = 0; i < sizeof(sealed) / sizeof(sealed[0]); i++) {
        assert_true(trail_refused(sealed[i]));
    }
    assert_int_equal(trail_verify(NULL).found, AUDIT_SOUND);
}

/* The hash as the header describes it, written down by hand and computed by OpenSSL. */
static void test_hash_is_the_described_one(void **state)
{
    (void)state;
    struct arena arena;
    char text[1024];
    unsigned char bytes[1200] = {0};
    unsigned char digest[32];
    char hex[80];
    arena_init(&arena, 0);
    trail_write(4, 1);
    assert_int_equal(trail_seal(), 1);
    struct slice row = rows_of(
        &arena, support_pick("SELECT id, created_at FROM audit_log",
                             "SELECT id, (extract(epoch FROM created_at) * 1000000)::bigint "
                             "FROM audit_log"));
    struct slice id;
    struct slice created;
    struct slice rest;
    assert_true(slice_cut(row, '|', &id, &rest));
    assert_true(slice_cut(rest, '|', &created, &rest));
    int len = snprintf(text, sizeof(text),
                       "{\"action\":\"test.paid\",\"actor\":\"alice\",\"actorKind\":2,"
                       "\"createdAt\":%.*s,\"details\":{\"a\":\"\xc3\xbc\",\"z\":4.5},"
                       "\"id\":\"%.*s\",\"jobId\":1,\"outcome\":1,\"requestId\":\"req_1\","
                       "\"seq\":1,\"subject\":\"payment/4\",\"transactionId\":null}",
                       SLICE_ARG(created), SLICE_ARG(id));
    memcpy(bytes + 32, text, (size_t)len);
    SHA256(bytes, 32 + (size_t)len, digest);
    struct audit_place head = trail_head();
    assert_int_equal(head.seq, 1);
    assert_memory_equal(head.hash.bytes, digest, 32);
    hex_encode_to(slice_of(digest, 32), hex);
    struct slice stored =
        rows_of(&arena, support_pick("SELECT '0x' || lower(hex(hash)) FROM audit_log",
                                     "SELECT '0x' || encode(hash, 'hex') FROM "
                                     "audit_log"));
    assert_true(slice_starts(stored, slice_text(hex)));
    arena_free(&arena);
}

static void test_places_are_read_as_they_are_written(void **state)
{
    (void)state;
    struct audit_place place = {.seq = 18446744073709551615ULL};
    memset(place.hash.bytes, 0xab, 32);
    char text[AUDIT_PLACE_TEXT_MAX];
    audit_place_format(&place, text);
    assert_string_equal(text, "18446744073709551615:0xabababababababababababababababababababababab"
                              "abababababababababab");
    struct audit_place read = {0};
    assert_int_equal(audit_place_parse(slice_text(text), &read), OK);
    assert_int_equal(read.seq, place.seq);
    assert_memory_equal(read.hash.bytes, place.hash.bytes, 32);
    static const char *const wrong[] = {"", "1", "1:", ":0x00", "x:0x00", "1:0x00", "-1:0xab"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(audit_place_parse(slice_text(wrong[i]), &read), ERR_INVALID_FIELD);
    }
    assert_int_equal(read.seq, place.seq);
}

static void refer_twice(void)
{
    struct arena arena;
    struct buf out;
    arena_init(&arena, 0);
    buf_init(&out, &arena, 256);
    const struct audit_table tables[] = {audit_own_table(), audit_own_table()};
    audit_reference(tables, 2, &out);
}

static void test_reference_lists_actions_once(void **state)
{
    (void)state;
    struct arena arena;
    struct buf out;
    arena_init(&arena, 0);
    buf_init(&out, &arena, 256);
    const struct audit_table tables[] = {audit_own_table(), {&trail_paid, 1}};
    audit_reference(tables, 2, &out);
    assert_true(slice_ends(buf_slice(&out), SLICE_LIT("| `test.paid` | A test paid. |\n")));
    arena_free(&arena);
    assert_true(test_aborts(refer_twice));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_row_comes_and_goes_with_its_transaction, trail_open,
                                        trail_close),
        cmocka_unit_test_setup_teardown(test_rows_stay_as_they_were_written, trail_open,
                                        trail_close),
        cmocka_unit_test_setup_teardown(test_hash_is_the_described_one, trail_open, trail_close),
        cmocka_unit_test(test_places_are_read_as_they_are_written),
        cmocka_unit_test(test_reference_lists_actions_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
