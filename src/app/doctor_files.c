/*
 * Looking at settings, limits of the process, folders and files.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "app/devchain.h"
#include "app/doctor.h"
#include "app/nodes.h"
#include "kernel/store/store_file.h"

#define MODE_BITS 07777u
#define BITS_NOT_OWNER 077u
#define BITS_STRANGERS 007u
#define BITS_WRITE_OTHERS 022u
/* Connections beside readers and writers: of leases, and of signals. */
#define STORE_CONNECTIONS_OTHER 2

/* ---- settings and limits ---- */

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

static void look_at_nodes(const struct settings *s, struct ops_config_facts *c)
{
    struct arena scratch;
    struct rpc_endpoint endpoints[RPC_ENDPOINTS_MAX];
    arena_init(&scratch, 0);
    if (nodes_list(&s->chain, &scratch, endpoints, &c->node_count, NULL) != OK) {
        c->node_count = 0;
    }
    for (size_t i = 0; i < c->node_count; i++) {
        bool clear = strncmp(endpoints[i].url, "http://", strlen("http://")) == 0;
        if (clear && !settings_is_local(endpoints[i].url) && c->cleartext[0] == '\0') {
            net_url_origin(endpoints[i].url, c->cleartext);
        }
    }
    arena_free(&scratch);
}

static void look_at_config_file(const struct settings *s, const char *path,
                                struct ops_config_facts *c)
{
    struct stat st;
    if (path == NULL) {
        return;
    }
    (void)snprintf(c->path, sizeof(c->path), "%s", path);
    c->mode = stat(path, &st) == 0 ? st.st_mode & MODE_BITS : 0;
    c->file_has_secrets = config_file_secret(s->registry) != NULL;
}

static void look_at_machine(const struct settings *s, struct ops_machine_facts *m)
{
    struct rlimit limit;
    struct arena scratch;
    struct why why = {.err = OK};
    const char *path = NULL;
    m->descriptors_wanted = s->http.connections_max + HTTP_DESCRIPTORS_OTHER + s->store.readers +
                            s->store.writers + STORE_CONNECTIONS_OTHER;
    m->descriptors = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : UINT64_MAX;
    if (s->chain.rpc_urls[0] == '\0') {
        arena_init(&scratch, 0);
        enum err e = devchain_find_anvil(&scratch, s->devchain.anvil, &path, &why);
        ops_answer_set(&m->anvil, e, &why);
        arena_free(&scratch);
    }
}

bool doctor_config(const struct settings *s, const char *config_path, enum err load,
                   const struct why *why, struct ops_facts *f)
{
    struct ops_config_facts *c = &f->config;
    struct rlimit limit;
    ops_answer_set(&c->load, load, why);
    f->machine.file_bytes_max = UINT64_MAX;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        f->machine.file_bytes_max = limit.rlim_cur;
    }
    /* Loading is all or nothing; what is wrong only together leaves values to go on with. */
    if (s->store.url == NULL) {
        for (int topic = OPS_CONFIG; topic < OPS_TOPIC_COUNT; topic++) {
            ops_topic_miss(f, (enum ops_topic)topic, "the settings cannot be read");
        }
        return false;
    }
    look_at_config_file(s, config_path, c);
    look_at_nodes(s, c);
    look_at_machine(s, &f->machine);
    c->real_chain = !settings_is_development(s);
    c->starts_chain = c->node_count == 0;
    c->confirmations = s->chain.confirmations;
    c->dev_accounts = s->wallets.dev_accounts;
    c->has_operator_token = secret_len(&s->http.operator_token) > 0;
    c->outside = !is_loopback(s->http.host);
    c->unsynced = store_file_is(s->store.url) && strcmp(s->store.synchronous, "normal") == 0;
    f->database.is_file = store_file_is(s->store.url);
    f->database.connections_wanted = s->store.readers + s->store.writers + STORE_CONNECTIONS_OTHER;
    f->work.dead_alert = s->jobs.dead_alert;
    f->signs = (s->service.role_set & ROLE_RELAY) != 0;
    f->balance_wei_alert = s->ops.balance_wei_alert;
    f->backup.age_usec_max = s->backup.age_usec_max;
    (void)snprintf(f->backup.place, sizeof(f->backup.place), "%s", s->backup.to);
    ops_topic_learn(f, OPS_CONFIG);
    return true;
}

/* ---- folders ---- */

/* Cuts the last part off a path: "." and "/" are the ends. */
static void go_up(char path[OPS_PATH_MAX])
{
    char *slash = strrchr(path, '/');
    if (slash == NULL) {
        (void)snprintf(path, OPS_PATH_MAX, ".");
    } else if (slash == path) {
        path[1] = '\0';
    } else {
        *slash = '\0';
    }
}

/* Finds the folder, or the nearest above it that is there. True when it is itself. */
static bool find_existing(const char *folder, char out[OPS_PATH_MAX])
{
    struct stat st;
    (void)snprintf(out, OPS_PATH_MAX, "%s", folder);
    bool itself = stat(out, &st) == 0;
    while (stat(out, &st) != 0 && errno == ENOENT && strcmp(out, ".") != 0 &&
           strcmp(out, "/") != 0) {
        go_up(out);
    }
    return itself;
}

bool doctor_writable(const char *folder, struct ops_answer *out)
{
    char existing[OPS_PATH_MAX];
    struct stat st;
    struct why why = {.err = OK};
    enum err e = OK;
    bool itself = find_existing(folder, existing);
    if (stat(existing, &st) != 0) {
        e = why_set(&why, ERR_IO, NULL, "%s cannot be looked at: %s", existing, strerror(errno));
    } else if (!S_ISDIR(st.st_mode)) {
        e = why_set(&why, ERR_IO, NULL, "%s is no folder", existing);
    } else if (access(existing, W_OK | X_OK) != 0) {
        e = why_set(&why, ERR_IO, NULL, "%s cannot be written: %s", existing, strerror(errno));
    }
    ops_answer_set(out, e, &why);
    return itself;
}

static void look_at_folder(const struct settings *s, struct ops_facts *f)
{
    struct ops_file_facts *files = &f->files;
    struct statfs fs;
    char existing[OPS_PATH_MAX];
    if (f->database.is_file) {
        (void)snprintf(files->folder, sizeof(files->folder), "%s",
                       s->store.url + strlen("sqlite:"));
        go_up(files->folder);
    } else if (f->config.starts_chain) {
        (void)snprintf(files->folder, sizeof(files->folder), "%s", s->devchain.dir);
    } else {
        return;
    }
    files->folder_exists = doctor_writable(files->folder, &files->writable);
    (void)find_existing(files->folder, existing);
    if (statfs(existing, &fs) == 0) {
        files->free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
        files->filesystem = (uint64_t)fs.f_type & UINT32_MAX;
    }
}

/* ---- files that are nobody else's business ---- */

static void judge_bits(const char *path, unsigned bits, struct ops_loose *out)
{
    struct stat st;
    if (out->path[0] == '\0' && stat(path, &st) == 0 && (st.st_mode & bits) != 0) {
        (void)snprintf(out->path, sizeof(out->path), "%s", path);
        out->mode = st.st_mode & MODE_BITS;
    }
}

static void look_at_keystore(const char *dir, struct ops_loose *out)
{
    char path[OPS_PATH_MAX];
    DIR *opened = opendir(dir);
    const struct dirent *entry = NULL;
    judge_bits(dir, BITS_WRITE_OTHERS, out);
    while (opened != NULL && (entry = readdir(opened)) != NULL) {
        int len = snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && len > 0 &&
            (size_t)len < sizeof(path)) {
            judge_bits(path, BITS_NOT_OWNER, out);
        }
    }
    if (opened != NULL) {
        (void)closedir(opened);
    }
}

static void look_at_password(const char *path, struct ops_file_facts *files)
{
    struct why why = {.err = OK};
    struct stat st;
    enum err e = OK;
    if (stat(path, &st) != 0 || access(path, R_OK) != 0) {
        e = why_set(&why, ERR_IO, NULL, "%s cannot be read: %s", path, strerror(errno));
    } else if (st.st_size == 0) {
        e = why_set(&why, ERR_IO, NULL, "%s is empty", path);
    }
    ops_answer_set(&files->password_file, e, &why);
    judge_bits(path, BITS_NOT_OWNER, &files->password);
}

/* The database as it looks from outside: before a look of ours opens it, and has locks on it too.
 */
static void look_at_database(const struct settings *s, struct ops_facts *f)
{
    struct ops_database_facts *d = &f->database;
    struct store_file file = {.exists = false};
    if (store_file_look(s->store.url, &file, NULL) != OK || !file.exists) {
        ops_topic_miss(f, OPS_FILE, "there is no database yet");
        return;
    }
    f->files.has_database = true;
    judge_bits(file.path, BITS_STRANGERS, &f->files.database);
    d->bytes = file.bytes;
    d->owner_pid = file.owner_pid;
    d->intruder_pid = file.other_pid;
    d->wal_bytes = file.wal_bytes;
    ops_topic_learn(f, OPS_FILE);
}

void doctor_look_files(const struct settings *s, struct ops_facts *f)
{
    struct ops_file_facts *files = &f->files;
    look_at_folder(s, f);
    if (f->database.is_file) {
        look_at_database(s, f);
    } else {
        ops_topic_miss(f, OPS_FILE, "the database is a server");
    }
    files->has_keystore = s->wallets.keystore_dir[0] != '\0';
    if (files->has_keystore) {
        look_at_keystore(s->wallets.keystore_dir, &files->keystore);
    }
    if (s->wallets.password_file[0] != '\0') {
        look_at_password(s->wallets.password_file, files);
    }
    ops_topic_learn(f, OPS_FILES);
}
