#include "kernel/base/check.h"
#include "kernel/base/hex.h"
#include "kernel/evm/abi_word.h"
#include "kernel/evm/address.h"
#include "kernel/evm/eip712.h"

/* Types come from outside; hashing one may visit all members of all, so their number is bounded. */
#define TYPES_MAX 64
#define MEMBERS_MAX 256
#define DOMAIN_TYPE "EIP712Domain"

/* JavaScript rounds larger JSON numbers, so a wallet would have hashed something else. */
#define JSON_NUMBER_MAX ((1ull << 53) - 1)

struct type;

struct member {
    struct slice name;
    struct slice text;            /* the type as written */
    const struct abi_type *shape; /* elementary type or its arrays; of a struct: its arrays only */
    struct type *structure;       /* the struct at the bottom of the arrays, or NULL */
};

struct type {
    struct slice name;
    struct member *members;
    size_t count;
    bool hashed;
    struct hash hash; /* of the type's text, once `hashed` */
};

struct document {
    struct arena *arena;
    struct why *why;
    struct type types[TYPES_MAX];
    size_t count;
};

static enum err refuse(struct document *d, const char *field, const char *sentence)
{
    return why_set(d->why, ERR_INVALID_ENCODING, field, "%s", sentence);
}

/* under puts a name (or an index, when it is empty) in front of the field that an error is in. */
static enum err under(struct document *d, enum err e, struct slice name, size_t index)
{
    if (e == OK) {
        return OK;
    }
    const struct abi_type component = {.name = slice_cstr(d->arena, name)};
    return abi_why_under(d->why, e, &component, index);
}

static struct type *type_find(struct document *d, struct slice name)
{
    for (size_t i = 0; i < d->count; i++) {
        if (slice_equal(d->types[i].name, name)) {
            return &d->types[i];
        }
    }
    return NULL;
}

/* ---- reading the types ---- */

static bool is_identifier(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool digit = c >= '0' && c <= '9';
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
        if (!letter && (!digit || i == 0)) {
            return false;
        }
    }
    return name.len > 0;
}

/* shape_find returns the ABI type of text such as "uint256[2][]", or NULL. */
static const struct abi_type *shape_find(struct document *d, struct slice text)
{
    const struct abi_type *type = NULL;
    if (slice_find(text, ' ') >= 0 || abi_type_parse(d->arena, text, &type, NULL) != OK) {
        return NULL;
    }
    return type;
}

static enum err member_read(struct document *d, const struct json *v, struct type *type)
{
    struct member m = {0};
    enum err e = json_get_text(v, "name", &m.name, d->why);
    if (e == OK) {
        e = json_get_text(v, "type", &m.text, d->why);
    }
    if (e != OK) {
        return e == ERR_MISSING_FIELD ? e : refuse(d, NULL, "A member needs a name and a type.");
    }
    if (!is_identifier(m.name)) {
        return refuse(d, "name", "The name of a member must be an identifier.");
    }
    for (size_t i = 0; i < type->count; i++) {
        if (slice_equal(type->members[i].name, m.name)) {
            return refuse(d, "name", "The type has two members of one name.");
        }
    }
    type->members[type->count++] = m;
    return OK;
}

static enum err type_read(struct document *d, const struct json *v)
{
    struct type *type = &d->types[d->count];
    if (!is_identifier(v->key) || shape_find(d, v->key) != NULL) {
        return refuse(d, NULL, "The name of a type must be an identifier of its own.");
    }
    if (v->type != JSON_ARRAY || v->count > MEMBERS_MAX) {
        return refuse(d, NULL, "A type must be a list of at most 256 members.");
    }
    *type = (struct type){.name = v->key};
    type->members = arena_alloc_array(d->arena, v->count, sizeof(*type->members));
    for (const struct json *m = v->child; m != NULL; m = m->next) {
        enum err e = member_read(d, m, type);
        if (e != OK) {
            return under(d, e, SLICE_EMPTY, type->count);
        }
    }
    d->count++;
    return OK;
}

/* member_resolve finds out what a member's type text stands for, once all types are known. */
static enum err member_resolve(struct document *d, struct member *m)
{
    ptrdiff_t bracket = slice_find(m->text, '[');
    size_t base_len = bracket < 0 ? m->text.len : (size_t)bracket;
    struct slice base = slice_sub(m->text, 0, base_len);
    struct slice arrays = slice_sub(m->text, base_len, m->text.len);
    struct slice text = m->text;
    m->structure = type_find(d, base);
    if (m->structure != NULL) {
        text = slice_format(d->arena, "bool%.*s", SLICE_ARG(arrays));
    }
    m->shape = is_identifier(base) ? shape_find(d, text) : NULL;
    return m->shape != NULL ? OK : refuse(d, NULL, "The type of the member is not defined.");
}

static enum err type_resolve(struct document *d, struct type *type)
{
    for (size_t i = 0; i < type->count; i++) {
        enum err e = member_resolve(d, &type->members[i]);
        if (e != OK) {
            return under(d, e, type->members[i].name, 0);
        }
    }
    return OK;
}

/*
 * A document may leave EIP712Domain out of its types; the members then are those that its domain
 * has, in the order of the EIP.
 */
static void domain_type_add(struct document *d, const struct json *domain)
{
    static const struct {
        const char *name, *type;
    } known[] = {{"name", "string"},
                 {"version", "string"},
                 {"chainId", "uint256"},
                 {"verifyingContract", "address"},
                 {"salt", "bytes32"}};
    const size_t known_count = sizeof(known) / sizeof(known[0]);
    struct type *type = &d->types[d->count++];
    *type = (struct type){.name = SLICE_LIT(DOMAIN_TYPE)};
    type->members = arena_alloc_array(d->arena, known_count, sizeof(*type->members));
    for (size_t i = 0; i < known_count; i++) {
        if (json_find(domain, known[i].name) != NULL) {
            type->members[type->count++] = (struct member){.name = slice_text(known[i].name),
                                                           .text = slice_text(known[i].type)};
        }
    }
}

static enum err types_read(struct document *d, const struct json *types, const struct json *domain)
{
    if (types->count >= TYPES_MAX) {
        return refuse(d, NULL, "There are too many types.");
    }
    for (const struct json *v = types->child; v != NULL; v = v->next) {
        enum err e = type_read(d, v);
        if (e != OK) {
            return under(d, e, v->key, 0);
        }
    }
    if (type_find(d, SLICE_LIT(DOMAIN_TYPE)) == NULL) {
        domain_type_add(d, domain);
    }
    for (size_t i = 0; i < d->count; i++) {
        enum err e = type_resolve(d, &d->types[i]);
        if (e != OK) {
            return under(d, e, d->types[i].name, 0);
        }
    }
    return OK;
}

/* ---- hashing the types ---- */

struct type_set {
    const struct type *types[TYPES_MAX];
    size_t count;
};

static void set_add(struct type_set *set, const struct type *type)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->types[i] == type) {
            return;
        }
    }
    ASSERT(set->count < TYPES_MAX);
    set->types[set->count++] = type;
}

/* set_reach fills the set with all types that `type` refers to, itself first. */
static void set_reach(struct type_set *set, const struct type *type)
{
    set->count = 0;
    set_add(set, type);
    for (size_t next = 0; next < set->count; next++) {
        const struct type *t = set->types[next];
        for (size_t i = 0; i < t->count; i++) {
            if (t->members[i].structure != NULL) {
                set_add(set, t->members[i].structure);
            }
        }
    }
}

static int by_name(const void *a, const void *b)
{
    const struct type *const *left = a, *const *right = b;
    return slice_compare((*left)->name, (*right)->name);
}

static void type_text_add(struct buf *out, const struct type *type)
{
    buf_add_slice(out, type->name);
    buf_add_byte(out, '(');
    for (size_t i = 0; i < type->count; i++) {
        buf_add_text(out, i > 0 ? "," : "");
        buf_add_slice(out, type->members[i].text);
        buf_add_byte(out, ' ');
        buf_add_slice(out, type->members[i].name);
    }
    buf_add_byte(out, ')');
}

/* type_hash hashes encodeType: the type, then those it refers to, sorted by name. */
static const struct hash *type_hash(struct document *d, struct type *type)
{
    struct type_set set;
    struct buf text;
    if (type->hashed) {
        return &type->hash;
    }
    set_reach(&set, type);
    qsort(set.types + 1, set.count - 1, sizeof(set.types[0]), by_name);
    buf_init(&text, d->arena, 256);
    for (size_t i = 0; i < set.count; i++) {
        type_text_add(&text, set.types[i]);
    }
    type->hash = keccak256(buf_slice(&text));
    type->hashed = true;
    return &type->hash;
}

/* ---- hashing the data ---- */

static enum err integer_read(struct document *d, const struct json *v, struct u256 *out)
{
    static const char sentence[] =
        "An integer must be a string of decimal or 0x digits, or a number below 2^53.";
    struct slice text = v->text;
    struct u256 magnitude;
    bool negative = slice_starts(text, SLICE_LIT("-"));
    if (v->type != JSON_STRING && v->type != JSON_NUMBER) {
        return refuse(d, NULL, sentence);
    }
    text = slice_sub(text, negative ? 1 : 0, text.len);
    enum err e = slice_starts(text, SLICE_LIT("0x")) ? u256_parse_hex(text, &magnitude)
                                                     : u256_parse(text, &magnitude);
    if (e != OK ||
        (v->type == JSON_NUMBER && u256_compare(magnitude, u256_from_u64(JSON_NUMBER_MAX)) > 0)) {
        return refuse(d, NULL, sentence);
    }
    if (!negative || u256_is_zero(magnitude)) {
        *out = magnitude;
        return OK;
    }
    /* Two's complement: 2^256 - m = (2^256 - 1 - m) + 1. Beyond -2^255 it would turn positive. */
    struct u256 flipped = U256_ZERO;
    if (u256_bits(magnitude) == 256 &&
        u256_compare(magnitude, (struct u256){{0, 0, 0, 1ull << 63}}) != 0) {
        return refuse(d, NULL, sentence);
    }
    e = u256_sub(U256_MAX, magnitude, &flipped);
    ASSERT(e == OK);
    return u256_add(flipped, u256_from_u64(1), out);
}

/* sign_fits refuses a minus before a uint, and a uint256 that would read as a negative int256. */
static bool sign_fits(const struct abi_type *type, const struct json *v, struct u256 number)
{
    bool negative = slice_starts(v->text, SLICE_LIT("-"));
    return type->kind == ABI_INT ? negative || u256_bits(number) < 256 : !negative;
}

static enum err atom_read(struct document *d, const struct abi_type *type, const struct json *v,
                          struct abi_value *out)
{
    struct address address;
    enum err e = OK;
    switch (type->kind) {
    case ABI_UINT:
    case ABI_INT:
        e = integer_read(d, v, &out->number);
        if (e == OK && !sign_fits(type, v, out->number)) {
            e = refuse(d, NULL, "The integer does not fit its type.");
        }
        return e;
    case ABI_BOOL:
        out->number = u256_from_u64(v->type == JSON_TRUE);
        return v->type == JSON_TRUE || v->type == JSON_FALSE
                   ? OK
                   : refuse(d, NULL, "A bool must be true or false.");
    case ABI_ADDRESS:
        if (v->type != JSON_STRING || address_parse(v->text, &address) != OK) {
            return refuse(d, NULL, "An address must be 0x and 40 digits, with EIP-55 case if any.");
        }
        *out = abi_address(&address);
        return OK;
    case ABI_FIXED_BYTES:
    case ABI_BYTES:
        if (v->type != JSON_STRING || hex_decode(d->arena, v->text, &out->bytes) != OK) {
            return refuse(d, NULL, "Bytes must be 0x and an even number of digits.");
        }
        return OK;
    case ABI_STRING:
        out->bytes = v->text;
        return v->type == JSON_STRING ? OK : refuse(d, NULL, "A string is needed.");
    case ABI_TUPLE:
    case ABI_ARRAY:
    case ABI_LIST:
        break;
    }
    ASSERT(!"an elementary type");
    return ERR_INTERNAL;
}

static enum err atom_hash(struct document *d, const struct abi_type *type, const struct json *v,
                          struct hash *out)
{
    struct abi_value value = {0};
    enum err e = atom_read(d, type, v, &value);
    if (e != OK) {
        return e;
    }
    if (type->kind == ABI_STRING || type->kind == ABI_BYTES) {
        *out = keccak256(value.bytes);
        return OK;
    }
    return abi_word_encode(type, &value, out->bytes, d->why);
}

static enum err struct_hash(struct document *d, struct type *type, const struct json *v,
                            struct hash *out);

/* value_hash gives the word that a value contributes to the struct or array around it. */
static enum err value_hash(struct document *d, const struct abi_type *shape, struct type *structure,
                           const struct json *v, struct hash *out)
{
    struct keccak k;
    size_t index = 0;
    if (shape->kind != ABI_ARRAY && shape->kind != ABI_LIST) {
        return structure != NULL ? struct_hash(d, structure, v, out) : atom_hash(d, shape, v, out);
    }
    if (v->type != JSON_ARRAY || (shape->kind == ABI_ARRAY && v->count != shape->size)) {
        return refuse(d, NULL, "An array of the length of its type is needed.");
    }
    keccak_init(&k);
    for (const struct json *item = v->child; item != NULL; item = item->next) {
        struct hash word;
        enum err e = value_hash(d, shape->items, structure, item, &word);
        if (e != OK) {
            return under(d, e, SLICE_EMPTY, index);
        }
        keccak_update(&k, hash_slice(&word));
        index++;
    }
    keccak_final(&k, out);
    return OK;
}

static const struct json *member_of(const struct json *object, struct slice name)
{
    for (const struct json *m = object->child; m != NULL; m = m->next) {
        if (slice_equal(m->key, name)) {
            return m;
        }
    }
    return NULL;
}

static enum err struct_hash(struct document *d, struct type *type, const struct json *v,
                            struct hash *out)
{
    struct keccak k;
    if (v->type == JSON_NULL) {
        /* As eth_signTypedData_v4 has it: the absent end of a recursive type hashes to zero. */
        memset(out->bytes, 0, HASH_BYTES);
        return OK;
    }
    if (v->type != JSON_OBJECT) {
        return refuse(d, NULL, "An object is needed.");
    }
    keccak_init(&k);
    keccak_update(&k, hash_slice(type_hash(d, type)));
    for (size_t i = 0; i < type->count; i++) {
        const struct member *m = &type->members[i];
        const struct json *item = member_of(v, m->name);
        struct hash word;
        enum err e = item == NULL ? why_set(d->why, ERR_MISSING_FIELD, NULL,
                                            "The typed data lacks a member of its type %.*s.",
                                            SLICE_ARG(type->name))
                                  : value_hash(d, m->shape, m->structure, item, &word);
        if (e != OK) {
            return under(d, e, m->name, 0);
        }
        keccak_update(&k, hash_slice(&word));
    }
    keccak_final(&k, out);
    return OK;
}

static enum err root_hash(struct document *d, struct slice type_name, const struct json *v,
                          const char *label, struct hash *out)
{
    struct type *type = type_find(d, type_name);
    if (type == NULL) {
        return refuse(d, "primaryType", "The primary type is not among the types.");
    }
    if (v == NULL || v->type != JSON_OBJECT) {
        return refuse(d, label, "An object is needed.");
    }
    return under(d, struct_hash(d, type, v, out), slice_text(label), 0);
}

enum err eip712_typed_data(struct arena *arena, const struct json *document, struct hash *out,
                           struct why *why)
{
    struct document d = {.arena = arena, .why = why};
    const struct json *types = NULL, *domain = NULL, *message = NULL;
    struct hash separator, body;
    struct slice primary = SLICE_EMPTY;
    enum err e = json_get(document, "types", JSON_OBJECT, &types, why);
    if (e == OK) {
        e = json_get_text(document, "primaryType", &primary, why);
    }
    if (e == OK) {
        e = json_get(document, "domain", JSON_OBJECT, &domain, why);
    }
    if (e == OK) {
        e = json_get(document, "message", JSON_OBJECT, &message, why);
    }
    if (e != OK && e != ERR_MISSING_FIELD) {
        e = why_set(why, ERR_INVALID_JSON, NULL,
                    "Typed data needs the objects types, domain and message and the text "
                    "primaryType.");
    }
    if (e != OK) {
        return e;
    }
    e = under(&d, types_read(&d, types, domain), SLICE_LIT("types"), 0);
    if (e == OK && slice_equal_text(primary, DOMAIN_TYPE)) {
        e = refuse(&d, "primaryType", "A domain without a message is not accepted.");
    }
    if (e == OK) {
        e = root_hash(&d, SLICE_LIT(DOMAIN_TYPE), domain, "domain", &separator);
    }
    if (e == OK) {
        e = root_hash(&d, primary, message, "message", &body);
    }
    if (e == OK) {
        *out = eip712_digest(&separator, &body);
    }
    return e;
}
