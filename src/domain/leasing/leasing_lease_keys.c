#include "domain/leasing/leasing_lease_keys.h"

#include "domain/leasing/leasing_api.h"
#include "kernel/base/json_schema.h"

static bool has_hashed(const struct json *metadata, struct slice hash_text)
{
    struct hash wanted;
    if (metadata == NULL || hash_parse(hash_text, &wanted) != OK) {
        return false;
    }
    for (const struct json *m = metadata->child; m != NULL; m = m->next) {
        struct hash h = keccak256(m->key);
        if (hash_equal(&h, &wanted) && m->type != JSON_NULL) {
            return true;
        }
    }
    return false;
}

static const struct json *find(const struct json *object, struct slice name)
{
    for (const struct json *m = object != NULL ? object->child : NULL; m != NULL; m = m->next) {
        if (slice_equal(m->key, name)) {
            return m;
        }
    }
    return NULL;
}

static bool has_named(const struct json *metadata, struct slice name)
{
    const struct json *m = find(metadata, name);
    return m != NULL && m->type != JSON_NULL;
}

static enum err check_presence(const struct leasing_lease_keys *keys, const struct json *list,
                               const struct json *metadata, struct why *why)
{
    bool named = keys->names.len > 0;
    for (const struct json *v = list->child; v != NULL; v = v->next) {
        if (named ? has_named(metadata, v->text) : has_hashed(metadata, v->text)) {
            continue;
        }
        char field[WHY_FIELD_MAX];
        (void)snprintf(field, sizeof field, "metadata.%.*s", SLICE_ARG(v->text));
        return why_set(why, ERR_INVALID_METADATA, named ? field : "metadata",
                       "metadata must have %s%.*s: leases of %.*s carry it.",
                       named ? "" : "a member whose name hashes to ", SLICE_ARG(v->text),
                       SLICE_ARG(keys->type));
    }
    return OK;
}

/* The type's schema cut down to the keys: what it says of other members is about assets. */
static struct slice schema_of_keys(struct arena *arena, const struct json *schema,
                                   const struct json *list)
{
    const struct json *defs = json_find(schema, "$defs");
    const struct json *properties = json_find(schema, "properties");
    struct buf b;
    struct json_out j;
    buf_init(&b, arena, 512);
    json_out_init(&j, &b);
    json_begin_object(&j);
    if (defs != NULL) {
        json_key(&j, "$defs");
        json_raw(&j, leasing_json_slice(arena, defs));
    }
    json_key(&j, "properties");
    json_begin_object(&j);
    for (const struct json *v = list->child; v != NULL; v = v->next) {
        const struct json *described = find(properties, v->text);
        if (described != NULL) {
            json_key_slice(&j, v->text);
            json_raw(&j, leasing_json_slice(arena, described));
        }
    }
    json_end_object(&j);
    json_end_object(&j);
    return buf_slice(&b);
}

static enum err check_values(struct arena *arena, struct slice schema_text, const struct json *list,
                             const struct json *metadata, struct why *why)
{
    const struct json *schema = NULL;
    const struct json *cut = NULL;
    enum err e = json_parse(arena, schema_text, &json_limits_body, &schema, why);
    if (e == OK) {
        e = json_parse(arena, schema_of_keys(arena, schema, list), &json_limits_body, &cut, why);
    }
    if (e != OK || metadata == NULL) {
        return e;
    }
    return leasing_why_under(
        why, json_schema_check(arena, cut, metadata, ERR_INVALID_METADATA, why), "metadata");
}

enum err leasing_lease_keys_check(struct arena *arena, const struct leasing_lease_keys *keys,
                                  const struct json *metadata, struct why *why)
{
    struct slice text = keys->names.len > 0 ? keys->names : keys->hashes;
    const struct json *list = NULL;
    if (text.len == 0) {
        return OK;
    }
    enum err e = json_parse(arena, text, &json_limits_body, &list, why);
    if (e == OK) {
        e = check_presence(keys, list, metadata, why);
    }
    return e == OK && keys->schema.len > 0 ? check_values(arena, keys->schema, list, metadata, why)
                                           : e;
}
