#include "unit/kernel/audit/trail.h"

#define ROWS 600 /* more than two pages */

/* Leaves a right chain of ROWS rows, without the triggers that guard it. */
static int open_defenceless(void **state)
{
    trail_open(state);
    for (int i = 0; i < ROWS; i += 100) {
        trail_write(i + 1, 100);
        assert_int_equal(trail_seal(), 100);
    }
    assert_false(trail_refused(
        support_pick("DROP TRIGGER audit_log_stay", "DROP TRIGGER audit_log_stay ON audit_log")));
    assert_false(trail_refused(
        support_pick("DROP TRIGGER audit_log_keep", "DROP TRIGGER audit_log_keep ON audit_log")));
    return 0;
}

static void tamper(const char *sql)
{
    if (trail_refused(sql)) {
        fail_msg("%s", sql);
    }
}

/* Copies a row in front of another, and moves that and all after it by one. */
#define INSERT_ROW                                                                                 \
    "INSERT INTO audit_log SELECT 'au_0', created_at, actor_kind, 'mallory', action, subject, "    \
    "outcome, details, request_id, job_id, transaction_id, 300, hash FROM audit_log WHERE seq = "  \
    "301 AND id <> 'au_0'"

struct attack {
    const char *sql[3];
    enum audit_finding found;
    uint64_t seq;
    uint64_t other_seq;
};

static const struct attack attacks[] = {
    {{"UPDATE audit_log SET actor = 'bob' WHERE seq = 300"}, AUDIT_CHANGED, 300, 0},
    {{"UPDATE audit_log SET details = '{\"z\": 300.51}' WHERE seq = 300"}, AUDIT_CHANGED, 300, 0},
    {{"UPDATE audit_log SET subject = 'x' WHERE seq = 1"}, AUDIT_CHANGED, 1, 0},
    {{"UPDATE audit_log SET action = 'x' WHERE seq = 600"}, AUDIT_CHANGED, 600, 0},
    {{"UPDATE audit_log SET job_id = NULL WHERE seq = 256"}, AUDIT_CHANGED, 256, 0},
    {{"UPDATE audit_log SET request_id = 'req_2' WHERE seq = 257"}, AUDIT_CHANGED, 257, 0},
    {{"DELETE FROM audit_log WHERE seq = 300"}, AUDIT_MISSING, 300, 0},
    {{"DELETE FROM audit_log WHERE seq = 1"}, AUDIT_MISSING, 1, 0},
    {{"DELETE FROM audit_log WHERE seq BETWEEN 200 AND 500"}, AUDIT_MISSING, 200, 0},
    {{"DELETE FROM audit_log WHERE seq > 550"}, AUDIT_TRUNCATED, 551, 0},
    {{"DELETE FROM audit_log WHERE seq IS NOT NULL"}, AUDIT_TRUNCATED, 1, 0},
    /* Two rows change places. */
    {{"UPDATE audit_log SET seq = 1000 WHERE seq = 300",
      "UPDATE audit_log SET seq = 300 WHERE seq = 580",
      "UPDATE audit_log SET seq = 580 WHERE seq = 1000"},
     AUDIT_REORDERED,
     300,
     580},
    {{"UPDATE audit_log SET seq = 1000 WHERE seq = 300",
      "UPDATE audit_log SET seq = 300 WHERE seq = 301",
      "UPDATE audit_log SET seq = 301 WHERE seq = 1000"},
     AUDIT_REORDERED,
     300,
     301},
    /* A row of somebody else gets between. */
    {{"UPDATE audit_log SET seq = seq + 1 WHERE seq >= 300", INSERT_ROW},
     AUDIT_REORDERED,
     300,
     301},
    {{"INSERT INTO audit_log SELECT 'au_~', created_at, actor_kind, actor, action, subject, "
      "outcome, "
      "details, request_id, job_id, transaction_id, seq, hash FROM audit_log WHERE seq = 300"},
     AUDIT_REPEATED,
     300,
     0},
    {{"INSERT INTO audit_log SELECT 'au_0', created_at, actor_kind, actor, action, subject, "
      "outcome, "
      "details, request_id, job_id, transaction_id, seq, hash FROM audit_log WHERE seq = 300"},
     AUDIT_REPEATED,
     300,
     300},
    {{"INSERT INTO audit_log SELECT 'au_0', created_at, actor_kind, actor, action, subject, "
      "outcome, "
      "details, request_id, job_id, transaction_id, 601, hash FROM audit_log WHERE seq = 300"},
     AUDIT_APPENDED,
     601,
     0},
    {{"UPDATE audit_head SET seq = 601"}, AUDIT_TRUNCATED, 601, 0},
    {{"UPDATE audit_head SET hash = (SELECT hash FROM audit_log WHERE seq = 5)"},
     AUDIT_REWRITTEN,
     600,
     0},
    /* The beginning is cut off, the anchor put where the rest still fits. */
    {{"UPDATE audit_head SET anchor_seq = 10, anchor_hash = (SELECT hash FROM audit_log WHERE seq "
      "= "
      "10)",
      "DELETE FROM audit_log WHERE seq <= 10"},
     AUDIT_UNANCHORED,
     10,
     0},
};

static void expect_found(const struct attack *attack)
{
    assert_int_equal(trail_verify(NULL).found, AUDIT_SOUND);
    for (size_t i = 0; i < 3 && attack->sql[i] != NULL; i++) {
        tamper(attack->sql[i]);
    }
    struct audit_report r = trail_verify(NULL);
    if (r.found != attack->found || r.seq != attack->seq ||
        (attack->other_seq != 0 && r.other_seq != attack->other_seq)) {
        fail_msg("%s: %s at %llu, %llu", attack->sql[0], audit_finding_name(r.found),
                 (unsigned long long)r.seq, (unsigned long long)r.other_seq);
    }
}

static void test_finds_every_attack(void **state)
{
    (void)state;
    tamper("CREATE TABLE kept_log AS SELECT * FROM audit_log");
    tamper("CREATE TABLE kept_head AS SELECT * FROM audit_head");
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        expect_found(&attacks[i]);
        tamper("DELETE FROM audit_log");
        tamper("DELETE FROM audit_head");
        tamper("INSERT INTO audit_log SELECT * FROM kept_log");
        tamper("INSERT INTO audit_head SELECT * FROM kept_head");
    }
}

/* The tail and the head that fits it: only a witness can tell. */
static void test_a_witness_finds_a_cut_tail(void **state)
{
    (void)state;
    struct audit_place kept = trail_head();
    assert_int_equal(kept.seq, ROWS);
    assert_int_equal(trail_verify(&kept).found, AUDIT_SOUND);
    tamper("DELETE FROM audit_log WHERE seq > 590");
    tamper("UPDATE audit_head SET seq = 590, hash = (SELECT hash FROM audit_log WHERE seq = 590)");
    assert_int_equal(trail_verify(NULL).found, AUDIT_SOUND);
    struct audit_report r = trail_verify(&kept);
    assert_int_equal(r.found, AUDIT_TRUNCATED);
    assert_int_equal(r.seq, 591);
}

/* All hashes computed anew, as by one who has our program. */
static void test_a_witness_finds_a_chain_made_anew(void **state)
{
    (void)state;
    struct audit_place early = {0};
    struct audit_place kept = trail_head();
    tamper("UPDATE audit_log SET actor = 'bob' WHERE seq = 300");
    tamper("UPDATE audit_log SET seq = NULL, hash = NULL");
    tamper(support_pick("UPDATE audit_head SET seq = 0, hash = zeroblob(32)",
                        "UPDATE audit_head SET seq = 0, hash = anchor_hash"));
    assert_int_equal(trail_seal(), ROWS);
    assert_int_equal(trail_verify(NULL).found, AUDIT_SOUND);
    struct audit_report r = trail_verify(&kept);
    assert_int_equal(r.found, AUDIT_REWRITTEN);
    assert_int_equal(r.seq, ROWS);
    assert_int_equal(trail_verify(&early).found, AUDIT_SOUND);
}

static void test_says_what_waits(void **state)
{
    (void)state;
    trail_write(1000, 7);
    struct audit_report r = trail_verify(NULL);
    assert_int_equal(r.found, AUDIT_SOUND);
    assert_int_equal(r.unsealed, 7);
    assert_int_equal(r.rows, ROWS);
}

struct recent {
    uint64_t rows_max;
    struct audit_report report;
};

static enum err verify_recent(struct store_tx *tx, void *ctx, struct why *why)
{
    struct recent *r = ctx;
    return audit_verify_recent(tx, r->rows_max, &r->report, why);
}

static struct audit_report recent(uint64_t rows_max)
{
    struct recent r = {.rows_max = rows_max};
    assert_int_equal(store_read(support.store, verify_recent, &r, NULL), OK);
    return r.report;
}

/* What lies before the rows that are asked for is believed, what lies in them is not. */
static void test_looks_at_the_end_alone(void **state)
{
    (void)state;
    assert_int_equal(recent(100).found, AUDIT_SOUND);
    assert_int_equal(recent(100).rows, 100);
    assert_int_equal(recent(ROWS).rows, ROWS);
    assert_int_equal(recent(10 * ROWS).rows, ROWS);
    tamper("UPDATE audit_log SET actor = 'bob' WHERE seq = 300");
    assert_int_equal(recent(300).found, AUDIT_SOUND); /* 301 to 600 */
    struct audit_report r = recent(301);
    assert_int_equal(r.found, AUDIT_CHANGED);
    assert_int_equal(r.seq, 300);
    tamper("DELETE FROM audit_log WHERE seq = 400");
    assert_int_equal(recent(200).found, AUDIT_MISSING); /* the row that is to be believed */
    assert_int_equal(recent(200).seq, 400);
    tamper("DELETE FROM audit_log WHERE seq > 550");
    assert_int_equal(recent(100).found, AUDIT_TRUNCATED);
    assert_int_equal(recent(100).seq, 551);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_finds_every_attack, open_defenceless, trail_close),
        cmocka_unit_test_setup_teardown(test_a_witness_finds_a_cut_tail, open_defenceless,
                                        trail_close),
        cmocka_unit_test_setup_teardown(test_a_witness_finds_a_chain_made_anew, open_defenceless,
                                        trail_close),
        cmocka_unit_test_setup_teardown(test_says_what_waits, open_defenceless, trail_close),
        cmocka_unit_test_setup_teardown(test_looks_at_the_end_alone, open_defenceless, trail_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
