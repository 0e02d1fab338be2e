/*
 * Reads one JSON document a line from stdin and answers each with a line: its canonical form, or
 * "error: " and the reason. tests/diff/canonical.mjs is the other side.
 */
#include "kernel/base/json.h"

#include "kernel/base/mem.h"

static void answer(struct arena *arena, struct slice line)
{
    const struct json *v = NULL;
    struct why why = {.err = OK};
    struct buf out;
    buf_init(&out, arena, line.len + 64);
    enum err e = json_parse(arena, line, &json_limits_node, &v, &why);
    if (!e) {
        e = json_canonical(&out, v, &why);
    }
    if (e) {
        buf_format(&out, "error: %s", why_text(&why, e));
    }
    buf_add_byte(&out, '\n');
    fwrite(out.ptr, 1, out.len, stdout);
}

int main(void)
{
    struct arena arena;
    arena_init(&arena, 0);
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    while ((len = getline(&line, &room, stdin)) > 0) {
        answer(&arena, slice_trim(slice_of(line, (size_t)len)));
        arena_clear(&arena);
    }
    free(line);
    arena_free(&arena);
    return 0;
}
