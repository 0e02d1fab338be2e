/*
 * json_simdjson.h: the only door to simdjson, which is C++.
 *
 * simdjson's first stage alone is used: it checks the whole text for well-formed UTF-8, unescaped
 * control characters and unclosed strings, and lists where tokens begin. json_read.c walks that
 * list itself, because simdjson's own number conversion refuses integers beyond 64 bits. The
 * widest vector unit of the machine is picked at run time.
 *
 * Each thread keeps one list and reuses it; json_simdjson_release gives a large one back.
 */
#ifndef KERNEL_BASE_JSON_SIMDJSON_H
#define KERNEL_BASE_JSON_SIMDJSON_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that must be readable behind the text. */
#define JSON_PADDING 64

enum json_scan {
    JSON_SCAN_OK,
    JSON_SCAN_UTF8,     /* not well-formed UTF-8 */
    JSON_SCAN_CONTROL,  /* a control character inside a string */
    JSON_SCAN_UNCLOSED, /* the text ends inside a string */
    JSON_SCAN_EMPTY,    /* nothing but blanks */
    JSON_SCAN_MEMORY,   /* the list could not be allocated */
    JSON_SCAN_OTHER,    /* simdjson refused for a reason it should not have */
};

/*
 * json_simdjson_scan lists the offsets of the tokens of `text` in ascending order: each of the six
 * structural characters outside strings, and the first byte of every other run (a string with its
 * blanks inside is one run). Units: len in bytes, below 2^32, followed by JSON_PADDING more.
 * Owns: the list stays the thread's and is valid until its next scan or release.
 */
enum json_scan json_simdjson_scan(const uint8_t *text, size_t len, const uint32_t **out_at,
                                  size_t *out_count);

/* json_simdjson_release ends the use of the list; memory of a large one goes back. */
void json_simdjson_release(void);

/* json_simdjson_name returns the name of the implementation in use ("haswell", "fallback", …). */
const char *json_simdjson_name(void);

#ifdef __cplusplus
}
#endif

#endif
