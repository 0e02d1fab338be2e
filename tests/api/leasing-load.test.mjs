// Many callers at once, and a process that dies among them.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
    Api, Daemon, SLOW, assetBody, bidderA, fresh, leaseBody, lessor, rows, sign, sleep, typeBody,
} from './support.mjs';
import { eventually } from '../support/program.mjs';

const V1 = '/api/v1';

/** Runs `count` tasks on `clients` loops; resolves to the results in order. */
async function concurrently(count, clients, task) {
    const results = new Array(count);
    let next = 0;
    await Promise.all(Array.from({ length: clients }, async () => {
        for (let i = next++; i < count; i = next++) {
            results[i] = await task(i);
        }
    }));
    return results;
}

/** Drafts a lease and signs it twice; terms of another version are another intent. */
async function lease(api, assetId, termsVersion, leaseId = fresh('LOAD')) {
    const start = Date.parse('2040-01-01T00:00:00Z');
    const body = leaseBody(assetId, { leaseId, termsVersion, deadline: '2039-01-01T00:00:00Z' },
        { startDate: new Date(start).toISOString(), endDate: new Date(start + 86_400_000).toISOString() });
    const draft = await api.post(`${V1}/leases`, body);
    const path = `${V1}/leases/${draft.leaseId}/sign`;
    await api.post(path, { signature: sign(lessor, draft.digest), signerType: 'lessor' });
    return api.post(path, { signature: sign(bidderA, draft.digest), signerType: 'lessee' });
}

async function readyApi(settings) {
    const api = await Api.start(settings);
    await api.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
    const { assetId } = await api.post(`${V1}/assets?wait=20`, assetBody(fresh('SAT')));
    return { api, assetId };
}

describe('200 leases by 50 clients, minted by all wallets of a pool', () => {
    let api;
    let assetId;

    before(async () => {
        ({ api, assetId } = await readyApi({ 'wallets.pool': 'all', 'leasing.mint_by_pool': true }));
    });
    after(() => api?.stop());

    test('are all minted, each by a transaction of its own', async () => {
        const minted = await concurrently(200, 50, (i) => lease(api, assetId, i + 1));
        const done = await Promise.all(minted.map((m) => api.until(`${V1}/leases/${m.leaseId}`,
            (l) => l.status === 'active', 60)));
        assert.equal(new Set(done.map((l) => l.onChain.transactionHash)).size, 200);
        assert.equal(new Set(done.map((l) => l.onChain.tokenId)).size, 200);
        assert.equal(await api.call(api.contracts.leaseFactory, 'leaseId() view returns (uint256)'), 200n);
        assert.doesNotMatch(api.daemon.log, /nonce too|"level":"(error|broken)"|replaced/);
        const wallets = rows(api.daemon.database,
            "SELECT DISTINCT wallet FROM relay_intents WHERE purpose = 'leasing.mint_lease'");
        assert.equal(wallets.length, 5);
    });
});

describe('a process that is killed again and again', () => {
    const COUNT = 60;
    let host; // runs the chain
    let assetId;
    let settings;
    let api;

    before(async () => {
        ({ api: host, assetId } = await readyApi({}));
        const c = host.contracts;
        settings = {
            'chain.rpc_urls': host.daemon.rpc, 'wallets.dev_accounts': 5,
            'leasing.stablecoin': c.stablecoin, 'leasing.asset_registry': c.assetRegistry,
            'leasing.lease_factory': c.leaseFactory, 'leasing.marketplace': c.marketplace,
            'leasing.registrar': c.registrar, 'chain.poll_interval': '100ms',
        };
        api = new Api(await Daemon.start(settings));
        api.contracts = c;
        await api.until(`${V1}/assets`, (a) => a.some((x) => x.assetId === assetId));
        await api.post(`${V1}/asset-types`, typeBody('satellite'), [200, 201]);
    });
    after(async () => {
        await api?.stop();
        await host?.stop();
    });

    /** Kills the process and starts it on the same data. */
    async function killAndStart() {
        const { dir, child, ended } = api.daemon;
        child.kill('SIGKILL');
        await ended;
        const contracts = api.contracts;
        api.provider.destroy();
        api = new Api(await Daemon.start(settings, { dir }));
        api.contracts = contracts;
    }

    test('finishes what it was asked for, once', async () => {
        let killing = true;
        const killer = (async () => {
            for (let i = 0; i < 5; i++) {
                await sleep((100 + 150 * i) * SLOW);
                await killAndStart();
            }
            killing = false;
        })();
        // A client that asks until it is answered, as clients of anything do.
        let last;
        const ask = (i) => eventually(() => `the answer for lease ${i}: ${last}`, async () => {
            try {
                return await lease(api, assetId, 1000 + i, `KILL-${process.pid}-${i}`);
            } catch (error) {
                last = error;
                if (!killing && !/fetch failed/.test(error.message)) {
                    throw error;
                }
                return undefined;
            }
        }, 120);
        let minted;
        try {
            minted = await concurrently(COUNT, 10, ask);
        } finally {
            await killer; // or a daemon would outlive the test
        }
        for (const { leaseId } of minted) {
            await api.until(`${V1}/leases/${leaseId}`, (l) => l.status === 'active', 60);
        }
        assert.equal(await api.call(api.contracts.leaseFactory, 'leaseId() view returns (uint256)'), BigInt(COUNT));
        const transactions = rows(api.daemon.database, "SELECT state FROM relay_intents WHERE purpose = 'leasing.mint_lease'");
        assert.equal(transactions.length, COUNT);
    });
});
