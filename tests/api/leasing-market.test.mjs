// Sales of asset tokens over HTTP against a real chain: posted, bid for, filled in part, cancelled and
// taken back, with wallets of the relay and with wallets that are not ours. What is true is read back
// from the contracts.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { hexlify, randomBytes } from 'ethers';
import {
    Api, assetBody, bidderA, bidderB, fresh, having, holder, intentOf, leaseBody, leaseDigest, lessor,
    rows, sign, strangers, typeBody, without,
} from './support.mjs';

const V1 = '/api/v1';
const TOKEN = 10n ** 18n;
const [own] = strangers; // has a wallet of his own

let api;
let asset;
let token;

const tokens = (address) => api.call(token, 'balanceOf(address) view returns (uint256)', address);
const saleBody = (changes = {}) => ({ assetId: asset.assetId, seller: lessor.address,
    amount: String(10n * TOKEN), pricePerUnit: '1000', ...changes });
const bidBody = (changes = {}) => ({ bidder: bidderA.address, amount: String(4n * TOKEN),
    pricePerUnit: '1000', ...changes });

/** A sale that is on chain. */
async function posted(changes = {}) {
    const made = await api.post(`${V1}/sales?wait=20`, saleBody(changes), 201);
    assert.equal(made.status, 'posted', JSON.stringify(made));
    return api.get(`${V1}/sales/${made.saleId}`);
}

/** A bid that is on chain. */
async function placed(sale, changes = {}) {
    const made = await api.post(`${V1}/sales/${sale.saleId}/bids?wait=20`, bidBody(changes), 201);
    assert.equal(made.status, 'active', JSON.stringify(made));
    return made;
}

const statusesOf = async (sale) => (await api.get(`${V1}/sales/${sale.saleId}/bids`)).map((b) => b.status);

before(async () => {
    api = await Api.start();
    await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
    const assetId = fresh('SALE');
    await api.post(`${V1}/assets?wait=20`, assetBody(assetId, { tokenRecipient: lessor.address }), 201);
    asset = await api.until(`${V1}/assets/${assetId}`, (a) => a.status === 'active');
    token = asset.onChain.tokenAddress;
    for (const wallet of [bidderA, bidderB, own]) {
        await api.fund(wallet.address, 1_000_000n);
    }
});
after(() => api?.stop());

describe('posting a sale', () => {
    test('it is pending at once, and on chain soon after, under the name of the request', async () => {
        await api.rpc('evm_setAutomine', false);
        let answer;
        try {
            answer = await api.post(`${V1}/sales`, saleBody({ requestId: 'first-sale' }), 201);
            assert.equal(answer.status, 'pending');
            assert.equal(answer.saleId, null);
            const [asked] = await api.get(`${V1}/sale-requests?seller=${lessor.address}`);
            assert.equal(asked.requestId, 'first-sale');
            assert.equal(asked.status, 'pending');
        } finally {
            await api.rpc('evm_setAutomine', true);
            await api.rpc('evm_mine');
        }
        const [asked] = await api.until(`${V1}/sale-requests`, ([r]) => r.status === 'posted');
        assert.equal(asked.saleId, '0');
        const sale = await api.get(`${V1}/sales/0`);
        const [seller, address, amount, ask, active] = await api.provider.call({ to: api.contracts.marketplace,
            data: '0xb5f522f7' + '0'.repeat(64) }).then((data) => [
            `0x${data.slice(26, 66)}`, `0x${data.slice(90, 130)}`, BigInt(`0x${data.slice(130, 194)}`),
            BigInt(`0x${data.slice(194, 258)}`), BigInt(`0x${data.slice(258, 322)}`)]);
        assert.equal(sale.sellerAddress.toLowerCase(), seller);
        assert.equal(sale.tokenAddress.toLowerCase(), address);
        assert.deepEqual([BigInt(sale.amount), BigInt(sale.pricePerUnit)], [amount, ask]);
        assert.equal(active, 1n);
        assert.equal(sale.remaining, sale.amount);
        assert.equal(sale.assetId, asset.assetId);
        assert.equal(sale.sellerBalance, String(100n * TOKEN));
        assert.deepEqual(sale.actions, []);
    });

    test('the same request again is the same sale, with other content it is refused', async () => {
        const was = await api.state();
        const again = await api.post(`${V1}/sales`, saleBody({ requestId: 'first-sale' }), 200);
        assert.equal(again.saleId, '0');
        for (const changes of [{ amount: '1' }, { pricePerUnit: '999' }, { seller: holder.address }]) {
            await api.refuse('POST', `${V1}/sales`, { body: saleBody({ requestId: 'first-sale', ...changes }) },
                409, 'already_exists', 'requestId');
        }
        assert.deepEqual(await api.state(), was);
    });

    test('an Idempotency-Key names the request too', async () => {
        const headers = { 'idempotency-key': fresh('sale') };
        const first = await api.post(`${V1}/sales?wait=20`, saleBody(), 201, headers);
        const again = await api.post(`${V1}/sales?wait=20`, saleBody(), 201, headers);
        assert.deepEqual(again, first);
        assert.equal(first.saleId, '1');
        await api.post(`${V1}/sales/1/cancel?wait=20`, undefined, 200);
    });

    test('many at once under one name are one sale', async () => {
        const body = saleBody({ requestId: fresh('many') });
        const answers = await Promise.all(Array.from({ length: 8 }, () => api.send('POST', `${V1}/sales?wait=20`,
            { body })));
        assert.deepEqual(answers.map((a) => a.status).sort(), [200, 200, 200, 200, 200, 200, 200, 201]);
        assert.equal(new Set(answers.map((a) => a.data.transaction.transactionId)).size, 1);
        await api.post(`${V1}/sales/2/cancel?wait=20`, undefined, 200);
        assert.equal((await api.get(`${V1}/sales`)).length, 3);
    });

    test('what cannot be sold is refused, and nothing is kept', async () => {
        const was = await api.state();
        const cases = [
            [(b) => without(b, 'assetId'), 400, 'missing_field', 'assetId'],
            [(b) => having(b, 'assetId', 'nothing'), 404, 'not_found'],
            [(b) => without(b, 'seller'), 400, 'missing_field', 'seller'],
            [(b) => having(b, 'seller', '0x12'), 400, 'invalid_address', 'seller'],
            [(b) => having(b, 'seller', `0x${'0'.repeat(40)}`), 400, 'invalid_address', 'seller'],
            [(b) => having(b, 'seller', lessor.address.toUpperCase().replace('0X', '0x').replace('C', 'c')), 400, 'address_checksum', 'seller'],
            [(b) => having(b, 'amount', '0'), 400, 'invalid_amount', 'amount'],
            [(b) => having(b, 'amount', '-1'), 400, 'invalid_amount', 'amount'],
            [(b) => having(b, 'amount', '1.5'), 400, 'invalid_amount', 'amount'],
            [(b) => having(b, 'amount', String(2n ** 256n)), 400, 'amount_overflow', 'amount'],
            [(b) => having(b, 'amount', String(100n * TOKEN + 1n)), 422, 'insufficient_funds', 'amount'],
            [(b) => having(b, 'seller', holder.address), 422, 'insufficient_funds', 'amount'],
            [(b) => having(b, 'seller', own.address), 422, 'insufficient_funds', 'amount'],
            [(b) => having(b, 'pricePerUnit', '0'), 400, 'invalid_amount', 'pricePerUnit'],
            [(b) => having(b, 'requestId', 'a/b'), 400, 'invalid_field', 'requestId'],
            [(b) => having(b, 'requestId', 'x'.repeat(51)), 400, 'invalid_field', 'requestId'],
            [(b) => having(b, 'requestId', 5), 400, 'invalid_type', 'requestId'],
            [(b) => having(b, 'extra', 1), 400, 'unknown_field', 'extra'],
        ];
        for (const [change, ...expected] of cases) {
            await api.refuse('POST', `${V1}/sales`, { body: change(saleBody()) }, ...expected);
        }
        await api.refuse('POST', `${V1}/sales?wait=31`, { body: saleBody() }, 400, 'invalid_field', 'wait');
        assert.deepEqual(await api.state(), was);
        assert.equal((await api.get(`${V1}/sale-requests`)).length, 3);
    });
});

describe('bidding', () => {
    test('funds are in escrow, to the unit', async () => {
        const held = await api.stableOf(api.contracts.marketplace);
        const bid = await placed({ saleId: '0' }, { amount: String(TOKEN / 2n), pricePerUnit: '3' }); // 1.5
        assert.equal(bid.funds, '1');
        assert.equal(bid.bidIndex, '0');
        assert.equal(await api.stableOf(api.contracts.marketplace), held + 1n);
        const [listed] = await api.get(`${V1}/sales/0/bids`);
        assert.deepEqual([listed.bidder, listed.funds, listed.status], [bidderA.address, '1', 'active']);
        assert.equal(listed.transactionHash, bid.transaction.transactionHash);
    });

    test('a bid under way is listed behind those that are placed', async () => {
        await api.rpc('evm_setAutomine', false);
        try {
            const made = await api.post(`${V1}/sales/0/bids`, bidBody({ requestId: 'bid-a' }), 201);
            assert.equal(made.status, 'pending');
            const list = await api.get(`${V1}/sales/0/bids`);
            assert.deepEqual(list.map((b) => [b.bidIndex, b.status]), [['0', 'active'], [null, 'pending']]);
            assert.equal(list[1].requestId, 'bid-a');
            assert.deepEqual((await api.get(`${V1}/sales/0/bids?status=active`)).length, 1);
        } finally {
            await api.rpc('evm_setAutomine', true);
            await api.rpc('evm_mine');
        }
        await api.until(`${V1}/sales/0/bids`, (l) => l.length === 2 && l[1].status === 'active');
        const again = await api.post(`${V1}/sales/0/bids`, bidBody({ requestId: 'bid-a' }), 200);
        assert.deepEqual([again.bidIndex, again.status, again.funds], ['1', 'active', '4000']);
        await api.refuse('POST', `${V1}/sales/0/bids`, { body: bidBody({ requestId: 'bid-a', amount: '5' + '0'.repeat(18) }) },
            409, 'already_exists', 'requestId');
    });

    test('bids of one wallet at once do not take each other\'s allowance', async () => {
        const made = await Promise.all([300n, 200n, 100n].map((price) => placed({ saleId: '0' },
            { bidder: bidderB.address, amount: String(TOKEN), pricePerUnit: String(price) })));
        assert.deepEqual(made.map((b) => b.funds), ['300', '200', '100']);
        assert.deepEqual(made.map((b) => b.bidIndex).sort(), ['2', '3', '4']);
    });

    test('what cannot be bid is refused', async () => {
        const was = await api.state();
        const cases = [
            [(b) => without(b, 'bidder'), 400, 'missing_field', 'bidder'],
            [(b) => having(b, 'bidder', lessor.address), 400, 'invalid_field', 'bidder'],
            [(b) => having(b, 'amount', '0'), 400, 'invalid_amount', 'amount'],
            [(b) => having(b, 'amount', '1'), 400, 'invalid_amount', 'amount'], // costs nothing
            [(b) => having(b, 'amount', String(10n * TOKEN + 1n)), 409, 'conflict', 'amount'],
            [(b) => having(having(b, 'amount', String(2n ** 200n)), 'pricePerUnit', String(2n ** 200n)), 400,
                'amount_overflow', 'pricePerUnit'],
            [(b) => having(b, 'pricePerUnit', 'x'), 400, 'invalid_amount', 'pricePerUnit'],
            [(b) => having(b, 'signature', '0x'), 400, 'unknown_field', 'signature'],
        ];
        for (const [change, ...expected] of cases) {
            await api.refuse('POST', `${V1}/sales/0/bids`, { body: change(bidBody()) }, ...expected);
        }
        await api.refuse('POST', `${V1}/sales/99/bids`, { body: bidBody() }, 404, 'not_found');
        await api.refuse('POST', `${V1}/sales/x/bids`, { body: bidBody() }, 400, 'invalid_field', 'saleId');
        await api.refuse('POST', `${V1}/sales/1/bids`, { body: bidBody() }, 409, 'conflict', 'saleId');
        await api.refuse('GET', `${V1}/sales/99`, {}, 404, 'not_found');
        await api.refuse('GET', `${V1}/sales/99/bids`, {}, 404, 'not_found');
        await api.refuse('GET', `${V1}/sales/0/bids?status=nice`, {}, 400, 'invalid_field', 'status');
        await api.refuse('GET', `${V1}/sales/0/bids?bidder=x`, {}, 400, 'invalid_address', 'bidder');
        await api.refuse('GET', `${V1}/sales?cursor=zzzz`, {}, 400, 'invalid_field', 'cursor');
        assert.deepEqual(await api.state(), was);
    });

    test('a bid without the money fails, says why, and may be asked for again', async () => {
        const body = bidBody({ bidder: holder.address, requestId: fresh('poor') });
        const failed = await api.post(`${V1}/sales/0/bids?wait=20`, body, 201);
        assert.equal(failed.status, 'failed');
        assert.equal(failed.transaction.state, 'failed');
        await api.fund(holder.address, 4000n);
        const done = await api.post(`${V1}/sales/0/bids?wait=20`, body, 200);
        assert.equal(done.status, 'active');
        assert.equal(done.bidIndex, '5');
    });
});

describe('accepting', () => {
    test('fills a part: tokens and money change hands, the other bids are refunded', async () => {
        const money = await api.stableOf(lessor.address);
        const done = await api.post(`${V1}/sales/0/bids/1/accept?wait=20`, undefined, 200);
        assert.equal(done.bid.status, 'accepted');
        assert.equal(done.sale.status, 'active');
        assert.equal(done.sale.remaining, String(6n * TOKEN));
        assert.equal(await tokens(bidderA.address), 4n * TOKEN);
        assert.equal(await api.stableOf(lessor.address), money + 4000n);
        assert.deepEqual(await statusesOf({ saleId: '0' }),
            ['refunded', 'accepted', 'refunded', 'refunded', 'refunded', 'refunded']);
        assert.equal(await api.stableOf(holder.address), 4000n);
        assert.equal(await api.stableOf(api.contracts.marketplace), 0n);
        assert.equal(await api.call(token, 'allowance(address, address) view returns (uint256)', lessor.address,
            api.contracts.marketplace), 0n, 'nothing may be pulled beyond what was sold');
    });

    test('who asks again, because no answer came, is told the same and sends nothing', async () => {
        const was = await api.state();
        const again = await api.post(`${V1}/sales/0/bids/1/accept`, undefined, 200);
        assert.equal(again.bid.status, 'accepted');
        assert.deepEqual(await api.state(), was);
        await api.refuse('POST', `${V1}/sales/0/bids/0/accept`, {}, 409, 'conflict', 'bidIndex');
        await api.refuse('POST', `${V1}/sales/0/bids/9/accept`, {}, 404, 'not_found');
    });

    test('asked for many times at once it is sent once, and under way it is shown', async () => {
        const bid = await placed({ saleId: '0' }, { amount: String(2n * TOKEN) });
        await api.rpc('evm_setAutomine', false);
        const path = `${V1}/sales/0/bids/${bid.bidIndex}/accept`;
        const answers = await Promise.all(Array.from({ length: 6 }, () => api.send('POST', path)));
        const sale = await api.get(`${V1}/sales/0`);
        await api.rpc('evm_setAutomine', true);
        await api.rpc('evm_mine');
        assert.deepEqual(new Set(answers.map((a) => a.status)), new Set([200]));
        assert.equal(new Set(answers.map((a) => a.data.transaction.transactionId)).size, 1);
        assert.equal(sale.actions[0].action, 'accept');
        assert.equal(sale.actions[0].bidIndex, bid.bidIndex);
        await api.until(`${V1}/sales/0`, (s) => s.remaining === String(4n * TOKEN)
            && s.actions[0].transaction.state === 'mined');
    });

    test('of the last token the sale is sold', async () => {
        await placed({ saleId: '0' });
        const list = await api.get(`${V1}/sales/0/bids?status=active`);
        const done = await api.post(`${V1}/sales/0/bids/${list[0].bidIndex}/accept?wait=20`, undefined, 200);
        assert.equal(done.sale.status, 'sold');
        assert.equal(done.sale.remaining, '0');
        await api.refuse('POST', `${V1}/sales/0/bids`, { body: bidBody() }, 409, 'conflict', 'saleId');
        await api.refuse('POST', `${V1}/sales/0/cancel`, {}, 409, 'conflict', 'saleId');
        assert.equal(await tokens(bidderA.address), 10n * TOKEN);
    });

    test('a seller who gave the tokens away meanwhile is told so', async () => {
        const sale = await posted({ seller: bidderA.address, amount: String(10n * TOKEN) });
        const bid = await placed(sale, { bidder: bidderB.address, amount: String(10n * TOKEN), pricePerUnit: '10' });
        await api.invoke(bidderA, token, 'transfer(address to, uint256 amount)', holder.address, TOKEN);
        await api.refuse('POST', `${V1}/sales/${sale.saleId}/bids/${bid.bidIndex}/accept`, {}, 422,
            'insufficient_funds', 'bidIndex');
        await api.post(`${V1}/sales/${sale.saleId}/cancel?wait=20`, undefined, 200);
    });
});

describe('taking back', () => {
    let sale;
    before(async () => { sale = await posted({ amount: String(3n * TOKEN) }); });

    test('a bidder takes his bid back at any time, once', async () => {
        const bid = await placed(sale, { amount: String(TOKEN) });
        const before = await api.stableOf(bidderA.address);
        const path = `${V1}/sales/${sale.saleId}/bids/${bid.bidIndex}/withdraw`;
        const done = await api.post(`${path}?wait=20`, undefined, 200);
        assert.equal(done.bid.status, 'withdrawn');
        assert.equal(await api.stableOf(bidderA.address), before + 1000n);
        await api.refuse('POST', path, {}, 409, 'conflict', 'bidIndex');
        await api.refuse('POST', `${V1}/sales/${sale.saleId}/bids/7/withdraw`, {}, 404, 'not_found');
    });

    test('a seller takes the sale back, and every bid is paid back', async () => {
        await placed(sale, { amount: String(TOKEN) });
        await placed(sale, { bidder: bidderB.address, amount: String(2n * TOKEN), pricePerUnit: '900' });
        const done = await api.post(`${V1}/sales/${sale.saleId}/cancel?wait=20`, undefined, 200);
        assert.equal(done.sale.status, 'cancelled');
        assert.equal(done.transaction.state, 'mined');
        assert.deepEqual(await statusesOf(sale), ['withdrawn', 'refunded', 'refunded']);
        assert.equal(await api.stableOf(api.contracts.marketplace), 0n);
        await api.refuse('POST', `${V1}/sales/${sale.saleId}/cancel`, {}, 409, 'conflict', 'saleId');
    });
});

describe('wallets that are not ours', () => {
    test('get the transactions to send, and the events make the same rows', async () => {
        await api.invoke(lessor, token, 'transfer(address to, uint256 amount)', own.address, 5n * TOKEN);
        const asked = await api.post(`${V1}/sales`, saleBody({ seller: own.address, amount: String(5n * TOKEN) }), 200);
        assert.deepEqual([asked.requestId, asked.status, asked.transaction], [null, 'unsent', null]);
        assert.equal(asked.transactionRequests[0].from, own.address);
        await api.transact(own, asked.transactionRequests[0]);
        const [sale] = await api.get(`${V1}/sales?seller=${own.address}`);
        assert.equal(sale.amount, String(5n * TOKEN));
        await placed(sale, { amount: String(2n * TOKEN) });
        const accept = await api.post(`${V1}/sales/${sale.saleId}/bids/0/accept`, undefined, 200);
        assert.equal(accept.transaction, null);
        assert.deepEqual(accept.transactionRequests.map((t) => t.purpose),
            ['leasing.approve_sale', 'leasing.accept_sale_bid']);
        for (const request of accept.transactionRequests) {
            await api.transact(own, request);
        }
        assert.equal((await api.get(`${V1}/sales/${sale.saleId}`)).remaining, String(3n * TOKEN));
        const cancel = await api.post(`${V1}/sales/${sale.saleId}/cancel`, undefined, 200);
        await api.transact(own, cancel.transactionRequests[0]);
        assert.equal((await api.get(`${V1}/sales/${sale.saleId}`)).status, 'cancelled');
    });

    test('bid and take back likewise', async () => {
        const sale = await posted({ amount: String(TOKEN) });
        const asked = await api.post(`${V1}/sales/${sale.saleId}/bids`,
            bidBody({ bidder: own.address, amount: String(TOKEN) }), 200);
        assert.deepEqual([asked.status, asked.funds, asked.transactionRequests.length], ['unsent', '1000', 2]);
        for (const request of asked.transactionRequests) {
            await api.transact(own, request);
        }
        const [bid] = await api.get(`${V1}/sales/${sale.saleId}/bids?bidder=${own.address}`);
        assert.equal(bid.status, 'active');
        const back = await api.post(`${V1}/sales/${sale.saleId}/bids/${bid.bidIndex}/withdraw`, undefined, 200);
        await api.transact(own, back.transactionRequests[0]);
        assert.deepEqual(await statusesOf(sale), ['withdrawn']);
        await api.post(`${V1}/sales/${sale.saleId}/cancel?wait=20`, undefined, 200);
    });
});

describe('lists', () => {
    test('sales by status, asset and seller, newest first, in pages that do not overlap', async () => {
        const all = await api.get(`${V1}/sales?limit=200`);
        assert.deepEqual(all.map((s) => BigInt(s.saleId)), all.map((_, i) => BigInt(all.length - 1 - i)));
        const seen = [];
        for (let cursor = ''; cursor !== null;) {
            const page = await api.send('GET', `${V1}/sales?limit=2${cursor && `&cursor=${cursor}`}`);
            seen.push(...page.data);
            cursor = page.nextCursor;
        }
        assert.deepEqual(seen, all);
        const sold = await api.get(`${V1}/sales?status=sold`);
        assert.deepEqual(sold.map((s) => s.saleId), ['0']);
        assert.equal((await api.get(`${V1}/sales?assetId=${asset.assetId}`)).length, all.length);
        assert.deepEqual(await api.get(`${V1}/sales?assetId=nothing`), []);
        assert.deepEqual((await api.get(`${V1}/sales?seller=${own.address}`)).map((s) => s.sellerAddress), [own.address]);
        await api.refuse('GET', `${V1}/sales?status=open`, {}, 400, 'invalid_field', 'status');
        await api.refuse('GET', `${V1}/sales?seller=me`, {}, 400, 'invalid_address', 'seller');
    });

    test('bids and requests in pages', async () => {
        const all = await api.get(`${V1}/sales/0/bids`);
        const first = await api.send('GET', `${V1}/sales/0/bids?limit=5`);
        const rest = await api.send('GET', `${V1}/sales/0/bids?limit=5&cursor=${first.nextCursor}`);
        assert.deepEqual([...first.data, ...rest.data], all);
        const asked = await api.get(`${V1}/sale-requests`);
        const page = await api.send('GET', `${V1}/sale-requests?limit=2`);
        const next = await api.send('GET', `${V1}/sale-requests?limit=200&cursor=${page.nextCursor}`);
        assert.deepEqual([...page.data, ...next.data], asked);
        assert.equal((await api.get(`${V1}/sale-requests?seller=${bidderA.address}`)).length, 1);
    });
});

describe('due dates', () => {
    const at = (day, hours = 9) => new Date(Date.UTC(new Date().getUTCFullYear() + 1, ...day, hours)).toISOString();
    /** Months after the 31st of January of next year, by the calendar of JavaScript. */
    const month = (n) => {
        const year = new Date().getUTCFullYear() + 1;
        const last = new Date(Date.UTC(year, n + 1, 0)).getUTCDate();
        return at([n, Math.min(31, last)]);
    };
    let lease;

    const digest = (l, lessee) => leaseDigest(intentOf(l, asset, lessee), 31337, api.contracts.leaseFactory);

    test('of a draft are a plan, by the calendar, clipped at the ends of months', async () => {
        const terms = { startDate: at([0, 31]), endDate: at([4, 15]), paymentAmount: '1000000' };
        lease = await api.post(`${V1}/leases?wait=20`,
            without(leaseBody(asset.assetId, {}, terms), 'lesseeAddress'), 201);
        const plan = await api.get(`${V1}/leases/${lease.leaseId}/schedule`);
        assert.equal(plan.updatedAt, null);
        assert.deepEqual(plan.instalments.map((i) => i.dueAt), [0, 1, 2, 3].map(month));
        assert.deepEqual(plan.instalments.map((i) => i.status), Array(4).fill('planned'));
        // The last one runs from the 30th of April to the 15th of May: 15 of 31 days.
        assert.deepEqual(plan.instalments.map((i) => i.amount), ['1000000', '1000000', '1000000',
            String(Math.floor(1000000 * 15 / 31))]);
        assert.equal(plan.total, '3483870');
        assert.equal(plan.instalments[3].periodEnd, terms.endDate);
        assert.deepEqual((await api.get(`${V1}/dues`)), []);
    });

    test('of a lease on chain are rows, paid by the bid that was accepted, oldest first', async () => {
        await api.fund(bidderA.address, 1_500_000n);
        await api.post(`${V1}/leases/${lease.leaseId}/bids?wait=20`, { bidder: bidderA.address, funds: '1500000',
            signature: sign(bidderA, digest(lease, bidderA.address)) }, 201);
        const done = await api.post(`${V1}/leases/${lease.leaseId}/bids/0/accept?wait=20`,
            { signature: sign(lessor, digest(lease, bidderA.address)) });
        assert.equal(done.status, 'active');
        const schedule = await api.until(`${V1}/leases/${lease.leaseId}/schedule`, (s) => s.updatedAt !== null);
        assert.deepEqual(schedule.instalments.map((i) => [i.number, i.dueAt, i.paid, i.status]), [
            [1, month(0), '1000000', 'paid'], [2, month(1), '500000', 'due'], [3, month(2), '0', 'due'],
            [4, month(3), '0', 'due']]);
        assert.deepEqual([schedule.total, schedule.paid, schedule.instalmentCount], ['3483870', '1500000', 4]);
        const first = await api.send('GET', `${V1}/leases/${lease.leaseId}/schedule?limit=3`);
        const rest = await api.send('GET', `${V1}/leases/${lease.leaseId}/schedule?limit=3&cursor=${first.nextCursor}`);
        assert.deepEqual([...first.data.instalments, ...rest.data.instalments], schedule.instalments);
        assert.equal(rest.nextCursor, null);
    });

    test('one that should have been paid is overdue, and all are found by status and party', async () => {
        const start = new Date(Math.floor(Date.now() / 1000) * 1000 - 86_400_000).toISOString();
        const late = await api.post(`${V1}/leases`, leaseBody(asset.assetId, {},
            { startDate: start, paymentSchedule: 'upfront', paymentAmount: '77' }), 201);
        const signature = (wallet) => sign(wallet, digest(late));
        await api.post(`${V1}/leases/${late.leaseId}/sign`, { signature: signature(lessor), signerType: 'lessor' });
        await api.post(`${V1}/leases/${late.leaseId}/sign?wait=20`,
            { signature: signature(bidderA), signerType: 'lessee' });
        const [overdue] = await api.until(`${V1}/dues?status=overdue`, (l) => l.length === 1);
        assert.deepEqual([overdue.leaseId, overdue.number, overdue.amount, overdue.paid, overdue.dueAt],
            [late.leaseId, 1, '77', '0', start]);
        assert.equal(overdue.lesseeAddress, bidderA.address);
        const all = await api.get(`${V1}/dues`);
        assert.equal(all.length, 5);
        const seen = [];
        for (let cursor = ''; cursor !== null;) {
            const page = await api.send('GET', `${V1}/dues?limit=2${cursor && `&cursor=${cursor}`}`);
            seen.push(...page.data);
            cursor = page.nextCursor;
        }
        assert.deepEqual(seen, all);
        assert.deepEqual(await api.get(`${V1}/dues?status=due&lessor=${lessor.address}`),
            all.filter((d) => d.status === 'due'));
        assert.deepEqual(await api.get(`${V1}/dues?lessee=${bidderB.address}`), []);
        assert.deepEqual(await api.get(`${V1}/dues?assetId=nothing`), []);
        assert.equal((await api.get(`${V1}/dues?assetId=${asset.assetId}&status=paid`)).length, 1);
    });

    test('wrong questions and terms that cannot be reckoned are refused', async () => {
        await api.refuse('GET', `${V1}/dues?status=late`, {}, 400, 'invalid_field', 'status');
        await api.refuse('GET', `${V1}/dues?lessor=x`, {}, 400, 'invalid_address', 'lessor');
        await api.refuse('GET', `${V1}/dues?cursor=zzzz`, {}, 400, 'invalid_field', 'cursor');
        await api.refuse('GET', `${V1}/dues?offset=1`, {}, 400, 'invalid_field', 'offset');
        await api.refuse('GET', `${V1}/leases/nothing/schedule`, {}, 404, 'not_found');
        await api.refuse('GET', `${V1}/leases/${lease.leaseId}/schedule?cursor=zzzz`, {}, 400, 'invalid_field', 'cursor');
        await api.refuse('POST', `${V1}/leases`, { body: leaseBody(asset.assetId, {},
            { endDate: '2999-01-01T00:00:00Z' }) }, 400, 'invalid_field', 'terms.endDate');
        await api.refuse('POST', `${V1}/leases`, { body: leaseBody(asset.assetId, {},
            { paymentAmount: String(2n ** 256n - 1n) }) }, 400, 'amount_overflow', 'terms.paymentAmount');
    });
});

describe('required lease keys', () => {
    let relay;

    before(async () => {
        const schema = {
            type: 'object',
            properties: {
                channels: { type: 'integer', minimum: 1 }, coverage: { $ref: '#/$defs/area' }, mass_kg: { type: 'string' },
            },
            $defs: { area: { type: 'object', required: ['km2'], properties: { km2: { type: 'number', maximum: 100 } } } },
        };
        await api.post(`${V1}/asset-types?wait=20`, typeBody('relay',
            { schema, requiredLeaseKeys: ['channels', 'coverage', 'note'] }), 201);
        const assetId = fresh('REL');
        await api.post(`${V1}/assets?wait=20`, assetBody(assetId, {},
            { assetType: 'relay', specifications: { bands: ['C'] } }), 201);
        relay = await api.until(`${V1}/assets/${assetId}`, (a) => a.status === 'active');
    });

    test('are held against what the schema of the type says of them, with the path in the refusal', async () => {
        const was = await api.state();
        const metadata = { channels: 4, coverage: { km2: 12.5 }, note: 'anything', mass_kg: 7 };
        const cases = [
            [{ channels: undefined }, 'metadata.channels'],
            [{ channels: null }, 'metadata.channels'],
            [{ channels: '4' }, 'metadata.channels'],
            [{ channels: 0 }, 'metadata.channels'],
            [{ channels: 1.5 }, 'metadata.channels'],
            [{ coverage: undefined }, 'metadata.coverage'],
            [{ coverage: 5 }, 'metadata.coverage'],
            [{ coverage: {} }, 'metadata.coverage.km2'],
            [{ coverage: { km2: 101 } }, 'metadata.coverage.km2'],
            [{ note: undefined }, 'metadata.note'],
        ];
        for (const [change, field] of cases) {
            for (const lessee of [{}, { lesseeAddress: undefined }]) { // a lease, and an offer
                await api.refuse('POST', `${V1}/leases`, { body: leaseBody(relay.assetId,
                    { metadata: { ...metadata, ...change }, ...lessee }) }, 422, 'invalid_metadata', field);
            }
        }
        assert.deepEqual(await api.state(), was);
        const lease = await api.post(`${V1}/leases`, leaseBody(relay.assetId, { metadata }), 201);
        assert.deepEqual(lease.metadata, metadata);
    });
});

describe('a portfolio', () => {
    const of = (address, query = '') => api.get(`${V1}/accounts/${address}/portfolio${query}`);

    test('has what the contracts have', async () => {
        const seller = await of(lessor.address);
        assert.deepEqual(seller.holdings.find((h) => h.tokenAddress === token).balance, String(await tokens(lessor.address)));
        const claims = await api.call(api.contracts.marketplace, 'claims(address) view returns (uint256)', lessor.address);
        assert.ok(claims > 0n);
        assert.equal(seller.revenue.claimable, String(claims));
        assert.equal(BigInt(seller.revenue.credited), claims + BigInt(seller.revenue.claimed));
        const leases = await api.get(`${V1}/leases?lessor=${lessor.address}`);
        assert.deepEqual(seller.leases.map((l) => [l.leaseId, l.role, l.status]),
            leases.map((l) => [l.leaseId, 'lessor', l.status]));
        assert.equal(seller.leases.reduce((s, l) => s + l.overdueCount, 0), 1);
        const lessee = await of(bidderA.address);
        assert.deepEqual(new Set(lessee.leases.map((l) => l.role)), new Set(['lessee']));
    });

    test('has open sales, and bids whose money is in escrow', async () => {
        const sale = await posted({ amount: String(TOKEN) });
        const bid = await placed(sale, { amount: String(TOKEN), pricePerUnit: '50' });
        assert.deepEqual((await of(lessor.address)).sales.map((s) => s.saleId), [sale.saleId]);
        assert.deepEqual((await of(bidderA.address)).saleBids, [{ saleId: sale.saleId, bidIndex: bid.bidIndex,
            amount: String(TOKEN), pricePerUnit: '50', funds: '50' }]);
        await api.post(`${V1}/sales/${sale.saleId}/cancel?wait=20`, undefined, 200);
        assert.deepEqual((await of(bidderA.address)).saleBids, []);
    });

    test('after a past block has the tokens and the credited revenue of then', async () => {
        const [sale] = (await api.get(`${V1}/sales?status=sold`)).slice(-1);
        const bids = await api.get(`${V1}/sales/${sale.saleId}/bids?status=accepted`);
        const first = (await api.get(`${V1}/sales/${sale.saleId}`)).actions.filter((a) => a.action === 'accept').at(-1);
        const receipt = await api.provider.getTransactionReceipt(first.transaction.transactionHash);
        const held = async (block) => (await of(bidderA.address, `?block=${block}`)).holdings
            .find((h) => h.tokenAddress === token)?.balance;
        assert.equal(await held(receipt.blockNumber - 1), undefined);
        assert.equal(await held(receipt.blockNumber), bids[0].amount);
        const then = await of(lessor.address, `?block=${receipt.blockNumber}`);
        assert.equal(then.blockNumber, receipt.blockNumber);
        assert.equal(then.holdings.find((h) => h.tokenAddress === token).balance, String(96n * TOKEN));
        assert.deepEqual([then.revenue, then.sales, then.saleBids, then.leases], [{ credited: '0' }, null, null, null]);
        const now = await of(lessor.address);
        assert.deepEqual((await of(lessor.address, `?block=${now.blockNumber}`)).holdings, now.holdings);
        assert.equal((await of(lessor.address, `?block=${now.blockNumber}`)).revenue.credited, now.revenue.credited);
    });

    test('in pages, and wrong questions', async () => {
        const all = await of(lessor.address);
        const page = await api.send('GET', `${V1}/accounts/${lessor.address}/portfolio?limit=1`);
        assert.deepEqual(page.data.holdings, all.holdings.slice(0, 1));
        const none = (await api.send('GET', `${V1}/accounts/${strangers[2].address}/portfolio`)).data;
        assert.deepEqual([none.holdings, none.sales, none.leases], [[], [], []]);
        for (const [query, field] of [['block=x', 'block'], ['block=99999999', 'block'], ['offset=1', 'offset'],
            ['cursor=zzzz', 'cursor'], ['block=99999999999999999999', 'block']]) {
            await api.refuse('GET', `${V1}/accounts/${lessor.address}/portfolio?${query}`, {}, 400, 'invalid_field', field);
        }
        await api.refuse('GET', `${V1}/accounts/me/portfolio`, {}, 400, 'invalid_address', 'address');
    });
});

describe('revenue claimed on behalf of a holder', () => {
    const path = (address) => `${V1}/accounts/${address}/claims`;
    const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;
    const TYPES = { ClaimRevenue: [{ name: 'holder', type: 'address' }, { name: 'nonce', type: 'bytes32' },
        { name: 'deadline', type: 'uint256' }] };

    /** A body that a wallet signed, as ethers makes it. */
    async function signed(wallet, { domain = {}, message = {}, holder: of = wallet } = {}) {
        const nonce = hexlify(randomBytes(32));
        const deadline = inAnHour();
        const signature = await wallet.signTypedData({ name: 'Freehold', version: '1', chainId: 31337,
            verifyingContract: api.contracts.marketplace, ...domain }, TYPES,
        { holder: of.address, nonce, deadline, ...message });
        return { nonce: message.nonce ?? nonce, deadline: message.deadline ?? deadline, signature };
    }

    test('what is not signed so is refused, and uses no nonce up', async () => {
        const was = await api.state();
        const good = await signed(lessor);
        const refuse = (body, ...expected) => api.refuse('POST', path(lessor.address), { body }, ...expected);
        await refuse(without(good, 'nonce'), 400, 'missing_field', 'nonce');
        await refuse({ ...good, nonce: '0x12' }, 400, 'invalid_hash', 'nonce');
        await refuse({ ...good, deadline: 'soon' }, 400, 'invalid_time', 'deadline');
        await refuse({ ...good, extra: 1 }, 400, 'unknown_field', 'extra');
        await refuse({ ...good, signature: '0x12' }, 422, 'signature_malformed', 'signature');
        await refuse(await signed(bidderB, { holder: lessor }), 422, 'signature_signer', 'signature');
        await refuse({ ...good, nonce: hexlify(randomBytes(32)) }, 422, 'signature_signer', 'signature');
        await refuse({ ...good, deadline: good.deadline + 1 }, 422, 'signature_signer', 'signature');
        await refuse(await signed(lessor, { domain: { chainId: 1 } }), 422, 'signature_chain', 'signature');
        await refuse(await signed(lessor, { domain: { verifyingContract: api.contracts.leaseFactory } }), 422,
            'signature_contract', 'signature');
        await refuse(await signed(lessor, { message: { deadline: inAnHour() - 7200 } }), 422, 'deadline_expired', 'deadline');
        await api.refuse('POST', path(own.address), { body: await signed(own) }, 422, 'unknown_wallet', 'address');
        await api.refuse('POST', path('me'), { body: good }, 400, 'invalid_address', 'address');
        assert.deepEqual(await api.state(), was);
        assert.deepEqual(rows(api.daemon.database, 'SELECT nonce FROM claim_authorizations'), []);
    });

    test('the holder is paid once, whoever hands it in how often', async () => {
        const claims = await api.call(api.contracts.marketplace, 'claims(address) view returns (uint256)', lessor.address);
        const before = await api.stableOf(lessor.address);
        const body = await signed(lessor);
        const answers = await Promise.all(Array.from({ length: 6 }, () => api.send('POST', `${path(lessor.address)}?wait=20`, { body })));
        assert.deepEqual(answers.map((a) => a.status).sort(), [200, 200, 200, 200, 200, 201]);
        assert.equal(new Set(answers.map((a) => a.data.transaction.transactionId)).size, 1);
        assert.equal(await api.stableOf(lessor.address), before + claims);
        assert.equal((await api.get(`${V1}/accounts/${lessor.address}/portfolio`)).revenue.claimable, '0');
        const was = await api.state();
        const again = await api.post(path(lessor.address), body, 200);
        assert.equal(again.transaction.state, 'mined');
        const other = await signed(lessor, { message: { nonce: body.nonce, deadline: body.deadline + 1 } });
        await api.refuse('POST', path(lessor.address), { body: other }, 409, 'already_exists', 'nonce');
        await api.refuse('POST', path(lessor.address), { body: await signed(lessor) }, 409, 'conflict');
        assert.deepEqual(await api.state(), was);
        assert.equal(rows(api.daemon.database, 'SELECT nonce FROM claim_authorizations').length, 1);
    });

    test('a round is closed when every claim in it is paid', async () => {
        const rounds = await api.get(`${V1}/assets/${asset.assetId}/revenue-rounds`);
        for (const round of rounds) {
            for (const claim of await api.get(`${V1}/revenue-rounds/${round.roundId}/claims`)) {
                if (claim.holderAddress === own.address) {
                    const { transactionRequest } = await api.post(
                        `${V1}/revenue-rounds/${round.roundId}/claims/${own.address}/process`);
                    await api.transact(own, transactionRequest);
                } else if (!claim.claimed) {
                    const wallet = [bidderA, bidderB, holder].find((w) => w.address === claim.holderAddress);
                    await api.post(`${path(wallet.address)}?wait=20`, await signed(wallet), 201);
                }
            }
            await api.until(`${V1}/revenue-rounds/${round.roundId}`, (r) => r.status === 'closed');
        }
        assert.ok(rounds.length > 0);
        assert.equal(await api.stableOf(api.contracts.marketplace), 0n);
    });
});

describe('revenue by day', () => {
    test('is that of the rounds, by the day of their block', async () => {
        const lease = (await api.get(`${V1}/leases?status=active`)).at(-1);
        const rounds = await api.get(`${V1}/assets/${asset.assetId}/revenue-rounds`);
        const sums = {};
        for (const round of rounds) {
            const key = `${round.createdAt.slice(0, 10)}/${round.leaseId}`;
            sums[key] = (sums[key] ?? 0n) + BigInt(round.totalAmount);
        }
        const daily = await api.get(`${V1}/revenue/daily`);
        assert.deepEqual(Object.fromEntries(daily.map((d) => [`${d.day}/${d.leaseId}`, BigInt(d.amount)])), sums);
        assert.equal(daily.reduce((n, d) => n + d.rounds, 0), rounds.length);
        assert.deepEqual(await api.get(`${V1}/revenue/daily?assetId=${asset.assetId}`), daily);
        assert.deepEqual(await api.get(`${V1}/revenue/daily?leaseId=${daily[0].leaseId}`),
            daily.filter((d) => d.leaseId === daily[0].leaseId));
        assert.deepEqual(await api.get(`${V1}/revenue/daily?leaseId=${lease.leaseId}x`), []);
        assert.deepEqual(await api.get(`${V1}/revenue/daily?from=2020-01-01&to=2020-12-31`), []);
        const day = daily[0].day;
        assert.deepEqual(await api.get(`${V1}/revenue/daily?from=${day}&to=${day}`), daily.filter((d) => d.day === day));
    });

    test('wrong days are refused', async () => {
        for (const [query, code, field] of [['from=yesterday', 'invalid_time', 'from'], ['to=2026-13-01', 'invalid_time', 'to'],
            ['to=2026-1-1', 'invalid_time', 'to'], ['from=2026-01-02&to=2026-01-01', 'invalid_field', 'from'],
            ['from=2020-01-01&to=2021-01-01', 'invalid_field', 'from']]) {
            await api.refuse('GET', `${V1}/revenue/daily?${query}`, {}, 400, code, field);
        }
    });
});

test('the ledger holds what the marketplace holds', async () => {
    const sum = rows(api.daemon.database, `SELECT credits_posted, debits_posted FROM ledger_accounts
        WHERE path LIKE 'leasing/%'`).reduce((s, r) => s + BigInt(r.credits_posted) - BigInt(r.debits_posted), 0n);
    assert.equal(sum, await api.stableOf(api.contracts.marketplace));
});

test('nothing went wrong inside', () => {
    const lines = api.daemon.log.split('\n').filter((l) => /"level":"(error|broken)"/.test(l));
    assert.deepEqual(lines, []);
});
