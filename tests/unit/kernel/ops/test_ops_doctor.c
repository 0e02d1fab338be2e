/* The table of the doctor, and its rules against facts that were made up. */
#include "kernel/ops/ops_doctor.h"

#include "unit/support.h"

/* ---- the table ---- */

static const struct ops_check *check_of(const char *name)
{
    for (size_t i = 0; i < ops_check_count; i++) {
        if (strcmp(ops_checks[i].name, name) == 0) {
            return &ops_checks[i];
        }
    }
    fail_msg("there is no check %s", name);
    return NULL;
}

static void each_row_is_whole(void **state)
{
    (void)state;
    bool ended[OPS_GROUP_COUNT] = {false};
    for (size_t i = 0; i < ops_check_count; i++) {
        const struct ops_check *c = &ops_checks[i];
        const char *group = ops_group_text(c->group);
        assert_ptr_equal(check_of(c->name), c); /* no name stands twice */
        assert_memory_equal(c->name, group, strlen(group));
        assert_int_equal(c->name[strlen(group)], '.');
        assert_true(c->severity == OPS_WARNING || c->severity == OPS_PROBLEM);
        assert_int_equal(c->asks[strlen(c->asks) - 1], '?');
        assert_int_equal(c->mend[strlen(c->mend) - 1], '.');
        assert_non_null(c->judge);
        assert_true(c->needs < OPS_TOPIC_COUNT);
        assert_false(ended[c->group]); /* groups are not torn apart */
        ended[c->group] = i + 1 < ops_check_count && ops_checks[i + 1].group != c->group;
    }
    for (int g = 0; g < OPS_GROUP_COUNT; g++) {
        assert_int_equal(ops_group_find(slice_text(ops_group_text((enum ops_group)g))), g);
    }
    assert_int_equal(ops_group_find(SLICE_LIT("")), OPS_GROUP_COUNT);
    assert_int_equal(ops_group_find(SLICE_LIT("data")), OPS_GROUP_COUNT);
}

/* ---- facts ---- */

static struct ops_facts facts;

#define NOW (1800000000ll * USEC_PER_SEC)
#define HOUR (3600ll * USEC_PER_SEC)

/* An installation on a real chain and a server that is as it should be. */
static int make_well(void **state)
{
    (void)state;
    memset(&facts, 0, sizeof(facts));
    for (int t = 0; t < OPS_TOPIC_COUNT; t++) {
        ops_topic_learn(&facts, (enum ops_topic)t);
    }
    facts.now_usec = NOW;
    ops_answer_set(&facts.config.load, OK, NULL);
    facts.config.real_chain = true;
    facts.config.confirmations = 12;
    facts.config.node_count = 2;
    facts.config.has_operator_token = true;
    facts.machine.descriptors = 65536;
    facts.machine.descriptors_wanted = 4238;
    facts.machine.file_bytes_max = UINT64_MAX;
    facts.files.free_bytes = 1ull << 40;
    snprintf(facts.files.folder, sizeof(facts.files.folder), "/srv/data");
    ops_answer_set(&facts.files.writable, OK, NULL);
    facts.files.folder_exists = true;
    facts.files.filesystem = 0xEF53; /* ext4 */
    facts.files.has_database = true;
    facts.files.has_keystore = true;
    ops_answer_set(&facts.files.password_file, OK, NULL);
    ops_answer_set(&facts.database.open, OK, NULL);
    ops_answer_set(&facts.database.schema, OK, NULL);
    ops_answer_set(&facts.database.whole, OK, NULL);
    ops_answer_set(&facts.database.integrity, OK, NULL);
    facts.database.is_file = true;
    facts.database.applied = 13;
    facts.database.known = 13;
    facts.database.fsync = true;
    facts.database.full_page_writes = true;
    facts.database.autovacuum = true;
    facts.database.waits_for_disk = true;
    facts.database.connections_free = 90;
    facts.database.connections_wanted = 14;
    facts.work.dead_alert = 100;
    facts.work.backup_usec = NOW - HOUR;
    facts.work.verified_usec = NOW - 24 * HOUR;
    ops_answer_set(&facts.books.audit, OK, NULL);
    facts.node.endpoint_count = 2;
    ops_answer_set(&facts.node.endpoints[0].answer, OK, NULL);
    ops_answer_set(&facts.node.endpoints[1].answer, OK, NULL);
    facts.node.chain_id = 8453;
    facts.node.head = 1000;
    facts.node.head_usec = NOW - 2 * USEC_PER_SEC;
    ops_answer_set(&facts.node.logs, OK, NULL);
    ops_answer_set(&facts.node.finalized, OK, NULL);
    ops_answer_set(&facts.node.receipts, OK, NULL);
    for (int q = 0; q < OPS_CONTRACT_QUESTIONS; q++) {
        ops_answer_set(&facts.contracts[q], OK, NULL);
    }
    ops_answer_set(&facts.keys, OK, NULL);
    facts.signs = true;
    facts.balance_wei_alert = u256_from_u64(500);
    facts.wallet_count = 1;
    facts.wallets[0].balance = wei_of(u256_from_u64(1000));
    ops_answer_set(&facts.http.bind, OK, NULL);
    ops_answer_set(&facts.redis, OK, NULL);
    snprintf(facts.backup.place, sizeof(facts.backup.place), "/srv/backups");
    ops_answer_set(&facts.backup.list, OK, NULL);
    facts.backup.age_usec_max = 26 * HOUR;
    return 0;
}

static struct ops_verdict judge(const char *name)
{
    struct ops_verdict v = {.outcome = OPS_OUTCOME_COUNT};
    ops_check_run(check_of(name), &facts, &v);
    return v;
}

static void expect(const char *name, enum ops_outcome outcome, const char *said)
{
    struct ops_verdict v = judge(name);
    if (v.outcome != outcome || strstr(v.said, said) == NULL) {
        fail_msg("%s: %s: %s", name, ops_outcome_text(v.outcome), v.said);
    }
    (void)make_well(NULL);
}

static void what_is_well_has_no_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < ops_check_count; i++) {
        struct ops_verdict v = judge(ops_checks[i].name);
        if (v.outcome != OPS_OK && strcmp(ops_checks[i].name, "machine.anvil") != 0) {
            fail_msg("%s: %s", ops_checks[i].name, v.said);
        }
    }
}

/* Nothing is judged of which nothing is known; why is said. */
static void what_is_not_known_is_skipped(void **state)
{
    (void)state;
    for (size_t i = 0; i < ops_check_count; i++) {
        enum ops_topic needs = ops_checks[i].needs;
        if (needs == OPS_NOTHING) {
            continue;
        }
        facts.topics[needs] = (struct ops_topic_state){.known = false};
        ops_topic_miss(&facts, needs, "because of %s", "the test");
        ops_topic_miss(&facts, needs, "a later reason");
        expect(ops_checks[i].name, OPS_SKIPPED, "because of the test");
    }
}

static void what_takes_too_long_is_a_fault_of_one_check(void **state)
{
    static const struct {
        enum ops_topic topic;
        const char *check;
        enum ops_outcome outcome;
    } cases[] = {
        {OPS_FILES, "files.folder", OPS_PROBLEM},    {OPS_ROWS, "database.reachable", OPS_PROBLEM},
        {OPS_NODE, "node.reachable", OPS_PROBLEM},   {OPS_KEYS, "wallets.keys", OPS_PROBLEM},
        {OPS_REDIS, "redis.reachable", OPS_WARNING}, {OPS_BACKUP, "backup.place", OPS_PROBLEM},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        facts.topics[cases[i].topic] = (struct ops_topic_state){.late = true};
        ops_topic_miss(&facts, cases[i].topic, "it did not answer within 5 s");
        expect(cases[i].check, cases[i].outcome, "did not answer within 5 s");
    }
}

static void machine_and_settings(void **state)
{
    (void)state;
    const struct why why = {.err = ERR_CONFIG, .text = "prot is not a known key."};
    facts.machine.descriptors = 1024;
    expect("machine.descriptors", OPS_WARNING, "1024 files may be open, 4238 are wanted");
    facts.machine.file_bytes_max = 3 * 512 * 1024;
    expect("machine.file_size", OPS_PROBLEM, "1.5 MiB");
    ops_answer_set(&facts.machine.anvil, ERR_CONFIG, &why);
    expect("machine.anvil", OPS_PROBLEM, "prot");
    ops_answer_set(&facts.config.load, ERR_CONFIG, &why);
    expect("config.right", OPS_PROBLEM, "prot is not a known key");
    snprintf(facts.config.path, sizeof(facts.config.path), "/etc/freehold.conf");
    facts.config.mode = 0644;
    expect("config.mode", OPS_OK, "no secret"); /* and so it is nobody's business */
    snprintf(facts.config.path, sizeof(facts.config.path), "/etc/freehold.conf");
    facts.config.mode = 0640;
    facts.config.file_has_secrets = true;
    expect("config.mode", OPS_OK, "640"); /* the group of the service may read it */
    snprintf(facts.config.path, sizeof(facts.config.path), "/etc/freehold.conf");
    facts.config.mode = 0644;
    facts.config.file_has_secrets = true;
    expect("config.mode", OPS_PROBLEM, "/etc/freehold.conf has secrets in it and mode 644");
    facts.config.dev_accounts = 1;
    expect("config.dev_accounts", OPS_WARNING, "anybody");
    facts.config.confirmations = 0;
    expect("config.confirmations", OPS_WARNING, "is 0");
    facts.config.unsynced = true;
    expect("config.synchronous", OPS_WARNING, "normal");
    facts.config.has_operator_token = false;
    expect("config.operator_token", OPS_WARNING, "not set");
    facts.config.node_count = 1;
    expect("config.one_node", OPS_WARNING, "one node");
    snprintf(facts.config.cleartext, sizeof(facts.config.cleartext), "http://n.example");
    expect("config.cleartext", OPS_WARNING, "http://n.example");
}

static void a_development_chain_may_do_as_it_likes(void **state)
{
    static const char *const checks[] = {"config.dev_accounts", "config.confirmations",
                                         "config.operator_token", "config.one_node",
                                         "backup.scheduled"};
    (void)state;
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        facts.config = (struct ops_config_facts){.dev_accounts = 5, .node_count = 1};
        facts.backup.place[0] = '\0';
        expect(checks[i], OPS_OK, "a development chain");
    }
}

static void files(void **state)
{
    static const struct {
        uint64_t magic;
        enum ops_outcome outcome;
        const char *said;
    } disks[] = {
        {0x6969, OPS_PROBLEM, "NFS"},       {0xFF534D42, OPS_PROBLEM, "CIFS"},
        {0x01021997, OPS_PROBLEM, "9p"},    {0x65735546, OPS_PROBLEM, "FUSE"},
        {0x01021994, OPS_WARNING, "tmpfs"}, {0x58465342, OPS_OK, "local"}, /* XFS */
        {0x9123683E, OPS_OK, "local"},                                     /* btrfs */
    };
    (void)state;
    const struct why why = {.err = ERR_IO, .text = "/srv/data cannot be written: no"};
    for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
        facts.files.filesystem = disks[i].magic;
        expect("files.filesystem", disks[i].outcome, disks[i].said);
    }
    ops_answer_set(&facts.files.writable, ERR_IO, &why);
    expect("files.folder", OPS_PROBLEM, "cannot be written");
    facts.files.folder_exists = false;
    expect("files.folder", OPS_OK, "made by the first start");
    facts.files.free_bytes = 1u << 20;
    expect("files.space", OPS_PROBLEM, "1.0 MiB are left");
    facts.files.free_bytes = 1u << 30;
    expect("files.space", OPS_WARNING, "1.0 GiB are left");
    facts.files.keystore = (struct ops_loose){.path = "/k/a", .mode = 0640};
    expect("files.keystore_mode", OPS_PROBLEM, "/k/a has mode 640");
    facts.files.password = (struct ops_loose){.path = "/k/p", .mode = 0604};
    expect("files.password_mode", OPS_PROBLEM, "/k/p has mode 604");
    facts.files.database = (struct ops_loose){.path = "/d", .mode = 0644};
    expect("files.database_mode", OPS_PROBLEM, "/d has mode 644");
    facts.files.has_database = false;
    expect("files.database_mode", OPS_SKIPPED, "no file yet");
}

static void the_database(void **state)
{
    (void)state;
    const struct why why = {.err = ERR_DB_VERSION, .text = "Migration 3 was edited."};
    ops_answer_set(&facts.database.open, ERR_DB_UNAVAILABLE, &why);
    expect("database.reachable", OPS_PROBLEM, "was edited");
    facts.database.is_new = true;
    expect("database.reachable", OPS_OK, "first start");
    ops_answer_set(&facts.database.schema, ERR_DB_VERSION, &why);
    expect("database.migrations", OPS_PROBLEM, "Migration 3 was edited");
    facts.database.applied = 11;
    expect("database.migrations", OPS_WARNING, "11 of 13");
    ops_answer_set(&facts.database.whole, ERR_CONFLICT, &why);
    expect("database.whole", OPS_PROBLEM, "edited");
    facts.database.owner_pid = 10;
    facts.database.intruder_pid = 11;
    expect("database.owner", OPS_WARNING, "process 11");
    facts.database.wal_bytes = 4096;
    expect("database.log", OPS_WARNING, "ended without closing");
    facts.database.wal_bytes = 4096;
    facts.database.owner_pid = 10;
    expect("database.log", OPS_OK, "4.0 KiB");
    facts.database.wal_bytes = 3ull << 30;
    facts.database.owner_pid = 10;
    expect("database.log", OPS_WARNING, "3.0 GiB");
    ops_answer_set(&facts.database.integrity, ERR_CORRUPT, &why);
    expect("database.integrity", OPS_PROBLEM, "edited");
    facts.database.fsync = false;
    expect("database.durable", OPS_PROBLEM, "fsync is off");
    facts.database.full_page_writes = false;
    expect("database.durable", OPS_PROBLEM, "full_page_writes is off");
    facts.database.waits_for_disk = false;
    expect("database.commit", OPS_WARNING, "off");
    facts.database.connections_free = 13;
    expect("database.connections", OPS_WARNING, "13 are free, a process wants up to 14");
    facts.database.autovacuum = false;
    expect("database.autovacuum", OPS_WARNING, "off");
    facts.database.clock_ahead_usec = 3 * USEC_PER_SEC;
    expect("database.clock", OPS_WARNING, "3 s ahead of");
    facts.database.clock_ahead_usec = -HOUR;
    expect("database.clock", OPS_PROBLEM, "60 min behind");
    snprintf(facts.database.unanalysed, sizeof(facts.database.unanalysed), "jobs");
    expect("database.statistics", OPS_WARNING, "jobs");
    snprintf(facts.database.partition, sizeof(facts.database.partition), "audit_log_p203001");
    expect("database.partitions", OPS_WARNING, "audit_log_p203001 is missing");
}

static void books_and_work(void **state)
{
    (void)state;
    const struct why why = {.err = ERR_CORRUPT, .text = "Row 7 was changed."};
    facts.books.books = 2;
    facts.books.unbalanced = 1;
    snprintf(facts.books.first_book, sizeof(facts.books.first_book), "stable/1");
    expect("books.ledger", OPS_PROBLEM, "1 of 2 books do not balance, first stable/1");
    ops_answer_set(&facts.books.audit, ERR_CORRUPT, &why);
    expect("books.audit", OPS_PROBLEM, "Row 7");
    facts.work.dead = 100;
    expect("work.dead_jobs", OPS_OK, "100");
    facts.work.dead = 101;
    expect("work.dead_jobs", OPS_PROBLEM, "101 jobs are dead");
    snprintf(facts.work.orphan, sizeof(facts.work.orphan), "chain/1");
    facts.work.orphan_usec = 4 * USEC_PER_SEC;
    expect("work.leases", OPS_OK, ""); /* a takeover is under way */
    snprintf(facts.work.orphan, sizeof(facts.work.orphan), "chain/1");
    facts.work.orphan_usec = 3 * HOUR;
    expect("work.leases", OPS_WARNING, "chain/1 is gone for 3 h");
    facts.work.keys_stuck = 2;
    expect("work.idempotency", OPS_WARNING, "2 requests");
    facts.work.keys_expired = 9;
    expect("work.idempotency", OPS_WARNING, "9 idempotency keys");
    snprintf(facts.work.halted, sizeof(facts.work.halted), "too deep");
    expect("work.chain", OPS_PROBLEM, "too deep");
    facts.work.backup_usec = NOW - 30 * HOUR;
    expect("backup.age", OPS_PROBLEM, "30 h old");
    facts.work.backup_usec = NOW - 30 * HOUR; /* what the place has is younger */
    facts.backup.newest_usec = NOW - 2 * HOUR;
    expect("backup.age", OPS_OK, "2 h old");
    facts.work.backup_usec = 0;
    expect("backup.age", OPS_WARNING, "none was made yet");
    facts.work.verified_usec = NOW - 9 * 24 * HOUR;
    expect("backup.verified", OPS_WARNING, "9 days old");
    facts.backup.place[0] = '\0';
    expect("backup.scheduled", OPS_WARNING, "not set");
    ops_answer_set(&facts.backup.list, ERR_IO, &why);
    expect("backup.place", OPS_PROBLEM, "Row 7");
    ops_answer_set(&facts.backup.writable, ERR_IO, &why);
    expect("backup.place", OPS_PROBLEM, "Row 7");
}

static void the_chain(void **state)
{
    (void)state;
    const struct why gone = {.err = ERR_NODE_UNAVAILABLE, .text = "n1 is gone."};
    const struct why wrong = {.err = ERR_WRONG_CHAIN, .text = "n1 serves chain 1."};
    ops_answer_set(&facts.node.endpoints[0].answer, ERR_NODE_UNAVAILABLE, &gone);
    expect("node.reachable", OPS_WARNING, "n1 is gone");
    ops_answer_set(&facts.node.endpoints[0].answer, ERR_NODE_UNAVAILABLE, &gone);
    ops_answer_set(&facts.node.endpoints[1].answer, ERR_NODE_TIMEOUT, &gone);
    expect("node.reachable", OPS_PROBLEM, "n1 is gone");
    ops_answer_set(&facts.node.endpoints[1].answer, ERR_WRONG_CHAIN, &wrong);
    expect("node.chain_id", OPS_PROBLEM, "serves chain 1");
    facts.config.starts_chain = true;
    expect("node.reachable", OPS_SKIPPED, "starts a development chain");
    facts.node.syncing = true;
    expect("node.syncing", OPS_PROBLEM, "still");
    facts.node.head_usec = NOW - 10 * 60 * USEC_PER_SEC;
    expect("node.head", OPS_WARNING, "10 min old");
    facts.node.head_usec = NOW - 2 * HOUR;
    expect("node.head", OPS_PROBLEM, "2 h old");
    facts.node.head_usec = NOW - 2 * HOUR;
    facts.node.instant = true;
    expect("node.head", OPS_OK, "development");
    facts.node.head_usec = NOW + 60 * USEC_PER_SEC;
    expect("node.clock", OPS_WARNING, "60 s in the future");
    facts.node.start_block = 1001;
    expect("node.start_block", OPS_PROBLEM, "is 1001");
    ops_answer_set(&facts.node.logs, ERR_NODE_ERROR, &gone);
    expect("node.logs", OPS_PROBLEM, "gone");
    ops_answer_set(&facts.node.finalized, ERR_NODE_ERROR, &gone);
    expect("node.finalized", OPS_WARNING, "gone");
    ops_answer_set(&facts.contracts[OPS_CONTRACT_ROLES], ERR_FORBIDDEN, &gone);
    expect("contracts.roles", OPS_PROBLEM, "gone");
    facts.contracts[OPS_CONTRACT_ROLES].asked = false;
    expect("contracts.roles", OPS_SKIPPED, "not asked");
}

static void the_wallets(void **state)
{
    (void)state;
    facts.wallets[0].balance = wei_of(u256_from_u64(499));
    expect("wallets.balance", OPS_WARNING, "less than ops.balance_alert");
    facts.wallets[0].balance = wei_of(u256_from_u64(0));
    expect("wallets.balance", OPS_PROBLEM, "has nothing");
    facts.wallets[0] =
        (struct ops_wallet_facts){.in_database = true, .next = 5, .latest = 6, .pending = 6};
    expect("wallets.nonce", OPS_WARNING, "somebody sends");
    facts.wallets[0] =
        (struct ops_wallet_facts){.in_database = true, .next = 7, .latest = 6, .pending = 6};
    expect("wallets.nonce", OPS_WARNING, "the node waits for 6");
    facts.wallets[0] = (struct ops_wallet_facts){
        .in_database = true, .next = 7, .latest = 6, .pending = 6, .open = 1};
    expect("wallets.nonce", OPS_OK, "yes"); /* it is being sent */
    facts.wallets[0] = (struct ops_wallet_facts){.latest = 6, .pending = 8};
    expect("wallets.nonce", OPS_WARNING, "2 transactions wait");
    facts.wallet_count = 0;
    expect("wallets.keys", OPS_WARNING, "nothing can be sent");
    facts.signs = false;
    expect("wallets.keys", OPS_SKIPPED, "does not relay");
}

static void the_port(void **state)
{
    (void)state;
    const struct why why = {.err = ERR_IO, .text = "port 80 cannot be listened on"};
    ops_answer_set(&facts.http.bind, ERR_IO, &why);
    expect("http.port", OPS_PROBLEM, "port 80");
    ops_answer_set(&facts.http.bind, ERR_IO, &why);
    facts.http.ours = true;
    expect("http.port", OPS_OK, "a freehold serves");
    facts.config.outside = true;
    expect("http.outside", OPS_WARNING, "http.host");
}

/* ---- telling ---- */

static void a_run_is_told_with_its_sums(void **state)
{
    struct arena arena;
    struct buf out;
    struct ops_tally tally;
    (void)state;
    arena_init(&arena, 0);
    buf_init(&out, &arena, 4096);
    facts.config.node_count = 1;
    facts.database.fsync = false;
    ops_doctor_text(&facts, OPS_GROUP_COUNT, &out, &tally);
    const char *text = slice_cstr(&arena, buf_slice(&out));
    assert_non_null(strstr(text, "\n  problem  database.durable           fsync is off"));
    assert_non_null(strstr(text, "\n           > Set fsync = on"));
    assert_non_null(strstr(text, ", skipped 1, warnings 1, problems 1.\n"));
    assert_int_equal(tally.count[OPS_PROBLEM], 1);
    assert_int_equal(tally.count[OPS_WARNING], 1);
    assert_int_equal(tally.count[OPS_OK], ops_check_count - 3);
    buf_init(&out, &arena, 4096);
    ops_doctor_json(&facts, OPS_GROUP_CONFIG, &out, &tally);
    text = slice_cstr(&arena, buf_slice(&out));
    assert_non_null(strstr(text, "{\"check\":\"config.one_node\",\"group\":\"config\","
                                 "\"outcome\":\"warning\",\"said\":\"chain.rpc_urls names one "
                                 "node\",\"mend\":\"Add a node"));
    assert_non_null(strstr(text, "{\"success\":true,\"checks\":8,\"ok\":7,\"skipped\":0,"
                                 "\"warnings\":1,\"problems\":0}\n"));
    arena_free(&arena);
}

#define RULE(test) cmocka_unit_test_setup(test, make_well)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_is_whole),
        RULE(what_is_well_has_no_fault),
        RULE(what_is_not_known_is_skipped),
        RULE(what_takes_too_long_is_a_fault_of_one_check),
        RULE(machine_and_settings),
        RULE(a_development_chain_may_do_as_it_likes),
        RULE(files),
        RULE(the_database),
        RULE(books_and_work),
        RULE(the_chain),
        RULE(the_wallets),
        RULE(the_port),
        RULE(a_run_is_told_with_its_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
