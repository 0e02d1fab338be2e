/*
 * xml.h: reads the small XML that S3 and its like answer with.
 *
 * A reader walks over a text that is in memory and gives one event at a time: an element begins, an
 * element ends, text. It knows elements, attributes (passed over), the five entities and characters
 * by number, CDATA, comments and the declaration. What such answers never have is refused: document
 * types and what they could define, processing instructions, nesting beyond XML_DEPTH_MAX, a text
 * of more than one root, an end that does not match. Prefixes of names are cut off.
 */
#ifndef KERNEL_NET_XML_H
#define KERNEL_NET_XML_H

#include "kernel/base/mem.h"
#include "kernel/base/slice.h"

#define XML_DEPTH_MAX 16

enum net_xml_event {
    NET_XML_BEGIN, /* `name` */
    NET_XML_END,   /* `name` */
    NET_XML_TEXT,  /* `text`: all of it up to the next tag, blanks too */
    NET_XML_DONE,
    NET_XML_BAD,
};

struct net_xml {
    struct slice rest;
    struct arena *arena;
    struct slice open[XML_DEPTH_MAX]; /* names as they are written */
    unsigned depth;
    bool closes; /* the last tag was <name/> */
    bool begun;
    struct slice name; /* of the last tag, without its prefix */
    struct slice text; /* in the arena when it had to be changed */
};

/* net_xml_init readies a reader of `text`, which must stay. */
void net_xml_init(struct net_xml *x, struct arena *arena, struct slice text);

/* net_xml_next gives the next event; after NET_XML_DONE or NET_XML_BAD there is none. */
enum net_xml_event net_xml_next(struct net_xml *x);

/*
 * net_xml_find returns the text of the first element with this name, wherever it stands; false when
 * there is none or the text is no XML up to there. Owns: the arena.
 */
bool net_xml_find(struct arena *arena, struct slice text, const char *name, struct slice *out);

#endif
