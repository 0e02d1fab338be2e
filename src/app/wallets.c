#include "app/wallets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PATH_BYTES_MAX 4096
#define LINE_BYTES_MAX 1024

enum err wallets_read_line(const char *path, struct secret *out, struct why *why)
{
    char line[LINE_BYTES_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, line, sizeof line) : -1;
    int saved = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (n < 0) {
        return why_set(why, ERR_IO, NULL, "%s could not be read: %s", path, strerror(saved));
    }
    size_t len = 0;
    while (len < (size_t)n && line[len] != '\n' && line[len] != '\r') {
        len++;
    }
    secret_init(out, line, len);
    mem_wipe(line, sizeof line);
    return OK;
}

static enum err visit(const char *dir, const char *name, const struct secret *password,
                      wallets_fn fn, void *ctx, struct why *why)
{
    char path[PATH_BYTES_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof path) {
        return why_set(why, ERR_IO, NULL, "the path of %s is too long", name);
    }
    struct secret key = {0};
    struct address address;
    enum err e = keystore_read_file(path, password, &key, &address, why);
    if (e == OK) {
        e = fn(ctx, &key, &address, path, why);
    }
    secret_clear(&key);
    return e;
}

enum err wallets_each(const char *dir, const char *password_file, wallets_fn fn, void *ctx,
                      struct why *why)
{
    struct secret password = {0};
    enum err e = wallets_read_line(password_file, &password, why);
    DIR *opened = e == OK ? opendir(dir) : NULL;
    if (e == OK && opened == NULL) {
        e = why_set(why, ERR_IO, NULL, "%s could not be read: %s", dir, strerror(errno));
    }
    struct dirent *entry = NULL;
    while (e == OK && opened != NULL && (entry = readdir(opened)) != NULL) {
        if (entry->d_name[0] != '.') {
            e = visit(dir, entry->d_name, &password, fn, ctx, why);
        }
    }
    if (opened != NULL) {
        (void)closedir(opened);
    }
    secret_clear(&password);
    return e;
}

enum err wallets_read_addresses(const char *key, const char *text,
                                struct address out[RELAY_REMOTE_MAX], size_t *out_count,
                                struct why *why)
{
    struct slice rest = slice_text(text);
    size_t count = 0;
    while (rest.len > 0) {
        struct slice word;
        (void)slice_cut(rest, ',', &word, &rest);
        if (count == RELAY_REMOTE_MAX || address_parse(slice_trim(word), &out[count++]) != OK) {
            return why_set(why, ERR_CONFIG, key,
                           "%s is a list of at most %d addresses, apart by commas", key,
                           RELAY_REMOTE_MAX);
        }
    }
    *out_count = count;
    return OK;
}

enum err wallets_open_remote(const struct settings_wallets *w, struct relay_remote **out,
                             struct why *why)
{
    struct address wanted[RELAY_REMOTE_MAX];
    struct relay_remote_options options = {
        .url = w->signer_url,
        .api = strcmp(w->signer_api, "sign") == 0 ? RELAY_REMOTE_SIGN : RELAY_REMOTE_TRANSACTION,
        .wanted = wanted,
        .timeout_usec = w->signer_timeout_usec,
    };
    enum err e = wallets_read_addresses("wallets.signer_accounts", w->signer_accounts, wanted,
                                        &options.wanted_count, why);
    return e == OK ? relay_remote_new(&options, out, why) : e;
}
