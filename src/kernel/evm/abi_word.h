/*
 * abi_word.h: what the ABI's encoder, its decoder and EIP-712 share: a value that is one 32-byte
 * word, and the size of a type's place in the head. Internal to kernel/evm.
 */
#ifndef KERNEL_EVM_ABI_WORD_H
#define KERNEL_EVM_ABI_WORD_H

#include "kernel/evm/abi.h"

#define ABI_WORD 32

/* abi_is_word says whether values of the type are one word, neither hashed nor nested. */
bool abi_is_word(const struct abi_type *type);

/* abi_word_encode writes the word of a value. Errors: ERR_INVALID_ENCODING when it does not fit. */
enum err abi_word_encode(const struct abi_type *type, const struct abi_value *value,
                         uint8_t out[ABI_WORD], struct why *why) ERR_CHECKED;

/*
 * abi_word_decode reads a word, refusing wrong padding. Owns: fixed bytes borrow `word`.
 * Errors: ERR_INVALID_ENCODING.
 */
enum err abi_word_decode(const struct abi_type *type, const uint8_t *word, struct abi_value *out,
                         struct why *why) ERR_CHECKED;

/* abi_head_bytes is the room a type takes in the head. Units: bytes; absurd sizes saturate. */
uint64_t abi_head_bytes(const struct abi_type *type);

/*
 * abi_why_under names the component that an error was found in, by name or (NULL, or without a
 * name) by index, in front of what the field already says. Returns `e`.
 */
enum err abi_why_under(struct why *why, enum err e, const struct abi_type *component, size_t index);

/* abi_integer_format writes a UINT or INT value as decimal text with a NUL. */
void abi_integer_format(const struct abi_type *type, struct u256 value, char out[U256_TEXT_MAX]);

#endif
