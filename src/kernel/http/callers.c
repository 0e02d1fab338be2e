#include "kernel/http/http_internal.h"

static const char *const role_names[HTTP_ROLES] = {"admin", "issuer", "operator", "investor",
                                                   "service"};

unsigned http_role_parse(struct slice name)
{
    for (unsigned i = 0; i < HTTP_ROLES; i++) {
        if (slice_equal_text(name, role_names[i])) {
            return 1U << i;
        }
    }
    return 0;
}

struct slice http_roles_text(struct arena *arena, unsigned roles)
{
    struct buf text;
    buf_init(&text, arena, 64);
    for (unsigned i = 0; i < HTTP_ROLES; i++) {
        if (roles & 1U << i) {
            buf_format(&text, "%s%s", buf_slice(&text).len > 0 ? "," : "", role_names[i]);
        }
    }
    return buf_slice(&text);
}

/* The address as inet_ntop writes it; an IPv4 client of a dual-stack socket is mapped. */
static bool is_this_machine(struct slice client)
{
    return slice_starts(client, SLICE_LIT("127.")) || slice_equal_text(client, "::1") ||
           slice_starts(client, SLICE_LIT("::ffff:127."));
}

static bool is_operator_token(struct slice sent, const struct secret *token)
{
    return secret_len(token) > 0 && sent.len == secret_len(token) &&
           mem_equal_secret(sent.ptr, secret_bytes(token), secret_len(token)) == 1;
}

static enum err refuse_stranger(const struct http_call *call, struct why *why)
{
    return why_set(why, ERR_UNAUTHENTICATED, NULL,
                   call->route->flags & HTTP_OPERATOR
                       ? "This is for operators: send Authorization: Bearer with "
                         "http.operator_token, or the API key of an operator."
                       : "Send Authorization: Bearer with a valid API key or access token.");
}

enum err http_identify(const struct http_config *config, struct arena *arena, struct slice token,
                       struct http_caller *out, struct why *why)
{
    if (is_operator_token(token, &config->operator_token)) {
        *out = (struct http_caller){.principal = SLICE_LIT("operator"),
                                    .roles = HTTP_ROLE_ADMIN | HTTP_ROLE_OPERATOR};
        return OK;
    }
    if (!config->authority) {
        return why_set(why, ERR_UNAUTHENTICATED, NULL, "%s", err_sentence(ERR_UNAUTHENTICATED));
    }
    return config->authority->identify(config->authority->ctx, arena, token, out, why);
}

/* Fills in who calls. Without credentials it is nobody. */
static enum err look_up(struct http_request *req, struct why *why)
{
    static const struct slice scheme = SLICE_LIT("Bearer ");
    const struct http_config *config = &req->server->config;
    struct http_call *call = &req->call;
    struct slice sent = http_header(call, "Authorization");
    struct http_caller caller = {.roles = 0};
    if (sent.len == 0) {
        return OK;
    }
    req->wipe = true;
    if (sent.len <= scheme.len || !slice_equal_nocase(slice_sub(sent, 0, scheme.len), scheme)) {
        return refuse_stranger(call, why);
    }
    struct slice token = slice_sub(sent, scheme.len, sent.len - scheme.len);
    struct why reason = {.err = OK};
    enum err e = http_identify(config, call->req, token, &caller, &reason);
    if (e == ERR_UNAUTHENTICATED && (call->route->flags & HTTP_OPERATOR || !config->authority)) {
        return refuse_stranger(call, why);
    }
    if (e) {
        return why_set(why, e, NULL, "%s", why_text(&reason, e));
    }
    call->principal = caller.principal;
    call->session = caller.session;
    call->roles = caller.roles;
    return OK;
}

static enum err refuse_role(unsigned roles, struct http_call *call, struct why *why)
{
    struct slice text = http_roles_text(call->req, roles);
    return why_set(why, ERR_FORBIDDEN, NULL, "This takes a caller with one of the roles %.*s.",
                   SLICE_ARG(text));
}

/* Without a token configured, who works on this machine is an operator; a page never is. */
static bool is_operator_by_place(const struct http_request *req)
{
    return secret_len(&req->server->config.operator_token) == 0 &&
           http_header(&req->call, "Origin").len == 0 && is_this_machine(req->call.client);
}

unsigned http_roles_admitted(const struct http_call *call)
{
    bool by_place = call->principal.len == 0 && is_operator_by_place(http_request_of(call));
    return call->roles | (by_place ? (unsigned)HTTP_ROLE_OPERATOR : 0);
}

static enum err admit_operator(const struct http_request *req, struct why *why)
{
    const struct http_call *call = &req->call;
    if (secret_len(&req->server->config.operator_token) > 0) {
        return refuse_stranger(call, why);
    }
    /* A page in a browser of this machine is somebody else's word: only browsers send Origin. */
    if (http_header(call, "Origin").len > 0) {
        return why_set(why, ERR_FORBIDDEN, NULL,
                       "This is for operators: a page of a browser needs http.operator_token, or "
                       "the API key of an operator.");
    }
    return is_this_machine(call->client)
               ? OK
               : why_set(why, ERR_FORBIDDEN, NULL,
                         "This is for operators: without http.operator_token it is answered on the "
                         "machine itself and to API keys of operators only.");
}

/* A POST that changes nothing (verify) says so by HTTP_NO_IDEMPOTENCY. */
static bool changes_something(const struct http_route *route)
{
    return route->method != HTTP_GET && !(route->flags & HTTP_NO_IDEMPOTENCY);
}

static unsigned roles_of(const struct http_route *route)
{
    return route->roles | (route->flags & HTTP_OPERATOR ? (unsigned)HTTP_ROLE_OPERATOR : 0);
}

/* Health is told without a database, whatever was sent. */
static bool asks_nobody(const struct http_route *route)
{
    return (route->flags & HTTP_NO_STORE) != 0 && roles_of(route) == 0;
}

enum err http_recognise(struct http_request *req, struct why *why)
{
    return asks_nobody(req->call.route) ? OK : look_up(req, why);
}

enum err http_admit(struct http_request *req, struct why *why)
{
    struct http_call *call = &req->call;
    const struct http_route *route = call->route;
    bool operators = (route->flags & HTTP_OPERATOR) != 0;
    unsigned roles = roles_of(route);
    if (asks_nobody(route)) {
        return OK;
    }
    bool asks = req->server->config.auth_required && changes_something(route);
    if (roles == 0 && asks) {
        roles = route->auth_roles;
    }
    if (call->principal.len > 0) {
        return roles == 0 || call->roles & (roles | HTTP_ROLE_ADMIN)
                   ? OK
                   : refuse_role(roles, call, why);
    }
    if (operators) {
        return admit_operator(req, why);
    }
    return roles != 0 || asks ? refuse_stranger(call, why) : OK;
}
