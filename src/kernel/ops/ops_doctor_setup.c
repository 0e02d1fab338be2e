/*
 * Rules about what is there before anything runs: machine, settings, files, port, Redis.
 */
#include "kernel/ops/ops_doctor_rules.h"

/* Permission bits that let others than the owner, and others than owner and group, at a file. */
#define BITS_NOT_OWNER 077u
#define BITS_STRANGERS 007u

#define MIB (1024ull * 1024)
/* With less than this nothing may be left after a busy hour. Units: bytes. */
#define SPACE_BAD (256 * MIB)
#define SPACE_LOW (2048 * MIB)

/* ---- machine ---- */

void ops_rule_descriptors(const struct ops_check *check, const struct ops_facts *f,
                          struct ops_verdict *out)
{
    const struct ops_machine_facts *m = &f->machine;
    if (m->descriptors < m->descriptors_wanted) {
        ops_bad(check, out, "%llu files may be open, %llu are wanted",
                (unsigned long long)m->descriptors, (unsigned long long)m->descriptors_wanted);
    } else {
        ops_fine(out, "%llu of the files that may be open are wanted",
                 (unsigned long long)m->descriptors_wanted);
    }
}

void ops_rule_file_size(const struct ops_check *check, const struct ops_facts *f,
                        struct ops_verdict *out)
{
    char size[OPS_SPAN_MAX];
    if (f->machine.file_bytes_max == UINT64_MAX) {
        ops_fine(out, "files have no limit");
        return;
    }
    ops_bytes_format(f->machine.file_bytes_max, size);
    ops_bad(check, out, "a file may have %s: then the database is full", size);
}

void ops_rule_anvil(const struct ops_check *check, const struct ops_facts *f,
                    struct ops_verdict *out)
{
    const struct ops_answer *a = &f->machine.anvil;
    if (!a->asked) {
        ops_skip(out, "nodes are configured: no development chain is started");
    } else if (a->err != OK) {
        ops_bad(check, out, "%s", a->text);
    } else {
        ops_fine(out, "found");
    }
}

/* ---- settings ---- */

void ops_rule_config_right(const struct ops_check *check, const struct ops_facts *f,
                           struct ops_verdict *out)
{
    const struct ops_config_facts *c = &f->config;
    if (c->load.err != OK) {
        ops_bad(check, out, "%s", c->load.text);
    } else if (c->path[0] != '\0') {
        ops_fine(out, "%s", c->path);
    } else {
        ops_fine(out, "no file: defaults, environment and command line");
    }
}

void ops_rule_config_mode(const struct ops_check *check, const struct ops_facts *f,
                          struct ops_verdict *out)
{
    const struct ops_config_facts *c = &f->config;
    if (c->path[0] == '\0' || !c->file_has_secrets) {
        ops_fine(out, "no secret comes from a file");
    } else if ((c->mode & BITS_STRANGERS) != 0) {
        ops_bad(check, out, "%s has secrets in it and mode %03o", c->path, c->mode);
    } else {
        ops_fine(out, "%s has mode %03o", c->path, c->mode);
    }
}

/* Rules for real chains begin with this: a development chain may do as it likes. */
static bool is_play(const struct ops_facts *f, struct ops_verdict *out)
{
    if (!f->config.real_chain) {
        ops_fine(out, "a development chain");
    }
    return !f->config.real_chain;
}

void ops_rule_dev_accounts(const struct ops_check *check, const struct ops_facts *f,
                           struct ops_verdict *out)
{
    if (is_play(f, out)) {
        return;
    }
    if (f->config.dev_accounts > 0) {
        ops_bad(check, out, "wallets.dev_accounts is %llu: anybody can empty these wallets",
                (unsigned long long)f->config.dev_accounts);
    } else {
        ops_fine(out, "none");
    }
}

void ops_rule_confirmations(const struct ops_check *check, const struct ops_facts *f,
                            struct ops_verdict *out)
{
    if (is_play(f, out)) {
        return;
    }
    if (f->config.confirmations == 0) {
        ops_bad(check, out, "chain.confirmations is 0: a reorganisation takes back what was told");
    } else {
        ops_fine(out, "%llu", (unsigned long long)f->config.confirmations);
    }
}

void ops_rule_unsynced(const struct ops_check *check, const struct ops_facts *f,
                       struct ops_verdict *out)
{
    if (f->config.unsynced) {
        ops_bad(check, out, "store.synchronous is normal");
    } else {
        ops_fine(out, "yes");
    }
}

void ops_rule_operator_token(const struct ops_check *check, const struct ops_facts *f,
                             struct ops_verdict *out)
{
    if (f->config.has_operator_token) {
        ops_fine(out, "set");
    } else if (!is_play(f, out)) {
        ops_bad(check, out, "http.operator_token is not set");
    }
}

void ops_rule_one_node(const struct ops_check *check, const struct ops_facts *f,
                       struct ops_verdict *out)
{
    if (is_play(f, out)) {
        return;
    }
    if (f->config.node_count < 2) {
        ops_bad(check, out, "chain.rpc_urls names one node");
    } else {
        ops_fine(out, "%zu nodes", f->config.node_count);
    }
}

void ops_rule_cleartext(const struct ops_check *check, const struct ops_facts *f,
                        struct ops_verdict *out)
{
    if (f->config.cleartext[0] != '\0') {
        ops_bad(check, out, "%s is asked without TLS", f->config.cleartext);
    } else {
        ops_fine(out, "yes");
    }
}

/* ---- files ---- */

void ops_rule_folder(const struct ops_check *check, const struct ops_facts *f,
                     struct ops_verdict *out)
{
    const struct ops_file_facts *files = &f->files;
    if (ops_late(check, f, OPS_FILES, out)) {
        return;
    }
    if (files->folder[0] == '\0') {
        ops_skip(out, "the database is a server, and no development chain is started");
    } else if (files->writable.err != OK) {
        ops_bad(check, out, "%s", files->writable.text);
    } else if (files->folder_exists) {
        ops_fine(out, "%s", files->folder);
    } else {
        ops_fine(out, "%s is made by the first start", files->folder);
    }
}

void ops_rule_space(const struct ops_check *check, const struct ops_facts *f,
                    struct ops_verdict *out)
{
    char size[OPS_SPAN_MAX];
    if (f->files.folder[0] == '\0') {
        ops_skip(out, "the disk is that of the server");
        return;
    }
    ops_bytes_format(f->files.free_bytes, size);
    if (f->files.free_bytes < SPACE_BAD) {
        ops_bad(check, out, "%s are left", size);
    } else if (f->files.free_bytes < SPACE_LOW) {
        ops_mild(out, "%s are left", size);
    } else {
        ops_fine(out, "%s are left", size);
    }
}

struct filesystem {
    uint64_t magic; /* linux/magic.h and the sources of those that are not there */
    const char *name;
    bool network;
};

static const struct filesystem filesystems[] = {
    {0x6969, "NFS", true},        {0x517B, "SMB", true},      {0xFF534D42, "CIFS", true},
    {0xFE534D42, "SMB 2", true},  {0x01021997, "9p", true},   {0x00C36400, "Ceph", true},
    {0x5346414F, "AFS", true},    {0x73757245, "Coda", true}, {0x0BD00BD0, "Lustre", true},
    {0x47504653, "GPFS", true},   {0x65735546, "FUSE", true}, {0x01021994, "tmpfs", false},
    {0x858458f6, "ramfs", false},
};

void ops_rule_filesystem(const struct ops_check *check, const struct ops_facts *f,
                         struct ops_verdict *out)
{
    if (!f->database.is_file) {
        ops_skip(out, "the database is a server");
        return;
    }
    for (size_t i = 0; i < sizeof(filesystems) / sizeof(filesystems[0]); i++) {
        const struct filesystem *fs = &filesystems[i];
        if (fs->magic != f->files.filesystem) {
            continue;
        }
        if (fs->network) {
            ops_bad(check, out, "%s is on %s, whose locks and writes SQLite cannot rely on",
                    f->files.folder, fs->name);
        } else {
            ops_mild(out, "%s is on %s: it is gone when the machine restarts", f->files.folder,
                     fs->name);
        }
        return;
    }
    ops_fine(out, "a local disk");
}

/* What is loose about a file that must not be. */
static void judge_mode(const struct ops_check *check, struct ops_verdict *out,
                       const struct ops_loose *loose)
{
    if (loose->path[0] != '\0') {
        ops_bad(check, out, "%s has mode %03o", loose->path, loose->mode);
    } else {
        ops_fine(out, "yes");
    }
}

void ops_rule_database_mode(const struct ops_check *check, const struct ops_facts *f,
                            struct ops_verdict *out)
{
    if (!f->files.has_database) {
        ops_skip(out, f->database.is_file ? "there is no file yet" : "the database is a server");
        return;
    }
    judge_mode(check, out, &f->files.database);
}

void ops_rule_keystore_mode(const struct ops_check *check, const struct ops_facts *f,
                            struct ops_verdict *out)
{
    if (!f->files.has_keystore) {
        ops_skip(out, "wallets.keystore_dir is not set");
        return;
    }
    judge_mode(check, out, &f->files.keystore);
}

void ops_rule_password_mode(const struct ops_check *check, const struct ops_facts *f,
                            struct ops_verdict *out)
{
    const struct ops_answer *a = &f->files.password_file;
    if (!a->asked) {
        ops_skip(out, "wallets.password_file is not set");
    } else if (a->err != OK) {
        ops_bad(check, out, "%s", a->text);
    } else {
        judge_mode(check, out, &f->files.password);
    }
}

/* ---- HTTP, Redis ---- */

void ops_rule_port(const struct ops_check *check, const struct ops_facts *f,
                   struct ops_verdict *out)
{
    const struct ops_http_facts *h = &f->http;
    if (h->any_port) {
        ops_fine(out, "http.port is 0: a free one is taken");
    } else if (h->ours) {
        ops_fine(out, "a freehold serves %s", h->place);
    } else if (h->bind.err != OK) {
        ops_bad(check, out, "%s", h->bind.text);
    } else {
        ops_fine(out, "%s is free", h->place);
    }
}

void ops_rule_outside(const struct ops_check *check, const struct ops_facts *f,
                      struct ops_verdict *out)
{
    if (f->config.outside) {
        ops_bad(check, out, "http.host is not an address of this machine alone");
    } else {
        ops_fine(out, "it listens on this machine only");
    }
}

void ops_rule_redis(const struct ops_check *check, const struct ops_facts *f,
                    struct ops_verdict *out)
{
    if (ops_late(check, f, OPS_REDIS, out)) {
        return;
    }
    if (!f->redis.asked) {
        ops_skip(out, "redis.url is not set");
    } else if (f->redis.err != OK) {
        ops_bad(check, out, "%s", f->redis.text);
    } else {
        ops_fine(out, "it answers");
    }
}
