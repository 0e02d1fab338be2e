#include "kernel/base/check.h"
#include "kernel/http/http_internal.h"

/*
 * A trie of path segments. A node has literal children, sorted, and at most one child that takes
 * any segment. Rows and aliases hang on the node where their pattern ends, one a method. The names
 * of parameters belong to the row, since two rows may name the same position differently.
 */

struct entry {
    const struct http_route *route;
    void *ctx;
    const char *pattern;
    struct slice names[HTTP_PARAMS_MAX];
    size_t name_count;
};

struct node {
    struct slice literal;
    struct node **children;
    size_t child_count;
    size_t child_cap;
    struct node *parameter;
    const struct entry *entries[HTTP_METHODS];
};

struct http_router {
    struct node root;
};

static const char *const method_names[HTTP_METHODS] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

int http_method_parse(struct slice method)
{
    if (slice_equal_text(method, "HEAD")) {
        return HTTP_GET;
    }
    for (int m = 0; m < HTTP_METHODS; m++) {
        if (slice_equal_text(method, method_names[m])) {
            return m;
        }
    }
    return HTTP_METHOD_NONE;
}

const char *http_method_name(enum http_method method)
{
    ASSERT((unsigned)method < HTTP_METHODS);
    return method_names[method];
}

const char *http_allow_text(struct arena *req, unsigned methods)
{
    struct buf b;
    buf_init(&b, req, 64);
    buf_add_text(&b, methods & 1U << HTTP_GET ? "GET, HEAD, " : "");
    for (int m = HTTP_POST; m < HTTP_METHODS; m++) {
        if (methods & 1U << m) {
            buf_format(&b, "%s, ", method_names[m]);
        }
    }
    buf_add_text(&b, "OPTIONS");
    return slice_cstr(req, buf_slice(&b));
}

/* ---- building -------------------------------------------------------------------------------- */

/* The index where `literal` is or belongs. */
static size_t child_place(const struct node *n, struct slice literal, bool *out_found)
{
    size_t low = 0;
    size_t high = n->child_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(n->children[middle]->literal, literal);
        if (order == 0) {
            *out_found = true;
            return middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    *out_found = false;
    return low;
}

static struct node *child_add(struct arena *boot, struct node *n, struct slice literal)
{
    bool found;
    size_t at = child_place(n, literal, &found);
    if (found) {
        return n->children[at];
    }
    if (n->child_count == n->child_cap) {
        size_t cap = n->child_cap ? n->child_cap * 2 : 4;
        struct node **grown = arena_alloc_array(boot, cap, sizeof(struct node *));
        for (size_t i = 0; i < n->child_count; i++) {
            grown[i] = n->children[i];
        }
        n->children = grown;
        n->child_cap = cap;
    }
    for (size_t i = n->child_count; i > at; i--) {
        n->children[i] = n->children[i - 1];
    }
    n->children[at] = arena_alloc(boot, sizeof(struct node));
    n->children[at]->literal = literal;
    n->child_count++;
    return n->children[at];
}

static enum err bad_row(struct why *why, const struct entry *entry, const char *problem)
{
    return why_set(why, ERR_CONFIG, NULL, "The route \"%s %s\" %s.",
                   method_names[entry->route->method], entry->pattern, problem);
}

static enum err name_add(struct entry *entry, struct slice name, struct why *why)
{
    for (size_t i = 0; i < entry->name_count; i++) {
        if (slice_equal(entry->names[i], name)) {
            return bad_row(why, entry, "has two parameters of one name");
        }
    }
    if (name.len == 0 || entry->name_count == HTTP_PARAMS_MAX) {
        return bad_row(why, entry, "has a nameless parameter or too many of them");
    }
    entry->names[entry->name_count++] = name;
    return OK;
}

static enum err walk_pattern(struct arena *boot, struct node *root, struct entry *entry,
                             struct node **out, struct why *why)
{
    struct node *n = root;
    struct slice rest = slice_text(entry->pattern);
    if (rest.len == 0 || rest.ptr[0] != '/') {
        return bad_row(why, entry, "does not begin with '/'");
    }
    rest = slice_sub(rest, 1, rest.len);
    for (size_t depth = 0; rest.len > 0; depth++) {
        struct slice segment;
        (void)slice_cut(rest, '/', &segment, &rest);
        if (segment.len == 0 || depth == HTTP_SEGMENTS_MAX) {
            return bad_row(why, entry, "has an empty segment or too many of them");
        }
        bool opens = segment.ptr[0] == '{';
        bool closes = segment.ptr[segment.len - 1] == '}';
        if (opens != closes || (!opens && slice_find(segment, '{') >= 0)) {
            return bad_row(why, entry, "has a parameter that is not a whole segment");
        }
        if (!opens) {
            n = child_add(boot, n, segment);
            continue;
        }
        enum err e = name_add(entry, slice_sub(segment, 1, segment.len - 2), why);
        if (e) {
            return e;
        }
        n->parameter = n->parameter ? n->parameter : arena_alloc(boot, sizeof(struct node));
        n = n->parameter;
    }
    *out = n;
    return OK;
}

static bool same_names(const struct entry *a, const struct entry *b)
{
    size_t common = 0;
    for (size_t i = 0; i < a->name_count; i++) {
        for (size_t j = 0; j < b->name_count; j++) {
            common += slice_equal(a->names[i], b->names[j]);
        }
    }
    return common == a->name_count && common == b->name_count;
}

static enum err pattern_add(struct arena *boot, struct http_router *router,
                            const struct http_route *route, void *ctx, const char *pattern,
                            const struct entry **out, struct why *why)
{
    struct entry *entry = arena_alloc(boot, sizeof *entry);
    struct node *n = NULL;
    *entry = (struct entry){.route = route, .ctx = ctx, .pattern = pattern};
    enum err e = walk_pattern(boot, &router->root, entry, &n, why);
    if (e) {
        return e;
    }
    ASSERT(n != NULL);
    if (n->entries[route->method]) {
        return why_set(why, ERR_CONFIG, NULL,
                       "The routes \"%s %s\" and \"%s\" match the same request.",
                       method_names[route->method], pattern, n->entries[route->method]->pattern);
    }
    n->entries[route->method] = entry;
    *out = entry;
    return OK;
}

static enum err route_add(struct arena *boot, struct http_router *router,
                          const struct http_route *route, void *ctx, struct why *why)
{
    ASSERT((unsigned)route->method < HTTP_METHODS);
    ASSERT(route->path != NULL && route->handler != NULL);
    size_t keys = 0;
    while (route->query_keys && route->query_keys[keys]) {
        keys++;
    }
    ASSERT(keys + 3 <= HTTP_QUERY_MAX); /* and the three of lists */
    const struct entry *main_entry = NULL;
    enum err e = pattern_add(boot, router, route, ctx, route->path, &main_entry, why);
    for (size_t i = 0; !e && route->aliases && route->aliases[i]; i++) {
        const struct entry *alias = NULL;
        e = pattern_add(boot, router, route, ctx, route->aliases[i], &alias, why);
        if (e) {
            break;
        }
        ASSERT(main_entry != NULL && alias != NULL);
        if (!same_names(main_entry, alias)) {
            e = bad_row(why, alias, "has other parameters than the path that it is an alias of");
        }
    }
    return e;
}

enum err http_router_build(struct arena *boot, const struct http_table *tables, size_t table_count,
                           const struct http_router **out, struct why *why)
{
    struct http_router *router = arena_alloc(boot, sizeof *router);
    for (size_t t = 0; t < table_count; t++) {
        for (size_t r = 0; r < tables[t].count; r++) {
            enum err e = route_add(boot, router, &tables[t].routes[r], tables[t].ctx, why);
            if (e) {
                return e;
            }
        }
    }
    *out = router;
    return OK;
}

/* ---- matching -------------------------------------------------------------------------------- */

struct walk {
    const struct http_segments *path;
    int method;
    struct slice values[HTTP_PARAMS_MAX];
    const struct entry *entry;
    unsigned methods;
};

static bool node_ends(const struct node *n, struct walk *w)
{
    for (int m = 0; m < HTTP_METHODS; m++) {
        w->methods |= n->entries[m] ? 1U << m : 0;
    }
    w->entry = w->method == HTTP_METHOD_NONE ? NULL : n->entries[w->method];
    return w->entry != NULL;
}

/*
 * Literal children first; the parameter also when they lead nowhere. Each node of the trie is
 * visited at most once, and the depth is that of the longest pattern.
 */
static bool node_walk(const struct node *n, struct walk *w, size_t depth, size_t taken)
{
    if (depth == w->path->count) {
        return node_ends(n, w);
    }
    struct slice segment = w->path->at[depth];
    bool found;
    size_t at = child_place(n, segment, &found);
    if (found && node_walk(n->children[at], w, depth + 1, taken)) {
        return true;
    }
    if (!n->parameter || segment.len == 0) {
        return false;
    }
    w->values[taken] = segment;
    return node_walk(n->parameter, w, depth + 1, taken + 1);
}

void http_router_match(const struct http_router *router, int method,
                       const struct http_segments *path, struct http_match *out)
{
    struct walk w = {.path = path, .method = method};
    *out = (struct http_match){.route = NULL};
    if (path->too_many || !node_walk(&router->root, &w, 0, 0)) {
        out->methods = w.methods;
        return;
    }
    out->route = w.entry->route;
    out->ctx = w.entry->ctx;
    out->methods = w.methods;
    out->param_count = w.entry->name_count;
    for (size_t i = 0; i < w.entry->name_count; i++) {
        out->params[i] = (struct http_param){.name = w.entry->names[i], .value = w.values[i]};
    }
}

const struct http_query_doc *http_query_doc_find(const struct http_query_doc *docs,
                                                 const char *name)
{
    for (; docs && docs->name; docs++) {
        if (strcmp(docs->name, name) == 0) {
            return docs;
        }
    }
    return NULL;
}

/* ---- the reference --------------------------------------------------------------------------- */

static void reference_row(const struct http_route *route, struct buf *out)
{
    buf_format(out, "| %s | `%s` | %s%s", method_names[route->method], route->path,
               route->summary ? route->summary : "",
               route->flags & HTTP_OPERATOR ? " For operators." : "");
    if (route->roles) {
        struct slice roles = http_roles_text(out->arena, route->roles);
        buf_format(out, " For: %.*s.", SLICE_ARG(roles));
    }
    if (route->auth_roles) {
        struct slice roles = http_roles_text(out->arena, route->auth_roles);
        buf_format(out, " With `http.auth_required` for: %.*s.", SLICE_ARG(roles));
    }
    if (route->limit != HTTP_LIMIT_NONE) {
        buf_format(out, " Limited as %s.", http_operation_of(route->limit)->name);
    }
    buf_add_text(out, " |");
    const char *separator = " ";
    for (size_t i = 0; route->query_keys && route->query_keys[i]; i++) {
        buf_format(out, "%s`%s`", separator, route->query_keys[i]);
        separator = ", ";
    }
    if (route->flags & HTTP_LIST) {
        buf_format(out, "%s`limit`, `cursor`, `offset`", separator);
    }
    buf_format(out, " | %d", route->reply_status ? route->reply_status : 200);
    if (route->reply_status_other) {
        buf_format(out, ", %d", route->reply_status_other);
    }
    buf_add_text(out, " |");
    separator = " ";
    for (size_t i = 0; route->errors && route->errors[i] != OK; i++) {
        buf_format(out, "%s`%s`", separator, err_code(route->errors[i]));
        separator = ", ";
    }
    buf_add_text(out, " |");
    separator = " ";
    for (size_t i = 0; route->aliases && route->aliases[i]; i++) {
        buf_format(out, "%s`%s`", separator, route->aliases[i]);
        separator = ", ";
    }
    buf_add_text(out, " |\n");
}

void http_routes_reference(const struct http_table *tables, size_t table_count, struct buf *out)
{
    buf_add_text(out, "| method | path | what it does | query | success | errors | also at |\n"
                      "| --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t t = 0; t < table_count; t++) {
        for (size_t r = 0; r < tables[t].count; r++) {
            reference_row(&tables[t].routes[r], out);
        }
    }
}
