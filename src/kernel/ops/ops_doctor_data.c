/*
 * Rules about what is kept: database, ledger and audit log, jobs and leases, backups.
 */
#include "kernel/ops/ops_doctor_rules.h"

#define GIB (1024ull * 1024 * 1024)
/* A log of this size was not written back for long. Units: bytes. */
#define WAL_LARGE (1 * GIB)
#define CLOCK_MILD_USEC (2ll * USEC_PER_SEC)
/* Within a lease of a minute: what the keepers of other machines would take for dead. */
#define CLOCK_BAD_USEC (60ll * USEC_PER_SEC)
/* Long enough for a takeover, many times over. */
#define ORPHAN_USEC (60ll * USEC_PER_SEC)
/* The schedule is weekly; a day late is no reason to worry. */
#define VERIFIED_USEC (8 * 86400ll * USEC_PER_SEC)

/* ---- database ---- */

void ops_rule_database(const struct ops_check *check, const struct ops_facts *f,
                       struct ops_verdict *out)
{
    const struct ops_database_facts *d = &f->database;
    if (ops_late(check, f, OPS_ROWS, out)) {
        return;
    }
    if (d->is_new) {
        ops_fine(out, "nothing is in %s yet: the first start makes it", d->shown);
    } else if (d->open.err != OK) {
        ops_bad(check, out, "%s", d->open.text);
    } else if (d->is_file) {
        ops_fine(out, "%s", d->shown);
    } else {
        ops_fine(out, "%s (PostgreSQL %lld.%lld)", d->shown, (long long)(d->version / 10000),
                 (long long)(d->version % 10000));
    }
}

void ops_rule_migrations(const struct ops_check *check, const struct ops_facts *f,
                         struct ops_verdict *out)
{
    const struct ops_database_facts *d = &f->database;
    if (!d->schema.asked) {
        ops_skip(out, d->is_new ? "there is no database yet" : "the database cannot be read");
    } else if (d->schema.err != OK) {
        ops_bad(check, out, "%s", d->schema.text);
    } else if (d->applied < d->known) {
        ops_mild(out, "%u of %u migrations are applied", d->applied, d->known);
    } else {
        ops_fine(out, "%u of %u", d->applied, d->known);
    }
}

void ops_rule_copy(const struct ops_check *check, const struct ops_facts *f,
                   struct ops_verdict *out)
{
    if (f->database.whole.err != OK) {
        ops_bad(check, out, "%s", f->database.whole.text);
    } else {
        ops_fine(out, "yes");
    }
}

void ops_rule_owner(const struct ops_check *check, const struct ops_facts *f,
                    struct ops_verdict *out)
{
    const struct ops_database_facts *d = &f->database;
    if (d->intruder_pid != 0) {
        ops_bad(check, out, "process %lld has locks on it, beside its owner %lld",
                (long long)d->intruder_pid, (long long)d->owner_pid);
    } else if (d->owner_pid != 0) {
        ops_fine(out, "process %lld has it", (long long)d->owner_pid);
    } else {
        ops_fine(out, "no process has it");
    }
}

void ops_rule_wal(const struct ops_check *check, const struct ops_facts *f, struct ops_verdict *out)
{
    char size[OPS_SPAN_MAX];
    const struct ops_database_facts *d = &f->database;
    ops_bytes_format(d->wal_bytes, size);
    if (d->owner_pid == 0 && d->wal_bytes > 0) {
        ops_bad(check, out, "the last process ended without closing the file; its log has %s",
                size);
    } else if (d->wal_bytes > WAL_LARGE) {
        ops_bad(check, out, "it has %s", size);
    } else {
        ops_fine(out, "%s", size);
    }
}

void ops_rule_integrity(const struct ops_check *check, const struct ops_facts *f,
                        struct ops_verdict *out)
{
    const struct ops_answer *a = &f->database.integrity;
    if (!a->asked) {
        ops_skip(out, f->database.is_file ? "the file is large: freehold backup verify reads it all"
                                          : "the database is a server");
    } else if (a->err != OK) {
        ops_bad(check, out, "%s", a->text);
    } else {
        ops_fine(out, "yes");
    }
}

void ops_rule_durable(const struct ops_check *check, const struct ops_facts *f,
                      struct ops_verdict *out)
{
    if (!f->database.fsync || !f->database.full_page_writes) {
        ops_bad(check, out, "%s is off: a power cut damages the database",
                f->database.fsync ? "full_page_writes" : "fsync");
    } else {
        ops_fine(out, "fsync and full_page_writes are on");
    }
}

void ops_rule_commit(const struct ops_check *check, const struct ops_facts *f,
                     struct ops_verdict *out)
{
    if (!f->database.waits_for_disk) {
        ops_bad(check, out, "synchronous_commit is off");
    } else {
        ops_fine(out, "yes");
    }
}

void ops_rule_connections(const struct ops_check *check, const struct ops_facts *f,
                          struct ops_verdict *out)
{
    const struct ops_database_facts *d = &f->database;
    if (d->connections_free < (int64_t)d->connections_wanted) {
        ops_bad(check, out, "%lld are free, a process wants up to %llu",
                (long long)d->connections_free, (unsigned long long)d->connections_wanted);
    } else {
        ops_fine(out, "%lld are free, a process wants up to %llu", (long long)d->connections_free,
                 (unsigned long long)d->connections_wanted);
    }
}

void ops_rule_autovacuum(const struct ops_check *check, const struct ops_facts *f,
                         struct ops_verdict *out)
{
    if (!f->database.autovacuum) {
        ops_bad(check, out, "autovacuum is off");
    } else {
        ops_fine(out, "yes");
    }
}

void ops_rule_clock(const struct ops_check *check, const struct ops_facts *f,
                    struct ops_verdict *out)
{
    int64_t ahead = f->database.clock_ahead_usec;
    int64_t apart = ahead < 0 ? -ahead : ahead;
    char span[OPS_SPAN_MAX];
    ops_span_format(apart, span);
    if (apart >= CLOCK_BAD_USEC) {
        ops_bad(check, out, "this machine is %s %s the server", span,
                ahead > 0 ? "ahead of" : "behind");
    } else if (apart >= CLOCK_MILD_USEC) {
        ops_mild(out, "this machine is %s %s the server", span, ahead > 0 ? "ahead of" : "behind");
    } else {
        ops_fine(out, "%lld ms apart", (long long)(apart / 1000));
    }
}

void ops_rule_statistics(const struct ops_check *check, const struct ops_facts *f,
                         struct ops_verdict *out)
{
    if (f->database.unanalysed[0] != '\0') {
        ops_bad(check, out, "the table %s was never analysed", f->database.unanalysed);
    } else {
        ops_fine(out, "yes");
    }
}

void ops_rule_partitions(const struct ops_check *check, const struct ops_facts *f,
                         struct ops_verdict *out)
{
    if (f->database.partition[0] != '\0') {
        ops_bad(check, out, "%s is missing", f->database.partition);
    } else {
        ops_fine(out, "yes");
    }
}

/* ---- books ---- */

void ops_rule_ledger(const struct ops_check *check, const struct ops_facts *f,
                     struct ops_verdict *out)
{
    const struct ops_books_facts *b = &f->books;
    if (b->unbalanced > 0) {
        ops_bad(check, out, "%llu of %llu books do not balance, first %s",
                (unsigned long long)b->unbalanced, (unsigned long long)b->books, b->first_book);
    } else {
        ops_fine(out, "%llu books", (unsigned long long)b->books);
    }
}

void ops_rule_audit(const struct ops_check *check, const struct ops_facts *f,
                    struct ops_verdict *out)
{
    if (f->books.audit.err != OK) {
        ops_bad(check, out, "%s", f->books.audit.text);
    } else {
        ops_fine(out, "the last %llu rows", (unsigned long long)f->books.audit_rows);
    }
}

/* ---- work ---- */

void ops_rule_dead(const struct ops_check *check, const struct ops_facts *f,
                   struct ops_verdict *out)
{
    const struct ops_work_facts *w = &f->work;
    if (w->dead > 0 && (uint64_t)w->dead > w->dead_alert) {
        ops_bad(check, out, "%lld jobs are dead, more than jobs.dead_alert (%llu)",
                (long long)w->dead, (unsigned long long)w->dead_alert);
    } else {
        ops_fine(out, "%lld", (long long)w->dead);
    }
}

void ops_rule_leases(const struct ops_check *check, const struct ops_facts *f,
                     struct ops_verdict *out)
{
    const struct ops_work_facts *w = &f->work;
    char span[OPS_SPAN_MAX];
    if (w->orphan[0] == '\0' || w->orphan_usec < ORPHAN_USEC) {
        ops_fine(out, "%llu processes live", (unsigned long long)w->processes);
        return;
    }
    ops_span_format(w->orphan_usec, span);
    ops_bad(check, out, "the owner of %s is gone for %s, and nobody took over", w->orphan, span);
}

void ops_rule_keys_left(const struct ops_check *check, const struct ops_facts *f,
                        struct ops_verdict *out)
{
    const struct ops_work_facts *w = &f->work;
    if (w->keys_stuck > 0) {
        ops_bad(check, out, "%lld requests with an Idempotency-Key did not end",
                (long long)w->keys_stuck);
    } else if (w->keys_expired > 0) {
        ops_bad(check, out, "%lld idempotency keys are older than they should become",
                (long long)w->keys_expired);
    } else {
        ops_fine(out, "yes");
    }
}

void ops_rule_halted(const struct ops_check *check, const struct ops_facts *f,
                     struct ops_verdict *out)
{
    if (f->work.halted[0] != '\0') {
        ops_bad(check, out, "it was halted: %s", f->work.halted);
    } else {
        ops_fine(out, "it is not halted");
    }
}

/* ---- backups ---- */

void ops_rule_backup_scheduled(const struct ops_check *check, const struct ops_facts *f,
                               struct ops_verdict *out)
{
    if (f->backup.place[0] != '\0') {
        ops_fine(out, "every day, to %s", f->backup.place);
    } else if (!f->config.real_chain) {
        ops_fine(out, "a development chain");
    } else {
        ops_bad(check, out, "backup.to is not set");
    }
}

void ops_rule_backup_place(const struct ops_check *check, const struct ops_facts *f,
                           struct ops_verdict *out)
{
    const struct ops_backup_facts *b = &f->backup;
    if (ops_late(check, f, OPS_BACKUP, out)) {
        return;
    }
    if (b->place[0] == '\0') {
        ops_skip(out, "backup.to is not set");
    } else if (b->list.err != OK) {
        ops_bad(check, out, "%s", b->list.text);
    } else if (b->writable.err != OK) {
        ops_bad(check, out, "%s", b->writable.text);
    } else {
        ops_fine(out, "%zu whole backups%s", b->count,
                 b->writable.asked ? "" : " (writing was not tried)");
    }
}

/* When the last good one was made, by whatever is known of it; 0: none. */
static int64_t last_backup(const struct ops_facts *f)
{
    int64_t noted = f->topics[OPS_ROWS].known ? f->work.backup_usec : 0;
    return noted > f->backup.newest_usec ? noted : f->backup.newest_usec;
}

void ops_rule_backup_age(const struct ops_check *check, const struct ops_facts *f,
                         struct ops_verdict *out)
{
    char span[OPS_SPAN_MAX];
    int64_t last = last_backup(f);
    if (last == 0) {
        ops_mild(out, "none was made yet");
        return;
    }
    ops_span_format(f->now_usec - last, span);
    if (f->now_usec - last > f->backup.age_usec_max) {
        ops_bad(check, out, "the last good one is %s old", span);
    } else {
        ops_fine(out, "%s old", span);
    }
}

void ops_rule_backup_verified(const struct ops_check *check, const struct ops_facts *f,
                              struct ops_verdict *out)
{
    char span[OPS_SPAN_MAX];
    if (!f->topics[OPS_ROWS].known) {
        ops_skip(out, "the database cannot be read");
        return;
    }
    if (f->work.verified_usec == 0) {
        ops_bad(check, out, "none was proven yet by the schedule");
        return;
    }
    ops_span_format(f->now_usec - f->work.verified_usec, span);
    if (f->now_usec - f->work.verified_usec > VERIFIED_USEC) {
        ops_bad(check, out, "the last proof is %s old", span);
    } else {
        ops_fine(out, "%s ago", span);
    }
}
