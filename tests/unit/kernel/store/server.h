/*
 * server.h: for tests of what only a server can do: break, refuse, let others in between, tell
 * them.
 *
 * Each test has a database of its own on the server at TEST_POSTGRES_URL, and is skipped without
 * one. `server` stops and starts it (tools/with-postgres), `strange` speaks to it past the store.
 */
#ifndef UNIT_KERNEL_STORE_SERVER_H
#define UNIT_KERNEL_STORE_SERVER_H

#include "unit/kernel/store/sample.h"

static struct support_store s;

static inline int open_store(void **state)
{
    if (getenv("TEST_POSTGRES_URL") == NULL) {
        return 0;
    }
    support_store_open(&s, &sample_catalog);
    return 0;
}

static inline int close_store(void **state)
{
    if (getenv("TEST_POSTGRES_URL") != NULL) {
        support_store_close(&s);
    }
    return 0;
}

#define NEED_SERVER()                                                                              \
    if (getenv("TEST_POSTGRES_URL") == NULL) {                                                     \
        skip();                                                                                    \
    }

/* Runs a program and waits for it; its failure fails the test. */
static inline void run_program(const char *const argv[])
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0) {
        fail_msg("%s %s: status %d", argv[0], argv[1], status);
    }
}

static inline void server(const char *action)
{
    run_program((const char *const[]){"tools/with-postgres", "--do", action, NULL});
}

/* A connection beside the store, for what another program might do. */
static inline PGconn *stranger(void)
{
    PGconn *pq = PQconnectdb(s.url);
    assert_int_equal(PQstatus(pq), CONNECTION_OK);
    return pq;
}

static inline void strange(PGconn *pq, const char *sql)
{
    PGresult *result = PQexec(pq, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(pq));
    }
    PQclear(result);
}

static inline void strange_once(const char *sql)
{
    PGconn *pq = stranger();
    strange(pq, sql);
    PQfinish(pq);
}

static inline void add(const char *name)
{
    struct sample_counter c = {.name = name, .step = 1};
    sample_write(s.store, sample_counter_add, &c);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

#endif
