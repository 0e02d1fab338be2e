/*
 * page.c: the page about the routes. Types are written as TypeScript writes them, which says in a
 * line what a JSON Schema says in twenty.
 */
#include "kernel/base/check.h"
#include "kernel/http/http_internal.h"
#include "kernel/http/openapi.h"

#define INDENT 2

struct page {
    const struct http_table *tables;
    size_t table_count;
    struct arena *scratch;
    struct buf *out;
};

static void add_escaped(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '&':
            buf_add_text(out, "&amp;");
            break;
        case '<':
            buf_add_text(out, "&lt;");
            break;
        case '>':
            buf_add_text(out, "&gt;");
            break;
        case '"':
            buf_add_text(out, "&quot;");
            break;
        default: /* not an enum */
            buf_add_byte(out, text.ptr[i]);
        }
    }
}

static void add_text(struct buf *out, const char *text)
{
    add_escaped(out, slice_text(text));
}

/* ---- types --------------------------------------------------------------------------------------
 */

static void write_type(struct buf *out, const struct json *schema, size_t depth);

static void line(struct buf *out, size_t depth)
{
    buf_add_byte(out, '\n');
    for (size_t i = 0; i < depth * INDENT; i++) {
        buf_add_byte(out, ' ');
    }
}

static bool is_required(const struct json *schema, struct slice key)
{
    const struct json *required = json_find(schema, "required");
    for (const struct json *r = required ? required->child : NULL; r; r = r->next) {
        if (slice_equal(r->text, key)) {
            return true;
        }
    }
    return false;
}

/* What else is said of a member: its pattern, its description. */
static void write_remark(struct buf *out, const struct json *schema)
{
    static const char *const keys[] = {"description", "format", "pattern"};
    const char *separator = "  <i>";
    bool any = false;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct json *said = json_find(schema, keys[i]);
        if (said && said->type == JSON_STRING) {
            buf_add_text(out, separator);
            add_escaped(out, said->text);
            separator = ", ";
            any = true;
        }
    }
    buf_add_text(out, any ? "</i>" : "");
}

static void write_object(struct buf *out, const struct json *schema, size_t depth)
{
    const struct json *properties = json_find(schema, "properties");
    if (!properties || !properties->child) {
        buf_add_text(out, "object");
        return;
    }
    buf_add_byte(out, '{');
    for (const struct json *p = properties->child; p; p = p->next) {
        line(out, depth + 1);
        add_escaped(out, p->key);
        buf_add_text(out, is_required(schema, p->key) ? ": " : "?: ");
        write_type(out, p, depth + 1);
        write_remark(out, p);
    }
    line(out, depth);
    buf_add_byte(out, '}');
}

static void write_array(struct buf *out, const struct json *schema, size_t depth)
{
    const struct json *items = json_find(schema, "items");
    buf_add_text(out, "array of ");
    if (items) {
        write_type(out, items, depth);
    } else {
        buf_add_text(out, "anything");
    }
}

static void write_choice(struct buf *out, const struct json *choice)
{
    struct buf text;
    buf_init(&text, out->arena, 32);
    json_write(&text, choice);
    add_escaped(out, buf_slice(&text));
}

static void write_named_type(struct buf *out, const struct json *schema, struct slice type,
                             size_t depth)
{
    if (slice_equal_text(type, "object")) {
        write_object(out, schema, depth);
    } else if (slice_equal_text(type, "array")) {
        write_array(out, schema, depth);
    } else {
        add_escaped(out, type);
    }
}

static void write_alternatives(struct buf *out, const struct json *list, size_t depth)
{
    for (const struct json *one = list->child; one; one = one->next) {
        write_type(out, one, depth);
        buf_add_text(out, one->next ? " | " : "");
    }
}

static void write_type(struct buf *out, const struct json *schema, size_t depth)
{
    const struct json *choices = json_find(schema, "enum");
    const struct json *constant = json_find(schema, "const");
    const struct json *type = json_find(schema, "type");
    const struct json *any_of = json_find(schema, "anyOf");
    const struct json *one_of = json_find(schema, "oneOf");
    if (choices) {
        for (const struct json *c = choices->child; c; c = c->next) {
            write_choice(out, c);
            buf_add_text(out, c->next ? " | " : "");
        }
    } else if (constant) {
        write_choice(out, constant);
    } else if (any_of || one_of) {
        write_alternatives(out, any_of ? any_of : one_of, depth);
    } else if (type && type->type == JSON_ARRAY) {
        for (const struct json *t = type->child; t; t = t->next) {
            write_named_type(out, schema, t->text, depth);
            buf_add_text(out, t->next ? " | " : "");
        }
    } else if (type) {
        write_named_type(out, schema, type->text, depth);
    } else {
        buf_add_text(out, "anything");
    }
}

static void write_schema(struct page *p, const char *heading, const char *text)
{
    const struct json *schema = NULL;
    struct why why;
    enum err e = json_parse(p->scratch, slice_text(text), &json_limits_body, &schema, &why);
    ASSERT(e == OK && schema != NULL);
    buf_format(p->out, "<details><summary>%s</summary><pre>", heading);
    write_type(p->out, schema, 0);
    write_remark(p->out, schema);
    buf_add_text(p->out, "</pre></details>\n");
}

/* ---- operations ---------------------------------------------------------------------------------
 */

static void write_term(struct page *p, const char *term)
{
    buf_format(p->out, "<dt>%s</dt><dd>", term);
}

static void write_code(struct page *p, const char *separator, const char *text)
{
    buf_format(p->out, "%s<code>", separator);
    add_text(p->out, text);
    buf_add_text(p->out, "</code>");
}

static void write_names(struct page *p, const char *term, const char *const *names)
{
    if (!names || !names[0]) {
        return;
    }
    write_term(p, term);
    for (size_t i = 0; names[i]; i++) {
        write_code(p, i > 0 ? " " : "", names[i]);
    }
    buf_add_text(p->out, "</dd>\n");
}

static void write_query(struct page *p, const struct http_table *table, const struct http_route *r)
{
    bool is_list = (r->flags & HTTP_LIST) != 0;
    if ((!r->query_keys || !r->query_keys[0]) && !is_list) {
        return;
    }
    write_term(p, "query");
    const char *separator = "";
    for (size_t i = 0; r->query_keys && r->query_keys[i]; i++) {
        const struct http_query_doc *doc = http_query_doc_find(table->query_docs, r->query_keys[i]);
        write_code(p, separator, r->query_keys[i]);
        if (doc) {
            buf_add_byte(p->out, ' ');
            add_text(p->out, doc->doc);
        }
        separator = "<br>";
    }
    if (is_list) {
        buf_format(p->out, "%s<code>limit</code> <code>cursor</code> <code>offset</code>",
                   separator);
    }
    buf_add_text(p->out, "</dd>\n");
}

static void write_callers(struct page *p, const struct http_route *r)
{
    if (!r->roles && !(r->flags & HTTP_OPERATOR)) {
        return;
    }
    struct slice roles = http_roles_text(p->scratch, r->roles);
    write_term(p, "for");
    buf_add_text(p->out, r->flags & HTTP_OPERATOR ? "operators" : "");
    buf_add_text(p->out, r->roles && r->flags & HTTP_OPERATOR ? ", " : "");
    add_escaped(p->out, roles);
    buf_add_text(p->out, "</dd>\n");
}

static void write_codes(struct page *p, const struct http_route *r)
{
    if (!r->errors || r->errors[0] == OK) {
        return;
    }
    write_term(p, "errors");
    for (size_t i = 0; r->errors[i] != OK; i++) {
        write_code(p, i > 0 ? " " : "", err_code(r->errors[i]));
    }
    buf_add_text(p->out, "</dd>\n");
}

static void write_operation(struct page *p, const struct http_table *table,
                            const struct http_route *r)
{
    buf_add_text(p->out, "<article id=\"");
    add_text(p->out, r->operation);
    buf_format(p->out, "\">\n<h3><b>%s</b> <code>", http_method_name(r->method));
    add_text(p->out, r->path);
    buf_add_text(p->out, "</code></h3>\n<p>");
    add_text(p->out, r->summary);
    buf_add_text(p->out, "</p>\n<dl>\n");
    write_callers(p, r);
    write_query(p, table, r);
    write_term(p, "answers");
    buf_format(p->out, "%d", r->reply_status ? r->reply_status : 200);
    if (r->reply_status_other) {
        buf_format(p->out, ", %d", r->reply_status_other);
    }
    buf_add_text(p->out, "</dd>\n");
    write_codes(p, r);
    write_names(p, "also at", r->aliases);
    buf_add_text(p->out, "</dl>\n");
    if (r->body_schema) {
        write_schema(p, "body", r->body_schema);
    }
    if (r->reply_schema) {
        write_schema(p, r->flags & HTTP_RAW ? "answer" : "data", r->reply_schema);
    }
    buf_add_text(p->out, "</article>\n");
}

/* ---- the page -----------------------------------------------------------------------------------
 */

static bool tag_is_new(const struct page *p, size_t table, size_t row)
{
    const char *tag = p->tables[table].routes[row].tag;
    for (size_t t = 0; t <= table; t++) {
        size_t rows = t == table ? row : p->tables[t].count;
        for (size_t r = 0; r < rows; r++) {
            if (strcmp(p->tables[t].routes[r].tag, tag) == 0) {
                return false;
            }
        }
    }
    return true;
}

typedef void (*each_fn)(struct page *p, const struct http_table *table, const struct http_route *r);

static void each_of_tag(struct page *p, const char *tag, each_fn each)
{
    for (size_t t = 0; t < p->table_count; t++) {
        for (size_t r = 0; r < p->tables[t].count; r++) {
            const struct http_route *route = &p->tables[t].routes[r];
            if (strcmp(route->tag, tag) == 0) {
                each(p, &p->tables[t], route);
            }
        }
    }
}

static void write_link(struct page *p, const struct http_table *table, const struct http_route *r)
{
    (void)table;
    buf_add_text(p->out, "<li><a href=\"#");
    add_text(p->out, r->operation);
    buf_add_text(p->out, "\">");
    add_text(p->out, r->operation);
    buf_add_text(p->out, "</a></li>\n");
}

static void write_index(struct page *p, const char *tag)
{
    buf_add_text(p->out, "<h2>");
    add_text(p->out, tag);
    buf_add_text(p->out, "</h2>\n<ul>\n");
    each_of_tag(p, tag, write_link);
    buf_add_text(p->out, "</ul>\n");
}

static void write_section(struct page *p, const char *tag)
{
    buf_add_text(p->out, "<section>\n<h2>");
    add_text(p->out, tag);
    buf_add_text(p->out, "</h2>\n");
    each_of_tag(p, tag, write_operation);
    buf_add_text(p->out, "</section>\n");
}

static void each_tag(struct page *p, void (*each)(struct page *p, const char *tag))
{
    for (size_t t = 0; t < p->table_count; t++) {
        for (size_t r = 0; r < p->tables[t].count; r++) {
            if (tag_is_new(p, t, r)) {
                each(p, p->tables[t].routes[r].tag);
            }
        }
    }
}

static void write_errors(struct page *p)
{
    buf_add_text(p->out, "<section id=\"errors\">\n<h2>errors</h2>\n<table>\n<tr><th>code</th>"
                         "<th>status</th><th>try again</th><th>meaning</th></tr>\n");
    for (int e = OK + 1; e < ERR_COUNT; e++) {
        buf_format(p->out, "<tr><td><code>%s</code></td><td>%d</td><td>%s</td><td>",
                   err_code((enum err)e), err_http_status((enum err)e),
                   err_retryable((enum err)e) ? "yes" : "no");
        add_text(p->out, err_sentence((enum err)e));
        buf_add_text(p->out, "</td></tr>\n");
    }
    buf_add_text(p->out, "</table>\n</section>\n");
}

static void write_head(struct page *p, const struct http_about *about)
{
    buf_add_text(p->out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                         "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    add_text(p->out, about->title);
    buf_add_text(p->out, " API</title>\n<link rel=\"stylesheet\" href=\"docs.css\">\n</head>\n"
                         "<body>\n<header>\n<h1>");
    add_text(p->out, about->title);
    buf_add_text(p->out, " API ");
    add_text(p->out, about->version);
    buf_add_text(p->out, "</h1>\n<p>");
    add_text(p->out, about->summary);
    buf_add_text(
        p->out,
        "</p>\n<p>For programs: <a href=\"openapi.json\">openapi.json</a>. Answers are "
        "<code>{\"success\":true,\"data\":…}</code>, of lists with <code>nextCursor</code>; "
        "failures <code>{\"success\":false,\"error\":…,\"code\":…,\"requestId\":…}</code> with a "
        "code of the <a href=\"#errors\">table of errors</a>. A POST with "
        "<code>Idempotency-Key</code> runs once. Callers send "
        "<code>Authorization: Bearer KEY</code>.</p>\n</header>\n");
}

void http_page_write(const struct http_table *tables, size_t table_count,
                     const struct http_about *about, struct arena *scratch, struct buf *out)
{
    struct page p = {.tables = tables, .table_count = table_count, .scratch = scratch, .out = out};
    write_head(&p, about);
    buf_add_text(out, "<nav>\n");
    each_tag(&p, write_index);
    buf_add_text(out, "</nav>\n<main>\n");
    each_tag(&p, write_section);
    write_errors(&p);
    buf_add_text(out, "</main>\n</body>\n</html>\n");
}
