/*
 * cid.h: the content identifier under which IPFS knows a file: version 1, computed as `ipfs add
 * --cid-version=1` does it, without a node.
 *
 * A file is cut into leaves of 256 KiB, which are raw blocks; a single one is the file. Of several,
 * up to 174 at a time go into a node (dag-pb with UnixFS data), nodes into nodes, until one is
 * left. An identifier is 0x01, what kind of block it is (0x55 raw, 0x70 dag-pb), 0x12 0x20 and the
 * block's SHA-256, in lower-case base 32 behind a "b". Another chunker gives another identifier of
 * the same file: this is the one that nodes give by themselves.
 */
#ifndef KERNEL_CRYPTO_CID_H
#define KERNEL_CRYPTO_CID_H

#include "kernel/base/slice.h"

#define CID_TEXT_MAX 60 /* with the NUL */

struct cid;

/* cid_new starts a file. Owns: the caller, cid_free. */
struct cid *cid_new(void);
/* cid_update absorbs bytes of it. */
void cid_update(struct cid *c, struct slice bytes);
/* cid_final writes the identifier; afterwards only cid_free is left. */
void cid_final(struct cid *c, char out[CID_TEXT_MAX]);
/* cid_free frees; NULL is fine. */
void cid_free(struct cid *c);

#endif
