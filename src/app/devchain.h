/*
 * devchain.h: a local EVM chain for development and demos, run as a child process.
 *
 * Owns one anvil process that listens on the loopback address only. It is found, in this order:
 * the program named in the options, node_modules beside the executable or in one of the folders
 * above it (where `tools/setup` puts it), the PATH. The npm package's script is never started: it
 * would put a process of its own between us and the chain, and killing it would leave the chain.
 *
 * The child ends with us on every way out: devchain_stop sends SIGTERM (anvil then writes its state
 * file) and SIGKILL after five seconds; when our process dies, even by SIGKILL, the kernel signals
 * the child (PR_SET_PDEATHSIG): SIGKILL, or SIGTERM with a state file, so that a crash of ours does
 * not lose the chain. A state file keeps blocks, transactions and the last state; calls at blocks
 * before a restart are not possible. The kernel watches the *thread* that forked, so devchain_start
 * must be called from the main thread (ASSERT).
 *
 * A port is reserved before the child starts, so that nobody can take it in between; a state file
 * is locked as long as the child lives, so that two chains never write one file and a restart
 * waits until the old chain has written it.
 *
 * net_start must have been called. Not thread safe: the main thread starts and stops it.
 */
#ifndef APP_DEVCHAIN_H
#define APP_DEVCHAIN_H

#include <sys/types.h>

#include "kernel/base/slice.h"

/* The accounts of the dev chain: ten of them with 10,000 ether each, derived as BIP-44 says. */
#define DEVCHAIN_MNEMONIC "test test test test test test test test test test test junk"
#define DEVCHAIN_DERIVATION "m/44'/60'/0'/0/"
#define DEVCHAIN_ACCOUNTS 10
#define DEVCHAIN_ID 31337

struct devchain;

struct devchain_options {
    uint16_t port; /* 0: a free one */
    uint64_t chain_id;
    uint32_t block_time_sec; /* 0: a block for each transaction, at once */
    const char *state_path;  /* NULL: nothing is kept */
    const char *anvil_path;  /* NULL or "": looked for */
    const char *log_path;    /* what anvil prints; NULL: dropped, but for its last words */
};

/*
 * devchain_start starts the chain and waits until it answers. Owns: the caller, devchain_stop.
 * Errors: ERR_CONFIG (no anvil, port in use, unusable path), ERR_LOCKED (state file in use),
 * ERR_NODE_TIMEOUT (no answer in ten seconds), ERR_NODE_UNAVAILABLE (it ended early; why has its
 * last line), ERR_WRONG_CHAIN (a state file of another chain id), ERR_IO.
 */
enum err devchain_start(const struct devchain_options *options, struct devchain **out,
                        struct why *why) ERR_CHECKED;
/* devchain_url returns "http://127.0.0.1:PORT", valid until devchain_stop. */
const char *devchain_url(const struct devchain *chain);
/* devchain_port returns the port it listens on. */
uint16_t devchain_port(const struct devchain *chain);
/* devchain_pid returns the process id of the child. */
pid_t devchain_pid(const struct devchain *chain);
/* devchain_is_running says whether the child still lives. */
bool devchain_is_running(struct devchain *chain);
/* devchain_stop ends the child, waits for it and frees; NULL is fine. */
void devchain_stop(struct devchain *chain);

/*
 * devchain_find_anvil returns the path of the program in the arena; `named` (NULL or "": none) is
 * taken as it is.
 * Errors: ERR_CONFIG, with a sentence that says what to do.
 */
enum err devchain_find_anvil(struct arena *arena, const char *named, const char **out,
                             struct why *why) ERR_CHECKED;

#endif
