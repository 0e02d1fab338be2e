// Access to a leased asset, sold by the second to a client of the official packages: prices that
// carry what a second does not pay, payments, hours, the ledger and the chain, which agree to the
// unit.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
    Api, assetBody, bidderA, days, fresh, leaseBody, lessor, sign, typeBody,
} from './support.mjs';
import { ask, decode, header, payer, paying } from './x402-support.mjs';
import { change, rows, run } from '../support/program.mjs';

const V1 = '/api/v1';
const MONTH = 2_592_000n;
const RENT = 1_000_000_000n;
let api;
let leaseId;
let draft;
const wallet = payer(700);

async function lease(terms = {}) {
    const id = fresh('LEASE');
    const made = await api.post(`${V1}/leases`, leaseBody(assetId, { leaseId: id,
        lesseeAddress: bidderA.address }, { startDate: days(0.01), ...terms }));
    return made;
}
const assetId = fresh('SAT');

before(async () => {
    api = await Api.start({ 'x402.enabled': true });
    await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
    await api.post(`${V1}/assets?wait=20`, assetBody(assetId));
    const made = await lease();
    leaseId = made.leaseId;
    const { digest } = await api.get(`${V1}/leases/${leaseId}/digest`);
    await api.post(`${V1}/leases/${leaseId}/sign`,
        { signature: sign(lessor, digest), signerType: 'lessor' });
    await api.post(`${V1}/leases/${leaseId}/sign?wait=20`,
        { signature: sign(bidderA, digest), signerType: 'lessee' });
    assert.equal((await api.get(`${V1}/leases/${leaseId}`)).status, 'active');
    draft = (await lease()).leaseId;
    await api.fund(wallet.address, 1_000_000n);
});
after(() => api?.stop());

const access = (id, mode) => `${V1}/leases/${id}/access?mode=${mode}`;
const due = (sold) => RENT * BigInt(sold) / MONTH;

test('a stream of steps costs the rent to the unit, and every book says so', async () => {
    const { terms } = await api.get(`${V1}/leases/${leaseId}`);
    assert.deepEqual([BigInt(terms.paymentAmount), BigInt(terms.rentPeriod)], [RENT, MONTH]);
    const pay = paying(wallet);
    const before = await api.stableOf(lessor.address);
    let sold = 0;
    let paid = 0n;
    const hashes = [];
    for (const mode of ['second', 'second', 'second', 'batch-5s', 'second', 'batch-5s', 'second']) {
        const interval = mode === 'second' ? 1 : 5;
        const told = await api.get(`${V1}/leases/${leaseId}/x402/requirements?mode=${mode}`);
        const reply = await pay(api.daemon.url + access(leaseId, mode), { method: 'POST' });
        const { data } = await reply.json();
        assert.equal(reply.status, 200);
        const price = due(sold + interval) - due(sold);
        assert.equal(BigInt(data.amount), price, `${mode} after ${sold} s`);
        assert.equal(told.paymentRequired.accepts[0].amount, data.amount);
        assert.equal(told.paymentRequired.accepts[0].payTo, lessor.address);
        assert.deepEqual([data.leaseId, data.mode, data.intervalSeconds, data.payTo],
            [leaseId, mode, interval, lessor.address]);
        assert.equal(Date.parse(data.grantedUntil) - Date.parse(data.grantedFrom), interval * 1000);
        hashes.push(decode(reply.headers.get('payment-response')).transaction);
        sold += interval;
        paid += price;
    }
    // 15 s at 385.802… a second.
    assert.equal(paid, 5787n);
    assert.equal(await api.stableOf(lessor.address) - before, paid);
    assert.equal(await api.stableOf(wallet.address), 1_000_000n - paid);
    const payments = await api.get(`${V1}/leases/${leaseId}/x402/payments`);
    assert.deepEqual(payments.map((p) => p.transactionHash).reverse(), hashes);
    assert.equal(payments.reduce((sum, p) => sum + BigInt(p.amount), 0n), paid);
    const hours = await api.get(`${V1}/leases/${leaseId}/x402/hours`);
    for (const hour of hours) {
        const of = payments.filter((p) => p.bucketSlot === hour.hourBucket);
        assert.equal(hour.paymentCount, of.length);
        assert.equal(BigInt(hour.totalAmount), of.reduce((sum, p) => sum + BigInt(p.amount), 0n));
        assert.match(hour.hourBucket, /:00:00\.000Z$/);
    }
    assert.equal(hours.reduce((sum, h) => sum + BigInt(h.totalAmount), 0n), paid);
    const [stream] = rows(api.daemon.database, 'SELECT seconds_sold, paid, payments FROM lease_streams');
    assert.deepEqual([stream.seconds_sold, BigInt(stream.paid), stream.payments], [15, paid, 7]);
    const entries = rows(api.daemon.database,
        "SELECT amount FROM ledger_transfers WHERE kind = 'leasing.access_sold'");
    assert.equal(entries.reduce((sum, e) => sum + BigInt(e.amount), 0n), paid);
    const page = await api.send('GET', `${V1}/leases/${leaseId}/x402/payments?limit=3`);
    const next = await api.send('GET',
        `${V1}/leases/${leaseId}/x402/payments?limit=100&cursor=${page.nextCursor}`);
    assert.deepEqual([...page.data, ...next.data], payments);
});

test('an hour that does not add up is found', async () => {
    const look = async () => JSON.parse((await run(['reconcile', '--json',
        `--store.url=${api.daemon.database.url}`, `--chain.rpc_urls=${api.daemon.rpc}`,
        `--leasing.stablecoin=${api.contracts.stablecoin}`,
        `--leasing.asset_registry=${api.contracts.assetRegistry}`,
        `--leasing.lease_factory=${api.contracts.leaseFactory}`,
        `--leasing.marketplace=${api.contracts.marketplace}`])).stdout);
    const before = await look();
    assert.deepEqual(before.findings, []);
    change(api.daemon.database, "UPDATE lease_access_hours SET payments = payments + 1");
    const after = await look();
    assert.deepEqual(after.findings.map((f) => f.rule),
        after.findings.map(() => 'leasing.access_hours'));
    assert.ok(after.findings.length > 0);
    change(api.daemon.database, "UPDATE lease_access_hours SET payments = payments - 1");
});

test('a payment for the price of before is not taken, and costs nothing', async () => {
    const first = await ask(api.daemon, access(leaseId, 'second'), { method: 'POST' });
    const stale = await header(wallet, first.required);
    let price = first.required.accepts[0].amount;
    while (price === first.required.accepts[0].amount) {
        const { required } = await ask(api.daemon, access(leaseId, 'second'), { method: 'POST' });
        price = required.accepts[0].amount;
        if (price === first.required.accepts[0].amount) {
            const payment = await header(wallet, required);
            const { status, text } = await ask(api.daemon, access(leaseId, 'second'),
                { method: 'POST', payment });
            assert.equal(status, 200, text);
        }
    }
    const before = await api.stableOf(wallet.address);
    const answer = await ask(api.daemon, access(leaseId, 'second'), { method: 'POST', payment: stale });
    assert.equal(answer.status, 402);
    assert.equal(answer.required.error, 'No matching payment requirements');
    assert.equal(answer.required.accepts[0].amount, price);
    assert.equal(await api.stableOf(wallet.address), before);
});

test('what is not sold says why, without an offer', async () => {
    const refuse = async (path, status, code) => {
        const answer = await ask(api.daemon, path, { method: 'POST' });
        assert.deepEqual([answer.status, answer.body.code, answer.required], [status, code, null],
            answer.text);
    };
    await refuse(access('none', 'second'), 404, 'not_found');
    await refuse(access(leaseId, 'hour'), 400, 'invalid_field');
    await refuse(access(draft, 'second'), 409, 'conflict');
    const { paymentRequired } = await api.get(`${V1}/leases/${draft}/x402/requirements`);
    assert.equal(paymentRequired, null);
    const off = await Api.start();
    try {
        const answer = await ask(off.daemon, access('none', 'second'), { method: 'POST' });
        assert.deepEqual([answer.status, answer.body.code], [403, 'forbidden'],
            'without payments nothing that costs something is given away');
    } finally {
        await off.stop();
    }
});
