/*
 * config_registry.h: what config.c (loading) and config_text.c (sample, reference, help, dump)
 * share; private to them.
 */
#ifndef KERNEL_BASE_CONFIG_REGISTRY_H
#define KERNEL_BASE_CONFIG_REGISTRY_H

#include "kernel/base/config_value.h"

#define CONFIG_SOURCE_MAX 32
#define CONFIG_ENV_PREFIX "FREEHOLD_"

/* One key: its row, where its value goes, and the value that is about to be put there. */
struct config_slot {
    const struct config_row *row;
    void *target;
    const char *title; /* of the part */
    char source[CONFIG_SOURCE_MAX];

    union config_value staged;
    bool is_staged;
    char staged_source[CONFIG_SOURCE_MAX];
    unsigned line; /* of the file being loaded; 0: not in it */
};

struct config {
    struct arena boot; /* texts of values; lives as long as the registry */
    struct config_slot *slots;
    size_t count;
    size_t cap;
};

/* config_key_split returns the section of a key and its name: "http.port" is "http" and "port". */
struct slice config_key_split(const char *key, const char **out_name);

/* config_env_name appends the environment variable of a key: "FREEHOLD_HTTP_PORT". */
void config_env_name(const char *key, struct buf *out);

#endif
