// freehold reconcile: what differs between rows and contracts, and between records and events, is
// found in one pass and repaired as its rule says; the six-hourly job finds it by itself.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assetBody, bidderA, fresh, leaseBody, rows, sign } from './support.mjs';
import { Site, V1 } from './reorg-site.mjs';
import { bytes, change, eventually, objects, pick, run } from '../support/program.mjs';

async function reconcile(site, ...words) {
    const { database, dir } = site.api.daemon;
    const flags = Object.entries({ ...site.settings, 'store.url': database.url })
        .map(([key, value]) => `--${key}=${value}`);
    const { status, stdout, stderr } = await run(['reconcile', '--json', ...words, ...flags], { cwd: dir });
    return { status, said: objects(stdout), about: stdout + stderr };
}

const rules = ({ said }) => said[0].findings.map((f) => f.rule).sort();

describe('rows and contracts', () => {
    let site;
    before(async () => {
        site = await Site.open();
        await site.api.post(`${V1}/assets`, assetBody('BASE'), 201);
        await site.api.until(`${V1}/assets/BASE`, (a) => a.status === 'active', 60);
        const leaseId = fresh('LEASE');
        await site.host.fund(bidderA.address, 1_000_000n);
        await site.api.post(`${V1}/leases`, leaseBody('BASE', { leaseId, lesseeAddress: undefined }), 201);
        await site.api.until(`${V1}/leases/${leaseId}`, (l) => l.offer?.status === 'active', 60);
        const { digest } = await site.api.get(`${V1}/leases/${leaseId}/digest?lessee=${bidderA.address}`);
        await site.api.post(`${V1}/leases/${leaseId}/bids`,
            { bidder: bidderA.address, funds: '7000', signature: sign(bidderA, digest) });
        await site.api.until(`${V1}/leases/${leaseId}/bids`,
            (list) => list.some((b) => b.status === 'active'), 60);
    });
    after(() => site?.close());

    test('agree', async () => {
        const { status, said, about } = await reconcile(site);
        assert.equal(status, 0, about);
        assert.equal(said[0].found, 0);
        assert.ok(said[0].looked >= 2, about);
    });

    test('a flipped bit is found in one pass, and repaired from the chain', async () => {
        const { database } = site.api.daemon;
        const [{ holder, balance }] = rows(database, 'SELECT holder, balance FROM token_holders');
        const flipped = BigInt(balance) ^ 1n;
        change(database, `UPDATE token_holders SET balance = ${pick(
            `'${flipped.toString().padStart(78, '0')}'`, flipped)};
            DELETE FROM lease_bids;`);
        const looked = await reconcile(site, '--dry-run');
        assert.equal(looked.status, 1);
        assert.deepEqual(rules(looked), ['leasing.event_without_record', 'leasing.holder_balance',
            'leasing.token_supply']);
        const said = looked.said[0].findings.find((f) => f.rule === 'leasing.holder_balance');
        assert.equal(said.subject.toLowerCase().split('/')[2], holder);
        assert.equal(said.what, `our rows say ${flipped}, the contract ${balance}`);
        assert.equal(rows(database, 'SELECT balance FROM token_holders')[0].balance, `${flipped}`);

        const fixed = await reconcile(site, '--fix');
        assert.equal(fixed.status, 0, fixed.about);
        assert.equal(fixed.said[1].written, true);
        assert.equal((await reconcile(site)).said[0].found, 0);
        await site.equalsFreshIndex();
        const records = rows(database, `SELECT action, outcome FROM audit_log
            WHERE action IN ('chain.reconciled', 'chain.difference_found') ORDER BY created_at`);
        assert.deepEqual(records.filter((r) => r.action === 'chain.reconciled').map((r) => r.outcome),
            [1, 3, 3, 1]);
        assert.equal(records.length, 4 + 2 * 3);
    });

    test('an agreement without its event waits for it again', async () => {
        const { database } = site.api.daemon;
        const [{ block }] = rows(database, `SELECT block_number AS block FROM assets
            WHERE asset_id = 'BASE'`);
        change(database, `UPDATE assets SET transaction_hash = ${bytes(`0x${'66'.repeat(32)}`)}
            WHERE asset_id = 'BASE'`);
        const looked = await reconcile(site);
        assert.deepEqual(rules(looked), ['leasing.event_without_asset', 'leasing.link_without_event']);
        const fixed = await reconcile(site, '--fix');
        assert.equal(fixed.status, 1); // the event waits for a human
        assert.match(fixed.said.at(-1).error, /1 findings wait for somebody to decide/);
        assert.equal((await site.api.get(`${V1}/assets/BASE`)).status, 'registered');
        const resumed = await run(['chain', 'resume', '--from', `${block}`, `--store.url=${database.url}`],
            { cwd: site.api.daemon.dir });
        assert.equal(resumed.status, 0, resumed.stderr);
        await site.api.until(`${V1}/assets/BASE`, (a) => a.status === 'active', 60);
        await site.catchUp();
        assert.equal((await reconcile(site)).said[0].found, 0);
        await site.equalsFreshIndex();
    });

    test('the job finds it by itself', async () => {
        const { database, url } = site.api.daemon;
        change(database, 'DELETE FROM lease_bids');
        const now = pick('(unixepoch() * 1000000)', 'now()');
        change(database, `INSERT INTO jobs (kind, payload, priority, state, attempts, lapses, created,
            scheduled, run_at, lease_token)
            VALUES ('chain.reconcile', '{}', 0, 1, 0, 0, ${now}, ${now}, ${now}, 0)`);
        await eventually('it runs', () => rows(database, `SELECT 1 AS n FROM audit_log
            WHERE action = 'chain.reconciled' AND actor_kind = 1`).length > 0);
        const text = await (await fetch(`${url}/metrics`)).text();
        assert.match(text, /^freehold_reconcile_findings 1$/m);
        assert.match(site.api.daemon.log, /"event":"chain\.difference_found".*event_without_record/);
    });
});
