// Marketplace, leases: offers, competing bids, acceptance, revenue, withdrawal.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TOKEN, UNITS, World, alice, bob, carol, dave, erin, frank, lessor, withLease }
    from '../harness/world.mjs';

let world;
let market;
let chain;

before(async () => {
    world = await World.deploy();
    ({ market, chain } = world);
});
after(() => world?.stop());

/** An asset with holdings, and an offer of it. */
async function offered(holdings, changes = {}) {
    const { assetId, token } = await world.asset(holdings);
    const intent = await world.intent(assetId, changes);
    return { assetId, token, intent, offerId: await world.offer(intent) };
}

async function claimsOf(...accounts) {
    return Promise.all(accounts.map((account) => market.get('claims', account)));
}

/** Runs a body and returns by how much the claims of the accounts grew. */
async function credited(accounts, body) {
    const before = await claimsOf(...accounts);
    await body();
    const after = await claimsOf(...accounts);
    return after.map((claim, i) => claim - before[i]);
}

/** Takes the offer's deadline past. */
const expire = (intent) => chain.mineAt(intent.deadline + 1);

describe('offers', () => {
    test('only the named lessor posts, only in the stablecoin; ids start at 0', async () => {
        const { assetId } = await world.asset({ [lessor]: TOKEN });
        const intent = await world.intent(assetId, { metadata: [{ key: 'k', value: 'v' }] });
        assert.equal(await market.refusal(alice, 'postLeaseOffer', intent), 'not lessor');
        assert.equal(await market.refusal(lessor, 'postLeaseOffer',
            withLease(intent, { paymentToken: alice })), 'must pay in stable');
        assert.equal(await market.get('nextLeaseOfferId'), 0n);
        const { logs } = await market.send(lessor, 'postLeaseOffer', intent);
        assert.deepEqual([...market.abi.parseLog(logs[0]).args], [0n, lessor, assetId]);
        assert.equal(await market.get('nextLeaseOfferId'), 1n);

        const [owner, terms, active] = await market.get('leaseOffers', 0);
        assert.deepEqual([owner, active], [lessor, true]);
        assert.equal(await world.factory.get('hashLeaseIntent', terms),
            await world.factory.get('hashLeaseIntent', intent));
        assert.deepEqual([...terms.lease.metadata[0]], ['k', 'v']);
    });

    test('an unknown offer is not active', async () => {
        assert.equal(await market.refusal(alice, 'placeLeaseBid', 999, '0x', 1), 'offer !active');
        assert.equal(await market.refusal(alice, 'acceptLeaseBid', 999, 0, '0x'), 'offer !active');
        assert.equal(await market.refusal(alice, 'cancelLeaseOffer', 999), 'offer !active');
        assert.equal(await market.refusal(alice, 'withdrawLeaseBid', 999, 0), 'panic 0x32');
    });
});

describe('bids', () => {
    test('escrow the funds and store the signature unverified', async () => {
        const { offerId, intent } = await offered({ [lessor]: TOKEN });
        assert.equal(await market.refusal(alice, 'placeLeaseBid', offerId, '0x', 0), 'funds=0');
        assert.equal(await market.refusal(frank, 'placeLeaseBid', offerId, '0x', 1),
            `ERC20InsufficientAllowance(${market.address},0,1)`);
        await world.fund(alice, 500n);
        const held = await world.balance(market.address);
        const { logs } = await market.send(alice, 'placeLeaseBid', offerId, '0xdead', 500n);
        assert.deepEqual(world.describe(logs), ['coin.Transfer', 'market.LeaseBidPlaced']);
        assert.deepEqual([...market.abi.parseLog(logs[1]).args], [offerId, 0n, alice, 500n]);
        assert.deepEqual([...await market.get('leaseBids', offerId, 0)],
            [alice, '0xdead', 500n, true]);
        assert.equal(await world.balance(market.address), held + 500n);

        const sigLessor = world.signFor(intent, alice);
        assert.equal(await market.refusal(lessor, 'acceptLeaseBid', offerId, 0, sigLessor),
            'ECDSAInvalidSignatureLength(2)');
    });

    test('acceptance checks offer, lessor, index, bid, then all that minting checks', async () => {
        const { offerId, intent } = await offered({ [lessor]: TOKEN });
        await world.bid(offerId, intent, alice, 10n);
        const accept = (from, index, sig) =>
            market.refusal(from, 'acceptLeaseBid', offerId, index, sig);
        assert.equal(await accept(alice, 5, '0x'), 'not lessor');
        assert.equal(await accept(lessor, 5, '0x'), 'panic 0x32');
        assert.equal(await accept(lessor, 0, world.signFor(intent, bob)), 'lessor sig invalid');
        await expire(intent);
        assert.equal(await accept(lessor, 0, world.signFor(intent, alice)), 'expired');
        await market.send(dave, 'withdrawLeaseBid', offerId, 0);
        assert.equal(await accept(lessor, 0, world.signFor(intent, alice)), 'bid !active');

        const ghost = await world.intent(777);
        const ghostOffer = await world.offer(ghost);
        await world.bid(ghostOffer, ghost, alice, 10n);
        assert.equal(await market.refusal(lessor, 'acceptLeaseBid', ghostOffer, 0,
            world.signFor(ghost, alice)), 'asset !exists');
    });
});

describe('acceptance', () => {
    test('the worked example: holders 67 and 33, funds 1,000,001', async () => {
        const { offerId, intent } = await offered({ [lessor]: 67n * TOKEN, [bob]: 33n * TOKEN });
        await world.bid(offerId, intent, alice, 1_000_001n);
        const grown = await credited([lessor, bob], () => world.accept(offerId, 0, intent, alice));
        // floor(67 %) = 670,000 and floor(33 %) = 330,000; the one unit left is the larger
        // holder's.
        assert.deepEqual(grown, [670_001n, 330_000n]);
    });

    test('with several holders and bidders: log order, refunds, events that add up', async () => {
        const { offerId, intent, token } = await offered(
            { [lessor]: 50n * TOKEN, [bob]: 30n * TOKEN, [carol]: 20n * TOKEN },
            { metadata: [{ key: 'uri', value: 'u/' }] });
        const bidders = [[alice, 6_000n * UNITS], [dave, 7_000n * UNITS], [erin, 5_000n * UNITS]];
        for (const [bidder, funds] of bidders) {
            await world.bid(offerId, intent, bidder, funds);
        }
        const balances = () => Promise.all([alice, dave, erin].map((who) => world.balance(who)));
        const before = await balances();
        const { logs, gas } = await world.accept(offerId, 1, intent, dave);
        assert.ok(gas < 900_000, `${gas} gas`);
        assert.deepEqual(world.describe(logs), [
            'factory.Transfer', 'factory.MetadataUpdated', 'factory.LeaseMinted',
            'market.LeaseAccepted', 'market.RevenueShared',
            'market.RevenueCredited', 'market.RevenueCredited', 'market.RevenueCredited',
            'coin.Transfer', 'market.LeaseBidRefunded', 'coin.Transfer', 'market.LeaseBidRefunded',
        ]);
        const [accepted] = world.marketEvents(logs, 'LeaseAccepted');
        assert.deepEqual([...accepted].slice(0, 3), [offerId, 1n, dave]);
        assert.equal(await world.factory.get('ownerOf', accepted.leaseTokenId), dave);
        assert.equal((await world.factory.get('leases', accepted.leaseTokenId)).lessee, dave);
        const [shared] = world.marketEvents(logs, 'RevenueShared');
        assert.deepEqual([...shared], [accepted.leaseTokenId, token.address, 7_000n * UNITS,
            100n * TOKEN, lessor, 0n]);
        const credits = world.marketEvents(logs, 'RevenueCredited');
        assert.deepEqual(Object.fromEntries(credits.map((c) => [c.account, c.amount])),
            { [lessor]: 3_500n * UNITS, [bob]: 2_100n * UNITS, [carol]: 1_400n * UNITS });
        assert.deepEqual(world.marketEvents(logs, 'LeaseBidRefunded').map((e) => [...e]),
            [[offerId, 0n, alice, 6_000n * UNITS], [offerId, 2n, erin, 5_000n * UNITS]]);
        const after = await balances();
        assert.deepEqual(after.map((b, i) => b - before[i]), [6_000n * UNITS, 0n, 5_000n * UNITS]);

        assert.equal(await market.refusal(lessor, 'acceptLeaseBid', offerId, 0, '0x'),
            'offer !active');
        assert.equal(await market.refusal(alice, 'placeLeaseBid', offerId, '0x', 1),
            'offer !active');
        assert.equal(await market.refusal(alice, 'withdrawLeaseBid', offerId, 0), 'bid !active');
    });

    test('claims pay out once', async () => {
        const [claim] = await claimsOf(carol);
        const before = await world.balance(carol);
        const { logs } = await market.send(carol, 'claimRevenue');
        assert.deepEqual(world.describe(logs), ['coin.Transfer', 'market.RevenueClaimed']);
        assert.deepEqual([...market.abi.parseLog(logs[1]).args], [carol, claim]);
        assert.equal(await world.balance(carol), before + claim);
        assert.equal(await market.refusal(carol, 'claimRevenue'), 'no claims');
    });
});

describe('shares', () => {
    const accounts = [lessor, alice, bob, carol];

    async function shareOut(holdings, funds) {
        const { offerId, intent } = await offered(holdings);
        await world.bid(offerId, intent, frank, funds);
        return credited(accounts, () => world.accept(offerId, 0, intent, frank));
    }

    test('the remainder goes to the largest holder, wherever it stands in the list', async () => {
        // 20/7 = 2, 10/7 = 1, 40/7 = 5: two units are left.
        assert.deepEqual(await shareOut({ [alice]: 2n, [bob]: 1n, [carol]: 4n }, 10n),
            [0n, 2n, 1n, 7n]);
    });

    test('among equal holders it goes to the smallest address', async () => {
        const [first, second] = [alice, carol].sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
        for (const order of [[first, second], [second, first]]) {
            const grown = await shareOut({ [order[0]]: 3n, [bob]: 1n, [order[1]]: 3n }, 10n);
            // 30/7 = 4, 10/7 = 1, 30/7 = 4: one unit is left.
            const expected = accounts.map((who) => (who === first ? 5n : who === second ? 4n :
                who === bob ? 1n : 0n));
            assert.deepEqual(grown, expected);
        }
    });

    test('funds smaller than the number of holders still go out in full', async () => {
        const grown = await shareOut({ [alice]: 3n, [bob]: 1n, [carol]: 1n }, 1n);
        assert.deepEqual(grown, [0n, 1n, 0n, 0n]);
    });

    test('tokens held by the marketplace count for nothing', async () => {
        const held = await claimsOf(market.address);
        const grown = await shareOut({ [alice]: 30n, [market.address]: 60n, [bob]: 10n }, 1_001n);
        // 30 and 10 of 40: 750 and 250, and 1 over for alice.
        assert.deepEqual(grown, [0n, 751n, 250n, 0n]);
        assert.deepEqual(await claimsOf(market.address), held);
    });

    test('without any token outside the marketplace nobody can be paid', async () => {
        for (const holdings of [{ [alice]: 0n }, { [market.address]: 5n }]) {
            const { offerId, intent } = await offered(holdings);
            await world.bid(offerId, intent, frank, 10n);
            assert.equal(await market.refusal(lessor, 'acceptLeaseBid', offerId, 0,
                world.signFor(intent, frank)), 'panic 0x12');
        }
    });

    test('supplies near 2^256 do not overflow', async () => {
        const supply = 2n ** 256n - 1n;
        const grown = await shareOut({ [alice]: supply - 5n, [bob]: 5n }, 1_000n * UNITS);
        assert.deepEqual(grown, [0n, 1_000n * UNITS, 0n, 0n]);
    });

    test('a hundred zero-value transfers change nothing about them', async () => {
        const { offerId, intent, token } = await offered({ [alice]: 1n });
        for (let i = 1; i <= 100; i++) {
            await token.send(dave, 'transfer', `0x${i.toString(16).padStart(40, '0')}`, 0);
        }
        await world.bid(offerId, intent, frank, 10n);
        const { logs } = await world.accept(offerId, 0, intent, frank);
        assert.equal(world.marketEvents(logs, 'RevenueCredited').length, 1);
    });
});

describe('cancellation and withdrawal', () => {
    test('a cancelled offer refunds every bid and takes no more', async () => {
        const { offerId, intent } = await offered({ [lessor]: TOKEN });
        await world.bid(offerId, intent, alice, 10n);
        await world.bid(offerId, intent, bob, 20n);
        assert.equal(await market.refusal(alice, 'cancelLeaseOffer', offerId), 'not lessor');
        const before = await world.balance(bob);
        const { logs } = await market.send(lessor, 'cancelLeaseOffer', offerId);
        assert.deepEqual(world.describe(logs), ['market.LeaseOfferCancelled', 'coin.Transfer',
            'market.LeaseBidRefunded', 'coin.Transfer', 'market.LeaseBidRefunded']);
        assert.equal(await world.balance(bob), before + 20n);
        assert.equal(await market.refusal(lessor, 'cancelLeaseOffer', offerId), 'offer !active');
        assert.equal(await market.refusal(lessor, 'acceptLeaseBid', offerId, 0,
            world.signFor(intent, alice)), 'offer !active');
        assert.equal(await market.refusal(bob, 'placeLeaseBid', offerId, '0x', 1), 'offer !active');
        assert.equal(await market.refusal(bob, 'withdrawLeaseBid', offerId, 1), 'bid !active');
    });

    test('a bid binds up to the deadline; after it anybody sends it back', async () => {
        const { offerId, intent } = await offered({ [lessor]: TOKEN });
        await world.bid(offerId, intent, alice, 10n);
        assert.equal(await market.refusal(alice, 'withdrawLeaseBid', offerId, 0), 'bid binding');
        await chain.mineAt(intent.deadline);
        assert.equal(await market.refusal(alice, 'withdrawLeaseBid', offerId, 0), 'bid binding');
        await expire(intent);
        const before = await world.balance(alice);
        const { logs } = await market.send(frank, 'withdrawLeaseBid', offerId, 0);
        assert.deepEqual(world.describe(logs), ['coin.Transfer', 'market.LeaseBidWithdrawn']);
        assert.deepEqual([...market.abi.parseLog(logs[1]).args], [offerId, 0n, alice, 10n]);
        assert.equal(await world.balance(alice), before + 10n);
        assert.equal(await market.refusal(alice, 'withdrawLeaseBid', offerId, 0), 'bid !active');
    });

    test('a bidder leaves early by cancelling the intent, for good', async () => {
        const { offerId, intent } = await offered({ [lessor]: TOKEN });
        await world.bid(offerId, intent, alice, 10n);
        await world.bid(offerId, intent, bob, 11n);
        await world.factory.send(alice, 'cancelIntent', withLease(intent, { lessee: alice }));
        assert.equal(await market.refusal(lessor, 'acceptLeaseBid', offerId, 0,
            world.signFor(intent, alice)), 'intent used');
        const before = await world.balance(alice);
        await market.send(alice, 'withdrawLeaseBid', offerId, 0);
        assert.equal(await world.balance(alice), before + 10n);
        assert.equal(await market.refusal(alice, 'placeLeaseBid', offerId, '0x', 1), 'intent used');
        assert.equal(await market.refusal(bob, 'withdrawLeaseBid', offerId, 1), 'bid binding');
        await world.accept(offerId, 1, intent, bob);
    });

    test('closing looks at the first 128 bids; later ones are withdrawn by hand', async () => {
        const { offerId, intent } = await offered({ [lessor]: TOKEN });
        await world.fund(bob, 1_000n);
        for (let i = 0; i < 128; i++) {
            await market.send(bob, 'placeLeaseBid', offerId, '0x', 1n);
        }
        const late = await world.bid(offerId, intent, carol, 50n);
        const winner = await world.bid(offerId, intent, alice, 100n);
        assert.equal(await market.get('SWEEP_LIMIT'), 128n);
        const { logs, gas } = await world.accept(offerId, winner, intent, alice);
        assert.equal(world.marketEvents(logs, 'LeaseBidRefunded').length, 128);
        assert.ok(gas < 5_000_000, `${gas} gas`);
        assert.equal((await market.get('leaseBids', offerId, late)).active, true);
        assert.equal(await market.refusal(carol, 'withdrawLeaseBid', offerId, winner),
            'bid !active');
        const before = await world.balance(carol);
        await market.send(dave, 'withdrawLeaseBid', offerId, late);
        assert.equal(await world.balance(carol), before + 50n);
    });
});

describe('a lease minted behind the marketplace\'s back', () => {
    const signatures = (intent, bidder) => {
        const terms = withLease(intent, { lessee: bidder });
        return [terms, world.sign(terms, lessor), world.sign(terms, bidder)];
    };

    test('is accepted in place of a new one, even late, and its bid is not withdrawn', async () => {
        const { offerId, intent } = await offered({ [bob]: TOKEN });
        await world.bid(offerId, intent, alice, 40n);
        await world.bid(offerId, intent, carol, 30n);
        // The bidder has seen the lessor's signature in a pending acceptance and mints first.
        await world.factory.send(alice, 'mintLease', ...signatures(intent, alice));
        const leaseId = await world.factory.get('leaseId') - 1n;
        await expire(intent);
        assert.equal(await market.refusal(alice, 'withdrawLeaseBid', offerId, 0), 'intent used');
        await market.send(carol, 'withdrawLeaseBid', offerId, 1);

        let logs;
        const grown = await credited([bob], async () => {
            ({ logs } = await world.accept(offerId, 0, intent, alice));
        });
        assert.deepEqual(grown, [40n]);
        const [accepted] = world.marketEvents(logs, 'LeaseAccepted');
        assert.equal(accepted.leaseTokenId, leaseId);
        assert.equal(await world.factory.get('leaseId'), leaseId + 1n);
        assert.equal(world.describe(logs)[0], 'market.LeaseAccepted');
    });

    test('lets the bid go when the lessor cancels', async () => {
        const { offerId, intent } = await offered({ [bob]: TOKEN });
        await world.bid(offerId, intent, alice, 40n);
        await world.factory.send(alice, 'mintLease', ...signatures(intent, alice));
        const before = await world.balance(alice);
        await market.send(lessor, 'cancelLeaseOffer', offerId);
        assert.equal(await world.balance(alice), before + 40n);
    });

    test('cannot be bid for, nor can a cancelled intent be bid for or accepted', async () => {
        const { offerId, intent } = await offered({ [bob]: TOKEN });
        await world.bid(offerId, intent, carol, 10n);
        await world.factory.send(alice, 'mintLease', ...signatures(intent, alice));
        await world.fund(alice, 10n);
        assert.equal(await market.refusal(alice, 'placeLeaseBid', offerId, '0x', 10n),
            'intent used');
        await world.factory.send(lessor, 'cancelIntent', withLease(intent, { lessee: carol }));
        assert.equal(await market.refusal(carol, 'placeLeaseBid', offerId, '0x', 10n),
            'intent used');
        assert.equal(await market.refusal(lessor, 'acceptLeaseBid', offerId, 0,
            world.signFor(intent, carol)), 'intent used');
        await expire(intent);
        await market.send(carol, 'withdrawLeaseBid', offerId, 0);
    });

    test('is paid for once, though two offers carried the same terms', async () => {
        for (const mintDirectly of [false, true]) {
            const { offerId, intent } = await offered({ [bob]: TOKEN });
            const twin = await world.offer(intent);
            await world.bid(offerId, intent, alice, 40n);
            await world.bid(twin, intent, alice, 41n);
            if (mintDirectly) {
                await world.factory.send(alice, 'mintLease', ...signatures(intent, alice));
                assert.equal(await market.refusal(alice, 'withdrawLeaseBid', twin, 0),
                    'intent used');
            }
            await world.accept(offerId, 0, intent, alice);
            assert.equal(await market.refusal(lessor, 'acceptLeaseBid', twin, 0,
                world.signFor(intent, alice)), 'intent used');
            const before = await world.balance(alice);
            await market.send(alice, 'withdrawLeaseBid', twin, 0);
            assert.equal(await world.balance(alice), before + 41n);
        }
    });

    test('an accepted lease cannot be minted again with its published signatures', async () => {
        const { offerId, intent } = await offered({ [bob]: TOKEN });
        await world.bid(offerId, intent, alice, 40n);
        await world.accept(offerId, 0, intent, alice);
        assert.equal(
            await world.factory.refusal(alice, 'mintLease', ...signatures(intent, alice)),
            'intent used');
        const again = await world.offer(intent);
        assert.equal(await market.refusal(alice, 'placeLeaseBid', again, '0x', 1n), 'intent used');
    });
});
