#include "kernel/jobs/jobs_admin.h"

#include "unit/kernel/jobs/fixture.h"

static enum err retry_now(int64_t id)
{
    struct call c = {.what = RETRY, .id = id};
    return store_write(fixture.store, call_fn, &c, NULL);
}

struct getting {
    struct arena *arena;
    int64_t id;
    struct job_row row;
};

static enum err get_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct getting *g = ctx;
    return jobs_get(tx, g->arena, g->id, &g->row, why);
}

static struct job_row get(struct arena *arena, int64_t id)
{
    struct getting g = {.arena = arena, .id = id};
    assert_int_equal(store_read(fixture.store, get_fn, &g, NULL), OK);
    return g.row;
}

/* ---- cancelling what runs ---- */

static void a_running_job_ends_when_it_is_told_to(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct jobs *jobs = start(&quick);
    int64_t id = enqueue("patient");
    await_runs(1);
    struct job_row row = get(&arena, id);
    for (int i = 0; i < 2000 && !row.has_progress; i++) {
        clock_sleep_usec(5 * MSEC); /* written with the next renewal */
        row = get(&arena, id);
    }
    assert_true(row.has_progress);
    assert_true(row.progress_done > 0);
    assert_int_equal(row.progress_total, 100000);
    assert_true(slice_equal_text(row.progress_note, "turns"));
    struct call c = {.what = CANCEL, .id = id};
    assert_int_equal(store_write(fixture.store, call_fn, &c, NULL), OK);
    assert_true(c.running);
    await(JOB_CANCELLED, 1);
    end(jobs);
    row = get(&arena, id);
    assert_int_equal(row.attempts, 1);
    assert_true(slice_equal_text(row.error, "cancelled: Told to."));
    assert_int_equal(cancel(id), ERR_CONFLICT);
    assert_int_equal(atomic_load(&env.runs), 1);
    arena_free(&arena);
}

static void a_deaf_job_is_not_tried_again(void **state)
{
    (void)state;
    struct jobs *jobs = start(&quick);
    int64_t id = enqueue("deaf");
    await_runs(1);
    assert_int_equal(cancel(id), OK);
    atomic_store(&env.gate, true);
    await(JOB_CANCELLED, 1);
    end(jobs);
    assert_int_equal(atomic_load(&env.runs), 1);
}

static void heartbeat_tells_of_a_cancel(void **state)
{
    (void)state;
    struct jobs *jobs = start(&quick);
    int64_t id = enqueue("heartbeats");
    await_runs(1);
    assert_int_equal(cancel(id), OK);
    await(JOB_CANCELLED, 1);
    end(jobs);
    assert_int_equal(atomic_load(&env.effects), 0);
}

/* Its process died after it was asked: whoever takes the lease over ends it. */
static void a_cancel_survives_a_crash(void **state)
{
    (void)state;
    enqueue("effect");
    raw_run(
        support_pick("UPDATE jobs SET state = 2, attempts = 1, lease_token = 1, cancelling = 1, "
                     "lease_owner = 'gone', lease_until = run_at",
                     "UPDATE jobs SET state = 2, attempts = 1, lease_token = 1, cancelling = "
                     "true, lease_owner = 'gone', lease_until = run_at"));
    struct jobs *jobs = start(&quick);
    await(JOB_CANCELLED, 1);
    end(jobs);
    assert_int_equal(atomic_load(&env.runs), 0);
}

/* ---- running now, pages, filters ---- */

static void a_delayed_job_can_be_run_now(void **state)
{
    (void)state;
    struct jobs *jobs = start(&quick);
    int64_t id = enqueue_job((struct job_new){.kind = "nothing", .delay_usec = 3600000 * MSEC}, 1);
    assert_int_equal(retry_now(id), OK);
    await(JOB_DONE, 1);
    assert_int_equal(retry_now(id), ERR_CONFLICT);
    assert_int_equal(retry_now(id + 1), ERR_NOT_FOUND);
    end(jobs);
}

struct page {
    struct job_filter filter;
    struct arena *arena;
    struct job_row *rows;
    size_t count;
};

static enum err page_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct page *p = ctx;
    return jobs_list(tx, p->arena, &p->filter, &p->rows, &p->count, why);
}

static void lists_are_pages(void **state)
{
    (void)state;
    enum { JOBS = 25 };
    struct arena arena;
    arena_init(&arena, 0);
    for (int i = 0; i < JOBS; i++) {
        int64_t id = enqueue(i % 2 == 0 ? "nothing" : "effect");
        if (i >= 5) {
            assert_int_equal(cancel(id), OK);
        }
    }
    static const char *const only[] = {"effect"};
    for (int ended = 0; ended <= 1; ended++) {
        for (int filtered = 0; filtered <= 1; filtered++) {
            struct page p = {.arena = &arena,
                             .filter = {.state = ended ? JOB_CANCELLED : (enum job_state)0,
                                        .kinds = only,
                                        .kind_count = filtered ? 1 : 0,
                                        .limit = 4}};
            int64_t seen = 0;
            int64_t last = INT64_MAX;
            do {
                assert_int_equal(store_read(fixture.store, page_fn, &p, NULL), OK);
                for (size_t i = 0; i < p.count; i++) {
                    assert_true(p.rows[i].id < last);
                    assert_true(!filtered || slice_equal_text(p.rows[i].kind, "effect"));
                    assert_int_equal(p.rows[i].payload.len, 0);
                    last = p.rows[i].id;
                    p.filter.below_id = last;
                    p.filter.before_usec = p.rows[i].finished_usec;
                    seen++;
                }
            } while (p.count == 4);
            assert_int_equal(seen, ended ? (filtered ? 10 : 20) : (filtered ? 12 : 25));
        }
    }
    arena_free(&arena);
}

static void one_job_has_its_payload(void **state)
{
    (void)state;
    struct arena arena;
    struct buf text;
    struct json_out j;
    arena_init(&arena, 0);
    int64_t id = enqueue_job((struct job_new){.kind = "nothing",
                                              .key = S("a key"),
                                              .order_key = S("a line"),
                                              .payload = S("{\"a\":[1,\"two\"]}"),
                                              .priority = -3},
                             1);
    struct job_row row = get(&arena, id);
    buf_init(&text, &arena, 256);
    json_out_init(&j, &text);
    jobs_row_json(&j, &row, true);
    const struct json *object = NULL;
    assert_int_equal(json_parse(&arena, buf_slice(&text), &json_limits_body, &object, NULL), OK);
    const struct json *payload = json_find(object, "payload");
    assert_int_equal(json_find(payload, "a")->count, 2);
    assert_true(slice_equal_text(json_find(object, "key")->text, "a key"));
    assert_true(slice_equal_text(json_find(object, "orderKey")->text, "a line"));
    assert_true(slice_equal_text(json_find(object, "state")->text, "queued"));
    assert_true(slice_equal_text(json_find(object, "priority")->text, "-3"));
    assert_null(json_find(object, "progress"));
    struct getting g = {.arena = &arena, .id = id + 1};
    assert_int_equal(store_read(fixture.store, get_fn, &g, NULL), ERR_NOT_FOUND);
    arena_free(&arena);
}

static void replay_of_one_kind(void **state)
{
    (void)state;
    enqueue_job((struct job_new){.kind = "refusing"}, 7);
    enqueue_job((struct job_new){.kind = "failing"}, 5);
    struct jobs *jobs = start(&quick);
    await(JOB_DEAD, 12);
    end(jobs);
    struct call c = {.what = REPLAY, .job = {.kind = "failing"}};
    assert_int_equal(store_write(fixture.store, call_fn, &c, NULL), OK);
    assert_int_equal(c.count, 5);
    assert_int_equal(count_in(JOB_DEAD), 7);
}

/* ---- queues and schedules ---- */

struct looking {
    const struct job_catalog *catalog;
    struct arena *arena;
    struct json_out j;
    struct buf text;
    bool schedules;
};

static enum err look_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    struct looking *l = ctx;
    buf_init(&l->text, l->arena, 1024);
    json_out_init(&l->j, &l->text);
    return l->schedules ? jobs_schedules_json(tx, l->catalog, &l->j, why)
                        : jobs_queues_json(tx, l->catalog, &l->j, why);
}

static const struct json *look(struct looking *l)
{
    const struct json *array = NULL;
    assert_int_equal(store_read(fixture.store, look_fn, l, NULL), OK);
    assert_int_equal(json_parse(l->arena, buf_slice(&l->text), &json_limits_body, &array, NULL),
                     OK);
    return array;
}

static const struct json *named(const struct json *array, const char *name)
{
    for (const struct json *o = array->child; o != NULL; o = o->next) {
        if (slice_equal_text(json_find(o, "name")->text, name)) {
            return o;
        }
    }
    fail_msg("%s is not listed", name);
    return NULL;
}

static void queues_and_schedules_are_listed(void **state)
{
    (void)state;
    static const struct job_cron crons[] = {
        {.name = "known", .kind = "nothing", .cron = "0 3 * * 0", .doc = "Test."},
        {.name = "lost", .kind = "nobody", .cron = "0 3 * * *", .awaits = "spring", .doc = "Test."},
    };
    struct arena arena;
    arena_init(&arena, 0);
    struct job_table t = table;
    t.crons = crons;
    t.cron_count = 2;
    struct looking l = {.arena = &arena};
    assert_int_equal(jobs_catalog_new(&arena, &t, 1, &l.catalog, NULL), OK);
    enqueue_job((struct job_new){.kind = "nothing"}, 3);
    enqueue("nobody");
    const struct json *test = named(look(&l), "test");
    assert_true(slice_equal_text(json_find(test, "queued")->text, "3"));
    assert_true(slice_equal_text(json_find(test, "dead")->text, "0"));
    l.schedules = true;
    const struct json *all = look(&l);
    int64_t next = 0;
    assert_int_equal(json_get_time(named(all, "known"), "nextAt", &next, NULL), OK);
    assert_true(next > clock_wall_usec());
    assert_int_equal(json_find(named(all, "known"), "enabled")->type, JSON_TRUE);
    assert_int_equal(json_find(named(all, "lost"), "enabled")->type, JSON_FALSE);
    assert_true(slice_equal_text(json_find(named(all, "lost"), "waitsFor")->text, "spring"));
    assert_null(json_find(named(all, "lost"), "nextAt"));
    const char *const *found = NULL;
    size_t count = 0;
    assert_int_equal(jobs_catalog_kinds(l.catalog, &arena, S("maintenance"), &found, &count, NULL),
                     OK);
    assert_int_equal(count, 1);
    assert_string_equal(found[0], "jobs.sweep");
    assert_int_equal(jobs_catalog_kinds(l.catalog, &arena, S("none"), &found, &count, NULL),
                     ERR_INVALID_FIELD);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_running_job_ends_when_it_is_told_to),
        TEST(a_deaf_job_is_not_tried_again),
        TEST(heartbeat_tells_of_a_cancel),
        TEST(a_cancel_survives_a_crash),
        TEST(a_delayed_job_can_be_run_now),
        TEST(lists_are_pages),
        TEST(one_job_has_its_payload),
        TEST(replay_of_one_kind),
        TEST(queues_and_schedules_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
