/*
 * wallets.h: keystore folders, for the daemon that uses them and the command that fills them.
 */
#ifndef APP_WALLETS_H
#define APP_WALLETS_H

#include "app/settings.h"
#include "kernel/crypto/keystore.h"
#include "kernel/relay/relay_remote.h"

/*
 * wallets_read_line reads the first line of a file (a password, a key). Owns: the caller,
 * secret_clear. Errors: ERR_IO.
 */
enum err wallets_read_line(const char *path, struct secret *out, struct why *why) ERR_CHECKED;

/* Called for each key of a folder; the key is wiped afterwards. */
typedef enum err (*wallets_fn)(void *ctx, const struct secret *key, const struct address *address,
                               const char *path, struct why *why);

/*
 * wallets_each decrypts every file of a folder with the password in `password_file`; names that
 * begin with a dot are passed over. Stops at the first error. Errors: ERR_IO, keystore errors, what
 * `fn` returns.
 */
enum err wallets_each(const char *dir, const char *password_file, wallets_fn fn, void *ctx,
                      struct why *why) ERR_CHECKED;

/*
 * wallets_read_addresses reads a list of addresses apart by commas, RELAY_REMOTE_MAX at most.
 * Errors: ERR_CONFIG (names the setting `key`).
 */
enum err wallets_read_addresses(const char *key, const char *text,
                                struct address out[RELAY_REMOTE_MAX], size_t *out_count,
                                struct why *why) ERR_CHECKED;

/*
 * wallets_open_remote asks the signer of wallets.signer_url for its keys. Owns: the caller,
 * relay_remote_free. Errors: as relay_remote_new, ERR_CONFIG (an account that is no address).
 */
enum err wallets_open_remote(const struct settings_wallets *settings, struct relay_remote **out,
                             struct why *why) ERR_CHECKED;

#endif
