// People with wallets of their own: they get unsigned transactions, send them themselves, or do
// without us altogether. The rows are the same in the end.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Interface } from 'ethers';
import {
    Api, assetBody, days, fresh, intentOf, leaseBody, leaseDigest, sign, strangers, typeBody, without,
} from './support.mjs';

const V1 = '/api/v1';
const INTENT = '(uint64,bytes32,(address,address,uint256,address,uint256,uint256,uint256,uint64,uint64,'
    + 'bytes32,uint16,(string,string)[]))';
const [lessor, bidder, lessee, passerBy] = strangers;

let api;
let asset;
let contracts;

before(async () => {
    api = await Api.start();
    contracts = api.contracts;
    await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
    const { assetId } = await api.post(`${V1}/assets?wait=20`,
        assetBody(fresh('SAT'), { tokenRecipient: lessor.address }));
    asset = await api.get(`${V1}/assets/${assetId}`);
});
after(() => api?.stop());

const tuple = ({ deadline, assetType, lease: l }, metadata = []) =>
    [deadline, assetType, [l.lessor, l.lessee, l.assetId, l.paymentToken, l.rentAmount, l.rentPeriod,
        l.securityDeposit, l.startTime, l.endTime, l.legalDocHash, l.termsVersion, metadata]];

const digestOf = (intent) => leaseDigest(intent, 31337, contracts.leaseFactory);

describe('an offer from a wallet that is not ours', () => {
    let lease;
    const body = () => without(leaseBody(asset.assetId, { lessorAddress: lessor.address }), 'lesseeAddress');

    test('is posted by its owner and found again', async () => {
        lease = await api.post(`${V1}/leases`, body(), 201);
        assert.equal(lease.transaction, null);
        assert.equal(lease.transactionRequest.from, lessor.address);
        assert.equal(lease.transactionRequest.to, contracts.marketplace);
        const state = await api.get(`${V1}/transactions`);
        await api.transact(lessor, lease.transactionRequest);
        lease = await api.until(`${V1}/leases/${lease.leaseId}`, (l) => l.offer !== null);
        assert.equal(lease.offer.status, 'active');
        assert.deepEqual(await api.get(`${V1}/transactions`), state, 'we sent nothing');
        const [offer] = await api.get(`${V1}/offers`);
        assert.equal(offer.leaseId, lease.leaseId);
    });

    test('is bid for in two transactions of the bidder', async () => {
        await api.fund(bidder.address, 5000n);
        const digest = digestOf(intentOf(lease, asset, bidder.address));
        const request = { bidder: bidder.address, funds: '5000', signature: sign(bidder, digest) };
        const bid = await api.post(`${V1}/leases/${lease.leaseId}/bids`, request, 201);
        assert.equal(bid.status, 'unsent');
        assert.deepEqual(bid.transactionRequests.map((r) => r.purpose), ['leasing.approve_bid', 'leasing.place_bid']);
        const again = await api.post(`${V1}/leases/${lease.leaseId}/bids`, request, 200);
        assert.deepEqual(again, bid);
        const [waiting] = await api.get(`${V1}/leases/${lease.leaseId}/bids`);
        assert.equal(waiting.status, 'unsent');
        assert.equal(waiting.bidIndex, null);
        for (const transaction of bid.transactionRequests) {
            await api.transact(bidder, transaction);
        }
        const placed = await api.until(`${V1}/leases/${lease.leaseId}/bids`,
            (b) => b[0].bidIndex !== null && b[0].signatureValid !== null);
        assert.equal(placed.length, 1);
        assert.equal(placed[0].signatureValid, true);
        assert.equal(placed[0].status, 'active');
    });

    test('is accepted by its owner, who is paid as the holder', async () => {
        const digest = digestOf(intentOf(lease, asset, bidder.address));
        const answer = await api.post(`${V1}/leases/${lease.leaseId}/bids/0/accept`, { signature: sign(lessor, digest) });
        assert.equal(answer.status, 'draft');
        assert.equal(answer.transactionRequest.from, lessor.address);
        await api.transact(lessor, answer.transactionRequest);
        const active = await api.get(`${V1}/leases/${lease.leaseId}`);
        assert.equal(active.status, 'active');
        assert.equal(active.lesseeAddress, bidder.address);
        const [round] = await api.get(`${V1}/assets/${asset.assetId}/revenue-rounds`);
        const path = `${V1}/revenue-rounds/${round.roundId}/claims/${lessor.address}`;
        const { transactionRequest } = await api.post(`${path}/process`);
        await api.transact(lessor, transactionRequest);
        assert.equal((await api.get(path)).claimAmount, '5000');
        assert.equal(await api.stableOf(lessor.address), 5000n);
        // Nothing made a second agreement of the NFT.
        assert.equal((await api.get(`${V1}/leases`)).length, 1);
    });

    test('is cancelled by its owner', async () => {
        const other = await api.post(`${V1}/leases`, { ...body(), deadline: days(2) }, 201);
        await api.transact(lessor, other.transactionRequest);
        await api.until(`${V1}/leases/${other.leaseId}`, (l) => l.offer !== null);
        const { transactionRequest } = await api.post(`${V1}/leases/${other.leaseId}/cancel`);
        await api.transact(lessor, transactionRequest);
        assert.equal((await api.get(`${V1}/leases/${other.leaseId}`)).offer.status, 'cancelled');
    });

    test('that nobody drafted here has no agreement', async () => {
        const intent = intentOf(lease, asset, `0x${'00'.repeat(20)}`);
        intent.lease.termsVersion = 77;
        await api.invoke(lessor, contracts.marketplace, `postLeaseOffer(${INTENT} L)`, tuple(intent));
        const [offer] = await api.get(`${V1}/offers?limit=1`);
        assert.equal(offer.status, 'active');
        assert.equal(offer.leaseId, null);
        assert.equal(offer.assetId, asset.assetId);
    });
});

describe('a lease that somebody else mints', () => {
    const mint = (intent, metadata = []) => {
        const digest = digestOf(intent);
        const face = new Interface([`function mintLease(${INTENT} L, bytes a, bytes b)`]);
        return api.transact(passerBy, { to: contracts.leaseFactory,
            data: face.encodeFunctionData('mintLease', [tuple(intent, metadata), sign(lessor, digest), sign(lessee, digest)]) });
    };

    test('is the one that was drafted here with the same terms', async () => {
        const draft = await api.post(`${V1}/leases`, leaseBody(asset.assetId,
            { lessorAddress: lessor.address, lesseeAddress: lessee.address, termsVersion: 3 }), 201);
        const receipt = await mint(intentOf(draft, asset));
        const active = await api.until(`${V1}/leases/${draft.leaseId}`, (l) => l.status === 'active');
        assert.equal(active.onChain.transactionHash, receipt.hash);
        assert.deepEqual(active.signaturesRequired, []);
    });

    test('gets an agreement of its own when nobody drafted it', async () => {
        const now = Math.floor(Date.now() / 1000);
        const intent = {
            deadline: now + 1000, assetType: `0x${'77'.repeat(32)}`,
            lease: { lessor: lessor.address, lessee: lessee.address, assetId: asset.onChain.id,
                paymentToken: contracts.stablecoin, rentAmount: 123456789n, rentPeriod: 90 * 86400,
                securityDeposit: 7n, startTime: now, endTime: now + 86400, legalDocHash: `0x${'cd'.repeat(32)}`,
                termsVersion: 9 },
        };
        await mint(intent, [['x_colour', '"red"'], ['orbit', 'low']]);
        const [newest] = await api.until(`${V1}/leases?limit=1`, ([l]) => l.leaseId.startsWith('chain-31337-'));
        assert.equal(newest.leaseId, `chain-31337-${newest.onChain.tokenId}`);
        assert.equal(newest.status, 'active');
        assert.equal(newest.assetId, asset.assetId);
        assert.equal(newest.lessorAddress, lessor.address);
        assert.equal(newest.lesseeAddress, lessee.address);
        assert.equal(newest.terms.paymentAmount, '123456789');
        assert.equal(newest.terms.securityDeposit, '7');
        assert.equal(newest.terms.paymentSchedule, 'quarterly');
        assert.equal(newest.terms.startDate, new Date(now * 1000).toISOString());
        assert.equal(newest.legalDocumentHash, `0x${'cd'.repeat(32)}`);
        assert.equal(newest.termsVersion, 9);
        assert.match(JSON.stringify(newest.metadata), /red/);
        assert.match(JSON.stringify(newest.metadata), /low/);
    });

    test('leaves with its block when the chain is reorganised', async () => {
        const snapshot = await api.rpc('evm_snapshot');
        const draft = await api.post(`${V1}/leases`, leaseBody(asset.assetId,
            { lessorAddress: lessor.address, lesseeAddress: lessee.address, termsVersion: 4 }), 201);
        const adopted = { ...intentOf(draft, asset) };
        adopted.lease = { ...adopted.lease, termsVersion: 5 };
        await mint(intentOf(draft, asset));
        await mint(adopted);
        const active = await api.until(`${V1}/leases/${draft.leaseId}`, (l) => l.status === 'active');
        const [found] = await api.until(`${V1}/leases?limit=1`,
            ([l]) => l.leaseId.startsWith('chain-31337-') && l.termsVersion === 5);
        await api.rpc('evm_revert', snapshot);
        for (let i = 0; i < 4; i++) {
            await api.rpc('evm_mine');
        }
        await api.until(`${V1}/leases/${draft.leaseId}`, (l) => l.status === 'draft' && l.onChain === null, 90);
        await api.refuse('GET', `${V1}/leases/${found.leaseId}`, {}, 404, 'not_found');
        assert.equal(active.status, 'active');
        // The same lease again: the draft still waits for it.
        await mint(intentOf(draft, asset));
        await api.until(`${V1}/leases/${draft.leaseId}`, (l) => l.status === 'active');
    });
});

test('nothing went wrong inside', () => {
    const lines = api.daemon.log.split('\n').filter((l) => /"level":"(error|broken)"/.test(l));
    assert.deepEqual(lines, []);
});
