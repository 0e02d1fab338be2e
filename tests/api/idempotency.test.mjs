// One key, one effect: sixty-four requests at once, two processes at once, a process that is killed
// in between; and what is answered for keys that are none.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api, Daemon, assetBody, fresh, leaseBody, lessor, rows, sleep, typeBody }
    from './support.mjs';
import { ON_POSTGRES, eventually, folder } from '../support/program.mjs';

const V1 = '/api/v1';
const AT_ONCE = 64;
let host; // runs the chain
let settings;
let assetId;

before(async () => {
    host = await Api.start();
    const c = host.contracts;
    await host.post(`${V1}/asset-types?wait=20`, typeBody('satellite'));
    ({ assetId } = await host.post(`${V1}/assets?wait=20`, assetBody(fresh('KEY'))));
    settings = {
        'chain.rpc_urls': host.daemon.rpc, 'wallets.dev_accounts': 5,
        'leasing.stablecoin': c.stablecoin, 'leasing.asset_registry': c.assetRegistry,
        'leasing.lease_factory': c.leaseFactory, 'leasing.marketplace': c.marketplace,
        'leasing.registrar': c.registrar, 'chain.poll_interval': '100ms',
    };
});
after(() => host?.stop());

const leases = (daemon) => rows(daemon.database, 'SELECT lease_id FROM leases');

/** Asks the daemons in turn with one key until everybody has the answer of the one run. */
async function together(apis, key, body) {
    let runs = 0;
    const ask = (api) => eventually(`the answer to ${key}`, async () => {
        const answer = await api.send('POST', `${V1}/leases`,
            { body, headers: { 'idempotency-key': key } });
        if (answer.status !== 409) {
            assert.equal(answer.status, 201, JSON.stringify(answer));
            runs += answer.headers.get('idempotency-replayed') !== 'true';
            return answer.data;
        }
        assert.equal(answer.code, 'in_progress');
        assert.match(answer.headers.get('retry-after'), /^\d+$/);
        return undefined;
    });
    const answers = await Promise.all(Array.from({ length: AT_ONCE },
        (_, i) => ask(apis[i % apis.length])));
    assert.equal(runs, 1);
    for (const answer of answers) {
        assert.deepEqual(answer, answers[0]);
    }
    return answers[0];
}

describe('one daemon', () => {
    test('sixty-four requests with one key are one', async () => {
        const before = leases(host.daemon).length;
        for (let i = 0; i < 5; i++) {
            await together([host], fresh('same'), leaseBody(assetId));
        }
        assert.equal(leases(host.daemon).length, before + 5);
    });

    test('sixty-four with keys of their own are sixty-four', async () => {
        const before = leases(host.daemon).length;
        const body = leaseBody(assetId);
        await Promise.all(Array.from({ length: AT_ONCE }, () => host.post(`${V1}/leases`, body, 201,
            { 'idempotency-key': fresh('own') })));
        assert.equal(leases(host.daemon).length, before + AT_ONCE);
    });

    test('another body under the key, or another query, is refused and changes nothing', async () => {
        const headers = { 'idempotency-key': fresh('body') };
        const body = leaseBody(assetId);
        const { leaseId } = await host.post(`${V1}/leases`, body, 201, headers);
        const before = leases(host.daemon).length;
        const other = { ...body, legalDocumentHash: `0x${'cd'.repeat(32)}` };
        await host.refuse('POST', `${V1}/leases`, { body: other, headers }, 409,
            'idempotency_mismatch', 'Idempotency-Key');
        await host.refuse('POST', `${V1}/leases?wait=1`, { body, headers }, 409,
            'idempotency_mismatch', 'Idempotency-Key');
        assert.equal((await host.post(`${V1}/leases`, body, 201, headers)).leaseId, leaseId);
        assert.equal(leases(host.daemon).length, before);
    });

    test('a refusal is an answer too', async () => {
        const headers = { 'idempotency-key': fresh('refusal') };
        const body = leaseBody(assetId, { lessorAddress: '0x12' });
        const first = await host.refuse('POST', `${V1}/leases`, { body, headers }, 400,
            'invalid_address', 'lessorAddress');
        const again = await host.send('POST', `${V1}/leases`, { body, headers });
        assert.equal(again.headers.get('idempotency-replayed'), 'true');
        assert.equal(again.error, first.error);
    });

    test('keys that are none are refused, and said so', async () => {
        const before = leases(host.daemon).length;
        for (const key of ['x'.repeat(256), 'two words', 'caf\u00e9', '']) {
            await host.refuse('POST', `${V1}/leases`,
                { body: leaseBody(assetId), headers: { 'idempotency-key': key } }, 400,
                'invalid_field', 'Idempotency-Key');
        }
        assert.equal(leases(host.daemon).length, before);
        await host.post(`${V1}/leases`, leaseBody(assetId), 201,
            { 'idempotency-key': fresh('x'.repeat(230)).padEnd(255, 'y') });
    });

    test('a GET does not look at it', async () => {
        const headers = { 'idempotency-key': 'x'.repeat(255) };
        for (let i = 0; i < 2; i++) {
            const answer = await host.send('GET', `${V1}/assets/${assetId}`, { headers });
            assert.equal(answer.status, 200);
            assert.equal(answer.headers.get('idempotency-replayed'), null);
        }
    });
});

/** Waits until a daemon of its own database knows the asset. */
async function ready(api) {
    api.contracts = host.contracts;
    await api.until(`${V1}/assets`, (list) => list.some((a) => a.assetId === assetId));
    await api.post(`${V1}/asset-types`, typeBody('satellite'));
    return api;
}

// A file has one process: a second one is refused.
const onServer = ON_POSTGRES ? test : () => {};
onServer('two daemons on one database are one to a key', async () => {
    const dir = folder();
    const apis = [];
    try {
        apis.push(await ready(new Api(await Daemon.start(settings, { dir }))));
        apis.push(await ready(new Api(await Daemon.start(settings, { dir }))));
        const before = leases(apis[0].daemon).length;
        for (let i = 0; i < 8; i++) {
            await together(apis, fresh('both'), leaseBody(assetId, { lessorAddress: lessor.address }));
        }
        assert.equal(leases(apis[0].daemon).length, before + 8);
    } finally {
        await Promise.all(apis.map((api) => api.stop()));
    }
});

test('a process that is killed at any moment does not do it twice', async () => {
    const dir = folder();
    let api = await ready(new Api(await Daemon.start(settings, { dir })));
    const body = leaseBody(assetId);
    const post = (key) => eventually(() => `the answer to ${key}:\n${api.daemon.log.slice(-2000)}`, async () => {
        try {
            const answer = await api.send('POST', `${V1}/leases`,
                { body: { ...body, leaseId: key }, headers: { 'idempotency-key': key } });
            if (answer.success) {
                return answer.data.leaseId;
            }
            assert.equal(answer.code, 'in_progress');
        } catch (error) {
            assert.match(`${error.message} ${error.cause?.code}`, /fetch failed|terminated|ECONN/);
        }
        return undefined;
    }, 120);
    try {
        const asked = [];
        for (let kill = 0; kill < 6; kill++) {
            const waiting = Array.from({ length: 16 }, () => post(fresh(`KILL-${kill}`)));
            await sleep(kill * 7);
            api.daemon.child.kill('SIGKILL');
            await api.daemon.ended;
            api.provider.destroy();
            api = new Api(await Daemon.start(settings, { dir }));
            asked.push(...await Promise.all(waiting));
        }
        const ids = leases(api.daemon).map((row) => row.lease_id);
        assert.deepEqual(ids.filter((id) => id.startsWith('KILL-')).sort(), asked.sort());
        const audited = rows(api.daemon.database, `SELECT subject, count(*) AS count FROM audit_log
            WHERE action = 'leasing.lease_created' GROUP BY subject`);
        assert.deepEqual(audited.filter((row) => row.count !== 1), []);
        assert.equal(audited.length, asked.length);
    } finally {
        await api.stop();
    }
});
