/* XML of object stores: every event is inside the input, ends match beginnings, and it comes to an
 * end. */
#include "kernel/base/check.h"
#include "kernel/net/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct net_xml x;
    struct slice found;
    unsigned depth = 0;
    size_t steps = 0;
    bool more = true;
    arena_init(&arena, 0);
    net_xml_init(&x, &arena, slice_of(data, size));
    while (more) {
        ASSERT(steps++ <= 2 * size + 2);
        switch (net_xml_next(&x)) {
        case NET_XML_BEGIN:
            depth++;
            ASSERT(depth <= XML_DEPTH_MAX);
            break;
        case NET_XML_END:
            ASSERT(depth > 0);
            depth--;
            break;
        case NET_XML_TEXT:
            ASSERT(x.text.len <= size);
            break;
        case NET_XML_DONE:
            ASSERT(depth == 0);
            more = false;
            break;
        case NET_XML_BAD:
            more = false;
            break;
        }
    }
    (void)net_xml_find(&arena, slice_of(data, size), "Code", &found);
    arena_free(&arena);
    return 0;
}
