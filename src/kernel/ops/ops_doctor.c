#include "kernel/ops/ops_doctor.h"

#include <stdarg.h>

#include "kernel/base/check.h"
#include "kernel/ops/ops_doctor_rules.h"

#define SEC_PER_MIN 60
#define SEC_PER_HOUR 3600
#define SEC_PER_DAY 86400

/* ---- words ---- */

const char *ops_outcome_text(enum ops_outcome outcome)
{
    static const char *const texts[OPS_OUTCOME_COUNT] = {
        [OPS_OK] = "ok",
        [OPS_SKIPPED] = "skipped",
        [OPS_WARNING] = "warning",
        [OPS_PROBLEM] = "problem",
    };
    ASSERT(outcome < OPS_OUTCOME_COUNT);
    return texts[outcome];
}

struct group {
    const char *name;
    const char *title;
};

static const struct group groups[OPS_GROUP_COUNT] = {
    [OPS_GROUP_MACHINE] = {"machine", "Machine"},
    [OPS_GROUP_CONFIG] = {"config", "Configuration"},
    [OPS_GROUP_FILES] = {"files", "Files"},
    [OPS_GROUP_DATABASE] = {"database", "Database"},
    [OPS_GROUP_BOOKS] = {"books", "Ledger and audit log"},
    [OPS_GROUP_WORK] = {"work", "Work"},
    [OPS_GROUP_NODE] = {"node", "Nodes"},
    [OPS_GROUP_CONTRACTS] = {"contracts", "Contracts"},
    [OPS_GROUP_WALLETS] = {"wallets", "Wallets"},
    [OPS_GROUP_HTTP] = {"http", "HTTP"},
    [OPS_GROUP_REDIS] = {"redis", "Redis"},
    [OPS_GROUP_BACKUP] = {"backup", "Backups"},
};

const char *ops_group_text(enum ops_group group)
{
    ASSERT(group < OPS_GROUP_COUNT);
    return groups[group].name;
}

enum ops_group ops_group_find(struct slice name)
{
    int g = 0;
    while (g < OPS_GROUP_COUNT && !slice_equal_text(name, groups[g].name)) {
        g++;
    }
    return (enum ops_group)g;
}

static const char *const needs[OPS_TOPIC_COUNT] = {
    [OPS_NOTHING] = "nothing", [OPS_CONFIG] = "settings",     [OPS_FILES] = "settings",
    [OPS_KEYS] = "keys",       [OPS_FILE] = "SQLite",         [OPS_SERVER] = "PostgreSQL",
    [OPS_ROWS] = "database",   [OPS_BOOKS] = "database",      [OPS_NODE] = "node",
    [OPS_CONTRACTS] = "node",  [OPS_BALANCES] = "node, keys", [OPS_HTTP] = "settings",
    [OPS_REDIS] = "Redis",     [OPS_BACKUP] = "settings",
};

/* ---- facts ---- */

void ops_topic_learn(struct ops_facts *facts, enum ops_topic topic)
{
    ASSERT(topic < OPS_TOPIC_COUNT);
    facts->topics[topic].known = true;
}

void ops_topic_miss(struct ops_facts *facts, enum ops_topic topic, const char *format, ...)
{
    ASSERT(topic < OPS_TOPIC_COUNT);
    struct ops_topic_state *state = &facts->topics[topic];
    if (state->why[0] != '\0') {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(state->why, sizeof(state->why), format, args);
    va_end(args);
}

void ops_answer_set(struct ops_answer *answer, enum err err, const struct why *why)
{
    answer->asked = true;
    answer->err = err;
    (void)snprintf(answer->text, sizeof(answer->text), "%s", err == OK ? "" : why_text(why, err));
}

/* ---- verdicts ---- */

static void say(struct ops_verdict *out, enum ops_outcome outcome, const char *format, va_list args)
{
    out->outcome = outcome;
    (void)vsnprintf(out->said, sizeof(out->said), format, args);
    size_t len = strlen(out->said);
    if (len > 0 && out->said[len - 1] == '.') {
        out->said[len - 1] = '\0';
    }
}

void ops_fine(struct ops_verdict *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(out, OPS_OK, format, args);
    va_end(args);
}

void ops_bad(const struct ops_check *check, struct ops_verdict *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(out, check->severity, format, args);
    va_end(args);
}

void ops_mild(struct ops_verdict *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(out, OPS_WARNING, format, args);
    va_end(args);
}

void ops_skip(struct ops_verdict *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(out, OPS_SKIPPED, format, args);
    va_end(args);
}

bool ops_late(const struct ops_check *check, const struct ops_facts *f, enum ops_topic topic,
              struct ops_verdict *out)
{
    if (f->topics[topic].late) {
        ops_bad(check, out, "%s", f->topics[topic].why);
    }
    return f->topics[topic].late;
}

void ops_span_format(int64_t usec, char out[OPS_SPAN_MAX])
{
    int64_t sec = usec / USEC_PER_SEC;
    if (sec < 2 * SEC_PER_MIN) {
        (void)snprintf(out, OPS_SPAN_MAX, "%lld s", (long long)sec);
    } else if (sec < 2 * SEC_PER_HOUR) {
        (void)snprintf(out, OPS_SPAN_MAX, "%lld min", (long long)(sec / SEC_PER_MIN));
    } else if (sec < 2 * SEC_PER_DAY) {
        (void)snprintf(out, OPS_SPAN_MAX, "%lld h", (long long)(sec / SEC_PER_HOUR));
    } else {
        (void)snprintf(out, OPS_SPAN_MAX, "%lld days", (long long)(sec / SEC_PER_DAY));
    }
}

void ops_bytes_format(uint64_t bytes, char out[OPS_SPAN_MAX])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    uint64_t tenths = bytes >= UINT64_MAX / 10 ? UINT64_MAX : bytes * 10;
    while (tenths >= 10240 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        tenths /= 1024;
        unit++;
    }
    (void)snprintf(out, OPS_SPAN_MAX, "%llu.%llu %s", (unsigned long long)(tenths / 10),
                   (unsigned long long)(tenths % 10), units[unit]);
}

void ops_check_run(const struct ops_check *check, const struct ops_facts *facts,
                   struct ops_verdict *out)
{
    const struct ops_topic_state *topic = &facts->topics[check->needs];
    if (check->needs != OPS_NOTHING && !topic->known) {
        ops_skip(out, "%s", topic->why);
        return;
    }
    check->judge(check, facts, out);
}

/* ---- telling ---- */

static bool is_fault(enum ops_outcome outcome)
{
    return outcome == OPS_WARNING || outcome == OPS_PROBLEM;
}

static size_t total(const struct ops_tally *tally)
{
    size_t sum = 0;
    for (int o = 0; o < OPS_OUTCOME_COUNT; o++) {
        sum += tally->count[o];
    }
    return sum;
}

void ops_doctor_text(const struct ops_facts *facts, enum ops_group only, struct buf *out,
                     struct ops_tally *tally)
{
    enum ops_group group = OPS_GROUP_COUNT;
    *tally = (struct ops_tally){{0}};
    for (size_t i = 0; i < ops_check_count; i++) {
        const struct ops_check *check = &ops_checks[i];
        struct ops_verdict verdict = {.outcome = OPS_OK};
        if (only != OPS_GROUP_COUNT && only != check->group) {
            continue;
        }
        if (check->group != group) {
            group = check->group;
            buf_format(out, "%s\n", groups[group].title);
        }
        ops_check_run(check, facts, &verdict);
        tally->count[verdict.outcome]++;
        buf_format(out, "  %-8s %-26s %s\n", ops_outcome_text(verdict.outcome), check->name,
                   verdict.said);
        if (is_fault(verdict.outcome)) {
            buf_format(out, "           > %s\n", check->mend);
        }
    }
    buf_format(out, "%zu checks: ok %zu, skipped %zu, warnings %zu, problems %zu.\n", total(tally),
               tally->count[OPS_OK], tally->count[OPS_SKIPPED], tally->count[OPS_WARNING],
               tally->count[OPS_PROBLEM]);
}

static void json_member(struct json_out *j, const char *key, const char *text)
{
    json_key(j, key);
    json_text(j, text);
}

static void check_json(const struct ops_check *check, const struct ops_verdict *verdict,
                       struct buf *out)
{
    struct json_out j;
    json_out_init(&j, out);
    json_begin_object(&j);
    json_member(&j, "check", check->name);
    json_member(&j, "group", groups[check->group].name);
    json_member(&j, "outcome", ops_outcome_text(verdict->outcome));
    json_member(&j, "said", verdict->said);
    if (is_fault(verdict->outcome)) {
        json_member(&j, "mend", check->mend);
    }
    json_end_object(&j);
    buf_add_byte(out, '\n');
}

static void tally_json(const struct ops_tally *tally, struct buf *out)
{
    static const char *const keys[OPS_OUTCOME_COUNT] = {
        [OPS_OK] = "ok",
        [OPS_SKIPPED] = "skipped",
        [OPS_WARNING] = "warnings",
        [OPS_PROBLEM] = "problems",
    };
    struct json_out j;
    json_out_init(&j, out);
    json_begin_object(&j);
    json_key(&j, "success");
    json_bool(&j, tally->count[OPS_PROBLEM] == 0);
    json_key(&j, "checks");
    json_u64(&j, total(tally));
    for (int o = 0; o < OPS_OUTCOME_COUNT; o++) {
        json_key(&j, keys[o]);
        json_u64(&j, tally->count[o]);
    }
    json_end_object(&j);
    buf_add_byte(out, '\n');
}

void ops_doctor_json(const struct ops_facts *facts, enum ops_group only, struct buf *out,
                     struct ops_tally *tally)
{
    *tally = (struct ops_tally){{0}};
    for (size_t i = 0; i < ops_check_count; i++) {
        const struct ops_check *check = &ops_checks[i];
        struct ops_verdict verdict = {.outcome = OPS_OK};
        if (only != OPS_GROUP_COUNT && only != check->group) {
            continue;
        }
        ops_check_run(check, facts, &verdict);
        tally->count[verdict.outcome]++;
        check_json(check, &verdict, out);
    }
    tally_json(tally, out);
}

void ops_doctor_reference(struct buf *out)
{
    buf_add_text(out, "`freehold doctor` asks these questions and changes nothing. Severity is "
                      "what a no is at worst; a check whose needs are not there is skipped and "
                      "says why. Exit status 1 means that there is a problem.\n");
    enum ops_group group = OPS_GROUP_COUNT;
    for (size_t i = 0; i < ops_check_count; i++) {
        const struct ops_check *check = &ops_checks[i];
        if (check->group != group) {
            group = check->group;
            buf_format(out,
                       "\n## %s (`--only %s`)\n\n| check | asks | no is a | needs | what to do "
                       "|\n|---|---|---|---|---|\n",
                       groups[group].title, groups[group].name);
        }
        buf_format(out, "| `%s` | %s | %s | %s | %s |\n", check->name, check->asks,
                   ops_outcome_text(check->severity), needs[check->needs], check->mend);
    }
}
