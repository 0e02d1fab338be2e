/*
 * ops_stream.c: topics of the kernel's own. The triggers that note changes of their tables, and the
 * keys that they write, are in migration 30.
 */
#include "kernel/ops/ops.h"
#include "kernel/ops/ops_stream_sql.h"

static const struct stream_topic topics[] = {
    {"transactions", 0, "Transactions of the relay, at each state.", &ops_stream_sql_transaction,
     &ops_stream_sql_transactions},
    {"chain", 0, "Up to which block a chain is applied.", &ops_stream_sql_chain,
     &ops_stream_sql_chains},
    {"reorgs", 0, "Reorganisations that were undone.", &ops_stream_sql_reorg,
     &ops_stream_sql_reorgs},
};

struct stream_topics ops_stream_topics(void)
{
    return (struct stream_topics){.topics = topics, .count = sizeof topics / sizeof topics[0]};
}
