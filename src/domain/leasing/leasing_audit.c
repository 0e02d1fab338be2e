/*
 * What callers ask of leasing, as rows of the audit log. What the chain makes of it is an event.
 */
#include "domain/leasing/leasing_api.h"
#include "kernel/base/check.h"

static const struct audit_action actions[LEASING_AUDIT_COUNT] = {
    [LEASING_AUDIT_TYPE_CREATED] = {"leasing.type_created", "An asset type was asked for."},
    [LEASING_AUDIT_ASSET_REGISTERED] = {"leasing.asset_registered", "An asset was asked for."},
    [LEASING_AUDIT_LEASE_CREATED] = {"leasing.lease_created",
                                     "A lease was drafted; without a lessee, and with a wallet of "
                                     "ours, it is offered."},
    [LEASING_AUDIT_LEASE_SIGNED] = {"leasing.lease_signed",
                                    "A party's signature was verified and kept."},
    [LEASING_AUDIT_LEASE_TERMINATED] = {"leasing.lease_terminated",
                                        "A party's signature under the end of a lease was verified "
                                        "and kept; details say whether that ended it."},
    [LEASING_AUDIT_OFFER_CANCELLED] = {"leasing.offer_cancelled",
                                       "It was asked to take an offer back."},
    [LEASING_AUDIT_BID_PLACED] = {"leasing.bid_placed", "A bid was asked for."},
    [LEASING_AUDIT_BID_ACCEPTED] = {"leasing.bid_accepted",
                                    "The lessor's signature for a bid was verified, and its "
                                    "acceptance asked for."},
    [LEASING_AUDIT_BID_WITHDRAWN] = {"leasing.bid_withdrawn", "It was asked to pay a bid back."},
    [LEASING_AUDIT_CLAIM_REQUESTED] = {"leasing.claim_requested",
                                       "It was asked to pay revenue to a holder."},
    [LEASING_AUDIT_SALE_POSTED] = {"leasing.sale_posted", "A sale of tokens was asked for."},
    [LEASING_AUDIT_SALE_CANCELLED] = {"leasing.sale_cancelled",
                                      "It was asked to take a sale back."},
    [LEASING_AUDIT_SALE_BID_PLACED] = {"leasing.sale_bid_placed", "A bid on a sale was asked for."},
    [LEASING_AUDIT_SALE_BID_ACCEPTED] = {"leasing.sale_bid_accepted",
                                         "The acceptance of a bid on a sale was asked for."},
    [LEASING_AUDIT_CLAIM_AUTHORIZED] = {"leasing.claim_authorized",
                                        "A holder's signature under a request for his revenue was "
                                        "verified, and the payment asked for."},
    [LEASING_AUDIT_SALE_BID_WITHDRAWN] = {"leasing.sale_bid_withdrawn",
                                          "It was asked to pay a bid on a sale back."},
};

struct audit_table leasing_audit_table(void)
{
    return (struct audit_table){actions, LEASING_AUDIT_COUNT};
}

enum err leasing_audit(struct store_tx *tx, const struct http_call *call,
                       enum leasing_audit_action action, struct slice subject,
                       struct slice transaction_id, struct slice details, struct why *why)
{
    ASSERT(action < LEASING_AUDIT_COUNT);
    struct audit_entry entry = http_audit(call, &actions[action]);
    entry.subject = subject;
    entry.transaction_id = transaction_id;
    entry.details = details;
    return audit_write(tx, &entry, why);
}
