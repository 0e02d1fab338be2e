/*
 * leasing_stream.c: the topics of leasing. The triggers that note changes of their tables, and the
 * keys that they write, are in migration 30.
 */
#include "domain/leasing/leasing.h"
#include "domain/leasing/leasing_stream_sql.h"

static const struct stream_topic topics[] = {
    {"assets", 0, "Assets and their tokens.", &leasing_stream_sql_asset,
     &leasing_stream_sql_assets},
    {"leases", 0, "Leases.", &leasing_stream_sql_lease, &leasing_stream_sql_leases},
    {"offers", 0, "Offers of leases on the marketplace.", &leasing_stream_sql_offer,
     &leasing_stream_sql_offers},
    {"bids", 0, "Bids on those.", &leasing_stream_sql_bid, &leasing_stream_sql_bids},
    {"sales", 0, "Sales of asset tokens.", &leasing_stream_sql_sale, &leasing_stream_sql_sales},
    {"sale-bids", 0, "Bids on those.", &leasing_stream_sql_sale_bid, &leasing_stream_sql_sale_bids},
};

struct stream_topics leasing_stream_topics(void)
{
    return (struct stream_topics){.topics = topics, .count = sizeof topics / sizeof topics[0]};
}
