/* Equality of values, for enum, const and uniqueItems. */
#include "kernel/base/decimal.h"
#include "kernel/base/json_schema_private.h"
#include "kernel/base/mem.h"

static int compare_members(const void *left, const void *right)
{
    return slice_compare((*(const struct json *const *)left)->key,
                         (*(const struct json *const *)right)->key);
}

static void add_members(struct arena *scratch, struct buf *out, const struct json *v)
{
    const struct json **members =
        (const struct json **)arena_alloc_array(scratch, v->count, sizeof *members);
    size_t count = 0;
    for (const struct json *m = v->child; m != NULL; m = m->next) {
        members[count++] = m;
    }
    if (count > 1) {
        qsort(members, count, sizeof *members, compare_members);
    }
    buf_add_byte(out, '{');
    for (size_t i = 0; i < count; i++) {
        json_escape(out, members[i]->key);
        json_schema_normal(scratch, out, members[i]);
        buf_add_byte(out, ',');
    }
    buf_add_byte(out, '}');
}

/* Recursion is as deep as the tree. */
void json_schema_normal(struct arena *scratch, struct buf *out, const struct json *v)
{
    struct decimal d;
    if (v->type == JSON_NUMBER && decimal_parse(scratch, v->text, &d) == OK) {
        decimal_write(out, &d);
    } else if (v->type == JSON_OBJECT) {
        add_members(scratch, out, v);
    } else if (v->type == JSON_ARRAY) {
        buf_add_byte(out, '[');
        for (const struct json *e = v->child; e != NULL; e = e->next) {
            json_schema_normal(scratch, out, e);
            buf_add_byte(out, ',');
        }
        buf_add_byte(out, ']');
    } else {
        json_write(out, v);
    }
}
