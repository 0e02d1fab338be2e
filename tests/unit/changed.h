/*
 * changed.h: a node's object with one member replaced or dropped.
 */
#ifndef UNIT_CHANGED_H
#define UNIT_CHANGED_H

#include "unit/vectors.h"

/* changed returns the object with `key` as the JSON text `value`, added if need be; NULL drops it.
 */
static inline const struct json *changed(struct arena *arena, const struct json *object,
                                         const char *key, const char *value)
{
    struct buf text;
    bool first = true, found = false;
    buf_init(&text, arena, 0);
    buf_add_byte(&text, '{');
    for (const struct json *m = object->child; m != NULL; m = m->next) {
        bool here = slice_equal_text(m->key, key);
        found |= here;
        if (here && value == NULL) {
            continue;
        }
        buf_format(&text, "%s\"%.*s\":", first ? "" : ",", SLICE_ARG(m->key));
        first = false;
        if (here) {
            buf_add_text(&text, value);
        } else {
            json_write(&text, m);
        }
    }
    if (!found && value != NULL) {
        buf_format(&text, "%s\"%s\":%s", first ? "" : ",", key, value);
    }
    buf_add_byte(&text, '}');
    buf_add_byte(&text, 0);
    return vector_json(arena, (const char *)text.ptr);
}

#endif
