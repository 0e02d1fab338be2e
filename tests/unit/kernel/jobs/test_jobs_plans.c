/*
 * How PostgreSQL runs the queue's statements: by index, whatever it knows or does not know of the
 * table. Plans are made for any values (generic), as a connection keeps them, in each state that
 * the table's statistics can be in; then a runner works without any, and what the server has read
 * is counted. Decision 0023.
 */
#include "kernel/jobs/jobs_sql.h"

#include "unit/kernel/jobs/fixture.h"

#define ROWS "100000"
#define PLAN_MAX 16384

static int open_postgres(void **state)
{
    return support_on_postgres() ? open_fixture(state) : 0;
}

static int close_postgres(void **state)
{
    return support_on_postgres() ? close_fixture(state) : 0;
}

#define NEED_POSTGRES()                                                                            \
    if (!support_on_postgres()) {                                                                  \
        skip();                                                                                    \
    }

/* ---- the statements ---- */

/* One that finds the first of an index walks into it without a condition: `walks` says how often.
 */
struct hot {
    const struct store_statement *statement;
    int walks;
};

static const struct hot hot[] = {
    {&jobs_sql_enqueue, 0},       {&jobs_sql_enqueue_keyed, 0},  {&jobs_sql_find_live, 0},
    {&jobs_sql_heads, 1},         {&jobs_sql_heads_from, 0},     {&jobs_sql_claim, 0},
    {&jobs_sql_claim_suspect, 0}, {&jobs_sql_mark_started, 0},   {&jobs_sql_renew, 0},
    {&jobs_sql_renew_spots, 0},   {&jobs_sql_progress, 0},       {&jobs_sql_finish, 0},
    {&jobs_sql_finish_spots, 0},  {&jobs_sql_forget, 0},         {&jobs_sql_forget_spots, 0},
    {&jobs_sql_next, 0},          {&jobs_sql_next_all, 1},       {&jobs_sql_bury, 0},
    {&jobs_sql_requeue, 0},       {&jobs_sql_lapsed, 0},         {&jobs_sql_suspects, 1},
    {&jobs_sql_cancel, 0},        {&jobs_sql_cancel_running, 0}, {&jobs_sql_retry, 0},
    {&jobs_sql_replay, 0},        {&jobs_sql_sweep, 0},          {&jobs_sql_dead, 0},
    {&jobs_sql_queue_running, 0},
};

/* As the store sets it for whoever writes: test_postgres.c. */
static const char session[] = "SET enable_seqscan = off; SET jit = off;"
                              "SET plan_cache_mode = force_generic_plan";

static void run(PGconn *pq, const char *sql)
{
    PGresult *result = PQexec(pq, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(pq));
    }
    PQclear(result);
}

static const char *text_of(const struct store_statement *s)
{
    return s->rows == STORE_ROWS_SET ? s->postgres_rows : s->postgres;
}

static void prepare_all(PGconn *pq)
{
    for (size_t i = 0; i < sizeof(hot) / sizeof(hot[0]); i++) {
        const struct store_statement *s = hot[i].statement;
        PGresult *result = PQprepare(pq, s->name, text_of(s), 0, NULL);
        if (PQresultStatus(result) != PGRES_COMMAND_OK) {
            fail_msg("%s: %s", s->name, PQerrorMessage(pq));
        }
        PQclear(result);
    }
}

/* The plan that the connection has, or makes now, of a prepared statement. */
static void explain(PGconn *pq, const struct store_statement *s, char out[PLAN_MAX])
{
    char sql[1024];
    int len = snprintf(sql, sizeof(sql), "EXPLAIN (COSTS OFF) EXECUTE %s", s->name);
    for (uint16_t i = 0; i < s->param_count; i++) {
        len += snprintf(sql + len, sizeof(sql) - (size_t)len, i == 0 ? "(NULL" : ", NULL");
    }
    len += snprintf(sql + len, sizeof(sql) - (size_t)len, s->param_count > 0 ? ")" : "");
    assert_true((size_t)len < sizeof(sql));
    PGresult *result = PQexec(pq, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(pq));
    }
    size_t at = 0;
    for (int i = 0; i < PQntuples(result); i++) {
        at += (size_t)snprintf(out + at, PLAN_MAX - at, "%s\n", PQgetvalue(result, i, 0));
        assert_true(at < PLAN_MAX);
    }
    PQclear(result);
}

/* Index scans whose next line is no condition of theirs: they begin at the index's end. */
static int count_walks(const char *plan)
{
    int walks = 0;
    for (const char *at = strstr(plan, " using jobs_"); at != NULL;
         at = strstr(at + 1, " using jobs_")) {
        const char *line = strchr(at, '\n') + 1;
        line += strspn(line, " ");
        walks += strncmp(line, "Index Cond:", 11) != 0;
    }
    for (const char *at = strstr(plan, "Bitmap Index Scan on jobs_"); at != NULL;
         at = strstr(at + 1, "Bitmap Index Scan on jobs_")) {
        const char *line = strchr(at, '\n') + 1;
        line += strspn(line, " ");
        walks += strncmp(line, "Index Cond:", 11) != 0;
    }
    return walks;
}

static void assert_by_index(PGconn *pq, const char *when)
{
    char plan[PLAN_MAX];
    for (size_t i = 0; i < sizeof(hot) / sizeof(hot[0]); i++) {
        const struct store_statement *s = hot[i].statement;
        explain(pq, s, plan);
        if (strstr(plan, "Seq Scan on jobs") != NULL || count_walks(plan) > hot[i].walks) {
            fail_msg("%s, %s:\n%s", s->name, when, plan);
        }
        /* Joining by a hash or a merge means that all of one side is read. */
        if (strstr(plan, "Hash Join") != NULL || strstr(plan, "Merge Join") != NULL) {
            fail_msg("%s, %s:\n%s", s->name, when, plan);
        }
    }
}

static PGconn *connect_as_writer(void)
{
    PGconn *pq = PQconnectdb(fixture.url);
    assert_int_equal(PQstatus(pq), CONNECTION_OK);
    run(pq, session);
    return pq;
}

static void connect_and_assert(const char *when)
{
    PGconn *pq = connect_as_writer();
    prepare_all(pq);
    assert_by_index(pq, when);
    PQfinish(pq);
}

/* Jobs of 50 order keys and 3 priorities in a state, past the store. */
static void fill(PGconn *pq, const char *state, const char *rest)
{
    char sql[1024];
    int len = snprintf(
        sql, sizeof(sql),
        "INSERT INTO jobs (kind, payload, priority, state, attempts, lapses, created, scheduled,"
        " run_at, lease_token, order_key, behind, lease_until, finished)"
        " SELECT 'effect', '{}', n %% 3, %s, 0, 0, now(), now(), now(), 1, %s"
        " FROM generate_series(1, " ROWS ") AS n",
        state, rest);
    assert_true(len > 0 && (size_t)len < sizeof(sql));
    run(pq, sql);
}

static const char queued[] = "'line/' || n % 50, n > 50, NULL, NULL";
static const char plain[] = "NULL, FALSE, NULL, NULL";
static const char running[] = "NULL, FALSE, now(), NULL";
static const char ended[] = "NULL, FALSE, NULL, now()";

/* ---- tests ---- */

static void plans_need_no_statistics(void **state)
{
    (void)state;
    NEED_POSTGRES();
    PGconn *pq = PQconnectdb(fixture.url);
    run(pq, "ALTER TABLE jobs SET (autovacuum_enabled = FALSE)");
    connect_and_assert("empty, never analyzed");
    fill(pq, "1", plain);
    connect_and_assert("queued, never analyzed");
    fill(pq, "1", queued);
    connect_and_assert("in line, never analyzed");
    fill(pq, "2", running);
    fill(pq, "3", ended);
    connect_and_assert("of all states, never analyzed");
    PQfinish(pq);
}

static void plans_stand_wrong_statistics(void **state)
{
    static const char *const contents[][2] = {
        {"1", plain}, {"1", queued}, {"2", running}, {"3", ended}};
    (void)state;
    NEED_POSTGRES();
    PGconn *pq = PQconnectdb(fixture.url);
    run(pq, "ALTER TABLE jobs SET (autovacuum_enabled = FALSE)");
    run(pq, "VACUUM ANALYZE jobs");
    connect_and_assert("analyzed when empty");
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        run(pq, "TRUNCATE jobs");
        fill(pq, contents[i][0], contents[i][1]);
        run(pq, "VACUUM ANALYZE jobs");
        connect_and_assert(contents[i][1]);
    }
    PQfinish(pq);
}

/* A connection makes its plans while the table is empty and keeps them while it fills. */
static void kept_plans_stay_good(void **state)
{
    (void)state;
    NEED_POSTGRES();
    PGconn *pq = PQconnectdb(fixture.url);
    run(pq, "ALTER TABLE jobs SET (autovacuum_enabled = FALSE)");
    run(pq, "VACUUM ANALYZE jobs");
    PGconn *writer = connect_as_writer();
    prepare_all(writer);
    assert_by_index(writer, "empty");
    fill(pq, "1", queued);
    assert_by_index(writer, "full, planned when empty");
    PQfinish(writer);
    PQfinish(pq);
}

enum { JOBS = 2000, LINES = 40 };

static enum err in_lines_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    const int *from = ctx;
    struct job_new jobs[JOBS / 4];
    struct arena scratch;
    arena_init(&scratch, 0);
    for (int i = 0; i < JOBS / 4; i++) {
        jobs[i] = (struct job_new){
            .kind = "brief", .order_key = slice_format(&scratch, "line/%d", (*from + i) % LINES)};
    }
    enum err e = jobs_enqueue_many(tx, jobs, JOBS / 4, why);
    arena_free(&scratch);
    return e;
}

static int64_t read_number(PGconn *pq, const char *sql)
{
    PGresult *result = PQexec(pq, sql);
    assert_int_equal(PQntuples(result), 1);
    int64_t n = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return n;
}

/*
 * 2,000 jobs in 40 lines among 100,000 that wait for tomorrow, each with an effect in the
 * transaction of its end. What the server reads does not depend on those that wait: from one end of
 * the table to the other once would be 50 rows a job already.
 */
static void work_reads_what_it_touches(void **state)
{
    (void)state;
    NEED_POSTGRES();
    PGconn *pq = PQconnectdb(fixture.url);
    run(pq, "ALTER TABLE jobs SET (autovacuum_enabled = FALSE)");
    run(pq,
        "INSERT INTO jobs (kind, payload, priority, state, attempts, lapses, created, scheduled,"
        " run_at, lease_token, order_key, behind)"
        " SELECT 'effect', '{}', 0, 1, 0, 0, now(), now(), now() + interval '1 day', 1,"
        " 'other/' || n % 50, n > 50 FROM generate_series(1, " ROWS ") AS n");
    struct jobs *runners[2] = {start(&calm), start(&calm)};
    for (int i = 0; i < 4; i++) {
        int from = i * JOBS / 4;
        assert_int_equal(store_write(fixture.store, in_lines_fn, &from, NULL), OK);
    }
    await_number(&env.effects, JOBS);
    end(runners[0]);
    end(runners[1]);
    store_close(fixture.store); /* the server counts what a connection did when it ends */
    fixture.store = NULL;
    int64_t limit = clock_mono_usec() + 30ll * USEC_PER_SEC;
    while (read_number(pq, "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                           "current_database() AND backend_type = 'client backend'") > 1) {
        assert_true(clock_mono_usec() < limit); /* connections that were closed have ended */
        clock_sleep_usec(20 * MSEC);
    }
    int64_t scanned = read_number(pq, "SELECT seq_tup_read FROM pg_stat_user_tables "
                                      "WHERE relname = 'jobs'");
    PQfinish(pq);
    support_store_reopen(&fixture);
    assert_int_equal(scanned, 0);
    assert_int_equal(atomic_load(&env.effects), JOBS);
}

/* ---- ends at once ---- */

enum { TOGETHER = 3 };

static atomic_int transactions;
static atomic_int completed;
static atomic_int committed;

/* The last one to end its job commits first: to the server each is then read over by the next. */
static enum err end_together_fn(struct store_tx *tx, void *ctx, struct why *why)
{
    int64_t limit = clock_mono_usec() + 30ll * USEC_PER_SEC;
    atomic_fetch_add(&transactions, 1);
    enum err e = jobs_complete(tx, ctx, why);
    int place = atomic_fetch_add(&completed, 1);
    while ((atomic_load(&completed) < TOGETHER || atomic_load(&committed) < TOGETHER - 1 - place) &&
           clock_mono_usec() < limit) {
        clock_sleep_usec(MSEC);
    }
    return e;
}

static enum err run_together(struct job_call *call, struct why *why)
{
    record(call);
    enum err e = store_write(call->store, end_together_fn, call, why);
    atomic_fetch_add(&committed, 1);
    return e;
}

static const struct job_kind together = KIND("together", run_together, 5, 60000 * MSEC);
static const struct job_table together_table = {
    .queues = queues, .queue_count = 1, .kinds = &together, .kind_count = 1};

/* Neighbours in every index, in serializable transactions: none has to run again. */
static void many_may_end_at_once(void **state)
{
    (void)state;
    NEED_POSTGRES();
    /* A lease that nobody renews meanwhile: a renewal is another change of the row. */
    const struct jobs_config patient = {.threads = TOGETHER,
                                        .claim_batch = TOGETHER,
                                        .poll_usec = 50 * MSEC,
                                        .lease_usec = 30000 * MSEC,
                                        .retention_usec = 3600 * 1000 * MSEC,
                                        .dead_alert = 100};
    atomic_store(&transactions, 0);
    atomic_store(&completed, 0);
    atomic_store(&committed, 0);
    (void)enqueue_job((struct job_new){.kind = "together"}, TOGETHER);
    struct jobs *jobs = start_table(&patient, &together_table);
    await(JOB_DONE, TOGETHER);
    end(jobs);
    assert_int_equal(atomic_load(&transactions), TOGETHER);
    assert_int_equal(atomic_load(&env.runs), TOGETHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plans_need_no_statistics, open_postgres, close_postgres),
        cmocka_unit_test_setup_teardown(plans_stand_wrong_statistics, open_postgres,
                                        close_postgres),
        cmocka_unit_test_setup_teardown(kept_plans_stay_good, open_postgres, close_postgres),
        cmocka_unit_test_setup_teardown(work_reads_what_it_touches, open_postgres, close_postgres),
        cmocka_unit_test_setup_teardown(many_may_end_at_once, open_postgres, close_postgres),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
