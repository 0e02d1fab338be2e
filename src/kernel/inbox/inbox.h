/*
 * inbox.h: events from outside are processed once.
 *
 * A webhook is delivered until its sender believes that it arrived, a poll shows an item again, and
 * a process may die between doing what an event asks and saying so. Whoever processes such events
 * takes each one in the transaction of its effects:
 *
 *     inbox_take(tx, "kyc.webhook", event_id, &hash, &taken)
 *         INBOX_NEW        do it, in this transaction, and inbox_result(…) when there is an answer
 *         INBOX_SAME       it was done: taken.result has the answer, give it again
 *         INBOX_DIFFERENT  the sender gave one id to two contents: refuse and look into it
 *
 * Table `inbox_events`: a row is the pair (source, event id) with the SHA-256 of the content, when
 * it was first seen, how often, and the result (JSON) of those that have one. A source is a
 * constant of ours ("x402.webhook"), the id is the sender's.
 *
 *   (no row) ──inbox_take──▶ taken ──inbox_result──▶ with result ──inbox_purge──▶ (no row)
 *
 * A crash before the commit leaves no row and no effect: the sender repeats, it is new. After the
 * commit both are there. Of two who take the same event at once, one waits for the other's commit
 * and then finds it (on PostgreSQL the loser runs again, see store.h).
 *
 * Retention: an id may come again as long as its sender repeats, commonly days; purging forgets
 * ids, so that one which comes after that is new. Callers keep what must never be done twice
 * under a unique key of its own too.
 *
 * Threads: inside transactions, from any thread.
 */
#ifndef KERNEL_INBOX_INBOX_H
#define KERNEL_INBOX_INBOX_H

#include "kernel/base/config.h"
#include "kernel/crypto/hash.h"
#include "kernel/store/store.h"

#define INBOX_SOURCE_MAX 64
#define INBOX_EVENT_ID_MAX 300

enum inbox_verdict {
    INBOX_NEW,
    INBOX_SAME,
    INBOX_DIFFERENT,
};

struct inbox_taken {
    enum inbox_verdict verdict;
    int64_t first_seen_usec; /* of INBOX_SAME and INBOX_DIFFERENT, as the rest */
    uint64_t seen;           /* times that it came, this one included */
    struct slice result;     /* JSON; "" when there is none */
};

/*
 * inbox_take takes an event. Owns: the result lives in the arena. Errors: ERR_INVALID_FIELD (an
 * empty id, or one that is longer than INBOX_EVENT_ID_MAX), those of the store.
 */
enum err inbox_take(struct store_tx *tx, struct arena *arena, const char *source,
                    struct slice event_id, const struct hash *content, struct inbox_taken *out,
                    struct why *why) ERR_CHECKED;

/*
 * inbox_result keeps the answer of an event that was taken; the first one stays. `result` is JSON.
 * Errors: ERR_CONFLICT (it was not taken, or has an answer), those of the store.
 */
enum err inbox_result(struct store_tx *tx, const char *source, struct slice event_id,
                      struct slice result, struct why *why) ERR_CHECKED;

struct inbox_config {
    int64_t retention_usec;
};

/* inbox_config_rows are the rows of section "inbox". */
extern const struct config_row inbox_config_rows[];
extern const size_t inbox_config_row_count;

/* inbox_purge forgets at most `limit` events first seen before a time, and says how many. */
enum err inbox_purge(struct store_tx *tx, int64_t before_usec, uint64_t limit, uint64_t *out_rows,
                     struct why *why) ERR_CHECKED;

#endif
