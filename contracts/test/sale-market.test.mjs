// Marketplace, sales: bids, partial acceptance, cancellation, withdrawal.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TOKEN, World, alice, bob, carol, dave, frank, lessor } from '../harness/world.mjs';

const seller = lessor;
let world;
let market;
let token;

before(async () => {
    world = await World.deploy();
    ({ market } = world);
    ({ token } = await world.asset({ [seller]: 1_000n * TOKEN }));
    await token.send(seller, 'approve', market.address, 2n ** 255n);
    for (const bidder of [alice, bob, carol]) {
        await world.fund(bidder, 10n ** 12n);
    }
});
after(() => world?.stop());

async function posted(amount, price = 5n) {
    const { logs } = await market.send(seller, 'postSale', token.address, amount, price);
    return market.abi.parseLog(logs[0]).args.saleId;
}

async function bid(saleId, bidder, amount, price) {
    const { logs } = await market.send(bidder, 'placeSaleBid', saleId, amount, price);
    return market.abi.parseLog(logs.at(-1)).args.bidIndex;
}

test('posting needs an amount and nothing else; ids start at 0', async () => {
    assert.equal(await market.refusal(seller, 'postSale', token.address, 0, 1), 'amount=0');
    assert.equal(await market.get('nextSaleId'), 0n);
    const { logs } = await market.send(frank, 'postSale', token.address, 5, 7);
    assert.deepEqual([...market.abi.parseLog(logs[0]).args], [0n, frank, token.address, 5n, 7n]);
    assert.deepEqual([...await market.get('sales', 0)], [frank, token.address, 5n, 7n, true]);
});

describe('bids', () => {
    test('cost amount * price / 1e18, rounded down, possibly nothing', async () => {
        const saleId = await posted(10n * TOKEN);
        const cases = [[TOKEN, 3n, 3n], [TOKEN / 2n, 3n, 1n], [TOKEN, 0n, 0n], [1n, 5n, 0n],
            [3n * TOKEN + TOKEN / 3n, 1_000_000n, 3_333_333n]];
        for (const [index, [amount, price, funds]] of cases.entries()) {
            const held = await world.balance(market.address);
            const { logs } = await market.send(alice, 'placeSaleBid', saleId, amount, price);
            assert.deepEqual(world.describe(logs), ['coin.Transfer', 'market.SaleBidPlaced']);
            assert.deepEqual([...market.abi.parseLog(logs[1]).args],
                [saleId, BigInt(index), alice, amount, price, funds]);
            assert.equal(await world.balance(market.address), held + funds);
            assert.deepEqual([...await market.get('saleBids', saleId, index)],
                [alice, amount, price, funds, true]);
        }
    });

    test('refuse closed sales, bad amounts, overflow and missing funds', async () => {
        const saleId = await posted(TOKEN);
        const refusal = (...args) => market.refusal(alice, 'placeSaleBid', ...args);
        assert.equal(await refusal(999, 1, 1), 'sale !active');
        assert.equal(await refusal(saleId, 0, 1), 'bad amount');
        assert.equal(await refusal(saleId, TOKEN + 1n, 1), 'bad amount');
        assert.equal(await refusal(saleId, TOKEN, 2n ** 255n), 'panic 0x11');
        assert.equal(await market.refusal(frank, 'placeSaleBid', saleId, TOKEN, 1),
            `ERC20InsufficientAllowance(${market.address},0,1)`);
        assert.equal(await market.refusal(alice, 'saleBids', saleId, 0), 'no data');
    });
});

describe('acceptance', () => {
    test('of a part moves tokens and money, refunds the rest, keeps the sale open', async () => {
        const saleId = await posted(10n * TOKEN);
        await bid(saleId, alice, 4n * TOKEN, 6n);
        await bid(saleId, bob, 10n * TOKEN, 5n);
        await bid(saleId, carol, TOKEN, 9n);
        const money = () => Promise.all([seller, bob, carol].map((who) => world.balance(who)));
        const before = await money();
        const { logs } = await market.send(seller, 'acceptSaleBid', saleId, 0);
        assert.deepEqual(world.describe(logs), ['token.Transfer', 'coin.Transfer',
            'market.SaleBidAccepted', 'coin.Transfer', 'market.SaleBidRefunded', 'coin.Transfer',
            'market.SaleBidRefunded']);
        assert.deepEqual([...market.abi.parseLog(logs[2]).args], [saleId, 0n, alice]);
        assert.deepEqual([...market.abi.parseLog(logs[4]).args], [saleId, 1n, bob, 50n]);
        const after = await money();
        assert.deepEqual(after.map((m, i) => m - before[i]), [24n, 50n, 9n]);
        assert.equal(await token.get('balanceOf', alice), 4n * TOKEN);
        assert.deepEqual([...await market.get('sales', saleId)].slice(2), [6n * TOKEN, 5n, true]);

        const index = await bid(saleId, bob, 6n * TOKEN, 1n);
        await market.send(seller, 'acceptSaleBid', saleId, index);
        assert.deepEqual([...await market.get('sales', saleId)].slice(2), [0n, 5n, false]);
        assert.equal(await market.refusal(seller, 'acceptSaleBid', saleId, index), 'sale !active');
        assert.equal(await market.refusal(seller, 'cancelSale', saleId), 'sale !active');
    });

    test('checks sale, seller, index, bid, then what is left', async () => {
        const saleId = await posted(2n * TOKEN);
        await bid(saleId, alice, 2n * TOKEN, 1n);
        await bid(saleId, bob, TOKEN, 1n);
        const refusal = (from, id, index) => market.refusal(from, 'acceptSaleBid', id, index);
        assert.equal(await refusal(seller, 999, 0), 'sale !active');
        assert.equal(await refusal(alice, saleId, 7), 'not seller');
        assert.equal(await refusal(seller, saleId, 7), 'panic 0x32');
        await market.send(seller, 'acceptSaleBid', saleId, 1);
        assert.equal(await refusal(seller, saleId, 0), 'bid !active');
    });

    test('a bid larger than what is left can only be withdrawn', async () => {
        const saleId = await posted(2n * TOKEN);
        for (let i = 0; i < 128; i++) {
            await bid(saleId, alice, 1n, 0n);
        }
        const large = await bid(saleId, bob, 2n * TOKEN, 3n);
        const small = await bid(saleId, carol, TOKEN, 3n);
        await market.send(seller, 'acceptSaleBid', saleId, small);
        assert.equal(await market.refusal(seller, 'acceptSaleBid', saleId, large),
            'exceeds sale amount');
        const before = await world.balance(bob);
        await market.send(bob, 'withdrawSaleBid', saleId, large);
        assert.equal(await world.balance(bob), before + 6n);
    });

    test('without tokens or allowance of the seller changes nothing', async () => {
        const { logs } = await market.send(frank, 'postSale', token.address, TOKEN, 1);
        const { saleId } = market.abi.parseLog(logs[0]).args;
        await bid(saleId, alice, TOKEN, 8n);
        assert.equal(await market.refusal(frank, 'acceptSaleBid', saleId, 0),
            `ERC20InsufficientAllowance(${market.address},0,${TOKEN})`);
        await token.send(frank, 'approve', market.address, TOKEN);
        assert.equal(await market.refusal(frank, 'acceptSaleBid', saleId, 0),
            `ERC20InsufficientBalance(${frank},0,${TOKEN})`);
    });

    test('of a token without code is a failed asset transfer', async () => {
        const { logs } = await market.send(seller, 'postSale', dave, 1, 1);
        const { saleId } = market.abi.parseLog(logs[0]).args;
        await bid(saleId, alice, 1n, 0n);
        assert.equal(await market.refusal(seller, 'acceptSaleBid', saleId, 0),
            'asset transfer fail');
    });
});

describe('cancellation and withdrawal', () => {
    test('the seller cancels and every bid is refunded', async () => {
        const saleId = await posted(10n * TOKEN);
        await bid(saleId, alice, TOKEN, 4n);
        await bid(saleId, bob, TOKEN, 5n);
        assert.equal(await market.refusal(alice, 'cancelSale', saleId), 'not seller');
        const before = await world.balance(alice);
        const { logs } = await market.send(seller, 'cancelSale', saleId);
        assert.deepEqual(world.describe(logs), ['market.SaleCancelled', 'coin.Transfer',
            'market.SaleBidRefunded', 'coin.Transfer', 'market.SaleBidRefunded']);
        assert.equal(await world.balance(alice), before + 4n);
        assert.equal(await market.refusal(alice, 'placeSaleBid', saleId, 1, 1), 'sale !active');
        assert.equal(await market.refusal(seller, 'acceptSaleBid', saleId, 0), 'sale !active');
        assert.equal(await market.refusal(alice, 'withdrawSaleBid', saleId, 0), 'bid !active');
    });

    test('a bidder withdraws at any time, others only from a closed sale', async () => {
        const saleId = await posted(10n * TOKEN);
        await bid(saleId, alice, TOKEN, 4n);
        assert.equal(await market.refusal(bob, 'withdrawSaleBid', saleId, 0), 'not bidder');
        assert.equal(await market.refusal(alice, 'withdrawSaleBid', saleId, 1), 'panic 0x32');
        const before = await world.balance(alice);
        const { logs } = await market.send(alice, 'withdrawSaleBid', saleId, 0);
        assert.deepEqual(world.describe(logs), ['coin.Transfer', 'market.SaleBidWithdrawn']);
        assert.deepEqual([...market.abi.parseLog(logs[1]).args], [saleId, 0n, alice, 4n]);
        assert.equal(await world.balance(alice), before + 4n);
        assert.equal(await market.refusal(seller, 'acceptSaleBid', saleId, 0), 'bid !active');

        for (let i = 0; i < 128; i++) {
            await bid(saleId, alice, 1n, 0n);
        }
        const late = await bid(saleId, bob, TOKEN, 7n);
        await market.send(seller, 'cancelSale', saleId);
        const owed = await world.balance(bob);
        await market.send(frank, 'withdrawSaleBid', saleId, late);
        assert.equal(await world.balance(bob), owed + 7n);
    });
});
