/*
 * channels.h: the keeper of payment channels: what payers owe is claimed before they can leave.
 *
 * A voucher (kernel/x402/x402_channels.h) becomes money in two steps: `claim` books it in the
 * escrow contract, for many channels at once, and `settle` pays a receiver what is booked in all of
 * its channels of a coin. Until it is claimed the payer can still take the units out, after a
 * withdrawal that was announced withdrawDelay seconds before, 15 minutes at least. So three
 * schedules run, each a job of one kind, one at a time:
 *
 *   channels.watch   asks the contract about channels with unclaimed charges, so that withdrawals
 *                    are seen, and claims those whose payers leave, before all other transactions
 *   channels.claim   the same, and claims all
 *   channels.settle  pays receivers what is booked and not paid
 *
 * The wallet `channels.authorizer` sends them through the relay: it is the receiverAuthorizer of
 * the channels, so that no other signature is needed. Channels with another one are not touched.
 *
 * A claim marks its channels and submits its transaction in one transaction of the database, under
 * one key. It ends when the relay tells (channels_watch): mined and final, the totals count as
 * claimed; failed, reverted or taken back, the channels can be claimed again. Claiming a total
 * twice changes nothing on the chain, so an end that was told too early costs gas and no money. A
 * settlement has the total that it pays in its key, so that none is made twice.
 *
 * What clients ask for with a payment goes the same way: deposits, which anybody may send and which
 * this wallet pays the gas of, and refunds.
 *
 * A crash leaves jobs that run again, and intents that the relay goes on with.
 *
 * Withdrawals are seen within `channels.watch_interval`; claims need the chain for what is left of
 * the delay. Threads: jobs on the runner's, channels_watch on the relay's.
 */
#ifndef DOMAIN_CHANNELS_CHANNELS_H
#define DOMAIN_CHANNELS_CHANNELS_H

#include "kernel/base/config.h"
#include "kernel/jobs/jobs.h"
#include "kernel/relay/relay.h"
#include "kernel/x402/x402_channels.h"

#define CHANNELS_ROLE "channels"
#define CHANNELS_POLICIES 4

struct channels;

struct channels_config {
    const char *escrow;     /* contract; "": there are no channels */
    const char *authorizer; /* wallet */
    int64_t watch_usec;
    int64_t claim_usec;
    int64_t settle_usec;
    uint64_t claims_max; /* in one transaction */
};

/* channels_config_rows are the rows of section "channels". */
extern const struct config_row channels_config_rows[];
extern const size_t channels_config_row_count;

struct channels_options {
    const struct channels_config *config;
    uint64_t chain_id;
    struct rpc_pool *rpc;
};

/*
 * channels_new makes the keeper. Owns: the caller, channels_free. Errors: ERR_CONFIG (an address is
 * missing or malformed).
 */
enum err channels_new(const struct channels_options *options, struct channels **out,
                      struct why *why) ERR_CHECKED;
/* channels_free frees; NULL is fine. */
void channels_free(struct channels *channels);
/* channels_set_relay gives the relay that has the wallet; before jobs run. */
void channels_set_relay(struct channels *channels, struct relay *relay);

/* channels_job_table has the jobs; without channels (or NULL, to look at) no schedule fires. */
struct job_table channels_job_table(struct channels *channels);
/* channels_policies returns what the wallet may send; none without channels. */
const struct relay_policy *channels_policies(const struct channels *channels, size_t *out_count);
/*
 * channels_deposit brings the units of a deposit into its channel, in the caller's transaction;
 * what the payer signed has been checked (x402_batch_signed). The same deposit again is the same
 * intent, whose id is returned; it fails when the time that was signed for is over. Owns: the
 * arena. Errors: as relay_submit.
 */
enum err channels_deposit(struct store_tx *tx, struct arena *arena, const struct channels *channels,
                          const struct x402_batch_offer *offer,
                          const struct x402_batch_payment *payment, struct slice *out_id,
                          struct why *why) ERR_CHECKED;
/*
 * channels_refund gives a payer back `amount` (x402_batch_refund) of a channel that the caller has
 * taken: what was charged stays, claimed or not. Once for each refund nonce of the channel; the
 * same again returns the same id. Owns: the arena. Errors: as relay_submit.
 */
enum err channels_refund(struct store_tx *tx, struct arena *arena, const struct channels *channels,
                         const struct x402_channel_row *row, struct u256 amount,
                         struct slice *out_id, struct why *why) ERR_CHECKED;
/* channels_watch is told of each transaction of the relay, in its transaction of the database. */
enum err channels_watch(struct store_tx *tx, const struct channels *channels,
                        const struct relay_row *row, struct why *why) ERR_CHECKED;

#endif
