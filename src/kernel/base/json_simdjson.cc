#include "kernel/base/json_simdjson.h"

#include <simdjson.h>

#include <memory>
#include <string>

static_assert(JSON_PADDING >= simdjson::SIMDJSON_PADDING, "the padding must satisfy simdjson");

namespace
{

// A list for texts up to this size stays with its thread: 4 bytes of list for a byte of text.
constexpr size_t KEPT_CAPACITY_MAX = 1u << 20;
constexpr size_t CAPACITY_MIN = 1u << 14;

thread_local std::unique_ptr<simdjson::internal::dom_parser_implementation> scanner;

simdjson::error_code ensure_capacity(size_t len)
{
    if (scanner && scanner->capacity() >= len) {
        return simdjson::SUCCESS;
    }
    size_t capacity = len < CAPACITY_MIN ? CAPACITY_MIN : len;
    if (scanner) {
        return scanner->set_capacity(capacity);
    }
    constexpr size_t depth = 1; // of the second stage, which is not used
    return simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, depth,
                                                                                   scanner);
}

enum json_scan translate(simdjson::error_code error)
{
    switch (error) {
    case simdjson::SUCCESS:
        return JSON_SCAN_OK;
    case simdjson::UTF8_ERROR:
        return JSON_SCAN_UTF8;
    case simdjson::UNESCAPED_CHARS:
        return JSON_SCAN_CONTROL;
    case simdjson::UNCLOSED_STRING:
        return JSON_SCAN_UNCLOSED;
    case simdjson::EMPTY:
        return JSON_SCAN_EMPTY;
    case simdjson::MEMALLOC:
        return JSON_SCAN_MEMORY;
    default: /* not an enum */
        return JSON_SCAN_OTHER;
    }
}

} // namespace

extern "C" enum json_scan json_simdjson_scan(const uint8_t *text, size_t len,
                                             const uint32_t **out_at, size_t *out_count)
{
    simdjson::error_code error = ensure_capacity(len);
    if (!error) {
        error = scanner->stage1(text, len, simdjson::stage1_mode::regular);
    }
    if (!error) {
        *out_at = scanner->structural_indexes.get();
        *out_count = scanner->n_structural_indexes;
    }
    return translate(error);
}

extern "C" void json_simdjson_release(void)
{
    if (scanner && scanner->capacity() > KEPT_CAPACITY_MAX) {
        scanner.reset();
    }
}

extern "C" const char *json_simdjson_name(void)
{
    static const std::string name = simdjson::get_active_implementation()->name();
    return name.c_str();
}
