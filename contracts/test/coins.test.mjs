// The marketplace over coins and tokens that misbehave: false answers, no answers, blocked
// accounts, calls back into the marketplace.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { id } from 'ethers';
import { TOKEN, World, alice, bob, carol, lessor, registrar, withLease }
    from '../harness/world.mjs';

const ANSWER = { True: 0, False: 1, Nothing: 2, Two: 3, OneByte: 4, SilentRevert: 5 };
const REENTRANT = id('ReentrancyGuardReentrantCall()').slice(0, 10);

/** Deploys a world over a coin, and an offer and a sale with two bids each. */
async function busy(coinName) {
    const world = await World.deploy({ coin: coinName });
    const { market } = world;
    const { assetId, token } = await world.asset({ [lessor]: 10n * TOKEN });
    await token.send(lessor, 'approve', market.address, 10n * TOKEN);
    const intent = await world.intent(assetId);
    const offerId = await world.offer(intent);
    await world.bid(offerId, intent, alice, 100n);
    await world.bid(offerId, intent, bob, 90n);
    await market.send(lessor, 'postSale', token.address, TOKEN, 5);
    for (const [bidder, price] of [[alice, 7n], [bob, 6n]]) {
        await world.fund(bidder, price);
        await market.send(bidder, 'placeSaleBid', 0, TOKEN, price);
    }
    return Object.assign(world, { intent, offerId, token });
}

describe('a coin that answers false', () => {
    let world;
    let market;
    let coin;

    before(async () => {
        world = await busy('BentCoin');
        ({ market, coin } = world);
    });
    after(() => world?.stop());
    afterEach(() => coin.send(alice, 'bend', ANSWER.True));

    test('fails each payment by its text, and keeps the state', async () => {
        const { intent, offerId } = world;
        for (const answer of [ANSWER.False, ANSWER.Two, ANSWER.OneByte]) {
            await coin.send(alice, 'bend', answer);
            await coin.send(alice, 'mint', alice, 100n);
            assert.equal(await market.refusal(alice, 'placeLeaseBid', offerId, '0x', 1),
                'fund xfer fail');
            assert.equal(await market.refusal(alice, 'placeSaleBid', 0, TOKEN, 1),
                'fund xfer fail');
            assert.equal(await market.refusal(lessor, 'acceptSaleBid', 0, 0), 'pay seller fail');
            assert.equal(await market.refusal(alice, 'withdrawSaleBid', 0, 0), 'refund fail');
        }
        await coin.send(alice, 'bend', ANSWER.SilentRevert);
        assert.equal(await market.refusal(alice, 'placeSaleBid', 0, TOKEN, 1), 'no data');
        assert.equal(await market.refusal(alice, 'withdrawSaleBid', 0, 0), 'no data');

        // Acceptance itself pays nobody who could fail it: the refund becomes a credit.
        const snapshot = await world.chain.rpc('evm_snapshot');
        const { logs } = await world.accept(offerId, 0, intent, alice);
        assert.deepEqual(world.marketEvents(logs, 'RefundCredited').map((e) => [...e]),
            [[bob, 90n]]);
        await coin.send(alice, 'bend', ANSWER.False);
        assert.equal(await market.refusal(lessor, 'claimRevenue'), 'payout fail');
        assert.equal(await market.refusal(alice, 'claimRefund', bob), 'refund fail');
        await coin.send(alice, 'bend', ANSWER.True);
        await market.send(lessor, 'claimRevenue');
        await market.send(alice, 'claimRefund', bob);
        assert.equal(await coin.get('balanceOf', bob), 90n);
        await world.chain.rpc('evm_revert', snapshot);
    });

    test('as an asset token fails the sale', async () => {
        const asset = await world.chain.deploy('BentCoin');
        await asset.send(lessor, 'mint', lessor, 5n);
        await asset.send(lessor, 'approve', market.address, 5n);
        const { logs } = await market.send(lessor, 'postSale', asset.address, 5, 1);
        const { saleId } = market.abi.parseLog(logs[0]).args;
        await market.send(alice, 'placeSaleBid', saleId, 5, 0);
        await asset.send(alice, 'bend', ANSWER.False);
        assert.equal(await market.refusal(lessor, 'acceptSaleBid', saleId, 0),
            'asset transfer fail');
        await asset.send(alice, 'bend', ANSWER.Nothing);
        await market.send(lessor, 'acceptSaleBid', saleId, 0);
        assert.equal(await asset.get('balanceOf', alice), 5n);
    });
});

test('a coin that answers nothing works throughout', async (t) => {
    const world = await World.deploy({ coin: 'BentCoin' });
    t.after(() => world.stop());
    const { market, coin } = world;
    await coin.send(alice, 'bend', ANSWER.Nothing);
    const { assetId, token } = await world.asset({ [lessor]: 10n * TOKEN });
    await token.send(lessor, 'approve', market.address, 10n * TOKEN);
    const intent = await world.intent(assetId);
    const offerId = await world.offer(intent);
    await world.bid(offerId, intent, alice, 100n);
    await world.bid(offerId, intent, bob, 90n);
    await world.accept(offerId, 0, intent, alice);
    assert.equal(await coin.get('balanceOf', bob), 90n);
    await market.send(lessor, 'claimRevenue');
    assert.equal(await coin.get('balanceOf', lessor), 100n);

    await market.send(lessor, 'postSale', token.address, TOKEN, 5);
    await market.send(bob, 'placeSaleBid', 0, TOKEN, 40n);
    await market.send(bob, 'placeSaleBid', 0, TOKEN, 50n);
    await market.send(bob, 'withdrawSaleBid', 0, 0);
    await market.send(lessor, 'acceptSaleBid', 0, 1);
    assert.equal(await coin.get('balanceOf', lessor), 150n);
    assert.equal(await coin.get('balanceOf', market.address), 0n);
});

describe('a coin whose issuer blocks accounts', () => {
    let world;
    let market;
    let coin;
    const BLOCKED = 'Blacklistable: account is blacklisted';

    before(async () => {
        world = await busy('BlockingCoin');
        ({ market, coin } = world);
    });
    after(() => world?.stop());

    test('a blocked loser stops neither acceptance nor the other refunds', async () => {
        const { intent, offerId } = world;
        await world.bid(offerId, intent, carol, 80n);
        await coin.send(alice, 'setBlocked', bob, true);
        const before = await coin.get('balanceOf', carol);
        const { logs } = await world.accept(offerId, 0, intent, alice);
        assert.deepEqual(world.describe(logs).slice(-4), ['market.RefundCredited',
            'market.LeaseBidRefunded', 'coin.Transfer', 'market.LeaseBidRefunded']);
        assert.equal(await coin.get('balanceOf', carol), before + 80n);
        assert.equal(await market.get('refunds', bob), 90n);

        const sale = await market.send(lessor, 'acceptSaleBid', 0, 0);
        assert.deepEqual(world.describe(sale.logs).slice(-3), ['market.SaleBidAccepted',
            'market.RefundCredited', 'market.SaleBidRefunded']);
        assert.equal(await market.get('refunds', bob), 96n);
    });

    test('its credit waits until the coin lets it through, and pays once', async () => {
        assert.equal(await market.refusal(carol, 'claimRefund', bob), BLOCKED);
        assert.equal(await market.refusal(carol, 'claimRefund', alice), 'no refund');
        await coin.send(alice, 'setBlocked', bob, false);
        const before = await coin.get('balanceOf', bob);
        const { logs } = await market.send(carol, 'claimRefund', bob);
        assert.deepEqual(world.describe(logs), ['coin.Transfer', 'market.RefundClaimed']);
        assert.deepEqual([...market.abi.parseLog(logs[1]).args], [bob, 96n]);
        assert.equal(await coin.get('balanceOf', bob), before + 96n);
        assert.equal(await market.refusal(bob, 'claimRefund', bob), 'no refund');
    });

    test('a blocked seller, holder or bidder hears the coin\'s own words', async () => {
        await market.send(lessor, 'postSale', world.token.address, TOKEN, 5);
        await world.fund(alice, 5n);
        await market.send(alice, 'placeSaleBid', 1, TOKEN, 5n);
        await coin.send(alice, 'setBlocked', lessor, true);
        assert.equal(await market.refusal(lessor, 'acceptSaleBid', 1, 0), BLOCKED);
        assert.equal(await market.refusal(lessor, 'claimRevenue'), BLOCKED);
        await coin.send(alice, 'setBlocked', alice, true);
        assert.equal(await market.refusal(alice, 'placeSaleBid', 1, TOKEN, 0), BLOCKED);
        assert.equal(await market.refusal(alice, 'withdrawSaleBid', 1, 0), BLOCKED);
    });
});

describe('calls back into the marketplace', () => {
    let world;
    let market;
    let coin;
    let snapshot;

    before(async () => {
        world = await busy('CallingCoin');
        ({ market, coin } = world);
        snapshot = await world.chain.rpc('evm_snapshot');
    });
    after(() => world?.stop());
    afterEach(async () => {
        await world.chain.rpc('evm_revert', snapshot);
        snapshot = await world.chain.rpc('evm_snapshot');
    });

    /** Every call that moves coin or tokens, by who may make it. */
    function calls() {
        const { intent, offerId } = world;
        const signature = world.signFor(intent, alice);
        return [
            [alice, 'placeSaleBid', 0, TOKEN, 0],
            [lessor, 'acceptSaleBid', 0, 0],
            [lessor, 'cancelSale', 0],
            [alice, 'withdrawSaleBid', 0, 0],
            [carol, 'placeLeaseBid', offerId, '0x', 1],
            [lessor, 'acceptLeaseBid', offerId, 0, signature],
            [lessor, 'cancelLeaseOffer', offerId],
            [alice, 'withdrawLeaseBid', offerId, 0],
            [lessor, 'claimRevenue'],
            [alice, 'claimRefund', bob],
        ];
    }

    test('are refused to a coin, whichever call it arrives in and whichever it makes', async () => {
        for (const [, fn, ...args] of calls()) {
            await coin.send(alice, 'arm', market.address, market.abi.encodeFunctionData(fn, args));
            await market.send(alice, 'withdrawSaleBid', 0, 0);
            assert.equal(await coin.get('tried'), 1n, fn);
            assert.equal(await coin.get('refusal'), REENTRANT, fn);
            await world.chain.rpc('evm_revert', snapshot);
            snapshot = await world.chain.rpc('evm_snapshot');
        }
    });

    test('are refused from each place that pays', async () => {
        const { intent, offerId } = world;
        await coin.send(carol, 'mint', carol, 10n);
        await coin.send(carol, 'approve', market.address, 10n);
        const inner = market.abi.encodeFunctionData('withdrawSaleBid', [0, 1]);
        const outer = calls().filter(([, fn]) => !['claimRefund', 'claimRevenue',
            'withdrawLeaseBid'].includes(fn));
        for (const [from, fn, ...args] of outer) {
            await coin.send(alice, 'arm', market.address, inner);
            await market.send(from, fn, ...args);
            assert.ok(await coin.get('tried') > 0n, fn);
            assert.equal(await coin.get('refusal'), REENTRANT, fn);
            await world.chain.rpc('evm_revert', snapshot);
            snapshot = await world.chain.rpc('evm_snapshot');
            await coin.send(carol, 'mint', carol, 10n);
            await coin.send(carol, 'approve', market.address, 10n);
        }
        await world.accept(offerId, 0, intent, alice);
        const claim = market.abi.encodeFunctionData('claimRevenue');
        await coin.send(alice, 'arm', market.address, claim);
        await market.send(lessor, 'claimRevenue');
        assert.equal(await coin.get('refusal'), REENTRANT);
    });

    test('are refused to an asset token on sale', async () => {
        const asset = await world.chain.deploy('CallingCoin');
        await asset.send(lessor, 'mint', lessor, 5n);
        await asset.send(lessor, 'approve', market.address, 5n);
        await market.send(lessor, 'postSale', asset.address, 5, 1);
        await market.send(alice, 'placeSaleBid', 1, 5, 0);
        await asset.send(alice, 'arm', market.address,
            market.abi.encodeFunctionData('cancelSale', [1]));
        await market.send(lessor, 'acceptSaleBid', 1, 0);
        assert.equal(await asset.get('refusal'), REENTRANT);
    });

    test('are refused to a winning bidder with code, who is asked before money moves', async () => {
        const { intent, offerId, chain } = world;
        const { address } = await chain.deploy('CallingLessee');
        await chain.rpc('anvil_setCode', registrar,
            await chain.rpc('eth_getCode', address, 'latest'));
        const lessee = chain.at('CallingLessee', registrar);
        await coin.send(registrar, 'mint', registrar, 50n);
        await coin.send(registrar, 'approve', market.address, 50n);
        const signature = world.sign(withLease(intent, { lessee: registrar }), registrar);
        await market.send(registrar, 'placeLeaseBid', offerId, signature, 50n);
        await lessee.send(alice, 'arm', market.address,
            market.abi.encodeFunctionData('withdrawLeaseBid', [offerId, 0]));
        const { logs } = await world.accept(offerId, 2, intent, registrar);
        assert.equal(await lessee.get('succeeded'), false);
        assert.equal(await lessee.get('refusal'), REENTRANT);
        assert.equal(await lessee.get('lessorSeen'), lessor);
        assert.equal(world.marketEvents(logs, 'LeaseBidRefunded').length, 2);
    });
});
