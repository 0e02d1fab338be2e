#include "unit/kernel/jobs/fixture.h"

#include "kernel/base/metric.h"

/* ---- keys, ends, operators ---- */

static void key_is_unique_while_it_lives(void **state)
{
    (void)state;
    struct job_new job = {.kind = "gated", .key = S("only/one"), .payload = S("{\"n\":1}")};
    int64_t id = enqueue_job(job, 1);
    assert_int_equal(enqueue_job(job, 1), id);
    struct jobs *jobs = start(&quick);
    await_runs(1);
    assert_int_equal(enqueue_job(job, 1), id); /* running: still no second */
    atomic_store(&env.gate, true);
    await(JOB_DONE, 1);
    int64_t next = enqueue_job(job, 1);
    assert_true(next > id);
    await(JOB_DONE, 2);
    end(jobs);
    assert_int_equal(atomic_load(&env.runs), 2);
    struct job_new long_key = job;
    char text[JOBS_KEY_MAX + 1];
    memset(text, 'k', sizeof(text));
    long_key.key = slice_of(text, sizeof(text));
    struct call c = {.what = ENQUEUE, .job = long_key, .repeat = 1};
    assert_int_equal(store_write(fixture.store, call_fn, &c, NULL), ERR_LIMIT);
}

static enum err refuse_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    (void)ctx;
    struct job_new job = {.kind = "nothing"};
    enum err e = jobs_enqueue(tx, &job, NULL, why);
    return e == OK ? ERR_CONFLICT : e;
}

static void job_exists_only_with_its_cause(void **state)
{
    (void)state;
    assert_int_equal(store_write(fixture.store, refuse_fn, NULL, NULL), ERR_CONFLICT);
    assert_int_equal(count_in(JOB_QUEUED), 0);
}

/* One row of the audit log for each, written with its death. */
static void assert_audited(int64_t id, const char *details)
{
    struct arena arena;
    char sql[256];
    arena_init(&arena, 0);
    snprintf(sql, sizeof(sql),
             "SELECT action, actor, outcome, details FROM audit_log WHERE job_id = %lld "
             "AND subject = 'job/%lld'",
             (long long)id, (long long)id);
    struct slice rows = support_store_rows(&fixture, &arena, sql);
    assert_true(slice_equal(rows, slice_format(&arena, "jobs.died|jobs|3|%s|\n", details)));
    arena_free(&arena);
}

static void dead_jobs_keep_their_reason_and_are_replayed(void **state)
{
    (void)state;
    int64_t never = enqueue("refusing");
    int64_t later = enqueue("failing");
    struct jobs *jobs = start(&quick);
    await(JOB_DEAD, 2);
    struct listing l = list(JOB_DEAD);
    struct job_row row = find_row(&l, never);
    assert_int_equal(row.attempts, 1);
    assert_true(slice_equal_text(row.error, "invalid_field: This will never work."));
    row = find_row(&l, later);
    assert_int_equal(row.attempts, 3);
    assert_true(slice_equal_text(row.error, "upstream: Not yet."));
    arena_free(&l.arena);
    assert_audited(
        never,
        support_pick("{\"kind\":\"refusing\",\"attempt\":1,\"code\":\"invalid_field\"}",
                     "{\"code\": \"invalid_field\", \"kind\": \"refusing\", \"attempt\": 1}"));
    assert_audited(later,
                   support_pick("{\"kind\":\"failing\",\"attempt\":3,\"code\":\"upstream\"}",
                                "{\"code\": \"upstream\", \"kind\": \"failing\", \"attempt\": 3}"));

    int64_t count = 0;
    assert_int_equal(replay(999, &count), ERR_NOT_FOUND);
    atomic_store(&env.gate, true);
    assert_int_equal(replay(later, &count), OK);
    assert_int_equal(count, 1);
    await(JOB_DONE, 1);
    assert_int_equal(replay(later, &count), ERR_CONFLICT);
    assert_int_equal(replay(0, &count), OK);
    assert_int_equal(count, 1);
    await(JOB_DEAD, 1);
    end(jobs);
}

static void replay_respects_keys(void **state)
{
    (void)state;
    struct job_new job = {.kind = "refusing", .key = S("k")};
    struct jobs *jobs = start(&quick);
    for (int i = 1; i <= 3; i++) {
        enqueue_job(job, 1);
        await(JOB_DEAD, i);
    }
    end(jobs);
    int64_t count = 0;
    assert_int_equal(replay(0, &count), OK);
    assert_int_equal(count, 1); /* three with one key: one may live */
    assert_int_equal(count_in(JOB_QUEUED), 1);
    assert_int_equal(count_in(JOB_DEAD), 2);
    struct listing l = list(JOB_DEAD);
    assert_int_equal(replay(l.rows[0].id, &count), ERR_CONFLICT);
    arena_free(&l.arena);
}

static void replay_of_many_pages(void **state)
{
    (void)state;
    enum { JOBS = 1203 };
    enqueue_job((struct job_new){.kind = "refusing"}, JOBS);
    struct jobs *jobs = start(&quick);
    await(JOB_DEAD, JOBS);
    end(jobs);
    int64_t count = 0;
    assert_int_equal(replay(0, &count), OK);
    assert_int_equal(count, JOBS);
    assert_int_equal(count_in(JOB_QUEUED), JOBS);
}

static void cancelling_is_a_request_when_it_runs(void **state)
{
    (void)state;
    int64_t id = enqueue("nothing");
    assert_int_equal(cancel(id), OK);
    assert_int_equal(cancel(id), ERR_CONFLICT);
    assert_int_equal(cancel(id + 1), ERR_NOT_FOUND);
    struct jobs *jobs = start(&quick);
    int64_t gated = enqueue("gated");
    await_runs(1);
    assert_int_equal(cancel(gated), OK); /* a request, that this handler does not look at */
    atomic_store(&env.gate, true);
    await(JOB_DONE, 1);
    end(jobs);
    assert_int_equal(count_in(JOB_CANCELLED), 1);
    assert_int_equal(atomic_load(&env.runs), 1);
}

static void unknown_kind_waits_for_a_process_that_knows_it(void **state)
{
    (void)state;
    int64_t id = enqueue("nobody.knows");
    struct jobs *jobs = start(&quick);
    enqueue("nothing");
    await(JOB_DONE, 1);
    await(JOB_RUNNING, 0);
    end(jobs);
    struct listing l = list(JOB_QUEUED);
    struct job_row row = find_row(&l, id);
    assert_int_equal(row.attempts, 1);
    assert_true(slice_starts(row.error, S("locked: ")));
    assert_true(row.run_usec > clock_wall_usec());
    arena_free(&l.arena);
}

static void garbage_payload_is_dead_at_once(void **state)
{
    (void)state;
    if (support_on_postgres()) {
        skip(); /* JSONB holds no garbage */
    }
    int64_t id = enqueue("nothing");
    raw_run("UPDATE jobs SET payload = '{\"n\":'");
    struct jobs *jobs = start(&quick);
    await(JOB_DEAD, 1);
    end(jobs);
    struct listing l = list(JOB_DEAD);
    assert_true(slice_starts(find_row(&l, id).error, S("invalid_json: ")));
    arena_free(&l.arena);
    assert_int_equal(atomic_load(&env.runs), 0);
}

static void garbage_result_is_dead_at_once(void **state)
{
    (void)state;
    enqueue_job((struct job_new){.kind = "garbage"}, 2);
    struct jobs *jobs = start(&quick);
    await(JOB_DEAD, 2);
    end(jobs);
    struct listing l = list(JOB_DEAD);
    for (size_t i = 0; i < 2; i++) {
        assert_true(slice_starts(l.rows[i].error, S("internal: The handler answered ")));
        assert_int_equal(l.rows[i].attempts, 1);
    }
    arena_free(&l.arena);
}

static void lists_are_newest_first(void **state)
{
    (void)state;
    int64_t first = enqueue("nothing");
    int64_t second = enqueue_job(
        (struct job_new){.kind = "effect", .key = S("x/1"), .payload = S("{\"a\":2}")}, 1);
    assert_int_equal(cancel(first), OK);
    struct listing l = list((enum job_state)0);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.rows[0].id, second);
    assert_true(slice_equal_text(l.rows[0].kind, "effect"));
    assert_true(slice_equal_text(l.rows[0].key, "x/1"));
    assert_int_equal(l.rows[0].state, JOB_QUEUED);
    assert_int_equal(l.rows[0].error.len, 0);
    assert_int_equal(l.rows[1].state, JOB_CANCELLED);
    assert_int_equal(l.rows[1].key.len, 0);
    arena_free(&l.arena);
}

/* ---- counters ---- */

static int64_t metric_named(const char *name)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct buf out;
    buf_init(&out, &arena, 4096);
    metric_render(&out);
    struct slice rest = buf_slice(&out);
    struct slice line;
    int64_t value = -1;
    while (rest.len > 0) {
        slice_cut(rest, '\n', &line, &rest);
        struct slice key;
        struct slice number;
        if (slice_cut(line, ' ', &key, &number) && slice_equal_text(key, name)) {
            assert_int_equal(slice_parse_i64(number, &value), OK);
        }
    }
    arena_free(&arena);
    assert_true(value >= 0);
    return value;
}

static void counters_tell_what_happened(void **state)
{
    (void)state;
    static const char *const names[] = {"freehold_jobs_done_total", "freehold_jobs_failed_total",
                                        "freehold_jobs_dead_total",
                                        "freehold_jobs_lease_lost_total"};
    static const int64_t want[] = {30, 3 + 1, 2, 0};
    int64_t before[4];
    struct jobs *jobs = start(&calm);
    for (size_t i = 0; i < 4; i++) {
        before[i] = metric_named(names[i]);
    }
    enqueue_job((struct job_new){.kind = "effect"}, 20);
    enqueue_job((struct job_new){.kind = "nothing"}, 10);
    enqueue("failing");
    enqueue("refusing");
    await(JOB_DONE, 30);
    await(JOB_DEAD, 2);
    end(jobs);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(metric_named(names[i]) - before[i], want[i]);
    }
}

/* ---- the manual ---- */

static void reference_lists_kinds_and_schedules(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct buf out;
    buf_init(&out, &arena, 1024);
    jobs_reference(&ticking, 1, &out);
    char *text = slice_cstr(&arena, buf_slice(&out));
    assert_non_null(strstr(text, "| `refusing` | `test` | 5 | fixed 10 ms | 5 s | Test. |\n"));
    assert_non_null(strstr(text, "| `test.tick` | `nothing` | every 100 ms |  | Test. |\n"));
    assert_non_null(strstr(text, "| `jobs.sweep` | `maintenance` | of the queue |  | 1 min |"));
    assert_non_null(strstr(text, "| `maintenance` |  |  | 3 | fixed 10 s |"));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(key_is_unique_while_it_lives),
        TEST(job_exists_only_with_its_cause),
        TEST(dead_jobs_keep_their_reason_and_are_replayed),
        TEST(replay_respects_keys),
        TEST(replay_of_many_pages),
        TEST(cancelling_is_a_request_when_it_runs),
        TEST(unknown_kind_waits_for_a_process_that_knows_it),
        TEST(garbage_payload_is_dead_at_once),
        TEST(garbage_result_is_dead_at_once),
        TEST(lists_are_newest_first),
        TEST(counters_tell_what_happened),
        cmocka_unit_test(reference_lists_kinds_and_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
