/*
 * Looking at keys, Redis, the place of backups, and the port.
 */
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/devchain.h"
#include "app/doctor.h"
#include "app/wallets.h"
#include "kernel/backup/backup_config.h"
#include "kernel/cache/cache.h"
#include "kernel/net/http_client.h"

#define REDIS_USEC (5ll * USEC_PER_SEC)
#define REDIS_LOOK_USEC 20000
#define HEALTH_USEC (3ll * USEC_PER_SEC)
#define HEALTH_BYTES_MAX (1024ull * 1024)

/* ---- keys ---- */

static enum err add_wallet(void *ctx, const struct secret *key, const struct address *address,
                           const char *path, struct why *why)
{
    struct ops_facts *f = ctx;
    (void)key;
    (void)path;
    for (size_t i = 0; i < f->wallet_count; i++) {
        if (address_equal(&f->wallets[i].address, address)) {
            return OK;
        }
    }
    if (f->wallet_count == OPS_WALLETS_MAX) {
        return why_set(why, ERR_CONFIG, "wallets.keystore_dir", "there are more than %d wallets",
                       OPS_WALLETS_MAX);
    }
    f->wallets[f->wallet_count++].address = *address;
    return OK;
}

static enum err add_dev_wallets(const struct settings *s, struct ops_facts *f, struct why *why)
{
    enum err e = OK;
    for (uint32_t i = 0; e == OK && i < s->wallets.dev_accounts; i++) {
        struct secret key = {0};
        struct address address;
        e = keystore_mnemonic_key(SLICE_LIT(DEVCHAIN_MNEMONIC), i, &key);
        if (e == OK) {
            e = secp256k1_address(&key, &address);
        }
        if (e == OK) {
            e = add_wallet(f, &key, &address, "", why);
        }
        secret_clear(&key);
    }
    return e;
}

/* Keys of a remote signer are there when it says so: nothing is signed. */
static enum err add_remote_wallets(const struct settings *s, struct ops_facts *f, struct why *why)
{
    struct relay_remote *remote = NULL;
    enum err e = wallets_open_remote(&s->wallets, &remote, why);
    for (size_t i = 0; e == OK && i < relay_remote_count(remote); i++) {
        struct relay_signer signer = relay_remote_signer(remote, i);
        e = add_wallet(f, NULL, &signer.address, "", why);
    }
    relay_remote_free(remote);
    return e;
}

void doctor_look_keys(const struct settings *s, struct ops_facts *f)
{
    const struct settings_wallets *w = &s->wallets;
    struct why why = {.err = OK};
    enum err e = OK;
    if (!f->signs) {
        ops_topic_miss(f, OPS_KEYS, "this process does not relay");
        return;
    }
    if (w->keystore_dir[0] != '\0') {
        e = wallets_each(w->keystore_dir, w->password_file, add_wallet, f, &why);
    }
    if (e == OK && w->signer_url[0] != '\0') {
        e = add_remote_wallets(s, f, &why);
    }
    if (e == OK) {
        e = add_dev_wallets(s, f, &why);
    }
    ops_answer_set(&f->keys, e, &why);
    ops_topic_learn(f, OPS_KEYS);
}

/* ---- Redis ---- */

/* The cache connects by a thread of its own; what it says is looked at until it is sure. */
static enum err ask_redis(const struct settings *s, struct why *why)
{
    struct cache *cache = NULL;
    enum err e = cache_new(&s->cache, SLICE_LIT("doctor"), &cache, why);
    int64_t deadline = clock_mono_usec() + REDIS_USEC;
    enum cache_state state = CACHE_DEGRADED;
    struct why said = {.err = OK};
    while (e == OK && state != CACHE_SHARED && clock_mono_usec() < deadline) {
        state = cache_state_read(cache, &said);
        clock_sleep_usec(REDIS_LOOK_USEC);
    }
    if (e == OK && state != CACHE_SHARED) {
        e = why_set(why, ERR_UPSTREAM, "redis.url", "%s",
                    said.text[0] != '\0' ? said.text : "Redis does not answer");
    }
    cache_free(cache);
    return e;
}

void doctor_look_redis(const struct settings *s, struct ops_facts *f)
{
    struct why why = {.err = OK};
    if (s->cache.redis_url[0] == '\0') {
        ops_topic_miss(f, OPS_REDIS, "redis.url is not set");
        return;
    }
    enum err e = ask_redis(s, &why);
    ops_answer_set(&f->redis, e, &why);
    ops_topic_learn(f, OPS_REDIS);
}

/* ---- backups ---- */

void doctor_look_backup(const struct settings *s, struct ops_facts *f)
{
    struct ops_backup_facts *b = &f->backup;
    struct backup_place *place = NULL;
    struct slice *ids = NULL;
    struct arena scratch;
    struct why why = {.err = OK};
    if (s->backup.to[0] == '\0') {
        ops_topic_miss(f, OPS_BACKUP, "backup.to is not set");
        return;
    }
    arena_init(&scratch, 0);
    bool is_folder = strncmp(s->backup.to, "s3://", strlen("s3://")) != 0;
    /* A folder that is not there has no backups: the first one makes it. */
    bool there = !is_folder || doctor_writable(s->backup.to, &b->writable);
    enum err e = backup_config_open(&s->backup, s->backup.to, &place, &why);
    if (e == OK && there) {
        e = backup_place_list(place, &scratch, &ids, &b->count, &why);
    }
    if (e == OK && ids != NULL && b->count > 0 &&
        backup_id_parse(ids[b->count - 1], &b->newest_usec) != OK) {
        b->newest_usec = 0;
    }
    ops_answer_set(&b->list, e, &why);
    backup_place_close(place);
    arena_free(&scratch);
    ops_topic_learn(f, OPS_BACKUP);
}

/* ---- the port ---- */

/* Whether what listens there says in /health that it is a freehold. */
static bool is_ours(const char *host, uint64_t port)
{
    char url[320];
    struct arena scratch;
    struct net_answer answer = {.status = 0};
    const struct json *root = NULL;
    struct slice service = SLICE_EMPTY;
    struct net_client *client = net_client_new();
    bool any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    bool six = strchr(host, ':') != NULL;
    const char *where = any ? (six ? "::1" : "127.0.0.1") : host;
    arena_init(&scratch, 0);
    (void)snprintf(url, sizeof(url), six ? "http://[%s]:%llu/health" : "http://%s:%llu/health",
                   where, (unsigned long long)port);
    const struct net_request request = {
        .method = "GET",
        .url = url,
        .timeout_usec = HEALTH_USEC,
        .answer_bytes_max = HEALTH_BYTES_MAX,
    };
    bool ours = net_request_run(client, &scratch, &request, &answer, NULL) == OK &&
                json_parse(&scratch, answer.body, &json_limits_body, &root, NULL) == OK &&
                json_get_text(root, "service", &service, NULL) == OK &&
                slice_equal_text(service, "freehold");
    net_client_free(client);
    arena_free(&scratch);
    return ours;
}

/* Binds as the server would, and lets go at once; nobody can connect in between. */
static enum err try_port(const char *host, uint64_t port, bool *out_taken, struct why *why)
{
    char service[24];
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    (void)snprintf(service, sizeof(service), "%llu", (unsigned long long)port);
    int code = getaddrinfo(host, service, &hints, &found);
    if (code != 0) {
        return why_set(why, ERR_CONFIG, "http.host", "http.host %s is no address: %s", host,
                       gai_strerror(code));
    }
    int one = 1;
    enum err e = OK;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    }
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0) {
        *out_taken = errno == EADDRINUSE;
        e = why_set(why, ERR_IO, "http.port", "port %s of %s cannot be listened on: %s", service,
                    host, strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    freeaddrinfo(found);
    return e;
}

void doctor_look_http(const struct settings *s, struct ops_facts *f)
{
    struct ops_http_facts *h = &f->http;
    struct why why = {.err = OK};
    bool taken = false;
    h->any_port = s->http.port == 0;
    (void)snprintf(h->place, sizeof(h->place), "%s:%llu", s->http.host,
                   (unsigned long long)s->http.port);
    if (!h->any_port) {
        enum err e = try_port(s->http.host, s->http.port, &taken, &why);
        ops_answer_set(&h->bind, e, &why);
        h->ours = taken && is_ours(s->http.host, s->http.port);
    }
    ops_topic_learn(f, OPS_HTTP);
}
