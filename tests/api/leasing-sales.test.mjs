// Sales of asset tokens between wallets that are not ours: the rows and the ledger are compared with
// the contract, over a fork and a process that is killed.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Interface } from 'ethers';
import { SLOW, assetBody, fresh, rows, sleep, strangers } from './support.mjs';
import { Site, V1 } from './reorg-site.mjs';

const [seller, first, second, third] = strangers;
const TOKEN = 10n ** 18n;
const MARKET = new Interface([
    'function sales(uint256) view returns (address seller, address token, uint256 amount, uint256 ask, bool active)',
    'function saleBids(uint256, uint256) view returns (address bidder, uint256 amount, uint256 price, '
        + 'uint256 funds, bool active)',
]);

let site;
let token;
let market;

const send = (wallet, signature, ...args) => site.host.invoke(wallet, market, signature, ...args);
const post = (amount, price) => send(seller, 'postSale(address assetToken, uint256 amount, uint256 ask)',
    token, amount, price);
const bid = (wallet, sale, amount, price) => send(wallet,
    'placeSaleBid(uint256 sale, uint256 amount, uint256 price)', sale, amount, price);
const accept = (sale, index) => send(seller, 'acceptSaleBid(uint256 sale, uint256 bid)', sale, index);
const cancel = (sale) => send(seller, 'cancelSale(uint256 sale)', sale);
const withdraw = (wallet, sale, index) => send(wallet, 'withdrawSaleBid(uint256 sale, uint256 bid)',
    sale, index);

async function ask(name, ...args) {
    const data = await site.host.provider.call({ to: market, data: MARKET.encodeFunctionData(name, args) });
    return MARKET.decodeFunctionResult(name, data);
}

/** The accounts with something in them, and their sum. */
function escrow() {
    const held = rows(site.api.daemon.database, `SELECT path, credits_posted, debits_posted
        FROM ledger_accounts WHERE path LIKE 'leasing/%'`)
        .map((r) => [r.path, BigInt(r.credits_posted) - BigInt(r.debits_posted)])
        .filter(([, amount]) => amount !== 0n);
    return { held: Object.fromEntries(held), sum: held.reduce((s, [, amount]) => s + amount, 0n) };
}

/** What the rows say, when they are as far as the chain is: no other than the contract. */
async function state() {
    await site.catchUp();
    const { database } = site.api.daemon;
    const sales = Object.fromEntries(rows(database,
        'SELECT sale_id, amount, remaining, status FROM token_sales').map((s) => [
        BigInt(s.sale_id), { status: s.status, amount: BigInt(s.amount), remaining: BigInt(s.remaining) }]));
    const bids = Object.fromEntries(rows(database,
        'SELECT sale_id, bid_index, amount, funds, status FROM sale_bids').map((b) => [
        `${BigInt(b.sale_id)}/${BigInt(b.bid_index)}`,
        { status: b.status, amount: BigInt(b.amount), funds: BigInt(b.funds) }]));
    for (const [id, sale] of Object.entries(sales)) {
        const said = await ask('sales', id);
        assert.deepEqual([said.active, said.amount], [sale.status === 'active', sale.remaining], `sale ${id}`);
    }
    for (const [id, b] of Object.entries(bids)) {
        const said = await ask('saleBids', ...id.split('/'));
        assert.deepEqual([said.active, said.amount, said.funds], [b.status === 'active', b.amount, b.funds], id);
    }
    const { held, sum } = escrow();
    assert.equal(sum, await site.host.stableOf(market), 'the ledger has what the marketplace has');
    return { sales, bids, held };
}

const statuses = (bids) => Object.fromEntries(Object.entries(bids).map(([id, b]) => [id, b.status]));

async function killAndStart() {
    const { dir, child, ended } = site.api.daemon;
    child.kill('SIGKILL');
    await ended;
    site.api.provider.destroy();
    await site.start({ dir });
}

before(async () => {
    site = await Site.open();
    market = site.host.contracts.marketplace;
    const assetId = fresh('SALE');
    await site.api.post(`${V1}/assets`, assetBody(assetId, { tokenRecipient: seller.address }), 201);
    const asset = await site.api.until(`${V1}/assets/${assetId}`, (a) => a.status === 'active');
    token = asset.onChain.tokenAddress;
    await site.host.invoke(seller, token, 'approve(address spender, uint256 amount)', market, 100n * TOKEN);
    for (const wallet of [first, second, third]) {
        await site.host.fund(wallet.address, 1_000_000n);
        await site.host.invoke(wallet, site.host.contracts.stablecoin,
            'approve(address spender, uint256 amount)', market, 1_000_000n);
    }
});
after(() => site?.close());

describe('sales of asset tokens', () => {
    test('escrow the cost of each bid, rounded down', async () => {
        await post(10n * TOKEN, 1000n);
        await bid(first, 0n, 4n * TOKEN, 1000n);
        await bid(second, 0n, 10n * TOKEN, 900n);
        await bid(third, 0n, TOKEN / 2n, 3n); // 1.5
        await bid(third, 0n, 1n, 3n); // nothing at all
        const { sales, bids, held } = await state();
        assert.deepEqual(sales, { 0: { status: 'active', amount: 10n * TOKEN, remaining: 10n * TOKEN } });
        assert.deepEqual(Object.values(bids).map((b) => b.funds).sort((a, b) => Number(a - b)),
            [0n, 1n, 4000n, 9000n]);
        assert.deepEqual(held, { 'leasing/sale/0/bid/0': 4000n, 'leasing/sale/0/bid/1': 9000n,
            'leasing/sale/0/bid/2': 1n });
    });

    test('are filled in part: the seller is paid, the others get theirs back', async () => {
        await accept(0n, 0n);
        const { sales, bids, held } = await state();
        assert.deepEqual(sales[0], { status: 'active', amount: 10n * TOKEN, remaining: 6n * TOKEN });
        assert.deepEqual(statuses(bids), { '0/0': 'accepted', '0/1': 'refunded', '0/2': 'refunded',
            '0/3': 'refunded' });
        assert.deepEqual(held, {});
        assert.equal(await site.host.stableOf(seller.address), 4000n);
        assert.equal(await site.host.stableOf(second.address), 1_000_000n);
    });

    test('a bid is withdrawn by its bidder, and the rest is sold', async () => {
        await bid(second, 0n, 6n * TOKEN, 1000n);
        await bid(third, 0n, TOKEN, 700n);
        await withdraw(third, 0n, 5n);
        assert.deepEqual((await state()).held, { 'leasing/sale/0/bid/4': 6000n });
        await accept(0n, 4n);
        const { sales, bids } = await state();
        assert.deepEqual(sales[0], { status: 'sold', amount: 10n * TOKEN, remaining: 0n });
        assert.equal(bids['0/4'].status, 'accepted');
        assert.equal(bids['0/5'].status, 'withdrawn');
    });

    test('are cancelled, with what was for sale and every bid back', async () => {
        await post(3n * TOKEN, 50n);
        await bid(first, 1n, TOKEN, 50n);
        await bid(second, 1n, 2n * TOKEN, 60n);
        await cancel(1n);
        const { sales, bids, held } = await state();
        assert.deepEqual(sales[1], { status: 'cancelled', amount: 3n * TOKEN, remaining: 3n * TOKEN });
        assert.deepEqual([bids['1/0'].status, bids['1/1'].status], ['refunded', 'refunded']);
        assert.deepEqual(held, {});
    });
});

describe('a fork', () => {
    test('takes an acceptance back, and then the sale itself', async () => {
        await post(2n * TOKEN, 100n);
        await bid(first, 2n, TOKEN, 100n);
        await bid(second, 2n, TOKEN, 200n);
        const was = await state();
        assert.deepEqual(was.held, { 'leasing/sale/2/bid/0': 100n, 'leasing/sale/2/bid/1': 200n });
        await accept(2n, 1n);
        assert.equal((await state()).bids['2/0'].status, 'refunded');
        await site.reorg(1);
        await site.host.rpc('anvil_mine', '0x1');
        assert.deepEqual(await state(), was);
        await site.equalsFreshIndex();
        await site.reorg(await site.head() - (await firstOf(2n)) + 1);
        await site.host.rpc('anvil_mine', '0x1');
        const { sales, held } = await state();
        assert.deepEqual(Object.keys(sales), ['0', '1']);
        assert.deepEqual(held, {});
        await site.equalsFreshIndex();
    });
});

/** The block of a sale. */
async function firstOf(sale) {
    return Number(rows(site.api.daemon.database, 'SELECT sale_id, block_number FROM token_sales')
        .find((s) => BigInt(s.sale_id) === sale).block_number);
}

describe('a process that is killed among sales', () => {
    test('has every sale and bid once', async () => {
        for (let round = 0; round < 6; round++) {
            const sale = BigInt(2 + round);
            await post(2n * TOKEN, 10n);
            await bid(first, sale, TOKEN, 10n);
            await bid(second, sale, 2n * TOKEN, 11n);
            await Promise.all([
                sleep(Math.random() * 60 * SLOW).then(killAndStart),
                round % 2 === 0 ? accept(sale, 0n) : cancel(sale),
            ]);
        }
        const { sales, bids, held } = await state();
        for (let round = 0; round < 6; round++) {
            const sale = 2 + round;
            assert.equal(sales[sale].status, round % 2 === 0 ? 'active' : 'cancelled');
            assert.equal(bids[`${sale}/0`].status, round % 2 === 0 ? 'accepted' : 'refunded');
            assert.equal(bids[`${sale}/1`].status, 'refunded');
        }
        assert.equal(Object.keys(bids).length, 6 + 2 + 12);
        assert.deepEqual(held, {});
        await site.equalsFreshIndex();
        assert.doesNotMatch(site.api.daemon.log, /"level":"broken"/);
    });
});
