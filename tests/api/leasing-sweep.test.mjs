// Bids that cannot be accepted any more come back by themselves, where that is wanted.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
    Api, SLOW, assetBody, bidderA, fresh, intentOf, leaseBody, leaseDigest, sign, sleep, strangers, typeBody, without,
} from './support.mjs';

const V1 = '/api/v1';
const DEADLINE_MS = 4000 * SLOW;
let api;
let asset;

before(async () => {
    api = await Api.start({ 'leasing.sweep_bids': true });
    await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
    const assetId = fresh('SWEEP');
    await api.post(`${V1}/assets?wait=20`, assetBody(assetId), 201);
    asset = await api.until(`${V1}/assets/${assetId}`, (a) => a.status === 'active');
});
after(() => api?.stop());

test('a bid of ours is taken back after the deadline, one of somebody else stays his matter', async () => {
    const [own] = strangers;
    await api.fund(bidderA.address, 5000n);
    await api.fund(own.address, 5000n);
    const deadline = new Date(Math.floor((Date.now() + DEADLINE_MS) / 1000) * 1000).toISOString();
    const lease = await api.post(`${V1}/leases?wait=20`,
        without(leaseBody(asset.assetId, { deadline }), 'lesseeAddress'), 201);
    const signature = (wallet) => sign(wallet, leaseDigest(intentOf(lease, asset, wallet.address), 31337,
        api.contracts.leaseFactory));
    const bids = `${V1}/leases/${lease.leaseId}/bids`;
    await api.post(`${bids}?wait=20`, { bidder: bidderA.address, funds: '5000', signature: signature(bidderA) }, 201);
    const asked = await api.post(bids, { bidder: own.address, funds: '5000', signature: signature(own) }, 201);
    for (const request of asked.transactionRequests) {
        await api.transact(own, request);
    }
    assert.equal(await api.stableOf(bidderA.address), 0n);
    await sleep(Math.max(0, Date.parse(deadline) - Date.now()) + 1100);
    await api.rpc('evm_mine');
    // The cron comes once a minute.
    const list = await api.until(bids, (l) => l[0].status !== 'active', 75);
    assert.deepEqual(list.map((b) => b.status), ['withdrawn', 'active']);
    assert.equal(await api.stableOf(bidderA.address), 5000n);
    const sent = (await api.get(`${V1}/transactions?limit=50`)).filter((t) => t.purpose === 'leasing.withdraw_bid');
    assert.deepEqual(sent.map((t) => t.state), ['mined']);
});
