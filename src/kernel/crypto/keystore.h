/*
 * keystore.h: Web3 Secret Storage version 3 files, as geth and ethers write and read them.
 *
 * Writing uses scrypt (N 2^17, r 8, p 1 by default) and AES-128-CTR with a Keccak MAC. Reading
 * takes scrypt and PBKDF2-HMAC-SHA-256 with bounded work (memory at most 512 MiB, N * r * p at
 * most 2^24, at most 10^7 rounds), in any key order and case. The MAC is compared in constant time
 * before anything is decrypted; a wrong password and a changed file are the same error, on purpose.
 * Passwords are bytes: nothing is normalised, so text should be NFKC as other wallets make it.
 * Files are at most 64 KiB. They are written to a temporary name, fsynced and renamed, mode 0600;
 * a crash leaves at most a file ".….tmp" that holds an encrypted key and can be removed.
 */
#ifndef KERNEL_CRYPTO_KEYSTORE_H
#define KERNEL_CRYPTO_KEYSTORE_H

#include "kernel/crypto/secp256k1.h"

struct keystore_cost {
    uint32_t scrypt_log2_n; /* 1 to 19; 17 for real keys, tests use 8 */
};

/*
 * keystore_encode encrypts `key` under `password` as a V3 JSON document in the arena.
 * Errors: ERR_CRYPTO.
 */
enum err keystore_encode(struct arena *arena, const struct secret *key,
                         const struct secret *password, struct keystore_cost cost,
                         struct slice *out, struct why *why) ERR_CHECKED;

/*
 * keystore_decode decrypts a V3 document. Owns: the caller clears `out_key`.
 * Errors: ERR_INVALID_JSON, ERR_CORRUPT (not V3, unknown cipher or kdf, excessive cost, address
 * that does not match the key), ERR_KEYSTORE_PASSWORD (MAC mismatch).
 */
enum err keystore_decode(struct slice json, const struct secret *password, struct secret *out_key,
                         struct address *out_address, struct why *why) ERR_CHECKED;

/* keystore_write_file writes `json` to directory/UTC--…--address. Errors: ERR_IO, ERR_DISK_FULL. */
enum err keystore_write_file(struct arena *arena, const char *directory,
                             const struct address *address, struct slice json,
                             struct slice *out_path, struct why *why) ERR_CHECKED;

/* keystore_read_file reads and decrypts one file. Errors: as keystore_decode, ERR_IO. */
enum err keystore_read_file(const char *path, const struct secret *password, struct secret *out_key,
                            struct address *out_address, struct why *why) ERR_CHECKED;

/*
 * keystore_mnemonic_key derives the private key m/44'/60'/0'/0/index of a BIP-39 mnemonic without
 * passphrase (development chains only: real keys live in keystore files). The words are not
 * checked against a list; they must be ASCII. Errors: ERR_CRYPTO.
 */
enum err keystore_mnemonic_key(struct slice mnemonic, uint32_t index,
                               struct secret *out_key) ERR_CHECKED;

#endif
