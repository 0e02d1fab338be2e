// freehold reindex beside a daemon at work: what is right is found equal, what was altered past the
// program is named and set right, a kill leaves nothing that is in the way, and a chain whose fork
// is older than what can be undone goes on. The measure is a second daemon that reads the chain.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { assetBody, bidderA, fresh, leaseBody, rows, sign, sleep } from './support.mjs';
import { Site, V1, Wanted, health } from './reorg-site.mjs';
import { bytes, change, objects, pick, run } from '../support/program.mjs';

/** Runs the command with the settings of the daemon, and reads its report. */
async function reindex(site, words = [], options = {}) {
    const { database, dir } = site.api.daemon;
    const flags = Object.entries({ ...site.settings, 'store.url': database.url })
        .map(([key, value]) => `--${key}=${value}`);
    const done = await run(['reindex', '--json', ...words, ...flags], { cwd: dir, ...options });
    const report = done.stdout === '' ? {} : objects(done.stdout).at(-1);
    return { ...done, report, about: done.stdout + done.stderr };
}

const finding = (report) => Object.fromEntries(report.tables
    .filter((t) => t.missing + t.extra + t.altered > 0)
    .map((t) => [t.name, [t.missing, t.extra, t.altered]]));

/** Whether something is left of a run. */
const leftOver = ({ database }) => pick(
    () => ['', '.lock', '.claim'].some((end) => existsSync(`${database.path}-shadow${end}`)),
    () => rows(database, "SELECT 1 AS n FROM pg_namespace WHERE nspname = 'freehold_shadow'").length > 0)();

describe('rebuilding beside a daemon', () => {
    let site;
    const wanted = new Wanted();
    before(async () => {
        site = await Site.open({ 'chain.undo_depth': 64 });
        await site.api.post(`${V1}/assets`, assetBody('BASE'), 201);
        await site.api.until(`${V1}/assets/BASE`, (a) => a.status === 'active', 60);
        await site.host.rpc('anvil_mine', '0x60');
        // A bid, so that the ledger has something to say.
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

    test('finds nothing that differs while leases are registered', async () => {
        const stop = wanted.load(site, 'BASE');
        const { status, report, about } = await reindex(site);
        await stop();
        assert.equal(status, 0, about);
        assert.equal(report.differing, 0, about);
        assert.equal(report.written, false);
        for (const name of ['blockchain_events', 'token_holders', 'lease_offers', 'ledger_transfers',
            'undo_log']) {
            assert.ok(report.tables.find((t) => t.name === name).rows > 0, name);
        }
        assert.ok(!report.tables.some((t) => ['assets', 'leases'].includes(t.name)));
        assert.equal(leftOver(site.api.daemon), false);
        await wanted.settle(site);
        await site.equalsFreshIndex();
    });

    /** What a repair by hand, a bad disk, or a restored part may leave. */
    const spoil = () => {
        const { database } = site.api.daemon;
        const [{ token, holder }] = rows(database, 'SELECT token, holder FROM token_holders LIMIT 1');
        const [{ b, i }] = rows(database, `SELECT block_number AS b, log_index AS i
            FROM blockchain_events ORDER BY block_number LIMIT 1`);
        const one = pick(`'${'0'.repeat(77)}1'`, '1');
        change(database, `UPDATE token_holders SET balance = ${one} WHERE token = ${bytes(token)}
                AND holder = ${bytes(holder)};
            UPDATE ledger_accounts SET credits_posted = ${one} WHERE path LIKE 'external/%';
            DELETE FROM blockchain_events WHERE block_number = ${b} AND log_index = ${i};
            UPDATE blockchain_events SET event_data = '{}' WHERE event_type = 'LeaseBidPlaced';
            INSERT INTO lease_offers SELECT chain_id, marketplace, ${pick(`'${'999'.padStart(78, '0')}'`, '999')},
                lessor, onchain_asset_id, status, block_number, transaction_hash FROM lease_offers LIMIT 1;`);
        return { token, holder, b, i };
    };

    test('names what was altered by hand, and sets it right when it is told to', async () => {
        const { token, holder, b, i } = spoil();
        const { status, report, about } = await reindex(site);
        assert.equal(status, 1, about);
        assert.deepEqual(finding(report), {
            blockchain_events: [1, 0, 1], token_holders: [0, 0, 1], lease_offers: [0, 1, 0],
            ledger_accounts: [0, 0, 1],
        });
        assert.equal(report.differing, 5);
        assert.equal(report.written, false);
        const said = report.first.map((r) => `${r.table} ${r.key} ${r.what}`).join('\n');
        assert.match(said, new RegExp(`token_holders token ${token} holder ${holder} `
            + 'balance is 1 and should be \\d+'));
        assert.match(said, new RegExp(`blockchain_events block_number ${b} log_index ${i} is missing`));
        assert.match(said, /lease_offers .* should not be there/);
        assert.equal(rows(site.api.daemon.database, 'SELECT balance FROM token_holders WHERE holder = '
            + `${bytes(holder)} AND token = ${bytes(token)}`)[0].balance, '1');

        const stop = wanted.load(site, 'BASE');
        const accepted = await reindex(site, ['--continue', '--accept']);
        await stop();
        assert.equal(accepted.status, 0, accepted.about);
        assert.equal(accepted.report.written, true);
        assert.equal(accepted.report.differing, 5);
        assert.equal(leftOver(site.api.daemon), false);
        await wanted.settle(site);
        await site.equalsFreshIndex();
        const records = rows(site.api.daemon.database, `SELECT outcome, details FROM audit_log
            WHERE action = 'chain.reindexed' ORDER BY created_at`).map((r) => [r.outcome,
            JSON.parse(r.details).written]);
        assert.deepEqual(records, [[1, false], [3, false], [1, true]]);
        // What was set right can be undone like everything else.
        await site.reorg(5, { ready: () => site.catchUp() });
        await site.host.rpc('anvil_mine', '0x1');
        await site.equalsFreshIndex();
    });

    test('killed at any time it changes nothing, and the next run finds all as it was', async () => {
        await site.catchUp();
        spoil();
        for (const msec of [60, 150, 300, 600]) {
            const { signal, status } = await reindex(site, ['--accept'], {
                started: (child) => sleep(msec).then(() => child.kill('SIGKILL')),
            });
            assert.ok(signal === 'SIGKILL' || status === 0);
        }
        const { status, about } = await reindex(site, ['--accept']);
        assert.equal(status, 0, about);
        await site.equalsFreshIndex();
        assert.equal((await reindex(site)).report.differing, 0);
    });

    test('two at once harm nothing', async () => {
        const both = await Promise.all([reindex(site), reindex(site)]);
        const good = both.filter((r) => r.status === 0);
        assert.ok(good.length >= 1, both.map((r) => r.about).join('\n'));
        good.forEach((r) => assert.equal(r.report.differing, 0));
        both.filter((r) => r.status !== 0).forEach((r) => assert.equal(r.report.code, 'locked', r.about));
        assert.equal((await reindex(site)).status, 0);
        assert.equal(leftOver(site.api.daemon), false);
    });

    test('believes what is older than a block, if it is told to', async () => {
        const from = await site.head() - 20;
        const { status, report, about } = await reindex(site, [`--from=${from}`]);
        assert.equal(status, 0, about);
        assert.equal(report.differing, 0);
        const refused = await reindex(site, ['--from=2']);
        assert.equal(refused.status, 1);
        assert.match(refused.report.error, /can be taken back \(chain\.undo_depth\)/);
    });
});

describe('a fork that is older than what can be undone', () => {
    let site;
    const wanted = new Wanted();
    before(async () => {
        site = await Site.open({ 'chain.max_reorg_depth': 4, 'chain.undo_depth': 8 });
        await site.api.post(`${V1}/assets`, assetBody('BASE'), 201);
        await site.api.until(`${V1}/assets/BASE`, (a) => a.status === 'active', 60);
    });
    after(() => site?.close());

    test('halts the chain, and rebuilding lets it go on', async () => {
        const head = await site.head();
        const stop = wanted.load(site, 'BASE');
        while (await site.head() < head + 30) {
            await sleep(20);
        }
        await stop();
        await wanted.settle(site);
        for (let i = 0; i < 3; i++) {
            wanted.assets.push((await site.register()).assetId);
        }
        let fork = 0;
        await site.reorg(28, { ready: async () => {
            await site.catchUp();
            fork = await site.head() - 28;
        } });
        await site.host.rpc('anvil_mine', '0x1');
        await site.api.until(`${V1}/blockchain/network`, (n) => n.halted);
        const { chain } = await health(site.api);
        assert.match(chain.detail, /nor among all that are remembered.*freehold reindex --accept/);
        const { stdout } = await run(['chain', 'resume', '--from', `${head}`, '--json',
            `--store.url=${site.api.daemon.database.url}`], { cwd: site.api.daemon.dir });
        assert.match(stdout, /is not remembered any more.*freehold reindex --accept/);

        const looked = await reindex(site);
        assert.equal(looked.status, 1);
        assert.match(looked.report.error, /^the chain is halted: block \d+ .* --accept/);
        const { status, report, about } = await reindex(site, ['--accept']);
        assert.equal(status, 0, about);
        assert.equal(report.resumed, true);
        assert.ok(report.block <= fork, about);
        // What fell out is sent again, and the agreements know it.
        await wanted.settle(site);
        await site.equalsFreshIndex();
        assert.equal((await health(site.api)).status, 200);
    });
});
