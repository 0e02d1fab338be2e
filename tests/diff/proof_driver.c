/*
 * Answers questions about what a block's header commits to: reads one JSON object a line from
 * stdin and writes one a line to stdout. tests/diff/proof.mjs asks.
 *
 *   {"op":"transaction","value":{…}}  ->  {"data":"0x…"}
 *   {"op":"receipts","value":[…]}     ->  {"root":"0x…"}
 *   {"op":"header","value":{…}}       ->  {"data":"0x…"}
 *
 * A refusal is {"error":"code","text":"…"}.
 */
#include "kernel/base/hex.h"
#include "kernel/evm/receipt.h"
#include "kernel/evm/tx_node.h"

static enum err answer_receipts(struct arena *arena, const struct json *list, struct json_out *j,
                                struct why *why)
{
    struct receipt *receipts = arena_alloc_array(arena, list->count, sizeof(*receipts));
    size_t count = 0;
    for (const struct json *v = list->child; v != NULL; v = v->next) {
        enum err e = receipt_parse(arena, v, &receipts[count++], why);
        if (e != OK) {
            return e;
        }
    }
    struct hash root = receipts_root(arena, receipts, count);
    json_key(j, "root");
    json_hex(j, hash_slice(&root));
    return OK;
}

static enum err run(struct arena *arena, const struct json *question, struct json_out *j,
                    struct why *why)
{
    struct slice op;
    struct buf data;
    const struct json *value = json_find(question, "value");
    enum err e = json_get_text(question, "op", &op, why);
    if (e != OK || value == NULL) {
        return e != OK ? e : why_set(why, ERR_USAGE, "value", "There is nothing to work on.");
    }
    if (slice_equal_text(op, "receipts")) {
        return answer_receipts(arena, value, j, why);
    }
    buf_init(&data, arena, 256);
    e = slice_equal_text(op, "header") ? evm_header_encode(arena, value, &data, why)
                                       : tx_node_encode(arena, value, &data, why);
    if (e == OK) {
        json_key(j, "data");
        json_hex(j, buf_slice(&data));
    }
    return e;
}

static void answer(struct arena *arena, struct slice line)
{
    struct why why = {.err = OK};
    struct buf out;
    struct json_out j;
    const struct json *question = NULL;
    buf_init(&out, arena, line.len + 256);
    json_out_init(&j, &out);
    json_begin_object(&j);
    enum err e = json_parse(arena, line, &json_limits_node, &question, &why);
    if (e == OK) {
        e = run(arena, question, &j, &why);
    }
    if (e != OK) {
        json_key(&j, "error");
        json_text(&j, err_code(e));
        json_key(&j, "text");
        json_text(&j, why_text(&why, e));
    }
    json_end_object(&j);
    buf_add_byte(&out, '\n');
    fwrite(out.ptr, 1, out.len, stdout);
}

int main(void)
{
    struct arena arena;
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    arena_init(&arena, 1 << 20);
    while ((len = getline(&line, &room, stdin)) > 0) {
        answer(&arena, slice_trim(slice_of(line, (size_t)len)));
        arena_clear(&arena);
    }
    free(line);
    arena_free(&arena);
    return 0;
}
